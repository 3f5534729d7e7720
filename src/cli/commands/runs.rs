//! `run …` and `lease …`: what was begun, where it stands, and how to go on.

use serde_json::json;

use super::{show, world};
use crate::cli::Session;
use crate::cli::args::{LeaseCommand, RunCommand};
use crate::cli::output::{Answer, table};
use crate::engine::executor::report_step;
use crate::engine::lease::FileLeases;
use crate::engine::replay::RunState;
use crate::engine::runs::Runs;
use crate::error::{Error, NOT_FOUND, Result};
use crate::exit::Exit;
use crate::ops::execute::{GoOn, go_on};
use crate::steps::world::StateDir;

/// `run …`
pub async fn run(session: &Session, command: RunCommand) -> Result<Answer> {
    let runs = StateDir(session.state_dir()).runs();
    match command {
        RunCommand::List => list(&runs),
        RunCommand::Show(name) => {
            let id = match name.run {
                Some(id) => id,
                None => runs
                    .ids()?
                    .into_iter()
                    .next()
                    .ok_or_else(|| Error::new(&NOT_FOUND, "there are no runs yet"))?,
            };
            show_run(&runs, &id)
        }
        RunCommand::Resume(name) => act(session, &runs, name.run.as_deref(), GoOn::Resume).await,
        RunCommand::Abort(name) => act(session, &runs, name.run.as_deref(), GoOn::Abort).await,
    }
}

fn state_word(runs: &Runs, state: &RunState) -> &'static str {
    match (state.ended, state.aborted, runs.busy(&state.run)) {
        (Some(0), false, _) => "finished",
        (Some(_), false, _) => "finished with failures",
        (Some(_), true, _) => "aborted",
        (None, _, true) => "running",
        (None, _, false) => "resumable",
    }
}

fn list(runs: &Runs) -> Result<Answer> {
    let mut rows = Vec::new();
    let mut items = Vec::new();
    for id in runs.ids()? {
        match runs.show(&id) {
            Ok((state, _)) => {
                let word = state_word(runs, &state);
                rows.push(vec![
                    id.clone(),
                    word.to_owned(),
                    state.plan.operation.clone(),
                    state.plan.context.clone(),
                    state.started.human(),
                ]);
                items.push(json!({
                    "run": id, "state": word, "operation": state.plan.operation, "context": state.plan.context,
                    "started": state.started, "last": state.last, "exit-code": state.ended,
                }));
            }
            Err(error) => {
                rows.push(vec![
                    id.clone(),
                    "damaged".to_owned(),
                    String::new(),
                    String::new(),
                    error.to_string(),
                ]);
                items.push(json!({"run": id, "state": "damaged", "error": crate::error::Report::from(&error)}));
            }
        }
    }
    let mut text = if rows.is_empty() {
        "No runs yet.".to_owned()
    } else {
        table(&["run", "state", "operation", "context", "started"], rows)
    };
    if let Some(first) = items.iter().find(|i| i["state"] == "resumable") {
        text.push_str(&format!(
            "\n\nnext      summitctl run resume {} --context {}",
            first["run"].as_str().unwrap_or_default(),
            first["context"].as_str().unwrap_or_default()
        ));
    }
    Ok(Answer::new(Exit::Ok, text, json!({"runs": items})))
}

fn show_run(runs: &Runs, id: &str) -> Result<Answer> {
    let (state, history) = runs.show(id)?;
    let steps: Vec<_> = state
        .plan
        .steps
        .iter()
        .map(|s| report_step(s, state.steps.get(&s.spec.id)))
        .collect();
    let word = state_word(runs, &state);
    let mut text = format!(
        "run       {id}: {} ({word})\ncontext   {}\nstarted   {}\nplan      {}\njournal   {} ({} records, chain intact)\n\n{}\n",
        state.plan.title,
        state.plan.context,
        state.started.human(),
        state.digest,
        runs.journal(id).display(),
        history.lines.len(),
        show::steps(&steps)
    );
    if let Some(error) = &state.paused {
        text.push_str(&format!("\nstopped   {}\n", error.message));
    }
    if word == "resumable" {
        text.push_str(&format!(
            "\nnext      summitctl run resume {id} --context {}\n",
            state.plan.context
        ));
    }
    let json = json!({
        "run": id, "state": word, "operation": state.plan.operation, "context": state.plan.context,
        "started": state.started, "last": state.last, "plan-digest": state.digest, "exit-code": state.ended,
        "resumed": state.resumed, "steps": steps, "paused": state.paused,
    });
    Ok(Answer::new(Exit::Ok, text, json))
}

async fn act(session: &Session, runs: &Runs, wanted: Option<&str>, what: GoOn) -> Result<Answer> {
    let id = runs.to_resume(wanted)?;
    let (state, _) = runs.show(&id)?;
    // A run goes on where it began, whatever the default context is by now.
    let world = match &session.globals.context {
        Some(_) => world::world(session).await?,
        None => world::world_named(session, &state.plan.context).await?,
    };
    let registry = crate::steps::registry();
    let host = world::host(session, &world, &registry, format!("run resume {id}"))?;
    let executed = go_on(&host, &id, what).await?;
    Ok(show::executed(&executed, |report| {
        format!("{}\n\n", show::steps(&report.steps))
    }))
}

/// `lease …`
pub async fn lease(session: &Session, command: LeaseCommand) -> Result<Answer> {
    let leases = FileLeases::at(StateDir(session.state_dir()).leases());
    match command {
        LeaseCommand::Show => {
            let holders = leases.list()?;
            let rows = holders.iter().map(|h| {
                let state = if h.known_dead() { "dead" } else { "held" };
                vec![
                    h.name.clone(),
                    state.to_owned(),
                    h.run.clone(),
                    h.operation.clone(),
                    format!("pid {} on {}", h.process.pid, h.host),
                    h.since.human(),
                ]
            });
            let text = if holders.is_empty() {
                "No leases are held.".to_owned()
            } else {
                format!(
                    "{}\n\nThese are files of this state folder: they do not fence a machine with another one.",
                    table(
                        &["lease", "state", "run", "operation", "holder", "since"],
                        rows
                    )
                )
            };
            let items: Vec<_> = holders
                .iter()
                .map(|h| json!({"holder": h, "known-dead": h.known_dead()}))
                .collect();
            Ok(Answer::new(Exit::Ok, text, json!({"leases": items})))
        }
        LeaseCommand::Break { name } => {
            let holder = leases
                .list()?
                .into_iter()
                .find(|h| h.name == name)
                .ok_or_else(|| {
                    Error::new(&NOT_FOUND, format!("no lease `{name}` is held"))
                        .hint("See them with `summitctl lease show`.")
                })?;
            if !holder.known_dead() && session.globals.confirm.as_deref() != Some(name.as_str()) {
                return Err(Error::new(
                    &crate::consent::NO_CONSENT,
                    format!("the holder of lease `{name}` (run `{}`, pid {} on `{}`) is not known to be dead", holder.run, holder.process.pid, holder.host),
                )
                .hint(format!("If you know that it has ended, break the lease with `summitctl lease break '{name}' --confirm '{name}'`.")));
            }
            leases.break_lease(&name)?;
            let text = format!(
                "Broke lease `{name}`, held by run `{}` since {}.",
                holder.run,
                holder.since.human()
            );
            Ok(Answer::new(Exit::Ok, text, json!({"broken": holder})))
        }
    }
}
