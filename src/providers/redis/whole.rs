//! The rows of keys that come whole or in pieces.

use crate::capture::PartInfo;
use crate::error::{Error, Result};

use super::gather::{ROWS, ROWS_1};
use super::rdb::{self, Entry, Large, Piece, Row, Value};
use super::{INCOMPARABLE, MALFORMED};

/// Rows of a key, and whether they are the last of it.
pub(super) type Rows = (Vec<Row>, bool);

/// Puts the pieces of one key after the other together, as far as their rows need it.
#[derive(Default)]
pub(super) struct Assembly {
    open: Option<Large>,
    /// As parts of an earlier version had them.
    undivided: bool,
}

impl Assembly {
    /// Gives the rows that a part's fingerprint was taken of.
    ///
    /// # Errors
    /// `redis.unknown-format` for rows of a newer version.
    pub(super) fn as_described(part: &PartInfo) -> Result<Self> {
        let rows = part.meta.get("rows").and_then(|rows| rows.as_str());
        let undivided = match rows {
            None | Some(ROWS) => false,
            Some(ROWS_1) => true,
            Some(other) => {
                return Err(Error::new(
                    &INCOMPARABLE,
                    format!(
                        "the fingerprint of part `{}` is of rows in the form `{other}`, which is not known",
                        part.name
                    ),
                ));
            }
        };
        Ok(Assembly {
            undivided,
            ..Assembly::default()
        })
    }

    /// Takes an entry with its decoded value; gives the rows that are ready with it: most only when the key is complete.
    ///
    /// # Errors
    /// `redis.malformed-dump` if pieces are missing or mixed up.
    pub(super) fn rows(&mut self, database: u32, entry: &Entry, value: &Value) -> Result<Rows> {
        let broken = || {
            Error::new(
                &MALFORMED,
                format!(
                    "the pieces of key `{}` in database {database} do not fit together",
                    entry.key.escape_ascii()
                ),
            )
        };
        let open = self.open.take();
        let mut large = match (entry.piece, open) {
            (Piece::Whole, None) => {
                let rows = match self.undivided {
                    true => rdb::undivided(database, &entry.key, entry.expiry, value),
                    false => rdb::rows(database, &entry.key, entry.expiry, value),
                };
                return Ok((rows, true));
            }
            (Piece::First, None) => Large::new(database, &entry.key, entry.expiry),
            (Piece::Middle | Piece::Last, Some(open)) if open.is_of(database, &entry.key) => open,
            _ => return Err(broken()),
        };
        if !large.add(value) {
            return Err(broken());
        }
        if entry.piece == Piece::Last {
            return Ok((large.finish(), true));
        }
        let ready = large.ready();
        self.open = Some(large);
        Ok((ready, false))
    }

    /// Refuses a part that ends in the middle of a key.
    pub(super) fn closed(&self, part: &str) -> Result<()> {
        match self.open {
            None => Ok(()),
            Some(_) => Err(Error::new(
                &MALFORMED,
                format!("the part `{part}` ends in the middle of a key"),
            )),
        }
    }
}
