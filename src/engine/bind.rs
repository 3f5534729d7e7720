//! Binds a step's arguments and conditions to what is known: parameters, the run, and earlier steps' outputs.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::expr::{Expr, Reference, Scope, Template};

use super::plan::StepSpec;
use super::step::Facts;

/// What expressions see: `params`, `run.id`, `steps.<id>.out` and, in expectations, `result`.
pub fn scope(
    params: &Value,
    run: &str,
    outputs: &Map<String, Value>,
    result: Option<&Facts>,
) -> Scope {
    let scope = Scope::new()
        .with("params", params.clone())
        .with("run", json!({"id": run}))
        .with("steps", Value::Object(outputs.clone()));
    match result {
        Some(result) => scope.with("result", Value::Object(result.clone())),
        None => scope,
    }
}

/// The arguments with every `${ … }` replaced by its value.
pub fn resolve(args: &Value, scope: &Scope) -> Result<Value> {
    Template::parse(args)?.resolve(scope)
}

/// Whether an expression is true; anything but a boolean is an error.
pub fn is_true(expression: &str, scope: &Scope) -> Result<bool> {
    Expr::parse(expression)?.eval_bool(scope)
}

/// The values an expression's names have, for the message that says why it was not true.
pub fn operands(expression: &str, scope: &Scope) -> String {
    let Ok(expr) = Expr::parse(expression) else {
        return String::new();
    };
    let shown = expr.operands(scope).into_iter().map(|(name, value)| {
        let value = value.map_or("absent".to_owned(), |v| v.to_string());
        format!("`{name}` is {value}")
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Whether everything an expression refers to is known.
pub fn known(expression: &str, scope: &Scope) -> bool {
    let Ok(expr) = Expr::parse(expression) else {
        return true;
    };
    expr.references()
        .iter()
        .all(|r| step_of(r).is_none_or(|step| scope.path(&["steps".into(), step]).is_some()))
}

/// The ids of the steps that a step's arguments and condition refer to.
pub fn references(step: &StepSpec) -> Result<Vec<String>> {
    let args = Template::parse(&step.args)?;
    let when = step.when.as_deref().map(Expr::parse).transpose()?;
    let of_when = when.iter().flat_map(|w| w.references().iter());
    let mut steps: Vec<String> = args
        .references()
        .into_iter()
        .chain(of_when)
        .filter_map(step_of)
        .collect();
    steps.sort();
    steps.dedup();
    Ok(steps)
}

fn step_of(reference: &Reference) -> Option<String> {
    (reference.path.first()? == "steps")
        .then(|| reference.path.get(1).cloned())
        .flatten()
}
