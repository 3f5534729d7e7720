//! Cheap looks: how big a database is before it is restored over, who uses it, and rows of a query that somebody configured.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::Row as _;

use super::Target;
use super::enumerate::user_schema;
use super::session::{Access, close, connect, failed, open, rows, run, scalar};
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// One table, as the server's statistics show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TablePreview {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows as ANALYZE or VACUUM last estimated them; `None` if neither ever ran.
    pub estimated_rows: Option<i64>,
    /// Bytes on disk with TOAST, without indexes.
    pub bytes: i64,
}

/// What a restore plan shows of a database. All of it is for people; none of it decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Preview {
    /// The whole database on disk, in bytes.
    pub bytes: i64,
    /// Tables, largest first.
    pub tables: Vec<TablePreview>,
    /// Sessions in this database other than this one.
    pub sessions: i64,
    /// Transactions committed since the statistics were reset, if they are kept.
    pub commits: Option<i64>,
    /// Replication slots of this database.
    pub replication_slots: Vec<String>,
    /// Prepared transactions that nobody ended.
    pub prepared_transactions: i64,
}

/// Looks at a database without reading a table.
pub async fn preview(target: &Target) -> Result<Preview> {
    let mut session = open(target, Access::Read).await?;
    // Sizes wait for whoever locks a table exclusively; a preview does not.
    run(target, &mut session, "SET LOCAL lock_timeout = '3s'").await?;
    let sql = format!(
        "SELECT n.nspname::text AS schema, c.relname::text AS name, c.reltuples::int8 AS rows,
                coalesce(pg_table_size(c.oid), 0) AS bytes
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND {} ORDER BY bytes DESC, 1, 2",
        user_schema()
    );
    let tables = rows(target, &mut session, "measure the tables", &sql).await?;
    let found = rows(
        target,
        &mut session,
        "measure the database",
        "SELECT pg_database_size(current_database()) AS bytes,
                (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) AS sessions,
                (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
                (SELECT coalesce(array_agg(slot_name::text ORDER BY 1), '{}') FROM pg_replication_slots WHERE database = current_database()) AS slots,
                (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared",
    )
    .await?;
    close(session).await;
    let Some(row) = found.first() else {
        return Err(Error::bug("a query of sizes gave no row"));
    };
    Ok(Preview {
        bytes: row.get("bytes"),
        sessions: row.get("sessions"),
        commits: row.get("commits"),
        replication_slots: row.get("slots"),
        prepared_transactions: row.get("prepared"),
        tables: tables
            .iter()
            .map(|row| TablePreview {
                schema: row.get("schema"),
                name: row.get("name"),
                // -1: never vacuumed nor analysed (PostgreSQL documentation, pg_class).
                estimated_rows: Some(row.get::<i64, _>("rows")).filter(|n| *n >= 0),
                bytes: row.get("bytes"),
            })
            .collect(),
    })
}

/// Room for what a restore loads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum FreeSpace {
    /// As this machine's file system says.
    Measured {
        /// Bytes that are free to everybody.
        bytes: u64,
        /// The server's data folder.
        at: PathBuf,
    },
    /// Postgres itself does not say.
    NotMeasured {
        /// Why it cannot be seen from here.
        why: String,
    },
}

/// How much is free where the server keeps its data. Postgres has no function for it, so it is measured only where the
/// server's data folder is one of this machine.
pub async fn free_space(target: &Target) -> Result<FreeSpace> {
    let not = |why: &str| {
        Ok(FreeSpace::NotMeasured {
            why: why.to_owned(),
        })
    };
    let address = target.host.trim_start_matches('[').trim_end_matches(']');
    let loopback = address == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if !loopback && !address.starts_with('/') {
        return not("the server is not on this machine, and Postgres does not say");
    }
    let mut session = open(target, Access::Read).await?;
    let found = rows(
        target,
        &mut session,
        "look for the data folder",
        "SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS folder,
                current_setting('port') AS port, extract(epoch FROM pg_postmaster_start_time())::int8 AS started",
    )
    .await?;
    close(session).await;
    let Some(row) = found.first() else {
        return Err(Error::bug("a query of settings gave no row"));
    };
    let Some(folder) = row.get::<Option<String>, _>("folder") else {
        return not("the role may not see the server's data folder");
    };
    let folder = PathBuf::from(folder);
    // What listens on loopback may be a tunnel, or a container with file systems of its own.
    let lock = std::fs::read_to_string(folder.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = lock.lines().collect();
    let started: Option<i64> = lines.get(2).and_then(|l| l.trim().parse().ok());
    let same = started.is_some_and(|at| (at - row.get::<i64, _>("started")).abs() <= CLOSE)
        && lines
            .get(3)
            .is_some_and(|port| port.trim() == row.get::<String, _>("port"));
    if !same {
        return not("the server's data folder cannot be seen from this machine");
    }
    match rustix::fs::statvfs(&folder) {
        Ok(seen) => Ok(FreeSpace::Measured {
            bytes: seen.f_bavail.saturating_mul(seen.f_frsize),
            at: folder,
        }),
        Err(e) => not(&format!("`{}`: {e}", folder.display())),
    }
}

/// The server writes its lock file and takes its start time some moments apart, in seconds.
const CLOSE: i64 = 10;

/// The rows of a query that somebody configured, as JSON objects, in a READ ONLY transaction; `parameters` are bound as
/// text to `$1`, `$2` … (cast them in the query where another type is needed). At most `limit` rows.
pub async fn read_rows(
    target: &Target,
    query: &str,
    parameters: &[String],
    limit: u32,
    deadline: Deadline,
) -> Result<Vec<Value>> {
    let mut session = connect(target, Access::AsGiven, deadline).await?;
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {}",
        deadline.left().as_millis().max(1)
    );
    run(target, &mut session, &begin).await?;
    let sql = format!(
        "SELECT to_jsonb(configured)::text FROM ({}) AS configured LIMIT {limit}",
        query.trim().trim_end_matches(';')
    );
    let mut asked = scalar(sqlx::AssertSqlSafe(sql));
    for parameter in parameters {
        asked = asked.bind(parameter);
    }
    let found: Vec<String> = deadline
        .run("the configured query", async {
            asked
                .fetch_all(&mut session)
                .await
                .map_err(|e| failed(target, "run the configured query", e))
        })
        .await?;
    close(session).await;
    found
        .iter()
        .map(|text| {
            serde_json::from_str(text)
                .map_err(|e| Error::bug("Postgres gave JSON that is none").caused_by(e))
        })
        .collect()
}
