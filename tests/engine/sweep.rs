//! Crashes at every journal boundary: before a record, in the middle of it, after it, and twice in a row.

use summitctl::engine::journal::{CRASH, CrashPlace, CrashPoint};
use summitctl::engine::plan::StepSpec;

use crate::fakes::{TempDir, World, plan, put, resume, start, value};

fn steps() -> Vec<StepSpec> {
    let mut copy = put("copy", "c", "${ steps.look.out.value }", &[]);
    copy.expect = vec!["result.value == 'two'".into()];
    vec![
        put("first", "a", "one", &[]),
        put("second", "b", "two", &["first"]),
        StepSpec::new(
            "look",
            "cell.get",
            serde_json::json!({"cell": "b"}),
            &["second"],
        ),
        copy,
        put("last", "d", "${ params.word }", &["copy"]),
    ]
}

const RECORDS: u64 = 10;

#[tokio::test]
async fn every_crash_resumes_to_the_undisturbed_end() {
    let undisturbed = World::default();
    let dir = TempDir::new("sweep");
    let report = start(
        &undisturbed,
        &plan(&undisturbed, steps()).await.unwrap(),
        &dir.0,
        None,
        1,
    )
    .await
    .unwrap();
    assert_eq!(report.exit_code, 0, "{report:?}");
    assert_eq!(value(&report, "last"), "hello");

    let mut crashes = 0;
    for record in 0..RECORDS {
        for place in [CrashPlace::Before, CrashPlace::Within, CrashPlace::After] {
            for second in [None, Some(0), Some(1), Some(2)] {
                let world = World::default();
                let dir = TempDir::new("sweep");
                let crash = CrashPoint {
                    record,
                    place,
                    kill: false,
                };
                let crashed = start(
                    &world,
                    &plan(&world, steps()).await.unwrap(),
                    &dir.0,
                    Some(crash),
                    1,
                )
                .await;
                let error = crashed.expect_err("the crash point lies within the run");
                assert_eq!(error.reason(), &CRASH, "{error:?}");
                crashes += 1;
                if record == 0 && place != CrashPlace::After {
                    // The run never began: nothing to resume, nothing done.
                    assert!(world.all().is_empty());
                    continue;
                }
                if let Some(again) = second {
                    let crash = CrashPoint {
                        record: again,
                        place,
                        kill: false,
                    };
                    let _ = resume(&world, &dir.0, Some(crash)).await;
                }
                let report = resume(&world, &dir.0, None).await;
                match report {
                    Ok(report) => {
                        assert_eq!(report.exit_code, 0, "{crash:?} {second:?}: {report:?}")
                    }
                    // The second crash came after the end was on disk.
                    Err(e) => assert!(
                        e.to_string().contains("has ended"),
                        "{crash:?} {second:?}: {e:?}"
                    ),
                }
                assert_eq!(world.all(), undisturbed.all(), "{crash:?} {second:?}");
            }
        }
    }
    assert!(crashes > 80, "{crashes}");
}

#[tokio::test]
async fn each_step_fails_once_and_the_resumed_run_ends_the_same() {
    for cell in ["a", "b", "c", "d"] {
        let world = World::default();
        let dir = TempDir::new("fail");
        world.fail_once.lock().unwrap().push(cell.into());
        let report = start(
            &world,
            &plan(&world, steps()).await.unwrap(),
            &dir.0,
            None,
            1,
        )
        .await
        .unwrap();
        assert_eq!(
            report.exit_code, 2,
            "the injected error decides: {report:?}"
        );
        assert!(report.resumable);
        let report = resume(&world, &dir.0, None).await.unwrap();
        assert_eq!(report.exit_code, 0, "{report:?}");
        assert_eq!(world.get("d").as_deref(), Some("hello"));
    }
}

#[tokio::test]
async fn a_second_run_says_that_everything_is_already_so() {
    let world = World::default();
    let (one, two) = (TempDir::new("twice"), TempDir::new("twice"));
    start(
        &world,
        &plan(&world, steps()).await.unwrap(),
        &one.0,
        None,
        1,
    )
    .await
    .unwrap();
    let made = world.effects.lock().unwrap().len();
    let again = plan(&world, steps()).await.unwrap();
    let report = start(&world, &again, &two.0, None, 1).await.unwrap();
    assert_eq!(report.exit_code, 0);
    let ends: Vec<String> = report
        .steps
        .iter()
        .map(|s| serde_json::json!(s.end).to_string())
        .collect();
    assert_eq!(
        ends.iter().filter(|e| *e == "\"already-so\"").count(),
        4,
        "{ends:?}"
    );
    assert_eq!(
        world.effects.lock().unwrap().len(),
        made,
        "nothing was done twice"
    );
}
