//! What is asked of the API server, in the words that RBAC uses; and whether we may.

use std::fmt;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Resource;
use kube::api::{Api, PostParams};

use super::explain::explain;
use super::target::Cluster;
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// One verb on one kind of object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The API group; empty for the core one.
    pub group: String,
    /// The plural, with its subresource if it is one, such as `pods/log`.
    pub resource: String,
    /// `get`, `list` and so on.
    pub verb: String,
    /// Where; nowhere for what belongs to the whole cluster.
    pub namespace: Option<String>,
}

/// A question whose answer matters to some checks.
pub type Access = Ask;

impl Ask {
    /// To do `verb` with objects of this type.
    pub fn of<K: Resource<DynamicType = ()>>(verb: &str, namespace: Option<&str>) -> Ask {
        Ask::named(verb, &K::group(&()), &K::plural(&()), namespace)
    }

    /// To do `verb` with what has this group and plural.
    pub fn named(verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> Ask {
        Ask {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
            namespace: namespace.map(str::to_owned),
        }
    }

    /// The resource with its group, as `kubectl auth can-i` writes it.
    pub fn kind(&self) -> String {
        if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    /// The RBAC rule that allows it, as YAML on one line.
    pub fn rule(&self) -> String {
        format!(
            "`- {{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{}\"]}}`",
            self.group, self.resource, self.verb
        )
    }

    /// Where the rule belongs.
    pub fn role(&self) -> String {
        match &self.namespace {
            Some(namespace) => {
                format!("the rules of a Role in namespace `{namespace}` that is bound to this user")
            }
            None => "the rules of a ClusterRole that is bound to this user".to_owned(),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.verb, self.kind())?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace `{namespace}`"),
            None => Ok(()),
        }
    }
}

/// What the API server says to a question of access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Whether we may.
    pub yes: bool,
    /// Why, if it says so.
    pub why: Option<String>,
}

/// Asks whether we may, by a SelfSubjectAccessReview: nothing of ours is kept by the server.
pub async fn may(cluster: &Cluster, ask: &Ask, deadline: Deadline) -> Result<Allowed> {
    let (resource, subresource) = match ask.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (ask.resource.as_str(), None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(ask.group.clone()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(ask.verb.clone()),
                namespace: ask.namespace.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let own = Ask::of::<SelfSubjectAccessReview>("create", None);
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let work = async {
        api.create(&PostParams::default(), &review)
            .await
            .map_err(|e| explain(&cluster.server, &own, e))
    };
    let status = deadline
        .run(&format!("asking whether we may {ask}"), work)
        .await?
        .status;
    let status = status.ok_or_else(|| {
        Error::new(
            &super::SERVER,
            "an access review came back without a verdict",
        )
    })?;
    Ok(Allowed {
        yes: status.allowed,
        why: status.reason.filter(|r| !r.is_empty()),
    })
}

/// As whom the API server sees us.
pub async fn whoami(cluster: &Cluster, deadline: Deadline) -> Result<String> {
    let ask = Ask::of::<SelfSubjectReview>("create", None);
    let api: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let work = async {
        api.create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .map_err(|e| explain(&cluster.server, &ask, e))
    };
    let review = deadline.run("asking who we are", work).await?;
    let name = review
        .status
        .and_then(|s| s.user_info)
        .and_then(|u| u.username);
    name.ok_or_else(|| Error::new(&super::SERVER, "the API server does not say who we are"))
}
