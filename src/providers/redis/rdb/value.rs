//! Values decoded to what clients see, whatever encoding the server chose.

use super::cursor::{Cursor, Result, Stop, bad};
use super::packed::{intset, listpack, ziplist};
use super::stream::{self, Stream};
use super::{VALKEY, kind, skip};

/// A decoded value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    String(Vec<u8>),
    /// A list, in order.
    List(Vec<Vec<u8>>),
    /// A set, in the order of the bytes.
    Set(Vec<Vec<u8>>),
    /// A hash, in the order of the bytes.
    Hash(Vec<Field>),
    /// A sorted set as members and scores, in the order of the bytes.
    Zset(Vec<(Vec<u8>, f64)>),
    /// A stream.
    Stream(Stream),
    /// A module's value as it is stored: only its module can read it.
    Module(Vec<u8>),
}

/// A field of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it expires, in milliseconds since the epoch; 0 is never.
    pub expiry: u64,
}

/// Decodes the bytes of one value, without its type byte; all of them must belong to it.
pub fn decode(kind: u8, bytes: &[u8], version: u16) -> Result<Value> {
    let mut cursor = Cursor::new(bytes);
    let value = match any(&mut cursor, kind, version, bytes) {
        Err(Stop::Short) => return bad("a value is cut off"),
        other => other?,
    };
    if !cursor.is_at_end() {
        return bad("a value is longer than it says");
    }
    Ok(value)
}

fn any(cursor: &mut Cursor<'_>, kind: u8, version: u16, bytes: &[u8]) -> Result<Value> {
    Ok(match kind {
        kind::STRING => Value::String(cursor.string()?.into_owned()),
        kind::LIST => Value::List(strings(cursor)?),
        kind::LIST_ZIPLIST => Value::List(ziplist(&cursor.string()?)?),
        kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => Value::List(quicklist(cursor, kind)?),
        kind::SET => Value::Set(strings(cursor)?),
        kind::SET_INTSET => Value::Set(intset(&cursor.string()?)?),
        kind::SET_LISTPACK => Value::Set(listpack(&cursor.string()?)?),
        kind::ZSET | kind::ZSET_2 => Value::Zset(zset(cursor, kind)?),
        kind::ZSET_ZIPLIST => Value::Zset(scored(ziplist(&cursor.string()?)?)?),
        kind::ZSET_LISTPACK => Value::Zset(scored(listpack(&cursor.string()?)?)?),
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            Value::Stream(stream::decode(cursor, kind)?)
        }
        kind::STREAM_LISTPACKS_4 if version < VALKEY => {
            Value::Stream(stream::decode(cursor, kind)?)
        }
        kind::MODULE_2 => {
            skip::value(cursor, kind, version)?;
            Value::Module(bytes.get(..cursor.position()).unwrap_or_default().to_vec())
        }
        kind::HASH_ZIPMAP => return bad("hashes of Redis 2.4 (zipmap) are not supported"),
        _ => Value::Hash(hash(cursor, kind, version)?),
    }
    .sorted())
}

impl Value {
    /// Sets, hashes and sorted sets have no order of their own.
    fn sorted(mut self) -> Self {
        match &mut self {
            Value::Set(members) => members.sort_unstable(),
            Value::Hash(fields) => fields.sort_unstable_by(|a, b| a.name.cmp(&b.name)),
            Value::Zset(members) => members.sort_unstable_by(|a, b| a.0.cmp(&b.0)),
            Value::String(_) | Value::List(_) | Value::Stream(_) | Value::Module(_) => {}
        }
        self
    }
}

fn strings(cursor: &mut Cursor<'_>) -> Result<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    for _ in 0..cursor.length()? {
        out.push(cursor.string()?.into_owned());
    }
    Ok(out)
}

fn quicklist(cursor: &mut Cursor<'_>, kind: u8) -> Result<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    for _ in 0..cursor.length()? {
        // Containers of quicklist.h: 1 is one plain element, 2 a listpack.
        let container = if kind == kind::LIST_QUICKLIST_2 {
            Some(cursor.length()?)
        } else {
            None
        };
        let node = cursor.string()?;
        match container {
            None => out.extend(ziplist(&node)?),
            Some(1) => out.push(node.into_owned()),
            Some(2) => out.extend(listpack(&node)?),
            Some(_) => return bad("a list node has an unknown container"),
        }
    }
    Ok(out)
}

fn zset(cursor: &mut Cursor<'_>, kind: u8) -> Result<Vec<(Vec<u8>, f64)>> {
    let mut out = Vec::new();
    for _ in 0..cursor.length()? {
        let member = cursor.string()?.into_owned();
        let score = if kind == kind::ZSET_2 {
            f64::from_le_bytes(cursor.array()?)
        } else {
            skip::text_score(cursor)?
        };
        out.push((member, score));
    }
    Ok(out)
}

fn scored(elements: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, f64)>> {
    let mut out = Vec::new();
    for (member, score) in pairs(elements)? {
        let score = std::str::from_utf8(&score)
            .ok()
            .and_then(|t| t.parse().ok());
        out.push((member, score.ok_or(Stop::Bad("a score is not a number"))?));
    }
    Ok(out)
}

fn hash(cursor: &mut Cursor<'_>, kind: u8, version: u16) -> Result<Vec<Field>> {
    let plain = |(name, value)| Field {
        name,
        value,
        expiry: 0,
    };
    match kind {
        kind::HASH => {
            let mut out = Vec::new();
            for _ in 0..cursor.length()? {
                let (name, value) = (cursor.string()?, cursor.string()?);
                out.push(plain((name.into_owned(), value.into_owned())));
            }
            Ok(out)
        }
        kind::HASH_ZIPLIST => Ok(pairs(ziplist(&cursor.string()?)?)?
            .into_iter()
            .map(plain)
            .collect()),
        kind::HASH_LISTPACK => Ok(pairs(listpack(&cursor.string()?)?)?
            .into_iter()
            .map(plain)
            .collect()),
        kind::HASH_METADATA_PRE_GA if version >= VALKEY => valkey_hash(cursor),
        _ if version >= VALKEY => Err(Stop::Unknown(kind)),
        kind::HASH_METADATA | kind::HASH_METADATA_PRE_GA => expiring_hash(cursor, kind),
        kind::HASH_LISTPACK_EX | kind::HASH_LISTPACK_EX_PRE_GA => {
            if kind == kind::HASH_LISTPACK_EX {
                cursor.millis()?;
            }
            triples(listpack(&cursor.string()?)?)
        }
        unknown => Err(Stop::Unknown(unknown)),
    }
}

/// Valkey 9: field, value, expiry, where -1 is none.
fn valkey_hash(cursor: &mut Cursor<'_>) -> Result<Vec<Field>> {
    let mut out = Vec::new();
    for _ in 0..cursor.length()? {
        let (name, value) = (cursor.string()?, cursor.string()?);
        let expiry = i64::from_le_bytes(cursor.array()?);
        out.push(Field {
            name: name.into_owned(),
            value: value.into_owned(),
            expiry: u64::try_from(expiry).unwrap_or(0),
        });
    }
    Ok(out)
}

/// Redis 7.4: expiry, field, value; the expiry counts from the hash's earliest, plus one, so that 0 is none.
fn expiring_hash(cursor: &mut Cursor<'_>, kind: u8) -> Result<Vec<Field>> {
    let earliest = if kind == kind::HASH_METADATA {
        Some(cursor.millis()?)
    } else {
        None
    };
    let mut out = Vec::new();
    for _ in 0..cursor.length()? {
        let stored = cursor.length()?;
        let expiry = match earliest {
            Some(earliest) if stored != 0 => stored
                .checked_add(earliest)
                .ok_or(Stop::Bad("a field's expiry is too large"))?
                .saturating_sub(1),
            _ => stored,
        };
        let (name, value) = (cursor.string()?, cursor.string()?);
        out.push(Field {
            name: name.into_owned(),
            value: value.into_owned(),
            expiry,
        });
    }
    Ok(out)
}

fn pairs(elements: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut out = Vec::new();
    let mut elements = elements.into_iter();
    while let Some(first) = elements.next() {
        let Some(second) = elements.next() else {
            return bad("a container of pairs has an odd number of elements");
        };
        out.push((first, second));
    }
    Ok(out)
}

fn triples(elements: Vec<Vec<u8>>) -> Result<Vec<Field>> {
    let mut out = Vec::new();
    let mut elements = elements.into_iter();
    while let Some(name) = elements.next() {
        let (Some(value), Some(expiry)) = (elements.next(), elements.next()) else {
            return bad("a container of triples has a broken triple");
        };
        let expiry = std::str::from_utf8(&expiry)
            .ok()
            .and_then(|t| t.parse().ok());
        out.push(Field {
            name,
            value,
            expiry: expiry.ok_or(Stop::Bad("a field's expiry is not a number"))?,
        });
    }
    Ok(out)
}
