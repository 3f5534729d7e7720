//! `run …` and `lease …`: what was begun, where it stands, and how to go on.

use schemars::JsonSchema;
use serde::Serialize;

use super::{runbook, show, world};
use crate::cli::Session;
use crate::cli::args::{LeaseCommand, RunCommand, RunRendering, RunShowArgs};
use crate::cli::layout::Table;
use crate::cli::output::{Answer, Stream, width};
use crate::engine::executor::{StepReport, report_step};
use crate::engine::journal::Damaged;
use crate::engine::lease::{FileLeases, Holder};
use crate::engine::replay::RunState;
use crate::engine::runs::Runs;
use crate::error::{Error, NOT_FOUND, Report, Result};
use crate::exit::Exit;
use crate::ops::abandon;
use crate::ops::backup::COPY;
use crate::ops::execute::{GoOn, go_on};
use crate::ops::record;
use crate::steps::world::StateDir;
use crate::time::Instant;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It ended well.
    Finished,
    /// It ended for good, and not all of it went well.
    FinishedWithFailures,
    /// It was ended, and what it had done was taken back.
    Aborted,
    /// A process executes it now.
    Running,
    /// It stopped; `summitctl run resume` goes on.
    Resumable,
    /// Its journal cannot be read.
    Damaged,
}

impl Standing {
    fn of(runs: &Runs, state: &RunState) -> Self {
        match (state.ended, state.aborted, runs.busy(&state.run)) {
            (Some(0), false, _) => Standing::Finished,
            (Some(_), false, _) => Standing::FinishedWithFailures,
            (Some(_), true, _) => Standing::Aborted,
            (None, _, true) => Standing::Running,
            (None, _, false) => Standing::Resumable,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Standing::Finished => "finished",
            Standing::FinishedWithFailures => "finished with failures",
            Standing::Aborted => "aborted",
            Standing::Running => "running",
            Standing::Resumable => "resumable",
            Standing::Damaged => "damaged",
        }
    }
}

/// What `run list` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// Newest first.
    pub runs: Vec<Summary>,
}

/// A run in the list. What its journal would have to tell is null if it is damaged.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Its id.
    pub run: String,
    /// Where it stands.
    pub state: Standing,
    /// What it does, such as `backup create`.
    pub operation: Option<String>,
    /// The context's name.
    pub context: Option<String>,
    /// When it began.
    pub started: Option<Instant>,
    /// When its last record was written.
    pub last: Option<Instant>,
    /// The exit code it ended with; null if it has not ended.
    pub exit_code: Option<u8>,
    /// Why its journal cannot be read.
    pub error: Option<Report>,
}

/// What `run show` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// Its id.
    pub run: String,
    /// Where it stands.
    pub state: Standing,
    /// What it does, such as `backup create`.
    pub operation: String,
    /// The context's name.
    pub context: String,
    /// When it began.
    pub started: Instant,
    /// When its last record was written.
    pub last: Instant,
    /// The digest of its plan: `sha256:` and 64 hexadecimal digits.
    pub plan_digest: String,
    /// The exit code it ended with; null if it has not ended.
    pub exit_code: Option<u8>,
    /// How many times it was resumed.
    pub resumed: u32,
    /// Its steps, in the order of its plan.
    pub steps: Vec<StepReport>,
    /// Why it stopped, if it did.
    pub paused: Option<Report>,
    /// With `--format markdown`, the record: the runbook's prose, filled in with what happened.
    pub markdown: Option<String>,
}

/// What `lease show` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Leases {
    /// The leases of this state folder, by name.
    pub leases: Vec<Held>,
}

/// A lease that is held.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// Who holds it.
    pub holder: Holder,
    /// Whether its holder is known to have ended. Another machine's holder never is.
    pub known_dead: bool,
}

/// What `lease break` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Broken {
    /// Who held the lease that was removed.
    pub broken: Holder,
}

/// `run …`
pub async fn run(session: &Session, command: RunCommand) -> Result<Answer> {
    let runs = StateDir(session.state_dir()).runs();
    match command {
        RunCommand::List => list(&runs),
        RunCommand::Show(args) => {
            let id = match args.run.clone() {
                Some(id) => id,
                None => runs
                    .ids()?
                    .into_iter()
                    .next()
                    .ok_or_else(|| Error::new(&NOT_FOUND, "there are no runs yet"))?,
            };
            show_run(&runs, &id, &args)
        }
        RunCommand::Resume(name) => act(session, &runs, name.run.as_deref(), GoOn::Resume).await,
        RunCommand::Abort(name) => act(session, &runs, name.run.as_deref(), GoOn::Abort).await,
    }
}

fn list(runs: &Runs) -> Result<Answer> {
    let mut table = Table::new(&["run", "state", "operation", "context", "started"]);
    let mut found = Vec::new();
    for id in runs.ids()? {
        let summary = match runs.show(&id) {
            Ok((state, _)) => Summary {
                run: id,
                state: Standing::of(runs, &state),
                operation: Some(state.plan.operation),
                context: Some(state.plan.context),
                started: Some(state.started),
                last: Some(state.last),
                exit_code: state.ended,
                error: None,
            },
            Err(error) => Summary {
                run: id,
                state: Standing::Damaged,
                operation: None,
                context: None,
                started: None,
                last: None,
                exit_code: None,
                error: Some(Report::from(&error)),
            },
        };
        table.row(vec![
            summary.run.clone(),
            summary.state.word().to_owned(),
            summary.operation.clone().unwrap_or_default(),
            summary.context.clone().unwrap_or_default(),
            summary.started.map_or(String::new(), Instant::minute),
        ]);
        if let Some(error) = &summary.error {
            table.note(error.message.clone());
        }
        found.push(summary);
    }
    let mut text = if found.is_empty() {
        "No runs yet.".to_owned()
    } else {
        table.render(width(Stream::Out))
    };
    if let Some(first) = found.iter().find(|r| r.state == Standing::Resumable) {
        text.push_str(&format!(
            "\n\nnext      summitctl run resume {} --context {}",
            first.run,
            first.context.as_deref().unwrap_or_default()
        ));
    }
    Ok(Answer::new(Exit::Ok, text, Listed { runs: found }))
}

fn show_run(runs: &Runs, id: &str, args: &RunShowArgs) -> Result<Answer> {
    let (state, history) = runs.show(id)?;
    let steps: Vec<_> = state
        .plan
        .steps
        .iter()
        .map(|s| report_step(s, state.steps.get(&s.spec.id)))
        .collect();
    let standing = Standing::of(runs, &state);
    let mut text = format!(
        "run       {id}: {} ({})\ncontext   {}\nstarted   {}\nplan      {}\njournal   {} ({} records, chain intact)\n\n{}\n",
        state.plan.title,
        standing.word(),
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
    if standing == Standing::Resumable {
        let stopped = state.paused.as_ref();
        let next = show::go_on(id, &state.plan.context, stopped);
        text.push_str(&format!("\n{next}"));
    }
    let markdown = (args.format == RunRendering::Markdown)
        .then(|| record::markdown(&state, &history, standing.word()));
    let whole = markdown.is_some();
    let text = markdown.clone().unwrap_or(text);
    let shown = Shown {
        run: id.to_owned(),
        state: standing,
        markdown,
        operation: state.plan.operation,
        context: state.plan.context,
        started: state.started,
        last: state.last,
        plan_digest: state.digest,
        exit_code: state.ended,
        resumed: state.resumed,
        steps,
        paused: state.paused,
    };
    if let Some(path) = &args.file {
        std::fs::write(path, &text).map_err(|e| Error::io("write", path, e))?;
        let wrote = format!("Wrote {}.", path.display());
        return Ok(Answer::new(Exit::Ok, wrote, shown));
    }
    let answer = Answer::new(Exit::Ok, text, shown);
    Ok(if whole { answer.verbatim() } else { answer })
}

async fn act(session: &Session, runs: &Runs, wanted: Option<&str>, what: GoOn) -> Result<Answer> {
    let id = runs.to_resume(wanted)?;
    if what == GoOn::Abort
        && let Some(damaged) = runs.damaged(&id)?
    {
        return give_up(session, &id, damaged).await;
    }
    session.cancel.goes_on();
    let (state, _) = runs.show(&id)?;
    // A run goes on where it began, whatever the default context is by now.
    let world = match &session.globals.context {
        Some(_) => world::world(session).await?,
        None => world::world_named(session, &state.plan.context).await?,
    };
    let world = match state.plan.params[COPY].as_str() {
        Some(copy) if world.copy_worked_on().is_none() => world.working_on_copy(copy)?,
        begun if world.copy_worked_on() != begun => {
            return Err(Error::input(format!(
                "the run `{id}` was begun on {}, and goes on there",
                begun.map_or("the repository".to_owned(), |copy| format!(
                    "the copy `{copy}`"
                ))
            ))
            .hint("Leave `--repository` out."));
        }
        _ => world,
    };
    let registry = crate::steps::registry();
    let host = world::host(
        session,
        &world,
        &registry,
        &world.context,
        &format!("run resume {id}"),
    )?;
    let executed = go_on(&host, &id, what).await?;
    let mut answer = show::executed(&executed, |report| {
        format!("{}\n\n", show::steps(&report.steps))
    });
    let of_runbook = state.plan.documents.iter().find(|d| d.step.is_empty());
    if let (GoOn::Resume, Some(book), Some(report)) = (what, of_runbook, executed.report()) {
        answer.text.push_str(&runbook::read_on(report, &book.id));
    }
    Ok(answer)
}

/// `run abort` of a run whose journal is damaged.
async fn give_up(session: &Session, id: &str, damaged: Damaged) -> Result<Answer> {
    if session.globals.confirm.as_deref() != Some(id) {
        let refused = Error::new(
            &crate::consent::NO_CONSENT,
            format!("what run `{id}` did cannot be taken back: its journal is damaged"),
        );
        return Err(refused.caused_by(damaged.error));
    }
    let world = match (&session.globals.context, abandon::context_of(&damaged)) {
        (None, Some(context)) => world::world_named(session, context).await?,
        _ => world::world(session).await?,
    };
    let executed = abandon::abandon(&world, id, damaged).await?;
    Ok(show::executed(&executed, |_| String::new()))
}

/// `lease …`
pub async fn lease(session: &Session, command: LeaseCommand) -> Result<Answer> {
    let leases = FileLeases::at(StateDir(session.state_dir()).leases());
    match command {
        LeaseCommand::Show => {
            let mut table = Table::new(&["lease", "state", "run", "operation"]);
            let mut held = Vec::new();
            for holder in leases.list()? {
                let known_dead = holder.known_dead();
                table.row(vec![
                    holder.name.clone(),
                    if known_dead { "dead" } else { "held" }.to_owned(),
                    holder.run.clone(),
                    holder.operation.clone(),
                ]);
                table.note(format!(
                    "pid {} on {}, since {}",
                    holder.process.pid,
                    holder.host,
                    holder.since.human()
                ));
                held.push(Held { holder, known_dead });
            }
            let text = if held.is_empty() {
                "No leases are held.".to_owned()
            } else {
                format!(
                    "{}\n\nThese are files of this state folder: they do not fence a machine with another one.",
                    table.render(width(Stream::Out))
                )
            };
            Ok(Answer::new(Exit::Ok, text, Leases { leases: held }))
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
            Ok(Answer::new(Exit::Ok, text, Broken { broken: holder }))
        }
    }
}
