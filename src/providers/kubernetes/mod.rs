//! Kubernetes, asked through its API: which cluster it is, what runs there and why not, and what we may ask.
//!
//! Lists are read page by page and folded into small facts, so that a large namespace costs no more memory than a small one.

use crate::reasons;

mod ask;
mod environment;
mod explain;
mod extension;
mod given;
mod helm;
mod holder;
mod look;
mod named;
mod pods;
mod rollout;
mod run;
mod scale;
mod target;
mod workloads;

pub use ask::{Access, Allowed, Ask, may, whoami};
pub use environment::{Given, Origin, Store, Variable, Veil};
pub use extension::{
    CERTIFICATES, Condition, EXTERNAL_SECRETS, Extension, Maker, SEALED_SECRETS, condition,
    documents, served, time,
};
pub use given::{Source, SourceState, WORKLOADS, Workload as GivenBy, given};
pub use helm::{Release, releases};
pub use holder::{Evidence, Fate, JobSeen, at, holder, job};
pub use look::{Filter, Scan, Version, events, identify, log, namespace, recent, scan, version};
pub use named::{Found, Kind, Named, change, changed, find};
pub use pods::{PodFacts, Trouble, pod};
pub use rollout::{Revision, Rollout, roll_to, rollout};
pub use run::{Template, ended, follow, start, stop, template};
pub use scale::{Scale, Step as ScaleStep, scale, set_scale, settled};
pub use target::{Cluster, Target};
pub use workloads::{Workload, daemon_set, deployment, stateful_set};

/// Objects that live in a namespace.
pub trait Namespaced:
    kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
{
}

impl<K> Namespaced for K where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
{
}

/// The objects that are asked for.
pub use k8s_openapi::api as objects;
/// What all objects have.
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
pub use kube::api::Api;

reasons! {
    /// Nothing answers at the API server's address.
    UNREACHABLE = "kubernetes.unreachable", Unreachable,
        "Nothing answers at the API server's address: the cluster is down, the address or a firewall is wrong, or a VPN is missing. \
         The message names the address; `kubectl cluster-info` asks the same.";
    /// The TLS handshake failed.
    TLS = "kubernetes.tls", Unreachable,
        "The API server's certificate is not trusted, names another host or has expired. Compare `certificate-authority` in the kubeconfig.";
    /// The server does not know who asks.
    NOT_LOGGED_IN = "kubernetes.not-logged-in", Unreachable,
        "The API server does not accept the credentials (HTTP 401): a token or certificate has expired or belongs to another cluster. Log in again.";
    /// No credentials could be had.
    NO_CREDENTIALS = "kubernetes.no-credentials", Unreachable,
        "The kubeconfig's credentials could not be had: a token file is missing, or the credential plugin that it names failed. Run the plugin by hand; its output is not repeated here.";
    /// The server knows who asks, and says no.
    FORBIDDEN = "kubernetes.forbidden", Refused,
        "The user may not do this (HTTP 403). The message names verb, resource and namespace, and the hint holds the rule that allows it; \
         `summitctl kube rbac` prints a whole Role.";
    /// The kubeconfig cannot be used.
    BAD_KUBECONFIG = "kubernetes.bad-kubeconfig", Usage,
        "The kubeconfig is missing, cannot be read, or lacks what it refers to. The message names the file.";
    /// The kubeconfig has no such context.
    NO_SUCH_CONTEXT = "kubernetes.no-such-context", Usage,
        "The kubeconfig has no context of this name. `kubectl config get-contexts` shows those it has.";
    /// There is no such namespace.
    NO_SUCH_NAMESPACE = "kubernetes.no-such-namespace", Usage,
        "The cluster has no namespace of this name. `kubectl get namespaces` shows those it has; lists of a missing namespace would be empty and look healthy.";
    /// The server does not serve this kind.
    NO_SUCH_KIND = "kubernetes.no-such-kind", Unreachable,
        "The API server does not serve this kind of object: the cluster is older or newer than this command, or an extension is not installed.";
    /// The object is gone.
    NOT_FOUND = "kubernetes.not-found", Failed,
        "The object does not exist, or went away while it was looked at.";
    /// It is not as it was shown.
    CHANGED = "kubernetes.changed", Refused,
        "An object is not as the plan showed it: somebody made another of the same name, or changed what was to be changed. Nothing was changed there.";
    /// Pods do not come or go.
    UNSETTLED = "kubernetes.unsettled", Failed,
        "A workload was given another number of pods, and they did not all come or go in time. The message names what is left, and why.";
    /// A Job failed.
    JOB_FAILED = "kubernetes.job-failed", Failed,
        "A Job that was started failed. The message holds its reason, how its last pod ended, and the end of that one's log; the Job stays, to be looked at.";
    /// The server failed.
    SERVER = "kubernetes.server-error", Failed,
        "The API server answered with an error of its own, or with something that cannot be read. The message holds what it said.";
}
