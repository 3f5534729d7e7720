//! `kube.job.run`: a Job is made from the template of a CronJob, or of a Job that was there before, and followed to its end.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{cluster, refused, soon, space};
use crate::config;
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::providers::kubernetes::{self, Ask, JOB_FAILED, JobSeen, Kind, Named, Template};
use crate::steps::world::World;

/// A Job's name is also a label's value, and its pods' names are longer.
const LONGEST: usize = 52;
/// How much of the log stays in the journal.
const KEPT: usize = 20;

/// Arguments of `kube.job.run`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunJobArgs {
    /// Whose template it is, as in `cronjob/db-migrate`, or `job/db-migrate` for a Job that was there before.
    pub from: String,
    /// Its namespace; the context's, if it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A Job to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunJobChange {
    from: Named,
    digest: String,
    name: String,
}

/// The step kind `kube.job.run`.
pub struct RunJob;

#[async_trait]
impl Step<World> for RunJob {
    const KIND: &'static str = "kube.job.run";
    const SUMMARY: &'static str = "Runs a Job from the template of a CronJob or of an earlier Job, once a run, and follows its log; `result.state` is `complete`, and a Job that fails fails the step with its diagnosis";
    type Args = RunJobArgs;
    type Change = RunJobChange;

    fn effect(&self, _: &RunJobArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &RunJobArgs) -> String {
        format!("run a job from `{}`, and follow it", args.from)
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &RunJobArgs,
    ) -> Result<Decision<RunJobChange>> {
        let (from, template) = read(cx, args).await?;
        let cluster = cluster(cx.world).await?;
        let space = from.namespace.as_str();
        let asks = [
            Kind::Job.ask("create", space),
            Kind::Job.ask("get", space),
            Ask::named("list", "", "pods", Some(space)),
            Ask::named("get", "", "pods/log", Some(space)),
        ];
        if let Some(blocked) = refused(cluster, Self::KIND, &asks).await? {
            return Ok(Decision::Blocked(blocked));
        }
        let Foresight { decisive, shown } = foresight(&from, &template);
        Ok(Decision::Change {
            change: RunJobChange {
                name: name_of(&from.name, cx.run, cx.step),
                digest: template.digest,
                from,
            },
            decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &RunJobArgs) -> Result<Foresight> {
        let (from, template) = read(cx, args).await?;
        Ok(foresight(&from, &template))
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &RunJobChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let cluster = cluster(cx.world).await?;
        let RunJobChange { from, digest, name } = change;
        kubernetes::start(cluster, from, digest, name, &grant.key().0, grant.consent()).await?;
        cx.events
            .note(format!("job `{}/{name}` is made", from.namespace));
        let following = kubernetes::follow(cluster, &from.namespace, name, |line| {
            cx.events.note(config::redact(&line));
        });
        let seen = cx.cancel.guard(following).await?;
        complete(&from.namespace, name, &seen)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &RunJobChange) -> Result<Observed> {
        let cluster = cluster(cx.world).await?;
        let (space, name) = (&change.from.namespace, &change.name);
        let seen = kubernetes::ended(cluster, space, name).await?;
        complete(space, name, &seen)?;
        let lines = lines(&seen);
        Ok(Observed::of(
            json!({"state": seen.state, "job": name, "seen": lines}),
        ))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &RunJobChange,
        grant: Grant<'_>,
    ) -> Result<Undo> {
        let cluster = cluster(cx.world).await?;
        let (space, name) = (&change.from.namespace, &change.name);
        if kubernetes::stop(cluster, space, name, grant.consent()).await? {
            return Ok(Undo::Impossible(format!(
                "the job `{space}/{name}` was running and is removed with its pods; what it had done by then stays"
            )));
        }
        Ok(Undo::Impossible(format!(
            "what the job `{space}/{name}` did stays; the job and its log are there to be read"
        )))
    }
}

async fn read(cx: &ReadCx<'_, World>, args: &RunJobArgs) -> Result<(Named, Template)> {
    let cluster = cluster(cx.world).await?;
    let space = space(cluster, args.namespace.as_deref()).await?;
    let from = Named::parse(&args.from, space, &[Kind::CronJob, Kind::Job])?;
    let template = kubernetes::template(cluster, &from, soon()).await?;
    Ok((from, template))
}

fn foresight(from: &Named, template: &Template) -> Foresight {
    let runs: Vec<String> = template.runs.iter().map(|r| config::redact(r)).collect();
    let said = format!("{from}, UID {}, {}", template.uid, template.digest);
    let facts = Facts::from_iter([
        ("template".to_owned(), json!(said)),
        ("runs".to_owned(), json!(runs)),
        ("service-account".to_owned(), json!(template.account)),
    ]);
    Foresight {
        decisive: facts.clone(),
        shown: facts,
    }
}

/// The same in every attempt of a step, and another in every run.
fn name_of(from: &str, run: &str, step: &str) -> String {
    let hash = Sha256::digest(format!("{run}/{step}"));
    let tag: String = hash.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let from: String = from.chars().take(LONGEST - 9).collect();
    format!("{}-{tag}", from.trim_end_matches(['-', '.']))
}

fn complete(space: &str, name: &str, seen: &JobSeen) -> Result<()> {
    if seen.state == "complete" {
        return Ok(());
    }
    Err(Error::new(&JOB_FAILED, lines(seen).join("; ")).hint(format!(
        "Read all of its log with `kubectl logs -n {space} job/{name}`; it stays. A new run makes a new job."
    )))
}

fn lines(seen: &JobSeen) -> Vec<String> {
    let all = seen.observations.iter().map(|line| config::redact(line));
    all.take(KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_name_is_the_runs_own_and_never_too_long() {
        let name = name_of("db-migrate", "20260101T000000Z-1", "migrate");
        assert_eq!(name, name_of("db-migrate", "20260101T000000Z-1", "migrate"));
        assert_ne!(name, name_of("db-migrate", "20260101T000000Z-2", "migrate"));
        assert!(
            name.starts_with("db-migrate-") && name.len() == 19,
            "{name}"
        );
        assert!(name_of(&"a-".repeat(40), "r", "s").len() <= LONGEST);
    }
}
