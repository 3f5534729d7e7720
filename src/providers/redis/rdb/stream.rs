//! Streams: entries out of their listpacks, consumer groups, pending entries, consumers (`t_stream.c`, `rdb.c`).

use std::collections::BTreeMap;

use super::cursor::{Cursor, Result, Stop, bad};
use super::packed::{listpack_body, listpack_element, whole};
use super::{kind, skip};

/// An entry's id: milliseconds and sequence.
pub type Id = (u64, u64);

/// A decoded stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// Entries that were not deleted, in order, each with its fields and values alternating.
    pub entries: Vec<(Id, Vec<Vec<u8>>)>,
    /// The greatest id ever added.
    pub last_id: Id,
    /// The greatest id ever deleted.
    pub max_deleted_id: Id,
    /// How many entries were ever added.
    pub entries_added: u64,
    /// Consumer groups by name.
    pub groups: BTreeMap<Vec<u8>, Group>,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// The last id delivered.
    pub last_id: Id,
    /// Pending entries by id.
    pub pending: BTreeMap<Id, Pending>,
    /// Consumers by name: when last seen and when last active, in milliseconds since the epoch.
    pub consumers: BTreeMap<Vec<u8>, (u64, u64)>,
}

/// A delivered entry that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pending {
    /// Its consumer.
    pub consumer: Vec<u8>,
    /// When it was last delivered, in milliseconds since the epoch.
    pub delivered: u64,
    /// How often.
    pub count: u64,
}

/// An entry of a stream's listpack was deleted.
const DELETED: i64 = 1;
/// An entry has the fields of its listpack's first.
const SAME_FIELDS: i64 = 2;

/// An entry with its id.
pub type StreamEntry = (Id, Vec<Vec<u8>>);

/// Decodes a stream of version 1 to 4.
pub(super) fn decode(cursor: &mut Cursor<'_>, kind: u8) -> Result<Stream> {
    let mut all = Vec::new();
    for _ in 0..cursor.length()? {
        node(cursor, &mut all)?;
    }
    let stream = tail(cursor, kind, all.len() as u64)?;
    Ok(Stream {
        entries: all,
        ..stream
    })
}

/// Decodes one node: the entries that were not deleted.
pub(super) fn node(cursor: &mut Cursor<'_>, out: &mut Vec<StreamEntry>) -> Result<()> {
    let node = cursor.string()?;
    let Some(base) = id(&node) else {
        return bad("a stream node's key is not an id");
    };
    let listpack = cursor.string()?;
    whole(entries(&listpack, base, out))
}

/// Decodes what stands behind the nodes, in which there were so many entries: a stream without them.
pub(super) fn tail(cursor: &mut Cursor<'_>, kind: u8, entries: u64) -> Result<Stream> {
    let mut stream = Stream::default();
    let length = cursor.length()?;
    if length != entries {
        return bad("a stream's length is not the number of its entries");
    }
    stream.last_id = (cursor.length()?, cursor.length()?);
    if kind == kind::STREAM_LISTPACKS {
        // What a newer server makes of it when it loads it.
        stream.entries_added = length;
    } else {
        // The first id follows from the entries.
        cursor.length()?;
        cursor.length()?;
        stream.max_deleted_id = (cursor.length()?, cursor.length()?);
        stream.entries_added = cursor.length()?;
    }
    for _ in 0..cursor.length()? {
        let name = cursor.string()?.into_owned();
        let group = group(cursor, kind)?;
        if stream.groups.insert(name, group).is_some() {
            return bad("a stream has two consumer groups of one name");
        }
    }
    if kind == kind::STREAM_LISTPACKS_4 {
        // Forgotten after a while by the server itself, so that they are no part of what is compared.
        skip::producers(cursor)?;
    }
    Ok(stream)
}

fn group(cursor: &mut Cursor<'_>, kind: u8) -> Result<Group> {
    let mut group = Group {
        last_id: (cursor.length()?, cursor.length()?),
        ..Group::default()
    };
    if kind != kind::STREAM_LISTPACKS {
        // The read counter is a statistic that servers estimate anew.
        cursor.length()?;
    }
    for _ in 0..cursor.length()? {
        let id = raw_id(cursor)?;
        let pending = Pending {
            consumer: Vec::new(),
            delivered: cursor.millis()?,
            count: cursor.length()?,
        };
        group.pending.insert(id, pending);
    }
    let mut owned = 0;
    for _ in 0..cursor.length()? {
        let name = cursor.string()?.into_owned();
        let seen = cursor.millis()?;
        let active = if kind >= kind::STREAM_LISTPACKS_3 {
            cursor.millis()?
        } else {
            seen
        };
        for _ in 0..cursor.length()? {
            let id = raw_id(cursor)?;
            let Some(pending) = group.pending.get_mut(&id) else {
                return bad("a consumer has a pending entry that its group does not know");
            };
            pending.consumer.clone_from(&name);
            owned += 1;
        }
        if group.consumers.insert(name, (seen, active)).is_some() {
            return bad("a group has two consumers of one name");
        }
    }
    if owned != group.pending.len() {
        return bad("a pending entry has no consumer, or two");
    }
    Ok(group)
}

/// The entries of one listpack: a master entry that names the usual fields, then differences to it.
fn entries(listpack: &[u8], base: Id, out: &mut Vec<(Id, Vec<Vec<u8>>)>) -> Result<()> {
    let mut cursor = listpack_body(listpack)?;
    let live = number(&mut cursor)?;
    let deleted = number(&mut cursor)?;
    let mut master = Vec::new();
    for _ in 0..number(&mut cursor)? {
        master.push(text(&mut cursor)?);
    }
    if number(&mut cursor)? != 0 {
        return bad("a stream's master entry does not end");
    }
    let total = live
        .checked_add(deleted)
        .ok_or(Stop::Bad("a stream node's counts are too large"))?;
    for _ in 0..total {
        let flags = number(&mut cursor)?;
        let id = (
            base.0.wrapping_add_signed(number(&mut cursor)?),
            base.1.wrapping_add_signed(number(&mut cursor)?),
        );
        let mut fields = Vec::new();
        if flags & SAME_FIELDS != 0 {
            for name in &master {
                fields.push(name.clone());
                fields.push(text(&mut cursor)?);
            }
        } else {
            for _ in 0..number(&mut cursor)? {
                fields.push(text(&mut cursor)?);
                fields.push(text(&mut cursor)?);
            }
        }
        // How many elements back the entry begins.
        number(&mut cursor)?;
        if flags & DELETED == 0 {
            out.push((id, fields));
        }
    }
    if listpack_element(&mut cursor)?.is_some() {
        return bad("a stream node holds more entries than it says");
    }
    Ok(())
}

fn text(cursor: &mut Cursor<'_>) -> Result<Vec<u8>> {
    listpack_element(cursor)?.ok_or(Stop::Bad("a stream node ends in an entry"))
}

fn number(cursor: &mut Cursor<'_>) -> Result<i64> {
    let element = text(cursor)?;
    let number = std::str::from_utf8(&element)
        .ok()
        .and_then(|t| t.parse().ok());
    number.ok_or(Stop::Bad("a stream node has text where a number must be"))
}

fn raw_id(cursor: &mut Cursor<'_>) -> Result<Id> {
    Ok((
        u64::from_be_bytes(cursor.array()?),
        u64::from_be_bytes(cursor.array()?),
    ))
}

fn id(bytes: &[u8]) -> Option<Id> {
    let mut cursor = Cursor::new(bytes);
    let id = raw_id(&mut cursor).ok()?;
    cursor.is_at_end().then_some(id)
}
