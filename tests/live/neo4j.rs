//! Neo4j 5 Community: the throw-away server.

use std::path::PathBuf;

use summitctl::sandbox::servers::{Process, Record, neo4j};

/// A folder of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir =
            std::env::temp_dir().join(format!("summitctl-neo4j-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn number(running: &neo4j::Running, query: &str) -> i64 {
    let graph =
        neo4rs::Graph::new(running.uri(), &running.user, running.password.expose()).unwrap();
    let mut rows = graph.execute(neo4rs::query(query)).await.unwrap();
    rows.next().await.unwrap().unwrap().get("n").unwrap()
}

fn arguments(process: &Process) -> String {
    let raw = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap();
    String::from_utf8_lossy(&raw).replace('\0', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throw_away_server_starts_survives_a_kill_and_stops() {
    neo4j::prepare().await.unwrap();
    let scratch = Scratch::new("life");
    let options = neo4j::Options::default();
    let first = neo4j::start(&scratch.0, &options).await.unwrap();
    assert_eq!(
        number(&first, "CREATE (k:Kept {n: 42}) RETURN k.n AS n").await,
        42
    );
    assert!(!arguments(&first.process).contains(first.password.expose()));

    let again = neo4j::start(&scratch.0, &options).await.unwrap();
    assert_eq!((&again.process, again.port), (&first.process, first.port));

    // As if its starter had been killed between the start and the record.
    let mut record = Record::load(&scratch.0).unwrap().unwrap();
    record.process = None;
    record.save(&scratch.0).unwrap();
    let adopted = neo4j::start(&scratch.0, &options).await.unwrap();
    assert_eq!(adopted.process, first.process);

    let gone = std::time::Duration::from_secs(10);
    first
        .process
        .end(rustix::process::Signal::KILL, gone)
        .await
        .unwrap();
    let revived = neo4j::start(&scratch.0, &options).await.unwrap();
    assert_ne!(revived.process, first.process);
    assert_eq!(number(&revived, "MATCH (k:Kept) RETURN k.n AS n").await, 42);

    neo4j::stop(&scratch.0).await.unwrap();
    assert!(!revived.process.alive());
    neo4j::stop(&scratch.0).await.unwrap();
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_not_taken() {
    let scratch = Scratch::new("foreign");
    std::fs::create_dir_all(&scratch.0).unwrap();
    std::fs::write(scratch.0.join("precious"), "x").unwrap();
    let error = neo4j::start(&scratch.0, &neo4j::Options::default())
        .await
        .unwrap_err();
    assert_eq!(error.reason().code, "sandbox.not-ours");
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 1);
}
