//! Signed statements beside the backups: one form for everything that hosts say of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::format::{self, SignedDoc, VERSION};
use super::store::Object;
use super::{DAMAGED, Repository, UNTRUSTED};
use crate::error::{Error, Result};
use crate::sign::{KeyId, SigningKey};

/// A statement as it is stored.
pub(super) fn sign(payload: &impl Serialize, key: &SigningKey) -> Result<Object> {
    let bytes = format::to_bytes(payload)?;
    let doc = SignedDoc {
        version: VERSION,
        key: key.id(),
        signature: key.sign(&bytes),
        payload: BASE64.encode(&bytes),
    };
    Ok(Object::new(format::to_bytes(&doc)?))
}

impl Repository {
    /// Reads a statement that somebody trusted signed. That it is about the right thing is the caller's to check.
    pub(super) fn read_signed<T: DeserializeOwned + Serialize>(
        &self,
        object: &str,
        bytes: &[u8],
    ) -> Result<(T, KeyId)> {
        let damaged = |why: &str| Error::new(&DAMAGED, format!("`{object}` {why}"));
        let doc: SignedDoc = format::from_bytes(bytes, object)?;
        if signer_in(object).is_some_and(|named| named != doc.key) {
            return Err(damaged(
                "holds the statement of another key than its name says",
            ));
        }
        let key = self.trusted.get(&doc.key).ok_or_else(|| {
            Error::new(
                &UNTRUSTED,
                format!(
                    "`{object}` is signed by key `{}`, which is not trusted",
                    doc.key
                ),
            )
        })?;
        let payload = BASE64
            .decode(&doc.payload)
            .map_err(|e| damaged("does not hold base64").caused_by(e))?;
        key.verify(&payload, &doc.signature)
            .map_err(|e| damaged("does not fit its signature").caused_by(e))?;
        Ok((format::from_bytes(&payload, object)?, doc.key))
    }
}

/// Whose statement an object is by its name, where names say so. Without it, one changed digit of a trusted key would make a
/// statement look like that of a host which is no longer trusted, and nobody would miss what it said.
fn signer_in(object: &str) -> Option<KeyId> {
    let (_, key) = object.strip_suffix(".json")?.rsplit_once('-')?;
    key.parse().ok()
}
