//! The way where replication is withheld: SCAN every database, and DUMP each key with its expiry in one transaction.
//!
//! Each key is read whole and at one moment, but not all at the same: the result is fuzzy, and says so. Keys that SCAN
//! returns twice are taken once; for that, 16 bytes per key are held.

use std::collections::{BTreeMap, HashSet};

use ::redis::{Pipeline, Value};

use crate::error::{Error, Result};

use super::PROTOCOL;
use super::connect::Conn;
use super::gather::{Collector, Origin};
use super::health::{Info, MARKER_KEY};
use super::rdb::{Entry, Piece, Usage, functions};

/// Keys asked of SCAN at a time (a hint to the server).
const COUNT: u32 = 512;

/// Values fetched at a time: fewer where they are large.
const MOST: usize = 128;

/// Bytes of one fetch above which the next asks for fewer values.
const HEAVY: usize = 4 * 1024 * 1024;

/// What happened on the way.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Keys that expired or were deleted between SCAN and DUMP.
    pub(super) gone: u64,
    /// Why the function libraries could not be read, if they could not.
    pub(super) no_functions: Option<String>,
}

/// Reads all databases, or only one.
pub(super) async fn scan(
    conn: &mut Conn,
    info: &Info,
    only: Option<u32>,
    into: &mut Collector<'_>,
) -> Result<Scanned> {
    let mut scanned = Scanned::default();
    let asking = Asking {
        exact: info.at_least(7, 0),
        usage: Keeps::of(conn, info).await,
    };
    if only.is_none() {
        scanned.no_functions = libraries(conn, info, into).await?;
    }
    let mut done = BTreeMap::new();
    loop {
        // A database may come to be while we read others.
        let present = match only {
            Some(database) => BTreeMap::from([(database, 0)]),
            None => Info::read(conn).await?.keyspace(),
        };
        let Some(database) = present.into_keys().find(|db| !done.contains_key(db)) else {
            return Ok(scanned);
        };
        conn.select(database).await?;
        scanned.gone += one(conn, database, asking, into).await?;
        done.insert(database, ());
    }
}

/// What is asked of the server beside each value.
#[derive(Clone, Copy)]
struct Asking {
    /// It gives expiries as moments.
    exact: bool,
    usage: Keeps,
}

/// What the server keeps of the use of keys: it depends on how it evicts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    Idle,
    Frequency,
}

impl Keeps {
    async fn of(conn: &mut Conn, info: &Info) -> Keeps {
        let policy = info.get("maxmemory_policy");
        let keeps = if policy.ends_with("-lru") {
            Keeps::Idle
        } else if policy.ends_with("-lfu") {
            Keeps::Frequency
        } else {
            Keeps::Nothing
        };
        let Some(question) = keeps.question() else {
            return keeps;
        };
        // It is a hint for evictions: who may not ask goes without it.
        let asked: Result<Value> = conn
            .query(::redis::cmd("OBJECT").arg(question).arg(MARKER_KEY))
            .await;
        asked.map_or(Keeps::Nothing, |_| keeps)
    }

    fn question(self) -> Option<&'static str> {
        match self {
            Keeps::Nothing => None,
            Keeps::Idle => Some("IDLETIME"),
            Keeps::Frequency => Some("FREQ"),
        }
    }

    fn answer(self, value: Option<&Value>) -> Usage {
        let Some(Value::Int(number)) = value else {
            return Usage::Unknown;
        };
        match self {
            Keeps::Nothing => Usage::Unknown,
            Keeps::Idle => u64::try_from(*number).map_or(Usage::Unknown, Usage::Idle),
            Keeps::Frequency => u8::try_from(*number).map_or(Usage::Unknown, Usage::Frequency),
        }
    }
}

async fn one(
    conn: &mut Conn,
    database: u32,
    asking: Asking,
    into: &mut Collector<'_>,
) -> Result<u64> {
    let mut seen: HashSet<[u8; 16]> = HashSet::new();
    let (mut cursor, mut gone, mut depth) = (0_u64, 0, 16);
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) = conn
            .query(::redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(COUNT))
            .await?;
        let fresh: Vec<Vec<u8>> = keys
            .into_iter()
            .filter(|key| {
                let mut short = [0; 16];
                short.copy_from_slice(&blake3::hash(key).as_bytes()[..16]);
                // The server gives nobody the value of a key whose slot is another's.
                seen.insert(short) && into.wants(key)
            })
            .collect();
        let mut rest = fresh.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(depth.min(rest.len()));
            let entries = fetch(conn, now, asking).await?;
            gone += now.len() as u64 - entries.len() as u64;
            let weight: usize = entries.iter().map(|entry| entry.payload.len()).sum();
            depth = if weight > HEAVY {
                (depth / 2).max(1)
            } else {
                (depth * 2).min(MOST)
            };
            for entry in entries {
                into.key(database, entry, Origin::Dump).await?;
            }
            rest = later;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(gone);
        }
    }
}

/// Expiry and value of each key, in one transaction per key; keys that are gone are absent.
async fn fetch(conn: &mut Conn, keys: &[Vec<u8>], asking: Asking) -> Result<Vec<Entry>> {
    let mut left: Vec<&Vec<u8>> = keys.iter().collect();
    let mut out = Vec::new();
    while !left.is_empty() {
        let mut pipeline = Pipeline::new();
        for key in &left {
            pipeline.cmd("MULTI");
            // Before DUMP, which counts as a use.
            if let Some(question) = asking.usage.question() {
                pipeline.cmd("OBJECT").arg(question).arg(key);
            }
            if asking.exact {
                pipeline.cmd("PEXPIRETIME").arg(key);
            } else {
                pipeline.cmd("TIME").cmd("PTTL").arg(key).cmd("TIME");
            }
            pipeline.cmd("DUMP").arg(key).cmd("EXEC");
        }
        let answers = conn.pipeline(&mut pipeline, "DUMP").await?;
        let per_key =
            if asking.exact { 4 } else { 6 } + usize::from(asking.usage != Keeps::Nothing);
        let mut again = Vec::new();
        for (key, answers) in left.iter().zip(answers.chunks(per_key)) {
            for answer in answers {
                if let Value::ServerError(error) = answer {
                    return Err(conn.error("DUMP", &error.clone().into()));
                }
            }
            let executed = answers.last().map_or(&[][..], as_array);
            let Some(Value::BulkString(payload)) = executed.last() else {
                continue;
            };
            let (usage, executed) = match executed.split_first() {
                Some((usage, rest)) if asking.usage != Keeps::Nothing => {
                    (asking.usage.answer(Some(usage)), rest)
                }
                _ => (Usage::Unknown, executed),
            };
            match expiry(executed, asking.exact) {
                Some(expiry) => out.push(Entry {
                    key: key.to_vec(),
                    expiry,
                    usage,
                    piece: Piece::Whole,
                    fragment: false,
                    payload: payload.clone(),
                }),
                None => again.push(*key),
            }
        }
        left = again;
    }
    Ok(out)
}

/// The absolute expiry, 0 for none. Before 7.0 there is only the time that is left: exact if the clock showed the same
/// millisecond before and after it, else `None`, and it is asked again.
fn expiry(executed: &[Value], exact: bool) -> Option<u64> {
    match executed {
        [Value::Int(at), _] if exact => Some(u64::try_from(*at).unwrap_or(0)),
        [before, Value::Int(left), after, _] if !exact => {
            let Ok(left) = u64::try_from(*left) else {
                return Some(0);
            };
            let (before, after) = (millis(before)?, millis(after)?);
            (before == after).then_some(before + left)
        }
        _ => None,
    }
}

/// The answer of TIME in milliseconds.
pub(super) fn millis(time: &Value) -> Option<u64> {
    let number = |value: &Value| match value {
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    match as_array(time) {
        [seconds, micros] => Some(number(seconds)? * 1_000 + number(micros)? / 1_000),
        _ => None,
    }
}

fn as_array(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// Reads the function libraries; gives the reason if the server would not tell.
async fn libraries(
    conn: &mut Conn,
    info: &Info,
    into: &mut Collector<'_>,
) -> Result<Option<String>> {
    if !info.at_least(7, 0) {
        return Ok(None);
    }
    let dump: Vec<u8> = match conn.query(::redis::cmd("FUNCTION").arg("DUMP")).await {
        Ok(dump) => dump,
        Err(e) if e.reason() == &super::CONNECTION_LOST => return Err(e),
        Err(e) => return Ok(Some(e.to_string())),
    };
    let (libraries, version) = functions(&dump).map_err(|stop| {
        Error::new(
            &PROTOCOL,
            format!(
                "FUNCTION DUMP cannot be read: {}",
                super::record::describe(stop)
            ),
        )
    })?;
    into.version(version);
    for code in libraries {
        into.library(code);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_only_believed_within_one_millisecond() {
        let time = |micros: &str| {
            Value::Array(vec![
                Value::BulkString(b"1700000000".to_vec()),
                Value::BulkString(micros.as_bytes().to_vec()),
            ])
        };
        let answer = |after, left| [time("123400"), Value::Int(left), time(after), Value::Nil];
        assert_eq!(
            expiry(&answer("123999", 77), false),
            Some(1_700_000_000_200)
        );
        assert_eq!(expiry(&answer("124000", 77), false), None);
        assert_eq!(expiry(&answer("124000", -1), false), Some(0));
        assert_eq!(expiry(&[Value::Int(-1), Value::Nil], true), Some(0));
        assert_eq!(expiry(&[Value::Int(5), Value::Nil], true), Some(5));
    }
}
