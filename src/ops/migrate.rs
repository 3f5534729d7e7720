//! Migrations: what their tools have written down, who blocks whom, and what is done about a lock, as a plan.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::backup::spec;
use crate::engine::plan::{Spec, StepSpec};
use crate::error::{Error, NOT_FOUND, Result};
use crate::identity::Store;
use crate::providers::neo4j::transactions::{Transaction, transactions};
use crate::providers::postgres::blockers::{Blockers, LONG, blockers};
use crate::providers::postgres::migrations::{
    Compared, Half, History, InvalidIndex, LOCK_IN_USE, Lock, Locks, Sources, State, Tool,
    Unreadable, Unrecognised, Verdict, Way, all_names, histories, invalid_indexes, sources, ways,
};
use crate::steps::migrate::{ClearLockArgs, all_read, blocked, find, locks};
use crate::steps::unblock::{self, UnblockArgs};
use crate::steps::world::World;

/// A migration tool on a database: what it has written down, and its lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Managed {
    /// Its history.
    pub history: History,
    /// How many migrations count as applied; null of a tool that writes down only how far the database is.
    pub applied: Option<i64>,
    /// Its lock; null if the tool's lock table is not there, or the tool takes no lock.
    pub lock: Option<Locked>,
    /// What its source files say; null unless they are given.
    pub sources: Option<Compared>,
    /// What of a migration that may be half applied is in the catalogue; empty unless its source files are given and are SQL.
    pub half_applied: Vec<Half>,
    /// What can be done about a migration that failed or is half applied.
    pub ways: Vec<Way>,
}

/// Where a tool's lock stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Locked {
    /// Names it on the command line.
    pub id: String,
    /// Whether it is held.
    pub state: State,
    /// What is known of the holder; null if nobody holds it.
    pub verdict: Option<Verdict>,
}

/// What the migration tools of the context's databases say, and what could not be read.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// A line for each history table that was found.
    pub tools: Vec<Managed>,
    /// History and lock tables that are there and could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Tables that are named like a history, and whose columns are of no tool that is known.
    pub unrecognised: Vec<Unrecognised>,
    /// Indexes that queries do not use, because building them was broken off or goes on.
    pub invalid_indexes: Vec<InvalidIndex>,
    /// Tools whose source files were given, and of which no database has a history that can be read.
    pub without_history: Vec<Tool>,
}

/// `migrate status`: the tools that manage each database.
pub async fn status(world: &World, folders: &[(Tool, PathBuf)]) -> Result<Status> {
    let mut given = Vec::new();
    for (tool, folder) in folders {
        given.push((*tool, sources(*tool, folder)?));
    }
    let found = locks(world).await?;
    let mut status = Status {
        unreadable: found.unreadable,
        ..Status::default()
    };
    for database in world.postgres_databases()? {
        let histories = histories(&database).await?;
        status.unreadable.extend(histories.unreadable);
        status.unrecognised.extend(histories.unrecognised);
        let invalid = invalid_indexes(&database).await?;
        status.invalid_indexes.extend(invalid);
        for history in histories.known {
            let own = |l: &&Lock| is_own(l, &history);
            let lock = found.locks.iter().find(own).map(|l| Locked {
                id: l.id.clone(),
                state: l.state,
                verdict: l.verdict,
            });
            let files = given.iter().find(|(tool, _)| *tool == history.tool);
            let files = files.map(|(_, files)| files);
            let compared = files.map(|f| f.compare(&history));
            let half_applied = match (files, &compared) {
                (Some(files), Some(c)) => files.half_applied(&database, &history, c).await?,
                _ => Vec::new(),
            };
            status.tools.push(Managed {
                applied: history.applied(),
                ways: proposals(&history, files, compared.as_ref(), &half_applied, world),
                history,
                lock,
                sources: compared,
                half_applied,
            });
        }
    }
    let has = |tool: &Tool| status.tools.iter().any(|t| t.history.tool == *tool);
    let without = given.iter().map(|(tool, _)| *tool).filter(|t| !has(t));
    status.without_history = without.collect();
    Ok(status)
}

/// Of the first migration that failed, is half applied, or is pending and seems to be there in part.
fn proposals(
    history: &History,
    files: Option<&Sources>,
    compared: Option<&Compared>,
    half_applied: &[Half],
    world: &World,
) -> Vec<Way> {
    let written = history.half.first().or(history.failed.first());
    let seen = half_applied.iter().find(|h| h.pending);
    let pending = compared.and_then(|c| c.pending.first());
    let name = match (written, seen, pending) {
        (Some(written), _, _) => &written.name,
        (None, Some(_), Some(pending)) => pending,
        _ => return Vec::new(),
    };
    ways(history, files, name, &world.context)
}

fn is_own(lock: &Lock, history: &History) -> bool {
    let row = &lock.row;
    let name = history.table.to_lowercase();
    // A tool with a lock's table names it after its history's.
    let same = if row.key.is_some() {
        row.table == history.table
    } else {
        row.table.to_lowercase().replace("_lock", "lock") == format!("{name}lock")
    };
    let of = (history.tool, &history.database, &history.schema);
    same && (row.tool, &row.database, &row.schema) == of
}

/// What stands in the way in a context.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InTheWay {
    /// Of each Postgres database.
    pub databases: Vec<Blockers>,
    /// The transactions of Neo4j that are under way; null if it was not asked.
    pub neo4j: Option<Vec<Transaction>>,
    /// Why Neo4j, which the context has, could not be asked.
    pub neo4j_unmeasured: Option<String>,
}

/// `migrate blockers`: of each database of the context.
pub async fn who_blocks(world: &World) -> Result<InTheWay> {
    let mut seen = InTheWay {
        databases: Vec::new(),
        neo4j: None,
        neo4j_unmeasured: None,
    };
    if world.has(Store::Postgres) || !world.has(Store::Neo4j) {
        for database in world.postgres_databases()? {
            seen.databases.push(blockers(&database, LONG).await?);
        }
    }
    if world.has(Store::Neo4j) {
        match transactions(world.neo4j()?).await {
            Ok(found) => seen.neo4j = Some(found),
            Err(e) => seen.neo4j_unmeasured = Some(e.one_line()),
        }
    }
    Ok(seen)
}

/// `migrate blockers --end-root`: this root, or the only one.
pub async fn end_root(world: &World, named: Option<&str>) -> Result<Spec> {
    let root = unblock::chosen(unblock::roots(world, named).await?, named)?;
    let store = root.as_ref().map_or(Store::Postgres, unblock::Root::store);
    let title = match &root {
        Some(root) => format!("end {}, the root of a blocking tree", root.name()),
        None => "end the root of the blocking tree".to_owned(),
    };
    let args = UnblockArgs {
        root: root.map(|r| r.name()),
    };
    let stores = [store];
    let steps = vec![
        StepSpec::new("pinned", "context.pin", json!({"stores": stores}), &[]),
        StepSpec::new("unblock", "migrate.unblock", json!(args), &["pinned"]),
    ];
    spec(world, "migrate blockers", title, &stores, steps).await
}

/// `migrate lock clear`: this lock, or the only one that is held. Where none is held, that is what the plan says.
pub async fn clear(world: &World, id: Option<&str>, terminate: bool) -> Result<Spec> {
    let chosen = chosen(locks(world).await?, id)?;
    let mut steps = vec![StepSpec::new(
        "pinned",
        "context.pin",
        json!({"stores": [Store::Postgres]}),
        &[],
    )];
    for (n, lock) in chosen.iter().enumerate() {
        let verdict = lock.verdict.unwrap_or(Verdict::Dead).min(Verdict::Unknown);
        let args = ClearLockArgs {
            lock: Some(lock.id.clone()),
            verdict,
            terminate,
        };
        // A context that is yet to be pinned puts the step's own look off until then.
        if let Some(now) = lock.verdict
            && let Some(blocked) = blocked(lock, now, &args)
        {
            return Err(Error::new(&LOCK_IN_USE, blocked.reason).hint(blocked.hint));
        }
        let id = if n == 0 {
            "clear".to_owned()
        } else {
            format!("clear-{}", n + 1)
        };
        steps.push(StepSpec::new(
            id,
            "migrate.lock.clear",
            json!(args),
            &["pinned"],
        ));
    }
    let named: Vec<&str> = chosen.iter().map(|l| l.id.as_str()).collect();
    let title = format!("clear the migration lock {}", named.join(", "));
    spec(
        world,
        "migrate lock clear",
        title,
        &[Store::Postgres],
        steps,
    )
    .await
}

fn chosen(found: Locks, id: Option<&str>) -> Result<Vec<Lock>> {
    if let Some(id) = id {
        return find(found.locks, id).map(|lock| vec![lock]);
    }
    let held = found.locks.iter().filter(|l| l.verdict.is_some()).count();
    if held == 0 {
        all_read(&found)?;
    }
    if let ([], [lockless, ..]) = (found.locks.as_slice(), found.lockless.as_slice()) {
        let says = lockless.tool.lockless().unwrap_or_default();
        return Err(Error::new(
            &NOT_FOUND,
            "no database of the context has a migration lock",
        )
        .hint(format!("{says}.")));
    }
    let mut all = found.locks;
    if all.is_empty() {
        return Err(Error::new(
            &NOT_FOUND,
            "no database of the context has a migration tool's lock",
        )
        .hint(format!(
            "{} are known; other tools' locks are not looked for.",
            all_names()
        )));
    }
    if held > 1 {
        let ids: Vec<String> = all
            .iter()
            .filter(|l| l.verdict.is_some())
            .map(|l| format!("`{}`", l.id))
            .collect();
        return Err(Error::input(format!(
            "{held} migration locks are held, and none was named"
        ))
        .hint(format!("Choose one with `--lock ID`: {}.", ids.join(", "))));
    }
    if held == 1 {
        all.retain(|l| l.verdict.is_some());
    }
    Ok(all)
}
