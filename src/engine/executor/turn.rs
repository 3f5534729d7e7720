//! One step's turn: look, decide, check that the consent still covers it, act, and look again.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::consent::{Effect, PLAN_CHANGED};
use crate::error::{Error, Result, TIMEOUT};
use crate::event::{Event, StepEnd};
use crate::exit::Exit;

use super::{BLOCKED, EXPECTATION, Ended, NOT_SEEN, Run};
use crate::engine::bind;
use crate::engine::journal::Record;
use crate::engine::plan::{Forecast, PlannedStep};
use crate::engine::registry::ErasedStep;
use crate::engine::step::{ApplyCx, Decision, Facts, Grant, IdempotencyKey};

impl<W: Send + Sync + 'static> Run<'_, W> {
    /// Takes the step from its conditions to its expectations.
    pub(super) async fn step(
        &self,
        step: &PlannedStep,
        outputs: &Map<String, Value>,
        doubt: Option<Value>,
    ) -> Result<Ended> {
        self.executor.cancel.check()?;
        let spec = &step.spec;
        let scope = bind::scope(&self.plan.params, self.run, outputs, None);
        if let Some(when) = &spec.when
            && !bind::is_true(when, &scope)?
        {
            return Ok(Ended {
                end: StepEnd::Skipped,
                adopted: false,
                observed: Facts::new(),
            });
        }
        let kind = self.executor.registry.get(&spec.kind)?;
        let args = bind::resolve(&spec.args, &scope)?;
        self.executor.events.emit(Event::StepStarted {
            step: spec.id.clone(),
            kind: spec.kind.clone(),
            title: kind.title(&args)?,
            effect: kind.effect(&args)?,
        });
        let ended = self.settle(step, kind, &args, doubt).await?;
        for expectation in &spec.expect {
            let scope = bind::scope(&self.plan.params, self.run, outputs, Some(&ended.observed));
            if !bind::is_true(expectation, &scope)? {
                return Err(Error::new(
                    &EXPECTATION,
                    format!("step `{}` saw something else than `{expectation}`", spec.id),
                )
                .hint(format!("It saw: {}.", bind::operands(expectation, &scope))));
            }
        }
        Ok(ended)
    }

    /// Looks, decides, acts if needed, and looks again.
    async fn settle(
        &self,
        step: &PlannedStep,
        kind: &dyn ErasedStep<W>,
        args: &Value,
        doubt: Option<Value>,
    ) -> Result<Ended> {
        let cx = self.read_cx(&step.spec.id);
        if let Some(change) = &doubt {
            if let Ok(observed) = self.limited(step, kind.verify(&cx, change)).await {
                cx.events.note("its effect was in place already; adopted");
                return Ok(Ended {
                    end: StepEnd::Changed,
                    adopted: true,
                    observed: observed.0,
                });
            }
            self.executor.cancel.check()?;
        }
        let decision = self
            .tried(step, async || {
                self.limited(step, kind.plan(&cx, args)).await
            })
            .await?;
        let (change, decisive) = match decision {
            Decision::Done(observed) => {
                let end = match (
                    kind.may_change() && kind.effect(args)? != Effect::Read,
                    doubt.is_some(),
                ) {
                    (false, _) => StepEnd::Observed,
                    (true, false) => StepEnd::AlreadySo,
                    (true, true) => StepEnd::Changed,
                };
                return Ok(Ended {
                    end,
                    adopted: doubt.is_some(),
                    observed: observed.0,
                });
            }
            Decision::Blocked(blocked) => {
                return Err(Error::new(
                    &BLOCKED,
                    format!("step `{}` is blocked: {}", step.spec.id, blocked.reason),
                )
                .hint(blocked.hint));
            }
            Decision::Change {
                change, decisive, ..
            } => (change, decisive),
        };
        self.covered(step, kind.effect(args)?, &decisive, doubt.is_some())?;
        self.executor.lease_check(self.lease).await?;
        self.executor.cancel.check()?;
        let key = IdempotencyKey(format!("{}/{}", self.run, step.spec.id));
        let intent = Record::Intent {
            step: step.spec.id.clone(),
            key: key.0.clone(),
            change: change.clone(),
            decisive,
        };
        self.append(&intent).await?;
        self.intents
            .lock()
            .await
            .insert(step.spec.id.clone(), change.clone());
        let apply_cx = ApplyCx {
            read: self.read_cx(&step.spec.id),
        };
        self.tried(step, async || {
            let grant = Grant {
                consent: self.consent,
                lease: self.lease,
                key: key.clone(),
            };
            self.limited(step, kind.apply(&apply_cx, &change, grant))
                .await
        })
        .await?;
        let observed = self
            .limited(step, kind.verify(&cx, &change))
            .await
            .map_err(|e| {
                let unseen = format!("the effect of step `{}` is not to be seen", step.spec.id);
                match e.exit() {
                    Exit::Interrupted => e,
                    // That nobody could look says nothing of the effect.
                    Exit::Unreachable => e.context(unseen),
                    _ => Error::new(&NOT_SEEN, unseen).caused_by(e),
                }
            })?;
        Ok(Ended {
            end: StepEnd::Changed,
            adopted: false,
            observed: observed.0,
        })
    }

    /// Whether the consent covers what the step now wants to do.
    fn covered(
        &self,
        step: &PlannedStep,
        effect: Effect,
        now: &Facts,
        in_doubt: bool,
    ) -> Result<()> {
        let changed = |what: String| {
            Error::new(
                &PLAN_CHANGED,
                format!(
                    "step `{}` is no longer what was consented to: {what}",
                    step.spec.id
                ),
            )
            .hint("Look at the new plan with `--plan-only` and consent to it in a new run.")
        };
        if effect > self.consent.effect() {
            return Err(changed(format!("its effect would be `{}`", effect.word())));
        }
        let planned = match &step.forecast {
            // Half an effect of our own may have moved the facts; its change is the one that was journalled.
            Forecast::WillChange { .. } if in_doubt => return Ok(()),
            Forecast::WillChange { decisive, .. } => {
                if let Some(extra) = now.keys().find(|k| !decisive.contains_key(*k)) {
                    return Err(changed(format!("`{extra}` is new: {}", now[extra])));
                }
                decisive
            }
            Forecast::Later { decisive, .. } => decisive,
            Forecast::AlreadySo { .. } | Forecast::WillSkip | Forecast::Looks => {
                return Err(changed(
                    "it had nothing to do when the plan was shown".into(),
                ));
            }
            Forecast::Blocked { .. } => return Err(Error::bug("a blocked step was started")),
        };
        for (fact, value) in planned {
            if now.get(fact) != Some(value) {
                let seen = now.get(fact).map_or("gone".to_owned(), Value::to_string);
                return Err(changed(format!("`{fact}` was {value} and is {seen}")));
            }
        }
        Ok(())
    }

    /// Tries again as often as the step allows; an interruption is never retried.
    async fn tried<T, F: Future<Output = Result<T>>>(
        &self,
        step: &PlannedStep,
        mut work: impl FnMut() -> F,
    ) -> Result<T> {
        let mut left = step.spec.retries;
        let mut pause = Duration::from_millis(200);
        loop {
            match work().await {
                Ok(value) => return Ok(value),
                Err(error)
                    if left > 0
                        && error.exit() != Exit::Interrupted
                        && error.exit() != Exit::Refused =>
                {
                    let events = self.executor.events.within(&step.spec.id);
                    events.note(format!("{}; trying again, {left} left", error.one_line()));
                    left -= 1;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Bounds a piece of work by the step's timeout and by somebody who wants to stop now.
    pub(super) async fn limited<T>(
        &self,
        step: &PlannedStep,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let guarded = self.executor.cancel.guard(work);
        match step.spec.timeout {
            None => guarded.await,
            Some(span) => tokio::time::timeout(span.0, guarded)
                .await
                .unwrap_or_else(|_| {
                    Err(Error::new(
                        &TIMEOUT,
                        format!("step `{}` took longer than {span}", step.spec.id),
                    ))
                }),
        }
    }
}
