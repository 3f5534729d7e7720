//! Runbooks: Markdown that a person can follow by hand and the program can run. Text becomes a typed document whose
//! every part knows its line; nothing here reads files, asks questions or runs anything.
//!
//! A runbook has YAML front matter (`runbook`, `title`, `platform`, `when`, `params`), prose, and fenced blocks marked
//! `yaml step`. [`parse`] reads the text, [`lint`] checks it against the step kinds there are, [`Runbook::bind`] takes
//! the parameters, and [`Runbook::plan`] gives the engine its list of steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::consent::Effect;
use crate::error::{Error, Result};
use crate::reasons;
use crate::time;

mod bind;
pub mod builtin;
mod calls;
mod decode;
pub mod drift;
pub mod expand;
mod kinds;
mod lint;
mod parse;
mod schema;
mod source;
mod yaml;

pub use bind::{Bound, PlannedStep};
pub use builtin::{Library, Listed};
pub use drift::{Base, Drift};
pub use expand::{Expanded, expand};
pub use kinds::{Ask, AskType, CallArgs, EXEC, ExecArgs, ExecEffect, MANUAL, ManualArgs, RUNBOOK};
pub use lint::lint;
pub use parse::parse;
pub use source::{Diagnostic, Severity, Source, Span};
pub use yaml::Text;

reasons! {
    /// A runbook does not pass its lint.
    INVALID = "runbook.invalid", Usage,
        "The runbook has errors; each is shown with its line. Nothing was run. `summitctl runbook lint FILE` lists all of them.";
    /// There is no such runbook.
    UNKNOWN = "runbook.unknown", Usage,
        "No runbook has this id, neither built in nor in the local `runbooks/` folder. `summitctl runbook list` shows them.";
    /// A parameter is missing or has the wrong form.
    PARAMETER = "runbook.parameter", Usage,
        "A parameter of the runbook is missing, unknown or does not have the form it must have. `summitctl runbook show ID` \
         lists the parameters.";
}

/// A parsed runbook.
#[derive(Debug, Clone)]
pub struct Runbook {
    /// Its id, kebab-case.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The platform it is for, such as `summit`.
    pub platform: String,
    /// The situation it is for, in a sentence.
    pub when: String,
    /// Why it consists of manual and `exec` steps only, if it does.
    pub why_manual: Option<String>,
    /// The built-in text it is a copy of.
    pub based_on: Option<Base>,
    /// Its parameters, in the order of the text.
    pub params: Vec<Param>,
    /// Prose and steps by heading, in the order of the text.
    pub sections: Vec<Section>,
    source: Source,
    marks: parse::Marks,
}

impl Runbook {
    /// The text with its name.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The document itself, front matter left out: it is Markdown already.
    pub fn markdown(&self) -> &str {
        &self.source.text()[self.marks.body..]
    }

    /// `sha256:` and the hexadecimal digest of the text as it is stored.
    pub fn digest(&self) -> String {
        use sha2::Digest as _;
        format!("sha256:{:x}", sha2::Sha256::digest(self.source.text()))
    }

    /// The steps, in the order of the text.
    pub fn steps(&self) -> impl Iterator<Item = &StepBlock> {
        self.sections
            .iter()
            .flat_map(|section| &section.blocks)
            .filter_map(|block| match block {
                Block::Step(step) => Some(step.as_ref()),
                Block::Prose(_) => None,
            })
    }

    /// The parameter of this name.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|p| p.name == name)
    }

    /// The ids of the steps that `step` waits for: what `needs` says, else the step before it.
    pub fn needs(&self, step: &StepBlock) -> Vec<String> {
        if let Some(needs) = &step.needs {
            return needs.clone();
        }
        let mut before = None;
        for other in self.steps() {
            if other.span == step.span {
                break;
            }
            before = Some(other.id.clone());
        }
        before.into_iter().collect()
    }

    /// Parses and lints: the runbook, or an error that shows the first finding and counts the others.
    pub fn load(source: Source, catalog: &dyn StepCatalog) -> Result<Self> {
        let (runbook, mut findings) = parse(source);
        findings.extend(lint(&runbook, catalog));
        match Self::first_error(&findings, runbook.source()) {
            Some(error) => Err(error),
            None => Ok(runbook),
        }
    }

    fn first_error(findings: &[Diagnostic], source: &Source) -> Option<Error> {
        let mut errors = findings.iter().filter(|d| d.severity == Severity::Error);
        let first = errors.next()?;
        let more = match errors.count() {
            0 => String::new(),
            1 => " (and 1 more error)".to_owned(),
            n => format!(" (and {n} more errors)"),
        };
        let mut error = Error::new(
            &INVALID,
            format!("runbook `{}`: {}{more}", source.name(), first.message),
        )
        .excerpt(source.excerpt(first.span, ""));
        if let Some(suggestion) = &first.suggestion {
            error = error.hint(suggestion.clone());
        }
        Some(error)
    }
}

/// A value the person who runs the runbook gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name, kebab-case; expressions read it as `params.name`.
    pub name: String,
    /// What it may be.
    pub kind: ParamType,
    /// What to ask for.
    pub prompt: String,
    /// The value used when none is given; without one, the parameter is required.
    pub default: Option<Value>,
    /// The values of a `choice`.
    pub choices: Vec<String>,
    /// Whether the value is kept out of plans, journals and output.
    pub secret: bool,
    /// Where its name stands.
    pub span: Span,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParamType {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A duration such as `15m`.
    Duration,
    /// One of the choices.
    Choice,
    /// A backup, as `restore` takes it: an id, `newest`, `label:NAME` …; what the plan holds is the id.
    Backup,
}

impl ParamType {
    /// All types with their names.
    pub const ALL: &'static [(&'static str, ParamType)] = &[
        ("string", ParamType::String),
        ("integer", ParamType::Integer),
        ("boolean", ParamType::Boolean),
        ("duration", ParamType::Duration),
        ("choice", ParamType::Choice),
        ("backup", ParamType::Backup),
    ];

    /// The word a runbook uses for it.
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(word, _)| word)
    }
}

/// A heading and what follows it.
#[derive(Debug, Clone)]
pub struct Section {
    /// 1 to 6; 0 for what stands before the first heading.
    pub level: u8,
    /// The heading's text.
    pub title: String,
    /// Where the heading stands.
    pub span: Span,
    /// Prose and steps, in order.
    pub blocks: Vec<Block>,
}

/// Prose or a step.
#[derive(Debug, Clone)]
pub enum Block {
    /// Markdown, verbatim.
    Prose(String),
    /// A step.
    Step(Box<StepBlock>),
}

/// A step as it is written.
#[derive(Debug, Clone)]
pub struct StepBlock {
    /// Its id, kebab-case, unique in the runbook; expressions read its result as `steps.id.out`.
    pub id: String,
    /// Its kind, such as `smoke.run`.
    pub uses: String,
    /// Its arguments: an object, texts in it may hold `${ … }`.
    pub with: Value,
    /// A condition; when it is false, the step is skipped.
    pub when: Option<String>,
    /// What must be true of `result` afterwards.
    pub expect: Vec<String>,
    /// What happens to the run when the step or an expectation fails.
    pub on_failure: OnFailure,
    /// How often a failed step is tried again.
    pub retries: u32,
    /// How long one try may take.
    pub timeout: Option<time::Span>,
    /// The steps it waits for; `None` is the step before it. [`Runbook::needs`] answers both.
    pub needs: Option<Vec<String>>,
    /// The nearest heading above.
    pub title: String,
    /// Where the block stands, fences included.
    pub span: Span,
    marks: parse::StepMarks,
}

/// What happens to the run when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run stops here and can be resumed.
    #[default]
    Stop,
    /// The failure is recorded and the run goes on.
    Continue,
    /// What the run changed is taken back, then it stops.
    Undo,
}

impl OnFailure {
    /// All choices with their names.
    pub const ALL: &'static [(&'static str, OnFailure)] = &[
        ("stop", OnFailure::Stop),
        ("continue", OnFailure::Continue),
        ("undo", OnFailure::Undo),
    ];
}

/// What there is to know about a step kind.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KindInfo {
    /// Its name, such as `smoke.run`.
    pub kind: String,
    /// What it does, in a few words.
    pub title: String,
    /// The most it may do to the world.
    pub effect: Effect,
    /// The JSON schema of its arguments, as schemars writes it.
    pub args_schema: Value,
}

/// The step kinds this program has. Implemented by the registry of steps.
pub trait StepCatalog {
    /// All kinds, in the order in which to list them.
    fn kinds(&self) -> Vec<KindInfo>;
}

/// A new runbook's text, which passes the lint: for `runbook new`.
pub fn template(id: &str, title: &str) -> String {
    let title = title.replace(['\n', '\r'], " ");
    let quoted = serde_json::to_string(&title).unwrap_or_else(|_| "\"\"".to_owned());
    format!(
        r#"---
runbook: {id}
title: {quoted}
platform: summit
when: Say in one sentence when somebody should reach for this.
params:
  wait: {{ type: duration, prompt: How long to wait for the platform, default: 2m }}
---

# {title}

Say what is going on, what may break, and how a person sees that it is over.

## See how the platform is

Say what to look at, and what it means, for somebody who follows this by hand.

```yaml step
id: look
uses: smoke.run
with:
  wait: ${{ params.wait }}
```
"#
    )
}

#[cfg(test)]
mod call_tests;
#[cfg(test)]
mod tests;
