//! Source files beside what the tools wrote down, and what of a half applied migration is there.

use serde_json::json;

use super::*;

pub fn given(bench: &Bench, tool: &str, folder: &Path, at: usize) -> Value {
    let sources = format!("{tool}={}", folder.display());
    let status = bench.status(&["--sources", &sources]);
    status["tools"][at].clone()
}

/// What of each statement of a half applied migration is in the catalogue.
pub fn seen(half: &Value) -> Vec<&str> {
    let statements = half["statements"].as_array().unwrap();
    statements
        .iter()
        .map(|s| s["seen"].as_str().unwrap())
        .collect()
}

pub fn sqlx_files_are_compared(bench: &Bench, folder: &Path) {
    let tool = given(bench, "sqlx", folder, 0);
    assert_eq!(
        tool["sources"]["pending"],
        json!(["2_index.sql"]),
        "{tool:#}"
    );
    assert_eq!(tool["sources"]["changed"], json!([]), "{tool:#}");
    assert_eq!(tool["half-applied"][0]["pending"], true, "{tool:#}");
    assert_eq!(tool["half-applied"][0]["statements"][0]["seen"], "seen");
    let first = fs::read_to_string(folder.join("1_first.sql")).unwrap();
    bench.files("sqlx", &[("1_first.sql", "CREATE TABLE first (n bigint);")]);
    let changed = given(bench, "sqlx", folder, 0);
    assert_eq!(changed["sources"]["changed"], json!(["1_first.sql"]));
    bench.files("sqlx", &[("1_first.sql", &first)]);
    let status = bench.status(&[]);
    assert_eq!(status["invalid-indexes"][0]["index"], "by_n", "{status:#}");
    let (code, text) = bench.call(&format!(
        "migrate status --sources sqlx={}",
        folder.display()
    ));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("invalid   index public.by_n"), "{text}");
    assert!(
        text.contains("seen           create index concurrently by_n"),
        "{text}"
    );
    let (code, text) = bench.call("migrate status --sources sqlxx=there");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("golang-migrate"), "{text}");
}

pub fn half_applied_is_told(bench: &Bench, folder: &Path) {
    let tool = given(bench, "golang-migrate", folder, 0);
    assert_eq!(
        tool["sources"]["pending"],
        json!(["3_third.up.sql"]),
        "{tool:#}"
    );
    assert_eq!(tool["sources"]["changed"], Value::Null);
    let half = &tool["half-applied"][0];
    assert_eq!(half["file"], "2_second.up.sql", "{tool:#}");
    assert_eq!(
        seen(half),
        ["seen", "not-recognised", "not-seen", "not-recognised"],
        "{half:#}"
    );
    let ways = tool["ways"].to_string();
    assert!(
        ways.contains("force 1 &&") && ways.contains("force 2"),
        "{ways}"
    );
    assert!(
        ways.contains("summitctl restore BACKUP --database gm --context m"),
        "{ways}"
    );
}

pub fn flyway_files_are_compared(bench: &Bench, folder: &Path) {
    let tool = given(bench, "flyway", folder, 0);
    assert_eq!(
        tool["sources"]["pending"],
        json!(["V2__second.sql"]),
        "{tool:#}"
    );
    assert_eq!(tool["sources"]["changed"], json!([]), "{tool:#}");
    assert_eq!(tool["history"]["failed"], json!([]), "{tool:#}");
    let half = &tool["half-applied"][0];
    assert_eq!(
        (&half["pending"], &half["statements"][0]["seen"]),
        (&json!(true), &json!("seen")),
        "{tool:#}"
    );
    assert!(tool["ways"].to_string().contains("repair"), "{tool:#}");
    bench.files(
        "flyway",
        &[("V1__first.sql", "CREATE TABLE first (n bigint);\n")],
    );
    let changed = given(bench, "flyway", folder, 0);
    assert_eq!(changed["sources"]["changed"], json!(["V1__first.sql"]));
    bench.files(
        "flyway",
        &[("V1__first.sql", "CREATE TABLE first (n int);\n")],
    );
    // The same lines with other ends have the same sum.
    let back = given(bench, "flyway", folder, 0);
    assert_eq!(back["sources"]["changed"], json!([]));
}

pub fn prisma_files_are_compared(bench: &Bench, folder: &Path) {
    let tool = given(bench, "prisma", folder, 0);
    assert_eq!(tool["sources"]["files"], 2, "{tool:#}");
    assert_eq!(tool["sources"]["pending"], json!([]), "{tool:#}");
    assert_eq!(tool["sources"]["changed"], json!([]), "{tool:#}");
    let half = &tool["half-applied"][0];
    assert_eq!(half["file"], "2_second/migration.sql", "{tool:#}");
    assert_eq!(
        seen(half),
        ["seen", "not-recognised", "not-seen"],
        "{half:#}"
    );
    let ways = tool["ways"].to_string();
    assert!(ways.contains("resolve --rolled-back 2_second &&"), "{ways}");
    let first = |text: &str| bench.files("prisma/migrations/1_first", &[("migration.sql", text)]);
    let changed = |expected: Value| {
        let tool = given(bench, "prisma", folder, 0);
        assert_eq!(tool["sources"]["changed"], expected, "{tool:#}");
    };
    first("CREATE TABLE first (n int);\r\n");
    changed(json!([]));
    first("CREATE TABLE first (n bigint);\n");
    changed(json!(["1_first/migration.sql"]));
    first("CREATE TABLE first (n int);\n");
}

pub fn alembic_files_are_compared(bench: &Bench, folder: &Path) {
    let tool = given(bench, "alembic", folder, 0);
    assert_eq!(
        tool["sources"]["pending"],
        json!(["versions/another.py"]),
        "{tool:#}"
    );
    assert_eq!(tool["sources"]["missing"], json!([]));
}

pub fn django_files_are_compared(bench: &Bench, folder: &Path) {
    let tool = given(bench, "django", folder, 1);
    assert_eq!(
        tool["sources"]["pending"],
        json!(["shop/migrations/0002_second.py"]),
        "{tool:#}"
    );
    assert_eq!(tool["sources"]["missing"], json!([]), "{tool:#}");
    assert!(
        tool["sources"]["notes"]
            .to_string()
            .contains("no folder there")
    );
}

pub fn knex_files_are_compared(bench: &Bench, folder: &Path) {
    fs::write(folder.join("3_third.js"), "").unwrap();
    let tool = given(bench, "knex", folder, 1);
    assert_eq!(
        tool["sources"]["pending"],
        json!(["3_third.js"]),
        "{tool:#}"
    );
    fs::remove_file(folder.join("2_second.js")).unwrap();
    let tool = given(bench, "knex", folder, 1);
    assert_eq!(
        tool["sources"]["missing"],
        json!(["2_second.js"]),
        "{tool:#}"
    );
}
