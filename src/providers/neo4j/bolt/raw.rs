//! PackStream read in place: a cursor over a record's bytes that builds values, or copies them in canonical form without
//! building them.
//!
//! A copy is exactly what [`Value::decode`], [`Value::canonical`] and [`Value::encode`] write together, at a fraction of
//! their cost, and needs no memory of its own for a value, however long.

use super::packstream::{MAX_DEPTH, Malformed, Value, encode_int, encode_size};

/// A cursor over one or more values.
#[derive(Clone)]
pub struct Raw<'a> {
    bytes: &'a [u8],
}

/// What a marker says of what follows it.
enum Head {
    /// So many bytes, copied as they are, the marker included.
    Fixed(usize),
    Int(i64),
    Bytes(usize),
    String(usize),
    List(usize),
    Map(usize),
    Struct(u8, usize),
}

impl<'a> Raw<'a> {
    /// A cursor at the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Raw<'a> {
        Raw { bytes }
    }

    /// How many items the list here has; the cursor then stands before the first.
    pub fn list(&mut self) -> Result<usize, Malformed> {
        let marker = self.bytes.first().copied();
        match self.head()? {
            Head::List(n) => Ok(n),
            _ => Err(Malformed::Marker(marker.unwrap_or_default())),
        }
    }

    /// The integer here.
    pub fn int(&mut self) -> Result<i64, Malformed> {
        let marker = self.bytes.first().copied();
        match self.head()? {
            Head::Int(i) => Ok(i),
            _ => Err(Malformed::Marker(marker.unwrap_or_default())),
        }
    }

    /// The string here.
    pub fn str(&mut self) -> Result<&'a str, Malformed> {
        let marker = self.bytes.first().copied();
        match self.head()? {
            Head::String(n) => self.text(n),
            _ => Err(Malformed::Marker(marker.unwrap_or_default())),
        }
    }

    /// Whether a map stands here.
    pub fn at_map(&self) -> bool {
        matches!(self.bytes.first(), Some(0xA0..=0xAF | 0xD8..=0xDA))
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<(), Malformed> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(Malformed::Trailing(left)),
        }
    }

    /// Copies the value here, its maps sorted by their keys and its integers and sizes in their shortest form.
    pub fn copy_canonical(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.copy(out, 0)
    }

    fn copy(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        let from = self.bytes;
        match self.head()? {
            Head::Fixed(n) => {
                self.take(n)?;
                out.extend_from_slice(&from[..=n]);
            }
            Head::Int(i) => encode_int(i, out),
            Head::Bytes(n) => {
                let bytes = self.take(n)?;
                encode_size(None, [0xCC, 0xCD, 0xCE], n, out);
                out.extend_from_slice(bytes);
            }
            Head::String(n) => {
                let text = self.text(n)?;
                encode_size(Some(0x80), [0xD0, 0xD1, 0xD2], n, out);
                out.extend_from_slice(text.as_bytes());
            }
            Head::List(n) => {
                encode_size(Some(0x90), [0xD4, 0xD5, 0xD6], n, out);
                for _ in 0..n {
                    self.copy(out, depth + 1)?;
                }
            }
            Head::Struct(tag, n) => {
                out.extend_from_slice(&[0xB0 | n as u8, tag]);
                for _ in 0..n {
                    self.copy(out, depth + 1)?;
                }
            }
            Head::Map(n) => self.copy_map(n, out, depth)?,
        }
        Ok(())
    }

    fn copy_map(&mut self, n: usize, out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
        encode_size(Some(0xA0), [0xD8, 0xD9, 0xDA], n, out);
        let mut entries: Vec<(&str, Raw<'a>)> = Vec::with_capacity(n.min(64));
        for _ in 0..n {
            let key = self.key()?;
            entries.push((key, self.clone()));
            self.skip(depth + 1)?;
        }
        // Stable, as the sort of a built map is.
        entries.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        for (key, mut value) in entries {
            encode_size(Some(0x80), [0xD0, 0xD1, 0xD2], key.len(), out);
            out.extend_from_slice(key.as_bytes());
            value.copy(out, depth + 1)?;
        }
        Ok(())
    }

    fn skip(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        let (items, bytes) = match self.head()? {
            Head::Fixed(n) | Head::Bytes(n) | Head::String(n) => (0, n),
            Head::Int(_) => (0, 0),
            Head::List(n) | Head::Struct(_, n) => (n, 0),
            Head::Map(n) => (2 * n, 0),
        };
        self.take(bytes)?;
        for _ in 0..items {
            self.skip(depth + 1)?;
        }
        Ok(())
    }

    /// The value here, built.
    pub fn value(&mut self) -> Result<Value, Malformed> {
        self.build(0)
    }

    fn build(&mut self, depth: usize) -> Result<Value, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        let marker = self.bytes.first().copied();
        Ok(match self.head()? {
            Head::Fixed(0) if marker == Some(0xC0) => Value::Null,
            Head::Fixed(0) => Value::Bool(marker == Some(0xC3)),
            Head::Fixed(_) => Value::Float(f64::from_bits(u64::from_be_bytes(self.array()?))),
            Head::Int(i) => Value::Int(i),
            Head::Bytes(n) => Value::Bytes(self.take(n)?.to_vec()),
            Head::String(n) => Value::String(self.text(n)?.to_owned()),
            Head::List(n) => Value::List(self.items(n, depth)?),
            Head::Struct(tag, n) => Value::Struct(tag, self.items(n, depth)?),
            Head::Map(n) if n > self.bytes.len() / 2 => return Err(Malformed::Truncated),
            Head::Map(n) => {
                let mut entries = Vec::with_capacity(n.min(64));
                for _ in 0..n {
                    let key = self.key()?.to_owned();
                    entries.push((key, self.build(depth + 1)?));
                }
                Value::Map(entries)
            }
        })
    }

    fn items(&mut self, n: usize, depth: usize) -> Result<Vec<Value>, Malformed> {
        // Each item takes at least a byte: a made-up size reserves no memory.
        if n > self.bytes.len() {
            return Err(Malformed::Truncated);
        }
        (0..n).map(|_| self.build(depth + 1)).collect()
    }

    /// The key of a map's entry.
    fn key(&mut self) -> Result<&'a str, Malformed> {
        match self.head()? {
            Head::String(n) => self.text(n),
            _ => Err(Malformed::KeyNotString),
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn text(&mut self, n: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.take(n)?).map_err(|_| Malformed::NotUtf8)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A size of 1, 2 or 4 bytes.
    fn size(&mut self, width: u8) -> Result<usize, Malformed> {
        Ok(match width {
            0 => usize::from(u8::from_be_bytes(self.array()?)),
            1 => usize::from(u16::from_be_bytes(self.array()?)),
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn head(&mut self) -> Result<Head, Malformed> {
        let [marker] = self.array()?;
        let tiny = usize::from(marker & 0x0F);
        Ok(match marker {
            0x00..=0x7F | 0xF0..=0xFF => Head::Int(i64::from(i8::from_be_bytes([marker]))),
            0x80..=0x8F => Head::String(tiny),
            0x90..=0x9F => Head::List(tiny),
            0xA0..=0xAF => Head::Map(tiny),
            0xB0..=0xBF => Head::Struct(self.array::<1>()?[0], tiny),
            0xC0 | 0xC2 | 0xC3 => Head::Fixed(0),
            0xC1 => Head::Fixed(8),
            0xC8 => Head::Int(i64::from(i8::from_be_bytes(self.array()?))),
            0xC9 => Head::Int(i64::from(i16::from_be_bytes(self.array()?))),
            0xCA => Head::Int(i64::from(i32::from_be_bytes(self.array()?))),
            0xCB => Head::Int(i64::from_be_bytes(self.array()?)),
            0xCC..=0xCE => Head::Bytes(self.size(marker - 0xCC)?),
            0xD0..=0xD2 => Head::String(self.size(marker - 0xD0)?),
            0xD4..=0xD6 => Head::List(self.size(marker - 0xD4)?),
            0xD8..=0xDA => Head::Map(self.size(marker - 0xD8)?),
            other => return Err(Malformed::Marker(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::packstream::tests::{bytes_of, values};
    use super::*;
    use proptest::prelude::*;

    fn copied(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        let mut raw = Raw::new(bytes);
        raw.copy_canonical(&mut out)?;
        raw.end()?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn a_copy_is_what_decoding_sorting_and_encoding_makes(value in values()) {
            let bytes = bytes_of(&value);
            prop_assert_eq!(copied(&bytes), Ok(bytes_of(&value.canonical())));
            let mut raw = Raw::new(&bytes);
            prop_assert_eq!(bytes_of(&raw.value().expect("is whole")), bytes);
        }

        #[test]
        fn any_bytes_are_judged_as_the_decoder_judges_them(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            match Value::decode(&bytes) {
                Ok(value) => prop_assert_eq!(copied(&bytes), Ok(bytes_of(&value.canonical()))),
                Err(_) => prop_assert!(copied(&bytes).is_err()),
            }
        }
    }
}
