//! Practice faults: real outages and real leftovers, each of which `mend` takes back.
//!
//! Nothing is forged. A stopped server is stopped; the migration lock is the very row that a Liquibase leaves behind
//! when it is killed; and because backups carry signed dates, a stale backup is made by tightening the sandbox
//! context's freshness policy to one second, not by changing a backup.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

use super::folder::Part;
use super::seed::{DATABASE, PLATFORM_ROLE};
use crate::error::{Error, Result};
use crate::providers::postgres::{Target, session};
use crate::reasons;

reasons! {
    /// Somebody holds the migration lock.
    LOCK_TAKEN = "sandbox.migration-lock-taken", Refused,
        "The sandbox's migration lock is held, and not by the practice fault. Nothing was changed.";
    /// The fault needs a server that does not answer.
    FAULT_IMPOSSIBLE = "sandbox.fault-impossible", Failed,
        "The fault could not be made or mended, because a server that it needs does not answer.";
}

/// What can be broken.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Postgres is stopped.
    Postgres,
    /// Redis is stopped.
    Redis,
    /// Neo4j is stopped.
    Neo4j,
    /// `databasechangeloglock` is held by a migration that is dead.
    MigrationLock,
    /// Every backup is older than the policy allows.
    StaleBackup,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 5] = [
        Fault::Postgres,
        Fault::Redis,
        Fault::Neo4j,
        Fault::MigrationLock,
        Fault::StaleBackup,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Postgres => "postgres",
            Fault::Redis => "redis",
            Fault::Neo4j => "neo4j",
            Fault::MigrationLock => "migration-lock",
            Fault::StaleBackup => "stale-backup",
        }
    }

    /// What is done to the sandbox, in one line.
    pub fn means(self) -> &'static str {
        match self {
            Fault::Postgres => "the Postgres server is stopped",
            Fault::Redis => "the Redis server is stopped",
            Fault::Neo4j => "the Neo4j server is stopped",
            Fault::MigrationLock => {
                "the migration lock is held, as by a Liquibase that was killed 45 minutes ago"
            }
            Fault::StaleBackup => {
                "the context demands a backup of the last second (the backups are not touched)"
            }
        }
    }

    /// The server that the fault stops, if it is one of that kind.
    pub(super) fn server(self) -> Option<Part> {
        match self {
            Fault::Postgres => Some(Part::Postgres),
            Fault::Redis => Some(Part::Redis),
            Fault::Neo4j => Some(Part::Neo4j),
            Fault::MigrationLock | Fault::StaleBackup => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Fault::ALL.into_iter().find(|fault| fault.name() == text);
        found.ok_or_else(|| {
            let names = Fault::ALL.map(|fault| format!("`{fault}`")).join(", ");
            Error::input(format!("there is no fault `{text}`"))
                .hint(format!("The faults are {names}."))
        })
    }
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// It was done.
    Done,
    /// It was so before.
    AlreadySo,
}

/// Who holds the practice lock: host and address, as Liquibase writes them.
pub const LOCK_HOLDER: &str = "db-migrate-7c9d4 (10.0.3.7)";

/// Leaves the lock as a dead migration does.
pub(super) async fn hold_migration_lock(target: &Target) -> Result<Changed> {
    let mut session = owner(target).await?;
    if holder(target, &mut session).await?.as_deref() == Some(LOCK_HOLDER) {
        return Ok(Changed::AlreadySo);
    }
    let taken = sqlx::query(
        "INSERT INTO databasechangeloglock AS l VALUES (1, true, localtimestamp - interval '45 minutes', $1) \
         ON CONFLICT (id) DO UPDATE SET locked = true, lockgranted = EXCLUDED.lockgranted, lockedby = $1 \
         WHERE NOT l.locked",
    )
    .bind(LOCK_HOLDER)
    .execute(&mut session)
    .await
    .map_err(|e| impossible(target, e))?;
    if taken.rows_affected() == 1 {
        return Ok(Changed::Done);
    }
    let by = holder(target, &mut session).await?;
    Err(Error::new(
        &LOCK_TAKEN,
        format!(
            "the migration lock is held by `{}`",
            by.as_deref().unwrap_or("somebody unnamed")
        ),
    )
    .hint("See `summitctl migrate lock show`."))
}

/// Releases the lock, if it is still the one that [`hold_migration_lock`] left.
pub(super) async fn release_migration_lock(target: &Target) -> Result<Changed> {
    let mut session = owner(target).await?;
    let released = sqlx::query(
        "UPDATE databasechangeloglock SET locked = false, lockgranted = NULL, lockedby = NULL WHERE lockedby = $1",
    )
    .bind(LOCK_HOLDER)
    .execute(&mut session)
    .await
    .map_err(|e| impossible(target, e))?;
    Ok(if released.rows_affected() > 0 {
        Changed::Done
    } else {
        Changed::AlreadySo
    })
}

async fn holder(target: &Target, session: &mut PgConnection) -> Result<Option<String>> {
    let found: Option<(Option<String>,)> =
        sqlx::query_as("SELECT lockedby FROM databasechangeloglock WHERE locked")
            .fetch_optional(session)
            .await
            .map_err(|e| impossible(target, e))?;
    Ok(found.and_then(|(by,)| by))
}

async fn owner(target: &Target) -> Result<PgConnection> {
    session::open(target, session::Access::AsGiven)
        .await
        .map_err(|e| impossible(target, e))
}

fn impossible(
    target: &Target,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(
        &FAULT_IMPOSSIBLE,
        format!(
            "cannot reach the migration lock in database `{DATABASE}` at `{}` as `{PLATFORM_ROLE}`",
            target.endpoint()
        ),
    )
    .caused_by(source)
    .hint("Bring Postgres back first: `summitctl sandbox mend postgres`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse::<Fault>().unwrap(), fault);
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
        let error = "posgres".parse::<Fault>().unwrap_err();
        assert!(
            error.hints()[0].contains("`migration-lock`"),
            "{:?}",
            error.hints()
        );
    }
}
