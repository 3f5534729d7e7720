//! Runs a runbook: its steps and parameters become a request to the engine.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::plan::{Document, OnFailure, Spec, StepSpec};
use crate::engine::registry::{ErasedStep, Registry};
use crate::error::{Error, Result};
use crate::expr::{Expr, Scope};
use crate::identity::Store;
use crate::runbook::{self, Library, PlannedStep, Runbook};
use crate::steps::world::World;

/// The request that a runbook makes with these parameters.
pub async fn spec(
    world: &World,
    registry: &Registry<World>,
    library: &Library,
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
    let expanded = runbook::expand(runbook, library, registry, &bound)?;
    let steps = expanded.steps;
    let stores: Vec<Store> = world.stores(&[])?;
    // What only looks must also work, and just then, while a target is down.
    let changes = |kind: &str| registry.get(kind).is_ok_and(ErasedStep::may_change);
    let scope = Scope::new().with("params", Value::Object(expanded.params.clone()));
    let identities = if steps
        .iter()
        .any(|s| s.kind != runbook::EXEC && changes(&s.kind) && !skipped(s, &scope))
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
        params: Value::Object(expanded.params),
        documents: expanded
            .texts
            .into_iter()
            .map(|(step, book)| Document {
                step,
                id: book.id.clone(),
                digest: book.digest(),
                text: book.source().text().to_owned(),
            })
            .collect(),
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

/// Whether the parameters alone say that a step is left out.
fn skipped(step: &PlannedStep, scope: &Scope) -> bool {
    let Some(Ok(when)) = step.when.as_deref().map(Expr::parse) else {
        return false;
    };
    when.references().iter().all(|r| r.root() == "params")
        && when.eval_bool(scope).is_ok_and(|is| !is)
}
