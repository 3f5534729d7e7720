//! Parts read back without a server: every row is decoded, and the fingerprint is taken anew from the bytes alone.

use serde_json::Value;

use super::BAD_PART;
use super::capture::format;
use super::copy::{RowSum, Rows};
use super::enumerate::SequenceState;
use super::large_objects;
use super::roles;
use super::tuples::Tuples;
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
        format::ROWS => {
            let shape = RowShape::of(info)?;
            lines(reader, key, |row| shape.check(row)).await.map(Some)
        }
        format::TUPLES => {
            let columns = RowShape::of(info)?.columns;
            tuples(reader, key, columns).await.map(Some)
        }
        format::SEQUENCES => lines(reader, key, |row| {
            json_line::<SequenceState>(row).map(|_| ())
        })
        .await
        .map(Some),
        format::CATALOGUE => lines(reader, key, |row| json_line::<Value>(row).map(|_| ()))
            .await
            .map(Some),
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

    fn check(&self, row: &[u8]) -> Result<()> {
        let bad = |what: &str| Err(Error::new(&BAD_PART, what));
        if self.utf8 && std::str::from_utf8(row).is_err() {
            return bad("it is not UTF-8");
        }
        let mut bytes = row.iter();
        let mut tabs = 0;
        while let Some(byte) = bytes.next() {
            match byte {
                b'\t' => tabs += 1,
                // What COPY TO writes after a backslash (PostgreSQL documentation, COPY, "Text Format").
                b'\\' => match bytes.next() {
                    Some(b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' | b'N') => {}
                    _ => return bad("it has an escape that COPY never writes"),
                },
                _ => {}
            }
        }
        let fits = if self.columns == 0 {
            row.is_empty()
        } else {
            tabs + 1 == self.columns
        };
        if fits {
            Ok(())
        } else {
            bad("it does not have the table's number of columns")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_checked_for_columns_escapes_and_encoding() {
        let shape = RowShape {
            columns: 2,
            utf8: true,
        };
        for good in ["a\tb", "\\N\t\\\\", "\t", "x\\ny\t\\t"] {
            shape.check(good.as_bytes()).expect(good);
        }
        for bad in [&b"a"[..], b"a\tb\tc", b"a\t\\x", b"a\t\\", b"\xff\tb"] {
            shape.check(bad).expect_err("is damaged");
        }
        let none = RowShape {
            columns: 0,
            utf8: true,
        };
        none.check(b"").expect("an empty line is a row");
        none.check(b"x").expect_err("there is no column for it");
    }
}
