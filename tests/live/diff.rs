//! What changed between two backups: rows, schema and keys, and nothing where nothing did.

use sqlx::Executor as _;

use crate::program::{Program, said};

#[tokio::test]
async fn from_one_backup_to_another() {
    let program = Program::start("diff");
    let create = [
        "backup",
        "create",
        "--stores",
        "postgres,redis",
        "--yes",
        "--context",
        "sandbox",
    ];
    program.ok(&create);
    program.ok(&create);
    let [same, first] = [0, 1].map(|n| program.backups()[n].clone());
    let here = ["--context", "sandbox"];
    let text = said(&program.ok(&[&["backup", "diff", &first, &same][..], &here].concat()));
    assert!(text.contains("No difference was found."), "{text}");

    let mut session = program.postgres().await;
    let changes = "SET ROLE operator;
         CREATE TABLE fresh (id int PRIMARY KEY);
         INSERT INTO fresh VALUES (1), (2);
         ALTER TABLE accounts ADD COLUMN nickname text;
         RESET ROLE; GRANT pg_monitor TO operator; SET ROLE operator;
         DROP TABLE attachments";
    session.execute(changes).await.unwrap();
    let _: () = program.redis(&["SET", "fresh:key", "1"]).await;
    program.ok(&create);
    let words = [&["backup", "diff", &same][..], &here].concat();
    let text = said(&program.ok(&words));
    for part in [
        "+ postgres/app/table/public.fresh",
        "- postgres/app/table/public.attachments",
        "~ postgres/app/table/public.accounts",
        "~ redis/0",
        "added table public.fresh",
        "removed table public.attachments",
        "added column public.accounts.nickname",
        "added membership of operator in pg_monitor",
        "equal: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let compared = program.json(&words);
    assert_eq!(compared["by-fingerprint"], true);
    let parts = compared["stores"][0]["parts"].as_array().unwrap();
    let fresh = parts
        .iter()
        .find(|p| p["name"] == "postgres/app/table/public.fresh");
    assert_eq!(fresh.unwrap()["to-rows"], 2);
    // The other way round everything is the other way round.
    let newest = program.backups().remove(0);
    let text = said(&program.ok(&[&["backup", "diff", &newest, &same][..], &here].concat()));
    assert!(text.contains("removed table public.fresh"), "{text}");
}
