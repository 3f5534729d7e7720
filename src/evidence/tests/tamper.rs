//! Whatever is changed, removed, swapped or added is found, and the first bad record is named.

use std::fs;
use std::path::{Path, PathBuf};

use crate::event::Outcome;
use crate::evidence::envelope::Envelope;
use crate::evidence::testing::{Folder, files_below, key, record, trusting};
use crate::evidence::{Anchor, Freshness, Recorder, Report, Severity, verify};
use crate::exit::Exit;

fn check(dir: &Path) -> Report {
    verify(dir, &trusting(&[&key(1), &key(2)]), None).expect("verifies")
}

/// The file and line of the first bad finding.
fn first(report: &Report) -> (String, Option<u64>) {
    let bad = report.first_bad().expect("something bad is found");
    (bad.file.clone(), bad.line)
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join(key(1).id().as_str()).join("log.ndjson")
}

fn lines(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(log_of(dir)).expect("reads");
    text.lines().map(|l| format!("{l}\n")).collect()
}

fn filled(name: &str) -> Folder {
    let folder = Folder::new(name);
    for (run, outcome) in [
        ("a", Outcome::Passed),
        ("b", Outcome::Failed),
        ("c", Outcome::Passed),
    ] {
        record(folder.path(), &key(1), run, "backup", outcome);
    }
    folder
}

#[test]
fn every_byte_of_every_file_counts() {
    let folder = Folder::new("bytes");
    let dir = folder.path();
    record(dir, &key(1), "only", "backup", Outcome::Passed);
    let signer = key(1);
    let trusted = trusting(&[&signer]);
    let check = |dir: &Path| verify(dir, &trusted, None).expect("verifies");
    assert!(check(dir).sound, "{:?}", check(dir).findings);
    let files = files_below(dir);
    assert_eq!(files.len(), 5, "{files:?}");
    let mut tried = 0;
    for name in files {
        let path = dir.join(&name);
        let good = fs::read(&path).expect("reads");
        let envelope = !name.ends_with("log.ndjson");
        for at in 0..good.len() {
            let mut bad = good.clone();
            // The lowest bit turns a digit, a letter or a blank into another one: the least visible change.
            bad[at] ^= 1;
            tried += 1;
            // Envelopes are long: each byte is held against the envelope's own proof, and some against the directory.
            if envelope {
                let proof = Envelope::from_exact_bytes(&bad).and_then(|e| {
                    e.verified_by(&signer.public())?;
                    assert_ne!(e.signatures[0].keyid, signer.id().as_str(), "byte {at}");
                    Ok(())
                });
                let hint = proof.is_ok();
                if !hint && at % 61 > 0 {
                    continue;
                }
            }
            fs::write(&path, &bad).expect("writes");
            let report = check(dir);
            let (file, line) = first(&report);
            assert_eq!(file, name, "byte {at}: {:?}", report.findings);
            if name.ends_with("log.ndjson") {
                let expected = 1 + good[..at].iter().filter(|b| **b == b'\n').count() as u64;
                assert_eq!(line, Some(expected), "byte {at}: {:?}", report.findings);
            }
        }
        fs::write(&path, &good).expect("writes");
    }
    assert!(tried > 4_000, "{tried} bytes");
    assert!(check(dir).sound);
}

#[test]
fn a_changed_word_is_named_with_its_field() {
    let folder = filled("word");
    let text = fs::read_to_string(log_of(folder.path())).expect("reads");
    fs::write(
        log_of(folder.path()),
        text.replacen("\"failed\"", "\"passed\"", 1),
    )
    .expect("writes");
    let report = check(folder.path());
    let bad = report.first_bad().expect("found");
    assert_eq!((bad.line, bad.seq), (Some(4), Some(4)));
    assert_eq!(bad.run.as_ref().map(|r| r.as_str()), Some("b"));
    assert!(bad.message.contains("`outcome`"), "{}", bad.message);
    assert_eq!(report.signers[0].valid_up_to, 3);
    let error = report.check().expect_err("does not hold");
    assert_eq!(error.exit(), Exit::Integrity);
    assert!(error.to_string().contains("log.ndjson` line 4"), "{error}");
}

#[test]
fn a_record_signed_again_by_somebody_else_is_found() {
    let folder = filled("forged");
    let dir = folder.path();
    let other = Folder::new("forger");
    record(other.path(), &key(9), "a", "backup", Outcome::Passed);
    let name = "records/000001-start-a.dsse.json";
    let theirs = other.path().join(key(9).id().as_str()).join(name);
    fs::copy(theirs, dir.join(key(1).id().as_str()).join(name)).expect("copies");
    let (file, line) = first(&check(dir));
    assert_eq!((file, line), (format!("{}/{name}", key(1).id()), None));
}

#[test]
fn removed_lines_are_found_wherever_they_were() {
    for gone in 0..6 {
        let folder = filled("removed");
        let mut lines = lines(folder.path());
        lines.remove(gone);
        fs::write(log_of(folder.path()), lines.concat()).expect("writes");
        let report = check(folder.path());
        let (file, line) = first(&report);
        assert!(file.ends_with("log.ndjson"), "{:?}", report.findings);
        assert_eq!(line, Some(gone as u64 + 1), "{:?}", report.findings);
        assert_eq!(report.signers[0].valid_up_to, gone as u64);
    }
}

#[test]
fn an_entry_removed_with_its_record_is_found() {
    for gone in 1_u64..=6 {
        let folder = filled("removed-both");
        let mut lines = lines(folder.path());
        lines.remove(usize::try_from(gone).expect("small") - 1);
        fs::write(log_of(folder.path()), lines.concat()).expect("writes");
        let records = folder.path().join(key(1).id().as_str()).join("records");
        let prefix = format!("{gone:06}-");
        let names = files_below(&records);
        let name = names
            .iter()
            .find(|n| n.starts_with(&prefix))
            .expect("is there");
        fs::remove_file(records.join(name)).expect("removes");
        let report = check(folder.path());
        assert_eq!(first(&report).1, Some(gone), "{:?}", report.findings);
    }
}

#[test]
fn swapped_lines_are_found() {
    for (a, b) in [(0, 1), (1, 4), (4, 5), (0, 5)] {
        let folder = filled("swapped");
        let mut lines = lines(folder.path());
        lines.swap(a, b);
        fs::write(log_of(folder.path()), lines.concat()).expect("writes");
        let report = check(folder.path());
        assert_eq!(
            first(&report).1,
            Some(a as u64 + 1),
            "{:?}",
            report.findings
        );
    }
}

#[test]
fn swapped_records_are_found() {
    let folder = filled("swapped-records");
    let records = folder.path().join(key(1).id().as_str()).join("records");
    let (a, b) = (
        records.join("000001-start-a.dsse.json"),
        records.join("000003-start-b.dsse.json"),
    );
    let (first_bytes, second_bytes) = (fs::read(&a).expect("reads"), fs::read(&b).expect("reads"));
    fs::write(&a, second_bytes).expect("writes");
    fs::write(&b, first_bytes).expect("writes");
    let (file, _) = first(&check(folder.path()));
    assert!(file.ends_with("000001-start-a.dsse.json"), "{file}");
}

#[test]
fn missing_records_and_heads_are_named() {
    let folder = filled("missing");
    let signer = folder.path().join(key(1).id().as_str());
    fs::remove_file(signer.join("records/000002-end-a.dsse.json")).expect("removes");
    let report = check(folder.path());
    assert!(first(&report).0.ends_with("records/000002-end-a.dsse.json"));
    // Without its end, the run counts as open.
    assert!(report.open.iter().any(|o| o.run.as_str() == "a"));

    let folder = filled("no-head");
    let signer = folder.path().join(key(1).id().as_str());
    fs::remove_file(signer.join("head.json")).expect("removes");
    assert!(first(&check(folder.path())).0.ends_with("head.json"));
}

#[test]
fn files_that_nobody_wrote_are_found() {
    let folder = filled("planted");
    let records = folder.path().join(key(1).id().as_str()).join("records");
    for (name, text) in [("000007-start-x.dsse.json", "{}"), ("notes.txt", "hello")] {
        fs::write(records.join(name), text).expect("writes");
        assert!(first(&check(folder.path())).0.ends_with(name));
        fs::remove_file(records.join(name)).expect("removes");
    }
    fs::write(folder.path().join("report.html"), "a rendering").expect("writes");
    assert!(check(folder.path()).sound);
}

#[test]
fn a_rollback_is_found_with_an_anchor_and_admitted_without() {
    let folder = Folder::new("rollback");
    let dir = folder.path();
    record(dir, &key(1), "a", "backup", Outcome::Passed);
    let old = Folder::new("rollback-copy");
    copy(dir, old.path());
    record(dir, &key(1), "b", "backup", Outcome::Failed);
    let report = check(dir);
    let anchor: Anchor = report.signers[0]
        .anchor
        .as_deref()
        .expect("has one")
        .parse()
        .expect("parses");
    assert_eq!(anchor.seq, 4);

    let trusted = trusting(&[&key(1)]);
    let now = verify(dir, &trusted, Some(&anchor)).expect("verifies");
    assert!(now.sound && matches!(now.freshness, Freshness::Anchored { .. }));
    let rolled_back = verify(old.path(), &trusted, None).expect("verifies");
    assert!(rolled_back.sound);
    assert!(
        rolled_back.summary[0].contains("valid up to 2, freshness unknown"),
        "{:?}",
        rolled_back.summary
    );
    let caught = verify(old.path(), &trusted, Some(&anchor)).expect("verifies");
    assert_eq!(
        caught.check().expect_err("caught").reason().code,
        "evidence.anchor-missing"
    );
    // A log that grew since still contains the anchored entry.
    record(dir, &key(1), "c", "backup", Outcome::Passed);
    let grown = verify(dir, &trusted, Some(&anchor)).expect("verifies");
    assert!(grown.sound && matches!(grown.freshness, Freshness::Anchored { .. }));
}

#[test]
fn a_log_and_head_rolled_back_over_newer_records_is_found() {
    let folder = Folder::new("half-rollback");
    let dir = folder.path();
    record(dir, &key(1), "a", "backup", Outcome::Passed);
    let old = Folder::new("half-rollback-copy");
    copy(dir, old.path());
    record(dir, &key(1), "b", "backup", Outcome::Failed);
    copy(old.path(), dir);
    let report = check(dir);
    assert!(
        first(&report).0.ends_with("000004-end-b.dsse.json"),
        "{:?}",
        report.findings
    );
}

#[test]
fn two_signers_are_told_apart_and_an_untrusted_one_proves_nothing() {
    let folder = Folder::new("two");
    let dir = folder.path();
    record(dir, &key(1), "a", "backup", Outcome::Passed);
    record(dir, &key(2), "b", "drill", Outcome::Passed);
    let both = check(dir);
    assert!(both.sound);
    assert_eq!((both.records, both.signers.len()), (4, 2));

    let one = verify(dir, &trusting(&[&key(1)]), None).expect("verifies");
    assert!(!one.sound);
    let bad = one.first_bad().expect("found");
    assert_eq!(
        (bad.file.as_str(), bad.reason),
        (key(2).id().as_str(), "evidence.untrusted-signer")
    );
    let untrusted = one.signers.iter().find(|s| !s.trusted).expect("listed");
    assert_eq!((untrusted.entries, untrusted.valid_up_to), (2, 0));

    // One signer's log under another's name.
    let (a, b) = (
        dir.join(key(1).id().as_str()),
        dir.join(key(2).id().as_str()),
    );
    fs::rename(&a, dir.join("x")).expect("renames");
    fs::rename(&b, &a).expect("renames");
    fs::rename(dir.join("x"), &b).expect("renames");
    let swapped = check(dir);
    assert_eq!(
        swapped.signers.iter().map(|s| s.valid_up_to).sum::<u64>(),
        0
    );
}

#[test]
fn a_writer_refuses_a_damaged_log() {
    let folder = filled("refuse");
    let mut lines = lines(folder.path());
    lines.remove(2);
    fs::write(log_of(folder.path()), lines.concat()).expect("writes");
    let start = crate::evidence::testing::starting("d", "backup");
    let error = Recorder::start(folder.path(), &key(1), start, vec![])
        .err()
        .expect("refused");
    assert_eq!(error.exit(), Exit::Integrity);
    assert!(
        error.hints().iter().any(|h| h.contains("mv ")),
        "{:?}",
        error.hints()
    );
}

#[test]
fn notes_do_not_make_evidence_unsound() {
    let folder = filled("notes");
    fs::write(
        folder.path().join(key(1).id().as_str()).join("scratch"),
        "x",
    )
    .expect("writes");
    let report = check(folder.path());
    assert!(report.sound);
    assert!(report.findings.iter().all(|f| f.severity == Severity::Note));
    assert_eq!(report.findings.len(), 1);
}

fn copy(from: &Path, to: &Path) {
    for name in files_below(from) {
        let target = to.join(&name);
        fs::create_dir_all(target.parent().expect("has one")).expect("makes folders");
        fs::copy(from.join(&name), target).expect("copies");
    }
}
