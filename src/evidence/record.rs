//! Recording a run: a start record that is durable before anything changes, and a closing record when it is over.
//!
//! Everything here can be repeated: starting a run again, or resuming it after a crash, attaches to its start
//! record; finishing it twice gives the record that is there.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::archive::{Archive, Run};
use super::entry::Entry;
use super::keys::TrustedKeys;
use super::log::{Appended, Writer};
use super::predicate::{Closing, ClosingFacts, Position, Start, StartFacts, StartRef, VERSION};
use super::statement::{Kind, Record, Subject};
use super::text::{Digest, Name};
use super::{RUN_CONFLICT, files, measure};
use crate::error::{Error, NOT_FOUND, Result};
use crate::event::Outcome;
use crate::sign::{KeyId, SigningKey};

/// Names a record that is in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EvidenceRef {
    /// The run's id.
    pub run: Name,
    /// Which record it is.
    pub kind: Kind,
    /// The signer's key id.
    pub signer: KeyId,
    /// Its number in that signer's log.
    pub seq: u64,
    /// The envelope file.
    pub path: PathBuf,
    /// The SHA-256 of the envelope file.
    pub sha256: Digest,
    /// The log's anchor once this record was in it, for `--expect-head`: `KEYID@SEQ:sha256:…`.
    pub anchor: String,
}

impl From<Appended> for EvidenceRef {
    fn from(appended: Appended) -> Self {
        EvidenceRef {
            run: appended.entry.run,
            kind: appended.entry.kind,
            signer: appended.signer,
            seq: appended.entry.seq,
            path: appended.path,
            sha256: appended.entry.envelope,
            anchor: appended.anchor.to_string(),
        }
    }
}

/// A run that has its start record.
pub struct Recorder {
    dir: PathBuf,
    key: SigningKey,
    start: Start,
    place: EvidenceRef,
    /// Closing records of this run in other signers' logs, oldest first.
    elsewhere: Vec<(Closing, EvidenceRef)>,
    notes: Vec<String>,
}

impl Recorder {
    /// Records the start, durably. A run that has a start record with the same operation, context and plan is
    /// attached to; with others it is refused.
    ///
    /// `subjects` are immutable things the run is about and that were measured: a commit, an image, a backup's manifest.
    pub fn start(
        dir: &Path,
        key: &SigningKey,
        facts: StartFacts,
        subjects: Vec<Subject>,
    ) -> Result<Self> {
        check_run_id(&facts.run)?;
        files::create_folder(dir)?;
        let mut writer = Writer::open(dir, key)?;
        let known = find(&writer, &facts.run, Kind::Start);
        let appended = match known {
            Some(entry) => writer.place(&entry),
            None => writer.append(|log| new_start(facts.clone(), subjects, log))?,
        };
        let start = load_start(&writer, &appended.entry)?;
        if start.facts.operation != facts.operation
            || start.facts.context != facts.context
            || start.facts.plan_digest != facts.plan_digest
        {
            return Err(Error::new(
                &RUN_CONFLICT,
                format!(
                    "run `{}` was started as `{}` on context `{}` already, with another plan or purpose",
                    facts.run, start.facts.operation, start.facts.context
                ),
            ));
        }
        Ok(Recorder {
            dir: dir.to_owned(),
            key: key.clone(),
            start,
            place: appended.into(),
            elsewhere: Vec::new(),
            notes: std::mem::take(&mut writer.notes),
        })
    }

    /// Goes on with a run that has its start record: this signer's, or another trusted one's in the same directory,
    /// as when a run is resumed on another machine.
    pub fn attach(dir: &Path, key: &SigningKey, run: &str, trusted: &TrustedKeys) -> Result<Self> {
        let own = Writer::open(dir, key)?.notes;
        let mut trusted = trusted.clone();
        trusted.add(key.public(), "this process");
        let archive = Archive::open(dir, &trusted)?;
        let Some(Run { start, ends }) = archive.find(run).filter(|r| r.start.trusted).cloned()
        else {
            return Err(Error::new(
                &NOT_FOUND,
                format!(
                    "run `{run}` has no start record by a trusted signer in `{}`",
                    dir.display()
                ),
            )
            .hint("List what is there with `summitctl evidence list`."));
        };
        let mine = key.id();
        Ok(Recorder {
            dir: dir.to_owned(),
            key: key.clone(),
            start: start.predicate,
            place: start.place,
            elsewhere: ends
                .into_iter()
                .filter(|end| end.trusted && end.place.signer != mine)
                .map(|end| (end.predicate, end.place))
                .collect(),
            notes: own,
        })
    }

    /// The run's id.
    pub fn run(&self) -> &Name {
        &self.start.facts.run
    }

    /// The start record.
    pub fn start_record(&self) -> &Start {
        &self.start
    }

    /// Where the start record is.
    pub fn reference(&self) -> &EvidenceRef {
        &self.place
    }

    /// What was repaired in the log on the way, one sentence each: worth showing.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Records the end, durably.
    ///
    /// Call it when the run is over: passed, failed or given up. An interrupted run stays open. A run that passed
    /// is closed for good, and finishing it again gives the record that is there; one that did not pass may be
    /// resumed and finished once more, as its next attempt. The same end is never recorded twice.
    pub fn finish(self, facts: ClosingFacts, subjects: Vec<Subject>) -> Result<EvidenceRef> {
        let mut writer = Writer::open(&self.dir, &self.key)?;
        let mut attempt = self
            .elsewhere
            .iter()
            .map(|(c, _)| c.attempt)
            .max()
            .unwrap_or(0);
        if let Some((closing, place)) = self.elsewhere.last()
            && same_end(closing, &facts)
        {
            return Ok(place.clone());
        }
        if let Some(entry) = find(&writer, self.run(), Kind::End) {
            let Record::Closing(closing) = writer.load(&entry)? else {
                return Err(Error::bug("a closing entry names a start record"));
            };
            if same_end(&closing, &facts) {
                return Ok(writer.place(&entry).into());
            }
            attempt = attempt.max(closing.attempt);
        }
        let appended =
            writer.append(|log| Ok(self.new_closing(facts, subjects, attempt + 1, log)))?;
        Ok(appended.into())
    }

    fn new_closing(
        &self,
        facts: ClosingFacts,
        mut subjects: Vec<Subject>,
        attempt: u32,
        log: Position,
    ) -> (Vec<Subject>, Record) {
        subjects.push(Subject::sha256("start record", &self.place.sha256));
        let started = &self.start.facts;
        let closing = Closing {
            version: VERSION,
            run: started.run.clone(),
            operation: started.operation.clone(),
            context: started.context.clone(),
            tier: started.tier,
            plan_digest: started.plan_digest.clone(),
            start: StartRef {
                signer: self.place.signer.clone(),
                seq: self.place.seq,
                digest: self.place.sha256.clone(),
            },
            attempt,
            started: started.started,
            facts,
            tool: measure::tool(),
            host: measure::host(),
            log,
        };
        (subjects, Record::Closing(Box::new(closing)))
    }
}

fn new_start(
    facts: StartFacts,
    mut subjects: Vec<Subject>,
    log: Position,
) -> Result<(Vec<Subject>, Record)> {
    let tool = measure::tool();
    if let Some(plan) = &facts.plan_digest {
        subjects.push(Subject::sha256("plan", plan));
    }
    if subjects.is_empty() {
        // A statement must be about something: without a plan, this is the run of this very executable.
        let executable = tool.executable.as_ref().ok_or_else(|| {
            Error::bug("the run has no plan, no subject, and an executable that cannot be read")
        })?;
        subjects.push(Subject::sha256("summitctl", executable));
    }
    let start = Start {
        version: VERSION,
        facts,
        tool,
        host: measure::host(),
        log,
    };
    Ok((subjects, Record::Start(Box::new(start))))
}

/// The newest entry of this kind.
fn find(writer: &Writer<'_>, run: &Name, kind: Kind) -> Option<Entry> {
    let mut newest_first = writer.entries().rev();
    newest_first
        .find(|e| e.run == *run && e.kind == kind)
        .cloned()
}

fn load_start(writer: &Writer<'_>, entry: &Entry) -> Result<Start> {
    match writer.load(entry)? {
        Record::Start(start) => Ok(*start),
        Record::Closing(_) => Err(Error::bug("a start entry names a closing record")),
    }
}

/// Whether the run is closed for good, or these facts are the ones that were recorded.
fn same_end(closing: &Closing, facts: &ClosingFacts) -> bool {
    let steps = |f: &ClosingFacts| serde_json::to_value(&f.steps).ok();
    closing.facts.outcome == Outcome::Passed
        || (closing.facts.outcome == facts.outcome
            && closing.facts.exit_code == facts.exit_code
            && steps(&closing.facts) == steps(facts))
}

/// A run's id is part of a file name.
fn check_run_id(run: &Name) -> Result<()> {
    let text = run.to_string();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if text.is_empty() || text.len() > 120 || text.starts_with('.') || !text.bytes().all(fits) {
        return Err(Error::input(format!("`{text}` cannot be a run's id"))
            .hint("A run's id is made of at most 120 letters, digits, `.`, `_` and `-`, and does not start with a dot."));
    }
    Ok(())
}
