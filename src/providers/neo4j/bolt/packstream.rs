//! PackStream, Bolt's value encoding: a codec that keeps every value exactly as the server sent it.
//!
//! Floats keep their bits, structures (points, temporal values) stay raw, maps keep their order until they are sorted
//! on purpose. What reads them ([`Raw`]) trusts no length that it finds, and never nests deeper than [`MAX_DEPTH`].

use std::fmt;

use super::raw::Raw;

/// How deep values may nest. Properties are at most a list of scalars; query results a few levels.
pub const MAX_DEPTH: usize = 32;

/// A value as PackStream knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double, its bits untouched.
    Float(f64),
    /// A byte array.
    Bytes(Vec<u8>),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Value>),
    /// A map, in the order in which it was sent.
    Map(Vec<(String, Value)>),
    /// A structure: its tag and fields. Points, dates, durations and messages are such.
    Struct(u8, Vec<Value>),
}

/// Why bytes are not a PackStream value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the value does.
    Truncated,
    /// A byte that begins no value.
    Marker(u8),
    /// A string that is not UTF-8.
    NotUtf8,
    /// A map whose key is not a string.
    KeyNotString,
    /// Values nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Bytes after the value's end.
    Trailing(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Truncated => f.write_str("it ends in the middle of a value"),
            Malformed::Marker(byte) => write!(f, "the byte 0x{byte:02x} begins no value"),
            Malformed::NotUtf8 => f.write_str("a string is not UTF-8"),
            Malformed::KeyNotString => f.write_str("a map's key is not a string"),
            Malformed::TooDeep => write!(f, "values nest deeper than {MAX_DEPTH}"),
            Malformed::Trailing(n) => write!(f, "{n} bytes follow the value's end"),
        }
    }
}

impl std::error::Error for Malformed {}

impl Value {
    /// Decodes exactly one value.
    pub fn decode(bytes: &[u8]) -> Result<Value, Malformed> {
        let mut raw = Raw::new(bytes);
        let value = raw.value()?;
        raw.end()?;
        Ok(value)
    }

    /// Appends the shortest encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.push(0xC0),
            Value::Bool(false) => out.push(0xC2),
            Value::Bool(true) => out.push(0xC3),
            Value::Int(i) => encode_int(*i, out),
            Value::Float(f) => {
                out.push(0xC1);
                out.extend_from_slice(&f.to_bits().to_be_bytes());
            }
            Value::Bytes(bytes) => {
                encode_size(None, [0xCC, 0xCD, 0xCE], bytes.len(), out);
                out.extend_from_slice(bytes);
            }
            Value::String(text) => encode_str(text, out),
            Value::List(items) => {
                encode_size(Some(0x90), [0xD4, 0xD5, 0xD6], items.len(), out);
                items.iter().for_each(|item| item.encode(out));
            }
            Value::Map(entries) => {
                encode_size(Some(0xA0), [0xD8, 0xD9, 0xDA], entries.len(), out);
                for (key, value) in entries {
                    encode_str(key, out);
                    value.encode(out);
                }
            }
            Value::Struct(tag, fields) => {
                // Bolt's structures have at most 15 fields; the size is the marker's low half.
                out.push(0xB0 | (fields.len() & 0x0F) as u8);
                out.push(*tag);
                fields.iter().for_each(|field| field.encode(out));
            }
        }
    }

    /// Sorts the keys of every map within, by their bytes: two equal values then have equal encodings.
    pub fn canonical(mut self) -> Value {
        self.sort_keys();
        self
    }

    fn sort_keys(&mut self) {
        match self {
            Value::List(items) | Value::Struct(_, items) => {
                items.iter_mut().for_each(Value::sort_keys);
            }
            Value::Map(entries) => {
                entries.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
                entries.iter_mut().for_each(|(_, value)| value.sort_keys());
            }
            _ => {}
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// A map of these entries.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Map(entries.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Value::Int(i)
    }
}

pub(in super::super) fn encode_int(i: i64, out: &mut Vec<u8>) {
    if let Ok(small) = i8::try_from(i) {
        if small < -16 {
            out.push(0xC8);
        }
        out.push(small.to_be_bytes()[0]);
    } else if let Ok(i) = i16::try_from(i) {
        out.push(0xC9);
        out.extend_from_slice(&i.to_be_bytes());
    } else if let Ok(i) = i32::try_from(i) {
        out.push(0xCA);
        out.extend_from_slice(&i.to_be_bytes());
    } else {
        out.push(0xCB);
        out.extend_from_slice(&i.to_be_bytes());
    }
}

pub(in super::super) fn encode_str(text: &str, out: &mut Vec<u8>) {
    encode_size(Some(0x80), [0xD0, 0xD1, 0xD2], text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// The marker and size of something sized: `tiny` holds sizes below 16, the others 8, 16 and 32 bits.
pub(in super::super) fn encode_size(
    tiny: Option<u8>,
    [eight, sixteen, thirty_two]: [u8; 3],
    size: usize,
    out: &mut Vec<u8>,
) {
    match (tiny, u8::try_from(size), u16::try_from(size)) {
        (Some(tiny), Ok(size), _) if size < 16 => out.push(tiny | size),
        (_, Ok(size), _) => out.extend_from_slice(&[eight, size]),
        (_, _, Ok(size)) => {
            out.push(sixteen);
            out.extend_from_slice(&size.to_be_bytes());
        }
        _ => {
            let size = u32::try_from(size).expect("a property fits the server's 2 GiB limit");
            out.push(thirty_two);
            out.extend_from_slice(&size.to_be_bytes());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn bytes_of(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }

    pub(in super::super) fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-200_i64..70_000).prop_map(Value::Int),
            any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
            ".{0,40}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 64, 20, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
                proptest::collection::vec((".{0,8}", inner.clone()), 0..20).prop_map(Value::Map),
                (any::<u8>(), proptest::collection::vec(inner, 0..15))
                    .prop_map(|(tag, fields)| Value::Struct(tag, fields)),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_survive_a_round_trip(value in values()) {
            let bytes = bytes_of(&value);
            let back = Value::decode(&bytes).expect("decodes");
            // NaN differs from itself; its bytes do not.
            prop_assert_eq!(bytes_of(&back), bytes);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(value) = Value::decode(&bytes) {
                let again = Value::decode(&bytes_of(&value)).expect("its own encoding decodes");
                prop_assert_eq!(bytes_of(&again), bytes_of(&value));
            }
        }

        #[test]
        fn a_cut_value_is_truncated(value in values(), keep in 0.0_f64..1.0) {
            let bytes = bytes_of(&value);
            let cut = (bytes.len() as f64 * keep) as usize;
            prop_assert_eq!(Value::decode(&bytes[..cut]), Err(Malformed::Truncated));
        }

        #[test]
        fn the_order_of_keys_does_not_matter_to_the_canonical_form(
            entries in proptest::collection::btree_map(".{0,8}", values(), 0..12)
        ) {
            let forward = Value::map(entries.clone()).canonical();
            let backward = Value::map(entries.into_iter().rev()).canonical();
            prop_assert_eq!(bytes_of(&forward), bytes_of(&backward));
        }
    }

    #[test]
    fn the_documented_examples() {
        // From the PackStream specification, https://neo4j.com/docs/bolt/current/packstream/.
        let cases: [(Value, &[u8]); 11] = [
            (Value::Int(-17), &[0xC8, 0xEF]),
            (Value::Int(-16), &[0xF0]),
            (Value::Int(42), &[0x2A]),
            (Value::Int(128), &[0xC9, 0x00, 0x80]),
            (Value::Int(-32_769), &[0xCA, 0xFF, 0xFF, 0x7F, 0xFF]),
            (Value::Int(i64::MIN), &[0xCB, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            (
                Value::Float(1.23),
                &[0xC1, 0x3F, 0xF3, 0xAE, 0x14, 0x7A, 0xE1, 0x47, 0xAE],
            ),
            (Value::Bytes(vec![1, 2, 3]), &[0xCC, 3, 1, 2, 3]),
            (Value::from("A"), &[0x81, 0x41]),
            (
                Value::List(vec![1.into(), 2.into(), 3.into()]),
                &[0x93, 1, 2, 3],
            ),
            (
                Value::Map(vec![("one".to_owned(), "eins".into())]),
                &[0xA1, 0x83, 0x6F, 0x6E, 0x65, 0x84, 0x65, 0x69, 0x6E, 0x73],
            ),
        ];
        for (value, bytes) in cases {
            assert_eq!(bytes_of(&value), bytes);
            assert_eq!(Value::decode(bytes), Ok(value));
        }
    }

    #[test]
    fn made_up_sizes_and_deep_nests_are_refused() {
        assert_eq!(
            Value::decode(&[0xD6, 0xFF, 0xFF, 0xFF, 0xFF]),
            Err(Malformed::Truncated)
        );
        assert_eq!(
            Value::decode(&[0xDA, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]),
            Err(Malformed::Truncated)
        );
        assert_eq!(Value::decode(&[0x91; 1_000]), Err(Malformed::TooDeep));
        assert_eq!(
            Value::decode(&[0xA1, 0x01, 0x01]),
            Err(Malformed::KeyNotString)
        );
        assert_eq!(Value::decode(&[0x01, 0x01]), Err(Malformed::Trailing(1)));
    }
}
