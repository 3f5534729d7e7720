//! `restore --in-place`: one lost table straight back into the live database, killed on the way and taken back.

use sqlx::Connection as _;

use crate::program::{Program, said};

const HERE: [&str; 2] = ["--context", "sandbox"];

fn with<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &HERE].concat()
}

async fn run(program: &Program, sql: &str) {
    let mut session = program.postgres().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut session)
        .await
        .unwrap();
    session.close().await.unwrap();
}

const ROWS: &str = "SELECT count(*) FROM attachments";
const ALL: &str = "SELECT hashtext(string_agg(a::text, ' ' ORDER BY id))::int8 FROM attachments a";

#[tokio::test]
async fn a_lost_table_comes_back_whatever_happens_to_the_program() {
    let program = Program::start("table");
    program.ok(&with(&[
        "backup", "create", "--stores", "postgres", "--yes",
    ]));
    let (rows, all) = (program.number(ROWS).await, program.number(ALL).await);
    let back = [
        "restore",
        "newest",
        "--table",
        "public.attachments",
        "--in-place",
    ];

    // It is there: said in the plan, and nothing is done.
    let refused = program.call(&with(&[&back[..], &["--yes"]].concat()), None);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(said(&refused).contains("`--replace`"), "{}", said(&refused));
    for (args, part) in [
        (
            &["--table", "public.attachment", "--in-place"][..],
            "Did you mean `public.attachments`?",
        ),
        (
            &[
                "--table",
                "public.attachments",
                "--table",
                "public.notes",
                "--in-place",
            ],
            "one table",
        ),
        (&["--in-place"], "--table"),
        (&["--table", "public.attachments"], "--as"),
        (
            &["--table", "public.attachments", "--replace"],
            "--in-place",
        ),
        (
            &["--table", "public.events_2026_q1", "--in-place"],
            "partition",
        ),
    ] {
        let output = program.call(
            &with(&[&["restore", "newest", "--plan-only"], args].concat()),
            None,
        );
        assert!(
            [Some(2), Some(3)].contains(&output.status.code()),
            "{}",
            said(&output)
        );
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }

    // Lost: killed at every record and inside the effect, it comes back once.
    for crash in ["after:4", "after:5", "within:6", "before:6", "after:6"] {
        run(&program, "DROP TABLE attachments").await;
        let args = with(&[&back[..], &["--yes"]].concat());
        let killed = program.call(&args, Some(crash));
        assert_eq!(killed.status.code(), None, "{crash}: {}", said(&killed));
        let resumed = program.call(&["run", "resume"], None);
        let text = said(&resumed);
        assert!(
            resumed.status.success() || text.contains("no run is waiting"),
            "{crash}: {text}"
        );
        let seen = (program.number(ROWS).await, program.number(ALL).await);
        assert_eq!(seen, (rows, all), "{crash}");
    }
    run(&program, "DROP TABLE attachments").await;
    let args = with(&[&back[..], &["--yes"]].concat());
    let plan = said(&program.ok(&with(&[&back[..], &["--plan-only"]].concat())));
    assert!(
        plan.contains("`public.attachments` is missing from `app`"),
        "{plan}"
    );
    let killed = program.call(&args, Some("before:6"));
    assert_eq!(killed.status.code(), None, "{}", said(&killed));
    program.ok(&["run", "abort"]);
    let there = "SELECT count(*) FROM pg_class WHERE oid = to_regclass('public.attachments')";
    assert_eq!(program.number(there).await, 0, "given up, it is as it was");
    let text = said(&program.ok(&args));
    assert!(text.contains("foreign keys proved"), "{text}");
    assert_eq!(program.number(ALL).await, all);

    // Damaged: the present one moves aside on a person's word, and comes back.
    run(&program, "DELETE FROM attachments WHERE id % 2 = 0").await;
    let left = program.number(ROWS).await;
    let replace = with(&[&back[..], &["--replace"]].concat());
    let consent = program.call(&[&replace[..], &["--yes"]].concat(), None);
    assert_eq!(consent.status.code(), Some(3), "{}", said(&consent));
    let args = [&replace[..], &["--confirm", "sandbox"]].concat();
    let text = said(&program.ok(&args));
    assert!(
        text.contains("old data  the table before it is in schema `summitctl_was_"),
        "{text}"
    );
    assert_eq!(program.number(ALL).await, all);
    let text = said(&program.ok(&with(&["restore", "--undo", "--confirm", "sandbox"])));
    assert!(text.contains("is in schema `summitctl_undone_"), "{text}");
    assert_eq!(program.number(ROWS).await, left);
    let again = program.call(&with(&["restore", "--undo", "--confirm", "sandbox"]), None);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    program.ok(&with(&[
        "backup", "create", "--stores", "postgres", "--yes",
    ]));
    program.ok(&with(&["evidence", "verify"]));
}
