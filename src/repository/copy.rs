//! Bringing backups to a copy of the repository: another folder or bucket that holds the same objects under the same names.
//!
//! What is copied is ciphertext and signed documents, byte for byte, so that nobody needs an identity for it. In the copy this
//! is a writer like any other (see `collect`): it holds a shared lock, reads the tombstones after it, and publishes a
//! manifest, last, before it gives the lock back. It cannot give an object another name, as other writers do, because the
//! manifest is signed; so a backup that needs an object which is about to be deleted there waits for the next copy.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::format::{self, DOCUMENT_LIMIT, RepositoryDoc, SegmentDoc};
use super::lock::{Lock, Mode};
use super::names::{self, BackupId};
use super::store::{Created, Object, Store, sha256};
use super::tombs::Tombs;
use super::writer::blocking;
use super::{DAMAGED, EXISTS, INCOMPLETE, Repository, missing, prove, read_doc, refuse_foreign};
use crate::error::{Context as _, Error, Result};
use crate::event::{Events, Outcome, Unit};
use crate::time::Instant;
use crate::wait::Cancel;

/// How many segments are on the way at once.
const LANES: usize = 4;
/// How many are set out to be brought together.
const SEGMENTS: usize = 1024;
/// How often an object that others write as well is looked at again.
const LOOKS: usize = 4;

/// How far a copy is behind.
#[derive(Debug, Clone, Default)]
pub struct Lag {
    /// Backups that are whole here and missing or damaged there, newest first.
    pub missing: Vec<BackupId>,
    /// The newest backup of the context that is usable there.
    pub newest: Option<BackupId>,
    /// To which level that one was verified, as the records there say.
    pub level: Option<super::Level>,
    /// How many backups of the context are missing or damaged there.
    pub behind: u64,
    /// When the data of the oldest of those was taken.
    pub since: Option<Instant>,
    /// Whether the signers, the epochs or the key files there are not those of here.
    pub keys_differ: bool,
    /// Backups that are whole there, and of which a record of a restore is not: a prune there would judge without it.
    pub unproved: Vec<BackupId>,
}

/// No segment is nearly as large; what is, is not read into memory to be replaced.
const TOO_LARGE: u64 = 128 << 20;

/// Who listens to a copy and may stop it.
pub struct CopyOptions {
    /// Who hears of progress.
    pub events: Events,
    /// Who may stop it.
    pub cancel: Cancel,
}

/// What a copy did.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    /// Backups that are there now.
    pub backups: u64,
    /// Segments that were brought.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects there that were not what was written, and were put right.
    pub mended: u64,
    /// Backups that were there already, and whose records of restores were brought.
    pub proved: u64,
    /// Backups that could not be brought, and why.
    pub left: Vec<(BackupId, String)>,
}

/// The copy while it is written to.
struct Target<'a> {
    from: &'a Repository,
    to: &'a Repository,
    tombs: Tombs,
    options: &'a CopyOptions,
    /// Segments that were looked at already.
    settled: Mutex<HashSet<String>>,
    segments: AtomicU64,
    bytes: AtomicU64,
    mended: AtomicU64,
}

impl Repository {
    /// The same repository in another place: the same keys and the same trust.
    pub fn in_place(&self, store: &Arc<dyn Store>) -> Repository {
        Repository {
            store: Arc::clone(store),
            // What was seen here was not seen there.
            remembered: None,
            ..self.clone()
        }
    }

    /// How far a copy is behind, for backups of this context.
    pub async fn lag(&self, store: &Arc<dyn Store>, context: &str) -> Result<Lag> {
        let there = self.in_place(store);
        let known = there.is_copy_of(self).await?;
        let listed = there.list().await?;
        // After the list: a prune writes down what it removes before it removes it.
        let removed: HashSet<BackupId> = there.removed_ids().await?.into_iter().collect();
        let mut lag = Lag {
            keys_differ: !known || self.keys_differ(&there).await?,
            ..Lag::default()
        };
        let found: BTreeMap<BackupId, super::Backup> =
            listed.into_iter().map(|b| (b.id.clone(), b)).collect();
        for backup in self.list().await?.into_iter().rev() {
            let ours = backup
                .contents
                .as_ref()
                .is_some_and(|c| c.context == context);
            // What a verification found there since is brought again.
            let whole = found
                .get(&backup.id)
                .filter(|b| b.problem.is_none() && !b.failed_there(&backup));
            if let Some(whole) = whole {
                if backup.restores().any(|r| !whole.verified.contains(r)) {
                    lag.unproved.push(backup.id.clone());
                }
                if ours && lag.newest.is_none() {
                    lag.level = whole.verified_level().map(|r| r.level);
                    lag.newest = Some(backup.id);
                }
            } else if backup.problem.is_none() && !removed.contains(&backup.id) {
                lag.behind += u64::from(ours);
                if ours {
                    lag.since = Some(backup.id.moment());
                }
                lag.missing.push(backup.id);
            }
        }
        Ok(lag)
    }

    /// Brings what the copy lacks. Repeating it goes on where a killed one was. What cannot be brought is left out and said;
    /// an error means that the copy, or this repository, cannot be worked with.
    pub async fn copy_to(&self, store: &Arc<dyn Store>, options: &CopyOptions) -> Result<Copied> {
        let there = self.in_place(store);
        there.is_copy_of(self).await?;
        let lock = Lock::acquire(store, Mode::Shared, "copy").await?;
        let done = self.copy_locked(&there, &lock, options).await;
        lock.release().await?;
        done
    }

    async fn copy_locked(
        &self,
        there: &Repository,
        lock: &Lock,
        options: &CopyOptions,
    ) -> Result<Copied> {
        // After the lock: a collector that this reading misses sees the lock, and waits for it.
        let tombs = there.tombs(&options.events).await?;
        let target = Target {
            from: self,
            to: there,
            tombs,
            options,
            settled: Mutex::default(),
            segments: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            mended: AtomicU64::new(0),
        };
        target.keys().await?;
        let lag = self.lag(&there.store, "").await?;
        let mut copied = Copied::default();
        for id in lag.missing {
            options.cancel.check()?;
            lock.still_held().await?;
            match target.backup(&id, lock).await? {
                Ok(true) => copied.backups += 1,
                // Removed here while it was being copied.
                Ok(false) => {}
                Err(why) => copied.left.push((id, why)),
            }
        }
        for id in lag.unproved {
            options.cancel.check()?;
            lock.still_held().await?;
            copied.proved += u64::from(target.proofs(&id).await?);
        }
        copied.segments = target.segments.into_inner();
        copied.bytes = target.bytes.into_inner();
        copied.mended = target.mended.into_inner();
        Ok(copied)
    }

    /// Whether the place holds this repository; `false` if it is empty.
    async fn is_copy_of(&self, of: &Repository) -> Result<bool> {
        if self.store.head(names::REPOSITORY).await?.is_none() {
            refuse_foreign(self.store.as_ref()).await?;
            return Ok(false);
        }
        let doc = read_doc(self.store.as_ref()).await?;
        if doc.id == of.id() {
            of.not_older_than(&doc, &self.place()).await?;
            return Ok(true);
        }
        Err(Error::new(
            &EXISTS,
            format!("`{}` holds another repository: `{}`", self.place(), doc.id),
        )
        .hint("Name a new or empty place for the copy."))
    }

    async fn keys_differ(&self, there: &Repository) -> Result<bool> {
        let names = self.doc.epochs.iter().map(|e| names::keys(e.epoch));
        for name in names.chain([names::REPOSITORY.to_owned()]) {
            let ours = self.store.get(&name, DOCUMENT_LIMIT).await?;
            if there.store.get_as_it_is(&name, DOCUMENT_LIMIT).await? != ours {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl super::Backup {
    /// Whether the newest verification, of whichever level, failed; of those in this place, not of those that were brought from
    /// where the other one lies.
    fn failed_there(&self, other: &super::Backup) -> bool {
        let here = self.verified.iter();
        let newest = here
            .filter(|r| !other.verified.contains(r))
            .max_by_key(|r| r.to);
        newest.is_some_and(|r| r.outcome == Outcome::Failed)
    }

    /// The same with the records of restores that another place has of these contents.
    pub(super) fn with_restores_of(&self, there: &super::Backup) -> super::Backup {
        let manifest = |b: &super::Backup| b.signed.as_ref().map(|s| s.manifest_sha256);
        let mut both = self.clone();
        if manifest(self).is_some() && manifest(self) == manifest(there) {
            let new = there.restores().filter(|r| !self.verified.contains(r));
            both.verified.extend(new.cloned());
        }
        both
    }

    /// The records of restores: what they say of the contents holds wherever the same bytes lie.
    fn restores(&self) -> impl Iterator<Item = &super::Record> {
        let all = self.verified.iter();
        all.filter(|r| r.level >= super::Level::Restored)
    }
}

impl Target<'_> {
    /// The key files, and then who signs and which epochs there are. They change: those of here count.
    async fn keys(&self) -> Result<()> {
        let mut outrun = false;
        for _ in 0..LOOKS {
            let now = self.from.reopen().await?;
            outrun = match self.to.store.get(names::REPOSITORY, DOCUMENT_LIMIT).await {
                Ok(there) => there.is_some_and(|there| newer(&there, &now)),
                Err(e) if e.reason() == &DAMAGED => false,
                Err(e) => return Err(e),
            };
            // Another host has brought newer ones since: they are here by now.
            if outrun {
                continue;
            }
            let mut files = Vec::new();
            for epoch in &now.doc.epochs {
                let name = names::keys(epoch.epoch);
                let file = self.from.store.get(&name, DOCUMENT_LIMIT).await?;
                let file = Object::new(file.ok_or_else(|| missing(&name))?);
                if epoch.keys_sha256.contains(&file.sha256()) {
                    files.push((name, file));
                }
            }
            // Somebody changes the operators right now, or a file is damaged.
            if files.len() < now.doc.epochs.len() {
                continue;
            }
            for (name, file) in files {
                self.document(&name, &file).await?;
            }
            let doc = Object::new(format::to_bytes(&*now.doc)?);
            let stays = |there: &[u8]| newer(there, &now);
            if self
                .document_unless(names::REPOSITORY, &doc, &stays)
                .await?
            {
                return Ok(());
            }
            outrun = true;
        }
        if outrun {
            return Err(super::changed_meanwhile(names::REPOSITORY));
        }
        Err(Error::new(
            &DAMAGED,
            "a key file is not the one that `repository.json` lists",
        )
        .hint("Verify a backup of this repository first: `summitctl backup verify --level 1`."))
    }

    /// Brings one backup; `Ok(Ok(false))` if it is gone here, and why if it cannot be brought.
    async fn backup(
        &self,
        id: &BackupId,
        lock: &Lock,
    ) -> Result<std::result::Result<bool, String>> {
        let store = &self.from.store;
        let Some(manifest) = store.get(&id.manifest(), DOCUMENT_LIMIT).await? else {
            return Ok(Ok(false));
        };
        let read = match self.from.read_manifest(id).await {
            Ok(read) if read.trust.is_ok() && read.sha256 == sha256(&manifest) => read,
            Ok(read) => {
                let why = read.trust.err().map(|e| e.one_line());
                return Ok(Err(why.unwrap_or_else(|| "its manifest changed".to_owned())));
            }
            Err(e) => return Ok(Err(e.one_line())),
        };
        let doomed = read
            .doc
            .segments
            .iter()
            .any(|s| self.tombs.covers(&s.name()));
        if doomed {
            return Ok(Err(
                "it needs segments that are about to be deleted there: it comes once a prune there has ended"
                    .to_owned(),
            ));
        }
        // Where the backup is there and is to be brought again, nothing is believed that was not read.
        let thorough = self.to.store.head(&id.manifest()).await?.is_some();
        let total = read.doc.segments.len() as u64;
        let done = AtomicU64::new(0);
        let mut brought = Ok(());
        for some in read.doc.segments.chunks(SEGMENTS) {
            let lanes: Vec<BoxFuture<'_, Result<()>>> = some
                .iter()
                .map(|doc| {
                    async {
                        self.options.cancel.check()?;
                        self.segment(doc, thorough).await?;
                        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                        let events = &self.options.events;
                        events.progress(id.as_str(), done, Some(total), Unit::Items);
                        Ok(())
                    }
                    .boxed()
                })
                .collect();
            let lanes = stream::iter(lanes).buffer_unordered(LANES);
            brought = lanes.try_collect::<()>().await;
            if brought.is_err() {
                break;
            }
        }
        match brought {
            Ok(()) => {}
            Err(_) if store.head(&id.manifest()).await?.is_none() => return Ok(Ok(false)),
            Err(e) if e.reason() == &DAMAGED => return Ok(Err(e.one_line())),
            Err(e) => return Err(e),
        }
        // As a commit does: a signature without a manifest, or a draft of one, is a backup that lost it.
        let manifest = Object::new(manifest);
        self.document(&id.staged_manifest(), &manifest).await?;
        // Holds go along, so that no prune there removes what is held here.
        let mut documents = vec![id.signature()];
        documents.extend(store.list(&id.held()).await?.into_iter().map(|e| e.name));
        for name in documents {
            if let Some(bytes) = store.get(&name, DOCUMENT_LIMIT).await? {
                self.document(&name, &Object::new(bytes)).await?;
            }
        }
        for (name, record) in self.from.restores_of(id, read.sha256).await? {
            self.document(&name, &Object::new(record)).await?;
        }
        lock.still_held().await?;
        self.document(&id.manifest(), &manifest).await?;
        self.to.store.delete(&id.staged_manifest()).await?;
        Ok(Ok(true))
    }

    /// Brings the records of a backup's restores, so that a prune there keeps the newest that was; `false` if it is gone here or
    /// there meanwhile.
    async fn proofs(&self, id: &BackupId) -> Result<bool> {
        let Some(manifest) = self.from.store.get(&id.manifest(), DOCUMENT_LIMIT).await? else {
            return Ok(false);
        };
        let records = self.from.restores_of(id, sha256(&manifest)).await?;
        if self.to.store.head(&id.manifest()).await?.is_none() {
            return Ok(false);
        }
        for (name, record) in records {
            self.document(&name, &Object::new(record)).await?;
        }
        Ok(true)
    }

    /// Brings a document, or finds it there; another one in its place is not what was written, and is put right.
    async fn document(&self, name: &str, object: &Object) -> Result<()> {
        let stays = |_: &[u8]| false;
        self.document_unless(name, object, &stays).await.map(drop)
    }

    /// The same, unless what is there is to stay; whether the document is there now.
    async fn document_unless(
        &self,
        name: &str,
        object: &Object,
        stays: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<bool> {
        let store = &self.to.store;
        for _ in 0..LOOKS {
            if store.create(name, object).await? == Created::New {
                return Ok(true);
            }
            let Some(there) = store.get_as_it_is(name, DOCUMENT_LIMIT).await? else {
                if store.unbury(name, object).await? {
                    return Ok(true);
                }
                continue;
            };
            if there == *object.bytes() {
                return Ok(true);
            }
            if stays(&there) {
                return Ok(false);
            }
            if store.replace(name, sha256(&there), object).await? {
                return Ok(true);
            }
        }
        Err(super::changed_meanwhile(name))
    }

    /// Brings a segment, or finds it whole there.
    async fn segment(&self, doc: &SegmentDoc, thorough: bool) -> Result<()> {
        let name = doc.object();
        if !self.settled().insert(name.clone()) && !thorough {
            return Ok(());
        }
        let brought = self.bring(doc, &name, thorough).await;
        if brought.is_err() {
            self.settled().remove(&name);
        }
        brought.context(|| format!("cannot bring `{name}` to `{}`", self.to.place()))
    }

    fn settled(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn bring(&self, doc: &SegmentDoc, name: &str, thorough: bool) -> Result<()> {
        let store = &self.to.store;
        for _ in 0..LOOKS {
            let Some(seen) = store.look(name).await? else {
                let object = self.read(doc, name).await?;
                // A prune there may have removed it before, and the manifest allows no other name.
                if store.create(name, &object).await? == Created::New
                    || store.unbury(name, &object).await?
                {
                    self.segments.fetch_add(1, Ordering::Relaxed);
                    self.bytes.fetch_add(doc.size, Ordering::Relaxed);
                    return Ok(());
                }
                continue;
            };
            if seen.size > TOO_LARGE {
                let is = format!(
                    "`{name}` has {} bytes there, which is no segment's size",
                    seen.size
                );
                return Err(Error::new(&DAMAGED, is)
                    .hint("Find out who put it there, and remove it; then copy again."));
            }
            let there = match seen.sha256.filter(|_| !thorough) {
                Some(measured) => measured,
                None => {
                    let Some(bytes) = store.get_as_it_is(name, seen.size).await? else {
                        continue;
                    };
                    blocking(move || Ok(sha256(&bytes))).await?
                }
            };
            if there == doc.sha256 && seen.size == doc.size {
                if seen.runs_out {
                    store.extend(name).await?;
                }
                return Ok(());
            }
            let object = self.read(doc, name).await?;
            let most = seen.size.max(doc.size);
            let Some(bytes) = store.get_as_it_is(name, most).await? else {
                continue;
            };
            let was = blocking(move || Ok(sha256(&bytes))).await?;
            if store.replace(name, was, &object).await? {
                self.mended.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
        Err(super::changed_meanwhile(name))
    }

    /// A segment from here; what is not what the manifest lists goes nowhere.
    async fn read(&self, doc: &SegmentDoc, name: &str) -> Result<Object> {
        let bytes = self.from.store.get(name, doc.size).await?;
        let bytes = bytes.ok_or_else(|| missing(name))?;
        let object = blocking(move || Ok(Object::new(bytes))).await?;
        if object.sha256() == doc.sha256 {
            return Ok(object);
        }
        Err(Error::new(
            &DAMAGED,
            format!("`{name}` is not what was written"),
        ))
    }
}

/// Whether this is a `repository.json` that a holder of the secret made after the one that is known here.
fn newer(there: &[u8], now: &Repository) -> bool {
    let Ok(there) = format::from_bytes::<RepositoryDoc>(there, names::REPOSITORY) else {
        return false;
    };
    let epoch = there.epochs.last().map_or(0, |e| e.epoch);
    let proven = now.keys_of(epoch).and_then(|keys| prove(&there, keys));
    proven.is_ok() && there.generation > now.doc.generation
}

impl Copied {
    /// An error if something was left out.
    pub fn whole(&self, place: &str) -> Result<()> {
        let Some((id, why)) = self.left.first() else {
            return Ok(());
        };
        Err(Error::new(
            &INCOMPLETE,
            format!(
                "{} of the backups could not be brought to `{place}`; `{id}`: {why}",
                self.left.len()
            ),
        ))
    }
}
