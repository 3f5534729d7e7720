//! The event stream: the engine and the providers emit, renderers listen.
//!
//! The progress bar, the NDJSON stream (`--events`) and the evidence report are listeners. The journal is not: it
//! is the executor's synchronous first sink, written before anybody hears of an effect.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::consent::Effect;
use crate::secret;
use crate::time::Instant;

/// The result of a check or a step. Only `passed` counts as passed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Measured, and as it should be.
    Passed,
    /// Measured; works, with a finding.
    Degraded,
    /// Measured, and not as it should be.
    Failed,
    /// Could not be measured.
    NotEvaluated,
    /// Deliberately not measured; the reason is beside it.
    Skipped,
}

impl Outcome {
    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Degraded => "degraded",
            Outcome::Failed => "failed",
            Outcome::NotEvaluated => "not evaluated",
            Outcome::Skipped => "skipped",
        }
    }
}

/// What a progress figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes of payload, before compression.
    Bytes,
    /// Rows, keys, nodes, objects.
    Items,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepEnd {
    /// Its effect was applied and seen.
    Changed,
    /// The world was already as it should be.
    AlreadySo,
    /// A read step looked and reported.
    Observed,
    /// Its condition was false.
    Skipped,
    /// It failed.
    Failed,
    /// The run stopped before or during it.
    Interrupted,
    /// Its effect was taken back.
    Undone,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Event {
    /// A run began or was resumed.
    RunStarted {
        /// The run's id.
        run: String,
        /// What it does, in a few words.
        title: String,
        /// How many steps it has.
        steps: usize,
        /// The digest of the plan it executes.
        plan_digest: String,
        /// Whether it goes on from an earlier process.
        resumed: bool,
    },
    /// A step began.
    StepStarted {
        /// The step's id in its plan.
        step: String,
        /// The step's kind, such as `backup.capture`.
        kind: String,
        /// What it does, in a few words.
        title: String,
        /// What it may do to the world.
        effect: Effect,
    },
    /// A step advanced.
    Progress {
        /// The step's id, empty outside a step.
        step: String,
        /// The part of the step that advances, such as a table's name.
        task: String,
        /// How much is done.
        done: u64,
        /// How much there is, if known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
    },
    /// Something worth a line.
    Note {
        /// The step's id, empty outside a step.
        step: String,
        /// The line.
        message: String,
    },
    /// A step ended.
    StepFinished {
        /// The step's id in its plan.
        step: String,
        /// The step's kind.
        kind: String,
        /// How it ended.
        end: StepEnd,
        /// How long it took, in seconds.
        seconds: f64,
        /// What was seen afterwards.
        observed: Value,
    },
    /// A check was evaluated.
    CheckFinished {
        /// The check's id.
        check: String,
        /// Its result.
        outcome: Outcome,
        /// What was seen, in one line.
        detail: String,
    },
    /// A run ended.
    RunFinished {
        /// The run's id.
        run: String,
        /// The exit code it leads to.
        exit_code: u8,
    },
}

/// An event with its time and its place in the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamped {
    /// When it was emitted.
    pub at: Instant,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Somebody who hears events. Must be quick, and must not fail the run.
pub trait Listener: Send + Sync {
    /// Hears one event.
    fn hear(&self, event: &Stamped);
}

/// Where events go. Clones share the listeners; [`Events::within`] names the step for everything emitted below it.
#[derive(Clone, Default)]
pub struct Events {
    listeners: Arc<Vec<Box<dyn Listener>>>,
    step: Arc<str>,
}

impl Events {
    /// A stream with these listeners.
    pub fn new(listeners: Vec<Box<dyn Listener>>) -> Self {
        Events {
            listeners: Arc::new(listeners),
            step: Arc::from(""),
        }
    }

    /// A stream that nobody hears.
    pub fn silent() -> Self {
        Self::default()
    }

    /// The same stream, inside a step.
    pub fn within(&self, step: &str) -> Self {
        Events {
            listeners: Arc::clone(&self.listeners),
            step: Arc::from(step),
        }
    }

    /// Tells every listener; secret values in texts are masked.
    pub fn emit(&self, event: Event) {
        let mut event = event;
        match &mut event {
            Event::Note { message, .. } => *message = secret::mask(message).into_owned(),
            Event::StepFinished { observed, .. } => secret::mask_json(observed),
            Event::CheckFinished { detail, .. } => *detail = secret::mask(detail).into_owned(),
            _ => {}
        }
        let stamped = Stamped {
            at: Instant::now(),
            event,
        };
        for listener in self.listeners.iter() {
            listener.hear(&stamped);
        }
    }

    /// A line about the present step.
    pub fn note(&self, message: impl Into<String>) {
        self.emit(Event::Note {
            step: self.step.to_string(),
            message: message.into(),
        });
    }

    /// Progress of a part of the present step.
    pub fn progress(&self, task: &str, done: u64, total: Option<u64>, unit: Unit) {
        self.emit(Event::Progress {
            step: self.step.to_string(),
            task: task.to_owned(),
            done,
            total,
            unit,
        });
    }
}
