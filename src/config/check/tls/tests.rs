//! Key pairs of every kind, and TLS files that are wrong in one way each.

use std::time::Duration;

use super::super::tests::{Folder, input, report};
use super::*;
use crate::check::Report;
use crate::consent::Tier;
use crate::event::Outcome;

#[test]
fn a_star_stands_for_one_label() {
    assert!(covers("*.example.com", "API.example.com"));
    assert!(!covers("*.example.com", "a.b.example.com"));
    assert!(!covers("*.example.com", "example.com"));
    assert!(covers("example.com", "example.com."));
    assert!(!covers("api.example.com", "example.com"));
}

struct Pair {
    cert: String,
    key: String,
}

fn certificate(key: &rcgen::KeyPair, days: std::ops::Range<i64>) -> Pair {
    let mut params =
        rcgen::CertificateParams::new(vec!["api.acme.test".to_owned(), "*.acme.test".to_owned()])
            .unwrap();
    let base = rcgen::date_time_ymd(2026, 11, 21);
    params.not_before = shift(base, days.start);
    params.not_after = shift(base, days.end);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "leaf");
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "authority");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.not_before = shift(base, -400);
    ca.not_after = shift(base, 4_000);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let leaf = params.signed_by(key, &issuer).unwrap();
    Pair {
        cert: format!("{}{}", leaf.pem(), ca_cert.pem()),
        key: key.serialize_pem(),
    }
}

fn shift<T: std::ops::Add<Duration, Output = T> + std::ops::Sub<Duration, Output = T>>(
    base: T,
    days: i64,
) -> T {
    let by = Duration::from_secs(days.unsigned_abs() * 86_400);
    if days < 0 { base - by } else { base + by }
}

async fn tls_report(folder: &Folder) -> Report {
    let mut input = input(
        Tier::Production,
        &[("TLS_KEY_PATH", "key.pem"), ("TLS_CERT_PATH", "cert.pem")],
    );
    input.base = folder.0.clone();
    report(input).await
}

fn outcomes(report: &Report) -> Vec<(&str, Outcome)> {
    report
        .checks()
        .filter(|c| c.id.starts_with("tls."))
        .map(|c| (c.id.as_str(), c.outcome))
        .collect()
}

#[tokio::test]
async fn a_key_fits_its_certificate_whatever_its_kind() {
    let folder = Folder::new("tls-kinds");
    let rsa = include_str!("../../../../tests/fixtures/tls/rsa.pem");
    let keys = [
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        rcgen::KeyPair::from_pem(rsa).unwrap(),
    ];
    let other = rcgen::KeyPair::generate().unwrap();
    for key in &keys {
        let pair = certificate(key, -1..100);
        folder.write("cert.pem", &pair.cert, 0o644);
        folder.write("key.pem", &pair.key, 0o600);
        let report = tls_report(&folder).await;
        let expected = ["tls.files", "tls.pair", "tls.expiry", "tls.hosts"];
        assert_eq!(
            outcomes(&report),
            expected.map(|id| (id, Outcome::Passed)),
            "{report:#?}"
        );
        assert_eq!(report.check("tls.expiry").unwrap().facts["days-left"], 100);
        folder.write("key.pem", &other.serialize_pem(), 0o600);
        let report = tls_report(&folder).await;
        let pair = report.check("tls.pair").unwrap();
        assert_eq!(pair.outcome, Outcome::Failed, "{}", pair.detail);
    }
}

#[tokio::test]
async fn wrong_tls_files_are_told_apart() {
    let folder = Folder::new("tls-wrong");
    let key = rcgen::KeyPair::generate().unwrap();
    let pair = |days| certificate(&key, days);
    let good = pair(-1..100);
    let reset = || {
        folder.write("cert.pem", &good.cert, 0o644);
        folder.write("key.pem", &good.key, 0o600);
    };
    for (days, outcome, said) in [
        (-30..-1, Outcome::Failed, "expired on 2026-11-20"),
        (-30..10, Outcome::Degraded, "expires in 10 days"),
        (2..100, Outcome::Failed, "valid only from 2026-11-23"),
    ] {
        reset();
        folder.write("cert.pem", &pair(days).cert, 0o644);
        let report = tls_report(&folder).await;
        let check = report.check("tls.expiry").unwrap();
        assert_eq!(check.outcome, outcome, "{}", check.detail);
        assert!(check.detail.contains(said), "{}", check.detail);
    }
    reset();
    folder.write("key.pem", &good.key, 0o640);
    let report = tls_report(&folder).await;
    assert_eq!(
        report.check("tls.files").unwrap().outcome,
        Outcome::Degraded
    );
    assert_eq!(report.check("tls.pair").unwrap().outcome, Outcome::Passed);
    for (file, text, said) in [
        ("cert.pem", "not a certificate", "no PEM certificate"),
        (
            "key.pem",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            "passphrase",
        ),
        ("key.pem", &good.cert, "no PEM private key"),
    ] {
        reset();
        folder.write(file, text, 0o600);
        let report = tls_report(&folder).await;
        let files = report.check("tls.files").unwrap();
        assert_eq!(files.outcome, Outcome::Failed);
        assert!(files.detail.contains(said), "{}", files.detail);
        assert_eq!(report.consequences("tls.files").len(), 3, "{report:#?}");
    }
    reset();
    let (leaf, authority) = good.cert.split_at(good.cert.rfind("-----BEGIN").unwrap());
    folder.write("cert.pem", &format!("{authority}{leaf}"), 0o644);
    let report = tls_report(&folder).await;
    let hosts = report.check("tls.hosts").unwrap();
    assert!(hosts.detail.contains("out of order"), "{}", hosts.detail);
    std::fs::remove_file(folder.0.join("key.pem")).unwrap();
    let report = tls_report(&folder).await;
    assert_eq!(report.check("tls.files").unwrap().outcome, Outcome::Failed);
}
