//! How far the rollout of a Deployment, StatefulSet or DaemonSet is, as its controller reports it.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::Resource;

use super::pods::said;

/// A workload's rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// How many pods it is to have.
    pub wanted: i32,
    /// How many it has, of any age.
    pub made: i32,
    /// How many of them are of the newest template.
    pub updated: i32,
    /// How many are ready.
    pub ready: i32,
    /// Whether its controller has seen the newest specification.
    pub observed: bool,
    /// Whether its rollout is stopped.
    pub paused: bool,
    /// Why its rollout is stuck, in the controller's words.
    pub stuck: Option<String>,
    /// Why pods cannot be made, such as a quota, in the controller's words.
    pub refused: Option<String>,
}

impl Workload {
    fn of<K: Resource>(object: &K) -> Workload {
        let meta = object.meta();
        Workload {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            ..Workload::default()
        }
    }

    /// What is wrong with it, if anything is.
    pub fn trouble(&self) -> Option<String> {
        let Workload {
            wanted,
            made,
            updated,
            ready,
            ..
        } = *self;
        if let Some(why) = &self.refused {
            return Some(format!("{made} of {wanted} pods could be made: {why}"));
        }
        if let Some(why) = &self.stuck {
            return Some(format!(
                "its rollout is stuck with {ready} of {wanted} pods ready: {why}"
            ));
        }
        if !self.observed {
            return Some("its controller has not seen the newest specification".to_owned());
        }
        if ready < wanted {
            return Some(format!("{ready} of {wanted} pods are ready"));
        }
        if updated < wanted && !self.paused {
            return Some(format!(
                "its rollout is under way: {updated} of {wanted} pods are of the newest template"
            ));
        }
        (made > wanted && !self.paused).then(|| {
            format!(
                "its rollout is under way: {} pods of the old template are left",
                made - wanted
            )
        })
    }
}

fn seen(generation: Option<i64>, observed: Option<i64>) -> bool {
    observed.unwrap_or(0) >= generation.unwrap_or(0)
}

/// A Deployment's rollout.
pub fn deployment(object: &Deployment) -> Workload {
    let spec = object.spec.as_ref();
    let status = object.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let condition = |kind: &str, value: &str| {
        let found = conditions
            .iter()
            .find(|c| c.type_ == kind && c.status == value)?;
        Some((
            found.reason.clone().unwrap_or_default(),
            said(found.reason.as_deref(), found.message.as_deref()),
        ))
    };
    Workload {
        wanted: spec.and_then(|s| s.replicas).unwrap_or(1),
        made: status.replicas.unwrap_or(0),
        updated: status.updated_replicas.unwrap_or(0),
        ready: status.available_replicas.unwrap_or(0),
        observed: seen(object.metadata.generation, status.observed_generation),
        paused: spec.and_then(|s| s.paused).unwrap_or(false),
        stuck: condition("Progressing", "False")
            .filter(|(reason, _)| reason != "DeploymentPaused")
            .map(|(_, said)| said),
        refused: condition("ReplicaFailure", "True").map(|(_, said)| said),
        ..Workload::of(object)
    }
}

/// A StatefulSet's rollout. One that leaves pods at the old template on purpose is not under way.
pub fn stateful_set(object: &StatefulSet) -> Workload {
    let spec = object.spec.as_ref();
    let status = object.status.clone().unwrap_or_default();
    let wanted = spec.and_then(|s| s.replicas).unwrap_or(1);
    let strategy = spec.and_then(|s| s.update_strategy.as_ref());
    let by_hand = strategy.is_some_and(|s| s.type_.as_deref() == Some("OnDelete"));
    let partition = strategy
        .and_then(|s| s.rolling_update.as_ref()?.partition)
        .unwrap_or(0);
    let settled = by_hand || partition > 0 || status.current_revision == status.update_revision;
    Workload {
        wanted,
        made: status.replicas,
        updated: if settled {
            wanted
        } else {
            status.updated_replicas.unwrap_or(0)
        },
        ready: status.ready_replicas.unwrap_or(0),
        observed: seen(object.metadata.generation, status.observed_generation),
        ..Workload::of(object)
    }
}

/// A DaemonSet's rollout.
pub fn daemon_set(object: &DaemonSet) -> Workload {
    let status = object.status.clone().unwrap_or_default();
    let by_hand = object
        .spec
        .as_ref()
        .and_then(|s| s.update_strategy.as_ref()?.type_.as_deref())
        == Some("OnDelete");
    let wanted = status.desired_number_scheduled;
    Workload {
        wanted,
        made: status.current_number_scheduled.min(wanted),
        updated: if by_hand {
            wanted
        } else {
            status.updated_number_scheduled.unwrap_or(0)
        },
        ready: status.number_ready,
        observed: seen(object.metadata.generation, status.observed_generation),
        ..Workload::of(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: serde_json::Value, paused: bool) -> Workload {
        let document = json!({
            "metadata": {"name": "d", "namespace": "n", "generation": 3},
            "spec": {"replicas": 2, "paused": paused, "selector": {}, "template": {}},
            "status": status,
        });
        deployment(&serde_json::from_value(document).expect("a deployment"))
    }

    #[test]
    fn a_stuck_rollout_says_why_and_a_finished_one_nothing() {
        let good = json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(of(good.clone(), false).trouble(), None);
        let mut stuck = good.clone();
        stuck["availableReplicas"] = json!(1);
        stuck["conditions"] = json!([{"type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded", "message": "has timed out progressing"}]);
        let said = of(stuck, false).trouble().expect("trouble");
        assert!(
            said.contains("1 of 2") && said.contains("ProgressDeadlineExceeded"),
            "{said}"
        );
        let mut unseen = good.clone();
        unseen["observedGeneration"] = json!(2);
        assert!(
            of(unseen, false)
                .trouble()
                .expect("trouble")
                .contains("has not seen")
        );
        let mut half = good;
        half["updatedReplicas"] = json!(1);
        assert!(
            of(half.clone(), false)
                .trouble()
                .expect("trouble")
                .contains("under way")
        );
        assert_eq!(
            of(half, true).trouble(),
            None,
            "a paused rollout is a finding of its own"
        );
    }
}
