//! How a snapshot is got, and what it leaves behind: in every framing, without waiting, with every setting as it was, and
//! with a name for whatever cuts it off.

use std::collections::BTreeMap;

use redis::Value;
use summitctl::capture::{Captured, Consistency, MemoryParts};
use summitctl::error::Error;
use summitctl::providers::redis::{Replace, RestoreOptions, capture, restore};
use summitctl::wait::{Look, poll};

use super::data::{client, fill, run};
use super::round_trip::options;
use super::*;

/// As Redis ships: a snapshot waits five seconds for more replicas.
fn stock(more: &[(&str, &str)]) -> Options {
    let mut settings = vec![("repl-diskless-sync-delay".to_owned(), "5".to_owned())];
    for (name, value) in more {
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    Options {
        settings,
        ..Options::scratch()
    }
}

/// Every setting of the server.
fn settings(server: &Server) -> BTreeMap<String, String> {
    let mut conn = client(server);
    redis::cmd("CONFIG")
        .arg("GET")
        .arg("*")
        .query(&mut conn)
        .expect("lists")
}

async fn taken(target: &Target) -> Result<Captured, Error> {
    capture(target, &MemoryParts::default(), &options()).await
}

fn number(server: &Server, line: &str) -> Option<u64> {
    let info: String = redis::cmd("INFO")
        .query(&mut client(server))
        .expect("tells");
    let value = info
        .lines()
        .find_map(|l| l.strip_prefix(&format!("{line}:")))?;
    value.trim().parse().ok()
}

async fn until(what: &str, look: impl Fn() -> bool) {
    poll(what, soon(), Duration::from_millis(5), async || {
        Ok(match look() {
            true => Look::Ready(()),
            false => Look::NotYet("not yet".to_owned()),
        })
    })
    .await
    .expect(what);
}

#[tokio::test]
async fn a_snapshot_waits_for_nobody_and_leaves_every_setting_as_it_was() {
    for (name, disk) in [
        ("", "yes"),
        ("", "no"),
        ("redis-6.2", "no"),
        ("valkey-8.1", "yes"),
        ("redis-8.0", "no"),
        ("redis-8.6", "yes"),
    ] {
        // Whoever waited for a replication as it is by default would wait for so long.
        let delay = ("repl-diskless-sync-delay", "30");
        let options = stock(&[("repl-diskless-sync", disk), delay]);
        let server = match name {
            "" => Server::start(&options).await,
            name => Server::of(name, options).await,
        };
        let mut conn = client(&server);
        run(&mut conn, &["SET", "key", &"value".repeat(1_000)]);
        let before = settings(&server);
        assert_eq!(before["repl-diskless-sync"], disk);
        // The second one comes while the child of the first still counts.
        for _ in 0..2 {
            let began = std::time::Instant::now();
            let captured = taken(&server.target()).await.expect("captures");
            let took = began.elapsed();
            assert!(took < Duration::from_secs(20), "{name}: {took:?}");
            assert_eq!(captured.method, "PSYNC");
        }
        assert_eq!(settings(&server), before, "{name}");
        // Nothing was written to the server's disk, and nobody listens any more.
        assert!(!server.running.dir.join("data/dump.rdb").exists(), "{name}");
        assert_eq!(number(&server, "connected_slaves"), Some(0), "{name}");
    }
}

/// A server whose snapshot takes long enough to be disturbed.
async fn slow(options: Options, name: &str) -> Server {
    let server = match name {
        "" => Server::start(&options).await,
        name => Server::of(name, options).await,
    };
    let mut conn = client(&server);
    let value = "z".repeat(50_000);
    for n in 0..600 {
        run(&mut conn, &["SET", &format!("key-{n}"), &value]);
    }
    run(&mut conn, &["CONFIG", "SET", "rdb-key-save-delay", "10000"]);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_snapshot_every_setting_is_as_it_was() {
    let server = slow(stock(&[("repl-diskless-sync", "no")]), "").await;
    let before = settings(&server);
    let target = server.target();
    let capturing = tokio::spawn(async move { taken(&target).await.map(|_| ()) });
    until("the snapshot", || {
        number(&server, "rdb_bgsave_in_progress") == Some(1)
    })
    .await;
    // While it runs, too: they are put back in the turn in which the server forks.
    assert_eq!(settings(&server), before);
    capturing.abort();
    let _ = capturing.await;
    until("the end of the snapshot", || {
        number(&server, "rdb_bgsave_in_progress") == Some(0)
    })
    .await;
    assert_eq!(settings(&server), before);
    assert_eq!(number(&server, "connected_slaves"), Some(0));
}

/// A user who may replicate and read, and change no setting.
fn without_config(server: &Server) -> Target {
    let words = [
        "ACL",
        "SETUSER",
        "plain",
        "on",
        ">canary-plain-19",
        "~*",
        "+@all",
        "-config",
    ];
    run(&mut client(server), &words);
    Target {
        user: Some("plain".into()),
        password: Some(Secret::new("canary-plain-19")),
        ..server.target()
    }
}

#[tokio::test]
async fn every_framing_is_understood_where_no_setting_may_be_changed() {
    // Streamed after a while, in which the server sends bare newlines; and through a file of announced length.
    let file = [("repl-diskless-sync", "no")];
    for (more, least) in [(&[][..], 4), (&file[..], 0)] {
        let server = Server::start(&stock(more)).await;
        fill(&server);
        // Compressed, they are cut by what they become.
        let mut conn = client(&server);
        for (key, length) in [("long:zeros", 3_000_000), ("long:mixed", 2_500_000)] {
            let text: Vec<u8> = match key {
                "long:zeros" => vec![b'0'; length],
                _ => (0..length).map(|n| (n * n / 7_919) as u8 & 7).collect(),
            };
            let _: () = redis::cmd("SET")
                .arg(key)
                .arg(text)
                .query(&mut conn)
                .expect("sets");
        }
        let target = without_config(&server);
        let began = std::time::Instant::now();
        let captured = taken(&target).await.expect("captures");
        assert_eq!(captured.method, "PSYNC");
        assert_eq!(captured.consistency, Consistency::PointInTime);
        assert!(began.elapsed() >= Duration::from_secs(least));
        let by_admin = taken(&server.target()).await.expect("captures");
        let sums = |c: &Captured| -> Vec<_> { c.parts.iter().map(|p| p.fingerprint).collect() };
        assert_eq!(sums(&captured), sums(&by_admin));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_of_somebody_else_is_waited_for() {
    let server = slow(stock(&[]), "").await;
    let mut conn = client(&server);
    run(&mut conn, &["CONFIG", "SET", "rdb-key-save-delay", "2000"]);
    run(&mut conn, &["BGSAVE"]);
    let captured = taken(&server.target()).await.expect("captures");
    assert_eq!(captured.method, "PSYNC");
    assert_eq!(captured.parts[0].meta["keys"], 600);
}

/// Writes until told otherwise, much and in vain.
fn noise(server: &Server) -> (std::sync::mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut conn = client(server);
    let value = "n".repeat(100_000);
    let writer = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let _: () = redis::cmd("SET")
                .arg("noise")
                .arg(&value)
                .query(&mut conn)
                .expect("writes");
        }
    });
    (stop, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_output_buffer_does_not_concern_a_snapshot_and_is_named_in_a_scan() {
    for name in ["", "redis-6.2", "redis-8.0"] {
        let server = slow(stock(&[]), name).await;
        let mut conn = client(&server);
        let limit = "client-output-buffer-limit";
        run(
            &mut conn,
            &["CONFIG", "SET", limit, "slave 1048576 1048576 1"],
        );
        run(&mut conn, &["CONFIG", "SET", "rdb-key-save-delay", "5000"]);
        let (stop, writer) = noise(&server);
        // The server keeps nothing of what is written meanwhile for who wants the snapshot only.
        let seen = taken(&server.target()).await;
        drop(stop);
        writer.join().expect("ends");
        assert_eq!(seen.expect("captures").method, "PSYNC");

        run(&mut conn, &["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        let large = (0..8_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
        let mut set = redis::cmd("SET");
        set.arg("large").arg(large.collect::<Vec<u8>>());
        let _: () = set.query(&mut conn).expect("sets");
        run(
            &mut conn,
            &["CONFIG", "SET", limit, "normal 1048576 1048576 1"],
        );
        let words = [
            "ACL",
            "SETUSER",
            "reader",
            "on",
            ">canary-reader-3",
            "~*",
            "+@all",
            "-psync",
        ];
        run(&mut conn, &words);
        let reader = Target {
            user: Some("reader".into()),
            password: Some(Secret::new("canary-reader-3")),
            ..server.target()
        };
        let error = taken(&reader).await.expect_err("is cut off");
        assert_eq!(error.reason().code, "redis.output-buffer", "{error:?}");
        assert!(error.to_string().contains("normal 1048576"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_or_has_lost_its_primary_is_not_ready() {
    let loading = Server::start(&Options {
        settings: vec![("enable-debug-command".into(), "yes".into())],
        ..Options::scratch()
    })
    .await;
    let mut conn = client(&loading);
    for n in 0..3_000 {
        run(&mut conn, &["SET", &format!("key-{n}"), &"v".repeat(1_000)]);
    }
    run(&mut conn, &["CONFIG", "SET", "key-load-delay", "10000"]);
    run(
        &mut conn,
        &[
            "CONFIG",
            "SET",
            "loading-process-events-interval-bytes",
            "1024",
        ],
    );
    let mut reloading = client(&loading);
    let reload = std::thread::spawn(move || run(&mut reloading, &["DEBUG", "RELOAD"]));
    let probe = std::cell::RefCell::new(conn);
    until("the loading", || {
        redis::cmd("PING")
            .query::<String>(&mut *probe.borrow_mut())
            .is_err()
    })
    .await;
    let error = taken(&loading.target()).await.expect_err("is not ready");
    assert_eq!(error.reason().code, "redis.loading", "{error:?}");
    let nothing = MemoryParts::default();
    let way = RestoreOptions {
        common: options(),
        replace: Replace::Refuse,
        token: "t".into(),
    };
    let error = restore(&loading.target(), &nothing, &way)
        .await
        .expect_err("is not ready");
    assert_eq!(error.reason().code, "redis.loading", "{error:?}");
    run(
        &mut probe.into_inner(),
        &["CONFIG", "SET", "key-load-delay", "0"],
    );
    assert_eq!(reload.join().expect("ends"), Value::Okay);

    for (stale, word) in [("yes", "NOMASTERLINK"), ("no", "MASTERDOWN")] {
        let orphan = Server::scratch().await;
        let mut conn = client(&orphan);
        run(
            &mut conn,
            &["CONFIG", "SET", "replica-serve-stale-data", stale],
        );
        run(&mut conn, &["REPLICAOF", "127.0.0.1", "1"]);
        let error = taken(&orphan.target()).await.expect_err("is not ready");
        assert_eq!(error.reason().code, "redis.loading", "{error:?}");
        assert!(format!("{error:?}").contains(word), "{error:?}");
    }
}

#[tokio::test]
async fn how_keys_were_used_comes_back_by_snapshot_and_by_scan() {
    for (policy, question) in [("allkeys-lfu", "FREQ"), ("volatile-lru", "IDLETIME")] {
        let evicting = stock(&[
            ("maxmemory", "1gb"),
            ("maxmemory-policy", policy),
            ("lfu-decay-time", "0"),
        ]);
        let from = Server::start(&evicting).await;
        let mut conn = client(&from);
        run(&mut conn, &["SET", "used", "x"]);
        let dump: Vec<u8> = redis::cmd("DUMP")
            .arg("used")
            .query(&mut conn)
            .expect("dumps");
        let (word, set) = if question == "FREQ" {
            ("FREQ", 77)
        } else {
            ("IDLETIME", 5_000)
        };
        let mut restoring = redis::cmd("RESTORE");
        restoring
            .arg("used")
            .arg(0)
            .arg(&dump)
            .arg("REPLACE")
            .arg(word)
            .arg(set);
        let began = std::time::Instant::now();
        let _: () = restoring.query(&mut conn).expect("sets");
        run(
            &mut conn,
            &[
                "ACL",
                "SETUSER",
                "reader",
                "on",
                ">canary-reader-3",
                "~*",
                "+@all",
                "-psync",
            ],
        );
        let reader = Target {
            user: Some("reader".into()),
            password: Some(Secret::new("canary-reader-3")),
            ..from.target()
        };
        for (target, method) in [(from.target(), "PSYNC"), (reader, "SCAN")] {
            let parts = MemoryParts::default();
            let captured = capture(&target, &parts, &options())
                .await
                .expect("captures");
            assert_eq!(captured.method, method);
            let to = Server::start(&evicting).await;
            let way = RestoreOptions {
                common: options(),
                replace: Replace::Refuse,
                token: "t".into(),
            };
            restore(&to.target(), &parts, &way).await.expect("restores");
            // The measuring by replication does not count as a use; seconds pass.
            let passed = i64::try_from(began.elapsed().as_secs()).expect("a few") + 2;
            let Value::Int(seen) = run(&mut client(&to), &["OBJECT", question, "used"]) else {
                panic!("no number")
            };
            assert!(
                (set..=set + passed).contains(&seen),
                "{policy} {method}: {seen}"
            );
        }
    }
}
