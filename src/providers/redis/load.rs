//! Sending a capture's parts to the servers that hold their keys, and summing what should arrive.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Clock};

use ::redis::{Pipeline, Value};

use crate::capture::{PartInfo, PartSource};
use crate::error::{Error, Result};
use crate::event::Unit;
use crate::time::Instant;

use super::capture::{Measured, database_of, libraries};
use super::fleet::{Fleet, Node};
use super::gather::{keys_part, server_time};
use super::health::{Info, RESTORE_KEY};
use super::pieces;
use super::rdb::{Entry, Piece, Row, Usage, function_dump, function_row, functions};
use super::record::{self, FUNCTIONS_FORMAT, Records};
use super::restore::{Progress, Replace, RestoreOptions, Stage};
use super::tally::Tally;
use super::whole::Assembly;
use super::{EVICTED, MALFORMED, NO_ROOM, NOT_EMPTY, WRITE_FAILED};

/// Bytes and keys sent before their answers are read.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_KEYS: usize = 512;

/// Sends parts and sums what should arrive.
pub(super) struct Load<'a> {
    fleet: &'a mut Fleet,
    options: &'a RestoreOptions,
    sums: BTreeMap<String, Tally>,
    begun: Instant,
    again: bool,
    /// Only sum.
    pub(super) read_only: bool,
    /// Load the keys of database 0 into this one.
    pub(super) zero_into: u32,
    /// Leave function libraries alone.
    pub(super) no_functions: bool,
    /// Keys that were there and stay.
    pub(super) kept: u64,
    /// The longest argument that the server takes.
    limit: usize,
    keys: u64,
    bytes: u64,
    told: Clock,
}

/// Keys on their way to one server.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    weight: usize,
}

impl<'a> Load<'a> {
    /// Begins; `again` overwrites what an earlier attempt left.
    pub(super) async fn new(
        fleet: &'a mut Fleet,
        options: &'a RestoreOptions,
        again: bool,
    ) -> Result<Load<'a>> {
        let first = &mut fleet.nodes[0].conn;
        let begun = server_time(first).await?;
        let limit = pieces::limit(first).await;
        Ok(Load {
            fleet,
            options,
            sums: BTreeMap::new(),
            begun,
            again,
            read_only: false,
            zero_into: 0,
            no_functions: false,
            kept: 0,
            limit,
            keys: 0,
            bytes: 0,
            told: Clock::now(),
        })
    }

    /// Says how far it is, in the database that is loaded into.
    pub(super) async fn state(&mut self, state: Stage, database: Option<u32>) -> Result<()> {
        self.select(self.zero_into).await?;
        let progress = Progress {
            token: self.options.token.clone(),
            state,
            database,
        };
        progress.write(&mut self.fleet.of(RESTORE_KEY).conn).await
    }

    async fn select(&mut self, database: u32) -> Result<()> {
        if self.fleet.is_cluster() {
            return Ok(());
        }
        self.fleet.nodes[0].conn.select(database).await
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
        self.select(into).await?;
        let mut records = Records::new(&part.name, reader.as_mut());
        let mut batches: Vec<Batch> = Vec::new();
        batches.resize_with(self.fleet.nodes.len(), Batch::default);
        let mut assembly = Assembly::default();
        let mut keeps_its_own = false;
        while let Some(entry) = records.next().await? {
            let value = record::value(database, &entry)?;
            if let Some(rows) = assembly.rows(database, &entry, &value)? {
                tally.add(&rows);
            }
            if self.read_only {
                continue;
            }
            let node = self.fleet.holder(&entry.key);
            let batch = &mut batches[node];
            if entry.piece != Piece::Whole {
                self.send(node, batch, database, part).await?;
                self.piece(node, entry, &mut keeps_its_own, database, part)
                    .await?;
                continue;
            }
            batch.weight += entry.key.len() + entry.payload.len();
            batch.entries.push(entry);
            if batch.weight >= BATCH_BYTES || batch.entries.len() >= BATCH_KEYS {
                self.send(node, batch, database, part).await?;
            }
        }
        for (node, batch) in batches.iter_mut().enumerate() {
            self.send(node, batch, database, part).await?;
        }
        assembly.closed(&part.name)?;
        as_described(part, &tally)?;
        self.sums.insert(part.name.clone(), tally);
        Ok(())
    }

    /// The first piece of a value makes the key, the others add to it, unless the server keeps what it has.
    async fn piece(
        &mut self,
        node: usize,
        entry: Entry,
        keeps_its_own: &mut bool,
        database: u32,
        part: &PartInfo,
    ) -> Result<()> {
        if entry.piece == Piece::First {
            let before = self.kept;
            let mut alone = Batch {
                weight: entry.key.len() + entry.payload.len(),
                entries: vec![entry],
            };
            self.send(node, &mut alone, database, part).await?;
            *keeps_its_own = self.kept > before;
            return Ok(());
        }
        if *keeps_its_own {
            return Ok(());
        }
        self.bytes += entry.payload.len() as u64;
        let conn = &mut self.fleet.nodes[node].conn;
        let cancel = &self.options.common.cancel;
        cancel.guard(pieces::append(conn, database, &entry)).await
    }

    async fn send(
        &mut self,
        node: usize,
        batch: &mut Batch,
        database: u32,
        part: &PartInfo,
    ) -> Result<()> {
        self.options.common.cancel.check()?;
        if batch.entries.is_empty() {
            return Ok(());
        }
        let keep = self.options.replace == Replace::Keep;
        let replace = (self.again && !keep) || self.options.replace == Replace::Overwrite;
        let (large, whole): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut batch.entries)
            .into_iter()
            .partition(|entry| entry.payload.len() > self.limit);
        let conn = &mut self.fleet.nodes[node].conn;
        let cancel = self.options.common.cancel.clone();
        let mut pipeline = Pipeline::with_capacity(whole.len());
        for entry in &whole {
            restore_command(&mut pipeline, entry, replace);
        }
        let answers = match whole.is_empty() {
            true => Vec::new(),
            false => {
                cancel
                    .guard(conn.pipeline(&mut pipeline, "RESTORE"))
                    .await?
            }
        };
        let mut kept = 0;
        for (entry, answer) in whole.iter().zip(&answers) {
            match answer {
                Value::ServerError(error) if keep && error.code() == "BUSYKEY" => kept += 1,
                Value::ServerError(error) => {
                    return Err(self.refused(node, &entry.key, part, &error.clone().into()));
                }
                _ => {}
            }
        }
        for entry in &large {
            let conn = &mut self.fleet.nodes[node].conn;
            let there: u64 = conn.query(::redis::cmd("EXISTS").arg(&entry.key)).await?;
            match (there > 0, keep, replace) {
                (true, true, _) => kept += 1,
                (true, false, false) => {
                    return Err(Error::new(
                        &NOT_EMPTY,
                        format!("key `{}` is there already", entry.key.escape_ascii()),
                    ));
                }
                _ => {
                    cancel.guard(pieces::write(conn, database, entry)).await?;
                }
            }
        }
        self.kept += kept;
        self.keys += (whole.len() + large.len()) as u64 - kept;
        self.bytes += std::mem::take(&mut batch.weight) as u64;
        if self.told.elapsed() >= Duration::from_millis(100) {
            self.told = Clock::now();
            let events = &self.options.common.events;
            events.progress(&part.name, self.bytes, None, Unit::Bytes);
        }
        Ok(())
    }

    fn refused(
        &self,
        node: usize,
        key: &[u8],
        part: &PartInfo,
        error: &::redis::RedisError,
    ) -> Error {
        let cause = self.fleet.nodes[node].conn.error("RESTORE", error);
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
        if self.options.replace == Replace::Keep {
            return self.missing_functions(&codes, version).await;
        }
        let policy = if self.again || self.options.replace == Replace::Overwrite {
            "REPLACE"
        } else if flushed {
            "FLUSH"
        } else {
            "APPEND"
        };
        let mut command = ::redis::cmd("FUNCTION");
        command.arg("RESTORE").arg(dump).arg(policy);
        for node in &mut self.fleet.nodes {
            let () = node.conn.query(&command).await?;
        }
        Ok(())
    }

    /// One library at a time: what is there already stays.
    async fn missing_functions(&mut self, codes: &[Vec<u8>], version: u16) -> Result<()> {
        for code in codes {
            let dump = function_dump([code.as_slice()], version);
            let mut pipeline = Pipeline::with_capacity(1);
            pipeline
                .cmd("FUNCTION")
                .arg("RESTORE")
                .arg(dump)
                .arg("APPEND");
            for node in &mut self.fleet.nodes {
                for answer in node
                    .conn
                    .pipeline(&mut pipeline, "FUNCTION RESTORE")
                    .await?
                {
                    match answer {
                        Value::ServerError(error)
                            if error
                                .details()
                                .is_some_and(|d| d.contains("already exists")) => {}
                        Value::ServerError(error) => {
                            return Err(node.conn.error("FUNCTION RESTORE", &error.into()));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks whether the servers kept what they were given.
    pub(super) async fn settle(&mut self, notes: &mut Vec<String>) -> Result<()> {
        for node in &mut self.fleet.nodes {
            settled(node, notes).await?;
        }
        notes.dedup();
        Ok(())
    }

    /// What should be there, and how much was sent.
    pub(super) async fn finish(mut self) -> Result<(Measured, u64, u64)> {
        let key = &self.options.common.key;
        let begun = self.begun;
        self.sums
            .entry(keys_part(0))
            .or_insert_with(|| Tally::new(key, begun));
        let now = server_time(&mut self.fleet.nodes[0].conn).await?;
        Ok((Measured::new(self.sums, now), self.keys, self.bytes))
    }
}

fn restore_command(pipeline: &mut Pipeline, entry: &Entry, replace: bool) {
    let command = pipeline.cmd("RESTORE").arg(&entry.key).arg(entry.expiry);
    command.arg(&entry.payload).arg("ABSTTL");
    if replace {
        command.arg("REPLACE");
    }
    match entry.usage {
        Usage::Unknown => {}
        Usage::Idle(seconds) => {
            command.arg("IDLETIME").arg(seconds);
        }
        Usage::Frequency(count) => {
            command.arg("FREQ").arg(count);
        }
    }
}

/// Whether a server kept what it was given since we first looked at it.
async fn settled(node: &mut Node, notes: &mut Vec<String>) -> Result<()> {
    let endpoint = node.target.endpoint();
    let before = &node.info;
    let info = Info::read(&mut node.conn).await?;
    if let (Some(was), Some(is)) = (before.number("evicted_keys"), info.number("evicted_keys"))
        && is > was
    {
        return Err(Error::new(
            &EVICTED,
            format!(
                "Redis at `{endpoint}` evicted {} keys while they were restored (policy `{}`)",
                is - was,
                info.get("maxmemory_policy")
            ),
        )
        .hint("Raise `maxmemory`, empty the server and restore again."));
    }
    if before.get("aof_enabled") != "1" {
        notes.push("The server has no append-only file: what was restored survives a restart only if the server saves a snapshot.".to_owned());
    } else if info.get("aof_last_write_status") != "ok" {
        return Err(Error::new(
            &WRITE_FAILED,
            format!(
                "Redis at `{endpoint}` could not write its append-only file: the restored keys would not survive a restart"
            ),
        )
        .hint("Its log says why; a full disk is the usual reason."));
    }
    Ok(())
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
