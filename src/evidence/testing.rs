//! Helpers of this module's tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use serde_json::json;

use super::{
    Artefact, CheckRecord, ClosingFacts, Digest, Failure, Measure, Measurement, Quantity, Recorder,
    Seen, StartFacts, StepRecord, Subject, TrustedKeys,
};
use crate::consent::{Effect, Tier};
use crate::error::Error;
use crate::event::{Outcome, StepEnd};
use crate::identity::{Identity, Store};
use crate::secret::Secret;
use crate::sign::SigningKey;
use crate::time::Instant;

/// A folder that is removed when the test ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!(
            "summitctl-evidence-{name}-{}-{number}",
            std::process::id()
        ));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("makes a folder");
        Folder(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The same key for the same number, so that samples can be made again.
pub(super) fn key(number: u8) -> SigningKey {
    // PKCS#8 of an Ed25519 key up to its seed: RFC 8410, section 7.
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend([number; 32]);
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    SigningKey::from_pem(&Secret::new(pem)).expect("a key")
}

pub(super) fn trusting(keys: &[&SigningKey]) -> TrustedKeys {
    TrustedKeys::of(keys.iter().map(|k| k.public()))
}

/// Where the samples' clock stands.
pub(super) fn noon() -> Instant {
    "2026-11-21T12:00:00.000Z".parse().expect("an instant")
}

pub(super) fn starting(run: &str, operation: &str) -> StartFacts {
    let mut facts = StartFacts::new(run, operation, "staging", Tier::Staging);
    facts.title = Some(format!("{operation} of the three stores").into());
    facts.plan_digest = Some(Digest::of(operation.as_bytes()));
    facts.started = noon();
    let identity = Identity::new(
        Store::Postgres,
        [
            ("system-identifier", "7312"),
            ("endpoint", "db.internal:5432"),
        ],
    );
    facts
        .identities
        .insert("postgres".into(), (&identity).into());
    facts
}

pub(super) fn step(id: &str, end: StepEnd, after: u64) -> StepRecord {
    StepRecord {
        id: id.into(),
        kind: "backup.capture".into(),
        title: Some("Capture Postgres".into()),
        effect: Some(Effect::Change),
        end: Some(end),
        started: Some(noon().plus(std::time::Duration::from_secs(after))),
        seconds: Some(Quantity(4.25)),
        observed: Seen(json!({"rows": 1204, "database": "app"})),
        failure: None,
    }
}

/// A closing record with something of everything.
pub(super) fn ending(outcome: Outcome) -> ClosingFacts {
    let exit = u8::from(outcome != Outcome::Passed);
    let mut facts = ClosingFacts::new(outcome, exit);
    facts.steps = vec![
        step("postgres", StepEnd::Changed, 1),
        step("redis", StepEnd::AlreadySo, 6),
    ];
    if outcome == Outcome::Failed {
        let error = Error::input("the dump of `app` ended early").hint("Run `summitctl doctor`.");
        let mut failed = step("neo4j", StepEnd::Failed, 9);
        failed.failure = Some(Failure::from(&error));
        facts.failure = Some(Failure::from(&error));
        facts.steps.push(failed);
    }
    facts.checks = vec![
        CheckRecord::new(
            "backup.freshness",
            Outcome::Passed,
            "newest is 14m old, 1h allowed",
        ),
        CheckRecord::new(
            "smoke.queues",
            Outcome::NotEvaluated,
            "no queue is configured",
        ),
    ];
    let total = Measurement::new(
        "rto",
        41.5,
        Measure::Seconds,
        Some(14_400.0),
        "this process's monotonic clock",
    );
    let mut restore = Measurement::new(
        "rto",
        30.0,
        Measure::Seconds,
        None,
        "this process's monotonic clock",
    )
    .phase("restore");
    restore.at = noon();
    facts.measurements = vec![
        Measurement {
            at: noon(),
            ..total
        },
        restore,
    ];
    let mut backup = Artefact::new("backup", "20261121T120000Z");
    backup.digest = Some(Digest::of(b"manifest"));
    backup.bytes = Some(1_048_576);
    backup.verified_level = Some(3);
    facts.artefacts = vec![backup];
    facts
        .observations
        .0
        .insert("skew-seconds".into(), json!(1.5));
    facts.finished = noon().plus(std::time::Duration::from_secs(42));
    facts
}

pub(super) fn manifest() -> Subject {
    Subject::sha256("backup 20261121T120000Z", &Digest::of(b"manifest"))
}

/// Records one whole run.
pub(super) fn record(dir: &Path, key: &SigningKey, run: &str, operation: &str, outcome: Outcome) {
    let recorder = Recorder::start(dir, key, starting(run, operation), vec![]).expect("starts");
    recorder
        .finish(ending(outcome), vec![manifest()])
        .expect("finishes");
}

/// Every file below a folder, with its path relative to it, sorted.
pub(super) fn files_below(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).expect("lists") {
            let path = entry.expect("lists").path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let name = path.strip_prefix(root).expect("is below");
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}
