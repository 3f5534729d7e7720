//! The rows of keys that come whole or in pieces.

use crate::error::{Error, Result};

use super::MALFORMED;
use super::rdb::{self, Entry, Large, Piece, Row, Value};

/// Puts the pieces of one key after the other together, as far as their rows need it.
#[derive(Default)]
pub(super) struct Assembly {
    open: Option<Large>,
}

impl Assembly {
    /// Takes an entry with its decoded value; gives the rows of the key once it is complete.
    ///
    /// # Errors
    /// `redis.malformed-dump` if pieces are missing or mixed up.
    pub(super) fn rows(
        &mut self,
        database: u32,
        entry: &Entry,
        value: &Value,
    ) -> Result<Option<Vec<Row>>> {
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
                return Ok(Some(rdb::rows(database, &entry.key, entry.expiry, value)));
            }
            (Piece::First, None) => Large::new(database, &entry.key, entry.expiry),
            (Piece::Middle | Piece::Last, Some(open)) if open.is_of(database, &entry.key) => open,
            _ => return Err(broken()),
        };
        if !large.add(value) {
            return Err(broken());
        }
        if entry.piece == Piece::Last {
            return Ok(Some(large.finish()));
        }
        self.open = Some(large);
        Ok(None)
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
