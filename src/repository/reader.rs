//! Reading a backup's parts: every segment is checked against the signed manifest before a byte of it goes on.
//!
//! A reader holds the segment it hands out and fetches the next one meanwhile, so memory is bounded by two.

use std::collections::VecDeque;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::format::{Contents, Piece, SegmentDoc};
use super::keys::EpochKeys;
use super::names::{BackupId, Digest, SegmentName};
use super::store::Store;
use super::writer::blocking;
use super::{Repository, missing, no_identity, segment};
use crate::capture::{FingerprintKey, PartInfo, PartReader, PartSource};
use crate::error::{Context as _, Error, Result};

/// How many bytes a reader hands out at a time.
const CHUNK: usize = 1 << 20;

/// The parts of one backup.
pub struct BackupParts {
    inner: Arc<Inner>,
    parts: BTreeMap<String, (PartInfo, Vec<Piece>)>,
    contents: Contents,
}

struct Inner {
    store: Arc<dyn Store>,
    keys: EpochKeys,
    segments: HashMap<Digest, SegmentDoc>,
}

impl Repository {
    /// Opens a backup for reading. Needs an unlocked repository, and a manifest that somebody trusted signed.
    pub async fn source(&self, id: &BackupId) -> Result<BackupParts> {
        let read = self.read_manifest(id).await?;
        read.trust?;
        let contents = self.contents(&read.doc)?;
        let keys = self.keys_of(read.doc.epoch)?.clone();
        if keys.segments.is_none() {
            return Err(no_identity());
        }
        let mut parts = BTreeMap::new();
        for store in &contents.stores {
            for part in &store.captured.parts {
                let pieces = store.segments.get(&part.name).cloned().unwrap_or_default();
                if parts
                    .insert(part.name.clone(), (part.clone(), pieces))
                    .is_some()
                {
                    return Err(Error::new(
                        &super::DAMAGED,
                        format!("the backup `{id}` has two parts `{}`", part.name),
                    ));
                }
            }
        }
        let segments = read.doc.segments.into_iter().map(|doc| (doc.id, doc));
        Ok(BackupParts {
            inner: Arc::new(Inner {
                store: Arc::clone(&self.store),
                keys,
                segments: segments.collect(),
            }),
            parts,
            contents,
        })
    }
}

impl BackupParts {
    /// What the backup holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The key that this backup's fingerprints were made with.
    pub fn fingerprint_key(&self) -> FingerprintKey {
        self.inner.keys.fingerprint_key()
    }
}

#[async_trait]
impl PartSource for BackupParts {
    fn parts(&self, prefix: &str) -> Vec<PartInfo> {
        let parts = self.parts.values().map(|(info, _)| info);
        parts
            .filter(|info| info.name.starts_with(prefix))
            .cloned()
            .collect()
    }

    async fn open(&self, name: &str) -> Result<Box<dyn PartReader>> {
        let (_, pieces) = self
            .parts
            .get(name)
            .ok_or_else(|| Error::input(format!("the backup has no part `{name}`")))?;
        let mut reader = Reader {
            inner: Arc::clone(&self.inner),
            name: name.to_owned(),
            pieces: pieces.iter().copied().collect(),
            fetching: None,
            current: Bytes::new(),
            failed: false,
        };
        reader.fetch();
        Ok(Box::new(reader))
    }
}

struct Reader {
    inner: Arc<Inner>,
    name: String,
    pieces: VecDeque<Piece>,
    fetching: Option<JoinHandle<Result<Bytes>>>,
    current: Bytes,
    /// A part that could not be read to its end must never look as if it had ended.
    failed: bool,
}

impl Reader {
    fn fetch(&mut self) {
        self.fetching = self.pieces.pop_front().map(|piece| {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move { inner.read(piece).await })
        });
    }
}

#[async_trait]
impl PartReader for Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.failed {
            return Err(Error::new(
                &super::DAMAGED,
                format!("the part `{}` could not be read to its end", self.name),
            ));
        }
        while self.current.is_empty() {
            let Some(fetching) = self.fetching.as_mut() else {
                return Ok(None);
            };
            // Awaited in place: a caller that gives up and comes back misses nothing.
            let fetched = fetching.await;
            self.fetching = None;
            self.failed = !matches!(fetched, Ok(Ok(_)));
            self.current = fetched
                .map_err(|e| Error::bug("reading a segment panicked").caused_by(e))?
                .context(|| format!("cannot read the part `{}`", self.name))?;
            self.fetch();
        }
        let take = self.current.len().min(CHUNK);
        Ok(Some(self.current.split_to(take)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(fetching) = self.fetching.take() {
            fetching.abort();
        }
    }
}

impl Inner {
    async fn read(self: Arc<Self>, piece: Piece) -> Result<Bytes> {
        let listed = self.segments.get(&piece.id).cloned();
        let listed = listed.ok_or_else(|| missing(&SegmentName::first(piece.id).object()))?;
        let name = listed.object();
        let cipher = self.store.get(&name, listed.size).await?;
        let cipher = cipher.ok_or_else(|| missing(&name))?;
        blocking(move || segment::unpack(&self.keys, &listed, &piece, &cipher)).await
    }
}
