//! Who blocks whom: sessions that wait for locks, those they wait for, and transactions that somebody forgot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::Target;
use super::session::{Access, close, failed, leave, open, pinned, rows, run, scalar};
use super::sql::literal;
use crate::consent::Consent;
use crate::error::Result;
use crate::time::Span;

/// What stands in the way in a database, as Postgres shows it to this role.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Blockers {
    /// The database.
    pub database: String,
    /// Sessions that wait, that others wait for, or that are idle in a transaction.
    pub sessions: Vec<Involved>,
    /// Transactions that were prepared for a two-phase commit and not ended; they hold their locks without any session.
    pub prepared: Vec<Prepared>,
    /// Advisory locks of sessions that have long been idle and have no migration tool's name: perhaps nobody lets go of them.
    pub advisory: Vec<Advisory>,
    /// How many sessions hide their details from this role.
    pub hidden: usize,
}

/// A session that waits, or is in the way.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Involved {
    /// The server process.
    pub pid: i32,
    /// When it began.
    pub began: Option<String>,
    /// `client backend`, or what else of the server it is.
    pub backend: Option<String>,
    /// The role it logged in as.
    pub role: Option<String>,
    /// Its `application_name`.
    pub application: String,
    /// Where its client is; null for a socket of the server's own machine.
    pub address: Option<String>,
    /// `active`, `idle in transaction` …
    pub state: Option<String>,
    /// Seconds since its transaction began.
    pub transaction_seconds: Option<f64>,
    /// Seconds it has been in this state.
    pub state_seconds: Option<f64>,
    /// The processes it waits for; 0 stands for a prepared transaction.
    pub blocked_by: Vec<i32>,
    /// The lock it waits for; null if it waits for none.
    pub waits_for: Option<Wanted>,
    /// Its statement, with every literal as `?`; of an idle session the last one.
    pub statement: Option<String>,
}

/// A lock that is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Wanted {
    /// `relation`, `transactionid`, `tuple`, `advisory` …
    pub kind: String,
    /// `AccessExclusiveLock` …
    pub mode: String,
    /// The table or index.
    pub relation: Option<String>,
    /// Seconds it has waited; null in the first moment.
    pub seconds: Option<f64>,
}

/// A prepared transaction.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Prepared {
    /// Its global id.
    pub gid: String,
    /// Who prepared it.
    pub owner: String,
    /// When.
    pub at: String,
    /// How many seconds ago.
    pub seconds: f64,
    /// The processes that wait for a lock that it holds.
    pub blocks: Vec<i32>,
}

/// An advisory lock of a session that is idle.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Advisory {
    /// The server process.
    pub pid: i32,
    /// When it began.
    pub began: Option<String>,
    /// The role it logged in as.
    pub role: Option<String>,
    /// Its `application_name`.
    pub application: String,
    /// Where its client is; null for a socket of the server's own machine.
    pub address: Option<String>,
    /// The lock's number, or its two numbers.
    pub key: String,
    /// `ExclusiveLock` or `ShareLock`.
    pub mode: String,
    /// `idle`, `idle in transaction` …
    pub state: String,
    /// Seconds it has been in this state.
    pub seconds: f64,
    /// Its last statement, with every literal as `?`.
    pub statement: Option<String>,
}

/// Names, in lower case, of tools that hold an advisory lock while they migrate.
const TOOLS: &[&str] = &[
    "liquibase",
    "flyway",
    "knex",
    "prisma",
    "schema engine",
    "schema-engine",
    "alembic",
    "rails",
    "goose",
    "atlas",
    "migrat",
];

/// What a session waits for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ahead {
    /// Another session, which may wait itself.
    Session(Box<Involved>),
    /// A prepared transaction.
    Prepared(Prepared),
}

impl Ahead {
    /// What names it for `migrate blockers --end-root`.
    pub fn name(&self) -> String {
        match self {
            Ahead::Session(session) => session.pid.to_string(),
            Ahead::Prepared(prepared) => format!("gid:{}", prepared.gid),
        }
    }

    /// Whether it waits for nobody.
    pub fn is_root(&self) -> bool {
        match self {
            Ahead::Session(session) => session.blocked_by.is_empty(),
            Ahead::Prepared(_) => true,
        }
    }

    /// As a person reads it.
    pub fn words(&self) -> String {
        match self {
            Ahead::Session(session) => session.words(),
            Ahead::Prepared(prepared) => prepared.words(),
        }
    }
}

impl Prepared {
    /// As a person reads it.
    pub fn words(&self) -> String {
        format!(
            "prepared transaction `{}` of `{}`, {} old",
            self.gid,
            self.owner,
            Span::measured(self.seconds)
        )
    }
}

impl Involved {
    /// As a person reads it.
    pub fn words(&self) -> String {
        let mut said = format!("pid {}", self.pid);
        if !self.application.is_empty() {
            said.push_str(&format!(" `{}`", self.application));
        }
        if let Some(role) = &self.role {
            said.push_str(&format!(" as `{role}`"));
        }
        if let Some(address) = &self.address {
            said.push_str(&format!(" from {address}"));
        }
        if let Some(state) = &self.state {
            said.push_str(&format!(": {state}"));
            if let Some(seconds) = self.state_seconds {
                said.push_str(&format!(" for {}", Span::measured(seconds)));
            }
        }
        if let Some(seconds) = self.transaction_seconds {
            said.push_str(&format!(", transaction {} old", Span::measured(seconds)));
        }
        if let Some(wanted) = &self.waits_for {
            let on = wanted.relation.as_deref().unwrap_or(&wanted.kind);
            said.push_str(&format!(", waits for {} on {on}", wanted.mode));
            if let Some(seconds) = wanted.seconds {
                said.push_str(&format!(" since {}", Span::measured(seconds)));
            }
        }
        if self.blocked_by.contains(&0) {
            said.push_str(", behind a prepared transaction");
        }
        said
    }
}

impl Blockers {
    /// What these processes wait for, directly or behind others, the nearest first.
    pub fn ahead_of(&self, waiting: &[i32]) -> Vec<Ahead> {
        let mut ahead = Vec::new();
        let mut seen: BTreeSet<i32> = waiting.iter().copied().collect();
        let mut next: VecDeque<i32> = waiting.iter().copied().collect();
        while let Some(pid) = next.pop_front() {
            let session = self.sessions.iter().find(|s| s.pid == pid);
            for blocker in session.iter().flat_map(|s| &s.blocked_by) {
                if *blocker != 0 && seen.insert(*blocker) {
                    let session = self.sessions.iter().find(|s| s.pid == *blocker);
                    ahead.extend(session.cloned().map(|s| Ahead::Session(Box::new(s))));
                    next.push_back(*blocker);
                }
            }
            for prepared in self.prepared.iter().filter(|p| p.blocks.contains(&pid)) {
                let prepared = Ahead::Prepared(prepared.clone());
                if !ahead.contains(&prepared) {
                    ahead.push(prepared);
                }
            }
        }
        ahead
    }

    /// How many wait for a process, directly or behind others.
    pub fn waiting_for(&self, root: i32) -> usize {
        let mut behind = BTreeSet::from([root]);
        loop {
            let before = behind.len();
            let waits = |s: &&Involved| s.blocked_by.iter().any(|pid| behind.contains(pid));
            let more: Vec<i32> = self.sessions.iter().filter(waits).map(|s| s.pid).collect();
            behind.extend(more);
            if behind.len() == before {
                return before - 1;
            }
        }
    }

    /// Those that others wait for and that wait for nobody.
    pub fn roots(&self) -> Vec<&Involved> {
        let in_the_way: BTreeSet<i32> = self
            .sessions
            .iter()
            .flat_map(|s| s.blocked_by.iter().copied())
            .collect();
        self.sessions
            .iter()
            .filter(|s| s.blocked_by.is_empty() && in_the_way.contains(&s.pid))
            .collect()
    }
}

/// How long a session that holds an advisory lock is idle before it is told of.
pub const LONG: Duration = Duration::from_secs(60);

/// Looks at a database's sessions once; at advisory locks of those that have been idle for as long as `idle`.
pub async fn blockers(target: &Target, idle: Duration) -> Result<Blockers> {
    let mut session = open(target, Access::Read).await?;
    let limits = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '20s'";
    run(target, &mut session, limits).await?;
    let sql = "SELECT a.pid, a.backend_start::text AS began, a.usename::text AS role, coalesce(a.application_name, '') AS application,
            host(a.client_addr) AS address, a.backend_type AS backend, a.state, a.query = '<insufficient privilege>' AS hidden, a.query AS statement,
            extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_seconds,
            extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_seconds,
            pg_blocking_pids(a.pid) AS blocked_by, w.locktype AS kind, w.mode, w.relation,
            extract(epoch FROM clock_timestamp() - w.waitstart)::float8 AS waited
         FROM pg_stat_activity a
         LEFT JOIN LATERAL (SELECT l.locktype, l.mode, l.relation::regclass::text AS relation, l.waitstart FROM pg_locks l
                            WHERE l.pid = a.pid AND NOT l.granted LIMIT 1) w ON true
         WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() ORDER BY a.xact_start NULLS LAST, a.pid";
    let found = rows(target, &mut session, "look at the sessions", sql).await?;
    // A prepared transaction has no process. Its locks are those of whoever holds the lock on its number; only those that conflict
    // with what is waited for are in the way (PostgreSQL documentation, table 13.2).
    let prepared = "SELECT gid, owner::text AS owner, prepared::text AS at, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds,
            ARRAY(SELECT DISTINCT w.pid FROM pg_locks w JOIN pg_locks h
                  ON (h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
                     IS NOT DISTINCT FROM (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid)
                  JOIN pg_locks x ON x.virtualtransaction = h.virtualtransaction
                  WHERE NOT w.granted AND w.pid IS NOT NULL AND h.granted AND h.pid IS NULL AND x.pid IS NULL AND h.mode <> 'SIReadLock'
                    AND CASE w.mode WHEN 'AccessShareLock' THEN h.mode = 'AccessExclusiveLock'
                        WHEN 'RowShareLock' THEN h.mode IN ('ExclusiveLock', 'AccessExclusiveLock')
                        WHEN 'RowExclusiveLock' THEN h.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                        WHEN 'ShareUpdateExclusiveLock' THEN h.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
                        WHEN 'ShareLock' THEN h.mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareLock')
                        WHEN 'ShareRowExclusiveLock' THEN h.mode NOT IN ('AccessShareLock', 'RowShareLock')
                        WHEN 'ExclusiveLock' THEN h.mode <> 'AccessShareLock' ELSE true END
                    AND 0 = ANY (pg_blocking_pids(w.pid))
                    AND x.locktype = 'transactionid' AND x.granted AND x.transactionid = p.transaction ORDER BY 1) AS blocks
         FROM pg_prepared_xacts p WHERE database = current_database() ORDER BY prepared";
    let prepared = rows(
        target,
        &mut session,
        "look at prepared transactions",
        prepared,
    )
    .await?;
    let advisory = advisory(target, &mut session, idle).await?;
    leave(target, session).await;
    let mut all = BTreeMap::new();
    let mut order = Vec::new();
    let mut hidden = 0;
    for row in &found {
        let concealed = row.get::<Option<bool>, _>("hidden").unwrap_or(false);
        hidden += usize::from(concealed);
        let kind: Option<String> = row.get("kind");
        let statement: Option<String> = row.get("statement");
        let pid: i32 = row.get("pid");
        order.push(pid);
        all.insert(
            pid,
            Involved {
                pid,
                began: row.get("began"),
                backend: row.get("backend"),
                role: row.get("role"),
                application: row.get("application"),
                address: row.get("address"),
                state: row.get("state"),
                transaction_seconds: row.get("transaction_seconds"),
                state_seconds: row.get("state_seconds"),
                blocked_by: row.get("blocked_by"),
                waits_for: kind.map(|kind| Wanted {
                    kind,
                    mode: row.get::<Option<String>, _>("mode").unwrap_or_default(),
                    relation: row.get("relation"),
                    seconds: row.get("waited"),
                }),
                statement: statement.filter(|_| !concealed).map(|s| redacted(&s)),
            },
        );
    }
    let in_the_way: BTreeSet<i32> = all.values().flat_map(|s| s.blocked_by.clone()).collect();
    let involved = |s: &Involved| {
        !s.blocked_by.is_empty()
            || s.waits_for.is_some()
            || in_the_way.contains(&s.pid)
            || s.state
                .as_deref()
                .is_some_and(|state| state.starts_with("idle in transaction"))
    };
    Ok(Blockers {
        database: target.database.clone(),
        sessions: order
            .iter()
            .filter_map(|pid| all.remove(pid))
            .filter(involved)
            .collect(),
        prepared: prepared
            .iter()
            .map(|row| Prepared {
                gid: row.get("gid"),
                owner: row.get("owner"),
                at: row.get("at"),
                seconds: row.get("seconds"),
                blocks: row.get("blocks"),
            })
            .collect(),
        advisory,
        hidden,
    })
}

async fn advisory(
    target: &Target,
    session: &mut PgConnection,
    idle: Duration,
) -> Result<Vec<Advisory>> {
    let sql = "SELECT a.pid, a.backend_start::text AS began, a.usename::text AS role, coalesce(a.application_name, '') AS application,
            host(a.client_addr) AS address, l.mode, a.state, a.query AS statement,
            CASE WHEN l.objsubid = 1 THEN (l.classid::int8 << 32 | l.objid::int8)::text ELSE l.classid || ', ' || l.objid END AS key,
            extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS seconds
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database() AND a.pid <> pg_backend_pid()
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND a.state LIKE 'idle%'
         ORDER BY a.state_change, a.pid, 9";
    let found = rows(target, session, "look at advisory locks", sql).await?;
    let all = found.iter().map(|row| Advisory {
        pid: row.get("pid"),
        began: row.get("began"),
        role: row.get("role"),
        application: row.get("application"),
        address: row.get("address"),
        key: row.get("key"),
        mode: row.get("mode"),
        state: row.get("state"),
        seconds: row.get("seconds"),
        statement: row
            .get::<Option<String>, _>("statement")
            .map(|s| redacted(&s)),
    });
    let of_tool = |a: &Advisory| {
        let name = a.application.to_lowercase();
        TOOLS.iter().any(|tool| name.contains(tool))
    };
    Ok(all
        .filter(|a| a.seconds >= idle.as_secs_f64() && !of_tool(a))
        .collect())
}

/// Rolls a prepared transaction back if it is still that one.
pub async fn rollback_prepared(target: &Target, prepared: (&str, &str), _: &Consent) -> Result<()> {
    let (gid, at) = prepared;
    let mut session = open(target, Access::Write).await?;
    let work = async {
        let there: Option<i32> = pinned(target, &mut session, async |session| {
            scalar("SELECT 1 FROM pg_prepared_xacts WHERE gid = $1 AND prepared::text = $2")
                .bind(gid)
                .bind(at)
                .fetch_optional(session)
                .await
                .map_err(|e| failed(target, "look at a prepared transaction", e))
        })
        .await?;
        match there {
            // Somebody has ended it, which is what was wanted.
            None => Ok(()),
            Some(_) => {
                run(
                    target,
                    &mut session,
                    &format!("ROLLBACK PREPARED {}", literal(gid)),
                )
                .await
            }
        }
    };
    let done = work.await;
    close(session).await;
    done
}

/// A statement with every literal, number and comment taken out, on one line, at most 200 characters: what it does, and never
/// whose data it does it to. What cannot be read to its end is cut there.
fn redacted(statement: &str) -> String {
    let mut out = String::new();
    let mut rest = statement;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let in_word = out.ends_with(|p: char| p.is_alphanumeric() || p == '_' || p == '$');
        if c == '\'' {
            // Doubled quotes end one literal and begin the next; with a backslash in it nobody knows where it ends.
            out.push('?');
            match after.find('\'') {
                Some(end) if !after[..end].contains('\\') => rest = &after[end + 1..],
                _ => return ended(out),
            }
        } else if c == '"' {
            let Some(end) = after.find('"') else {
                return ended(out);
            };
            out.push_str(&rest[..end + 2]);
            rest = &after[end + 1..];
        } else if c == '$' && !in_word {
            let tag = after.find('$').map(|end| &rest[..end + 2]);
            let name = |t: &str| {
                t[1..t.len() - 1]
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '_')
            };
            match tag.filter(|t| name(t) && !t[1..].starts_with(|c: char| c.is_ascii_digit())) {
                Some(tag) => match rest[tag.len()..].find(tag) {
                    Some(end) => {
                        out.push('?');
                        rest = &rest[2 * tag.len() + end..];
                    }
                    None => return ended(out),
                },
                None => {
                    out.push(c);
                    rest = after;
                }
            }
        } else if rest.starts_with("--") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            match rest.find("*/") {
                Some(end) if !rest[2..end].contains("/*") => rest = &rest[end + 2..],
                _ => return ended(out),
            }
        } else if c.is_ascii_digit() && !in_word {
            out.push('?');
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if c.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
            rest = after;
        } else {
            out.push(c);
            rest = after;
        }
    }
    let short: String = out.trim().chars().take(200).collect();
    short
}

fn ended(out: String) -> String {
    let short: String = out.trim().chars().take(200).collect();
    format!("{short} …")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_literal_is_shown() {
        for (statement, shown) in [
            (
                "select * from t1 where a = 'x''y' and b=42.5e3",
                "select * from t1 where a = ?? and b=?",
            ),
            (
                "UPDATE \"T 1\" SET x = $1 -- secret\n WHERE y = $2",
                "UPDATE \"T 1\" SET x = $1 WHERE y = $2",
            ),
            ("DO $$ secret $$", "DO ?"),
            ("DO $tag$ a $b$ secret $tag$; x", "DO ?; x"),
            ("DO $$ cut off", "DO …"),
            ("select E'it\\'s secret', 7", "select E? …"),
            ("select /* secret */ 1", "select ?"),
            ("select /* a /* secret */ b */ 1", "select …"),
            ("insert into t values ('cut", "insert into t values (? …"),
        ] {
            let seen = redacted(statement);
            assert_eq!(seen, shown, "{statement}");
            assert!(!seen.contains("secret"));
        }
    }
}
