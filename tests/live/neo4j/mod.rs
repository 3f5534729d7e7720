//! Neo4j 5 Community: the throw-away server, and the provider on real ones.

mod barrier;
mod export;
mod faults;
mod graph;
mod import;
mod migrations;
mod offline;
mod poison;
mod round_trip;
mod server;
mod transactions;

use std::path::PathBuf;
use std::time::Duration;

use summitctl::capture::FingerprintKey;
use summitctl::event::Events;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::bolt::{Begin, Connection};
use summitctl::providers::neo4j::{CaptureOptions, RestoreOptions, Target};
use summitctl::sandbox::servers::neo4j;
use summitctl::wait::{Cancel, Deadline};

/// A server of a test's own; killed and removed at the test's end, passed or not.
struct Server {
    dir: PathBuf,
    running: neo4j::Running,
}

impl Server {
    async fn start(name: &str) -> Server {
        Server::start_with(name, &neo4j::Options::default()).await
    }

    async fn start_with(name: &str, options: &neo4j::Options) -> Server {
        neo4j::prepare()
            .await
            .expect("jars, launcher and archive are there");
        let dir = scratch(name);
        let running = neo4j::start(&dir, options).await.expect("Neo4j starts");
        Server { dir, running }
    }

    fn target(&self) -> Target {
        self.running.target()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.process.signal(rustix::process::Signal::KILL);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("summitctl-neo4j-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn key() -> FingerprintKey {
    FingerprintKey::new([7; 32])
}

fn capture_options() -> CaptureOptions {
    CaptureOptions {
        key: key(),
        jobs: 3,
        called: None,
        barrier: None,
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

fn restore_options() -> RestoreOptions {
    RestoreOptions {
        key: key(),
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

async fn connect(target: &Target) -> Connection {
    Connection::open(target, Deadline::after(Duration::from_secs(20)))
        .await
        .expect("logs in")
}

/// Runs one query with parameters and returns its rows.
async fn query_with(target: &Target, query: &str, parameters: Value) -> Vec<Vec<Value>> {
    let mut connection = connect(target).await;
    let rows = connection
        .query(query, parameters, &Begin::write("test"))
        .await
        .unwrap_or_else(|e| panic!("{query}: {e:?}"));
    connection.close().await;
    rows
}

async fn query(target: &Target, text: &str) -> Vec<Vec<Value>> {
    query_with(target, text, Value::Map(Vec::new())).await
}
