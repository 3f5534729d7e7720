//! `smoke`, `gate run`, `doctor` and `status`: looking without touching.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::backup::carry_out;
use super::{show, world};
use crate::check::Report;
use crate::cli::Session;
use crate::cli::args::{GateCommand, SmokeArgs};
use crate::cli::output::Answer;
use crate::engine::plan::{Spec, StepSpec};
use crate::engine::step::ReadCx;
use crate::error::Result;
use crate::exit::Exit;
use crate::ops::backup as plans;
use crate::ops::execute::Executed;
use crate::steps::world::World;
use crate::wait::Deadline;

/// What `smoke` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Smoked {
    /// The probes.
    pub report: Report,
    /// The run that wrote through the platform; null without `--data-plane`, or if the probes did not pass.
    pub data_plane: Option<Executed>,
}

/// A view for looks outside a run.
pub fn look<'a>(session: &Session, world: &'a World) -> ReadCx<'a, World> {
    ReadCx {
        world,
        events: session.events.clone(),
        cancel: session.cancel.clone(),
        run: "look",
        step: "",
        planned: None,
    }
}

/// `smoke`
pub async fn smoke(session: &Session, args: &SmokeArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let report =
        crate::steps::smoke::smoke(&look(session, &world), args.wait, session.globals.timeout)
            .await?;
    let mut text = show::checks(&report);
    let mut exit = report.exit();
    let mut data_plane = None;
    if args.data_plane {
        // The write is a run of its own, planned and consented to; there is no use in it while the platform is down.
        if exit == Exit::Ok {
            let spec = plans::data_plane(&world).await?;
            let executed =
                super::backup::run_spec(session, &world, spec, "smoke --data-plane".to_owned())
                    .await?;
            if let Some(seen) = executed.report().and_then(|r| r.observed("data-plane")) {
                text.push_str(&format!(
                    "data plane: the write landed in {} after {:.0} ms and was removed\n",
                    seen["seen-in"],
                    seen["landed-ms"].as_f64().unwrap_or(0.0)
                ));
            }
            exit = executed.exit();
            text.push_str(&show::text_of(&executed, |_| String::new()));
            data_plane = Some(executed);
        } else {
            text.push_str("? not evaluated: data plane, because smoke did not pass\n");
        }
    }
    Ok(Answer::new(exit, text, Smoked { report, data_plane }))
}

/// `gate …`
pub async fn gate(session: &Session, command: GateCommand) -> Result<Answer> {
    let GateCommand::Run(args) = command;
    let world = world::world(session).await?;
    let steps = vec![StepSpec::new(
        "gate",
        "gate.run",
        json!({"commit": args.commit}),
        &[],
    )];
    let spec = Spec {
        operation: "gate run".to_owned(),
        title: "evaluate the release gate".to_owned(),
        context: world.context.clone(),
        tier: world.tier,
        identities: Vec::new(),
        params: json!({}),
        steps,
        documents: Vec::new(),
    };
    let mut answer = carry_out(session, &world, spec, "gate run".to_owned(), |_| {
        String::new()
    })
    .await?;
    let observed = answer.json["report"]["steps"][0]["observed"].clone();
    if let Ok(report) = serde_json::from_value::<Report>(observed["report"].clone()) {
        let verdict = observed["verdict"]
            .as_str()
            .unwrap_or("not evaluated")
            .to_uppercase();
        answer.text = format!(
            "{}\nverdict   {verdict}\n{}",
            show::checks(&report),
            answer.text
        );
    }
    Ok(answer)
}

/// How long `doctor` looks, unless it is told.
const DOCTOR: Duration = Duration::from_secs(60);

/// `doctor`
pub async fn doctor(session: &Session) -> Result<Answer> {
    let deadline = Deadline::after(session.globals.timeout.map_or(DOCTOR, |t| t.0));
    let world = world::world(session).await;
    let report = crate::ops::doctor::doctor(
        world.as_ref(),
        &session.state_dir(),
        &session.events,
        &session.cancel,
        deadline.left(),
    )
    .await?;
    Ok(Answer::new(report.exit(), show::checks(&report), &report))
}

/// `status`
pub async fn status(session: &Session) -> Result<Answer> {
    let world = world::world(session).await?;
    let status = crate::ops::status::status(&look(session, &world)).await?;
    Ok(Answer::new(Exit::Ok, status.to_string(), &status))
}
