//! Migrations: what their tools have written down, who blocks whom, and what is done about a lock, as a plan.

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
    History, LOCK_IN_USE, Lock, State, Verdict, histories,
};
use crate::steps::migrate::{ClearLockArgs, blocked, find, locks};
use crate::steps::unblock::{self, UnblockArgs};
use crate::steps::world::World;

/// A migration tool on a database: what it has written down, and its lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Managed {
    /// Its history.
    pub history: History,
    /// How many migrations count as applied.
    pub applied: i64,
    /// Its lock; null if the tool's lock table is not there.
    pub lock: Option<Locked>,
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

/// `migrate status`: the tools that manage each database.
pub async fn status(world: &World) -> Result<Vec<Managed>> {
    let locks = locks(world).await?;
    let mut all = Vec::new();
    for database in world.postgres_databases()? {
        for history in histories(&database).await? {
            let own = |l: &&Lock| {
                let row = &l.row;
                // Every tool names its lock's table after its history's.
                (row.tool, &row.database, &row.schema)
                    == (history.tool, &history.database, &history.schema)
                    && row.table.to_lowercase().replace("_lock", "lock")
                        == format!("{}lock", history.table.to_lowercase())
            };
            let lock = locks.iter().find(own).map(|l| Locked {
                id: l.id.clone(),
                state: l.state,
                verdict: l.verdict,
            });
            all.push(Managed {
                applied: history.applied(),
                history,
                lock,
            });
        }
    }
    Ok(all)
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

fn chosen(mut all: Vec<Lock>, id: Option<&str>) -> Result<Vec<Lock>> {
    if let Some(id) = id {
        return find(all, id).map(|lock| vec![lock]);
    }
    if all.is_empty() {
        return Err(Error::new(
            &NOT_FOUND,
            "no database of the context has a migration tool's lock table",
        )
        .hint("Liquibase and Knex are known; other tools' locks are not looked for."));
    }
    let held = all.iter().filter(|l| l.verdict.is_some()).count();
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
