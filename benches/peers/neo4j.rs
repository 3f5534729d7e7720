//! Against the official Python driver: a plain export of all nodes and relationships, and a restore in batches of
//! `UNWIND … CREATE`, on a graph of half a million nodes and a million relationships.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::measure::{Comparison, Cost, bytes_in, compare, cpu_of_tree, median, run};
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::bolt::{Begin, Connection};
use summitctl::providers::neo4j::{self, Target, import};
use summitctl::sandbox::servers::neo4j as server;
use summitctl::secret::Secret;
use summitctl::wait::Deadline;

/// How often each side exports.
const ROUNDS: usize = 3;
const NODES: i64 = 500_000;
const BATCH: i64 = 20_000;
const BACKUP: &str = "20260101T000000Z-0001";
const SCRIPT: &str = include_str!("neo4j_peer.py");

/// The size of every server here: a proof's own has the default, which is smaller.
fn size() -> server::Options {
    server::Options {
        heap_mib: 1_024,
        page_cache_mib: 512,
        ..Default::default()
    }
}

fn cache() -> PathBuf {
    std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
            PathBuf::from,
        )
        .join("summitctl")
}

fn folder(name: &str) -> PathBuf {
    let folder = cache().join("bench-neo4j").join(name);
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    folder
}

fn fresh(name: &str) -> PathBuf {
    let folder = folder(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

async fn query(connection: &mut Connection, text: &str, from: i64) -> i64 {
    let parameters = Value::map([
        ("from", Value::Int(from)),
        ("to", (from + BATCH - 1).into()),
    ]);
    let begin = Begin::write("bench").unlimited();
    let rows = connection.query(text, parameters, &begin).await.unwrap();
    rows.first()
        .and_then(|row| row.first()?.as_int())
        .unwrap_or(0)
}

/// People with what applications keep of them, and whom they know.
async fn fill(target: &Target) {
    let soon = Deadline::after(Duration::from_secs(30));
    let mut connection = Connection::open(target, soon).await.unwrap();
    if query(&mut connection, "MATCH (n) RETURN count(n)", 0).await == NODES {
        return;
    }
    println!("filling the graph …");
    query(
        &mut connection,
        "MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS",
        0,
    )
    .await;
    for from in (0..NODES).step_by(BATCH as usize) {
        query(
            &mut connection,
            "UNWIND range($from, $to) AS i CREATE (p:Person {id: i, name: 'Person number ' + i, score: i / 7.0, \
             active: i % 3 = 0, tags: ['a' + i % 5, 'b' + i % 9], born: date('1950-01-01') + duration({days: i % 20000}), \
             seen: datetime({epochSeconds: 1700000000 + i})})",
            from,
        )
        .await;
    }
    query(
        &mut connection,
        "CREATE CONSTRAINT FOR (p:Person) REQUIRE p.id IS UNIQUE",
        0,
    )
    .await;
    for from in (0..NODES).step_by(BATCH as usize) {
        query(
            &mut connection,
            "UNWIND range($from, $to) AS i MATCH (a:Person {id: i}) MATCH (b:Person {id: (i * 7919) % 500000}) \
             MATCH (c:Person {id: (i * 104729) % 500000}) CREATE (a)-[:KNOWS {since: i}]->(b), (a)-[:WORKS_WITH {weight: i / 3.0}]->(c)",
            from,
        )
        .await;
    }
    connection.close().await;
}

/// The peer: the driver in an environment that `.ci/bench-setup` made.
fn peer(what: &str, running: &server::Running) -> Command {
    let python = cache().join("peers/neo4j/bin/python");
    assert!(
        python.exists(),
        "run .ci/bench-setup first: there is no {}",
        python.display()
    );
    let mut command = Command::new(python);
    command
        .args(["-c", SCRIPT, what, &running.uri()])
        .env("BENCH_PASSWORD", running.password.expose());
    command
}

fn ours(words: &[&str], running: Option<&server::Running>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--ours").args(words);
    if let Some(running) = running {
        command.env("BENCH_PASSWORD", running.password.expose());
    }
    command
}

/// Every comparison whose name was asked for.
pub fn all(wanted: &[&String]) -> Vec<Comparison> {
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w.as_str()));
    let source = wait(server::start(&folder("source"), &size())).unwrap();
    wait(fill(&source.target()));
    let pid = source.process.pid as u32;
    let mut results = Vec::new();
    let repository = fresh("repository");
    let path = repository.to_str().unwrap().to_owned();
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    let rounds = if is_wanted("neo4j-export") { ROUNDS } else { 1 };
    for _ in 0..rounds {
        fresh("repository");
        run(&mut ours(&["make", &path], None), pid);
        let words = ["neo4j-export", &path, &source.uri(), BACKUP];
        let mut cost = run(&mut ours(&words, Some(&source)), pid);
        cost.bytes = bytes_in(&repository);
        our_costs.push(cost);
        if is_wanted("neo4j-export") {
            their_costs.push(run(&mut peer("export", &source), pid));
        }
    }
    if is_wanted("neo4j-export") {
        let name = "Python driver, MATCH … RETURN";
        results.push(compare(
            "neo4j-export",
            name,
            median(our_costs),
            median(their_costs),
        ));
    }
    wait(server::stop(&source.dir)).unwrap();
    if is_wanted("neo4j-restore") {
        results.push(restores(&path));
    }
    results
}

/// Into a new server each: ours by import and Bolt, the server's start included; theirs into one that runs already, with
/// the constraint in place by which relationships find their nodes.
fn restores(repository: &str) -> Comparison {
    let into = fresh("ours");
    let words = ["neo4j-restore", repository, into.to_str().unwrap(), BACKUP];
    let mut our_cost: Cost = run(&mut ours(&words, None), std::process::id());
    let running = wait(server::start(&into, &size())).unwrap();
    our_cost.server = cpu_of_tree(running.process.pid as u32);
    check(&running);
    wait(server::stop(&into)).unwrap();
    let running = wait(server::start(&fresh("theirs"), &size())).unwrap();
    let pid = running.process.pid as u32;
    let their_cost = run(&mut peer("restore", &running), pid);
    check(&running);
    wait(server::stop(&running.dir)).unwrap();
    compare(
        "neo4j-restore",
        "Python driver, UNWIND … CREATE",
        our_cost,
        their_cost,
    )
}

fn check(running: &server::Running) {
    let counted = wait(neo4j::preview(&running.target())).unwrap();
    assert_eq!(
        (counted.nodes, counted.relationships),
        (NODES as u64, 2 * NODES as u64)
    );
}

/// Our side of an export, in a process of its own.
pub async fn export(folder: &Path, uri: &str, backup: &str) {
    let (repository, writer) = super::ours::begin(folder, backup).await;
    let options = neo4j::CaptureOptions {
        called: None,
        barrier: None,
        key: repository.fingerprint_key().unwrap(),
        jobs: super::ours::JOBS,
        events: Default::default(),
        cancel: Default::default(),
    };
    let password = Secret::new(std::env::var("BENCH_PASSWORD").unwrap());
    let target = Target::parse(uri, None, Some(password)).unwrap();
    let captured = neo4j::capture(&target, &writer, &options).await.unwrap();
    writer.seal_store(captured).await.unwrap();
    writer.close().await.unwrap();
    super::ours::publish(folder, &repository, backup).await;
}

/// Our side of a restore, as level 3 of a verification does it.
pub async fn restore(folder: &Path, dir: &Path, backup: &str) {
    let repository = super::ours::open(folder).await;
    let source = repository.source(&backup.parse().unwrap()).await.unwrap();
    let options = neo4j::RestoreOptions {
        key: repository.fingerprint_key().unwrap(),
        events: Default::default(),
        cancel: Default::default(),
    };
    let began = std::time::Instant::now();
    let told = |what: &str| println!("  {what}: {:.1} s", began.elapsed().as_secs_f64());
    let offline = server::offline(dir, &size()).await.unwrap();
    let files = offline.folder("import").unwrap();
    let staged = import::stage(&source, &files, import::GROUPS, &options)
        .await
        .unwrap()
        .unwrap();
    told("written");
    let arguments = staged.arguments();
    offline.admin(staged.folder(), &arguments).await.unwrap();
    drop(offline);
    told("imported");
    let running = server::start(dir, &size()).await.unwrap();
    told("started");
    import::complete(&running.target(), staged, &options)
        .await
        .unwrap();
    told("complete");
}
