//! The lock of neo4j-migrations within `migrate.lock.clear`: its nodes are deleted exactly as they were shown.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ClearLockArgs, ClearLockChange, moved, unproven};
use crate::engine::plan::Forecast;
use crate::engine::step::{ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::neo4j::LOCK_MOVED;
use crate::providers::neo4j::migrations::{self, GraphLock, LockNode};
use crate::providers::postgres::migrations::Verdict;
use crate::steps::world::World;

/// The nodes that are deleted.
#[derive(Debug, Serialize, Deserialize)]
pub struct GraphChange {
    lock: String,
    nodes: Vec<LockNode>,
}

/// What is known of the holder; `None` if nobody holds the lock. Neo4j alone never proves one dead.
pub fn verdict(lock: &GraphLock) -> Option<Verdict> {
    match (lock.nodes.is_empty(), lock.clients.is_empty()) {
        (true, _) => None,
        (false, true) => Some(Verdict::Unknown),
        (false, false) => Some(Verdict::Alive),
    }
}

/// Why it is not cleared.
pub fn blocked(
    lock: &GraphLock,
    verdict: Verdict,
    args: &ClearLockArgs,
    context: &str,
) -> Option<Blocked> {
    let why = lock.observations.join("; ");
    if verdict != Verdict::Alive {
        return unproven(
            &lock.id,
            &why,
            verdict,
            &ClearLockArgs {
                terminate: false,
                ..args.clone()
            },
            context,
        );
    }
    // A client whose connection is ended connects again and goes on, without its lock.
    Some(Blocked {
        reason: format!(
            "the holder of the migration lock `{}` is alive: {why}",
            lock.id
        ),
        hint: format!(
            "Wait for it, or stop it where it runs: its client would survive the end of its connection. Then look again with `summitctl migrate lock show --context {context}`."
        ),
    })
}

pub(super) fn plan(
    cx: &ReadCx<'_, World>,
    lock: GraphLock,
    args: &ClearLockArgs,
) -> Decision<ClearLockChange> {
    let Some(verdict) = verdict(&lock) else {
        return Decision::Done(seen(&lock));
    };
    if let Some(blocked) = blocked(&lock, verdict, args, &cx.world.context) {
        return Decision::Blocked(blocked);
    }
    let Foresight { decisive, shown } = foresight(&lock);
    // After a kill the step is looked at again: then, too, only what was shown is cleared.
    if let Some(Forecast::WillChange { decisive: was, .. }) = cx.planned
        && was.get("nodes") != decisive.get("nodes")
    {
        return Decision::Blocked(moved(&lock.id, &cx.world.context));
    }
    Decision::Change {
        decisive,
        shown,
        change: ClearLockChange::Graph(GraphChange {
            lock: lock.id,
            nodes: lock.nodes,
        }),
    }
}

pub(super) fn foresight(lock: &GraphLock) -> Foresight {
    let mut shown = Facts::from_iter([("because".to_owned(), json!(lock.observations))]);
    let risk = "if the holder is alive after all, a second migration can run beside it";
    shown.insert("risk".to_owned(), json!(risk));
    let decisive = Facts::from_iter([
        ("lock".to_owned(), json!(lock.id)),
        ("nodes".to_owned(), json!(lock.nodes)),
        ("verdict".to_owned(), json!(verdict(lock))),
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
    // Somebody may have connected since the plan was made.
    let now = migrations::lock(target).await?;
    if let Some(now) = now.filter(|now| !now.clients.is_empty()) {
        return Err(Error::new(
            &LOCK_MOVED,
            format!(
                "`{}` may be held by somebody who is alive: {}",
                now.id,
                now.observations.join("; ")
            ),
        )
        .hint("Look at it again with `summitctl migrate lock show`."));
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
    let proof = if nodes.is_empty() {
        migrations::prove_takeable(target, &change.nodes).await?;
        "taken in a transaction that was rolled back"
    } else {
        "somebody has taken it since"
    };
    Ok(Observed::of(json!({
        "lock": change.lock,
        "nodes": nodes,
        "before": change.nodes,
        "takeable": proof,
    })))
}

pub(super) fn seen(lock: &GraphLock) -> Observed {
    Observed::of(json!({"lock": lock.id, "nodes": lock.nodes}))
}
