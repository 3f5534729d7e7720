//! What changes in a scratch server behind a proof's back is found, and named as what it is: a row's table, a key and its entry, a
//! property, a relationship.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection as _;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::bolt::{Begin, Connection};
use summitctl::providers::neo4j::{Target, Tls};
use summitctl::sandbox::servers::Record;
use summitctl::secret::Secret;
use summitctl::wait::Deadline;

use crate::program::{Program, patient, said};

/// What is written, and must not be shown.
const CANARY: &str = "canary-Changed-3";

/// The record and the password of the scratch server of a kind, as soon as it is there.
async fn scratch(dir: &Path, kind: &str) -> (Record, String) {
    let mut often = tokio::time::interval(Duration::from_millis(2));
    loop {
        often.tick().await;
        let found = std::fs::read_dir(dir).into_iter().flatten().flatten();
        for folder in found.map(|entry| entry.path()) {
            let record = Record::load(&folder).ok().flatten();
            let password = std::fs::read_to_string(folder.join("password"));
            match (record.filter(|r| r.kind == kind && r.alive()), password) {
                (Some(record), Ok(password)) => return (record, password.trim().to_owned()),
                _ => continue,
            }
        }
    }
}

/// Changes a row as soon as it is loaded.
async fn a_row(dir: PathBuf) {
    let (record, password) = scratch(&dir, "postgres").await;
    let (port, user) = (record.port, record.user);
    let mut often = tokio::time::interval(Duration::from_millis(2));
    loop {
        often.tick().await;
        let url = format!("postgres://{user}:{password}@127.0.0.1:{port}/app");
        let Ok(mut session) = sqlx::PgConnection::connect(&url).await else {
            continue;
        };
        loop {
            often.tick().await;
            let change = format!(
                "UPDATE accounts SET name = '{CANARY}' WHERE id = (SELECT min(id) FROM accounts)"
            );
            let done = sqlx::query(sqlx::AssertSqlSafe(change))
                .execute(&mut session)
                .await;
            if done.is_ok_and(|done| done.rows_affected() == 1) {
                return;
            }
        }
    }
}

/// Takes an entry out of a stream as soon as it is loaded.
async fn an_entry(dir: PathBuf) {
    let (record, password) = scratch(&dir, "redis").await;
    let port = record.port;
    let mut often = tokio::time::interval(Duration::from_millis(2));
    let client = redis::Client::open(format!("redis://:{password}@127.0.0.1:{port}/0")).unwrap();
    loop {
        often.tick().await;
        let config = patient();
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let Ok(mut connection) = connection.await else {
            continue;
        };
        loop {
            often.tick().await;
            let mut command = redis::cmd("XDEL");
            command.arg("stream:6").arg("1760000000006-2");
            if command.query_async(&mut connection).await == Ok(1) {
                return;
            }
        }
    }
}

/// Changes a node and takes a relationship away as soon as they are loaded.
async fn a_graph(dir: PathBuf) {
    let (record, password) = scratch(&dir, "neo4j").await;
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: record.port,
        tls: Tls::Off,
        user: "neo4j".to_owned(),
        password: Some(Secret::new(password)),
        database: None,
    };
    let changes = [
        format!("MATCH (p:Person) WITH p LIMIT 1 SET p.name = '{CANARY}' RETURN count(p)"),
        "MATCH (:Person)-[r]->() WITH r LIMIT 1 DELETE r RETURN count(r)".to_owned(),
    ];
    let mut often = tokio::time::interval(Duration::from_millis(2));
    for change in changes {
        loop {
            often.tick().await;
            let soon = Deadline::after(Duration::from_secs(60));
            let Ok(mut connection) = Connection::open(&target, soon).await else {
                continue;
            };
            let none = Value::Map(Vec::new());
            let done = connection.query(&change, none, &Begin::write("test")).await;
            connection.close().await;
            if done.is_ok_and(|rows| rows[0][0] == Value::Int(1)) {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proof_finds_is_named() {
    let program = Program::start("changed");
    program
        .redis::<i64>(&["RPUSH", "bull:mail:wait", "1", "2", "3"])
        .await;
    program.ok(&["backup", "create", "--context", "sandbox", "--yes"]);
    a_plan_says_what_comes_back(&program);
    moments_are_apart(&program);
    let verify = [
        "backup",
        "verify",
        "newest",
        "--level",
        "3",
        "--context",
        "sandbox",
        "--yes",
    ];
    let dir = program.dir.join("scratch");
    let changes = [
        tokio::spawn(a_row(dir.clone())),
        tokio::spawn(an_entry(dir.clone())),
        tokio::spawn(a_graph(dir)),
    ];
    let output = tokio::task::block_in_place(|| program.call(&verify, None));
    let text = said(&output);
    for change in changes {
        assert!(change.is_finished(), "{text}");
        change.await.unwrap();
    }
    assert_eq!(output.status.code(), Some(1), "{text}");
    for named in [
        "`postgres/app/table/public.accounts`: ",
        "key `stream:6` in database 0: ",
        "1760000000006-2",
        "its property `name` differs",
        "is in the backup and not on the server",
    ] {
        assert!(text.contains(named), "{named}: {text}");
    }
    let everything = program.printed();
    assert!(!everything.contains(CANARY), "{everything}");
    // What was found is on record, and the backup that failed its proof is not the one that counts.
    let shown = said(&program.ok(&["backup", "show", "newest", "--context", "sandbox"]));
    assert!(shown.contains("level 3 failed"), "{shown}");
}

/// Queues with work in them, and what does not come back as it was, are on the screen before anybody consents.
fn a_plan_says_what_comes_back(program: &Program) {
    let plan = ["restore", "newest", "--context", "sandbox", "--plan-only"];
    let text = said(&program.ok(&plan));
    for words in [
        "stop their workers before the restore",
        "BullMQ `mail`: 3 jobs would run again",
        "element ids change",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// Each store has its own point in time, taken side by side, and how far they are apart is measured.
fn moments_are_apart(program: &Program) {
    let shown = program.json(&["backup", "show", "newest", "--context", "sandbox"]);
    let stores = shown["backup"]["contents"]["stores"].as_array().unwrap();
    let moment = |store: &serde_json::Value, key: &str| -> summitctl::time::Instant {
        let captured = &store["captured"];
        captured[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key}: {captured:#}"))
            .parse()
            .unwrap()
    };
    assert_eq!(stores.len(), 3);
    for store in stores {
        assert!(moment(store, "from") <= moment(store, "to"), "{store:#}");
    }
    let text = said(&program.ok(&["backup", "show", "newest", "--context", "sandbox"]));
    let skew = text
        .lines()
        .find(|line| line.trim_start().starts_with("skew"));
    assert!(skew.is_some_and(|line| !line.ends_with(" 0ms")), "{text}");
}
