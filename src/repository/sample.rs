//! A random share of a backup's segments, which anybody can draw again from its seed.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::SegmentDoc;
use super::names::random;
use crate::error::{Error, Result};

/// A share in parts per million; written as `5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Share(u32);

const WHOLE: u32 = 1_000_000;

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!("`{text}` is not a share"))
                .hint("Write more than 0% and at most 100%, as in `5%` or `0.5%`.")
        };
        let number = text.strip_suffix('%').ok_or_else(bad)?;
        let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || rest.len() > 4 || !digits(whole) || !digits(rest)
        {
            return Err(bad());
        }
        let scaled: u32 = format!("{whole}{rest:0<4}").parse().map_err(|_| bad())?;
        if scaled == 0 || scaled > WHOLE {
            return Err(bad());
        }
        Ok(Share(scaled))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        let rest = format!("{rest:04}");
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{whole}{point}{rest}%")
    }
}

impl TryFrom<String> for Share {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> String {
        share.to_string()
    }
}

/// Which segments were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sample {
    /// How many of them.
    pub share: Share,
    /// What the draw began with.
    pub seed: u32,
}

impl Sample {
    /// A draw with a new seed.
    pub fn draw(share: Share) -> Result<Self> {
        let seed = u32::from_le_bytes(random()?);
        Ok(Sample { share, seed })
    }

    /// The drawn segments: those whose hash under the seed is smallest, and at least one.
    pub(super) fn of(self, segments: Vec<SegmentDoc>) -> Vec<SegmentDoc> {
        let all = segments.len() as u64;
        let count = (all * u64::from(self.share.0)).div_ceil(u64::from(WHOLE));
        let rank = |doc: &SegmentDoc| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&self.seed.to_le_bytes());
            hasher.update(&doc.id.0);
            *hasher.finalize().as_bytes()
        };
        let mut drawn = segments;
        drawn.sort_by_cached_key(rank);
        drawn.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_and_write_as_people_do() {
        for text in ["5%", "0.5%", "100%", "12.25%", "0.0001%"] {
            let share: Share = text.parse().expect("a share");
            assert_eq!(share.to_string(), text);
        }
        for bad in [
            "", "5", "%", "0%", "101%", "-1%", "1e1%", ".5%", "0.00001%", "100.1%",
        ] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_segments_again() {
        let doc = |n: u8| SegmentDoc {
            id: super::super::Digest([n; 32]),
            copy: None,
            sha256: super::super::Digest([0; 32]),
            size: 1,
        };
        let all: Vec<SegmentDoc> = (0..200).map(doc).collect();
        let share: Share = "5%".parse().expect("a share");
        let draw = |seed| Sample { share, seed }.of(all.clone());
        assert_eq!(draw(7).len(), 10);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(Sample { share, seed: 1 }.of(vec![doc(1)]).len(), 1);
    }
}
