//! Knex: `is_locked` is 1 or 0, and nothing says who or since when.
//!
//! Where every migration of a batch is transactional, the row is changed inside that transaction: nobody sees it, and
//! Postgres itself lets go of it when the holder ends. It stays behind only after migrations with `transaction: false`.

use super::lock::{Shape, Tool};

pub(super) const LOCK: Shape = Shape {
    tool: Tool::Knex,
    columns: &["index", "is_locked"],
    held: "is_locked",
    free: &[("is_locked", "0")],
    take: ("is_locked", "1"),
    holder: None,
    since: None,
    polls: None,
    applications: &[],
};
