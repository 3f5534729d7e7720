//! The step kinds that belong to the language of runbooks itself: a person's observation, a program, and another runbook.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::consent::Effect;

/// The kind that asks a person to do or look at something.
pub const MANUAL: &str = "manual";
/// The kind that runs a program.
pub const EXEC: &str = "exec";

/// The arguments of a `manual` step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ManualArgs {
    /// The observation to write down; it becomes `result.answer`.
    pub ask: Ask,
}

/// A typed question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ask {
    /// What the answer must be.
    #[serde(rename = "type")]
    pub kind: AskType,
    /// The question.
    pub prompt: String,
    /// The answers to choose from, for `choice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// What an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AskType {
    /// `true` or `false`, asked as yes or no.
    Boolean,
    /// A whole number.
    Integer,
    /// A text that is not empty.
    String,
    /// One of the choices.
    Choice,
}

/// The arguments of an `exec` step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExecArgs {
    /// The program and its arguments, one each; no shell reads them.
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// What the program does; `change` unless it says `read`.
    #[serde(default)]
    pub effect: ExecEffect,
    /// A program that looks whether the change is in effect: status 0 if it is. With it, a second run does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub check: Option<Vec<String>>,
    /// A program that takes the change back, for `on-failure: undo` and `summitctl run abort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub undo: Option<Vec<String>>,
}

/// What a program does to the world, as the runbook's author says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExecEffect {
    /// Looks only.
    Read,
    /// May change something.
    #[default]
    Change,
}

impl From<ExecEffect> for Effect {
    fn from(effect: ExecEffect) -> Self {
        match effect {
            ExecEffect::Read => Effect::Read,
            ExecEffect::Change => Effect::Change,
        }
    }
}

/// The kind that stands for all steps of another runbook.
pub const RUNBOOK: &str = "runbook";

/// The arguments of a `runbook` step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CallArgs {
    /// The runbook's id.
    pub runbook: String,
    /// `sha256:` and the digest of its text, as `summitctl runbook show` prints it: any other text is refused.
    pub digest: String,
    /// Its parameters; a value may be one expression `${ … }`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// What its steps saw, by their ids; the plan fills it in.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(skip)]
    pub results: Map<String, Value>,
}
