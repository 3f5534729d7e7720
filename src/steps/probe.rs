//! Probes of one thing at a time, for runbooks: a page, a port. Each measures once, or again and again until it is as it should
//! be or the time is up, and says what was seen last.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::world::{World, read};
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::providers::http::{self, Answer, Client};
use crate::reasons;
use crate::time::{Instant, Span};
use crate::wait::Deadline;

reasons! {
    /// The answer is not the one that is expected.
    UNEXPECTED = "probe.unexpected", Failed, "A page answered, and its status, its document, its size or its latency is not what the runbook expects. The message says what is different.";
}

/// How long one try may take.
const TRY: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_secs(2);
/// How much of a document is kept in the journal.
const KEPT: usize = 8192;

/// Looks once, or until it goes well or `wait` is over. What is wrong with the runbook itself is not tried again.
pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(
    cx: &ReadCx<'_, World>,
    wait: Option<Span>,
    mut look: impl FnMut(Deadline) -> F,
) -> Result<T> {
    let whole = wait.map(|span| Deadline::after(span.0));
    let mut pause = Duration::from_millis(100);
    let mut tries = 0_u32;
    loop {
        cx.cancel.check()?;
        tries += 1;
        let left = whole.map_or(TRY, |w| w.left().clamp(Duration::from_millis(500), TRY));
        let error = match look(Deadline::after(left)).await {
            Ok(seen) => return Ok(seen),
            Err(error) => error,
        };
        let again = matches!(error.exit(), Exit::Failed | Exit::Unreachable);
        match whole.filter(|w| again && !w.passed()) {
            Some(whole) => {
                if tries == 1 {
                    cx.events.note(format!("{}; waiting", error.one_line()));
                }
                tokio::time::sleep(pause.min(whole.left())).await;
                pause = (pause * 2).min(PAUSE);
            }
            None if tries > 1 => {
                return Err(error.hint(format!(
                    "It was tried {tries} times in {}.",
                    wait.unwrap_or(Span(Duration::ZERO))
                )));
            }
            None => return Err(error),
        }
    }
}

/// Arguments of `http.probe`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpArgs {
    /// The address, `http://` or `https://`. Redirects are not followed.
    pub url: String,
    /// The status it must answer with.
    #[serde(default = "ok")]
    pub status: u16,
    /// Fields its JSON document must have: JSON pointers (`/status`) and the values there.
    #[serde(default)]
    pub json: BTreeMap<String, Value>,
    /// A text the document must hold.
    #[serde(default)]
    pub contains: Option<String>,
    /// The longest document, in bytes; at most 1 MiB is read.
    #[serde(default = "megabyte")]
    pub max_bytes: usize,
    /// The longest time the answer may take.
    #[serde(default)]
    pub within: Option<Span>,
    /// Connect to this host instead of the address's own, which stays in the request and in the certificate.
    #[serde(default)]
    pub at: Option<String>,
    /// A file of PEM certificates to trust besides the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Keep trying until it answers so or this long has gone by.
    #[serde(default)]
    pub wait: Option<Span>,
    /// What its failure means for the platform's users, for the report.
    #[serde(default)]
    pub impact: Option<String>,
}

fn ok() -> u16 {
    200
}

fn megabyte() -> usize {
    1 << 20
}

/// The step kind `http.probe`.
pub struct HttpProbe;

#[async_trait]
impl Look<World> for HttpProbe {
    const KIND: &'static str = "http.probe";
    const SUMMARY: &'static str = "Fetches a page and fails unless status and document are as expected; `result.status`, `result.latency-ms`, `result.document`";
    type Args = HttpArgs;

    fn title(&self, args: &HttpArgs) -> String {
        format!("probe `{}`", http::display_url(&args.url))
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &HttpArgs) -> Result<Observed> {
        let ca = args.ca.as_deref().map(read).transpose()?;
        let seen = patiently(cx, args.wait, async |deadline| {
            let client = client(args, ca.as_deref(), deadline).await?;
            let answer = client.get(&args.url, deadline).await?;
            judge(args, &answer)?;
            Ok(facts(args, &answer, deadline).await)
        });
        seen.await
            .map(Observed)
            .map_err(|e| with_impact(e, args.impact.as_deref()))
    }
}

/// The error with what it means for the platform's users.
pub(super) fn with_impact(error: Error, impact: Option<&str>) -> Error {
    match impact {
        Some(impact) => error.hint(format!("What it means: {impact}")),
        None => error,
    }
}

async fn client(args: &HttpArgs, ca: Option<&[u8]>, deadline: Deadline) -> Result<Client> {
    let Some(at) = &args.at else {
        return Client::new(ca, None);
    };
    let url = http::parse_url(&args.url)?;
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses = http::resolve(at, port, deadline).await?;
    let host = url.host_str().unwrap_or_default();
    if host
        .trim_matches(['[', ']'])
        .parse::<std::net::IpAddr>()
        .is_ok()
    {
        return Err(Error::input(format!(
            "`at` needs an address with a host name, and `{host}` is none"
        )));
    }
    Client::by_way_of(ca, host, &addresses)
}

fn judge(args: &HttpArgs, answer: &Answer) -> Result<()> {
    let shown = http::display_url(&args.url);
    let wrong = |what: String| Err(Error::new(&UNEXPECTED, format!("`{shown}` {what}")));
    if answer.status != args.status {
        return wrong(format!(
            "answers HTTP {}, not {}: {}",
            answer.status,
            args.status,
            answer.excerpt()
        ));
    }
    if answer.body.len() > args.max_bytes {
        return wrong(format!(
            "answers with {} bytes, more than {}",
            answer.body.len(),
            args.max_bytes
        ));
    }
    if let Some(within) = args.within.filter(|w| answer.latency > w.0) {
        return wrong(format!(
            "answered after {}, later than {within}",
            Span(answer.latency)
        ));
    }
    if let Some(text) = &args.contains
        && !String::from_utf8_lossy(&answer.body).contains(text.as_str())
    {
        return wrong(format!("does not say `{text}`: {}", answer.excerpt()));
    }
    if args.json.is_empty() {
        return Ok(());
    }
    let Some(document) = answer.json() else {
        return wrong(format!(
            "answers with no JSON document: {}",
            answer.excerpt()
        ));
    };
    for (pointer, wanted) in &args.json {
        match document.pointer(pointer) {
            Some(value) if value == wanted => {}
            Some(value) => return wrong(format!("says {value} at `{pointer}`, not {wanted}")),
            None => {
                return wrong(format!(
                    "says nothing at `{pointer}`, where {wanted} is expected"
                ));
            }
        }
    }
    Ok(())
}

async fn facts(args: &HttpArgs, answer: &Answer, deadline: Deadline) -> Map<String, Value> {
    let mut facts = Map::from_iter([
        ("url".to_owned(), json!(http::display_url(&args.url))),
        ("status".to_owned(), json!(answer.status)),
        (
            "latency-ms".to_owned(),
            json!(answer.latency.as_secs_f64() * 1e3),
        ),
        ("content-type".to_owned(), json!(answer.content_type)),
        ("bytes".to_owned(), json!(answer.body.len())),
    ]);
    if answer.body.len() <= KEPT
        && let Some(document) = answer.json()
    {
        facts.insert("document".to_owned(), document);
    }
    // Whether it is trusted was decided by the request.
    if let Ok(url) = http::parse_url(&args.url)
        && url.scheme() == "https"
        && args.at.is_none()
        && let Some(host) = url.host_str()
    {
        let port = url.port_or_known_default().unwrap_or(443);
        if let Ok(seen) = http::tls::certificate(host, port, deadline).await {
            let days = seen.not_after.since(Instant::now()).as_secs() / 86_400;
            facts.insert("certificate-not-after".to_owned(), json!(seen.not_after));
            facts.insert("certificate-days-left".to_owned(), json!(days));
        }
    }
    facts
}

/// Arguments of `port.probe`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortArgs {
    /// The host, a name or an address.
    pub host: String,
    /// The TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Keep trying until it accepts or this long has gone by.
    #[serde(default)]
    pub wait: Option<Span>,
    /// What its failure means for the platform's users, for the report.
    #[serde(default)]
    pub impact: Option<String>,
}

/// The step kind `port.probe`.
pub struct PortProbe;

#[async_trait]
impl Look<World> for PortProbe {
    const KIND: &'static str = "port.probe";
    const SUMMARY: &'static str = "Resolves a host and opens a TCP connection to a port; `result.addresses`, `result.address`, `result.latency-ms`";
    type Args = PortArgs;

    fn title(&self, args: &PortArgs) -> String {
        format!("connect to `{}:{}`", args.host, args.port)
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &PortArgs) -> Result<Observed> {
        let seen = patiently(cx, args.wait, async |deadline| {
            let found = http::resolve(&args.host, args.port, deadline).await?;
            let mut addresses: Vec<String> = found.iter().map(|a| a.ip().to_string()).collect();
            addresses.sort();
            addresses.dedup();
            let (address, took) = http::connect(&args.host, args.port, deadline).await?;
            Ok(Observed::of(json!({
                "addresses": addresses,
                "address": address.to_string(),
                "latency-ms": took.as_secs_f64() * 1e3,
            })))
        });
        seen.await
            .map_err(|e| with_impact(e, args.impact.as_deref()))
    }
}
