//! Recovery without us: the three stores come back from the raw repository by the commands of `docs/FORMAT.md`, the scripts of
//! `docs/recover/`, and the tools that come with age, zstd and the databases. And a reader that was written after the page alone
//! comes to the same fingerprints.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use summitctl::providers::neo4j::Target;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::bolt::{Begin, Connection};
use summitctl::secret::Secret;
use summitctl::wait::Deadline;

use crate::program::{Program, said};

/// What Cypher can say, and what is easily said wrong.
const GRAPH: [&str; 5] = [
    "CREATE (:Odd:`two words`:`tick``ed` {nan: 0.0 / 0.0, up: 1.0 / 0.0, down: -1.0 / 0.0, zero: -0.0, tiny: 5e-324, whole: 1.0,
        least: -9223372036854775808, yes: true, none: [], floats: [1.5, 2.0], text: 'it\\'s \\\\u0041 \\n \u{1F3D4} \"`', `two words`: 'x'})",
    "CREATE (:Temporal {d: date('-0044-03-15'), far: date('+999999999-12-31'), t: time('00:00:00.5-18:00'), lt: localtime('12:34:56.000000001'),
        ldt: localdatetime('1582-10-15T00:00:00.5'), dt: datetime('2026-11-21T03:04:05.678+05:45'), old: datetime('1883-11-18T12:00:00[America/New_York]'),
        first: datetime('2026-10-25T02:30:00+02:00[Europe/Berlin]'), second: datetime('2026-10-25T02:30:00+01:00[Europe/Berlin]'),
        span: duration('P14M-3DT-0.000000001S'), flat: point({x: -0.0, y: 1e308}), high: point({longitude: 12.5, latitude: -7.25, height: 8848.86}),
        dates: [date('2020-02-29'), date('2021-03-01')]})",
    "CREATE (), (:Twin {k: 1})-[:KNOWS {since: date('2020-02-29')}]->(h:Hub {k: 0})-[:`to be`]->(h), (:Twin {k: 1})",
    "UNWIND range(1, 300) AS i CREATE (:Many {i: i})-[:NEXT {w: i / 7.0}]->(:Many {i: -i, pad: 'some words ' + i})",
    "CREATE TEXT INDEX pads FOR (n:Many) ON (n.pad)",
];

/// Nodes, and relationships with what their ends hold, since ids are made anew.
const NODES: &str = "MATCH (n) WHERE NOT n:__SummitctlMarker RETURN labels(n), properties(n)";
const RELATIONSHIPS: &str = "MATCH (a)-[r]->(b) RETURN labels(a), properties(a), type(r), properties(r), labels(b), properties(b)";

const TABLES: &str = "SET ROLE operator;
    CREATE TABLE \"odd \"\" name\" (\"a \"\" column\" text, b bytea, c numeric, d timestamptz, e int GENERATED ALWAYS AS IDENTITY);
    INSERT INTO \"odd \"\" name\" (\"a \"\" column\", b, c, d) VALUES (E'line\\nline\\t\\\\.', '\\x00ff', 'NaN', '-infinity'), (NULL, '', 1e100, '0044-03-15 BC');
    CREATE TABLE kinds (id int PRIMARY KEY, what regtype, path ltree, text text);
    CREATE TABLE nothing ();
    INSERT INTO nothing DEFAULT VALUES;
    INSERT INTO nothing DEFAULT VALUES;
    CREATE SEQUENCE nearly_done;
    SELECT setval('nearly_done', 9223372036854775806);
    CREATE MATERIALIZED VIEW odd_ones AS SELECT count(*) AS n FROM \"odd \"\" name\";
    SELECT lo_from_bytea(4711, decode(repeat('00ff', 200000), 'hex'))";

/// Every encoding that the server chooses for small and large values, and values so large that they are kept in pieces.
const KEYS: &str = "local call = redis.call
    for i = 1, 40000 do
        call('HSET', 'large:hash', 'field' .. i, string.rep('x', 60)) call('RPUSH', 'large:list', i .. string.rep('y', 60))
        call('ZADD', 'large:zset', i / 3, 'member' .. i .. string.rep('z', 40))
    end
    for i = 1, 18000 do call('SADD', 'large:set', i .. string.rep('t', 60)) end
    call('SET', 'large:text', string.rep('w', 3000000)) call('SET', 'whole:text', string.rep('q', 1200000))
    call('ZADD', 'zset', '-0', 'zero', 'inf', 'up', '-inf', 'down', 1.5, 'half', 3, 'three')
    for i = 1, 300 do call('ZADD', 'scores', i % 2 == 0 and '-0' or tostring(1 / i), 'm' .. i) end
    call('ZADD', 'scores', 'inf', 'up', '-inf', 'down')
    call('SADD', 'ints', 1, -2) call('SADD', 'ints:32', 70000, -1) call('SADD', 'ints:64', '5000000000', '-9000000000000') call('SADD', 'words', 'a', 12)
    call('RPUSH', 'list', 'a', 1, -1, 127, 128, 4095, -4096, 4096, 32767, -32768, 40000, 8388607, '-8388608', '8388608', '-2147483648', '2147483648',
         string.rep('x', 100), string.rep('y', 5000))
    call('HSET', 'hash', 'a', 1, 'b', 'text', 'c', -300)
    call('SET', 'int8', 12) call('SET', 'int16', -3000) call('SET', 'int32', 2000000) call('SET', 'int64', '99999999999') call('SET', 'empty', '')
    call('SET', 'packed', string.rep('abcabcabd', 300)) call('SET', 'expires', 'v', 'EX', 100000)
    for i = 1, 500 do call('XADD', 'stream', i .. '-0', 'name', 'value' .. i, 'n', i) end
    call('XADD', 'stream', '500-7', 'other', 1) call('XADD', 'stream', '501-2', 'f', 2, 'g', 3) call('XDEL', 'stream', '20-0') call('XDEL', 'stream', '500-7')
    for i = 1, 3000 do
        local noise = {} for j = 1, 1000 do noise[j] = string.char(math.random(0, 255)) end
        call('XADD', 'large:stream', i .. '-1', 'field', table.concat(noise)) call('XADD', 'whole:stream', i .. '-1', 'field', string.rep('z', 600))
    end
    call('XGROUP', 'CREATE', 'large:stream', 'workers', '0') call('XREADGROUP', 'GROUP', 'workers', 'bob', 'COUNT', 30, 'STREAMS', 'large:stream', '>')
    call('XADD', 'emptied', '5-5', 'a', 'b') call('XDEL', 'emptied', '5-5')
    call('XGROUP', 'CREATE', 'stream', 'workers', '0') call('XGROUP', 'CREATE', 'stream', 'audit', '$') call('XGROUP', 'CREATECONSUMER', 'stream', 'workers', 'idle')
    call('XREADGROUP', 'GROUP', 'workers', 'bob', 'COUNT', 3, 'STREAMS', 'stream', '>') call('XREADGROUP', 'GROUP', 'workers', 'alice', 'COUNT', 2, 'STREAMS', 'stream', '>')
    call('SELECT', 3) call('SET', 'three', 'x')
    return 1";

/// What those and the sandbox's own data are kept in.
const FORMATS: [&str; 11] = [
    "json",
    "neo4j-packstream",
    "pg-catalogue-jsonl-3",
    "pg-copy-binary",
    "pg-copy-text",
    "pg-dump-custom",
    "pg-large-objects-jsonl",
    "pg-roles-jsonl",
    "pg-sequences-jsonl",
    "redis-dump-stream",
    "redis-function-dump",
];

async fn graph(program: &Program) -> Connection {
    let target = Target {
        port: program.server("neo4j").port,
        password: Some(Secret::new(program.secret("neo4j/password"))),
        ..Target::parse("bolt://127.0.0.1", None, None).unwrap()
    };
    let soon = Deadline::after(std::time::Duration::from_secs(30));
    Connection::open(&target, soon).await.unwrap()
}

/// Statements one after the other, as `cypher-shell`, which cannot be had here, sends them.
async fn cypher(program: &Program, statements: impl IntoIterator<Item = &str>) {
    let mut connection = graph(program).await;
    for statement in statements {
        let none = Value::Map(Vec::new());
        let begin = Begin::write("test");
        let mut records = connection.run_alone(statement, none, &begin).await.unwrap();
        loop {
            let next = records.next().await;
            if next
                .unwrap_or_else(|e| panic!("{statement:.300}: {e}"))
                .is_none()
            {
                break;
            }
        }
    }
    connection.close().await;
}

/// The answers to a query, in an order of their own. The order of labels means nothing.
async fn answers(program: &Program, query: &str) -> Vec<String> {
    let mut connection = graph(program).await;
    let none = Value::Map(Vec::new());
    let rows = connection.query(query, none, &Begin::read("test")).await;
    connection.close().await;
    let mut rows: Vec<String> = rows.unwrap().iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

/// Where `docs` is.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The shell blocks of the page, in order.
fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/FORMAT.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs a script with what an engineer would have in hand.
fn bash(program: &Program, out: &Path, backup: &str, script: &str) -> Output {
    let postgres = program.server("postgres");
    let keys = program.dir.join("sandbox/keys");
    Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", script])
        .current_dir(root())
        .env("REPO", program.dir.join("sandbox/repository"))
        .env("IDENTITY", keys.join("identity"))
        .env("SIGNER", keys.join("signing.pub.pem"))
        .env("BACKUP", backup)
        .env("OUT", out)
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", postgres.port.to_string())
        .env("PGUSER", &postgres.user)
        .env("PGPASSWORD", program.secret("postgres/password"))
        .env("REDISCLI_AUTH", program.secret("redis/password"))
        .env("REDIS_PORT", program.server("redis").port.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_stores_come_back_without_this_program() {
    let program = Program::start("stock");
    let mut session = program.postgres().await;
    let superuser = "CREATE EXTENSION ltree";
    sqlx::raw_sql(superuser)
        .execute(&mut session)
        .await
        .unwrap();
    sqlx::raw_sql(TABLES).execute(&mut session).await.unwrap();
    let rows = r"INSERT INTO kinds VALUES (1, 'int4', 'top.middle.low', E'\\\\\t\b\f\v\r\n\\\\.'), (2, NULL, NULL, E'\\\\N')";
    sqlx::raw_sql(rows).execute(&mut session).await.unwrap();
    // A small graph: each statement of the script is a new one to the server, which takes its time to plan it.
    cypher(&program, ["MATCH (n) DETACH DELETE n"]).await;
    cypher(&program, GRAPH).await;
    let _: u64 = program.redis(&["EVAL", KEYS, "0"]).await;
    for library in ["first", "second"] {
        let code = format!(
            "#!lua name={library}\nredis.register_function('{library}', function() return '{}' end)",
            "z".repeat(400)
        );
        let _: String = program.redis(&["FUNCTION", "LOAD", &code]).await;
    }
    program.ok(&["backup", "create", "--yes", "--context", "sandbox"]);
    let backup = program.backups().remove(0);
    let before = [
        answers(&program, NODES).await,
        answers(&program, RELATIONSHIPS).await,
    ];
    assert!(before.iter().all(|rows| rows.len() > 300));

    // From the repository's files to the parts, as the page says.
    let out = program.dir.join("recovered");
    std::fs::create_dir(&out).unwrap();
    let blocks = blocks();
    for block in [&blocks[0], &blocks[1], &blocks[3]] {
        let done = bash(&program, &out, &backup, block);
        assert!(done.status.success(), "{block}: {}", said(&done));
    }

    fingerprints_by_the_page_alone(&program, &out, &backup);

    // Everything is lost.
    let lost = "psql -qd postgres -c 'DROP DATABASE app WITH (FORCE)' -c 'CREATE DATABASE app OWNER operator'; redis-cli -p $REDIS_PORT FLUSHALL; redis-cli -p $REDIS_PORT FUNCTION FLUSH";
    let done = bash(&program, &out, &backup, lost);
    assert!(done.status.success(), "{}", said(&done));
    cypher(&program, ["MATCH (n) DETACH DELETE n"]).await;
    for (kind, all) in [("CONSTRAINT", "CONSTRAINTS"), ("INDEX", "INDEXES")] {
        let mut connection = graph(&program).await;
        let all = format!("SHOW {all} YIELD name, type WHERE type <> 'LOOKUP' RETURN name");
        let none = Value::Map(Vec::new());
        let names = connection.query(&all, none, &Begin::read("test")).await;
        connection.close().await;
        for row in names.unwrap() {
            let Value::String(name) = &row[0] else {
                panic!("no name")
            };
            cypher(&program, [format!("DROP {kind} `{name}`").as_str()]).await;
        }
    }

    // And comes back.
    let done = bash(
        &program,
        &out,
        &backup,
        "DATABASE=app TARGET=app docs/recover/postgres.sh",
    );
    assert!(done.status.success(), "{}", said(&done));
    let done = bash(
        &program,
        &out,
        &backup,
        "docs/recover/redis.sh | redis-cli -p $REDIS_PORT --pipe",
    );
    assert!(said(&done).contains("errors: 0"), "{}", said(&done));
    let done = bash(&program, &out, &backup, "docs/recover/neo4j.sh");
    assert!(done.status.success(), "{}", said(&done));
    let statements = String::from_utf8(done.stdout).unwrap();
    cypher(
        &program,
        statements.lines().map(|line| line.trim_end_matches(';')),
    )
    .await;
    for (query, before) in [NODES, RELATIONSHIPS].iter().zip(before) {
        let after = answers(&program, query).await;
        let differ = after.iter().zip(&before).find(|(a, b)| a != b);
        assert!(after == before, "{query}: {differ:?}");
    }

    // The same by every fingerprint, but for those of nodes and relationships, which hold the ids of nodes. The servers are new
    // ones to us.
    let config = std::fs::read_to_string(program.dir.join("sandbox/summitctl.toml")).unwrap();
    let file = program.dir.join("sandbox/recovered.toml");
    let config = config.replace("contexts.sandbox", "contexts.recovered");
    let config = config.replace(
        "default-context = \"sandbox\"",
        "default-context = \"recovered\"",
    );
    std::fs::write(&file, config).unwrap();
    let file = file.to_string_lossy().into_owned();
    program.ok(&["backup", "create", "--yes", "--config", &file]);
    let again = program.backups().remove(0);
    assert_ne!(again, backup);
    let compared = program.json(&["backup", "diff", &backup, &again, "--context", "sandbox"]);
    let mut different = Vec::new();
    for store in compared["stores"].as_array().unwrap() {
        for part in store["parts"].as_array().unwrap() {
            different.push(part["name"].as_str().unwrap().to_owned());
        }
    }
    let graph = ["neo4j/neo4j/nodes", "neo4j/neo4j/relationships"];
    assert_eq!(different, graph, "{compared}");
}

/// The reader that was written after the page finds every part's fingerprint in the raw repository, and a changed byte.
fn fingerprints_by_the_page_alone(program: &Program, out: &Path, backup: &str) {
    let contents = std::fs::read(out.join("contents.json")).unwrap();
    let contents: serde_json::Value = serde_json::from_slice(&contents).unwrap();
    let stores = contents["stores"].as_array().unwrap();
    let mut expected = Vec::new();
    let mut formats = std::collections::BTreeSet::new();
    for part in stores
        .iter()
        .flat_map(|s| s["captured"]["parts"].as_array().unwrap())
    {
        formats.insert(part["format"].as_str().unwrap());
        let name = part["name"].as_str().unwrap();
        expected.push(match part["fingerprint"].as_str() {
            Some(print) => format!("same {} {name}", print.split(':').next().unwrap()),
            None => format!("- - {name}"),
        });
    }
    assert_eq!(Vec::from_iter(formats), FORMATS);
    let read = bash(program, out, backup, "docs/recover/fingerprints.py");
    assert!(read.status.success(), "{}", said(&read));
    let told = String::from_utf8_lossy(&read.stdout).into_owned();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);

    let part = "postgres/app/sequences";
    let segments = stores.iter().find_map(|s| s["segments"].get(part)).unwrap();
    let id = segments[0]["id"].as_str().unwrap();
    let segment = program.dir.join("sandbox/repository/segments");
    let segment = segment.join(&id[..2]).join(format!("{id}.zst.age"));
    let whole = std::fs::read(&segment).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&segment).unwrap();
    std::fs::write(&segment, changed).unwrap();
    let script = format!("docs/recover/fingerprints.py {part}");
    let read = bash(program, out, backup, &script);
    std::fs::write(&segment, whole).unwrap();
    assert_eq!(read.status.code(), Some(1), "{}", said(&read));
    assert!(
        said(&read).contains(&format!("DIFFERENT - {part}")),
        "{}",
        said(&read)
    );
}

#[test]
fn a_byte_array_that_cypher_cannot_write_is_named() {
    let program = std::env::temp_dir().join(format!("summitctl-stock-{}", std::process::id()));
    std::fs::create_dir_all(program.join("parts")).unwrap();
    let parts: Vec<_> = ["nodes", "relationships", "schema"]
        .iter()
        .map(|name| serde_json::json!({"name": format!("neo4j/neo4j/{name}")}))
        .collect();
    let contents = serde_json::json!({"stores": [{"captured": {"parts": parts}}]});
    std::fs::write(program.join("contents.json"), contents.to_string()).unwrap();
    // One node, `[1, [], {"b": #ff}]`.
    let node = [0x93, 1, 0x90, 0xa1, 0x81, b'b', 0xcc, 1, 0xff];
    let frame = [&[0, 0, 0, node.len() as u8][..], &node].concat();
    for (file, bytes) in [("0", &frame[..]), ("1", b""), ("2", b"[]")] {
        std::fs::write(program.join("parts").join(file), bytes).unwrap();
    }
    let done = Command::new(root().join("docs/recover/neo4j.sh"))
        .env("OUT", &program)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&program).unwrap();
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    assert!(
        said(&done).contains("node 1: the byte array `b` is left out"),
        "{}",
        said(&done)
    );
}
