//! What commands print when nothing is wrong.

use crate::bench::Bench;

#[test]
fn version_and_help_go_to_stdout() {
    let bench = Bench::new();
    let version = bench.run(&["--version"]);
    assert_eq!((version.code, version.err.as_str()), (0, ""));
    assert!(version.out.starts_with("summitctl 0."));
    let help = bench.run(&["help"]);
    assert_eq!(help.code, 0);
    assert!(help.out.contains("golden-path"), "{}", help.out);
    assert!(
        help.out.lines().all(|l| l.chars().count() <= 100),
        "help fits a terminal"
    );
}

#[test]
fn lists_of_nothing_say_so_and_name_the_next_command() {
    let bench = Bench::new();
    for (args, text) in [
        (&["run", "list"][..], "No runs yet."),
        (&["lease", "show"], "No leases are held."),
        (&["context", "list"], "summitctl sandbox up"),
    ] {
        let gave = bench.run(args);
        assert_eq!(gave.code, 0, "{}", gave.all());
        assert!(gave.out.contains(text), "{}", gave.all());
    }
    let json = bench.run(&["run", "list", "--output", "json"]).json();
    assert_eq!(json["command"], "run list");
    assert_eq!(json["result"]["runs"], serde_json::json!([]));
}

#[test]
fn the_environment_of_a_pod_is_a_context() {
    let bench = Bench::new()
        .env(
            "DATABASE_URL",
            "postgres://app:canary-Pw-4711@db.internal:5432/app",
        )
        .env("NEO4J_URI", "bolt://graph.internal:7687")
        .env("NEO4J_USERNAME", "neo4j")
        .env("NEO4J_PASSWORD", "canary-Graph-4711");
    for format in ["human", "json"] {
        let gave = bench.run(&["config", "show", "--output", format]);
        assert_eq!(gave.code, 0, "{}", gave.all());
        assert!(gave.out.contains("DATABASE_URL"), "{}", gave.out);
        assert!(!gave.all().contains("canary-"), "{}", gave.all());
    }
    let list = bench.run(&["context", "list", "-o", "json"]).json();
    assert_eq!(list["result"]["contexts"][0]["context"], "env");
    assert_eq!(list["result"]["contexts"][0]["tier"], "production");
}

#[test]
fn config_check_finds_weak_secrets_and_shows_none() {
    let bench = Bench::new();
    let file = bench.write(
        ".env",
        "DATABASE_URL=postgres://app:canary-Pw-4711@localhost/app\nJWT_SECRET=changeme\nSESSION_SECRET=canary-0123456789abcdef0123456789abcdef\n",
    );
    let gave = bench.run(&[
        "config",
        "check",
        "--env-file",
        file.to_str().unwrap(),
        "--tier",
        "production",
    ]);
    assert_eq!(gave.code, 1, "{}", gave.all());
    assert!(gave.out.contains("JWT_SECRET"), "{}", gave.out);
    assert!(!gave.all().contains("canary-"), "{}", gave.all());
    let json = bench
        .run(&[
            "config",
            "check",
            "--env-file",
            file.to_str().unwrap(),
            "-o",
            "json",
        ])
        .json();
    assert_eq!(json["exit-code"], 1);
    assert!(json["result"]["totals"]["failed"].as_u64().unwrap() > 3);
}

#[test]
fn init_writes_references_and_never_overwrites() {
    let bench = Bench::new().env(
        "DATABASE_URL",
        "postgres://app:canary-Pw-4711@db.internal/app",
    );
    assert_eq!(bench.run(&["init"]).code, 0);
    let text = std::fs::read_to_string(bench.dir.join("summitctl.toml")).unwrap();
    assert!(text.contains("env:") && !text.contains("canary-"), "{text}");
    let again = bench.run(&["init"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("exists already"), "{}", again.err);
}

#[test]
fn keygen_makes_a_pair_once() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["evidence", "keygen", "key.pem"]).code, 0);
    let again = bench.run(&["evidence", "keygen", "key.pem"]);
    assert_ne!(again.code, 0);
    assert!(again.err.contains("key.pem"), "{}", again.err);
}

#[test]
fn the_built_in_runbooks_pass_the_lint_against_the_real_step_kinds() {
    let bench = Bench::new();
    let gave = bench.run(&["runbook", "lint"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert!(gave.out.contains("0 errors"), "{}", gave.out);
    let list = bench.run(&["runbook", "list", "-o", "json"]).json();
    let names: Vec<&str> = list["result"]["runbooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["runbook"].as_str().unwrap())
        .collect();
    for wanted in [
        "golden-path",
        "smoke",
        "daily-backup",
        "dr-drill",
        "restore",
        "database-migration-failed",
    ] {
        assert!(names.contains(&wanted), "{names:?}");
    }
}

#[test]
fn what_a_killed_run_left_running_is_named() {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.p]\ntier = \"staging\"\n[contexts.p.redis]\nhost = \"127.0.0.1\"\nport = 1\n",
    );
    let row = |gave: &crate::bench::Gave| gave.out.contains("scratch");
    assert!(!row(&bench.run(&["status"])), "nothing is left");
    let left = bench.dir.join("state/scratch/20261121T030405Z-0000-redis");
    std::fs::create_dir_all(left).unwrap();
    let status = bench.run(&["status", "-o", "json"]).json();
    let rows = status["result"]["rows"].as_array().unwrap().clone();
    let row = rows.iter().find(|r| r["subject"] == "scratch").unwrap();
    assert_eq!(row["outcome"], "degraded");
    assert!(
        row["detail"]
            .to_string()
            .contains("`20261121T030405Z-0000` (redis)")
    );
    let next = row["next"].as_str().unwrap();
    assert!(next.contains("backup verify newest --level 3 --context p"));
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.out.contains(next), "{}", doctor.out);
}
