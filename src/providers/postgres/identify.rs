//! What a database *is*: the server's own identifier, and a marker that we plant beside the data.

use sqlx::{Executor as _, Row as _};

use super::own::{self, Use};
use super::session::{Access, close, failed, leave, open, pinned, query, run, run_as, scalar};
use super::{OWN_SCHEMA, POOLER, Target};
use crate::error::{Error, Result};
use crate::identity::{Identity, Store};

/// The facts that tell this database from every other: `system-identifier` (absent where the role may not ask for
/// it), `database`, `endpoint`, `marker` (absent if none was planted).
pub async fn identify(target: &Target) -> Result<Identity> {
    let mut session = open(target, Access::Read).await?;
    // Forbidden to ordinary roles on some managed services; the fact is then left out, as `Identity` says.
    let system: String = scalar("SELECT system_identifier::text FROM pg_control_system()")
        .fetch_one(&mut session)
        .await
        .unwrap_or_default();
    leave(target, session).await;
    let marker = read_marker(target).await?.unwrap_or_default();
    Ok(Identity::new(
        Store::Postgres,
        [
            ("system-identifier", system),
            ("database", target.database.clone()),
            ("endpoint", target.endpoint()),
            ("marker", marker),
        ],
    ))
}

/// The planted marker, if there is one.
pub async fn read_marker(target: &Target) -> Result<Option<String>> {
    let mut session = open(target, Access::Read).await?;
    let outcome = async {
        // Policies become an error instead of being run.
        run(target, &mut session, "SET LOCAL row_security = off").await?;
        if !own::is_there(target, &mut session, MARKER, Use::Read).await? {
            return Ok(None);
        }
        own::least(target, &mut session, MARKER, "id").await
    }
    .await;
    leave(target, session).await;
    outcome
}

/// Plants the marker, replacing an older one. It lives in a schema of its own, which captures leave out. Where that is
/// there already, rows alone are written: the database's event triggers see and refuse nothing.
pub async fn plant_marker(target: &Target, marker: &str) -> Result<()> {
    make_marker_table(target).await?;
    let mut session = open(target, Access::Write).await?;
    let outcome = pinned(target, &mut session, async |session| {
        let begin = own::lock(MARKER);
        run(target, session, &begin).await?;
        own::is_there(target, session, MARKER, Use::Trust).await?;
        run(target, session, "DELETE FROM summitctl.marker").await?;
        query("INSERT INTO summitctl.marker (id) VALUES ($1)")
            .bind(marker)
            .execute(session)
            .await
            .map_err(|e| failed(target, "plant the marker", e))?;
        Ok(())
    })
    .await;
    close(session).await;
    outcome
}

/// The table that holds the marker.
const MARKER: &str = "marker";

/// Makes the table that the marker lives in, if it is not there.
pub(super) async fn make_marker_table(target: &Target) -> Result<()> {
    let mut session = open(target, Access::Write).await?;
    let outcome = pinned(target, &mut session, async |session| {
        if own::is_there(target, session, MARKER, Use::Trust).await? {
            return Ok(());
        }
        let schema = super::sql::ident(OWN_SCHEMA);
        let make = format!(
            "SET LOCAL client_min_messages = error;
             CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE IF NOT EXISTS {schema}.{MARKER} (id text PRIMARY KEY)"
        );
        run_as(target, session, "make the marker's table", &make).await?;
        // Somebody else may have been quicker.
        own::is_there(target, session, MARKER, Use::Trust).await?;
        let grant = format!(
            "-- Whoever may connect may see which database this is.
             GRANT USAGE ON SCHEMA {schema} TO PUBLIC; GRANT SELECT ON {schema}.{MARKER} TO PUBLIC"
        );
        run_as(target, session, "make the marker's table", &grant).await
    })
    .await;
    close(session).await;
    outcome
}

/// Refuses a connection through a transaction pooler: two sessions that are open at once have two server processes,
/// and each keeps its own, unless something in between hands the processes round.
pub async fn refuse_pooler(target: &Target) -> Result<()> {
    let mut sessions = [
        open(target, Access::Write).await?,
        open(target, Access::Write).await?,
    ];
    let mut seen = Vec::new();
    for _ in 0..3 {
        for session in &mut sessions {
            let row = session
                .fetch_one(sqlx::raw_sql("SELECT pg_catalog.pg_backend_pid() AS pid"))
                .await
                .map_err(|e| failed(target, "ask for the server process", e))?;
            seen.push(row.get("pid"));
        }
    }
    for session in sessions {
        close(session).await;
    }
    match handed_round(&seen) {
        Some(why) => Err(pooled(target, why)),
        None => Ok(()),
    }
}

/// Why these process ids, seen in turn from two sessions, are not those of two sessions with a process each.
fn handed_round(seen: &[i32]) -> Option<&'static str> {
    let (first, second): (Vec<i32>, Vec<i32>) = (
        seen.iter().step_by(2).copied().collect(),
        seen.iter().skip(1).step_by(2).copied().collect(),
    );
    if [&first, &second]
        .iter()
        .any(|pids| pids.windows(2).any(|p| p[0] != p[1]))
    {
        Some("one session was served by two processes")
    } else if first.iter().any(|pid| second.contains(pid)) {
        Some("two sessions were served by one process")
    } else {
        None
    }
}

fn pooled(target: &Target, why: &str) -> Error {
    Error::new(
        &POOLER,
        format!("`{}` is a transaction pooler: {why}", target.endpoint()),
    )
    .hint("Give the address of the Postgres server itself, usually port 5432, instead of the pooler's.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_changing_processes_give_a_pooler_away() {
        assert_eq!(handed_round(&[7, 8, 7, 8, 7, 8]), None);
        assert!(handed_round(&[7, 7, 7, 7, 7, 7]).is_some());
        assert!(handed_round(&[7, 8, 7, 9, 7, 8]).is_some());
        assert!(handed_round(&[7, 8, 8, 7, 7, 8]).is_some());
    }
}
