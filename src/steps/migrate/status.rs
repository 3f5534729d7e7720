//! `migrate.status`: what migration tools have written down in the context's databases, as a look for runbooks too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asking::{Asking, Unasked, of_postgres};
use super::{graph as lock_of_graph, locks_of};
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::neo4j::migrations::{self as graph, GraphMigrations};
use crate::providers::postgres::Target;
use crate::providers::postgres::migrations::{
    Compared, Half, History, InvalidIndex, Lock, Sources, State, Tool, Unreadable, Unrecognised,
    Verdict, Way, histories, ids_and, invalid_indexes, sources, ways,
};
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
    pub without_history: Vec<&'static str>,
    /// The locks that are held, by their ids.
    pub held: Vec<String>,
    /// What Neo4j holds of migrations; null if the context has no Neo4j, or it could not be asked.
    pub neo4j: Option<GraphMigrations>,
    /// What could not be asked, so that nothing is known of it.
    pub unasked: Vec<Unasked>,
}

/// Whose source files are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A tool's of Postgres.
    Postgres(Tool),
    /// Those of neo4j-migrations.
    Graph,
}

impl Whose {
    /// The tools that there are, as a sentence has them.
    pub fn all() -> String {
        ids_and(graph::TOOL)
    }
}

impl FromStr for Whose {
    type Err = Error;

    fn from_str(id: &str) -> Result<Whose> {
        if id == graph::TOOL {
            return Ok(Whose::Graph);
        }
        Tool::of(id).map(Whose::Postgres).ok_or_else(|| {
            Error::input(format!("there is no migration tool `{id}`"))
                .hint(format!("They are {}.", Whose::all()))
        })
    }
}

/// `migrate status`: the tools that manage each database.
pub async fn status(world: &World, folders: &[(Whose, PathBuf)]) -> Result<Status> {
    let (mut given, mut of_graph) = (Vec::new(), None);
    for (whose, folder) in folders {
        match whose {
            Whose::Postgres(tool) => given.push((*tool, sources(*tool, folder)?)),
            Whose::Graph => of_graph = Some(graph::sources(folder)?),
        }
    }
    let mut status = Status::default();
    let mut asking = Asking::default();
    if world.has(Store::Postgres) || !world.has(Store::Neo4j) {
        for database in world.postgres_databases()? {
            let read = of_database(world, &database, &given).await;
            if let Some(read) = asking.took(&of_postgres(&database.database), read) {
                status.tools.extend(read.tools);
                status.unreadable.extend(read.unreadable);
                status.unrecognised.extend(read.unrecognised);
                status.invalid_indexes.extend(read.invalid_indexes);
                status.held.extend(read.held);
            }
        }
    }
    if world.has(Store::Neo4j) {
        status.neo4j = asking.took("Neo4j", graph::migrations(world.neo4j()?).await);
        if let Some(found) = &mut status.neo4j {
            let both = of_graph.as_ref().zip(found.history.as_ref());
            found.sources = both.map(|(files, history)| files.compare(history));
        }
        let lock = status.neo4j.as_ref().and_then(|g| g.lock.as_ref());
        let held = lock.filter(|l| lock_of_graph::verdict(l).is_some());
        status.held.extend(held.map(|l| l.id.clone()));
    }
    status.unasked = asking.done()?;
    let has = |tool: &Tool| status.tools.iter().any(|t| t.history.tool == *tool);
    let without = given.iter().map(|(tool, _)| *tool).filter(|t| !has(t));
    let without = without.map(Tool::name);
    let compared = status.neo4j.as_ref().is_some_and(|g| g.sources.is_some());
    let graph = (of_graph.is_some() && !compared).then_some(graph::TOOL);
    status.without_history = without.chain(graph).collect();
    Ok(status)
}

async fn of_database(
    world: &World,
    database: &Target,
    given: &[(Tool, Sources)],
) -> Result<Status> {
    let found = locks_of(world, database).await?;
    let histories = histories(database).await?;
    let held = found.locks.iter().filter(|l| l.verdict.is_some());
    let mut status = Status {
        unreadable: found.unreadable,
        unrecognised: histories.unrecognised,
        invalid_indexes: invalid_indexes(database).await?,
        held: held.map(|l| l.id.clone()).collect(),
        ..Status::default()
    };
    status.unreadable.extend(histories.unreadable);
    let all = &histories.known;
    let alone = |a: &History| {
        let beside = |b: &&History| (a.tool, &a.schema) == (b.tool, &b.schema);
        all.iter().filter(beside).count() == 1
    };
    let alone: Vec<bool> = all.iter().map(alone).collect();
    for (history, alone) in histories.known.into_iter().zip(alone) {
        let mut own: Vec<&Lock> = found.locks.iter().filter(|l| l.is_of(&history)).collect();
        if own.is_empty() && alone {
            own = only(&found.locks, &history);
        }
        let own = own.into_iter();
        let locks: Vec<Locked> = own
            .map(|l| Locked {
                id: l.id.clone(),
                state: l.state,
                verdict: l.verdict,
            })
            .collect();
        let files = given.iter().find(|(tool, _)| *tool == history.tool);
        let files = files.map(|(_, files)| files);
        let compared = files.map(|f| f.compare(&history));
        let half_applied = match (files, &compared) {
            (Some(files), Some(c)) => files.half_applied(database, &history, c).await?,
            _ => Vec::new(),
        };
        // Of several locks the one that is held, and of those the one whose holder is seen.
        let lock = locks.into_iter().max_by_key(|l| l.verdict);
        status.tools.push(Managed {
            applied: history.applied(),
            ways: proposals(&history, files, &half_applied, world),
            history,
            lock,
            sources: compared,
            half_applied,
        });
    }
    Ok(status)
}

/// The only lock of a tool in the schema of its only history there, whatever both are called.
fn only<'a>(locks: &'a [Lock], history: &History) -> Vec<&'a Lock> {
    let beside = |l: &&Lock| {
        let row = &l.row;
        let of = (history.tool, &history.database, &history.schema);
        row.key.is_none() && (row.tool, &row.database, &row.schema) == of
    };
    let mut all: Vec<&Lock> = locks.iter().filter(beside).collect();
    let tables = |l: &&Lock| l.row.table != all[0].row.table;
    if all.iter().any(tables) {
        all.clear();
    }
    all
}

/// Of the first migration that failed, is half applied, or is pending and seems to be there in part.
fn proposals(
    history: &History,
    files: Option<&Sources>,
    half_applied: &[Half],
    world: &World,
) -> Vec<Way> {
    let written = history.half.first().or(history.failed.first());
    let seen = half_applied.iter().find(|h| h.pending);
    let name = match (written, seen) {
        (Some(written), _) => &written.name,
        (None, Some(half)) => &half.file,
        (None, None) => return Vec::new(),
    };
    ways(history, files, name, &world.context)
}

/// Arguments of `migrate.status`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StatusArgs {
    /// The folder of a tool's source files, of Liquibase its changelog, by the tool's name: `{sqlx: migrations}`. Without it nothing is said of what is pending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, PathBuf>,
}

/// The step kind `migrate.status`.
pub struct ShowStatus;

#[async_trait]
impl Look<World> for ShowStatus {
    const KIND: &'static str = "migrate.status";
    const SUMMARY: &'static str = "Shows what migration tools have written down: `result.failed`, `result.half` (begun, and not known to have ended), `result.held` (locks) and `result.invalid_indexes` are numbers; `result.pending` too, if source files are given";
    type Args = StatusArgs;

    fn title(&self, _: &StatusArgs) -> String {
        "look what migration tools have applied, and what failed".to_owned()
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &StatusArgs) -> Result<Observed> {
        let mut folders = Vec::new();
        for (id, folder) in &args.sources {
            folders.push((id.parse::<Whose>()?, folder.clone()));
        }
        let status = status(cx.world, &folders).await?;
        Ok(Observed::of(summary(&status)))
    }
}

fn summary(status: &Status) -> Value {
    let of = |word: &str| -> i64 {
        let counts = status.tools.iter().map(|t| t.history.outcomes.get(word));
        counts.map(|n| n.copied().unwrap_or(0)).sum()
    };
    let tools: Vec<Value> = status
        .tools
        .iter()
        .map(|t| {
            json!({
                "tool": t.history.tool,
                "history": format!("{}:{}.{}", t.history.database, t.history.schema, t.history.table),
                "applied": t.applied,
                "last": t.history.last.as_ref().map(|l| &l.name),
                "failed": t.history.failed.iter().map(|f| &f.name).collect::<Vec<_>>(),
                "half": t.history.half.iter().map(|h| &h.name).collect::<Vec<_>>(),
                "lock": t.lock.as_ref().and_then(|l| l.verdict),
                "pending": t.sources.as_ref().map(|s| &s.pending),
            })
        })
        .collect();
    let compared = status.tools.iter().filter_map(|t| t.sources.as_ref());
    let in_graph = status.neo4j.as_ref().and_then(|g| g.sources.as_ref());
    let compared = compared
        .map(|c| c.pending.len())
        .chain(in_graph.map(|c| c.pending.len()));
    let compared: Vec<usize> = compared.collect();
    let pending = (!compared.is_empty()).then(|| compared.iter().sum::<usize>());
    let graph = status.neo4j.as_ref();
    let graph_lock = graph.and_then(|g| g.lock.as_ref());
    let graph_held = graph_lock.and_then(lock_of_graph::verdict);
    let history = graph.and_then(|g| g.history.as_ref());
    json!({
        "tools": tools,
        "failed": of("failed"),
        "half": of("half"),
        "held": status.held.len(),
        "invalid_indexes": status.invalid_indexes.len(),
        "pending": pending,
        "unreadable": status.unreadable.len(),
        "unrecognised": status.unrecognised.len(),
        "unasked": status.unasked.iter().map(Unasked::words).collect::<Vec<_>>(),
        "neo4j": history.map(|h| json!({
            "applied": h.applied.len(),
            "last": h.applied.last().map(|a| &a.name),
            "broken": h.broken,
            "pending": in_graph.map(|c| &c.pending),
            "lock": graph_held,
        })),
    })
}
