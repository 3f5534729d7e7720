//! What was written since a moment, by the server's counters; and when nobody can say.

use std::time::Duration;

use summitctl::providers::postgres::{Counters, Target, Writes, counters, writes_since};
use summitctl::sandbox::servers::Record;
use summitctl::sandbox::servers::postgres::{Options, start};
use summitctl::wait::{Deadline, Look, poll};

use super::{scratch, sql};

/// Waits until the first line about the writes begins so: counts come in when sessions end.
async fn becomes(target: &Target, then: &Counters, beginning: &str) -> Writes {
    poll(
        "the counters",
        Deadline::after(Duration::from_secs(20)),
        Duration::from_millis(200),
        async || {
            let writes = writes_since(target, then).await?;
            Ok(if writes.lines()[0].starts_with(beginning) {
                Look::Ready(writes)
            } else {
                Look::NotYet(format!("{writes:?}"))
            })
        },
    )
    .await
    .expect("comes to it")
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_counted_by_table_and_unknown_after_a_reset_or_a_crash() {
    let (folder, server) = scratch().await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE counted").await;
    let target = admin.with_database("counted");
    sql(
        &target,
        "CREATE TABLE t (n int); CREATE TABLE \"Odd\" (n int); INSERT INTO t SELECT generate_series(1, 50)",
    )
    .await;
    let then = counters(&target).await.expect("counts");
    becomes(
        &target,
        &then,
        "0 rows inserted, 0 updated, 0 deleted in 0 tables",
    )
    .await;
    sql(
        &target,
        "INSERT INTO t VALUES (51), (52); UPDATE t SET n = 0 WHERE n < 4; DELETE FROM t WHERE n = 10; INSERT INTO \"Odd\" VALUES (1)",
    )
    .await;
    let writes = becomes(
        &target,
        &then,
        "3 rows inserted, 3 updated, 1 deleted in 2 tables",
    )
    .await;
    let lines = writes.lines();
    assert_eq!(lines[1], "public.t: +2 ~3 -1", "{lines:?}");
    assert_eq!(lines[2], "public.\"Odd\": +1 ~0 -0", "{lines:?}");

    // Moved to another name, it is the same database.
    sql(&admin, "ALTER DATABASE counted RENAME TO moved").await;
    let target = admin.with_database("moved");
    becomes(&target, &then, "3 rows inserted").await;
    sql(&target, "SELECT pg_stat_reset()").await;
    becomes(
        &target,
        &then,
        "unknown: the database's counters were reset",
    )
    .await;

    let then = counters(&target).await.expect("counts");
    sql(&admin, "ALTER DATABASE moved SET track_counts = off").await;
    becomes(&target, &then, "unknown: the server does not count").await;
    sql(&admin, "ALTER DATABASE moved RESET track_counts").await;
    becomes(&target, &then, "0 rows").await;

    // A scratch server does not wait for its log: what it did a moment ago could be lost with the crash.
    sql(&admin, "CHECKPOINT").await;
    let record = Record::load(folder.path())
        .expect("reads")
        .expect("is there");
    let process = record.process.expect("runs");
    process.signal(rustix::process::Signal::QUIT);
    poll(
        "the end of the server",
        Deadline::after(Duration::from_secs(20)),
        Duration::from_millis(50),
        async || {
            Ok(if process.alive() {
                Look::NotYet("alive".to_owned())
            } else {
                Look::Ready(())
            })
        },
    )
    .await
    .expect("ends");
    let again = start(folder.path(), &Options::scratch(None))
        .await
        .expect("starts again");
    let target = again.target().with_database("moved");
    sql(&target, "INSERT INTO t SELECT generate_series(1, 5000)").await;
    becomes(&target, &then, "unknown: the server lost its counters").await;
}
