//! The parallel runner: everything that can run does, nothing waits longer than it must, and what depends on a
//! failed check is not tried at all.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Semaphore;

use super::report::{Evaluated, Report};
use super::{Attempt, Check, Finding, Severity};
use crate::error::{Error, Result};
use crate::event::{Event, Events, Outcome};
use crate::secret;
use crate::time::{Instant, Span};
use crate::wait::{Cancel, Deadline};

/// The first pause between two attempts; it doubles up to [`Options::pause`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How a set of checks is run.
#[derive(Clone)]
pub struct Options {
    /// By when every check must have its result.
    pub deadline: Deadline,
    /// Whether a check that did not pass is tried again until it does or the deadline passes (`--wait`).
    pub wait: bool,
    /// The longest pause between two attempts of one check.
    pub pause: Duration,
    /// How many attempts may be under way at the same time; at least 1.
    pub jobs: usize,
    /// Hears each result as it is there.
    pub events: Events,
    /// Stops the run.
    pub cancel: Cancel,
}

impl Options {
    /// One attempt each, 32 at a time, heard by nobody.
    pub fn once(deadline: Deadline) -> Self {
        Options {
            deadline,
            wait: false,
            pause: Duration::from_secs(1),
            jobs: 32,
            events: Events::silent(),
            cancel: Cancel::new(),
        }
    }
}

/// Runs the checks side by side and reports all of them.
///
/// # Errors
/// `run.interrupted` or `run.not-begun` if somebody asked to stop; a bug if ids repeat, or needs name no check or form a circle.
pub async fn run(title: &str, checks: &[Check<'_>], options: &Options) -> Result<Report> {
    let index = index(checks)?;
    let started = Instant::now();
    let clock = std::time::Instant::now();
    let slots = Semaphore::new(options.jobs.max(1));
    let mut done: Vec<Option<Evaluated>> = vec![None; checks.len()];
    let mut started_checks = vec![false; checks.len()];
    let mut flying = FuturesUnordered::new();
    loop {
        options.cancel.check()?;
        settle_consequences(checks, &index, &mut done, options);
        for (i, check) in checks.iter().enumerate() {
            if !started_checks[i] && done[i].is_none() && ready(check, &index, &done) {
                started_checks[i] = true;
                let slots = &slots;
                flying.push(async move { (i, evaluate(check, options, slots).await) });
            }
        }
        let Some((i, evaluated)) = options
            .cancel
            .guard(async { Ok(flying.next().await) })
            .await?
        else {
            break;
        };
        announce(&options.events, &evaluated);
        done[i] = Some(evaluated);
    }
    let mut evaluated: Vec<Evaluated> = done
        .into_iter()
        .map(|d| d.ok_or_else(|| Error::bug("the needs of some checks form a circle")))
        .collect::<Result<_>>()?;
    explain(&mut evaluated);
    Ok(Report::build(
        title,
        started,
        clock.elapsed().as_secs_f64(),
        evaluated,
    ))
}

/// Ids to positions; refuses what cannot be run.
fn index<'c>(checks: &'c [Check<'_>]) -> Result<HashMap<&'c str, usize>> {
    let mut index = HashMap::new();
    for (i, check) in checks.iter().enumerate() {
        if index.insert(check.id.as_str(), i).is_some() {
            return Err(Error::bug(format!("two checks have the id `{}`", check.id)));
        }
    }
    for check in checks {
        if let Some(need) = check
            .needs
            .iter()
            .find(|need| !index.contains_key(need.as_str()))
        {
            return Err(Error::bug(format!(
                "check `{}` needs `{need}`, which does not exist",
                check.id
            )));
        }
    }
    Ok(index)
}

fn ready(check: &Check<'_>, index: &HashMap<&str, usize>, done: &[Option<Evaluated>]) -> bool {
    check.needs.iter().all(|need| {
        let cause = index.get(need.as_str()).and_then(|i| done[*i].as_ref());
        cause.is_some_and(|c| matches!(c.outcome, Outcome::Passed | Outcome::Degraded))
    })
}

/// Gives a result to every check one of whose needs did not come true; repeats until nothing changes, so that the
/// consequences of consequences are settled too.
fn settle_consequences(
    checks: &[Check<'_>],
    index: &HashMap<&str, usize>,
    done: &mut [Option<Evaluated>],
    options: &Options,
) {
    let mut changed = true;
    while changed {
        changed = false;
        for (i, check) in checks.iter().enumerate() {
            if done[i].is_some() {
                continue;
            }
            let cause = check
                .needs
                .iter()
                .filter_map(|need| done[*index.get(need.as_str())?].as_ref())
                .find(|c| !matches!(c.outcome, Outcome::Passed | Outcome::Degraded));
            let Some(cause) = cause else { continue };
            let finding = consequence(cause);
            let evaluated = conclude(check, finding, 0, None, Duration::ZERO);
            announce(&options.events, &evaluated);
            done[i] = Some(evaluated);
            changed = true;
        }
    }
}

/// What is said of a check whose cause did not pass. A skipped cause skips its consequences: nobody wanted either.
fn consequence(cause: &Evaluated) -> Finding {
    let root = cause.caused_by.as_ref().unwrap_or(&cause.id);
    match cause.outcome {
        Outcome::Skipped => {
            Finding::skipped(format!("because `{root}` was skipped")).caused_by(root.clone())
        }
        Outcome::NotEvaluated if cause.caused_by.is_none() => {
            Finding::not_evaluated(format!("because `{root}` was not evaluated"))
                .caused_by(root.clone())
        }
        _ => Finding::not_evaluated(format!("because `{root}` failed")).caused_by(root.clone()),
    }
}

/// Runs one check: one attempt, or as many as the deadline allows.
async fn evaluate(check: &Check<'_>, options: &Options, slots: &Semaphore) -> Evaluated {
    let clock = std::time::Instant::now();
    let mut attempts = 0;
    let mut latency = None;
    let mut last: Option<Finding> = None;
    let mut pause = FIRST_PAUSE.min(options.pause);
    loop {
        let slot = tokio::time::timeout(options.deadline.left(), slots.acquire()).await;
        let Ok(Ok(slot)) = slot else { break };
        if options.deadline.passed() {
            break;
        }
        attempts += 1;
        let allowed = check.deadline.min(options.deadline.left());
        let attempt = Attempt {
            number: attempts,
            deadline: Deadline::after(allowed),
        };
        let look = std::time::Instant::now();
        let finding = tokio::time::timeout(allowed, (check.run)(attempt)).await;
        drop(slot);
        latency = Some(look.elapsed());
        match finding {
            Ok(finding) => last = Some(finding),
            // Cut short by the overall deadline: an earlier finding says more than this attempt does.
            Err(_) if allowed < check.deadline => {
                last.get_or_insert_with(|| {
                    Finding::not_evaluated(format!(
                        "no result within the {} that the overall deadline left",
                        Span(allowed)
                    ))
                });
            }
            Err(_) => {
                last = Some(Finding::failed(format!(
                    "no answer within {}",
                    Span(check.deadline)
                )));
            }
        }
        let over = last
            .as_ref()
            .is_none_or(|f| f.settled || f.outcome == Outcome::Passed);
        if over || !options.wait || options.deadline.left() <= pause {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(options.pause);
    }
    let finding = last.unwrap_or_else(|| {
        Finding::not_evaluated(format!(
            "the overall deadline of {} passed before it could start",
            Span(options.deadline.allowed())
        ))
    });
    conclude(check, finding, attempts, latency, clock.elapsed())
}

/// Joins the check and its finding, and masks every text.
fn conclude(
    check: &Check<'_>,
    finding: Finding,
    attempts: u32,
    latency: Option<Duration>,
    took: Duration,
) -> Evaluated {
    let passed = finding.outcome == Outcome::Passed;
    let collapsed = attempts == 0 && finding.caused_by.is_some();
    let mut hints = Vec::new();
    if !passed && !collapsed {
        for hint in finding.hints.iter().chain(check.hint.as_ref()) {
            let hint = secret::mask(hint).into_owned();
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
    let mut facts = serde_json::Value::Object(finding.facts);
    secret::mask_json(&mut facts);
    let serde_json::Value::Object(facts) = facts else {
        unreachable!("masking keeps an object an object")
    };
    Evaluated {
        id: check.id.clone(),
        title: check.title.clone(),
        category: check.category,
        severity: match finding.decides {
            true => Severity::Required,
            false => check.severity,
        },
        outcome: finding.outcome,
        detail: secret::mask(&finding.detail.replace('\n', " ")).into_owned(),
        facts,
        impact: check.impact.clone().filter(|_| {
            matches!(finding.outcome, Outcome::Failed | Outcome::Degraded) && !collapsed
        }),
        hints,
        caused_by: finding.caused_by,
        attempts,
        latency_ms: latency.map(millis),
        seconds: took.as_secs_f64(),
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn announce(events: &Events, evaluated: &Evaluated) {
    events.emit(Event::CheckFinished {
        check: evaluated.id.clone(),
        outcome: evaluated.outcome,
        detail: evaluated.detail.clone(),
    });
}

/// Follows every explanation to its root, and drops those whose cause is well: two views that contradict each other
/// are two findings.
fn explain(checks: &mut [Evaluated]) {
    let causes: HashMap<String, (Outcome, Option<String>)> = checks
        .iter()
        .map(|c| (c.id.clone(), (c.outcome, c.caused_by.clone())))
        .collect();
    for check in checks {
        if matches!(check.outcome, Outcome::Passed) {
            check.caused_by = None;
            continue;
        }
        let mut root = None;
        let mut next = check.caused_by.take();
        // As many steps as there are checks: a circle of explanations explains nothing.
        for _ in 0..causes.len() {
            let Some(id) = next.take().filter(|id| *id != check.id) else {
                break;
            };
            let Some((outcome, further)) = causes.get(&id) else {
                break;
            };
            if *outcome == Outcome::Passed {
                break;
            }
            next = further.clone();
            root = Some(id);
        }
        check.caused_by = root;
    }
}

#[cfg(test)]
mod tests;
