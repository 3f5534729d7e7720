//! The canonical form that fingerprints hash: the same for every encoding, order of members, and server.
//!
//! A key is one row: tag, database (u32), key, expiry (u64 milliseconds, 0 none), then its content; all numbers
//! little-endian, all strings behind their length (u64). A hash's field with an expiry of its own is a row of its own,
//! so that its passing changes no other row. Scores are the bits of a double, with one zero and one NaN. Large
//! values are rows of their digest (see `large.rs`). Streams have everything but the groups' read counters, which servers estimate anew.

use super::large::{LARGE, Large, StreamSum};
use super::stream::{Stream, StreamEntry};
use super::value::{Field, Value};

/// The tag of a string.
const STRING: u8 = b's';

/// The tag of a hash.
pub(super) const HASH: u8 = b'h';

/// The tag of a stream.
pub(super) const STREAM: u8 = b'x';

/// The tag of a module's value.
pub(super) const MODULE: u8 = b'm';

/// A row, and when the server will drop it by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Milliseconds since the epoch; 0 is never.
    pub expiry: u64,
    /// The canonical bytes.
    pub bytes: Vec<u8>,
}

/// The rows of a key.
pub fn rows(database: u32, key: &[u8], expiry: u64, value: &Value) -> Vec<Row> {
    if content(value) < LARGE {
        return undivided(database, key, expiry, value);
    }
    if let Value::Stream(stream) = value {
        return StreamSum::of(database, key, expiry, stream);
    }
    let mut large = Large::new(database, key, expiry);
    large.add(value);
    large.finish()
}

/// The rows of a key as `redis-rows-2` had them, where streams and modules' values were rows of their content at any size.
pub fn rows_2(database: u32, key: &[u8], expiry: u64, value: &Value) -> Vec<Row> {
    match value {
        Value::Stream(_) | Value::Module(_) => undivided(database, key, expiry, value),
        _ => rows(database, key, expiry, value),
    }
}

/// The rows of a key as `redis-rows-1` had them, where large values were rows of their content too.
pub fn undivided(database: u32, key: &[u8], expiry: u64, value: &Value) -> Vec<Row> {
    let mut out = Out::with_room(content(value), tag(value), database, key, expiry);
    match value {
        Value::String(bytes) | Value::Module(bytes) => out.string(bytes),
        Value::List(items) | Value::Set(items) => {
            out.number(items.len() as u64);
            items.iter().for_each(|item| out.string(item));
        }
        Value::Zset(members) => {
            out.number(members.len() as u64);
            for (member, score) in members {
                out.string(member);
                out.number(score_bits(*score));
            }
        }
        Value::Stream(stream) => out.stream(stream),
        Value::Hash(fields) => {
            let (lasting, expiring): (Vec<_>, Vec<_>) = fields.iter().partition(|f| f.expiry == 0);
            out.number(lasting.len() as u64);
            for field in &lasting {
                out.string(&field.name);
                out.string(&field.value);
            }
            let mut rows = Vec::new();
            if !lasting.is_empty() || expiring.is_empty() {
                rows.push(out.row(expiry));
            }
            for field in expiring {
                rows.push(passing(database, key, expiry, field));
            }
            return rows;
        }
    }
    vec![out.row(expiry)]
}

/// The bytes of the one row of a string, as [`rows`] gives them, in a buffer that is used again; `false` for a large one.
pub fn string_row(row: &mut Vec<u8>, database: u32, key: &[u8], expiry: u64, text: &[u8]) -> bool {
    if text.len() >= LARGE {
        return false;
    }
    row.clear();
    let mut out = Out(std::mem::take(row));
    out.begin(STRING, database, key, expiry);
    out.string(text);
    *row = out.0;
    true
}

/// The row of a hash's field with an expiry of its own.
pub(super) fn passing(database: u32, key: &[u8], expiry: u64, field: &Field) -> Row {
    let mut out = Out::new(b'f', database, key, expiry);
    out.string(&field.name);
    out.string(&field.value);
    out.number(field.expiry);
    let first = if expiry == 0 {
        field.expiry
    } else {
        expiry.min(field.expiry)
    };
    out.row(first)
}

/// Bytes of a field's canonical content.
pub(super) fn content_of(field: &Field) -> usize {
    16 + field.name.len() + field.value.len()
}

/// Bytes of a value's canonical content.
fn content(value: &Value) -> usize {
    match value {
        Value::String(bytes) => bytes.len(),
        Value::List(items) | Value::Set(items) => items.iter().map(|item| 8 + item.len()).sum(),
        Value::Hash(fields) => {
            let lasting = fields.iter().filter(|field| field.expiry == 0);
            lasting.map(content_of).sum()
        }
        Value::Zset(members) => members.iter().map(|(member, _)| 16 + member.len()).sum(),
        Value::Stream(stream) => stream.entries.iter().map(entry_of).sum(),
        Value::Module(bytes) => bytes.len(),
    }
}

/// Bytes of a stream's entry.
pub(super) fn entry_of((_, fields): &StreamEntry) -> usize {
    24 + fields.iter().map(|field| 8 + field.len()).sum::<usize>()
}

/// The row of a function library.
pub fn function_row(code: &[u8]) -> Vec<u8> {
    let mut out = Out(vec![b'F']);
    out.string(code);
    out.0
}

#[derive(Clone)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    pub(super) fn new(tag: u8, database: u32, key: &[u8], expiry: u64) -> Self {
        Out::with_room(0, tag, database, key, expiry)
    }

    /// With room for so much content.
    fn with_room(content: usize, tag: u8, database: u32, key: &[u8], expiry: u64) -> Self {
        let mut out = Out(Vec::with_capacity(64 + key.len() + content));
        out.begin(tag, database, key, expiry);
        out
    }

    fn begin(&mut self, tag: u8, database: u32, key: &[u8], expiry: u64) {
        self.0.push(tag);
        self.0.extend_from_slice(&database.to_le_bytes());
        self.string(key);
        self.number(expiry);
    }

    fn string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn id(&mut self, id: (u64, u64)) {
        self.number(id.0);
        self.number(id.1);
    }

    fn stream(&mut self, stream: &Stream) {
        self.id(stream.last_id);
        self.id(stream.max_deleted_id);
        self.number(stream.entries_added);
        self.number(stream.entries.len() as u64);
        stream.entries.iter().for_each(|entry| self.entry(entry));
        self.groups(stream);
    }

    pub(super) fn entry(&mut self, (id, fields): &StreamEntry) {
        self.id(*id);
        self.number(fields.len() as u64);
        fields.iter().for_each(|field| self.string(field));
    }

    /// A stream without its entries.
    pub(super) fn around(&mut self, stream: &Stream) {
        self.id(stream.last_id);
        self.id(stream.max_deleted_id);
        self.number(stream.entries_added);
        self.groups(stream);
    }

    fn groups(&mut self, stream: &Stream) {
        self.number(stream.groups.len() as u64);
        for (name, group) in &stream.groups {
            self.string(name);
            self.id(group.last_id);
            self.number(group.pending.len() as u64);
            for (id, pending) in &group.pending {
                self.id(*id);
                self.string(&pending.consumer);
                self.number(pending.delivered);
                self.number(pending.count);
            }
            self.number(group.consumers.len() as u64);
            for (name, (seen, active)) in &group.consumers {
                self.string(name);
                self.number(*seen);
                self.number(*active);
            }
        }
    }

    pub(super) fn row(self, expiry: u64) -> Row {
        Row {
            expiry,
            bytes: self.0,
        }
    }
}

pub(super) fn tag(value: &Value) -> u8 {
    match value {
        Value::String(_) => STRING,
        Value::List(_) => b'l',
        Value::Set(_) => b'S',
        Value::Hash(_) => HASH,
        Value::Zset(_) => b'z',
        Value::Stream(_) => STREAM,
        Value::Module(_) => MODULE,
    }
}

/// Small sorted sets store whole scores as integers, which have one zero; large ones keep the sign of zero.
pub(super) fn score_bits(score: f64) -> u64 {
    if score == 0.0 {
        0
    } else if score.is_nan() {
        f64::NAN.to_bits()
    } else {
        score.to_bits()
    }
}
