//! Whether a table can be put back in place or taken away again, and what else that touches. Changes nothing.

use sqlx::postgres::PgConnection;

use super::super::super::Target;
use super::super::super::enumerate::listed;
use super::super::super::session::{Access, close, failed, open, run, scalar};
use super::keys::Key;
use super::known::Captured;
use super::ties::Ties;
use super::{TABLE_REFUSED, TableBack, away};
use crate::capture::PartSource;
use crate::error::{Error, Result};

/// What stands where a table is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSeen {
    /// Rows in the table of this name; `None` if there is no such table.
    pub rows: Option<i64>,
    /// What else is touched.
    pub ties: TiesSeen,
}

/// What ties a table to others, before and after it is exchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TiesSeen {
    /// Tables that nobody can use until it is done.
    pub blocked: Vec<String>,
    /// Tables that take no writes while foreign keys are proved, at its end.
    pub read_only: Vec<String>,
    /// Foreign keys of other tables that will lead to it, as `TABLE: NAME`.
    pub keys: Vec<String>,
    /// Publications that will name it.
    pub publications: Vec<String>,
    /// What cannot be tied again, and why.
    pub left_out: Vec<String>,
}

impl TiesSeen {
    /// `now`: of the table that moves away, if there is one; `then`: of the one that takes its place.
    fn of(quoted: &str, now: Option<&Ties>, then: &Ties, left_out: Vec<String>) -> Self {
        let ends = |ties: &Ties| -> Vec<String> {
            let all = ties.others.iter().chain(&ties.own);
            let mut ends: Vec<String> = all.flat_map(Key::ends).map(str::to_owned).collect();
            ends.sort();
            ends.dedup();
            ends.retain(|end| end != quoted);
            ends
        };
        let mut blocked = now.map(&ends).unwrap_or_default();
        let mut read_only = ends(then);
        read_only.retain(|end| !blocked.contains(end));
        if now.is_some() {
            blocked.insert(0, quoted.to_owned());
        }
        TiesSeen {
            blocked,
            read_only,
            keys: then.others.iter().map(Key::shown).collect(),
            publications: then.published.iter().map(|p| p.by.clone()).collect(),
            left_out,
        }
    }
}

/// Looks whether the table can be put back, and at what will be moved.
pub async fn look_at_table(
    live: &Target,
    source: &dyn PartSource,
    captured: &str,
    what: &TableBack,
) -> Result<TableSeen> {
    let known = Captured::read(source, captured, what).await?;
    let mut session = open(live, Access::Read).await?;
    let seen = async {
        run(live, &mut session, "SET LOCAL search_path = ''").await?;
        let there = allowed(live, &mut session, &known, what).await?;
        let now = match there {
            true => Some(Ties::of(live, &mut session, &known.quoted).await?),
            false => None,
        };
        let rows = match there {
            true => Some(count(live, &mut session, &known.quoted).await?),
            false => None,
        };
        let (then, left_out) = known.ties(live, &mut session, now.as_ref()).await?;
        Ok(TableSeen {
            rows,
            ties: TiesSeen::of(&known.quoted, now.as_ref(), &then, left_out),
        })
    }
    .await;
    close(session).await;
    seen
}

/// Whether the table is there; an error if it cannot be put back.
pub(super) async fn allowed(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    what: &TableBack,
) -> Result<bool> {
    let roles: Vec<&String> = known.roles.iter().collect();
    let missing: Vec<String> = scalar("SELECT r FROM unnest($1::text[]) r WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r)")
        .bind(roles)
        .fetch_all(&mut *session)
        .await
        .map_err(|e| failed(live, "look for the roles", e))?;
    if !missing.is_empty() {
        return Err(refused(
            live,
            what,
            &format!(
                "the server has no role {}, which owns it or has rights on it",
                listed(&missing)
            ),
        )
        .hint("Create the role first, as it was."));
    }
    for key in &known.own_keys {
        for end in key.ends().filter(|end| *end != known.quoted) {
            if !present(live, session, end).await? {
                return Err(refused(
                    live,
                    what,
                    &format!(
                        "its foreign key `{}` leads to `{end}`, which is not there",
                        key.name
                    ),
                )
                .hint(format!("Put `{end}` back first, in the same way.")));
            }
        }
    }
    if !present(live, session, &known.quoted).await? {
        return Ok(false);
    }
    refuse_involved(live, session, &known.quoted, what).await?;
    let sql = format!("SELECT EXISTS (SELECT FROM ONLY {})", known.quoted);
    let holds: bool = scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&mut *session)
        .await
        .map_err(|e| failed(live, "look for rows in the table", e))?;
    if holds && !what.replace {
        let rows = count(live, session, &known.quoted).await?;
        return Err(refused(live, what, &format!("it is there, and holds {rows} rows"))
            .hint("To keep them in a schema of their own and put the captured table in its place, add `--replace`."));
    }
    Ok(true)
}

async fn count(live: &Target, session: &mut PgConnection, quoted: &str) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM ONLY {quoted}");
    scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(session)
        .await
        .map_err(|e| failed(live, "count the table's rows", e))
}

/// Looks at what taking a table away again will touch; nothing if it is not in its place.
pub async fn look_at_away(live: &Target, what: &TableBack) -> Result<Option<TiesSeen>> {
    let mut session = open(live, Access::Read).await?;
    let seen = async {
        run(live, &mut session, "SET LOCAL search_path = ''").await?;
        let Some(record) = away::remembered(live, &mut session, what).await? else {
            return Ok(None);
        };
        let quoted = record.quoted.clone();
        refuse_involved(live, &mut session, &quoted, what).await?;
        let now = Ties::of(live, &mut session, &quoted).await?;
        let (then, left_out) = record.afterwards(live, &mut session, &now).await?;
        Ok(Some(TiesSeen::of(&quoted, Some(&now), &then, left_out)))
    }
    .await;
    close(session).await;
    seen
}

pub(super) fn refused(live: &Target, what: &TableBack, why: &str) -> Error {
    Error::new(
        &TABLE_REFUSED,
        format!(
            "`{}.{}` of {} cannot be put back in place: {why}",
            what.schema,
            what.table,
            live.place()
        ),
    )
}

pub(super) async fn present(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
) -> Result<bool> {
    scalar("SELECT pg_catalog.to_regclass($1) IS NOT NULL")
        .bind(quoted)
        .fetch_one(session)
        .await
        .map_err(|e| failed(live, "look for the table", e))
}

/// What hangs on the present table would go on hanging on it when it is moved.
pub(super) async fn refuse_involved(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
    what: &TableBack,
) -> Result<()> {
    let kind: String = scalar(
        "SELECT CASE WHEN c.relkind <> 'r' THEN 'it is no ordinary table'
                     WHEN c.relispartition THEN 'it is a partition'
                     WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE c.oid IN (inhrelid, inhparent)) THEN 'it inherits, or others inherit from it'
                     WHEN EXISTS (SELECT FROM pg_catalog.pg_subscription_rel WHERE srrelid = c.oid) THEN 'a subscription fills it'
                     ELSE '' END
         FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)",
    )
    .bind(quoted)
    .fetch_one(&mut *session)
    .await
    .map_err(|e| failed(live, "look at the table", e))?;
    if !kind.is_empty() {
        return Err(refused(live, what, &kind));
    }
    let hanging: Vec<String> = scalar(
        "WITH t AS (SELECT oid, reltype FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)),
              s AS (SELECT d.objid AS oid FROM pg_catalog.pg_depend d, t WHERE d.classid = 'pg_catalog.pg_class'::regclass
                    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid AND d.deptype IN ('a', 'i'))
         SELECT DISTINCT CASE WHEN d.classid = 'pg_catalog.pg_rewrite'::regclass
                              THEN (SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, r.ev_class, 0)
                                    FROM pg_catalog.pg_rewrite r WHERE r.oid = d.objid)
                              ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END
         FROM pg_catalog.pg_depend d, t
         WHERE d.deptype = 'n'
           AND (d.refclassid = 'pg_catalog.pg_class'::regclass AND (d.refobjid = t.oid OR d.refobjid IN (SELECT oid FROM s))
                OR d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid = t.reltype)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint x WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND x.oid = d.objid
                           AND (x.contype = 'f' OR x.conrelid = t.oid))
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel x WHERE d.classid = 'pg_catalog.pg_publication_rel'::regclass AND x.oid = d.objid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef x WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND x.oid = d.objid AND x.adrelid = t.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy x WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND x.oid = d.objid AND x.polrelid = t.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger x WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND x.oid = d.objid AND (x.tgrelid = t.oid OR x.tgisinternal))
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite x WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND x.oid = d.objid AND x.ev_class = t.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_index x WHERE d.classid = 'pg_catalog.pg_class'::regclass AND x.indexrelid = d.objid AND x.indrelid = t.oid)
         ORDER BY 1",
    )
    .bind(quoted)
    .fetch_all(session)
    .await
    .map_err(|e| failed(live, "look at what hangs on the table", e))?;
    if hanging.is_empty() {
        return Ok(());
    }
    Err(refused(
        live,
        what,
        &format!(
            "these hang on the present one and would go on doing so: {}",
            hanging.join(", ")
        ),
    )
    .hint(format!(
        "Restore it beside with `--as NAME --table {}.{}` instead of `--in-place`, and bring the rows over by hand.",
        what.schema, what.table
    )))
}
