//! `backup import`: what other tools dumped becomes a backup with the same fingerprints, as old as it is; what is cut off or would run
//! programs does not.

use std::path::Path;
use std::process::{Command, Output};

use summitctl::providers::postgres::tools;
use summitctl::sandbox::servers::neo4j as graph;

use crate::program::{Program, said};

const HERE: [&str; 2] = ["--context", "sandbox"];

fn with<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &HERE].concat()
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
}

/// Dumps the practice database in one of pg_dump's formats.
fn pg_dump(program: &Program, format: &str, into: &Path) {
    let record = program.server("postgres");
    let tool = tools::pg_dump(15).unwrap();
    done(
        Command::new(&tool.path)
            .args(["--host=127.0.0.1", "--no-password", "--dbname=app"])
            .arg("--exclude-schema=summitctl")
            .arg(format!("--port={}", record.port))
            .arg(format!("--username={}", record.user))
            .arg(format!("--format={format}"))
            .arg("--file")
            .arg(into)
            .env("PGPASSWORD", program.secret("postgres/password")),
    );
}

/// Imports a file as it is of this moment.
fn tried(program: &Program, file: &str, as_of: &str) -> Output {
    let words = ["backup", "import", file, "--as-of", as_of, "--yes"];
    program.call(&with(&words), None)
}

fn imported(program: &Program, args: &[&str]) -> String {
    let result = program.json(&with(&[&["backup", "import"], args, &["--yes"]].concat()));
    let steps = result["report"]["steps"].as_array().unwrap();
    let commit = steps.iter().find(|s| s["id"] == "commit");
    let backup = commit.map(|s| &s["observed"]["backup"]);
    backup
        .and_then(|b| b.as_str())
        .unwrap_or_else(|| panic!("{args:?}: {result}"))
        .to_owned()
}

/// No part differs between two backups, and neither has one that the other lacks.
fn same_rows(program: &Program, one: &str, other: &str, prefix: &str) {
    let compared = program.json(&with(&["backup", "diff", one, other]));
    let stores = compared["stores"].as_array().unwrap();
    let parts = stores.iter().flat_map(|s| s["parts"].as_array().unwrap());
    let differ: Vec<String> = parts
        .filter(|p| p["name"].as_str().unwrap().starts_with(prefix))
        .map(|p| format!("{} {}", p["change"], p["name"]))
        .collect();
    assert!(differ.is_empty(), "{prefix}: {differ:?}");
    let store = prefix.split('/').next().unwrap();
    let of_store = stores.iter().find(|s| s["store"] == store).unwrap();
    assert!(of_store["same"].as_u64().unwrap() > 0, "{compared}");
}

/// A dump of a server that is not here is loaded by the oldest that is, and policies keep the roles that no dump holds.
fn older_with_policies(program: &Program, script: &Path) {
    let text = std::fs::read_to_string(script).unwrap();
    let (before, version) = text.split_once("Dumped from database version ").unwrap();
    let (_, after) = version.split_once('\n').unwrap();
    let (body, end) = after
        .rsplit_once("--\n-- PostgreSQL database dump complete")
        .unwrap();
    let policies = "CREATE TABLE public.shared (id integer);\n\n\
        ALTER TABLE public.shared ENABLE ROW LEVEL SECURITY;\n\n\
        CREATE POLICY mine ON public.shared TO \"the clerk\", app_reader USING ((id > 1));\n\n\n";
    let old = program.dir.join("old.sql");
    let text = format!(
        "{before}Dumped from database version 12.22\n{body}{policies}--\n-- PostgreSQL database dump complete{end}"
    );
    std::fs::write(&old, text).unwrap();
    let backup = imported(
        program,
        &[&old.to_string_lossy(), "--as-of", "2026-01-03T03:04:05Z"],
    );
    program.ok(&with(&[
        "backup", "verify", &backup, "--level", "3", "--yes",
    ]));
    let shown = said(&program.ok(&with(&["backup", "show", &backup])));
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "what role `the clerk` may do",
        "what role `app_reader` may do",
        "what PostgreSQL 14, which loaded it, reads otherwise than 12",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn dumps_of_other_tools_become_backups_or_are_refused() {
    let program = Program::start("import");
    program.ok(&with(&["backup", "create", "--yes"]));
    let own = program.backups().remove(0);

    let custom = program.dir.join("app.dump");
    pg_dump(&program, "custom", &custom);
    let file = custom.to_string_lossy().into_owned();
    // An archive knows the clock of its machine and no zone: that is no moment.
    let output = program.call(&with(&["backup", "import", &file, "--yes"]), None);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("The clock of the machine that made it said 20"),
        "{}",
        said(&output)
    );
    let lately = "2026-02-03T04:05:06Z";
    let args = ["backup", "import", &file, "--as-of", lately, "--plan-only"];
    let plan = said(&program.ok(&with(&args)));
    for part in [
        "pg_dump archive of postgres",
        "as of 2026-02-03",
        "in the clear",
        "it becomes the database `app`",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let live = crate::restore::rows(&mut program.postgres().await).await;
    let custom_backup = imported(&program, &[&file, "--as-of", lately]);
    same_rows(&program, &own, &custom_backup, "postgres/app/table/");
    program.ok(&with(&[
        "backup",
        "verify",
        &custom_backup,
        "--level",
        "3",
        "--yes",
    ]));
    let shown = said(&program.ok(&with(&["backup", "show", &custom_backup])));
    for part in [
        "imported",
        "pg_dump archive `app.dump`, sha256:",
        "not carried: of the dump",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    // A folder and a tar file say the same; a script does not say when it was made.
    for format in ["directory", "tar"] {
        let dump = program.dir.join(format!("app.{format}"));
        pg_dump(&program, format, &dump);
        let moment = format!("2026-02-03T04:05:{}Z", 10 + format.len());
        let backup = imported(&program, &[&dump.to_string_lossy(), "--as-of", &moment]);
        same_rows(&program, &own, &backup, "postgres/app/table/");
    }
    let script = program.dir.join("app.sql");
    pg_dump(&program, "plain", &script);
    let file = script.to_string_lossy().into_owned();
    let output = program.call(&with(&["backup", "import", &file, "--yes"]), None);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--as-of"), "{}", said(&output));
    let then = "2026-01-02T03:04:05Z";
    let args = [file.as_str(), "--as-of", then];
    let killed = with(&[&["backup", "import"][..], &args, &["--yes"]].concat());
    assert!(program.killed_at(&killed, "\"unit\":\"items\""));
    program.ok(&["run", "resume"]);
    assert!(program.scratch().is_empty(), "{:?}", program.scratch());
    let old = program.backups().pop().unwrap();
    assert!(old.starts_with("20260102T030405Z-"), "{old}");
    same_rows(&program, &own, &old, "postgres/app/table/");
    assert_ne!(program.backups().remove(0), old, "it is as old as its data");

    older_with_policies(&program, &script);
    refused(&program, &script);

    // Redis and Neo4j.
    let rdb = program.dir.join("dump.rdb");
    let record = program.server("redis");
    done(
        Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &record.port.to_string(), "--rdb"])
            .arg(&rdb)
            .env("REDISCLI_AUTH", program.secret("redis/password")),
    );
    let backup = imported(&program, &[&rdb.to_string_lossy()]);
    same_rows(&program, &own, &backup, "redis/");
    program.ok(&with(&[
        "backup", "verify", &backup, "--level", "3", "--yes",
    ]));
    let (dump, counted) = graph_dump(&program.dir).await;
    assert_eq!(counted, (100, 50));
    let backup = imported(&program, &[&dump.to_string_lossy(), "--as-of", then]);
    let shown = program
        .json(&with(&["backup", "show", &backup]))
        .to_string();
    assert!(shown.contains("neo4j-admin dump"), "{shown}");
    program.ok(&with(&[
        "backup", "verify", &backup, "--level", "3", "--yes",
    ]));
    broken(&program, &[&custom, &rdb, &dump]);

    // Into the live stores: of what was there since, nothing is left; of what was dumped, nothing lacks.
    loses_rows(&program).await;
    let restore = ["restore", &custom_backup, "--confirm", "sandbox"];
    program.ok(&with(&restore));
    let back = crate::restore::rows(&mut program.postgres().await).await;
    crate::restore::same(&live, &back);
    program.ok(&with(&["restore", &backup, "--confirm", "sandbox"]));
    assert_eq!(graph_counts(&program).await, counted);
}

/// Takes a table with all that refers to it away, and puts another one there.
async fn loses_rows(program: &Program) {
    let mut session = program.postgres().await;
    for sql in [
        "DROP TABLE attachments CASCADE",
        "CREATE TABLE since (id integer PRIMARY KEY)",
        "INSERT INTO since VALUES (1)",
        "GRANT SELECT ON since TO PUBLIC",
    ] {
        let done = sqlx::query(sql).execute(&mut session).await;
        done.unwrap();
    }
}

/// How many nodes and relationships the sandbox holds, without the mark that tells it from others.
async fn graph_counts(program: &Program) -> (i64, i64) {
    let uri = format!("bolt://127.0.0.1:{}", program.server("neo4j").port);
    let secret = program.secret("neo4j/password");
    counts(&neo4rs::Graph::new(uri, "neo4j", secret).unwrap()).await
}

async fn counts(graph: &neo4rs::Graph) -> (i64, i64) {
    let of = async |text: &str| {
        let mut rows = graph.execute(neo4rs::query(text)).await.unwrap();
        let row = rows.next().await.unwrap().unwrap();
        row.get::<i64>("found").unwrap()
    };
    (
        of("MATCH (n) WHERE NOT n:__SummitctlMarker RETURN count(n) AS found").await,
        of("MATCH ()-[r]->() RETURN count(r) AS found").await,
    )
}

/// What lost its second half, or has one other bit in its middle, becomes no backup, and nothing is left of the attempt.
fn broken(program: &Program, dumps: &[&Path]) {
    let before = program.backups();
    let folder = program.dir.join("broken");
    std::fs::create_dir(&folder).unwrap();
    for dump in dumps {
        let whole = std::fs::read(dump).unwrap();
        let middle = whole.len() / 2;
        let mut flipped = whole.clone();
        flipped[middle] ^= 1;
        for (what, bytes) in [("half", &whole[..middle]), ("flipped", &flipped)] {
            let file = folder.join(dump.file_name().unwrap());
            std::fs::write(&file, bytes).unwrap();
            let file = file.to_string_lossy().into_owned();
            let output = tried(program, &file, "2026-01-05T00:00:00Z");
            let said = said(&output);
            println!("{file}, {what}: {said}");
            assert!(
                matches!(output.status.code(), Some(1 | 2 | 6)),
                "{file}, {what}: {said}"
            );
            assert!(said.contains(&file), "{file}, {what}: {said}");
            program.call(&["run", "abort"], None);
        }
    }
    assert_eq!(program.backups(), before);
    assert!(program.scratch().is_empty(), "{:?}", program.scratch());
}

/// What would run programs, and what is not whole.
fn refused(program: &Program, script: &Path) {
    let whole = std::fs::read_to_string(script).unwrap();
    let witness = program.dir.join("witness");
    let evil = format!("\\! touch {}\n", witness.display());
    let before = program.backups();
    for (name, text, part) in [
        ("evil", format!("{whole}{evil}"), "the `psql` command `\\!`"),
        (
            "program",
            format!(
                "{whole}COPY accounts TO PROGRAM 'touch {}';\n",
                witness.display()
            ),
            "pg_execute_server_program",
        ),
        ("cut", whole[..whole.len() / 2].to_owned(), "line "),
        (
            "unfinished",
            whole.replace("-- PostgreSQL database dump complete", "--"),
            "`pg_dump` did not finish it",
        ),
        (
            "roles",
            format!("CREATE ROLE boss SUPERUSER;\n{whole}"),
            "roles",
        ),
        ("nothing", "neither this nor that".to_owned(), "has no end"),
        (
            "late",
            "CREATE TABLE t (n int);\nCREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;\n".to_owned(),
            "after other objects",
        ),
    ] {
        let file = program.dir.join(format!("{name}.sql"));
        std::fs::write(&file, text).unwrap();
        let file = file.to_string_lossy().into_owned();
        let output = tried(program, &file, "2026-01-01T00:00:00Z");
        assert_ne!(output.status.code(), Some(0), "{name}: {}", said(&output));
        assert!(said(&output).contains(part), "{name}: {}", said(&output));
        program.call(&["run", "abort"], None);
    }
    assert_eq!(program.backups(), before);
    // The database's owner may set what every session begins with; the administrator's do not.
    let trap = format!(
        "CREATE SCHEMA evil;
         CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN
             EXECUTE $c$COPY (SELECT 1) TO PROGRAM 'touch {}'$c$; RETURN pg_catalog.current_setting($1); END $f$;
         DO $d$ BEGIN EXECUTE 'ALTER DATABASE app SET search_path = evil, pg_catalog'; END $d$;",
        witness.display()
    );
    let file = program.dir.join("trap.sql");
    std::fs::write(&file, trap).unwrap();
    imported(
        program,
        &[&file.to_string_lossy(), "--as-of", "2026-03-01T00:00:00Z"],
    );
    assert!(!witness.exists(), "a dump ran a program");
    assert!(program.scratch().is_empty(), "{:?}", program.scratch());
    let noise = program.dir.join("noise");
    std::fs::write(&noise, "noise").unwrap();
    let output = program.call(
        &with(&["backup", "import", &noise.to_string_lossy(), "--yes"]),
        None,
    );
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

/// A small graph as `neo4j-admin database dump` writes it, and how many nodes and relationships it has.
async fn graph_dump(folder: &Path) -> (std::path::PathBuf, (i64, i64)) {
    let dir = folder.join("graph");
    let size = graph::Options::default();
    let running = graph::start(&dir, &size).await.unwrap();
    let connected = neo4rs::Graph::new(
        running.uri(),
        running.user.as_str(),
        running.password.expose(),
    )
    .unwrap();
    let make =
        "UNWIND range(1, 50) AS n CREATE (a:Thing {n: n})-[:NEXT]->(:Other {at: datetime()})";
    connected.run(neo4rs::query(make)).await.unwrap();
    let counted = counts(&connected).await;
    graph::stop(&dir).await.unwrap();
    let offline = graph::offline(&dir, &size).await.unwrap();
    let into = offline.folder("out").unwrap();
    let mut to = std::ffi::OsString::from("--to-path=");
    to.push(&into);
    let words = ["database", "dump", "neo4j"];
    let mut words: Vec<std::ffi::OsString> = words.map(Into::into).into();
    words.push(to);
    offline.admin(&into, &words).await.unwrap();
    (into.join("neo4j.dump"), counted)
}
