//! `dns.look-up`: the records of a name as one name server gives them, compared with what they should be.

use std::net::SocketAddr;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::probe::patiently;
use super::world::World;
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::providers::dns::{self, Answer, Kind};
use crate::reasons;
use crate::time::Span;
use crate::wait::Deadline;

reasons! {
    /// Other records than expected.
    DIFFERS = "dns.differs", Failed, "A name has other records than the runbook expects, as the name server says that the message names. A change takes up to the old record's TTL until caches know it.";
}

/// Arguments of `dns.look-up`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LookUpArgs {
    /// The name.
    pub name: String,
    /// The kind of record.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// The name server's address, with a port if it is not 53; this machine's first one if it is missing or empty.
    #[serde(default)]
    pub server: Option<String>,
    /// What the records must be, in any order; without it, they are only looked at.
    #[serde(default)]
    pub values: Option<Vec<String>>,
    /// A name whose records of this kind they must be, such as a load balancer's.
    #[serde(default)]
    pub same_as: Option<String>,
    /// Keep asking until they are so or this long has gone by.
    #[serde(default)]
    pub wait: Option<Span>,
}

/// The step kind `dns.look-up`.
pub struct LookUp;

#[async_trait]
impl Look<World> for LookUp {
    const KIND: &'static str = "dns.look-up";
    const SUMMARY: &'static str = "Asks a name server for the records of a name, and fails unless they are as expected; `result.values`, `result.ttl`, `result.exists`";
    type Args = LookUpArgs;

    fn title(&self, args: &LookUpArgs) -> String {
        format!("look up `{}` {}", args.name, args.kind)
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &LookUpArgs) -> Result<Observed> {
        let server = match args.server.as_deref() {
            None | Some("") => dns::system_server()?,
            Some(text) => dns::server(text)?,
        };
        let look = async |deadline| {
            let answer = dns::look_up(&args.name, args.kind, server, deadline).await?;
            let wanted = wanted(args, server, deadline).await?;
            judge(args, &answer, wanted.as_deref())?;
            Ok(Observed::of(json!({
                "server": server.to_string(),
                "exists": answer.exists,
                "authoritative": answer.authoritative,
                "values": answer.values(args.kind),
                "ttl": answer.ttl(),
                "expected": wanted,
                "records": answer.records,
            })))
        };
        patiently(cx, args.wait, look).await
    }
}

/// What the records must be, sorted.
async fn wanted(
    args: &LookUpArgs,
    server: SocketAddr,
    deadline: Deadline,
) -> Result<Option<Vec<String>>> {
    let mut wanted = args.values.clone();
    if let Some(other) = &args.same_as {
        let values = dns::look_up(other, args.kind, server, deadline)
            .await?
            .values(args.kind);
        if values.is_empty() {
            return Err(Error::new(
                &DIFFERS,
                format!(
                    "`{other}`, whose {} records are expected, has none at `{server}`",
                    args.kind
                ),
            ));
        }
        wanted.get_or_insert_default().extend(values);
    }
    Ok(wanted.map(|mut values| {
        for value in &mut values {
            *value = value.trim_end_matches('.').to_owned();
        }
        values.sort();
        values.dedup();
        values
    }))
}

fn judge(args: &LookUpArgs, answer: &Answer, wanted: Option<&[String]>) -> Result<()> {
    let seen = answer.values(args.kind);
    let Some(wanted) = wanted.filter(|w| **w != seen) else {
        return Ok(());
    };
    let shown = |values: &[String]| match values {
        [] => "none".to_owned(),
        values => format!("`{}`", values.join("`, `")),
    };
    let mut error = Error::new(
        &DIFFERS,
        format!(
            "`{}` {} is {} at `{}`, not {}",
            args.name,
            args.kind,
            shown(&seen),
            answer.server,
            shown(wanted)
        ),
    )
    .with_details(json!({"values": seen, "expected": wanted, "ttl": answer.ttl(), "server": answer.server.to_string()}));
    if let Some(ttl) = answer.ttl() {
        error = error.hint(format!(
            "Caches may keep what it is now for {}; ask again then.",
            Span(std::time::Duration::from_secs(ttl.into()))
        ));
    }
    Err(error)
}
