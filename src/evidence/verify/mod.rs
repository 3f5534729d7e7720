//! Verification, offline, by somebody who does not trust us: signatures, chain, heads, forms, and start and end
//! fitting together. It carries on past a bad record, reports everything, and names the first one.

mod folder;
mod pairing;
mod single;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::archive::Run;
use super::entry::{Anchor, ENVELOPE_SUFFIX};
use super::keys::TrustedKeys;
use super::record::EvidenceRef;
use super::statement::{Record, Subject};
use super::text::Name;
use super::{ANCHOR_MISSING, BROKEN, NO_TRUSTED_KEY, files, log};
use crate::error::{Error, NOT_FOUND, Reason, Result};
use crate::sign::KeyId;
use crate::time::Instant;

/// What verification found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The format's version: 1.
    pub version: u32,
    /// What was verified.
    pub path: String,
    /// Which kind of thing it is.
    pub form: Form,
    /// Whether nothing bad was found.
    pub sound: bool,
    /// How many records were read.
    pub records: u64,
    /// The signers, by key id.
    pub signers: Vec<SignerReport>,
    /// What is known about records that may have been removed from the end.
    pub freshness: Freshness,
    /// Runs that started and never ended, oldest first.
    pub open: Vec<OpenRun>,
    /// Everything found, in the order in which it was met.
    pub findings: Vec<Finding>,
    /// The result in a few sentences.
    pub summary: Vec<String>,
}

/// What can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// An evidence directory: every signer's whole log.
    Directory,
    /// A folder of exported envelopes.
    Export,
    /// One envelope.
    Envelope,
}

/// What was found in one signer's log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SignerReport {
    /// The signer's key id.
    pub key_id: KeyId,
    /// Whether its key is among the trusted ones.
    pub trusted: bool,
    /// Where the trusted key came from.
    pub origin: Option<String>,
    /// How many entries the log has.
    pub entries: u64,
    /// How many of them, from the first on, are proven to be what was written.
    pub valid_up_to: u64,
    /// The log's anchor, to be stored elsewhere and given to `--expect-head`; absent for an empty log.
    pub anchor: Option<String>,
}

/// What is known about records that may have been removed from a log's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "known")]
pub enum Freshness {
    /// Nothing outside of what was verified says how far it should go.
    Unknown,
    /// The log contains the entry that the given anchor names.
    Anchored {
        /// The anchor.
        anchor: String,
    },
}

/// A run that started and never ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct OpenRun {
    /// The run's id.
    pub run: Name,
    /// What it does.
    pub operation: Name,
    /// The context.
    pub context: Name,
    /// When it began.
    pub started: Instant,
    /// Who signed the start.
    pub signer: KeyId,
    /// The start's number in the signer's log.
    pub seq: u64,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; an honest crash can leave it.
    Note,
    /// The evidence is not what was written, or cannot be trusted.
    Bad,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The stable reason code.
    pub reason: &'static str,
    /// The file, relative to what was verified.
    pub file: String,
    /// The line in it, for a log.
    pub line: Option<u64>,
    /// The entry's number, where it is known.
    pub seq: Option<u64>,
    /// The run, where it is known.
    pub run: Option<Name>,
    /// What is wrong.
    pub message: String,
}

impl Finding {
    fn bad(reason: &'static Reason, file: impl Into<String>, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Bad,
            reason: reason.code,
            file: file.into(),
            line: None,
            seq: None,
            run: None,
            message: message.into(),
        }
    }

    fn note(file: impl Into<String>, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Note,
            ..Self::bad(&BROKEN, file, message)
        }
    }

    fn of_error(error: &Error, file: impl Into<String>) -> Self {
        Self::bad(error.reason(), file, error.one_line())
    }

    fn line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    fn seq(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }

    fn run(mut self, run: &Name) -> Self {
        self.run = Some(run.clone());
        self
    }

    /// The file, with its line.
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("`{}` line {line}", self.file),
            None => format!("`{}`", self.file),
        }
    }
}

impl Report {
    /// The first bad record, which the exit code and the error are about.
    pub fn first_bad(&self) -> Option<&Finding> {
        self.findings.iter().find(|f| f.severity == Severity::Bad)
    }

    /// Fails, naming the first bad record, unless nothing bad was found.
    pub fn check(&self) -> Result<()> {
        let Some(first) = self.first_bad() else {
            return Ok(());
        };
        let reason = super::REASONS.iter().find(|r| r.code == first.reason);
        let mut error = Error::new(
            reason.copied().unwrap_or(&BROKEN),
            format!(
                "the evidence in `{}` does not hold: {}: {}",
                self.path,
                first.place(),
                first.message
            ),
        );
        if first.reason == super::UNTRUSTED.code {
            error = error.hint(format!(
                "If you know that signer, add its public key, got from the signer itself: `summitctl evidence verify {} --trusted-key KEY.pub`.",
                self.path
            ));
        }
        Err(error)
    }
}

/// A record that was read, whether or not it is good.
struct Found {
    record: Record,
    subjects: Vec<Subject>,
    place: EvidenceRef,
    trusted: bool,
    /// The file that findings about it name.
    file: String,
}

/// Verifies an evidence directory, a folder of exported envelopes, or one envelope, and tells them apart.
///
/// `expect` is an anchor that was stored elsewhere: the log must contain that entry. Fails only if nothing can be
/// read or nothing is trusted; what is wrong with the evidence is in the report.
pub fn verify(path: &Path, trusted: &TrustedKeys, expect: Option<&Anchor>) -> Result<Report> {
    if trusted.is_empty() {
        return Err(Error::new(
            &NO_TRUSTED_KEY,
            "no public key is trusted, so nothing can be proven",
        )
        .hint(format!(
            "Name one with `summitctl evidence verify {} --trusted-key KEY.pub`.",
            path.display()
        )));
    }
    if path.is_file() {
        return single::envelope(path, trusted, expect);
    }
    let exported = |name: &String| name.ends_with(ENVELOPE_SUFFIX);
    if files::names(path)?.iter().any(exported) {
        return single::export(path, trusted, expect);
    }
    Ok(examine(path, trusted, expect)?.0)
}

/// Verifies an evidence directory and pairs its records into runs.
pub(super) fn examine(
    dir: &Path,
    trusted: &TrustedKeys,
    expect: Option<&Anchor>,
) -> Result<(Report, Vec<Run>)> {
    if !dir.is_dir() {
        return Err(Error::new(&NOT_FOUND, format!("there is no evidence in `{}`", dir.display()))
            .hint("Evidence is written by every changing command; name its directory with `--evidence-dir`."));
    }
    let mut findings = Vec::new();
    let mut found = Vec::new();
    let mut signers = Vec::new();
    let mut anchored = None;
    let ids: Vec<KeyId> = files::names(dir)?
        .into_iter()
        .filter(|name| dir.join(name).is_dir())
        .filter_map(|name| name.parse().ok())
        .collect();
    // All at once: a run that starts in one log may end in another.
    let _held = ids
        .iter()
        .map(|id| log::hold_off_writers(&dir.join(id.as_str())))
        .collect::<Result<Vec<_>>>()?;
    for id in ids {
        let mut signer = folder::examine(dir, &id, trusted)?;
        if let Some(anchor) = expect.filter(|a| signer.report.trusted && signer.contains(a)) {
            anchored = Some(anchor.to_string());
        }
        findings.append(&mut signer.findings);
        found.append(&mut signer.found);
        signers.push(signer.report);
    }
    if let (Some(anchor), None) = (expect, &anchored) {
        findings.push(Finding::bad(
            &ANCHOR_MISSING,
            dir.display().to_string(),
            format!("no trusted log contains entry {} as the anchor `{anchor}` names it: rolled back, or replaced", anchor.seq),
        ));
    }
    let records = found.len() as u64;
    let (runs, open, mut unpaired) = pairing::pair(found);
    findings.append(&mut unpaired);
    let freshness = anchored.map_or(Freshness::Unknown, |anchor| Freshness::Anchored { anchor });
    let mut report = Report {
        version: 1,
        path: dir.display().to_string(),
        form: Form::Directory,
        sound: false,
        records,
        signers,
        freshness,
        open,
        findings,
        summary: Vec::new(),
    };
    report.conclude();
    Ok((report, runs))
}

impl Report {
    fn conclude(&mut self) {
        self.sound = self.first_bad().is_none();
        let mut summary = Vec::new();
        if self.records == 0 && self.sound {
            summary.push("There is no record here.".to_owned());
        }
        for signer in &self.signers {
            summary.push(self.about(signer));
        }
        if self.form != Form::Directory && self.sound {
            summary.push(format!(
                "{}: each is what its signer wrote; whether other records exist, only the signer's whole log can tell.",
                count(self.records, "record")
            ));
        }
        if !self.open.is_empty() {
            let runs: Vec<String> = self
                .open
                .iter()
                .map(|o| format!("`{}` ({})", o.run, o.operation))
                .collect();
            summary.push(format!("Started and never ended: {}.", runs.join(", ")));
        }
        if let Some(first) = self.first_bad() {
            summary.push(format!(
                "First bad record: {}: {}.",
                first.place(),
                first.message
            ));
        }
        self.summary = summary;
    }

    fn about(&self, signer: &SignerReport) -> String {
        let id = &signer.key_id;
        if !signer.trusted {
            return format!(
                "Key {id} is not trusted: its {} prove nothing.",
                count(signer.entries, "entry")
            );
        }
        let reach = format!("Key {id}: valid up to {}", signer.valid_up_to);
        if signer.valid_up_to < signer.entries {
            return format!("{reach} of {} entries.", signer.entries);
        }
        match &self.freshness {
            Freshness::Anchored { anchor } => {
                let named: Option<Anchor> = anchor.parse().ok();
                let here = named.is_some_and(|a| a.signer.as_ref().is_none_or(|s| s == id));
                if here {
                    return format!("{reach}, and it contains the anchored entry `{anchor}`.");
                }
                format!("{reach}, freshness unknown.")
            }
            Freshness::Unknown => format!(
                "{reach}, freshness unknown: nothing outside this directory says whether later entries were removed; keep the anchor elsewhere and pass it with `--expect-head`."
            ),
        }
    }
}

fn count(number: u64, noun: &str) -> String {
    match (number, noun) {
        (1, noun) => format!("1 {noun}"),
        (n, "entry") => format!("{n} entries"),
        (n, noun) => format!("{n} {noun}s"),
    }
}
