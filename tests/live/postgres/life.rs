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
use super::server::with_tls;
use super::{Disturbed, Folder, database, scratch, scratch_of, sql, value};

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
    assert!(error.to_string().contains("`public.rows`"), "{error}");
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

/// How a capture over TLS ends before its time; whoever waits for it goes on at once, though nobody takes its rows any more.
async fn ends_over_tls(patience: Patience, cancelled: bool, expected: &str) {
    let (folder, server) = scratch().await;
    let (target, _) = with_tls(&folder, &server).await;
    sql(&target, ROWS).await;
    let free = Arc::new(Semaphore::new(0));
    let change = "ALTER TABLE rows ADD COLUMN IF NOT EXISTS later int";
    let sink = held(&free, Some((&target, change)));
    let mut options = capture_options(1);
    options.patience = patience;
    if cancelled {
        let (target, cancel) = (target.clone(), options.cancel.clone());
        let waits =
            "SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = 'rows'::regclass";
        tokio::spawn(async move {
            until(&target, waits, "1").await;
            cancel.raise();
            cancel.raise();
        });
    }
    let error = capture(&target, &sink, &options)
        .await
        .expect_err("ends before its time");
    assert_eq!(error.reason().code, expected, "{error:?}");
    // Where it ended before a row came, nobody has asked for the change yet.
    sql(&target, &format!("SET lock_timeout = '20s'; {change}")).await;
    free.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_over_tls_gives_way_too() {
    let patience = Patience {
        give_way: Duration::from_millis(500),
        ..Patience::default()
    };
    ends_over_tls(patience, false, "postgres.gave-way").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_not_held_for_ever_over_tls_either() {
    let patience = Patience {
        snapshot: Duration::from_secs(3),
        ..Patience::default()
    };
    ends_over_tls(patience, false, "postgres.snapshot-too-old").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_over_tls_lets_go_when_it_is_cancelled() {
    ends_over_tls(Patience::default(), true, "run.not-begun").await;
}

/// What others change before we have our locks is in the backup, and nothing of it by half.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_changes_before_it_is_locked_is_listed_anew() {
    let (folder, server) = scratch().await;
    let target = database(&server, ROWS).await;
    let mut other = session::open(&target, session::Access::AsGiven)
        .await
        .expect("opens");
    let change = "BEGIN; ALTER TABLE rows ADD COLUMN later int DEFAULT 7; CREATE TABLE another AS SELECT 1 AS n; DROP TABLE IF EXISTS gone";
    sqlx::raw_sql(change)
        .execute(&mut other)
        .await
        .expect("begins");
    let begun = {
        let target = target.clone();
        tokio::spawn(async move {
            let parts = MemoryParts::default();
            let captured = capture(&target, &parts, &capture_options(2)).await;
            (parts, captured)
        })
    };
    let waits =
        "SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = 'rows'::regclass";
    until(&target, waits, "1").await;
    sqlx::raw_sql("COMMIT")
        .execute(&mut other)
        .await
        .expect("commits");
    let (parts, captured) = begun.await.expect("ends");
    captured.expect("captures");
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = server.target().with_database("copy");
    let seen = "SELECT concat_ws(' ', count(*), min(later), max(later), (SELECT sum(n) FROM another)) FROM rows";
    assert_eq!(value(&copy, seen).await.as_deref(), Some("50000 7 7 1"));
}

/// Reading on, we stand behind whoever waits for us; they are waited for as long as we would let them wait, and then they are named.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_behind_a_schema_change_waits_until_we_give_way() {
    let (_folder, server) = scratch().await;
    let target = server.target();
    sql(&target, ROWS).await;
    sql(&target, "CREATE TABLE small AS SELECT 1 AS n").await;
    let free = Arc::new(Semaphore::new(0));
    let sink = held(
        &free,
        Some((&target, "ALTER TABLE small ADD COLUMN later int")),
    );
    let mut options = capture_options(1);
    // Longer than a lock is waited for at the beginning.
    options.patience.give_way = Duration::from_secs(13);
    let waits =
        "SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = 'small'::regclass";
    let go_on = {
        let (target, free) = (target.clone(), Arc::clone(&free));
        tokio::spawn(async move {
            until(&target, waits, "1").await;
            free.close();
        })
    };
    let error = capture(&target, &sink, &options)
        .await
        .expect_err("gives way");
    go_on.await.expect("ends");
    assert_eq!(error.reason().code, "postgres.gave-way", "{error:?}");
    assert!(error.to_string().contains("`public.small`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_limits_of_a_role_end_neither_capture_nor_restore() {
    unlimited(15, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_limits_of_a_role_do_not_on_17_either() {
    unlimited(17, "").await;
}

/// The newest have one more limit, which the end of a statement does not end.
#[tokio::test(flavor = "multi_thread")]
async fn time_limits_of_whole_transactions_do_not_either() {
    unlimited(
        18,
        "ALTER ROLE CURRENT_USER SET transaction_timeout = '4s';",
    )
    .await;
}

async fn unlimited(major: u32, more: &str) {
    let (folder, server) = scratch_of(major).await;
    let admin = server.target();
    let target = database(&server, ROWS).await;
    // An index that takes longer than the limits on every machine, which no other statement should come near.
    let slow_index = "CREATE FUNCTION slowly(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n FROM pg_sleep(5)';
                      CREATE TABLE deep AS SELECT n, md5(n::text) AS m FROM generate_series(1, 300000) n;
                      CREATE INDEX ON deep (slowly(n)) WHERE n = 1";
    sql(&target, slow_index).await;
    let limits = format!(
        "{more} ALTER ROLE CURRENT_USER SET statement_timeout = '4s';
         ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '4s';
         ALTER ROLE CURRENT_USER SET idle_session_timeout = '4s';
         ALTER ROLE CURRENT_USER SET lock_timeout = '4s'"
    );
    let mut ours = session::open(&admin, session::Access::AsGiven)
        .await
        .expect("opens");
    sql(&admin, &limits).await;
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
    for major in [15, 17, 18] {
        ended(major).await;
    }
}

async fn ended(major: u32) {
    let (_folder, server) = scratch_of(major).await;
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
    let unlogged =
        "CREATE UNLOGGED TABLE fleeting (id int GENERATED ALWAYS AS IDENTITY, other serial)";
    sql(&target, unlogged).await;
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

/// A cable may be cut while a statement takes its hours: the kernel asks the other side from time to time.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_notices_a_server_that_is_gone() {
    let (_folder, server) = scratch().await;
    let target = server.target();
    let session = session::open(&target, session::Access::Read)
        .await
        .expect("opens");
    // proc(5): the other side's address in hexadecimal digits, and the timer, which is 02 where the connection is kept alive.
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let peer = format!(":{:04X}", target.port);
    let timers: Vec<&str> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 5 && words[2].ends_with(&peer) && words[3] == "01")
        .filter_map(|words| words[5].split(':').next())
        .collect();
    assert!(
        !timers.is_empty() && timers.iter().all(|t| *t == "02"),
        "{timers:?}"
    );
    drop(session);
}
