//! SIGKILL of every command that changes the repository, at the boundaries of its journal and at drawn moments between its
//! files: the next command goes on without repair.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, Gave};
use crate::documents::copy;
use crate::keys::{NEW_EPOCH, configure, naming};
use crate::stocked::{BACKUPS, alice, bare, one_more, stocked};

const BOB: &str = "age1mukt0wyxk2rqkz24xsx5vml0xk79w43ve7mwu3jk0gkwtpytye3qzusf4w";
const CAROL: &str = "age1lk7p8jxyqwmr2d5uwm502lfhj60ext3022z4mzhpmvsyy29wf5as4ug5r0";

/// What an unfinished export is called.
const UNFINISHED: &str = ".plain.unfinished-export";
/// How many moments are drawn for a command.
const DRAWN: usize = 3;
/// A command that makes or removes as many files is caught at it.
const MANY: usize = 12;

/// A folder that commands work in, each at a moment of its own and under an id of its own.
struct Station {
    bench: Bench,
    calls: Cell<u32>,
}

/// A command, and what it finds.
struct Case {
    args: &'static [&'static str],
    begins: fn() -> Bench,
    /// What was done before.
    before: fn(&Station),
    /// What ends it if its run was aborted, or never began; whatever it had done.
    after: fn(&Station),
}

impl Station {
    fn of(bench: &Bench) -> Station {
        let copied = Bench::new().env("COLUMNS", "80");
        copy(&bench.dir, &copied.dir);
        Station {
            bench: copied,
            calls: Cell::default(),
        }
    }

    fn start(&self, args: &[&str], crash: Option<&str>) -> Child {
        let call = self.calls.replace(self.calls.get() + 1);
        let clock = format!("2026-11-21T04:{:02}:{:02}.000Z", call / 60, call % 60);
        let id = format!("{call:04x}");
        let mut env = vec![
            ("SUMMITCTL_TEST_CLOCK", clock.as_str()),
            ("SUMMITCTL_TEST_ID", id.as_str()),
        ];
        env.extend(crash.map(|at| ("SUMMITCTL_TEST_CRASH", at)));
        self.bench.start_with(args, &env)
    }

    fn call(&self, args: &[&str], crash: Option<&str>) -> Gave {
        Bench::gave(self.start(args, crash).wait_with_output().unwrap())
    }

    fn ok(&self, args: &[&str]) -> Gave {
        let gave = self.call(args, None);
        assert_eq!(gave.code, 0, "{args:?}: {}", gave.all());
        gave
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.dir.join(name)
    }

    /// Whether a run began and has not ended, as its journal says.
    fn is_open(&self) -> bool {
        let runs = std::fs::read_dir(self.path("state/runs"))
            .into_iter()
            .flatten();
        let journals = runs.flatten().map(|run| run.path().join("journal.ndjson"));
        journals.into_iter().any(|journal| {
            let text = String::from_utf8_lossy(&std::fs::read(journal).unwrap()).into_owned();
            let whole = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let kinds: Vec<Value> = whole
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["record"]["kind"].clone())
                .collect();
            kinds.iter().any(|k| k == "started") && !kinds.iter().any(|k| k == "ended")
        })
    }

    /// Goes on with what was killed, or takes it back.
    fn ends(&self, case: &Case, aborted: bool, said: &str) {
        let open = self.is_open();
        if open && aborted {
            // What cannot be taken back is said, and stays.
            let gave = self.call(&["run", "abort"], None);
            assert!([0, 1].contains(&gave.code), "{said}: {}", gave.all());
        } else if open {
            let gave = self.call(&["run", "resume"], None);
            assert_eq!(gave.code, 0, "{said}: {}", gave.all());
        }
        assert!(!self.is_open(), "{said}: the run goes on for ever");
        if !open || aborted {
            (case.after)(self);
        }
    }

    fn backups(&self, said: &str) -> usize {
        let listed = self.ok(&["backup", "list", "--output", "json"]).json();
        let backups = listed["result"]["backups"].as_array().unwrap();
        for backup in backups {
            assert!(backup["problem"].is_null(), "{said}: {backup:#}");
        }
        backups.len()
    }

    /// A new repository gets its first backup, and so does a new epoch: from the host that was told its secret.
    fn is_put_to_use(&self) {
        if !self.path("repository/backups").exists() {
            one_more(&self.bench, "made.secret", BACKUPS[3]);
        } else if self.epoch() == 2 {
            configure(&self.bench, |text| {
                naming(text, "secret", "\"file:new.secret\"")
            });
            one_more(&self.bench, "new.secret", "20261121T030000Z-0005");
        }
    }

    fn epoch(&self) -> usize {
        let text = std::fs::read(self.path("repository/repository.json")).unwrap();
        let said: Value = serde_json::from_slice(&text).unwrap();
        said["epochs"].as_array().unwrap().len()
    }

    /// The repository serves as if nothing had been: the newest backup is whole, and a prune leaves it and nothing else.
    fn serves(&self, said: &str) {
        self.is_put_to_use();
        assert!(self.backups(said) > 0, "{said}");
        self.ok(&["backup", "verify", "newest", "--level", "1", "--yes"]);
        self.ok(&["backup", "prune", "--keep-last", "1", "--confirm", "sample"]);
        assert_eq!(self.backups(said), 1, "{said}");
        for (folder, count) in [("locks", 0), ("tombstones", 0), ("segments", 2)] {
            let files = files(&self.path("repository").join(folder));
            assert_eq!(files.len(), count, "{said}: {files:?}");
        }
        assert!(!self.path(UNFINISHED).exists(), "{said}");
        if self.path("usb").exists() {
            let on_copy = ["--repository", "usb", "--yes"];
            self.ok(&[
                &["backup", "verify", BACKUPS[3], "--level", "1"][..],
                &on_copy,
            ]
            .concat());
        }
    }
}

/// Every file below a folder, as far as it stays where it is.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(_) => {
                found.insert(entry.path());
            }
            Err(_) => {}
        }
    }
    found
}

/// Where to kill at a record, and whether the run is aborted then: before a step's effect is made, as its intent was written,
/// and after that, while its outcome is. One of them a record; over the commands all come up.
fn boundary(record: usize) -> (&'static str, bool) {
    match record % 4 {
        0 => ("within", false),
        1 => ("after", false),
        2 => ("before", true),
        _ => ("after", true),
    }
}

/// Kills the command at the boundaries of its journal, until it ends undisturbed.
fn at_each_boundary(case: &Case) {
    let template = (case.begins)();
    let mut kills = 0;
    for record in 0.. {
        let (place, aborted) = boundary(record);
        let station = Station::of(&template);
        (case.before)(&station);
        let point = format!("{place}:{record}");
        let gave = station.call(case.args, Some(&point));
        assert!([0, -1].contains(&gave.code), "{point}: {}", gave.all());
        if gave.code == 0 {
            break;
        }
        kills += 1;
        let said = format!("{:?} killed {point}, aborted: {aborted}", case.args);
        station.ends(case, aborted, &said);
        station.serves(&said);
    }
    assert!(kills >= 4, "{:?}: {kills} kills", case.args);
}

/// Kills the command at moments that are drawn: as soon as it made or removed so many files.
fn at_drawn_moments(case: &Case) {
    let template = (case.begins)();
    let station = Station::of(&template);
    (case.before)(&station);
    let (_, all) = killed_after(&station, case.args, usize::MAX);
    station.serves(&format!("{:?} undisturbed", case.args));
    let mut kills = 0;
    for part in 0..DRAWN {
        let mut drawn = [0];
        getrandom::fill(&mut drawn).unwrap();
        let share = all.div_ceil(DRAWN);
        let count = 1 + part * share + usize::from(drawn[0]) % share.max(1);
        let station = Station::of(&template);
        (case.before)(&station);
        let (killed, changes) = killed_after(&station, case.args, count);
        kills += usize::from(killed);
        let aborted = count % 2 == 0;
        let said = format!(
            "{:?} killed after {changes} of {all} files, aborted: {aborted}",
            case.args
        );
        station.ends(case, aborted, &said);
        station.serves(&said);
    }
    assert!(kills > 0 || all < MANY, "{:?}", case.args);
}

/// Whether the command was killed before it ended, and how many files it was seen to make or remove.
fn killed_after(station: &Station, args: &[&str], count: usize) -> (bool, usize) {
    let look = || -> BTreeSet<PathBuf> {
        let watched = ["repository", "usb", UNFINISHED].map(|name| files(&station.path(name)));
        watched.into_iter().flatten().collect()
    };
    let mut last = look();
    let mut changed = BTreeSet::new();
    let mut child = station.start(args, None);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = child.try_wait().unwrap().is_some();
        let now = look();
        changed.extend(now.symmetric_difference(&last).cloned());
        last = now;
        if ended || changed.len() >= count {
            break;
        }
        assert!(Instant::now() < deadline, "{args:?}: it does not end");
        std::thread::park_timeout(Duration::from_micros(50));
    }
    child.kill().unwrap();
    let gave = child.wait_with_output().unwrap();
    let code = gave.status.code();
    assert!(
        [None, Some(0)].contains(&code),
        "{}",
        Bench::gave(gave).all()
    );
    (code.is_none(), changed.len())
}

fn nothing(_: &Station) {}

fn with_bob(station: &Station) {
    station.ok(&["keys", "add", "bob", BOB, "--yes"]);
}

/// The next prune ends what a killed one began.
fn pruned(station: &Station) {
    station.ok(&["backup", "prune", "--keep-last", "1", "--confirm", "sample"]);
}

const PRUNE: Case = Case {
    args: &["backup", "prune", "--keep-last", "1", "--confirm", "sample"],
    begins: stocked,
    before: nothing,
    after: pruned,
};

const VERIFY: Case = Case {
    args: &["backup", "verify", "newest", "--level", "1", "--yes"],
    begins: stocked,
    before: nothing,
    after: nothing,
};

const VERIFY_ROWS: Case = Case {
    args: &["backup", "verify", "newest", "--level", "2", "--yes"],
    ..VERIFY
};

const KEY_CHECK: Case = Case {
    args: &["backup", "verify", "newest", "--key-check", "--yes"],
    ..VERIFY
};

const HOLD: Case = Case {
    // The newest stays anyway, so that the prune afterwards shows nothing of it.
    args: &["backup", "hold", "newest", "--reason", "an audit", "--yes"],
    ..VERIFY
};

const RELEASE: Case = Case {
    args: &["backup", "release", "newest", "--yes"],
    before: |station| drop(station.ok(&["backup", "hold", "newest", "--yes"])),
    ..VERIFY
};

const FORGET: &[&str] = &["backup", "forget", BACKUPS[0], "--confirm", "sample"];

const GONE: Case = Case {
    args: FORGET,
    begins: stocked,
    before: |station| {
        station.ok(&["backup", "list"]);
        let folder = station.path("repository/backups").join(BACKUPS[0]);
        std::fs::remove_dir_all(folder).unwrap();
    },
    after: |station| drop(station.ok(FORGET)),
};

const ADD: Case = Case {
    args: &["keys", "add", "bob", BOB, "--yes"],
    ..VERIFY
};

const ROTATE: Case = Case {
    args: &["keys", "rotate", "bob", CAROL, "--yes"],
    before: with_bob,
    ..VERIFY
};

const REMOVE: Case = Case {
    args: &["keys", "remove", "bob", "--yes"],
    before: with_bob,
    ..VERIFY
};

const EPOCH: Case = Case {
    args: NEW_EPOCH,
    after: |station| {
        if station.epoch() == 1 {
            station.ok(NEW_EPOCH);
        }
        assert_eq!(station.epoch(), 2);
    },
    ..VERIFY
};

const COPY: Case = Case {
    args: &["backup", "copy", "usb", "--yes"],
    after: |station| drop(station.ok(&["backup", "copy", "usb", "--yes"])),
    ..VERIFY
};

const EXPORT: Case = Case {
    args: &["backup", "export", "newest", "plain", "--yes"],
    ..VERIFY
};

const INIT: &[&str] = &["backup", "init", "--new-secret", "--yes"];

const MAKE: Case = Case {
    args: INIT,
    begins: || {
        let bench = bare();
        let path = bench.dir.join("summitctl.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| match line.split(" = ").next() {
            Some("secret") => format!(
                "secret = \"file:made.secret\"\nrecipients = [\"{}\"]\n",
                alice()
            ),
            _ => format!("{line}\n"),
        });
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        bench
    },
    before: nothing,
    after: |station| drop(station.ok(INIT)),
};

macro_rules! killed {
    ($($name:ident: $case:expr;)*) => {
        mod at_each_boundary {
            $(#[test] fn $name() { super::at_each_boundary(&$case); })*
        }
        mod at_drawn_moments {
            $(#[test] fn $name() { super::at_drawn_moments(&$case); })*
        }
    };
}

killed! {
    prune: super::PRUNE;
    verify_objects: super::VERIFY;
    verify_rows: super::VERIFY_ROWS;
    key_check: super::KEY_CHECK;
    hold: super::HOLD;
    release: super::RELEASE;
    forget: super::GONE;
    keys_add: super::ADD;
    keys_rotate: super::ROTATE;
    keys_remove: super::REMOVE;
    new_epoch: super::EPOCH;
    copy: super::COPY;
    export: super::EXPORT;
    init: super::MAKE;
}
