//! Why a pod is not ready, read from its status as the kubelet and the scheduler wrote it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::time::{Instant, Span};

/// A container that ended within this time and was started again more than [`CALM`] times is crashing, ready or not.
const LATELY: Duration = Duration::from_secs(600);

/// As many restarts are seen after a node's restart or a changed secret.
const CALM: i32 = 2;

/// How long a pod may take to end once its grace period is over.
const TO_END: Duration = Duration::from_secs(300);

/// What keeps a pod from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// An image cannot be had.
    Image {
        /// The container.
        container: String,
        /// The image.
        image: String,
        /// The kubelet's reason and message.
        why: String,
    },
    /// A container ends and is started again.
    Crashing {
        /// The container.
        container: String,
        /// How often it was started again.
        restarts: i32,
        /// Its last exit code.
        code: Option<i32>,
        /// The kubelet's word for the last end, such as `OOMKilled`.
        reason: String,
    },
    /// A container cannot be started: a secret or volume is missing, and the like.
    Start {
        /// The container.
        container: String,
        /// The kubelet's reason and message.
        why: String,
    },
    /// No node takes it.
    Unschedulable {
        /// The scheduler's message.
        why: String,
    },
    /// Not started yet.
    Pending {
        /// What it waits for.
        why: String,
    },
    /// It ended and will not be started again.
    Failed {
        /// Reason, message and exit code.
        why: String,
    },
    /// It runs, and is not ready.
    NotReady {
        /// The containers that are not.
        containers: Vec<String>,
    },
    /// It was deleted, and is still there.
    Ending {
        /// For how long too long.
        since: Duration,
    },
}

impl Trouble {
    /// The container whose log says more, and whether its run before the present one does.
    pub fn log_of(&self) -> Option<(&str, bool)> {
        match self {
            Trouble::Crashing { container, .. } => Some((container, true)),
            Trouble::NotReady { containers } => containers.first().map(|c| (c.as_str(), false)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Image {
                container,
                image,
                why,
            } => {
                write!(
                    f,
                    "the image `{image}` of container `{container}` cannot be had: {why}"
                )
            }
            Trouble::Crashing {
                container,
                restarts,
                code,
                reason,
            } => {
                write!(
                    f,
                    "container `{container}` keeps ending: {restarts} restarts, last "
                )?;
                match code {
                    Some(code) => write!(f, "exit code {code} ({reason})"),
                    None => write!(f, "end `{reason}`"),
                }
            }
            Trouble::Start { container, why } => {
                write!(f, "container `{container}` cannot start: {why}")
            }
            Trouble::Unschedulable { why } => write!(f, "no node takes it: {why}"),
            Trouble::Pending { why } => write!(f, "not started yet: {why}"),
            Trouble::Failed { why } => write!(f, "failed: {why}"),
            Trouble::NotReady { containers } if containers.is_empty() => {
                write!(f, "runs, and is not ready")
            }
            Trouble::NotReady { containers } => {
                write!(
                    f,
                    "runs, and is not ready: container `{}`",
                    containers.join("`, `")
                )
            }
            Trouble::Ending { since } => {
                write!(
                    f,
                    "was deleted, and is still there {} after its grace period",
                    Span(*since)
                )
            }
        }
    }
}

/// What matters of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether a Job made it, which decides itself what a failure means.
    pub of_job: bool,
    /// Whether it has done its work and ended.
    pub done: bool,
    /// What keeps it from being ready.
    pub trouble: Option<Trouble>,
    /// Restarts of its containers, all together.
    pub restarts: i32,
}

/// Reads a pod's status, as of `now`.
pub fn pod(pod: &Pod, now: Instant) -> PodFacts {
    let meta = &pod.metadata;
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let phase = pod
        .status
        .as_ref()
        .and_then(|s| s.phase.as_deref())
        .unwrap_or("Pending");
    let done = phase == "Succeeded";
    PodFacts {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        of_job: owners.iter().any(|o| o.kind == "Job"),
        done,
        trouble: if done { None } else { trouble(pod, phase, now) },
        restarts: statuses(pod).map(|(c, _)| c.restart_count).sum(),
    }
}

/// Every container's status, and whether it is one that runs before the others.
fn statuses(pod: &Pod) -> impl Iterator<Item = (&ContainerStatus, bool)> {
    let status = pod.status.as_ref();
    let first = status
        .and_then(|s| s.init_container_statuses.as_deref())
        .unwrap_or_default();
    let main = status
        .and_then(|s| s.container_statuses.as_deref())
        .unwrap_or_default();
    first
        .iter()
        .map(|c| (c, true))
        .chain(main.iter().map(|c| (c, false)))
}

fn trouble(pod: &Pod, phase: &str, now: Instant) -> Option<Trouble> {
    let at = |t: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| {
        Instant::from_millis(t.0.as_millisecond())
    };
    if let Some(deleted) = &pod.metadata.deletion_timestamp {
        // The timestamp holds the grace period already.
        let since = now.since(at(deleted));
        return (since > TO_END).then_some(Trouble::Ending { since });
    }
    let again = pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref()) != Some("Never");
    if phase == "Failed" {
        return Some(Trouble::Failed {
            why: why_failed(pod),
        });
    }
    if let Some(found) = statuses(pod).find_map(|(c, first)| container(c, first, again, now)) {
        return Some(found);
    }
    let status = pod.status.as_ref();
    let conditions = status
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|c| c.type_ == kind);
    if let Some(scheduled) = condition("PodScheduled").filter(|c| c.status == "False") {
        let why = said(scheduled.reason.as_deref(), scheduled.message.as_deref());
        return Some(Trouble::Unschedulable { why });
    }
    if phase == "Pending" {
        let why = statuses(pod).find_map(|(c, first)| {
            let state = c.state.as_ref()?;
            if first && state.running.is_some() {
                return Some(format!(
                    "container `{}`, which runs before the others, has not ended",
                    c.name
                ));
            }
            let waiting = state.waiting.as_ref()?;
            Some(format!(
                "container `{}`: {}",
                c.name,
                said(waiting.reason.as_deref(), waiting.message.as_deref())
            ))
        });
        let why = why.unwrap_or_else(|| "the kubelet has not reported a container".to_owned());
        return Some(Trouble::Pending { why });
    }
    let ready = condition("Ready").is_some_and(|c| c.status == "True");
    (!ready).then(|| Trouble::NotReady {
        containers: statuses(pod)
            .filter(|(c, first)| !first && !c.ready)
            .map(|(c, _)| c.name.clone())
            .collect(),
    })
}

/// What is wrong with one container; `again` says that the kubelet starts it again when it ends.
fn container(c: &ContainerStatus, first: bool, again: bool, now: Instant) -> Option<Trouble> {
    let state = c.state.as_ref();
    let ended =
        |t: &k8s_openapi::api::core::v1::ContainerStateTerminated, restarts| Trouble::Crashing {
            container: c.name.clone(),
            restarts,
            code: Some(t.exit_code),
            reason: t
                .reason
                .clone()
                .unwrap_or_else(|| "no reason given".to_owned()),
        };
    let before = c.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    if let Some(waiting) = state.and_then(|s| s.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let why = said(waiting.reason.as_deref(), waiting.message.as_deref());
        let container = c.name.clone();
        return match reason {
            "ImagePullBackOff"
            | "ErrImagePull"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError" => Some(Trouble::Image {
                container,
                image: c.image.clone(),
                why,
            }),
            "CrashLoopBackOff" => Some(before.map_or_else(
                || Trouble::Crashing {
                    container,
                    restarts: c.restart_count,
                    code: None,
                    reason: reason.to_owned(),
                },
                |t| ended(t, c.restart_count),
            )),
            "" | "ContainerCreating" | "PodInitializing" => None,
            _ => Some(Trouble::Start { container, why }),
        };
    }
    if let Some(now_ended) = state.and_then(|s| s.terminated.as_ref()) {
        // One that runs before the others is meant to end.
        let meant = now_ended.exit_code == 0 && (first || !again);
        return (!meant && again).then(|| ended(now_ended, c.restart_count));
    }
    let lately = before
        .and_then(|t| t.finished_at.as_ref())
        .is_some_and(|t| now.since(Instant::from_millis(t.0.as_millisecond())) < LATELY);
    before
        .filter(|_| lately && c.restart_count > CALM)
        .map(|t| ended(t, c.restart_count))
}

fn why_failed(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let said = said(
        status.and_then(|s| s.reason.as_deref()),
        status.and_then(|s| s.message.as_deref()),
    );
    let code = statuses(pod).find_map(|(c, _)| {
        let ended = c
            .state
            .as_ref()?
            .terminated
            .as_ref()
            .filter(|t| t.exit_code != 0)?;
        let reason = ended.reason.as_deref().unwrap_or("no reason given");
        Some(format!(
            "container `{}` ended with exit code {} ({reason})",
            c.name, ended.exit_code
        ))
    });
    match (code, said.as_str()) {
        (Some(code), "no reason given") => code,
        (Some(code), said) => format!("{said}; {code}"),
        (None, said) => said.to_owned(),
    }
}

/// A reason and a message of Kubernetes in one fragment.
pub(super) fn said(reason: Option<&str>, message: Option<&str>) -> String {
    let text = |t: Option<&str>| {
        t.map(str::trim)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    match (text(reason), text(message)) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "no reason given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A pod with this status, read at 12:00.
    fn read(status: serde_json::Value) -> PodFacts {
        let document = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [{"name": "app"}], "restartPolicy": "Always"},
            "status": status,
        });
        let object: Pod = serde_json::from_value(document).expect("a pod");
        pod(&object, noon())
    }

    fn noon() -> Instant {
        serde_json::from_value(json!("2026-01-05T12:00:00Z")).expect("a time")
    }

    fn app(
        state: serde_json::Value,
        last: serde_json::Value,
        restarts: i32,
        ready: bool,
    ) -> serde_json::Value {
        json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{
                "name": "app", "image": "i:1", "imageID": "", "ready": ready,
                "restartCount": restarts, "state": state, "lastState": last,
            }],
        })
    }

    #[test]
    fn a_container_that_ran_out_of_memory_is_named_with_its_code() {
        let facts = read(app(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}),
            json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            4,
            false,
        ));
        let shown = facts.trouble.expect("trouble").to_string();
        assert_eq!(
            shown,
            "container `app` keeps ending: 4 restarts, last exit code 137 (OOMKilled)"
        );
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named() {
        let mut status = app(
            json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
            json!({}),
            0,
            false,
        );
        status["phase"] = json!("Pending");
        let shown = read(status).trouble.expect("trouble").to_string();
        assert!(
            shown.contains("`i:1`") && shown.contains("ImagePullBackOff: not found"),
            "{shown}"
        );
    }

    #[test]
    fn many_late_restarts_are_a_crash_loop_even_between_two_crashes() {
        let running = json!({"running": {"startedAt": "2026-01-05T11:59:59Z"}});
        let last =
            |at: &str| json!({"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": at}});
        let lately = read(app(running.clone(), last("2026-01-05T11:59:58Z"), 5, true));
        assert!(matches!(
            lately.trouble,
            Some(Trouble::Crashing {
                restarts: 5,
                code: Some(3),
                ..
            })
        ));
        let long_ago = read(app(running.clone(), last("2026-01-04T11:59:58Z"), 5, true));
        assert_eq!(long_ago.trouble, None);
        let once = read(app(running, last("2026-01-05T11:59:58Z"), 1, true));
        assert_eq!(
            once.trouble, None,
            "a single restart is counted, and no loop"
        );
        assert_eq!(once.restarts, 1);
    }

    #[test]
    fn the_scheduler_is_quoted() {
        let status = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
        ]});
        let shown = read(status).trouble.expect("trouble").to_string();
        assert_eq!(
            shown,
            "no node takes it: Unschedulable: 0/3 nodes are available"
        );
    }

    #[test]
    fn ended_work_and_a_pod_that_is_being_deleted_are_no_trouble() {
        let done = read(json!({"phase": "Succeeded"}));
        assert!(done.done && done.trouble.is_none());
        let evicted =
            read(json!({"phase": "Failed", "reason": "Evicted", "message": "low on disk"}));
        assert_eq!(
            evicted.trouble.expect("trouble").to_string(),
            "failed: Evicted: low on disk"
        );
    }
}
