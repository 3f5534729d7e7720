//! Declared cross-store checks: every value that one store names must be in another, such as an id in Neo4j that
//! Postgres lacks. Each store answers while it runs on its scratch server; the answers are compared when all have.
//!
//! Values are held in memory as text: some 50 bytes each for ids.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::world::World;
use crate::check::Finding;
use crate::config;
use crate::error::Error;
use crate::event::{Events, Outcome};
use crate::exit::Exit;
use crate::identity::Store;
use crate::providers::{neo4j, postgres};
use crate::reasons;
use crate::repository::{Backup, BackupParts, CrossCheck};

reasons! {
    /// One store names what another lacks.
    DISAGREE = "stores.disagree", Failed,
        "A check between the stores, declared in the context's `cross-checks`, found values in one store that another lacks. The backup is as captured and comes back exactly: the live stores disagreed when it was made, so another backup shows the same until they are mended. Look up the named values in both.";
}

/// How long a live store has to plan a query.
const EARLY: Duration = Duration::from_secs(5);

/// How many orphans are named.
const NAMED: usize = 3;

/// A side's values, or why there are none.
type Asked = std::result::Result<Vec<String>, String>;

/// What a store answered for one side of a check.
pub struct Answer {
    check: String,
    side: Side,
    values: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Every,
    IsIn,
}

/// A server that was restored.
pub enum Restored<'a> {
    /// Postgres's database of the context.
    Postgres(&'a postgres::Target),
    /// Neo4j's.
    Neo4j(&'a neo4j::Target),
}

/// Asks a restored server everything that the context's checks want of its store. A query that fails spoils its check and
/// nothing else.
pub async fn ask(world: &World, restored: Restored<'_>) -> Vec<Answer> {
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
            let asked = match restored {
                Restored::Postgres(target) => {
                    postgres::column(target, &keys.query.value, &mut each).await
                }
                Restored::Neo4j(target) => {
                    neo4j::column(target, &keys.query.value, &mut each).await
                }
            };
            answers.push(Answer {
                check: check.name.clone(),
                side,
                values: match asked {
                    Ok(_) => Ok(values),
                    Err(e) => Err(format!("{store} could not be asked: {}", e.one_line())),
                },
            });
        }
    }
    answers
}

/// Says of each declared query that a live store refuses, so that nobody learns it only when everything was restored. Who
/// cannot be asked now is not: restores are for when a store is gone.
pub async fn look_early(world: &World, events: &Events) {
    for check in &world.settings.cross_checks {
        for keys in [&check.every, &check.is_in] {
            let query = &keys.query.value;
            let planned = async {
                match keys.store {
                    Store::Postgres => postgres::column_planned(world.postgres()?, query).await,
                    Store::Neo4j => neo4j::column_planned(world.neo4j()?, query).await,
                    Store::Redis => Ok(()),
                }
            };
            let Ok(Err(refused)) = tokio::time::timeout(EARLY, planned).await else {
                continue;
            };
            if refused.exit() == Exit::Failed {
                events.note(format!(
                    "cross-store check `{}` would not be evaluated: {} refuses its query: {}",
                    check.name,
                    keys.store,
                    refused.one_line()
                ));
            }
        }
    }
}

/// Judges every declared check by what was answered.
pub fn judge(world: &World, source: &BackupParts, answers: Vec<Answer>) -> Vec<CrossCheck> {
    let mut answered: BTreeMap<(String, Side), Asked> = BTreeMap::new();
    for answer in answers {
        answered.insert((answer.check, answer.side), answer.values);
    }
    let checks = world.settings.cross_checks.iter();
    let judged = checks.map(|check| {
        let mut side = |side, store| {
            let answer = answered.remove(&(check.name.clone(), side));
            answer.unwrap_or_else(|| Err(absent(world, source, store)))
        };
        let every = side(Side::Every, check.every.store);
        compare(check, every, side(Side::IsIn, check.is_in.store))
    });
    judged.collect()
}

/// Why a store was not asked.
fn absent(world: &World, source: &BackupParts, store: Store) -> String {
    match &world.postgres {
        Some(target) if source.contents().store(store).is_some() => format!(
            "the backup does not hold the database `{}`, which the context's URL names",
            target.database
        ),
        _ => format!("the backup holds no {store}"),
    }
}

fn compare(check: &config::CrossCheck, every: Asked, is_in: Asked) -> CrossCheck {
    let name = check.name.clone();
    let (wanted, place) = (check.every.store, check.is_in.store);
    let (every, is_in) = match (every, is_in) {
        (Ok(every), Ok(is_in)) => (every, is_in),
        (every, is_in) => {
            let mut why: Vec<String> = [every.err(), is_in.err()].into_iter().flatten().collect();
            why.dedup();
            return CrossCheck {
                name,
                outcome: Outcome::NotEvaluated,
                values: None,
                orphans: None,
                detail: why.join("; "),
            };
        }
    };
    let there: HashSet<String> = is_in.into_iter().collect();
    let values = every.len() as u64;
    let orphaned = every.into_iter().filter(|value| !there.contains(value));
    let mut examples: Vec<String> = orphaned.collect();
    let orphans = examples.len() as u64;
    examples.sort_unstable();
    examples.truncate(NAMED);
    let (outcome, detail) = if orphans == 0 {
        let detail = format!("all {values} values of {wanted} are in {place}");
        (Outcome::Passed, detail)
    } else {
        let detail = format!(
            "{orphans} of {values} values of {wanted} are not in {place}, such as `{}`",
            examples.join("`, `")
        );
        (Outcome::Failed, detail)
    };
    CrossCheck {
        name,
        outcome,
        values: Some(values),
        orphans: Some(orphans),
        detail,
    }
}

/// A check in one sentence, wherever it is shown.
pub fn said(check: &CrossCheck) -> String {
    let CrossCheck { name, detail, .. } = check;
    match check.outcome {
        Outcome::Passed => format!("cross-store check `{name}`: {detail}"),
        Outcome::NotEvaluated => format!("cross-store check `{name}` was not evaluated: {detail}"),
        _ => format!(
            "cross-store check `{name}`: {detail}; the live stores disagree, and the backup is as captured"
        ),
    }
}

/// What the newest restore of a backup showed of these checks, as one finding.
pub fn finding(world: &World, backup: &Backup, names: &[&str]) -> Finding {
    let restore = format!(
        "Restore it to scratch servers with `summitctl backup verify {} --level 3 --context {}`.",
        backup.id, world.context
    );
    let Some(seen) = backup.cross_checks() else {
        return Finding::not_evaluated(format!("no restore of `{}` is recorded", backup.id))
            .hint(restore);
    };
    let (mut orphans, mut unknown, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    let mut early = false;
    for name in names {
        match seen.iter().find(|c| c.name == *name) {
            None => {
                early = true;
                unknown.push(format!("`{name}`: the last restore did not ask it"));
            }
            Some(check) => {
                let list = match check.outcome {
                    Outcome::Passed => &mut passed,
                    Outcome::NotEvaluated => &mut unknown,
                    _ => &mut orphans,
                };
                list.push(format!("`{name}`: {}", check.detail));
            }
        }
    }
    if !orphans.is_empty() {
        orphans.extend(unknown);
        let message = format!("the stores disagree: {}", orphans.join("; "));
        let error = Error::new(&DISAGREE, message).hint(
            "The backup is as captured: look up the named values in the live stores and mend them there; a backup made after that shows it.",
        );
        return Finding::from_error(&error);
    }
    if !unknown.is_empty() {
        let finding = Finding::not_evaluated(unknown.join("; "));
        return if early {
            finding.hint(restore)
        } else {
            finding
        };
    }
    Finding::passed(passed.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CrossCheck as Declared, Keys, Sourced};

    #[test]
    fn orphans_are_counted_and_what_was_not_asked_is_not_evaluated() {
        let sourced = |text: &str| Sourced::default_of(text.to_owned());
        let keys = |store| Keys {
            store,
            query: sourced("q"),
        };
        let check = Declared {
            name: "notes".to_owned(),
            every: keys(Store::Neo4j),
            is_in: keys(Store::Postgres),
            must: Sourced::default_of(false),
        };
        let values = |values: &[&str]| Ok(values.iter().map(|v| (*v).to_owned()).collect());
        let every = values(&["d", "a", "c", "b", "e", "a"]);
        let seen = compare(&check, every, values(&["a", "x"]));
        assert_eq!((seen.values, seen.orphans), (Some(6), Some(4)));
        assert_eq!(seen.outcome, Outcome::Failed);
        assert!(said(&seen).contains("such as `b`, `c`, `d`; the live stores disagree"));
        assert_eq!(
            compare(&check, values(&["a"]), values(&["a"])).outcome,
            Outcome::Passed
        );

        let lacks = || Err("the backup holds no neo4j".to_owned());
        let seen = compare(&check, lacks(), values(&["a"]));
        assert_eq!((seen.outcome, seen.orphans), (Outcome::NotEvaluated, None));
        assert_eq!(
            said(&seen),
            "cross-store check `notes` was not evaluated: the backup holds no neo4j"
        );
    }
}
