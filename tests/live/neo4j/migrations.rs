//! neo4j-migrations: its chain and its lock, the real tool killed in the middle and at work; and the platform's own nodes.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use summitctl::consent::{Effect, Flags, Nobody, Request, Tier, obtain};
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::bolt::{Begin, Connection};
use summitctl::providers::neo4j::migrations::{free, lock, prove_takeable};
use summitctl::providers::neo4j::{LOCK_MOVED, LOCK_NOT_TAKEABLE, Target};
use summitctl::wait::{Deadline, Look, poll};

use super::{Server, connect, query};
use crate::migrations::{fetched, wanted};
use crate::program::{Program, said};

pub(super) const ID: &str = "neo4j:neo4j:__Neo4jMigrationsLock";
/// As the tool makes it.
pub(super) const CONSTRAINT: &str = "CREATE CONSTRAINT __Neo4jMigrationsLock__has_unique_name FOR (l:__Neo4jMigrationsLock) REQUIRE l.name IS UNIQUE";
pub(super) const TAKE: &str =
    "CREATE (:__Neo4jMigrationsLock {id: randomUUID(), name: 'John Doe'})";

/// The program with a context `g` of a server.
pub(super) struct Bench {
    pub program: Program,
    pub server: Server,
}

impl Bench {
    pub async fn new(name: &str) -> Bench {
        let server = Server::start(name).await;
        let program = Program::bare(name);
        let running = &server.running;
        fs::write(program.dir.join("password"), running.password.expose()).unwrap();
        let config = format!(
            "version = 1\n[contexts.g]\ntier = \"staging\"\n[contexts.g.neo4j]\nurl = \"{}\"\nuser = \"{}\"\npassword = \"file:password\"\n",
            running.uri(),
            running.user
        );
        fs::write(program.dir.join("summitctl.toml"), config).unwrap();
        Bench { program, server }
    }

    pub fn target(&self) -> Target {
        self.server.target()
    }

    pub fn call(&self, words: &str) -> (i32, String) {
        let args: Vec<&str> = words.split(' ').chain(["--context", "g"]).collect();
        let output = self.program.call(&args, None);
        (output.status.code().unwrap_or(-1), said(&output))
    }

    pub fn json(&self, words: &str) -> Json {
        let args: Vec<&str> = words.split(' ').chain(["--context", "g"]).collect();
        self.program.json(&args)
    }

    async fn until(&self, verdict: &str) -> Json {
        poll(
            "the lock's verdict",
            Deadline::after(Duration::from_secs(120)),
            Duration::from_millis(500),
            async || {
                let shown = self.json("migrate lock show");
                Ok(if shown["neo4j"]["verdict"] == verdict {
                    Look::Ready(shown["neo4j"].clone())
                } else {
                    Look::NotYet(shown.to_string())
                })
            },
        )
        .await
        .unwrap()
    }

    /// Waits until a transaction of the tool waits for ours.
    async fn waits(&self) {
        poll(
            "a migration that waits",
            Deadline::after(Duration::from_secs(120)),
            Duration::from_millis(500),
            async || {
                let shown = self.json("migrate blockers").to_string();
                Ok(if shown.contains("Blocked by") {
                    Look::Ready(())
                } else {
                    Look::NotYet(shown)
                })
            },
        )
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_neo4j_migrations_is_cleared_as_it_was_shown_or_not_at_all() {
    let bench = Bench::new("graph-lock").await;
    let target = bench.target();
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 2, "{text}");
    let (code, text) = bench.call("migrate status");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("no trace of neo4j-migrations"), "{text}");

    query(&target, CONSTRAINT).await;
    query(&target, TAKE).await;
    query(
        &target,
        "CREATE (:Migration {name: '001_people', appliedAt: datetime('2026-11-20T03:04:05Z'), tags: ['a', 'b']})",
    )
    .await;
    let status = bench.json("migrate status");
    let own = json!({"name": "001_people", "appliedAt": "2026-11-20T03:04:05Z", "tags": null});
    assert_eq!(status["neo4j"]["own"]["shown"], json!([own]), "{status:#}");
    assert_eq!(status["held"], json!([ID]), "{status:#}");
    let (code, text) = bench.call("migrate status");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("name 001_people"), "{text}");
    let shown = bench.json("migrate lock show");
    assert_eq!(shown["neo4j"]["verdict"], "unknown", "{shown:#}");
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 3, "{text}");
    let (code, text) = bench.call("migrate lock clear --confirm g");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("rolled back"), "{text}");
    assert!(lock(&target).await.unwrap().is_none());

    // With a Postgres that does not answer beside it, Neo4j is asked all the same.
    let path = bench.program.dir.join("summitctl.toml");
    let config = fs::read_to_string(&path).unwrap();
    let nobody = summitctl::sandbox::servers::free_port().unwrap();
    let postgres =
        format!("[contexts.g.postgres]\nurl = \"postgres://u@127.0.0.1:{nobody}/app\"\n");
    fs::write(&path, config + &postgres).unwrap();
    for words in ["migrate blockers", "migrate status"] {
        let (code, text) = bench.call(words);
        assert_eq!(code, 7, "{text}");
        assert!(text.contains("Postgres `app` was not looked at"), "{text}");
        assert!(
            text.to_lowercase().contains("neo4j\n") || text.contains("neo4j:neo4j  1 nodes"),
            "{text}"
        );
    }

    race(&target).await;
}

/// A holder that lets go and another that takes the lock again: what was shown before is never taken for theirs.
async fn race(target: &Target) {
    let request = Request {
        effect: Effect::Destroy,
        context: "g",
        tier: Tier::Development,
        plan_digest: "sha256:0",
        command: "migrate lock clear",
    };
    let flags = Flags {
        confirm: Some("g".to_owned()),
        ..Flags::default()
    };
    let consent = obtain(&request, &flags, &mut Nobody).unwrap();
    query(target, TAKE).await;
    let mut holder = connect(target).await;
    let let_go = "MATCH (l:__Neo4jMigrationsLock) DELETE l";
    let again =
        "MERGE (l:__Neo4jMigrationsLock {name: 'John Doe'}) ON CREATE SET l.id = randomUUID()";
    // Not as the tool does it: the node stays, and another holds it.
    let in_place = "MATCH (l:__Neo4jMigrationsLock) SET l.id = randomUUID()";
    let (mut first, mut refused) = (0, 0);
    for n in 0..1000 {
        let shown = lock(target).await.unwrap().unwrap().nodes;
        let changes: &[&str] = if n % 2 == 0 {
            &[let_go, again]
        } else {
            &[in_place, again]
        };
        let (cleared, ()) = tokio::join!(free(target, &shown, &consent), run(&mut holder, changes));
        match cleared {
            Ok(()) => first += 1,
            Err(e) => {
                assert_eq!(e.reason(), &LOCK_MOVED, "{e}");
                refused += 1;
            }
        }
        run(&mut holder, &[again]).await;
        let now = lock(target).await.unwrap().unwrap().nodes;
        assert_eq!(now.len(), 1, "after {first} and {refused}");
        assert_ne!(now, shown, "somebody's lock is as it was shown");
    }
    assert_eq!(first + refused, 1000);
    let shown = lock(target).await.unwrap().unwrap().nodes;
    let error = prove_takeable(target, &shown).await.unwrap_err();
    assert_eq!(error.reason(), &LOCK_NOT_TAKEABLE, "{error}");
    let mut stale = shown.clone();
    stale[0].properties.insert("id".into(), "another".into());
    let error = free(target, &stale, &consent).await.unwrap_err();
    assert_eq!(error.reason(), &LOCK_MOVED, "{error}");
    free(target, &shown, &consent).await.unwrap();
    prove_takeable(target, &shown).await.unwrap();
}

async fn run(connection: &mut Connection, queries: &[&str]) {
    for query in queries {
        let none = Value::Map(Vec::new());
        let begin = Begin::write("a test");
        // Two who delete one node at once: the second finds it gone.
        let _ = connection.query(query, none, &begin).await;
    }
}

fn tool(bench: &Bench) -> Command {
    let pom = include_str!("../migrations/neo4j-migrations/pom.xml");
    let home = fetched("neo4j-migrations", pom, "<neo4j-migrations.version>", "<");
    let mut command = Command::new("java");
    command
        .arg("-cp")
        .arg(home.join("*"))
        .arg("ac.simons.neo4j.migrations.cli.MigrationsCli")
        .args([
            "--address",
            &bench.server.running.uri(),
            "--username",
            &bench.server.running.user,
        ])
        .arg("--password:env=GRAPH_PASSWORD")
        .arg(format!(
            "--location=file://{}",
            bench.program.dir.join("graph").display()
        ))
        .arg("migrate")
        .env("GRAPH_PASSWORD", bench.server.running.password.expose())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn neo4j_migrations_is_told_and_its_lock_cleared() {
    if !wanted() {
        return;
    }
    let bench = Bench::new("graph-migrations").await;
    let target = bench.target();
    let folder = bench.program.dir.join("graph");
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    file("V001__first.cypher", "CREATE (:First {n: 1});\n");
    let waiting = "MATCH (g:Gate) SET g.n = 1;\n";
    file(
        "V002__second.cypher",
        &format!("CREATE (:Second);\n{waiting}"),
    );
    query(&target, "CREATE (:Gate {n: 0})").await;
    let mut gate = connect(&target).await;
    let shut = async |gate: &mut Connection| {
        gate.begin(&Begin::write("a test")).await.unwrap();
        let shut = gate.run("MATCH (g:Gate) SET g.n = 2", Value::Map(Vec::new()));
        shut.await.unwrap().all().await.unwrap();
    };
    shut(&mut gate).await;
    let holder = tool(&bench).spawn().unwrap();
    bench.waits().await;
    let lock = bench.until("alive").await;
    let agent = lock["clients"][0]["agent"].as_str().unwrap();
    assert!(agent.starts_with("neo4j-migrations/"), "{lock:#}");
    let (code, text) = bench.call("migrate lock clear --confirm g");
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("is alive") && text.contains("stop it where it runs"),
        "{text}"
    );

    killed(holder);
    let lock = bench.until("unknown").await;
    assert_eq!(lock["id"], ID, "{lock:#}");
    gate.rollback().await.unwrap();
    assert!(
        !tool(&bench).status().unwrap().success(),
        "the tool itself finds the lock held"
    );
    let (code, text) = bench.call("migrate lock clear --yes");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("nobody confirmed"), "{text}");
    let (code, text) = bench.call(&format!("migrate lock clear --lock {ID} --confirm g"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("rolled back"), "{text}");
    let status = bench.json("migrate status");
    let history = &status["neo4j"]["history"];
    assert_eq!(
        history["applied"].as_array().unwrap().len(),
        1,
        "{status:#}"
    );
    assert_eq!(history["applied"][0]["name"], "001 first", "{status:#}");
    assert_eq!(status["neo4j"]["lock"]["nodes"], json!([]), "{status:#}");

    // The tool goes on, and is not ended by way of its connection, which it would open again.
    shut(&mut gate).await;
    let mut holder = tool(&bench).spawn().unwrap();
    bench.waits().await;
    let (code, text) = bench.call("migrate lock clear --terminate --confirm g");
    assert_eq!(code, 3, "{text}");
    gate.rollback().await.unwrap();
    assert!(holder.wait().unwrap().success());
    file("R003__again.cypher", "MERGE (:Again);\n");
    assert!(tool(&bench).status().unwrap().success());
    files_are_compared(&bench, &folder);
    let status = bench.json("migrate status");
    let history = &status["neo4j"]["history"];
    let names: Vec<&str> = history["applied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"002 second"), "{status:#}");
    assert_eq!(history["broken"], json!([]), "{status:#}");
    let last = &history["applied"][1];
    assert!(last["checksum"].is_string() && last["at"].is_string());
    let (code, text) = bench.call("migrate status");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("neo4j-migrations: "), "{text}");
    let (code, text) = bench.call("migrate lock show");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(&format!("{ID}  neo4j-migrations: free")),
        "{text}"
    );
}

/// The files beside the chain, as the tool itself validates them.
fn files_are_compared(bench: &Bench, folder: &Path) {
    let words = format!(
        "migrate status --sources neo4j-migrations={}",
        folder.display()
    );
    let compared = || bench.json(&words)["neo4j"]["sources"].clone();
    let file = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let below = folder.join("below");
    fs::create_dir_all(&below).unwrap();
    // All that makes a statement in the eyes of the tool, and a kind whose checksum is not computed.
    let odd = "// a comment\nCREATE (:Odd {t: ';'});\r\n\n;\nMATCH (n:Odd)\n  SET n.s = '\u{e4}' ;\n// the end";
    fs::write(below.join("V003_1__odd_one.cypher"), odd).unwrap();
    let catalog = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<migration xmlns=\"https://michael-simons.github.io/neo4j-migrations\"><catalog/></migration>\n";
    file("V011__catalog.xml", catalog);
    let before = compared();
    assert_eq!(
        before["pending"],
        json!(["below/V003_1__odd_one.cypher", "V011__catalog.xml"]),
        "{before:#}"
    );
    assert_eq!(
        (&before["changed"], &before["missing"]),
        (&json!([]), &json!([])),
        "{before:#}"
    );
    assert!(tool(bench).status().unwrap().success());
    let after = compared();
    for list in ["pending", "changed", "missing"] {
        assert_eq!(after[list], json!([]), "{list}: {after:#}");
    }
    assert_eq!(
        after["not-compared"],
        json!(["V011__catalog.xml"]),
        "{after:#}"
    );

    // Changed: a repeatable one runs again, another is refused by the tool.
    file("R003__again.cypher", "MERGE (:Again {n: 1});\n");
    assert_eq!(compared()["pending"], json!(["R003__again.cypher"]));
    assert!(tool(bench).status().unwrap().success());
    assert_eq!(compared()["pending"], json!([]));
    file("V001__first.cypher", "CREATE (:First {n: 2});\n");
    let changed = compared();
    assert_eq!(
        changed["changed"],
        json!(["V001__first.cypher"]),
        "{changed:#}"
    );
    assert!(
        !tool(bench).status().unwrap().success(),
        "the tool refuses it"
    );
    // Blanks around a statement are none of it.
    file("V001__first.cypher", "\n  CREATE (:First {n: 1});\n\n");
    assert_eq!(compared()["changed"], json!([]));
    assert!(tool(bench).status().unwrap().success());
    fs::remove_file(folder.join("V002__second.cypher")).unwrap();
    file(
        "V012__later.cypher",
        "// assume that edition is enterprise\nCREATE (:Later);\n",
    );
    let gone = compared();
    assert_eq!(gone["missing"], json!(["002 second"]), "{gone:#}");
    assert_eq!(gone["pending"], json!(["V012__later.cypher"]), "{gone:#}");
    assert!(
        gone["notes"].to_string().contains("have preconditions"),
        "{gone:#}"
    );
    file("V0021__between.cypher", "CREATE (:Between);\n");
    let between = compared();
    assert!(
        between["notes"].to_string().contains("go out of order"),
        "{between:#}"
    );
    fs::remove_file(folder.join("V0021__between.cypher")).unwrap();
    let (code, text) = bench.call(&words);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 pending, 0 changed, 1 missing"), "{text}");
    let (code, text) = bench.call("migrate status --sources neo4j-migrations=nowhere");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("`nowhere` is no folder"), "{text}");
}
