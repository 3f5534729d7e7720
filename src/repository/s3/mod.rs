//! A repository in an S3 bucket, below a prefix.
//!
//! A name is created by a conditional write (`If-None-Match: *`), so that of two writers one wins; a store that ignores the
//! condition is found out by a probe before anything is written, and refused. Every body goes with its SHA-256, which
//! the store checks, and which is kept with the object as `summitctl-sha256`, so that what is read can be held
//! against it. Every write carries a word of its own: a condition that fails because the first attempt's answer was lost is
//! told from one that fails because of somebody else.

mod client;
mod clock;
mod error;
pub mod posture;
mod promises;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumMode, ObjectLockLegalHoldStatus, ObjectLockMode,
    ObjectLockRetention, ObjectLockRetentionMode,
};
use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;

use super::names::{Digest, from_hex, random};
use super::store::{Created, Deleted, Entry, Object, Seen, Store, plain_name, sha256};
use super::writer::blocking;
use super::{DAMAGED, RETAINED};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::time::{Instant, human_bytes};
pub use client::Patience;
use client::{ATTEMPTS, unmet};
use clock::StoreClock;
pub use error::REASONS;
pub use error::{
    ARCHIVED, BUSY, CLOCK, DENIED, GARBLED, LOGIN_REFUSED, NO_BUCKET, NO_CREDENTIALS, REFUSED,
    UNREACHABLE, UNSAFE, WRONG_REGION,
};
use upload::Condition;

/// The object's SHA-256 in hex, as its metadata keeps it.
const SHA256: &str = "summitctl-sha256";
/// The word that tells one write from every other.
const WRITE: &str = "summitctl-write";
/// How many uploads are under way at once, over all objects.
const UPLOADS: usize = 8;

/// Where an S3 repository lies, and how its objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// What every name begins with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The bucket's region; the SDK's usual chain if nobody said.
    pub region: Option<String>,
    /// The store's URL; AWS's own if nobody said.
    pub endpoint: Option<String>,
    /// Whether the bucket is named in the path and not in the host; yes wherever an endpoint is given.
    pub path_style: Option<bool>,
    /// The class that objects are stored in; the bucket's own if nobody said.
    pub storage_class: Option<String>,
    /// The KMS key that the store encrypts with, besides our own encryption.
    pub kms_key: Option<String>,
    /// For how long nobody may delete or overwrite what is stored.
    pub lock: Option<RetainFor>,
    /// The access key; the SDK's usual chain if nobody said.
    pub keys: Option<AccessKeys>,
    /// PEM certificates to trust besides the system's.
    pub tls_ca: Option<Vec<u8>>,
}

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeys {
    /// Its id.
    pub id: Secret,
    /// Its secret.
    pub secret: Secret,
    /// The token of a temporary one.
    pub session_token: Option<Secret>,
}

/// Object Lock as new objects get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainFor {
    /// Who may shorten it.
    pub mode: LockMode,
    /// For how long from now.
    pub span: Duration,
}

/// The mode of an Object Lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has `s3:BypassGovernanceRetention` may shorten it.
    Governance,
    /// Nobody may.
    Compliance,
}

impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

impl RetainFor {
    /// How many seconds less are good enough for what is used again: without any, each backup would extend every object that
    /// an earlier one stored.
    fn slack(self) -> i64 {
        let day = 24 * 60 * 60;
        i64::try_from(self.span.as_secs() / 10).map_or(day, |tenth| tenth.min(day))
    }

    /// Until when what is written now is kept, by the store's clock.
    fn until(self, clock: &StoreClock) -> DateTime {
        let seconds = clock.seconds();
        let span = i64::try_from(self.span.as_secs()).unwrap_or(i64::MAX);
        DateTime::from_secs(seconds.saturating_add(span))
    }
}

/// The bucket.
#[derive(Clone)]
pub struct S3Store {
    place: Arc<S3Place>,
    client: Client,
    patience: Patience,
    clock: StoreClock,
    uploads: Arc<Semaphore>,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.place()).finish()
    }
}

/// An object as one read saw it.
struct Fetched {
    bytes: Bytes,
    etag: Option<String>,
    /// The SHA-256 that its writer kept with it.
    digest: Option<Digest>,
}

impl S3Store {
    /// The store there. Nothing is sent yet.
    pub async fn open(place: S3Place) -> Result<S3Store> {
        S3Store::open_with(place, Patience::default()).await
    }

    /// The same, with another patience.
    pub async fn open_with(place: S3Place, patience: Patience) -> Result<S3Store> {
        let clock = StoreClock::default();
        Ok(S3Store {
            client: place.client(&clock, patience).await?,
            patience,
            clock,
            place: Arc::new(place),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
        })
    }

    fn key(&self, name: &str) -> Result<String> {
        plain_name(name)?;
        Ok(if self.place.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.place.prefix)
        })
    }

    /// The name that a key has here.
    fn name<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.place.prefix.is_empty() {
            return Some(key);
        }
        key.strip_prefix(&self.place.prefix)?.strip_prefix('/')
    }

    /// Object Lock is for what backups are made of. Locks, probes and what is not a backup yet are removed again.
    fn retain(&self, name: &str) -> Option<RetainFor> {
        self.place.lock.filter(|_| !passing(name))
    }

    /// What keeps an object from being deleted, if something does.
    fn locked(&self, head: &HeadObjectOutput) -> Option<String> {
        if head.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On) {
            return Some("a legal hold keeps it".to_owned());
        }
        let until = head.object_lock_retain_until_date()?.secs();
        let at = Instant::from_millis(until.saturating_mul(1000)).human();
        (until > self.clock.seconds()).then(|| format!("Object Lock keeps it until {at}"))
    }

    async fn head_of(&self, name: &str) -> Result<Option<HeadObjectOutput>> {
        let key = self.key(name)?;
        let head = self
            .client
            .head_object()
            .bucket(&self.place.bucket)
            .key(key);
        match head.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) if head.delete_marker() == Some(true) => Ok(None),
            Ok(head) => Ok(Some(head)),
            Err(e) if error::is_status(&e, 404) => Ok(None),
            Err(e) if error::is_status(&e, 400) || error::is_status(&e, 403) => {
                // The answer to HEAD has no body: what it means is said to whoever asks for bytes.
                let get = self
                    .client
                    .get_object()
                    .bucket(&self.place.bucket)
                    .key(self.key(name)?);
                Err(match get.range("bytes=0-0").send().await {
                    Err(told) if !error::is_status(&told, 404) => {
                        self.place.failed("look at", name, told)
                    }
                    _ => self.place.failed("look at", name, e),
                })
            }
            Err(e) => Err(self.place.failed("look at", name, e)),
        }
    }

    /// Reads an object, which must have the bytes that its writer kept the SHA-256 of.
    async fn fetch_whole(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        let Some(Fetched { bytes, digest, .. }) = self.fetch(name, limit).await? else {
            return Ok(None);
        };
        if let Some(digest) = digest {
            let read = bytes.clone();
            if blocking(move || Ok(sha256(&read))).await? != digest {
                return Err(Error::new(
                    &DAMAGED,
                    format!("`{}/{name}` does not have the bytes that were written: its SHA-256 is another one", self.place),
                )
                .hint("Run `summitctl backup verify` on the backups: it names what each has lost."));
            }
        }
        Ok(Some(bytes))
    }

    /// Reads an object as it is; a connection that breaks is taken up where it broke.
    async fn fetch(&self, name: &str, limit: u64) -> Result<Option<Fetched>> {
        let key = self.key(name)?;
        let mut bytes = BytesMut::new();
        let mut seen: Option<(Option<String>, u64, Option<Digest>)> = None;
        for attempt in 1.. {
            let mut get = self
                .client
                .get_object()
                .bucket(&self.place.bucket)
                .key(&key);
            if let Some((Some(etag), ..)) = &seen
                && !bytes.is_empty()
            {
                get = get.if_match(etag).range(format!("bytes={}-", bytes.len()));
            } else {
                bytes.clear();
            }
            let answer = match get.send().await {
                Ok(answer) => answer,
                Err(SdkError::ServiceError(e)) if e.err().is_no_such_key() => return Ok(None),
                // Replaced since it was begun: read the new one.
                Err(e) if unmet(&e) && attempt < ATTEMPTS => {
                    seen = None;
                    continue;
                }
                Err(e) => return Err(self.place.failed("read", name, e)),
            };
            let rest = u64::try_from(answer.content_length().unwrap_or_default()).unwrap_or(0);
            let (_, size, _) = seen.get_or_insert_with(|| {
                (
                    answer.e_tag().map(str::to_owned),
                    rest,
                    kept(answer.metadata()),
                )
            });
            let size = *size;
            if size > limit {
                return Err(Error::new(
                    &DAMAGED,
                    format!(
                        "`{}/{name}` holds {size} bytes, and at most {limit} were expected",
                        self.place
                    ),
                ));
            }
            let mut body = answer.body;
            // The client's own limits end where the body begins: what trickles would go on for ever.
            let whole = self.patience.whole(rest);
            let by = tokio::time::Instant::now() + whole;
            let broken = loop {
                let Ok(part) = tokio::time::timeout_at(by, body.next()).await else {
                    let (there, per) = (bytes.len(), human_bytes(self.patience.slowest));
                    break Some(format!(
                        "it comes slower than {per} a second: {there} of {size} bytes"
                    ));
                };
                match part {
                    // A server that sends more than it announced must not grow our memory.
                    Some(Ok(part)) if (bytes.len() + part.len()) as u64 <= limit => {
                        bytes.extend_from_slice(&part)
                    }
                    Some(Ok(_)) => break Some("it sends more than it announced".to_owned()),
                    Some(Err(e)) => break Some(e.to_string()),
                    None if bytes.len() as u64 == size => break None,
                    None => break Some(format!("it ended after {} of {size} bytes", bytes.len())),
                }
            };
            match broken {
                None => break,
                Some(_) if attempt < ATTEMPTS => pause(attempt).await?,
                Some(why) => {
                    return Err(Error::new(
                        &UNREACHABLE,
                        format!(
                            "cannot read `{}/{name}`: the answer broke off {attempt} times",
                            self.place
                        ),
                    )
                    .caused_by(why)
                    .hint("Run the command again, or go on with `summitctl run resume`."));
                }
            }
        }
        let (etag, _, digest) = seen.unwrap_or_default();
        Ok(Some(Fetched {
            bytes: bytes.freeze(),
            etag,
            digest,
        }))
    }

    async fn pages(&self, prefix: &str, folders: bool) -> Result<Vec<Entry>> {
        let start = if prefix.is_empty() && self.place.prefix.is_empty() {
            String::new()
        } else {
            self.key(prefix)?
        };
        let mut list = self
            .client
            .list_objects_v2()
            .bucket(&self.place.bucket)
            .prefix(start);
        if folders {
            list = list.delimiter("/");
        }
        let mut pages = list.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| self.place.failed("list", prefix, e))?;
            for folder in page.common_prefixes() {
                if let Some(name) = folder.prefix().and_then(|p| self.name(p)) {
                    found.push(Entry {
                        name: name.to_owned(),
                        size: 0,
                        stored: None,
                    });
                }
            }
            for object in page.contents() {
                let name = object.key().and_then(|key| self.name(key));
                // Consoles make empty objects that stand for folders; they are nobody's.
                if let Some(name) = name.filter(|name| !name.is_empty() && !name.ends_with('/')) {
                    let size = u64::try_from(object.size().unwrap_or_default()).unwrap_or(0);
                    found.push(Entry {
                        name: name.to_owned(),
                        size,
                        stored: object
                            .last_modified()
                            .map(|at| Instant::from_millis(at.secs().saturating_mul(1000))),
                    });
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

#[async_trait]
impl Store for S3Store {
    fn where_it_is(&self) -> String {
        self.proved_as()
    }

    fn place(&self) -> String {
        self.place.to_string()
    }

    fn look_command(&self) -> String {
        format!("aws s3 ls {}/{}", self.place, self.place.endpoint_option())
    }

    async fn prove(&self) -> Result<()> {
        self.prove_once().await
    }

    async fn create(&self, name: &str, object: &Object) -> Result<Created> {
        Ok(if self.upload(name, object, Condition::Absent).await? {
            Created::New
        } else {
            Created::Exists
        })
    }

    async fn unbury(&self, name: &str, object: &Object) -> Result<bool> {
        if !self.buries() || self.head_of(name).await?.is_some() {
            return Ok(false);
        }
        self.upload(name, object, Condition::None).await
    }

    async fn replace(&self, name: &str, old: Digest, object: &Object) -> Result<bool> {
        let Some(there) = self.fetch(name, u64::MAX).await? else {
            return Ok(false);
        };
        if sha256(&there.bytes) != old {
            return Ok(false);
        }
        let etag = there.etag.ok_or_else(|| {
            Error::new(
                &UNSAFE,
                format!(
                    "`{}` gives no ETag, so nothing can be replaced safely there",
                    self.place
                ),
            )
        })?;
        self.upload(name, object, Condition::Still(&etag)).await
    }

    async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        self.fetch_whole(name, limit).await
    }

    async fn get_as_it_is(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        Ok(self.fetch(name, limit).await?.map(|f| f.bytes))
    }

    async fn head(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.head_of(name).await?.map(|head| size(&head)))
    }

    async fn look(&self, name: &str) -> Result<Option<Seen>> {
        let Some(head) = self.head_of(name).await? else {
            return Ok(None);
        };
        let runs_out = self.retain(name).is_some_and(|retain| {
            let until = head.object_lock_retain_until_date();
            until.is_none_or(|until| {
                until.secs() < retain.until(&self.clock).secs() - retain.slack()
            })
        });
        Ok(Some(Seen {
            size: size(&head),
            sha256: kept(head.metadata()),
            runs_out,
        }))
    }

    async fn extend(&self, name: &str) -> Result<()> {
        let Some(retain) = self.retain(name) else {
            return Ok(());
        };
        let head = self.head_of(name).await?;
        let has = head.and_then(|head| head.object_lock_mode().cloned());
        let mode = match (retain.mode, has) {
            // Nobody can weaken it, whatever the configuration says since.
            (_, Some(ObjectLockMode::Compliance)) | (LockMode::Compliance, _) => {
                ObjectLockRetentionMode::Compliance
            }
            (LockMode::Governance, _) => ObjectLockRetentionMode::Governance,
        };
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .retain_until_date(retain.until(&self.clock))
            .build();
        self.client
            .put_object_retention()
            .bucket(&self.place.bucket)
            .key(self.key(name)?)
            .retention(retention)
            .send()
            .await
            .map(drop)
            .map_err(|e| self.place.failed("extend the retention of", name, e))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.pages(prefix, false).await
    }

    async fn children(&self, prefix: &str) -> Result<Vec<String>> {
        let found = self.pages(prefix, true).await?;
        Ok(found.into_iter().map(|entry| entry.name).collect())
    }

    async fn delete(&self, name: &str) -> Result<Deleted> {
        let Some(head) = self.head_of(name).await? else {
            return Ok(Deleted::Absent);
        };
        let key = self.key(name)?;
        let delete = self
            .client
            .delete_object()
            .bucket(&self.place.bucket)
            .key(key);
        match delete.send().await {
            Ok(done) => {
                let null = |version: Option<&str>| version.is_none_or(|v| v == "null");
                // While versioning is suspended, the mark takes the place of what has no version.
                let replaced = null(done.version_id()) && null(head.version_id());
                Ok(match done.delete_marker() {
                    Some(true) if !replaced => Deleted::Hidden,
                    _ => Deleted::Gone,
                })
            }
            Err(e) if error::is_status(&e, 404) => Ok(Deleted::Absent),
            Err(e) => Err(match self.locked(&head) {
                Some(why) if matches!(e, SdkError::ServiceError(_)) => Error::new(
                    &RETAINED,
                    format!("`{}/{name}` cannot be deleted: {why}", self.place),
                ),
                _ => self.place.failed("delete", name, e),
            }),
        }
    }

    async fn retained(&self, name: &str) -> Result<Option<String>> {
        let head = self.head_of(name).await?;
        let Some(why) = head.and_then(|head| self.locked(&head)) else {
            return Ok(None);
        };
        // Where there are versions, a deletion only hides the one that is locked. Who cannot tell has to try.
        Ok(match self.keeps_versions().await {
            Some(false) => Some(why),
            Some(true) | None => None,
        })
    }

    async fn keeps_versions(&self) -> Option<bool> {
        let asked = self.client.get_bucket_versioning();
        let asked = asked.bucket(&self.place.bucket).send().await;
        match asked {
            Ok(said) => Some(said.status() == Some(&BucketVersioningStatus::Enabled)),
            // A store that does not know the question has no versions.
            Err(e) if error::is_unimplemented(&e) => Some(false),
            Err(_) => None,
        }
    }
}

impl From<LockMode> for ObjectLockMode {
    fn from(mode: LockMode) -> Self {
        match mode {
            LockMode::Governance => ObjectLockMode::Governance,
            LockMode::Compliance => ObjectLockMode::Compliance,
        }
    }
}

/// Whether an object is there for a while only: locks, probes, what a prune is about, and what is not a backup yet.
fn passing(name: &str) -> bool {
    let folders = ["locks/", "tmp/", "tombstones/"];
    folders.iter().any(|folder| name.starts_with(folder)) || name.contains("/staged/")
}

fn size(head: &HeadObjectOutput) -> u64 {
    u64::try_from(head.content_length().unwrap_or_default()).unwrap_or(0)
}

/// The SHA-256 that the writer kept with the object.
fn kept(metadata: Option<&std::collections::HashMap<String, String>>) -> Option<Digest> {
    metadata?
        .get(SHA256)
        .and_then(|hex| from_hex(hex))
        .map(Digest)
}

/// Waits for a random time that grows with the attempts.
async fn pause(attempt: u32) -> Result<()> {
    let [byte] = random::<1>()?;
    let most = 300_u64 << attempt.min(5);
    tokio::time::sleep(Duration::from_millis(50 + most * u64::from(byte) / 255)).await;
    Ok(())
}
