//! The throw-away server itself, and how each kind of failure to reach one looks.

use super::*;

#[tokio::test]
async fn starting_twice_adopts_and_stopping_ends() {
    let server = Server::start(&Options::default()).await;
    let again = start(&server.running.dir, &Options::default())
        .await
        .expect("adopts");
    assert_eq!(again.process, server.running.process);
    assert_eq!(again.port, server.running.port);

    let health = ping(&server.target(), soon()).await.expect("answers");
    assert_eq!(health.facts["role"], "master");
    assert_eq!(health.facts["aof"], true);
    assert_eq!(health.facts["databases"], 16);
    assert!(health.version.starts_with(|c: char| c.is_ascii_digit()));

    // A crash between the start and the record: the process is found again, not started twice.
    let record = server.running.dir.join("server.json");
    let text = std::fs::read_to_string(&record).expect("reads");
    let mut json: serde_json::Value = serde_json::from_str(&text).expect("json");
    json["process"] = serde_json::Value::Null;
    std::fs::write(&record, json.to_string()).expect("writes");
    let found = start(&server.running.dir, &Options::default())
        .await
        .expect("adopts");
    assert_eq!(found.process, server.running.process);

    stop(&server.running.dir).await.expect("stops");
    assert!(!server.running.process.alive());
    stop(&server.running.dir)
        .await
        .expect("stopping twice is a no-op");
}

#[tokio::test]
async fn the_password_is_in_no_argument_and_no_open_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::scratch().await;
    let pid = server.running.process.pid;
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).expect("cmdline");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("environ");
    let password = server.running.password.expose();
    for text in [arguments, environment] {
        assert!(!String::from_utf8_lossy(&text).contains(password));
    }
    for file in ["redis.conf", "password"] {
        let metadata = std::fs::metadata(server.running.dir.join(file)).expect(file);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_port_that_somebody_took_is_not_used() {
    let server = Server::scratch().await;
    stop(&server.running.dir).await.expect("stops");
    let taken = std::net::TcpListener::bind(("127.0.0.1", server.running.port)).expect("binds");
    let again = start(&server.running.dir, &Options::scratch())
        .await
        .expect("starts on another port");
    assert_ne!(again.port, server.running.port);
    drop(taken);
    stop(&server.running.dir).await.expect("stops");
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_refused() {
    let server = Server::scratch().await;
    let other = server.running.dir.join("elsewhere");
    std::fs::create_dir(&other).expect("creates");
    std::fs::write(other.join("precious.txt"), "x").expect("writes");
    let error = start(&other, &Options::scratch())
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "sandbox.not-ours");
    assert_eq!(std::fs::read_dir(&other).expect("lists").count(), 1);
}

#[tokio::test]
async fn every_failure_to_connect_has_its_own_reason_and_no_password() {
    let server = Server::scratch().await;
    let canary = "canary-password-5d1e";
    let wrong = Target {
        password: Some(Secret::new(canary)),
        ..server.target()
    };
    let none = Target {
        password: None,
        ..server.target()
    };
    let unknown_user = Target {
        user: Some("nobody".into()),
        ..wrong.clone()
    };
    let tls = Target {
        tls: summitctl::providers::redis::Tls::Unverified,
        ..wrong.clone()
    };
    let missing = Target {
        database: 99,
        ..server.target()
    };
    let refused = Target::new("127.0.0.1", 1, Some(Secret::new(canary)));
    let nowhere = Target::new(crate::nameless(), 6379, Some(Secret::new(canary)));
    let mute = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("binds");
    let mute_port = mute.local_addr().expect("address").port();
    let silent = Target::new("127.0.0.1", mute_port, Some(Secret::new(canary)));
    for (target, reason, word) in [
        (wrong, "redis.login-refused", "refused the user or password"),
        (
            unknown_user,
            "redis.login-refused",
            "refused the user or password",
        ),
        (none, "redis.login-refused", "wants a password"),
        (tls, "redis.tls", "TLS"),
        (missing, "redis.database-missing", "no database"),
        (refused, "redis.unreachable", "connection was refused"),
        (nowhere, "redis.unreachable", "does not resolve"),
        (silent, "redis.unreachable", "did not answer within"),
    ] {
        let deadline = Deadline::after(Duration::from_secs(2));
        let error = ping(&target, deadline).await.expect_err(reason);
        assert_eq!(error.reason().code, reason, "{error:?}");
        assert_eq!(error.exit().code(), 7);
        assert!(error.one_line().contains(word), "{error:?}");
        assert!(!format!("{error:?}").contains(canary), "{error:?}");
    }
}

#[tokio::test]
async fn a_marker_tells_two_servers_apart() {
    let (one, two) = (Server::scratch().await, Server::scratch().await);
    assert_eq!(read_marker(&one.target()).await.expect("reads"), None);
    plant_marker(&one.target(), "m-1").await.expect("plants");
    plant_marker(&two.target(), "m-1").await.expect("plants");
    let (first, second) = (
        identify(&one.target()).await.expect("identifies"),
        identify(&two.target()).await.expect("identifies"),
    );
    assert_eq!(first.facts["marker"], "m-1");
    // A copied marker is not enough: the endpoint differs.
    assert_eq!(first.differences(&second).len(), 1);
}
