//! Kinds that are no part of Kubernetes itself: whether the API server serves them, asked by discovery, and their objects as
//! documents.

use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::Value;

use super::Ask;
use super::look::{Filter, Scan, asked, pages};
use super::pods::said;
use super::target::Cluster;
use crate::error::{Error, Result};
use crate::time::Instant;
use crate::wait::Deadline;

/// A kind by its group and plural; in which version it is served, the API server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// The API group.
    pub group: &'static str,
    /// The plural.
    pub plural: &'static str,
}

/// cert-manager's certificates.
pub const CERTIFICATES: Extension = Extension {
    group: "cert-manager.io",
    plural: "certificates",
};
/// The External Secrets Operator's secrets.
pub const EXTERNAL_SECRETS: Extension = Extension {
    group: "external-secrets.io",
    plural: "externalsecrets",
};
/// Sealed Secrets.
pub const SEALED_SECRETS: Extension = Extension {
    group: "bitnami.com",
    plural: "sealedsecrets",
};

impl Extension {
    /// As `kubectl get` takes it.
    pub fn name(self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}

/// The kind as the API server serves it, in the version it prefers; none if it does not serve it.
pub async fn served(
    cluster: &Cluster,
    extension: Extension,
    deadline: Deadline,
) -> Result<Option<ApiResource>> {
    let ask = Ask::named("get", "", "apis", None);
    let groups = asked(cluster, &ask, deadline, cluster.client.list_api_groups()).await?;
    let group = groups
        .groups
        .into_iter()
        .find(|g| g.name == extension.group);
    let Some(group) = group else {
        return Ok(None);
    };
    for version in group.preferred_version.into_iter().chain(group.versions) {
        let ask = Ask::named("get", extension.group, &version.version, None);
        let list = cluster
            .client
            .list_api_group_resources(&version.group_version);
        let list = asked(cluster, &ask, deadline, list).await?;
        let found = list.resources.into_iter();
        if let Some(found) = found.into_iter().find(|r| r.name == extension.plural) {
            return Ok(Some(ApiResource {
                group: extension.group.to_owned(),
                api_version: version.group_version,
                version: version.version,
                kind: found.kind,
                plural: found.name,
            }));
        }
    }
    Ok(None)
}

/// Reads all objects of such a kind in a namespace, page by page, and hands each on.
pub async fn documents(
    cluster: &Cluster,
    resource: &ApiResource,
    namespace: &str,
    filter: &Filter,
    deadline: Deadline,
    mut take: impl FnMut(Value),
) -> Result<Scan> {
    let ask = Ask::named("list", &resource.group, &resource.plural, Some(namespace));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), namespace, resource);
    let mut failed = None;
    let scan = pages(
        cluster,
        &ask,
        &api,
        filter,
        deadline,
        |object| match serde_json::to_value(&object) {
            Ok(document) => take(document),
            Err(e) => failed = Some(e),
        },
    )
    .await?;
    match failed {
        Some(e) => Err(Error::bug("an object does not serialise").caused_by(e)),
        None => Ok(scan),
    }
}

/// A condition of an object's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Its controller's reason.
    pub reason: Option<String>,
    /// Its controller's message, which may repeat anything.
    pub message: Option<String>,
    /// Of which generation of the object it speaks, if it says so.
    pub generation: Option<i64>,
}

impl Condition {
    /// Reason and message, the message with what `hide` hides of it.
    pub fn why(&self, hide: impl Fn(&str) -> String) -> String {
        let message = self.message.as_deref().map(hide);
        said(self.reason.as_deref(), message.as_deref())
    }
}

/// What makes another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Such as ``ExternalSecret `db` ``.
    pub object: String,
    /// Whether it says that it did, if it was asked.
    pub says: Option<Condition>,
}

/// The condition of this type.
pub fn condition(document: &Value, kind: &str) -> Option<Condition> {
    let all = document["status"]["conditions"].as_array()?;
    let found = all.iter().find(|c| c["type"] == kind)?;
    Some(Condition {
        status: found["status"].as_str().unwrap_or("Unknown").to_owned(),
        reason: found["reason"].as_str().map(str::to_owned),
        message: found["message"].as_str().map(str::to_owned),
        generation: found["observedGeneration"].as_i64(),
    })
}

/// A time in a document, as RFC 3339 writes it.
pub fn time(value: &Value) -> Option<Instant> {
    value.as_str()?.parse().ok()
}

/// The object of this kind that is to make a Secret.
pub(super) async fn maker_of(
    cluster: &Cluster,
    extension: Extension,
    namespace: &str,
    secret: &str,
    deadline: Deadline,
) -> Result<Option<Maker>> {
    let Some(resource) = served(cluster, extension, deadline).await? else {
        return Ok(None);
    };
    let mut maker = None;
    let all = Filter::default();
    documents(cluster, &resource, namespace, &all, deadline, |document| {
        let own = document["metadata"]["name"].as_str().unwrap_or_default();
        let makes = document["spec"]["target"]["name"].as_str().unwrap_or(own);
        if makes == secret {
            maker = Some(Maker {
                object: format!("{} `{own}`", resource.kind),
                // Sealed Secrets call it so.
                says: condition(&document, "Ready").or_else(|| condition(&document, "Synced")),
            });
        }
    })
    .await?;
    Ok(maker)
}
