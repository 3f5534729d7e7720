//! Restoring a capture into an empty server or cluster, or over what the caller consented to give up.
//!
//! Everything that can be known before the first write is looked at before it: room, RDB version, databases, role. A key in
//! database 0 ([`super::RESTORE_KEY`]) says which restore is at work, so that one which was killed can go on.

use std::collections::BTreeMap;

use ::redis::{Pipeline, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capture::{Fingerprint, PartInfo, PartSource};
use crate::error::{Error, Result};
use crate::time::Instant;

use super::capture::{CaptureOptions, Compared, Measured, database_of, measure, unknown_format};
use super::connect::Conn;
use super::fleet::{Fleet, Node, SLOTS};
use super::gather::FUNCTIONS_PART;
use super::health::{Info, MARKER_KEY, PIECES_KEY, RESTORE_KEY, databases};
use super::load::Load;
use super::pieces;
use super::rdb::functions;
use super::record::{FORMAT, FUNCTIONS_FORMAT};
use super::survey::{Surveyed, survey};
use super::target::Target;
use super::{DATABASE_MISSING, NO_ROOM, NOT_EMPTY, READ_ONLY, SERVER_TOO_OLD};

/// What to do with keys that are already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Replace {
    /// Refuse.
    #[default]
    Refuse,
    /// Drop all databases and function libraries first. The caller has consent for that.
    Flush,
    /// Overwrite keys of the same names, and keep the others. The caller has consent for that.
    Overwrite,
    /// Keep whatever is there, and add what is not.
    Keep,
}

impl Replace {
    /// Whether the server may hold other keys afterwards.
    pub fn keeps_others(self) -> bool {
        matches!(self, Replace::Overwrite | Replace::Keep)
    }
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
    /// What was to be done with keys that were there.
    pub replace: Replace,
    /// Keys of the capture that were left out because the server had them ([`Replace::Keep`]).
    pub kept: u64,
    /// What else is worth saying, one sentence each.
    pub notes: Vec<String>,
    /// The comparison key by key, where the server may hold other keys too.
    pub surveyed: Option<Surveyed>,
}

impl Restored {
    /// The parts that differ; empty means that everything arrived.
    pub fn differences(&self) -> Vec<String> {
        if let Some(surveyed) = &self.surveyed {
            return surveyed.lacks(self.replace, self.kept);
        }
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
    /// Keys that were there before and stayed.
    #[serde(default)]
    pub(super) kept: u64,
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
        conn.query(::redis::cmd("SET").arg(RESTORE_KEY).arg(self.text()?))
            .await
    }

    pub(super) fn text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::bug("a restore's state does not serialise").caused_by(e))
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
    let loaded = load(target, source, options).await?;
    let measured = measure(target, &options.common).await?;
    let mut restored = Restored::of(
        &loaded.expected,
        &measured,
        loaded.keys,
        loaded.bytes,
        loaded.resumed,
        loaded.notes,
    )?;
    restored.kept = loaded.kept;
    restored.replace = options.replace;
    if options.replace.keeps_others() {
        restored.surveyed = Some(survey(target, source, &options.common).await?);
    }
    Ok(restored)
}

/// What speaks against a restore as things are, before anything is written: for a plan.
///
/// # Errors
/// Those of [`restore`] that show before the first write.
pub async fn admits(target: &Target, source: &dyn PartSource, replace: Replace) -> Result<()> {
    let mut fleet = Fleet::open(target).await?;
    let parts = source.parts("redis/");
    let clustered = fleet.is_cluster();
    let left = match replace {
        Replace::Flush => Left::Nothing,
        _ => Left::All,
    };
    for node in &mut fleet.nodes {
        admissible(node, clustered, &parts, &mut Vec::new()).await?;
        room(node, &parts, left).await?;
    }
    Ok(())
}

/// What was sent, before anybody looked at what the server made of it.
#[derive(Clone)]
pub struct Loaded {
    /// What should be there.
    pub expected: Measured,
    /// Keys sent.
    pub keys: u64,
    /// Bytes of keys and values sent.
    pub bytes: u64,
    /// Whether an earlier call with this token had begun or finished it.
    pub resumed: bool,
    /// Keys that were left out because the server had them.
    pub kept: u64,
    /// What else is worth saying, one sentence each.
    pub notes: Vec<String>,
}

/// The first half of [`restore`]: everything but the comparison.
pub async fn load(
    target: &Target,
    source: &dyn PartSource,
    options: &RestoreOptions,
) -> Result<Loaded> {
    let mut fleet = Fleet::open(target).await?;
    let parts = source.parts("redis/");
    let mut notes = Vec::new();
    let clustered = fleet.is_cluster();
    for node in &mut fleet.nodes {
        admissible(node, clustered, &parts, &mut notes).await?;
    }
    notes.dedup();
    // Nothing may change its place while it is written.
    fleet.shape().await?;
    let progress = Progress::read(&mut fleet.of(RESTORE_KEY).conn).await?;
    let known = progress.filter(|p| p.token == options.token && p.database.is_none());
    let done = known.as_ref().is_some_and(|k| k.state == Stage::Done);
    let flushed = known.is_none() && options.replace == Replace::Flush;
    if !done {
        let left = match (&known, flushed) {
            (None, false) => Left::All,
            // What an earlier attempt wrote is overwritten, not added to.
            (Some(_), _) | (_, true) => Left::Nothing,
        };
        for node in &mut fleet.nodes {
            room(node, &parts, left).await?;
        }
    }
    if known.is_none() && !options.replace.keeps_others() {
        empty(&mut fleet, &target.endpoint(), options.replace).await?;
    }
    let mut load = Load::new(&mut fleet, options, known.is_some()).await?;
    if done {
        load.read_only = true;
        load.kept = known.as_ref().map_or(0, |k| k.kept);
        notes.push("An earlier run had finished loading; nothing was sent again.".to_owned());
    } else {
        load.state(Stage::Loading, None).await?;
    }
    for part in &parts {
        load.part(part, source, flushed).await?;
    }
    if !done {
        load.settle(&mut notes).await?;
        load.state(Stage::Done, None).await?;
    }
    let kept = load.kept;
    if kept > 0 {
        notes.push(format!(
            "{kept} keys were there already and stay as they are."
        ));
    }
    let (expected, keys, bytes) = load.finish().await?;
    Ok(Loaded {
        expected,
        keys,
        bytes,
        resumed: known.is_some(),
        kept,
        notes,
    })
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
            replace: Replace::Refuse,
            kept: 0,
            notes,
            surveyed: None,
        })
    }
}

/// Everything that speaks against restoring these parts here, before anything is written.
pub(super) async fn admissible(
    node: &mut Node,
    clustered: bool,
    parts: &[PartInfo],
    notes: &mut Vec<String>,
) -> Result<()> {
    let endpoint = &node.target.endpoint();
    let (conn, info) = (&mut node.conn, &node.info);
    info.supported(endpoint)?;
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
    let count = match clustered {
        true => Some(1),
        false => databases(conn).await,
    };
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
    pieces::admissible(conn, parts).await?;
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
async fn empty(fleet: &mut Fleet, endpoint: &str, replace: Replace) -> Result<()> {
    let marker: Option<Vec<u8>> = fleet
        .of(MARKER_KEY)
        .conn
        .query(::redis::cmd("GET").arg(MARKER_KEY))
        .await?;
    let state: u64 = fleet
        .of(RESTORE_KEY)
        .conn
        .query(::redis::cmd("EXISTS").arg(RESTORE_KEY))
        .await?;
    let pieces: u64 = match fleet.is_cluster() {
        true => 0,
        false => {
            let conn = &mut fleet.nodes[0].conn;
            conn.query(::redis::cmd("EXISTS").arg(PIECES_KEY)).await?
        }
    };
    let ours = u64::from(marker.is_some()) + state + pieces;
    let (mut keys, mut libraries) = (0, 0);
    for node in &mut fleet.nodes {
        keys += node.info.keyspace().values().sum::<u64>();
        if node.info.at_least(7, 0) {
            let listed: Result<Vec<Value>> =
                node.conn.query(::redis::cmd("FUNCTION").arg("LIST")).await;
            libraries = libraries.max(listed.map_or(0, |list| list.len()));
        }
    }
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
    let holder = fleet.holder(MARKER_KEY.as_bytes());
    for (at, node) in fleet.nodes.iter_mut().enumerate() {
        // In one transaction, so that the server keeps its identity whatever happens.
        let mut pipeline = Pipeline::new();
        pipeline.cmd("MULTI").cmd("FLUSHALL");
        // Whatever the server's default is, the memory must be free before the new data come.
        if node.info.at_least(6, 2) {
            pipeline.arg("SYNC");
        }
        if let Some(marker) = marker.as_ref().filter(|_| at == holder) {
            pipeline.cmd("SET").arg(MARKER_KEY).arg(marker);
        }
        if libraries > 0 {
            pipeline.cmd("FUNCTION").arg("FLUSH");
        }
        pipeline.cmd("EXEC");
        all_ok(&mut node.conn, &mut pipeline, "FLUSHALL").await?;
    }
    Ok(())
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

/// What of its data the server still has when the new ones are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    All,
    Nothing,
}

/// Refuses what would not fit: by the memory that the source's data took there, as far as the backup says, and by the
/// bytes of the backup, which are about the least that the values can take.
pub(super) async fn room(node: &mut Node, parts: &[PartInfo], left: Left) -> Result<()> {
    let endpoint = node.target.endpoint();
    let info = Info::read(&mut node.conn).await?;
    let limit = info.number("maxmemory").unwrap_or(0);
    if limit == 0 {
        return Ok(());
    }
    let mut used = info.number("used_memory").unwrap_or(0);
    if left == Left::Nothing {
        used = used.saturating_sub(info.number("used_memory_dataset").unwrap_or(0));
    }
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let dataset = parts
        .iter()
        .filter_map(|part| part.meta.get("server-dataset-bytes")?.as_u64());
    let all = u128::from(dataset.max().unwrap_or(0).max(bytes));
    // A master of a cluster gets its share.
    let needed = u64::try_from(all * node.share as u128 / SLOTS as u128).unwrap_or(u64::MAX);
    if used.saturating_add(needed) <= limit {
        return Ok(());
    }
    Err(Error::new(
        &NO_ROOM,
        format!(
            "the backup needs about {needed} bytes, but Redis at `{endpoint}` {} {used} of its `maxmemory` of \
             {limit} bytes (policy `{}`)",
            match left {
                Left::All => "uses",
                Left::Nothing => "would still use",
            },
            info.get("maxmemory_policy")
        ),
    )
    .hint("Raise `maxmemory` with `CONFIG SET maxmemory`, or restore into a larger server."))
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
