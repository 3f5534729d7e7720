//! `backup.verify`: proves a backup to a level and keeps the signed result in the repository's ledger.
//!
//! Level 1 looks at every object, level 2 decodes every row, level 3 restores each store to a scratch server on this machine
//! and compares. A failed verification is recorded too: it takes an earlier claim away.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::choose::{Choice, Found, find};
use super::cross;
use super::stores::{self, Decoders, Loading, Proof, Proved};
use super::world::World;
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::exit::Exit;
use crate::identity::Store;
use crate::reasons;
use crate::repository::{
    BackupId, BackupParts, Finding, Level, Repository, Sample, Verification, VerifyOptions,
};
use crate::time::Instant;
use crate::wait::Cancel;

reasons! {
    /// The backup is not what was captured.
    NOT_VERIFIED = "backup.not-verified", Failed,
        "The verification ran and found something wrong; the message names it. Do not rely on this backup: make another one, and keep this one for examination.";
}

/// Arguments of `backup.verify`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VerifyArgs {
    /// The backup: an id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:MOMENT`.
    #[serde(default = "newest")]
    pub backup: String,
    /// 1 objects, 2 rows, 3 restored.
    #[serde(default = "three")]
    pub level: u8,
    /// The context whose repository holds the backup, if it is another one. Its ledger gets the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// With level 1: look at all documents, and at this share of the segments, drawn from this seed. It claims no level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

fn newest() -> String {
    "newest".to_owned()
}

fn three() -> u8 {
    3
}

/// What will be verified.
#[derive(Debug, Serialize, Deserialize)]
pub struct VerifyChange {
    backup: BackupId,
    level: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample: Option<Sample>,
    /// Records made before this moment are not ours.
    since: Instant,
}

/// The step kind `backup.verify`.
pub struct Verify;

#[async_trait]
impl Step<World> for Verify {
    const KIND: &'static str = "backup.verify";
    const SUMMARY: &'static str = "Proves a backup to a level and records the signed result: 1 objects, 2 rows, 3 restored to scratch servers and compared";
    type Args = VerifyArgs;
    type Change = VerifyChange;

    fn effect(&self, _: &VerifyArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &VerifyArgs) -> String {
        match args.sample {
            Some(sample) => format!(
                "look at {} of the segments of backup {}, seed {}",
                sample.share, args.backup, sample.seed
            ),
            None => format!("verify backup {} to level {}", args.backup, args.level),
        }
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &VerifyArgs,
    ) -> Result<Decision<VerifyChange>> {
        let level = Level::try_from(args.level)?;
        if args.sample.is_some() && level != Level::Objects {
            return Err(Error::input("a sample is of level 1")
                .hint("Add `--level 1`, or leave `--sample` out."));
        }
        let holder = Holder::of(cx.world, args.from.as_deref()).await?;
        let repository = holder.world().repository().await?;
        let choice: Choice = args.backup.parse()?;
        let Found { backup, notes, .. } = find(holder.world(), &repository, &choice, &[]).await?;
        notes.into_iter().for_each(|note| cx.events.note(note));
        if level == Level::Restored {
            cross::look_early(cx.world, &cx.events).await;
        }
        let change = VerifyChange {
            backup: backup.id.clone(),
            level: level.number(),
            from: args.from.clone(),
            sample: args.sample,
            since: Instant::now(),
        };
        let shown = Facts::from_iter([("backup".to_owned(), json!(backup.id))]);
        Ok(Decision::Change {
            change,
            decisive: Facts::new(),
            shown,
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &VerifyChange,
        _: Grant<'_>,
    ) -> Result<()> {
        let holder = Holder::of(cx.world, change.from.as_deref()).await?;
        let cx = &holder.view(cx);
        let repository = cx.world.repository().await?;
        if let Some(sample) = change.sample {
            let options = options(cx);
            let done = repository
                .verify_sample(&change.backup, sample, &options)
                .await?;
            repository.record(&done, cx.world.signing_key()?).await?;
            return match done.outcome() {
                Outcome::Passed => Ok(()),
                _ => Err(not_verified(&change.backup, Level::Objects, &done.findings)),
            };
        }
        for level in Level::ALL
            .into_iter()
            .filter(|l| l.number() <= change.level)
        {
            // A level is proved on the one below it: there is no use in restoring what is not complete.
            let done = verify_to(cx, &repository, &change.backup, level).await?;
            repository.record(&done, cx.world.signing_key()?).await?;
            if done.outcome() != Outcome::Passed {
                return Err(not_verified(&change.backup, level, &done.findings));
            }
        }
        Ok(())
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &VerifyChange) -> Result<Observed> {
        let holder = Holder::of(cx.world, change.from.as_deref()).await?;
        let repository = holder.world().repository().await?;
        let backup = repository.show(&change.backup).await?;
        // An older record of a higher level stands, but it is not the one that this step made.
        let made = backup
            .verified
            .iter()
            .filter(|r| {
                r.level.number() >= change.level
                    && r.sample == change.sample
                    && r.outcome == Outcome::Passed
                    && r.to >= change.since
            })
            .max_by_key(|r| (r.level.number(), r.to));
        let holds = backup
            .verified_level()
            .is_some_and(|r| r.level.number() >= change.level);
        let record = made
            .filter(|_| holds || change.sample.is_some())
            .ok_or_else(|| {
                Error::new(
                    &NOT_VERIFIED,
                    format!(
                        "the ledger holds no new level {} for backup `{}`",
                        change.level, change.backup
                    ),
                )
            })?;
        let details = record.details.as_ref();
        Ok(Observed::of(json!({
            "backup": change.backup, "level": record.level, "sample": record.sample, "from": record.from, "to": record.to,
            "measured": details.map(|d| &d.measured), "loaded": details.map(|d| &d.loaded),
            "cross-checks": details.map(|d| &d.cross_checks),
        })))
    }

    async fn undo(&self, cx: &ApplyCx<'_, World>, _: &VerifyChange, _: Grant<'_>) -> Result<Undo> {
        wipe_scratch(cx).await
    }
}

/// The world whose repository holds a backup: the run's own, or another context's.
enum Holder<'a> {
    Own(&'a World),
    Other(Box<World>),
}

impl<'a> Holder<'a> {
    async fn of(own: &'a World, from: Option<&str>) -> Result<Holder<'a>> {
        Ok(match from {
            None => Holder::Own(own),
            Some(name) => Holder::Other(Box::new(own.other(name).await?)),
        })
    }

    fn world(&self) -> &World {
        match self {
            Holder::Own(world) => world,
            Holder::Other(world) => world,
        }
    }

    fn view<'h>(&'h self, cx: &ReadCx<'h, World>) -> ReadCx<'h, World> {
        ReadCx {
            world: self.world(),
            events: cx.events.clone(),
            cancel: cx.cancel.clone(),
            run: cx.run,
            step: cx.step,
            planned: cx.planned,
        }
    }
}

fn not_verified(backup: &BackupId, level: Level, findings: &[Finding]) -> Error {
    let shown: Vec<String> = findings
        .iter()
        .take(10)
        .map(|f| format!("{}: {}", f.object, f.problem))
        .collect();
    let more = findings.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" (and {more} more)")
    } else {
        String::new()
    };
    Error::new(
        &NOT_VERIFIED,
        format!("backup `{backup}` does not pass level {}", level.number()),
    )
    .caused_by(format!("{}{more}", shown.join("; ")))
    .hint("Make a new backup with `summitctl backup create`, and keep this one for examination.")
}

fn options(cx: &ReadCx<'_, World>) -> VerifyOptions {
    VerifyOptions {
        jobs: cx.world.jobs,
        events: cx.events.clone(),
        cancel: cx.cancel.clone(),
    }
}

/// Verifies to exactly one level.
pub async fn verify_to(
    cx: &ReadCx<'_, World>,
    repository: &Repository,
    backup: &BackupId,
    level: Level,
) -> Result<Verification> {
    let options = options(cx);
    match level {
        Level::Objects => repository.verify_objects(backup, &options).await,
        Level::Rows => {
            cx.world
                .readable_repository()
                .await?
                .verify_rows(backup, &Decoders, &options)
                .await
        }
        Level::Restored => {
            let recovery = restored(cx, backup, &Loading::Quickest).await?;
            Ok(recovery.verification)
        }
        Level::Asserted => Err(Error::input(
            "level 4 needs assertions, which this version does not have",
        )),
    }
}

/// What restoring every store of a backup showed.
pub struct Recovery {
    /// The verification to be recorded.
    pub verification: Verification,
    /// Store by store.
    pub proofs: Vec<Proof>,
    /// The moment of the oldest data, as the stores' captures say.
    pub oldest: Option<Instant>,
    /// Seconds from the last compared row on, in which scratch servers were stopped and removed.
    pub tidying: f64,
}

pub(super) fn scratch(world: &World, run: &str, store: Store) -> PathBuf {
    world
        .state
        .scratch()
        .join(format!("{run}-{}", store.name()))
}

/// Takes back what a restore to scratch servers left when it was killed: the servers, and the data in the clear. Records
/// were written too, and records are never taken back.
pub async fn wipe_scratch(cx: &ReadCx<'_, World>) -> Result<Undo> {
    let wiped = wipe_scratch_of(cx.world, cx.run).await?;
    if wiped.is_empty() {
        return Ok(Undo::Nothing);
    }
    Ok(Undo::Done(Observed::of(json!({"wiped": wiped}))))
}

/// Ends the scratch servers of a run and removes their data; which folders there were.
pub async fn wipe_scratch_of(world: &World, run: &str) -> Result<Vec<PathBuf>> {
    let mut wiped = Vec::new();
    for store in Store::ALL {
        let dir = scratch(world, run, store);
        if dir.exists() {
            stores::wipe(store, &dir).await?;
            wiped.push(dir);
        }
    }
    Ok(wiped)
}

/// What was left of restores to scratch servers by a run that was killed: servers that may run on, and data in the clear.
pub struct Left {
    /// The run.
    pub run: String,
    /// The stores.
    pub stores: Vec<Store>,
    /// The context of the run, if it can be resumed or aborted, which ends the servers and removes their data.
    pub open_on: Option<String>,
}

impl Left {
    /// As a person reads it.
    pub fn words(&self) -> String {
        let stores: Vec<&str> = self.stores.iter().map(|s| s.name()).collect();
        format!("`{}` ({})", self.run, stores.join(", "))
    }

    /// The command that ends the servers and removes their data; nothing else does for a run that is open.
    pub fn next(&self, context: &str) -> String {
        match &self.open_on {
            Some(own) => format!("summitctl run resume {} --context {own}", self.run),
            None => format!("summitctl backup verify newest --level 3 --context {context}"),
        }
    }
}

/// What runs that nobody executes any more left of restores to scratch servers.
pub fn left_behind(world: &World) -> Result<Vec<Left>> {
    let scratch = world.state.scratch();
    let entries = match std::fs::read_dir(&scratch) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", &scratch, e)),
    };
    let mut left: BTreeMap<String, Vec<Store>> = BTreeMap::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        for store in Store::ALL {
            if let Some(run) = name.strip_suffix(&format!("-{}", store.name())) {
                left.entry(run.to_owned()).or_default().push(store);
            }
        }
    }
    let runs = world.state.runs();
    let ours = left.into_iter().filter(|(run, _)| !runs.busy(run));
    Ok(ours
        .map(|(run, stores)| Left {
            open_on: match runs.show(&run) {
                Ok((state, _)) if state.resumable() => Some(state.plan.context),
                _ => None,
            },
            run,
            stores,
        })
        .collect())
}

/// Ends what is left of runs that cannot go on, and names the others.
async fn clear_away(cx: &ReadCx<'_, World>) -> Result<()> {
    for left in left_behind(cx.world)?.iter().filter(|l| l.run != cx.run) {
        if left.open_on.is_some() {
            cx.events.note(format!(
                "scratch servers with restored data are left of run {}, which was cut off: `{}` goes on with it, `run abort` ends them",
                left.words(),
                left.next(&cx.world.context)
            ));
        } else {
            wipe_scratch_of(cx.world, &left.run).await?;
            cx.events.note(format!(
                "removed the scratch servers and data that run {} had left",
                left.words()
            ));
        }
    }
    Ok(())
}

/// Level 3: every store of the backup on a scratch server. Neo4j takes longest to start and is brought back beside the
/// others, which follow one another, so that two cores are not shared by three starting servers.
pub async fn restored(
    cx: &ReadCx<'_, World>,
    backup: &BackupId,
    loading: &Loading,
) -> Result<Recovery> {
    clear_away(cx).await?;
    let repository = cx.world.readable_repository().await?;
    let from = Instant::now();
    let source = repository.source(backup).await?;
    let seen = repository.show(backup).await?;
    let signed = seen
        .signed
        .ok_or_else(|| Error::input(format!("the manifest of `{backup}` cannot be read")))?;
    let stores = source.contents().stores.iter().map(|s| s.captured.store);
    let (beside_stores, others): (Vec<_>, Vec<_>) =
        stores.partition(|store| *store == Store::Neo4j);
    let groups = [&others[..], &beside_stores[..]];
    let proved = side_by_side(cx, &source, groups, loading).await?;
    if !beside_stores.is_empty() {
        quicken(cx).await;
    }
    let compared = proved.iter().map(|p| p.compared).max();
    let tidying = compared.map_or(0.0, |at| at.elapsed().as_secs_f64());
    let mut findings = Vec::new();
    let mut measured = BTreeMap::new();
    let (mut proofs, mut answers) = (Vec::new(), Vec::new());
    for proved in proved {
        proofs.push(proved.proof);
        answers.extend(proved.answers);
    }
    let cross_checks = cross::judge(cx.world, &source, answers);
    for check in &cross_checks {
        cx.events.note(cross::said(check));
    }
    let mut loaded = BTreeMap::new();
    for proof in &proofs {
        let store = proof.store;
        for difference in &proof.differences {
            findings.push(Finding {
                object: store.name().to_owned(),
                problem: difference.clone(),
            });
        }
        loaded.insert(store.name().to_owned(), proof.loaded.clone());
        measured.insert(format!("{}-rows", store.name()), proof.rows);
        measured.insert(format!("{}-parts", store.name()), proof.parts as u64);
        measured.insert(
            format!("{}-recovery-ms", store.name()),
            (proof.recovery_seconds() * 1000.0) as u64,
        );
    }
    let verification = Verification {
        backup: backup.clone(),
        manifest_sha256: signed.manifest_sha256,
        level: Level::Restored,
        sample: None,
        from,
        to: Instant::now(),
        findings,
        measured,
        loaded,
        cross_checks,
    };
    let oldest = source.contents().window().map(|(from, _)| from);
    Ok(Recovery {
        verification,
        proofs,
        oldest,
        tidying,
    })
}

/// Makes later starts of Neo4j quicker, once everything that is timed is over. Its failure spoils nothing.
async fn quicken(cx: &ReadCx<'_, World>) {
    let work = crate::sandbox::servers::neo4j::prepare_if_kept();
    match cx.cancel.guard(work).await {
        Ok(true) => cx.events.note(
            "kept what Neo4j loads at its start: the next scratch server starts some 4 s sooner",
        ),
        Ok(false) => {}
        Err(e) => cx.events.note(format!(
            "what Neo4j loads at its start could not be kept: {}",
            e.one_line()
        )),
    }
}

/// Proves two groups of stores beside each other. The first failure ends the other group as well, which still stops its
/// server and removes its data.
async fn side_by_side(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    groups: [&[Store]; 2],
    loading: &Loading,
) -> Result<Vec<Proved>> {
    let stop = Cancel::new();
    if cx.cancel.has_begun() {
        stop.goes_on();
    }
    let inner = &ReadCx {
        world: cx.world,
        events: cx.events.clone(),
        cancel: stop.clone(),
        run: cx.run,
        step: cx.step,
        planned: cx.planned,
    };
    let prove = async |stores| {
        let proved = prove_each(inner, source, stores, loading).await;
        if proved.is_err() {
            stop.raise();
            stop.raise();
        }
        proved
    };
    let both = async { tokio::join!(prove(groups[0]), prove(groups[1])) };
    let proved = tokio::select! {
        proved = both => proved,
        never = hand_on(&cx.cancel, &stop) => match never {},
    };
    match proved {
        (Ok(mut proved), Ok(more)) => {
            proved.extend(more);
            Ok(proved)
        }
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(one), Err(other)) => {
            let (told, rest) = match one.exit() {
                Exit::Interrupted => (other, one),
                _ => (one, other),
            };
            if rest.exit() != Exit::Interrupted {
                cx.events
                    .note(format!("failed as well: {}", rest.one_line()));
            }
            Err(told)
        }
    }
}

/// Tells one signal what the other is told.
async fn hand_on(from: &Cancel, to: &Cancel) -> Infallible {
    from.asked().await;
    to.raise();
    from.now().await;
    to.raise();
    std::future::pending().await
}

/// Proves stores one after the other.
async fn prove_each(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    stores: &[Store],
    loading: &Loading,
) -> Result<Vec<Proved>> {
    let mut proofs = Vec::new();
    for store in stores {
        let dir = scratch(cx.world, cx.run, *store);
        let proved = stores::prove(cx, source, *store, &dir, loading).await?;
        let proof = &proved.proof;
        cx.events.note(format!(
            "{store}: {} rows in {} parts restored to a scratch server in {:.1} s ({}) and compared: {}",
            proof.rows,
            proof.parts,
            proof.recovery_seconds(),
            proof.loaded,
            if proof.differences.is_empty() {
                "all equal"
            } else {
                "different"
            }
        ));
        proofs.push(proved);
    }
    Ok(proofs)
}
