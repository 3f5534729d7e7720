//! Where a part is cut into segments, so that a part that did not change gives the same segments again.
//!
//! A segment has at least `min` and at most `max` bytes; the last of a part may be smaller. Further on in a part they get
//! longer, so that what one change makes new stays a small share of the part, and a huge part does not become a myriad of
//! objects. Between the limits a segment's end
//! is chosen by content: at places that the provider offers (`cut`), or, for a part that offers none, by a rolling hash.
//! The choice depends only on bytes near the place, so after an insertion the cuts fall into step again. It is
//! keyed, so that lengths do not tell an outsider what a segment holds. Readers need none of this.

use std::collections::VecDeque;
use std::sync::Arc;

use super::buffers::Buffers;

/// The limits of a segment, in plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSizes {
    /// At least this at a part's beginning, except for its last segment.
    pub min: usize,
    /// At most this.
    pub max: usize,
    /// The mean distance from `min` to the chosen end there.
    pub spread: usize,
}

impl Default for SegmentSizes {
    fn default() -> Self {
        SegmentSizes {
            min: 1 << 20,
            max: 32 << 20,
            spread: 2 << 20,
        }
    }
}

impl SegmentSizes {
    /// The limits for a segment that begins this far into its part.
    fn at(self, position: u64) -> SegmentSizes {
        let max = self.max as u64;
        let times = match position {
            _ if position < 8 * max => 1,
            _ if position < 24 * max => 2,
            _ if position < 96 * max => 4,
            _ => 10,
        };
        SegmentSizes {
            min: (self.min * times).min(self.max / 2),
            max: self.max,
            spread: self.spread.saturating_mul(times),
        }
    }
}

/// How many bytes before an offered cut decide whether it is taken.
const WINDOW: usize = 256;
/// Up to this a part's only segment grows in a buffer of its own.
const SMALL: usize = 1 << 20;
/// How many bytes the rolling hash remembers: one for each bit.
const GEAR_WINDOW: usize = 64;

/// The keyed choice; clones share the table.
#[derive(Clone)]
pub(super) struct Cuts {
    sizes: SegmentSizes,
    key: [u8; 32],
    gear: Arc<[u64; 256]>,
}

impl Cuts {
    pub fn new(sizes: SegmentSizes, key: [u8; 32]) -> Self {
        let mut table = [0_u64; 256];
        let mut random = blake3::Hasher::new_keyed(&key).finalize_xof();
        for slot in &mut table {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            *slot = u64::from_le_bytes(bytes);
        }
        Cuts {
            sizes,
            key,
            gear: Arc::new(table),
        }
    }

    /// Whether an offered cut is taken: as likely as the distance from the one before is long, so that the spread does
    /// not depend on how often cuts are offered.
    fn takes(&self, before: &[u8], distance: usize, spread: usize) -> bool {
        let window = &before[before.len().saturating_sub(WINDOW)..];
        let hash = blake3::keyed_hash(&self.key, window);
        let mut low = [0; 8];
        low.copy_from_slice(&hash.as_bytes()[..8]);
        let step = u64::MAX / (spread.max(1) as u64);
        u64::from_le_bytes(low) <= step.saturating_mul(distance as u64)
    }
}

/// Cuts one part.
pub(super) struct Cutter {
    cuts: Cuts,
    /// The limits of the present segment.
    sizes: SegmentSizes,
    buffers: Arc<Buffers>,
    buffer: Vec<u8>,
    /// Bytes of the whole part that come before the present segment.
    position: u64,
    /// Length of the buffer at the latest offered cut past `min` that was not taken.
    candidate: Option<usize>,
    /// Length of the buffer at the latest offered cut.
    offered: usize,
    /// Whether the provider offers cuts at all.
    offers: bool,
    rolling: u64,
    done: VecDeque<Vec<u8>>,
}

impl Cutter {
    /// For a part, or for a stretch of one that this many bytes come before.
    pub fn new(cuts: Cuts, buffers: Arc<Buffers>, position: u64) -> Self {
        Cutter {
            sizes: cuts.sizes.at(position),
            cuts,
            buffers,
            buffer: Vec::new(),
            position,
            candidate: None,
            offered: 0,
            offers: false,
            rolling: 0,
            done: VecDeque::new(),
        }
    }

    /// Takes bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.sizes.max - self.buffer.len();
            let mut take = room.min(bytes.len());
            let mut end = false;
            if !self.offers
                && let Some(at) = self.roll(&bytes[..take])
            {
                take = at;
                end = true;
            }
            self.take(&bytes[..take]);
            bytes = &bytes[take..];
            if end {
                self.end_at(self.buffer.len());
            } else if self.buffer.len() == self.sizes.max {
                self.end_at(self.candidate.unwrap_or(self.sizes.max));
            }
        }
    }

    /// Appends to the segment. A small part gets a small buffer; one that goes on gets one for a whole segment.
    fn take(&mut self, bytes: &[u8]) {
        let length = self.buffer.len() + bytes.len();
        if length > self.buffer.capacity() {
            let mut larger = if length <= SMALL && self.position == 0 {
                Vec::with_capacity(SMALL.min(2 * length))
            } else {
                self.buffers.take()
            };
            larger.extend_from_slice(&self.buffer);
            self.buffer = larger;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete segment, in order.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        self.done.pop_front()
    }

    /// Offers the present place as an end.
    pub fn cut(&mut self) {
        let at = self.buffer.len();
        self.offers = true;
        if at >= self.sizes.min && at > self.offered {
            let spread = self.sizes.spread;
            if self.cuts.takes(&self.buffer, at - self.offered, spread) {
                self.end_at(at);
                return;
            }
            self.candidate = Some(at);
        }
        self.offered = at;
    }

    /// Completes the last segment.
    pub fn finish(&mut self) {
        if !self.buffer.is_empty() {
            self.end_at(self.buffer.len());
        }
    }

    fn end_at(&mut self, at: usize) {
        let mut rest = Vec::new();
        if at < self.buffer.len() {
            rest = self.buffers.take();
            rest.extend_from_slice(&self.buffer[at..]);
            self.buffer.truncate(at);
        }
        self.position += at as u64;
        self.sizes = self.cuts.sizes.at(self.position);
        self.done
            .push_back(std::mem::replace(&mut self.buffer, rest));
        self.candidate = None;
        self.offered = 0;
        self.rolling = 0;
    }

    /// Rolls the hash over bytes about to be appended; the number of them that belong to a segment that ends here.
    fn roll(&mut self, bytes: &[u8]) -> Option<usize> {
        let sizes = self.sizes;
        let start = self.buffer.len();
        // Warm up before `min`, so that the choice does not depend on where the segment began.
        let skip = sizes.min.saturating_sub(GEAR_WINDOW + start);
        let bits = sizes.spread.max(2).ilog2();
        for (at, byte) in bytes.iter().enumerate().skip(skip) {
            self.rolling = (self.rolling << 1).wrapping_add(self.cuts.gear[usize::from(*byte)]);
            let length = start + at + 1;
            if length >= sizes.min.max(1) && self.rolling >> (64 - bits) == 0 {
                return Some(at + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const SIZES: SegmentSizes = SegmentSizes {
        min: 4096,
        max: 32768,
        spread: 2048,
    };

    fn noise(seed: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new_keyed(&[seed; 32])
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    fn cut_up(bytes: &[u8], chunk: usize, row: Option<usize>) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::new(
            Cuts::new(SIZES, [1; 32]),
            Arc::new(Buffers::new(SIZES.max)),
            0,
        );
        match row {
            None => bytes.chunks(chunk).for_each(|c| cutter.push(c)),
            Some(row) => {
                for line in bytes.split_inclusive(|b| (*b as usize) < 256 / row.max(1)) {
                    line.chunks(chunk).for_each(|c| cutter.push(c));
                    cutter.cut();
                }
            }
        }
        cutter.finish();
        std::iter::from_fn(|| cutter.next()).collect()
    }

    #[test]
    fn after_an_insertion_the_cuts_fall_into_step_again() {
        let bytes = noise(3, 1 << 20);
        for row in [None, Some(64)] {
            let before = cut_up(&bytes, 5000, row);
            let mut changed = bytes.clone();
            changed.splice(300_000..300_000, *b"a row that was not there");
            let known: HashSet<&Vec<u8>> = before.iter().collect();
            let after = cut_up(&changed, 5000, row);
            let new = after.iter().filter(|s| !known.contains(s)).count();
            assert!(new <= 4, "{new} of {} segments are new", after.len());
            assert!(after.len() > 20);
        }
    }

    #[test]
    fn offered_cuts_are_preferred_even_when_the_limit_forces_one() {
        let mut cuts = Cuts::new(SIZES, [1; 32]);
        // Practically never by choice.
        cuts.sizes.spread = usize::MAX;
        let mut cutter = Cutter::new(cuts, Arc::new(Buffers::new(SIZES.max)), 0);
        for _ in 0..20 {
            cutter.push(&noise(1, 3000));
            cutter.cut();
        }
        assert_eq!(cutter.next().map(|s| s.len()), Some(30_000));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_limits_hold(
            length in 0_usize..200_000,
            chunk in 1_usize..70_000,
            row in proptest::option::of(1_usize..200),
            seed in any::<u8>(),
        ) {
            let bytes = noise(seed, length);
            let segments = cut_up(&bytes, chunk, row);
            prop_assert_eq!(segments.concat(), bytes.clone());
            for (at, segment) in segments.iter().enumerate() {
                prop_assert!(segment.len() <= SIZES.max);
                prop_assert!(!segment.is_empty());
                prop_assert!(at + 1 == segments.len() || segment.len() >= SIZES.min);
            }
            // The same bytes in other chunks give the same segments.
            prop_assert_eq!(cut_up(&bytes, chunk / 2 + 1, row), segments);
        }
    }
}
