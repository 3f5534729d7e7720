//! Rows that are hashed together.
//!
//! BLAKE3 is fast on long inputs, whose chunks it hashes side by side. A row is mostly shorter than one chunk: its blocks come one after the
//! other, and most of the CPU's vectors lie idle. Many rows can be hashed side by side instead. The hashes are the same.

use std::ops::Range;

use super::lanes::Lanes;
use super::{Fingerprint, Fingerprinter, RowHash, RowHasher, words};

/// What a batch holds at most, one row more or less: small enough for the CPU's cache.
const BYTES: usize = 64 * 1024;
const ROWS: usize = 4096;
/// The length of BLAKE3's block, in bytes.
pub(super) const BLOCK: usize = 64;
/// Chunks of a longer row are hashed side by side anyway.
const MOST_BLOCKS: usize = 16;

/// Bytes, and where in them rows lie that are not hashed yet.
#[derive(Default)]
pub struct RowBatch {
    bytes: Vec<u8>,
    rows: Vec<Range<usize>>,
    hashes: Vec<RowHash>,
    /// The rows by their numbers of blocks.
    order: Vec<u32>,
}

impl RowBatch {
    /// A row from this length on gains nothing here.
    pub const LONG: usize = 16 * 1024;

    /// Takes bytes, and the row in them if there is one.
    pub fn push(&mut self, bytes: &[u8], row: Option<Range<usize>>) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        if let Some(row) = row {
            self.rows.push(at + row.start..at + row.end);
        }
    }

    /// Whether it is time to hash what is here.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES || self.rows.len() >= ROWS
    }

    /// All bytes that were pushed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The rows that [`Fingerprinter::add_batch`] has hashed, in their order: where they lie, and some bits of their hashes, as
    /// [`Fingerprinter::add_with_hash`] returns them.
    pub fn hashed(&self) -> impl Iterator<Item = (Range<usize>, u32)> {
        let bits = self.hashes.iter().map(|[.., bits]| *bits);
        self.rows.iter().cloned().zip(bits)
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.hashes.clear();
    }

    fn hash(&mut self, key: &[u8; 32], lanes: Option<Lanes>) {
        let RowBatch {
            bytes,
            rows,
            hashes,
            order,
        } = self;
        hashes.clear();
        hashes.resize(rows.len(), [0; 5]);
        let mut done = 0;
        let short = sort(rows, order);
        if let Some(lanes) = lanes {
            let end = bytes.len();
            bytes.resize(end + BLOCK, 0);
            done = lanes.hash(key, bytes, rows, &order[..short], hashes);
            bytes.truncate(end);
        }
        for row in &order[done..] {
            let row = *row as usize;
            hashes[row] = words(&blake3::keyed_hash(key, &bytes[rows[row].clone()]));
        }
    }
}

/// How many blocks a row of this length takes.
pub(super) fn blocks(length: usize) -> usize {
    length.div_ceil(BLOCK).max(1)
}

/// Orders rows by their numbers of blocks; how many of them are short.
fn sort(rows: &[Range<usize>], order: &mut Vec<u32>) -> usize {
    let class = |row: &Range<usize>| blocks(row.len()).min(MOST_BLOCKS + 1);
    let mut places = [0; MOST_BLOCKS + 2];
    for row in rows {
        places[class(row)] += 1;
    }
    let mut sum = 0;
    for place in &mut places {
        sum += std::mem::replace(place, sum);
    }
    let short = places[MOST_BLOCKS + 1];
    order.clear();
    order.resize(rows.len(), 0);
    for (number, row) in rows.iter().enumerate() {
        let place = &mut places[class(row)];
        order[*place] = number as u32;
        *place += 1;
    }
    short
}

impl Fingerprinter {
    /// Adds the rows of a batch, which stays as it is; its hashes are there afterwards.
    pub fn add_batch(&mut self, batch: &mut RowBatch) {
        batch.hash(&self.key, Lanes::best());
        for hash in &batch.hashes {
            self.add_hash(hash);
        }
    }
}

/// A [`Fingerprinter`] that gathers its rows and hashes them together.
pub struct BatchFingerprinter {
    fingerprinter: Fingerprinter,
    batch: RowBatch,
}

impl BatchFingerprinter {
    pub(super) fn new(fingerprinter: Fingerprinter) -> Self {
        BatchFingerprinter {
            fingerprinter,
            batch: RowBatch::default(),
        }
    }

    /// Adds one row in its canonical bytes.
    pub fn add(&mut self, row: &[u8]) {
        if row.len() >= RowBatch::LONG {
            self.fingerprinter.add(row);
            return;
        }
        self.batch.push(row, Some(0..row.len()));
        if self.batch.is_full() {
            self.settle();
        }
    }

    /// Begins a row that comes in pieces.
    pub fn begin(&self) -> RowHasher {
        self.fingerprinter.begin()
    }

    /// Adds a row that came in pieces.
    pub fn end(&mut self, row: &RowHasher) {
        self.fingerprinter.end(row);
    }

    /// The fingerprint so far.
    pub fn finish(&mut self) -> Fingerprint {
        self.settle();
        self.fingerprinter.finish()
    }

    fn settle(&mut self) {
        self.fingerprinter.add_batch(&mut self.batch);
        self.batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::FingerprintKey;
    use proptest::prelude::*;

    const KEY: [u8; 32] = *b"a key of which every byte counts";

    /// Bytes that look like nothing.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut reader = blake3::Hasher::new().finalize_xof();
        reader.fill(&mut bytes);
        bytes
    }

    fn batch(lengths: impl IntoIterator<Item = usize>) -> RowBatch {
        let mut batch = RowBatch::default();
        for (number, length) in lengths.into_iter().enumerate() {
            let row = noise(length + number % 7);
            batch.push(&row, Some(number % 7..row.len()));
        }
        batch
    }

    fn every_way_agrees(batch: &mut RowBatch) {
        let one_by_one: Vec<RowHash> = batch
            .rows
            .iter()
            .map(|row| words(&blake3::keyed_hash(&KEY, &batch.bytes[row.clone()])))
            .collect();
        for lanes in [None]
            .into_iter()
            .chain(Lanes::here().into_iter().map(Some))
        {
            let bytes = batch.bytes.clone();
            batch.hash(&KEY, lanes);
            assert_eq!(batch.bytes, bytes);
            for (number, row) in batch.rows.iter().enumerate() {
                let length = row.len();
                assert_eq!(
                    batch.hashes[number], one_by_one[number],
                    "{length} bytes by {lanes:?}"
                );
            }
        }
    }

    #[test]
    fn rows_of_every_length_hash_as_one_by_one() {
        every_way_agrees(&mut batch(0..=1100));
        every_way_agrees(&mut batch((0..=1100).rev()));
        for length in [0, 1, 63, 64, 65, 1023, 1024] {
            every_way_agrees(&mut batch([length; 40]));
        }
    }

    proptest! {
        #[test]
        fn any_batch_hashes_as_one_by_one(
            lengths in proptest::collection::vec(prop_oneof![0_usize..300, 0_usize..1200, Just(5000)], 0..50)
        ) {
            every_way_agrees(&mut batch(lengths));
        }

        #[test]
        fn gathered_rows_add_up_to_the_same_fingerprint(
            lengths in proptest::collection::vec(prop_oneof![0_usize..300, 9_000_usize..20_000], 0..60)
        ) {
            let key = FingerprintKey::new(KEY);
            let (mut plain, mut gathered) = (key.start(), key.gather());
            for length in lengths {
                let row = noise(length);
                plain.add(&row);
                gathered.add(&row);
            }
            prop_assert_eq!(gathered.finish(), plain.finish());
            prop_assert_eq!(gathered.finish(), plain.finish());
        }
    }

    #[test]
    fn a_batch_is_full_by_bytes_or_by_rows() {
        let mut batch = batch([BYTES - 1]);
        assert!(!batch.is_full());
        batch.push(b"x", None);
        assert!(batch.is_full());
        batch.clear();
        (0..ROWS).for_each(|_| batch.push(b"", Some(0..0)));
        assert!(batch.is_full());
    }
}
