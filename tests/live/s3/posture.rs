//! A bucket that is set up badly, from the store's answer to the exit code of `doctor` and the evidence of the gate.

use summitctl::sandbox::servers::redis::Options;

use super::flow::{Host, check};
use super::pruned::flat;
use super::server::{Kind, Server};
use crate::redis::Server as Redis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_lets_everybody_in_fails_doctor_and_the_gate() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("backups").await;
    let redis = Redis::start(&Options::scratch()).await;
    let host = Host::new(&redis, &server.endpoint(), &server.endpoint());
    host.ok(&["evidence", "keygen", "key.pem"]);
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    host.ok(&["backup", "create", "--stores", "redis", "--yes"]);
    let doctor = || {
        let (output, _) = host.call(&["doctor", "--output", "json"]);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), document)
    };
    let answer = |document: &serde_json::Value| {
        let found = check(document, "bucket.public-access").unwrap();
        let of = |field: &str| found[field].as_str().unwrap().to_owned();
        (of("outcome"), of("severity"))
    };
    let failed = ("failed".to_owned(), "required".to_owned());
    let (before, document) = doctor();
    assert_ne!(answer(&document), failed);

    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::backups/*"}]}"#;
    let put = server.admin().put_bucket_policy().bucket("backups");
    put.policy(policy).send().await.unwrap();
    let (after, document) = doctor();
    assert_eq!(answer(&document), failed);
    assert_eq!((before, after), (Some(0), Some(1)), "{document:#}");
    let shown = check(&document, "bucket.public-access").unwrap();
    assert!(
        shown["hints"].to_string().contains("delete-bucket-policy"),
        "{shown}"
    );

    let (output, text) = host.call(&["gate", "run", "--output", "json"]);
    assert_eq!(output.status.code(), Some(5), "{text}");
    let gate: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer(&gate), failed);
    // And so does what is kept of it.
    let record = flat(&host.ok(&["evidence", "show", "newest"]));
    for said in ["bucket.public-access", "a bucket policy lets everybody in"] {
        assert!(record.contains(said), "{said}: {record}");
    }
}
