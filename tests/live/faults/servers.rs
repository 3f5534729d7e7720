//! Servers that die while they are worked on: the run stops, says so, and goes on once they are back.

use summitctl::sandbox::servers::Process;

use super::{CREATE, Program, stopped_with};

pub async fn die(program: &Program) {
    // Redis is gone when its turn comes; with one job it is the last.
    let backup = [&CREATE[..], &["--jobs", "1"]].concat();
    let begun = |events: &str| events.contains("\"event\":\"step-started\",\"step\":\"neo4j\"");
    let output = program.when(&backup, begun, |_| kill(program, "redis"));
    let at = format!("127.0.0.1:{}", program.server("redis").port);
    let told = ["redis", at.as_str(), "summitctl doctor --context sandbox"];
    let run = stopped_with(program, &output, 7, &told);
    program.ok(&["sandbox", "up"]);
    program.ok(&["run", "resume", &run]);
    assert_eq!(program.backups()[0], run);

    // Postgres is gone in the middle of the load.
    let accounts = "SELECT count(*) FROM accounts";
    let before = program.number(accounts).await;
    let restore = [
        "restore",
        &run,
        "--stores",
        "postgres",
        "--confirm",
        "sandbox",
        "--context",
        "sandbox",
    ];
    let loading =
        |events: &str| events.contains("\"event\":\"progress\",\"step\":\"load-postgres\"");
    let output = program.when(&restore, loading, |_| kill(program, "postgres"));
    let at = format!("127.0.0.1:{}", program.server("postgres").port);
    let run = stopped_with(
        program,
        &output,
        7,
        &[&at, "summitctl doctor --context sandbox"],
    );
    program.ok(&["sandbox", "up"]);
    assert_eq!(
        program.number(accounts).await,
        before,
        "the live data were not touched"
    );
    program.ok(&["run", "resume", &run]);
    assert_eq!(program.number(accounts).await, before);
    program.ok(&["smoke", "--wait", "30s", "--context", "sandbox"]);
}

/// As a machine that loses its power would end it: without a word. Postgres's own sessions end with its main process.
fn kill(program: &Program, part: &str) {
    let process: Process = program.server(part).process.unwrap();
    process.signal(rustix::process::Signal::KILL);
}
