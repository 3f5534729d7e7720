//! Plans and runs as people read them: what will happen, what happened, and the next command.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::check::{Evaluated, Report};
use crate::cli::listen::end_mark;
use crate::cli::output::{Answer, mark, table};
use crate::engine::executor::{RunReport, StepReport};
use crate::engine::plan::{Forecast, Plan};
use crate::event::{Outcome, StepEnd};
use crate::ops::execute::Executed;
use crate::time::{Span, human_bytes};

/// A plan: targets, steps, and the digest that consents to it.
pub fn plan(plan: &Plan) -> String {
    let mut text = format!(
        "Plan: {} on context `{}` ({})\n",
        plan.title,
        plan.context,
        tier(plan)
    );
    for identity in &plan.identities {
        text.push_str(&format!("  target   {}\n", identity.short()));
    }
    for step in &plan.steps {
        let (sign, note) = match &step.forecast {
            Forecast::Looks => ("look  ", String::new()),
            Forecast::AlreadySo { .. } => ("as is ", "already so".to_owned()),
            Forecast::WillChange { shown, .. } => (step.effect.word(), facts(shown)),
            Forecast::Later { shown, .. } => (step.effect.word(), facts(shown)),
            Forecast::WillSkip => ("skip  ", "its condition is false".to_owned()),
            Forecast::Blocked { reason, .. } => ("BLOCKED", reason.clone()),
        };
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(" ({note})")
        };
        text.push_str(&format!(
            "  {sign:<8} {}: {}{note}\n",
            step.spec.id, step.title
        ));
    }
    text.push_str(&format!("  digest   {}\n", plan.digest()));
    text
}

fn tier(plan: &Plan) -> String {
    serde_json::to_value(plan.tier)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn facts(facts: &serde_json::Map<String, Value>) -> String {
    let shown: Vec<String> = facts
        .iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some(format!("{name} {text}")),
            Value::Number(number) if name.ends_with("bytes") => {
                Some(format!("{name} {}", human_bytes(number.as_u64()?)))
            }
            Value::Number(number) => Some(format!("{name} {number}")),
            Value::Bool(yes) => Some(format!("{name} {yes}")),
            _ => None,
        })
        .collect();
    shown.join(", ")
}

/// The answer to an execution; `summary` adds the command's own lines about a finished run.
pub fn executed(executed: &Executed, summary: impl Fn(&RunReport) -> String) -> Answer {
    let text = match executed {
        Executed::Planned { plan: planned, .. } => {
            format!("{}\nNothing was done: `--plan-only`.", plan(planned))
        }
        Executed::Ran { report, evidence } => {
            let mut text = String::new();
            if report.error.is_none() {
                text.push_str(&summary(report));
            }
            text.push_str(&run(report));
            if let Some(evidence) = evidence {
                text.push_str(&format!(
                    "evidence  {} (record {} of {})\n",
                    evidence.path.display(),
                    evidence.seq,
                    evidence.signer
                ));
            }
            text
        }
    };
    Answer::new(executed.exit(), text, executed)
}

/// The end of a run: how many steps did what, what failed, and the next command.
pub fn run(report: &RunReport) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for step in &report.steps {
        *counts
            .entry(step.end.map_or("not reached", end_word))
            .or_default() += 1;
    }
    let shown: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    let took = Span(Duration::from_secs_f64(report.seconds));
    let mut text = format!(
        "run       {} on `{}`: {} ({took})\n",
        report.run,
        report.context,
        shown.join(", ")
    );
    if let Some(error) = &report.error {
        text.push_str(&format!("stopped   {}\n", error.message));
        for cause in &error.causes {
            text.push_str(&format!("  caused by: {cause}\n"));
        }
        for hint in &error.hints {
            text.push_str(&format!("  hint: {hint}\n"));
        }
    }
    if report.resumable {
        text.push_str(&format!(
            "next      summitctl run resume {run} --context {context}    (or take back what it did: summitctl run abort {run} --context {context})\n",
            run = report.run, context = report.context
        ));
    }
    text
}

/// One line per step.
pub fn steps(steps: &[StepReport]) -> String {
    let rows = steps.iter().map(|step| {
        let end = step.end.map_or("not reached", end_mark);
        let seconds = step.seconds.map_or(String::new(), |s| {
            Span(Duration::from_secs_f64(s.max(0.0))).to_string()
        });
        let adopted = if step.adopted {
            " (adopted after a crash)"
        } else {
            ""
        };
        let why = step
            .error
            .as_ref()
            .map_or(String::new(), |e| format!(": {}", e.message));
        vec![
            end.to_owned(),
            step.id.clone(),
            seconds,
            format!("{}{adopted}{why}", step.title),
        ]
    });
    table(&["end", "step", "time", "what"], rows)
}

fn end_word(end: StepEnd) -> &'static str {
    match end {
        StepEnd::Changed => "done",
        StepEnd::AlreadySo => "already so",
        StepEnd::Observed => "seen",
        StepEnd::Skipped => "skipped",
        StepEnd::Failed => "failed",
        StepEnd::Interrupted => "in doubt",
        StepEnd::Undone => "undone",
    }
}

/// A report of checks: by category, causes before consequences, and what to do next.
pub fn checks(report: &Report, all: bool) -> String {
    let mut text = String::new();
    for group in &report.groups {
        let mut lines = String::new();
        for check in &group.checks {
            if check.caused_by.is_none() {
                lines.push_str(&line(check, all));
                for consequence in report.consequences(&check.id) {
                    if let Some(c) = report.check(consequence) {
                        lines.push_str(&format!(
                            "      so {} is {}\n",
                            c.title.to_lowercase(),
                            c.outcome.word()
                        ));
                    }
                }
            }
        }
        if !lines.is_empty() {
            text.push_str(&format!("{}\n{lines}", group.title));
        }
    }
    let totals = report.totals;
    text.push_str(&format!(
        "\n{}: {} of {} passed, {} failed, {} degraded, {} not evaluated, {} skipped ({})\n",
        mark(report.outcome),
        totals.passed,
        totals.checks,
        totals.failed,
        totals.degraded,
        totals.not_evaluated,
        totals.skipped,
        Span(Duration::from_secs_f64(report.seconds)),
    ));
    text
}

fn line(check: &Evaluated, _all: bool) -> String {
    let mut text = format!(
        "  {} {}: {}\n",
        mark(check.outcome),
        check.title,
        check.detail
    );
    if check.attempts > 1 {
        text.push_str(&format!(
            "      after {} attempts in {}\n",
            check.attempts,
            Span(Duration::from_secs_f64(check.seconds))
        ));
    }
    if !matches!(check.outcome, Outcome::Passed | Outcome::Skipped) {
        if let Some(impact) = &check.impact {
            text.push_str(&format!("      impact: {impact}\n"));
        }
        for hint in &check.hints {
            text.push_str(&format!("      hint: {hint}\n"));
        }
    }
    text
}
