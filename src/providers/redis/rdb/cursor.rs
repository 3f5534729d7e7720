//! A place in bytes that may not all be there yet, and RDB's lengths and strings.

use std::borrow::Cow;

use super::lzf;

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The bytes end before the value does: read more and begin again.
    Short,
    /// The bytes are not RDB; the text says where.
    Bad(&'static str),
    /// A value type or opcode that this reader does not know.
    Unknown(u8),
}

/// What reading gives.
pub type Result<T> = std::result::Result<T, Stop>;

/// Shorthand for malformed bytes.
pub(super) fn bad<T>(why: &'static str) -> Result<T> {
    Err(Stop::Bad(why))
}

/// A place in a slice. It never reads past the end: it stops as [`Stop::Short`].
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A length, or the number of a special string encoding (`rdbLoadLenByRef`).
pub(super) enum Length {
    Plain(u64),
    Encoded(u8),
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// How much was read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// What was read since `from`.
    pub(super) fn since(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    /// The next `count` bytes.
    pub(in super::super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or(Stop::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Short)?;
        self.at = end;
        Ok(taken)
    }

    /// The next bytes as an array.
    pub(in super::super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// The next byte.
    pub(in super::super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Eight bytes, little-endian, as `rdbSaveMillisecondTime` writes them.
    pub(in super::super) fn millis(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length or a string encoding.
    pub(super) fn length_or_encoding(&mut self) -> Result<Length> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(first & 0x3f)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            3 => Length::Encoded(first & 0x3f),
            _ => match first {
                0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
                0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
                _ => return bad("a length has an unknown form"),
            },
        })
    }

    /// A plain length.
    pub(super) fn length(&mut self) -> Result<u64> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => bad("a string encoding stands where a length must"),
        }
    }

    /// A length of something in memory.
    pub(super) fn size(&mut self) -> Result<usize> {
        usize::try_from(self.length()?).map_err(|_| Stop::Bad("a length is larger than memory"))
    }

    /// A string in any encoding, decoded.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        Ok(match self.length_or_encoding()? {
            Length::Plain(length) => {
                let length = usize::try_from(length)
                    .map_err(|_| Stop::Bad("a string is larger than memory"))?;
                Cow::Borrowed(self.take(length)?)
            }
            Length::Encoded(0) => decimal(i64::from(i8::from_le_bytes(self.array()?))),
            Length::Encoded(1) => decimal(i64::from(i16::from_le_bytes(self.array()?))),
            Length::Encoded(2) => decimal(i64::from(i32::from_le_bytes(self.array()?))),
            Length::Encoded(3) => {
                let (compressed, length) = (self.size()?, self.size()?);
                Cow::Owned(lzf::decompress(self.take(compressed)?, length)?)
            }
            Length::Encoded(_) => return bad("a string has an unknown encoding"),
        })
    }

    /// Passes over a string without decoding it.
    pub(super) fn skip_string(&mut self) -> Result<()> {
        let count = usize::try_from(self.string_bytes()?)
            .map_err(|_| Stop::Bad("a string is larger than memory"))?;
        self.take(count).map(|_| ())
    }

    /// Passes over what stands before a string's bytes, and gives how many follow.
    pub(super) fn string_bytes(&mut self) -> Result<u64> {
        Ok(match self.length_or_encoding()? {
            Length::Plain(length) => length,
            Length::Encoded(0) => 1,
            Length::Encoded(1) => 2,
            Length::Encoded(2) => 4,
            Length::Encoded(3) => {
                let compressed = self.length()?;
                self.length()?;
                compressed
            }
            Length::Encoded(_) => return bad("a string has an unknown encoding"),
        })
    }
}

fn decimal<'a>(number: i64) -> Cow<'a, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}
