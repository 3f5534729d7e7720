//! The platform's variables as data: both lists of the GA Operator Handbook, "Required environment and secrets (minimum
//! viable prod)" and "Config & secrets reference (prod-minimum)". The two do not agree, so each entry says which of them
//! names it.

/// A list of the handbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The table "minimum viable prod".
    MinimumViableProd,
    /// The list "prod-minimum".
    ProdMinimum,
}

impl List {
    /// As the handbook calls it.
    pub fn title(self) -> &'static str {
        match self {
            List::MinimumViableProd => "minimum viable prod",
            List::ProdMinimum => "prod-minimum",
        }
    }
}

/// Whether a variable must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Always.
    Required,
    /// A list names it, but the platform has a default: its absence is a finding that does not decide.
    Recommended,
    /// Only where somebody wants it.
    Optional,
    /// `REDIS_URL`, or host, port and password.
    RedisForm,
    /// Both, or neither where the ingress terminates TLS with references of its own.
    TlsPair,
}

/// What a variable holds, and with which limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key that the platform signs or encrypts with: at least so many characters.
    Key {
        /// Characters.
        min: usize,
    },
    /// A password or client secret that another system checks: at least so many characters.
    Password {
        /// Characters.
        min: usize,
    },
    /// `postgres://…`.
    PostgresUrl,
    /// Several, separated by commas.
    PostgresUrls,
    /// `neo4j://…`, `bolt://…`, with `+s` or `+ssc`.
    Neo4jUrl,
    /// `redis://…`, `rediss://…`.
    RedisUrl,
    /// A name or an address.
    Host,
    /// A number from 1 to 65535.
    Port,
    /// A word that is no secret.
    Name,
    /// An issuer: `https`, without query and fragment (OpenID Connect Discovery 1.0, section 3).
    Issuer,
    /// URLs to come back to, separated by commas.
    Redirects,
    /// `http` or `https`; `https` where the way is not inside the cluster.
    Endpoint,
    /// Origins (RFC 6454) separated by commas; never `*` in production.
    Origins,
    /// A whole number within limits.
    Integer {
        /// The least.
        min: u64,
        /// The most that makes sense.
        max: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// `true` or `false`.
    Bool,
    /// A file.
    Path,
    /// How much is logged.
    LogLevel,
}

impl Kind {
    /// Whether the value itself is a secret, or holds one.
    pub fn is_secret(self) -> bool {
        matches!(
            self,
            Kind::Key { .. }
                | Kind::Password { .. }
                | Kind::PostgresUrl
                | Kind::PostgresUrls
                | Kind::RedisUrl
                | Kind::Neo4jUrl
        )
    }
}

/// A heading of the handbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Postgres.
    Database,
    /// Neo4j.
    Graph,
    /// Redis.
    Cache,
    /// Keys of the platform itself.
    Security,
    /// OIDC.
    Identity,
    /// Cross-origin access.
    Cors,
    /// Throttles.
    RateLimits,
    /// Traces, metrics, logs.
    Telemetry,
    /// What is switched on.
    Features,
    /// TLS of the ingress.
    Tls,
}

impl Group {
    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Database => "Database",
            Group::Graph => "Graph database",
            Group::Cache => "Cache and queues",
            Group::Security => "Security",
            Group::Identity => "Identity",
            Group::Cors => "CORS",
            Group::RateLimits => "Rate limiting",
            Group::Telemetry => "Telemetry",
            Group::Features => "Feature toggles",
            Group::Tls => "TLS",
        }
    }
}

/// One variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the handbook.
    pub name: &'static str,
    /// Other names in real use, looked at after the name.
    pub aliases: &'static [&'static str],
    /// Its heading.
    pub group: Group,
    /// What it is for.
    pub purpose: &'static str,
    /// The lists that name it.
    pub lists: &'static [List],
    /// Whether it must be set.
    pub need: Need,
    /// What it holds.
    pub kind: Kind,
}

const BOTH: &[List] = &[List::MinimumViableProd, List::ProdMinimum];
const SECOND: &[List] = &[List::ProdMinimum];

const fn variable(
    name: &'static str,
    group: Group,
    lists: &'static [List],
    need: Need,
    kind: Kind,
    purpose: &'static str,
) -> Variable {
    Variable {
        name,
        aliases: &[],
        group,
        purpose,
        lists,
        need,
        kind,
    }
}

/// The least length of a key, in characters: 32 hexadecimal digits are 128 bits.
const KEY: Kind = Kind::Key { min: 32 };
const PASSWORD: Kind = Kind::Password { min: 12 };
const LIMIT: Kind = Kind::Integer {
    min: 1,
    max: 1_000_000,
    unit: "requests",
};
/// Postgres allows 100 connections unless configured otherwise (`max_connections`); a pool of more than 1000 exhausts any server.
const POOL: Kind = Kind::Integer {
    min: 1,
    max: 1_000,
    unit: "connections",
};
/// A second to a day: below, somebody wrote seconds; above, nothing is renewed.
const MILLISECONDS: Kind = Kind::Integer {
    min: 1_000,
    max: 86_400_000,
    unit: "ms",
};

use Need::{Optional, Recommended, RedisForm, Required, TlsPair};

/// Both lists, in the order in which they are shown.
pub static VARIABLES: &[Variable] = &[
    variable(
        "DATABASE_URL",
        Group::Database,
        BOTH,
        Required,
        Kind::PostgresUrl,
        "primary Postgres, with credentials",
    ),
    variable(
        "DATABASE_READ_REPLICAS",
        Group::Database,
        SECOND,
        Optional,
        Kind::PostgresUrls,
        "read replicas of Postgres",
    ),
    variable(
        "PG_WRITE_POOL_SIZE",
        Group::Database,
        SECOND,
        Optional,
        POOL,
        "connections for writes, per application replica",
    ),
    variable(
        "PG_READ_POOL_SIZE",
        Group::Database,
        SECOND,
        Optional,
        POOL,
        "connections for reads, per application replica",
    ),
    variable(
        "PG_MAX_LIFETIME_MS",
        Group::Database,
        SECOND,
        Optional,
        MILLISECONDS,
        "how long a pooled connection lives",
    ),
    variable(
        "NEO4J_URI",
        Group::Graph,
        BOTH,
        Required,
        Kind::Neo4jUrl,
        "Neo4j",
    ),
    Variable {
        aliases: &["NEO4J_USERNAME"],
        ..variable(
            "NEO4J_USER",
            Group::Graph,
            BOTH,
            Required,
            Kind::Name,
            "the user of Neo4j",
        )
    },
    variable(
        "NEO4J_PASSWORD",
        Group::Graph,
        BOTH,
        Required,
        PASSWORD,
        "the password of Neo4j",
    ),
    variable(
        "REDIS_URL",
        Group::Cache,
        BOTH,
        RedisForm,
        Kind::RedisUrl,
        "Redis, for cache and queues",
    ),
    variable(
        "REDIS_HOST",
        Group::Cache,
        BOTH,
        RedisForm,
        Kind::Host,
        "Redis, where there is no `REDIS_URL`",
    ),
    variable(
        "REDIS_PORT",
        Group::Cache,
        BOTH,
        RedisForm,
        Kind::Port,
        "the port of Redis",
    ),
    variable(
        "REDIS_PASSWORD",
        Group::Cache,
        BOTH,
        RedisForm,
        PASSWORD,
        "the password of Redis",
    ),
    variable(
        "JWT_SECRET",
        Group::Security,
        BOTH,
        Required,
        KEY,
        "signs access tokens",
    ),
    variable(
        "JWT_REFRESH_SECRET",
        Group::Security,
        SECOND,
        Required,
        KEY,
        "signs refresh tokens",
    ),
    variable(
        "SESSION_SECRET",
        Group::Security,
        BOTH,
        Required,
        KEY,
        "signs sessions",
    ),
    variable(
        "ENCRYPTION_KEY",
        Group::Security,
        SECOND,
        Required,
        KEY,
        "encrypts stored fields",
    ),
    variable(
        "OIDC_ISSUER",
        Group::Identity,
        BOTH,
        Required,
        Kind::Issuer,
        "the identity provider",
    ),
    variable(
        "OIDC_CLIENT_ID",
        Group::Identity,
        BOTH,
        Required,
        Kind::Name,
        "this platform at the identity provider",
    ),
    variable(
        "OIDC_CLIENT_SECRET",
        Group::Identity,
        BOTH,
        Required,
        Kind::Password { min: 16 },
        "its secret",
    ),
    Variable {
        aliases: &[
            "OIDC_REDIRECT_URIS",
            "OIDC_REDIRECT_URL",
            "OIDC_CALLBACK_URL",
        ],
        ..variable(
            "OIDC_REDIRECT_URI",
            Group::Identity,
            SECOND,
            Optional,
            Kind::Redirects,
            "where a login comes back to",
        )
    },
    variable(
        "ALLOWED_ORIGINS",
        Group::Cors,
        SECOND,
        Required,
        Kind::Origins,
        "who may call across origins",
    ),
    variable(
        "RATE_LIMIT_MAX",
        Group::RateLimits,
        BOTH,
        Required,
        LIMIT,
        "general requests per window",
    ),
    variable(
        "RATE_LIMIT_WINDOW_MS",
        Group::RateLimits,
        BOTH,
        Required,
        MILLISECONDS,
        "the window",
    ),
    variable(
        "AI_RATE_LIMIT_MAX_REQUESTS",
        Group::RateLimits,
        BOTH,
        Required,
        LIMIT,
        "AI requests per window",
    ),
    variable(
        "BACKGROUND_RATE_LIMIT_MAX_REQUESTS",
        Group::RateLimits,
        SECOND,
        Recommended,
        LIMIT,
        "background requests per window",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        Group::Telemetry,
        BOTH,
        Required,
        Kind::Endpoint,
        "the collector of traces",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        Group::Telemetry,
        BOTH,
        Required,
        Kind::Endpoint,
        "the collector of metrics",
    ),
    variable(
        "LOG_LEVEL",
        Group::Telemetry,
        SECOND,
        Recommended,
        Kind::LogLevel,
        "how much is logged",
    ),
    variable(
        "AI_ENABLED",
        Group::Features,
        BOTH,
        Required,
        Kind::Bool,
        "AI",
    ),
    variable(
        "KAFKA_ENABLED",
        Group::Features,
        SECOND,
        Recommended,
        Kind::Bool,
        "Kafka",
    ),
    variable(
        "MAESTRO_MCP_ENABLED",
        Group::Features,
        BOTH,
        Required,
        Kind::Bool,
        "Maestro MCP",
    ),
    variable(
        "MAESTRO_PIPELINES_ENABLED",
        Group::Features,
        BOTH,
        Required,
        Kind::Bool,
        "Maestro pipelines",
    ),
    variable(
        "TLS_KEY_PATH",
        Group::Tls,
        BOTH,
        TlsPair,
        Kind::Path,
        "the private key of the ingress",
    ),
    variable(
        "TLS_CERT_PATH",
        Group::Tls,
        BOTH,
        TlsPair,
        Kind::Path,
        "the certificate chain of the ingress",
    ),
];

/// The variable with this name or alias.
pub fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES
        .iter()
        .find(|v| v.name == name || v.aliases.contains(&name))
}

impl Variable {
    /// The name and then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The id of its check: `variable.database-url`.
    pub fn check_id(&self) -> String {
        format!(
            "variable.{}",
            self.name.to_ascii_lowercase().replace('_', "-")
        )
    }

    /// The lists that name it, in words.
    pub fn named_by(&self) -> String {
        let lists: Vec<String> = self
            .lists
            .iter()
            .map(|l| format!("\"{}\"", l.title()))
            .collect();
        lists.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_of_the_handbook_are_held_completely() {
        let minimum = "DATABASE_URL NEO4J_URI NEO4J_USER NEO4J_PASSWORD REDIS_URL REDIS_HOST REDIS_PORT REDIS_PASSWORD \
            JWT_SECRET SESSION_SECRET OIDC_ISSUER OIDC_CLIENT_ID OIDC_CLIENT_SECRET RATE_LIMIT_MAX RATE_LIMIT_WINDOW_MS \
            AI_RATE_LIMIT_MAX_REQUESTS OTEL_EXPORTER_OTLP_TRACES_ENDPOINT OTEL_EXPORTER_OTLP_METRICS_ENDPOINT AI_ENABLED \
            MAESTRO_MCP_ENABLED MAESTRO_PIPELINES_ENABLED TLS_KEY_PATH TLS_CERT_PATH";
        let reference = "DATABASE_URL DATABASE_READ_REPLICAS PG_WRITE_POOL_SIZE PG_READ_POOL_SIZE PG_MAX_LIFETIME_MS \
            NEO4J_URI NEO4J_USER NEO4J_PASSWORD REDIS_URL REDIS_HOST REDIS_PORT REDIS_PASSWORD JWT_SECRET JWT_REFRESH_SECRET \
            SESSION_SECRET ENCRYPTION_KEY ALLOWED_ORIGINS RATE_LIMIT_MAX RATE_LIMIT_WINDOW_MS AI_RATE_LIMIT_MAX_REQUESTS \
            BACKGROUND_RATE_LIMIT_MAX_REQUESTS LOG_LEVEL AI_ENABLED KAFKA_ENABLED MAESTRO_MCP_ENABLED \
            MAESTRO_PIPELINES_ENABLED TLS_KEY_PATH TLS_CERT_PATH";
        for (list, names) in [
            (List::MinimumViableProd, minimum),
            (List::ProdMinimum, reference),
        ] {
            let mut wanted: Vec<&str> = names.split_whitespace().collect();
            let mut held: Vec<&str> = VARIABLES
                .iter()
                .filter(|v| v.lists.contains(&list))
                .map(|v| v.name)
                // The second list says `OIDC_*` and `OTEL_*` where the first one spells them out.
                .filter(|n| {
                    list == List::MinimumViableProd
                        || !(n.starts_with("OIDC_") || n.starts_with("OTEL_"))
                })
                .collect();
            wanted.sort_unstable();
            held.sort_unstable();
            assert_eq!(held, wanted);
        }
        let mut names: Vec<&str> = VARIABLES.iter().flat_map(Variable::names).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a name stands once");
    }
}
