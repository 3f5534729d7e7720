//! Reading all nodes or all relationships: by ranges of ids, on several connections at once.
//!
//! A range is a seek (`NodeByIdSeek`, `DirectedRelationshipByIdSeek`): the server looks up each id and reads no other, and
//! says so itself before it is believed. How far the ids reach is asked first, which is a scan of ids without their
//! properties; where ids are so sparse that most lookups would find nothing, the store is read by one scan. Ranges go round the connections in turn, each asked for one range ahead; what
//! they read is handed on in the order of the ids, so that an unchanged stretch of the store is written alike again.
//! Each connection may hold [`BUDGET`] bytes that nobody has taken yet, and the one record that it is reading.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::bolt::packstream::Value;
use super::bolt::raw::Raw;
use super::bolt::{Begin, Connection};
use super::part::Part;
use super::rows;
use super::server;
use super::target::Target;
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// Ids in a range; a segment may end where one does.
pub const RANGE: i64 = 1 << 12;

/// Rows are collected to about this many bytes before they are handed on.
const CHUNK: usize = 256 << 10;

/// What a connection may have read ahead of what was written.
const BUDGET: usize = 8 << 20;

/// With fewer entities than one in so many ids, a scan costs the server less than looking up the gaps.
const SPARSE: i64 = 16;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Nodes.
    Nodes,
    /// Relationships.
    Relationships,
}

impl What {
    /// The query for the ids from `$from` to `$to`, both included.
    pub fn range_query(self) -> &'static str {
        match self {
            What::Nodes => rows::NODES_IN,
            What::Relationships => rows::RELATIONSHIPS_IN,
        }
    }

    fn scan_query(self) -> &'static str {
        match self {
            What::Nodes => rows::NODES,
            What::Relationships => rows::RELATIONSHIPS,
        }
    }

    /// The query for the highest id and how many there are.
    pub fn extent_query(self) -> &'static str {
        match self {
            What::Nodes => "MATCH (n) RETURN max(id(n)), count(n)",
            What::Relationships => "MATCH ()-[r]->() RETURN max(id(r)), count(r)",
        }
    }

    fn seek(self) -> &'static str {
        match self {
            What::Nodes => "NodeByIdSeek",
            What::Relationships => "DirectedRelationshipByIdSeek",
        }
    }
}

/// Takes the records of one connection.
pub(super) trait Worker: Send + 'static {
    /// Takes a record, appends what is to be written, and returns the entity's id.
    fn take(&mut self, record: Raw<'_>, out: &mut Vec<u8>) -> Result<i64>;
}

/// How the store is read.
#[derive(Clone, Copy)]
enum Way {
    /// By so many ranges.
    Ranges(i64),
    /// By one scan, because ids are too sparse, or ranges are no seeks here.
    Scan,
}

/// Bytes that were read, in order.
struct Chunk {
    bytes: Vec<u8>,
    /// A segment may end before them.
    cut: bool,
    /// Nothing more of this range follows.
    last: bool,
    _room: OwnedSemaphorePermit,
}

/// What was read.
pub(super) struct Done<W> {
    /// The workers.
    pub(super) workers: Vec<W>,
    /// The newest transaction that each connection's server had committed when it had read everything.
    pub(super) bookmarks: Vec<String>,
}

/// Reads everything of a kind inside transactions begun with `begin`, by `jobs` connections with a worker each, into
/// `part` if there is one.
pub(super) async fn read<W: Worker>(
    target: &Target,
    begin: &Begin,
    what: What,
    jobs: usize,
    make: impl Fn() -> W,
    part: Option<&mut Part>,
) -> Result<Done<W>> {
    let mut first = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let way = way(&mut first, what, begin).await?;
    let (ranges, lanes) = match way {
        Way::Ranges(n) => (n, n.clamp(1, jobs.clamp(1, 64) as i64)),
        Way::Scan => (1, 1),
    };
    let mut connections = vec![first];
    while (connections.len() as i64) < lanes {
        connections.push(Connection::open(target, Deadline::after(server::LOGIN)).await?);
    }
    let mut tasks = JoinSet::new();
    let mut incoming = Vec::new();
    for (lane, connection) in connections.into_iter().enumerate() {
        let (sender, receiver) = mpsc::unbounded_channel();
        incoming.push(receiver);
        let outlet = Outlet {
            sender,
            room: Arc::new(Semaphore::new(BUDGET)),
        };
        let lane = Lane {
            way,
            what,
            ranges: (lane as i64..ranges).step_by(lanes as usize),
        };
        let (begin, worker) = (begin.clone(), make());
        tasks.spawn(async move { lane.run(connection, &begin, worker, outlet).await });
    }
    if let Some(part) = part {
        collect(part, incoming, ranges).await?;
    }
    let (mut workers, mut bookmarks) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (worker, bookmark) =
            done.map_err(|e| Error::bug("a reading task ended").caused_by(e))??;
        workers.push(worker);
        bookmarks.push(bookmark);
    }
    Ok(Done { workers, bookmarks })
}

/// Writes what the lanes read, range by range. A lane that ends before its last range has failed, and says why when it is
/// joined.
async fn collect(
    part: &mut Part,
    mut lanes: Vec<mpsc::UnboundedReceiver<Chunk>>,
    ranges: i64,
) -> Result<()> {
    let count = lanes.len() as i64;
    for range in 0..ranges {
        loop {
            let Some(chunk) = lanes[(range % count) as usize].recv().await else {
                return Ok(());
            };
            if chunk.cut {
                part.cut();
            }
            if !chunk.bytes.is_empty() {
                part.write(&chunk.bytes).await?;
            }
            if chunk.last {
                break;
            }
        }
    }
    Ok(())
}

async fn way(connection: &mut Connection, what: What, begin: &Begin) -> Result<Way> {
    let none = Value::Map(Vec::new());
    let found = connection.query(what.extent_query(), none, begin).await?;
    let (highest, count) = match found.first().map(Vec::as_slice) {
        // Nothing is there: one empty range.
        Some([Value::Null, Value::Int(0)]) => (0, 0),
        Some([Value::Int(highest), Value::Int(count)]) => (*highest, *count),
        _ => return Err(rows::unexpected_record()),
    };
    let ranges = highest / RANGE + 1;
    if ranges > 1 && highest / SPARSE > count {
        return Ok(Way::Scan);
    }
    let query = format!("EXPLAIN {}", what.range_query());
    let plan = connection.plan(&query, bounds(0), begin).await?;
    let seeks = plan
        .iter()
        .any(|operator| operator.starts_with(what.seek()));
    let scans = plan.iter().any(|operator| operator.contains("Scan"));
    Ok(if seeks && !scans {
        Way::Ranges(ranges)
    } else {
        Way::Scan
    })
}

/// The parameters of a range's query.
pub fn bounds(range: i64) -> Value {
    let from = range * RANGE;
    Value::map([
        ("from", Value::Int(from)),
        ("to", (from + RANGE - 1).into()),
    ])
}

/// What one connection reads.
struct Lane<I> {
    way: Way,
    what: What,
    ranges: I,
}

impl<I: Iterator<Item = i64>> Lane<I> {
    async fn run<W: Worker>(
        mut self,
        mut connection: Connection,
        begin: &Begin,
        mut worker: W,
        outlet: Outlet,
    ) -> Result<(W, String)> {
        connection.begin(begin).await?;
        let mut asked = self.ask(&mut connection).await?;
        while asked {
            asked = self.ask(&mut connection).await?;
            let mut buffer = Vec::new();
            let mut stretch = None;
            let mut cut = false;
            while let Some(record) = connection.next_raw().await? {
                let start = buffer.len();
                let id = worker.take(record, &mut buffer)?;
                if stretch != Some(id / RANGE) {
                    stretch = Some(id / RANGE);
                    // The row that begins a stretch goes after the cut.
                    let row = buffer.split_off(start);
                    outlet.send(&mut buffer, cut, false).await;
                    (buffer, cut) = (row, true);
                }
                if buffer.len() >= CHUNK {
                    outlet.send(&mut buffer, cut, false).await;
                    cut = false;
                }
            }
            outlet.send(&mut buffer, cut, true).await;
        }
        let bookmark = connection.commit().await?;
        connection.close().await;
        Ok((worker, bookmark))
    }

    /// Asks for the next range; false if there is none.
    async fn ask(&mut self, connection: &mut Connection) -> Result<bool> {
        let Some(range) = self.ranges.next() else {
            return Ok(false);
        };
        match self.way {
            Way::Ranges(_) => {
                connection
                    .ask(self.what.range_query(), bounds(range))
                    .await?
            }
            Way::Scan => {
                let none = Value::Map(Vec::new());
                connection.ask(self.what.scan_query(), none).await?;
            }
        }
        Ok(true)
    }
}

/// Where a lane's bytes go.
struct Outlet {
    sender: mpsc::UnboundedSender<Chunk>,
    room: Arc<Semaphore>,
}

impl Outlet {
    /// Hands on what the buffer holds, once there is room for it.
    async fn send(&self, buffer: &mut Vec<u8>, cut: bool, last: bool) {
        if buffer.is_empty() && !last {
            return;
        }
        let bytes = std::mem::take(buffer);
        let size = bytes.len().min(BUDGET) as u32;
        // The semaphore is never closed, and a reader that went away is noticed when its task is ended.
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await {
            let _ = self.sender.send(Chunk {
                bytes,
                cut,
                last,
                _room: room,
            });
        }
    }
}
