//! Foreign keys that lead to a table or from it: listed, made again, proved, and what breaks them counted.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::super::Target;
use super::super::super::session::{failed, query, run, scalar};
use super::super::super::sql::{ident, literal};
use super::super::only::referenced;
use super::KEYS_VIOLATED;
use crate::error::{Context as _, Error, Result};

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub on: String,
    pub name: String,
    pub definition: String,
    pub comment: Option<String>,
}

impl Key {
    /// As it is shown.
    pub(super) fn shown(&self) -> String {
        format!("{}: {}", self.on, self.name)
    }

    /// The tables at its two ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = &str> {
        [Some(self.on.as_str()), referenced(&self.definition)]
            .into_iter()
            .flatten()
    }

    pub(super) fn is(&self, other: &Key) -> bool {
        (&self.on, &self.name) == (&other.on, &other.name)
    }
}

/// Which foreign keys of a table are meant. One of a table to itself is neither.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    /// Other tables' to it.
    Others,
    /// Its own to other tables.
    Own,
}

/// The foreign keys of a table.
pub(super) async fn keys_of(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
    side: Side,
) -> Result<Vec<Key>> {
    let column = match side {
        Side::Others => "confrelid",
        Side::Own => "conrelid",
    };
    let sql = format!(
        "SELECT k.conrelid::regclass::text AS on, k.conname::text AS name, pg_catalog.pg_get_constraintdef(k.oid) AS definition,
                pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment
         FROM pg_catalog.pg_constraint k
         WHERE k.contype = 'f' AND k.{column} = pg_catalog.to_regclass($1) AND k.conrelid <> k.confrelid AND k.conparentid = 0 ORDER BY 1, 2"
    );
    let found = query(sqlx::AssertSqlSafe(sql))
        .bind(quoted)
        .fetch_all(session)
        .await
        .map_err(|e| failed(live, "list the foreign keys", e))?;
    Ok(found
        .iter()
        .map(|row| Key {
            on: row.get("on"),
            name: row.get("name"),
            definition: row.get("definition"),
            comment: row.get("comment"),
        })
        .collect())
}

/// Makes foreign keys and proves them. What does not fit them is counted, for all of them at once.
pub(super) async fn tie(
    live: &Target,
    session: &mut PgConnection,
    keys: impl Iterator<Item = &Key>,
) -> Result<()> {
    let mut bad = Vec::new();
    for key in keys {
        let name = ident(&key.name);
        let plain = key.definition.trim_end_matches(" NOT VALID");
        let add = format!("ALTER TABLE {} ADD CONSTRAINT {name} {plain}", key.on);
        let cannot = || {
            format!(
                "the foreign key `{}` of `{}` cannot be made",
                key.name, key.on
            )
        };
        let unproved = plain.len() < key.definition.len();
        // Before PostgreSQL 18 a partitioned table takes no key that is not proved at once.
        if is_partitioned(live, session, &key.on).await? && !unproved {
            if !holds(live, session, &add).await.context(cannot)? {
                bad.push(format!("rows of `{}` break `{}`", key.on, key.name));
                continue;
            }
        } else {
            run(live, session, &format!("{add} NOT VALID"))
                .await
                .context(cannot)?;
            let proof = format!("ALTER TABLE {} VALIDATE CONSTRAINT {name}", key.on);
            if !unproved && !holds(live, session, &proof).await? {
                let violations = violations(live, session, key).await?;
                bad.push(format!(
                    "{violations} rows of `{}` break `{}`",
                    key.on, key.name
                ));
            }
        }
        if let Some(comment) = &key.comment {
            let say = format!(
                "COMMENT ON CONSTRAINT {name} ON {} IS {}",
                key.on,
                literal(comment)
            );
            run(live, session, &say).await?;
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    Err(Error::new(&KEYS_VIOLATED, format!("foreign keys would not hold: {}", bad.join("; ")))
        .hint("Nothing was changed. Restore the tables that belong together into a database of their own with `--as NAME --table …`, and decide there which rows count."))
}

async fn is_partitioned(live: &Target, session: &mut PgConnection, quoted: &str) -> Result<bool> {
    scalar("SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)")
        .bind(quoted)
        .fetch_optional(session)
        .await
        .map(|found| found.unwrap_or_default())
        .map_err(|e| failed(live, "look at the table", e))
}

/// Runs a statement that proves a foreign key; false, and the transaction as before, if rows break it.
async fn holds(live: &Target, session: &mut PgConnection, statement: &str) -> Result<bool> {
    run(live, session, "SAVEPOINT proof").await?;
    let proved = sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut *session)
        .await;
    match proved {
        Ok(_) => {
            run(live, session, "RELEASE SAVEPOINT proof").await?;
            Ok(true)
        }
        // foreign_key_violation
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("23503") => {
            run(live, session, "ROLLBACK TO SAVEPOINT proof").await?;
            Ok(false)
        }
        Err(e) => Err(failed(live, "prove a foreign key", e)),
    }
}

async fn violations(live: &Target, session: &mut PgConnection, key: &Key) -> Result<i64> {
    // Like the server's own check: rows of tables that inherit do not count.
    let statement: Vec<String> = scalar(
        "SELECT format('SELECT count(*) FROM %s %s c WHERE %s AND NOT EXISTS (SELECT FROM %s %s p WHERE %s)',
                CASE WHEN ck.relkind = 'p' THEN '' ELSE 'ONLY' END, k.conrelid::regclass,
                string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND '),
                CASE WHEN pk.relkind = 'p' THEN '' ELSE 'ONLY' END, k.confrelid::regclass,
                string_agg(format('p.%I OPERATOR(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' AND '))
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class ck ON ck.oid = k.conrelid JOIN pg_catalog.pg_class pk ON pk.oid = k.confrelid,
              unnest(k.conkey, k.confkey, k.conpfeqop) u(child, parent, op)
              JOIN pg_catalog.pg_operator o ON o.oid = u.op JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace,
              pg_catalog.pg_attribute ca, pg_catalog.pg_attribute pa
         WHERE k.conrelid = pg_catalog.to_regclass($1) AND k.conname = $2 AND k.contype = 'f'
           AND ca.attrelid = k.conrelid AND ca.attnum = u.child AND pa.attrelid = k.confrelid AND pa.attnum = u.parent
         GROUP BY k.conrelid, k.confrelid, ck.relkind, pk.relkind",
    )
    .bind(&key.on)
    .bind(&key.name)
    .fetch_all(&mut *session)
    .await
    .map_err(|e| failed(live, "look at the foreign key", e))?;
    let Some(statement) = statement.into_iter().next() else {
        return Ok(0);
    };
    scalar(sqlx::AssertSqlSafe(statement))
        .fetch_one(session)
        .await
        .map_err(|e| failed(live, "count what breaks the foreign key", e))
}
