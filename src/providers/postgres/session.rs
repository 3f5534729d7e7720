//! One connection to Postgres: made with a deadline, its errors told apart.
//!
//! Nothing here changes the state of a session: through a transaction pooler a plain `SET` would stay behind in a
//! server session that the application gets next. Whatever is set is set with `SET LOCAL` inside a transaction, and
//! reading happens in READ ONLY transactions.
//!
//! Sessions of our own have an empty `search_path`: anybody who may create in a schema of the path could otherwise have a
//! function or an operator that fits our queries better than the server's, and it would run with our rights. They have it
//! from their start; where a pooler refuses that, READ ONLY transactions begin with it, and whoever writes begins with
//! [`PINNED`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::{PgArguments, PgConnection, PgDatabaseError, PgRow};
use sqlx::query::{Query, QueryScalar};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, FromRow, Postgres, Row as _, SqlSafeStr,
};

use super::channel::notice_silence_of;
use super::{
    BAD_DSN, CONNECTION_LOST, DISK_FULL, LOCK_TIMEOUT, LOGIN_REFUSED, NO_DATABASE, NOT_ACCEPTING,
    OLDEST_MAJOR, PERMISSION_DENIED, QUERY_FAILED, ROW_SECURITY, STANDBY_CONFLICT,
    STATEMENT_TIMEOUT, TLS_FAILED, Target, UNREACHABLE, UNSUPPORTED_VERSION, refuse_pooler,
};
use crate::error::{Error, Result, TIMEOUT};
use crate::wait::Deadline;

/// How long a connection may take to be made where the caller has no deadline of its own.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// Whether a session may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The session is inside a READ ONLY transaction: the server itself refuses whatever would write.
    Read,
    /// Outside a transaction, with the role's own rights.
    Write,
    /// [`Access::Write`] with the `search_path` that the role and the database have: for statements that others wrote.
    AsGiven,
}

/// What a server says when it is asked whether it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Its version, as it says: `15.14 (Debian 15.14-0+deb12u1)`.
    pub version: String,
    /// From the start of the connection to the answer of a query.
    pub latency: Duration,
    /// `major`, `in-recovery`, `database`, `tls`, `connections`, `max-connections`, `database-bytes`; what could not
    /// be read is absent.
    pub facts: BTreeMap<String, Value>,
}

/// Connects, logs in, and runs real queries, all before the deadline.
pub async fn ping(target: &Target, deadline: Deadline) -> Result<Health> {
    let began = Instant::now();
    let mut session = connect(target, Access::Read, deadline).await?;
    let work = async {
        let row = query(
            "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS in_recovery",
        )
        .fetch_one(&mut session)
        .await
        .map_err(|e| failed(target, "ask the version", e))?;
        let latency = began.elapsed();
        let facts = health_facts(target, &mut session, &row).await?;
        let health = Health {
            version: row.get("version"),
            latency,
            facts,
        };
        close(session).await;
        Ok(health)
    };
    within(target, deadline, work).await
}

async fn health_facts(
    target: &Target,
    session: &mut PgConnection,
    row: &PgRow,
) -> Result<BTreeMap<String, Value>> {
    let mut facts = BTreeMap::from([
        ("major".to_owned(), json!(major(target, session).await?)),
        ("database".to_owned(), json!(target.database)),
        (
            "in-recovery".to_owned(),
            json!(row.get::<bool, _>("in_recovery")),
        ),
    ]);
    let more = query(
        "SELECT (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls,
                (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
                current_setting('max_connections')::int8 AS max_connections,
                pg_database_size(current_database()) AS bytes",
    )
    .fetch_one(session)
    .await;
    // A role with few rights may be refused one of these; the server is healthy all the same.
    if let Ok(more) = more {
        if let Some(tls) = more.get::<Option<bool>, _>("tls") {
            facts.insert("tls".to_owned(), json!(tls));
        }
        for (name, column) in [
            ("connections", "connections"),
            ("max-connections", "max_connections"),
            ("database-bytes", "bytes"),
        ] {
            facts.insert(name.to_owned(), json!(more.get::<i64, _>(column)));
        }
    }
    Ok(facts)
}

/// Opens a session. Versions older than 14 are refused here, once for all.
pub async fn connect(target: &Target, access: Access, deadline: Deadline) -> Result<PgConnection> {
    // On the heap: it is a part of almost every future here, which would fill a thread's stack.
    Box::pin(connect_with(target, access, deadline, &[])).await
}

/// [`connect`] with settings that the session has from its very start.
pub(super) async fn connect_with(
    target: &Target,
    access: Access,
    deadline: Deadline,
    settings: &[(&str, &str)],
) -> Result<PgConnection> {
    if let Some(path) = &target.root_cert
        && let Err(e) = std::fs::metadata(path)
    {
        return Err(Error::new(
            &BAD_DSN,
            format!("cannot read `sslrootcert` `{}`", path.display()),
        )
        .caused_by(e));
    }
    let work = async {
        let mut session = logged_in(target, access, settings).await?;
        let major = major(target, &mut session).await?;
        if major < OLDEST_MAJOR {
            return Err(Error::new(
                &UNSUPPORTED_VERSION,
                format!(
                    "Postgres {major} at `{}` is not supported",
                    target.endpoint()
                ),
            )
            .hint(format!(
                "The oldest supported version is {OLDEST_MAJOR}; upgrade the server."
            )));
        }
        if access == Access::Read {
            let begin = format!("BEGIN READ ONLY; {PINNED_PATH}");
            run_as(target, &mut session, "begin to read", &begin).await?;
        }
        Ok(session)
    };
    within(target, deadline, work).await
}

/// No name is looked for anywhere but in the server's own schema, unless its schema is written with it.
pub(super) const PINNED_PATH: &str = "SET LOCAL search_path = ''";

/// The beginning of a transaction of [`Access::Write`].
pub(super) const PINNED: &str = "BEGIN; SET LOCAL search_path = ''";

async fn logged_in(
    target: &Target,
    access: Access,
    settings: &[(&str, &str)],
) -> Result<PgConnection> {
    let mut all = settings.to_vec();
    if access != Access::AsGiven {
        all.push(("search_path", ""));
    }
    let connected = match all.as_slice() {
        // Poolers refuse even an empty list.
        [] => target.connect_options().connect().await,
        all => {
            let options = target.connect_options().options(all.iter().copied());
            match options.connect().await {
                Err(e) if settings.is_empty() && refuses_options(&e) => {
                    target.connect_options().connect().await
                }
                other => other,
            }
        }
    };
    let session = connected.map_err(|e| failed(target, "connect", e))?;
    if !target.host.starts_with('/') {
        // Where the system does not let us, as in some containers, its own limits hold.
        let _ = notice_silence_of(target.port);
    }
    Ok(session)
}

/// Whether a pooler refused that a session begins with settings: protocol_violation, feature_not_supported.
fn refuses_options(e: &sqlx::Error) -> bool {
    let code = e.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code == "08P01" || code == "0A000")
}

/// Runs `work` in a transaction of a session that is in none.
pub(super) async fn pinned<T>(
    target: &Target,
    session: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T>,
) -> Result<T> {
    run_as(target, session, "begin a transaction", PINNED).await?;
    let done = work(&mut *session).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = run(target, session, end).await;
    let done = done?;
    ended.map(|()| done)
}

/// [`connect`] with the ordinary patience.
pub async fn open(target: &Target, access: Access) -> Result<PgConnection> {
    connect(target, access, Deadline::after(CONNECT_PATIENCE)).await
}

/// How long a session may take to end a transaction that only read.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Lifts the time limits that a role or a database may have set, as far as this version of the server knows them.
pub(super) const NO_LIMITS: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
    WHERE name OPERATOR(pg_catalog.=) ANY ('{statement_timeout,lock_timeout,idle_in_transaction_session_timeout,idle_session_timeout,transaction_timeout}'::pg_catalog.text[])";

/// [`open`] for what may take long and cannot be inside a transaction, such as `CREATE DATABASE`: time limits of the
/// role do not end it. To be closed by [`close_unlimited`].
pub(super) async fn open_unlimited(target: &Target) -> Result<PgConnection> {
    let mut session = open(target, Access::Write).await?;
    let path = search_path(target, &mut session).await?;
    if !path.is_empty() {
        // A pooler. One that keeps sessions apart keeps what is set in them apart too.
        refuse_pooler(target).await?;
        run(target, &mut session, "SET search_path = ''").await?;
    }
    run(target, &mut session, NO_LIMITS).await?;
    Ok(session)
}

/// Gives the limits back first, since a pooler may hand the server's process to somebody else.
pub(super) async fn close_unlimited(target: &Target, mut session: PgConnection) {
    let back = NO_LIMITS.replace("'0'", "reset_val");
    let back = format!("{back}; RESET search_path");
    // A session that is gone has given them back.
    let _ = run(target, &mut session, &back).await;
    close(session).await;
}

/// Ends a session politely; an open transaction is rolled back. The peer may be gone already, which is as good.
pub(super) async fn close(session: PgConnection) {
    let _ = session.close().await;
}

/// [`close`] for a session that was asked and answered. A pooler ends its own session with one that leaves in the middle of a
/// transaction, and with it the advisory locks that somebody else's work holds there: so the transaction ends first.
pub(super) async fn leave(target: &Target, mut session: PgConnection) {
    let ended = run(target, &mut session, "ROLLBACK");
    let _ = tokio::time::timeout(LEAVE_PATIENCE, ended).await;
    close(session).await;
}

/// Where the session looks for names.
pub(super) async fn search_path(target: &Target, session: &mut PgConnection) -> Result<String> {
    // As in `major`.
    let row = session
        .fetch_one(sqlx::raw_sql(
            "SELECT pg_catalog.current_setting('search_path') AS path",
        ))
        .await
        .map_err(|e| failed(target, "ask for the search path", e))?;
    Ok(row.get("path"))
}

/// The server's major version.
pub(super) async fn major(target: &Target, session: &mut PgConnection) -> Result<u32> {
    // By the simple protocol, which a transaction pooler cannot tear apart: this is the first query of every session.
    let row = session
        .fetch_one(sqlx::raw_sql(
            "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS number",
        ))
        .await
        .map_err(|e| failed(target, "ask the version", e))?;
    let number: i32 = row.get("number");
    Ok(u32::try_from(number).unwrap_or(0) / 10_000)
}

/// Runs one or several statements that return nothing. The text must come from constants and [`super::sql`]'s quoting.
pub(super) async fn run(target: &Target, session: &mut PgConnection, sql: &str) -> Result<()> {
    run_as(target, session, &what_of(sql), sql).await
}

/// [`run`] of statements that hold what no error may repeat; `what` stands for them.
pub(super) async fn run_as(
    target: &Target,
    session: &mut PgConnection,
    what: &str,
    sql: &str,
) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(session)
        .await
        .map_err(|e| failed(target, what, e))?;
    Ok(())
}

/// A query by an unnamed statement: named ones stay behind in the server process that a pooler gives to somebody else.
pub(super) fn query<'q>(sql: impl SqlSafeStr) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql).persistent(false)
}

/// [`query`] for one column.
pub(super) fn scalar<'q, T>(sql: impl SqlSafeStr) -> QueryScalar<'q, Postgres, T, PgArguments>
where
    (T,): for<'r> FromRow<'r, PgRow>,
{
    sqlx::query_scalar(sql).persistent(false)
}

/// All rows of a query without parameters. The text must come from constants and [`super::sql`]'s quoting.
pub(super) async fn rows(
    target: &Target,
    session: &mut PgConnection,
    what: &str,
    sql: &str,
) -> Result<Vec<PgRow>> {
    query(sqlx::AssertSqlSafe(sql))
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, what, e))
}

/// All values of a query's first column, as text.
pub(super) async fn texts(
    target: &Target,
    session: &mut PgConnection,
    what: &str,
    sql: &str,
) -> Result<Vec<String>> {
    scalar(sqlx::AssertSqlSafe(sql))
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, what, e))
}

/// The first line of a statement, cut short, for messages.
fn what_of(sql: &str) -> String {
    let line = sql.trim().lines().next().unwrap_or_default();
    let short: String = line.chars().take(80).collect();
    format!("run `{}`", short.trim())
}

pub(super) async fn within<T>(
    target: &Target,
    deadline: Deadline,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    deadline
        .run("the answer of Postgres", work)
        .await
        .map_err(|e| {
            if e.reason() == &TIMEOUT {
                Error::new(
                    &UNREACHABLE,
                    format!("cannot reach Postgres {}", target.place()),
                )
                .caused_by(e)
            } else {
                e
            }
        })
}

/// Turns sqlx's error into ours: what was tried, where, and why not. Row contents (the server's DETAIL and CONTEXT)
/// are left out, because errors end up in reports.
pub(super) fn failed(target: &Target, what: &str, e: sqlx::Error) -> Error {
    let place = target.place();
    match e {
        sqlx::Error::Database(db) => match db.try_downcast_ref::<PgDatabaseError>() {
            Some(pg) => server_said(target, what, pg.code(), pg.message()),
            None => Error::new(
                &QUERY_FAILED,
                format!("cannot {what} in {place}: {}", db.message()),
            ),
        },
        sqlx::Error::Tls(cause) => tls_failed(target, cause),
        // What rustls refuses, such as a certificate, comes as an error of the stream.
        sqlx::Error::Io(cause)
            if cause
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>()) =>
        {
            tls_failed(target, cause)
        }
        sqlx::Error::Io(cause) if what == "connect" => {
            Error::new(&UNREACHABLE, format!("cannot reach Postgres {place}")).caused_by(cause)
        }
        sqlx::Error::Io(cause) => Error::new(
            &CONNECTION_LOST,
            format!("lost the connection to Postgres {place} while trying to {what}"),
        )
        .caused_by(cause),
        sqlx::Error::Configuration(cause) => {
            Error::new(&BAD_DSN, format!("cannot {what} to {place}")).caused_by(cause)
        }
        other => Error::new(&QUERY_FAILED, format!("cannot {what} in {place}")).caused_by(other),
    }
}

pub(super) fn tls_failed(
    target: &Target,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(
        &TLS_FAILED,
        format!(
            "cannot agree on TLS with Postgres {} (`sslmode={}`)",
            target.place(),
            target.tls.name()
        ),
    )
    .caused_by(cause)
}

/// SQLSTATE codes: PostgreSQL documentation, appendix A.
pub(super) fn server_said(target: &Target, what: &str, code: &str, message: &str) -> Error {
    let place = target.place();
    let said = format!("{message} (SQLSTATE {code})");
    match code {
        "28P01" | "28000" => Error::new(
            &LOGIN_REFUSED,
            format!(
                "Postgres at `{}` refused the login of `{}` to `{}`: {said}",
                target.endpoint(),
                target.user,
                target.database
            ),
        ),
        "3D000" => Error::new(
            &NO_DATABASE,
            format!(
                "Postgres at `{}` has no database `{}`",
                target.endpoint(),
                target.database
            ),
        ),
        "57P03" | "53300" => Error::new(
            &NOT_ACCEPTING,
            format!("Postgres {place} takes no connections now: {said}"),
        ),
        // 55000 at connection time: the database has ALLOW_CONNECTIONS false.
        "55000" if what == "connect" => Error::new(
            &NOT_ACCEPTING,
            format!("Postgres {place} takes no connections now: {said}"),
        ),
        "57P01" | "57P02" | "08006" => Error::new(
            &CONNECTION_LOST,
            format!("Postgres {place} ended the session while trying to {what}: {said}"),
        ),
        "25P03" | "25P04" | "57P05" => Error::new(
            &STATEMENT_TIMEOUT,
            format!("Postgres {place} gave no time to {what}, and ended the session: {said}"),
        ),
        "55P03" => Error::new(
            &LOCK_TIMEOUT,
            format!("another session holds a lock that is needed to {what} in {place}: {said}"),
        ),
        "42501" if message.contains("row-level security") => Error::new(
            &ROW_SECURITY,
            format!(
                "`{}` does not see every row in {place}: {said}",
                target.user
            ),
        )
        .hint(format!(
            "Use a role with BYPASSRLS: `ALTER ROLE {} BYPASSRLS`. The owner of the table sees every row too, unless row security is forced.",
            super::sql::ident(&target.user)
        )),
        "42501" => {
            let error = Error::new(
                &PERMISSION_DENIED,
                format!("`{}` may not {what} in {place}: {said}", target.user),
            );
            let user = super::sql::ident(&target.user);
            if !message.starts_with("permission denied for") {
                error
            } else if message.contains("large object") {
                // Not even pg_read_all_data reads them.
                error.hint(format!(
                    "Run `GRANT SELECT ON LARGE OBJECT` for each of them, or `ALTER ROLE {user} SET lo_compat_privileges = on` as a superuser."
                ))
            } else {
                error.hint(format!(
                    "For reading, `GRANT pg_read_all_data TO {user}` is enough."
                ))
            }
        }
        "40001" if message.contains("conflict with recovery") => Error::new(
            &STANDBY_CONFLICT,
            format!("the standby {place} cancelled the attempt to {what}: {said}"),
        ),
        "53100" => Error::new(
            &DISK_FULL,
            format!("the disk of the server is full: cannot {what} in {place}: {said}"),
        )
        .hint("Look with `df -h` on the server's host and make room, then go on with the run."),
        "53200" if message.contains("shared memory") => {
            Error::new(&QUERY_FAILED, format!("cannot {what} in {place}: {said}"))
                .hint("The server has no room for so many locks at once: raise `max_locks_per_transaction` and restart it.")
        }
        "XX000" if message.contains("init file") => {
            Error::new(&QUERY_FAILED, format!("cannot {what} in {place}: {said}"))
                .hint("Postgres says this when the disk under its data is full or read-only: look with `df -h` on its host.")
        }
        "57014" if message.contains("timeout") => Error::new(
            &STATEMENT_TIMEOUT,
            format!("Postgres {place} gave no time to {what}: {said}"),
        ),
        _ => Error::new(&QUERY_FAILED, format!("cannot {what} in {place}: {said}")),
    }
}
