//! One lost table straight back into a live database: made, filled, compared and tied to the others in one transaction, so that
//! nobody sees anything before all of it is right, and a failure leaves nothing. A table that is there already is moved aside, never
//! dropped.

mod keys;
mod known;
mod pieces;

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::capture::{prefix, set_local};
use super::super::catalogue::{self, Listing};
use super::super::copy::Shape;
use super::super::decode;
use super::super::enumerate::{copy_target, listed};
use super::super::session::{Access, close, failed, open, query, run, scalar, texts};
use super::super::sql::{ident, literal, qualified};
use super::super::{BAD_PART, MISMATCH, OWN_SCHEMA, Target, refuse_pooler, session};
use super::{LOADER, agree, load, meta, plan};
use crate::capture::{FingerprintKey, PartInfo, PartReader, PartSource};
use crate::error::{Error, NOT_FOUND, Result};
use crate::expr::nearest;
use crate::reasons;
use crate::wait::Cancel;

use keys::{Key, keys_to, tie};
use known::{Captured, about, owned_sequences, rights_about};

reasons! {
    /// The table cannot be put back in place.
    TABLE_REFUSED = "postgres.table-refused", Refused,
        "The table cannot be put back in place as things are: it holds rows, others hang on it, or it is part of a hierarchy of tables. The message says which. \
         Nothing was changed; `restore --as NAME --table SCHEMA.TABLE` brings it into a database of its own instead.";
    /// Rows of other tables do not fit.
    KEYS_VIOLATED = "postgres.keys-violated", Failed,
        "With the table as it was captured, foreign keys would not hold: rows point to others that are not there. The message says how many. Nothing was changed.";
}

/// How long others' locks on the tables concerned are waited for.
const LOCKS: &str = "SET LOCAL lock_timeout = '10s'";

/// Which table is put back, and what remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableBack {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Whether a table with rows may be moved aside.
    pub replace: bool,
    /// Under which it is known afterwards; one for each time.
    pub id: String,
    /// The schema into which the present table is moved, and at last the restored one when it is taken away again.
    pub aside: String,
}

/// What stands where a table is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSeen {
    /// Rows in the table of this name; `None` if there is no such table.
    pub rows: Option<i64>,
    /// Foreign keys of other tables that will lead to it, as `TABLE: NAME`.
    pub keys: Vec<String>,
    /// Tables that have such keys in the backup, and are not there.
    pub absent: Vec<String>,
}

/// What a table is called: `SCHEMA.TABLE`. One that the backup does not hold is an error with the nearest one.
pub fn find_table(source: &dyn PartSource, captured: &str, name: &str) -> Result<(String, String)> {
    let parts = source.parts(&format!("{}table/", prefix(captured)));
    let names: Vec<(String, String)> = parts.iter().filter_map(plan::name).collect();
    let shown: Vec<String> = names.iter().map(|(s, t)| format!("{s}.{t}")).collect();
    if let Some(at) = shown.iter().position(|n| n == name) {
        return Ok(names[at].clone());
    }
    let error = Error::new(
        &NOT_FOUND,
        format!("the backup holds no table `{name}` with rows of its own"),
    );
    let ending = format!(".{name}");
    let known = shown.iter().map(String::as_str);
    let likely = known.clone().find(|n| n.ends_with(&ending));
    Err(match likely.or_else(|| nearest(name, known)) {
        Some(near) => error.hint(format!("Did you mean `{near}`?")),
        None => error.hint("See what it holds with `summitctl backup show BACKUP`."),
    })
}

/// Looks whether the table can be put back, and at what will be moved. Changes nothing.
pub async fn look_at_table(
    live: &Target,
    source: &dyn PartSource,
    captured: &str,
    what: &TableBack,
) -> Result<TableSeen> {
    let known = Captured::read(source, captured, what).await?;
    let mut session = open(live, Access::Read).await?;
    run(live, &mut session, "SET LOCAL search_path = ''").await?;
    let seen = look(live, &mut session, &known, what).await;
    close(session).await;
    seen
}

async fn look(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    what: &TableBack,
) -> Result<TableSeen> {
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
    let rows = match present(live, session, &known.quoted).await? {
        None => None,
        Some(()) => {
            refuse_involved(live, session, known, what).await?;
            let sql = format!("SELECT count(*) FROM ONLY {}", known.quoted);
            let rows: i64 = scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut *session)
                .await
                .map_err(|e| failed(live, "count the table's rows", e))?;
            Some(rows)
        }
    };
    if let (Some(n), false) = (rows, what.replace)
        && n > 0
    {
        return Err(refused(live, what, &format!("it is there, and holds {n} rows"))
            .hint("To keep them in a schema of their own and put the captured table in its place, add `--replace`."));
    }
    let (keys, absent) = match rows {
        Some(_) => (keys_to(live, session, &known.quoted).await?, Vec::new()),
        None => known.keys_that_fit(live, session).await?,
    };
    Ok(TableSeen {
        rows,
        keys: keys
            .iter()
            .map(|k| format!("{}: {}", k.on, k.name))
            .collect(),
        absent,
    })
}

fn refused(live: &Target, what: &TableBack, why: &str) -> Error {
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

async fn present(live: &Target, session: &mut PgConnection, quoted: &str) -> Result<Option<()>> {
    let there: bool = scalar("SELECT pg_catalog.to_regclass($1) IS NOT NULL")
        .bind(quoted)
        .fetch_one(session)
        .await
        .map_err(|e| failed(live, "look for the table", e))?;
    Ok(there.then_some(()))
}

/// What hangs on the present table would go on hanging on it when it is moved.
async fn refuse_involved(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    what: &TableBack,
) -> Result<()> {
    let kind: String = scalar(
        "SELECT CASE WHEN c.relkind <> 'r' THEN 'it is no ordinary table'
                     WHEN c.relispartition THEN 'it is a partition'
                     WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE c.oid IN (inhrelid, inhparent)) THEN 'it inherits, or others inherit from it'
                     ELSE '' END
         FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)",
    )
    .bind(&known.quoted)
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
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef x WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND x.oid = d.objid AND x.adrelid = t.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy x WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND x.oid = d.objid AND x.polrelid = t.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger x WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND x.oid = d.objid AND (x.tgrelid = t.oid OR x.tgisinternal))
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite x WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND x.oid = d.objid AND x.ev_class = t.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_index x WHERE d.classid = 'pg_catalog.pg_class'::regclass AND x.indexrelid = d.objid AND x.indrelid = t.oid)
         ORDER BY 1",
    )
    .bind(&known.quoted)
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

/// What is done with the rows' fingerprints, and the stop signal.
pub struct BackOptions {
    /// The key of the row hashes.
    pub key: FingerprintKey,
    /// The stop signal.
    pub cancel: Cancel,
}

/// Puts the table back. Everything in one transaction.
pub async fn put_back(
    live: &Target,
    source: &dyn PartSource,
    captured: &str,
    what: &TableBack,
    options: &BackOptions,
) -> Result<()> {
    let work = async {
        refuse_pooler(live).await?;
        let known = Captured::read(source, captured, what).await?;
        let mut session = open(live, Access::Write).await?;
        run(live, &mut session, &format!("{LOADER}; {}", load::SETTINGS)).await?;
        // On the heap: there is much to hold on to.
        let outcome = Box::pin(in_one(live, &mut session, source, &known, what, options)).await;
        let end = if outcome.is_ok() {
            "COMMIT"
        } else {
            "ROLLBACK"
        };
        // A connection that is gone has rolled back already; then the first error is the one to tell.
        let ended = run(live, &mut session, end).await;
        close(session).await;
        outcome.and(ended)
    };
    options.cancel.guard(work).await
}

async fn in_one(
    live: &Target,
    session: &mut PgConnection,
    source: &dyn PartSource,
    known: &Captured,
    what: &TableBack,
    options: &BackOptions,
) -> Result<()> {
    let major = session::major(live, session).await?;
    let table: load::TableMeta = meta(&known.part)?;
    if table.condition.is_some() {
        return Err(refused(live, what, "it belongs to an extension"));
    }
    let encoding = table
        .settings
        .get("client_encoding")
        .map_or("UTF8", String::as_str);
    let begin = format!(
        "BEGIN; {}; SET LOCAL search_path = ''; {LOCKS}",
        set_local(encoding, major)
    );
    run(live, session, &begin).await?;
    let there = present(live, session, &known.quoted).await?.is_some();
    if there {
        let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", known.quoted);
        run(live, session, &lock).await?;
    }
    // Under the lock it is looked at again: rows may have come since the plan.
    look(live, session, known, what).await?;
    let keys = if there {
        let keys = keys_to(live, session, &known.quoted).await?;
        move_aside(live, session, &known.quoted, &keys, &what.aside).await?;
        keys
    } else {
        known.keys_that_fit(live, session).await?.0
    };
    for statement in &known.pieces.before {
        run(live, session, statement).await?;
    }
    fill(live, session, source, known, &table, &options.key).await?;
    for statement in &known.pieces.after {
        run(live, session, statement).await?;
    }
    for state in &known.sequences {
        let sequence = literal(&qualified(&state.schema, &state.name));
        let set = format!(
            "SELECT pg_catalog.setval({sequence}, {}, {})",
            state.last_value, state.is_called
        );
        run(live, session, &set).await?;
    }
    tie(live, session, known.own_keys.iter().chain(&keys)).await?;
    compare(live, session, known, major).await?;
    read_back(live, session, known, &table, &options.key).await?;
    run(live, session, &format!("ANALYZE {}", known.quoted)).await?;
    remember(live, session, known, what, there, &keys).await
}

/// The present table with all that is its own, into a schema where nobody looks for it.
async fn move_aside(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
    keys: &[Key],
    aside: &str,
) -> Result<()> {
    for key in keys {
        let drop = format!(
            "ALTER TABLE {} DROP CONSTRAINT {}",
            key.on,
            ident(&key.name)
        );
        run(live, session, &drop).await?;
    }
    let schema = ident(aside);
    run(
        live,
        session,
        &format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
    )
    .await?;
    let statistics = format!(
        "SELECT format('ALTER STATISTICS %I.%I SET SCHEMA ', n.nspname, s.stxname) || {} FROM pg_catalog.pg_statistic_ext s
         JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = pg_catalog.to_regclass({})",
        literal(&schema),
        literal(quoted)
    );
    for statement in texts(live, session, "list the statistics", &statistics).await? {
        run(live, session, &statement).await?;
    }
    run(
        live,
        session,
        &format!("ALTER TABLE {quoted} SET SCHEMA {schema}"),
    )
    .await
}

/// Bytes of a part on their way into the server, which are fingerprinted as they pass.
struct Tee<'t, 'c> {
    from: &'t mut dyn PartReader,
    into: &'t mut sqlx::postgres::PgCopyIn<&'c mut PgConnection>,
    target: &'t Target,
}

#[async_trait]
impl PartReader for Tee<'_, '_> {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        let Some(chunk) = self.from.next().await? else {
            return Ok(None);
        };
        self.into
            .send(&chunk[..])
            .await
            .map_err(|e| failed(self.target, "send the rows", e))?;
        Ok(Some(chunk))
    }
}

async fn fill(
    live: &Target,
    session: &mut PgConnection,
    source: &dyn PartSource,
    known: &Captured,
    table: &load::TableMeta,
    key: &FingerprintKey,
) -> Result<()> {
    let part = &known.part;
    let shape = shape(part)?;
    let statement = format!(
        "COPY {} FROM STDIN WITH ({})",
        copy_target(&table.schema, &table.table, &table.columns),
        shape.option()
    );
    let mut copy = session
        .copy_in_raw(&statement)
        .await
        .map_err(|e| failed(live, "begin to load the table", e))?;
    let mut reader = source.open(&part.name).await?;
    let mut tee = Tee {
        from: reader.as_mut(),
        into: &mut copy,
        target: live,
    };
    let sent = match decode(part, &mut tee, key).await {
        Ok(sent) => sent,
        Err(e) => {
            // The connection must be out of COPY before it can roll back.
            let _ = copy.abort("the backup could not be read").await;
            return Err(e);
        }
    };
    let stored = copy
        .finish()
        .await
        .map_err(|e| failed(live, "load the table", e))?;
    let loaded = agree(&part.name, part.fingerprint, sent.unwrap_or_default())?;
    if stored == loaded.rows {
        return Ok(());
    }
    Err(Error::new(
        &MISMATCH,
        format!(
            "Postgres stored {stored} rows of the {} of part `{}`",
            loaded.rows, part.name
        ),
    ))
}

fn shape(part: &PartInfo) -> Result<Shape> {
    Shape::of(&part.format).ok_or_else(|| {
        Error::new(
            &BAD_PART,
            format!(
                "part `{}` has the unknown format `{}`",
                part.name, part.format
            ),
        )
    })
}

/// Rows on their way out of the server.
struct Live<'s>(
    futures_util::stream::BoxStream<'s, sqlx::Result<bytes::Bytes>>,
    &'s Target,
);

#[async_trait]
impl PartReader for Live<'_> {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        let next = self.0.next().await.transpose();
        next.map_err(|e| failed(self.1, "read the rows back", e))
    }
}

/// What the server gives back must be what was captured: a trigger or rule could have changed it.
async fn read_back(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    table: &load::TableMeta,
    key: &FingerprintKey,
) -> Result<()> {
    let part = &known.part;
    let statement = format!(
        "COPY {} TO STDOUT WITH ({})",
        copy_target(&table.schema, &table.table, &table.columns),
        shape(part)?.option()
    );
    let rows = session
        .copy_out_raw(&statement)
        .await
        .map_err(|e| failed(live, "read the rows back", e))?;
    let seen = decode(part, &mut Live(rows, live), key).await?;
    agree(&part.name, part.fingerprint, seen.unwrap_or_default()).map(drop)
}

/// The table and all that is on it must be what the catalogue of the backup says, and belong to whom it says.
async fn compare(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    major: u32,
) -> Result<()> {
    // Other versions spell definitions otherwise.
    if major != known.major {
        return Ok(());
    }
    let mut found = Vec::new();
    for (listing, expected) in [
        (Listing::Objects, &known.objects),
        (Listing::Ownership, &known.ownership),
    ] {
        let lines = catalogue::list(live, session, listing).await?;
        let lines: Vec<Value> = lines
            .iter()
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect();
        let seen = match listing {
            Listing::Objects => about(lines.iter(), &known.quoted),
            Listing::Ownership => rights_about(
                lines.iter(),
                &known.quoted,
                &owned_sequences(&known.objects),
            ),
        };
        let of = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        found.extend(catalogue::catalogue_differences(&of(expected), &of(&seen)));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        &MISMATCH,
        format!(
            "the table would not be what was captured: {}",
            found.join(", ")
        ),
    ))
}

async fn remember(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    what: &TableBack,
    moved: bool,
    keys: &[Key],
) -> Result<()> {
    let schema = ident(OWN_SCHEMA);
    let make = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE IF NOT EXISTS {schema}.put_back (id text PRIMARY KEY, relation oid NOT NULL, moved bool NOT NULL, keys text NOT NULL)"
    );
    run(live, session, &make).await?;
    let keys = serde_json::to_string(keys)
        .map_err(|e| Error::bug("keys do not serialise").caused_by(e))?;
    query("INSERT INTO summitctl.put_back (id, relation, moved, keys) VALUES ($1, pg_catalog.to_regclass($2), $3, $4)")
        .bind(&what.id)
        .bind(&known.quoted)
        .bind(moved)
        .bind(keys)
        .execute(session)
        .await
        .map_err(|e| failed(live, "remember the table", e))?;
    Ok(())
}

/// Whether a table was moved aside for the one that this put back; nothing if that is not in its place.
pub async fn is_back(live: &Target, what: &TableBack) -> Result<Option<bool>> {
    let mut session = open(live, Access::Read).await?;
    let known = remembered(live, &mut session, what).await;
    close(session).await;
    Ok(known?.map(|(moved, _)| moved))
}

/// Whether a table was moved aside for it, and the keys of others, as they were recorded; nothing if another table is there now.
async fn remembered(
    live: &Target,
    session: &mut PgConnection,
    what: &TableBack,
) -> Result<Option<(bool, Vec<Key>)>> {
    let there: bool = scalar("SELECT pg_catalog.to_regclass('summitctl.put_back') IS NOT NULL")
        .fetch_one(&mut *session)
        .await
        .map_err(|e| failed(live, "look for the record", e))?;
    if !there {
        return Ok(None);
    }
    let found = query(
        "SELECT moved, keys FROM summitctl.put_back WHERE id = $1 AND relation = pg_catalog.to_regclass($2)",
    )
    .bind(&what.id)
    .bind(qualified(&what.schema, &what.table))
    .fetch_optional(session)
    .await
    .map_err(|e| failed(live, "look for the record", e))?;
    let Some(row) = found else {
        return Ok(None);
    };
    let keys: String = row.get("keys");
    let keys = serde_json::from_str(&keys).map_err(|e| {
        Error::new(&BAD_PART, "the record of the table's keys is damaged").caused_by(e)
    })?;
    Ok(Some((row.get("moved"), keys)))
}

/// Takes the table away again: into the schema `put_away`, with all that was written to it since; the one that was moved aside comes
/// back with others' keys to it. Whether there was anything to take away.
pub async fn take_away(live: &Target, what: &TableBack, put_away: &str) -> Result<bool> {
    let mut session = open(live, Access::Write).await?;
    run(live, &mut session, &format!("{LOADER}; {}", load::SETTINGS)).await?;
    run(
        live,
        &mut session,
        &format!("BEGIN; SET LOCAL search_path = ''; {LOCKS}"),
    )
    .await?;
    let outcome = away_in_one(live, &mut session, what, put_away).await;
    let end = if outcome.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    let ended = run(live, &mut session, end).await;
    close(session).await;
    let done = outcome?;
    ended.map(|()| done)
}

async fn away_in_one(
    live: &Target,
    session: &mut PgConnection,
    what: &TableBack,
    put_away: &str,
) -> Result<bool> {
    let Some((moved, keys)) = remembered(live, session, what).await? else {
        return Ok(false);
    };
    let quoted = qualified(&what.schema, &what.table);
    run(
        live,
        session,
        &format!("LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE"),
    )
    .await?;
    let now = keys_to(live, session, &quoted).await?;
    move_aside(live, session, &quoted, &now, put_away).await?;
    if moved {
        let old = qualified(&what.aside, &what.table);
        let schema = ident(&what.schema);
        let statistics = format!(
            "SELECT format('ALTER STATISTICS %I.%I SET SCHEMA ', n.nspname, s.stxname) || {} FROM pg_catalog.pg_statistic_ext s
             JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = pg_catalog.to_regclass({})",
            literal(&schema),
            literal(&old)
        );
        for statement in texts(live, session, "list the statistics", &statistics).await? {
            run(live, session, &statement).await?;
        }
        run(
            live,
            session,
            &format!("ALTER TABLE {old} SET SCHEMA {schema}"),
        )
        .await?;
        tie(live, session, keys.iter()).await?;
        run(
            live,
            session,
            &format!("DROP SCHEMA {}", ident(&what.aside)),
        )
        .await?;
    }
    query("DELETE FROM summitctl.put_back WHERE id = $1")
        .bind(&what.id)
        .execute(session)
        .await
        .map_err(|e| failed(live, "forget the table", e))?;
    Ok(true)
}
