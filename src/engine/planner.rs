//! Makes a plan: asks each step, in order, what it would do, without doing anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::consent::Effect;
use crate::error::{Context as _, Error, Result};
use crate::event::Events;
use crate::expr::Scope;
use crate::wait::Cancel;

use super::bind;
use super::plan::{Forecast, Plan, PlannedStep, Spec, StepSpec};
use super::registry::{ErasedStep, Registry};
use super::step::{Decision, Facts, ReadCx};

/// Makes plans over a world.
pub struct Planner<'a, W> {
    /// The step kinds.
    pub registry: &'a Registry<W>,
    /// What the steps look at.
    pub world: &'a W,
    /// Where notes go.
    pub events: Events,
    /// Whether somebody wants to stop.
    pub cancel: Cancel,
}

impl<W: Send + Sync + 'static> Planner<'_, W> {
    /// Plans what `spec` asks for. `run` is the id that the run will have if the plan is executed.
    pub async fn plan(&self, spec: Spec, run: &str) -> Result<Plan> {
        let ordered = in_order(spec.steps)?;
        let mut steps: Vec<PlannedStep> = Vec::with_capacity(ordered.len());
        let mut outputs: Map<String, Value> = Map::new();
        // Steps whose effect, or output, is not there yet.
        let mut pending: BTreeSet<String> = BTreeSet::new();
        for step in ordered {
            self.cancel.check()?;
            let kind = self
                .registry
                .get(&step.kind)
                .context(|| format!("step `{}` cannot be planned", step.id))?;
            let scope = bind::scope(&spec.params, run, &outputs, None);
            let unknown = bind::references(&step)?
                .into_iter()
                .any(|r| !outputs.contains_key(&r));
            let args = if unknown {
                None
            } else {
                Some(bind::resolve(&step.args, &scope)?)
            };
            let planned = self
                .forecast(kind, &step, args.as_ref(), &scope, run, &pending)
                .await;
            let (forecast, output) = planned
                .context(|| format!("step `{}` (`{}`) cannot be planned", step.id, step.kind))?;
            if let Some(output) = output {
                outputs.insert(step.id.clone(), json!({"out": output}));
            } else if kind.may_change() && !matches!(forecast, Forecast::WillSkip) {
                pending.insert(step.id.clone());
            }
            let shown_args = args.as_ref().unwrap_or(&step.args);
            let title = kind
                .title(shown_args)
                .unwrap_or_else(|_| kind.summary().to_owned());
            // Arguments that are not known yet may hide the strongest effect the kind has.
            let effect = match kind.effect(shown_args) {
                Ok(effect) => effect,
                Err(_) => kind.most(),
            };
            steps.push(PlannedStep {
                spec: step,
                title,
                effect,
                forecast,
            });
        }
        Ok(Plan {
            version: 1,
            operation: spec.operation,
            title: spec.title,
            context: spec.context,
            tier: spec.tier,
            identities: spec.identities,
            params: spec.params,
            steps,
            documents: spec.documents,
        })
    }

    async fn forecast(
        &self,
        kind: &dyn ErasedStep<W>,
        step: &StepSpec,
        args: Option<&Value>,
        scope: &Scope,
        run: &str,
        pending: &BTreeSet<String>,
    ) -> Result<(Forecast, Option<Facts>)> {
        // What is skipped needs no arguments that fit, nor those of other steps that are skipped.
        if let Some(when) = &step.when
            && bind::known(when, scope)
            && !bind::is_true(when, scope)?
        {
            return Ok((Forecast::WillSkip, None));
        }
        let waits = step.needs.iter().any(|n| pending.contains(n));
        let Some(args) = args else {
            let forecast = if kind.may_change() {
                later(Default::default())
            } else {
                Forecast::Looks
            };
            return Ok((forecast, None));
        };
        kind.check_args(args)?;
        if !kind.may_change() || kind.effect(args)? == Effect::Read {
            return Ok((Forecast::Looks, None));
        }
        let cx = ReadCx {
            world: self.world,
            events: self.events.within(&step.id),
            cancel: self.cancel.clone(),
            run,
            step: &step.id,
            planned: None,
        };
        if waits {
            return Ok((later(kind.foresee(&cx, args).await?), None));
        }
        Ok(match kind.plan(&cx, args).await? {
            Decision::Done(observed) => (
                Forecast::AlreadySo {
                    observed: observed.0.clone(),
                },
                Some(observed.0),
            ),
            Decision::Change {
                decisive, shown, ..
            } => (Forecast::WillChange { decisive, shown }, None),
            Decision::Blocked(blocked) => (
                Forecast::Blocked {
                    reason: blocked.reason,
                    hint: blocked.hint,
                },
                None,
            ),
        })
    }
}

fn later(foresight: super::step::Foresight) -> Forecast {
    Forecast::Later {
        decisive: foresight.decisive,
        shown: foresight.shown,
    }
}

/// Puts each step after those it needs, keeping the given order otherwise; what a step refers to it also needs.
fn in_order(mut steps: Vec<StepSpec>) -> Result<Vec<StepSpec>> {
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        if ids.insert(step.id.clone(), index).is_some() {
            return Err(Error::input(format!("two steps have the id `{}`", step.id)));
        }
    }
    for step in &mut steps {
        for reference in bind::references(step)? {
            if !step.needs.contains(&reference) {
                step.needs.push(reference);
            }
        }
        if let Some(unknown) = step.needs.iter().find(|n| !ids.contains_key(*n)) {
            return Err(Error::input(format!(
                "step `{}` needs step `{unknown}`, which does not exist",
                step.id
            )));
        }
    }
    let mut placed: BTreeSet<String> = BTreeSet::new();
    let mut ordered = Vec::with_capacity(steps.len());
    while !steps.is_empty() {
        let Some(next) = steps
            .iter()
            .position(|s| s.needs.iter().all(|n| placed.contains(n)))
        else {
            let names: Vec<String> = steps.iter().map(|s| format!("`{}`", s.id)).collect();
            return Err(Error::input(format!(
                "these steps need each other in a circle: {}",
                names.join(", ")
            )));
        };
        let step = steps.remove(next);
        placed.insert(step.id.clone());
        ordered.push(step);
    }
    Ok(ordered)
}
