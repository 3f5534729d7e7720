//! `backup.capture`: one store into the repository, staged under the backup's id.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::offline::{self, Stopped};
use super::stores;
use super::world::World;
use crate::capture::Captured;
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::neo4j;
use crate::repository::{BackupId, INCOMPLETE, Repository, State};
use crate::time::Span;

/// Arguments of `backup.capture`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CaptureArgs {
    /// The store.
    pub store: Store,
    /// The backup's id; the run's id if absent.
    #[serde(default)]
    pub backup: Option<BackupId>,
    /// Neo4j: stopped meanwhile and dumped by neo4j-admin, with the programs of the context's `neo4j.offline` section.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    /// Neo4j: hold writes back for this long at most, each time that a first reading was disturbed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_writes: Option<Span>,
}

impl CaptureArgs {
    fn of_neo4j_alone(&self) -> Result<()> {
        let asked = match (self.offline, self.hold_writes) {
            (true, Some(_)) => {
                return Err(Error::input(
                    "`offline` and `hold-writes` exclude each other: nobody writes to a stopped server",
                ));
            }
            (true, None) => "offline",
            (false, Some(_)) => "hold-writes",
            (false, None) => return Ok(()),
        };
        if self.store != Store::Neo4j {
            let store = self.store;
            return Err(Error::input(format!(
                "`{asked}` is for Neo4j, not for {store}"
            )));
        }
        if let Some(span) = self
            .hold_writes
            .filter(|span| span.0 < Duration::from_secs(1) || span.0 > neo4j::BARRIER_LIMIT)
        {
            let most = Span(neo4j::BARRIER_LIMIT);
            return Err(Error::input(format!(
                "writes can be held back for 1s to {most}, not for {span}"
            )));
        }
        Ok(())
    }
}

/// What will be captured.
#[derive(Debug, Serialize, Deserialize)]
pub struct CaptureChange {
    store: Store,
    backup: BackupId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold_writes_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offline: Option<Stopped>,
}

/// The step kind `backup.capture`.
pub struct Capture;

/// The backup that a run makes: the run's own id, unless a step names another.
pub fn backup_of(cx: &ReadCx<'_, World>, named: Option<&BackupId>) -> Result<BackupId> {
    named.map_or_else(|| cx.run.parse(), |id| Ok(id.clone()))
}

#[async_trait]
impl Step<World> for Capture {
    const KIND: &'static str = "backup.capture";
    const SUMMARY: &'static str = "Captures one store into the repository, encrypted and fingerprinted; counts once `backup.commit` has published it";
    type Args = CaptureArgs;
    type Change = CaptureChange;

    fn effect(&self, _: &CaptureArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &CaptureArgs) -> String {
        format!("capture {}", args.store)
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &CaptureArgs,
    ) -> Result<Decision<CaptureChange>> {
        offline::told(cx, planned(cx, args).await)
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &CaptureArgs) -> Result<Foresight> {
        args.of_neo4j_alone()?;
        let repository = cx.world.repository().await?;
        let identity = cx.world.identify(args.store).await?;
        stores::ready(cx.world, args.store).await?;
        let facts = identity.without_markers().facts;
        let mut decisive = Facts::from_iter([("source".to_owned(), json!(facts))]);
        if args.offline {
            decisive.extend(offline::foreseen(cx.world)?);
        }
        decisive.extend(decided(args, &repository));
        Ok(Foresight {
            decisive,
            shown: shown(cx.world, args, &repository)?,
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &CaptureChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        if change.offline.is_some() {
            // What an earlier process left down does not wait for what is made ready here.
            Box::pin(offline::back(cx)).await?;
        }
        let began = Instant::now();
        let repository = cx.world.repository().await?;
        let writer = repository.begin(&change.backup, &cx.events).await?;
        let key = repository.fingerprint_key()?;
        let captured = match &change.offline {
            Some(stopped) => Box::pin(offline::capture(cx, stopped, &writer, key)).await?,
            None => {
                let barrier = change.hold_writes_ms.map(Duration::from_millis);
                stores::capture(cx, change.store, &writer, key, barrier).await?
            }
        };
        for line in &captured.not_carried {
            cx.events.note(format!("not carried: {line}"));
        }
        writer.seal_store(captured).await?;
        let written = writer.close().await?;
        let seconds = began.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 {
            (written.bytes as f64 / seconds) as u64
        } else {
            written.bytes
        };
        cx.events.note(format!(
            "{} read at {}/s; {} new and {} reused in the repository",
            crate::time::human_bytes(written.bytes),
            crate::time::human_bytes(rate),
            crate::time::human_bytes(written.new_bytes),
            crate::time::human_bytes(written.reused_bytes),
        ));
        Ok(())
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &CaptureChange) -> Result<Observed> {
        seen_staged(cx, &change.backup, change.store).await
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &CaptureChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let back = match change.offline {
            Some(_) => offline::take_back(cx).await?,
            None => Undo::Nothing,
        };
        match (back, discard(cx, &change.backup).await?) {
            (Undo::Done(back), Undo::Nothing) => Ok(Undo::Done(back)),
            (Undo::Done(back), Undo::Done(mut discarded)) => {
                discarded.0.extend(back.0);
                Ok(Undo::Done(discarded))
            }
            (_, discarded) => Ok(discarded),
        }
    }
}

async fn planned(cx: &ReadCx<'_, World>, args: &CaptureArgs) -> Result<Decision<CaptureChange>> {
    args.of_neo4j_alone()?;
    let backup = backup_of(cx, args.backup.as_ref())?;
    let repository = cx.world.repository().await?;
    if let Some(captured) = staged(&repository, &backup, args.store).await? {
        return Ok(Decision::Done(observed(&captured)));
    }
    repository.check_signer(cx.world.signing_key()?)?;
    let (mut decisive, offline) = if args.offline {
        let stopped = Stopped::of(cx).await?;
        (stopped.decisive(), Some(stopped))
    } else {
        // The marker may be planted by an earlier step of the same plan.
        let identity = cx.world.identify(args.store).await?;
        stores::ready(cx.world, args.store).await?;
        let facts = identity.without_markers().facts;
        (
            Facts::from_iter([("source".to_owned(), json!(facts))]),
            None,
        )
    };
    decisive.extend(decided(args, &repository));
    Ok(Decision::Change {
        change: CaptureChange {
            store: args.store,
            backup,
            hold_writes_ms: args.hold_writes.map(|span| span.0.as_millis() as u64),
            offline,
        },
        decisive,
        shown: shown(cx.world, args, &repository)?,
    })
}

/// What else consent rests on.
fn decided(args: &CaptureArgs, repository: &Repository) -> Facts {
    let mut facts = Facts::from_iter([("repository".to_owned(), json!(repository.id()))]);
    if let Some(span) = args.hold_writes {
        facts.insert("hold-writes".to_owned(), json!(span));
    }
    facts
}

/// The capture of a store as it is staged or published; an error if it is not.
pub(super) async fn seen_staged(
    cx: &ReadCx<'_, World>,
    backup: &BackupId,
    store: Store,
) -> Result<Observed> {
    let repository = cx.world.repository().await?;
    let captured = staged(&repository, backup, store).await?;
    captured.as_ref().map(observed).ok_or_else(|| {
        Error::new(
            &INCOMPLETE,
            format!("{store} is not staged in backup `{backup}`"),
        )
    })
}

/// Takes back what is staged of a backup.
pub(super) async fn discard(cx: &ReadCx<'_, World>, backup: &BackupId) -> Result<Undo> {
    let repository = cx.world.repository().await?;
    match repository.state(backup).await? {
        State::Staged(_) => {
            repository.discard(backup).await?;
            Ok(Undo::Done(Observed::of(json!({"discarded": backup}))))
        }
        State::Absent => Ok(Undo::Nothing),
        State::Complete => Ok(Undo::Kept(format!(
            "backup `{backup}` is complete, and a complete backup stays"
        ))),
    }
}

fn shown(world: &World, args: &CaptureArgs, repository: &Repository) -> Result<Facts> {
    let mut shown = Facts::from_iter([("repository".to_owned(), json!(repository.place()))]);
    if args.store == Store::Postgres && world.databases.len() > 1 {
        shown.insert("databases".to_owned(), json!(world.databases.join(", ")));
    }
    if args.offline {
        let lines = offline::shown(world)?;
        shown.insert("what-happens".to_owned(), json!(lines));
    }
    if let Some(span) = args.hold_writes {
        let line = format!(
            "if Neo4j is written to while it is read, writes to nodes with labels and to relationships wait, for {span} at most each time"
        );
        shown.insert("what-happens".to_owned(), json!([line]));
    }
    Ok(shown)
}

/// The capture of a store, if it is staged or published.
pub(super) async fn staged(
    repository: &Repository,
    backup: &BackupId,
    store: Store,
) -> Result<Option<Captured>> {
    match repository.state(backup).await? {
        State::Absent => Ok(None),
        State::Staged(_) => {
            let staged = repository.staged(backup).await?;
            Ok(staged.into_iter().find(|c| c.store == store))
        }
        State::Complete => {
            let contents = repository.show(backup).await?.contents;
            Ok(contents.and_then(|c| c.store(store).cloned()))
        }
    }
}

pub(super) fn observed(captured: &Captured) -> Observed {
    let bytes: u64 = captured.parts.iter().map(|p| p.bytes).sum();
    let rows: u64 = captured
        .parts
        .iter()
        .filter_map(|p| p.fingerprint)
        .map(|f| f.rows)
        .sum();
    Observed::of(json!({
        "store": captured.store,
        "bytes": bytes,
        "rows": rows,
        "parts": captured.parts.len(),
        "consistency": captured.consistency,
        "method": captured.method,
        "from": captured.from,
        "to": captured.to,
        "not-carried": captured.not_carried,
        "troubles": captured.troubles,
    }))
}

/// Arguments of `backup.commit`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CommitArgs {
    /// The backup's id; the run's id if absent.
    #[serde(default)]
    pub backup: Option<BackupId>,
    /// The stores it must hold; all that the context has if empty.
    #[serde(default)]
    pub stores: BTreeSet<Store>,
    /// Free words to find it by.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// What will be published.
#[derive(Debug, Serialize, Deserialize)]
pub struct CommitChange {
    backup: BackupId,
    labels: Vec<String>,
}

/// The step kind `backup.commit`.
pub struct Commit;

#[async_trait]
impl Step<World> for Commit {
    const KIND: &'static str = "backup.commit";
    const SUMMARY: &'static str =
        "Publishes a backup: signs and writes its manifest, last and once";
    type Args = CommitArgs;
    type Change = CommitChange;

    fn effect(&self, _: &CommitArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, _: &CommitArgs) -> String {
        "sign and publish the backup".to_owned()
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &CommitArgs,
    ) -> Result<Decision<CommitChange>> {
        let backup = backup_of(cx, args.backup.as_ref())?;
        let repository = cx.world.repository().await?;
        let wanted: Vec<Store> = args.stores.iter().copied().collect();
        let wanted: BTreeSet<Store> = cx.world.stores(&wanted)?.into_iter().collect();
        let missing = |have: &BTreeSet<Store>| {
            wanted
                .difference(have)
                .map(|s| s.name())
                .collect::<Vec<_>>()
                .join(", ")
        };
        match repository.state(&backup).await? {
            State::Complete => Ok(Decision::Done(published(&repository, &backup).await?)),
            State::Staged(have) if wanted.is_subset(&have) => Ok(Decision::Change {
                change: CommitChange {
                    backup,
                    labels: args.labels.clone(),
                },
                decisive: Facts::new(),
                shown: Facts::new(),
            }),
            State::Staged(have) => Err(Error::new(
                &INCOMPLETE,
                format!("backup `{backup}` lacks {}", missing(&have)),
            )),
            State::Absent => Err(Error::new(
                &INCOMPLETE,
                format!("backup `{backup}` lacks {}", missing(&BTreeSet::new())),
            )),
        }
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &CommitChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let repository = cx.world.repository().await?;
        let meta = crate::repository::Meta {
            context: cx.world.context.clone(),
            labels: change.labels.clone(),
        };
        repository
            .commit(&change.backup, &meta, cx.world.signing_key()?)
            .await
            .map(drop)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &CommitChange) -> Result<Observed> {
        let repository = cx.world.repository().await?;
        match repository.state(&change.backup).await? {
            State::Complete => published(&repository, &change.backup).await,
            _ => Err(Error::new(
                &INCOMPLETE,
                format!("backup `{}` is not published", change.backup),
            )),
        }
    }

    async fn undo(
        &self,
        _: &ApplyCx<'_, World>,
        change: &CommitChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        Ok(Undo::Kept(format!(
            "backup `{}` is published, and a published backup stays",
            change.backup
        )))
    }
}

async fn published(repository: &Repository, backup: &BackupId) -> Result<Observed> {
    let seen = repository.show(backup).await?;
    let signed = seen.signed.ok_or_else(|| {
        Error::new(
            &INCOMPLETE,
            format!("the manifest of `{backup}` cannot be read"),
        )
    })?;
    let contents = seen.contents.ok_or_else(|| {
        Error::new(
            &INCOMPLETE,
            format!("the contents of `{backup}` cannot be read"),
        )
    })?;
    Ok(Observed::of(json!({
        "backup": backup,
        "created": signed.created,
        "manifest-sha256": signed.manifest_sha256,
        "stores": contents.stores.iter().map(|s| s.captured.store).collect::<Vec<_>>(),
        "plain-bytes": contents.bytes(),
        "stored-bytes": signed.stored_bytes,
        "segments": signed.segments,
        "skew-seconds": contents.skew().as_secs_f64(),
        "window": contents.window(),
    })))
}
