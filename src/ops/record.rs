//! A run as a filled-in Markdown record: the runbook's own prose, and under each step what became of it.
//!
//! Everything comes from the run's journal: the text that was carried out is in its plan, so that the record is the same
//! after the file, the program or the targets have changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::check::Report as Checks;
use crate::engine::executor::{StepReport, report_step};
use crate::engine::journal::{History, Record};
use crate::engine::plan::{Document, PlannedStep};
use crate::engine::replay::{RunState, StepState};
use crate::error::Report;
use crate::event::StepEnd;
use crate::runbook::{self, Block, RUNBOOK, Runbook, Source};
use crate::secret;
use crate::time::{Instant, Span};

/// How much of one value is shown; the journal has all of it.
const SHOWN: usize = 4000;

/// The record; `standing` says where the run stands, in a few words.
pub fn markdown(state: &RunState, history: &History, standing: &str) -> String {
    let mut page = Page {
        state,
        ended: when_ended(history),
        failed: failures(history),
        books: state.plan.documents.iter().map(read).collect(),
        out: String::new(),
    };
    page.head(history, standing);
    match page.books.iter().position(|(step, _)| step.is_empty()) {
        Some(at) => page.book(at, 0, ""),
        None => page.steps(),
    }
    page.history(history);
    secret::mask(&page.out).into_owned()
}

fn read(document: &Document) -> (String, Runbook) {
    let source = Source::new(document.id.clone(), document.text.clone());
    (document.step.clone(), runbook::parse(source).0)
}

/// When each step had its last word.
fn when_ended(history: &History) -> BTreeMap<String, Instant> {
    let mut ended = BTreeMap::new();
    for line in &history.lines {
        if let Record::Done { step, .. }
        | Record::Failed { step, .. }
        | Record::Undone { step, .. }
        | Record::Intent { step, .. } = &line.record
        {
            ended.insert(step.clone(), line.at);
        }
    }
    ended
}

/// How each step failed last.
fn failures(history: &History) -> BTreeMap<String, Report> {
    let mut failed = BTreeMap::new();
    for line in &history.lines {
        match &line.record {
            Record::Failed { step, error, .. } => {
                failed.insert(step.clone(), error.clone());
            }
            // It went well after all.
            Record::Done { step, .. } => {
                failed.remove(step);
            }
            _ => {}
        }
    }
    failed
}

struct Page<'s> {
    state: &'s RunState,
    ended: BTreeMap<String, Instant>,
    failed: BTreeMap<String, Report>,
    books: Vec<(String, Runbook)>,
    out: String,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn head(&mut self, history: &History, standing: &str) {
        let (state, plan) = (self.state, &self.state.plan);
        let mut rows = vec![
            ("run", code(&state.run)),
            ("state", words(standing)),
            (
                "context",
                format!("{} ({})", code(&plan.context), word(&plan.tier)),
            ),
            ("began", state.started.human()),
            ("last record", state.last.human()),
        ];
        if let Some(document) = plan.documents.first() {
            rows.push((
                "runbook",
                format!("{} {}", code(&document.id), code(&document.digest)),
            ));
        }
        rows.push(("plan", code(&state.digest)));
        rows.push(("consent", self.consent()));
        if let Some(Record::Started { tool, .. }) = history.lines.first().map(|l| &l.record) {
            rows.push((
                "carried out by",
                format!(
                    "summitctl {tool} on {}, process {}",
                    code(&state.host),
                    state.process.pid
                ),
            ));
        }
        if state.resumed > 0 {
            rows.push(("resumed", format!("{} times", state.resumed)));
        }
        if let Some(exit) = state.ended {
            rows.push(("exit code", exit.to_string()));
        }
        rows.push((
            "evidence",
            state.evidence.as_ref().map_or_else(
                || "the journal names no signed record".to_owned(),
                |anchor| format!("record {} ({})", code(&state.run), code(anchor)),
            ),
        ));
        for identity in &plan.identities {
            rows.push(("target", words(&identity.short())));
        }
        let _ = writeln!(
            self.out,
            "# {}: record of a run\n\n| | |\n|---|---|",
            words(&plan.title)
        );
        for (name, value) in rows {
            let _ = writeln!(self.out, "| {name} | {} |", value.replace('|', "\\|"));
        }
        let params = plan.params.as_object().filter(|p| !p.is_empty());
        if let Some(params) = params {
            self.line("\n| parameter | value |\n|---|---|");
            for (name, value) in params {
                let value = inline(value).replace('|', "\\|");
                let _ = writeln!(self.out, "| {} | {value} |", code(name));
            }
        }
        if let Some(error) = &state.paused {
            self.line("\nThe run stopped:\n");
            self.error(error, "");
        }
        self.line("");
    }

    fn consent(&self) -> String {
        let how = &self.state.consent["how"];
        let how = match how.as_str() {
            Some("not-needed") => return "none needed: it only looks".to_owned(),
            Some("prompt") => "given at the prompt".to_owned(),
            Some("yes") => "given with `--yes`".to_owned(),
            Some("confirm") => "given with `--confirm`".to_owned(),
            _ => inline(how),
        };
        match self.state.consent["at"].as_str() {
            Some(at) => format!("{how} at {at}"),
            None => how,
        }
    }

    /// A runbook with what its steps came to; `prefix` leads to its steps in the plan.
    fn book(&mut self, at: usize, deeper: usize, prefix: &str) {
        let sections = self.books[at].1.sections.clone();
        for section in sections {
            let level = (usize::from(section.level) + deeper).min(6);
            // The title of the whole is that of the record.
            if section.level > 1 || (deeper > 0 && section.level == 1) {
                let _ = writeln!(self.out, "{} {}\n", "#".repeat(level), section.title);
            }
            for block in section.blocks {
                match block {
                    Block::Prose(text) => {
                        let _ = writeln!(self.out, "{text}\n");
                    }
                    Block::Step(step) => {
                        let id = format!("{prefix}{}", step.id);
                        let used = self.books.iter().position(|(step, _)| *step == id);
                        if step.uses == RUNBOOK
                            && let Some(used) = used
                        {
                            let book = &self.books[used].1;
                            let line = format!(
                                "Here runbook {} was used ({}).\n",
                                code(&book.id),
                                code(&book.digest())
                            );
                            self.line(&line);
                            let joint = runbook::expand::JOINT;
                            self.book(used, level.max(1), &format!("{id}{joint}"));
                        }
                        self.step(&id);
                    }
                }
            }
        }
    }

    /// The steps of a plan that no runbook made.
    fn steps(&mut self) {
        for step in &self.state.plan.steps {
            let _ = writeln!(self.out, "## {}\n", words(&step.title));
            self.step(&step.spec.id);
        }
    }

    fn step(&mut self, id: &str) {
        let Some(planned) = self.state.plan.step(id) else {
            let line = format!("> **not in the plan**: step {}\n", code(id));
            return self.line(&line);
        };
        let report = report_step(planned, self.state.steps.get(id));
        let at = self.ended.get(id).copied();
        let mut text = format!("**{}**", end(&report, planned));
        if let Some(at) = at {
            let _ = write!(text, " at {}", at.human());
        }
        if let Some(seconds) = report.seconds {
            let span = Span::measured(seconds);
            let _ = write!(text, ", after {span}");
        }
        let _ = write!(
            text,
            " · step {} ({}, {})",
            code(id),
            code(&planned.spec.kind),
            planned.effect.word()
        );
        if report.adopted {
            text.push_str(" · its effect was found in place after a crash");
        }
        let _ = writeln!(self.out, "> {text}");
        if let Some(error) = &report.error {
            self.line(">");
            self.error(error, "> ");
        } else if report.end == Some(StepEnd::Skipped)
            && let Some(when) = &planned.spec.when
        {
            let _ = writeln!(self.out, ">\n> Its condition was false: {}.", code(when));
        } else if let Some(StepEnd::Changed | StepEnd::AlreadySo | StepEnd::Observed) = report.end {
            for expectation in &planned.spec.expect {
                let _ = writeln!(self.out, ">\n> As expected: {}.", code(expectation));
            }
        }
        let undone = matches!(self.state.steps.get(id), Some(StepState::Undone { .. }));
        if let Some(error) = self.failed.get(id).filter(|_| undone).cloned() {
            self.line(">\n> Before that it had failed:\n>");
            self.error(&error, "> ");
        }
        // What a runbook's steps saw stands under them.
        if planned.spec.kind != RUNBOOK {
            let shown = observed(&report.observed);
            if !shown.is_empty() {
                self.line(">");
                for line in shown.lines() {
                    let _ = writeln!(self.out, "> {line}");
                }
            }
        }
        self.line("");
    }

    fn error(&mut self, error: &Report, indent: &str) {
        let _ = writeln!(
            self.out,
            "{indent}- {} ({})",
            words(&error.message),
            code(&error.reason)
        );
        for cause in &error.causes {
            let _ = writeln!(self.out, "{indent}- because {}", words(cause));
        }
        for hint in &error.hints {
            let _ = writeln!(self.out, "{indent}- to do: {}", words(hint));
        }
    }

    fn history(&mut self, history: &History) {
        self.line("## What the journal holds\n");
        self.line("Each record is chained to the one before it by its SHA-256; this one was whole when it was read.\n");
        self.line("| record | written | what |\n|---|---|---|");
        for line in &history.lines {
            let what = match &line.record {
                Record::Started { host, .. } => format!("the run began on {}", code(host)),
                Record::Resumed { host, .. } => format!("gone on with on {}", code(host)),
                Record::Intent { step, .. } => {
                    format!("{}: its effect was about to be made", code(step))
                }
                Record::Done { step, .. } => format!("{}: ended", code(step)),
                Record::Failed {
                    step,
                    tolerated: true,
                    ..
                } => format!("{}: failed, and the run went on", code(step)),
                Record::Failed { step, .. } => format!("{}: failed", code(step)),
                Record::UndoIntent { step } => {
                    format!("{}: was about to be taken back", code(step))
                }
                Record::Undone {
                    step, clean: true, ..
                } => format!("{}: taken back", code(step)),
                Record::Undone { step, .. } => format!("{}: could not be taken back", code(step)),
                Record::Paused { .. } => "the run stopped and can be resumed".to_owned(),
                Record::Ended {
                    exit_code,
                    aborted: true,
                    ..
                } => {
                    format!("the run was ended and taken back, exit code {exit_code}")
                }
                Record::Ended { exit_code, .. } => format!("the run ended, exit code {exit_code}"),
            };
            let _ = writeln!(self.out, "| {} | {} | {what} |", line.seq, line.at.human());
        }
        if history.torn > 0 {
            let _ = writeln!(
                self.out,
                "\n{} bytes at its end were cut short by a crash.",
                history.torn
            );
        }
    }
}

fn end(report: &StepReport, planned: &PlannedStep) -> &'static str {
    match report.end {
        None => "not reached",
        Some(StepEnd::Changed) => "done, and seen",
        Some(StepEnd::AlreadySo) => "already so",
        Some(StepEnd::Observed) if planned.spec.kind == runbook::MANUAL => "answered",
        Some(StepEnd::Observed) => "seen",
        Some(StepEnd::Skipped) => "skipped",
        Some(StepEnd::Failed) => "failed",
        Some(StepEnd::Interrupted) => "interrupted, its effect is in doubt",
        Some(StepEnd::Undone) => "taken back",
    }
}

/// What a step saw, as Markdown: a line for each fact in the step's own order, a list for checks.
fn observed(value: &Value) -> String {
    let Some(facts) = value.as_object() else {
        return String::new();
    };
    if let Ok(report) = serde_json::from_value::<Checks>(value.clone()) {
        return checks(&report);
    }
    let mut out = String::new();
    for (name, value) in facts {
        match value {
            Value::Null => {}
            Value::Object(_) if serde_json::from_value::<Checks>(value.clone()).is_ok() => {
                out.push_str(&observed(value));
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                let _ = writeln!(out, "- {name}:\n{}", fenced(text));
            }
            Value::Object(_) | Value::Array(_) if value.to_string().len() > 120 => {
                let text = serde_json::to_string_pretty(value).unwrap_or_default();
                let _ = writeln!(out, "- {name}:\n{}", fenced(&text));
            }
            other => {
                let _ = writeln!(out, "- {name}: {}", inline(other));
            }
        }
    }
    out
}

fn checks(report: &Checks) -> String {
    let totals = &report.totals;
    let mut out = format!(
        "- {} of {} checks passed: {}\n",
        totals.passed,
        totals.checks,
        report.outcome.word()
    );
    for check in report.groups.iter().flat_map(|g| &g.checks) {
        let _ = writeln!(
            out,
            "  - {} {}: {}",
            check.outcome.word(),
            code(&check.id),
            words(&check.detail)
        );
        if let Some(impact) = &check.impact {
            let _ = writeln!(out, "    - {}", words(impact));
        }
    }
    out
}

/// A block that its text cannot end, below a list's entry.
fn fenced(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut cut = text.len().min(SHOWN);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    let mut out = format!("  {fence}\n");
    for line in text[..cut].lines() {
        let _ = writeln!(out, "  {line}");
    }
    if cut < text.len() {
        let _ = writeln!(
            out,
            "  … {} more bytes stand in the journal",
            text.len() - cut
        );
    }
    out.push_str(&format!("  {fence}"));
    out
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => code(text.trim_end()),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        other => code(&other.to_string()),
    }
}

/// The word that stands for a small enumeration.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// A text as code, whatever is in it.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if fence.len() > 1 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// A message of ours: its names stand in backticks already; what could be markup is not read as such.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.chars() {
        match c {
            '`' => {
                in_code = !in_code;
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            '*' | '_' | '<' | '[' | ']' | '#' if !in_code => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_seen_cannot_leave_its_place() {
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(code("x\ny"), "`x y`");
        assert_eq!(words("a *b* `c_d` e_f"), "a \\*b\\* `c_d` e\\_f");
        let shown = observed(&json!({"stdout": "one\n```\n# two\n", "n": 3, "none": null}));
        assert_eq!(
            shown,
            "- stdout:\n  ````\n  one\n  ```\n  # two\n  ````\n- n: 3\n"
        );
        let returned = observed(&json!({"stdout": "one\r# two\r\nthree\n"}));
        assert_eq!(
            returned,
            "- stdout:\n  ```\n  one\n  # two\n  three\n  ```\n"
        );
        let long = observed(&json!({"stdout": "ä\n".repeat(SHOWN)}));
        assert!(long.contains("more bytes stand in the journal"));
    }
}
