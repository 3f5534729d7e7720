//! A table so large that several connections fill it: every row comes back once, and all of them or none.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use summitctl::capture::{MemoryParts, PartInfo, PartReader, PartSource};
use summitctl::error::{Error, Result};
use summitctl::providers::postgres::{
    MissingRoles, RestoreOptions, Target, capture, create_database, fingerprints_as, restore,
};

use super::round_trip::{capture_options, restore_options};
use super::{Folder, database, scratch_of, sql, value};

/// Some turns long each: rows as numbers and as text, one row longer than a turn, and a table that is not worth it.
const TABLES: &str = "
    CREATE TABLE much AS SELECT n AS id, repeat(md5(n::text), 12) AS pad FROM generate_series(1, 60000) n;
    ALTER TABLE much ADD PRIMARY KEY (id);
    CREATE TABLE lines AS SELECT n AS id, repeat(E'a\\tb\\n\\\\', 90) AS pad, 'pg_class'::regclass AS r FROM generate_series(1, 30000) n;
    INSERT INTO lines SELECT 0, repeat('long', 2000000), 'pg_type'::regclass;
    CREATE TABLE little AS SELECT n AS id FROM generate_series(1, 10) n;";

fn spread_out(folder: &Folder) -> RestoreOptions {
    RestoreOptions {
        share: 1 << 20,
        jobs: 6,
        ..restore_options(folder, MissingRoles::Create)
    }
}

/// How many transactions, and so connections, wrote a table.
async fn writers(target: &Target, table: &str) -> String {
    let count = format!("SELECT count(DISTINCT xmin::text)::text FROM {table}");
    value(target, &count).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_filled_over_several_connections() {
    for major in [15, 17, 18] {
        let (folder, server) = scratch_of(major).await;
        let target = database(&server, TABLES).await;
        let parts = MemoryParts::default();
        let captured = capture(&target, &parts, &capture_options(2)).await;
        captured.expect("captures");
        let admin = server.target();
        let made = create_database(&admin, "copy", &parts, "rich", MissingRoles::Create).await;
        made.expect("makes the database");
        let copy = admin.with_database("copy");
        let restored = restore(&copy, &parts, "rich", &spread_out(&folder)).await;
        restored.expect("restores");
        let there = fingerprints_as(&copy, "rich", &capture_options(2)).await;
        let there = there.expect("measures the copy");
        for part in parts.parts("postgres/rich/table/") {
            assert_eq!(Some(there[&part.name]), part.fingerprint, "{}", part.name);
        }
        for (table, expected) in [("much", "2"), ("lines", "3"), ("little", "1")] {
            assert_eq!(writers(&copy, table).await, expected, "{table} on {major}");
        }
    }
}

/// Ends one of the sessions that fill `much`, once, when rows were sent; or lets the rows break off.
struct Cut<'a> {
    parts: &'a MemoryParts,
    admin: Option<Target>,
    done: std::sync::Arc<AtomicBool>,
}

struct CutReader {
    inner: Box<dyn PartReader>,
    admin: Option<Target>,
    done: std::sync::Arc<AtomicBool>,
    given: usize,
}

#[async_trait]
impl PartReader for CutReader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = self.inner.next().await?;
        self.given += next.as_ref().map_or(0, Bytes::len);
        if self.given < 10 << 20 || self.done.swap(true, Ordering::SeqCst) {
            return Ok(next);
        }
        let Some(admin) = &self.admin else {
            return Err(Error::input("the rows broke off"));
        };
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'copy' AND query LIKE 'COPY%much%' LIMIT 1";
        sql(admin, end).await;
        Ok(next)
    }
}

#[async_trait]
impl PartSource for Cut<'_> {
    fn parts(&self, prefix: &str) -> Vec<PartInfo> {
        self.parts.parts(prefix)
    }

    async fn open(&self, name: &str) -> Result<Box<dyn PartReader>> {
        let inner = self.parts.open(name).await?;
        if !name.ends_with("public.much") {
            return Ok(inner);
        }
        Ok(Box::new(CutReader {
            inner,
            admin: self.admin.clone(),
            done: self.done.clone(),
            given: 0,
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_its_rows_stay_if_one_connection_is_lost_or_they_break_off() {
    let (folder, server) = scratch_of(17).await;
    let target = database(&server, TABLES).await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(2)).await;
    captured.expect("captures");
    let admin = server.target();
    for (cut, reason, words) in [
        (
            true,
            "postgres.connection-lost",
            "part `postgres/rich/table/public.much`",
        ),
        (false, "input", "the rows broke off"),
    ] {
        let made = create_database(&admin, "copy", &parts, "rich", MissingRoles::Create).await;
        made.expect("makes the database");
        let copy = admin.with_database("copy");
        let source = Cut {
            parts: &parts,
            admin: cut.then(|| admin.clone()),
            done: Default::default(),
        };
        let error = restore(&copy, &source, "rich", &spread_out(&folder)).await;
        let error = error.expect_err("is cut");
        assert!(source.done.load(Ordering::SeqCst));
        let text = format!("{error:?}");
        assert!(text.contains(words), "{text}");
        assert!(
            error.reason().code.contains(reason),
            "{}: {text}",
            error.reason().code
        );
        let rows = value(&copy, "SELECT count(*)::text FROM much").await;
        assert_eq!(rows.as_deref(), Some("0"));
        sql(&admin, "DROP DATABASE copy WITH (FORCE)").await;
    }
}
