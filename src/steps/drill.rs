//! `drill.run`: a recovery drill. The newest backup is opened with the real key, restored to scratch servers, compared row by
//! row, and timed against the policy. Its own signed record is what the gate believes.

use std::collections::BTreeMap;
use std::time::Instant as Moment;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::choose::{Choice, find};
use super::cross;
use super::stores::Loading;
use super::verify::{Recovery, restored, verify_to, wipe_scratch};
use super::world::{EvidenceSettings, World};
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::evidence::{
    Archive, Artefact, ClosingFacts, Failure, Measure, Measurement, Recorder, StartFacts,
    TrustedKeys,
};
use crate::reasons;
use crate::repository::{BackupId, Level};
use crate::time::{Instant, Span};

reasons! {
    /// The drill did not meet the policy.
    POLICY_MISSED = "drill.policy-missed", Failed,
        "The data came back, but not within the policy's recovery time (RTO), or they were older than it allows (RPO). The phases show where the time went.";
    /// The data did not come back as they were.
    DRILL_FAILED = "drill.failed", Failed,
        "The drill could not bring the data back as they were captured; the message names what differs. Treat the backup as unusable until a later drill passes.";
    /// Nobody would sign it.
    NO_SIGNER = "drill.no-signer", Usage,
        "A drill's result only counts if it is signed: set `evidence.signing-key` in the context. `summitctl evidence keygen` makes a key.";
}

/// The operation under which drills stand in the evidence.
pub const OPERATION: &str = "drill";

/// Arguments of `drill.run`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DrillArgs {
    /// The backup: an id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:MOMENT`.
    #[serde(default = "newest")]
    pub backup: String,
}

fn newest() -> String {
    "newest".to_owned()
}

/// What will be drilled.
#[derive(Debug, Serialize, Deserialize)]
pub struct DrillChange {
    backup: BackupId,
    record: String,
}

/// The step kind `drill.run`.
pub struct Drill;

#[async_trait]
impl Step<World> for Drill {
    const KIND: &'static str = "drill.run";
    const SUMMARY: &'static str = "Restores a backup to scratch servers with the real key, compares every row, and measures RTO and RPO against the policy";
    type Args = DrillArgs;
    type Change = DrillChange;

    fn effect(&self, _: &DrillArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &DrillArgs) -> String {
        format!("drill the recovery of backup {}", args.backup)
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &DrillArgs,
    ) -> Result<Decision<DrillChange>> {
        signer(cx.world)?;
        let repository = cx.world.repository().await?;
        let choice: Choice = args.backup.parse()?;
        let found = find(cx.world, &repository, &choice, &[]).await?;
        found
            .notes
            .into_iter()
            .for_each(|note| cx.events.note(note));
        cross::look_early(cx.world, &cx.events).await;
        let backup = found.backup.id;
        let shown = Facts::from_iter([
            ("backup".to_owned(), json!(backup)),
            ("scratch".to_owned(), json!(cx.world.state.scratch())),
        ]);
        let change = DrillChange {
            backup,
            record: format!("{}.{}", cx.run, cx.step),
        };
        Ok(Decision::Change {
            change,
            decisive: Facts::new(),
            shown,
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &DrillChange,
        _: Grant<'_>,
    ) -> Result<()> {
        let settings = signer(cx.world)?;
        let facts = StartFacts::new(
            change.record.as_str(),
            OPERATION,
            cx.world.context.as_str(),
            cx.world.tier,
        );
        let recorder = Recorder::start(&settings.dir, &settings.key, facts, Vec::new())?;
        let began = Moment::now();
        let at = Instant::now();
        let outcome = self.recover(cx, change).await;
        let took = began.elapsed().as_secs_f64();
        let error = match outcome {
            Ok(recovery) => {
                let judged = judge(cx.world, change, at, took, &recovery);
                recorder.finish(judged.0, Vec::new())?;
                judged.1
            }
            // An interruption is no result: the record stays open until the drill is resumed.
            Err(error) if error.exit() == crate::exit::Exit::Interrupted => return Err(error),
            Err(error) => {
                let mut facts = ClosingFacts::new(Outcome::Failed, error.exit().code());
                facts.failure = Some(Failure::from(&error));
                recorder.finish(facts, Vec::new())?;
                Some(error)
            }
        };
        error.map_or(Ok(()), Err)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &DrillChange) -> Result<Observed> {
        let settings = signer(cx.world)?;
        let archive = Archive::open(&settings.dir, &TrustedKeys::of([settings.key.public()]))?;
        let closing = archive.find(&change.record).and_then(|run| run.closing());
        let closing = closing
            .filter(|c| c.predicate.facts.outcome == Outcome::Passed)
            .ok_or_else(|| {
                Error::new(
                    &DRILL_FAILED,
                    format!("the evidence holds no passed drill `{}`", change.record),
                )
            })?;
        let phases: BTreeMap<String, f64> = closing
            .predicate
            .facts
            .measurements
            .iter()
            .map(|m| {
                let name = m
                    .phase
                    .as_ref()
                    .map_or(m.name.to_string(), |p| format!("{}/{p}", m.name));
                (name, m.value.0)
            })
            .collect();
        Ok(Observed::of(json!({
            "backup": change.backup,
            "record": change.record,
            "seconds": phases,
            "finished": closing.predicate.facts.finished,
            "rows": closing.predicate.facts.observations.0.get("rows"),
            "cross-checks": closing.predicate.facts.observations.0.get("cross-checks"),
        })))
    }

    async fn undo(&self, cx: &ApplyCx<'_, World>, _: &DrillChange, _: Grant<'_>) -> Result<Undo> {
        wipe_scratch(cx).await
    }
}

impl Drill {
    /// Everything a real recovery would have to do, and the way it would: check the objects, open them with the real key,
    /// load one store after the other as `restore` does, compare.
    async fn recover(&self, cx: &ApplyCx<'_, World>, change: &DrillChange) -> Result<Recovery> {
        let repository = cx.world.repository().await?;
        let objects = verify_to(cx, &repository, &change.backup, Level::Objects).await?;
        if objects.outcome() != Outcome::Passed {
            let finding = objects
                .findings
                .first()
                .map(|f| format!("{}: {}", f.object, f.problem));
            return Err(Error::new(
                &DRILL_FAILED,
                format!("backup `{}` is not complete", change.backup),
            )
            .caused_by(finding.unwrap_or_default()));
        }
        let recovery = restored(cx, &change.backup, &Loading::as_restore()).await?;
        // A drill is a verification too: it counts in the repository's ledger, passed or not.
        for done in [&objects, &recovery.verification] {
            repository.record(done, cx.world.signing_key()?).await?;
        }
        Ok(recovery)
    }
}

fn signer(world: &World) -> Result<&EvidenceSettings> {
    world.evidence.as_ref().ok_or_else(|| {
        Error::new(&NO_SIGNER, format!("context `{}` has no `evidence.signing-key`", world.context))
            .hint("Make one with `summitctl evidence keygen KEYFILE` and set `signing-key = \"file:KEYFILE\"` in the evidence section.")
    })
}

/// The closing record, and the error if the drill is not a pass.
fn judge(
    world: &World,
    change: &DrillChange,
    began: Instant,
    took: f64,
    recovery: &Recovery,
) -> (ClosingFacts, Option<Error>) {
    let Recovery {
        verification,
        proofs,
        oldest,
        tidying,
    } = recovery;
    let policy = &world.policy;
    let rto = (took - tidying).max(0.0);
    let mut measurements = vec![measured(
        "rto",
        None,
        rto,
        Some(policy.rto.value),
        "wall time from the drill's start to the last compared row, each store loaded as `restore` loads it",
    )];
    for proof in proofs {
        for (phase, seconds) in &proof.phases {
            let phase = format!("{}-{phase}", proof.store);
            measurements.push(measured("phase", Some(&phase), *seconds, None, "wall time"));
        }
    }
    let rpo = oldest.map(|from| began.since(from).as_secs_f64());
    if let Some(rpo) = rpo {
        measurements.push(measured(
            "rpo",
            None,
            rpo,
            Some(policy.rpo.value),
            "age of the backup's oldest data at the drill's start",
        ));
    }
    let mut missed = Vec::new();
    if rto > policy.rto.value.0.as_secs_f64() {
        missed.push(format!(
            "recovery took {} where the policy allows {}",
            Span(std::time::Duration::from_secs_f64(rto)),
            policy.rto.value
        ));
    }
    if rpo.is_some_and(|rpo| rpo > policy.rpo.value.0.as_secs_f64()) {
        missed.push(format!(
            "the data were {} old where the policy allows {}",
            Span(std::time::Duration::from_secs_f64(rpo.unwrap_or_default())),
            policy.rpo.value
        ));
    }
    let error = if verification.outcome() != Outcome::Passed {
        let shown: Vec<String> = verification
            .findings
            .iter()
            .take(5)
            .map(|f| f.problem.clone())
            .collect();
        Some(
            Error::new(
                &DRILL_FAILED,
                format!(
                    "backup `{}` did not come back as it was captured",
                    change.backup
                ),
            )
            .caused_by(shown.join("; ")),
        )
    } else if missed.is_empty() {
        None
    } else {
        Some(
            Error::new(
                &POLICY_MISSED,
                format!("the drill of backup `{}` missed the policy", change.backup),
            )
            .caused_by(missed.join("; ")),
        )
    };
    let outcome = if error.is_none() {
        Outcome::Passed
    } else {
        Outcome::Failed
    };
    let mut facts = ClosingFacts::new(outcome, error.as_ref().map_or(0, |e| e.exit().code()));
    facts.failure = error.as_ref().map(Failure::from);
    facts.measurements = measurements;
    let mut artefact = Artefact::new("backup", change.backup.as_str());
    artefact.digest = verification.manifest_sha256.to_string().parse().ok();
    artefact.verified_level =
        Some(verification.level.number()).filter(|_| verification.outcome() == Outcome::Passed);
    facts.artefacts = vec![artefact];
    let rows: u64 = proofs.iter().map(|p| p.rows).sum();
    facts.observations = Facts::from_iter([
        ("backup".to_owned(), json!(change.backup)),
        ("rows".to_owned(), json!(rows)),
        ("stores".to_owned(), json!(proofs)),
        ("cross-checks".to_owned(), json!(verification.cross_checks)),
    ])
    .into();
    (facts, error)
}

fn measured(
    name: &str,
    phase: Option<&str>,
    seconds: f64,
    limit: Option<Span>,
    source: &str,
) -> Measurement {
    let limit = limit.map(|l| l.0.as_secs_f64());
    let measurement = Measurement::new(name, seconds, Measure::Seconds, limit, source);
    match phase {
        Some(phase) => measurement.phase(phase),
        None => measurement,
    }
}
