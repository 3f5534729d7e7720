//! `restore --can-i` names what would stop a restore: the wrong key, an extension that the server lacks, a program that is too
//! old. That a disk is too small is seen with the other faults of disks.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::poison::configure;
use crate::postgres::{scratch_of, sql};
use crate::program::{Program, said};
use crate::shared;

/// Each check's outcome with its detail and hints.
fn asked(program: &Program, output: std::process::Output, code: i32) -> BTreeMap<String, Value> {
    let output = program.keep(output);
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let document = shared::document("restore", &text, code);
    shared::are_explained(&document);
    let groups = document["result"]["groups"].as_array().unwrap().iter();
    let checks = groups.flat_map(|group| group["checks"].as_array().unwrap());
    let by_id = checks.map(|check| (check["id"].as_str().unwrap().to_owned(), check.clone()));
    by_id.collect()
}

fn says(checks: &BTreeMap<String, Value>, id: &str, outcome: &str, words: &[&str]) {
    let check = checks
        .get(id)
        .unwrap_or_else(|| panic!("no {id}: {checks:#?}"));
    assert_eq!(check["outcome"], outcome, "{check:#}");
    let text = check.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in {check:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_the_server_lacks_and_a_wrong_key_are_found_before_the_restore() {
    let (_folder, server) = scratch_of(15).await;
    let (_other_folder, other) = scratch_of(18).await;
    let program = Program::bare("can-i-not");
    let admin = server.target();
    sql(&admin, "CREATE DATABASE app").await;
    let app = admin.with_database("app");
    sql(
        &app,
        "CREATE EXTENSION pg_trgm; CREATE TABLE t (w text); INSERT INTO t VALUES ('a')",
    )
    .await;
    sql(&other.target(), "CREATE DATABASE app").await;
    configure(&program, &server);
    let config = program.dir.join("summitctl.toml");
    let mut text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(program.dir.join("other"), other.password.expose()).unwrap();
    text.push_str(&format!(
        "[contexts.newer]\ntier = \"staging\"\n[contexts.newer.postgres]\n\
         url = \"postgres://{}@127.0.0.1:{}/app?sslmode=disable\"\npassword = \"file:other\"\n",
        other.user, other.port
    ));
    text = text.replace("version = 1\n", "version = 1\ndefault-context = \"p\"\n");
    std::fs::write(&config, text).unwrap();
    program.ok(&["backup", "create", "--yes"]);
    let runs = program.runs().len();
    let can = ["restore", "newest", "--can-i", "--output", "json"];

    // The server itself has it.
    let checks = asked(&program, program.call(&can, None), 0);
    says(&checks, "restore.extensions", "passed", &["`pg_trgm`"]);
    let into = [&can[..], &["--into", "newer", "--as", "copy"]].concat();
    let checks = asked(&program, program.call(&into, None), 1);
    let words = [
        "the server does not have `pg_trgm`",
        "Install the extension's package",
    ];
    says(&checks, "restore.extensions", "failed", &words);
    for id in ["restore.reads-backup", "restore.server", "restore.tools"] {
        says(&checks, id, "passed", &[]);
    }
    let failed = checks.values().filter(|check| check["outcome"] == "failed");
    assert_eq!(failed.count(), 1, "{checks:#?}");
    // The restore itself would have failed.
    let copy = [
        "restore", "newest", "--into", "newer", "--as", "copy", "--yes",
    ];
    let output = program.call(&copy, None);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("pg_trgm"), "{}", said(&output));
    program.ok(&["run", "abort"]);

    // Somebody else's key.
    let stranger = age::x25519::Identity::generate().to_string();
    let stranger = age::secrecy::ExposeSecret::expose_secret(&stranger).to_owned();
    std::fs::write(program.dir.join("operator.age"), &stranger).unwrap();
    let checks = asked(&program, program.call(&can, None), 1);
    says(&checks, "restore.reads-backup", "failed", &["identity"]);
    says(
        &checks,
        "restore.server",
        "not-evaluated",
        &["the backup cannot be read"],
    );
    assert!(!program.printed().contains(stranger.trim()));
    assert_eq!(program.runs().len(), runs + 1, "looking is no run");
}

/// Hides every newer program than the distribution's, in the mount namespace of this shell.
const ONLY_OLD_PROGRAMS: &str = r#"
    for dir in /var/cache/summitctl/servers /usr/lib/postgresql/16 /usr/lib/postgresql/17 /usr/lib/postgresql/18; do
        [ ! -d "$dir" ] || mount -t tmpfs tmpfs "$dir"
    done
    export PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin XDG_CACHE_HOME="$PWD/no-cache"
    exec "$0" "$@"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_older_than_the_dump_is_found_before_the_restore() {
    let (_folder, server) = scratch_of(18).await;
    let program = Program::bare("can-i-old");
    let admin = server.target();
    sql(&admin, "CREATE DATABASE app").await;
    sql(&admin.with_database("app"), "CREATE TABLE t (n int)").await;
    configure(&program, &server);
    program.ok(&["backup", "create", "--yes"]);
    let can = ["restore", "newest", "--can-i", "--output", "json"];
    let checks = asked(&program, program.call(&can, None), 0);
    says(&checks, "restore.tools", "passed", &["pg_restore"]);
    let root = rustix::process::geteuid().is_root();
    let outer = if root { "--mount" } else { "-rm" };
    let outer = ["unshare", outer, "sh", "-euc", ONLY_OLD_PROGRAMS];
    let output = program.command_in(&outer, &can).output().unwrap();
    let checks = asked(&program, output, 1);
    let words = ["pg_restore", "is version 15", "18", "postgresql-client-18"];
    says(&checks, "restore.tools", "failed", &words);
    says(&checks, "restore.reads-backup", "passed", &[]);
}
