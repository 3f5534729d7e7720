//! The smoke probes: the platform's own endpoints, the datastores asked directly, the network beneath them, and on
//! request a write that is followed through. Probes are checks; the runner runs them side by side until a deadline.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Category, Check, Finding, Options, Report, run};
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::Result;
use crate::identity::Store;
use crate::providers::http::{self, Client};
use crate::reasons;
use crate::time::{Instant, Span};
use crate::wait::Deadline;

use super::world::{Gateway, World};

pub mod data_plane;
mod gateway;
pub mod kubernetes;

reasons! {
    /// A probe failed.
    FAILED = "smoke.failed", Failed,
        "At least one required probe did not pass. The report names each, what it means for the platform's users, and its cause, with the command that looks deeper.";
}

/// A certificate that expires sooner is a finding.
const CERTIFICATE_WARNING: Duration = Duration::from_secs(21 * 86_400);

/// What a failed store means for the platform (GA Operator Handbook, health probes and dependency meanings).
pub fn impact(store: Store) -> &'static str {
    match store {
        Store::Postgres => "API reads and writes are halted.",
        Store::Neo4j => "Graph queries are blocked.",
        Store::Redis => {
            "Cache and queues are degraded; requests may be slow and background jobs wait."
        }
    }
}

/// The id of the check that asks a store directly.
pub fn store_check(store: Store) -> &'static str {
    match store {
        Store::Postgres => "postgres.ping",
        Store::Neo4j => "neo4j.ping",
        Store::Redis => "redis.ping",
    }
}

/// Runs the probes. Without `wait` each is tried once; with it, until everything passes or the deadline is over.
pub async fn smoke(
    cx: &ReadCx<'_, World>,
    wait: Option<Span>,
    timeout: Option<Span>,
) -> Result<Report> {
    let world = cx.world;
    let mut checks: Vec<Check<'_>> = Vec::new();
    for store in Store::ALL {
        checks.push(store_probe(world, store));
    }
    kubernetes::checks(world, &mut checks);
    match &world.gateway {
        Some(settings) => {
            let client = Arc::new(Client::new(settings.ca.as_deref(), settings.token.clone())?);
            network(world, settings, &mut checks)?;
            gateway::probes(settings, &client, &mut checks);
        }
        None => checks.push(Check::known(
            "gateway.live",
            Category::Platform,
            "Gateway is alive",
            Finding::not_evaluated("no gateway is configured"),
        )),
    }
    if let Some(url) = &world.prometheus {
        checks.push(prometheus(url)?);
    }
    let span = match (wait, timeout) {
        (Some(wait), Some(most)) => wait.min(most).0,
        (Some(span), None) | (None, Some(span)) => span.0,
        (None, None) => Duration::from_secs(15),
    };
    let options = Options {
        wait: wait.is_some(),
        events: cx.events.clone(),
        cancel: cx.cancel.clone(),
        ..Options::once(Deadline::after(span))
    };
    run(
        &format!("Smoke of context {}", world.context),
        &checks,
        &options,
    )
    .await
}

fn store_probe(world: &World, store: Store) -> Check<'_> {
    let title = match store {
        Store::Postgres => "Postgres answers a query",
        Store::Neo4j => "Neo4j answers a query",
        Store::Redis => "Redis answers a command",
    };
    if !world.has(store) {
        let finding = Finding::not_evaluated(format!("no {store} target is configured"));
        return Check::known(store_check(store), Category::Datastores, title, finding);
    }
    Check::new(
        store_check(store),
        Category::Datastores,
        title,
        move |attempt| async move {
            match world.ping_anew(store, attempt.deadline).await {
                Ok(seen) => {
                    let latency = seen.latency.as_secs_f64() * 1000.0;
                    let mut finding =
                        Finding::passed(format!("{} answers in {latency:.1} ms", seen.version));
                    finding.facts = seen.facts;
                    finding
                        .fact("version", seen.version)
                        .fact("latency-ms", latency)
                }
                Err(error) => Finding::from_error(&error),
            }
        },
    )
    .impact(impact(store))
    .hint(outage(world, store))
}

/// What to do about a store that does not answer. What `doctor` asks of it is the same.
fn outage(world: &World, store: Store) -> String {
    let context = &world.context;
    let asked =
        format!("See which address was asked with `summitctl context show --context {context}`");
    if world.platform.as_deref() == Some("summit") {
        format!(
            "{asked}, and work through the outage with `summitctl runbook run {store}-outage --context {context}`."
        )
    } else {
        format!("{asked}, and look at the server there: whether it runs, and what its log says.")
    }
}

/// Name, port and certificate of the gateway's host.
fn network<'a>(world: &World, settings: &'a Gateway, checks: &mut Vec<Check<'a>>) -> Result<()> {
    let configured = format!(
        "the address that is configured stands in `summitctl context show --context {}`",
        world.context
    );
    let url = http::parse_url(&settings.url)?;
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    if host.parse::<std::net::IpAddr>().is_err() {
        let name = host.clone();
        checks.push(
            Check::new(
                "network.dns",
                Category::Network,
                format!("`{host}` resolves"),
                move |attempt| {
                    let name = name.clone();
                    async move {
                        match http::resolve(&name, port, attempt.deadline).await {
                            Ok(found) => {
                                let shown: Vec<String> =
                                    found.iter().map(|a| a.ip().to_string()).collect();
                                Finding::passed(shown.join(", ")).fact("addresses", shown)
                            }
                            Err(error) => Finding::from_error(&error),
                        }
                    }
                },
            )
            .impact("Nobody reaches the platform by its name.")
            .hint(format!(
                "See what the name leads to with `getent hosts {host}`; {configured}."
            )),
        );
    }
    let name = host.clone();
    let mut tcp = Check::new(
        "network.tcp",
        Category::Network,
        format!("`{host}:{port}` accepts connections"),
        move |attempt| {
            let name = name.clone();
            async move {
                match http::connect(&name, port, attempt.deadline).await {
                    Ok((address, took)) => Finding::passed(format!(
                        "{address} in {:.1} ms",
                        took.as_secs_f64() * 1000.0
                    )),
                    Err(error) => Finding::from_error(&error),
                }
            }
        },
    )
    .impact("Nobody reaches the platform.")
    .hint(format!(
        "See whether the gateway runs and listens there: `curl -isS {}`; {configured}.",
        settings.at(&settings.paths.live)
    ));
    if checks.iter().any(|c| c.id == "network.dns") {
        tcp = tcp.needs("network.dns");
    }
    checks.push(tcp);
    if url.scheme() == "https" {
        let shown = format!(
            "Look at the whole chain with `openssl s_client -connect {host}:{port} -servername {host}`, and have it renewed."
        );
        checks.push(
            Check::new(
                "network.tls",
                Category::Network,
                "The certificate is valid for a while",
                move |attempt| {
                    let host = host.clone();
                    async move { certificate(&host, port, attempt.deadline).await }
                },
            )
            .needs("network.tcp")
            .hint(shown),
        );
    }
    Ok(())
}

async fn certificate(host: &str, port: u16, deadline: Deadline) -> Finding {
    let seen = match http::tls::certificate(host, port, deadline).await {
        Ok(seen) => seen,
        Err(error) => return Finding::from_error(&error),
    };
    let left = seen.not_after.since(Instant::now());
    let finding = if left.is_zero() {
        Finding::failed(format!(
            "the certificate of `{}` expired at {}",
            seen.subject,
            seen.not_after.human()
        ))
    } else if left < CERTIFICATE_WARNING {
        Finding::degraded(format!(
            "the certificate of `{}` expires in {}",
            seen.subject,
            Span(left)
        ))
    } else {
        Finding::passed(format!("expires in {}", Span(left)))
    };
    finding
        .fact("not-after", seen.not_after.to_string())
        .fact("issuer", seen.issuer)
}

/// Prometheus's own view of its targets (HTTP API v1, `/api/v1/targets`).
fn prometheus<'a>(url: &str) -> Result<Check<'a>> {
    let client = Client::new(None, None)?;
    let hint = format!(
        "See each target and its last error on `{}/targets`.",
        url.trim_end_matches('/')
    );
    let url = format!("{}/api/v1/targets?state=active", url.trim_end_matches('/'));
    Ok(Check::new(
        "prometheus.targets",
        Category::Observability,
        "Prometheus targets are up",
        move |attempt| {
            let (client, url) = (client.clone(), url.clone());
            async move {
                let answer = match client.get(&url, attempt.deadline).await {
                    Ok(answer) => answer,
                    Err(error) => return Finding::from_error(&error),
                };
                let json = answer.json().unwrap_or_default();
                let Some(targets) = json["data"]["activeTargets"].as_array() else {
                    return Finding::failed(format!(
                        "HTTP {} without a list of targets",
                        answer.status
                    ));
                };
                let down: Vec<String> = targets
                    .iter()
                    .filter(|t| t["health"] != "up")
                    .map(|t| {
                        format!(
                            "{} ({})",
                            t["scrapeUrl"].as_str().unwrap_or("?"),
                            t["lastError"].as_str().unwrap_or("")
                        )
                    })
                    .collect();
                let finding = match (targets.len(), down.len()) {
                    (0, _) => Finding::degraded("Prometheus has no active target"),
                    (all, 0) => Finding::passed(format!("Prometheus reports all {all} targets up")),
                    (all, n) => Finding::failed(format!(
                        "Prometheus reports {n} of {all} targets down: {}",
                        down.join(", ")
                    )),
                };
                finding.fact("targets", targets.len()).fact("down", down)
            }
        },
    )
    .impact("Alerts and dashboards are blind where a target is down.")
    .hint(hint))
}

/// Arguments of `smoke.run`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmokeArgs {
    /// Keep trying until everything passes or this long has gone by.
    #[serde(default)]
    pub wait: Option<Span>,
}

/// The step kind `smoke.run`.
pub struct Smoke;

#[async_trait::async_trait]
impl Look<World> for Smoke {
    const KIND: &'static str = "smoke.run";
    const SUMMARY: &'static str =
        "Runs the health probes side by side and fails if a required one does not pass";
    type Args = SmokeArgs;

    fn title(&self, _: &SmokeArgs) -> String {
        "probe the platform and its datastores".to_owned()
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &SmokeArgs) -> Result<Observed> {
        let report = smoke(cx, args.wait, None).await?;
        report.must_pass(&FAILED, "checks")?;
        Ok(Observed::of(&report))
    }
}
