//! Foreign keys that lead to a table or from it: listed, made again, and what breaks them counted.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::super::Target;
use super::super::super::session::{failed, query, run, scalar};
use super::super::super::sql::{ident, literal};
use super::KEYS_VIOLATED;
use crate::error::{Context as _, Error, Result};

/// A foreign key of another table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub on: String,
    pub name: String,
    pub definition: String,
    pub comment: Option<String>,
}

/// The foreign keys of other tables that lead to a table.
pub(super) async fn keys_to(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
) -> Result<Vec<Key>> {
    let found = query(
        "SELECT k.conrelid::regclass::text AS on, k.conname::text AS name, pg_catalog.pg_get_constraintdef(k.oid) AS definition,
                pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment
         FROM pg_catalog.pg_constraint k
         WHERE k.contype = 'f' AND k.confrelid = pg_catalog.to_regclass($1) AND k.conrelid <> k.confrelid AND k.conparentid = 0 ORDER BY 1, 2",
    )
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

/// Makes foreign keys, counts what does not fit them, and proves them.
pub(super) async fn tie(
    live: &Target,
    session: &mut PgConnection,
    keys: impl Iterator<Item = &Key> + Clone,
) -> Result<()> {
    let mut bad = Vec::new();
    let mut proofs = Vec::new();
    for key in keys {
        let name = ident(&key.name);
        let plain = key.definition.trim_end_matches(" NOT VALID");
        let add = format!(
            "ALTER TABLE {} ADD CONSTRAINT {name} {plain} NOT VALID",
            key.on
        );
        run(live, session, &add).await.context(|| {
            format!(
                "the foreign key `{}` of `{}` cannot be made",
                key.name, key.on
            )
        })?;
        if let Some(comment) = &key.comment {
            let say = format!(
                "COMMENT ON CONSTRAINT {name} ON {} IS {}",
                key.on,
                literal(comment)
            );
            run(live, session, &say).await?;
        }
        if plain.len() < key.definition.len() {
            continue;
        }
        let violations = violations(live, session, key).await?;
        if violations > 0 {
            bad.push(format!(
                "{violations} rows of `{}` break `{}`",
                key.on, key.name
            ));
        }
        proofs.push(format!("ALTER TABLE {} VALIDATE CONSTRAINT {name}", key.on));
    }
    if !bad.is_empty() {
        return Err(Error::new(&KEYS_VIOLATED, format!("foreign keys would not hold: {}", bad.join("; ")))
            .hint("Nothing was changed. Restore the tables that belong together into a database of their own with `--as NAME --table …`, and decide there which rows count."));
    }
    for proof in proofs {
        run(live, session, &proof).await?;
    }
    Ok(())
}

async fn violations(live: &Target, session: &mut PgConnection, key: &Key) -> Result<i64> {
    let statement: Vec<String> = scalar(
        "SELECT format('SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s)', k.conrelid::regclass,
                string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND '), k.confrelid::regclass,
                string_agg(format('p.%I OPERATOR(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' AND '))
         FROM pg_catalog.pg_constraint k, unnest(k.conkey, k.confkey, k.conpfeqop) u(child, parent, op)
              JOIN pg_catalog.pg_operator o ON o.oid = u.op JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace,
              pg_catalog.pg_attribute ca, pg_catalog.pg_attribute pa
         WHERE k.conrelid = pg_catalog.to_regclass($1) AND k.conname = $2 AND k.contype = 'f'
           AND ca.attrelid = k.conrelid AND ca.attnum = u.child AND pa.attrelid = k.confrelid AND pa.attnum = u.parent
         GROUP BY k.conrelid, k.confrelid",
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
