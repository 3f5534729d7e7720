//! The plan: a value that can be shown, digested, consented to and executed, and nothing else is executed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::consent::{Effect, Tier};
use crate::identity::Identity;
use crate::time::Span;

use super::step::Facts;

/// What to do about a step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run stops and can be resumed.
    #[default]
    Stop,
    /// The run goes on; the failure counts in its result.
    Continue,
    /// What the run did is taken back, newest first.
    Undo,
}

/// One step as a command or a runbook asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StepSpec {
    /// Unique in the plan.
    pub id: String,
    /// The step kind.
    pub kind: String,
    /// Its arguments; strings may hold `${ expression }`.
    #[serde(default)]
    pub args: Value,
    /// Steps that must have ended first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Run only if this expression is true.
    #[serde(default)]
    pub when: Option<String>,
    /// Expressions over `result` that must be true afterwards.
    #[serde(default)]
    pub expect: Vec<String>,
    /// What to do if it fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How many times a failed look or effect is tried again.
    #[serde(default)]
    pub retries: u32,
    /// How long one try may take.
    #[serde(default)]
    pub timeout: Option<Span>,
}

impl StepSpec {
    /// A step with no conditions that needs the steps given.
    pub fn new(
        id: impl Into<String>,
        kind: impl Into<String>,
        args: Value,
        needs: &[&str],
    ) -> Self {
        StepSpec {
            id: id.into(),
            kind: kind.into(),
            args,
            needs: needs.iter().map(|n| (*n).to_owned()).collect(),
            when: None,
            expect: Vec::new(),
            on_failure: OnFailure::default(),
            retries: 0,
            timeout: None,
        }
    }
}

/// A text that a plan carries out: kept with it, so that the record of the run can show it whatever becomes of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Document {
    /// The step that it stands for, as the plan names it; empty for the plan's own text.
    pub step: String,
    /// The runbook's id.
    pub id: String,
    /// `sha256:` and the digest of the text.
    pub digest: String,
    /// The text.
    pub text: String,
}

/// What a command or a runbook asks the engine to do.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The operation, such as `backup create`.
    pub operation: String,
    /// What it does, in a few words.
    pub title: String,
    /// The context's name.
    pub context: String,
    /// The context's tier.
    pub tier: Tier,
    /// What the targets are, as seen now.
    pub identities: Vec<Identity>,
    /// Parameters that expressions see as `params`.
    pub params: Value,
    /// The steps.
    pub steps: Vec<StepSpec>,
    /// The runbooks they come from, the one that was asked for first.
    pub documents: Vec<Document>,
}

/// What is known of a step before anything is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Forecast {
    /// It will look and report.
    Looks,
    /// The world is already as it should be.
    AlreadySo {
        /// What was seen.
        observed: Facts,
    },
    /// It will make this change.
    WillChange {
        /// Facts that consent rests on.
        decisive: Facts,
        /// Facts that are only shown.
        shown: Facts,
    },
    /// It is decided once the steps before it have acted.
    Later {
        /// Facts that decide already now.
        decisive: Facts,
        /// Facts that are only shown.
        shown: Facts,
    },
    /// Its condition is false.
    WillSkip,
    /// It cannot be done.
    Blocked {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: String,
    },
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedStep {
    /// What was asked for.
    #[serde(flatten)]
    pub spec: StepSpec,
    /// A few words.
    pub title: String,
    /// What it may do to the world.
    pub effect: Effect,
    /// What is known now.
    pub forecast: Forecast,
}

/// What will be done, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Format version: 1.
    pub version: u32,
    /// The operation, such as `backup create`.
    pub operation: String,
    /// What it does, in a few words.
    pub title: String,
    /// The context's name.
    pub context: String,
    /// The context's tier.
    pub tier: Tier,
    /// What the targets are.
    pub identities: Vec<Identity>,
    /// Parameters that expressions see as `params`.
    pub params: Value,
    /// The steps, each after those it needs.
    pub steps: Vec<PlannedStep>,
    /// The runbooks they come from, the one that was asked for first. Prose decides nothing: it is not in the digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
}

impl Plan {
    /// What was foreseen of a step.
    pub fn forecast(&self, step: &str) -> Option<&Forecast> {
        let mut steps = self.steps.iter();
        steps.find(|s| s.spec.id == step).map(|s| &s.forecast)
    }

    /// SHA-256 over the canonical JSON of everything that decides: operation, context, identities, parameters, each
    /// step's arguments and decisive facts. Never sizes, times or log positions.
    pub fn digest(&self) -> String {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                let decisive = match &step.forecast {
                    Forecast::WillChange { decisive, .. } | Forecast::Later { decisive, .. } => decisive.clone(),
                    _ => Facts::new(),
                };
                let state = match &step.forecast {
                    Forecast::Looks => "looks",
                    Forecast::AlreadySo { .. } => "already-so",
                    Forecast::WillChange { .. } => "will-change",
                    Forecast::Later { .. } => "later",
                    Forecast::WillSkip => "will-skip",
                    Forecast::Blocked { .. } => "blocked",
                };
                json!({"spec": step.spec, "effect": step.effect, "state": state, "decisive": decisive})
            })
            .collect();
        let deciding = json!({
            "version": self.version, "operation": self.operation, "context": self.context,
            "tier": self.tier, "identities": self.identities, "params": self.params, "steps": steps,
        });
        let hash = Sha256::digest(canonical(&deciding).as_bytes());
        format!(
            "sha256:{}",
            hash.iter().map(|b| format!("{b:02x}")).collect::<String>()
        )
    }

    /// The strongest effect of any step that is not already so.
    pub fn effect(&self) -> Effect {
        let pending = self
            .steps
            .iter()
            .filter(|s| !matches!(s.forecast, Forecast::AlreadySo { .. } | Forecast::WillSkip));
        pending.map(|s| s.effect).max().unwrap_or(Effect::Read)
    }

    /// The steps that cannot be done.
    pub fn blocked(&self) -> impl Iterator<Item = (&PlannedStep, &str, &str)> {
        self.steps.iter().filter_map(|step| match &step.forecast {
            Forecast::Blocked { reason, hint } => Some((step, reason.as_str(), hint.as_str())),
            _ => None,
        })
    }

    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<&PlannedStep> {
        self.steps.iter().find(|s| s.spec.id == id)
    }
}

/// JSON with sorted keys and no spaces (RFC 8785 for the values we use: no floats take part in a digest).
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let fields: Vec<String> = keys
                .into_iter()
                .map(|k| format!("{}:{}", Value::String(k.clone()), canonical(&map[k])))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(canonical).collect::<Vec<_>>().join(",")
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_ignores_key_order() {
        assert_eq!(
            canonical(&json!({"b": 1, "a": [true, null]})),
            r#"{"a":[true,null],"b":1}"#
        );
    }
}
