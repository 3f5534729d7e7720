//! The documents of a repository as they lie on disk. `docs/FORMAT.md` describes them for other readers.
//!
//! Every document has a version, refuses unknown fields and has exactly one spelling: bytes that parse but are not the
//! bytes we would write are damage, so that no flipped bit hides in white space.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::names::{BackupId, CopyTag, Digest, SegmentName};
use super::sample::Sample;
use super::{DAMAGED, NEWER_VERSION};
use crate::capture::Captured;
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::identity::Store as Kind;
use crate::sign::{KeyId, PublicKey, Signature};
use crate::time::Instant;

/// The version of every document this program writes.
pub(super) const VERSION: u32 = 1;
/// The largest document that is read: a manifest of a million segments has about 200 MiB.
pub(super) const DOCUMENT_LIMIT: u64 = 512 << 20;

/// `repository.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RepositoryDoc {
    pub version: u32,
    /// Thirty-two hex digits, random.
    pub id: String,
    pub created: Instant,
    pub tool: String,
    /// One more with each change; programs before it wrote none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u64,
    /// Oldest first; the last one is written to.
    pub epochs: Vec<EpochDoc>,
    /// Who may sign manifests and verification records.
    pub signers: Vec<SignerDoc>,
    /// Keyed BLAKE3 of [`RepositoryDoc::authenticated`] under the last epoch's secret.
    pub mac: Digest,
}

/// One epoch's public half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EpochDoc {
    pub epoch: u32,
    pub created: Instant,
    /// The age recipient of segments.
    pub segments: String,
    /// The age recipient of sealed documents; its identity is derived from the secret.
    pub sealed: String,
    /// SHA-256 of `keys/<epoch>.age`; two while it is being replaced.
    pub keys_sha256: Vec<Digest>,
    /// Keyed BLAKE3 of [`EpochDoc::authenticated`] under this epoch's secret.
    pub binding: Digest,
}

/// A host that may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignerDoc {
    /// The key's id.
    pub key: KeyId,
    /// What people call it, such as a host's name.
    pub name: String,
    /// The public key as a PEM.
    pub public_key: PublicKey,
}

impl RepositoryDoc {
    /// Refuses what would make the authenticated lines ambiguous.
    pub fn check_text(&self) -> Result<()> {
        let epochs = self.epochs.iter().flat_map(|e| [&e.segments, &e.sealed]);
        let names = self.signers.iter().map(|s| &s.name);
        let mut texts = epochs.chain(names).chain([&self.id, &self.tool]);
        match texts.find(|text| text.chars().any(char::is_control)) {
            Some(bad) => Err(Error::new(
                &DAMAGED,
                format!("`repository.json` holds a control character in {bad:?}"),
            )),
            None => Ok(()),
        }
    }

    /// What `mac` covers: lines of text, so that another reader can check it without our JSON.
    pub fn authenticated(&self) -> String {
        let mut lines = format!(
            "summitctl repository\nversion {}\nid {}\ncreated {}\ntool {}\n",
            self.version, self.id, self.created, self.tool
        );
        if self.generation > 0 {
            lines.push_str(&format!("generation {}\n", self.generation));
        }
        for epoch in &self.epochs {
            lines.push_str(&epoch.authenticated(&self.id));
            for digest in &epoch.keys_sha256 {
                lines.push_str(&format!("keys {digest}\n"));
            }
            lines.push_str(&format!("binding {}\n", epoch.binding));
        }
        for signer in &self.signers {
            lines.push_str(&format!(
                "signer {} {}\n{}",
                signer.key,
                signer.name,
                signer.public_key.to_pem()
            ));
        }
        lines
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl EpochDoc {
    /// What `binding` covers: a swapped recipient would have hosts encrypt to a stranger.
    pub fn authenticated(&self, repository: &str) -> String {
        format!(
            "epoch {} of {repository}\ncreated {}\nsegments {}\nsealed {}\n",
            self.epoch, self.created, self.segments, self.sealed
        )
    }
}

/// `backups/<id>/manifest.json`: what level 1 needs in clear, the rest sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ManifestDoc {
    pub version: u32,
    pub repository: String,
    pub backup: BackupId,
    pub created: Instant,
    pub tool: String,
    pub epoch: u32,
    pub signer: KeyId,
    /// Each once, in id order.
    pub segments: Vec<SegmentDoc>,
    /// Base64 of an age file of a zstd frame of a [`Contents`].
    pub sealed: String,
}

/// A segment as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SegmentDoc {
    pub id: Digest,
    /// Which of several objects of this id it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyTag>,
    pub sha256: Digest,
    /// Bytes of the encrypted object.
    pub size: u64,
}

impl SegmentDoc {
    /// The name of its object.
    pub fn name(&self) -> SegmentName {
        SegmentName {
            id: self.id,
            copy: self.copy,
        }
    }

    /// Its object's full name.
    pub fn object(&self) -> String {
        self.name().object()
    }
}

/// `backups/<id>/manifest.json.sig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SignatureDoc {
    pub version: u32,
    pub key: KeyId,
    pub signature: Signature,
}

/// What a backup holds: the sealed half of its manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Contents {
    /// Format version: 1.
    pub version: u32,
    /// The repository's id.
    pub repository: String,
    /// The backup's id.
    pub backup: BackupId,
    /// The context that was backed up.
    pub context: String,
    /// Free words to find it by, such as `safety` or `before-2.4`.
    pub labels: Vec<String>,
    /// What was captured, one entry a store, in [`Kind::ALL`]'s order.
    pub stores: Vec<StoreContents>,
}

/// One store of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreContents {
    /// What the provider said of the capture.
    pub captured: Captured,
    /// Part name to its segments in order.
    pub segments: BTreeMap<String, Vec<Piece>>,
}

/// A segment's place in a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Piece {
    /// The segment.
    pub id: Digest,
    /// Its plain bytes.
    pub bytes: u64,
}

/// What begins the label that names the commit: old programs know labels, and no other field.
pub const COMMIT_LABEL: &str = "commit=";

impl Contents {
    /// The commit that was deployed when the backup was made, if somebody said so.
    pub fn commit(&self) -> Option<&str> {
        let mut labels = self.labels.iter();
        labels.find_map(|l| l.strip_prefix(COMMIT_LABEL))
    }

    /// The labels but for the one that names the commit.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let labels = self.labels.iter().map(String::as_str);
        labels.filter(|l| !l.starts_with(COMMIT_LABEL))
    }

    /// The window in which all stores were read: from the first capture's start to the last one's end.
    pub fn window(&self) -> Option<(Instant, Instant)> {
        let from = self.stores.iter().map(|s| s.captured.from).min()?;
        let to = self.stores.iter().map(|s| s.captured.to).max()?;
        Some((from, to))
    }

    /// The skew of the set: how far apart the stores' points in time are. A store without a single point in time
    /// counts with its whole window.
    pub fn skew(&self) -> Duration {
        use crate::capture::Consistency::PointInTime;
        let first = self.stores.iter().map(|s| s.captured.from).min();
        let last = self.stores.iter().map(|s| match s.captured.consistency {
            PointInTime => s.captured.from,
            crate::capture::Consistency::Apart | crate::capture::Consistency::Fuzzy => {
                s.captured.to
            }
        });
        match (first, last.max()) {
            (Some(first), Some(last)) => last.since(first),
            _ => Duration::ZERO,
        }
    }

    /// The captures that do not show one moment.
    pub fn fuzzy(&self) -> impl Iterator<Item = &Captured> {
        let captures = self.stores.iter().map(|s| &s.captured);
        captures.filter(|c| c.consistency == crate::capture::Consistency::Fuzzy)
    }

    /// The capture of one store, if the backup has it.
    pub fn store(&self, store: Kind) -> Option<&Captured> {
        let found = self.stores.iter().find(|s| s.captured.store == store);
        found.map(|s| &s.captured)
    }

    /// Plain bytes of all parts.
    pub fn bytes(&self) -> u64 {
        let parts = self.stores.iter().flat_map(|s| &s.captured.parts);
        parts.map(|p| p.bytes).sum()
    }
}

/// `backups/<id>/staged/<store>.json`: a finished capture that waits for its backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StagedDoc {
    pub version: u32,
    pub epoch: u32,
    /// Base64 of an age file of a zstd frame of a [`StagedContents`].
    pub sealed: String,
    /// Keyed BLAKE3 of the backup's id, a line feed, the store's name, a line feed and `sealed`: anybody can encrypt to a
    /// recipient, but only a holder of the secret can write this.
    pub mac: Digest,
}

/// The sealed half of a [`StagedDoc`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StagedContents {
    pub version: u32,
    pub contents: StoreContents,
    /// The segments that the parts use, in id order.
    pub segments: Vec<SegmentDoc>,
}

/// A signed statement: of what was verified, held, removed, or is about to be deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SignedDoc {
    pub version: u32,
    /// Base64 of the JSON of what is stated: the signature covers the decoded bytes.
    pub payload: String,
    pub key: KeyId,
    pub signature: Signature,
}

/// `backups/<id>/verified/<level>-<time>-<key>.json`: what a verification record says in clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct VerifiedPayload {
    pub version: u32,
    /// Always `summitctl-verified`, so that no other signed document passes for one.
    pub kind: String,
    pub repository: String,
    pub backup: BackupId,
    /// SHA-256 of the manifest that was verified.
    pub manifest_sha256: Digest,
    pub level: u8,
    /// Which segments were looked at, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    pub outcome: Outcome,
    pub from: Instant,
    pub to: Instant,
    pub tool: String,
    pub epoch: u32,
    /// Base64 of an age file of a zstd frame of the host, figures and findings, which name parts.
    pub sealed: String,
}

/// A document as its one spelling.
pub(super) fn to_bytes(doc: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(doc)
        .map_err(|e| Error::bug("a document does not serialise").caused_by(e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a document: its version first, then strictly, then that it is spelt as we spell it.
pub(super) fn from_bytes<T: DeserializeOwned + Serialize>(bytes: &[u8], what: &str) -> Result<T> {
    let doc: T = from_authentic(bytes, what)?;
    if to_bytes(&doc)? != bytes {
        return Err(Error::new(
            &DAMAGED,
            format!("`{what}` parses, but its bytes are not the ones that were written"),
        ));
    }
    Ok(doc)
}

/// The same for bytes that are authentic already; providers' free values in them may have several spellings.
pub(super) fn from_authentic<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let damaged = || Error::new(&DAMAGED, format!("`{what}` is damaged"));
    let seen: Versioned = serde_json::from_slice(bytes).map_err(|e| damaged().caused_by(e))?;
    // There never was such a version; nothing else might notice, where a signature covers only what is inside.
    if seen.version == 0 {
        return Err(damaged());
    }
    if seen.version > VERSION {
        return Err(Error::new(
            &NEWER_VERSION,
            format!(
                "`{what}` has format version {}, and this program knows version {VERSION}",
                seen.version
            ),
        )
        .hint(
            "Use the summitctl that wrote it, or a newer one; `summitctl --version` shows yours.",
        ));
    }
    if seen.version != VERSION {
        return Err(damaged());
    }
    serde_json::from_slice(bytes).map_err(|e| damaged().caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let newer = br#"{"version": 2, "something": "new"}"#;
        let error = from_bytes::<SignatureDoc>(newer, "x").unwrap_err();
        assert_eq!(error.reason(), &NEWER_VERSION);
        for damaged in [&b"{"[..], b"", b"{\"version\": 0}", b"[]"] {
            let error = from_bytes::<SignatureDoc>(damaged, "x").unwrap_err();
            assert_eq!(error.reason(), &DAMAGED);
        }
    }

    #[test]
    fn a_document_has_one_spelling() {
        let key = crate::sign::SigningKey::generate().unwrap();
        let doc = SignatureDoc {
            version: 1,
            key: key.id(),
            signature: key.sign(b"x"),
        };
        let bytes = to_bytes(&doc).unwrap();
        assert_eq!(from_bytes::<SignatureDoc>(&bytes, "x").unwrap(), doc);
        let mut spaced = bytes.clone();
        spaced.push(b' ');
        assert!(from_bytes::<SignatureDoc>(&spaced, "x").is_err());
    }
}
