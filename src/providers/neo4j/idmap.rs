//! Which node of a restored server stands for which of the source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The private map of a restore: the source's node ids to those of the restored server.
///
/// It costs 16 bytes a node in memory, and as much again while a comparison holds it the other way round; written
/// out, neighbours that moved together are one run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdMap {
    database: String,
    /// Sorted by the source's id.
    pairs: Vec<(i64, i64)>,
}

impl IdMap {
    /// A map for the nodes of the source's database `database`.
    pub(super) fn new(database: &str, mut pairs: Vec<(i64, i64)>) -> IdMap {
        pairs.sort_unstable();
        IdMap {
            database: database.to_owned(),
            pairs,
        }
    }

    /// The database's name at the source, which part names begin with.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How many nodes it holds.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The restored server's id for one of the source.
    pub fn new_of(&self, old: i64) -> Option<i64> {
        find(&self.pairs, old)
    }

    /// The other way round: restored id to the source's.
    pub(super) fn inverse(&self) -> Inverse {
        let mut pairs: Vec<(i64, i64)> = self.pairs.iter().map(|(old, new)| (*new, *old)).collect();
        pairs.sort_unstable();
        Inverse(pairs)
    }
}

/// Restored ids to the source's.
pub(super) struct Inverse(Vec<(i64, i64)>);

impl Inverse {
    /// The source's id. A node that the restore did not make gets a negative one, which no source has.
    pub(super) fn old_of(&self, new: i64) -> i64 {
        find(&self.0, new).unwrap_or(-1 - new)
    }
}

fn find(pairs: &[(i64, i64)], key: i64) -> Option<i64> {
    let at = pairs.binary_search_by_key(&key, |(from, _)| *from).ok()?;
    Some(pairs[at].1)
}

/// As written: `runs` of `[first old id, first new id, how many]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    /// Format version: 1.
    version: u32,
    /// The database's name at the source.
    database: String,
    /// First old id, first new id, count.
    runs: Vec<(i64, i64, u64)>,
}

impl Serialize for IdMap {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let mut runs: Vec<(i64, i64, u64)> = Vec::new();
        for &(old, new) in &self.pairs {
            match runs.last_mut() {
                Some((o, n, count))
                    if old.wrapping_sub(*o) == *count as i64
                        && new.wrapping_sub(*n) == *count as i64 =>
                {
                    *count += 1;
                }
                _ => runs.push((old, new, 1)),
            }
        }
        Written {
            version: 1,
            database: self.database.clone(),
            runs,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IdMap {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        expand(written).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for IdMap {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IdMap".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

fn expand(written: Written) -> Result<IdMap> {
    if written.version != 1 {
        return Err(Error::input(format!(
            "an id map of version {}",
            written.version
        )));
    }
    let mut pairs: Vec<(i64, i64)> = Vec::new();
    for (old, new, count) in written.runs {
        // A run that no memory holds is a damaged file, not a map.
        let room = usize::try_from(count).ok();
        let room = room.and_then(|n| pairs.try_reserve(n).ok());
        let count = i64::try_from(count).ok();
        let ends = count.and_then(|c| Some((c, old.checked_add(c)?, new.checked_add(c)?)));
        let (Some(()), Some((count, ..))) = (room, ends) else {
            return Err(Error::input("an id map holds an impossible run"));
        };
        pairs.extend((0..count).map(|i| (old + i, new + i)));
    }
    Ok(IdMap::new(&written.database, pairs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn maps_survive_being_written(
            pairs in proptest::collection::btree_map(0_i64..400, 0_i64..1_000_000, 0..200)
        ) {
            let map = IdMap::new("neo4j", pairs.into_iter().collect());
            let text = serde_json::to_string(&map).expect("writes");
            prop_assert_eq!(serde_json::from_str::<IdMap>(&text).expect("reads"), map);
        }
    }

    #[test]
    fn neighbours_are_one_run_and_strangers_are_negative() {
        let map = IdMap::new("neo4j", vec![(2, 12), (0, 10), (1, 11), (7, 3)]);
        let text = serde_json::to_string(&map).expect("writes");
        assert_eq!(
            text,
            r#"{"version":1,"database":"neo4j","runs":[[0,10,3],[7,3,1]]}"#
        );
        assert_eq!((map.new_of(1), map.new_of(3)), (Some(11), None));
        let inverse = map.inverse();
        assert_eq!((inverse.old_of(3), inverse.old_of(99)), (7, -100));
        let damaged = r#"{"version":1,"database":"d","runs":[[0,0,18446744073709551615]]}"#;
        assert!(serde_json::from_str::<IdMap>(damaged).is_err());
    }
}
