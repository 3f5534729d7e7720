//! How many pods a Deployment or StatefulSet is to have, and whether they came or went.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::Api;
use kube::core::Selector;
use serde_json::json;

use super::look::{Filter, scan};
use super::named::{Kind, Named, change, changed, find};
use super::target::Cluster;
use super::{SERVER, Workload, deployment, pod, stateful_set};
use crate::consent::Consent;
use crate::error::{Error, Result};
use crate::time::Instant;
use crate::wait::Deadline;

/// Holds how many pods a workload had before it was scaled: whoever scales it back need not know.
const BEFORE: &str = "summitctl.io/replicas-before";

/// How many pods a workload is to have.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Its UID.
    pub uid: String,
    /// How many it is to have now.
    pub now: i32,
    /// How many it had before it was scaled by us.
    pub before: Option<i32>,
    /// The autoscaler that decides it, while it is not 0.
    pub autoscaler: Option<String>,
}

/// Reads a workload's scale.
pub async fn scale(cluster: &Cluster, named: &Named, deadline: Deadline) -> Result<Scale> {
    let found = find(cluster, named, deadline).await?;
    let api: Api<HorizontalPodAutoscaler> =
        Api::namespaced(cluster.client.clone(), &named.namespace);
    let mut autoscaler = None;
    let (space, all) = (Some(named.namespace.as_str()), Filter::default());
    let seen = scan(
        cluster,
        &api,
        space,
        &all,
        deadline,
        |a: HorizontalPodAutoscaler| {
            let target = a.spec.map(|s| s.scale_target_ref);
            if target.is_some_and(|t| {
                t.name == named.name && t.kind.eq_ignore_ascii_case(named.kind.word())
            }) {
                autoscaler = a.metadata.name;
            }
        },
    );
    seen.await?;
    Ok(Scale {
        now: replicas(&found.document),
        before: found.annotations.get(BEFORE).and_then(|n| n.parse().ok()),
        uid: found.uid,
        autoscaler,
    })
}

/// What is not written is 1.
fn replicas(document: &serde_json::Value) -> i32 {
    let written = document["spec"]["replicas"].as_i64();
    written.and_then(|n| n.try_into().ok()).unwrap_or(1)
}

/// From one number to another, with a note on the object of how many it had before, or none.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What was shown.
    pub from: i32,
    /// What is wanted.
    pub to: i32,
    /// The note that is left.
    pub note: Option<i32>,
}

/// Scales the workload with this UID, if it still has as many as were shown, or as are wanted.
pub async fn set_scale(
    cluster: &Cluster,
    named: &Named,
    uid: &str,
    step: Step,
    consent: &Consent,
    deadline: Deadline,
) -> Result<()> {
    change(cluster, named, uid, consent, deadline, |found| {
        let now = replicas(&found.document);
        let note = step.note.map(|n| n.to_string());
        if now == step.to && found.annotations.get(BEFORE) == note.as_ref() {
            return Ok(None);
        }
        if now != step.from && now != step.to {
            return Err(changed(format!(
                "{named} is to have {now} pods now, and had {} when it was shown",
                step.from
            )));
        }
        Ok(Some(json!({
            "metadata": {"annotations": {BEFORE: note}},
            "spec": {"replicas": step.to},
        })))
    })
    .await
}

/// How many pods of the workload there are, those that are ending included, and what keeps the first of them from being ready.
async fn left(
    cluster: &Cluster,
    named: &Named,
    deadline: Deadline,
) -> Result<(usize, Option<String>)> {
    let found = find(cluster, named, deadline).await?;
    let selector: LabelSelector =
        serde_json::from_value(found.document["spec"]["selector"].clone()).map_err(|_| {
            Error::new(&SERVER, format!("{named} has no selector that can be read"))
        })?;
    let selector = Selector::try_from(selector).map_err(|_| {
        Error::new(
            &SERVER,
            format!("{named} has a selector of an unknown kind"),
        )
    })?;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &named.namespace);
    let filter = Filter {
        labels: Some(selector.to_string()),
        fields: None,
    };
    let now = Instant::now();
    let mut pods = 0;
    let mut why = None;
    scan(
        cluster,
        &api,
        Some(&named.namespace),
        &filter,
        deadline,
        |p: Pod| {
            // What ended by itself and stays to be looked at runs no more.
            let phase = p.status.as_ref().and_then(|s| s.phase.as_deref());
            if matches!(phase, Some("Succeeded" | "Failed")) {
                return;
            }
            pods += 1;
            let ending = p.metadata.deletion_timestamp.is_some();
            let facts = pod(&p, now);
            if why.is_none() {
                let name = p.metadata.name.unwrap_or_default();
                why = match facts.trouble {
                    _ if ending => Some(format!("pod `{name}` is ending")),
                    Some(trouble) => Some(format!("pod `{name}`: {trouble}")),
                    None => None,
                };
            }
        },
    )
    .await?;
    Ok((pods, why))
}

/// Nothing if the workload has just as many pods as it is to have, all ready and none ending; else what is seen instead.
pub async fn settled(
    cluster: &Cluster,
    named: &Named,
    wanted: i32,
    deadline: Deadline,
) -> Result<Option<String>> {
    let found = find(cluster, named, deadline).await?;
    let rollout: Workload = match named.kind {
        Kind::StatefulSet => stateful_set(&found.typed()?),
        _ => deployment(&found.typed()?),
    };
    if rollout.wanted != wanted {
        return Ok(Some(format!(
            "it is to have {} pods, not {wanted}",
            rollout.wanted
        )));
    }
    let (pods, why) = left(cluster, named, deadline).await?;
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    if let Some(trouble) = rollout.trouble() {
        return Ok(Some(format!("{trouble}{why}")));
    }
    Ok((usize::try_from(wanted).ok() != Some(pods))
        .then(|| format!("{pods} pods are there, and {wanted} are to be{why}")))
}
