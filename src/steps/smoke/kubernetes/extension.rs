//! Certificates of cert-manager and ExternalSecrets, where the cluster has their kinds: as their controllers report them.

use std::time::Duration;

use serde_json::Value;

use super::super::CERTIFICATE_WARNING;
use super::{Problem, Tally, attach};
use crate::check::Finding;
use crate::config;
use crate::error::Result;
use crate::providers::kubernetes::{
    CERTIFICATES, Cluster, Condition, EXTERNAL_SECRETS, Extension, Filter, condition, documents,
    served, time,
};
use crate::time::{Instant, Span};
use crate::wait::Deadline;

/// How long cert-manager may take to renew, at most: it tries again with longer and longer pauses.
const TO_RENEW: Duration = Duration::from_secs(3600);
/// How long an operator may be late with a refresh, besides one more interval.
const LATE: Duration = Duration::from_secs(300);

type Judge = fn(&Value, Instant) -> Option<(String, bool)>;

/// cert-manager's certificates.
pub(super) async fn certificates(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    look(
        cluster,
        CERTIFICATES,
        "certificates",
        "are ready",
        certificate,
        deadline,
    )
    .await
}

/// The External Secrets Operator's secrets.
pub(super) async fn external_secrets(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let good = "are ready and fresh";
    look(
        cluster,
        EXTERNAL_SECRETS,
        "ExternalSecrets",
        good,
        external_secret,
        deadline,
    )
    .await
}

async fn look(
    cluster: &Cluster,
    extension: Extension,
    kind: &str,
    good: &str,
    judge: Judge,
    deadline: Deadline,
) -> Result<Finding> {
    let Some(resource) = served(cluster, extension, deadline).await? else {
        return Ok(Finding::skipped(format!(
            "the cluster has no `{}`",
            extension.name()
        )));
    };
    let now = Instant::now();
    let filter = Filter {
        labels: cluster.selector.clone(),
        fields: None,
    };
    let mut tally = Tally::default();
    let mut wrong: Vec<(Problem, String)> = Vec::new();
    for namespace in &cluster.namespaces {
        let take = |document: Value| {
            let Some((what, bearable)) = judge(&document, now) else {
                return;
            };
            let text = |name: &str| document["metadata"][name].as_str().unwrap_or_default();
            let mut problem = Problem::new(namespace, text("name"), what);
            problem.bearable = bearable;
            wrong.push((problem, text("uid").to_owned()));
        };
        let seen = documents(cluster, &resource, namespace, &filter, deadline, take).await?;
        tally.add(seen);
    }
    for (n, (mut problem, uid)) in wrong.into_iter().enumerate() {
        if n < super::EXPLAINED {
            let namespace = problem
                .name
                .split('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            problem.more = attach(cluster, &namespace, &uid, None, true, deadline).await;
        }
        tally.problems.push(problem);
    }
    let finding = tally.finding(kind, &extension.name(), good);
    Ok(finding.fact("version", resource.api_version))
}

/// What is wrong with something that has a condition `Ready`; of the newest generation, if it says of which.
fn unready(document: &Value) -> Option<(String, bool)> {
    let Some(ready) = condition(document, "Ready") else {
        return Some(("its controller has not looked at it".to_owned(), false));
    };
    if ready.status != "True" {
        return Some((format!("is not ready: {}", why(&ready)), false));
    }
    let newest = document["metadata"]["generation"].as_i64();
    let behind = ready
        .generation
        .zip(newest)
        .is_some_and(|(of, newest)| of < newest);
    behind.then(|| {
        let what = "its controller has not looked at the newest specification";
        (what.to_owned(), true)
    })
}

/// What a controller repeats of other systems may hold anything.
fn why(condition: &Condition) -> String {
    condition.why(config::redact)
}

fn certificate(document: &Value, now: Instant) -> Option<(String, bool)> {
    let status = &document["status"];
    let not_after = time(&status["notAfter"]);
    if let Some(ended) = not_after.filter(|end| *end <= now) {
        let why = match condition(document, "Ready") {
            Some(ready) => format!("; {}", why(&ready)),
            None => String::new(),
        };
        return Some((format!("expired at {}{why}", ended.human()), false));
    }
    if let Some(problem) = unready(document) {
        return Some(problem);
    }
    let Some(not_after) = not_after else {
        let what = "is ready, and its controller does not say until when it is valid";
        return Some((what.to_owned(), true));
    };
    let left = not_after.since(now);
    let Some(renewal) = time(&status["renewalTime"]) else {
        let soon = left < CERTIFICATE_WARNING;
        return soon.then(|| (format!("expires in {}", Span(left)), true));
    };
    // One that is valid for an hour is renewed within that hour.
    let patience = TO_RENEW.min(not_after.since(renewal) / 2);
    let late = now.since(renewal);
    let why = match condition(document, "Issuing") {
        Some(issuing) => format!("; {}", why(&issuing)),
        None => String::new(),
    };
    (late > patience).then(|| {
        let what = format!(
            "was to be renewed {} ago, and expires in {}{why}",
            Span(late),
            Span(left)
        );
        (what, true)
    })
}

fn external_secret(document: &Value, now: Instant) -> Option<(String, bool)> {
    if let Some(problem) = unready(document) {
        return Some(problem);
    }
    let spec = &document["spec"];
    let policy = spec["refreshPolicy"].as_str().unwrap_or("Periodic");
    // Without an interval it is an hour; one of zero means never (the operator's API reference).
    let every = spec["refreshInterval"].as_str().unwrap_or("1h");
    let every: Option<Span> = every.parse().ok();
    let every = every.filter(|e| !e.0.is_zero() && policy == "Periodic")?;
    let Some(last) = time(&document["status"]["refreshTime"]) else {
        return Some(("is ready, and was never refreshed".to_owned(), true));
    };
    let ago = now.since(last);
    (ago > every.0 * 2 + LATE).then(|| {
        let what = format!(
            "was last refreshed {} ago, and is to be every {every}",
            Span(ago)
        );
        (what, true)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn noon() -> Instant {
        "2026-01-05T12:00:00Z".parse().expect("a time")
    }

    fn ready(mut status: Value, generation: i64) -> Value {
        status["conditions"] = json!([{"type": "Ready", "status": "True", "reason": "Ready", "observedGeneration": 2}]);
        json!({"metadata": {"generation": generation}, "status": status, "spec": {}})
    }

    fn says(found: Option<(String, bool)>) -> String {
        found.map_or_else(String::new, |(what, bearable)| {
            format!("{}{what}", if bearable { "~" } else { "" })
        })
    }

    #[test]
    fn a_certificate_is_judged_by_its_renewal_and_not_by_its_length() {
        let seen = |status| says(certificate(&ready(status, 2), noon()));
        // Valid for an hour, renewed in time.
        assert_eq!(
            seen(
                json!({"notAfter": "2026-01-05T12:20:00Z", "renewalTime": "2026-01-05T12:10:00Z"})
            ),
            ""
        );
        assert_eq!(
            seen(
                json!({"notAfter": "2026-01-25T12:00:00Z", "renewalTime": "2026-01-05T09:00:00Z"})
            ),
            "~was to be renewed 3h ago, and expires in 20d"
        );
        assert_eq!(
            seen(json!({"notAfter": "2026-01-15T12:00:00Z"})),
            "~expires in 10d"
        );
        assert_eq!(seen(json!({"notAfter": "2026-03-15T12:00:00Z"})), "");
        assert_eq!(
            seen(json!({"notAfter": "2026-01-05T11:00:00Z"})),
            "expired at 2026-01-05 11:00:00Z; Ready"
        );
        assert!(seen(json!({})).contains("until when"));
        let behind = certificate(
            &ready(json!({"notAfter": "2026-03-15T12:00:00Z"}), 3),
            noon(),
        );
        assert!(says(behind).contains("newest specification"));
        let unseen = certificate(&json!({"metadata": {}}), noon());
        assert!(says(unseen).contains("has not looked at it"));
        let refused = json!({"status": {"notAfter": "2026-03-15T12:00:00Z", "conditions": [
            {"type": "Ready", "status": "False", "reason": "IncorrectIssuer", "message": "the issuer is another"}]}});
        assert_eq!(
            says(certificate(&refused, noon())),
            "is not ready: IncorrectIssuer: the issuer is another"
        );
    }

    #[test]
    fn an_external_secret_is_late_after_two_intervals() {
        let seen = |interval: Option<&str>, policy: Option<&str>, last: Option<&str>| {
            let mut document = ready(json!({}), 2);
            for (place, name, value) in [
                ("spec", "refreshInterval", interval),
                ("spec", "refreshPolicy", policy),
                ("status", "refreshTime", last),
            ] {
                if let Some(value) = value {
                    document[place][name] = json!(value);
                }
            }
            says(external_secret(&document, noon()))
        };
        assert_eq!(seen(Some("1h0m0s"), None, Some("2026-01-05T10:30:00Z")), "");
        assert_eq!(
            seen(None, None, Some("2026-01-05T09:00:00Z")),
            "~was last refreshed 3h ago, and is to be every 1h"
        );
        assert_eq!(seen(Some("0s"), None, Some("2025-01-05T09:00:00Z")), "");
        assert_eq!(seen(Some("0"), None, None), "");
        assert_eq!(
            seen(
                Some("1h"),
                Some("CreatedOnce"),
                Some("2025-01-05T09:00:00Z")
            ),
            ""
        );
        assert!(seen(Some("1h"), None, None).contains("never refreshed"));
    }
}
