//! Fingerprints of data that dissolve while they are looked at: rows that expire soon are summed per second of their
//! expiry, so that two measurements can be compared as of one *horizon* in time, whatever expired in between.

use std::collections::BTreeMap;

use crate::capture::{Fingerprint, FingerprintKey};
use crate::error::{Error, Result};
use crate::time::Instant;

use super::rdb::Row;

/// How far ahead expiries are kept apart: a day, so at most 86 400 sums per part.
const NEAR_MILLIS: u64 = 86_400_000;

/// Sums rows, those that expire soon by themselves.
#[derive(Clone)]
pub(super) struct Tally {
    key: FingerprintKey,
    near_until: u64,
    lasting: Fingerprint,
    /// By the second in which the rows expire.
    near: BTreeMap<u64, Fingerprint>,
}

impl Tally {
    /// An empty sum, begun at `now`.
    pub(super) fn new(key: &FingerprintKey, now: Instant) -> Self {
        Tally {
            key: key.clone(),
            near_until: u64::try_from(now.millis())
                .unwrap_or(0)
                .saturating_add(NEAR_MILLIS),
            lasting: Fingerprint::default(),
            near: BTreeMap::new(),
        }
    }

    /// Adds rows.
    pub(super) fn add(&mut self, rows: &[Row]) {
        for row in rows {
            self.add_one(row.expiry, &row.bytes);
        }
    }

    /// Adds one row.
    pub(super) fn add_one(&mut self, expiry: u64, bytes: &[u8]) {
        let mut one = self.key.start();
        one.add(bytes);
        let sum = if self.is_near(expiry) {
            self.near.entry(expiry / 1_000).or_default()
        } else {
            &mut self.lasting
        };
        merge(sum, &one.finish());
    }

    /// Whether rows that expire then are kept apart.
    pub(super) fn is_near(&self, expiry: u64) -> bool {
        expiry != 0 && expiry < self.near_until
    }

    /// Takes it from `all` what lasts, where only rows that do not were added; `false` if it cannot be so.
    pub(super) fn complete(&mut self, all: &Fingerprint) -> bool {
        self.lasting = *all;
        for near in self.near.values() {
            let Some(rows) = self.lasting.rows.checked_sub(near.rows) else {
                return false;
            };
            self.lasting.rows = rows;
            self.lasting.sum = self.lasting.sum.wrapping_sub(near.sum);
        }
        true
    }

    /// Everything added.
    pub(super) fn all(&self) -> Fingerprint {
        let mut sum = self.lasting;
        self.near.values().for_each(|near| merge(&mut sum, near));
        sum
    }

    /// What is left at `horizon`, which must be a whole second: rows that expire before it are left out.
    pub(super) fn at(&self, horizon: Instant) -> Result<Fingerprint> {
        let horizon = u64::try_from(horizon.millis()).unwrap_or(0);
        if horizon > self.near_until {
            return Err(Error::new(
                &super::MEASURED_TOO_LONG,
                "keys that expire were measured more than a day ago and cannot be compared any more",
            ));
        }
        let mut sum = self.lasting;
        let later = self.near.range(horizon / 1_000..);
        later.for_each(|(_, near)| merge(&mut sum, near));
        Ok(sum)
    }
}

/// The first whole second after `now`: what expires before it is gone at it, what expires at or after it is there now.
pub(super) fn horizon(now: Instant) -> Instant {
    Instant::from_millis((now.millis() / 1_000 + 1) * 1_000)
}

fn merge(sum: &mut Fingerprint, more: &Fingerprint) {
    sum.rows += more.rows;
    sum.sum = sum.sum.wrapping_add(more.sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expires_before_the_horizon_is_left_out() {
        let key = FingerprintKey::new([3; 32]);
        let row = |expiry: u64| Row {
            expiry,
            bytes: expiry.to_le_bytes().to_vec(),
        };
        let now = Instant::from_millis(1_000_500);
        let sum = |expiries: &[u64]| {
            let mut tally = Tally::new(&key, now);
            tally.add(&expiries.iter().map(|e| row(*e)).collect::<Vec<_>>());
            tally
        };
        let all = sum(&[0, 999_000, 1_000_900, 1_001_000, 9_000_000_000]);
        assert_eq!(horizon(now).millis(), 1_001_000);
        let left = all.at(horizon(now)).expect("near");
        assert_eq!(left, sum(&[9_000_000_000, 1_001_000, 0]).all());
        assert_eq!(all.all().rows, 5);
        assert!(all.at(Instant::from_millis(2_000_000_000)).is_err());

        let mut few = sum(&[999_000, 1_000_900, 1_001_000]);
        assert!(few.complete(&all.all()));
        assert_eq!(few.at(horizon(now)).expect("near"), left);
        assert_eq!(few.all(), all.all());
        assert!(!sum(&[1_000_900, 1_001_000]).complete(&sum(&[0]).all()));
        assert!(few.is_near(1_000_900) && !few.is_near(0) && !few.is_near(9_000_000_000));
    }
}
