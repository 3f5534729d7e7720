//! The stores as one set: captured side by side, restored, and held against each other.

use crate::program::{Program, said};

use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::bolt::{Begin, Connection};
use summitctl::providers::neo4j::{DEFAULT_PORT, Target};
use summitctl::secret::Secret;
use summitctl::wait::Deadline;

const CHECKS: &str = r#"
[contexts.sandbox.cross-checks.people]
every.neo4j = "MATCH (p:Person) RETURN p.id"
is-in.postgres = "SELECT id FROM accounts"

[contexts.sandbox.cross-checks.typo]
every.neo4j = "MATCH (p:Person) RETURN p.id"
is-in.postgres = "SELECT id FROM acounts"
"#;

async fn cypher(program: &Program, text: &str) {
    let mut connection = graph(program).await;
    let none = Value::Map(Vec::new());
    connection
        .query(text, none, &Begin::write("test"))
        .await
        .unwrap();
    connection.close().await;
}

async fn graph(program: &Program) -> Connection {
    let record = program.server("neo4j");
    let target = Target {
        port: record.port,
        password: Some(Secret::new(program.secret("neo4j/password"))),
        ..Target::parse("bolt://127.0.0.1", None, None).unwrap()
    };
    assert_ne!(target.port, DEFAULT_PORT);
    let soon = Deadline::after(std::time::Duration::from_secs(20));
    Connection::open(&target, soon).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_between_the_stores_are_counted_and_named() {
    let program = Program::start("sets");
    let file = program.dir.join("sandbox/summitctl.toml");
    let flag = program.dir.join("maintenance");
    // It kills a process as well, if a file names one.
    let quiesce = format!(
        "\n[contexts.sandbox.quiesce]\nbegin = ['sh', '-c', 'touch {0}; if [ -e {0}.pid ]; then kill -9 $(cat {0}.pid); fi']\n\
         end = ['rm', '-f', '{0}']\n",
        flag.display()
    );
    let text = std::fs::read_to_string(&file).unwrap() + CHECKS + &quiesce;
    let edited = program.dir.join("sandbox/edited.toml");
    std::fs::write(&edited, text).unwrap();
    let edited = edited.to_string_lossy().into_owned();
    let flags = [
        "--config",
        &edited,
        "--sandbox-dir",
        "no-sandbox",
        "--context",
        "sandbox",
    ];
    let with =
        |words: &[&'static str]| -> Vec<&str> { words.iter().copied().chain(flags).collect() };
    // More than Bolt is used for, with values that only Bolt can say.
    cypher(
        &program,
        "UNWIND range(1, 101000) AS i CREATE (b:Bulk {i: i, t: 'text ' + i}) \
         SET b.p = CASE WHEN i % 1000 = 0 THEN point({x: i, y: 1}) END",
    )
    .await;

    program.ok(&with(&["backup", "create", "--yes"]));
    let verify = ["backup", "verify", "newest", "--level", "3", "--yes"];
    let text = said(&program.ok(&with(&verify)));
    assert!(
        text.contains("cross-store check `people`: all 2400 values of neo4j are in postgres"),
        "{text}"
    );
    let unknown =
        "finding   cross-store check `typo` was not evaluated: postgres could not be asked:";
    assert!(text.contains(unknown) && text.contains("acounts"), "{text}");
    // Said before anything was restored, too.
    let early = "check `typo` would not be evaluated: postgres refuses its query:";
    assert!(text.contains(early), "{text}");
    assert!(!text.contains("`people` would not"), "{text}");
    let details = |level: u64| {
        let shown = program.json(&with(&["backup", "show", "newest"]));
        let records = shown["backup"]["verified"].as_array().unwrap().clone();
        let newest = records.into_iter().rev().find(|r| r["level"] == level);
        newest.unwrap()["details"].clone()
    };
    assert_eq!(details(3)["cross-checks"][0]["orphans"], 0);
    let quickest = details(3)["loaded"]["neo4j"].to_string();
    assert!(
        quickest.contains("neo4j-admin database import"),
        "{quickest}"
    );

    cypher(
        &program,
        "CREATE (:Person {id: 999999}), (:Person {id: 999998})",
    )
    .await;
    program.ok(&with(&["backup", "create", "--yes"]));
    // The stores disagree, and the backup is as captured.
    let named = "2 of 2402 values of neo4j are not in postgres, such as `999998`, `999999`";
    for command in [&verify[..], &["drill", "run", "--yes"]] {
        let text = said(&program.ok(&with(command)));
        let finding = format!("finding   cross-store check `people`: {named}; the live stores");
        assert!(text.contains(&finding), "{text}");
    }
    let drilled = details(3);
    assert_eq!(drilled["cross-checks"][0]["outcome"], "failed");
    assert_eq!(drilled["findings"].as_array().unwrap().len(), 0);
    assert_eq!(drilled["loaded"]["neo4j"], "as `restore` loads it");
    assert_eq!(drilled["loaded"]["postgres"], "as `restore` loads it");
    let drills = program.json(&with(&["drill", "history"]));
    let record = drills["drills"][0]["record"].as_str().unwrap();
    let command = ["evidence", "show", record, "--output", "json"];
    let evidence = said(&program.ok(&[&command[..], &flags].concat()));
    assert!(evidence.contains(named), "{evidence}");
    let shown = said(&program.ok(&with(&["backup", "show", "newest"])));
    assert!(
        shown.contains("verified  level 3 passed") && shown.contains(named),
        "{shown}"
    );
    let status = said(&program.call(&with(&["status"]), None));
    assert!(status.contains(named), "{status}");
    agree_in_the_gate(&program, &with(&[]), &edited, "must = true\n", named);
    written_meanwhile(&program, &with(&[])).await;
    killed_while_it_imports(&program, &with(&[]));
    quiesced(&program, &with(&[]), &flag);

    // Without Neo4j in the backup there is nothing to ask.
    program.ok(&with(&[
        "backup", "create", "--stores", "postgres", "--yes",
    ]));
    let postgres_alone = program.backups().remove(0);
    let command = ["backup", "verify", &postgres_alone, "--level", "3", "--yes"];
    let text = said(&program.ok(&[&command[..], &flags].concat()));
    let finding = "cross-store check `people` was not evaluated: the backup holds no neo4j";
    assert!(text.contains(finding), "{text}");
    assert!(program.scratch().is_empty());
}

/// A warning for the gate, unless the check is declared to be a must.
fn agree_in_the_gate(program: &Program, flags: &[&str], file: &str, must: &str, named: &str) {
    let gate = [&["gate", "run"], flags].concat();
    let text = said(&program.call(&gate, None));
    assert!(
        text.contains(named) && !text.contains("stores.must-agree"),
        "{text}"
    );
    assert!(text.contains("verdict   GO\n"), "{text}");

    let declared = std::fs::read_to_string(file).unwrap();
    let place = "is-in.postgres = \"SELECT id FROM accounts\"\n";
    let stricter = declared.replace(place, &format!("{place}{must}"));
    std::fs::write(file, stricter).unwrap();
    let output = program.call(&gate, None);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(
        text.contains("stores.must-agree") && text.contains(named),
        "{text}"
    );
    assert!(text.contains("The backup is as captured"), "{text}");
    std::fs::write(file, declared).unwrap();
}

/// Somebody commits all the time: no reading shows one moment, and every place that shows the backup says so.
async fn written_meanwhile(program: &Program, flags: &[&str]) {
    let with = |words: &[&'static str]| [words, flags].concat();
    let mut connection = graph(program).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        while stopped.try_recv().is_err() {
            let none = Value::Map(Vec::new());
            let begin = Begin::write("test");
            connection
                .query("CREATE (:Tick)", none, &begin)
                .await
                .unwrap();
        }
    });
    let created = with(&["backup", "create", "--yes"]);
    let created = tokio::task::block_in_place(|| said(&program.ok(&created)));
    stop.send(()).unwrap();
    writing.await.unwrap();
    assert!(created.contains("reading again (3 of 3)"), "{created}");
    let shown = said(&program.ok(&with(&["backup", "show", "newest"])));
    let method = "bookmark changed during each of 3 readings";
    assert!(
        shown.contains("FUZZY: it changed while it was read") && shown.contains(method),
        "{shown}"
    );
    let json = program
        .json(&with(&["backup", "show", "newest"]))
        .to_string();
    assert!(json.contains("\"consistency\":\"fuzzy\""), "{json}");
    // `status` and the gate exit with what else is not as it should be.
    let status = said(&program.call(&with(&["status"]), None));
    assert!(
        status.contains("neo4j changed while it was read (fuzzy)"),
        "{status}"
    );
    let gate = said(&program.call(&with(&["gate", "run"]), None));
    assert!(gate.contains("not at one moment: neo4j"), "{gate}");
}

/// neo4j-admin's process of a scratch server, if one runs.
fn importing(program: &Program) -> bool {
    let scratch = program.dir.join("scratch");
    let scratch = scratch.to_string_lossy();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        arguments.contains("org.neo4j.cli.AdminTool") && arguments.contains(&*scratch)
    })
}

/// SIGKILL while neo4j-admin imports: it outlives us, and is ended before its folder is used again.
fn killed_while_it_imports(program: &Program, flags: &[&str]) {
    let command = [
        &["backup", "verify", "newest", "--level", "3", "--yes"],
        flags,
    ]
    .concat();
    assert!(program.killed_when(&command, |_| importing(program)));
    assert!(importing(program), "it outlives its maker");
    program.ok(&["run", "resume"]);
    assert!(!importing(program));
    assert!(program.scratch().is_empty());
}

/// Writes are stopped while the stores are captured, and go on whatever happens to the run.
fn quiesced(program: &Program, flags: &[&str], flag: &std::path::Path) {
    let command = [&["backup", "create", "--quiesce", "--yes"], flags].concat();
    program.ok(&command);
    assert!(!flag.exists());
    let run = program.runs().remove(0);
    let run = run["run"].as_str().unwrap();
    let order: Vec<String> = program
        .records(run)
        .iter()
        .filter(|r| r["kind"] == "done")
        .map(|r| r["step"].as_str().unwrap_or_default().to_owned())
        .collect();
    let at = |step: &str| order.iter().position(|s| s == step);
    println!("{order:?}");
    assert!(at("quiesce") < at("neo4j") && at("neo4j") < at("unquiesce"));
    assert!(at("unquiesce") < at("commit"));

    // Killed in between: writes stay stopped until somebody goes on or takes it back.
    assert!(program.killed_when(&command, |_| flag.exists()));
    assert!(flag.exists());
    program.ok(&["run", "resume"]);
    assert!(!flag.exists());
    assert!(program.killed_when(&command, |_| flag.exists()));
    assert!(flag.exists());
    program.ok(&["run", "abort"]);
    assert!(!flag.exists());

    // A capture that fails lets them go on at once.
    let pid = program.server("neo4j").process.unwrap().pid;
    std::fs::write(flag.with_extension("pid"), pid.to_string()).unwrap();
    let output = program.call(&command, None);
    let text = said(&output);
    assert_ne!(output.status.code(), Some(0), "{text}");
    assert!(!flag.exists(), "{text}");
    assert!(text.contains("2 undone"), "{text}");
    assert_ne!(program.runs()[0]["state"], "resumable");
}
