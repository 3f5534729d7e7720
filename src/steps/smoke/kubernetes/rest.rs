//! Nodes, volume claims, autoscalers, services and Helm releases.

use std::collections::BTreeMap;

use super::{EXPLAINED, PODS, Problem, Tally, attach, selected};
use crate::check::Finding;
use crate::error::Result;
use crate::providers::kubernetes::objects::autoscaling::v2::HorizontalPodAutoscaler;
use crate::providers::kubernetes::objects::core::v1::{Node, PersistentVolumeClaim, Service};
use crate::providers::kubernetes::objects::discovery::v1::EndpointSlice;
use crate::providers::kubernetes::{Api, Cluster, Filter, releases, scan};
use crate::wait::Deadline;

/// The label by which an EndpointSlice names its Service.
const OF_SERVICE: &str = "kubernetes.io/service-name";

/// The nodes, of the whole cluster.
pub(super) async fn nodes(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let mut tally = Tally::default();
    let mut problems = Vec::new();
    let api: Api<Node> = Api::all(cluster.client.clone());
    let seen = scan(
        cluster,
        &api,
        None,
        &Filter::default(),
        deadline,
        |node: Node| {
            let name = node.metadata.name.unwrap_or_default();
            let conditions = node.status.and_then(|s| s.conditions).unwrap_or_default();
            let problem = |what: String| Problem {
                name: name.clone(),
                what,
                bearable: false,
                more: Vec::new(),
            };
            let text = |t: &Option<String>| t.clone().unwrap_or_default();
            match conditions.iter().find(|c| c.type_ == "Ready") {
                Some(ready) if ready.status == "True" => {}
                Some(ready) => problems.push(problem(format!(
                    "is not ready: {}: {}",
                    text(&ready.reason),
                    text(&ready.message)
                ))),
                None => problems.push(problem("reports no readiness".to_owned())),
            }
            for pressure in conditions
                .iter()
                .filter(|c| c.type_ != "Ready" && c.status == "True")
            {
                problems.push(
                    problem(format!("{}: {}", pressure.type_, text(&pressure.message))).bearable(),
                );
            }
            if node.spec.and_then(|s| s.unschedulable) == Some(true) {
                problems.push(problem("takes no new pods (cordoned)".to_owned()).bearable());
            }
        },
    )
    .await?;
    tally.add(seen);
    tally.problems = problems;
    Ok(tally.finding("nodes", "node", "are ready"))
}

/// The volume claims.
pub(super) async fn volumes(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let mut tally = Tally::default();
    let mut unbound: Vec<(String, String, String, String)> = Vec::new();
    for namespace in &cluster.namespaces {
        let seen = selected(
            cluster,
            namespace,
            None,
            deadline,
            |claim: PersistentVolumeClaim| {
                let phase = claim
                    .status
                    .and_then(|s| s.phase)
                    .unwrap_or_else(|| "Pending".to_owned());
                if phase != "Bound" {
                    let name = claim.metadata.name.unwrap_or_default();
                    unbound.push((
                        namespace.clone(),
                        name,
                        claim.metadata.uid.unwrap_or_default(),
                        phase,
                    ));
                }
            },
        )
        .await?;
        tally.add(seen);
    }
    for (n, (namespace, name, uid, phase)) in unbound.into_iter().enumerate() {
        let mut problem = Problem::new(&namespace, &name, format!("is not bound: `{phase}`"));
        if n < EXPLAINED {
            problem.more = attach(cluster, &namespace, &uid, None, false, deadline).await;
        }
        // A claim whose class waits for a pod is as it should be until there is one.
        problem.bearable = problem
            .more
            .iter()
            .any(|l| l.starts_with("event: WaitForFirstConsumer"));
        tally.problems.push(problem);
    }
    Ok(tally.finding("volume claims", "pvc", "are bound"))
}

/// The autoscalers.
pub(super) async fn autoscalers(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let mut tally = Tally::default();
    let mut problems = Vec::new();
    for namespace in &cluster.namespaces {
        let seen = selected(
            cluster,
            namespace,
            None,
            deadline,
            |scaler: HorizontalPodAutoscaler| {
                let name = scaler.metadata.name.unwrap_or_default();
                let most = scaler.spec.map_or(0, |s| s.max_replicas);
                let status = scaler.status.unwrap_or_default();
                let conditions = status.conditions.unwrap_or_default();
                let says = |kind: &str, value: &str| {
                    let c = conditions
                        .iter()
                        .find(|c| c.type_ == kind && c.status == value)?;
                    Some((
                        c.reason.clone().unwrap_or_default(),
                        c.message.clone().unwrap_or_default(),
                    ))
                };
                if let Some((reason, message)) = says("AbleToScale", "False") {
                    problems.push(Problem::new(
                        namespace,
                        &name,
                        format!("cannot scale: {reason}: {message}"),
                    ));
                } else if let Some((reason, message)) = says("ScalingActive", "False") {
                    let problem = Problem::new(
                        namespace,
                        &name,
                        format!("cannot measure: {reason}: {message}"),
                    );
                    problems.push(if reason == "ScalingDisabled" {
                        problem.bearable()
                    } else {
                        problem
                    });
                } else if says("ScalingLimited", "True")
                    .is_some_and(|(reason, _)| reason == "TooManyReplicas")
                {
                    let what = format!("is at its limit of {most} pods, and would make more");
                    problems.push(Problem::new(namespace, &name, what).bearable());
                }
            },
        )
        .await?;
        tally.add(seen);
    }
    tally.problems = problems;
    Ok(tally.finding("autoscalers", "hpa", "measure and have room"))
}

/// The services that select pods.
pub(super) async fn services(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let mut tally = Tally::default();
    let mut waiting_everywhere = true;
    for namespace in &cluster.namespaces {
        let mut ends: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let api: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
        scan(
            cluster,
            &api,
            Some(namespace),
            &Filter::default(),
            deadline,
            |slice: EndpointSlice| {
                let labels = slice.metadata.labels.unwrap_or_default();
                let Some(service) = labels.get(OF_SERVICE) else {
                    return;
                };
                let count = ends.entry(service.clone()).or_default();
                for end in slice.endpoints {
                    // Unknown counts as ready (EndpointConditions in the API reference).
                    if end.conditions.and_then(|c| c.ready) == Some(false) {
                        count.1 += 1;
                    } else {
                        count.0 += 1;
                    }
                }
            },
        )
        .await?;
        let mut looked = 0;
        let seen = selected(cluster, namespace, None, deadline, |service: Service| {
            let name = service.metadata.name.unwrap_or_default();
            // Without a selector, somebody else says where it leads.
            if service
                .spec
                .and_then(|s| s.selector)
                .is_none_or(|s| s.is_empty())
            {
                return;
            }
            looked += 1;
            let (ready, waiting) = ends.get(&name).copied().unwrap_or_default();
            if ready == 0 {
                waiting_everywhere &= waiting > 0;
                let what = if waiting == 0 {
                    "has no endpoints: its selector matches no pod".to_owned()
                } else {
                    format!("has no ready endpoint; {waiting} are not ready")
                };
                tally.problems.push(Problem::new(namespace, &name, what));
            }
        })
        .await?;
        tally.looked += looked;
        tally.more |= seen.more;
    }
    let failed = !tally.problems.is_empty();
    let finding = tally.finding("services", "service", "have ready endpoints");
    Ok(if waiting_everywhere && failed {
        finding.caused_by(PODS)
    } else {
        finding
    })
}

/// The newest revision of every Helm release.
pub(super) async fn helm(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let mut tally = Tally::default();
    let mut shown = Vec::new();
    for namespace in &cluster.namespaces {
        let (found, more) = releases(cluster, namespace, deadline).await?;
        tally.more |= more;
        for release in found {
            tally.looked += 1;
            let what = format!(
                "revision {} of {} is `{}`",
                release.revision, release.chart, release.status
            );
            shown.push(format!("`{namespace}/{}`: {what}", release.name));
            let mut problem = Problem::new(namespace, &release.name, what);
            if !release.description.is_empty() {
                problem
                    .more
                    .push(crate::config::redact(&release.description));
            }
            match release.status.as_str() {
                // Kept on purpose after `helm uninstall --keep-history`.
                "deployed" | "uninstalled" => {}
                // An upgrade may be under way; one that was killed stays so, and stops the next.
                "pending-install" | "pending-upgrade" | "pending-rollback" | "uninstalling" => {
                    tally.problems.push(problem.bearable());
                }
                _ => tally.problems.push(problem),
            }
        }
    }
    let wrong = tally.problems.first().map(|p| p.name.clone());
    let good = format!("are deployed: {}", shown.join("; "));
    let mut finding = tally
        .finding("Helm releases", "", &good)
        .fact("releases", shown);
    if let Some((namespace, name)) = wrong.as_deref().and_then(|n| n.split_once('/')) {
        finding = finding.hint(format!(
            "See its revisions with `helm history {name} -n {namespace}`."
        ));
    }
    Ok(finding)
}
