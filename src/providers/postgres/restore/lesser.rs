//! What a role that is no superuser does otherwise; managed services give out no other. It gives objects to roles that it is a
//! member of, lends them the right to own something in a schema meanwhile, and passes grants on in the name of whoever gave
//! them without taking over their session.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::Target;
use super::super::archive::{self, Entry, Rewritten, Section};
use super::super::capture::prefix;
use super::super::session::{failed, query, run, scalar};
use super::super::sql::ident;
use super::owners::owners_of_large_objects;
use crate::capture::PartSource;
use crate::error::Result;

/// What `pg_dump` writes where somebody else than the owner granted something; only superusers may run it.
const AS_GRANTOR: &str = "SET SESSION AUTHORIZATION ";

/// Whether the connected role may do everything.
pub(super) async fn is_superuser(target: &Target, session: &mut PgConnection) -> Result<bool> {
    let on: String = scalar("SELECT pg_catalog.current_setting('is_superuser')")
        .fetch_one(session)
        .await
        .map_err(|e| failed(target, "ask for the role's rights", e))?;
    Ok(on == "on")
}

/// Whether the connected role may make event triggers, as far as it can be known: managed services let their administrators.
pub(super) async fn makes_event_triggers(
    target: &Target,
    session: &mut PgConnection,
) -> Result<bool> {
    scalar(
        "SELECT r.rolsuper OR EXISTS (SELECT FROM pg_catalog.pg_roles s
                 WHERE s.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'alloydbsuperuser', 'azure_pg_admin')
                   AND pg_catalog.pg_has_role(r.oid, s.oid, 'MEMBER'))
         FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
    )
    .fetch_one(session)
    .await
    .map_err(|e| failed(target, "ask for the role's rights", e))
}

/// What a restore of a capture needs of the role that does it.
pub(super) struct Needs {
    /// Of the roles that the capture names, those in whose name it acts: owners, those with default privileges, those that
    /// passed on what was granted to them. The rest only have to be there.
    pub acting: Vec<String>,
    /// The event triggers, which only superusers make.
    pub event_triggers: Vec<String>,
}

impl Needs {
    pub(super) async fn of(
        source: &dyn PartSource,
        captured: &str,
        named: &[String],
    ) -> Result<Needs> {
        let name = format!("{}schema", prefix(captured));
        let bytes = source.open(&name).await?.read_all().await?;
        let Some(entries) = archive::entries(&bytes) else {
            return Ok(Needs {
                acting: named.to_vec(),
                event_triggers: Vec::new(),
            });
        };
        let mut roles = acting_in(&entries);
        roles.extend(owners_of_large_objects(source, captured).await?);
        let event_triggers = entries.into_iter().filter(|e| e.kind == EVENT_TRIGGER);
        Ok(Needs {
            acting: roles.into_iter().collect(),
            event_triggers: event_triggers.map(|e| e.tag).collect(),
        })
    }
}

/// The kind of an entry.
pub(super) const EVENT_TRIGGER: &str = "EVENT TRIGGER";

fn acting_in(entries: &[Entry]) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for entry in entries.iter().filter(|e| e.section != Section::Data) {
        // An object of an extension is not made by the archive, and what was granted on it is.
        if !matches!(entry.kind.as_str(), "ACL" | "COMMENT" | "SECURITY LABEL") {
            roles.extend(entry.owner.clone());
        }
        roles.extend(entry.sql.lines().filter_map(grantor));
    }
    // Nobody, and the server's own.
    roles.retain(|role| !role.is_empty() && !role.starts_with("pg_"));
    roles
}

/// The role in `SET SESSION AUTHORIZATION "name";`.
fn grantor(line: &str) -> Option<String> {
    let name = line.strip_prefix(AS_GRANTOR)?.strip_suffix(';')?;
    let quoted = name.strip_prefix('"').and_then(|n| n.strip_suffix('"'));
    Some(quoted.map_or_else(|| name.to_owned(), |name| name.replace("\"\"", "\"")))
}

/// The archive with grants of others than the owner passed on as a member of theirs; `None` if it has none.
pub(super) fn without_authorization(archive: &[u8], entries: &[Entry]) -> Option<Vec<u8>> {
    let has_grantor = |entry: &Entry| entry.sql.lines().any(|line| grantor(line).is_some());
    if !entries.iter().any(has_grantor) {
        return None;
    }
    archive::rewrite(archive, |entry| Rewritten {
        owner: entry.owner.clone(),
        sql: as_member(&entry.sql),
    })
}

fn as_member(sql: &str) -> String {
    let lines = sql
        .split_inclusive('\n')
        .map(|line| match grantor(line.trim_end_matches('\n')) {
            Some(name) => format!("SET ROLE {};\n", ident(&name)),
            None if line.trim_end() == "RESET SESSION AUTHORIZATION;" => "RESET ROLE;\n".to_owned(),
            None => line.to_owned(),
        });
    lines.collect()
}

/// What is granted to owners for as long as the restore takes: whoever gets an object must have the right to make it, which the
/// real owner may not have had for long, or gets with the schema's own grants, which come later.
#[derive(Default)]
pub(super) struct Lent {
    schemas: BTreeSet<String>,
    back: Vec<String>,
}

impl Lent {
    /// Lends what is missing. The schemas must be there.
    pub(super) async fn lend(
        target: &Target,
        session: &mut PgConnection,
        entries: &[Entry],
    ) -> Result<Lent> {
        let owned = entries.iter().filter(|e| e.section != Section::Data);
        let pairs: BTreeSet<(&str, &str)> = owned
            .filter_map(|e| Some((e.schema.as_deref()?, e.owner.as_deref()?)))
            .collect();
        let (schemas, owners): (Vec<&str>, Vec<&str>) = pairs.into_iter().unzip();
        let lacking = query(
            "SELECT u.schema, u.owner FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) u(schema, owner)
             JOIN pg_catalog.pg_namespace n ON n.nspname::text = u.schema JOIN pg_catalog.pg_roles r ON r.rolname::text = u.owner
             WHERE NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')",
        )
        .bind(schemas)
        .bind(owners)
        .fetch_all(&mut *session)
        .await
        .map_err(|e| failed(target, "look who may make something in the schemas", e))?;
        let mut lent = Lent::default();
        for row in &lacking {
            let (schema, owner): (String, String) = (row.get("schema"), row.get("owner"));
            let what = format!("CREATE ON SCHEMA {}", ident(&schema));
            let owner = ident(&owner);
            run(target, session, &format!("GRANT {what} TO {owner}")).await?;
            lent.back.push(format!("REVOKE {what} FROM {owner}"));
            lent.schemas.insert(schema);
        }
        Ok(lent)
    }

    /// Takes all of it back. Returns the entries whose grants must be made again, since they may be the same.
    pub(super) async fn take_back(
        &self,
        target: &Target,
        session: &mut PgConnection,
        entries: &[Entry],
    ) -> Result<Vec<Entry>> {
        for revoke in &self.back {
            run(target, session, revoke).await?;
        }
        let of_schema = |entry: &&Entry| {
            let name = entry.tag.strip_prefix("SCHEMA ");
            // Names are quoted in a tag if they must be.
            let name = name.map(|n| n.trim_matches('"').replace("\"\"", "\""));
            entry.kind == "ACL" && name.is_some_and(|name| self.schemas.contains(&name))
        };
        Ok(entries.iter().filter(of_schema).cloned().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.back.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, owner: &str, sql: &str) -> Entry {
        Entry {
            id: 1,
            kind: kind.into(),
            schema: Some("public".into()),
            tag: "t".into(),
            owner: Some(owner.into()),
            section: Section::PreData,
            sql: sql.into(),
            needs: vec![],
        }
    }

    const PASSED_ON: &str = "GRANT SELECT ON TABLE public.t TO a WITH GRANT OPTION;\nSET SESSION AUTHORIZATION \"odd \"\"one\";\nGRANT SELECT ON TABLE public.t TO b;\nRESET SESSION AUTHORIZATION;\n";

    #[test]
    fn owners_and_grantors_act_and_grantees_do_not() {
        let entries = [
            entry("TABLE", "app", "CREATE TABLE public.t (n int);\n"),
            entry("ACL", "rdsadmin", PASSED_ON),
            entry("EXTENSION", "", "CREATE EXTENSION hstore;\n"),
            entry("SCHEMA", "pg_database_owner", ""),
            entry("DEFAULT ACL", "maker", "ALTER DEFAULT PRIVILEGES …;\n"),
        ];
        let roles: Vec<String> = acting_in(&entries).into_iter().collect();
        assert_eq!(roles, ["app", "maker", "odd \"one"]);
    }

    #[test]
    fn grants_are_passed_on_as_a_member() {
        assert_eq!(
            as_member(PASSED_ON),
            "GRANT SELECT ON TABLE public.t TO a WITH GRANT OPTION;\nSET ROLE \"odd \"\"one\";\nGRANT SELECT ON TABLE public.t TO b;\nRESET ROLE;\n"
        );
        assert!(without_authorization(b"", &[entry("TABLE", "app", "SELECT 1;\n")]).is_none());
    }
}
