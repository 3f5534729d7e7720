//! Our side of a comparison, in a process of its own: `peers --ours dump|restore …`, with the program's own library.

use std::path::Path;
use std::sync::Arc;

use summitctl::capture::PartSource as _;
use summitctl::event::Events;
use summitctl::providers::postgres::{self, CaptureOptions, RestoreOptions, Target};
use summitctl::providers::redis;
use summitctl::repository::{BackupId, BackupWriter, LocalStore, Meta, Operator, Repository};
use summitctl::secret::Secret;
use summitctl::sign::SigningKey;
use summitctl::wait::Cancel;

/// How many connections: as many as the peer gets.
pub const JOBS: usize = 2;

/// `make FOLDER`, `dump FOLDER URL BACKUP`, or `restore FOLDER URL BACKUP DATABASE` (`prove` for a database that is only compared); for
/// Redis `redis-dump FOLDER URL BACKUP` and `redis-restore FOLDER URL BACKUP` (`redis-load` without the comparison); for Neo4j
/// `neo4j-export FOLDER URI BACKUP` and `neo4j-restore FOLDER DIR BACKUP`; for S3 `s3-upload FOLDER PREFIX`, `s3-make KEYS DUMP PREFIX` and `s3-backup KEYS DUMP PREFIX`.
pub fn run(args: &[String]) {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match words[..] {
            ["make", folder] => make(Path::new(folder)).await,
            ["dump", folder, url, backup] => dump(Path::new(folder), url, backup).await,
            [how @ ("restore" | "prove"), folder, url, backup, database] => {
                restore(Path::new(folder), url, backup, database, how == "prove").await;
            }
            ["redis-dump", folder, url, backup] => {
                redis_dump(Path::new(folder), url, backup).await;
            }
            [how @ ("redis-restore" | "redis-load"), folder, url, backup] => {
                redis_restore(Path::new(folder), url, backup, how == "redis-load").await;
            }
            ["neo4j-export", folder, uri, backup] => {
                super::neo4j::export(Path::new(folder), uri, backup).await;
            }
            ["neo4j-restore", folder, dir, backup] => {
                super::neo4j::restore(Path::new(folder), Path::new(dir), backup).await;
            }
            ["s3-upload", folder, prefix] => {
                super::s3::upload(Path::new(folder), prefix).await;
            }
            ["s3-make", keys, _, prefix] => super::s3_dump::make(Path::new(keys), prefix).await,
            ["s3-backup", keys, dump, prefix] => {
                super::s3_dump::back_up(Path::new(keys), Path::new(dump), prefix).await;
            }
            _ => panic!("{words:?}"),
        }
    });
}

fn at(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.with_extension(name)
}

/// New keys of a repository, in files beside the folder.
pub fn keys(folder: &Path) -> (Secret, SigningKey) {
    let secret = Repository::generate_secret().unwrap();
    let signer = SigningKey::generate().unwrap();
    let identity = age::x25519::Identity::generate();
    std::fs::write(at(folder, "secret"), secret.expose()).unwrap();
    std::fs::write(at(folder, "pem"), signer.to_pem().expose()).unwrap();
    std::fs::write(at(folder, "recipient"), identity.to_public().to_string()).unwrap();
    let text = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    std::fs::write(at(folder, "identity"), text).unwrap();
    (secret, signer)
}

async fn make(folder: &Path) {
    let (secret, signer) = keys(folder);
    let operator = Operator::new("bench", text(folder, "recipient").expose()).unwrap();
    let store = Arc::new(LocalStore::new(folder));
    let signers = [("bench".to_owned(), signer.public())];
    Repository::init(store, &secret, &[operator], &signers)
        .await
        .unwrap();
}

pub fn text(folder: &Path, name: &str) -> Secret {
    Secret::new(std::fs::read_to_string(at(folder, name)).unwrap().trim())
}

pub async fn open(folder: &Path) -> Repository {
    let store = Arc::new(LocalStore::new(folder));
    let secret = text(folder, "secret");
    let repository = Repository::open(store, Some(&secret)).await.unwrap();
    repository.unlock(&text(folder, "identity")).await.unwrap()
}

/// Opens the repository and begins a backup.
pub async fn begin(folder: &Path, backup: &str) -> (Repository, BackupWriter) {
    let repository = open(folder).await;
    let backup: BackupId = backup.parse().unwrap();
    let writer = repository.begin(&backup, &Events::default()).await.unwrap();
    (repository, writer)
}

/// Signs and publishes what was captured.
pub async fn publish(folder: &Path, repository: &Repository, backup: &str) {
    let meta = Meta {
        context: "bench".into(),
        labels: Vec::new(),
    };
    let key = SigningKey::from_pem(&text(folder, "pem")).unwrap();
    let backup: BackupId = backup.parse().unwrap();
    repository.commit(&backup, &meta, &key).await.unwrap();
}

async fn dump(folder: &Path, url: &str, backup: &str) {
    let (repository, writer) = begin(folder, backup).await;
    let events = Events::default();
    let options = CaptureOptions {
        key: repository.fingerprint_key().unwrap(),
        formats: Default::default(),
        patience: Default::default(),
        stretch: summitctl::providers::postgres::STRETCH,
        jobs: JOBS,
        events,
        cancel: Cancel::new(),
    };
    let target = Target::parse(url, None, None).unwrap();
    let captured = postgres::capture(&target, &writer, &options).await.unwrap();
    writer.seal_store(captured).await.unwrap();
    writer.close().await.unwrap();
    publish(folder, &repository, backup).await;
}

/// Into a database that lasts, or one that is only compared.
async fn restore(folder: &Path, url: &str, backup: &str, database: &str, throwaway: bool) {
    let repository = open(folder).await;
    let source = repository.source(&backup.parse().unwrap()).await.unwrap();
    let server = Target::parse(url, None, None).unwrap();
    let captured = postgres::captured_databases(&source.parts("postgres/")).remove(0);
    let roles = postgres::MissingRoles::LeaveOut;
    postgres::create_database(&server, database, &source, &captured, roles)
        .await
        .unwrap();
    let work_dir = at(folder, "work");
    std::fs::create_dir_all(&work_dir).unwrap();
    let options = RestoreOptions {
        key: repository.fingerprint_key().unwrap(),
        jobs: JOBS,
        share: postgres::SHARE,
        events: Events::default(),
        cancel: Cancel::new(),
        roles,
        only: Default::default(),
        throwaway,
        work_dir,
    };
    let target = server.with_database(database);
    let restored = postgres::restore(&target, &source, &captured, &options)
        .await
        .unwrap();
    for (phase, took) in restored.phases {
        println!("  {phase}: {:.1} s", took.as_secs_f64());
    }
}

fn redis_options(repository: &Repository) -> redis::CaptureOptions {
    redis::CaptureOptions {
        jobs: JOBS,
        ..redis::CaptureOptions::quiet(repository.fingerprint_key().unwrap())
    }
}

async fn redis_dump(folder: &Path, url: &str, backup: &str) {
    let repository = open(folder).await;
    let backup: BackupId = backup.parse().unwrap();
    let writer = repository.begin(&backup, &Events::default()).await.unwrap();
    let target = redis::Target::parse(url, None, None).unwrap();
    let options = redis_options(&repository);
    let captured = redis::capture(&target, &writer, &options).await.unwrap();
    assert_eq!(captured.method, "PSYNC");
    writer.seal_store(captured).await.unwrap();
    writer.close().await.unwrap();
    let meta = Meta {
        context: "bench".into(),
        labels: Vec::new(),
    };
    let key = SigningKey::from_pem(&text(folder, "pem")).unwrap();
    repository.commit(&backup, &meta, &key).await.unwrap();
}

/// Loads, and compares what is there with what was captured, which the peer does not.
async fn redis_restore(folder: &Path, url: &str, backup: &str, only_load: bool) {
    let repository = open(folder).await;
    let source = repository.source(&backup.parse().unwrap()).await.unwrap();
    let target = redis::Target::parse(url, None, None).unwrap();
    let options = redis::RestoreOptions {
        common: redis_options(&repository),
        replace: redis::Replace::Refuse,
        token: "bench".to_owned(),
    };
    if only_load {
        redis::load(&target, &source, &options).await.unwrap();
        return;
    }
    let restored = redis::restore(&target, &source, &options).await.unwrap();
    assert!(restored.differences().is_empty());
}
