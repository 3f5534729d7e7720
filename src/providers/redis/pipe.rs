//! Many keys on their way to one server: commands are written as fast as it takes them, while a task of its own reads the
//! answers. Strings go by the hundred in one `MSETNX`, which costs a server about half of what as many `RESTORE` do.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::wait::Deadline;

use super::connect::{Io, LOGIN, open, refused};
use super::rdb::Usage;
use super::target::Target;
use super::{CONNECTION_LOST, MALFORMED, PROTOCOL};

/// Batches whose answers are awaited.
const ON_THE_WAY: usize = 8;

/// Strings, and their bytes, of one `MSETNX`: the server does nothing else meanwhile.
const PAIRS: usize = 128;
const PAIRED_BYTES: usize = 128 * 1024;

/// How long a server may be silent: it answers each command as soon as it is done.
const SILENCE: Duration = Duration::from_secs(300);

/// Commands that are sent together.
#[derive(Default)]
pub(super) struct Commands {
    bytes: Vec<u8>,
    count: usize,
    /// Keys and strings of a `MSETNX` that is being put together.
    group: Vec<u8>,
    pairs: usize,
}

impl Commands {
    /// Bytes so far.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + self.group.len()
    }

    /// Takes a key with a payload of `DUMP`.
    pub(super) fn restore(
        &mut self,
        key: &[u8],
        expiry: u64,
        usage: Usage,
        payload: &[u8],
        replace: bool,
    ) {
        let words = 4 + usize::from(expiry != 0) + usize::from(replace) + usage_words(usage);
        let out = &mut self.bytes;
        head(out, words);
        word(out, b"RESTORE");
        word(out, key);
        number(out, expiry);
        word(out, payload);
        if expiry != 0 {
            word(out, b"ABSTTL");
        }
        if replace {
            word(out, b"REPLACE");
        }
        add_usage(out, usage);
        self.count += 1;
    }

    /// Takes a string that never expires, unless the server has its key.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        word(&mut self.group, key);
        word(&mut self.group, value);
        self.pairs += 1;
        if self.pairs >= PAIRS || self.group.len() >= PAIRED_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.pairs == 0 {
            return;
        }
        head(&mut self.bytes, 1 + 2 * self.pairs);
        word(&mut self.bytes, b"MSETNX");
        self.bytes.append(&mut self.group);
        self.pairs = 0;
        self.count += 1;
    }

    fn plain(words: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::new());
        head(&mut out, words.len());
        words.iter().for_each(|w| word(&mut out, w));
        out
    }
}

fn head(out: &mut Vec<u8>, words: usize) {
    out.push(b'*');
    digits(out, words as u64);
    out.extend_from_slice(b"\r\n");
}

fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    digits(out, bytes.len() as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, number: u64) {
    let mut text = Vec::with_capacity(20);
    digits(&mut text, number);
    word(out, &text);
}

fn digits(out: &mut Vec<u8>, number: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    let mut left = number;
    loop {
        at -= 1;
        text[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Why a server did not take what it was sent.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The connection, or what came over it.
    Lost(Error),
    /// It answered a command with an error.
    Answer {
        /// The command and its first key.
        command: String,
        key: Vec<u8>,
        /// The server's words.
        text: String,
    },
    /// It has one of these keys already.
    There(Vec<Vec<u8>>),
}

struct Batch {
    bytes: Arc<Vec<u8>>,
    count: usize,
}

/// A connection of its own for keys alone.
pub(super) struct Pipe {
    endpoint: String,
    writer: WriteHalf<Box<dyn Io>>,
    sent: Option<mpsc::Sender<Batch>>,
    answers: JoinHandle<std::result::Result<u64, Refusal>>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

impl Pipe {
    /// Connects, logs in, and selects a database. With `keep`, keys that are there already are counted instead of refused.
    pub(super) async fn open(target: &Target, database: u32, keep: bool) -> Result<Pipe> {
        let endpoint = target.endpoint();
        let stream = login(target, database).await?;
        let (reader, writer) = tokio::io::split(stream);
        let (sent, batches) = mpsc::channel(ON_THE_WAY);
        let answers = Answers {
            reader,
            endpoint: endpoint.clone(),
            buffer: Vec::with_capacity(64 * 1024),
            at: 0,
            keep,
        };
        Ok(Pipe {
            endpoint,
            writer,
            sent: Some(sent),
            answers: tokio::spawn(answers.of(batches)),
        })
    }

    /// Sends commands; waits only if the server is far behind.
    pub(super) async fn send(
        &mut self,
        commands: &mut Commands,
    ) -> std::result::Result<(), Refusal> {
        commands.close();
        if commands.count == 0 {
            return Ok(());
        }
        let room = commands.bytes.capacity();
        let bytes = std::mem::replace(&mut commands.bytes, Vec::with_capacity(room));
        let batch = Batch {
            bytes: Arc::new(bytes),
            count: std::mem::take(&mut commands.count),
        };
        let bytes = Arc::clone(&batch.bytes);
        let taken = match &self.sent {
            Some(sent) => sent.send(batch).await.is_ok(),
            None => false,
        };
        let writing = tokio::time::timeout(SILENCE, self.writer.write_all(&bytes));
        if taken && matches!(writing.await, Ok(Ok(()))) {
            return Ok(());
        }
        // The answers say why.
        Err(match self.finish().await {
            Err(refusal) => refusal,
            Ok(_) => Refusal::Lost(lost(&self.endpoint)),
        })
    }

    /// Waits for every answer; how many keys were there already.
    pub(super) async fn finish(&mut self) -> std::result::Result<u64, Refusal> {
        self.sent = None;
        match (&mut self.answers).await {
            Ok(done) => done,
            Err(e) => Err(Refusal::Lost(
                Error::bug("the reader of answers ended early").caused_by(e),
            )),
        }
    }
}

/// A connection that is logged in, in a database.
async fn login(target: &Target, database: u32) -> Result<Box<dyn Io>> {
    let endpoint = target.endpoint();
    let deadline = Deadline::after(LOGIN);
    let mut stream = open(target, deadline).await?;
    if let Some(password) = &target.password {
        let mut words: Vec<&[u8]> = vec![b"AUTH"];
        words.extend(target.user.as_ref().map(String::as_bytes));
        words.push(password.expose().as_bytes());
        ask(&mut stream, &endpoint, &words, deadline).await?;
    }
    if database != 0 {
        let number = database.to_string();
        let words: [&[u8]; 2] = [b"SELECT", number.as_bytes()];
        ask(&mut stream, &endpoint, &words, deadline).await?;
    }
    Ok(stream)
}

/// One payload on its way to a server as it is read: the server is told its length first.
pub(super) struct Payload {
    endpoint: String,
    stream: Box<dyn Io>,
    /// Bytes that are still to come.
    left: u64,
}

impl Payload {
    /// Begins to restore a payload of so many bytes under a key of ours.
    pub(super) async fn begin(
        target: &Target,
        database: u32,
        name: &str,
        bytes: u64,
        usage: Usage,
    ) -> Result<Payload> {
        let mut payload = Payload {
            endpoint: target.endpoint(),
            stream: login(target, database).await?,
            left: bytes,
        };
        let mut out = Vec::new();
        head(&mut out, 5 + usage_words(usage));
        word(&mut out, b"RESTORE");
        word(&mut out, name.as_bytes());
        number(&mut out, 0);
        out.push(b'$');
        digits(&mut out, bytes);
        out.extend_from_slice(b"\r\n");
        payload.write(&out).await?;
        Ok(payload)
    }

    /// Sends some of it.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| self.miscounted())?;
        self.write(bytes).await
    }

    /// Ends it; the server's words if it does not take it.
    pub(super) async fn end(mut self, usage: Usage) -> Result<Option<String>> {
        if self.left != 0 {
            return Err(self.miscounted());
        }
        let mut out = b"\r\n".to_vec();
        word(&mut out, b"REPLACE");
        add_usage(&mut out, usage);
        self.write(&out).await?;
        let answer = async {
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                line.push(self.stream.read_u8().await?);
            }
            std::io::Result::Ok(line)
        };
        let answer = tokio::time::timeout(SILENCE, answer).await;
        let line = answer
            .map_err(|_| lost(&self.endpoint))?
            .map_err(|e| lost(&self.endpoint).caused_by(e))?;
        let text = String::from_utf8_lossy(&line);
        Ok(text.strip_prefix('-').map(|text| text.trim().to_owned()))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let writing = tokio::time::timeout(SILENCE, self.stream.write_all(bytes)).await;
        writing
            .map_err(|_| lost(&self.endpoint))?
            .map_err(|e| lost(&self.endpoint).caused_by(e))
    }

    fn miscounted(&self) -> Error {
        Error::new(
            &MALFORMED,
            "a value in fragments has another length than its part's description says",
        )
    }
}

fn usage_words(usage: Usage) -> usize {
    if usage == Usage::Unknown { 0 } else { 2 }
}

fn add_usage(out: &mut Vec<u8>, usage: Usage) {
    match usage {
        Usage::Unknown => {}
        Usage::Idle(seconds) => {
            word(out, b"IDLETIME");
            number(out, seconds);
        }
        Usage::Frequency(count) => {
            word(out, b"FREQ");
            number(out, u64::from(count));
        }
    }
}

/// One command with an answer of one line.
async fn ask(
    stream: &mut Box<dyn Io>,
    endpoint: &str,
    words: &[&[u8]],
    deadline: Deadline,
) -> Result<()> {
    let asking = async {
        stream.write_all(&Commands::plain(words)).await?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.push(stream.read_u8().await?);
        }
        std::io::Result::Ok(String::from_utf8_lossy(&line).trim().to_owned())
    };
    let answer = tokio::time::timeout(deadline.left(), asking).await;
    let answer = answer
        .map_err(|_| lost(endpoint))?
        .map_err(|e| lost(endpoint).caused_by(e))?;
    match answer.strip_prefix('-') {
        Some(text) => Err(refused(endpoint, &String::from_utf8_lossy(words[0]), text)),
        None => Ok(()),
    }
}

fn lost(endpoint: &str) -> Error {
    Error::new(
        &CONNECTION_LOST,
        format!("the connection to Redis at `{endpoint}` was lost while keys were written"),
    )
}

struct Answers {
    reader: ReadHalf<Box<dyn Io>>,
    endpoint: String,
    buffer: Vec<u8>,
    at: usize,
    keep: bool,
}

impl Answers {
    async fn of(mut self, mut batches: mpsc::Receiver<Batch>) -> std::result::Result<u64, Refusal> {
        let mut kept = 0;
        while let Some(batch) = batches.recv().await {
            for at in 0..batch.count {
                let line = self.line().await.map_err(Refusal::Lost)?;
                let line = &self.buffer[line];
                match line.split_first() {
                    Some((b'+', _)) => {}
                    Some((b':', b"0")) => {
                        let words = command(&batch.bytes, at);
                        return Err(Refusal::There(
                            words
                                .iter()
                                .skip(1)
                                .step_by(2)
                                .map(|key| key.to_vec())
                                .collect(),
                        ));
                    }
                    Some((b':', _)) => {}
                    Some((b'-', text)) if self.keep && text.starts_with(b"BUSYKEY") => kept += 1,
                    Some((b'-', text)) => {
                        let words = command(&batch.bytes, at);
                        let name = words.first().copied().unwrap_or_default();
                        return Err(Refusal::Answer {
                            command: String::from_utf8_lossy(name).into_owned(),
                            key: words.get(1).copied().unwrap_or_default().to_vec(),
                            text: String::from_utf8_lossy(text).into_owned(),
                        });
                    }
                    _ => {
                        let text = String::from_utf8_lossy(line).into_owned();
                        return Err(Refusal::Lost(Error::new(
                            &PROTOCOL,
                            format!("Redis at `{}` answered a key with `{text}`", self.endpoint),
                        )));
                    }
                }
            }
        }
        Ok(kept)
    }

    /// Where the next answer stands in the buffer.
    async fn line(&mut self) -> Result<std::ops::Range<usize>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[self.at..]) {
                let line = self.at..self.at + end.saturating_sub(1);
                self.at += end + 1;
                return Ok(line);
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            let reading = self.reader.read_buf(&mut self.buffer);
            match tokio::time::timeout(SILENCE, reading).await {
                Ok(Ok(more)) if more > 0 => {}
                Ok(Ok(_)) => return Err(lost(&self.endpoint)),
                Ok(Err(e)) => return Err(lost(&self.endpoint).caused_by(e)),
                Err(_) => {
                    return Err(Error::new(
                        &CONNECTION_LOST,
                        format!(
                            "Redis at `{}` said nothing for {} while keys were written",
                            self.endpoint,
                            crate::time::Span(SILENCE)
                        ),
                    ));
                }
            }
        }
    }
}

/// The words of one command among many.
fn command(bytes: &[u8], which: usize) -> Vec<&[u8]> {
    let mut rest = bytes;
    // Behind a sign, up to the end of the line.
    fn number(rest: &mut &[u8]) -> Option<usize> {
        let end = memchr::memchr(b'\n', rest)?;
        let text = std::str::from_utf8(rest.get(1..end.checked_sub(1)?)?).ok()?;
        *rest = &rest[end + 1..];
        text.parse().ok()
    }
    let mut one = || {
        let mut words = Vec::new();
        for _ in 0..number(&mut rest)? {
            let length = number(&mut rest)?;
            words.push(rest.get(..length)?);
            rest = rest.get(length + 2..)?;
        }
        Some(words)
    };
    for _ in 0..which {
        if one().is_none() {
            break;
        }
    }
    one().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_again_by_their_place() {
        let mut commands = Commands::default();
        commands.set(b"a", b"1");
        commands.set(b"b", b"\r\n");
        commands.close();
        commands.restore(b"c", 0, Usage::Unknown, b"payload", false);
        commands.restore(b"d", 12_345, Usage::Idle(7), b"", true);
        commands.close();
        assert_eq!(commands.count, 3);
        let words: [&[u8]; 5] = [b"MSETNX", b"a", b"1", b"b", b"\r\n"];
        assert_eq!(command(&commands.bytes, 0), words);
        let words: [&[u8]; 4] = [b"RESTORE", b"c", b"0", b"payload"];
        assert_eq!(command(&commands.bytes, 1), words);
        let words: [&[u8]; 8] = [
            b"RESTORE",
            b"d",
            b"12345",
            b"",
            b"ABSTTL",
            b"REPLACE",
            b"IDLETIME",
            b"7",
        ];
        assert_eq!(command(&commands.bytes, 2), words);
        assert!(command(&commands.bytes, 3).is_empty());
    }
}
