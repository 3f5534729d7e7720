//! Runs a runbook: its steps and parameters become a request to the engine.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::plan::{OnFailure, Spec, StepSpec};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::runbook::{self, ParamType, Runbook};
use crate::steps::choose::{self, Choice};
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
    let params = with_backups(world, runbook, bound.public()).await?;
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
        params,
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

/// The parameters, with the id of each backup that one names by its label or otherwise: what is planned is what is done.
async fn with_backups(world: &World, runbook: &Runbook, mut params: Value) -> Result<Value> {
    for param in runbook
        .params
        .iter()
        .filter(|p| p.kind == ParamType::Backup)
    {
        let Some(value) = params.get_mut(&param.name) else {
            continue;
        };
        // An optional one that nobody gave.
        let Some(named) = value.as_str().filter(|named| !named.is_empty()) else {
            continue;
        };
        let choice: Choice = named.parse()?;
        let repository = world.repository().await?;
        let found = choose::find(world, &repository, &choice, &[]).await?;
        *value = Value::from(found.backup.id.to_string());
    }
    Ok(params)
}
