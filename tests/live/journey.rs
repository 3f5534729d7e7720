//! The program as its user runs it, on one sandbox: killed at journal boundaries and resumed, restored in place after real
//! damage, with canary secrets looked for everywhere.

use crate::program::{Program, Watched, files, secrets};

/// Runs a command again and again, killed at one boundary of its journal after the other, resumes it each time, and says how
/// many of the kills came before its end.
fn sweep(program: &Program, args: &[&str], crashes: impl Iterator<Item = String>) -> usize {
    let mut killed = 0;
    for crash in crashes {
        let output = program.call(args, Some(&crash));
        if output.status.code() == Some(0) {
            // The run has fewer records than the crash point asks for.
            break;
        }
        assert_eq!(
            output.status.code(),
            None,
            "{crash}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        killed += 1;
        let begun = crash != "before:0" && crash != "within:0";
        let resumed = program.call(&["run", "resume"], None);
        let text = String::from_utf8_lossy(&resumed.stderr);
        match resumed.status.code() {
            Some(0) => assert!(begun, "{crash}: nothing had begun"),
            // Killed before the first record, or after the last.
            Some(2) => assert!(text.contains("no run is waiting"), "{crash}: {text}"),
            other => panic!("{crash}: resume gave {other:?}: {text}"),
        }
    }
    killed
}

#[tokio::test]
async fn killed_anywhere_it_goes_on_and_damage_is_taken_back() {
    let journey = Program::start("journey");
    let watch = journey.watch();
    let context = ["--context", "sandbox"];
    let with = |words: &[&'static str]| -> Vec<&'static str> { [words, &context].concat() };

    // Every record of a backup, killed after it; and one of them before and within.
    let points = (0..40)
        .map(|n| format!("after:{n}"))
        .chain(["before:3".into(), "within:4".into()]);
    let killed = sweep(
        &journey,
        &with(&["backup", "create", "--yes", "--jobs", "1"]),
        points,
    );
    assert!(killed >= 12, "{killed}");
    let killed = sweep(
        &journey,
        &with(&["backup", "create", "--yes"]),
        ["before:0", "within:0", "before:5", "within:5", "within:8"]
            .map(str::to_owned)
            .into_iter(),
    );
    assert_eq!(killed, 5);
    let listed = journey.json(&with(&["backup", "list"]));
    for backup in listed["backups"].as_array().unwrap() {
        assert!(backup["problem"].is_null(), "{backup}");
        assert_eq!(backup["stores"].as_array().unwrap().len(), 3, "{backup}");
    }
    let newest = listed["backups"][0]["backup"].as_str().unwrap().to_owned();

    // Real damage: a table is gone, rows are changed.
    let mut session = journey.postgres().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(relname) FROM pg_stat_user_tables \
         WHERE schemaname = 'public' AND n_live_tup > 100 ORDER BY n_live_tup DESC LIMIT 1",
    )
    .fetch_all(&mut session)
    .await
    .unwrap();
    let table = tables
        .first()
        .cloned()
        .expect("the seed holds a table with rows");
    let count = format!("SELECT count(*) FROM {table}");
    let before: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count.clone()))
        .fetch_one(&mut session)
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("TRUNCATE {table} CASCADE")))
        .execute(&mut session)
        .await
        .unwrap();
    drop(session);

    // Destruction is not covered by `--yes`; the plan is shown and nothing is done.
    let refused = journey.call(
        &[&["restore", &newest, "--yes"][..], &context].concat(),
        None,
    );
    assert_eq!(refused.status.code(), Some(3));

    let restore = [
        &["restore", newest.as_str(), "--confirm", "sandbox"][..],
        &context,
    ]
    .concat();
    let points = [
        "after:3",
        "after:12",
        "before:13",
        "after:13",
        "after:15",
        "after:16",
        "within:17",
        "after:17",
        "after:19",
    ];
    let killed = sweep(&journey, &restore, points.map(str::to_owned).into_iter());
    assert_eq!(killed, points.len());
    let mut session = journey.postgres().await;
    let after: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(after, before, "{table} came back");
    drop(session);

    // The platform lives on, and a drill and the gate agree.
    assert_eq!(
        journey.code(&with(&["smoke", "--data-plane", "--yes", "--wait", "60s"])),
        0
    );
    journey.ok(&with(&["backup", "create", "--yes"]));
    assert_eq!(
        journey.code(&with(&["gate", "run"])),
        5,
        "no drill yet: no-go"
    );
    journey.ok(&with(&["drill", "run", "--yes"]));
    journey.ok(&with(&["gate", "run"]));
    journey.ok(&with(&["evidence", "verify"]));
    journey.ok(&with(&["status"]));

    // A second run says what was already so.
    let again = journey.json(&with(&["context", "pin", "--yes"]));
    assert_eq!(again["report"]["steps"][0]["end"], "already-so", "{again}");

    // A broken store: its impact and its consequences, and mended again.
    journey.ok(&["sandbox", "break", "redis"]);
    let smoke = journey.call(&with(&["smoke"]), None);
    assert_eq!(smoke.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&smoke.stdout).contains("impact: Cache and queues"));
    journey.ok(&["sandbox", "mend", "redis"]);

    edited_evidence_is_found(&journey);
    no_secret_was_kept_or_shown(&journey, &watch.ended());
}

fn edited_evidence_is_found(journey: &Program) {
    let evidence = journey.dir.join("sandbox/evidence");
    let mut logs = Vec::new();
    files(&evidence, &mut logs);
    let record = logs
        .iter()
        .find(|p| p.to_string_lossy().ends_with(".dsse.json"))
        .unwrap();
    let good = std::fs::read(record).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(record, bad).unwrap();
    assert_eq!(
        journey.code(&["evidence", "verify", "--context", "sandbox"]),
        6
    );
    std::fs::write(record, good).unwrap();
    assert_eq!(
        journey.code(&["evidence", "verify", "--context", "sandbox"]),
        0
    );
}

/// The passwords and keys of the sandbox are canaries: no output, journal, evidence, pin or process may show them.
fn no_secret_was_kept_or_shown(journey: &Program, watched: &Watched) {
    assert!(watched.leaks.is_empty(), "{:?}", watched.leaks);
    for program in ["summitctl", "pg_dump", "pg_restore"] {
        let looked_at = watched.programs.iter().any(|p| p.starts_with(program));
        assert!(looked_at, "{program}: {:?}", watched.programs);
    }
    let mut kept = Vec::new();
    for folder in [
        "runs",
        "pins",
        "leases",
        "sandbox/evidence",
        "sandbox/repository",
    ] {
        files(&journey.dir.join(folder), &mut kept);
    }
    assert!(kept.len() > 50, "{}", kept.len());
    let secrets = secrets(&journey.dir);
    assert!(secrets.len() >= 6, "{}", secrets.len());
    for secret in &secrets {
        assert!(!journey.printed().contains(secret), "a secret was printed");
        for path in &kept {
            let bytes = std::fs::read(path).unwrap();
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }
}
