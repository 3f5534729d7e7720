//! Where a cluster is and as whom it is asked: a kubeconfig's context, or a pod's service account.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tokio::sync::OnceCell;

use super::explain::{no_client, shown};
use super::{BAD_KUBECONFIG, NO_CREDENTIALS, NO_SUCH_CONTEXT, UNREACHABLE};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::wait::Deadline;

/// Where a pod finds its service account's token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What was configured; nothing is connected to before [`Target::open`].
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Files to read, the first to name something wins; the pod's service account if empty.
    pub kubeconfig: Vec<PathBuf>,
    /// The kubeconfig's context; its current one if absent.
    pub context: Option<String>,
    /// The namespaces to look at; the kubeconfig context's own if empty.
    pub namespaces: Vec<String>,
    /// A label selector that narrows what is looked at.
    pub selector: Option<String>,
    opened: Arc<OnceCell<Cluster>>,
}

/// A cluster with a client to ask it.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: kube::Client,
    /// The API server's address, without credentials.
    pub server: String,
    /// Which kubeconfig and context, or that it is the pod's service account.
    pub source: String,
    /// The namespaces to look at; at least one.
    pub namespaces: Vec<String>,
    /// A label selector that narrows what is looked at.
    pub selector: Option<String>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.server)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// A target by a named kubeconfig, else by those of `KUBECONFIG`, else by `~/.kube/config` if it exists, else by the
    /// pod's service account.
    pub fn new(named: Option<&Path>, variable: Option<&str>, home: Option<&str>) -> Target {
        let kubeconfig = match (named, variable.filter(|v| !v.is_empty())) {
            (Some(path), _) => vec![path.to_owned()],
            (None, Some(list)) => std::env::split_paths(list)
                .filter(|p| !p.as_os_str().is_empty())
                .collect(),
            (None, None) => home
                .map(|home| Path::new(home).join(".kube/config"))
                .filter(|path| path.is_file())
                .into_iter()
                .collect(),
        };
        Target {
            kubeconfig,
            ..Target::default()
        }
    }

    /// The cluster, connected to when it is first asked something. A credential plugin of the kubeconfig runs here.
    ///
    /// # Errors
    /// A kubeconfig that is missing, wrong or without the context; credentials that cannot be had.
    pub async fn open(&self, deadline: Deadline) -> Result<&Cluster> {
        let open = self.opened.get_or_try_init(|| self.connect());
        deadline
            .run("reading the kubeconfig and its credentials", open)
            .await
    }

    async fn connect(&self) -> Result<Cluster> {
        let (config, source) = if self.kubeconfig.is_empty() {
            (self.in_cluster()?, "the pod's service account".to_owned())
        } else {
            self.by_kubeconfig().await?
        };
        let server = shown(&config.cluster_url.to_string());
        let namespaces = if self.namespaces.is_empty() {
            vec![config.default_namespace.clone()]
        } else {
            self.namespaces.clone()
        };
        let place = server.clone();
        // A credential plugin is a program that is waited for.
        let client = tokio::task::spawn_blocking(move || kube::Client::try_from(config))
            .await
            .map_err(|e| Error::bug("the Kubernetes client cannot be built").caused_by(e))?
            .map_err(|e| no_client(&place, e))?;
        Ok(Cluster {
            client,
            server,
            source,
            namespaces,
            selector: self.selector.clone(),
        })
    }

    fn in_cluster(&self) -> Result<kube::Config> {
        if let Some(context) = &self.context {
            return Err(Error::new(
                &NO_SUCH_CONTEXT,
                format!("there is no kubeconfig that could have the context `{context}`"),
            )
            .hint("Name the file with `kubeconfig` in the context's `kubernetes` section, or set `KUBECONFIG`."));
        }
        if !Path::new(SERVICE_ACCOUNT).is_file() {
            return Err(Error::new(
                &BAD_KUBECONFIG,
                "there is no kubeconfig, and this is no pod with a service account",
            )
            .caused_by("none is configured, `KUBECONFIG` is not set, and `~/.kube/config` does not exist")
            .hint("Name the file with `kubeconfig` in the context's `kubernetes` section, or set `KUBECONFIG`."));
        }
        if let Ok(token) = std::fs::read_to_string(SERVICE_ACCOUNT) {
            Secret::new(token.trim());
        }
        kube::Config::incluster().map_err(|e| {
            Error::new(
                &UNREACHABLE,
                "the pod's service account names no API server",
            )
            .caused_by(e)
        })
    }

    async fn by_kubeconfig(&self) -> Result<(kube::Config, String)> {
        let mut merged = Kubeconfig::default();
        for path in &self.kubeconfig {
            let read = Kubeconfig::read_from(path).map_err(|e| bad_file(path, &e))?;
            merged = merged.merge(read).map_err(|e| bad_file(path, &e))?;
        }
        let files: Vec<String> = self
            .kubeconfig
            .iter()
            .map(|p| format!("`{}`", p.display()))
            .collect();
        let files = files.join(", ");
        register_secrets(&merged);
        let name = self
            .context
            .clone()
            .or_else(|| merged.current_context.clone());
        let Some(name) = name.filter(|n| !n.is_empty()) else {
            return Err(Error::new(
                &NO_SUCH_CONTEXT,
                format!("{files} has no current context, and none was named"),
            )
            .hint("Name one with `context` in the context's `kubernetes` section; `kubectl config get-contexts` shows them."));
        };
        let names: Vec<&str> = merged.contexts.iter().map(|c| c.name.as_str()).collect();
        if !names.contains(&name.as_str()) {
            let nearest = names
                .iter()
                .max_by(|a, b| {
                    strsim::jaro_winkler(a, &name).total_cmp(&strsim::jaro_winkler(b, &name))
                })
                .filter(|n| strsim::jaro_winkler(n, &name) > 0.7);
            let mut error =
                Error::new(&NO_SUCH_CONTEXT, format!("{files} has no context `{name}`"));
            if let Some(meant) = nearest {
                error = error.hint(format!("Did you mean `{meant}`?"));
            }
            let shown: Vec<String> = names.iter().take(20).map(|n| format!("`{n}`")).collect();
            return Err(error.hint(if shown.is_empty() {
                "It has none at all.".to_owned()
            } else {
                format!("It has {}.", shown.join(", "))
            }));
        }
        let options = KubeConfigOptions {
            context: Some(name.clone()),
            ..KubeConfigOptions::default()
        };
        // A plugin that asks would take the answer that is meant for us, and what it writes to the terminal passes no masker.
        for user in &mut merged.auth_infos {
            let plugin = user.auth_info.as_mut().and_then(|a| a.exec.as_mut());
            if let Some(plugin) = plugin {
                plugin.interactive_mode = Some(ExecInteractiveMode::Never);
            }
        }
        let config = kube::Config::from_custom_kubeconfig(merged, &options)
            .await
            .map_err(|e| {
                Error::new(
                    &BAD_KUBECONFIG,
                    format!("the context `{name}` of {files} cannot be used"),
                )
                .caused_by(plain(&e))
            })?;
        if let Some(path) = &config.auth_info.token_file {
            let token = std::fs::read_to_string(path).map_err(|e| {
                Error::new(
                    &NO_CREDENTIALS,
                    format!("the token file `{path}` of the kubeconfig cannot be read"),
                )
                .caused_by(e)
            })?;
            Secret::new(token.trim());
        }
        Ok((config, format!("context `{name}` of {files}")))
    }
}

fn bad_file(path: &Path, error: &KubeconfigError) -> Error {
    let out = Error::new(
        &BAD_KUBECONFIG,
        format!("the kubeconfig `{}` cannot be read", path.display()),
    )
    .caused_by(plain(error));
    out.hint("Name another with `kubeconfig` in the context's `kubernetes` section, or with `KUBECONFIG`.")
}

/// A kubeconfig's error without its text, which holds keys.
fn plain(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(e) => match e.location() {
            Some(at) => format!("it is no YAML of a kubeconfig at line {}", at.line()),
            None => "it is no YAML of a kubeconfig".to_owned(),
        },
        KubeconfigError::ReadConfig(e, _) => e.to_string(),
        other => other.to_string(),
    }
}

/// Makes every secret of the file known to the masker.
fn register_secrets(config: &Kubeconfig) {
    let users = serde_json::to_value(&config.auth_infos).unwrap_or_default();
    for user in users.as_array().into_iter().flatten() {
        for field in ["token", "password", "client-key-data"] {
            if let Some(value) = user["user"][field].as_str() {
                Secret::new(value);
            }
        }
    }
}
