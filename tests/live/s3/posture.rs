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
    host.configure(|text| {
        text + "\n[contexts.bucket.evidence]\ndir = \"evidence\"\nsigning-key = \"file:key.pem\"\n"
    });
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    host.ok(&["backup", "create", "--stores", "redis", "--yes"]);
    let doctor = || {
        let (output, _) = host.call(&["doctor", "--output", "json"]);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let outcome = document["result"]["outcome"].as_str().unwrap().to_owned();
        (output.status.code(), outcome, document)
    };
    let answer = |document: &serde_json::Value| {
        let found = check(document, "bucket.public-access").unwrap();
        let of = |field: &str| found[field].as_str().unwrap().to_owned();
        (of("outcome"), of("severity"))
    };
    let failed = ("failed".to_owned(), "required".to_owned());
    let (_, outcome, document) = doctor();
    assert_ne!(answer(&document), failed);
    assert_ne!(outcome, "failed", "{document:#}");

    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::backups/*"}]}"#;
    let put = server.admin().put_bucket_policy().bucket("backups");
    put.policy(policy).send().await.unwrap();
    let (code, outcome, document) = doctor();
    assert_eq!(answer(&document), failed);
    assert_eq!(
        (code, outcome.as_str()),
        (Some(1), "failed"),
        "{document:#}"
    );
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
