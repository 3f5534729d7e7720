//! A restore that was cut off: no other begins beside it, whoever meets half of it is led back to it, and what took its place meanwhile
//! is not dropped with it.

use crate::program::{Program, said};
use crate::several::killed_before;

const RESTORE: [&str; 8] = [
    "restore",
    "newest",
    "--stores",
    "postgres",
    "--confirm",
    "sandbox",
    "--context",
    "sandbox",
];

#[tokio::test]
async fn a_restore_that_was_cut_off_comes_first_and_takes_nothing_elses_place() {
    let program = Program::start("unfinished");
    let create = [
        "backup",
        "create",
        "--stores",
        "postgres",
        "--context",
        "sandbox",
        "--yes",
    ];
    program.ok(&create);
    // The restored database is live, and not pinned yet.
    killed_before(&program, &RESTORE, "pin");
    let run = program.open_runs().remove(0);
    let resume = format!("summitctl run resume {run} --context sandbox");
    let abort = format!("summitctl run abort {run} --context sandbox");
    let again = program.call(&RESTORE, None);
    let text = said(&again);
    assert_eq!(again.status.code(), Some(3), "{text}");
    let table = [
        &["restore", "newest", "--table", "public.notes", "--in-place"],
        &RESTORE[4..],
    ]
    .concat();
    let table = program.call(&table, None);
    assert_eq!(table.status.code(), Some(3), "{}", said(&table));
    for text in [text, said(&table), said(&program.call(&create, None))] {
        assert!(text.contains("was cut off"), "{text}");
        assert!(text.contains(&resume) && text.contains(&abort), "{text}");
        assert!(!text.contains("pin --replace"), "{text}");
    }
    assert_eq!(program.open_runs(), std::slice::from_ref(&run));

    // Somebody else's database takes the place of the one that the run swapped in.
    let mut server = program.database("postgres").await;
    for statement in [
        "ALTER DATABASE app ALLOW_CONNECTIONS false",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'",
        "ALTER DATABASE app RENAME TO app_first",
        "CREATE DATABASE app TEMPLATE app_first",
    ] {
        sqlx::raw_sql(statement).execute(&mut server).await.unwrap();
    }
    let mut session = program.postgres().await;
    sqlx::raw_sql("CREATE TABLE precious AS SELECT 7::bigint AS n")
        .execute(&mut session)
        .await
        .unwrap();
    drop(session);
    let aborted = program.call(&["run", "abort", &run], None);
    let text = said(&aborted);
    assert_eq!(aborted.status.code(), Some(1), "{text}");
    let told = "`app` is no longer the database that this run swapped in";
    assert!(text.contains(told), "{text}");
    assert_eq!(program.number("SELECT n FROM precious").await, 7);
    let others = "SELECT count(*) FROM pg_database WHERE datname = 'app_first' OR datname LIKE 'app\\_summitctl\\_retired%'";
    assert_eq!(program.number(others).await, 2);
    assert_eq!(program.open_runs(), [""; 0]);
}

/// A run that saved Redis and rests for long is not resumed: what was written since would be in no backup.
#[tokio::test]
async fn what_was_saved_long_ago_is_not_replaced_by_a_resumed_run() {
    let program = Program::start("stale");
    let args =
        |all: &[&'static str]| [all, &["--stores", "redis", "--context", "sandbox"]].concat();
    program.ok(&args(&["backup", "create", "--yes"]));
    killed_before(
        &program,
        &args(&["restore", "newest", "--confirm", "sandbox"]),
        "safety-commit",
    );
    let run = program.open_runs().remove(0);
    let resume = ["run", "resume", &run];
    let saved =
        |record: &serde_json::Value| record["kind"] == "done" && record["step"] == "safety-commit";
    while !program.records(&run).iter().any(saved) {
        let killed = program.call(&resume, Some("after:2"));
        assert_eq!(killed.status.code(), None, "{}", said(&killed));
    }
    let mut later = program.command(&resume);
    later.env("SUMMITCTL_TEST_CLOCK", "2099-01-01T00:00:00Z");
    let later = program.keep(later.output().unwrap());
    let text = said(&later);
    assert_eq!(later.status.code(), Some(3), "{text}");
    let abort = format!("summitctl run abort {run} --context sandbox");
    for word in [
        "has not replaced redis yet",
        "would be lost",
        abort.as_str(),
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(program.open_runs(), std::slice::from_ref(&run));
    // After a short rest it goes on.
    program.ok(&resume);
    assert_eq!(program.open_runs(), [""; 0]);
}
