//! Redis and Valkey: health, identity, capture, restore and fingerprints.
//!
//! Commands go through the `redis` crate over a socket that we open ourselves, so that name resolution, refusal,
//! timeouts and TLS fail alike everywhere; replication (`PSYNC`) has a small client of its own. Captures are streams
//! of `DUMP` payloads (see [`record`]), fingerprints are taken of decoded values (see [`rdb`]), so that neither
//! encodings nor server versions show in them.
//!
//! Deliberately absent: Redis Cluster (refused as `redis.cluster-unsupported`), Sentinel discovery, and values larger
//! than memory: one value at a time is held whole.

mod connect;
mod health;
pub mod rdb;
mod target;

pub use health::{Health, MARKER_KEY, identify, ping, plant_marker, read_marker};
pub use target::{DEFAULT_PORT, Target, Tls};

use crate::reasons;

reasons! {
    /// The URL is not a Redis URL.
    BAD_URL = "redis.bad-url", Usage,
        "The Redis URL is not of the form `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. The URL itself is not shown, because it may hold a password.";
    /// Name resolution, the network or the port failed.
    UNREACHABLE = "redis.unreachable", Unreachable,
        "The Redis server could not be reached: its name does not resolve, the connection was refused, or nothing answered in time. The message says which. Check host, port and firewall; `summitctl doctor` shows how far the connection gets.";
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
    /// Cluster mode.
    CLUSTER_UNSUPPORTED = "redis.cluster-unsupported", Usage,
        "The server runs in cluster mode. Capturing and restoring clusters is not supported by this version; nothing was read or changed.";
}
