//! DSSE envelopes: a payload, its type, and Ed25519 signatures over both (Dead Simple Signing Envelope 1.0).
//!
//! The format is that of cosign and securesystemslib; `docs/EVIDENCE.md` shows how to check one with `openssl` alone.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::TrustedKeys;
use super::{BAD_SIGNATURE, MALFORMED, UNTRUSTED};
use crate::error::{Error, Result};
use crate::sign::{KeyId, PublicKey, Signature, SigningKey};

/// The payload type of an in-toto statement: in-toto attestation framework, Envelope v1.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A DSSE envelope in its recommended JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// The payload, in base64.
    pub payload: String,
    /// How to read the payload; covered by the signatures.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// One signature for each signer.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvelopeSignature {
    /// Which key signed: a hint that proves nothing (DSSE leaves it unsigned). Absent from some other writers.
    #[serde(default)]
    pub keyid: String,
    /// The signature over [`pae`], in base64.
    pub sig: String,
}

impl Envelope {
    /// Signs a payload.
    pub fn sign(key: &SigningKey, payload_type: &str, payload: &[u8]) -> Self {
        let signature = key.sign(&pae(payload_type, payload));
        Envelope {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: key.id().to_string(),
                sig: signature.to_string(),
            }],
        }
    }

    /// The bytes of an envelope file: one line of JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)
            .map_err(|e| Error::bug("an envelope cannot be written as JSON").caused_by(e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads an envelope file, ours or another tool's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::new(&MALFORMED, "this is not a DSSE envelope").caused_by(e))
    }

    /// Reads an envelope file that must be byte for byte what we write, so that no byte of it is beyond proof.
    pub fn from_exact_bytes(bytes: &[u8]) -> Result<Self> {
        let envelope = Self::from_bytes(bytes)?;
        if envelope.to_bytes()? == bytes {
            Ok(envelope)
        } else {
            Err(Error::new(
                &MALFORMED,
                "the envelope is not in the exact form in which it was written",
            ))
        }
    }

    /// The payload, decoded. Standard and URL-safe base64 are read, as DSSE demands. Proves nothing by itself.
    pub fn unverified_payload(&self) -> Result<Vec<u8>> {
        decode(&self.payload).ok_or_else(|| Error::new(&MALFORMED, "the payload is not base64"))
    }

    /// The payload, once this key's signature over it was checked.
    pub fn verified_by(&self, key: &PublicKey) -> Result<Vec<u8>> {
        let payload = self.unverified_payload()?;
        let message = pae(&self.payload_type, &payload);
        let fits = self.signatures.iter().any(|s| {
            decode(&s.sig)
                .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
                .is_some_and(|bytes| key.verify(&message, &Signature::from_bytes(bytes)).is_ok())
        });
        if fits {
            Ok(payload)
        } else {
            Err(Error::new(
                &BAD_SIGNATURE,
                format!(
                    "the payload does not carry a valid signature of key `{}`",
                    key.id()
                ),
            ))
        }
    }

    /// The payload and its signer, once the signature of any trusted key was checked. The `keyid` hint decides
    /// nothing but which error is given.
    pub fn verified(&self, trusted: &TrustedKeys) -> Result<(KeyId, Vec<u8>)> {
        for key in trusted.keys() {
            if let Ok(payload) = self.verified_by(key) {
                return Ok((key.id(), payload));
            }
        }
        let hinted = |s: &&EnvelopeSignature| trusted.keys().any(|k| k.id().as_str() == s.keyid);
        if let Some(claimed) = self.signatures.iter().find(hinted) {
            return Err(Error::new(
                &BAD_SIGNATURE,
                format!(
                    "it claims to be signed by key `{}`, but that signature does not fit the payload",
                    claimed.keyid
                ),
            ));
        }
        let claimed: Vec<&str> = self.signatures.iter().map(|s| s.keyid.as_str()).collect();
        Err(untrusted(&claimed.join("`, `")))
    }
}

pub(super) fn untrusted(key: &str) -> Error {
    Error::new(&UNTRUSTED, format!("it is signed by key `{key}`, which is not trusted")).hint(
        "If you know that signer, add its public key, got from the signer itself: `summitctl evidence verify --trusted-key KEY.pub`.",
    )
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}

/// DSSE's pre-authentication encoding, the bytes that are signed: `DSSEv1`, then each part's length and the part.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes an encoding apart again; its existence shows that no two inputs share one.
    fn unpae(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
            let space = bytes.iter().position(|b| *b == b' ')?;
            let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
            bytes[space + 1..].split_at_checked(length)
        }
        let (kind, rest) = part(bytes.strip_prefix(b"DSSEv1 ")?)?;
        let (body, rest) = part(rest.strip_prefix(b" ")?)?;
        rest.is_empty().then(|| (kind.to_vec(), body.to_vec()))
    }

    #[test]
    fn pae_is_the_specification_s_example() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn envelopes_of_other_tools_are_read() {
        let text = r#"{"payload": "aGVsbG8gd29ybGQ=", "payloadType": "http://example.com/HelloWorld",
            "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#;
        let envelope = Envelope::from_bytes(text.as_bytes()).expect("reads");
        assert_eq!(
            envelope.unverified_payload().expect("decodes"),
            b"hello world"
        );
        assert!(Envelope::from_exact_bytes(text.as_bytes()).is_err());
        // That example is signed with ECDSA: not one of our keys' signatures.
        let key = SigningKey::generate().expect("a key");
        assert!(envelope.verified_by(&key.public()).is_err());
    }

    #[test]
    fn the_key_id_is_a_hint_and_no_proof() {
        let (key, other) = (
            SigningKey::generate().expect("a key"),
            SigningKey::generate().expect("a key"),
        );
        let mut envelope = Envelope::sign(&key, IN_TOTO, b"{}");
        let trusted = TrustedKeys::of([key.public()]);
        envelope.signatures[0].keyid = other.id().to_string();
        assert_eq!(envelope.verified(&trusted).expect("verifies").0, key.id());
        envelope.signatures[0].keyid = key.id().to_string();
        envelope.payload = STANDARD.encode(b"[]");
        assert_eq!(
            envelope.verified(&trusted).expect_err("refused").reason(),
            &BAD_SIGNATURE
        );
        let foreign = Envelope::sign(&other, IN_TOTO, b"{}");
        assert_eq!(
            foreign.verified(&trusted).expect_err("refused").reason(),
            &UNTRUSTED
        );
    }

    #[test]
    fn the_payload_type_is_signed_too() {
        let key = SigningKey::generate().expect("a key");
        let mut envelope = Envelope::sign(&key, IN_TOTO, b"{}");
        envelope.payload_type = "application/json".into();
        assert!(envelope.verified_by(&key.public()).is_err());
    }

    proptest! {
        #[test]
        fn pae_can_be_taken_apart_again(kind in ".{0,40}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(unpae(&pae(&kind, &body)), Some((kind.into_bytes(), body)));
        }

        #[test]
        fn any_changed_byte_of_an_envelope_is_found(body in proptest::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let key = SigningKey::from_pem(&crate::secret::Secret::new(
                "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n-----END PRIVATE KEY-----\n",
            )).expect("a key");
            let trusted = TrustedKeys::of([key.public()]);
            let mut bytes = Envelope::sign(&key, IN_TOTO, &body).to_bytes().expect("writes");
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let found = Envelope::from_exact_bytes(&bytes).and_then(|e| {
                let signer = e.verified(&trusted)?.0;
                // Within a log the hint must name the log's own signer.
                if e.signatures.len() == 1 && e.signatures[0].keyid == signer.as_str() { Ok(()) } else { Err(untrusted("another")) }
            });
            prop_assert!(found.is_err());
        }
    }
}
