//! What changed between two backups: by fingerprints, rows and bytes, which manifests hold, and by the schema, which takes an
//! operator's identity.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::capture::{PartInfo, PartSource as _};
use crate::error::Result;
use crate::identity::Store;
use crate::providers::{neo4j, postgres};
use crate::repository::{Backup, BackupId, BackupParts, Contents, StoreContents};
use crate::time::Instant;

/// Two backups side by side.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The one that is compared with.
    pub from: Side,
    /// The other.
    pub to: Side,
    /// Whether fingerprints tell what changed: both backups are of one epoch of keys.
    pub by_fingerprint: bool,
    /// Each store that either of them holds.
    pub stores: Vec<StoreComparison>,
    /// What could not be compared, and why.
    pub not_compared: Vec<String>,
}

/// One of the two.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Side {
    /// The backup.
    pub backup: BackupId,
    /// The start of the window in which it was read.
    pub of: Option<Instant>,
    /// The context that was backed up.
    pub context: String,
}

/// One store in both.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StoreComparison {
    /// Which.
    pub store: Store,
    /// Its version in the first; absent if that does not hold the store.
    pub from_version: Option<String>,
    /// Its version in the second.
    pub to_version: Option<String>,
    /// Whether both are of the same server and database.
    pub same_identity: bool,
    /// Plain bytes of the second that the first does not hold; absent between epochs, whose segments have other names.
    pub new_bytes: Option<u64>,
    /// How many parts have equal contents.
    pub same: usize,
    /// The parts that differ, in name order.
    pub parts: Vec<PartComparison>,
    /// Objects of the schema that differ: `added table public.t`. Empty where the schema is the same, or was not read.
    pub schema: Vec<String>,
}

/// How a part differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, with other contents.
    Changed,
}

/// A part that differs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PartComparison {
    /// Its name.
    pub name: String,
    /// How.
    pub change: Change,
    /// Rows in the first.
    pub from_rows: Option<u64>,
    /// Rows in the second.
    pub to_rows: Option<u64>,
    /// Plain bytes in the first.
    pub from_bytes: Option<u64>,
    /// Plain bytes in the second.
    pub to_bytes: Option<u64>,
    /// Of nodes by label and relationships by type, those whose number differs; empty where a backup does not say them.
    pub counts: Vec<CountComparison>,
}

/// How many there are of something in each of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CountComparison {
    /// The label or the type.
    pub name: String,
    /// How many in the first.
    pub from: u64,
    /// How many in the second.
    pub to: u64,
}

impl Comparison {
    /// Whether no difference was found.
    pub fn is_same(&self) -> bool {
        self.stores.iter().all(|s| {
            s.from_version.is_some()
                && s.to_version.is_some()
                && s.parts.is_empty()
                && s.schema.is_empty()
        })
    }

    /// Compares what two manifests say. Both must be readable by a holder of the secret.
    pub fn of(from: &Backup, to: &Backup) -> Option<Comparison> {
        let (one, other) = (from.contents.as_ref()?, to.contents.as_ref()?);
        let epoch = |backup: &Backup| backup.signed.as_ref().map(|s| s.epoch);
        let by_fingerprint = epoch(from) == epoch(to);
        let mut not_compared = Vec::new();
        if !by_fingerprint {
            not_compared.push(
                "contents of parts of equal size: the backups are of different epochs, whose fingerprints differ"
                    .to_owned(),
            );
        }
        let named = |contents: &Contents| {
            let parts = contents.stores.iter().flat_map(|s| &s.captured.parts);
            roles(parts.map(|p| p.name.clone()))
        };
        if named(one).intersection(&named(other)).next().is_some() {
            not_compared.push(ROLES.to_owned());
        }
        let parts = |contents: &Contents| -> Vec<PartInfo> {
            let parts = contents.stores.iter().flat_map(|s| &s.captured.parts);
            parts.cloned().collect()
        };
        if !of_other_forms(&parts(one), &parts(other)).is_empty() {
            not_compared.push(FORMS.to_owned());
        }
        let stores = Store::ALL.into_iter().filter_map(|store| {
            let find = |c: &'_ Contents| -> Option<StoreContents> {
                let of = c.stores.iter().find(|s| s.captured.store == store);
                of.cloned()
            };
            match (find(one), find(other)) {
                (None, None) => None,
                (a, b) => Some(compare(store, a.as_ref(), b.as_ref(), by_fingerprint)),
            }
        });
        Some(Comparison {
            from: side(from, one),
            to: side(to, other),
            by_fingerprint,
            stores: stores.collect(),
            not_compared,
        })
    }

    /// Adds what changed in the schema, from the catalogues that both backups hold.
    pub async fn read_schema(&mut self, from: &BackupParts, to: &BackupParts) -> Result<()> {
        let reformed = of_other_forms(&from.parts("postgres/"), &to.parts("postgres/"));
        for store in &mut self.stores {
            for (a, b) in reformed.iter().filter(|_| store.store == Store::Postgres) {
                let (old, new) = listings(from, to, &a.name).await?;
                if old == new {
                    store.same += 1;
                } else {
                    store.parts.push(changed(a, b));
                    store.parts.sort_by(|a, b| a.name.cmp(&b.name));
                }
            }
            let catalogues = store
                .parts
                .iter()
                .filter(|part| part.change == Change::Changed && part.name.ends_with("/catalogue"));
            for part in catalogues {
                let (old, new) = listings(from, to, &part.name).await?;
                let differences = postgres::catalogue_differences(&old, &new);
                let lines = differences.iter().map(|line| word(line));
                store.schema.extend(outermost(lines));
            }
            let graphs = store.parts.iter().filter(|part| is_graph_schema(part));
            for name in graphs.map(|part| &part.name) {
                let (old, new) = (whole(from, name).await?, whole(to, name).await?);
                if let (Some((a, old)), Some((b, new))) = (old, new) {
                    store
                        .schema
                        .extend(neo4j::schema_differences((&a, &old), (&b, &new))?);
                }
            }
            // Roles have no fingerprint: what they are is not a database's own.
            for name in role_parts(from).intersection(&role_parts(to)) {
                if name.starts_with(&format!("{}/", store.store)) {
                    let (old, new) = (lines(from, name).await?, lines(to, name).await?);
                    let differences = postgres::catalogue_differences(&old, &new);
                    store
                        .schema
                        .extend(differences.iter().map(|line| word(line)));
                }
            }
        }
        self.not_compared
            .retain(|line| line != ROLES && line != FORMS);
        if !reformed.is_empty() {
            self.not_compared.push(ONLY_NEWER.to_owned());
        }
        Ok(())
    }

    /// Whether there is something that only [`Comparison::read_schema`] can tell.
    pub fn schema_may_differ(&self) -> bool {
        let mut parts = self.stores.iter().flat_map(|s| &s.parts);
        let mut open = self.not_compared.iter();
        open.any(|line| line == ROLES || line == FORMS)
            || parts.any(|p| {
                p.change == Change::Changed && p.name.ends_with("/catalogue") || is_graph_schema(p)
            })
    }
}

/// The words of a comparison with the first, which is not what anything ought to be.
fn word(line: &str) -> String {
    for (expected, plain) in [("missing ", "removed "), ("unexpected ", "added ")] {
        if let Some(name) = line.strip_prefix(expected) {
            return format!("{plain}{name}");
        }
    }
    line.to_owned()
}

/// Without what hangs on a table that is added or removed whole.
fn outermost(lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.collect();
    let whole: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let (change, object) = line.split_once(' ')?;
            let table = object.strip_prefix("table ")?;
            (change != "changed").then(|| format!(" {table}."))
        })
        .collect();
    let hangs = |line: &String| whole.iter().any(|table| line.contains(table.as_str()));
    lines.iter().filter(|line| !hangs(line)).cloned().collect()
}

/// Whether it is the schema of a graph that both have.
fn is_graph_schema(part: &PartComparison) -> bool {
    part.change == Change::Changed
        && part.name.starts_with("neo4j/")
        && part.name.ends_with("/schema")
}

/// A part with its description, if the backup has it.
async fn whole(source: &BackupParts, name: &str) -> Result<Option<(PartInfo, Vec<u8>)>> {
    let Some(info) = source.parts(name).into_iter().find(|p| p.name == name) else {
        return Ok(None);
    };
    let bytes = source.open(name).await?.read_all().await?;
    Ok(Some((info, bytes.to_vec())))
}

async fn lines(source: &BackupParts, name: &str) -> Result<Vec<String>> {
    let text = source.open(name).await?.read_all().await?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::to_owned).collect())
}

/// What only an operator's identity can tell.
const ROLES: &str = "what roles may do, which has no fingerprint";
const FORMS: &str =
    "the schema, which was listed by different versions of summitctl for the two backups";
/// What nobody can tell.
const ONLY_NEWER: &str = "kinds of objects that the listing of only one of the two backups knows: it was made by a newer version of summitctl";

/// Listings of the same that do not say the same kinds of things.
fn of_other_forms(one: &[PartInfo], other: &[PartInfo]) -> Vec<(PartInfo, PartInfo)> {
    let pairs = one.iter().filter_map(|a| {
        let b = other.iter().find(|b| b.name == a.name)?;
        is_of_other_form(a, b).then(|| (a.clone(), b.clone()))
    });
    pairs.collect()
}

fn is_of_other_form(a: &PartInfo, b: &PartInfo) -> bool {
    a.format != b.format && [a, b].iter().all(|p| postgres::is_catalogue(&p.format))
}

/// The lines of both backups' listing, as far as both would have them.
async fn listings(
    from: &BackupParts,
    to: &BackupParts,
    name: &str,
) -> Result<(Vec<String>, Vec<String>)> {
    let format = |source: &BackupParts| {
        let part = source.parts(name).into_iter().find(|p| p.name == name);
        part.map(|p| p.format).unwrap_or_default()
    };
    let (old, new) = (lines(from, name).await?, lines(to, name).await?);
    Ok((
        postgres::catalogue_as(old, &format(to)),
        postgres::catalogue_as(new, &format(from)),
    ))
}

fn changed(a: &PartInfo, b: &PartInfo) -> PartComparison {
    let rows = |part: &PartInfo| part.fingerprint.map(|f| f.rows);
    PartComparison {
        name: a.name.clone(),
        change: Change::Changed,
        from_rows: rows(a),
        to_rows: rows(b),
        from_bytes: Some(a.bytes),
        to_bytes: Some(b.bytes),
        counts: counts(Some(a), Some(b)),
    }
}

/// The parts that describe roles.
fn roles(parts: impl Iterator<Item = String>) -> BTreeSet<String> {
    parts.filter(|name| name.ends_with("/roles")).collect()
}

fn role_parts(source: &BackupParts) -> BTreeSet<String> {
    roles(source.parts("postgres/").into_iter().map(|p| p.name))
}

fn side(backup: &Backup, contents: &Contents) -> Side {
    Side {
        backup: backup.id.clone(),
        of: contents.window().map(|(from, _)| from),
        context: contents.context.clone(),
    }
}

fn compare(
    store: Store,
    from: Option<&StoreContents>,
    to: Option<&StoreContents>,
    by_fingerprint: bool,
) -> StoreComparison {
    let parts = |side: Option<&StoreContents>| -> BTreeMap<String, PartInfo> {
        let parts = side.into_iter().flat_map(|s| &s.captured.parts);
        parts.map(|p| (p.name.clone(), p.clone())).collect()
    };
    let (old, new) = (parts(from), parts(to));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut same = 0;
    let mut differing = Vec::new();
    for name in names {
        let (a, b) = (old.get(name), new.get(name));
        let change = match (a, b) {
            (Some(a), Some(b)) => match is_same(a, b, by_fingerprint) {
                Some(true) => {
                    same += 1;
                    continue;
                }
                Some(false) => Change::Changed,
                None => continue,
            },
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
        };
        let rows = |part: Option<&PartInfo>| part.and_then(|p| Some(p.fingerprint?.rows));
        differing.push(PartComparison {
            name: name.clone(),
            change,
            from_rows: rows(a),
            to_rows: rows(b),
            from_bytes: a.map(|p| p.bytes),
            to_bytes: b.map(|p| p.bytes),
            counts: counts(a, b),
        });
    }
    let version = |side: Option<&StoreContents>| side.map(|s| s.captured.server_version.clone());
    StoreComparison {
        store,
        from_version: version(from),
        to_version: version(to),
        same_identity: match (from, to) {
            (Some(a), Some(b)) => a.captured.identity.short() == b.captured.identity.short(),
            _ => false,
        },
        new_bytes: by_fingerprint.then(|| new_bytes(from, to)),
        same,
        parts: differing,
        schema: Vec::new(),
    }
}

/// Whether two parts hold the same; `None` for what has no fingerprint, such as a schema's archive, which names its own time.
fn is_same(a: &PartInfo, b: &PartInfo, by_fingerprint: bool) -> Option<bool> {
    let (one, other) = (a.fingerprint?, b.fingerprint?);
    if is_of_other_form(a, b) {
        return None;
    }
    if by_fingerprint && a.format == b.format {
        return Some(one == other);
    }
    // Without fingerprints only a difference can be told.
    (one.rows != other.rows || a.format == b.format && a.bytes != b.bytes).then_some(false)
}

/// Labels or types of which there are more or fewer, where both parts say how many there are.
fn counts(a: Option<&PartInfo>, b: Option<&PartInfo>) -> Vec<CountComparison> {
    let of = |part: Option<&PartInfo>, key: &str| -> Option<BTreeMap<String, u64>> {
        serde_json::from_value(part?.meta.get(key)?.clone()).ok()
    };
    let both = |key: &&str| Some((of(a, key)?, of(b, key)?));
    let mut differing = Vec::new();
    for (old, new) in neo4j::COUNTED.iter().filter_map(both) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        differing.extend(names.into_iter().filter_map(|name| {
            let count = |of: &BTreeMap<String, u64>| of.get(name).copied().unwrap_or(0);
            let (from, to) = (count(&old), count(&new));
            let name = name.clone();
            (from != to).then_some(CountComparison { name, from, to })
        }));
    }
    differing
}

/// Plain bytes of segments that only the second has. A segment is counted once.
fn new_bytes(from: Option<&StoreContents>, to: Option<&StoreContents>) -> u64 {
    let pieces = |side: Option<&StoreContents>| {
        let all = side.into_iter().flat_map(|s| s.segments.values().flatten());
        all.map(|piece| (piece.id, piece.bytes))
            .collect::<BTreeMap<_, _>>()
    };
    let old = pieces(from);
    let new = pieces(to)
        .into_iter()
        .filter(|(id, _)| !old.contains_key(id));
    new.map(|(_, bytes)| bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Fingerprint;

    fn part(name: &str, rows: u64, sum: u128, bytes: u64) -> PartInfo {
        PartInfo {
            name: name.to_owned(),
            format: "rows".to_owned(),
            bytes,
            fingerprint: Some(Fingerprint { rows, sum }),
            meta: BTreeMap::new(),
        }
    }

    #[test]
    fn without_common_keys_only_differences_are_told() {
        let a = part("t", 1, 5, 10);
        assert_eq!(is_same(&a, &part("t", 1, 5, 10), true), Some(true));
        assert_eq!(is_same(&a, &part("t", 1, 6, 10), true), Some(false));
        assert_eq!(is_same(&a, &part("t", 1, 6, 10), false), None);
        assert_eq!(is_same(&a, &part("t", 2, 5, 10), false), Some(false));
        assert_eq!(is_same(&a, &part("t", 1, 5, 11), false), Some(false));
        let listing = |format: &str| PartInfo {
            format: format.to_owned(),
            ..part("catalogue", 3, 5, 10)
        };
        let (older, newer) = (
            listing("pg-catalogue-jsonl"),
            listing("pg-catalogue-jsonl-2"),
        );
        assert_eq!(is_same(&older, &newer, true), None);
        assert_eq!(
            of_other_forms(std::slice::from_ref(&older), &[newer]).len(),
            1
        );
        assert!(
            of_other_forms(std::slice::from_ref(&older), std::slice::from_ref(&older)).is_empty()
        );
        let mut archive = part("schema", 0, 0, 10);
        archive.fingerprint = None;
        assert_eq!(is_same(&archive, &archive, true), None);
    }

    #[test]
    fn what_hangs_on_a_new_table_is_not_told_beside_it() {
        let all = [
            "added column public.t.a",
            "added column public.other.b",
            "added index public.t.t_pkey",
            "added table public.t",
            "changed table public.other",
        ];
        let told = outermost(all.iter().map(|line| (*line).to_owned()));
        assert_eq!(told, [all[1], all[3], all[4]]);
    }

    #[test]
    fn differences_are_told_from_the_first_to_the_second() {
        assert_eq!(word("missing table a"), "removed table a");
        assert_eq!(word("unexpected index b"), "added index b");
        assert_eq!(word("changed view c"), "changed view c");
    }
}
