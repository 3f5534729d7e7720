//! Exported envelopes: each proves itself, and says nothing about what else was recorded.

use std::path::Path;

use super::{Finding, Form, Found, Freshness, Report, pairing};
use crate::error::{Error, Result};
use crate::evidence::entry::{Anchor, ENVELOPE_SUFFIX, Entry};
use crate::evidence::envelope::{Envelope, IN_TOTO};
use crate::evidence::keys::TrustedKeys;
use crate::evidence::record::EvidenceRef;
use crate::evidence::statement::Record;
use crate::evidence::text::Digest;
use crate::evidence::{ANCHOR_MISSING, BROKEN, files};

/// Verifies one envelope file.
pub(super) fn envelope(
    path: &Path,
    trusted: &TrustedKeys,
    expect: Option<&Anchor>,
) -> Result<Report> {
    let name = path
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let mut report = empty(path, Form::Envelope);
    match open(&bytes, path, &name, trusted) {
        Ok(found) => {
            report.freshness = freshness(
                &mut report.findings,
                std::slice::from_ref(&found),
                expect,
                &name,
            );
            report.records = 1;
        }
        Err(e) => report.findings.push(Finding::of_error(&e, name)),
    }
    report.conclude();
    Ok(report)
}

/// Verifies a folder of envelope files.
pub(super) fn export(dir: &Path, trusted: &TrustedKeys, expect: Option<&Anchor>) -> Result<Report> {
    let mut report = empty(dir, Form::Export);
    let mut found = Vec::new();
    for name in files::names(dir)? {
        if !name.ends_with(ENVELOPE_SUFFIX) {
            continue;
        }
        let path = dir.join(&name);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        match open(&bytes, &path, &name, trusted) {
            Ok(record) => found.push(record),
            Err(e) => report.findings.push(Finding::of_error(&e, name)),
        }
    }
    report.records = found.len() as u64;
    let folder = dir.display().to_string();
    report.freshness = freshness(&mut report.findings, &found, expect, &folder);
    let (_, open, mut unpaired) = pairing::pair(found);
    report.open = open;
    report.findings.append(&mut unpaired);
    report.conclude();
    Ok(report)
}

fn empty(path: &Path, form: Form) -> Report {
    Report {
        version: 1,
        path: path.display().to_string(),
        form,
        sound: false,
        records: 0,
        signers: Vec::new(),
        freshness: Freshness::Unknown,
        open: Vec::new(),
        findings: Vec::new(),
        summary: Vec::new(),
    }
}

fn open(bytes: &[u8], path: &Path, name: &str, trusted: &TrustedKeys) -> Result<Found> {
    let envelope = Envelope::from_bytes(bytes)?;
    let (signer, payload) = envelope.verified(trusted)?;
    if envelope.payload_type != IN_TOTO {
        return Err(Error::new(
            &super::super::UNKNOWN_FORMAT,
            format!(
                "the payload's type is `{}`, not `{IN_TOTO}`",
                envelope.payload_type
            ),
        ));
    }
    let (subjects, record) = Record::from_payload(&payload)?;
    let position = record.position();
    if position.signer != signer {
        return Err(Error::new(
            &BROKEN,
            format!(
                "key `{signer}` signed it for the log of key `{}`",
                position.signer
            ),
        ));
    }
    let digest = Digest::of(bytes);
    let anchor = Anchor {
        signer: Some(signer.clone()),
        seq: position.seq,
        digest: Digest::of(&Entry::of(&record, digest.clone()).to_line()?),
    };
    Ok(Found {
        place: EvidenceRef {
            run: record.run().clone(),
            kind: record.kind(),
            signer,
            seq: position.seq,
            path: path.to_owned(),
            sha256: digest,
            anchor: anchor.to_string(),
        },
        record,
        subjects,
        trusted: true,
        file: name.to_owned(),
    })
}

/// An anchor names a line, and a record's line follows from the record: so one of these may be the anchored one.
fn freshness(
    findings: &mut Vec<Finding>,
    found: &[Found],
    expect: Option<&Anchor>,
    file: &str,
) -> Freshness {
    let Some(expect) = expect else {
        return Freshness::Unknown;
    };
    let named = |f: &Found| {
        f.place.anchor.parse::<Anchor>().is_ok_and(|a| {
            a.seq == expect.seq
                && a.digest == expect.digest
                && expect
                    .signer
                    .as_ref()
                    .is_none_or(|s| Some(s) == a.signer.as_ref())
        })
    };
    if found.iter().any(named) {
        return Freshness::Anchored {
            anchor: expect.to_string(),
        };
    }
    findings.push(Finding::bad(
        &ANCHOR_MISSING,
        file,
        format!("entry {} as the anchor `{expect}` names it is not here; verify the whole directory against it", expect.seq),
    ));
    Freshness::Unknown
}
