//! From captured stores to a published backup, in steps that may each be repeated.
//!
//! A store's finished capture is staged under the backup's id, sealed and authenticated with the repository secret. A commit
//! first fixes the manifest's exact bytes among the staged things, then its signature, then publishes those bytes.
//! Wherever a process dies, the next sees `Absent`, `Staged` or `Complete`, and repeats what is missing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::catalog::Backup;
use super::format::{
    self, Contents, DOCUMENT_LIMIT, ManifestDoc, SegmentDoc, SignatureDoc, StagedContents,
    StagedDoc, StoreContents, VERSION,
};
use super::keys::EpochKeys;
use super::lock::{Lock, Mode};
use super::names::{BackupId, Digest};
use super::store::{Created, Object, sha256};
use super::writer::BackupWriter;
use super::{COMPLETE, DAMAGED, INCOMPLETE, PUTS, Repository, changed_meanwhile, missing, tool};
use crate::capture::Captured;
use crate::error::{Error, Result};
use crate::identity::Store as Kind;
use crate::sign::SigningKey;
use crate::time::Instant;

/// How many objects are looked at together.
const LOOKS: usize = 16;

/// How far a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing of it is staged, and it is not published.
    Absent,
    /// These stores are captured; it is not published.
    Staged(BTreeSet<Kind>),
    /// It is published, and never changes.
    Complete,
}

/// What a backup is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The context that was backed up.
    pub context: String,
    /// Free words to find it by.
    pub labels: Vec<String>,
}

impl BackupWriter {
    /// Makes a finished capture durable. Every part it names must have been written by this writer, just so. Repeating it is
    /// harmless; another capture of the same store takes the earlier one's place.
    pub async fn seal_store(&self, captured: Captured) -> Result<()> {
        let shared = &self.shared;
        let repository = &shared.repository;
        if repository.state(&shared.backup).await? == State::Complete {
            return Err(complete(&shared.backup));
        }
        let mut pieces = BTreeMap::new();
        let mut segments = BTreeMap::new();
        for part in &captured.parts {
            let finished = shared.finished(&part.name).filter(|f| f.info == *part);
            let finished = finished.ok_or_else(|| {
                Error::new(
                    &INCOMPLETE,
                    format!(
                        "the capture of {} names the part `{}`, which was not written so",
                        captured.store, part.name
                    ),
                )
            })?;
            for piece in &finished.pieces {
                let doc = shared.segment(&piece.id);
                let doc = doc.ok_or_else(|| Error::bug("a stored segment is not known"))?;
                segments.insert(piece.id, doc);
            }
            if pieces.insert(part.name.clone(), finished.pieces).is_some() {
                return Err(Error::bug(format!(
                    "the capture of {} names the part `{}` twice",
                    captured.store, part.name
                )));
            }
        }
        let staged = StagedContents {
            version: VERSION,
            contents: StoreContents {
                captured,
                segments: pieces,
            },
            segments: segments.into_values().collect(),
        };
        repository
            .stage(&shared.backup, &shared.keys, &staged)
            .await
    }
}

impl Repository {
    /// How far this backup is.
    pub async fn state(&self, backup: &BackupId) -> Result<State> {
        if self.store.head(&backup.manifest()).await?.is_some() {
            return Ok(State::Complete);
        }
        let stores = self.staged_stores(backup).await?;
        Ok(if stores.is_empty() {
            State::Absent
        } else {
            State::Staged(stores)
        })
    }

    /// The captures that are staged, in [`Kind::ALL`]'s order. Each is authenticated.
    pub async fn staged(&self, backup: &BackupId) -> Result<Vec<Captured>> {
        let staged = self.read_staged(backup).await?;
        Ok(staged.into_iter().map(|s| s.contents.captured).collect())
    }

    /// Forgets what is staged, of an aborted run. A published backup is not touched.
    pub async fn discard(&self, backup: &BackupId) -> Result<()> {
        // The manifest's draft first: what is left must never look further along than it is.
        self.store.delete(&backup.staged_manifest()).await?;
        if self.store.head(&backup.manifest()).await?.is_none() {
            self.store.delete(&backup.signature()).await?;
        }
        for entry in self.store.list(&backup.staging()).await? {
            self.store.delete(&entry.name).await?;
        }
        Ok(())
    }

    /// Publishes what is staged as a backup, signed by this host. Repeating it finds the published backup.
    pub async fn commit(&self, backup: &BackupId, meta: &Meta, key: &SigningKey) -> Result<Backup> {
        self.check_signer(key)?;
        // From here on the lock stands for what is staged: a collector that no longer finds it waits for the lock.
        let lock = Lock::acquire(&self.store, Mode::Shared, &format!("backup {backup}")).await?;
        if self.state(backup).await? != State::Complete {
            self.keep_from_prunes(backup).await?;
            let draft = self.draft(backup, meta, key).await?;
            self.keep_keys().await?;
            self.publish(backup, &draft, key).await?;
        }
        let published = self.show(backup).await?;
        self.discard(backup).await?;
        lock.release().await?;
        Ok(published)
    }

    async fn staged_stores(&self, backup: &BackupId) -> Result<BTreeSet<Kind>> {
        let mut stores = BTreeSet::new();
        for store in Kind::ALL {
            if self.store.head(&backup.staged(store)).await?.is_some() {
                stores.insert(store);
            }
        }
        Ok(stores)
    }

    async fn stage(
        &self,
        backup: &BackupId,
        keys: &EpochKeys,
        staged: &StagedContents,
    ) -> Result<()> {
        let store = staged.contents.captured.store;
        let sealed = keys.seal(staged)?;
        let doc = StagedDoc {
            version: VERSION,
            epoch: keys.epoch,
            mac: keys.mac(&staged_text(backup, store, &sealed)),
            sealed,
        };
        let name = backup.staged(store);
        let object = Object::new(format::to_bytes(&doc)?);
        // Sealing is random, so equal content has other bytes: whatever is there already is replaced.
        if self.store.create(&name, &object).await? == Created::Exists {
            self.store.delete(&backup.staged_manifest()).await?;
            self.put(&name, &object).await?;
        }
        Ok(())
    }

    async fn read_staged(&self, backup: &BackupId) -> Result<Vec<StagedContents>> {
        let mut all = Vec::new();
        for store in Kind::ALL {
            let Some((epoch, staged)) = self.read_staged_one(backup, store).await? else {
                continue;
            };
            if epoch != self.epoch() || staged.contents.captured.store != store {
                let name = backup.staged(store);
                return Err(Error::new(
                    &INCOMPLETE,
                    format!("`{name}` belongs to another epoch or store"),
                )
                .hint("Keys were changed since it was captured. Abort the run with `summitctl run abort` and back up again."));
            }
            all.push(staged);
        }
        Ok(all)
    }

    async fn read_staged_one(
        &self,
        backup: &BackupId,
        store: Kind,
    ) -> Result<Option<(u32, StagedContents)>> {
        let name = backup.staged(store);
        let Some(bytes) = self.store.get(&name, DOCUMENT_LIMIT).await? else {
            return Ok(None);
        };
        let doc: StagedDoc = format::from_bytes(&bytes, &name)?;
        let keys = self.keys_of(doc.epoch)?;
        if keys.mac(&staged_text(backup, store, &doc.sealed)) != doc.mac {
            return Err(Error::new(
                &DAMAGED,
                format!("`{name}` was not staged by a holder of the repository secret"),
            )
            .hint("Capture the store again; find out who else writes to the repository."));
        }
        Ok(Some((doc.epoch, keys.unseal(&doc.sealed, &name)?)))
    }

    /// The segments that a staged capture needs. One of another epoch than the present needs none: nobody can publish it.
    pub(super) async fn staged_segments(
        &self,
        backup: &BackupId,
        store: Kind,
    ) -> Result<Vec<SegmentDoc>> {
        let name = backup.staged(store);
        let Some(bytes) = self.store.get(&name, DOCUMENT_LIMIT).await? else {
            return Ok(Vec::new());
        };
        let doc: StagedDoc = format::from_bytes(&bytes, &name)?;
        if doc.epoch != self.epoch() {
            return Ok(Vec::new());
        }
        let staged = self.read_staged_one(backup, store).await?;
        Ok(staged
            .map(|(_, staged)| staged.segments)
            .unwrap_or_default())
    }

    /// The manifest's exact bytes, fixed before anything signs them.
    async fn draft(&self, backup: &BackupId, meta: &Meta, key: &SigningKey) -> Result<Vec<u8>> {
        let keys = self.writing_keys()?;
        let staged = self.read_staged(backup).await?;
        if staged.is_empty() {
            return Err(Error::new(
                &INCOMPLETE,
                format!("nothing is staged for the backup `{backup}`"),
            ));
        }
        let (contents, segments) = self.assemble(backup, meta, staged);
        self.look_for(&segments).await?;
        let name = backup.staged_manifest();
        for _ in 0..PUTS {
            let there = self.store.get(&name, DOCUMENT_LIMIT).await?;
            if let Some(bytes) = &there
                && fits(keys, bytes, &name, &contents, &segments, key)
            {
                return Ok(bytes.to_vec());
            }
            let doc = ManifestDoc {
                version: VERSION,
                repository: self.id().to_owned(),
                backup: backup.clone(),
                created: Instant::now(),
                tool: tool(),
                epoch: keys.epoch,
                signer: key.id(),
                segments: segments.clone(),
                sealed: keys.seal(&contents)?,
            };
            let object = Object::new(format::to_bytes(&doc)?);
            let ours = match there {
                // Another host's, or made before a store was captured again.
                Some(bytes) => self.store.replace(&name, sha256(&bytes), &object).await?,
                None => self.store.create(&name, &object).await? == Created::New,
            };
            if ours {
                return Ok(object.bytes().to_vec());
            }
            // What is there then is read again: nobody has won it.
            self.store.unbury(&name, &object).await?;
        }
        Err(changed_meanwhile(&name))
    }

    fn assemble(
        &self,
        backup: &BackupId,
        meta: &Meta,
        staged: Vec<StagedContents>,
    ) -> (Contents, Vec<SegmentDoc>) {
        let mut segments: BTreeMap<Digest, SegmentDoc> = BTreeMap::new();
        let mut stores = Vec::new();
        for one in staged {
            segments.extend(one.segments.into_iter().map(|doc| (doc.id, doc)));
            stores.push(one.contents);
        }
        let contents = Contents {
            version: VERSION,
            repository: self.id().to_owned(),
            backup: backup.clone(),
            context: meta.context.clone(),
            labels: meta.labels.clone(),
            stores,
        };
        (contents, segments.into_values().collect())
    }

    /// A manifest must not list what is not there: hours may lie between a capture and its commit.
    async fn look_for(&self, segments: &[SegmentDoc]) -> Result<()> {
        let looks: Vec<BoxFuture<'_, Result<()>>> = segments
            .iter()
            .map(|doc| self.look_for_one(doc).boxed())
            .collect();
        stream::iter(looks)
            .buffer_unordered(LOOKS)
            .try_collect::<()>()
            .await
            .map_err(|e| {
                e.context("a segment of the staged captures changed since it was stored")
                    .hint("Abort the run with `summitctl run abort` and back up again.")
            })
    }

    async fn look_for_one(&self, doc: &SegmentDoc) -> Result<()> {
        let name = doc.object();
        match self.store.head(&name).await? {
            Some(size) if size == doc.size => Ok(()),
            Some(size) => Err(Error::new(
                &DAMAGED,
                format!("`{name}` has {size} bytes and had {}", doc.size),
            )),
            None => Err(missing(&name)),
        }
    }

    async fn put_signature(&self, backup: &BackupId, object: &Object) -> Result<()> {
        let name = backup.signature();
        for _ in 0..PUTS {
            if self.store.create(&name, object).await? == Created::New {
                return Ok(());
            }
            let there = self.store.get(&name, DOCUMENT_LIMIT).await?;
            // The same key signs the same bytes the same way; anything else is of a draft that was given up.
            if there.as_deref() == Some(&object.bytes()[..]) {
                return Ok(());
            }
            if self.store.head(&backup.manifest()).await?.is_some() {
                return Err(complete(backup));
            }
            let ours = match there {
                Some(there) => self.store.replace(&name, sha256(&there), object).await?,
                None => self.store.unbury(&name, object).await?,
            };
            if ours {
                return Ok(());
            }
        }
        Err(changed_meanwhile(&name))
    }

    /// Signature first, manifest last: the backup exists when its manifest does.
    async fn publish(&self, backup: &BackupId, draft: &[u8], key: &SigningKey) -> Result<()> {
        let signature = SignatureDoc {
            version: VERSION,
            key: key.id(),
            signature: key.sign(draft),
        };
        let object = Object::new(format::to_bytes(&signature)?);
        self.put_signature(backup, &object).await?;
        let manifest = Object::new(draft.to_vec());
        match self.store.create(&backup.manifest(), &manifest).await? {
            Created::New => Ok(()),
            Created::Exists => {
                let there = self.store.get(&backup.manifest(), DOCUMENT_LIMIT).await?;
                if there.as_deref() == Some(draft) {
                    Ok(())
                } else {
                    Err(complete(backup))
                }
            }
        }
    }
}

/// Whether an earlier draft says what would be said now.
fn fits(
    keys: &EpochKeys,
    bytes: &[u8],
    name: &str,
    contents: &Contents,
    segments: &[SegmentDoc],
    key: &SigningKey,
) -> bool {
    let read = || -> Result<bool> {
        let doc: ManifestDoc = format::from_bytes(bytes, name)?;
        let sealed: Contents = keys.unseal(&doc.sealed, name)?;
        Ok(doc.signer == key.id()
            && doc.repository == contents.repository
            && doc.backup == contents.backup
            && doc.epoch == keys.epoch
            && doc.segments == segments
            && sealed == *contents)
    };
    read().unwrap_or(false)
}

/// What a staged capture's code covers.
fn staged_text(backup: &BackupId, store: Kind, sealed: &str) -> String {
    format!("{backup}\n{}\n{sealed}", store.name())
}

fn complete(backup: &BackupId) -> Error {
    Error::new(
        &COMPLETE,
        format!("the backup `{backup}` is complete already"),
    )
}
