//! Single objects by kind and name, and changes of them: each is taken by the server only for the very object that was read, by its
//! UID and resource version.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Error as Theirs;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::explain::explain;
use super::look::asked;
use super::target::Cluster;
use super::{Ask, CHANGED, NOT_FOUND};
use crate::consent::Consent;
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// Under this name the server notes what we changed.
pub(super) const MANAGER: &str = "summitctl";
/// How often a change is tried again when others change the same object.
const TRIES: usize = 10;

/// A kind of object that is named in a runbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A CronJob.
    CronJob,
    /// A Job.
    Job,
    /// A ServiceAccount.
    ServiceAccount,
    /// A ConfigMap.
    ConfigMap,
}

/// The kinds with the names that kubectl takes for them.
const KINDS: &[(Kind, &[&str])] = &[
    (Kind::Deployment, &["deployment", "deployments", "deploy"]),
    (Kind::StatefulSet, &["statefulset", "statefulsets", "sts"]),
    (Kind::DaemonSet, &["daemonset", "daemonsets", "ds"]),
    (Kind::CronJob, &["cronjob", "cronjobs", "cj"]),
    (Kind::Job, &["job", "jobs"]),
    (
        Kind::ServiceAccount,
        &["serviceaccount", "serviceaccounts", "sa"],
    ),
    (Kind::ConfigMap, &["configmap", "configmaps", "cm"]),
];

impl Kind {
    fn resource(self) -> ApiResource {
        match self {
            Kind::Deployment => ApiResource::erase::<Deployment>(&()),
            Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Kind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
            Kind::CronJob => ApiResource::erase::<CronJob>(&()),
            Kind::Job => ApiResource::erase::<Job>(&()),
            Kind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        }
    }

    /// As kubectl writes it.
    pub fn word(self) -> &'static str {
        KINDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("object", |(_, words)| words[0])
    }

    /// To do `verb` with objects of this kind.
    pub fn ask(self, verb: &str, namespace: &str) -> Ask {
        let resource = self.resource();
        Ask::named(verb, &resource.group, &resource.plural, Some(namespace))
    }
}

/// An object by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}/{}`", self.kind.word(), self.namespace, self.name)
    }
}

impl Named {
    /// Reads `deployment/gateway`, of one of these kinds.
    ///
    /// # Errors
    /// Another kind, or no name.
    pub fn parse(text: &str, namespace: &str, kinds: &[Kind]) -> Result<Named> {
        let wanted = || {
            let words: Vec<&str> = kinds.iter().map(|k| k.word()).collect();
            format!(
                "Write it as `{}/NAME`; the kinds that can be named here: {}.",
                words[0],
                words.join(", ")
            )
        };
        let bad = || Error::input(format!("`{text}` does not name an object")).hint(wanted());
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let kind = kind.to_ascii_lowercase();
        let found = KINDS.iter().find(|(_, words)| words.contains(&&*kind));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        match found {
            Some((kind, _))
                if kinds.contains(kind) && !name.is_empty() && name.chars().all(plain) =>
            {
                Ok(Named {
                    kind: *kind,
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(bad()),
        }
    }

    fn api(&self, cluster: &Cluster) -> Api<DynamicObject> {
        Api::namespaced_with(
            cluster.client.clone(),
            &self.namespace,
            &self.kind.resource(),
        )
    }

    fn ask(&self, verb: &str) -> Ask {
        self.kind.ask(verb, &self.namespace)
    }
}

/// An object as it was read.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its UID: another object of the same name has another one.
    pub uid: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The whole of it.
    pub document: Value,
    version: String,
}

impl Found {
    /// A part of it that the API describes.
    pub fn typed<K: serde::de::DeserializeOwned>(&self) -> Result<K> {
        serde_json::from_value(self.document.clone()).map_err(|e| {
            Error::new(&super::SERVER, "an object of the API server cannot be read")
                .caused_by(format!("{:?} at column {}", e.classify(), e.column()))
        })
    }
}

/// Reads an object.
///
/// # Errors
/// `kubernetes.not-found`: there is none of this name.
pub async fn find(cluster: &Cluster, named: &Named, deadline: Deadline) -> Result<Found> {
    let get = named.ask("get");
    let api = named.api(cluster);
    let found = asked(cluster, &get, deadline, api.get(&named.name))
        .await
        .map_err(|e| {
            if e.reason() == &NOT_FOUND {
                let plural = named.kind.resource().plural;
                Error::new(&NOT_FOUND, format!("there is no {named}")).hint(format!(
                    "See what there is with `kubectl get {plural} -n {}`.",
                    named.namespace
                ))
            } else {
                e
            }
        })?;
    let document = serde_json::to_value(&found)
        .map_err(|e| Error::bug("an object does not serialise").caused_by(e))?;
    Ok(Found {
        uid: found.metadata.uid.unwrap_or_default(),
        annotations: found.metadata.annotations.unwrap_or_default(),
        version: found.metadata.resource_version.unwrap_or_default(),
        document,
    })
}

/// Changes the object with this UID by a merge patch. `patch` sees it as it is in that moment: it gives what to change, nothing if it
/// is so already, or an error if it is not as it was shown. Whoever changes the object in between makes it be looked at again.
pub async fn change(
    cluster: &Cluster,
    named: &Named,
    uid: &str,
    _: &Consent,
    deadline: Deadline,
    patch: impl Fn(&Found) -> Result<Option<Value>>,
) -> Result<()> {
    let ask = named.ask("patch");
    let api = named.api(cluster);
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for _ in 0..TRIES {
        let found = find(cluster, named, deadline).await?;
        if found.uid != uid {
            return Err(changed(format!(
                "{named} is another one than was shown: its UID is {}, and was {uid}",
                found.uid
            )));
        }
        let Some(mut document) = patch(&found)? else {
            return Ok(());
        };
        document["metadata"]["uid"] = json!(found.uid);
        document["metadata"]["resourceVersion"] = json!(found.version);
        let work = async {
            match api
                .patch(&named.name, &params, &Patch::Merge(&document))
                .await
            {
                Ok(_) => Ok(true),
                Err(Theirs::Api(status)) if status.code == 409 => Ok(false),
                Err(e) => Err(explain(&cluster.server, &ask, e)),
            }
        };
        if deadline.run(&format!("to {ask}"), work).await? {
            return Ok(());
        }
    }
    Err(changed(format!(
        "{named} is changed by others all the time"
    )))
}

/// What was shown is not so any more.
pub fn changed(what: String) -> Error {
    Error::new(&CHANGED, what).hint("Nothing was changed there. Look at it, and plan anew.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_kubectl_names_them() {
        let kinds = [Kind::Deployment, Kind::StatefulSet];
        let named = Named::parse("deploy/gateway", "p", &kinds).expect("is one");
        assert_eq!(named.to_string(), "deployment `p/gateway`");
        for bad in ["gateway", "deploy/", "cm/flags", "deploy/a b", "sts/A"] {
            let error = Named::parse(bad, "p", &kinds).expect_err(bad);
            assert!(
                error.hints()[0].contains("deployment, statefulset"),
                "{error}"
            );
        }
    }
}
