//! neo4j-migrations: the chain of what it has applied, its lock and who may hold it; and the platform's own `(:Migration)` nodes.
//!
//! The lock is a node `(:__Neo4jMigrationsLock {id, name})`, committed before the first migration and deleted after the last. Its
//! name is the same for every holder, and nothing says who that is. The tool's command line names its connections
//! `neo4j-migrations/VERSION`; within another program they have the driver's name, as any other connection of that program.

mod sources;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::{LOCK_MOVED, LOCK_NOT_TAKEABLE, Target, server};
use crate::capture::Trouble;
use crate::consent::Consent;
use crate::error::{Error, Result};
use crate::wait::Deadline;

pub use sources::{GraphCompared, GraphSources, sources};

/// How people call the tool.
pub const TOOL: &str = "neo4j-migrations";
/// The label of the nodes that the tool writes down what it has applied with.
pub const HISTORY_LABEL: &str = "__Neo4jMigration";

const LOCK_LABEL: &str = "__Neo4jMigrationsLock";
const LOGIN: Duration = Duration::from_secs(15);
/// So many of the platform's own nodes are shown.
const MOST_OWN: i64 = 20;
/// What our own look is called.
const TASK: &str = "look at migrations";

/// The lock of neo4j-migrations, and who may hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GraphLock {
    /// Names it on the command line: `neo4j:DATABASE:__Neo4jMigrationsLock`.
    pub id: String,
    /// The database.
    pub database: String,
    /// Its nodes; none if nobody holds it. A constraint lets there be one, unless somebody dropped it.
    pub nodes: Vec<LockNode>,
    /// Connections under the tool's own name.
    pub clients: Vec<Client>,
    /// What is known of the holder, as Neo4j and this user may see it.
    pub observations: Vec<String>,
}

/// A lock's node, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockNode {
    /// Its element id.
    pub node: String,
    /// Its properties as text: `id` is each holder's own, `name` everybody's.
    pub properties: BTreeMap<String, String>,
}

impl LockNode {
    /// As a backup notes it. In a restored copy the node is another, and its properties are the same.
    pub fn trouble(&self, database: &str) -> Trouble {
        Trouble::Lock {
            database: database.to_owned(),
            tool: TOOL.to_owned(),
            table: format!("(:{LOCK_LABEL})"),
            key: self.properties.get("id").cloned().unwrap_or_default(),
            holder: None,
            since: None,
        }
    }
}

/// A connection, as `dbms.listConnections` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Client {
    /// Its id: `bolt-7`. A server that was restarted gives it anew.
    pub connection: String,
    /// When it was made: with the id, this names it for ever.
    pub since: String,
    /// What its client calls itself: `neo4j-migrations/2.17.3`.
    pub agent: String,
    /// Where its client is.
    pub address: Option<String>,
    /// Its user.
    pub user: String,
}

impl Client {
    /// As a person reads it.
    pub fn words(&self) -> String {
        let from = self.address.as_deref().unwrap_or("an unknown address");
        format!(
            "{} of `{}` as `{}` from {from}, since {}",
            self.connection, self.agent, self.user, self.since
        )
    }

    fn is_tool(&self) -> bool {
        self.agent.starts_with("neo4j-migrations/")
    }
}

/// What neo4j-migrations has written down in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GraphHistory {
    /// The database.
    pub database: String,
    /// The migrations in the chain, in the order in which they were applied; the baseline is none.
    pub applied: Vec<GraphApplied>,
    /// What is wrong with the chain: a migration that hangs from nothing, or two behind one.
    pub broken: Vec<String>,
}

/// A migration in the chain `(:__Neo4jMigration)-[:MIGRATED_TO]->(:__Neo4jMigration)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GraphApplied {
    /// Its version.
    pub version: String,
    /// Its version, and what it is called.
    pub name: String,
    /// Its file or class.
    pub source: Option<String>,
    /// `CYPHER`, `JAVA`, `CATALOG`
    pub kind: Option<String>,
    /// As the tool computed it when it was applied; of a repeatable one when it last ran.
    pub checksum: Option<String>,
    /// When it was applied, by the clock of the tool's machine; of a repeatable one when it last ran.
    pub at: Option<String>,
    /// The account on the tool's machine.
    pub by: Option<String>,
    /// The user of Neo4j.
    pub connected_as: Option<String>,
    /// The target that it belongs to, where one database keeps the history of several.
    pub target: Option<String>,
}

/// The platform's own `(:Migration)` nodes. What their properties mean is not known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct OwnNodes {
    /// The database.
    pub database: String,
    /// How many there are.
    pub nodes: i64,
    /// The properties of at most 20 of them, as text, cut at 200 characters; null for what is no single value.
    pub shown: Vec<BTreeMap<String, Option<String>>>,
}

/// What a database holds of migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GraphMigrations {
    /// What neo4j-migrations has applied; null if it left no trace.
    pub history: Option<GraphHistory>,
    /// What its files say; null unless they are given and there is a history.
    pub sources: Option<GraphCompared>,
    /// Its lock; null if it left no trace.
    pub lock: Option<GraphLock>,
    /// The platform's own nodes; null if there are none.
    pub own: Option<OwnNodes>,
}

/// Whether an id is that of a lock in Neo4j.
pub fn is_graph_lock(id: &str) -> bool {
    id.starts_with("neo4j:") && id.ends_with(&format!(":{LOCK_LABEL}"))
}

/// What a database holds of migrations.
pub async fn migrations(target: &Target) -> Result<GraphMigrations> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let found = async {
        let history = history(&mut connection).await?;
        let lock = lock_of(&mut connection).await?;
        let own = own(&mut connection).await?;
        Ok(GraphMigrations {
            history,
            sources: None,
            lock,
            own,
        })
    };
    let found = found.await;
    connection.close().await;
    found
}

/// The lock as a backup notes it, by a connection of the caller's; nothing if nobody holds it.
pub(super) async fn troubles(connection: &mut Connection, database: &str) -> Result<Vec<Trouble>> {
    Ok(nodes(connection)
        .await?
        .iter()
        .map(|node| node.trouble(database))
        .collect())
}

/// The tool's lock, held or not; `None` if the tool left no trace in the database.
pub async fn lock(target: &Target) -> Result<Option<GraphLock>> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let found = lock_of(&mut connection).await;
    connection.close().await;
    found
}

async fn asked(connection: &mut Connection, query: &str) -> Result<Vec<Vec<Value>>> {
    let none = Value::Map(Vec::new());
    connection.query(query, none, &Begin::read(TASK)).await
}

fn text(row: &[Value], at: usize) -> Option<String> {
    match row.get(at) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn properties(value: Option<&Value>) -> BTreeMap<String, Option<String>> {
    let Some(Value::List(pairs)) = value else {
        return BTreeMap::new();
    };
    let pair = |pair: &Value| match pair {
        Value::List(both) => Some((text(both, 0)?, text(both, 1))),
        _ => None,
    };
    pairs.iter().filter_map(pair).collect()
}

async fn nodes(connection: &mut Connection) -> Result<Vec<LockNode>> {
    let query = format!(
        "MATCH (l:{LOCK_LABEL}) RETURN elementId(l), [k IN keys(l) | [k, toStringOrNull(l[k])]] ORDER BY elementId(l) LIMIT 20"
    );
    let held = asked(connection, &query).await?;
    let node = |row: &Vec<Value>| {
        let all = properties(row.get(1)).into_iter();
        Some(LockNode {
            node: text(row, 0)?,
            properties: all.map(|(k, v)| (k, v.unwrap_or_default())).collect(),
        })
    };
    Ok(held.iter().filter_map(node).collect())
}

async fn lock_of(connection: &mut Connection) -> Result<Option<GraphLock>> {
    let nodes = nodes(connection).await?;
    let trace = "MATCH (m:__Neo4jMigration) RETURN 1 LIMIT 1";
    if nodes.is_empty() && asked(connection, trace).await?.is_empty() {
        return Ok(None);
    }
    let database = server::database(connection).await?.name;
    let mut lock = GraphLock {
        id: format!("neo4j:{database}:{LOCK_LABEL}"),
        database,
        nodes,
        clients: Vec::new(),
        observations: Vec::new(),
    };
    if !lock.nodes.is_empty() {
        around(connection, &mut lock).await?;
    }
    Ok(Some(lock))
}

/// Who is connected, as far as this user may see.
async fn around(connection: &mut Connection, lock: &mut GraphLock) -> Result<()> {
    let all = clients(connection).await?;
    let (tool, others): (Vec<Client>, Vec<Client>) = all.into_iter().partition(Client::is_tool);
    let seen = &mut lock.observations;
    for client in &tool {
        seen.push(format!("{}: under the tool's own name", client.words()));
    }
    if tool.is_empty() {
        seen.push(format!(
            "Neo4j shows this user no connection under the name of {TOOL}; it ends a connection whose client was killed, and learns of a machine that vanished only much later"
        ));
        let others = others.iter().filter(|c| !c.agent.starts_with("summitctl/"));
        match others.count() {
            0 => {}
            n => seen.push(format!(
                "other connections that it shows: {n}; the tool within another program has that program's name, and may connect again for each migration"
            )),
        }
        seen.push("the lock's node says neither who holds it nor since when".to_owned());
    }
    lock.clients = tool;
    Ok(())
}

async fn clients(connection: &mut Connection) -> Result<Vec<Client>> {
    let query = "CALL dbms.listConnections() YIELD connectionId, connectTime, userAgent, clientAddress, username
         RETURN connectionId, connectTime, userAgent, clientAddress, username ORDER BY connectTime";
    let rows = asked(connection, query).await?;
    let client = |row: &Vec<Value>| {
        Some(Client {
            connection: text(row, 0)?,
            since: text(row, 1)?,
            agent: text(row, 2).unwrap_or_default(),
            address: text(row, 3),
            user: text(row, 4).unwrap_or_default(),
        })
    };
    Ok(rows.iter().filter_map(client).collect())
}

async fn history(connection: &mut Connection) -> Result<Option<GraphHistory>> {
    let query = "MATCH (m:__Neo4jMigration)
         OPTIONAL MATCH (:__Neo4jMigration)-[r:MIGRATED_TO]->(m)
         WITH m, count(r) AS before, head(collect(r)) AS r
         OPTIONAL MATCH (m)-[again:REPEATED]->(m)
         WITH m, before, r, again ORDER BY again.at DESC
         WITH m, before, r, head(collect(again)) AS again
         RETURN m.version, m.description, m.source, m.type, toStringOrNull(coalesce(again.checksum, m.checksum)),
            toStringOrNull(coalesce(again.at, r.at)), coalesce(again.by, r.by), coalesce(again.connectedAs, r.connectedAs),
            m.migrationTarget, before, COUNT { (m)-[:MIGRATED_TO]->() }
         ORDER BY r.at, m.version LIMIT 20000";
    let rows = asked(connection, query).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let database = server::database(connection).await?.name;
    let (mut applied, mut broken) = (Vec::new(), Vec::new());
    for row in &rows {
        let version = text(row, 0).unwrap_or_else(|| "without a version".to_owned());
        let baseline = version == "BASELINE";
        match row.get(9) {
            Some(Value::Int(0)) if !baseline => {
                broken.push(format!("`{version}` hangs from no other migration"));
            }
            Some(Value::Int(n)) if *n > 1 => {
                broken.push(format!("`{version}` hangs from {n} others"));
            }
            _ => {}
        }
        if let Some(Value::Int(n)) = row.get(10)
            && *n > 1
        {
            broken.push(format!("{n} migrations hang from `{version}`"));
        }
        if !baseline {
            let name = match text(row, 1) {
                Some(words) => format!("{version} {words}"),
                None => version.clone(),
            };
            applied.push(GraphApplied {
                version,
                name,
                source: text(row, 2),
                kind: text(row, 3),
                checksum: text(row, 4),
                at: text(row, 5),
                by: text(row, 6),
                connected_as: text(row, 7),
                target: text(row, 8),
            });
        }
    }
    Ok(Some(GraphHistory {
        database,
        applied,
        broken,
    }))
}

async fn own(connection: &mut Connection) -> Result<Option<OwnNodes>> {
    let count = asked(connection, "MATCH (m:Migration) RETURN count(m)").await?;
    let nodes = match count.first().and_then(|row| row.first()) {
        Some(Value::Int(n)) if *n > 0 => *n,
        _ => return Ok(None),
    };
    let query = format!(
        "MATCH (m:Migration) WITH m LIMIT {MOST_OWN} RETURN [k IN keys(m) | [k, left(toStringOrNull(m[k]), 200)]]"
    );
    let rows = asked(connection, &query).await?;
    Ok(Some(OwnNodes {
        database: server::database(connection).await?.name,
        nodes,
        shown: rows.iter().map(|row| properties(row.first())).collect(),
    }))
}

/// Clears the lock if its nodes are still exactly those that were shown, all in one transaction; otherwise nothing is done.
pub async fn free(target: &Target, nodes: &[LockNode], _: &Consent) -> Result<()> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let done = free_by(&mut connection, nodes).await;
    connection.close().await;
    done
}

async fn free_by(connection: &mut Connection, nodes: &[LockNode]) -> Result<()> {
    // Setting a label that is there changes nothing, and locks the node: what is compared afterwards stays so.
    let query = format!(
        "UNWIND $nodes AS shown
         MATCH (l:{LOCK_LABEL}) WHERE elementId(l) = shown.node
         SET l:{LOCK_LABEL}
         WITH l, shown.properties AS was
         WHERE size(keys(l)) = size(keys(was)) AND all(k IN keys(was) WHERE toStringOrNull(l[k]) = was[k])
         WITH collect(l) AS same WHERE size(same) = size($nodes)
         FOREACH (l IN same | DELETE l)
         RETURN size(same)"
    );
    let shown = nodes.iter().map(|node| {
        let was = node.properties.iter();
        let was = was.map(|(k, v)| (k.clone(), Value::from(v.as_str())));
        Value::map([
            ("node", Value::from(node.node.as_str())),
            ("properties", Value::Map(was.collect())),
        ])
    });
    let parameters = Value::map([("nodes", Value::List(shown.collect()))]);
    let begin = Begin::write("clear a migration lock");
    let moved = || {
        Error::new(
            &LOCK_MOVED,
            format!("the node `(:{LOCK_LABEL})` is no longer the one that was shown, so nothing was changed"),
        )
        .hint("Look at it again with `summitctl migrate lock show`.")
    };
    match connection.query(&query, parameters, &begin).await {
        Ok(rows) if rows.is_empty() => Err(moved()),
        Ok(_) => Ok(()),
        // Somebody deleted it between the two looks.
        Err(e) if e.one_line().contains("EntityNotFound") => Err(moved().caused_by(e)),
        Err(e) => Err(e),
    }
}

/// Takes the lock as the tool does, in a transaction that is rolled back.
pub async fn prove_takeable(target: &Target, was: &[LockNode]) -> Result<()> {
    let name = was.iter().find_map(|node| node.properties.get("name"));
    let parameters = Value::map([
        ("id", Value::from("summitctl: a proof")),
        ("name", name.map_or("John Doe", String::as_str).into()),
    ]);
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let proved = async {
        connection
            .begin(&Begin::write("prove that a lock can be taken"))
            .await?;
        let query = format!("CREATE (l:{LOCK_LABEL} {{id: $id, name: $name}}) RETURN 1");
        let taken = match connection.run(&query, parameters).await {
            Ok(records) => records.all().await.map(drop),
            Err(e) => Err(e),
        };
        connection.rollback().await?;
        taken
    };
    let proved = proved.await;
    connection.close().await;
    proved.map_err(|e| {
        Error::new(
            &LOCK_NOT_TAKEABLE,
            format!("the lock of {TOOL} was cleared, and cannot be taken"),
        )
        .caused_by(e)
        .hint("Somebody may have taken it already: see `summitctl migrate lock show`.")
    })
}
