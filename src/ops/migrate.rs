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
use crate::providers::postgres::migrations::{LOCK_IN_USE, Verdict, all_names};
use crate::steps::migrate::asking::{Asking, Unasked, of_postgres};
pub use crate::steps::migrate::status::{Managed, Status, status};
use crate::steps::migrate::{AnyLock, ClearLockArgs, Found, all_read, blocked, find, graph, locks};
use crate::steps::unblock::{self, UnblockArgs};
use crate::steps::world::World;

/// What stands in the way in a context.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InTheWay {
    /// Of each Postgres database.
    pub databases: Vec<Blockers>,
    /// The transactions of Neo4j that are under way; null if it was not asked.
    pub neo4j: Option<Vec<Transaction>>,
    /// What could not be asked, so that nothing is known of it.
    pub unasked: Vec<Unasked>,
}

/// `migrate blockers`: of each database of the context.
pub async fn who_blocks(world: &World) -> Result<InTheWay> {
    let mut databases = Vec::new();
    let mut asking = Asking::default();
    if world.has(Store::Postgres) || !world.has(Store::Neo4j) {
        for database in world.postgres_databases()? {
            let seen = blockers(&database, LONG).await;
            databases.extend(asking.took(&of_postgres(&database.database), seen));
        }
    }
    let mut neo4j = None;
    if world.has(Store::Neo4j) {
        neo4j = asking.took("Neo4j", transactions(world.neo4j()?).await);
    }
    Ok(InTheWay {
        databases,
        neo4j,
        unasked: asking.done()?,
    })
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
    let mut stores: Vec<Store> = chosen.iter().map(AnyLock::store).collect();
    stores.dedup();
    let mut steps = vec![StepSpec::new(
        "pinned",
        "context.pin",
        json!({"stores": stores}),
        &[],
    )];
    for (n, lock) in chosen.iter().enumerate() {
        let now = lock.verdict();
        let args = ClearLockArgs {
            lock: Some(lock.id().to_owned()),
            verdict: now.unwrap_or(Verdict::Dead).min(Verdict::Unknown),
            terminate,
        };
        // A context that is yet to be pinned puts the step's own look off until then.
        let why = now.and_then(|now| match lock {
            AnyLock::Row(lock) => blocked(lock, now, &args, &world.context),
            AnyLock::Graph(lock) => graph::blocked(lock, now, &args, &world.context),
        });
        if let Some(blocked) = why {
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
    let named: Vec<&str> = chosen.iter().map(AnyLock::id).collect();
    let title = format!("clear the migration lock {}", named.join(", "));
    spec(world, "migrate lock clear", title, &stores, steps).await
}

fn chosen(found: Found, id: Option<&str>) -> Result<Vec<AnyLock>> {
    if let Some(id) = id {
        return find(found, id).map(|lock| vec![lock]);
    }
    let rows = &found.postgres;
    let in_graph = found.graph.iter().filter_map(graph::verdict).count();
    let held = in_graph + rows.locks.iter().filter(|l| l.verdict.is_some()).count();
    if held == 0 {
        all_read(&found)?;
    }
    if let ([], [lockless, ..], None) = (
        rows.locks.as_slice(),
        rows.lockless.as_slice(),
        &found.graph,
    ) {
        let says = lockless.tool.lockless().unwrap_or_default();
        return Err(Error::new(
            &NOT_FOUND,
            "no database of the context has a migration lock",
        )
        .hint(format!("{says}.")));
    }
    let mut all = found.all();
    if all.is_empty() {
        return Err(Error::new(
            &NOT_FOUND,
            "no database of the context has a migration tool's lock",
        )
        .hint(format!(
            "{} are known, and neo4j-migrations; other tools' locks are not looked for.",
            all_names()
        )));
    }
    if held > 1 {
        let ids: Vec<String> = all
            .iter()
            .filter(|l| l.verdict().is_some())
            .map(|l| format!("`{}`", l.id()))
            .collect();
        return Err(Error::input(format!(
            "{held} migration locks are held, and none was named"
        ))
        .hint(format!("Choose one with `--lock ID`: {}.", ids.join(", "))));
    }
    if held == 1 {
        all.retain(|l| l.verdict().is_some());
    }
    Ok(all)
}
