//! `backup.copy`: what a copy of the repository lacks, brought there.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Context as _, Error, Result};
use crate::repository::{BackupId, CopyOptions, INCOMPLETE, Lag};
use crate::time::human_bytes;

/// Arguments of `backup.copy`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CopyArgs {
    /// The copy's name in the configuration.
    pub to: String,
    /// The backup that must be there afterwards; whatever else is missing comes along. Without it, every one that is missing
    /// when the plan is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
}

/// What must be in the copy afterwards.
#[derive(Debug, Serialize, Deserialize)]
pub struct CopyChange {
    to: String,
    backups: Vec<BackupId>,
}

/// The step kind `backup.copy`.
pub struct CopyBackups;

#[async_trait]
impl Step<World> for CopyBackups {
    const KIND: &'static str = "backup.copy";
    const SUMMARY: &'static str = "Brings what a copy of the repository lacks, byte for byte and checked; needs no identity, and is safe beside backups and prunes";
    type Args = CopyArgs;
    type Change = CopyChange;

    fn effect(&self, _: &CopyArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &CopyArgs) -> String {
        format!("bring the backups to the copy `{}`", args.to)
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &CopyArgs) -> Result<Decision<CopyChange>> {
        let settings = cx.world.repository_settings()?;
        let copy = settings.copy(&args.to)?;
        let repository = cx.world.repository().await?;
        let decisive = Facts::from_iter([
            ("repository-id".to_owned(), json!(repository.id())),
            ("to".to_owned(), json!(copy.place.to_string())),
        ]);
        let mut shown = decisive.clone();
        // A backup is made whether its copies are within reach or not.
        let backups = match &args.backup {
            Some(backup) => vec![backup.clone()],
            None => {
                let lag = lag(cx.world, &args.to)
                    .await
                    .map_err(|e| e.hint(again(cx.world, &args.to)))?;
                if lag.missing.is_empty() && lag.unproved.is_empty() && !lag.keys_differ {
                    return Ok(Decision::Done(seen(&args.to, &lag)));
                }
                shown.insert("brings".to_owned(), json!(lag.missing));
                if !lag.unproved.is_empty() {
                    shown.insert("records-of-restores".to_owned(), json!(lag.unproved));
                }
                if lag.keys_differ {
                    shown.insert(
                        "keys".to_owned(),
                        json!("the signers, the epochs and the key files as they are here"),
                    );
                }
                lag.missing
            }
        };
        Ok(Decision::Change {
            decisive,
            shown,
            change: CopyChange {
                to: args.to.clone(),
                backups,
            },
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &CopyChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let copy = cx.world.repository_settings()?.copy(&change.to)?;
        let again = again(cx.world, &change.to);
        let options = CopyOptions {
            events: cx.events.clone(),
            cancel: cx.cancel.clone(),
        };
        let work = async {
            let repository = cx.world.repository().await?;
            let store = copy.store().await?;
            let done = repository.copy_to(&store, &options).await?;
            cx.events.note(format!(
                "{} backups brought; {} segments, {}",
                done.backups,
                done.segments,
                human_bytes(done.bytes)
            ));
            if done.proved > 0 {
                cx.events.note(format!(
                    "records of restores brought for {} backups that were there",
                    done.proved
                ));
            }
            if done.mended > 0 {
                cx.events.note(format!(
                    "{} segments there were damaged and were put right: `summitctl backup verify BACKUP --repository {}` proves it",
                    done.mended, change.to
                ));
            }
            done.whole(&copy.place.to_string())
        };
        let done: Result<()> = work.await;
        done.context(|| format!("the copy `{}` is not complete", change.to))
            .map_err(|e| e.hint(again))
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &CopyChange) -> Result<Observed> {
        let again = |e: Error| e.hint(again(cx.world, &change.to));
        let lag = lag(cx.world, &change.to).await.map_err(again)?;
        // One that failed its last verification there is proved by the next one.
        let store = cx
            .world
            .repository_settings()?
            .copy(&change.to)?
            .store()
            .await?;
        let there = cx.world.repository().await?.in_place(&store);
        for backup in change.backups.iter().filter(|b| lag.missing.contains(b)) {
            if there.show(backup).await.is_err() {
                return Err(again(Error::new(
                    &INCOMPLETE,
                    format!("the copy `{}` lacks `{backup}`", change.to),
                )));
            }
        }
        Ok(seen(&change.to, &lag))
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, _: &CopyChange, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Kept("what was copied stays".to_owned()))
    }
}

/// How a copy that is not complete becomes so.
fn again(world: &World, copy: &str) -> String {
    format!(
        "Go on with `summitctl backup copy {copy} --context {}`; what is in the repository itself is whole and counts.",
        world.context
    )
}

/// How far a copy is behind.
pub async fn lag(world: &World, to: &str) -> Result<Lag> {
    let store = world.repository_settings()?.copy(to)?.store().await?;
    let repository = world.repository().await?;
    repository.lag(&store, &world.context).await
}

fn seen(to: &str, lag: &Lag) -> Observed {
    Observed::of(json!({"copy": to, "newest": lag.newest, "behind": lag.behind}))
}
