//! Servers of other versions: every one is captured and restored, data look the same on all, and what is newer than the
//! target is refused before anything is written.

use summitctl::capture::{Consistency, Fingerprint, MemoryParts, PartSource as _};
use summitctl::providers::redis::{
    Replace, RestoreOptions, capture, compare, fingerprints, restore,
};

use super::data::{client, fill, fill_keys, later, run, seen};
use super::round_trip::options;
use super::*;

/// From the oldest to the newest.
const OTHERS: [&str; 4] = ["redis-6.2", "valkey-8.1", "redis-8.0", "redis-8.6"];

fn way() -> RestoreOptions {
    RestoreOptions {
        common: options(),
        replace: Replace::Refuse,
        token: "t".into(),
    }
}

async fn captured(server: &Server) -> MemoryParts {
    let parts = MemoryParts::default();
    let captured = capture(&server.target(), &parts, &options())
        .await
        .expect("captures");
    assert_eq!(captured.consistency, Consistency::PointInTime);
    assert_eq!(captured.method, "PSYNC");
    parts
}

async fn comes_back(name: &str, rdb: u64) {
    let (from, to) = (
        Server::of(name, Options::scratch()).await,
        Server::of(name, Options::scratch()).await,
    );
    if rdb < 10 {
        fill_keys(&from);
    } else {
        fill(&from);
    }
    let parts = captured(&from).await;
    assert_eq!(parts.parts("redis/0/")[0].meta["rdb-version"], rdb);
    let restored = restore(&to.target(), &parts, &way())
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    let compared = compare(&from.target(), &parts, &options())
        .await
        .expect("compares");
    assert_eq!(compared.differences(), Vec::<String>::new());
    // 6.2 cannot say when a key expires.
    if rdb >= 10 {
        assert_eq!(seen(&to), seen(&from));
    }
}

#[tokio::test]
async fn everything_comes_back_on_redis_6_2() {
    comes_back("redis-6.2", 9).await;
}

#[tokio::test]
async fn everything_comes_back_on_valkey_8_1() {
    comes_back("valkey-8.1", 11).await;
}

#[tokio::test]
async fn everything_comes_back_on_redis_8_0() {
    comes_back("redis-8.0", 12).await;
}

#[tokio::test]
async fn everything_comes_back_on_redis_8_6() {
    comes_back("redis-8.6", 13).await;
}

/// Data without moments of the server's own clock, such as when a consumer was seen.
fn timeless(server: &Server, expiry: u64) {
    let mut conn = client(server);
    for n in 0..300 {
        run(&mut conn, &["RPUSH", "list", &format!("item-{n}")]);
        run(&mut conn, &["SADD", "set", &format!("member-{n}")]);
        run(&mut conn, &["HSET", "hash", &format!("f{n}"), "value"]);
        run(
            &mut conn,
            &["ZADD", "zset", &format!("{}.5", n), &format!("m{n}")],
        );
        run(
            &mut conn,
            &[
                "XADD",
                "stream",
                &format!("{}-1", n + 1),
                "n",
                &n.to_string(),
            ],
        );
    }
    for n in 0..20 {
        run(&mut conn, &["SADD", "ints", &n.to_string()]);
        run(&mut conn, &["SADD", "few", &format!("m{n}")]);
        run(&mut conn, &["RPUSH", "short", &n.to_string()]);
        run(
            &mut conn,
            &["HSET", "small", &format!("f{n}"), &n.to_string()],
        );
        run(
            &mut conn,
            &["ZADD", "scores", &n.to_string(), &format!("m{n}")],
        );
    }
    run(&mut conn, &["SET", "text", &"abc".repeat(1_000)]);
    run(&mut conn, &["SET", "number", "12345"]);
    run(&mut conn, &["PEXPIREAT", "number", &expiry.to_string()]);
    run(&mut conn, &["PFADD", "many", "a", "b", "c"]);
}

#[tokio::test]
async fn the_same_data_have_one_fingerprint_on_every_server() {
    let expiry = later(9);
    let here = Server::scratch().await;
    timeless(&here, expiry);
    let of = async |server: &Server| -> Fingerprint {
        let all = fingerprints(&server.target(), &options())
            .await
            .expect("measures");
        all["redis/0/keys"]
    };
    let wanted = of(&here).await;
    assert_eq!(wanted.rows, 13);
    for name in OTHERS {
        let other = Server::of(name, Options::scratch()).await;
        timeless(&other, expiry);
        assert_eq!(of(&other).await, wanted, "{name}");
    }
}

#[tokio::test]
async fn an_older_backup_goes_into_a_newer_server_and_never_the_other_way() {
    let (old, new) = (
        Server::of("redis-6.2", Options::scratch()).await,
        Server::of("redis-8.6", Options::scratch()).await,
    );
    fill_keys(&old);
    let (into_valkey, into_here) = (
        Server::of("valkey-8.1", Options::scratch()).await,
        Server::scratch().await,
    );
    let parts = captured(&old).await;
    for target in [&into_valkey, &new] {
        let restored = restore(&target.target(), &parts, &way())
            .await
            .expect("restores");
        assert_eq!(restored.differences(), Vec::<String>::new());
    }
    let newer = captured(&new).await;
    for target in [&into_here, &old] {
        let before = keyspace(target);
        let error = restore(&target.target(), &newer, &way())
            .await
            .expect_err("refuses");
        assert_eq!(error.reason().code, "redis.server-too-old", "{error:?}");
        assert_eq!(keyspace(target), before);
    }
}

/// How many keys each database has. The server says also how long they live on average, which moves with time.
fn keyspace(server: &Server) -> String {
    let said = run(&mut client(server), &["INFO", "keyspace"]);
    let said: String = redis::from_redis_value(said).unwrap();
    let keys = said.lines().filter_map(|line| line.split_once(",avg_ttl"));
    keys.map(|(keys, _)| format!("{keys}\n")).collect()
}

#[tokio::test]
async fn fields_that_expire_come_back_with_their_moments() {
    let (from, to) = (
        Server::of("redis-8.0", Options::scratch()).await,
        Server::of("redis-8.6", Options::scratch()).await,
    );
    let mut conn = client(&from);
    for (key, fields) in [("small", 20), ("big", 2_000)] {
        for n in 0..fields {
            run(&mut conn, &["HSET", key, &format!("f{n}"), &n.to_string()]);
        }
        for n in 0..10 {
            let at = later(n * 1_000).to_string();
            let field = format!("f{n}");
            run(&mut conn, &["HPEXPIREAT", key, &at, "FIELDS", "1", &field]);
        }
    }
    let encoding = |conn: &mut redis::Connection, key: &str| {
        format!("{:?}", run(conn, &["OBJECT", "ENCODING", key]))
    };
    assert!(encoding(&mut conn, "small").contains("listpackex"));
    assert!(encoding(&mut conn, "big").contains("hashtable"));
    let parts = captured(&from).await;
    // One row for what stays and one for each field that goes.
    assert_eq!(
        parts.parts("redis/0/")[0].fingerprint.expect("rows").rows,
        22
    );
    let restored = restore(&to.target(), &parts, &way())
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    let mut copy = client(&to);
    for key in ["small", "big"] {
        for n in 0..11 {
            let words = ["HPEXPIRETIME", key, "FIELDS", "1", &format!("f{n}")];
            assert_eq!(run(&mut copy, &words), run(&mut conn, &words), "{words:?}");
        }
        assert_eq!(
            run(&mut copy, &["HLEN", key]),
            run(&mut conn, &["HLEN", key])
        );
    }
    // One moment changed is found.
    run(
        &mut copy,
        &[
            "HPEXPIREAT",
            "big",
            &later(77).to_string(),
            "FIELDS",
            "1",
            "f3",
        ],
    );
    let compared = compare(&to.target(), &parts, &options())
        .await
        .expect("compares");
    assert_eq!(compared.differences().len(), 1);
}

#[tokio::test]
async fn streams_of_producers_that_repeat_themselves() {
    let (from, to) = (
        Server::of("redis-8.6", Options::scratch()).await,
        Server::of("redis-8.6", Options::scratch()).await,
    );
    let mut conn = client(&from);
    for n in 0..5 {
        let id = format!("id-{n}");
        run(
            &mut conn,
            &[
                "XADD",
                "orders",
                "IDMP",
                "shop",
                &id,
                "*",
                "n",
                &n.to_string(),
            ],
        );
    }
    run(&mut conn, &["XGROUP", "CREATE", "orders", "workers", "0"]);
    run(
        &mut conn,
        &[
            "XREADGROUP",
            "GROUP",
            "workers",
            "one",
            "COUNT",
            "2",
            "STREAMS",
            "orders",
            ">",
        ],
    );
    let parts = captured(&from).await;
    let restored = restore(&to.target(), &parts, &way())
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    assert_eq!(seen(&to), seen(&from));
    // The repeated order is known on the other side too.
    let mut copy = client(&to);
    run(
        &mut copy,
        &["XADD", "orders", "IDMP", "shop", "id-3", "*", "n", "again"],
    );
    assert_eq!(run(&mut copy, &["XLEN", "orders"]), redis::Value::Int(5));
}
