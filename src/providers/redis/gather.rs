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
use super::fleet::{Fleet, Node, Share};
use super::health::{Info, is_ours};
use super::lost::{self, Class};
use super::pieces::{self, Largest};
use super::psync::{self, Asked};
use super::queues::{self, Watch};
use super::rdb::{self, Entry, Piece};
use super::record::{self, FORMAT, FUNCTIONS_FORMAT, MAGIC};
use super::scan::{self, Scanned};
use super::shards;
use super::tally::Tally;
use super::target::Target;
use super::whole::{Assembly, Rows};
use super::{NO_HEADROOM, ease};

/// Bytes written to a part at once.
const BATCH: usize = 256 * 1024;

/// A segment may end behind about every so-many-th key, chosen by the key itself, so that an inserted key moves no
/// other cut.
const CUT_EVERY: u64 = 1_024;

/// The form of rows that fingerprints are taken of.
pub(super) const ROWS: &str = "redis-rows-3";

/// The forms in parts of earlier versions.
pub(super) const ROWS_1: &str = "redis-rows-1";
pub(super) const ROWS_2: &str = "redis-rows-2";

/// What a part's description calls the lengths of the payloads that came in fragments, in their order.
pub(super) const FRAGMENTED: &str = "fragmented";

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
    /// Why the function libraries could not be read, if they could not.
    pub(super) no_functions: Option<String>,
}

/// Gathers all keys and libraries into the collector.
pub(super) async fn gather(
    target: &Target,
    options: &CaptureOptions,
    into: &mut Collector<'_>,
) -> Result<Gathered> {
    let mut fleet = Fleet::open(target).await?;
    let shape = fleet.shape().await?;
    into.server_version = fleet.nodes[0].info.version().to_owned();
    let sizes = fleet.nodes.iter();
    into.dataset = sizes.map(|n| n.info.number("used_memory_dataset")).sum();
    let mut before = None;
    for node in &mut fleet.nodes {
        let now = server_time(&mut node.conn).await?;
        before = Some(before.map_or(now, |b: Instant| b.min(now)));
    }
    let before = before.ok_or_else(|| Error::bug("a fleet of no servers"))?;
    into.begun(before);
    let replica = if fleet.nodes[0].info.get("role") == "slave" {
        " from a replica"
    } else {
        ""
    };
    let shards = match fleet.nodes.len() {
        1 => String::new(),
        n => format!(" of {n} shards"),
    };
    if fleet.nodes.len() > 1 {
        ease::all_rest(&mut fleet.nodes, &options.events, &options.cancel).await?;
    }
    let asking = fleet.nodes.iter_mut().map(|node| snapshot(node, options));
    let asked = futures_util::future::try_join_all(asking).await?;
    let mut coming = Vec::new();
    let mut withheld = None;
    for answer in asked {
        match answer {
            Asked::Coming(snapshot) => coming.push(*snapshot),
            Asked::NotAllowed(words) => withheld = Some(words),
        }
    }
    let mut gathered = Gathered {
        server_version: fleet.nodes[0].info.version().to_owned(),
        consistency: Consistency::Fuzzy,
        method: String::new(),
        from: before,
        to: before,
        not_carried: Vec::new(),
        no_functions: None,
    };
    if let Some(words) = withheld {
        drop(coming);
        options.events.note(format!(
            "no snapshot by replication ({words}); reading key by key, so that the backup is not of one moment"
        ));
        gathered.method = format!("SCAN{shards}{replica}");
        for at in 0..fleet.nodes.len() {
            into.share = fleet.share(at);
            let node = &mut fleet.nodes[at];
            let scanned = by_scan(node, into).await?;
            gathered.no_functions = gathered.no_functions.or(scanned.no_functions);
            gathered.to = gathered.to.max(server_time(&mut node.conn).await?);
        }
    } else {
        // Each shard is of one moment; together they are of as many.
        gathered.consistency = match coming.len() {
            1 => Consistency::PointInTime,
            _ => Consistency::Apart,
        };
        gathered.method = format!("PSYNC{shards}{replica}");
        // A snapshot has begun when its first bytes are here.
        for node in &mut fleet.nodes {
            gathered.to = gathered.to.max(server_time(&mut node.conn).await?);
        }
        let made = shards::read(coming, &fleet, into).await;
        match made {
            Ok(made) => gathered.from = made.map_or(before, |made| made.min(before)),
            Err((at, error)) => {
                let node = &fleet.nodes[at];
                return Err(lost::explained(error, &node.target, &node.info, Class::Replica).await);
            }
        }
    }
    fleet.kept_its_shape(&shape).await?;
    let unread = gathered.no_functions.iter();
    let unread = unread.map(|why| format!("function libraries: {why}"));
    gathered.not_carried.extend(unread);
    if into.strays > 0 {
        gathered.not_carried.push(format!(
            "{} keys on masters of the cluster that do not have their slots, where no client is led to",
            into.strays
        ));
    }
    let node = &mut fleet.nodes[0];
    let more = left_behind(&mut node.conn, &node.info, &into.module_data).await;
    gathered.not_carried.extend(more);
    Ok(gathered)
}

/// Reads a server key by key.
async fn by_scan(node: &mut Node, into: &mut Collector<'_>) -> Result<Scanned> {
    match scan::scan(&mut node.conn, &node.info, None, into).await {
        Ok(scanned) => Ok(scanned),
        Err(error) => Err(lost::explained(error, &node.target, &node.info, Class::Reader).await),
    }
}

/// Asks for a snapshot, unless the server's machine has too little memory for one.
async fn snapshot(node: &mut Node, options: &CaptureOptions) -> Result<Asked> {
    let (target, info, conn) = (&node.target, &node.info, &mut node.conn);
    if let Err(short) = headroom(info, &target.endpoint()) {
        return Ok(Asked::NotAllowed(short.one_line()));
    }
    let eased = ease::wanted(conn).await;
    ease::rest(conn).await?;
    let asked = psync::ask(target, &eased, &options.cancel).await;
    for name in ease::settled(conn, &eased).await? {
        options
            .events
            .note(format!("`{name}` was put back to what it was"));
    }
    match asked {
        Ok(asked) => Ok(asked),
        Err(error) => Err(lost::explained(error, target, info, Class::Replica).await),
    }
}

/// Refuses a fork that the server's machine may not have the memory for, by the server's own figures: what is resident, what
/// the machine has, and what the last snapshot made it copy. `maxmemory` does not count here: copies are outside of it.
pub(super) fn headroom(info: &Info, endpoint: &str) -> Result<()> {
    let (Some(resident), Some(machine)) = (
        info.number("used_memory_rss"),
        info.number("total_system_memory")
            .filter(|total| *total > 0),
    ) else {
        return Ok(());
    };
    let copied = info.number("rdb_last_cow_size").unwrap_or(0);
    let needed = (resident / 10).max(copied.saturating_mul(2));
    let left = machine.saturating_sub(resident);
    if left >= needed {
        return Ok(());
    }
    let human = crate::time::human_bytes;
    Err(Error::new(
        &NO_HEADROOM,
        format!(
            "Redis at `{endpoint}` holds {} of its machine's {}, and its last snapshot made it copy {}: the {} that may be left are too few for a fork",
            human(resident),
            human(machine),
            human(copied),
            human(left)
        ),
    ))
}

/// A connection to database 0, where every gathering begins.
pub(super) async fn zero(target: &Target) -> Result<Conn> {
    zero_by(target, Deadline::after(LOGIN)).await
}

/// The same by a deadline.
pub(super) async fn zero_by(target: &Target, deadline: Deadline) -> Result<Conn> {
    let target = Target {
        database: 0,
        ..target.clone()
    };
    Conn::login(&target, deadline).await
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
    pub(super) sink: Option<&'a dyn PartSink>,
    parts: BTreeMap<u32, Part>,
    pub(super) libraries: Vec<Vec<u8>>,
    begun: Instant,
    version: u16,
    server_version: String,
    /// Memory that the source's data take, as it says.
    dataset: Option<u64>,
    pub(super) module_data: BTreeSet<String>,
    /// Take the keys of this database for those of database 0.
    as_zero: Option<u32>,
    /// Keys of others are left out.
    pub(super) share: Share,
    /// Keys that were left out because another server has their slot.
    strays: u64,
    /// Who else looks at each key.
    watch: Option<Watcher<'a>>,
    /// Keys whose time had passed before we began, though the server still had them.
    pub(super) expired: u64,
    bytes: u64,
    told: Clock,
    /// One row at a time.
    scratch: Vec<u8>,
}

/// Sees a key or a piece of one, its database, and the rows that came with it.
pub(super) type Watcher<'a> = &'a mut (dyn FnMut(u32, &Entry, &Rows) + Send);

struct Part {
    writer: Option<Box<dyn PartWriter>>,
    buffer: Vec<u8>,
    tally: Tally,
    assembly: Assembly,
    records: u64,
    keys: u64,
    expiring: u64,
    modules: u64,
    queues: Watch,
    largest: Largest,
    fragmented: Vec<u64>,
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
            share: Share::default(),
            strays: 0,
            watch: None,
            expired: 0,
            bytes: 0,
            told: Clock::now(),
            scratch: Vec::new(),
        }
    }

    /// Takes the keys of `database` for those of database 0.
    pub(super) fn taking_for_zero(mut self, database: u32) -> Self {
        self.as_zero = Some(database);
        self
    }

    /// Shows each key to somebody else too.
    pub(super) fn watched(mut self, watch: Watcher<'a>) -> Self {
        self.watch = Some(watch);
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
        // Every master of a cluster has them.
        if !self.libraries.contains(&code) {
            self.libraries.push(code);
        }
    }

    /// Whether a key is to be read at all; counts it if not.
    pub(super) fn wants(&mut self, key: &[u8]) -> bool {
        let wanted = self.share.holds(key);
        self.strays += u64::from(!wanted);
        wanted
    }

    /// Takes a key, unless it is one of ours or its time has passed.
    pub(super) async fn key(&mut self, database: u32, entry: Entry, origin: Origin) -> Result<()> {
        self.options.cancel.check()?;
        if is_ours(&entry.key) {
            return Ok(());
        }
        let begun = u64::try_from(self.begun.millis()).unwrap_or(0);
        let begins = matches!(entry.piece, Piece::Whole | Piece::First);
        if !self.share.holds(&entry.key) {
            self.strays += u64::from(begins);
            return Ok(());
        }
        if entry.expiry != 0 && entry.expiry <= begun {
            self.expired += u64::from(begins);
            return Ok(());
        }
        let database = match self.as_zero {
            Some(as_zero) if as_zero == database => 0,
            _ => database,
        };
        // A snapshot says it at its beginning.
        if let Some(payload) = Some(&entry.payload).filter(|_| !entry.fragment)
            && let Ok(payload) = rdb::Payload::unchecked(payload)
        {
            self.version(payload.version);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let watched = self.watch.is_some();
        let part = self.part(database).await?;
        // Most keys are plain strings, of which nothing needs to be taken apart.
        let is_string = origin == Origin::Snapshot
            && !watched
            && entry.piece == Piece::Whole
            && string_row(&mut scratch, database, &entry)?;
        let rows = if is_string {
            part.tally.add_one(entry.expiry, &scratch);
            (Vec::new(), true)
        } else {
            let fresh = origin == Origin::Snapshot;
            let (rows, value) = part.assembly.take(database, &entry, fresh)?;
            part.tally.add(&rows.0);
            if let Some(value) = value {
                part.queues.look(&entry.key, &value);
            }
            rows
        };
        part.largest.look(&entry);
        part.records += 1;
        part.keys += u64::from(begins);
        part.expiring += u64::from(begins && entry.expiry != 0);
        let is_module = entry.payload.first() == Some(&rdb::kind::MODULE_2);
        part.modules += u64::from(begins && is_module);
        if entry.fragment {
            if begins {
                part.fragmented.push(0);
            }
            let bytes = entry.payload.len() as u64;
            if let Some(whole) = part.fragmented.last_mut() {
                *whole += bytes;
            }
        }
        let size = (entry.key.len() + entry.payload.len()) as u64;
        if part.writer.is_some() {
            record::write(&mut part.buffer, &entry)?;
            let cut = rows.1 && rdb::crc64::update(0, &entry.key).is_multiple_of(CUT_EVERY);
            if cut || part.buffer.len() >= BATCH {
                part.flush().await?;
            }
            if let Some(writer) = part.writer.as_mut().filter(|_| cut) {
                writer.cut();
            }
        }
        if let Some(watch) = &mut self.watch {
            watch(database, &entry, &rows);
        }
        self.scratch = scratch;
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
                    assembly: Assembly::default(),
                    records: 0,
                    keys: 0,
                    expiring: 0,
                    modules: 0,
                    queues: Watch::default(),
                    largest: Largest::default(),
                    fragmented: Vec::new(),
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
            record::write_end(&mut part.buffer, part.records);
            part.flush().await?;
            let Some(writer) = part.writer.take() else {
                return Err(Error::bug("a part of a capture has no writer"));
            };
            let mut meta = self.meta();
            meta.insert("database".to_owned(), json!(database));
            meta.insert("keys".to_owned(), json!(part.keys));
            meta.insert("expiring".to_owned(), json!(part.expiring));
            meta.insert("module-keys".to_owned(), json!(part.modules));
            let queues = std::mem::take(&mut part.queues).finish();
            if !queues.is_empty() {
                meta.insert(queues::META.to_owned(), json!(queues));
            }
            if let Some(largest) = part.largest.meta() {
                meta.insert(pieces::LARGEST.to_owned(), largest);
            }
            if !part.fragmented.is_empty() {
                meta.insert(FRAGMENTED.to_owned(), json!(part.fragmented));
            }
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
            ("rows".to_owned(), json!(ROWS)),
        ])
    }
}

/// The bytes of the row of a key that is a string, and not a large one.
fn string_row(row: &mut Vec<u8>, database: u32, entry: &Entry) -> Result<bool> {
    if entry.payload.first() != Some(&rdb::kind::STRING) {
        return Ok(false);
    }
    let read = rdb::Payload::unchecked(&entry.payload).and_then(|payload| payload.string());
    let text = read.map_err(|stop| record::entry_error(database, &entry.key, stop))?;
    Ok(rdb::string_row(
        row,
        database,
        &entry.key,
        entry.expiry,
        &text,
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_needs_room_for_what_is_copied() {
        const GIB: u64 = 1 << 30;
        let judged = |resident: u64, machine: u64, copied: u64| {
            let info = Info::parse(&format!(
                "used_memory_rss:{}\r\ntotal_system_memory:{}\r\nrdb_last_cow_size:{}\r\n",
                resident * GIB,
                machine * GIB,
                copied * GIB
            ));
            headroom(&info, "h:1").map_err(|e| e.reason().code)
        };
        assert_eq!(judged(8, 16, 0), Ok(()));
        assert_eq!(judged(14, 16, 1), Ok(()));
        assert_eq!(judged(15, 16, 0), Err("redis.no-headroom"));
        assert_eq!(judged(10, 16, 4), Err("redis.no-headroom"));
        assert!(headroom(&Info::parse("used_memory_rss:9\r\n"), "h:1").is_ok());
    }
}
