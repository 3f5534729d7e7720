//! Values too large to be held whole: cut between their elements while they are read. Each piece is a value of the same type
//! with some of the elements, as `RESTORE` takes it.
//!
//! Streams and modules' values cannot be put together from such pieces without loss. They are cut into fragments of the one
//! payload that `RESTORE` takes: streams between their nodes, modules' values anywhere.

use super::cursor::{Cursor, Length, Result, Stop, bad};
use super::file::{Entry, Piece, Usage};
use super::lzf::Unpacking;
use super::{FOOTER, Payload, VALKEY, crc64, kind, skip};

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
    /// What comes next of a value that is cut into fragments.
    walk: Option<Walk>,
    /// The checksum of the fragments so far.
    crc: u64,
}

/// How far the fragments of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// So many nodes of a stream are left, and then what stands behind them.
    Stream(u64),
    /// A module's fields; of a string in one, so many bytes are left.
    Module(u64),
    /// Nothing is left.
    Over,
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
        kind::MODULE_2 => true,
        _ => metadata.contains(&kind) || skip::is_stream(kind, version),
    };
    if !cuttable {
        return Ok(None);
    }
    let key = cursor.string()?.into_owned();
    let mut cutting = Cutting {
        kind,
        version,
        key,
        expiry,
        usage,
        head: Vec::new(),
        left: 0,
        begun: false,
        count: 0,
        raw: Vec::new(),
        packed: None,
        walk: None,
        crc: 0,
    };
    if kind == kind::MODULE_2 || skip::is_stream(kind, version) {
        let begin = cursor.position();
        // The number of nodes, or the module's id.
        let number = cursor.length()?;
        cutting.walk = Some(match kind {
            kind::MODULE_2 => Walk::Module(0),
            _ => Walk::Stream(number),
        });
        cutting.raw.push(kind);
        cutting.raw.extend_from_slice(cursor.since(begin));
        return Ok(Some((cutting, cursor.position())));
    }
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
    (cutting.head, cutting.left, cutting.packed) = (head, left, packed);
    Ok(Some((cutting, cursor.position())))
}

impl Cutting {
    /// Takes elements from `bytes` until the piece has `most` bytes or the value ends; how much was taken, and whether the
    /// piece is ready. [`super::Stop::Short`] asks for more bytes than there are.
    pub fn take(&mut self, bytes: &[u8], most: usize) -> Result<(usize, bool)> {
        if let Some(walk) = self.walk {
            return self.fragment(walk, bytes, most);
        }
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

    /// The same of a value that is cut into fragments.
    fn fragment(&mut self, mut walk: Walk, bytes: &[u8], most: usize) -> Result<(usize, bool)> {
        let mut used = 0;
        while walk != Walk::Over && self.raw.len() < most {
            let rest = bytes.get(used..).unwrap_or_default();
            let stepped = match walk {
                Walk::Module(left) if left > 0 => {
                    let wanted = usize::try_from(left).unwrap_or(usize::MAX);
                    match rest.len().min(wanted).min(most - self.raw.len()) {
                        0 => Err(Stop::Short),
                        taken => Ok((taken, Walk::Module(left - taken as u64))),
                    }
                }
                walk => {
                    let mut cursor = Cursor::new(rest);
                    let next = step(&mut cursor, walk, self.kind);
                    next.map(|next| (cursor.position(), next))
                }
            };
            let (taken, next) = match stepped {
                Ok(stepped) => stepped,
                Err(Stop::Short) if used > 0 => {
                    self.walk = Some(walk);
                    return Ok((used, false));
                }
                Err(stop) => return Err(stop),
            };
            self.raw.extend_from_slice(&rest[..taken]);
            (used, walk) = (used + taken, next);
        }
        self.walk = Some(walk);
        Ok((used, true))
    }

    /// The piece that is ready; and whether it was the last.
    pub fn piece(&mut self) -> (Entry, bool) {
        if let Some(walk) = self.walk {
            let last = walk == Walk::Over;
            // The buffer stays, and grows no second time.
            let mut payload = Vec::with_capacity(self.raw.len() + FOOTER);
            payload.append(&mut self.raw);
            if last {
                payload.extend_from_slice(&self.version.to_le_bytes());
            }
            self.crc = crc64::update(self.crc, &payload);
            if last {
                payload.extend_from_slice(&self.crc.to_le_bytes());
            }
            return (self.entry(payload, last), last);
        }
        let last = self.left == 0;
        let mut value = self.head.clone();
        // A 64-bit length is always allowed.
        value.push(0x81);
        value.extend_from_slice(&self.count.to_be_bytes());
        value.append(&mut self.raw);
        self.count = 0;
        let payload = Payload::build(self.kind, &value, self.version);
        (self.entry(payload, last), last)
    }

    fn entry(&mut self, payload: Vec<u8>, last: bool) -> Entry {
        let piece = match (std::mem::replace(&mut self.begun, true), last) {
            (false, true) => Piece::Whole,
            (false, false) => Piece::First,
            (true, false) => Piece::Middle,
            (true, true) => Piece::Last,
        };
        Entry {
            key: self.key.clone(),
            expiry: self.expiry,
            usage: self.usage,
            piece,
            fragment: self.walk.is_some() && piece != Piece::Whole,
            payload,
        }
    }
}

/// Passes over the next thing of a value that is cut into fragments.
fn step(cursor: &mut Cursor<'_>, walk: Walk, kind: u8) -> Result<Walk> {
    match walk {
        Walk::Stream(0) => {
            skip::stream_tail(cursor, kind)?;
            Ok(Walk::Over)
        }
        Walk::Stream(nodes) => {
            skip::stream_node(cursor)?;
            Ok(Walk::Stream(nodes - 1))
        }
        Walk::Module(_) => match skip::module_field(cursor)? {
            Some(bytes) => Ok(Walk::Module(bytes)),
            None => Ok(Walk::Over),
        },
        Walk::Over => Ok(Walk::Over),
    }
}
