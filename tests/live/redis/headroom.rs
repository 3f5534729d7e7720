//! Memory for a fork: looked at before it, and left alone where there is too little.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use redis::Value;
use summitctl::capture::{Consistency, MemoryParts};
use summitctl::event::{Event, Events, Listener, Stamped};
use summitctl::providers::redis::{CaptureOptions, capture, compare};

use super::data::{client, run};
use super::round_trip::options;
use super::*;

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Listener for Notes {
    fn hear(&self, event: &Stamped) {
        if let Event::Note { message, .. } = &event.event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

/// The port of a proxy through which a server seems to run on a machine that has a twentieth more memory than it holds.
fn on_a_small_machine(server: &Server) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    let to = server.running.port;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).expect("connects");
            let (mut up, mut down) = (
                client.try_clone().expect("clones"),
                server.try_clone().expect("clones"),
            );
            std::thread::spawn(move || std::io::copy(&mut up, &mut down));
            std::thread::spawn(move || answers(server, client));
        }
    });
    port
}

fn answers(mut server: TcpStream, mut client: TcpStream) {
    let mut chunk = vec![0; 256 * 1024];
    while let Ok(read) = server.read(&mut chunk)
        && read > 0
    {
        let mut bytes = chunk[..read].to_vec();
        // An `INFO` may come in several reads.
        let figure = "total_system_memory:";
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.contains("used_memory_rss:") && !text.contains(figure) {
            let more = server.read(&mut chunk).unwrap_or(0);
            bytes.extend_from_slice(&chunk[..more]);
        }
        if client.write_all(&smaller(bytes)).is_err() {
            break;
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
}

/// The same number of bytes, with another figure.
fn smaller(mut bytes: Vec<u8>) -> Vec<u8> {
    let (Some(resident), Some(machine)) = (
        figure(&bytes, b"used_memory_rss:"),
        figure(&bytes, b"total_system_memory:"),
    ) else {
        return bytes;
    };
    let number = |place: &std::ops::Range<usize>| -> u64 {
        String::from_utf8_lossy(&bytes[place.clone()])
            .parse()
            .expect("is a number")
    };
    let wanted = number(&resident) / 20 * 21;
    let wanted = format!("{wanted:0width$}", width = machine.len());
    bytes[machine].copy_from_slice(wanted.as_bytes());
    bytes
}

fn figure(bytes: &[u8], name: &[u8]) -> Option<std::ops::Range<usize>> {
    let at = bytes.windows(name.len()).position(|w| w == name)? + name.len();
    let digits = bytes[at..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    (digits > 0).then_some(at..at + digits)
}

fn number(server: &Server, line: &str) -> u64 {
    let info: String = redis::cmd("INFO")
        .query(&mut client(server))
        .expect("tells");
    let value = info
        .lines()
        .find_map(|l| l.strip_prefix(&format!("{line}:")))
        .expect(line);
    value.trim().parse().expect(line)
}

/// Keys until the server's limit is nearly reached.
fn fill_to(server: &Server, bytes: u64) -> u64 {
    let mut conn = client(server);
    let value = "v".repeat(4_000);
    let mut keys = 0;
    while number(server, "used_memory") < bytes {
        let mut many = redis::pipe();
        for _ in 0..100 {
            many.cmd("SET")
                .arg(format!("key:{keys}"))
                .arg(&value)
                .ignore();
            keys += 1;
        }
        let _: () = many.query(&mut conn).expect("fills");
    }
    keys
}

async fn by_the_memory_there_is(name: &str) {
    const MOST: u64 = 96 << 20;
    let with = Options {
        settings: vec![
            ("maxmemory".to_owned(), MOST.to_string()),
            ("maxmemory-policy".to_owned(), "allkeys-lru".to_owned()),
        ],
        ..Options::scratch()
    };
    let server = match name {
        "" => Server::start(&with).await,
        name => Server::of(name, with).await,
    };
    let keys = fill_to(&server, MOST / 10 * 9);
    assert_eq!(number(&server, "evicted_keys"), 0);

    // By its own figures there is no room: nothing is forked, and the backup says that it shows no single moment.
    let notes = Notes::default();
    let told = CaptureOptions {
        events: Events::new(vec![Box::new(notes.clone())]),
        ..options()
    };
    let small = Target {
        port: on_a_small_machine(&server),
        ..server.target()
    };
    let parts = MemoryParts::default();
    let captured = capture(&small, &parts, &told).await.expect("captures");
    assert_eq!(captured.consistency, Consistency::Fuzzy, "{name}");
    assert_eq!(captured.method, "SCAN", "{name}");
    assert_eq!(captured.parts[0].meta["keys"], keys, "{name}");
    let said = notes.0.lock().unwrap().join("; ");
    assert!(
        said.contains("are too few for a fork") && said.contains("not of one moment"),
        "{name}: {said}"
    );
    assert_eq!(
        number(&server, "sync_full"),
        0,
        "{name}: it was asked for no snapshot"
    );
    assert_eq!(number(&server, "total_forks"), 0, "{name}");

    // On the machine as it is there is: the limit of the data is no limit of the copies, and nothing is evicted.
    let parts = MemoryParts::default();
    let captured = capture(&server.target(), &parts, &options())
        .await
        .expect("captures");
    assert_eq!(captured.method, "PSYNC", "{name}");
    assert_eq!(number(&server, "total_forks"), 1, "{name}");
    assert_eq!(number(&server, "evicted_keys"), 0, "{name}");
    assert_eq!(captured.parts[0].meta["keys"], keys, "{name}");
    assert_eq!(
        run(&mut client(&server), &["DBSIZE"]),
        Value::Int(keys as i64)
    );
    let compared = compare(&server.target(), &parts, &options())
        .await
        .expect("compares");
    assert_eq!(compared.differences(), Vec::<String>::new(), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_not_forked_where_memory_is_short() {
    by_the_memory_there_is("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_is_not_forked_where_memory_is_short() {
    by_the_memory_there_is("valkey-8.1").await;
}
