//! Fingerprints again: from a part's bytes alone, and from the live server.

use std::collections::BTreeMap;

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::idmap::{IdMap, Inverse};
use super::rows::{self, Frames, Node, Relationship, unexpected_record};
use super::target::Target;
use super::{schema, server};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader};
use crate::error::Result;
use crate::wait::Deadline;

/// What kind of part a name says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Schema,
    Nodes,
    Relationships,
}

/// The kind and the database of a part of ours; `None` for other stores' parts.
pub(super) fn part_kind(name: &str) -> Option<(PartKind, &str)> {
    let (database, kind) = name.strip_prefix("neo4j/")?.rsplit_once('/')?;
    let kind = match kind {
        "schema" => PartKind::Schema,
        "nodes" => PartKind::Nodes,
        "relationships" => PartKind::Relationships,
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
    let mut sum = key.start();
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

/// Measures the live server in the terms of a capture. After a restore, the restore's id map takes ids and the
/// database's name back to the source's; without one the server is compared with a capture of itself.
pub async fn fingerprints(
    target: &Target,
    key: &FingerprintKey,
    id_map: Option<&IdMap>,
) -> Result<BTreeMap<String, Fingerprint>> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let database = match id_map {
        Some(map) => map.database().to_owned(),
        None => server::database(&mut connection).await?.name,
    };
    let inverse = id_map.map(IdMap::inverse);
    let old = |id: i64| inverse.as_ref().map_or(id, |i: &Inverse| i.old_of(id));
    let begin = Begin::read("fingerprint").unlimited();
    let items = schema::read(&mut connection, &begin).await?.items;

    connection.begin(&begin).await?;
    let mut nodes = key.start();
    let mut row = Vec::new();
    let mut records = connection.run(rows::NODES, Value::Map(Vec::new())).await?;
    while let Some(values) = records.next().await? {
        let mut node = Node::of(values).ok_or_else(unexpected_record)?;
        node.id = old(node.id);
        row.clear();
        node.into_row().encode(&mut row);
        nodes.add(&row);
    }
    let mut relationships = key.start();
    let markers = format!(
        "MATCH (s)-[r]->(e) WHERE NOT s:{m} AND NOT e:{m} \
         RETURN id(r), type(r), id(s), id(e), properties(r)",
        m = rows::quoted(rows::MARKER_LABEL)
    );
    let mut records = connection.run(&markers, Value::Map(Vec::new())).await?;
    while let Some(values) = records.next().await? {
        let mut relationship = Relationship::of(values).ok_or_else(unexpected_record)?;
        relationship.start = old(relationship.start);
        relationship.end = old(relationship.end);
        row.clear();
        relationship.into_row(false).encode(&mut row);
        relationships.add(&row);
    }
    connection.commit().await?;
    connection.close().await;
    Ok(BTreeMap::from([
        (format!("neo4j/{database}/nodes"), nodes.finish()),
        (
            format!("neo4j/{database}/relationships"),
            relationships.finish(),
        ),
        (
            format!("neo4j/{database}/schema"),
            schema::fingerprint(&items, key),
        ),
    ]))
}
