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
        "postgres,neo4j,redis",
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
    let graph = "CREATE (a:Fresh), (a)-[:BESIDE]->(:Fresh:Other)";
    program.neo4j(graph).await;
    program
        .neo4j("CREATE INDEX fresh_index FOR (n:Fresh) ON (n.name)")
        .await;
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
        ":Fresh",
        ":BESIDE",
        "added index fresh_index",
        "equal: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let compared = program.json(&words);
    assert_eq!(compared["by-fingerprint"], true);
    let part = |name: &str| {
        let stores = compared["stores"].as_array().unwrap().iter();
        let mut parts = stores.flat_map(|store| store["parts"].as_array().unwrap());
        let part = parts.find(|p| p["name"].as_str().unwrap().ends_with(name));
        part.unwrap_or_else(|| panic!("no {name}: {compared:#}"))
            .clone()
    };
    assert_eq!(part("postgres/app/table/public.fresh")["to-rows"], 2);
    let stores = compared["stores"].as_array().unwrap();
    assert!(stores.iter().all(|s| s["new-bytes"].as_u64().unwrap() > 0));
    let keys = part("redis/0/keys");
    let number = |key: &str| keys[key].as_u64().unwrap();
    assert_eq!(number("to-rows"), number("from-rows") + 1);
    let nodes = part("/nodes");
    assert_eq!(
        nodes["counts"],
        serde_json::json!([{"name": "Fresh", "from": 0, "to": 2}, {"name": "Other", "from": 0, "to": 1}])
    );
    let types = part("/relationships")["counts"].clone();
    assert_eq!(
        types,
        serde_json::json!([{"name": "BESIDE", "from": 0, "to": 1}])
    );
    // The other way round everything is the other way round.
    let newest = program.backups().remove(0);
    let text = said(&program.ok(&[&["backup", "diff", &newest, &same][..], &here].concat()));
    assert!(text.contains("removed table public.fresh"), "{text}");
}
