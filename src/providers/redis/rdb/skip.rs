//! The length of a value in an RDB file, found without decoding it: what cuts values out of a snapshot.

use super::cursor::{Cursor, Result, Stop, bad};
use super::{VALKEY, kind};

/// Passes over one value of type `kind`, whose type byte was read before.
pub(super) fn value(cursor: &mut Cursor<'_>, kind: u8, version: u16) -> Result<()> {
    match kind {
        kind::STRING
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::ZSET_ZIPLIST
        | kind::HASH_ZIPLIST
        | kind::HASH_ZIPMAP
        | kind::HASH_LISTPACK
        | kind::ZSET_LISTPACK
        | kind::SET_LISTPACK => cursor.skip_string(),
        kind::LIST
        | kind::SET
        | kind::LIST_QUICKLIST
        | kind::LIST_QUICKLIST_2
        | kind::HASH
        | kind::ZSET
        | kind::ZSET_2 => times(cursor, |c| element(c, kind, version)),
        kind if is_stream(kind, version) => {
            times(cursor, stream_node)?;
            stream_tail(cursor, kind)
        }
        kind::MODULE_2 => {
            cursor.length()?;
            module(cursor)
        }
        kind::HASH_METADATA_PRE_GA if version >= VALKEY => {
            times(cursor, |c| element(c, kind, version))
        }
        _ if version >= VALKEY => Err(Stop::Unknown(kind)),
        kind::HASH_METADATA | kind::HASH_METADATA_PRE_GA => {
            if kind == kind::HASH_METADATA {
                cursor.take(8)?;
            }
            times(cursor, |c| element(c, kind, version))
        }
        kind::HASH_LISTPACK_EX | kind::HASH_LISTPACK_EX_PRE_GA => {
            if kind == kind::HASH_LISTPACK_EX {
                cursor.take(8)?;
            }
            cursor.skip_string()
        }
        unknown => Err(Stop::Unknown(unknown)),
    }
}

/// Passes over one element of a value that is a number of them.
pub(super) fn element(cursor: &mut Cursor<'_>, kind: u8, version: u16) -> Result<()> {
    match kind {
        kind::LIST | kind::SET | kind::LIST_QUICKLIST => cursor.skip_string(),
        kind::LIST_QUICKLIST_2 => {
            cursor.length()?;
            cursor.skip_string()
        }
        kind::HASH => {
            cursor.skip_string()?;
            cursor.skip_string()
        }
        kind::ZSET => {
            cursor.skip_string()?;
            text_score(cursor).map(|_| ())
        }
        kind::ZSET_2 => {
            cursor.skip_string()?;
            cursor.take(8).map(|_| ())
        }
        kind::HASH_METADATA_PRE_GA if version >= VALKEY => {
            cursor.skip_string()?;
            cursor.skip_string()?;
            cursor.take(8).map(|_| ())
        }
        kind::HASH_METADATA | kind::HASH_METADATA_PRE_GA => {
            cursor.length()?;
            cursor.skip_string()?;
            cursor.skip_string()
        }
        unknown => Err(Stop::Unknown(unknown)),
    }
}

/// Whether a value of type `kind` is a stream.
pub(super) fn is_stream(kind: u8, version: u16) -> bool {
    match kind {
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => true,
        kind => kind == kind::STREAM_LISTPACKS_4 && version < VALKEY,
    }
}

/// Passes over one node of a stream: its first id, and a listpack of entries.
pub(super) fn stream_node(cursor: &mut Cursor<'_>) -> Result<()> {
    cursor.skip_string()?;
    cursor.skip_string()
}

/// Passes over what stands behind a stream's nodes.
pub(super) fn stream_tail(cursor: &mut Cursor<'_>, kind: u8) -> Result<()> {
    groups(cursor, kind)?;
    match kind {
        kind::STREAM_LISTPACKS_4 => producers(cursor),
        _ => Ok(()),
    }
}

/// Passes over a module's annotated fields, its end mark included.
pub(super) fn module(cursor: &mut Cursor<'_>) -> Result<()> {
    while let Some(bytes) = module_field(cursor)? {
        cursor.take(usize::try_from(bytes).map_err(|_| Stop::Short)?)?;
    }
    Ok(())
}

/// Passes over one field of a module's value up to the bytes of its string, and gives how many there are; `None` behind the
/// end mark.
pub(super) fn module_field(cursor: &mut Cursor<'_>) -> Result<Option<u64>> {
    match cursor.length()? {
        0 => return Ok(None),
        1 | 2 => {
            cursor.length()?;
        }
        3 => {
            cursor.take(4)?;
        }
        4 => {
            cursor.take(8)?;
        }
        5 => return cursor.string_bytes().map(Some),
        _ => return bad("a module's value has an unknown field"),
    }
    Ok(Some(0))
}

/// A score as the oldest sorted sets have it: a length byte and text (`rdbLoadDoubleValue`).
pub(super) fn text_score(cursor: &mut Cursor<'_>) -> Result<f64> {
    match cursor.byte()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        length => {
            let text = cursor.take(usize::from(length))?;
            let number = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
            number.ok_or(Stop::Bad("a score is not a number"))
        }
    }
}

fn groups(cursor: &mut Cursor<'_>, kind: u8) -> Result<()> {
    // Length and last id; since version 2 also first id, greatest deleted id and entries added.
    let numbers = if kind == kind::STREAM_LISTPACKS { 3 } else { 8 };
    for _ in 0..numbers {
        cursor.length()?;
    }
    times(cursor, |c| {
        c.skip_string()?;
        let numbers = if kind == kind::STREAM_LISTPACKS { 2 } else { 3 };
        for _ in 0..numbers {
            c.length()?;
        }
        times(c, |c| {
            c.take(16 + 8)?;
            c.length().map(|_| ())
        })?;
        times(c, |c| {
            c.skip_string()?;
            c.take(if kind >= kind::STREAM_LISTPACKS_3 {
                16
            } else {
                8
            })?;
            times(c, |c| c.take(16).map(|_| ()))
        })
    })
}

/// Passes over what a stream remembers of its producers, so that an entry that is sent twice is added once: how long and
/// how many, then by producer the ids that it gave and the entries they became, then how many there ever were, and how
/// many came again.
pub(super) fn producers(cursor: &mut Cursor<'_>) -> Result<()> {
    cursor.length()?;
    cursor.length()?;
    times(cursor, |c| {
        c.skip_string()?;
        times(c, |c| {
            c.skip_string()?;
            c.length()?;
            c.length().map(|_| ())
        })
    })?;
    cursor.length()?;
    cursor.length().map(|_| ())
}

/// Reads a count, then that many of something. A count that the bytes cannot hold ends as `Short`.
fn times(
    cursor: &mut Cursor<'_>,
    mut each: impl FnMut(&mut Cursor<'_>) -> Result<()>,
) -> Result<()> {
    for _ in 0..cursor.length()? {
        each(cursor)?;
    }
    Ok(())
}
