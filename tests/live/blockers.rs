//! Blocking trees of a real Postgres: their roots told, and ended exactly as they were shown.

use std::fs;
use std::time::Duration;

use summitctl::providers::postgres::Target;
use summitctl::providers::postgres::blockers::blockers;
use summitctl::providers::postgres::session::{Access, open};
use summitctl::sandbox::servers::postgres::{Options, start, stop};
use summitctl::wait::{Deadline, Look, poll};

use crate::postgres::{scratch, sql, value};
use crate::program::{Program, said};

async fn until(target: &Target, what: &str, query: &str) {
    poll(
        what,
        Deadline::after(Duration::from_secs(60)),
        Duration::from_millis(100),
        async || {
            let seen = value(target, query).await;
            Ok(if seen.as_deref() == Some("true") {
                Look::Ready(())
            } else {
                Look::NotYet(format!("{seen:?}"))
            })
        },
    )
    .await
    .unwrap();
}

const WAITS: &str =
    "SELECT (count(*) = 1)::text FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_a_blocking_tree_is_ended_as_it_was_shown() {
    let (folder, server) = scratch().await;
    sql(
        &server.target(),
        "ALTER SYSTEM SET max_prepared_transactions = 3",
    )
    .await;
    stop(folder.path()).await.unwrap();
    let server = start(folder.path(), &Options::scratch(None)).await.unwrap();
    sql(&server.target(), "CREATE DATABASE app").await;
    let app = server.target().with_database("app");
    sql(&app, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    let program = Program::bare("blockers");
    fs::write(program.dir.join("password"), server.password.expose()).unwrap();
    let config = format!(
        "version = 1\n[contexts.b]\ntier = \"staging\"\n[contexts.b.postgres]\n\
         url = \"postgres://{}@127.0.0.1:{}/app?sslmode=disable\"\npassword = \"file:password\"\n",
        server.user, server.port
    );
    fs::write(program.dir.join("summitctl.toml"), config).unwrap();
    let call = |words: &[&str]| {
        let output = program.call(&[&["migrate", "blockers"], words].concat(), None);
        (output.status.code(), said(&output))
    };
    assert_eq!(
        call(&["--end-root", "--confirm", "b"]).0,
        Some(0),
        "nobody waits"
    );
    let (code, text) = call(&["--end-root", "4711", "--confirm", "b"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("not the root"), "{text}");

    // A session that somebody forgot, and one that waits for it.
    let mut root = open(&app, Access::AsGiven).await.unwrap();
    let begun = "BEGIN; UPDATE t SET n = 2; SELECT pg_advisory_lock(4711), 'a secret'";
    sqlx::raw_sql(begun).execute(&mut root).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut root)
        .await
        .unwrap();
    let alter = |name: &'static str| {
        let app = app.clone();
        tokio::spawn(
            async move { sql(&app, &format!("ALTER TABLE t ADD COLUMN {name} int")).await },
        )
    };
    let waiter = alter("a");
    until(&app, "a session that waits", WAITS).await;
    let seen = blockers(&app, Duration::ZERO).await.unwrap();
    let lock = seen.advisory.iter().find(|a| a.pid == pid).unwrap();
    assert_eq!(
        (lock.key.as_str(), lock.mode.as_str()),
        ("4711", "ExclusiveLock")
    );
    assert_eq!(seen.waiting_for(pid), 1);
    let (code, text) = call(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains(&format!("--end-root {pid} --context b")),
        "{text}"
    );
    let plan = call(&["--end-root", "--plan-only"]).1;
    assert!(
        plan.contains(&format!("pid {pid} of `app`, begun ")),
        "{plan}"
    );
    assert!(
        plan.contains("waiting for it, directly or behind others: 1"),
        "{plan}"
    );
    assert!(!plan.contains("secret"), "{plan}");
    let (code, text) = call(&["--end-root", "--yes"]);
    assert_eq!(code, Some(3), "it destroys: {text}");
    let (code, text) = call(&["--end-root", &pid.to_string(), "--confirm", "b"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("ended     pid {pid}")), "{text}");
    waiter.await.unwrap();
    assert!(sqlx::raw_sql("COMMIT").execute(&mut root).await.is_err());
    assert_eq!(
        value(&app, "SELECT n::text FROM t").await.as_deref(),
        Some("1")
    );

    // A statement is cancelled first: who waits for a lock keeps the session and what it can still say.
    let mut root = open(&app, Access::AsGiven).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut root)
        .await
        .unwrap();
    let busy = tokio::spawn(async move {
        let sleep = "LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)";
        sqlx::raw_sql(sleep).execute(&mut root).await.unwrap_err()
    });
    let asleep =
        format!("SELECT (wait_event = 'PgSleep')::text FROM pg_stat_activity WHERE pid = {pid}");
    until(&app, "a statement that sleeps", &asleep).await;
    let waiter = {
        let app = app.clone();
        tokio::spawn(async move { sql(&app, "ALTER TABLE t ADD COLUMN c int").await })
    };
    until(&app, "a session that waits", WAITS).await;
    let (code, text) = call(&["--end-root", &pid.to_string(), "--confirm", "b"]);
    assert_eq!(code, Some(0), "{text}");
    waiter.await.unwrap();
    let ended = busy.await.unwrap();
    let code = ended
        .as_database_error()
        .and_then(|e| e.code().map(|c| c.into_owned()));
    assert_eq!(code.as_deref(), Some("57014"), "{ended}");

    // One that holds a lock of the same table, which nobody minds, is no root.
    sql(
        &app,
        "BEGIN; LOCK TABLE t IN ROW SHARE MODE; PREPARE TRANSACTION 'bystander'",
    )
    .await;
    sql(
        &app,
        "BEGIN; UPDATE t SET n = 3; PREPARE TRANSACTION 'order 6'",
    )
    .await;
    let waiter = {
        let app = app.clone();
        tokio::spawn(async move { sql(&app, "CREATE INDEX by_n ON t (n)").await })
    };
    until(&app, "a session that waits", WAITS).await;
    let (_, text) = call(&[]);
    assert!(text.contains("`bystander`"), "{text}");
    assert!(!text.contains("--end-root gid:bystander"), "{text}");
    let (code, text) = call(&["--end-root", "--confirm", "b"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("`order 6`"), "{text}");
    waiter.await.unwrap();
    sql(&app, "ROLLBACK PREPARED 'bystander'").await;

    // A prepared transaction has no session; only its name ends it.
    sql(
        &app,
        "BEGIN; UPDATE t SET n = 3; PREPARE TRANSACTION 'order 7'",
    )
    .await;
    let waiter = alter("b");
    until(&app, "a session that waits", WAITS).await;
    let (_, text) = call(&[]);
    assert!(text.contains("prepared transaction `order 7`"), "{text}");
    assert!(text.contains("waiting for it: 1"), "{text}");
    let plan = call(&["--end-root", "--plan-only"]).1;
    assert!(plan.contains("ROLLBACK PREPARED 'order 7'"), "{plan}");
    let (code, text) = call(&["--end-root", "gid:order 7", "--confirm", "b"]);
    assert_eq!(code, Some(0), "{text}");
    waiter.await.unwrap();
    assert_eq!(
        value(&app, "SELECT n::text FROM t").await.as_deref(),
        Some("1")
    );
    stop(folder.path()).await.unwrap();
}

#[test]
fn a_database_out_of_reach_names_the_next_command() {
    let program = Program::bare("unreachable");
    let port = summitctl::sandbox::servers::free_port().unwrap();
    let config = format!(
        "version = 1\n[contexts.b]\ntier = \"staging\"\n[contexts.b.postgres]\nurl = \"postgres://u@127.0.0.1:{port}/app\"\n"
    );
    fs::write(program.dir.join("summitctl.toml"), config).unwrap();
    for words in [&["lock", "show"][..], &["status"], &["blockers"]] {
        let output = program.call(&[&["migrate"], words].concat(), None);
        assert_eq!(output.status.code(), Some(7), "{}", said(&output));
        assert!(
            said(&output).contains("summitctl doctor --context b"),
            "{}",
            said(&output)
        );
    }
}

/// What answers is told, whatever does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_out_of_reach_hides_no_other() {
    let (_folder, server) = scratch().await;
    let program = Program::bare("half-reachable");
    fs::write(program.dir.join("password"), server.password.expose()).unwrap();
    let nobody = summitctl::sandbox::servers::free_port().unwrap();
    let config = format!(
        "version = 1\n[contexts.b]\ntier = \"staging\"\n[contexts.b.postgres]\n\
         url = \"postgres://{}@127.0.0.1:{}/postgres?sslmode=disable\"\npassword = \"file:password\"\n\
         [contexts.b.neo4j]\nurl = \"bolt://127.0.0.1:{nobody}\"\n",
        server.user, server.port
    );
    fs::write(program.dir.join("summitctl.toml"), config).unwrap();
    let mut root = open(&server.target(), Access::AsGiven).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT 1")
        .execute(&mut root)
        .await
        .unwrap();
    for (words, seen) in [
        (&["blockers"][..], "idle in transaction"),
        (&["status"], "Neo4j was not looked at"),
        (&["lock", "show"], "Neo4j was not looked at"),
    ] {
        let output = program.call(&[&["migrate"], words].concat(), None);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(7), "{text}");
        assert!(text.contains("Neo4j was not looked at"), "{text}");
        assert!(text.contains(seen), "{text}");
    }
    let output = program.call(&["migrate", "lock", "clear", "--yes"], None);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(
        said(&output).contains("no migration lock is seen"),
        "{}",
        said(&output)
    );
}

const MOVES: &str = "app:public.knex_migrations_lock:1";

/// The holder of a migration lock is often only the next in a queue: the end of the queue is what somebody has to look at.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_holder_of_a_migration_lock_waits_for_is_told() {
    let (_folder, server) = scratch().await;
    sql(&server.target(), "CREATE DATABASE app").await;
    let app = server.target().with_database("app");
    sql(
        &app,
        "CREATE TABLE t (n int); CREATE TABLE knex_migrations_lock (index serial PRIMARY KEY, is_locked int);
         INSERT INTO knex_migrations_lock (is_locked) VALUES (0)",
    )
    .await;
    let program = Program::bare("ahead");
    fs::write(program.dir.join("password"), server.password.expose()).unwrap();
    let config = format!(
        "version = 1\n[contexts.b]\ntier = \"staging\"\n[contexts.b.postgres]\n\
         url = \"postgres://{}@127.0.0.1:{}/app?sslmode=disable\"\npassword = \"file:password\"\n",
        server.user, server.port
    );
    fs::write(program.dir.join("summitctl.toml"), config).unwrap();
    let begin = async |statement: &'static str| {
        let mut session = open(&app, Access::AsGiven).await.unwrap();
        sqlx::raw_sql(statement)
            .execute(&mut session)
            .await
            .unwrap();
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut session)
            .await
            .unwrap();
        (session, pid)
    };

    // Nobody is ahead of a holder that does not wait.
    let (mut holder, holding) =
        begin("BEGIN; UPDATE public.knex_migrations_lock SET is_locked = 1").await;
    let lock = program.json(&["migrate", "lock", "show"])["locks"][0].clone();
    assert_eq!(lock["id"], MOVES, "{lock:#}");
    assert_eq!(lock["sessions"][0]["pid"], holding, "{lock:#}");
    assert_eq!(lock["behind"], serde_json::json!([]), "{lock:#}");

    // It waits for one that waits for one that somebody forgot.
    let (root, forgotten) = begin("BEGIN; SELECT 'a secret' FROM public.t").await;
    let (mut middle, between) = begin("BEGIN; SELECT 1").await;
    let middle = tokio::spawn(async move {
        let lock = "LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE; ROLLBACK";
        sqlx::raw_sql(lock).execute(&mut middle).await.unwrap();
    });
    until(&app, "a session that waits", WAITS).await;
    let holder = tokio::spawn(async move {
        let alter = "ALTER TABLE public.t ADD COLUMN more int; COMMIT";
        sqlx::raw_sql(alter).execute(&mut holder).await.unwrap();
    });
    let both = WAITS.replace("= 1", "= 2");
    until(&app, "both sessions that wait", &both).await;
    let lock = program.json(&["migrate", "lock", "show"])["locks"][0].clone();
    let pids: Vec<i64> = lock["behind"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["session"]["pid"].as_i64().unwrap())
        .collect();
    let mut expected = [i64::from(between), i64::from(forgotten)];
    let mut seen: Vec<i64> = pids.clone();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected, "{lock:#}");
    assert_eq!(lock["verdict"], "alive", "{lock:#}");
    let shown = said(&program.ok(&["migrate", "lock", "show"]));
    for word in [
        "  behind ".to_owned(),
        format!("pid {between}"),
        format!("the holder waits for {forgotten}"),
        format!("summitctl migrate blockers --end-root {forgotten} --context b"),
    ] {
        assert!(shown.contains(&word), "no {word:?} in {shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
    let clear = ["migrate", "lock", "clear", "--terminate", "--plan-only"];
    let plan = said(&program.ok(&clear));
    assert!(plan.contains("holder waits for"), "{plan}");

    // With the root gone, the holder goes on by itself.
    let end = format!("migrate blockers --end-root {forgotten} --confirm b");
    program.ok(&end.split(' ').collect::<Vec<_>>());
    middle.await.unwrap();
    holder.await.unwrap();
    drop(root);
    let lock = program.json(&["migrate", "lock", "show"])["locks"][0].clone();
    assert_eq!(lock["row"]["values"]["is_locked"], "1", "{lock:#}");
    assert_eq!(lock["behind"], serde_json::json!([]), "{lock:#}");
}
