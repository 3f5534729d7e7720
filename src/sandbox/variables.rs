//! The stand-in platform's `.env`: the handbook's variables with the sandbox's own addresses and generated secrets, so that
//! `config check` and the gate have something real to look at.

use std::fs;

use super::folder::{Layout, Part};
use super::platform;
use super::seed::{DATABASE, PLATFORM_ROLE};
use super::servers::{Record, password};
use crate::durable::write_private;
use crate::error::{Error, Result};

/// The file's name in the sandbox's folder.
pub const FILE: &str = "platform.env";

/// Writes the file if it differs from what it should be. Mode 0600: it holds the sandbox's passwords.
pub(super) fn write(layout: &Layout, platform: &platform::Config) -> Result<()> {
    let text = render(layout, platform)?;
    let path = layout.root.join(FILE);
    match fs::read_to_string(&path) {
        Ok(present) if present == text => Ok(()),
        Ok(_) => write_private(&path, text.as_bytes()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => write_private(&path, text.as_bytes()),
        Err(e) => Err(Error::io("read", &path, e)),
    }
}

fn render(layout: &Layout, platform: &platform::Config) -> Result<String> {
    let record = |part: Part| {
        Record::load(&layout.part(part))?
            .ok_or_else(|| Error::bug(format!("`{}` has no record", part.name())))
    };
    let (postgres, redis, neo4j) = (
        record(Part::Postgres)?.port,
        record(Part::Redis)?.port,
        record(Part::Neo4j)?.port,
    );
    let database = layout.role_secret(PLATFORM_ROLE)?;
    let cache = password(&layout.part(Part::Redis))?;
    let graph = password(&layout.part(Part::Neo4j))?;
    let key = |name: &str| layout.role_secret(name);
    let (jwt, refresh, session, encryption, client) = (
        key("jwt")?,
        key("jwt-refresh")?,
        key("session")?,
        key("encryption")?,
        key("oidc-client")?,
    );
    let (gateway, ui) = (platform.gateway_port, platform.ui_port);
    Ok(format!(
        r#"# The stand-in platform's variables, written by `summitctl sandbox up`. Loopback only; the secrets are generated.
DATABASE_URL=postgres://{PLATFORM_ROLE}:{}@127.0.0.1:{postgres}/{DATABASE}
PG_WRITE_POOL_SIZE=10
PG_READ_POOL_SIZE=10
PG_MAX_LIFETIME_MS=1800000
NEO4J_URI=bolt://127.0.0.1:{neo4j}
NEO4J_USER=neo4j
NEO4J_PASSWORD={}
REDIS_URL=redis://:{}@127.0.0.1:{redis}/0
JWT_SECRET={}
JWT_REFRESH_SECRET={}
SESSION_SECRET={}
ENCRYPTION_KEY={}
OIDC_ISSUER=https://login.sandbox.invalid
OIDC_CLIENT_ID=summit-sandbox
OIDC_CLIENT_SECRET={}
ALLOWED_ORIGINS=http://127.0.0.1:{ui},http://127.0.0.1:{gateway}
RATE_LIMIT_MAX=600
RATE_LIMIT_WINDOW_MS=60000
AI_RATE_LIMIT_MAX_REQUESTS=30
BACKGROUND_RATE_LIMIT_MAX_REQUESTS=120
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/v1/traces
OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://127.0.0.1:4318/v1/metrics
LOG_LEVEL=info
AI_ENABLED=false
KAFKA_ENABLED=false
MAESTRO_MCP_ENABLED=false
MAESTRO_PIPELINES_ENABLED=false
"#,
        database.expose(),
        graph.expose(),
        cache.expose(),
        jwt.expose(),
        refresh.expose(),
        session.expose(),
        encryption.expose(),
        client.expose(),
    ))
}
