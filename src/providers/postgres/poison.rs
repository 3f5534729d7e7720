//! What comes back with a backup and keeps the restored copy from working: migration locks whose holders are elsewhere or
//! long gone, sequences behind their columns, indexes that were not valid. It is looked for when a backup is taken and again
//! in a restored copy, and mended there, each as it was shown or not at all.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::Target;
use super::enumerate::user_schema;
use super::migrations::{self, LockRow};
use super::session::{
    Access, close, close_unlimited, failed, open, open_unlimited, query, rows, run, scalar, texts,
};
use super::sql::{ident, literal, qualified, shown_qualified};
use crate::capture::Trouble;
use crate::consent::Consent;
use crate::error::{Error, Result};

/// A kind of trouble that can be mended in a restored copy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mend {
    /// Clear the rows of migration locks that are held.
    Locks,
    /// Set sequences that are behind to the highest value of their columns.
    Sequences,
    /// Make the indexes that were not valid.
    Indexes,
    /// Make the roles that the backup names and the server lacks, before the restore.
    Roles,
}

impl Mend {
    /// Every kind.
    pub const ALL: [Mend; 4] = [Mend::Locks, Mend::Sequences, Mend::Indexes, Mend::Roles];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mend::Locks => "locks",
            Mend::Sequences => "sequences",
            Mend::Indexes => "indexes",
            Mend::Roles => "roles",
        }
    }

    /// The kind that a trouble is of.
    pub fn of(trouble: &Trouble) -> Mend {
        match trouble {
            Trouble::Lock { .. } => Mend::Locks,
            Trouble::Sequence { .. } => Mend::Sequences,
            Trouble::Index { .. } => Mend::Indexes,
        }
    }
}

impl FromStr for Mend {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Mend::ALL
            .into_iter()
            .find(|m| m.name() == word)
            .ok_or_else(|| {
                Error::input(format!("`{word}` is nothing that can be mended"))
                    .hint("Choose of `locks`, `sequences`, `indexes` and `roles`.")
            })
    }
}

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The highest value of a column only where an index tells it at once: for a database that is at work.
    Cheap,
    /// Of every column that a sequence belongs to, whatever that costs.
    Thorough,
}

/// A trouble, and what is needed to mend exactly it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Found {
    /// What it is.
    pub trouble: Trouble,
    /// The row of a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<LockRow>,
    /// Whether an index is there at all.
    #[serde(default)]
    pub there: bool,
}

/// What a look found, and what it could not look at.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// What was found.
    pub found: Vec<Found>,
    /// One line for each thing that could not be looked at.
    pub unmeasured: Vec<String>,
}

impl Looked {
    /// What was found, for the backup's description.
    pub fn troubles(self) -> Vec<Trouble> {
        self.found.into_iter().map(|f| f.trouble).collect()
    }
}

impl Found {
    /// What mending does, or why it is left.
    pub fn mending(&self) -> String {
        mending(&self.trouble)
    }

    /// Whether it is mended here, and not by a person.
    pub fn mendable(&self) -> bool {
        mendable(&self.trouble)
    }

    /// The SQL that mends it by hand.
    pub fn by_hand(&self) -> String {
        match (&self.trouble, &self.row) {
            (trouble @ Trouble::Lock { .. }, Some(row)) => {
                migrations::by_hand(row).unwrap_or_else(|| statement(trouble))
            }
            (
                Trouble::Index {
                    index,
                    partitioned: false,
                    ..
                },
                _,
            ) if self.there => {
                format!("REINDEX INDEX CONCURRENTLY {index}")
            }
            (trouble, _) => statement(trouble),
        }
    }
}

/// Whether it is mended here, and not by a person.
pub fn mendable(trouble: &Trouble) -> bool {
    !matches!(
        trouble,
        Trouble::Index {
            partitioned: true,
            ..
        }
    )
}

/// What mending does.
pub fn mending(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Lock {
            table, key, holder, ..
        } => {
            let by = holder
                .as_ref()
                .map_or(String::new(), |h| format!(", held by {h},"));
            format!("clear the lock `{key}` of `{table}`{by} if its row is as it was captured")
        }
        Trouble::Sequence {
            sequence, highest, ..
        } => format!("have the sequence `{sequence}` go on after {highest}"),
        Trouble::Index {
            partitioned: true, ..
        } => {
            format!("nothing, that is for a person: {}", statement(trouble))
        }
        Trouble::Index { .. } => statement(trouble),
    }
}

fn statement(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Lock { table, key, .. } => format!("clear the lock `{key}` of `{table}`"),
        Trouble::Sequence {
            sequence, highest, ..
        } => {
            format!("SELECT setval({}, {highest})", literal(sequence).trim())
        }
        Trouble::Index {
            index,
            partitioned: true,
            ..
        } => format!(
            "make the index on each partition that lacks it, then `ALTER INDEX {index} ATTACH PARTITION …`"
        ),
        Trouble::Index { definition, .. } => definition.clone(),
    }
}

/// A name without its quotes, which older backups do not put around keywords.
fn bare(name: &str) -> String {
    name.replace('"', "")
}

/// Whether both name the same lock, sequence or index.
pub fn same(a: &Trouble, b: &Trouble) -> bool {
    match (a, b) {
        (
            Trouble::Lock { table, key, .. },
            Trouble::Lock {
                table: t, key: k, ..
            },
        ) => (bare(table), key) == (bare(t), k),
        (
            Trouble::Sequence {
                sequence, highest, ..
            },
            Trouble::Sequence {
                sequence: s,
                highest: h,
                ..
            },
        ) => (sequence, highest) == (s, h),
        (Trouble::Index { index, .. }, Trouble::Index { index: i, .. }) => index == i,
        _ => false,
    }
}

/// Looks at a database by a session that is in a transaction; `called` is what the database was captured as. What cannot be
/// read is said, and fails nothing.
pub async fn look(
    target: &Target,
    session: &mut PgConnection,
    called: &str,
    depth: Depth,
) -> Result<Looked> {
    let mut looked = Looked::default();
    run(target, session, "SAVEPOINT look").await?;
    match migrations::held(target, session).await {
        Ok(held) => looked.found.extend(held.into_iter().map(|lock| {
            let row = &lock.row;
            let prefix = format!("{}:{}.{}:", row.database, row.schema, row.table);
            Found {
                trouble: Trouble::Lock {
                    database: called.to_owned(),
                    tool: row.tool.name().to_owned(),
                    table: shown_qualified(&row.schema, &row.table),
                    key: lock.id.strip_prefix(&prefix).unwrap_or(&lock.id).to_owned(),
                    holder: lock.holder.as_ref().map(|h| h.said.clone()),
                    since: lock.since.clone(),
                },
                row: Some(lock.row),
                there: true,
            }
        })),
        Err(e) => unmeasured(target, session, &mut looked, "held migration locks", &e).await?,
    }
    match invalid_indexes(target, session, called).await {
        Ok(found) => looked.found.extend(found),
        Err(e) => unmeasured(target, session, &mut looked, "invalid indexes", &e).await?,
    }
    sequences(target, session, called, depth, &mut looked).await?;
    run(target, session, "RELEASE SAVEPOINT look").await?;
    Ok(looked)
}

async fn unmeasured(
    target: &Target,
    session: &mut PgConnection,
    looked: &mut Looked,
    what: &str,
    error: &Error,
) -> Result<()> {
    // If the connection is gone, this says so.
    run(target, session, "ROLLBACK TO SAVEPOINT look").await?;
    let line = format!("not looked for: {what}: {}", error.one_line());
    looked.unmeasured.push(line);
    Ok(())
}

/// Looks at a restored copy that nobody works with. `noted` is what its backup says was in the captured database: an index
/// that was not valid is not in the copy.
pub async fn scan(copy: &Target, called: &str, noted: &[Trouble]) -> Result<Looked> {
    let mut session = open(copy, Access::Write).await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''; SET LOCAL DateStyle = ISO, MDY;
         SET LOCAL TimeZone = 'UTC'; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0";
    run(copy, &mut session, begin).await?;
    let mut looked = look(copy, &mut session, called, Depth::Thorough).await?;
    for trouble in noted {
        let Trouble::Index {
            index,
            table,
            partitioned: false,
            database,
            ..
        } = trouble
        else {
            continue;
        };
        let missing: bool =
            scalar("SELECT to_regclass($1) IS NULL AND to_regclass($2) IS NOT NULL")
                .bind(index)
                .bind(table)
                .fetch_one(&mut session)
                .await
                .map_err(|e| failed(copy, "look for an index", e))?;
        if missing && database == called {
            looked.found.push(Found {
                trouble: trouble.clone(),
                row: None,
                there: false,
            });
        }
    }
    close(session).await;
    Ok(looked)
}

/// Those of these roles that the server does not have, sorted.
pub async fn missing_roles(server: &Target, named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let listed: Vec<String> = named.iter().map(|n| literal(n)).collect();
    let sql = format!(
        "SELECT n FROM unnest(ARRAY[{}]::text[]) n WHERE n NOT IN (SELECT rolname::text FROM pg_roles) ORDER BY 1",
        listed.join(", ")
    );
    let mut session = open(server, Access::Read).await?;
    let missing = texts(server, &mut session, "look for roles", &sql).await;
    close(session).await;
    missing
}

/// Mends in a copy that nobody works with, all of it in one transaction: a run that is killed has mended everything or nothing.
/// An index whose values do not allow it is left, and said.
pub async fn mend(copy: &Target, found: &[Found], consent: &Consent) -> Result<Vec<String>> {
    let mut session = open_unlimited(copy).await?;
    let mended = mend_all(copy, &mut session, found, consent).await;
    let end = if mended.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = run(copy, &mut session, end).await;
    close_unlimited(copy, session).await;
    let left = mended?;
    ended.map(|()| left)
}

async fn mend_all(
    copy: &Target,
    session: &mut PgConnection,
    found: &[Found],
    consent: &Consent,
) -> Result<Vec<String>> {
    run(copy, session, "BEGIN").await?;
    let mut left = Vec::new();
    for one in found {
        match &one.trouble {
            Trouble::Lock { .. } => {
                if let Some(row) = &one.row {
                    migrations::free_within(copy, session, row, consent).await?;
                }
            }
            Trouble::Sequence {
                sequence, highest, ..
            } => set_sequence(copy, session, sequence, *highest).await?,
            Trouble::Index {
                partitioned: true, ..
            } => {}
            Trouble::Index {
                index, definition, ..
            } => {
                if let Some(why) = make_index(copy, session, index, definition).await? {
                    left.push(format!("the index `{index}` is left: {why}"));
                }
            }
        }
    }
    Ok(left)
}

/// Has the sequence go on after the highest value, if it is behind. Unlike `setval`, this is undone with the transaction.
async fn set_sequence(
    copy: &Target,
    session: &mut PgConnection,
    sequence: &str,
    highest: i64,
) -> Result<()> {
    // The sign of the increment says which way is ahead.
    let sql = format!(
        "SELECT $1 + q.seqincrement FROM {sequence} s, pg_sequence q WHERE q.seqrelid = {}::regclass
         AND CASE WHEN s.is_called THEN sign(s.last_value - $1) ELSE sign(s.last_value - $1 - sign(q.seqincrement)) END = -sign(q.seqincrement)",
        literal(sequence)
    );
    let next: Option<i64> = scalar(sqlx::AssertSqlSafe(sql))
        .bind(highest)
        .fetch_optional(&mut *session)
        .await
        .map_err(|e| failed(copy, &format!("look at the sequence `{sequence}`"), e))?;
    let Some(next) = next else { return Ok(()) };
    let restart = format!("ALTER SEQUENCE {sequence} RESTART WITH {next}");
    run(copy, session, &restart).await
}

/// Why the values do not allow the index, if so.
async fn make_index(
    copy: &Target,
    session: &mut PgConnection,
    index: &str,
    definition: &str,
) -> Result<Option<String>> {
    let valid: Option<bool> = scalar(
        "SELECT (SELECT i.indisvalid AND i.indisready FROM pg_index i WHERE i.indexrelid = to_regclass($1))",
    )
    .bind(index)
    .fetch_one(&mut *session)
    .await
    .map_err(|e| failed(copy, "look for an index", e))?;
    let sql = match valid {
        None => definition.to_owned(),
        Some(false) => format!("REINDEX INDEX {index}"),
        Some(true) => return Ok(None),
    };
    run(copy, session, "SAVEPOINT one").await?;
    let made = query(sqlx::AssertSqlSafe(sql)).execute(&mut *session).await;
    let refused = match made {
        Ok(_) => {
            return run(copy, session, "RELEASE SAVEPOINT one")
                .await
                .map(|()| None);
        }
        Err(sqlx::Error::Database(e)) if e.code().is_some_and(|c| c.starts_with("23")) => {
            e.message().to_owned()
        }
        Err(e) => return Err(failed(copy, &format!("make the index `{index}`"), e)),
    };
    run(copy, session, "ROLLBACK TO SAVEPOINT one").await?;
    Ok(Some(refused))
}

async fn invalid_indexes(
    target: &Target,
    session: &mut PgConnection,
    called: &str,
) -> Result<Vec<Found>> {
    // What an interrupted REINDEX CONCURRENTLY leaves has a twin that is valid.
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) AS index, format('%I.%I', tn.nspname, t.relname) AS table,
                pg_get_indexdef(i.indexrelid) AS definition, c.relkind = 'I' AS partitioned
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
         WHERE NOT (i.indisvalid AND i.indisready) AND i.indislive AND c.relname !~ '_cc(new|old)[0-9]*$' AND {} ORDER BY 1",
        user_schema()
    );
    let found = rows(target, session, "look for invalid indexes", &sql).await?;
    let found = found.iter().map(|row| Found {
        trouble: Trouble::Index {
            database: called.to_owned(),
            index: row.get("index"),
            table: row.get("table"),
            definition: row.get("definition"),
            partitioned: row.get("partitioned"),
        },
        row: None,
        there: true,
    });
    Ok(found.collect())
}

/// Sequences that an integer column owns, is the identity of, or draws its default from. One that cycles gives old values on
/// purpose; a table with foreign partitions is not asked, because that would ask other servers.
const USED: &str = "SELECT DISTINCT n.nspname::text AS schema, s.relname::text AS name, q.seqincrement > 0 AS up,
        q.seqincrement AS step, greatest(q.seqmin, y.least) AS least, least(q.seqmax, y.most) AS most,
        format('%I.%I', n.nspname, s.relname) AS shown, tn.nspname::text AS table_schema, t.relname::text AS table, a.attname::text AS column,
        EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum AND m.amname = 'btree') AS indexed
    FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace n ON n.oid = s.relnamespace
    JOIN (SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
          UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
          WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) u ON u.sequence = s.oid
    JOIN pg_class t ON t.oid = u.relation AND t.relkind IN ('r', 'p') JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.number AND NOT a.attisdropped
    JOIN pg_type d ON d.oid = a.atttypid
    JOIN (VALUES ('int2'::regtype::oid, -32768::int8, 32767::int8), ('int4'::regtype, -2147483648, 2147483647),
                 ('int8'::regtype, -9223372036854775808, 9223372036854775807),
                 ('numeric'::regtype, -9223372036854775808, 9223372036854775807)) y(type, least, most)
         ON y.type = coalesce(nullif(d.typbasetype, 0), d.oid)
    WHERE NOT q.seqcycle
      AND NOT EXISTS (SELECT FROM pg_partition_tree(t.oid) p JOIN pg_class x ON x.oid = p.relid WHERE x.relkind = 'f')";

async fn sequences(
    target: &Target,
    session: &mut PgConnection,
    called: &str,
    depth: Depth,
    looked: &mut Looked,
) -> Result<()> {
    let sql = format!("{USED} AND {} ORDER BY 1, 2, 6, 7, 8", user_schema());
    let used = match rows(target, session, "look for sequences", &sql).await {
        Ok(used) => used,
        Err(e) => return unmeasured(target, session, looked, "sequences", &e).await,
    };
    for row in &used {
        if depth == Depth::Cheap && !row.get::<bool, _>("indexed") {
            continue;
        }
        let (schema, name): (String, String) = (row.get("schema"), row.get("name"));
        let table: (String, String) = (row.get("table_schema"), row.get("table"));
        let (column, up): (String, bool) = (row.get("column"), row.get("up"));
        let sql = format!(
            "SELECT s.last_value, s.is_called, (SELECT trunc({}({})::numeric)::text FROM {}) AS reached FROM {} s",
            if up { "max" } else { "min" },
            ident(&column),
            qualified(&table.0, &table.1),
            qualified(&schema, &name)
        );
        let state = query(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut *session)
            .await;
        let state = match state {
            Ok(state) => state,
            Err(e) => {
                let (sequence, what) = (
                    shown_qualified(&schema, &name),
                    "read a sequence and its column",
                );
                let (what, e) = (
                    format!("the sequence `{sequence}`"),
                    failed(target, what, e),
                );
                unmeasured(target, session, looked, &what, &e).await?;
                continue;
            }
        };
        let reached: Option<String> = state.get("reached");
        let (last, called_once): (i64, bool) = (state.get("last_value"), state.get("is_called"));
        let within = row.get::<i64, _>("least")..=row.get::<i64, _>("most");
        let step: i64 = row.get("step");
        // What no sequence can reach is not the sequence's doing, and one that went past it would have nothing left to give.
        let Some(reached) = reached.and_then(|r| r.parse::<i64>().ok()).filter(|r| {
            r.checked_add(step)
                .is_some_and(|next| within.contains(&next))
        }) else {
            continue;
        };
        if !is_behind(up, last, called_once, reached) {
            continue;
        }
        let column = format!("{}.{}", shown_qualified(&table.0, &table.1), column);
        add_sequence(
            looked,
            up,
            Trouble::Sequence {
                database: called.to_owned(),
                sequence: row.get("shown"),
                column,
                highest: reached,
            },
        );
    }
    Ok(())
}

/// Whether the sequence's next value is one that its column has passed already.
fn is_behind(up: bool, last: i64, called: bool, reached: i64) -> bool {
    match (up, called) {
        (true, true) => last < reached,
        (true, false) => last <= reached,
        (false, true) => last > reached,
        (false, false) => last >= reached,
    }
}

/// Of several columns that one sequence serves, the one that is farthest counts.
fn add_sequence(looked: &mut Looked, up: bool, new: Trouble) {
    let Trouble::Sequence {
        sequence: name,
        highest: reached,
        ..
    } = &new
    else {
        return;
    };
    let before = looked.found.iter_mut().find_map(|f| match &mut f.trouble {
        Trouble::Sequence {
            sequence, highest, ..
        } if sequence == name => Some((*highest, &mut f.trouble)),
        _ => None,
    });
    match before {
        Some((highest, trouble)) if up && *reached > highest || !up && *reached < highest => {
            *trouble = new
        }
        Some(_) => {}
        None => looked.found.push(Found {
            trouble: new,
            row: None,
            there: true,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_behind_when_its_next_value_is_taken() {
        for (up, last, called, reached, behind) in [
            (true, 7, true, 7, false),
            (true, 6, true, 7, true),
            (true, 1, false, 1, true),
            (true, 8, false, 7, false),
            (false, -7, true, -7, false),
            (false, -6, true, -7, true),
            (false, -1, false, -1, true),
        ] {
            assert_eq!(
                is_behind(up, last, called, reached),
                behind,
                "{last} {reached}"
            );
        }
    }

    #[test]
    fn names_are_quoted_where_sql_needs_it() {
        assert_eq!(
            shown_qualified("public", "users_id_seq"),
            "public.users_id_seq"
        );
        assert_eq!(shown_qualified("Ours", "a b"), "\"Ours\".\"a b\"");
        assert_eq!(shown_qualified("s", "1st"), "s.\"1st\"");
    }
}
