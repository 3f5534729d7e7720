//! The checks that `explain` knows, whatever they found; and every reason code of the program.

use super::explain::FindingInfo;
use crate::error::Reason;
use crate::identity::Store;
use crate::steps::smoke;

/// Every module's reasons. A module that declares some and is not here fails a test.
pub fn reasons() -> Vec<&'static [&'static Reason]> {
    vec![
        crate::error::REASONS,
        crate::consent::REASONS,
        crate::expr::REASONS,
        crate::sign::REASONS,
        crate::config::REASONS,
        crate::config::pins::REASONS,
        crate::config::reference::REASONS,
        crate::engine::executor::REASONS,
        crate::engine::journal::REASONS,
        crate::engine::lease::REASONS,
        crate::engine::runs::REASONS,
        crate::evidence::REASONS,
        crate::providers::http::REASONS,
        crate::providers::neo4j::REASONS,
        crate::providers::postgres::REASONS,
        crate::providers::redis::REASONS,
        crate::repository::REASONS,
        crate::runbook::REASONS,
        crate::sandbox::faults::REASONS,
        crate::sandbox::folder::REASONS,
        crate::sandbox::servers::REASONS,
        crate::steps::drill::REASONS,
        crate::steps::exec::REASONS,
        crate::steps::gate::REASONS,
        crate::steps::manual::REASONS,
        crate::steps::restore::REASONS,
        crate::steps::smoke::REASONS,
        crate::steps::smoke::data_plane::REASONS,
        crate::steps::verify::REASONS,
        crate::steps::world::REASONS,
        super::restore::REASONS,
    ]
}

/// The checks of smoke and gate. Those of `config check` are named after their variables.
pub fn all() -> Vec<FindingInfo> {
    let info = |id: &str, title: &str, category: &str, impact: Option<&str>, hint: Option<&str>| {
        FindingInfo {
            id: id.to_owned(),
            title: title.to_owned(),
            category: category.to_owned(),
            impact: impact.map(str::to_owned),
            hint: hint.map(str::to_owned),
        }
    };
    let doctor = Some("Run `summitctl doctor` to see how far the connection gets.");
    let mut all: Vec<FindingInfo> = Store::ALL
        .into_iter()
        .map(|store| {
            let title = format!("{store} answers, asked directly");
            info(
                smoke::store_check(store),
                &title,
                "Datastores",
                Some(smoke::impact(store)),
                doctor,
            )
        })
        .collect();
    let create = Some("Make a backup with `summitctl backup create`.");
    let drill = Some("Run a drill with `summitctl drill run`.");
    all.extend([
        info(
            "network.dns",
            "The gateway's host name resolves",
            "Network",
            Some("Nobody reaches the platform by its name."),
            None,
        ),
        info(
            "network.tcp",
            "The gateway's port accepts connections",
            "Network",
            Some("Nobody reaches the platform."),
            None,
        ),
        info(
            "network.tls",
            "The gateway's certificate is valid for at least 21 days",
            "Network",
            None,
            Some("Renew the certificate."),
        ),
        info(
            "gateway.live",
            "`/health` says `ok`",
            "Platform",
            Some("The gateway's process is not serving."),
            None,
        ),
        info(
            "gateway.live-alias",
            "`/healthz`, where it is served, says `ok`",
            "Platform",
            None,
            None,
        ),
        info(
            "gateway.detailed",
            "`/health/detailed` reports Postgres, Neo4j and Redis healthy",
            "Platform",
            None,
            None,
        ),
        info(
            "gateway.ready",
            "`/health/ready` says `ready` and lists no failures",
            "Platform",
            Some("Load balancers keep the gateway out of rotation."),
            None,
        ),
        info(
            "gateway.queues",
            "`/queues/health` is good, where it is configured",
            "Platform",
            Some("Background jobs wait."),
            None,
        ),
        info(
            "gateway.not-a-stub",
            "A path that does not exist is refused",
            "Platform",
            Some("A gateway that says yes to everything proves nothing."),
            None,
        ),
        info(
            "ui.page",
            "The UI serves an HTML page",
            "Platform",
            Some("Users see no UI."),
            None,
        ),
        info(
            "prometheus.targets",
            "Prometheus reports its targets up",
            "Observability",
            Some("Alerts are blind where a target is down."),
            None,
        ),
        info(
            "backup.fresh",
            "The newest backup's data are younger than the policy's freshness",
            "Backups",
            Some("A disaster now would lose more than the policy allows."),
            create,
        ),
        info(
            "backup.verified",
            "The newest backup was proved to the policy's level, by the signed ledger",
            "Backups",
            None,
            Some("Prove it with `summitctl backup verify`."),
        ),
        info(
            "backup.consistent",
            "Each store of the newest backup shows one moment",
            "Backups",
            None,
            None,
        ),
        info(
            "drill.recent",
            "A signed drill passed within the policy's interval",
            "Drills",
            Some("Nobody knows that the backups can be restored."),
            drill,
        ),
        info(
            "drill.times",
            "The last drill kept RTO and RPO",
            "Drills",
            None,
            drill,
        ),
        info(
            "evidence.sound",
            "Every record is signed and chained, and no run stayed open",
            "Evidence",
            None,
            Some("See the findings with `summitctl evidence verify`."),
        ),
        info(
            "config.variables",
            "The platform's variables are present, strong and consistent",
            "Configuration",
            None,
            Some("See each with `summitctl config check`."),
        ),
        info(
            "smoke",
            "Smoke passes now",
            "Platform",
            None,
            Some("See each probe with `summitctl smoke`."),
        ),
    ]);
    all
}
