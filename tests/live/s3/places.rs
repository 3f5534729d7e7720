//! Other ways to a bucket: by a host name of its own, and on a second server with other keys in another region.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use summitctl::sandbox::servers::redis::Options;

use super::flow::{Host, said};
use super::proxy::{Fault, Proxy};
use super::server::{Kind, Server, Setup};
use crate::redis::Server as Redis;

const CREATE: [&str; 5] = ["backup", "create", "--stores", "redis", "--yes"];

/// Every object below a prefix with its bytes; without locks, and without what was verified in this place alone.
async fn objects(server: &Server, bucket: &str, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let admin = server.admin();
    let list = admin.list_objects_v2().bucket(bucket).prefix(prefix);
    let mut found = BTreeMap::new();
    for object in list.send().await.unwrap().contents() {
        let key = object.key().unwrap();
        let name = key.strip_prefix(prefix).unwrap().to_owned();
        let get = admin.get_object().bucket(bucket).key(key).send();
        let bytes = get.await.unwrap().body.collect().await.unwrap();
        found.insert(name, bytes.to_vec());
    }
    found.retain(|name, _| !name.starts_with("locks/") && !name.contains("/verified/"));
    found
}

/// Without path style the bucket is in the name of the host, as in AWS: `BUCKET.ENDPOINT`. The name is in the hosts file of the
/// command's own mount namespace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_reached_by_a_host_name_of_its_own() {
    const DOMAIN: &str = "store.test";
    let server = Server::start_as(
        Kind::Versity,
        Setup {
            domain: Some(DOMAIN),
            ..Setup::default()
        },
    )
    .await;
    server.bucket("backups").await;
    let redis = Redis::start(&Options::scratch()).await;
    let proxy = Proxy::start(server.port, Fault::None).await;
    let named = format!("http://{DOMAIN}:{}", proxy.port);
    let host = Host::new(&redis, &named, &named);
    host.configure(|text| text + "path-style = false\n");
    std::fs::write(
        host.dir.join("hosts"),
        format!("127.0.0.1 localhost\n127.0.0.1 backups.{DOMAIN}\n"),
    )
    .unwrap();
    // Without root's rights a user namespace lends them.
    let root = rustix::process::geteuid().is_root();
    let outer = if root { "--mount" } else { "-rm" };
    let script = r#"mount --bind hosts /etc/hosts; exec "$0" "$@""#;
    let ok = |args: &[&str]| {
        let inner = host.command(args);
        let mut command = Command::new("unshare");
        command.args([outer, "sh", "-euc", script]);
        command.arg(inner.get_program()).args(inner.get_args());
        command
            .envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))))
            .current_dir(&host.dir)
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
    };
    ok(&["evidence", "keygen", "key.pem"]);
    ok(&["backup", "init", "--new-secret", "--yes"]);
    ok(&CREATE);
    ok(&["backup", "verify", "newest", "--level", "1", "--yes"]);
    let heads = proxy.heads.lock().unwrap().clone();
    let name = format!("\r\nhost: backups.{DOMAIN}:{}", proxy.port);
    assert!(heads.len() > 20, "{heads:#?}");
    for head in heads {
        assert!(head.contains(&name), "{head}");
        let path = head.split(' ').nth(1).unwrap();
        assert!(
            path.starts_with("/summit/staging/") || path.starts_with("/?"),
            "{head}"
        );
    }
    let there = objects(&server, "backups", "summit/staging/").await;
    assert!(there.contains_key("repository.json"), "{:?}", there.keys());
}

/// Each place has a server, keys and a region of its own; what is copied is the same there, byte for byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_lies_on_a_second_server_with_other_keys_in_another_region() {
    const OTHER: &str = "canary-other-secret-41d0";
    let first = Server::start(Kind::Versity).await;
    first.bucket("backups").await;
    let second = Server::start_as(
        Kind::Versity,
        Setup {
            key: "other-key",
            secret: OTHER,
            region: "eu-west-9",
            ..Setup::default()
        },
    )
    .await;
    second.bucket("copies").await;
    let redis = Redis::start(&Options::scratch()).await;
    let host = Host::new(&redis, &first.endpoint(), &first.endpoint());
    let copied = |region: &str| {
        format!(
            "\n[[contexts.bucket.repository.copies]]\nname = \"second\"\nurl = \"s3://copies/summit\"\n\n\
             [contexts.bucket.repository.copies.s3]\nendpoint = \"{}\"\nregion = \"{region}\"\n\
             access-key-id = \"other-key\"\nsecret-access-key = \"file:other-secret\"\n",
            second.endpoint()
        )
    };
    let path = host.dir.join("other-secret");
    std::fs::write(&path, OTHER).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, private).unwrap();
    host.ok(&["evidence", "keygen", "key.pem"]);
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    host.ok(&CREATE);
    host.configure(|text| text + &copied("eu-north-7"));
    // Signed for another region, the store says which one is right.
    host.fails(&["backup", "copy", "--yes"], 2, &["eu-west-9"]);
    host.configure(|text| text.replace("eu-north-7", "eu-west-9"));
    host.ok(&["backup", "copy", "--yes"]);
    let ours = objects(&first, "backups", "summit/staging/").await;
    let theirs = objects(&second, "copies", "summit/").await;
    assert!(ours.keys().any(|name| name.starts_with("segments/")));
    assert!(
        ours == theirs,
        "{:?}\n{:?}",
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    // And the other way: it serves when the first server is gone.
    drop(first);
    let verify = ["backup", "verify", "newest", "--level", "2", "--yes"];
    host.ok(&[&verify[..], &["--repository", "second"]].concat());
}
