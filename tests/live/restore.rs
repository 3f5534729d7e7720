//! Restores into another context's servers, and the way back from one in place; the data are compared row by row.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::json;
use sqlx::{Connection as _, Row as _};
use summitctl::sandbox::servers::{postgres, redis as redis_server};
use summitctl::wait::{Deadline, Look, poll};

use super::program::{Program, said};

#[tokio::test]
async fn into_other_servers_and_back_again() {
    let journey = Program::start("restore");
    let here = ["--context", "sandbox"];
    let with = |words: &[&'static str]| -> Vec<&'static str> { [words, &here].concat() };
    journey.ok(&with(&["backup", "create", "--yes"]));

    // Other servers, with a configuration of their own and no repository.
    let (db, cache) = (
        journey.dir.join("other-pg"),
        journey.dir.join("other-redis"),
    );
    let other = postgres::start(&db, &postgres::Options::scratch(None))
        .await
        .unwrap();
    let other_redis = redis_server::start(&cache, &redis_server::Options::scratch())
        .await
        .unwrap();
    std::fs::write(
        journey.dir.join("summitctl.toml"),
        format!(
            "version = 1\n[contexts.other]\ntier = \"staging\"\n\
             [contexts.other.postgres]\nurl = \"postgres://{}@127.0.0.1:{}/{}\"\npassword = \"file:other-pg/password\"\n\
             [contexts.other.redis]\nurl = \"redis://127.0.0.1:{}\"\npassword = \"file:other-redis/password\"\n",
            other.target().user,
            other.port,
            other.target().database,
            other_redis.port
        ),
    )
    .unwrap();
    let into = with(&["restore", "newest", "--into", "other", "--confirm", "other"]);
    let refused = journey.call(&into, None);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("--without-safety-backup"), "{text}");
    let reason = ["--without-safety-backup", "a new machine, nothing on it"];
    // The name of the context the backup is from is not consent to replace another one's data.
    let wrong = [
        &with(&[
            "restore",
            "newest",
            "--into",
            "other",
            "--confirm",
            "sandbox",
        ])[..],
        &reason,
    ]
    .concat();
    assert_eq!(journey.code(&wrong), 3);
    journey.ok(&[&into[..], &reason].concat());

    let mut live = journey.postgres().await;
    let mut copy = sqlx::PgConnection::connect_with(&other_options(&other.target()))
        .await
        .unwrap();
    same(&rows(&mut live).await, &rows(&mut copy).await);
    let keys = |target: summitctl::providers::redis::Target| async move {
        let mut c = ::redis::Client::open(format!(
            "redis://:{}@{}:{}/",
            target.password.as_ref().unwrap().expose(),
            target.host,
            target.port
        ))
        .unwrap()
        .get_multiplexed_async_connection_with_config(&crate::program::patient())
        .await
        .unwrap();
        let mut keys: Vec<String> = c.keys("*").await.unwrap();
        keys.sort();
        keys
    };
    assert!(keys(other_redis.target()).await.len() > 1000);
    drop(copy);
    postgres::stop(&db).await.unwrap();
    redis_server::stop(&cache).await.unwrap();

    // In place, then on with the work, and back.
    let before = rows(&mut live).await;
    sqlx::raw_sql(
        "SET ROLE app; CREATE TABLE written_before (n int); INSERT INTO written_before VALUES (1), (2)",
    )
    .execute(&mut live)
    .await
    .unwrap();
    drop(live);
    let plan = said(&journey.ok(&with(&["restore", "newest", "--plan-only"])));
    for part in [
        "what it replaces:",
        "`app` now:",
        "`neo4j` now:",
        "rows (estimated",
        "not in the backup: table public.written_before",
        "free disk:",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    assert!(
        !plan.contains("estimated from"),
        "nothing was loaded: {plan}"
    );
    let done = said(&journey.ok(&with(&["restore", "newest", "--confirm", "sandbox"])));
    assert!(done.contains("must reconnect"), "{done}");
    let plan = said(&journey.ok(&with(&["restore", "newest", "--plan-only"])));
    assert!(plan.contains("estimated from 1 run"), "{plan}");
    let plan = journey.json(&with(&["restore", "newest", "--plan-only"]));
    let steps = plan["plan"]["steps"].as_array().unwrap();
    let load = steps.iter().find(|s| s["id"] == "load-postgres").unwrap();
    let preview = &load["forecast"]["shown"]["preview"];
    assert_eq!(preview["estimate"]["runs"], 1, "{preview}");
    assert!(
        preview["free-space"]["bytes"].as_u64() > Some(0),
        "{preview}"
    );
    assert_eq!(preview["live"]["only-here"], json!([]), "{preview}");
    assert_eq!(preview["live"]["only-in-backup"], json!([]), "{preview}");
    let mut live = journey.postgres().await;
    same(&rows(&mut live).await, &before);
    sqlx::raw_sql(
        "SET ROLE app; CREATE TABLE written_since (n int); INSERT INTO written_since VALUES (1), (2), (3); \
         UPDATE written_since SET n = 9 WHERE n = 1; DELETE FROM written_since WHERE n = 2",
    )
    .execute(&mut live)
    .await
    .unwrap();
    live.close().await.unwrap();
    let undo = with(&["restore", "--undo", "--plan-only"]);
    let deadline = Deadline::after(Duration::from_secs(20));
    // The server counts what a session wrote when the session has ended, which takes its moment.
    let plan = poll(
        "the counters",
        deadline,
        Duration::from_millis(300),
        async || {
            let plan = said(&journey.ok(&undo));
            Ok(if plan.contains("public.written_since: +3 ~1 -1") {
                Look::Ready(plan)
            } else {
                Look::NotYet(plan)
            })
        },
    )
    .await
    .unwrap();
    for part in [
        "written since the restore:",
        "which-stay-in app_summitctl_restore_",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let undo = with(&["restore", "--undo", "--confirm", "sandbox"]);
    // Killed in the middle of the way back, it goes on.
    let killed = journey.call(&undo, Some("after:9"));
    assert_eq!(killed.status.code(), None);
    let resumed = journey.json(&["run", "resume"]);
    let ended = resumed["report"]["steps"].as_array().unwrap();
    let back = ended.iter().find(|s| s["id"] == "swap-back-postgres");
    let written = &back.unwrap()["observed"]["written-since"];
    let table =
        json!([{"table": "public.written_since", "inserted": 3, "updated": 1, "deleted": 1}]);
    assert_eq!(written["tables"], table, "{written}");
    let mut live = journey.postgres().await;
    let mut expected = before.clone();
    expected.insert(
        "public.written_before".into(),
        vec!["(1)".into(), "(2)".into()],
    );
    same(&rows(&mut live).await, &expected);
    let databases: Vec<String> = sqlx::query_scalar("SELECT datname::text FROM pg_database")
        .fetch_all(&mut live)
        .await
        .unwrap();
    assert!(
        databases.iter().any(|d| d.contains("_summitctl_restore_")),
        "what was written since is kept: {databases:?}"
    );
    let again = journey.call(&undo, None);
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(3), "{text}");
    assert!(text.contains("taken back already"), "{text}");
    journey.ok(&with(&["smoke"]));
    journey.ok(&with(&["evidence", "verify"]));

    // Another sandbox after this one is not taken for it.
    journey.ok(&["sandbox", "down", "--purge", "--confirm", "sandbox"]);
    journey.ok(&["sandbox", "up"]);
    journey.ok(&with(&["context", "pin", "--yes"]));
}

fn other_options(
    target: &summitctl::providers::postgres::Target,
) -> sqlx::postgres::PgConnectOptions {
    sqlx::postgres::PgConnectOptions::new()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .password(target.password.as_ref().unwrap().expose())
        .database(&target.database)
}

/// Every row of every table, as text.
pub async fn rows(session: &mut sqlx::PgConnection) -> BTreeMap<String, Vec<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname <> 'summitctl' AND n.nspname !~ '^pg_' ORDER BY 1",
    )
    .fetch_all(&mut *session)
    .await
    .unwrap();
    let mut all = BTreeMap::new();
    for table in tables {
        let sql = format!("SELECT t::text AS r FROM {table} t ORDER BY 1");
        let found = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut *session)
            .await
            .unwrap();
        all.insert(table, found.iter().map(|r| r.get("r")).collect());
    }
    all
}

/// Table by table; names the first that differs.
pub fn same(left: &BTreeMap<String, Vec<String>>, right: &BTreeMap<String, Vec<String>>) {
    let tables = |all: &BTreeMap<String, Vec<String>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(tables(left), tables(right));
    for (table, rows) in left {
        let other = &right[table];
        let differing = rows.iter().zip(other).find(|(a, b)| a != b);
        assert_eq!(differing, None, "{table}");
        assert_eq!(rows.len(), other.len(), "{table}");
    }
}
