//! Putting an object: in one request, or in parts side by side where it is large. Either way it appears as a whole, under a
//! condition, or not at all.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption, StorageClass,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, TryStreamExt as _};

use super::client::{ATTEMPTS, unmet};
use super::error::is_status;
use super::{Object, S3Store, SHA256, WRITE, passing, pause};
use crate::error::{Error, Result};
use crate::repository::collect::id_of;
use crate::repository::names::{SegmentName, hex, random};
use crate::repository::store::sha256;
use crate::repository::writer::blocking;

/// An object of more bytes is put in parts: a connection that breaks costs one of them.
const SINGLE: usize = 16 << 20;
/// The first parts are this large.
const PART: usize = 8 << 20;
/// After so many parts they double: 10,000 parts, the protocol's limit, then reach 5 TiB, the largest object.
const SAME_SIZE: usize = 1_000;
/// An unfinished upload older than this belongs to nobody.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// So many pages of a thousand uploads are looked through at most, once in a process.
const SWEPT_PAGES: usize = 20;

/// What must hold for the object to be put.
#[derive(Clone, Copy)]
pub(super) enum Condition<'a> {
    /// There is none of this name.
    Absent,
    /// The one with this ETag is there.
    Still(&'a str),
    /// Nothing: the store takes the mark of a deletion for an object, and knows no condition for it.
    None,
}

impl<'a> Condition<'a> {
    fn none_match(self) -> Option<String> {
        matches!(self, Condition::Absent).then(|| "*".to_owned())
    }

    fn matches(self) -> Option<String> {
        match self {
            Condition::Absent | Condition::None => None,
            Condition::Still(etag) => Some(etag.to_owned()),
        }
    }
}

/// What an attempt came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// The condition did not hold, or did not hold any more when a lost answer was asked for again.
    Unmet,
    /// Somebody else writes the same name right now.
    Contended,
}

impl S3Store {
    /// Puts an object; whether this very call did.
    pub(super) async fn upload(
        &self,
        name: &str,
        object: &Object,
        condition: Condition<'_>,
    ) -> Result<bool> {
        let word = hex(&random::<16>()?);
        for attempt in 1.. {
            let put = if object.bytes().len() <= SINGLE {
                self.put(name, object, condition, &word).await?
            } else {
                self.put_parts(name, object, condition, &word).await?
            };
            if put == Put::Done {
                return Ok(true);
            }
            let head = self.head_of(name).await?;
            let found = head.as_ref().and_then(|h| h.metadata()?.get(WRITE));
            if found == Some(&word) {
                return Ok(true);
            }
            let settled =
                head.is_some() || matches!(condition, Condition::Still(_)) || self.buries();
            if put == Put::Unmet && settled {
                return Ok(false);
            }
            if attempt >= ATTEMPTS {
                break;
            }
            pause(attempt).await?;
        }
        Err(Error::new(
            &super::REFUSED,
            format!("cannot write `{}/{name}`: the store says that it is taken, and that there is none", self.place),
        )
        .hint("If nobody else writes there: a bucket with versioning may take a deleted name for a taken one, which S3 itself does not do.")
        .hint(format!(
            "See its versions with `aws s3api list-object-versions --bucket {} --prefix {}{}`.",
            self.place.bucket,
            self.key(name)?,
            self.place.endpoint_option()
        )))
    }

    pub(super) async fn put(
        &self,
        name: &str,
        object: &Object,
        condition: Condition<'_>,
        word: &str,
    ) -> Result<Put> {
        let _permit = self.permit().await?;
        let retain = self.retain(name);
        let bytes = object.bytes();
        let sent = self
            .client
            .put_object()
            .bucket(&self.place.bucket)
            .key(self.key(name)?)
            .set_if_none_match(condition.none_match())
            .set_if_match(condition.matches())
            .checksum_sha256(BASE64_STANDARD.encode(object.sha256().0))
            .metadata(SHA256, object.sha256().to_string())
            .metadata(WRITE, word)
            .set_storage_class(self.storage_class(name))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.place.kms_key.clone())
            .set_object_lock_mode(retain.map(|r| r.mode.into()))
            .set_object_lock_retain_until_date(retain.map(|r| r.until(&self.clock)))
            .body(ByteStream::from(bytes.clone()))
            .customize()
            // The checksum is signed, and holds for the body: it need not be hashed once more.
            .disable_payload_signing()
            .config_override(self.patience.of(bytes.len() as u64))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Put::Done),
            Err(e) if unmet(&e) => Ok(Put::Unmet),
            // What was to be replaced is gone.
            Err(e) if is_status(&e, 404) && matches!(condition, Condition::Still(_)) => {
                Ok(Put::Unmet)
            }
            Err(e) if is_status(&e, 409) => Ok(Put::Contended),
            Err(e) => Err(self.place.failed("write", name, e)),
        }
    }

    pub(super) async fn put_parts(
        &self,
        name: &str,
        object: &Object,
        condition: Condition<'_>,
        word: &str,
    ) -> Result<Put> {
        let retain = self.retain(name);
        let key = self.key(name)?;
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.place.bucket)
            .key(&key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .metadata(SHA256, object.sha256().to_string())
            .metadata(WRITE, word)
            .set_storage_class(self.storage_class(name))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.place.kms_key.clone())
            .set_object_lock_mode(retain.map(|r| r.mode.into()))
            .set_object_lock_retain_until_date(retain.map(|r| r.until(&self.clock)))
            .send()
            .await
            .map_err(|e| self.place.failed("begin to write", name, e))?;
        let mut unfinished = Unfinished {
            store: self.clone(),
            key,
            id: begun.upload_id().unwrap_or_default().to_owned(),
            over: false,
        };
        let put = self
            .finish_parts(name, object, condition, &unfinished)
            .await;
        if matches!(put, Ok(Put::Done)) {
            unfinished.over = true;
        } else {
            unfinished.abort().await;
        }
        put
    }

    async fn finish_parts(
        &self,
        name: &str,
        object: &Object,
        condition: Condition<'_>,
        upload: &Unfinished,
    ) -> Result<Put> {
        let parts: FuturesUnordered<_> = parts(object.bytes())
            .map(|(number, bytes)| self.put_part(name, upload, number, bytes))
            .collect();
        let mut parts: Vec<CompletedPart> = parts.try_collect().await?;
        parts.sort_by_key(CompletedPart::part_number);
        let done = self
            .client
            .complete_multipart_upload()
            .bucket(&self.place.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .set_if_none_match(condition.none_match())
            .set_if_match(condition.matches())
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            )
            .send()
            .await;
        match done {
            Ok(_) => Ok(Put::Done),
            // An upload that is not there any more was completed by an attempt whose answer was lost.
            Err(e) if unmet(&e) || is_status(&e, 404) => Ok(Put::Unmet),
            Err(e) if is_status(&e, 409) => Ok(Put::Contended),
            Err(e) => Err(self.place.failed("write", name, e)),
        }
    }

    async fn put_part(
        &self,
        name: &str,
        upload: &Unfinished,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart> {
        let _permit = self.permit().await?;
        let hashed = bytes.clone();
        let digest = blocking(move || Ok(sha256(&hashed))).await?;
        let digest = BASE64_STANDARD.encode(digest.0);
        let size = bytes.len() as u64;
        let sent = self
            .client
            .upload_part()
            .bucket(&self.place.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .part_number(number)
            .checksum_sha256(&digest)
            .body(ByteStream::from(bytes))
            .customize()
            .disable_payload_signing()
            .config_override(self.patience.of(size))
            .send()
            .await
            .map_err(|e| self.place.failed("write a part of", name, e))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .checksum_sha256(digest)
            .set_e_tag(sent.e_tag().map(str::to_owned))
            .build())
    }

    async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        let permit = self.uploads.acquire().await;
        permit.map_err(|e| Error::bug("the upload semaphore was closed").caused_by(e))
    }

    /// What is removed again soon is kept in the bucket's own class: others bill each object for 30 days and more.
    fn storage_class(&self, name: &str) -> Option<StorageClass> {
        let class = self.place.storage_class.as_deref();
        class.filter(|_| !passing(name)).map(StorageClass::from)
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.place
            .kms_key
            .as_ref()
            .map(|_| ServerSideEncryption::AwsKms)
    }

    /// Ends uploads that killed writers left a day ago and more: they are invisible, and cost money. Failure does not
    /// matter, because nothing there counts; some stores do not let them be listed.
    pub(super) async fn sweep(&self) {
        let prefix = match self.place.prefix.as_str() {
            "" => None,
            prefix => Some(format!("{prefix}/")),
        };
        let old = i64::try_from(ABANDONED.as_secs()).unwrap_or(i64::MAX);
        let before = self.clock.seconds() - old;
        let mut from: (Option<String>, Option<String>) = (None, None);
        for _ in 0..SWEPT_PAGES {
            let list = self
                .client
                .list_multipart_uploads()
                .bucket(&self.place.bucket)
                .set_prefix(prefix.clone())
                .set_key_marker(from.0)
                .set_upload_id_marker(from.1);
            let Ok(found) = list.send().await else {
                return;
            };
            for upload in found.uploads() {
                if let (Some(key), Some(id), Some(at)) =
                    (upload.key(), upload.upload_id(), upload.initiated())
                    && at.secs() < before
                    && self.name(key).is_some_and(is_ours)
                {
                    self.abort(key, id).await;
                }
            }
            if found.is_truncated() != Some(true) {
                return;
            }
            from = (
                found.next_key_marker().map(str::to_owned),
                found.next_upload_id_marker().map(str::to_owned),
            );
        }
    }

    async fn abort(&self, key: &str, id: &str) {
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(&self.place.bucket);
        let _ = abort.key(key).upload_id(id).send().await;
    }
}

/// Whether a name can be an object of a repository: a bucket without a prefix may hold other things.
fn is_ours(name: &str) -> bool {
    // Nothing else is large enough to go up in parts.
    SegmentName::of_object(name).is_some() || id_of(name).is_some()
}

/// An upload in parts that is given up unless it was completed.
struct Unfinished {
    store: S3Store,
    key: String,
    id: String,
    over: bool,
}

impl Unfinished {
    /// Best effort: the next writer sweeps what stays.
    async fn abort(&mut self) {
        self.over = true;
        self.store.abort(&self.key, &self.id).await;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, key, id) = (self.store.clone(), self.key.clone(), self.id.clone());
            runtime.spawn(async move { store.abort(&key, &id).await });
        }
    }
}

/// How large the part of this index is.
fn part_size(index: usize) -> usize {
    PART << (index / SAME_SIZE).min(16)
}

/// The numbered parts of some bytes; nothing is copied.
fn parts(bytes: &Bytes) -> impl Iterator<Item = (i32, Bytes)> {
    let mut left = bytes.clone();
    (0_usize..).map_while(move |index| {
        if left.is_empty() {
            return None;
        }
        let part = left.split_to(part_size(index).min(left.len()));
        Some((i32::try_from(index + 1).unwrap_or(i32::MAX), part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_and_numbered() {
        let bytes = Bytes::from(vec![7; 2 * PART + 1]);
        let sizes: Vec<_> = parts(&bytes).map(|(n, b)| (n, b.len())).collect();
        assert_eq!(sizes, [(1, PART), (2, PART), (3, 1)]);
    }

    #[test]
    fn parts_grow_so_that_the_largest_object_needs_no_more_than_may_be() {
        let sizes: Vec<usize> = (0..10_000).map(part_size).collect();
        assert!(sizes.is_sorted());
        assert!(sizes.iter().all(|size| *size <= 5 << 30));
        assert!(sizes.iter().sum::<usize>() >= 5 << 40);
    }
}
