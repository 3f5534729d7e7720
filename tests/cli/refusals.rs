//! Bad input and missing consent: a clear error, the right code, the next command, and nothing done.

use crate::bench::Bench;
use crate::documents::{BACKUP, furnished};

#[test]
fn a_typo_on_the_command_line_is_exit_2() {
    let bench = Bench::new();
    let gave = bench.run(&["smoek"]);
    assert_eq!((gave.code, gave.out.as_str()), (2, ""));
    assert!(gave.err.contains("smoke"), "{}", gave.err);
    let json = bench.run(&["smoek", "--output", "json"]);
    assert_eq!(json.code, 2);
    assert_eq!(json.json()["error"]["reason"], "input.invalid");
}

#[test]
fn without_any_context_the_error_says_how_to_get_one() {
    let gave = Bench::new().run(&["smoke"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert!(gave.err.contains("summitctl"), "{}", gave.err);
    assert!(gave.err.contains("hint"), "{}", gave.err);
}

#[test]
fn an_unknown_key_shows_its_line_and_the_nearest_one() {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n\n[contexts.prod]\ntiers = \"production\"\n",
    );
    let gave = bench.run(&["config", "show"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    for part in ["summitctl.toml", "tiers", "`tier`", "4"] {
        assert!(gave.err.contains(part), "`{part}` is missing: {}", gave.err);
    }
}

#[test]
fn wrong_words_about_a_cluster_show_their_line() {
    let bench = Bench::new();
    for (line, said) in [
        ("namespace = \"summit\"", "`namespaces`"),
        (
            "namespaces = [\"My_Namespace\"]",
            "`My_Namespace` cannot be a namespace",
        ),
        ("namespaces = [\"a\", \"a\"]", "named twice"),
        ("selector = \" \"", "`selector` is empty"),
        ("longest-job = \"0s\"", "zero"),
        ("error-lines = -1", "error-lines"),
    ] {
        let text = format!("version = 1\n[contexts.k.kubernetes]\n{line}\n");
        bench.write("summitctl.toml", &text);
        let gave = bench.run(&["kube", "show"]);
        assert_eq!(gave.code, 2, "{}", gave.all());
        for part in ["summitctl.toml:3", said] {
            assert!(gave.err.contains(part), "`{part}` is missing: {}", gave.err);
        }
    }
}

#[test]
fn a_kubeconfig_that_is_missing_or_broken_is_named_and_not_shown() {
    let bench = Bench::new();
    let text = "version = 1\n[contexts.k.kubernetes]\n";
    bench.write("summitctl.toml", text);
    let gave = bench.run(&["kube", "show", "--output", "json"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert_eq!(gave.json()["error"]["reason"], "kubernetes.bad-kubeconfig");
    bench.write(
        "summitctl.toml",
        &format!("{text}kubeconfig = \"cluster.yaml\"\n"),
    );
    let gave = bench.run(&["kube", "show"]);
    assert!(
        gave.code == 2 && gave.err.contains("cluster.yaml"),
        "{}",
        gave.all()
    );
    bench.write(
        "cluster.yaml",
        "users: [{name: a, user: {token: canary-token-77aa}}\n",
    );
    let gave = bench.run(&["kube", "show"]);
    assert!(
        gave.code == 2 && gave.err.contains("cluster.yaml"),
        "{}",
        gave.all()
    );
    assert!(!gave.all().contains("canary-token"), "{}", gave.all());
}

#[test]
fn a_bad_dsn_and_a_missing_secret_name_the_place() {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.p]\ntier = \"staging\"\n[contexts.p.postgres]\nurl = \"postgres://app@db.internal/app\"\npassword = \"env:NOT_SET_ANYWHERE\"\n",
    );
    let gave = bench.run(&["smoke"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert!(gave.err.contains("NOT_SET_ANYWHERE"), "{}", gave.err);
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.p]\ntier = \"staging\"\n[contexts.p.postgres]\nurl = \"mysql://app@db.internal/app\"\n",
    );
    let gave = bench.run(&["smoke"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
}

#[test]
fn nobody_to_ask_means_no_and_the_flag_is_named() {
    let bench = Bench::new();
    let gave = bench.run(&["golden-path"]);
    assert_eq!(gave.code, 3, "{}", gave.all());
    assert!(gave.err.contains("--yes"), "{}", gave.err);
    let purge = bench.run(&["sandbox", "down", "--purge", "--yes"]);
    assert_eq!(purge.code, 3, "{}", purge.all());
    assert!(purge.err.contains("--confirm sandbox"), "{}", purge.err);
    assert!(!bench.dir.join("state/sandbox").exists());
}

#[test]
fn an_unknown_run_and_a_run_id_that_climbs_out_are_refused() {
    let bench = Bench::new();
    for id in ["20261121T030405Z-ffff", "../../etc", ""] {
        let gave = bench.run(&["run", "show", id]);
        assert_eq!(gave.code, 2, "{id}: {}", gave.all());
        assert!(gave.err.contains("summitctl run list"), "{}", gave.err);
    }
}

#[test]
fn a_dead_target_is_exit_7_or_a_failed_probe_with_its_impact() {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.p]\ntier = \"staging\"\n[contexts.p.redis]\nhost = \"127.0.0.1\"\nport = 1\n[contexts.p.gateway]\nurl = \"http://127.0.0.1:1\"\n",
    );
    let gave = bench.run(&["smoke", "-o", "json"]);
    assert_eq!(gave.code, 1, "{}", gave.all());
    let json = gave.json();
    assert_eq!(json["result"]["report"]["outcome"], "failed");
    let text = bench.run(&["smoke"]);
    assert!(
        text.out.contains("impact: Cache and queues"),
        "{}",
        text.out
    );
    let create = bench.run(&["backup", "create", "--yes"]);
    assert_eq!(create.code, 7, "{}", create.all());
}

/// `doctor` asks a store what smoke asked, and of the gateway nothing: neither is where a failed probe leads.
#[test]
fn a_failed_probe_names_what_looks_deeper_than_itself() {
    let bench = Bench::new();
    for (platform, runbook) in [("summit", true), ("other", false)] {
        bench.write(
            "summitctl.toml",
            &format!("version = 1\n[contexts.p]\ntier = \"staging\"\nplatform = \"{platform}\"\n[contexts.p.redis]\nhost = \"127.0.0.1\"\nport = 1\n[contexts.p.gateway]\nurl = \"http://127.0.0.1:1\"\nui-url = \"http://127.0.0.1:1/ui\"\n"),
        );
        let json = bench.run(&["smoke", "-o", "json"]).json();
        let groups = json["result"]["report"]["groups"].as_array().unwrap();
        let checks = groups.iter().flat_map(|g| g["checks"].as_array().unwrap());
        let mut failed = 0;
        for check in checks.filter(|c| c["outcome"] == "failed") {
            failed += 1;
            let hints = check["hints"].to_string();
            assert!(!hints.contains("summitctl doctor"), "{check}");
            let (deeper, told) = match check["id"].as_str().unwrap() {
                "redis.ping" => ("runbook run redis-outage --context p", runbook),
                "network.tcp" => ("curl -isS http://127.0.0.1:1/health", true),
                "ui.page" => ("curl -isS http://127.0.0.1:1/ui", true),
                other => panic!("{other} failed as well"),
            };
            assert_eq!(hints.contains(deeper), told, "{check}");
            let which = hints.contains("summitctl context show --context p");
            assert_eq!(which, check["id"] != "ui.page", "{check}");
        }
        assert_eq!(failed, 3, "{json}");
    }
}

#[test]
fn a_gate_without_a_repository_says_that_nothing_was_evaluated() {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.p]\ntier = \"staging\"\n[contexts.p.redis]\nhost = \"127.0.0.1\"\nport = 1\n",
    );
    let gave = bench.run(&["gate", "run", "-o", "json"]);
    assert_eq!(gave.code, 5, "{}", gave.all());
    let json = gave.json();
    let report = &json["result"]["report"]["error"]["details"]["report"];
    let groups = report["groups"]
        .as_array()
        .unwrap_or_else(|| panic!("{json}"));
    let checks: Vec<_> = groups
        .iter()
        .flat_map(|g| g["checks"].as_array().unwrap())
        .collect();
    for id in [
        "backup.none-missing",
        "backup.fresh",
        "backup.verified",
        "backup.consistent",
        "repository.key-proven",
    ] {
        let check = checks.iter().find(|c| c["id"] == id).unwrap();
        assert_eq!(check["outcome"], "not-evaluated", "{check}");
        let said = check["detail"].as_str().unwrap();
        assert!(said.contains("has no `repository` section"), "{check}");
        assert!(check["hints"].to_string().contains("contexts.p.repository"));
    }
    let later = bench.env("SUMMITCTL_TEST_CLOCK", "2026-11-21T03:05:00.000Z");
    let text = later.run(&["gate", "run"]);
    assert_eq!(text.code, 5, "{}", text.all());
    let (_, stopped) = text.out.split_once("verdict   NO-GO").unwrap();
    let told = stopped.matches("Add `[contexts.p.repository]`").count();
    assert_eq!(told, 1, "each hint once: {stopped}");
}

#[test]
fn a_secret_that_is_missing_says_where_it_is_looked_for_and_what_shows_it() {
    let bench = Bench::new();
    let keys = [
        (
            "secret = \"env:ABSENT\"",
            "Set `ABSENT` where this program runs",
        ),
        ("secret = \"file:absent\"", "chmod 600"),
        ("signing-key = \"file:absent.pem\"", "chmod 600"),
        ("secret = \"file:.\"", "ls -l"),
        ("secret = [\"false\"]", "Run `false` by hand"),
    ];
    for (line, hint) in keys {
        bench.write(
            "summitctl.toml",
            &format!("version = 1\n[contexts.p]\n[contexts.p.repository]\npath = \"r\"\n{line}\n"),
        );
        let gave = bench.run(&["backup", "list"]);
        assert_eq!(gave.code, 2, "{}", gave.all());
        assert!(gave.err.contains(hint), "{line}: {}", gave.err);
        let shown = gave.err.contains("summitctl config show");
        assert_eq!(shown, !line.contains("[\"false"), "{line}: {}", gave.err);
    }
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.p]\n[contexts.p.repository]\nurl = \"s3://bucket\"\n[contexts.p.repository.s3]\naccess-key-id = \"env:ABSENT_ID\"\nsecret-access-key = \"file:absent\"\n",
    );
    let gave = bench.run(&["backup", "list"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert!(gave.err.contains("Set `ABSENT_ID` where"), "{}", gave.err);
}

#[test]
fn what_cannot_name_a_backup_is_exit_2_and_says_how_it_is_written() {
    let bench = Bench::new();
    for (args, parts) in [
        (
            &["backup", "create", "--commit", "abcdef"][..],
            &["7 to 64", "git rev-parse"][..],
        ),
        (
            &["backup", "create", "--commit", "not-a-commit"],
            &["7 to 64"],
        ),
        (&["backup", "create", "--label", ""], &["cannot be a label"]),
        (&["backup", "create", "--label", "safety"], &["newest"]),
        (
            &["backup", "create", "--label", "commit=abcdef0"],
            &["--commit SHA"],
        ),
        (&["restore", "commit:abc"], &["7 to 64"]),
        (
            &["restore", "before:2026-11-20T03:00"],
            &["not a moment", "2026-11-20T03:00Z"],
        ),
        (&["backup", "show", "at:noon"], &["not a moment"]),
        (&["drill", "run", "label:"], &["label:NAME"]),
    ] {
        let gave = bench.run(args);
        assert_eq!(gave.code, 2, "{args:?}: {}", gave.all());
        for part in parts {
            assert!(gave.err.contains(part), "{args:?}: {}", gave.err);
        }
    }
}

#[test]
fn a_copy_has_a_plain_name_and_is_of_postgres_alone() {
    let bench = Bench::new();
    for (args, part) in [
        (&["--as", "a b"][..], "cannot name a new database"),
        (&["--as", "app_summitctl_x"], "the program's own"),
        (&["--as", "copy", "--stores", "redis"], "drill run"),
        (&["--as", "copy", "--without-safety-backup", "none"], "--as"),
        (&["--undo", "--can-i"], "--undo"),
        (&["--table", "public.t"], "--as"),
        (&["--schema", "public"], "--as"),
    ] {
        let args = [
            &["restore"][..],
            if args[0] == "--undo" {
                &[]
            } else {
                &["newest"]
            },
            args,
        ]
        .concat();
        let gave = bench.run(&args);
        assert_eq!(gave.code, 2, "{args:?}: {}", gave.all());
        assert!(gave.err.contains(part), "{args:?}: {}", gave.err);
    }
}

#[test]
fn a_backup_that_is_not_there_is_answered_with_those_that_are() {
    let bench = furnished();
    assert_eq!(bench.run(&["evidence", "keygen", "key.pem"]).code, 0);
    // The context that the sample was made of.
    let text = std::fs::read_to_string(bench.dir.join("summitctl.toml")).unwrap();
    bench.write(
        "summitctl.toml",
        &text.replace("contexts.sample", "contexts.testing"),
    );
    for wanted in [
        "label:pre-deploy",
        "commit:abcdef0",
        "before:2026-11-20",
        "pre-deploy",
    ] {
        let gave = bench.run(&["backup", "show", wanted]);
        assert_eq!(gave.code, 2, "{wanted}: {}", gave.all());
        assert!(
            gave.err.contains("summitctl backup list --context testing"),
            "{wanted}: {}",
            gave.err
        );
    }
    let early = bench.run(&["backup", "show", "before:2026-11-20"]);
    assert!(early.err.contains(BACKUP), "{}", early.err);
    for wanted in [
        "newest",
        "2026",
        "before:2030-01-01",
        "at:2030-01-01T00:00+01:00",
    ] {
        let gave = bench.run(&["backup", "show", wanted, "-o", "json"]);
        assert_eq!(gave.code, 0, "{wanted}: {}", gave.all());
        let summary = &gave.json()["result"]["summary"];
        assert_eq!(summary["backup"], BACKUP, "{wanted}");
        assert!(summary["commit"].is_null(), "an old manifest has none");
    }
}

#[test]
fn a_dump_of_a_store_that_the_context_lacks_is_refused() {
    let bench = Bench::new();
    bench.write(
        "summitctl.toml",
        "version = 1\n[contexts.p]\ntier = \"staging\"\n[contexts.p.redis]\nurl = \"redis://127.0.0.1:1/0\"\n[contexts.p.repository]\npath = \"r\"\n",
    );
    bench.write(
        "app.sql",
        "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE t (n int);\n\n--\n-- PostgreSQL database dump complete\n--\n",
    );
    let gave = bench.run(&[
        "backup",
        "import",
        "app.sql",
        "--as-of",
        "2026-01-01T00:00:00Z",
        "--plan-only",
    ]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    for part in [
        "context `p` has no `postgres` section",
        "summitctl context show",
    ] {
        assert!(gave.err.contains(part), "`{part}` is missing: {}", gave.err);
    }
}
