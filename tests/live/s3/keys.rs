//! Who reads, in a bucket: the key files change, and no segment does.

use std::collections::BTreeMap;

use summitctl::sandbox::servers::redis::Options;

use super::flow::Host;
use super::pruned::{Bucket, CREATE, backups, flat, objects, other_data};
use super::server::{Kind, Server, kinds};
use crate::redis::Server as Redis;

/// A new identity in a file beside the configuration; its recipient.
pub fn person(host: &Host, file: &str) -> String {
    use age::secrecy::ExposeSecret as _;
    let identity = age::x25519::Identity::generate();
    let path = host.dir.join(file);
    std::fs::write(&path, identity.to_string().expose_secret()).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, private).unwrap();
    identity.to_public().to_string()
}

/// Lets this identity be the one that reads.
pub fn identify(host: &Host, file: &str) {
    host.configure(|text| {
        let lines = text
            .lines()
            .map(|line| match line.starts_with("identity = ") {
                true => format!("identity = \"file:{file}\"\n"),
                false => format!("{line}\n"),
            });
        lines.collect()
    });
}

/// The name of the one operator that there is.
pub fn operator(host: &Host) -> String {
    let (output, text) = host.call(&["keys", "list", "--output", "json"]);
    assert!(output.status.success(), "{text}");
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let operators = listed["result"]["operators"].as_array().unwrap();
    assert_eq!(operators.len(), 1, "{listed}");
    operators[0]["name"].as_str().unwrap().to_owned()
}

/// The names of what was there before and is another object now.
async fn changed(server: &Server, before: &BTreeMap<String, String>) -> Vec<String> {
    let now = objects(server).await;
    let changed = before
        .iter()
        .filter(|(name, etag)| now.get(*name) != Some(*etag));
    changed.map(|(name, _)| name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_in_a_bucket_and_no_segment_does() {
    for kind in kinds() {
        for bucket in Bucket::ALL {
            println!("{kind:?} {bucket:?}");
            change(kind, bucket).await;
        }
    }
}

async fn change(kind: Kind, bucket: Bucket) {
    let redis = Redis::start(&Options::scratch()).await;
    let (server, host) = bucket.set_up(kind, &redis).await;
    other_data(&redis, "the first").await;
    host.ok(&CREATE);
    let first = backups(&host).remove(0);
    let eve = person(&host, "eve.age");
    let reads = |file: &str, id: &str, code: i32| {
        identify(&host, file);
        let (output, text) = host.call(&["backup", "verify", id, "--level", "2", "--yes"]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{bucket:?} {file}: {text}"
        );
        if code != 0 {
            assert!(text.contains("identit"), "{bucket:?} {file}: {text}");
            host.ok(&["run", "abort"]);
        }
    };

    // A rotation replaces the key file, and says so in the list of epochs; nothing else is touched.
    let before = objects(&server).await;
    host.ok(&["keys", "rotate", &operator(&host), &eve, "--yes"]);
    let replaced = changed(&server, &before).await;
    assert_eq!(replaced, ["keys/1.age", "repository.json"], "{bucket:?}");
    reads("operator.age", &first, 2);
    reads("eve.age", &first, 0);

    // A new epoch has keys of its own beside the old, and shares no segment with it, though the data are the same.
    let before = objects(&server).await;
    host.ok(&[
        "keys",
        "new-epoch",
        "--secret-file",
        "new.secret",
        "--confirm",
        "bucket",
    ]);
    assert_eq!(
        changed(&server, &before).await,
        ["repository.json"],
        "{bucket:?}"
    );
    assert!(objects(&server).await.contains_key("keys/2.age"));
    host.fails(&CREATE, 2, &["secret"]);
    host.call(&["run", "abort"]);
    host.configure(|text| text.replace("file:keys/secret", "file:new.secret"));
    let old = objects(&server).await;
    host.ok(&CREATE);
    assert!(changed(&server, &old).await.is_empty(), "{bucket:?}");
    let new = objects(&server).await;
    let segments = new.keys().filter(|name| name.starts_with("segments/"));
    let added = segments.filter(|name| !old.contains_key(*name)).count();
    let second = backups(&host).remove(0);
    let shown = flat(&host.ok(&["backup", "show", &second]));
    assert!(added > 0, "{bucket:?}: {shown}");
    reads("eve.age", &first, 0);
    reads("eve.age", &second, 0);
    reads("operator.age", &second, 2);
}

/// Whoever is named when a repository is made, or when an epoch begins, opens what is new alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_operators_opens_the_newest_backup_alone() {
    let redis = Redis::start(&Options::scratch()).await;
    let server = Server::start(Kind::Versity).await;
    server.bucket("backups").await;
    let host = Host::new(&redis, &server.endpoint(), &server.endpoint());
    let escrow = person(&host, "escrow.age");
    host.configure(|text| {
        let (before, after) = text.split_once("recipients = [").unwrap();
        format!("{before}recipients = [\"{escrow}\", {after}")
    });
    host.ok(&["evidence", "keygen", "key.pem"]);
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    let each_alone = || {
        for file in ["escrow.age", "operator.age"] {
            identify(&host, file);
            let (_, listed) = host.call(&["keys", "list"]);
            assert!(listed.contains(&escrow), "{file}: {listed}");
            host.ok(&["backup", "verify", "newest", "--level", "2", "--yes"]);
        }
    };
    other_data(&redis, "the first").await;
    host.ok(&CREATE);
    each_alone();
    let epoch = ["keys", "new-epoch", "--secret-file", "new.secret"];
    let plan = flat(&host.ok(&[&epoch[..], &["--plan-only"]].concat()));
    assert!(plan.contains(&escrow), "{plan}");
    host.ok(&[&epoch[..], &["--confirm", "bucket"]].concat());
    host.configure(|text| text.replace("file:keys/secret", "file:new.secret"));
    host.ok(&CREATE);
    each_alone();
    // Somebody else opens nothing of either epoch.
    person(&host, "stranger.age");
    identify(&host, "stranger.age");
    for id in backups(&host) {
        host.fails(
            &["backup", "verify", &id, "--level", "2", "--yes"],
            2,
            &["identit"],
        );
        host.ok(&["run", "abort"]);
    }
}
