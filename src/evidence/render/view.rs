//! What the Markdown and the HTML rendering show, in which order: the verdict, the facts, and a table for each kind of claim.

use serde_json::Value;

use crate::consent::How;
use crate::event::{Outcome, StepEnd};
use crate::evidence::archive::{Filed, Run};
use crate::evidence::predicate::{
    CheckRecord, ClosingFacts, Measure, Measurement, Position, Start, StepRecord, Tool,
};
use crate::evidence::record::EvidenceRef;
use crate::evidence::statement::Subject;
use crate::evidence::text::{Facts, Text};
use crate::exit::Exit;
use crate::time::{Instant, Span, human_bytes};

/// How a word is coloured; the word itself says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warn,
    Bad,
    Quiet,
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub text: String,
    pub tone: Option<Tone>,
    /// Shown as code: an id, a digest, a path.
    pub code: bool,
    /// Where on the run's time line it lies, as start and length, each a share of the whole.
    pub bar: Option<(f64, f64)>,
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Cell {
            text: text.into(),
            tone: None,
            code: false,
            bar: None,
        }
    }

    fn code(text: impl Into<String>) -> Self {
        Cell {
            code: true,
            ..Self::text(text)
        }
    }

    fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Cell {
            tone: Some(tone),
            ..Self::text(text)
        }
    }
}

/// A heading and its table.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub title: &'static str,
    /// A sentence before the table.
    pub note: Option<String>,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
}

/// Everything that is shown.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub title: String,
    pub verdict: &'static str,
    pub tone: Tone,
    /// The run in one or two sentences.
    pub lede: String,
    /// Whether the signatures were checked, and by which key.
    pub trust: String,
    pub trusted: bool,
    pub facts: Vec<(&'static str, Cell)>,
    pub sections: Vec<Section>,
    /// Commands that check the records themselves.
    pub commands: Vec<String>,
}

pub(super) fn of(run: &Run) -> View {
    let start = &run.start.predicate;
    let closing = run.closing();
    let (verdict, tone) = match run.outcome() {
        Some(outcome) => (outcome.word(), tone_of(outcome)),
        None => ("not finished", Tone::Warn),
    };
    let mut sections = Vec::new();
    if let Some(end) = closing {
        let facts = &end.predicate.facts;
        sections.extend(failure(facts));
        sections.extend(measurements(&facts.measurements));
        sections.extend(checks(&facts.checks));
        sections.extend(steps(&facts.steps));
        sections.extend(artefacts(facts));
        sections.extend(observations("What was observed", &facts.observations));
    }
    sections.extend(observations(
        "What was asked for",
        &start.facts.observations,
    ));
    sections.extend(identities(start));
    sections.extend(attempts(run));
    let subjects = closing.map_or(&run.start.subjects, |end| &end.subjects);
    sections.extend(subjects_of(subjects));
    sections.push(records(run));
    View {
        title: format!("{} on {}", start.facts.operation, start.facts.context),
        verdict,
        tone,
        lede: lede(run),
        trust: trust(run),
        trusted: run.trusted(),
        facts: facts(run),
        sections,
        commands: commands(run),
    }
}

fn lede(run: &Run) -> String {
    let facts = &run.start.predicate.facts;
    let what = facts
        .title
        .as_ref()
        .map_or_else(String::new, |t| format!("{t}. "));
    let Some(end) = run.closing() else {
        return format!(
            "{what}It started on {} and has no closing record: it is still going on, was interrupted, or was killed. \
             Until it is closed it counts against a gate.",
            facts.started.human()
        );
    };
    let end = &end.predicate;
    let took = Span(end.facts.finished.since(end.started));
    let exit = Exit::ALL.iter().find(|e| e.code() == end.facts.exit_code);
    let meaning = exit.map_or("an unknown code", |e| e.title());
    format!(
        "{what}It ended on {}, {took} after its start, with exit code {} ({meaning}).",
        end.facts.finished.human(),
        end.facts.exit_code
    )
}

fn trust(run: &Run) -> String {
    let mut signers: Vec<&str> = vec![run.start.place.signer.as_str()];
    signers.extend(run.ends.iter().map(|end| end.place.signer.as_str()));
    signers.sort_unstable();
    signers.dedup();
    let keys = format!(
        "{} {}",
        if signers.len() == 1 { "key" } else { "keys" },
        signers.join(" and ")
    );
    if run.trusted() {
        format!(
            "The signatures were checked against the trusted {keys} when this page was made. The signed records, not this page, are the evidence."
        )
    } else {
        format!(
            "Not proven: the records claim to be signed by {keys}, and that was not confirmed by a trusted key when this page was made."
        )
    }
}

fn facts(run: &Run) -> Vec<(&'static str, Cell)> {
    let start = &run.start.predicate;
    let mut facts = vec![
        ("Run", Cell::code(start.facts.run.to_string())),
        (
            "Context",
            Cell::text(format!(
                "{} (tier {})",
                start.facts.context,
                word_of(&start.facts.tier)
            )),
        ),
        ("Started", Cell::text(start.facts.started.to_string())),
    ];
    if let Some(platform) = &start.facts.platform {
        facts.push(("Platform", Cell::text(platform.to_string())));
    }
    if let Some(end) = run.closing() {
        facts.push((
            "Finished",
            Cell::text(end.predicate.facts.finished.to_string()),
        ));
    }
    match &start.facts.plan_digest {
        Some(plan) => facts.push(("Plan", Cell::code(plan.to_string()))),
        None => facts.push(("Plan", Cell::text("none: this operation has no plan"))),
    }
    facts.push(("Consent", Cell::text(consent(start))));
    let (tool, host) = run.closing().map_or((&start.tool, &start.host), |end| {
        (&end.predicate.tool, &end.predicate.host)
    });
    facts.push(("Program", Cell::text(program(tool))));
    facts.push((
        "Host",
        Cell::text(format!(
            "{}, {} {}, user id {}",
            host.name, host.system, host.machine, host.user_id
        )),
    ));
    facts
}

fn program(tool: &Tool) -> String {
    let digest = tool.executable.as_ref().map_or_else(
        || "executable not readable".to_owned(),
        |digest| format!("executable {digest}"),
    );
    format!("{} {}\n{digest}", tool.name, tool.version)
}

fn consent(start: &Start) -> String {
    let Some(consent) = &start.facts.consent else {
        return "none recorded".to_owned();
    };
    let how = match &consent.how {
        How::NotNeeded => return "not needed: the plan only reads".to_owned(),
        How::Prompt => "answered at the prompt".to_owned(),
        How::Yes => "given with --yes".to_owned(),
        How::Confirm => "given with --confirm".to_owned(),
        How::Standing(id) => format!("standing consent {id}"),
    };
    format!(
        "{} on context {}: {how}, {}",
        consent.effect.word(),
        consent.context,
        consent.at.human()
    )
}

fn failure(facts: &ClosingFacts) -> Option<Section> {
    let failure = facts.failure.as_ref()?;
    let mut rows = vec![vec![
        Cell::text("What"),
        Cell::text(failure.message.to_string()),
    ]];
    rows.extend(
        failure
            .causes
            .iter()
            .map(|c| vec![Cell::text("Because"), Cell::text(c.to_string())]),
    );
    rows.extend(
        failure
            .hints
            .iter()
            .map(|h| vec![Cell::text("What next"), Cell::text(h.to_string())]),
    );
    rows.push(vec![
        Cell::text("Reason"),
        Cell::code(failure.reason.to_string()),
    ]);
    section("Why it did not pass", &["", ""], rows)
}

fn measurements(measured: &[Measurement]) -> Option<Section> {
    let rows = measured.iter().map(|m| {
        let name = match &m.phase {
            Some(phase) => format!("{}, {phase}", m.name),
            None => m.name.to_string(),
        };
        vec![
            Cell::text(name),
            Cell::text(quantity(m.value.0, m.unit)),
            Cell::text(
                m.limit
                    .map_or_else(|| "no limit".to_owned(), |l| quantity(l.0, m.unit)),
            ),
            m.outcome
                .map_or_else(|| Cell::toned("not judged", Tone::Quiet), outcome),
            Cell::text(m.source.to_string()),
        ]
    });
    section(
        "Measurements",
        &[
            "What",
            "Measured",
            "Allowed",
            "Result",
            "How it was measured",
        ],
        rows.collect(),
    )
}

fn checks(checks: &[CheckRecord]) -> Option<Section> {
    let rows = checks.iter().map(|check| {
        let id = check
            .title
            .as_ref()
            .map_or_else(|| check.id.to_string(), |t| format!("{t}\n{}", check.id));
        let mut seen = check.detail.to_string();
        let mut add = |label: &str, text: &Option<Text>| {
            if let Some(text) = text {
                seen.push_str(&format!("\n{label}: {text}"));
            }
        };
        add("Impact", &check.impact);
        add("As seen by", &check.source);
        for hint in &check.hints {
            seen.push_str(&format!("\nNext: {hint}"));
        }
        if let Some(cause) = &check.cause {
            seen.push_str(&format!("\nFollows from: {cause}"));
        }
        vec![
            Cell::text(id),
            outcome(check.outcome),
            Cell::text(if check.required { "yes" } else { "no" }),
            Cell::text(seen),
            Cell::text(check.seconds.map_or_else(String::new, |s| seconds(s.0))),
        ]
    });
    let mut section = section(
        "Checks",
        &["Check", "Result", "Required", "What was seen", "Took"],
        rows.collect(),
    )?;
    section.note = Some(tally(checks));
    Some(section)
}

/// Only `passed` counts as passed; everything else is named by its own word.
fn tally(checks: &[CheckRecord]) -> String {
    let all = [
        Outcome::Passed,
        Outcome::Degraded,
        Outcome::Failed,
        Outcome::NotEvaluated,
        Outcome::Skipped,
    ];
    let parts: Vec<String> = all
        .into_iter()
        .filter_map(|o| {
            let number = checks.iter().filter(|c| c.outcome == o).count();
            (number > 0).then(|| format!("{number} {}", o.word()))
        })
        .collect();
    format!("{} of {}.", parts.join(", "), checks.len())
}

fn steps(steps: &[StepRecord]) -> Option<Section> {
    let begin = steps.iter().filter_map(|s| s.started).min();
    let ends = steps
        .iter()
        .filter_map(|s| Some(s.started?.millis() as f64 + s.seconds?.0 * 1_000.0));
    let end = ends.fold(0.0, f64::max);
    let rows = steps.iter().map(|step| {
        let title = step
            .title
            .as_ref()
            .map_or_else(|| step.id.to_string(), |t| format!("{t}\n{}", step.id));
        let mut seen = inline(&step.observed.0);
        if let Some(failure) = &step.failure {
            let mut why = failure.message.to_string();
            for cause in &failure.causes {
                why.push_str(&format!(": {cause}"));
            }
            seen = if seen.is_empty() {
                why
            } else {
                format!("{why}\n{seen}")
            };
        }
        let mut kind = step.kind.to_string();
        if let Some(effect) = step.effect {
            kind.push_str(&format!("\n{}", effect.word()));
        }
        vec![
            Cell::text(title),
            Cell::text(kind),
            step.end
                .map_or_else(|| Cell::toned("not reached", Tone::Quiet), step_end),
            Cell {
                bar: begin.and_then(|b| bar(step, b, end)),
                ..Cell::text(
                    step.seconds
                        .map_or_else(|| "not measured".to_owned(), |s| seconds(s.0)),
                )
            },
            Cell::text(seen),
        ]
    });
    section(
        "Steps",
        &[
            "Step",
            "Kind",
            "How it ended",
            "Took",
            "What was seen afterwards",
        ],
        rows.collect(),
    )
}

fn bar(step: &StepRecord, begin: Instant, end: f64) -> Option<(f64, f64)> {
    let whole = end - begin.millis() as f64;
    let (started, took) = (step.started?, step.seconds?.0 * 1_000.0);
    if !whole.is_finite() || whole <= 0.0 {
        return None;
    }
    let from = ((started.millis() - begin.millis()) as f64 / whole).clamp(0.0, 1.0);
    Some((from, (took / whole).clamp(0.0, 1.0 - from)))
}

fn artefacts(facts: &ClosingFacts) -> Option<Section> {
    let rows = facts.artefacts.iter().map(|a| {
        let level = a
            .verified_level
            .map_or_else(|| "not in this run".to_owned(), |l| format!("level {l}"));
        let mut place = a
            .location
            .as_ref()
            .map_or_else(String::new, Text::to_string);
        let more = inline(&Value::Object(a.facts.0.clone()));
        if !more.is_empty() {
            place = if place.is_empty() {
                more
            } else {
                format!("{place}\n{more}")
            };
        }
        vec![
            Cell::text(a.kind.to_string()),
            Cell::code(a.id.to_string()),
            Cell::text(a.bytes.map_or_else(String::new, human_bytes)),
            Cell::text(level),
            Cell::code(
                a.digest
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
            ),
            Cell::text(place),
        ]
    });
    section(
        "What it left behind",
        &["Kind", "Id", "Size", "Verified", "Digest", "Where"],
        rows.collect(),
    )
}

fn observations(title: &'static str, facts: &Facts) -> Option<Section> {
    let rows = facts
        .0
        .iter()
        .map(|(name, value)| vec![Cell::text(name.as_str()), Cell::text(inline(value))]);
    section(title, &["What", "Value"], rows.collect())
}

fn identities(start: &Start) -> Option<Section> {
    let rows = start.facts.identities.iter().map(|(name, identity)| {
        let facts: Vec<String> = identity
            .facts
            .iter()
            .map(|(k, v)| format!("{k}: {v}"))
            .collect();
        vec![
            Cell::text(name.to_string()),
            Cell::text(identity.store.name()),
            Cell::text(facts.join("\n")),
        ]
    });
    let mut section = section(
        "What the targets are",
        &["Target", "Store", "Identity"],
        rows.collect(),
    )?;
    section.note = Some("By their own account, when the run started.".to_owned());
    Some(section)
}

fn attempts(run: &Run) -> Option<Section> {
    if run.ends.len() < 2 {
        return None;
    }
    let rows = run.ends.iter().map(|end| {
        let facts = &end.predicate.facts;
        vec![
            Cell::text(end.predicate.attempt.to_string()),
            outcome(facts.outcome),
            Cell::text(facts.finished.human()),
            Cell::text(
                facts
                    .failure
                    .as_ref()
                    .map_or_else(String::new, |f| f.message.to_string()),
            ),
        ]
    });
    let mut section = section(
        "Attempts",
        &["Attempt", "Result", "Ended", "Why"],
        rows.collect(),
    )?;
    section.note = Some("The run was resumed; this page shows its last attempt.".to_owned());
    Some(section)
}

fn subjects_of(subjects: &[Subject]) -> Option<Section> {
    let rows = subjects.iter().flat_map(|subject| {
        subject.digest.iter().map(|(algorithm, digest)| {
            vec![
                Cell::text(subject.name.to_string()),
                Cell::text(algorithm.as_str()),
                Cell::code(digest.as_str()),
            ]
        })
    });
    section(
        "What the record is about",
        &["Subject", "Digest", "Value"],
        rows.collect(),
    )
}

fn records(run: &Run) -> Section {
    let mut rows = vec![record("start", &run.start, &run.start.predicate.log)];
    rows.extend(
        run.ends
            .iter()
            .map(|end| record("closing", end, &end.predicate.log)),
    );
    Section {
        title: "Signed records",
        note: None,
        columns: vec!["Record", "Made", "Envelope", "SHA-256", "Anchor of the log"],
        rows,
    }
}

fn record<P>(kind: &str, filed: &Filed<P>, log: &Position) -> Vec<Cell> {
    let place: &EvidenceRef = &filed.place;
    vec![
        Cell::text(format!("{kind}, entry {}", place.seq)),
        Cell::text(log.recorded.human()),
        Cell::code(file_name(place)),
        Cell::code(place.sha256.hex()),
        Cell::code(place.anchor.as_str()),
    ]
}

fn file_name(place: &EvidenceRef) -> String {
    place
        .path
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

fn commands(run: &Run) -> Vec<String> {
    let last = run.closing().map_or(&run.start.place, |end| &end.place);
    vec![
        format!(
            "summitctl evidence verify EVIDENCE_DIR --trusted-key SIGNER.pub \\\n  --expect-head {}",
            last.anchor
        ),
        format!(
            "summitctl evidence verify {} --trusted-key SIGNER.pub",
            file_name(last)
        ),
    ]
}

/// A section, unless it would be empty; columns in which nothing was recorded are left out.
fn section(
    title: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
) -> Option<Section> {
    let used = |at: usize| rows.iter().any(|row| !row[at].text.is_empty());
    let kept: Vec<usize> = (0..columns.len()).filter(|at| used(*at)).collect();
    (!rows.is_empty()).then(|| Section {
        title,
        note: None,
        columns: kept.iter().map(|at| columns[*at]).collect(),
        rows: rows
            .iter()
            .map(|row| kept.iter().map(|at| row[*at].clone()).collect())
            .collect(),
    })
}

pub(super) fn tone_of(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Passed => Tone::Good,
        Outcome::Degraded | Outcome::NotEvaluated => Tone::Warn,
        Outcome::Failed => Tone::Bad,
        Outcome::Skipped => Tone::Quiet,
    }
}

fn outcome(outcome: Outcome) -> Cell {
    Cell::toned(outcome.word(), tone_of(outcome))
}

/// How a step ended, in words.
pub(super) fn step_word(end: StepEnd) -> &'static str {
    match end {
        StepEnd::Changed => "changed",
        StepEnd::AlreadySo => "already so",
        StepEnd::Observed => "observed",
        StepEnd::Skipped => "skipped",
        StepEnd::Failed => "failed",
        StepEnd::Interrupted => "interrupted",
        StepEnd::Undone => "undone",
    }
}

fn step_end(end: StepEnd) -> Cell {
    let tone = match end {
        StepEnd::Changed | StepEnd::AlreadySo | StepEnd::Observed => Tone::Good,
        StepEnd::Skipped => Tone::Quiet,
        StepEnd::Failed => Tone::Bad,
        StepEnd::Interrupted | StepEnd::Undone => Tone::Warn,
    };
    Cell::toned(step_word(end), tone)
}

/// A measured number with its unit.
pub(super) fn quantity(value: f64, unit: Measure) -> String {
    match unit {
        Measure::Seconds => seconds(value),
        Measure::Bytes => human_bytes(value.max(0.0) as u64),
        Measure::BytesPerSecond => format!("{}/s", human_bytes(value.max(0.0) as u64)),
        Measure::Items => format!("{value}"),
        Measure::Ratio => format!("{:.1} %", value * 100.0),
    }
}

fn seconds(value: f64) -> String {
    match std::time::Duration::try_from_secs_f64(value) {
        Ok(duration) => Span(duration).to_string(),
        Err(_) => format!("{value} s"),
    }
}

/// A JSON value for reading: `rows: 1204, database: app`.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(name, value)| match value {
                    Value::Object(_) | Value::Array(_) | Value::Null => format!("{name}: {value}"),
                    scalar => format!("{name}: {}", inline(scalar)),
                })
                .collect();
            parts.join(", ")
        }
        other => other.to_string(),
    }
}

/// A unit enum's own word, as it is in JSON.
fn word_of<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
