//! The lock of neo4j-migrations within `migrate.lock.clear`: its nodes are deleted exactly as they were shown.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ClearLockArgs, ClearLockChange, moved, unproven};
use crate::engine::plan::Forecast;
use crate::engine::step::{ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::neo4j::LOCK_MOVED;
use crate::providers::neo4j::migrations::{self, Client, GraphLock, LockNode};
use crate::providers::postgres::migrations::Verdict;
use crate::steps::world::World;

/// The nodes that are deleted, and the connections that are ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct GraphChange {
    lock: String,
    nodes: Vec<LockNode>,
    ends: Vec<Client>,
}

/// What is known of the holder; `None` if nobody holds the lock. Neo4j alone never proves one dead.
pub fn verdict(lock: &GraphLock) -> Option<Verdict> {
    match (lock.nodes.is_empty(), lock.clients.is_empty()) {
        (true, _) => None,
        (false, true) => Some(Verdict::Unknown),
        (false, false) => Some(Verdict::Alive),
    }
}

fn ended(lock: &GraphLock, args: &ClearLockArgs) -> Vec<Client> {
    match args.terminate {
        true => lock.clients.clone(),
        false => Vec::new(),
    }
}

/// Why it is not cleared.
pub fn blocked(lock: &GraphLock, verdict: Verdict, args: &ClearLockArgs) -> Option<Blocked> {
    unproven(&lock.id, &lock.observations.join("; "), verdict, args)
}

pub(super) fn plan(
    cx: &ReadCx<'_, World>,
    lock: GraphLock,
    args: &ClearLockArgs,
) -> Decision<ClearLockChange> {
    let Some(verdict) = verdict(&lock) else {
        return Decision::Done(seen(&lock));
    };
    if let Some(blocked) = blocked(&lock, verdict, args) {
        return Decision::Blocked(blocked);
    }
    let Foresight { decisive, shown } = foresight(&lock, args);
    // After a kill the step is looked at again: then, too, only what was shown is cleared.
    if let Some(Forecast::WillChange { decisive: was, .. }) = cx.planned
        && (was.get("nodes") != decisive.get("nodes") || !shown_before(was, &decisive))
    {
        return Decision::Blocked(moved(&lock.id));
    }
    Decision::Change {
        decisive,
        shown,
        change: ClearLockChange::Graph(GraphChange {
            ends: ended(&lock, args),
            lock: lock.id,
            nodes: lock.nodes,
        }),
    }
}

fn shown_before(was: &Facts, now: &Facts) -> bool {
    let all = |facts: &Facts| facts.get("ends").and_then(|e| e.as_array()).cloned();
    let was = all(was).unwrap_or_default();
    all(now).is_none_or(|now| now.iter().all(|n| was.contains(n)))
}

pub(super) fn foresight(lock: &GraphLock, args: &ClearLockArgs) -> Foresight {
    let ends: Vec<String> = ended(lock, args).iter().map(Client::words).collect();
    let mut shown = Facts::from_iter([("because".to_owned(), json!(lock.observations))]);
    if verdict(lock) == Some(Verdict::Unknown) {
        let risk = "if the holder is alive after all, a second migration can run beside it";
        shown.insert("risk".to_owned(), json!(risk));
    }
    if !ends.is_empty() {
        shown.insert("connections-to-end".to_owned(), json!(ends));
    }
    let decisive = Facts::from_iter([
        ("lock".to_owned(), json!(lock.id)),
        ("nodes".to_owned(), json!(lock.nodes)),
        ("verdict".to_owned(), json!(verdict(lock))),
        ("ends".to_owned(), json!(ends)),
    ]);
    Foresight { decisive, shown }
}

pub(super) async fn apply(
    cx: &ApplyCx<'_, World>,
    change: &GraphChange,
    grant: Grant<'_>,
) -> Result<()> {
    cx.world.require_pinned(Store::Neo4j).await?;
    let target = cx.world.neo4j()?;
    grant.still_held().await?;
    migrations::end_clients(target, &change.ends, grant.consent()).await?;
    if !change.ends.is_empty() {
        // A tool whose transaction was ended lets go of its lock by itself.
        let now = migrations::lock(target).await?;
        let Some(now) = now.filter(|l| !l.nodes.is_empty()) else {
            cx.events
                .note("the holder let go of the lock by itself".to_owned());
            return Ok(());
        };
        if !now.clients.is_empty() {
            return Err(Error::new(
                &LOCK_MOVED,
                format!(
                    "`{}` may be held by somebody who is alive, after the connections shown were ended: {}",
                    now.id,
                    now.observations.join("; ")
                ),
            )
            .hint("Look at it again with `summitctl migrate lock show`."));
        }
    }
    grant.still_held().await?;
    migrations::free(target, &change.nodes, grant.consent()).await
}

pub(super) async fn verify(cx: &ReadCx<'_, World>, change: &GraphChange) -> Result<Observed> {
    let target = cx.world.neo4j()?;
    let now = migrations::lock(target).await?;
    let nodes = now.as_ref().map_or(&[][..], |l| &l.nodes);
    if nodes.iter().any(|n| change.nodes.contains(n)) {
        return Err(Error::new(
            &LOCK_MOVED,
            format!("the lock `{}` is as it was", change.lock),
        ));
    }
    for client in &change.ends {
        if migrations::connected(target, client).await? {
            return Err(Error::new(
                &LOCK_MOVED,
                format!("{}, which was to be ended, is there", client.words()),
            ));
        }
    }
    let proof = if nodes.is_empty() {
        migrations::prove_takeable(target, &change.nodes).await?;
        "taken in a transaction that was rolled back"
    } else {
        "somebody has taken it since"
    };
    let ended: Vec<String> = change.ends.iter().map(Client::words).collect();
    Ok(Observed::of(json!({
        "lock": change.lock,
        "nodes": nodes,
        "before": change.nodes,
        "ended": ended,
        "takeable": proof,
    })))
}

pub(super) fn seen(lock: &GraphLock) -> Observed {
    Observed::of(json!({"lock": lock.id, "nodes": lock.nodes}))
}
