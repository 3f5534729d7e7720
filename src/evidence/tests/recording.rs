//! What a caller of the recorder relies on.

use std::fs;

use serde_json::json;

use crate::event::{Outcome, StepEnd};
use crate::evidence::testing::{
    Folder, ending, files_below, key, record, starting, step, trusting,
};
use crate::evidence::{Archive, Digest, Facts, Query, Recorder, TrustedKeys, export, verify};
use crate::secret::Secret;

#[test]
fn a_run_reads_back_as_it_was_recorded() {
    let folder = Folder::new("reads-back");
    let dir = folder.path();
    let facts = starting("r1", "drill");
    let recorder = Recorder::start(dir, &key(1), facts.clone(), vec![]).expect("starts");
    let trusted = trusting(&[&key(1)]);
    let archive = Archive::open(dir, &trusted).expect("opens");
    assert_eq!(archive.open_starts()[0].run.as_str(), "r1");
    assert_eq!(
        archive.latest("drill", "staging"),
        None,
        "an open run is no result"
    );

    let end = ending(Outcome::Passed);
    let place = recorder.finish(end.clone(), vec![]).expect("finishes");
    assert_eq!(
        place.sha256,
        Digest::of(&fs::read(&place.path).expect("reads"))
    );
    let archive = Archive::open(dir, &trusted).expect("opens");
    archive.report.check().expect("holds");
    assert!(archive.open_starts().is_empty());
    let run = archive.latest("drill", "staging").expect("is there");
    assert_eq!(run.start.predicate.facts, facts);
    let closing = run.closing().expect("closed");
    assert_eq!(closing.predicate.facts, end);
    assert_eq!(closing.place, place);
    assert_eq!(
        closing.subjects.last().expect("has subjects").digest["sha256"],
        run.start.place.sha256.hex()
    );
    assert_eq!(run.start.predicate.tool.version, env!("CARGO_PKG_VERSION"));
    assert!(run.start.predicate.tool.executable.is_some());
}

#[test]
fn finishing_twice_gives_the_record_that_is_there() {
    let folder = Folder::new("twice");
    let dir = folder.path();
    let recorder = Recorder::start(dir, &key(1), starting("r", "backup"), vec![]).expect("starts");
    let first = recorder
        .finish(ending(Outcome::Passed), vec![])
        .expect("finishes");
    let again = Recorder::attach(dir, &key(1), "r", &TrustedKeys::default()).expect("attaches");
    let mut later = ending(Outcome::Passed);
    later.steps.clear();
    assert_eq!(again.finish(later, vec![]).expect("finishes"), first);
}

#[test]
fn a_failed_run_can_be_resumed_and_closed_again() {
    let folder = Folder::new("resumed");
    let dir = folder.path();
    record(dir, &key(1), "r", "backup", Outcome::Failed);
    let attach = || Recorder::attach(dir, &key(1), "r", &TrustedKeys::default()).expect("attaches");
    let same = attach()
        .finish(ending(Outcome::Failed), vec![])
        .expect("finishes");
    assert_eq!(same.seq, 2, "the same end is recorded once");
    let mut resumed = ending(Outcome::Passed);
    resumed.steps.push(step("neo4j", StepEnd::Changed, 60));
    assert_eq!(attach().finish(resumed, vec![]).expect("finishes").seq, 3);
    let archive = Archive::open(dir, &trusting(&[&key(1)])).expect("opens");
    archive.report.check().expect("holds");
    let run = archive.find("r").expect("is there");
    assert_eq!(
        run.ends
            .iter()
            .map(|e| e.predicate.attempt)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(run.outcome(), Some(Outcome::Passed));
}

#[test]
fn a_run_started_elsewhere_is_closed_here() {
    let folder = Folder::new("elsewhere");
    let dir = folder.path();
    Recorder::start(dir, &key(1), starting("r", "backup"), vec![]).expect("starts");
    let stranger = Recorder::attach(dir, &key(2), "r", &TrustedKeys::default());
    assert_eq!(
        stranger.err().expect("refused").reason().code,
        "input.not-found"
    );
    let trusted = trusting(&[&key(1), &key(2)]);
    let recorder = Recorder::attach(dir, &key(2), "r", &trusted).expect("attaches");
    recorder
        .finish(ending(Outcome::Passed), vec![])
        .expect("finishes");
    let archive = Archive::open(dir, &trusted).expect("opens");
    archive.report.check().expect("holds");
    assert!(archive.open_starts().is_empty());
    assert_eq!(
        archive
            .find("r")
            .and_then(|r| r.closing())
            .expect("closed")
            .place
            .signer,
        key(2).id()
    );
    // And the first signer sees that it is closed for good.
    let back = Recorder::attach(dir, &key(1), "r", &trusted).expect("attaches");
    assert_eq!(
        back.finish(ending(Outcome::Failed), vec![])
            .expect("finishes")
            .signer,
        key(2).id()
    );
}

#[test]
fn a_run_id_is_used_once_and_fits_a_file_name() {
    let folder = Folder::new("ids");
    let dir = folder.path();
    Recorder::start(dir, &key(1), starting("r", "backup"), vec![]).expect("starts");
    Recorder::start(dir, &key(1), starting("r", "backup"), vec![]).expect("attaches");
    let other = Recorder::start(dir, &key(1), starting("r", "drill"), vec![]);
    assert_eq!(
        other.err().expect("refused").reason().code,
        "evidence.run-conflict"
    );
    for bad in ["", "../r", "a/b", ".hidden", "a b", "ü", &"x".repeat(121)] {
        let refused = Recorder::start(dir, &key(1), starting(bad, "backup"), vec![]);
        assert_eq!(
            refused.err().expect("refused").reason().code,
            "input.invalid",
            "{bad}"
        );
    }
}

#[test]
fn the_last_result_of_a_context_is_found_among_others() {
    let folder = Folder::new("latest");
    let dir = folder.path();
    record(dir, &key(1), "d1", "drill", Outcome::Passed);
    record(dir, &key(1), "b1", "backup", Outcome::Passed);
    let mut start = starting("d2", "drill");
    start.started = start.started.plus(std::time::Duration::from_secs(9_000));
    let recorder = Recorder::start(dir, &key(1), start, vec![]).expect("starts");
    let mut end = ending(Outcome::Failed);
    end.finished = end.finished.plus(std::time::Duration::from_secs(9_000));
    recorder.finish(end, vec![]).expect("finishes");
    let mut elsewhere = starting("d3", "drill");
    elsewhere.context = "production".into();
    Recorder::start(dir, &key(1), elsewhere, vec![]).expect("starts");

    let archive = Archive::open(dir, &trusting(&[&key(1)])).expect("opens");
    assert_eq!(
        archive
            .latest("drill", "staging")
            .expect("is there")
            .id()
            .as_str(),
        "d2"
    );
    let failed = Query {
        outcome: Some(Outcome::Failed),
        ..Query::default()
    };
    assert_eq!(archive.list(&failed).len(), 1);
    assert_eq!(archive.resolve("b").expect("unique").id().as_str(), "b1");
    assert!(archive.resolve("d").is_err());
    assert_eq!(
        archive.resolve("latest").expect("is there").id().as_str(),
        "d2"
    );
    let untrusted = Archive::open(dir, &TrustedKeys::default()).expect("opens");
    assert_eq!(
        untrusted.list(&Query::default()).len(),
        4,
        "everything can be listed"
    );
    assert_eq!(
        untrusted.latest("drill", "staging"),
        None,
        "and nothing relied on"
    );
}

#[test]
fn an_export_proves_itself() {
    let folder = Folder::new("export");
    let dir = folder.path();
    record(dir, &key(1), "r", "backup", Outcome::Passed);
    let trusted = trusting(&[&key(1)]);
    let archive = Archive::open(dir, &trusted).expect("opens");
    let out = folder.path().join("handed-over");
    let run = archive.find("r").expect("is there");
    let written = export::export(run, &out).expect("exports");
    assert_eq!(export::export(run, &out).expect("exports again"), written);
    let report = verify(&out, &trusted, None).expect("verifies");
    assert!(report.sound && report.records == 2, "{:?}", report.findings);
    let single = verify(&written[1], &trusted, None).expect("verifies");
    assert!(single.sound && single.records == 1);
    let anchor = run
        .closing()
        .expect("closed")
        .place
        .anchor
        .parse()
        .expect("parses");
    assert!(
        verify(&written[1], &trusted, Some(&anchor))
            .expect("verifies")
            .sound
    );
    assert!(
        !verify(&written[0], &trusted, Some(&anchor))
            .expect("verifies")
            .sound
    );

    let foreign = verify(&written[1], &trusting(&[&key(2)]), None).expect("verifies");
    assert_eq!(
        foreign.first_bad().expect("found").reason,
        "evidence.untrusted-signer"
    );
    let text = fs::read_to_string(&written[1]).expect("reads");
    fs::write(
        &written[1],
        text.replacen("payload\":\"eyJ", "payload\":\"eyK", 1),
    )
    .expect("writes");
    let edited = verify(&out, &trusted, None).expect("verifies");
    assert_eq!(
        edited.first_bad().expect("found").reason,
        "evidence.bad-signature"
    );
    fs::remove_file(&written[0]).expect("removes");
    fs::remove_file(&written[1]).expect("removes");
}

#[test]
fn a_secret_is_in_no_file() {
    let folder = Folder::new("canary");
    let dir = folder.path();
    let canary = "c4n4ry-Jd82kQ-\"x/9";
    let _secret = Secret::new(canary);
    let leak = format!("postgres://app:{canary}@db/app refused");
    let mut facts = starting("r", "backup");
    facts.title = Some(leak.clone().into());
    facts.observations = Facts(
        json!({"dsn": leak.clone(), canary: [leak.clone()]})
            .as_object()
            .expect("an object")
            .clone(),
    );
    facts.identities.entry("postgres".into()).and_modify(|i| {
        i.facts.insert("endpoint".into(), leak.clone().into());
    });
    let subject = crate::evidence::Subject::sha256(leak.clone(), &Digest::of(b"x"));
    let recorder = Recorder::start(dir, &key(1), facts, vec![subject.clone()]).expect("starts");
    let mut end = ending(Outcome::Failed);
    let error = crate::error::Error::input("login failed")
        .caused_by(std::io::Error::other(leak.clone()))
        .hint(leak.clone());
    end.failure = Some((&error).into());
    end.steps[0].observed = json!({"error": leak.clone()}).into();
    end.steps[0].title = Some(leak.clone().into());
    end.checks[0].detail = leak.clone().into();
    end.checks[0].hints = vec![leak.clone().into()];
    end.measurements[0].source = leak.clone().into();
    end.artefacts[0].location = Some(leak.clone().into());
    end.observations.0.insert("note".into(), json!(leak));
    recorder.finish(end, vec![subject]).expect("finishes");

    let archive = Archive::open(dir, &trusting(&[&key(1)])).expect("opens");
    archive.report.check().expect("holds");
    let run = archive.find("r").expect("is there");
    let mut texts: Vec<String> = files_below(dir)
        .iter()
        .map(|name| fs::read_to_string(dir.join(name)).expect("reads"))
        .collect();
    for place in [&run.start.place, &run.closing().expect("closed").place] {
        let bytes = fs::read(&place.path).expect("reads");
        let payload = crate::evidence::envelope::Envelope::from_bytes(&bytes)
            .and_then(|e| e.unverified_payload());
        texts.push(String::from_utf8(payload.expect("decodes")).expect("is text"));
    }
    for text in texts {
        assert!(
            !text.contains("c4n4ry") && !text.contains("Jd82kQ"),
            "{text}"
        );
    }
}

/// Every secret of a process is masked everywhere in it, so such words must not be registered beside other tests.
#[test]
fn a_password_that_is_a_word_of_ours_does_not_break_records() {
    const ALONE: &str = "SUMMITCTL_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name =
            "evidence::tests::recording::a_password_that_is_a_word_of_ours_does_not_break_records";
        let child = std::process::Command::new(std::env::current_exe().expect("has a path"))
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(
            child.status.success() && text.contains("1 passed"),
            "{text}"
        );
        return;
    }
    let words = [
        "postgres", "passed", "start", "sha256", "staging", "2026", "evidence",
    ];
    let _weak = words.map(Secret::new);
    let folder = Folder::new("weak");
    record(folder.path(), &key(1), "r", "backup", Outcome::Passed);
    let archive = Archive::open(folder.path(), &trusting(&[&key(1)])).expect("opens");
    archive.report.check().expect("holds");
    let run = archive.latest("backup", "staging").expect("is there");
    assert_eq!(run.outcome(), Some(Outcome::Passed));
}

#[test]
fn writers_at_the_same_time_share_one_chain() {
    let folder = Folder::new("concurrent");
    let dir = folder.path().to_owned();
    let threads: Vec<_> = (0..2)
        .map(|thread| {
            let dir = dir.clone();
            std::thread::spawn(move || {
                for number in 0..8 {
                    record(
                        &dir,
                        &key(1),
                        &format!("t{thread}-{number}"),
                        "backup",
                        Outcome::Passed,
                    );
                }
            })
        })
        .collect();
    // Reading meanwhile never takes a record that is being written for damage.
    let trusted = trusting(&[&key(1)]);
    while threads.iter().any(|t| !t.is_finished()) {
        std::thread::sleep(std::time::Duration::from_millis(10));
        if let Ok(archive) = Archive::open(&dir, &trusted) {
            assert!(
                archive.report.findings.is_empty(),
                "{:?}",
                archive.report.findings
            );
        }
    }
    for thread in threads {
        thread.join().expect("finishes");
    }
    let archive = Archive::open(&dir, &trusting(&[&key(1)])).expect("opens");
    archive.report.check().expect("holds");
    assert!(archive.report.findings.is_empty());
    assert_eq!(
        (
            archive.report.records,
            archive.list(&Query::default()).len()
        ),
        (32, 16)
    );
}
