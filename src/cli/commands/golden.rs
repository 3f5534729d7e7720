//! `golden-path`: the guided first day on the sandbox, from nothing to evidence that verifies.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::backup::{measured, run_spec, summary_of_backup};
use super::drill::summary_of_drill;
use super::{runbook, sandbox, show, world};
use crate::cli::Session;
use crate::cli::args::GoldenPathArgs;
use crate::cli::output::Answer;
use crate::consent::{Effect, Request, Tier, obtain};
use crate::engine::executor::RunReport;
use crate::error::{Error, Result};
use crate::evidence::{Archive, render};
use crate::exit::Exit;
use crate::ops::execute::Executed;
use crate::ops::runbook_run;
use crate::ops::sandbox::{CONTEXT, sandbox as at};
use crate::sandbox::Up;
use crate::steps::evidence::trusted_keys;
use crate::steps::world::World;

/// What `golden-path` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GoldenPath {
    /// The run of the runbook `golden-path`.
    #[serde(flatten)]
    pub executed: Executed,
    /// The run's record as one self-contained page; null if it was only planned.
    pub page: Option<PathBuf>,
    /// The sandbox it ran on.
    pub sandbox: Up,
}

/// The runbook it follows.
const RUNBOOK: &str = "golden-path";

/// `golden-path`
pub async fn golden_path(session: &Session, args: &GoldenPathArgs) -> Result<Answer> {
    let stack = at(&session.sandbox_dir());
    // Starting servers on this machine comes before there is a context to plan on; it is asked for by itself.
    let request = Request {
        effect: Effect::Change,
        context: CONTEXT,
        tier: Tier::Development,
        plan_digest: "",
        command: "summitctl golden-path",
    };
    let mut flags = session.flags();
    flags.plan = None;
    session.output.say(&format!(
        "The golden path starts real servers on this machine, in {}, then smoke-tests, backs up, drills and gates them.",
        session.sandbox_dir().display()
    ));
    obtain(&request, &flags, &mut session.terminal())?;
    let up = sandbox::up(session, &stack).await?;
    session.output.say(&sandbox::up_text(&up));
    let world = world::world_named(session, CONTEXT).await?;
    let library = runbook::library()?;
    let registry = crate::steps::registry();
    let book = library.get(RUNBOOK, &registry)?;
    let spec = runbook_run::spec(&world, &registry, &library, book, &Default::default()).await?;
    let executed = run_spec(session, &world, spec, "golden-path".to_owned()).await?;
    let mut text = show::text_of(&executed, |report| summary(&world, report));
    let page = match &executed {
        Executed::Ran { report, .. } => Some(page(&world, &report.run)?),
        Executed::Planned { .. } => None,
    };
    if let Some(page) = &page {
        text.push_str(&format!("page      {}\n", page.display()));
    }
    let exit = executed.exit();
    if args.keep || exit != Exit::Ok {
        text.push_str(
            "\nnext      summitctl status --context sandbox\n\
             end       summitctl sandbox down               (the sandbox still runs)\n",
        );
    } else {
        stack.down(false, &session.events).await?;
        text.push_str(
            "\nThe sandbox was stopped; its backups and evidence stay.\n\
             practise  summitctl sandbox up\n",
        );
    }
    let walked = GoldenPath {
        executed,
        page,
        sandbox: up,
    };
    Ok(Answer::new(exit, text, walked))
}

/// Probes, backups with bytes and rates, the drill's phases, the verdict, the evidence.
fn summary(world: &World, report: &RunReport) -> String {
    let mut text = "\nThe golden path, measured\n".to_owned();
    if let Some(seen) = report.observed("smoke") {
        let totals = &seen["totals"];
        text.push_str(&format!(
            "smoke     {} of {} probes passed in {:.1} s\n",
            totals["passed"],
            totals["checks"],
            seen["seconds"].as_f64().unwrap_or(0.0)
        ));
    }
    if let Some(seen) = report.observed("data-plane") {
        text.push_str(&format!(
            "write     landed in {} and was removed\n",
            seen["seen-in"]
        ));
    }
    text.push_str(&summary_of_backup(report, ""));
    if let Some(seen) = report.observed("verify") {
        text.push_str(&format!(
            "verified  level {}: {}\n",
            seen["level"],
            measured(seen)
        ));
    }
    text.push_str(&summary_of_drill(world, report, "drill"));
    if let Some(seen) = report.observed("gate") {
        let totals = &seen["report"]["totals"];
        text.push_str(&format!(
            "verdict   {} ({} of {} checks passed)\n",
            seen["verdict"]
                .as_str()
                .unwrap_or("not evaluated")
                .to_uppercase(),
            totals["passed"],
            totals["checks"]
        ));
    }
    if let Some(seen) = report.observed("evidence") {
        text.push_str(&format!(
            "evidence  verify ok: {} records in {}\n",
            seen["records"],
            seen["dir"].as_str().unwrap_or("?")
        ));
    }
    text
}

/// The run's record as one self-contained page.
fn page(world: &World, run: &str) -> Result<PathBuf> {
    let settings = world
        .evidence
        .as_ref()
        .ok_or_else(|| world.lacks("evidence"))?;
    let archive = Archive::open(&settings.dir, &trusted_keys(world))?;
    let found = archive.resolve(run)?;
    let path = world.state.runs().folder(run).join("record.html");
    std::fs::write(&path, render::html(found)).map_err(|e| Error::io("write", &path, e))?;
    Ok(path)
}
