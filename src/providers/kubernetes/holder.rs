//! What became of the pod that a host name and an address name. In a pod the host name is the pod's name.
//!
//! *Ended* needs proof: every container of that very pod was seen terminated by its kubelet, or the pod is gone and the Job
//! that made it, by that name, has finished with none of its pods left.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::Api;

use super::look::{Filter, log, namespace, scan};
use super::target::Cluster;
use crate::error::Result;
use crate::wait::Deadline;

/// How many of a log's last lines are shown.
const LINES: u32 = 5;

/// What is known of a holder's pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Runs,
    /// It ended, and so did everything in it.
    Ended,
    /// Nothing proves either.
    Unclear,
}

/// What was seen, and what it rests on; log lines begin with `log: `.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What is known.
    pub fate: Fate,
    /// One line each.
    pub observations: Vec<String>,
}

impl Evidence {
    fn unclear(why: String) -> Evidence {
        Evidence {
            fate: Fate::Unclear,
            observations: vec![why],
        }
    }
}

/// Looks for the pod in the cluster's configured namespaces.
///
/// # Errors
/// What may not be read, or a server that does not answer: nothing follows from either.
pub async fn holder(
    cluster: &Cluster,
    host: &str,
    address: Option<IpAddr>,
    deadline: Deadline,
) -> Result<Evidence> {
    let mut named: Vec<Pod> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for space in &cluster.namespaces {
        namespace(cluster, space, deadline).await?;
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), space);
        let seen = scan(
            cluster,
            &api,
            Some(space),
            &Filter::default(),
            deadline,
            |pod: Pod| {
                if host_of(&pod).is_some_and(|h| is_host(&h, host)) {
                    named.push(pod);
                } else if address.is_some() && addresses(&pod).contains(&address) && !is_over(&pod)
                {
                    others.push(format!("{space}/{}", name_of(&pod)));
                }
            },
        )
        .await?;
        if seen.more {
            return Ok(Evidence::unclear(format!(
                "`{space}` has more pods than are looked at"
            )));
        }
    }
    let spaces = cluster.namespaces.join("`, `");
    match named.as_slice() {
        [] => gone(cluster, host, &others, &spaces, deadline).await,
        [pod] => there(cluster, pod, address, deadline).await,
        several => Ok(Evidence::unclear(format!(
            "{} pods have the host name `{host}`, and nothing tells which of them is meant",
            several.len()
        ))),
    }
}

/// The pod that a session's client is in, by its address. One that was made after the session began is another one that was given
/// the address since; pods on the host's network have none of their own.
///
/// # Errors
/// As of [`holder`].
pub async fn at(
    cluster: &Cluster,
    address: IpAddr,
    began: Option<Timestamp>,
    deadline: Deadline,
) -> Result<Evidence> {
    let mut there_now: Vec<Pod> = Vec::new();
    for space in &cluster.namespaces {
        namespace(cluster, space, deadline).await?;
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), space);
        let take = |pod: Pod| {
            let own = host_of(&pod).is_some() && addresses(&pod).contains(&Some(address));
            if own && !is_over(&pod) {
                there_now.push(pod);
            }
        };
        let filter = Filter::default();
        let seen = scan(cluster, &api, Some(space), &filter, deadline, take).await?;
        if seen.more {
            return Ok(Evidence::unclear(format!(
                "`{space}` has more pods than are looked at"
            )));
        }
    }
    let spaces = cluster.namespaces.join("`, `");
    let [pod] = there_now.as_slice() else {
        return Ok(Evidence::unclear(match there_now.len() {
            0 => format!("no pod in `{spaces}` that goes on has the address {address}"),
            n => format!(
                "{n} pods in `{spaces}` have the address {address}, and nothing tells which of them is meant"
            ),
        }));
    };
    let made = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
    match (made, began) {
        (Some(made), Some(began)) if made <= began => {
            there(cluster, pod, Some(address), deadline).await
        }
        (Some(made), Some(_)) => Ok(Evidence::unclear(format!(
            "pod `{}` has the address {address} now, and was made at {made}, after the session began",
            name_of(pod)
        ))),
        _ => Ok(Evidence::unclear(format!(
            "pod `{}` has the address {address} now, and nothing tells whether it had it when the session began",
            name_of(pod)
        ))),
    }
}

fn name_of(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// The host name inside a pod: its name, unless its specification says another; the host's own with the host's network.
fn host_of(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    if spec.host_network == Some(true) {
        return None;
    }
    Some(spec.hostname.clone().unwrap_or_else(|| name_of(pod)))
}

/// Linux's host names have at most 63 characters of a pod's name; a domain may follow.
fn is_host(own: &str, said: &str) -> bool {
    let short: String = own.chars().take(63).collect();
    let short = short.trim_end_matches(['-', '.']);
    let first = said.split('.').next().unwrap_or(said);
    said.eq_ignore_ascii_case(short)
        || said.eq_ignore_ascii_case(own)
        || first.eq_ignore_ascii_case(short)
}

fn addresses(pod: &Pod) -> Vec<Option<IpAddr>> {
    let status = pod.status.as_ref();
    let all = status
        .and_then(|s| s.pod_ips.as_deref())
        .unwrap_or_default();
    let first = status.and_then(|s| s.pod_ip.as_deref());
    let all = all.iter().map(|ip| ip.ip.as_str()).chain(first);
    all.map(|ip| ip.parse().ok())
        .filter(Option::is_some)
        .collect()
}

fn phase(pod: &Pod) -> &str {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    phase.unwrap_or("Pending")
}

fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// The statuses of all containers, those that run before the others and those that were added to debug included.
fn statuses(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    [
        &status.init_container_statuses,
        &status.container_statuses,
        &status.ephemeral_container_statuses,
    ]
    .into_iter()
    .flatten()
    .flatten()
    .collect()
}

/// How many containers the pod is to have.
fn containers(pod: &Pod) -> usize {
    let Some(spec) = &pod.spec else {
        return usize::MAX;
    };
    spec.containers.len()
        + spec.init_containers.as_ref().map_or(0, Vec::len)
        + spec.ephemeral_containers.as_ref().map_or(0, Vec::len)
}

async fn there(
    cluster: &Cluster,
    pod: &Pod,
    address: Option<IpAddr>,
    deadline: Deadline,
) -> Result<Evidence> {
    let space = pod.metadata.namespace.clone().unwrap_or_default();
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let of = owners
        .iter()
        .find(|o| o.controller == Some(true))
        .map_or(String::new(), |o| format!(" of {} `{}`", o.kind, o.name));
    let shown = format!("pod `{space}/{}`{of}", name_of(pod));
    let same = address.is_some() && addresses(pod).contains(&address);
    if !same {
        let own: Vec<String> = addresses(pod)
            .iter()
            .flatten()
            .map(IpAddr::to_string)
            .collect();
        let said = address.map_or("none".to_owned(), |a| a.to_string());
        return Ok(Evidence::unclear(format!(
            "{shown} has the holder's name and not its address ({said}): it has {}, so it may be another one of the same name",
            if own.is_empty() {
                "none".to_owned()
            } else {
                own.join(", ")
            }
        )));
    }
    let mut observations = Vec::new();
    let mut last: Option<String> = None;
    for container in statuses(pod) {
        let ended = container.state.as_ref().and_then(|s| s.terminated.as_ref());
        let before = container
            .last_state
            .as_ref()
            .and_then(|s| s.terminated.as_ref());
        for (ended, word) in [(ended, "ended"), (before, "had ended before")] {
            if let Some(ended) = ended {
                let at = ended
                    .finished_at
                    .as_ref()
                    .map_or(String::new(), |t| format!(" at {}", t.0));
                let why = ended.reason.as_deref().unwrap_or("no reason given");
                observations.push(format!(
                    "{shown}: container `{}` {word} with exit code {} ({why}){at}",
                    container.name, ended.exit_code
                ));
            }
        }
        last = Some(container.name.clone());
    }
    let known = statuses(pod);
    let all_known = known.len() == containers(pod);
    let again = known.iter().any(|c| c.restart_count > 0);
    // A node that was lost leaves containers of which nobody knows whether they ended.
    let proved = |c: &&ContainerStatus| {
        let ended = c.state.as_ref().and_then(|s| s.terminated.as_ref());
        ended.is_some_and(|t| {
            t.finished_at.is_some() && t.reason.as_deref() != Some("ContainerStatusUnknown")
        })
    };
    let running = known
        .iter()
        .any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some()));
    let over_in_part = known
        .iter()
        .any(|c| c.state.as_ref().is_some_and(|s| s.terminated.is_some()));
    let fate = if is_over(pod) && all_known && known.iter().all(proved) {
        Fate::Ended
    } else if running && !again && !over_in_part && !is_over(pod) {
        observations.insert(0, format!("{shown} runs"));
        Fate::Runs
    } else {
        observations.insert(0, if running && again {
            format!("{shown} runs, but was started again, and nothing tells in which of its runs it took the lock")
        } else {
            format!("{shown} is `{}`, and its node does not say of every container that it ended", phase(pod))
        });
        Fate::Unclear
    };
    if fate != Fate::Runs
        && let Some(container) = last
    {
        let previous = running && again;
        match log(
            cluster,
            &space,
            &name_of(pod),
            &container,
            previous,
            LINES,
            deadline,
        )
        .await
        {
            Ok(lines) => observations.extend(lines.into_iter().map(|l| format!("log: {l}"))),
            Err(e) => observations.push(format!("its log cannot be read: {}", e.one_line())),
        }
    }
    Ok(Evidence { fate, observations })
}

/// The pod is not there: only its Job can say that it ended.
async fn gone(
    cluster: &Cluster,
    host: &str,
    others: &[String],
    spaces: &str,
    deadline: Deadline,
) -> Result<Evidence> {
    let mut observations = vec![format!("no pod in `{spaces}` has the host name `{host}`")];
    if let Some(other) = others.first() {
        observations.push(format!("the holder's address is now that of pod `{other}`"));
    }
    for space in &cluster.namespaces {
        let api: Api<Job> = Api::namespaced(cluster.client.clone(), space);
        let mut jobs: Vec<Job> = Vec::new();
        scan(
            cluster,
            &api,
            Some(space),
            &Filter::default(),
            deadline,
            |job: Job| {
                let name = job.metadata.name.as_deref().unwrap_or_default();
                if is_pod_of(host, name) {
                    jobs.push(job);
                }
            },
        )
        .await?;
        for job in jobs {
            let name = job.metadata.name.clone().unwrap_or_default();
            let shown = format!("job `{space}/{name}`");
            if !made(cluster, space, &job, host, deadline).await? {
                observations.push(format!(
                    "{shown} may have made it, and no event of it says so any more"
                ));
                continue;
            }
            let status = job.status.clone().unwrap_or_default();
            let (good, bad) = (status.succeeded.unwrap_or(0), status.failed.unwrap_or(0));
            let counts = format!("{good} of its pods succeeded and {bad} failed");
            let over = status.conditions.iter().flatten().any(|c| {
                // A pod that was lost with its node counts as failed, too, and may run on there.
                c.status == "True" && c.type_ == "Complete"
            });
            let uncounted = status.uncounted_terminated_pods.as_ref().is_some_and(|u| {
                [&u.failed, &u.succeeded]
                    .iter()
                    .any(|l| l.as_ref().is_some_and(|l| !l.is_empty()))
            });
            let left = status.active.unwrap_or(0) + status.terminating.unwrap_or(0);
            if over && left == 0 && !uncounted && good > 0 && bad == 0 {
                observations.push(format!(
                    "{shown}, which made that pod, has finished with no pod left: {counts}"
                ));
                return Ok(Evidence {
                    fate: Fate::Ended,
                    observations,
                });
            }
            observations.push(format!(
                "{shown} made that pod; {left} pods are left, {counts}, and nothing tells how that one ended"
            ));
        }
    }
    Ok(Evidence {
        fate: Fate::Unclear,
        observations,
    })
}

/// Where a Job stands.
#[derive(Debug, Clone)]
pub struct JobSeen {
    /// `complete`, `failed`, `running`, or `suspended`.
    pub state: &'static str,
    /// One line each: its counts, why it failed, how its newest pod ended, and the end of that one's log.
    pub observations: Vec<String>,
}

/// The Jobs of this name in the cluster's configured namespaces, the newest pod of each and the end of its log.
pub async fn job(cluster: &Cluster, name: &str, deadline: Deadline) -> Result<Vec<JobSeen>> {
    let mut all = Vec::new();
    for space in &cluster.namespaces {
        namespace(cluster, space, deadline).await?;
        let api: Api<Job> = Api::namespaced(cluster.client.clone(), space);
        let filter = Filter {
            labels: None,
            fields: Some(format!("metadata.name={name}")),
        };
        let mut found = Vec::new();
        scan(cluster, &api, Some(space), &filter, deadline, |job: Job| {
            found.push(job)
        })
        .await?;
        for job in found {
            all.push(told(cluster, space, name, &job, deadline).await?);
        }
    }
    Ok(all)
}

pub(super) async fn told(
    cluster: &Cluster,
    space: &str,
    name: &str,
    job: &Job,
    deadline: Deadline,
) -> Result<JobSeen> {
    let status = job.status.clone().unwrap_or_default();
    let condition = |kind: &str| {
        let all = status.conditions.iter().flatten();
        all.into_iter()
            .find(|c| c.type_ == kind && c.status == "True")
    };
    let failed = condition("Failed");
    let state = if failed.is_some() {
        "failed"
    } else if condition("Complete").is_some() {
        "complete"
    } else if job.spec.as_ref().and_then(|s| s.suspend) == Some(true) {
        "suspended"
    } else {
        "running"
    };
    let mut observations = vec![format!(
        "job `{space}/{name}` is {state}: {} of its pods succeeded, {} failed, {} are left",
        status.succeeded.unwrap_or(0),
        status.failed.unwrap_or(0),
        status.active.unwrap_or(0)
    )];
    if let Some(why) = failed {
        observations.push(super::pods::said(
            why.reason.as_deref(),
            why.message.as_deref(),
        ));
    }
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), space);
    let filter = Filter::of_job(name);
    let made = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let mut newest: Option<Pod> = None;
    scan(cluster, &api, Some(space), &filter, deadline, |pod: Pod| {
        if newest
            .as_ref()
            .is_none_or(|known| made(known) <= made(&pod))
        {
            newest = Some(pod);
        }
    })
    .await?;
    match &newest {
        Some(pod) => {
            let own = addresses(pod).into_iter().flatten().next();
            observations.extend(there(cluster, pod, own, deadline).await?.observations);
        }
        None => observations.push("it has no pod any more, so its log is gone".to_owned()),
    }
    Ok(JobSeen {
        state,
        observations,
    })
}

/// Whether a Job of this name gives its pods such names: its own, a dash, and five characters.
fn is_pod_of(pod: &str, job: &str) -> bool {
    let rest = pod
        .strip_prefix(job)
        .and_then(|rest| rest.strip_prefix('-'));
    !job.is_empty()
        && rest.is_some_and(|r| r.len() == 5 && r.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Whether an event of the Job says that it made the pod. Another Job of the same name has another UID.
async fn made(
    cluster: &Cluster,
    space: &str,
    job: &Job,
    pod: &str,
    deadline: Deadline,
) -> Result<bool> {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), space);
    let filter = Filter {
        labels: None,
        fields: Some(format!("involvedObject.uid={uid}")),
    };
    let mut found = false;
    scan(
        cluster,
        &api,
        Some(space),
        &filter,
        deadline,
        |event: Event| {
            let said = event.message.as_deref().unwrap_or_default();
            found |= event.reason.as_deref() == Some("SuccessfulCreate")
                && said.split_whitespace().next_back() == Some(pod);
        },
    )
    .await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_a_pods_name_cut_to_what_linux_takes() {
        assert!(is_host("db-migrate-7c9d4", "db-migrate-7c9d4"));
        assert!(is_host(
            "db-migrate-7c9d4",
            "DB-MIGRATE-7C9D4.jobs.svc.cluster.local"
        ));
        assert!(!is_host("db-migrate-7c9d4", "db-migrate"));
        let long = "a".repeat(70);
        assert!(is_host(&long, &"a".repeat(63)));
    }

    #[test]
    fn a_jobs_pods_are_known_by_their_names() {
        assert!(is_pod_of("db-migrate-7c9d4", "db-migrate"));
        assert!(!is_pod_of("db-migrate-7c9d4", "db"));
        assert!(!is_pod_of("db-migrate", "db-migrate"));
    }
}
