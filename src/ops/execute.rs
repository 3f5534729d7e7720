//! The one way from a request to a finished run: plan, show, consent, lease, signed start, execution, signed end.
//!
//! Every command that may change something goes through [`execute`]; `run resume` and `run abort` through [`go_on`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use crate::consent::{Ask, Consent, Effect, Flags, Request, obtain, recall};
use crate::engine::executor::{BLOCKED, Executor, RunReport, Witness};
use crate::engine::journal::CrashPoint;
use crate::engine::lease::{FileLeases, Lease, NoLease};
use crate::engine::plan::{Plan, Spec};
use crate::engine::planner::Planner;
use crate::engine::registry::Registry;
use crate::engine::replay::RunState;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::evidence::{ClosingFacts, EvidenceRef, Recorder, StartFacts, Timeline};
use crate::exit::Exit;
use crate::identity::Identity;
use crate::steps::world::World;
use crate::time::Instant;
use crate::wait::Cancel;

/// What surrounds an execution: who asks, who listens, where state lies.
pub struct Host<'a> {
    /// What the steps work on.
    pub world: &'a World,
    /// The step kinds.
    pub registry: &'a Registry<World>,
    /// Where events go.
    pub events: Events,
    /// Hears when steps begin, for the evidence; a listener of `events`.
    pub timeline: Timeline,
    /// Whether somebody wants to stop.
    pub cancel: Cancel,
    /// How many steps may run side by side.
    pub jobs: usize,
    /// The consent flags of the invocation.
    pub flags: Flags,
    /// The command line to repeat in hints, without consent flags.
    pub command: String,
    /// Show the plan and do nothing.
    pub plan_only: bool,
    /// Where a test makes the process die.
    pub crash: Option<CrashPoint>,
}

/// What came of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(
    tag = "outcome",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Executed {
    /// The plan was shown; nothing was done.
    Planned {
        /// Its digest, for `--plan`.
        digest: String,
        /// The plan.
        plan: Box<Plan>,
    },
    /// The plan was executed.
    Ran {
        /// How it went.
        report: Box<RunReport>,
        /// The closing record; absent while the run can be resumed.
        evidence: Option<EvidenceRef>,
    },
}

impl Executed {
    /// The exit code it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Executed::Planned { plan, .. } if plan.blocked().next().is_some() => Exit::Refused,
            Executed::Planned { .. } => Exit::Ok,
            Executed::Ran { report, .. } => report.exit(),
        }
    }

    /// The run's report, if there was a run.
    pub fn report(&self) -> Option<&RunReport> {
        match self {
            Executed::Ran { report, .. } => Some(report),
            Executed::Planned { .. } => None,
        }
    }
}

/// Plans, shows, asks, and executes.
pub async fn execute(
    host: &Host<'_>,
    spec: Spec,
    show: &dyn Fn(&Plan),
    ask: &mut dyn Ask,
) -> Result<Executed> {
    let run = host.world.state.runs().new_id();
    let planner = Planner {
        registry: host.registry,
        world: host.world,
        events: host.events.clone(),
        cancel: host.cancel.clone(),
    };
    let plan = host.cancel.guard_look(planner.plan(spec, &run)).await?;
    let digest = plan.digest();
    if host.plan_only {
        return Ok(Executed::Planned {
            digest,
            plan: Box::new(plan),
        });
    }
    if plan.effect() > Effect::Read {
        show(&plan);
    }
    if let Some((step, reason, hint)) = plan.blocked().next() {
        return Err(Error::new(
            &BLOCKED,
            format!("step `{}` is blocked: {reason}", step.spec.id),
        )
        .hint(hint));
    }
    let request = Request {
        effect: plan.effect(),
        context: &plan.context,
        tier: plan.tier,
        plan_digest: &digest,
        command: &host.command,
    };
    let consent = obtain(&request, &host.flags, ask)?;
    let lease = take_lease(host.world, &plan, &run)?;
    let runs = host.world.state.runs();
    let journal = runs.create(&run, host.crash)?;
    let evidence = Evidence::of(host, &plan, &run, &consent);
    let executor = executor(host, &evidence);
    let report = executor
        .start(&plan, &run, &consent, lease.as_ref(), journal)
        .await
        .map_err(|e| left_open(e, host.world, &run))?;
    Ok(Executed::Ran {
        report: Box::new(report),
        evidence: evidence.closed(),
    })
}

/// What to do with an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoOn {
    /// Go on where it stopped.
    Resume,
    /// Take back what it did.
    Abort,
}

/// Resumes or aborts a run. Its consent is the one in its journal, which covers exactly its plan.
pub async fn go_on(host: &Host<'_>, run: &str, what: GoOn) -> Result<Executed> {
    let runs = host.world.state.runs();
    let (journal, state, _) = runs.reopen(run, host.crash)?;
    if state.plan.context != host.world.context {
        return Err(Error::input(format!(
            "run `{run}` belongs to context `{}`, not `{}`",
            state.plan.context, host.world.context
        ))
        .hint(format!("Pass `--context {}`.", state.plan.context)));
    }
    if what == GoOn::Resume {
        super::stale::refuse_stale_safety(&state, Instant::now())?;
    }
    let consent = recall(&state.consent, &state.digest)?;
    let lease = take_lease(host.world, &state.plan, run)?;
    let evidence = Evidence::of(host, &state.plan, run, &consent);
    let executor = executor(host, &evidence);
    let report = match what {
        GoOn::Resume => {
            executor
                .resume(&state, &consent, lease.as_ref(), journal)
                .await
        }
        GoOn::Abort => {
            executor
                .abort(&state, &consent, lease.as_ref(), journal)
                .await
        }
    };
    let report = report.map_err(|e| left_open(e, host.world, run))?;
    Ok(Executed::Ran {
        report: Box::new(report),
        evidence: evidence.closed(),
    })
}

/// The error of a run that could not even keep its records: where it stands, and how to go on.
fn left_open(error: Error, world: &World, run: &str) -> Error {
    let open = world.state.runs().show(run);
    if open.is_ok_and(|(state, _)| state.resumable()) {
        return error.hint(format!(
            "Once that is mended, go on with `summitctl run resume {run} --context {}`.",
            world.context
        ));
    }
    error.hint("Nothing was begun: once that is mended, run the command again.")
}

fn executor<'a>(host: &'a Host<'_>, evidence: &'a Evidence<'_>) -> Executor<'a, World> {
    Executor {
        registry: host.registry,
        world: host.world,
        events: host.events.clone(),
        cancel: host.cancel.clone(),
        jobs: host.jobs,
        witness: Some(evidence),
    }
}

/// One lease per target that the plan may change.
fn take_lease(world: &World, plan: &Plan, run: &str) -> Result<Box<dyn Lease>> {
    if plan.effect() == Effect::Read {
        return Ok(Box::new(NoLease));
    }
    let mut names: Vec<String> = plan.identities.iter().map(lease_name).collect();
    names.push(format!("context {}", plan.context));
    Ok(Box::new(leases(world).acquire(
        &names,
        run,
        &plan.operation,
    )?))
}

/// The file leases of a world's state directory.
pub fn leases(world: &World) -> FileLeases {
    FileLeases::at(world.state.leases())
}

fn lease_name(identity: &Identity) -> String {
    identity.short()
}

/// The signed record of a run: its start durable before anything changes, its end before the journal's. A world without a
/// signing key has none, which the gate counts.
struct Evidence<'a> {
    world: &'a World,
    timeline: &'a Timeline,
    plan: &'a Plan,
    run: &'a str,
    consent: &'a Consent,
    recorder: Mutex<Option<Recorder>>,
    closed: Mutex<Option<EvidenceRef>>,
}

impl<'a> Evidence<'a> {
    fn of(host: &'a Host<'_>, plan: &'a Plan, run: &'a str, consent: &'a Consent) -> Self {
        Evidence {
            world: host.world,
            timeline: &host.timeline,
            plan,
            run,
            consent,
            recorder: Mutex::default(),
            closed: Mutex::default(),
        }
    }

    fn closed(&self) -> Option<EvidenceRef> {
        held(&self.closed).take()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness for Evidence<'_> {
    fn begun(&self) -> Result<()> {
        let Some(settings) = &self.world.evidence else {
            return Ok(());
        };
        let mut facts = StartFacts::of_plan(self.run, self.plan, self.consent)?;
        facts.platform = self.world.platform.as_deref().map(Into::into);
        let recorder = Recorder::start(&settings.dir, &settings.key, facts, Vec::new())?;
        *held(&self.recorder) = Some(recorder);
        Ok(())
    }

    fn over(&self, report: &RunReport) -> Result<Option<String>> {
        let Some(recorder) = held(&self.recorder).take() else {
            return Ok(None);
        };
        let record = recorder.finish(ClosingFacts::of_run(report, self.timeline), Vec::new())?;
        let anchor = record.anchor.clone();
        *held(&self.closed) = Some(record);
        Ok(Some(anchor))
    }
}

/// A run's state, for `run show` and `status`.
pub fn open_runs(world: &World) -> Result<Vec<RunState>> {
    let runs = world.state.runs();
    let mut open = Vec::new();
    for id in runs.ids()? {
        let (state, _) = runs.show(&id)?;
        if state.resumable() {
            open.push(state);
        }
    }
    Ok(open)
}
