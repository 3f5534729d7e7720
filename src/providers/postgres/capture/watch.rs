//! A capture among the living: it gives way to a schema change that waits for its locks, and does not keep its snapshot for ever.
//!
//! A session that waits for an exclusive lock on a table makes everybody behind it wait too, readers included, so that a long
//! capture and a short migration together stop an application. A snapshot that is held keeps VACUUM from removing dead rows in the
//! whole database.

use std::time::{Duration, Instant};

use sqlx::Row as _;

use super::super::session::{Access, close, failed, open, query};
use super::super::{GAVE_WAY, SNAPSHOT_TOO_OLD, Target};
use crate::error::{Error, Result};

/// How long a capture may be in others' way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For how long a session may wait for an exclusive lock on a table that is being captured.
    pub give_way: Duration,
    /// How old the snapshot may get.
    pub snapshot: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            give_way: Duration::from_secs(30),
            snapshot: Duration::from_secs(12 * 3600),
        }
    }
}

impl Patience {
    /// How long a session of ours waits for a table that the first one has locked already. It can only stand behind somebody who
    /// waits for it exclusively, and whom [`Watch`] names before this is over: unless they give up, and nothing is lost.
    pub(super) fn behind(self) -> Duration {
        let longest = Duration::from_secs(24 * 3600);
        self.give_way.saturating_add(4 * INTERVAL).min(longest)
    }
}

/// How often it looks; oftener where patience is short.
const INTERVAL: Duration = Duration::from_secs(5);

/// What is watched.
pub(super) struct Watch {
    pub target: Target,
    /// The session that holds every lock.
    pub pid: i32,
    pub began: Instant,
    pub patience: Patience,
}

impl Watch {
    /// Runs `work` as long as nobody else has to suffer for it.
    pub(super) async fn over<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            error = self.until_enough() => Err(error),
        }
    }

    async fn until_enough(&self) -> Error {
        let shortest = self.patience.give_way.min(self.patience.snapshot);
        loop {
            tokio::time::sleep(INTERVAL.min(shortest / 4)).await;
            if self.began.elapsed() > self.patience.snapshot {
                return Error::new(
                    &SNAPSHOT_TOO_OLD,
                    format!(
                        "the capture of {} was given up after {}: its snapshot keeps VACUUM from removing dead rows",
                        self.target.place(),
                        said(self.patience.snapshot)
                    ),
                );
            }
            // A look that fails, for lack of a connection or a right, is no reason to give up a capture.
            if let Ok(Some(who)) = self.look().await {
                return Error::new(
                    &GAVE_WAY,
                    format!(
                        "the capture of {} gave way: {who} waited for longer than {}, and everybody behind it with it",
                        self.target.place(),
                        said(self.patience.give_way)
                    ),
                );
            }
        }
    }

    /// Who waits for us for too long.
    async fn look(&self) -> Result<Option<String>> {
        let mut session = open(&self.target, Access::Read).await?;
        let found = query(
            "SELECT l.pid, l.relation::regclass::text AS relation, a.usename::text AS usename, a.application_name AS application
             FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE NOT l.granted AND l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
               AND clock_timestamp() - l.waitstart > $2 * interval '1 ms'
               AND $1 = ANY(pg_blocking_pids(l.pid))
             ORDER BY l.waitstart LIMIT 1",
        )
        .bind(self.pid)
        .bind(i64::try_from(self.patience.give_way.as_millis()).unwrap_or(i64::MAX))
        .fetch_optional(&mut session)
        .await
        .map_err(|e| failed(&self.target, "see who waits for the locks", e))?;
        close(session).await;
        Ok(found.map(|row| {
            format!(
                "pid {} (`{}`, `{}`), which wants an exclusive lock on `{}`,",
                row.get::<Option<i32>, _>("pid").unwrap_or_default(),
                row.get::<Option<String>, _>("usename").unwrap_or_default(),
                row.get::<Option<String>, _>("application")
                    .unwrap_or_default(),
                row.get::<Option<String>, _>("relation").unwrap_or_default(),
            )
        }))
    }
}

fn said(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_their_own_units() {
        let said_of = |ms| said(Duration::from_millis(ms));
        assert_eq!(
            [
                said_of(250),
                said_of(30_000),
                said_of(120_000),
                said_of(43_200_000)
            ],
            ["250 ms", "30 s", "2 min", "12 h"]
        );
    }
}
