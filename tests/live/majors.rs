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

/// Ours, but for the one that asks.
const SESSIONS: &str = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'summitctl%' AND pid <> pg_backend_pid()";

fn loading(events: &str) -> bool {
    events.contains("\"step\":\"load-postgres\",\"task\":\"postgres/app/table/")
}

/// Does something in the middle of a test's own wait for a process.
fn meanwhile<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_disturbed_and_ends_as_if_it_had_not_been_on_15() {
    disturbed(15).await;
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
    killed_in_mid_capture(&program, &admin).await;
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

/// No backup, and no session that goes on; the run is taken up again, or the next backup is made without it.
async fn killed_in_mid_capture(program: &Program, admin: &Target) {
    let create = ["backup", "create", "--yes"];
    let capturing = |events: &str| events.contains("\"event\":\"progress\",\"step\":\"postgres\"");
    for taken_up in [false, true] {
        assert!(program.killed_when(&create, capturing), "it was too quick");
        until(admin, SESSIONS, "0").await;
        let listed = &program.json(&["backup", "list"])["backups"];
        assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");
        let run = program.open_runs().remove(0);
        let next = if taken_up { "resume" } else { "abort" };
        program.ok(&["run", next, &run]);
        assert_eq!(program.open_runs(), [""; 0]);
    }
    program.ok(&["backup", "verify", "newest", "--level", "2", "--yes"]);
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
    until(admin, SESSIONS, "0").await;
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

/// The programs of the server's version are hidden: what is left is older, and its dump would not be whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_pg_dump_is_refused_with_the_package_s_name() {
    let (_folder, server) = scratch_of(18).await;
    let program = Program::bare("older");
    sql(&server.target(), "CREATE DATABASE app").await;
    configure(&program, &server);
    let root = rustix::process::geteuid().is_root();
    let outer = if root { "--mount" } else { "-rm" };
    let outer = ["unshare", outer, "sh", "-euc", HIDDEN];
    let mut command = program.command_in(&outer, &["backup", "create", "--yes"]);
    let output = program.keep(command.output().unwrap());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for word in [
        "older than the server's 18",
        "apt-get install postgresql-client-18",
    ] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert_eq!(
        program.json(&["backup", "list"])["backups"],
        serde_json::json!([])
    );
    assert_eq!(program.open_runs(), [""; 0]);
}

const HIDDEN: &str = r#"
    for folder in /var/cache/summitctl/servers "${XDG_CACHE_HOME:-$HOME/.cache}/summitctl/servers"; do
        [ ! -d "$folder" ] || mount -t tmpfs tmpfs "$folder"
    done
    exec "$0" "$@"
"#;

/// The major version for [`on_a_small_disk`].
const SMALL_DISK: &str = "SUMMITCTL_TEST_SMALL_DISK";

/// The disk under the server's tables fills up while a backup is restored: the live database stays as it is, and the restore goes on
/// when there is room. The disk lives in the mount namespace of a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_under_a_server_of_each_version_is_full() {
    for major in [15, 17, 18] {
        let mut command = std::process::Command::new("unshare");
        // Postgres refuses to run as root, and so it may not seem to be.
        let root = rustix::process::geteuid().is_root();
        let apart = ["--mount", "--map-current-user", "--keep-caps"];
        command.args(&apart[..if root { 1 } else { 3 }]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["majors::on_a_small_disk", "--exact", "--nocapture"]);
        let output = command.env(SMALL_DISK, major.to_string()).output().unwrap();
        let text = said(&output);
        assert!(output.status.success(), "on {major}: {text}");
        assert!(text.contains("went on when there was room"), "{text}");
    }
}

/// What [`the_disk_under_a_server_of_each_version_is_full`] runs, and nothing by itself.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_small_disk() {
    let Ok(major) = std::env::var(SMALL_DISK) else {
        return;
    };
    let major: u32 = major.parse().unwrap();
    let (folder, _) = scratch_of(major).await;
    stop(folder.path()).await.unwrap();
    let base = folder.path().join("data/base");
    sh(SMALL, &base);
    again(folder.path(), major).await;
    let server = start(folder.path(), &Options::scratch(Some(major))).await;
    let server = server.unwrap();
    let program = Program::bare(&format!("small-disk-{major}"));
    let admin = server.target();
    sql(&admin, "CREATE DATABASE app").await;
    let app = admin.with_database("app");
    sql(&app, ROWS).await;
    configure(&program, &server);
    program.ok(&["backup", "create", "--yes"]);
    let before = value(&app, HELD).await;
    sql(&app, "DELETE FROM small").await;
    let damaged = value(&app, HELD).await;
    sh(FILL, &base);

    let restore = ["restore", "newest", "--confirm", "p"];
    let output = program.call(&restore, None);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let run = program.open_runs().remove(0);
    let resume = format!("summitctl run resume {run}");
    for word in ["the disk of the server is full", "df -h", &resume] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert_eq!(value(&app, HELD).await, damaged, "nothing is swapped yet");

    std::fs::remove_file(base.join("fill")).unwrap();
    program.ok(&["run", "resume", &run]);
    assert_eq!(value(&app, HELD).await, before);
    nothing_is_left(&program, &admin).await;
    println!("went on when there was room");
    drop(program);
    stop(folder.path()).await.unwrap();
    sh("umount \"$0\"", &base);
}

fn sh(script: &str, folder: &Path) {
    let mut shell = std::process::Command::new("sh");
    let done = shell.args(["-euc", script]).arg(folder).status().unwrap();
    assert!(done.success(), "{script}");
}

/// The tables' folder on a disk of its own, with its owner and mode.
const SMALL: &str = r#"
    cp -a "$0" "$0-kept"
    mount -t tmpfs -o size=300m,mode=700 tmpfs "$0"
    chown --reference="$0-kept" "$0"
    cp -a "$0-kept/." "$0"
    rm -r "$0-kept"
"#;

/// Room is left for a new database, and not for its rows.
const FILL: &str = r#"
    dd if=/dev/zero of="$0/fill" bs=1k count=1000000 2>/dev/null || true
    truncate --size=-14M "$0/fill"
    sync "$0"
"#;
