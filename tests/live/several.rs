//! Several databases in one context: backed up, proved, restored together and alone, killed on the way, and taken back.

use std::collections::BTreeMap;

use sqlx::Connection as _;
use summitctl::sandbox::servers::postgres;

use crate::program::{Program, said};

const TWO: [&str; 2] = ["--context", "two"];

fn with<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &TWO].concat()
}

/// A context of two databases on the sandbox's server, with the sandbox's repository.
fn configure(program: &Program, more: &str) {
    let sandbox = std::fs::read_to_string(program.dir.join("sandbox/summitctl.toml")).unwrap();
    let recipients = sandbox.lines().find(|l| l.starts_with("recipients"));
    let record = program.server("postgres");
    let repository = format!(
        "path = \"sandbox/repository\"\nsecret = \"file:sandbox/keys/repository-secret\"\n{}\n\
         identity = \"file:sandbox/keys/identity\"\nsigning-key = \"file:sandbox/keys/signing.pem\"\n\
         trusted-keys = [\"sandbox/keys/signing.pub.pem\"]\n",
        recipients.unwrap()
    );
    let server = format!(
        "url = \"postgres://{}@127.0.0.1:{}/app?sslmode=disable\"\npassword = \"file:sandbox/postgres/password\"\n",
        record.user, record.port
    );
    std::fs::write(
        program.dir.join("summitctl.toml"),
        format!(
            "version = 1\n[contexts.two]\ntier = \"staging\"\n[contexts.two.postgres]\n{server}databases = [\"billing\", \"app\"]\n\
             [contexts.two.repository]\n{repository}\
             [contexts.two.evidence]\nsigning-key = \"file:sandbox/keys/signing.pem\"\n\
             [contexts.one]\ntier = \"staging\"\n[contexts.one.postgres]\n{server}\
             [contexts.one.repository]\n{repository}{more}"
        ),
    )
    .unwrap();
}

async fn session(program: &Program, database: &str) -> sqlx::PgConnection {
    let record = program.server("postgres");
    let password = program.secret("postgres/password");
    let (user, port) = (record.user, record.port);
    let url = format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}");
    sqlx::PgConnection::connect(&url).await.unwrap()
}

async fn run(program: &Program, database: &str, sql: &str) {
    let mut session = session(program, database).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut session)
        .await
        .unwrap();
    session.close().await.unwrap();
}

async fn text(program: &Program, database: &str, sql: &str) -> Option<String> {
    let mut session = session(program, database).await;
    let found = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&mut session)
        .await
        .unwrap();
    session.close().await.unwrap();
    found
}

const INVOICES: &str = "SELECT string_agg(i::text, ' ' ORDER BY id) FROM invoices i";
const ACCOUNTS: &str = "SELECT md5(string_agg(a::text, ' ' ORDER BY a::text)) FROM accounts a";

/// What both databases hold.
async fn held(program: &Program) -> [Option<String>; 2] {
    [
        text(program, "app", ACCOUNTS).await,
        text(program, "billing", INVOICES).await,
    ]
}

async fn damage(program: &Program) {
    run(program, "billing", "DELETE FROM invoices WHERE id % 2 = 0").await;
    run(program, "app", "TRUNCATE accounts CASCADE").await;
}

async fn retired(program: &Program) -> i64 {
    let sql = "SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_summitctl\\_retired\\_%'";
    program.number(sql).await
}

/// Kills a command when it comes to a step, and then what resumes it at every record and after every effect, until it ends;
/// how often.
fn killed_again_and_again(program: &Program, args: &[&str], from: &str) -> usize {
    assert!(program.killed_at(args, &format!("\"step\":\"{from}\"")));
    let run = program.open_runs().remove(0);
    let resume = ["run", "resume", &run];
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for kills in 1..80 {
        let records = program.records(&run);
        let last = records.last().unwrap();
        let visits = seen
            .entry(format!("{} {}", last["kind"], last["step"]))
            .or_default();
        *visits += 1;
        let point = match last["kind"].as_str() {
            Some("ended") => return kills,
            // The effect is made, and its record is not.
            Some("intent") if *visits == 1 => "before:2",
            _ => "after:1",
        };
        let output = program.call(&resume, Some(point));
        match output.status.code() {
            None => {}
            Some(0) => return kills,
            other => panic!("{point}: {other:?}: {}", said(&output)),
        }
    }
    panic!("it goes on for ever");
}

/// Kills a command, and what resumes it, after every record, until a step is about to act.
pub fn killed_before(program: &Program, args: &[&str], step: &str) {
    let begun = program.call(args, Some("after:0"));
    assert_eq!(begun.status.code(), None, "{}", said(&begun));
    let run = program.open_runs().remove(0);
    loop {
        let records = program.records(&run);
        let last = records.last().unwrap();
        if last["kind"] == "intent" && last["step"] == step {
            return;
        }
        // A step that was about to act says so again, and then acts.
        let point = if last["kind"] == "intent" {
            "after:2"
        } else {
            "after:1"
        };
        let killed = program.call(&["run", "resume", &run], Some(point));
        assert_eq!(killed.status.code(), None, "{}", said(&killed));
    }
}

#[tokio::test]
async fn two_databases_are_backed_up_proved_restored_and_taken_back() {
    let program = Program::start("several");
    configure(&program, "");
    let missing = program.call(&with(&["backup", "create", "--yes"]), None);
    assert_eq!(missing.status.code(), Some(7), "{}", said(&missing));
    assert!(
        said(&missing).contains("no database `billing`"),
        "{}",
        said(&missing)
    );

    run(&program, "app", "CREATE DATABASE billing OWNER app").await;
    run(&program, "app", "CREATE DATABASE elsewhere").await;
    run(
        &program,
        "billing",
        "CREATE ROLE clerk; GRANT app TO clerk; \
         CREATE TABLE invoices (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text); \
         ALTER TABLE invoices OWNER TO app; GRANT SELECT ON invoices TO clerk; \
         INSERT INTO invoices (what) SELECT 'no. ' || n FROM generate_series(1, 700) n",
    )
    .await;
    let made = program.ok(&with(&["backup", "create", "--yes"]));
    assert!(
        said(&made).contains("databases app, billing"),
        "{}",
        said(&made)
    );
    let shown = said(&program.ok(&with(&["backup", "show"])));
    for part in [
        "postgres/app/table/public.accounts",
        "postgres/billing/table/public.invoices",
        "`app`: exported snapshot",
        "`billing`: exported snapshot",
        "databases of the server that the context does not name: `elsewhere`",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let proved = program.json(&with(&["backup", "verify", "--level", "3", "--yes"]));
    let parts = &proved["report"]["steps"][0]["observed"]["measured"]["postgres-parts"];
    assert!(parts.as_u64() >= Some(15), "{proved}");
    program.ok(&with(&["drill", "run", "--yes"]));
    // No gateway is configured, so that the whole is not evaluated; Postgres is.
    let smoke = program.json(&with(&["smoke"])).to_string();
    assert!(
        smoke.contains(r#""databases":["app","billing"]"#),
        "{smoke}"
    );

    // Together, killed everywhere, and back.
    let before = held(&program).await;
    damage(&program).await;
    let damaged = held(&program).await;
    let restore = with(&["restore", "newest", "--confirm", "two"]);
    let kills = killed_again_and_again(&program, &restore, "load-postgres-billing");
    assert!(kills > 6, "{kills}");
    assert_eq!(held(&program).await, before);
    assert_eq!(retired(&program).await, 2);
    program.ok(&with(&["backup", "create", "--yes"]));
    let undo = with(&["restore", "--undo", "--confirm", "two"]);
    let kills = killed_again_and_again(&program, &undo, "swap-back-postgres-billing");
    assert!(kills > 4, "{kills}");
    assert_eq!(held(&program).await, damaged);
    assert_eq!(retired(&program).await, 0);

    // Given up between the two swaps, both are as they were.
    let whole = program.backups();
    let oldest = whole.last().unwrap();
    let restore = with(&["restore", oldest, "--confirm", "two"]);
    killed_before(&program, &restore, "swap-postgres-billing");
    assert_ne!(held(&program).await[0], damaged[0]);
    program.ok(&["run", "abort"]);
    assert_eq!(held(&program).await, damaged);

    // One alone: the other is not touched.
    let oid = "SELECT oid::text FROM pg_database WHERE datname = 'app'";
    let app = text(&program, "app", oid).await;
    let alone = with(&[
        "restore",
        oldest,
        "--database",
        "billing",
        "--confirm",
        "two",
    ]);
    let output = said(&program.ok(&alone));
    assert!(
        output.contains("old data  Postgres database `billing_summitctl_retired_"),
        "{output}"
    );
    assert_eq!(
        held(&program).await,
        [damaged[0].clone(), before[1].clone()]
    );
    assert_eq!(text(&program, "app", oid).await, app);
    let back = with(&[
        "restore",
        "--undo",
        "--database",
        "billing",
        "--confirm",
        "two",
    ]);
    program.ok(&back);
    assert_eq!(held(&program).await, damaged);

    // Both replaced, and taken back one after the other, each once.
    program.ok(&restore);
    program.ok(&back);
    let app_back = with(&["restore", "--undo", "--database", "app", "--confirm", "two"]);
    let now = held(&program).await;
    assert_eq!(now[1], damaged[1]);
    assert_ne!(now[0], damaged[0]);
    program.ok(&app_back);
    assert_eq!(held(&program).await, damaged);
    let again = program.call(&app_back, None);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    assert!(
        said(&again).contains("was taken back already"),
        "{}",
        said(&again)
    );

    refusals(&program, oldest);

    // Two databases that changed places are not the pinned ones.
    run(
        &program,
        "elsewhere",
        "ALTER DATABASE app RENAME TO x; ALTER DATABASE billing RENAME TO app; ALTER DATABASE x RENAME TO billing",
    )
    .await;
    let wrong = program.call(&with(&["backup", "create", "--yes"]), None);
    assert_eq!(wrong.status.code(), Some(3), "{}", said(&wrong));
    assert!(said(&wrong).contains("marker/billing"), "{}", said(&wrong));
    run(
        &program,
        "elsewhere",
        "ALTER DATABASE app RENAME TO x; ALTER DATABASE billing RENAME TO app; ALTER DATABASE x RENAME TO billing",
    )
    .await;
    program.ok(&with(&[
        "restore",
        oldest,
        "--database",
        "billing",
        "--as",
        "only_billing",
        "--yes",
    ]));
    assert_eq!(text(&program, "only_billing", INVOICES).await, before[1]);
    program.ok(&with(&["evidence", "verify"]));
    elsewhere(&program, oldest, &before).await;
}

fn refusals(program: &Program, backup: &str) {
    for (args, part) in [
        (&["--database", "biling"][..], "Did you mean `billing`?"),
        (
            &["--as", "copy"],
            "Choose one with `--database NAME`: `app`, `billing`.",
        ),
        (&["--database", "app", "--stores", "redis"], "alone"),
    ] {
        let args = [&["restore", backup, "--plan-only"], args].concat();
        let output = program.call(&with(&args), None);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    // A context of one database takes no other one's data for its own.
    for database in [None, Some("billing")] {
        let only = database.map_or(Vec::new(), |name| vec!["--database", name]);
        let args = ["restore", backup, "--into", "one", "--plan-only"];
        let output = program.call(&with(&[&args[..], &only].concat()), None);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            said(&output).contains("has no database `billing`"),
            "{}",
            said(&output)
        );
    }
    let can = program.json(&with(&["restore", backup, "--can-i"]));
    assert!(can.to_string().contains("`billing`: version"), "{can}");
}

/// All of it on another server.
async fn elsewhere(program: &Program, backup: &str, before: &[Option<String>; 2]) {
    let db = program.dir.join("other-pg");
    let other = postgres::start(&db, &postgres::Options::scratch(None))
        .await
        .unwrap();
    let server = other.target();
    configure(
        program,
        &format!(
            "[contexts.other]\ntier = \"staging\"\n[contexts.other.postgres]\ndatabases = [\"app\", \"billing\"]\n\
             url = \"postgres://{}@127.0.0.1:{}/app\"\npassword = \"file:other-pg/password\"\n",
            server.user, other.port
        ),
    );
    let url = |database: &str| {
        let password = server.password.as_ref().unwrap().expose();
        format!(
            "postgres://{}:{password}@127.0.0.1:{}/{database}",
            server.user, other.port
        )
    };
    let mut admin = sqlx::PgConnection::connect(&url("postgres")).await.unwrap();
    for sql in ["CREATE DATABASE app", "CREATE DATABASE billing"] {
        sqlx::raw_sql(sql).execute(&mut admin).await.unwrap();
    }
    let reason = ["--without-safety-backup", "nothing is there"];
    let into = ["restore", backup, "--into", "other", "--confirm", "other"];
    // The roles have other names there, and none is invented.
    let mapped = |pair: &'static str| {
        let map = ["--map-role", pair];
        with(&[&into[..], &reason, &map].concat())
    };
    for (pair, code, part) in [
        ("app=shop", 3, "no role `shop`"),
        ("ap=shop", 2, "Did you mean `app`?"),
    ] {
        let output = program.call(&mapped(pair), None);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    for sql in ["CREATE ROLE shop", "CREATE ROLE clerk"] {
        sqlx::raw_sql(sql).execute(&mut admin).await.unwrap();
    }
    let output = said(&program.ok(&mapped("app=shop")));
    assert!(output.contains("`app` becomes `shop`"), "{output}");
    assert!(!output.contains("not so "), "{output}");
    for (database, sql, expected) in [
        ("app", ACCOUNTS, &before[0]),
        ("billing", INVOICES, &before[1]),
    ] {
        let mut copy = sqlx::PgConnection::connect(&url(database)).await.unwrap();
        let found: Option<String> = sqlx::query_scalar(sql).fetch_one(&mut copy).await.unwrap();
        assert_eq!(&found, expected, "{database}");
        let owners = "SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables WHERE schemaname = 'public'";
        let owners: Option<String> = sqlx::query_scalar(owners)
            .fetch_one(&mut copy)
            .await
            .unwrap();
        assert_eq!(owners.as_deref(), Some("shop"), "{database}");
    }
    drop(admin);
    postgres::stop(&db).await.unwrap();
}
