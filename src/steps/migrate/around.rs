//! What is around a lock's holder: the pod that it is in, as the context's cluster tells it, and what it waits for itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config;
use crate::error::{Error, Result};
use crate::providers::kubernetes::{self, Cluster, Evidence, Fate};
use crate::providers::neo4j::migrations::GraphLock;
use crate::providers::postgres::Target;
use crate::providers::postgres::blockers::{Ahead, LONG, blockers};
use crate::providers::postgres::migrations::{Lock, Seen, Verdict};
use crate::steps::world::World;
use crate::wait::Deadline;

/// How long the cluster may take to tell of a holder's pod.
const CLUSTER: Duration = Duration::from_secs(20);

/// What the context's cluster knows of the holder: a pod that runs is alive; one that is proved to have ended is dead if no
/// session is left either. What may not be read proves nothing. A tool that writes down no holder is known by the addresses of
/// the sessions that hold its lock.
pub(super) async fn weigh_pods(world: &World, lock: &mut Lock) {
    let (Some(target), Some(_)) = (&world.kubernetes, lock.verdict) else {
        return;
    };
    let sessions = from(lock);
    if lock.holder.is_none() && sessions.is_empty() {
        return;
    }
    let deadline = Deadline::after(CLUSTER);
    let looked = async {
        let cluster = target.open(deadline).await?;
        match &lock.holder {
            Some(holder) => {
                let seen =
                    kubernetes::holder(cluster, &holder.host, holder.address, deadline).await?;
                Ok(vec![seen])
            }
            None => by_address(cluster, &sessions, deadline).await,
        }
    };
    match looked.await {
        Ok(all) => {
            for evidence in all {
                weigh(lock, &evidence);
            }
        }
        Err(e) => lock.observations.push(silent(&e)),
    }
}

fn silent(e: &Error) -> String {
    let hints = e.hints().join(" ");
    let line = format!(
        "the cluster says nothing of the holder: {}. {hints}",
        e.one_line()
    );
    line.trim_end().to_owned()
}

fn weigh(lock: &mut Lock, evidence: &Evidence) {
    let lines = evidence.observations.iter();
    lock.observations.extend(lines.map(|l| config::redact(l)));
    lock.verdict = match evidence.fate {
        Fate::Runs => Some(Verdict::Alive),
        Fate::Ended if lock.nobody_left => Some(Verdict::Dead),
        Fate::Ended | Fate::Unclear => lock.verdict,
    };
}

/// Where the sessions that hold the lock come from, and the oldest of each place.
fn from(lock: &Lock) -> BTreeMap<IpAddr, Seen> {
    let mut from: BTreeMap<IpAddr, Seen> = BTreeMap::new();
    for session in lock.sessions.iter().filter(|s| s.of_holder) {
        let address = session.address.as_deref().and_then(|a| a.parse().ok());
        if let Some(address) = address {
            from.entry(address).or_insert_with(|| session.clone());
        }
    }
    from
}

async fn by_address(
    cluster: &Cluster,
    sessions: &BTreeMap<IpAddr, Seen>,
    deadline: Deadline,
) -> Result<Vec<Evidence>> {
    let mut all = Vec::new();
    for (address, session) in sessions {
        let began = session.began.as_deref().and_then(|b| b.parse().ok());
        all.push(kubernetes::at(cluster, *address, began, deadline).await?);
    }
    Ok(all)
}

/// The pods that connections under the name of neo4j-migrations come from. The verdict is theirs alone: a connection that is there is
/// somebody's.
pub(super) async fn tell_pods(world: &World, lock: &mut GraphLock) {
    let Some(target) = world.kubernetes.as_ref().filter(|_| !lock.nodes.is_empty()) else {
        return;
    };
    let deadline = Deadline::after(CLUSTER);
    for client in &lock.clients {
        let address = client.address.as_deref().map(str::parse::<SocketAddr>);
        let Some(Ok(address)) = address else {
            continue;
        };
        let looked = async {
            let cluster = target.open(deadline).await?;
            let began = client.since.parse().ok();
            kubernetes::at(cluster, address.ip(), began, deadline).await
        };
        match looked.await {
            Ok(evidence) => {
                let lines = evidence.observations.iter();
                lock.observations.extend(lines.map(|l| config::redact(l)));
            }
            Err(e) => lock.observations.push(silent(&e)),
        }
    }
}

/// What the holders of these locks wait for. A lock is told without it rather than not at all.
pub(super) async fn look_ahead(database: &Target, locks: &mut [Lock]) {
    let held = |l: &&mut Lock| l.verdict.is_some() && l.sessions.iter().any(|s| s.of_holder);
    let mut held: Vec<&mut Lock> = locks.iter_mut().filter(held).collect();
    if held.is_empty() {
        return;
    }
    let seen = blockers(database, LONG).await;
    for lock in &mut held {
        match &seen {
            Ok(seen) => {
                let own = lock.sessions.iter().filter(|s| s.of_holder);
                let own: Vec<i32> = own.map(|s| s.pid).collect();
                lock.behind = seen.ahead_of(&own);
            }
            Err(e) => lock.observations.push(unseen(e)),
        }
    }
}

fn unseen(e: &Error) -> String {
    format!(
        "whom the holder waits for could not be seen: {}",
        e.one_line()
    )
}

/// What the holder waits for, a line each.
pub(super) fn behind(lock: &Lock) -> Vec<String> {
    lock.behind.iter().map(Ahead::words).collect()
}
