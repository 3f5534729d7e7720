//! What stops a restore or a backup in the middle, on servers of each major version, without a sandbox: SIGKILL, cut sessions,
//! a server that dies, a repository without room. Each stops with its own words and exit code, and goes on or begins anew.

use std::path::Path;

use summitctl::providers::postgres::Target;
use summitctl::sandbox::servers::postgres::{Options, start, stop};

use crate::poison::configure;
use crate::postgres::{crash, scratch_of, sql, until, value};
use crate::program::{Program, said};

/// So many rows that loading them can be met, of which no two are alike.
const ROWS: &str = "
CREATE TABLE noise AS SELECT n AS id, sha256(n::text::bytea) AS a, sha256((-n)::text::bytea) AS b FROM generate_series(1, 200000) n;
ALTER TABLE noise ADD PRIMARY KEY (id);
CREATE TABLE small (id int PRIMARY KEY REFERENCES noise, note text);
INSERT INTO small SELECT n, 'no. ' || n FROM generate_series(1, 500) n;
CREATE ROLE reader NOLOGIN; GRANT SELECT ON small TO reader;";

const HELD: &str = "SELECT concat_ws(' ', count(*), sum(hashtext(n::text)), (SELECT sum(hashtext(s::text)) FROM small s)) FROM noise n";

/// What a restore makes on the way.
const ASIDE: &str =
    "SELECT count(*)::text FROM pg_database WHERE datname LIKE 'app\\_summitctl\\_restore%'";

/// The sessions in it.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'app\\_summitctl\\_restore%'";

fn loading(events: &str) -> bool {
    events.contains("\"step\":\"load-postgres\",\"task\":\"postgres/app/table/")
}

/// Does something in the middle of a test's own wait for a process.
fn meanwhile<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_disturbed_and_ends_as_if_it_had_not_been_on_17() {
    disturbed(17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_disturbed_and_ends_as_if_it_had_not_been_on_18() {
    disturbed(18).await;
}

async fn disturbed(major: u32) {
    let (folder, server) = scratch_of(major).await;
    let program = Program::bare(&format!("disturbed-{major}"));
    let admin = server.target();
    sql(&admin, "CREATE DATABASE app").await;
    let app = admin.with_database("app");
    sql(&app, ROWS).await;
    configure(&program, &server);
    program.ok(&["backup", "create", "--yes"]);
    let before = value(&app, HELD).await;
    sql(
        &app,
        "DELETE FROM small; DELETE FROM noise WHERE id % 3 = 0",
    )
    .await;
    let damaged = value(&app, HELD).await;

    // Killed in the middle of the load.
    let restore = ["restore", "newest", "--confirm", "p"];
    let output = program.when(&restore, loading, |child| child.kill().unwrap());
    assert_eq!(output.status.code(), None, "{}", said(&output));
    let run = program.open_runs().remove(0);
    let resume = ["run", "resume", &run];
    assert_eq!(value(&app, HELD).await, damaged, "nothing is swapped yet");

    // Its sessions are ended by somebody.
    let output = program.when(&resume, loading, |_| meanwhile(sql(&admin, CUT)));
    stopped(&program, &output, &run, &["connection"]);

    // The server dies, and comes back.
    let pid_file = folder.path().join("data/postmaster.pid");
    let output = program.when(&resume, loading, |_| crash(&pid_file));
    let at = format!("127.0.0.1:{}", server.port);
    stopped(
        &program,
        &output,
        &run,
        &[&at, "summitctl doctor --context p"],
    );
    again(folder.path(), major).await;
    assert_eq!(value(&app, HELD).await, damaged, "nothing is swapped yet");

    program.ok(&resume);
    assert_eq!(value(&app, HELD).await, before);
    let grant = "SELECT has_table_privilege('reader', 'small', 'SELECT')::text";
    assert_eq!(value(&app, grant).await.as_deref(), Some("true"));
    nothing_is_left(&program, &admin).await;
    program.ok(&["restore", "--undo", "--confirm", "p"]);
    assert_eq!(value(&app, HELD).await, damaged, "what was there is kept");
    program.ok(&["evidence", "verify"]);
}

/// Unreachable, for the time being.
fn stopped(program: &Program, output: &std::process::Output, run: &str, words: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    let resume = format!("summitctl run resume {run}");
    for word in words.iter().copied().chain([resume.as_str()]) {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert_eq!(program.open_runs(), [run]);
}

async fn again(folder: &Path, major: u32) {
    stop(folder).await.expect("is gone");
    start(folder, &Options::scratch(Some(major)))
        .await
        .expect("starts again");
}

async fn nothing_is_left(program: &Program, admin: &Target) {
    assert_eq!(program.open_runs(), [""; 0]);
    until(admin, ASIDE, "0").await;
    let sessions = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'summitctl%' AND pid <> pg_backend_pid()";
    until(admin, sessions, "0").await;
}

/// The repository's disk fills up while a table is captured into it: no backup comes of it, and the next one is whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_full_in_mid_capture_leaves_no_backup() {
    let (_folder, server) = scratch_of(17).await;
    let program = Program::bare("full");
    let admin = server.target();
    sql(&admin, "CREATE DATABASE app").await;
    let app = admin.with_database("app");
    sql(&app, ROWS).await;
    configure(&program, &server);
    // Without root's rights a user namespace lends them.
    let root = rustix::process::geteuid().is_root();
    let outer = if root { "--mount" } else { "-rm" };
    let outer = ["unshare", outer, "sh", "-euc", FULL];
    let mut command = program.command_in(&outer, &["backup", "create", "--yes"]);
    let output = program.keep(command.output().unwrap());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for word in [
        "cannot store a segment of `postgres/app/table/public.noise`",
        "No space left on device",
        "df -h",
        "summitctl run resume",
        "stopped with 1",
        "0 backups",
        "0 manifests",
        "0 open",
        "went on with 0",
        "1 backups",
    ] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert!(!text.contains("this is a bug"), "{text}");
    nothing_is_left(&program, &admin).await;
}

/// The disk lives in the mount namespace of this shell. It takes a part of the table, and not all.
const FULL: &str = r#"
    cp -a repository kept
    mount -t tmpfs -o size=6m tmpfs repository
    cp -a kept/. repository
    code=0; "$0" "$@" || code=$?; echo "stopped with $code"
    echo "$("$0" backup list --output json | grep -c '"backup":' || true) backups"
    echo "$(find repository -name '*manifest*' | wc -l) manifests"
    "$0" run abort
    echo "$("$0" run list | grep -c resumable || true) open"
    mount -o remount,size=200m repository
    code=0; "$0" "$@" || code=$?; echo "went on with $code"
    echo "$("$0" backup list --output json | grep -c '"backup":' || true) backups"
    "$0" backup verify newest --level 2 --yes
"#;
