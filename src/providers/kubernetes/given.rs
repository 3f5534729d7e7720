//! What a workload gives one of its containers: its template, the ConfigMaps and Secrets that this names, the Services
//! beside it, and the pods that run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodTemplateSpec, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::Api;
use kube::core::Selector;
use zeroize::{Zeroize as _, Zeroizing};

use super::environment::{Given, Held, Links, Sources, Store, environment, links, named_in};
use super::extension::{EXTERNAL_SECRETS, Maker, SEALED_SECRETS, maker_of};
use super::look::{Filter, asked, scan};
use super::named::{Kind, Named, find};
use super::target::Cluster;
use super::{Ask, FORBIDDEN, NOT_FOUND};
use crate::error::{Error, Result};
use crate::time::Instant;
use crate::wait::Deadline;

/// The container that kubectl takes if none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// On a Secret of cert-manager: the Certificate it belongs to.
const OF_CERTIFICATE: &str = "cert-manager.io/certificate-name";

/// The kinds of objects that have a template of pods.
pub const WORKLOADS: &[Kind] = &[
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Job,
];

/// What was seen of a ConfigMap or Secret that a container needs; its values are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is.
    pub store: Store,
    /// Its name.
    pub name: String,
    /// How it was found.
    pub state: SourceState,
    /// What makes it; with what that says if the source is not there.
    pub made_by: Option<Maker>,
    /// When its values were last changed, as its managed fields tell.
    pub changed: Option<Instant>,
}

/// How a ConfigMap or Secret was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// There, with so many keys.
    Here(usize),
    /// Not there.
    Absent,
    /// It may not be read.
    Unreadable,
}

/// What a workload gives a container.
#[derive(Debug)]
pub struct Workload {
    /// The container.
    pub container: String,
    /// Its image.
    pub image: String,
    /// Its environment.
    pub given: Given,
    /// The ConfigMaps and Secrets that it names.
    pub sources: Vec<Source>,
    /// What the kubelet would add for Services: the variable, its value and the Service; or why that is not known.
    pub links: std::result::Result<BTreeMap<String, (String, String)>, String>,
    /// Pods in which the container runs, and since when; or why they are not known. None where there are no lasting ones.
    pub running: Option<std::result::Result<Vec<(String, Instant)>, String>>,
    /// What to do about what may not be read.
    pub hints: Vec<String>,
}

/// Reads what a workload gives a container: the named one, else its only one.
///
/// # Errors
/// The workload does not exist or may not be read, or it has no such container. What its sources hold does not make an error.
pub async fn given(
    cluster: &Cluster,
    named: &Named,
    container: Option<&str>,
    deadline: Deadline,
) -> Result<Workload> {
    let found = find(cluster, named, deadline).await?;
    let document = &found.document;
    let template = match named.kind {
        Kind::CronJob => &document["spec"]["jobTemplate"]["spec"]["template"],
        _ => &document["spec"]["template"],
    };
    let template: PodTemplateSpec = serde_json::from_value(template.clone()).map_err(|e| {
        Error::new(
            &super::SERVER,
            format!("the template of {named} cannot be read"),
        )
        .caused_by(format!("{:?}", e.classify()))
    })?;
    let container = pick(named, &template, container)?;
    let mut reading = Reading {
        cluster,
        space: &named.namespace,
        deadline,
        hints: Vec::new(),
    };
    let mut sources = Sources::new();
    let mut seen = Vec::new();
    for (store, name) in named_in(container) {
        let (held, source) = reading.source(store, &name).await?;
        sources.insert((store, name), held);
        seen.push(source);
    }
    let pod = template.spec.as_ref();
    let linked = pod.and_then(|s| s.enable_service_links) != Some(false);
    let links = if linked {
        reading.links().await?
    } else {
        Links::Known(BTreeMap::new())
    };
    let given = environment(container, &sources, &links);
    let running = match named.kind {
        Kind::CronJob | Kind::Job => None,
        _ => Some(
            reading
                .running(&document["spec"]["selector"], &container.name)
                .await?,
        ),
    };
    Ok(Workload {
        container: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        given,
        sources: seen,
        links: match links {
            Links::Known(links) => Ok(links),
            Links::Unreadable(why) => Err(why),
        },
        running,
        hints: reading.hints,
    })
}

/// The container that is meant.
fn pick<'t>(
    named: &Named,
    template: &'t PodTemplateSpec,
    wanted: Option<&str>,
) -> Result<&'t Container> {
    let pod = template.spec.as_ref();
    let main = pod.map(|s| s.containers.as_slice()).unwrap_or_default();
    let first = pod.and_then(|s| s.init_containers.as_deref());
    let first = first.unwrap_or_default();
    let annotations = template.metadata.as_ref();
    let annotations = annotations.and_then(|m| m.annotations.as_ref());
    let usual = annotations.and_then(|a| a.get(DEFAULT_CONTAINER));
    let names = || {
        let names: Vec<&str> = main.iter().chain(first).map(|c| c.name.as_str()).collect();
        names.join("`, `")
    };
    let by_name = |name: &str| main.iter().chain(first).find(|c| c.name == name);
    let found = match (wanted, usual, main) {
        (Some(name), ..) => by_name(name),
        (None, Some(usual), _) => by_name(usual),
        (None, None, [only]) => Some(only),
        (None, None, _) => {
            return Err(Error::input(format!("{named} has several containers"))
                .hint(format!("Say which with `container`: `{}`.", names())));
        }
    };
    found.ok_or_else(|| {
        let name = wanted.or(usual.map(String::as_str)).unwrap_or_default();
        Error::new(&NOT_FOUND, format!("{named} has no container `{name}`"))
            .hint(format!("Its containers are `{}`.", names()))
    })
}

struct Reading<'a> {
    cluster: &'a Cluster,
    space: &'a str,
    deadline: Deadline,
    hints: Vec<String>,
}

impl Reading<'_> {
    /// What may not be read is unknown; any other error ends the reading.
    fn closed<T>(&mut self, result: Result<T>) -> Result<std::result::Result<T, String>> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(error) if error.reason() == &FORBIDDEN => {
                for hint in error.hints() {
                    if !self.hints.iter().any(|h| h == hint) {
                        self.hints.push(hint.to_owned());
                    }
                }
                Ok(Err(error.one_line()))
            }
            Err(error) => Err(error),
        }
    }

    async fn source(&mut self, store: Store, name: &str) -> Result<(Held, Source)> {
        let read = match store {
            Store::ConfigMap => self.config_map(name).await,
            Store::Secret => self.secret(name).await,
        };
        let absent = matches!(&read, Err(e) if e.reason() == &NOT_FOUND);
        let mut source = Source {
            store,
            name: name.to_owned(),
            state: SourceState::Absent,
            made_by: None,
            changed: None,
        };
        if absent {
            if store == Store::Secret {
                source.made_by = self.maker(name).await?;
            }
            return Ok((Held::Absent, source));
        }
        let held = match self.closed(read)? {
            Err(why) => {
                source.state = SourceState::Unreadable;
                Held::Unreadable(why)
            }
            Ok((meta, values)) => {
                source.state = SourceState::Here(values.len());
                source.made_by = made_by(&meta);
                source.changed = changed(&meta);
                Held::Here(values)
            }
        };
        Ok((held, source))
    }

    async fn config_map(&self, name: &str) -> Result<(ObjectMeta, Values)> {
        let api: Api<ConfigMap> = Api::namespaced(self.cluster.client.clone(), self.space);
        let ask = Ask::of::<ConfigMap>("get", Some(self.space));
        let found = asked(self.cluster, &ask, self.deadline, api.get(name)).await?;
        let values = found.data.unwrap_or_default().into_iter();
        let values = values.map(|(key, value)| (key, Some(Zeroizing::new(value))));
        Ok((found.metadata, values.collect()))
    }

    async fn secret(&self, name: &str) -> Result<(ObjectMeta, Values)> {
        let api: Api<Secret> = Api::namespaced(self.cluster.client.clone(), self.space);
        let ask = Ask::of::<Secret>("get", Some(self.space));
        let found = asked(self.cluster, &ask, self.deadline, api.get(name)).await?;
        let values = found.data.unwrap_or_default().into_iter();
        let values = values.map(|(key, value)| {
            let text = String::from_utf8(value.0).map(Zeroizing::new);
            (key, text.map_err(|e| e.into_bytes().zeroize()).ok())
        });
        Ok((found.metadata, values.collect()))
    }

    /// Who is to make a Secret that is not there, and what it says. Whoever may not be asked is not named.
    async fn maker(&self, name: &str) -> Result<Option<Maker>> {
        for kind in [EXTERNAL_SECRETS, SEALED_SECRETS] {
            match maker_of(self.cluster, kind, self.space, name, self.deadline).await {
                Ok(Some(maker)) => return Ok(Some(maker)),
                Ok(None) => {}
                Err(error) if error.reason() == &FORBIDDEN => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn links(&mut self) -> Result<Links> {
        let api: Api<Service> = Api::namespaced(self.cluster.client.clone(), self.space);
        let mut services = Vec::new();
        let (space, all) = (Some(self.space), Filter::default());
        let add = |service| services.push(service);
        let read = scan(self.cluster, &api, space, &all, self.deadline, add).await;
        Ok(match self.closed(read)? {
            Ok(_) => Links::Known(links(&services)),
            Err(why) => Links::Unreadable(why),
        })
    }

    /// The pods that a selector finds in which the container runs, and since when.
    async fn running(
        &mut self,
        selector: &serde_json::Value,
        container: &str,
    ) -> Result<std::result::Result<Vec<(String, Instant)>, String>> {
        let selector = serde_json::from_value::<LabelSelector>(selector.clone()).ok();
        let selector = selector.and_then(|s| Selector::try_from(s).ok());
        let Some(selector) = selector else {
            return Ok(Err("its selector cannot be read".to_owned()));
        };
        let filter = Filter {
            labels: Some(selector.to_string()),
            fields: None,
        };
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), self.space);
        let mut found = Vec::new();
        let space = Some(self.space);
        let read = scan(self.cluster, &api, space, &filter, self.deadline, |pod| {
            found.extend(began(pod, container));
        });
        let read = read.await;
        Ok(self.closed(read)?.map(|_| found))
    }
}

type Values = BTreeMap<String, Option<Zeroizing<String>>>;

/// A pod, and since when the container runs in it.
fn began(pod: Pod, container: &str) -> Option<(String, Instant)> {
    let statuses = pod.status?.container_statuses?;
    let own = statuses.into_iter().find(|c| c.name == container)?;
    let began = own.state?.running?.started_at?;
    let began = Instant::from_millis(began.0.as_millisecond());
    Some((pod.metadata.name?, began))
}

/// Who makes an object: its controller, else another owner, else what its annotations name.
fn made_by(meta: &ObjectMeta) -> Option<Maker> {
    let named = |object: String| Maker { object, says: None };
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let controls = owners.iter().find(|o| o.controller == Some(true));
    if let Some(owner) = controls.or(owners.first()) {
        return Some(named(format!("{} `{}`", owner.kind, owner.name)));
    }
    let certificate = meta.annotations.as_ref()?.get(OF_CERTIFICATE)?;
    Some(named(format!("Certificate `{certificate}`")))
}

/// When somebody last set its values: other fields, such as labels, do not count.
fn changed(meta: &ObjectMeta) -> Option<Instant> {
    let entries = meta.managed_fields.iter().flatten().filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|f| &f.0);
        fields.is_some_and(|f| !f["f:data"].is_null())
    });
    let times = entries.filter_map(|e| e.time.as_ref());
    times
        .map(|t| Instant::from_millis(t.0.as_millisecond()))
        .max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(document: serde_json::Value) -> PodTemplateSpec {
        serde_json::from_value(document).expect("a template")
    }

    #[test]
    fn the_container_is_named_or_the_only_one_or_the_usual_one() {
        let named = Named::parse("deploy/api", "p", WORKLOADS).expect("is one");
        let mut document = json!({"spec": {
            "containers": [{"name": "app"}, {"name": "proxy"}],
            "initContainers": [{"name": "migrate"}],
        }});
        let two = template(document.clone());
        let error = pick(&named, &two, None).expect_err("two");
        assert!(
            error.hints()[0].contains("`app`, `proxy`, `migrate`"),
            "{error}"
        );
        assert_eq!(
            pick(&named, &two, Some("migrate")).expect("is one").name,
            "migrate"
        );
        let error = pick(&named, &two, Some("web")).expect_err("none");
        assert_eq!(error.reason(), &NOT_FOUND);
        document["metadata"] = json!({"annotations": {DEFAULT_CONTAINER: "proxy"}});
        assert_eq!(
            pick(&named, &template(document), None)
                .expect("is one")
                .name,
            "proxy"
        );
    }

    #[test]
    fn only_a_change_of_values_counts_as_one() {
        let meta = json!({
            "ownerReferences": [{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "db", "uid": "u"}],
            "managedFields": [
                {"manager": "a", "time": "2026-01-05T12:00:00Z", "fieldsV1": {"f:data": {"f:K": {}}}},
                {"manager": "b", "time": "2026-01-06T12:00:00Z", "fieldsV1": {"f:metadata": {}}},
            ],
        });
        let meta: ObjectMeta = serde_json::from_value(meta).expect("metadata");
        assert_eq!(
            changed(&meta).map(|t| t.human()).as_deref(),
            Some("2026-01-05 12:00:00Z")
        );
        let maker = made_by(&meta).map(|m| m.object);
        assert_eq!(maker.as_deref(), Some("ExternalSecret `db`"));
    }
}
