//! The JUnit rendering, in the form that Jenkins, GitLab and GitHub read (the `testsuites` schema of Ant's reports).
//!
//! JUnit knows passed, failed, error and skipped, and its readers count a skipped case as no harm. So only what was
//! deliberately left out is skipped here; what was not evaluated, or never ended, is an error.

use super::escape::{attribute, markup};
use super::view::{quantity, step_word};
use crate::event::{Outcome, StepEnd};
use crate::evidence::archive::Run;
use crate::evidence::predicate::{CheckRecord, Closing, Measurement, StepRecord};
use crate::exit::Exit;

enum Verdict {
    Passed,
    Failed(&'static str),
    Error(&'static str),
    Skipped,
}

struct Case {
    name: String,
    seconds: Option<f64>,
    verdict: Verdict,
    message: String,
}

struct Suite {
    name: &'static str,
    cases: Vec<Case>,
}

pub(super) fn render(run: &Run) -> String {
    let mut suites = vec![Suite {
        name: "run",
        cases: vec![whole(run)],
    }];
    if let Some(end) = run.closing() {
        let facts = &end.predicate.facts;
        suites.push(Suite {
            name: "checks",
            cases: facts.checks.iter().map(check).collect(),
        });
        suites.push(Suite {
            name: "steps",
            cases: facts.steps.iter().map(step).collect(),
        });
        let limits = facts.measurements.iter().filter(|m| m.outcome.is_some());
        suites.push(Suite {
            name: "limits",
            cases: limits.map(measurement).collect(),
        });
    }
    suites.retain(|suite| !suite.cases.is_empty());
    let start = &run.start.predicate.facts;
    let class = format!("{}.{}", start.operation, start.context);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = suites.iter().flat_map(|s| &s.cases);
    out.push_str(&format!(
        "<testsuites name=\"summitctl {}\"{}>\n",
        attribute(&class),
        counts(all)
    ));
    for suite in &suites {
        out.push_str(&format!(
            "  <testsuite name=\"{}\" timestamp=\"{}\"{}>\n",
            suite.name,
            // JUnit's timestamps carry no zone; ours are UTC.
            start.started.to_string().trim_end_matches('Z'),
            counts(suite.cases.iter())
        ));
        if suite.name == "run" {
            properties(&mut out, run);
        }
        for case in &suite.cases {
            write_case(&mut out, &format!("{class}.{}", suite.name), case);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn properties(out: &mut String, run: &Run) {
    let start = &run.start.predicate.facts;
    let mut properties = vec![
        ("run", start.run.to_string()),
        ("operation", start.operation.to_string()),
        ("context", start.context.to_string()),
        ("trusted", run.trusted().to_string()),
        ("start-record", run.start.place.sha256.to_string()),
    ];
    if let Some(plan) = &start.plan_digest {
        properties.push(("plan-digest", plan.to_string()));
    }
    if let Some(end) = run.closing() {
        properties.push(("closing-record", end.place.sha256.to_string()));
        properties.push(("anchor", end.place.anchor.clone()));
    }
    out.push_str("    <properties>\n");
    for (name, value) in properties {
        out.push_str(&format!(
            "      <property name=\"{name}\" value=\"{}\"/>\n",
            attribute(&value)
        ));
    }
    out.push_str("    </properties>\n");
}

fn write_case(out: &mut String, class: &str, case: &Case) {
    let time = case
        .seconds
        .map_or_else(String::new, |s| format!(" time=\"{s:.3}\""));
    out.push_str(&format!(
        "    <testcase classname=\"{}\" name=\"{}\"{time}",
        attribute(class),
        attribute(&case.name)
    ));
    let (element, kind) = match case.verdict {
        Verdict::Passed if case.message.is_empty() => {
            out.push_str("/>\n");
            return;
        }
        Verdict::Passed => {
            out.push_str(&format!(
                "><system-out>{}</system-out></testcase>\n",
                markup(&case.message)
            ));
            return;
        }
        Verdict::Skipped => {
            out.push_str(&format!(
                "><skipped message=\"{}\"/></testcase>\n",
                attribute(&case.message)
            ));
            return;
        }
        Verdict::Failed(kind) => ("failure", kind),
        Verdict::Error(kind) => ("error", kind),
    };
    let first = case.message.lines().next().unwrap_or_default();
    out.push_str(&format!(
        "><{element} type=\"{kind}\" message=\"{}\">{}</{element}></testcase>\n",
        attribute(first),
        markup(&case.message)
    ));
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped, mut time) = (0, 0, 0, 0, 0.0);
    for case in cases {
        tests += 1;
        time += case.seconds.unwrap_or_default();
        match case.verdict {
            Verdict::Passed => {}
            Verdict::Failed(_) => failures += 1,
            Verdict::Error(_) => errors += 1,
            Verdict::Skipped => skipped += 1,
        }
    }
    format!(
        " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time:.3}\""
    )
}

fn judge(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Passed => Verdict::Passed,
        Outcome::Degraded => Verdict::Failed("degraded"),
        Outcome::Failed => Verdict::Failed("failed"),
        Outcome::NotEvaluated => Verdict::Error("not-evaluated"),
        Outcome::Skipped => Verdict::Skipped,
    }
}

fn whole(run: &Run) -> Case {
    let name = format!("run {}", run.id());
    let Some(end) = run.closing() else {
        return Case {
            name,
            seconds: None,
            verdict: Verdict::Error("open"),
            message: "the run started and has no closing record".to_owned(),
        };
    };
    let Closing { facts, started, .. } = &end.predicate;
    let exit = Exit::ALL.iter().find(|e| e.code() == facts.exit_code);
    let mut message = format!(
        "{}, exit code {} ({})",
        facts.outcome.word(),
        facts.exit_code,
        exit.map_or("an unknown code", |e| e.title())
    );
    if let Some(failure) = &facts.failure {
        message = failure.message.to_string();
        for cause in &failure.causes {
            message.push_str(&format!("\ncaused by: {cause}"));
        }
        for hint in &failure.hints {
            message.push_str(&format!("\nhint: {hint}"));
        }
    }
    Case {
        name,
        seconds: Some(facts.finished.since(*started).as_secs_f64()),
        // A run that skipped everything proves nothing.
        verdict: match facts.outcome {
            Outcome::Skipped => Verdict::Error("skipped"),
            outcome => judge(outcome),
        },
        message,
    }
}

fn check(check: &CheckRecord) -> Case {
    let mut message = check.detail.to_string();
    if let Some(impact) = &check.impact {
        message.push_str(&format!("\nimpact: {impact}"));
    }
    for hint in &check.hints {
        message.push_str(&format!("\nhint: {hint}"));
    }
    Case {
        name: check.id.to_string(),
        seconds: check.seconds.map(|s| s.0),
        verdict: judge(check.outcome),
        message,
    }
}

fn step(step: &StepRecord) -> Case {
    let failure = step.failure.as_ref();
    let why = failure.map_or_else(
        || step.end.map_or("not reached", step_word).to_owned(),
        |f| f.message.to_string(),
    );
    Case {
        name: step.id.to_string(),
        seconds: step.seconds.map(|s| s.0),
        verdict: match step.end {
            Some(StepEnd::Changed | StepEnd::AlreadySo | StepEnd::Observed) => Verdict::Passed,
            Some(StepEnd::Skipped) => Verdict::Skipped,
            Some(StepEnd::Failed) => Verdict::Failed("failed"),
            Some(StepEnd::Undone) => Verdict::Failed("undone"),
            Some(StepEnd::Interrupted) => Verdict::Error("interrupted"),
            None => Verdict::Error("not-reached"),
        },
        message: why,
    }
}

fn measurement(m: &Measurement) -> Case {
    let name = match &m.phase {
        Some(phase) => format!("{}.{phase}", m.name),
        None => m.name.to_string(),
    };
    let limit = m
        .limit
        .map_or_else(|| "no limit".to_owned(), |l| quantity(l.0, m.unit));
    Case {
        name,
        seconds: None,
        verdict: m.outcome.map_or(Verdict::Error("not-judged"), judge),
        message: format!(
            "{} measured, {limit} allowed ({})",
            quantity(m.value.0, m.unit),
            m.source
        ),
    }
}
