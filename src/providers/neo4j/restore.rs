//! Writing a capture into an empty database: nodes, then relationships, then constraints and indexes.
//!
//! Rows are sent in batches bounded by bytes and by count, each one transaction; memory grows by the id map only (16
//! bytes a node). The fingerprints of what was read are compared with what the capture recorded, so a damaged part is
//! found even where its bytes were authentic.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::idmap::IdMap;
use super::rows::{Frames, Node, Relationship, quoted, unexpected_record, without_id};
use super::target::Target;
use super::verify::{PartKind, part_kind};
use super::{BAD_PART, INCONSISTENT, NOT_EMPTY, QUERY_FAILED, schema, server};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartSource};
use crate::error::{Context as _, Error, Result, TIMEOUT};
use crate::event::{Events, Unit};
use crate::time::Span;
use crate::wait::{Cancel, Deadline};

/// A batch's rows: with small rows, more gain nothing.
const BATCH_ROWS: usize = 5_000;
/// A batch's bytes, as framed: the server holds several times as much while the transaction is open.
const BATCH_BYTES: usize = 2 << 20;

const PROGRESS_EVERY: Duration = Duration::from_millis(100);
const POPULATION_PAUSE: Duration = Duration::from_millis(100);
/// Large indexes take hours; the caller can stop the wait.
const POPULATION_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// How a restore is made.
#[derive(Clone)]
pub struct RestoreOptions {
    /// The key of the fingerprints.
    pub key: FingerprintKey,
    /// Where progress goes.
    pub events: Events,
    /// Who may stop it.
    pub cancel: Cancel,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The fingerprint of each part as it was read from the capture, under the capture's names.
    pub parts: Vec<(String, Fingerprint)>,
    /// Which node stands for which: `fingerprints` needs it to compare the restored server.
    pub id_map: IdMap,
    /// What the reader should know, one line each.
    pub notes: Vec<String>,
}

/// Restores the Neo4j parts of `source` into the target's database, which must be empty (our marker does not count).
/// Interrupted, it leaves a database that is not empty: wipe it, or take a new one.
pub async fn restore(
    target: &Target,
    source: &dyn PartSource,
    options: &RestoreOptions,
) -> Result<Restored> {
    options.cancel.guard(run(target, source, options)).await
}

async fn run(
    target: &Target,
    source: &dyn PartSource,
    options: &RestoreOptions,
) -> Result<Restored> {
    let Parts {
        database,
        schema: schema_info,
        nodes,
        relationships,
    } = parts_of(source)?;
    let wanted = wanted_schema(source, &schema_info, options).await?;
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    refuse_unless_empty(&mut connection, target).await?;

    let (nodes_seen, id_map) =
        restore_nodes(&mut connection, source, &nodes, &database, options).await?;
    check(&nodes, &nodes_seen)?;
    let relationships_seen =
        restore_relationships(&mut connection, source, &relationships, &id_map, options).await?;
    check(&relationships, &relationships_seen)?;
    let notes = finish_schema(&mut connection, &schema_info, &wanted, options).await?;
    connection.close().await;
    Ok(Restored {
        parts: vec![
            (nodes.name, nodes_seen),
            (relationships.name, relationships_seen),
            (schema_info.name, schema::fingerprint(&wanted, &options.key)),
        ],
        id_map,
        notes,
    })
}

/// What the capture wants of constraints and indexes.
pub(super) async fn wanted_schema(
    source: &dyn PartSource,
    info: &PartInfo,
    options: &RestoreOptions,
) -> Result<Vec<schema::Item>> {
    let mut reader = source.open(&info.name).await?;
    let wanted = schema::parse(info, &reader.read_all().await?)?;
    check(info, &schema::fingerprint(&wanted, &options.key))?;
    Ok(wanted)
}

/// Makes constraints and indexes, and waits until they are populated; what the reader should know of them.
pub(super) async fn finish_schema(
    connection: &mut Connection,
    info: &PartInfo,
    wanted: &[schema::Item],
    options: &RestoreOptions,
) -> Result<Vec<String>> {
    restore_schema(connection, wanted, options).await?;
    let failed = schema::failed_at_source(info);
    await_indexes(connection, &failed, options).await
}

/// The parts of the one database that a capture holds.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) database: String,
    pub(super) schema: PartInfo,
    pub(super) nodes: PartInfo,
    pub(super) relationships: PartInfo,
}

pub(super) fn parts_of(source: &dyn PartSource) -> Result<Parts> {
    let mut found: BTreeMap<&'static str, PartInfo> = BTreeMap::new();
    let mut databases = std::collections::BTreeSet::new();
    for info in source.parts("neo4j/") {
        let Some((kind, database)) = part_kind(&info.name) else {
            return Err(Error::new(
                &BAD_PART,
                format!("the capture's part `{}` is of an unknown kind", info.name),
            ));
        };
        databases.insert(database.to_owned());
        let kind = match kind {
            PartKind::Schema => "schema",
            PartKind::Nodes => "nodes",
            PartKind::Relationships => "relationships",
            PartKind::Dump => "dump",
        };
        found.insert(kind, info);
    }
    if databases.len() > 1 {
        let names: Vec<String> = databases.into_iter().collect();
        return Err(Error::input(format!(
            "the capture holds several Neo4j databases: `{}`",
            names.join("`, `")
        )));
    }
    let mut take = |kind: &str| {
        found
            .remove(kind)
            .ok_or_else(|| Error::new(&BAD_PART, format!("the capture has no Neo4j part `{kind}`")))
    };
    Ok(Parts {
        schema: take("schema")?,
        nodes: take("nodes")?,
        relationships: take("relationships")?,
        database: databases.into_iter().next().unwrap_or_default(),
    })
}

pub(super) fn check(info: &PartInfo, seen: &Fingerprint) -> Result<()> {
    match &info.fingerprint {
        Some(recorded) if recorded != seen => Err(Error::new(
            &BAD_PART,
            format!(
                "the part `{}` adds up to `{seen}`, but the capture recorded `{recorded}`",
                info.name
            ),
        )),
        _ => Ok(()),
    }
}

async fn refuse_unless_empty(connection: &mut Connection, target: &Target) -> Result<()> {
    let held = server::preview_over(connection).await?;
    let found = schema::read(connection, &Begin::read("restore")).await?;
    let lookups = found.items.iter().filter(|item| item.is_lookup()).count() as u64;
    if held.is_empty(lookups) {
        return Ok(());
    }
    Err(Error::new(
        &NOT_EMPTY,
        format!(
            "the database `{}` at `{}` is not empty: it holds {} nodes, {} relationships, {} constraints and {} indexes",
            held.database,
            target.endpoint(),
            held.nodes,
            held.relationships,
            held.constraints,
            held.indexes - lookups,
        ),
    ))
}

/// Progress of a part, and when to send a batch.
pub(super) struct Pace<'a> {
    events: &'a Events,
    info: &'a PartInfo,
    done: u64,
    rows: usize,
    bytes: usize,
    told: std::time::Instant,
}

impl<'a> Pace<'a> {
    pub(super) fn new(events: &'a Events, info: &'a PartInfo) -> Pace<'a> {
        Pace {
            events,
            info,
            done: 0,
            rows: 0,
            bytes: 0,
            told: std::time::Instant::now(),
        }
    }

    /// Counts a row; says whether the batch is full.
    pub(super) fn row(&mut self, bytes: usize) -> bool {
        self.rows += 1;
        self.bytes += bytes + 4;
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    pub(super) fn sent(&mut self) {
        self.done += self.bytes as u64;
        (self.rows, self.bytes) = (0, 0);
        if self.told.elapsed() >= PROGRESS_EVERY || self.done == self.info.bytes {
            self.told = std::time::Instant::now();
            self.events.progress(
                &self.info.name,
                self.done,
                Some(self.info.bytes),
                Unit::Bytes,
            );
        }
    }
}

async fn restore_nodes(
    connection: &mut Connection,
    source: &dyn PartSource,
    info: &PartInfo,
    database: &str,
    options: &RestoreOptions,
) -> Result<(Fingerprint, IdMap)> {
    let mut reader = source.open(&info.name).await?;
    let mut frames = Frames::new(info, reader.as_mut())?;
    let mut sum = options.key.gather();
    let mut pace = Pace::new(&options.events, info);
    let mut pairs: Vec<(i64, i64)> = Vec::new();
    // Nodes of equal labels are created by one query, and a query's text names its labels.
    let mut batch: BTreeMap<Vec<String>, Vec<Value>> = BTreeMap::new();
    while let Some((bytes, values)) = frames.next().await? {
        sum.add(bytes);
        let full = pace.row(bytes.len());
        let Some(node) = Node::of(values) else {
            return Err(frames.bad("it is no node"));
        };
        let labels = node.labels.iter().filter_map(Value::as_str);
        let labels = labels.map(str::to_owned).collect();
        let row = Value::map([("i", Value::Int(node.id)), ("p", node.properties)]);
        batch.entry(labels).or_default().push(row);
        if full {
            create_nodes(connection, &mut batch, &mut pairs).await?;
            pace.sent();
            options.cancel.check()?;
        }
    }
    create_nodes(connection, &mut batch, &mut pairs).await?;
    pace.sent();
    Ok((sum.finish(), IdMap::new(database, pairs)))
}

async fn create_nodes(
    connection: &mut Connection,
    batch: &mut BTreeMap<Vec<String>, Vec<Value>>,
    pairs: &mut Vec<(i64, i64)>,
) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    connection.begin(&Begin::write("restore nodes")).await?;
    for (labels, rows) in std::mem::take(batch) {
        let labels: String = labels.iter().map(|l| format!(":{}", quoted(l))).collect();
        let query =
            format!("UNWIND $rows AS row CREATE (n{labels}) SET n = row.p RETURN row.i, id(n)");
        let parameters = Value::map([("rows", Value::List(rows))]);
        let mut made = connection.run(&query, parameters).await?;
        while let Some(ids) = made.next().await? {
            let [Value::Int(old), Value::Int(new)] = ids[..] else {
                return Err(unexpected_record());
            };
            pairs.push((old, new));
        }
    }
    connection.commit().await.map(drop)
}

async fn restore_relationships(
    connection: &mut Connection,
    source: &dyn PartSource,
    info: &PartInfo,
    id_map: &IdMap,
    options: &RestoreOptions,
) -> Result<Fingerprint> {
    let mut reader = source.open(&info.name).await?;
    let mut frames = Frames::new(info, reader.as_mut())?;
    let mut sum = options.key.gather();
    let mut pace = Pace::new(&options.events, info);
    let mut batch: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    while let Some((bytes, values)) = frames.next().await? {
        let full = pace.row(bytes.len());
        sum.add(&without_id(bytes));
        let Some(relationship) = Relationship::of(values) else {
            return Err(frames.bad("it is no relationship"));
        };
        let ends = (
            id_map.new_of(relationship.start),
            id_map.new_of(relationship.end),
        );
        let (Some(start), Some(end)) = ends else {
            return Err(frames.bad("it begins or ends at a node that the capture does not hold"));
        };
        let row = Value::map([
            ("s", Value::Int(start)),
            ("e", Value::Int(end)),
            ("p", relationship.properties),
        ]);
        batch.entry(relationship.kind).or_default().push(row);
        if full {
            create_relationships(connection, &mut batch).await?;
            pace.sent();
            options.cancel.check()?;
        }
    }
    create_relationships(connection, &mut batch).await?;
    pace.sent();
    Ok(sum.finish())
}

pub(super) async fn create_relationships(
    connection: &mut Connection,
    batch: &mut BTreeMap<String, Vec<Value>>,
) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    connection
        .begin(&Begin::write("restore relationships"))
        .await?;
    for (kind, rows) in std::mem::take(batch) {
        // Two seeks by id a row (NodeByIdSeek), no scan.
        let query = format!(
            "UNWIND $rows AS row MATCH (s) WHERE id(s) = row.s MATCH (e) WHERE id(e) = row.e \
             CREATE (s)-[r:{}]->(e) SET r = row.p RETURN count(r)",
            quoted(&kind)
        );
        let wanted = rows.len();
        let parameters = Value::map([("rows", Value::List(rows))]);
        let answer = connection.run(&query, parameters).await?.all().await?;
        made(&answer, wanted, || {
            format!("relationships of type `{kind}`, whose nodes were restored, Neo4j made")
        })?;
    }
    connection.commit().await.map(drop)
}

/// Refuses the count that a query gave, if it is not that of its rows.
pub(super) fn made(
    answer: &[Vec<Value>],
    wanted: usize,
    what: impl FnOnce() -> String,
) -> Result<()> {
    let made = answer.first().and_then(|row| row.first()?.as_int());
    if made == Some(wanted as i64) {
        return Ok(());
    }
    Err(Error::new(
        &INCONSISTENT,
        format!("of {wanted} {} {}", what(), made.unwrap_or_default()),
    ))
}

async fn restore_schema(
    connection: &mut Connection,
    wanted: &[schema::Item],
    options: &RestoreOptions,
) -> Result<()> {
    let none = || Value::Map(Vec::new());
    let begin = Begin::write("restore schema").unlimited();
    let present = schema::read(connection, &Begin::read("restore schema"))
        .await?
        .items;
    for item in present.iter().filter(|item| !wanted.contains(item)) {
        connection
            .query(&item.drop_statement(), none(), &begin)
            .await?;
    }
    for item in wanted.iter().filter(|item| !present.contains(item)) {
        options.cancel.check()?;
        options.events.note(format!("creating `{}`", item.name));
        connection
            .query(&item.create, none(), &begin)
            .await
            .context(|| format!("cannot create `{}` with `{}`", item.name, item.create))?;
    }
    Ok(())
}

/// Waits until no index is being populated. An index that failed here
/// and not at the source is an error.
async fn await_indexes(
    connection: &mut Connection,
    failed_at_source: &[String],
    options: &RestoreOptions,
) -> Result<Vec<String>> {
    let begin = Begin::read("await indexes");
    let deadline = Deadline::after(POPULATION_LIMIT);
    loop {
        options.cancel.check()?;
        let found = schema::read(connection, &begin).await?;
        if !found.populating.is_empty() {
            if deadline.passed() {
                return Err(Error::new(
                    &TIMEOUT,
                    format!(
                        "the indexes `{}` were still being populated after {}",
                        found.populating.join("`, `"),
                        Span(deadline.allowed())
                    ),
                ));
            }
            tokio::time::sleep(POPULATION_PAUSE).await;
            continue;
        }
        let (known, new): (Vec<String>, Vec<String>) = found
            .failed
            .into_iter()
            .partition(|name| failed_at_source.contains(name));
        if new.is_empty() {
            let note = |name| format!("the index `{name}` is broken here as it was at the source");
            return Ok(known.into_iter().map(note).collect());
        }
        return Err(Error::new(
            &QUERY_FAILED,
            format!(
                "Neo4j could not populate the indexes `{}`",
                new.join("`, `")
            ),
        )
        .hint(
            "The reason is in the server's debug log; `SHOW INDEXES` shows the index as `FAILED`.",
        ));
    }
}
