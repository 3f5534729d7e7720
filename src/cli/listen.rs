//! The listeners of the event stream: progress on a terminal, plain lines elsewhere, NDJSON for machines.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::layout::wrap;
use super::output::{Stream, width};
use super::pace::Pace;
use crate::consent::Effect;
use crate::error::{Error, Result};
use crate::event::{Event, Events, Listener, Stamped, StepEnd, Unit};
use crate::evidence::Timeline;
use crate::time::{Span, human_bytes};

/// Makes the event stream that the command line wants.
pub fn events(
    to: Option<&str>,
    quiet: bool,
    verbose: u8,
    timeline: &Timeline,
    display: &Display,
) -> Result<Events> {
    let mut listeners: Vec<Box<dyn Listener>> = vec![Box::new(timeline.clone())];
    match to {
        None => {}
        Some("-") => listeners.push(Box::new(Ndjson(Mutex::new(Box::new(std::io::stderr()))))),
        Some(path) => {
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(path);
            listeners.push(Box::new(Ndjson(Mutex::new(Box::new(
                file.map_err(|e| Error::io("open", path, e))?,
            )))));
        }
    }
    if to != Some("-") && !quiet {
        if std::io::stderr().is_terminal() {
            listeners.push(Box::new(Bars::new(verbose, display.clone())));
        } else {
            listeners.push(Box::new(Lines { verbose }));
        }
    }
    Ok(Events::new(listeners))
}

struct Ndjson(Mutex<Box<dyn Write + Send>>);

impl Listener for Ndjson {
    fn hear(&self, event: &Stamped) {
        if let Ok(line) = serde_json::to_string(event)
            && let Ok(mut out) = self.0.lock()
        {
            // A listener must not fail the run; the journal is the record that counts.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// One line when a step ends; for logs and schedulers.
struct Lines {
    verbose: u8,
}

impl Listener for Lines {
    fn hear(&self, stamped: &Stamped) {
        if let Some(line) = line_of(&stamped.event, self.verbose) {
            let _ = writeln!(std::io::stderr(), "{}", fit(&line));
        }
    }
}

fn line_of(event: &Event, verbose: u8) -> Option<String> {
    match event {
        Event::RunStarted {
            run,
            title,
            steps,
            resumed,
            ..
        } => {
            let verb = if *resumed { "resuming" } else { "run" };
            let unit = if *steps == 1 { "step" } else { "steps" };
            Some(format!("{verb} {run}: {title} ({steps} {unit})"))
        }
        Event::StepFinished {
            step,
            end,
            seconds,
            observed,
            ..
        } => {
            let took = Span::measured(*seconds);
            let mut line = format!("  {} {step} ({took})", end_mark(*end));
            if let (StepEnd::Failed, Some(message)) =
                (end, observed.get("message").and_then(|m| m.as_str()))
            {
                line.push_str(&format!(": {message}"));
            }
            Some(line)
        }
        Event::Note { step, message } if step.is_empty() => Some(format!("  {message}")),
        Event::Note { step, message } => Some(format!("    {step}: {message}")),
        Event::StepStarted { step, title, .. } if verbose > 0 => {
            Some(format!("  … {step}: {title}"))
        }
        Event::CheckFinished {
            check,
            outcome,
            detail,
        } if verbose > 0 => Some(format!(
            "    {} {check}: {detail}",
            super::output::mark(*outcome)
        )),
        _ => None,
    }
}

/// The sign and word of a step's end.
pub fn end_mark(end: StepEnd) -> &'static str {
    match end {
        StepEnd::Changed => "✓ done",
        StepEnd::AlreadySo => "= already so",
        StepEnd::Observed => "✓ seen",
        StepEnd::Skipped => "- skipped",
        StepEnd::Failed => "✗ failed",
        StepEnd::Interrupted => "! interrupted",
        StepEnd::Undone => "↶ undone",
    }
}

/// The part of the terminal where bars move. While a question is open nothing moves, and lines wait.
#[derive(Clone)]
pub struct Display {
    multi: MultiProgress,
    held: Arc<Mutex<Option<Vec<String>>>>,
}

impl Display {
    /// The display of this process, on stderr.
    pub fn new() -> Self {
        Display {
            multi: MultiProgress::with_draw_target(target()),
            held: Arc::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<String>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hides the bars and keeps lines back until the value returned is dropped.
    pub fn quiet(&self) -> Quiet {
        let _ = self.multi.clear();
        self.multi.set_draw_target(ProgressDrawTarget::hidden());
        self.held().get_or_insert_default();
        Quiet(self.clone())
    }

    fn line(&self, line: String) {
        match &mut *self.held() {
            Some(waiting) => waiting.push(line),
            None => {
                let _ = self.multi.println(line);
            }
        }
    }
}

fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::stderr_with_hz(10)
}

/// A question is open.
pub struct Quiet(Display);

impl Drop for Quiet {
    fn drop(&mut self) {
        self.0.multi.set_draw_target(target());
        for line in self.0.held().take().into_iter().flatten() {
            let _ = self.0.multi.println(line);
        }
    }
}

/// How many parts of a step have a bar of their own. A database of many tables would fill the screen otherwise.
const MOST_PARTS: usize = 6;

/// Progress bars with what is done, the rate and the time left.
struct Bars {
    display: Display,
    bars: Mutex<BTreeMap<(String, String), Bar>>,
    verbose: u8,
}

/// The bar of a step, or of a part of one.
struct Bar {
    bar: ProgressBar,
    /// When it moved last.
    moved: std::time::Instant,
    /// What was reported of a part.
    pace: Arc<Mutex<Pace>>,
}

impl Bars {
    fn new(verbose: u8, display: Display) -> Self {
        Bars {
            display,
            bars: Mutex::default(),
            verbose,
        }
    }

    /// A new bar, below the bar of its step if that is given.
    fn bar(&self, below: Option<&ProgressBar>, total: Option<u64>, unit: Option<Unit>) -> Bar {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let pace = Arc::new(Mutex::new(Pace::default()));
        let template = match unit {
            Some(_) => "    {wide_msg} {figures}",
            None => "  {spinner} {wide_msg} {elapsed}",
        };
        if let Ok(mut style) = ProgressStyle::with_template(template) {
            if let Some(unit) = unit {
                let pace = Arc::clone(&pace);
                let figures = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
                    let shown = pace.figures(state.len(), unit, std::time::Instant::now());
                    // A bar that cannot be drawn must not fail the run.
                    let _ = out.write_str(&shown);
                };
                style = style.with_key("figures", figures);
            }
            bar.set_style(style);
        }
        let bar = match below {
            Some(step) => self.display.multi.insert_after(step, bar),
            None => self.display.multi.add(bar),
        };
        Bar {
            bar,
            moved: std::time::Instant::now(),
            pace,
        }
    }

    fn progress(&self, step: &str, task: &str, done: u64, total: Option<u64>, unit: Unit) {
        let Ok(mut bars) = self.bars.lock() else {
            return;
        };
        let key = (step.to_owned(), task.to_owned());
        if !bars.contains_key(&key) {
            self.make_room(&mut bars, step);
            let own = bars.get(&(step.to_owned(), String::new()));
            let made = self.bar(own.map(|b| &b.bar), total, Some(unit));
            made.bar.set_message(task.to_owned());
            // What stands still is seen to.
            made.bar.enable_steady_tick(Duration::from_secs(1));
            bars.insert(key.clone(), made);
        }
        let Some(Bar { bar, moved, pace }) = bars.get_mut(&key) else {
            return;
        };
        *moved = std::time::Instant::now();
        let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.saw(done, *moved);
        // Drawing asks for it.
        drop(pace);
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
        if total.is_some_and(|t| done >= t) {
            bar.finish_and_clear();
        }
    }

    /// Drops the part of a step that has not moved for longest, once there are too many.
    fn make_room(&self, bars: &mut BTreeMap<(String, String), Bar>, step: &str) {
        let shown = |((of, part), bar): &(&(String, String), &Bar)| {
            of == step && !part.is_empty() && !bar.bar.is_finished()
        };
        if bars.iter().filter(shown).count() < MOST_PARTS {
            return;
        }
        let oldest = bars.iter().filter(shown).min_by_key(|(_, b)| b.moved);
        if let Some(key) = oldest.map(|(key, _)| key.clone())
            && let Some(gone) = bars.remove(&key)
        {
            gone.bar.finish_and_clear();
            self.display.multi.remove(&gone.bar);
        }
    }

    fn drop_step(&self, step: &str) {
        if let Ok(mut bars) = self.bars.lock() {
            bars.retain(|(of, _), Bar { bar, .. }| {
                if of == step {
                    bar.finish_and_clear();
                    self.display.multi.remove(bar);
                }
                of != step
            });
        }
    }
}

impl Listener for Bars {
    fn hear(&self, stamped: &Stamped) {
        match &stamped.event {
            Event::StepStarted {
                step,
                title,
                effect,
                ..
            } => {
                let made = self.bar(None, None, None);
                let bar = &made.bar;
                let effect = if *effect == Effect::Read {
                    String::new()
                } else {
                    format!(" [{}]", effect.word())
                };
                bar.set_message(format!("{step}: {title}{effect}"));
                bar.enable_steady_tick(Duration::from_millis(120));
                if let Ok(mut bars) = self.bars.lock() {
                    bars.insert((step.clone(), String::new()), made);
                }
            }
            Event::Progress {
                step,
                task,
                done,
                total,
                unit,
            } => self.progress(step, task, *done, *total, *unit),
            Event::StepFinished { step, .. } => self.drop_step(step),
            Event::RunFinished { .. } => {
                if let Ok(mut bars) = self.bars.lock() {
                    bars.values().for_each(|b| b.bar.finish_and_clear());
                    bars.clear();
                }
            }
            _ => {}
        }
        if let Some(line) = line_of(&stamped.event, self.verbose) {
            self.display.line(fit(&line));
        }
    }
}

fn fit(line: &str) -> String {
    wrap(line, width(Stream::Err))
}

/// Bytes and rate in words, for summaries.
pub fn rate(bytes: u64, seconds: f64) -> String {
    if seconds <= 0.0 {
        return human_bytes(bytes);
    }
    format!(
        "{} at {}/s",
        human_bytes(bytes),
        human_bytes((bytes as f64 / seconds) as u64)
    )
}
