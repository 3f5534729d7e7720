//! A context: the targets of one installation of the platform, its tier and its policy, each value with its provenance.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::bucket::Place;
use super::connection::{ConnectionUrl, Endpoint};
use super::keep::Keep;
use super::reference::SecretRef;
use super::source::{Provenance, Sourced};
use crate::consent::Tier;
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::time::Span;

/// The name of the context that is made of environment variables.
pub const ENV_CONTEXT: &str = "env";

/// What a command works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its name, which destructive acts are confirmed with.
    pub name: String,
    /// Where it is defined.
    pub defined: Provenance,
    /// How much a mistake costs; `production` if nobody said.
    pub tier: Sourced<Tier>,
    /// The platform whose runbooks apply.
    pub platform: Sourced<String>,
    /// The relational store.
    pub postgres: Option<Postgres>,
    /// The graph store.
    pub neo4j: Option<Neo4j>,
    /// The cache and queues.
    pub redis: Option<Redis>,
    /// Where the platform runs.
    pub kubernetes: Option<Kubernetes>,
    /// The platform's HTTP entry.
    pub gateway: Option<Gateway>,
    /// A write that is followed through to the datastores.
    pub data_plane: Option<DataPlane>,
    /// What must hold between the stores of a restored backup.
    pub cross_checks: Vec<CrossCheck>,
    /// How writes are stopped while a backup is made.
    pub quiesce: Option<Quiesce>,
    /// Where metrics are asked for.
    pub prometheus: Option<Sourced<String>>,
    /// The `.env` file with the platform's variables, which `config check` and the gate look at.
    pub variables: Option<Sourced<PathBuf>>,
    /// Where backups go.
    pub repository: Option<Repository>,
    /// Where evidence goes.
    pub evidence: Evidence,
    /// What counts as good enough.
    pub policy: Policy,
    /// What keeps two changing runs apart.
    pub lease: Lease,
    /// Keys whose secret is written out in the file (development contexts only).
    pub literal_secrets: Vec<Sourced<String>>,
}

/// Programs that stop writes to the platform, and let them go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiesce {
    /// The program that stops them, and its arguments.
    pub begin: Sourced<Vec<String>>,
    /// The program that lets them go on. It may run when they do already.
    pub end: Sourced<Vec<String>>,
}

/// Every value of one store's query must be among those of another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossCheck {
    /// Its name.
    pub name: String,
    /// The values that are looked for.
    pub every: Keys,
    /// Where they must be.
    pub is_in: Keys,
    /// Whether the gate says no-go if they are not; false if nobody said.
    pub must: Sourced<bool>,
}

/// A query whose first column is a set of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Postgres or Neo4j.
    pub store: Store,
    /// SQL or Cypher.
    pub query: Sourced<String>,
}

/// Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// How to reach it.
    pub endpoint: Endpoint,
    /// The databases of the context, the URL's own among them; that one alone if empty.
    pub databases: Vec<Sourced<String>>,
    /// The database to connect to while the context's own is swapped; `postgres` if nobody said.
    pub maintenance_database: Sourced<String>,
    /// For how long a session may wait for an exclusive lock before a capture that is in its way is given up; 30 s if nobody
    /// said.
    pub give_way_after: Sourced<Span>,
    /// How long a capture may hold its snapshot; 12 h if nobody said.
    pub longest_snapshot: Sourced<Span>,
    /// Read replicas, as the platform knows them.
    pub read_replicas: Vec<Sourced<ConnectionUrl>>,
}

impl Postgres {
    /// The default of `give-way-after`.
    pub const GIVE_WAY_AFTER: Span = Span::secs(30);
    /// The default of `longest-snapshot`.
    pub const LONGEST_SNAPSHOT: Span = Span::secs(12 * 3_600);
}

/// Neo4j.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neo4j {
    /// How to reach it.
    pub endpoint: Endpoint,
    /// The database; the server's default one if nobody said.
    pub database: Option<Sourced<String>>,
    /// How the server is stopped, worked on while it does not run, and started again.
    pub offline: Option<Offline>,
}

/// What stops a Neo4j server, works on its files, and starts it again: programs with their arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// Stops it, and comes back once it has. It may run when the server is stopped already.
    pub stop: Sourced<Vec<String>>,
    /// Starts it, and comes back by itself. It may run when the server runs already.
    pub start: Sourced<Vec<String>>,
    /// `neo4j-admin` where the server's files are; `database dump …` follows.
    pub admin: Sourced<Vec<String>>,
    /// How long the server may take until it answers again; 5 min if nobody said.
    pub start_within: Sourced<Span>,
}

impl Offline {
    /// The default of `start-within`.
    pub const START_WITHIN: Span = Span::secs(300);
}

/// Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// How to reach it.
    pub endpoint: Endpoint,
}

/// A Kubernetes cluster, and what of it belongs to the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// Where the section stands.
    pub defined: Provenance,
    /// The kubeconfig; if nobody said, what `KUBECONFIG` or `~/.kube/config` gives, and in a pod its service account.
    pub kubeconfig: Option<Sourced<PathBuf>>,
    /// The kubeconfig's context; its current one if nobody said.
    pub context: Option<Sourced<String>>,
    /// The namespaces that are looked at; the kubeconfig context's own if empty.
    pub namespaces: Vec<Sourced<String>>,
    /// A label selector that narrows what is looked at.
    pub selector: Option<Sourced<String>>,
    /// How long a Job may run before that is a finding; 1 h if nobody said.
    pub longest_job: Sourced<Span>,
    /// How many lines of one container's log may tell of errors in ten minutes; 50 if nobody said.
    pub error_lines: Sourced<u32>,
}

impl Kubernetes {
    /// The default of `longest-job`.
    pub const LONGEST_JOB: Span = Span::secs(3_600);
    /// The default of `error-lines`.
    pub const ERROR_LINES: u32 = 50;
}

/// The gateway and the UI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The gateway's base URL.
    pub url: Sourced<String>,
    /// The UI's URL.
    pub ui_url: Option<Sourced<String>>,
    /// Liveness; `/health`.
    pub live: Sourced<String>,
    /// The other name of liveness; `/healthz`.
    pub live_alias: Sourced<String>,
    /// Deep checks; `/health/detailed`.
    pub detailed: Sourced<String>,
    /// Readiness; `/health/ready`.
    pub ready: Sourced<String>,
    /// The GraphQL endpoint; `/graphql`.
    pub graphql: Sourced<String>,
    /// The queues' health, if the platform has it.
    pub queues: Option<Sourced<String>>,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<Sourced<SecretRef>>,
    /// PEM file of the authority to trust instead of the system's.
    pub tls_ca: Option<Sourced<PathBuf>>,
}

/// A write with a unique marker, read back from the datastores and removed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlane {
    /// How long after the write the datastores may take to show it.
    pub timeout: Sourced<Span>,
    /// Writes the marker.
    pub write: Request,
    /// Reads it through the gateway.
    pub read: Option<Request>,
    /// Removes it.
    pub delete: Option<Request>,
    /// SQL with `$1` for the marker; its first column must be a count above zero.
    pub postgres: Option<Sourced<String>>,
    /// Cypher with `$marker`; its first column must be a count above zero.
    pub neo4j: Option<Sourced<String>>,
    /// A key with `${marker}` (or `${id}`) that must exist.
    pub redis: Option<Sourced<String>>,
}

/// One request to the gateway. Texts may hold `${marker}` and, after the write, `${id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it is defined.
    pub source: Provenance,
    /// The HTTP method.
    pub method: String,
    /// The path below the gateway's URL.
    pub path: String,
    /// What is sent.
    pub payload: Payload,
    /// JSON pointer (RFC 6901) to the created thing's id in the response.
    pub id: Option<String>,
    /// JSON pointer to a value of the response that must equal the marker.
    pub expect: Option<String>,
}

/// What a request sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    Empty,
    /// A GraphQL document with string variables.
    Graphql {
        /// The document.
        document: String,
        /// Variables and their values.
        variables: Vec<(String, String)>,
    },
    /// A JSON text.
    Body(String),
}

/// Where backups go, and with which keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The folder or bucket.
    pub place: Sourced<Place>,
    /// The repository secret, which keys segment ids and fingerprints.
    pub secret: Option<Sourced<SecretRef>>,
    /// The age recipients of the operators.
    pub recipients: Vec<Sourced<String>>,
    /// An operator's age identity: for restores and drills only.
    pub identity: Option<Sourced<SecretRef>>,
    /// The key that signs manifests.
    pub signing_key: Option<Sourced<SecretRef>>,
    /// PEM files of the public keys whose manifests are believed.
    pub trusted_keys: Vec<Sourced<PathBuf>>,
    /// The other places that hold the same repository.
    pub copies: Vec<RepositoryCopy>,
}

/// Another place that holds the same repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryCopy {
    /// What it is called.
    pub name: Sourced<String>,
    /// The folder or bucket.
    pub place: Sourced<Place>,
}

/// Where evidence goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The folder; the state directory's own if nobody said.
    pub dir: Option<Sourced<PathBuf>>,
    /// The key that signs evidence; the machine's own if nobody said.
    pub signing_key: Option<Sourced<SecretRef>>,
}

/// What counts as good enough. The defaults follow the handbook's checklist: daily verified backups, quarterly drills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How much data may be lost.
    pub rpo: Sourced<Span>,
    /// How long a recovery may take.
    pub rto: Sourced<Span>,
    /// How old the newest backup may be.
    pub freshness: Sourced<Span>,
    /// How long ago the last drill may be.
    pub drill_interval: Sourced<Span>,
    /// How long backups are kept.
    pub retention: Sourced<Span>,
    /// Which older ones are kept, too.
    pub keep: Sourced<Keep>,
    /// The level, 1 to 4, up to which a backup must be verified to count.
    pub verify_level: Sourced<u8>,
}

impl Default for Policy {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        let span = |seconds| Sourced::default_of(Span::secs(seconds));
        Policy {
            rpo: span(DAY),
            rto: span(4 * 3_600),
            freshness: span(DAY),
            drill_interval: span(90 * DAY),
            retention: span(30 * DAY),
            keep: Sourced::default_of(Keep::default()),
            verify_level: Sourced::default_of(3),
        }
    }
}

/// What keeps two changing runs apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// A file: fences the runs that share the folder.
    File {
        /// The folder; the state directory's own if nobody said.
        dir: Option<Sourced<PathBuf>>,
    },
}

impl Request {
    /// The body to send, with the marker and the id put in; `None` if nothing is sent.
    ///
    /// # Errors
    /// `${id}` stands in a text but no id is known.
    pub fn render(&self, marker: &str, id: Option<&str>) -> Result<Rendered> {
        let put = |text: &str| substitute(text, marker, id);
        let body = match &self.payload {
            Payload::Empty => None,
            Payload::Body(text) => Some(put(text)?),
            Payload::Graphql {
                document,
                variables,
            } => {
                let mut values = Map::new();
                for (name, value) in variables {
                    values.insert(name.clone(), Value::String(put(value)?));
                }
                Some(
                    serde_json::json!({ "query": put(document)?, "variables": values }).to_string(),
                )
            }
        };
        Ok(Rendered {
            method: self.method.clone(),
            path: put(&self.path)?,
            body,
        })
    }
}

/// A request ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP method.
    pub method: String,
    /// The path below the gateway's URL.
    pub path: String,
    /// A JSON text.
    pub body: Option<String>,
}

/// Puts the marker and the id into a text.
///
/// # Errors
/// `${id}` stands in the text but no id is known.
pub fn substitute(text: &str, marker: &str, id: Option<&str>) -> Result<String> {
    let text = text.replace("${marker}", marker);
    match id {
        Some(id) => Ok(text.replace("${id}", id)),
        None if text.contains("${id}") => Err(Error::input(
            "`${id}` is used, but the write's response gave no id",
        )
        .hint("Set `id` of the context's `data-plane.write` to the JSON pointer of the id in the response.")),
        None => Ok(text),
    }
}
