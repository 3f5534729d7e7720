//! A capture must not change what Sentinel knows: it is no replica.

use summitctl::capture::{FingerprintKey, MemoryParts};
use summitctl::providers::redis::{CaptureOptions, Replace, RestoreOptions, capture, restore};
use summitctl::wait::{Look, poll};

use super::data::{client, run};
use super::*;

/// A Sentinel in a folder of its own.
struct Sentinel {
    child: std::process::Child,
    dir: PathBuf,
    port: u16,
}

impl Sentinel {
    fn watching(server: &Server) -> Sentinel {
        let dir = server.running.dir.join("sentinel");
        std::fs::create_dir(&dir).expect("creates");
        let port = summitctl::sandbox::servers::free_port().expect("a port");
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {} 1\nsentinel auth-pass main {}\n",
            dir.display(),
            server.running.port,
            server.running.password.expose()
        );
        let path = dir.join("sentinel.conf");
        std::fs::write(&path, config).expect("writes");
        let log = std::fs::File::create(dir.join("log")).expect("creates");
        let child = std::process::Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .stdout(log)
            .spawn()
            .expect("Sentinel starts");
        Sentinel { child, dir, port }
    }

    /// Milliseconds since it last asked the server, and how many replicas it knows.
    fn view(&self) -> Option<(u64, u64)> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).ok()?;
        let mut conn = client.get_connection().ok()?;
        let mut ask = redis::cmd("SENTINEL");
        let facts: std::collections::HashMap<String, String> =
            ask.arg("MASTER").arg("main").query(&mut conn).ok()?;
        let number = |name: &str| facts.get(name)?.parse().ok();
        Some((number("info-refresh")?, number("num-slaves")?))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[tokio::test]
async fn sentinels_say_where_the_master_is() {
    let server = Server::scratch().await;
    let mut conn = client(&server);
    run(&mut conn, &["SET", "one", "1"]);
    let sentinel = Sentinel::watching(&server);
    let nobody = 1;
    let password = server.running.password.clone();
    let of = |master: &str| {
        // The first of them is down.
        let url = format!(
            "redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{}/{master}",
            sentinel.port
        );
        Target::parse(&url, None, Some(password.clone())).expect("parses")
    };
    poll(
        "Sentinel",
        Deadline::after(Duration::from_secs(20)),
        Duration::from_millis(50),
        async || {
            Ok(match ping(&of("main"), soon()).await {
                Ok(_) => Look::Ready(()),
                Err(e) => Look::NotYet(e.to_string()),
            })
        },
    )
    .await
    .expect("finds it");
    let common = CaptureOptions::quiet(FingerprintKey::new([1; 32]));
    let parts = MemoryParts::default();
    let captured = capture(&of("main"), &parts, &common)
        .await
        .expect("captures");
    assert_eq!(
        (
            captured.method.as_str(),
            captured.parts[0].meta["keys"].clone()
        ),
        ("PSYNC", 1.into())
    );
    run(&mut conn, &["SET", "one", "2"]);
    let options = RestoreOptions {
        common,
        replace: Replace::Flush,
        token: "t".into(),
    };
    let restored = restore(&of("main"), &parts, &options)
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    let one = run(&mut conn, &["GET", "one"]);
    assert_eq!(one, redis::Value::BulkString(b"1".to_vec()));

    let error = ping(&of("mian"), soon())
        .await
        .expect_err("does not know it");
    assert_eq!(error.reason().code, "redis.no-master", "{error:?}");
    let text = error.to_string();
    for words in ["`mian`", "connection was refused", "knows no master"] {
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_does_not_take_a_capture_for_a_replica() {
    let server = Server::scratch().await;
    let mut conn = client(&server);
    let value = "y".repeat(50_000);
    for n in 0..600 {
        run(&mut conn, &["SET", &format!("key-{n}"), &value]);
    }
    run(&mut conn, &["CONFIG", "SET", "rdbcompression", "no"]);
    run(
        &mut conn,
        &["CONFIG", "SET", "rdb-key-save-delay", "100000"],
    );
    let sentinel = Sentinel::watching(&server);
    let options = CaptureOptions::quiet(FingerprintKey::new([1; 32]));
    let cancel = options.cancel.clone();
    let target = server.target();
    let capturing = tokio::spawn(async move {
        let parts = MemoryParts::default();
        capture(&target, &parts, &options).await.map(|_| ())
    });
    // Sentinel asks every ten seconds: until it has asked twice while the server lists us.
    let conn = std::sync::Mutex::new((client(&server), 0, u64::MAX));
    let look = || {
        let mut state = conn.lock().expect("one looker");
        let (conn, asked, last) = &mut *state;
        let listed = format!("{:?}", run(conn, &["INFO", "replication"])).contains("slave0:");
        let Some((age, replicas)) = sentinel.view().filter(|_| listed) else {
            return Look::NotYet("not listed, or no Sentinel yet".to_owned());
        };
        // The first figure is only where we came in.
        *asked += u32::from(age < *last);
        *last = age;
        if *asked >= 3 {
            Look::Ready(replicas)
        } else {
            Look::NotYet(format!("looked {asked} times"))
        }
    };
    let seen = poll(
        "Sentinel's second look",
        Deadline::after(Duration::from_secs(40)),
        Duration::from_millis(100),
        async || Ok(look()),
    )
    .await;
    let running = !capturing.is_finished();
    cancel.goes_on();
    cancel.raise();
    cancel.raise();
    let stopped = capturing.await.expect("joins");
    assert_eq!(seen.expect("Sentinel looks"), 0);
    assert!(running);
    assert_eq!(
        stopped.expect_err("was stopped").reason().code,
        "run.interrupted"
    );
}
