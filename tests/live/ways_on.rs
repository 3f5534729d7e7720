//! Where somebody stands after something went wrong: the next command that is named is the one that leads on.

use crate::program::{Program, said};

const HERE: [&str; 2] = ["--context", "sandbox"];

fn with<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &HERE].concat()
}

/// The row of `status` about a subject, with its next command.
fn row(program: &Program, subject: &str) -> Option<(String, String, String)> {
    let status = program.json(&with(&["status"]));
    let rows = status["rows"].as_array().unwrap().clone();
    let row = rows.iter().find(|r| r["subject"] == subject)?;
    let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    Some((word("outcome"), word("detail"), word("next")))
}

#[test]
fn each_dead_end_has_a_way_on() {
    let program = Program::start("ways-on");
    program.ok(&with(&["backup", "create", "--yes"]));
    a_held_migration_lock_is_in_the_status(&program);
    scratch_servers_of_a_killed_verification_are_named(&program);
    an_unpinned_target_is_pinned_before_the_run_goes_on(&program);
}

fn a_held_migration_lock_is_in_the_status(program: &Program) {
    let (outcome, detail, _) = row(program, "migration").unwrap();
    assert_eq!((&*outcome, &*detail), ("passed", "no lock is held"));
    let broke = said(&program.ok(&["sandbox", "break", "migration-lock"]));
    let show = "summitctl migrate lock show --context sandbox";
    assert!(broke.contains(show), "{broke}");
    let (outcome, detail, next) = row(program, "migration").unwrap();
    assert_eq!((&*outcome, &*next), ("degraded", show), "{detail}");
    for part in [
        "Liquibase's `app:public.databasechangeloglock:1` is held by db-migrate-",
        " since ",
        "holder: unknown",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    program.ok(&["sandbox", "mend", "migration-lock"]);
    assert_eq!(row(program, "migration").unwrap().0, "passed");
}

fn scratch_servers_of_a_killed_verification_are_named(program: &Program) {
    assert_eq!(row(program, "scratch"), None);
    let verify = with(&["backup", "verify", "newest", "--level", "3", "--yes"]);
    assert!(program.killed_when(&verify, |_| program.scratch_runs("postgres")));
    assert!(program.scratch_runs("postgres"), "it outlives its maker");
    let run = program.open_runs().remove(0);
    let resume = format!("summitctl run resume {run} --context sandbox");
    let (outcome, detail, next) = row(program, "scratch").unwrap();
    assert_eq!((&*outcome, &next), ("degraded", &resume));
    assert!(
        detail.contains(&run) && detail.contains("postgres"),
        "{detail}"
    );
    let doctor = said(&program.call(&with(&["doctor"]), None));
    assert!(
        doctor.contains(&format!("End them with `{resume}`")),
        "{doctor}"
    );

    // Whoever verifies again is told; what belongs to a run that can go on is its own.
    let again = said(&program.ok(&verify));
    assert!(
        again.contains("was cut off") && again.contains(&resume),
        "{again}"
    );
    assert!(program.scratch_runs("postgres"), "it is the other run's");
    program.ok(&["run", "abort", &run]);
    assert!(program.scratch().is_empty(), "{:?}", program.scratch());

    // Of a run that nobody can go on with, the next verification ends what is left.
    assert!(program.killed_when(&verify, |_| program.scratch_runs("postgres")));
    let run = program.open_runs().remove(0);
    std::fs::remove_dir_all(program.dir.join("runs").join(&run)).unwrap();
    let again = said(&program.ok(&verify));
    let told = format!("removed the scratch servers and data that run `{run}`");
    assert!(again.contains(&told), "{again}");
    assert!(program.scratch().is_empty(), "{:?}", program.scratch());
    assert_eq!(row(program, "scratch"), None);
}

fn an_unpinned_target_is_pinned_before_the_run_goes_on(program: &Program) {
    let sandbox = program.dir.join("sandbox");
    let text = std::fs::read_to_string(sandbox.join("summitctl.toml")).unwrap();
    let place = sandbox.to_str().unwrap();
    let text = text
        .replace("contexts.sandbox", "contexts.other")
        .replace(
            "default-context = \"sandbox\"",
            "default-context = \"other\"",
        )
        .replace("file:", &format!("file:{place}/"))
        .replace(
            "path = \"repository\"",
            &format!("path = \"{place}/repository\""),
        )
        .replace("[\"keys/", &format!("[\"{place}/keys/"))
        .replace("dir = \"evidence\"", &format!("dir = \"{place}/evidence\""))
        .replace("\"platform.env\"", &format!("\"{place}/platform.env\""));
    std::fs::write(program.dir.join("summitctl.toml"), text).unwrap();
    let backup = format!("backup={}", program.backups()[0]);
    let run = [
        "runbook",
        "run",
        "restore-one-service",
        "--param",
        "store=redis",
        "--param",
        &backup,
        "--confirm",
        "other",
        "--yes",
        "--context",
        "other",
    ];
    let stopped = program.call(&run, None);
    let text = said(&stopped);
    assert_eq!(stopped.status.code(), Some(3), "{text}");
    let run = program.open_runs().remove(0);
    let resume = format!("summitctl run resume {run} --context other");
    let pin = "next      summitctl context pin --context other";
    let on = format!("{pin}\nthen      {resume}");
    assert!(text.contains(&on), "{text}");
    let shown = said(&program.ok(&["run", "show", &run]));
    assert!(shown.contains(&on), "{shown}");
    program.ok(&["context", "pin", "--yes", "--context", "other"]);
    program.ok(&["run", "resume", &run, "--context", "other"]);
}
