//! Values too large to be held whole: cut between their elements while they are read. Each piece is a value of the same type
//! with some of the elements, as `RESTORE` takes it.

use super::cursor::{Cursor, Length, Result, bad};
use super::file::{Entry, Piece, Usage};
use super::lzf::Unpacking;
use super::{Payload, VALKEY, kind, skip};

/// A value that is being cut.
#[derive(Debug, Clone)]
pub struct Cutting {
    kind: u8,
    version: u16,
    key: Vec<u8>,
    expiry: u64,
    usage: Usage,
    /// What stands before the number of elements.
    head: Vec<u8>,
    /// Elements that were not taken yet; of a string, bytes.
    left: u64,
    begun: bool,
    count: u64,
    raw: Vec<u8>,
    /// A string that was compressed; its pieces are not.
    packed: Option<Unpacking>,
}

/// The encoding of compressed strings (`RDB_ENC_LZF`).
const COMPRESSED: u8 = 3;

/// Bytes that a payload would become when it is decompressed, where it is a compressed string.
pub fn unpacked(payload: &[u8]) -> usize {
    let [kind::STRING, value @ ..] = payload else {
        return 0;
    };
    let mut cursor = Cursor::new(value);
    match cursor.length_or_encoding() {
        Ok(Length::Encoded(COMPRESSED)) => cursor
            .size()
            .and_then(|_| cursor.size())
            .unwrap_or_default(),
        _ => 0,
    }
}

/// Reads the beginning of a key up to its first element; gives its length too. `None` for what cannot be cut.
pub fn begin(bytes: &[u8], version: u16) -> Result<Option<(Cutting, usize)>> {
    let mut cursor = Cursor::new(bytes);
    let (mut expiry, mut usage) = (0, Usage::Unknown);
    let kind = loop {
        match cursor.byte()? {
            253 => expiry = u64::from(u32::from_le_bytes(cursor.array()?)) * 1_000,
            252 => expiry = cursor.millis()?,
            249 => usage = Usage::Frequency(cursor.byte()?),
            248 => usage = Usage::Idle(cursor.length()?),
            kind => break kind,
        }
    };
    let metadata = [kind::HASH_METADATA, kind::HASH_METADATA_PRE_GA];
    let cuttable = match kind {
        kind::STRING
        | kind::LIST
        | kind::LIST_QUICKLIST
        | kind::LIST_QUICKLIST_2
        | kind::SET
        | kind::HASH
        | kind::ZSET
        | kind::ZSET_2 => true,
        _ => metadata.contains(&kind),
    };
    if !cuttable {
        return Ok(None);
    }
    let key = cursor.string()?.into_owned();
    let head = match kind {
        // The earliest expiry, from which the others count.
        kind::HASH_METADATA if version < VALKEY => cursor.take(8)?.to_vec(),
        _ => Vec::new(),
    };
    let mut packed = None;
    let left = match cursor.length_or_encoding()? {
        Length::Plain(left) => left,
        Length::Encoded(COMPRESSED) if kind == kind::STRING => {
            let (compressed, length) = (cursor.size()?, cursor.size()?);
            packed = Some(Unpacking::new(compressed, length)?);
            length as u64
        }
        Length::Encoded(_) => return Ok(None),
    };
    let cutting = Cutting {
        kind,
        version,
        key,
        expiry,
        usage,
        head,
        left,
        begun: false,
        count: 0,
        raw: Vec::new(),
        packed,
    };
    Ok(Some((cutting, cursor.position())))
}

impl Cutting {
    /// Takes elements from `bytes` until the piece has `most` bytes or the value ends; how much was taken, and whether the
    /// piece is ready. [`super::Stop::Short`] asks for more bytes than there are.
    pub fn take(&mut self, bytes: &[u8], most: usize) -> Result<(usize, bool)> {
        let mut used = 0;
        while self.left > 0 && self.raw.len() < most {
            let rest = bytes.get(used..).unwrap_or_default();
            if let Some(packed) = &mut self.packed {
                let had = self.raw.len();
                match packed.take(rest, &mut self.raw, most) {
                    Ok(0) => return Ok((used, false)),
                    Ok(taken) => used += taken,
                    Err(super::Stop::Short) if used > 0 => return Ok((used, false)),
                    Err(stop) => return Err(stop),
                }
                let more = (self.raw.len() - had) as u64;
                (self.left, self.count) = (self.left - more, self.count + more);
                if self.left == 0 && !packed.is_over() {
                    return bad("an LZF string is longer than it says");
                }
                continue;
            }
            if self.kind == kind::STRING {
                let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
                let taken = rest.len().min(wanted).min(most - self.raw.len());
                if taken == 0 {
                    return Ok((used, false));
                }
                self.raw.extend_from_slice(&rest[..taken]);
                (self.left, self.count) = (self.left - taken as u64, self.count + taken as u64);
                used += taken;
                continue;
            }
            let mut cursor = Cursor::new(rest);
            match skip::element(&mut cursor, self.kind, self.version) {
                Ok(()) => {}
                Err(super::Stop::Short) if used > 0 => return Ok((used, false)),
                Err(stop) => return Err(stop),
            }
            self.raw.extend_from_slice(cursor.since(0));
            (self.left, self.count) = (self.left - 1, self.count + 1);
            used += cursor.position();
        }
        Ok((used, true))
    }

    /// The piece that is ready; and whether it was the last.
    pub fn piece(&mut self) -> (Entry, bool) {
        let last = self.left == 0;
        let mut value = self.head.clone();
        // A 64-bit length is always allowed.
        value.push(0x81);
        value.extend_from_slice(&self.count.to_be_bytes());
        value.append(&mut self.raw);
        self.count = 0;
        let piece = match (std::mem::replace(&mut self.begun, true), last) {
            (false, true) => Piece::Whole,
            (false, false) => Piece::First,
            (true, false) => Piece::Middle,
            (true, true) => Piece::Last,
        };
        let entry = Entry {
            key: self.key.clone(),
            expiry: self.expiry,
            usage: self.usage,
            piece,
            payload: Payload::build(self.kind, &value, self.version),
        };
        (entry, last)
    }
}
