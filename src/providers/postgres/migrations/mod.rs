//! Database migrations: whose lock a database holds, whether its holder lives, and how it is cleared without a guess.
//!
//! A tool is one file and one line in [`SHAPES`]. Lock tables are known by their columns, because every tool lets its user
//! rename them.

mod clear;
mod here;
mod history;
mod knex;
mod liquibase;
mod lock;
mod verdict;

pub use clear::{by_hand, end_sessions, free, free_by, prove_takeable};
pub use history::{Applied, History, histories};
pub use lock::{Lock, LockRow, Seen, State, Tool, held, locks};
pub use verdict::Verdict;

use crate::reasons;
use lock::Shape;

/// The lock tables that are known.
const SHAPES: &[&Shape] = &[&liquibase::LOCK, &knex::LOCK];

reasons! {
    /// The row is not the one that was shown.
    LOCK_MOVED = "migrate.lock-moved", Refused,
        "The row of the migration lock is no longer the one that was shown: somebody released it, took it, or took it again meanwhile. Nothing was changed. Look again with `summitctl migrate lock show`.";
    /// The holder lives, or who it is is hidden.
    LOCK_IN_USE = "migrate.lock-in-use", Refused,
        "The holder of the migration lock was seen at work, or is hidden where it would have to be seen. Clearing it would let a second migration run beside it. Wait for the holder, or end its sessions first with `--terminate`.";
    /// The lock cannot be taken.
    LOCK_NOT_TAKEABLE = "migrate.lock-not-takeable", Failed,
        "The migration lock's row was cleared, but taking it in a transaction that is rolled back did not work. The message says what the row holds.";
    /// A session does not end.
    SESSION_STAYS = "migrate.session-stays", Failed,
        "A session that holds a migration lock was told to end and is still there, or may not be ended by this role (`GRANT pg_signal_backend TO role`). The lock was not cleared.";
}
