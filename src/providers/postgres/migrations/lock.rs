//! Lock rows as they are, and the sessions around them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::super::POOLER;
use super::super::blockers::Ahead;
use super::super::enumerate::user_schema;
use super::super::session::{Access, failed, leave, open, query, rows, run};
use super::super::sql::{ident, literal, qualified};
use super::super::{Target, refuse_pooler};
use super::history::{History, Unreadable, places, settled};
use super::tool::Tool;
use super::verdict::{Verdict, judge};
use super::{TOOLS, advisory, here, liquibase};
use crate::error::Result;

/// What a lock table of a tool looks like, and what its row says.
pub(super) struct Shape {
    /// Its columns in lower case, sorted.
    pub columns: &'static [&'static str],
    /// The column that says whether it is held.
    pub held: &'static str,
    /// What the row is when nobody holds it; nothing of a tool whose row is there only while the lock is held.
    pub free: &'static [(&'static str, &'static str)],
    /// What is set to take it.
    pub take: (&'static str, &'static str),
    pub holder: Option<&'static str>,
    pub since: Option<&'static str>,
    /// What a waiter's last statement looks like, for ILIKE.
    pub polls: Option<&'static str>,
    /// Names, in lower case, that the tool's sessions have where nobody named them.
    pub applications: &'static [&'static str],
}

impl Shape {
    /// Whether the row itself is the lock.
    pub fn is_presence(&self) -> bool {
        self.free.is_empty()
    }
}

/// Who holds a lock, in the tool's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Holder {
    /// As the row says.
    pub said: String,
    /// The host that it names.
    pub host: String,
    /// The address that it names.
    pub address: Option<IpAddr>,
}

/// A lock's row, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockRow {
    /// Whose it is.
    pub tool: Tool,
    /// The database.
    pub database: String,
    /// Schema of the lock table.
    pub schema: String,
    /// Name of the lock table.
    pub table: String,
    /// Every column's value as text.
    pub values: BTreeMap<String, Option<String>>,
    /// The transaction that wrote this version of the row: `xmin`.
    pub written_by: String,
    /// Where this version lies: `ctid`.
    pub lies_at: String,
    /// The key of an advisory lock, which a session holds and no row: then there are no values, transaction and place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<i64>,
}

impl LockRow {
    /// Whether the row itself is the lock: there is none while nobody holds it.
    pub fn is_presence(&self) -> bool {
        self.key.is_none() && self.tool.row_lock().is_some_and(Shape::is_presence)
    }
}

/// Whether a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The row says so.
    Held,
    /// The row does not say so, but a transaction under way has written to the lock's table.
    InTransaction,
    /// It is an advisory lock, and a session holds it.
    InSession,
    /// Nobody holds it.
    Free,
}

/// A session of the database, as `pg_stat_activity` shows it; what this role may not see is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Seen {
    /// The server process.
    pub pid: i32,
    /// When it began: with the pid, this names it for ever.
    pub began: Option<String>,
    /// The role it logged in as.
    pub role: Option<String>,
    /// Its `application_name`.
    pub application: String,
    /// Where its client is; null for a socket of the server's own machine.
    pub address: Option<String>,
    /// The client's host, where the server looks names up.
    pub host: Option<String>,
    /// The client's port.
    pub port: Option<i32>,
    /// `active`, `idle`, `idle in transaction` …
    pub state: Option<String>,
    /// Whether it has written to the lock's table in a transaction that goes on, or holds the advisory lock.
    pub holds_table: bool,
    /// Whether it waits for the lock.
    pub waits: bool,
    /// Whether it is the holder's, by what it did or by where it comes from and its name: such a session may be ended.
    pub of_holder: bool,
    /// Whether its details are hidden from this role.
    pub hidden: bool,
}

impl Seen {
    /// What a row of `pg_stat_activity` says of a session; whether it holds or awaits a lock is for who asked to say.
    pub(super) fn read(row: &PgRow) -> Seen {
        Seen {
            pid: row.get("pid"),
            began: row.get("began"),
            role: row.get("role"),
            application: row.get("application"),
            address: row.get("address"),
            host: row.get("host"),
            port: row.get("port"),
            state: row.get("state"),
            holds_table: false,
            waits: row.get("polls"),
            of_holder: false,
            hidden: row.get("hidden"),
        }
    }

    /// Whether it is in a transaction, or at work.
    pub fn busy(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state != "idle")
    }

    /// As a person reads it.
    pub fn words(&self) -> String {
        let of = if self.application.is_empty() {
            String::new()
        } else {
            format!(" `{}`", self.application)
        };
        let from = match (&self.host, &self.address) {
            (Some(host), Some(address)) => format!(" from {host} ({address})"),
            (_, Some(address)) => format!(" from {address}"),
            _ if self.hidden => String::new(),
            _ => " from a socket of the server's machine".to_owned(),
        };
        let state = self.state.as_deref().unwrap_or("state hidden");
        format!("pid {}{of}{from}: {state}", self.pid)
    }
}

/// A migration lock, who is around it, and what may be said of its holder.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Lock {
    /// Names it on the command line: `DATABASE:SCHEMA.TABLE:KEY`; of an advisory lock the history's table, and `advisory`.
    pub id: String,
    /// Its row.
    pub row: LockRow,
    /// Whether it is held.
    pub state: State,
    /// Who holds it, where the tool writes that down.
    pub holder: Option<Holder>,
    /// Since when, by the holder's clock and time zone, which the row does not tell.
    pub since: Option<String>,
    /// When the row was written, by the server's clock; null unless `track_commit_timestamp` is on.
    pub written_at: Option<String>,
    /// What is known of the holder; null if nobody holds it.
    pub verdict: Option<Verdict>,
    /// What the verdict rests on.
    pub observations: Vec<String>,
    /// Sessions that are the holder's, or may be.
    pub sessions: Vec<Seen>,
    /// Sessions that wait for the lock.
    pub waiting: Vec<Seen>,
    /// What the holder's sessions wait for, the nearest first.
    pub behind: Vec<Ahead>,
    /// Whether every session could be seen, and none is left that could be the holder's.
    #[serde(skip)]
    pub nobody_left: bool,
}

impl Lock {
    /// A lock that nobody holds.
    pub(super) fn free(row: LockRow) -> Lock {
        let value = row.values.values().next().cloned().flatten();
        let key = match row.key {
            Some(key) => advisory::name_of(row.tool, key),
            None => value.unwrap_or_default(),
        };
        Lock {
            id: format!("{}:{}.{}:{key}", row.database, row.schema, row.table),
            state: State::Free,
            holder: None,
            since: None,
            written_at: None,
            verdict: None,
            observations: Vec::new(),
            sessions: Vec::new(),
            waiting: Vec::new(),
            behind: Vec::new(),
            nobody_left: false,
            row,
        }
    }

    /// Whether it keeps a second one away from this history.
    pub fn is_of(&self, history: &History) -> bool {
        let row = &self.row;
        if (row.tool, &row.database) != (history.tool, &history.database) {
            return false;
        }
        if let Some(key) = row.key {
            return advisory::keys(row.tool, &row.database, &history.schema, &history.table)
                .contains(&key);
        }
        // A tool with a lock's table names it after its history's, unless the user renames either.
        let own = format!("{}lock", history.table.to_lowercase());
        let named = row.is_presence() || row.table.to_lowercase().replace("_lock", "lock") == own;
        row.schema == history.schema && named
    }
}

/// The migration locks of databases.
#[derive(Debug, Default)]
pub struct Locks {
    /// Held or not.
    pub locks: Vec<Lock>,
    /// The same locks under the names of other histories that share them, and keys that a tool may take and nobody holds: they are
    /// known when somebody names them, and not told otherwise.
    pub by_name: Vec<Lock>,
    /// Lock tables that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Histories of tools that take no lock.
    pub lockless: Vec<Lockless>,
}

/// A history of a tool that takes no lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Lockless {
    /// The tool.
    pub tool: Tool,
    /// The database.
    pub database: String,
    /// Schema of its history.
    pub schema: String,
    /// Name of its history.
    pub table: String,
}

/// Every migration lock of a database. A table that cannot be read does not hide the others.
pub async fn locks(target: &Target) -> Result<Locks> {
    let pooled = match refuse_pooler(target).await {
        Ok(()) => false,
        Err(e) if e.reason() == &POOLER => true,
        Err(e) => return Err(e),
    };
    let mut session = open(target, Access::Read).await?;
    let limits = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '20s'";
    run(target, &mut session, limits).await?;
    let (histories, _) = places(target, &mut session).await?;
    let mut found = Locks::default();
    for table in tables(target, &mut session).await? {
        run(target, &mut session, "SAVEPOINT one").await?;
        let read = table.rows(target, &mut session).await;
        let read = match settled(target, &mut session, read).await? {
            Ok(read) => read,
            Err(e) => {
                found.unreadable.push(Unreadable {
                    tool: table.tool,
                    database: target.database.clone(),
                    schema: table.schema,
                    table: table.name,
                    why: e.one_line(),
                });
                continue;
            }
        };
        for mut lock in read {
            let seen = sessions(target, &mut session, &table).await?;
            let waits_in_vain = lock.state == State::Free;
            if waits_in_vain && seen.iter().any(|s| s.holds_table && !s.waits) {
                lock.state = State::InTransaction;
            }
            if lock.state != State::Free {
                let holder = lock.holder.as_ref();
                let around = here::look(holder, target.port);
                judge(&mut lock, seen, table.shape.applications, &around, pooled);
            }
            found.locks.push(lock);
        }
    }
    let (held, by_name) = advisory::locks(target, &mut session, &histories, pooled).await?;
    found.locks.extend(held);
    found.by_name = by_name;
    leave(target, session).await;
    let none = histories
        .into_iter()
        .filter(|h| h.tool.lockless().is_some());
    found.lockless = none
        .map(|h| Lockless {
            tool: h.tool,
            database: target.database.clone(),
            schema: h.schema,
            table: h.table,
        })
        .collect();
    Ok(found)
}

/// The locks that a database's rows call held, by a session of the caller's, without a look at who is around.
pub async fn held(target: &Target, session: &mut PgConnection) -> Result<Vec<Lock>> {
    let mut held = Vec::new();
    for table in tables(target, session).await? {
        held.extend(table.rows(target, session).await?);
    }
    held.retain(|lock| lock.state == State::Held);
    Ok(held)
}

/// A table with the columns of a lock.
struct Table {
    tool: Tool,
    shape: &'static Shape,
    oid: i64,
    schema: String,
    name: String,
    /// Its columns as they are written, by their lower-case names.
    columns: BTreeMap<String, String>,
}

async fn tables(target: &Target, session: &mut PgConnection) -> Result<Vec<Table>> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name, array_agg(a.attname::text) AS columns,
                bool_and(a.atttypid = 'int8'::regtype)
                AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1)
                AND EXISTS (SELECT FROM pg_attribute v JOIN pg_attribute d USING (attrelid)
                    WHERE v.attname = 'version' AND v.atttypid = 'int8'::regtype AND d.attname = 'dirty' AND d.atttypid = 'bool'::regtype) AS of_tool
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind = 'r' AND c.relnatts < 9 AND {} GROUP BY c.oid, n.nspname, c.relname ORDER BY 2, 3",
        user_schema()
    );
    let found = rows(target, session, "look for migration locks", &sql).await?;
    let mut tables = Vec::new();
    for row in &found {
        let named: Vec<String> = row.get("columns");
        let columns: BTreeMap<String, String> =
            named.into_iter().map(|c| (c.to_lowercase(), c)).collect();
        let same = |shape: &Shape| {
            let named = columns.keys().map(String::as_str);
            named.eq(shape.columns.iter().copied())
        };
        let mut shapes = TOOLS.iter().map(|t| (Tool(t), Tool(t).row_lock()));
        if let Some((tool, Some(shape))) = shapes.find(|(_, s)| s.is_some_and(same)) {
            // One column says little: anybody may have a table of it.
            if shape.is_presence() && !row.get::<bool, _>("of_tool") {
                continue;
            }
            tables.push(Table {
                tool,
                shape,
                oid: row.get("oid"),
                schema: row.get("schema"),
                name: row.get("name"),
                columns,
            });
        }
    }
    Ok(tables)
}

impl Table {
    async fn rows(&self, target: &Target, session: &mut PgConnection) -> Result<Vec<Lock>> {
        let columns: Vec<String> = self
            .columns
            .values()
            .map(|c| format!("{}::text", ident(c)))
            .collect();
        let sql = format!(
            "SELECT ARRAY[{}] AS values, xmin::text AS written_by, ctid::text AS lies_at,
                    CASE WHEN current_setting('track_commit_timestamp') = 'on' AND age(xmin) < 2147483647
                         THEN pg_xact_commit_timestamp(xmin)::text END AS written_at
             FROM {} ORDER BY 1 LIMIT 20",
            columns.join(", "),
            qualified(&self.schema, &self.name)
        );
        let what = format!("read the lock `{}.{}`", self.schema, self.name);
        let found = rows(target, session, &what, &sql).await?;
        Ok(found.iter().map(|row| self.lock(target, row)).collect())
    }

    fn lock(&self, target: &Target, row: &PgRow) -> Lock {
        let values: Vec<Option<String>> = row.get("values");
        let values: BTreeMap<String, Option<String>> =
            self.columns.values().cloned().zip(values).collect();
        let value = |column: &str| self.columns.get(column).and_then(|c| values[c].clone());
        let held = value(self.shape.held);
        let held =
            self.shape.is_presence() || held.is_some_and(|v| !matches!(v.as_str(), "false" | "0"));
        let said = self.shape.holder.and_then(value).filter(|_| held);
        let since = self.shape.since.and_then(value).filter(|_| held);
        let key = value(self.shape.columns[0]).unwrap_or_default();
        let written_at = row.get("written_at");
        let row = LockRow {
            tool: self.tool,
            database: target.database.clone(),
            schema: self.schema.clone(),
            table: self.name.clone(),
            values,
            written_by: row.get("written_by"),
            lies_at: row.get("lies_at"),
            key: None,
        };
        Lock {
            id: format!("{}:{}.{}:{key}", row.database, row.schema, row.table),
            state: if held { State::Held } else { State::Free },
            holder: said.map(|said| liquibase::holder(&said)),
            since,
            written_at,
            ..Lock::free(row)
        }
    }
}

/// The database's sessions but ours, as far as this role sees them.
async fn sessions(target: &Target, session: &mut PgConnection, table: &Table) -> Result<Vec<Seen>> {
    let polls = match table.shape.polls {
        Some(pattern) => format!(
            "coalesce(a.query ILIKE {} AND a.query ILIKE {}, false)",
            literal(pattern),
            literal(&format!("%{}%", table.name))
        ),
        None => "false".to_owned(),
    };
    // What an earlier table's look saw of the sessions is not what they do now.
    run(target, session, "SELECT pg_stat_clear_snapshot()").await?;
    // Whoever waits for the row itself has the table's lock, and is blocked by another who has it. A holder may be blocked, too,
    // by somebody who has nothing to do with the lock.
    let sql = format!(
        "WITH writes AS (
             SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'relation' AND granted AND relation = {}::int8::oid
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
         SELECT a.pid, a.backend_start::text AS began, a.usename::text AS role, coalesce(a.application_name, '') AS application,
                host(a.client_addr) AS address, a.client_hostname AS host, a.client_port AS port, a.state,
                coalesce(a.query = '<insufficient privilege>', false) AS hidden, {polls} AS polls, writes.pid IS NOT NULL AS writes,
                EXISTS (SELECT FROM unnest(pg_blocking_pids(a.pid)) b (pid) JOIN writes w ON w.pid = b.pid) AS blocked
         FROM pg_stat_activity a LEFT JOIN writes ON writes.pid = a.pid
         WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
           AND (a.backend_type = 'client backend' OR a.backend_type IS NULL) ORDER BY a.pid",
        table.oid
    );
    let found = query(sqlx::AssertSqlSafe(sql))
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, "look at the sessions", e))?;
    Ok(found
        .iter()
        .map(|row| {
            let (writes, blocked): (bool, bool) = (row.get("writes"), row.get("blocked"));
            let seen = Seen::read(row);
            Seen {
                holds_table: writes && !blocked,
                waits: seen.waits || writes && blocked,
                ..seen
            }
        })
        .collect())
}
