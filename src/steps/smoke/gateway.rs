//! The platform's own endpoints, by the health contract of the operator handbook: liveness, the detailed view in
//! both known shapes, readiness, queues, the UI, and whether the gateway is more than a stub that says yes to everything.

use std::sync::Arc;

use serde_json::Value;

use crate::check::{Category, Check, Finding};
use crate::identity::Store;
use crate::providers::http::{Answer, Client};
use crate::wait::Deadline;

use super::super::world::Gateway;
use super::{impact, store_check};

/// Adds the probes of a gateway.
pub fn probes<'a>(settings: &'a Gateway, client: &Arc<Client>, checks: &mut Vec<Check<'a>>) {
    let add =
        |checks: &mut Vec<Check<'a>>, check: Check<'a>| checks.push(check.needs("network.tcp"));
    add(
        checks,
        probe(
            "gateway.live",
            "Gateway is alive",
            settings,
            client,
            settings.at(&settings.paths.live),
            live,
        )
        .impact("The gateway's process is not serving; clients get no answers."),
    );
    add(
        checks,
        probe(
            "gateway.live-alias",
            "Gateway answers its liveness alias",
            settings,
            client,
            settings.at(&settings.paths.live_alias),
            alias,
        )
        .advisory(),
    );
    add(
        checks,
        probe(
            "gateway.detailed",
            "Gateway sees its dependencies healthy",
            settings,
            client,
            settings.at(&settings.paths.detailed),
            detailed,
        ),
    );
    add(
        checks,
        probe(
            "gateway.ready",
            "Gateway is ready for traffic",
            settings,
            client,
            settings.at(&settings.paths.ready),
            ready,
        )
        .impact("Load balancers keep the gateway out of rotation."),
    );
    if let Some(queues) = &settings.queues {
        add(
            checks,
            probe(
                "gateway.queues",
                "Background queues are healthy",
                settings,
                client,
                settings.at(queues),
                queue,
            ),
        );
    }
    // A path that nobody serves: a gateway that says yes to it proves nothing with its other answers.
    let nowhere = settings.at("/summitctl-probe/no-such-path");
    add(
        checks,
        probe(
            "gateway.not-a-stub",
            "Gateway refuses a path that does not exist",
            settings,
            client,
            nowhere,
            stub,
        )
        .impact("The health answers above prove nothing: the gateway says yes to any path."),
    );
    match &settings.ui_url {
        Some(url) => checks.push(
            probe(
                "ui.page",
                "UI serves its page",
                settings,
                client,
                url.clone(),
                page,
            )
            .impact("Users see no UI."),
        ),
        None => checks.push(
            Check::known(
                "ui.page",
                Category::Platform,
                "UI serves its page",
                Finding::skipped("no UI address is configured"),
            )
            .advisory(),
        ),
    }
}

fn probe<'a>(
    id: &'static str,
    title: &'static str,
    settings: &Gateway,
    client: &Arc<Client>,
    url: String,
    judge: fn(&Answer) -> Finding,
) -> Check<'a> {
    let token = match &settings.token {
        Some(_) => "-H \"Authorization: Bearer $TOKEN\" ",
        None => "",
    };
    let hint = format!(
        "See the whole answer with `curl -isS {token}{url}`; the log of what serves it says why."
    );
    let client = Arc::clone(client);
    Check::new(id, Category::Platform, title, move |attempt| {
        let (client, url) = (Arc::clone(&client), url.clone());
        async move { look(&client, &url, attempt.deadline, judge).await }
    })
    .hint(hint)
}

async fn look(
    client: &Client,
    url: &str,
    deadline: Deadline,
    judge: fn(&Answer) -> Finding,
) -> Finding {
    match client.get(url, deadline).await {
        Ok(answer) => judge(&answer)
            .fact("status", answer.status)
            .fact("latency-ms", answer.latency.as_secs_f64() * 1000.0),
        Err(error) => Finding::from_error(&error),
    }
}

fn unexpected(answer: &Answer) -> Finding {
    Finding::failed(format!("HTTP {}: {}", answer.status, answer.excerpt()))
}

fn status_word(answer: &Answer) -> Option<String> {
    answer.json()?.get("status")?.as_str().map(str::to_owned)
}

fn live(answer: &Answer) -> Finding {
    match (answer.status, status_word(answer).as_deref()) {
        (200, Some("ok")) => Finding::passed("status `ok`"),
        (200, Some(word)) => {
            Finding::failed(format!("HTTP 200 with status `{word}`, expected `ok`"))
        }
        (200, None) => {
            Finding::failed("HTTP 200 without a `status`: not the platform's health document")
        }
        _ => unexpected(answer),
    }
}

fn alias(answer: &Answer) -> Finding {
    match answer.status {
        404 => Finding::skipped("this gateway has no such alias").settled(),
        _ => live(answer),
    }
}

fn stub(answer: &Answer) -> Finding {
    match answer.status {
        200..=299 => Finding::failed(format!(
            "HTTP {} for a path that does not exist",
            answer.status
        ))
        .settled(),
        status => Finding::passed(format!("HTTP {status} for a path that does not exist")),
    }
}

fn page(answer: &Answer) -> Finding {
    let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    let html = answer.content_type.contains("text/html")
        && (text.contains("<html") || text.contains("<!doctype html"));
    match (answer.status, html) {
        (200, true) => Finding::passed(format!("HTML, {} bytes", answer.body.len())),
        (200, false) => Finding::failed(format!(
            "HTTP 200, but no HTML page: `{}`",
            answer.content_type
        )),
        _ => unexpected(answer),
    }
}

/// Whether a health word says that a dependency works.
fn good(word: &str) -> bool {
    matches!(
        word.to_ascii_lowercase().as_str(),
        "healthy" | "ok" | "up" | "ready" | "connected" | "pass"
    )
}

/// The dependencies of a detailed document, in both known shapes: name to word (`"neo4j": "healthy"`), and name to
/// object with a `status`; under `services`, `dependencies`, `checks` or `components`.
fn dependencies(json: &Value) -> Vec<(String, String)> {
    let maps = ["services", "dependencies", "checks", "components"];
    let Some(map) = maps.iter().find_map(|key| json.get(key)?.as_object()) else {
        return Vec::new();
    };
    map.iter()
        .filter_map(|(name, value)| {
            let word = match value {
                Value::String(word) => word.clone(),
                Value::Bool(up) => if *up { "healthy" } else { "unhealthy" }.to_owned(),
                Value::Object(fields) => fields.get("status")?.as_str()?.to_owned(),
                _ => return None,
            };
            Some((name.to_ascii_lowercase(), word))
        })
        .collect()
}

fn known(name: &str) -> Option<Store> {
    match name {
        "postgres" | "postgresql" | "database" | "db" => Some(Store::Postgres),
        "neo4j" | "graph" => Some(Store::Neo4j),
        "redis" | "cache" => Some(Store::Redis),
        _ => None,
    }
}

fn detailed(answer: &Answer) -> Finding {
    let Some(json) = answer.json().filter(|_| matches!(answer.status, 200 | 503)) else {
        return unexpected(answer);
    };
    let found = dependencies(&json);
    if found.is_empty() {
        return Finding::failed("the document lists no dependency").settled();
    }
    let bad: Vec<&(String, String)> = found.iter().filter(|(_, word)| !good(word)).collect();
    let (critical, other): (Vec<_>, Vec<_>) =
        bad.into_iter().partition(|(name, _)| known(name).is_some());
    let words = |list: &[&(String, String)]| {
        list.iter()
            .map(|(n, w)| format!("{n} {w}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let names: Vec<&String> = found.iter().map(|(n, _)| n).collect();
    let overall = json
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let finding = if let Some((name, _)) = critical.first() {
        let mut finding = Finding::failed(format!("the gateway reports {}", words(&critical)));
        for store in critical.iter().filter_map(|(n, _)| known(n)) {
            finding = finding.hint(format!("With {store} unhealthy: {}", impact(store)));
        }
        if let Some(store) = known(name) {
            finding = finding.caused_by(store_check(store));
        }
        finding
    } else if answer.status == 503 || !matches!(overall, "ok" | "healthy") {
        Finding::degraded(format!(
            "the gateway calls itself `{overall}` (HTTP {}), its datastores healthy",
            answer.status
        ))
    } else if other.is_empty() {
        let shown: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
        Finding::passed(format!("healthy: {}", shown.join(", ")))
    } else {
        // A service the handbook does not know is no failure of the platform.
        Finding::passed(format!(
            "datastores healthy; also reported: {}",
            words(&other)
        ))
    };
    finding.fact(
        "dependencies",
        serde_json::to_value(&found).unwrap_or_default(),
    )
}

/// The entries of a readiness document's `failures`, as words or objects, or its `error`.
fn failures(json: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(word) => word.clone(),
        Value::Object(fields) => {
            let name = ["service", "dependency", "name", "check"]
                .iter()
                .find_map(|k| fields.get(*k)?.as_str());
            let why = ["error", "message", "reason"]
                .iter()
                .find_map(|k| fields.get(*k)?.as_str());
            [name, why]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(": ")
        }
        other => other.to_string(),
    };
    match (json.get("failures"), json.get("error")) {
        (Some(Value::Array(items)), _) if !items.is_empty() => items.iter().map(text).collect(),
        (_, Some(error)) if !error.is_null() => vec![text(error)],
        _ => Vec::new(),
    }
}

fn ready(answer: &Answer) -> Finding {
    let json = answer.json().unwrap_or_default();
    let failures = failures(&json);
    match (answer.status, json.get("status").and_then(Value::as_str)) {
        (200, Some("ready")) if failures.is_empty() => Finding::passed("status `ready`"),
        (200, Some("ready")) => Finding::failed(format!(
            "says `ready` and lists failures: {}",
            failures.join("; ")
        )),
        (200, _) => Finding::failed(format!(
            "HTTP 200 without status `ready`: {}",
            answer.excerpt()
        )),
        (503, _) if !failures.is_empty() => {
            let finding = Finding::failed(format!("not ready: {}", failures.join("; ")))
                .fact("failures", failures.clone());
            let lower = failures[0].to_ascii_lowercase();
            let word = lower
                .split(|c: char| !c.is_ascii_alphanumeric())
                .find_map(known);
            match word {
                Some(store) => finding.caused_by(store_check(store)),
                None => finding,
            }
        }
        _ => unexpected(answer),
    }
}

fn queue(answer: &Answer) -> Finding {
    let word = status_word(answer);
    match (answer.status, word.as_deref()) {
        (200, Some(word)) if good(word) => Finding::passed(format!("status `{word}`")),
        (200, None) => Finding::passed("HTTP 200"),
        (404, _) => {
            Finding::failed("HTTP 404: queue health is configured but not served").settled()
        }
        _ => unexpected(answer),
    }
    .fact("document", answer.json().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::event::Outcome;

    fn answer(status: u16, body: Value) -> Answer {
        Answer {
            status,
            content_type: "application/json".into(),
            body: body.to_string().into_bytes(),
            truncated: false,
            latency: Duration::from_millis(1),
        }
    }

    #[test]
    fn both_shapes_of_the_detailed_document_are_read() {
        let words = json!({"status": "degraded", "services": {"neo4j": "unhealthy", "postgres": "healthy"}});
        let objects = json!({"status": "degraded", "dependencies": {"neo4j": {"status": "unhealthy"}, "postgres": {"status": "healthy"}}});
        for body in [words, objects] {
            let finding = detailed(&answer(503, body));
            assert_eq!(finding.outcome, Outcome::Failed);
            assert_eq!(finding.caused_by.as_deref(), Some("neo4j.ping"));
            assert!(finding.hints[0].contains("Graph queries are blocked"));
        }
    }

    #[test]
    fn an_unknown_extra_service_is_no_failure() {
        let body =
            json!({"status": "ok", "services": {"neo4j": "healthy", "elasticsearch": "unhealthy"}});
        let finding = detailed(&answer(200, body));
        assert_eq!(finding.outcome, Outcome::Passed);
        assert!(finding.detail.contains("elasticsearch unhealthy"));
        assert_eq!(
            detailed(&answer(200, json!({"status": "ok"}))).outcome,
            Outcome::Failed
        );
        assert_eq!(
            detailed(&answer(
                503,
                json!({"status": "degraded", "services": {"neo4j": "ok"}})
            ))
            .outcome,
            Outcome::Degraded
        );
    }

    #[test]
    fn readiness_reads_failures_and_error() {
        assert_eq!(
            ready(&answer(200, json!({"status": "ready"}))).outcome,
            Outcome::Passed
        );
        assert_eq!(
            ready(&answer(200, json!({"status": "ok"}))).outcome,
            Outcome::Failed
        );
        let list = ready(&answer(
            503,
            json!({"status": "not ready", "failures": [{"service": "Redis", "error": "gone"}]}),
        ));
        assert_eq!(list.caused_by.as_deref(), Some("redis.ping"));
        let error = ready(&answer(
            503,
            json!({"error": "Postgres: connection refused"}),
        ));
        assert_eq!(error.caused_by.as_deref(), Some("postgres.ping"));
        assert_eq!(ready(&answer(503, json!({}))).outcome, Outcome::Failed);
    }

    #[test]
    fn a_gateway_that_says_yes_to_everything_is_a_stub() {
        assert_eq!(
            stub(&answer(200, json!({"status": "ok"}))).outcome,
            Outcome::Failed
        );
        assert_eq!(stub(&answer(404, json!({}))).outcome, Outcome::Passed);
        assert_eq!(
            live(&answer(200, json!({"hello": 1}))).outcome,
            Outcome::Failed
        );
    }
}
