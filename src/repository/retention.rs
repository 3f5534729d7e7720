//! Which backups stay and which may go: a pure judgement of what is known of them.
//!
//! Backups compete only with their like: those of one context that hold the same stores, safety backups apart. Times are
//! the moments that backups began, in the UTC calendar, as their ids say. Of each stretch the newest backup stays, and
//! only stretches that hold a backup count. What cannot be judged stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::BackupId;
use crate::identity::Store as Kind;
use crate::time::{Instant, Period, Span};

/// A safety backup stays at least this long: `restore --undo` may need it.
pub const SAFETY_STAYS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many backups are kept. Each rule keeps some; what no rule keeps may go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Rules {
    /// Everything that is younger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// The newest ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// The newest of as many hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hourly: Option<u32>,
    /// The newest of as many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<u32>,
    /// The newest of as many ISO weeks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u32>,
    /// The newest of as many months.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly: Option<u32>,
    /// The newest of as many years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yearly: Option<u32>,
}

impl Rules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Rules::default()
    }

    fn periods(&self) -> impl Iterator<Item = (Period, &'static str, u32)> {
        let all = [
            (Period::Hour, "hourly", self.hourly),
            (Period::Day, "daily", self.daily),
            (Period::Week, "weekly", self.weekly),
            (Period::Month, "monthly", self.monthly),
            (Period::Year, "yearly", self.yearly),
        ];
        all.into_iter()
            .filter_map(|(period, word, count)| Some((period, word, count?)))
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self.within.map(|span| format!("within {span}"));
        let last = self.last.map(|count| format!("last {count}"));
        let periods = self.periods().map(|(_, word, n)| format!("{word} {n}"));
        let all: Vec<String> = within.into_iter().chain(last).chain(periods).collect();
        f.write_str(&all.join(", "))
    }
}

/// What the judgement needs to know of a backup.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which one.
    pub id: BackupId,
    /// Its context; `None` if nobody here can tell.
    pub context: Option<String>,
    /// The stores that it holds.
    pub stores: BTreeSet<Kind>,
    /// Whether a restore made it of what it was about to replace.
    pub safety: bool,
    /// Why it must not be relied on, if so.
    pub problem: Option<String>,
    /// Why it is held, if it is.
    pub held: Option<String>,
    /// Whether it was restored and compared, and nothing failed since.
    pub restored: bool,
    /// Why nobody can tell whether it was, if so.
    pub unasked: Option<String>,
    /// Whether its removal was stated already.
    pub removed: bool,
}

/// What becomes of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "fate", content = "because")]
pub enum Fate {
    /// It stays, for these reasons.
    Stays(Vec<String>),
    /// It goes, for this one.
    Goes(String),
}

/// Judges backups, oldest first; the fates are in the same order.
pub fn judge(candidates: &[Candidate], context: &str, rules: &Rules, now: Instant) -> Vec<Fate> {
    let mut reasons: Vec<Vec<String>> = candidates.iter().map(|c| beyond(c, context)).collect();
    let mut groups: BTreeMap<(bool, &BTreeSet<Kind>), Vec<usize>> = BTreeMap::new();
    for (at, candidate) in candidates.iter().enumerate().rev() {
        // What is damaged takes no place from what is whole.
        if candidate.problem.is_none() && candidate.context.as_deref() == Some(context) {
            let group = (candidate.safety, &candidate.stores);
            groups.entry(group).or_default().push(at);
        }
    }
    for ((safety, _), newest_first) in groups {
        let of = |at: &usize| &candidates[*at];
        if let Some(first) = newest_first.first() {
            let words = if safety {
                "the newest safety backup"
            } else {
                "the newest"
            };
            reasons[*first].push(words.to_owned());
        }
        if safety {
            for at in &newest_first {
                let stays = SAFETY_STAYS.max(rules.within.map_or(Duration::ZERO, |span| span.0));
                if now.since(of(at).id.moment()) < stays {
                    reasons[*at].push(format!("a safety backup younger than {}", Span(stays)));
                }
            }
            continue;
        }
        if let Some(proved) = newest_first.iter().find(|at| of(at).restored) {
            reasons[*proved].push("the newest that was restored and compared".to_owned());
        }
        // Any of them may be the newest that was restored.
        for at in &newest_first {
            reasons[*at].extend(of(at).unasked.clone());
        }
        let last = rules.last.unwrap_or(0) as usize;
        for at in newest_first.iter().take(last) {
            reasons[*at].push(format!("last {last}"));
        }
        for at in &newest_first {
            if let Some(span) = rules.within
                && now.since(of(at).id.moment()) < span.0
            {
                reasons[*at].push(format!("younger than {span}"));
            }
        }
        for (period, word, count) in rules.periods() {
            let mut seen = BTreeSet::new();
            for at in &newest_first {
                let stretch = of(at).id.moment().within(period);
                if seen.len() < count as usize && seen.insert(stretch.clone()) {
                    reasons[*at].push(format!("{word} {stretch}"));
                }
            }
        }
    }
    let fates = candidates.iter().zip(reasons);
    fates
        .map(|(candidate, reasons)| {
            if candidate.removed {
                Fate::Goes("its removal was begun".to_owned())
            } else if reasons.is_empty() {
                Fate::Goes("no rule keeps it".to_owned())
            } else {
                Fate::Stays(reasons)
            }
        })
        .collect()
}

/// What keeps a backup whatever the rules say.
fn beyond(candidate: &Candidate, context: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(why) = &candidate.held {
        reasons.push(why.clone());
    }
    match &candidate.context {
        _ if candidate.problem.is_some() => {
            let why = candidate.problem.as_deref().unwrap_or_default();
            reasons.push(format!("kept for examination: {why}"));
        }
        None => reasons.push("only an operator's identity tells of which context it is: its epoch is retired, or the repository secret is missing".to_owned()),
        Some(other) if other != context => reasons.push(format!("of context `{other}`")),
        Some(_) => {}
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Candidate {
        let stamp: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        Candidate {
            id: format!("{stamp}-0000").parse().expect("an id"),
            context: Some("prod".to_owned()),
            stores: Kind::ALL.into_iter().collect(),
            safety: false,
            problem: None,
            held: None,
            restored: false,
            unasked: None,
            removed: false,
        }
    }

    fn now() -> Instant {
        "2026-11-21T12:00:00Z".parse().expect("a moment")
    }

    fn kept(candidates: &[Candidate], rules: &Rules) -> Vec<usize> {
        let fates = judge(candidates, "prod", rules, now())
            .into_iter()
            .enumerate();
        let kept = fates.filter(|(_, fate)| matches!(fate, Fate::Stays(_)));
        kept.map(|(at, _)| at).collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_stretches() {
        let all = [
            at("2025-12-31T23:59:59Z"), // 0: the last of its year
            at("2026-01-01T00:00:00Z"), // 1: the same ISO week, another year
            at("2026-10-31T23:00:00Z"), // 2
            at("2026-11-01T00:00:00Z"), // 3
            at("2026-11-15T22:00:00Z"), // 4: Sunday
            at("2026-11-16T01:00:00Z"), // 5: Monday
            at("2026-11-21T03:00:00Z"), // 6
            at("2026-11-21T03:59:59Z"), // 7
            at("2026-11-21T04:00:00Z"), // 8
        ];
        let of = |rules: Rules| kept(&all, &rules);
        let none = Rules::default;
        assert_eq!(of(none()), [8], "the newest always stays");
        let (two, three, nine) = (Some(2), Some(3), Some(9));
        let last = two;
        assert_eq!(of(Rules { last, ..none() }), [7, 8]);
        let hourly = two;
        assert_eq!(of(Rules { hourly, ..none() }), [7, 8]);
        let daily = three;
        assert_eq!(of(Rules { daily, ..none() }), [4, 5, 8]);
        let weekly = three;
        assert_eq!(of(Rules { weekly, ..none() }), [3, 4, 8]);
        let monthly = nine;
        assert_eq!(of(Rules { monthly, ..none() }), [0, 1, 2, 8]);
        let yearly = nine;
        assert_eq!(of(Rules { yearly, ..none() }), [0, 8]);
        let within = Some(Span::secs(9 * 3600));
        assert_eq!(of(Rules { within, ..none() }), [7, 8]);
    }

    #[test]
    fn what_must_stay_stays_and_takes_no_place_from_the_rest() {
        let day = |n: u32| at(&format!("2026-10-{n:02}T03:00:00Z"));
        let mut all: Vec<Candidate> = (1..=9).map(day).collect();
        all[0].held = Some("held: an audit".to_owned());
        all[1].restored = true;
        all[2].context = Some("staging".to_owned());
        all[3].context = None;
        all[4].problem = Some("repository.damaged".to_owned());
        all[5].stores = [Kind::Redis].into_iter().collect();
        all[6].safety = true;
        let rules = Rules {
            last: Some(1),
            ..Rules::default()
        };
        // Of ten, only the eighth is like the ninth and not the newest.
        assert_eq!(kept(&all, &rules), [0, 1, 2, 3, 4, 5, 6, 8]);
        // A removal that was begun is ended, whoever held it since.
        all[0].removed = true;
        assert_eq!(kept(&all, &rules), [1, 2, 3, 4, 5, 6, 8]);
    }

    #[test]
    fn what_may_have_been_restored_stays() {
        let day = |n: u32| at(&format!("2026-10-{n:02}T03:00:00Z"));
        let mut all: Vec<Candidate> = (1..=4).map(day).collect();
        all.iter_mut()
            .for_each(|c| c.unasked = Some("nobody knows".to_owned()));
        all[1].unasked = None;
        // Proof does not keep a safety backup.
        all[2].safety = true;
        all.push(Candidate {
            safety: true,
            ..day(5)
        });
        assert_eq!(kept(&all, &Rules::default()), [0, 3, 4]);
        let fates = judge(&all, "prod", &Rules::default(), now());
        assert_eq!(fates[0], Fate::Stays(vec!["nobody knows".to_owned()]));
    }

    #[test]
    fn safety_backups_stay_a_week_and_the_newest_for_good() {
        let mut all = [
            at("2026-09-01T00:00:00Z"),
            at("2026-11-01T00:00:00Z"),
            at("2026-11-15T00:00:00Z"),
            at("2026-11-16T00:00:00Z"),
        ];
        all.iter_mut().for_each(|c| c.safety = true);
        assert_eq!(kept(&all, &Rules::default()), [2, 3]);
        assert_eq!(kept(&all[..2], &Rules::default()), [1]);
        let within = Some("30d".parse().expect("a span"));
        let rules = Rules {
            within,
            ..Rules::default()
        };
        assert_eq!(kept(&all, &rules), [1, 2, 3]);
    }
}
