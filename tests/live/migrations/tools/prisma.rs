//! Prisma, with its engine in WebAssembly.

use super::*;

const PR: &str = "pr:public._prisma_migrations:advisory";

#[tokio::test(flavor = "multi_thread")]
async fn prisma_is_told_and_its_lock_cleared() {
    if !wanted() {
        return;
    }
    let (_folder, bench) = bench("prisma", &["pr"]).await;
    let package = include_str!("../prisma/package.json");
    let modules = fetched("prisma", package, "\"version\": \"", "\"").join("node_modules");
    let config = include_str!("../prisma/prisma.config.js");
    let schema = include_str!("../prisma/schema.prisma");
    let files = [
        ("prisma.config.js", config),
        ("schema.prisma", schema),
        ("unused", ""),
    ];
    let home = bench.files("prisma", &files);
    let provider = [("migration_lock.toml", "provider = \"postgresql\"\n")];
    let folder = bench.files("prisma/migrations", &provider);
    let migration = |name: &str, sql: &str| {
        bench.files(
            &format!("prisma/migrations/{name}"),
            &[("migration.sql", sql)],
        );
    };
    let prisma = |words: &[&str]| {
        let mut command = Command::new("node");
        command
            .arg(modules.join("prisma/build/index.js"))
            .arg("migrate")
            .args(words)
            .env("PRISMA_MODULES", &modules)
            // It would fetch an engine that it has no use for, and `resolve` asks the other one whether the database answers.
            .env("PRISMA_SCHEMA_ENGINE_BINARY", "/bin/true")
            .env("PRISMA_QUERY_ENGINE_LIBRARY", home.join("unused"))
            .env("CHECKPOINT_DISABLE", "1")
            .env("PGPORT", bench.server.port.to_string())
            .env("PGUSER", &bench.server.user)
            .env("PGPASSWORD", bench.server.password.expose())
            .env("PGDATABASE", "pr")
            .current_dir(&home)
            .stderr(Stdio::null());
        quiet(command)
    };
    migration("1_first", "CREATE TABLE first (n int);\n");
    let asleep =
        "CREATE TABLE second (n int);\nSELECT pg_sleep(3000);\nCREATE TABLE third (n int);\n";
    migration("2_second", asleep);
    let holder = prisma(&["deploy"]).spawn().unwrap();
    at_work(&bench, "pr", "%pg_sleep(3000)%").await;
    let lock = bench.lock(PR);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"in-session".into(), &"alive".into()),
        "{lock:#}"
    );
    let (code, text) = bench.call("migrate lock clear --confirm m");
    assert_eq!(code, 3, "{text}");
    let waiter = prisma(&["deploy"]).spawn().unwrap();
    at_work(&bench, "pr", "%pg_advisory_lock(72707369)%").await;
    assert_eq!(bench.lock(PR)["waiting"].as_array().unwrap().len(), 1);
    killed(waiter);
    ended(&bench, "pr", "%pg_advisory_lock(72707369)%").await;
    killed(holder);
    bench.cleared(PR);
    assert_eq!(bench.lock(PR)["state"], "free");

    let status = bench.status(&[]);
    let tool = &status["tools"][0];
    assert_eq!(tool["history"]["tool"], "prisma", "{status:#}");
    assert_eq!(tool["applied"], 1, "{status:#}");
    assert_eq!(tool["history"]["half"][0]["name"], "2_second", "{status:#}");
    assert_eq!(tool["lock"]["id"], PR, "{status:#}");
    assert!(!prisma(&["deploy"]).status().unwrap().success());
    prisma_files_are_compared(&bench, &folder);

    // As the proposal says: what is there is undone by hand, and the attempt marked as rolled back.
    sql(&bench.target("pr"), "DROP TABLE second").await;
    let resolved = prisma(&["resolve", "--rolled-back", "2_second"]);
    assert!({ resolved }.status().unwrap().success());
    let status = given(&bench, "prisma", &folder, 0);
    let pending = serde_json::json!(["2_second/migration.sql"]);
    assert_eq!(status["sources"]["pending"], pending, "{status:#}");
    migration("2_second", "SELECT 1 / 0;\n");
    assert!(!prisma(&["deploy"]).status().unwrap().success());
    let status = bench.status(&[]);
    let tool = &status["tools"][0];
    assert_eq!(
        tool["history"]["failed"][0]["name"], "2_second",
        "{status:#}"
    );
    assert_eq!(tool["history"]["half"], serde_json::json!([]), "{status:#}");
    let resolved = prisma(&["resolve", "--rolled-back", "2_second"]);
    assert!({ resolved }.status().unwrap().success());
    migration("2_second", "CREATE TABLE second (n int);\n");
    assert!(prisma(&["deploy"]).status().unwrap().success());
    let status = bench.status(&[]);
    let tool = &status["tools"][0];
    assert_eq!(tool["applied"], 2, "{status:#}");
    assert_eq!(tool["history"]["outcomes"]["rolled-back"], 2, "{status:#}");
    assert_eq!(tool["history"]["last"]["name"], "2_second", "{status:#}");
}
