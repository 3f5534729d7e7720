//! Reads a journal back into the state of its run: what is done, what failed, what is in doubt.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Report, Result};
use crate::event::StepEnd;
use crate::pid::Process;
use crate::time::Instant;

use super::journal::{DAMAGED, History, Record, give_up_hint};
use super::plan::Plan;
use super::step::Facts;

/// What the journal says of one step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// An effect was intended, and nothing says that it was made or not.
    InDoubt {
        /// What was to be done.
        change: Value,
    },
    /// It ended well.
    Ended {
        /// How.
        end: StepEnd,
        /// What was seen.
        observed: Facts,
        /// Seconds it took.
        seconds: f64,
        /// The change that was made, if one was.
        change: Option<Value>,
        /// Whether it was adopted after a crash.
        adopted: bool,
    },
    /// It failed. With a change, its effect is in doubt.
    Failed {
        /// Why.
        error: Report,
        /// Whether the run went on regardless.
        tolerated: bool,
        /// The change that was intended, if it got that far.
        change: Option<Value>,
    },
    /// Its effect was taken back, or was found impossible to take back.
    Undone {
        /// Whether nothing of it is left.
        clean: bool,
        /// What was seen.
        detail: String,
    },
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// The run's id.
    pub run: String,
    /// What it executes.
    pub plan: Plan,
    /// The plan's digest.
    pub digest: String,
    /// The consent as it was recorded.
    pub consent: Value,
    /// When it was started.
    pub started: Instant,
    /// When the last record was written.
    pub last: Instant,
    /// The machine and process that executed it last.
    pub host: String,
    /// The process that executed it last.
    pub process: Process,
    /// Steps that the journal mentions.
    pub steps: BTreeMap<String, StepState>,
    /// Step ids in the order in which their effects were first intended.
    pub effects: Vec<String>,
    /// Why it stopped, if it paused.
    pub paused: Option<Report>,
    /// The exit code, if it ended for good.
    pub ended: Option<u8>,
    /// Whether it was aborted.
    pub aborted: bool,
    /// How many times it was resumed.
    pub resumed: u32,
    /// The signed record that was made when it stopped last, as its keeper names it.
    pub evidence: Option<String>,
}

impl RunState {
    /// Whether `run resume` has something to do.
    pub fn resumable(&self) -> bool {
        self.ended.is_none()
    }

    /// Replays a journal.
    pub fn of(history: &History, path: &Path) -> Result<RunState> {
        let damaged = |what: &str| {
            let error = Error::new(&DAMAGED, format!("journal `{}` {what}", path.display()));
            give_up_hint(error, path)
        };
        let first = history.lines.first();
        let Some(Record::Started {
            version,
            run,
            host,
            process,
            consent,
            plan,
            digest,
            ..
        }) = first.map(|l| &l.record)
        else {
            return Err(damaged("does not begin with the start of a run"));
        };
        if *version != 1 {
            return Err(Error::input(format!(
                "journal `{}` has format version {version}; this program knows 1",
                path.display()
            )));
        }
        if &plan.digest() != digest {
            return Err(damaged(
                "holds a plan that does not have the digest that was consented to",
            ));
        }
        let started = first.map_or_else(Instant::now, |l| l.at);
        let mut state = RunState {
            run: run.clone(),
            plan: (**plan).clone(),
            digest: digest.clone(),
            consent: consent.clone(),
            started,
            last: started,
            host: host.clone(),
            process: process.clone(),
            steps: BTreeMap::new(),
            effects: Vec::new(),
            paused: None,
            ended: None,
            aborted: false,
            resumed: 0,
            evidence: None,
        };
        for line in &history.lines[1..] {
            state.last = line.at;
            state.add(&line.record).map_err(|what| damaged(&what))?;
        }
        Ok(state)
    }

    fn add(&mut self, record: &Record) -> std::result::Result<(), String> {
        if self.ended.is_some() {
            return Err("goes on after the run's end".into());
        }
        let change_of = |state: Option<&StepState>| match state {
            Some(StepState::InDoubt { change }) => Some(change.clone()),
            Some(StepState::Failed { change, .. } | StepState::Ended { change, .. }) => {
                change.clone()
            }
            _ => None,
        };
        match record {
            Record::Started { .. } => return Err("starts twice".into()),
            Record::Resumed { host, process } => {
                self.host.clone_from(host);
                self.process = process.clone();
                self.resumed += 1;
                self.paused = None;
            }
            Record::Intent { step, change, .. } => {
                if !self.effects.contains(step) {
                    self.effects.push(step.clone());
                }
                self.steps.insert(
                    step.clone(),
                    StepState::InDoubt {
                        change: change.clone(),
                    },
                );
            }
            Record::Done {
                step,
                end,
                adopted,
                seconds,
                observed,
            } => {
                let change = change_of(self.steps.get(step));
                let ended = StepState::Ended {
                    end: *end,
                    observed: observed.clone(),
                    seconds: *seconds,
                    change,
                    adopted: *adopted,
                };
                self.steps.insert(step.clone(), ended);
            }
            Record::Failed {
                step,
                tolerated,
                error,
            } => {
                let change = change_of(self.steps.get(step));
                self.steps.insert(
                    step.clone(),
                    StepState::Failed {
                        error: error.clone(),
                        tolerated: *tolerated,
                        change,
                    },
                );
            }
            Record::UndoIntent { .. } => {}
            Record::Undone {
                step,
                clean,
                detail,
            } => {
                self.steps.insert(
                    step.clone(),
                    StepState::Undone {
                        clean: *clean,
                        detail: detail.clone(),
                    },
                );
            }
            Record::Paused { error, evidence } => {
                self.paused = Some(error.clone());
                self.evidence.clone_from(evidence);
            }
            Record::Ended {
                exit_code,
                aborted,
                evidence,
            } => {
                self.evidence.clone_from(evidence);
                self.ended = Some(*exit_code);
                self.aborted = *aborted;
            }
        }
        Ok(())
    }
}
