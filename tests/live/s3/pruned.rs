//! A prune in a bucket: what no rule keeps is gone, or hidden where there are versions, and what is locked stays; whatever stays is
//! said, and the repository is whole afterwards.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ObjectLockMode;
use summitctl::sandbox::servers::redis::Options;

use super::flow::Host;
use super::server::{Kind, Server, Setup, kinds};
use crate::redis::Server as Redis;

pub const CREATE: [&str; 5] = ["backup", "create", "--stores", "redis", "--yes"];
const PRUNE: [&str; 6] = ["backup", "prune", "--keep-last", "1", "--confirm", "bucket"];

/// What a bucket does with what is deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bucket {
    Plain,
    Versioned,
    /// With versions and a lock on every object.
    Locked,
}

impl Bucket {
    pub const ALL: [Bucket; 3] = [Bucket::Plain, Bucket::Versioned, Bucket::Locked];

    /// A server of this kind with the bucket, and a host whose repository it is to hold.
    pub async fn set_up(self, kind: Kind, redis: &Redis) -> (Server, Host) {
        let server = Server::start(kind).await;
        match self {
            Bucket::Locked => server.locking("backups").await,
            _ => server.bucket("backups").await,
        }
        if self == Bucket::Versioned {
            server.versioned("backups").await;
        }
        let host = Host::new(redis, &server.endpoint(), &server.endpoint());
        if self == Bucket::Locked {
            lock(&host);
        }
        host.ok(&["evidence", "keygen", "key.pem"]);
        host.ok(&["backup", "init", "--new-secret", "--yes"]);
        (server, host)
    }
}

fn lock(host: &Host) {
    host.configure(|text| text + "object-lock = \"governance\"\nretain-for = \"2d\"\n");
}

/// Puts other data in the place of what is there.
pub async fn other_data(redis: &Redis, value: &str) {
    let port = redis.running.port;
    let password = redis.running.password.expose();
    let client = redis::Client::open(format!("redis://:{password}@127.0.0.1:{port}/0")).unwrap();
    let patient = crate::program::patient();
    let session = client.get_multiplexed_async_connection_with_config(&patient);
    let mut session = session.await.unwrap();
    let mut set = redis::cmd("SET");
    set.arg("value").arg(value);
    set.query_async::<()>(&mut session).await.unwrap();
}

async fn value(redis: &Redis) -> String {
    let port = redis.running.port;
    let password = redis.running.password.expose();
    let client = redis::Client::open(format!("redis://:{password}@127.0.0.1:{port}/0")).unwrap();
    let patient = crate::program::patient();
    let session = client.get_multiplexed_async_connection_with_config(&patient);
    let mut session = session.await.unwrap();
    let mut get = redis::cmd("GET");
    get.arg("value").query_async(&mut session).await.unwrap()
}

/// The names below the repository's prefix, with their ETags; without locks.
pub async fn objects(server: &Server) -> BTreeMap<String, String> {
    let prefix = "summit/staging/";
    let list = server.admin().list_objects_v2().bucket("backups");
    let listed = list.prefix(prefix).send().await.unwrap();
    let objects = listed.contents().iter().map(|object| {
        let name = object.key().unwrap().strip_prefix(prefix).unwrap();
        (name.to_owned(), object.e_tag().unwrap().to_owned())
    });
    objects
        .filter(|(name, _)| !name.starts_with("locks/"))
        .collect()
}

/// The names of which a delete marker is the newest version, and those of which a version with bytes is kept.
async fn versions(server: &Server) -> (BTreeSet<String>, BTreeSet<String>) {
    let list = server.admin().list_object_versions().bucket("backups");
    let listed = list.prefix("summit/staging/").send().await.unwrap();
    let name = |key: Option<&str>| key.unwrap()["summit/staging/".len()..].to_owned();
    let markers = listed.delete_markers().iter();
    let markers = markers.filter(|m| m.is_latest() == Some(true));
    let kept = listed.versions().iter();
    (
        markers.map(|m| name(m.key())).collect(),
        kept.map(|v| name(v.key())).collect(),
    )
}

/// The ids of the backups, newest first.
pub fn backups(host: &Host) -> Vec<String> {
    let (output, text) = host.call(&["backup", "list", "--output", "json"]);
    assert!(output.status.success(), "{text}");
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut ids: Vec<String> = listed["result"]["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["backup"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids.reverse();
    ids
}

/// The text without the breaks that fit it to a terminal.
pub fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_takes_away_what_no_rule_keeps_and_says_what_the_bucket_keeps() {
    for kind in kinds() {
        for bucket in Bucket::ALL {
            println!("{kind:?} {bucket:?}");
            prunes(kind, bucket).await;
        }
    }
}

async fn prunes(kind: Kind, bucket: Bucket) {
    let redis = Redis::start(&Options::scratch()).await;
    let (server, host) = bucket.set_up(kind, &redis).await;
    other_data(&redis, "the first").await;
    host.ok(&CREATE);
    let first = backups(&host).remove(0);
    let before = objects(&server).await;
    other_data(&redis, "the second").await;
    host.ok(&CREATE);
    let both = objects(&server).await;
    let second = backups(&host).remove(0);
    assert_ne!(first, second);
    let marked_before = versions(&server).await.0;

    let hides = bucket != Bucket::Plain;
    let plan = flat(&host.ok(&[&PRUNE[..4], &["--dry-run"]].concat()));
    let said = "the bucket keeps what is deleted as versions";
    assert_eq!(plan.contains(said), hides, "{bucket:?}: {plan}");
    assert!(
        objects(&server).await == both,
        "a dry run changed something"
    );
    let text = flat(&host.ok(&PRUNE));
    assert!(
        text.contains("removed 1 of 2 backups; 1 are left"),
        "{bucket:?}: {text}"
    );
    let said = "are hidden by delete markers";
    assert_eq!(text.contains(said), hides, "{bucket:?}: {text}");
    assert_eq!(text.contains(", 0 B freed"), hides, "{bucket:?}: {text}");

    // Of the first backup nothing is found but the statement of its removal; of the second everything is as it was.
    let after = objects(&server).await;
    let of_first = format!("backups/{first}/");
    let gone: BTreeSet<&String> = both.keys().filter(|n| !after.contains_key(*n)).collect();
    assert!(after.keys().all(|name| !name.starts_with(&of_first)));
    assert!(after.contains_key(&format!("removed/{first}.json")));
    assert!(!after.keys().any(|name| name.starts_with("tombstones/")));
    for (name, etag) in &both {
        let ours = name.starts_with(&of_first)
            || (name.starts_with("segments/") && before.contains_key(name));
        if gone.contains(name) {
            assert!(ours, "{bucket:?}: {name} is gone");
        } else {
            assert_eq!(after.get(name), Some(etag), "{bucket:?}: {name}");
        }
    }
    let segments = gone.iter().filter(|name| name.starts_with("segments/"));
    assert!(segments.count() > 0, "{bucket:?}: {gone:?}");
    // What is hidden has a delete marker, and a version below it; nothing else is marked beside what passes.
    let (marked, kept) = versions(&server).await;
    let lasting = |name: &&String| {
        ["backups/", "segments/"]
            .iter()
            .any(|f| name.starts_with(f))
            && !name.contains("/staged/")
    };
    let marked: BTreeSet<&String> = marked.difference(&marked_before).filter(lasting).collect();
    if hides {
        assert_eq!(marked, gone, "{bucket:?}");
        assert!(gone.iter().all(|name| kept.contains(*name)), "{bucket:?}");
    } else {
        assert!(marked.is_empty(), "{marked:?}");
        assert!(gone.iter().all(|name| !kept.contains(*name)));
    }

    assert!(flat(&host.ok(&PRUNE)).contains("Nothing to remove"));
    host.fails(&["backup", "show", &first], 2, &[&first]);
    host.ok(&["backup", "verify", &second, "--level", "2", "--yes"]);
    other_data(&redis, "the third").await;
    host.ok(&["restore", &second, "--confirm", "bucket"]);
    assert_eq!(value(&redis).await, "the second", "{bucket:?}");
    // The repository goes on, under names that were deleted as well.
    other_data(&redis, "the first").await;
    host.ok(&CREATE);
    host.ok(&["backup", "verify", "newest", "--level", "2", "--yes"]);
}

/// A store without versions refuses to delete what is locked: that stays, and is said; the rest goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_store_refuses_to_delete_stays_and_is_said() {
    let server = Server::start_as(
        Kind::Versity,
        Setup {
            versions: false,
            ..Setup::default()
        },
    )
    .await;
    server.locking("backups").await;
    let redis = Redis::start(&Options::scratch()).await;
    let host = Host::new(&redis, &server.endpoint(), &server.endpoint());
    host.ok(&["evidence", "keygen", "key.pem"]);
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    other_data(&redis, "unlocked").await;
    host.ok(&CREATE);
    let unlocked = backups(&host).remove(0);
    lock(&host);
    other_data(&redis, "locked").await;
    host.ok(&CREATE);
    let locked = backups(&host).remove(0);
    other_data(&redis, "newest").await;
    host.ok(&CREATE);
    let newest = backups(&host).remove(0);
    // What a writer left that was killed, and a record of a backup that goes, under a longer lock than its manifest.
    let leftover = format!("segments/ab/{}.zst.age", "ab".repeat(32));
    let record = format!("backups/{unlocked}/verified/1-left.json");
    for name in [&leftover, &record] {
        let put = server.admin().put_object().bucket("backups");
        let put = put.key(format!("summit/staging/{name}"));
        let until = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
        put.body(ByteStream::from_static(b"left"))
            .object_lock_mode(ObjectLockMode::Governance)
            .object_lock_retain_until_date(DateTime::from(until))
            .send()
            .await
            .unwrap();
    }
    let before = objects(&server).await;

    let plan = flat(&host.ok(&[&PRUNE[..4], &["--dry-run"]].concat()));
    let stays = format!("{locked}: Object Lock keeps it until ");
    assert!(plan.contains(&stays), "{plan}");
    let text = flat(&host.ok(&PRUNE));
    for said in [
        "removed 1 of 3 backups; 2 are left",
        "2 objects stay for now: ",
        "cannot be deleted: Object Lock keeps it until ",
        "retained 1 segments, which the store refuses to delete for now",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let after = objects(&server).await;
    for name in [&leftover, &record] {
        assert!(after.contains_key(name), "{name}");
    }
    let gone: Vec<_> = before.keys().filter(|n| !after.contains_key(*n)).collect();
    assert!(
        gone.iter().any(|name| name.starts_with("segments/")),
        "{gone:?}"
    );
    let manifest = format!("backups/{unlocked}/manifest.json");
    assert!(gone.contains(&&manifest), "{gone:?}");
    assert!(!after.keys().any(|name| name.starts_with("tombstones/")));
    // The next one tries what is left again, and is stopped by nothing either.
    host.ok(&PRUNE);
    let listed = backups(&host);
    assert_eq!(listed, [newest.clone(), locked.clone()]);
    for id in [&newest, &locked] {
        host.ok(&["backup", "verify", id, "--level", "2", "--yes"]);
    }
    host.ok(&["restore", &locked, "--confirm", "bucket"]);
    assert_eq!(value(&redis).await, "locked");
}
