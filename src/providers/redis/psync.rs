//! A snapshot over replication: we ask as a replica that wants only the data, and read them as they come.
//!
//! We announce `capa eof`, so that the server need not write a file, and `rdb-only`, so that it keeps no backlog for us.
//! While the snapshot runs, the server lists us among its replicas; the port that we announce is one that cannot exist, so
//! that Sentinel does not take us for one (with no port, listed as 0, it does). The server forks for the snapshot; the memory
//! that it writes to meanwhile is copied. How it is made quick is told in [`super::ease`].

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::wait::{Cancel, Deadline};

use super::connect::{Io, LOGIN, open as connect, refused};
use super::ease::Eased;
use super::rdb::{self, Cutting, Item, Stop};
use super::record::describe;
use super::target::Target;
use super::{CONNECTION_LOST, FORK_FAILED, MALFORMED, PROTOCOL, UNSUPPORTED_VALUE};

/// How long the server may be silent. It sends newlines every second while it prepares (`replicationCron`), and gives up
/// on us after `repl-timeout`, 60 seconds unless set otherwise.
const SILENCE: Duration = Duration::from_secs(90);

/// While a value is incomplete, how long to wait for more before trying with what came.
const LULL: Duration = Duration::from_millis(100);

/// The port that we announce. Sentinel drops replicas whose port is above 65535 (`createSentinelAddr` in sentinel.c), but
/// takes port 0, which is what a server lists when none was announced, for a replica that it then misses for good.
const NO_PORT: &[u8] = b"65536";

const CHUNK: usize = 256 * 1024;

/// Values of which so much is here and more is to come are cut.
const LARGE: usize = 2 * 1024 * 1024;

/// Bytes of a piece.
const PIECE: usize = 1024 * 1024;

/// The length of the mark behind a snapshot of unknown length (`CONFIG_RUN_ID_SIZE`).
const MARK: usize = 40;

/// What came of asking.
pub(super) enum Asked {
    /// The snapshot comes.
    Coming(Box<Snapshot>),
    /// The server does not give snapshots to this user; its words.
    NotAllowed(String),
}

/// A snapshot being read.
pub(super) struct Snapshot {
    wire: Wire,
    /// Bytes of the snapshot that are still to be consumed, where the server said how many there are.
    left: Option<u64>,
    mark: Option<Vec<u8>>,
    crc: u64,
    /// Bytes consumed.
    pub(super) bytes: u64,
    /// The RDB version.
    pub(super) version: u16,
    /// A value too large to be held whole.
    cutting: Option<Cutting>,
    /// Whether payloads are to have checksums.
    pub(super) sealed: bool,
}

/// Asks for a snapshot, under these settings for as long as the server takes to fork.
pub(super) async fn ask(target: &Target, eased: &[Eased], cancel: &Cancel) -> Result<Asked> {
    let deadline = Deadline::after(LOGIN);
    let mut wire = Wire {
        stream: connect(target, deadline).await?,
        buffer: Vec::new(),
        at: 0,
        endpoint: target.endpoint(),
        cancel: cancel.clone(),
    };
    if let Some(password) = &target.password {
        let mut words: Vec<&[u8]> = vec![b"AUTH"];
        words.extend(target.user.as_ref().map(String::as_bytes));
        words.push(password.expose().as_bytes());
        let answer = wire.ask(&words).await?;
        if let Some(text) = answer.strip_prefix('-') {
            return Err(refused(&wire.endpoint, "AUTH", text));
        }
    }
    let answer = wire.ask(&[b"REPLCONF", b"capa", b"eof"]).await?;
    if let Some(text) = not_allowed(&answer) {
        return Ok(Asked::NotAllowed(text));
    }
    let answer = wire.ask(&[b"REPLCONF", b"listening-port", NO_PORT]).await?;
    if let Some(text) = answer.strip_prefix('-') {
        return Err(refused(&wire.endpoint, "REPLCONF listening-port", text));
    }
    // Servers before 6.2 do not know it and say so; they send changes behind the snapshot, which we do not read.
    wire.ask(&[b"REPLCONF", b"rdb-only", b"1"]).await?;
    let answer = wire.ask_eased(&[b"PSYNC", b"?", b"-1"], eased).await?;
    if let Some(text) = not_allowed(&answer) {
        return Ok(Asked::NotAllowed(text));
    }
    if let Some(text) = answer.strip_prefix('-') {
        return Err(no_snapshot(&wire.endpoint, text));
    }
    if !answer.starts_with("+FULLRESYNC") {
        return Err(wire.strange("PSYNC", &answer));
    }
    let frame = wire.line().await?;
    let Some(frame) = frame.strip_prefix('$') else {
        return Err(match frame.strip_prefix('-') {
            Some(text) => no_snapshot(&wire.endpoint, text),
            None => wire.strange("PSYNC", &frame),
        });
    };
    let (left, mark) = match (frame.strip_prefix("EOF:"), frame.parse::<u64>()) {
        (Some(mark), _) if mark.len() == MARK => (None, Some(mark.as_bytes().to_vec())),
        (None, Ok(length)) => (Some(length), None),
        _ => return Err(wire.strange("PSYNC", frame)),
    };
    let mut snapshot = Snapshot {
        wire,
        left,
        mark,
        crc: 0,
        bytes: 0,
        version: 0,
        cutting: None,
        sealed: true,
    };
    snapshot.version = snapshot.header().await?;
    Ok(Asked::Coming(Box::new(snapshot)))
}

/// Why there is no snapshot: the fork is what fails.
fn no_snapshot(endpoint: &str, text: &str) -> Error {
    if !text.contains("BGSAVE failed") {
        return refused(endpoint, "PSYNC", text);
    }
    Error::new(
        &FORK_FAILED,
        format!("Redis at `{endpoint}` could not begin its snapshot: {text}"),
    )
    .hint("Its log says why; too little memory for the fork is the usual reason (`vm.overcommit_memory`).")
}

/// The server's words if it withholds the command from this user.
fn not_allowed(answer: &str) -> Option<String> {
    let text = answer.strip_prefix('-')?;
    let lower = text.to_ascii_lowercase();
    let withheld = lower.starts_with("noperm")
        || lower.contains("unknown command")
        || lower.contains("not allowed")
        || lower.contains("not supported")
        || lower.contains("disabled");
    withheld.then(|| text.to_owned())
}

impl Snapshot {
    async fn header(&mut self) -> Result<u16> {
        loop {
            match rdb::header(self.view()) {
                Ok((header, used)) => {
                    self.consume(used);
                    return Ok(header.version);
                }
                Err(stop) => self.stopped(stop).await?,
            }
        }
    }

    /// The next item; `None` once the end mark, the checksum and the frame were seen to be right.
    pub(super) async fn next(&mut self) -> Result<Option<Item>> {
        if let Some(cutting) = self.cutting.take() {
            return self.piece(cutting).await.map(Some);
        }
        loop {
            let read = match self.sealed {
                true => rdb::item(self.view(), self.version),
                false => rdb::item_unsealed(self.view(), self.version),
            };
            match read {
                Ok((Item::End, used)) => {
                    self.consume(used);
                    self.finish().await?;
                    return Ok(None);
                }
                // Few bytes may be a large value.
                Ok((Item::Key(entry), _)) if rdb::unpacked(&entry.payload) >= LARGE => {
                    if let Some(cutting) = self.begin().await? {
                        return self.piece(cutting).await.map(Some);
                    }
                }
                Ok((item, used)) => {
                    self.consume(used);
                    return Ok(Some(item));
                }
                Err(Stop::Short) if self.view().len() >= LARGE => {
                    if let Some(cutting) = self.begin().await? {
                        return self.piece(cutting).await.map(Some);
                    }
                }
                Err(stop) => self.stopped(stop).await?,
            }
        }
    }

    /// Begins to cut a value; reads more where that cannot be told yet.
    async fn begin(&mut self) -> Result<Option<Cutting>> {
        match rdb::begin(self.view(), self.version) {
            Ok(Some((cutting, used))) => {
                self.consume(used);
                return Ok(Some(cutting));
            }
            Ok(None) => self.stopped(Stop::Short).await?,
            Err(stop) => self.stopped(stop).await?,
        }
        Ok(None)
    }

    /// The next piece of a large value.
    async fn piece(&mut self, mut cutting: Cutting) -> Result<Item> {
        loop {
            match cutting.take(self.view(), PIECE) {
                Ok((used, true)) => {
                    self.consume(used);
                    break;
                }
                Ok((used, false)) => {
                    self.consume(used);
                    self.stopped(Stop::Short).await?;
                }
                Err(stop) => self.stopped(stop).await?,
            }
        }
        let (entry, last) = cutting.piece();
        if !last {
            self.cutting = Some(cutting);
        }
        Ok(Item::Key(entry))
    }

    async fn finish(&mut self) -> Result<()> {
        let computed = self.crc;
        let stored = self.exactly(8).await?;
        let mut eight = [0; 8];
        eight.copy_from_slice(&stored);
        let stored = u64::from_le_bytes(eight);
        // 0 where the server was told not to compute it (`rdbchecksum no`).
        if stored != 0 && stored != computed {
            return Err(self.malformed("its checksum is wrong"));
        }
        if let Some(mark) = self.mark.clone() {
            if self.exactly(MARK).await? != mark {
                return Err(self.malformed("its end mark is not the one announced"));
            }
        } else if self.left != Some(0) {
            return Err(self.malformed("it is shorter than announced"));
        }
        Ok(())
    }

    async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.view().len() < count {
            self.stopped(Stop::Short).await?;
        }
        let taken = self.view()[..count].to_vec();
        self.consume(count);
        Ok(taken)
    }

    /// Reads more, or fails.
    async fn stopped(&mut self, stop: Stop) -> Result<()> {
        match stop {
            Stop::Short if self.left == Some(self.view().len() as u64) => {
                Err(self.malformed("it ends in the middle of a value"))
            }
            Stop::Short => self.wire.more().await,
            Stop::Unknown(kind) => Err(Error::new(
                &UNSUPPORTED_VALUE,
                format!(
                    "the snapshot of Redis at `{}` holds the value type or opcode {kind} (RDB version {}), which is not known",
                    self.wire.endpoint, self.version
                ),
            )),
            stop => Err(self.malformed(&describe(stop))),
        }
    }

    fn view(&self) -> &[u8] {
        let rest = self.wire.buffer.get(self.wire.at..).unwrap_or_default();
        match self.left {
            Some(left) => &rest[..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))],
            None => rest,
        }
    }

    fn consume(&mut self, count: usize) {
        self.crc = rdb::crc64::update(self.crc, &self.view()[..count]);
        self.wire.at += count;
        self.bytes += count as u64;
        if let Some(left) = &mut self.left {
            *left -= count as u64;
        }
    }

    fn malformed(&self, why: &str) -> Error {
        Error::new(
            &MALFORMED,
            format!(
                "the snapshot of Redis at `{}` is damaged: {why}",
                self.wire.endpoint
            ),
        )
    }
}

/// Appends one command.
fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// A socket that speaks just enough of the protocol to be a replica.
struct Wire {
    stream: Box<dyn Io>,
    buffer: Vec<u8>,
    at: usize,
    endpoint: String,
    cancel: Cancel,
}

impl Wire {
    async fn ask(&mut self, words: &[&[u8]]) -> Result<String> {
        self.ask_eased(words, &[]).await
    }

    /// Asks under settings that are put back in the same turn. `PSYNC` must find no answers before it, and a replica may be
    /// sent none, so those of the settings are skipped.
    async fn ask_eased(&mut self, words: &[&[u8]], eased: &[Eased]) -> Result<String> {
        const QUIET: [&[u8]; 3] = [b"CLIENT", b"REPLY", b"SKIP"];
        let mut out = Zeroizing::new(Vec::new());
        for one in eased {
            command(&mut out, &QUIET);
            command(&mut out, &one.there());
        }
        command(&mut out, words);
        for one in eased {
            command(&mut out, &QUIET);
            command(&mut out, &one.back());
        }
        let sent = self.stream.write_all(&out).await;
        sent.map_err(|e| self.lost().caused_by(e))?;
        self.line().await
    }

    /// The next line that is not empty: empty ones only say that the server is alive.
    async fn line(&mut self) -> Result<String> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                if rest.len() > 64 * 1024 {
                    return Err(self.strange("PSYNC", "a line without end"));
                }
                self.more().await?;
                continue;
            };
            let line = String::from_utf8_lossy(&rest[..end]).trim().to_owned();
            self.at += end + 1;
            if !line.is_empty() {
                return Ok(line);
            }
        }
    }

    /// Reads at least one byte; if there is much unread already, half as much again, unless the server pauses: so a
    /// large value is not parsed from its beginning for every chunk.
    async fn more(&mut self) -> Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let had = self.buffer.len();
        let goal = had + had / 2 + 1;
        while self.buffer.len() < goal {
            let patience = if self.buffer.len() > had {
                LULL
            } else {
                SILENCE
            };
            self.buffer.reserve(CHUNK);
            let read = self.cancel.guard(async {
                Ok(tokio::time::timeout(patience, self.stream.read_buf(&mut self.buffer)).await)
            });
            match read.await? {
                Err(_) if self.buffer.len() > had => return Ok(()),
                Ok(Ok(0)) if self.buffer.len() > had => return Ok(()),
                Ok(Ok(0)) => return Err(self.lost()),
                Ok(Ok(_)) => {}
                Ok(Err(e)) => return Err(self.lost().caused_by(e)),
                Err(_) => {
                    return Err(Error::new(
                        &CONNECTION_LOST,
                        format!(
                            "Redis at `{}` said nothing for {} in the middle of its snapshot",
                            self.endpoint,
                            crate::time::Span(SILENCE)
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    fn lost(&self) -> Error {
        Error::new(
            &CONNECTION_LOST,
            format!(
                "Redis at `{}` closed the connection before its snapshot was complete",
                self.endpoint
            ),
        )
        .hint("Its log says why: it ended, it could not fork, or the snapshot was not read quickly enough.")
    }

    fn strange(&self, what: &str, answer: &str) -> Error {
        Error::new(
            &PROTOCOL,
            format!(
                "Redis at `{}` answered `{what}` with `{answer}`",
                self.endpoint
            ),
        )
    }
}
