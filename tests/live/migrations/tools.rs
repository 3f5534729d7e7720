//! More migration tools, each as itself: at work, killed in the middle, and going on after its lock was cleared. Those that are
//! fetched for it run where `SUMMITCTL_TEST_TOOLS` asks for them.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use sqlx_core::migrate::Migrator;

use super::sources::*;
use super::*;

mod prisma;

const SQLX_AT: &str = "SUMMITCTL_TEST_SQLX_AT";

/// sqlx's migrator in a process of its own, which can be killed.
#[tokio::test(flavor = "multi_thread")]
async fn sqlx_alone() {
    let Ok(at) = std::env::var(SQLX_AT) else {
        return;
    };
    let (url, folder) = at.split_once(' ').unwrap();
    let mut session = PgConnection::connect(url).await.unwrap();
    let migrator = Migrator::new(Path::new(folder)).await.unwrap();
    let done = migrator.run_direct(None, &mut session, false).await;
    done.unwrap();
}

impl Bench {
    pub(super) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{}:{}@127.0.0.1:{}/{database}?sslmode=disable",
            self.server.user,
            self.server.password.expose(),
            self.server.port
        )
    }

    /// A folder of source files for a tool.
    pub(super) fn files(&self, tool: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.program.dir.join(tool);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    pub(super) fn sqlx(&self) -> Command {
        self.sqlx_on("sx")
    }

    pub(super) fn sqlx_on(&self, database: &str) -> Command {
        let at = format!(
            "{} {}",
            self.url(database),
            self.program.dir.join("sqlx").display()
        );
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["migrations::tools::sqlx_alone", "--exact", "--nocapture"])
            .env(SQLX_AT, at);
        quiet(command)
    }

    pub(super) fn status(&self, more: &[&str]) -> Value {
        let args = [&["migrate", "status", "--context", "m"], more].concat();
        self.program.json(&args)
    }

    fn locks(&self) -> Value {
        self.program
            .json(&["migrate", "lock", "show", "--context", "m"])
    }

    /// An advisory lock whose holder is at work is refused, and ended only by `--terminate`; its client was killed before.
    pub(super) fn cleared(&self, id: &str) {
        for consent in ["--yes", "--confirm m"] {
            let (code, text) = self.call(&format!("migrate lock clear {consent}"));
            assert_eq!(code, 3, "{text}");
            let next = format!("summitctl migrate lock clear --lock '{id}' --terminate");
            assert!(text.contains("at work") && text.contains(&next), "{text}");
        }
        let clear = format!("migrate lock clear --lock {id} --terminate");
        let (code, text) = self.call(&format!("{clear} --yes"));
        assert_eq!(code, 3, "{text}");
        let (code, text) = self.call(&format!("{clear} --confirm m"));
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("rolled back"), "{text}");
    }
}

/// Waits until so many sessions of a database are at work on what matches.
pub(super) async fn at_work(bench: &Bench, database: &str, pattern: &str) {
    let query = format!(
        "SELECT (count(*) > 0)::text FROM pg_stat_activity WHERE query ILIKE '{pattern}' AND state = 'active'
         AND datname = current_database() AND pid <> pg_backend_pid()"
    );
    bench.until(database, "a migration at work", &query).await;
}

/// Ends the sessions at work on what matches: of clients that were killed, which Postgres does not notice.
async fn ended(bench: &Bench, database: &str, pattern: &str) {
    let those = format!(
        "FROM pg_stat_activity WHERE query ILIKE '{pattern}' AND state = 'active' AND pid <> pg_backend_pid()"
    );
    let end = format!("SELECT pg_terminate_backend(pid) {those}");
    sql(&bench.target(database), &end).await;
    let none = format!("SELECT (count(*) = 0)::text {those}");
    bench.until(database, "their end", &none).await;
}

const SX: &str = "sx:public._sqlx_migrations:advisory";

#[tokio::test(flavor = "multi_thread")]
async fn sqlx_is_told_and_its_lock_cleared() {
    let (_folder, bench) = bench("sqlx", &["sx"]).await;
    let target = bench.target("sx");
    let folder = bench.files(
        "sqlx",
        &[
            ("1_first.sql", "CREATE TABLE first (n int);"),
            (
                "2_index.sql",
                "-- no-transaction\nCREATE INDEX CONCURRENTLY by_n ON first (n);",
            ),
        ],
    );
    // Somebody's snapshot keeps the index from becoming valid.
    let mut other = open(&target, Access::AsGiven).await.unwrap();
    let begun = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    sqlx::raw_sql(begun).execute(&mut other).await.unwrap();
    let holder = bench.sqlx().spawn().unwrap();
    // Earlier it would wait for the second migrator's snapshot as well, which waits for its lock.
    let waits = "SELECT (count(*) = 1)::text FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'";
    bench.until("sx", "an index that waits", waits).await;
    let waiter = bench.sqlx().spawn().unwrap();
    at_work(&bench, "sx", "%pg_advisory_lock%").await;
    let lock = bench.lock(SX);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"in-session".into(), &"alive".into()),
        "{lock:#}"
    );
    assert_eq!(lock["waiting"].as_array().unwrap().len(), 1, "{lock:#}");
    assert_eq!(lock["row"]["tool"], "sqlx");
    killed(waiter);
    ended(&bench, "sx", "%pg_advisory_lock%").await;
    killed(holder);
    // Postgres goes on with the statement, and so holds the lock.
    bench.cleared(SX);
    assert_eq!(bench.lock(SX)["state"], "free");

    let status = bench.status(&[]);
    let sqlx = &status["tools"][0];
    assert_eq!(sqlx["history"]["tool"], "sqlx", "{status:#}");
    assert_eq!(sqlx["applied"], 1, "{status:#}");
    assert_eq!(sqlx["history"]["last"]["name"], "1 first");
    assert_eq!(sqlx["lock"]["id"], SX);
    sqlx_files_are_compared(&bench, &folder);

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    sql(&target, "DROP INDEX by_n").await;
    assert!(bench.sqlx().status().unwrap().success());
    assert_eq!(bench.status(&[])["tools"][0]["applied"], 2);
    a_holder_that_does_nothing_is_told(&bench, &target).await;
    what_cannot_be_read_is_told(&bench, &target).await;
}

/// Nothing is at work, but the client's end of the connection is seen on this machine.
async fn a_holder_that_does_nothing_is_told(bench: &Bench, target: &Target) {
    let key = bench.lock(SX)["row"]["key"].as_i64().unwrap();
    let mut idle = open(target, Access::AsGiven).await.unwrap();
    let take = format!("SELECT pg_advisory_lock({key})");
    sqlx::raw_sql(sqlx::AssertSqlSafe(take))
        .execute(&mut idle)
        .await
        .unwrap();
    let lock = bench.lock(SX);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"in-session".into(), &"alive".into()),
        "{lock:#}"
    );
    let why = lock["observations"].to_string();
    assert!(
        why.contains("it waits for its client") && why.contains("of this machine, is open"),
        "{why}"
    );
    let (code, text) = bench.call("migrate lock clear --confirm m");
    assert_eq!(code, 3, "{text}");
    idle.close().await.unwrap();
    bench
        .until(
            "sx",
            "the end of the lock",
            "SELECT (count(*) = 0)::text FROM pg_locks WHERE locktype = 'advisory'",
        )
        .await;
}

/// By a role that may read neither the tools' tables nor what others' sessions do.
async fn what_cannot_be_read_is_told(bench: &Bench, target: &Target) {
    let made = "CREATE ROLE reader LOGIN; CREATE TABLE locks (id int PRIMARY KEY, locked boolean, lockgranted timestamp, lockedby text);
        CREATE TABLE seed_history (seed text, seeded_at timestamptz); GRANT SELECT ON seed_history TO reader";
    sql(target, made).await;
    let password = bench.server.password.expose();
    sql(target, &format!("ALTER ROLE reader PASSWORD '{password}'")).await;
    let path = bench.program.dir.join("summitctl.toml");
    let config = fs::read_to_string(&path).unwrap();
    let owner = format!("//{}@", bench.server.user);
    fs::write(&path, config.replace(&owner, "//reader@")).unwrap();
    let status = bench.status(&[]);
    assert_eq!(status["tools"].as_array().unwrap().len(), 0, "{status:#}");
    let unread = status["unreadable"].as_array().unwrap();
    assert_eq!(unread.len(), 2, "{status:#}");
    assert_eq!(status["unrecognised"][0]["table"], "seed_history");
    assert_eq!(status["unrecognised"][0]["rows"], 0);
    let (code, text) = bench.call("migrate lock show");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("could not be read: ") && text.contains("permission denied"),
        "{text}"
    );
    assert!(text.contains(SX), "{text}");
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("could not be read"), "{text}");
}

/// Whether the tools that are fetched for it are wanted.
pub fn wanted() -> bool {
    std::env::var_os("SUMMITCTL_TEST_TOOLS").is_some()
}

/// As golang-migrate computes its key; opened by a URL it takes the URL's path for the database's name.
pub(super) fn golang_key(schema: &str, name: &str) -> i64 {
    let mut crc = flate2::Crc::new();
    crc.update(format!("{schema}\0schema_migrations\0{name}").as_bytes());
    i64::from(crc.sum().wrapping_mul(1_486_364_155))
}

fn golang_id(database: &str, key: i64) -> String {
    golang_id_in(database, "public", key)
}

pub(super) fn golang_id_in(database: &str, schema: &str, key: i64) -> String {
    format!("{database}:{schema}.schema_migrations:advisory:{key}")
}

#[tokio::test(flavor = "multi_thread")]
async fn golang_migrate_is_told_and_its_lock_cleared() {
    if !wanted() {
        return;
    }
    let (_folder, bench) = bench("golang-migrate", &["gm"]).await;
    let home = golang_migrate();
    let folder = bench.files(
        "golang-migrate",
        &[
            ("1_first.up.sql", "CREATE TABLE first (n int);"),
            (
                "2_second.up.sql",
                "CREATE TABLE second (n int); COMMIT; CREATE INDEX by_n ON second (n); SELECT pg_sleep(3000);",
            ),
            ("3_third.up.sql", "CREATE TABLE third (n int);"),
        ],
    );
    let migrate = |words: &[&str]| {
        let mut command = Command::new(home.join("migrate"));
        command
            .args(["-path", folder.to_str().unwrap(), "-database"])
            .arg(bench.url("gm"))
            .args(words);
        command.stderr(Stdio::null());
        quiet(command)
    };
    let holder = migrate(&["up"]).spawn().unwrap();
    at_work(&bench, "gm", "%pg_sleep(3000)%").await;
    let gm = &golang_id("gm", golang_key("public", "/gm"));
    let lock = bench.lock(gm);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"in-session".into(), &"alive".into()),
        "{lock:#}"
    );
    killed(holder);
    let waiter = migrate(&["up"]).spawn().unwrap();
    at_work(&bench, "gm", "%pg_advisory_lock%").await;
    assert_eq!(bench.lock(gm)["waiting"].as_array().unwrap().len(), 1);
    killed(waiter);
    ended(&bench, "gm", "%pg_advisory_lock%").await;
    bench.cleared(gm);

    let status = bench.status(&[]);
    let tool = &status["tools"][0];
    assert_eq!(tool["history"]["tool"], "golang-migrate", "{status:#}");
    assert_eq!(tool["history"]["half"][0]["name"], "2", "{status:#}");
    assert_eq!(tool["applied"], Value::Null);
    assert!(!migrate(&["up"]).status().unwrap().success(), "it is dirty");
    half_applied_is_told(&bench, &folder);

    // As the proposal says: what is there is undone by hand, and the version before it set.
    sql(&bench.target("gm"), "DROP TABLE second").await;
    assert!(migrate(&["force", "1"]).status().unwrap().success());
    bench.files(
        "golang-migrate",
        &[("2_second.up.sql", "CREATE TABLE second (n int);")],
    );
    assert!(migrate(&["up"]).status().unwrap().success());
    let status = bench.status(&[]);
    assert_eq!(status["tools"][0]["history"]["last"]["name"], "3");
    assert_eq!(status["tools"][0]["history"]["half"], serde_json::json!([]));
}

pub(super) fn golang_migrate() -> PathBuf {
    let version = include_str!("golang-migrate/version");
    fetched("golang-migrate-pgx", version, "", "\n")
}

/// Its driver pgx may take its lock in a table; opened by a URL and with a connection it takes two advisory ones.
#[tokio::test(flavor = "multi_thread")]
async fn golang_migrate_s_other_locks_are_told_and_cleared() {
    if !wanted() {
        return;
    }
    let (_folder, bench) = bench("golang-migrate-table", &["gt"]).await;
    let second = "CREATE TABLE second (n int); SELECT pg_sleep(3000);";
    let files = [
        ("1_first.up.sql", "CREATE TABLE first (n int);"),
        ("2_second.up.sql", second),
    ];
    let folder = bench.files("golang-migrate", &files);
    let url = bench.url("gt").replace("postgres://", "pgx://") + "&x-lock-strategy=table";
    let migrate = |words: &[&str]| {
        let mut command = Command::new(golang_migrate().join("migrate"));
        command
            .args(["-lock-timeout", "1", "-path", folder.to_str().unwrap()])
            .args(["-database", &url])
            .args(words)
            .stderr(Stdio::null());
        quiet(command)
    };
    let holder = migrate(&["up"]).spawn().unwrap();
    at_work(&bench, "gt", "%pg_sleep(3000)%").await;
    let held = |status: Value| status["held"][0].as_str().map(str::to_owned);
    let id = held(bench.status(&[])).unwrap();
    assert!(id.starts_with("gt:public.schema_lock:"), "{id}");
    let lock = bench.lock(&id);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"held".into(), &"unknown".into()),
        "{lock:#}"
    );
    killed(holder);
    ended(&bench, "gt", "%pg_sleep(3000)%").await;
    let again = migrate(&["up"]).status().unwrap();
    assert!(
        !again.success(),
        "golang-migrate itself finds the lock held"
    );
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 3, "{text}");
    let (code, text) = bench.call("migrate lock clear --confirm m");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("rolled back"), "{text}");
    assert_eq!(held(bench.status(&[])), None);
    bench.files("golang-migrate", &[("2_second.up.sql", "SELECT 1")]);
    assert!(migrate(&["force", "1"]).status().unwrap().success());
    assert!(migrate(&["up"]).status().unwrap().success());
    both_keys_are_told(&bench).await;
}

async fn both_keys_are_told(bench: &Bench) {
    let target = bench.target("gt");
    let keys = [golang_key("public", "/gt"), golang_key("public", "gt")];
    let mut holders = Vec::new();
    for key in keys {
        let mut holder = open(&target, Access::AsGiven).await.unwrap();
        let take = format!("SELECT pg_advisory_lock({key})");
        sqlx::raw_sql(sqlx::AssertSqlSafe(take))
            .execute(&mut holder)
            .await
            .unwrap();
        holders.push(holder);
    }
    let id = |key: i64| golang_id("gt", key);
    for key in keys {
        let lock = bench.lock(&id(key));
        assert_eq!(lock["row"]["key"], key, "{lock:#}");
        let why = lock["observations"].to_string();
        assert!(why.contains("do not keep each other out"), "{lock:#}");
    }
    let (code, text) = bench.call("migrate lock clear --terminate --confirm m");
    assert_eq!(code, 2, "two are held: {text}");
    let clear = format!(
        "migrate lock clear --lock {} --terminate --confirm m",
        id(keys[1])
    );
    let (code, text) = bench.call(&clear);
    assert_eq!(code, 0, "{text}");
    // An id stays what it is, whether the other key is held or not; and one that was let go is free, not unknown.
    let left = bench.lock(&id(keys[0]));
    assert_eq!(left["row"]["key"], keys[0], "{left:#}");
    assert_eq!(left["state"], "in-session", "{left:#}");
    let (code, text) = bench.call(&clear);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("nobody holds it"), "{text}");
    let other = clear.replace(&id(keys[1]), &id(keys[0]));
    let (code, text) = bench.call(&other);
    assert_eq!(code, 0, "{text}");
    assert_eq!(bench.lock(&id(keys[0]))["state"], "free");
}

const FW: &str = "fw:public.flyway_schema_history:advisory";

#[tokio::test(flavor = "multi_thread")]
async fn flyway_is_told_and_its_lock_cleared() {
    if !wanted() {
        return;
    }
    let (_folder, bench) = bench("flyway", &["fw"]).await;
    let pom = include_str!("flyway/pom.xml");
    let home = fetched("flyway", pom, "<flyway.version>", "<");
    let asleep = "CREATE TABLE second (n int);\nSELECT pg_sleep(3000);\n";
    let folder = bench.files(
        "flyway",
        &[
            ("V1__first.sql", "CREATE TABLE first (n int);\r\n"),
            ("V2__second.sql", asleep),
        ],
    );
    let source = bench.files(
        "java",
        &[("Migrate.java", include_str!("flyway/Migrate.java"))],
    );
    let flyway_with = |word: &str, transactional_lock: &str| {
        let mut command = Command::new("java");
        command
            .arg("-cp")
            .arg(home.join("*"))
            .arg(source.join("Migrate.java"))
            .arg(format!(
                "jdbc:postgresql://127.0.0.1:{}/fw",
                bench.server.port
            ))
            .arg(&bench.server.user)
            .arg(&folder)
            .args([word, transactional_lock])
            .env("FLYWAY_PASSWORD", bench.server.password.expose());
        command.stderr(Stdio::null());
        quiet(command)
    };
    // As it is unless told otherwise.
    let flyway = |word: &str| flyway_with(word, "true");
    let mut holder = flyway("migrate").spawn().unwrap();
    at_work(&bench, "fw", "%pg_sleep(3000)%").await;
    let lock = bench.lock(FW);
    assert_eq!(
        (&lock["state"], &lock["verdict"]),
        (&"in-session".into(), &"alive".into()),
        "{lock:#}"
    );
    // One session holds the lock, another works.
    assert_eq!(lock["sessions"].as_array().unwrap().len(), 2, "{lock:#}");
    bench.cleared(FW);
    assert!(!holder.wait().unwrap().success());

    // A client that is killed loses its lock at once, and its statement goes on without it.
    let holder = flyway("migrate").spawn().unwrap();
    at_work(&bench, "fw", "%pg_sleep(3000)%").await;
    killed(holder);
    let gone = "SELECT (count(*) = 0)::text FROM pg_locks WHERE locktype = 'advisory'";
    bench.until("fw", "the end of the lock", gone).await;
    let lock = bench.lock(FW);
    assert_eq!(lock["state"], "free", "{lock:#}");
    let why = lock["observations"].to_string();
    assert!(why.contains("nobody holds the lock, but pid"), "{lock:#}");
    ended(&bench, "fw", "%pg_sleep(3000)%").await;

    // Outside a transaction half of a migration stays. Its failure is written down in the lock's transaction, and lost with it.
    let failing = "CREATE TABLE second (n int);\nCREATE TABLE second (n int);\n";
    let no_transaction = ("V2__second.sql.conf", "executeInTransaction=false\n");
    bench.files("flyway", &[("V2__second.sql", failing), no_transaction]);
    assert!(!flyway("migrate").status().unwrap().success());
    flyway_files_are_compared(&bench, &folder);
    sql(&bench.target("fw"), "DROP TABLE second").await;
    let by_session = flyway_with("migrate", "false").status().unwrap();
    assert!(!by_session.success());
    let status = bench.status(&[]);
    let tool = &status["tools"][0];
    assert_eq!(tool["history"]["tool"], "flyway", "{status:#}");
    assert_eq!(tool["applied"], 1, "{status:#}");
    assert_eq!(tool["history"]["failed"][0]["name"], "V2__second.sql");
    assert_eq!(
        tool["history"]["last"]["author"],
        bench.server.user.as_str()
    );
    let ways = tool["ways"].to_string();
    assert!(ways.contains("WHERE version = '2'"), "{tool:#}");
    assert!(!flyway("migrate").status().unwrap().success());

    sql(&bench.target("fw"), "DROP TABLE second").await;
    bench.files(
        "flyway",
        &[("V2__second.sql", "CREATE TABLE second (n int);\n")],
    );
    assert!(flyway("repair").status().unwrap().success());
    assert!(flyway("migrate").status().unwrap().success());
    assert_eq!(bench.status(&[])["tools"][0]["applied"], 2);
}

fn python(bench: &Bench, database: &str) -> Command {
    use sha2::Digest as _;
    let text = include_str!("python/requirements.txt");
    let hash = sha2::Sha256::digest(text);
    let hash: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let home = fetched("python-tools", &format!("{hash}\n"), "", "\n");
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", home)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PGPORT", bench.server.port.to_string())
        .env("PGUSER", &bench.server.user)
        .env("PGPASSWORD", bench.server.password.expose())
        .env("PGDATABASE", database)
        .stderr(Stdio::null());
    quiet(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn alembic_and_django_are_told_and_take_no_lock() {
    if !wanted() {
        return;
    }
    let (_folder, bench) = bench("python", &["al", "dj"]).await;
    alembic(&bench).await;
    django(&bench).await;
    let locks = bench.locks();
    assert_eq!(locks["locks"], serde_json::json!([]), "{locks:#}");
    let lockless = locks["lockless"].as_array().unwrap();
    assert_eq!(lockless.len(), 2, "{locks:#}");
    let (code, text) = bench.call("migrate lock show");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("Alembic takes no lock") && text.contains("Django takes no lock"),
        "{text}"
    );
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("takes no lock"), "{text}");
}

async fn alembic(bench: &Bench) {
    let folder = bench.files(
        "alembic",
        &[
            ("alembic.ini", include_str!("alembic/alembic.ini")),
            ("env.py", include_str!("alembic/env.py")),
        ],
    );
    let revision = |name: &str, text: &str| {
        let _ = bench.files("alembic/versions", &[(name, text)]);
    };
    revision("first.py", include_str!("alembic/versions/first.py"));
    let upgrade = || {
        let mut command = python(bench, "al");
        let url = bench
            .url("al")
            .replace("postgres://", "postgresql+psycopg2://");
        command
            .args(["-m", "alembic.config", "upgrade", "head"])
            .env("DATABASE_URL", url)
            .current_dir(&folder);
        command
    };
    assert!(upgrade().status().unwrap().success());
    let second = |sql: &str| {
        let text = format!(
            "from alembic import op\n\nrevision: str = 'b2'\ndown_revision: str = 'a1'\n\n\ndef upgrade():\n    op.execute(\"{sql}\")\n"
        );
        revision("another.py", &text);
    };
    second("SELECT pg_sleep(3000)");
    let holder = upgrade().spawn().unwrap();
    at_work(bench, "al", "%pg_sleep(3000)%").await;
    killed(holder);
    sql(&bench.target("al"), END).await;
    bench.until("al", "the end of its session", NONE_LEFT).await;
    let status = bench.status(&[]);
    let tool = &status["tools"][0];
    assert_eq!(tool["history"]["tool"], "alembic", "{status:#}");
    assert_eq!(tool["history"]["last"]["name"], "a1");
    assert_eq!(
        (&tool["applied"], &tool["lock"]),
        (&Value::Null, &Value::Null)
    );
    alembic_files_are_compared(bench, &folder);
    second("CREATE TABLE second (n int)");
    assert!(upgrade().status().unwrap().success());
    assert_eq!(
        bench.status(&[])["tools"][0]["history"]["last"]["name"],
        "b2"
    );
}

async fn django(bench: &Bench) {
    let folder = bench.files(
        "django",
        &[("settings.py", include_str!("django/settings.py"))],
    );
    bench.files("django/shop", &[("__init__.py", "")]);
    let first = include_str!("django/shop/migrations/0001_first.py");
    let migrations = [("__init__.py", ""), ("0001_first.py", first)];
    bench.files("django/shop/migrations", &migrations);
    let migrate = || {
        let mut command = python(bench, "dj");
        let own = command.get_envs().find(|(name, _)| *name == "PYTHONPATH");
        let path = format!("{}:{}", own.unwrap().1.unwrap().display(), folder.display());
        command
            .args(["-m", "django", "migrate"])
            .env("PYTHONPATH", path)
            .env("DJANGO_SETTINGS_MODULE", "settings")
            .current_dir(&folder);
        command
    };
    assert!(migrate().status().unwrap().success());
    let applied = bench.status(&[])["tools"][1]["applied"].as_i64().unwrap();
    let second = |sql: &str| {
        let text = format!(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    atomic = False\n    dependencies = [('shop', '0001_first')]\n    operations = [migrations.RunSQL('CREATE TABLE shop_second (n int)'), migrations.RunSQL('{sql}')]\n"
        );
        bench.files("django/shop/migrations", &[("0002_second.py", &text)]);
    };
    second("SELECT pg_sleep(3000)");
    let holder = migrate().spawn().unwrap();
    at_work(bench, "dj", "%pg_sleep(3000)%").await;
    killed(holder);
    sql(&bench.target("dj"), END).await;
    bench.until("dj", "the end of its session", NONE_LEFT).await;
    let status = bench.status(&[]);
    let tool = &status["tools"][1];
    assert_eq!(tool["history"]["tool"], "django", "{status:#}");
    assert_eq!(tool["applied"], applied, "{status:#}");
    django_files_are_compared(bench, &folder);
    sql(&bench.target("dj"), "DROP TABLE shop_second").await;
    second("SELECT 1");
    assert!(migrate().status().unwrap().success());
    let status = bench.status(&[]);
    assert_eq!(status["tools"][1]["applied"], applied + 1);
    assert_eq!(
        status["tools"][1]["history"]["last"]["name"],
        "shop.0002_second"
    );
}
