//! A capture and a restore among the living: schema changes that wait, limits of time, sessions that are ended.

use std::sync::Arc;
use std::time::Duration;

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    MissingRoles, Patience, Target, capture, fingerprints, session,
};
use summitctl::sandbox::servers::RECORD;
use summitctl::sandbox::servers::postgres::{Options, Running, start, stop};
use summitctl::wait::{Deadline, Look, poll};
use tokio::sync::Semaphore;

use super::round_trip::{capture_options, restore_to};
use super::{Disturbed, Folder, database, scratch, sql, value};

/// A sink that takes its time when the first rows come, as a repository does that is far away.
fn slow(pause: Duration) -> Disturbed {
    Disturbed::new(move || async move {
        let _ = tokio::time::timeout(pause, std::future::pending::<()>()).await;
    })
}

/// A sink that takes nothing more until the semaphore is closed.
fn held(until: &Arc<Semaphore>, meanwhile: Option<(&Target, &'static str)>) -> Disturbed {
    let meanwhile = meanwhile.map(|(target, statement)| (target.clone(), statement));
    let until = Arc::clone(until);
    Disturbed::new(move || {
        let (meanwhile, until) = (meanwhile.clone(), Arc::clone(&until));
        async move {
            if let Some((target, statement)) = meanwhile {
                tokio::spawn(async move { sql(&target, statement).await });
            }
            let _ = until.acquire().await;
        }
    })
}

/// Waits until a query answers this.
pub async fn until(target: &Target, question: &str, wanted: &str) {
    poll(
        question,
        Deadline::after(Duration::from_secs(20)),
        Duration::from_millis(100),
        async || {
            Ok(match value(target, question).await {
                Some(answer) if answer == wanted => Look::Ready(()),
                other => Look::NotYet(format!("{other:?}")),
            })
        },
    )
    .await
    .expect("comes about");
}

const ROWS: &str =
    "CREATE TABLE rows AS SELECT n AS id, repeat('x', 200) AS pad FROM generate_series(1, 50000) n;
                    ALTER TABLE rows ADD PRIMARY KEY (id)";

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_gives_way_to_a_schema_change_that_waits_for_it() {
    let (_folder, server) = scratch().await;
    let target = server.target();
    sql(&target, ROWS).await;
    let free = Arc::new(Semaphore::new(0));
    let change = "ALTER TABLE rows ADD COLUMN later int";
    let sink = held(&free, Some((&target, change)));
    let mut options = capture_options(1);
    options.patience.give_way = Duration::from_millis(500);
    let error = capture(&target, &sink, &options)
        .await
        .expect_err("gives way");
    free.close();
    assert_eq!(error.reason().code, "postgres.gave-way", "{error:?}");
    assert!(error.to_string().contains("`rows`"), "{error}");
    // The change goes on, and so does the next capture.
    let column = "SELECT count(*)::text FROM pg_attribute WHERE attrelid = 'rows'::regclass AND attname = 'later'";
    until(&target, column, "1").await;
    capture(&target, &MemoryParts::default(), &capture_options(2))
        .await
        .expect("captures now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_not_held_for_ever() {
    let (_folder, server) = scratch().await;
    let target = server.target();
    sql(&target, ROWS).await;
    let free = Arc::new(Semaphore::new(0));
    let sink = held(&free, None);
    let mut options = capture_options(1);
    options.patience = Patience {
        snapshot: Duration::from_millis(600),
        ..Patience::default()
    };
    let error = capture(&target, &sink, &options)
        .await
        .expect_err("is too slow");
    free.close();
    assert_eq!(
        error.reason().code,
        "postgres.snapshot-too-old",
        "{error:?}"
    );
    // Nothing of it stays behind on the server.
    let open = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'summitctl' AND state LIKE 'idle in transaction%'";
    until(&target, open, "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_limits_of_a_role_end_neither_capture_nor_restore() {
    let (folder, server) = scratch().await;
    let admin = server.target();
    let target = database(&server, ROWS).await;
    // An index that takes longer than the limits on every machine, which no other statement should come near.
    let slow_index = "CREATE FUNCTION slowly(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n FROM pg_sleep(5)';
                      CREATE TABLE deep AS SELECT n, md5(n::text) AS m FROM generate_series(1, 300000) n;
                      CREATE INDEX ON deep (slowly(n)) WHERE n = 1";
    sql(&target, slow_index).await;
    let limits = "ALTER ROLE CURRENT_USER SET statement_timeout = '4s';
                  ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '4s';
                  ALTER ROLE CURRENT_USER SET lock_timeout = '4s'";
    let mut ours = session::open(&admin, session::Access::Write)
        .await
        .expect("opens");
    sql(&admin, limits).await;
    let sink = slow(Duration::from_secs(5));
    capture(&target, &sink, &capture_options(2))
        .await
        .expect("is not bound by the limits");
    restore_to(&server, &folder, "copy", &sink.inner, MissingRoles::Create)
        .await
        .expect("is not bound by the limits");
    // The test's own sessions are bound by nothing.
    let free = sqlx::raw_sql("ALTER ROLE CURRENT_USER RESET ALL");
    free.execute(&mut ours).await.expect("resets");
    let key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'rows'::regclass AND contype = 'p'";
    let copy = admin.with_database("copy");
    assert_eq!(value(&copy, key).await.as_deref(), Some("PRIMARY KEY (id)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_fails_the_capture_and_the_next_one_is_whole() {
    let (_folder, server) = scratch().await;
    let target = server.target();
    sql(&target, ROWS).await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'summitctl' AND query LIKE 'COPY%'";
    let sink = Disturbed::new({
        let target = target.clone();
        move || {
            let target = target.clone();
            async move { sql(&target, kill).await }
        }
    });
    let error = capture(&target, &sink, &capture_options(1))
        .await
        .expect_err("lost its session");
    assert_eq!(error.reason().code, "postgres.connection-lost", "{error:?}");
    assert!(
        !sink
            .inner
            .parts("")
            .iter()
            .any(|p| p.name.contains("/table/")),
        "half a table does not count"
    );
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    let live = fingerprints(&target, &capture_options(1))
        .await
        .expect("measures");
    for part in &captured.parts {
        assert_eq!(
            live.get(&part.name).copied(),
            part.fingerprint,
            "{}",
            part.name
        );
    }
}

/// A standby of a stopped server: a copy of its folder that follows it.
async fn standby(primary: &Running) -> (Folder, Running) {
    stop(&primary.dir).await.expect("stops");
    let folder = Folder::new();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(primary.dir.join("."))
        .arg(folder.path())
        .status();
    assert!(copied.expect("copies").success());
    std::fs::remove_file(folder.path().join(RECORD)).expect("a record");
    let data = folder.path().join("data");
    std::fs::write(data.join("standby.signal"), "").expect("writes");
    let auto = data.join("postgresql.auto.conf");
    let mut settings = std::fs::read_to_string(&auto).expect("settings");
    settings.push_str(&format!(
        "primary_conninfo = 'host=127.0.0.1 port={} user={} password={}'\nmax_standby_streaming_delay = '100ms'\n",
        primary.port,
        primary.user,
        primary.password.expose()
    ));
    std::fs::write(&auto, settings).expect("writes");
    start(&primary.dir, &Options::default())
        .await
        .expect("starts again");
    let running = start(folder.path(), &Options::default())
        .await
        .expect("a standby starts");
    (folder, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_captured_until_the_primary_takes_its_rows_away() {
    let folder = Folder::new();
    let primary = start(folder.path(), &Options::default())
        .await
        .expect("a server starts");
    let target = database(&primary, ROWS).await;
    let (_standby_folder, standby) = standby(&primary).await;
    let copy = standby.target().with_database("rich");
    let parts = MemoryParts::default();
    capture(&copy, &parts, &capture_options(2))
        .await
        .expect("captures from a standby");
    assert_eq!(
        parts.parts("postgres/rich/schema")[0].meta["database"]["standby"],
        true
    );
    let here = MemoryParts::default();
    capture(&target, &here, &capture_options(2))
        .await
        .expect("captures from the primary");
    let rows = "postgres/rich/table/public.rows";
    let of = |parts: &MemoryParts| parts.parts(rows)[0].fingerprint;
    assert_eq!(of(&parts), of(&here));

    let (on_primary, on_standby) = (target.clone(), copy.clone());
    let sink = Disturbed::new(move || {
        let (target, copy) = (on_primary.clone(), on_standby.clone());
        async move {
            sql(&target, "DELETE FROM rows").await;
            sql(&target, "VACUUM rows").await;
            let cancelled =
                "SELECT (sum(confl_snapshot) > 0)::text FROM pg_stat_database_conflicts";
            until(&copy, cancelled, "true").await;
        }
    });
    let error = capture(&copy, &sink, &capture_options(1))
        .await
        .expect_err("its rows are gone");
    assert_eq!(
        error.reason().code,
        "postgres.standby-conflict",
        "{error:?}"
    );
}
