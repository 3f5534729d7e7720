//! The roles that a database names: they belong to the server, but a restore elsewhere needs them. Carried without
//! passwords, which only a superuser could read, and which are nobody's to hand on.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::Target;
use super::session::{failed, query};
use crate::error::Result;

/// One line of the part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(super) enum Line {
    /// A role.
    Role(Role),
    /// Who is a member of what.
    Member(Member),
    /// What a role has set in this database.
    Setting {
        role: String,
        /// `name=value`, as `ALTER ROLE … IN DATABASE … SET` left it.
        setting: String,
    },
}

/// A role's attributes (PostgreSQL documentation, CREATE ROLE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Role {
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_db: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    pub connection_limit: i32,
    pub valid_until: Option<String>,
    pub comment: Option<String>,
    /// `name=value`, in every database.
    pub settings: Vec<String>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Member {
    pub role: String,
    pub member: String,
    pub admin: bool,
    /// From 16 on.
    pub inherit: Option<bool>,
    /// From 16 on.
    pub set: Option<bool>,
}

/// The named roles, those with settings in this database, and all that they are members of.
const WANTED: &str = "WITH RECURSIVE wanted AS (
     SELECT oid FROM pg_roles WHERE rolname = ANY($1)
     UNION
     SELECT s.setrole FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
     WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
     UNION
     SELECT m.roleid FROM pg_auth_members m JOIN wanted w ON w.oid = m.member)";

/// Reads what there is to carry for these names, in a fixed order.
pub(super) async fn read(
    target: &Target,
    session: &mut PgConnection,
    named: &[String],
) -> Result<Vec<Line>> {
    let roles = format!(
        "{WANTED} SELECT r.rolname::text AS name, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
                r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text AS valid_until,
                shobj_description(r.oid, 'pg_authid') AS comment, coalesce(r.rolconfig, '{{}}') AS settings
         FROM pg_roles r JOIN wanted w ON w.oid = r.oid
         -- Those of the server's own are everywhere.
         WHERE r.rolname !~ '^pg_' ORDER BY r.rolname COLLATE \"C\""
    );
    // The columns of a membership differ between versions.
    let members = format!(
        "{WANTED} SELECT r.rolname::text AS role, u.rolname::text AS member, bool_or(m.admin_option) AS admin,
                bool_or((to_jsonb(m)->>'inherit_option')::bool) AS inherit, bool_or((to_jsonb(m)->>'set_option')::bool) AS set
         FROM pg_auth_members m JOIN wanted w ON w.oid = m.member
              JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
         GROUP BY 1, 2 ORDER BY r.rolname::text COLLATE \"C\", u.rolname::text COLLATE \"C\""
    );
    let settings = "SELECT r.rolname::text AS role, c AS setting
         FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) WITH ORDINALITY u(c, n)
         WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND cardinality($1::text[]) >= 0
         ORDER BY r.rolname COLLATE \"C\", n";
    let mut lines = Vec::new();
    for row in asked(target, session, "list the roles", &roles, named).await? {
        lines.push(Line::Role(Role {
            name: row.get("name"),
            superuser: row.get("rolsuper"),
            inherit: row.get("rolinherit"),
            create_role: row.get("rolcreaterole"),
            create_db: row.get("rolcreatedb"),
            login: row.get("rolcanlogin"),
            replication: row.get("rolreplication"),
            bypass_rls: row.get("rolbypassrls"),
            connection_limit: row.get("rolconnlimit"),
            valid_until: row.get("valid_until"),
            comment: row.get("comment"),
            settings: row.get("settings"),
        }));
    }
    for row in asked(target, session, "list the memberships", &members, named).await? {
        lines.push(Line::Member(Member {
            role: row.get("role"),
            member: row.get("member"),
            admin: row.get("admin"),
            inherit: row.get("inherit"),
            set: row.get("set"),
        }));
    }
    for row in asked(target, session, "list the roles' settings", settings, named).await? {
        lines.push(Line::Setting {
            role: row.get("role"),
            setting: row.get("setting"),
        });
    }
    Ok(lines)
}

async fn asked(
    target: &Target,
    session: &mut PgConnection,
    what: &str,
    sql: &str,
    named: &[String],
) -> Result<Vec<sqlx::postgres::PgRow>> {
    query(sqlx::AssertSqlSafe(sql))
        .bind(named)
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, what, e))
}
