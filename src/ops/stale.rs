//! A restore that lay cut off for long is not resumed where that would lose what was written since.

use std::time::Duration;

use crate::engine::replay::{RunState, StepState};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::time::{Instant, Span};

use super::restore::{SAFETY_COMMIT, STALE_SAFETY};

/// How long a run may lie before what it saved is too old. Every restart after a crash is much shorter.
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);

/// Refuses to go on if stores whose data are replaced where they lie are still as they were, and were saved long ago. Postgres'
/// old database stays beside the new one, with all that was written to it.
pub fn refuse_stale_safety(state: &RunState, now: Instant) -> Result<()> {
    let rested = now.since(state.last);
    let saved = matches!(
        state.steps.get(SAFETY_COMMIT),
        Some(StepState::Ended { .. })
    );
    if rested < LONGEST_REST || !saved {
        return Ok(());
    }
    let untouched = state.plan.steps.iter().filter_map(|step| {
        let replaces = step.spec.kind == "restore.swap";
        let store: Store = serde_json::from_value(step.spec.args["store"].clone()).ok()?;
        let begun = match state.steps.get(&step.spec.id) {
            None => false,
            Some(StepState::Failed { change, .. }) => change.is_some(),
            Some(_) => true,
        };
        (replaces && store != Store::Postgres && !begun).then_some(store.name())
    });
    let untouched: Vec<&str> = untouched.collect();
    if untouched.is_empty() {
        return Ok(());
    }
    let (run, context) = (&state.run, &state.plan.context);
    Err(Error::new(
        &STALE_SAFETY,
        format!(
            "run `{run}` has rested for {}, and has not replaced {} yet: what was written there since its safety backup would be lost",
            Span(Duration::from_secs(rested.as_secs())),
            untouched.join(" and ")
        ),
    )
    .hint(format!(
        "Take back what it did with `summitctl run abort {run} --context {context}`, then restore anew: that saves what is there now."
    )))
}
