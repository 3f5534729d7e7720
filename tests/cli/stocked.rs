//! The sample context with backups of its own, made by the library: what commands that keep, remove and open backups work on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use summitctl::capture::{Captured, Consistency, PartSink as _};
use summitctl::event::Events;
use summitctl::identity::{Identity, Store};
use summitctl::repository::{BackupId, LocalStore, Meta, Operator, Repository, recipients_of};
use summitctl::secret::Secret;
use summitctl::sign::SigningKey;

use crate::bench::Bench;
use crate::documents::furnished;

/// Its backups, oldest first; the two oldest are of one hour.
pub const BACKUPS: [&str; 4] = [
    "20261001T030000Z-0001",
    "20261001T033000Z-0002",
    "20261119T030000Z-0003",
    "20261120T030000Z-0004",
];

/// A file of the sample repository, which this one shares the keys with.
fn sample(name: &str) -> Secret {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compat/repository/v1");
    let text = std::fs::read_to_string(samples.join(name)).unwrap();
    Secret::new(text.trim())
}

/// The age recipient of the sample's operator.
pub fn alice() -> String {
    recipients_of(&sample("identity.txt")).unwrap().remove(0)
}

/// The sample context with a signing key and no repository.
pub fn bare() -> Bench {
    let bench = furnished();
    std::fs::remove_dir_all(bench.dir.join("repository")).unwrap();
    let key = SigningKey::generate().unwrap();
    key.save(&bench.dir.join("key.pem")).unwrap();
    bench
}

/// The same with a repository of four backups that share a segment.
pub fn stocked() -> Bench {
    let bench = bare();
    wait(async {
        let operator = Operator::new("alice", &alice()).unwrap();
        let signers = [("host".to_owned(), key(&bench).public())];
        let place = Arc::new(LocalStore::new(bench.dir.join("repository")));
        let (secret, operators) = (sample("secret.txt"), [operator]);
        let made = Repository::init(place, &secret, &operators, &signers);
        let repository = made.await.unwrap();
        for id in BACKUPS {
            back_up(&bench, &repository, id).await;
        }
    });
    bench
}

/// One more backup in the repository of this bench, whose secret is in this file.
pub fn one_more(bench: &Bench, secret: &str, id: &str) {
    let text = std::fs::read_to_string(bench.dir.join(secret)).unwrap();
    wait(async {
        let place = Arc::new(LocalStore::new(bench.dir.join("repository")));
        let secret = Secret::new(text.trim());
        let repository = Repository::open(place, Some(&secret)).await.unwrap();
        back_up(bench, &repository, id).await;
    });
}

/// Ends the epoch of keys: the next one, whose secret is kept in this file, has this operator alone.
pub fn next_epoch(bench: &Bench, secret: &str, recipient: &str) {
    let made = Repository::generate_secret().unwrap();
    std::fs::write(bench.dir.join(secret), made.expose()).unwrap();
    wait(async {
        let place = Arc::new(LocalStore::new(bench.dir.join("repository")));
        let repository = Repository::open(place, Some(&sample("secret.txt"))).await;
        let operator = Operator::new("other", recipient).unwrap();
        repository
            .unwrap()
            .start_epoch(&made, &[operator])
            .await
            .unwrap();
    });
}

/// Every file below a folder with its bytes.
pub fn bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(bytes(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

fn wait(work: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(work);
}

fn key(bench: &Bench) -> SigningKey {
    SigningKey::load(&bench.dir.join("key.pem")).unwrap()
}

async fn back_up(bench: &Bench, repository: &Repository, id: &str) {
    let id: BackupId = id.parse().unwrap();
    let writer = repository.begin(&id, &Events::silent()).await.unwrap();
    let mut parts = Vec::new();
    for (name, seed) in [("every", "every"), ("own", id.as_str())] {
        let name = format!("postgres/{name}/schema");
        let mut part = writer.create(&name, "pg-dump-custom").await.unwrap();
        let mut bytes = vec![0; 9000];
        bytes[..5].copy_from_slice(b"PGDMP");
        blake3::Hasher::new_derive_key(seed)
            .finalize_xof()
            .fill(&mut bytes[5..]);
        part.write(bytes.into()).await.unwrap();
        parts.push(part.finish(None, BTreeMap::new()).await.unwrap());
    }
    let captured = Captured {
        store: Store::Postgres,
        identity: Identity::new(Store::Postgres, [("endpoint", "db:1")]),
        server_version: "15.1".to_owned(),
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
    let meta = Meta {
        context: "sample".to_owned(),
        labels: Vec::new(),
    };
    repository.commit(&id, &meta, &key(bench)).await.unwrap();
}
