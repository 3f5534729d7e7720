//! `restore --as`: a backup into a new database, killed and resumed, refused and dropped; and `--can-i` before it.

use serde_json::json;
use sqlx::Connection as _;

use crate::program::{Program, said};
use crate::shared;

const HERE: [&str; 2] = ["--context", "sandbox"];

fn with<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &HERE].concat()
}

async fn databases(program: &Program) -> Vec<String> {
    let mut session = program.postgres().await;
    sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1")
        .fetch_all(&mut session)
        .await
        .unwrap()
}

async fn count(program: &Program, database: &str, sql: &str) -> i64 {
    let mut session = program.database(database).await;
    let found = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&mut session)
        .await
        .unwrap();
    session.close().await.unwrap();
    found
}

#[tokio::test]
async fn a_copy_beside_the_live_database_whole_or_not_at_all() {
    let program = Program::start("copies");
    program.ok(&with(&[
        "backup", "create", "--stores", "postgres", "--yes",
    ]));
    let rows = "SELECT sum((xpath('//c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I.%I', schemaname, relname), true, false, '')))[1]::text::int8)::int8
         FROM pg_stat_user_tables WHERE schemaname <> 'summitctl'";
    let live = count(&program, "app", rows).await;

    let can = with(&["restore", "newest", "--stores", "postgres", "--can-i"]);
    let text = said(&program.ok(&can));
    for part in ["pg_restore", "rename the live database", "free at"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = program.ok(&[&can[..], &["--output", "json"]].concat());
    let document = shared::document("restore", &String::from_utf8(json.stdout).unwrap(), 0);
    shared::are_explained(&document);
    let runs = program.runs().len();

    // Nothing is replaced, so that `--yes` is consent enough.
    let copy = with(&["restore", "newest", "--as", "app_copy", "--yes"]);
    let text = said(&program.ok(&copy));
    for part in [
        "new database `app_copy`",
        "what it loads:",
        "connect   psql --host 127.0.0.1",
        "drop      dropdb --host 127.0.0.1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(program.runs().len(), runs + 1, "looking was no run");
    assert_eq!(databases(&program).await, ["app", "app_copy"]);
    assert_eq!(count(&program, "app_copy", rows).await, live);

    // The name is taken now, and a copy is no restore that could be taken back.
    let again = program.call(&copy, None);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    assert!(said(&again).contains("already has a database `app_copy`"));
    let asked = program.call(
        &with(&["restore", "newest", "--as", "app_copy", "--can-i", "-ojson"]),
        None,
    );
    assert_eq!(asked.status.code(), Some(1), "{}", said(&asked));
    let undo = program.call(&with(&["restore", "--undo", "--plan-only"]), None);
    assert_eq!(undo.status.code(), Some(2), "{}", said(&undo));

    // Killed at every record from the load on, and inside it; each time it goes on to the same end.
    for (n, crash) in ["after:4", "after:5", "within:6", "after:6"]
        .iter()
        .enumerate()
    {
        let name = format!("copy_{n}");
        let args = with(&["restore", "newest", "--as", &name, "--yes"]);
        let killed = program.call(&args, Some(crash));
        assert_eq!(killed.status.code(), None, "{crash}: {}", said(&killed));
        let resumed = program.call(&["run", "resume"], None);
        let text = said(&resumed);
        assert!(
            resumed.status.success() || text.contains("no run is waiting"),
            "{crash}: {text}"
        );
        assert_eq!(count(&program, &name, rows).await, live, "{crash}");
    }
    let args = with(&["restore", "newest", "--as", "in_the_middle", "--yes"]);
    assert!(program.killed_at(&args, "\"unit\":\"items\""));
    let found = databases(&program).await;
    assert!(!found.contains(&"in_the_middle".to_owned()), "{found:?}");
    program.ok(&["run", "resume"]);
    assert_eq!(count(&program, "in_the_middle", rows).await, live);

    // Killed and given up: nothing of it stays.
    let args = with(&["restore", "newest", "--as", "given_up", "--yes"]);
    assert!(program.killed_at(&args, "\"unit\":\"items\""));
    program.ok(&["run", "abort"]);
    let found = databases(&program).await;
    assert!(
        found
            .iter()
            .all(|d| d != "given_up" && !d.contains("_summitctl_")),
        "{found:?}"
    );
    let answers = program.json(&with(&["restore", "newest", "--as", "seen", "--yes"]));
    let steps = answers["report"]["steps"].as_array().unwrap();
    let load = steps.iter().find(|s| s["id"] == "load-postgres").unwrap();
    assert_eq!(load["observed"]["aside"], json!("seen"), "{load}");
}

#[tokio::test]
async fn what_stands_in_the_way_is_found_before_the_restore() {
    let program = Program::start("can-i");
    program.ok(&with(&[
        "backup", "create", "--stores", "postgres", "--yes",
    ]));
    let can = with(&["restore", "newest", "--stores", "postgres", "--can-i"]);
    program.ok(&can);
    let mut session = program.postgres().await;
    sqlx::raw_sql(
        "CREATE ROLE plain LOGIN PASSWORD 'plain-role-pw'; GRANT pg_read_all_data TO plain",
    )
    .execute(&mut session)
    .await
    .unwrap();
    let record = program.server("postgres");
    std::fs::write(program.dir.join("pw"), "plain-role-pw").unwrap();
    std::fs::write(
        program.dir.join("summitctl.toml"),
        format!(
            "version = 1\n[contexts.plain]\ntier = \"staging\"\n[contexts.plain.postgres]\n\
             url = \"postgres://plain@127.0.0.1:{}/app\"\npassword = \"file:pw\"\n",
            record.port
        ),
    )
    .unwrap();
    let asked = program.call(
        &[&can[..], &["--into", "plain", "--output", "json"]].concat(),
        None,
    );
    let document = shared::document(
        "restore",
        &String::from_utf8(asked.stdout.clone()).unwrap(),
        asked.status.code().unwrap(),
    );
    assert_eq!(asked.status.code(), Some(1), "{document:#}");
    let mut outcomes = std::collections::BTreeMap::new();
    for group in document["result"]["groups"].as_array().unwrap() {
        for check in group["checks"].as_array().unwrap() {
            let id = check["id"].as_str().unwrap().to_owned();
            outcomes.insert(id, check["outcome"].as_str().unwrap().to_owned());
        }
    }
    for (id, outcome) in [
        ("restore.reads-backup", "passed"),
        ("restore.tools", "passed"),
        ("restore.server", "passed"),
        ("restore.creates", "failed"),
        ("restore.renames", "failed"),
        // Our own session is a superuser's.
        ("restore.sessions", "failed"),
        ("restore.safety", "failed"),
        ("restore.space", "not-evaluated"),
        ("restore.roles", "degraded"),
    ] {
        assert_eq!(
            outcomes.get(id).map(String::as_str),
            Some(outcome),
            "{id}: {document:#}"
        );
    }
}

#[tokio::test]
async fn selected_tables_come_with_their_rows_and_the_others_are_empty_and_said_to_be() {
    let program = Program::start("selected");
    let mut session = program.postgres().await;
    sqlx::raw_sql(
        "COMMENT ON CONSTRAINT documents_project_id_fkey ON documents IS 'left out with its key'",
    )
    .execute(&mut session)
    .await
    .unwrap();
    session.close().await.unwrap();
    program.ok(&with(&[
        "backup", "create", "--stores", "postgres", "--yes",
    ]));

    let unknown = |args: &[&str]| {
        let words = [&["restore", "newest", "--as", "part", "--yes"], args].concat();
        let output = program.call(&with(&words), None);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        said(&output)
    };
    assert!(unknown(&["--table", "public.acounts"]).contains("`public.accounts`"));
    assert!(unknown(&["--table", "accounts"]).contains("`public.accounts`"));
    assert!(unknown(&["--schema", "pubic"]).contains("`public`"));

    let args = [
        "restore",
        "newest",
        "--as",
        "part",
        "--yes",
        "--table",
        "public.projects",
        "--table",
        "public.accounts",
        "--table",
        "public.events",
        "--table",
        "public.Mixed Case",
    ];
    // Killed in the middle, it goes on to the same.
    assert!(program.killed_at(&with(&args), "\"unit\":\"items\""));
    let resumed = program.json(&["run", "resume"]);
    let steps = resumed["report"]["steps"].as_array().unwrap();
    let load = steps.iter().find(|s| s["id"] == "load-postgres").unwrap();
    let seen = &load["observed"];
    let names = |fact: &str| -> Vec<String> {
        let names = seen[fact].as_array().unwrap();
        names
            .iter()
            .map(|n| n.as_str().unwrap().to_owned())
            .collect()
    };
    let empty = names("empty-on-purpose");
    assert!(empty.contains(&"public.documents".to_owned()), "{seen}");
    assert!(!empty.contains(&"public.events_rest".to_owned()), "{seen}");
    let keys = names("foreign-keys-left-out");
    assert!(
        keys.contains(&"public.documents: documents_project_id_fkey".to_owned()),
        "{seen}"
    );
    assert!(
        !keys.iter().any(|k| k.starts_with("public.projects")),
        "{seen}"
    );

    for table in ["accounts", "projects", "events", "\"Mixed Case\""] {
        let sql = format!("SELECT count(*) FROM public.{table}");
        let rows = count(&program, "part", &sql).await;
        assert_eq!(rows, count(&program, "app", &sql).await, "{table}");
        assert!(rows > 0, "{table}");
    }
    for table in ["documents", "attachments", "notes"] {
        let sql = format!("SELECT count(*) FROM public.{table}");
        assert_eq!(count(&program, "part", &sql).await, 0, "{table}");
    }
    let keys = |of: &str| {
        format!(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'public.{of}'::regclass"
        )
    };
    assert_eq!(count(&program, "part", &keys("projects")).await, 1);
    assert_eq!(count(&program, "part", &keys("documents")).await, 0);
    assert_eq!(count(&program, "app", &keys("documents")).await, 2);

    let whole = with(&[
        "restore", "newest", "--as", "all", "--schema", "public", "--yes",
    ]);
    let text = said(&program.ok(&whole));
    assert!(!text.contains("no key "), "{text}");
    let text = said(&program.ok(&with(&[
        "restore",
        "newest",
        "--as",
        "one",
        "--table",
        "public.accounts",
        "--yes",
    ])));
    for part in [
        "empty     on purpose: public.documents",
        "no key    public.projects: projects_owner_id_fkey",
        "every selected part equal",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
