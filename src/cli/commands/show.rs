//! Plans and runs as people read them: what will happen, what happened, and the next command.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::check::{Evaluated, Report};
use crate::cli::layout::Table;
use crate::cli::listen::end_mark;
use crate::cli::output::{Answer, Stream, mark, width};
use crate::engine::executor::{RunReport, StepReport};
use crate::engine::plan::{Forecast, Plan};
use crate::error::Report as Stopped;
use crate::event::{Outcome, StepEnd};
use crate::ops::execute::Executed;
use crate::steps::world::NOT_PINNED;
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
        let (sign, notes) = match &step.forecast {
            Forecast::Looks => ("look", Vec::new()),
            Forecast::AlreadySo { .. } => ("as is", Vec::new()),
            Forecast::WillChange { shown, .. } | Forecast::Later { shown, .. } => {
                (step.effect.word(), facts(shown, &step.title))
            }
            Forecast::WillSkip => ("skip", vec!["its condition is false".to_owned()]),
            Forecast::Blocked { reason, .. } => ("BLOCKED", vec![reason.clone()]),
        };
        text.push_str(&format!("  {sign:<7}  {}: {}\n", step.spec.id, step.title));
        for note in notes {
            text.push_str(&format!("             {note}\n"));
        }
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

/// One line each, because many are paths or ids that somebody copies; without those that the title names.
fn facts(facts: &serde_json::Map<String, Value>, title: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in facts {
        match value {
            Value::String(text) if title.contains(text.as_str()) => {}
            Value::String(text) => lines.push(format!("{name} {text}")),
            Value::Number(number) if name.ends_with("bytes") => {
                lines.extend(
                    number
                        .as_u64()
                        .map(|n| format!("{name} {}", human_bytes(n))),
                );
            }
            Value::Number(number) => lines.push(format!("{name} {number}")),
            Value::Bool(yes) => lines.push(format!("{name} {yes}")),
            // What was put into words has a line for each.
            Value::Array(words) => {
                lines.push(format!("{}:", name.replace('-', " ")));
                let words = words.iter().filter_map(Value::as_str);
                lines.extend(words.map(|word| format!("  {word}")));
            }
            Value::Null | Value::Object(_) => {}
        }
    }
    lines
}

/// The answer to an execution; `summary` adds the command's own lines about a finished run.
pub fn executed(executed: &Executed, summary: impl Fn(&RunReport) -> String) -> Answer {
    Answer::new(executed.exit(), text_of(executed, summary), executed)
}

/// The text of [`executed`].
pub fn text_of(executed: &Executed, summary: impl Fn(&RunReport) -> String) -> String {
    match executed {
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
    }
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
        let (run, context) = (&report.run, &report.context);
        text.push_str(&go_on(run, context, report.error.as_ref()));
        text.push_str(&format!(
            "or undo   summitctl run abort {run} --context {context}\n"
        ));
    }
    text
}

/// How a run that stopped goes on: what it stopped for is mended first, where one command does that.
pub fn go_on(run: &str, context: &str, stopped: Option<&Stopped>) -> String {
    let resume = format!("summitctl run resume {run} --context {context}\n");
    if stopped.is_some_and(|e| e.reason == NOT_PINNED.code) {
        return format!("next      summitctl context pin --context {context}\nthen      {resume}");
    }
    format!("next      {resume}")
}

/// A row per step, and below it why it failed.
pub fn steps(steps: &[StepReport]) -> String {
    let mut table = Table::new(&["end", "step", "time", "what"]).with_prose();
    for step in steps {
        let end = step.end.map_or("not reached", end_mark);
        let seconds = step
            .seconds
            .map_or(String::new(), |s| Span::measured(s).to_string());
        table.row(vec![
            end.to_owned(),
            step.id.clone(),
            seconds,
            step.title.clone(),
        ]);
        if step.adopted {
            table.note("adopted after a crash");
        }
        if let Some(error) = &step.error {
            table.note(error.message.clone());
        }
    }
    table.render(width(Stream::Out))
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
pub fn checks(report: &Report) -> String {
    let mut text = String::new();
    for group in &report.groups {
        let mut lines = String::new();
        for check in &group.checks {
            if check.caused_by.is_none() {
                lines.push_str(&line(check));
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

fn line(check: &Evaluated) -> String {
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
