//! `migrate.job.show`: what became of a migration's Kubernetes Job, for a runbook that begins with its log.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::config;
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::Result;
use crate::providers::kubernetes;
use crate::wait::Deadline;

/// How long the cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `migrate.job.show`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct JobArgs {
    /// The Job's name.
    #[serde(default = "db_migrate")]
    pub job: String,
}

fn db_migrate() -> String {
    "db-migrate".to_owned()
}

/// The step kind `migrate.job.show`.
pub struct ShowJob;

#[async_trait]
impl Look<World> for ShowJob {
    const KIND: &'static str = "migrate.job.show";
    const SUMMARY: &'static str = "Looks at a migration's Job in the context's cluster: `result.state` is `complete`, `failed`, `running`, `suspended`, `absent`, or `no-cluster` if the context has none";
    type Args = JobArgs;

    fn title(&self, args: &JobArgs) -> String {
        format!("look at the job `{}` and the end of its log", args.job)
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &JobArgs) -> Result<Observed> {
        let Some(target) = &cx.world.kubernetes else {
            return Ok(Observed::of(json!({
                "state": "no-cluster",
                "log": format!("docker compose logs {}", args.job),
            })));
        };
        let deadline = Deadline::after(PATIENCE);
        let cluster = target.open(deadline).await?;
        let found = kubernetes::job(cluster, &args.job, deadline).await?;
        let mut lines: Vec<String> = Vec::new();
        for line in found.iter().flat_map(|job| &job.observations) {
            let line = config::redact(line);
            cx.events.note(line.clone());
            lines.push(line);
        }
        // What needs somebody counts, if several namespaces have a Job of this name.
        let worst = ["failed", "running", "suspended", "complete"];
        let state = worst
            .into_iter()
            .find(|w| found.iter().any(|j| j.state == *w));
        Ok(Observed::of(json!({
            "state": state.unwrap_or("absent"),
            "seen": lines,
        })))
    }
}
