//! Holders whose sessions a role may not look into, and holders behind a transaction pooler: what cannot be seen is unknown, and
//! never dead.

use sqlx::postgres::PgConnection;

use super::tools::{at_work, golang_id_in, golang_key};
use super::*;
use crate::postgres::beside::Pooler;

const SX: &str = "lb:public._sqlx_migrations:advisory";

/// The history tables of sqlx and golang-migrate, in their tools' own columns.
const HISTORIES: &str = "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),
        success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);
    CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO schema_migrations VALUES (1, false)";

fn why(lock: &Value) -> String {
    lock["observations"].to_string()
}

impl Bench {
    /// The program's context, with another address or role.
    fn asks(&self, from: &str, to: &str) {
        let path = self.program.dir.join("summitctl.toml");
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "{from}: {config}");
        fs::write(&path, config.replace(from, to)).unwrap();
    }

    /// Is unknown, and says why; ordinary consent is refused.
    fn unknown(&self, id: &str, says: &str) -> Value {
        let lock = self.lock(id);
        assert_eq!(lock["verdict"], "unknown", "{lock:#}");
        assert!(why(&lock).contains(says), "{lock:#}");
        let (code, text) = self.call(&format!("migrate lock clear --lock {id} --yes"));
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(says), "{text}");
        lock
    }
}

/// A session that takes a tool's key and then does nothing.
async fn taken(target: &Target, key: i64) -> PgConnection {
    let mut holder = open(target, Access::AsGiven).await.unwrap();
    let take = format!("SELECT pg_advisory_lock({key})");
    sqlx::raw_sql(sqlx::AssertSqlSafe(take))
        .execute(&mut holder)
        .await
        .unwrap();
    holder
}

/// What the program itself needs to work on a database: no more than a role of an operator's has, and less than statistics.
async fn asker(bench: &Bench) {
    let password = bench.server.password.expose();
    let made = format!(
        "CREATE ROLE asker LOGIN PASSWORD '{password}'; CREATE ROLE mover LOGIN PASSWORD '{password}';
         GRANT CREATE ON DATABASE lb TO asker; GRANT ALL ON SCHEMA public TO mover"
    );
    sql(&bench.target("lb"), &made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_sessions_are_hidden_is_unknown() {
    let (_folder, bench) = bench("hidden", &["lb"]).await;
    asker(&bench).await;
    let target = bench.target("lb");
    let asleep = format!("--changeset me:2\n{SLEEP};\n");
    let holder = bench.liquibase(&asleep).spawn().unwrap();
    bench.sleeps("lb", 1).await;
    let to_asker = "GRANT ALL ON ALL TABLES IN SCHEMA public TO asker";
    sql(&target, &format!("{HISTORIES}; {to_asker}")).await;
    assert_eq!(bench.lock(LOCK)["verdict"], "alive");

    // Those who may see nothing of it, while it works and after it was killed: its server process goes on.
    let owner = format!("//{}@", bench.server.user);
    bench.asks(&owner, "//asker@");
    bench.unknown(LOCK, "pg_read_all_stats");
    killed(holder);
    bench.unknown(LOCK, "pg_read_all_stats");

    advisory_holders_are_hidden(&bench, &target).await;

    // The process has ended, but another role's session is there, and hides what it does.
    let mut mover = target.clone();
    mover.user = "mover".to_owned();
    let other = open(&mover, Access::AsGiven).await.unwrap();
    sql(&target, END).await;
    let ended = "SELECT (count(*) = 0)::text FROM pg_stat_activity WHERE query ILIKE 'select pg_sleep(%' AND pid <> pg_backend_pid()";
    bench.until("lb", "the end of its session", ended).await;
    bench.unknown(LOCK, "pg_read_all_stats");
    let (code, text) = bench.call("migrate lock clear --confirm m");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("rolled back"), "{text}");
    assert_eq!(bench.lock(LOCK)["state"], "free");
    drop(other);
}

async fn advisory_holders_are_hidden(bench: &Bench, target: &Target) {
    // sqlx itself, at work.
    bench.files("sqlx", &[("1_first.sql", "SELECT pg_sleep(3001)")]);
    sql(target, "DROP TABLE _sqlx_migrations").await;
    let holder = bench.sqlx_on("lb").spawn().unwrap();
    at_work(bench, "lb", "%pg_sleep(3001)%").await;
    sql(target, "GRANT ALL ON ALL TABLES IN SCHEMA public TO asker").await;
    let lock = bench.unknown(SX, "pg_read_all_stats");
    assert_eq!(lock["state"], "in-session", "{lock:#}");
    killed(holder);
    bench.unknown(SX, "pg_read_all_stats");
    // Nobody clears it, whatever the consent; to end its session is more than this role may.
    for consent in ["--confirm m", "--terminate --yes"] {
        let (code, text) = bench.call(&format!("migrate lock clear --lock {SX} {consent}"));
        assert_eq!(code, 3, "{consent}: {text}");
    }
    let terminate = format!("migrate lock clear --lock {SX} --terminate --confirm m");
    let (code, text) = bench.call(&terminate);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("pg_read_all_stats"), "{text}");
    assert_eq!(bench.lock(SX)["state"], "in-session");

    // golang-migrate's key, held by a session that does nothing.
    let key = golang_key("public", "/lb");
    let id = golang_id_in("lb", "public", key);
    let mut idle = taken(target, key).await;
    let lock = bench.unknown(&id, "pg_read_all_stats");
    assert_eq!(lock["state"], "in-session", "{lock:#}");
    sqlx::raw_sql("SELECT pg_advisory_unlock_all()")
        .execute(&mut idle)
        .await
        .unwrap();
    assert_eq!(bench.lock(&id)["state"], "free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_behind_a_transaction_pooler_is_unknown() {
    let (folder, bench) = bench("pooled", &["lb"]).await;
    let target = bench.target("lb");
    let pooler = Pooler::start(folder.path(), &target, "transaction");
    let asleep = format!("--changeset me:2\n{SLEEP};\n");
    let holder = bench.liquibase(&asleep).spawn().unwrap();
    bench.sleeps("lb", 1).await;
    killed(holder);
    sql(&target, END).await;
    let ended = "SELECT (count(*) = 0)::text FROM pg_stat_activity WHERE query ILIKE 'select pg_sleep(%' AND pid <> pg_backend_pid()";
    bench.until("lb", "the end of its session", ended).await;
    sql(&target, HISTORIES).await;
    let key = golang_key("public", "/lb");
    let golang = golang_id_in("lb", "public", key);
    // A tool that works through the pooler: its lock stays with the server's session when the tool has gone.
    drop(taken(&pooler.target, key).await);

    let (direct, pooled) = (
        format!("127.0.0.1:{}", bench.server.port),
        format!("127.0.0.1:{}", pooler.target.port),
    );
    bench.asks(&direct, &pooled);
    // Its own session may be any of the pooler's, and the very one that holds the lock.
    for _ in 0..5 {
        bench.unknown(LOCK, "a transaction pooler");
        let lock = bench.unknown(&golang, "transaction pooler");
        assert_eq!(lock["state"], "in-session", "{lock:#}");
    }
    for consent in ["--confirm m", "--terminate --yes"] {
        let (code, text) = bench.call(&format!("migrate lock clear --lock {golang} {consent}"));
        assert_eq!(code, 3, "{consent}: {text}");
    }
    for words in ["migrate status", "migrate blockers"] {
        let (code, text) = bench.call(words);
        assert_eq!(code, 0, "{words}: {text}");
    }
    // Nobody lost a lock because somebody looked.
    let held = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND granted";
    assert_eq!(value(&target, held).await.as_deref(), Some("1"));
    let (code, text) = bench.call(&format!("migrate lock clear --lock {LOCK} --confirm m"));
    assert_eq!(code, 0, "{text}");
    let (code, text) = bench.call(&format!(
        "migrate lock clear --lock {golang} --terminate --confirm m"
    ));
    assert_ne!(code, 0, "{text}");

    // Asked at the server itself, the lock is held still, by a session of the pooler's.
    bench.asks(&pooled, &direct);
    let lock = bench.lock(&golang);
    assert_ne!(lock["verdict"], "dead", "{lock:#}");
}
