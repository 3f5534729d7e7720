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
    let verified = program.ok(&with(&[
        "backup", "verify", "newest", "--level", "3", "--yes",
    ]));
    let text = said(&verified);
    assert!(
        text.contains("cross-store check `people`: all 2400 values of neo4j are in postgres"),
        "{text}"
    );
    let shown = program.json(&with(&["backup", "show", "newest"]));
    let record = shown.to_string();
    assert!(
        record.contains("\"cross-check-people-values\":2400"),
        "{record}"
    );
    assert!(
        record.contains("\"cross-check-people-orphans\":0"),
        "{record}"
    );
    let drilled = said(&program.ok(&with(&["drill", "run", "--yes"])));
    assert!(drilled.contains("all 2400 values"), "{drilled}");

    cypher(
        &program,
        "CREATE (:Person {id: 999999}), (:Person {id: 999998})",
    )
    .await;
    program.ok(&with(&["backup", "create", "--yes"]));
    for command in [
        &["backup", "verify", "newest", "--level", "3", "--yes"][..],
        &["drill", "run", "--yes"],
    ] {
        let output = program.call(&with(command), None);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let named = "2 of 2402 values of neo4j are not in postgres, such as `999998`, `999999`";
        assert!(text.contains(named), "{text}");
    }
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
    assert!(text.contains("`people` was not evaluated"), "{text}");
    assert!(program.scratch().is_empty());
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
