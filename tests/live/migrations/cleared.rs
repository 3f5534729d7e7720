//! The clearing of a lock through the program: killed at every record, repeated, raced, and told in the run's record.

use super::*;

const TABLE: &str =
    "CREATE TABLE databasechangeloglock (id int PRIMARY KEY, locked boolean NOT NULL, lockgranted timestamp, lockedby varchar(255));
     INSERT INTO databasechangeloglock VALUES (1, false, NULL, NULL)";
const HELD: &str = "UPDATE databasechangeloglock SET locked = true, lockgranted = localtimestamp, lockedby = 'db-migrate-7c9d4 (203.0.113.7)'";
const CLEAR: &[&str] = &[
    "migrate",
    "lock",
    "clear",
    "--context",
    "m",
    "--confirm",
    "m",
];
const IS_HELD: &str = "SELECT locked::text FROM databasechangeloglock";

/// What the run's record says of the clearing.
fn observed(bench: &Bench, run: &str) -> Value {
    let shown = bench.program.json(&["run", "show", run]);
    let steps = shown["steps"].as_array().unwrap();
    let step = steps.iter().find(|s| s["id"] == "clear");
    step.unwrap_or_else(|| panic!("{shown:#}"))["observed"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clearing_of_a_lock_is_killed_repeated_and_told() {
    let (_folder, bench) = bench("cleared", &["lb"]).await;
    let target = bench.target("lb");
    sql(&target, TABLE).await;

    // At every record: before its effect, within and after it.
    let mut kills = 0;
    for record in 0.. {
        let mut undisturbed = false;
        for place in ["before", "within", "after"] {
            sql(&target, HELD).await;
            let point = format!("{place}:{record}");
            let output = bench.program.call(CLEAR, Some(&point));
            undisturbed = output.status.code() == Some(0);
            if undisturbed {
                break;
            }
            assert_eq!(output.status.code(), None, "{point}: {}", said(&output));
            kills += 1;
            if let Some(run) = bench.program.open_runs().into_iter().next() {
                bench.program.ok(&["run", "resume", &run]);
                let seen = observed(&bench, &run);
                let before = &seen["before"]["values"];
                assert_eq!(
                    before["lockedby"], "db-migrate-7c9d4 (203.0.113.7)",
                    "{point}: {seen:#}"
                );
                assert!(seen["takeable"].is_string(), "{point}: {seen:#}");
            } else {
                // Nothing had begun.
                bench.program.ok(CLEAR);
            }
            let held = value(&target, IS_HELD).await;
            assert_eq!(held.as_deref(), Some("false"), "{point}");
        }
        if undisturbed {
            break;
        }
    }
    assert!(kills >= 6, "{kills}");

    // Taken again by somebody who lives, after the kill and before the resumption: theirs, and left alone.
    sql(&target, HELD).await;
    assert!(bench.program.killed_at(CLEAR, "\"step\":\"clear\""));
    let run = bench.program.open_runs().into_iter().next().unwrap();
    let again = "UPDATE databasechangeloglock SET locked = false; UPDATE databasechangeloglock SET locked = true, lockedby = 'another (203.0.113.8)'";
    sql(&target, again).await;
    let output = bench.program.call(&["run", "resume", &run], None);
    let text = said(&output);
    let whose = "SELECT concat_ws(' ', locked, lockedby) FROM databasechangeloglock";
    let seen = value(&target, whose).await;
    assert_eq!(seen.as_deref(), Some("t another (203.0.113.8)"), "{text}");
    assert!(
        text.contains("another (203.0.113.8)") || text.contains("taken"),
        "{text}"
    );
}
