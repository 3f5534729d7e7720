//! What an operator meets at 3 a.m., on one sandbox: wrong passwords, wrong servers, full and foreign folders, damaged files,
//! servers that die. Each says what, where, why and what to do next, and leaves nothing half done.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;

use crate::program::{Program, files, said};

mod damage;
mod disk;
mod fakes;
mod servers;
mod targets;

const CREATE: [&str; 5] = ["backup", "create", "--yes", "--context", "sandbox"];
/// Where one store tells as much as three.
const CREATE_REDIS: [&str; 7] = [
    "backup",
    "create",
    "--stores",
    "redis",
    "--yes",
    "--context",
    "sandbox",
];

#[tokio::test(flavor = "multi_thread")]
async fn at_three_in_the_morning() {
    let began = std::time::Instant::now();
    let so_far = |what: &str| println!("{what} after {:.1?}", began.elapsed());
    let program = Program::start("faults");
    so_far("up");
    a_second_time_is_already_so(&program);
    so_far("a second time");
    targets::wrong_passwords(&program);
    targets::nobody_there(&program);
    targets::somebody_else_there(&program).await;
    targets::too_old(&program);
    so_far("targets");
    disk::a_locked_repository(&program).await;
    disk::a_folder_that_is_missing_or_forbidden(&program);
    disk::a_full_disk(&program);
    disk::a_full_disk_under_postgres(&program);
    so_far("disks");
    damage::a_journal(&program);
    damage::evidence(&program);
    damage::a_segment(&program).await;
    so_far("damage");
    servers::die(&program).await;
    so_far("servers");
    assert_eq!(program.open_runs(), [""; 0]);
    program.ok(&["evidence", "verify", "--context", "sandbox"]);
}

/// A second run of a changing command says which of its steps were so already.
fn a_second_time_is_already_so(program: &Program) {
    let up = program.ok(&["sandbox", "up"]);
    assert!(
        said(&up).contains("The sandbox runs already."),
        "{}",
        said(&up)
    );
    assert_eq!(program.json(&["sandbox", "up"])["already"], true);
    let pin = ["context", "pin", "--yes", "--context", "sandbox"];
    let first = said(&program.ok(&pin));
    assert!(first.contains("1 done"), "{first}");
    program.ok(&CREATE);
    for command in [&pin[..], &CREATE] {
        let again = said(&program.ok(command));
        assert!(again.contains("= already so pin"), "{again}");
        assert!(again.contains("1 already so"), "{again}");
    }
    let report = &program.json(&pin)["report"];
    assert_eq!(report["steps"][0]["end"], "already-so", "{report}");
}

/// A copy of the sandbox's configuration in which the texts are exchanged, and the flags that use it.
fn edited(program: &Program, edits: &[(String, String)]) -> Vec<String> {
    let sandbox = program.dir.join("sandbox");
    let mut text = std::fs::read_to_string(sandbox.join("summitctl.toml")).unwrap();
    // Through marks, so that two texts can change places.
    for (number, (from, _)) in edits.iter().enumerate() {
        assert!(text.contains(from.as_str()), "`{from}` in {text}");
        text = text.replace(from.as_str(), &format!("<{number}>"));
    }
    for (number, (_, to)) in edits.iter().enumerate() {
        text = text.replace(&format!("<{number}>"), to);
    }
    let path = sandbox.join("edited.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_string_lossy().into_owned();
    // The sandbox's own file would name the same context a second time.
    let flags = ["--config", &path, "--sandbox-dir", "no-sandbox"];
    flags.map(str::to_owned).to_vec()
}

fn port(program: &Program, part: &str) -> String {
    format!(":{}", program.server(part).port)
}

fn with<'a>(command: &[&'a str], flags: &'a [String]) -> Vec<&'a str> {
    let flags = flags.iter().map(String::as_str);
    command.iter().copied().chain(flags).collect()
}

/// What must not change when a command is refused: what the repository holds, and which runs are open.
#[derive(Debug, PartialEq)]
struct Standing {
    stored: BTreeSet<PathBuf>,
    open: Vec<String>,
}

impl Standing {
    fn of(program: &Program) -> Self {
        let repository = program.dir.join("sandbox/repository");
        let mut stored = Vec::new();
        for folder in ["backups", "segments", "locks"] {
            files(&repository.join(folder), &mut stored);
        }
        Standing {
            stored: stored.into_iter().collect(),
            open: program.open_runs(),
        }
    }
}

/// Carries out a command that must be refused before anything was begun.
fn refused(program: &Program, command: &[&str], code: i32, words: &[&str]) {
    let before = Standing::of(program);
    let output = program.call(command, None);
    tells(&output, code, words);
    assert_eq!(Standing::of(program), before, "{command:?}");
}

/// Carries out a command that must stop in the middle, so that it can be resumed; returns its run.
fn stopped(program: &Program, command: &[&str], code: i32, words: &[&str]) -> String {
    let output = program.call(command, None);
    stopped_with(program, &output, code, words)
}

fn stopped_with(program: &Program, output: &Output, code: i32, words: &[&str]) -> String {
    tells(output, code, words);
    let run = program.open_runs();
    assert_eq!(run.len(), 1, "{run:?}: {}", said(output));
    tells(output, code, &[&format!("summitctl run resume {}", run[0])]);
    run[0].clone()
}

/// The exit code, and every word of the message.
fn tells(output: &Output, code: i32, words: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert!(!text.contains("this is a bug"), "{text}");
}
