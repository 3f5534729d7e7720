//! Roles that have other names on the target: a backup seen that way, and what must be so before it is restored.

use std::collections::BTreeSet;

use crate::capture::PartSource;
use crate::error::{Error, NOT_FOUND, Result};
use crate::expr::nearest;
use crate::providers::postgres::{self, Renamed, RoleMap};
use crate::reasons;
use crate::repository::BackupParts;

reasons! {
    /// Owners and grants would have nobody to go to.
    ROLE_MISSING = "restore.role-missing", Refused,
        "With `--map-role`, owners and grants are restored to the last one or not at all: the target lacks a role that they go to, or the restoring role is no \
         member of it. Create the role, grant the membership, or map the name to another role.";
}

/// A backup as it is, or with other names of roles.
pub enum View<'a> {
    /// As it is.
    Plain(&'a BackupParts),
    /// With other names.
    Renamed(Box<Renamed<'a>>),
}

impl<'a> View<'a> {
    /// How a captured database is seen with these names.
    pub async fn of(source: &'a BackupParts, captured: &str, roles: &RoleMap) -> Result<View<'a>> {
        if roles.is_empty() {
            return Ok(View::Plain(source));
        }
        let renamed = Renamed::new(source, captured, roles.clone()).await?;
        Ok(View::Renamed(Box::new(renamed)))
    }

    /// The parts.
    pub fn parts(&self) -> &dyn PartSource {
        match self {
            View::Plain(source) => *source,
            View::Renamed(renamed) => renamed.as_ref(),
        }
    }

    /// Refuses a mapping of a role that a backup of one database does not name, and one after which a role is missing, unless a
    /// step before makes it.
    pub(super) async fn check(
        &self,
        source: &BackupParts,
        captured: &str,
        target: &postgres::Target,
        roles_made: bool,
    ) -> Result<()> {
        let View::Renamed(renamed) = self else {
            return Ok(());
        };
        let alone = postgres::captured_databases(&source.parts("postgres/")).len() == 1;
        if let (true, Some(name)) = (alone, renamed.unused.first()) {
            let known = postgres::captured_roles(&source.parts("postgres/"));
            return Err(unknown_role(name, known.iter().map(String::as_str)));
        }
        let ready = postgres::readiness(target, self.parts(), captured, &[]).await?;
        let server = target.endpoint();
        let made = |name: &String| roles_made && ready.missing_roles.contains(name);
        if let Some(name) = ready.missing_roles.first().filter(|_| !roles_made) {
            return Err(Error::new(
                &ROLE_MISSING,
                format!("Postgres at `{server}` has no role `{name}`, which owners or grants of `{captured}` go to"),
            )
            .hint(format!(
                "Create it, have it made with `--mend roles`, or map it to a role that is there with `--map-role {name}=NEW`."
            )));
        }
        if let Some(name) = ready.foreign_roles.iter().find(|name| !made(name)) {
            return Err(Error::new(
                &ROLE_MISSING,
                format!(
                    "`{}` is no member of `{name}` at `{server}`, so it cannot give objects of `{captured}` to it",
                    ready.role
                ),
            )
            .hint(format!(
                "As an administrator: `GRANT \"{name}\" TO \"{}\";`.",
                ready.role
            )));
        }
        Ok(())
    }
}

/// A mapping of a role that no database of the backup names would silently do nothing.
pub fn refuse_unknown_roles(roles: &RoleMap, known: &BTreeSet<String>) -> Result<()> {
    match roles.pairs().find(|(old, _)| !known.contains(*old)) {
        Some((old, _)) => Err(unknown_role(old, known.iter().map(String::as_str))),
        None => Ok(()),
    }
}

/// The error of a mapping that would do nothing.
fn unknown_role<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let error = Error::new(&NOT_FOUND, format!("the backup names no role `{name}`"));
    match nearest(name, known.clone()) {
        Some(near) => error.hint(format!("Did you mean `{near}`?")),
        None => {
            let listed: Vec<String> = known.map(|n| format!("`{n}`")).collect();
            error.hint(format!("It names {}.", listed.join(", ")))
        }
    }
}
