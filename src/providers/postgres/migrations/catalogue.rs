//! What of a half applied migration is in the catalogue, and indexes that no query uses because their building was broken off.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::Target;
use super::super::enumerate::user_schema;
use super::super::session::{Access, PINNED_PATH, failed, leave, open, query, rows, run, texts};
use super::history::History;
use super::sources::{Compared, Piece, Sources};
use super::statements::{Makes, Named, statements};
use crate::error::{Error, Result};

/// A migration whose statements were looked for in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Half {
    /// Its file.
    pub file: String,
    /// Whether it is only the first that is pending; else it is written down as failed or begun.
    pub pending: bool,
    /// Its statements.
    pub statements: Vec<InCatalogue>,
}

/// A statement of a migration, and whether what it makes is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InCatalogue {
    /// Its beginning, without literals.
    pub statement: String,
    /// `seen`, `not-seen`, or `not-recognised`. What is seen may be older than the migration.
    pub seen: Sight,
}

/// Whether what a statement makes is in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// Something of this kind and name is there.
    Seen,
    /// Nothing is.
    NotSeen,
    /// What the statement makes was not understood, so nothing was looked for.
    NotRecognised,
}

impl Sight {
    /// The words shown to people.
    pub fn words(self) -> &'static str {
        match self {
            Sight::Seen => "seen",
            Sight::NotSeen => "not seen",
            Sight::NotRecognised => "not recognised",
        }
    }
}

/// An index that queries do not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InvalidIndex {
    /// The database.
    pub database: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub index: String,
    /// Its table.
    pub table: String,
    /// Whether somebody builds it at this moment.
    pub building: bool,
}

/// The indexes of a database that are not valid: a `CREATE INDEX CONCURRENTLY` that was broken off leaves one.
pub async fn invalid_indexes(target: &Target) -> Result<Vec<InvalidIndex>> {
    let mut session = open(target, Access::Read).await?;
    let sql = format!(
        "SELECT n.nspname::text AS schema, c.relname::text AS index, i.indrelid::regclass::text AS on_table,
                EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid) AS building
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT i.indisvalid AND c.relkind = 'i' AND {} ORDER BY 1, 2",
        user_schema()
    );
    let found = rows(target, &mut session, "look for invalid indexes", &sql).await?;
    leave(target, session).await;
    let index = |row: &sqlx::postgres::PgRow| InvalidIndex {
        database: target.database.clone(),
        schema: row.get("schema"),
        index: row.get("index"),
        table: row.get("on_table"),
        building: row.get("building"),
    };
    Ok(found.iter().map(index).collect())
}

impl Sources {
    /// What the catalogue has of the migrations that may be half applied. A pending one of which nothing is seen is left out.
    pub async fn half_applied(
        &self,
        target: &Target,
        history: &History,
        compared: &Compared,
    ) -> Result<Vec<Half>> {
        if !history.tool.0.sources.sql {
            return Ok(Vec::new());
        }
        let mut session = open(target, Access::AsGiven).await?;
        let limits =
            "BEGIN READ ONLY; SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '20s'";
        run(target, &mut session, limits).await?;
        let schemas = "SELECT unnest::pg_catalog.text FROM pg_catalog.unnest(pg_catalog.current_schemas(false))";
        let mut schemas = texts(target, &mut session, "ask for the search path", schemas).await?;
        schemas.push(history.schema.clone());
        run(target, &mut session, PINNED_PATH).await?;
        let mut all = Vec::new();
        for file in self.suspects(history, compared) {
            let all_of_it = match &file.pieces {
                Some(pieces) => pieces.iter().flat_map(Piece::statements).collect(),
                None => {
                    let text = std::fs::read_to_string(&file.path);
                    statements(&text.map_err(|e| Error::io("read", &file.path, e))?)
                }
            };
            let mut seen = Vec::new();
            for statement in all_of_it {
                let sight = look(target, &mut session, &schemas, &statement.makes).await?;
                seen.push(InCatalogue {
                    statement: statement.begins,
                    seen: sight,
                });
            }
            let open = |w: &&super::history::Written| {
                w.key == file.key && matches!(w.outcome.as_str(), "failed" | "half")
            };
            let pending = !history.written.iter().any(|w| open(&w));
            if !pending || seen.iter().any(|s| s.seen == Sight::Seen) {
                all.push(Half {
                    file: file.name.clone(),
                    pending,
                    statements: seen,
                });
            }
        }
        leave(target, session).await;
        Ok(all)
    }
}

async fn look(
    target: &Target,
    session: &mut PgConnection,
    schemas: &[String],
    makes: &Makes,
) -> Result<Sight> {
    // A name without a schema is looked for where any session of the role would, and where the tool's table is.
    let is = |column: &str, value: &str| {
        format!("({column} = {value} OR $5::bool AND lower({column}) = lower({value}))")
    };
    let schema = is("n.nspname", "$2");
    let place = format!("({schema} OR $2 IS NULL AND n.nspname = ANY ($3::text[]))");
    let relation = |kinds: &str| {
        format!(
            "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {} AND c.relkind IN ({kinds}) AND {place} AND $4::text IS NULL)",
            is("c.relname", "$1")
        )
    };
    let (named, sql, column): (&Named, String, Option<&str>) = match makes {
        Makes::Table(named) => (named, relation("'r', 'p'"), None),
        Makes::Index(named) => (named, relation("'i', 'I'"), None),
        Makes::Type(named) => {
            let sql = format!(
                "SELECT EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
                 WHERE {} AND {place} AND $4::text IS NULL)",
                is("t.typname", "$1")
            );
            (named, sql, None)
        }
        Makes::Column(table, column) => {
            let sql = format!(
                "SELECT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE {} AND {} AND NOT a.attisdropped AND {place})",
                is("c.relname", "$1"),
                is("a.attname", "$4")
            );
            (table, sql, Some(column.as_str()))
        }
        Makes::Unknown => return Ok(Sight::NotRecognised),
    };
    let row = query(sqlx::AssertSqlSafe(sql))
        .bind(&named.name)
        .bind(&named.schema)
        .bind(schemas)
        .bind(column)
        .bind(named.any_case)
        .fetch_one(session)
        .await
        .map_err(|e| failed(target, "look into the catalogue", e))?;
    Ok(if row.get(0) {
        Sight::Seen
    } else {
        Sight::NotSeen
    })
}
