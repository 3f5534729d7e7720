//! How long a cron schedule can be silent: whoever was last scheduled longer ago than that missed a time, in whatever
//! time zone the controller reads the schedule.

use std::time::Duration;

use jiff::civil::{Date, date};

/// What is added to the pause: controllers look every ten seconds, and machines are busy.
const GRACE: Duration = Duration::from_secs(600);

/// Where clocks are put back, a pause of hours is an hour longer once a year.
const CLOCKS: Duration = Duration::from_secs(3_600);

/// Years with every length and first weekday that a rule such as `0 0 29 2 *` can depend on.
const YEARS: i16 = 9;

/// The longest time between two firings of a schedule, and a little more. `None` if the schedule is of a form that is not read,
/// such as `@every 1h`, or never fires.
pub(super) fn longest_pause(schedule: &str) -> Option<Duration> {
    let schedule = match schedule.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = fields[..] else {
        return None;
    };
    let minutes_of_day = minutes_of_day(field(minutes, 0, 59, &[])?, field(hours, 0, 23, &[])?);
    let (first, last) = (*minutes_of_day.first()?, *minutes_of_day.last()?);
    let within = minutes_of_day
        .windows(2)
        .map(|w| w[1] - w[0])
        .max()
        .unwrap_or(0);
    let any = |text: &str| text.starts_with('*') || text == "?";
    let names = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let rule = Days {
        days: field(days, 1, 31, &[])?,
        months: field(months, 1, 12, &names)?,
        weekdays: field(
            weekdays,
            0,
            7,
            &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        )?,
        // Where both are given, either will do (crontab(5)).
        both: any(days) || any(weekdays),
    };
    let mut day = date(2023, 1, 1);
    let mut before: Option<Date> = None;
    let mut longest = 0;
    while day.year() < 2023 + YEARS {
        if rule.fires(day) {
            if let Some(before) = before {
                let apart = before.until(day).ok()?.get_days();
                longest = longest.max(apart * 1_440 - last + first).max(within);
            }
            before = Some(day);
        }
        day = day.tomorrow().ok()?;
    }
    let pause = Duration::from_secs(60 * u64::try_from(longest).ok().filter(|l| *l > 0)?);
    Some(
        pause
            + GRACE
            + if pause > CLOCKS {
                CLOCKS
            } else {
                Duration::ZERO
            },
    )
}

struct Days {
    days: u64,
    months: u64,
    weekdays: u64,
    both: bool,
}

impl Days {
    fn fires(&self, day: Date) -> bool {
        let has = |set: u64, n: i8| set & (1 << n) != 0;
        let weekday = day.weekday().to_sunday_zero_offset();
        // Sunday is 0 and 7.
        let weekday = has(self.weekdays, weekday) || (weekday == 0 && has(self.weekdays, 7));
        let monthday = has(self.days, day.day());
        let date = if self.both {
            weekday && monthday
        } else {
            weekday || monthday
        };
        has(self.months, day.month()) && date
    }
}

fn minutes_of_day(minutes: u64, hours: u64) -> Vec<i32> {
    let of = |set: u64, most: i32| (0..most).filter(move |n| set & (1 << n) != 0);
    of(hours, 24)
        .flat_map(|h| of(minutes, 60).map(move |m| h * 60 + m))
        .collect()
}

/// The numbers that a field names, as bits.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Option<u64> {
    let number = |word: &str| {
        let word = word.to_ascii_lowercase();
        let named = names
            .iter()
            .position(|n| *n == word)
            .and_then(|n| u32::try_from(n).ok());
        let n = named.map_or_else(|| word.parse().ok(), |n| Some(n + least))?;
        (least..=most).contains(&n).then_some(n)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|s| *s > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None if range == "*" || range == "?" => (least, most),
            None => {
                let from = number(range)?;
                (from, if part.contains('/') { most } else { from })
            }
        };
        let mut n = from;
        while n <= to {
            set |= 1 << n;
            n = n.saturating_add(step);
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_of_a_schedule_is_known() {
        const HOUR: u64 = 3_600;
        const DAY: u64 = 24 * HOUR;
        for (schedule, pause) in [
            ("*/5 * * * *", 300),
            ("0 * * * *", HOUR),
            ("0 3 * * *", DAY + HOUR),
            ("0,30 8-18 * * MON-FRI", 2 * DAY + 13 * HOUR + HOUR + 1_800),
            ("0 3 * * 0", 7 * DAY + HOUR),
            ("0 3 * * 7", 7 * DAY + HOUR),
            ("@monthly", 31 * DAY + HOUR),
            ("0 0 29 2 *", 1_461 * DAY + HOUR),
            ("0 0 1 * SUN", 7 * DAY + HOUR),
        ] {
            let expected = Duration::from_secs(pause) + GRACE;
            assert_eq!(longest_pause(schedule), Some(expected), "{schedule}");
        }
        for unread in [
            "@every 1h",
            "",
            "61 * * * *",
            "* * *",
            "0 0 31 2 *",
            "*/0 * * * *",
        ] {
            assert_eq!(longest_pause(unread), None, "{unread}");
        }
    }
}
