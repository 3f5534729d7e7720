//! `backup.prune` and `backup.hold`: which backups stay.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::choose::{Choice, SAFETY, find};
use super::world::World;
use crate::consent::Effect;
use crate::engine::plan::Forecast;
use crate::engine::step::{ApplyCx, Blocked, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::repository::{
    BackupId, Fate, INCOMPLETE, NO_SUCH_BACKUP, PruneOptions, Pruning, Removal, Repository, Rules,
    WRONG_IDENTITY,
};
use crate::time::{Instant, human_bytes};

/// Arguments of `backup.prune`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PruneArgs {
    /// Which backups are kept; the context's rules if empty.
    #[serde(default)]
    pub keep: Rules,
}

/// What will be removed.
#[derive(Debug, Serialize, Deserialize)]
pub struct PruneChange {
    removals: Vec<Removal>,
}

/// The step kind `backup.prune`.
pub struct Prune;

/// The rules to go by: those that were given, or else the context's.
pub fn rules(world: &World, given: &Rules) -> Rules {
    if !given.is_empty() {
        return given.clone();
    }
    let keep = &world.policy.keep.value;
    Rules {
        within: Some(world.policy.retention.value),
        last: keep.last,
        hourly: keep.hourly,
        daily: keep.daily,
        weekly: keep.weekly,
        monthly: keep.monthly,
        yearly: keep.yearly,
    }
}

/// What a prune by these rules would do now.
pub async fn pruning(world: &World, repository: &Repository, given: &Rules) -> Result<Pruning> {
    let rules = rules(world, given);
    let (context, now) = (&world.context, Instant::now());
    match world.copied().await {
        None => repository.plan_prune(context, SAFETY, &rules, now).await,
        Some(copied) => {
            repository
                .plan_prune_of_copy(copied, context, SAFETY, &rules, now)
                .await
        }
    }
}

#[async_trait]
impl Step<World> for Prune {
    const KIND: &'static str = "backup.prune";
    const SUMMARY: &'static str = "Removes the backups that no rule keeps, and deletes the segments that none needs any more; safe beside backups being made";
    const MOST: Effect = Effect::Destroy;
    type Args = PruneArgs;
    type Change = PruneChange;

    fn effect(&self, _: &PruneArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, _: &PruneArgs) -> String {
        "remove the backups that no rule keeps".to_owned()
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &PruneArgs,
    ) -> Result<Decision<PruneChange>> {
        let repository = repository_of(cx.world).await?;
        repository.check_signer(cx.world.signing_key()?)?;
        let pruning = pruning(cx.world, &repository, &args.keep).await?;
        if let Some(blocked) = &pruning.blocked {
            return Ok(Decision::Blocked(Blocked {
                reason: blocked.message.clone(),
                hint: blocked.hints.join(" "),
            }));
        }
        let mut shown = shown(&pruning, &rules(cx.world, &args.keep));
        shown.insert("place".to_owned(), json!(cx.world.place_worked_on()?));
        if pruning.is_empty() || matches!(cx.planned, Some(Forecast::AlreadySo { .. })) {
            return Ok(Decision::Done(Observed(shown)));
        }
        let mut removals = pruning.removals();
        let mut ids: Vec<BackupId> = removals.iter().map(|r| r.backup.clone()).collect();
        // Backups go on being made: what they have made needless since the plan was shown is left to the next prune.
        if let Some(consented) = consented(cx)? {
            removals.retain(|r| consented.contains(&r.backup));
            ids = consented;
            ids.retain(|id| !pruning.stays(id));
        }
        let mut decisive = Facts::from_iter([
            ("repository-id".to_owned(), json!(repository.id())),
            ("removes".to_owned(), json!(ids)),
        ]);
        // A copy has the repository's id.
        if let Some(copy) = cx.world.copy_worked_on() {
            decisive.insert("copy".to_owned(), json!(copy));
        }
        Ok(Decision::Change {
            decisive,
            shown,
            change: PruneChange { removals },
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &PruneChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let repository = repository_of(cx.world).await?;
        let options = PruneOptions {
            events: cx.events.clone(),
            cancel: cx.cancel.clone(),
        };
        let done = repository
            .prune(&change.removals, cx.world.signing_key()?, &options)
            .await?;
        cx.events.note(format!(
            "{} removed; {} segments deleted, {} freed",
            done.removed,
            done.deleted,
            human_bytes(done.freed_bytes)
        ));
        if done.hidden > 0 {
            cx.events.note(format!(
                "{} objects are hidden by delete markers: the bucket keeps them as versions, {} of segments among them, until somebody or a lifecycle rule for noncurrent versions deletes those",
                done.hidden,
                human_bytes(done.hidden_bytes)
            ));
        }
        if let Some(why) = &done.retained_for {
            cx.events.note(format!(
                "{} objects stay for now: {why}; a prune after that deletes them",
                done.retained.len()
            ));
        }
        if done.spared > 0 {
            let spared = done.spared;
            cx.events
                .note(format!("{spared} segments are needed again"));
        }
        for name in &done.untrusted_tombstones {
            cx.events.note(format!(
                "`{name}` could not be trusted: it was removed, and nothing that it names was deleted for it"
            ));
        }
        for line in &done.resumed {
            cx.events.note(format!("{line}; it stays"));
        }
        for line in &done.waits_for {
            cx.events.note(format!(
                "{} segments wait, and the next prune deletes them; they wait for {line}",
                done.waiting
            ));
        }
        Ok(())
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &PruneChange) -> Result<Observed> {
        let repository = repository_of(cx.world).await?;
        for removal in change
            .removals
            .iter()
            .filter(|r| r.manifest_sha256.is_some())
        {
            match repository.show(&removal.backup).await {
                Err(e) if e.reason() == &NO_SUCH_BACKUP => {}
                Err(e) => return Err(e),
                Ok(_) if repository.retained(&removal.backup).await?.is_some() => {}
                Ok(_) => {
                    return Err(Error::new(
                        &INCOMPLETE,
                        format!("the backup `{}` is still there", removal.backup),
                    ));
                }
            }
        }
        let retained = repository.check_collected().await?;
        let ids: Vec<&BackupId> = change.removals.iter().map(|r| &r.backup).collect();
        let waiting = repository.waiting_segments().await?;
        Ok(Observed::of(json!({
            "removed": ids, "waiting-segments": waiting, "retained-segments": retained,
            "backups": repository.list().await?.len(),
        })))
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, _: &PruneChange, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Impossible(
            "backups that were removed cannot be had back".to_owned(),
        ))
    }
}

/// What the backups of retired epochs hold, only an operator's identity tells: without it they all stay.
async fn repository_of(world: &World) -> Result<Repository> {
    if world.repository_settings()?.identity.is_none() {
        return world.repository().await;
    }
    match world.readable_repository().await {
        // Whoever was an operator once may prune as a backup host does.
        Err(e) if e.reason() == &WRONG_IDENTITY => world.repository().await,
        other => other,
    }
}

/// The backups whose removal was consented to, if the plan could name them.
fn consented(cx: &ReadCx<'_, World>) -> Result<Option<Vec<BackupId>>> {
    let Some(Forecast::WillChange { decisive, .. }) = cx.planned else {
        return Ok(None);
    };
    let removes = decisive.get("removes").cloned().unwrap_or_default();
    let removes = serde_json::from_value(removes);
    removes.map(Some).map_err(|e| Error::bug(e.to_string()))
}

/// Each backup with what becomes of it and why, newest first.
fn shown(pruning: &Pruning, rules: &Rules) -> Facts {
    let mut stays = Vec::new();
    let mut goes = Vec::new();
    let judged = pruning
        .backups
        .iter()
        .map(|b| (&b.backup, &b.fate, b.frees_bytes));
    let unfinished = pruning.unfinished.iter().map(|u| (&u.backup, &u.fate, 0));
    for (id, fate, frees) in judged.chain(unfinished) {
        match fate {
            Fate::Stays(why) => stays.push(format!("{id}: {}", why.join(", "))),
            Fate::Goes(why) if frees > 0 => {
                goes.push(format!("{id}: {why}, frees {}", human_bytes(frees)));
            }
            Fate::Goes(why) => goes.push(format!("{id}: {why}")),
        }
    }
    let mut facts = Facts::from_iter([("keep".to_owned(), json!(rules.to_string()))]);
    for (word, lines) in [("stays", stays), ("goes", goes)] {
        if !lines.is_empty() {
            facts.insert(word.to_owned(), json!(lines));
        }
    }
    if pruning.leftovers > 0 {
        let leftovers = format!(
            "{} segments that no backup needs, {}",
            pruning.leftovers,
            human_bytes(pruning.leftover_bytes)
        );
        facts.insert("leftovers".to_owned(), json!(leftovers));
    }
    if !pruning.tombstones.is_empty() {
        facts.insert("tombstones".to_owned(), json!(pruning.tombstones));
    }
    if !pruning.rests.is_empty() {
        facts.insert("rests-of".to_owned(), json!(pruning.rests));
    }
    if let Some(why) = &pruning.unasked {
        let unasked = format!(
            "cannot be asked which backups were restored and compared, so none goes that may have been: {}. If it is lost for good, name this place as the repository in summitctl.toml",
            why.message
        );
        facts.insert("repository".to_owned(), json!(unasked));
    }
    let versions = match pruning.keeps_versions {
        _ if pruning.frees_bytes == 0 => None,
        Some(false) => None,
        Some(true) => Some(
            "the bucket keeps what is deleted as versions: its bytes are freed once those are deleted, by a lifecycle rule for noncurrent versions or by hand",
        ),
        None => Some(
            "not known: the store does not say whether it keeps what is deleted as versions, which take space",
        ),
    };
    if let Some(said) = versions {
        facts.insert("versions".to_owned(), json!(said));
    }
    facts.insert("frees-bytes".to_owned(), json!(pruning.frees_bytes));
    facts
}

/// Arguments of `backup.hold`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HoldArgs {
    /// The backup: an id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:MOMENT`.
    pub backup: String,
    /// Whether to hold it, or to release it.
    #[serde(default = "yes")]
    pub held: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn yes() -> bool {
    true
}

/// What will be held or released.
#[derive(Debug, Serialize, Deserialize)]
pub struct HoldChange {
    backup: BackupId,
    held: bool,
    reason: Option<String>,
}

/// The step kind `backup.hold`.
pub struct Hold;

#[async_trait]
impl Step<World> for Hold {
    const KIND: &'static str = "backup.hold";
    const SUMMARY: &'static str =
        "Holds a backup, so that no rule removes it, or releases it; a signed statement says so";
    type Args = HoldArgs;
    type Change = HoldChange;

    fn effect(&self, _: &HoldArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &HoldArgs) -> String {
        let word = if args.held { "hold" } else { "release" };
        format!("{word} backup {}", args.backup)
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &HoldArgs) -> Result<Decision<HoldChange>> {
        let repository = cx.world.repository().await?;
        repository.check_signer(cx.world.signing_key()?)?;
        let choice: Choice = args.backup.parse()?;
        let found = find(cx.world, &repository, &choice, &[]).await?;
        let backup = found.backup;
        if backup.held.is_some() == args.held {
            return Ok(Decision::Done(standing(&repository, &backup.id).await?));
        }
        let decisive = Facts::from_iter([("backup".to_owned(), json!(backup.id))]);
        let mut shown = decisive.clone();
        if let Some(reason) = &args.reason {
            shown.insert("reason".to_owned(), json!(reason));
        }
        if let Some(why) = backup.held.and_then(|h| h.reason) {
            shown.insert("held-for".to_owned(), json!(why));
        }
        Ok(Decision::Change {
            change: HoldChange {
                backup: backup.id,
                held: args.held,
                reason: args.reason.clone(),
            },
            decisive,
            shown,
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &HoldChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let repository = cx.world.repository().await?;
        let (key, reason) = (cx.world.signing_key()?, change.reason.as_deref());
        let set = repository.set_hold(&change.backup, change.held, reason, key);
        set.await.map(drop)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &HoldChange) -> Result<Observed> {
        let repository = cx.world.repository().await?;
        let held = repository.show(&change.backup).await?.held;
        if held.is_some() != change.held {
            let word = if change.held {
                "not held"
            } else {
                "still held"
            };
            return Err(Error::new(
                &INCOMPLETE,
                format!("the backup `{}` is {word}", change.backup),
            ));
        }
        standing(&repository, &change.backup).await
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &HoldChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let repository = cx.world.repository().await?;
        let key = cx.world.signing_key()?;
        let set = repository.set_hold(&change.backup, !change.held, None, key);
        if set.await? {
            let seen = standing(&repository, &change.backup).await?;
            Ok(Undo::Done(seen))
        } else {
            Ok(Undo::Nothing)
        }
    }
}

async fn standing(repository: &Repository, id: &BackupId) -> Result<Observed> {
    let held = repository.show(id).await?.held;
    Ok(Observed::of(json!({"backup": id, "held": held})))
}
