//! What a plan covers, how a run stops, and how it is taken back.

use summitctl::consent::{Effect, PLAN_CHANGED};
use summitctl::engine::plan::{Forecast, OnFailure, StepSpec};
use summitctl::event::StepEnd;

use crate::fakes::{TempDir, World, abort, plan, put, resume, start};

#[tokio::test]
async fn the_digest_is_the_same_for_the_same_world_and_another_for_another() {
    let world = World::default();
    let one = plan(&world, vec![put("s", "a", "x", &[])]).await.unwrap();
    let same = plan(&world, vec![put("s", "a", "x", &[])]).await.unwrap();
    assert_eq!(one.digest(), same.digest());
    world.set("a", "something else");
    let other = plan(&world, vec![put("s", "a", "x", &[])]).await.unwrap();
    assert_ne!(one.digest(), other.digest());
}

#[tokio::test]
async fn a_fact_that_changed_since_the_plan_stops_the_run_and_is_named() {
    let world = World::default();
    let dir = TempDir::new("changed");
    let shown = plan(&world, vec![put("s", "a", "x", &[])]).await.unwrap();
    world.set("a", "somebody was here");
    let report = start(&world, &shown, &dir.0, None, 1).await.unwrap();
    let error = report.error.unwrap();
    assert_eq!(error.reason, PLAN_CHANGED.code);
    assert!(
        error
            .message
            .contains("`before` was null and is \"somebody was here\""),
        "{}",
        error.message
    );
    assert_eq!(world.get("a").as_deref(), Some("somebody was here"));
}

#[tokio::test]
async fn what_was_already_so_may_not_turn_into_a_change_behind_the_consent() {
    let world = World::default();
    world.set("a", "x");
    let dir = TempDir::new("already");
    let shown = plan(
        &world,
        vec![put("s", "a", "x", &[]), put("t", "b", "y", &[])],
    )
    .await
    .unwrap();
    assert!(matches!(
        shown.steps[0].forecast,
        Forecast::AlreadySo { .. }
    ));
    world.set("a", "drifted");
    let report = start(&world, &shown, &dir.0, None, 1).await.unwrap();
    assert_eq!(report.error.unwrap().reason, PLAN_CHANGED.code);
}

#[tokio::test]
async fn blocked_steps_show_in_the_plan() {
    let world = World::default();
    world.set("a", "locked");
    let shown = plan(&world, vec![put("s", "a", "x", &[])]).await.unwrap();
    assert_eq!(shown.blocked().count(), 1);
}

#[tokio::test]
async fn arguments_that_are_not_known_yet_count_with_the_strongest_effect_they_may_have() {
    let world = World::default();
    let look = StepSpec::new("look", "cell.get", serde_json::json!({"cell": "b"}), &[]);
    let unknown = StepSpec::new(
        "s",
        "cell.put",
        serde_json::json!({"cell": "a", "value": "x", "destroy": "${ steps.look.out.value }"}),
        &[],
    );
    let shown = plan(&world, vec![look, unknown]).await.unwrap();
    assert_eq!(shown.effect(), Effect::Destroy);
    assert!(matches!(shown.steps[1].forecast, Forecast::Later { .. }));
}

#[tokio::test]
async fn a_failure_undoes_the_run_where_the_step_says_so() {
    let world = World::default();
    world.set("b", "old");
    world.fail_once.lock().unwrap().push("c".into());
    let mut third = put("third", "c", "3", &["second"]);
    third.on_failure = OnFailure::Undo;
    let steps = vec![
        put("first", "a", "1", &[]),
        put("second", "b", "2", &["first"]),
        third,
    ];
    let dir = TempDir::new("undo");
    let report = start(&world, &plan(&world, steps).await.unwrap(), &dir.0, None, 1)
        .await
        .unwrap();
    assert!(!report.resumable);
    assert_eq!(
        world.all().into_iter().collect::<Vec<_>>(),
        vec![("b".to_owned(), "old".to_owned())]
    );
    assert!(
        report.steps.iter().all(|s| s.end == Some(StepEnd::Undone)),
        "{:?}",
        report.steps
    );
}

#[tokio::test]
async fn abort_takes_back_what_was_done_and_ends_the_run() {
    let world = World::default();
    world.fail_once.lock().unwrap().push("b".into());
    let steps = vec![
        put("first", "a", "1", &[]),
        put("second", "b", "2", &["first"]),
    ];
    let dir = TempDir::new("abort");
    start(&world, &plan(&world, steps).await.unwrap(), &dir.0, None, 1)
        .await
        .unwrap();
    let report = abort(&world, &dir.0).await.unwrap();
    assert_eq!(report.exit_code, 0);
    assert!(world.all().is_empty(), "{:?}", world.all());
    assert!(
        resume(&world, &dir.0, None)
            .await
            .unwrap_err()
            .to_string()
            .contains("has ended")
    );
}

#[tokio::test]
async fn a_tolerated_failure_goes_on_and_still_counts() {
    let world = World::default();
    world.fail_once.lock().unwrap().push("a".into());
    let mut first = put("first", "a", "1", &[]);
    first.on_failure = OnFailure::Continue;
    let dir = TempDir::new("tolerated");
    let steps = vec![first, put("second", "b", "2", &["first"])];
    let report = start(&world, &plan(&world, steps).await.unwrap(), &dir.0, None, 1)
        .await
        .unwrap();
    assert_eq!(report.exit_code, 1);
    assert_eq!(world.get("b").as_deref(), Some("2"));
}

#[tokio::test]
async fn retries_are_tried_and_independent_steps_run_side_by_side() {
    let world = World::default();
    world.fail_once.lock().unwrap().push("a".into());
    let mut first = put("first", "a", "1", &[]);
    first.retries = 2;
    let dir = TempDir::new("retry");
    let steps = vec![
        first,
        put("second", "b", "2", &[]),
        put("third", "c", "3", &["first", "second"]),
    ];
    let report = start(&world, &plan(&world, steps).await.unwrap(), &dir.0, None, 4)
        .await
        .unwrap();
    assert_eq!(report.exit_code, 0, "{report:?}");
    assert_eq!(world.all().len(), 3);
}

#[tokio::test]
async fn an_expectation_that_is_not_met_names_what_was_seen() {
    let world = World::default();
    let mut look = StepSpec::new("look", "cell.get", serde_json::json!({"cell": "b"}), &[]);
    look.expect = vec!["result.value == 'two'".into()];
    let dir = TempDir::new("expect");
    let report = start(
        &world,
        &plan(&world, vec![look]).await.unwrap(),
        &dir.0,
        None,
        1,
    )
    .await
    .unwrap();
    assert!(
        !report.resumable,
        "nothing was begun that could be gone on with"
    );
    let error = report.error.unwrap();
    assert_eq!(error.reason, "step.expectation");
    assert!(
        error.hints[0].contains("`result.value` is null"),
        "{:?}",
        error.hints
    );
}

#[tokio::test]
async fn circles_and_unknown_needs_are_refused() {
    let world = World::default();
    let circle = vec![put("a", "a", "1", &["b"]), put("b", "b", "1", &["a"])];
    assert!(
        plan(&world, circle)
            .await
            .unwrap_err()
            .to_string()
            .contains("in a circle")
    );
    let unknown = vec![put("a", "a", "1", &["zz"])];
    assert!(
        plan(&world, unknown)
            .await
            .unwrap_err()
            .to_string()
            .contains("`zz`")
    );
    let kind = vec![StepSpec::new("a", "cell.putt", serde_json::json!({}), &[])];
    let error = plan(&world, kind).await.unwrap_err();
    assert!(
        error.hints().iter().any(|h| h.contains("cell.put")),
        "{error:?}"
    );
}
