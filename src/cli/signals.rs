//! Ctrl-C and SIGTERM: the first stops between effects or where a long one can go on later, the second now; both leave a run
//! that resumes. Before there is a run, nothing is left, and that is what is said.

use tokio::signal::unix::{SignalKind, signal};

use super::{Session, prompt};
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
