//! Swapping databases, taking it back, and what is dropped; migration locks and configured queries.

use std::time::Duration;

use summitctl::capture::MemoryParts;
use summitctl::providers::postgres::{
    MissingRoles, SwapState, capture, drop_database, made_name, read_rows, swap_in, swap_state,
    undo_swap,
};
use summitctl::time::Instant;
use summitctl::wait::Deadline;

use super::round_trip::{capture_options, restore_to};
use super::{scratch, sql, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_is_seen_repeated_finished_and_taken_back() {
    let (folder, server) = scratch().await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let live = admin.with_database("rich");
    sql(&live, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    let parts = MemoryParts::default();
    capture(&live, &parts, &capture_options(1))
        .await
        .expect("captures");
    sql(&live, "UPDATE t SET n = 2").await;

    let now = Instant::now();
    let (aside, retired) = (
        made_name("rich", "restore", now),
        made_name("rich", "retired", now),
    );
    restore_to(&server, &folder, &aside, &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let state = async || {
        swap_state(&live, "rich", &aside, &retired)
            .await
            .expect("looks")
    };
    assert_eq!(state().await, SwapState::NotSwapped);

    // A session of an application that does not want to leave.
    let mut busy = summitctl::providers::postgres::session::open(
        &live,
        summitctl::providers::postgres::session::Access::AsGiven,
    )
    .await
    .expect("opens");
    let busy = tokio::spawn(async move {
        sqlx::raw_sql("SELECT pg_sleep(600)")
            .execute(&mut busy)
            .await
            .map(|_| ())
    });
    // Killed after connections were turned off: seen, and gone on from.
    sql(&admin, "ALTER DATABASE rich ALLOW_CONNECTIONS false").await;
    assert_eq!(state().await, SwapState::InBetween { renamed: false });
    swap_in(&live, "rich", &aside, &retired)
        .await
        .expect("swaps");
    assert!(busy.await.expect("joins").is_err(), "its session was ended");
    assert_eq!(state().await, SwapState::Swapped);
    swap_in(&live, "rich", &aside, &retired)
        .await
        .expect("is a no-op");
    assert_eq!(
        value(&live, "SELECT n::text FROM t").await.as_deref(),
        Some("1")
    );
    let old = admin.with_database(&retired);
    assert_eq!(
        value(&old, "SELECT n::text FROM t").await.as_deref(),
        Some("2")
    );

    // Killed after the renames.
    sql(&admin, "ALTER DATABASE rich ALLOW_CONNECTIONS false").await;
    assert_eq!(state().await, SwapState::InBetween { renamed: true });
    swap_in(&live, "rich", &aside, &retired)
        .await
        .expect("finishes");
    assert_eq!(state().await, SwapState::Swapped);

    undo_swap(&live, "rich", &aside, &retired)
        .await
        .expect("takes back");
    undo_swap(&live, "rich", &aside, &retired)
        .await
        .expect("is a no-op");
    assert_eq!(state().await, SwapState::NotSwapped);
    assert_eq!(
        value(&live, "SELECT n::text FROM t").await.as_deref(),
        Some("2")
    );

    let error = drop_database(&admin, "rich")
        .await
        .expect_err("is not ours");
    assert_eq!(error.reason().code, "postgres.swap-refused");
    drop_database(&admin, &aside).await.expect("drops");
    drop_database(&admin, &aside).await.expect("is a no-op");
    let error = swap_in(&live, "rich", &aside, &retired)
        .await
        .expect_err("nothing to swap with");
    assert_eq!(error.reason().code, "postgres.swap-refused");
    assert!(error.to_string().contains("has `rich`"), "{error}");
    assert_eq!(
        value(&live, "SELECT n::text FROM t").await.as_deref(),
        Some("2")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_queries_read_and_nothing_else() {
    let (_folder, server) = scratch().await;
    let target = server.target();
    sql(&target, "CREATE TABLE databasechangeloglock (id int PRIMARY KEY, locked boolean NOT NULL, lockgranted timestamp, lockedby varchar(255));
         INSERT INTO databasechangeloglock VALUES (1, true, '2026-01-02 03:04:05', 'ci-7 (10.0.3.7)');
         CREATE TABLE knex_migrations_lock (index serial PRIMARY KEY, is_locked int);
         INSERT INTO knex_migrations_lock (is_locked) VALUES (0)").await;
    let soon = || Deadline::after(Duration::from_secs(5));
    let found = read_rows(
        &target,
        "SELECT id, lockedby FROM databasechangeloglock WHERE id = $1::int;",
        &["1".into()],
        10,
        soon(),
    )
    .await
    .expect("reads");
    assert_eq!(
        found,
        [serde_json::json!({"id": 1, "lockedby": "ci-7 (10.0.3.7)"})]
    );
    read_rows(
        &target,
        "DELETE FROM knex_migrations_lock RETURNING 1",
        &[],
        10,
        soon(),
    )
    .await
    .expect_err("a reader does not write");
    read_rows(
        &target,
        "SELECT nextval('knex_migrations_lock_index_seq') AS n",
        &[],
        10,
        soon(),
    )
    .await
    .expect_err("a reader does not write");
}
