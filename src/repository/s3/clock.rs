//! The store's clock: where this machine's is wrong, requests are signed by the store's, as the store demands it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;

use crate::time::Instant;

/// Stores take what is signed up to 15 minutes apart. What is less than this apart was refused for another reason.
const APART: i64 = 5 * 60;

/// How far the store's clock is ahead of this machine's, as far as it matters.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreClock {
    ahead: Arc<AtomicI64>,
}

impl StoreClock {
    /// Seconds since 1970, by the store.
    pub fn seconds(&self) -> i64 {
        own().saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// What a refusal says of the clocks: whether it was for them, after which the next request is signed by the store's.
    fn learn(&self, status: u16, date: Option<&str>, body: Option<&[u8]>) -> bool {
        if status != 403 && status != 400 {
            return false;
        }
        let there = date.and_then(|d| DateTime::from_str(d, DateTimeFormat::HttpDate).ok());
        if let Some(there) = there
            && (there.secs() - self.seconds()).abs() >= APART
        {
            self.ahead.store(there.secs() - own(), Ordering::Relaxed);
            return true;
        }
        // A request beside this one has learnt it already.
        let code = b"RequestTimeTooSkewed";
        there.is_some() && body.is_some_and(|b| b.windows(code.len()).any(|w| w == code))
    }
}

fn own() -> i64 {
    Instant::now().millis() / 1000
}

impl TimeSource for StoreClock {
    fn now(&self) -> SystemTime {
        let seconds = u64::try_from(self.seconds()).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }
}

impl ClassifyRetry for StoreClock {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else {
            return RetryAction::NoActionIndicated;
        };
        let date = response.headers().get("date");
        if self.learn(response.status().as_u16(), date, response.body().bytes()) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "the store's clock"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_the_clock_is_told_from_others() {
        let clock = StoreClock::default();
        let date = |ahead: i64| {
            let there = DateTime::from_secs(own() + ahead);
            there.fmt(DateTimeFormat::HttpDate).unwrap()
        };
        assert!(!clock.learn(403, Some(&date(60)), None));
        assert!(!clock.learn(200, Some(&date(7200)), None));
        assert!(!clock.learn(403, None, Some(b"RequestTimeTooSkewed")));
        assert!(clock.learn(403, Some(&date(-7200)), None));
        assert!((clock.seconds() - own() + 7200).abs() < 60);
        // The same again is another refusal, unless it names the clock: it was sent before.
        assert!(!clock.learn(403, Some(&date(-7200)), Some(b"AccessDenied")));
        let said = b"<Code>RequestTimeTooSkewed</Code>";
        assert!(clock.learn(403, Some(&date(-7200)), Some(said)));
    }
}
