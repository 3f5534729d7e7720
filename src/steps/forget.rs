//! `backup.forget`: a backup that is gone without a word is stated to be removed.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::repository::{BackupId, INCOMPLETE, NOT_GONE};

/// Arguments of `backup.forget`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForgetArgs {
    /// The backup's id.
    pub backup: String,
}

/// The step kind `backup.forget`.
pub struct Forget;

#[async_trait]
impl Step<World> for Forget {
    const KIND: &'static str = "backup.forget";
    const SUMMARY: &'static str = "States that a backup which this host saw, and which is gone, was removed on purpose; its segments may be collected";
    type Args = ForgetArgs;
    type Change = BackupId;

    fn effect(&self, _: &ForgetArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, args: &ForgetArgs) -> String {
        format!("forget backup {}", args.backup)
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &ForgetArgs) -> Result<Decision<BackupId>> {
        let repository = cx.world.repository().await?;
        repository.check_signer(cx.world.signing_key()?)?;
        let id: BackupId = args.backup.parse()?;
        if repository.is_removed(&id).await? {
            let seen = json!({"backup": id, "removed": true});
            return Ok(Decision::Done(Observed::of(seen)));
        }
        let missing = repository.missing_backups().await?;
        if !missing.is_some_and(|m| m.contains(&id)) {
            return Err(Error::new(
                &NOT_GONE,
                format!("the backup `{id}` is not among those that this host saw and that are gone"),
            )
            .hint("See what is there, and what is gone: `summitctl backup list`. A backup that is there goes with `summitctl backup prune`."));
        }
        let mut decisive = Facts::from_iter([
            ("backup".to_owned(), json!(id)),
            // A copy has the repository's id.
            ("repository-id".to_owned(), json!(repository.id())),
            ("repository".to_owned(), json!(repository.place())),
        ]);
        if let Some(copy) = cx.world.copy_worked_on() {
            decisive.insert("copy".to_owned(), json!(copy));
        }
        let mut shown = decisive.clone();
        let means = "whoever puts its manifest back finds it removed, and the next prune collects the segments that nothing else needs";
        shown.insert("means".to_owned(), json!(means));
        Ok(Decision::Change {
            change: id,
            decisive,
            shown,
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_, World>, id: &BackupId, grant: Grant<'_>) -> Result<()> {
        grant.still_held().await?;
        let repository = cx.world.repository().await?;
        repository.forget(id, cx.world.signing_key()?).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, id: &BackupId) -> Result<Observed> {
        let repository = cx.world.repository().await?;
        if !repository.is_removed(id).await? {
            return Err(Error::new(
                &INCOMPLETE,
                format!("the statement that `{id}` was removed is not there"),
            ));
        }
        Ok(Observed::of(json!({"backup": id, "removed": true})))
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, _: &BackupId, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Impossible(
            "a signed statement stays; if the backup is put back, make a new one of it".to_owned(),
        ))
    }
}
