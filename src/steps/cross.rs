//! Declared cross-store checks: every value that one store names must be in another, such as an id in Neo4j that
//! Postgres lacks. Each store answers while it runs on its scratch server; the answers are compared when all have.
//!
//! Values are held in memory as text: some 50 bytes each for ids.

use std::collections::{BTreeMap, HashSet};

use super::world::World;
use crate::error::{Context as _, Result};
use crate::identity::Store;
use crate::providers::{neo4j, postgres};

/// How many orphans are named.
const NAMED: usize = 3;

/// What a store answered for one side of a check.
pub struct Answer {
    check: String,
    side: Side,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Every,
    IsIn,
}

/// What a check showed.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// The check's name.
    pub check: String,
    /// How many values were looked for.
    pub values: u64,
    /// How many of them were not there.
    pub orphans: u64,
    /// The first of those.
    pub examples: Vec<String>,
}

/// A server that was restored.
pub enum Restored<'a> {
    /// Postgres's database of the context.
    Postgres(&'a postgres::Target),
    /// Neo4j's.
    Neo4j(&'a neo4j::Target),
}

/// Asks a restored server everything that the context's checks want of its store.
pub async fn ask(world: &World, restored: Restored<'_>) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let store = match restored {
        Restored::Postgres(_) => Store::Postgres,
        Restored::Neo4j(_) => Store::Neo4j,
    };
    for check in &world.settings.cross_checks {
        for (side, keys) in [(Side::Every, &check.every), (Side::IsIn, &check.is_in)] {
            if keys.store != store {
                continue;
            }
            let mut values = Vec::new();
            let mut each = |value: String| values.push(value);
            match restored {
                Restored::Postgres(target) => {
                    postgres::column(target, &keys.query.value, &mut each).await
                }
                Restored::Neo4j(target) => {
                    neo4j::column(target, &keys.query.value, &mut each).await
                }
            }
            .context(|| format!("the cross-store check `{}` cannot ask {store}", check.name))?;
            answers.push(Answer {
                check: check.name.clone(),
                side,
                values,
            });
        }
    }
    Ok(answers)
}

/// Compares what was answered. A check of which one side was not asked is not in the result: it was not evaluated.
pub fn compare(answers: Vec<Answer>) -> Vec<Checked> {
    let mut sides: BTreeMap<String, BTreeMap<Side, Vec<String>>> = BTreeMap::new();
    for answer in answers {
        let check = sides.entry(answer.check).or_default();
        check.entry(answer.side).or_default().extend(answer.values);
    }
    let mut checked = Vec::new();
    for (check, mut sides) in sides {
        let (Some(every), Some(is_in)) = (sides.remove(&Side::Every), sides.remove(&Side::IsIn))
        else {
            continue;
        };
        let there: HashSet<String> = is_in.into_iter().collect();
        let values = every.len() as u64;
        let mut orphans: Vec<String> = every
            .into_iter()
            .filter(|value| !there.contains(value))
            .collect();
        let count = orphans.len() as u64;
        orphans.sort_unstable();
        orphans.truncate(NAMED);
        checked.push(Checked {
            check,
            values,
            orphans: count,
            examples: orphans,
        });
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_are_counted_and_half_asked_checks_left_out() {
        let answer = |check: &str, side, values: &[&str]| Answer {
            check: check.to_owned(),
            side,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        };
        let checked = compare(vec![
            answer("notes", Side::Every, &["d", "a", "c", "b", "e", "a"]),
            answer("notes", Side::IsIn, &["a", "x"]),
            answer("half", Side::Every, &["a"]),
        ]);
        let examples = ["b", "c", "d"].map(str::to_owned).to_vec();
        let notes = Checked {
            check: "notes".to_owned(),
            values: 6,
            orphans: 4,
            examples,
        };
        assert_eq!(checked, [notes]);
    }
}
