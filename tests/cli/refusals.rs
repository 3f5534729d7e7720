//! Bad input and missing consent: a clear error, the right code, the next command, and nothing done.

use crate::bench::Bench;

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
