//! Restoring a capture into an empty server, or over a server that the caller consented to flush.
//!
//! Everything that can be known before the first write is looked at before it: room, RDB version, databases, role. A key in
//! database 0 ([`super::RESTORE_KEY`]) says which restore is at work, so that one which was killed can go on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Clock};

use ::redis::{Pipeline, Value};
use serde::{Deserialize, Serialize};

use crate::capture::{Fingerprint, PartInfo, PartSource};
use crate::error::{Error, Result};
use crate::event::Unit;
use crate::time::Instant;

use super::capture::{
    CaptureOptions, Compared, Measured, database_of, libraries, measure, unknown_format,
};
use super::connect::Conn;
use super::gather::{FUNCTIONS_PART, keys_part, server_time, zero};
use super::health::{Info, MARKER_KEY, RESTORE_KEY, databases};
use super::rdb::{Entry, Row, function_dump, function_row, functions};
use super::record::{self, FORMAT, FUNCTIONS_FORMAT, Records};
use super::tally::Tally;
use super::target::Target;
use super::{
    DATABASE_MISSING, EVICTED, MALFORMED, NO_ROOM, NOT_EMPTY, READ_ONLY, SERVER_TOO_OLD,
    WRITE_FAILED,
};

/// Bytes and keys sent before their answers are read.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_KEYS: usize = 512;

/// What to do with keys that are already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replace {
    /// Refuse.
    #[default]
    Refuse,
    /// Drop all databases and function libraries first. The caller has consent for that.
    Flush,
}

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Key, progress and cancellation.
    pub common: CaptureOptions,
    /// What to do with keys that are already there.
    pub replace: Replace,
    /// Names this restore: a second call with the same token goes on where a killed one stopped.
    pub token: String,
}

/// What was restored, and what the server has now.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Measured from the live server after loading, as of `horizon`.
    pub parts: Vec<(String, Fingerprint)>,
    /// What the capture says should be there, as of `horizon`. Differs from the capture's own fingerprints by the keys
    /// that expired.
    pub expected: BTreeMap<String, Fingerprint>,
    /// Rows that expire before this instant are left out of both.
    pub horizon: Instant,
    /// Keys sent.
    pub keys: u64,
    /// Bytes of keys and values sent.
    pub bytes: u64,
    /// Rows of the capture whose time had passed by `horizon`.
    pub expired: u64,
    /// Whether an earlier call with this token had begun or finished it.
    pub resumed: bool,
    /// What else is worth saying, one sentence each.
    pub notes: Vec<String>,
}

impl Restored {
    /// The parts that differ; empty means that everything arrived.
    pub fn differences(&self) -> Vec<String> {
        Compared {
            expected: self.expected.clone(),
            measured: self.parts.iter().cloned().collect(),
            horizon: self.horizon,
            expired: self.expired,
        }
        .differences()
    }
}

/// The value of [`RESTORE_KEY`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Progress {
    /// Whose restore it is.
    pub(super) token: String,
    /// How far it is.
    pub(super) state: Stage,
    /// The spare database it loads into, where it does not load in place.
    pub(super) database: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    Loading,
    Done,
}

impl Progress {
    /// Reads it from the selected database.
    pub(super) async fn read(conn: &mut Conn) -> Result<Option<Progress>> {
        let text: Option<Vec<u8>> = conn.query(::redis::cmd("GET").arg(RESTORE_KEY)).await?;
        // A value that is not ours to read is as good as none.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Writes it into the selected database.
    pub(super) async fn write(&self, conn: &mut Conn) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|e| Error::bug("a restore's state does not serialise").caused_by(e))?;
        conn.query(::redis::cmd("SET").arg(RESTORE_KEY).arg(text))
            .await
    }
}

/// Restores a capture, then measures the server and sets it beside what the capture says.
///
/// # Errors
/// `redis.not-empty` (nothing written), `redis.no-room`, `redis.server-too-old`, `redis.read-only`,
/// `redis.database-missing`, `redis.malformed-dump`, `redis.write-failed`, `redis.evicted`, and those of connections.
pub async fn restore(
    target: &Target,
    source: &dyn PartSource,
    options: &RestoreOptions,
) -> Result<Restored> {
    let mut conn = zero(target).await?;
    let endpoint = target.endpoint();
    let info = Info::read(&mut conn).await?;
    let parts = source.parts("redis/");
    let mut notes = Vec::new();
    admissible(&mut conn, &info, &endpoint, &parts, &mut notes).await?;
    let progress = Progress::read(&mut conn).await?;
    let known = progress.filter(|p| p.token == options.token && p.database.is_none());
    if known.is_none() {
        empty(&mut conn, &info, &endpoint, options.replace).await?;
    }
    let flushed = known.is_none() && options.replace == Replace::Flush;
    room(&Info::read(&mut conn).await?, &endpoint, &parts)?;
    let mut load = Load::new(&mut conn, options, known.is_some()).await?;
    load.endpoint.clone_from(&endpoint);
    let done = known.as_ref().is_some_and(|k| k.state == Stage::Done);
    if done {
        load.read_only = true;
        notes.push("An earlier run had finished loading; nothing was sent again.".to_owned());
    } else {
        load.state(Stage::Loading, None).await?;
    }
    for part in &parts {
        load.part(part, source, flushed).await?;
    }
    if !done {
        load.settle(&info, &mut notes).await?;
        load.state(Stage::Done, None).await?;
    }
    let (expected, keys, bytes) = load.finish().await?;
    let measured = measure(target, &options.common).await?;
    Restored::of(&expected, &measured, keys, bytes, known.is_some(), notes)
}

impl Restored {
    pub(super) fn of(
        expected: &Measured,
        measured: &Measured,
        keys: u64,
        bytes: u64,
        resumed: bool,
        mut notes: Vec<String>,
    ) -> Result<Restored> {
        let compared = Compared::of(expected, measured)?;
        if compared.expired > 0 {
            notes.push(format!(
                "{} keys or hash fields had expired by {} and are left out of the comparison.",
                compared.expired, compared.horizon
            ));
        }
        Ok(Restored {
            parts: compared.measured.into_iter().collect(),
            expected: compared.expected,
            horizon: compared.horizon,
            keys,
            bytes,
            expired: compared.expired,
            resumed,
            notes,
        })
    }
}

/// Everything that speaks against restoring these parts here, before anything is written.
pub(super) async fn admissible(
    conn: &mut Conn,
    info: &Info,
    endpoint: &str,
    parts: &[PartInfo],
    notes: &mut Vec<String>,
) -> Result<()> {
    info.supported(endpoint)?;
    info.not_a_cluster(endpoint)?;
    if info.get("role") == "slave" {
        return Err(Error::new(
            &READ_ONLY,
            format!(
                "Redis at `{endpoint}` is a replica of `{}`",
                info.get("master_host")
            ),
        )
        .hint("Restore into the primary; its replicas follow."));
    }
    let count = databases(conn).await;
    for part in parts {
        match part.format.as_str() {
            FORMAT => {
                let database = database_of(part)?;
                if count.is_some_and(|count| database >= count) {
                    return Err(Error::new(
                        &DATABASE_MISSING,
                        format!(
                            "the backup has database {database}, but Redis at `{endpoint}` has only {} databases",
                            count.unwrap_or_default()
                        ),
                    )
                    .hint("Raise `databases` in its redis.conf and restart it."));
                }
            }
            FUNCTIONS_FORMAT => {}
            _ => return Err(unknown_format(part)),
        }
    }
    let wanted = parts
        .iter()
        .filter_map(|part| part.meta.get("rdb-version")?.as_u64());
    let Some(wanted) = wanted.max() else {
        return Ok(());
    };
    match rdb_version(conn, info).await? {
        None => notes.push(
            "The server does not say which RDB version it reads; this was not checked.".to_owned(),
        ),
        Some(has) if readable(wanted, has) => {}
        Some(has) => {
            return Err(Error::new(
                &SERVER_TOO_OLD,
                format!(
                    "the backup holds values of RDB version {wanted}, but Redis {} at `{endpoint}` reads version {has}",
                    info.version()
                ),
            )
            .hint("Restore into a server of at least the version the backup was taken from."));
        }
    }
    Ok(())
}

/// Redis reads its own version and older; Valkey from version 80 on also what Redis wrote up to 11 (`rdb.h` of Valkey).
fn readable(wanted: u64, has: u64) -> bool {
    let valkey = u64::from(super::rdb::VALKEY);
    if has >= valkey {
        wanted <= 11 || (wanted >= valkey && wanted <= has)
    } else {
        wanted <= has
    }
}

/// The RDB version a server writes and reads: from an (even empty) FUNCTION DUMP, or from its version.
async fn rdb_version(conn: &mut Conn, info: &Info) -> Result<Option<u64>> {
    if !info.at_least(7, 0) {
        return Ok(Some(9));
    }
    match conn
        .query::<Vec<u8>>(::redis::cmd("FUNCTION").arg("DUMP"))
        .await
    {
        Ok(dump) => Ok(functions(&dump).ok().map(|(_, version)| u64::from(version))),
        Err(e) if e.reason() == &super::CONNECTION_LOST => Err(e),
        Err(_) => Ok(None),
    }
}

/// Refuses a server that holds anything but our own keys, or empties it.
async fn empty(conn: &mut Conn, info: &Info, endpoint: &str, replace: Replace) -> Result<()> {
    let marker: Option<Vec<u8>> = conn.query(::redis::cmd("GET").arg(MARKER_KEY)).await?;
    let state: u64 = conn.query(::redis::cmd("EXISTS").arg(RESTORE_KEY)).await?;
    let ours = u64::from(marker.is_some()) + state;
    let keys: u64 = info.keyspace().values().sum();
    let libraries = if info.at_least(7, 0) {
        let listed: Result<Vec<Value>> = conn.query(::redis::cmd("FUNCTION").arg("LIST")).await;
        listed.map_or(0, |list| list.len())
    } else {
        0
    };
    if keys <= ours && libraries == 0 {
        return Ok(());
    }
    if replace == Replace::Refuse {
        return Err(Error::new(
            &NOT_EMPTY,
            format!(
                "Redis at `{endpoint}` is not empty: {} keys and {libraries} function libraries",
                keys.saturating_sub(ours)
            ),
        )
        .hint("Restore into an empty server, or consent to replacing what this one holds."));
    }
    // In one transaction, so that the server keeps its identity whatever happens.
    let mut pipeline = Pipeline::new();
    pipeline.cmd("MULTI").cmd("FLUSHALL");
    if let Some(marker) = marker {
        pipeline.cmd("SET").arg(MARKER_KEY).arg(marker);
    }
    if libraries > 0 {
        pipeline.cmd("FUNCTION").arg("FLUSH");
    }
    pipeline.cmd("EXEC");
    all_ok(conn, &mut pipeline, "FLUSHALL").await
}

/// Runs a pipeline of which every answer must be good.
pub(super) async fn all_ok(conn: &mut Conn, pipeline: &mut Pipeline, what: &str) -> Result<()> {
    for answer in conn.pipeline(pipeline, what).await? {
        let nested = match &answer {
            Value::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        for value in nested {
            if let Value::ServerError(error) = value {
                return Err(conn.error(what, &error.clone().into()));
            }
        }
    }
    Ok(())
}

/// Refuses what would not fit: by the memory that the source's data took there, as far as the backup says, and by the
/// bytes of the backup, which are about the least that the values can take.
pub(super) fn room(info: &Info, endpoint: &str, parts: &[PartInfo]) -> Result<()> {
    let limit = info.number("maxmemory").unwrap_or(0);
    if limit == 0 {
        return Ok(());
    }
    let used = info.number("used_memory").unwrap_or(0);
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let dataset = parts
        .iter()
        .filter_map(|part| part.meta.get("server-dataset-bytes")?.as_u64());
    let needed = dataset.max().unwrap_or(0).max(bytes);
    if used.saturating_add(needed) <= limit {
        return Ok(());
    }
    Err(Error::new(
        &NO_ROOM,
        format!(
            "the backup needs about {needed} bytes, but Redis at `{endpoint}` uses {used} of its `maxmemory` of \
             {limit} bytes (policy `{}`)",
            info.get("maxmemory_policy")
        ),
    )
    .hint("Raise `maxmemory` with `CONFIG SET maxmemory`, or restore into a larger server."))
}

/// Sends parts and sums what should arrive.
pub(super) struct Load<'a> {
    conn: &'a mut Conn,
    options: &'a RestoreOptions,
    sums: BTreeMap<String, Tally>,
    begun: Instant,
    replace: bool,
    /// Only sum.
    pub(super) read_only: bool,
    /// Load the keys of database 0 into this one.
    pub(super) zero_into: u32,
    /// Leave function libraries alone.
    pub(super) no_functions: bool,
    pub(super) endpoint: String,
    keys: u64,
    bytes: u64,
    evicted: Option<u64>,
    told: Clock,
}

impl<'a> Load<'a> {
    /// Begins; `again` overwrites what an earlier attempt left.
    pub(super) async fn new(
        conn: &'a mut Conn,
        options: &'a RestoreOptions,
        again: bool,
    ) -> Result<Load<'a>> {
        let begun = server_time(conn).await?;
        let evicted = Info::read(conn).await?.number("evicted_keys");
        Ok(Load {
            conn,
            options,
            sums: BTreeMap::new(),
            begun,
            replace: again,
            read_only: false,
            zero_into: 0,
            no_functions: false,
            endpoint: String::new(),
            keys: 0,
            bytes: 0,
            evicted,
            told: Clock::now(),
        })
    }

    /// Says how far it is, in the database that is loaded into.
    pub(super) async fn state(&mut self, state: Stage, database: Option<u32>) -> Result<()> {
        self.conn.select(self.zero_into).await?;
        let progress = Progress {
            token: self.options.token.clone(),
            state,
            database,
        };
        progress.write(self.conn).await
    }

    /// Loads one part; its bytes must be what its description says.
    pub(super) async fn part(
        &mut self,
        part: &PartInfo,
        source: &dyn PartSource,
        flushed: bool,
    ) -> Result<()> {
        let mut tally = Tally::new(&self.options.common.key, self.begun);
        let mut reader = source.open(&part.name).await?;
        if part.format == FUNCTIONS_FORMAT {
            let bytes = reader.read_all().await?;
            for code in libraries(part, &bytes)? {
                tally.add(&[Row {
                    expiry: 0,
                    bytes: function_row(&code),
                }]);
            }
            as_described(part, &tally)?;
            if !self.no_functions {
                if !self.read_only {
                    self.functions(part, &bytes, flushed).await?;
                }
                self.sums.insert(part.name.clone(), tally);
            }
            return Ok(());
        }
        let database = database_of(part)?;
        let into = if database == 0 {
            self.zero_into
        } else {
            database
        };
        self.conn.select(into).await?;
        let mut records = Records::new(&part.name, reader.as_mut());
        let (mut batch, mut weight) = (Vec::new(), 0);
        while let Some(entry) = records.next().await? {
            tally.add(&record::rows(database, &entry)?);
            if self.read_only {
                continue;
            }
            weight += entry.key.len() + entry.payload.len();
            batch.push(entry);
            if weight >= BATCH_BYTES || batch.len() >= BATCH_KEYS {
                self.send(&mut batch, &mut weight, part).await?;
            }
        }
        self.send(&mut batch, &mut weight, part).await?;
        as_described(part, &tally)?;
        self.sums.insert(part.name.clone(), tally);
        Ok(())
    }

    async fn send(
        &mut self,
        batch: &mut Vec<Entry>,
        weight: &mut usize,
        part: &PartInfo,
    ) -> Result<()> {
        self.options.common.cancel.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(batch.len());
        for entry in batch.iter() {
            let command = pipeline.cmd("RESTORE").arg(&entry.key).arg(entry.expiry);
            command.arg(&entry.payload).arg("ABSTTL");
            if self.replace {
                command.arg("REPLACE");
            }
        }
        let cancel = self.options.common.cancel.clone();
        let answers = cancel
            .guard(self.conn.pipeline(&mut pipeline, "RESTORE"))
            .await?;
        for (entry, answer) in batch.iter().zip(&answers) {
            if let Value::ServerError(error) = answer {
                return Err(self.refused(&entry.key, part, &error.clone().into()));
            }
        }
        self.keys += batch.len() as u64;
        self.bytes += *weight as u64;
        batch.clear();
        *weight = 0;
        if self.told.elapsed() >= Duration::from_millis(100) {
            self.told = Clock::now();
            let events = &self.options.common.events;
            events.progress(&part.name, self.bytes, None, Unit::Bytes);
        }
        Ok(())
    }

    fn refused(&self, key: &[u8], part: &PartInfo, error: &::redis::RedisError) -> Error {
        let cause = self.conn.error("RESTORE", error);
        let reason = match error.code() {
            Some("OOM") => &NO_ROOM,
            Some("BUSYKEY") => &NOT_EMPTY,
            _ => cause.reason(),
        };
        Error::new(
            reason,
            format!(
                "key `{}` of `{}` could not be restored",
                key.escape_ascii(),
                part.name
            ),
        )
        .caused_by(cause)
    }

    async fn functions(&mut self, part: &PartInfo, bytes: &[u8], flushed: bool) -> Result<()> {
        // Sealed anew, so that a server of another version reads it; the code is plain text.
        let codes = libraries(part, bytes)?;
        let version = functions(bytes).map_or(10, |(_, version)| version);
        let dump = function_dump(codes.iter().map(Vec::as_slice), version);
        let policy = if self.replace {
            "REPLACE"
        } else if flushed {
            "FLUSH"
        } else {
            "APPEND"
        };
        let mut command = ::redis::cmd("FUNCTION");
        command.arg("RESTORE").arg(dump).arg(policy);
        self.conn.query(&command).await
    }

    /// Looks whether the server kept what it was given.
    pub(super) async fn settle(&mut self, before: &Info, notes: &mut Vec<String>) -> Result<()> {
        let info = Info::read(self.conn).await?;
        if let (Some(was), Some(is)) = (self.evicted, info.number("evicted_keys"))
            && is > was
        {
            return Err(Error::new(
                &EVICTED,
                format!(
                    "Redis at `{}` evicted {} keys while they were restored (policy `{}`)",
                    self.endpoint,
                    is - was,
                    info.get("maxmemory_policy")
                ),
            )
            .hint("Raise `maxmemory`, empty the server and restore again."));
        }
        if before.get("aof_enabled") == "1" {
            if info.get("aof_last_write_status") != "ok" {
                return Err(Error::new(
                    &WRITE_FAILED,
                    format!(
                        "Redis at `{}` could not write its append-only file: the restored keys would not survive a restart",
                        self.endpoint
                    ),
                )
                .hint("Its log says why; a full disk is the usual reason."));
            }
        } else {
            notes.push("The server has no append-only file: what was restored survives a restart only if the server saves a snapshot.".to_owned());
        }
        Ok(())
    }

    /// What should be there, and how much was sent.
    pub(super) async fn finish(mut self) -> Result<(Measured, u64, u64)> {
        let key = &self.options.common.key;
        let begun = self.begun;
        self.sums
            .entry(keys_part(0))
            .or_insert_with(|| Tally::new(key, begun));
        let now = server_time(self.conn).await?;
        Ok((Measured::new(self.sums, now), self.keys, self.bytes))
    }
}

/// Refuses a part whose rows are not those of its description.
fn as_described(part: &PartInfo, tally: &Tally) -> Result<()> {
    match part.fingerprint {
        Some(described) if described != tally.all() => Err(Error::new(
            &MALFORMED,
            format!(
                "the part `{}` is not what its description says: fingerprint {} instead of {described}",
                part.name,
                tally.all()
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether a part is that of the function libraries.
pub(super) fn is_functions(part: &PartInfo) -> bool {
    part.name == FUNCTIONS_PART
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn which_server_reads_which_version() {
        assert!(readable(9, 10) && readable(10, 10) && !readable(11, 10));
        assert!(readable(11, 80) && readable(80, 80));
        assert!(!readable(12, 80) && !readable(80, 12));
    }
}
