//! The two step kinds of a runbook that no server is needed for: a program, and a question to a person.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::bench::{Bench, Gave};

const BOOK: &str = r"---
runbook: hand
title: A hand on the machine
platform: summit
when: Something must be looked at by a person.
why-manual: The language itself is tried here.
---

# A hand on the machine

Look at the lamp.

```yaml step
id: lamp
uses: manual
with:
  ask: { type: choice, prompt: What colour is the lamp?, choices: [green, red] }
```

Write it down.

```yaml step
id: note
uses: exec
with:
  argv: [./note]
  undo: [rm, noted]
when: steps.lamp.out.answer == 'green'
```

Count it.

```yaml step
id: count
uses: exec
with:
  argv: [wc, -l, noted]
  effect: read
expect:
  - result.exit-code == 0
```
";

/// A bench with the runbook, without its question if nobody is to be asked.
fn bench(with_question: bool) -> Bench {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.t]\ntier = \"development\"\n",
    );
    let text = if with_question {
        BOOK.to_owned()
    } else {
        let from = BOOK.find("Look at").unwrap();
        let to = BOOK.find("Write it").unwrap();
        format!("{}{}", &BOOK[..from], &BOOK[to..])
            .replace("when: steps.lamp.out.answer == 'green'\n", "")
            .replace("effect: read\n", "effect: read\nneeds: [note]\n")
    };
    bench.write("hand.md", &text);
    let program = bench.write(
        "note",
        "#!/bin/sh\necho \"$SUMMITCTL_IDEMPOTENCY_KEY\" >> noted\n",
    );
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    bench
}

fn noted(bench: &Bench) -> Vec<String> {
    let text = std::fs::read_to_string(bench.dir.join("noted")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_program_is_run_once_and_taken_back() {
    let bench = bench(false);
    let gave = bench.run(&["runbook", "run", "hand.md", "--yes", "--output", "json"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    let report = gave.json();
    assert_eq!(
        report["result"]["report"]["steps"][1]["observed"]["stdout"],
        "1 noted\n"
    );
    let run = report["result"]["report"]["run"].as_str().unwrap();
    assert_eq!(noted(&bench), [format!("{run}/note")]);
    let again = bench.run(&["run", "resume", run]);
    assert_eq!(again.code, 3, "{}", again.all());
    assert_eq!(noted(&bench).len(), 1);
}

#[test]
fn a_kill_after_the_program_does_not_run_it_again_and_an_abort_takes_it_back() {
    for (crash, times) in [("before:2", 1), ("within:2", 1), ("after:2", 1)] {
        let bench = bench(false).env("SUMMITCTL_TEST_CRASH", crash);
        assert_eq!(
            bench.run(&["runbook", "run", "hand.md", "--yes"]).code,
            -1,
            "{crash}"
        );
        assert_eq!(noted(&bench).len(), 1, "{crash}");
        let bench = bench.without_env();
        let resumed = bench.run(&["run", "resume"]);
        assert_eq!(resumed.code, 0, "{crash}: {}", resumed.all());
        assert_eq!(noted(&bench).len(), times, "{crash}");
    }
    let bench = bench(false).env("SUMMITCTL_TEST_CRASH", "after:2");
    bench.run(&["runbook", "run", "hand.md", "--yes"]);
    let bench = bench.without_env();
    let aborted = bench.run(&["run", "abort"]);
    assert_eq!(aborted.code, 0, "{}", aborted.all());
    assert!(!bench.dir.join("noted").exists());
}

#[test]
fn the_command_to_repeat_is_the_one_that_was_given() {
    let bench = bench(false);
    std::fs::rename(bench.dir.join("hand.md"), bench.dir.join("my hand.md")).unwrap();
    let gave = bench.run(&["runbook", "run", "my hand.md"]);
    assert_eq!(gave.code, 3, "{}", gave.all());
    let command = "summitctl runbook run 'my hand.md' --context t --yes";
    assert!(gave.err.contains(command), "{}", gave.err);
}

#[test]
fn a_failing_program_stops_the_run_with_its_last_words() {
    let bench = bench(false);
    bench.write("note", "#!/bin/sh\necho lost >&2\nexit 7\n");
    let gave = bench.run(&["runbook", "run", "hand.md", "--yes"]);
    assert_eq!(gave.code, 1, "{}", gave.all());
    assert!(gave.all().contains("status 7: lost"), "{}", gave.all());
    assert!(
        gave.all().contains("summitctl run resume"),
        "{}",
        gave.all()
    );
    std::fs::remove_file(bench.dir.join("note")).unwrap();
    let gone = bench.run(&["run", "resume"]);
    assert_eq!(gone.code, 1, "{}", gone.all());
    assert!(gone.all().contains("cannot be started"), "{}", gone.all());
}

#[test]
fn a_question_waits_for_somebody_and_goes_on_with_the_answer() {
    let bench = bench(true);
    let gave = bench.run(&["runbook", "run", "hand.md", "--yes"]);
    assert_eq!(gave.code, 3, "{}", gave.all());
    assert!(
        gave.all().contains("What colour is the lamp?"),
        "{}",
        gave.all()
    );
    assert!(noted(&bench).is_empty());
    let answered = at_a_terminal(&bench, "run resume", "blue\ngreen\n");
    assert!(
        answered.out.contains("`blue` is not one of green, red"),
        "{}",
        answered.out
    );
    assert_eq!(answered.code, 0, "{}", answered.out);
    assert_eq!(noted(&bench).len(), 1);
}

/// Runs the program on a terminal of its own and types.
pub fn at_a_terminal(bench: &Bench, words: &str, typed: &str) -> Gave {
    let line = format!(
        "SUMMITCTL_STATE_DIR={} {} {words}",
        bench.dir.join("state").display(),
        env!("CARGO_BIN_EXE_summitctl")
    );
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(&bench.dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(typed.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    Gave {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::new(),
    }
}
