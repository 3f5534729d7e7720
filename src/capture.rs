//! The vocabulary between the datastores and the repository: parts, fingerprints, and who reads and writes them.
//!
//! A capture is a set of named *parts* (a schema, a table's rows, a Redis database). A provider writes a part as a
//! stream of chunks and says where its own layout repeats; the repository cuts, compresses, encrypts and stores.
//! A part that was not finished does not exist.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::identity::{Identity, Store};
use crate::time::Instant;

mod batch;
#[cfg(target_arch = "x86_64")]
mod lanes;
/// Other CPUs hash a row at a time.
#[cfg(not(target_arch = "x86_64"))]
#[path = "capture/no_lanes.rs"]
mod lanes;

pub use batch::{BatchFingerprinter, RowBatch};

/// The key of row hashes: derived from the repository secret, so that fingerprints tell an outsider nothing.
#[derive(Clone)]
pub struct FingerprintKey(zeroize::Zeroizing<[u8; 32]>);

impl FingerprintKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        FingerprintKey(zeroize::Zeroizing::new(bytes))
    }

    /// An empty fingerprint under this key.
    pub fn start(&self) -> Fingerprinter {
        Fingerprinter {
            key: *self.0,
            rows: 0,
            sum: 0,
        }
    }

    /// An empty fingerprint under this key, for many rows.
    pub fn gather(&self) -> BatchFingerprinter {
        BatchFingerprinter::new(self.start())
    }
}

/// What is used of a row's hash: its first words.
type RowHash = [u32; 5];

fn words(hash: &blake3::Hash) -> RowHash {
    let bytes = hash.as_bytes().as_chunks().0;
    std::array::from_fn(|word| u32::from_le_bytes(bytes[word]))
}

/// Adds up row hashes: count and sum modulo 2^128 of keyed 128-bit BLAKE3 hashes, so that order does not matter and
/// two equal rows do not cancel out.
#[derive(Clone)]
pub struct Fingerprinter {
    key: [u8; 32],
    rows: u64,
    sum: u128,
}

impl Fingerprinter {
    /// Adds one row in its canonical bytes.
    pub fn add(&mut self, row: &[u8]) {
        self.add_with_hash(row);
    }

    /// Adds one row, and returns some bits of its hash, for whoever decides by a row's content.
    pub fn add_with_hash(&mut self, row: &[u8]) -> u32 {
        self.add_hash(&words(&blake3::keyed_hash(&self.key, row)))
    }

    /// Begins a row that comes in pieces.
    pub fn begin(&self) -> RowHasher {
        RowHasher(Box::new(blake3::Hasher::new_keyed(&self.key)))
    }

    /// Adds a row that came in pieces, as [`Fingerprinter::add_with_hash`] does.
    pub fn end(&mut self, row: &RowHasher) -> u32 {
        self.add_hash(&words(&row.0.finalize()))
    }

    fn add_hash(&mut self, [a, b, c, d, bits]: &RowHash) -> u32 {
        let number = [d, c, b, a]
            .into_iter()
            .fold(0, |number, word| number << 32 | u128::from(*word));
        self.sum = self.sum.wrapping_add(number);
        self.rows += 1;
        // Bytes that the sum does not show.
        *bits
    }

    /// Adds what another fingerprinter under the same key has seen.
    pub fn merge(&mut self, other: &Fingerprint) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.rows += other.rows;
    }

    /// The fingerprint so far.
    pub fn finish(&self) -> Fingerprint {
        Fingerprint {
            rows: self.rows,
            sum: self.sum,
        }
    }
}

/// The hash of one row that comes in pieces.
pub struct RowHasher(Box<blake3::Hasher>);

impl RowHasher {
    /// Adds the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }
}

/// What a set of rows adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint {
    /// How many rows.
    pub rows: u64,
    /// Sum of their keyed hashes modulo 2^128.
    pub sum: u128,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:032x}", self.rows, self.sum)
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(rows, sum)| {
            (sum.len() == 32).then_some(())?;
            Some(Fingerprint {
                rows: rows.parse().ok()?,
                sum: u128::from_str_radix(sum, 16).ok()?,
            })
        });
        parsed.ok_or_else(|| crate::error::Error::input(format!("`{text}` is not a fingerprint")))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Fingerprint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fingerprint".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9]+:[0-9a-f]{32}$"})
    }
}

/// What is known of a part once it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PartInfo {
    /// Unique in its backup: `postgres/app/table/public.users`, `neo4j/neo4j/nodes`, `redis/0/keys`.
    pub name: String,
    /// How to read the bytes back: `pg-schema`, `pg-copy-text`, `neo4j-packstream`, `redis-dump-stream`, `json` …
    pub format: String,
    /// Plain bytes written.
    pub bytes: u64,
    /// Count and sum of its rows; absent for parts that are not rows, such as a schema.
    pub fingerprint: Option<Fingerprint>,
    /// What a reader needs besides the bytes: columns, settings the fingerprint depends on.
    pub meta: BTreeMap<String, serde_json::Value>,
}

/// How far a capture is from a single point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// All parts show one moment: a snapshot, or a source that was seen not to change.
    PointInTime,
    /// Each of the source's databases or shards shows one moment of its own; the window says how far they are apart.
    Apart,
    /// Parts were read while the source could change; the window is stated.
    Fuzzy,
}

/// What a provider says of a finished capture. Nothing in it is assumed: what was not measured is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Captured {
    /// Which kind of store.
    pub store: Store,
    /// Who was captured.
    pub identity: Identity,
    /// The server's version, as it says.
    pub server_version: String,
    /// Whether it is one moment.
    pub consistency: Consistency,
    /// How the moment was made: `exported snapshot 00000003-…`, `PSYNC`, `bookmark unchanged`, `SCAN`.
    pub method: String,
    /// Start of the window in which the data were read: the point in time, if `point-in-time`.
    pub from: Instant,
    /// End of that window.
    pub to: Instant,
    /// What the store holds that this capture does not carry, one line each; empty means nothing known.
    pub not_carried: Vec<String>,
    /// What in the data would keep a restored copy from working; absent if nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub troubles: Option<Vec<Trouble>>,
    /// The parts written.
    pub parts: Vec<PartInfo>,
}

/// Something in the captured data that keeps what is restored from working, as it stood in the captured moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "kind",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Trouble {
    /// A migration lock that somebody held: in a restored copy nobody does, and the next migration waits for ever.
    Lock {
        /// The database.
        database: String,
        /// The migration tool.
        tool: String,
        /// Its lock's table, quoted where SQL needs it.
        table: String,
        /// Which row of it.
        key: String,
        /// Who held it, as the row says.
        holder: Option<String>,
        /// Since when, as the row says.
        since: Option<String>,
    },
    /// A sequence whose next value its column already has.
    Sequence {
        /// The database.
        database: String,
        /// Its name, quoted where SQL needs it.
        sequence: String,
        /// The column, as `schema.table.column`.
        column: String,
        /// The value that the sequence must have given for the next one to be new.
        highest: i64,
    },
    /// An index that was not valid: `pg_dump` leaves it out, unless it is that of a partitioned table.
    Index {
        /// The database.
        database: String,
        /// Its name, quoted where SQL needs it.
        index: String,
        /// Its table.
        table: String,
        /// The statement that makes it.
        definition: String,
        /// Whether it is an index of a partitioned table, whose partitions do not all have it.
        partitioned: bool,
    },
}

impl Trouble {
    /// The database that has it.
    pub fn database(&self) -> &str {
        match self {
            Trouble::Lock { database, .. }
            | Trouble::Sequence { database, .. }
            | Trouble::Index { database, .. } => database,
        }
    }

    /// As a person reads it.
    pub fn words(&self) -> String {
        match self {
            Trouble::Lock {
                tool,
                table,
                holder,
                since,
                ..
            } => {
                let by = holder
                    .as_ref()
                    .map_or(String::new(), |h| format!(" by {h}"));
                let since = since
                    .as_ref()
                    .map_or(String::new(), |s| format!(" since {s}"));
                format!("the migration lock of {tool} (`{table}`) is held{by}{since}")
            }
            Trouble::Sequence {
                sequence,
                column,
                highest,
                ..
            } => format!("the sequence `{sequence}` is behind `{column}`, which reaches {highest}"),
            Trouble::Index {
                index,
                table,
                partitioned: false,
                ..
            } => format!("the index `{index}` of `{table}` is not valid"),
            Trouble::Index { index, table, .. } => format!(
                "the index `{index}` of `{table}` is not valid, because not every partition has it"
            ),
        }
    }
}

/// Where a capture is written to.
#[async_trait]
pub trait PartSink: Send + Sync {
    /// Opens a part. Several may be open at once, from several tasks.
    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>>;

    /// Opens a stretch of a part that several tasks write at once. It is a part of its own until [`PartSink::join`]; about
    /// `before` bytes of the whole come before it.
    async fn create_stretch(
        &self,
        name: &str,
        format: &str,
        before: u64,
    ) -> Result<Box<dyn PartWriter>> {
        let _ = before;
        self.create(name, format).await
    }

    /// Makes one part of finished stretches, in this order.
    async fn join(
        &self,
        name: &str,
        stretches: &[String],
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo>;
}

/// One part being written. Dropping it unfinished leaves nothing behind that counts.
#[async_trait]
pub trait PartWriter: Send + Sync {
    /// Appends bytes without waiting, a row at a time if need be. [`PartWriter::settle`] follows after every mebibyte or so.
    fn append(&mut self, bytes: &[u8]);
    /// Begins to store what `append` completed; waits while more is in flight than memory is meant for.
    async fn settle(&mut self) -> Result<()>;
    /// Appends and settles.
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.append(&chunk);
        self.settle().await
    }
    /// Says that the source's own layout repeats here, so that a segment may end here (between rows, at a page).
    fn cut(&mut self);
    /// Seals the part.
    async fn finish(
        self: Box<Self>,
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo>;
}

/// Where a restore reads from.
#[async_trait]
pub trait PartSource: Send + Sync {
    /// The parts whose names begin with `prefix`, in name order.
    fn parts(&self, prefix: &str) -> Vec<PartInfo>;
    /// Opens a part by its full name.
    async fn open(&self, name: &str) -> Result<Box<dyn PartReader>>;
}

/// One part being read: authenticated bytes in order, cut at arbitrary places.
#[async_trait]
pub trait PartReader: Send {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>>;

    /// Everything that is left, for parts known to be small.
    async fn read_all(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

type SharedParts = std::sync::Arc<std::sync::Mutex<BTreeMap<String, (PartInfo, Vec<u8>)>>>;

/// A sink and source in memory, for tests of providers and of the engine.
#[derive(Default)]
pub struct MemoryParts(SharedParts);

struct MemoryWriter {
    parts: SharedParts,
    name: String,
    format: String,
    bytes: Vec<u8>,
}

struct MemoryReader(std::collections::VecDeque<Bytes>);

#[async_trait]
impl PartSink for MemoryParts {
    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>> {
        Ok(Box::new(MemoryWriter {
            parts: std::sync::Arc::clone(&self.0),
            name: name.to_owned(),
            format: format.to_owned(),
            bytes: Vec::new(),
        }))
    }

    async fn join(
        &self,
        name: &str,
        stretches: &[String],
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        let mut parts = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut format = String::new();
        let mut bytes = Vec::new();
        for stretch in stretches {
            let (info, more) = parts.remove(stretch).ok_or_else(|| {
                crate::error::Error::bug(format!("the stretch `{stretch}` is not finished"))
            })?;
            format = info.format;
            bytes.extend(more);
        }
        let info = PartInfo {
            name: name.to_owned(),
            format,
            bytes: bytes.len() as u64,
            fingerprint,
            meta,
        };
        parts.insert(name.to_owned(), (info.clone(), bytes));
        Ok(info)
    }
}

#[async_trait]
impl PartWriter for MemoryWriter {
    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
    async fn settle(&mut self) -> Result<()> {
        Ok(())
    }
    fn cut(&mut self) {}
    async fn finish(
        self: Box<Self>,
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        let info = PartInfo {
            name: self.name,
            format: self.format,
            bytes: self.bytes.len() as u64,
            fingerprint,
            meta,
        };
        let mut parts = self
            .parts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.insert(info.name.clone(), (info.clone(), self.bytes));
        Ok(info)
    }
}

#[async_trait]
impl PartSource for MemoryParts {
    fn parts(&self, prefix: &str) -> Vec<PartInfo> {
        let parts = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        parts
            .values()
            .map(|(info, _)| info)
            .filter(|info| info.name.starts_with(prefix))
            .cloned()
            .collect()
    }
    async fn open(&self, name: &str) -> Result<Box<dyn PartReader>> {
        let parts = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (_, bytes) = parts.get(name).ok_or_else(|| {
            crate::error::Error::input(format!("the capture has no part `{name}`"))
        })?;
        // Small, odd pieces: a reader must not depend on where chunks end.
        Ok(Box::new(MemoryReader(
            bytes.chunks(4_093).map(Bytes::copy_from_slice).collect(),
        )))
    }
}

#[async_trait]
impl PartReader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_duplicates_count() {
        let key = FingerprintKey::new([7; 32]);
        let of = |rows: &[&str]| {
            let mut f = key.start();
            rows.iter().for_each(|r| f.add(r.as_bytes()));
            f.finish()
        };
        assert_eq!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a", "a"]), of(&[]));
        assert_ne!(of(&["a", "a", "b"]), of(&["b", "b", "a"]));
        let text = of(&["a"]).to_string();
        assert_eq!(text.parse::<Fingerprint>().expect("parses"), of(&["a"]));
    }
}
