//! The format `redis-dump-stream`: the keys of one numbered database, one record after the other.
//!
//! ```text
//! part    := magic record* end
//! magic   := "redis-dump-stream 2\n"                      (20 bytes)
//! record  := 0x01 expiry flags usage key payload
//! expiry  := u64                                          milliseconds since the Unix epoch; 0 is never
//! flags   := u8                                           bit 0: a module's value; bit 1: idle; bit 2: frequency; bit 3: goes on
//!                                                         with the record before; bit 4: more of the value follows; bit 5: the payload
//!                                                         is only some bytes of one, which the records before and after go on with;
//!                                                         the others are 0
//! usage   := u64 if bit 1, u8 if bit 2, else nothing      seconds since the last use, or the counter of uses
//! key     := u32 length, then the bytes
//! payload := u64 length, then the bytes                   as `DUMP` gives it and `RESTORE key expiry payload ABSTTL` takes it:
//!                                                         type byte, value, u16 RDB version, u64 CRC-64 (Jones) of it all
//! end     := 0x00 u64                                     the number of records
//! ```
//!
//! Version 1 had no usage. All numbers are little-endian. A part without its end is not whole. The database's number is in the part's name.

use std::ops::Range;

use crate::capture::PartReader;
use crate::error::{Error, Result};

use super::MALFORMED;
use super::rdb::{self, Cursor, Entry, Payload, Piece, Stop, Usage};

/// The format's name in a part's description.
pub const FORMAT: &str = "redis-dump-stream";

/// The format of `redis/functions`: one `FUNCTION DUMP` payload as it is.
pub const FUNCTIONS_FORMAT: &str = "redis-function-dump";

/// What a part begins with.
pub(super) const MAGIC: &[u8; 20] = b"redis-dump-stream 2\n";

/// What parts of earlier versions begin with.
const MAGIC_1: &[u8; 20] = b"redis-dump-stream 1\n";

const RECORD: u8 = 1;
const END: u8 = 0;
const MODULE_FLAG: u8 = 1;
const IDLE_FLAG: u8 = 2;
const FREQUENCY_FLAG: u8 = 4;
const GOES_ON: u8 = 8;
const MORE: u8 = 16;
const FRAGMENT: u8 = 32;

/// Appends one record.
pub(super) fn write(out: &mut Vec<u8>, entry: &Entry) -> Result<()> {
    let begins = !entry.fragment || entry.piece == Piece::First;
    let is_module = begins && entry.payload.first() == Some(&rdb::kind::MODULE_2);
    let length = u32::try_from(entry.key.len())
        .map_err(|e| Error::bug("a key is longer than 4 GiB").caused_by(e))?;
    out.push(RECORD);
    out.extend_from_slice(&entry.expiry.to_le_bytes());
    let module = if is_module { MODULE_FLAG } else { 0 };
    let fragment = if entry.fragment { FRAGMENT } else { 0 };
    let flags = module
        | fragment
        | match entry.piece {
            Piece::Whole => 0,
            Piece::First => MORE,
            Piece::Middle => GOES_ON | MORE,
            Piece::Last => GOES_ON,
        };
    match entry.usage {
        Usage::Unknown => out.push(flags),
        Usage::Idle(seconds) => {
            out.push(flags | IDLE_FLAG);
            out.extend_from_slice(&seconds.to_le_bytes());
        }
        Usage::Frequency(count) => out.extend([flags | FREQUENCY_FLAG, count]),
    }
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&entry.key);
    out.extend_from_slice(&(entry.payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&entry.payload);
    Ok(())
}

/// Appends the end.
pub(super) fn write_end(out: &mut Vec<u8>, records: u64) {
    out.push(END);
    out.extend_from_slice(&records.to_le_bytes());
}

/// Reads a part record by record, holding one record and a chunk.
pub(super) struct Records<'a> {
    reader: &'a mut dyn PartReader,
    part: String,
    buffer: Vec<u8>,
    at: usize,
    begun: bool,
    records: u64,
}

impl<'a> Records<'a> {
    /// Begins a part; `part` names it in errors.
    pub(super) fn new(part: &str, reader: &'a mut dyn PartReader) -> Self {
        Records {
            reader,
            part: part.to_owned(),
            buffer: Vec::new(),
            at: 0,
            begun: false,
            records: 0,
        }
    }

    /// The next record as an entry of its own.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>> {
        Ok(self.next_record().await?.map(|record| record.to_entry()))
    }

    /// The next record; `None` behind the last, whose count was right and behind which nothing stands.
    pub(super) async fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        loop {
            let found = read(self.buffer.get(self.at..).unwrap_or_default(), self.begun);
            match found {
                Ok((Found::Magic, used)) => {
                    self.at += used;
                    self.begun = true;
                }
                Ok((Found::Record(place), used)) => {
                    let bytes = &self.buffer[self.at..];
                    self.at += used;
                    self.records += 1;
                    return Ok(Some(place.of(bytes)));
                }
                Ok((Found::End(records), used)) => {
                    self.at += used;
                    self.at_end(records).await?;
                    return Ok(None);
                }
                Err(Stop::Short) => self.more().await?,
                Err(stop) => return Err(self.malformed(&describe(stop))),
            }
        }
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        // Half as much again, so that a large record is not parsed from its beginning for every chunk.
        let goal = self.buffer.len() + self.buffer.len() / 2 + 1;
        let had = self.buffer.len();
        while self.buffer.len() < goal {
            match self.reader.next().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.len() > had => return Ok(()),
                None => return Err(self.malformed("it ends before its end mark")),
            }
        }
        Ok(())
    }

    async fn at_end(&mut self, records: u64) -> Result<()> {
        if records != self.records {
            return Err(self.malformed(&format!(
                "it says it has {records} records and has {}",
                self.records
            )));
        }
        let rest = self.buffer.len() > self.at;
        if rest || self.reader.next().await?.is_some_and(|c| !c.is_empty()) {
            return Err(self.malformed("it goes on behind its end mark"));
        }
        Ok(())
    }

    fn malformed(&self, why: &str) -> Error {
        Error::new(
            &MALFORMED,
            format!("the part `{}` is damaged: {why}", self.part),
        )
    }
}

/// A record that still lies among the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    pub(super) expiry: u64,
    pub(super) usage: Usage,
    pub(super) piece: Piece,
    pub(super) fragment: bool,
    pub(super) payload: &'a [u8],
}

impl Record<'_> {
    /// A copy that lasts.
    pub(super) fn to_entry(self) -> Entry {
        Entry {
            key: self.key.to_owned(),
            expiry: self.expiry,
            usage: self.usage,
            piece: self.piece,
            fragment: self.fragment,
            payload: self.payload.to_owned(),
        }
    }
}

/// Where the pieces of a record are.
struct Place {
    key: Range<usize>,
    expiry: u64,
    usage: Usage,
    piece: Piece,
    fragment: bool,
    payload: Range<usize>,
}

impl Place {
    fn of(self, bytes: &[u8]) -> Record<'_> {
        Record {
            key: &bytes[self.key],
            expiry: self.expiry,
            usage: self.usage,
            piece: self.piece,
            fragment: self.fragment,
            payload: &bytes[self.payload],
        }
    }
}

enum Found {
    Magic,
    Record(Place),
    End(u64),
}

fn read(bytes: &[u8], begun: bool) -> rdb::Result<(Found, usize)> {
    let mut cursor = Cursor::new(bytes);
    let found = if !begun {
        let magic = cursor.take(MAGIC.len())?;
        if magic != MAGIC && magic != MAGIC_1 {
            return Err(Stop::Bad("it does not begin as a `redis-dump-stream`"));
        }
        Found::Magic
    } else {
        match cursor.byte()? {
            END => Found::End(cursor.millis()?),
            RECORD => {
                let expiry = cursor.millis()?;
                let flags = cursor.byte()?;
                let piece = match (flags & GOES_ON != 0, flags & MORE != 0) {
                    (false, false) => Piece::Whole,
                    (false, true) => Piece::First,
                    (true, true) => Piece::Middle,
                    (true, false) => Piece::Last,
                };
                let fragment = flags & FRAGMENT != 0;
                if fragment && piece == Piece::Whole {
                    return Err(Stop::Bad("a record is a fragment of nothing"));
                }
                let usage = match flags & !(MODULE_FLAG | GOES_ON | MORE | FRAGMENT) {
                    0 => Usage::Unknown,
                    IDLE_FLAG => Usage::Idle(cursor.millis()?),
                    FREQUENCY_FLAG => Usage::Frequency(cursor.byte()?),
                    _ => return Err(Stop::Bad("a record has unknown flags")),
                };
                let length = u32::from_le_bytes(cursor.array()?);
                cursor.take(length as usize)?;
                let key = cursor.position() - length as usize..cursor.position();
                let length = usize::try_from(cursor.millis()?)
                    .map_err(|_| Stop::Bad("a record is larger than memory"))?;
                cursor.take(length)?;
                let payload = cursor.position() - length..cursor.position();
                Found::Record(Place {
                    key,
                    expiry,
                    usage,
                    piece,
                    fragment,
                    payload,
                })
            }
            _ => return Err(Stop::Bad("a record begins with an unknown mark")),
        }
    };
    Ok((found, cursor.position()))
}

/// The value of an entry: its payload checked and decoded.
pub(super) fn value(database: u32, entry: &Entry) -> Result<rdb::Value> {
    decoded(database, entry, Payload::check(&entry.payload))
}

/// The value of an entry that was just cut out of a snapshot, whose own checksum covers it.
pub(super) fn fresh_value(database: u32, entry: &Entry) -> Result<rdb::Value> {
    decoded(database, entry, Payload::unchecked(&entry.payload))
}

fn decoded(database: u32, entry: &Entry, payload: rdb::Result<Payload<'_>>) -> Result<rdb::Value> {
    let decoded = payload.and_then(|payload| payload.decode());
    decoded.map_err(|stop| entry_error(database, &entry.key, stop))
}

/// Why the value of a key cannot be read.
pub(super) fn entry_error(database: u32, key: &[u8], stop: Stop) -> Error {
    let key = key.escape_ascii();
    match stop {
        Stop::Unknown(kind) => Error::new(
            &super::UNSUPPORTED_VALUE,
            format!(
                "key `{key}` in database {database} has the value type {kind}, which is not known"
            ),
        ),
        stop => Error::new(
            &MALFORMED,
            format!(
                "key `{key}` in database {database} cannot be decoded: {}",
                describe(stop)
            ),
        ),
    }
}

/// Why reading stopped, in words.
pub(super) fn describe(stop: Stop) -> String {
    match stop {
        Stop::Short => "it is cut off".to_owned(),
        Stop::Bad(why) => why.to_owned(),
        Stop::Unknown(kind) => format!("type or opcode {kind} is not known"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::*;

    struct Chunks(VecDeque<Bytes>);

    #[async_trait::async_trait]
    impl PartReader for Chunks {
        async fn next(&mut self) -> Result<Option<Bytes>> {
            Ok(self.0.pop_front())
        }
    }

    async fn read_all(bytes: &[u8], chunk: usize) -> Result<Vec<Entry>> {
        let mut chunks = Chunks(bytes.chunks(chunk).map(Bytes::copy_from_slice).collect());
        let mut records = Records::new("redis/0/keys", &mut chunks);
        let mut out = Vec::new();
        while let Some(entry) = records.next().await? {
            out.push(entry);
        }
        Ok(out)
    }

    #[tokio::test]
    async fn records_survive_any_chunking_and_no_cut() {
        let entries: Vec<Entry> = (0_u8..5)
            .map(|n| Entry {
                key: vec![n; usize::from(n) * 7],
                expiry: u64::from(n) << 40,
                piece: [Piece::First, Piece::Middle, Piece::Last, Piece::Whole][usize::from(n) % 4],
                usage: match n {
                    0..3 => Usage::Unknown,
                    3 => Usage::Idle(77),
                    _ => Usage::Frequency(n),
                },
                fragment: n == 1,
                payload: Payload::build(
                    rdb::kind::STRING,
                    &[vec![n], vec![0; usize::from(n)]].concat(),
                    10,
                ),
            })
            .collect();
        let mut bytes = MAGIC.to_vec();
        for entry in &entries {
            write(&mut bytes, entry).expect("writes");
        }
        write_end(&mut bytes, 5);
        for chunk in [1, 3, 64, 10_000] {
            assert_eq!(read_all(&bytes, chunk).await.expect("reads"), entries);
        }
        let first = bytes.clone();
        bytes[18] = b'1';
        assert_eq!(read_all(&bytes, 64).await.expect("reads"), entries);
        bytes = first;
        for cut in 0..bytes.len() {
            let error = read_all(&bytes[..cut], 16).await.expect_err("is cut");
            assert_eq!(error.reason().code, "redis.malformed-dump");
        }
        let mut miscounted = bytes.clone();
        let at = miscounted.len() - 8;
        miscounted[at] = 6;
        assert!(read_all(&miscounted, 16).await.is_err());
        bytes.push(0);
        assert!(read_all(&bytes, 16).await.is_err());
    }
}
