//! Addresses and passwords that are wrong, and servers that are not the pinned ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use summitctl::sandbox::servers::{self, postgres, redis};

use super::{CREATE, Program, edited, fakes, port, refused, with};

const DOCTOR: &str = "summitctl doctor --context sandbox";

fn edit(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

pub fn wrong_passwords(program: &Program) {
    let wrong = "a-password-that-nobody-set";
    std::fs::write(program.dir.join("sandbox/keys/wrong"), wrong).unwrap();
    for (store, file) in [
        ("postgres", "secrets/operator/password"),
        ("neo4j", "neo4j/password"),
        ("redis", "redis/password"),
    ] {
        let file = format!("file:{file}");
        let flags = edited(program, &[edit(&file, "file:keys/wrong")]);
        let at = format!("127.0.0.1{}", port(program, store));
        let reason = format!("{store}.login-refused");
        let told = [
            at.as_str(),
            &reason,
            "summitctl context show --context sandbox",
            DOCTOR,
        ];
        refused(program, &with(&CREATE, &flags), 7, &told);
    }
    assert!(
        !program.printed().contains(wrong),
        "the wrong one is a secret too"
    );
}

pub fn nobody_there(program: &Program) {
    for store in ["postgres", "neo4j", "redis"] {
        let flags = edited(program, &[(port(program, store), ":1".to_owned())]);
        let reason = format!("{store}.unreachable");
        let told = ["127.0.0.1:1", "refused", &reason, DOCTOR];
        refused(program, &with(&CREATE, &flags), 7, &told);
    }
    let here = format!("127.0.0.1{}/app", port(program, "postgres"));
    let flags = edited(program, &[edit(&here, "nowhere.invalid/app")]);
    let told = ["nowhere.invalid:5432", "postgres.unreachable", DOCTOR];
    refused(program, &with(&CREATE, &flags), 7, &told);
    let flags = edited(program, &[edit("/app?", "/nothing?")]);
    let told = ["no database `nothing`", "postgres.no-database", DOCTOR];
    refused(program, &with(&CREATE, &flags), 7, &told);
}

/// Another server, a clone of the right one, and the right ones with their ports swapped.
pub async fn somebody_else_there(program: &Program) {
    let (pg, cache) = (port(program, "postgres"), port(program, "redis"));
    let flags = edited(
        program,
        &[(pg.clone(), cache.clone()), (cache.clone(), pg.clone())],
    );
    let began = std::time::Instant::now();
    let told = [
        "127.0.0.1",
        "summitctl context show --context sandbox",
        DOCTOR,
    ];
    let output = program.call(&with(&CREATE, &flags), None);
    assert_ne!(output.status.code(), Some(0));
    super::tells(&output, 7, &told);
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());

    let restore = [
        "restore",
        "newest",
        "--confirm",
        "sandbox",
        "--context",
        "sandbox",
    ];
    let pinned = "is not the pinned one";
    let other = program.dir.join("other-redis");
    std::fs::create_dir_all(&other).unwrap();
    copy(&program.dir.join("sandbox/redis/password"), &other);
    let port = servers::free_port().unwrap();
    let record = servers::Record::new("redis", port, "default");
    record.save(&other).unwrap();
    let running = redis::start(&other, &redis::Options::scratch())
        .await
        .unwrap();
    let there = format!(":{}", running.port);
    let flags = edited(program, &[(cache.clone(), there.clone())]);
    for command in [&CREATE[..], &restore] {
        let told = [
            pinned,
            "redis",
            &cache,
            &there,
            "marker",
            "context pin --replace",
        ];
        refused(program, &with(command, &flags), 3, &told);
    }
    redis::stop(&other).await.unwrap();

    // The clone has the original's system identifier and marker: its place gives it away.
    let clone = clone_of_postgres(program);
    let running = postgres::start(&clone, &postgres::Options::default())
        .await
        .unwrap();
    let there = format!(":{}", running.port);
    let flags = edited(program, &[(pg.clone(), there.clone())]);
    let pin = ["context", "pin", "--yes", "--context", "sandbox"];
    for command in [&CREATE[..], &restore, &pin] {
        let told = [pinned, "postgres", "endpoint was", &pg, &there];
        refused(program, &with(command, &flags), 3, &told);
    }
    let output = program.call(&with(&CREATE, &flags), None);
    for same in ["system-identifier was", "marker was"] {
        assert!(
            !super::said(&output).contains(same),
            "it is a clone: {same}"
        );
    }
    postgres::stop(&clone).await.unwrap();
}

/// A copy of the stopped server's folder, as a snapshot of its disk would be; the original runs again afterwards.
fn clone_of_postgres(program: &Program) -> PathBuf {
    program.ok(&["sandbox", "break", "postgres"]);
    let clone = program.dir.join("clone");
    copy(&program.dir.join("sandbox/postgres"), &clone);
    std::fs::remove_file(clone.join(servers::RECORD)).unwrap();
    program.ok(&["sandbox", "up"]);
    clone
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// Fakes that speak the protocol and announce old versions: no such server is to be had.
pub fn too_old(program: &Program) {
    let old = fakes::postgres("9.6.24", 90_624);
    let flags = edited(program, &[(port(program, "postgres"), format!(":{old}"))]);
    let told = [
        "Postgres 9 at",
        "not supported",
        "upgrade",
        "postgres.unsupported-version",
    ];
    refused(program, &with(&CREATE, &flags), 2, &told);
    let old = fakes::redis("4.0.14");
    let flags = edited(program, &[(port(program, "redis"), format!(":{old}"))]);
    let told = [
        "version `4.0.14`",
        "6.0 or later",
        "redis.unsupported-version",
    ];
    refused(program, &with(&CREATE, &flags), 2, &told);
}
