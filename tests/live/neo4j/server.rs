//! The throw-away server itself.

use std::time::Duration;

use summitctl::sandbox::servers::{Process, Record, neo4j};

use super::{Server, scratch};

/// Asks through another driver than ours.
async fn number(running: &neo4j::Running, query: &str) -> i64 {
    let graph = neo4rs::Graph::new(running.uri(), &running.user, running.password.expose())
        .expect("connects");
    let mut rows = graph.execute(neo4rs::query(query)).await.expect("runs");
    let row = rows.next().await.expect("answers").expect("has a row");
    row.get("n").expect("has a number")
}

fn arguments(process: &Process) -> String {
    let raw = std::fs::read(format!("/proc/{}/cmdline", process.pid)).expect("it runs");
    String::from_utf8_lossy(&raw).replace('\0', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throw_away_server_starts_survives_a_kill_and_stops() {
    let server = Server::start("life").await;
    let (dir, first) = (&server.dir, &server.running);
    let options = neo4j::Options::default();
    assert_eq!(
        number(first, "CREATE (k:Kept {n: 42}) RETURN k.n AS n").await,
        42
    );
    assert!(!arguments(&first.process).contains(first.password.expose()));

    let again = neo4j::start(dir, &options).await.expect("is a no-op");
    assert_eq!((&again.process, again.port), (&first.process, first.port));

    // As if its starter had been killed between the start and the record.
    let mut record = Record::load(dir).expect("reads").expect("is there");
    record.process = None;
    record.save(dir).expect("saves");
    let adopted = neo4j::start(dir, &options).await.expect("adopts");
    assert_eq!(adopted.process, first.process);

    let kill = rustix::process::Signal::KILL;
    first
        .process
        .end(kill, Duration::from_secs(10))
        .await
        .expect("dies");
    let revived = neo4j::start(dir, &options).await.expect("starts again");
    assert_ne!(revived.process, first.process);
    assert_eq!(number(&revived, "MATCH (k:Kept) RETURN k.n AS n").await, 42);

    neo4j::stop(dir).await.expect("stops");
    assert!(!revived.process.alive());
    neo4j::stop(dir).await.expect("is a no-op");

    // Somebody took the port meanwhile: it comes up on another, with its data.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", revived.port)).expect("is free");
    let moved = neo4j::start(dir, &options).await.expect("starts elsewhere");
    assert_ne!(moved.port, revived.port);
    assert_eq!(number(&moved, "MATCH (k:Kept) RETURN k.n AS n").await, 42);
    neo4j::stop(dir).await.expect("stops");
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_not_taken() {
    let dir = scratch("foreign");
    std::fs::create_dir_all(&dir).expect("creates");
    std::fs::write(dir.join("precious"), "x").expect("writes");
    let error = neo4j::start(&dir, &neo4j::Options::default())
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "sandbox.not-ours");
    assert_eq!(std::fs::read_dir(&dir).expect("lists").count(), 1);
    std::fs::remove_dir_all(&dir).expect("removes");
}
