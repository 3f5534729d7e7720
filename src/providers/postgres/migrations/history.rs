//! What migration tools have written down of their work: the history tables of Liquibase and Knex, known by their columns.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::Target;
use super::super::enumerate::user_schema;
use super::super::session::{Access, close, open, rows, run};
use super::super::sql::{ident, qualified};
use super::lock::Tool;
use crate::error::Result;

/// What a history table of a tool looks like.
struct Shape {
    tool: Tool,
    /// Columns that it has, in lower case; newer versions of a tool add others.
    columns: &'static [&'static str],
    /// How a row is named, when it was applied, who wrote it, what became of it, in the order in which rows were applied; each
    /// an expression over `{column}`.
    name: &'static str,
    at: &'static str,
    author: &'static str,
    outcome: &'static str,
    order: &'static str,
}

const SHAPES: &[Shape] = &[
    Shape {
        tool: Tool::Liquibase,
        columns: &[
            "author",
            "dateexecuted",
            "exectype",
            "filename",
            "id",
            "md5sum",
            "orderexecuted",
        ],
        name: "{filename} || '::' || {id} || '::' || {author}",
        at: "{dateexecuted}",
        author: "{author}",
        outcome: "lower({exectype})",
        order: "{orderexecuted}, {dateexecuted}",
    },
    Shape {
        tool: Tool::Knex,
        columns: &["batch", "id", "migration_time", "name"],
        name: "{name}",
        at: "{migration_time}",
        author: "NULL",
        outcome: "'executed'",
        order: "{id}",
    },
];

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
    /// How many migrations are written down by what became of them: `executed`, and of Liquibase also `reran`, `failed`,
    /// `skipped`, `mark_ran`.
    pub outcomes: BTreeMap<String, i64>,
    /// The one that was written down last.
    pub last: Option<Applied>,
    /// Those that are written down as failed, at most 20.
    pub failed: Vec<Applied>,
}

/// A migration that is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Applied {
    /// Its name: of Liquibase `FILE::ID::AUTHOR`, of Knex the file.
    pub name: String,
    /// When, as the table says: of Liquibase by the tool's clock and without a time zone.
    pub at: Option<String>,
    /// Who wrote it; neither tool writes down who ran it.
    pub author: Option<String>,
}

impl History {
    /// How many count as applied.
    pub fn applied(&self) -> i64 {
        let not = |outcome: &str| matches!(outcome, "failed" | "skipped");
        self.outcomes
            .iter()
            .filter(|(outcome, _)| !not(outcome))
            .map(|(_, n)| n)
            .sum()
    }
}

/// The history tables of a database.
pub async fn histories(target: &Target) -> Result<Vec<History>> {
    let mut session = open(target, Access::Read).await?;
    let limits = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '20s'";
    run(target, &mut session, limits).await?;
    let sql = format!(
        "SELECT n.nspname::text AS schema, c.relname::text AS name, array_agg(a.attname::text) AS columns
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind = 'r' AND c.relnatts < 30 AND {} GROUP BY n.nspname, c.relname ORDER BY 1, 2",
        user_schema()
    );
    let tables = rows(target, &mut session, "look for migration histories", &sql).await?;
    let mut found = Vec::new();
    for table in &tables {
        let named: Vec<String> = table.get("columns");
        let columns: BTreeMap<String, String> =
            named.into_iter().map(|c| (c.to_lowercase(), c)).collect();
        let has = |shape: &&Shape| {
            // Knex never adds columns, and its four are such as other tables have.
            let exact = shape.tool == Tool::Liquibase || columns.len() == shape.columns.len();
            exact && shape.columns.iter().all(|c| columns.contains_key(*c))
        };
        let Some(shape) = SHAPES.iter().find(has) else {
            continue;
        };
        let (schema, name) = (table.get("schema"), table.get("name"));
        found.push(
            shape
                .read(target, &mut session, schema, name, &columns)
                .await?,
        );
    }
    close(session).await;
    Ok(found)
}

impl Shape {
    async fn read(
        &self,
        target: &Target,
        session: &mut PgConnection,
        schema: String,
        table: String,
        columns: &BTreeMap<String, String>,
    ) -> Result<History> {
        let place = qualified(&schema, &table);
        let filled = |expression: &str| {
            columns
                .iter()
                .fold(expression.to_owned(), |text, (lower, own)| {
                    text.replace(&format!("{{{lower}}}"), &ident(own))
                })
        };
        let (outcome, order) = (filled(self.outcome), filled(self.order));
        let what = format!("read the history `{schema}.{table}`");
        let sql =
            format!("SELECT {outcome}::text AS outcome, count(*) AS n FROM {place} GROUP BY 1");
        let counted = rows(target, session, &what, &sql).await?;
        let row = format!(
            "SELECT {}::text AS name, {}::text AS at, {}::text AS author FROM {place}",
            filled(self.name),
            filled(self.at),
            filled(self.author)
        );
        let by = order.replace(", ", " DESC, ");
        let last = format!("{row} ORDER BY {by} DESC LIMIT 1");
        let last = rows(target, session, &what, &last).await?;
        let failed = format!("{row} WHERE {outcome} = 'failed' ORDER BY {order} LIMIT 20");
        let failed = rows(target, session, &what, &failed).await?;
        let applied = |row: &sqlx::postgres::PgRow| Applied {
            name: row.get::<Option<String>, _>("name").unwrap_or_default(),
            at: row.get("at"),
            author: row.get("author"),
        };
        Ok(History {
            tool: self.tool,
            database: target.database.clone(),
            schema,
            table,
            outcomes: counted
                .iter()
                .map(|r| {
                    let outcome: Option<String> = r.get("outcome");
                    (outcome.unwrap_or_default(), r.get("n"))
                })
                .collect(),
            last: last.first().map(applied),
            failed: failed.iter().map(applied).collect(),
        })
    }
}
