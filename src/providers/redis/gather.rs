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
use super::fleet::{Fleet, Node};
use super::health::{Info, is_ours};
use super::lost::{self, Class};
use super::pieces::{self, Largest};
use super::psync::{self, Asked, Snapshot};
use super::queues::{self, Watch};
use super::rdb::{self, Entry, Item, Piece};
use super::record::{self, FORMAT, FUNCTIONS_FORMAT, MAGIC};
use super::scan;
use super::tally::Tally;
use super::target::Target;
use super::whole::Assembly;
use super::{CLUSTER_MOVING, NO_HEADROOM, ease};

/// Bytes written to a part at once.
const BATCH: usize = 256 * 1024;

/// A segment may end behind about every so-many-th key, chosen by the key itself, so that an inserted key moves no
/// other cut.
const CUT_EVERY: u64 = 1_024;

/// The form of rows that fingerprints are taken of.
pub(super) const ROWS: &str = "redis-rows-2";

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
    };
    if let Some(words) = withheld {
        drop(coming);
        options.events.note(format!(
            "no snapshot by replication ({words}); reading key by key, so that the backup is not of one moment"
        ));
        gathered.method = format!("SCAN{shards}{replica}");
        for node in &mut fleet.nodes {
            gathered.not_carried.extend(by_scan(node, into).await?);
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
        let made = read(coming, into).await;
        match made {
            Ok(made) => gathered.from = made.map_or(before, |made| made.min(before)),
            Err((at, error)) => {
                let node = &fleet.nodes[at];
                return Err(lost::explained(error, &node.target, &node.info, Class::Replica).await);
            }
        }
    }
    fleet.kept_its_shape(&shape).await?;
    let node = &mut fleet.nodes[0];
    let more = left_behind(&mut node.conn, &node.info, &into.module_data).await;
    gathered.not_carried.extend(more);
    Ok(gathered)
}

/// Reads a server key by key; says what could not be read.
async fn by_scan(node: &mut Node, into: &mut Collector<'_>) -> Result<Option<String>> {
    match scan::scan(&mut node.conn, &node.info, None, into).await {
        Ok(scanned) => Ok(scanned
            .no_functions
            .map(|why| format!("function libraries: {why}"))),
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

/// Items on their way from a snapshot, at most this many bytes of them at once.
const ON_THE_WAY: usize = 256 * 1024;

/// Reads snapshots side by side, and says when the oldest was made, or which of them failed.
async fn read(
    mut snapshots: Vec<Snapshot>,
    into: &mut Collector<'_>,
) -> std::result::Result<Option<Instant>, (usize, Error)> {
    let mut made = None;
    let mut databases = vec![0; snapshots.len()];
    for snapshot in &mut snapshots {
        into.version(snapshot.version);
        snapshot.sealed = into.sink.is_some();
    }
    if snapshots.len() == 1 {
        while let Some(item) = snapshots[0].next().await.map_err(|e| (0, e))? {
            take(item, &mut databases[0], &mut made, into)
                .await
                .map_err(|e| (0, e))?;
        }
        return Ok(made);
    }
    let (sender, mut batches) = tokio::sync::mpsc::channel(4);
    // Dropped with us, whatever happens.
    let mut pumps = tokio::task::JoinSet::new();
    let turn = Turn::default();
    for (at, snapshot) in snapshots.into_iter().enumerate() {
        pumps.spawn(pump(at, snapshot, sender.clone(), turn.clone()));
    }
    drop(sender);
    while let Some((at, batch)) = batches.recv().await {
        for item in batch.map_err(|e| (at, e))? {
            take(item, &mut databases[at], &mut made, into)
                .await
                .map_err(|e| (at, e))?;
        }
    }
    while let Some(done) = pumps.join_next().await {
        done.map_err(|e| {
            (
                0,
                Error::bug("a reader of a snapshot ended early").caused_by(e),
            )
        })?;
    }
    Ok(made)
}

type Batch = (usize, Result<Vec<Item>>);

/// Who may send. Whoever is inside a key that comes in pieces keeps it, because they must follow each other.
type Turn = std::sync::Arc<tokio::sync::Mutex<()>>;

async fn pump(at: usize, mut snapshot: Snapshot, to: tokio::sync::mpsc::Sender<Batch>, turn: Turn) {
    let (mut batch, mut weight) = (Vec::new(), 0);
    let (mut inside, mut mine) = (false, None);
    loop {
        let item = match snapshot.next().await {
            Ok(item) => item,
            Err(error) => {
                let _ = to.send((at, Err(error))).await;
                return;
            }
        };
        let over = item.is_none();
        if let Some(item) = item {
            if let Item::Key(entry) = &item {
                weight += entry.key.len() + entry.payload.len();
                inside = matches!(entry.piece, Piece::First | Piece::Middle);
            }
            batch.push(item);
        }
        if over || weight >= ON_THE_WAY {
            weight = 0;
            if mine.is_none() {
                mine = Some(std::sync::Arc::clone(&turn).lock_owned().await);
            }
            let sent = to.send((at, Ok(std::mem::take(&mut batch)))).await;
            // Nobody listens any more: somebody else failed.
            if over || sent.is_err() {
                return;
            }
            if !inside {
                mine = None;
            }
        }
    }
}

/// Takes one item of a snapshot.
async fn take(
    item: Item,
    database: &mut u32,
    made: &mut Option<Instant>,
    into: &mut Collector<'_>,
) -> Result<()> {
    match item {
        Item::Database(number) => *database = number,
        Item::Key(entry) => into.key(*database, entry, Origin::Snapshot).await?,
        Item::Function(code) => into.library(code),
        Item::ModuleData(module) => {
            into.module_data.insert(module);
        }
        Item::Aux(name, value) if name == b"ctime" => {
            // A server that was making a snapshot for somebody else may give us that one: it is older than our asking.
            let seconds = std::str::from_utf8(&value).ok();
            if let Some(seconds) = seconds.and_then(|t| t.parse::<i64>().ok()) {
                let at = Instant::from_millis(seconds.saturating_mul(1_000));
                *made = Some(made.map_or(at, |made| made.min(at)));
            }
        }
        Item::Moving => {
            return Err(Error::new(
                &CLUSTER_MOVING,
                "a master of the Redis cluster is taking slots over from another, so that both have their keys",
            )
            .hint("Wait until the cluster is balanced, then run the command again."));
        }
        Item::Aux(..) | Item::Hint | Item::End => {}
    }
    Ok(())
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
    /// Who else looks at each key.
    watch: Option<Watcher<'a>>,
    /// Keys whose time had passed before we began, though the server still had them.
    pub(super) expired: u64,
    bytes: u64,
    told: Clock,
    /// One row at a time.
    scratch: Vec<u8>,
}

/// Sees a key, its database and its rows.
pub(super) type Watcher<'a> = &'a mut (dyn FnMut(u32, &Entry, &[rdb::Row]) + Send);

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

    /// Takes a key, unless it is one of ours or its time has passed.
    pub(super) async fn key(&mut self, database: u32, entry: Entry, origin: Origin) -> Result<()> {
        self.options.cancel.check()?;
        if is_ours(&entry.key) {
            return Ok(());
        }
        let begun = u64::try_from(self.begun.millis()).unwrap_or(0);
        let begins = matches!(entry.piece, Piece::Whole | Piece::First);
        if entry.expiry != 0 && entry.expiry <= begun {
            self.expired += u64::from(begins);
            return Ok(());
        }
        let database = match self.as_zero {
            Some(as_zero) if as_zero == database => 0,
            _ => database,
        };
        if let Ok(payload) = rdb::Payload::unchecked(&entry.payload) {
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
            Some(Vec::new())
        } else {
            let value = match origin {
                Origin::Snapshot => record::fresh_value(database, &entry)?,
                Origin::Dump => record::value(database, &entry)?,
            };
            let rows = part.assembly.rows(database, &entry, &value)?;
            part.tally.add(rows.as_deref().unwrap_or_default());
            part.queues.look(&entry.key, &value);
            rows
        };
        part.largest.look(&entry);
        part.records += 1;
        part.keys += u64::from(begins);
        part.expiring += u64::from(begins && entry.expiry != 0);
        part.modules += u64::from(entry.payload.first() == Some(&rdb::kind::MODULE_2));
        let size = (entry.key.len() + entry.payload.len()) as u64;
        if part.writer.is_some() {
            record::write(&mut part.buffer, &entry)?;
            let cut = rows.is_some() && rdb::crc64::update(0, &entry.key).is_multiple_of(CUT_EVERY);
            if cut || part.buffer.len() >= BATCH {
                part.flush().await?;
            }
            if let Some(writer) = part.writer.as_mut().filter(|_| cut) {
                writer.cut();
            }
        }
        if let (Some(watch), Some(rows)) = (&mut self.watch, &rows) {
            watch(database, &entry, rows);
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
