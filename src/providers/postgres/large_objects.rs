//! Large objects: carried as JSON lines, one for each object and one for each page of its bytes.
//!
//! Read and written with the functions that every role has (`lo_get`, `lo_put`), since `pg_largeobject` itself is
//! closed to ordinary roles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::copy::{Meter, Rows};
use super::session::{failed, query, rows, run, scalar};
use super::sql::literal;
use super::{BAD_PART, Target};
use crate::capture::{Fingerprint, FingerprintKey, PartReader, PartWriter};
use crate::error::{Error, Result};

/// Bytes of a large object in one line.
const PAGE: i64 = 256 * 1024;

/// One line of the part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "line",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub(super) enum Line {
    /// An object begins.
    Object {
        oid: u32,
        bytes: i64,
        comment: Option<String>,
    },
    /// A page of it, base64.
    Page { oid: u32, offset: i64, data: String },
}

/// How many there are.
pub(super) async fn count(target: &Target, session: &mut PgConnection) -> Result<i64> {
    let found = rows(
        target,
        session,
        "count the large objects",
        "SELECT count(*) AS n FROM pg_largeobject_metadata",
    )
    .await?;
    Ok(found.first().map_or(0, |row| row.get("n")))
}

/// Writes all of them in OID order.
pub(super) async fn read_all(
    target: &Target,
    session: &mut PgConnection,
    writer: &mut dyn PartWriter,
    key: &FingerprintKey,
    mut meter: Meter,
) -> Result<Fingerprint> {
    let mut fingerprinter = key.start();
    let mut last = -1_i64;
    loop {
        // 262144 is INV_READ (src/include/libpq/libpq-fs.h), 2 is SEEK_END; descriptors close with the savepoint.
        run(target, session, "SAVEPOINT objects").await?;
        let batch = query(
            "SELECT m.oid::int8 AS oid, obj_description(m.oid, 'pg_largeobject') AS comment,
                    lo_lseek64(lo_open(m.oid, 262144), 0, 2) AS bytes
             FROM pg_largeobject_metadata m WHERE m.oid::int8 > $1 ORDER BY m.oid::int8 LIMIT 200",
        )
        .bind(last)
        .fetch_all(&mut *session)
        .await
        .map_err(|e| failed(target, "read the large objects", e))?;
        run(target, session, "ROLLBACK TO objects; RELEASE objects").await?;
        let Some(end) = batch.last() else {
            break;
        };
        last = end.get("oid");
        for row in &batch {
            let oid: i64 = row.get("oid");
            let bytes: i64 = row.get("bytes");
            let oid =
                u32::try_from(oid).map_err(|e| Error::bug("an oid is too large").caused_by(e))?;
            let mut text = line(&Line::Object {
                oid,
                bytes,
                comment: row.get("comment"),
            })?;
            let mut offset = 0;
            loop {
                fingerprinter.add(text.as_bytes());
                text.push('\n');
                meter.add(text.len());
                writer.write(Bytes::from(text)).await?;
                if offset >= bytes {
                    break;
                }
                let data = page(target, session, oid, offset).await?;
                text = line(&Line::Page {
                    oid,
                    offset,
                    data: STANDARD.encode(data),
                })?;
                offset += PAGE;
            }
        }
        writer.cut();
    }
    meter.done();
    Ok(fingerprinter.finish())
}

async fn page(
    target: &Target,
    session: &mut PgConnection,
    oid: u32,
    offset: i64,
) -> Result<Vec<u8>> {
    scalar("SELECT lo_get($1::int8::oid, $2::int8, $3::int4)")
        .bind(i64::from(oid))
        .bind(offset)
        .bind(i32::try_from(PAGE).map_err(|e| Error::bug("a page is too large").caused_by(e))?)
        .fetch_one(session)
        .await
        .map_err(|e| failed(target, "read a large object", e))
}

fn line(line: &Line) -> Result<String> {
    serde_json::to_string(line)
        .map_err(|e| Error::bug("a large object does not serialise").caused_by(e))
}

/// Creates all of them with their old OIDs. A comment locks its object until the transaction ends, and the server has
/// room for some thousands of locks: there are several transactions.
pub(super) async fn write_all(
    target: &Target,
    session: &mut PgConnection,
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
) -> Result<Fingerprint> {
    let mut fingerprinter = key.start();
    let mut lines = Rows::default();
    let mut comments = 0;
    run(target, session, "BEGIN").await?;
    while let Some(chunk) = reader.next().await? {
        let mut ready = Vec::new();
        lines.feed(&chunk, |row| {
            fingerprinter.add(row);
            ready.push(parse(row)?);
            Ok(())
        })?;
        for line in ready {
            if matches!(
                line,
                Line::Object {
                    comment: Some(_),
                    ..
                }
            ) {
                comments += 1;
                if comments % 500 == 0 {
                    run(target, session, "COMMIT; BEGIN").await?;
                }
            }
            write_line(target, session, line).await?;
        }
    }
    lines.end()?;
    run(target, session, "COMMIT").await?;
    Ok(fingerprinter.finish())
}

/// Reads one line back, its base64 included.
pub(super) fn parse(row: &[u8]) -> Result<Line> {
    let line: Line = serde_json::from_slice(row)
        .map_err(|e| Error::new(&BAD_PART, "a large object's line is not readable").caused_by(e))?;
    if let Line::Page { data, .. } = &line {
        STANDARD.decode(data).map_err(|e| {
            Error::new(&BAD_PART, "a large object's page is not base64").caused_by(e)
        })?;
    }
    Ok(line)
}

async fn write_line(target: &Target, session: &mut PgConnection, line: Line) -> Result<()> {
    match line {
        Line::Object { oid, comment, .. } => {
            run(target, session, &format!("SELECT lo_create({oid})")).await?;
            if let Some(comment) = comment {
                let sql = format!("COMMENT ON LARGE OBJECT {oid} IS {}", literal(&comment));
                run(target, session, &sql).await?;
            }
        }
        Line::Page { oid, offset, data } => {
            let data = STANDARD.decode(data).map_err(|e| {
                Error::new(&BAD_PART, "a large object's page is not base64").caused_by(e)
            })?;
            query("SELECT lo_put($1::int8::oid, $2::int8, $3)")
                .bind(i64::from(oid))
                .bind(offset)
                .bind(data)
                .execute(&mut *session)
                .await
                .map_err(|e| failed(target, "write a large object", e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_round_trip_and_bad_pages_are_found() {
        let object = Line::Object {
            oid: 7,
            bytes: 3,
            comment: Some("a\nb".into()),
        };
        let text = line(&object).expect("serialises");
        assert_eq!(parse(text.as_bytes()).expect("parses"), object);
        let bad = br#"{"line":"page","oid":7,"offset":0,"data":"*"}"#;
        assert_eq!(
            parse(bad).expect_err("no base64").reason().code,
            "postgres.bad-part"
        );
    }
}
