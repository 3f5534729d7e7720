//! A table too large for one connection, read by several: nothing is lost, doubled or read twice.

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    CaptureOptions, MissingRoles, Target, capture, fingerprints, fingerprints_as,
};

use super::life::until;
use super::round_trip::{capture_options, restore_to};
use super::{database, scratch, sql, value};

/// Pages of holes, rows that moved, values out of line, and an end that is empty.
const TABLES: &str = "
    CREATE TABLE wide (id int PRIMARY KEY, pad text, far text, gone int, also numeric);
    ALTER TABLE wide ALTER far SET STORAGE EXTERNAL;
    INSERT INTO wide SELECT n, repeat('p', n % 300), CASE WHEN n % 500 = 0 THEN repeat(n::text, 3000) END, n, n / 7.0
        FROM generate_series(1, 20000) n;
    ALTER TABLE wide DROP gone;
    DELETE FROM wide WHERE id % 3 = 0 OR id BETWEEN 4000 AND 6000 OR id > 19000;
    UPDATE wide SET pad = repeat('moved', 60) WHERE id % 11 = 0;
    -- Types without one binary form: rows as text.
    CREATE TABLE lines AS SELECT n AS id, repeat(E'a\\tb\\n', 20) AS pad, 'pg_class'::regclass AS r FROM generate_series(1, 5000) n;
    CREATE TABLE empty (id int);
    CREATE TABLE nothing ();
    INSERT INTO nothing SELECT FROM generate_series(1, 5000);";

/// So small that each table has many stretches.
fn stretched(jobs: usize) -> CaptureOptions {
    CaptureOptions {
        stretch: 7,
        ..capture_options(jobs)
    }
}

fn bytes_of(parts: &MemoryParts) -> Vec<(String, u64, String)> {
    parts
        .parts("postgres/rich/table/")
        .into_iter()
        .map(|part| {
            let rows = part.fingerprint.expect("rows").to_string();
            (part.name, part.bytes, rows)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stretches_join_to_what_one_connection_reads() {
    let (folder, server) = scratch().await;
    let target = database(&server, TABLES).await;
    let whole = MemoryParts::default();
    capture(&target, &whole, &stretched(1))
        .await
        .expect("captures by one connection");
    let joined = MemoryParts::default();
    capture(&target, &joined, &stretched(4))
        .await
        .expect("captures by four");
    assert_eq!(bytes_of(&joined), bytes_of(&whole));
    for part in whole.parts("postgres/rich/table/") {
        let mut one = whole.open(&part.name).await.expect("opens");
        let mut other = joined.open(&part.name).await.expect("opens");
        assert!(
            one.read_all().await.expect("reads") == other.read_all().await.expect("reads"),
            "`{}` differs",
            part.name
        );
    }
    let measured = fingerprints(&target, &stretched(3))
        .await
        .expect("measures");
    for part in whole.parts("postgres/rich/table/") {
        assert_eq!(Some(measured[&part.name]), part.fingerprint);
    }

    restore_to(&server, &folder, "copy", &joined, MissingRoles::Create)
        .await
        .expect("restores");
    let copy = server.target().with_database("copy");
    let restored = fingerprints_as(&copy, "rich", &stretched(4))
        .await
        .expect("measures the copy");
    for part in joined.parts("postgres/rich/table/") {
        assert_eq!(Some(restored[&part.name]), part.fingerprint);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_reads_its_own_pages_only() {
    let (_folder, server) = scratch().await;
    let target = database(&server, TABLES).await;
    let size = "SELECT (pg_relation_size('wide') / 8192)::text";
    let pages = number(&target, size).await;
    assert!(pages > 100, "{pages}");
    // A session says what it read when it ends.
    let others = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'summitctl' AND pid <> pg_backend_pid()";
    until(&target, others, "0").await;
    sql(&target, "SELECT pg_stat_reset()").await;
    capture(&target, &MemoryParts::default(), &stretched(4))
        .await
        .expect("captures");
    until(&target, others, "0").await;
    let count = "SELECT (heap_blks_read + heap_blks_hit)::text FROM pg_statio_user_tables WHERE relname = 'wide'";
    let read = number(&target, count).await;
    assert!(
        (pages..2 * pages).contains(&read),
        "{read} reads of {pages} pages"
    );
}

async fn number(target: &Target, question: &str) -> i64 {
    let answer = value(target, question).await.expect("an answer");
    answer.parse().expect("a number")
}
