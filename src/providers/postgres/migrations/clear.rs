//! Clearing a lock: exactly the row that was shown, or nothing; and the proof that it can be taken then.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;

use super::super::Target;
use super::super::session::{Access, PINNED, close, failed, open, pinned, query, run, scalar};
use super::super::sql::{ident, literal, qualified, shown_qualified};
use super::lock::{LockRow, Seen, Shape};
use super::{LOCK_MOVED, LOCK_NOT_TAKEABLE, SESSION_STAYS};
use crate::consent::Consent;
use crate::error::{Error, Result, TIMEOUT};
use crate::wait::{Deadline, Look, poll};

const LIMITS: &str = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '20s'";
/// How long a session may take to end its transaction after its statement was cancelled: its client may clean up.
const GENTLE: Duration = Duration::from_secs(10);
/// How long a session may take to end after it was told to.
const PATIENCE: Duration = Duration::from_secs(30);

const STATE: &str = "SELECT coalesce(state, 'state hidden') FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2";

/// The statement that clears a lock in a copy that nobody works with; none if its row is no lock.
pub fn by_hand(row: &LockRow) -> Option<String> {
    let shape = shape(row).ok()?;
    let table = shown_qualified(&row.schema, &row.table);
    if shape.is_presence() {
        return Some(format!("DELETE FROM {table} WHERE {}", of_key(row, shape)));
    }
    Some(format!("UPDATE {table} SET {}", freeing(row, shape)))
}

/// Clears a lock whose row is still the one shown, to the last column and version; otherwise nothing is done.
pub async fn free(target: &Target, row: &LockRow, consent: &Consent) -> Result<()> {
    let mut session = open(target, Access::Write).await?;
    let outcome = free_by(target, &mut session, row, consent).await;
    close(session).await;
    outcome
}

/// [`free`] by a session that is in no transaction, and is in none afterwards.
pub async fn free_by(
    target: &Target,
    session: &mut PgConnection,
    row: &LockRow,
    _: &Consent,
) -> Result<()> {
    let sql = exactly(row)?;
    let changed = update(target, session, &format!("{PINNED}; {LIMITS}"), &sql).await;
    let end = if matches!(changed, Ok(1)) {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    let ended = run(target, session, end).await;
    if changed? == 1 {
        ended
    } else {
        Err(moved(row))
    }
}

/// [`free`] within a transaction of the caller's.
pub async fn free_within(
    target: &Target,
    session: &mut PgConnection,
    row: &LockRow,
    _: &Consent,
) -> Result<()> {
    let limits = "SET LOCAL lock_timeout = '3s'";
    match update(target, session, limits, &exactly(row)?).await? {
        1 => Ok(()),
        _ => Err(moved(row)),
    }
}

/// The statement that clears this very row.
fn exactly(row: &LockRow) -> Result<String> {
    let (shape, table, this) = (shape(row)?, table(row), is_row(row));
    Ok(if shape.is_presence() {
        format!("DELETE FROM {table} WHERE {this}")
    } else {
        format!("UPDATE {table} SET {} WHERE {this}", freeing(row, shape))
    })
}

fn freeing(row: &LockRow, shape: &Shape) -> String {
    let set = shape.free.iter();
    let set: Vec<String> = set
        .map(|(column, value)| format!("{} = {value}", written(row, column)))
        .collect();
    set.join(", ")
}

/// True for the row of this key, whatever else it holds.
fn of_key(row: &LockRow, shape: &Shape) -> String {
    let key = shape.columns[0];
    let value = row.values.get(&name_of(row, key)).cloned().flatten();
    let value = literal(&value.unwrap_or_default());
    format!("{}::text = {value}", written(row, key))
}

fn moved(row: &LockRow) -> Error {
    let name = format!("{}.{}", row.schema, row.table);
    Error::new(
        &LOCK_MOVED,
        format!("the row of `{name}` is no longer the one that was shown, so nothing was changed"),
    )
    .hint("Look at it again with `summitctl migrate lock show`.")
}

/// What a session does, by its pid and its start; `None` if it has ended.
pub async fn state_of(target: &Target, seen: &Seen) -> Result<Option<String>> {
    let mut session = open(target, Access::Read).await?;
    let state = scalar(STATE)
        .bind(seen.pid)
        .bind(&seen.began)
        .fetch_optional(&mut session)
        .await
        .map_err(|e| failed(target, "look at the session", e));
    close(session).await;
    state
}

/// Takes the lock in a transaction that is rolled back.
pub async fn prove_takeable(target: &Target, row: &LockRow) -> Result<()> {
    if let Some(key) = row.key {
        return prove_key(target, row, key).await;
    }
    let shape = shape(row)?;
    let (table, this) = (table(row), of_key(row, shape));
    let sql = if shape.is_presence() {
        let values = row.values.iter();
        let (columns, values): (Vec<String>, Vec<String>) = values
            .map(|(column, value)| {
                let value = value.as_deref().map_or("NULL".to_owned(), literal);
                (ident(column), value)
            })
            .unzip();
        let (columns, values) = (columns.join(", "), values.join(", "));
        format!("INSERT INTO {table} ({columns}) VALUES ({values})")
    } else {
        let free = shape
            .free
            .iter()
            .filter(|(column, _)| *column == shape.held);
        let free: Vec<String> = free
            .map(|(column, value)| format!("{} = {value}", written(row, column)))
            .collect();
        format!(
            "UPDATE {table} SET {} = {} WHERE {} AND {this}",
            written(row, shape.take.0),
            shape.take.1,
            free.join(" AND "),
        )
    };
    let mut session = open(target, Access::Write).await?;
    let taken = update(target, &mut session, &format!("{PINNED}; {LIMITS}"), &sql).await;
    // Closing rolls back too; this says so.
    let back = run(target, &mut session, "ROLLBACK").await;
    close(session).await;
    match taken? {
        1 => back,
        n => Err(Error::new(
            &LOCK_NOT_TAKEABLE,
            format!(
                "`{}.{}` was cleared, but taking it changes {n} rows",
                row.schema, row.table
            ),
        )
        .hint("Somebody may have taken it already: see `summitctl migrate lock show`.")),
    }
}

/// Ends sessions by pid *and* start: first their statements, so that their clients can clean up, then themselves.
pub async fn end_sessions(target: &Target, sessions: &[Seen], _: &Consent) -> Result<()> {
    let mut session = open(target, Access::Write).await?;
    let mut outcome = Ok(());
    for seen in sessions {
        outcome = end(target, &mut session, seen).await;
        if outcome.is_err() {
            break;
        }
    }
    close(session).await;
    outcome
}

async fn end(target: &Target, session: &mut PgConnection, seen: &Seen) -> Result<()> {
    if seen.began.is_none() {
        let message = format!(
            "when the session of pid {} began is hidden, and a pid alone may be another's tomorrow",
            seen.pid
        );
        return Err(Error::new(&SESSION_STAYS, message)
            .hint("Use a role that is a member of `pg_read_all_stats` and `pg_signal_backend`."));
    }
    signal(target, session, "pg_cancel_backend", seen).await?;
    if gone(target, session, seen, GENTLE).await.is_ok() {
        return Ok(());
    }
    signal(target, session, "pg_terminate_backend", seen).await?;
    gone(target, session, seen, PATIENCE).await.map_err(|e| {
        if e.reason() != &TIMEOUT {
            return e;
        }
        Error::new(
            &SESSION_STAYS,
            format!("the session of pid {} does not end", seen.pid),
        )
        .caused_by(e)
    })
}

/// Signals the process if it is still that session, in one statement. Nobody there any more is what was wanted.
async fn signal(
    target: &Target,
    session: &mut PgConnection,
    function: &str,
    seen: &Seen,
) -> Result<()> {
    let sql = format!(
        "SELECT {function}(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2"
    );
    // Of a process that ended between the two looks it says `false`; `gone` looks anyway.
    pinned(target, session, async |session| {
        let _: Option<bool> = scalar(sqlx::AssertSqlSafe(sql))
            .bind(seen.pid)
            .bind(&seen.began)
            .fetch_optional(session)
            .await
            .map_err(|e| failed(target, &format!("end the session of pid {}", seen.pid), e))?;
        Ok(())
    })
    .await
}

async fn gone(
    target: &Target,
    session: &mut PgConnection,
    seen: &Seen,
    patience: Duration,
) -> Result<()> {
    let session = Mutex::new(session);
    poll(
        "the end of a session",
        Deadline::after(patience),
        Duration::from_millis(100),
        async || {
            let mut session = session.lock().await;
            let there: Option<String> = pinned(target, &mut session, async |session| {
                scalar(STATE)
                    .bind(seen.pid)
                    .bind(&seen.began)
                    .fetch_optional(session)
                    .await
                    .map_err(|e| failed(target, "look at the session", e))
            })
            .await?;
            Ok(match there {
                None => Look::Ready(()),
                Some(state) => Look::NotYet(format!("pid {} is {state}", seen.pid)),
            })
        },
    )
    .await
}

async fn update(
    target: &Target,
    session: &mut PgConnection,
    begin: &str,
    sql: &str,
) -> Result<u64> {
    run(target, session, begin).await?;
    let done = query(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(session)
        .await
        .map_err(|e| failed(target, "change the migration lock's row", e))?;
    Ok(done.rows_affected())
}

async fn prove_key(target: &Target, row: &LockRow, key: i64) -> Result<()> {
    let mut session = open(target, Access::Write).await?;
    run(target, &mut session, &format!("{PINNED}; {LIMITS}")).await?;
    let taken: bool = scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(key)
        .fetch_one(&mut session)
        .await
        .map_err(|e| failed(target, "take the advisory lock", e))?;
    let back = run(target, &mut session, "ROLLBACK").await;
    close(session).await;
    if taken {
        return back;
    }
    Err(Error::new(
        &LOCK_NOT_TAKEABLE,
        format!(
            "the advisory lock {key} of {} cannot be taken",
            row.tool.name()
        ),
    )
    .hint("Somebody may have taken it already: see `summitctl migrate lock show`."))
}

fn shape(row: &LockRow) -> Result<&'static Shape> {
    row.tool.row_lock().ok_or_else(|| {
        Error::bug(format!(
            "{} has no lock whose row could be changed",
            row.tool.name()
        ))
    })
}

fn table(row: &LockRow) -> String {
    qualified(&row.schema, &row.table)
}

/// A column as the table writes it.
fn name_of(row: &LockRow, column: &str) -> String {
    let own = row.values.keys().find(|c| c.eq_ignore_ascii_case(column));
    own.map_or(column, String::as_str).to_owned()
}

fn written(row: &LockRow, column: &str) -> String {
    ident(&name_of(row, column))
}

/// True for exactly this version of this row.
fn is_row(row: &LockRow) -> String {
    let mut all: Vec<String> = row
        .values
        .iter()
        .map(|(column, value)| {
            let value = value.as_deref().map_or("NULL".to_owned(), literal);
            format!("{}::text IS NOT DISTINCT FROM {value}", ident(column))
        })
        .collect();
    all.push(format!("xmin::text = {}", literal(&row.written_by)));
    all.push(format!("ctid::text = {}", literal(&row.lies_at)));
    all.join(" AND ")
}
