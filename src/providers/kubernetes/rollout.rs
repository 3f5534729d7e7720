//! A Deployment's templates: the one it has, and those before it, as its ReplicaSets keep them.

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::Api;
use serde_json::{Map, Value, json};

use super::look::{Filter, scan};
use super::named::{Named, change, changed, find};
use super::target::Cluster;
use crate::consent::Consent;
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// Under this annotation the controller counts a Deployment's templates.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// What the controller adds to the template that a ReplicaSet keeps.
const HASH: &str = "pod-template-hash";

/// A template that a Deployment has or had.
#[derive(Debug, Clone)]
pub struct Revision {
    /// The ReplicaSet that keeps it.
    pub name: String,
    /// Its number; a template that is gone back to gets a new one.
    pub number: u64,
    /// Its images.
    pub images: Vec<String>,
    template: Value,
}

/// A Deployment's templates.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// The Deployment's UID.
    pub uid: String,
    /// How many pods it is to have.
    pub pods: i32,
    /// Whether its rollouts are paused.
    pub paused: bool,
    /// Its templates, the newest first: the first is the present one.
    pub revisions: Vec<Revision>,
}

/// Reads them.
pub async fn rollout(cluster: &Cluster, named: &Named, deadline: Deadline) -> Result<Rollout> {
    let found = find(cluster, named, deadline).await?;
    let api: Api<ReplicaSet> = Api::namespaced(cluster.client.clone(), &named.namespace);
    let mut sets: Vec<ReplicaSet> = Vec::new();
    let (space, all) = (Some(named.namespace.as_str()), Filter::default());
    scan(cluster, &api, space, &all, deadline, |set: ReplicaSet| {
        let owners = set.metadata.owner_references.as_deref().unwrap_or_default();
        if owners.iter().any(|o| o.uid == found.uid) {
            sets.push(set);
        }
    })
    .await?;
    let mut revisions: Vec<Revision> = sets.into_iter().filter_map(revision).collect();
    revisions.sort_by_key(|r| std::cmp::Reverse(r.number));
    Ok(Rollout {
        pods: found.document["spec"]["replicas"]
            .as_i64()
            .map_or(1, |n| n.try_into().unwrap_or(1)),
        paused: found.document["spec"]["paused"] == json!(true),
        uid: found.uid,
        revisions,
    })
}

fn revision(set: ReplicaSet) -> Option<Revision> {
    let number = set
        .metadata
        .annotations
        .as_ref()?
        .get(REVISION)?
        .parse()
        .ok()?;
    let mut template = serde_json::to_value(set.spec?.template?).ok()?;
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    let containers = template["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten();
    let images = containers
        .filter_map(|c| c["image"].as_str().map(str::to_owned))
        .collect();
    Some(Revision {
        name: set.metadata.name.unwrap_or_default(),
        number,
        images,
        template,
    })
}

/// Gives a Deployment the template that a ReplicaSet keeps, if it has the one that another one keeps, or that one already.
pub async fn roll_to(
    cluster: &Cluster,
    named: &Named,
    uid: &str,
    (from, to): (&str, &str),
    consent: &Consent,
    deadline: Deadline,
) -> Result<()> {
    let known = rollout(cluster, named, deadline).await?;
    let template = |name: &str| {
        let kept = known.revisions.iter().find(|r| r.name == name);
        kept.map(|r| &r.template).ok_or_else(|| {
            Error::new(
                &super::NOT_FOUND,
                format!(
                    "the replica set `{}/{name}` of {named} is gone, and its template with it",
                    named.namespace
                ),
            )
        })
    };
    let (from, to) = (template(from)?, template(to)?);
    change(cluster, named, uid, consent, deadline, |found| {
        let now = &found.document["spec"]["template"];
        if same(now, to) {
            return Ok(None);
        }
        if !same(now, from) {
            return Err(changed(format!(
                "{named} has another template than was shown"
            )));
        }
        Ok(Some(json!({"spec": {"template": patch(now, to)}})))
    })
    .await
}

/// Fields that are null or empty say nothing.
fn same(a: &Value, b: &Value) -> bool {
    bare(a) == bare(b)
}

fn bare(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(k, v)| (k.clone(), bare(v)));
            let mut kept: Vec<_> = kept
                .filter(|(_, v)| !v.is_null() && *v != json!({}))
                .collect();
            kept.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(Map::from_iter(kept))
        }
        Value::Array(all) => Value::Array(all.iter().map(bare).collect()),
        other => other.clone(),
    }
}

/// The merge patch from one to the other (RFC 7386): what is not wanted is null.
fn patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return to.clone();
    };
    let mut out = Map::new();
    for (name, value) in to {
        let before = from.get(name).unwrap_or(&Value::Null);
        if before != value {
            out.insert(name.clone(), patch(before, value));
        }
    }
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        out.insert(name.clone(), Value::Null);
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_removes_what_the_other_template_lacks() {
        let from = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [{"image": "x:2"}], "nodeSelector": {"disk": "ssd"}}});
        let to =
            json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"image": "x:1"}]}});
        assert_eq!(
            patch(&from, &to),
            json!({"metadata": {"labels": {"b": null}}, "spec": {"containers": [{"image": "x:1"}], "nodeSelector": null}})
        );
        assert!(same(&json!({"a": 1, "b": null, "c": {}}), &json!({"a": 1})));
        assert!(!same(&from, &to));
    }
}
