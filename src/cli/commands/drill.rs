//! `drill …`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::backup::{carry_out, chosen, findings_between};
use super::world;
use crate::cli::Session;
use crate::cli::args::DrillCommand;
use crate::cli::output::{Answer, table};
use crate::engine::executor::RunReport;
use crate::error::Result;
use crate::event::Outcome;
use crate::evidence::Archive;
use crate::exit::Exit;
use crate::ops::backup as plans;
use crate::steps::drill::OPERATION;
use crate::steps::evidence::trusted_keys;
use crate::steps::world::World;
use crate::time::{Instant, Span};

/// What `drill history` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Drills {
    /// The context's drills, from the evidence.
    pub drills: Vec<PastDrill>,
}

/// A drill in the history.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PastDrill {
    /// The run's id, by which its record is found.
    pub record: String,
    /// How it went; null if it never ended.
    pub outcome: Option<Outcome>,
    /// How long the recovery took, in seconds; null if it was not measured.
    pub rto_seconds: Option<f64>,
    /// How old the recovered data were, in seconds; null if it was not measured.
    pub rpo_seconds: Option<f64>,
    /// When it began.
    pub started: Instant,
}

/// `drill …`
pub async fn drill(session: &Session, command: DrillCommand) -> Result<Answer> {
    let world = world::world(session).await?;
    match command {
        DrillCommand::Run(args) => {
            let repository = world.repository().await?;
            let backup = chosen(session, &world, &repository, &args.backup).await?;
            let spec = plans::drill(&world, &backup.id).await?;
            carry_out(
                session,
                &world,
                spec,
                format!("drill run {}", backup.id),
                |report| summary_of_drill(&world, report, "drill"),
            )
            .await
        }
        DrillCommand::History => history(&world),
    }
}

/// The drill's phases against the policy.
pub fn summary_of_drill(world: &World, report: &RunReport, step: &str) -> String {
    let Some(seen) = report.observed(step) else {
        return String::new();
    };
    let span = |v: &Value| {
        Span(std::time::Duration::from_secs_f64(
            v.as_f64().unwrap_or(0.0).max(0.0),
        ))
        .to_string()
    };
    let seconds = seen["seconds"].as_object().cloned().unwrap_or_default();
    let phases: Vec<String> = seconds
        .iter()
        .filter_map(|(k, v)| Some(format!("{} {}", k.strip_prefix("phase/")?, span(v))))
        .collect();
    format!(
        "drill     backup {}, {} rows restored to scratch servers and compared\n  RTO       {} of {} ({})\n  RPO       {} of {}\n{}",
        seen["backup"].as_str().unwrap_or("?"),
        seen["rows"],
        seconds.get("rto").map_or("?".to_owned(), span),
        world.policy.rto.value,
        phases.join(", "),
        seconds.get("rpo").map_or("?".to_owned(), span),
        world.policy.rpo.value,
        findings_between(seen),
    )
}

fn history(world: &World) -> Result<Answer> {
    let settings = world
        .evidence
        .as_ref()
        .ok_or_else(|| world.lacks("evidence"))?;
    let archive = Archive::open(&settings.dir, &trusted_keys(world))?;
    let query = crate::evidence::Query {
        operation: Some(OPERATION),
        context: Some(&world.context),
        ..Default::default()
    };
    let mut rows = Vec::new();
    let mut drills = Vec::new();
    for run in archive.list(&query) {
        let closing = run.closing();
        let number = |name: &str| {
            closing
                .and_then(|c| {
                    c.predicate
                        .facts
                        .measurements
                        .iter()
                        .find(|m| m.name.as_str() == name)
                })
                .map(|m| m.value.0)
        };
        let outcome = run.outcome().map_or("never ended", |o| o.word());
        let span = |s: Option<f64>| s.map_or("?".to_owned(), |s| Span::measured(s).to_string());
        rows.push(vec![
            run.id().to_string(),
            outcome.to_owned(),
            span(number("rto")),
            span(number("rpo")),
            run.start.predicate.facts.started.minute(),
        ]);
        drills.push(PastDrill {
            record: run.id().to_string(),
            outcome: run.outcome(),
            rto_seconds: number("rto"),
            rpo_seconds: number("rpo"),
            started: run.start.predicate.facts.started,
        });
    }
    let text = if rows.is_empty() {
        format!(
            "No drills in the evidence.\n\nnext      summitctl drill run --context {}",
            world.context
        )
    } else {
        table(&["drill", "outcome", "rto", "rpo", "started"], rows)
    };
    Ok(Answer::new(Exit::Ok, text, Drills { drills }))
}
