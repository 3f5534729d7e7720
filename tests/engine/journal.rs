//! Damage to a journal: a torn end is cut, anything else is named and refused.

use summitctl::engine::journal::{BUSY, CrashPlace, CrashPoint, DAMAGED, Journal, Record};
use summitctl::engine::runs::Runs;
use summitctl::exit::Exit;

use crate::fakes::{TempDir, World, plan, put, resume, start};

const RUN: &str = "20261121T030405Z-0000";

async fn finished(dir: &TempDir) -> std::path::PathBuf {
    let world = World::default();
    let steps = vec![
        put("first", "a", "1", &[]),
        put("second", "b", "2", &["first"]),
    ];
    start(&world, &plan(&world, steps).await.unwrap(), &dir.0, None, 1)
        .await
        .unwrap();
    Runs::at(&dir.0).journal(RUN)
}

#[tokio::test]
async fn every_changed_byte_is_found() {
    let dir = TempDir::new("bytes");
    let path = finished(&dir).await;
    let good = std::fs::read(&path).unwrap();
    assert_eq!(Journal::read(&path).unwrap().torn, 0);
    // The last line has nothing after it that would notice; evidence signs over it. All others must be noticed.
    let last_line = good[..good.len() - 1]
        .iter()
        .rposition(|b| *b == b'\n')
        .unwrap();
    for at in (0..last_line).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        std::fs::write(&path, &bad).unwrap();
        let found = Journal::read(&path).expect_err(&format!("byte {at}"));
        assert_eq!(found.exit(), Exit::Integrity, "byte {at}: {found:?}");
    }
    let mut lines: Vec<&[u8]> = good.split_inclusive(|b| *b == b'\n').collect();
    lines.remove(2);
    std::fs::write(&path, lines.concat()).unwrap();
    assert_eq!(Journal::read(&path).unwrap_err().reason(), &DAMAGED);
}

#[tokio::test]
async fn every_truncation_is_cut_or_named() {
    let dir = TempDir::new("cut");
    let path = finished(&dir).await;
    let good = std::fs::read(&path).unwrap();
    for keep in (0..good.len()).step_by(11) {
        std::fs::write(&path, &good[..keep]).unwrap();
        let history = Journal::read(&path).unwrap();
        let whole = good[..keep].iter().filter(|b| **b == b'\n').count();
        assert_eq!(history.lines.len(), whole);
    }
}

#[tokio::test]
async fn two_processes_cannot_execute_one_run() {
    let dir = TempDir::new("busy");
    let world = World::default();
    let crash = CrashPoint {
        record: 1,
        place: CrashPlace::After,
        kill: false,
    };
    let shown = plan(&world, vec![put("first", "a", "1", &[])])
        .await
        .unwrap();
    assert!(start(&world, &shown, &dir.0, Some(crash), 1).await.is_err());
    let (held, _) = Journal::reopen(&Runs::at(&dir.0).journal(RUN), None).unwrap();
    assert_eq!(
        resume(&world, &dir.0, None).await.unwrap_err().reason(),
        &BUSY
    );
    drop(held);
    assert_eq!(resume(&world, &dir.0, None).await.unwrap().exit_code, 0);
}

/// Names the journal to the process whose files may not grow.
const FULL: &str = "SUMMITCTL_TEST_FULL_JOURNAL";

/// Not a test of its own: writes until there is no room, makes room, and writes on.
#[test]
fn write_until_it_is_full() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let Some(path) = std::env::var_os(FULL) else {
        return;
    };
    let room = |most| {
        let limit = Rlimit {
            current: most,
            maximum: None,
        };
        setrlimit(Resource::Fsize, limit).unwrap();
    };
    let record = Record::UndoIntent {
        step: "a-step-with-a-name-of-some-length".to_owned(),
    };
    let mut journal = Journal::create(std::path::Path::new(&path), None).unwrap();
    room(Some(2000));
    let mut written = 0;
    while journal.append(&record).is_ok() {
        written += 1;
    }
    assert!(written > 3, "{written}");
    assert!(journal.append(&record).is_err(), "still full");
    room(None);
    journal.append(&record).unwrap();
}

/// Half a line that a full disk left must not become one with the next record: that would be damage.
#[test]
fn a_record_that_did_not_fit_leaves_nothing_behind() {
    let dir = TempDir::new("full");
    let path = dir.0.join("journal.ndjson");
    // A file that may not grow is announced by a signal as well, which is ignored as a full disk has none.
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["journal::write_until_it_is_full", "--exact"])
        .env(FULL, &path)
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    let history = Journal::read(&path).unwrap();
    assert_eq!(history.torn, 0);
    assert!(history.lines.len() > 4);
}
