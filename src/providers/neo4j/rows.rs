//! Nodes and relationships: from the server's records, to and from the capture's frames, and as fingerprint rows.

use super::bolt::packstream::{Malformed, Value, encode_int, encode_size, encode_str};
use super::bolt::raw::Raw;
use super::{BAD_PART, PROTOCOL};
use crate::capture::{PartInfo, PartReader};
use crate::error::{Error, Result};

/// The format of the parts `nodes` and `relationships`.
pub(super) const FORMAT: &str = "neo4j-packstream";

/// The version of the frames, in a part's meta as `row-format`.
pub(super) const ROW_FORMAT: u64 = 1;

/// The label of our marker node, which is neither captured nor compared nor wiped.
pub(super) const MARKER_LABEL: &str = "__SummitctlMarker";

/// All nodes, in the order of the store: a scan, not a sort.
pub(super) const NODES: &str =
    "MATCH (n) WHERE NOT n:`__SummitctlMarker` RETURN id(n), labels(n), properties(n)";

/// Nodes by a range of ids: a seek for each.
pub(super) const NODES_IN: &str = "MATCH (n) WHERE id(n) IN range($from, $to) AND NOT n:`__SummitctlMarker` \
     RETURN id(n), labels(n), properties(n)";

/// Relationships by a range of ids: a seek for each.
pub(super) const RELATIONSHIPS_IN: &str = "MATCH (s)-[r]->(e) WHERE id(r) IN range($from, $to) \
     RETURN id(r), type(r), id(s), id(e), properties(r)";

/// All relationships, in the order of the store.
pub(super) const RELATIONSHIPS: &str =
    "MATCH (s)-[r]->(e) RETURN id(r), type(r), id(s), id(e), properties(r)";

/// A frame holds one node or relationship; a property is bounded by the server's transaction memory.
const MAX_FRAME: usize = 1 << 30;

/// A node in canonical form: labels and property keys sorted.
pub(super) struct Node {
    pub(super) id: i64,
    pub(super) labels: Vec<Value>,
    pub(super) properties: Value,
}

impl Node {
    /// From the values of [`NODES`], or of a frame.
    pub(super) fn of(values: Vec<Value>) -> Option<Node> {
        let [
            Value::Int(id),
            Value::List(mut labels),
            properties @ Value::Map(_),
        ] = <[Value; 3]>::try_from(values).ok()?
        else {
            return None;
        };
        if labels.iter().any(|label| label.as_str().is_none()) {
            return None;
        }
        labels.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        Some(Node {
            id,
            labels,
            properties: properties.canonical(),
        })
    }

    /// The frame's content, which is the fingerprint row as well.
    pub(super) fn into_row(self) -> Value {
        Value::List(vec![
            Value::Int(self.id),
            Value::List(self.labels),
            self.properties,
        ])
    }
}

/// A relationship in canonical form.
pub(super) struct Relationship {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) properties: Value,
}

impl Relationship {
    /// From the values of [`RELATIONSHIPS`], or of a frame.
    pub(super) fn of(values: Vec<Value>) -> Option<Relationship> {
        let [
            Value::Int(id),
            Value::String(kind),
            Value::Int(start),
            Value::Int(end),
            properties @ Value::Map(_),
        ] = <[Value; 5]>::try_from(values).ok()?
        else {
            return None;
        };
        Some(Relationship {
            id,
            kind,
            start,
            end,
            properties: properties.canonical(),
        })
    }

    /// The frame's content: the row with the relationship's own id before it.
    pub(super) fn into_row(self, with_id: bool) -> Value {
        let mut row = Vec::with_capacity(5);
        if with_id {
            row.push(Value::Int(self.id));
        }
        row.push(Value::String(self.kind));
        row.push(Value::Int(self.start));
        row.push(Value::Int(self.end));
        row.push(self.properties);
        Value::List(row)
    }
}

/// A node as a record or a frame holds it, its values still bytes.
pub(super) struct NodeRecord<'a> {
    pub(super) id: i64,
    rest: Raw<'a>,
}

impl<'a> NodeRecord<'a> {
    /// From a record of [`NODES`].
    pub(super) fn of(mut record: Raw<'a>) -> Result<NodeRecord<'a>> {
        let id = shape(&mut record, 3)?;
        Ok(NodeRecord { id, rest: record })
    }

    /// Appends the row, with this id, and shows its labels.
    pub(super) fn encode(
        mut self,
        id: i64,
        out: &mut Vec<u8>,
        mut show: impl FnMut(&str),
    ) -> Result<()> {
        let mut copy = || -> std::result::Result<bool, Malformed> {
            out.push(0x93);
            encode_int(id, out);
            let count = self.rest.list()?;
            let mut labels = Vec::with_capacity(count.min(64));
            for _ in 0..count {
                labels.push(self.rest.str()?);
            }
            labels.sort_unstable();
            encode_size(Some(0x90), [0xD4, 0xD5, 0xD6], labels.len(), out);
            for label in labels {
                encode_str(label, out);
                show(label);
            }
            let is_map = self.rest.at_map();
            self.rest.copy_canonical(out)?;
            self.rest.end()?;
            Ok(is_map)
        };
        judged(copy())
    }
}

/// A relationship as a record or a frame holds it, its values still bytes.
pub(super) struct RelationshipRecord<'a> {
    pub(super) id: i64,
    pub(super) kind: &'a str,
    pub(super) start: i64,
    pub(super) end: i64,
    rest: Raw<'a>,
}

impl<'a> RelationshipRecord<'a> {
    /// From a record of [`RELATIONSHIPS`].
    pub(super) fn of(mut record: Raw<'a>) -> Result<RelationshipRecord<'a>> {
        let id = shape(&mut record, 5)?;
        let mut ends = || -> std::result::Result<_, Malformed> {
            Ok((record.str()?, record.int()?, record.int()?))
        };
        let (kind, start, end) = ends().map_err(|e| unexpected_record().caused_by(e))?;
        Ok(RelationshipRecord {
            id,
            kind,
            start,
            end,
            rest: record,
        })
    }

    /// Appends the row without the relationship's own id.
    pub(super) fn encode(self, out: &mut Vec<u8>) -> Result<()> {
        out.push(0x94);
        self.encode_values(out)
    }

    /// Appends the frame, and shows the row without the relationship's own id, which is never copied: it may be long.
    pub(super) fn frame(self, out: &mut Vec<u8>, show: impl FnOnce(&[u8])) -> Result<()> {
        let mut at = 0;
        frame(out, |out| {
            out.push(0x95);
            encode_int(self.id, out);
            at = out.len() - 1;
            self.encode_values(out)
        })?;
        // The row has another first byte where the frame has the id's last one.
        let last = std::mem::replace(&mut out[at], 0x94);
        show(&out[at..]);
        out[at] = last;
        Ok(())
    }

    fn encode_values(mut self, out: &mut Vec<u8>) -> Result<()> {
        encode_str(self.kind, out);
        encode_int(self.start, out);
        encode_int(self.end, out);
        let mut copy = || -> std::result::Result<bool, Malformed> {
            let is_map = self.rest.at_map();
            self.rest.copy_canonical(out)?;
            self.rest.end()?;
            Ok(is_map)
        };
        judged(copy())
    }
}

/// A record of so many values, of which the first is an id.
fn shape(record: &mut Raw<'_>, values: usize) -> Result<i64> {
    let mut read =
        || -> std::result::Result<(usize, i64), Malformed> { Ok((record.list()?, record.int()?)) };
    match read() {
        Ok((count, id)) if count == values => Ok(id),
        Ok(_) => Err(unexpected_record()),
        Err(e) => Err(unexpected_record().caused_by(e)),
    }
}

/// Properties must be a map, and well formed.
fn judged(copied: std::result::Result<bool, Malformed>) -> Result<()> {
    match copied {
        Ok(true) => Ok(()),
        Ok(false) => Err(unexpected_record()),
        Err(e) => Err(unexpected_record().caused_by(e)),
    }
}

/// A relationship's fingerprint row: its frame without its own id, which nothing refers to.
///
/// Works on the canonical bytes: a list of five, whose first item is an integer of 1 to 9 bytes.
pub(super) fn without_id(framed: &[u8]) -> Vec<u8> {
    let id_width = match framed.get(1) {
        Some(0xC8) => 2,
        Some(0xC9) => 3,
        Some(0xCA) => 5,
        Some(0xCB) => 9,
        _ => 1,
    };
    let mut row = vec![0x94];
    row.extend_from_slice(framed.get(1 + id_width..).unwrap_or_default());
    row
}

/// The error for a record that is not what our query asks for.
pub(super) fn unexpected_record() -> Error {
    Error::new(
        &PROTOCOL,
        "Neo4j sent a record of another shape than was asked for",
    )
}

/// Appends a frame: the length, and the content that `write` appends. Returns where the content begins.
pub(super) fn frame(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<usize> {
    let start = out.len() + 4;
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = out.len() - start;
    let size = u32::try_from(length)
        .ok()
        .filter(|size| (*size as usize) < MAX_FRAME)
        .ok_or_else(|| {
            Error::new(
                &PROTOCOL,
                format!("a node or relationship of {length} bytes is too large"),
            )
        })?;
    out[start - 4..start].copy_from_slice(&size.to_be_bytes());
    Ok(start)
}

/// Reads frames from a part, wherever its chunks end.
pub(super) struct Frames<'a> {
    reader: &'a mut dyn PartReader,
    name: String,
    buffer: Vec<u8>,
    at: usize,
    frames: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn new(info: &PartInfo, reader: &'a mut dyn PartReader) -> Result<Frames<'a>> {
        let version = info
            .meta
            .get("row-format")
            .and_then(serde_json::Value::as_u64);
        if info.format != FORMAT || version != Some(ROW_FORMAT) {
            return Err(Error::new(
                &BAD_PART,
                format!(
                    "the part `{}` has the format `{}` {}, not `{FORMAT}` {ROW_FORMAT}",
                    info.name,
                    info.format,
                    version.map_or("without a version".to_owned(), |v| v.to_string()),
                ),
            ));
        }
        Ok(Frames {
            reader,
            name: info.name.clone(),
            buffer: Vec::new(),
            at: 0,
            frames: 0,
        })
    }

    /// The next frame's content and the values in it.
    pub(super) async fn next(&mut self) -> Result<Option<(&[u8], Vec<Value>)>> {
        if !self.have(4).await? {
            return if self.at == self.buffer.len() {
                Ok(None)
            } else {
                Err(self.bad("it ends in the middle of a frame"))
            };
        }
        let mut size = [0; 4];
        size.copy_from_slice(&self.buffer[self.at..self.at + 4]);
        let size = u32::from_be_bytes(size) as usize;
        if size > MAX_FRAME {
            return Err(self.bad("it says to be larger than any frame is"));
        }
        if !self.have(4 + size).await? {
            return Err(self.bad("it ends in the middle of a frame"));
        }
        let start = self.at + 4;
        self.at = start + size;
        self.frames += 1;
        match Value::decode(&self.buffer[start..self.at]) {
            Ok(Value::List(values)) => Ok(Some((&self.buffer[start..self.at], values))),
            Ok(_) => Err(self.bad("it is not a list")),
            Err(e) => Err(self.bad("it is malformed").caused_by(e)),
        }
    }

    /// The error for the frame that was read last.
    pub(super) fn bad(&self, why: &str) -> Error {
        Error::new(
            &BAD_PART,
            format!(
                "frame {} of the part `{}` cannot be read: {why}",
                self.frames, self.name
            ),
        )
    }

    /// Whether `n` bytes are there from the present place on, after reading more if need be.
    async fn have(&mut self, n: usize) -> Result<bool> {
        while self.buffer.len() - self.at < n {
            let Some(chunk) = self.reader.next().await? else {
                return Ok(false);
            };
            self.buffer.drain(..self.at);
            self.at = 0;
            self.buffer.extend_from_slice(&chunk);
        }
        Ok(true)
    }
}

/// A name as Cypher quotes it. Cypher 5 reads `\uXXXX` even between backticks, so a backslash is written as its own escape.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\u005C").replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_without_its_id_is_the_frame_less_the_id(
            id in prop_oneof![0_i64..300, 0_i64..100_000, any::<i64>()], start in any::<i64>(), end in 0_i64..99
        ) {
            let encoded = |with_id| {
                let relationship = Relationship {
                    id,
                    kind: "KNOWS".to_owned(),
                    start,
                    end,
                    properties: Value::map([("k", Value::Float(-0.0))]),
                };
                let mut out = Vec::new();
                relationship.into_row(with_id).encode(&mut out);
                out
            };
            prop_assert_eq!(without_id(&encoded(true)), encoded(false));
        }
    }

    proptest! {
        #[test]
        fn a_relationship_is_framed_with_its_id_and_shown_without(
            id in prop_oneof![0_i64..300, 0_i64..100_000, any::<i64>()], start in any::<i64>(), end in 0_i64..99
        ) {
            let values = [id.into(), "KNOWS".into(), start.into(), end.into(), Value::map([("k", Value::Int(1))])];
            let mut record = Vec::new();
            Value::List(values.to_vec()).encode(&mut record);
            let (mut framed, mut shown) = (b"before".to_vec(), Vec::new());
            let relationship = RelationshipRecord::of(Raw::new(&record)).expect("is one");
            relationship.frame(&mut framed, |row| shown = row.to_vec()).expect("fits");
            prop_assert_eq!(&framed[6 + 4..], record.as_slice());
            prop_assert_eq!(shown, without_id(&record));
        }
    }

    #[test]
    fn names_are_quoted_so_that_nothing_in_them_is_read() {
        assert_eq!(quoted("plain"), "`plain`");
        assert_eq!(quoted("a`) DETACH DELETE (n"), "`a``) DETACH DELETE (n`");
        assert_eq!(quoted(r"b\u0060"), r"`b\u005Cu0060`");
    }
}
