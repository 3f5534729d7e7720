//! From a runbook and its parameters to the list of steps the engine plans.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{INVALID, OnFailure, PARAMETER, Param, ParamType, Runbook, StepBlock};
use crate::error::{Context as _, Error, Result};
use crate::expr::{self, Expr, Template};
use crate::secret::{MASK, Secret};
use crate::time::Span as Duration;

/// The parameters' values, typed.
#[derive(Debug, Clone, Default)]
pub struct Bound {
    public: Map<String, Value>,
    secret: BTreeMap<String, Secret>,
}

impl Bound {
    /// The values that may be shown, kept and hashed: what `params` is while planning.
    pub fn public(&self) -> Value {
        Value::Object(self.public.clone())
    }

    /// The same, to put in what a name stands for.
    pub fn public_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.public
    }

    /// All values, the secret ones in clear: what `params` is in the moment a step is applied. Never keep or show it.
    pub fn exposed(&self) -> Value {
        let mut all = self.public.clone();
        for (name, secret) in &self.secret {
            all.insert(name.clone(), Value::String(secret.expose().to_owned()));
        }
        Value::Object(all)
    }

    /// All values, the secret ones masked: for people.
    pub fn shown(&self) -> Value {
        let mut all = self.public.clone();
        for name in self.secret.keys() {
            all.insert(name.clone(), Value::String(MASK.to_owned()));
        }
        Value::Object(all)
    }
}

/// A step, ready for the engine: every expression in it was parsed once, so it parses again.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    /// Its id.
    pub id: String,
    /// Its kind, such as `smoke.run`.
    pub kind: String,
    /// The heading it stands under.
    pub title: String,
    /// Its arguments: an object whose texts may hold `${ … }`.
    pub args: Value,
    /// Its condition.
    pub when: Option<String>,
    /// What must be true of `result` afterwards.
    pub expect: Vec<String>,
    /// What happens to the run when it fails.
    pub on_failure: OnFailure,
    /// How often it is tried again.
    pub retries: u32,
    /// How long one try may take.
    pub timeout: Option<Duration>,
    /// The ids of the steps it waits for.
    pub needs: Vec<String>,
    /// The line of its block in the runbook, from 1.
    pub line: usize,
}

impl Runbook {
    /// The parameters that are required and not among `given`: what to ask for.
    pub fn missing<'a>(&'a self, given: &BTreeMap<String, String>) -> Vec<&'a Param> {
        self.params
            .iter()
            .filter(|p| p.default.is_none() && !given.contains_key(&p.name))
            .collect()
    }

    /// Types the given values, fills in the defaults, and refuses what is missing or unknown. The command that would give what is
    /// missing is the caller's to name: it knows how the runbook was called, and in which context.
    pub fn bind(&self, given: &BTreeMap<String, String>) -> Result<Bound> {
        let show = format!("`summitctl runbook show {}` lists the parameters.", self.id);
        for name in given.keys() {
            if self.param(name).is_none() {
                let names = self.params.iter().map(|p| p.name.as_str());
                let error = Error::new(
                    &PARAMETER,
                    format!("runbook `{}` has no parameter `{name}`", self.id),
                );
                return Err(match expr::nearest(name, names) {
                    Some(near) => error.hint(format!("Did you mean `{near}`?")),
                    None => error.hint(show),
                });
            }
        }
        let missing = self.missing(given);
        if let Some(first) = missing.first() {
            let names: Vec<&str> = missing.iter().map(|p| p.name.as_str()).collect();
            return Err(Error::new(
                &PARAMETER,
                format!(
                    "runbook `{}` needs `{}` ({})",
                    self.id,
                    names.join("`, `"),
                    first.prompt
                ),
            ));
        }
        let mut bound = Bound::default();
        for param in &self.params {
            match given.get(&param.name) {
                Some(text) if param.secret => {
                    bound
                        .secret
                        .insert(param.name.clone(), Secret::new(text.as_str()));
                }
                Some(text) => {
                    let value = typed(param, &from_text(param.kind, text))
                        .map_err(|message| Error::new(&PARAMETER, message).hint(show.clone()))?;
                    bound.public.insert(param.name.clone(), value);
                }
                None => {
                    let default = param.default.clone().unwrap_or(Value::Null);
                    bound.public.insert(param.name.clone(), default);
                }
            }
        }
        Ok(bound)
    }

    /// The steps in the order of the text. Lint first: an expression that does not parse is an error here.
    pub fn plan(&self) -> Result<Vec<PlannedStep>> {
        self.steps()
            .map(|step| {
                self.planned(step)
                    .context(|| format!("runbook `{}`, step `{}`", self.id, step.id))
            })
            .collect()
    }

    fn planned(&self, step: &StepBlock) -> Result<PlannedStep> {
        if step.id.is_empty() || step.uses.is_empty() {
            return Err(Error::new(&INVALID, "a step without `id` or `uses`"));
        }
        Template::parse(&step.with)?;
        for text in step.when.iter().chain(&step.expect) {
            Expr::parse(text)?;
        }
        Ok(PlannedStep {
            id: step.id.clone(),
            kind: step.uses.clone(),
            title: step.title.clone(),
            args: step.with.clone(),
            when: step.when.clone(),
            expect: step.expect.clone(),
            on_failure: step.on_failure,
            retries: step.retries,
            timeout: step.timeout,
            needs: self.needs(step),
            line: self.source.position(step.span.start).0,
        })
    }
}

/// A value from the command line or a prompt, as JSON of the parameter's type where it can be that.
fn from_text(kind: ParamType, text: &str) -> Value {
    let trimmed = text.trim();
    match kind {
        ParamType::Integer => trimmed
            .parse::<i64>()
            .map_or_else(|_| Value::String(text.to_owned()), Value::from),
        ParamType::Boolean => match trimmed {
            "true" | "yes" => Value::Bool(true),
            "false" | "no" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        },
        ParamType::Duration | ParamType::Choice | ParamType::Backup => {
            Value::String(trimmed.to_owned())
        }
        ParamType::String => Value::String(text.to_owned()),
    }
}

/// The value in the parameter's type; the error is a message that does not repeat the value of a secret.
pub(super) fn typed(param: &Param, value: &Value) -> std::result::Result<Value, String> {
    let name = &param.name;
    let fits = match (param.kind, value) {
        (ParamType::String | ParamType::Backup, Value::String(_))
        | (ParamType::Boolean, Value::Bool(_)) => true,
        (ParamType::Integer, Value::Number(number)) => number.is_i64(),
        (ParamType::Duration, Value::String(text)) => text.parse::<Duration>().is_ok(),
        (ParamType::Choice, Value::String(text)) => {
            if !param.choices.contains(text) {
                return Err(format!(
                    "parameter `{name}` is one of `{}`, not `{text}`",
                    param.choices.join("`, `")
                ));
            }
            true
        }
        _ => false,
    };
    if fits {
        return Ok(value.clone());
    }
    let wanted = match param.kind {
        ParamType::String => "a text",
        ParamType::Integer => "a whole number",
        ParamType::Boolean => "`true` or `false`",
        ParamType::Duration => "a duration such as `15m`",
        ParamType::Choice => "one of its choices",
        ParamType::Backup => "a backup: an id, `newest` or `label:NAME`",
    };
    if param.secret {
        return Err(format!("parameter `{name}` is {wanted}"));
    }
    Err(format!(
        "parameter `{name}` is {wanted}, not `{}`",
        plain(value)
    ))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
