//! Reading by ranges: seeks and no scans, several connections at once, the same bytes whoever reads, bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use summitctl::capture::{
    Captured, Fingerprint, MemoryParts, PartInfo, PartSink, PartSource as _, PartWriter,
};
use summitctl::error::Result;
use summitctl::event::Events;
use summitctl::providers::neo4j::bolt::Begin;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::scan::{self, What};
use summitctl::providers::neo4j::{self, CaptureOptions, Target};
use summitctl::repository::{LocalStore, Operator, Repository};
use summitctl::sandbox::servers;
use summitctl::sign::SigningKey;

use crate::memory::peak;

use super::{Server, capture_options, key, query, restore_options, scratch};

const CAPTURE_AT: &str = "SUMMITCTL_TEST_NEO4J_CAPTURE";

fn jobs(jobs: usize) -> CaptureOptions {
    CaptureOptions {
        jobs,
        ..capture_options()
    }
}

async fn bytes_of(target: &Target, with: usize) -> (Captured, BTreeMap<String, Vec<u8>>) {
    let parts = MemoryParts::default();
    let captured = neo4j::capture(target, &parts, &jobs(with))
        .await
        .expect("captures");
    let mut bytes = BTreeMap::new();
    for info in parts.parts("neo4j/") {
        let mut reader = parts.open(&info.name).await.expect("opens");
        bytes.insert(info.name, reader.read_all().await.expect("reads"));
    }
    (captured, bytes)
}

fn recorded(captured: &Captured) -> BTreeMap<String, Fingerprint> {
    let of = |p: &PartInfo| (p.name.clone(), p.fingerprint.expect("has one"));
    captured.parts.iter().map(of).collect()
}

/// Parts that nobody keeps; asks the server meanwhile who reads.
struct Onlooker(Target, Arc<AtomicUsize>);

struct Unkept(String, u64, Target, Arc<AtomicUsize>);

#[async_trait]
impl PartSink for Onlooker {
    async fn create(&self, name: &str, _: &str) -> Result<Box<dyn PartWriter>> {
        let most = Arc::clone(&self.1);
        Ok(Box::new(Unkept(name.to_owned(), 0, self.0.clone(), most)))
    }
    async fn join(
        &self,
        name: &str,
        _: &[String],
        _: Option<Fingerprint>,
        _: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        panic!("`{name}` is not written in stretches")
    }
}

#[async_trait]
impl PartWriter for Unkept {
    fn append(&mut self, bytes: &[u8]) {
        self.1 += bytes.len() as u64;
    }
    async fn settle(&mut self) -> Result<()> {
        let rows = query(
            &self.2,
            "SHOW TRANSACTIONS YIELD metaData WHERE metaData.app = 'summitctl' AND metaData.task = 'capture' \
             RETURN count(*)",
        )
        .await;
        let readers = rows[0][0].as_int().expect("a count") as usize;
        self.3.fetch_max(readers, Ordering::SeqCst);
        Ok(())
    }
    fn cut(&mut self) {}
    async fn finish(
        self: Box<Self>,
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        Ok(PartInfo {
            name: self.0,
            format: "none".to_owned(),
            bytes: self.1,
            fingerprint,
            meta,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_seeks_read_side_by_side_and_written_alike() {
    let server = Server::start("ranges").await;
    let target = server.target();
    query(
        &target,
        "WITH reduce(s = 'x', i IN range(1, 11) | s + s) AS pad UNWIND range(1, 20000) AS i CREATE (:N {i: i, pad: pad + i, a: i / 7.0, b: pad})",
    )
    .await;
    query(&target, "MATCH (a:N) CREATE (a)-[:R {i: a.i}]->(a)").await;

    // The server says what it did: as many lookups as ids, and nothing else was looked through, but for the ids themselves,
    // once and without their properties.
    let mut connection = super::connect(&target).await;
    for (what, rows) in [(What::Nodes, 20_000), (What::Relationships, 20_000)] {
        let profile = format!("PROFILE {}", what.extent_query());
        let none = Value::Map(Vec::new());
        let plan = connection.plan(&profile, none, &Begin::read("test")).await;
        let plan = plan.expect("runs");
        let scan = plan.iter().find(|operator| operator.contains("Scan"));
        let scan = scan.expect("is one");
        let looked = scan.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok());
        assert!(looked.is_some_and(|n| n <= rows + 16), "{plan:?}");
    }
    for (what, seek) in [
        (What::Nodes, "NodeByIdSeek@neo4j 4096"),
        (
            What::Relationships,
            "DirectedRelationshipByIdSeek@neo4j 4096",
        ),
    ] {
        let profile = format!("PROFILE {}", what.range_query());
        let begin = Begin::read("test");
        let plan = connection.plan(&profile, scan::bounds(1), &begin).await;
        let plan = plan.expect("runs");
        assert!(plan.iter().any(|operator| operator == seek), "{plan:?}");
        assert!(
            !plan.iter().any(|operator| operator.contains("Scan")),
            "{plan:?}"
        );
    }

    let most = Arc::new(AtomicUsize::new(0));
    let sink = Onlooker(target.clone(), Arc::clone(&most));
    let captured = neo4j::capture(&target, &sink, &jobs(4))
        .await
        .expect("captures");
    assert_eq!(most.load(Ordering::SeqCst), 4);
    let (alone, alone_bytes) = bytes_of(&target, 1).await;
    let (_, many_bytes) = bytes_of(&target, 5).await;
    assert!(alone_bytes == many_bytes);
    assert_eq!(recorded(&alone), recorded(&captured));

    // So few among so many ids that a scan is cheaper.
    query(&target, "MATCH (n:N) WHERE n.i % 5000 <> 0 DETACH DELETE n").await;
    let (sparse, bytes) = bytes_of(&target, 4).await;
    let measured = neo4j::fingerprints(&target, &key(), None, 4)
        .await
        .expect("measures");
    assert_eq!(measured, recorded(&sparse));
    assert_eq!(measured["neo4j/neo4j/nodes"].rows, 4);
    assert_eq!(measured["neo4j/neo4j/relationships"].rows, 4);
    let scratch = MemoryParts::default();
    for (name, bytes) in bytes {
        let info = sparse
            .parts
            .iter()
            .find(|p| p.name == name)
            .expect("is there");
        let mut writer = scratch.create(&name, &info.format).await.expect("creates");
        writer.write(bytes.into()).await.expect("writes");
        let finished = writer.finish(info.fingerprint, info.meta.clone()).await;
        finished.expect("finishes");
    }
    for info in scratch.parts("neo4j/") {
        let mut reader = scratch.open(&info.name).await.expect("opens");
        let seen = neo4j::decode(&info, reader.as_mut(), &key())
            .await
            .expect("decodes");
        assert_eq!(seen, info.fingerprint, "{}", info.name);
    }
}

/// The capture that [`long_values_and_many_rows_need_bounded_memory`] measures, in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn capture_alone() {
    let Ok(at) = std::env::var(CAPTURE_AT) else {
        return;
    };
    let target = Target::parse(&at, None, None).expect("parses");
    // As `backup create` writes: cut into segments, compressed and encrypted.
    let dir = scratch("written");
    let secret = Repository::generate_secret().expect("generates");
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let operator = Operator::new("test", &recipient).expect("is one");
    let signer = SigningKey::generate().expect("generates");
    let signers = [("test".to_owned(), signer.public())];
    let store = || Arc::new(LocalStore::new(&dir));
    Repository::init(store(), &secret, &[operator], &signers)
        .await
        .expect("begins");
    let repository = Repository::open(store(), Some(&secret)).await;
    let repository = repository.expect("opens");
    let backup = "20261121T000000Z-0001".parse().expect("is an id");
    let writer = repository.begin(&backup, &Events::silent()).await;
    let writer = writer.expect("begins");
    let captured = neo4j::capture(&target, &writer, &jobs(2))
        .await
        .expect("captures");
    std::fs::remove_dir_all(&dir).expect("removes");
    let rows: u64 = captured
        .parts
        .iter()
        .filter_map(|p| p.fingerprint)
        .map(|f| f.rows)
        .sum();
    let most = peak("self").expect("is there");
    println!("captured {rows} {most}");
}

/// Rows, and the most MiB that a process had which captured them.
async fn captured_alone(target: &Target) -> (u64, u64) {
    let secret = target.password.as_ref().expect("has one").expose();
    let at = format!("bolt://neo4j:{secret}@{}", target.endpoint());
    let output = tokio::process::Command::new(std::env::current_exe().expect("is there"))
        .args(["neo4j::export::capture_alone", "--exact", "--nocapture"])
        .env(CAPTURE_AT, at)
        .output()
        .await
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said
        .lines()
        .find_map(|l| l.split_once("captured "))
        .expect("captured")
        .1;
    let (rows, mib) = line.split_once(' ').expect("two numbers");
    (
        rows.parse().expect("a number"),
        mib.parse().expect("a number"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn long_values_and_many_rows_need_bounded_memory() {
    let big = servers::neo4j::Options {
        heap_mib: 2_048,
        ..Default::default()
    };
    let server = Server::start_with("memory", &big).await;
    let target = server.target();
    query(
        &target,
        "UNWIND range(1, 60000) AS i CREATE (:N {i: i, pad: 'some words to fill ' + i})",
    )
    .await;
    let (rows, few) = captured_alone(&target).await;
    assert_eq!(rows, 60_000 + 2);
    query(
        &target,
        "UNWIND range(1, 60000) AS i CREATE (:N {i: i, pad: 'some words to fill ' + i})",
    )
    .await;
    query(
        &target,
        "UNWIND range(1, 60000) AS i CREATE (:N {i: i, pad: 'some words to fill ' + i})",
    )
    .await;
    let (rows, many) = captured_alone(&target).await;
    assert_eq!(rows, 180_000 + 2);
    println!("{few} MiB for 60000 nodes, {many} MiB for 180000");
    assert!(many < 128, "{few} and {many} MiB");

    // 100 MB in one property, of a node and then of a relationship: once as it came, and once as it is written.
    let long = "WITH reduce(s = 'x', i IN range(1, 26) | s + s) AS s WITH s + substring(s, 0, 32891136) AS s";
    query(&target, &format!("{long} CREATE (:Long {{s: s}})")).await;
    let (rows, node) = captured_alone(&target).await;
    assert_eq!(rows, 180_001 + 2);
    query(&target, "MATCH (n:Long) SET n.s = 1").await;
    let related = "MATCH (n:Long) CREATE (n)-[:LONG {s: s}]->(n)";
    query(&target, &format!("{long} {related}")).await;
    let (rows, relationship) = captured_alone(&target).await;
    assert_eq!(rows, 180_002 + 2);
    println!("{node} MiB with a node of 100 MB, {relationship} MiB with such a relationship");
    assert!(
        node.max(relationship) < many + 300,
        "{node}, {relationship}"
    );

    // It comes back, and is compared.
    let parts = MemoryParts::default();
    neo4j::capture(&target, &parts, &jobs(2))
        .await
        .expect("captures");
    let wanted = neo4j::fingerprints(&target, &key(), None, 2)
        .await
        .expect("measures");
    drop(server);
    let other = Server::start_with("long", &big).await;
    let restored = neo4j::restore(&other.target(), &parts, &restore_options())
        .await
        .expect("restores");
    let measured = neo4j::fingerprints(&other.target(), &key(), Some(&restored.id_map), 2).await;
    assert_eq!(measured.expect("measures"), wanted);
    drop(other);
    assert!(!scratch("long").exists());
}

/// With little memory for transactions a restore still works, since its batches are small; what needs more is told as
/// what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_transaction_memory_is_kept_or_told() {
    let server = Server::start("plenty").await;
    query(
        &server.target(),
        "UNWIND range(1, 30000) AS i CREATE (a:N {i: i, pad: 'padding'})-[:R {i: i}]->(a)",
    )
    .await;
    let parts = MemoryParts::default();
    neo4j::capture(&server.target(), &parts, &capture_options())
        .await
        .expect("captures");
    let wanted = neo4j::fingerprints(&server.target(), &key(), None, 2)
        .await
        .expect("measures");
    drop(server);

    let little = servers::neo4j::Options {
        transaction_memory_mib: Some(24),
        ..Default::default()
    };
    let server = Server::start_with("little", &little).await;
    let target = server.target();
    let restored = neo4j::restore(&target, &parts, &restore_options())
        .await
        .expect("restores");
    let measured = neo4j::fingerprints(&target, &key(), Some(&restored.id_map), 2).await;
    assert_eq!(measured.expect("measures"), wanted);
    let mut connection = super::connect(&target).await;
    let greedy = "UNWIND range(1, 5000000) AS i WITH collect(toString(i)) AS them UNWIND them AS one RETURN one, size(them)";
    let none = Value::Map(Vec::new());
    let error = connection
        .query(greedy, none, &Begin::read("test"))
        .await
        .expect_err("is refused");
    assert_eq!(error.reason(), &neo4j::TRANSIENT, "{error:?}");
    assert!(format!("{error}").contains("Memory"), "{error}");
}
