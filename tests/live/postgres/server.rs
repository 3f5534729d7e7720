//! The throw-away server itself: started, adopted, restarted, stopped, and refused.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use summitctl::providers::postgres::{Target, TlsMode, ping};
use summitctl::sandbox::servers::postgres::{Options, Running, start, stop};
use summitctl::sandbox::servers::{Record, log_tail};
use summitctl::secret::Secret;
use summitctl::wait::{Deadline, Look, poll};

use super::{Folder, scratch, sql};

#[tokio::test(flavor = "multi_thread")]
async fn starts_once_survives_a_lost_record_and_restarts_with_its_data() {
    let folder = Folder::new();
    let options = Options::default();
    let first = start(folder.path(), &options).await.expect("starts");
    let before = Record::load(folder.path())
        .expect("reads")
        .expect("is there");

    let second = start(folder.path(), &options).await.expect("is a no-op");
    assert_eq!(first.port, second.port);
    let after = Record::load(folder.path())
        .expect("reads")
        .expect("is there");
    assert_eq!(before.process, after.process);

    // As if we had been killed between spawning and recording.
    let mut forgotten = after.clone();
    forgotten.process = None;
    forgotten.save(folder.path()).expect("saves");
    start(folder.path(), &options).await.expect("adopts");
    let adopted = Record::load(folder.path())
        .expect("reads")
        .expect("is there");
    assert_eq!(adopted.process, before.process);

    stop(folder.path()).await.expect("stops");
    stop(folder.path())
        .await
        .expect("stopping twice is a no-op");
    let down = ping(&first.target(), Deadline::after(Duration::from_secs(5)))
        .await
        .expect_err("is down");
    assert_eq!(down.reason().code, "postgres.unreachable");

    let again = start(folder.path(), &options).await.expect("starts again");
    assert!(
        again.version.starts_with(|c: char| c.is_ascii_digit()),
        "{}",
        again.version
    );
    assert_eq!(again.password, first.password);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_replaced_by_a_free_one() {
    let folder = Folder::new();
    let occupier = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let taken = occupier.local_addr().expect("has an address").port();
    Record::new("postgres", taken, "postgres")
        .save(folder.path())
        .expect("saves");
    let running = start(folder.path(), &Options::scratch(None))
        .await
        .expect("starts");
    assert_ne!(running.port, taken);
    assert!(log_tail(folder.path(), 50).contains("Address already in use"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_version_names_the_package() {
    let folder = Folder::new();
    let error = start(folder.path(), &Options::scratch(Some(99)))
        .await
        .expect_err("no such version");
    assert_eq!(error.reason().code, "sandbox.missing-program");
    assert!(
        error.hints()[0].contains("postgresql-99"),
        "{:?}",
        error.hints()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_addresses_fail_with_their_own_reasons() {
    let (_folder, running) = scratch().await;
    let soon = || Deadline::after(Duration::from_secs(5));
    let good = running.target();
    let health = ping(&good, soon()).await.expect("answers");
    assert_eq!(health.facts["in-recovery"], false);
    assert_eq!(health.facts["tls"], false);

    let mut wrong = good.clone();
    wrong.password = Some(Secret::new("canary-Zx81-wrong"));
    let error = ping(&wrong, soon()).await.expect_err("wrong password");
    assert_eq!(error.reason().code, "postgres.login-refused");
    assert!(!format!("{error:?}").contains("canary-Zx81-wrong"));

    let error = ping(&good.with_database("nowhere"), soon())
        .await
        .expect_err("no such database");
    assert_eq!(error.reason().code, "postgres.no-database");
    assert!(error.to_string().contains("`nowhere`"), "{error}");

    let mut refused = good.clone();
    refused.port = 1;
    let error = ping(&refused, soon()).await.expect_err("nobody listens");
    assert_eq!(error.reason().code, "postgres.unreachable");

    let mut nameless = good.clone();
    nameless.host = crate::nameless();
    let error = ping(&nameless, soon()).await.expect_err("no such name");
    assert_eq!(error.reason().code, "postgres.unreachable");

    let mut tls = good.clone();
    tls.tls = TlsMode::Require;
    let error = ping(&tls, soon()).await.expect_err("no TLS there");
    assert_eq!(error.reason().code, "postgres.tls");

    let socket = running.socket.clone().expect("a short path has a socket");
    let mut local = good.clone();
    local.host = socket.display().to_string();
    ping(&local, soon()).await.expect("answers on its socket");
}

/// Has the server speak TLS; returns how to reach it so, and the authority's certificate.
pub async fn with_tls(folder: &Folder, running: &Running) -> (Target, PathBuf) {
    let signed =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let data = folder.path().join("data");
    let owner = std::fs::metadata(&data).expect("is there");
    for (name, text) in [
        ("server.crt", signed.cert.pem()),
        ("server.key", signed.signing_key.serialize_pem()),
    ] {
        let path = data.join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("sets");
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).expect("gives");
    }
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, signed.cert.pem()).expect("writes");
    sql(&running.target(), "ALTER SYSTEM SET ssl = on").await;
    sql(&running.target(), "SELECT pg_reload_conf()").await;

    let mut target = running.target();
    target.tls = TlsMode::Require;
    poll(
        "TLS",
        Deadline::after(Duration::from_secs(10)),
        Duration::from_millis(50),
        async || {
            Ok(
                match ping(&target, Deadline::after(Duration::from_secs(5))).await {
                    Ok(health) if health.facts["tls"] == true => Look::Ready(()),
                    other => Look::NotYet(format!("{other:?}")),
                },
            )
        },
    )
    .await
    .expect("speaks TLS");
    (target, authority)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified_as_far_as_asked_by_us_and_by_pg_dump() {
    let (folder, running) = scratch().await;
    let (mut target, authority) = with_tls(&folder, &running).await;
    let soon = || Deadline::after(Duration::from_secs(5));
    target.tls = TlsMode::VerifyFull;
    let error = ping(&target, soon())
        .await
        .expect_err("nobody vouches for it");
    assert_eq!(error.reason().code, "postgres.tls", "{error:?}");
    target.root_cert = Some(authority);
    let error = ping(&target, soon())
        .await
        .expect_err("the certificate has another name");
    assert_eq!(error.reason().code, "postgres.tls", "{error:?}");
    target.host = "localhost".to_owned();
    ping(&target, soon())
        .await
        .expect("trusted, and the right name");
    sql(&target, "CREATE TABLE t (n int)").await;
    let parts = summitctl::capture::MemoryParts::default();
    let options = super::round_trip::capture_options(1);
    summitctl::providers::postgres::capture(&target, &parts, &options)
        .await
        .expect("pg_dump verifies the same");
}
