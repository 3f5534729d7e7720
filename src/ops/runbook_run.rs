//! Runs a runbook: its steps and parameters become a request to the engine.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::engine::plan::{Document, OnFailure, Spec, StepSpec};
use crate::engine::registry::{ErasedStep, Registry};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::expr::{Expr, Scope};
use crate::identity::{Identity, Store};
use crate::runbook::{self, Library, ParamType, PlannedStep, Runbook};
use crate::steps::choose::{self, Choice};
use crate::steps::world::World;

/// The request that a runbook makes with these parameters.
pub async fn spec(
    world: &World,
    registry: &Registry<World>,
    library: &Library,
    runbook: &Runbook,
    params: &BTreeMap<String, String>,
) -> Result<Spec> {
    let mut bound = runbook.bind(params)?;
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
    with_backups(world, runbook, "", bound.public_mut()).await?;
    let mut expanded = runbook::expand(runbook, library, registry, &bound)?;
    for (step, used) in expanded.texts.iter().filter(|(step, _)| !step.is_empty()) {
        let prefix = format!("{step}{}", runbook::expand::JOINT);
        with_backups(world, used, &prefix, &mut expanded.params).await?;
    }
    let steps = expanded.steps;
    let stores: Vec<Store> = world.stores(&[])?;
    // What only looks must also work, and just then, while a target is down.
    let changes = |kind: &str| registry.get(kind).is_ok_and(ErasedStep::may_change);
    let scope = Scope::new().with("params", Value::Object(expanded.params.clone()));
    let identities = if steps
        .iter()
        .any(|s| !elsewhere(s) && changes(&s.kind) && !skipped(s, &scope))
    {
        world.identities(&stores).await?
    } else if steps
        .iter()
        .any(|s| elsewhere(s) && may_change(s) && !skipped(s, &scope))
    {
        reachable(world, &stores).await?
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

/// Whether a step acts on something other than the context's stores.
fn elsewhere(step: &PlannedStep) -> bool {
    step.kind == runbook::EXEC || step.kind.starts_with("kube.")
}

/// Whether such a step may change something.
fn may_change(step: &PlannedStep) -> bool {
    step.kind != runbook::EXEC || step.args["effect"] != "read"
}

/// What the stores are that can be reached: a step may be there to start the one that cannot.
async fn reachable(world: &World, stores: &[Store]) -> Result<Vec<Identity>> {
    let mut seen = Vec::new();
    for store in stores {
        match world.identify(*store).await {
            Ok(identity) => seen.push(identity),
            Err(error) if error.exit() == Exit::Unreachable => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}

/// The parameters, with the id of each backup that one names by its label or otherwise: what is planned is what is done.
/// They stand in `params` with `prefix` before their names.
async fn with_backups(
    world: &World,
    runbook: &Runbook,
    prefix: &str,
    params: &mut Map<String, Value>,
) -> Result<()> {
    for param in runbook
        .params
        .iter()
        .filter(|p| p.kind == ParamType::Backup)
    {
        let name = format!("{prefix}{}", param.name);
        let Some(value) = params.get_mut(&name) else {
            if prefix.is_empty() {
                continue;
            }
            return Err(Error::new(
                &runbook::PARAMETER,
                format!(
                    "which backup `{}` of runbook `{}` is would be known only during the run",
                    param.name, runbook.id
                ),
            )
            .hint("Give it a parameter of type `backup`, as in `${ params.backup }`: what is planned is what is done."));
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
    Ok(())
}

/// Whether the parameters alone say that a step is left out.
fn skipped(step: &PlannedStep, scope: &Scope) -> bool {
    let Some(Ok(when)) = step.when.as_deref().map(Expr::parse) else {
        return false;
    };
    when.references().iter().all(|r| r.root() == "params")
        && when.eval_bool(scope).is_ok_and(|is| !is)
}
