//! Writing a signer's log: one writer at a time, each record durable before anybody is told about it.
//!
//! A record takes three durable steps, envelope file, line, head, and a crash between any two is finished by the next
//! writer: a line that was torn is cut, an envelope without a line gets it, a head that lags is signed again.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::entry::{Anchor, Entry, HEAD, Head, LOG, Lines, RECORDS, compare, file_name};
use super::envelope::{Envelope, IN_TOTO};
use super::files;
use super::predicate::Position;
use super::statement::{Record, Subject};
use super::text::Digest;
use super::{BROKEN, LOCKED};
use crate::error::{Context as _, Error, Result};
use crate::sign::{KeyId, SigningKey};
use crate::time::{Instant, Span};
use crate::wait::Deadline;

/// The file that is locked while somebody writes; it stays empty.
pub(super) const LOCK: &str = "lock";
/// How long to wait for another writer. A record takes milliseconds, on a slow network volume perhaps a second.
const PATIENCE: Span = Span::secs(20);

/// A signer's log, locked.
pub(super) struct Writer<'k> {
    folder: PathBuf,
    key: &'k SigningKey,
    signer: KeyId,
    lines: Lines,
    /// What was repaired when the log was opened, one sentence each.
    pub notes: Vec<String>,
    /// Held until the writer is dropped.
    _lock: File,
}

/// A record that is in the log.
#[derive(Debug, Clone)]
pub(super) struct Appended {
    pub entry: Entry,
    pub path: PathBuf,
    pub signer: KeyId,
    pub anchor: Anchor,
}

impl<'k> Writer<'k> {
    /// Locks and repairs the log of this key below `dir`; refuses one that is not what was written.
    pub(super) fn open(dir: &Path, key: &'k SigningKey) -> Result<Self> {
        let signer = key.id();
        let folder = dir.join(signer.as_str());
        files::create_folder(&folder.join(RECORDS))?;
        files::sync_folder(dir)?;
        let lock = lock(&folder.join(LOCK))?;
        let mut writer = Writer {
            lines: Lines::read(&folder)?,
            folder,
            key,
            signer,
            notes: Vec::new(),
            _lock: lock,
        };
        writer.recover().map_err(|e| {
            let place = writer.folder.display();
            e.context(format!("cannot add to the evidence log of key `{}`", writer.signer))
                .hint(format!("See what is wrong with `summitctl evidence verify {}`.", dir.display()))
                .hint(format!("Start a fresh log, and keep this one for examination, with `mv {place} {place}.damaged`."))
        })?;
        Ok(writer)
    }

    /// The entries, oldest first.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.lines
            .lines
            .iter()
            .filter_map(|l| l.entry.as_ref().ok())
    }

    /// The place of an entry of this log.
    pub(super) fn place(&self, entry: &Entry) -> Appended {
        Appended {
            path: self.folder.join(&entry.file),
            signer: self.signer.clone(),
            anchor: Anchor {
                signer: Some(self.signer.clone()),
                seq: entry.seq,
                digest: self
                    .lines
                    .digest_at(entry.seq)
                    .cloned()
                    .unwrap_or_else(Digest::zero),
            },
            entry: entry.clone(),
        }
    }

    /// Reads a record of this log, its signature checked.
    pub(super) fn load(&self, entry: &Entry) -> Result<Record> {
        let path = self.folder.join(&entry.file);
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        self.read_record(&bytes)
            .context(|| format!("the record `{}` is not what was written", path.display()))
    }

    /// Makes a record at the next position, signs it, and makes it durable.
    pub(super) fn append(
        &mut self,
        make: impl FnOnce(Position) -> Result<(Vec<Subject>, Record)>,
    ) -> Result<Appended> {
        let position = Position {
            signer: self.signer.clone(),
            seq: self.lines.count() + 1,
            prev: self.lines.tip(),
            recorded: Instant::now(),
        };
        let (subjects, record) = make(position)?;
        let bytes = self.write_envelope(subjects, &record)?;
        let entry = self.write_line(&bytes)?;
        self.write_head()?;
        Ok(self.place(&entry))
    }

    /// First step: the envelope file.
    pub(super) fn write_envelope(
        &self,
        subjects: Vec<Subject>,
        record: &Record,
    ) -> Result<Vec<u8>> {
        let payload = record.to_payload(subjects)?;
        let bytes = Envelope::sign(self.key, IN_TOTO, &payload).to_bytes()?;
        let name = file_name(record.position().seq, record.kind(), record.run());
        files::write_whole(&self.folder.join(RECORDS).join(name), &bytes)?;
        Ok(bytes)
    }

    /// Second step: the line.
    pub(super) fn write_line(&mut self, envelope: &[u8]) -> Result<Entry> {
        let path = self.folder.join(LOG);
        let fresh = !path.exists();
        // The record is read back, so that masked texts derive the same line here and at every later look.
        let entry = Entry::of(&self.read_record(envelope)?, Digest::of(envelope));
        let line = entry.to_line()?;
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(&line)?;
                file.sync_all()
            });
        if let Err(e) = written {
            // Part of the line may be there. Best effort: the next writer cuts it as well.
            let _ = cut(&path, self.lines.whole);
            return Err(Error::io("append to", &path, e));
        }
        if fresh {
            files::sync_folder(&self.folder)?;
        }
        self.lines.whole += line.len() as u64;
        self.lines.lines.push(super::entry::Line {
            digest: Digest::of(&line),
            entry: Ok(entry.clone()),
            bytes: line,
        });
        Ok(entry)
    }

    /// Third step: the head.
    pub(super) fn write_head(&self) -> Result<()> {
        Head::write(
            &self.folder,
            self.key,
            self.lines.count(),
            &self.lines.tip(),
        )
    }

    fn recover(&mut self) -> Result<()> {
        self.check_chain()?;
        let public = self.key.public();
        let head = Head::read(&self.folder, &self.signer, Some(&public)).context(|| {
            format!(
                "the signed head `{}` is not what was written",
                self.folder.join(HEAD).display()
            )
        })?;
        let lags = compare(head.as_ref(), &self.lines).map_err(|misfit| {
            Error::new(
                &BROKEN,
                format!("{}: {}", self.at(misfit.line), misfit.message),
            )
        })?;
        if self.lines.torn > 0 {
            let path = self.folder.join(LOG);
            cut(&path, self.lines.whole).map_err(|e| Error::io("cut the torn end of", &path, e))?;
            self.notes.push(format!(
                "cut {} bytes that a crash left behind entry {} of `{}`",
                self.lines.torn,
                self.lines.count(),
                path.display()
            ));
            self.lines.torn = 0;
        }
        let adopted = self.adopt()?;
        if lags || adopted {
            self.write_head()?;
            self.notes.push(format!(
                "signed the head of entry {}, which a crash had left out",
                self.lines.count()
            ));
        }
        Ok(())
    }

    fn check_chain(&self) -> Result<()> {
        let mut prev = Digest::zero();
        for (number, line) in (1_u64..).zip(&self.lines.lines) {
            let wrong =
                |what: String| Error::new(&BROKEN, format!("{}: {what}", self.at(Some(number))));
            let entry = line
                .entry
                .as_ref()
                .map_err(|e| wrong(format!("not a log entry ({e})")))?;
            if entry.seq != number || entry.prev != prev {
                return Err(wrong(format!(
                    "entry {} does not follow the line before",
                    entry.seq
                )));
            }
            prev = line.digest.clone();
        }
        Ok(())
    }

    /// Gives the envelope of a writer that died before its line that line.
    fn adopt(&mut self) -> Result<bool> {
        let next = self.lines.count() + 1;
        let prefix = format!("{next:06}-");
        let folder = self.folder.join(RECORDS);
        let mut found = files::names(&folder)?;
        found.retain(|name| name.starts_with(&prefix));
        let [name] = found.as_slice() else {
            if found.is_empty() {
                return Ok(false);
            }
            return Err(Error::new(
                &BROKEN,
                format!(
                    "`{}` holds more than one record {next}, and the log none",
                    folder.display()
                ),
            ));
        };
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let strange = || {
            format!(
                "the record `{}` is not in the log, and is not its next one",
                path.display()
            )
        };
        let record = self.read_record(&bytes).context(strange)?;
        let position = record.position();
        if position.seq != next
            || position.prev != self.lines.tip()
            || *name != file_name(next, record.kind(), record.run())
        {
            return Err(Error::new(&BROKEN, strange()));
        }
        self.write_line(&bytes)?;
        self.notes
            .push(format!("logged record {next}, which a crash had left out"));
        Ok(true)
    }

    fn read_record(&self, bytes: &[u8]) -> Result<Record> {
        let envelope = Envelope::from_exact_bytes(bytes)?;
        let payload = envelope.verified_by(&self.key.public())?;
        let (_, record) = Record::from_payload(&payload)?;
        if record.position().signer == self.signer {
            Ok(record)
        } else {
            Err(Error::new(&BROKEN, "it belongs to another signer's log"))
        }
    }

    fn at(&self, line: Option<u64>) -> String {
        match line {
            Some(line) => format!("`{}` line {line}", self.folder.join(LOG).display()),
            None => format!("`{}`", self.folder.join(HEAD).display()),
        }
    }
}

fn cut(path: &Path, whole: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(whole)?;
    file.sync_all()
}

/// Holds off writers while a log is read, so that a record that is being written is not taken for damage. A copy
/// without a lock file, or one that may not be opened, is read as it is.
pub(super) fn hold_off_writers(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    match File::open(&path) {
        Ok(file) => {
            wait_for(&file, FlockOperation::NonBlockingLockShared, &path).map(|()| Some(file))
        }
        Err(_) => Ok(None),
    }
}

/// Locks for writing; the system releases the lock when its holder ends, however it ends.
fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| Error::io("open the lock", path, e))?;
    wait_for(&file, FlockOperation::NonBlockingLockExclusive, path)?;
    Ok(file)
}

fn wait_for(file: &File, operation: FlockOperation, path: &Path) -> Result<()> {
    let deadline = Deadline::after(PATIENCE.0);
    let mut pause = Duration::from_millis(1);
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if !deadline.passed() => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::new(
                    &LOCKED,
                    format!("another process held `{}` for {PATIENCE}", path.display()),
                )
                .hint(format!("See which one with `fuser -v {}`.", path.display())));
            }
            Err(e) => return Err(Error::io("lock", path, e.into())),
        }
    }
}
