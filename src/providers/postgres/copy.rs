//! The rows of one table, out and in, as COPY's text format (PostgreSQL documentation, COPY, "Text Format").
//!
//! The only module that knows how CopyData is moved; a faster reader of the raw protocol can take its place.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use sqlx::postgres::PgConnection;

use super::session::failed;
use super::{BAD_PART, Target};
use crate::capture::{Fingerprint, FingerprintKey, Fingerprinter, PartReader, PartWriter};
use crate::error::{Error, Result};
use crate::event::{Events, Unit};

/// Bytes gathered before they are handed on.
const CHUNK: usize = 512 * 1024;

/// A cut is offered every 4 MiB on average, and never nearer than this to the last one.
const NEAREST_CUT: usize = 1024 * 1024;
const MEAN_CUT: u64 = 3 * 1024 * 1024;

/// Runs `COPY … TO STDOUT` and writes what comes. The fingerprint is over each row's bytes without its newline.
pub(super) async fn copy_out(
    target: &Target,
    session: &mut PgConnection,
    statement: &str,
    writer: &mut dyn PartWriter,
    key: &FingerprintKey,
    mut meter: Meter,
) -> Result<Fingerprint> {
    let broken = |e| failed(target, &format!("read `{}`", meter_name(statement)), e);
    let mut stream = session.copy_out_raw(statement).await.map_err(broken)?;
    let mut rows = Rows::default();
    let mut out = Batch::new(key);
    while let Some(data) = stream.next().await {
        let data = data.map_err(broken)?;
        rows.feed(&data, |row| {
            out.add(row);
            Ok(())
        })?;
        for (chunk, cut) in out.take_full() {
            meter.add(chunk.len());
            writer.write(chunk).await?;
            if cut {
                writer.cut();
            }
        }
    }
    rows.end()?;
    for (chunk, _) in out.take_rest() {
        meter.add(chunk.len());
        writer.write(chunk).await?;
    }
    meter.done();
    Ok(out.fingerprinter.finish())
}

/// Runs `COPY … FROM STDIN` with the bytes of a part. Returns the fingerprint of what was sent, and the number of
/// rows that the server says it stored.
pub(super) async fn copy_in(
    target: &Target,
    session: &mut PgConnection,
    statement: &str,
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
    mut meter: Meter,
) -> Result<(Fingerprint, u64)> {
    let broken = |e| failed(target, &format!("load `{}`", meter_name(statement)), e);
    let mut copy = session.copy_in_raw(statement).await.map_err(broken)?;
    let mut rows = Rows::default();
    let mut fingerprinter = key.start();
    let mut gathered = BytesMut::with_capacity(CHUNK);
    // A part that breaks off must not be committed: dropping `copy` unfinished makes the server discard the rows.
    while let Some(chunk) = reader.next().await? {
        rows.feed(&chunk, |row| {
            fingerprinter.add(row);
            Ok(())
        })?;
        meter.add(chunk.len());
        gathered.extend_from_slice(&chunk);
        if gathered.len() >= CHUNK {
            copy.send(gathered.split()).await.map_err(broken)?;
        }
    }
    rows.end()?;
    if !gathered.is_empty() {
        copy.send(gathered).await.map_err(broken)?;
    }
    let stored = copy.finish().await.map_err(broken)?;
    meter.done();
    Ok((fingerprinter.finish(), stored))
}

/// The table's name in a COPY statement.
fn meter_name(statement: &str) -> &str {
    let rest = statement.strip_prefix("COPY ").unwrap_or(statement);
    let end = rest
        .find(" (")
        .or_else(|| rest.find(" TO "))
        .or_else(|| rest.find(" FROM "));
    &rest[..end.unwrap_or(rest.len())]
}

/// Splits a stream that is cut at arbitrary places into lines.
#[derive(Default)]
pub(super) struct Rows {
    carry: Vec<u8>,
}

impl Rows {
    /// Calls `each` with every complete line, without its newline.
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut rest = data;
        // The server sends one row a message: then there is nothing to join and nothing to search twice.
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line = &rest[..end];
            if self.carry.is_empty() {
                each(line)?;
            } else {
                self.carry.extend_from_slice(line);
                each(&self.carry)?;
                self.carry.clear();
            }
            rest = &rest[end + 1..];
        }
        self.carry.extend_from_slice(rest);
        Ok(())
    }

    /// The stream must end with a complete line.
    pub(super) fn end(self) -> Result<()> {
        if self.carry.is_empty() {
            Ok(())
        } else {
            Err(Error::new(&BAD_PART, "the last row is incomplete"))
        }
    }
}

/// Rows gathered into chunks, with cuts where the content says so: a row inserted in front moves the bytes behind it,
/// but not the rows at which those are cut, so that unchanged stretches are found again.
struct Batch {
    fingerprinter: Fingerprinter,
    open: BytesMut,
    full: Vec<(Bytes, bool)>,
    since_cut: usize,
}

impl Batch {
    fn new(key: &FingerprintKey) -> Self {
        Batch {
            fingerprinter: key.start(),
            open: BytesMut::with_capacity(CHUNK + 8 * 1024),
            full: Vec::new(),
            since_cut: 0,
        }
    }

    fn add(&mut self, row: &[u8]) {
        self.fingerprinter.add(row);
        self.open.extend_from_slice(row);
        self.open.extend_from_slice(b"\n");
        self.since_cut += row.len() + 1;
        let cut = self.since_cut >= NEAREST_CUT && is_cut(row);
        if cut {
            self.since_cut = 0;
        }
        if cut || self.open.len() >= CHUNK {
            self.full.push((self.open.split().freeze(), cut));
        }
    }

    fn take_full(&mut self) -> Vec<(Bytes, bool)> {
        std::mem::take(&mut self.full)
    }

    fn take_rest(&mut self) -> Vec<(Bytes, bool)> {
        if !self.open.is_empty() {
            self.full.push((self.open.split().freeze(), false));
        }
        self.take_full()
    }
}

/// Whether a stretch may end after this row: by its own bytes, with a probability proportional to its length.
fn is_cut(row: &[u8]) -> bool {
    // FNV-1a, 32 bits; the first bytes hold the key columns, which tell rows apart.
    let hash = row.iter().take(64).fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    u64::from(hash) * MEAN_CUT < (row.len() as u64 + 1) << 32
}

/// Progress of one table, at most ten times a second.
pub(super) struct Meter {
    events: Events,
    task: String,
    bytes: u64,
    last: Option<Instant>,
    total: Option<u64>,
}

impl Meter {
    pub(super) fn new(events: &Events, task: impl Into<String>, total: Option<u64>) -> Self {
        Meter {
            events: events.clone(),
            task: task.into(),
            bytes: 0,
            last: None,
            total,
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self
            .last
            .is_none_or(|last| last.elapsed() >= Duration::from_millis(100))
        {
            self.last = Some(Instant::now());
            self.tell();
        }
    }

    pub(super) fn done(&self) {
        self.tell();
    }

    fn tell(&self) {
        self.events
            .progress(&self.task, self.bytes, self.total, Unit::Bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_their_table() {
        assert_eq!(
            meter_name("COPY \"a\".\"b\" (\"c\") TO STDOUT"),
            "\"a\".\"b\""
        );
        assert_eq!(meter_name("COPY \"a\".\"b\" FROM STDIN"), "\"a\".\"b\"");
    }

    #[test]
    fn cuts_survive_an_insertion_in_front() {
        let key = FingerprintKey::new([1; 32]);
        let cut_rows = |rows: &[String]| {
            let mut batch = Batch::new(&key);
            rows.iter().for_each(|row| batch.add(row.as_bytes()));
            let mut ends = Vec::new();
            for (chunk, cut) in batch.take_rest() {
                if cut {
                    let text = String::from_utf8(chunk.to_vec()).expect("is text");
                    ends.push(text.lines().last().unwrap_or_default().to_owned());
                }
            }
            ends
        };
        let rows: Vec<String> = (0..200_000)
            .map(|n| format!("{n}\t{}", "x".repeat(180)))
            .collect();
        let before = cut_rows(&rows);
        let mut more = vec!["new row".to_owned(); 100];
        more.extend(rows);
        let after = cut_rows(&more);
        assert!(before.len() > 3, "{}", before.len());
        let kept = before.iter().filter(|end| after.contains(end)).count();
        assert!(kept + 1 >= before.len(), "{kept} of {}", before.len());
    }

    proptest::proptest! {
        #[test]
        fn lines_do_not_depend_on_where_chunks_end(
            lines in proptest::collection::vec("[a-z\t]{0,12}", 0..20),
            step in 1_usize..9,
        ) {
            let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
            let mut rows = Rows::default();
            let mut seen = Vec::new();
            for chunk in text.as_bytes().chunks(step) {
                rows.feed(chunk, |row| {
                    seen.push(String::from_utf8_lossy(row).into_owned());
                    Ok(())
                }).expect("feeds");
            }
            rows.end().expect("is complete");
            proptest::prop_assert_eq!(seen, lines);
        }
    }
}
