//! Writes that are held back while a graph is read.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use summitctl::capture::{
    Captured, Consistency, Fingerprint, MemoryParts, PartInfo, PartSink, PartWriter,
};
use summitctl::error::Result;
use summitctl::providers::neo4j::bolt::Begin;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::{self, CaptureOptions, Target};
use summitctl::secret::Secret;
use summitctl::wait::{Deadline, Look, poll};
use tokio::task::JoinHandle;

use super::{Server, capture_options, connect, query};
use crate::program::{Program, said};

/// Commits all the time, and counts how often.
struct Writer {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writer {
    fn start(target: &Target, statement: &'static str) -> Writer {
        let (count, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counting, stopping, target) = (count.clone(), stop.clone(), target.clone());
        let task = tokio::spawn(async move {
            let mut connection = connect(&target).await;
            while !stopping.load(Ordering::SeqCst) {
                let begin = Begin::write("test");
                let none = Value::Map(Vec::new());
                connection.query(statement, none, &begin).await.unwrap();
                counting.fetch_add(1, Ordering::SeqCst);
            }
        });
        Writer { count, stop, task }
    }

    /// Waits until something more was committed.
    async fn goes_on(&self) {
        let seen = self.count.load(Ordering::SeqCst);
        goes_on(&self.count, seen).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

async fn goes_on(count: &AtomicU64, seen: u64) {
    poll(
        "the writer to go on",
        Deadline::after(Duration::from_secs(30)),
        Duration::from_millis(20),
        async || match count.load(Ordering::SeqCst) {
            now if now > seen => Ok(Look::Ready(())),
            now => Ok(Look::NotYet(format!("{now} written"))),
        },
    )
    .await
    .unwrap();
}

fn holding(seconds: u64) -> CaptureOptions {
    CaptureOptions {
        barrier: Some(Duration::from_secs(seconds)),
        ..capture_options()
    }
}

async fn captured(target: &Target, sink: &dyn PartSink, seconds: u64) -> Captured {
    neo4j::capture(target, sink, &holding(seconds))
        .await
        .expect("captures")
}

/// A sink that waits with the relationships until the writer has gone on.
struct Slow(MemoryParts, Arc<AtomicU64>);

#[async_trait]
impl PartSink for Slow {
    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>> {
        if name.ends_with("/relationships") {
            goes_on(&self.1, self.1.load(Ordering::SeqCst)).await;
        }
        self.0.create(name, format).await
    }
    async fn join(
        &self,
        name: &str,
        stretches: &[String],
        fingerprint: Option<Fingerprint>,
        meta: std::collections::BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        self.0.join(name, stretches, fingerprint, meta).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_wait_for_the_reading_and_the_bookmark_decides() {
    let server = Server::start("barrier").await;
    let target = server.target();
    query(
        &target,
        "UNWIND range(1, 4000) AS i CREATE (:Tick {i: i, w: 'x' + i})-[:NEXT {at: i}]->(:Other)",
    )
    .await;
    // Each property of the label has an index already, but one.
    query(&target, "CREATE INDEX FOR (t:Tick) ON (t.i)").await;
    query(
        &target,
        "CREATE CONSTRAINT FOR (t:Tick) REQUIRE t.at IS UNIQUE",
    )
    .await;
    let indexes = "SHOW INDEXES YIELD name RETURN name ORDER BY name";
    let before = query(&target, indexes).await;

    let writer = Writer::start(&target, "CREATE (:Tick)-[:NEXT]->(:Other)");
    writer.goes_on().await;
    let seen = captured(&target, &MemoryParts::default(), 30).await;
    assert_eq!(seen.consistency, Consistency::PointInTime, "{seen:?}");
    assert!(
        seen.method.contains("writes held back for") && !seen.method.contains("not long enough"),
        "{}",
        seen.method
    );
    println!("{}", seen.method);
    writer.goes_on().await;

    // The time is over before the reading is: the writer goes on, and the backup says what it is.
    let slow = Slow(MemoryParts::default(), Arc::clone(&writer.count));
    let seen = captured(&target, &slow, 2).await;
    assert_eq!(seen.consistency, Consistency::Fuzzy, "{seen:?}");
    assert!(seen.method.contains("not long enough"), "{}", seen.method);
    writer.end().await;

    // What has no label passes, so holding writes back is not believed by itself.
    let writer = Writer::start(&target, "CREATE ({free: true})");
    writer.goes_on().await;
    let seen = captured(&target, &MemoryParts::default(), 30).await;
    assert_eq!(seen.consistency, Consistency::Fuzzy, "{seen:?}");
    assert!(seen.method.contains("writes held back"), "{}", seen.method);
    writer.end().await;
    assert_eq!(query(&target, indexes).await, before, "nothing of it stays");

    // A writer that does not end is not waited for, and the ones behind it are let go.
    let mut long = connect(&target).await;
    long.begin(&Begin::write("test")).await.unwrap();
    let none = || Value::Map(Vec::new());
    let run = long.run("CREATE (:Tick)", none()).await.unwrap();
    run.all().await.unwrap();
    let writer = Writer::start(&target, "CREATE ({free: true})");
    writer.goes_on().await;
    let seen = captured(&target, &MemoryParts::default(), 2).await;
    assert_eq!(seen.consistency, Consistency::Fuzzy, "{seen:?}");
    assert!(!seen.method.contains("held back"), "{}", seen.method);
    query(&target, "CREATE (:Tick)").await;
    writer.end().await;
    long.rollback().await.unwrap();
}

/// A proxy that hands on no more of a connection once that has held writes back for a while, and closes it to nobody.
fn cutting(to: u16, after: Duration) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let holds = Arc::new(Mutex::new(None::<Instant>));
            let (up, down) = (
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            );
            for (from, to) in [up, down] {
                let holds = Arc::clone(&holds);
                std::thread::spawn(move || hand_on(from, to, &holds, after));
            }
        }
    });
    port
}

fn hand_on(
    mut from: TcpStream,
    mut to: TcpStream,
    holds: &Mutex<Option<Instant>>,
    after: Duration,
) {
    let mut chunk = vec![0; 256 * 1024];
    while let Ok(read) = from.read(&mut chunk)
        && read > 0
    {
        let bytes = &chunk[..read];
        let mut since = holds.lock().unwrap();
        if bytes.windows(17).any(|w| w == b"summitctl_barrier") {
            since.get_or_insert_with(Instant::now);
        }
        let cut = since.is_some_and(|since| since.elapsed() > after);
        drop(since);
        if !cut && to.write_all(bytes).is_err() {
            break;
        }
    }
    if holds.lock().unwrap().is_none() {
        let _ = to.shutdown(std::net::Shutdown::Both);
    } else {
        // Neither end learns of the other's.
        std::mem::forget((from, to));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_without_a_word_holds_nothing_back_for_longer() {
    let server = Server::start("barrier-cut").await;
    let target = server.target();
    let nodes = "UNWIND range(1, 100) AS i CREATE (:Tick {i: i})-[:NEXT]->(:Other)";
    query(&target, nodes).await;
    let writer = Writer::start(&target, "CREATE (:Tick)-[:NEXT]->(:Other)");
    writer.goes_on().await;
    let through = Target {
        port: cutting(target.port, Duration::from_secs(1)),
        ..target.clone()
    };
    let slow = Slow(MemoryParts::default(), Arc::clone(&writer.count));
    let seen = captured(&through, &slow, 3).await;
    assert_eq!(seen.consistency, Consistency::Fuzzy, "{seen:?}");
    assert!(seen.method.contains("not long enough"), "{}", seen.method);
    writer.goes_on().await;
    writer.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_and_a_wish_to_stop_let_writes_go_on() {
    let program = Program::start("barrier");
    let target = Target {
        port: program.server("neo4j").port,
        password: Some(Secret::new(program.secret("neo4j/password"))),
        ..Target::parse("bolt://127.0.0.1", None, None).unwrap()
    };
    query(
        &target,
        "UNWIND range(1, 60000) AS i CREATE (:Tick {i: i, pad: 'some words that make it longer ' + i})",
    )
    .await;
    let writer = Writer::start(&target, "CREATE (:Tick)");
    writer.goes_on().await;
    let command = [
        "backup",
        "create",
        "--stores",
        "neo4j",
        "--hold-writes",
        "5m",
        "--context",
        "sandbox",
        "--yes",
    ];
    let up = |events: &str| events.contains("are held back");
    let killed = tokio::task::block_in_place(|| program.killed_when(&command, up));
    assert!(killed);
    writer.goes_on().await;
    let show = ["backup", "show", "newest", "--context", "sandbox"];
    let done = tokio::task::block_in_place(|| {
        program.ok(&["run", "resume"]);
        program.ok(&show)
    });
    assert!(
        said(&done).contains("writes held back for"),
        "{}",
        said(&done)
    );
    writer.goes_on().await;

    let interrupt = |child: &mut std::process::Child| {
        let pid = i32::try_from(child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    };
    let output = tokio::task::block_in_place(|| program.when(&command, up, interrupt));
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    writer.goes_on().await;
    tokio::task::block_in_place(|| program.ok(&["run", "abort"]));

    let plan = ["--plan-only"];
    let shown = tokio::task::block_in_place(|| program.ok(&[&command[..], &plan].concat()));
    assert!(
        said(&shown).contains("for 5m at most each time"),
        "{}",
        said(&shown)
    );
    writer.end().await;
}
