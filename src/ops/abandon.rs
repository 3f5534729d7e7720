//! Ending a run whose journal is damaged. Nobody knows what it did, so nothing is taken back; its signed record is
//! closed as failed, and the journal is kept under another name for examination.

use std::path::Path;

use crate::engine::executor::RunReport;
use crate::engine::journal::{Damaged, Record};
use crate::engine::plan::Plan;
use crate::engine::step::Step as _;
use crate::error::{Error, Report, Result};
use crate::event::Outcome;
use crate::evidence::{Archive, ClosingFacts, EvidenceRef, Failure, Recorder};
use crate::exit::Exit;
use crate::steps::evidence::trusted_keys;
use crate::steps::export::{Export, ExportChange, wipe_unfinished};
use crate::steps::verify::wipe_scratch_of;
use crate::steps::world::World;

use super::execute::Executed;

/// The context that the damaged journal still names, if its first record is whole.
pub fn context_of(damaged: &Damaged) -> Option<&str> {
    match damaged.whole.first().map(|line| &line.record) {
        Some(Record::Started { plan, .. }) => Some(&plan.context),
        _ => None,
    }
}

/// Closes the run for good. The caller asked for consent.
pub async fn abandon(world: &World, run: &str, damaged: Damaged) -> Result<Executed> {
    if let Some(context) = context_of(&damaged)
        && context != world.context
    {
        return Err(Error::input(format!(
            "run `{run}` belongs to context `{context}`, not `{}`",
            world.context
        ))
        .hint(format!("Pass `--context {context}`.")));
    }
    // Data in the clear must not outlive a drill, whatever its journal says.
    wipe_scratch_of(world, run).await?;
    wipe_exports(&damaged)?;
    let evidence = close(world, run, &damaged.error)?;
    set_aside(&damaged.path)?;
    let plan = damaged
        .whole
        .into_iter()
        .find_map(|line| match line.record {
            Record::Started { plan, .. } => Some(plan),
            _ => None,
        });
    let report = RunReport {
        run: run.to_owned(),
        operation: plan
            .as_ref()
            .map_or_else(String::new, |p| p.operation.clone()),
        context: world.context.clone(),
        plan_digest: plan.as_ref().map_or_else(String::new, |p| p.digest()),
        exit_code: Exit::Failed.code(),
        resumed: true,
        resumable: false,
        seconds: 0.0,
        steps: Vec::new(),
        error: Some(Report::from(&given_up(damaged.error, &world.context))),
    };
    Ok(Executed::Ran {
        report: Box::new(report),
        evidence,
    })
}

fn wipe_exports(damaged: &Damaged) -> Result<()> {
    let exports = |plan: &Plan, id: &str| {
        let found = plan.steps.iter().find(|s| s.spec.id == id);
        found.is_some_and(|s| s.spec.kind == Export::KIND)
    };
    let mut plan = None;
    for line in &damaged.whole {
        match &line.record {
            Record::Started { plan: started, .. } => plan = Some(started),
            Record::Intent { step, change, .. } if plan.is_some_and(|p| exports(p, step)) => {
                let change: ExportChange = serde_json::from_value(change.clone())
                    .map_err(|e| Error::bug("an export's intent cannot be read").caused_by(e))?;
                wipe_unfinished(&change)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn given_up(damage: Error, context: &str) -> Error {
    Error::new(
        damage.reason(),
        "the run was ended for good without taking anything back, because its journal is damaged",
    )
    .hint(format!(
        "See what state the targets are in with `summitctl status --context {context}` and `summitctl smoke --context {context}`."
    ))
    .caused_by(damage.to_string())
}

/// Closes the run's record, if its start was recorded.
fn close(world: &World, run: &str, damage: &Error) -> Result<Option<EvidenceRef>> {
    let Some(settings) = world.evidence.as_ref().filter(|s| s.dir.is_dir()) else {
        return Ok(None);
    };
    let archive = Archive::open(&settings.dir, &trusted_keys(world))?;
    let Some(known) = archive.find(run) else {
        return Ok(None);
    };
    let start = known.start.predicate.facts.clone();
    let recorder = Recorder::start(&settings.dir, &settings.key, start, Vec::new())?;
    let mut facts = ClosingFacts::new(Outcome::Failed, Exit::Integrity.code());
    facts.failure = Some(Failure::from(damage));
    Ok(Some(recorder.finish(facts, Vec::new())?))
}

fn set_aside(journal: &Path) -> Result<()> {
    let aside = journal.with_file_name("journal.damaged.ndjson");
    std::fs::rename(journal, &aside).map_err(|e| Error::io("rename", journal, e))?;
    let folder = journal.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| Error::io("sync", folder, e))
}
