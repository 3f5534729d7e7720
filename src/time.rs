//! Time as the tool writes and reads it: UTC timestamps to the millisecond, durations such as `15m` or `4h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Environment variable that fixes the clock in hermetic tests: an RFC 3339 instant.
pub const FIXED_CLOCK: &str = "SUMMITCTL_TEST_CLOCK";

/// An instant in UTC, written as RFC 3339 with milliseconds (`2026-11-21T03:04:05.678Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Timestamp);

impl Instant {
    /// The wall clock, or the fixed clock of a test.
    pub fn now() -> Self {
        if let Some(fixed) = std::env::var(FIXED_CLOCK).ok().and_then(|v| v.parse().ok()) {
            return fixed;
        }
        Self::from_millis(Timestamp::now().as_millisecond())
    }

    /// What a person writes for a moment: RFC 3339, where the seconds may be left out, or a date, which is its beginning in
    /// UTC.
    pub fn by_person(text: &str) -> Result<Self> {
        let day: Result<jiff::civil::Date, _> = text.parse();
        let full = match &day {
            Ok(_) if text.len() == "2026-11-20".len() => format!("{text}T00:00:00Z"),
            _ => text.to_owned(),
        };
        full.parse().map_err(|e: Error| {
            Error::input(format!("`{text}` is not a moment"))
                .caused_by(e.one_line())
                .hint("Write `2026-11-20T03:00Z` with its time zone, or `2026-11-20` for the beginning of that day in UTC.")
        })
    }

    /// From milliseconds since the Unix epoch; out of range clamps to the epoch.
    pub fn from_millis(millis: i64) -> Self {
        Instant(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_millis(u64::try_from(self.millis() - earlier.millis()).unwrap_or(0))
    }

    /// This instant moved forward.
    pub fn plus(self, span: Duration) -> Self {
        Self::from_millis(
            self.millis()
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// `20261121T030405Z`: sorts by name, fits a file name and a database name.
    pub fn compact(self) -> String {
        self.0.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// `2026-11-21 03:04:05Z`, for people.
    pub fn human(self) -> String {
        self.0.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
    }

    /// Which hour, day, ISO 8601 week (from Monday), month or year of the UTC calendar it lies in, as text: `2026-W47`.
    pub fn within(self, period: Period) -> String {
        let format = match period {
            Period::Hour => "%Y-%m-%dT%HZ",
            Period::Day => "%Y-%m-%d",
            Period::Week => "%G-W%V",
            Period::Month => "%Y-%m",
            Period::Year => "%Y",
        };
        self.0.strftime(format).to_string()
    }

    /// `2026-11-21 03:04Z`, for tables whose ids hold the seconds.
    pub fn minute(self) -> String {
        self.0.strftime("%Y-%m-%d %H:%MZ").to_string()
    }
}

/// A stretch of the UTC calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From minute 0.
    Hour,
    /// From midnight UTC.
    Day,
    /// From Monday, as ISO 8601 counts.
    Week,
    /// From the first.
    Month,
    /// From 1 January.
    Year,
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }
}

impl FromStr for Instant {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let at: Timestamp = text.parse().map_err(|e: jiff::Error| {
            Error::input(format!(
                "`{text}` is not an RFC 3339 instant such as `2026-11-21T03:04:05Z`"
            ))
            .caused_by(e)
        })?;
        Ok(Self::from_millis(at.as_millisecond()))
    }
}

impl Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

/// How a span is written.
pub const AS_SPAN: &str =
    "Write a number and a unit: `500ms`, `90s`, `15m`, `4h`, `30d`, or several, as in `1h30m`.";

/// A length of time as people write it: `90s`, `15m`, `4h`, `30d`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// From whole seconds.
    pub const fn secs(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    /// From measured seconds; what a clock that was set back made negative is none.
    pub fn measured(seconds: f64) -> Self {
        Span(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::input(format!("`{text}` is not a duration")).hint(AS_SPAN);
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let unit_len = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            let millis: u64 = match &rest[..unit_len] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return Err(bad()),
            };
            rest = &rest[unit_len..];
            let part = number.checked_mul(millis).ok_or_else(bad)?;
            total = total
                .checked_add(Duration::from_millis(part))
                .ok_or_else(bad)?;
        }
        Ok(Span(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1_000 {
            return write!(f, "{millis}ms");
        }
        if millis < 60_000 && !millis.is_multiple_of(1_000) {
            return write!(f, "{}.{}s", millis / 1_000, (millis % 1_000) / 100);
        }
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3_600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ];
        // Two units are precise enough for a person: `2d3h`, `4h`, `1m30s`.
        let mut shown = 0;
        for (number, unit) in parts.iter().skip_while(|(n, _)| *n == 0).take(2) {
            if *number > 0 {
                write!(f, "{number}{unit}")?;
                shown += 1;
            }
        }
        if shown == 0 {
            f.write_str("0s")
        } else {
            Ok(())
        }
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^([0-9]+(ms|s|m|min|h|d|w))+$"})
    }
}

/// Bytes for people: `1.4 MiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_write_as_people_do() {
        for (text, millis, shown) in [
            ("15m", 900_000, "15m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("500ms", 500, "500ms"),
            ("90s", 90_000, "1m30s"),
            ("30d", 2_592_000_000, "30d"),
        ] {
            let span: Span = text.parse().expect("parses");
            assert_eq!(span.0.as_millis(), millis, "{text}");
            assert_eq!(span.to_string(), shown);
        }
        for bad in ["", "15", "m", "4 h", "-1s", "99999999999999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_lie_in_stretches_of_the_calendar() {
        let at: Instant = "2027-01-03T23:59:59.999Z".parse().expect("parses");
        let within = |period| at.within(period);
        assert_eq!(within(Period::Hour), "2027-01-03T23Z");
        assert_eq!(within(Period::Day), "2027-01-03");
        assert_eq!(within(Period::Week), "2026-W53");
        assert_eq!(within(Period::Month), "2027-01");
        assert_eq!(within(Period::Year), "2027");
        let next = at.plus(Duration::from_millis(1));
        assert_eq!(next.within(Period::Week), "2027-W01");
    }

    #[test]
    fn instants_round_trip_to_the_millisecond() {
        let at: Instant = "2026-11-21T03:04:05.678Z".parse().expect("parses");
        assert_eq!(at.to_string(), "2026-11-21T03:04:05.678Z");
        assert_eq!(at.compact(), "20261121T030405Z");
        assert_eq!(
            at.plus(Duration::from_secs(1)).since(at),
            Duration::from_secs(1)
        );
        assert_eq!(at.since(at.plus(Duration::from_secs(1))), Duration::ZERO);
    }
}
