//! Django: a row for each migration of each app; no lock.
//!
//! Each migration has a transaction of its own, and its row is written in it; only one with `atomic = False` that is killed in the
//! middle leaves its beginning behind, without a row.

use std::path::Path;

use super::history::Shape;
use super::sources::{self, Source, ending};
use super::tool::{Known, Locking};

pub(super) const KNOWN: Known = Known {
    id: "django",
    name: "Django",
    history: Shape {
        columns: &["app", "applied", "id", "name"],
        exact: true,
        counts: true,
        tells_failure: false,
        name: "{app} || '.' || {name}",
        at: "{applied}",
        by: "NULL",
        outcome: "'executed'",
        order: "{id}",
        key: "{app} || '.' || {name}",
        checksum: "NULL",
    },
    locking: Locking::None(
        "Django takes no lock: nothing keeps a second `migrate` out, and nothing tells here whether one runs",
    ),
    sources: sources::Shape {
        read: sources::Read::Files(file),
        pending: None,
        grouped: true,
        sql: false,
    },
    ways: &[
        (
            "start it again: undo by hand what of it is there, if it is not atomic",
            "python manage.py migrate APP NAME",
        ),
        (
            "set the version, when all of it is there or was finished by hand",
            "python manage.py migrate --fake APP NAME",
        ),
        (
            "roll forward: set the version, and let a newer migration correct what is there",
            "python manage.py migrate --fake APP NAME && python manage.py migrate",
        ),
    ],
};

/// `APP/migrations/NAME.py` with a class of that kind; an app's label is its folder, unless it says otherwise.
fn file(path: &Path, text: &str) -> Option<Source> {
    let (name, ending) = ending(path)?;
    let mut above = path.parent()?.iter().rev().map(|part| part.to_str());
    let (migrations, app) = (above.next()??, above.next()??);
    if ending != "py" || migrations != "migrations" || !text.contains("class Migration(") {
        return None;
    }
    Some(Source::named(path, format!("{app}.{name}")))
}
