//! The three packed containers: listpack, its predecessor ziplist, and intset.

use super::cursor::{Cursor, Result, bad};

/// The elements of a listpack (`listpack.c`), integers as their decimal text.
pub(super) fn listpack(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    let mut cursor = listpack_body(bytes)?;
    while let Some(element) = listpack_element(&mut cursor)? {
        out.push(element);
    }
    if !cursor.is_at_end() {
        return bad("a listpack goes on after its end");
    }
    Ok(out)
}

/// Checks a listpack's header, and stands before its first element.
pub(super) fn listpack_body(bytes: &[u8]) -> Result<Cursor<'_>> {
    let mut cursor = Cursor::new(bytes);
    let total = whole(cursor.array().map(u32::from_le_bytes))?;
    whole(cursor.take(2))?;
    if usize::try_from(total) != Ok(bytes.len()) {
        return bad("a listpack's size is not what it says");
    }
    Ok(cursor)
}

/// The next element; `None` at the end mark.
pub(super) fn listpack_element(cursor: &mut Cursor<'_>) -> Result<Option<Vec<u8>>> {
    whole(element(cursor))
}

fn element(cursor: &mut Cursor<'_>) -> Result<Option<Vec<u8>>> {
    let begin = cursor.position();
    let first = cursor.byte()?;
    let value = match first {
        0xff => return Ok(None),
        0x00..=0x7f => text(i64::from(first)),
        0x80..=0xbf => cursor.take(usize::from(first & 0x3f))?.to_vec(),
        0xc0..=0xdf => {
            let raw = i64::from(first & 0x1f) << 8 | i64::from(cursor.byte()?);
            // 13 bits, two's complement.
            text(if raw >= 1 << 12 { raw - (1 << 13) } else { raw })
        }
        0xe0..=0xef => {
            let length = usize::from(first & 0x0f) << 8 | usize::from(cursor.byte()?);
            cursor.take(length)?.to_vec()
        }
        0xf0 => {
            let length = u32::from_le_bytes(cursor.array()?);
            cursor.take(length as usize)?.to_vec()
        }
        0xf1 => text(i64::from(i16::from_le_bytes(cursor.array()?))),
        0xf2 => text(int24(cursor.array()?)),
        0xf3 => text(i64::from(i32::from_le_bytes(cursor.array()?))),
        0xf4 => text(i64::from_le_bytes(cursor.array()?)),
        _ => return bad("a listpack element has an unknown encoding"),
    };
    // Behind each element stands its length, for walking backwards (`lpEncodeBacklen`).
    let back = match cursor.position() - begin {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    };
    cursor.take(back)?;
    Ok(Some(value))
}

/// The elements of a ziplist (`ziplist.c`), integers as their decimal text.
pub(super) fn ziplist(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    whole(ziplist_elements(bytes))
}

fn ziplist_elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut cursor = Cursor::new(bytes);
    let total = u32::from_le_bytes(cursor.array()?);
    cursor.take(6)?;
    if usize::try_from(total) != Ok(bytes.len()) {
        return bad("a ziplist's size is not what it says");
    }
    let mut out = Vec::new();
    loop {
        match cursor.byte()? {
            0xff => break,
            0xfe => {
                cursor.take(4)?;
            }
            _ => {}
        }
        let first = cursor.byte()?;
        out.push(match first {
            0x00..=0x3f => cursor.take(usize::from(first))?.to_vec(),
            0x40..=0x7f => {
                let length = usize::from(first & 0x3f) << 8 | usize::from(cursor.byte()?);
                cursor.take(length)?.to_vec()
            }
            0x80 => {
                let length = u32::from_be_bytes(cursor.array()?);
                cursor.take(length as usize)?.to_vec()
            }
            0xc0 => text(i64::from(i16::from_le_bytes(cursor.array()?))),
            0xd0 => text(i64::from(i32::from_le_bytes(cursor.array()?))),
            0xe0 => text(i64::from_le_bytes(cursor.array()?)),
            0xf0 => text(int24(cursor.array()?)),
            0xfe => text(i64::from(i8::from_le_bytes(cursor.array()?))),
            0xf1..=0xfd => text(i64::from(first & 0x0f) - 1),
            _ => return bad("a ziplist element has an unknown encoding"),
        });
    }
    if !cursor.is_at_end() {
        return bad("a ziplist goes on after its end");
    }
    Ok(out)
}

/// The numbers of an intset (`intset.c`) as their decimal texts.
pub(super) fn intset(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    whole(intset_elements(bytes))
}

fn intset_elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut cursor = Cursor::new(bytes);
    let width = u32::from_le_bytes(cursor.array()?);
    let count = u32::from_le_bytes(cursor.array()?);
    let mut out = Vec::new();
    for _ in 0..count {
        out.push(text(match width {
            2 => i64::from(i16::from_le_bytes(cursor.array()?)),
            4 => i64::from(i32::from_le_bytes(cursor.array()?)),
            8 => i64::from_le_bytes(cursor.array()?),
            _ => return bad("an intset has an unknown width"),
        }));
    }
    if !cursor.is_at_end() {
        return bad("an intset is longer than it says");
    }
    Ok(out)
}

/// Inside a container everything must be there: what is short is malformed.
pub(super) fn whole<T>(result: Result<T>) -> Result<T> {
    match result {
        Err(super::Stop::Short) => bad("a packed container is cut off"),
        other => other,
    }
}

fn text(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn int24(bytes: [u8; 3]) -> i64 {
    // Into the upper bytes and back, for the sign.
    i64::from(i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8)
}
