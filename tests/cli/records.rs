//! Runbooks that use others, the record of a run, and copies of built-in runbooks, from the command line.

use crate::bench::Bench;
use crate::by_hand::at_a_terminal;

const INNER: &str = r"---
runbook: write-it
title: Write it down
platform: summit
when: It is to be written down.
why-manual: The language itself is tried here.
params:
  file: { type: string, prompt: Which file }
---

# Write it down

The file is made.

## Make it

```yaml step
id: make
uses: exec
with:
  argv: [cp, /etc/hostname, '${ params.file }']
  undo: [rm, '${ params.file }']
```

## Measure it

By hand: `wc -c`.

```yaml step
id: size
uses: exec
with:
  argv: [wc, -c, '${ params.file }']
  effect: read
expect: [result.exit-code == 0]
```
";

const OUTER: &str = r#"---
runbook: lamp
title: The lamp
platform: summit
when: The lamp must be looked at.
why-manual: The language itself is tried here.
params:
  fail: { type: boolean, prompt: Whether it fails, default: false }
---

# The lamp

Look at the lamp, and *nowhere* else.

```yaml step
id: lamp
uses: manual
with:
  ask: { type: choice, prompt: What colour is the lamp?, choices: [green, red] }
```

## Write it down

It is kept.

```yaml step
id: kept
uses: runbook
with:
  runbook: write-it
  digest: DIGEST
  params: { file: noted }
expect: ["result.size.stdout.contains('noted')"]
```

## Compare

Or do not.

```yaml step
id: compare
uses: exec
when: params.fail
with: { argv: [ls, no-such-file], effect: read }
```
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.t]\ntier = \"development\"\n[contexts.t.evidence]\ndir = \"evidence\"\nsigning-key = \"file:key.pem\"\n",
    );
    assert_eq!(bench.run(&["evidence", "keygen", "key.pem"]).code, 0);
    std::fs::create_dir(bench.dir.join("runbooks")).unwrap();
    bench.write("runbooks/write-it.md", INNER);
    let shown = bench.run(&["runbook", "show", "write-it", "-o", "json"]);
    let digest = shown.json()["result"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    bench.write("runbooks/lamp.md", &OUTER.replace("DIGEST", &digest));
    bench
}

fn newest(bench: &Bench) -> String {
    let list = bench.run(&["run", "list", "-o", "json"]).json();
    list["result"]["runs"][0]["run"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn record(bench: &Bench) -> String {
    let gave = bench.run(&["run", "show", &newest(bench), "--format", "markdown"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    gave.out
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[test]
fn a_finished_run_is_a_filled_in_record() {
    let bench = bench();
    let ran = at_a_terminal(&bench, "runbook run lamp --yes", "green\n");
    assert_eq!(ran.code, 0, "{}", ran.out);
    // The record is the journal's: what becomes of the files does not change it.
    std::fs::remove_dir_all(bench.dir.join("runbooks")).unwrap();
    let text = record(&bench);
    let run = newest(&bench);
    holds(
        &text,
        &[
            "# The lamp: record of a run\n",
            &format!("| run | `{run}` |"),
            "| runbook | `lamp` `sha256:",
            "| plan | `sha256:",
            "| consent | given with `--yes` at ",
            &format!("| evidence | record `{run}` (`"),
            "| `kept__file` | `noted` |",
            "Look at the lamp, and *nowhere* else.",
            "> **answered** at ",
            "> - answer: `green`",
            "> - answered-by: `root@",
            "Here runbook `write-it` was used (`sha256:",
            "### Make it",
            "> **done, and seen** at ",
            "step `kept__make` (`exec`, change)",
            "> As expected: `result.exit-code == 0`.",
            "> As expected: `result.size.stdout.contains('noted')`.",
            "> **skipped** at ",
            "> Its condition was false: `params.fail`.",
            "| the run ended, exit code 0 |",
        ],
    );
    let to = bench.run(&["run", "show", "--format", "markdown", "--file", "record.md"]);
    assert_eq!(to.code, 0, "{}", to.all());
    assert_eq!(
        std::fs::read_to_string(bench.dir.join("record.md"))
            .unwrap()
            .trim_end(),
        text.trim_end()
    );
    let json = bench
        .run(&["run", "show", "--format", "markdown", "-o", "json"])
        .json();
    assert!(
        json["result"]["markdown"]
            .as_str()
            .unwrap()
            .starts_with("# The lamp")
    );
}

#[test]
fn failed_and_aborted_runs_have_a_record_too() {
    let bench = bench();
    let failed = at_a_terminal(&bench, "runbook run lamp --yes --param fail=true", "red\n");
    assert_eq!(failed.code, 1, "{}", failed.out);
    let text = record(&bench);
    holds(
        &text,
        &[
            "| state | resumable |",
            "The run stopped:",
            "> **failed** at ",
            "(`exec.failed`)",
            "no-such-file",
            "| the run stopped and can be resumed |",
        ],
    );
    let aborted = bench.run(&["run", "abort", &newest(&bench)]);
    assert_eq!(aborted.code, 0, "{}", aborted.all());
    assert!(!bench.dir.join("noted").exists());
    holds(
        &record(&bench),
        &[
            "| state | aborted |",
            "> **taken back** at ",
            "| `kept__make`: taken back |",
            "| the run was ended and taken back, exit code 0 |",
        ],
    );
}

#[test]
fn a_run_that_was_killed_shows_what_was_not_reached() {
    let bench = bench();
    let text = std::fs::read_to_string(bench.dir.join("runbooks/lamp.md")).unwrap();
    let from = text.find("```yaml step\nid: lamp").unwrap();
    let to = text.find("## Write it down").unwrap();
    bench.write(
        "runbooks/lamp.md",
        &format!("{}{}", &text[..from], &text[to..]),
    );
    let bench = bench.env("SUMMITCTL_TEST_CRASH", "after:1");
    assert_eq!(bench.run(&["runbook", "run", "lamp", "--yes"]).code, -1);
    let bench = bench.without_env();
    holds(
        &record(&bench),
        &[
            "> **interrupted, its effect is in doubt**",
            "> **not reached** · step `kept__size`",
            "| evidence | the journal names no signed record |",
        ],
    );
}

#[test]
fn another_text_than_the_pinned_one_is_refused() {
    let bench = bench();
    bench.write("runbooks/write-it.md", &format!("{INNER}\nAnd more.\n"));
    for command in ["plan", "run", "lint"] {
        let gave = bench.run(&["runbook", command, "lamp"]);
        assert_eq!(gave.code, 2, "{}", gave.all());
        let digest = bench
            .run(&["runbook", "show", "write-it", "-o", "json"])
            .json();
        holds(&gave.all(), &[digest["result"]["digest"].as_str().unwrap()]);
    }
}

#[test]
fn a_copy_of_a_built_in_runbook_is_told_from_it() {
    let bench = bench();
    let made = bench.run(&["runbook", "new", "smoke", "--from", "smoke"]);
    assert_eq!(made.code, 0, "{}", made.all());
    bench.write("runbooks/smoke.md", &made.out);
    let listed = |bench: &Bench| {
        let list = bench.run(&["runbook", "list", "-o", "json"]).json();
        let all = list["result"]["runbooks"].as_array().unwrap().clone();
        all.into_iter().find(|r| r["runbook"] == "smoke").unwrap()
    };
    assert_eq!(listed(&bench)["drift"], "same");
    bench.write("runbooks/smoke.md", &made.out.replace("2m }", "3m }"));
    assert_eq!(listed(&bench)["drift"], "edited");
    assert_eq!(listed(&bench)["replaces"], true);
    holds(&bench.run(&["runbook", "list"]).out, &["local (edited)"]);
    let diff = bench.run(&["runbook", "diff", "smoke"]);
    holds(
        &diff.out,
        &[
            "state     edited: this copy was changed here",
            "default: 2m }",
            "\n+  wait: ",
        ],
    );
    // It says that it was made from a text which is not built in any more.
    let from = made.out.find("smoke@sha256:").unwrap() + "smoke@sha256:".len();
    let zeros = "0".repeat(64);
    let older = format!("{}{zeros}{}", &made.out[..from], &made.out[from + 64..]);
    bench.write("runbooks/smoke.md", &older.replace("2m }", "3m }"));
    holds(
        &bench.run(&["runbook", "lint", "smoke"]).out,
        &["warning[drift]", "summitctl runbook diff smoke"],
    );
    let planned = bench.run(&["runbook", "plan", "smoke"]);
    holds(
        &planned.err.replace('\n', " "),
        &["was changed here, and the built-in text changed too"],
    );
    let alone = bench.run(&["runbook", "diff", "lamp"]);
    assert_eq!(alone.code, 2, "{}", alone.all());
    holds(&alone.err, &["is no copy of a built-in runbook"]);
}

/// Sources the completions in a real bash and completes a line of these words.
fn completed(bench: &Bench, words: &[&str]) -> Vec<String> {
    let script = bench.run(&["completions", "bash"]).out;
    let file = bench.write("summitctl.bash", &script);
    let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
    let line = format!(
        "source {}; COMP_WORDS=('{}' {}); COMP_CWORD={}; _summitctl_whole \"${{COMP_WORDS[0]}}\" \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\" 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file.display(),
        env!("CARGO_BIN_EXE_summitctl"),
        quoted.join(" "),
        words.len()
    );
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &line])
        .current_dir(&bench.dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_runbooks_parameters_and_choices() {
    let bench = bench();
    assert_eq!(completed(&bench, &["runbook", "run", "lam"]), ["lamp"]);
    let outages = completed(&bench, &["runbook", "plan", "re"]);
    assert_eq!(outages, ["redis-outage", "restore", "restore-one-service"]);
    let names = completed(&bench, &["runbook", "run", "redis-outage", "--param", ""]);
    assert_eq!(names, ["namespace=", "start=", "wait="]);
    let choices = [
        "runbook",
        "run",
        "redis-outage",
        "--param",
        "start",
        "=",
        "s",
    ];
    assert_eq!(completed(&bench, &choices), ["sandbox"]);
    let all = ["runbook", "run", "redis-outage", "--param", "start", "="];
    assert_eq!(completed(&bench, &all).len(), 4);
    // Elsewhere it is as it was.
    assert!(completed(&bench, &["runbook", "li"]).contains(&"list".to_owned()));
    assert!(
        completed(&bench, &["runbook", "run", "smoke", "--yes", "--par"])
            .contains(&"--param".to_owned())
    );
}
