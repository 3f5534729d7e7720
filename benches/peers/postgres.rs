//! Against `pg_dump -Fd -j2` and `pg_restore -j2` of Postgres 17, on a database of about 1 GB of mixed tables.

use std::process::Command;

use super::measure::{Comparison, Cost, bytes_in, compare, median, run};
use super::ours::JOBS;
use super::server::Server;
use summitctl::sandbox::servers::postgres::SCRATCH;

/// How often each side runs.
const ROUNDS: usize = 3;
/// The database's name.
pub const DATABASE: &str = "platform";

/// What a platform's database holds: orders and readings in narrow rows, events in JSON, documents in words that come as often as
/// words do, and an embedding for each of some sections; a quarter of the bytes or less each.
const FILL: &[&str] = &[
    "CREATE EXTENSION vector",
    "CREATE FUNCTION words(n int) RETURNS text VOLATILE LANGUAGE sql AS $$ \
     SELECT string_agg((ARRAY['ka','lo','mi','ter','san','ver','in','pro','del','ost'])[1 + w % 10] \
                       || (ARRAY['','ra','ne','tion','lich','bo','us','ent','al','ick'])[1 + w / 10 % 10] \
                       || (ARRAY['','s','ed','e'])[1 + w / 100], ' ') \
     FROM (SELECT (400 * random() ^ 3)::int % 400 AS w FROM generate_series(1, n)) x $$",
    "CREATE FUNCTION embedding() RETURNS vector VOLATILE LANGUAGE sql AS $$ \
     SELECT array_agg((random() - 0.5)::real)::vector FROM generate_series(1, 384) $$",
    "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, placed timestamptz NOT NULL, total numeric(12,2), state text, note text)",
    "INSERT INTO orders SELECT n, n % 50021, timestamptz '2020-01-01' + n * interval '17 s', (n % 100000) / 7.0, (ARRAY['new','paid','sent','done'])[1 + n % 4], \
     CASE WHEN n % 10 = 0 THEN words(8) END FROM generate_series(1, 3000000) n",
    "CREATE INDEX orders_customer ON orders (customer)",
    "CREATE TABLE events (id bigserial PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL, key uuid NOT NULL, payload jsonb NOT NULL)",
    "INSERT INTO events (at, kind, key, payload) SELECT timestamptz '2024-01-01' + n * interval '3 s', 'kind-' || n % 40, gen_random_uuid(), \
     jsonb_build_object('user', n % 7919, 'path', '/v1/items/' || n, 'ok', n % 11 <> 0, 'tags', ARRAY['a' || n % 5, 'b' || n % 9], 'ms', n % 977) \
     FROM generate_series(1, 1000000) n",
    "CREATE INDEX events_at ON events (at)",
    "CREATE TABLE readings (sensor int NOT NULL, at timestamptz NOT NULL, a float8, b float8, c float8, d real)",
    "INSERT INTO readings SELECT n % 1009, timestamptz '2023-01-01' + n * interval '1 s', 20 + 5 * sin(n / 3600.0), random() * 1e6, n / 7.0, n / 3.0 FROM generate_series(1, 2500000) n",
    "CREATE TABLE documents (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL, parent int REFERENCES documents)",
    "INSERT INTO documents SELECT n, 'Document ' || n, words(500 + n % 200), CASE WHEN n > 10 THEN n / 10 END FROM generate_series(1, 40000) n",
    "CREATE TABLE sections (id int PRIMARY KEY, document int NOT NULL REFERENCES documents, embedding vector(384) NOT NULL)",
    "INSERT INTO sections SELECT n, 1 + n % 40000, embedding() FROM generate_series(1, 90000) n",
    "VACUUM ANALYZE",
    "CHECKPOINT",
];

/// The database of vectors and floats.
const VECTORS: &str = "vectors";

/// Embeddings and readings, half of the bytes each.
const FILL_VECTORS: &[&str] = &[
    "CREATE EXTENSION vector",
    "CREATE FUNCTION embedding() RETURNS vector VOLATILE LANGUAGE sql AS $$ \
     SELECT array_agg((random() - 0.5)::real)::vector FROM generate_series(1, 384) $$",
    "CREATE TABLE sections (id int PRIMARY KEY, document int NOT NULL, embedding vector(384) NOT NULL)",
    "INSERT INTO sections SELECT n, 1 + n % 40000, embedding() FROM generate_series(1, 160000) n",
    "CREATE TABLE readings (sensor int NOT NULL, at timestamptz NOT NULL, a float8, b float8, c float8, d real, e float8[])",
    "INSERT INTO readings SELECT n % 1009, timestamptz '2023-01-01' + n * interval '1 s', 20 + 5 * sin(n / 3600.0), random() * 1e6, n / 7.0, n / 3.0, \
     ARRAY[random(), random(), random(), random()] FROM generate_series(1, 1600000) n",
    "VACUUM ANALYZE",
    "CHECKPOINT",
];

/// The databases of one table, and how many rows it has.
const GROWING: [(&str, u32); 2] = [("tenth", 500_000), ("tenfold", 5_000_000)];

fn fill(server: &Server, database: &str, statements: &[&str]) {
    let exists = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
    if server.sql("postgres", &exists) == "1" {
        return;
    }
    println!("filling the database `{database}` …");
    server.sql("postgres", "DROP DATABASE IF EXISTS filling");
    server.sql("postgres", "CREATE DATABASE filling");
    for statement in statements {
        server.sql("filling", statement);
    }
    server.sql(
        "postgres",
        &format!("ALTER DATABASE filling RENAME TO {database}"),
    );
}

/// The server with the database.
pub fn filled() -> Server {
    let settings = [
        "shared_buffers=1GB",
        "max_wal_size=4GB",
        "fsync=off",
        "autovacuum=off",
    ];
    let server = Server::start("platform17", 54_017, &settings);
    fill(&server, DATABASE, FILL);
    server
}

/// Our side, as a process of its own.
fn ours(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--ours").args(words);
    command.env(
        "PATH",
        format!(
            "{}:{}",
            super::server::root().join("wrappers").display(),
            std::env::var("PATH").unwrap()
        ),
    );
    command
}

/// Every comparison whose name was asked for.
pub fn all(wanted: &[&String]) -> Vec<Comparison> {
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w.as_str()));
    let server = filled();
    let size = format!("SELECT pg_size_pretty(pg_database_size('{DATABASE}'))");
    println!("database `{DATABASE}`: {}\n", server.sql("postgres", &size));
    let mut results = Vec::new();
    let dumps: Vec<(&str, &str)> = [
        ("pg-dump-zstd", "zstd"),
        ("pg-dump-zstd1", "zstd:1"),
        ("pg-dump-none", "none"),
    ]
    .into_iter()
    .filter(|(name, _)| is_wanted(name))
    .collect();
    if !dumps.is_empty() {
        let mut our_costs = Vec::new();
        let mut their_costs: Vec<Vec<Cost>> = vec![Vec::new(); dumps.len()];
        for _ in 0..ROUNDS {
            our_costs.push(our_dump(&server, DATABASE));
            for (costs, (_, compress)) in their_costs.iter_mut().zip(&dumps) {
                costs.push(their_dump(&server, DATABASE, compress));
            }
        }
        let ours = median(our_costs);
        for ((name, compress), costs) in dumps.iter().zip(their_costs) {
            let peer = format!("pg_dump 17 -Fd -j{JOBS} --compress={compress}");
            results.push(compare(name, &peer, ours, median(costs)));
        }
    }
    if is_wanted("pg-second-backup") {
        results.extend(second(&server));
    }
    if is_wanted("pg-dump-tenfold") {
        results.push(tenfold(&server));
    }
    if is_wanted("pg-restore") {
        results.push(restores(
            "pg-restore",
            DATABASE,
            "restore",
            &server,
            &server,
        ));
    }
    if is_wanted("pg-restore-scratch") {
        let into = scratch();
        results.push(restores(
            "pg-restore-scratch",
            DATABASE,
            "prove",
            &server,
            &into,
        ));
    }
    if is_wanted("pg-restore-vectors") {
        fill(&server, VECTORS, FILL_VECTORS);
        results.push(restores(
            "pg-restore-vectors",
            VECTORS,
            "restore",
            &server,
            &server,
        ));
    }
    results
}

fn our_dump(server: &Server, database: &str) -> Cost {
    let folder = server.folder("ours");
    let path = folder.to_str().unwrap();
    run(&mut ours(&["make", path]), server.pid);
    let url = server.url(database);
    let mut cost = run(
        &mut ours(&["dump", path, &url, "20260101T000000Z-0001"]),
        server.pid,
    );
    cost.bytes = bytes_in(&folder);
    cost
}

fn their_dump(server: &Server, database: &str, compress: &str) -> Cost {
    let folder = server.folder("theirs");
    let mut dump = server.client("pg_dump");
    dump.args([
        "-Fd",
        &format!("-j{JOBS}"),
        &format!("--compress={compress}"),
    ])
    .args(["-f", "/bench/theirs", database]);
    let mut cost = run(&mut dump, server.pid);
    cost.bytes = bytes_in(&folder);
    cost
}

/// One table, and one with ten times its rows: ten times what the first one costs, through what the second one does.
fn tenfold(server: &Server) -> Comparison {
    let [small, large] = GROWING.map(|(database, rows)| {
        let make = "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, placed timestamptz NOT NULL, total numeric(12,2), state text, note text)";
        let insert = format!(
            "INSERT INTO orders SELECT n, n % 50021, timestamptz '2020-01-01' + n * interval '17 s', (n % 100000) / 7.0, \
             (ARRAY['new','paid','sent','done'])[1 + n % 4], md5(n::text) || md5((-n)::text) FROM generate_series(1, {rows}) n"
        );
        fill(server, database, &[make, &insert, "VACUUM ANALYZE", "CHECKPOINT"]);
        median((0..ROUNDS).map(|_| our_dump(server, database)).collect())
    });
    let name = "pg-dump-tenfold";
    for (what, cost) in [("a tenth", small), ("the whole", large)] {
        println!(
            "{name:<22} {what:<26} {:>6.2} CPU s, {:>6.2} s wall, {:.2} cores, {} MiB resident",
            cost.cpu(),
            cost.wall,
            cost.cpu() / cost.wall,
            cost.memory >> 20
        );
    }
    Comparison {
        name: name.to_owned(),
        peer: "ten times a tenth of its rows".to_owned(),
        metric: "CPU seconds, client and server, of our own dump of one table".to_owned(),
        ours: large.cpu(),
        theirs: small.cpu() * 10.0,
        ratio: small.cpu() * 10.0 / large.cpu(),
        throughput: None,
    }
}

/// A twentieth of new rows, then both sides again: what a second backup costs, and how much it writes.
fn second(server: &Server) -> [Comparison; 2] {
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    let mut first = 0;
    server.sql("postgres", "DROP DATABASE IF EXISTS grown");
    for round in 0..ROUNDS {
        server.sql(
            "postgres",
            &format!("CREATE DATABASE grown TEMPLATE {DATABASE}"),
        );
        let folder = server.folder("ours");
        let path = folder.to_str().unwrap();
        run(&mut ours(&["make", path]), server.pid);
        let url = server.url("grown");
        run(
            &mut ours(&["dump", path, &url, "20260101T000000Z-0001"]),
            server.pid,
        );
        for grow in [
            "INSERT INTO orders SELECT n, n % 50021, now(), n / 7.0, 'new', NULL FROM generate_series(3000001, 3150000) n",
            "INSERT INTO events (at, kind, key, payload) SELECT now(), 'kind', gen_random_uuid(), jsonb_build_object('n', n, 'text', words(10)) FROM generate_series(1, 50000) n",
            "INSERT INTO readings SELECT n, now(), random(), random(), random(), 1 FROM generate_series(1, 125000) n",
            "INSERT INTO documents SELECT n, 'New ' || n, words(600), 1 FROM generate_series(40001, 42000) n",
            "INSERT INTO sections SELECT 90000 + id, document, embedding() FROM sections WHERE id <= 4500",
            "CHECKPOINT",
        ] {
            server.sql("grown", grow);
        }
        let before = bytes_in(&folder);
        let mut cost = run(
            &mut ours(&["dump", path, &url, "20260101T000000Z-0002"]),
            server.pid,
        );
        cost.bytes = bytes_in(&folder) - before;
        first = before;
        println!(
            "round {round}: {:.1} % new bytes",
            cost.bytes as f64 * 100.0 / before as f64
        );
        our_costs.push(cost);
        let theirs = server.folder("theirs");
        let mut dump = server.client("pg_dump");
        dump.args([
            "-Fd",
            &format!("-j{JOBS}"),
            "--compress=zstd",
            "-f",
            "/bench/theirs",
            "grown",
        ]);
        let mut cost = run(&mut dump, server.pid);
        cost.bytes = bytes_in(&theirs);
        their_costs.push(cost);
        server.sql("postgres", "DROP DATABASE grown");
    }
    let peer = format!("pg_dump 17 -Fd -j{JOBS} --compress=zstd");
    let (ours, theirs) = (median(our_costs), median(their_costs));
    let share = ours.bytes as f64 * 100.0 / first as f64;
    let bytes = Comparison {
        name: "pg-second-backup-bytes".to_owned(),
        peer: peer.clone(),
        metric: "percent of the first backup that is written anew".to_owned(),
        ours: share,
        theirs: 100.0,
        ratio: 100.0 / share,
        throughput: None,
    };
    [compare("pg-second-backup", &peer, ours, theirs), bytes]
}

/// Both sides' dumps back into databases of their own, on the server that they came from, or on a scratch server as `verify --level 3`
/// does it.
fn restores(name: &str, database: &str, how: &str, server: &Server, into: &Server) -> Comparison {
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    our_dump(server, database);
    their_dump(server, database, "zstd:1");
    let ours_at = server.folder_of("ours");
    let path = ours_at.to_str().unwrap();
    let url = into.url("postgres");
    for _ in 0..ROUNDS {
        into.sql("postgres", "DROP DATABASE IF EXISTS back");
        into.sql("postgres", "CHECKPOINT");
        let words = [how, path, &url, "20260101T000000Z-0001", "back"];
        our_costs.push(run(&mut ours(&words), into.pid));
        into.sql("postgres", "DROP DATABASE back");
        into.sql("postgres", "CREATE DATABASE back");
        into.sql("postgres", "CHECKPOINT");
        let mut restore = into.client("pg_restore");
        restore.args([&format!("-j{JOBS}"), "-d", "back", "/bench/theirs"]);
        their_costs.push(run(&mut restore, into.pid));
        into.sql("postgres", "DROP DATABASE back");
    }
    let peer = format!("pg_restore 17 -j{JOBS}");
    compare(name, &peer, median(our_costs), median(their_costs))
}

/// A server as drills start them: nothing on it needs to survive a crash.
fn scratch() -> Server {
    Server::start("scratch17", 54_018, SCRATCH)
}
