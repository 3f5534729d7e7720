//! Advisory locks: held by a session, and gone with it. Their keys are computed as each tool computes them, for every history
//! table that was found; `pg_locks` then says who holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::super::Target;
use super::super::session::{failed, query, run};
use super::super::sql::literal;
use super::history::Place;
use super::lock::{self, Lock, LockRow, Seen, State};
use super::tool::{Locking, Tool};
use super::verdict::Verdict;
use super::{TOOLS, here};
use crate::error::Result;

/// How a tool takes its advisory lock.
pub(super) struct Shape {
    /// The keys that it may use for a database, schema and history table.
    pub keys: fn(&str, &str, &str) -> Vec<i64>,
    /// Its history table, unless the user renames it.
    pub default_table: &'static str,
    /// What a waiter's last statement looks like, for ILIKE, if it asks again and again instead of waiting.
    pub polls: Option<&'static str>,
    /// Names, in lower case, that the tool gives its sessions.
    pub applications: &'static [&'static str],
    /// The table that it takes its lock in instead, where it is told to.
    pub instead: Option<&'static lock::Shape>,
}

/// CRC-32 as of IEEE 802.3.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Every session of the database with the advisory locks that it holds or waits for; ours only if it holds one, which it never
/// took itself.
struct Session {
    seen: Seen,
    /// Whether a pooler lends it to this very look.
    own: bool,
    holds: Vec<i64>,
    awaits: Vec<i64>,
    /// How long it has been in its state, in seconds.
    for_seconds: Option<f64>,
    /// Its last statement.
    statement: String,
    /// When it began, in seconds.
    began_at: Option<f64>,
    /// Whether it changes a table, index or type, as migrations do and programs rarely.
    changes: bool,
}

/// How long after the session that takes the lock a tool opens the one that migrates.
const TOGETHER: f64 = 60.0;

/// The keys that a tool may take for a history table, the usual one first.
pub(super) fn keys(tool: Tool, database: &str, schema: &str, table: &str) -> Vec<i64> {
    match &tool.0.locking {
        Locking::Advisory(shape) => (shape.keys)(database, schema, table),
        Locking::Row(_) | Locking::None(_) => Vec::new(),
    }
}

/// What a lock's id ends with: always the key, of a tool that may take one of several.
pub(super) fn name_of(tool: Tool, key: i64) -> String {
    match keys(tool, "", "", "").len() {
        0 | 1 => "advisory".to_owned(),
        _ => format!("advisory:{key}"),
    }
}

/// The advisory locks of the tools whose histories the database has, and of others if somebody holds one; and the same by names
/// that are not told, as in [`lock::Locks::by_name`].
pub(super) async fn locks(
    target: &Target,
    session: &mut PgConnection,
    places: &[Place],
    pooled: bool,
) -> Result<(Vec<Lock>, Vec<Lock>)> {
    let sessions = sessions(target, session).await?;
    let prepared = prepared(target, session).await?;
    let (mut found, mut by_name) = (Vec::new(), Vec::new());
    // A tool whose key is of the whole database has one lock, however many histories there are.
    let mut told = BTreeSet::new();
    for known in TOOLS {
        let Locking::Advisory(shape) = &known.locking else {
            continue;
        };
        let tool = Tool(known);
        let mut tables: Vec<(&str, &str)> = places
            .iter()
            .filter(|p| p.tool == tool)
            .map(|p| (p.schema.as_str(), p.table.as_str()))
            .collect();
        let there = !tables.is_empty();
        if !there {
            // It takes its lock before it makes its table.
            tables.push(("public", shape.default_table));
        }
        for (schema, table) in tables {
            let mut keys = keys(tool, &target.database, schema, table);
            keys.dedup();
            let held = |key: &i64| {
                let by = |s: &Session| s.holds.contains(key) || s.awaits.contains(key);
                sessions.iter().any(by) || prepared.contains(key)
            };
            let several = keys.iter().filter(|k| held(k)).count() > 1;
            let any = keys.iter().any(held);
            for (n, key) in keys.into_iter().enumerate() {
                let mut lock = Lock::free(LockRow {
                    tool,
                    database: target.database.clone(),
                    schema: schema.to_owned(),
                    table: table.to_owned(),
                    values: BTreeMap::new(),
                    written_by: String::new(),
                    lies_at: String::new(),
                    key: Some(key),
                });
                judge(&mut lock, key, shape, &sessions, target.port, pooled);
                if prepared.contains(&key) {
                    lock.state = State::InSession;
                    lock.verdict = Some(Verdict::Unknown);
                    lock.observations.push("a prepared transaction holds it, which no client need be alive for: `summitctl migrate blockers` names it".to_owned());
                }
                if several && held(&key) {
                    lock.observations.push(format!(
                        "{} has more than one key for this table, and another is held, too: its holders do not keep each other out",
                        tool.name()
                    ));
                }
                let tells = held(&key) || there && !any && n == 0;
                if tells && told.insert((tool.id(), key)) {
                    found.push(lock);
                } else {
                    by_name.push(lock);
                }
            }
        }
    }
    Ok((found, by_name))
}

/// A lock that is seen only while it is held: an advisory one whose tool has no history table yet, or has another key too, and one
/// whose row is there only so long.
pub fn released(row: &LockRow) -> Option<Lock> {
    (row.key.is_some() || row.is_presence()).then(|| Lock::free(row.clone()))
}

/// Says who holds the lock and what they do. Nobody who holds it is dead: the lock would be gone.
fn judge(lock: &mut Lock, key: i64, shape: &Shape, sessions: &[Session], port: u16, pooled: bool) {
    let of_tool = |s: &Session| {
        let name = s.seen.application.to_lowercase();
        shape.applications.iter().any(|a| name.contains(a))
    };
    let asks = |s: &Session| {
        shape.polls.is_some() && s.seen.waits && s.statement.contains(&key.to_string())
    };
    let holder = sessions.iter().find(|s| s.holds.contains(&key));
    for session in sessions {
        if session.awaits.contains(&key) || !session.holds.contains(&key) && asks(session) {
            lock.waiting.push(Seen {
                waits: true,
                ..session.seen.clone()
            });
        }
    }
    let beside: Vec<&Session> = sessions
        .iter()
        .filter(|s| !s.holds.contains(&key) && of_tool(s) && s.seen.busy() && !asks(s))
        .collect();
    let Some(holder) = holder else {
        for other in beside.into_iter().filter(|s| s.changes) {
            lock.observations.push(format!(
                "nobody holds the lock, but {}; it changes the schema under a name that the tool's sessions have, and may be the migration of a client that was killed",
                other.words()
            ));
            lock.sessions.push(other.seen.clone());
        }
        return;
    };
    lock.state = State::InSession;
    let at_work = |s: &Session| s.seen.state.as_deref() == Some("active");
    lock.sessions.push(Seen {
        holds_table: true,
        of_holder: true,
        waits: false,
        ..holder.seen.clone()
    });
    let mut verdict = if holder.own {
        lock.observations.push(format!(
            "pid {} holds it, and is the session that a transaction pooler lends to this very look",
            holder.seen.pid
        ));
        Verdict::Unknown
    } else if at_work(holder) {
        lock.observations.push(format!(
            "{}, at work; Postgres finishes a statement before it notices that its client was killed",
            holder.words()
        ));
        Verdict::Alive
    } else if holder.seen.hidden || holder.seen.state.is_none() {
        lock.observations.push(format!(
            "pid {} holds it and hides its details from this role; with `pg_read_all_stats` it would see them",
            holder.seen.pid
        ));
        Verdict::Unknown
    } else {
        lock.observations
            .push(format!("{}: it waits for its client", holder.words()));
        Verdict::Unknown
    };
    for other in beside {
        let pair = other.began_at.zip(holder.began_at);
        // A name that many programs have, from an address that many share, proves nothing of a session that changes no schema.
        let near = !pooled
            && other.changes
            && holder.seen.address.is_some()
            && other.seen.address == holder.seen.address
            && other.seen.role == holder.seen.role
            && pair.is_some_and(|(a, b)| (a - b).abs() < TOGETHER);
        if near {
            let word = if at_work(other) {
                verdict = Verdict::Alive;
                "at work, from"
            } else {
                "from"
            };
            lock.observations.push(format!(
                "{}, {word} the holder's address and begun beside it",
                other.words()
            ));
            lock.sessions.push(Seen {
                of_holder: true,
                ..other.seen.clone()
            });
        }
    }
    if verdict == Verdict::Unknown && holder.seen.state.is_some() {
        verdict = client(lock, &holder.seen, port, pooled || holder.own);
    }
    lock.verdict = Some(verdict);
}

/// What may be said of the client of a session that does nothing.
fn client(lock: &mut Lock, holder: &Seen, port: u16, pooled: bool) -> Verdict {
    let address: Option<IpAddr> = holder.address.as_deref().and_then(|a| a.parse().ok());
    let ours = address.is_some_and(|a| a.is_loopback() || here::is_ours(a));
    let client = holder.port.and_then(|p| u16::try_from(p).ok());
    if ours
        && !pooled
        && let Some(client) = client
        && connected(client, port)
    {
        lock.observations.push(format!(
            "its client's end of the connection, port {client} of this machine, is open"
        ));
        return Verdict::Alive;
    }
    let why = if pooled {
        "the connection goes through a transaction pooler, so that the session's client is the pooler"
    } else {
        "Postgres ends such a session as soon as its client closes the connection; a client whose machine or network vanished is noticed by TCP keepalives alone, after two hours unless `tcp_keepalives_idle` says otherwise"
    };
    lock.observations.push(why.to_owned());
    Verdict::Unknown
}

/// Whether this machine has an established connection between these ports (`/proc/net/tcp`, proc(5)).
fn connected(local: u16, remote: u16) -> bool {
    let wanted = (format!(":{local:04X}"), format!(":{remote:04X}"));
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            matches!(fields.as_slice(), [_, from, to, "01", ..] if from.ends_with(&wanted.0) && to.ends_with(&wanted.1))
        })
    })
}

impl Session {
    fn words(&self) -> String {
        let words = self.seen.words();
        match self.for_seconds {
            Some(seconds) => format!("{words} for {seconds:.0} s"),
            None => words,
        }
    }
}

async fn sessions(target: &Target, session: &mut PgConnection) -> Result<Vec<Session>> {
    let patterns: Vec<String> = TOOLS
        .iter()
        .filter_map(|t| match &t.locking {
            Locking::Advisory(shape) => shape.polls.map(literal),
            Locking::Row(_) | Locking::None(_) => None,
        })
        .collect();
    // Keys of 64 bits are shown as two halves, with 1 as their kind (PostgreSQL documentation, pg_locks).
    let sql = format!(
        "WITH held AS (
             SELECT pid, granted, (classid::int8 << 32) | objid::int8 AS key FROM pg_locks
             WHERE locktype = 'advisory' AND objsubid = 1
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
         SELECT a.pid, a.backend_start::text AS began, a.usename::text AS role, coalesce(a.application_name, '') AS application,
                host(a.client_addr) AS address, a.client_hostname AS host, a.client_port AS port, a.state,
                coalesce(a.query = '<insufficient privilege>', false) AS hidden, coalesce(a.query, '') AS statement,
                coalesce(a.query ILIKE ANY (ARRAY[{}]::text[]), false) AS polls,
                extract(epoch FROM clock_timestamp() - CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END)::float8 AS seconds,
                extract(epoch FROM a.backend_start)::float8 AS began_at, a.pid = pg_backend_pid() AS own,
                EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted
                    AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS changes,
                ARRAY(SELECT key FROM held WHERE held.pid = a.pid AND granted) AS holds,
                ARRAY(SELECT key FROM held WHERE held.pid = a.pid AND NOT granted) AS awaits
         FROM pg_stat_activity a WHERE a.datname = current_database()
           AND (a.pid <> pg_backend_pid() OR EXISTS (SELECT FROM held WHERE held.pid = a.pid AND granted))
           AND (a.backend_type = 'client backend' OR a.backend_type IS NULL) ORDER BY a.pid",
        patterns.join(", ")
    );
    run(target, session, "SELECT pg_stat_clear_snapshot()").await?;
    let found = query(sqlx::AssertSqlSafe(sql))
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, "look who holds advisory locks", e))?;
    Ok(found.iter().map(read).collect())
}

fn read(row: &PgRow) -> Session {
    Session {
        seen: Seen::read(row),
        own: row.get("own"),
        holds: row.get("holds"),
        awaits: row.get("awaits"),
        for_seconds: row.get("seconds"),
        statement: row.get("statement"),
        began_at: row.get("began_at"),
        changes: row.get("changes"),
    }
}

/// Keys that prepared transactions hold: no session does.
async fn prepared(target: &Target, session: &mut PgConnection) -> Result<Vec<i64>> {
    let sql = "SELECT (classid::int8 << 32) | objid::int8 AS key FROM pg_locks
         WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid IS NULL
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let found = query(sql)
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, "look who holds advisory locks", e))?;
    Ok(found.iter().map(|row| row.get("key")).collect())
}
