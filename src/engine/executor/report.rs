//! What a run came to, for people, JSON and evidence.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::NOT_UNDONE;
use crate::consent::Effect;
use crate::engine::plan::PlannedStep;
use crate::engine::replay::StepState;
use crate::engine::step::Facts;
use crate::error::{Error, Report};
use crate::event::StepEnd;
use crate::exit::Exit;

/// How one step ended, for reports.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StepReport {
    /// The step's id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// A few words.
    pub title: String,
    /// What it may do to the world.
    pub effect: Effect,
    /// How it ended; absent if it was not reached.
    pub end: Option<StepEnd>,
    /// Whether its effect was found in place after a crash and adopted.
    pub adopted: bool,
    /// Seconds it took, in the process that ended it.
    pub seconds: Option<f64>,
    /// What it saw.
    pub observed: Value,
    /// Why it failed.
    pub error: Option<Report>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RunReport {
    /// The run's id.
    pub run: String,
    /// The operation.
    pub operation: String,
    /// The context's name.
    pub context: String,
    /// The plan's digest.
    pub plan_digest: String,
    /// The exit code it leads to.
    pub exit_code: u8,
    /// Whether an earlier process started it.
    pub resumed: bool,
    /// Whether `run resume` can go on.
    pub resumable: bool,
    /// Seconds this process spent on it.
    pub seconds: f64,
    /// The steps, in plan order.
    pub steps: Vec<StepReport>,
    /// Why it stopped, if it did not finish.
    pub error: Option<Report>,
}

impl RunReport {
    /// The exit code as a type.
    pub fn exit(&self) -> Exit {
        Exit::ALL
            .iter()
            .copied()
            .find(|e| e.code() == self.exit_code)
            .unwrap_or(Exit::Bug)
    }

    /// What the step with this id saw.
    pub fn observed(&self, step: &str) -> Option<&Value> {
        self.steps
            .iter()
            .find(|s| s.id == step)
            .map(|s| &s.observed)
    }
}

/// The report of one step from what the journal or the present process knows of it.
pub fn report_step(step: &PlannedStep, state: Option<&StepState>) -> StepReport {
    let mut report = StepReport {
        id: step.spec.id.clone(),
        kind: step.spec.kind.clone(),
        title: step.title.clone(),
        effect: step.effect,
        end: None,
        adopted: false,
        seconds: None,
        observed: Value::Object(Facts::new()),
        error: None,
    };
    match state {
        Some(StepState::Ended {
            end,
            observed,
            seconds,
            adopted,
            ..
        }) => {
            report.end = Some(*end);
            report.adopted = *adopted;
            report.seconds = Some(*seconds);
            report.observed = Value::Object(observed.clone());
        }
        Some(StepState::Failed { error, .. }) => {
            report.end = Some(StepEnd::Failed);
            let mut error = error.clone();
            if let Some(details) = error.details.take() {
                report.observed = details;
            }
            report.error = Some(error);
        }
        Some(StepState::InDoubt { .. }) => report.end = Some(StepEnd::Interrupted),
        Some(StepState::Undone { clean, detail }) => {
            report.end = Some(if *clean {
                StepEnd::Undone
            } else {
                StepEnd::Failed
            });
            report.observed = json!({"undo": detail});
            if !clean {
                report.error = Some(Report::from(&Error::new(&NOT_UNDONE, detail.as_str())));
            }
        }
        None => {}
    }
    report
}
