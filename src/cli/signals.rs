//! Ctrl-C, SIGTERM and `--timeout`: the first stops between effects or where a long one can go on later, the second now; both leave a run
//! that resumes. Before there is a run, nothing is left, and that is what is said.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Session, prompt};
use crate::error::{Error, NOT_BEGUN, TIMEOUT};
use crate::time::Span;
use crate::wait::{Stop, not_begun};

/// Watches for signals for as long as the process lives.
pub fn watch(session: &Session, command: &'static str) {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (cancel, output) = (session.cancel.clone(), session.output);
        let Ok(mut signals) = signal(kind) else {
            continue;
        };
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let already = cancel.level() == Stop::Now;
                let stop = cancel.raise();
                if cancel.has_begun() {
                    output.say(resumable(stop));
                } else if already || prompt::is_open() {
                    // Whoever waits for an answer, or does not listen, cannot be stopped in another way; and with no run
                    // there is nothing to keep.
                    output.say("");
                    std::process::exit(i32::from(output.error(command, &not_begun()).code()));
                } else {
                    output.say(nothing_begun(stop));
                }
            }
        });
    }
}

/// Asks to stop once `timeout` is over, as the first Ctrl-C does, and says why.
pub fn stop_after(session: &Session, command: &'static str, timeout: Span, grace: Duration) {
    let (cancel, output) = (session.cancel.clone(), session.output);
    tokio::spawn(async move {
        tokio::time::sleep(timeout.0 + grace).await;
        cancel.over();
        if cancel.has_begun() {
            output.say(&format!(
                "\n`--timeout {timeout}` is over: stopping at the next safe point; `summitctl run resume` goes on."
            ));
        } else if prompt::is_open() {
            output.say("");
            let error = timed_out(command, timeout, not_begun());
            std::process::exit(i32::from(output.error(command, &error).code()));
        }
    });
}

/// The error of a command that was stopped by `--timeout`, where nothing was begun; what else it ended with stays.
pub fn timed_out(command: &str, timeout: Span, error: Error) -> Error {
    if error.reason() != &NOT_BEGUN {
        return error;
    }
    Error::new(
        &TIMEOUT,
        format!(
            "`summitctl {command}` took longer than the {timeout} of `--timeout`; no run was begun"
        ),
    )
    .hint("Give it more time, or look at what keeps it with `summitctl smoke`.")
}

fn resumable(stop: Stop) -> &'static str {
    match stop {
        Stop::BetweenEffects => {
            "\nstopping at the next safe point; press Ctrl-C again to stop now. \
             Either way, `summitctl run resume` goes on."
        }
        _ => "\nstopping now; `summitctl run resume` goes on.",
    }
}

fn nothing_begun(stop: Stop) -> &'static str {
    match stop {
        Stop::BetweenEffects => "\nstopping; no run was begun. Press Ctrl-C again to stop now.",
        _ => "\nstopping now; no run was begun.",
    }
}
