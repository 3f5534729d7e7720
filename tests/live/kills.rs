//! SIGKILL on real servers, at the boundaries of the journal and in the middle of effects: what is resumed ends as if
//! nobody had come in between, and nothing is left lying about.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Program, files, said};

const CONTEXT: [&str; 2] = ["--context", "sandbox"];

#[tokio::test]
async fn killed_on_the_golden_path_and_inside_effects_it_ends_as_if_undisturbed() {
    let began = std::time::Instant::now();
    let so_far = |what: &str| println!("{what} after {:.1?}", began.elapsed());
    let program = Program::start("kills");
    let watch = program.watch();
    so_far("up");
    let disturbed = golden_path_killed_again_and_again(&program);
    so_far("golden path, killed");
    nothing_is_left(&program).await;
    let undisturbed = golden_path_twice(&program);
    assert_eq!(shape(&disturbed), shape(&undisturbed));

    so_far("golden path");
    let settings: BTreeMap<String, String> = program.redis(&["CONFIG", "GET", "*"]).await;
    assert!(settings.len() > 100, "{settings:?}");
    killed_inside_a_backup(&program);
    // A kill in the middle of a snapshot leaves no setting behind that it changed for the while.
    let left: BTreeMap<String, String> = program.redis(&["CONFIG", "GET", "*"]).await;
    assert_eq!(left, settings);
    so_far("backups");
    killed_inside_a_restore(&program).await;
    so_far("restore");
    an_aborted_restore_leads_back(&program).await;
    a_killed_drill_is_taken_back(&program);
    nothing_is_left(&program).await;
    program.ok(&["evidence", "verify", "--context", "sandbox"]);
    let watched = watch.ended();
    assert!(watched.leaks.is_empty(), "{:?}", watched.leaks);
}

/// One run, killed before, within and after the record of each step, and after each effect before it was recorded.
fn golden_path_killed_again_and_again(program: &Program) -> Vec<Value> {
    let golden = ["golden-path", "--yes", "--keep", "--jobs", "1"];
    for point in ["before:0", "within:0"] {
        assert_eq!(program.call(&golden, Some(point)).status.code(), None);
        assert_eq!(program.open_runs(), [""; 0], "{point}: nothing had begun");
    }
    assert_eq!(program.call(&golden, Some("after:0")).status.code(), None);
    let run = program.open_runs().remove(0);

    let mut visits: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut kills: BTreeMap<&str, usize> = BTreeMap::new();
    let resume = ["run", "resume", &run, "--jobs", "1"];
    loop {
        let records = program.records(&run);
        let last = records.last().unwrap();
        let word = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
        let (kind, step) = (word("kind"), word("step"));
        if kind == "ended" {
            break;
        }
        let turn = records.len() % 4;
        let visit = visits.entry((kind.clone(), step.clone())).or_default();
        *visit += 1;
        // In a resumed process record 0 says that it goes on; record 1 is the next of the run.
        let point = match (kind.as_str(), *visit) {
            ("intent", 1) if step == "drill" => {
                assert!(program.killed_when(&resume, |_| program.scratch_runs("neo4j")));
                assert!(program.scratch_runs("neo4j"), "it outlives its maker");
                *kills.entry("inside").or_default() += 1;
                continue;
            }
            // The effect is made, and its record is not; then it is found in place, and its record torn.
            ("intent", 1) => "before:2",
            ("intent", 2) if step == "drill" => "before:2",
            ("intent", 2) => "within:1",
            ("intent", 3) => "after:1",
            ("intent", _) => "after:2",
            (_, 1) if turn == 1 => "before:1",
            (_, 1) if turn == 3 => "within:1",
            _ => "after:1",
        };
        let output = program.call(&resume, Some(point));
        match output.status.code() {
            None => *kills.entry(point).or_default() += 1,
            Some(0) => break,
            other => panic!(
                "{point} after {kind} of `{step}`: {other:?}: {}",
                said(&output)
            ),
        }
        assert!(kills.values().sum::<usize>() < 120, "it goes on: {kills:?}");
    }
    println!("killed {kills:?}");
    for (point, least) in [
        ("before:1", 2),
        ("within:1", 8),
        ("after:1", 8),
        ("before:2", 7),
    ] {
        assert!(
            kills.get(point).is_some_and(|n| *n >= least),
            "{point}: {kills:?}"
        );
    }

    let shown = program.json(&["run", "show", &run]);
    assert_eq!(shown["state"], "finished", "{shown}");
    let steps = shown["steps"].as_array().unwrap().clone();
    let seen = |step: &str| {
        let found = steps.iter().find(|s| s["id"] == step);
        found.unwrap_or_else(|| panic!("no step {step}"))["observed"].clone()
    };
    assert_eq!(seen("commit")["backup"], run.as_str());
    assert_eq!(
        seen("drill")["backup"],
        run.as_str(),
        "the drill took this backup"
    );
    assert_eq!(seen("gate")["verdict"], "go");
    let listed = program.json(&["backup", "list", "--context", "sandbox"]);
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed}");
    assert!(listed["backups"][0]["problem"].is_null(), "{listed}");
    program.ok(&["evidence", "verify", "--context", "sandbox"]);
    steps
}

/// What a run came to, apart from when: each step with the size of what it saw.
fn shape(steps: &[Value]) -> Vec<String> {
    let shown = steps.iter().map(|step| {
        // Whoever comes second finds the targets pinned.
        let end = match step["end"].as_str() {
            Some("already-so" | "changed") => "so",
            other => other.unwrap_or("never"),
        };
        let seen = &step["observed"];
        format!(
            "{} {} {end}: {} rows, {} parts, {}, level {}",
            step["id"],
            step["kind"],
            seen["rows"],
            seen["parts"],
            seen["consistency"],
            seen["level"]
        )
    });
    shown.collect()
}

/// The second golden path says what was so already.
fn golden_path_twice(program: &Program) -> Vec<Value> {
    let up = program.json(&["sandbox", "up"]);
    assert_eq!(up["already"], true);
    let output = program.ok(&["golden-path", "--yes", "--keep"]);
    let text = said(&output);
    assert!(text.contains("The sandbox runs already."), "{text}");
    assert!(text.contains("= already so pin"), "{text}");
    assert!(text.contains("1 already so"), "{text}");
    let run = program.runs()[0]["run"].as_str().unwrap().to_owned();
    let shown = program.json(&["run", "show", &run]);
    let steps = shown["steps"].as_array().unwrap().clone();
    assert_eq!(steps[0]["end"], "already-so");
    steps
}

/// No lease or lock is held, no run is open, no scratch server or its data are there, no session stayed behind.
async fn nothing_is_left(program: &Program) {
    assert_eq!(program.open_runs(), [""; 0]);
    assert_eq!(program.scratch(), Vec::<PathBuf>::new());
    let mut locks = Vec::new();
    files(&program.dir.join("sandbox/repository/locks"), &mut locks);
    assert_eq!(locks, Vec::<PathBuf>::new());
    // A lease may outlive the last kill; it is known to be dead, and the next run takes it.
    let leases = program.json(&["lease", "show"]);
    let mut leases = leases["leases"].as_array().unwrap().iter();
    assert!(leases.all(|lease| lease["known-dead"] == true));
    let mut stored = Vec::new();
    files(&program.dir.join("sandbox/repository/backups"), &mut stored);
    let staged = stored
        .iter()
        .find(|p| p.to_string_lossy().contains("staged"));
    assert_eq!(staged, None);
    // What a scratch server is started with names its folder.
    let ours = program.dir.join("scratch").to_string_lossy().into_owned();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&words).contains(&ours),
            "{entry:?}"
        );
    }
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(program.number(slots).await, 0);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'summitctl%'";
    let mut left = program.number(sessions).await;
    // The sessions of a killed process end a moment later.
    for _ in 0..100 {
        if left == 0 {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        left = program.number(sessions).await;
    }
    assert_eq!(left, 0);
    let replication: String = program.redis(&["INFO", "replication"]).await;
    assert!(replication.contains("connected_slaves:0"), "{replication}");
}

fn killed_inside_a_backup(program: &Program) {
    let mut killed = 0;
    for store in ["postgres", "neo4j", "redis"] {
        let create = [
            &["backup", "create", "--yes", "--stores", store],
            &CONTEXT[..],
        ]
        .concat();
        let needle = format!("\"event\":\"progress\",\"step\":\"{store}\"");
        killed += usize::from(program.killed_at(&create, &needle));
        for run in program.open_runs() {
            program.ok(&["run", "resume", &run]);
        }
        let newest = program.backups().remove(0);
        let verify = ["backup", "verify", &newest, "--level", "2", "--yes"];
        program.ok(&[&verify, &CONTEXT[..]].concat());
    }
    assert!(killed >= 2, "{killed}");
}

/// Killed while it loads beside, wipes, flushes and loads: the end is the backup's data, in every store.
async fn killed_inside_a_restore(program: &Program) {
    // So many keys that a kill meets their loading.
    let more =
        "for i = 1, 60000 do redis.call('SET', 'more:' .. i, string.rep('x', 40)) end return 1";
    let _: u64 = program.redis(&["EVAL", more, "0"]).await;
    program.ok(&["backup", "create", "--yes", "--context", "sandbox"]);
    let backup = program.backups().remove(0);
    let before = contents(program, &backup);
    damage(program).await;
    let restore = [&["restore", &backup, "--confirm", "sandbox"], &CONTEXT[..]].concat();
    let points = [
        "\"event\":\"progress\",\"step\":\"load-postgres\"",
        "\"step\":\"swap-neo4j\",\"message\":\"deleting nodes",
        "\"step\":\"swap-neo4j\",\"message\":\"creating `case_id`",
        "\"step\":\"swap-redis\",\"message\":",
    ];
    assert!(program.killed_at(&restore, points[0]), "{}", points[0]);
    let run = program.open_runs().remove(0);
    let resume = ["run", "resume", &run];
    for point in &points[1..3] {
        assert!(program.killed_at(&resume, point), "{point}");
    }
    // Neo4j dies while it is filled: the run stops there, and goes on once the server is back.
    let filling = "\"event\":\"progress\",\"step\":\"swap-neo4j\"";
    let output = program.when(
        &resume,
        |events| events.contains(filling),
        |_| {
            let process = program.server("neo4j").process.unwrap();
            process.signal(rustix::process::Signal::KILL);
        },
    );
    let text = said(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("failed swap-neo4j"), "{text}");
    program.ok(&["sandbox", "up"]);
    assert!(program.killed_at(&resume, points[3]), "{}", points[3]);
    program.ok(&resume);
    program.ok(&["backup", "create", "--yes", "--context", "sandbox"]);
    assert_eq!(contents(program, &program.backups()[0]), before);
    program.ok(&[
        "smoke",
        "--data-plane",
        "--yes",
        "--wait",
        "60s",
        "--context",
        "sandbox",
    ]);
}

/// Emptied and not refilled: the abort says so, and the command that it names brings everything back.
async fn an_aborted_restore_leads_back(program: &Program) {
    let keys: u64 = program.redis(&["DBSIZE"]).await;
    let restore = [
        "restore",
        "newest",
        "--stores",
        "redis",
        "--confirm",
        "sandbox",
    ];
    let flushing = "\"step\":\"swap-redis\",\"message\":";
    assert!(program.killed_at(&[&restore, &CONTEXT[..]].concat(), flushing));
    let run = program.open_runs().remove(0);
    let aborted = program.call(&["run", "abort", &run], None);
    let text = said(&aborted);
    assert_eq!(aborted.status.code(), Some(1), "{text}");
    assert!(
        text.contains("`swap-redis` could not be taken back"),
        "{text}"
    );
    let back = format!("restore {run} --confirm sandbox --context sandbox");
    assert!(text.contains(&format!("`summitctl {back}`")), "{text}");
    assert!(text.contains("safety-commit: stays"), "{text}");
    program.ok(&back.split(' ').collect::<Vec<_>>());
    // What was to be got rid of is never what `newest` means.
    let shown = program.json(&[&["restore", "newest", "--plan-only"], &CONTEXT[..]].concat());
    let text = shown.to_string();
    assert!(!text.contains(&format!("from backup {run}")), "{text}");
    assert_eq!(program.redis::<u64>(&["DBSIZE"]).await, keys);
}

/// Something of each store is changed, and something is gone.
async fn damage(program: &Program) {
    let mut session = program.postgres().await;
    let sql = "TRUNCATE attachments CASCADE; UPDATE accounts SET id = id";
    sqlx::raw_sql(sql).execute(&mut session).await.unwrap();
    let _: u64 = program
        .redis(&["DEL", "cache:page:0", "cache:page:1"])
        .await;
    let _: String = program.redis(&["SET", "somebody:was:here", "1"]).await;
}

/// A backup's parts with their rows and, where equal data have equal ones, their fingerprints: Neo4j numbers restored
/// nodes anew.
fn contents(program: &Program, backup: &str) -> BTreeMap<String, String> {
    let shown = program.json(&["backup", "show", backup, "--context", "sandbox"]);
    let stores = shown["backup"]["contents"]["stores"].as_array().unwrap();
    let parts = stores
        .iter()
        .flat_map(|s| s["captured"]["parts"].as_array().unwrap());
    parts
        .filter(|part| !part["fingerprint"].is_null())
        .map(|part| {
            let name = part["name"].as_str().unwrap().to_owned();
            let print = part["fingerprint"].as_str().unwrap();
            let rows = print.split(':').next().unwrap();
            let told = if name.starts_with("neo4j/") {
                rows
            } else {
                print
            };
            let told = told.to_owned();
            (name, told)
        })
        .collect()
}

/// A drill that nobody goes on with leaves no server and no data in the clear once it is aborted.
fn a_killed_drill_is_taken_back(program: &Program) {
    let drill = ["drill", "run", "--yes", "--context", "sandbox"];
    assert!(program.killed_when(&drill, |_| program.scratch_runs("postgres")));
    assert!(program.scratch_runs("postgres"), "it outlives its maker");
    let aborted = program.ok(&["run", "abort"]);
    assert!(said(&aborted).contains("undone"), "{}", said(&aborted));
}
