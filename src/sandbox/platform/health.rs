//! The health documents of the GA Operator Handbook: liveness says that the process runs, detail and readiness ask the
//! three stores anew for every request.

use std::time::Instant as Clock;

use serde_json::{Map, Value, json};

use super::stores::{QUEUE, SERVICES, Stores};
use crate::time::Instant;

/// The names that readiness failures use.
const NAMES: [&str; 3] = ["Neo4j", "PostgreSQL", "Redis"];

/// `GET /health`, `GET /healthz`: the process runs.
pub fn live(started: Clock) -> (u16, Value) {
    let document = json!({
        "status": "ok",
        "timestamp": Instant::now(),
        "uptime": started.elapsed().as_secs_f64(),
        "environment": "sandbox",
    });
    (200, document)
}

/// `GET /health/detailed`: each store `healthy` or `unhealthy`; `degraded` and 503 if any is unhealthy.
pub async fn detailed(stores: &Stores, started: Clock) -> (u16, Value) {
    let checks = stores.check().await;
    let mut services = Map::new();
    let mut errors = Vec::new();
    for (service, check) in SERVICES.into_iter().zip(checks) {
        let state = match check {
            Ok(()) => "healthy",
            Err(error) => {
                errors.push(json!({
                    "service": service, "error": error, "timestamp": Instant::now(),
                }));
                "unhealthy"
            }
        };
        services.insert(service.to_owned(), json!(state));
    }
    let (code, status) = if errors.is_empty() {
        (200, "ok")
    } else {
        (503, "degraded")
    };
    let document = json!({
        "status": status,
        "timestamp": Instant::now(),
        "uptime": started.elapsed().as_secs_f64(),
        "environment": "sandbox",
        "services": services,
        "errors": errors,
    });
    (code, document)
}

/// `GET /health/ready`: 200 and `ready`, or 503 with what fails.
pub async fn ready(stores: &Stores) -> (u16, Value) {
    let checks = stores.check().await;
    let failures: Vec<String> = NAMES
        .into_iter()
        .zip(checks)
        .filter_map(|(name, check)| {
            let error = check.err()?;
            // Drivers begin with the name already.
            Some(if error.starts_with(name) {
                error
            } else {
                format!("{name}: {error}")
            })
        })
        .collect();
    if failures.is_empty() {
        return (200, json!({"status": "ready"}));
    }
    let document = json!({
        "status": "not ready",
        "failures": failures,
        "message": "critical services are unavailable",
    });
    (503, document)
}

/// `GET /queues/health`: the depth of the job queue, as Redis counts it.
pub async fn queues(stores: &Stores) -> (u16, Value) {
    match stores.queue_depth().await {
        Ok(depth) => {
            let queue = json!({"name": QUEUE, "depth": depth});
            (200, json!({"status": "ok", "queues": [queue]}))
        }
        Err(error) => (503, json!({"status": "unavailable", "error": error})),
    }
}
