//! Which segments are stored already, as far as signed manifests tell, and which of them nobody should trust unread.
//!
//! A writer begins with the newest backups. Whatever they do not list is looked for in older ones, which are read once, newest
//! first and no further than needed: another context or other stores may have filled the newest.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::Repository;
use super::collect::id_of;
use super::format::SegmentDoc;
use super::names::{BACKUPS, BackupId, Digest, SegmentName};
use crate::error::Result;
use crate::event::Outcome;
use crate::time::Instant;

/// How many of the newest backups are read before anything is written.
const NEWEST: usize = 10;
/// How many older ones are read together.
const OLDER: usize = 16;
/// How many are read at once.
const READS: usize = 8;

/// What is known of a stored segment.
#[derive(Clone)]
pub(super) struct Known {
    pub doc: SegmentDoc,
    /// Whether this writer looked at the object itself.
    pub seen: bool,
}

/// What a writer knows.
pub(super) struct KnownSegments {
    epoch: u32,
    segments: Mutex<HashMap<Digest, Known>>,
    verdicts: Mutex<HashMap<SegmentName, Verdict>>,
    /// The backups that were not read yet, oldest first.
    older: tokio::sync::Mutex<Vec<Listed>>,
}

/// A backup and the names of what was verified of it.
struct Listed {
    id: BackupId,
    verified: Vec<String>,
}

/// When the backups that need an object were last found wrong, and last found whole.
#[derive(Clone, Copy, Default)]
struct Verdict {
    failed: Option<Instant>,
    passed: Option<Instant>,
}

impl Verdict {
    fn with(self, other: Verdict) -> Verdict {
        Verdict {
            failed: self.failed.max(other.failed),
            passed: self.passed.max(other.passed),
        }
    }
}

impl KnownSegments {
    /// What the newest backups of this epoch list. Only those count that somebody trusted signed: a forged list must not decide
    /// what is stored.
    pub async fn read(repository: &Repository, epoch: u32) -> Result<KnownSegments> {
        let mut listed: BTreeMap<BackupId, (bool, Vec<String>)> = BTreeMap::new();
        for entry in repository.store.list(BACKUPS).await? {
            if let Some((id, rest)) = id_of(&entry.name) {
                let (published, verified) = listed.entry(id).or_default();
                *published |= rest == "manifest.json";
                if rest.starts_with("verified/") {
                    verified.push(entry.name);
                }
            }
        }
        let published = listed.into_iter().filter(|(_, (published, _))| *published);
        let older = published.map(|(id, (_, verified))| Listed { id, verified });
        let known = KnownSegments {
            epoch,
            segments: Mutex::default(),
            verdicts: Mutex::default(),
            older: tokio::sync::Mutex::new(older.collect()),
        };
        let newest = known.next(NEWEST).await;
        known.learn(repository, newest).await?;
        Ok(known)
    }

    /// What is known of a segment now.
    pub fn get(&self, id: &Digest) -> Option<Known> {
        guard(&self.segments).get(id).cloned()
    }

    /// The same after a look at older backups, until one lists it.
    pub async fn search(&self, repository: &Repository, id: &Digest) -> Result<Option<Known>> {
        // One reads; the others wait for what it finds.
        let mut older = self.older.lock().await;
        loop {
            let known = self.get(id);
            if known.is_some() || older.is_empty() {
                return Ok(known);
            }
            let at = older.len().saturating_sub(OLDER);
            let next = older.split_off(at);
            self.learn(repository, next).await?;
        }
    }

    /// Takes note of a segment that this writer stored, or looked at.
    pub fn remember(&self, doc: SegmentDoc) {
        guard(&self.segments).insert(doc.id, Known { doc, seen: true });
    }

    /// Whether a verification of a backup that needs this object failed, and none has passed since.
    pub fn doubted(&self, name: &SegmentName) -> bool {
        let verdict = guard(&self.verdicts).get(name).copied();
        verdict.is_some_and(|v| v.failed > v.passed)
    }

    async fn next(&self, count: usize) -> Vec<Listed> {
        let mut older = self.older.lock().await;
        let at = older.len().saturating_sub(count);
        older.split_off(at)
    }

    /// Reads some backups, of which the later ones are the newer.
    async fn learn(&self, repository: &Repository, listed: Vec<Listed>) -> Result<()> {
        let reads: Vec<BoxFuture<'_, Result<Learnt>>> = listed
            .iter()
            .rev()
            .map(|listed| read(repository, listed, self.epoch).boxed())
            .collect();
        let read: Vec<_> = stream::iter(reads).buffered(READS).try_collect().await?;
        let mut segments = guard(&self.segments);
        let mut verdicts = guard(&self.verdicts);
        for (docs, verdict) in read {
            for doc in docs {
                if verdict.failed.is_some() || verdict.passed.is_some() {
                    let known = verdicts.entry(doc.name()).or_default();
                    *known = known.with(verdict);
                }
                segments.entry(doc.id).or_insert(Known { doc, seen: false });
            }
        }
        Ok(())
    }
}

/// What one backup tells.
type Learnt = (Vec<SegmentDoc>, Verdict);

/// The segments of a backup, and what its verifications say of them. A damaged backup is verify's finding; here it only means
/// that less is known.
async fn read(repository: &Repository, listed: &Listed, epoch: u32) -> Result<Learnt> {
    let signed = match repository.read_manifest(&listed.id).await {
        Ok(signed) if signed.trust.is_ok() && signed.doc.epoch == epoch => signed,
        _ => return Ok(Default::default()),
    };
    let records = repository.records(&listed.id, signed.sha256, &listed.verified);
    let mut verdict = Verdict::default();
    for (_, record) in records.await? {
        match record.outcome {
            Outcome::Failed => verdict.failed = verdict.failed.max(Some(record.to)),
            // A sample proves nothing of what it left out.
            Outcome::Passed if record.sample.is_none() => {
                verdict.passed = verdict.passed.max(Some(record.to));
            }
            _ => {}
        }
    }
    Ok((signed.doc.segments, verdict))
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
