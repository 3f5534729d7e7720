//! Which keys differ between a backup and a server, and in what: the second look, once the sums have shown that something
//! does. Keys are compared by their hashes, a part of them at a time, so that memory stays bounded; values are named by
//! field, member, position or entry, and never shown.

use std::collections::HashMap;

use crate::capture::{FingerprintKey, PartSource};
use crate::error::Result;
use crate::time::Instant;

use super::capture::{CaptureOptions, database_of, unknown_format};
use super::gather::{Collector, gather, server_time, zero};
use super::rdb::{Entry, Piece, Row, Value};
use super::record::{self, FORMAT, FUNCTIONS_FORMAT, Records};
use super::target::Target;
use super::whole::Assembly;

/// Keys compared in one pass: about 64 MiB of hashes.
const AT_ONCE: u64 = 1_000_000;

/// Differences named of each kind.
const NAMED: usize = 5;

/// Keys that expire within this time are left out: they may be gone on one side and not on the other.
const MARGIN_MILLIS: i64 = 600_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Keys of the backup that the server lacks.
    pub missing: u64,
    /// Keys with another value or expiry.
    pub changed: u64,
    /// Keys of the server that the backup lacks.
    pub extra: u64,
    /// The first of each kind, one line each.
    pub lines: Vec<String>,
}

impl Surveyed {
    /// What the server lacks of the backup; so many keys may have another form, because the server was to keep its own.
    pub fn lacks(&self, kept: u64) -> Vec<String> {
        let wrong = self.missing + self.changed.saturating_sub(kept);
        if wrong == 0 {
            return Vec::new();
        }
        self.lines.clone()
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
    let now = server_time(&mut zero(target).await?).await?;
    let mut found = Found {
        horizon: u64::try_from(now.millis() + MARGIN_MILLIS).unwrap_or(0),
        ..Found::default()
    };
    for pass in 0..passes {
        let eye = Eye {
            key: options.key.clone(),
            horizon: found.horizon,
            pass,
            passes,
        };
        let mut backup = HashMap::new();
        each(source, options, &mut |database, entry, rows| {
            if let Some((name, sum)) = eye.digest(database, &entry.key, rows) {
                backup.insert(name, sum);
            }
        })
        .await?;
        let mut seen = Vec::new();
        {
            let mut watch = |database: u32, entry: &Entry, rows: &[Row]| {
                let Some((name, sum)) = eye.digest(database, &entry.key, rows) else {
                    return;
                };
                match backup.remove(&name) {
                    Some(wanted) if wanted == sum => {}
                    Some(_) => {
                        found.surveyed.changed += 1;
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
            gather(target, options, &mut collector).await?;
        }
        found.surveyed.missing += backup.len() as u64;
        if seen.is_empty() && backup.is_empty() {
            continue;
        }
        let mut live: HashMap<u128, Entry> = seen.into_iter().collect();
        each(source, options, &mut |database, entry, rows| {
            let Some((name, _)) = eye.digest(database, &entry.key, rows) else {
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

#[derive(Default)]
struct Found {
    horizon: u64,
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

impl Eye {
    /// The hashes of a key and of its rows; `None` for a key of another pass, or of which nothing lasts.
    fn digest(&self, database: u32, key: &[u8], rows: &[Row]) -> Option<(u128, u128)> {
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
        let lasting = rows
            .iter()
            .filter(|row| row.expiry == 0 || row.expiry > self.horizon);
        let sums = lasting.map(|row| hash([&row.bytes, &[]]));
        sums.reduce(u128::wrapping_add).map(|sum| (name, sum))
    }
}

/// Every key of a backup with its rows.
async fn each(
    source: &dyn PartSource,
    options: &CaptureOptions,
    see: &mut (dyn FnMut(u32, &Entry, &[Row]) + Send),
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
                    let value = record::value(database, &entry)?;
                    if let Some(rows) = assembly.rows(database, &entry, &value)? {
                        see(database, &entry, &rows);
                    }
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
