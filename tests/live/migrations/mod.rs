//! Migration locks of the real tools: their holders at work, killed in the middle, and waited for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use summitctl::consent::{Effect, Flags, Nobody, Request, Tier, obtain};
use summitctl::providers::postgres::migrations::{LockRow, State, Verdict, free_by, locks};
use summitctl::providers::postgres::session::{Access, open};
use summitctl::providers::postgres::{Target, migrations};
use summitctl::sandbox::servers::postgres::Running;
use summitctl::wait::{Deadline, Look, poll};

use crate::postgres::{scratch, sql, value};
use crate::program::{Program, said};

mod changelogs;
mod cleared;
mod half;
mod hidden;
mod runbook;
mod schemas;
mod sources;
mod tools;

pub use tools::wanted;

/// A folder of what `.ci/setup` fetched.
pub fn fetched(tool: &str, text: &str, before: &str, after: &str) -> PathBuf {
    let version = text.split_once(before).unwrap().1;
    let version = version.split_once(after).unwrap().0;
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let home = cache.join(format!("summitctl/servers/{tool}-{version}"));
    assert!(
        home.is_dir(),
        "{} is missing: run .ci/setup",
        home.display()
    );
    home
}

/// The program with a context `m` of a server's databases.
struct Bench {
    program: Program,
    server: Running,
}

impl Bench {
    fn target(&self, database: &str) -> Target {
        self.server.target().with_database(database)
    }

    fn call(&self, words: &str) -> (i32, String) {
        let args: Vec<&str> = words.split(' ').chain(["--context", "m"]).collect();
        let output = self.program.call(&args, None);
        (output.status.code().unwrap_or(-1), said(&output))
    }

    fn lock(&self, id: &str) -> Value {
        let shown = self
            .program
            .json(&["migrate", "lock", "show", "--context", "m"]);
        let locks = shown["locks"].as_array().unwrap();
        let found = locks.iter().find(|l| l["id"] == id);
        found.unwrap_or_else(|| panic!("{id}: {shown:#}")).clone()
    }

    fn liquibase(&self, more: &str) -> Command {
        let dir = self.program.dir.join("liquibase");
        fs::create_dir_all(&dir).unwrap();
        let sql = format!(
            "--liquibase formatted sql\n--changeset me:1\nCREATE TABLE first (n int);\n{more}"
        );
        fs::write(dir.join("changelog.sql"), sql).unwrap();
        self.liquibase_in("lb", &dir, "changelog.sql", &["update"])
    }

    /// Liquibase itself, in the folder of its changelogs.
    fn liquibase_in(&self, database: &str, dir: &Path, root: &str, words: &[&str]) -> Command {
        let server = &self.server;
        let mut command = liquibase(server.port, database, &server.user, dir, root, words);
        command.env("LIQUIBASE_COMMAND_PASSWORD", server.password.expose());
        command
    }

    fn knex(&self, second: &str, transaction: bool) -> Command {
        let home = fetched(
            "knex",
            include_str!("package.json"),
            "\"version\": \"",
            "\"",
        );
        let dir = self.program.dir.join("knex");
        fs::create_dir_all(dir.join("migrations")).unwrap();
        let migration = |name: &str, sql: &str| {
            let text = format!(
                "exports.config = {{transaction: {transaction}}};\nexports.up = k => k.raw(\"{sql}\");\nexports.down = () => 0;\n"
            );
            fs::write(dir.join("migrations").join(name), text).unwrap();
        };
        migration("1_first.js", "CREATE TABLE IF NOT EXISTS first (n int)");
        migration("2_second.js", second);
        let script = "const k = require(process.env.KNEX)({client: 'pg', connection: {host: '127.0.0.1', port: +process.env.PORT,\n\
            user: process.env.PGUSER, password: process.env.PGPASSWORD, database: 'kx'}, migrations: {directory: './migrations', tableName: 'my_moves'}});\n\
            k.migrate.latest().then(() => k.destroy()).catch(e => { console.error(e.message); process.exit(1); });\n";
        fs::write(dir.join("run.js"), script).unwrap();
        let mut command = Command::new("node");
        command
            .arg("run.js")
            .env("KNEX", home.join("node_modules/knex"))
            .env("PORT", self.server.port.to_string())
            .env("PGUSER", &self.server.user)
            .env("PGPASSWORD", self.server.password.expose())
            .current_dir(&dir);
        quiet(command)
    }

    /// Waits until this query of a database gives `true`.
    async fn until(&self, database: &str, what: &str, query: &str) {
        let target = self.target(database);
        poll(
            what,
            Deadline::after(Duration::from_secs(120)),
            Duration::from_millis(200),
            async || {
                let seen = value(&target, query).await;
                Ok(if seen.as_deref() == Some("true") {
                    Look::Ready(())
                } else {
                    Look::NotYet(format!("{seen:?}"))
                })
            },
        )
        .await
        .unwrap();
    }

    async fn sleeps(&self, database: &str, times: u32) {
        let query = format!(
            "SELECT (count(*) = {times})::text FROM pg_stat_activity
             WHERE query ILIKE 'select pg_sleep(%' AND state = 'active' AND datname = current_database()"
        );
        self.until(database, "a migration that sleeps", &query)
            .await;
    }
}

/// Liquibase itself, in the folder of its changelogs; its password is in its environment.
fn liquibase(
    port: u16,
    database: &str,
    user: &str,
    dir: &Path,
    root: &str,
    words: &[&str],
) -> Command {
    let home = fetched(
        "liquibase",
        include_str!("pom.xml"),
        "<liquibase.version>",
        "<",
    );
    let mut command = Command::new("java");
    command
        .arg("-cp")
        .arg(home.join("*"))
        .arg("liquibase.integration.commandline.LiquibaseCommandLine")
        .arg(format!(
            "--url=jdbc:postgresql://127.0.0.1:{port}/{database}"
        ))
        .arg(format!("--username={user}"))
        .arg(format!("--changelog-file={root}"))
        .arg("--show-banner=false")
        .args(words)
        .current_dir(dir);
    quiet(command)
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

const LOCK: &str = "lb:public.databasechangeloglock:1";
const SLEEP: &str = "SELECT pg_sleep(3000)";
/// Ends the server processes whose clients are gone: Postgres itself does not notice while they sleep.
const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'select pg_sleep(%' AND pid <> pg_backend_pid()";
const NONE_LEFT: &str = "SELECT (count(*) = 0)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Whether this machine's processes can all be seen: elsewhere nobody can prove that one has ended.
fn all_seen() -> bool {
    let whole =
        fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns == Path::new("pid:[4026531836]"));
    whole && fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// A server with these databases, and the program with a context `m` of them.
async fn bench(name: &str, databases: &[&str]) -> (crate::postgres::Folder, Bench) {
    let (folder, server) = scratch().await;
    let program = Program::bare(name);
    fs::write(program.dir.join("password"), server.password.expose()).unwrap();
    let config = format!(
        "version = 1\n[contexts.m]\ntier = \"staging\"\n[contexts.m.postgres]\n\
         url = \"postgres://{}@127.0.0.1:{}/{}?sslmode=disable\"\npassword = \"file:password\"\ndatabases = {databases:?}\n",
        server.user, server.port, databases[0]
    );
    fs::write(program.dir.join("summitctl.toml"), config).unwrap();
    let bench = Bench { program, server };
    for database in databases {
        sql(
            &bench.server.target(),
            &format!("CREATE DATABASE {database}"),
        )
        .await;
    }
    (folder, bench)
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_of_the_real_tools_are_told_and_cleared() {
    let (_folder, bench) = bench("migrations", &["lb", "kx"]).await;
    let (code, text) = bench.call("migrate lock show");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("no lock of Liquibase, Knex"), "{text}");
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 2, "{text}");

    liquibase_killed_in_the_middle(&bench).await;
    liquibase_ended_while_it_works(&bench).await;
    a_holder_elsewhere_is_unknown(&bench).await;
    knex_inside_a_transaction(&bench).await;
    knex_killed_in_the_middle(&bench).await;
    what_is_applied_is_told(&bench).await;
    who_blocks_whom_is_told(&bench).await;
}

async fn liquibase_killed_in_the_middle(bench: &Bench) {
    let asleep = format!("--changeset me:2\n{SLEEP};\n");
    let holder = bench.liquibase(&asleep).spawn().unwrap();
    bench.sleeps("lb", 1).await;
    let lock = bench.lock(LOCK);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"held".into(), &"alive".into()),
        "{lock:#}"
    );
    assert_eq!(
        lock["sessions"][0]["application"], "PostgreSQL JDBC Driver",
        "{lock:#}"
    );
    let before = lock["row"].clone();
    for consent in ["--yes", "--confirm m"] {
        let (code, text) = bench.call(&format!("migrate lock clear {consent}"));
        assert_eq!(code, 3, "{text}");
        assert!(
            text.contains("is alive") && text.contains("--terminate"),
            "{text}"
        );
    }

    // Its server process goes on with the statement.
    killed(holder);
    let lock = bench.lock(LOCK);
    assert_eq!(lock["verdict"], "alive", "{lock:#}");
    assert_eq!(lock["row"], before);
    sql(&bench.target("lb"), END).await;
    bench.until("lb", "the end of its session", NONE_LEFT).await;
    let expected = if all_seen() { "dead" } else { "unknown" };
    // A process that ends just then cannot be looked into, and another test's may be connected to a port of this number.
    let told = poll(
        "the verdict",
        Deadline::after(Duration::from_secs(60)),
        Duration::from_millis(500),
        async || {
            let lock = bench.lock(LOCK);
            Ok(if lock["verdict"] == expected {
                Look::Ready(())
            } else {
                Look::NotYet(lock.to_string())
            })
        },
    )
    .await;
    let lock = bench.lock(LOCK);
    let why = lock["observations"].to_string();
    // Java with a connection elsewhere may be anything: on such a machine nobody can prove it.
    assert!(told.is_ok() || why.contains("process"), "{lock:#}");
    let dead = told.is_ok() && all_seen();
    assert_eq!(lock["row"], before);
    if !all_seen() {
        let (code, text) = bench.call("migrate lock clear --yes");
        assert_eq!(code, 3, "{text}");
    }
    let consent = if dead { "--yes" } else { "--confirm m" };
    let clear = format!("migrate lock clear {consent}");
    let text = poll(
        "the clearing",
        Deadline::after(Duration::from_secs(120)),
        Duration::from_millis(500),
        // Refused while something else on this machine might be the holder.
        async || match bench.call(&clear) {
            (0, text) => Ok(Look::Ready(text)),
            (3, text) => Ok(Look::NotYet(text)),
            (code, text) => panic!("{code}: {text}"),
        },
    )
    .await
    .unwrap();
    assert!(text.contains("rolled back"), "{text}");
    let lock = bench.lock(LOCK);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"free".into(), &Value::Null)
    );
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("nobody holds it"), "{text}");
    // The runbook finds nothing to clear, and asks for what only a person can do.
    let (code, text) = bench.call("runbook run database-migration-failed --yes");
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("Did it succeed?") && text.contains("run resume"),
        "{text}"
    );
    let (code, text) = bench.call("run abort --yes");
    assert_eq!(code, 0, "{text}");

    let migrated = bench
        .liquibase("--changeset me:2\nCREATE TABLE second (n int);\n")
        .status()
        .unwrap();
    assert!(migrated.success());
    let tables =
        "SELECT (to_regclass('first') IS NOT NULL AND to_regclass('second') IS NOT NULL)::text";
    bench.until("lb", "both tables", tables).await;
}

async fn liquibase_ended_while_it_works(bench: &Bench) {
    let more =
        format!("--changeset me:2\nCREATE TABLE second (n int);\n--changeset me:3\n{SLEEP};\n");
    let mut holder = bench.liquibase(&more).spawn().unwrap();
    bench.sleeps("lb", 1).await;
    let (code, text) = bench.call("migrate lock clear --terminate --yes");
    assert_eq!(code, 3, "{text}");
    let (code, text) = bench.call("migrate lock clear --terminate --confirm m");
    assert_eq!(code, 0, "{text}");
    assert!(!holder.wait().unwrap().success());
    assert_eq!(bench.lock(LOCK)["state"], "free");
}

async fn a_holder_elsewhere_is_unknown(bench: &Bench) {
    let taken = "UPDATE databasechangeloglock SET locked = true, lockgranted = localtimestamp, lockedby = 'db-migrate-7c9d4 (203.0.113.7)'";
    sql(&bench.target("lb"), taken).await;
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("is not this machine"), "{text}");
    let (code, text) = bench.call("runbook run database-migration-failed --yes");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("nothing proves"), "{text}");
    let (code, text) = bench.call("migrate lock clear --confirm m");
    assert_eq!(code, 0, "{text}");
    assert_eq!(bench.lock(LOCK)["state"], "free");
}

const MOVES: &str = "kx:public.my_moves_lock:1";

async fn knex_inside_a_transaction(bench: &Bench) {
    let holder = bench.knex(SLEEP, true).spawn().unwrap();
    bench.sleeps("kx", 1).await;
    let lock = bench.lock(MOVES);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"in-transaction".into(), &"alive".into()),
        "{lock:#}"
    );
    killed(holder);
    let (code, text) = bench.call(&format!(
        "migrate lock clear --lock {MOVES} --terminate --confirm m"
    ));
    assert_eq!(code, 0, "{text}");
    assert_eq!(bench.lock(MOVES)["state"], "free");
}

async fn knex_killed_in_the_middle(bench: &Bench) {
    let holder = bench.knex(SLEEP, false).spawn().unwrap();
    bench.sleeps("kx", 1).await;
    let lock = bench.lock(MOVES);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"held".into(), &"unknown".into()),
        "{lock:#}"
    );
    killed(holder);
    sql(&bench.target("kx"), END).await;
    bench.until("kx", "the end of its session", NONE_LEFT).await;
    let again = bench
        .knex("CREATE TABLE second (n int)", false)
        .status()
        .unwrap();
    assert!(!again.success(), "Knex itself finds the lock held");
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 3, "{text}");
    let (code, text) = bench.call("migrate lock clear --confirm m");
    assert_eq!(code, 0, "{text}");
    let again = bench
        .knex("CREATE TABLE second (n int)", false)
        .status()
        .unwrap();
    assert!(again.success());
}

async fn what_is_applied_is_told(bench: &Bench) {
    let failing = "--changeset me:2\nCREATE TABLE second (n int);\n--changeset me:4\nCREATE TABLE second (n int);\n";
    assert!(!bench.liquibase(failing).status().unwrap().success());
    let status = bench.program.json(&["migrate", "status", "--context", "m"]);
    let tools = status["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 2, "{status:#}");
    let (liquibase, knex) = (&tools[0], &tools[1]);
    assert_eq!(liquibase["history"]["tool"], "liquibase");
    assert_eq!(
        (&liquibase["applied"], &knex["applied"]),
        (&2.into(), &2.into()),
        "{status:#}"
    );
    assert_eq!(liquibase["history"]["last"]["name"], "changelog.sql::2::me");
    assert_eq!(liquibase["history"]["last"]["author"], "me");
    assert_eq!(liquibase["lock"]["state"], "free", "{status:#}");
    assert_eq!(knex["history"]["table"], "my_moves");
    assert_eq!(knex["history"]["last"]["name"], "2_second.js");
    assert_eq!(knex["lock"]["id"], MOVES);
    sources::knex_files_are_compared(bench, &bench.program.dir.join("knex/migrations"));
    let (code, text) = bench.call("migrate status");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("Liquibase") && text.contains("public.my_moves"),
        "{text}"
    );
}

async fn who_blocks_whom_is_told(bench: &Bench) {
    let target = bench.target("lb");
    let mut root = open(&target, Access::AsGiven).await.unwrap();
    let begun = "BEGIN; INSERT INTO first SELECT 4711 WHERE 'a secret' <> ''; SELECT 'a secret'";
    sqlx::raw_sql(begun).execute(&mut root).await.unwrap();
    let waiter = {
        let target = target.clone();
        tokio::spawn(async move {
            sql(&target, "ALTER TABLE first ADD COLUMN m int DEFAULT 4712").await
        })
    };
    let waits = "SELECT (count(*) = 1)::text FROM pg_locks WHERE NOT granted AND relation = 'first'::regclass";
    bench.until("lb", "a session that waits", waits).await;
    let seen = bench
        .program
        .json(&["migrate", "blockers", "--context", "m"]);
    let sessions = seen["databases"][0]["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{seen:#}");
    assert_eq!(sessions[0]["state"], "idle in transaction");
    assert_eq!(sessions[1]["blocked-by"][0], sessions[0]["pid"]);
    assert_eq!(sessions[1]["waits-for"]["mode"], "AccessExclusiveLock");
    assert_eq!(sessions[1]["waits-for"]["relation"], "public.first");
    assert_eq!(
        sessions[1]["statement"],
        "ALTER TABLE first ADD COLUMN m int DEFAULT ?"
    );
    assert!(
        sessions[0]["transaction-seconds"].as_f64() >= sessions[1]["waits-for"]["seconds"].as_f64()
            && sessions[1]["waits-for"]["seconds"].as_f64() > Some(0.0),
        "{seen:#}"
    );
    let (code, text) = bench.call("migrate blockers");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("waits for AccessExclusiveLock on public.first"),
        "{text}"
    );
    assert!(!text.contains("secret") && !text.contains("4711"), "{text}");
    sqlx::raw_sql("ROLLBACK").execute(&mut root).await.unwrap();
    waiter.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_taken_again_meanwhile_is_never_cleared() {
    let (_folder, server) = scratch().await;
    let target = server.target();
    sql(&target, "CREATE SCHEMA \"Ours\";
        CREATE TABLE \"Ours\".\"DATABASECHANGELOGLOCK\" (\"ID\" int PRIMARY KEY, \"LOCKED\" boolean NOT NULL, \"LOCKGRANTED\" timestamp, \"LOCKEDBY\" varchar(255));
        INSERT INTO \"Ours\".\"DATABASECHANGELOGLOCK\" VALUES (1, true, '2026-01-02 03:04:05', 'ci-7 (203.0.113.7)');
        CREATE TABLE knex_lock (index serial PRIMARY KEY, is_locked int); INSERT INTO knex_lock (is_locked) VALUES (1)").await;
    let found = locks(&target).await.unwrap().locks;
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].state, found[0].verdict),
        (State::Held, Some(Verdict::Unknown))
    );
    assert_eq!(found[0].since.as_deref(), Some("2026-01-02 03:04:05"));
    let table = "\"Ours\".\"DATABASECHANGELOGLOCK\"";
    // The next holder writes the same values: only the row's version tells them apart.
    let again = format!(
        "BEGIN; UPDATE {table} SET \"LOCKED\" = false WHERE \"ID\" = 1; COMMIT;
         BEGIN; UPDATE {table} SET \"LOCKED\" = true, \"LOCKGRANTED\" = '2026-01-02 03:04:05', \"LOCKEDBY\" = 'ci-7 (203.0.113.7)'
         WHERE \"ID\" = 1 AND NOT \"LOCKED\"; COMMIT"
    );
    let held = format!("SELECT \"LOCKED\", xmin::text, ctid::text FROM {table}");
    raced(&target, found[0].row.clone(), &again, &held).await;
    let again = "BEGIN; UPDATE knex_lock SET is_locked = 0; COMMIT;
         BEGIN; UPDATE knex_lock SET is_locked = 1 WHERE index = 1 AND is_locked = 0; COMMIT";
    let held = "SELECT is_locked = 1, xmin::text, ctid::text FROM knex_lock";
    raced(&target, found[1].row.clone(), again, held).await;
}

/// Clears a row while others let go of it and take it again, a thousand times.
async fn raced(target: &Target, mut row: LockRow, again: &str, held: &str) {
    let request = Request {
        effect: Effect::Destroy,
        context: "m",
        tier: Tier::Development,
        plan_digest: "sha256:0",
        command: "migrate lock clear",
    };
    let flags = Flags {
        confirm: Some("m".to_owned()),
        ..Flags::default()
    };
    let consent = obtain(&request, &flags, &mut Nobody).unwrap();
    let mut clearer = open(target, Access::AsGiven).await.unwrap();
    let mut holder = open(target, Access::AsGiven).await.unwrap();
    let (mut first, mut refused) = (0, 0);
    for _ in 0..1000 {
        let (cleared, taken) = tokio::join!(
            free_by(target, &mut clearer, &row, &consent),
            sqlx::raw_sql(sqlx::AssertSqlSafe(again)).execute(&mut holder)
        );
        taken.unwrap();
        match cleared {
            Ok(()) => first += 1,
            Err(e) => {
                assert_eq!(e.reason(), &migrations::LOCK_MOVED, "{e}");
                refused += 1;
            }
        }
        let (held, by, at): (bool, String, String) = sqlx::query_as(sqlx::AssertSqlSafe(held))
            .fetch_one(&mut holder)
            .await
            .unwrap();
        assert!(held, "somebody's lock was lost after {first} and {refused}");
        (row.written_by, row.lies_at) = (by, at);
    }
    assert_eq!(first + refused, 1000);
    // A race that one side always wins shows nothing.
    assert!(first > 0 && refused > 0, "{first} and {refused}");
    let mut stale = row.clone();
    stale.written_by = "1".to_owned();
    let error = free_by(target, &mut clearer, &stale, &consent)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), &migrations::LOCK_MOVED);
    free_by(target, &mut clearer, &row, &consent).await.unwrap();
    migrations::prove_takeable(target, &row).await.unwrap();
}
