//! Histories in another schema than the first, and under names of the user's: each has its lock beside it.

use super::tools::{at_work, golang_id_in, golang_key, golang_migrate};
use super::*;

const OURS: &str = "CREATE SCHEMA ours; ALTER DATABASE {} SET search_path = ours";

impl Bench {
    /// From now on everything that names no schema is in `ours`.
    async fn in_ours(&self, database: &str) {
        sql(&self.target(database), &OURS.replace("{}", database)).await;
    }

    fn history(&self, tool: &str, schema: &str) -> Value {
        let status = self.status(&[]);
        let all = status["tools"].as_array().unwrap();
        let of = |t: &&Value| t["history"]["tool"] == tool && t["history"]["schema"] == schema;
        let found = all.iter().find(of);
        found
            .unwrap_or_else(|| panic!("{tool} in {schema}: {status:#}"))
            .clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_in_a_second_schema_has_its_lock() {
    let (_folder, bench) = bench("schemas", &["sx", "lb", "kx"]).await;
    sqlx_s_one_lock_is_of_both(&bench).await;

    let one = bench.liquibase("").status().unwrap();
    assert!(one.success());
    sql(
        &bench.target("lb"),
        "CREATE SCHEMA ours; CREATE SCHEMA theirs",
    )
    .await;
    let dir = bench.program.dir.join("liquibase");
    let liquibase = |words: &[&str]| {
        let words = [words, &["clear-checksums"]].concat();
        bench.liquibase_in("lb", &dir, "changelog.sql", &words)
    };
    assert!(
        liquibase(&["--liquibase-schema-name=ours"])
            .status()
            .unwrap()
            .success()
    );
    let names = [
        "--liquibase-schema-name=theirs",
        "--database-changelog-table-name=moves",
        "--database-changelog-lock-table-name=guard",
    ];
    assert!(liquibase(&names).status().unwrap().success());
    for (schema, id) in [
        ("public", "lb:public.databasechangeloglock:1"),
        ("ours", "lb:ours.databasechangeloglock:1"),
        ("theirs", "lb:theirs.guard:1"),
    ] {
        let tool = bench.history("liquibase", schema);
        assert_eq!(tool["lock"]["id"], id, "{tool:#}");
    }

    let knex = || bench.knex("SELECT 1", true).status().unwrap();
    assert!(knex().success());
    bench.in_ours("kx").await;
    assert!(knex().success());
    let held = "UPDATE ours.my_moves_lock SET is_locked = 1";
    sql(&bench.target("kx"), held).await;
    let (ours, public) = (
        bench.history("knex", "ours"),
        bench.history("knex", "public"),
    );
    assert_eq!(
        (&ours["lock"]["id"], &ours["lock"]["state"]),
        (&"kx:ours.my_moves_lock:1".into(), &"held".into()),
        "{ours:#}"
    );
    assert_eq!(
        (&public["lock"]["id"], &public["lock"]["state"]),
        (&"kx:public.my_moves_lock:1".into(), &"free".into()),
        "{public:#}"
    );
}

/// sqlx has one key for a database: whoever holds it keeps a migration of either schema out.
async fn sqlx_s_one_lock_is_of_both(bench: &Bench) {
    bench.files("sqlx", &[("1_first.sql", "CREATE TABLE first (n int);")]);
    assert!(bench.sqlx().status().unwrap().success());
    const PUBLIC: &str = "sx:public._sqlx_migrations:advisory";
    const IN_OURS: &str = "sx:ours._sqlx_migrations:advisory";
    assert_eq!(bench.history("sqlx", "public")["lock"]["id"], PUBLIC);
    bench.in_ours("sx").await;
    bench.files("sqlx", &[("2_second.sql", "SELECT pg_sleep(3000);")]);
    let holder = bench.sqlx().spawn().unwrap();
    at_work(bench, "sx", "%pg_sleep(3000)%").await;
    for schema in ["public", "ours"] {
        let tool = bench.history("sqlx", schema);
        assert_eq!(tool["lock"]["verdict"], "alive", "{tool:#}");
    }
    // One lock, told once, and known by the name that it had before there was a second history.
    assert_eq!(bench.lock(IN_OURS)["verdict"], "alive");
    let shown = bench
        .program
        .json(&["migrate", "lock", "show", "--context", "m"]);
    let told = shown["locks"].as_array().unwrap();
    assert!(told.iter().all(|l| l["id"] != PUBLIC), "{shown:#}");
    killed(holder);
    let clear = format!("migrate lock clear --lock {PUBLIC} --terminate --confirm m");
    let (code, text) = bench.call(&clear);
    assert_eq!(code, 0, "{text}");
    let (code, text) = bench.call(&clear);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("nobody holds it"), "{text}");
    assert_eq!(bench.lock(IN_OURS)["state"], "free");
}

/// golang-migrate's key is made from the schema, too.
#[tokio::test(flavor = "multi_thread")]
async fn golang_migrate_in_a_second_schema_has_a_lock_of_its_own() {
    if !tools::wanted() {
        return;
    }
    let (_folder, bench) = bench("golang-schemas", &["gs"]).await;
    let folder = bench.files(
        "golang-migrate",
        &[("1_first.up.sql", "CREATE TABLE first (n int);")],
    );
    let migrate = || {
        let mut command = Command::new(golang_migrate().join("migrate"));
        command
            .args(["-path", folder.to_str().unwrap(), "-database"])
            .arg(bench.url("gs"))
            .arg("up")
            .stderr(Stdio::null());
        quiet(command)
    };
    assert!(migrate().status().unwrap().success());
    bench.in_ours("gs").await;
    assert!(migrate().status().unwrap().success());
    bench.files(
        "golang-migrate",
        &[("2_second.up.sql", "SELECT pg_sleep(3000);")],
    );
    let holder = migrate().spawn().unwrap();
    at_work(&bench, "gs", "%pg_sleep(3000)%").await;
    let id = golang_id_in("gs", "ours", golang_key("ours", "/gs"));
    let (ours, public) = (
        bench.history("golang-migrate", "ours"),
        bench.history("golang-migrate", "public"),
    );
    assert_eq!(
        (&ours["lock"]["id"], &ours["lock"]["verdict"]),
        (&id.as_str().into(), &"alive".into()),
        "{ours:#}"
    );
    assert_eq!(public["lock"]["state"], "free", "{public:#}");
    killed(holder);
    bench.cleared(&id);
}
