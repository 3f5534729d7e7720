//! What a snapshot file that a server wrote says of itself.

use std::io::Read as _;
use std::path::Path;

use super::rdb::{self, Item};
use crate::error::{Error, Result};
use crate::time::Instant;

/// The words before the first key take far less.
const HEAD: u64 = 64 << 10;

/// A snapshot file of Redis or Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the file's format.
    pub format: u16,
    /// The version of the server that wrote it, as it says.
    pub server_version: Option<String>,
    /// When it was written, as it says.
    pub made: Option<Instant>,
}

/// What a file is, if it is a snapshot.
pub fn describe(path: &Path) -> Result<Option<Snapshot>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut head = Vec::new();
    file.take(HEAD)
        .read_to_end(&mut head)
        .map_err(|e| Error::io("read", path, e))?;
    let Ok((header, mut at)) = rdb::header(&head) else {
        return Ok(None);
    };
    let mut snapshot = Snapshot {
        format: header.version,
        server_version: None,
        made: None,
    };
    while let Ok((Item::Aux(name, value), used)) = rdb::item(&head[at..], header.version) {
        at += used;
        let value = String::from_utf8_lossy(&value).into_owned();
        match name.as_slice() {
            b"redis-ver" | b"valkey-ver" => snapshot.server_version = Some(value),
            b"ctime" => {
                let seconds: Option<i64> = value.parse().ok();
                snapshot.made = seconds.map(|s| Instant::from_millis(s.saturating_mul(1_000)));
            }
            _ => {}
        }
    }
    Ok(Some(snapshot))
}
