//! Which keys differ between a backup and a server, and in what: the second look, once the sums have shown that something
//! does. Keys are compared by their hashes, a part of them at a time, so that memory stays bounded; values are named by
//! field, member, position or entry, and never shown.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;

use crate::capture::{FingerprintKey, PartSource};
use crate::error::Result;
use crate::time::Instant;

use super::capture::{CaptureOptions, database_of, libraries, unknown_format};
use super::gather::{Collector, gather, server_time, zero};
use super::rdb::{Entry, Piece, Value, library_name};
use super::record::{self, FORMAT, FUNCTIONS_FORMAT, Records};
use super::restore::Replace;
use super::target::Target;
use super::whole::{Assembly, Rows};

/// Keys compared in one pass: about 64 MiB of hashes.
const AT_ONCE: u64 = 1_000_000;

/// Differences named of each kind.
const NAMED: usize = 5;

/// Keys that expire within this time are left out: they may be gone on one side and not on the other.
const MARGIN_MILLIS: u64 = 600_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Keys of the backup that the server lacks.
    pub missing: u64,
    /// Keys with another value or expiry.
    pub changed: u64,
    /// Keys of the server that the backup lacks.
    pub extra: u64,
    /// Function libraries of the backup that the server lacks.
    pub missing_libraries: u64,
    /// Function libraries with other code.
    pub changed_libraries: u64,
    /// The first of each kind, one line each.
    pub lines: Vec<String>,
}

impl Surveyed {
    /// What the server lacks of the backup after a restore of this kind; so many keys may have another form, because the
    /// server was to keep its own.
    pub fn lacks(&self, replace: Replace, kept: u64) -> Vec<String> {
        // A library is kept under its name, whatever is in it.
        let libraries = match replace {
            Replace::Keep => 0,
            _ => self.changed_libraries,
        };
        let keys = self.missing + self.changed.saturating_sub(kept);
        let wrong = keys + self.missing_libraries + libraries;
        if wrong > 0 && self.lines.is_empty() {
            return vec![format!("{wrong} keys or function libraries differ")];
        }
        match wrong {
            0 => Vec::new(),
            _ => self.lines.clone(),
        }
    }
}

/// Compares a server with a backup, key by key.
pub async fn survey(
    target: &Target,
    source: &dyn PartSource,
    options: &CaptureOptions,
) -> Result<Surveyed> {
    let parts = source.parts("redis/");
    let keys: u64 = parts
        .iter()
        .filter_map(|part| part.meta.get("keys")?.as_u64())
        .sum();
    let passes = keys.div_ceil(AT_ONCE).max(1);
    let wanted = libraries_of(source).await?;
    let mut found = Found::default();
    for pass in 0..passes {
        let eye = Eye {
            key: options.key.clone(),
            horizon: millis(target).await? + MARGIN_MILLIS,
            pass,
            passes,
        };
        let (mut backup, mut open) = (HashMap::new(), None);
        each(source, options, &mut |database, entry, rows| {
            if let Some((name, sum)) = eye.digest(&mut open, database, &entry.key, rows) {
                backup.insert(name, sum);
            }
        })
        .await?;
        let (mut changed, mut seen, mut open) = (HashMap::new(), Vec::new(), None);
        {
            let mut watch = |database: u32, entry: &Entry, rows: &Rows| {
                let Some((name, sum)) = eye.digest(&mut open, database, &entry.key, rows) else {
                    return;
                };
                match backup.remove(&name) {
                    Some(wanted) if wanted == sum => {}
                    Some(wanted) => {
                        changed.insert(name, wanted);
                        if seen.len() < NAMED {
                            seen.push((name, entry.clone()));
                        }
                    }
                    None => {
                        found.surveyed.extra += 1;
                        if found.extra.len() < NAMED {
                            found.extra.push((database, entry.key.clone()));
                        }
                    }
                }
            };
            let mut collector = Collector::new(options, None).watched(&mut watch);
            let gathered = gather(target, options, &mut collector).await?;
            if pass == 0 {
                let here = std::mem::take(&mut collector.libraries);
                found.libraries(&wanted, &here, gathered.no_functions.as_deref());
            }
        }
        // What expired while all this was read says nothing.
        let now = millis(target).await?;
        backup.retain(|_, sum: &mut Sum| sum.lasts(now));
        changed.retain(|_, sum: &mut Sum| sum.lasts(now));
        seen.retain(|(name, _)| changed.contains_key(name));
        found.surveyed.changed += changed.len() as u64;
        found.surveyed.missing += backup.len() as u64;
        if seen.is_empty() && backup.is_empty() {
            continue;
        }
        let mut live: HashMap<u128, Entry> = seen.into_iter().collect();
        let mut open = None;
        each(source, options, &mut |database, entry, rows| {
            let Some((name, _)) = eye.digest(&mut open, database, &entry.key, rows) else {
                return;
            };
            if let Some(live) = live.remove(&name) {
                found.change(database, entry, &live);
            } else if backup.contains_key(&name) && found.missing.len() < NAMED {
                found.missing.push((database, entry.key.clone()));
            }
        })
        .await?;
    }
    Ok(found.finish())
}

/// The server's clock, in milliseconds since the epoch.
async fn millis(target: &Target) -> Result<u64> {
    let now = server_time(&mut zero(target).await?).await?;
    Ok(u64::try_from(now.millis()).unwrap_or(0))
}

/// The function libraries of a backup.
async fn libraries_of(source: &dyn PartSource) -> Result<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    for info in source.parts("redis/") {
        if info.format == FUNCTIONS_FORMAT {
            let bytes = source.open(&info.name).await?.read_all().await?;
            out.extend(libraries(&info, &bytes)?);
        }
    }
    Ok(out)
}

#[derive(Default)]
struct Found {
    surveyed: Surveyed,
    missing: Vec<(u32, Vec<u8>)>,
    changed: Vec<String>,
    extra: Vec<(u32, Vec<u8>)>,
}

impl Found {
    fn change(&mut self, database: u32, backup: &Entry, live: &Entry) {
        if self.changed.len() >= NAMED {
            return;
        }
        // Of what came in pieces, the last is at hand.
        let whole = backup.piece == Piece::Whole && live.piece == Piece::Whole;
        let values = (
            record::value(database, backup),
            record::value(database, live),
        );
        let what = match values {
            (Ok(there), Ok(here)) if whole => {
                difference(&there, &here).or_else(|| expiry(backup.expiry, live.expiry))
            }
            _ => expiry(backup.expiry, live.expiry),
        };
        let what = what.unwrap_or_else(|| "its value differs".to_owned());
        self.changed.push(format!(
            "key `{}` in database {database}: {what}",
            backup.key.escape_ascii()
        ));
    }

    /// Compares function libraries, which go by their names.
    fn libraries(&mut self, there: &[Vec<u8>], here: &[Vec<u8>], unread: Option<&str>) {
        let names: BTreeSet<String> = here.iter().map(|code| library_name(code)).collect();
        for code in there.iter().filter(|code| !here.contains(code)) {
            let name = library_name(code);
            let what = match (unread, names.contains(&name)) {
                (Some(why), _) => format!("cannot be looked for: {why}"),
                (None, true) => "has other code here".to_owned(),
                (None, false) => "is in the backup and not on the server".to_owned(),
            };
            match names.contains(&name) {
                true => self.surveyed.changed_libraries += 1,
                false => self.surveyed.missing_libraries += 1,
            }
            let line = format!("function library `{name}` {what}");
            self.surveyed.lines.push(line);
        }
    }

    fn finish(self) -> Surveyed {
        let mut surveyed = self.surveyed;
        let named = |(database, key): &(u32, Vec<u8>), what: &str| {
            format!("key `{}` in database {database} {what}", key.escape_ascii())
        };
        surveyed.lines.extend(self.changed);
        let missing = self.missing.iter();
        surveyed
            .lines
            .extend(missing.map(|key| named(key, "is in the backup and not on the server")));
        let extra = self.extra.iter();
        surveyed
            .lines
            .extend(extra.map(|key| named(key, "is on the server and not in the backup")));
        surveyed
    }
}

/// What one pass looks at.
struct Eye {
    key: FingerprintKey,
    horizon: u64,
    pass: u64,
    passes: u64,
}

/// What the rows of a key come to, and when the first of them goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    rows: u64,
    first: Option<NonZeroU64>,
}

impl Sum {
    /// Whether all of it was still there then.
    fn lasts(&self, now: u64) -> bool {
        self.first.is_none_or(|first| first.get() > now)
    }

    fn and(self, other: Sum) -> Sum {
        Sum {
            rows: self.rows.wrapping_add(other.rows),
            first: self.first.into_iter().chain(other.first).min(),
        }
    }
}

impl Eye {
    /// The hash of a key, and what its rows come to once all are here; `None` until then, for a key of another pass, and for one
    /// of which nothing lasts.
    fn digest(
        &self,
        open: &mut Option<Sum>,
        database: u32,
        key: &[u8],
        (rows, whole): &Rows,
    ) -> Option<(u128, Sum)> {
        let hash = |parts: [&[u8]; 2]| {
            let mut hasher = self.key.start();
            let mut row = hasher.begin();
            parts.iter().for_each(|part| row.update(part));
            hasher.end(&row);
            hasher.finish().sum
        };
        let name = hash([&database.to_le_bytes(), key]);
        if name % u128::from(self.passes) != u128::from(self.pass) {
            return None;
        }
        for row in rows {
            if row.expiry == 0 || row.expiry > self.horizon {
                let sum = Sum {
                    rows: hash([&row.bytes, &[]]) as u64,
                    first: NonZeroU64::new(row.expiry),
                };
                *open = Some(open.map_or(sum, |open| open.and(sum)));
            }
        }
        match whole {
            true => open.take().map(|sum| (name, sum)),
            false => None,
        }
    }
}

/// Every key of a backup with its rows, large ones by their pieces.
async fn each(
    source: &dyn PartSource,
    options: &CaptureOptions,
    see: &mut (dyn FnMut(u32, &Entry, &Rows) + Send),
) -> Result<()> {
    for info in source.parts("redis/") {
        match info.format.as_str() {
            FORMAT => {
                let database = database_of(&info)?;
                let mut reader = source.open(&info.name).await?;
                let mut records = Records::new(&info.name, reader.as_mut());
                let mut assembly = Assembly::default();
                while let Some(entry) = records.next().await? {
                    options.cancel.check()?;
                    let (rows, _) = assembly.take(database, &entry, false)?;
                    see(database, &entry, &rows);
                }
                assembly.closed(&info.name)?;
            }
            FUNCTIONS_FORMAT => {}
            _ => return Err(unknown_format(&info)),
        }
    }
    Ok(())
}

fn expiry(there: u64, here: u64) -> Option<String> {
    let said = |millis: u64| match i64::try_from(millis) {
        Ok(millis) if millis > 0 => format!("expires at {}", Instant::from_millis(millis)),
        _ => "never expires".to_owned(),
    };
    (there != here).then(|| format!("it {} in the backup and {} here", said(there), said(here)))
}

/// The first thing in which two values differ.
fn difference(there: &Value, here: &Value) -> Option<String> {
    match (there, here) {
        (Value::String(a), Value::String(b)) | (Value::Module(a), Value::Module(b)) => {
            let at = a.iter().zip(b).position(|(a, b)| a != b);
            match at {
                Some(at) => Some(format!("byte {at} differs")),
                None if a.len() != b.len() => Some(lengths("bytes", a.len(), b.len())),
                None => None,
            }
        }
        (Value::List(a), Value::List(b)) => {
            let at = a.iter().zip(b).position(|(a, b)| a != b);
            match at {
                Some(at) => Some(format!("element {at} differs")),
                None if a.len() != b.len() => Some(lengths("elements", a.len(), b.len())),
                None => None,
            }
        }
        (Value::Set(a), Value::Set(b)) => one_sided(
            "member",
            a.iter().map(|m| (m, ())),
            b.iter().map(|m| (m, ())),
        ),
        (Value::Hash(a), Value::Hash(b)) => one_sided(
            "field",
            a.iter().map(|f| (&f.name, (&f.value, f.expiry))),
            b.iter().map(|f| (&f.name, (&f.value, f.expiry))),
        ),
        (Value::Zset(a), Value::Zset(b)) => one_sided(
            "member",
            a.iter().map(|(m, score)| (m, score.to_bits())),
            b.iter().map(|(m, score)| (m, score.to_bits())),
        ),
        (Value::Stream(a), Value::Stream(b)) => {
            let id = |id: (u64, u64)| format!("{}-{}", id.0, id.1);
            let entries = |s: &super::rdb::Stream| -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
                let named = s.entries.iter();
                named
                    .map(|(at, fields)| (id(*at).into_bytes(), fields.clone()))
                    .collect()
            };
            let (left, right) = (entries(a), entries(b));
            one_sided(
                "entry",
                left.iter().map(|(id, fields)| (id, fields)),
                right.iter().map(|(id, fields)| (id, fields)),
            )
            .or_else(|| one_sided("consumer group", a.groups.iter(), b.groups.iter()))
            .or_else(|| {
                (a.last_id != b.last_id).then(|| {
                    format!(
                        "its last id is {} in the backup and {} here",
                        id(a.last_id),
                        id(b.last_id)
                    )
                })
            })
        }
        (a, b) => Some(format!(
            "it is {} in the backup and {} here",
            kind(a),
            kind(b)
        )),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        Value::Set(_) => "a set",
        Value::Hash(_) => "a hash",
        Value::Zset(_) => "a sorted set",
        Value::Stream(_) => "a stream",
        Value::Module(_) => "a module's value",
    }
}

fn lengths(what: &str, there: usize, here: usize) -> String {
    format!("{there} {what} in the backup and {here} here")
}

/// The first name that only one side has, or that stands for something else.
fn one_sided<'a, V: PartialEq>(
    what: &str,
    there: impl Iterator<Item = (&'a Vec<u8>, V)>,
    here: impl Iterator<Item = (&'a Vec<u8>, V)>,
) -> Option<String> {
    let mut here: HashMap<&Vec<u8>, V> = here.collect();
    let mut missing = None;
    for (name, value) in there {
        match here.remove(name) {
            Some(same) if same == value => {}
            Some(_) => return Some(format!("{what} `{}` differs", name.escape_ascii())),
            None => {
                missing.get_or_insert_with(|| {
                    format!("{what} `{}` is missing here", name.escape_ascii())
                });
            }
        }
    }
    missing.or_else(|| {
        let extra = here.into_keys().min()?;
        Some(format!("{what} `{}` is only here", extra.escape_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::rdb::Row;
    use super::*;

    fn eye() -> Eye {
        Eye {
            key: FingerprintKey::new([5; 32]),
            horizon: 1_000,
            pass: 0,
            passes: 1,
        }
    }

    fn row(text: &str, expiry: u64) -> Row {
        Row {
            expiry,
            bytes: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn what_goes_before_the_look_is_over_is_not_missing() {
        let sum = |rows: Vec<Row>| {
            let mut open = None;
            let digest = eye().digest(&mut open, 0, b"k", &(rows, true));
            digest.map(|(_, sum)| sum)
        };
        let first = sum(vec![row("a", 0), row("b", 5_000), row("c", 900)]).expect("lasts");
        assert!(first.lasts(4_999) && !first.lasts(5_000));
        assert!(sum(vec![row("a", 0)]).expect("lasts").lasts(u64::MAX));
        assert_eq!(sum(vec![row("c", 900)]), None);
    }

    #[test]
    fn a_key_in_pieces_is_the_sum_of_their_rows() {
        let mut open = None;
        let mut of = |rows, whole| eye().digest(&mut open, 0, b"k", &(rows, whole));
        assert_eq!(of(vec![row("a", 2_000)], false), None);
        assert_eq!(of(Vec::new(), false), None);
        let pieces = of(vec![row("b", 0)], true);
        assert_eq!(of(vec![row("b", 0), row("a", 2_000)], true), pieces);
        assert!(of(vec![row("b", 0)], true) != pieces);
    }

    #[test]
    fn libraries_go_by_their_names() {
        let code = |name: &str, body: &str| format!("#!lua name={name}\n{body}").into_bytes();
        let mut found = Found::default();
        let there = [code("a", "1"), code("b", "1"), code("c", "1")];
        let here = [code("a", "1"), code("b", "2"), code("d", "1")];
        found.libraries(&there, &here, None);
        let surveyed = found.finish();
        assert_eq!(surveyed.missing_libraries, 1);
        assert_eq!(surveyed.changed_libraries, 1);
        assert_eq!(surveyed.lacks(Replace::Keep, 9), surveyed.lines);
        assert_eq!(
            surveyed.lines,
            [
                "function library `b` has other code here",
                "function library `c` is in the backup and not on the server"
            ]
        );
        let mut found = Found::default();
        found.libraries(&there[1..2], &here, None);
        let surveyed = found.finish();
        assert_eq!(surveyed.lacks(Replace::Keep, 0), Vec::<String>::new());
        assert_eq!(surveyed.lacks(Replace::Overwrite, 0).len(), 1);
    }
}
