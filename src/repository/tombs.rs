//! Which segments are about to be deleted, as a writer and a collector read it.
//!
//! A batch is two objects: the segments, and then the locks that were seen once the batch was there. Both are signed. A
//! batch that cannot be read or trusted deletes nothing, but a writer cannot know what it named, and reuses nothing.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::format::{DOCUMENT_LIMIT, VERSION};
use super::names::{SegmentName, TOMBSTONES, hex, random};
use super::store::Created;
use super::{DAMAGED, Repository, changed_meanwhile, signed, tool};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::sign::{KeyId, SigningKey};
use crate::time::Instant;

const BATCH: &str = "summitctl-tombstones";
const LOCKS_SEEN: &str = "summitctl-tombstones-locks";

/// What the names of the two objects end with.
const BATCH_END: &str = ".json";
const LOCKS_END: &str = ".locks.json";

/// `tombstones/<time>-<random>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BatchPayload {
    version: u32,
    kind: String,
    repository: String,
    batch: String,
    at: Instant,
    tool: String,
    segments: Vec<SegmentName>,
}

/// `tombstones/<time>-<random>.locks.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LocksPayload {
    version: u32,
    kind: String,
    repository: String,
    batch: String,
    at: Instant,
    /// The tokens of the locks that were held when the batch was there already.
    locks: Vec<String>,
}

/// A batch that can be acted on.
pub(super) struct Batch {
    pub name: String,
    pub segments: Vec<SegmentName>,
    /// The locks to wait for; `None` if whoever made the batch was stopped before it looked.
    pub locks: Option<Vec<String>>,
}

/// What a writer must not reuse.
#[derive(Default)]
pub(super) struct Tombs {
    names: HashSet<SegmentName>,
    everything: bool,
}

impl Tombs {
    /// Whether this object may be deleted any time.
    pub fn covers(&self, name: &SegmentName) -> bool {
        self.everything || self.names.contains(name)
    }
}

impl Repository {
    /// What is about to be deleted, for a writer that holds its lock.
    pub(super) async fn tombs(&self, events: &Events) -> Result<Tombs> {
        let mut tombs = Tombs::default();
        for (name, batch) in self.batches().await? {
            match batch {
                Ok(batch) => tombs.names.extend(batch.segments),
                Err(e) => {
                    tombs.everything = true;
                    events.note(format!(
                        "`{name}` cannot be read, so that nobody knows which segments are about to be deleted: this backup stores everything anew ({}); `summitctl backup prune` removes it",
                        e.one_line()
                    ));
                }
            }
        }
        Ok(tombs)
    }

    /// Every batch, or what is wrong with it.
    pub(super) async fn batches(&self) -> Result<Vec<(String, Result<Batch>)>> {
        let entries = self.store.list(TOMBSTONES).await?;
        let mut all = Vec::new();
        for entry in entries.iter().filter(|e| !e.name.ends_with(LOCKS_END)) {
            // One that is gone by now was dealt with: its segments are deleted or stay.
            if let Some(bytes) = self.store.get_as_it_is(&entry.name, DOCUMENT_LIMIT).await? {
                let locks = locks_name(&entry.name);
                let locks = match entries.iter().any(|e| e.name == locks) {
                    true => self.store.get_as_it_is(&locks, DOCUMENT_LIMIT).await?,
                    false => None,
                };
                let batch = self.read_batch(&entry.name, &bytes, locks.as_deref());
                all.push((entry.name.clone(), batch));
            }
        }
        Ok(all)
    }

    fn read_batch(&self, object: &str, bytes: &[u8], locks: Option<&[u8]>) -> Result<Batch> {
        let (payload, _): (BatchPayload, KeyId) = self.read_signed(object, bytes)?;
        let another = |object: &str| {
            Error::new(
                &DAMAGED,
                format!("`{object}` is the tombstone of something else"),
            )
        };
        let ours = |kind: &str, of: &str, repository: &str, batch: &str| {
            kind == of && repository == self.id() && batch_name(batch) == object
        };
        if !ours(&payload.kind, BATCH, &payload.repository, &payload.batch) {
            return Err(another(object));
        }
        let locks = match locks {
            None => None,
            Some(bytes) => {
                let name = locks_name(object);
                let (seen, _): (LocksPayload, KeyId) = self.read_signed(&name, bytes)?;
                if !ours(&seen.kind, LOCKS_SEEN, &seen.repository, &seen.batch) {
                    return Err(another(&name));
                }
                Some(seen.locks)
            }
        };
        Ok(Batch {
            name: object.to_owned(),
            segments: payload.segments,
            locks,
        })
    }

    /// Announces that these segments are to be deleted.
    pub(super) async fn announce(
        &self,
        segments: Vec<SegmentName>,
        key: &SigningKey,
    ) -> Result<Batch> {
        let at = Instant::now();
        let batch = format!("{}-{}", at.compact(), hex(&random::<4>()?));
        let name = batch_name(&batch);
        let payload = BatchPayload {
            version: VERSION,
            kind: BATCH.to_owned(),
            repository: self.id().to_owned(),
            batch,
            at,
            tool: tool(),
            segments,
        };
        if self
            .store
            .create(&name, &signed::sign(&payload, key)?)
            .await?
            == Created::Exists
        {
            return Err(changed_meanwhile(&name));
        }
        Ok(Batch {
            name,
            segments: payload.segments,
            locks: None,
        })
    }

    /// Writes down which locks a batch waits for; they were read after the batch was there.
    pub(super) async fn waits_for(
        &self,
        batch: &mut Batch,
        locks: Vec<String>,
        key: &SigningKey,
    ) -> Result<()> {
        let stem = batch.name.strip_prefix(TOMBSTONES).unwrap_or(&batch.name);
        let payload = LocksPayload {
            version: VERSION,
            kind: LOCKS_SEEN.to_owned(),
            repository: self.id().to_owned(),
            batch: stem.strip_suffix(BATCH_END).unwrap_or(stem).to_owned(),
            at: Instant::now(),
            locks,
        };
        let name = locks_name(&batch.name);
        let object = signed::sign(&payload, key)?;
        if self.store.create(&name, &object).await? == Created::Exists {
            return Err(changed_meanwhile(&name));
        }
        batch.locks = Some(payload.locks);
        Ok(())
    }

    /// Forgets a batch that was dealt with, or cannot be. The batch goes first: locks without one say nothing.
    pub(super) async fn forget_batch(&self, batch: &str) -> Result<()> {
        self.store.delete(batch).await?;
        self.store.delete(&locks_name(batch)).await?;
        Ok(())
    }

    /// Removes what a stopped [`Repository::forget`] left.
    pub(super) async fn forget_rests(&self) -> Result<()> {
        let entries = self.store.list(TOMBSTONES).await?;
        let batches: HashSet<String> = entries.iter().map(|e| locks_name(&e.name)).collect();
        for entry in &entries {
            if entry.name.ends_with(LOCKS_END) && !batches.contains(&entry.name) {
                self.store.delete(&entry.name).await?;
            }
        }
        Ok(())
    }
}

fn batch_name(batch: &str) -> String {
    format!("{TOMBSTONES}{batch}{BATCH_END}")
}

fn locks_name(batch: &str) -> String {
    let stem = batch.strip_suffix(BATCH_END).unwrap_or(batch);
    format!("{stem}{LOCKS_END}")
}
