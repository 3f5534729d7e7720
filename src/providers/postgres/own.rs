//! The tables that summitctl keeps in a database, in [`OWN_SCHEMA`], and whether they are its own: whoever may create a schema
//! can make one of that name, with a view, a trigger or a default in it that would run with our rights.

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::session::{failed, query};
use super::sql::literal;
use super::{NOT_OURS, OWN_SCHEMA, Target};
use crate::error::{Error, Result};

/// What is to be done with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Its rows are values and nothing more, whoever made it, and are read by [`least`].
    Read,
    /// Rows are written, or what they say is done.
    Trust,
}

/// Whether the table is there. One that is not ours is an error, and so is a schema that is not. The session is in a transaction
/// with an empty search path.
pub(super) async fn is_there(
    target: &Target,
    session: &mut PgConnection,
    table: &str,
    used: Use,
) -> Result<bool> {
    // A superuser counts as a member of every role, and is to be kept from just those.
    let found = query(
        "WITH us AS (SELECT r.oid, r.rolsuper FROM pg_roles r WHERE r.rolname = current_user),
              trusted AS (SELECT r.oid FROM pg_roles r, us
                          WHERE r.rolsuper OR r.oid = us.oid OR NOT us.rolsuper AND pg_has_role(us.oid, r.oid, 'MEMBER'))
         SELECT pg_get_userbyid(n.nspowner)::text AS schema_owner, n.nspowner IN (SELECT oid FROM trusted) AS schema_trusted,
                c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner, c.relowner IN (SELECT oid FROM trusted) AS trusted,
                EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid) AS triggers,
                EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid) AS rules, c.relrowsecurity AS policies
         FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2 WHERE n.nspname = $1",
    )
    .bind(OWN_SCHEMA)
    .bind(table)
    .fetch_optional(session)
    .await
    .map_err(|e| failed(target, "look for its own tables", e))?;
    let Some(row) = found else {
        return Ok(false);
    };
    if used == Use::Trust && !row.get::<bool, _>("schema_trusted") {
        let owner: String = row.get("schema_owner");
        let why = format!("the schema `{OWN_SCHEMA}` belongs to `{owner}`");
        return Err(not_ours(target, table, &why));
    }
    let Some(kind) = row.get::<Option<String>, _>("kind") else {
        return Ok(false);
    };
    let has = |what: &str| row.get::<Option<bool>, _>(what).unwrap_or(true);
    let why = if kind != "r" {
        "it is no plain table".to_owned()
    } else if used == Use::Trust && !row.get::<Option<bool>, _>("trusted").unwrap_or(false) {
        format!("it belongs to `{}`", row.get::<String, _>("owner"))
    } else if has("triggers") {
        "it has triggers".to_owned()
    } else if has("rules") {
        "it has rules".to_owned()
    } else if has("policies") {
        "it has row-level security".to_owned()
    } else {
        return Ok(true);
    };
    Err(not_ours(target, table, &why))
}

/// The least value of a column, whatever becomes of the table meanwhile: COPY reads tables only, and of those runs nothing.
pub(super) async fn least(
    target: &Target,
    session: &mut PgConnection,
    table: &str,
    column: &str,
) -> Result<Option<String>> {
    let sql = format!("COPY {OWN_SCHEMA}.{table} ({column}) TO STDOUT");
    let what = format!("read `{OWN_SCHEMA}.{table}`");
    let failed = |e| failed(target, &what, e);
    let mut rows = session.copy_out_raw(&sql).await.map_err(failed)?;
    let mut text = Vec::new();
    while let Some(chunk) = rows.try_next().await.map_err(failed)? {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().min().map(str::to_owned))
}

/// Keeps triggers and rules from being added until the transaction ends.
pub(super) fn lock(table: &str) -> String {
    format!("LOCK TABLE ONLY {OWN_SCHEMA}.{table} IN ROW EXCLUSIVE MODE")
}

fn not_ours(target: &Target, table: &str, why: &str) -> Error {
    Error::new(
        &NOT_OURS,
        format!(
            "`{OWN_SCHEMA}.{table}` in {} is not what summitctl makes: {why}",
            target.place()
        ),
    )
    .hint(format!(
        "Look at it with `SELECT * FROM pg_class WHERE relnamespace = {}::regnamespace` and `\\d+ {OWN_SCHEMA}.{table}` in psql, but do not read or write it as a superuser. If nobody needs it, run `DROP SCHEMA {OWN_SCHEMA} CASCADE` in that database, then `summitctl context pin`.",
        literal(OWN_SCHEMA)
    ))
}
