//! The rows of keys that come whole or in pieces.

use crate::capture::PartInfo;
use crate::error::{Error, Result};

use super::gather::{ROWS, ROWS_1, ROWS_2};
use super::rdb::{self, Entry, Fragments, Large, Piece, Row, Value};
use super::{INCOMPARABLE, MALFORMED, record};

/// Rows of a key, and whether they are the last of it.
pub(super) type Rows = (Vec<Row>, bool);

/// Puts the pieces of one key after the other together, as far as their rows need it.
#[derive(Default)]
pub(super) struct Assembly {
    open: Option<Open>,
    form: Form,
}

enum Open {
    Pieces(Box<Large>),
    Fragments(Box<Fragments>),
}

/// How the rows of keys look.
#[derive(Default, Clone, Copy)]
enum Form {
    One,
    Two,
    #[default]
    Ours,
}

impl Assembly {
    /// Gives the rows that a part's fingerprint was taken of.
    ///
    /// # Errors
    /// `redis.unknown-format` for rows of a newer version.
    pub(super) fn as_described(part: &PartInfo) -> Result<Self> {
        let rows = part.meta.get("rows").and_then(|rows| rows.as_str());
        let form = match rows {
            None | Some(ROWS) => Form::Ours,
            Some(ROWS_2) => Form::Two,
            Some(ROWS_1) => Form::One,
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
        Ok(Assembly { open: None, form })
    }

    /// Takes an entry; gives the rows that are ready with it, most only when the key is complete, and its value, which a fragment
    /// does not have. What was just cut out of a snapshot, whose own checksum covers it, is not checked again.
    ///
    /// # Errors
    /// `redis.malformed-dump` if pieces are damaged, missing or mixed up.
    pub(super) fn take(
        &mut self,
        database: u32,
        entry: &Entry,
        fresh: bool,
    ) -> Result<(Rows, Option<Value>)> {
        if entry.fragment {
            return Ok((self.fragment(database, entry)?, None));
        }
        let value = match fresh {
            true => record::fresh_value(database, entry)?,
            false => record::value(database, entry)?,
        };
        Ok((self.rows(database, entry, &value)?, Some(value)))
    }

    fn fragment(&mut self, database: u32, entry: &Entry) -> Result<Rows> {
        let damaged = |stop| record::entry_error(database, &entry.key, stop);
        let payload = &entry.payload;
        let mut fragments = match (entry.piece, self.open.take()) {
            (Piece::First, None) => {
                let first = Fragments::begin(database, &entry.key, entry.expiry, payload);
                self.open = Some(Open::Fragments(Box::new(first.map_err(damaged)?)));
                return Ok((Vec::new(), false));
            }
            (Piece::Middle | Piece::Last, Some(Open::Fragments(open)))
                if open.is_of(database, &entry.key) =>
            {
                open
            }
            _ => return Err(broken(database, entry)),
        };
        if entry.piece == Piece::Last {
            return Ok((fragments.end(payload).map_err(damaged)?, true));
        }
        fragments.add(payload).map_err(damaged)?;
        self.open = Some(Open::Fragments(fragments));
        Ok((Vec::new(), false))
    }

    fn rows(&mut self, database: u32, entry: &Entry, value: &Value) -> Result<Rows> {
        let mut large = match (entry.piece, self.open.take()) {
            (Piece::Whole, None) => {
                let rows = match self.form {
                    Form::One => rdb::undivided,
                    Form::Two => rdb::rows_2,
                    Form::Ours => rdb::rows,
                };
                return Ok((rows(database, &entry.key, entry.expiry, value), true));
            }
            (Piece::First, None) => Box::new(Large::new(database, &entry.key, entry.expiry)),
            (Piece::Middle | Piece::Last, Some(Open::Pieces(open)))
                if open.is_of(database, &entry.key) =>
            {
                open
            }
            _ => return Err(broken(database, entry)),
        };
        if !large.add(value) {
            return Err(broken(database, entry));
        }
        if entry.piece == Piece::Last {
            return Ok((large.finish(), true));
        }
        let ready = large.ready();
        self.open = Some(Open::Pieces(large));
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

fn broken(database: u32, entry: &Entry) -> Error {
    Error::new(
        &MALFORMED,
        format!(
            "the pieces of key `{}` in database {database} do not fit together",
            entry.key.escape_ascii()
        ),
    )
}
