//! The real program on a bucket: made, backed up to, killed in the middle of an upload, resumed, verified, restored.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use summitctl::sandbox::servers::redis::Options;

use super::proxy::{Fault, Proxy};
use super::server::{KEY, Kind, SECRET, Server, folder, kinds};
use crate::redis::Server as Redis;

pub struct Host {
    pub dir: PathBuf,
}

impl Host {
    pub fn new(redis: &Redis, endpoint: &str, direct: &str) -> Host {
        let dir = folder("host");
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        let identity = age::x25519::Identity::generate();
        let text = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
        write("operator.age", &text);
        write("redis", redis.running.password.expose());
        write("bucket-secret", SECRET);
        let mut texts = Vec::new();
        for (file, endpoint) in [("direct.toml", direct), ("slow.toml", endpoint)] {
            texts.push((
                file,
                format!(
                    "version = 1\n\n[contexts.bucket]\ntier = \"staging\"\n\n\
                     [contexts.bucket.redis]\nhost = \"127.0.0.1\"\nport = {}\npassword = \"file:redis\"\n\n\
                     [contexts.bucket.repository]\nurl = \"s3://backups/summit/staging\"\nsecret = \"file:keys/secret\"\n\
                     recipients = [\"{}\"]\nidentity = \"file:operator.age\"\nsigning-key = \"file:key.pem\"\n\n\
                     [contexts.bucket.repository.s3]\nendpoint = \"{endpoint}\"\naccess-key-id = \"{KEY}\"\n\
                     secret-access-key = \"file:bucket-secret\"\n",
                    redis.running.port,
                    identity.to_public(),
                ),
                endpoint,
            ));
        }
        for (file, text, endpoint) in texts {
            write(file, &text);
            let copy = format!(
                "\n[[contexts.bucket.repository.copies]]\nname = \"second\"\nurl = \"s3://copies/summit\"\n\n\
                 [contexts.bucket.repository.copies.s3]\nendpoint = \"{endpoint}\"\naccess-key-id = \"{KEY}\"\n\
                 secret-access-key = \"file:bucket-secret\"\n"
            );
            write(&format!("copied-{file}"), &format!("{text}{copy}"));
            // The first repository is lost.
            let lost = text.replace("summit/staging", "summit/nothing");
            write(&format!("lost-{file}"), &format!("{lost}{copy}"));
        }
        Host { dir }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_summitctl"));
        command
            .args(args)
            .env("SUMMITCTL_STATE_DIR", self.dir.join("state"))
            .env("SUMMITCTL_CONFIG", self.dir.join("direct.toml"))
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    /// Edits the configuration.
    pub fn configure(&self, edit: impl FnOnce(String) -> String) {
        let path = self.dir.join("direct.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, edit(text)).unwrap();
    }

    pub fn call(&self, args: &[&str]) -> (Output, String) {
        let output = self.command(args).output().unwrap();
        let text = said(&output);
        assert!(!text.contains(SECRET), "{args:?} shows the secret key");
        (output, text)
    }

    pub fn ok(&self, args: &[&str]) -> String {
        let (output, text) = self.call(args);
        assert!(output.status.success(), "{args:?}: {text}");
        text
    }

    pub fn fails(&self, args: &[&str], code: i32, words: &[&str]) {
        let (output, text) = self.call(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{args:?}: no {word:?} in {text}");
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The check of this id, wherever the document has it.
pub fn check<'a>(document: &'a serde_json::Value, id: &str) -> Option<&'a serde_json::Value> {
    match document {
        serde_json::Value::Object(fields) if fields.get("id").is_some_and(|i| i == id) => {
            Some(document)
        }
        serde_json::Value::Object(fields) => fields.values().find_map(|v| check(v, id)),
        serde_json::Value::Array(all) => all.iter().find_map(|v| check(v, id)),
        _ => None,
    }
}

/// No file below the folder holds the secret key, but for the one that it was put into.
fn holds_no_secret(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            holds_no_secret(&entry.path());
        } else if entry.file_name() != "bucket-secret" {
            let bytes = std::fs::read(entry.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(SECRET), "{}", entry.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_in_a_bucket_from_its_making_to_a_restore() {
    for kind in kinds() {
        from_its_making_to_a_restore(&Server::start(kind).await).await;
    }
}

/// The names of the segments in the bucket.
async fn segments(server: &Server) -> Vec<String> {
    let listed = server.admin().list_objects_v2().bucket("backups").send();
    let listed = listed.await.unwrap();
    let keys = listed.contents().iter().filter_map(|o| o.key());
    let segments = keys.filter(|key| key.contains("/segments/"));
    segments
        .map(|key| key.rsplit('/').next().unwrap().to_owned())
        .collect()
}

async fn from_its_making_to_a_restore(server: &Server) {
    let redis = Redis::start(&Options::scratch()).await;
    let proxy = Proxy::start(server.port, Fault::Slow(Duration::from_millis(50))).await;
    let host = Host::new(&redis, &proxy.endpoint(), &server.endpoint());
    let client = redis::Client::open(format!(
        "redis://:{}@127.0.0.1:{}/0",
        redis.running.password.expose(),
        redis.running.port
    ))
    .unwrap();
    let mut session = client
        .get_multiplexed_async_connection_with_config(&crate::program::patient())
        .await
        .unwrap();
    let mut bytes = vec![0; 1 << 20];
    for n in 0..12 {
        getrandom::fill(&mut bytes).unwrap();
        let mut set = redis::cmd("SET");
        set.arg(format!("key:{n}")).arg(&bytes);
        set.query_async::<()>(&mut session).await.unwrap();
    }

    host.ok(&["evidence", "keygen", "key.pem"]);
    let yes = ["--yes"];
    host.fails(
        &["backup", "init", "--yes"],
        2,
        &["repository secret is missing"],
    );
    let init = ["backup", "init", "--new-secret", "--yes"];
    host.fails(
        &init,
        7,
        &["there is no bucket `backups`", "aws s3 mb s3://backups"],
    );
    server.bucket("backups").await;
    host.fails(
        &["backup", "list"],
        2,
        &[
            "s3://backups/summit/staging",
            "holds no backup repository",
            "summitctl backup init",
        ],
    );
    let text = host.ok(&init);
    assert!(text.contains("in s3://backups/summit/staging"), "{text}");
    host.ok(&init);

    // Killed in the middle of the upload, on a link that makes it last; then resumed.
    let create = ["backup", "create", "--stores", "redis"];
    let mut child = host
        .command(&[&create[..], &yes].concat())
        .env("SUMMITCTL_CONFIG", host.dir.join("slow.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    while segments(server).await.len() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
        assert!(Instant::now() < deadline, "nothing is uploaded");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        host.ok(&["backup", "list"]).contains("No backups"),
        "half a backup is none"
    );
    // What lies there already is not sent again.
    let stored = segments(server).await;
    let before = proxy.heads.lock().unwrap().len();
    let mut resume = host.command(&["run", "resume"]);
    let output = resume
        .env("SUMMITCTL_CONFIG", host.dir.join("slow.toml"))
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let heads = proxy.heads.lock().unwrap()[before..].to_vec();
    let sends = |name: &str| {
        heads
            .iter()
            .any(|h| h.starts_with("put ") && h.contains(name))
    };
    let again: Vec<_> = stored.iter().filter(|name| sends(name)).collect();
    assert!(again.is_empty(), "sent again: {again:?}");
    let new = segments(server).await;
    assert!(
        new.iter()
            .filter(|name| !stored.contains(name))
            .all(|name| sends(name))
    );
    let listed = host.ok(&["backup", "list"]);
    assert!(listed.contains("redis"), "{listed}");
    // The endpoint may come from where AWS's own tools take it.
    let config = std::fs::read_to_string(host.dir.join("direct.toml")).unwrap();
    let lines = config.lines().filter(|line| !line.starts_with("endpoint"));
    let without = lines.collect::<Vec<_>>().join("\n");
    std::fs::write(host.dir.join("plain.toml"), without).unwrap();
    let mut list = host.command(&["backup", "list"]);
    list.env("SUMMITCTL_CONFIG", host.dir.join("plain.toml"));
    let output = list
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .output()
        .unwrap();
    assert!(said(&output).contains("redis"), "{}", said(&output));
    let pending = server
        .admin()
        .list_multipart_uploads()
        .bucket("backups")
        .send()
        .await
        .unwrap();
    assert!(pending.uploads().len() <= 2, "{:?}", pending.uploads());

    host.ok(&["backup", "show", "newest"]);
    host.ok(&["backup", "verify", "newest", "--level", "2", "--yes"]);
    let (_, doctor) = host.call(&["doctor"]);
    for word in ["bucket keeps", "lifecycle", "s3://backups/summit/staging"] {
        assert!(doctor.contains(word), "{word}: {doctor}");
    }
    host.ok(&["status"]);
    // A rule that would delete backups is no-go, where the store knows such rules; where it does not, the gate says so.
    let knows = server.expire("backups").await;
    let (output, _) = host.call(&["gate", "run", "--output", "json"]);
    let gate: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rule = check(&gate, "bucket.lifecycle").unwrap_or_else(|| panic!("{gate:#}"));
    let expected = if knows {
        ("failed", "required")
    } else {
        ("not-evaluated", "advisory")
    };
    assert_eq!(
        (
            rule["outcome"].as_str().unwrap(),
            rule["severity"].as_str().unwrap()
        ),
        expected
    );
    server.expire_nothing("backups").await;
    // A clock that is years behind: the store refuses, and is asked again by its own clock.
    for words in [
        &["backup", "list"][..],
        &["backup", "verify", "newest", "--level", "1", "--yes"],
    ] {
        let mut behind = host.command(words);
        let output = behind
            .env("SUMMITCTL_TEST_CLOCK", "2020-02-03T04:05:06Z")
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
    // The second backup stores nothing that is there.
    let before = proxy.bytes_up.load(Ordering::SeqCst);
    let mut second = host.command(&[&create[..], &yes].concat());
    let output = second
        .env("SUMMITCTL_CONFIG", host.dir.join("slow.toml"))
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let sent = proxy.bytes_up.load(Ordering::SeqCst) - before;
    assert!(
        sent < 1 << 20,
        "{sent} bytes for what is there: {}",
        said(&output)
    );
    redis::cmd("FLUSHALL")
        .query_async::<()>(&mut session)
        .await
        .unwrap();
    host.ok(&["context", "pin", "--replace", "--confirm", "bucket"]);
    host.ok(&["restore", "newest", "--confirm", "bucket"]);
    let keys: u64 = redis::cmd("DBSIZE")
        .query_async(&mut session)
        .await
        .unwrap();
    assert!(keys >= 12, "{keys}");
    host.ok(&["backup", "diff", "newest"]);

    // A copy that cannot be reached keeps no backup from counting, and is behind afterwards.
    let lame = std::fs::read_to_string(host.dir.join("copied-direct.toml")).unwrap();
    let (first, copy) = lame.split_once("[[").unwrap();
    let closed = copy.replace(&server.endpoint(), "http://127.0.0.1:1");
    std::fs::write(host.dir.join("lame.toml"), format!("{first}[[{closed}")).unwrap();
    let backups = || host.ok(&["backup", "list"]).matches("redis").count();
    let there = backups();
    let mut lame = host.command(&[&create[..], &yes].concat());
    let output = lame
        .env("SUMMITCTL_CONFIG", host.dir.join("lame.toml"))
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("second"), "{}", said(&output));
    assert_eq!(backups(), there + 1);
    host.ok(&["backup", "verify", "newest", "--level", "1", "--yes"]);

    // A copy in another bucket, killed in the middle and gone on with; then it is all that there is.
    server.bucket("copies").await;
    let with = |file: &str, args: &[&str]| {
        let mut command = host.command(args);
        let output = command
            .env("SUMMITCTL_CONFIG", host.dir.join(file))
            .output();
        let output = output.unwrap();
        let text = said(&output);
        assert!(!text.contains(SECRET), "{args:?} shows the secret key");
        (output.status.code(), text)
    };
    let before = proxy.bytes_up.load(Ordering::SeqCst);
    let mut child = host
        .command(&["backup", "copy", "--yes"])
        .env("SUMMITCTL_CONFIG", host.dir.join("copied-slow.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    while proxy.bytes_up.load(Ordering::SeqCst) < before + (4 << 20) {
        assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
        assert!(Instant::now() < deadline, "nothing is copied");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let copied = "copied-direct.toml";
    let (_, text) = with(copied, &["status"]);
    assert!(text.contains("behind, since"), "{text}");
    let (code, text) = with(copied, &["run", "resume"]);
    assert_eq!(code, Some(0), "{text}");
    let (_, text) = with(copied, &["status"]);
    assert!(text.contains("nothing behind"), "{text}");
    redis::cmd("FLUSHALL")
        .query_async::<()>(&mut session)
        .await
        .unwrap();
    let lost = "lost-direct.toml";
    let (code, text) = with(lost, &["backup", "list"]);
    assert_eq!(code, Some(2), "{text}");
    let here = ["--repository", "second"];
    let pin = ["context", "pin", "--replace", "--confirm", "bucket"];
    assert_eq!(with(lost, &pin).0, Some(0));
    let restore = ["restore", "newest", "--confirm", "bucket"];
    let (code, text) = with(lost, &[&restore[..], &here].concat());
    assert_eq!(code, Some(0), "{text}");
    let keys: u64 = redis::cmd("DBSIZE")
        .query_async(&mut session)
        .await
        .unwrap();
    assert!(keys >= 12, "{keys}");
    // Damage there is found there.
    server.flip("copies", "summit/segments/").await;
    let listed = with(lost, &[&["backup", "list", "-ojson"][..], &here].concat()).1;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let outcomes: Vec<Option<i32>> = listed["result"]["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| {
            let id = b["backup"].as_str().unwrap();
            let verify = ["backup", "verify", id, "--level", "1", "--yes"];
            with(lost, &[&verify[..], &here].concat()).0
        })
        .collect();
    assert!(outcomes.iter().any(|code| *code != Some(0)), "{outcomes:?}");
    holds_no_secret(&host.dir);
}

/// A segment that a new backup finds again is kept for as long as the new one, and so is all that opens it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_used_again_is_locked_for_longer() {
    for kind in kinds() {
        locked_for_longer(kind).await;
    }
}

async fn locked_for_longer(kind: Kind) {
    let server = Server::start(kind).await;
    server.locking("backups").await;
    let redis = Redis::start(&Options::scratch()).await;
    let host = Host::new(&redis, &server.endpoint(), &server.endpoint());
    let plain = std::fs::read_to_string(host.dir.join("direct.toml")).unwrap();
    let locked_for = |days: u32| {
        let lock = format!("{plain}object-lock = \"governance\"\nretain-for = \"{days}d\"\n");
        std::fs::write(host.dir.join("direct.toml"), lock).unwrap();
    };
    locked_for(2);
    host.ok(&["evidence", "keygen", "key.pem"]);
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    let create = ["backup", "create", "--stores", "redis", "--yes"];
    host.ok(&create);
    let until = async || {
        let listed = server.admin().list_objects_v2().bucket("backups").send();
        let mut found = std::collections::BTreeMap::new();
        for object in listed.await.unwrap().contents() {
            let key = object.key().unwrap();
            let head = server.admin().head_object().bucket("backups").key(key);
            let head = head.send().await.unwrap();
            let until = head.object_lock_retain_until_date().map(|at| at.secs());
            found.insert(key.to_owned(), until);
        }
        found
    };
    let first = until().await;
    locked_for(9);
    host.ok(&create);
    let second = until().await;
    let used = |key: &&String| {
        ["/segments/", "/keys/", "/repository.json"]
            .iter()
            .any(|p| key.contains(p))
    };
    let used: Vec<_> = first.keys().filter(used).collect();
    assert!(used.len() >= 3, "{first:#?}");
    for key in used {
        let (before, after) = (first[key].unwrap(), second[key].unwrap());
        assert!(after >= before + 6 * 86_400, "{key}: {before} {after}");
    }
}
