//! One segment's way through compression and encryption, and back.
//!
//! Both directions are blocking work on whole segments (at most 64 MiB plain), so memory is bounded by how many are in
//! flight. A segment is a standard age file of one standard zstd frame with a content checksum and size.

use std::io::{Read as _, Write as _};

use age::x25519::{Identity, Recipient};
use bytes::Bytes;

use super::format::{Piece, SegmentDoc};
use super::keys::EpochKeys;
use super::store::{Object, sha256};
use super::{DAMAGED, no_identity};
use crate::error::{Error, Result};

/// zstd's fastest standard level: age's own work then weighs about as much.
const LEVEL: i32 = 1;
/// For what hardly gets smaller, such as embeddings: only repetitions are looked for, and what has none is stored as it is.
const LEVEL_OF_NOISE: i32 = -1;
/// What must be saved to be worth the time, as a share: an eighth, as file systems have it.
const WORTH: usize = 8;
/// How much is tried, at this many places.
const SAMPLE: usize = 32 << 10;
const SAMPLES: usize = 4;
/// How much larger than its plain bytes an encrypted segment can be: age's header and 16 bytes for each 64 KiB
/// (age-encryption.org/v1, "Payload"), and one byte in 256 for what zstd cannot compress (`ZSTD_COMPRESSBOUND`).
pub(super) const OVERHEAD: u64 = 512 << 10;

/// Compresses and encrypts.
pub(super) fn pack(recipient: &Recipient, plain: &[u8]) -> Result<Object> {
    let failed = |e: std::io::Error| Error::bug("a segment does not encode").caused_by(e);
    let recipients = [recipient as &dyn age::Recipient];
    let encryptor = age::Encryptor::with_recipients(recipients.into_iter())
        .map_err(|e| Error::bug(format!("age does not encrypt: {e}")))?;
    // The whole segment at once: a stream would copy each piece into its window first, and match more slowly.
    let mut packing = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
    if is_noise(&mut packing, plain).map_err(failed)? {
        packing
            .set_compression_level(LEVEL_OF_NOISE)
            .map_err(failed)?;
    }
    packing.include_checksum(true).map_err(failed)?;
    let packed = packing.compress(plain).map_err(failed)?;
    let out = Vec::with_capacity(packed.len() + packed.len() / 2048 + 1024);
    let mut sealing = encryptor.wrap_output(out).map_err(failed)?;
    sealing.write_all(&packed).map_err(failed)?;
    let out = sealing.finish().map_err(failed)?;
    Ok(Object::new(out))
}

/// Whether samples of it hardly get smaller.
fn is_noise(packing: &mut zstd::bulk::Compressor<'_>, plain: &[u8]) -> std::io::Result<bool> {
    let stride = plain.len() / SAMPLES;
    if stride < 4 * SAMPLE {
        return Ok(false);
    }
    let mut packed = 0;
    for sample in plain.chunks_exact(stride) {
        packed += packing.compress(&sample[..SAMPLE])?.len();
    }
    let whole = SAMPLES * SAMPLE;
    Ok(packed > whole - whole / WORTH)
}

/// Checks, decrypts and decompresses a segment: the object's digest, age's authentication, zstd's checksum, the plain
/// size and the id must all be right.
pub(super) fn unpack(
    keys: &EpochKeys,
    listed: &SegmentDoc,
    piece: &Piece,
    cipher: &[u8],
) -> Result<Bytes> {
    let name = listed.object();
    let damaged = |why: String| Error::new(&DAMAGED, format!("`{name}` {why}"));
    if cipher.len() as u64 != listed.size || sha256(cipher) != listed.sha256 {
        return Err(damaged(
            "is not the object that the manifest lists".to_owned(),
        ));
    }
    let identity = keys.segments.as_ref().ok_or_else(no_identity)?;
    let plain = open(identity, piece.bytes, cipher)
        .map_err(|e| damaged("does not open".to_owned()).caused_by(e))?;
    if plain.len() as u64 != piece.bytes {
        return Err(damaged(format!(
            "does not hold the {} bytes that the manifest lists",
            piece.bytes
        )));
    }
    if keys.segment_id(&plain) != piece.id {
        return Err(damaged("holds other bytes than its id says".to_owned()));
    }
    Ok(Bytes::from(plain))
}

fn open(identity: &Identity, expected: u64, cipher: &[u8]) -> std::io::Result<Vec<u8>> {
    let other = |e: age::DecryptError| std::io::Error::other(e.to_string());
    let decryptor = age::Decryptor::new_buffered(cipher).map_err(other)?;
    let identities = [identity as &dyn age::Identity];
    let opened = decryptor.decrypt(identities.into_iter()).map_err(other)?;
    let mut opened = opened;
    let mut packed = Vec::with_capacity(cipher.len());
    opened.read_to_end(&mut packed)?;
    // One byte more than expected shows that there is more, and a bomb gets no further.
    let limit = usize::try_from(expected).unwrap_or(usize::MAX - 1) + 1;
    let plain = zstd::bulk::Decompressor::new()?.decompress(&packed, limit)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_from_what_gets_smaller() {
        let mut packing = zstd::bulk::Compressor::new(LEVEL).expect("is made");
        let mut noise = vec![0; 2 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert!(is_noise(&mut packing, &noise).expect("compresses"));
        let words: Vec<u8> = noise.iter().map(|byte| b'a' + byte % 16).collect();
        assert!(!is_noise(&mut packing, &words).expect("compresses"));
        assert!(!is_noise(&mut packing, &noise[..1000]).expect("compresses"));
    }
}
