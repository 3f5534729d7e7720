//! What the repository's tests share: a folder that removes itself, a small repository, captures of noise, and a
//! store that dies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::super::names::{hex, random};
use super::super::*;
use crate::capture::{Captured, Consistency, Fingerprint, PartInfo, PartReader, PartSink};
use crate::event::Events;
use crate::identity::{Identity, Store as Kind};
use crate::wait::Cancel;

/// A temporary folder that is removed with its last user.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("summitctl-repository-{}", hex(&random::<8>().unwrap()));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Every file below, relative, sorted.
    pub fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else {
                    let path = path.strip_prefix(root).unwrap();
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &self.0, &mut found);
        found.sort();
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Small enough for tests of many segments.
pub const SIZES: SegmentSizes = SegmentSizes {
    min: 4096,
    max: 32768,
    spread: 2048,
};

/// A repository with one operator and one host.
pub struct Fixture {
    pub folder: Folder,
    pub secret: Secret,
    pub key: SigningKey,
    pub identity: Secret,
    pub operator: Operator,
}

impl Fixture {
    pub async fn new() -> Fixture {
        let (operator, identity) = person("alice");
        let fixture = Fixture {
            folder: Folder::new(),
            secret: Repository::generate_secret().unwrap(),
            key: SigningKey::generate().unwrap(),
            identity,
            operator,
        };
        fixture.init(fixture.store()).await.unwrap();
        fixture
    }

    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(LocalStore::new(self.folder.path()))
    }

    pub async fn init(&self, store: Arc<dyn Store>) -> Result<Repository> {
        let operators = std::slice::from_ref(&self.operator);
        let signers = [("host".to_owned(), self.key.public())];
        Repository::init(store, &self.secret, operators, &signers).await
    }

    /// As a backup host opens it.
    pub async fn host(&self) -> Repository {
        self.host_on(self.store()).await.unwrap()
    }

    pub async fn host_on(&self, store: Arc<dyn Store>) -> Result<Repository> {
        Repository::open(store, Some(&self.secret)).await
    }

    /// As an operator opens it.
    pub async fn reader(&self) -> Repository {
        self.host().await.unlock(&self.identity).await.unwrap()
    }

    /// A complete backup of Postgres parts with these contents.
    pub async fn backup(&self, parts: &[(&str, Vec<u8>)]) -> BackupId {
        let repository = self.host().await;
        let id = id();
        back_up(&repository, &id, &self.key, parts).await.unwrap();
        id
    }
}

/// A new operator and the text of their identity file.
pub fn person(name: &str) -> (Operator, Secret) {
    use age::secrecy::ExposeSecret as _;
    let identity = age::x25519::Identity::generate();
    let operator = Operator::new(name, &identity.to_public().to_string()).unwrap();
    let text = format!("# {name}\n{}\n", identity.to_string().expose_secret());
    (operator, Secret::new(text))
}

/// An id of this moment.
pub fn id() -> BackupId {
    BackupId::new(Instant::now()).unwrap()
}

pub fn meta() -> Meta {
    Meta {
        context: "testing".to_owned(),
        labels: vec!["nightly".to_owned()],
    }
}

pub fn options() -> VerifyOptions {
    VerifyOptions {
        jobs: 2,
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

/// Bytes that do not compress.
pub fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Writes parts in odd chunks. Each byte string is one "row" of its fingerprint.
pub async fn capture(
    writer: &BackupWriter,
    store: Kind,
    parts: &[(&str, Vec<u8>)],
) -> Result<Captured> {
    let key = writer.shared.keys.fingerprint_key();
    let mut infos = Vec::new();
    for (name, bytes) in parts {
        let mut part = writer.create(name, "noise").await?;
        // Cuts are offered where the bytes themselves repeat, as a row's end would.
        for row in bytes.split_inclusive(|b| *b == 0) {
            for chunk in row.chunks(300) {
                part.write(Bytes::copy_from_slice(chunk)).await?;
            }
            part.cut();
        }
        let mut rows = key.start();
        rows.add(bytes);
        let meta = BTreeMap::from([("ratio".to_owned(), serde_json::json!(0.1))]);
        infos.push(part.finish(Some(rows.finish()), meta).await?);
    }
    Ok(captured(store, infos))
}

pub fn captured(store: Kind, parts: Vec<PartInfo>) -> Captured {
    let from: Instant = "2026-11-21T03:04:05Z".parse().unwrap();
    Captured {
        store,
        identity: Identity::new(store, [("endpoint", "db:1")]),
        server_version: "15.1".to_owned(),
        consistency: Consistency::PointInTime,
        method: "noise".to_owned(),
        from,
        to: from.plus(std::time::Duration::from_secs(2)),
        not_carried: vec!["roles".to_owned()],
        troubles: None,
        parts,
    }
}

/// The whole way of a backup of one store, as often as needed.
pub async fn back_up(
    repository: &Repository,
    id: &BackupId,
    key: &SigningKey,
    parts: &[(&str, Vec<u8>)],
) -> Result<Backup> {
    let state = repository.state(id).await?;
    if state == State::Absent {
        let writer = repository.begin_with(id, &Events::silent(), SIZES).await?;
        let captured = capture(&writer, Kind::Postgres, parts).await?;
        writer.seal_store(captured).await?;
        writer.close().await?;
    }
    repository.commit(id, &meta(), key).await
}

/// Decodes noise: the part is one row.
pub struct NoiseDecoder;

#[async_trait]
impl DecodePart for NoiseDecoder {
    async fn decode(
        &self,
        _: &PartInfo,
        reader: &mut dyn PartReader,
        key: &crate::capture::FingerprintKey,
    ) -> Result<Option<Fingerprint>> {
        let mut rows = key.start();
        rows.add(&reader.read_all().await?);
        Ok(Some(rows.finish()))
    }
}

/// A store that stops working after so many changes, as a killed process or a full disk does.
#[derive(Debug)]
pub struct Dying {
    inner: LocalStore,
    left: AtomicI64,
    full: bool,
}

impl Dying {
    pub fn new(folder: &Path, changes: i64, full: bool) -> Arc<Dying> {
        Arc::new(Dying {
            inner: LocalStore::new(folder),
            left: AtomicI64::new(changes),
            full,
        })
    }

    fn change(&self) -> Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        let kind = if self.full {
            std::io::ErrorKind::StorageFull
        } else {
            std::io::ErrorKind::Other
        };
        Err(Error::io("write", "dying", kind.into()))
    }
}

#[async_trait]
impl Store for Dying {
    fn place(&self) -> String {
        self.inner.place()
    }
    async fn create(&self, name: &str, object: &Object) -> Result<Created> {
        self.change()?;
        self.inner.create(name, object).await
    }
    async fn replace(&self, name: &str, old: Digest, object: &Object) -> Result<bool> {
        self.change()?;
        self.inner.replace(name, old, object).await
    }
    async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        self.inner.get(name, limit).await
    }
    async fn head(&self, name: &str) -> Result<Option<u64>> {
        self.inner.head(name).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.inner.list(prefix).await
    }
    async fn children(&self, prefix: &str) -> Result<Vec<String>> {
        self.inner.children(prefix).await
    }
    async fn delete(&self, name: &str) -> Result<Deleted> {
        self.change()?;
        self.inner.delete(name).await
    }
}
