//! Sending a capture's parts to the servers that hold their keys, and summing what should arrive.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant as Clock};

use ::redis::{Pipeline, Value};

use crate::capture::{Fingerprint, PartInfo, PartSource};
use crate::error::{Error, Result};
use crate::event::Unit;
use crate::time::Instant;

use super::capture::{Measured, database_of, libraries};
use super::connect::refused;
use super::fleet::{Fleet, Node};
use super::gather::{FRAGMENTED, ROWS, keys_part, server_time};
use super::health::{Info, MARKER_KEY, RESTORE_KEY};
use super::pieces::{self, Named};
use super::pipe::{Commands, Payload, Pipe, Refusal};
use super::rdb::{
    self, Entry, Piece, Row, Usage, function_dump, function_row, functions, library_name,
};
use super::record::{self, FUNCTIONS_FORMAT, Record, Records};
use super::restore::{Progress, Replace, RestoreOptions, Stage};
use super::tally::Tally;
use super::whole::Assembly;
use super::{EVICTED, MALFORMED, NO_ROOM, NOT_EMPTY, WRITE_FAILED};

/// Bytes that are sent together.
const BATCH_BYTES: usize = 256 * 1024;

/// Sends parts and sums what should arrive.
pub(super) struct Load<'a> {
    fleet: &'a mut Fleet,
    options: &'a RestoreOptions,
    sums: BTreeMap<String, Tally>,
    /// When it began, by the server's clock and by ours.
    begun: Instant,
    begun_here: Clock,
    again: bool,
    /// Only sum.
    pub(super) read_only: bool,
    /// Load the keys of database 0 into this one.
    pub(super) zero_into: u32,
    /// Leave function libraries alone.
    pub(super) no_functions: bool,
    /// Keys that were there and stay.
    pub(super) kept: u64,
    /// Function libraries that were there with other code and stay.
    kept_libraries: BTreeSet<String>,
    /// Keys that had expired when their turn came.
    late: u64,
    /// The longest argument that the server takes.
    limit: usize,
    /// The lengths of payloads that come in fragments.
    fragmented: VecDeque<u64>,
    keys: u64,
    bytes: u64,
    told: Clock,
}

/// Keys on their way to one server.
struct Lane {
    pipe: Pipe,
    commands: Commands,
    keys: u64,
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
            begun_here: Clock::now(),
            again,
            read_only: false,
            zero_into: 0,
            no_functions: false,
            kept: 0,
            kept_libraries: BTreeSet::new(),
            late: 0,
            limit,
            fragmented: VecDeque::new(),
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
            kept: self.kept,
        };
        progress.write(&mut self.fleet.of(RESTORE_KEY).conn).await
    }

    /// Plants a marker in the database that is loaded into.
    pub(super) async fn mark(&mut self, marker: &[u8]) -> Result<()> {
        self.select(self.zero_into).await?;
        let conn = &mut self.fleet.of(MARKER_KEY).conn;
        conn.query(::redis::cmd("SET").arg(MARKER_KEY).arg(marker))
            .await
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
            let codes = libraries(part, &bytes)?;
            for code in &codes {
                tally.add(&[Row {
                    expiry: 0,
                    bytes: function_row(code),
                }]);
            }
            as_described(part, &tally)?;
            if !self.no_functions {
                if !self.read_only {
                    self.functions(&codes, bytes, flushed).await?;
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
        let mut lanes = Vec::new();
        if !self.read_only {
            let keep = self.options.replace == Replace::Keep;
            for node in &self.fleet.nodes {
                lanes.push(Lane {
                    pipe: Pipe::open(&node.target, into, keep).await?,
                    commands: Commands::default(),
                    keys: 0,
                });
            }
        }
        let grouped = !self.read_only && self.may_group(into).await?;
        let mut records = Records::new(&part.name, reader.as_mut());
        let mut assembly = Assembly::default();
        let mut aside = None;
        self.fragmented = fragmented(part);
        let known = known(part);
        while let Some(record) = records.next_record().await? {
            if known.is_none()
                || tally.is_near(record.expiry)
                || (!record.fragment && has_fleeting_fields(record.payload))
            {
                let ((rows, _), _) = assembly.take(database, &record.to_entry(), false)?;
                tally.add(&rows);
            }
            if self.read_only {
                continue;
            }
            let node = self.fleet.holder(record.key);
            if record.piece != Piece::Whole || record.payload.len() > self.limit {
                let entry = record.to_entry();
                let place = (database, into);
                self.alone(node, entry, &mut aside, place, part).await?;
                continue;
            }
            if self.is_past(record.expiry) {
                self.late += 1;
                continue;
            }
            let lane = &mut lanes[node];
            self.bytes += (record.key.len() + record.payload.len()) as u64;
            lane.keys += 1;
            match string_of(&record, database, grouped)? {
                Some(string) => lane.commands.set(record.key, &string),
                None => {
                    let (expiry, usage) = (record.expiry, record.usage);
                    let replace = self.replaces();
                    let commands = &mut lane.commands;
                    commands.restore(record.key, expiry, usage, record.payload, replace);
                }
            }
            if lane.commands.weight() >= BATCH_BYTES {
                self.send(node, lane, part).await?;
            }
        }
        for (node, mut lane) in lanes.into_iter().enumerate() {
            self.send(node, &mut lane, part).await?;
            let cancel = &self.options.common.cancel;
            let done = cancel.guard(async { Ok(lane.pipe.finish().await) }).await?;
            match done {
                Ok(kept) => {
                    self.kept += kept;
                    self.keys += lane.keys - kept;
                }
                Err(refusal) => return Err(self.refusal(node, refusal, part).await),
            }
        }
        assembly.closed(&part.name)?;
        match known {
            None => as_described(part, &tally)?,
            Some(all) if tally.complete(&all) => {}
            Some(_) => return Err(not_as_described(part, &tally)),
        }
        self.sums.insert(part.name.clone(), tally);
        Ok(())
    }

    /// Whether strings may go many at once. A cluster takes together only what lies in one slot, and `MSETNX` knows nothing
    /// of replacing or keeping; the state of this restore shows whether this user may use it, because it is there already.
    async fn may_group(&mut self, into: u32) -> Result<bool> {
        if self.fleet.is_cluster() || self.again || self.options.replace.keeps_others() {
            return Ok(false);
        }
        let conn = &mut self.fleet.nodes[0].conn;
        conn.select(self.zero_into).await?;
        let there: Result<u64> = conn
            .query(::redis::cmd("MSETNX").arg(RESTORE_KEY).arg(""))
            .await;
        conn.select(into).await?;
        Ok(there.is_ok())
    }

    fn replaces(&self) -> bool {
        let keep = self.options.replace == Replace::Keep;
        (self.again && !keep) || self.options.replace == Replace::Overwrite
    }

    async fn send(&mut self, node: usize, lane: &mut Lane, part: &PartInfo) -> Result<()> {
        let cancel = &self.options.common.cancel;
        cancel.check()?;
        let Lane { pipe, commands, .. } = lane;
        let sent = cancel
            .guard(async { Ok(pipe.send(commands).await) })
            .await?;
        if let Err(refusal) = sent {
            return Err(self.refusal(node, refusal, part).await);
        }
        self.tell(part);
        Ok(())
    }

    fn tell(&mut self, part: &PartInfo) {
        if self.told.elapsed() >= Duration::from_millis(100) {
            self.told = Clock::now();
            let events = &self.options.common.events;
            events.progress(&part.name, self.bytes, None, Unit::Bytes);
        }
    }

    async fn refusal(&mut self, node: usize, refusal: Refusal, part: &PartInfo) -> Error {
        match refusal {
            Refusal::Lost(error) => error,
            Refusal::Answer { command, key, text } => {
                let endpoint = self.fleet.nodes[node].target.endpoint();
                let cause = refused(&endpoint, &command, &text);
                // Versions were looked at before.
                let damaged = ["checksum are wrong", "Bad data format"];
                if damaged.iter().any(|words| text.contains(words)) {
                    return Error::new(
                        &MALFORMED,
                        format!(
                            "key `{}` of `{}` is damaged: the server does not take its value",
                            key.escape_ascii(),
                            part.name
                        ),
                    )
                    .caused_by(cause);
                }
                could_not(&key, part, cause, text.split(' ').next())
            }
            Refusal::There(keys) => {
                let conn = &mut self.fleet.nodes[node].conn;
                let mut found = None;
                for key in keys {
                    let there: Result<u64> = conn.query(::redis::cmd("EXISTS").arg(&key)).await;
                    match there {
                        Ok(0) => {}
                        Ok(_) => found = found.or(Some(key)),
                        Err(error) => return error,
                    }
                }
                match found {
                    Some(key) => there_already(&key),
                    None => Error::new(
                        &NOT_EMPTY,
                        format!(
                            "keys of `{}` came and went while they were restored",
                            part.name
                        ),
                    ),
                }
            }
        }
    }

    /// A value that came in pieces, or is larger than the server takes at once. It is put together under a key of ours, and
    /// takes its name when it is whole: nobody sees a part of it, and wherever we are killed, none is left under its name.
    async fn alone(
        &mut self,
        node: usize,
        entry: Entry,
        aside: &mut Option<Aside>,
        (database, into): (u32, u32),
        part: &PartInfo,
    ) -> Result<()> {
        self.bytes += (entry.key.len() + entry.payload.len()) as u64;
        self.tell(part);
        let (keep, replace) = (self.options.replace == Replace::Keep, self.replaces());
        let cancel = &self.options.common.cancel;
        let begins = matches!(entry.piece, Piece::Whole | Piece::First);
        let mut whole = None;
        if begins {
            *aside = None;
            whole = self.fragmented.pop_front_if(|_| entry.fragment);
            if self.is_past(entry.expiry) {
                self.late += 1;
                return Ok(());
            }
        }
        let conn = &mut self.fleet.nodes[node].conn;
        if begins && !replace {
            let there: u64 = conn.query(::redis::cmd("EXISTS").arg(&entry.key)).await?;
            match (there > 0, keep) {
                (true, true) => {
                    self.kept += 1;
                    return Ok(());
                }
                (true, false) => return Err(there_already(&entry.key)),
                (false, _) => {}
            }
        }
        if begins {
            *aside = Some(Aside {
                name: self.fleet.aside(&entry.key),
                payload: None,
            });
        }
        let Some(open) = aside else {
            return Ok(());
        };
        let last = matches!(entry.piece, Piece::Whole | Piece::Last);
        let target = &self.fleet.nodes[node].target;
        if entry.fragment {
            if begins {
                let bytes = whole.ok_or_else(|| no_length(&entry.key, part))?;
                if bytes > self.limit as u64 {
                    return Err(pieces::too_large(&entry.key, "value in fragments", bytes));
                }
                let begin = Payload::begin(target, into, &open.name, bytes, entry.usage);
                open.payload = Some(cancel.guard(begin).await?);
            }
            let payload = open.payload.as_mut();
            let payload = payload.ok_or_else(|| no_length(&entry.key, part))?;
            cancel.guard(payload.send(&entry.payload)).await?;
            if last && let Some(payload) = open.payload.take() {
                let endpoint = target.endpoint();
                if let Some(text) = cancel.guard(payload.end(entry.usage)).await? {
                    let cause = refused(&endpoint, "RESTORE", &text);
                    return Err(could_not(&entry.key, part, cause, text.split(' ').next()));
                }
            }
        } else {
            let conn = &mut self.fleet.nodes[node].conn;
            let name = &open.name;
            if !begins {
                let append = pieces::append(conn, database, &entry, name);
                cancel.guard(append).await?;
            } else if entry.payload.len() > self.limit {
                let write = pieces::write(conn, database, &entry, name);
                cancel.guard(write).await?;
            } else {
                let mut pipeline = Pipeline::with_capacity(1);
                restore_command(&mut pipeline, name, &entry);
                let answers = conn.pipeline(&mut pipeline, "RESTORE");
                let answers = cancel.guard(answers).await?;
                if let Some(Value::ServerError(error)) = answers.first() {
                    let cause = conn.error("RESTORE", &error.clone().into());
                    return Err(could_not(&entry.key, part, cause, Some(error.code())));
                }
            }
        }
        if last && let Some(open) = aside.take() {
            let conn = &mut self.fleet.nodes[node].conn;
            match pieces::name(conn, &entry, &open.name, replace).await? {
                Named::Done => self.keys += 1,
                Named::Expired => self.late += 1,
                Named::Taken if keep => self.kept += 1,
                Named::Taken => return Err(there_already(&entry.key)),
            }
        }
        Ok(())
    }

    /// Whether a time has passed by the server's clock. What has expired is not sent: it would delete what the server has.
    fn is_past(&self, expiry: u64) -> bool {
        let now = self.begun.millis() + self.begun_here.elapsed().as_millis() as i64;
        expiry != 0 && i64::try_from(expiry).is_ok_and(|expiry| expiry <= now)
    }

    async fn functions(&mut self, codes: &[Vec<u8>], dump: Vec<u8>, flushed: bool) -> Result<()> {
        if self.options.replace == Replace::Keep {
            let version = rdb::Payload::unchecked(&dump).map_or(10, |dump| dump.version);
            return self.missing_functions(codes, version).await;
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
                let there: Result<Vec<u8>> =
                    node.conn.query(::redis::cmd("FUNCTION").arg("DUMP")).await;
                let there = there.ok().and_then(|dump| functions(&dump).ok());
                if there.is_some_and(|(there, _)| there.contains(code)) {
                    continue;
                }
                for answer in node
                    .conn
                    .pipeline(&mut pipeline, "FUNCTION RESTORE")
                    .await?
                {
                    match answer {
                        Value::ServerError(error) if error.details().is_some_and(is_there) => {
                            self.kept_libraries.insert(library_name(code));
                        }
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
        if self.late > 0 {
            notes.push(format!(
                "{} keys had expired before it was their turn and were left out.",
                self.late
            ));
        }
        for name in &self.kept_libraries {
            notes.push(format!(
                "Function library `{name}` was there already with other code and stays as it is."
            ));
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

/// A value that is being put together under a key of ours.
struct Aside {
    name: String,
    /// One that comes in fragments.
    payload: Option<Payload>,
}

/// The lengths of payloads that come in fragments, in their order: a server is told first.
fn fragmented(part: &PartInfo) -> VecDeque<u64> {
    let lengths = part.meta.get(FRAGMENTED).and_then(|all| all.as_array());
    let lengths = lengths.into_iter().flatten();
    lengths.filter_map(serde_json::Value::as_u64).collect()
}

fn no_length(key: &[u8], part: &PartInfo) -> Error {
    Error::new(
        &MALFORMED,
        format!(
            "key `{}` of `{}` comes in fragments, and the part's description does not say how long it is",
            key.escape_ascii(),
            part.name
        ),
    )
}

fn restore_command(pipeline: &mut Pipeline, name: &str, entry: &Entry) {
    let command = pipeline.cmd("RESTORE").arg(name).arg(0);
    command.arg(&entry.payload).arg("REPLACE");
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
    // Those of an earlier version had rows of another form.
    let others = part.meta.get("rows").is_some_and(|rows| rows != ROWS);
    match part.fingerprint {
        Some(described) if !others && described != tally.all() => {
            Err(not_as_described(part, tally))
        }
        _ => Ok(()),
    }
}

fn not_as_described(part: &PartInfo, tally: &Tally) -> Error {
    let described = part.fingerprint.unwrap_or_default();
    Error::new(
        &MALFORMED,
        format!(
            "the part `{}` is not what its description says: fingerprint {} instead of {described}",
            part.name,
            tally.all()
        ),
    )
}

/// What the rows of a part add up to, where its description says so in our terms. Its bytes are vouched for by whoever keeps
/// them, and the server's own are measured after loading; only what may expire before is looked at on the way.
fn known(part: &PartInfo) -> Option<Fingerprint> {
    let ours = part.meta.get("rows").and_then(|rows| rows.as_str()) == Some(ROWS);
    part.fingerprint.filter(|_| ours)
}

/// Whether fields of a hash may expire by themselves.
fn has_fleeting_fields(payload: &[u8]) -> bool {
    use rdb::kind::{
        HASH_LISTPACK_EX, HASH_LISTPACK_EX_PRE_GA, HASH_METADATA, HASH_METADATA_PRE_GA,
    };
    payload.first().is_some_and(|kind| {
        [
            HASH_LISTPACK_EX,
            HASH_LISTPACK_EX_PRE_GA,
            HASH_METADATA,
            HASH_METADATA_PRE_GA,
        ]
        .contains(kind)
    })
}

/// The text of a string that has nothing else to it, where strings are grouped. The server would look at the checksum of a
/// payload; it does not see this one.
fn string_of<'a>(
    record: &Record<'a>,
    database: u32,
    grouped: bool,
) -> Result<Option<Cow<'a, [u8]>>> {
    let plain = record.expiry == 0 && record.usage == Usage::Unknown;
    if !grouped || !plain || record.payload.first() != Some(&rdb::kind::STRING) {
        return Ok(None);
    }
    let read = rdb::Payload::check(record.payload).and_then(|payload| payload.string());
    read.map(Some)
        .map_err(|stop| record::entry_error(database, record.key, stop))
}

/// Whether a library of that name is there. Of a function that another library has under the same name, servers say nearly the
/// same, and then the library was not loaded.
fn is_there(details: &str) -> bool {
    details.starts_with("Library ") && details.contains("already exists")
}

fn there_already(key: &[u8]) -> Error {
    Error::new(
        &NOT_EMPTY,
        format!("key `{}` is there already", key.escape_ascii()),
    )
}

fn could_not(key: &[u8], part: &PartInfo, cause: Error, code: Option<&str>) -> Error {
    let reason = match code {
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
