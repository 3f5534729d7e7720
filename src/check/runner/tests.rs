//! The runner over checks that answer at once, late, never, or better each time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Barrier;

use super::super::{Category, Check, Finding};
use super::*;
use crate::event::{Listener, Stamped};
use crate::exit::Exit;
use crate::secret::Secret;

fn once() -> Options {
    Options::once(Deadline::after(Duration::from_secs(10)))
}

fn pass<'a>(id: &str) -> Check<'a> {
    Check::known(id, Category::Datastores, "passes", Finding::passed("fine"))
}

fn fail<'a>(id: &str) -> Check<'a> {
    Check::known(id, Category::Datastores, "fails", Finding::failed("broken"))
        .impact("API writes halt.")
        .hint("Run `summitctl doctor`.")
}

#[tokio::test]
async fn consequences_are_collapsed_under_their_root() {
    let ran = AtomicU32::new(0);
    let third = Check::new("c", Category::DataPlane, "never runs", |_| {
        ran.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Finding::passed("fine"))
    })
    .needs("b");
    let checks = [third, pass("b").needs("a"), fail("a"), pass("d")];
    let report = run("test", &checks, &once()).await.unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    for id in ["b", "c"] {
        let check = report.check(id).unwrap();
        assert_eq!(check.outcome, Outcome::NotEvaluated);
        assert_eq!(check.caused_by.as_deref(), Some("a"));
        assert_eq!(check.detail, "because `a` failed");
        assert_eq!((check.attempts, check.latency_ms), (0, None));
        assert!(check.hints.is_empty() && check.impact.is_none());
    }
    assert_eq!(report.consequences("a"), ["c", "b"]);
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.exit(), Exit::Failed);
    assert_eq!(report.totals.passed, 1);
    assert_eq!(report.totals.not_evaluated, 2);
    let roots: Vec<&str> = report.roots().map(|c| c.id.as_str()).collect();
    assert_eq!(roots, ["a"]);
    let a = report.check("a").unwrap();
    assert_eq!(a.impact.as_deref(), Some("API writes halt."));
    assert_eq!(a.hints, ["Run `summitctl doctor`."]);
}

#[tokio::test]
async fn an_explanation_by_something_that_is_well_is_dropped() {
    let ready = |cause: &str| {
        Check::known(
            format!("ready.{cause}"),
            Category::Platform,
            "readiness",
            Finding::failed("503").caused_by(cause),
        )
    };
    let checks = [ready("good"), ready("bad"), pass("good"), fail("bad")];
    let report = run("test", &checks, &once()).await.unwrap();
    assert_eq!(report.check("ready.good").unwrap().caused_by, None);
    let explained = report.check("ready.bad").unwrap();
    assert_eq!(explained.caused_by.as_deref(), Some("bad"));
    assert_eq!(explained.outcome, Outcome::Failed);
}

#[tokio::test]
async fn checks_run_side_by_side_and_late_ones_fail_alone() {
    let both = Arc::new(Barrier::new(2));
    // Each passes once the other has come as far.
    let beside = |id: &'static str| {
        let both = Arc::clone(&both);
        Check::new(id, Category::Network, id, move |_| {
            let both = Arc::clone(&both);
            async move {
                both.wait().await;
                Finding::passed("fine")
            }
        })
        .within(Duration::from_secs(60))
    };
    let never = Check::new("never", Category::Network, "never", |_| {
        std::future::pending()
    })
    .within(Duration::from_millis(600));
    let checks = [beside("one"), beside("two"), never];
    let report = run("test", &checks, &once()).await.unwrap();
    assert_eq!(report.totals.passed, 2);
    let never = report.check("never").unwrap();
    assert_eq!(never.outcome, Outcome::Failed);
    assert_eq!(never.detail, "no answer within 600ms");
}

#[tokio::test]
async fn waiting_tries_again_until_it_passes() {
    let count = AtomicU32::new(0);
    let check = Check::new("eventually", Category::Platform, "starts", |attempt| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(match attempt.number {
            1 => Finding::failed("starting"),
            2 => Finding::degraded("warming up"),
            _ => Finding::passed("up"),
        })
    });
    let settled = Check::known(
        "stub",
        Category::Platform,
        "is real",
        Finding::failed("answers anything").settled(),
    );
    let options = Options {
        wait: true,
        pause: Duration::from_millis(5),
        ..once()
    };
    let report = run("test", &[check, settled], &options).await.unwrap();
    assert_eq!(report.check("eventually").unwrap().attempts, 3);
    assert_eq!(report.check("eventually").unwrap().outcome, Outcome::Passed);
    assert_eq!(report.check("stub").unwrap().attempts, 1);
}

#[tokio::test]
async fn the_overall_deadline_leaves_nothing_counted_as_passed() {
    let forever = Check::new("forever", Category::Network, "hangs", |_| async {
        std::future::pending().await
    });
    let after = pass("after").needs("forever");
    let options = Options::once(Deadline::after(Duration::from_millis(50)));
    let report = run("test", &[forever, after], &options).await.unwrap();
    assert_eq!(report.outcome, Outcome::NotEvaluated);
    let forever = report.check("forever").unwrap();
    assert_eq!(forever.outcome, Outcome::NotEvaluated);
    assert!(
        forever.detail.contains("overall deadline"),
        "{}",
        forever.detail
    );
    assert_eq!(
        report.check("after").unwrap().detail,
        "because `forever` was not evaluated"
    );
}

#[tokio::test]
async fn no_checks_and_only_skips_are_not_a_pass() {
    let report = run("test", &[], &once()).await.unwrap();
    assert_eq!(report.outcome, Outcome::NotEvaluated);
    let skip = Check::known(
        "s",
        Category::Tools,
        "skip",
        Finding::skipped("not configured"),
    );
    let report = run("test", &[skip, pass("p").advisory()], &once())
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::NotEvaluated);
    assert_eq!(report.exit(), Exit::Failed);
}

#[tokio::test]
async fn advisory_checks_do_not_decide() {
    let report = run("test", &[pass("p"), fail("a").advisory()], &once())
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::Passed);
    assert_eq!(report.totals.failed, 1);
}

#[tokio::test]
async fn impossible_sets_are_refused() {
    for checks in [
        vec![pass("a"), pass("a")],
        vec![pass("a").needs("x")],
        vec![pass("a").needs("b"), pass("b").needs("a")],
    ] {
        let error = run("test", &checks, &once())
            .await
            .expect_err("not a runnable set");
        assert_eq!(error.exit(), Exit::Bug);
    }
}

#[tokio::test]
async fn interruption_ends_the_run() {
    let cancel = Cancel::new();
    cancel.raise();
    let options = Options { cancel, ..once() };
    let error = run("test", &[pass("a")], &options)
        .await
        .expect_err("interrupted");
    assert_eq!(error.exit(), Exit::Interrupted);
}

struct Heard(std::sync::Arc<Mutex<Vec<String>>>);

impl Listener for Heard {
    fn hear(&self, event: &Stamped) {
        if let Event::CheckFinished { check, outcome, .. } = &event.event {
            self.0
                .lock()
                .unwrap()
                .push(format!("{check} {}", outcome.word()));
        }
    }
}

#[tokio::test]
async fn every_result_is_announced_once_and_secrets_are_masked() {
    let secret = Secret::new("canary-of-the-runner");
    let heard = std::sync::Arc::new(Mutex::new(Vec::new()));
    let leaky = Check::known(
        "a",
        Category::Secrets,
        "leaks",
        Finding::failed(format!("got {}\nsecond line", secret.expose()))
            .fact("seen", secret.expose())
            .hint(format!("Use {}.", secret.expose())),
    );
    let options = Options {
        events: Events::new(vec![Box::new(Heard(heard.clone()))]),
        ..once()
    };
    let report = run("test", &[leaky, pass("b").needs("a")], &options)
        .await
        .unwrap();
    assert_eq!(*heard.lock().unwrap(), ["a failed", "b not evaluated"]);
    let json = serde_json::to_string(&report).unwrap();
    assert!(!json.contains("canary-of"), "{json}");
    assert!(json.contains("got *** second line"), "{json}");
}

#[tokio::test]
async fn the_report_matches_its_schema_and_reads_back() {
    let report = run("test", &[pass("b").needs("a"), fail("a")], &once())
        .await
        .unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let schema = serde_json::to_value(schemars::schema_for!(Report)).unwrap();
    jsonschema::validate(&schema, &json).unwrap();
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}
