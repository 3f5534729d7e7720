//! Redis and Valkey: health, identity, capture, restore and fingerprints.
//!
//! Commands go through the `redis` crate over a socket that we open ourselves, so that name resolution, refusal,
//! timeouts and TLS fail alike everywhere; replication (`PSYNC`) has a small client of its own. Captures are streams
//! of `DUMP` payloads (see [`record`]), fingerprints are taken of decoded values (see [`rdb`]), so that neither
//! encodings nor server versions show in them.
//!
//! Large values are cut between their elements as they come, streams and modules' values into fragments of their payload.
//! Deliberately absent: single elements of collections, and a stream's groups with their pending entries, larger than memory;
//! where keys are read one by one, the server gives a value whole.

mod capture;
mod connect;
mod ease;
mod fleet;
pub mod foreign;
mod gather;
mod health;
mod load;
mod lost;
mod pieces;
mod pipe;
mod psync;
mod queues;
pub mod rdb;
pub mod record;
mod restore;
mod scan;
mod sentinel;
mod shards;
mod survey;
mod swap;
mod tally;
mod target;
mod whole;

pub use capture::{
    CaptureOptions, Compared, Measured, capture, compare, decode, fingerprints, measure,
    measure_source,
};
pub use health::{
    Health, MARKER_KEY, RESTORE_KEY, exists, identify, ping, plant_marker, read_marker,
};
pub use queues::{Queue, queues};
pub use restore::{Loaded, Replace, RestoreOptions, Restored, admits, load, restore};
pub use survey::{Surveyed, survey};
pub use swap::{Staged, SwapState, discard, stage, swap_back, swap_in, swap_state};
pub use target::{DEFAULT_PORT, Sentinels, Target, Tls};

use crate::error::Error;
use crate::reasons;

reasons! {
    /// The URL is not a Redis URL.
    BAD_URL = "redis.bad-url", Usage,
        "The Redis URL is not of the form `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS, or `redis+sentinel://[user:password@]host[:port],host[:port]/master[/database]`. The URL itself is not shown, because it may hold a password.";
    /// Name resolution, the network or the port failed.
    UNREACHABLE = "redis.unreachable", Unreachable,
        "The Redis server could not be reached: its name does not resolve, the connection was refused, or nothing answered in time. The message says which. Check host, port and firewall; `summitctl doctor` shows how far the connection gets.";
    /// No Sentinel knows the master.
    NO_MASTER = "redis.no-master", Unreachable,
        "The Redis URL names Sentinels, and none of them says where the master is: they cannot be reached, or do not know it under this name. The message holds what each of them said.";
    /// The connection broke off.
    CONNECTION_LOST = "redis.connection-lost", Unreachable,
        "The connection to Redis broke off in the middle. Whatever was being captured or restored was not finished and does not count. Look at the server's log, then run the command again.";
    /// The server refused the login.
    LOGIN_REFUSED = "redis.login-refused", Unreachable,
        "Redis refused the user or password, or wants one and got none. Check the variables REDIS_URL or REDIS_PASSWORD that the context refers to.";
    /// TLS failed.
    TLS = "redis.tls", Unreachable,
        "The TLS handshake with Redis failed: the certificate is not trusted, not for this name, or the port does not speak TLS.";
    /// The server is too old for us.
    UNSUPPORTED_VERSION = "redis.unsupported-version", Usage,
        "This version of Redis is not supported; Redis 6.0 and later, and Valkey, are.";
    /// The numbered database does not exist.
    DATABASE_MISSING = "redis.database-missing", Unreachable,
        "The numbered database does not exist on this server. `databases` in redis.conf says how many there are; a cluster has only database 0.";
    /// The server is loading its data.
    LOADING = "redis.loading", Unreachable,
        "Redis is still loading its data from disk, or its primary is away. Wait until `PING` is answered.";
    /// The user may not run a command.
    DENIED = "redis.permission-denied", Refused,
        "The ACL of this Redis user does not allow a command that is needed; the message names it. Nothing was changed by that command.";
    /// A command failed.
    COMMAND_FAILED = "redis.command-failed", Failed,
        "Redis answered a command with an error; the message holds it.";
    /// An answer that the protocol does not allow.
    PROTOCOL = "redis.protocol", Failed,
        "The server answered with something that Redis does not say here. Is the port really a Redis server, without a proxy in between?";
    /// Slots without a master.
    CLUSTER_DOWN = "redis.cluster-down", Unreachable,
        "Some slots of the Redis cluster have no master that answers, so its data are not complete. `redis-cli --cluster check` says which.";
    /// Slots are on the move.
    CLUSTER_MOVING = "redis.cluster-moving", Failed,
        "Slots of the Redis cluster are moved between its masters. What was read meanwhile may lack keys or hold them twice, so it does not count. Wait until the cluster is balanced, then run the command again.";
    /// The bytes are not what Redis or we wrote.
    MALFORMED = "redis.malformed-dump", Integrity,
        "A snapshot, a dumped value or a part of a backup is not what was written: cut off, or its checksum or structure is wrong. Do not restore from it; `summitctl backup verify` says what else is affected.";
    /// A value of a type this version does not know.
    UNSUPPORTED_VALUE = "redis.unsupported-value", Failed,
        "The data hold a type of value that this version cannot read, so its length cannot be told and nothing was captured. The server is newer than this program, or the value comes from a very old one.";
    /// A part of a format this version does not know.
    INCOMPARABLE = "redis.unknown-format", Usage,
        "The backup was written by a newer version of summitctl in a format that this one cannot read.";
    /// Two measurements lie too far apart.
    MEASURED_TOO_LONG = "redis.measured-too-long", Failed,
        "Keys that expire can be compared for a day after they were measured; this measurement took longer.";
    /// The target holds keys.
    NOT_EMPTY = "redis.not-empty", Refused,
        "The server to restore into holds keys or function libraries that are not ours, and replacing them was not consented to. Nothing was changed.";
    /// The data would not fit.
    NO_ROOM = "redis.no-room", Refused,
        "The server's `maxmemory` leaves too little room for the backup: values would be refused or evicted. Raise it, or restore into a larger server.";
    /// A value that the server does not take whole, and that cannot be written in parts.
    TOO_LARGE = "redis.value-too-large", Refused,
        "A string, a stream or a module's value is larger than the server takes in one argument (`proto-max-bulk-len`), and cannot be written in parts. Raise the setting for the restore.";
    /// The values are of a newer version than the server.
    SERVER_TOO_OLD = "redis.server-too-old", Usage,
        "The backup holds values in a newer RDB version than the server reads. Nothing was written. Restore into a server of at least the version the backup was taken from.";
    /// The target is a replica.
    READ_ONLY = "redis.read-only", Refused,
        "The server is a replica and takes no writes. Restore into its primary.";
    /// A fork could be too much.
    NO_HEADROOM = "redis.no-headroom", Refused,
        "A snapshot forks the server, and what is written meanwhile is copied. By its own figures the server's machine has too little memory left for that, so the keys are read one by one instead: such a backup shows no single moment. Give the machine more memory, or back up a replica.";
    /// The server cut a slow reader off.
    OUTPUT_BUFFER = "redis.output-buffer", Failed,
        "The server cut us off because what it had for us came to more than its `client-output-buffer-limit`: a value is larger than that, or, on servers before 6.2, much was written during a snapshot. Raise the limit.";
    /// The server's own save failed.
    FORK_FAILED = "redis.save-failed", Failed,
        "The server could not make its snapshot: the fork or the child failed. Its log says why; too little memory is the usual reason.";
    /// Keys were evicted while they were restored.
    EVICTED = "redis.evicted", Failed,
        "The server evicted keys while they were being restored, so it does not hold what the backup holds. Raise `maxmemory`, empty the server, and restore again.";
    /// The append-only file could not be written.
    WRITE_FAILED = "redis.write-failed", Failed,
        "The server could not write its append-only file: what was restored would be lost at a restart. Its log says why.";
    /// No numbered database is free.
    NO_SPARE = "redis.no-spare-database", Refused,
        "Restoring beside the live data needs an empty numbered database, and there is none. Nothing was changed.";
    /// The backup has more than database 0.
    ONLY_ZERO = "redis.only-database-zero", Refused,
        "Only database 0 can be exchanged in place, and the backup holds others. Restore into another server, or replace everything.";
    /// The data to exchange are not there.
    NOT_STAGED = "redis.not-staged", Failed,
        "The data that were to change places are not where they must be; the message says where they are. Nothing was changed by this.";
}

/// What is read while slots change their masters would not be whole.
fn moving(what: impl Into<String>) -> Error {
    Error::new(&CLUSTER_MOVING, what)
        .hint("Wait until the cluster is balanced, then run the command again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{FingerprintKey, MemoryParts, PartReader};

    fn sent<T: Send>(_: T) {}

    /// The engine runs steps on any thread; a future that cannot move there would not compile here.
    #[test]
    fn every_future_can_move_between_threads() {
        let target = Target::new("127.0.0.1", 1, None);
        let parts = MemoryParts::default();
        let common = CaptureOptions::quiet(FingerprintKey::new([0; 32]));
        let options = RestoreOptions {
            common: common.clone(),
            replace: Replace::Refuse,
            token: String::new(),
        };
        sent(capture(&target, &parts, &common));
        sent(compare(&target, &parts, &common));
        sent(fingerprints(&target, &common));
        sent(restore(&target, &parts, &options));
        sent(stage(&target, &parts, &options));
        sent(swap_in(&target, ""));
        sent(swap_back(&target, ""));
        sent(discard(&target, ""));
        sent(identify(&target));
        sent(ping(
            &target,
            crate::wait::Deadline::after(std::time::Duration::ZERO),
        ));
        let decodes = |info: crate::capture::PartInfo, mut reader: Box<dyn PartReader>| {
            let key = FingerprintKey::new([0; 32]);
            sent(async move { decode(&info, reader.as_mut(), &key).await });
        };
        let _ = decodes;
    }
}
