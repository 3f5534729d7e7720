//! What goes wrong in a bucket for a while or for good, and what the program makes of it: a store that does not answer is no
//! damage, and damage is healed by the next backup or the next copy.

use std::path::{Path, PathBuf};

use summitctl::sandbox::servers::redis::Options;

use super::flow::{Host, said};
use super::proxy::{Fault, Proxy};
use super::pruned::{Bucket, CREATE, backups, other_data};
use super::server::{Kind, Server, kinds};
use crate::redis::Server as Redis;

const BUSY: &str = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

/// Answers each request for a name with this word in it that the store is too busy.
async fn busy_for(server: &Server, word: &str) -> Proxy {
    let word: &'static str = Box::leak(word.to_owned().into_boxed_str());
    let (head, body) = ("503 Slow Down".to_owned(), BUSY.to_owned());
    Proxy::start(server.port, Fault::Says(word, i64::MAX, head, body)).await
}

/// Writes `away.toml`, the host's configuration by way of a proxy.
pub fn away(host: &Host, server: &Server, proxy: &Proxy) {
    let text = std::fs::read_to_string(host.dir.join("direct.toml")).unwrap();
    let text = text.replace(&server.endpoint(), &proxy.endpoint());
    std::fs::write(host.dir.join("away.toml"), text).unwrap();
}

/// The same command by way of a proxy: its exit code, and what it said.
fn through(host: &Host, server: &Server, proxy: &Proxy, args: &[&str]) -> (Option<i32>, String) {
    away(host, server, proxy);
    let mut command = host.command(args);
    let output = command.env("SUMMITCTL_CONFIG", host.dir.join("away.toml"));
    let output = output.output().unwrap();
    (output.status.code(), said(&output))
}

/// To which level the newest backup is verified, as the list says.
fn level(host: &Host) -> serde_json::Value {
    let (output, text) = host.call(&["backup", "list", "--output", "json"]);
    assert!(output.status.success(), "{text}");
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    listed["result"]["backups"][0]["verified-level"].clone()
}

/// The files of the segments below a folder of versitygw.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(segments(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Changes a bit on the disk of the store, below everything that it keeps of the object.
fn rot(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_answer_takes_no_level_away_and_chooses_no_older_backup() {
    let redis = Redis::start(&Options::scratch()).await;
    let (server, host) = Bucket::Plain.set_up(Kind::Versity, &redis).await;
    other_data(&redis, "one").await;
    host.ok(&CREATE);
    other_data(&redis, "two").await;
    host.ok(&CREATE);
    host.ok(&["backup", "verify", "newest", "--level", "3", "--yes"]);
    assert_eq!(level(&host), 3);
    let proxy = busy_for(&server, "/segments/").await;
    let verify = ["backup", "verify", "newest", "--level", "1", "--yes"];
    let (code, text) = through(&host, &server, &proxy, &verify);
    assert_eq!(code, Some(7), "{text}");
    assert!(!text.contains("Make a new backup"), "{text}");
    assert_eq!(level(&host), 3, "{text}");

    let newest = backups(&host).remove(0);
    let proxy = busy_for(&server, &format!("{newest}/manifest.json")).await;
    let restore = ["restore", "newest", "--plan-only"];
    let (code, text) = through(&host, &server, &proxy, &restore);
    assert_eq!(code, Some(7), "{text}");
    // One that is damaged is passed over, and named.
    let manifest = format!("backups/summit/staging/backups/{newest}/manifest.json");
    rot(&server.file(&manifest));
    let text = host.ok(&restore);
    assert!(text.contains("cannot be relied on"), "{text}");
    assert!(text.contains(&newest), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rot_in_a_bucket_is_healed_by_the_next_backup_and_the_next_copy() {
    let redis = Redis::start(&Options::scratch()).await;
    let (server, host) = Bucket::Plain.set_up(Kind::Versity, &redis).await;
    server.bucket("copies").await;
    let copied = std::fs::read_to_string(host.dir.join("copied-direct.toml")).unwrap();
    host.configure(|_| copied);
    other_data(&redis, "one").await;
    host.ok(&CREATE);
    let verify = ["backup", "verify", "newest", "--level", "1", "--yes"];
    let there = [&verify[..], &["--repository", "second"]].concat();
    host.ok(&there);

    let ours = segments(&server.file("backups/summit/staging/segments"));
    rot(&ours[0]);
    host.fails(&verify, 1, &["backup create"]);
    host.ok(&CREATE);
    host.ok(&verify);
    let after = segments(&server.file("backups/summit/staging/segments"));
    assert_eq!(after.len(), ours.len() + 1, "{after:?}");

    let copy = segments(&server.file("copies/summit/segments"));
    let rotten = copy.iter().find(|f| f.file_name() == ours[0].file_name());
    rot(rotten.unwrap());
    let oldest = backups(&host).pop().unwrap();
    let mut old = there.clone();
    old[2] = &oldest;
    host.fails(&old, 1, &[]);
    // It is put right with what is whole here: a second flip of the same bit is none.
    rot(&ours[0]);
    host.ok(&["backup", "copy", "--yes"]);
    host.ok(&old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_in_a_versioned_bucket_has_again_what_a_prune_there_hid() {
    for kind in kinds() {
        has_again(kind).await;
    }
}

async fn has_again(kind: Kind) {
    let redis = Redis::start(&Options::scratch()).await;
    let (server, host) = Bucket::Plain.set_up(kind, &redis).await;
    server.bucket("copies").await;
    server.versioned("copies").await;
    let copied = std::fs::read_to_string(host.dir.join("copied-direct.toml")).unwrap();
    host.configure(|_| copied);
    other_data(&redis, "one").await;
    host.ok(&CREATE);
    other_data(&redis, "two").await;
    host.ok(&CREATE);
    let prune = ["backup", "prune", "--keep-last", "1", "--confirm", "bucket"];
    host.ok(&[&prune[..], &["--repository", "second"]].concat());
    other_data(&redis, "one").await;
    host.ok(&CREATE);
    let verify = ["backup", "verify", "newest", "--level", "2", "--yes"];
    host.ok(&[&verify[..], &["--repository", "second"]].concat());
}
