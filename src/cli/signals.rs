//! Ctrl-C and SIGTERM: the first stops between effects, the second now; both leave a run that resumes.

use tokio::signal::unix::{SignalKind, signal};

use super::Session;
use crate::wait::Stop;

/// Watches for signals for as long as the process lives.
pub fn watch(session: &Session) {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (cancel, output) = (session.cancel.clone(), session.output);
        let Ok(mut signals) = signal(kind) else {
            continue;
        };
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                match cancel.raise() {
                    Stop::BetweenEffects => output.say(
                        "\nstopping once the present effect is complete; press Ctrl-C again to stop now. \
                         Either way, `summitctl run resume` goes on.",
                    ),
                    _ => output.say("\nstopping now; `summitctl run resume` goes on."),
                }
            }
        });
    }
}
