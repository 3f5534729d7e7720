//! Ctrl-C and `--timeout`: before there is a run nothing was begun, and that is what is said; a run stops between its steps.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::Bench;
use crate::shared;

#[test]
fn stopped_while_it_plans_a_command_says_that_nothing_was_begun() {
    for format in ["human", "json"] {
        // A server that takes the connection and never says a word.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let bench = Bench::new();
        bench.write(
            "summitctl.toml",
            &format!("version = 1\n[contexts.t]\ntier = \"development\"\n[contexts.t.redis]\nhost = \"127.0.0.1\"\nport = {port}\n"),
        );
        let child = bench.start(&["context", "pin", "--yes", "--output", format]);
        let _held = silent.accept().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let gave = Bench::gave(child.wait_with_output().unwrap());
        assert_eq!(gave.code, 4, "{}", gave.all());
        assert!(gave.err.contains("no run was begun"), "{}", gave.err);
        assert!(!gave.err.contains("run resume"), "{}", gave.err);
        assert_eq!(bench.run(&["run", "resume"]).code, 2, "nothing waits");
        if format == "json" {
            let document = shared::document("context pin", &gave.out, gave.code);
            assert_eq!(document["error"]["reason"], "run.not-begun");
        }
    }
}

/// A bench with a context whose Redis takes the connection and never says a word.
fn silent_bench() -> (TcpListener, Bench) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        &format!("version = 1\n[contexts.t]\ntier = \"development\"\n[contexts.t.redis]\nhost = \"127.0.0.1\"\nport = {port}\n"),
    );
    (silent, bench)
}

#[test]
fn a_timeout_ends_what_only_looks_or_plans() {
    let (_silent, bench) = silent_bench();
    for command in [
        &["context", "pin", "--yes"][..],
        &["backup", "create", "--yes"],
        &["status"],
        &["restore", "newest", "--can-i"],
    ] {
        let began = Instant::now();
        let gave = bench.run(&[command, &["--timeout", "300ms", "-o", "json"]].concat());
        assert!(began.elapsed() < Duration::from_secs(5), "{command:?}");
        if gave.json()["error"]["reason"] == "wait.timeout" {
            assert_eq!(gave.code, 1, "{}", gave.all());
            let said = gave.json()["error"]["message"].to_string();
            assert!(said.contains("300ms of `--timeout`"), "{said}");
        } else {
            // Without a repository there is nothing to wait for.
            assert_eq!(command[0], "restore", "{}", gave.all());
        }
        assert_eq!(bench.run(&["run", "resume"]).code, 2, "nothing waits");
    }
}

#[test]
fn doctor_and_smoke_report_what_they_saw_by_then() {
    let (_silent, bench) = silent_bench();
    for command in ["doctor", "smoke"] {
        let began = Instant::now();
        let gave = bench.run(&[command, "--timeout", "300ms", "-o", "json"]);
        assert!(began.elapsed() < Duration::from_secs(4), "{command}");
        assert_eq!(gave.code, 1, "{}", gave.all());
        let all = gave.json().to_string();
        assert!(all.contains("redis.ping"), "{command}: {all}");
    }
}

#[test]
fn a_run_that_outlasts_its_timeout_stops_between_steps_and_goes_on() {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.t]\ntier = \"development\"\n",
    );
    let step = |id: &str, argv: &str| {
        format!(
            "\n## {id}\n\n```yaml step\nid: {id}\nuses: exec\nwith: {{ argv: [{argv}] }}\n```\n"
        )
    };
    let slow =
        "#!/bin/sh\ntouch started\nwhile [ ! -e go ]; do sleep 0.05; done\ntouch first-done\n";
    let script = bench.write("first", slow);
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "---\nrunbook: two-steps\ntitle: Two steps\nplatform: summit\nwhen: In a test.\nwhy-manual: The language itself is tried here.\n---\n\n# Two steps\n{}{}",
        step("first", "./first"),
        step("second", "touch, second")
    );
    bench.write("two-steps.md", &text);
    let run = ["runbook", "run", "two-steps.md", "--yes", "--jobs", "1"];
    let mut child = bench.start(&[&run[..], &["--timeout", "3s"]].concat());
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let over = told
        .by_ref()
        .map_while(Result::ok)
        .find(|l| l.contains("is over"));
    assert!(over.unwrap().contains("`--timeout 3s`"));
    // The first step is under way when the time is over; it is not cut.
    assert!(bench.dir.join("started").exists());
    assert!(!bench.dir.join("first-done").exists());
    bench.write("go", "");
    let rest: Vec<String> = told.map_while(Result::ok).collect();
    let gave = Bench::gave(child.wait_with_output().unwrap());
    assert_eq!(gave.code, 4, "{}\n{rest:?}", gave.all());
    assert!(bench.dir.join("first-done").exists(), "it was not cut");
    assert!(!bench.dir.join("second").exists());
    let gave = bench.run(&["run", "resume"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert!(bench.dir.join("second").exists());
}
