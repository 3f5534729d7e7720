//! What stands beside a database in production: a pooler before it, and a scheduler in it.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use summitctl::capture::MemoryParts;
use summitctl::providers::postgres::{
    MissingRoles, Target, capture, catalogue, catalogue_differences,
};
use summitctl::sandbox::servers::free_port;
use summitctl::sandbox::servers::postgres::{Options, Running, start, stop};

use super::round_trip::{capture_options, restore_to};
use super::versions::same_parts;
use super::{database, scratch, scratch_of, value};

/// A real pgbouncer before a server.
pub struct Pooler {
    child: Child,
    pub target: Target,
}

impl Pooler {
    pub fn start(dir: &Path, before: &Target, mode: &str) -> Pooler {
        Pooler::ignoring(dir, before, mode, ",options")
    }

    /// Which ignores these settings at the start of a session, and refuses others.
    pub fn ignoring(dir: &Path, before: &Target, mode: &str, ignored: &str) -> Pooler {
        let port = free_port().unwrap();
        let (user, host, behind) = (&before.user, &before.host, before.port);
        let password = before.password.as_ref().map_or("", |p| p.expose());
        let settings = format!(
            "[databases]\n* = host={host} port={behind} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\n\
             auth_type=any\npool_mode={mode}\nuser=nobody\nignore_startup_parameters=extra_float_digits{ignored}\n"
        );
        let file = dir.join(format!("pgbouncer-{mode}.ini"));
        std::fs::write(&file, settings).unwrap();
        let log = dir.join(format!("pgbouncer-{mode}.log"));
        let child = Command::new("/usr/sbin/pgbouncer")
            .arg(&file)
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .expect("pgbouncer is there: run `make setup`");
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < deadline, "pgbouncer does not start: {log}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let mut target = before.clone();
        (target.host, target.port) = ("127.0.0.1".into(), port);
        Pooler { child, target }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_hands_sessions_round_is_refused_and_one_that_does_not_is_not() {
    let (folder, server) = scratch().await;
    let target = database(
        &server,
        "CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)",
    )
    .await;
    let by_transaction = Pooler::start(folder.path(), &target, "transaction");
    let refused = capture(
        &by_transaction.target,
        &MemoryParts::default(),
        &capture_options(2),
    )
    .await
    .expect_err("is refused");
    assert_eq!(refused.reason().code, "postgres.transaction-pooler");
    let said = refused.to_string();
    assert!(
        said.contains(&format!(
            "`127.0.0.1:{}` is a transaction pooler",
            by_transaction.target.port
        )),
        "{said}"
    );

    let by_session = Pooler::start(folder.path(), &target, "session");
    let parts = MemoryParts::default();
    capture(&by_session.target, &parts, &capture_options(2))
        .await
        .expect("each session keeps its process");
    same_parts(&parts, &target, &[]).await;
}

/// The version of the packaged server, which has the scheduler's library.
fn with_library() -> u32 {
    let found = std::fs::read_dir("/usr/lib/postgresql").expect("a packaged server is there");
    let mut majors: Vec<u32> = found
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let has = folder.join("lib/pg_cron.so").exists();
            has.then(|| folder.file_name()?.to_str()?.parse().ok())?
        })
        .collect();
    majors.sort_unstable();
    majors.pop().expect("pg_cron is there: run `make setup`")
}

/// The same folder's server, with the scheduler's library.
async fn with_scheduler(folder: &Path) -> Running {
    stop(folder).await.expect("stops");
    let file = folder.join("data/postgresql.conf");
    let settings = std::fs::read_to_string(&file).expect("is there");
    let more = "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'rich'\n";
    std::fs::write(&file, settings + more).expect("writes");
    start(folder, &Options::scratch(None))
        .await
        .expect("starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_a_scheduler_comes_back_without_it_and_that_is_said() {
    let (folder, _) = scratch_of(with_library()).await;
    let server = with_scheduler(folder.path()).await;
    let target = database(
        &server,
        "CREATE ROLE planner;
         CREATE EXTENSION pg_cron;
         COMMENT ON EXTENSION pg_cron IS 'ours';
         GRANT USAGE ON SCHEMA cron TO planner;
         GRANT SELECT ON cron.job TO planner;
         SELECT cron.schedule('nightly', '0 3 * * *', 'DELETE FROM t');
         CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)",
    )
    .await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    let said = captured
        .not_carried
        .iter()
        .find(|line| line.contains("pg_cron"));
    assert!(
        said.is_some_and(|line| line.contains("CREATE EXTENSION")),
        "{:?}",
        captured.not_carried
    );
    // Elsewhere on the same server it cannot be made, and a second one would run every job again.
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = server.target().with_database("copy");
    same_parts(&parts, &copy, &[]).await;
    let expected = catalogue(&target).await.expect("lists");
    let seen = catalogue(&copy).await.expect("lists");
    assert_eq!(
        catalogue_differences(&expected, &seen),
        Vec::<String>::new()
    );
    let there = "SELECT count(*)::text FROM pg_extension WHERE extname = 'pg_cron'";
    assert_eq!(value(&copy, there).await.as_deref(), Some("0"));
    assert_eq!(value(&target, there).await.as_deref(), Some("1"));
}
