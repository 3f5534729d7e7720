//! Writing a backup's parts: cut, find again what is already stored, compress, encrypt, store.
//!
//! Memory is bounded: each open part holds at most one segment that grows and one that is being stored. What a killed
//! writer stored is found again by the next one, by content.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::buffers::Buffers;
use super::cut::{Cuts, Cutter, SegmentSizes};
use super::format::{Piece, SegmentDoc};
use super::keys::EpochKeys;
use super::known::{Known, KnownSegments};
use super::lock::{Lock, Mode};
use super::names::{BackupId, Digest, SegmentName};
use super::segment::{self, OVERHEAD};
use super::store::{Created, Object, Seen, sha256};
use super::tombs::Tombs;
use super::{COMPLETE, DAMAGED, Repository, State};
use crate::capture::{Fingerprint, PartInfo, PartSink, PartWriter};
use crate::error::{Context as _, Error, Result};
use crate::event::Events;

/// What every age file begins with: age-encryption.org/v1, "Header".
const AGE_MAGIC: &[u8] = b"age-encryption.org/v1\n";

/// Writes the parts of one backup. Each finished store is made durable by [`BackupWriter::seal_store`].
pub struct BackupWriter {
    pub(super) shared: Arc<Shared>,
    lock: Option<Lock>,
}

/// What a writer did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Written {
    /// Plain bytes taken in.
    pub bytes: u64,
    /// Segments stored new.
    pub new_segments: u64,
    /// Encrypted bytes stored new.
    pub new_bytes: u64,
    /// Segments that were stored already.
    pub reused_segments: u64,
    /// Plain bytes of those.
    pub reused_bytes: u64,
}

#[derive(Default)]
struct Totals {
    bytes: AtomicU64,
    new_segments: AtomicU64,
    new_bytes: AtomicU64,
    reused_segments: AtomicU64,
    reused_bytes: AtomicU64,
}

/// A finished part.
#[derive(Debug, Clone)]
pub(super) struct FinishedPart {
    pub info: PartInfo,
    pub pieces: Vec<Piece>,
}

/// Where a segment goes.
enum Place {
    /// It is there, and known.
    Stored,
    /// It is to be stored under this name.
    Free(SegmentName),
}

pub(super) struct Shared {
    pub repository: Repository,
    pub backup: BackupId,
    pub keys: EpochKeys,
    events: Events,
    cuts: Cuts,
    buffers: Arc<Buffers>,
    /// How many segments are compressed and encrypted at once.
    packing: Semaphore,
    known: KnownSegments,
    /// What is about to be deleted.
    tombs: Tombs,
    finished: Mutex<BTreeMap<String, FinishedPart>>,
    open: Mutex<HashSet<String>>,
    totals: Totals,
}

impl Repository {
    /// Begins or goes on with a backup. Refused once it is complete. Takes a shared lock, which
    /// [`BackupWriter::close`] gives back.
    pub async fn begin(&self, backup: &BackupId, events: &Events) -> Result<BackupWriter> {
        self.begin_with(backup, events, SegmentSizes::default())
            .await
    }

    /// The same with other limits for segments; readers do not depend on them.
    pub async fn begin_with(
        &self,
        backup: &BackupId,
        events: &Events,
        sizes: SegmentSizes,
    ) -> Result<BackupWriter> {
        let keys = self.writing_keys()?.clone();
        let purpose = format!("backup {backup}");
        let lock = Lock::acquire(&self.store, Mode::Shared, &purpose).await?;
        if self.state(backup).await? == State::Complete {
            lock.release().await?;
            return Err(Error::new(
                &COMPLETE,
                format!("the backup `{backup}` is complete already"),
            ));
        }
        self.keep_from_prunes(backup).await?;
        // After the lock: a collector that this reading misses sees the lock, and waits for it.
        let tombs = self.tombs(events).await?;
        let known = KnownSegments::read(self, keys.epoch).await?;
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Shared {
            cuts: Cuts::new(sizes, keys.cut_key()),
            buffers: Arc::new(Buffers::new(sizes.max)),
            repository: self.clone(),
            backup: backup.clone(),
            keys,
            events: events.clone(),
            packing: Semaphore::new(workers),
            known,
            tombs,
            finished: Mutex::default(),
            open: Mutex::default(),
            totals: Totals::default(),
        };
        Ok(BackupWriter {
            shared: Arc::new(shared),
            lock: Some(lock),
        })
    }
}

impl BackupWriter {
    /// The backup that is written.
    pub fn backup(&self) -> &BackupId {
        &self.shared.backup
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let totals = &self.shared.totals;
        Written {
            bytes: of(&totals.bytes),
            new_segments: of(&totals.new_segments),
            new_bytes: of(&totals.new_bytes),
            reused_segments: of(&totals.reused_segments),
            reused_bytes: of(&totals.reused_bytes),
        }
    }

    /// Ends the writing and gives the lock back. What was not sealed does not count.
    pub async fn close(mut self) -> Result<Written> {
        if let Some(lock) = self.lock.take() {
            lock.release().await?;
        }
        Ok(self.written())
    }
}

#[async_trait]
impl PartSink for BackupWriter {
    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>> {
        self.create_stretch(name, format, 0).await
    }

    async fn create_stretch(
        &self,
        name: &str,
        format: &str,
        before: u64,
    ) -> Result<Box<dyn PartWriter>> {
        if !guard(&self.shared.open).insert(name.to_owned()) {
            return Err(Error::bug(format!(
                "the part `{name}` is written twice at once"
            )));
        }
        // A capture that is tried again writes its parts again: the later one counts.
        guard(&self.shared.finished).remove(name);
        Ok(Box::new(Part {
            cutter: Cutter::new(
                self.shared.cuts.clone(),
                Arc::clone(&self.shared.buffers),
                before,
            ),
            shared: Arc::clone(&self.shared),
            name: name.to_owned(),
            format: format.to_owned(),
            bytes: 0,
            pieces: Vec::new(),
            storing: None,
        }))
    }

    async fn join(
        &self,
        name: &str,
        stretches: &[String],
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        let mut finished = guard(&self.shared.finished);
        let mut joined: Option<FinishedPart> = None;
        for stretch in stretches {
            let next = finished.remove(stretch).ok_or_else(|| {
                Error::bug(format!(
                    "the stretch `{stretch}` of `{name}` is not finished"
                ))
            })?;
            match &mut joined {
                None => joined = Some(next),
                Some(joined) => {
                    joined.info.bytes += next.info.bytes;
                    joined.pieces.extend(next.pieces);
                }
            }
        }
        let mut joined =
            joined.ok_or_else(|| Error::bug(format!("`{name}` is made of no stretches")))?;
        joined.info.name = name.to_owned();
        joined.info.fingerprint = fingerprint;
        joined.info.meta = meta;
        let info = joined.info.clone();
        finished.insert(name.to_owned(), joined);
        Ok(info)
    }
}

/// One part being written.
struct Part {
    shared: Arc<Shared>,
    name: String,
    format: String,
    cutter: Cutter,
    bytes: u64,
    pieces: Vec<Piece>,
    storing: Option<JoinHandle<Result<Piece>>>,
}

impl Part {
    /// Starts storing a segment, once the one before it is stored.
    async fn store(&mut self, plain: Vec<u8>) -> Result<()> {
        self.stored().await?;
        let totals = &self.shared.totals.bytes;
        totals.fetch_add(plain.len() as u64, Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        self.storing = Some(tokio::spawn(
            async move { shared.store_segment(plain).await },
        ));
        Ok(())
    }

    async fn stored(&mut self) -> Result<()> {
        if let Some(storing) = self.storing.take() {
            let piece = storing
                .await
                .map_err(|e| Error::bug("storing a segment panicked").caused_by(e))?
                .context(|| format!("cannot store a segment of `{}`", self.name))?;
            self.pieces.push(piece);
        }
        Ok(())
    }
}

#[async_trait]
impl PartWriter for Part {
    fn append(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.cutter.push(bytes);
    }

    async fn settle(&mut self) -> Result<()> {
        while let Some(segment) = self.cutter.next() {
            self.store(segment).await?;
        }
        Ok(())
    }

    fn cut(&mut self) {
        self.cutter.cut();
    }

    async fn finish(
        mut self: Box<Self>,
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        self.cutter.finish();
        self.settle().await?;
        self.stored().await?;
        let info = PartInfo {
            name: self.name.clone(),
            format: self.format.clone(),
            bytes: self.bytes,
            fingerprint,
            meta,
        };
        let part = FinishedPart {
            info: info.clone(),
            pieces: std::mem::take(&mut self.pieces),
        };
        guard(&self.shared.finished).insert(self.name.clone(), part);
        Ok(info)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(storing) = self.storing.take() {
            storing.abort();
        }
        guard(&self.shared.open).remove(&self.name);
    }
}

impl Shared {
    /// A finished part.
    pub fn finished(&self, name: &str) -> Option<FinishedPart> {
        guard(&self.finished).get(name).cloned()
    }

    /// How a segment lies in the store.
    pub fn segment(&self, id: &Digest) -> Option<SegmentDoc> {
        self.known.get(id).map(|known| known.doc)
    }

    async fn store_segment(self: &Arc<Self>, plain: Vec<u8>) -> Result<Piece> {
        let shared = Arc::clone(self);
        let plain = Arc::new(plain);
        let hashed = Arc::clone(&plain);
        let id = blocking(move || Ok(shared.keys.segment_id(&hashed))).await?;
        let bytes = plain.len() as u64;
        let piece = Piece { id, bytes };
        let Place::Free(name) = self.find(&piece).await? else {
            self.totals.reused_segments.fetch_add(1, Ordering::Relaxed);
            self.totals.reused_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.buffers.give(plain);
            return Ok(piece);
        };
        let object = {
            let _permit = self
                .packing
                .acquire()
                .await
                .map_err(|e| Error::bug("the packing semaphore was closed").caused_by(e))?;
            let recipient = self.keys.recipient.clone();
            let buffers = Arc::clone(&self.buffers);
            blocking(move || {
                let object = segment::pack(&recipient, &plain)?;
                buffers.give(plain);
                Ok(object)
            })
            .await?
        };
        self.put(&piece, name, &object).await?;
        Ok(piece)
    }

    /// Stores a segment under a name that was free when it was looked at.
    async fn put(&self, piece: &Piece, mut name: SegmentName, object: &Object) -> Result<()> {
        let store = &self.repository.store;
        for _ in 0..2 {
            if store.create(&name.object(), object).await? == Created::New {
                let size = object.bytes().len() as u64;
                self.totals.new_segments.fetch_add(1, Ordering::Relaxed);
                self.totals.new_bytes.fetch_add(size, Ordering::Relaxed);
                let sha256 = object.sha256();
                self.known.remember(segment_doc(name, sha256, size));
                return Ok(());
            }
            // Another part or host stored the same bytes meanwhile.
            match self.find(piece).await? {
                Place::Stored => {
                    self.totals.reused_segments.fetch_add(1, Ordering::Relaxed);
                    let reused = &self.totals.reused_bytes;
                    reused.fetch_add(piece.bytes, Ordering::Relaxed);
                    return Ok(());
                }
                // Taken and not there: a deleted object's name that the store never gives away again.
                Place::Free(other) if other == name => name = SegmentName::another(piece.id)?,
                Place::Free(other) => name = other,
            }
        }
        Err(Error::new(
            &DAMAGED,
            format!(
                "`{}` is stored and removed by others all the time",
                name.object()
            ),
        ))
    }

    /// Where the segment is stored already and looks whole, or under which name to store it. What is about to be deleted
    /// counts as absent. An object that is not whole stays as it is: the backups that use it are broken already, and this
    /// one gets another object. Only `collect` ever deletes a segment.
    async fn find(&self, piece: &Piece) -> Result<Place> {
        let known = self.known.get(&piece.id);
        if known.as_ref().is_some_and(|known| known.seen) {
            return Ok(Place::Stored);
        }
        let stays = |known: &Known| !self.tombs.covers(&known.doc.name());
        if let Some(known) = known.filter(stays) {
            return self.find_known(known.doc).await;
        }
        let first = SegmentName::first(piece.id);
        if self.tombs.covers(&first) {
            return SegmentName::another(piece.id).map(Place::Free);
        }
        let store = &self.repository.store;
        let Some(seen) = store.look(&first.object()).await? else {
            return Ok(Place::Free(first));
        };
        let known = self.known.search(&self.repository, &piece.id).await?;
        if let Some(known) = known.filter(stays) {
            return self.find_known(known.doc).await;
        }
        // Left by a killed writer, or part of an unfinished backup.
        match self.adopt(piece, seen.size).await? {
            Some(doc) => {
                self.reuse(doc, seen).await?;
                Ok(Place::Stored)
            }
            None => self.anew(&first, "is not a whole segment"),
        }
    }

    /// The same for a segment that a signed manifest lists.
    async fn find_known(&self, known: SegmentDoc) -> Result<Place> {
        let store = &self.repository.store;
        let name = known.name();
        match store.look(&name.object()).await? {
            None if name == SegmentName::first(name.id) => {
                self.anew(&name, "of an earlier backup is missing")?;
                Ok(Place::Free(name))
            }
            None => self.anew(&name, "of an earlier backup is missing"),
            Some(seen) if seen.size != known.size => {
                let why = format!("has {} bytes instead of {}", seen.size, known.size);
                self.anew(&name, &why)
            }
            // Its size alone would not show a flipped bit, and a backup made to replace a damaged one must not share the damage.
            Some(seen) if self.holds(&known, seen).await? => {
                self.reuse(known, seen).await?;
                Ok(Place::Stored)
            }
            Some(_) => self.anew(&name, "does not have the bytes that were written"),
        }
    }

    fn anew(&self, name: &SegmentName, why: &str) -> Result<Place> {
        self.events.note(format!(
            "segment `{}` {why} and is stored anew: run `summitctl backup verify` on earlier backups",
            name.object()
        ));
        SegmentName::another(name.id).map(Place::Free)
    }

    /// Takes note of a stored segment, which from now on is needed for as long as a new one.
    async fn reuse(&self, doc: SegmentDoc, seen: Seen) -> Result<()> {
        if seen.runs_out {
            let store = &self.repository.store;
            store.extend(&doc.object()).await?;
        }
        self.known.remember(doc);
        Ok(())
    }

    /// Whether the stored object is the one that a signed manifest lists. A store that measured it says so; to fetch it
    /// from far away would make a backup that changes nothing as dear as the first one. What was measured once may have rotted
    /// since: where a verification found something wrong with a backup that needs it, it is fetched.
    async fn holds(&self, doc: &SegmentDoc, seen: Seen) -> Result<bool> {
        if let Some(measured) = seen.sha256
            && !self.known.doubted(&doc.name())
        {
            return Ok(measured == doc.sha256);
        }
        let name = doc.object();
        let store = &self.repository.store;
        let Some(bytes) = store.get_as_it_is(&name, doc.size).await? else {
            return Ok(false);
        };
        let listed = doc.sha256;
        blocking(move || Ok(sha256(&bytes) == listed)).await
    }

    /// Measures an object that no manifest lists; `None` if it cannot be a segment, or the store says that it is damaged.
    async fn adopt(&self, piece: &Piece, size: u64) -> Result<Option<SegmentDoc>> {
        let limit = piece.bytes + OVERHEAD;
        if size > limit {
            return Ok(None);
        }
        let name = SegmentName::first(piece.id);
        let bytes = match self.repository.store.get(&name.object(), limit).await {
            Err(e) if e.reason() == &DAMAGED => None,
            read => read?,
        };
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        if !bytes.starts_with(AGE_MAGIC) {
            return Ok(None);
        }
        let size = bytes.len() as u64;
        let sha256 = blocking(move || Ok(sha256(&bytes))).await?;
        Ok(Some(segment_doc(name, sha256, size)))
    }
}

fn segment_doc(name: SegmentName, sha256: Digest, size: u64) -> SegmentDoc {
    SegmentDoc {
        id: name.id,
        copy: name.copy,
        sha256,
        size,
    }
}

/// Runs work that would hold up the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::bug("work on a segment panicked").caused_by(e))?
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
