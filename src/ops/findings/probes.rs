//! The checks of `smoke`.

use super::Known;
use crate::check::Category;

const ANSWER: Option<&str> =
    Some("See the whole answer with `curl -isS URL`; the log of what serves it says why.");

/// The checks of `smoke`.
pub const SMOKE: &[Known] = &[
    (
        "network.dns",
        "The gateway's host name resolves",
        Category::Network,
        Some("Nobody reaches the platform by its name."),
        Some("See what the name leads to with `getent hosts NAME`."),
    ),
    (
        "network.tcp",
        "The gateway's port accepts connections",
        Category::Network,
        Some("Nobody reaches the platform."),
        Some("See whether the gateway runs and listens there with `curl -isS URL`."),
    ),
    (
        "network.tls",
        "The gateway's certificate is valid for at least 21 days",
        Category::Network,
        None,
        Some("Renew the certificate."),
    ),
    (
        "gateway.live",
        "`/health` says `ok`",
        Category::Platform,
        Some("The gateway's process is not serving."),
        ANSWER,
    ),
    (
        "gateway.live-alias",
        "`/healthz`, where it is served, says `ok`",
        Category::Platform,
        None,
        ANSWER,
    ),
    (
        "gateway.detailed",
        "`/health/detailed` reports Postgres, Neo4j and Redis healthy",
        Category::Platform,
        None,
        ANSWER,
    ),
    (
        "gateway.ready",
        "`/health/ready` says `ready` and lists no failures",
        Category::Platform,
        Some("Load balancers keep the gateway out of rotation."),
        ANSWER,
    ),
    (
        "gateway.queues",
        "`/queues/health` is good, where it is configured",
        Category::Platform,
        Some("Background jobs wait."),
        ANSWER,
    ),
    (
        "gateway.not-a-stub",
        "A path that does not exist is refused",
        Category::Platform,
        Some("A gateway that says yes to everything proves nothing."),
        None,
    ),
    (
        "ui.page",
        "The UI serves an HTML page",
        Category::Platform,
        Some("Users see no UI."),
        ANSWER,
    ),
    (
        "prometheus.targets",
        "Prometheus reports its targets up",
        Category::Observability,
        Some("Alerts are blind where a target is down."),
        Some("See each target and its last error on the page `/targets` of Prometheus."),
    ),
];
