//! Gathering every key of a server once, for a capture or for fingerprints alone: by snapshot where the server gives one,
//! by SCAN where it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::capture::{Consistency, PartInfo, PartSink, PartWriter};
use crate::error::{Error, Result};
use crate::event::Unit;
use crate::time::Instant;
use crate::wait::Deadline;

use super::capture::CaptureOptions;
use super::connect::{Conn, LOGIN};
use super::health::{Info, is_ours};
use super::psync::{self, Asked, Snapshot};
use super::rdb::{self, Entry, Item};
use super::record::{self, FORMAT, FUNCTIONS_FORMAT, MAGIC};
use super::scan;
use super::tally::Tally;
use super::target::Target;

/// Bytes written to a part at once.
const BATCH: usize = 256 * 1024;

/// A segment may end behind about every so-many-th key, chosen by the key itself, so that an inserted key moves no
/// other cut.
const CUT_EVERY: u64 = 1_024;

/// The part that holds the function libraries.
pub(super) const FUNCTIONS_PART: &str = "redis/functions";

/// The part that holds a database's keys.
pub(super) fn keys_part(database: u32) -> String {
    format!("redis/{database}/keys")
}

/// How and when everything was gathered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gathered {
    pub(super) server_version: String,
    pub(super) consistency: Consistency,
    pub(super) method: String,
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) not_carried: Vec<String>,
}

/// Gathers all keys and libraries into the collector.
pub(super) async fn gather(
    target: &Target,
    options: &CaptureOptions,
    into: &mut Collector<'_>,
) -> Result<Gathered> {
    let mut conn = zero(target).await?;
    let info = Info::read(&mut conn).await?;
    info.supported(&target.endpoint())?;
    info.not_a_cluster(&target.endpoint())?;
    into.server_version = info.version().to_owned();
    into.dataset = info.number("used_memory_dataset");
    let before = server_time(&mut conn).await?;
    into.begun(before);
    let replica = if info.get("role") == "slave" {
        " from a replica"
    } else {
        ""
    };
    let mut gathered = match psync::ask(target, &options.cancel).await? {
        Asked::Coming(snapshot) => {
            let (from, to) = read(*snapshot, before, &mut conn, into).await?;
            Gathered {
                server_version: info.version().to_owned(),
                consistency: Consistency::PointInTime,
                method: format!("PSYNC{replica}"),
                from,
                to,
                not_carried: Vec::new(),
            }
        }
        Asked::NotAllowed(words) => {
            options.events.note(format!(
                "no snapshot by replication ({words}); reading key by key"
            ));
            let scanned = scan::scan(&mut conn, &info, None, into).await?;
            let mut not_carried = Vec::new();
            if let Some(why) = scanned.no_functions {
                not_carried.push(format!("function libraries: {why}"));
            }
            Gathered {
                server_version: info.version().to_owned(),
                consistency: Consistency::Fuzzy,
                method: format!("SCAN{replica}"),
                from: before,
                to: server_time(&mut conn).await?,
                not_carried,
            }
        }
    };
    gathered
        .not_carried
        .extend(left_behind(&mut conn, &info, &into.module_data).await);
    Ok(gathered)
}

/// A connection to database 0, where every gathering begins.
pub(super) async fn zero(target: &Target) -> Result<Conn> {
    let target = Target {
        database: 0,
        ..target.clone()
    };
    Conn::login(&target, Deadline::after(LOGIN)).await
}

/// The server's clock.
pub(super) async fn server_time(conn: &mut Conn) -> Result<Instant> {
    let answer: ::redis::Value = conn.query(&::redis::cmd("TIME")).await?;
    let millis = scan::millis(&answer).and_then(|m| i64::try_from(m).ok());
    millis.map(Instant::from_millis).ok_or_else(|| {
        Error::new(
            &super::PROTOCOL,
            "Redis answered `TIME` with something that is no time",
        )
    })
}

/// Reads a snapshot; gives the window in which it was made.
async fn read(
    mut snapshot: Snapshot,
    before: Instant,
    conn: &mut Conn,
    into: &mut Collector<'_>,
) -> Result<(Instant, Instant)> {
    // The snapshot has begun when its first bytes are here.
    let (mut from, to) = (before, server_time(conn).await?);
    into.version(snapshot.version);
    let mut database = 0;
    while let Some(item) = snapshot.next().await? {
        match item {
            Item::Database(number) => database = number,
            Item::Key(entry) => into.key(database, entry, Origin::Snapshot).await?,
            Item::Function(code) => into.library(code),
            Item::ModuleData(module) => {
                into.module_data.insert(module);
            }
            Item::Aux(name, value) if name == b"ctime" => {
                // A server that was making a snapshot for somebody else may give us that one: it is older than our asking.
                let made = std::str::from_utf8(&value)
                    .ok()
                    .and_then(|t| t.parse::<i64>().ok());
                if let Some(made) = made {
                    from = from.min(Instant::from_millis(made.saturating_mul(1_000)));
                }
            }
            Item::Aux(..) | Item::Hint | Item::End => {}
        }
    }
    Ok((from, to))
}

/// What the server holds beside keys and libraries, as far as it tells.
async fn left_behind(conn: &mut Conn, info: &Info, modules: &BTreeSet<String>) -> Vec<String> {
    let mut out = Vec::new();
    let users: Result<Vec<String>> = conn.query(::redis::cmd("ACL").arg("USERS")).await;
    match users {
        Ok(users) => {
            let others: Vec<_> = users.iter().filter(|user| *user != "default").collect();
            if !others.is_empty() {
                out.push(format!("{} ACL users besides `default`", others.len()));
            }
        }
        Err(e) => out.push(format!("ACL users, if there are any: {e}")),
    }
    match info.number("number_of_cached_scripts") {
        Some(0) | None => {}
        Some(scripts) => out.push(format!(
            "{scripts} cached scripts, which clients load again"
        )),
    }
    for module in modules {
        out.push(format!(
            "data that the module `{module}` keeps outside of keys"
        ));
    }
    out
}

/// Where a key's payload comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Cut out of a snapshot, whose checksum is verified at its end.
    Snapshot,
    /// Sealed by the server, with a checksum of its own.
    Dump,
}

/// Takes keys and libraries, sums them, and writes them if there is a sink.
pub(super) struct Collector<'a> {
    options: &'a CaptureOptions,
    sink: Option<&'a dyn PartSink>,
    parts: BTreeMap<u32, Part>,
    libraries: Vec<Vec<u8>>,
    begun: Instant,
    version: u16,
    server_version: String,
    /// Memory that the source's data take, as it says.
    dataset: Option<u64>,
    module_data: BTreeSet<String>,
    /// Take the keys of this database for those of database 0.
    as_zero: Option<u32>,
    /// Keys whose time had passed before we began, though the server still had them.
    pub(super) expired: u64,
    bytes: u64,
    told: Clock,
}

struct Part {
    writer: Option<Box<dyn PartWriter>>,
    buffer: Vec<u8>,
    tally: Tally,
    keys: u64,
    expiring: u64,
    modules: u64,
}

impl<'a> Collector<'a> {
    /// Sums, and writes to the sink if there is one.
    pub(super) fn new(options: &'a CaptureOptions, sink: Option<&'a dyn PartSink>) -> Self {
        Collector {
            options,
            sink,
            parts: BTreeMap::new(),
            libraries: Vec::new(),
            begun: Instant::from_millis(0),
            version: 0,
            server_version: String::new(),
            dataset: None,
            module_data: BTreeSet::new(),
            as_zero: None,
            expired: 0,
            bytes: 0,
            told: Clock::now(),
        }
    }

    /// Takes the keys of `database` for those of database 0.
    pub(super) fn taking_for_zero(mut self, database: u32) -> Self {
        self.as_zero = Some(database);
        self
    }

    /// Says when the gathering began, by the server's clock.
    pub(super) fn begun(&mut self, at: Instant) {
        self.begun = at;
    }

    /// Says in which RDB version the payloads are.
    pub(super) fn version(&mut self, version: u16) {
        self.version = self.version.max(version);
    }

    /// Takes a library.
    pub(super) fn library(&mut self, code: Vec<u8>) {
        self.libraries.push(code);
    }

    /// Takes a key, unless it is one of ours or its time has passed.
    pub(super) async fn key(&mut self, database: u32, entry: Entry, origin: Origin) -> Result<()> {
        self.options.cancel.check()?;
        if is_ours(&entry.key) {
            return Ok(());
        }
        let begun = u64::try_from(self.begun.millis()).unwrap_or(0);
        if entry.expiry != 0 && entry.expiry <= begun {
            self.expired += 1;
            return Ok(());
        }
        let database = match self.as_zero {
            Some(as_zero) if as_zero == database => 0,
            _ => database,
        };
        let rows = match origin {
            Origin::Snapshot => record::rows_of_fresh(database, &entry)?,
            Origin::Dump => record::rows(database, &entry)?,
        };
        if let Ok(payload) = rdb::Payload::unchecked(&entry.payload) {
            self.version(payload.version);
        }
        let part = self.part(database).await?;
        part.tally.add(&rows);
        part.keys += 1;
        part.expiring += u64::from(entry.expiry != 0);
        part.modules += u64::from(entry.payload.first() == Some(&rdb::kind::MODULE_2));
        let size = (entry.key.len() + entry.payload.len()) as u64;
        if part.writer.is_some() {
            record::write(&mut part.buffer, &entry)?;
            let cut = rdb::crc64::update(0, &entry.key).is_multiple_of(CUT_EVERY);
            if cut || part.buffer.len() >= BATCH {
                part.flush().await?;
            }
            if let Some(writer) = part.writer.as_mut().filter(|_| cut) {
                writer.cut();
            }
        }
        self.progress(database, size);
        Ok(())
    }

    async fn part(&mut self, database: u32) -> Result<&mut Part> {
        use std::collections::btree_map::Entry as Slot;
        match self.parts.entry(database) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let writer = match self.sink {
                    Some(sink) => Some(sink.create(&keys_part(database), FORMAT).await?),
                    None => None,
                };
                Ok(slot.insert(Part {
                    writer,
                    buffer: MAGIC.to_vec(),
                    tally: Tally::new(&self.options.key, self.begun),
                    keys: 0,
                    expiring: 0,
                    modules: 0,
                }))
            }
        }
    }

    fn progress(&mut self, database: u32, more: u64) {
        self.bytes += more;
        if self.told.elapsed() >= Duration::from_millis(100) {
            self.told = Clock::now();
            let task = keys_part(database);
            self.options
                .events
                .progress(&task, self.bytes, None, Unit::Bytes);
        }
    }

    /// The sums by part, and those of the libraries. Database 0 is always there; others if they have keys.
    pub(super) async fn sums(&mut self) -> Result<BTreeMap<String, Tally>> {
        self.part(0).await?;
        let mut sums: BTreeMap<String, Tally> = self
            .parts
            .iter()
            .map(|(database, part)| (keys_part(*database), part.tally.clone()))
            .collect();
        if !self.libraries.is_empty() {
            sums.insert(FUNCTIONS_PART.to_owned(), self.library_sum());
        }
        Ok(sums)
    }

    fn library_sum(&self) -> Tally {
        let mut tally = Tally::new(&self.options.key, self.begun);
        for code in &self.libraries {
            tally.add(&[rdb::Row {
                expiry: 0,
                bytes: rdb::function_row(code),
            }]);
        }
        tally
    }

    /// Seals every part. Called only once everything was seen to be whole.
    pub(super) async fn finish(mut self, sink: &dyn PartSink) -> Result<Vec<PartInfo>> {
        self.part(0).await?;
        let library_sum = self.library_sum();
        let mut infos = Vec::new();
        for (database, mut part) in std::mem::take(&mut self.parts) {
            record::write_end(&mut part.buffer, part.keys);
            part.flush().await?;
            let Some(writer) = part.writer.take() else {
                return Err(Error::bug("a part of a capture has no writer"));
            };
            let mut meta = self.meta();
            meta.insert("database".to_owned(), json!(database));
            meta.insert("keys".to_owned(), json!(part.keys));
            meta.insert("expiring".to_owned(), json!(part.expiring));
            meta.insert("module-keys".to_owned(), json!(part.modules));
            if let Some(dataset) = self.dataset {
                meta.insert("server-dataset-bytes".to_owned(), json!(dataset));
            }
            infos.push(writer.finish(Some(part.tally.all()), meta).await?);
        }
        if !self.libraries.is_empty() {
            let mut writer = sink.create(FUNCTIONS_PART, FUNCTIONS_FORMAT).await?;
            let codes = self.libraries.iter().map(Vec::as_slice);
            let dump = rdb::function_dump(codes, self.version);
            writer.write(Bytes::from(dump)).await?;
            let mut meta = self.meta();
            meta.insert("libraries".to_owned(), json!(self.libraries.len()));
            infos.push(writer.finish(Some(library_sum.all()), meta).await?);
        }
        Ok(infos)
    }

    fn meta(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("rdb-version".to_owned(), json!(self.version)),
            ("server-version".to_owned(), json!(self.server_version)),
            ("rows".to_owned(), json!("redis-rows-1")),
        ])
    }
}

impl Part {
    async fn flush(&mut self) -> Result<()> {
        if let Some(writer) = &mut self.writer
            && !self.buffer.is_empty()
        {
            writer
                .write(Bytes::from(std::mem::take(&mut self.buffer)))
                .await?;
        }
        Ok(())
    }
}
