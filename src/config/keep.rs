//! How many backups of which age a context keeps, besides those that are younger than its retention.

use std::fmt;

use serde::Deserialize;

/// Counts of backups; what is absent keeps none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keep {
    /// The newest ones.
    pub last: Option<u32>,
    /// The newest of as many hours.
    pub hourly: Option<u32>,
    /// The newest of as many days.
    pub daily: Option<u32>,
    /// The newest of as many ISO weeks.
    pub weekly: Option<u32>,
    /// The newest of as many months.
    pub monthly: Option<u32>,
    /// The newest of as many years.
    pub yearly: Option<u32>,
}

impl Keep {
    fn counts(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ];
        all.into_iter()
            .filter_map(|(word, count)| Some((word, count?)))
    }

    /// The name of a count that keeps nothing.
    pub(super) fn zero(&self) -> Option<&'static str> {
        self.counts().find(|(_, n)| *n == 0).map(|(word, _)| word)
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.counts().map(|(w, n)| format!("{w} {n}")).collect();
        f.write_str(if all.is_empty() { "nothing more" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}
