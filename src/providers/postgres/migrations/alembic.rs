//! Alembic: the revisions that the database is at, and nothing else; no lock.
//!
//! On Postgres all revisions of a run share one transaction by default, so a failure or a kill leaves nothing behind.

use std::collections::BTreeSet;
use std::path::Path;

use super::history::{Shape, Written};
use super::sources::{self, Source, ending};
use super::tool::{Known, Locking};

pub(super) const KNOWN: Known = Known {
    id: "alembic",
    name: "Alembic",
    history: Shape {
        columns: &["version_num"],
        exact: true,
        counts: false,
        tells_failure: false,
        name: "{version_num}",
        at: "NULL",
        by: "NULL",
        outcome: "'executed'",
        order: "{version_num}",
        key: "{version_num}",
        checksum: "NULL",
    },
    locking: Locking::None(
        "Alembic takes no lock: nothing keeps a second one out, and nothing tells here whether one runs",
    ),
    sources: sources::Shape {
        read: sources::Read::Files(file),
        pending: Some(pending),
        grouped: false,
        sql: false,
    },
    ways: &[
        (
            "start it again: its transaction was rolled back",
            "alembic upgrade head",
        ),
        (
            "set the version, when all of it is there or was finished by hand",
            "alembic stamp REVISION",
        ),
        (
            "roll forward: set the version, and let a newer migration correct what is there",
            "alembic stamp REVISION && alembic upgrade head",
        ),
    ],
};

/// A file of Python that names its revision.
fn file(path: &Path, text: &str) -> Option<Source> {
    let (_, ending) = ending(path)?;
    if ending != "py" {
        return None;
    }
    let key = assigned(text, "revision")?.into_iter().next()?;
    Some(Source {
        after: assigned(text, "down_revision").unwrap_or_default(),
        ..Source::named(path, key)
    })
}

/// The quoted words that a name is given at the beginning of a line, on that line.
fn assigned(text: &str, name: &str) -> Option<Vec<String>> {
    let value = text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (before, value) = rest.split_once('=')?;
        let typed = before.trim_start().starts_with(':');
        (typed || before.trim().is_empty()).then_some(value)
    })?;
    let words = value.split(['"', '\'']).skip(1).step_by(2);
    Some(words.map(str::to_owned).collect())
}

/// Those that are not behind a revision that the database is at, each after those that it builds on.
fn pending(files: &[Source], written: &[Written]) -> Vec<Source> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut look: Vec<&str> = written.iter().map(|w| w.key.as_str()).collect();
    while let Some(key) = look.pop() {
        if done.insert(key) {
            let file = files.iter().find(|f| f.key == key);
            look.extend(
                file.into_iter()
                    .flat_map(|f| f.after.iter().map(String::as_str)),
            );
        }
    }
    let mut left: Vec<&Source> = files
        .iter()
        .filter(|f| !done.contains(f.key.as_str()))
        .collect();
    let mut sorted = Vec::new();
    while !left.is_empty() {
        let ready = |f: &Source| f.after.iter().all(|a| !left.iter().any(|l| l.key == *a));
        // A circle, which Alembic itself refuses, is taken as it comes.
        let at = left.iter().position(|f| ready(f)).unwrap_or(0);
        sorted.push(left.remove(at).clone());
    }
    sorted
}
