//! `summitctl.toml` as it is written: keys, values and where each stands. What the values mean is decided in
//! [`super::build`].

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Deserializer};

use super::UNKNOWN_KEY;
use super::excerpt::{Text, nearest};
use super::keep::Keep;
use super::reference::Written;
use crate::consent::Tier;
use crate::error::{BAD_INPUT, Error, Result};
use crate::time::{AS_SPAN, Span};

/// A value with its place in the file.
#[derive(Clone)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(At {
            span: spanned.span(),
            value: spanned.into_inner(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Document {
    pub version: At<u32>,
    pub default_context: Option<At<String>>,
    #[serde(default)]
    pub contexts: BTreeMap<At<String>, At<Context>>,
}

impl PartialEq for At<String> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl Eq for At<String> {}
impl PartialOrd for At<String> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for At<String> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Context {
    pub tier: Option<At<Tier>>,
    pub platform: Option<At<String>>,
    pub postgres: Option<At<Postgres>>,
    pub neo4j: Option<At<Neo4j>>,
    pub redis: Option<At<Redis>>,
    pub kubernetes: Option<At<Kubernetes>>,
    pub gateway: Option<At<Gateway>>,
    pub data_plane: Option<At<DataPlane>>,
    #[serde(default)]
    pub cross_checks: BTreeMap<String, At<CrossCheck>>,
    pub quiesce: Option<At<Quiesce>>,
    pub prometheus: Option<At<Prometheus>>,
    pub variables: Option<At<Variables>>,
    pub repository: Option<At<Repository>>,
    pub evidence: Option<Evidence>,
    pub policy: Option<Policy>,
    pub lease: Option<Lease>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Postgres {
    pub url: At<String>,
    pub user: Option<At<String>>,
    pub password: Option<At<Written>>,
    pub maintenance_database: Option<At<String>>,
    #[serde(default)]
    pub databases: Vec<At<String>>,
    pub give_way_after: Option<At<Span>>,
    pub longest_snapshot: Option<At<Span>>,
    #[serde(default)]
    pub read_replicas: Vec<At<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Neo4j {
    pub url: At<String>,
    pub user: Option<At<String>>,
    pub password: Option<At<Written>>,
    pub database: Option<At<String>>,
    pub offline: Option<At<Offline>>,
}

/// How Neo4j is stopped, worked on by neo4j-admin, and started again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Offline {
    pub stop: At<Vec<String>>,
    pub start: At<Vec<String>>,
    pub admin: At<Vec<String>>,
    pub start_within: Option<At<Span>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Redis {
    pub url: Option<At<String>>,
    pub host: Option<At<String>>,
    pub port: Option<At<u16>>,
    pub user: Option<At<String>>,
    pub password: Option<At<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Kubernetes {
    pub kubeconfig: Option<At<String>>,
    pub context: Option<At<String>>,
    #[serde(default)]
    pub namespaces: Vec<At<String>>,
    pub selector: Option<At<String>>,
    pub longest_job: Option<At<Span>>,
    pub error_lines: Option<At<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Gateway {
    pub url: At<String>,
    pub ui_url: Option<At<String>>,
    pub health: Option<Health>,
    pub graphql: Option<At<String>>,
    pub queues: Option<At<Queues>>,
    pub token: Option<At<Written>>,
    pub tls_ca: Option<At<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Health {
    pub live: Option<At<String>>,
    pub live_alias: Option<At<String>>,
    pub detailed: Option<At<String>>,
    pub ready: Option<At<String>>,
}

/// `queues = true`, or the path.
#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected `true`, `false` or the path of the queues' health"
)]
pub(super) enum Queues {
    Wanted(bool),
    Path(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DataPlane {
    pub timeout: Option<At<Span>>,
    pub write: At<Request>,
    pub read: Option<At<Request>>,
    pub delete: Option<At<Request>>,
    pub postgres: Option<Sql>,
    pub neo4j: Option<Cypher>,
    pub redis: Option<RedisKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Quiesce {
    pub begin: At<Vec<String>>,
    pub end: At<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CrossCheck {
    pub every: At<Keys>,
    pub is_in: At<Keys>,
    pub must: Option<At<bool>>,
}

/// A query of one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Keys {
    pub postgres: Option<At<String>>,
    pub neo4j: Option<At<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Request {
    pub method: Option<At<String>>,
    pub path: Option<At<String>>,
    pub graphql: Option<At<String>>,
    pub variables: Option<At<BTreeMap<String, String>>>,
    pub body: Option<At<String>>,
    pub id: Option<At<String>>,
    pub expect: Option<At<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Sql {
    pub sql: At<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Cypher {
    pub cypher: At<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RedisKey {
    pub key: At<String>,
}

/// Where the platform's variables stand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Variables {
    pub env_file: At<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Prometheus {
    pub url: At<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Repository {
    pub path: Option<At<String>>,
    pub url: Option<At<String>>,
    pub s3: Option<At<S3>>,
    pub secret: Option<At<Written>>,
    #[serde(default)]
    pub recipients: Vec<At<String>>,
    pub identity: Option<At<Written>>,
    pub signing_key: Option<At<Written>>,
    #[serde(default)]
    pub trusted_keys: Vec<At<String>>,
    #[serde(default)]
    pub copies: Vec<At<Copy>>,
}

/// Another place that holds the same repository.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Copy {
    pub name: At<String>,
    pub path: Option<At<String>>,
    pub url: Option<At<String>>,
    pub s3: Option<At<S3>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct S3 {
    pub region: Option<At<String>>,
    pub endpoint: Option<At<String>>,
    pub path_style: Option<At<bool>>,
    pub storage_class: Option<At<String>>,
    pub kms_key: Option<At<String>>,
    pub object_lock: Option<At<LockMode>>,
    pub retain_for: Option<At<Span>>,
    pub access_key_id: Option<At<Written>>,
    pub secret_access_key: Option<At<Written>>,
    pub session_token: Option<At<Written>>,
    pub tls_ca: Option<At<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LockMode {
    Governance,
    Compliance,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Evidence {
    pub dir: Option<At<String>>,
    pub signing_key: Option<At<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Policy {
    pub rpo: Option<At<Span>>,
    pub rto: Option<At<Span>>,
    pub freshness: Option<At<Span>>,
    pub drill_interval: Option<At<Span>>,
    pub retention: Option<At<Span>>,
    pub keep: Option<At<Keep>>,
    pub verify_level: Option<At<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Lease {
    pub backend: At<Backend>,
    pub dir: Option<At<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Backend {
    File,
}

/// Reads the text of a `summitctl.toml`.
pub(super) fn parse(text: Text<'_>) -> Result<Document> {
    toml::from_str(text.text).map_err(|e| explain(text, &e))
}

/// A TOML error as ours: without values, which may be secrets; with the place, the line and the nearest valid name.
fn explain(text: Text<'_>, error: &toml::de::Error) -> Error {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    if let Some((key, valid)) = unknown(message, "unknown field ") {
        let mut out = text.error(&UNKNOWN_KEY, span, format!("unknown key `{key}`"));
        if let Some(meant) = nearest(key, valid.iter().copied()) {
            out = out.hint(format!("Did you mean `{meant}`?"));
        }
        return out.hint(format!("Valid here: {}.", backticked(&valid)));
    }
    if let Some((word, valid)) = unknown(message, "unknown variant ") {
        let mut out = text.error(&BAD_INPUT, span, format!("`{word}` is not valid here"));
        if let Some(meant) = nearest(word, valid.iter().copied()) {
            out = out.hint(format!("Did you mean `{meant}`?"));
        }
        return out.hint(format!("Valid here: {}.", backticked(&valid)));
    }
    let out = text.error(&BAD_INPUT, span, without_values(message));
    match way_out(message) {
        Some(hint) => out.hint(hint),
        None => out,
    }
}

/// How what serde and the parser refuse is written right, where their words tell.
fn way_out(message: &str) -> Option<String> {
    if message.ends_with(" is not a duration") {
        return Some(AS_SPAN.to_owned());
    }
    if message == "missing field `version`" {
        return Some("Begin the file with `version = 1`.".to_owned());
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return Some(format!(
            "Add {field} to this table; docs/CONFIG.md shows what goes into it."
        ));
    }
    let expected = message.rsplit_once(", expected ").map_or("", |(_, e)| e);
    match expected {
        "a string" if message.starts_with("invalid type: ") => {
            Some("Write it in double quotes.".to_owned())
        }
        "u16" => Some("Write a whole number from 0 to 65535, without quotes.".to_owned()),
        "u8" => Some("Write a whole number from 0 to 255, without quotes.".to_owned()),
        "a boolean" => Some("Write `true` or `false`, without quotes.".to_owned()),
        "a sequence" => Some("Write a list in brackets, as in `[\"one\", \"two\"]`.".to_owned()),
        _ if message.starts_with("duplicate key") => {
            Some("Keep one of them: TOML knows each key and each table once.".to_owned())
        }
        _ => None,
    }
}

/// `unknown field `x`, expected one of `a`, `b`` taken apart.
fn unknown<'m>(message: &'m str, prefix: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let mut quoted = message.strip_prefix(prefix)?.split('`').skip(1).step_by(2);
    let word = quoted.next()?;
    Some((word, quoted.collect()))
}

fn backticked(names: &[&str]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// serde says `invalid type: string "the value", expected …`: the value is left out, the line shows what may be shown.
pub(super) fn without_values(message: &str) -> String {
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let kind: &str = rest
                .split([' ', ','])
                .next()
                .filter(|k| !k.is_empty())
                .unwrap_or("something else");
            let expected = rest.rsplit_once(", expected ").map_or("", |(_, e)| e);
            let kind = match kind {
                "map" => "table",
                "sequence" => "array",
                other => other,
            };
            return format!("expected {expected}, found {kind}");
        }
    }
    // The parser's own messages describe characters, never values; ours are written with care.
    message.lines().collect::<Vec<_>>().join(", ")
}
