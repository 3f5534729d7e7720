//! What goes wrong, and how it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use summitctl::capture::{
    Consistency, Fingerprint, MemoryParts, PartInfo, PartSink, PartSource as _, PartWriter,
};
use summitctl::error::{Error, Result};
use summitctl::exit::Exit;
use summitctl::providers::neo4j::{self, Target, Tls};
use summitctl::sandbox::servers::Process;
use summitctl::secret::Secret;
use summitctl::wait::Deadline;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::{Server, capture_options, key, query, restore_options};

const CANARY: &str = "canary-neo4j-7f3a";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn told(error: &Error) -> String {
    let text = format!("{error:?} {error} {:?} {:?}", error.hints(), error.causes());
    assert!(!text.contains(CANARY), "{text}");
    text
}

/// What happens while a capture writes.
#[derive(Clone)]
enum Meanwhile {
    /// Somebody commits, as long as the counter says so.
    Commit(Target, Arc<AtomicU32>),
    /// The server is killed.
    Kill(Process),
}

fn take_one(left: &AtomicU32) -> bool {
    let one_less = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    one_less.is_ok()
}

/// A sink in which something happens: a commit when all nodes have been read and no relationship has, or a kill as the part
/// of nodes is being written.
struct Disturbed(MemoryParts, Meanwhile);

struct DisturbedWriter(Box<dyn PartWriter>, Option<Meanwhile>);

#[async_trait]
impl PartSink for Disturbed {
    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>> {
        let disturbance = name.ends_with("/nodes").then(|| self.1.clone());
        match &self.1 {
            Meanwhile::Commit(target, left)
                if name.ends_with("/relationships") && take_one(left) =>
            {
                query(target, "MATCH (a:Bulk {i: 1}) CREATE (a)-[:LATE]->(:Late)").await;
            }
            _ => {}
        }
        Ok(Box::new(DisturbedWriter(
            self.0.create(name, format).await?,
            disturbance,
        )))
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

#[async_trait]
impl PartWriter for DisturbedWriter {
    fn append(&mut self, bytes: &[u8]) {
        self.0.append(bytes);
    }
    async fn settle(&mut self) -> Result<()> {
        if let Some(Meanwhile::Kill(process)) = self.1.take() {
            let kill = rustix::process::Signal::KILL;
            process.end(kill, Duration::from_secs(10)).await?;
        }
        self.0.settle().await
    }
    fn cut(&mut self) {
        self.0.cut();
    }
    async fn finish(
        self: Box<Self>,
        fingerprint: Option<Fingerprint>,
        meta: std::collections::BTreeMap<String, serde_json::Value>,
    ) -> Result<PartInfo> {
        self.0.finish(fingerprint, meta).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_meanwhile_and_a_killed_server_are_told() {
    let server = Server::start("disturbed").await;
    let target = server.target();
    // More than fits the sockets' buffers, so that a kill cuts the stream.
    let bulk = "UNWIND range(1, 3000) AS i CREATE (:Bulk {i: i, pad: $pad})";
    let pad = "p".repeat(8_000);
    let parameters = neo4j::bolt::packstream::Value::map([("pad", pad.into())]);
    super::query_with(&target, bulk, parameters).await;

    // One commit: the second reading is quiet.
    let once = Arc::new(AtomicU32::new(1));
    let sink = Disturbed(
        MemoryParts::default(),
        Meanwhile::Commit(target.clone(), Arc::clone(&once)),
    );
    let captured = neo4j::capture(&target, &sink, &capture_options())
        .await
        .expect("captures");
    assert_eq!(captured.consistency, Consistency::PointInTime);
    assert_eq!(once.load(Ordering::SeqCst), 0);

    // Always a commit: labelled, and still restorable.
    let always = Arc::new(AtomicU32::new(u32::MAX));
    let sink = Disturbed(
        MemoryParts::default(),
        Meanwhile::Commit(target.clone(), Arc::clone(&always)),
    );
    let captured = neo4j::capture(&target, &sink, &capture_options())
        .await
        .expect("captures");
    assert_eq!(captured.consistency, Consistency::Fuzzy);
    assert_eq!(u32::MAX - always.load(Ordering::SeqCst), 3);
    assert!(captured.to >= captured.from);
    let left_out = "1 relationships whose nodes appeared or went while they were read";
    assert!(
        captured.not_carried.iter().any(|line| line == left_out),
        "{:?}",
        captured.not_carried
    );
    let scratch = Server::start("fuzzy").await;
    let restored = neo4j::restore(&scratch.target(), &sink.0, &restore_options())
        .await
        .expect("restores");
    let recorded = captured
        .parts
        .iter()
        .map(|p| (p.name.clone(), p.fingerprint.expect("has one")));
    let measured = neo4j::fingerprints(&scratch.target(), &key(), Some(&restored.id_map), 2).await;
    assert_eq!(measured.expect("measures"), recorded.collect());
    // The last of four began after the nodes were read.
    for (server, there) in [(&target, 4), (&scratch.target(), 3)] {
        let late = query(server, "MATCH ()-[r:LATE]->() RETURN count(r)").await;
        assert_eq!(late[0][0].as_int(), Some(there));
    }
    drop(scratch);
    damage_is_found(&sink.0).await;

    let kill = Meanwhile::Kill(server.running.process.clone());
    let sink = Disturbed(MemoryParts::default(), kill);
    let error = neo4j::capture(&target, &sink, &capture_options())
        .await
        .expect_err("fails");
    assert_eq!(error.reason(), &neo4j::CONNECTION_LOST, "{}", told(&error));
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(
        sink.0.parts("neo4j/").is_empty(),
        "nothing unfinished counts"
    );
    let error = neo4j::ping(&target, soon()).await.expect_err("is dead");
    assert_eq!(error.reason(), &neo4j::UNREACHABLE, "{}", told(&error));
}

/// A part whose bytes are not what was captured is found by its decoding.
async fn damage_is_found(parts: &MemoryParts) {
    for info in parts.parts("neo4j/") {
        let bytes = parts
            .open(&info.name)
            .await
            .expect("opens")
            .read_all()
            .await
            .expect("reads");
        for (what, damaged) in [
            ("cut", bytes[..bytes.len() - 1].to_vec()),
            ("flipped", {
                let mut flipped = bytes.clone();
                let last = flipped.len() - 3;
                flipped[last] ^= 1;
                flipped
            }),
        ] {
            let copy = crate::holding(&info, damaged).await;
            let mut reader = copy.open(&info.name).await.expect("opens");
            match neo4j::decode(&info, reader.as_mut(), &key()).await {
                Ok(seen) => assert_ne!(seen, info.fingerprint, "{what} {}", info.name),
                Err(error) => assert_eq!(error.reason(), &neo4j::BAD_PART, "{what} {}", info.name),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_are_told_apart_and_no_error_holds_the_password() {
    let server = Server::start("faults").await;
    let good = server.target();
    let health = neo4j::ping(&good, soon()).await.expect("is healthy");
    assert_eq!(
        (health.version.as_str(), &health.facts["edition"]),
        ("5.26.16", &"community".into())
    );
    let identity = neo4j::identify(&good).await.expect("identifies");
    assert_eq!(identity.facts["endpoint"], good.endpoint());
    assert_eq!(identity.facts["database-id"].len(), 64);
    assert!(!identity.facts.contains_key("marker"));

    let with = |change: &dyn Fn(&mut Target)| {
        let mut target = good.clone();
        target.password = Some(Secret::new(CANARY));
        change(&mut target);
        target
    };
    // A port where nobody listens.
    let free = 1;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let silent_port = silent.local_addr().expect("has one").port();
    let http = one_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let old = one_answer(&[0, 0, 4, 4]).await;
    for (what, target, reason) in [
        ("wrong password", with(&|_| {}), &neo4j::LOGIN_REFUSED),
        (
            "no password",
            with(&|t| t.password = None),
            &neo4j::LOGIN_REFUSED,
        ),
        (
            "refused port",
            with(&|t| t.port = free),
            &neo4j::UNREACHABLE,
        ),
        (
            "unknown host",
            with(&|t| t.host = crate::nameless()),
            &neo4j::UNREACHABLE,
        ),
        (
            "an HTTP server",
            with(&|t| t.port = http),
            &neo4j::UNREACHABLE,
        ),
        (
            "an old server",
            with(&|t| t.port = old),
            &neo4j::UNSUPPORTED_VERSION,
        ),
        (
            "TLS where there is none",
            with(&|t| t.tls = Tls::Verified),
            &neo4j::TLS_FAILED,
        ),
    ] {
        let error = neo4j::ping(&target, soon()).await.expect_err(what);
        assert_eq!(error.reason(), reason, "{what}: {}", told(&error));
        told(&error);
    }
    let target = with(&|t| t.port = silent_port);
    let short = Deadline::after(Duration::from_millis(300));
    let error = neo4j::ping(&target, short)
        .await
        .expect_err("never answers");
    assert_eq!(error.reason(), &neo4j::UNREACHABLE, "{}", told(&error));
    let mut target = good.clone();
    target.database = Some("nowhere".to_owned());
    let error = neo4j::ping(&target, soon()).await.expect_err("is missing");
    assert_eq!(error.reason(), &neo4j::DATABASE_MISSING, "{}", told(&error));
    over_tls(&good).await;
}

/// Answers every connection with these bytes.
async fn one_answer(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has one").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(answer).await;
            let mut sink = tokio::io::sink();
            let _ = tokio::io::copy(&mut socket, &mut sink).await;
        }
    });
    port
}

/// The real server behind a TLS end with a self-signed certificate.
async fn over_tls(good: &Target) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("signs");
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der())
        .expect("is a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("has versions")
    .with_no_client_auth()
    .with_single_cert(vec![signed.cert.der().clone()], key)
    .expect("fits");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let mut target = good.clone();
    target.host = "localhost".to_owned();
    target.port = listener.local_addr().expect("has one").port();
    let behind = good.port;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(socket).await else {
                    return;
                };
                let mut far = TcpStream::connect(("127.0.0.1", behind))
                    .await
                    .expect("connects");
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    target.tls = Tls::SelfSigned;
    let health = neo4j::ping(&target, soon())
        .await
        .expect("is accepted as it is");
    assert_eq!(health.facts["tls"], "unverified");
    target.tls = Tls::Verified;
    let error = neo4j::ping(&target, soon())
        .await
        .expect_err("is not trusted");
    assert_eq!(error.reason(), &neo4j::TLS_FAILED, "{}", told(&error));
    assert!(
        error.hints().iter().any(|h| h.contains("+ssc")),
        "{error:?}"
    );
    target.tls = Tls::Off;
    let error = neo4j::ping(&target, soon())
        .await
        .expect_err("speaks TLS only");
    assert_eq!(error.reason(), &neo4j::UNREACHABLE, "{}", told(&error));
}
