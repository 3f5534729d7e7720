//! Runs a runbook: its steps and parameters become a request to the engine.

use std::collections::BTreeMap;

use crate::engine::plan::{OnFailure, Spec, StepSpec};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::runbook::{self, Runbook};
use crate::steps::world::World;

/// The request that a runbook makes with these parameters.
pub async fn spec(
    world: &World,
    runbook: &Runbook,
    params: &BTreeMap<String, String>,
) -> Result<Spec> {
    let bound = runbook.bind(params)?;
    if runbook
        .params
        .iter()
        .any(|p| p.secret && params.contains_key(&p.name))
    {
        return Err(Error::input(format!(
            "runbook `{}` takes a secret parameter, which this version cannot keep out of the journal",
            runbook.id
        )));
    }
    let steps = runbook.plan()?;
    let stores: Vec<Store> = world.stores(&[])?;
    let identities = if steps
        .iter()
        .any(|s| s.kind != runbook::MANUAL && s.kind != runbook::EXEC)
    {
        world.identities(&stores).await?
    } else {
        Vec::new()
    };
    Ok(Spec {
        operation: runbook.id.clone(),
        title: runbook.title.clone(),
        context: world.context.clone(),
        tier: world.tier,
        identities,
        params: bound.public(),
        steps: steps
            .into_iter()
            .map(|step| StepSpec {
                id: step.id,
                kind: step.kind,
                args: step.args,
                needs: step.needs,
                when: step.when,
                expect: step.expect,
                on_failure: match step.on_failure {
                    runbook::OnFailure::Stop => OnFailure::Stop,
                    runbook::OnFailure::Continue => OnFailure::Continue,
                    runbook::OnFailure::Undo => OnFailure::Undo,
                },
                retries: step.retries,
                timeout: step.timeout,
            })
            .collect(),
    })
}
