//! Fragments of one payload, checked and summed as they come: none of them is a value by itself.

use super::cursor::{Cursor, Result, Stop, bad};
use super::large::{LARGE, Large, StreamSum};
use super::rows::Row;
use super::{FOOTER, crc64, kind, skip, stream};

/// A payload that comes in fragments.
pub struct Fragments {
    kind: u8,
    crc: u64,
    what: What,
}

enum What {
    Module {
        sum: Large,
        /// The value, as long as it is small: then it has the form of its content.
        few: Option<Vec<u8>>,
    },
    Stream {
        sum: StreamSum,
        /// Nodes that did not come yet.
        nodes: u64,
        /// What stands behind them.
        tail: Vec<u8>,
    },
}

impl Fragments {
    /// Begins with the first fragment of a key.
    pub fn begin(database: u32, key: &[u8], expiry: u64, payload: &[u8]) -> Result<Fragments> {
        let Some((&kind, body)) = payload.split_first() else {
            return bad("a fragment is empty");
        };
        let (what, body) = if kind == kind::MODULE_2 {
            let what = What::Module {
                sum: Large::new(database, key, expiry),
                few: Some(Vec::new()),
            };
            (what, body)
        } else if skip::is_stream(kind, 0) {
            let mut cursor = Cursor::new(body);
            let what = What::Stream {
                nodes: cursor.length()?,
                sum: StreamSum::new(database, key, expiry),
                tail: Vec::new(),
            };
            (what, &body[cursor.position()..])
        } else {
            return Err(Stop::Unknown(kind));
        };
        let mut fragments = Fragments {
            kind,
            crc: crc64::update(0, payload),
            what,
        };
        fragments.take(body)?;
        Ok(fragments)
    }

    /// Whether a fragment belongs to this key.
    pub fn is_of(&self, database: u32, key: &[u8]) -> bool {
        match &self.what {
            What::Module { sum, .. } => sum.is_of(database, key),
            What::Stream { sum, .. } => sum.is_of(database, key),
        }
    }

    /// Adds one that is neither the first nor the last.
    pub fn add(&mut self, payload: &[u8]) -> Result<()> {
        self.crc = crc64::update(self.crc, payload);
        self.take(payload)
    }

    /// Adds the last one, which ends with the payload's footer; gives the rows.
    pub fn end(mut self, payload: &[u8]) -> Result<Vec<Row>> {
        let Some(body) = payload.len().checked_sub(FOOTER) else {
            return bad("a dump is shorter than its footer");
        };
        let (summed, stored) = payload.split_at(payload.len() - 8);
        let mut cursor = Cursor::new(stored);
        let stored = cursor.millis()?;
        // Redis leaves it 0 where checksums are turned off.
        if stored != 0 && stored != crc64::update(self.crc, summed) {
            return bad("a dump's checksum is wrong");
        }
        let version = u16::from_le_bytes([payload[body], payload[body + 1]]);
        self.take(&payload[..body])?;
        match self.what {
            What::Module {
                sum,
                few: Some(bytes),
            } => Ok(sum.of_small(bytes)),
            What::Module { sum, few: None } => Ok(sum.finish()),
            What::Stream { nodes: 1.., .. } => bad("a value is cut off"),
            What::Stream { .. } if !skip::is_stream(self.kind, version) => {
                Err(Stop::Unknown(self.kind))
            }
            What::Stream { sum, tail, .. } => {
                let mut cursor = Cursor::new(&tail);
                let stream = stream::tail(&mut cursor, self.kind, sum.count())?;
                match cursor.is_at_end() {
                    true => Ok(sum.finish(stream)),
                    false => bad("a value is longer than it says"),
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.what {
            What::Module { sum, few } => match few {
                Some(few) if few.len() + bytes.len() < LARGE => few.extend_from_slice(bytes),
                _ => {
                    sum.add_module(&few.take().unwrap_or_default());
                    sum.add_module(bytes);
                }
            },
            What::Stream { sum, nodes, tail } => {
                let mut cursor = Cursor::new(bytes);
                // They are cut between nodes. A heap of a fragment's entries would leave holes that no large buffer fits into.
                let mut entries = Vec::new();
                while *nodes > 0 && !cursor.is_at_end() {
                    stream::node(&mut cursor, &mut entries)?;
                    sum.add(&mut entries);
                    *nodes -= 1;
                }
                tail.extend_from_slice(&bytes[cursor.position()..]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::cut;
    use super::super::{Entry, Payload, Piece, rows};
    use super::*;

    fn length(n: usize) -> Vec<u8> {
        [vec![0x80], (n as u32).to_be_bytes().to_vec()].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [length(bytes.len()), bytes.to_vec()].concat()
    }

    /// Elements of up to 16 KiB; what stands behind each is as long as it must be, and is not read.
    fn listpack(elements: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for element in elements {
            body.push(0xF0);
            body.extend((element.len() as u32).to_le_bytes());
            body.extend_from_slice(element);
            body.extend(vec![0; if element.len() + 5 <= 127 { 1 } else { 2 }]);
        }
        let total = (body.len() + 7) as u32;
        let head = [
            &total.to_le_bytes()[..],
            &(elements.len() as u16).to_le_bytes(),
        ]
        .concat();
        [head, body, vec![0xFF]].concat()
    }

    /// A stream of one entry in each node, and a group without consumers.
    fn stream_of(values: &[Vec<u8>]) -> Vec<u8> {
        let mut out = length(values.len());
        for (at, value) in values.iter().enumerate() {
            let id = [(at as u64 + 1).to_be_bytes(), 0_u64.to_be_bytes()].concat();
            let entry: [&[u8]; 10] = [b"1", b"0", b"1", b"f", b"0", b"2", b"0", b"0", value, b"4"];
            out.extend(string(&id));
            out.extend(string(&listpack(&entry)));
        }
        let n = values.len();
        for number in [n, n, 0, 1, 0, 0, 0, n] {
            out.extend(length(number));
        }
        out.extend(length(1));
        out.extend(string(b"group"));
        for number in [3, 0, 1, 0, 0] {
            out.extend(length(number));
        }
        out
    }

    /// A module's value with a field of each kind.
    fn module_of(values: &[Vec<u8>]) -> Vec<u8> {
        let mut out = length(4_000_000);
        for value in values {
            out.extend(length(5));
            out.extend(string(value));
            out.extend(
                [
                    length(2),
                    length(9),
                    length(3),
                    vec![0; 4],
                    length(4),
                    vec![0; 8],
                ]
                .concat(),
            );
        }
        out.extend(length(0));
        out
    }

    fn summed(entries: &[Entry]) -> Result<Vec<Row>> {
        let (first, rest) = entries.split_first().expect("is not empty");
        let mut fragments = Fragments::begin(3, b"k", 9, &first.payload)?;
        let (last, middle) = rest.split_last().expect("has a last one");
        for entry in middle {
            fragments.add(&entry.payload)?;
        }
        fragments.end(&last.payload)
    }

    fn the_same(kind: u8, value: &[u8], most: usize, step: usize) {
        let whole = Payload::build(kind, value, 10);
        let decoded = Payload::check(&whole).expect("is sealed").decode();
        let expected = rows(3, b"k", 9, &decoded.expect("decodes"));
        let entries = cut(&[&[kind][..], &string(b"k"), value].concat(), most, step);
        let joined: Vec<u8> = entries.iter().flat_map(|e| e.payload.clone()).collect();
        assert_eq!(joined, whole);
        if let [entry] = entries.as_slice() {
            assert!(entry.piece == Piece::Whole && !entry.fragment);
            return;
        }
        assert!(entries.iter().all(|entry| entry.fragment));
        assert_eq!(summed(&entries), Ok(expected));
        // One bit anywhere.
        let mut damaged = entries;
        let middle = damaged.len() / 2;
        if let Some(byte) = damaged[middle].payload.last_mut() {
            *byte ^= 1;
            assert!(summed(&damaged).is_err());
        }
    }

    proptest! {
        #[test]
        fn fragments_are_the_whole(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..40),
            most in 1_usize..300,
            step in 1_usize..80,
        ) {
            the_same(kind::STREAM_LISTPACKS_2, &stream_of(&values), most, step);
            the_same(kind::MODULE_2, &module_of(&values), most, step);
        }

        #[test]
        fn what_is_no_fragment_never_panics(
            kind in prop::sample::select(vec![kind::MODULE_2, kind::STREAM_LISTPACKS, kind::STREAM_LISTPACKS_4]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let first = [vec![kind], bytes.clone()].concat();
            if let Ok(mut fragments) = Fragments::begin(0, b"k", 0, &first) {
                let _ = fragments.add(&bytes);
                let _ = fragments.end(&bytes);
            }
        }
    }

    #[test]
    fn large_ones_have_one_row_however_they_come() {
        let values: Vec<Vec<u8>> = (0..700_u32).map(|n| vec![n as u8; 2_000]).collect();
        the_same(
            kind::STREAM_LISTPACKS_2,
            &stream_of(&values),
            100_000,
            70_000,
        );
        the_same(kind::MODULE_2, &module_of(&values), 100_000, 70_000);
        the_same(
            kind::MODULE_2,
            &module_of(&[values.concat()]),
            100_000,
            70_000,
        );
        let changed = |at: usize| {
            let mut values = values.clone();
            values[at][7] ^= 1;
            let value = stream_of(&values);
            let decoded = super::super::decode(kind::STREAM_LISTPACKS_2, &value, 10);
            rows(3, b"k", 9, &decoded.expect("decodes"))
        };
        assert_ne!(changed(300), changed(301));
    }
}
