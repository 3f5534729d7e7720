//! A Job made from the template of a CronJob or of another Job, and followed to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Error as Theirs;
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::explain::explain;
use super::holder::{JobSeen, told};
use super::look::{Filter, asked, one_line, scan};
use super::named::{Kind, MANAGER, Named, changed, find};
use super::target::Cluster;
use super::{Ask, NOT_FOUND};
use crate::consent::Consent;
use crate::error::{Error, Result};
use crate::wait::{Deadline, Look, poll};

/// Holds the key of the effect that made a Job: one that was made before a crash is known again.
const KEY: &str = "summitctl.io/key";
/// A finished Job stays at least this long, in seconds, whatever its template says: it is what was measured.
const STAYS: i64 = 3600;
/// What the Job controller puts on the pods of a Job.
const OF_CONTROLLER: &[&str] = &[
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any Job: the step's own `timeout` ends the waiting.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a Job is made from.
#[derive(Debug, Clone)]
pub struct Template {
    /// The UID of the object that has it.
    pub uid: String,
    /// A digest of all that it says.
    pub digest: String,
    /// Images and programs, one line a container.
    pub runs: Vec<String>,
    /// The service account of its pods.
    pub account: String,
    spec: Value,
    labels: Value,
}

/// Reads the template of a CronJob, or of a Job that was there before.
pub async fn template(cluster: &Cluster, from: &Named, deadline: Deadline) -> Result<Template> {
    let found = find(cluster, from, deadline).await?;
    let (mut spec, labels) = if from.kind == Kind::CronJob {
        let template = &found.document["spec"]["jobTemplate"];
        (
            template["spec"].clone(),
            template["metadata"]["labels"].clone(),
        )
    } else {
        (
            found.document["spec"].clone(),
            found.document["metadata"]["labels"].clone(),
        )
    };
    let mut labels = labels;
    if let Some(spec) = spec.as_object_mut() {
        for own in ["selector", "manualSelector", "suspend"] {
            spec.remove(own);
        }
        if let Some(stays) = spec.get_mut("ttlSecondsAfterFinished") {
            *stays = json!(stays.as_i64().unwrap_or(STAYS).max(STAYS));
        }
    }
    for own in [&mut labels, &mut spec["template"]["metadata"]["labels"]] {
        if let Some(labels) = own.as_object_mut() {
            labels.retain(|name, _| !OF_CONTROLLER.contains(&name.as_str()));
        }
    }
    let pod = &spec["template"]["spec"];
    let runs = pod["containers"].as_array().into_iter().flatten().map(|c| {
        let words = ["command", "args"]
            .iter()
            .flat_map(|w| c[w].as_array().into_iter().flatten());
        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
        let said = if words.is_empty() {
            "its own program".to_owned()
        } else {
            words.join(" ")
        };
        format!(
            "`{}` runs {said}",
            c["image"].as_str().unwrap_or("no image")
        )
    });
    Ok(Template {
        runs: runs.collect(),
        account: pod["serviceAccountName"]
            .as_str()
            .unwrap_or("default")
            .to_owned(),
        digest: digest(&spec),
        uid: found.uid,
        spec,
        labels,
    })
}

fn digest(spec: &Value) -> String {
    let hash = Sha256::digest(spec.to_string());
    let digits: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("sha256:{digits}")
}

/// Makes a Job of this name, unless the one that is there was made for the same effect.
///
/// # Errors
/// `kubernetes.changed`: the template says something else now, or somebody else made a Job of this name.
pub async fn start(
    cluster: &Cluster,
    from: &Named,
    wanted: &str,
    name: &str,
    key: &str,
    _: &Consent,
) -> Result<()> {
    let deadline = Deadline::after(PATIENCE);
    let template = template(cluster, from, deadline).await?;
    if template.digest != wanted {
        return Err(changed(format!(
            "the template of {from} was changed since it was shown: {}, not {wanted}",
            template.digest
        )));
    }
    let mut annotations = Map::from_iter([(KEY.to_owned(), json!(key))]);
    if from.kind == Kind::CronJob {
        // As kubectl marks it.
        annotations.insert(
            "cronjob.kubernetes.io/instantiate".to_owned(),
            json!("manual"),
        );
    }
    let document = json!({
        "metadata": {"name": name, "namespace": from.namespace, "labels": template.labels, "annotations": annotations},
        "spec": template.spec,
    });
    let job: Job = serde_json::from_value(document).map_err(|_| {
        Error::new(
            &super::SERVER,
            format!("the template of {from} cannot be read"),
        )
    })?;
    let ask = Kind::Job.ask("create", &from.namespace);
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), &from.namespace);
    let params = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    let work = async {
        match api.create(&params, &job).await {
            Ok(_) => Ok(()),
            Err(Theirs::Api(status)) if status.code == 409 => {
                let get = Kind::Job.ask("get", &from.namespace);
                let there = asked(cluster, &get, deadline, api.get(name)).await?;
                let there = there.metadata.annotations.unwrap_or_default();
                if there.get(KEY).is_some_and(|k| k == key) {
                    return Ok(());
                }
                Err(changed(format!(
                    "somebody else made a job `{}/{name}`",
                    from.namespace
                )))
            }
            Err(e) => Err(explain(&cluster.server, &ask, e)),
        }
    };
    deadline.run(&format!("to {ask}"), work).await
}

/// Follows a Job to its end: each line of its pods' logs goes to `line`. How it ended, and what is known of that.
pub async fn follow(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    mut line: impl FnMut(String),
) -> Result<JobSeen> {
    let mut followed = BTreeSet::new();
    let end = Deadline::after(FOR_EVER);
    loop {
        // The next pod whose log can be read, or the Job's end.
        let next = poll(
            "the end of the job",
            end,
            Duration::from_secs(1),
            || async {
                let seen = ended(cluster, namespace, name).await?;
                if seen.state != "running" {
                    return Ok(Look::Ready(Err(seen)));
                }
                Ok(match readable(cluster, namespace, name, &followed).await? {
                    Some(pod) => Look::Ready(Ok(pod)),
                    None => Look::NotYet(seen.observations.join("; ")),
                })
            },
        );
        let pod = match next.await? {
            Ok(pod) => pod,
            Err(seen) => return Ok(seen),
        };
        let ask = Ask::named("get", "", "pods/log", Some(namespace));
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let params = LogParams {
            follow: true,
            container: pod.container,
            ..LogParams::default()
        };
        let opened = asked(
            cluster,
            &ask,
            Deadline::after(PATIENCE),
            api.log_stream(&pod.name, &params),
        );
        match opened.await {
            Ok(stream) => {
                let mut lines = std::pin::pin!(stream.lines());
                // A stream that breaks off is no end: the Job itself says what became of it.
                while let Ok(Some(text)) = lines.try_next().await {
                    line(one_line(&text));
                }
            }
            Err(error) => line(format!("its log cannot be followed: {}", error.one_line())),
        }
        followed.insert(pod.uid);
    }
}

/// How a Job stands.
pub async fn ended(cluster: &Cluster, namespace: &str, name: &str) -> Result<JobSeen> {
    let deadline = Deadline::after(PATIENCE);
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let ask = Kind::Job.ask("get", namespace);
    let job = asked(cluster, &ask, deadline, api.get(name)).await?;
    told(cluster, namespace, name, &job, deadline).await
}

/// Removes a Job with its pods, if it still runs. Whether it did.
pub async fn stop(cluster: &Cluster, namespace: &str, name: &str, _: &Consent) -> Result<bool> {
    match ended(cluster, namespace, name).await {
        Ok(seen) if seen.state == "running" => {}
        Ok(_) => return Ok(false),
        Err(e) if e.reason() == &NOT_FOUND => return Ok(false),
        Err(e) => return Err(e),
    }
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let ask = Kind::Job.ask("delete", namespace);
    let deadline = Deadline::after(PATIENCE);
    asked(
        cluster,
        &ask,
        deadline,
        api.delete(name, &DeleteParams::background()),
    )
    .await?;
    Ok(true)
}

struct Readable {
    uid: String,
    name: String,
    container: Option<String>,
}

/// A pod of the Job that was started and not followed yet, the oldest first.
async fn readable(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    followed: &BTreeSet<String>,
) -> Result<Option<Readable>> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let filter = Filter::of_job(name);
    let mut found: Option<(Option<_>, Readable)> = None;
    let deadline = Deadline::after(PATIENCE);
    scan(
        cluster,
        &api,
        Some(namespace),
        &filter,
        deadline,
        |pod: Pod| {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
            if followed.contains(&uid) || matches!(phase, None | Some("Pending" | "Unknown")) {
                return;
            }
            let made = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
            if found.as_ref().is_some_and(|(at, _)| *at <= made) {
                return;
            }
            let containers = pod.spec.as_ref().map(|s| s.containers.as_slice());
            let container = containers.and_then(|c| c.first()).map(|c| c.name.clone());
            let name = pod.metadata.name.unwrap_or_default();
            found = Some((
                made,
                Readable {
                    uid,
                    name,
                    container,
                },
            ));
        },
    )
    .await?;
    Ok(found.map(|(_, pod)| pod))
}
