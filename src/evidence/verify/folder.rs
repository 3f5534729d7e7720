//! One signer's folder: its log line by line, its records, its head, and what does not belong there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Finding, Found, SignerReport};
use crate::error::{Context as _, Error, Result};
use crate::evidence::entry::{
    Anchor, ENVELOPE_SUFFIX, Entry, HEAD, Head, LOG, Line, Lines, RECORDS, compare,
};
use crate::evidence::envelope::{Envelope, untrusted};
use crate::evidence::keys::TrustedKeys;
use crate::evidence::log::LOCK;
use crate::evidence::record::EvidenceRef;
use crate::evidence::statement::{Record, Subject};
use crate::evidence::text::Digest;
use crate::evidence::{BROKEN, MALFORMED, files};
use crate::sign::{KeyId, PublicKey};

/// A signer's folder, examined.
pub(super) struct Signer {
    pub report: SignerReport,
    pub findings: Vec<Finding>,
    pub found: Vec<Found>,
    anchors: Vec<Digest>,
}

impl Signer {
    /// Whether the log contains the anchored entry.
    pub(super) fn contains(&self, anchor: &Anchor) -> bool {
        let index = usize::try_from(anchor.seq.saturating_sub(1)).ok();
        anchor
            .signer
            .as_ref()
            .is_none_or(|s| *s == self.report.key_id)
            && index.and_then(|i| self.anchors.get(i)) == Some(&anchor.digest)
    }
}

/// Examines the folder of signer `id` below `dir`.
pub(super) fn examine(dir: &Path, id: &KeyId, trusted: &TrustedKeys) -> Result<Signer> {
    let folder = dir.join(id.as_str());
    let lines = Lines::read(&folder)?;
    let mut files_by_seq: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut strangers = Vec::new();
    for name in files::names(&folder.join(RECORDS))? {
        match seq_of(&name) {
            Some(seq) => {
                files_by_seq.entry(seq).or_default().insert(name);
            }
            None => strangers.push(name),
        }
    }
    let mut examiner = Examiner {
        id: id.clone(),
        key: trusted.get(id).cloned(),
        folder,
        findings: Vec::new(),
        found: Vec::new(),
        first_wrong: None,
        files_by_seq,
    };
    if examiner.key.is_none() {
        let error = untrusted(id.as_str());
        examiner
            .findings
            .push(Finding::of_error(&error, id.as_str()));
    }
    examiner.walk(&lines)?;
    examiner.check_head(&lines)?;
    examiner.check_strangers(&lines, strangers)?;
    let count = lines.count();
    let proven = match examiner.first_wrong {
        Some(line) => line.saturating_sub(1),
        None => count,
    };
    let anchor = (count > 0).then(|| Anchor {
        signer: Some(id.clone()),
        seq: count,
        digest: lines.tip(),
    });
    Ok(Signer {
        report: SignerReport {
            key_id: id.clone(),
            trusted: examiner.key.is_some(),
            origin: trusted.origin(id).map(str::to_owned),
            entries: count,
            valid_up_to: if examiner.key.is_some() { proven } else { 0 },
            anchor: anchor.map(|a| a.to_string()),
        },
        findings: examiner.findings,
        found: examiner.found,
        anchors: lines.lines.into_iter().map(|l| l.digest).collect(),
    })
}

struct Examiner {
    id: KeyId,
    key: Option<PublicKey>,
    folder: PathBuf,
    findings: Vec<Finding>,
    found: Vec<Found>,
    /// The first line with something bad.
    first_wrong: Option<u64>,
    /// Record files not yet accounted for.
    files_by_seq: BTreeMap<u64, BTreeSet<String>>,
}

/// A record file that was read.
struct Opened {
    record: Record,
    subjects: Vec<Subject>,
    digest: Digest,
}

impl Examiner {
    fn walk(&mut self, lines: &Lines) -> Result<()> {
        let mut expected = 1;
        let mut prev = Digest::zero();
        // A changed line makes the next one's `prev` wrong as well: that is the same finding, not another.
        let mut doubted = false;
        for (number, line) in (1_u64..).zip(&lines.lines) {
            let before = self.findings.len();
            match &line.entry {
                Err(why) => {
                    self.bad_line(number, None, format!("not a log entry ({why})"));
                    self.files_by_seq.remove(&number);
                    expected += 1;
                }
                Ok(entry) => {
                    if entry.seq != expected {
                        self.bad_line(number, Some(entry), out_of_place(entry.seq, expected));
                    } else if entry.prev != prev && !doubted {
                        let why =
                            "it does not follow the line before, which was changed or replaced";
                        self.bad_line(number, Some(entry), why.to_owned());
                    }
                    expected = entry.seq.saturating_add(1);
                    self.check_entry(number, line, entry)?;
                }
            }
            prev = line.digest.clone();
            doubted = self.findings.len() > before;
        }
        if lines.torn > 0 {
            let line = lines.count() + 1;
            self.findings.push(
                Finding::note(
                    self.file(LOG),
                    format!("{} bytes of a line that was being written when its writer died; the next writer cuts them", lines.torn),
                )
                .line(line),
            );
        }
        Ok(())
    }

    /// Holds a line against its record, and blames the one of the two that is not authentic.
    fn check_entry(&mut self, number: u64, line: &Line, entry: &Entry) -> Result<()> {
        let Some(name) = self.take_file(entry) else {
            let file = self.file(&entry.file);
            self.bad_record(
                number,
                entry,
                &file,
                &BROKEN,
                "the record is missing".to_owned(),
            );
            return Ok(());
        };
        let file = self.file(&format!("{RECORDS}/{name}"));
        let path = self.folder.join(RECORDS).join(&name);
        let bytes = files::read_if_there(&path)?.unwrap_or_default();
        let opened = match self.open(&bytes) {
            Ok(opened) => opened,
            Err(e) => {
                self.bad_record(number, entry, &file, e.reason(), e.one_line());
                return Ok(());
            }
        };
        let derived = Entry::of(&opened.record, opened.digest.clone());
        let authentic = self.key.is_some();
        let mut good = true;
        if derived.file != format!("{RECORDS}/{name}") {
            good = false;
            let why = format!(
                "the record is another one's: it belongs in `{}`",
                derived.file
            );
            self.bad_record(number, entry, &file, &BROKEN, why);
        } else if derived.to_line()? != line.bytes {
            good = false;
            if authentic || derived.envelope == entry.envelope {
                let fields = differing(&derived, entry);
                self.bad_line(
                    number,
                    Some(entry),
                    format!("the entry is not the one of its signed record: {fields} changed"),
                );
            } else {
                let why = "the record is not the file that was logged".to_owned();
                self.bad_record(number, entry, &file, &BROKEN, why);
            }
        }
        // An entry in the wrong place is bad even if its record is whole.
        let clean = good && self.first_wrong != Some(number);
        self.keep(opened, &path, &line.digest, clean && authentic, file);
        Ok(())
    }

    fn keep(&mut self, opened: Opened, path: &Path, line: &Digest, trusted: bool, file: String) {
        let position = opened.record.position();
        let anchor = Anchor {
            signer: Some(self.id.clone()),
            seq: position.seq,
            digest: line.clone(),
        };
        self.found.push(Found {
            place: EvidenceRef {
                run: opened.record.run().clone(),
                kind: opened.record.kind(),
                signer: self.id.clone(),
                seq: position.seq,
                path: path.to_owned(),
                sha256: opened.digest,
                anchor: anchor.to_string(),
            },
            record: opened.record,
            subjects: opened.subjects,
            trusted,
            file,
        });
    }

    /// Reads an envelope of this signer; with its key, the signature is checked.
    fn open(&self, bytes: &[u8]) -> Result<Opened> {
        let envelope = Envelope::from_exact_bytes(bytes)?;
        let payload = match &self.key {
            Some(key) => envelope.verified_by(key)?,
            None => envelope.unverified_payload()?,
        };
        let hint = envelope.signatures.first().map(|s| s.keyid.as_str());
        if envelope.signatures.len() != 1 || hint != Some(self.id.as_str()) {
            return Err(Error::new(
                &MALFORMED,
                "the envelope does not carry this signer's signature alone",
            ));
        }
        let (subjects, record) = Record::from_payload(&payload)?;
        if record.position().signer != self.id {
            return Err(Error::new(
                &BROKEN,
                format!(
                    "it belongs to the log of key `{}`",
                    record.position().signer
                ),
            ));
        }
        Ok(Opened {
            record,
            subjects,
            digest: Digest::of(bytes),
        })
    }

    /// The file of this entry: by its name, or the only one with its number.
    fn take_file(&mut self, entry: &Entry) -> Option<String> {
        let names = self.files_by_seq.get_mut(&entry.seq)?;
        let wanted = entry.file.strip_prefix(&format!("{RECORDS}/"));
        if let Some(name) = wanted.and_then(|w| names.take(w)) {
            return Some(name);
        }
        if names.len() == 1 {
            return names.pop_first();
        }
        None
    }

    fn check_head(&mut self, lines: &Lines) -> Result<()> {
        let head = match Head::read(&self.folder, &self.id, self.key.as_ref())
            .context(|| "the signed head is not what was written".to_owned())
        {
            Ok(head) => head,
            Err(e) if e.reason().code == crate::error::IO.code => return Err(e),
            Err(e) => {
                let finding = Finding::of_error(&e, self.file(HEAD));
                self.findings.push(finding);
                return Ok(());
            }
        };
        match compare(head.as_ref(), lines) {
            Ok(false) => {}
            Ok(true) => {
                let message = "the head lags one entry behind: its writer died in between; the next writer signs it";
                self.findings.push(Finding::note(self.file(HEAD), message));
            }
            // The walk has found the changed line already, or a head over it could not misfit so.
            Err(misfit) if self.first_wrong.is_some() && misfit.line.is_some() => {}
            Err(misfit) => {
                let file = self.file(if misfit.line.is_some() { LOG } else { HEAD });
                let mut finding = Finding::bad(&BROKEN, file, misfit.message);
                finding.line = misfit.line;
                self.findings.push(finding);
                if let Some(line) = misfit.line {
                    self.first_wrong.get_or_insert(line);
                }
            }
        }
        Ok(())
    }

    /// Files that no line accounts for. One, the next in number and whole, is what a crash can leave.
    fn check_strangers(&mut self, lines: &Lines, strangers: Vec<String>) -> Result<()> {
        let rest = std::mem::take(&mut self.files_by_seq);
        for (seq, names) in &rest {
            for name in names {
                let file = self.file(&format!("{RECORDS}/{name}"));
                let path = self.folder.join(RECORDS).join(name);
                let bytes = files::read_if_there(&path)?.unwrap_or_default();
                let next = *seq == lines.count() + 1 && names.len() == 1;
                match self.open(&bytes) {
                    Ok(opened) if next && opened.record.position().prev == lines.tip() => {
                        let derived = Entry::of(&opened.record, opened.digest.clone());
                        if derived.file != format!("{RECORDS}/{name}") {
                            self.findings.push(
                                Finding::bad(&BROKEN, file, "the record's name is not its own")
                                    .seq(*seq),
                            );
                            continue;
                        }
                        let message = "the record is not in the log yet: its writer died in between; the next writer logs it";
                        self.findings.push(
                            Finding::note(file.clone(), message)
                                .seq(*seq)
                                .run(opened.record.run()),
                        );
                        let line = Digest::of(&derived.to_line()?);
                        let authentic = self.key.is_some();
                        self.keep(opened, &path, &line, authentic, file);
                    }
                    Ok(opened) => {
                        let message = "the record is signed, but its entry is not in the log: the log was cut or rolled back";
                        self.findings.push(
                            Finding::bad(&BROKEN, file, message)
                                .seq(*seq)
                                .run(opened.record.run()),
                        );
                    }
                    Err(e) => {
                        let message = format!(
                            "the file is not in the log, and is no record of this signer: {}",
                            e.one_line()
                        );
                        self.findings
                            .push(Finding::bad(e.reason(), file, message).seq(*seq));
                    }
                }
            }
        }
        for name in strangers {
            let file = self.file(&format!("{RECORDS}/{name}"));
            self.findings
                .push(Finding::bad(&BROKEN, file, "the file does not belong here"));
        }
        for name in files::names(&self.folder)? {
            if ![LOG, HEAD, RECORDS, LOCK].contains(&name.as_str()) {
                let message = "the file does not belong here; it was not looked at";
                self.findings.push(Finding::note(self.file(&name), message));
            }
        }
        Ok(())
    }

    fn bad_line(&mut self, number: u64, entry: Option<&Entry>, message: String) {
        let mut finding = Finding::bad(&BROKEN, self.file(LOG), message).line(number);
        if let Some(entry) = entry {
            finding = finding.seq(entry.seq).run(&entry.run);
        }
        self.findings.push(finding);
        self.first_wrong.get_or_insert(number);
    }

    fn bad_record(
        &mut self,
        number: u64,
        entry: &Entry,
        file: &str,
        reason: &'static crate::error::Reason,
        message: String,
    ) {
        self.findings.push(
            Finding::bad(reason, file, message)
                .seq(entry.seq)
                .run(&entry.run),
        );
        self.first_wrong.get_or_insert(number);
    }

    /// A path below the signer's folder, as findings name it.
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.id)
    }
}

fn out_of_place(seq: u64, expected: u64) -> String {
    if seq == expected + 1 {
        format!(
            "entry {seq} stands where entry {expected} belongs: entry {expected} was removed or moved"
        )
    } else if seq > expected {
        format!(
            "entry {seq} stands where entry {expected} belongs: entries {expected} to {} were removed or moved",
            seq - 1
        )
    } else {
        format!("entry {seq} stands where entry {expected} belongs: entries were moved or repeated")
    }
}

fn seq_of(name: &str) -> Option<u64> {
    let (digits, _) = name.strip_suffix(ENVELOPE_SUFFIX)?.split_once('-')?;
    (digits.len() >= 6).then(|| digits.parse().ok()).flatten()
}

/// The names of the fields in which two entries differ.
fn differing(derived: &Entry, seen: &Entry) -> String {
    let (Ok(Value::Object(derived)), Ok(Value::Object(seen))) =
        (serde_json::to_value(derived), serde_json::to_value(seen))
    else {
        return "something".to_owned();
    };
    let names: BTreeSet<&String> = derived.keys().chain(seen.keys()).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|n| derived.get(*n) != seen.get(*n))
        .map(|n| format!("`{n}`"))
        .collect();
    if changed.is_empty() {
        "its spelling".to_owned()
    } else {
        changed.join(", ")
    }
}
