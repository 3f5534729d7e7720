//! Constraints and indexes, as the server's own statements that create them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::BAD_PART;
use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::rows::{quoted, unexpected_record};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo};
use crate::error::{Error, Result};

/// The schema part's format; its meta holds `schema-format`: 1, and `failed-indexes`, the names of indexes that are
/// broken at the source.
pub(super) const FORMAT: &str = "json";

/// Indexes that no constraint owns, failed ones included.
const INDEXES: &str = "SHOW INDEXES YIELD name, state, owningConstraint, createStatement \
     WHERE owningConstraint IS NULL RETURN name, createStatement, state ORDER BY name";
const CONSTRAINTS: &str =
    "SHOW CONSTRAINTS YIELD name, createStatement RETURN name, createStatement, '' ORDER BY name";

/// A constraint or an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The statement that creates it.
    pub(super) create: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Constraint,
    Index,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Constraint => "constraint",
            Kind::Index => "index",
        }
    }
}

impl Item {
    /// Every database has the two lookup indexes from the start.
    pub(super) fn is_lookup(&self) -> bool {
        self.create.starts_with("CREATE LOOKUP INDEX ")
    }

    pub(super) fn drop_statement(&self) -> String {
        let kind = match self.kind {
            Kind::Constraint => "CONSTRAINT",
            Kind::Index => "INDEX",
        };
        format!("DROP {kind} {} IF EXISTS", quoted(&self.name))
    }
}

/// What a server has.
pub(super) struct Found {
    /// Constraints and indexes, sorted.
    pub(super) items: Vec<Item>,
    /// Indexes that are still being populated.
    pub(super) populating: Vec<String>,
    /// Indexes whose population failed: Neo4j keeps them, and does not use them.
    pub(super) failed: Vec<String>,
}

/// Asks for constraints and indexes.
pub(super) async fn read(connection: &mut Connection, begin: &Begin) -> Result<Found> {
    let mut items = Vec::new();
    let (mut populating, mut failed) = (Vec::new(), Vec::new());
    for (kind, query) in [(Kind::Constraint, CONSTRAINTS), (Kind::Index, INDEXES)] {
        for row in connection
            .query(query, Value::Map(Vec::new()), begin)
            .await?
        {
            let [
                Value::String(name),
                Value::String(create),
                Value::String(state),
            ] = &row[..]
            else {
                return Err(unexpected_record());
            };
            match state.as_str() {
                "FAILED" => failed.push(name.clone()),
                "POPULATING" => populating.push(name.clone()),
                _ => {}
            }
            items.push(Item {
                kind,
                name: name.clone(),
                create: create.clone(),
            });
        }
    }
    items.sort();
    Ok(Found {
        items,
        populating,
        failed,
    })
}

pub(super) fn write(items: &[Item]) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(items)
        .map_err(|e| Error::bug("a schema does not serialise").caused_by(e))
}

pub(super) fn parse(info: &PartInfo, bytes: &[u8]) -> Result<Vec<Item>> {
    let bad = |why: &str| Error::new(&BAD_PART, format!("the part `{}` {why}", info.name));
    let version = info
        .meta
        .get("schema-format")
        .and_then(serde_json::Value::as_u64);
    if info.format != FORMAT || version != Some(1) {
        return Err(bad("has an unknown format"));
    }
    serde_json::from_slice(bytes).map_err(|e| bad("is not a schema").caused_by(e))
}

/// What became of a constraint or an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Removed,
    Changed,
}

/// What is not the same in two schemas, by kind and name: `index n`.
pub(super) fn changes(old: Vec<Item>, new: Vec<Item>) -> BTreeMap<String, Change> {
    let by_name = |items: Vec<Item>| -> BTreeMap<String, String> {
        let named = |item: Item| (format!("{} {}", item.kind.word(), item.name), item.create);
        items.into_iter().map(named).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &&String| match (old.get(*name), new.get(*name)) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) => (old != new).then_some(Change::Changed),
    };
    let changed = names.into_iter();
    changed
        .filter_map(|name| Some((name.clone(), change(&name)?)))
        .collect()
}

/// What changed between two schema parts: `added index n`, `removed constraint n`, `changed index n`.
pub fn differences(old: (&PartInfo, &[u8]), new: (&PartInfo, &[u8])) -> Result<Vec<String>> {
    let changes = changes(parse(old.0, old.1)?, parse(new.0, new.1)?).into_iter();
    let lines = changes.map(|(name, change)| {
        let change = match change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        };
        format!("{change} {name}")
    });
    Ok(lines.collect())
}

/// The indexes that were broken at the source already.
pub(super) fn failed_at_source(info: &PartInfo) -> Vec<String> {
    let names = info.meta.get("failed-indexes");
    names
        .and_then(|names| serde_json::from_value(names.clone()).ok())
        .unwrap_or_default()
}

pub(super) fn fingerprint(items: &[Item], key: &FingerprintKey) -> Fingerprint {
    let mut sum = key.start();
    for item in items {
        let kind = item.kind.word();
        sum.add(format!("{kind}\0{}\0{}", item.name, item.create).as_bytes());
    }
    sum.finish()
}
