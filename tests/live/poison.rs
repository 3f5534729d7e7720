//! What comes back with a backup and keeps a restored copy from working: told when the backup is taken, shown with it, found
//! again in the restored copy, and mended there, killed on the way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use summitctl::sandbox::servers::postgres::Running;

use crate::postgres::{scratch, sql, value};
use crate::program::{Program, said};

/// A context `p` of the database `app`, with a repository in a folder.
pub fn configure(program: &Program, server: &Running) {
    let write = |name: &str, text: &str| {
        let path = program.dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let identity = age::x25519::Identity::generate();
    let text = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    write("operator.age", &text);
    write("password", server.password.expose());
    let config = format!(
        "version = 1\n[contexts.p]\ntier = \"staging\"\n[contexts.p.postgres]\n\
         url = \"postgres://{}@127.0.0.1:{}/app?sslmode=disable\"\npassword = \"file:password\"\n\
         [contexts.p.repository]\npath = \"repository\"\nsecret = \"file:keys/secret\"\nrecipients = [\"{}\"]\n\
         identity = \"file:operator.age\"\nsigning-key = \"file:key.pem\"\n[contexts.p.evidence]\nsigning-key = \"file:key.pem\"\n",
        server.user,
        server.port,
        identity.to_public()
    );
    write("summitctl.toml", &config);
    program.ok(&["evidence", "keygen", "key.pem"]);
    program.ok(&["backup", "init", "--new-secret", "--yes"]);
}

const SCHEMA: &str = "
    CREATE TABLE databasechangeloglock (id int PRIMARY KEY, locked boolean NOT NULL, lockgranted timestamp, lockedby varchar(255));
    INSERT INTO databasechangeloglock VALUES (1, true, '2026-11-20 03:04:05', 'db-migrate-7c9d4 (203.0.113.7)');
    CREATE TABLE orders (id serial PRIMARY KEY, what text);
    INSERT INTO orders (what) SELECT 'no. ' || n FROM generate_series(1, 50) n;
    INSERT INTO orders VALUES (4711, 'from elsewhere');
    CREATE TABLE whole (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    INSERT INTO whole SELECT FROM generate_series(1, 9);
    CREATE SEQUENCE down INCREMENT -1;
    CREATE TABLE below (id bigint DEFAULT nextval('down'));
    INSERT INTO below VALUES (-12);
    CREATE TABLE twice (n int);
    INSERT INTO twice VALUES (7), (7);
    CREATE INDEX orders_what ON orders (what);
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_what'::regclass;
    CREATE ROLE leaver;
    GRANT SELECT ON orders TO leaver";

/// Words that each must be in the text.
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_with_a_backup_is_told_and_mended_in_the_restored_copy() {
    let (_folder, server) = scratch().await;
    let program = Program::bare("poison");
    let admin = server.target();
    sql(&admin, "CREATE DATABASE app").await;
    let app = admin.with_database("app");
    sql(&app, SCHEMA).await;
    let twice = "CREATE UNIQUE INDEX CONCURRENTLY twice_n ON twice (n)";
    let mut session = summitctl::providers::postgres::session::open(
        &app,
        summitctl::providers::postgres::session::Access::AsGiven,
    )
    .await
    .unwrap();
    let failed = sqlx::raw_sql(twice).execute(&mut session).await;
    assert!(failed.is_err(), "it leaves an index that is not valid");
    drop(session);
    configure(&program, &server);

    // Told when it is taken, and wherever it is shown.
    const LOCK: &str = "the migration lock of Liquibase (`public.databasechangeloglock`) is held by db-migrate-7c9d4 (203.0.113.7) since 2026-11-20 03:04:05";
    const BEHIND: &str =
        "the sequence `public.orders_id_seq` is behind `public.orders.id`, which reaches 4711";
    const INVALID: &str = "the index `public.orders_what` of `public.orders` is not valid";
    let made = said(&program.ok(&["backup", "create", "--label", "pre-deploy", "--yes"]));
    has(&made, &[LOCK, BEHIND, INVALID, "`--mend`"]);
    assert!(!made.contains("whole"), "{made}");
    let listed = said(&program.ok(&["backup", "list"]));
    has(&listed, &["! lock held, index invalid, sequence behind"]);
    has(
        &said(&program.ok(&["backup", "show"])),
        &[LOCK, BEHIND, INVALID],
    );
    let listed = program.json(&["backup", "list"]);
    let noted = listed["backups"][0]["troubles"].as_array().unwrap();
    assert_eq!(noted.len(), 4, "{listed:#}");
    assert_eq!(noted[0]["kind"], "lock");
    assert_eq!(noted[0]["holder"], "db-migrate-7c9d4 (203.0.113.7)");
    let plan = said(&program.ok(&["restore", "newest", "--plan-only"]));
    has(&plan, &["troubles in the backup:", LOCK, BEHIND]);

    // Restored as it is, all of it is there, with what mends it; `below.id` has no index, so only the copy was asked.
    sql(&app, "DROP OWNED BY leaver; DROP ROLE leaver").await;
    let copied = said(&program.ok(&["restore", "newest", "--as", "plain", "--yes"]));
    has(
        &copied,
        &[
            LOCK,
            "in `plain`: UPDATE public.databasechangeloglock SET",
            "SELECT setval('public.orders_id_seq', 4711)",
            "SELECT setval('public.down', -12)",
            "CREATE INDEX orders_what ON public.orders USING btree (what)",
            "CREATE ROLE \"leaver\"",
        ],
    );
    missing_roles_are_made(&program, &server).await;
    mended_in_another_context(&program, &server).await;
    mended_in_place(&program, &server).await;
}

/// A role that is missing is made before the restore, so that its grants come back; whoever gives the run up is rid of it.
async fn missing_roles_are_made(program: &Program, server: &Running) {
    let admin = server.target();
    let restore = ["restore", "newest", "--as", "granted", "--mend", "roles"];
    let plan = said(&program.ok(&[&restore[..], &["--plan-only"]].concat()));
    has(
        &plan,
        &["mend-roles", "make the role `leaver`, without login"],
    );
    assert!(!plan.contains("owners and grants were left out"), "{plan}");
    let yes = [&restore[..], &["--yes"]].concat();
    let there = "SELECT count(*)::text FROM pg_roles WHERE rolname = 'leaver'";
    for (point, taken, left) in [
        ("after:1", false, "0"),
        ("before:2", false, "0"),
        ("before:2", true, "1"),
    ] {
        assert!(program.killed_at(&yes, "\"step\":\"mend-roles\""));
        let run = program.open_runs().remove(0);
        let output = program.call(&["run", "resume", &run], Some(point));
        assert_eq!(output.status.code(), None, "{}", said(&output));
        // Whoever lets it log in has made it his own.
        if taken {
            sql(&admin, "ALTER ROLE leaver LOGIN").await;
        }
        let aborted = said(&program.ok(&["run", "abort", &run, "--yes"]));
        assert_eq!(aborted.contains("`leaver` can log in"), taken, "{aborted}");
        assert_eq!(value(&admin, there).await.as_deref(), Some(left), "{point}");
        assert_eq!(program.open_runs(), [""; 0]);
    }
    sql(&admin, "DROP ROLE leaver").await;
    let done = said(&program.ok(&yes));
    has(&done, &["made      the role `leaver`, without login"]);
    assert!(!done.contains("not so"), "{done}");
    let granted = admin.with_database("granted");
    let query = "SELECT concat_ws(' ', has_table_privilege('leaver', 'orders', 'SELECT'), rolcanlogin, rolsuper) FROM pg_roles WHERE rolname = 'leaver'";
    assert_eq!(value(&granted, query).await.as_deref(), Some("t f f"));
    let again = said(&program.ok(&[
        "restore", "newest", "--as", "again", "--mend", "roles", "--yes",
    ]));
    assert!(!again.contains("made   "), "it is there: {again}");
    for database in ["granted", "again"] {
        sql(&admin, &format!("DROP DATABASE {database}")).await;
    }
    sql(&admin, "DROP ROLE leaver").await;
}

/// What `--into` loads and swaps in elsewhere is mended as well, and the place it comes from is left alone.
async fn mended_in_another_context(program: &Program, server: &Running) {
    sql(&server.target(), "CREATE DATABASE elsewhere").await;
    let config = fs::read_to_string(program.dir.join("summitctl.toml")).unwrap();
    let other = format!(
        "[contexts.q]\ntier = \"staging\"\n[contexts.q.postgres]\n\
         url = \"postgres://{}@127.0.0.1:{}/elsewhere?sslmode=disable\"\npassword = \"file:password\"\n",
        server.user, server.port
    );
    fs::write(program.dir.join("both.toml"), config + &other).unwrap();
    let into = "restore newest --config both.toml --context p --into q --map-role leaver=postgres --mend locks,sequences,indexes --confirm q";
    let mut into: Vec<&str> = into.split(' ').collect();
    let role = format!("leaver={}", server.user);
    let at = into.iter().position(|w| w.starts_with("leaver=")).unwrap();
    into[at] = &role;
    into.extend(["--without-safety-backup", "nothing is there"]);
    let done = said(&program.ok(&into));
    has(&done, &["mended    clear the lock `1`", "orders_what"]);
    for (database, held, next) in [("elsewhere", "false", "4712"), ("app", "true", "51")] {
        let target = server.target().with_database(database);
        let lock = value(&target, "SELECT locked::text FROM databasechangeloglock").await;
        assert_eq!(lock.as_deref(), Some(held), "{database}");
        let sequence = "SELECT (last_value + is_called::int)::text FROM orders_id_seq";
        let sequence = value(&target, sequence).await;
        assert_eq!(sequence.as_deref(), Some(next), "{database}");
    }
}

async fn mended_in_place(program: &Program, server: &Running) {
    let app = server.target().with_database("app");
    let mend = ["restore", "newest", "--mend", "locks,sequences,indexes"];
    let plan = said(&program.ok(&[&mend[..], &["--plan-only"]].concat()));
    has(
        &plan,
        &[
            "clear the lock `1` of `public.databasechangeloglock`, held by db-migrate-7c9d4 (203.0.113.7)",
            "have the sequence `public.orders_id_seq` go on after 4711",
            "CREATE INDEX orders_what",
            "CREATE UNIQUE INDEX twice_n",
        ],
    );
    let other = program.call(
        &["restore", "newest", "--mend", "lock", "--plan-only"],
        None,
    );
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
    has(
        &said(&other),
        &["`locks`, `sequences`, `indexes` and `roles`"],
    );

    // Killed before the effect, after it and after its record, it goes on.
    let restore = [&mend[..], &["--confirm", "p"]].concat();
    assert!(program.killed_at(&restore, "\"step\":\"mend-postgres\""));
    let run = program.open_runs().remove(0);
    let resume = ["run", "resume", run.as_str()];
    let mut kills = 0;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    loop {
        let last = program.records(&run).last().unwrap().clone();
        let step = format!("{} {}", last["kind"], last["step"]);
        let visits = seen.entry(step).or_default();
        *visits += 1;
        let point = match last["kind"].as_str() {
            Some("ended") => break,
            // The effect is made, and its record is not.
            Some("intent") if *visits == 1 => "before:2",
            _ => "after:1",
        };
        let output = program.call(&resume, Some(point));
        match output.status.code() {
            None => kills += 1,
            Some(0) => break,
            other => panic!("{other:?}: {}", said(&output)),
        }
        assert!(kills < 30, "it goes on for ever");
    }
    assert!(kills > 0, "{kills}");
    let shown = program.json(&["run", "show", &run]);
    let steps = shown["steps"].as_array().unwrap();
    let seen = steps.iter().find(|s| s["id"] == "mend-postgres").unwrap();
    let seen: &Value = &seen["observed"];
    has(&seen["compared"].to_string(), &["after the comparison"]);
    let row = &seen["before"][0]["values"];
    assert_eq!(
        row["lockedby"], "db-migrate-7c9d4 (203.0.113.7)",
        "{seen:#}"
    );
    let mended = seen["mended"].to_string();
    has(&mended, &["clear the lock", "orders_id_seq", "orders_what"]);
    // What was not in the plan is not done, and what cannot be done is told.
    assert!(
        !mended.contains("down") && !mended.contains("twice_n"),
        "{mended}"
    );
    let left = seen["findings"].to_string();
    has(&left, &["public.down", "public.twice_n"]);
    assert!(!left.contains("lock"), "{left}");

    for (query, expected) in [
        (
            "SELECT (NOT locked AND lockedby IS NULL)::text FROM databasechangeloglock",
            "true",
        ),
        ("SELECT nextval('orders_id_seq')::text", "4712"),
        ("SELECT nextval('whole_id_seq')::text", "10"),
        (
            "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'orders_what'::regclass",
            "true",
        ),
        ("SELECT nextval('down')::text", "-1"),
        ("SELECT (to_regclass('twice_n') IS NULL)::text", "true"),
    ] {
        assert_eq!(
            value(&app, query).await.as_deref(),
            Some(expected),
            "{query}"
        );
    }
    program.ok(&["evidence", "verify"]);

    // Once more, to its end: what is left is on the screen with the next command.
    let again = said(&program.ok(&[
        "restore",
        "newest",
        "--mend",
        "sequences",
        "--without-safety-backup",
        "a test",
        "--confirm",
        "p",
    ]));
    has(
        &again,
        &[
            "mended    have the sequence `public.orders_id_seq` go on after 4711",
            "in this the copy differs from the backup",
            "mend    summitctl migrate lock clear --lock 'app:public.databasechangeloglock:1' --context p",
        ],
    );
    program.ok(&[
        "migrate",
        "lock",
        "clear",
        "--lock",
        "app:public.databasechangeloglock:1",
        "--confirm",
        "p",
    ]);
    the_runbook_goes_back_to_the_backup(program, server).await;
}

/// The runbook's way back is planned as a restore, and skipped unless it is asked for.
async fn the_runbook_goes_back_to_the_backup(program: &Program, server: &Running) {
    let app = server.target().with_database("app");
    let newest = program.json(&["backup", "list"]);
    let all = newest["backups"].as_array().unwrap();
    let first = all.last().unwrap()["backup"].as_str().unwrap().to_owned();
    let plan = ["runbook", "plan", "database-migration-failed"];
    let without = said(&program.ok(&plan));
    has(
        &without,
        &[
            "skip     swap",
            "skip     load",
            "look     job",
            "look     lock",
            "look     status",
        ],
    );
    let labelled = ["-p", "restore=true", "-p", "backup=label:pre-deploy"];
    let by_label = said(&program.ok(&[&plan[..], &labelled].concat()));
    has(&by_label, &[&first]);
    let backup = format!("backup={first}");
    let back = ["-p", "restore=true", "-p", &backup];
    let with = said(&program.ok(&[&plan[..], &back].concat()));
    has(
        &with,
        &["skip     retry", "clear the lock `1`", "destroy  swap"],
    );
    sql(&app, "DROP TABLE twice").await;
    let run = ["runbook", "run", "database-migration-failed"];
    // No gateway is configured, so the last step, smoke, says so; the rest is done.
    let done = program.call(
        &[&run[..], &labelled, &["-p", "wait=0s", "--confirm", "p"]].concat(),
        None,
    );
    has(&said(&done), &["done swap", "done pin", "failed smoke"]);
    for (query, expected) in [
        ("SELECT (to_regclass('twice') IS NOT NULL)::text", "true"),
        (
            "SELECT (NOT locked)::text FROM databasechangeloglock",
            "true",
        ),
    ] {
        assert_eq!(
            value(&app, query).await.as_deref(),
            Some(expected),
            "{query}: {}",
            said(&done)
        );
    }
}
