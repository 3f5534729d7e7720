//! Database migrations: whose lock a database holds, whether its holder lives, and how it is cleared without a guess.
//!
//! A tool is one file and one line in [`TOOLS`]. Its tables are known by their columns, because every tool lets its user rename
//! them.

mod advisory;
mod alembic;
mod catalogue;
mod clear;
mod django;
mod flyway;
mod golang_migrate;
mod here;
mod history;
mod knex;
mod liquibase;
mod lock;
mod prisma;
mod sources;
mod sqlx;
mod statements;
mod tool;
mod verdict;

pub use advisory::released;
pub use catalogue::{Half, InCatalogue, InvalidIndex, Sight, invalid_indexes};
pub use clear::{by_hand, end_sessions, free, free_by, free_within, prove_takeable, state_of};
pub use history::{Applied, Histories, History, Unreadable, Unrecognised, histories};
pub use lock::{Lock, LockRow, Lockless, Locks, Seen, State, held, locks};
pub use sources::{Compared, Sources, Way, sources, ways};
pub use tool::{Tool, all_names, ids_and};
pub use verdict::Verdict;

use crate::reasons;
use tool::Known;

/// The tools that are known: each runs in a live test.
const TOOLS: &[&Known] = &[
    &liquibase::KNOWN,
    &knex::KNOWN,
    &prisma::KNOWN,
    &sqlx::KNOWN,
    &golang_migrate::KNOWN,
    &flyway::KNOWN,
    &alembic::KNOWN,
    &django::KNOWN,
];

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
    /// A lock table could not be read.
    UNREADABLE = "migrate.unreadable", Failed,
        "A migration tool's lock table is there and could not be read, so nobody can say that no lock is held. The message says why it could not be read.";
    /// A database was not asked.
    UNASKED = "migrate.unasked", Unreachable,
        "No migration lock is seen to be held, but not every database of the context answered, so nobody can say that none is. The message says which.";
    /// A session does not end.
    SESSION_STAYS = "migrate.session-stays", Failed,
        "A session that holds a migration lock was told to end and is still there, or may not be ended by this role (`GRANT pg_signal_backend TO role`). The lock was not cleared.";
}
