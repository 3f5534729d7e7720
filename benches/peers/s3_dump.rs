//! Against `restic backup` of the same dump into a bucket of the same server: both cut it into pieces that later backups find again,
//! compress and encrypt them, and put them there. Ours counts and fingerprints the rows as well.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use summitctl::capture::{Captured, Consistency, PartInfo, PartSink as _};
use summitctl::event::Events;
use summitctl::identity::{Identity, Store as Kind};
use summitctl::repository::{BackupId, Operator, Repository, S3Store};
use summitctl::time::Instant;

use super::measure::{Comparison, Cost, bytes_in, compare, median, run};
use super::ours::{publish, text};
use super::postgres::{DATABASE, filled};
use super::s3::{KEY, PORT, SECRET, Server, place};

pub const NAME: &str = "s3-backup";
const ROUNDS: usize = 3;
const BACKUP: &str = "20260101T000000Z-0001";
/// Rows in JSON, in words, and in columns.
const TABLES: [&str; 3] = ["events", "documents", "orders"];

pub fn compared(bucket: &Server) -> Comparison {
    let database = filled();
    let dump = database.folder("dump");
    let mut command = database.client("pg_dump");
    command.args(["-Fd", "-j2", "--compress=none", "-f", "/bench/dump"]);
    for table in TABLES {
        command.args(["-t", table]);
    }
    assert!(command.arg(DATABASE).status().unwrap().success());
    println!("{NAME}: a dump of {} MiB", bytes_in(&dump) >> 20);
    let keys = bucket.folder.join("keys");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let moved = bytes_in(&dump);
    for round in 0..ROUNDS {
        let cost = our_side(bucket, &keys, &dump, round);
        ours.push(Cost { moved, ..cost });
        let cost = their_side(bucket, &dump, round);
        theirs.push(Cost { moved, ..cost });
    }
    compare(NAME, "restic 0.14 backup", median(ours), median(theirs))
}

fn our_side(bucket: &Server, keys: &Path, dump: &Path, round: usize) -> Cost {
    let ours = |how: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ours", how]);
        command.args([keys, dump, Path::new(&format!("ours-{round}"))]);
        command
    };
    run(&mut ours("s3-make"), bucket.process.id());
    let mut cost = run(&mut ours("s3-backup"), bucket.process.id());
    cost.bytes = bytes_in(&bucket.folder.join(format!("data/bench/ours-{round}")));
    cost
}

fn their_side(bucket: &Server, dump: &Path, round: usize) -> Cost {
    let restic = |words: &[&str]| {
        let mut command = Command::new("restic");
        command
            .args(["--no-cache", "--quiet"])
            .args(words)
            .env(
                "RESTIC_REPOSITORY",
                format!("s3:http://127.0.0.1:{PORT}/bench/theirs-{round}"),
            )
            .env("RESTIC_PASSWORD", "bench")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stdout(Stdio::null());
        command
    };
    run(&mut restic(&["init"]), bucket.process.id());
    let words = ["backup", dump.to_str().unwrap()];
    let mut cost = run(&mut restic(&words), bucket.process.id());
    cost.bytes = bytes_in(&bucket.folder.join(format!("data/bench/theirs-{round}")));
    cost
}

/// A repository below the prefix, and its keys beside `keys`.
pub async fn make(keys: &Path, prefix: &str) {
    let (secret, signer) = super::ours::keys(keys);
    let operator = Operator::new("bench", text(keys, "recipient").expose()).unwrap();
    let store = Arc::new(S3Store::open(place(prefix)).await.unwrap());
    let signers = [("bench".to_owned(), signer.public())];
    Repository::init(store, &secret, &[operator], &signers)
        .await
        .unwrap();
}

/// Each file of the dump is a part, each line a row.
pub async fn back_up(keys: &Path, dump: &Path, prefix: &str) {
    let store = Arc::new(S3Store::open(place(prefix)).await.unwrap());
    let secret = text(keys, "secret");
    let repository = Repository::open(store, Some(&secret)).await.unwrap();
    let backup: BackupId = BACKUP.parse().unwrap();
    let writer = Arc::new(repository.begin(&backup, &Events::default()).await.unwrap());
    let from = Instant::now();
    let files = std::fs::read_dir(dump)
        .unwrap()
        .flatten()
        .filter(|f| f.file_name() != "toc.dat");
    let tasks: Vec<_> = files
        .map(|file| {
            let (writer, key) = (Arc::clone(&writer), repository.fingerprint_key().unwrap());
            tokio::spawn(async move {
                let name = format!("postgres/dump/{}", file.file_name().to_string_lossy());
                let mut part = writer.create(&name, "pg-copy-text").await.unwrap();
                let mut lines = std::io::BufReader::with_capacity(
                    1 << 20,
                    std::fs::File::open(file.path()).unwrap(),
                );
                let (mut rows, mut row, mut pending) = (key.start(), Vec::new(), 0);
                while lines.read_until(b'\n', &mut row).unwrap() > 0 {
                    rows.add(&row);
                    part.append(&row);
                    part.cut();
                    pending += row.len();
                    row.clear();
                    if pending > 1 << 20 {
                        part.settle().await.unwrap();
                        pending = 0;
                    }
                }
                part.finish(Some(rows.finish()), BTreeMap::new())
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut parts: Vec<PartInfo> = Vec::new();
    for task in tasks {
        parts.push(task.await.unwrap());
    }
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    let captured = Captured {
        store: Kind::Postgres,
        identity: Identity::new(Kind::Postgres, [("endpoint", "dump")]),
        server_version: "17".to_owned(),
        consistency: Consistency::PointInTime,
        method: "pg_dump".to_owned(),
        from,
        to: Instant::now(),
        not_carried: Vec::new(),
        troubles: None,
        parts,
    };
    writer.seal_store(captured).await.unwrap();
    Arc::into_inner(writer).unwrap().close().await.unwrap();
    publish(keys, &repository, BACKUP).await;
}
