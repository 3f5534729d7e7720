//! Parts read back without a server: every row is decoded, and the fingerprint is taken anew from the bytes alone.

use serde_json::Value;

use super::BAD_PART;
use super::capture::format;
use super::copy::{RowSum, Rows};
use super::enumerate::SequenceState;
use super::large_objects;
use super::roles;
use super::tuples::Tuples;
use super::wire::Piece;
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader};
use crate::error::{Context as _, Error, Result};

/// What an archive of `pg_dump --format=custom` begins with (src/bin/pg_dump/pg_backup_archiver.c).
const ARCHIVE_MAGIC: &[u8] = b"PGDMP";

/// Decodes a part and takes its fingerprint; `None` for a part that has none, such as the schema, of which only the
/// archive's header is looked at.
pub async fn decode(
    info: &PartInfo,
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
) -> Result<Option<Fingerprint>> {
    decode_as(info, reader, key)
        .await
        .context(|| format!("cannot decode part `{}`", info.name))
}

async fn decode_as(
    info: &PartInfo,
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
) -> Result<Option<Fingerprint>> {
    match info.format.as_str() {
        format::SCHEMA => archive_header(reader).await.map(|()| None),
        format::ROWS => rows_of_text(reader, key, RowShape::of(info)?)
            .await
            .map(Some),
        format::TUPLES => {
            let columns = RowShape::of(info)?.columns;
            tuples(reader, key, columns).await.map(Some)
        }
        format::SEQUENCES => lines(reader, key, |row| {
            json_line::<SequenceState>(row).map(|_| ())
        })
        .await
        .map(Some),
        format::CATALOGUE | format::CATALOGUE_2 | format::CATALOGUE_3 => {
            lines(reader, key, |row| json_line::<Value>(row).map(|_| ()))
                .await
                .map(Some)
        }
        format::ROLES => lines(reader, key, |row| json_line::<roles::Line>(row).map(|_| ()))
            .await
            .map(|_| None),
        format::LARGE_OBJECTS => lines(reader, key, |row| large_objects::parse(row).map(|_| ()))
            .await
            .map(Some),
        other => Err(Error::new(&BAD_PART, format!("unknown format `{other}`"))),
    }
}

async fn archive_header(reader: &mut dyn PartReader) -> Result<()> {
    let mut head = Vec::new();
    while let Some(chunk) = reader.next().await? {
        if head.len() < ARCHIVE_MAGIC.len() {
            head.extend_from_slice(&chunk);
        }
    }
    if head.starts_with(ARCHIVE_MAGIC) {
        Ok(())
    } else {
        Err(Error::new(&BAD_PART, "it is no archive of `pg_dump`"))
    }
}

async fn lines(
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
    check: impl Fn(&[u8]) -> Result<()>,
) -> Result<Fingerprint> {
    let mut rows = Rows::default();
    let mut sum = key.gather();
    let mut number = 0_u64;
    while let Some(chunk) = reader.next().await? {
        rows.feed(&chunk, |row| {
            number += 1;
            check(row).context(|| format!("row {number} is damaged"))?;
            sum.add(row);
            Ok(())
        })?;
    }
    rows.end()?;
    Ok(sum.finish())
}

/// Rows in COPY's text format, of any length: nothing is joined.
async fn rows_of_text(
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
    shape: RowShape,
) -> Result<Fingerprint> {
    let mut rows = Rows::default();
    let mut sum = RowSum::new(key);
    let mut check = RowCheck::new(shape);
    let mut number = 1_u64;
    while let Some(chunk) = reader.next().await? {
        let mut damaged = None;
        rows.pieces(&chunk, |piece| {
            if damaged.is_some() {
                return;
            }
            sum.add(&piece);
            match check.piece(&piece) {
                Ok(()) => number += u64::from(piece.last),
                Err(what) => damaged = Some(what),
            }
        });
        if let Some(what) = damaged {
            return Err(Error::new(&BAD_PART, what)).context(|| format!("row {number} is damaged"));
        }
    }
    rows.end()?;
    Ok(sum.finish())
}

async fn tuples(
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
    columns: usize,
) -> Result<Fingerprint> {
    let mut tuples = Tuples::new(Some(columns));
    let mut sum = RowSum::new(key);
    while let Some(chunk) = reader.next().await? {
        tuples.feed(&chunk, |piece| sum.add(&piece))?;
    }
    tuples.end()?;
    Ok(sum.finish())
}

fn json_line<T: serde::de::DeserializeOwned>(row: &[u8]) -> Result<T> {
    serde_json::from_slice(row)
        .map_err(|e| Error::new(&BAD_PART, "it is not the JSON it should be").caused_by(e))
}

/// What every row of a table looks like in COPY's text format.
struct RowShape {
    columns: usize,
    utf8: bool,
}

impl RowShape {
    fn of(info: &PartInfo) -> Result<RowShape> {
        let columns = info
            .meta
            .get("columns")
            .and_then(Value::as_array)
            .ok_or_else(|| Error::new(&BAD_PART, "its columns are not recorded"))?
            .len();
        let encoding = info
            .meta
            .get("settings")
            .and_then(|s| s.get("client_encoding"));
        Ok(RowShape {
            columns,
            utf8: encoding.and_then(Value::as_str) == Some("UTF8"),
        })
    }
}

/// Looks at one row after the other as their pieces come.
struct RowCheck {
    shape: RowShape,
    tabs: usize,
    /// Whether the last byte was a backslash.
    escaping: bool,
    /// A character's first bytes, at the end of a piece.
    begun: Vec<u8>,
}

impl RowCheck {
    fn new(shape: RowShape) -> Self {
        RowCheck {
            shape,
            tabs: 0,
            escaping: false,
            begun: Vec::new(),
        }
    }

    fn piece(&mut self, piece: &Piece<'_>) -> std::result::Result<(), &'static str> {
        if piece.first {
            (self.tabs, self.escaping) = (0, false);
            self.begun.clear();
        }
        if self.shape.utf8 && !self.is_utf8(piece) {
            return Err("it is not UTF-8");
        }
        for byte in piece.bytes {
            if self.escaping {
                // What COPY TO writes after a backslash (PostgreSQL documentation, COPY, "Text Format").
                if !b"bfnrtv\\N".contains(byte) {
                    return Err("it has an escape that COPY never writes");
                }
                self.escaping = false;
            } else {
                self.escaping = *byte == b'\\';
                self.tabs += usize::from(*byte == b'\t');
            }
        }
        if !piece.last {
            return Ok(());
        }
        if self.escaping {
            return Err("it has an escape that COPY never writes");
        }
        let fits = if self.shape.columns == 0 {
            piece.first && piece.bytes.is_empty()
        } else {
            self.tabs + 1 == self.shape.columns
        };
        if fits {
            Ok(())
        } else {
            Err("it does not have the table's number of columns")
        }
    }

    /// A character may be cut anywhere; no more of it than its first three bytes are kept.
    fn is_utf8(&mut self, piece: &Piece<'_>) -> bool {
        let mut bytes = piece.bytes;
        while !self.begun.is_empty() && !bytes.is_empty() {
            self.begun.push(bytes[0]);
            bytes = &bytes[1..];
            match std::str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(e) if e.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        if let Err(e) = std::str::from_utf8(bytes) {
            if e.error_len().is_some() {
                return false;
            }
            self.begun.extend_from_slice(&bytes[e.valid_up_to()..]);
        }
        !piece.last || self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row in pieces of every length up to its own.
    fn check(columns: usize, row: &[u8]) -> std::result::Result<(), &'static str> {
        let check = |length: usize| {
            let mut check = RowCheck::new(RowShape {
                columns,
                utf8: true,
            });
            let mut pieces: Vec<&[u8]> = row.chunks(length).collect();
            if pieces.is_empty() {
                pieces.push(row);
            }
            let last = pieces.len() - 1;
            pieces.iter().enumerate().try_for_each(|(at, bytes)| {
                check.piece(&Piece {
                    bytes,
                    first: at == 0,
                    last: at == last,
                })
            })
        };
        let whole = check(row.len().max(1));
        for length in 1..row.len() {
            assert_eq!(check(length).is_ok(), whole.is_ok(), "{row:?} by {length}");
        }
        whole
    }

    #[test]
    fn rows_are_checked_for_columns_escapes_and_encoding() {
        for good in ["a\tb", "\\N\t\\\\", "\t", "x\\ny\t\\t", "ä\t€😀"] {
            check(2, good.as_bytes()).expect(good);
        }
        for bad in [
            &b"a"[..],
            b"a\tb\tc",
            b"a\t\\x",
            b"a\t\\",
            b"\xff\tb",
            b"\xe2\x82\tb",
            b"a\tb\xe2\x82",
        ] {
            check(2, bad).expect_err("is damaged");
        }
        check(0, b"").expect("an empty line is a row");
        check(0, b"x").expect_err("there is no column for it");
    }
}
