//! The RDB format: reading a server's snapshot, cutting values out of it, and decoding them.
//!
//! Written from Redis's own `rdb.c`, `listpack.c`, `ziplist.c`, `intset.c`, `t_stream.c` and `lzf_d.c`, for RDB versions
//! up to 13 (Redis 8.6) and 80 (Valkey 9). A type this reader does not know is an error that names it, never a
//! guess: its length could not be told. Nothing here panics or allocates more than its input can justify.

pub mod crc64;
mod cursor;
mod cut;
mod file;
mod fragments;
mod large;
mod lzf;
mod packed;
mod payload;
mod rows;
mod skip;
mod stream;
mod value;

pub use cursor::{Cursor, Result, Stop};
pub use cut::{Cutting, begin, unpacked};
pub use file::{Entry, Header, Item, Piece, Usage, header, item, item_unsealed};
pub use fragments::Fragments;
pub use large::{Large, StreamSum};
pub use payload::{FOOTER, Payload, function_dump, functions, library_name};
pub use rows::{Row, function_row, rows, rows_2, string_row, undivided};
pub use stream::Stream;
pub use value::{Field, Value, decode};

/// Value types of `rdb.h`.
pub mod kind {
    #![expect(missing_docs, reason = "the names are those of rdb.h")]
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// Redis 7.4 release candidates; in Valkey 9 the same number is `RDB_TYPE_HASH_2`.
    pub const HASH_METADATA_PRE_GA: u8 = 22;
    pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    pub const HASH_METADATA: u8 = 24;
    pub const HASH_LISTPACK_EX: u8 = 25;
    /// Redis 8.6: with the ids that producers gave their entries.
    pub const STREAM_LISTPACKS_4: u8 = 26;
}

/// From this RDB version on, the numbers are Valkey's (`rdb.h` of Valkey 9: `RDB_VERSION 80`).
pub const VALKEY: u16 = 80;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
