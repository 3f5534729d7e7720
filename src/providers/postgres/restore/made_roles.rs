//! The roles that a backup names and a live server lacks, made there before a restore: without login, password and rights of their
//! own, so that nobody gets in or gains anything by what a backup says but what it says of the restored database.

use sqlx::postgres::PgConnection;

use super::super::session::{self, Access, close, failed, leave, open, pinned, run, run_as, texts};
use super::super::sql::{ident, literal};
use super::super::{Target, enumerate};
use super::create::set_clause;
use super::lesser::is_superuser;
use super::roles::{Carried, absent, grant};
use crate::capture::PartSource;
use crate::consent::Consent;
use crate::error::Result;

/// Whether the connected role may make roles.
pub async fn may_make_roles(server: &Target) -> Result<bool> {
    let mut session = open(server, Access::Read).await?;
    let sql = "SELECT (rolsuper OR rolcreaterole)::text FROM pg_roles WHERE rolname = current_user";
    let may = texts(server, &mut session, "ask for the role's rights", sql).await;
    leave(server, session).await;
    Ok(may?.iter().any(|word| word == "true"))
}

/// Makes these roles, those of them that are missing, all in one transaction; returns what is not as it was.
pub async fn make_roles(
    server: &Target,
    source: &dyn PartSource,
    captured: &str,
    names: &[String],
    _: &Consent,
) -> Result<Vec<String>> {
    let carried = Carried::read(source, captured).await?;
    let mut session = open(server, Access::Write).await?;
    let made = pinned(server, &mut session, async |session| {
        make(server, session, &carried, names).await
    });
    let made = made.await;
    close(session).await;
    made
}

async fn make(
    server: &Target,
    session: &mut PgConnection,
    carried: &Carried,
    names: &[String],
) -> Result<Vec<String>> {
    let missing = absent(server, session, names).await?;
    let major = session::major(server, session).await?;
    let lesser = !is_superuser(server, session).await?;
    let mut notes = Vec::new();
    for name in &missing {
        let quoted = ident(name);
        run(server, session, &format!("CREATE ROLE {quoted} NOLOGIN")).await?;
        // Whoever restores has to act for them; a superuser does anyway.
        if lesser {
            let how = if major >= 16 {
                " WITH INHERIT TRUE, SET TRUE"
            } else {
                ""
            };
            let member = format!("GRANT {quoted} TO CURRENT_USER{how}");
            run(server, session, &member).await?;
        }
        let Some(role) = carried.roles.get(name) else {
            continue;
        };
        if let Some(comment) = &role.comment {
            let comment = format!("COMMENT ON ROLE {quoted} IS {}", literal(comment));
            run(server, session, &comment).await?;
        }
        for setting in &role.settings {
            let alter = format!("ALTER ROLE {quoted} {}", set_clause(setting));
            let what = format!("a setting of the role `{name}`");
            attempt(server, session, &alter, &what, &mut notes).await?;
        }
    }
    for member in &carried.members {
        let ends = [member.role.clone(), member.member.clone()];
        let [role, of] = &ends;
        if missing.contains(role) && absent(server, session, &ends).await?.is_empty() {
            let what = format!("the membership of `{of}` in `{role}`");
            attempt(server, session, &grant(member, major), &what, &mut notes).await?;
        } else if missing.contains(of) {
            // It would hand on rights that are none of the restored database's.
            notes.push(format!(
                "`{of}` was not made a member of `{role}`: if it is to be, `GRANT {} TO {}`",
                ident(role),
                ident(of)
            ));
        }
    }
    if !missing.is_empty() {
        notes.push(format!(
            "made the roles {} without login, password, and rights of their own",
            enumerate::listed(&missing)
        ));
    }
    Ok(notes)
}

/// What may fail without the rest being lost.
async fn attempt(
    server: &Target,
    session: &mut PgConnection,
    statement: &str,
    what: &str,
    notes: &mut Vec<String>,
) -> Result<()> {
    run(server, session, "SAVEPOINT one").await?;
    if let Err(e) = run_as(server, session, "set it", statement).await {
        run(server, session, "ROLLBACK TO SAVEPOINT one").await?;
        notes.push(format!("{what} was left out: {}", e.one_line()));
    }
    run(server, session, "RELEASE SAVEPOINT one").await
}

/// Drops these roles again, all or none; returns why not, if something is theirs, or one can log in by now and so is somebody's.
pub async fn drop_roles(server: &Target, names: &[String], _: &Consent) -> Result<Option<String>> {
    let mut session = open(server, Access::Write).await?;
    let kept = drop_made(server, &mut session, names).await;
    close(session).await;
    kept
}

async fn drop_made(
    server: &Target,
    session: &mut PgConnection,
    names: &[String],
) -> Result<Option<String>> {
    let there = "SELECT rolname::text, rolcanlogin FROM pg_roles WHERE rolname = ANY($1)";
    let there: Vec<(String, bool)> = sqlx::query_as(there)
        .persistent(false)
        .bind(names)
        .fetch_all(&mut *session)
        .await
        .map_err(|e| failed(server, "look for the roles", e))?;
    if let Some((name, _)) = there.iter().find(|(_, logs_in)| *logs_in) {
        return Ok(Some(format!("`{name}` can log in, which we never allowed")));
    }
    if there.is_empty() {
        return Ok(None);
    }
    let quoted: Vec<String> = there.iter().map(|(name, _)| ident(name)).collect();
    let drop = format!("DROP ROLE {}", quoted.join(", "));
    let dropped = run(server, session, &drop).await;
    Ok(dropped.err().map(|e| e.one_line()))
}
