//! PostgreSQL 14 to 18, RDS and Aurora included: where a server is, whether it answers, what it is, and what it holds.
//!
//! Nothing here needs files on the server or a superuser. Reading runs in read-only sessions. Statements are fixed
//! texts; the only parts that vary are identifiers, which [`sql::ident`] quotes, and literals, which are bound or quoted.

mod archive;
pub mod blockers;
mod capture;
mod catalogue;
mod channel;
mod column;
mod copy;
mod decode;
mod dump;
mod enumerate;
pub mod foreign;
mod identify;
mod large_objects;
pub mod migrations;
mod own;
pub mod poison;
mod preview;
mod restore;
mod roles;
pub mod session;
mod several;
pub mod sql;
mod swap;
pub mod target;
pub mod tools;
mod tuples;
mod wire;
mod writes;

pub use capture::{
    CaptureOptions, Patience, STRETCH, can_be_dumped, capture, fingerprints, fingerprints_as,
    prefix,
};
pub use catalogue::{
    catalogue, catalogue_as, catalogue_differences, is_catalogue, schema_fingerprint,
};
pub use column::{column, column_planned};
pub use decode::decode;
pub use identify::{identify, plant_marker, read_marker, refuse_pooler};
pub use preview::{FreeSpace, Preview, TablePreview, free_space, preview, read_rows};
pub use restore::{
    BACK_REASONS, BackOptions, Chosen, Extension, LiveFacts, MissingRoles, Readiness, Renamed,
    RestoreOptions, Restored, RoleMap, SHARE, Selection, Survey, TableBack, TableSeen, TiesSeen,
    captured_databases, captured_roles, choose, create_database, drop_roles, exists, find_table,
    incomparable, incomparable_with, is_back, look_at_away, look_at_table, make_roles,
    may_make_roles, put_back, readiness, restore, role_pair, survey as survey_catalogue, take_away,
};
pub use session::{Health, ping};
pub use several::{capture_all, identify_all, marker_fact, marker_of, plant_markers};
pub use swap::{
    SwapState, check_name, database_oid, drop_copy, drop_database, give_name, made_name, swap_in,
    swap_state, undo_swap,
};
pub use target::{Target, TlsMode};
pub use writes::{Counters, TableWrites, Writes, counters, writes_since};

use crate::reasons;

/// The schema that holds what summitctl itself keeps in a database: the marker. Never captured, never compared.
pub const OWN_SCHEMA: &str = "summitctl";

/// The oldest major version that is supported.
pub const OLDEST_MAJOR: u32 = 14;

/// The database that every server has, from which others are created, renamed and dropped.
pub const MAINTENANCE_DATABASE: &str = "postgres";

reasons! {
    /// The DSN has the wrong form.
    BAD_DSN = "postgres.bad-dsn", Usage,
        "The connection URL has the wrong form. It is `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`; the characters `@ / : ? # %` in a user or password are percent-encoded.";
    /// No connection could be made.
    UNREACHABLE = "postgres.unreachable", Unreachable,
        "No connection to Postgres could be made: name resolution, the network or a refused port. The message holds the system's own words.";
    /// The connection broke while in use.
    CONNECTION_LOST = "postgres.connection-lost", Unreachable,
        "The connection to Postgres broke while it was in use: the server stopped, restarted, or ended the session. Nothing that was being written counts; run it again.";
    /// The server refused the login.
    LOGIN_REFUSED = "postgres.login-refused", Unreachable,
        "Postgres refused the login: the user, the password, or the rules in pg_hba.conf. `summitctl config show` says where the password came from.";
    /// The database does not exist.
    NO_DATABASE = "postgres.no-database", Unreachable,
        "The server answers, but has no database of this name.";
    /// The server does not take connections now.
    NOT_ACCEPTING = "postgres.not-accepting", Unreachable,
        "The server answers but takes no ordinary connections now: it starts up, shuts down, recovers, or its connection slots are all in use.";
    /// TLS could not be agreed on.
    TLS_FAILED = "postgres.tls", Unreachable,
        "TLS could not be agreed on: the server does not offer it, its certificate is not trusted or has another name. `sslrootcert` names the authority's certificate; `sslmode` says how much is verified.";
    /// The version is too old.
    UNSUPPORTED_VERSION = "postgres.unsupported-version", Usage,
        "The server's version is older than 14, the oldest one supported.";
    /// The role lacks a right.
    PERMISSION_DENIED = "postgres.permission-denied", Failed,
        "The role lacks a right that is needed. The message names the object; grant the right, or use a role that has it (`pg_read_all_data` is enough for captures).";
    /// A statement failed.
    QUERY_FAILED = "postgres.query-failed", Failed, "Postgres refused a statement; the message holds its words and its SQLSTATE.";
    /// A client program is missing or too old.
    CLIENT_PROGRAM = "postgres.client-program", Usage,
        "`pg_dump` or `pg_restore` is missing, or older than the server or than the `pg_dump` that made the backup. Install the Debian package `postgresql-client-NN` of that major version; older clients cannot dump newer servers, nor read newer dumps.";
    /// A lock was not to be had in time.
    LOCK_TIMEOUT = "postgres.lock-timeout", Failed,
        "Another session holds a lock that conflicts with reading, such as an ALTER TABLE or a migration in progress. The message names it; wait for it to end and run again.";
    /// Row-level security hides rows.
    ROW_SECURITY = "postgres.row-security", Failed,
        "A row-level security policy hides rows from this role, so that a capture would silently be incomplete. Use a role with BYPASSRLS, or the owner of the tables.";
    /// The capture ended for somebody else's sake.
    GAVE_WAY = "postgres.gave-way", Failed,
        "A session waited for an exclusive lock on a table that was being captured, such as an ALTER TABLE of a migration, and whoever wanted to read that table waited behind it. The capture was given up so that they could go on; nothing of it counts. Run it again when the migration is done.";
    /// The capture took too long.
    SNAPSHOT_TOO_OLD = "postgres.snapshot-too-old", Failed,
        "The capture took longer than its snapshot may be held: meanwhile VACUUM removes no dead rows anywhere in the database. Capture from a standby, with more `--jobs`, or when there is less load.";
    /// The server has no room left.
    DISK_FULL = "postgres.disk-full", Failed,
        "The disk of the Postgres server is full. Look at it with `df -h` on the server, make room (old databases that restores kept aside, write-ahead log that a replication slot holds back), then go on: nothing that was there before was changed.";
    /// A standby cancelled the reading.
    STANDBY_CONFLICT = "postgres.standby-conflict", Failed,
        "The standby cancelled the reading because the primary removed rows that it still needed. Set `hot_standby_feedback = on` or a larger `max_standby_streaming_delay` on the standby, or capture from the primary.";
    /// A time limit of the server ended a statement.
    STATEMENT_TIMEOUT = "postgres.statement-timeout", Failed,
        "A time limit ended a statement: of the server, of the role, or of a proxy in between. Captures and restores lift `statement_timeout` for themselves; where a proxy sets its own, give the address of the server itself.";
    /// The connection goes through a transaction pooler.
    POOLER = "postgres.transaction-pooler", Refused,
        "The connection goes through a transaction pooler (such as PgBouncer with `pool_mode=transaction`): statements of one session reach different server sessions. Give the address of the server itself.";
    /// A table of ours is somebody else's.
    NOT_OURS = "postgres.not-our-table", Refused,
        "The schema `summitctl`, or a table in it, is not what summitctl makes: it belongs to a role that is neither this one nor one that it is a member of nor a superuser, or it is a view, or has triggers, rules or policies. Whoever made it could run statements with the rights of this role. The message says which; look at it, drop it with `DROP SCHEMA summitctl CASCADE`, and run again.";
    /// The schema kept changing.
    UNSTABLE = "postgres.schema-changes", Failed,
        "Tables were created, dropped or altered faster than they could be locked. Run it again when no migration runs.";
    /// `pg_dump` failed.
    DUMP_FAILED = "postgres.dump-failed", Failed, "`pg_dump` could not write the schema; the message holds its own words.";
    /// `pg_restore` failed, or the loaded schema could not be completed.
    RESTORE_FAILED = "postgres.restore-failed", Failed,
        "The schema could not be restored; the message holds the words of `pg_restore`. The half-restored database is not used by anybody and can be dropped.";
    /// The place to restore to is not empty.
    NOT_EMPTY = "postgres.not-empty", Refused, "A restore goes into an empty database only; this one already holds something.";
    /// What was loaded is not what was captured.
    MISMATCH = "postgres.mismatch", Integrity,
        "The rows that were read from the backup do not add up to the fingerprint that was taken when they were captured.";
    /// A part has the wrong form.
    BAD_PART = "postgres.bad-part", Integrity, "A part of the backup does not have the form that its format demands.";
    /// A database cannot be swapped or dropped.
    SWAP_REFUSED = "postgres.swap-refused", Refused,
        "The databases are not as they must be for a swap, or the name is not one that summitctl made. The message says which names exist.";
}
