//! A backup in the clear: each file is what its index says and what the databases' own tools read, and an export that was killed
//! leaves nothing behind that nobody knows of.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::{Program, files, said};

/// A table that COPY's text format carries.
const TABLES: &str = r"SET ROLE operator;
    CREATE TABLE kinds (id int PRIMARY KEY, what regtype, words text);
    INSERT INTO kinds VALUES (1, 'int4', E'\\\\\t\b\f\v\r\n\\\\.'), (2, NULL, NULL), (3, 'text', E'\\\\N')";

/// So many rows that a kill meets their writing.
const MORE: &str = "SET ROLE operator; CREATE TABLE many AS SELECT n, md5(n::text) AS word FROM generate_series(1, 400000) AS n";

/// What all keys of a database hold, however it is encoded.
const DIGEST: &str = "local all = redis.call('KEYS', '*')
    table.sort(all)
    local digest, counted = '', 0
    for _, key in ipairs(all) do
        if string.sub(key, 1, 10) ~= 'summitctl:' then
            local kind = redis.call('TYPE', key).ok
            local value
            if kind == 'string' then value = {redis.call('GET', key)}
            elseif kind == 'hash' then
                value = redis.call('HKEYS', key)
                table.sort(value)
                for i, field in ipairs(value) do value[i] = field .. '=' .. redis.call('HGET', key, field) end
            elseif kind == 'set' then value = redis.call('SMEMBERS', key) table.sort(value)
            elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
            elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
            else value = {cjson.encode(redis.call('XRANGE', key, '-', '+'))} end
            digest = redis.sha1hex(digest .. key .. redis.call('PEXPIRETIME', key) .. table.concat(value, '|'))
            counted = counted + 1
        end
    end
    return counted .. ' ' .. digest";

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_read_by_stock_tools_and_a_killed_one_leaves_nothing_unknown() {
    let program = Program::start("export");
    let mut session = program.postgres().await;
    for statements in [TABLES, MORE] {
        sqlx::raw_sql(statements)
            .execute(&mut session)
            .await
            .unwrap();
    }
    program.ok(&["backup", "create", "--yes", "--context", "sandbox"]);

    killed_it_is_taken_back_or_finished(&program);

    let folder = program.dir.join("exported");
    program.ok(&export("exported"));
    let index = whole(&folder);
    assert_eq!(index["backup"], program.backups()[0].as_str());
    postgres_reads_it(&program, &folder, &index);
    redis_and_neo4j_are_loaded_by_the_scripts(&program, &folder, &index).await;
}

fn export(folder: &str) -> [&str; 7] {
    [
        "backup",
        "export",
        "newest",
        folder,
        "--yes",
        "--context",
        "sandbox",
    ]
}

/// The index of an export of which every file is there, is what the index says, and is its owner's alone.
fn whole(folder: &Path) -> Value {
    let index: Value =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["version"], 1);
    let mut sums = String::new();
    let mut expected = BTreeSet::from([folder.join("README.txt"), folder.join("index.json")]);
    for entry in index["files"].as_array().unwrap() {
        let path = folder.join(entry["file"].as_str().unwrap());
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!(found.len(), entry["bytes"].as_u64().unwrap(), "{entry}");
        let sum = entry["sha256"].as_str().unwrap();
        sums.push_str(&format!("{sum}  {}\n", path.display()));
        expected.insert(path);
    }
    let list = folder.with_file_name("SHA256SUMS");
    std::fs::write(&list, sums).unwrap();
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet"])
        .arg(&list)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", said(&checked));

    let mut found = Vec::new();
    files(folder, &mut found);
    assert_eq!(BTreeSet::from_iter(found), expected);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in &expected {
        assert_eq!(mode(path), 0o600, "{}", path.display());
        assert_eq!(mode(path.parent().unwrap()), 0o700, "{}", path.display());
    }
    let entries = index["files"].as_array().unwrap().iter();
    let stores: BTreeSet<_> = entries.map(|e| e["store"].as_str().unwrap()).collect();
    assert_eq!(Vec::from_iter(stores), ["neo4j", "postgres", "redis"]);
    index
}

/// The entry of a part.
fn entry<'a>(index: &'a Value, part: &str) -> &'a Value {
    let mut entries = index["files"].as_array().unwrap().iter();
    let found = entries.find(|entry| entry["part"] == part);
    found.unwrap_or_else(|| panic!("no part {part}: {index}"))
}

/// Runs a script where the stock tools find the sandbox's servers.
fn bash(program: &Program, vars: &[(&str, &Path)], script: &str) -> Output {
    let postgres = program.server("postgres");
    let mut command = Command::new("bash");
    command
        .args(["-e", "-o", "pipefail", "-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", postgres.port.to_string())
        .env("PGUSER", &postgres.user)
        .env("PGPASSWORD", program.secret("postgres/password"))
        .env("PGDATABASE", "app")
        .env("REDISCLI_AUTH", program.secret("redis/password"))
        .env("REDIS_PORT", program.server("redis").port.to_string())
        .stdin(Stdio::null());
    for (name, path) in vars {
        command.env(name, path);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{script}: {}", said(&done));
    done
}

fn postgres_reads_it(program: &Program, folder: &Path, index: &Value) {
    let schema = folder.join(
        entry(index, "postgres/app/schema")["file"]
            .as_str()
            .unwrap(),
    );
    let listed = bash(
        program,
        &[("SCHEMA", &schema)],
        "pg_restore --list \"$SCHEMA\"",
    );
    let listed = said(&listed);
    assert!(listed.contains(" TABLE public accounts "), "{listed}");

    for (table, format, option) in [
        ("accounts", "pg-copy-binary", "binary"),
        ("documents", "pg-copy-binary", "binary"),
        ("kinds", "pg-copy-text", "text"),
    ] {
        let entry = entry(index, &format!("postgres/app/table/public.{table}"));
        assert_eq!(entry["format"], format, "{table}");
        let columns = entry["meta"]["columns"].as_array().unwrap().iter();
        let columns: Vec<_> = columns
            .map(|c| format!("\"{}\"", c.as_str().unwrap()))
            .collect();
        let columns = columns.join(", ");
        let rows = folder.join(entry["file"].as_str().unwrap());
        let script = format!(
            "psql -qXv ON_ERROR_STOP=1 -c 'CREATE TABLE loaded (LIKE public.{table})' \
             -c 'COPY loaded ({columns}) FROM STDIN WITH (FORMAT {option})' < \"$ROWS\"
             psql -qXAtv ON_ERROR_STOP=1 -c 'SELECT count(*) FROM loaded' \
             -c 'SELECT count(*) FROM ((SELECT ROW({columns})::text FROM loaded) EXCEPT ALL (SELECT ROW({columns})::text FROM public.{table})) AS more' \
             -c 'DROP TABLE loaded'"
        );
        let counted = said(&bash(program, &[("ROWS", &rows)], &script));
        assert_eq!(counted, format!("{}\n0\n", entry["rows"]), "{table}");
    }
}

/// As the page says.
async fn redis_and_neo4j_are_loaded_by_the_scripts(
    program: &Program,
    folder: &Path,
    index: &Value,
) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut blocks = page.split("```sh\n").skip(1);
    let block = blocks.find_map(|text| {
        let block = text.split("```").next()?;
        block.contains("EXPORT").then_some(block)
    });
    let block = block.unwrap();
    let out = program.dir.join("from-export");
    std::fs::create_dir(&out).unwrap();
    bash(program, &[("EXPORT", folder), ("OUT", &out)], block);

    let before: String = program.redis(&["EVAL", DIGEST, "0"]).await;
    let keys = entry(index, "redis/0/keys")["meta"]["keys"]
        .as_u64()
        .unwrap();
    assert!(before.starts_with(&format!("{keys} ")), "{before}");
    let loaded = bash(
        program,
        &[("OUT", &out)],
        "redis-cli -p $REDIS_PORT FLUSHALL; docs/recover/redis.sh | redis-cli -p $REDIS_PORT --pipe",
    );
    assert!(said(&loaded).contains("errors: 0"), "{}", said(&loaded));
    let after: String = program.redis(&["EVAL", DIGEST, "0"]).await;
    assert_eq!(after, before);

    let cypher = bash(program, &[("OUT", &out)], "docs/recover/neo4j.sh");
    let cypher = String::from_utf8(cypher.stdout).unwrap();
    for (part, row) in [("nodes", "{id: "), ("relationships", "{a: ")] {
        let rows = &entry(index, &format!("neo4j/neo4j/{part}"))["rows"];
        let written = cypher
            .lines()
            .filter(|line| line.starts_with("UNWIND "))
            .map(|line| line.matches(row).count())
            .sum::<usize>();
        assert_eq!(written as u64, rows.as_u64().unwrap(), "{part}");
    }
}

/// What lies about in the clear, or under the name of an export that is not whole.
fn unfinished(program: &Program) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(&program.dir).unwrap().flatten();
    let named = |path: &PathBuf| path.to_string_lossy().ends_with(".unfinished-export");
    entries.map(|entry| entry.path()).filter(named).collect()
}

/// Killed in the middle: an abort wipes what is there; a resumed run is whole; and so is one that had ended, but not said so.
fn killed_it_is_taken_back_or_finished(program: &Program) {
    let folder = program.dir.join("killed");
    let work = program.dir.join(".killed.unfinished-export");
    let old = work.join("from-before");
    let in_the_middle = |args: &[&str]| {
        let killed = program.killed_when(args, |_| {
            let mut found = Vec::new();
            files(&work, &mut found);
            found.len() >= 2 && !old.exists()
        });
        assert!(killed, "it ended before");
        assert_eq!(unfinished(program), std::slice::from_ref(&work));
        assert!(!folder.exists());
        let mut found = Vec::new();
        files(&work, &mut found);
        assert!(!found.is_empty() && !work.join("index.json").exists());
        let open = program.open_runs();
        assert_eq!(open.len(), 1);
        open[0].clone()
    };

    let run = in_the_middle(&export("killed"));
    program.ok(&["run", "abort", &run]);
    assert_eq!(unfinished(program), Vec::<PathBuf>::new());
    assert!(!folder.exists());

    let run = in_the_middle(&export("killed"));
    // What is there gives way to what is written anew.
    std::fs::write(&old, "").unwrap();
    assert_eq!(in_the_middle(&["run", "resume", &run]), run);
    program.ok(&["run", "resume", &run]);
    assert_eq!(unfinished(program), Vec::<PathBuf>::new());
    whole(&folder);

    // It has its name, and the journal does not say so.
    std::fs::remove_dir_all(&folder).unwrap();
    for (end, there) in [("resume", true), ("abort", false)] {
        let output = program.call(&export("killed"), Some("before:2"));
        assert_eq!(output.status.code(), None, "{}", said(&output));
        whole(&folder);
        let run = program.open_runs().remove(0);
        program.ok(&["run", end, &run]);
        assert_eq!(unfinished(program), Vec::<PathBuf>::new());
        assert_eq!(folder.exists(), there, "{end}");
        if there {
            whole(&folder);
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }
}
