//! A lock of neo4j-migrations that comes back with a backup: told when the backup is taken, found again in what was restored, and
//! cleared there, killed on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use summitctl::providers::neo4j::migrations::{lock, prove_takeable};

use super::migrations::{Bench, CONSTRAINT, ID, TAKE};
use super::query;
use crate::program::said;

/// Gives the context `g` a repository in a folder.
fn with_repository(bench: &Bench) {
    let dir = &bench.program.dir;
    let identity = age::x25519::Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    fs::write(dir.join("operator.age"), secret).unwrap();
    let path = dir.join("summitctl.toml");
    let config = fs::read_to_string(&path).unwrap();
    let more = format!(
        "[contexts.g.repository]\npath = \"repository\"\nsecret = \"file:keys/secret\"\nrecipients = [\"{}\"]\n\
         identity = \"file:operator.age\"\nsigning-key = \"file:key.pem\"\n[contexts.g.evidence]\nsigning-key = \"file:key.pem\"\n",
        identity.to_public()
    );
    fs::write(&path, config + &more).unwrap();
    for name in ["operator.age", "password"] {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    bench.program.ok(&["evidence", "keygen", "key.pem"]);
    bench
        .program
        .ok(&["backup", "init", "--new-secret", "--yes"]);
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

const HELD: &str = "the migration lock of neo4j-migrations (`(:__Neo4jMigrationsLock)`) is held";

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_came_with_a_backup_is_told_and_cleared_in_what_was_restored() {
    let bench = Bench::new("graph-poison").await;
    let (program, target) = (&bench.program, bench.target());
    query(&target, CONSTRAINT).await;
    query(&target, "UNWIND range(1, 50) AS n CREATE (:Person {id: n})").await;
    with_repository(&bench);
    let clean = said(&program.ok(&["backup", "create", "--yes"]));
    assert!(!clean.contains("comes back"), "{clean}");
    query(&target, TAKE).await;
    let made = said(&program.ok(&["backup", "create", "--yes"]));
    has(&made, &[HELD, "`--mend`"]);
    let listed = program.json(&["backup", "list"]);
    let noted = &listed["backups"][0]["troubles"][0];
    assert_eq!(
        (&noted["kind"], &noted["tool"]),
        (&"lock".into(), &"neo4j-migrations".into()),
        "{listed:#}"
    );
    assert_eq!(
        listed["backups"][1]["troubles"],
        serde_json::json!([]),
        "{listed:#}"
    );
    has(&said(&program.ok(&["backup", "list"])), &["! lock held"]);
    has(&said(&program.ok(&["backup", "show"])), &[HELD]);

    // As it is, it comes back, and the next command is named.
    let plan = said(&program.ok(&["restore", "newest", "--plan-only"]));
    has(&plan, &["troubles in the backup:", HELD]);
    let unsaved = ["--without-safety-backup", "a test", "--confirm", "g"];
    let done = said(&program.ok(&[&["restore", "newest"][..], &unsaved].concat()));
    let next = format!("summitctl migrate lock clear --lock '{ID}' --context g");
    has(&done, &[HELD, &next]);
    let back = lock(&target).await.unwrap().unwrap();
    assert_eq!(back.nodes.len(), 1, "{back:#?}");

    // Planned, shown, and cleared in what was restored; killed at each turn, it goes on.
    let mend = ["restore", "newest", "--mend", "locks"];
    let plan = said(&program.ok(&[&mend[..], &["--plan-only"]].concat()));
    has(
        &plan,
        &["mend-neo4j", "clear it, if it is as it was captured", HELD],
    );
    let other = program.call(
        &["restore", "newest", "--mend", "sequences", "--plan-only"],
        None,
    );
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
    has(&said(&other), &["of Neo4j about `locks` alone"]);
    let restore = [&mend[..], &unsaved].concat();
    assert!(program.killed_at(&restore, "\"step\":\"mend-neo4j\""));
    let run = program.open_runs().remove(0);
    let resume = ["run", "resume", run.as_str()];
    let mut kills = 0;
    for _ in 0..20 {
        let last = program.records(&run).last().unwrap().clone();
        if last["kind"] == "ended" {
            break;
        }
        // The effect is made, and its record is not.
        let point = if last["kind"] == "intent" {
            "before:2"
        } else {
            "after:1"
        };
        match program.call(&resume, Some(point)).status.code() {
            None => kills += 1,
            Some(0) => break,
            other => panic!("{other:?}: {}", said(&program.call(&resume, None))),
        }
    }
    assert!(kills > 0);
    let shown = program.json(&["run", "show", &run]);
    let steps = shown["steps"].as_array().unwrap();
    let seen = &steps.iter().find(|s| s["id"] == "mend-neo4j").unwrap()["observed"];
    has(
        &seen["mended"].to_string(),
        &["cleared", "neo4j-migrations"],
    );
    assert_eq!(
        seen["before"][0]["properties"]["id"], noted["key"],
        "{seen:#}"
    );
    let free = lock(&target).await.unwrap();
    assert!(free.is_none_or(|l| l.nodes.is_empty()));
    prove_takeable(&target, &[]).await.unwrap();
    program.ok(&["evidence", "verify"]);

    // A backup that notes none has nothing to mend.
    let first = listed["backups"][1]["backup"].as_str().unwrap();
    let clean = [&["restore", first, "--mend", "locks"][..], &unsaved].concat();
    let done = said(&program.ok(&clean));
    assert!(!done.contains("mended"), "{done}");
}
