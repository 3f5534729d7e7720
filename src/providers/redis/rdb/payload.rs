//! `DUMP` payloads: type byte, value, RDB version (2 bytes), CRC-64 (8 bytes), both little-endian; and the payloads of
//! `FUNCTION DUMP`, which hold libraries instead of a value.

use std::borrow::Cow;

use super::cursor::{Cursor, Result, Stop, bad};
use super::{crc64, skip, value};

/// Bytes behind the value: version and checksum (`createDumpPayload`).
pub const FOOTER: usize = 10;

/// The opcode before a function library (`RDB_OPCODE_FUNCTION2`).
pub(super) const FUNCTION2: u8 = 245;

/// A payload whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// The RDB version it was written in.
    pub version: u16,
    body: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Checks the checksum. Redis leaves it 0 where checksums are turned off.
    pub fn check(bytes: &'a [u8]) -> Result<Payload<'a>> {
        let (payload, stored) = Payload::split(bytes)?;
        let body = crc64::update(0, payload.body);
        let computed = crc64::update(body, &payload.version.to_le_bytes());
        if stored != 0 && stored != computed {
            return bad("a dump's checksum is wrong");
        }
        Ok(payload)
    }

    /// Takes a payload as it is, for bytes that something else vouches for.
    pub fn unchecked(bytes: &'a [u8]) -> Result<Payload<'a>> {
        Ok(Payload::split(bytes)?.0)
    }

    fn split(bytes: &'a [u8]) -> Result<(Payload<'a>, u64)> {
        let Some((body, footer)) = bytes
            .len()
            .checked_sub(FOOTER)
            .and_then(|at| bytes.split_at_checked(at))
        else {
            return bad("a dump is shorter than its footer");
        };
        let mut cursor = Cursor::new(footer);
        let version = u16::from_le_bytes(cursor.array()?);
        Ok((Payload { version, body }, cursor.millis()?))
    }

    /// Makes the payload of a value that was cut out of a snapshot.
    pub fn build(kind: u8, value: &[u8], version: u16) -> Vec<u8> {
        seal(begun(kind, value), version)
    }

    /// Makes a payload without a checksum, as a server does where checksums are turned off.
    pub fn build_unsealed(kind: u8, value: &[u8], version: u16) -> Vec<u8> {
        let mut out = begun(kind, value);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out
    }

    /// The type byte.
    pub fn kind(&self) -> Result<u8> {
        self.body
            .first()
            .copied()
            .ok_or(Stop::Bad("a dump is empty"))
    }

    /// The text of a string.
    pub fn string(&self) -> Result<Cow<'a, [u8]>> {
        let mut cursor = Cursor::new(self.body.get(1..).unwrap_or_default());
        match cursor.string() {
            Ok(text) if cursor.is_at_end() => Ok(text),
            Ok(_) => bad("a dump goes on after its value"),
            Err(Stop::Short) => bad("a value is cut off"),
            Err(stop) => Err(stop),
        }
    }

    /// Decodes the value.
    pub fn decode(&self) -> Result<value::Value> {
        value::decode(
            self.kind()?,
            self.body.get(1..).unwrap_or_default(),
            self.version,
        )
    }

    /// Whether the bytes are exactly one value, as far as that can be told without decoding it.
    pub fn is_one_value(&self) -> Result<()> {
        let mut cursor = Cursor::new(self.body.get(1..).unwrap_or_default());
        skip::value(&mut cursor, self.kind()?, self.version)?;
        if cursor.is_at_end() {
            Ok(())
        } else {
            bad("a dump goes on after its value")
        }
    }
}

/// A `FUNCTION DUMP` payload of these libraries' code.
pub fn function_dump<'a>(libraries: impl IntoIterator<Item = &'a [u8]>, version: u16) -> Vec<u8> {
    let mut out = Vec::new();
    for code in libraries {
        out.push(FUNCTION2);
        // A 64-bit length is always allowed.
        out.push(0x81);
        out.extend_from_slice(&(code.len() as u64).to_be_bytes());
        out.extend_from_slice(code);
    }
    seal(out, version)
}

/// The name that a library gives itself in its first line.
pub fn library_name(code: &[u8]) -> String {
    let first = code.split(|byte| *byte == b'\n').next();
    let first = String::from_utf8_lossy(first.unwrap_or_default());
    let name = first
        .split_whitespace()
        .find_map(|w| w.strip_prefix("name="));
    name.unwrap_or("without a name").to_owned()
}

/// The libraries' code in a `FUNCTION DUMP` payload, and its RDB version.
pub fn functions(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, u16)> {
    let payload = Payload::check(bytes)?;
    let mut cursor = Cursor::new(payload.body);
    let mut out = Vec::new();
    while !cursor.is_at_end() {
        match cursor.byte()? {
            FUNCTION2 => out.push(match cursor.string() {
                Err(Stop::Short) => return bad("a function library is cut off"),
                code => code?.into_owned(),
            }),
            other => return Err(Stop::Unknown(other)),
        }
    }
    Ok((out, payload.version))
}

fn begun(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + value.len() + FOOTER);
    out.push(kind);
    out.extend_from_slice(value);
    out
}

fn seal(mut out: Vec<u8>, version: u16) -> Vec<u8> {
    out.extend_from_slice(&version.to_le_bytes());
    let crc = crc64::update(0, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}
