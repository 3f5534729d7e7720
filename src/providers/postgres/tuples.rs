//! COPY's binary format, row by row (PostgreSQL documentation, COPY, "Binary Format"), and which types may travel in it.
//!
//! The bytes of a part are the very stream that `COPY … WITH (FORMAT binary)` gives and takes. Only types whose binary form is the
//! same on every server and version are moved like this: nothing that names an OID, nothing of an extension we do not know.

use std::collections::BTreeMap;

use super::BAD_PART;
use super::wire::Piece;
use crate::error::{Error, Result};

/// The signature that the stream begins with; flags and the length of an extension follow, four bytes each.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The whole head, where there is no extension: no server has ever written one.
pub(super) const HEAD: usize = SIGNATURE.len() + 8;
/// What ends the stream in place of a row's number of fields.
pub(super) const TRAILER: [u8; 2] = [0xff, 0xff];
/// The first OID that is not the same in every database (src/include/access/transam.h, `FirstNormalObjectId`).
const FIRST_OWN_OID: i64 = 16384;

/// Built-in types whose binary form depends on nothing but the value.
const PLAIN: &[&str] = &[
    "bool",
    "bytea",
    "char",
    "name",
    "int8",
    "int2",
    "int4",
    "text",
    "float4",
    "float8",
    "bpchar",
    "varchar",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "timetz",
    "bit",
    "varbit",
    "numeric",
    "uuid",
    "json",
    "jsonb",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "point",
    "lseg",
    "path",
    "box",
    "polygon",
    "line",
    "circle",
    "tsvector",
    "pg_lsn",
    "money",
];
/// Types of extensions that have kept theirs.
const OF_EXTENSIONS: &[&str] = &["vector", "halfvec", "citext"];

/// A type as the catalogue has it.
#[derive(Debug, Clone)]
pub(super) struct Type {
    pub oid: i64,
    pub name: String,
    /// `pg_type.typtype`.
    pub kind: String,
    /// Whether `array_send` writes it.
    pub is_array: bool,
    /// What it is made of: a domain's base, an array's element, a range's subtype.
    pub of: i64,
    /// A composite's columns.
    pub columns: Vec<i64>,
    /// Whether an extension owns it.
    pub of_extension: bool,
}

/// Whether values of a type have one binary form, wherever they go.
pub(super) fn is_safe(types: &BTreeMap<i64, Type>, oid: i64) -> bool {
    safe_within(types, oid, 8)
}

fn safe_within(types: &BTreeMap<i64, Type>, oid: i64, depth: u8) -> bool {
    let Some(ty) = types.get(&oid) else {
        return false;
    };
    if depth == 0 {
        return false;
    }
    // Arrays and composites carry the OIDs of what they hold.
    let carried = |inner: i64| inner < FIRST_OWN_OID && safe_within(types, inner, depth - 1);
    match ty.kind.as_str() {
        "b" if ty.is_array => carried(ty.of),
        "b" if ty.oid < FIRST_OWN_OID => PLAIN.contains(&ty.name.as_str()),
        "b" => ty.of_extension && OF_EXTENSIONS.contains(&ty.name.as_str()),
        "c" => ty.columns.iter().all(|column| carried(*column)),
        "d" | "r" | "m" => safe_within(types, ty.of, depth - 1),
        // An enum's binary form is its label.
        "e" => true,
        _ => false,
    }
}

/// The head of a stream.
pub(super) fn head() -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..SIGNATURE.len()].copy_from_slice(SIGNATURE);
    head
}

/// Checks the head of a stream, and says where the rows begin.
pub(super) fn after_head(bytes: &[u8]) -> Result<usize> {
    let fits = bytes.len() >= HEAD
        && bytes.starts_with(SIGNATURE)
        && bytes[SIGNATURE.len()..HEAD].iter().all(|b| *b == 0);
    if fits {
        Ok(HEAD)
    } else {
        Err(damaged("it does not begin as COPY's binary format does"))
    }
}

fn damaged(what: &str) -> Error {
    Error::new(&BAD_PART, what)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Head,
    Fields,
    Length,
    Body(usize),
    End,
}

/// Splits a binary stream that is cut at arbitrary places into rows; a row of any size passes in pieces.
pub(super) struct Tuples {
    at: At,
    /// A number, or the head, that is not complete yet.
    scratch: Vec<u8>,
    /// Fields of the present row that are still to come.
    fields: usize,
    /// Whether a part of the present row was handed on already.
    inside: bool,
    /// The number of fields every row must have.
    expected: Option<usize>,
}

impl Tuples {
    /// Rows of this many fields, or of whatever number they say.
    pub(super) fn new(expected: Option<usize>) -> Self {
        Tuples {
            at: At::Head,
            scratch: Vec::new(),
            fields: 0,
            inside: false,
            expected,
        }
    }

    /// Calls `each` with every row or piece of one.
    pub(super) fn feed(&mut self, data: &[u8], mut each: impl FnMut(Piece<'_>)) -> Result<()> {
        let mut i = 0;
        // Where the present row's bytes begin in this stretch.
        let mut start = 0;
        while i < data.len() {
            match self.at {
                At::Head => {
                    i += self.gather(&data[i..], HEAD);
                    if self.scratch.len() == HEAD {
                        after_head(&self.scratch)?;
                        self.step(At::Fields);
                    }
                    start = i;
                }
                At::Fields => {
                    if self.scratch.is_empty() {
                        start = i;
                        // Most rows lie here whole.
                        if let Some(length) = self.whole(&data[i..])? {
                            each(Piece {
                                bytes: &data[i..i + length],
                                first: true,
                                last: true,
                            });
                            i += length;
                            start = i;
                            continue;
                        }
                    }
                    let earlier = self.scratch.len();
                    i += self.gather(&data[i..], 2);
                    if let [high, low] = self.scratch[..] {
                        let count = [high, low];
                        if count == TRAILER {
                            self.step(At::End);
                            start = i;
                            continue;
                        }
                        self.fields = self.count(count)?;
                        self.step(At::Length);
                        if earlier > 0 {
                            // Its first byte came with the stretch before, when it could still have been the trailer.
                            each(Piece {
                                bytes: &count,
                                first: true,
                                last: self.fields == 0,
                            });
                            self.inside = self.fields > 0;
                            start = i;
                            if self.fields == 0 {
                                self.step(At::Fields);
                            }
                            continue;
                        }
                        self.next_field(data, i, &mut start, &mut each);
                    }
                }
                At::Length => {
                    i += self.gather(&data[i..], 4);
                    if let [a, b, c, d] = self.scratch[..] {
                        let body = field_length([a, b, c, d])?;
                        self.fields -= 1;
                        self.step(At::Body(body));
                        if body == 0 {
                            self.step(At::Length);
                            self.next_field(data, i, &mut start, &mut each);
                        }
                    }
                }
                At::Body(left) => {
                    let take = left.min(data.len() - i);
                    i += take;
                    self.at = At::Body(left - take);
                    if take == left {
                        self.step(At::Length);
                        self.next_field(data, i, &mut start, &mut each);
                    }
                }
                At::End => return Err(damaged("it goes on after its end")),
            }
        }
        let within = matches!(self.at, At::Length | At::Body(_));
        if within && start < data.len() {
            each(Piece {
                bytes: &data[start..],
                first: !self.inside,
                last: false,
            });
            self.inside = true;
        }
        Ok(())
    }

    /// The stream must be complete.
    pub(super) fn end(self) -> Result<()> {
        if self.at == At::End {
            Ok(())
        } else {
            Err(damaged("the last row is incomplete"))
        }
    }

    fn step(&mut self, at: At) {
        self.at = at;
        self.scratch.clear();
    }

    fn gather(&mut self, data: &[u8], wanted: usize) -> usize {
        let take = (wanted - self.scratch.len()).min(data.len());
        self.scratch.extend_from_slice(&data[..take]);
        take
    }

    fn count(&self, bytes: [u8; 2]) -> Result<usize> {
        let count = usize::try_from(i16::from_be_bytes(bytes))
            .map_err(|_| damaged("a row has a negative number of fields"))?;
        if self.expected.is_some_and(|expected| expected != count) {
            return Err(damaged("a row does not have the table's number of columns"));
        }
        Ok(count)
    }

    /// Ends the row if it has no more fields.
    fn next_field(
        &mut self,
        data: &[u8],
        i: usize,
        start: &mut usize,
        each: &mut impl FnMut(Piece<'_>),
    ) {
        if self.fields > 0 {
            return;
        }
        each(Piece {
            bytes: &data[*start..i],
            first: !self.inside,
            last: true,
        });
        self.inside = false;
        *start = i;
        self.step(At::Fields);
    }

    /// The length of the row that begins here, if it is here whole and is not the trailer.
    fn whole(&self, data: &[u8]) -> Result<Option<usize>> {
        let Some(count) = data.get(..2) else {
            return Ok(None);
        };
        if count == TRAILER {
            return Ok(None);
        }
        let mut at = 2;
        for _ in 0..self.count([count[0], count[1]])? {
            let Some(length) = data.get(at..at + 4) else {
                return Ok(None);
            };
            at += 4 + field_length([length[0], length[1], length[2], length[3]])?;
        }
        Ok((at <= data.len()).then_some(at))
    }
}

/// A field's length; NULL is -1 and has no bytes.
fn field_length(bytes: [u8; 4]) -> Result<usize> {
    match i32::from_be_bytes(bytes) {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| damaged("a field has a negative length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(rows: &[Vec<Option<Vec<u8>>>]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut all = SIGNATURE.to_vec();
        all.extend_from_slice(&[0; 8]);
        let mut tuples = Vec::new();
        for row in rows {
            let mut tuple = (row.len() as i16).to_be_bytes().to_vec();
            for field in row {
                match field {
                    None => tuple.extend_from_slice(&(-1_i32).to_be_bytes()),
                    Some(bytes) => {
                        tuple.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                        tuple.extend_from_slice(bytes);
                    }
                }
            }
            all.extend_from_slice(&tuple);
            tuples.push(tuple);
        }
        all.extend_from_slice(&TRAILER);
        (all, tuples)
    }

    fn split(all: &[u8], step: usize, expected: Option<usize>) -> Result<Vec<Vec<u8>>> {
        let mut tuples = Tuples::new(expected);
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        for chunk in all.chunks(step) {
            tuples.feed(chunk, |piece| {
                assert_eq!(piece.first, !open, "pieces follow each other");
                if piece.first {
                    seen.push(Vec::new());
                }
                if let Some(row) = seen.last_mut() {
                    row.extend_from_slice(piece.bytes);
                }
                open = !piece.last;
            })?;
        }
        tuples.end()?;
        Ok(seen)
    }

    proptest::proptest! {
        #[test]
        fn rows_do_not_depend_on_where_chunks_end(
            rows in proptest::collection::vec(
                proptest::collection::vec(proptest::option::of(proptest::collection::vec(0_u8..=255, 0..9)), 3),
                0..12,
            ),
            step in 1_usize..40,
        ) {
            let (all, tuples) = stream(&rows);
            proptest::prop_assert_eq!(split(&all, step, Some(3)).expect("splits"), tuples);
            // Cut short, it is never taken for complete.
            for end in 0..all.len() {
                proptest::prop_assert!(split(&all[..end], step, Some(3)).is_err());
            }
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(0_u8..=255, 0..200), step in 1_usize..30) {
            let (mut all, _) = stream(&[vec![Some(vec![1])]]);
            all.truncate(all.len() - 2);
            all.extend_from_slice(&noise);
            let _ = split(&all, step, None);
        }
    }

    #[test]
    fn rows_without_columns_and_other_numbers_of_columns() {
        let (all, tuples) = stream(&[vec![], vec![]]);
        assert_eq!(split(&all, 1, Some(0)).expect("splits"), tuples);
        split(&all, 7, Some(1)).expect_err("has no column");
    }

    #[test]
    fn only_types_that_mean_the_same_everywhere_are_safe() {
        let ty = |oid: i64, name: &str, kind: &str, of: i64| Type {
            oid,
            name: name.into(),
            kind: kind.into(),
            is_array: name.starts_with('_'),
            of,
            columns: Vec::new(),
            of_extension: name == "vector" || name == "strange",
        };
        let mut types: BTreeMap<i64, Type> = [
            ty(23, "int4", "b", 0),
            ty(1007, "_int4", "b", 23),
            ty(2205, "regclass", "b", 0),
            ty(20000, "mood", "e", 0),
            ty(20001, "_mood", "b", 20000),
            ty(20002, "percent", "d", 23),
            ty(20003, "vector", "b", 0),
            ty(20004, "strange", "b", 0),
            ty(20005, "span", "r", 20002),
        ]
        .into_iter()
        .map(|t| (t.oid, t))
        .collect();
        let mut pair = ty(20006, "pair", "c", 0);
        pair.columns = vec![23, 1007];
        types.insert(pair.oid, pair.clone());
        pair.oid = 20007;
        pair.columns = vec![23, 20000];
        types.insert(pair.oid, pair);
        for safe in [23, 1007, 20000, 20002, 20003, 20005, 20006] {
            assert!(is_safe(&types, safe), "{safe}");
        }
        for unsafe_one in [2205, 20001, 20004, 20007, 99999] {
            assert!(!is_safe(&types, unsafe_one), "{unsafe_one}");
        }
    }
}
