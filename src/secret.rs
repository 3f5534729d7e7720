//! Secret values and the masker that keeps them out of every output.
//!
//! A [`Secret`] has no `Debug`, `Display` or `Serialize` of its value. Each one registers its value with a process-wide
//! masker; errors, events, journals, evidence and terminal output pass through [`mask`], which works by value,
//! so a password inside a server's error text is caught as well.

use std::borrow::Cow;
use std::fmt;
use std::sync::{OnceLock, RwLock};

use base64::Engine as _;
use zeroize::Zeroizing;

/// What a masked value is replaced with.
pub const MASK: &str = "***";

/// Values shorter than this are not masked by value: replacing every `a` would destroy the text and hide nothing.
const MIN_MASKED: usize = 4;

/// A password, key or token. Read it with [`Secret::expose`] at the last moment.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the value and registers it, and its URL-encoded and base64 forms, with the masker.
    pub fn new(value: impl Into<String>) -> Self {
        let value = Zeroizing::new(value.into());
        register(&value);
        Secret(value)
    }

    /// The value itself. Never format it into anything that is kept or shown.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the value is the empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value's length in bytes: what strength checks may say.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(other.0.as_bytes())
    }
}

impl Eq for Secret {}

fn known() -> &'static RwLock<Vec<Zeroizing<String>>> {
    static KNOWN: OnceLock<RwLock<Vec<Zeroizing<String>>>> = OnceLock::new();
    KNOWN.get_or_init(Default::default)
}

fn register(value: &str) {
    if value.len() < MIN_MASKED {
        return;
    }
    let mut forms = vec![value.to_owned()];
    forms.push(url::form_urlencoded::byte_serialize(value.as_bytes()).collect());
    forms.push(percent_encoded(value));
    forms.push(base64::engine::general_purpose::STANDARD.encode(value));
    // JSON escapes quotes and backslashes: the escaped form must be found in a serialised document too.
    if let Ok(json) = serde_json::to_string(value) {
        forms.push(json.trim_matches('"').to_owned());
    }
    let mut known = known()
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for form in forms {
        if !known.iter().any(|k| **k == form) {
            known.push(Zeroizing::new(form));
        }
    }
    // Longest first, so that a secret that contains another is replaced whole.
    known.sort_by_key(|k| std::cmp::Reverse(k.len()));
}

fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Replaces every known secret value in `text`.
pub fn mask(text: &str) -> Cow<'_, str> {
    let known = known()
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut out = Cow::Borrowed(text);
    for value in known.iter() {
        if out.contains(value.as_str()) {
            out = Cow::Owned(out.replace(value.as_str(), MASK));
        }
    }
    out
}

/// Masks every string in a JSON document, keys included.
pub fn mask_json(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(s) => {
            if let Cow::Owned(masked) = mask(s) {
                *s = masked;
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(mask_json),
        serde_json::Value::Object(map) => {
            let keys_clean = map.keys().all(|k| matches!(mask(k), Cow::Borrowed(_)));
            if keys_clean {
                map.values_mut().for_each(mask_json);
            } else {
                let old = std::mem::take(map);
                for (key, mut item) in old {
                    mask_json(&mut item);
                    map.insert(mask(&key).into_owned(), item);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_in_every_form_they_travel_in() {
        let _keep = Secret::new("pä ss\"wörd/1");
        assert_eq!(mask("login pä ss\"wörd/1 failed"), "login *** failed");
        assert_eq!(
            mask("postgres://u:p%C3%A4%20ss%22w%C3%B6rd%2F1@h/db"),
            "postgres://u:***@h/db"
        );
        let json = serde_json::json!({"k": "x pä ss\"wörd/1"}).to_string();
        assert_eq!(mask(&json), r#"{"k":"x ***"}"#);
    }

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(format!("{:?}", Secret::new("hunter22")), "Secret(***)");
    }
}
