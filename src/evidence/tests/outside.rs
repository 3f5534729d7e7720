//! What others see: stock tools, published schemas, and samples of earlier versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::event::Outcome;
use crate::evidence::envelope::Envelope;
use crate::evidence::testing::{Folder, files_below, key, record, starting, trusting};
use crate::evidence::{Archive, Recorder, TrustedKeys, schema, verify};

/// Set to write generated files anew instead of comparing them.
const UPDATE: &str = "SUMMITCTL_UPDATE";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_published_schemas_are_the_types() {
    let folder = repository().join("docs/schemas");
    for (name, schema) in schema::all() {
        let path = folder.join(format!("{name}.json"));
        let mut text = serde_json::to_string_pretty(&schema).expect("writes");
        text.push('\n');
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &text).expect("writes");
        }
        let published = fs::read_to_string(&path).expect("is published");
        assert_eq!(
            published, text,
            "run the tests with {UPDATE}=1 to publish `{name}` anew"
        );
    }
}

pub(super) fn validator(name: &str) -> jsonschema::Validator {
    let schema = schema::all()
        .into_iter()
        .find(|(n, _)| *n == name)
        .expect("exists")
        .1;
    jsonschema::validator_for(schema.as_value()).expect("is a schema")
}

#[test]
fn what_is_written_fits_the_schemas() {
    let folder = Folder::new("schemas");
    let dir = folder.path();
    record(dir, &key(1), "r", "backup", Outcome::Failed);
    let valid = |name: &str, value: &Value| {
        let errors: Vec<String> = validator(name)
            .iter_errors(value)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    };
    let signer = dir.join(key(1).id().as_str());
    for line in fs::read_to_string(signer.join("log.ndjson"))
        .expect("reads")
        .lines()
    {
        valid(
            "evidence-log-entry-v1",
            &serde_json::from_str(line).expect("is JSON"),
        );
    }
    for (file, name) in [
        ("records/000001-start-r.dsse.json", "evidence-start-v1"),
        ("records/000002-end-r.dsse.json", "evidence-closing-v1"),
        ("head.json", "evidence-head-v1"),
    ] {
        let bytes = fs::read(signer.join(file)).expect("reads");
        valid(
            "evidence-envelope-v1",
            &serde_json::from_slice(&bytes).expect("is JSON"),
        );
        let payload = Envelope::from_bytes(&bytes)
            .and_then(|e| e.unverified_payload())
            .expect("decodes");
        valid(name, &serde_json::from_slice(&payload).expect("is JSON"));
    }
    let report = verify(dir, &trusting(&[&key(1)]), None).expect("verifies");
    valid(
        "evidence-report-v1",
        &serde_json::to_value(report).expect("writes"),
    );
    let wrong = serde_json::json!({"_type": "https://in-toto.io/Statement/v1", "subject": []});
    assert!(!validator("evidence-start-v1").is_valid(&wrong));
}

/// The commands that `docs/EVIDENCE.md` gives to somebody without summitctl.
const BY_HAND: &str = r#"
set -eu
jq -r .payload "$1" | base64 -d > payload
type=$(jq -r .payloadType "$1")
{ printf 'DSSEv1 %s %s %s ' "${#type}" "$type" "$(wc -c < payload | tr -d ' ')"; cat payload; } > signed
jq -r '.signatures[0].sig' "$1" | base64 -d > signature
openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in signed -sigfile signature
"#;

#[test]
fn the_documented_commands_verify_an_envelope_without_us() {
    let manual = fs::read_to_string(repository().join("docs/EVIDENCE.md")).expect("reads");
    for line in BY_HAND
        .lines()
        .filter(|l| l.contains("jq") || l.contains("printf") || l.contains("openssl"))
    {
        assert!(manual.contains(line), "docs/EVIDENCE.md shows `{line}`");
    }
    let folder = Folder::new("openssl");
    let dir = folder.path();
    record(dir, &key(1), "r", "backup", Outcome::Passed);
    let public = dir.join("signer.pub");
    fs::write(&public, key(1).public().to_pem()).expect("writes");
    let envelope = dir
        .join(key(1).id().as_str())
        .join("records/000002-end-r.dsse.json");
    let by_hand = |public: &Path| {
        let done = Command::new("sh")
            .args(["-c", BY_HAND, "sh"])
            .args([&envelope, &public.to_path_buf()])
            .current_dir(dir)
            .output()
            .expect("sh runs");
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    let (verified, why) = by_hand(&public);
    assert!(verified, "{why}");
    fs::write(&public, key(2).public().to_pem()).expect("writes");
    assert!(!by_hand(&public).0);

    // The chain, too, can be followed with stock tools.
    let chain = Command::new("sh")
        .args([
            "-c",
            "sed -n 1p log.ndjson | sha256sum | cut -d' ' -f1; sed -n 2p log.ndjson | jq -r .prev",
        ])
        .current_dir(dir.join(key(1).id().as_str()))
        .output()
        .expect("sh runs");
    let text = String::from_utf8_lossy(&chain.stdout).into_owned();
    let (digest, prev) = text.trim().split_once('\n').expect("two lines");
    assert_eq!(format!("sha256:{digest}"), prev);
}

/// Samples that this version wrote, or an earlier one, still verify and read.
#[test]
fn samples_of_every_version_verify() {
    let samples = repository().join("tests/fixtures/compat/evidence");
    if std::env::var_os(UPDATE).is_some() && !samples.join("v1").exists() {
        let dir = samples.join("v1");
        record(&dir, &key(1), "passed", "backup", Outcome::Passed);
        record(&dir, &key(1), "failed", "drill", Outcome::Failed);
        Recorder::start(&dir, &key(1), starting("open", "gate"), vec![]).expect("starts");
        fs::write(dir.join("signer.pub"), key(1).public().to_pem()).expect("writes");
    }
    let mut seen = 0;
    for version in fs::read_dir(&samples).expect("lists") {
        let dir = version.expect("lists").path();
        let trusted = TrustedKeys::load([dir.join("signer.pub")]).expect("loads");
        let archive = Archive::open(&dir, &trusted).expect("opens");
        archive.report.check().expect("holds");
        assert_eq!(archive.report.records, 5, "{:?}", files_below(&dir));
        assert_eq!(archive.open_starts()[0].run.as_str(), "open");
        let failed = archive.latest("drill", "staging").expect("is there");
        let closing = &failed.closing().expect("closed").predicate.facts;
        assert_eq!(
            closing.failure.as_ref().expect("says why").reason.as_str(),
            "input.invalid"
        );
        assert_eq!(
            (
                closing.steps.len(),
                closing.checks.len(),
                closing.measurements.len()
            ),
            (3, 2, 2)
        );
        seen += 1;
    }
    assert!(seen > 0);
}
