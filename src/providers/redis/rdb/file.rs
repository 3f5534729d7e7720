//! A snapshot file, item by item: the header, then databases, keys, libraries and notes until the end mark.

use super::cursor::{Cursor, Result, Stop, bad};
use super::payload::FUNCTION2;
use super::{Payload, VALKEY, skip};

/// The beginning of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The RDB version.
    pub version: u16,
}

/// One key, its value cut out as a `DUMP` payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// When it expires, in milliseconds since the epoch; 0 is never.
    pub expiry: u64,
    /// How it was used, where the server evicts by that.
    pub usage: Usage,
    /// Whether the payload is all of the value.
    pub piece: Piece,
    /// Whether it is some bytes of one payload that is larger than memory, and no value by itself.
    pub fragment: bool,
    /// The value, or a piece of it, as `RESTORE` takes it.
    pub payload: Vec<u8>,
}

/// Which part of a value a payload is. Large ones come in pieces, each a value of the same type with some of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Piece {
    /// All of it.
    #[default]
    Whole,
    /// The first of several.
    First,
    /// Neither the first nor the last.
    Middle,
    /// The last of several.
    Last,
}

/// How a key was used: what a server that evicts by age or frequency keeps of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// The server keeps nothing.
    #[default]
    Unknown,
    /// Seconds since it was last used.
    Idle(u64),
    /// The logarithmic counter of its uses.
    Frequency(u8),
}

/// One item of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A note of the server on itself, such as `redis-ver` or `ctime`.
    Aux(Vec<u8>, Vec<u8>),
    /// The keys that follow belong to this database.
    Database(u32),
    /// A key.
    Key(Entry),
    /// A function library's code.
    Function(Vec<u8>),
    /// Data that a module keeps outside of keys, by the module's name.
    ModuleData(String),
    /// Something that carries no data: size hints, slots.
    Hint,
    /// Slots that the server is taking over, whose keys are its own only when it has them all.
    Moving,
    /// The end mark; the checksum of everything up to here follows in 8 bytes.
    End,
}

/// Length of the header: `REDIS` or `VALKEY`, then the version in the digits that are left.
const HEADER: usize = 9;

/// Reads the header; gives its length too.
pub fn header(bytes: &[u8]) -> Result<(Header, usize)> {
    let mut cursor = Cursor::new(bytes);
    let magic = cursor.take(HEADER)?;
    let digits = magic
        .strip_prefix(b"REDIS")
        .or_else(|| magic.strip_prefix(b"VALKEY"));
    let version = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok());
    match version {
        Some(version) => Ok((Header { version }, cursor.position())),
        None => bad("the snapshot does not begin as one"),
    }
}

/// Reads one item; gives its length too. [`Stop::Short`] asks for more bytes.
pub fn item(bytes: &[u8], version: u16) -> Result<(Item, usize)> {
    let mut cursor = Cursor::new(bytes);
    let item = next(&mut cursor, version, Payload::build)?;
    Ok((item, cursor.position()))
}

/// Reads one item, its payload without a checksum: for values that are only looked at.
pub fn item_unsealed(bytes: &[u8], version: u16) -> Result<(Item, usize)> {
    let mut cursor = Cursor::new(bytes);
    let item = next(&mut cursor, version, Payload::build_unsealed)?;
    Ok((item, cursor.position()))
}

type Build = fn(u8, &[u8], u16) -> Vec<u8>;

fn next(cursor: &mut Cursor<'_>, version: u16, build: Build) -> Result<Item> {
    let mut expiry = 0;
    let mut usage = Usage::Unknown;
    loop {
        match cursor.byte()? {
            255 => return Ok(Item::End),
            254 => {
                let database = u32::try_from(cursor.length()?)
                    .map_err(|_| Stop::Bad("a database's number is too large"))?;
                return Ok(Item::Database(database));
            }
            253 => expiry = u64::from(u32::from_le_bytes(cursor.array()?)) * 1_000,
            252 => expiry = cursor.millis()?,
            251 => {
                cursor.length()?;
                cursor.length()?;
                return Ok(Item::Hint);
            }
            250 => {
                let (name, value) = (cursor.string()?, cursor.string()?);
                return Ok(Item::Aux(name.into_owned(), value.into_owned()));
            }
            // LFU counter and LRU age of the key that follows.
            249 => usage = Usage::Frequency(cursor.byte()?),
            248 => usage = Usage::Idle(cursor.length()?),
            247 => return module_data(cursor),
            FUNCTION2 => return Ok(Item::Function(cursor.string()?.into_owned())),
            244 => {
                for _ in 0..3 {
                    cursor.length()?;
                }
                return Ok(Item::Hint);
            }
            // A slot that is being moved, in Valkey 9; keys' module metadata in Redis 8.6, which are not known.
            243 if version >= VALKEY => {
                cursor.skip_string()?;
                for _ in 0..cursor.length()? {
                    cursor.length()?;
                    cursor.length()?;
                }
                return Ok(Item::Moving);
            }
            kind @ 0..=242 => {
                let key = cursor.string()?.into_owned();
                let begin = cursor.position();
                skip::value(cursor, kind, version)?;
                return Ok(Item::Key(Entry {
                    key,
                    expiry,
                    usage,
                    piece: Piece::Whole,
                    fragment: false,
                    payload: build(kind, cursor.since(begin), version),
                }));
            }
            unknown => return Err(Stop::Unknown(unknown)),
        }
    }
}

fn module_data(cursor: &mut Cursor<'_>) -> Result<Item> {
    let id = cursor.length()?;
    // When to load it: an opcode (2, unsigned) and a number.
    cursor.length()?;
    cursor.length()?;
    skip::module(cursor)?;
    Ok(Item::ModuleData(module_name(id)))
}

/// A module's nine-character name is the upper 54 bits of its id, 6 bits a character (`moduleTypeNameByID`).
pub(super) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9)
        .map(|at| char::from(LETTERS[(id >> (58 - 6 * at) & 0x3f) as usize]))
        .collect()
}
