//! The program as its user runs it, on a sandbox in a folder of its own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::Connection as _;

use summitctl::sandbox::servers::Record;

use crate::memory::watched;

/// Where a test makes the program die: see `CrashPoint`.
const CRASH: &str = "SUMMITCTL_TEST_CRASH";
/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The sandbox's folder and the program that works on it.
pub struct Program {
    pub dir: PathBuf,
    seen: RefCell<String>,
}

/// Looks at every process of the machine again and again, for the sandbox's secrets.
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Watched>,
}

/// What was seen of other processes.
#[derive(Default)]
pub struct Watched {
    /// Names of all programs that ran.
    pub programs: BTreeSet<String>,
    /// Where a secret was seen.
    pub leaks: BTreeSet<String>,
}

/// Runs a command that must succeed. The most memory that it ever had, in MiB.
pub fn memory(mut command: Command) -> u64 {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (code, most) = watched(&mut child);
    assert!(code.success(), "{command:?}");
    println!("{most} MiB for {:?}", command.get_args());
    most
}

impl Program {
    /// Brings a sandbox up in a new folder.
    pub fn start(name: &str) -> Self {
        let program = Program::bare(name);
        program.ok(&["sandbox", "up"]);
        program
    }

    /// The program in a new folder, without a sandbox.
    pub fn bare(name: &str) -> Self {
        let mut bytes = [0_u8; 5];
        getrandom::fill(&mut bytes).unwrap();
        let tag: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let dir = std::env::temp_dir().join(format!("summitctl-{name}-{tag}"));
        std::fs::create_dir_all(&dir).unwrap();
        Program {
            dir,
            seen: RefCell::default(),
        }
    }

    /// Begins to look at the machine's processes. That takes a tenth of a processor, so not every test does.
    pub fn watch(&self) -> Watch {
        let (stop, stopped) = channel();
        let dir = self.dir.clone();
        let thread = std::thread::spawn(move || {
            let mut watched = Watched::default();
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                watched.look(&dir);
            }
            watched
        });
        Watch { stop, thread }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_summitctl"));
        command
            .args(args)
            .env("SUMMITCTL_STATE_DIR", &self.dir)
            .env_remove(CRASH)
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    /// The program's command, run by another one.
    pub fn command_in(&self, outer: &[&str], args: &[&str]) -> Command {
        let inner = self.command(args);
        let mut command = Command::new(outer[0]);
        command.args(&outer[1..]).arg(inner.get_program());
        command.args(inner.get_args()).stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(&self.dir);
        command
    }

    /// Runs a command to its end, killed at a boundary of its journal if one is given.
    pub fn call(&self, args: &[&str], crash: Option<&str>) -> Output {
        let mut command = self.command(args);
        if let Some(crash) = crash {
            command.env(CRASH, crash);
        }
        self.keep(command.output().unwrap())
    }

    /// Remembers what was printed.
    pub fn keep(&self, output: Output) -> Output {
        self.seen.borrow_mut().push_str(&said(&output));
        output
    }

    /// Everything that was printed so far.
    pub fn printed(&self) -> String {
        self.seen.borrow().clone()
    }

    pub fn code(&self, args: &[&str]) -> i32 {
        self.call(args, None).status.code().unwrap_or(-1)
    }

    pub fn ok(&self, args: &[&str]) -> Output {
        let output = self.call(args, None);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        output
    }

    /// The `result` of a command's JSON document.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.call(&[args, &["--output", "json"]].concat(), None);
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", said(&output)));
        document["result"].clone()
    }

    /// Runs a command and kills it as soon as one of its events holds `needle`; false if it ended before.
    pub fn killed_at(&self, args: &[&str], needle: &str) -> bool {
        self.killed_when(args, |events| events.contains(needle))
    }

    /// Runs a command and kills it as soon as its events, or the world, are so; false if it ended before.
    pub fn killed_when(&self, args: &[&str], ready: impl Fn(&str) -> bool) -> bool {
        let output = self.when(args, ready, |child| child.kill().unwrap());
        output.status.code().is_none()
    }

    /// Runs a command and does something to it, or to the world, as soon as its events, or the world, are so.
    pub fn when(
        &self,
        args: &[&str],
        ready: impl Fn(&str) -> bool,
        act: impl FnOnce(&mut std::process::Child),
    ) -> Output {
        let events = self.dir.join("events.ndjson");
        let _ = std::fs::remove_file(&events);
        let path = events.to_string_lossy().into_owned();
        let mut child = self
            .command(&[args, &["--events", &path]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let heard = std::fs::read_to_string(&events).unwrap_or_default();
            if ready(&heard) {
                act(&mut child);
                break;
            }
            if child.try_wait().unwrap().is_some() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{args:?}: it never came to it: {heard}"
            );
            std::thread::park_timeout(Duration::from_millis(3));
        }
        self.keep(child.wait_with_output().unwrap())
    }

    /// The folders of scratch servers.
    pub fn scratch(&self) -> Vec<PathBuf> {
        let found = std::fs::read_dir(self.dir.join("scratch"));
        let entries = found.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Whether a scratch server of this kind runs.
    pub fn scratch_runs(&self, kind: &str) -> bool {
        let records = self.scratch();
        let mut records = records.iter().filter_map(|dir| Record::load(dir).ok()?);
        records.any(|record| record.kind == kind && record.alive())
    }

    pub fn secret(&self, path: &str) -> String {
        std::fs::read_to_string(self.dir.join("sandbox").join(path))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// What was started as a part of the sandbox.
    pub fn server(&self, part: &str) -> Record {
        Record::load(&self.dir.join("sandbox").join(part))
            .unwrap()
            .unwrap()
    }

    /// The practice database, as its owner.
    pub async fn postgres(&self) -> sqlx::PgConnection {
        self.database("app").await
    }

    /// A database beside it.
    pub async fn database(&self, name: &str) -> sqlx::PgConnection {
        let record = self.server("postgres");
        let url = format!(
            "postgres://{}:{}@127.0.0.1:{}/{name}",
            record.user,
            self.secret("postgres/password"),
            record.port
        );
        sqlx::PgConnection::connect(&url).await.unwrap()
    }

    pub async fn number(&self, sql: &str) -> i64 {
        let mut session = self.postgres().await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut session)
            .await
            .unwrap()
    }

    /// Answers of Redis, database 0.
    pub async fn redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let url = format!(
            "redis://:{}@127.0.0.1:{}/0",
            self.secret("redis/password"),
            self.server("redis").port
        );
        let client = redis::Client::open(url).unwrap();
        let patient = patient();
        let connection = client.get_multiplexed_async_connection_with_config(&patient);
        let mut connection = connection.await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }

    /// Changes the practice graph.
    pub async fn neo4j(&self, statement: &str) {
        let uri = format!("bolt://127.0.0.1:{}", self.server("neo4j").port);
        let secret = self.secret("neo4j/password");
        let graph = neo4rs::Graph::new(uri, "neo4j", secret).unwrap();
        graph.run(neo4rs::query(statement)).await.unwrap();
    }

    /// The whole lines of a run's journal, without those that only say that another process goes on.
    pub fn records(&self, run: &str) -> Vec<Value> {
        let path = self.dir.join("runs").join(run).join("journal.ndjson");
        let text = std::fs::read_to_string(path).unwrap();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].clone())
            .filter(|record| record["kind"] != "resumed")
            .collect()
    }

    /// The runs of this state, newest first.
    pub fn runs(&self) -> Vec<Value> {
        let listed = self.json(&["run", "list"]);
        listed["runs"].as_array().unwrap().clone()
    }

    /// The ids of the runs that can be resumed, newest first.
    pub fn open_runs(&self) -> Vec<String> {
        self.runs()
            .iter()
            .filter(|run| run["state"] == "resumable")
            .map(|run| run["run"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The ids of the published backups, newest first.
    pub fn backups(&self) -> Vec<String> {
        let listed = self.json(&["backup", "list", "--context", "sandbox"]);
        let all = listed["backups"].as_array().unwrap();
        all.iter()
            .map(|b| b["backup"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A client of Redis that waits: half a second, as it is by default, is not enough for a script, nor for a busy machine.
pub fn patient() -> redis::AsyncConnectionConfig {
    redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(30)))
        .set_response_timeout(Some(Duration::from_secs(60)))
}

impl Drop for Program {
    fn drop(&mut self) {
        let down = ["sandbox", "down", "--purge", "--confirm", "sandbox"];
        let _ = self.call(&down, None);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Watch {
    /// Ends it, and says what was seen.
    pub fn ended(self) -> Watched {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

impl Watched {
    /// Looks at the arguments and the environment of every process that this user may look at.
    fn look(&mut self, dir: &Path) {
        let secrets = secrets(dir);
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let process = entry.path();
            let Ok(name) = std::fs::read_to_string(process.join("comm")) else {
                continue;
            };
            self.programs.insert(name.trim().to_owned());
            for file in ["cmdline", "environ"] {
                let bytes = std::fs::read(process.join(file)).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes);
                if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                    self.leaks.insert(format!("{} of `{}`", file, name.trim()));
                }
            }
        }
    }
}

/// What no output, file or process may show: the sandbox's passwords and keys, and those of scratch servers.
pub fn secrets(dir: &Path) -> Vec<String> {
    let mut paths = vec![
        dir.join("sandbox/postgres/password"),
        dir.join("sandbox/redis/password"),
        dir.join("sandbox/neo4j/password"),
        dir.join("sandbox/keys/repository-secret"),
    ];
    for folder in ["sandbox/secrets", "scratch"] {
        let found = std::fs::read_dir(dir.join(folder)).into_iter().flatten();
        paths.extend(found.flatten().map(|entry| entry.path().join("password")));
    }
    paths
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| text.len() >= 8)
        .collect()
}

/// Both streams of a process.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Every file below a folder.
pub fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}
