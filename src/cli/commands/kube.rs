//! `kube …`

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::world;
use crate::cli::Session;
use crate::cli::args::KubeCommand;
use crate::cli::output::Answer;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::providers::kubernetes::{self, FORBIDDEN};
use crate::steps::smoke::kubernetes::access;
use crate::wait::Deadline;

/// How long the cluster may take if nobody said.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `kube show` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// The API server's address.
    pub server: String,
    /// Which kubeconfig and context, or the pod's service account.
    pub source: String,
    /// The API server's version.
    pub version: String,
    /// As whom it sees us.
    pub user: String,
    /// The UID of `kube-system`, which tells this cluster from every other; null if it may not be read.
    pub cluster: Option<String>,
    /// The namespaces that are looked at.
    pub namespaces: Vec<String>,
}

/// What `kube rbac` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rbac {
    /// The Roles and bindings, as YAML documents.
    pub manifest: String,
}

/// `kube …`
pub async fn kube(session: &Session, command: KubeCommand) -> Result<Answer> {
    let world = world::world(session).await?;
    let target = world
        .kubernetes
        .as_ref()
        .ok_or_else(|| world.lacks("kubernetes"))?;
    let deadline = Deadline::after(session.globals.timeout.map_or(PATIENCE, |t| t.0));
    let cluster = target.open(deadline).await?;
    match command {
        KubeCommand::Show => show(cluster, deadline).await,
        KubeCommand::Rbac {
            name,
            service_account,
            step,
        } => {
            for word in [&name, &service_account] {
                let plain =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
                if word.is_empty() || !word.chars().all(plain) {
                    return Err(
                        Error::input(format!("`{word}` cannot be the name of an object"))
                            .hint("Use lower-case letters, digits, `-` and `.`."),
                    );
                }
            }
            let home = cluster.namespaces.first().map_or("default", String::as_str);
            let manifest =
                access::manifest(&name, &cluster.namespaces, (&service_account, home), &step);
            Ok(Answer::new(Exit::Ok, manifest.clone(), Rbac { manifest }))
        }
    }
}

async fn show(cluster: &kubernetes::Cluster, deadline: Deadline) -> Result<Answer> {
    let version = kubernetes::version(cluster, deadline).await?.version;
    let user = kubernetes::whoami(cluster, deadline).await?;
    let uid = match kubernetes::identify(cluster, deadline).await {
        Ok(uid) => Some(uid),
        Err(error) if error.reason() == &FORBIDDEN => None,
        Err(error) => return Err(error),
    };
    for namespace in &cluster.namespaces {
        match kubernetes::namespace(cluster, namespace, deadline).await {
            Err(error) if error.reason() != &FORBIDDEN => return Err(error),
            _ => {}
        }
    }
    let shown = Shown {
        server: cluster.server.clone(),
        source: cluster.source.clone(),
        version,
        user,
        cluster: uid,
        namespaces: cluster.namespaces.clone(),
    };
    let text = format!(
        "server      {} ({})\nby          {}\nas          `{}`\ncluster     {}\nnamespaces  {}\n",
        shown.server,
        shown.version,
        shown.source,
        shown.user,
        shown
            .cluster
            .as_deref()
            .unwrap_or("not known: we may not read the namespace `kube-system`"),
        shown.namespaces.join(", ")
    );
    Ok(Answer::new(Exit::Ok, text, &shown))
}
