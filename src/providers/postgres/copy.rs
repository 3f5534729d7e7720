//! The rows of one table, out and in, as COPY gives and takes them (PostgreSQL documentation, COPY, "File Formats").
//!
//! [`super::wire`] moves them; here they are hashed, gathered, and offered places to be cut.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::BAD_PART;
use super::capture::format;
use super::tuples::{self, Tuples};
use super::wire::{Piece, Wire};
use crate::capture::{
    BatchFingerprinter, Fingerprint, FingerprintKey, Fingerprinter, PartReader, PartWriter,
    RowBatch, RowHasher,
};
use crate::error::{Error, Result};
use crate::event::{Events, Unit};

/// A cut is offered every 1 MiB on average, and never nearer than this to the last one.
const NEAREST_CUT: usize = 256 * 1024;
const MEAN_CUT: u64 = 768 * 1024;

/// The two formats of COPY that parts are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One line a row.
    Text,
    /// Fields by length ([`super::tuples`]).
    Binary,
}

impl Shape {
    /// The shape of a part's format.
    pub(super) fn of(format: &str) -> Option<Shape> {
        match format {
            format::ROWS => Some(Shape::Text),
            format::TUPLES => Some(Shape::Binary),
            _ => None,
        }
    }

    /// The part's format.
    pub(super) fn format(self) -> &'static str {
        match self {
            Shape::Text => format::ROWS,
            Shape::Binary => format::TUPLES,
        }
    }

    /// COPY's option for it.
    pub(super) fn option(self) -> &'static str {
        match self {
            Shape::Text => "FORMAT text",
            Shape::Binary => "FORMAT binary",
        }
    }
}

/// Which of a binary stream's ends go into a part: all, unless it is a stretch of a larger one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    /// The head before the first row.
    pub head: bool,
    /// The trailer after the last.
    pub trailer: bool,
}

impl Ends {
    /// Of a part that is a table whole.
    pub(super) const BOTH: Ends = Ends {
        head: true,
        trailer: true,
    };
}

/// What is read of a table, and how.
pub(super) struct Reading {
    /// The table, for errors.
    pub table: String,
    /// What COPY reads: a table with its columns, or a query.
    pub source: String,
    pub shape: Shape,
    pub ends: Ends,
    pub key: FingerprintKey,
    pub meter: Meter,
}

/// Runs `COPY … TO STDOUT` and writes what comes. The fingerprint is over each row's bytes, without a newline.
pub(super) async fn copy_out(
    wire: &mut Wire,
    reading: &mut Reading,
    writer: &mut dyn PartWriter,
) -> Result<Fingerprint> {
    let what = format!("read {}", reading.table);
    let meter = &mut reading.meter;
    let mut rows = RowsOut::new(&reading.key, reading.shape, reading.ends);
    let statement = format!(
        "COPY {} TO STDOUT WITH ({})",
        reading.source,
        reading.shape.option()
    );
    wire.copy_out(&what, &statement).await?;
    while wire.rows(&what, |piece| rows.add(&piece, writer)).await? {
        meter.add(std::mem::take(&mut rows.bytes));
        writer.settle().await?;
    }
    rows.settle(writer);
    meter.add(rows.bytes);
    meter.done();
    Ok(rows.fingerprinter.finish())
}

/// Runs `COPY … FROM STDIN` with the bytes of a part. Returns the fingerprint of what was sent, and the number of
/// rows that the server says it stored.
pub(super) async fn copy_in(
    wire: &mut Wire,
    statement: &str,
    shape: Shape,
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
    mut meter: Meter,
) -> Result<(Fingerprint, u64)> {
    let what = format!("load `{}`", meter_name(statement));
    let mut rows = Rows::default();
    let mut tuples = Tuples::new(None);
    let mut sum = RowSum::new(key);
    wire.copy_in(&what, statement).await?;
    // A part that breaks off must not be committed: a connection that is dropped unfinished makes the server discard
    // the rows.
    while let Some(chunk) = reader.next().await? {
        match shape {
            Shape::Text => rows.pieces(&chunk, |piece| sum.add(&piece)),
            Shape::Binary => tuples.feed(&chunk, |piece| sum.add(&piece))?,
        }
        meter.add(chunk.len());
        wire.copy_data(&what, &chunk).await?;
    }
    match shape {
        Shape::Text => rows.end()?,
        Shape::Binary => tuples.end()?,
    }
    let stored = wire.copy_end(&what).await?;
    meter.done();
    Ok((sum.finish(), stored))
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

/// A fingerprint of rows that may come in pieces.
pub(super) struct RowSum {
    whole: BatchFingerprinter,
    long: Option<RowHasher>,
}

impl RowSum {
    pub(super) fn new(key: &FingerprintKey) -> Self {
        RowSum {
            whole: key.gather(),
            long: None,
        }
    }

    pub(super) fn add(&mut self, piece: &Piece<'_>) {
        if piece.first && piece.last {
            self.whole.add(piece.bytes);
            return;
        }
        let long = self.long.get_or_insert_with(|| self.whole.begin());
        long.update(piece.bytes);
        if piece.last
            && let Some(row) = self.long.take()
        {
            self.whole.end(&row);
        }
    }

    pub(super) fn finish(mut self) -> Fingerprint {
        self.whole.finish()
    }
}

/// Splits a stream that is cut at arbitrary places into lines.
#[derive(Default)]
pub(super) struct Rows {
    carry: Vec<u8>,
    /// Whether a line was begun and not ended.
    inside: bool,
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
        while let Some(end) = memchr::memchr(b'\n', rest) {
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
        self.inside = !self.carry.is_empty();
        Ok(())
    }

    /// Calls `each` with every line or piece of one, without newlines. Nothing is joined, so that a line may be of any
    /// length.
    pub(super) fn pieces(&mut self, data: &[u8], mut each: impl FnMut(Piece<'_>)) {
        let mut rest = data;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            each(Piece {
                bytes: &rest[..end],
                first: !self.inside,
                last: true,
            });
            self.inside = false;
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            each(Piece {
                bytes: rest,
                first: !self.inside,
                last: false,
            });
            self.inside = true;
        }
    }

    /// The stream must end with a complete line.
    pub(super) fn end(self) -> Result<()> {
        if !self.inside {
            Ok(())
        } else {
            Err(Error::new(&BAD_PART, "the last row is incomplete"))
        }
    }
}

/// Rows on their way into a part, with cuts where the content says so: a row inserted in front moves the bytes behind it,
/// but not the rows at which those are cut, so that unchanged stretches are found again.
struct RowsOut {
    shape: Shape,
    ends: Ends,
    /// Whether the head of a binary stream is still to come.
    headless: bool,
    fingerprinter: Fingerprinter,
    /// What the writer has not got yet: where it may be cut is known once the rows are hashed.
    batch: RowBatch,
    /// Bytes taken since somebody last asked.
    bytes: usize,
    since_cut: usize,
    /// A row that comes in pieces: its hash, and its length so far.
    long: Option<(RowHasher, usize)>,
}

impl RowsOut {
    fn new(key: &FingerprintKey, shape: Shape, ends: Ends) -> Self {
        RowsOut {
            shape,
            ends,
            headless: shape == Shape::Binary,
            fingerprinter: key.start(),
            batch: RowBatch::default(),
            bytes: 0,
            since_cut: 0,
            long: None,
        }
    }

    /// What to keep of a message, or of a piece of one, and the row in it: without its newline, or the head of the stream before
    /// it. `None` for what is no row.
    fn content<'p>(&mut self, piece: &Piece<'p>) -> Result<(&'p [u8], Option<Range<usize>>)> {
        let kept = piece.bytes;
        if self.shape == Shape::Text {
            let mut row = 0..kept.len();
            if piece.last {
                let line = kept.strip_suffix(b"\n").ok_or_else(|| {
                    Error::new(
                        &BAD_PART,
                        "a row does not end as COPY's text format says; is there a proxy in between?",
                    )
                })?;
                row.end = line.len();
            }
            return Ok((kept, Some(row)));
        }
        let (mut kept, mut head) = (kept, 0);
        if self.headless {
            head = tuples::after_head(kept)?;
            self.headless = false;
            if !self.ends.head {
                kept = &kept[head..];
                head = 0;
            }
        }
        let row = &kept[head..];
        let no_row = piece.first && piece.last && (row.is_empty() || row == tuples::TRAILER);
        if no_row && !self.ends.trailer {
            kept = &kept[..head];
        }
        Ok((kept, (!no_row).then_some(head..kept.len())))
    }

    /// Takes a message of the server: a row, or a piece of one.
    fn add(&mut self, piece: &Piece<'_>, writer: &mut dyn PartWriter) -> Result<()> {
        let (kept, row) = self.content(piece)?;
        self.bytes += kept.len();
        if piece.first && piece.last && kept.len() < RowBatch::LONG {
            self.batch.push(kept, row);
            if self.batch.is_full() {
                self.settle(writer);
            }
            return Ok(());
        }
        self.settle(writer);
        self.hand_on(kept, writer);
        let Some(row) = row else {
            return Ok(());
        };
        let begun = self.long.take();
        let (mut hasher, before) = begun.unwrap_or_else(|| (self.fingerprinter.begin(), 0));
        let length = before + row.len();
        hasher.update(&kept[row]);
        if !piece.last {
            self.long = Some((hasher, length));
            return Ok(());
        }
        if is_cut(self.fingerprinter.end(&hasher), length) {
            self.cut(writer);
        }
        Ok(())
    }

    /// Hashes the rows of the batch, and hands everything in it on.
    fn settle(&mut self, writer: &mut dyn PartWriter) {
        let mut batch = std::mem::take(&mut self.batch);
        self.fingerprinter.add_batch(&mut batch);
        let newline = usize::from(self.shape == Shape::Text);
        let mut done = 0;
        for (row, hash) in batch.hashed() {
            if is_cut(hash, row.len()) {
                let end = row.end + newline;
                self.hand_on(&batch.bytes()[done..end], writer);
                self.cut(writer);
                done = end;
            }
        }
        self.hand_on(&batch.bytes()[done..], writer);
        batch.clear();
        self.batch = batch;
    }

    fn hand_on(&mut self, bytes: &[u8], writer: &mut dyn PartWriter) {
        writer.append(bytes);
        self.since_cut += bytes.len();
    }

    /// Offers a cut, unless the last one is near.
    fn cut(&mut self, writer: &mut dyn PartWriter) {
        if self.since_cut >= NEAREST_CUT {
            self.since_cut = 0;
            writer.cut();
        }
    }
}

/// Whether a segment may end after this row: by the row's own hash, with a probability proportional to its length.
fn is_cut(hash: u32, length: usize) -> bool {
    u64::from(hash) * MEAN_CUT < (length as u64 + 1) << 32
}

/// Progress of one table, at most ten times a second. Clones count together.
#[derive(Clone)]
pub(super) struct Meter {
    events: Events,
    task: String,
    bytes: Arc<AtomicU64>,
    last: Option<Instant>,
    total: Option<u64>,
}

impl Meter {
    pub(super) fn new(events: &Events, task: impl Into<String>, total: Option<u64>) -> Self {
        Meter {
            events: events.clone(),
            task: task.into(),
            bytes: Arc::default(),
            last: None,
            total,
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
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
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.events
            .progress(&self.task, bytes, self.total, Unit::Bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_name_their_table() {
        assert_eq!(
            meter_name("COPY \"a\".\"b\" (\"c\") TO STDOUT"),
            "\"a\".\"b\""
        );
        assert_eq!(meter_name("COPY \"a\".\"b\" FROM STDIN"), "\"a\".\"b\"");
    }

    /// Remembers what lies between the cuts.
    struct Noted(Vec<Vec<u8>>);

    impl Default for Noted {
        fn default() -> Self {
            Noted(vec![Vec::new()])
        }
    }

    #[async_trait::async_trait]
    impl PartWriter for Noted {
        fn append(&mut self, bytes: &[u8]) {
            let last = self.0.last_mut().expect("there is one");
            last.extend_from_slice(bytes);
        }
        async fn settle(&mut self) -> Result<()> {
            Ok(())
        }
        fn cut(&mut self) {
            self.0.push(Vec::new());
        }
        async fn finish(
            self: Box<Self>,
            _: Option<Fingerprint>,
            _: std::collections::BTreeMap<String, serde_json::Value>,
        ) -> Result<crate::capture::PartInfo> {
            Err(Error::bug("is not finished here"))
        }
    }

    fn whole(bytes: &[u8]) -> Piece<'_> {
        Piece {
            bytes,
            first: true,
            last: true,
        }
    }

    #[test]
    fn cuts_survive_an_insertion_in_front() {
        let key = FingerprintKey::new([1; 32]);
        let cut_rows = |rows: &[String]| {
            let mut out = RowsOut::new(&key, Shape::Text, Ends::BOTH);
            let mut noted = Noted::default();
            for row in rows {
                let line = format!("{row}\n");
                out.add(&whole(line.as_bytes()), &mut noted).expect("adds");
            }
            out.settle(&mut noted);
            let last_row = |stretch: &Vec<u8>| {
                let mut rows = stretch.rsplit(|byte| *byte == b'\n');
                rows.nth(1).expect("ends with a row").to_vec()
            };
            noted.0.pop();
            noted.0.iter().map(last_row).collect::<Vec<_>>()
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

    /// Lengths of rows: mostly short, some that are hashed alone, some that come in pieces.
    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        let length = prop_oneof![
            200 => 0_usize..400,
            5 => 400_usize..40_000,
            1 => 900_000_usize..1_200_000,
        ];
        proptest::collection::vec(length, 0..1500)
    }

    /// Rows of these lengths, with the newline of a text row.
    fn rows(lengths: &[usize], shape: Shape) -> Vec<Vec<u8>> {
        let row = |(number, length): (usize, &usize)| {
            let mut row = vec![b'r'; *length];
            row.splice(..length.min(&8), number.to_string().into_bytes());
            if shape == Shape::Text {
                row.push(b'\n');
            }
            row
        };
        lengths.iter().enumerate().map(row).collect()
    }

    /// What lies between the cuts if each row is hashed alone.
    fn one_by_one(rows: &[Vec<u8>], shape: Shape, ends: Ends) -> (Vec<Vec<u8>>, Fingerprint) {
        let mut fingerprinter = FingerprintKey::new([1; 32]).start();
        let mut stretches = vec![Vec::new()];
        let mut since_cut = 0;
        for (number, row) in rows.iter().enumerate() {
            let head = if shape == Shape::Binary && ends.head && number == 0 {
                head()
            } else {
                Vec::new()
            };
            let last: &mut Vec<u8> = stretches.last_mut().expect("there is one");
            last.extend(&head);
            last.extend(row);
            since_cut += head.len() + row.len();
            let content = row.len() - usize::from(shape == Shape::Text);
            let hash = fingerprinter.add_with_hash(&row[..content]);
            if since_cut >= NEAREST_CUT && is_cut(hash, content) {
                since_cut = 0;
                stretches.push(Vec::new());
            }
        }
        if shape == Shape::Binary && ends.trailer {
            let last = stretches.last_mut().expect("there is one");
            last.extend(tuples::TRAILER);
        }
        (stretches, fingerprinter.finish())
    }

    fn head() -> Vec<u8> {
        let mut head = b"PGCOPY\n\xff\r\n\0".to_vec();
        head.resize(tuples::HEAD, 0);
        head
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn rows_are_cut_and_summed_as_if_each_were_hashed_alone(
            lengths in lengths(), binary in any::<bool>(), ends in any::<(bool, bool)>()
        ) {
            let shape = if binary { Shape::Binary } else { Shape::Text };
            let ends = Ends { head: ends.0, trailer: ends.1 };
            // A row of the binary format has a number of fields, and one that is empty or all ones would be the end.
            let lengths: Vec<usize> = lengths.iter().map(|length| length + if binary { 3 } else { 0 }).collect();
            let rows = rows(&lengths, shape);
            proptest::prop_assume!(!rows.is_empty());
            let mut out = RowsOut::new(&FingerprintKey::new([1; 32]), shape, ends);
            let (mut noted, mut sum) = (Noted::default(), RowSum::new(&FingerprintKey::new([1; 32])));
            let mut bytes = 0;
            for (number, row) in rows.iter().enumerate() {
                let mut message = if binary && number == 0 { head() } else { Vec::new() };
                message.extend(row);
                let content = &row[..row.len() - usize::from(!binary)];
                // The server's message in as many pieces as the wire would make of it.
                let piece_length = if message.len() > 1_000_000 { 256 * 1024 } else { message.len() };
                let last = message.len().div_ceil(piece_length) - 1;
                for (number, bytes) in message.chunks(piece_length).enumerate() {
                    let piece = Piece { bytes, first: number == 0, last: number == last };
                    out.add(&piece, &mut noted).expect("adds");
                }
                let half = content.len() / 2;
                if content.len() % 3 == 0 {
                    sum.add(&Piece { bytes: &content[..half], first: true, last: false });
                    sum.add(&Piece { bytes: &content[half..], first: false, last: true });
                } else {
                    sum.add(&whole(content));
                }
                proptest::prop_assert!(out.batch.bytes().len() < 100_000);
                bytes += row.len();
            }
            if binary {
                out.add(&whole(&tuples::TRAILER), &mut noted).expect("adds");
            }
            out.settle(&mut noted);
            let (stretches, fingerprint) = one_by_one(&rows, shape, ends);
            proptest::prop_assert!(noted.0 == stretches, "{:?}", noted.0.iter().map(Vec::len).collect::<Vec<_>>());
            proptest::prop_assert_eq!(out.fingerprinter.finish(), fingerprint);
            proptest::prop_assert_eq!(sum.finish(), fingerprint);
            let ends = usize::from(binary && ends.head) * tuples::HEAD + usize::from(binary && ends.trailer) * 2;
            proptest::prop_assert_eq!(out.bytes, bytes + ends);
        }
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
