//! The journal: hash-chained NDJSON, one durable record before and after each effect.
//!
//! Each line is `{"seq":N,"prev":"<sha256 of the previous line>","at":…,"record":…}`. A line that a crash cut short at the
//! end of the file is cut off when the journal is opened again; anything else that does not chain is damage and
//! exit code 6. The file is locked (flock(2)) while a process executes the run.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Report, Result};
use crate::event::StepEnd;
use crate::pid::Process;
use crate::reasons;
use crate::secret;
use crate::time::Instant;

use super::plan::Plan;
use super::step::Facts;

reasons! {
    /// A line in the middle is not what was written.
    DAMAGED = "journal.damaged", Integrity,
        "A record of the run's journal is not what was written: a line was edited, removed, added or swapped. The run cannot be \
         resumed from it. Look at the targets themselves (`summitctl status`), end the run for good with `summitctl run abort RUN --confirm RUN`, \
         which takes nothing back and keeps the journal for examination, and start a new run.";
    /// Another process executes the run.
    BUSY = "journal.busy", Refused, "Another process executes this run right now; it holds the journal's lock. Wait for it or end it.";
    /// A crash that a test asked for.
    CRASH = "journal.test-crash", Interrupted, "A test asked for a crash at this point of the journal.";
}

/// One fact about a run, in the order in which it became true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Record {
    /// The plan was consented to; nothing has been done.
    Started {
        /// Format version: 1.
        version: u32,
        /// The run's id.
        run: String,
        /// The program's version.
        tool: String,
        /// The machine.
        host: String,
        /// The process.
        process: Process,
        /// How consent was given, as JSON.
        consent: Value,
        /// What is executed.
        plan: Box<Plan>,
        /// The digest of that plan.
        digest: String,
    },
    /// Another process goes on.
    Resumed {
        /// The machine.
        host: String,
        /// The process.
        process: Process,
    },
    /// An effect is about to be made. Durable before the effect.
    Intent {
        /// The step's id.
        step: String,
        /// The idempotency key of the effect.
        key: String,
        /// What will be done.
        change: Value,
        /// The facts it rests on.
        decisive: Facts,
    },
    /// A step ended well: its effect was made and seen, or was there already, or it only looked.
    Done {
        /// The step's id.
        step: String,
        /// How it ended.
        end: StepEnd,
        /// Whether an effect in doubt after a crash was found in place and adopted.
        adopted: bool,
        /// Seconds it took in this process.
        seconds: f64,
        /// What was seen.
        observed: Facts,
    },
    /// A step failed; its effect, if there was an intent, is in doubt.
    Failed {
        /// The step's id.
        step: String,
        /// Whether the run goes on regardless.
        tolerated: bool,
        /// Why.
        error: Report,
    },
    /// A step's effect is about to be taken back.
    UndoIntent {
        /// The step's id.
        step: String,
    },
    /// A step's effect was taken back, or cannot be.
    Undone {
        /// The step's id.
        step: String,
        /// Whether nothing of the effect is left.
        clean: bool,
        /// What was seen, or why it is impossible.
        detail: String,
    },
    /// The run stopped and can be resumed.
    Paused {
        /// Why.
        error: Report,
        /// The signed record of what was done so far, as its keeper names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    /// The run ended for good.
    Ended {
        /// The exit code it led to.
        exit_code: u8,
        /// Whether it was aborted rather than finished.
        aborted: bool,
        /// The signed record of the run, as its keeper names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
}

impl Record {
    /// A word for crash points and listings.
    pub fn word(&self) -> &'static str {
        match self {
            Record::Started { .. } => "started",
            Record::Resumed { .. } => "resumed",
            Record::Intent { .. } => "intent",
            Record::Done { .. } => "done",
            Record::Failed { .. } => "failed",
            Record::UndoIntent { .. } => "undo-intent",
            Record::Undone { .. } => "undone",
            Record::Paused { .. } => "paused",
            Record::Ended { .. } => "ended",
        }
    }
}

/// A record with its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Counts from 0.
    pub seq: u64,
    /// SHA-256 of the previous line without its newline, in hex; zeros for the first.
    pub prev: String,
    /// When it was written.
    pub at: Instant,
    /// What became true.
    pub record: Record,
}

/// Where a test makes the process die, counted over all records written by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPoint {
    /// The record, counted from 0 in this process.
    pub record: u64,
    /// Where around it.
    pub place: CrashPlace,
    /// Die by SIGKILL, or by an error that the executor passes up untouched (for tests in one process).
    pub kill: bool,
}

/// Where around a record the crash comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPlace {
    /// Nothing of the record was written.
    Before,
    /// Half of its bytes were written.
    Within,
    /// It is durable; what follows it has not begun.
    After,
}

impl std::str::FromStr for CrashPoint {
    type Err = Error;

    /// `before:N`, `within:N`, `after:N`.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(place, record)| {
            let place = match place {
                "before" => CrashPlace::Before,
                "within" => CrashPlace::Within,
                "after" => CrashPlace::After,
                _ => return None,
            };
            Some(CrashPoint {
                record: record.parse().ok()?,
                place,
                kill: true,
            })
        });
        parsed
            .ok_or_else(|| Error::input(format!("`{text}` is not a crash point such as `after:3`")))
    }
}

/// A journal that is open for writing; holds its lock.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    next: u64,
    prev: String,
    written: u64,
    /// Where the whole records end. A failed write is cut back to it, so that a later record never joins half a line.
    length: u64,
    /// Set when it is not known how the file ends; nothing is appended any more.
    broken: bool,
    crash: Option<CrashPoint>,
}

/// What reading a journal gives.
#[derive(Debug)]
pub struct History {
    /// The records that chain.
    pub lines: Vec<Line>,
    /// How many bytes at the end were cut short by a crash.
    pub torn: u64,
}

/// A journal that cannot be executed any further.
#[derive(Debug)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// The records before the damage.
    pub whole: Vec<Line>,
    /// What the damage is.
    pub error: Error,
    _lock: File,
}

impl Journal {
    /// Creates the journal of a new run.
    pub fn create(path: &Path, crash: Option<CrashPoint>) -> Result<Journal> {
        let file = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(path);
        let file = file.map_err(|e| Error::io("create", path, e))?;
        lock(&file, path)?;
        sync_parent(path)?;
        Ok(Journal {
            file,
            path: path.to_owned(),
            next: 0,
            prev: zeros(),
            written: 0,
            length: 0,
            broken: false,
            crash,
        })
    }

    /// Opens the journal of an earlier run to go on: locks it, checks the chain, cuts a torn tail.
    pub fn reopen(path: &Path, crash: Option<CrashPoint>) -> Result<(Journal, History)> {
        let file = File::options().read(true).append(true).open(path);
        let mut file = file.map_err(|e| Error::io("open", path, e))?;
        lock(&file, path)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(|e| Error::io("read", path, e))?;
        let (history, prev) = parse(&bytes, path)?;
        let length = bytes.len() as u64 - history.torn;
        if history.torn > 0 {
            file.set_len(length)
                .and_then(|()| file.sync_all())
                .map_err(|e| Error::io("cut the torn end of", path, e))?;
        }
        let next = history.lines.len() as u64;
        Ok((
            Journal {
                file,
                path: path.to_owned(),
                next,
                prev,
                written: 0,
                length,
                broken: false,
                crash,
            },
            history,
        ))
    }

    /// Reads a journal without locking it, for `run show`.
    pub fn read(path: &Path) -> Result<History> {
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        parse(&bytes, path).map(|(history, _)| history)
    }

    /// What is left of a damaged journal; `None` for one that can be read. Holds the lock, so that nobody executes the run
    /// meanwhile.
    pub fn salvage(path: &Path) -> Result<Option<Damaged>> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        lock(&file, path)?;
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let error = match parse(&bytes, path) {
            Ok((history, _)) => match super::replay::RunState::of(&history, path) {
                Ok(_) => return Ok(None),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let mut whole = Vec::new();
        let mut prev = zeros();
        for text in bytes.split(|b| *b == b'\n') {
            let line = serde_json::from_slice::<Line>(text).ok();
            let Some(line) = line.filter(|l| l.prev == prev && l.seq == whole.len() as u64) else {
                break;
            };
            prev = hash(text);
            whole.push(line);
        }
        Ok(Some(Damaged {
            path: path.to_owned(),
            whole,
            error,
            _lock: file,
        }))
    }

    /// Whether a process executes the run right now.
    pub fn busy(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| lock(&file, path).is_err())
    }

    /// Appends a record and returns once it is durable.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let mut record = serde_json::to_value(record)
            .map_err(|e| Error::bug("a record does not serialise").caused_by(e))?;
        secret::mask_json(&mut record);
        let line = serde_json::json!({"seq": self.next, "prev": self.prev, "at": Instant::now(), "record": record});
        let line = line.to_string();
        self.crash_at(CrashPlace::Before)?;
        if self.crash_here(CrashPlace::Within) {
            self.write(&line.as_bytes()[..line.len() / 2])?;
            return self.crash_at(CrashPlace::Within);
        }
        if self.broken {
            return Err(Error::new(
                &crate::error::IO,
                format!(
                    "journal `{}` takes no more records: an earlier one could not be written",
                    self.path.display()
                ),
            ));
        }
        let line_and_end = format!("{line}\n");
        if let Err(error) = self.write(line_and_end.as_bytes()) {
            let cut = self.file.set_len(self.length);
            self.broken = cut.and_then(|()| self.file.sync_all()).is_err();
            return Err(error);
        }
        self.length += line_and_end.len() as u64;
        self.prev = hash(line.as_bytes());
        self.next += 1;
        self.crash_at(CrashPlace::After)?;
        self.written += 1;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| Error::io("write", &self.path, e))
    }

    fn crash_here(&self, place: CrashPlace) -> bool {
        self.crash
            .is_some_and(|c| c.record == self.written && c.place == place)
    }

    fn crash_at(&self, place: CrashPlace) -> Result<()> {
        if !self.crash_here(place) {
            return Ok(());
        }
        if self.crash.is_some_and(|c| c.kill) {
            Process::current().signal(rustix::process::Signal::KILL);
        }
        Err(Error::new(
            &CRASH,
            format!("crashed at record {}", self.written),
        ))
    }
}

fn zeros() -> String {
    "0".repeat(64)
}

fn hash(line: &[u8]) -> String {
    Sha256::digest(line)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn lock(file: &File, path: &Path) -> Result<()> {
    use rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(file, NonBlockingLockExclusive).map_err(|_| {
        Error::new(
            &BUSY,
            format!("another process executes the run of `{}`", path.display()),
        )
    })
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| Error::io("sync", parent, e))
}

/// What to do about a damaged journal; it lies in the folder that bears the run's id.
pub(super) fn give_up_hint(error: Error, path: &Path) -> Error {
    let run = path.parent().and_then(Path::file_name).unwrap_or_default();
    let run = run.to_string_lossy();
    error.hint(format!(
        "It cannot be resumed: look at the targets with `summitctl status`, end it for good with `summitctl run abort {run} --confirm {run}`, which takes nothing back, and start a new run."
    ))
}

/// Only a last line without its newline, or one that is not whole, can be a crash's doing.
fn parse(bytes: &[u8], path: &Path) -> Result<(History, String)> {
    let mut lines = Vec::new();
    let mut prev = zeros();
    let mut start = 0;
    while start < bytes.len() {
        let Some(length) = bytes[start..].iter().position(|b| *b == b'\n') else {
            return Ok((
                History {
                    lines,
                    torn: (bytes.len() - start) as u64,
                },
                prev,
            ));
        };
        let text = &bytes[start..start + length];
        let number = lines.len() + 1;
        let damaged = |what: String| {
            give_up_hint(
                Error::new(
                    &DAMAGED,
                    format!("line {number} of journal `{}` {what}", path.display()),
                ),
                path,
            )
        };
        let line: Line = serde_json::from_slice(text)
            .map_err(|e| damaged("is not a journal record".into()).caused_by(e))?;
        if line.prev != prev || line.seq != lines.len() as u64 {
            return Err(damaged("does not follow the line before it".into()));
        }
        prev = hash(text);
        lines.push(line);
        start += length + 1;
    }
    Ok((History { lines, torn: 0 }, prev))
}
