//! That somebody's identity really opens a backup: its keys are unwrapped, and a segment is decrypted.
//!
//! A verification of level 2 or 3 shows the same; this costs one segment. The proof is kept as a signed statement.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::format::VERSION;
use super::ledger::MOMENTS;
use super::names::{BackupId, Digest};
use super::segment;
use super::store::Created;
use super::writer::blocking;
use super::{
    Backup, DAMAGED, Level, Repository, changed_meanwhile, missing, no_identity, signed, tool,
};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::sign::{KeyId, SigningKey};
use crate::time::Instant;

const KIND: &str = "summitctl-opened";

/// `backups/<id>/opened/<time>-<key>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct OpenedPayload {
    version: u32,
    kind: String,
    repository: String,
    backup: BackupId,
    manifest_sha256: Digest,
    epoch: u32,
    at: Instant,
    tool: String,
}

/// What a look with a real identity showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The backup.
    pub backup: BackupId,
    /// Its epoch, whose key file was unwrapped.
    pub epoch: u32,
    /// The segment that was decrypted; `None` if the backup has none.
    pub segment: Option<String>,
    /// Its plain bytes.
    pub bytes: u64,
    manifest: Digest,
}

impl Repository {
    /// Decrypts the smallest segment of a backup. Needs an unlocked repository.
    pub async fn open_one(&self, id: &BackupId) -> Result<Opened> {
        let read = self.read_manifest(id).await?;
        read.trust?;
        let keys = self.keys_of(read.doc.epoch)?.clone();
        if keys.segments.is_none() {
            return Err(no_identity());
        }
        let contents = self.contents(&read.doc)?;
        let mut opened = Opened {
            backup: id.clone(),
            epoch: read.doc.epoch,
            segment: None,
            bytes: 0,
            manifest: read.sha256,
        };
        let smallest = read.doc.segments.iter().min_by_key(|s| s.size).cloned();
        let Some(listed) = smallest else {
            return Ok(opened);
        };
        let mut pieces = contents.stores.iter().flat_map(|s| s.segments.values());
        let piece = pieces.find_map(|pieces| pieces.iter().find(|p| p.id == listed.id));
        let piece = *piece.ok_or_else(|| Error::bug("a listed segment is no part's"))?;
        let object = listed.object();
        let cipher = self.store.get(&object, listed.size).await?;
        let cipher = cipher.ok_or_else(|| missing(&object))?;
        blocking(move || segment::unpack(&keys, &listed, &piece, &cipher)).await?;
        opened.segment = Some(object);
        opened.bytes = piece.bytes;
        Ok(opened)
    }

    /// Keeps the proof, signed by this host.
    pub async fn record_opened(&self, opened: &Opened, key: &SigningKey) -> Result<()> {
        self.check_signer(key)?;
        let mut payload = OpenedPayload {
            version: VERSION,
            kind: KIND.to_owned(),
            repository: self.id().to_owned(),
            backup: opened.backup.clone(),
            manifest_sha256: opened.manifest,
            epoch: opened.epoch,
            at: Instant::now(),
            tool: tool(),
        };
        // Of two that end in the same millisecond, the later one names the next.
        for _ in 0..MOMENTS {
            let object = signed::sign(&payload, key)?;
            let name = opened_name(&payload, &key.id());
            if self.store.create(&name, &object).await? == Created::New {
                return Ok(());
            }
            payload.at = payload.at.plus(Duration::from_millis(1));
        }
        Err(changed_meanwhile(&opened_name(&payload, &key.id())))
    }

    /// When the newest proof was made that an identity opens this very manifest's backup. Others claim nothing.
    pub(super) async fn opened(
        &self,
        id: &BackupId,
        manifest: Digest,
        names: &[String],
    ) -> Result<Option<Instant>> {
        let mut newest = None;
        for name in names {
            let Some(bytes) = self
                .store
                .get_as_it_is(name, super::format::DOCUMENT_LIMIT)
                .await?
            else {
                continue;
            };
            if let Ok(at) = self.read_opened(id, manifest, name, &bytes) {
                newest = newest.max(Some(at));
            }
        }
        Ok(newest)
    }

    /// The moment that a proof states.
    pub(super) fn read_opened(
        &self,
        id: &BackupId,
        manifest: Digest,
        object: &str,
        bytes: &[u8],
    ) -> Result<Instant> {
        let (payload, key): (OpenedPayload, KeyId) = self.read_signed(object, bytes)?;
        let bound = payload.kind == KIND
            && payload.repository == self.id()
            && payload.backup == *id
            && payload.manifest_sha256 == manifest
            && opened_name(&payload, &key) == object;
        if !bound {
            return Err(Error::new(
                &DAMAGED,
                format!("`{object}` is the proof of another backup"),
            ));
        }
        Ok(payload.at)
    }
}

impl Backup {
    /// When an identity was last seen to open this backup: by a proof, or by a verification that decrypted it.
    pub fn opened_at(&self) -> Option<Instant> {
        let decrypted = self
            .verified
            .iter()
            .filter(|r| r.level >= Level::Rows && r.outcome == Outcome::Passed);
        self.opened.max(decrypted.map(|r| r.to).max())
    }
}

fn opened_name(payload: &OpenedPayload, key: &KeyId) -> String {
    format!(
        "{}{}-{:03}-{key}.json",
        payload.backup.opened(),
        payload.at.compact(),
        payload.at.millis().rem_euclid(1000)
    )
}
