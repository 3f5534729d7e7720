//! Where a repository's objects lie: a flat space of named, immutable byte strings.
//!
//! The trait is small on purpose, so that a local folder and an object store keep the same promises: what was created
//! is complete and durable, a name is created once, and a listing sees every creation before it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::names::Digest;
use crate::error::{Error, Result};
use crate::time::Instant;

/// Bytes to be stored, with the digest that the store hands on to whoever can check it.
#[derive(Clone)]
pub struct Object {
    bytes: Bytes,
    sha256: Digest,
}

impl Object {
    /// Computes the digest. Costs a pass over the bytes: keep large ones off the async threads.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = sha256(&bytes);
        Object { bytes, sha256 }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Their SHA-256.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }
}

/// Whether a create-only put created something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is there now, and was not before.
    New,
    /// An object of this name was there already and is untouched.
    Exists,
}

/// What came of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// There was none of this name.
    Absent,
    /// Its bytes are gone.
    Gone,
    /// Nobody finds it under its name any more; the store keeps its bytes as a version.
    Hidden,
}

/// A name in a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The object's full name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was stored, by the store's clock; `None` if the store does not say.
    pub stored: Option<Instant>,
}

/// What a store knows of an object without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 that the store checked when it took the object in, if it keeps one.
    pub sha256: Option<Digest>,
    /// Whether it may be deleted sooner than what is written now.
    pub runs_out: bool,
}

/// A space of named objects. Names are relative, `/`-separated, of `[A-Za-z0-9._-]`.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The place, for messages: a path or a URL without credentials.
    fn place(&self) -> String;

    /// What tells the place from every other: one bucket's name may be taken at two providers.
    fn where_it_is(&self) -> String {
        self.place()
    }

    /// The command that shows whether the place is there.
    fn look_command(&self) -> String {
        format!("findmnt -T {}", self.place())
    }

    /// Finds out, before anything is written, whether the store keeps the promises of [`Store::create`] and
    /// [`Store::replace`]; fails if it does not.
    async fn prove(&self) -> Result<()> {
        Ok(())
    }

    /// Creates an object unless the name is taken. When it returns, the object is durable under its name, or nothing is:
    /// a reader never sees half of one.
    async fn create(&self, name: &str, object: &Object) -> Result<Created>;

    /// Puts an object under a name that is taken and has none: some stores never give the name of a deleted object away again.
    /// `false` if this store does, or there is one. Nobody wins this as [`Store::create`] is won: only for what any writer of the
    /// name would put there.
    async fn unbury(&self, _name: &str, _object: &Object) -> Result<bool> {
        Ok(false)
    }

    /// Puts an object in the place of the one whose SHA-256 is `old`; `false` if that is not what is there.
    async fn replace(&self, name: &str, old: Digest, object: &Object) -> Result<bool>;

    /// Reads a whole object; `None` if there is none. Fails if it is larger than `limit` bytes.
    async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>>;

    /// The same without the store's own word for what the bytes should be: for whoever knows better, or puts them right.
    async fn get_as_it_is(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        self.get(name, limit).await
    }

    /// An object's size in bytes; `None` if there is none.
    async fn head(&self, name: &str) -> Result<Option<u64>>;

    /// What the store knows of an object; `None` if there is none.
    async fn look(&self, name: &str) -> Result<Option<Seen>> {
        let size = self.head(name).await?;
        Ok(size.map(|size| Seen {
            size,
            sha256: None,
            runs_out: false,
        }))
    }

    /// Keeps an object from being deleted for as long as one that is written now.
    async fn extend(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Every object whose name begins with `prefix` (which ends in `/` or is empty), in name order.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>>;

    /// The names directly below `prefix`: objects, and folders with a final `/`. In name order.
    async fn children(&self, prefix: &str) -> Result<Vec<String>>;

    /// Deletes an object. The error of one that the store keeps whatever is asked has the reason [`super::RETAINED`].
    async fn delete(&self, name: &str) -> Result<Deleted>;

    /// Why the store refuses to delete an object now, if that can be told before it is tried.
    async fn retained(&self, _name: &str) -> Result<Option<String>> {
        Ok(None)
    }

    /// Whether what is deleted goes on to take space as a version; `None` if that cannot be found out.
    async fn keeps_versions(&self) -> Option<bool> {
        Some(false)
    }
}

/// Refuses what cannot be a name or the beginning of names: no document may lead outside the repository.
pub(super) fn plain_name(name: &str) -> Result<()> {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let folder = name.strip_suffix('/').unwrap_or(name);
    if folder.is_empty() || folder.split('/').all(plain) {
        return Ok(());
    }
    Err(Error::bug(format!("`{name}` is not an object's name")))
}

/// SHA-256 of some bytes. By ring: where a processor has no instructions for it, its assembly is three times as fast as
/// portable code, and every stored byte passes here.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Digest(digest)
}
