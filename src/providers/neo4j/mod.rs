//! Neo4j 5: typed facts, captures, restores and comparisons over Bolt; no printing, no policy.
//!
//! # What a capture holds
//!
//! Three parts. `neo4j/<database>/schema` is JSON: a list of `{kind, name, create}`, constraints and those indexes that no
//! constraint owns, with the server's own statements that create them. `neo4j/<database>/nodes` and
//! `neo4j/<database>/relationships` have the format `neo4j-packstream`: frames of a big-endian 32-bit length and one
//! PackStream list in canonical form (labels and map keys sorted by their bytes, integers shortest, floats bit by bit):
//!
//! * a node: `[id, [label, …], {property: value, …}]`
//! * a relationship: `[id, type, start id, end id, {property: value, …}]`
//!
//! The meta of the nodes holds `labels`, how many nodes carry each, and that of the relationships `types`; neither where there are more
//! than a thousand names.
//!
//! Points, dates, times and durations are the structures of Bolt 5 (with times in UTC), so a moment in a clock change
//! keeps its side. Ids are the source's internal ones; they tie relationships to nodes and mean nothing elsewhere.
//!
//! # What is compared
//!
//! Fingerprints are over the frames: of a node with its id, of a relationship `[type, start id, end id, properties]`,
//! since nothing refers to a relationship's own id. A restored server has other ids: [`IdMap`] takes them back to the
//! source's before they are hashed, so equal twins cannot hide a moved endpoint.
//!
//! # What Bolt does not show
//!
//! Java's narrow number types (`int`, `short`, `float`, `char`), which only code inside the server can write, arrive as
//! 64-bit numbers and strings. Users and roles live in the database `system` and are not carried.

pub mod admin;
mod barrier;
pub mod bolt;
mod capture;
mod column;
mod counts;
mod idmap;
pub mod import;
pub mod migrations;
mod part;
mod restore;
mod rows;
pub mod scan;
mod schema;
mod server;
mod survey;
mod target;
pub mod topology;
pub mod transactions;
mod verify;
mod wipe;

pub use barrier::BARRIER_LIMIT;
pub use capture::{CaptureOptions, capture};
pub use column::{column, column_planned};
pub use counts::KEYS as COUNTED;
pub use idmap::IdMap;
pub use restore::{RestoreOptions, Restored, restore};
pub use schema::differences as schema_differences;
pub use server::{Health, Preview, identify, ping, plant_marker, preview, read_marker};
pub use survey::survey;
pub use target::{DEFAULT_PORT, Target, Tls};
pub use verify::{decode, fingerprints, fingerprints_of_load};
pub use wipe::{Wiped, wipe};

use crate::reasons;

reasons! {
    /// The lock's nodes are not those that were shown.
    LOCK_MOVED = "neo4j.migration-lock-moved", Refused,
        "The node of neo4j-migrations' lock is no longer the one that was shown: somebody released it, or took it again meanwhile. Nothing was changed. Look again with `summitctl migrate lock show`.";
    /// The lock cannot be taken.
    LOCK_NOT_TAKEABLE = "neo4j.migration-lock-not-takeable", Failed,
        "The node of neo4j-migrations' lock was deleted, but making it in a transaction that is rolled back did not work. The message says why.";
    /// A transaction does not end.
    TRANSACTION_STAYS = "neo4j.transaction-stays", Failed,
        "A transaction was terminated, and its connection with it, and is still there. `SHOW TRANSACTIONS` says in what state; the server may be rolling back much.";
    /// The URI has the wrong form.
    BAD_URI = "neo4j.bad-uri", Usage,
        "The Neo4j URI does not have the form `bolt://HOST:PORT`, `neo4j://HOST:PORT` or one of their TLS forms (`+s`, `+ssc`).";
    /// Nobody answers.
    UNREACHABLE = "neo4j.unreachable", Unreachable,
        "Neo4j could not be reached: the name does not resolve, nothing listens, it did not answer in time, or something else answers there. The message says which.";
    /// User and password were refused.
    LOGIN_REFUSED = "neo4j.login-refused", Unreachable,
        "Neo4j refused the login. Check user and password; after several wrong ones the server refuses even the right one for some seconds.";
    /// TLS failed.
    TLS_FAILED = "neo4j.tls", Unreachable,
        "The encrypted connection could not be made: the certificate is not trusted or does not fit the name, or the server speaks plain Bolt. Use `+s` for checked certificates, `+ssc` for self-signed ones.";
    /// The server's version is not supported.
    UNSUPPORTED_VERSION = "neo4j.unsupported-version", Usage,
        "The server speaks none of the Bolt versions 5.0 to 5.4, which Neo4j 5 speaks.";
    /// The database does not exist or is not online.
    DATABASE_MISSING = "neo4j.database-missing", Unreachable,
        "The server has no such database, or it is not online. `SHOW DATABASES` lists them.";
    /// The connection ended in the middle.
    CONNECTION_LOST = "neo4j.connection-lost", Unreachable,
        "The connection to Neo4j ended in the middle of an operation: the server stopped, or the network did. Nothing unfinished counts; run it again.";
    /// The server does not speak Bolt as specified.
    PROTOCOL = "neo4j.protocol", Failed,
        "What the server sent is not Bolt as specified. Something between may have changed the bytes.";
    /// The user may not do this.
    FORBIDDEN = "neo4j.forbidden", Failed,
        "The Neo4j user lacks the right to do this. The server's message names it.";
    /// The server could not do it now.
    TRANSIENT = "neo4j.transient", Failed,
        "Neo4j could not do this just now: it ran out of memory for transactions, met a deadlock, or ended the transaction. Trying again may help.";
    /// The server refused a query.
    QUERY_FAILED = "neo4j.query-failed", Failed,
        "Neo4j refused a query. The message holds its code and words.";
    /// The restore's target holds something.
    NOT_EMPTY = "neo4j.not-empty", Refused,
        "The database holds nodes, constraints or indexes. A restore writes into an empty database only; nothing was changed.";
    /// A part of the capture is not what a capture writes.
    BAD_PART = "neo4j.bad-part", Integrity,
        "A part of the capture cannot be read as what a capture writes: it is damaged, cut short, or of a newer format.";
    /// neo4j-admin failed.
    ADMIN_FAILED = "neo4j.admin-failed", Failed,
        "`neo4j-admin` did not dump or load a database. The message holds the end of what it said: the server still runs, a disk is full, or its files are another user's.";
    /// The server could not be stopped or started.
    CONTROL_FAILED = "neo4j.control-failed", Failed,
        "A program of the context's `neo4j.offline` section, which stops or starts the server, could not be started or ended with another status than 0. The message holds the end of what it said.";
    /// The server does not answer after it was started.
    NOT_BACK = "neo4j.not-back", Failed,
        "Neo4j was stopped for an offline copy, and does not answer again after it was started. Look at its log and start it by hand; then `summitctl run resume` goes on, and `summitctl run abort` takes the run back.";
    /// A dump is of another database.
    OTHER_DATABASE = "neo4j.other-database", Failed,
        "The dump that `neo4j-admin` made is not of the database that was to be backed up: the context's `neo4j.offline.admin` works on the files of another server. Nothing was kept.";
    /// What was read contradicts itself.
    INCONSISTENT = "neo4j.inconsistent", Integrity,
        "A relationship was read whose node was not, although nothing was committed meanwhile. The store may be damaged: check it with `neo4j-admin database check`.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{FingerprintKey, MemoryParts};
    use crate::event::Events;
    use crate::wait::{Cancel, Deadline};

    /// Callers spawn these and hold them in boxed futures.
    #[test]
    fn futures_can_move_between_threads() {
        fn check<T: Send>(_: T) {}
        let target = Target::parse("bolt://localhost", None, None).expect("parses");
        let (parts, key) = (MemoryParts::default(), FingerprintKey::new([0; 32]));
        let (events, cancel) = (Events::silent(), Cancel::new());
        let capturing = CaptureOptions {
            key: key.clone(),
            jobs: 1,
            called: None,
            barrier: None,
            events: events.clone(),
            cancel: cancel.clone(),
        };
        let restoring = RestoreOptions {
            key: key.clone(),
            events: events.clone(),
            cancel: cancel.clone(),
        };
        check(capture(&target, &parts, &capturing));
        check(restore(&target, &parts, &restoring));
        check(fingerprints(&target, &key, None, 2));
        check(wipe(&target, &events, &cancel));
        check(ping(&target, Deadline::after(std::time::Duration::ZERO)));
        check(plant_marker(&target, "m"));
        check(preview(&target));
    }
}
