//! Knex: `is_locked` is 1 or 0, and nothing says who or since when.
//!
//! Where every migration of a batch is transactional, the row is changed inside that transaction: nobody sees it, and
//! Postgres itself lets go of it when the holder ends. It stays behind only after migrations with `transaction: false`.

use std::path::Path;

use super::history;
use super::lock::Shape;
use super::sources::{self, Source, ending};
use super::tool::{Known, Locking};

pub(super) const KNOWN: Known = Known {
    id: "knex",
    name: "Knex",
    history: history::Shape {
        columns: &["batch", "id", "migration_time", "name"],
        exact: true,
        counts: true,
        tells_failure: false,
        name: "{name}",
        at: "{migration_time}",
        by: "NULL",
        outcome: "'executed'",
        order: "{id}",
        key: "{name}",
        checksum: "NULL",
    },
    locking: Locking::Row(&LOCK),
    sources: sources::Shape {
        read: sources::Read::Files(file),
        pending: None,
        grouped: false,
        sql: false,
    },
    ways: &[
        (
            "start it again, when what made it fail is mended",
            "knex migrate:latest",
        ),
        (
            "set the version, when all of it is there or was finished by hand; Knex has no command for it",
            "INSERT INTO {table} (name, batch, migration_time) SELECT 'FILE', coalesce(max(batch), 0) + 1, now() FROM {table}",
        ),
        (
            "roll forward: set the version, and let a newer migration correct what is there",
            "knex migrate:latest",
        ),
    ],
};

/// By its whole name, of the endings that it loads unless told otherwise.
fn file(path: &Path, _: &str) -> Option<Source> {
    let (stem, ending) = ending(path)?;
    let loads = ["js", "cjs", "mjs", "ts"].contains(&ending.as_str()) && !stem.ends_with(".d");
    let top = path.components().count() == 1;
    (loads && top).then(|| Source::named(path, path.display().to_string()))
}

pub(super) const LOCK: Shape = Shape {
    columns: &["index", "is_locked"],
    held: "is_locked",
    free: &[("is_locked", "0")],
    take: ("is_locked", "1"),
    holder: None,
    since: None,
    polls: None,
    applications: &[],
};
