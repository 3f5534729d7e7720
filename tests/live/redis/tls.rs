//! The same server over TLS: trusted, not trusted, for another name, and without looking.

use std::path::PathBuf;

use summitctl::capture::MemoryParts;
use summitctl::providers::redis::{Replace, RestoreOptions, Tls, capture, fingerprints, restore};
use summitctl::wait::{Look, poll};

use super::data::{client, fill, run};
use super::round_trip::options;
use super::*;

/// A certificate of this machine that nobody else signed, and its key.
fn certified(dir: &Folder) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a key");
    let (certificate, key) = (dir.0.join("cert.pem"), dir.0.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("writes");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
    (certificate, key)
}

#[tokio::test]
async fn certificates_are_checked_unless_told_otherwise() {
    let dir = Folder::new("one");
    let (certificate, key) = certified(&dir);
    let port = summitctl::sandbox::servers::free_port().expect("a port");
    let settings = [
        ("tls-port", port.to_string()),
        ("tls-cert-file", certificate.display().to_string()),
        ("tls-key-file", key.display().to_string()),
        ("tls-auth-clients", "no".to_owned()),
    ];
    let server = Server::start(&Options {
        settings: settings
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        ..Options::scratch()
    })
    .await;
    fill(&server);
    let with = |host: &str, tls: Tls| Target {
        host: host.to_owned(),
        port,
        tls,
        ..server.target()
    };
    let ours = || Tls::Verified {
        ca: Some(certificate.clone()),
    };
    let trusted = with("127.0.0.1", ours());
    let health = ping(&trusted, soon()).await.expect("answers");
    assert_eq!(health.facts["tls"], "verified");
    assert_eq!(
        fingerprints(&trusted, &options()).await.expect("measures"),
        fingerprints(&server.target(), &options())
            .await
            .expect("measures")
    );
    let unchecked = with("127.0.0.1", Tls::Unverified);
    assert_eq!(
        ping(&unchecked, soon()).await.expect("answers").facts["tls"],
        "unverified"
    );
    for stranger in [
        with("127.0.0.1", Tls::Verified { ca: None }),
        with("localhost", ours()),
    ] {
        let error = ping(&stranger, soon()).await.expect_err("does not trust");
        assert_eq!(error.reason().code, "redis.tls", "{error:?}");
    }
    let plain = with("127.0.0.1", Tls::Off);
    let error = ping(&plain, soon()).await.expect_err("speaks TLS");
    assert_eq!(error.reason().code, "redis.connection-lost", "{error:?}");
}

/// With `tls-cluster` the servers tell the ports for TLS to who asks over TLS.
#[tokio::test]
async fn a_cluster_is_spoken_to_over_tls_too() {
    let dir = Folder::new("cluster");
    let (certificate, key) = certified(&dir);
    let free = || {
        summitctl::sandbox::servers::free_port()
            .expect("a port")
            .to_string()
    };
    let port = free();
    let settings = [
        ("tls-port", port.clone()),
        ("tls-cert-file", certificate.display().to_string()),
        ("tls-key-file", key.display().to_string()),
        ("tls-ca-cert-file", certificate.display().to_string()),
        ("tls-auth-clients", "no".to_owned()),
        ("tls-cluster", "yes".to_owned()),
        ("cluster-enabled", "yes".to_owned()),
        ("cluster-port", free()),
    ];
    let server = Server::start(&Options {
        settings: settings
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        ..Options::scratch()
    })
    .await;
    let mut conn = client(&server);
    run(&mut conn, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    poll(
        "the cluster",
        soon(),
        Duration::from_millis(20),
        async || {
            let state = format!("{:?}", run(&mut client(&server), &["CLUSTER", "INFO"]));
            Ok(match state.contains("cluster_state:ok") {
                true => Look::Ready(()),
                false => Look::NotYet("not whole".to_owned()),
            })
        },
    )
    .await
    .expect("comes up");
    for n in 0..40 {
        run(&mut conn, &["SET", &format!("key:{n}"), "x"]);
    }
    let encrypted = Target {
        port: port.parse().expect("a port"),
        tls: Tls::Verified {
            ca: Some(certificate.clone()),
        },
        ..server.target()
    };
    let parts = MemoryParts::default();
    let captured = capture(&encrypted, &parts, &options())
        .await
        .expect("captures");
    assert_eq!(captured.method, "PSYNC");
    run(&mut conn, &["SET", "key:7", "y"]);
    let way = RestoreOptions {
        common: options(),
        replace: Replace::Flush,
        token: "t".into(),
    };
    let restored = restore(&encrypted, &parts, &way).await.expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    assert_eq!(restored.keys, 40);
}

struct Folder(PathBuf);

impl Folder {
    fn new(what: &str) -> Folder {
        let name = format!("summitctl-redis-tls-{what}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("creates");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
