//! The moment that a capture shows: locks first, then the snapshot, then proof that nothing changed in between.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::enumerate::{self, Size, Table};
use super::super::session::{Access, close, failed, open, query, rows, run};
use super::super::sql::literal;
use super::super::wire::Wire;
use super::super::{LOCK_TIMEOUT, QUERY_FAILED, Target, UNSTABLE, session};
use super::watch::Patience;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::time::Instant;

/// How often a changing schema is locked anew before giving up.
const ATTEMPTS: u32 = 5;

/// Tables in one LOCK statement.
const LOCK_BATCH: usize = 200;

/// Rows of some pages are read from those alone, in their order, whatever the planner thinks of it.
const STRAIGHT_TO_PAGES: &str = "SET LOCAL enable_tidscan = on; SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0";

/// The session settings that the text of a row depends on (PostgreSQL documentation, chapter 20). They are recorded
/// with every table, because the fingerprint depends on them.
pub(in super::super) fn pinned_settings(encoding: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from(
        [
            ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
            ("bytea_output", "hex"),
            ("client_encoding", encoding),
            // Any value above 0 gives the shortest text that reads back as the same number.
            ("extra_float_digits", "1"),
            ("lc_monetary", "C"),
            ("search_path", ""),
            ("xmloption", "content"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    )
}

/// `SET LOCAL` of the pinned settings, and of those that keep a long transaction alive and complete.
pub(in super::super) fn set_local(encoding: &str, major: u32) -> String {
    let mut statements: Vec<String> = pinned_settings(encoding)
        .into_iter()
        .map(|(name, value)| format!("SET LOCAL {name} = {}", literal(&value)))
        .collect();
    // DateStyle is a list: its two words are not one value.
    statements.retain(|s| !s.starts_with("SET LOCAL DateStyle"));
    statements.push("SET LOCAL DateStyle = ISO, MDY".to_owned());
    for setting in [
        // A policy that hides rows becomes an error instead of a gap.
        "row_security = off",
        // Rows come in the order of the heap, so that unchanged stretches repeat.
        "synchronize_seqscans = off",
        "statement_timeout = 0",
        "idle_in_transaction_session_timeout = 0",
        "tcp_keepalives_idle = 60",
    ] {
        statements.push(format!("SET LOCAL {setting}"));
    }
    if major >= 17 {
        statements.push("SET LOCAL transaction_timeout = 0".to_owned());
    }
    statements.join("; ")
}

/// The client encoding for a server encoding: UTF-8, except where the server itself does not know what it holds.
pub(in super::super) fn encoding_for(server_encoding: &str) -> &'static str {
    if server_encoding == "SQL_ASCII" {
        "SQL_ASCII"
    } else {
        "UTF8"
    }
}

/// What is known of the database as a whole: what `pg_dump` without `--create` does not say, and a restore needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in super::super) struct DatabaseFacts {
    pub name: String,
    pub version: String,
    pub major: u32,
    pub standby: bool,
    pub owner: String,
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
    /// `c` (libc), `i` (ICU), `b` (built in): `pg_database.datlocprovider`.
    pub locale_provider: String,
    /// The locale of ICU or of the built-in provider.
    pub locale: Option<String>,
    pub icu_rules: Option<String>,
    pub connection_limit: i64,
    pub comment: Option<String>,
    /// `name=value`, as `ALTER DATABASE … SET` left them.
    pub settings: Vec<String>,
    /// `grantee privilege grantable`; `None`: never granted or revoked.
    pub grants: Option<Vec<Grant>>,
    /// Extensions and their versions.
    pub extensions: BTreeMap<String, String>,
}

/// One privilege on the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in super::super) struct Grant {
    /// A role; empty for everybody.
    pub grantee: String,
    pub privilege: String,
    pub grantable: bool,
}

impl DatabaseFacts {
    /// As a part's meta holds it.
    pub(super) fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::bug("facts of a database do not serialise").caused_by(e))
    }

    async fn read(target: &Target, session: &mut PgConnection) -> Result<DatabaseFacts> {
        let major = session::major(target, session).await?;
        // The columns differ between versions, so the row comes as JSON.
        let found = rows(
            target,
            session,
            "read the database's properties",
            "SELECT to_jsonb(d)::text AS d, pg_encoding_to_char(d.encoding)::text AS encoding,
                    pg_get_userbyid(d.datdba)::text AS owner, current_setting('server_version') AS version,
                    pg_is_in_recovery() AS standby, shobj_description(d.oid, 'pg_database') AS comment,
                    (SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setdatabase = d.oid AND s.setrole = 0) AS settings,
                    (SELECT json_agg(json_build_object(
                         'grantee', CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END,
                         'privilege', a.privilege_type, 'grantable', a.is_grantable))::text
                     FROM aclexplode(d.datacl) a WHERE d.datacl IS NOT NULL) AS grants,
                    (SELECT coalesce(json_object_agg(e.extname, e.extversion), '{}')::text FROM pg_extension e) AS extensions
             FROM pg_database d WHERE d.datname = current_database()",
        )
        .await?;
        let row = found.first().ok_or_else(|| {
            Error::new(
                &QUERY_FAILED,
                format!("{} has no properties", target.place()),
            )
        })?;
        let d: Value = parsed(row.get("d"))?;
        let text = |key: &str| d.get(key).and_then(Value::as_str).map(str::to_owned);
        let grants: Option<String> = row.get("grants");
        let settings: Option<Vec<String>> = row.get("settings");
        Ok(DatabaseFacts {
            name: target.database.clone(),
            version: row.get("version"),
            major,
            standby: row.get("standby"),
            owner: row.get("owner"),
            encoding: row.get("encoding"),
            collate: text("datcollate").unwrap_or_default(),
            ctype: text("datctype").unwrap_or_default(),
            locale_provider: text("datlocprovider").unwrap_or_else(|| "c".to_owned()),
            locale: text("datlocale").or_else(|| text("daticulocale")),
            icu_rules: text("daticurules"),
            connection_limit: d.get("datconnlimit").and_then(Value::as_i64).unwrap_or(-1),
            comment: row.get("comment"),
            settings: settings.unwrap_or_default(),
            grants: grants.map(parsed).transpose()?,
            extensions: parsed(row.get("extensions"))?,
        })
    }
}

fn parsed<T: serde::de::DeserializeOwned>(text: String) -> Result<T> {
    serde_json::from_str(&text)
        .map_err(|e| Error::bug("the server's JSON is not what was asked for").caused_by(e))
}

/// An exported snapshot, the session that keeps it and the locks, and the tables that were there.
pub(super) struct Snapshot {
    pub session: PgConnection,
    pub id: String,
    pub from: Instant,
    pub to: Instant,
    pub facts: DatabaseFacts,
    /// How long a session that joins waits for a table that somebody else waits for exclusively.
    behind: Duration,
    tables: Vec<Table>,
    sizes: BTreeMap<i64, Size>,
}

impl Snapshot {
    /// Lists, locks, exports, lists again; anew if the tables changed meanwhile.
    pub(super) async fn take(
        target: &Target,
        events: &Events,
        patience: Patience,
    ) -> Result<Snapshot> {
        for _ in 0..ATTEMPTS {
            if let Some(snapshot) = Self::attempt(target, patience).await? {
                return Ok(snapshot);
            }
            events.note("the tables changed while they were being locked; locking again");
        }
        Err(Error::new(
            &UNSTABLE,
            format!(
                "the tables of {} changed {ATTEMPTS} times while they were being locked",
                target.place()
            ),
        ))
    }

    async fn attempt(target: &Target, patience: Patience) -> Result<Option<Snapshot>> {
        let mut looker = open(target, Access::Read).await?;
        let facts = DatabaseFacts::read(target, &mut looker).await?;
        let readable = |table: &Table| !(facts.standby && table.unlogged);
        let mut expected = enumerate::tables(target, &mut looker).await?;
        expected.retain(readable);
        close(looker).await;

        let mut session = open(target, Access::Write).await?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}; SET LOCAL lock_timeout = {}",
            set_local(encoding_for(&facts.encoding), facts.major),
            super::LOCK_WAIT.as_millis()
        );
        run(target, &mut session, &begin).await?;
        for batch in expected.chunks(LOCK_BATCH) {
            if !lock_tables(target, &mut session, batch).await? {
                return Ok(None);
            }
        }
        let from = Instant::now();
        let found = rows(
            target,
            &mut session,
            "export a snapshot",
            "SELECT pg_export_snapshot() AS id",
        )
        .await?;
        let to = Instant::now();
        let id: String = found.first().map(|row| row.get("id")).unwrap_or_default();
        let mut tables = enumerate::tables(target, &mut session).await?;
        tables.retain(readable);
        if tables != expected {
            close(session).await;
            return Ok(None);
        }
        let sizes = enumerate::table_sizes(target, &mut session, &tables).await?;
        Ok(Some(Snapshot {
            session,
            id,
            from,
            to,
            facts,
            behind: patience.behind(),
            tables,
            sizes,
        }))
    }

    /// Another session that sees the same moment.
    pub(super) async fn join(&self, target: &Target) -> Result<PgConnection> {
        let mut session = open(target, Access::Write).await?;
        run(target, &mut session, &self.begin()).await?;
        Ok(session)
    }

    /// A connection for rows that sees the same moment.
    pub(super) async fn reader(&self, target: &Target) -> Result<Wire> {
        let mut wire = Wire::connect(target).await?;
        wire.run("join the snapshot", &self.begin()).await?;
        wire.run("prepare to read", STRAIGHT_TO_PAGES).await?;
        Ok(wire)
    }

    fn begin(&self) -> String {
        format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; {}; SET LOCAL lock_timeout = {}",
            literal(&self.id),
            set_local(encoding_for(&self.facts.encoding), self.facts.major),
            self.behind.as_millis()
        )
    }

    pub(super) fn largest_first(&self) -> Vec<(Table, Size)> {
        let sized = |t: &Table| (t.clone(), self.size(t));
        let mut tables: Vec<(Table, Size)> = self.tables.iter().map(sized).collect();
        tables.sort_by_key(|(_, size)| std::cmp::Reverse(size.bytes));
        tables
    }

    fn size(&self, table: &Table) -> Size {
        self.sizes.get(&table.oid).copied().unwrap_or_default()
    }

    /// What a reader of the rows needs besides them.
    pub(super) fn table_meta(&self, table: &Table) -> BTreeMap<String, Value> {
        let mut meta = BTreeMap::from([
            ("schema".to_owned(), json!(table.schema)),
            ("table".to_owned(), json!(table.name)),
            ("columns".to_owned(), json!(table.columns)),
            ("unlogged".to_owned(), json!(table.unlogged)),
            (
                "settings".to_owned(),
                json!(pinned_settings(encoding_for(&self.facts.encoding))),
            ),
            ("bytes-on-disk".to_owned(), json!(self.size(table).bytes)),
        ]);
        if let Some(condition) = &table.condition {
            meta.insert("condition".to_owned(), json!(condition));
        }
        meta
    }
}

/// Locks against schema changes, not against writes. `false` if a table is gone.
async fn lock_tables(
    target: &Target,
    session: &mut PgConnection,
    tables: &[Table],
) -> Result<bool> {
    let names: Vec<String> = tables
        .iter()
        .map(|t| format!("ONLY {}", t.quoted()))
        .collect();
    let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
    // By the simple protocol: a prepared statement would take the snapshot before the locks.
    let locked = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(session)
        .await;
    let error = match locked {
        Ok(_) => return Ok(true),
        Err(e) => e,
    };
    let code = error
        .as_database_error()
        .and_then(|e| e.code())
        .unwrap_or_default()
        .into_owned();
    match code.as_str() {
        // undefined_table, invalid_schema_name: dropped or renamed since it was listed.
        "42P01" | "3F000" => Ok(false),
        "55P03" => {
            let holders = lock_holders(target, tables).await?;
            let error = failed(target, "lock the tables for reading", error);
            Err(Error::new(&LOCK_TIMEOUT, holders).caused_by(error))
        }
        _ => Err(failed(target, "lock the tables for reading", error)),
    }
}

/// Who holds, or waits for, a lock on these tables that keeps readers out.
async fn lock_holders(target: &Target, tables: &[Table]) -> Result<String> {
    let mut session = open(target, Access::Read).await?;
    let oids: Vec<i64> = tables.iter().map(|t| t.oid).collect();
    let found = query(
        "SELECT l.pid, l.granted, l.relation::regclass::text AS relation, a.usename::text AS usename,
                a.application_name, a.state, extract(epoch FROM now() - a.xact_start)::int8 AS seconds
         FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.relation::int8 = ANY($1) AND l.mode = 'AccessExclusiveLock'
         ORDER BY l.granted DESC, a.xact_start LIMIT 5",
    )
    .bind(oids)
    .fetch_all(&mut session)
    .await
    .map_err(|e| failed(target, "ask who holds the locks", e))?;
    close(session).await;
    let holders: Vec<String> = found
        .iter()
        .map(|row| {
            format!(
                "pid {} (`{}`, `{}`, {} for {} s) {} `{}`",
                row.get::<Option<i32>, _>("pid").unwrap_or_default(),
                row.get::<Option<String>, _>("usename").unwrap_or_default(),
                row.get::<Option<String>, _>("application_name")
                    .unwrap_or_default(),
                row.get::<Option<String>, _>("state").unwrap_or_default(),
                row.get::<Option<i64>, _>("seconds").unwrap_or_default(),
                if row.get::<bool, _>("granted") {
                    "holds"
                } else {
                    "waits for"
                },
                row.get::<Option<String>, _>("relation").unwrap_or_default(),
            )
        })
        .collect();
    Ok(if holders.is_empty() {
        "a table is locked against readers; its holder has gone meanwhile".to_owned()
    } else {
        format!(
            "a table is locked against readers: Postgres shows {}",
            holders.join("; ")
        )
    })
}
