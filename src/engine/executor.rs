//! Executes a plan: intent before each effect, outcome after it, and a second look in between.
//!
//! Independent steps run side by side. Cancellation is honoured between effects (first Ctrl-C) or at once (second); in
//! both cases the journal says what was done and `resume` goes on: what is in doubt is re-observed, then adopted or done
//! again. A changing run stops at its first failure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::consent::{Consent, Effect};
use crate::error::{Context as _, Error, Report, Result};
use crate::event::{Event, Events, StepEnd};
use crate::exit::Exit;
use crate::pid::{Process, host_name};
use crate::reasons;
use crate::wait::Cancel;

use super::journal::{CRASH, Journal, Record};
use super::lease::Lease;
use super::plan::{OnFailure, Plan, PlannedStep};
use super::registry::Registry;
use super::replay::{RunState, StepState};
use super::step::{ApplyCx, Facts, Grant, IdempotencyKey, ReadCx, Undo};

mod report;
mod turn;

pub use report::{RunReport, StepReport, report_step};

reasons! {
    /// An expectation was not met.
    EXPECTATION = "step.expectation", Failed,
        "A step did what it does, but what it saw is not what the runbook or command expects. The message holds the expression and the values.";
    /// The world does not allow it.
    BLOCKED = "step.blocked", Refused, "A step cannot be done in the present state of the world. The message says what stands in the way.";
    /// It failed.
    FAILED = "step.failed", Failed, "A step failed. The causes below it say why; the run can be resumed once that is mended.";
    /// Something of it stays.
    NOT_UNDONE = "run.not-undone", Failed,
        "The run was ended for good, and something that it did could not be taken back. The message names the steps, the hints say what to do about each.";
    /// The effect could not be seen afterwards.
    NOT_SEEN = "step.not-seen", Failed,
        "A step's effect was made without an error, but a second look does not show it. Nothing is taken on trust, so the run stopped.";
}

/// Somebody who keeps a record of runs elsewhere, such as signed evidence. Called between the journal's first record and
/// the first effect, and again before the journal's last record, so that a kill in between leaves a run that resumes and
/// calls again: both must be safe to repeat.
pub trait Witness: Send + Sync {
    /// The run has begun, or goes on; nothing was done yet by this process.
    fn begun(&self) -> Result<()>;
    /// The run is over, or has stopped and can be resumed. Not called for an interruption. Gives the name of the record that
    /// it kept, which the journal's last record holds.
    fn over(&self, report: &RunReport) -> Result<Option<String>>;
}

/// Executes plans over a world.
pub struct Executor<'a, W> {
    /// The step kinds.
    pub registry: &'a Registry<W>,
    /// What the steps work on.
    pub world: &'a W,
    /// Where events go.
    pub events: Events,
    /// Whether somebody wants to stop.
    pub cancel: Cancel,
    /// How many steps may run side by side.
    pub jobs: usize,
    /// Who else keeps a record.
    pub witness: Option<&'a dyn Witness>,
}

/// One run in this process.
struct Run<'r, W> {
    executor: &'r Executor<'r, W>,
    plan: &'r Plan,
    run: &'r str,
    consent: &'r Consent,
    lease: &'r dyn Lease,
    journal: Mutex<Journal>,
    /// The effects this process has announced: what `undo` takes back if the run stops.
    intents: Mutex<BTreeMap<String, Value>>,
}

/// What a step came to.
struct Ended {
    end: StepEnd,
    adopted: bool,
    observed: Facts,
}

impl<W: Send + Sync + 'static> Executor<'_, W> {
    /// Starts a run: the journal must be new.
    pub async fn start(
        &self,
        plan: &Plan,
        run: &str,
        consent: &Consent,
        lease: &dyn Lease,
        mut journal: Journal,
    ) -> Result<RunReport> {
        let digest = plan.digest();
        if consent.plan_digest() != digest || consent.effect() < plan.effect() {
            return Err(Error::bug("a run was started without consent to its plan"));
        }
        let consent_json = serde_json::to_value(consent)
            .map_err(|e| Error::bug("a consent does not serialise").caused_by(e))?;
        self.cancel.begin()?;
        journal.append(&Record::Started {
            version: 1,
            run: run.to_owned(),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            host: host_name(),
            process: Process::current(),
            consent: consent_json,
            plan: Box::new(plan.clone()),
            digest,
        })?;
        let run = Run {
            executor: self,
            plan,
            run,
            consent,
            lease,
            journal: Mutex::new(journal),
            intents: Mutex::default(),
        };
        run.execute(BTreeMap::new(), false).await
    }

    /// Goes on with a run that an earlier process left.
    pub async fn resume(
        &self,
        state: &RunState,
        consent: &Consent,
        lease: &dyn Lease,
        mut journal: Journal,
    ) -> Result<RunReport> {
        self.cancel.goes_on();
        journal.append(&Record::Resumed {
            host: host_name(),
            process: Process::current(),
        })?;
        let run = Run {
            executor: self,
            plan: &state.plan,
            run: &state.run,
            consent,
            lease,
            journal: Mutex::new(journal),
            intents: Mutex::default(),
        };
        run.execute(state.steps.clone(), true).await
    }

    /// Takes back what a run did, newest effect first, and ends it for good.
    pub async fn abort(
        &self,
        state: &RunState,
        consent: &Consent,
        lease: &dyn Lease,
        mut journal: Journal,
    ) -> Result<RunReport> {
        self.cancel.goes_on();
        journal.append(&Record::Resumed {
            host: host_name(),
            process: Process::current(),
        })?;
        let began = Instant::now();
        let run = Run {
            executor: self,
            plan: &state.plan,
            run: &state.run,
            consent,
            lease,
            journal: Mutex::new(journal),
            intents: Mutex::default(),
        };
        if let Some(witness) = self.witness {
            witness.begun()?;
        }
        let mut states = state.steps.clone();
        let clean = run.undo_all(&mut states, &state.effects).await?;
        let exit = if clean { Exit::Ok } else { Exit::Failed };
        let error = (!clean).then(|| Report::from(&not_undone(&states)));
        let report = run.report(&states, exit, true, false, error, began.elapsed());
        run.close(
            &report,
            Record::Ended {
                exit_code: exit.code(),
                aborted: true,
                evidence: None,
            },
        )
        .await?;
        Ok(report)
    }
}

impl<W: Send + Sync + 'static> Run<'_, W> {
    async fn execute(
        &self,
        mut states: BTreeMap<String, StepState>,
        resumed: bool,
    ) -> Result<RunReport> {
        let began = Instant::now();
        self.executor.events.emit(Event::RunStarted {
            run: self.run.to_owned(),
            title: self.plan.title.clone(),
            steps: self.plan.steps.len(),
            plan_digest: self.plan.digest(),
            resumed,
        });
        if let Some(witness) = self.executor.witness {
            witness.begun()?;
        }
        let stopped = self.drive(&mut states).await?;
        let (exit, error, last) = match stopped {
            Some((error, step)) if error.reason() == &CRASH => {
                return Err(error.context(format!("step `{step}` was under way")));
            }
            Some((error, step)) => {
                let last = self.stop(&mut states, &error, &step).await?;
                (error.exit(), Some(Report::from(&error)), last)
            }
            None => {
                let failed = states
                    .values()
                    .any(|s| matches!(s, StepState::Failed { .. }));
                let exit = if failed { Exit::Failed } else { Exit::Ok };
                let last = Record::Ended {
                    exit_code: exit.code(),
                    aborted: false,
                    evidence: None,
                };
                (exit, None, last)
            }
        };
        let resumable = matches!(last, Record::Paused { .. });
        let report = self.report(&states, exit, resumed, resumable, error, began.elapsed());
        self.close(&report, last).await?;
        self.executor.events.emit(Event::RunFinished {
            run: self.run.to_owned(),
            exit_code: exit.code(),
        });
        Ok(report)
    }

    /// The witness first, the journal's last record after it.
    async fn close(&self, report: &RunReport, mut last: Record) -> Result<()> {
        if let Some(witness) = self
            .executor
            .witness
            .filter(|_| report.exit() != Exit::Interrupted)
        {
            let kept = witness.over(report)?;
            if let Record::Ended { evidence, .. } | Record::Paused { evidence, .. } = &mut last {
                *evidence = kept;
            }
        }
        self.append(&last).await
    }

    /// Runs every step whose needs have ended until all have, one failed for good, or somebody wants to stop.
    async fn drive(
        &self,
        states: &mut BTreeMap<String, StepState>,
    ) -> Result<Option<(Error, String)>> {
        let mut running: Vec<&str> = Vec::new();
        let mut flying = FuturesUnordered::new();
        let mut stopped: Option<(Error, String)> = None;
        loop {
            if stopped.is_none() {
                for step in &self.plan.steps {
                    let id = step.spec.id.as_str();
                    let ready = flying.len() < self.executor.jobs.max(1)
                        && !running.contains(&id)
                        && !settled(states.get(id))
                        && step.spec.needs.iter().all(|n| settled(states.get(n)));
                    if !ready {
                        continue;
                    }
                    let outputs = outputs(states);
                    let doubt = match states.get(id) {
                        Some(StepState::InDoubt { change }) => Some(change.clone()),
                        Some(StepState::Failed { change, .. }) => change.clone(),
                        _ => None,
                    };
                    running.push(id);
                    flying.push(async move {
                        let began = Instant::now();
                        (
                            step,
                            self.step(step, &outputs, doubt)
                                .await
                                .map_err(|e| self.out_of_reach(e)),
                            began.elapsed(),
                        )
                    });
                }
            }
            let Some((step, result, took)) = flying.next().await else {
                break;
            };
            let id = step.spec.id.as_str();
            running.retain(|r| *r != id);
            match result {
                Ok(ended) => self.ended(states, step, ended, took).await?,
                Err(error) if error.reason() == &CRASH => return Ok(Some((error, id.to_owned()))),
                Err(error) if error.exit() == Exit::Interrupted => {
                    if let Some(change) = self.intended(states, id).await {
                        states.insert(id.to_owned(), StepState::InDoubt { change });
                    }
                    stopped.get_or_insert((error, id.to_owned()));
                }
                Err(error) => {
                    let tolerated = step.spec.on_failure == OnFailure::Continue;
                    self.failed(states, step, &error, tolerated, took).await?;
                    if !tolerated {
                        stopped.get_or_insert((error, id.to_owned()));
                    }
                }
            }
        }
        Ok(stopped)
    }

    /// A target that cannot be reached: how far a connection gets is the next question.
    fn out_of_reach(&self, error: Error) -> Error {
        let doctor = format!("summitctl doctor --context {}", self.plan.context);
        if error.exit() != Exit::Unreachable || error.hints().iter().any(|h| h.contains(&doctor)) {
            return error;
        }
        error.hint(format!(
            "See whether the server runs, and how far a connection gets, with `{doctor}`; then resume."
        ))
    }

    async fn ended(
        &self,
        states: &mut BTreeMap<String, StepState>,
        step: &PlannedStep,
        ended: Ended,
        took: Duration,
    ) -> Result<()> {
        let id = &step.spec.id;
        let seconds = took.as_secs_f64();
        let Ended {
            end,
            adopted,
            observed,
        } = ended;
        self.append(&Record::Done {
            step: id.clone(),
            end,
            adopted,
            seconds,
            observed: observed.clone(),
        })
        .await?;
        self.executor.events.emit(Event::StepFinished {
            step: id.clone(),
            kind: step.spec.kind.clone(),
            end,
            seconds,
            observed: Value::Object(observed.clone()),
        });
        let change = self.intended(states, id).await;
        states.insert(
            id.clone(),
            StepState::Ended {
                end,
                observed,
                seconds,
                change,
                adopted,
            },
        );
        Ok(())
    }

    /// The effect that was announced for a step, by this process or an earlier one.
    async fn intended(&self, states: &BTreeMap<String, StepState>, step: &str) -> Option<Value> {
        if let Some(change) = self.intents.lock().await.get(step) {
            return Some(change.clone());
        }
        match states.get(step) {
            Some(StepState::InDoubt { change }) => Some(change.clone()),
            Some(StepState::Failed { change, .. }) => change.clone(),
            _ => None,
        }
    }

    async fn failed(
        &self,
        states: &mut BTreeMap<String, StepState>,
        step: &PlannedStep,
        error: &Error,
        tolerated: bool,
        took: Duration,
    ) -> Result<()> {
        let id = &step.spec.id;
        let report = Report::from(error);
        self.append(&Record::Failed {
            step: id.clone(),
            tolerated,
            error: report.clone(),
        })
        .await?;
        self.executor.events.emit(Event::StepFinished {
            step: id.clone(),
            kind: step.spec.kind.clone(),
            end: StepEnd::Failed,
            seconds: took.as_secs_f64(),
            observed: json!({"reason": report.reason, "message": error.one_line()}),
        });
        let change = self.intended(states, id).await;
        states.insert(
            id.clone(),
            StepState::Failed {
                error: report,
                tolerated,
                change,
            },
        );
        Ok(())
    }

    /// The run stops: for good with everything undone, or paused. Returns the journal's last record.
    async fn stop(
        &self,
        states: &mut BTreeMap<String, StepState>,
        error: &Error,
        step: &str,
    ) -> Result<Record> {
        let exit = error.exit();
        let undo = self
            .plan
            .step(step)
            .is_some_and(|s| s.spec.on_failure == OnFailure::Undo);
        if undo && exit != Exit::Interrupted {
            let order: Vec<String> = self.plan.steps.iter().map(|s| s.spec.id.clone()).collect();
            self.undo_all(states, &order).await?;
            return Ok(Record::Ended {
                exit_code: exit.code(),
                aborted: true,
                evidence: None,
            });
        }
        let waits = matches!(exit, Exit::Interrupted | Exit::Refused);
        if self.plan.effect() == Effect::Read && !waits {
            // Nothing was begun that could be gone on with: whoever wants to know again, looks again. A question that nobody was
            // there to answer can still be answered.
            return Ok(Record::Ended {
                exit_code: exit.code(),
                aborted: false,
                evidence: None,
            });
        }
        Ok(Record::Paused {
            error: Report::from(error),
            evidence: None,
        })
    }

    /// Takes back every effect of the steps named, last one first. False if something could not be taken back.
    async fn undo_all(
        &self,
        states: &mut BTreeMap<String, StepState>,
        order: &[String],
    ) -> Result<bool> {
        let mut clean = true;
        for id in order.iter().rev() {
            let change = match states.get(id) {
                Some(StepState::InDoubt { change }) => change.clone(),
                Some(
                    StepState::Ended {
                        change: Some(change),
                        ..
                    }
                    | StepState::Failed {
                        change: Some(change),
                        ..
                    },
                ) => change.clone(),
                _ => continue,
            };
            let Some(step) = self.plan.step(id) else {
                continue;
            };
            let kind = self.executor.registry.get(&step.spec.kind)?;
            self.executor.cancel.check()?;
            self.executor.lease_check(self.lease).await?;
            self.append(&Record::UndoIntent { step: id.clone() })
                .await?;
            let cx = ApplyCx {
                read: self.read_cx(id),
            };
            let key = IdempotencyKey(format!("{}/{id}/undo", self.run));
            let grant = Grant {
                consent: self.consent,
                lease: self.lease,
                key,
            };
            let undone = self.limited(step, kind.undo(&cx, &change, grant)).await;
            let (ok, detail) = match undone.context(|| format!("step `{id}` cannot be undone"))? {
                Undo::Done(observed) => (true, Value::Object(observed.0).to_string()),
                Undo::Nothing => (true, "nothing to take back".to_owned()),
                Undo::Kept(why) => {
                    self.executor
                        .events
                        .within(id)
                        .note(format!("stays: {why}"));
                    continue;
                }
                Undo::Impossible(why) => (false, why),
            };
            clean &= ok;
            self.append(&Record::Undone {
                step: id.clone(),
                clean: ok,
                detail: detail.clone(),
            })
            .await?;
            self.executor.events.emit(Event::StepFinished {
                step: id.clone(),
                kind: step.spec.kind.clone(),
                end: if ok { StepEnd::Undone } else { StepEnd::Failed },
                seconds: 0.0,
                observed: json!({"undo": detail, "message": detail}),
            });
            states.insert(id.clone(), StepState::Undone { clean: ok, detail });
        }
        Ok(clean)
    }

    fn read_cx<'c>(&'c self, step: &'c str) -> ReadCx<'c, W> {
        ReadCx {
            world: self.executor.world,
            events: self.executor.events.within(step),
            cancel: self.executor.cancel.clone(),
            run: self.run,
            step,
            planned: self.plan.forecast(step),
        }
    }

    async fn append(&self, record: &Record) -> Result<()> {
        self.journal.lock().await.append(record)
    }

    fn report(
        &self,
        states: &BTreeMap<String, StepState>,
        exit: Exit,
        resumed: bool,
        resumable: bool,
        error: Option<Report>,
        took: Duration,
    ) -> RunReport {
        RunReport {
            run: self.run.to_owned(),
            operation: self.plan.operation.clone(),
            context: self.plan.context.clone(),
            plan_digest: self.plan.digest(),
            exit_code: exit.code(),
            resumed,
            resumable,
            seconds: took.as_secs_f64(),
            steps: self
                .plan
                .steps
                .iter()
                .map(|step| report_step(step, states.get(&step.spec.id)))
                .collect(),
            error,
        }
    }
}

impl<W> Executor<'_, W> {
    async fn lease_check(&self, lease: &dyn Lease) -> Result<()> {
        lease.check().await
    }
}

/// What an abort could not take back. The state that is left is nobody's wish, so each step's own words say what to do.
fn not_undone(states: &BTreeMap<String, StepState>) -> Error {
    let left = states.iter().filter_map(|(id, state)| match state {
        StepState::Undone {
            clean: false,
            detail,
        } => Some((id, detail)),
        _ => None,
    });
    let (ids, details): (Vec<String>, Vec<String>) = left
        .map(|(id, detail)| (format!("`{id}`"), detail.clone()))
        .unzip();
    let error = Error::new(
        &NOT_UNDONE,
        format!(
            "the run was ended, and {} could not be taken back",
            ids.join(", ")
        ),
    );
    details
        .into_iter()
        .collect::<std::collections::BTreeSet<String>>()
        .into_iter()
        .fold(error, |error, detail| error.hint(sentence(&detail)))
}

/// A fragment as a sentence.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// Ended well, or failed in a way the run tolerates.
fn settled(state: Option<&StepState>) -> bool {
    matches!(
        state,
        Some(
            StepState::Ended { .. }
                | StepState::Failed {
                    tolerated: true,
                    ..
                }
        )
    )
}

fn outputs(states: &BTreeMap<String, StepState>) -> Map<String, Value> {
    let outputs = states.iter().filter_map(|(id, state)| match state {
        StepState::Ended { end, observed, .. } => Some((
            id.clone(),
            json!({"out": observed, "end": end, "failed": false}),
        )),
        StepState::Failed {
            tolerated: true,
            error,
            ..
        } => Some((
            id.clone(),
            json!({"out": {}, "end": StepEnd::Failed, "failed": true, "reason": error.reason}),
        )),
        _ => None,
    });
    outputs.collect()
}
