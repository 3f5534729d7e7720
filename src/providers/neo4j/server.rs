//! Facts about a server and a database: health, identity, the marker, and counts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::rows::{MARKER_LABEL, quoted, unexpected_record};
use super::schema;
use super::target::Target;
use super::{UNREACHABLE, UNSUPPORTED_VERSION};
use crate::error::{Error, Result};
use crate::identity::{Identity, Store};
use crate::time::Span;
use crate::wait::Deadline;

/// How long a login may take where the caller gives no deadline.
pub(super) const LOGIN: Duration = Duration::from_secs(30);

/// What a healthy server said.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The version it names, such as `5.26.16`.
    pub version: String,
    /// From the first packet to the answer of a query, login included.
    pub latency: Duration,
    /// `edition`, `bolt`, `tls`, `database`, `round-trip-ms`.
    pub facts: BTreeMap<String, serde_json::Value>,
}

/// How much a database holds, without our marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Preview {
    /// The database's name.
    pub database: String,
    /// Nodes.
    pub nodes: u64,
    /// Relationships.
    pub relationships: u64,
    /// Nodes of each label; a node with two labels counts in both.
    pub labels: BTreeMap<String, u64>,
    /// Relationships of each type.
    pub types: BTreeMap<String, u64>,
    /// Constraints.
    pub constraints: u64,
    /// Indexes that no constraint owns, the two lookup indexes of every database included.
    pub indexes: u64,
}

impl Preview {
    /// Whether a restore may write here: nothing but our marker and the default lookup indexes.
    pub fn is_empty(&self, lookup_indexes: u64) -> bool {
        self.nodes == 0
            && self.relationships == 0
            && self.constraints == 0
            && self.indexes == lookup_indexes
    }
}

/// The database as the server names it.
pub(super) struct Database {
    pub(super) id: String,
    pub(super) name: String,
}

fn none() -> Value {
    Value::Map(Vec::new())
}

/// Connects, logs in, and asks the server what it is.
pub async fn ping(target: &Target, deadline: Deadline) -> Result<Health> {
    let asked = Instant::now();
    let work = async {
        let mut connection = Connection::open(target, deadline).await?;
        let begin = Begin::read("ping");
        let sent = Instant::now();
        connection.query("RETURN 1", none(), &begin).await?;
        let (round_trip, latency) = (sent.elapsed(), asked.elapsed());
        let (version, edition) = version(&mut connection).await?;
        let database = database(&mut connection).await?;
        let facts = BTreeMap::from([
            ("edition".to_owned(), json!(edition)),
            ("bolt".to_owned(), json!(format!("5.{}", connection.minor))),
            ("tls".to_owned(), json!(target.tls.word())),
            ("database".to_owned(), json!(database.name)),
            (
                "round-trip-ms".to_owned(),
                json!(round_trip.as_secs_f64() * 1e3),
            ),
        ]);
        connection.close().await;
        Ok(Health {
            version,
            latency,
            facts,
        })
    };
    match tokio::time::timeout(deadline.left(), work).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(
            &UNREACHABLE,
            format!(
                "Neo4j at `{}` did not answer within {}",
                target.endpoint(),
                Span(deadline.allowed())
            ),
        )),
    }
}

/// What this target is: `database-id`, `endpoint`, and `marker` if one was planted.
pub async fn identify(target: &Target) -> Result<Identity> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let identity = identity(&mut connection, target).await?;
    connection.close().await;
    Ok(identity)
}

/// Plants the marker, or changes it: a node `(:__SummitctlMarker {id})`.
pub async fn plant_marker(target: &Target, marker: &str) -> Result<()> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let query = format!("MERGE (m:{}) SET m.id = $id", quoted(MARKER_LABEL));
    let parameters = Value::map([("id", Value::from(marker))]);
    connection
        .query(&query, parameters, &Begin::write("plant marker"))
        .await?;
    connection.close().await;
    Ok(())
}

/// The planted marker, if there is one.
pub async fn read_marker(target: &Target) -> Result<Option<String>> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let found = marker(&mut connection).await?;
    connection.close().await;
    Ok(found)
}

/// Counts from the server's count store: cheap, whatever the size.
pub async fn preview(target: &Target) -> Result<Preview> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let preview = preview_over(&mut connection).await?;
    connection.close().await;
    Ok(preview)
}

pub(super) async fn preview_over(connection: &mut Connection) -> Result<Preview> {
    let database = database(connection).await?;
    let begin = Begin::read("preview");
    let nodes = count(connection, "MATCH (n) RETURN count(n)").await?;
    let relationships = count(connection, "MATCH ()-[r]->() RETURN count(r)").await?;
    let mut labels = BTreeMap::new();
    let mut markers = 0;
    let found = connection
        .query("CALL db.labels() YIELD label RETURN label", none(), &begin)
        .await?;
    for label in strings(found)? {
        let counted = count(
            connection,
            &format!("MATCH (n:{}) RETURN count(n)", quoted(&label)),
        )
        .await?;
        if label == MARKER_LABEL {
            markers = counted;
        } else if counted > 0 {
            labels.insert(label, counted);
        }
    }
    let mut types = BTreeMap::new();
    let query = "CALL db.relationshipTypes() YIELD relationshipType AS t RETURN t";
    let found = connection.query(query, none(), &begin).await?;
    for kind in strings(found)? {
        let query = format!("MATCH ()-[r:{}]->() RETURN count(r)", quoted(&kind));
        let counted = count(connection, &query).await?;
        if counted > 0 {
            types.insert(kind, counted);
        }
    }
    let items = schema::read(connection, &begin).await?.items;
    let constraints = items
        .iter()
        .filter(|i| i.kind == schema::Kind::Constraint)
        .count() as u64;
    Ok(Preview {
        database: database.name,
        nodes: nodes.saturating_sub(markers),
        relationships,
        labels,
        types,
        constraints,
        indexes: items.len() as u64 - constraints,
    })
}

pub(super) async fn identity(connection: &mut Connection, target: &Target) -> Result<Identity> {
    let database = database(connection).await?;
    let marker = marker(connection).await?;
    Ok(Identity::new(
        Store::Neo4j,
        [
            ("database-id", database.id),
            ("endpoint", target.endpoint()),
            ("marker", marker.unwrap_or_default()),
        ],
    ))
}

pub(super) async fn database(connection: &mut Connection) -> Result<Database> {
    let query = "CALL db.info() YIELD id, name RETURN id, name";
    let rows = connection
        .query(query, none(), &Begin::read("identify"))
        .await?;
    match rows.first().map(Vec::as_slice) {
        Some([Value::String(id), Value::String(name)]) => Ok(Database {
            id: id.clone(),
            name: name.clone(),
        }),
        _ => Err(unexpected_record()),
    }
}

/// Version and edition.
pub(super) async fn version(connection: &mut Connection) -> Result<(String, String)> {
    let query = "CALL dbms.components() YIELD name, versions, edition \
                 WHERE name = 'Neo4j Kernel' RETURN versions[0], edition";
    let rows = connection
        .query(query, none(), &Begin::read("version"))
        .await?;
    let Some([Value::String(version), Value::String(edition)]) = rows.first().map(Vec::as_slice)
    else {
        return Err(unexpected_record());
    };
    // Bolt 5.0 to 5.4 is spoken by Neo4j 5 and by the calendar versions after it.
    let major = version
        .split('.')
        .next()
        .and_then(|m| m.parse::<u32>().ok());
    if major.is_none_or(|major| major < 5) {
        return Err(Error::new(
            &UNSUPPORTED_VERSION,
            format!("Neo4j {version} is not supported"),
        )
        .hint("Neo4j 5 is supported."));
    }
    Ok((version.clone(), edition.clone()))
}

/// The ids of our marker nodes.
pub(super) async fn marker_ids(connection: &mut Connection) -> Result<Vec<i64>> {
    let query = format!("MATCH (m:{}) RETURN id(m)", quoted(MARKER_LABEL));
    let found = connection
        .query(&query, Value::Map(Vec::new()), &Begin::read("read marker"))
        .await?;
    Ok(found
        .iter()
        .filter_map(|row| row.first().and_then(Value::as_int))
        .collect())
}

async fn marker(connection: &mut Connection) -> Result<Option<String>> {
    let query = format!(
        "MATCH (m:{}) RETURN coalesce(toString(m.id), '') AS id ORDER BY id",
        quoted(MARKER_LABEL)
    );
    let rows = connection
        .query(&query, none(), &Begin::read("read marker"))
        .await?;
    let found = strings(rows)?;
    // Several markers are a mixture of two databases: no pin has such a value.
    Ok((!found.is_empty()).then(|| found.join(",")))
}

async fn count(connection: &mut Connection, query: &str) -> Result<u64> {
    let rows = connection
        .query(query, none(), &Begin::read("count"))
        .await?;
    match rows.first().map(Vec::as_slice) {
        Some([Value::Int(n)]) => u64::try_from(*n).map_err(|_| unexpected_record()),
        _ => Err(unexpected_record()),
    }
}

fn strings(rows: Vec<Vec<Value>>) -> Result<Vec<String>> {
    rows.into_iter()
        .map(|row| match <[Value; 1]>::try_from(row) {
            Ok([Value::String(text)]) => Ok(text),
            _ => Err(unexpected_record()),
        })
        .collect()
}
