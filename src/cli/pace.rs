//! How fast something advances, from what was reported of it and when. Nothing is shown that was not measured: no rate from
//! one report alone, and no time left while nothing moves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::Unit;
use crate::time::{Span, human_bytes};

/// What is older says nothing of the present rate.
const WINDOW: Duration = Duration::from_secs(15);
/// A rate over less than this is chance.
const LEAST: Duration = Duration::from_secs(1);
/// Reports that are closer together are one.
const TOGETHER: Duration = Duration::from_millis(200);

/// The reports of one task.
#[derive(Debug, Default)]
pub struct Pace {
    /// When how much was done. The first is where measuring begins, and no part of what was measured.
    seen: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Hears that so much is done.
    pub fn saw(&mut self, done: u64, at: Instant) {
        if self.seen.back().is_some_and(|(_, before)| done < *before) {
            self.seen.clear();
        }
        let close = |(last, _): &(Instant, u64)| at.duration_since(*last) < TOGETHER;
        if self.seen.len() > 2 && self.seen.iter().nth_back(1).is_some_and(close) {
            self.seen.pop_back();
        }
        self.seen.push_back((at, done));
        while self.seen.len() > 2 && at.duration_since(self.seen[1].0) >= WINDOW {
            self.seen.pop_front();
        }
    }

    /// What to show beside the task's name.
    pub fn figures(&self, total: Option<u64>, unit: Unit, now: Instant) -> String {
        let done = self.seen.back().map_or(0, |(_, done)| *done);
        let amount = |n: u64| match unit {
            Unit::Bytes => human_bytes(n),
            Unit::Items => n.to_string(),
        };
        let mut text = amount(done);
        if let Some(total) = total {
            text = format!("{text} of {}", amount(total));
        }
        if let Some(still) = self.still(now) {
            return format!("{text}, nothing for {still}");
        }
        let Some(rate) = self.rate(now) else {
            return text;
        };
        text = match unit {
            Unit::Bytes => format!("{text}, {}/s", human_bytes(rate as u64)),
            Unit::Items => format!("{text}, {rate:.1}/s"),
        };
        match total {
            Some(total) if total > done => {
                let left = (total - done) as f64 / rate;
                format!("{text}, {} left", whole(Span::measured(left).0))
            }
            _ => text,
        }
    }

    /// For how long nothing was reported, once that is longer than the rate looks back.
    fn still(&self, now: Instant) -> Option<Span> {
        let (last, _) = self.seen.back()?;
        let still = now.saturating_duration_since(*last);
        (still >= WINDOW).then(|| whole(still))
    }

    /// What came since the first report that counts, in a second.
    fn rate(&self, now: Instant) -> Option<f64> {
        let ((from, before), (_, done)) = (self.seen.front()?, self.seen.back()?);
        let span = now.saturating_duration_since(*from);
        (span >= LEAST && done > before).then(|| (done - before) as f64 / span.as_secs_f64())
    }
}

fn whole(span: Duration) -> Span {
    Span::secs(span.as_secs_f64().ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn after(pace: &Pace, from: Instant, millis: u64) -> String {
        let now = from + Duration::from_millis(millis);
        pace.figures(Some(100 * MIB), Unit::Bytes, now)
    }

    #[test]
    fn what_was_done_before_the_first_report_is_in_no_rate() {
        let (mut pace, from) = (Pace::default(), Instant::now());
        pace.saw(40 * MIB, from);
        assert_eq!(after(&pace, from, 0), "40.0 MiB of 100.0 MiB");
        // One report says nothing of a rate, however long ago it is.
        assert_eq!(after(&pace, from, 9_000), "40.0 MiB of 100.0 MiB");
        pace.saw(50 * MIB, from + Duration::from_millis(500));
        assert_eq!(after(&pace, from, 500), "50.0 MiB of 100.0 MiB");
        pace.saw(60 * MIB, from + Duration::from_secs(2));
        assert_eq!(
            after(&pace, from, 2_000),
            "60.0 MiB of 100.0 MiB, 10.0 MiB/s, 4s left"
        );
    }

    #[test]
    fn what_stands_still_has_no_time_left() {
        let (mut pace, from) = (Pace::default(), Instant::now());
        pace.saw(0, from);
        pace.saw(20 * MIB, from + Duration::from_secs(2));
        assert_eq!(
            after(&pace, from, 4_000),
            "20.0 MiB of 100.0 MiB, 5.0 MiB/s, 16s left"
        );
        assert_eq!(
            after(&pace, from, 22_000),
            "20.0 MiB of 100.0 MiB, nothing for 20s"
        );
    }

    #[test]
    fn the_rate_is_the_present_one_and_few_reports_are_kept() {
        let (mut pace, from) = (Pace::default(), Instant::now());
        for tick in 0..6_000_u64 {
            pace.saw(tick, from + Duration::from_millis(10 * tick));
        }
        assert!(pace.seen.len() < 200, "{}", pace.seen.len());
        // From here on ten times as many.
        for tick in 0..3_000_u64 {
            let at = from + Duration::from_millis(60_000 + 10 * tick);
            pace.saw(6_000 + 10 * tick, at);
        }
        let now = from + Duration::from_secs(90);
        let shown = pace.figures(None, Unit::Items, now);
        let rate = shown.strip_prefix("35990, ").expect("what is done");
        let rate: f64 = rate.trim_end_matches("/s").parse().expect("a rate");
        assert!((990.0..1010.0).contains(&rate), "{shown}");
        pace.saw(5, now);
        assert_eq!(pace.figures(None, Unit::Items, now), "5");
    }
}
