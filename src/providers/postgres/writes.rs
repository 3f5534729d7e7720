//! What was written to a database since a moment, by the server's own counters; or why nobody can say.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::session::{Access, close, failed, open, pinned, query, rows, scalar};
use super::{OWN_SCHEMA, Target};
use crate::error::{Error, Result, TIMEOUT};
use crate::wait::{Deadline, Look, poll};

/// How long sessions of a database may take to end, so that their last counts are in.
const SETTLE: Duration = Duration::from_secs(10);

/// The counters of one database at one moment. What has all its counters at zero is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Counters {
    database: i64,
    /// When the counters that all databases share were set to zero: by hand, or after a crash, which loses all others too.
    shared_since: String,
    /// When those of this database were; absent if never.
    since: Option<String>,
    tracked: bool,
    tables: Vec<Counted>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Counted {
    oid: i64,
    table: String,
    inserted: i64,
    updated: i64,
    deleted: i64,
}

/// The rows that were written to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableWrites {
    /// Its schema and name.
    pub table: String,
    /// Rows inserted.
    pub inserted: i64,
    /// Rows updated.
    pub updated: i64,
    /// Rows deleted; a TRUNCATE is not counted.
    pub deleted: i64,
}

/// What was written since a moment, as far as the server counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Writes {
    /// The counters go back to that moment.
    Counted {
        /// The tables with writes, most first.
        tables: Vec<TableWrites>,
        /// Tables that held rows then, and are gone.
        gone: Vec<String>,
        /// Sessions that were connected; what they have not committed, or committed within the last seconds, is not counted.
        sessions: i64,
    },
    /// Nobody can say.
    Unknown {
        /// Why.
        why: String,
    },
}

/// The counters of a database that nobody else is connected to: waits until the last counts of those who were are in.
pub async fn counters(target: &Target) -> Result<Counters> {
    let mut session = open(target, Access::Write).await?;
    let outcome = async {
        settle(target, &mut session).await?;
        pinned(target, &mut session, async |session| {
            read(target, session).await
        })
        .await
    }
    .await;
    close(session).await;
    outcome
}

/// What was written to the database of `target` since the counters were read.
pub async fn writes_since(target: &Target, then: &Counters) -> Result<Writes> {
    let mut session = open(target, Access::Read).await?;
    let outcome = async {
        let sessions = others(target, &mut session).await?;
        let now = read(target, &mut session).await?;
        Ok(compared(then, &now, sessions))
    }
    .await;
    close(session).await;
    outcome
}

async fn settle(target: &Target, session: &mut PgConnection) -> Result<()> {
    let session = tokio::sync::Mutex::new(session);
    poll(
        "the end of the sessions that loaded the database",
        Deadline::after(SETTLE),
        Duration::from_millis(50),
        async || {
            let mut session = session.lock().await;
            let left = pinned(target, &mut session, async |session| {
                others(target, session).await
            })
            .await?;
            Ok(if left == 0 {
                Look::Ready(())
            } else {
                Look::NotYet(format!("{left} sessions"))
            })
        },
    )
    .await
    .map_err(|e| {
        if e.reason() == &TIMEOUT {
            Error::new(
                &super::SWAP_REFUSED,
                format!("others are connected to {}", target.place()),
            )
            .caused_by(e)
        } else {
            e
        }
    })
}

async fn others(target: &Target, session: &mut PgConnection) -> Result<i64> {
    scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename IS NOT NULL",
    )
    .fetch_one(session)
    .await
    .map_err(|e| failed(target, "count the sessions", e))
}

async fn read(target: &Target, session: &mut PgConnection) -> Result<Counters> {
    let seen = rows(
        target,
        session,
        "read the counters",
        "SELECT d.oid::int8 AS database, d.stats_reset::text AS since,
                (SELECT stats_reset::text FROM pg_stat_bgwriter) AS shared,
                current_setting('track_counts')::bool AND NOT EXISTS (
                    SELECT FROM pg_db_role_setting s, unnest(s.setconfig) AS c
                    WHERE s.setdatabase IN (0, d.oid) AND c ~* '^track_counts=' AND c !~* '=(on|true|yes|1)$') AS tracked
         FROM (SELECT datid AS oid, stats_reset FROM pg_stat_database WHERE datname = current_database()) d",
    )
    .await?;
    let Some(row) = seen.first() else {
        return Err(Error::bug("the connected database has no counters"));
    };
    let tables = query(
        "SELECT relid::int8 AS oid, format('%I.%I', schemaname, relname) AS name,
                n_tup_ins AS ins, n_tup_upd AS upd, n_tup_del AS del
         FROM pg_stat_user_tables
         WHERE schemaname <> $1 AND schemaname !~ '^pg_temp' AND (n_tup_ins > 0 OR n_tup_upd > 0 OR n_tup_del > 0)
         ORDER BY 1",
    )
    .bind(OWN_SCHEMA)
    .fetch_all(session)
    .await
    .map_err(|e| failed(target, "read the counters of the tables", e))?;
    Ok(Counters {
        database: row.get("database"),
        shared_since: row.get::<Option<String>, _>("shared").unwrap_or_default(),
        since: row.get("since"),
        tracked: row.get::<Option<bool>, _>("tracked") == Some(true),
        tables: tables
            .iter()
            .map(|row| Counted {
                oid: row.get("oid"),
                table: row.get("name"),
                inserted: row.get("ins"),
                updated: row.get("upd"),
                deleted: row.get("del"),
            })
            .collect(),
    })
}

fn compared(then: &Counters, now: &Counters, sessions: i64) -> Writes {
    let unknown = |why: &str| Writes::Unknown {
        why: why.to_owned(),
    };
    if then.database != now.database {
        return unknown("another database has the name now");
    }
    if !then.tracked || !now.tracked {
        return unknown("the server does not count writes: `track_counts` is off");
    }
    if then.shared_since != now.shared_since {
        return unknown("the server lost its counters in a crash or failover, or they were reset");
    }
    if then.since != now.since {
        return unknown("the database's counters were reset");
    }
    let before: BTreeMap<i64, &Counted> = then.tables.iter().map(|t| (t.oid, t)).collect();
    let mut tables = Vec::new();
    for table in &now.tables {
        let base = before.get(&table.oid);
        let since = |now: i64, then: fn(&Counted) -> i64| now - base.map_or(0, |t| then(t));
        let written = TableWrites {
            table: table.table.clone(),
            inserted: since(table.inserted, |t| t.inserted),
            updated: since(table.updated, |t| t.updated),
            deleted: since(table.deleted, |t| t.deleted),
        };
        if written.inserted < 0 || written.updated < 0 || written.deleted < 0 {
            return unknown("the server's counters went backwards");
        }
        if written.rows() > 0 {
            tables.push(written);
        }
    }
    tables.sort_by(|a, b| b.rows().cmp(&a.rows()).then(a.table.cmp(&b.table)));
    let gone = then
        .tables
        .iter()
        .filter(|t| now.tables.iter().all(|n| n.oid != t.oid));
    Writes::Counted {
        gone: gone.map(|t| t.table.clone()).collect(),
        tables,
        sessions,
    }
}

impl TableWrites {
    fn rows(&self) -> i64 {
        self.inserted + self.updated + self.deleted
    }
}

/// How many tables are named to people.
const SHOWN: usize = 8;

impl Writes {
    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        let (tables, gone, sessions) = match self {
            Writes::Unknown { why } => return vec![format!("unknown: {why}")],
            Writes::Counted {
                tables,
                gone,
                sessions,
            } => (tables, gone, sessions),
        };
        let sum = |of: fn(&TableWrites) -> i64| tables.iter().map(of).sum::<i64>();
        let mut lines = vec![format!(
            "{} rows inserted, {} updated, {} deleted in {} tables, as the server counted",
            sum(|t| t.inserted),
            sum(|t| t.updated),
            sum(|t| t.deleted),
            tables.len()
        )];
        for t in tables.iter().take(SHOWN) {
            lines.push(format!(
                "{}: +{} ~{} -{}",
                t.table, t.inserted, t.updated, t.deleted
            ));
        }
        if tables.len() > SHOWN {
            lines.push(format!("and {} more tables", tables.len() - SHOWN));
        }
        if !gone.is_empty() {
            lines.push(format!("gone since: {}", super::enumerate::listed(gone)));
        }
        if *sessions > 0 {
            lines.push(format!(
                "{sessions} sessions are connected: their last seconds are not counted yet"
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(tables: &[(i64, i64, i64, i64)]) -> Counters {
        Counters {
            database: 5,
            shared_since: "a".to_owned(),
            since: None,
            tracked: true,
            tables: tables
                .iter()
                .map(|(oid, inserted, updated, deleted)| Counted {
                    oid: *oid,
                    table: format!("public.t{oid}"),
                    inserted: *inserted,
                    updated: *updated,
                    deleted: *deleted,
                })
                .collect(),
        }
    }

    #[test]
    fn writes_are_the_difference_and_never_guessed() {
        let then = counters(&[(1, 100, 0, 0), (2, 5, 0, 0), (3, 7, 0, 0)]);
        let now = counters(&[(1, 110, 3, 1), (2, 5, 0, 0), (9, 2, 0, 0)]);
        let written = compared(&then, &now, 0);
        let Writes::Counted { tables, gone, .. } = &written else {
            panic!("{written:?}");
        };
        assert_eq!(tables.len(), 2);
        assert_eq!(
            (tables[0].inserted, tables[0].updated, tables[0].deleted),
            (10, 3, 1)
        );
        assert_eq!(tables[1].table, "public.t9");
        assert_eq!(gone, &["public.t3"]);
        assert!(written.lines()[0].starts_with("12 rows inserted, 3 updated, 1 deleted"));

        let changed = |change: fn(&mut Counters)| {
            let mut other = now.clone();
            change(&mut other);
            compared(&then, &other, 0)
        };
        for doubtful in [
            changed(|c| c.database = 6),
            changed(|c| c.shared_since = "b".to_owned()),
            changed(|c| c.since = Some("b".to_owned())),
            changed(|c| c.tracked = false),
            changed(|c| c.tables[0].inserted = 99),
        ] {
            let lines = doubtful.lines();
            assert!(lines[0].starts_with("unknown: "), "{lines:?}");
        }
    }
}
