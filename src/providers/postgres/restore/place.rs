//! What a restore needs around it: an empty database, the roles, and the archive in a file.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::archive::{self, Entry};
use super::super::enumerate::{listed, user_schema};
use super::super::session::{Access, close, failed, open, rows, scalar};
use super::super::swap::database_oid;
use super::super::{NOT_EMPTY, Target};
use super::MissingRoles;
use super::lesser::without_authorization;
use super::roles::{Carried, absent};
use crate::capture::PartReader;
use crate::error::{Error, Result};

/// Refuses a database that holds anything of a user's.
pub(super) async fn refuse_unless_empty(target: &Target) -> Result<()> {
    let mut session = open(target, Access::Read).await?;
    let sql = format!(
        "SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {mine}) AS relations,
                (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {mine}) AS functions,
                (SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {mine}) AS types,
                (SELECT count(*) FROM pg_namespace n WHERE {mine} AND n.nspname <> 'public') AS schemas,
                (SELECT count(*) FROM pg_largeobject_metadata) AS objects",
        mine = user_schema()
    );
    let found = rows(target, &mut session, "see whether it is empty", &sql).await?;
    close(session).await;
    let Some(row) = found.first() else {
        return Err(Error::bug("a query of counts gave no row"));
    };
    let held: Vec<String> = ["relations", "functions", "types", "schemas", "objects"]
        .iter()
        .filter(|what| row.get::<i64, _>(**what) > 0)
        .map(|what| format!("{} {what}", row.get::<i64, _>(*what)))
        .collect();
    if held.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        &NOT_EMPTY,
        format!(
            "Postgres {} is not empty: it holds {}",
            target.place(),
            held.join(", ")
        ),
    ))
}

/// Roles that what is restored names.
pub(super) struct Named<'a> {
    /// All of them; they must be there.
    pub all: &'a [String],
    /// Those in whose name the restore acts; see [`super::lesser::Needs`].
    pub acting: &'a [String],
}

/// Those of these roles that the connected one cannot act for.
pub(super) async fn beyond(
    target: &Target,
    session: &mut PgConnection,
    acting: &[String],
) -> Result<Vec<String>> {
    // From 16 on, a membership alone does not allow it, such as that of the role that made the other.
    let major = super::super::session::major(target, session).await?;
    let right = if major >= 16 { "SET" } else { "MEMBER" };
    scalar(
        "SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.rolname = ANY($1)
           AND NOT (pg_catalog.pg_has_role(current_user, r.oid, $2) AND pg_catalog.pg_has_role(current_user, r.oid, 'USAGE'))
         ORDER BY 1",
    )
    .bind(acting)
    .bind(right)
    .fetch_all(session)
    .await
    .map_err(|e| failed(target, "look for the roles", e))
}

/// Whether owners and grants can be restored: every role that the capture names is there, or is made.
pub(super) async fn roles_at_hand(
    target: &Target,
    session: &mut PgConnection,
    roles: Named<'_>,
    carried: &Carried,
    missing_roles: MissingRoles,
    notes: &mut Vec<String>,
) -> Result<bool> {
    let missing = absent(target, session, roles.all).await?;
    if missing_roles == MissingRoles::Create {
        carried.make(target, session, &missing, notes).await?;
        return Ok(true);
    }
    let made = missing_roles == MissingRoles::MadeBefore;
    let acting = roles
        .acting
        .iter()
        .filter(|r| !made || !missing.contains(r));
    let acting: Vec<String> = acting.cloned().collect();
    let foreign = beyond(target, session, &acting).await?;
    if !missing.is_empty() && !made {
        notes.push(format!(
            "owners and grants were left out: the server has no role {}",
            listed(&missing)
        ));
    } else if !foreign.is_empty() {
        notes.push(format!(
            "owners and grants were left out: `{}` cannot act for {}",
            target.user,
            listed(&foreign)
        ));
    }
    Ok((made || missing.is_empty()) && foreign.is_empty())
}

/// Those of these roles for which `sql` gives a row.
pub(super) async fn without(
    target: &Target,
    session: &mut PgConnection,
    roles: &[String],
    sql: &'static str,
) -> Result<Vec<String>> {
    scalar(sql)
        .bind(roles)
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, "look for the roles", e))
}

/// The schema's archive, or another file for `pg_restore`, with mode 0600; it is removed when this is dropped.
pub(super) struct Archive(PathBuf);

impl Archive {
    fn create(folder: &Path) -> Result<(Archive, std::fs::File)> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|e| Error::bug(format!("no random numbers: {e}")))?;
        let name = format!("schema-{:016x}.pgdump", u64::from_le_bytes(random));
        let path = folder.join(name);
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io("create", &path, e))?;
        Ok((Archive(path), file))
    }

    pub(super) async fn write(folder: &Path, reader: &mut dyn PartReader) -> Result<Archive> {
        let (archive, mut file) = Archive::create(folder)?;
        while let Some(chunk) = reader.next().await? {
            file.write_all(&chunk)
                .map_err(|e| Error::io("write", &archive.0, e))?;
        }
        Ok(archive)
    }

    pub(super) fn of_text(folder: &Path, text: &str) -> Result<Archive> {
        let (archive, mut file) = Archive::create(folder)?;
        file.write_all(text.as_bytes())
            .map_err(|e| Error::io("write", &archive.0, e))?;
        Ok(archive)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.0).map_err(|e| Error::io("read", &self.0, e))
    }

    /// What it holds, if this program understands it.
    pub(super) fn entries(&self) -> Result<Option<Vec<Entry>>> {
        Ok(archive::entries(&self.read()?))
    }

    /// As a role without all rights can restore it.
    pub(super) fn for_lesser(self, folder: &Path, entries: &[Entry]) -> Result<Archive> {
        let Some(bytes) = without_authorization(&self.read()?, entries) else {
            return Ok(self);
        };
        let (archive, mut file) = Archive::create(folder)?;
        file.write_all(&bytes)
            .map_err(|e| Error::io("write", &archive.0, e))?;
        Ok(archive)
    }

    /// A list of entries for `pg_restore --use-list`.
    pub(super) fn of_entries(folder: &Path, ids: &[i32]) -> Result<Archive> {
        let lines: String = ids.iter().map(|id| format!("{id};\n")).collect();
        Archive::of_text(folder, &lines)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // If it cannot be removed there is nothing better to do; it holds no rows, and only its owner reads it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Whether the database exists.
pub async fn exists(server: &Target, name: &str) -> Result<bool> {
    Ok(database_oid(server, name).await?.is_some())
}
