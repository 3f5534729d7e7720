//! A repository of many backups in a folder, made by the library: what the claims about large repositories are measured on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use summitctl::capture::{Captured, Consistency, PartSink as _};
use summitctl::error::Result;
use summitctl::event::Events;
use summitctl::identity::{Identity, Store as Kind};
use summitctl::repository::{
    BackupId, Created, Deleted, Digest, Entry, Level, Meta, Object, Operator, Repository, Store,
    Verification,
};
use summitctl::sign::SigningKey;
use summitctl::time::Instant;

/// The context of the configuration that lies beside the repository.
pub const CONTEXT: &str = "scale";

/// Objects in memory: a folder would put each on the disk for good before the next one comes.
#[derive(Debug, Default)]
struct Objects(Mutex<BTreeMap<String, Bytes>>);

#[async_trait]
impl Store for Objects {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    async fn create(&self, name: &str, object: &Object) -> Result<Created> {
        let mut all = self.0.lock().unwrap();
        if all.contains_key(name) {
            return Ok(Created::Exists);
        }
        all.insert(name.to_owned(), object.bytes().clone());
        Ok(Created::New)
    }

    async fn replace(&self, name: &str, old: Digest, object: &Object) -> Result<bool> {
        let mut all = self.0.lock().unwrap();
        let same = all
            .get(name)
            .is_some_and(|there| Object::new(there.clone()).sha256() == old);
        if same {
            all.insert(name.to_owned(), object.bytes().clone());
        }
        Ok(same)
    }

    async fn get(&self, name: &str, _: u64) -> Result<Option<Bytes>> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    async fn head(&self, name: &str) -> Result<Option<u64>> {
        let all = self.0.lock().unwrap();
        Ok(all.get(name).map(|bytes| bytes.len() as u64))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let all = self.0.lock().unwrap();
        let from = all.range(prefix.to_owned()..);
        let found = from.take_while(|(name, _)| name.starts_with(prefix));
        Ok(found
            .map(|(name, bytes)| Entry {
                name: name.clone(),
                size: bytes.len() as u64,
                stored: None,
            })
            .collect())
    }

    async fn children(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = self.list(prefix).await?;
        let found: BTreeSet<String> = listed
            .iter()
            .map(|entry| match entry.name[prefix.len()..].find('/') {
                Some(end) => entry.name[..=prefix.len() + end].to_owned(),
                None => entry.name.clone(),
            })
            .collect();
        Ok(found.into_iter().collect())
    }

    async fn delete(&self, name: &str) -> Result<Deleted> {
        let there = self.0.lock().unwrap().remove(name);
        Ok(there.map_or(Deleted::Absent, |_| Deleted::Gone))
    }
}

/// Makes a repository of so many backups, one a day, each of so many segments of its own and verified once; and a configuration
/// that names it.
pub fn fill(folder: &Path, backups: u64, segments: u64) {
    let objects = Arc::new(Objects::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(make(folder, Arc::clone(&objects), backups, segments));
    let root = folder.join("repository");
    let mut made = BTreeSet::new();
    for (name, bytes) in objects.0.lock().unwrap().iter() {
        let path = root.join(name);
        let above = path.parent().unwrap().to_owned();
        if made.insert(above.clone()) {
            std::fs::create_dir_all(above).unwrap();
        }
        std::fs::write(path, bytes).unwrap();
    }
    let config = format!(
        "version = 1\n\n[contexts.{CONTEXT}]\ntier = \"development\"\n\n[contexts.{CONTEXT}.redis]\nhost = \"127.0.0.1\"\nport = 1\n\n\
         [contexts.{CONTEXT}.repository]\npath = \"repository\"\nsecret = \"file:secret\"\nsigning-key = \"file:key.pem\"\n"
    );
    std::fs::write(folder.join("summitctl.toml"), config).unwrap();
}

async fn make(folder: &Path, objects: Arc<Objects>, backups: u64, segments: u64) {
    let secret = Repository::generate_secret().unwrap();
    private(&folder.join("secret"), secret.expose());
    let key = SigningKey::generate().unwrap();
    key.save(&folder.join("key.pem")).unwrap();
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let operators = [Operator::new("nobody", &recipient).unwrap()];
    let signers = [("host".to_owned(), key.public())];
    let repository = Repository::init(objects, &secret, &operators, &signers);
    let repository = repository.await.unwrap();
    let first: Instant = "2024-01-01T03:00:00Z".parse().unwrap();
    for number in 0..backups {
        let at = first.plus(Duration::from_secs(86_400 * number));
        let id: BackupId = format!("{}-{number:04x}", at.compact()).parse().unwrap();
        back_up(&repository, &id, segments).await;
        let meta = Meta {
            context: CONTEXT.to_owned(),
            labels: Vec::new(),
        };
        repository.commit(&id, &meta, &key).await.unwrap();
        let signed = repository.show(&id).await.unwrap().signed.unwrap();
        let verified = Verification {
            backup: id,
            manifest_sha256: signed.manifest_sha256,
            level: Level::Objects,
            sample: None,
            from: at,
            to: at.plus(Duration::from_secs(60)),
            findings: Vec::new(),
            measured: [("objects".to_owned(), segments)].into(),
            loaded: BTreeMap::new(),
            cross_checks: Vec::new(),
        };
        repository.record(&verified, &key).await.unwrap();
    }
}

/// Each part is a segment.
async fn back_up(repository: &Repository, id: &BackupId, segments: u64) {
    let writer = repository.begin(id, &Events::silent()).await.unwrap();
    let mut parts = Vec::new();
    for number in 0..segments {
        let name = format!("redis/{number:04}");
        let mut part = writer.create(&name, "noise").await.unwrap();
        let bytes = format!("{id} {number}").into_bytes();
        part.write(bytes.into()).await.unwrap();
        parts.push(part.finish(None, BTreeMap::new()).await.unwrap());
    }
    let captured = Captured {
        store: Kind::Redis,
        identity: Identity::new(Kind::Redis, [("endpoint", "nowhere")]),
        server_version: "7.0".to_owned(),
        consistency: Consistency::PointInTime,
        method: "made by hand".to_owned(),
        from: id.moment(),
        to: id.moment(),
        not_carried: Vec::new(),
        troubles: None,
        parts,
    };
    writer.seal_store(captured).await.unwrap();
    writer.close().await.unwrap();
}

fn private(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}
