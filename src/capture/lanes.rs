//! BLAKE3 of many short rows at once: one row in each lane of the CPU's vectors, block after block (BLAKE3 paper, sections 2.1 to
//! 2.3). Rows of a kilobyte at most are one chunk, so there is no tree: the last block's output is the hash.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd::x86::{Avx2, Avx512};
use fearless_simd::{Level, u8x16, u32x4, u32x8, u32x16};

use super::RowHash;
use super::batch::{BLOCK, blocks};

/// The first words of the initial value; the others are the key.
const IV: [u32; 4] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a];
/// Which word of the message each round takes in place of which.
const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const ROUNDS: usize = 7;
const CHUNK_START: u32 = 1;
const CHUNK_END: u32 = 1 << 1;
const ROOT: u32 = 1 << 3;
const KEYED_HASH: u32 = 1 << 4;

/// The words of the message as each round takes them.
const SCHEDULE: [[usize; 16]; ROUNDS] = {
    let mut all = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]; ROUNDS];
    let mut round = 1;
    while round < ROUNDS {
        let mut word = 0;
        while word < 16 {
            all[round][word] = all[round - 1][PERMUTATION[word]];
            word += 1;
        }
        round += 1;
    }
    all
};

/// Ones, then zeros: 64 bytes from the right place keep as many bytes of a block as belong to the row.
static KEEP: [u8; 2 * BLOCK] = {
    let mut bytes = [0; 2 * BLOCK];
    let mut at = 0;
    while at < BLOCK {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes
};

/// Vectors that this CPU has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lanes {
    Eight(Avx2),
    Sixteen(Avx512),
}

impl Lanes {
    /// The widest of this CPU; none if a row at a time is better.
    pub(super) fn best() -> Option<Lanes> {
        // Vectors of code that is not optimised are a hundred times slower than the `blake3` crate, which always is.
        if cfg!(debug_assertions) {
            return None;
        }
        let level = Level::new();
        let sixteen = level.as_avx512().map(Lanes::Sixteen);
        sixteen.or_else(|| level.as_avx2().map(Lanes::Eight))
    }

    /// All of this CPU.
    #[cfg(test)]
    pub(super) fn here() -> Vec<Lanes> {
        let level = Level::new();
        let sixteen = level.as_avx512().map(Lanes::Sixteen);
        let eight = level.as_avx2().map(Lanes::Eight);
        sixteen.into_iter().chain(eight).collect()
    }

    /// Hashes rows of at most 16 blocks, in the order of their numbers of blocks; after each of them a block's length of `bytes` must follow.
    /// Returns how many of `order` it hashed: too few at its end are left to whoever can hash one row faster.
    pub(super) fn hash(
        self,
        key: &[u8; 32],
        bytes: &[u8],
        rows: &[Range<usize>],
        order: &[u32],
        hashes: &mut [RowHash],
    ) -> usize {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(key.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let key = &words;
        match self {
            Lanes::Eight(simd) => simd.vectorize(
                #[inline(always)]
                || groups::<_, u32x8<_>, 8>(simd, key, bytes, rows, order, hashes),
            ),
            Lanes::Sixteen(simd) => simd.vectorize(
                #[inline(always)]
                || groups::<_, u32x16<_>, 16>(simd, key, bytes, rows, order, hashes),
            ),
        }
    }
}

/// Vectors of 32-bit words, and what the portable interface lacks of them. Everything from here on must be inlined to where the
/// CPU's features are known.
trait Words<S: Simd>: SimdInt<S, Element = u32> {
    /// Joins vectors of four; as many as fit are taken.
    fn join(quads: [u32x4<S>; 4]) -> Self;
    /// Takes each lane whose bit is set from `new`.
    fn update(self, simd: S, bits: u64, new: Self) -> Self;
}

impl<S: Simd> Words<S> for u32x8<S> {
    #[inline(always)]
    fn join([a, b, ..]: [u32x4<S>; 4]) -> Self {
        a.combine(b)
    }

    #[inline(always)]
    fn update(self, simd: S, bits: u64, new: Self) -> Self {
        simd.from_bitmask_mask32x8(bits).select(new, self)
    }
}

impl<S: Simd> Words<S> for u32x16<S> {
    #[inline(always)]
    fn join([a, b, c, d]: [u32x4<S>; 4]) -> Self {
        a.combine(b).combine(c.combine(d))
    }

    #[inline(always)]
    fn update(self, simd: S, bits: u64, new: Self) -> Self {
        simd.from_bitmask_mask32x16(bits).select(new, self)
    }
}

#[inline(always)]
fn groups<S: Simd, V: Words<S>, const N: usize>(
    simd: S,
    key: &[u32; 8],
    bytes: &[u8],
    rows: &[Range<usize>],
    order: &[u32],
    hashes: &mut [RowHash],
) -> usize {
    let mut done = 0;
    for group in order.chunks(N) {
        // A group takes as long as a quarter of its lanes one after the other.
        if group.len() <= N / 4 {
            break;
        }
        let row = |lane: usize| rows[group[lane] as usize].clone();
        // Lanes without a row of their own repeat the first, the shortest.
        let lanes: [_; N] = std::array::from_fn(
            #[inline(always)]
            |lane| row(if lane < group.len() { lane } else { 0 }),
        );
        let blocks = blocks(row(group.len() - 1).len());
        let words = compress::<S, V, N>(simd, key, bytes, &lanes, blocks);
        for (lane, row) in group.iter().enumerate() {
            let [a, b, c, d, e] = &words;
            hashes[*row as usize] = [a[lane], b[lane], c[lane], d[lane], e[lane]];
        }
        done += group.len();
    }
    done
}

/// Hashes one row in each lane; none of them has more than this number of blocks. Returns the first words of the hashes.
#[inline(always)]
fn compress<S: Simd, V: Words<S>, const N: usize>(
    simd: S,
    key: &[u32; 8],
    bytes: &[u8],
    rows: &[Range<usize>; N],
    blocks: usize,
) -> [[u32; N]; 5] {
    let mut chain = [V::simd_from(simd, 0); 8];
    for (chain, word) in chain.iter_mut().zip(key) {
        *chain = V::simd_from(simd, *word);
    }
    for block in 0..blocks {
        let mut pieces = [(&[0; BLOCK], &[0; BLOCK]); N];
        let mut lengths = [0; N];
        let mut flags = [0; N];
        let mut going_on = 0;
        for (lane, row) in rows.iter().enumerate() {
            // What is hashed of a row that is over does not matter, as long as it is there.
            let over = block > 0 && block * BLOCK >= row.len();
            let skip = if over { 0 } else { block * BLOCK };
            going_on |= u64::from(!over) << lane;
            let length = (row.len() - skip).min(BLOCK);
            lengths[lane] = length as u32;
            let starts = if skip == 0 { CHUNK_START } else { 0 };
            let ends = if skip + BLOCK >= row.len() {
                CHUNK_END | ROOT
            } else {
                0
            };
            flags[lane] = KEYED_HASH | starts | ends;
            let piece = bytes[row.start + skip..].first_chunk();
            let keep = KEEP[BLOCK - length..].first_chunk();
            pieces[lane] = (
                piece.expect("a block's length follows every row"),
                keep.expect("a block has 64 bytes at most"),
            );
        }
        let message = transpose::<S, V, N>(simd, &pieces);
        let mut state = [V::simd_from(simd, 0); 16];
        state[..8].copy_from_slice(&chain);
        for (state, word) in state[8..].iter_mut().zip(IV) {
            *state = V::simd_from(simd, word);
        }
        // Words 12 and 13 are the chunk's number: the first of its row.
        state[14] = V::from_slice(simd, &lengths);
        state[15] = V::from_slice(simd, &flags);
        // Not a loop: the places of the words must be constants.
        round(&mut state, &message, &SCHEDULE[0]);
        round(&mut state, &message, &SCHEDULE[1]);
        round(&mut state, &message, &SCHEDULE[2]);
        round(&mut state, &message, &SCHEDULE[3]);
        round(&mut state, &message, &SCHEDULE[4]);
        round(&mut state, &message, &SCHEDULE[5]);
        round(&mut state, &message, &SCHEDULE[6]);
        for (word, chain) in chain.iter_mut().enumerate() {
            let new = state[word] ^ state[word + 8];
            *chain = chain.update(simd, going_on, new);
        }
    }
    let mut words = [[0; N]; 5];
    for (words, chain) in words.iter_mut().zip(&chain) {
        chain.store_slice(words);
    }
    words
}

/// The message's words, each of all lanes, from the lanes' blocks and what to keep of them.
#[inline(always)]
fn transpose<S: Simd, V: Words<S>, const N: usize>(
    simd: S,
    pieces: &[(&[u8; BLOCK], &[u8; BLOCK]); N],
) -> [V; 16] {
    let mut message = [V::simd_from(simd, 0); 16];
    for part in 0..4 {
        let mut quads = [[u32x4::simd_from(simd, 0); 4]; 4];
        for quarter in 0..N / 4 {
            let four = &pieces[4 * quarter..][..4];
            let (a, b) = (take(simd, four[0], part), take(simd, four[1], part));
            let (c, d) = (take(simd, four[2], part), take(simd, four[3], part));
            let (low, high) = (a.zip_low(c), b.zip_low(d));
            quads[0][quarter] = low.zip_low(high);
            quads[1][quarter] = low.zip_high(high);
            let (low, high) = (a.zip_high(c), b.zip_high(d));
            quads[2][quarter] = low.zip_low(high);
            quads[3][quarter] = low.zip_high(high);
        }
        for (word, quads) in quads.into_iter().enumerate() {
            message[4 * part + word] = V::join(quads);
        }
    }
    message
}

/// The four words of a part of a block, without what is not to be kept.
#[inline(always)]
fn take<S: Simd>(simd: S, (piece, keep): (&[u8; BLOCK], &[u8; BLOCK]), part: usize) -> u32x4<S> {
    let piece = u8x16::from_slice(simd, &piece[16 * part..][..16]);
    let keep = u8x16::from_slice(simd, &keep[16 * part..][..16]);
    u32x4::from_bytes(piece & keep)
}

#[inline(always)]
fn round<S: Simd, V: Words<S>>(state: &mut [V; 16], message: &[V; 16], places: &[usize; 16]) {
    let word = |place: usize| message[places[place]];
    mix(state, [0, 4, 8, 12], word(0), word(1));
    mix(state, [1, 5, 9, 13], word(2), word(3));
    mix(state, [2, 6, 10, 14], word(4), word(5));
    mix(state, [3, 7, 11, 15], word(6), word(7));
    mix(state, [0, 5, 10, 15], word(8), word(9));
    mix(state, [1, 6, 11, 12], word(10), word(11));
    mix(state, [2, 7, 8, 13], word(12), word(13));
    mix(state, [3, 4, 9, 14], word(14), word(15));
}

/// The quarter round.
#[inline(always)]
fn mix<S: Simd, V: Words<S>>(state: &mut [V; 16], [a, b, c, d]: [usize; 4], x: V, y: V) {
    state[a] = state[a] + state[b] + x;
    state[d] = rotate(state[d] ^ state[a], 16);
    state[c] += state[d];
    state[b] = rotate(state[b] ^ state[c], 12);
    state[a] = state[a] + state[b] + y;
    state[d] = rotate(state[d] ^ state[a], 8);
    state[c] += state[d];
    state[b] = rotate(state[b] ^ state[c], 7);
}

/// To the right.
#[inline(always)]
fn rotate<S: Simd, V: Words<S>>(words: V, bits: u32) -> V {
    (words >> bits) | (words << (32 - bits))
}
