//! The same server over TLS: trusted, not trusted, for another name, and without looking.

use summitctl::providers::redis::{Tls, fingerprints};

use super::data::fill;
use super::round_trip::options;
use super::*;

#[tokio::test]
async fn certificates_are_checked_unless_told_otherwise() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a key");
    let dir = Folder::new();
    let (certificate, key) = (dir.0.join("cert.pem"), dir.0.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("writes");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
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

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("summitctl-redis-tls-{}", std::process::id());
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
