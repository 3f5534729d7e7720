//! The canonical form of large values: a digest of their content, so that they can be summed piece by piece. Lists and strings
//! are hashed in order; of sets, hashes and sorted sets the hashes of the elements are added up, so that no order matters.

use super::rows::{HASH, MODULE, Out, Row, STREAM, content_of, entry_of, passing, score_bits, tag};
use super::stream::{Stream, StreamEntry};
use super::value::{Field, Value};

/// Values whose canonical content has at least this many bytes have this form, however they are stored. What is cut is larger
/// than that in any encoding.
pub(super) const LARGE: usize = 1024 * 1024;

/// A large value being summed.
#[derive(Clone)]
pub struct Large {
    database: u32,
    key: Vec<u8>,
    expiry: u64,
    tag: u8,
    count: u64,
    ordered: Box<blake3::Hasher>,
    sum: u128,
    /// Fields that go, of which nothing needs to be put together.
    passing: Vec<Row>,
    /// Whether there were any.
    passed: bool,
    /// Fields of a hash that stay, as long as they are few: those that go may make it large for a while, and must not decide
    /// how the others look.
    few: Option<(Vec<Field>, usize)>,
    scratch: Vec<u8>,
}

impl Large {
    /// Begins.
    pub fn new(database: u32, key: &[u8], expiry: u64) -> Large {
        Large {
            database,
            key: key.to_owned(),
            expiry,
            tag: 0,
            count: 0,
            ordered: Box::new(blake3::Hasher::new()),
            sum: 0,
            passing: Vec::new(),
            passed: false,
            few: Some((Vec::new(), 0)),
            scratch: Vec::new(),
        }
    }

    /// Whether a piece belongs to this key.
    pub fn is_of(&self, database: u32, key: &[u8]) -> bool {
        self.database == database && self.key == key
    }

    /// Adds a piece, or all of it; `false` if its type is not that of the pieces before.
    pub fn add(&mut self, value: &Value) -> bool {
        let tag = tag(value);
        if self.tag != 0 && self.tag != tag {
            return false;
        }
        self.tag = tag;
        match value {
            Value::String(bytes) | Value::Module(bytes) => {
                self.ordered.update(bytes);
                self.count += bytes.len() as u64;
            }
            Value::List(items) => {
                for item in items {
                    self.ordered.update(&(item.len() as u64).to_le_bytes());
                    self.ordered.update(item);
                }
                self.count += items.len() as u64;
            }
            Value::Set(members) => members.iter().for_each(|m| self.element(&[m], 0)),
            Value::Zset(members) => {
                for (member, score) in members {
                    self.element(&[member], score_bits(*score));
                }
            }
            Value::Hash(fields) => {
                for field in fields {
                    if field.expiry == 0 {
                        self.field(field);
                    } else {
                        let row = passing(self.database, &self.key, self.expiry, field);
                        self.passing.push(row);
                        self.passed = true;
                    }
                }
            }
            Value::Stream(_) => return false,
        }
        true
    }

    /// Adds bytes of a module's value.
    pub fn add_module(&mut self, bytes: &[u8]) {
        self.tag = MODULE;
        self.ordered.update(bytes);
        self.count += bytes.len() as u64;
    }

    /// The rows of a module's value that is not large after all.
    pub fn of_small(self, bytes: Vec<u8>) -> Vec<Row> {
        let value = Value::Module(bytes);
        super::rows(self.database, &self.key, self.expiry, &value)
    }

    fn field(&mut self, field: &Field) {
        let Some((few, size)) = &mut self.few else {
            self.element(&[&field.name, &field.value], 0);
            return;
        };
        *size += content_of(field);
        few.push(field.clone());
        if *size >= LARGE {
            let (many, _) = self.few.take().unwrap_or_default();
            for field in &many {
                self.element(&[&field.name, &field.value], 0);
            }
        }
    }

    fn element(&mut self, strings: &[&[u8]], number: u64) {
        self.scratch.clear();
        for string in strings {
            self.scratch
                .extend_from_slice(&(string.len() as u64).to_le_bytes());
            self.scratch.extend_from_slice(string);
        }
        self.scratch.extend_from_slice(&number.to_le_bytes());
        let mut low = [0; 16];
        low.copy_from_slice(&blake3::hash(&self.scratch).as_bytes()[..16]);
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(low));
        self.count += 1;
    }

    /// The rows that are ready before the value is: those of fields that go by themselves.
    pub fn ready(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.passing)
    }

    /// The rows that were not taken yet, once all pieces are here.
    pub fn finish(mut self) -> Vec<Row> {
        let mut rows = self.ready();
        if let Some((mut few, _)) = self.few.filter(|_| self.tag == HASH) {
            if !few.is_empty() || !self.passed {
                few.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                let value = Value::Hash(few);
                rows.extend(super::rows(self.database, &self.key, self.expiry, &value));
            }
            return rows;
        }
        if self.count > 0 || !self.passed {
            let mut out = Out::new(b'B', self.database, &self.key, self.expiry);
            out.0.push(self.tag);
            out.0.extend_from_slice(&self.count.to_le_bytes());
            out.0.extend_from_slice(&self.sum.to_le_bytes());
            out.0.extend_from_slice(self.ordered.finalize().as_bytes());
            rows.push(out.row(self.expiry));
        }
        rows
    }
}

/// A stream being summed: its entries in their order, then what stands behind them.
#[derive(Clone)]
pub struct StreamSum {
    database: u32,
    key: Vec<u8>,
    expiry: u64,
    count: u64,
    ordered: Box<blake3::Hasher>,
    /// The entries, as long as they are few: such a stream has the form of its content.
    few: Option<(Vec<StreamEntry>, usize)>,
    scratch: Out,
}

impl StreamSum {
    /// Begins.
    pub fn new(database: u32, key: &[u8], expiry: u64) -> StreamSum {
        StreamSum {
            database,
            key: key.to_owned(),
            expiry,
            count: 0,
            ordered: Box::new(blake3::Hasher::new()),
            few: Some((Vec::new(), 0)),
            scratch: Out(Vec::new()),
        }
    }

    /// The row of a large stream that is there whole.
    pub(super) fn of(database: u32, key: &[u8], expiry: u64, stream: &Stream) -> Vec<Row> {
        let mut sum = StreamSum::new(database, key, expiry);
        sum.few = None;
        stream.entries.iter().for_each(|entry| sum.hash(entry));
        sum.row(stream)
    }

    /// Whether this is the sum of this key.
    pub fn is_of(&self, database: u32, key: &[u8]) -> bool {
        self.database == database && self.key == key
    }

    /// How many entries were added.
    pub fn count(&self) -> u64 {
        self.count + self.few.as_ref().map_or(0, |(few, _)| few.len() as u64)
    }

    /// Adds entries, and takes them away.
    pub fn add(&mut self, entries: &mut Vec<StreamEntry>) {
        let Some((few, size)) = &mut self.few else {
            entries.drain(..).for_each(|entry| self.hash(&entry));
            return;
        };
        *size += entries.iter().map(entry_of).sum::<usize>();
        few.append(entries);
        if *size >= LARGE {
            let (many, _) = self.few.take().unwrap_or_default();
            many.iter().for_each(|entry| self.hash(entry));
        }
    }

    fn hash(&mut self, entry: &StreamEntry) {
        self.scratch.0.clear();
        self.scratch.entry(entry);
        self.ordered.update(&self.scratch.0);
        self.count += 1;
    }

    /// The row, once everything is here; `tail` is the stream without its entries.
    pub fn finish(mut self, mut tail: Stream) -> Vec<Row> {
        match self.few.take() {
            Some((few, _)) => {
                tail.entries = few;
                let value = Value::Stream(tail);
                super::rows(self.database, &self.key, self.expiry, &value)
            }
            None => self.row(&tail),
        }
    }

    fn row(self, tail: &Stream) -> Vec<Row> {
        let mut behind = Out(Vec::new());
        behind.around(tail);
        let mut out = Out::new(b'B', self.database, &self.key, self.expiry);
        out.0.push(STREAM);
        out.0.extend_from_slice(&self.count.to_le_bytes());
        out.0.extend_from_slice(self.ordered.finalize().as_bytes());
        out.0.extend_from_slice(blake3::hash(&behind.0).as_bytes());
        vec![out.row(self.expiry)]
    }
}
