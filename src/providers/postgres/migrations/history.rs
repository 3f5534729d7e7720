//! What migration tools have written down of their work: their history tables, known by their columns.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::Target;
use super::super::enumerate::user_schema;
use super::super::session::{Access, leave, open, rows, run};
use super::super::sql::{ident, qualified};
use super::TOOLS;
use super::tool::Tool;
use crate::error::{Error, Result};

/// What a history table of a tool looks like. Expressions are over `{column}`.
pub(super) struct Shape {
    /// Columns that it has, in lower case and sorted.
    pub columns: &'static [&'static str],
    /// Whether it has no others. Newer versions of some tools add columns; short lists are such as other tables have.
    pub exact: bool,
    /// Whether every migration has a row; else the rows say only how far the database is.
    pub counts: bool,
    /// Whether a migration that failed is written down.
    pub tells_failure: bool,
    /// How a row is named, when it was applied, and by whom.
    pub name: &'static str,
    pub at: &'static str,
    pub by: &'static str,
    /// `executed`, `failed`, `half`, or a word of the tool's.
    pub outcome: &'static str,
    /// In which order rows were applied.
    pub order: &'static str,
    /// What a source file is known by; null for a row that has no file.
    pub key: &'static str,
    pub checksum: &'static str,
}

/// Names under which a platform keeps what it has migrated and seeded in tables of its own.
const OWN_NAMES: &[&str] = &["migration_history", "schema_migrations", "seed_history"];

/// What was found in a database.
#[derive(Debug, Default)]
pub struct Histories {
    /// Of tools that are known.
    pub known: Vec<History>,
    /// Of tools that are known, and not read.
    pub unreadable: Vec<Unreadable>,
    /// Tables that are named like a history, and of no tool that is known.
    pub unrecognised: Vec<Unrecognised>,
}

/// What a tool says that it has done to a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct History {
    /// Whose it is.
    pub tool: Tool,
    /// The database.
    pub database: String,
    /// Schema of the history table.
    pub schema: String,
    /// Name of the history table.
    pub table: String,
    /// How many migrations are written down by what became of them: `executed`, `failed`, `half` (begun, and not known to have
    /// ended), of Liquibase also `reran`, `skipped`, `mark_ran`, of Flyway also `baseline`, `schema`, `delete`, of Prisma also `rolled-back`.
    pub outcomes: BTreeMap<String, i64>,
    /// The one that was written down last.
    pub last: Option<Applied>,
    /// Those that are written down as failed, at most 20.
    pub failed: Vec<Applied>,
    /// Those that were begun and are not known to have ended, at most 20.
    pub half: Vec<Applied>,
    /// Every row, for whoever compares it with source files.
    #[serde(skip)]
    pub written: Vec<Written>,
}

/// A migration that is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Applied {
    /// Its name: of Liquibase `FILE::ID::AUTHOR`, of Knex and Flyway the file, of sqlx version and description, of Django
    /// `APP.NAME`, of Prisma the folder, of golang-migrate the version, of Alembic the revision.
    pub name: String,
    /// When, as the table says: of Liquibase by the tool's clock and without a time zone; null where the tool does not say.
    pub at: Option<String>,
    /// Of Liquibase who wrote it, of Flyway the role that ran it; the others write neither down.
    pub author: Option<String>,
}

/// A row of a history, as source files are compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) outcome: String,
    pub(super) checksum: Option<String>,
}

/// A table that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unreadable {
    /// Whose it is, by its columns.
    pub tool: Tool,
    /// The database.
    pub database: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Why not.
    pub why: String,
}

/// A table that is named like a history, and whose columns are of no tool that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unrecognised {
    /// The database.
    pub database: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// How many rows it has; null if it cannot be read.
    pub rows: Option<i64>,
}

impl History {
    /// How many count as applied; `None` of a tool that writes down only how far the database is.
    pub fn applied(&self) -> Option<i64> {
        let not = |o: &str| {
            matches!(
                o,
                "failed" | "half" | "skipped" | "schema" | "baseline" | "delete" | "rolled-back"
            )
        };
        let applied = self.outcomes.iter().filter(|(outcome, _)| !not(outcome));
        self.tool
            .0
            .history
            .counts
            .then(|| applied.map(|(_, n)| n).sum())
    }
}

/// A history table that was recognised.
pub(super) struct Place {
    pub tool: Tool,
    pub schema: String,
    pub table: String,
    /// Its columns as they are written, by their lower-case names.
    columns: BTreeMap<String, String>,
}

/// The history tables of a database, recognised and not read, and those that only have such a name.
pub(super) async fn places(
    target: &Target,
    session: &mut PgConnection,
) -> Result<(Vec<Place>, Vec<Unrecognised>)> {
    let sql = format!(
        "SELECT n.nspname::text AS schema, c.relname::text AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind = 'r' AND c.relnatts < 30 AND {} GROUP BY n.nspname, c.relname ORDER BY 1, 2",
        user_schema()
    );
    let tables = rows(target, session, "look for migration histories", &sql).await?;
    let (mut known, mut others) = (Vec::new(), Vec::new());
    for row in &tables {
        let (schema, table): (String, String) = (row.get("schema"), row.get("name"));
        let named: Vec<String> = row.get("columns");
        let columns: BTreeMap<String, String> = named
            .iter()
            .map(|c| (c.to_lowercase(), c.clone()))
            .collect();
        let tool = TOOLS.iter().find(|t| {
            let shape = &t.history;
            let enough = !shape.exact || columns.len() == shape.columns.len();
            enough && shape.columns.iter().all(|c| columns.contains_key(*c))
        });
        if let Some(known_tool) = tool {
            known.push(Place {
                tool: Tool(known_tool),
                schema,
                table,
                columns,
            });
        } else if OWN_NAMES.contains(&table.to_lowercase().as_str()) {
            others.push(Unrecognised {
                database: target.database.clone(),
                schema,
                table,
                columns: named,
                rows: None,
            });
        }
    }
    Ok((known, others))
}

/// The history tables of a database. One that cannot be read does not hide the others.
pub async fn histories(target: &Target) -> Result<Histories> {
    let mut session = open(target, Access::Read).await?;
    let limits = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '20s'";
    run(target, &mut session, limits).await?;
    let (places, unrecognised) = places(target, &mut session).await?;
    let mut found = Histories::default();
    for place in places {
        run(target, &mut session, "SAVEPOINT one").await?;
        let read = place.read(target, &mut session).await;
        match settled(target, &mut session, read).await? {
            Ok(history) => found.known.push(history),
            Err(e) => found.unreadable.push(Unreadable {
                tool: place.tool,
                database: target.database.clone(),
                schema: place.schema,
                table: place.table,
                why: e.one_line(),
            }),
        }
    }
    for mut other in unrecognised {
        let sql = format!(
            "SELECT count(*) FROM {}",
            qualified(&other.schema, &other.table)
        );
        run(target, &mut session, "SAVEPOINT one").await?;
        let read = rows(target, &mut session, "count its rows", &sql).await;
        let read = settled(target, &mut session, read).await?;
        other.rows = read.ok().and_then(|rows| rows.first().map(|r| r.get(0)));
        found.unrecognised.push(other);
    }
    leave(target, session).await;
    Ok(found)
}

/// Goes back to the savepoint `one`, so that what could not be read ends this look alone; fails if the session is gone.
pub(super) async fn settled<T>(
    target: &Target,
    session: &mut PgConnection,
    read: Result<T>,
) -> Result<std::result::Result<T, Error>> {
    match run(target, session, "ROLLBACK TO one").await {
        Ok(()) => Ok(read),
        Err(gone) => Err(read.err().unwrap_or(gone)),
    }
}

impl Place {
    async fn read(&self, target: &Target, session: &mut PgConnection) -> Result<History> {
        let shape = &self.tool.0.history;
        let place = qualified(&self.schema, &self.table);
        let filled = |expression: &str| {
            self.columns
                .iter()
                .fold(expression.to_owned(), |text, (lower, own)| {
                    text.replace(&format!("{{{lower}}}"), &ident(own))
                })
        };
        let (outcome, order) = (filled(shape.outcome), filled(shape.order));
        let what = format!("read the history `{}.{}`", self.schema, self.table);
        let sql =
            format!("SELECT {outcome}::text AS outcome, count(*) AS n FROM {place} GROUP BY 1");
        let counted = rows(target, session, &what, &sql).await?;
        let row = format!(
            "SELECT ({})::text AS name, ({})::text AS at, ({})::text AS author FROM {place}",
            filled(shape.name),
            filled(shape.at),
            filled(shape.by)
        );
        let by = order.replace(", ", " DESC, ");
        // What failed or was taken back is not what was applied last; a tool that keeps one row says so elsewhere.
        let counts = match shape.counts {
            true => format!(
                " WHERE coalesce({outcome}::text, '') NOT IN ('failed', 'half', 'rolled-back')"
            ),
            false => String::new(),
        };
        let last = format!("{row}{counts} ORDER BY {by} DESC LIMIT 1");
        let last = rows(target, session, &what, &last).await?;
        let those =
            |word: &str| format!("{row} WHERE {outcome} = '{word}' ORDER BY {order} LIMIT 20");
        let failed = rows(target, session, &what, &those("failed")).await?;
        let half = rows(target, session, &what, &those("half")).await?;
        let all = format!(
            "SELECT ({})::text AS key, ({})::text AS name, {outcome}::text AS outcome, ({})::text AS checksum
             FROM {place} ORDER BY {order} LIMIT 20000",
            filled(shape.key),
            filled(shape.name),
            filled(shape.checksum)
        );
        let all = rows(target, session, &what, &all).await?;
        let applied = |row: &sqlx::postgres::PgRow| Applied {
            name: row.get::<Option<String>, _>("name").unwrap_or_default(),
            at: row.get("at"),
            author: row.get("author"),
        };
        let text = |row: &sqlx::postgres::PgRow, column: &str| row.get::<Option<String>, _>(column);
        Ok(History {
            tool: self.tool,
            database: target.database.clone(),
            schema: self.schema.clone(),
            table: self.table.clone(),
            outcomes: counted
                .iter()
                .map(|r| (text(r, "outcome").unwrap_or_default(), r.get("n")))
                .collect(),
            last: last.first().map(applied),
            failed: failed.iter().map(applied).collect(),
            half: half.iter().map(applied).collect(),
            written: all
                .iter()
                .filter_map(|row| {
                    Some(Written {
                        key: text(row, "key")?,
                        name: text(row, "name").unwrap_or_default(),
                        outcome: text(row, "outcome").unwrap_or_default(),
                        checksum: text(row, "checksum"),
                    })
                })
                .collect(),
        })
    }
}
