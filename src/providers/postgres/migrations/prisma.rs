//! Prisma: a row for each attempt at a migration with its SHA-256, and one advisory lock for the whole database.
//!
//! The row is written before a migration's statements run, and finished after them. A failure leaves its message in it; a kill
//! leaves it begun and without a word. Either way `migrate deploy` refuses to go on until the row is resolved. The engine that is
//! a program of its own sends a file as one query, which Postgres undoes as a whole unless it commits in between; the one in
//! WebAssembly sends statement by statement, and what ran before the failure stays.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::advisory;
use super::history::Shape;
use super::sources::{self, Source};
use super::tool::{Known, Locking};

/// In its schema engine's flavour of Postgres: every database has the same.
const KEY: i64 = 72_707_369;

pub(super) const KNOWN: Known = Known {
    id: "prisma",
    name: "Prisma",
    history: Shape {
        columns: &[
            "applied_steps_count",
            "checksum",
            "finished_at",
            "id",
            "logs",
            "migration_name",
            "rolled_back_at",
            "started_at",
        ],
        exact: true,
        counts: true,
        tells_failure: true,
        name: "{migration_name}",
        at: "coalesce({finished_at}, {started_at})",
        by: "NULL",
        outcome: "CASE WHEN {rolled_back_at} IS NOT NULL THEN 'rolled-back' WHEN {finished_at} IS NOT NULL THEN 'executed' WHEN {logs} <> '' THEN 'failed' ELSE 'half' END",
        order: "{started_at}, {migration_name}",
        // An attempt that was marked as rolled back counts for nothing.
        key: "CASE WHEN {rolled_back_at} IS NULL THEN {migration_name} END",
        checksum: "{checksum}",
    },
    locking: Locking::Advisory(advisory::Shape {
        keys: |_, _, _| vec![KEY],
        default_table: "_prisma_migrations",
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
            "start it again: undo by hand what of it is there, then mark it as rolled back",
            "prisma migrate resolve --rolled-back {version} && prisma migrate deploy",
        ),
        (
            "set the version, when all of it is there or was finished by hand",
            "prisma migrate resolve --applied {version}",
        ),
        (
            "roll forward: set the version, and let a newer migration correct what is there",
            "prisma migrate resolve --applied {version} && prisma migrate deploy",
        ),
    ],
};

/// `NAME/migration.sql` in the folder itself.
fn file(path: &Path, text: &str) -> Option<Source> {
    let parts: Vec<&str> = path
        .iter()
        .map(|part| part.to_str())
        .collect::<Option<_>>()?;
    let [name, "migration.sql"] = parts.as_slice() else {
        return None;
    };
    // Its checksum.rs: lines may end in either way, and early versions wrote a byte below 16 as one digit.
    let endings = [
        text.to_owned(),
        text.replace("\r\n", "\n"),
        text.replace('\n', "\r\n"),
    ];
    let checksums = endings.iter().flat_map(|text| {
        let sum = Sha256::digest(text);
        let padded = sum.iter().map(|b| format!("{b:02x}")).collect();
        let bare = sum.iter().map(|b| format!("{b:x}")).collect();
        [padded, bare]
    });
    Some(Source {
        checksums: checksums.collect(),
        ..Source::named(path, (*name).to_owned())
    })
}
