//! Every command's document against its published schema, and every command's text at 80 columns.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::bench::Bench;
use crate::shared::{self, WITH_SERVERS};

/// What a command needs on its line besides its words, so that it can be parsed.
fn needed(words: &str) -> &'static [&'static str] {
    match words {
        "context use" => &["nowhere"],
        "evidence export" => &["20261121T030405Z-0000", "exported"],
        "evidence keygen" => &["no/such/folder/key.pem"],
        "runbook show" | "runbook diff" | "runbook plan" | "runbook run" => &["no-such-runbook"],
        "runbook new" => &["mine"],
        "lease break" | "backup unlock" => &["nothing"],
        "sandbox break" => &["postgres"],
        "restore" | "backup diff" | "backup hold" | "backup release" => &["newest"],
        "backup forget" => &["20261121T030405Z-0000"],
        "backup export" => &["newest", "plain"],
        "backup import" => &["no-such.dump"],
        "sandbox up" => &["--sandbox-dir", "occupied"],
        "keys add" => &["bob", "age1"],
        "keys remove" => &["bob"],
        "keys rotate" => &["bob", "age1"],
        "keys new-epoch" => &["--secret-file", "no/such/folder/secret"],
        "explain" => &["no-such-topic"],
        "completions" => &["bash"],
        "man" | "schemas" => &["made"],
        _ => &[],
    }
}

#[test]
fn every_command_has_a_schema_and_every_schema_a_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/cli");
    let published: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|e| e.path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "document" && name != "events")
        .collect();
    let commands: BTreeSet<String> = shared::commands()
        .iter()
        .map(|words| words.replace(' ', "-"))
        .collect();
    assert_eq!(
        published, commands,
        "src/cli/commands/schema.rs has one line each"
    );
}

#[test]
fn without_anything_set_up_every_command_gives_one_document() {
    let bench = Bench::new();
    std::fs::create_dir(bench.dir.join("occupied")).unwrap();
    bench.write("occupied/file", "somebody else's");
    let mut errors = 0;
    for words in shared::commands() {
        let mut args: Vec<&str> = words.split(' ').collect();
        args.extend(needed(&words));
        args.extend(["--output", "json"]);
        let gave = bench.run(&args);
        let document = shared::document(&words, &gave.out, gave.code);
        errors += usize::from(document["result"].is_null());
        // What init wrote would be a context for those that follow.
        let _ = std::fs::remove_file(bench.dir.join("summitctl.toml"));
    }
    assert!(errors > 15, "{errors}");
}

#[test]
fn a_line_that_cannot_be_parsed_gives_a_document_too() {
    for (bench, args) in [
        (Bench::new(), &["smoek", "--output", "json"][..]),
        (Bench::new(), &["smoke", "--no-such-flag", "-ojson"]),
        (Bench::new(), &["backup", "-o", "json"]),
        (Bench::new().env("SUMMITCTL_OUTPUT", "json"), &["smoek"]),
    ] {
        let gave = bench.run(args);
        assert_eq!(gave.code, 2, "{}", gave.all());
        let document = gave.json();
        shared::fits("document", &document);
        assert_eq!(document["error"]["reason"], "input.invalid");
        assert!(document["result"].is_null());
    }
}

const BOOK: &str = r"---
runbook: hand
title: A hand on the machine
platform: summit
when: Something must be written down.
why-manual: The documents are tried here.
---

# A hand on the machine

Write it down.

```yaml step
id: note
uses: exec
with:
  argv: [touch, noted]
  undo: [rm, noted]
```
";

/// A context whose repository and evidence are the samples that the repository carries, and no servers.
pub fn furnished() -> Bench {
    let bench = Bench::new().env("COLUMNS", "80");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compat");
    let sample = |name: &str| samples.join(name).display().to_string();
    copy(&samples.join("evidence/v1"), &bench.dir.join("evidence"));
    let repository = samples.join("repository/v1/repository");
    copy(&repository, &bench.dir.join("repository"));
    bench.write(
        "summitctl.toml",
        &format!(
            "version = 1\n\n[contexts.sample]\ntier = \"development\"\n\n\
             [contexts.sample.repository]\npath = \"repository\"\nsecret = \"file:{}\"\nidentity = \"file:{}\"\n\
             signing-key = \"file:key.pem\"\ntrusted-keys = [\"{}\"]\n\n\
             [[contexts.sample.repository.copies]]\nname = \"usb\"\npath = \"usb\"\n\n\
             [contexts.sample.evidence]\ndir = \"evidence\"\nsigning-key = \"file:key.pem\"\n\n\
             [contexts.sample.redis]\nhost = \"127.0.0.1\"\nport = 1\n\n\
             [contexts.sample.gateway]\nurl = \"http://127.0.0.1:1\"\n",
            sample("repository/v1/secret.txt"),
            sample("repository/v1/identity.txt"),
            sample("repository/v1/signer.pem"),
        ),
    );
    bench.write("hand.md", BOOK);
    bench.write("copy.md", &BOOK.replace("runbook: hand", "runbook: smoke"));
    bench.write(
        "platform.env",
        "DATABASE_URL=postgres://app:Pw-4711-pw@localhost/app\nJWT_SECRET=changeme\n",
    );
    bench
}

/// A folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub const BACKUP: &str = "20261121T030405Z-9f3a";
const RUN: &str = "20261121T030405Z-0000";

const BOB: &str = "age1mukt0wyxk2rqkz24xsx5vml0xk79w43ve7mwu3jk0gkwtpytye3qzusf4w";
const CAROL: &str = "age1lk7p8jxyqwmr2d5uwm502lfhj60ext3022z4mzhpmvsyy29wf5as4ug5r0";

/// Commands in an order in which each finds what it works on, with their exit codes.
const STORY: &[(&str, &[&str], i32)] = &[
    ("init", &["other.toml"], 0),
    ("evidence keygen", &["key.pem"], 0),
    ("config show", &[], 0),
    ("config check", &["--env-file", "platform.env"], 1),
    ("context list", &[], 0),
    ("context use", &["sample"], 0),
    ("context show", &[], 0),
    ("doctor", &[], 1),
    ("smoke", &[], 1),
    ("status", &[], 0),
    ("backup list", &[], 0),
    ("backup show", &[BACKUP], 0),
    ("evidence show", &["newest"], 0),
    (
        "evidence verify",
        &["evidence", "--trusted-key", "evidence/signer.pub"],
        0,
    ),
    ("drill history", &[], 0),
    ("runbook list", &[], 0),
    ("runbook show", &["smoke"], 0),
    ("runbook lint", &[], 0),
    ("runbook diff", &["copy.md"], 0),
    ("runbook new", &["mine", "--from", "smoke"], 0),
    ("runbook plan", &["hand.md"], 0),
    ("runbook run", &["hand.md", "--yes"], 0),
    ("run list", &[], 0),
    ("run show", &[RUN], 0),
    (
        "run show",
        &[RUN, "--format", "markdown", "--file", "record.md"],
        0,
    ),
    ("evidence list", &[], 0),
    ("evidence export", &[RUN, "exported"], 0),
    ("backup hold", &[BACKUP, "--reason", "an audit", "--yes"], 0),
    ("backup release", &[BACKUP, "--yes"], 0),
    ("backup prune", &["--dry-run"], 0),
    ("backup copy", &["usb", "--yes"], 0),
    (
        "backup verify",
        &[BACKUP, "--level", "1", "--sample", "50%", "--yes"],
        0,
    ),
    ("keys list", &[], 0),
    ("keys add", &["bob", BOB, "--yes"], 0),
    ("keys rotate", &["bob", CAROL, "--yes"], 0),
    ("keys remove", &["bob", "--yes"], 0),
    (
        "keys new-epoch",
        &["--secret-file", "new.secret", "--confirm", "sample"],
        0,
    ),
    ("lease show", &[], 0),
    ("sandbox status", &[], 1),
    ("sandbox mend", &[], 0),
    ("sandbox down", &[], 0),
    ("explain", &["3"], 0),
    ("completions", &["zsh"], 0),
    ("man", &["made"], 0),
    ("schemas", &["made"], 0),
];

/// What tells the runs of the story apart; [`RUN`] is the runbook's.
fn run_of(words: &str, at: usize) -> String {
    match words {
        "runbook run" => "0000".to_owned(),
        _ => format!("f{at:03x}"),
    }
}

#[test]
fn results_fit_their_schemas_and_the_checks_in_them_are_explained() {
    let mut bench = furnished();
    let mut held: BTreeSet<String> = BTreeSet::new();
    for (at, (words, more, code)) in STORY.iter().enumerate() {
        bench = bench.env("SUMMITCTL_TEST_ID", &run_of(words, at));
        let mut args: Vec<&str> = words.split(' ').collect();
        args.extend(*more);
        args.extend(["--output", "json"]);
        let gave = bench.run(&args);
        assert_eq!(gave.code, *code, "`{words}`: {}", gave.all());
        let document = shared::document(words, &gave.out, gave.code);
        if ["smoke", "doctor", "config check"].contains(words) {
            shared::are_explained(&document);
        }
        if !document["result"].is_null() {
            held.insert((*words).to_owned());
        }
    }
    // Those that need a run which was killed, a gate that says no, or a backup that was seen.
    let bench = furnished().env("SUMMITCTL_TEST_CRASH", "after:2");
    bench.run(&["evidence", "keygen", "key.pem"]);
    bench.run(&["runbook", "run", "hand.md", "--yes"]);
    let bench = bench.without_env();
    let lease = shown(&bench, &["lease", "show"], 0);
    let name = lease["result"]["leases"][0]["holder"]["name"]
        .as_str()
        .unwrap();
    assert_eq!(lease["result"]["leases"][0]["known-dead"], true);
    shown(&bench, &["lease", "break", name], 0);
    assert_eq!(
        shown(&bench, &["run", "list"], 0)["result"]["runs"][0]["state"],
        "resumable"
    );
    shown(&bench, &["run", "abort"], 0);
    let bench = furnished().env("SUMMITCTL_TEST_CRASH", "after:2");
    bench.run(&["evidence", "keygen", "key.pem"]);
    bench.run(&["runbook", "run", "hand.md", "--yes"]);
    let bench = bench.without_env();
    shown(&bench, &["run", "resume"], 0);
    let bench = bench.env("SUMMITCTL_TEST_ID", "0001");
    shared::are_explained(&shown(&bench, &["gate", "run"], 5));
    // And a backup that went away.
    shown(&bench, &["backup", "list"], 0);
    std::fs::remove_dir_all(bench.dir.join("repository/backups").join(BACKUP)).unwrap();
    let bench = bench.env("SUMMITCTL_TEST_ID", "0002");
    let forget = ["backup", "forget", BACKUP, "--confirm", "sample"];
    shown(&bench, &forget, 0);
    // And a lock of a machine that is no more.
    let token = crate::unlock::lock_of_elsewhere(&bench);
    shown(
        &bench,
        &["backup", "unlock", &token, "--confirm", &token],
        0,
    );
    let ends = [
        "lease break",
        "run abort",
        "run resume",
        "gate run",
        "backup forget",
        "backup unlock",
    ];
    held.extend(ends.map(str::to_owned));
    let elsewhere = WITH_SERVERS.iter().chain(shared::WITH_CLUSTER);
    held.extend(elsewhere.map(|w| (*w).to_owned()));
    assert_eq!(held, shared::commands(), "a command's result is not held");
}

/// Runs a command for its document.
fn shown(bench: &Bench, args: &[&str], code: i32) -> Value {
    let gave = bench.run(&[args, &["--output", "json"]].concat());
    assert_eq!(gave.code, code, "{args:?}: {}", gave.all());
    shared::document(&args[..2].join(" "), &gave.out, gave.code)
}

#[test]
fn at_80_columns_no_line_is_too_long_and_nothing_that_is_copied_is_broken() {
    // Files, and what programs read, are printed as they are.
    let verbatim = [
        "completions",
        "evidence show",
        "runbook show",
        "runbook diff",
        "runbook new",
        "runbook lint",
    ];
    let mut bench = furnished();
    for (at, (words, more, code)) in STORY.iter().enumerate() {
        bench = bench.env("SUMMITCTL_TEST_ID", &run_of(words, at));
        let mut args: Vec<&str> = words.split(' ').collect();
        args.extend(*more);
        let gave = bench.run(&args);
        assert_eq!(gave.code, *code, "`{words}`: {}", gave.all());
        if !verbatim.contains(words) {
            narrow(words, &gave.out);
        }
        narrow(words, &gave.err);
        let whole: &[&str] = match *words {
            "backup list" | "backup show" => &[BACKUP],
            "run list" | "evidence list" => &[RUN],
            "run show" if more.len() == 1 => &[RUN, "/journal.ndjson", "sha256:"],
            _ => &[],
        };
        for copied in whole {
            assert!(gave.out.contains(copied), "`{copied}`: {}", gave.out);
        }
    }
    for topic in [
        "codes",
        "reasons",
        "steps",
        "findings",
        "scripts",
        "backup.capture",
    ] {
        narrow(topic, &bench.run(&["explain", topic]).out);
    }
}

/// No line is longer than 80 columns unless something in it cannot be broken.
fn narrow(words: &str, text: &str) {
    for line in text.lines() {
        let wide = line.chars().count();
        let unbroken = line
            .split_whitespace()
            .map(|w| w.chars().count())
            .max()
            .unwrap_or(0);
        let quoted = line
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|q| q.chars().count());
        let command = line.find("summitctl ").map_or(0, |at| wide - at);
        let widest = quoted.chain([unbroken, command]).max().unwrap_or(0);
        assert!(
            wide <= 80 || widest > 60,
            "`{words}`, {wide} columns:\n{line}\n\n{text}"
        );
    }
}
