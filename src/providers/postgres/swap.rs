//! The restored database takes the live one's name: connections off, both renames in one transaction, connections on.
//!
//! Every step is looked up in the server's catalogue, so that a swap that was interrupted anywhere is seen for what it
//! is and goes on. The old database stays under its new name until somebody drops it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::restore::quiet::disable_all;
use super::session::{
    Access, close, close_unlimited, failed, open, open_unlimited, pinned, query, run, scalar,
};
use super::sql::ident;
use super::{MAINTENANCE_DATABASE, SWAP_REFUSED, Target, read_marker, refuse_pooler};
use crate::error::{Error, Result};
use crate::time::Instant;
use crate::wait::{Deadline, Look, poll};

/// How long sessions of the live database may take to end once they are told to.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// Names are cut to 63 bytes by the server (PostgreSQL documentation, section 4.1.1).
const LONGEST_NAME: usize = 63;

/// What marks a database name as made by summitctl.
const MADE: &str = "_summitctl_";

/// How far a swap is, as the server's catalogue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SwapState {
    /// The live database has its name, the restored one stands aside.
    NotSwapped,
    /// The renames are not done, or done, but connections to the live name are still off.
    InBetween {
        /// Whether the renames are done. They happen together or not at all.
        renamed: bool,
    },
    /// The restored database has the live name and takes connections; the old one stands under its retired name.
    Swapped,
}

/// A database name that summitctl makes: `<live>_summitctl_<purpose>_<stamp>`, within the server's limit.
pub fn made_name(live: &str, purpose: &str, at: Instant) -> String {
    let tail = format!("{MADE}{purpose}_{}", at.compact().to_lowercase());
    let mut room = LONGEST_NAME.saturating_sub(tail.len());
    if live.len() <= room {
        return format!("{live}{tail}");
    }
    // Long names may begin alike, and must not become one.
    let whole = &blake3::hash(live.as_bytes()).to_hex()[..8];
    room = room.saturating_sub(whole.len() + 1);
    while !live.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}_{whole}{tail}", &live[..room])
}

/// Whether a name is one of [`made_name`].
pub(super) fn is_made(name: &str) -> bool {
    name.contains(MADE)
}

/// Looks how far the swap of these three names is. Names that fit no state are an error that lists what exists.
pub async fn swap_state(
    server: &Target,
    live: &str,
    aside: &str,
    retired: &str,
) -> Result<SwapState> {
    let names = Names::new(server, live, aside, retired);
    let mut session = open(&names.server, Access::Read).await?;
    let state = names.state(&mut session).await;
    close(session).await;
    state
}

/// The number under which the server knows a database, whatever it is called meanwhile; `None` if it is not there.
pub async fn database_oid(server: &Target, name: &str) -> Result<Option<i64>> {
    let mut session = open(server, Access::Read).await?;
    let oid = scalar("SELECT oid::bigint FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut session)
        .await
        .map_err(|e| failed(server, "look for the database", e))?;
    close(session).await;
    Ok(oid)
}

/// Swaps: `live` becomes `retired`, `aside` becomes `live`. Done already is done; in between goes on. Every session of
/// the live database is ended.
pub async fn swap_in(server: &Target, live: &str, aside: &str, retired: &str) -> Result<()> {
    let names = Names::new(server, live, aside, retired);
    refuse_pooler(&names.server).await?;
    let mut session = open_unlimited(&names.server).await?;
    let outcome = names.exchange(&mut session, SwapState::Swapped).await;
    close_unlimited(&names.server, session).await;
    outcome
}

/// Takes a swap back: `live` becomes `aside` again, `retired` becomes `live`.
pub async fn undo_swap(server: &Target, live: &str, aside: &str, retired: &str) -> Result<()> {
    let names = Names::new(server, live, aside, retired);
    refuse_pooler(&names.server).await?;
    let mut session = open_unlimited(&names.server).await?;
    let outcome = names.exchange(&mut session, SwapState::NotSwapped).await;
    close_unlimited(&names.server, session).await;
    outcome
}

/// Drops a database that summitctl made, with its sessions; any other name is refused. Gone already is done. Its
/// subscriptions are dropped first, since the server demands that; slots at their publishers are left alone.
pub async fn drop_database(server: &Target, name: &str) -> Result<()> {
    if !is_made(name) {
        return Err(Error::new(
            &SWAP_REFUSED,
            format!("`{name}` is not a database that summitctl made, so it is not dropped"),
        ));
    }
    drop_whole(server, name).await
}

/// Drops a database with its sessions and subscriptions.
async fn drop_whole(server: &Target, name: &str) -> Result<()> {
    let server = server.with_database(MAINTENANCE_DATABASE);
    let mut session = open_unlimited(&server).await?;
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name));
    let outcome = async {
        drop_subscriptions(&server, &mut session, name).await?;
        not_a_template(&server, &mut session, name).await?;
        run(&server, &mut session, &sql).await
    };
    let outcome = outcome.await;
    close_unlimited(&server, session).await;
    outcome
}

/// The server drops no template, which the live database may have been.
async fn not_a_template(server: &Target, session: &mut PgConnection, name: &str) -> Result<()> {
    let template: Option<bool> = scalar("SELECT datistemplate FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut *session)
        .await
        .map_err(|e| failed(server, "look for the database", e))?;
    if template != Some(true) {
        return Ok(());
    }
    let sql = format!("ALTER DATABASE {} IS_TEMPLATE false", ident(name));
    run(server, session, &sql).await
}

async fn drop_subscriptions(server: &Target, session: &mut PgConnection, name: &str) -> Result<()> {
    let names: Vec<String> = scalar(
        "SELECT subname::text FROM pg_subscription
         WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1) ORDER BY 1",
    )
    .bind(name)
    .fetch_all(session)
    .await
    .map_err(|e| failed(server, "list the subscriptions", e))?;
    if names.is_empty() {
        return Ok(());
    }
    let inside = server.with_database(name);
    let mut session = open(&inside, Access::Write).await?;
    let outcome = pinned(&inside, &mut session, async |session| {
        // The database's own event triggers could refuse it.
        let mut all = disable_all(&inside, session).await?;
        for name in &names {
            let name = ident(name);
            // Without a slot's name nothing is asked of the publisher.
            all.extend([
                format!("ALTER SUBSCRIPTION {name} DISABLE"),
                format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
                format!("DROP SUBSCRIPTION {name}"),
            ]);
        }
        for sql in &all {
            run(&inside, session, sql).await?;
        }
        Ok(())
    })
    .await;
    close(session).await;
    outcome
}

/// A name that somebody may give a new database: one that no program takes for anything but a name.
pub fn check_name(name: &str) -> Result<String> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if begins && name.len() <= LONGEST_NAME && name.chars().all(plain) && !name.contains(MADE) {
        return Ok(name.to_owned());
    }
    Err(
        Error::input(format!("`{name}` cannot name a new database")).hint(format!(
            "Use at most {LONGEST_NAME} letters, digits, `_`, `-` and `.`, a letter or `_` first, and no `{MADE}`, which marks the program's own."
        )),
    )
}

/// Gives a database that summitctl made the name that it was asked for. A database that has the name already is left
/// alone, and is an error.
pub async fn give_name(server: &Target, made: &str, name: &str) -> Result<()> {
    let names = Names::new(server, made, name, made);
    refuse_pooler(&names.server).await?;
    let mut session = open_unlimited(&names.server).await?;
    let outcome = async {
        names.allow(&mut session, &[made], false).await?;
        names.drain(&mut session, &[made]).await?;
        // In one transaction, so that the name never leads to a database that is closed.
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = '30s'; ALTER DATABASE {} RENAME TO {name}; ALTER DATABASE {name} ALLOW_CONNECTIONS true; COMMIT",
            ident(made),
            name = ident(name)
        );
        let renamed = run(&names.server, &mut session, &sql).await;
        if renamed.is_err() {
            run(&names.server, &mut session, "ROLLBACK").await?;
        }
        renamed
    }
    .await;
    close_unlimited(&names.server, session).await;
    outcome
}

/// Drops a database that was made under a name of somebody's choice, if it still holds the marker that it was made with.
/// Whether it was dropped: one without the marker is somebody else's, and stays.
pub async fn drop_copy(server: &Target, name: &str, marker: &str) -> Result<bool> {
    if !super::exists(&server.with_database(MAINTENANCE_DATABASE), name).await? {
        return Ok(false);
    }
    if read_marker(&server.with_database(name)).await?.as_deref() != Some(marker) {
        return Ok(false);
    }
    drop_whole(server, name).await?;
    Ok(true)
}

struct Names<'a> {
    /// A database of the same server that is none of the three.
    server: Target,
    live: &'a str,
    aside: &'a str,
    retired: &'a str,
}

impl<'a> Names<'a> {
    fn new(server: &Target, live: &'a str, aside: &'a str, retired: &'a str) -> Names<'a> {
        let elsewhere = if live == MAINTENANCE_DATABASE {
            "template1"
        } else {
            MAINTENANCE_DATABASE
        };
        Names {
            server: server.with_database(elsewhere),
            live,
            aside,
            retired,
        }
    }

    async fn state(&self, session: &mut PgConnection) -> Result<SwapState> {
        let found = query(
            "SELECT datname::text AS name, datallowconn AS open FROM pg_database WHERE datname = ANY($1) ORDER BY 1",
        )
        .bind(vec![
            self.live.to_owned(),
            self.aside.to_owned(),
            self.retired.to_owned(),
        ])
        .fetch_all(session)
        .await
        .map_err(|e| failed(&self.server, "look at the databases", e))?;
        let names: Vec<String> = found.iter().map(|row| row.get("name")).collect();
        let has = |name: &str| names.iter().any(|n| n == name);
        let all_open = found.iter().all(|row| row.get::<bool, _>("open"));
        let renamed = match (has(self.live), has(self.aside), has(self.retired)) {
            (true, true, false) => false,
            (true, false, true) => true,
            _ => {
                return Err(Error::new(
                    &SWAP_REFUSED,
                    format!(
                        "the databases fit no state of a swap: of `{}`, `{}` and `{}`, Postgres at `{}` has {}",
                        self.live,
                        self.aside,
                        self.retired,
                        self.server.endpoint(),
                        super::enumerate::listed(&names)
                    ),
                ));
            }
        };
        Ok(match (renamed, all_open) {
            (false, true) => SwapState::NotSwapped,
            (true, true) => SwapState::Swapped,
            (renamed, false) => SwapState::InBetween { renamed },
        })
    }

    async fn exchange(&self, session: &mut PgConnection, wanted: SwapState) -> Result<()> {
        let state = self.state(session).await?;
        if state == wanted {
            return Ok(());
        }
        let renamed = matches!(
            state,
            SwapState::Swapped | SwapState::InBetween { renamed: true }
        );
        if renamed != (wanted == SwapState::Swapped) {
            let (from, to) = if renamed {
                ([self.live, self.retired], [self.aside, self.live])
            } else {
                ([self.live, self.aside], [self.retired, self.live])
            };
            if let Err(e) = self.rename(session, from, to).await {
                // Nothing was renamed; the live database must not stay closed.
                self.allow(session, &from, true).await?;
                return Err(e);
            }
        }
        let names = if wanted == SwapState::Swapped {
            [self.live, self.retired]
        } else {
            [self.live, self.aside]
        };
        self.allow(session, &names, true).await
    }

    async fn rename(
        &self,
        session: &mut PgConnection,
        from: [&str; 2],
        to: [&str; 2],
    ) -> Result<()> {
        self.refuse_prepared(session, &from).await?;
        self.allow(session, &from, false).await?;
        self.drain(session, &from).await?;
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = '30s'; ALTER DATABASE {} RENAME TO {}; ALTER DATABASE {} RENAME TO {}; COMMIT",
            ident(from[0]),
            ident(to[0]),
            ident(from[1]),
            ident(to[1])
        );
        let renamed = run(&self.server, session, &sql).await;
        if renamed.is_err() {
            // The failed transaction is still open.
            run(&self.server, session, "ROLLBACK").await?;
        }
        renamed
    }

    /// A prepared transaction keeps its database's name until somebody ends it; closing the database would only hide
    /// that.
    async fn refuse_prepared(&self, session: &mut PgConnection, names: &[&str]) -> Result<()> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let found: Vec<String> =
            scalar("SELECT gid FROM pg_prepared_xacts WHERE database = ANY($1)")
                .bind(names)
                .fetch_all(session)
                .await
                .map_err(|e| failed(&self.server, "look for prepared transactions", e))?;
        if found.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            &SWAP_REFUSED,
            format!(
                "prepared transactions hold the database: {}",
                super::enumerate::listed(&found)
            ),
        )
        .hint("End each with `COMMIT PREPARED` or `ROLLBACK PREPARED` in that database, then run again."))
    }

    async fn allow(&self, session: &mut PgConnection, names: &[&str], open: bool) -> Result<()> {
        for name in names {
            let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open}", ident(name));
            run(&self.server, session, &sql).await?;
        }
        Ok(())
    }

    async fn drain(&self, session: &mut PgConnection, names: &[&str]) -> Result<()> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let session = tokio::sync::Mutex::new(session);
        poll(
            "the end of the database's sessions",
            Deadline::after(DRAIN_PATIENCE),
            Duration::from_millis(200),
            async || {
                let left: Vec<String> = scalar(
                    // Asked to end what it may not end, the server fails the whole statement.
                    "SELECT format('pid %s (%s, %s)%s', a.pid, a.usename, a.application_name,
                                   CASE WHEN NOT me.rolsuper AND (u.rolsuper OR NOT (pg_has_role(current_user, a.usesysid, 'USAGE')
                                                  OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))) THEN ', which this role may not end'
                                        WHEN pg_terminate_backend(a.pid) THEN '' ELSE ', which cannot be ended' END)
                     FROM pg_stat_activity a JOIN pg_roles u ON u.oid = a.usesysid, pg_roles me
                     WHERE a.datname = ANY($1) AND a.pid <> pg_backend_pid() AND me.rolname = current_user
                       -- Workers of the server's own have no user; a rename ends them by itself.
                       AND a.usename IS NOT NULL",
                )
                .bind(names.clone())
                .fetch_all(&mut **session.lock().await)
                .await
                .map_err(|e| failed(&self.server, "end the database's sessions", e))?;
                Ok(if left.is_empty() {
                    Look::Ready(())
                } else {
                    Look::NotYet(left.join(", "))
                })
            },
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_new_databases_are_plain() {
        for good in ["app_copy", "_x", "a.b-c", &"a".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            "-a",
            "a b",
            "a=b",
            "a;b",
            "ä",
            "postgres://x",
            "a_summitctl_b",
            &"a".repeat(64),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn made_names_fit_and_are_told_from_others() {
        let at: Instant = "2026-11-21T03:04:05Z".parse().expect("parses");
        assert_eq!(
            made_name("app", "restore", at),
            "app_summitctl_restore_20261121t030405z"
        );
        let long = made_name(&"ä".repeat(40), "retired", at);
        assert!(long.len() <= LONGEST_NAME, "{long}");
        assert_ne!(long, made_name(&"ä".repeat(41), "retired", at));
        assert!(
            long.ends_with("_summitctl_retired_20261121t030405z"),
            "{long}"
        );
    }
}
