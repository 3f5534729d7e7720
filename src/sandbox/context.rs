//! The configuration file of the sandbox: one context, `sandbox`, with everything that smoke, backups, drills and the
//! gate need to know. It holds references to password files, never a password.

use std::fs;

use super::folder::{Keys, Layout, Part};
use super::platform::{self, stores::JOB};
use super::seed::{DATABASE, OPERATOR_ROLE};
use super::servers::Record;
use crate::durable::write_private;
use crate::error::{Error, Result};

/// Writes the file if it differs from what it should be; whether it did.
pub(super) fn write(
    layout: &Layout,
    platform: &platform::Config,
    keys: Option<&Keys>,
    stale: bool,
) -> Result<bool> {
    super::variables::write(layout, platform)?;
    let text = render(layout, platform, keys, stale)?;
    let path = layout.config();
    match fs::read_to_string(&path) {
        Ok(present) if present == text => return Ok(false),
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("read", &path, e)),
    }
    write_private(&path, text.as_bytes())?;
    Ok(true)
}

fn render(
    layout: &Layout,
    platform: &platform::Config,
    keys: Option<&Keys>,
    stale: bool,
) -> Result<String> {
    let port = |part: Part| {
        Record::load(&layout.part(part))?
            .map(|record| record.port)
            .ok_or_else(|| Error::bug(format!("`{}` has no record", part.name())))
    };
    let (postgres, redis, neo4j) = (
        port(Part::Postgres)?,
        port(Part::Redis)?,
        port(Part::Neo4j)?,
    );
    let freshness = if stale { "1s" } else { "24h" };
    let (gateway, ui) = (platform.gateway_port, platform.ui_port);
    let variables = super::variables::FILE;
    let (repository, evidence) = keys.map_or_else(
        || (String::new(), String::new()),
        |keys| {
            (
                repository(keys),
                "signing-key = \"file:keys/signing.pem\"\n".to_owned(),
            )
        },
    );
    Ok(format!(
        r#"# Written by `summitctl sandbox up`, and again whenever ports or practice faults change: edit a copy.
version = 1
default-context = "sandbox"

[contexts.sandbox]
tier = "development"
platform = "summit"

[contexts.sandbox.postgres]
url = "postgres://127.0.0.1:{postgres}/{DATABASE}?sslmode=disable"
user = "{OPERATOR_ROLE}"
password = "file:secrets/{OPERATOR_ROLE}/password"

[contexts.sandbox.neo4j]
url = "bolt://127.0.0.1:{neo4j}"
user = "neo4j"
password = "file:neo4j/password"
database = "neo4j"

[contexts.sandbox.redis]
url = "redis://127.0.0.1:{redis}/0"
password = "file:redis/password"

[contexts.sandbox.gateway]
url = "http://127.0.0.1:{gateway}"
ui-url = "http://127.0.0.1:{ui}/"
queues = true

[contexts.sandbox.data-plane]
timeout = "10s"

[contexts.sandbox.data-plane.write]
graphql = "mutation($marker: String!) {{ createNote(marker: $marker) {{ id marker }} }}"
variables = {{ marker = "${{marker}}" }}
id = "/data/createNote/id"
expect = "/data/createNote/marker"

[contexts.sandbox.data-plane.read]
graphql = "query($marker: String!) {{ note(marker: $marker) {{ marker }} }}"
variables = {{ marker = "${{marker}}" }}
expect = "/data/note/marker"

[contexts.sandbox.data-plane.delete]
graphql = "mutation($marker: String!) {{ deleteNote(marker: $marker) }}"
variables = {{ marker = "${{marker}}" }}

[contexts.sandbox.data-plane.postgres]
sql = "SELECT count(*) FROM public.notes WHERE marker = $1"

[contexts.sandbox.data-plane.neo4j]
cypher = "MATCH (n:Note {{marker: $marker}}) RETURN count(n)"

[contexts.sandbox.data-plane.redis]
key = "{JOB}:${{marker}}"

{repository}[contexts.sandbox.evidence]
dir = "evidence"
{evidence}
[contexts.sandbox.variables]
env-file = "{variables}"

[contexts.sandbox.policy]
rpo = "24h"
rto = "15m"
freshness = "{freshness}"
drill-interval = "90d"

[contexts.sandbox.lease]
backend = "file"
dir = "state/leases"
"#
    ))
}

fn repository(keys: &Keys) -> String {
    let list = |words: &mut dyn Iterator<Item = String>| {
        let quoted: Vec<String> = words
            .map(|word| toml::Value::String(word).to_string())
            .collect();
        quoted.join(", ")
    };
    format!(
        r#"[contexts.sandbox.repository]
path = "repository"
secret = "file:keys/repository-secret"
recipients = [{}]
identity = "file:keys/identity"
signing-key = "file:keys/signing.pem"
trusted-keys = ["keys/signing.pub.pem"]

"#,
        list(&mut keys.recipients.iter().cloned()),
    )
}
