//! Values of many megabytes: cut into pieces on the way, whole again on the server, and the same whatever way they were read.

use redis::Value;
use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::redis::{
    Replace, RestoreOptions, admits, capture, compare, fingerprints, restore, survey,
};
use summitctl::wait::{Look, poll};

use super::data::{client, later, run, seen};
use super::round_trip::options;
use super::*;

fn noise(length: u32) -> Vec<u8> {
    (0..length)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Values of four megabytes and more, and small ones between them.
fn fill_large(server: &Server) {
    let mut conn = client(server);
    for n in 0..50 {
        run(&mut conn, &["SET", &format!("small:{n}"), "x"]);
    }
    let noise = noise(4_000_000);
    let set = |key: &str, conn: &mut redis::Connection| {
        let mut set = redis::cmd("SET");
        let _: () = set.arg(key).arg(&noise).query(conn).expect("sets");
    };
    set("text", &mut conn);
    for (at, chunk) in noise.chunks(120_000).enumerate() {
        let mut many = redis::pipe();
        for (n, piece) in chunk.chunks(120).enumerate() {
            let name = at * 1_000 + n;
            many.cmd("RPUSH").arg("list").arg(piece).arg(n).ignore();
            many.cmd("SADD").arg("set").arg(piece).ignore();
            many.cmd("HSET").arg("hash").arg(name).arg(piece).ignore();
            let score = name as f64 / 7.0;
            many.cmd("ZADD").arg("zset").arg(score).arg(piece).ignore();
        }
        let _: () = many.query(&mut conn).expect("fills");
    }
    stream(&mut conn, "stream", 8_000, 1_000);
    for key in ["list", "text"] {
        run(&mut conn, &["PEXPIREAT", key, &later(5).to_string()]);
    }
}

/// A stream of incompressible entries, with a group that was given some of them.
fn stream(conn: &mut redis::Connection, key: &str, entries: u64, bytes: usize) {
    let mut text = vec![0; bytes];
    for from in (0..entries).step_by(500) {
        let mut many = redis::pipe();
        for n in from..(from + 500).min(entries) {
            getrandom::fill(&mut text).expect("random bytes");
            let id = format!("{}-7", n + 1);
            let add = many.cmd("XADD").arg(key).arg(id).arg("field");
            add.arg(&text).arg("n").arg(n).ignore();
        }
        let _: () = many.query(conn).expect("adds");
    }
    run(conn, &["XGROUP", "CREATE", key, "workers", "0"]);
    let group = ["XREADGROUP", "GROUP", "workers", "one", "COUNT", "100"];
    run(conn, &[&group[..], &["STREAMS", key, ">"]].concat());
    run(conn, &["XDEL", key, "200-7", "3000-7"]);
}

#[tokio::test]
async fn large_values_come_in_pieces_and_arrive_whole() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    fill_large(&from);
    let mut conn = client(&from);
    let parts = MemoryParts::default();
    let captured = capture(&from.target(), &parts, &options())
        .await
        .expect("captures");
    assert_eq!(captured.parts[0].meta["keys"], 56);
    let fragmented = captured.parts[0].meta["fragmented"].as_array();
    let whole = run(&mut conn, &["DUMP", "stream"]);
    let Value::BulkString(whole) = whole else {
        panic!("{whole:?}");
    };
    let lengths = fragmented.map(|all| all.iter().filter_map(|n| n.as_u64()).collect::<Vec<_>>());
    assert_eq!(lengths, Some(vec![whole.len() as u64]));
    let bytes = parts
        .open("redis/0/keys")
        .await
        .expect("opens")
        .read_all()
        .await
        .expect("reads");
    let (_, count) = bytes.split_at(bytes.len() - 8);
    let records = u64::from_le_bytes(count.try_into().expect("eight bytes"));
    assert!(records > 59, "{records} records: they were not cut");

    // Read whole, one by one, they are the same.
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
    let by_scan = fingerprints(&reader, &options()).await.expect("measures");
    assert_eq!(Some(by_scan["redis/0/keys"]), captured.parts[0].fingerprint);
    let scanned = MemoryParts::default();
    capture(&reader, &scanned, &options())
        .await
        .expect("captures");

    for (source, token) in [(&parts, "t"), (&scanned, "u")] {
        let way = |replace| RestoreOptions {
            common: options(),
            replace,
            token: format!("{token}-{replace:?}"),
        };
        let restored = restore(&to.target(), source, &way(Replace::Flush))
            .await
            .expect("restores");
        assert_eq!(restored.differences(), Vec::<String>::new());
        assert_eq!(seen(&to), seen(&from));
        let there = run(&mut client(&to), &["DUMP", "stream"]);
        assert!(
            there == Value::BulkString(whole.clone()),
            "it is byte for byte"
        );
        if token == "u" {
            continue;
        }

        // What is there is neither added to nor doubled.
        let mut copy = client(&to);
        run(&mut copy, &["DEL", "set"]);
        run(&mut copy, &["LSET", "list", "7", "other"]);
        let compared = compare(&to.target(), source, &options())
            .await
            .expect("compares");
        assert_eq!(compared.differences().len(), 1);
        let found = survey(&to.target(), source, &options())
            .await
            .expect("looks");
        assert_eq!((found.missing, found.changed), (1, 1));
        assert!(
            found.lines[0].contains("key `list` in database 0"),
            "{found:?}"
        );
        let merged = restore(&to.target(), source, &way(Replace::Keep))
            .await
            .expect("merges");
        assert_eq!(merged.kept, 55);
        assert_eq!(merged.differences(), Vec::<String>::new());
        let length = run(&mut conn, &["LLEN", "list"]);
        assert_eq!(run(&mut copy, &["LLEN", "list"]), length);
        assert_ne!(length, Value::Int(0));
        let over = restore(&to.target(), source, &way(Replace::Overwrite))
            .await
            .expect("overwrites");
        assert_eq!(over.differences(), Vec::<String>::new());
        assert_eq!(seen(&to), seen(&from));
    }
    // What the server would take neither at once nor in parts is seen before anything is lost.
    let mut copy = client(&to);
    run(
        &mut copy,
        &["CONFIG", "SET", "proto-max-bulk-len", "1048576"],
    );
    let way = RestoreOptions {
        common: options(),
        replace: Replace::Flush,
        token: "v".into(),
    };
    for refused in [
        restore(&to.target(), &parts, &way).await.map(|_| ()),
        admits(&to.target(), &parts, Replace::Flush).await,
    ] {
        let error = refused.expect_err("is too large");
        assert_eq!(error.reason().code, "redis.value-too-large", "{error:?}");
        assert!(error.to_string().contains("key `stream`"), "{error}");
    }
    assert_eq!(run(&mut copy, &["DBSIZE"]), Value::Int(56 + 1));
}

#[tokio::test]
async fn one_changed_entry_of_a_large_stream_and_one_damaged_byte_are_found() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    stream(&mut client(&from), "stream", 8_000, 1_000);
    let parts = MemoryParts::default();
    let captured = capture(&from.target(), &parts, &options())
        .await
        .expect("captures");
    let way = |token: &str| RestoreOptions {
        common: options(),
        replace: Replace::Flush,
        token: token.into(),
    };
    let restored = restore(&to.target(), &parts, &way("a"))
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    let mut copy = client(&to);
    run(&mut copy, &["XDEL", "stream", "1700-7"]);
    let compared = compare(&to.target(), &parts, &options())
        .await
        .expect("compares");
    assert_eq!(compared.differences().len(), 1);
    let found = survey(&to.target(), &parts, &options())
        .await
        .expect("looks");
    assert_eq!((found.missing, found.changed), (0, 1));
    assert!(found.lines[0].contains("key `stream`"), "{found:?}");

    // In the middle of a fragment, which is no value by itself.
    let info = &captured.parts[0];
    let reader = parts.open(&info.name).await;
    let mut bytes = reader.expect("opens").read_all().await.expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = crate::holding(info, bytes).await;
    let error = compare(&to.target(), &damaged, &options())
        .await
        .expect_err("is damaged");
    assert_eq!(error.reason().code, "redis.malformed-dump", "{error:?}");
    let error = restore(&to.target(), &damaged, &way("b"))
        .await
        .expect_err("is damaged");
    assert!(error.to_string().contains("key `stream`"), "{error:?}");
    assert_eq!(run(&mut copy, &["EXISTS", "stream"]), Value::Int(0));
}

#[tokio::test]
async fn what_expired_since_neither_comes_back_nor_takes_anything_away() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    let mut conn = client(&from);
    let noise = noise(3_000_000);
    for key in ["large", "session", "stays"] {
        let value = if key == "large" { &noise[..] } else { b"old" };
        let mut set = redis::cmd("SET");
        let _: () = set.arg(key).arg(value).query(&mut conn).expect("sets");
    }
    for key in ["large", "session"] {
        run(&mut conn, &["PEXPIRE", key, "8000"]);
    }
    let parts = MemoryParts::default();
    let captured = capture(&from.target(), &parts, &options())
        .await
        .expect("captures");
    assert_eq!(captured.parts[0].meta["keys"], 3);
    poll(
        "the expiry",
        Deadline::after(Duration::from_secs(30)),
        Duration::from_millis(50),
        async || {
            let left = run(&mut client(&from), &["EXISTS", "large", "session"]);
            Ok(match left {
                Value::Int(0) => Look::Ready(()),
                other => Look::NotYet(format!("{other:?} left")),
            })
        },
    )
    .await
    .expect("expire");
    let mut live = client(&to);
    run(&mut live, &["SET", "session", "renewed"]);
    run(&mut live, &["SET", "stays", "new"]);
    for replace in [Replace::Overwrite, Replace::Flush] {
        let way = RestoreOptions {
            common: options(),
            replace,
            token: format!("{replace:?}"),
        };
        let restored = restore(&to.target(), &parts, &way).await.expect("restores");
        assert_eq!(restored.differences(), Vec::<String>::new());
        assert_eq!(restored.keys, 1);
        let notes = restored.notes.join(" ");
        assert!(notes.contains("2 keys had expired"), "{notes}");
        let text = |text: &[u8]| Value::BulkString(text.to_vec());
        assert_eq!(run(&mut live, &["GET", "stays"]), text(b"old"));
        assert_eq!(run(&mut live, &["EXISTS", "large"]), Value::Int(0));
        let session = match replace {
            Replace::Overwrite => text(b"renewed"),
            _ => Value::Nil,
        };
        assert_eq!(run(&mut live, &["GET", "session"]), session);
    }
}
