//! Snapshots of one server or of all shards of a cluster, read side by side into one collector.

use crate::error::{Error, Result};
use crate::time::Instant;

use super::fleet::Fleet;
use super::gather::{Collector, Origin};
use super::moving;
use super::psync::Snapshot;
use super::rdb::{Item, Piece};

/// Items on their way from a snapshot, at most this many bytes of them at once.
const ON_THE_WAY: usize = 256 * 1024;

/// Reads snapshots side by side, and says when the oldest was made, or which of them failed.
pub(super) async fn read(
    mut snapshots: Vec<Snapshot>,
    fleet: &Fleet,
    into: &mut Collector<'_>,
) -> std::result::Result<Option<Instant>, (usize, Error)> {
    let mut made = None;
    let mut databases = vec![0; snapshots.len()];
    for snapshot in &mut snapshots {
        into.version(snapshot.version);
        snapshot.sealed = into.sink.is_some();
    }
    if snapshots.len() == 1 {
        into.share = fleet.share(0);
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
        into.share = fleet.share(at);
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
            return Err(moving(
                "a master of the Redis cluster is taking slots over from another, so that both have their keys",
            ));
        }
        Item::Aux(..) | Item::Hint | Item::End => {}
    }
    Ok(())
}
