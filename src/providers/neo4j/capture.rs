//! Reading a whole database in one read transaction, and finding out whether that was one moment.
//!
//! Neo4j isolates at "read committed": a transaction sees what others commit while it runs. So the newest committed
//! transaction is asked for before and after (a read transaction's bookmark names it). The reading transaction waits
//! for the first bookmark to be wholly applied; if the second is the same, nothing was committed in between, and
//! what was read is one moment. If not, it is read again, and after the last attempt the capture is labelled fuzzy.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::rows::{self, Node, Relationship, unexpected_record};
use super::target::Target;
use super::{INCONSISTENT, schema, server};
use crate::capture::{
    Captured, Consistency, FingerprintKey, Fingerprinter, PartInfo, PartSink, PartWriter,
};
use crate::error::{Error, Result};
use crate::event::{Events, Unit};
use crate::identity::Store;
use crate::time::Instant;
use crate::wait::{Cancel, Deadline};

/// The first reading and two more.
const ATTEMPTS: u32 = 3;

/// Rows are collected to about this many bytes before they are handed on.
const CHUNK: usize = 256 << 10;

/// A segment may end where the id passes a multiple of 2^12: an unchanged stretch of the store then cuts alike again.
const CUT_BITS: u32 = 12;

const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// How a capture is made.
#[derive(Clone)]
pub struct CaptureOptions {
    /// The key of the fingerprints.
    pub key: FingerprintKey,
    /// How many connections may read at once. One transaction is one connection, so one is used.
    pub jobs: usize,
    /// Where progress goes.
    pub events: Events,
    /// Who may stop it.
    pub cancel: Cancel,
}

/// Captures the target's database into `sink`.
pub async fn capture(
    target: &Target,
    sink: &dyn PartSink,
    options: &CaptureOptions,
) -> Result<Captured> {
    options.cancel.guard(run(target, sink, options)).await
}

async fn run(target: &Target, sink: &dyn PartSink, options: &CaptureOptions) -> Result<Captured> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let identity = server::identity(&mut connection, target).await?;
    let (server_version, _) = server::version(&mut connection).await?;
    let database = server::database(&mut connection).await?;
    let mut attempt = 1;
    let (pass, consistency, method, from, to) = loop {
        options.cancel.check()?;
        let from = Instant::now();
        let before = bookmark(&mut connection).await?;
        let pass = read(&mut connection, &before, &database.name, sink, options).await?;
        let after = bookmark(&mut connection).await?;
        let to = Instant::now();
        if before == after {
            let method = "bookmark unchanged".to_owned();
            break (pass, Consistency::PointInTime, method, from, to);
        }
        if attempt == ATTEMPTS {
            let method = format!("bookmark changed during each of {ATTEMPTS} readings");
            break (pass, Consistency::Fuzzy, method, from, to);
        }
        options.events.note(format!(
            "Neo4j committed transactions while it was read: reading again ({} of {ATTEMPTS})",
            attempt + 1
        ));
        attempt += 1;
    };
    connection.close().await;
    let (parts, not_carried) = pass.finish(consistency).await?;
    Ok(Captured {
        store: Store::Neo4j,
        identity,
        server_version,
        consistency,
        method,
        from,
        to,
        not_carried,
        parts,
    })
}

/// The newest transaction committed in the database, as a read transaction's bookmark names it.
async fn bookmark(connection: &mut Connection) -> Result<String> {
    connection.begin(&Begin::read("bookmark")).await?;
    connection
        .run("RETURN 1", Value::Map(Vec::new()))
        .await?
        .all()
        .await?;
    connection.commit().await
}

/// One reading: all parts written and none sealed, since only the second bookmark says what they are worth.
struct Pass {
    schema: Part,
    nodes: Part,
    relationships: Part,
    failed_indexes: Vec<String>,
    /// Relationships at a node that was not read: at our marker, or made meanwhile.
    at_marker: u64,
    dangling: u64,
}

impl Pass {
    async fn finish(self, consistency: Consistency) -> Result<(Vec<PartInfo>, Vec<String>)> {
        let mut not_carried = vec![
            "users, roles and settings: they live in the database `system` and in files".to_owned(),
        ];
        if self.at_marker > 0 {
            not_carried.push(format!(
                "{} relationships of the marker node `{}`",
                self.at_marker,
                rows::MARKER_LABEL
            ));
        }
        match (self.dangling, consistency) {
            (0, _) => {}
            (n, Consistency::Fuzzy) => not_carried.push(format!(
                "{n} relationships whose nodes appeared or went while they were read"
            )),
            (n, Consistency::PointInTime) => {
                return Err(Error::new(
                    &INCONSISTENT,
                    format!("{n} relationships begin or end at nodes that a scan does not find"),
                ));
            }
        }
        for name in &self.failed_indexes {
            not_carried.push(format!(
                "the content of index `{name}`: its population failed"
            ));
        }
        let mut parts = Vec::new();
        for part in [self.nodes, self.relationships, self.schema] {
            parts.push(part.finish().await?);
        }
        Ok((parts, not_carried))
    }
}

async fn read(
    connection: &mut Connection,
    after: &str,
    database: &str,
    sink: &dyn PartSink,
    options: &CaptureOptions,
) -> Result<Pass> {
    let mut begin = Begin::read("capture").unlimited();
    begin.bookmarks = vec![after.to_owned()];
    let found = schema::read(connection, &begin).await?;
    let marker_ids = marker_ids(connection).await?;
    let meta = |key: &str, version: u64| BTreeMap::from([(key.to_owned(), json!(version))]);

    let name = format!("neo4j/{database}/schema");
    let mut part = Part::create(sink, &name, schema::FORMAT, options).await?;
    part.sum
        .merge(&schema::fingerprint(&found.items, &options.key));
    part.buffer = schema::write(&found.items)?;
    part.flush().await?;
    part.meta = meta("schema-format", 1);
    part.meta
        .insert("failed-indexes".to_owned(), json!(found.failed));
    let schema = part;

    connection.begin(&begin).await?;
    let mut seen = IdSet::default();
    let name = format!("neo4j/{database}/nodes");
    let mut nodes = Part::create(sink, &name, rows::FORMAT, options).await?;
    nodes.meta = meta("row-format", rows::ROW_FORMAT);
    let mut records = connection.run(rows::NODES, Value::Map(Vec::new())).await?;
    let mut row = Vec::new();
    while let Some(values) = records.next().await? {
        let node = Node::of(values).ok_or_else(unexpected_record)?;
        let id = node.id;
        seen.insert(id);
        row.clear();
        node.into_row().encode(&mut row);
        nodes.sum.add(&row);
        nodes.push(id, &row).await?;
    }
    nodes.flush().await?;

    let name = format!("neo4j/{database}/relationships");
    let mut relationships = Part::create(sink, &name, rows::FORMAT, options).await?;
    relationships.meta = meta("row-format", rows::ROW_FORMAT);
    let (mut at_marker, mut dangling) = (0, 0);
    let mut records = connection
        .run(rows::RELATIONSHIPS, Value::Map(Vec::new()))
        .await?;
    while let Some(values) = records.next().await? {
        let relationship = Relationship::of(values).ok_or_else(unexpected_record)?;
        let ends = [relationship.start, relationship.end];
        if ends.iter().any(|end| marker_ids.contains(end)) {
            at_marker += 1;
            continue;
        }
        if !ends.iter().all(|end| seen.contains(*end)) {
            dangling += 1;
            continue;
        }
        let id = relationship.id;
        row.clear();
        relationship.into_row(true).encode(&mut row);
        relationships.push(id, &row).await?;
        relationships.sum.add(&rows::without_id(&row));
    }
    relationships.flush().await?;
    connection.commit().await?;
    Ok(Pass {
        schema,
        nodes,
        relationships,
        failed_indexes: found.failed,
        at_marker,
        dangling,
    })
}

async fn marker_ids(connection: &mut Connection) -> Result<Vec<i64>> {
    let query = format!(
        "MATCH (m:{}) RETURN id(m)",
        rows::quoted(rows::MARKER_LABEL)
    );
    let found = connection
        .query(&query, Value::Map(Vec::new()), &Begin::read("read marker"))
        .await?;
    Ok(found
        .iter()
        .filter_map(|row| row.first().and_then(Value::as_int))
        .collect())
}

/// A part that is being written.
struct Part {
    writer: Box<dyn PartWriter>,
    name: String,
    meta: BTreeMap<String, serde_json::Value>,
    sum: Fingerprinter,
    buffer: Vec<u8>,
    bytes: u64,
    stretch: i64,
    events: Events,
    told: std::time::Instant,
}

impl Part {
    async fn create(
        sink: &dyn PartSink,
        name: &str,
        format: &str,
        options: &CaptureOptions,
    ) -> Result<Part> {
        Ok(Part {
            writer: sink.create(name, format).await?,
            name: name.to_owned(),
            meta: BTreeMap::new(),
            sum: options.key.start(),
            buffer: Vec::with_capacity(CHUNK + (CHUNK >> 2)),
            bytes: 0,
            stretch: 0,
            events: options.events.clone(),
            told: std::time::Instant::now(),
        })
    }

    async fn push(&mut self, id: i64, row: &[u8]) -> Result<()> {
        if id >> CUT_BITS != self.stretch {
            self.stretch = id >> CUT_BITS;
            self.flush().await?;
            self.writer.cut();
        }
        rows::frame(row, &mut self.buffer)?;
        if self.buffer.len() >= CHUNK {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.bytes += self.buffer.len() as u64;
        self.writer
            .write(Bytes::copy_from_slice(&self.buffer))
            .await?;
        self.buffer.clear();
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = std::time::Instant::now();
            self.events
                .progress(&self.name, self.bytes, None, Unit::Bytes);
        }
        Ok(())
    }

    async fn finish(self) -> Result<PartInfo> {
        self.events
            .progress(&self.name, self.bytes, Some(self.bytes), Unit::Bytes);
        self.writer.finish(Some(self.sum.finish()), self.meta).await
    }
}

/// The ids of the nodes that were read: one bit each where they lie close together.
#[derive(Default)]
struct IdSet(BTreeMap<i64, Box<[u64; 64]>>);

impl IdSet {
    fn insert(&mut self, id: i64) {
        let page = self.0.entry(id >> 12).or_insert_with(|| Box::new([0; 64]));
        page[((id >> 6) & 63) as usize] |= 1 << (id & 63);
    }

    fn contains(&self, id: i64) -> bool {
        self.0
            .get(&(id >> 12))
            .is_some_and(|page| page[((id >> 6) & 63) as usize] >> (id & 63) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_set_holds_what_was_put_in(
            ids in proptest::collection::btree_set(0_i64..20_000, 0..200), far in 0_i64..i64::MAX
        ) {
            let mut set = IdSet::default();
            ids.iter().for_each(|id| set.insert(*id));
            for id in 0..20_000 {
                prop_assert_eq!(set.contains(id), ids.contains(&id));
            }
            set.insert(far);
            prop_assert!(set.contains(far));
        }
    }
}
