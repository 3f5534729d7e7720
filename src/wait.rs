//! Waiting: every wait has a deadline, reports its last status, and can be cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::error::{Error, INTERRUPTED, NOT_BEGUN, Result, TIMEOUT};
use crate::time::Span;

/// How urgently somebody wants the run to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Nobody does.
    No,
    /// At the next point between two effects.
    BetweenEffects,
    /// Now: abandon what is in flight; the journal makes it resumable.
    Now,
}

/// The stop signal of one process, and whether a run is there to go on with; clones share it.
#[derive(Clone, Default)]
pub struct Cancel(Arc<(AtomicU8, Notify)>);

/// The bits of the urgency: 0, 1 or 2.
const URGENCY: u8 = 3;

/// The bit that says that a run has begun.
const BEGUN: u8 = 4;

/// The bit that says that it was the time which was over.
const OVER: u8 = 8;

impl Cancel {
    /// A signal nobody has given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the urgency by one level and returns the new one: the first Ctrl-C, the second.
    pub fn raise(&self) -> Stop {
        let raised = |state: u8| {
            let urgency = if state & URGENCY == 0 { 1 } else { 2 };
            Some(state & !URGENCY | urgency)
        };
        self.change(raised);
        self.level()
    }

    /// Asks to stop at the next point between two effects, because the time for it is over. Whoever asked for more before
    /// gets it.
    pub fn over(&self) {
        self.change(|state| Some((state | OVER) + u8::from(state & URGENCY == 0)));
    }

    /// Whether the time was over.
    pub fn is_over(&self) -> bool {
        self.0.0.load(Ordering::SeqCst) & OVER != 0
    }

    fn change(&self, to: impl Fn(u8) -> Option<u8>) {
        let _ = self
            .0
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, to);
        self.0.1.notify_waiters();
    }

    /// The present level.
    pub fn level(&self) -> Stop {
        match self.0.0.load(Ordering::SeqCst) & URGENCY {
            0 => Stop::No,
            1 => Stop::BetweenEffects,
            _ => Stop::Now,
        }
    }

    /// Says that from now on there is a run to go on with: call it right before the first record of a journal is
    /// written. Fails if somebody asked to stop before that, so that nothing is begun.
    pub fn begin(&self) -> Result<()> {
        let begin = |state: u8| (state & URGENCY == 0).then_some(state | BEGUN);
        self.0
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, begin)
            .map(drop)
            .map_err(|_| not_begun())
    }

    /// Says that there is a run to go on with, which an earlier process began.
    pub fn goes_on(&self) {
        self.0.0.fetch_or(BEGUN, Ordering::SeqCst);
    }

    /// Whether there is a run to go on with.
    pub fn has_begun(&self) -> bool {
        self.0.0.load(Ordering::SeqCst) & BEGUN != 0
    }

    /// Fails with `run.interrupted` once anybody asked to stop, or with `run.not-begun` if there is no run yet: call it
    /// between effects.
    pub fn check(&self) -> Result<()> {
        if self.level() == Stop::No {
            Ok(())
        } else {
            Err(self.interrupted())
        }
    }

    /// Completes when somebody asks to stop, however urgently.
    pub async fn asked(&self) {
        self.reaches(Stop::BetweenEffects).await;
    }

    /// Completes when somebody asks to stop before a run has begun. None begins after that.
    pub async fn asked_before_begin(&self) {
        self.asked().await;
        if self.has_begun() {
            std::future::pending().await
        }
    }

    /// Completes when somebody asks to stop now.
    pub async fn now(&self) {
        self.reaches(Stop::Now).await;
    }

    async fn reaches(&self, level: Stop) {
        loop {
            let notified = self.0.1.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.level() >= level {
                return;
            }
            notified.await;
        }
    }

    /// Runs `work`, abandoning it when somebody asks to stop now.
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.now() => Err(self.interrupted()),
            done = work => done,
        }
    }

    /// Runs `work` that changes nothing, such as planning, abandoning it as soon as somebody asks to stop.
    pub async fn guard_look<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.asked() => Err(self.interrupted()),
            done = work => done,
        }
    }

    fn interrupted(&self) -> Error {
        if self.has_begun() {
            Error::new(&INTERRUPTED, "interrupted")
        } else {
            not_begun()
        }
    }
}

/// The error of an interruption before there was a run.
pub fn not_begun() -> Error {
    Error::new(&NOT_BEGUN, "interrupted; no run was begun")
        .hint("There is nothing to resume. Run the command again.")
}

/// A point in time by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    /// A deadline `allowed` from now.
    pub fn after(allowed: Duration) -> Self {
        Deadline {
            at: Instant::now() + allowed,
            allowed,
        }
    }

    /// What is left; zero once it has passed.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.left().is_zero()
    }

    /// The whole time that was allowed.
    pub fn allowed(&self) -> Duration {
        self.allowed
    }

    /// Runs `work` until the deadline; `what` names it in the error, as in "connecting to Postgres".
    pub async fn run<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.left(), work).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(
                &TIMEOUT,
                format!("{what} took longer than {}", Span(self.allowed)),
            )),
        }
    }
}

/// One look at something that is waited for.
pub enum Look<T> {
    /// It has happened.
    Ready(T),
    /// Not yet; the status is reported if the deadline passes.
    NotYet(String),
}

/// Looks again and again, first quickly and then every `pause`, until ready or the deadline passes.
pub async fn poll<T, F>(
    what: &str,
    deadline: Deadline,
    pause: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let mut next = Duration::from_millis(10).min(pause);
    loop {
        let status = match look().await? {
            Look::Ready(value) => return Ok(value),
            Look::NotYet(status) => status,
        };
        if deadline.passed() {
            return Err(Error::new(
                &TIMEOUT,
                format!(
                    "{what} did not happen within {}: last seen: {status}",
                    Span(deadline.allowed)
                ),
            ));
        }
        tokio::time::sleep(next.min(deadline.left())).await;
        next = (next * 2).min(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn poll_reports_the_last_status() {
        let deadline = Deadline::after(Duration::from_millis(30));
        let result: Result<()> = poll(
            "the server's start",
            deadline,
            Duration::from_millis(5),
            async || Ok(Look::NotYet("starting".into())),
        )
        .await;
        let error = result.expect_err("times out");
        assert!(error.to_string().contains("last seen: starting"), "{error}");
    }

    #[tokio::test]
    async fn who_stops_before_a_run_begins_is_told_that_none_did() {
        let cancel = Cancel::new();
        cancel.raise();
        for stopped in [cancel.check(), cancel.begin()] {
            let error = stopped.expect_err("stopped");
            assert_eq!(error.reason(), &NOT_BEGUN);
            assert!(!error.hints().join(" ").contains("run resume"));
        }
        assert!(!cancel.has_begun());
        let planning = cancel.guard_look(std::future::pending::<Result<()>>());
        assert_eq!(planning.await.expect_err("stops").reason(), &NOT_BEGUN);
        let cancel = Cancel::new();
        cancel.begin().expect("nobody asked to stop");
        assert_eq!(cancel.raise(), Stop::BetweenEffects);
        assert_eq!(cancel.check().expect_err("stopped").reason(), &INTERRUPTED);
        assert!(cancel.has_begun());
    }

    #[tokio::test]
    async fn time_that_is_over_stops_between_effects_and_takes_nothing_back() {
        let cancel = Cancel::new();
        assert!(!cancel.is_over());
        cancel.begin().expect("nobody asked to stop");
        cancel.over();
        assert_eq!(cancel.level(), Stop::BetweenEffects);
        assert!(cancel.has_begun() && cancel.is_over());
        assert_eq!(cancel.check().expect_err("stopped").reason(), &INTERRUPTED);
        // A later signal is the second one; time that is over then is no third.
        assert_eq!(cancel.raise(), Stop::Now);
        cancel.over();
        assert_eq!(cancel.level(), Stop::Now);
        assert!(cancel.has_begun() && cancel.is_over());
    }

    #[tokio::test]
    async fn the_second_signal_abandons_work_in_flight() {
        let cancel = Cancel::new();
        assert_eq!(cancel.raise(), Stop::BetweenEffects);
        assert!(cancel.check().is_err());
        let other = cancel.clone();
        let waiting =
            tokio::spawn(async move { other.guard(std::future::pending::<Result<()>>()).await });
        tokio::task::yield_now().await;
        assert_eq!(cancel.raise(), Stop::Now);
        assert!(waiting.await.expect("joins").is_err());
    }
}
