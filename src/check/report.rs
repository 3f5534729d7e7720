//! The report of a set of checks: what people read, JSON holds and evidence signs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Category, Severity};
use crate::error::{Error, Reason, Result};
use crate::event::Outcome;
use crate::exit::Exit;
use crate::time::Instant;

/// The version of the report's form.
pub(super) const VERSION: u32 = 1;

/// What a set of checks gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version of this form: 1.
    pub version: u32,
    /// What was checked, in a few words.
    pub title: String,
    /// When the first check started.
    pub started: Instant,
    /// How long all of it took, in seconds.
    pub seconds: f64,
    /// The verdict over the required checks: `failed` if one failed, else `not-evaluated` if one could not be
    /// measured or none was, else `degraded` if one is, else `passed`.
    pub outcome: Outcome,
    /// How many checks ended how.
    pub totals: Totals,
    /// The checks by category, in display order; empty categories are left out.
    pub groups: Vec<Group>,
    /// Failed or degraded checks that explain others, with what they explain.
    pub causes: Vec<Cause>,
}

/// How many checks ended how. Only `passed` counts as passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// All checks.
    pub checks: usize,
    /// Measured, and as it should be.
    pub passed: usize,
    /// Measured; works, with a finding.
    pub degraded: usize,
    /// Measured, and not as it should be.
    pub failed: usize,
    /// Could not be measured.
    pub not_evaluated: usize,
    /// Deliberately not measured.
    pub skipped: usize,
}

/// The checks of one category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// The category.
    pub category: Category,
    /// Its heading.
    pub title: String,
    /// Its checks, in the order they were declared.
    pub checks: Vec<Evaluated>,
}

/// One check with its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evaluated {
    /// The check's id.
    pub id: String,
    /// What was checked.
    pub title: String,
    /// Its category.
    pub category: Category,
    /// Whether it decides the verdict.
    pub severity: Severity,
    /// The result.
    pub outcome: Outcome,
    /// What was seen, in one line; for `skipped` and `not-evaluated` the reason.
    pub detail: String,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub facts: Map<String, Value>,
    /// What its failure means for the platform's users; absent if it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
    /// The commands that mend it; empty if it passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The check whose failure explains this one: the root of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<String>,
    /// How many attempts were made; 0 if it never started.
    pub attempts: u32,
    /// How long the last attempt took, in milliseconds; absent if it never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// From its start to its result, pauses between attempts included, in seconds.
    pub seconds: f64,
}

/// A check that explains others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Cause {
    /// The id of the check that failed or is degraded.
    pub check: String,
    /// The ids of the checks that it explains.
    pub consequences: Vec<String>,
}

impl Report {
    /// Puts the evaluated checks, in the order of their declaration, into a report.
    pub(super) fn build(
        title: &str,
        started: Instant,
        seconds: f64,
        checks: Vec<Evaluated>,
    ) -> Self {
        let mut totals = Totals::default();
        let mut causes: Vec<Cause> = Vec::new();
        for check in &checks {
            totals.count(check.outcome);
            let Some(root) = &check.caused_by else {
                continue;
            };
            match causes.iter_mut().find(|c| &c.check == root) {
                Some(cause) => cause.consequences.push(check.id.clone()),
                None => causes.push(Cause {
                    check: root.clone(),
                    consequences: vec![check.id.clone()],
                }),
            }
        }
        let outcome = verdict(&checks);
        let mut groups: Vec<Group> = Vec::new();
        for category in Category::ALL {
            let mine: Vec<Evaluated> = checks
                .iter()
                .filter(|c| c.category == category)
                .cloned()
                .collect();
            if !mine.is_empty() {
                groups.push(Group {
                    category,
                    title: category.title().to_owned(),
                    checks: mine,
                });
            }
        }
        Report {
            version: VERSION,
            title: title.to_owned(),
            started,
            seconds,
            outcome,
            totals,
            groups,
            causes,
        }
    }

    /// Every check, in display order.
    pub fn checks(&self) -> impl Iterator<Item = &Evaluated> {
        self.groups.iter().flat_map(|g| &g.checks)
    }

    /// The check with this id.
    pub fn check(&self, id: &str) -> Option<&Evaluated> {
        self.checks().find(|c| c.id == id)
    }

    /// Failed and degraded checks that nothing else explains: what to look at first.
    pub fn roots(&self) -> impl Iterator<Item = &Evaluated> {
        self.checks().filter(|c| {
            matches!(c.outcome, Outcome::Failed | Outcome::Degraded) && c.caused_by.is_none()
        })
    }

    /// The checks that this check's failure explains.
    pub fn consequences(&self, id: &str) -> &[String] {
        self.causes
            .iter()
            .find(|c| c.check == id)
            .map_or(&[], |c| &c.consequences)
    }

    /// Fails unless every required check passed: with the checks that explain the others, and what to do about them.
    pub fn must_pass(&self, reason: &'static Reason, checks: &str) -> Result<()> {
        if self.exit() == Exit::Ok {
            return Ok(());
        }
        let Totals {
            checks: all,
            passed,
            ..
        } = self.totals;
        let failed = all - passed;
        let mut error = Error::new(reason, format!("{failed} of {all} {checks} did not pass"));
        let roots: Vec<String> = self
            .roots()
            .map(|c| format!("`{}`: {}", c.id, c.detail))
            .collect();
        if !roots.is_empty() {
            error = error.caused_by(roots.join("; "));
        }
        for hint in self.roots().flat_map(|c| &c.hints) {
            error = error.hint(hint.clone());
        }
        Err(error.with_details(self))
    }

    /// The exit code: 0 only if the verdict is `passed`.
    pub fn exit(&self) -> Exit {
        if self.outcome == Outcome::Passed {
            Exit::Ok
        } else {
            Exit::Failed
        }
    }
}

impl Totals {
    fn count(&mut self, outcome: Outcome) {
        self.checks += 1;
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Degraded => self.degraded += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::NotEvaluated => self.not_evaluated += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }
}

/// The verdict over the required checks. Skips do not spoil it, but without a single pass there is none.
fn verdict(checks: &[Evaluated]) -> Outcome {
    let has = |outcome| {
        checks
            .iter()
            .any(|c| c.severity == Severity::Required && c.outcome == outcome)
    };
    if has(Outcome::Failed) {
        Outcome::Failed
    } else if has(Outcome::NotEvaluated) {
        Outcome::NotEvaluated
    } else if has(Outcome::Degraded) {
        Outcome::Degraded
    } else if has(Outcome::Passed) {
        Outcome::Passed
    } else {
        Outcome::NotEvaluated
    }
}
