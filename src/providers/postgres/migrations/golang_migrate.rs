//! golang-migrate: one row with the version reached and whether its migration was begun and not finished, and an advisory lock.
//!
//! The row is set to dirty before a migration's statements run, and to clean after them, each in a transaction of its own. A
//! dirty row is what a failure and a kill leave alike; the tool refuses to go on until `migrate force VERSION`.

use std::path::Path;

use super::advisory;
use super::history::{Shape, Written};
use super::lock;
use super::sources::{self, Source, number};
use super::tool::{Known, Locking};

/// `advisoryLockIDSalt` in its database/util.go.
const SALT: u32 = 1_486_364_155;

pub(super) const KNOWN: Known = Known {
    id: "golang-migrate",
    name: "golang-migrate",
    history: Shape {
        columns: &["dirty", "version"],
        exact: true,
        counts: false,
        tells_failure: false,
        name: "{version}",
        at: "NULL",
        by: "NULL",
        outcome: "CASE WHEN {dirty} THEN 'half' ELSE 'executed' END",
        order: "{version}",
        key: "{version}",
        checksum: "NULL",
    },
    locking: Locking::Advisory(advisory::Shape {
        keys,
        default_table: "schema_migrations",
        polls: None,
        applications: &[],
        instead: Some(&TABLE),
    }),
    sources: sources::Shape {
        read: sources::Read::Files(file),
        pending: Some(pending),
        grouped: false,
        sql: true,
    },
    ways: &[
        (
            "start it again: undo by hand what of it is there, then set the version before it",
            "migrate -path {folder} -database URL force {previous} && migrate -path {folder} -database URL up",
        ),
        (
            "set the version, when all of it is there or was finished by hand",
            "migrate -path {folder} -database URL force {version}",
        ),
        (
            "roll forward: set the version, and let a newer migration correct what is there",
            "migrate -path {folder} -database URL force {version} && migrate -path {folder} -database URL up",
        ),
    ],
};

/// Of its pgx driver with `x-lock-strategy=table`: a row while the lock is held, which outlives a holder that is killed and says
/// nothing of it.
const TABLE: lock::Shape = lock::Shape {
    columns: &["lock_id"],
    held: "lock_id",
    free: &[],
    take: ("lock_id", ""),
    holder: None,
    since: None,
    polls: None,
    applications: &[],
};

/// `VERSION_TITLE.up.EXTENSION` in the folder itself, as its source/parse.go has it.
fn file(path: &Path, _: &str) -> Option<Source> {
    let name = path.to_str()?;
    let (version, rest) = number(name)?;
    let title = rest.strip_prefix('_')?;
    if !title.contains(".up.") || name.contains('/') {
        return None;
    }
    Some(Source {
        order: vec![version],
        ..Source::named(path, version.to_string())
    })
}

/// Those above the version that the database is at.
fn pending(files: &[Source], written: &[Written]) -> Vec<Source> {
    let at: Option<i64> = written.first().and_then(|w| w.key.parse().ok());
    let above = |f: &&Source| {
        let version = f.order.first().and_then(|v| i64::try_from(*v).ok());
        at.is_none() || version > at
    };
    files.iter().filter(above).cloned().collect()
}

/// `GenerateAdvisoryLockId` in its database/util.go. Opened by a URL, as its command line does, it takes the URL's path for the
/// database's name, slash and all; given a connection, what Postgres says.
fn keys(database: &str, schema: &str, table: &str) -> Vec<i64> {
    [format!("/{database}"), database.to_owned()]
        .iter()
        .map(|name| {
            let sum = advisory::crc32(format!("{schema}\0{table}\0{name}").as_bytes());
            i64::from(sum.wrapping_mul(SALT))
        })
        .collect()
}
