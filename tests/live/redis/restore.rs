//! Restoring into another server and into the one in use, with an independent look at every key.

use std::collections::BTreeMap;

use summitctl::capture::{MemoryParts, PartSink as _, PartSource as _};
use summitctl::providers::redis::{
    RESTORE_KEY, Replace, RestoreOptions, SwapState, capture, compare, discard, fingerprints,
    read_marker, restore, stage, swap_back, swap_in, swap_state,
};
use summitctl::wait::{Deadline, Look, poll};

use super::data::{client, fill, later, run, seen};
use super::round_trip::options;
use super::*;

fn into_empty(token: &str) -> RestoreOptions {
    RestoreOptions {
        common: options(),
        replace: Replace::Refuse,
        token: token.into(),
    }
}

async fn captured(server: &Server) -> MemoryParts {
    let parts = MemoryParts::default();
    capture(&server.target(), &parts, &options())
        .await
        .expect("captures");
    parts
}

#[tokio::test]
async fn everything_arrives_and_survives_a_restart() {
    let (from, to) = (
        Server::scratch().await,
        Server::start(&Options::default()).await,
    );
    fill(&from);
    let parts = captured(&from).await;
    plant_marker(&to.target(), "target").await.expect("plants");
    let restored = restore(&to.target(), &parts, &into_empty("t-1"))
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    assert_eq!(restored.expired, 0);
    assert!(!restored.resumed);
    let wanted: BTreeMap<_, _> = parts
        .parts("redis/")
        .into_iter()
        .map(|p| (p.name, p.fingerprint.expect("rows")))
        .collect();
    assert_eq!(
        restored.parts.iter().cloned().collect::<BTreeMap<_, _>>(),
        wanted
    );
    assert_eq!(
        fingerprints(&to.target(), &options())
            .await
            .expect("measures"),
        wanted
    );
    let (before, after) = (seen(&from), seen(&to));
    assert!(before.len() > 80);
    assert_eq!(after, before);
    let mut conn = client(&to);
    assert_eq!(
        run(&mut conn, &["FCALL", "twice", "0", "21"]),
        redis::Value::Int(42)
    );
    drop(conn);

    // The append-only file holds it.
    stop(&to.running.dir).await.expect("stops");
    let again = start(&to.running.dir, &Options::default())
        .await
        .expect("starts");
    assert_ne!(again.process, to.running.process);
    let again = Server::adopt(again, &to);
    assert_eq!(seen(&again), before);
    assert_eq!(
        read_marker(&again.target())
            .await
            .expect("reads")
            .as_deref(),
        Some("target")
    );
    let compared = compare(&again.target(), &parts, &options())
        .await
        .expect("compares");
    assert_eq!(compared.differences(), Vec::<String>::new());

    // Done already: nothing is sent again.
    let second = restore(&again.target(), &parts, &into_empty("t-1"))
        .await
        .expect("looks");
    assert_eq!((second.keys, second.resumed), (0, true));
    assert_eq!(second.differences(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_is_not_empty_is_left_alone_or_replaced_whole() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    fill(&from);
    let parts = captured(&from).await;
    plant_marker(&to.target(), "mine").await.expect("plants");
    let mut conn = client(&to);
    run(&mut conn, &["SELECT", "9"]);
    run(&mut conn, &["SET", "precious", "1"]);
    run(
        &mut conn,
        &[
            "FUNCTION",
            "LOAD",
            "#!lua name=old\nredis.register_function('old', function() return 1 end)",
        ],
    );
    let before = fingerprints(&to.target(), &options())
        .await
        .expect("measures");
    let error = restore(&to.target(), &parts, &into_empty("t"))
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.not-empty");
    assert!(
        error
            .to_string()
            .contains("1 keys and 1 function libraries"),
        "{error}"
    );
    assert_eq!(
        fingerprints(&to.target(), &options())
            .await
            .expect("measures"),
        before
    );

    let flush = RestoreOptions {
        replace: Replace::Flush,
        ..into_empty("t")
    };
    let restored = restore(&to.target(), &parts, &flush)
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    assert_eq!(seen(&to), seen(&from));
    assert_eq!(
        read_marker(&to.target()).await.expect("reads").as_deref(),
        Some("mine")
    );
}

#[tokio::test]
async fn a_restore_that_was_killed_goes_on() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    fill(&from);
    let parts = captured(&from).await;
    restore(&to.target(), &parts, &into_empty("t-9"))
        .await
        .expect("restores");
    // As a killed run leaves it: some keys are there, some are not, and the state says so.
    let mut conn = client(&to);
    run(&mut conn, &["DEL", "l:big", "x:big", "s:lzf"]);
    let state = r#"{"token":"t-9","state":"loading","database":null}"#;
    run(&mut conn, &["SET", RESTORE_KEY, state]);
    let other = restore(&to.target(), &parts, &into_empty("t-10"))
        .await
        .expect_err("refuses");
    assert_eq!(other.reason().code, "redis.not-empty");
    let resumed = restore(&to.target(), &parts, &into_empty("t-9"))
        .await
        .expect("goes on");
    assert!(resumed.resumed);
    assert_eq!(resumed.differences(), Vec::<String>::new());
    assert_eq!(seen(&to), seen(&from));
}

#[tokio::test]
async fn keys_that_expired_meanwhile_are_counted_and_left_out() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    fill(&from);
    let mut conn = client(&from);
    for n in 0..5 {
        run(&mut conn, &["SET", &format!("soon:{n}"), "x", "PX", "8000"]);
    }
    run(
        &mut conn,
        &["SET", "not-soon", "x", "PXAT", &later(5).to_string()],
    );
    let parts = captured(&from).await;
    let full = parts.parts("redis/0/")[0].fingerprint.expect("rows");
    poll(
        "the expiry of keys",
        Deadline::after(std::time::Duration::from_secs(30)),
        std::time::Duration::from_millis(50),
        async || {
            let mut conn = client(&from);
            let left = run(
                &mut conn,
                &["EXISTS", "soon:0", "soon:1", "soon:2", "soon:3", "soon:4"],
            );
            Ok(if left == redis::Value::Int(0) {
                Look::Ready(())
            } else {
                Look::NotYet(format!("{left:?}"))
            })
        },
    )
    .await
    .expect("they expire");
    let restored = restore(&to.target(), &parts, &into_empty("t"))
        .await
        .expect("restores");
    assert_eq!(restored.expired, 5);
    assert_eq!(restored.differences(), Vec::<String>::new());
    assert_eq!(restored.expected["redis/0/keys"].rows, full.rows - 5);
    assert!(
        restored.notes.iter().any(|n| n.starts_with("5 keys")),
        "{:?}",
        restored.notes
    );
    assert_eq!(seen(&to), seen(&from));
}

#[tokio::test]
async fn what_speaks_against_it_is_said_before_anything_is_written() {
    let from = Server::scratch().await;
    fill(&from);
    let parts = captured(&from).await;
    let small = Server::start(&Options {
        settings: vec![
            ("maxmemory".into(), "2mb".into()),
            ("maxmemory-policy".into(), "allkeys-lru".into()),
        ],
        ..Options::scratch()
    })
    .await;
    let few = Server::start(&Options {
        settings: vec![("databases".into(), "4".into())],
        ..Options::scratch()
    })
    .await;
    let old = Server::scratch().await;
    let newer = MemoryParts::default();
    let mut meta = parts.parts("redis/1/")[0].meta.clone();
    meta.insert("rdb-version".into(), 79.into());
    let writer = newer
        .create("redis/1/keys", "redis-dump-stream")
        .await
        .expect("creates");
    writer.finish(None, meta).await.expect("finishes");
    let replica = Server::start(&Options {
        settings: vec![("replicaof".into(), "127.0.0.1 1".into())],
        ..Options::scratch()
    })
    .await;
    for (server, source, reason, word) in [
        (&small, &parts, "redis.no-room", "allkeys-lru"),
        (&few, &parts, "redis.database-missing", "only 4 databases"),
        (&old, &newer, "redis.server-too-old", "RDB version 79"),
        (
            &replica,
            &parts,
            "redis.read-only",
            "replica of `127.0.0.1`",
        ),
    ] {
        let error = restore(&server.target(), source, &into_empty("t"))
            .await
            .expect_err(reason);
        assert_eq!(error.reason().code, reason, "{error:?}");
        assert!(error.to_string().contains(word), "{error:?}");
        let keyspace = run(&mut client(server), &["INFO", "keyspace"]);
        assert!(!format!("{keyspace:?}").contains("db0"), "{keyspace:?}");
    }
    // Even what may go stays until it is sure that the rest fits.
    let mut conn = client(&old);
    run(&mut conn, &["SET", "precious", "x"]);
    run(&mut conn, &["CONFIG", "SET", "maxmemory", "1000"]);
    let way = RestoreOptions {
        replace: Replace::Flush,
        ..into_empty("t")
    };
    let error = restore(&old.target(), &parts, &way)
        .await
        .expect_err("does not fit");
    assert_eq!(error.reason().code, "redis.no-room", "{error:?}");
    let kept = run(&mut conn, &["EXISTS", "precious"]);
    assert_eq!(kept, redis::Value::Int(1));
}

#[tokio::test]
async fn eviction_during_a_restore_is_no_success() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    fill(&from);
    // In memory, small values take more than in the backup.
    let mut small = redis::pipe();
    for n in 0..20_000 {
        small.cmd("SET").arg(n).arg(n).ignore();
    }
    let _: () = small.query(&mut client(&from)).expect("sets");
    let parts = captured(&from).await;
    // A backup that does not say how much memory its data took.
    let silent = MemoryParts::default();
    for info in parts.parts("redis/") {
        let bytes = parts
            .open(&info.name)
            .await
            .expect("opens")
            .read_all()
            .await
            .expect("reads");
        let mut writer = silent
            .create(&info.name, &info.format)
            .await
            .expect("creates");
        writer.write(bytes.into()).await.expect("writes");
        let mut meta = info.meta.clone();
        meta.remove("server-dataset-bytes");
        writer
            .finish(info.fingerprint, meta)
            .await
            .expect("finishes");
    }
    // Room for the bytes of the backup, but not for what they become in memory.
    let health = ping(&to.target(), soon()).await.expect("answers");
    let used = health.facts["used-memory"].as_u64().expect("a number");
    let bytes: u64 = silent.parts("redis/").iter().map(|p| p.bytes).sum();
    let limit = (used + bytes + 200_000).to_string();
    let mut conn = client(&to);
    run(
        &mut conn,
        &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
    );
    run(&mut conn, &["CONFIG", "SET", "maxmemory", &limit]);
    let error = restore(&to.target(), &silent, &into_empty("t"))
        .await
        .expect_err("fails");
    assert_eq!(error.reason().code, "redis.evicted", "{error:?}");
}

#[tokio::test]
async fn damaged_parts_are_found_before_they_count() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    fill(&from);
    let parts = captured(&from).await;
    let bytes = parts
        .open("redis/0/keys")
        .await
        .expect("opens")
        .read_all()
        .await
        .expect("reads");
    let info = &parts.parts("redis/0/")[0];
    type Spoil = fn(&mut Vec<u8>);
    fn flip(bytes: &mut [u8], text: &[u8]) {
        let at = bytes.windows(text.len()).position(|some| some == text);
        bytes[at.expect("is there")] ^= 1;
    }
    let damage: [(&str, Spoil); 4] = [
        ("cut off", |b| b.truncate(b.len() / 2)),
        ("a flipped bit of a string", |b| {
            flip(b, "значение".as_bytes());
        }),
        ("a flipped bit of a list", |b| flip(b, b"item-7")),
        ("something behind the end", |b| b.push(0)),
    ];
    for (what, spoil) in damage {
        let mut spoiled = bytes.clone();
        spoil(&mut spoiled);
        let broken = crate::holding(info, spoiled).await;
        let target = RestoreOptions {
            replace: Replace::Flush,
            ..into_empty(what)
        };
        let error = restore(&to.target(), &broken, &target)
            .await
            .expect_err(what);
        assert_eq!(
            error.reason().code,
            "redis.malformed-dump",
            "{what}: {error:?}"
        );
        assert_eq!(error.exit().code(), 6);
    }
}

#[tokio::test]
async fn in_place_beside_the_live_data_and_back() {
    let server = Server::start(&Options::default()).await;
    plant_marker(&server.target(), "prod")
        .await
        .expect("plants");
    let mut conn = client(&server);
    for n in 0..500 {
        run(&mut conn, &["RPUSH", "queue", &format!("job-{n}")]);
        run(
            &mut conn,
            &["HSET", &format!("session:{n}"), "user", &n.to_string()],
        );
    }
    run(
        &mut conn,
        &["SET", "expiring", "x", "PXAT", &later(9).to_string()],
    );
    let good = seen(&server);
    let parts = captured(&server).await;
    // The accident.
    run(&mut conn, &["DEL", "queue", "session:7"]);
    run(&mut conn, &["SET", "session:8-wrong", "x"]);
    let bad = seen(&server);
    let target = server.target();
    let way = into_empty("swap-1");
    assert_eq!(
        swap_state(&target, "swap-1").await.expect("looks"),
        SwapState::Absent
    );
    assert!(swap_in(&target, "swap-1").await.is_err());

    let staged = stage(&target, &parts, &way).await.expect("stages");
    assert_eq!(staged.database, 15);
    assert_eq!(staged.restored.differences(), Vec::<String>::new());
    let live = |s: &Server| -> BTreeMap<_, _> {
        seen(s)
            .into_iter()
            .filter(|((db, _), _)| *db == 0)
            .collect()
    };
    assert_eq!(live(&server), bad, "the live data are untouched");
    let again = stage(&target, &parts, &way).await.expect("is a no-op");
    assert_eq!((again.restored.keys, again.restored.resumed), (0, true));

    let swapped = SwapState::Swapped { database: 15 };
    assert_eq!(swap_in(&target, "swap-1").await.expect("swaps"), swapped);
    assert_eq!(
        swap_in(&target, "swap-1").await.expect("is a no-op"),
        swapped
    );
    assert_eq!(live(&server), good);
    assert_eq!(
        read_marker(&target).await.expect("reads").as_deref(),
        Some("prod")
    );
    let measured = stage(&target, &parts, &way)
        .await
        .expect("measures what is live");
    assert_eq!(measured.restored.differences(), Vec::<String>::new());

    let back = SwapState::Staged { database: 15 };
    assert_eq!(swap_back(&target, "swap-1").await.expect("undoes"), back);
    assert_eq!(live(&server), bad);
    assert_eq!(swap_in(&target, "swap-1").await.expect("swaps"), swapped);
    discard(&target, "swap-1").await.expect("discards");
    discard(&target, "swap-1").await.expect("is a no-op");
    assert_eq!(seen(&server), good, "only the restored data are left");
    // Whoever goes on with it loads nothing over what was written since.
    let state = swap_state(&target, "swap-1").await.expect("looks");
    assert_eq!(state, SwapState::Finished);
    run(&mut conn, &["SET", "written-since", "x"]);
    let again = stage(&target, &parts, &way).await.expect("measures");
    assert_eq!((again.restored.keys, again.restored.resumed), (0, true));
    assert_eq!(
        swap_in(&target, "swap-1").await.expect("is a no-op"),
        SwapState::Finished
    );
    let kept: Option<String> = redis::cmd("GET")
        .arg("written-since")
        .query(&mut conn)
        .expect("reads");
    assert_eq!(kept.as_deref(), Some("x"));
    run(&mut conn, &["DEL", "written-since"]);

    // A backup of several databases cannot be exchanged in place.
    let other = Server::scratch().await;
    fill(&other);
    let many = captured(&other).await;
    let error = stage(&target, &many, &into_empty("swap-2"))
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.only-database-zero");
}
