//! What a restore of Postgres would replace and what would be lost, measured before anybody consents to it. Nothing here
//! decides: what cannot be measured is named, and the plan goes on.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::stores::captured;
use super::world::World;
use crate::capture::PartSource as _;
use crate::engine::plan::Forecast;
use crate::engine::replay::{RunState, StepState};
use crate::error::Result;
use crate::event::StepEnd;
use crate::identity::Store;
use crate::providers::postgres::{self, Chosen, FreeSpace};
use crate::repository::BackupParts;
use crate::time::{Instant, Span, human_bytes};

/// How many names of a kind people are shown.
const SHOWN: usize = 6;

/// How many of the newest runs are looked at for the time that a restore took.
const RUNS: usize = 200;

/// The live database and the backup, side by side.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Preview {
    /// What the backup holds.
    pub backup: Backup,
    /// What it would replace; absent where nothing is replaced.
    pub live: Option<Live>,
    /// Room on the target.
    pub free_space: Option<FreeSpace>,
    /// How long loading may take; absent if this machine never loaded a backup for the context.
    pub estimate: Option<Estimate>,
    /// What could not be looked at, and why.
    pub not_measured: Vec<String>,
}

/// The Postgres part of a backup, as far as it is loaded.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Backup {
    /// Rows by table, exact.
    pub tables: BTreeMap<String, u64>,
    /// All rows.
    pub rows: u64,
    /// Bytes to load.
    pub bytes: u64,
    /// The moment that the data show.
    pub of: Instant,
}

/// The live database.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Live {
    /// Its name.
    pub database: String,
    /// As the server measures and estimates it.
    #[serde(flatten)]
    pub seen: postgres::Preview,
    /// Objects that the backup lacks: they will not be in the restored database.
    pub only_here: Vec<String>,
    /// Objects that only the backup has.
    pub only_in_backup: Vec<String>,
}

/// A time out of earlier runs.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// Seconds.
    pub seconds: f64,
    /// How many earlier loads it was taken from.
    pub runs: usize,
}

/// Looks at both sides. `replaced` is the database that a swap would set aside.
pub async fn preview(
    world: &World,
    source: &BackupParts,
    captured_name: &str,
    chosen: Option<&Chosen>,
    replaced: Option<&str>,
) -> Result<Preview> {
    let backup = backup(source, captured_name, chosen)?;
    let server = world.postgres()?;
    let mut not_measured = Vec::new();
    let mut measured = |what: &str, e: crate::error::Error| {
        not_measured.push(format!("{what}: {}", e.one_line()));
    };
    let free_space = match postgres::free_space(server).await {
        Ok(free) => Some(free),
        Err(e) => {
            measured("free disk", e);
            None
        }
    };
    let mut live = None;
    if let Some(database) = replaced {
        let target = server.with_database(database);
        match postgres::preview(&target).await {
            Ok(seen) => {
                let (mut only_here, mut only_in_backup) = (Vec::new(), Vec::new());
                match objects(source, captured_name, &target).await {
                    Ok((here, there)) => {
                        only_here = apart(&here, &there);
                        only_in_backup = apart(&there, &here);
                    }
                    Err(e) => measured("objects", e),
                }
                live = Some(Live {
                    database: database.to_owned(),
                    seen,
                    only_here,
                    only_in_backup,
                });
            }
            Err(e) => measured("the live database", e),
        }
    }
    let estimate = estimate(world, backup.bytes);
    Ok(Preview {
        backup,
        live,
        free_space,
        estimate,
        not_measured,
    })
}

fn backup(source: &BackupParts, database: &str, chosen: Option<&Chosen>) -> Result<Backup> {
    let all = captured(source, Store::Postgres)?;
    let prefix = postgres::prefix(database);
    let mut parts: Vec<_> = all.parts.iter().collect();
    parts.retain(|p| p.name.starts_with(&prefix) && chosen.is_none_or(|c| c.holds(p)));
    let mut tables = BTreeMap::new();
    let mut bytes = 0;
    for part in parts {
        bytes += part.bytes;
        let word = |key: &str| part.meta.get(key).and_then(Value::as_str);
        if let (Some(schema), Some(table), Some(fingerprint)) =
            (word("schema"), word("table"), part.fingerprint)
        {
            tables.insert(format!("{schema}.{table}"), fingerprint.rows);
        }
    }
    Ok(Backup {
        rows: tables.values().sum(),
        tables,
        bytes,
        of: all.from,
    })
}

/// An object of a catalogue: kind, what it is on, name.
type Object = (String, String, String);

/// The objects of the live database, and of the backup.
async fn objects(
    source: &BackupParts,
    database: &str,
    target: &postgres::Target,
) -> Result<(BTreeSet<Object>, BTreeSet<Object>)> {
    let name = format!("{}catalogue", postgres::prefix(database));
    let mut reader = source.open(&name).await?;
    let text = reader.read_all().await?;
    let text = String::from_utf8_lossy(&text);
    let there = text.lines().map(object).collect();
    let mut here = postgres::catalogue(target).await?;
    // What older backups say nothing of is no difference.
    if let Some(part) = source.parts(&name).iter().find(|p| p.name == name) {
        here = postgres::catalogue_as(here, &part.format);
    }
    Ok((here.iter().map(|l| object(l)).collect(), there))
}

fn object(line: &str) -> Object {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    (word("kind"), word("on"), word("name"))
}

/// What one side has and the other lacks; what hangs on such an object is not named beside it.
fn apart(one: &BTreeSet<Object>, other: &BTreeSet<Object>) -> Vec<String> {
    let lone: Vec<&Object> = one.difference(other).collect();
    let whole: BTreeSet<&String> = lone
        .iter()
        .filter(|(_, on, _)| on.is_empty())
        .map(|(_, _, name)| name)
        .collect();
    let mut names: Vec<String> = lone
        .iter()
        .filter(|(_, on, _)| !whole.contains(on))
        .map(|(kind, on, name)| {
            if on.is_empty() {
                format!("{kind} {name}")
            } else {
                format!("{kind} {name} of {on}")
            }
        })
        .collect();
    // Tables first: they hold the data.
    names.sort_by_key(|name| (!name.starts_with("table "), name.clone()));
    names
}

/// The time that loading took before, by the bytes, on this machine and for this context. All loads together: one of a few rows
/// alone would make every byte look slow.
fn estimate(world: &World, bytes: u64) -> Option<Estimate> {
    let runs = world.state.runs();
    let mut loads: Vec<Load> = Vec::new();
    for id in runs.ids().ok()?.into_iter().take(RUNS) {
        // A journal that cannot be read says nothing of times.
        if let Ok((state, _)) = runs.show(&id)
            && state.plan.context == world.context
        {
            loads.extend(loads_of(&state));
        }
    }
    if loads.is_empty() {
        return None;
    }
    let seconds: f64 = loads.iter().map(|load| load.seconds).sum();
    let loaded: f64 = loads.iter().map(|load| load.bytes).sum();
    Some(Estimate {
        seconds: bytes as f64 * seconds / loaded,
        runs: loads.len(),
    })
}

/// What a load took.
struct Load {
    seconds: f64,
    /// More than 0.
    bytes: f64,
}

/// The loads of a run that ended well.
fn loads_of(state: &RunState) -> Vec<Load> {
    let loads = state
        .plan
        .steps
        .iter()
        .filter(|s| s.spec.kind == "restore.load");
    let loads = loads.filter_map(|step| {
        let (Forecast::Later { shown, .. } | Forecast::WillChange { shown, .. }) = &step.forecast
        else {
            return None;
        };
        let bytes = shown.get("bytes")?.as_f64().filter(|b| *b > 0.0)?;
        match state.steps.get(&step.spec.id)? {
            StepState::Ended {
                end: StepEnd::Changed,
                adopted: false,
                seconds,
                ..
            } => Some(Load {
                seconds: *seconds,
                bytes,
            }),
            _ => None,
        }
    });
    loads.collect()
}

impl Preview {
    /// Lines for people. Estimates say that they are.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(live) = &self.live {
            lines.push(live.summary());
        }
        lines.push(format!(
            "backup: {} tables, {} rows, {}, as of {}",
            self.backup.tables.len(),
            self.backup.rows,
            human_bytes(self.backup.bytes),
            self.backup.of.human()
        ));
        if let Some(live) = &self.live {
            lines.extend(live.differences(&self.backup));
            lines.extend(live.users());
        }
        match &self.free_space {
            Some(FreeSpace::Measured { bytes, at }) => {
                let short = if *bytes < self.backup.bytes {
                    ": less than what comes in, so make room first"
                } else {
                    ""
                };
                lines.push(format!(
                    "free disk: {} at {}{short}",
                    human_bytes(*bytes),
                    at.display()
                ));
            }
            Some(FreeSpace::NotMeasured { why }) => {
                lines.push(format!("free disk: not measured, {why}"));
            }
            None => {}
        }
        lines.extend(
            self.not_measured
                .iter()
                .map(|why| format!("not measured: {why}")),
        );
        if let Some(estimate) = self.estimate {
            let took = std::time::Duration::from_secs_f64(estimate.seconds.clamp(0.0, 1e9));
            lines.push(format!(
                "loading and comparing: about {}, estimated from {} {}",
                Span(took),
                estimate.runs,
                if estimate.runs == 1 { "run" } else { "runs" }
            ));
        }
        lines
    }
}

impl Live {
    fn summary(&self) -> String {
        let tables = &self.seen.tables;
        let rows: i64 = tables.iter().filter_map(|t| t.estimated_rows).sum();
        let unknown = tables.iter().filter(|t| t.estimated_rows.is_none()).count();
        let estimated = if unknown == tables.len() && unknown > 0 {
            "rows not estimated: never analysed".to_owned()
        } else if unknown > 0 {
            format!(
                "about {rows} rows (estimated; {unknown} of {} tables never analysed)",
                tables.len()
            )
        } else {
            format!("about {rows} rows (estimated)")
        };
        format!(
            "`{}` now: {} tables, {} on disk, {estimated}",
            self.database,
            tables.len(),
            human_bytes(self.seen.bytes.unsigned_abs())
        )
    }

    fn differences(&self, backup: &Backup) -> Vec<String> {
        let named: BTreeMap<String, &postgres::TablePreview> = self
            .seen
            .tables
            .iter()
            .map(|t| (format!("{}.{}", t.schema, t.name), t))
            .collect();
        let mut lines = Vec::new();
        for name in self.only_here.iter().take(SHOWN) {
            let table = name.strip_prefix("table ").and_then(|n| named.get(n));
            let held = table.map_or(String::new(), |t| {
                let rows = t
                    .estimated_rows
                    .map_or("rows not estimated".to_owned(), |n| {
                        format!("about {n} rows (estimated)")
                    });
                format!(", {rows}, {}", human_bytes(t.bytes.unsigned_abs()))
            });
            lines.push(format!("not in the backup: {name}{held}"));
        }
        lines.extend(more(self.only_here.len(), "are not in the backup"));
        for name in self.only_in_backup.iter().take(SHOWN) {
            let rows = name
                .strip_prefix("table ")
                .and_then(|n| backup.tables.get(n));
            let held = rows.map_or(String::new(), |n| format!(", {n} rows"));
            lines.push(format!("only in the backup: {name}{held}"));
        }
        lines.extend(more(self.only_in_backup.len(), "are only in the backup"));
        let mut changed: Vec<(u64, String)> = Vec::new();
        for (name, table) in &named {
            let (Some(here), Some(there)) = (table.estimated_rows, backup.tables.get(name)) else {
                continue;
            };
            let apart = here.unsigned_abs().abs_diff(*there);
            if apart > 0 {
                changed.push((
                    apart,
                    format!("{name}: about {here} rows (estimated), {there} in the backup"),
                ));
            }
        }
        changed.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let all = changed.len();
        lines.extend(changed.into_iter().take(SHOWN).map(|(_, line)| line));
        lines.extend(more(all, "have another number of rows"));
        lines
    }

    fn users(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.push(match self.seen.sessions {
            0 => "no sessions are connected".to_owned(),
            n => format!("{n} sessions are connected: the swap ends them"),
        });
        if !self.seen.replication_slots.is_empty() {
            lines.push(format!(
                "replication slots stay with the old database: {}",
                self.seen.replication_slots.join(", ")
            ));
        }
        if self.seen.prepared_transactions > 0 {
            lines.push(format!(
                "{} prepared transactions: the swap is refused until they are ended",
                self.seen.prepared_transactions
            ));
        }
        lines
    }
}

fn more(all: usize, what: &str) -> Option<String> {
    (all > SHOWN).then(|| format!("and {} more {what}", all - SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_on_a_lone_object_is_not_named_beside_it() {
        let of = |all: &[(&str, &str, &str)]| -> BTreeSet<Object> {
            all.iter()
                .map(|(k, o, n)| ((*k).to_owned(), (*o).to_owned(), (*n).to_owned()))
                .collect()
        };
        let here = of(&[
            ("table", "", "public.a"),
            ("column", "public.a", "id"),
            ("table", "", "public.new"),
            ("column", "public.new", "id"),
            ("column", "public.a", "added"),
            ("function", "", "public.f(integer)"),
        ]);
        let there = of(&[("table", "", "public.a"), ("column", "public.a", "id")]);
        assert_eq!(
            apart(&here, &there),
            [
                "table public.new",
                "column added of public.a",
                "function public.f(integer)"
            ]
        );
        assert!(apart(&there, &here).is_empty());
    }
}
