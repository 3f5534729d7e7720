//! Each question about a bucket: how a good answer, a bad one and none at all are judged, by `doctor` and by the gate.

use super::*;
use crate::check::{Evaluated, Options, Severity};
use crate::repository::s3::{LockMode, RetainFor};
use crate::wait::Deadline;

/// A bucket about which nothing is to be said.
fn good() -> Posture {
    Posture {
        versioning: Measured::Is(true),
        encryption: Measured::Is(Some("aws:kms".to_owned())),
        public_blocked: Measured::Is(true),
        public_policy: Measured::Is(false),
        rules: Measured::Is(vec![rule(Does::EndsUploads)]),
        uploads_listed: Measured::Is(true),
        replicated: Measured::Is(true),
        lock: Measured::Is(Some("governance for 30 days".to_owned())),
    }
}

fn rule(does: Does) -> Rule {
    Rule {
        id: "tidy".to_owned(),
        does,
    }
}

fn place(locks: bool) -> S3Place {
    S3Place {
        bucket: "backups".to_owned(),
        prefix: "summit".to_owned(),
        region: None,
        endpoint: None,
        path_style: None,
        storage_class: None,
        kms_key: None,
        lock: locks.then_some(RetainFor {
            mode: LockMode::Governance,
            span: Duration::from_secs(86_400),
        }),
        keys: None,
        tls_ca: None,
    }
}

/// What `doctor` and the gate make of a set-up.
async fn judged_as(place: &S3Place, posture: Result<Posture, String>) -> [Vec<Evaluated>; 2] {
    let asked = Asked {
        place: Some(place.clone()),
        posture: OnceCell::from(posture),
    };
    let (mut doctor, mut release) = (Vec::new(), Vec::new());
    checks(&asked, &mut doctor);
    gate(&asked, &mut release).await;
    let mut both = [Vec::new(), Vec::new()];
    for (checks, found) in [doctor, release].iter().zip(&mut both) {
        let once = Options::once(Deadline::after(Duration::from_secs(60)));
        let report = crate::check::run("bucket", checks, &once).await.unwrap();
        *found = report.checks().cloned().collect();
    }
    both
}

fn of<'a>(found: &'a [Evaluated], id: &str) -> &'a Evaluated {
    let found = found.iter().find(|c| c.id == id);
    found.unwrap_or_else(|| panic!("no {id}"))
}

/// Why a fact is not there.
fn denied<T>() -> Measured<T> {
    Measured::Not(Why::Denied)
}

fn unknown_to_it<T>() -> Measured<T> {
    Measured::Not(Why::Unimplemented)
}

fn silent<T>() -> Measured<T> {
    Measured::Not(Why::Unanswered("the store did not answer".to_owned()))
}

/// A question, what is otherwise than in a good bucket, how it is judged, and whether it decides what `doctor` and the gate say.
type Row = (&'static str, fn(&mut Posture), Outcome, bool, bool);

#[tokio::test]
async fn every_answer_to_every_question_is_judged() {
    use Outcome::{Degraded, Failed, NotEvaluated, Passed, Skipped};
    let rows: &[Row] = &[
        ("bucket.versioning", |_| (), Passed, false, false),
        (
            "bucket.versioning",
            |p| p.versioning = Measured::Is(false),
            Degraded,
            false,
            false,
        ),
        (
            "bucket.versioning",
            |p| p.versioning = denied(),
            NotEvaluated,
            false,
            false,
        ),
        (
            "bucket.versioning",
            |p| p.versioning = unknown_to_it(),
            NotEvaluated,
            false,
            false,
        ),
        ("bucket.lifecycle", |_| (), Passed, false, false),
        (
            "bucket.lifecycle",
            |p| p.rules = Measured::Is(Vec::new()),
            Passed,
            false,
            false,
        ),
        (
            "bucket.lifecycle",
            |p| (p.rules, p.uploads_listed) = (Measured::Is(Vec::new()), Measured::Is(false)),
            Degraded,
            false,
            false,
        ),
        (
            "bucket.lifecycle",
            |p| p.rules = Measured::Is(vec![rule(Does::Freezes("to GLACIER".to_owned()))]),
            Degraded,
            false,
            false,
        ),
        (
            "bucket.lifecycle",
            |p| p.rules = Measured::Is(vec![rule(Does::Expires("after 3 days".to_owned()))]),
            Failed,
            true,
            true,
        ),
        (
            "bucket.lifecycle",
            |p| p.rules = denied(),
            NotEvaluated,
            false,
            true,
        ),
        (
            "bucket.lifecycle",
            |p| p.rules = silent(),
            NotEvaluated,
            false,
            true,
        ),
        (
            "bucket.lifecycle",
            |p| p.rules = unknown_to_it(),
            NotEvaluated,
            false,
            false,
        ),
        ("bucket.public-access", |_| (), Passed, false, false),
        (
            "bucket.public-access",
            |p| p.public_blocked = Measured::Is(false),
            Degraded,
            false,
            false,
        ),
        (
            "bucket.public-access",
            |p| p.public_policy = Measured::Is(true),
            Failed,
            true,
            true,
        ),
        // What everybody may do counts, whatever is said to be blocked.
        (
            "bucket.public-access",
            |p| (p.public_policy, p.public_blocked) = (Measured::Is(true), unknown_to_it()),
            Failed,
            true,
            true,
        ),
        (
            "bucket.public-access",
            |p| (p.public_policy, p.public_blocked) = (denied(), Measured::Is(false)),
            NotEvaluated,
            false,
            true,
        ),
        (
            "bucket.public-access",
            |p| p.public_blocked = unknown_to_it(),
            NotEvaluated,
            false,
            false,
        ),
        ("bucket.object-lock", |_| (), Passed, false, false),
        (
            "bucket.object-lock",
            |p| p.lock = Measured::Is(None),
            Degraded,
            false,
            false,
        ),
        (
            "bucket.object-lock",
            |p| p.lock = Measured::Is(Some("no default retention".to_owned())),
            Degraded,
            false,
            false,
        ),
        (
            "bucket.object-lock",
            |p| p.lock = denied(),
            NotEvaluated,
            false,
            false,
        ),
        ("bucket.encryption", |_| (), Passed, false, false),
        (
            "bucket.encryption",
            |p| p.encryption = Measured::Is(None),
            Skipped,
            false,
            false,
        ),
        (
            "bucket.encryption",
            |p| p.encryption = denied(),
            NotEvaluated,
            false,
            false,
        ),
        ("bucket.replication", |_| (), Passed, false, false),
        (
            "bucket.replication",
            |p| p.replicated = Measured::Is(false),
            Skipped,
            false,
            false,
        ),
        (
            "bucket.replication",
            |p| p.replicated = silent(),
            NotEvaluated,
            false,
            false,
        ),
    ];
    for (at, (id, change, outcome, doctor_decides, gate_decides)) in rows.iter().enumerate() {
        let mut posture = good();
        change(&mut posture);
        let both = judged_as(&place(false), Ok(posture)).await;
        for (found, decides) in both.iter().zip([doctor_decides, gate_decides]) {
            let found = of(found, id);
            assert_eq!(found.outcome, *outcome, "row {at}: {found:?}");
            let required = found.severity == Severity::Required;
            assert_eq!(required, *decides, "row {at}: {found:?}");
            // Whatever is bad says which command shows or mends it.
            let mends = !matches!(outcome, Failed) || !found.hints.is_empty();
            assert!(mends, "row {at}: {found:?}");
        }
    }
    // Each question has a good answer, one that is not, and none.
    for (id, ..) in QUESTIONS {
        let of = |wanted: fn(&Outcome) -> bool| {
            rows.iter()
                .any(|(row, _, outcome, ..)| row == id && wanted(outcome))
        };
        assert!(of(|o| *o == Passed), "{id}");
        assert!(of(|o| matches!(o, Degraded | Failed | Skipped)), "{id}");
        assert!(of(|o| *o == NotEvaluated), "{id}");
    }
    assert!(
        rows.iter()
            .all(|(row, ..)| QUESTIONS.iter().any(|(id, ..)| id == row))
    );
}

#[tokio::test]
async fn a_lock_that_is_configured_must_be_there() {
    let mut posture = good();
    let both = judged_as(&place(true), Ok(posture.clone())).await;
    assert!(
        both.iter()
            .all(|found| of(found, "bucket.object-lock").outcome == Outcome::Passed)
    );
    posture.lock = Measured::Is(None);
    for found in judged_as(&place(true), Ok(posture)).await {
        let found = of(&found, "bucket.object-lock");
        assert_eq!(found.outcome, Outcome::Failed);
        assert_eq!(found.severity, Severity::Required);
    }
}

/// A store that says nothing at all passes nothing, and nobody releases on it.
#[tokio::test]
async fn a_store_that_does_not_answer_passes_nothing() {
    let [doctor, release] = judged_as(&place(false), Err("no answer".to_owned())).await;
    assert_eq!(doctor.len(), QUESTIONS.len());
    for found in doctor.iter().chain(&release) {
        assert_eq!(found.outcome, Outcome::NotEvaluated, "{found:?}");
        assert!(found.detail.contains("no answer"), "{found:?}");
    }
    for found in release {
        let must = MUST.contains(&found.id.as_str());
        assert_eq!(found.severity == Severity::Required, must, "{found:?}");
    }
}
