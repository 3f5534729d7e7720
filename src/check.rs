//! Checks as data, and the parallel runner behind `smoke`, `doctor`, `config check` and the gate.
//!
//! A [`Check`] says what is looked at, how much it matters and how long it may take; running it gives a [`Finding`].
//! [`run`] runs all of them side by side until a deadline, collapses the consequences of a failed cause under that
//! cause, and gives a [`Report`] in which only `passed` counts as passed.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::event::Outcome;
use crate::wait::Deadline;

mod report;
mod runner;

pub use report::{Cause, Evaluated, Group, Report, Totals};
pub use runner::{Options, run};

/// What a check is about. The order of the variants is the order in which reports show them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Programs that other checks and steps need, and their versions.
    Tools,
    /// This machine: disk, clock, permissions, state directory.
    Machine,
    /// The configuration file and the platform's variables.
    Configuration,
    /// Strength, storage and spread of secrets and keys.
    Secrets,
    /// Names, ports, TLS.
    Network,
    /// What runs in the cluster, as Kubernetes reports it.
    Kubernetes,
    /// Postgres, Neo4j and Redis, asked directly.
    Datastores,
    /// The platform's own endpoints: UI, gateway, health, queues.
    Platform,
    /// A write that is followed through to the datastores.
    DataPlane,
    /// Metrics, dashboards, alerts.
    Observability,
    /// Backups: age, level of verification, holds.
    Backups,
    /// Recovery drills: age, RTO, RPO.
    Drills,
    /// Migration locks, leases, open runs.
    Runs,
    /// Evidence records and their keys.
    Evidence,
}

impl Category {
    /// All of them, in display order.
    pub const ALL: [Category; 14] = [
        Category::Tools,
        Category::Machine,
        Category::Configuration,
        Category::Secrets,
        Category::Network,
        Category::Kubernetes,
        Category::Datastores,
        Category::Platform,
        Category::DataPlane,
        Category::Observability,
        Category::Backups,
        Category::Drills,
        Category::Runs,
        Category::Evidence,
    ];

    /// The heading shown to people.
    pub fn title(self) -> &'static str {
        match self {
            Category::Tools => "Tools",
            Category::Machine => "This machine",
            Category::Configuration => "Configuration",
            Category::Secrets => "Secrets",
            Category::Network => "Network",
            Category::Kubernetes => "Kubernetes",
            Category::Datastores => "Datastores",
            Category::Platform => "Platform",
            Category::DataPlane => "Data plane",
            Category::Observability => "Observability",
            Category::Backups => "Backups",
            Category::Drills => "Drills",
            Category::Runs => "Locks, leases and runs",
            Category::Evidence => "Evidence",
        }
    }
}

/// Whether a check decides the verdict.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The verdict is not `passed` unless this check is `passed` or was deliberately skipped.
    Required,
    /// Shown and counted, but the verdict does not depend on it.
    Advisory,
}

/// One look of a check: which one it is, and when it must be over.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// 1 for the first look.
    pub number: u32,
    /// The check's own deadline, or the overall one if that comes first. The runner enforces it too.
    pub deadline: Deadline,
}

type Run<'a> = Box<dyn Fn(Attempt) -> BoxFuture<'a, Finding> + Send + Sync + 'a>;

/// One thing to look at. Build it with [`Check::new`] and the methods that follow.
pub struct Check<'a> {
    /// Stable, dotted, lower-case, such as `postgres.ping`; `summitctl explain` knows it.
    pub id: String,
    /// What is checked, in a few words.
    pub title: String,
    /// Where it is shown.
    pub category: Category,
    /// Whether it decides the verdict.
    pub severity: Severity,
    /// What its failure means for the platform's users, in one sentence; shown only when it did not pass.
    pub impact: Option<String>,
    /// A full sentence with the exact command that mends it; shown only when it did not pass.
    pub hint: Option<String>,
    /// How long one attempt may take.
    pub deadline: Duration,
    /// Ids of the checks without which this one makes no sense. It starts when all of them have passed or are
    /// degraded; if one has not, this check is not evaluated, and the report says because of what.
    pub needs: Vec<String>,
    run: Run<'a>,
}

impl<'a> Check<'a> {
    /// A required check with a deadline of 5 seconds an attempt. `run` is called once for each attempt.
    pub fn new<F>(
        id: impl Into<String>,
        category: Category,
        title: impl Into<String>,
        run: impl Fn(Attempt) -> F + Send + Sync + 'a,
    ) -> Self
    where
        F: Future<Output = Finding> + Send + 'a,
    {
        Check {
            id: id.into(),
            title: title.into(),
            category,
            severity: Severity::Required,
            impact: None,
            hint: None,
            deadline: Duration::from_secs(5),
            needs: Vec::new(),
            run: Box::new(move |attempt| Box::pin(run(attempt))),
        }
    }

    /// A check whose finding is known already, such as one that was computed from a file.
    pub fn known(
        id: impl Into<String>,
        category: Category,
        title: impl Into<String>,
        finding: Finding,
    ) -> Self {
        Check::new(id, category, title, move |_| {
            std::future::ready(finding.clone())
        })
    }

    /// Does not decide the verdict.
    #[must_use]
    pub fn advisory(mut self) -> Self {
        self.severity = Severity::Advisory;
        self
    }

    /// What its failure means for the platform's users.
    #[must_use]
    pub fn impact(mut self, impact: impl Into<String>) -> Self {
        self.impact = Some(impact.into());
        self
    }

    /// The sentence with the command that mends it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// How long one attempt may take.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Adds a check without which this one makes no sense.
    #[must_use]
    pub fn needs(mut self, id: impl Into<String>) -> Self {
        self.needs.push(id.into());
        self
    }
}

impl fmt::Debug for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("id", &self.id)
            .field("category", &self.category)
            .field("severity", &self.severity)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// What one attempt saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The result.
    pub outcome: Outcome,
    /// What was seen, in one line; for `Skipped` and `NotEvaluated` the reason.
    pub detail: String,
    /// What was measured: kebab-case names, plain values.
    pub facts: Map<String, Value>,
    /// Full sentences with the commands that mend it.
    pub hints: Vec<String>,
    /// The check whose failure explains this one, such as `postgres.ping` for a readiness endpoint that blames
    /// Postgres. Kept in the report only if that check did fail or is degraded: a finding is never explained away
    /// by something that is well.
    pub caused_by: Option<String>,
    /// Whether looking again soon could give another result.
    pub settled: bool,
    /// Whether it decides the verdict though its check is advisory.
    pub decides: bool,
}

impl Finding {
    fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Finding {
            outcome,
            detail: detail.into(),
            facts: Map::new(),
            hints: Vec::new(),
            caused_by: None,
            settled: matches!(outcome, Outcome::NotEvaluated | Outcome::Skipped),
            decides: false,
        }
    }

    /// Measured, and as it should be.
    pub fn passed(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Passed, detail)
    }

    /// Measured; works, with a finding.
    pub fn degraded(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Degraded, detail)
    }

    /// Measured, and not as it should be.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Failed, detail)
    }

    /// Could not be measured. Not retried.
    pub fn not_evaluated(reason: impl Into<String>) -> Self {
        Self::new(Outcome::NotEvaluated, reason)
    }

    /// Deliberately not measured. Not retried.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Skipped, reason)
    }

    /// A failure that an error explains: its chain on one line, its hints, and its reason code as the fact `reason`.
    pub fn from_error(error: &Error) -> Self {
        let mut finding = Self::failed(error.one_line()).fact("reason", error.reason().code);
        finding
            .hints
            .extend(error.hints().into_iter().map(str::to_owned));
        finding
    }

    /// What an error kept from being evaluated: the same texts, and no judgement. Not retried.
    pub fn unevaluated(error: &Error) -> Self {
        Finding {
            outcome: Outcome::NotEvaluated,
            settled: true,
            ..Self::from_error(error)
        }
    }

    /// Adds something that was measured.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a full sentence with the command that mends it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Names the check whose failure explains this one.
    #[must_use]
    pub fn caused_by(mut self, id: impl Into<String>) -> Self {
        self.caused_by = Some(id.into());
        self
    }

    /// Too grave to be advice, whatever its check is.
    #[must_use]
    pub fn decisive(mut self) -> Self {
        self.decides = true;
        self
    }

    /// Looking again soon cannot give another result: `--wait` does not retry it.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.settled = true;
        self
    }
}
