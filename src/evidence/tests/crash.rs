//! Whenever the writer dies, what it leaves verifies, and the next writer finishes it.

use std::fs;
use std::path::Path;

use crate::error::Result;
use crate::event::Outcome;
use crate::evidence::log::Writer;
use crate::evidence::testing::{Folder, ending, files_below, key, record, starting, trusting};
use crate::evidence::{Archive, Record, Recorder, Severity, verify};

/// How far a writer gets before it dies.
#[derive(Debug, Clone, Copy)]
enum Dies {
    AfterEnvelope,
    AfterLine,
    MidLine(usize),
}

/// Starts a run and dies on the way.
fn die(dir: &Path, run: &str, when: Dies) {
    let signer = key(1);
    let log = dir.join(signer.id().as_str()).join("log.ndjson");
    let head = dir.join(signer.id().as_str()).join("head.json");
    let before = (fs::read(&log).unwrap_or_default(), fs::read(&head).ok());
    Recorder::start(dir, &signer, starting(run, "backup"), vec![]).expect("starts");
    let restore_head = || match &before.1 {
        Some(bytes) => fs::write(&head, bytes).expect("writes"),
        None => fs::remove_file(&head).expect("removes"),
    };
    restore_head();
    let after = fs::read(&log).expect("reads");
    match when {
        Dies::AfterLine => {}
        Dies::AfterEnvelope => fs::write(&log, &before.0).expect("writes"),
        Dies::MidLine(bytes) => {
            let torn = &after[..before.0.len() + bytes];
            fs::write(&log, torn).expect("writes");
        }
    }
}

#[test]
fn a_crash_at_any_point_verifies_and_is_finished_by_the_next_writer() {
    let points = [
        Dies::AfterEnvelope,
        Dies::AfterLine,
        Dies::MidLine(1),
        Dies::MidLine(100),
    ];
    for earlier in [0, 1] {
        for point in points {
            let folder = Folder::new("crash");
            let dir = folder.path();
            for number in 0..earlier {
                record(
                    dir,
                    &key(1),
                    &format!("earlier-{number}"),
                    "backup",
                    Outcome::Passed,
                );
            }
            die(dir, "killed", point);
            let trusted = trusting(&[&key(1)]);
            let report = verify(dir, &trusted, None).expect("verifies");
            assert!(report.sound, "{point:?} {earlier}: {:?}", report.findings);
            assert!(
                !report.findings.is_empty(),
                "{point:?}: the crash is mentioned"
            );
            assert!(report.findings.iter().all(|f| f.severity == Severity::Note));
            assert_eq!(report.open.len(), 1, "{point:?}: the start counts");

            let recorder = Recorder::attach(dir, &key(1), "killed", &Default::default());
            let recorder = recorder.expect("attaches");
            assert!(!recorder.notes().is_empty(), "{point:?}");
            recorder
                .finish(ending(Outcome::Passed), vec![])
                .expect("finishes");
            let report = verify(dir, &trusted, None).expect("verifies");
            assert!(
                report.sound && report.findings.is_empty(),
                "{point:?}: {:?}",
                report.findings
            );
            assert_eq!(report.records, 2 * earlier + 2);
            assert!(report.open.is_empty());
        }
    }
}

#[test]
fn a_start_that_was_repeated_after_a_crash_is_one_record() -> Result<()> {
    for point in [Dies::AfterEnvelope, Dies::AfterLine, Dies::MidLine(40)] {
        let folder = Folder::new("repeat");
        die(folder.path(), "killed", point);
        let again = Recorder::start(folder.path(), &key(1), starting("killed", "backup"), vec![])?;
        assert_eq!(again.reference().seq, 1, "{point:?}");
        let archive = Archive::open(folder.path(), &trusting(&[&key(1)]))?;
        assert_eq!(archive.report.records, 1, "{point:?}");
        archive.report.check()?;
    }
    Ok(())
}

#[test]
fn a_torn_line_that_the_head_covers_is_damage_and_no_crash() {
    let folder = Folder::new("torn");
    record(folder.path(), &key(1), "a", "backup", Outcome::Passed);
    let log = folder.path().join(key(1).id().as_str()).join("log.ndjson");
    let whole = fs::read(&log).expect("reads");
    let first = whole.iter().position(|b| *b == b'\n').expect("has lines") + 1;
    for keep in [first, first + 1, whole.len() - 1] {
        fs::write(&log, &whole[..keep]).expect("writes");
        let report = verify(folder.path(), &trusting(&[&key(1)]), None).expect("verifies");
        let bad = report.first_bad().expect("found");
        assert!(bad.file.ends_with("log.ndjson"), "{:?}", report.findings);
        assert_eq!(bad.line, Some(2));
        assert!(Writer::open(folder.path(), &key(1)).is_err());
    }
}

#[test]
fn temporary_files_of_a_dead_writer_do_no_harm() {
    let folder = Folder::new("temporary");
    record(folder.path(), &key(1), "a", "backup", Outcome::Passed);
    let signer = folder.path().join(key(1).id().as_str());
    fs::write(
        signer.join("records/000003-start-b.dsse.json.tmp"),
        "{\"payl",
    )
    .expect("writes");
    fs::write(signer.join("head.json.tmp"), "{").expect("writes");
    let report = verify(folder.path(), &trusting(&[&key(1)]), None).expect("verifies");
    assert!(
        report.sound && report.findings.is_empty(),
        "{:?}",
        report.findings
    );
    record(folder.path(), &key(1), "b", "backup", Outcome::Passed);
    assert!(files_below(&signer).iter().all(|n| !n.ends_with(".tmp")));
}

#[test]
fn a_failed_append_leaves_nothing_behind() {
    let folder = Folder::new("failed");
    record(folder.path(), &key(1), "a", "backup", Outcome::Passed);
    let before = files_below(folder.path());
    let signer = key(1);
    let mut writer = Writer::open(folder.path(), &signer)
        .map_err(|e| e.to_string())
        .expect("opens");
    let refused =
        writer.append(|_| -> Result<(Vec<_>, Record)> { Err(crate::error::Error::bug("no")) });
    assert!(refused.is_err());
    drop(writer);
    assert_eq!(files_below(folder.path()), before);
    // A number that JSON cannot hold is refused before anything is signed.
    let recorder =
        Recorder::start(folder.path(), &key(1), starting("b", "drill"), vec![]).expect("starts");
    let before = files_below(folder.path());
    let mut facts = ending(Outcome::Passed);
    facts.measurements[0].value = crate::evidence::Quantity(f64::INFINITY);
    assert!(recorder.finish(facts, vec![]).is_err());
    assert_eq!(files_below(folder.path()), before);
}

/// Two processes write until they are killed, again and again, on the same log.
#[test]
fn processes_killed_at_any_moment_leave_sound_evidence() {
    const WRITER: &str = "SUMMITCTL_TEST_WRITER";
    if let Some(dir) = std::env::var_os(WRITER) {
        for number in 0.. {
            let run = format!("p{}-{number}", std::process::id());
            record(Path::new(&dir), &key(1), &run, "backup", Outcome::Passed);
        }
    }
    let folder = Folder::new("killed");
    let trusted = trusting(&[&key(1)]);
    let entries = || {
        let log = folder.path().join(key(1).id().as_str()).join("log.ndjson");
        fs::read(log)
            .unwrap_or_default()
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    };
    let name = "evidence::tests::crash::processes_killed_at_any_moment_leave_sound_evidence";
    for round in 1..=3 {
        let before = entries();
        let mut writers: Vec<_> = (0..2)
            .map(|_| {
                std::process::Command::new(std::env::current_exe().expect("has a path"))
                    .args(["--exact", name])
                    .env(WRITER, folder.path())
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .expect("starts")
            })
            .collect();
        let deadline = crate::wait::Deadline::after(std::time::Duration::from_secs(60));
        while entries() < before + 2 + round && !deadline.passed() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for writer in &mut writers {
            writer.kill().expect("kills");
            writer.wait().expect("ends");
        }
        assert!(entries() > before, "the writers wrote");
        let report = verify(folder.path(), &trusted, None).expect("verifies");
        assert!(report.sound, "round {round}: {:?}", report.findings);
        assert!(report.open.len() <= 2 * round, "{:?}", report.open);
    }
    record(folder.path(), &key(1), "after", "backup", Outcome::Passed);
    let report = verify(folder.path(), &trusted, None).expect("verifies");
    assert!(
        report.sound && report.findings.is_empty(),
        "{:?}",
        report.findings
    );
}
