//! What a cluster says of the platform: nodes, pods, rollouts, jobs, volumes, autoscalers, services, Helm releases, and
//! certificates and ExternalSecrets where it has their kinds. Each check names what is wrong and attaches the newest events and log lines; what may not be read is not evaluated.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::super::world::World;
use crate::check::{Category, Check, Finding};
use crate::config;
use crate::error::{Error, Result};
use crate::providers::kubernetes::{
    self, Api, Cluster, FORBIDDEN, Filter, NO_SUCH_KIND, Namespaced, Scan, scan,
};
use crate::wait::Deadline;

pub mod access;
mod batch;
mod cron;
mod extension;
mod logs;
mod pods;
mod rest;
mod rollout;

/// The check without which the others make no sense.
pub const API: &str = "kubernetes.api";

/// That the namespaces exist.
pub const NAMESPACES: &str = "kubernetes.namespaces";

/// The pods.
const PODS: &str = "kubernetes.pods";

/// How many wrong objects a finding names.
const NAMED: usize = 20;

/// How many wrong objects get their events and logs attached.
const EXPLAINED: usize = 3;

/// A question may take this long; the command's own deadline usually comes first.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the checks need besides the cluster.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How long a Job may run.
    longest_job: Duration,
    /// How many lines of a log may tell of errors.
    error_lines: u32,
}

impl Limits {
    const USUAL: Limits = Limits {
        longest_job: config::Kubernetes::LONGEST_JOB.0,
        error_lines: config::Kubernetes::ERROR_LINES,
    };
}

type Look = for<'x> fn(&'x Cluster, Limits, Deadline) -> BoxFuture<'x, Result<Finding>>;

/// Adds the checks of a context that has a cluster.
pub fn checks<'a>(world: &'a World, checks: &mut Vec<Check<'a>>) {
    if world.kubernetes.is_none() {
        return;
    }
    reach(world, checks);
    let limits = world.settings.kubernetes.as_ref();
    let limits = limits.map_or(Limits::USUAL, |k| Limits {
        longest_job: k.longest_job.value.0,
        error_lines: k.error_lines.value,
    });
    let mut add = |id: &str, title: &str, look: Look| {
        checks.push(probe(world, id, title, limits, look).needs(NAMESPACES));
    };
    add("kubernetes.nodes", "Nodes are ready", |c, _, d| {
        Box::pin(rest::nodes(c, d))
    });
    add(PODS, "Pods are ready", |c, _, d| Box::pin(pods::look(c, d)));
    add(
        "kubernetes.deployments",
        "Deployments are rolled out",
        |c, _, d| Box::pin(rollout::deployments(c, d)),
    );
    add(
        "kubernetes.statefulsets",
        "StatefulSets are rolled out",
        |c, _, d| Box::pin(rollout::stateful_sets(c, d)),
    );
    add(
        "kubernetes.daemonsets",
        "DaemonSets are rolled out",
        |c, _, d| Box::pin(rollout::daemon_sets(c, d)),
    );
    add("kubernetes.jobs", "Jobs succeed", |c, l, d| {
        Box::pin(batch::jobs(c, l.longest_job, d))
    });
    add(
        "kubernetes.cronjobs",
        "CronJobs are scheduled",
        |c, _, d| Box::pin(batch::cron_jobs(c, d)),
    );
    add(
        "kubernetes.volumes",
        "Volume claims are bound",
        |c, _, d| Box::pin(rest::volumes(c, d)),
    );
    add(
        "kubernetes.autoscalers",
        "Autoscalers measure and have room",
        |c, _, d| Box::pin(rest::autoscalers(c, d)),
    );
    add(
        "kubernetes.services",
        "Services have ready endpoints",
        |c, _, d| Box::pin(rest::services(c, d)),
    );
    add(
        "kubernetes.helm",
        "Helm releases are deployed",
        |c, _, d| Box::pin(rest::helm(c, d)),
    );
    add(
        "kubernetes.certificates",
        "Certificates are ready and renewed",
        |c, _, d| Box::pin(extension::certificates(c, d)),
    );
    add(
        "kubernetes.external-secrets",
        "ExternalSecrets are ready and refreshed",
        |c, _, d| Box::pin(extension::external_secrets(c, d)),
    );
    add(
        "kubernetes.logs",
        "Logs tell of no burst of errors",
        |c, l, d| Box::pin(logs::errors(c, l.error_lines, d)),
    );
    for check in checks.iter_mut() {
        match check.id.as_str() {
            // Who looks after one namespace often may not see nodes.
            "kubernetes.nodes" | "kubernetes.autoscalers" | "kubernetes.logs" => {
                check.severity = crate::check::Severity::Advisory
            }
            PODS => check.impact = Some("What runs in these pods does not serve.".to_owned()),
            "kubernetes.services" => {
                check.impact = Some("Requests to these services are refused.".to_owned())
            }
            "kubernetes.certificates" => {
                check.impact =
                    Some("Clients refuse the connection once one has expired.".to_owned())
            }
            "kubernetes.external-secrets" => {
                check.impact = Some("Secrets stay as they were last, or are not made.".to_owned())
            }
            _ => {}
        }
    }
}

/// Whether the cluster answers and has the namespaces.
pub fn reach<'a>(world: &'a World, checks: &mut Vec<Check<'a>>) {
    let limits = Limits::USUAL;
    checks.push(
        probe(
            world,
            API,
            "The Kubernetes API server answers",
            limits,
            |c, _, d| Box::pin(api(c, d)),
        )
        .impact("Nothing can be said of what runs in the cluster.")
        .hint(hint(world)),
    );
    checks.push(
        probe(
            world,
            NAMESPACES,
            "The namespaces exist",
            limits,
            |c, _, d| Box::pin(namespaces(c, d)),
        )
        .needs(API),
    );
}

fn hint(world: &World) -> String {
    format!(
        "See who asks which cluster with `summitctl kube show --context {0}`, and what it may with `summitctl doctor --context {0}`.",
        world.context
    )
}

fn probe<'a>(world: &'a World, id: &str, title: &str, limits: Limits, look: Look) -> Check<'a> {
    Check::new(id, Category::Kubernetes, title, move |attempt| async move {
        let Some(target) = &world.kubernetes else {
            return Finding::not_evaluated("no cluster is configured");
        };
        let found = async {
            look(
                target.open(attempt.deadline).await?,
                limits,
                attempt.deadline,
            )
            .await
        };
        found.await.unwrap_or_else(|e| unmeasured(&e))
    })
    .within(PATIENCE)
}

/// What may not be read was not measured; what the cluster does not have need not be.
fn unmeasured(error: &Error) -> Finding {
    let failed = Finding::from_error(error);
    let mut finding = if error.reason() == &FORBIDDEN {
        Finding::not_evaluated(failed.detail)
    } else if error.reason() == &NO_SUCH_KIND {
        Finding::skipped(failed.detail)
    } else {
        return failed;
    };
    (finding.facts, finding.hints) = (failed.facts, failed.hints);
    finding
}

async fn api(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let seen = kubernetes::version(cluster, deadline).await?;
    let user = kubernetes::whoami(cluster, deadline).await?;
    let mut detail = format!(
        "{} at {} answers in {:.1} ms, as `{user}`",
        seen.version,
        cluster.server,
        seen.latency.as_secs_f64() * 1000.0
    );
    let mut facts = vec![
        ("version", json!(seen.version)),
        ("latency-ms", json!(seen.latency.as_secs_f64() * 1000.0)),
        ("user", json!(user)),
        ("source", json!(cluster.source)),
    ];
    match kubernetes::identify(cluster, deadline).await {
        Ok(uid) => facts.push(("cluster", json!(uid))),
        // Whoever may not read it still sees the platform; what was not read is not claimed.
        Err(error) if error.reason() == &FORBIDDEN => {
            detail.push_str("; which cluster it is may not be read");
        }
        Err(error) => return Err(error),
    }
    let finding = Finding::passed(detail);
    Ok(facts
        .into_iter()
        .fold(finding, |f, (name, value)| f.fact(name, value)))
}

async fn namespaces(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    for name in &cluster.namespaces {
        kubernetes::namespace(cluster, name, deadline).await?;
    }
    Ok(Finding::passed(cluster.namespaces.join(", "))
        .fact("namespaces", cluster.namespaces.clone()))
}

/// Something wrong with one object.
struct Problem {
    /// `NAMESPACE/NAME`.
    name: String,
    /// What is wrong.
    what: String,
    /// Whether the platform works nevertheless.
    bearable: bool,
    /// Events and log lines, newest first, that say more.
    more: Vec<String>,
}

impl Problem {
    fn new(namespace: &str, name: &str, what: impl Into<String>) -> Problem {
        Problem {
            name: format!("{namespace}/{name}"),
            what: what.into(),
            bearable: false,
            more: Vec::new(),
        }
    }

    /// Whether a line says more than the problem itself does.
    fn is_news(&self, line: &str) -> bool {
        let message = line
            .strip_prefix("event: ")
            .and_then(|e| e.split_once(": "));
        message.is_none_or(|(_, message)| !self.what.contains(message))
    }

    fn bearable(mut self) -> Problem {
        self.bearable = true;
        self
    }
}

/// Hands on each object of a kind that the context selects in one of its namespaces.
async fn selected<K>(
    cluster: &Cluster,
    namespace: &str,
    fields: Option<&str>,
    deadline: Deadline,
    take: impl FnMut(K),
) -> Result<Scan>
where
    K: Namespaced + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), namespace);
    let filter = Filter {
        labels: cluster.selector.clone(),
        fields: fields.map(str::to_owned),
    };
    scan(cluster, &api, Some(namespace), &filter, deadline, take).await
}

/// What a look at all objects of a kind gave.
#[derive(Default)]
struct Tally {
    looked: usize,
    more: bool,
    problems: Vec<Problem>,
}

impl Tally {
    fn add(&mut self, scan: Scan) {
        self.looked += scan.seen;
        self.more |= scan.more;
    }

    /// The finding; `kind` is the plural, as in `pods`, and `one` what `kubectl describe` calls one of them, if it
    /// can say more.
    fn finding(mut self, kind: &str, one: &str, good: &str) -> Finding {
        self.problems.sort_by_key(|p| p.bearable);
        let failed = self.problems.iter().any(|p| !p.bearable);
        let looked = self.looked;
        let finding = if self.problems.is_empty() && self.more {
            Finding::degraded(format!(
                "only the first {looked} {kind} were looked at; {good}"
            ))
        } else if self.problems.is_empty() && looked == 0 {
            Finding::skipped(format!("there are no {kind}"))
        } else if self.problems.is_empty() {
            Finding::passed(format!("{looked} {kind} {good}"))
        } else {
            let mut text = format!("{} of {looked} {kind}", self.problems.len());
            for problem in self.problems.iter().take(NAMED) {
                let mark = if text.contains(": `") { ';' } else { ':' };
                text.push_str(&format!("{mark} `{}`: {}", problem.name, problem.what));
                for line in problem.more.iter().filter(|l| problem.is_news(l)).take(2) {
                    text.push_str(&format!(" [{line}]"));
                }
            }
            if self.problems.len() > NAMED {
                text.push_str(&format!("; and {} more", self.problems.len() - NAMED));
            }
            if failed {
                Finding::failed(text)
            } else {
                Finding::degraded(text)
            }
        };
        let problems: Vec<_> = self
            .problems
            .iter()
            .take(NAMED)
            .map(|p| json!({"name": p.name, "problem": p.what, "more": p.more}))
            .collect();
        let mut finding = finding.fact("looked-at", looked);
        if let Some(first) = self.problems.first().filter(|_| !one.is_empty()) {
            let name = match first.name.split_once('/') {
                Some((namespace, name)) => format!("{name} -n {namespace}"),
                None => first.name.clone(),
            };
            finding = finding.hint(format!("Look closer with `kubectl describe {one} {name}`."));
        }
        if problems.is_empty() {
            finding
        } else {
            finding.fact("problems", problems)
        }
    }
}

/// The newest events about an object and the end of a container's log. What cannot be read is said in its place.
async fn attach(
    cluster: &Cluster,
    namespace: &str,
    uid: &str,
    log: Option<(&str, &str, bool)>,
    warnings: bool,
    deadline: Deadline,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((pod, container, previous)) = log {
        match kubernetes::log(cluster, namespace, pod, container, previous, 10, deadline).await {
            Ok(found) => lines.extend(
                found
                    .iter()
                    .rev()
                    .map(|l| format!("log: {}", config::redact(l))),
            ),
            Err(error) => lines.push(format!("its log cannot be read: {}", error.one_line())),
        }
    }
    match kubernetes::events(cluster, namespace, uid, warnings, 3, deadline).await {
        Ok(found) => {
            let at = lines.len().min(1);
            for (n, event) in found.iter().enumerate() {
                lines.insert(at + n, format!("event: {}", config::redact(event)));
            }
        }
        Err(error) => lines.push(format!("its events cannot be read: {}", error.one_line())),
    }
    lines
}
