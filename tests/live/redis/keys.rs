//! What becomes of single keys: those that are there already, those that differ, those that are queues, and those that are
//! too large for one argument.

use redis::Value;
use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::redis::{
    Queue, Replace, RestoreOptions, Restored, capture, compare, queues, restore, survey,
};

use super::data::{client, fill, run, seen};
use super::round_trip::options;
use super::*;

async fn captured(server: &Server) -> MemoryParts {
    let parts = MemoryParts::default();
    capture(&server.target(), &parts, &options())
        .await
        .expect("captures");
    parts
}

async fn load(to: &Server, parts: &MemoryParts, token: &str, replace: Replace) -> Restored {
    let way = RestoreOptions {
        common: options(),
        replace,
        token: token.into(),
    };
    restore(&to.target(), parts, &way).await.expect("restores")
}

#[tokio::test]
async fn keys_that_are_there_are_kept_or_overwritten_as_asked() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    let mut conn = client(&from);
    for n in 0..100 {
        run(&mut conn, &["SET", &format!("key:{n}"), "from the backup"]);
    }
    run(
        &mut conn,
        &[
            "FUNCTION",
            "LOAD",
            "#!lua name=both\nredis.register_function('f', function() return 1 end)",
        ],
    );
    run(
        &mut conn,
        &[
            "FUNCTION",
            "LOAD",
            "#!lua name=new\nredis.register_function('g', function() return 1 end)",
        ],
    );
    let parts = captured(&from).await;
    let mut conn = client(&to);
    let set = |conn: &mut redis::Connection| {
        run(conn, &["RPUSH", "key:7", "another", "type"]);
        run(conn, &["SET", "key:8", "here"]);
        run(conn, &["SET", "other", "here"]);
    };
    set(&mut conn);
    run(
        &mut conn,
        &[
            "FUNCTION",
            "LOAD",
            "#!lua name=both\nredis.register_function('f', function() return 2 end)",
        ],
    );
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());

    let merged = load(&to, &parts, "t-1", Replace::Keep).await;
    assert_eq!((merged.keys, merged.kept), (98, 2));
    assert_eq!(merged.differences(), Vec::<String>::new());
    let surveyed = merged.surveyed.expect("was looked at");
    assert_eq!(
        (surveyed.missing, surveyed.changed, surveyed.extra),
        (0, 2, 1)
    );
    assert_eq!(run(&mut conn, &["LLEN", "key:7"]), Value::Int(2));
    assert_eq!(run(&mut conn, &["GET", "key:8"]), text("here"));
    assert_eq!(run(&mut conn, &["GET", "key:9"]), text("from the backup"));
    assert_eq!(run(&mut conn, &["FCALL", "f", "0"]), Value::Int(2));
    assert_eq!(run(&mut conn, &["FCALL", "g", "0"]), Value::Int(1));
    assert_eq!(
        (surveyed.missing_libraries, surveyed.changed_libraries),
        (0, 1)
    );
    let kept = "Function library `both` was there already";
    assert!(
        merged.notes.iter().any(|note| note.starts_with(kept)),
        "{:?}",
        merged.notes
    );
    // Killed before the libraries, it is not taken for done.
    run(&mut conn, &["FUNCTION", "DELETE", "new"]);
    let found = survey(&to.target(), &parts, &options())
        .await
        .expect("looks");
    let lacks = found.lacks(Replace::Keep, u64::MAX).join("\n");
    assert!(lacks.contains("function library `new`"), "{lacks}");

    let replaced = load(&to, &parts, "t-2", Replace::Overwrite).await;
    assert_eq!((replaced.keys, replaced.kept), (100, 0));
    assert_eq!(replaced.differences(), Vec::<String>::new());
    assert_eq!(replaced.surveyed.expect("was looked at").extra, 1);
    for key in ["key:7", "key:8"] {
        assert_eq!(run(&mut conn, &["GET", key]), text("from the backup"));
    }
    assert_eq!(run(&mut conn, &["GET", "other"]), text("here"));
    assert_eq!(run(&mut conn, &["FCALL", "f", "0"]), Value::Int(1));

    let flushed = load(&to, &parts, "t-3", Replace::Flush).await;
    assert_eq!(flushed.differences(), Vec::<String>::new());
    assert_eq!(run(&mut conn, &["EXISTS", "other"]), Value::Int(0));
    assert_eq!(seen(&to), seen(&from));
}

#[tokio::test]
async fn one_changed_value_is_found_and_named() {
    let (from, to) = (Server::scratch().await, Server::scratch().await);
    fill(&from);
    let parts = captured(&from).await;
    load(&to, &parts, "t", Replace::Refuse).await;
    let mut conn = client(&to);
    for (change, named) in [
        (
            &["SETRANGE", "s:noise", "1234", "?"][..],
            "key `s:noise` in database 0: byte 1234 differs",
        ),
        (
            &["LSET", "l:big", "1000", "x"],
            "key `l:big` in database 0: element 1000 differs",
        ),
        (
            &["RPUSH", "l:small", "x"],
            "40 elements in the backup and 41 here",
        ),
        (
            &["SREM", "set:big", "member-7"],
            "member `member-7` is missing here",
        ),
        (
            &["HSET", "h:big", "field-77", "x"],
            "field `field-77` differs",
        ),
        (&["ZINCRBY", "z:big", "1e-9", "m3"], "member `m3` differs"),
        (
            &["XDEL", "x:big", "900-0"],
            "key `x:big` in database 0: entry `900-0` is missing here",
        ),
        (
            &["XADD", "x:small", "9-9", "a", "1"],
            "entry `9-9` is only here",
        ),
        (
            &["XACK", "x:big", "workers", "4-0"],
            "consumer group `workers` differs",
        ),
        (&["PERSIST", "s:expiring"], "never expires here"),
        (
            &["DEL", "hyperloglog"],
            "key `hyperloglog` in database 0 is in the backup and not on the server",
        ),
        (
            &["SET", "stray", "x"],
            "key `stray` in database 0 is on the server and not in the backup",
        ),
    ] {
        run(&mut conn, change);
        let compared = compare(&to.target(), &parts, &options())
            .await
            .expect("compares");
        assert_eq!(compared.differences().len(), 1, "{change:?}");
        let found = survey(&to.target(), &parts, &options())
            .await
            .expect("looks");
        assert_eq!(
            found.missing + found.changed + found.extra,
            1,
            "{change:?}: {found:?}"
        );
        assert!(found.lines[0].contains(named), "{change:?}: {found:?}");
        // Back to what it was.
        run(&mut conn, &["DEL", "stray"]);
        load(&to, &parts, named, Replace::Overwrite).await;
    }
    let found = survey(&to.target(), &parts, &options())
        .await
        .expect("looks");
    assert_eq!(found, summitctl::providers::redis::Surveyed::default());
}

#[tokio::test]
async fn queues_with_work_in_them_are_known() {
    let server = Server::scratch().await;
    let mut conn = client(&server);
    for words in [
        &["LPUSH", "bull:mail:wait", "1", "2"][..],
        &["LPUSH", "bull:mail:active", "3"],
        &["ZADD", "bull:mail:delayed", "1", "4"],
        &["ZADD", "bull:mail:completed", "1", "0"],
        &["HSET", "bull:mail:meta", "opts.maxLenEvents", "1"],
        &["LPUSH", "celery", "task"],
        &["LPUSH", "priority-tasks", "a", "b"],
        &["SADD", "_kombu.binding.priority-tasks", "x"],
        &["LPUSH", "queue:default", "a", "b", "c"],
        &["ZADD", "retry", "1", "a"],
        &["LPUSH", "rq:queue:reports", "1"],
        &["LPUSH", "plain-list", "1"],
        &["XADD", "orders", "1-1", "a", "b"],
        &["XADD", "orders", "1-2", "a", "b"],
        &["XADD", "orders", "1-3", "a", "b"],
        &["XGROUP", "CREATE", "orders", "billing", "0"],
        &[
            "XREADGROUP",
            "GROUP",
            "billing",
            "one",
            "COUNT",
            "2",
            "STREAMS",
            "orders",
            ">",
        ],
        &["XACK", "orders", "billing", "1-1"],
        &["XADD", "quiet", "1-1", "a", "b"],
        &["XGROUP", "CREATE", "quiet", "done", "$"],
    ] {
        run(&mut conn, words);
    }
    let parts = captured(&server).await;
    let found = queues(&parts.parts("redis/"));
    let of = |system: &str, name: &str, jobs| Queue {
        system: system.to_owned(),
        name: name.to_owned(),
        jobs,
    };
    assert_eq!(
        found,
        [
            of("BullMQ", "mail", 4),
            of("Celery", "celery", 1),
            of("Celery", "priority-tasks", 2),
            of("RQ", "reports", 1),
            of("Sidekiq", "default", 3),
            of("Sidekiq", "retry", 1),
            // One pending, one not delivered.
            of("stream group", "orders/billing", 2),
        ]
    );
    assert_eq!(found[0].line(), "BullMQ `mail`: 4 jobs would run again");
}

#[tokio::test]
async fn values_above_the_server_s_limit_are_written_in_parts() {
    let small = Options {
        settings: vec![("proto-max-bulk-len".into(), "1mb".into())],
        ..Options::scratch()
    };
    let (from, to) = (Server::scratch().await, Server::start(&small).await);
    let mut conn = client(&from);
    let noise: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut many = redis::pipe();
    for (n, piece) in noise.chunks(1_000).enumerate() {
        many.cmd("RPUSH").arg("list").arg(piece).ignore();
        many.cmd("SADD").arg("set").arg(piece).ignore();
        many.cmd("HSET").arg("hash").arg(n).arg(piece).ignore();
        many.cmd("ZADD")
            .arg("zset")
            .arg(n as f64 / 7.0)
            .arg(piece)
            .ignore();
    }
    let _: () = many.query(&mut conn).expect("fills");
    let at = super::data::later(5).to_string();
    run(&mut conn, &["PEXPIREAT", "hash", &at]);
    run(&mut conn, &["SET", "small", "x"]);
    let parts = captured(&from).await;
    let restored = load(&to, &parts, "t", Replace::Refuse).await;
    assert_eq!(restored.differences(), Vec::<String>::new());
    assert_eq!(restored.keys, 5);
    assert_eq!(seen(&to), seen(&from));

    // What parts cannot carry is refused by name.
    for (key, what) in [("stream", "a stream"), ("text", "a string")] {
        match key {
            "text" => {
                run(&mut conn, &["DEL", "stream"]);
                let mut set = redis::cmd("SET");
                let _: () = set.arg("text").arg(&noise).query(&mut conn).expect("sets");
            }
            _ => {
                for n in 1..2_000 {
                    let id = format!("{n}-0");
                    run(&mut conn, &["XADD", key, &id, "f", &"x".repeat(1_000)]);
                }
            }
        }
        let parts = captured(&from).await;
        let way = RestoreOptions {
            common: options(),
            replace: Replace::Flush,
            token: key.into(),
        };
        let refused = restore(&to.target(), &parts, &way).await;
        let error = refused.expect_err("refuses");
        assert_eq!(error.reason().code, "redis.value-too-large", "{error:?}");
        assert!(error.to_string().contains(what), "{error}");
    }
}
