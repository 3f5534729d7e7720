//! Whether a server could take a restore: every fact looked up, nothing touched.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;

use super::super::enumerate::SCHEDULER;
use super::super::session::{Access, close, open, query, rows};
use super::super::{Target, session, tools};
use super::SchemaMeta;
use super::lesser::Needs;
use super::place::{beyond, exists};
use super::roles::absent;
use crate::capture::PartSource;
use crate::error::{Error, Result};

/// An extension that the captured database had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The version that was captured.
    pub captured: String,
    /// The version that the target would make; absent if it has none.
    pub available: Option<String>,
    /// Whether the role may make it: it is trusted, or the role is a superuser. Absent where a managed service decides.
    pub allowed: Option<bool>,
}

/// What bears on a restore into a server, as the server says.
#[derive(Debug)]
pub struct Readiness {
    /// The server's major version.
    pub major: u32,
    /// That of the captured server.
    pub captured_major: u32,
    /// The `pg_restore` that would be used.
    pub tool: Result<tools::Tool>,
    /// The captured extensions.
    pub extensions: Vec<Extension>,
    /// Roles of the capture that the server lacks.
    pub missing_roles: Vec<String>,
    /// Roles of the capture in whose name the restore acts, and the role cannot.
    pub foreign_roles: Vec<String>,
    /// Who would restore.
    pub role: String,
    /// Whether that role may create databases.
    pub creates: bool,
    /// Whether the server recovers: it takes no writes then.
    pub standby: bool,
    /// What is known of the live database; absent if the server has none of that name.
    pub live: Option<LiveFacts>,
    /// Names of databases that were asked for and are there.
    pub taken: Vec<String>,
}

/// What bears on the renaming of the live database.
#[derive(Debug)]
pub struct LiveFacts {
    /// Its owner.
    pub owner: String,
    /// Whether the role is the owner, or a member of it.
    pub owns: bool,
    /// Sessions connected to it.
    pub sessions: i64,
    /// Those that the role may not end, as `pid (user)`.
    pub out_of_hand: Vec<String>,
    /// Prepared transactions that hold it.
    pub prepared: Vec<String>,
}

/// Looks at a server before the captured database `captured` is restored to it. `server` is the live database's address;
/// `names` are databases that must not be there.
pub async fn readiness(
    server: &Target,
    source: &dyn PartSource,
    captured: &str,
    names: &[&str],
) -> Result<Readiness> {
    let schema = SchemaMeta::of(source, captured)?;
    let mut session = open(server, Access::Read).await?;
    let major = session::major(server, &mut session).await?;
    let found = rows(
        server,
        &mut session,
        "look at the role",
        "SELECT r.rolname::text AS role, r.rolsuper OR r.rolcreatedb AS creates, r.rolsuper AS super, pg_is_in_recovery() AS standby,
                EXISTS (SELECT FROM pg_roles s WHERE s.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'alloydbsuperuser', 'azure_pg_admin')
                        AND pg_has_role(r.oid, s.oid, 'MEMBER')) AS managed
         FROM pg_roles r WHERE r.rolname = current_user",
    )
    .await?;
    let row = found
        .first()
        .ok_or_else(|| Error::bug("the connected role is not in pg_roles"))?;
    let (all_powerful, managed): (bool, bool) = (row.get("super"), row.get("managed"));
    let mut extensions = Vec::new();
    let wanted = schema.database.extensions.iter();
    for (name, captured) in wanted.filter(|(name, _)| *name != SCHEDULER) {
        let seen = query(
            "SELECT a.default_version AS version,
                    EXISTS (SELECT FROM pg_available_extension_versions v
                            WHERE v.name = a.name AND v.version = a.default_version AND (v.trusted OR NOT v.superuser)) AS open
             FROM pg_available_extensions a WHERE a.name = $1",
        )
        .bind(name)
        .fetch_optional(&mut session)
        .await
        .map_err(|e| session::failed(server, "look for the extensions", e))?;
        extensions.push(Extension {
            name: name.clone(),
            captured: captured.clone(),
            available: seen.as_ref().and_then(|row| row.get("version")),
            allowed: match all_powerful || seen.is_some_and(|row| row.get("open")) {
                false if managed => None,
                known => Some(known),
            },
        });
    }
    let missing_roles = absent(server, &mut session, &schema.roles).await?;
    let needs = Needs::of(source, captured, &schema.roles).await?;
    let foreign_roles = beyond(server, &mut session, &needs.acting).await?;
    let live = live(server, &mut session).await?;
    let (role, creates, standby) = (row.get("role"), row.get("creates"), row.get("standby"));
    close(session).await;
    let mut taken = Vec::new();
    for name in names {
        if exists(server, name).await? {
            taken.push((*name).to_owned());
        }
    }
    Ok(Readiness {
        major,
        captured_major: schema.database.major,
        tool: tools::pg_restore(major, schema.dump_major),
        extensions,
        missing_roles,
        foreign_roles,
        role,
        creates,
        standby,
        live,
        taken,
    })
}

async fn live(
    server: &Target,
    session: &mut sqlx::postgres::PgConnection,
) -> Result<Option<LiveFacts>> {
    // Only superusers end superusers' sessions; others take membership, or `pg_signal_backend` (PostgreSQL documentation,
    // section 9.28.2).
    let found = query(
        "SELECT o.rolname::text AS owner, pg_has_role(current_user, d.datdba, 'MEMBER') AS owns,
                (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.pid <> pg_backend_pid() AND a.usename IS NOT NULL) AS sessions,
                (SELECT coalesce(array_agg(format('%s (%s)', a.pid, a.usename) ORDER BY a.pid), '{}')
                 FROM pg_stat_activity a JOIN pg_roles u ON u.oid = a.usesysid, pg_roles me
                 WHERE a.datid = d.oid AND a.pid <> pg_backend_pid() AND me.rolname = current_user AND NOT me.rolsuper
                   AND (u.rolsuper OR NOT (pg_has_role(current_user, a.usesysid, 'USAGE')
                                           OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE')))) AS beyond,
                (SELECT coalesce(array_agg(p.gid ORDER BY 1), '{}') FROM pg_prepared_xacts p WHERE p.database = d.datname) AS prepared
         FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba WHERE d.datname = $1",
    )
    .bind(&server.database)
    .fetch_optional(session)
    .await
    .map_err(|e| session::failed(server, "look at the live database", e))?;
    Ok(found.map(|row| LiveFacts {
        owner: row.get("owner"),
        owns: row.get("owns"),
        sessions: row.get("sessions"),
        out_of_hand: row.get("beyond"),
        prepared: row.get("prepared"),
    }))
}
