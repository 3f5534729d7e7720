//! The text that `summitctl init` writes: a commented `summitctl.toml` for what the environment holds. It refers to
//! secrets, and never contains one.

use std::fmt::Write as _;

use super::bucket::Place;
use super::connection::{ConnectionUrl, Endpoint};
use super::context::Context;
use super::environment::Environment;
use super::from_env;
use super::reference::SecretRef;
use super::source::{Provenance, Sourced};
use crate::consent::Tier;
use crate::error::Result;

/// A `summitctl.toml` with one context, made of the targets that the environment holds. What is not in the
/// environment stands there as a comment.
///
/// # Errors
/// Those of [`from_env::from_environment`].
pub fn template(environment: &Environment, name: &str, tier: Tier) -> Result<String> {
    let context = from_env::from_environment(environment)?;
    let tier = match tier {
        Tier::Development => "development",
        Tier::Staging => "staging",
        Tier::Production => "production",
    };
    let mut out = format!(
        "# Targets and policy of summitctl. No secret belongs in this file: write where it is instead, as\n\
         # \"env:NAME\", \"file:PATH\" or an argv such as [\"vault\", \"kv\", \"get\", \"-field=password\", \"secret/app\"].\n\
         version = 1\n\
         default-context = {name}\n\n\
         [contexts.{key}]\n\
         tier = \"{tier}\"                 # development, staging or production\n\
         platform = {platform}\n",
        name = quoted(name),
        key = bare_or_quoted(name),
        platform = quoted(&context.platform.value),
    );
    let mut writer = Writer {
        out: &mut out,
        prefix: format!("contexts.{}", bare_or_quoted(name)),
    };
    writer.stores(&context);
    writer.services(&context);
    writer.repository(&context);
    writer.policy(&context);
    Ok(out)
}

struct Writer<'o> {
    out: &'o mut String,
    prefix: String,
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn table(&mut self, name: &str) {
        let _ = write!(self.out, "\n[{}.{name}]\n", self.prefix);
    }

    fn absent(&mut self, name: &str, example: &[&str]) {
        let _ = write!(self.out, "\n# [{}.{name}]\n", self.prefix);
        for line in example {
            let _ = writeln!(self.out, "# {line}");
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.out, "{key} = {}", quoted(value));
    }

    fn optional(&mut self, key: &str, value: Option<&Sourced<String>>) {
        if let Some(value) = value {
            self.text(key, &value.value);
        }
    }

    fn secret(&mut self, key: &str, reference: Option<&Sourced<SecretRef>>) {
        if let Some(reference) = reference {
            self.text(key, &reference.value.to_string());
        }
    }

    /// A URL with a password inside is referred to as a whole: it is the secret.
    fn endpoint(&mut self, endpoint: &Endpoint) {
        match &endpoint.url.value {
            ConnectionUrl::Plain {
                password: Some(_), ..
            } => self.text("url", &variable(&endpoint.url.source)),
            ConnectionUrl::Plain { url, .. } => self.text("url", url),
            ConnectionUrl::Reference(reference) => self.text("url", &reference.to_string()),
        }
        self.optional("user", endpoint.user.as_ref());
        self.secret("password", endpoint.password.as_ref());
    }

    fn stores(&mut self, context: &Context) {
        match &context.postgres {
            Some(postgres) => {
                self.table("postgres");
                self.endpoint(&postgres.endpoint);
            }
            None => self.absent(
                "postgres",
                &[
                    "url = \"postgres://app@db.internal:5432/app?sslmode=verify-full\"",
                    "password = \"env:PGPASSWORD\"",
                ],
            ),
        }
        match &context.neo4j {
            Some(neo4j) => {
                self.table("neo4j");
                self.endpoint(&neo4j.endpoint);
                self.optional("database", neo4j.database.as_ref());
            }
            None => self.absent(
                "neo4j",
                &[
                    "url = \"neo4j+s://graph.internal:7687\"",
                    "user = \"neo4j\"",
                    "password = \"env:NEO4J_PASSWORD\"",
                ],
            ),
        }
        match &context.redis {
            Some(redis) => {
                self.table("redis");
                self.endpoint(&redis.endpoint);
            }
            None => self.absent(
                "redis",
                &[
                    "url = \"rediss://cache.internal:6379/0\"",
                    "password = \"env:REDIS_PASSWORD\"",
                ],
            ),
        }
    }

    fn services(&mut self, context: &Context) {
        match &context.gateway {
            Some(gateway) => {
                self.table("gateway");
                self.text("url", &gateway.url.value);
                self.optional("ui-url", gateway.ui_url.as_ref());
                self.optional("queues", gateway.queues.as_ref());
                self.secret("token", gateway.token.as_ref());
                if let Some(ca) = &gateway.tls_ca {
                    self.text("tls-ca", &ca.value.display().to_string());
                }
            }
            None => self.absent(
                "gateway",
                &[
                    "url = \"https://api.example.com\"",
                    "ui-url = \"https://app.example.com\"",
                    "queues = true                    # probe /queues/health",
                ],
            ),
        }
        self.absent(
            "data-plane.write",
            &[
                "# A write that smoke follows through to the datastores. Without it the data plane is not evaluated.",
                "graphql = \"mutation($name: String!) { createEntity(name: $name) { id } }\"",
                "variables = { name = \"${marker}\" }",
            ],
        );
        match &context.prometheus {
            Some(url) => {
                self.table("prometheus");
                self.text("url", &url.value);
            }
            None => self.absent("prometheus", &["url = \"http://prometheus:9090\""]),
        }
        self.absent(
            "kubernetes",
            &[
                "kubeconfig = \"kubeconfig\"       # else KUBECONFIG, ~/.kube/config, or the pod's service account",
                "namespaces = [\"summit\"]         # else the kubeconfig context's own",
            ],
        );
    }

    fn repository(&mut self, context: &Context) {
        let Some(repository) = &context.repository else {
            self.absent(
                "repository",
                &[
                    "path = \"backups\"",
                    "secret = \"file:keys/repository.secret\"",
                    "recipients = [\"age1…\"]          # the operators who can read backups",
                    "signing-key = \"file:keys/signing.pem\"",
                ],
            );
            return;
        };
        self.table("repository");
        let key = match repository.place.value {
            Place::Folder(_) => "path",
            Place::Bucket(_) => "url",
        };
        self.text(key, &repository.place.value.to_string());
        self.secret("secret", repository.secret.as_ref());
        let recipients: Vec<String> = repository
            .recipients
            .iter()
            .map(|r| quoted(&r.value))
            .collect();
        self.line(&format!("recipients = [{}]", recipients.join(", ")));
        self.secret("identity", repository.identity.as_ref());
        self.secret("signing-key", repository.signing_key.as_ref());
        let keys: Vec<String> = repository
            .trusted_keys
            .iter()
            .map(|k| quoted(&k.value.display().to_string()))
            .collect();
        if !keys.is_empty() {
            self.line(&format!("trusted-keys = [{}]", keys.join(", ")));
        }
    }

    fn policy(&mut self, context: &Context) {
        let policy = &context.policy;
        self.table("policy");
        for (key, span, meaning) in [
            ("rpo", &policy.rpo, "how much data may be lost"),
            ("rto", &policy.rto, "how long a recovery may take"),
            (
                "freshness",
                &policy.freshness,
                "how old the newest backup may be",
            ),
            (
                "drill-interval",
                &policy.drill_interval,
                "how long ago the last drill may be",
            ),
            ("retention", &policy.retention, "how long backups are kept"),
        ] {
            let setting = format!("{key} = \"{}\"", span.value);
            self.line(&format!("{setting:<32} # {meaning}"));
        }
        let setting = format!("verify-level = {}", policy.verify_level.value);
        self.line(&format!(
            "{setting:<32} # 1 authentic, 2 decoded, 3 restored and compared, 4 assertions"
        ));
    }
}

/// `env:NAME` for a value that came from the variable NAME.
fn variable(source: &Provenance) -> String {
    match source {
        Provenance::Environment { name } => format!("env:{name}"),
        _ => "env:DATABASE_URL".to_owned(),
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn bare_or_quoted(name: &str) -> String {
    let bare = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare && !name.is_empty() {
        name.to_owned()
    } else {
        quoted(name)
    }
}
