//! sqlx: a row for each migration with its SHA-384, and an advisory lock whose key is made from the database's name.
//!
//! On Postgres the row is written after the migration's statements, by default in the same transaction. A migration that begins
//! with `-- no-transaction` and is killed in the middle leaves no word of itself in the table.

use std::path::Path;

use sha2::{Digest as _, Sha384};

use super::advisory;
use super::history::Shape;
use super::sources::{self, Source};
use super::tool::{Known, Locking};

pub(super) const KNOWN: Known = Known {
    id: "sqlx",
    name: "sqlx",
    history: Shape {
        columns: &[
            "checksum",
            "description",
            "execution_time",
            "installed_on",
            "success",
            "version",
        ],
        exact: true,
        counts: true,
        tells_failure: false,
        name: "{version}::text || ' ' || {description}",
        at: "{installed_on}",
        by: "NULL",
        outcome: "CASE WHEN {success} THEN 'executed' ELSE 'half' END",
        order: "{version}",
        key: "{version}",
        checksum: "encode({checksum}, 'hex')",
    },
    locking: Locking::Advisory(advisory::Shape {
        keys: |database, _, _| {
            // `generate_lock_id` in sqlx-postgres' migrate.rs: the whole database has one.
            vec![0x3d32_ad9e * i64::from(advisory::crc32(database.as_bytes()))]
        },
        default_table: "_sqlx_migrations",
        polls: None,
        applications: &[],
        instead: None,
    }),
    sources: sources::Shape {
        read: sources::Read::Files(file),
        pending: None,
        grouped: false,
        sql: true,
    },
    ways: &[
        (
            "start it again: undo by hand what of it is there, and take its row away if it has one",
            "DELETE FROM {table} WHERE version = {version} AND NOT success; sqlx migrate run --source {folder}",
        ),
        (
            "set the version, when all of it is there or was finished by hand",
            "UPDATE {table} SET success = true WHERE version = {version}",
        ),
        (
            "roll forward: set the version, and let a newer migration correct what is there",
            "sqlx migrate run --source {folder}",
        ),
    ],
};

/// `VERSION_DESCRIPTION.sql` in the folder itself, as sqlx-core's migrate/source.rs has it.
fn file(path: &Path, text: &str) -> Option<Source> {
    let name = path.to_str()?;
    let (version, rest) = name.split_once('_')?;
    if !rest.ends_with(".sql") || rest.ends_with(".down.sql") || name.contains('/') {
        return None;
    }
    let version: u64 = version.parse().ok()?;
    let sum = Sha384::digest(text);
    Some(Source {
        order: vec![version],
        checksums: vec![sum.iter().map(|b| format!("{b:02x}")).collect()],
        ..Source::named(path, version.to_string())
    })
}
