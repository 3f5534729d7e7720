//! The leaf types of a record: texts that mask themselves, digests, and measured numbers.
//!
//! A record is made of nothing but these, enums and times. Every free text passes the masker when it is
//! *serialised*, so that a secret which became known after the text was built is caught too, while the record's own
//! vocabulary (field names, `postgres`, `passed`) keeps its form even when somebody uses such a word as a password.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::secret;

/// A secret at least this long is masked even inside a [`Name`], in bytes.
///
/// Shorter ones, such as the password `postgres`, are honest parts of names: masking them there would break every
/// look-up by context or step and hide nothing, because the name stands in plain sight elsewhere.
const MASKED_IN_NAMES: usize = 12;

/// Free text: every known secret in it is masked when it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Text(String);

/// A name chosen by the program or a configuration: context, operation, step, check. Masked only where it holds
/// a long secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Name(String);

macro_rules! string_like {
    ($type:ident, $mask:path) => {
        impl $type {
            /// The text as it was given, or as it was read from a record.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl<T: Into<String>> From<T> for $type {
            fn from(text: T) -> Self {
                $type(text.into())
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$mask(&self.0))
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$mask(&self.0))
            }
        }
    };
}

string_like!(Text, secret::mask);
string_like!(Name, mask_name);

fn mask_name(name: &str) -> Cow<'_, str> {
    match secret::mask(name) {
        Cow::Owned(masked) => {
            let marks = masked.matches(secret::MASK).count() * secret::MASK.len();
            let removed = (name.len() + marks).saturating_sub(masked.len());
            if removed >= MASKED_IN_NAMES {
                Cow::Owned(masked)
            } else {
                Cow::Borrowed(name)
            }
        }
        clean => clean,
    }
}

/// Observations as typed data: names to JSON values, masked, keys included, when they are written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Facts(pub Map<String, Value>);

impl Facts {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Map<String, Value>> for Facts {
    fn from(map: Map<String, Value>) -> Self {
        Facts(map)
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        masked(Value::Object(self.0.clone())).serialize(serializer)
    }
}

/// What was seen: one JSON value, masked when it is written. `null` means that nothing was looked at.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Seen(pub Value);

impl Seen {
    /// Whether nothing was looked at.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }
}

impl From<Value> for Seen {
    fn from(value: Value) -> Self {
        Seen(value)
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        masked(self.0.clone()).serialize(serializer)
    }
}

fn masked(mut value: Value) -> Value {
    secret::mask_json(&mut value);
    value
}

/// A finite number. Writing one that is not finite fails: JSON would silently turn it into `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Quantity(pub f64);

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            Err(serde::ser::Error::custom("a measured number is not finite"))
        }
    }
}

impl From<std::time::Duration> for Quantity {
    fn from(duration: std::time::Duration) -> Self {
        Quantity(duration.as_secs_f64())
    }
}

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_bytes(&Sha256::digest(bytes))
    }

    /// A digest that was computed elsewhere, such as by streaming a file.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = String::from("sha256:");
        for byte in bytes {
            text.push_str(&format!("{byte:02x}"));
        }
        Digest(text)
    }

    /// What stands before a log's first entry: 64 zeros.
    pub fn zero() -> Self {
        Digest(format!("sha256:{}", "0".repeat(64)))
    }

    /// With its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits alone, as `sha256sum` prints them.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The prefix and 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0["sha256:".len()..][..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if is_hex(hex, 64) {
            Ok(Digest(format!("sha256:{hex}")))
        } else {
            Err(Error::input(format!("`{text}` is not a SHA-256 digest"))
                .hint("Write `sha256:` and 64 lower-case hexadecimal digits."))
        }
    }
}

/// Whether `text` is this many lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.starts_with("sha256:") {
            text.parse().map_err(serde::de::Error::custom)
        } else {
            Err(serde::de::Error::custom("a digest starts with `sha256:`"))
        }
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn texts_mask_at_the_moment_they_are_written() {
        let text = Text::from("login zebra-crossing-77 refused");
        let facts = Facts(
            serde_json::json!({"dsn": "postgres://u:zebra-crossing-77@h/d"})
                .as_object()
                .expect("an object")
                .clone(),
        );
        let _later = Secret::new("zebra-crossing-77");
        assert_eq!(
            serde_json::to_string(&text).expect("writes"),
            r#""login *** refused""#
        );
        assert_eq!(
            serde_json::to_string(&facts).expect("writes"),
            r#"{"dsn":"postgres://u:***@h/d"}"#
        );
        assert_eq!(text.to_string(), "login *** refused");
    }

    #[test]
    fn a_dictionary_password_does_not_break_names_but_a_long_one_is_masked_even_there() {
        let _weak = Secret::new("kestrel");
        let _strong = Secret::new("Zq81-kkw0-Pm5x-19fj");
        assert_eq!(
            Name::from("kestrel-production").to_string(),
            "kestrel-production"
        );
        assert_eq!(
            Name::from("step-Zq81-kkw0-Pm5x-19fj").to_string(),
            "step-***"
        );
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        assert!(serde_json::to_string(&Quantity(f64::NAN)).is_err());
        assert_eq!(
            serde_json::to_string(&Quantity(1.5)).expect("writes"),
            "1.5"
        );
    }

    #[test]
    fn digests_are_the_ones_sha256sum_prints() {
        let digest = Digest::of(b"abc");
        assert_eq!(
            digest.hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            digest.to_string().parse::<Digest>().expect("parses"),
            digest
        );
        assert!("sha256:ABC".parse::<Digest>().is_err());
        assert!(serde_json::from_str::<Digest>(&format!("\"{}\"", "0".repeat(64))).is_err());
    }
}
