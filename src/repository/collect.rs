//! Removing backups, and the segments that nothing needs any more, beside backups that are being written.
//!
//! # Why no segment is lost
//!
//! A segment's object is *referred to* by a published manifest, by a staged capture, or by a writer that has stored or
//! found it and not staged it yet. Such a writer holds a shared lock, and so does a commit. These orders are kept:
//!
//! 1. A writer (or commit) creates its lock, then reads the tombstones (or what is staged), then refers.
//! 2. A writer stages its capture, then removes its lock. A commit publishes the manifest, then removes what is staged.
//! 3. A writer refers to no object that a tombstone names which it read: it stores the bytes anew under a name that was
//!    never used.
//! 4. A collector creates the tombstone, then reads the locks, and waits until those are gone. Then it reads what is
//!    staged, then the manifests. It deletes what the tombstone names and none of them does, and then the tombstone.
//! 5. Collectors exclude each other by a lock, and nobody else ever deletes a segment.
//!
//! Let an object be deleted by some collector. Assume that somebody refers to it then. Whoever refers to it now, a writer
//! referred to it first. If that writer's lock was created after the tombstone, the writer read the tombstone (1), and did
//! not refer to the object (3). Else its lock was there when the tombstone was created. Either the collector saw the lock,
//! and waited until it was gone; or it was gone already. In both cases the capture was staged before (2), unless the writer
//! had died and refers to nothing. So the collector, which reads what is staged after that (4), finds it staged, or removed
//! from there: by a commit that had published the manifest before (2), which the collector then finds, as it reads manifests
//! last; or by an abort, or a prune of what nobody finished, after which nobody refers to it, because a commit that had read
//! it as staged holds a lock since before, which was seen and waited for. In every case that is a contradiction.
//!
//! Each step may be repeated: a batch that a killed collector left is taken up by the next one, with the same locks, or,
//! if they were not written down, with those that are held now, which are more. Clocks decide nothing here.
//!
//! What this rests on: a listing sees every creation before it, and nobody removes the lock of a living process by hand.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::Backup;
use super::format::DOCUMENT_LIMIT;
use super::lock::{Lock, Mode};
use super::names::{BACKUPS, BackupId, Digest, SEGMENTS, SegmentName};
use super::retention::{Candidate, Fate, Rules, judge};
use super::standing::held_error;
use super::store::Deleted;
use super::told::{Told, candidate};
use super::tombs::Batch;
use super::{INCOMPLETE, RETAINED, Repository, changed_meanwhile, missing};
use crate::error::{Context as _, Error, Report, Result};
use crate::event::{Events, Unit};
use crate::identity::Store as Kind;
use crate::sign::SigningKey;
use crate::time::Instant;
use crate::wait::Cancel;

/// What a prune's lock is held for.
pub(super) const PRUNE: &str = "prune";
/// How many segments one tombstone names at most.
const BATCH: usize = 100_000;
/// After so many segments a collector looks whether its lock is still its own.
const LOOK_EVERY: usize = 64;
/// How many segments are deleted at once.
const DELETES: usize = 16;

/// What a prune would do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Pruning {
    /// Every backup, newest first.
    pub backups: Vec<Judged>,
    /// Captures that are staged and were never published, newest first.
    pub unfinished: Vec<Unfinished>,
    /// Objects of segments that nothing needs: what stopped writers and failed backups left, and what is about to be deleted.
    pub leftovers: u64,
    /// Their bytes.
    pub leftover_bytes: u64,
    /// Tombstones that an earlier prune left, or that cannot be trusted.
    pub tombstones: Vec<String>,
    /// Backups whose removal was begun, and of which objects are left.
    pub rests: Vec<BackupId>,
    /// Bytes that are free once everything that goes is gone.
    pub frees_bytes: u64,
    /// In a copy: why the repository cannot be asked which backups were restored and compared, if so.
    pub unasked: Option<Report>,
    /// Whether the store keeps what is deleted as versions, which take space; null if it does not say.
    pub keeps_versions: Option<bool>,
    /// Why no segment can be deleted now, if so.
    pub blocked: Option<Report>,
}

/// A backup and what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    /// Which one.
    pub backup: BackupId,
    /// Its manifest, as it was judged.
    pub manifest_sha256: Option<Digest>,
    /// Whether it stays, and why.
    #[serde(flatten)]
    pub fate: Fate,
    /// Bytes that are free once it and all that is older and goes is gone.
    pub frees_bytes: u64,
}

/// Captures that wait for a backup which nobody finished.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unfinished {
    /// The backup that it was to be.
    pub backup: BackupId,
    /// Whether it stays, and why.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Removal {
    /// The backup.
    pub backup: BackupId,
    /// Its manifest; null for captures that nobody finished.
    pub manifest_sha256: Option<Digest>,
}

/// What a prune did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Pruned {
    /// Backups and unfinished captures that are gone.
    pub removed: u64,
    /// Segments deleted.
    pub deleted: u64,
    /// Bytes of segments that are gone, not only hidden.
    pub freed_bytes: u64,
    /// Objects that are hidden by a delete marker: the bucket keeps them as versions.
    pub hidden: u64,
    /// The bytes of hidden segments.
    pub hidden_bytes: u64,
    /// Objects that the store refuses to delete for now.
    pub retained: BTreeSet<String>,
    /// Why it refuses the first of them.
    pub retained_for: Option<String>,
    /// Segments that were about to be deleted and are needed again.
    pub spared: u64,
    /// Segments that wait for a backup which is being written: the next prune deletes them.
    pub waiting: u64,
    /// Whom they wait for, and what to do if it is no more.
    pub waits_for: Vec<String>,
    /// Tombstones that could not be trusted; they were removed, and deleted nothing.
    pub untrusted_tombstones: Vec<String>,
    /// What nobody had finished when it was looked at, and what came of it since.
    pub resumed: Vec<String>,
}

/// Who listens to a prune and may stop it.
pub struct PruneOptions {
    /// Who hears of progress.
    pub events: Events,
    /// Who may stop it.
    pub cancel: Cancel,
}

impl Pruning {
    /// What goes, oldest first.
    pub fn removals(&self) -> Vec<Removal> {
        let backups = self.backups.iter().filter(|b| b.fate.goes());
        let backups = backups.map(|b| Removal {
            backup: b.backup.clone(),
            manifest_sha256: b.manifest_sha256,
        });
        let unfinished = self.unfinished.iter().filter(|u| u.fate.goes());
        let unfinished = unfinished.map(|u| Removal {
            backup: u.backup.clone(),
            manifest_sha256: None,
        });
        let mut all: Vec<Removal> = backups.chain(unfinished).collect();
        all.sort_by(|a, b| a.backup.cmp(&b.backup));
        all
    }

    /// Whether it is there and stays.
    pub fn stays(&self, id: &BackupId) -> bool {
        let backups = self.backups.iter().map(|b| (&b.backup, &b.fate));
        let unfinished = self.unfinished.iter().map(|u| (&u.backup, &u.fate));
        backups
            .chain(unfinished)
            .any(|(backup, fate)| backup == id && !fate.goes())
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.removals().is_empty()
            && self.leftovers == 0
            && self.tombstones.is_empty()
            && self.rests.is_empty()
    }
}

impl Fate {
    /// Whether it goes.
    pub fn goes(&self) -> bool {
        matches!(self, Fate::Goes(_))
    }
}

/// The objects that something refers to.
#[derive(Default)]
struct References {
    names: HashSet<SegmentName>,
    /// Manifests never change, so each is read once.
    seen: HashSet<BackupId>,
}

impl Repository {
    /// What these rules would remove of a context. `safety` is the label of backups that a restore makes of what it replaces.
    /// Reads manifests, and lists segments, but reads none.
    pub async fn plan_prune(
        &self,
        context: &str,
        safety: &str,
        rules: &Rules,
        now: Instant,
    ) -> Result<Pruning> {
        let told = Told::Here;
        self.plan_prune_told(&told, context, safety, rules, now)
            .await
    }

    /// The same for a copy, in whose repository backups may have been restored and compared since they were brought: its records
    /// count as well. Where it cannot be asked, nobody knows which of them was, and each stays that one could be.
    pub async fn plan_prune_of_copy(
        &self,
        repository: Result<Vec<Backup>>,
        context: &str,
        safety: &str,
        rules: &Rules,
        now: Instant,
    ) -> Result<Pruning> {
        let told = match repository {
            Ok(backups) => Told::There(backups.into_iter().map(|b| (b.id.clone(), b)).collect()),
            Err(e) => Told::Nothing(Report::from(&e)),
        };
        self.plan_prune_told(&told, context, safety, rules, now)
            .await
    }

    async fn plan_prune_told(
        &self,
        told: &Told,
        context: &str,
        safety: &str,
        rules: &Rules,
        now: Instant,
    ) -> Result<Pruning> {
        self.writing_keys()?;
        // Listed first: what is stored from here on is not a leftover.
        let stored = self.stored_segments().await?;
        let unfinished = self.unfinished(now).await?;
        let listed = self.list().await?;
        let removed: HashSet<BackupId> = self.removed_ids().await?.into_iter().collect();
        let candidates: Vec<Candidate> = listed
            .iter()
            .map(|b| candidate(b, told, safety, removed.contains(&b.id)))
            .collect();
        let mut fates = judge(&candidates, context, rules, now);
        for (backup, fate) in listed.iter().zip(&mut fates) {
            if fate.goes()
                && let Some(why) = self.store.retained(&backup.id.manifest()).await?
            {
                *fate = Fate::Stays(vec![why]);
            }
        }
        let mut references = References::default();
        let mut blocked = None;
        let going: HashSet<&BackupId> = unfinished
            .iter()
            .filter(|u| u.fate.goes())
            .map(|u| &u.backup)
            .collect();
        if let Err(e) = references.staged(self, &going).await {
            blocked = Some(Report::from(&e));
        }
        if let Some(id) = self.lost_manifest().await? {
            blocked = Some(Report::from(&unread(&id, missing(&id.manifest()))));
        }
        // The newest backup that refers to an object takes it along; one that stays keeps it.
        let mut last: HashMap<SegmentName, (u64, Option<usize>)> = HashMap::new();
        let ids: Vec<BackupId> = listed.iter().map(|b| b.id.clone()).collect();
        let mut manifests = self.manifests(&ids);
        for (at, (backup, fate)) in listed.iter().zip(&fates).enumerate() {
            let Some((_, read)) = manifests.next().await else {
                break;
            };
            match read {
                Ok(read) => {
                    for doc in &read.doc.segments {
                        let entry = last.entry(doc.name()).or_insert((doc.size, Some(at)));
                        entry.1 = match fate {
                            Fate::Goes(_) => entry.1.map(|_| at),
                            Fate::Stays(_) => None,
                        };
                    }
                }
                Err(e) if blocked.is_none() => blocked = Some(Report::from(&unread(&backup.id, e))),
                Err(_) => {}
            }
        }
        drop(manifests);
        let mut frees = vec![0; listed.len()];
        let mut leftovers = (0, 0);
        for (name, size) in &stored {
            match last.get(name) {
                Some((_, Some(at))) if !references.names.contains(name) => frees[*at] += size,
                None if !references.names.contains(name) => {
                    leftovers = (leftovers.0 + 1, leftovers.1 + size);
                }
                _ => {}
            }
        }
        let frees_bytes = frees.iter().sum::<u64>() + leftovers.1;
        let tombstones = self.batches().await?.into_iter().map(|(name, _)| name);
        let tombstones = tombstones.collect();
        let rests = self.rests(&removed, &listed).await?;
        let judged = listed.into_iter().zip(fates).zip(frees);
        let mut backups: Vec<Judged> = judged
            .map(|((backup, fate), frees_bytes)| Judged {
                backup: backup.id,
                manifest_sha256: backup.signed.map(|s| s.manifest_sha256),
                fate,
                frees_bytes,
            })
            .collect();
        backups.reverse();
        Ok(Pruning {
            backups,
            unfinished,
            leftovers: leftovers.0,
            leftover_bytes: leftovers.1,
            tombstones,
            rests,
            frees_bytes,
            unasked: match told {
                Told::Nothing(why) => Some(why.clone()),
                Told::Here | Told::There(_) => None,
            },
            keeps_versions: self.store.keeps_versions().await,
            blocked,
        })
    }

    /// Removes backups and unfinished captures, and deletes every segment that nothing needs. Repeating it ends what a killed
    /// process began.
    pub async fn prune(
        &self,
        removals: &[Removal],
        key: &SigningKey,
        options: &PruneOptions,
    ) -> Result<Pruned> {
        self.check_signer(key)?;
        self.writing_keys()?;
        let lock = Lock::acquire(&self.store, Mode::Collect, PRUNE).await?;
        let done = self.prune_locked(removals, key, options, &lock).await;
        lock.release().await?;
        done
    }

    async fn prune_locked(
        &self,
        removals: &[Removal],
        key: &SigningKey,
        options: &PruneOptions,
        lock: &Lock,
    ) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for removal in removals {
            options.cancel.check()?;
            lock.still_held().await?;
            pruned.removed += match removal.manifest_sha256 {
                Some(manifest) => {
                    let gone = self.remove(&removal.backup, manifest, key, &mut pruned);
                    u64::from(gone.await?)
                }
                None => u64::from(self.remove_unfinished(&removal.backup, &mut pruned).await?),
            };
        }
        let removed = self.removed_ids().await?;
        // One listing of everything: a look at the folder of each backup that ever was would be a request each.
        let left = self.left().await?;
        for id in removed.iter().filter(|id| left.contains(*id)) {
            self.sweep(id, &mut pruned).await?;
        }
        let mut references = References::default();
        self.forget_rests().await?;
        for (name, batch) in self.batches().await? {
            match batch {
                Ok(batch) => {
                    self.collect(batch, key, &mut references, &mut pruned, options, lock)
                        .await?;
                }
                Err(_) => {
                    lock.still_held().await?;
                    self.forget_batch(&name).await?;
                    pruned.untrusted_tombstones.push(name);
                }
            }
        }
        let needless = self.needless(&mut references).await?;
        for chunk in needless.chunks(BATCH) {
            options.cancel.check()?;
            lock.still_held().await?;
            let batch = self.announce(chunk.to_vec(), key).await?;
            self.collect(batch, key, &mut references, &mut pruned, options, lock)
                .await?;
        }
        Ok(pruned)
    }

    /// Deletes what a batch names and nothing needs, once the locks that it waits for are gone.
    async fn collect(
        &self,
        mut batch: Batch,
        key: &SigningKey,
        references: &mut References,
        pruned: &mut Pruned,
        options: &PruneOptions,
        lock: &Lock,
    ) -> Result<()> {
        let holders = self.holders().await?;
        let mut writers = holders.iter().filter(|h| h.mode == Mode::Shared);
        if batch.locks.is_none() {
            let seen = writers.clone().map(|h| h.token.clone()).collect();
            self.waits_for(&mut batch, seen, key).await?;
        }
        let awaited = batch.locks.clone().unwrap_or_default();
        writers.clone().for_each(|h| {
            let mut line = h.describe();
            if h.is_elsewhere() {
                line.push_str(&format!(". {}", h.advice()));
            }
            if awaited.contains(&h.token) && !pruned.waits_for.contains(&line) {
                pruned.waits_for.push(line);
            }
        });
        if writers.any(|h| awaited.contains(&h.token)) {
            pruned.waiting += batch.segments.len() as u64;
            return Ok(());
        }
        // The locks are gone: only now is it settled who refers to what.
        references.refresh(self).await?;
        // And what is there: nobody stores anything under these names any more.
        let stored = self.stored_segments().await?;
        let (mut at, total) = (0, batch.segments.len() as u64);
        for chunk in batch.segments.chunks(LOOK_EVERY) {
            options.cancel.check()?;
            lock.still_held().await?;
            let events = &options.events;
            events.progress("collect", at, Some(total), Unit::Items);
            at += chunk.len() as u64;
            let (needed, needless): (Vec<&SegmentName>, Vec<&SegmentName>) =
                chunk.iter().partition(|n| references.names.contains(*n));
            pruned.spared += needed.len() as u64;
            let there = needless
                .into_iter()
                .filter_map(|name| Some((name.object(), *stored.get(name)?)));
            self.delete_segments(there.collect(), pruned).await?;
        }
        lock.still_held().await?;
        self.forget_batch(&batch.name).await
    }

    /// Deletes segments of these sizes, many at once.
    async fn delete_segments(&self, all: Vec<(String, u64)>, pruned: &mut Pruned) -> Result<()> {
        let deletes: Vec<BoxFuture<'_, (Result<Deleted>, String, u64)>> = all
            .into_iter()
            .map(|(name, size)| async move { (self.store.delete(&name).await, name, size) }.boxed())
            .collect();
        let mut deletes = stream::iter(deletes).buffer_unordered(DELETES);
        while let Some((done, name, size)) = deletes.next().await {
            match taken(done, &name, pruned)? {
                Some(Deleted::Gone) => pruned.freed_bytes += size,
                Some(Deleted::Hidden) => pruned.hidden_bytes += size,
                Some(Deleted::Absent) | None => continue,
            }
            pruned.deleted += 1;
        }
        Ok(())
    }

    /// Takes a backup's standing away: states its removal, then deletes its manifest, then the rest.
    async fn remove(
        &self,
        id: &BackupId,
        manifest: Digest,
        key: &SigningKey,
        pruned: &mut Pruned,
    ) -> Result<bool> {
        match self.store.get(&id.manifest(), DOCUMENT_LIMIT).await? {
            None => return Ok(false),
            Some(bytes) if super::store::sha256(&bytes) != manifest => {
                return Err(changed_meanwhile(&id.manifest()));
            }
            Some(_) => {}
        }
        // Only a removal that can be trusted was decided already.
        if !matches!(self.removal(id).await, Ok(Some(_))) {
            let holds = self.holds(id, manifest).await?;
            if holds.in_force().is_some() {
                return Err(held_error(id));
            }
        }
        self.state_removal(id, manifest, key).await?;
        self.sweep(id, pruned).await
    }

    /// Deletes an object; `None` if the store keeps it for now, which stops nothing else.
    async fn take(&self, name: &str, pruned: &mut Pruned) -> Result<Option<Deleted>> {
        taken(self.store.delete(name).await, name, pruned)
    }

    /// Deletes what is left of a backup whose removal a trusted host stated; whether its manifest is gone. While the store keeps
    /// the manifest, everything else stays beside it.
    async fn sweep(&self, id: &BackupId, pruned: &mut Pruned) -> Result<bool> {
        let left = self.store.list(&id.folder()).await?;
        if left.is_empty() || !self.removal(id).await.is_ok_and(|at| at.is_some()) {
            return Ok(false);
        }
        let manifest = id.manifest();
        if self.take(&manifest, pruned).await?.is_none() {
            return Ok(false);
        }
        for entry in left.iter().filter(|entry| entry.name != manifest) {
            self.take(&entry.name, pruned).await?;
        }
        Ok(true)
    }

    /// Why the store refuses to remove a backup now, if so.
    pub async fn retained(&self, id: &BackupId) -> Result<Option<String>> {
        self.store.retained(&id.manifest()).await
    }

    /// The segments that nothing needs and no prune has announced.
    async fn needless(&self, references: &mut References) -> Result<Vec<SegmentName>> {
        // Listed first: what is stored from here on is nobody's leftover yet.
        let stored = self.stored_segments().await?;
        let announced: HashSet<SegmentName> = self
            .batches()
            .await?
            .into_iter()
            .filter_map(|(_, batch)| batch.ok())
            .flat_map(|batch| batch.segments)
            .collect();
        references.refresh(self).await?;
        let mut needless: Vec<SegmentName> = stored
            .into_keys()
            .filter(|name| !references.names.contains(name) && !announced.contains(name))
            .collect();
        needless.sort();
        Ok(needless)
    }

    /// Fails if a prune left something to do: segments that nothing needs, or tombstones that wait for nobody. While others
    /// work here, what is there may be theirs, and nothing is concluded. How many segments the store refuses to delete for now.
    pub async fn check_collected(&self) -> Result<u64> {
        if !self.holders().await?.is_empty() {
            return Ok(0);
        }
        let (mut needless, mut retained) = (0, 0);
        for name in self.needless(&mut References::default()).await? {
            match self.store.retained(&name.object()).await? {
                Some(_) => retained += 1,
                None => needless += 1,
            }
        }
        let idle = |batch: &Result<Batch>| match batch {
            Ok(batch) => batch.locks.as_ref().is_none_or(Vec::is_empty),
            Err(_) => true,
        };
        let batches = self.batches().await?;
        let batches = batches.iter().filter(|(_, batch)| idle(batch)).count();
        if (needless, batches) == (0, 0) || !self.holders().await?.is_empty() {
            return Ok(retained);
        }
        Err(Error::new(
            &INCOMPLETE,
            format!(
                "{needless} segments that nothing needs are still stored, and {batches} tombstones are left"
            ),
        ))
    }

    /// How many segments wait to be deleted by a later prune.
    pub async fn waiting_segments(&self) -> Result<u64> {
        let batches = self.batches().await?.into_iter();
        let waiting = batches.filter_map(|(_, batch)| batch.ok());
        Ok(waiting.map(|batch| batch.segments.len() as u64).sum())
    }

    /// Every segment's object, with its size.
    async fn stored_segments(&self) -> Result<HashMap<SegmentName, u64>> {
        let entries = self.store.list(SEGMENTS).await?;
        let names = entries.into_iter();
        // Whatever else lies there is none of ours, and stays.
        Ok(names
            .filter_map(|e| Some((SegmentName::of_object(&e.name)?, e.size)))
            .collect())
    }
}

impl References {
    /// Adds what is staged, and then what is published; in this order, because that is the way captures go.
    async fn refresh(&mut self, repository: &Repository) -> Result<()> {
        self.staged(repository, &HashSet::new()).await?;
        if let Some(id) = repository.lost_manifest().await? {
            let name = id.manifest();
            return Err(unread(&id, missing(&name)));
        }
        let mut ids = repository.ids().await?;
        ids.retain(|id| !self.seen.contains(id));
        let mut manifests = repository.manifests(&ids);
        while let Some((id, read)) = manifests.next().await {
            match read {
                Ok(read) => {
                    self.names
                        .extend(read.doc.segments.iter().map(|s| s.name()));
                    self.seen.insert(id);
                }
                Err(e) => return Err(unread(&id, e)),
            }
        }
        Ok(())
    }

    async fn staged(&mut self, repository: &Repository, but: &HashSet<&BackupId>) -> Result<()> {
        let entries = repository.store.list(BACKUPS).await?;
        for entry in entries {
            let Some((id, rest)) = id_of(&entry.name) else {
                continue;
            };
            let Some(store) = rest.strip_prefix("staged/") else {
                continue;
            };
            let named = |kind: &Kind| format!("{}.json", kind.name()) == store;
            let Some(store) = Kind::ALL.into_iter().find(named) else {
                continue;
            };
            if but.contains(&id) {
                continue;
            }
            let read = repository.staged_segments(&id, store).await;
            let read = read.context(|| format!("nobody can tell what `{}` needs", entry.name))?;
            self.names.extend(read.iter().map(|s| s.name()));
        }
        Ok(())
    }
}

/// Notes what came of a deletion; `None` if the store keeps the object for now, which stops nothing else.
fn taken(done: Result<Deleted>, name: &str, pruned: &mut Pruned) -> Result<Option<Deleted>> {
    match done {
        Ok(done) => {
            pruned.hidden += u64::from(done == Deleted::Hidden);
            Ok(Some(done))
        }
        Err(e) if e.reason() == &RETAINED => {
            pruned.retained.insert(name.to_owned());
            pruned.retained_for.get_or_insert_with(|| e.to_string());
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// A listed object's backup, and its name within the backup's folder.
pub(super) fn id_of(object: &str) -> Option<(BackupId, &str)> {
    let (folder, rest) = object.strip_prefix(BACKUPS)?.split_once('/')?;
    Some((folder.parse().ok()?, rest))
}

/// While it is not known what one backup needs, no segment may go.
fn unread(id: &BackupId, error: Error) -> Error {
    Error::new(
        &INCOMPLETE,
        format!("nobody can tell which segments the backup `{id}` needs, so none is deleted"),
    )
    .caused_by(error)
    .hint(format!(
        "Put its manifest back from a copy of the repository or a version of the bucket. If it is lost for good: `summitctl backup forget {id}`; where this host never saw it whole, move `backups/{id}` out of the repository."
    ))
}
