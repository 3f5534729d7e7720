//! Verification of backups as they lie in the store.
//!
//! Level 1 asks whether every object is authentic and complete, and needs no identity. Level 2 reads every part, decodes
//! its rows with the caller's decoders and recomputes the fingerprints. Both carry on past a finding and name all of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::ReadManifest;
use super::format::{DOCUMENT_LIMIT, SegmentDoc};
use super::ledger::Level;
use super::names::{self, BackupId, Digest};
use super::sample::Sample;
use super::standing::removed_error;
use super::store::sha256;
use super::writer::blocking;
use super::{DAMAGED, NO_TRUSTED_KEY, Repository, UNTRUSTED, keys};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader, PartSource as _};
use crate::error::{DISK_FULL, Error, IO, Result, TIMEOUT};
use crate::event::{Events, Outcome, Unit};
use crate::exit::Exit;
use crate::time::Instant;
use crate::wait::Cancel;

/// How often progress is reported at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// How many segments are set out to be read together.
const SEGMENTS: usize = 1024;
/// How many small documents are read at once.
const READS: usize = 16;

/// How to verify.
#[derive(Clone)]
pub struct VerifyOptions {
    /// How many segments (level 1) or parts (level 2) at once.
    pub jobs: usize,
    /// Who hears of progress.
    pub events: Events,
    /// Who may stop it.
    pub cancel: Cancel,
}

/// Something that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Finding {
    /// The object or part.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a declared check between the stores showed, on servers restored from the backup. Whatever it says, it says of the
/// stores and not of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CrossCheck {
    /// The check's name in the configuration.
    pub name: String,
    /// `passed`; `failed` if there were orphans; `not-evaluated` if it could not be asked.
    pub outcome: Outcome,
    /// How many values were looked for; null if it was not evaluated.
    pub values: Option<u64>,
    /// How many of them the other store lacks; null if it was not evaluated.
    pub orphans: Option<u64>,
    /// What was seen, or why it was not evaluated.
    pub detail: String,
}

/// A verification that was carried out. [`Repository::record`] keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Verification {
    /// Of which backup.
    pub backup: BackupId,
    /// SHA-256 of the manifest that was looked at.
    pub manifest_sha256: Digest,
    /// To which level.
    pub level: Level,
    /// Which segments were looked at, if not all: then the level is not claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// When it began.
    pub from: Instant,
    /// When it ended.
    pub to: Instant,
    /// What is wrong; it passed if nothing is.
    pub findings: Vec<Finding>,
    /// What was counted: at level 1 `objects` and their encrypted `bytes`, at level 2 `parts`, `plain-bytes` and `rows`.
    pub measured: BTreeMap<String, u64>,
    /// At level 3, how each store was loaded.
    pub loaded: BTreeMap<String, String>,
    /// At level 3, what the stores say of each other. No part of the outcome.
    pub cross_checks: Vec<CrossCheck>,
}

impl Verification {
    /// Passed if nothing was found.
    pub fn outcome(&self) -> Outcome {
        if self.findings.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed
        }
    }
}

/// Recomputes a part's fingerprint from its bytes alone: the datastores' decoders.
#[async_trait]
pub trait DecodePart: Send + Sync {
    /// Decodes every row; `None` for a part that is not rows. `key` is the one its backup was made with.
    async fn decode(
        &self,
        info: &PartInfo,
        reader: &mut dyn PartReader,
        key: &FingerprintKey,
    ) -> Result<Option<Fingerprint>>;
}

/// Collects what a verification finds and counts.
struct Look<'a> {
    options: &'a VerifyOptions,
    from: Instant,
    findings: Mutex<Vec<Finding>>,
    objects: AtomicU64,
    /// Of segments at level 1, of decoded parts at level 2.
    bytes: AtomicU64,
    reported: Mutex<Option<Reported>>,
}

/// What is read, from the moment on when the reading begins.
struct Reported {
    task: &'static str,
    total: u64,
    at: Moment,
}

impl Repository {
    /// Level 1: every object that the backup needs is there and is the one that was written, and somebody trusted signed
    /// the list. With the repository secret, the sealed part is checked as well.
    pub async fn verify_objects(
        &self,
        id: &BackupId,
        options: &VerifyOptions,
    ) -> Result<Verification> {
        self.verify_some(id, None, options).await
    }

    /// The same for all documents and a sample of the segments. It claims no level, but what it finds takes one away.
    pub async fn verify_sample(
        &self,
        id: &BackupId,
        sample: Sample,
        options: &VerifyOptions,
    ) -> Result<Verification> {
        self.verify_some(id, Some(sample), options).await
    }

    async fn verify_some(
        &self,
        id: &BackupId,
        sample: Option<Sample>,
        options: &VerifyOptions,
    ) -> Result<Verification> {
        let look = Look::new(options);
        let (manifest, read) = self.verify_documents(id, &look).await?;
        let mut segments = read.map(|r| r.doc.segments).unwrap_or_default();
        let mut measured = BTreeMap::new();
        if let Some(sample) = sample {
            measured.insert("segments-in-backup".to_owned(), segments.len() as u64);
            segments = sample.of(segments);
            measured.insert("segments-in-sample".to_owned(), segments.len() as u64);
        }
        let total = segments.iter().map(|s| s.size).sum();
        look.begins("level 1: stored bytes", total);
        // So many at a time that their futures weigh nothing beside what is read.
        for some in segments.chunks(SEGMENTS) {
            let looks: Vec<BoxFuture<'_, Result<()>>> = some
                .iter()
                .map(|doc| self.verify_segment(doc.clone(), &look).boxed())
                .collect();
            stream::iter(looks)
                .buffer_unordered(options.jobs.max(1))
                .try_collect::<()>()
                .await?;
        }
        let mut done = look.finish(id, manifest, Level::Objects, measured);
        done.sample = sample;
        Ok(done)
    }

    /// Level 2: level 1's checks on everything that is read, and every part decoded to the fingerprint that the manifest
    /// holds. Needs an unlocked repository.
    pub async fn verify_rows(
        &self,
        id: &BackupId,
        decode: &dyn DecodePart,
        options: &VerifyOptions,
    ) -> Result<Verification> {
        let look = Look::new(options);
        let (manifest, read) = self.verify_documents(id, &look).await?;
        let mut measured = BTreeMap::new();
        if read.is_some() {
            let source = self.source(id).await?;
            let key = source.fingerprint_key();
            let parts = source.parts("");
            let total = parts.iter().map(|p| p.bytes).sum();
            look.begins("level 2: decoded bytes", total);
            measured.insert("parts".to_owned(), parts.len() as u64);
            let looks: Vec<BoxFuture<'_, Result<u64>>> = parts
                .iter()
                .map(|part| verify_part(&source, part, decode, &key, &look).boxed())
                .collect();
            let rows: Vec<Result<u64>> = stream::iter(looks)
                .buffer_unordered(options.jobs.max(1))
                .collect()
                .await;
            let rows = rows.into_iter().sum::<Result<u64>>()?;
            measured.insert("rows".to_owned(), rows);
            let plain = look.bytes.load(Ordering::Relaxed);
            measured.insert("plain-bytes".to_owned(), plain);
        }
        Ok(look.finish(id, manifest, Level::Rows, measured))
    }

    /// Everything but the segments. The manifest comes back only if it is authentic: nothing else says what to look at.
    async fn verify_documents(
        &self,
        id: &BackupId,
        look: &Look<'_>,
    ) -> Result<(Digest, Option<ReadManifest>)> {
        if self.trusted.is_empty() {
            return Err(Error::new(
                &NO_TRUSTED_KEY,
                format!(
                    "no trusted key is known for the backups of `{}`",
                    self.place()
                ),
            ));
        }
        let name = id.manifest();
        let bytes = self.store.get_as_it_is(&name, DOCUMENT_LIMIT).await?;
        let Some(bytes) = bytes else {
            return Err(self.absent(id).await);
        };
        let manifest = sha256(&bytes);
        let read = match self.read_manifest(id).await {
            Ok(read) => read,
            Err(e) => {
                look.found(&name, e)?;
                return Ok((manifest, None));
            }
        };
        self.verify_keys(read.doc.epoch, look).await?;
        if let Err(e) = read.trust {
            look.found(&name, e)?;
            return Ok((manifest, None));
        }
        if self.epochs.contains_key(&read.doc.epoch)
            && let Err(e) = self.contents(&read.doc)
        {
            look.found(&name, e)?;
            return Ok((manifest, None));
        }
        let read = ReadManifest {
            trust: Ok(()),
            ..read
        };
        for (object, record) in self.read_records(id, manifest).await? {
            match record {
                // A record by a host that is no longer trusted claims nothing, and is no damage.
                Err(e) if e.reason() == &UNTRUSTED => {}
                Err(e) => look.found(&object, e)?,
                Ok(_) => look.seen(0),
            }
        }
        self.verify_standing(id, manifest, look).await?;
        look.seen(0);
        Ok((manifest, Some(read)))
    }

    /// What hosts say of the backup, and what is about to be deleted: none of it may have been tampered with.
    async fn verify_standing(
        &self,
        id: &BackupId,
        manifest: Digest,
        look: &Look<'_>,
    ) -> Result<()> {
        match self.removal(id).await {
            Ok(Some(at)) => look.found(&id.manifest(), removed_error(id, at))?,
            Ok(None) => {}
            // A statement that nobody trusted signed is named with the others.
            Err(e) if e.exit() == Exit::Integrity => {}
            Err(e) => return Err(e),
        }
        self.verify_standings(look).await?;
        for entry in self.store.list(&id.opened()).await? {
            if let Some(bytes) = self.store.get_as_it_is(&entry.name, DOCUMENT_LIMIT).await?
                && let Err(e) = self.read_opened(id, manifest, &entry.name, &bytes)
                && e.reason() != &UNTRUSTED
            {
                look.found(&entry.name, e)?;
            }
        }
        let holds = self.holds(id, manifest).await?;
        if let Some(lost) = &holds.lost {
            let error = Error::new(&DAMAGED, format!("storage forgot {lost}"));
            look.found(&id.held(), error)?;
        }
        for (object, error) in holds.wrong {
            look.found(&object, error)?;
        }
        for (object, batch) in self.batches().await? {
            match batch {
                Ok(_) => look.seen(0),
                Err(e) => look.found(&object, e)?,
            }
        }
        Ok(())
    }

    /// The statements that belong to no backup that is there: which were removed.
    async fn verify_standings(&self, look: &Look<'_>) -> Result<()> {
        let reads = self.removed_ids().await?.into_iter().map(|id| {
            async move {
                let read = self.removal(&id).await;
                (id, read)
            }
            .boxed()
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS).boxed();
        while let Some((id, read)) = reads.next().await {
            if let Err(e) = read {
                look.found(&id.removed(), e)?;
            }
        }
        Ok(())
    }

    /// Without its key file nobody can read a backup, however whole it is.
    async fn verify_keys(&self, epoch: u32, look: &Look<'_>) -> Result<()> {
        let name = names::keys(epoch);
        let listed = self.doc.epochs.iter().find(|e| e.epoch == epoch);
        let listed = listed.map(|e| e.keys_sha256.as_slice()).unwrap_or_default();
        match self.store.get_as_it_is(&name, keys::KEYS_LIMIT).await {
            Ok(Some(file)) if listed.contains(&sha256(&file)) => look.seen(0),
            Ok(Some(_)) => look.note(&name, "is not the key file that `repository.json` lists"),
            Ok(None) => look.note(&name, "is missing: no operator can read this backup"),
            Err(e) => look.found(&name, e)?,
        }
        Ok(())
    }

    async fn verify_segment(&self, doc: SegmentDoc, look: &Look<'_>) -> Result<()> {
        look.options.cancel.check()?;
        let name = doc.object();
        let work =
            async {
                match self.store.head(&name).await? {
                    None => return Ok(Some("is missing".to_owned())),
                    Some(size) if size != doc.size => {
                        return Ok(Some(format!(
                            "has {size} bytes, and {} were written",
                            doc.size
                        )));
                    }
                    Some(_) => {}
                }
                let Some(bytes) = self.store.get(&name, doc.size).await? else {
                    return Ok(Some("is missing".to_owned()));
                };
                let seen = blocking(move || Ok(sha256(&bytes))).await?;
                Ok((seen != doc.sha256)
                    .then(|| "does not have the bytes that were written".to_owned()))
            };
        match look.options.cancel.guard(work).await {
            Ok(None) => look.seen(doc.size),
            Ok(Some(problem)) => look.note(&name, &problem),
            Err(e) => look.found(&name, e)?,
        }
        Ok(())
    }
}

/// Decodes one part; how many rows it has. What is wrong with it becomes a finding.
async fn verify_part(
    source: &super::BackupParts,
    part: &PartInfo,
    decode: &dyn DecodePart,
    key: &FingerprintKey,
    look: &Look<'_>,
) -> Result<u64> {
    look.options.cancel.check()?;
    let unread = AtomicBool::new(false);
    let work = async {
        let mut reader = Counted {
            inner: source.open(&part.name).await?,
            bytes: 0,
            look,
            unread: &unread,
        };
        let seen = decode.decode(part, &mut reader, key).await?;
        // A decoder that stopped early must not leave a tail unread.
        while reader.next().await?.is_some() {}
        Ok((seen, reader.bytes))
    };
    match look.options.cancel.guard(work).await {
        Ok((seen, bytes)) => {
            if bytes != part.bytes {
                let problem = format!("has {bytes} bytes, and {} were captured", part.bytes);
                look.note(&part.name, &problem);
            } else if seen != part.fingerprint {
                let show = |f: Option<Fingerprint>| f.map_or("none".to_owned(), |f| f.to_string());
                let problem = format!(
                    "decodes to the fingerprint `{}`, and was captured with `{}`",
                    show(seen),
                    show(part.fingerprint)
                );
                look.note(&part.name, &problem);
            }
            Ok(seen.map_or(0, |f| f.rows))
        }
        // What was read and cannot be decoded is wrong, by whatever reason the decoder says so.
        Err(e) if !unread.into_inner() && is_of_rows(&e) => {
            look.note(&part.name, &e.one_line());
            Ok(0)
        }
        Err(e) => look.found(&part.name, e).map(|()| 0),
    }
}

/// Whether a decoder's error is about what it decoded, and not about this machine or whoever stops it.
fn is_of_rows(error: &Error) -> bool {
    error.exit() == Exit::Failed && ![&IO, &DISK_FULL, &TIMEOUT].contains(&error.reason())
}

/// A reader that counts.
struct Counted<'a> {
    inner: Box<dyn PartReader>,
    bytes: u64,
    look: &'a Look<'a>,
    /// Set where the bytes could not be had.
    unread: &'a AtomicBool,
}

#[async_trait]
impl PartReader for Counted<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = self.inner.next().await;
        if next.is_err() {
            self.unread.store(true, Ordering::Relaxed);
        }
        let next = next?;
        if let Some(bytes) = &next {
            self.bytes += bytes.len() as u64;
            self.look.advanced(bytes.len() as u64);
        }
        Ok(next)
    }
}

impl<'a> Look<'a> {
    fn new(options: &'a VerifyOptions) -> Self {
        Look {
            options,
            from: Instant::now(),
            findings: Mutex::default(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            reported: Mutex::default(),
        }
    }

    /// Notes what is wrong with an object. What only kept somebody from looking, such as a network that is down, says nothing
    /// of the backup and is handed on: a record of it would take a level away that still holds.
    fn found(&self, object: &str, error: Error) -> Result<()> {
        match error.exit() {
            Exit::Integrity => {
                self.note(object, &error.one_line());
                Ok(())
            }
            Exit::Interrupted => Err(error),
            _ => Err(error.context(format!("cannot look at `{object}`"))),
        }
    }

    fn note(&self, object: &str, problem: &str) {
        let finding = Finding {
            object: object.to_owned(),
            problem: problem.to_owned(),
        };
        let findings = self.findings.lock();
        findings
            .unwrap_or_else(PoisonError::into_inner)
            .push(finding);
    }

    fn seen(&self, bytes: u64) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.advanced(bytes);
    }

    /// Says what will be read and how much of it there is, so that a rate counts from here.
    fn begins(&self, task: &'static str, total: u64) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Moment::now();
        *reported = Some(Reported { task, total, at });
        let events = &self.options.events;
        events.progress(task, 0, Some(total), Unit::Bytes);
    }

    fn advanced(&self, bytes: u64) {
        // Under the lock, or a smaller figure could be told after a greater one.
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(Reported { task, total, at }) = &mut *reported else {
            return;
        };
        if bytes > 0 && (at.elapsed() >= PROGRESS_EVERY || done == *total) {
            *at = Moment::now();
            let events = &self.options.events;
            events.progress(task, done, Some(*total), Unit::Bytes);
        }
    }

    fn finish(
        self,
        id: &BackupId,
        manifest_sha256: Digest,
        level: Level,
        mut measured: BTreeMap<String, u64>,
    ) -> Verification {
        if level == Level::Objects {
            measured.insert("objects".to_owned(), self.objects.into_inner());
            measured.insert("bytes".to_owned(), self.bytes.into_inner());
        }
        let findings = self.findings.into_inner();
        let mut findings = findings.unwrap_or_else(PoisonError::into_inner);
        findings.sort_by(|a, b| (&a.object, &a.problem).cmp(&(&b.object, &b.problem)));
        Verification {
            backup: id.clone(),
            manifest_sha256,
            level,
            sample: None,
            from: self.from,
            to: Instant::now(),
            findings,
            measured,
            loaded: BTreeMap::new(),
            cross_checks: Vec::new(),
        }
    }
}
