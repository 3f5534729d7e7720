//! Rollouts of Deployments, StatefulSets and DaemonSets.

use std::fmt::Debug;

use serde::de::DeserializeOwned;

use super::{EXPLAINED, PODS, Problem, Tally, attach, selected};
use crate::check::Finding;
use crate::error::Result;
use crate::providers::kubernetes::objects::apps::v1::{DaemonSet, Deployment, StatefulSet};
use crate::providers::kubernetes::{
    Cluster, Namespaced, Workload, daemon_set, deployment, stateful_set,
};
use crate::wait::Deadline;

pub(super) async fn deployments(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    look(
        cluster,
        "deployments",
        deployment as fn(&Deployment) -> Workload,
        deadline,
    )
    .await
}

pub(super) async fn stateful_sets(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    look(
        cluster,
        "statefulsets",
        stateful_set as fn(&StatefulSet) -> Workload,
        deadline,
    )
    .await
}

pub(super) async fn daemon_sets(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    look(
        cluster,
        "daemonsets",
        daemon_set as fn(&DaemonSet) -> Workload,
        deadline,
    )
    .await
}

async fn look<K>(
    cluster: &Cluster,
    kind: &str,
    read: fn(&K) -> Workload,
    deadline: Deadline,
) -> Result<Finding>
where
    K: Namespaced + Clone + DeserializeOwned + Debug,
{
    let mut tally = Tally::default();
    let mut found: Vec<Workload> = Vec::new();
    for namespace in &cluster.namespaces {
        let seen = selected(cluster, namespace, None, deadline, |object: K| {
            let workload = read(&object);
            if workload.paused || workload.trouble().is_some() {
                found.push(workload);
            }
        })
        .await?;
        tally.add(seen);
    }
    // Its pods are there and not ready: the pods say why. Pods that could not be made at all say nothing.
    let by_pods = |w: &Workload| w.refused.is_none() && w.made >= w.wanted && w.ready < w.wanted;
    let mut explained_by_pods = true;
    for (n, workload) in found.iter().enumerate() {
        let Some(what) = workload.trouble() else {
            let what = "its rollout is paused";
            tally
                .problems
                .push(Problem::new(&workload.namespace, &workload.name, what).bearable());
            continue;
        };
        explained_by_pods &= by_pods(workload);
        let what = if workload.paused {
            format!("{what}; its rollout is paused")
        } else {
            what
        };
        let mut problem = Problem::new(&workload.namespace, &workload.name, what);
        if n < EXPLAINED && !by_pods(workload) {
            problem.more = attach(
                cluster,
                &workload.namespace,
                &workload.uid,
                None,
                true,
                deadline,
            )
            .await;
        }
        tally.problems.push(problem);
    }
    let folded = explained_by_pods
        && !tally.problems.is_empty()
        && tally.problems.iter().all(|p| !p.bearable);
    let finding = tally.finding(kind, kind.trim_end_matches('s'), "are rolled out");
    Ok(if folded {
        finding.caused_by(PODS)
    } else {
        finding
    })
}
