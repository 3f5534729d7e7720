//! What `config show` prints: every setting of a context, where it came from, and for secrets only where they are and
//! whether something is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, Lock as ObjectLock, Place};
use super::connection::{ConnectionUrl, Endpoint};
use super::context::{Context, Gateway, Kubernetes, Lease, Repository, Request};
use super::environment::Environment;
use super::reference::{Presence, SecretRef};
use super::source::{Provenance, Sourced};
use crate::secret;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// The key below the context, such as `postgres.url`.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// Where that was said.
    pub source: Provenance,
}

/// A setting's value as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Value {
    /// The value itself.
    Plain {
        /// As text.
        text: String,
    },
    /// Where a secret is; never the secret.
    Secret {
        /// The reference, such as `env:PGPASSWORD`, or `literal value`.
        reference: String,
        /// Whether something is there.
        presence: Presence,
    },
}

/// Every setting of a context, in the order of the documentation. Nothing is fetched and nothing is run.
pub fn show(context: &Context, environment: &Environment) -> Vec<Shown> {
    let mut list = List {
        environment,
        shown: Vec::new(),
    };
    let tier = match context.tier.value {
        crate::consent::Tier::Development => "development",
        crate::consent::Tier::Staging => "staging",
        crate::consent::Tier::Production => "production",
    };
    list.plain("tier", tier, &context.tier.source);
    list.text("platform", &context.platform);
    if let Some(postgres) = &context.postgres {
        list.endpoint("postgres", &postgres.endpoint);
        for database in &postgres.databases {
            list.text("postgres.databases", database);
        }
        list.text(
            "postgres.maintenance-database",
            &postgres.maintenance_database,
        );
        list.display("postgres.give-way-after", &postgres.give_way_after);
        list.display("postgres.longest-snapshot", &postgres.longest_snapshot);
        for replica in &postgres.read_replicas {
            list.url("postgres.read-replicas", replica);
        }
    }
    if let Some(neo4j) = &context.neo4j {
        list.endpoint("neo4j", &neo4j.endpoint);
        list.optional("neo4j.database", neo4j.database.as_ref());
        if let Some(offline) = &neo4j.offline {
            for (name, argv) in [
                ("stop", &offline.stop),
                ("start", &offline.start),
                ("admin", &offline.admin),
            ] {
                let name = format!("neo4j.offline.{name}");
                list.plain(&name, argv.value.join(" "), &argv.source);
            }
            list.display("neo4j.offline.start-within", &offline.start_within);
        }
    }
    if let Some(redis) = &context.redis {
        list.endpoint("redis", &redis.endpoint);
    }
    if let Some(gateway) = &context.gateway {
        list.gateway(gateway);
    }
    if let Some(plane) = &context.data_plane {
        list.display("data-plane.timeout", &plane.timeout);
        list.request("data-plane.write", Some(&plane.write));
        list.request("data-plane.read", plane.read.as_ref());
        list.request("data-plane.delete", plane.delete.as_ref());
        list.optional("data-plane.postgres.sql", plane.postgres.as_ref());
        list.optional("data-plane.neo4j.cypher", plane.neo4j.as_ref());
        list.optional("data-plane.redis.key", plane.redis.as_ref());
    }
    for check in &context.cross_checks {
        for (side, keys) in [("every", &check.every), ("is-in", &check.is_in)] {
            let name = format!("cross-checks.{}.{side}.{}", check.name, keys.store);
            list.text(&name, &keys.query);
        }
        list.display(&format!("cross-checks.{}.must", check.name), &check.must);
    }
    if let Some(quiesce) = &context.quiesce {
        for (name, argv) in [("begin", &quiesce.begin), ("end", &quiesce.end)] {
            list.plain(
                &format!("quiesce.{name}"),
                argv.value.join(" "),
                &argv.source,
            );
        }
    }
    if let Some(kubernetes) = &context.kubernetes {
        list.kubernetes(kubernetes);
    }
    list.optional("prometheus.url", context.prometheus.as_ref());
    let variables = context
        .variables
        .as_ref()
        .map(|v| v.clone().map(|p| p.display().to_string()));
    list.optional("variables.env-file", variables.as_ref());
    if let Some(repository) = &context.repository {
        list.repository(repository);
    }
    if let Some(dir) = &context.evidence.dir {
        list.plain("evidence.dir", dir.value.display(), &dir.source);
    }
    list.secret(
        "evidence.signing-key",
        context.evidence.signing_key.as_ref(),
    );
    let policy = &context.policy;
    list.display("policy.rpo", &policy.rpo);
    list.display("policy.rto", &policy.rto);
    list.display("policy.freshness", &policy.freshness);
    list.display("policy.drill-interval", &policy.drill_interval);
    list.display("policy.retention", &policy.retention);
    list.display("policy.keep", &policy.keep);
    list.display("policy.verify-level", &policy.verify_level);
    let Lease::File { dir } = &context.lease;
    let source = dir.as_ref().map_or(&Provenance::Default, |d| &d.source);
    list.plain("lease.backend", "file", source);
    if let Some(dir) = dir {
        list.plain("lease.dir", dir.value.display(), &dir.source);
    }
    list.shown
}

struct List<'e> {
    environment: &'e Environment,
    shown: Vec<Shown>,
}

impl List<'_> {
    fn plain(&mut self, key: &str, text: impl std::fmt::Display, source: &Provenance) {
        let text = secret::mask(&text.to_string()).into_owned();
        self.shown.push(Shown {
            key: key.to_owned(),
            value: Value::Plain { text },
            source: source.clone(),
        });
    }

    fn display<T: std::fmt::Display>(&mut self, key: &str, value: &Sourced<T>) {
        self.plain(key, &value.value, &value.source);
    }

    fn text(&mut self, key: &str, value: &Sourced<String>) {
        self.display(key, value);
    }

    fn optional(&mut self, key: &str, value: Option<&Sourced<String>>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn secret(&mut self, key: &str, reference: Option<&Sourced<SecretRef>>) {
        let Some(reference) = reference else { return };
        let value = Value::Secret {
            reference: reference.value.to_string(),
            presence: reference.value.presence(self.environment),
        };
        self.shown.push(Shown {
            key: key.to_owned(),
            value,
            source: reference.source.clone(),
        });
    }

    fn url(&mut self, key: &str, url: &Sourced<ConnectionUrl>) {
        match &url.value {
            ConnectionUrl::Plain {
                url: text,
                password,
            } => {
                self.plain(key, text, &url.source);
                if let Some(password) = password {
                    let inside = SecretRef::Literal(password.clone());
                    let sourced = Sourced::new(inside, url.source.clone());
                    self.secret(&format!("{key} (password inside)"), Some(&sourced));
                }
            }
            ConnectionUrl::Reference(reference) => {
                let sourced = Sourced::new(reference.clone(), url.source.clone());
                self.secret(key, Some(&sourced));
            }
        }
    }

    fn endpoint(&mut self, store: &str, endpoint: &Endpoint) {
        self.url(&format!("{store}.url"), &endpoint.url);
        self.optional(&format!("{store}.user"), endpoint.user.as_ref());
        self.secret(&format!("{store}.password"), endpoint.password.as_ref());
    }

    fn gateway(&mut self, gateway: &Gateway) {
        self.text("gateway.url", &gateway.url);
        self.optional("gateway.ui-url", gateway.ui_url.as_ref());
        self.text("gateway.health.live", &gateway.live);
        self.text("gateway.health.live-alias", &gateway.live_alias);
        self.text("gateway.health.detailed", &gateway.detailed);
        self.text("gateway.health.ready", &gateway.ready);
        self.text("gateway.graphql", &gateway.graphql);
        self.optional("gateway.queues", gateway.queues.as_ref());
        self.secret("gateway.token", gateway.token.as_ref());
        if let Some(ca) = &gateway.tls_ca {
            self.plain("gateway.tls-ca", ca.value.display(), &ca.source);
        }
    }

    fn kubernetes(&mut self, kubernetes: &Kubernetes) {
        match &kubernetes.kubeconfig {
            Some(path) => self.plain("kubernetes.kubeconfig", path.value.display(), &path.source),
            None => self.plain(
                "kubernetes.kubeconfig",
                "KUBECONFIG, ~/.kube/config, or the pod's service account",
                &Provenance::Default,
            ),
        }
        self.optional("kubernetes.context", kubernetes.context.as_ref());
        for namespace in &kubernetes.namespaces {
            self.text("kubernetes.namespaces", namespace);
        }
        self.optional("kubernetes.selector", kubernetes.selector.as_ref());
        self.display("kubernetes.longest-job", &kubernetes.longest_job);
        self.display("kubernetes.error-lines", &kubernetes.error_lines);
    }

    fn request(&mut self, key: &str, request: Option<&Request>) {
        if let Some(request) = request {
            let line = format!("{} {}", request.method, request.path);
            self.plain(key, line, &request.source);
        }
    }

    fn bucket(&mut self, bucket: &Bucket) {
        for (key, value) in [
            ("region", &bucket.region),
            ("endpoint", &bucket.endpoint),
            ("storage-class", &bucket.storage_class),
            ("kms-key", &bucket.kms_key),
        ] {
            self.optional(&format!("repository.s3.{key}"), value.as_ref());
        }
        if let Some(style) = &bucket.path_style {
            self.plain("repository.s3.path-style", style.value, &style.source);
        }
        if let Some((lock, span)) = &bucket.lock {
            let mode = match lock.value {
                ObjectLock::Governance => "governance",
                ObjectLock::Compliance => "compliance",
            };
            self.plain("repository.s3.object-lock", mode, &lock.source);
            self.plain("repository.s3.retain-for", span.value, &span.source);
        }
        for (key, value) in [
            ("access-key-id", &bucket.access_key_id),
            ("secret-access-key", &bucket.secret_access_key),
            ("session-token", &bucket.session_token),
        ] {
            self.secret(&format!("repository.s3.{key}"), value.as_ref());
        }
        if let Some(ca) = &bucket.tls_ca {
            self.plain("repository.s3.tls-ca", ca.value.display(), &ca.source);
        }
    }

    fn repository(&mut self, repository: &Repository) {
        let place = &repository.place;
        match &place.value {
            Place::Folder(path) => {
                self.plain("repository.path", path.display(), &place.source);
            }
            Place::Bucket(bucket) => {
                self.plain("repository.url", &place.value, &place.source);
                self.bucket(bucket);
            }
        }
        self.secret("repository.secret", repository.secret.as_ref());
        for recipient in &repository.recipients {
            self.text("repository.recipients", recipient);
        }
        self.secret("repository.identity", repository.identity.as_ref());
        for copy in &repository.copies {
            let key = format!("repository.copies.{}", copy.name.value);
            self.plain(&key, &copy.place.value, &copy.place.source);
        }
        self.secret("repository.signing-key", repository.signing_key.as_ref());
        for key in &repository.trusted_keys {
            self.plain("repository.trusted-keys", key.value.display(), &key.source);
        }
    }
}
