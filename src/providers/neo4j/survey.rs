//! Which nodes, relationships, constraints and indexes differ between a backup and a server, and in what: the second look, once the sums have
//! shown that something does. Entities are compared by hashes, a part of them at a time, so that memory stays bounded; what differs
//! is named by labels, types and properties, and no value is shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::bolt::packstream::Value;
use super::bolt::raw::Raw;
use super::bolt::{Begin, Connection};
use super::idmap::{IdMap, Inverse};
use super::rows::{self, Frames, Node, Relationship};
use super::scan::{self, What};
use super::target::Target;
use super::verify::{PartKind, Seen, Sight, part_kind};
use super::{schema, server};
use crate::capture::PartSource;
use crate::error::Result;
use crate::wait::Deadline;

/// Entities compared in one pass: about 64 MiB of hashes.
const AT_ONCE: u64 = 1_000_000;

/// Differences named of each kind.
const NAMED: usize = 5;

/// Relationships of one type between the same two nodes that are kept to be told apart.
const TWINS: usize = 8;

/// Compares a server with a backup, and names what differs: the first of each kind, and how many there are. `id_map` and `jobs` are as
/// for [`super::fingerprints`].
pub async fn survey(
    target: &Target,
    source: &dyn PartSource,
    id_map: Option<&IdMap>,
    jobs: usize,
) -> Result<Vec<String>> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let begin = Begin::read("survey").unlimited();
    let here = schema::read(&mut connection, &begin).await?.items;
    let markers = server::marker_ids(&mut connection).await?;
    connection.close().await;
    let look = Look {
        target,
        source,
        begin,
        jobs,
        inverse: Arc::new(id_map.map(IdMap::inverse)),
        markers: Arc::new(markers),
    };
    let mut lines = look.entities(What::Nodes, PartKind::Nodes).await?;
    let relationships = look.entities(What::Relationships, PartKind::Relationships);
    lines.extend(relationships.await?);
    let there = look.items().await?;
    let changes = schema::changes(there, here);
    lines.extend(changes.into_iter().map(|(name, change)| {
        let what = match change {
            schema::Change::Added => "is on the server and not in the backup",
            schema::Change::Removed => "is in the backup and not on the server",
            schema::Change::Changed => "is made by another statement",
        };
        format!("{name} {what}")
    }));
    Ok(lines)
}

struct Look<'a> {
    target: &'a Target,
    source: &'a dyn PartSource,
    begin: Begin,
    jobs: usize,
    inverse: Arc<Option<Inverse>>,
    markers: Arc<Vec<i64>>,
}

/// What there is of one node, or of the relationships of one type between two nodes: in the backup less on the server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Balance {
    count: i64,
    sum: u128,
}

impl Balance {
    fn add(&mut self, row: u128, here: bool) {
        let (count, row) = match here {
            false => (1, row),
            true => (-1, row.wrapping_neg()),
        };
        self.count += count;
        self.sum = self.sum.wrapping_add(row);
    }
}

/// The rows of one of those that differ, on both sides.
#[derive(Default)]
struct Rows {
    there: Vec<Vec<u8>>,
    here: Vec<Vec<u8>>,
}

impl Look<'_> {
    async fn entities(&self, what: What, kind: PartKind) -> Result<Vec<String>> {
        let parts = self.source.parts("neo4j/");
        let Some(info) = parts
            .into_iter()
            .find(|part| part_kind(&part.name).is_some_and(|(k, _)| k == kind))
        else {
            return Ok(Vec::new());
        };
        let held = info.fingerprint.map_or(0, |f| f.rows);
        let passes = held.div_ceil(AT_ONCE).max(1);
        let mut counts = [0_u64; 3];
        let mut wanted: [Vec<u128>; 3] = Default::default();
        for pass in 0..passes {
            let mut balances: HashMap<u128, Balance> = HashMap::new();
            self.backup(&info, what, |key, row| {
                if u64::try_from(key % u128::from(passes)) == Ok(pass) {
                    balances.entry(key).or_default().add(hash(row), false);
                }
            })
            .await?;
            let live = self.live(what, || Hashes {
                what,
                pass,
                passes,
                seen: Vec::new(),
            });
            for (key, row) in live.await?.into_iter().flat_map(|h| h.seen) {
                balances.entry(key).or_default().add(row, true);
            }
            balances.retain(|_, balance| *balance != Balance::default());
            let mut differing: Vec<(u128, Balance)> = balances.into_iter().collect();
            differing.sort_unstable_by_key(|(key, _)| *key);
            for (key, balance) in differing {
                let kind = match balance.count {
                    0 => 0,
                    1.. => 1,
                    _ => 2,
                };
                counts[kind] += balance.count.unsigned_abs().max(1);
                if wanted[kind].len() < NAMED {
                    wanted[kind].push(key);
                }
            }
        }
        if counts == [0; 3] {
            return Ok(Vec::new());
        }
        let named = self.rows(&info, what, wanted.concat()).await?;
        let mut lines = Vec::new();
        for (kind, keys) in wanted.iter().enumerate() {
            let told = keys.iter().filter_map(|key| named.get(key));
            lines.extend(told.map(|rows| sentence(what, rows)));
            let more = counts[kind].saturating_sub(keys.len() as u64);
            if more > 0 {
                let of = match what {
                    What::Nodes => "nodes",
                    What::Relationships => "relationships",
                };
                let how = ["differ", "are missing", "are too many"][kind];
                lines.push(format!("{more} more {of} {how}"));
            }
        }
        Ok(lines)
    }

    /// Every row of the part, with what it is known by.
    async fn backup(
        &self,
        info: &crate::capture::PartInfo,
        what: What,
        mut see: impl FnMut(u128, &[u8]),
    ) -> Result<()> {
        let mut reader = self.source.open(&info.name).await?;
        let mut frames = Frames::new(info, reader.as_mut())?;
        while let Some((bytes, _)) = frames.next().await? {
            match what {
                What::Nodes => see(known_by(what, bytes)?, bytes),
                What::Relationships => {
                    let row = rows::without_id(bytes);
                    see(known_by(what, &row)?, &row);
                }
            }
        }
        Ok(())
    }

    async fn live<S: Sight>(&self, what: What, make: impl Fn() -> S) -> Result<Vec<S>> {
        let worker = || Seen::new(what, &self.inverse, &self.markers, make());
        let done = scan::read(self.target, &self.begin, what, self.jobs, worker, None).await?;
        Ok(done.workers.into_iter().map(|seen| seen.sight).collect())
    }

    /// The rows of these, on both sides.
    async fn rows(
        &self,
        info: &crate::capture::PartInfo,
        what: What,
        wanted: Vec<u128>,
    ) -> Result<HashMap<u128, Rows>> {
        let mut found: HashMap<u128, Rows> = HashMap::new();
        self.backup(info, what, |key, row| {
            if wanted.contains(&key) {
                keep(&mut found.entry(key).or_default().there, row);
            }
        })
        .await?;
        let wanted = Arc::new(wanted);
        let live = self.live(what, || Picked {
            what,
            wanted: Arc::clone(&wanted),
            seen: Vec::new(),
        });
        for (key, row) in live.await?.into_iter().flat_map(|p| p.seen) {
            keep(&mut found.entry(key).or_default().here, &row);
        }
        Ok(found)
    }

    async fn items(&self) -> Result<Vec<schema::Item>> {
        let mut items = Vec::new();
        for info in self.source.parts("neo4j/") {
            if part_kind(&info.name).is_some_and(|(kind, _)| kind == PartKind::Schema) {
                let bytes = self.source.open(&info.name).await?.read_all().await?;
                items.extend(schema::parse(&info, &bytes)?);
            }
        }
        Ok(items)
    }
}

fn keep(rows: &mut Vec<Vec<u8>>, row: &[u8]) {
    if rows.len() < TWINS {
        rows.push(row.to_vec());
    }
}

/// The hashes that one connection of a pass saw.
struct Hashes {
    what: What,
    pass: u64,
    passes: u64,
    seen: Vec<(u128, u128)>,
}

impl Sight for Hashes {
    fn row(&mut self, row: &[u8]) -> Result<()> {
        let key = known_by(self.what, row)?;
        if u64::try_from(key % u128::from(self.passes)) == Ok(self.pass) {
            self.seen.push((key, hash(row)));
        }
        Ok(())
    }
}

/// The wanted rows that one connection saw.
struct Picked {
    what: What,
    wanted: Arc<Vec<u128>>,
    seen: Vec<(u128, Vec<u8>)>,
}

impl Sight for Picked {
    fn row(&mut self, row: &[u8]) -> Result<()> {
        let key = known_by(self.what, row)?;
        if self.wanted.contains(&key) {
            self.seen.push((key, row.to_vec()));
        }
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

/// What a row is known by: a node by the source's id, a relationship by its type and ends.
fn known_by(what: What, row: &[u8]) -> Result<u128> {
    let mut raw = Raw::new(row);
    let mut read = || {
        raw.list()?;
        let kind = match what {
            What::Nodes => "",
            What::Relationships => raw.str()?,
        };
        let mut bytes = raw.int()?.to_le_bytes().to_vec();
        if what == What::Relationships {
            bytes.extend(raw.int()?.to_le_bytes());
            bytes.extend(kind.as_bytes());
        }
        Ok(hash(&bytes))
    };
    read().map_err(|e: super::bolt::packstream::Malformed| rows::unexpected_record().caused_by(e))
}

/// What is wrong with one of them.
fn sentence(what: What, rows: &Rows) -> String {
    let lone = |row: &[Vec<u8>], other: &[Vec<u8>]| -> Vec<Value> {
        let odd = row.iter().filter(|row| !other.contains(row));
        odd.filter_map(|row| Value::decode(row).ok()).collect()
    };
    let there = lone(&rows.there, &rows.here);
    let here = lone(&rows.here, &rows.there);
    let Some(first) = there.first().or(here.first()) else {
        return format!(
            "more than {TWINS} relationships of one type between the same two nodes differ"
        );
    };
    let name = name(what, first);
    match (&there[..], &here[..]) {
        ([one], [other]) => format!("{name}: {}", difference(one, other)),
        (_, []) => format!("{name} is in the backup and not on the server"),
        ([], _) => format!("{name} is on the server and not in the backup"),
        _ => format!("{name}: {} like it differ", there.len().max(here.len())),
    }
}

/// `node 17 (:Person)`, `relationship KNOWS from node 3 to node 9`; ids are the source's.
fn name(what: What, row: &Value) -> String {
    let Value::List(values) = row.clone() else {
        return String::new();
    };
    let id = |id: i64| match id {
        0.. => format!("node {id}"),
        // The server's own number, for what the restore did not make.
        _ => format!("a node of the server's ({})", -1 - id),
    };
    match what {
        What::Nodes => Node::of(values).map_or_else(String::new, |node| {
            let labels: Vec<&str> = node.labels.iter().filter_map(Value::as_str).collect();
            match &labels[..] {
                [] => format!("{} without labels", id(node.id)),
                labels => format!("{} (:{})", id(node.id), labels.join(":").escape_debug()),
            }
        }),
        What::Relationships => {
            let mut values = values;
            // A row lacks the relationship's own id.
            values.insert(0, Value::Int(0));
            Relationship::of(values).map_or_else(String::new, |r| {
                let kind = r.kind.escape_debug();
                format!("relationship {kind} from {} to {}", id(r.start), id(r.end))
            })
        }
    }
}

/// In what two rows differ, without their values.
fn difference(there: &Value, here: &Value) -> String {
    let parts = |row: &Value| -> (BTreeSet<String>, BTreeMap<String, Value>) {
        let Value::List(values) = row else {
            return Default::default();
        };
        let labels = values.iter().find_map(|value| match value {
            Value::List(labels) => Some(
                labels
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            ),
            _ => None,
        });
        let properties = match values.last() {
            Some(Value::Map(map)) => map.iter().cloned().collect(),
            _ => BTreeMap::new(),
        };
        (labels.unwrap_or_default(), properties)
    };
    let ((labels, old), (labels_here, new)) = (parts(there), parts(here));
    let mut found = Vec::new();
    for (label, what) in (labels.difference(&labels_here).map(|l| (l, "lacks")))
        .chain(labels_here.difference(&labels).map(|l| (l, "has also")))
    {
        found.push(format!("it {what} the label `{}`", label.escape_debug()));
    }
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let shown = key.escape_debug();
        match (old.get(key), new.get(key)) {
            (Some(_), None) => found.push(format!("it lacks the property `{shown}`")),
            (None, Some(_)) => found.push(format!("it has also the property `{shown}`")),
            (Some(a), Some(b)) if !same(a, b) => {
                found.push(format!("its property `{shown}` differs"))
            }
            _ => {}
        }
    }
    found.truncate(NAMED);
    match found.is_empty() {
        true => "its values differ".to_owned(),
        false => found.join(", "),
    }
}

/// Equal in every bit: of floats, too.
fn same(a: &Value, b: &Value) -> bool {
    let encoded = |value: &Value| {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    };
    encoded(a) == encoded(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }

    fn node(id: i64, labels: &[&str], properties: &[(&str, Value)]) -> Vec<u8> {
        let labels = labels.iter().map(|l| Value::String((*l).to_owned()));
        let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
        row(Value::List(vec![
            Value::Int(id),
            Value::List(labels.collect()),
            Value::Map(properties.collect()),
        ]))
    }

    fn told(what: What, there: &[Vec<u8>], here: &[Vec<u8>]) -> String {
        sentence(
            what,
            &Rows {
                there: there.to_vec(),
                here: here.to_vec(),
            },
        )
    }

    #[test]
    fn nodes_are_named_by_what_differs_and_never_by_values() {
        let zero = node(
            17,
            &["A", "B"],
            &[("p", Value::Float(0.0)), ("secret", Value::Int(5))],
        );
        let minus = node(
            17,
            &["A"],
            &[("p", Value::Float(-0.0)), ("q", Value::Int(5))],
        );
        assert_eq!(
            told(
                What::Nodes,
                std::slice::from_ref(&zero),
                std::slice::from_ref(&minus)
            ),
            "node 17 (:A:B): it lacks the label `B`, its property `p` differs, it has also the property `q`, \
             it lacks the property `secret`"
        );
        assert_eq!(
            told(What::Nodes, &[zero], &[]),
            "node 17 (:A:B) is in the backup and not on the server"
        );
        assert_eq!(
            told(What::Nodes, &[], &[node(-4, &[], &[])]),
            "a node of the server's (3) without labels is on the server and not in the backup"
        );
    }

    #[test]
    fn equal_twins_do_not_hide_the_one_that_differs() {
        let between = |since: i64| {
            row(Value::List(vec![
                "KNOWS".into(),
                Value::Int(3),
                Value::Int(9),
                Value::map([("since", Value::Int(since))]),
            ]))
        };
        assert_eq!(
            told(
                What::Relationships,
                &[between(1), between(2)],
                &[between(3), between(1)]
            ),
            "relationship KNOWS from node 3 to node 9: its property `since` differs"
        );
        assert_eq!(
            known_by(What::Relationships, &between(1)).ok(),
            known_by(What::Relationships, &between(2)).ok()
        );
        let mut balance = Balance::default();
        balance.add(hash(&between(1)), false);
        balance.add(hash(&between(2)), true);
        assert_ne!(balance, Balance::default());
        balance.add(hash(&between(2)), false);
        balance.add(hash(&between(1)), true);
        assert_eq!(balance, Balance::default());
    }
}
