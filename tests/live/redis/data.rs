//! Data of every type and encoding, and what clients see of them: the independent witness of a round trip.

use std::collections::BTreeMap;

use redis::{Commands as _, Connection, Value, cmd};

use super::Server;

/// A client's own connection, past everything that is tested.
pub fn client(server: &Server) -> Connection {
    let url = format!(
        "redis://:{}@127.0.0.1:{}/",
        server.running.password.expose(),
        server.running.port
    );
    let client = redis::Client::open(url).expect("a URL");
    client.get_connection().expect("connects")
}

/// Runs one command of words.
pub fn run(conn: &mut Connection, words: &[&str]) -> Value {
    let mut command = cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command
        .query(conn)
        .unwrap_or_else(|e| panic!("{words:?}: {e}"))
}

/// An hour and more from now, in milliseconds since the epoch.
pub fn later(extra: u64) -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).expect("a clock");
    since.as_millis() as u64 + 3_600_000 + extra
}

/// Fills several databases with every type, small and big, and a function library.
pub fn fill(server: &Server) {
    fill_keys(server);
    let mut conn = client(server);
    let code = "#!lua name=lib\nredis.register_function('twice', function(_, args) return args[1] * 2 end)";
    run(&mut conn, &["FUNCTION", "LOAD", code]);
}

/// Fills several databases with every type that all versions have, small and big.
pub fn fill_keys(server: &Server) {
    let mut conn = client(server);
    strings(&mut conn);
    collections(&mut conn);
    streams(&mut conn);
    for (database, keys) in [(1, 3), (5, 40), (15, 1)] {
        run(&mut conn, &["SELECT", &database.to_string()]);
        for key in 0..keys {
            let _: () = conn.set(format!("db{database}:{key}"), key).expect("sets");
        }
    }
}

fn strings(conn: &mut Connection) {
    let binary: Vec<u8> = (0..=255).collect();
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let values: Vec<(Vec<u8>, Vec<u8>)> = vec![
        (b"s:empty".to_vec(), vec![]),
        (b"s:short".to_vec(), b"value".to_vec()),
        (b"s:int8".to_vec(), b"-100".to_vec()),
        (b"s:int16".to_vec(), b"30000".to_vec()),
        (b"s:int32".to_vec(), b"-2000000000".to_vec()),
        (b"s:int64".to_vec(), b"9223372036854775807".to_vec()),
        (b"s:not-int".to_vec(), b"007".to_vec()),
        (b"s:lzf".to_vec(), b"abcabcabc".repeat(5_000)),
        (b"s:noise".to_vec(), noise),
        (binary.clone(), binary),
        (b"s:key:".repeat(2_000), b"a long key".to_vec()),
        ("ключ\u{1F511}".into(), "значение".into()),
    ];
    for (key, value) in &values {
        let _: () = conn.set(key, value).expect("sets");
    }
    let _: () = conn.set("s:expiring", "x").expect("sets");
    run(conn, &["PEXPIREAT", "s:expiring", &later(123).to_string()]);
    run(conn, &["PFADD", "hyperloglog", "a", "b", "c"]);
    run(conn, &["SETBIT", "bitmap", "100000", "1"]);
}

fn collections(conn: &mut Connection) {
    let long = "x".repeat(300);
    for n in 0..20 {
        run(
            conn,
            &["RPUSH", "l:small", &n.to_string(), &format!("item-{n}")],
        );
        run(
            conn,
            &["SADD", "set:ints", &(n * 1_000_000_007_i64 - 5).to_string()],
        );
        run(conn, &["SADD", "set:small-ints", &n.to_string()]);
        run(
            conn,
            &["HSET", "h:small", &format!("f{n}"), &(n - 10).to_string()],
        );
        run(
            conn,
            &[
                "ZADD",
                "z:small",
                &format!("{}", n as f64 * 0.37),
                &format!("m{n}"),
            ],
        );
        run(
            conn,
            &["ZADD", "z:whole", &(n - 10).to_string(), &format!("m{n}")],
        );
    }
    for n in 0..2_000 {
        run(
            conn,
            &["RPUSH", "l:big", &format!("item-{n}"), &n.to_string()],
        );
        run(conn, &["SADD", "set:big", &format!("member-{n}")]);
        run(
            conn,
            &[
                "HSET",
                "h:big",
                &format!("field-{n}"),
                &format!("value-{n}"),
            ],
        );
        run(
            conn,
            &[
                "ZADD",
                "z:big",
                &format!("{:e}", f64::from(n) * 1e-7 - 1e-5),
                &format!("m{n}"),
            ],
        );
    }
    for n in [
        -9_000_000_000_000_000_000_i64,
        -70_000,
        -300,
        -5_000_000,
        70_000,
        8_000_000,
        4_000_000_000,
    ] {
        run(conn, &["RPUSH", "l:numbers", &n.to_string()]);
    }
    run(conn, &["RPUSH", "l:plain", &"p".repeat(20_000), "after"]);
    run(conn, &["SADD", "set:text", "a", "b", &long]);
    run(conn, &["HSET", "h:long", "f", &long]);
    run(conn, &["HSET", "h:expiring", "f", "v"]);
    run(conn, &["PEXPIREAT", "h:expiring", &later(77).to_string()]);
    run(
        conn,
        &[
            "ZADD", "z:edges", "inf", "top", "-inf", "bottom", "-0", "zero", "1e308", "huge",
        ],
    );
    run(conn, &["ZADD", "z:long", "1.5", &long]);
    run(
        conn,
        &["GEOADD", "geo", "13.361389", "38.115556", "Palermo"],
    );
}

fn streams(conn: &mut Connection) {
    run(conn, &["XADD", "x:small", "1-1", "a", "1", "b", "two"]);
    run(conn, &["XADD", "x:small", "1-2", "a", "3", "b", "four"]);
    run(
        conn,
        &[
            "XADD",
            "x:small",
            "2-0",
            "other",
            "fields",
            "here",
            "9999999999",
        ],
    );
    for n in 1..=1_500 {
        run(
            conn,
            &[
                "XADD",
                "x:big",
                &format!("{n}-0"),
                "n",
                &n.to_string(),
                "text",
                &format!("entry {n}"),
            ],
        );
    }
    run(conn, &["XDEL", "x:big", "7-0", "800-0", "1500-0"]);
    run(conn, &["XGROUP", "CREATE", "x:big", "workers", "0"]);
    run(conn, &["XGROUP", "CREATE", "x:big", "idle", "$"]);
    run(
        conn,
        &[
            "XREADGROUP",
            "GROUP",
            "workers",
            "one",
            "COUNT",
            "150",
            "STREAMS",
            "x:big",
            ">",
        ],
    );
    run(
        conn,
        &[
            "XREADGROUP",
            "GROUP",
            "workers",
            "two",
            "COUNT",
            "10",
            "STREAMS",
            "x:big",
            ">",
        ],
    );
    run(conn, &["XACK", "x:big", "workers", "1-0", "2-0"]);
    run(conn, &["XCLAIM", "x:big", "workers", "two", "0", "3-0"]);
    run(
        conn,
        &["XGROUP", "CREATECONSUMER", "x:big", "workers", "three"],
    );
    run(conn, &["XADD", "x:emptied", "5-0", "a", "1"]);
    run(conn, &["XDEL", "x:emptied", "5-0"]);
    run(conn, &["XGROUP", "CREATE", "x:fresh", "g", "0", "MKSTREAM"]);
}

/// What clients see: by database and key, the value by typed commands, and the expiry.
pub fn seen(server: &Server) -> BTreeMap<(u32, Vec<u8>), String> {
    let mut conn = client(server);
    let mut out = BTreeMap::new();
    for database in 0..16_u32 {
        let _: () = cmd("SELECT")
            .arg(database)
            .query(&mut conn)
            .expect("selects");
        let keys: Vec<Vec<u8>> = conn.keys("*").expect("lists");
        for key in keys {
            if key.starts_with(b"summitctl:") {
                continue;
            }
            let shown = shown(&mut conn, &key);
            out.insert((database, key), shown);
        }
    }
    out
}

fn shown(conn: &mut Connection, key: &[u8]) -> String {
    let kind: String = conn.key_type(key).expect("has a type");
    let expiry: i64 = cmd("PEXPIRETIME").arg(key).query(conn).expect("expiry");
    let mut ask = |words: &[&str]| -> Value {
        let mut command = cmd(words[0]);
        command.arg(key);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query(conn).expect("reads")
    };
    let value = match kind.as_str() {
        "string" => format!("{:?}", ask(&["GET"])),
        "list" => format!("{:?}", ask(&["LRANGE", "0", "-1"])),
        "set" => sorted(ask(&["SMEMBERS"]), 1),
        "hash" => sorted(ask(&["HGETALL"]), 2),
        "zset" => sorted(ask(&["ZRANGE", "0", "-1", "WITHSCORES"]), 2).replace("\"-0\"", "\"0\""),
        "stream" => {
            let entries = format!("{:?}", ask(&["XRANGE", "-", "+"]));
            let mut command = cmd("XINFO");
            command
                .arg("STREAM")
                .arg(key)
                .arg("FULL")
                .arg("COUNT")
                .arg(0);
            let full: Value = command.query(conn).expect("reads");
            format!("{entries} {}", info(&full))
        }
        other => panic!("type {other}"),
    };
    format!("{kind} {expiry} {value}")
}

/// XINFO without the radix tree's shape, and with times that do not run: a consumer's idle time is left out.
fn info(value: &Value) -> String {
    let text = format!("{value:?}");
    let mut out = Vec::new();
    let mut skip = false;
    for word in text.split("bulk-string") {
        let name =
            word.contains("radix-tree") || word.contains("seen-time") || word.contains("idle");
        if !skip {
            out.push(word);
        }
        skip = name;
    }
    out.concat()
}

fn sorted(value: Value, width: usize) -> String {
    let Value::Array(items) = value else {
        panic!("not a list")
    };
    let mut rows: Vec<String> = items.chunks(width).map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows.concat()
}
