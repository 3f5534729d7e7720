//! Capture, change, measure: what is captured is what clients see, and what changes is found.

use redis::Value;
use summitctl::capture::{Consistency, FingerprintKey, MemoryParts, PartSource as _};
use summitctl::providers::redis::{
    CaptureOptions, Replace, RestoreOptions, capture, compare, decode, fingerprints, plant_marker,
    restore,
};
use summitctl::secret::Secret;

use super::data::{client, fill, run};
use super::*;

pub fn options() -> CaptureOptions {
    CaptureOptions::quiet(FingerprintKey::new([42; 32]))
}

#[tokio::test]
async fn a_capture_is_one_moment_and_says_what_it_holds() {
    let server = Server::scratch().await;
    fill(&server);
    plant_marker(&server.target(), "m-7").await.expect("plants");
    let parts = MemoryParts::default();
    let captured = capture(&server.target(), &parts, &options())
        .await
        .expect("captures");
    assert_eq!(captured.consistency, Consistency::PointInTime);
    assert_eq!(captured.method, "PSYNC");
    assert!(captured.from <= captured.to);
    assert_eq!(captured.identity.facts["marker"], "m-7");
    assert_eq!(captured.not_carried, Vec::<String>::new());
    let names: Vec<&str> = captured.parts.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "redis/0/keys",
            "redis/1/keys",
            "redis/5/keys",
            "redis/15/keys",
            "redis/functions"
        ]
    );
    let mut conn = client(&server);
    let Value::Int(size) = run(&mut conn, &["DBSIZE"]) else {
        panic!("no number")
    };
    // All keys but the marker.
    assert_eq!(captured.parts[0].meta["keys"], size - 1);
    assert_eq!(captured.parts[2].fingerprint.expect("rows").rows, 40);

    // Level 2: from the bytes alone. Level 3: from the live server.
    let live = fingerprints(&server.target(), &options())
        .await
        .expect("measures");
    assert_eq!(live.len(), captured.parts.len());
    for info in &captured.parts {
        let mut reader = parts.open(&info.name).await.expect("opens");
        let again = decode(info, reader.as_mut(), &options().key)
            .await
            .expect("decodes");
        assert_eq!(again, info.fingerprint, "{}", info.name);
        assert_eq!(Some(live[&info.name]), info.fingerprint, "{}", info.name);
    }
    let compared = compare(&server.target(), &parts, &options())
        .await
        .expect("compares");
    assert_eq!(compared.differences(), Vec::<String>::new());
}

#[tokio::test]
async fn every_kind_of_change_is_found() {
    let server = Server::scratch().await;
    fill(&server);
    let before = fingerprints(&server.target(), &options())
        .await
        .expect("measures");
    let mut conn = client(&server);
    for (change, back) in [
        (
            &["SET", "s:short", "other"][..],
            &["SET", "s:short", "value"][..],
        ),
        (&["PERSIST", "h:expiring"], &[]),
        (&["LSET", "l:big", "1000", "x"], &[]),
        (&["SREM", "set:ints", "-5"], &["SADD", "set:ints", "-5"]),
        (
            &["HSET", "h:big", "field-77", "x"],
            &["HSET", "h:big", "field-77", "value-77"],
        ),
        (&["ZINCRBY", "z:big", "1e-9", "m3"], &[]),
        (&["XADD", "x:small", "9-9", "a", "1"], &[]),
        (&["XACK", "x:big", "workers", "4-0"], &[]),
        (&["XSETID", "x:fresh", "5-0"], &[]),
        (
            &["RENAME", "s:int8", "s:int8-renamed"],
            &["RENAME", "s:int8-renamed", "s:int8"],
        ),
    ] {
        let as_it_was = fingerprints(&server.target(), &options())
            .await
            .expect("measures");
        run(&mut conn, change);
        let after = fingerprints(&server.target(), &options())
            .await
            .expect("measures");
        assert_ne!(
            after["redis/0/keys"], as_it_was["redis/0/keys"],
            "{change:?}"
        );
        if !back.is_empty() {
            run(&mut conn, back);
            let again = fingerprints(&server.target(), &options())
                .await
                .expect("measures");
            assert_eq!(again, as_it_was, "{back:?}");
        }
        for part in ["redis/1/keys", "redis/5/keys", "redis/functions"] {
            assert_eq!(after[part], before[part]);
        }
    }
    run(&mut conn, &["SELECT", "5"]);
    run(&mut conn, &["MOVE", "db5:3", "1"]);
    let after = fingerprints(&server.target(), &options())
        .await
        .expect("measures");
    assert_ne!(after["redis/5/keys"], before["redis/5/keys"]);
    assert_ne!(after["redis/1/keys"], before["redis/1/keys"]);
}

#[tokio::test]
async fn another_encoding_of_the_same_data_is_the_same() {
    let server = Server::scratch().await;
    fill(&server);
    let before = fingerprints(&server.target(), &options())
        .await
        .expect("measures");
    let mut conn = client(&server);
    let key = |conn: &mut redis::Connection, key: &str| {
        format!("{:?}", run(conn, &["OBJECT", "ENCODING", key]))
    };
    let mut changed = Vec::new();
    for (name, setting) in [
        ("l:small", "list-max-listpack-size"),
        ("h:small", "hash-max-listpack-entries"),
        ("z:small", "zset-max-listpack-entries"),
        ("set:ints", "set-max-intset-entries"),
        ("z:whole", "zset-max-listpack-entries"),
    ] {
        let was = key(&mut conn, name);
        run(&mut conn, &["CONFIG", "SET", setting, "1"]);
        // A copy by value is stored under the new rule.
        let dump: Vec<u8> = redis::cmd("DUMP")
            .arg(name)
            .query(&mut conn)
            .expect("dumps");
        let mut restore = redis::cmd("RESTORE");
        restore.arg(name).arg(0).arg(dump).arg("REPLACE");
        let _: () = restore.query(&mut conn).expect("restores");
        if was != key(&mut conn, name) {
            changed.push(name);
        }
    }
    assert!(
        changed.len() >= 4,
        "only {changed:?} changed their encoding"
    );
    run(&mut conn, &["CONFIG", "SET", "rdbcompression", "no"]);
    let after = fingerprints(&server.target(), &options())
        .await
        .expect("measures");
    assert_eq!(after, before);
}

#[tokio::test]
async fn without_replication_rights_keys_are_scanned_and_say_the_same() {
    let server = Server::scratch().await;
    fill(&server);
    let mut conn = client(&server);
    run(
        &mut conn,
        &[
            "ACL",
            "SETUSER",
            "backup",
            "on",
            ">canary-backup-77",
            "~*",
            "+@all",
            "-psync",
            "-sync",
        ],
    );
    let limited = Target {
        user: Some("backup".into()),
        password: Some(Secret::new("canary-backup-77")),
        ..server.target()
    };
    let (by_scan, by_snapshot) = (MemoryParts::default(), MemoryParts::default());
    let scanned = capture(&limited, &by_scan, &options())
        .await
        .expect("captures");
    let snapshot = capture(&server.target(), &by_snapshot, &options())
        .await
        .expect("captures");
    assert_eq!(scanned.method, "SCAN");
    assert_eq!(scanned.consistency, Consistency::Fuzzy);
    assert!(scanned.from <= scanned.to);
    assert_eq!(scanned.not_carried, ["1 ACL users besides `default`"]);
    let sums = |c: &summitctl::capture::Captured| -> Vec<_> {
        c.parts
            .iter()
            .map(|p| (p.name.clone(), p.fingerprint))
            .collect()
    };
    assert_eq!(sums(&scanned), sums(&snapshot));
    assert_eq!(
        fingerprints(&limited, &options()).await.expect("measures"),
        fingerprints(&server.target(), &options())
            .await
            .expect("measures")
    );

    // A user who may not see every key gets no capture that looks like one.
    run(
        &mut conn,
        &["ACL", "SETUSER", "backup", "resetkeys", "~s:*"],
    );
    let error = capture(&limited, &MemoryParts::default(), &options())
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.permission-denied", "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_the_middle_leaves_no_part() {
    let server = Server::scratch().await;
    let mut conn = client(&server);
    // Enough that the snapshot cannot sit in socket buffers, sent slowly.
    let value = "0123456789abcdef".repeat(4_096);
    for n in 0..600 {
        run(
            &mut conn,
            &["SET", &format!("key-{n}"), &format!("{n}{value}")],
        );
    }
    run(&mut conn, &["CONFIG", "SET", "rdbcompression", "no"]);
    run(&mut conn, &["CONFIG", "SET", "rdb-key-save-delay", "2000"]);
    run(&mut conn, &["CONFIG", "SET", "key-load-delay", "0"]);
    let parts = MemoryParts::default();
    let process = server.running.process.clone();
    let killer = async {
        // Not before the snapshot runs.
        let deadline = soon();
        loop {
            let child = tokio::task::block_in_place(|| {
                let mut conn = client(&server);
                format!("{:?}", run(&mut conn, &["INFO", "persistence"]))
                    .contains("rdb_bgsave_in_progress:1")
            });
            if child {
                process.signal(rustix::process::Signal::KILL);
                return;
            }
            assert!(!deadline.passed(), "no snapshot began");
            tokio::task::yield_now().await;
        }
    };
    let options = options();
    let target = server.target();
    let (captured, ()) = tokio::join!(capture(&target, &parts, &options), killer);
    let error = captured.expect_err("is cut off");
    assert_eq!(error.reason().code, "redis.connection-lost", "{error:?}");
    assert!(!format!("{error:?}").contains(server.running.password.expose()));
    assert!(parts.parts("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_during_a_capture_are_in_it_whole_or_not_at_all() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let server = Server::scratch().await;
    fill(&server);
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let (mut conn, seen) = (client(&server), over.clone());
    let writer = std::thread::spawn(move || {
        let mut n = 0;
        while !seen.load(Ordering::Relaxed) {
            n += 1;
            // Far apart in the key space, and in two databases.
            let mut both = redis::pipe();
            both.atomic()
                .cmd("SET")
                .arg("pair:a")
                .arg(n)
                .cmd("SELECT")
                .arg(15);
            both.cmd("SET").arg("pair:b").arg(n).cmd("SELECT").arg(0);
            let _: redis::Value = both.query(&mut conn).expect("writes");
        }
        n
    });
    let begun = || run(&mut client(&server), &["EXISTS", "pair:a"]) == Value::Int(1);
    let deadline = soon();
    while !begun() {
        assert!(!deadline.passed(), "the writer does not write");
    }
    for round in 0..5 {
        let parts = MemoryParts::default();
        capture(&server.target(), &parts, &options())
            .await
            .expect("captures");
        let to = Server::scratch().await;
        let way = RestoreOptions {
            common: options(),
            replace: Replace::Refuse,
            token: "t".into(),
        };
        let restored = restore(&to.target(), &parts, &way).await.expect("restores");
        assert_eq!(restored.differences(), Vec::<String>::new());
        let mut conn = client(&to);
        let a = run(&mut conn, &["GET", "pair:a"]);
        run(&mut conn, &["SELECT", "15"]);
        let b = run(&mut conn, &["GET", "pair:b"]);
        assert_eq!(a, b, "round {round}");
        assert_ne!(a, Value::Nil);
    }
    over.store(true, Ordering::Relaxed);
    assert!(writer.join().expect("ends") > 100);
}
