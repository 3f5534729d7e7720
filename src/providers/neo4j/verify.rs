//! Fingerprints again: from a part's bytes alone, and from the live server.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bolt::raw::Raw;
use super::bolt::{Begin, Connection};
use super::idmap::{IdMap, Inverse};
use super::rows::{self, Frames, Node, NodeRecord, Relationship, RelationshipRecord};
use super::scan::{self, What, Worker};
use super::target::Target;
use super::{BAD_PART, admin, schema, server};
use crate::capture::{BatchFingerprinter, Fingerprint, FingerprintKey, PartInfo, PartReader};
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// What kind of part a name says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Schema,
    Nodes,
    Relationships,
    Dump,
}

/// The kind and the database of a part of ours; `None` for other stores' parts.
pub(super) fn part_kind(name: &str) -> Option<(PartKind, &str)> {
    let (database, kind) = name.strip_prefix("neo4j/")?.rsplit_once('/')?;
    let kind = match kind {
        "schema" => PartKind::Schema,
        "nodes" => PartKind::Nodes,
        "relationships" => PartKind::Relationships,
        "dump" => PartKind::Dump,
        _ => return None,
    };
    Some((kind, database))
}

/// Recomputes a part's fingerprint from its bytes, decoding every row and checking its form; `None` for a part that is
/// not Neo4j's.
pub async fn decode(
    info: &PartInfo,
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
) -> Result<Option<Fingerprint>> {
    let Some((kind, _)) = part_kind(&info.name) else {
        return Ok(None);
    };
    if kind == PartKind::Schema {
        let items = schema::parse(info, &reader.read_all().await?)?;
        return Ok(Some(schema::fingerprint(&items, key)));
    }
    if kind == PartKind::Dump {
        return dump(info, reader).await.map(|()| None);
    }
    let mut sum = key.gather();
    let mut frames = Frames::new(info, reader)?;
    let mut again = Vec::new();
    loop {
        let Some((bytes, values)) = frames.next().await? else {
            return Ok(Some(sum.finish()));
        };
        let row = match kind {
            PartKind::Nodes => Node::of(values).map(Node::into_row),
            _ => Relationship::of(values).map(|r| r.into_row(true)),
        };
        again.clear();
        let canonical = row.as_ref().is_some_and(|row| {
            row.encode(&mut again);
            again == bytes
        });
        match row {
            Some(_) if canonical && kind == PartKind::Relationships => {
                sum.add(&rows::without_id(&again));
            }
            Some(_) if canonical => sum.add(&again),
            _ => return Err(frames.bad("it is no node or relationship in canonical form")),
        }
    }
}

/// What neo4j-admin wrote is its own: only its beginning can be looked at, and that all of it is there.
async fn dump(info: &PartInfo, reader: &mut dyn PartReader) -> Result<()> {
    let mut first = Vec::new();
    while let Some(bytes) = reader.next().await? {
        let wanted = 4_usize.saturating_sub(first.len()).min(bytes.len());
        first.extend_from_slice(&bytes[..wanted]);
    }
    if admin::DUMP_MAGIC.contains(&first.as_slice()) {
        return Ok(());
    }
    Err(Error::new(
        &BAD_PART,
        format!("the part `{}` is no dump of neo4j-admin", info.name),
    ))
}

/// Measures the live server in the terms of a capture, by `jobs` connections. After a restore, the restore's id map takes
/// ids and the database's name back to the source's; without one the server is compared with a capture of itself.
pub async fn fingerprints(
    target: &Target,
    key: &FingerprintKey,
    id_map: Option<&IdMap>,
    jobs: usize,
) -> Result<BTreeMap<String, Fingerprint>> {
    measure(target, key, id_map, id_map.map(IdMap::database), jobs).await
}

/// The same after a dump was loaded, which keeps the ids; `database` is what the source called it.
pub async fn fingerprints_of_load(
    target: &Target,
    key: &FingerprintKey,
    database: &str,
    jobs: usize,
) -> Result<BTreeMap<String, Fingerprint>> {
    measure(target, key, None, Some(database), jobs).await
}

async fn measure(
    target: &Target,
    key: &FingerprintKey,
    id_map: Option<&IdMap>,
    called: Option<&str>,
    jobs: usize,
) -> Result<BTreeMap<String, Fingerprint>> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let database = match called {
        Some(name) => name.to_owned(),
        None => server::database(&mut connection).await?.name,
    };
    let begin = Begin::read("fingerprint").unlimited();
    let items = schema::read(&mut connection, &begin).await?.items;
    let markers = Arc::new(server::marker_ids(&mut connection).await?);
    connection.close().await;
    let inverse = Arc::new(id_map.map(IdMap::inverse));
    let measure = async |what| {
        let make = || Seen::new(what, &inverse, &markers, key.gather());
        let done = scan::read(target, &begin, what, jobs, make, None).await?;
        let mut sum = key.start();
        let workers = done.workers.into_iter();
        workers.for_each(|mut worker| sum.merge(&worker.sight.finish()));
        Result::Ok(sum.finish())
    };
    let nodes = measure(What::Nodes).await?;
    let relationships = measure(What::Relationships).await?;
    Ok(BTreeMap::from([
        (format!("neo4j/{database}/nodes"), nodes),
        (format!("neo4j/{database}/relationships"), relationships),
        (
            format!("neo4j/{database}/schema"),
            schema::fingerprint(&items, key),
        ),
    ]))
}

/// Takes the rows of one connection.
pub(super) trait Sight: Send + 'static {
    /// Takes a row in canonical form, under the source's ids.
    fn row(&mut self, row: &[u8]) -> Result<()>;
}

impl Sight for BatchFingerprinter {
    fn row(&mut self, row: &[u8]) -> Result<()> {
        self.add(row);
        Ok(())
    }
}

/// Makes rows of what one connection reads, under the source's ids.
pub(super) struct Seen<S> {
    what: What,
    inverse: Arc<Option<Inverse>>,
    markers: Arc<Vec<i64>>,
    row: Vec<u8>,
    pub(super) sight: S,
}

impl<S> Seen<S> {
    pub(super) fn new(
        what: What,
        inverse: &Arc<Option<Inverse>>,
        markers: &Arc<Vec<i64>>,
        sight: S,
    ) -> Seen<S> {
        Seen {
            what,
            inverse: Arc::clone(inverse),
            markers: Arc::clone(markers),
            row: Vec::new(),
            sight,
        }
    }

    fn old(&self, id: i64) -> i64 {
        self.inverse.as_ref().as_ref().map_or(id, |i| i.old_of(id))
    }
}

impl<S: Sight> Worker for Seen<S> {
    fn take(&mut self, record: Raw<'_>, _: &mut Vec<u8>) -> Result<i64> {
        self.row.clear();
        let id = match self.what {
            What::Nodes => {
                let node = NodeRecord::of(record)?;
                let (id, old) = (node.id, self.old(node.id));
                node.encode(old, &mut self.row, |_| ())?;
                id
            }
            What::Relationships => {
                let mut relationship = RelationshipRecord::of(record)?;
                let (id, ends) = (relationship.id, [relationship.start, relationship.end]);
                if ends.iter().any(|end| self.markers.contains(end)) {
                    return Ok(id);
                }
                (relationship.start, relationship.end) = (self.old(ends[0]), self.old(ends[1]));
                relationship.encode(&mut self.row)?;
                id
            }
        };
        self.sight.row(&self.row)?;
        if self.row.capacity() > (4 << 20) {
            self.row = Vec::new();
        }
        Ok(id)
    }
}
