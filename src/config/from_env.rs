//! The context `env`: made of the variables that the platform itself is configured with, so that the tool works in a
//! pod without a file. It counts as production.

use std::path::{Path, PathBuf};

use super::BAD_VALUE;
use super::bucket::from_variable;
use super::connection::{ConnectionUrl, Endpoint, redis_url, split_password};
use super::context::{
    Context, ENV_CONTEXT, Evidence, Gateway, Lease, Neo4j, Policy, Postgres, Redis, Repository,
};
use super::environment::Environment;
use super::hints::{AS_HTTP_URL, LEVELS};
use super::reference::SecretRef;
use super::source::{Provenance, Sourced};
use crate::consent::Tier;
use crate::error::{Context as _, Error, Result};
use crate::time::{AS_SPAN, Span};

/// The variables that the context `env` is made of, with what each is for. Secrets can be given as a value or, with
/// `_FILE` after the name, as the path of a file that holds it.
pub const ENV_VARIABLES: &[(&str, &str)] = &[
    ("DATABASE_URL", "Postgres, with user and password"),
    (
        "DATABASE_READ_REPLICAS",
        "read replicas, separated by commas",
    ),
    ("NEO4J_URI", "Neo4j"),
    ("NEO4J_USER", "its user; also NEO4J_USERNAME"),
    ("NEO4J_PASSWORD", "its password"),
    ("NEO4J_DATABASE", "its database"),
    ("REDIS_URL", "Redis, with user and password"),
    ("REDIS_HOST", "Redis, if there is no REDIS_URL"),
    ("REDIS_PORT", "its port"),
    ("REDIS_PASSWORD", "its password"),
    ("SUMMITCTL_PLATFORM", "the platform whose runbooks apply"),
    ("SUMMITCTL_GATEWAY_URL", "the gateway"),
    (
        "SUMMITCTL_GATEWAY_TOKEN",
        "sent to the gateway as a bearer token (secret)",
    ),
    (
        "SUMMITCTL_GATEWAY_CA",
        "PEM file of the authority that signed the gateway's certificate",
    ),
    ("SUMMITCTL_UI_URL", "the UI"),
    ("SUMMITCTL_QUEUES_PATH", "the path of the queues' health"),
    ("SUMMITCTL_PROMETHEUS_URL", "Prometheus"),
    (
        "SUMMITCTL_REPOSITORY",
        "the folder backups go to, or s3://BUCKET/PREFIX",
    ),
    (
        "SUMMITCTL_REPOSITORY_SECRET",
        "the repository secret (secret)",
    ),
    (
        "SUMMITCTL_RECIPIENTS",
        "age recipients, separated by commas",
    ),
    (
        "SUMMITCTL_IDENTITY",
        "an age identity, for restores and drills (secret)",
    ),
    (
        "SUMMITCTL_SIGNING_KEY",
        "the key that signs manifests and evidence (secret)",
    ),
    (
        "SUMMITCTL_TRUSTED_KEYS",
        "PEM files of trusted public keys, separated by commas",
    ),
    ("SUMMITCTL_EVIDENCE_DIR", "the folder evidence goes to"),
    ("SUMMITCTL_LEASE_DIR", "the folder leases are kept in"),
    ("SUMMITCTL_RPO", "policy: how much data may be lost"),
    ("SUMMITCTL_RTO", "policy: how long a recovery may take"),
    (
        "SUMMITCTL_FRESHNESS",
        "policy: how old the newest backup may be",
    ),
    (
        "SUMMITCTL_DRILL_INTERVAL",
        "policy: how long ago the last drill may be",
    ),
    ("SUMMITCTL_RETENTION", "policy: how long backups are kept"),
    (
        "SUMMITCTL_VERIFY_LEVEL",
        "policy: the level backups must be verified to",
    ),
];

/// Whether the environment holds at least one target, so that there is a context `env`.
pub fn has_targets(environment: &Environment) -> bool {
    let targets = [
        "DATABASE_URL",
        "NEO4J_URI",
        "REDIS_URL",
        "REDIS_HOST",
        "SUMMITCTL_GATEWAY_URL",
    ];
    environment.first(&targets).is_some()
}

/// The context `env`.
///
/// # Errors
/// A variable whose value cannot be used; the value is not repeated if it may hold a secret.
pub fn from_environment(environment: &Environment) -> Result<Context> {
    let read = Reader(environment);
    Ok(Context {
        name: ENV_CONTEXT.to_owned(),
        defined: Provenance::environment("*"),
        tier: Sourced::default_of(Tier::Production),
        platform: read
            .text("SUMMITCTL_PLATFORM")
            .unwrap_or_else(|| Sourced::default_of("summit".to_owned())),
        postgres: read.postgres()?,
        neo4j: read.neo4j()?,
        redis: read.redis()?,
        kubernetes: None,
        gateway: read.gateway()?,
        data_plane: None,
        cross_checks: Vec::new(),
        quiesce: None,
        prometheus: read.http_url("SUMMITCTL_PROMETHEUS_URL")?,
        variables: None,
        repository: read.repository()?,
        evidence: Evidence {
            dir: read.path("SUMMITCTL_EVIDENCE_DIR"),
            signing_key: read.secret(&["SUMMITCTL_SIGNING_KEY"]),
        },
        policy: read.policy()?,
        lease: Lease::File {
            dir: read.path("SUMMITCTL_LEASE_DIR"),
        },
        literal_secrets: Vec::new(),
    })
}

struct Reader<'a>(&'a Environment);

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<Sourced<String>> {
        let value = self.0.get(name)?;
        Some(Sourced::new(
            value.trim().to_owned(),
            Provenance::environment(name),
        ))
    }

    fn path(&self, name: &str) -> Option<Sourced<PathBuf>> {
        self.text(name).map(|t| t.map(PathBuf::from))
    }

    /// A reference to the first of `names` that is set, or to the file that the same name with `_FILE` names.
    fn secret(&self, names: &[&str]) -> Option<Sourced<SecretRef>> {
        for name in names {
            if self.0.get(name).is_some() {
                let reference = SecretRef::Env((*name).to_owned());
                return Some(Sourced::new(reference, Provenance::environment(*name)));
            }
            let file = format!("{name}_FILE");
            if let Some(path) = self.0.get(&file) {
                let reference = SecretRef::File(Path::new(path).to_owned());
                return Some(Sourced::new(reference, Provenance::environment(file)));
            }
        }
        None
    }

    /// A connection URL; its password is a secret from here on.
    fn url(&self, name: &str) -> Result<Option<Sourced<ConnectionUrl>>> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let (url, password) =
            split_password(value).context(|| format!("`{name}` cannot be read"))?;
        Ok(Some(Sourced::new(
            ConnectionUrl::Plain { url, password },
            Provenance::environment(name),
        )))
    }

    fn list(&self, name: &str) -> Vec<Sourced<String>> {
        let Some(all) = self.text(name) else {
            return Vec::new();
        };
        all.value
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| Sourced::new(part.to_owned(), all.source.clone()))
            .collect()
    }

    fn postgres(&self) -> Result<Option<Postgres>> {
        let Some(url) = self.url("DATABASE_URL")? else {
            return Ok(None);
        };
        let read_replicas = self
            .list("DATABASE_READ_REPLICAS")
            .into_iter()
            .map(|replica| {
                let (url, password) = split_password(&replica.value)
                    .context(|| "`DATABASE_READ_REPLICAS` cannot be read".to_owned())?;
                Ok(Sourced::new(
                    ConnectionUrl::Plain { url, password },
                    replica.source,
                ))
            })
            .collect::<Result<_>>()?;
        Ok(Some(Postgres {
            endpoint: Endpoint {
                url,
                user: None,
                password: None,
            },
            databases: Vec::new(),
            maintenance_database: Sourced::default_of("postgres".to_owned()),
            give_way_after: Sourced::default_of(Postgres::GIVE_WAY_AFTER),
            longest_snapshot: Sourced::default_of(Postgres::LONGEST_SNAPSHOT),
            read_replicas,
        }))
    }

    fn neo4j(&self) -> Result<Option<Neo4j>> {
        let Some(url) = self.url("NEO4J_URI")? else {
            return Ok(None);
        };
        Ok(Some(Neo4j {
            endpoint: Endpoint {
                url,
                user: self
                    .text("NEO4J_USER")
                    .or_else(|| self.text("NEO4J_USERNAME")),
                password: self.secret(&["NEO4J_PASSWORD"]),
            },
            database: self.text("NEO4J_DATABASE"),
            offline: None,
        }))
    }

    fn redis(&self) -> Result<Option<Redis>> {
        if let Some(url) = self.url("REDIS_URL")? {
            // A password inside the URL wins here: `REDIS_PASSWORD` belongs to the form with host and port.
            let inside = matches!(
                &url.value,
                ConnectionUrl::Plain {
                    password: Some(_),
                    ..
                }
            );
            let beside = self.secret(&["REDIS_PASSWORD"]).filter(|_| !inside);
            return Ok(Some(Redis {
                endpoint: Endpoint {
                    url,
                    user: None,
                    password: beside,
                },
            }));
        }
        let Some(host) = self.text("REDIS_HOST") else {
            return Ok(None);
        };
        let port = match self.text("REDIS_PORT") {
            None => 6379,
            Some(port) => port.value.parse().map_err(|_| {
                Error::new(
                    &BAD_VALUE,
                    "`REDIS_PORT` is not a port: a number from 1 to 65535",
                )
                .hint("Kubernetes sets `REDIS_PORT` to a URL in pods beside a Service `redis`: set it yourself, or set `REDIS_URL`.")
            })?,
        };
        Ok(Some(Redis {
            endpoint: Endpoint {
                url: host.map(|host| ConnectionUrl::Plain {
                    url: redis_url(&host, port),
                    password: None,
                }),
                user: None,
                password: self.secret(&["REDIS_PASSWORD"]),
            },
        }))
    }

    fn http_url(&self, name: &str) -> Result<Option<Sourced<String>>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let url = http_url(name, &text.value)?;
        Ok(Some(text.map(|_| url)))
    }

    fn gateway(&self) -> Result<Option<Gateway>> {
        let Some(url) = self.http_url("SUMMITCTL_GATEWAY_URL")? else {
            return Ok(None);
        };
        let default = |path: &str| Sourced::default_of(path.to_owned());
        let queues = self.text("SUMMITCTL_QUEUES_PATH");
        if queues.as_ref().is_some_and(|q| !q.starts_with('/')) {
            return Err(Error::new(
                &BAD_VALUE,
                "`SUMMITCTL_QUEUES_PATH` does not begin with `/`",
            )
            .hint("Set it to a path of the gateway, such as `/queues/health`."));
        }
        Ok(Some(Gateway {
            url,
            ui_url: self.http_url("SUMMITCTL_UI_URL")?,
            live: default("/health"),
            live_alias: default("/healthz"),
            detailed: default("/health/detailed"),
            ready: default("/health/ready"),
            graphql: default("/graphql"),
            queues,
            token: self.secret(&["SUMMITCTL_GATEWAY_TOKEN"]),
            tls_ca: self.path("SUMMITCTL_GATEWAY_CA"),
        }))
    }

    fn repository(&self) -> Result<Option<Repository>> {
        let Some(path) = self.path("SUMMITCTL_REPOSITORY") else {
            return Ok(None);
        };
        Ok(Some(Repository {
            place: from_variable(path, self.0)?,
            secret: self.secret(&["SUMMITCTL_REPOSITORY_SECRET"]),
            recipients: self.list("SUMMITCTL_RECIPIENTS"),
            identity: self.secret(&["SUMMITCTL_IDENTITY"]),
            signing_key: self.secret(&["SUMMITCTL_SIGNING_KEY"]),
            copies: Vec::new(),
            trusted_keys: self
                .list("SUMMITCTL_TRUSTED_KEYS")
                .into_iter()
                .map(|key| key.map(PathBuf::from))
                .collect(),
        }))
    }

    fn policy(&self) -> Result<Policy> {
        let mut policy = Policy::default();
        let fields = [
            ("SUMMITCTL_RPO", &mut policy.rpo),
            ("SUMMITCTL_RTO", &mut policy.rto),
            ("SUMMITCTL_FRESHNESS", &mut policy.freshness),
            ("SUMMITCTL_DRILL_INTERVAL", &mut policy.drill_interval),
            ("SUMMITCTL_RETENTION", &mut policy.retention),
        ];
        for (name, slot) in fields {
            let Some(text) = self.text(name) else {
                continue;
            };
            let span: Span = text
                .value
                .parse()
                .context(|| format!("`{name}` cannot be read"))?;
            if span == Span::secs(0) {
                let message = format!("`{name}`: a duration of zero can never be kept");
                return Err(Error::new(&BAD_VALUE, message).hint(AS_SPAN));
            }
            *slot = Sourced::new(span, text.source);
        }
        if let Some(level) = self.text("SUMMITCTL_VERIFY_LEVEL") {
            let number: Option<u8> = level.value.parse().ok().filter(|n| (1..=4).contains(n));
            let number = number.ok_or_else(|| {
                Error::new(
                    &BAD_VALUE,
                    "`SUMMITCTL_VERIFY_LEVEL` is not a number from 1 to 4",
                )
                .hint(LEVELS)
            })?;
            policy.verify_level = Sourced::new(number, level.source);
        }
        Ok(policy)
    }
}

/// The URL of a variable. It is shown in messages and commands: one that holds a password is refused, and masked.
pub(super) fn http_url(name: &str, text: &str) -> Result<String> {
    let parsed = url::Url::parse(text)
        .ok()
        .filter(|u| matches!(u.scheme(), "http" | "https") && u.host_str().is_some());
    match parsed {
        Some(url) if url.username().is_empty() && url.password().is_none() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        Some(url) => {
            if let Some(password) = url.password() {
                crate::secret::Secret::new(password);
            }
            Err(
                Error::new(&BAD_VALUE, format!("`{name}` holds a user or password"))
                    .hint("Remove them from the URL; a token goes into `SUMMITCTL_GATEWAY_TOKEN`."),
            )
        }
        None => Err(Error::new(
            &BAD_VALUE,
            format!("`{name}` is not a URL that begins with `http://` or `https://`"),
        )
        .hint(AS_HTTP_URL)),
    }
}
