//! `smoke`, `gate run`, `doctor` and `status`: looking without touching.

use serde_json::json;

use super::backup::carry_out;
use super::{show, world};
use crate::cli::Session;
use crate::cli::args::{GateCommand, SmokeArgs};
use crate::cli::output::Answer;
use crate::engine::plan::{Spec, StepSpec};
use crate::engine::step::ReadCx;
use crate::error::Result;
use crate::ops::backup as plans;
use crate::steps::world::World;

/// A view for looks outside a run.
pub fn look<'a>(session: &Session, world: &'a World) -> ReadCx<'a, World> {
    ReadCx {
        world,
        events: session.events.clone(),
        cancel: session.cancel.clone(),
        run: "look",
        step: "",
    }
}

/// `smoke`
pub async fn smoke(session: &Session, args: &SmokeArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let report =
        crate::steps::smoke::smoke(&look(session, &world), args.wait, session.globals.timeout)
            .await?;
    let mut text = show::checks(&report, session.globals.verbose > 0);
    let mut exit = report.exit();
    let mut data_plane = serde_json::Value::Null;
    if args.data_plane {
        // The write is a run of its own, planned and consented to; there is no use in it while the platform is down.
        if exit == crate::exit::Exit::Ok {
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
            let answer = show::executed(&executed, |_| String::new());
            exit = answer.exit;
            text.push_str(&answer.text);
            data_plane = answer.json;
        } else {
            text.push_str("? not evaluated: data plane, because smoke did not pass\n");
        }
    }
    Ok(Answer::new(
        exit,
        text,
        json!({"report": report, "data-plane": data_plane}),
    ))
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
    };
    let mut answer = carry_out(session, &world, spec, "gate run".to_owned(), |_| {
        String::new()
    })
    .await?;
    let observed = answer.json["report"]["steps"][0]["observed"].clone();
    if let Ok(report) = serde_json::from_value::<crate::check::Report>(observed["report"].clone()) {
        let verdict = observed["verdict"]
            .as_str()
            .unwrap_or("not evaluated")
            .to_uppercase();
        answer.text = format!(
            "{}\nverdict   {verdict}\n{}",
            show::checks(&report, true),
            answer.text
        );
    }
    Ok(answer)
}

/// `doctor`
pub async fn doctor(session: &Session) -> Result<Answer> {
    let world = world::world(session).await;
    let report = crate::ops::doctor::doctor(
        world.as_ref(),
        &session.state_dir(),
        &session.events,
        &session.cancel,
    )
    .await?;
    Ok(Answer::new(
        report.exit(),
        show::checks(&report, true),
        &report,
    ))
}

/// `status`
pub async fn status(session: &Session) -> Result<Answer> {
    let world = world::world(session).await?;
    let status = crate::ops::status::status(&look(session, &world)).await?;
    Ok(Answer::new(
        crate::exit::Exit::Ok,
        status.to_string(),
        &status,
    ))
}
