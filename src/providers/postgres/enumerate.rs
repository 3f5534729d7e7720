//! What a database holds: the tables whose rows are captured, sequences, materialised views, and what is left behind.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::roles::Line;
use super::session::{self, failed, query, rows, texts};
use super::sql::{literal, qualified};
use super::tuples::{self, Type};
use super::{OWN_SCHEMA, Target};
use crate::error::Result;

/// An ordinary table or a leaf partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub oid: i64,
    pub schema: String,
    pub name: String,
    /// Columns that COPY carries: neither dropped nor generated.
    pub columns: Vec<String>,
    pub unlogged: bool,
    /// Whether every column's type may travel in COPY's binary format.
    pub binary: bool,
    /// For a configuration table of an extension: which rows are the user's, as the extension said to
    /// `pg_extension_config_dump`; empty for all of them.
    pub condition: Option<String>,
}

impl Table {
    pub(super) fn quoted(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    /// What COPY reads: `"s"."t" ("a", "b")`, without a list where there is nothing to list, which COPY takes as no
    /// columns; or a query of the rows that are the user's.
    pub(super) fn source(&self) -> String {
        match self.condition.as_deref() {
            // The condition is the extension author's; `pg_dump` runs it in the same way.
            Some(condition) if !condition.is_empty() => self.query(condition),
            _ => copy_target(&self.schema, &self.name, &self.columns),
        }
    }

    /// A query of the rows of some pages, for COPY. From version 14 on the server goes straight to them (release notes of
    /// PostgreSQL 14, "TID range scans").
    pub(super) fn pages(&self, from: u64, until: Option<u64>) -> String {
        let mut condition = format!("WHERE ctid >= '({from},0)'");
        if let Some(until) = until {
            condition.push_str(&format!(" AND ctid < '({until},0)'"));
        }
        self.query(&condition)
    }

    fn query(&self, condition: &str) -> String {
        let columns: Vec<String> = self.columns.iter().map(|c| super::sql::ident(c)).collect();
        format!(
            "(SELECT {} FROM ONLY {} {condition})",
            columns.join(", "),
            self.quoted()
        )
    }
}

pub(super) fn copy_target(schema: &str, name: &str, columns: &[String]) -> String {
    let table = qualified(schema, name);
    if columns.is_empty() {
        return table;
    }
    let columns: Vec<String> = columns.iter().map(|c| super::sql::ident(c)).collect();
    format!("{table} ({})", columns.join(", "))
}

/// The condition that schema `n` is the user's: neither the system's nor our own.
pub(super) fn user_schema() -> String {
    // Names that begin with `pg_` are reserved for the system (PostgreSQL documentation, CREATE SCHEMA).
    format!(
        "(n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', {}))",
        literal(OWN_SCHEMA)
    )
}

/// The condition that an object does not belong to an extension, which creates it by itself.
pub(super) fn not_of_extension(catalogue: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = '{catalogue}'::regclass AND x.objid = {oid} AND x.deptype = 'e')"
    )
}

/// The extension that is left out with its schedules: it can be in one database of a server only, so that its copy would be
/// refused, and two of them would both run.
pub(super) const SCHEDULER: &str = "pg_cron";

/// What an extension said holds a user's own rows (`pg_extension_config_dump`), but for [`SCHEDULER`].
const CONFIGURATION: &str =
    "SELECT u.oid, u.condition FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS u(oid, condition)
     WHERE e.extname <> 'pg_cron'";

/// Every table whose rows are captured, in name order. Partitioned parents hold no rows; foreign tables' rows are
/// elsewhere.
pub(super) async fn tables(target: &Target, session: &mut PgConnection) -> Result<Vec<Table>> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name,
                c.relpersistence = 'u' AS unlogged,
                -- Where columns are inherited, a restored table has them before its own: their order is not its own to keep.
                coalesce((SELECT array_agg(a.attname::text ORDER BY
                              CASE WHEN NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
                                   THEN a.attname END COLLATE \"C\", a.attnum) FROM pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                            AND a.attgenerated = ''), '{{}}') AS columns,
                coalesce((SELECT array_agg(DISTINCT a.atttypid::int8) FROM pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                            AND a.attgenerated = ''), '{{}}') AS types,
                CASE WHEN x.oid IS NOT NULL THEN coalesce(x.condition, '') END AS condition
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN ({CONFIGURATION}) x ON x.oid = c.oid
         WHERE c.relkind = 'r' AND (({} AND {}) OR x.oid IS NOT NULL)
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        user_schema(),
        not_of_extension("pg_class", "c.oid")
    );
    let found = rows(target, session, "list the tables", &sql).await?;
    let types = types(target, session).await?;
    Ok(found
        .iter()
        .map(|row| Table {
            oid: row.get("oid"),
            schema: row.get("schema"),
            name: row.get("name"),
            columns: row.get("columns"),
            unlogged: row.get("unlogged"),
            binary: row
                .get::<Vec<i64>, _>("types")
                .iter()
                .all(|oid| tuples::is_safe(&types, *oid)),
            condition: row.get("condition"),
        })
        .collect())
}

/// Every type of the database, as far as its binary form depends on it.
async fn types(target: &Target, session: &mut PgConnection) -> Result<BTreeMap<i64, Type>> {
    let sql = "SELECT t.oid::int8 AS oid, t.typname::text AS name, t.typtype::text AS kind,
                coalesce(p.proname = 'array_send', false) AS is_array,
                (CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN p.proname = 'array_send' THEN t.typelem
                      WHEN t.typtype IN ('r', 'm') THEN r.rngsubtype ELSE 0::oid END)::int8 AS of,
                coalesce((SELECT array_agg(a.atttypid::int8) FROM pg_attribute a
                          WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
                         '{}') AS columns,
                EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
                          AND d.deptype = 'e') AS of_extension
         FROM pg_type t LEFT JOIN pg_proc p ON p.oid = t.typsend
         LEFT JOIN pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid)
         WHERE t.typisdefined";
    let found = rows(target, session, "list the types", sql).await?;
    Ok(found
        .iter()
        .map(|row| {
            let ty = Type {
                oid: row.get("oid"),
                name: row.get("name"),
                kind: row.get("kind"),
                is_array: row.get("is_array"),
                of: row.get::<Option<i64>, _>("of").unwrap_or(0),
                columns: row.get("columns"),
                of_extension: row.get("of_extension"),
            };
            (ty.oid, ty)
        })
        .collect())
}

/// How large a table is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// Bytes on disk, with what is stored out of line.
    pub bytes: u64,
    /// Pages of its rows, where a row's address says on which it is: in the ordinary access method.
    pub pages: u64,
}

/// The size of each table, by OID; only to be asked while the tables are locked, since it would wait for others'
/// locks.
pub(super) async fn table_sizes(
    target: &Target,
    session: &mut PgConnection,
    tables: &[Table],
) -> Result<BTreeMap<i64, Size>> {
    let oids: Vec<i64> = tables.iter().map(|t| t.oid).collect();
    let found = query(
        "SELECT c.oid::int8 AS oid, pg_table_size(c.oid) AS bytes,
                CASE WHEN m.amname = 'heap' THEN pg_relation_size(c.oid) / current_setting('block_size')::int8 ELSE 0 END AS pages
         FROM unnest($1::int8[]) o JOIN pg_class c ON c.oid = o::oid LEFT JOIN pg_am m ON m.oid = c.relam",
    )
    .bind(oids)
    .fetch_all(session)
    .await
    .map_err(|e| failed(target, "measure the tables", e))?;
    let number = |row: &sqlx::postgres::PgRow, column: &str| {
        u64::try_from(row.get::<Option<i64>, _>(column).unwrap_or(0)).unwrap_or(0)
    };
    Ok(found
        .iter()
        .map(|row| {
            let size = Size {
                bytes: number(row, "bytes"),
                pages: number(row, "pages"),
            };
            (row.get("oid"), size)
        })
        .collect())
}

/// A sequence and where it stands. One row of the `sequences` part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SequenceState {
    pub schema: String,
    pub name: String,
    pub last_value: i64,
    pub is_called: bool,
}

/// Sequences with their state, identity columns' included, in name order.
pub(super) async fn sequences(
    target: &Target,
    session: &mut PgConnection,
) -> Result<Vec<SequenceState>> {
    let sql = format!(
        "SELECT n.nspname::text AS schema, c.relname::text AS name
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND (({} AND {}) OR c.oid IN (SELECT x.oid FROM ({CONFIGURATION}) x))
           -- A standby does not have what is unlogged.
           AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        user_schema(),
        not_of_extension("pg_class", "c.oid")
    );
    let names = rows(target, session, "list the sequences", &sql).await?;
    let names: Vec<(String, String)> = names
        .iter()
        .map(|row| (row.get("schema"), row.get("name")))
        .collect();
    let mut states = Vec::with_capacity(names.len());
    // A sequence's state is a row in the sequence itself; many are read in one statement.
    for batch in names.chunks(100) {
        let selects: Vec<String> = batch
            .iter()
            .enumerate()
            .map(|(i, (schema, name))| {
                format!(
                    "SELECT {i} AS i, last_value, is_called FROM {}",
                    qualified(schema, name)
                )
            })
            .collect();
        let sql = format!("{} ORDER BY i", selects.join(" UNION ALL "));
        let found = rows(target, session, "read the sequences", &sql).await?;
        for (row, (schema, name)) in found.iter().zip(batch) {
            states.push(SequenceState {
                schema: schema.clone(),
                name: name.clone(),
                last_value: row.get("last_value"),
                is_called: row.get("is_called"),
            });
        }
    }
    Ok(states)
}

/// A materialised view that a restore refreshes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MatView {
    pub schema: String,
    pub name: String,
    pub populated: bool,
}

/// Materialised views, each after those it reads from, directly or through views.
pub(super) async fn matviews(target: &Target, session: &mut PgConnection) -> Result<Vec<MatView>> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, c.relkind::text AS kind, n.nspname::text AS schema, c.relname::text AS name,
                c.relispopulated AS populated,
                coalesce((SELECT array_agg(DISTINCT d.refobjid::int8)
                          FROM pg_rewrite r JOIN pg_depend d
                            ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                           AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
                          WHERE r.ev_class = c.oid), '{{}}') AS reads
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('v', 'm') AND {}
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        user_schema()
    );
    let found = rows(target, session, "list the materialised views", &sql).await?;
    let reads: BTreeMap<i64, Vec<i64>> = found
        .iter()
        .map(|row| (row.get("oid"), row.get("reads")))
        .collect();
    let mut done = BTreeSet::new();
    let mut order = Vec::new();
    for oid in found.iter().map(|row| row.get::<i64, _>("oid")) {
        visit(oid, &reads, &mut done, &mut order);
    }
    let views: BTreeMap<i64, MatView> = found
        .iter()
        .filter(|row| row.get::<String, _>("kind") == "m")
        .map(|row| {
            let view = MatView {
                schema: row.get("schema"),
                name: row.get("name"),
                populated: row.get("populated"),
            };
            (row.get("oid"), view)
        })
        .collect();
    Ok(order
        .iter()
        .filter_map(|oid| views.get(oid).cloned())
        .collect())
}

/// Depth first, without recursion: chains of views can be long.
fn visit(
    start: i64,
    reads: &BTreeMap<i64, Vec<i64>>,
    done: &mut BTreeSet<i64>,
    order: &mut Vec<i64>,
) {
    let mut stack = vec![(start, false)];
    while let Some((oid, left)) = stack.pop() {
        if left {
            order.push(oid);
            continue;
        }
        if !reads.contains_key(&oid) || !done.insert(oid) {
            continue;
        }
        stack.push((oid, true));
        stack.extend(reads[&oid].iter().map(|next| (*next, false)));
    }
}

/// Roles that this database's objects name: owners, grantees, policies. Cluster-level, so a restore must find or
/// make them.
pub(super) async fn roles(target: &Target, session: &mut PgConnection) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT DISTINCT r.rolname::text COLLATE \"C\" AS role FROM pg_roles r WHERE r.rolname !~ '^pg_' AND (
             r.oid IN (SELECT s.refobjid FROM pg_shdepend s
                       WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                         AND s.refclassid = 'pg_authid'::regclass
                         -- Whose an extension's objects are is for the extension to say; who may use them is not.
                         AND NOT (s.deptype IN ('o', 'i') AND EXISTS (SELECT FROM pg_depend d
                                  WHERE d.classid = s.classid AND d.objid = s.objid AND d.deptype = 'e'))
                         -- Our own marker's owner is not the data's.
                         AND NOT (s.classid = 'pg_namespace'::regclass
                                  AND s.objid = coalesce((SELECT oid FROM pg_namespace WHERE nspname = {own}), 0))
                         AND NOT (s.classid = 'pg_class'::regclass
                                  AND s.objid IN (SELECT oid FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {own})))
                         AND NOT (s.classid = 'pg_type'::regclass
                                  AND s.objid IN (SELECT oid FROM pg_type WHERE typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {own}))))
             -- Dependencies on the bootstrap superuser are not recorded.
             OR r.oid IN (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {mine} AND {own_relations})
             OR r.oid IN (SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {mine} AND {own_functions})
             OR r.oid IN (SELECT n.nspowner FROM pg_namespace n WHERE {mine} AND {own_schemas} AND n.nspname <> 'public')
             OR r.oid IN ({others})
             OR r.oid IN (SELECT m.lomowner FROM pg_largeobject_metadata m))
         ORDER BY 1",
        own = literal(OWN_SCHEMA),
        mine = user_schema(),
        own_relations = not_of_extension("pg_class", "c.oid"),
        own_functions = not_of_extension("pg_proc", "p.oid"),
        own_schemas = not_of_extension("pg_namespace", "n.oid"),
        others = other_owners(),
    );
    texts(target, session, "list the roles", &sql).await
}

/// A query for the owners of what is neither a relation, a function nor a schema, and is made by no extension.
fn other_owners() -> String {
    // Catalogue, the beginning of its columns' names where its objects are in schemas, and which of them.
    let in_schemas = [
        (
            "pg_type",
            "typ",
            // Those of tables, and arrays and multiranges, belong to what they were made with.
            "o.typrelid = 0 AND o.typcategory <> 'A' AND o.typtype <> 'm'",
        ),
        ("pg_operator", "opr", "true"),
        ("pg_opclass", "opc", "true"),
        ("pg_opfamily", "opf", "true"),
        ("pg_collation", "coll", "true"),
        ("pg_conversion", "con", "true"),
        ("pg_ts_config", "cfg", "true"),
        ("pg_ts_dict", "dict", "true"),
        ("pg_statistic_ext", "stx", "true"),
    ];
    let in_schemas = in_schemas.map(|(catalogue, word, only)| {
        format!(
            "SELECT o.{word}owner FROM {catalogue} o JOIN pg_namespace n ON n.oid = o.{word}namespace WHERE {only} AND {} AND {}",
            user_schema(),
            not_of_extension(catalogue, "o.oid")
        )
    });
    let elsewhere = [
        ("pg_event_trigger", "evtowner", "true"),
        ("pg_publication", "pubowner", "true"),
        ("pg_foreign_data_wrapper", "fdwowner", "true"),
        ("pg_foreign_server", "srvowner", "true"),
        ("pg_language", "lanowner", "o.lanispl"),
    ];
    let elsewhere = elsewhere.map(|(catalogue, owner, only)| {
        format!(
            "SELECT o.{owner} FROM {catalogue} o WHERE {only} AND {}",
            not_of_extension(catalogue, "o.oid")
        )
    });
    let all: Vec<String> = in_schemas.into_iter().chain(elsewhere).collect();
    all.join(" UNION ALL ")
}

/// The subscriptions, and whether this role may read how they connect; their connections hold passwords.
pub(super) async fn subscriptions(
    target: &Target,
    session: &mut PgConnection,
) -> Result<(bool, Vec<String>)> {
    let what = "list the subscriptions";
    let readable = "SELECT current_setting('is_superuser')";
    let readable = texts(target, session, what, readable).await? == ["on"];
    let names = "SELECT subname::text FROM pg_subscription
         WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1";
    Ok((readable, texts(target, session, what, names).await?))
}

/// What the database holds, or hangs on, that the capture does not carry: one line each.
pub(super) async fn not_carried(
    target: &Target,
    session: &mut PgConnection,
    roles: &[Line],
    standby: bool,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let carried = || {
        roles.iter().filter_map(|line| match line {
            Line::Role(role) => Some(role),
            _ => None,
        })
    };
    let login: Vec<String> = carried()
        .filter(|role| role.login)
        .map(|role| role.name.clone())
        .collect();
    let names: Vec<String> = carried().map(|role| literal(&role.name)).collect();
    if !login.is_empty() {
        lines.push(format!("passwords of roles: {}", listed(&login)));
    }
    let mut questions: Vec<(&str, String)> = vec![
        (
            "rows behind foreign tables, which are on another server",
            format!(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind = 'f' AND {} ORDER BY 1",
                user_schema()
            ),
        ),
        (
            "indexes that are not valid, which CREATE INDEX CONCURRENTLY left behind",
            format!(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE NOT (i.indisready AND (i.indisvalid OR t.relkind = 'p')) AND {} ORDER BY 1",
                user_schema()
            ),
        ),
        (
            "tablespaces (everything is restored into the default one)",
            "SELECT DISTINCT t.spcname::text FROM pg_tablespace t WHERE t.spcname NOT IN ('pg_default', 'pg_global')
             AND (t.oid IN (SELECT reltablespace FROM pg_class)
                  OR t.oid = (SELECT dattablespace FROM pg_database WHERE datname = current_database())) ORDER BY 1"
                .to_owned(),
        ),
        (
            "the order of columns in tables that inherit from others (inherited columns come first)",
            format!(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind = 'r' AND NOT c.relispartition AND {}
                   AND EXISTS (SELECT FROM pg_attribute own, pg_attribute inherited
                               WHERE own.attrelid = c.oid AND inherited.attrelid = c.oid AND own.attnum > 0
                                 AND NOT own.attisdropped AND own.attinhcount = 0
                                 AND inherited.attinhcount > 0 AND inherited.attnum > own.attnum)
                 ORDER BY 1",
                user_schema()
            ),
        ),
        (
            "replication slots",
            "SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database() ORDER BY 1".to_owned(),
        ),
        (
            // `pg_dump` says nothing of what the view hides (src/backend/catalog/system_views.sql, pg_user_mappings).
            "options of user mappings, which this role may not see",
            "SELECT format('%s on %s', m.usename, m.srvname) FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid
             WHERE m.umoptions IS NULL AND current_setting('is_superuser') <> 'on'
               AND NOT CASE WHEN m.umuser = 0 THEN pg_has_role(s.srvowner, 'USAGE')
                            ELSE m.usename = current_user AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')) END
             ORDER BY 1"
                .to_owned(),
        ),
        (
            "prepared transactions that were neither committed nor rolled back",
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1".to_owned(),
        ),
        (
            // Those of subscriptions are made with them.
            "origins of replication",
            "SELECT roname::text FROM pg_replication_origin WHERE roname !~ '^pg_[0-9]+' ORDER BY 1".to_owned(),
        ),
        (
            // Which may be all that keeps a column masked.
            "security labels of the database, of roles and of large objects",
            "SELECT format('%s on database %I', l.provider, d.datname) FROM pg_shseclabel l JOIN pg_database d ON d.oid = l.objoid
             WHERE l.classoid = 'pg_database'::regclass AND d.datname = current_database()
             UNION ALL SELECT format('%s on role %I', l.provider, r.rolname) FROM pg_shseclabel l JOIN pg_roles r ON r.oid = l.objoid
             WHERE l.classoid = 'pg_authid'::regclass
             UNION ALL SELECT format('%s on large object %s', l.provider, l.objoid) FROM pg_seclabel l
             WHERE l.classoid = 'pg_largeobject'::regclass ORDER BY 1"
                .to_owned(),
        ),
        (
            "security labels of what the server or an extension made",
            "SELECT format('%s on %s %s', l.provider, i.type, i.identity) FROM pg_seclabel l, pg_identify_object(l.classoid, l.objoid, l.objsubid) i
             WHERE l.classoid <> 'pg_largeobject'::regclass AND (l.objoid < 16384 OR EXISTS (
                   SELECT FROM pg_depend x WHERE x.classid = l.classoid AND x.objid = l.objoid AND x.deptype = 'e'))
             ORDER BY 1"
                .to_owned(),
        ),
        (
            "that triggers of foreign keys are off, or fire otherwise (`ALTER TABLE … DISABLE TRIGGER ALL`)",
            format!(
                "SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE g.tgisinternal AND g.tgparentid = 0 AND g.tgenabled <> 'O' AND {} ORDER BY 1",
                user_schema()
            ),
        ),
        (
            // Their values may be secrets of extensions.
            "settings of all roles in all databases (`ALTER ROLE ALL SET`)",
            "SELECT DISTINCT split_part(c, '=', 1) FROM pg_db_role_setting s, unnest(s.setconfig) c
             WHERE s.setrole = 0 AND s.setdatabase = 0 ORDER BY 1"
                .to_owned(),
        ),
        (
            "that the database is a template (`ALTER DATABASE … IS_TEMPLATE true`)",
            "SELECT datname::text FROM pg_database WHERE datistemplate AND datname = current_database()".to_owned(),
        ),
    ];
    if !names.is_empty() {
        questions.push((
            "what other roles are members of",
            format!(
                "SELECT format('%I in %I', u.rolname, r.rolname) FROM pg_auth_members m
                 JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
                 WHERE r.rolname IN ({0}) AND u.rolname NOT IN ({0}) AND u.rolname !~ '^pg_' ORDER BY 1",
                names.join(", ")
            ),
        ));
    }
    if session::major(target, session).await? >= 15 {
        questions.push((
            "rights on settings of the server (`GRANT … ON PARAMETER`)",
            "SELECT parname FROM pg_parameter_acl ORDER BY 1".to_owned(),
        ));
    }
    let (readable, subscriptions) = subscriptions(target, session).await?;
    if !readable && !subscriptions.is_empty() {
        lines.push(format!(
            "subscriptions, which only a superuser may read: {}",
            listed(&subscriptions)
        ));
    }
    if standby {
        questions.push((
            "rows of unlogged tables, which a standby does not have",
            format!(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND {} ORDER BY 1",
                user_schema()
            ),
        ));
    }
    for (what, sql) in questions {
        let names = texts(target, session, &format!("list {what}"), &sql).await?;
        if !names.is_empty() {
            lines.push(format!("{what}: {}", listed(&names)));
        }
    }
    let cron = "SELECT e.extversion::text FROM pg_extension e WHERE e.extname = 'pg_cron'";
    if !texts(target, session, "look for pg_cron", cron)
        .await?
        .is_empty()
    {
        lines.push(
            "the extension pg_cron and its schedules (table `cron.job`): only one database of a server can have them; \
             run `CREATE EXTENSION pg_cron` and schedule anew where `cron.database_name` says"
                .to_owned(),
        );
    }
    Ok(lines)
}

/// Names in backticks; after twenty, how many more.
pub(super) fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(20).map(|n| format!("`{n}`")).collect();
    let more = names.len().saturating_sub(20);
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {more} more", shown.join(", "))
    }
}

/// A database's or table's name as a part of a part's name: everything but letters, digits, `_`, `-` and `$` is
/// percent-encoded, so that dots and slashes stay separators.
pub(super) fn part_word(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() || "_-$".contains(c) {
            word.push(c);
        } else {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                word.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_words_keep_separators_apart() {
        assert_eq!(part_word("users"), "users");
        assert_eq!(part_word("a.b/c d\n%"), "a%2Eb%2Fc%20d%0A%25");
        assert_eq!(part_word("größe"), "größe");
    }

    #[test]
    fn views_come_after_what_they_read() {
        let reads = BTreeMap::from([(1, vec![2, 9]), (2, vec![3]), (3, vec![]), (4, vec![1])]);
        let mut done = BTreeSet::new();
        let mut order = Vec::new();
        for oid in [4, 1, 2, 3] {
            visit(oid, &reads, &mut done, &mut order);
        }
        assert_eq!(order, [3, 2, 1, 4]);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..22).map(|n| n.to_string()).collect();
        assert!(listed(&names).ends_with("`19` and 2 more"));
    }
}
