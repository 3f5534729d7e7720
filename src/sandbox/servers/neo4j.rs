//! A throw-away Neo4j 5 Community server: real jars, one loopback Bolt port, a generated password, one folder.
//!
//! Jars come from `NEO4J_HOME` if it is set, else from Maven into a cache ([`prepare`]). The password reaches the server
//! through a file of mode 0600, never through an argument list.

mod install;

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use install::{Install, VERSION, prepare, prepare_if_kept};

use super::{
    NOT_OURS, Process, Record, START_FAILED, free_port, log_tail, make_dir, password,
    spawn_detached,
};
use crate::capture::PartReader;
use crate::error::{Error, Result};
use crate::providers::neo4j::{self as provider, Target, Tls};
use crate::secret::Secret;
use crate::wait::{Deadline, Look, poll};

const LOAD: [&str; 3] = ["database", "load", "--overwrite-destination=true"];

const KIND: &str = "neo4j";
const USER: &str = "neo4j";

/// A cold start on two busy cores was seen to take 17 s.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Somebody else may take a free port before the server does.
const PORT_ATTEMPTS: usize = 3;

/// How big the server is.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Java heap in MiB.
    pub heap_mib: u32,
    /// Page cache in MiB.
    pub page_cache_mib: u32,
    /// What all transactions together may hold, in MiB; the server's own share of the heap if absent.
    pub transaction_memory_mib: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            heap_mib: 512,
            page_cache_mib: 64,
            transaction_memory_mib: None,
        }
    }
}

/// A server that answers.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its folder.
    pub dir: PathBuf,
    /// Its loopback Bolt port.
    pub port: u16,
    /// Its administrator: `neo4j`.
    pub user: String,
    /// The administrator's password.
    pub password: Secret,
    /// Its process.
    pub process: Process,
}

impl Running {
    /// `bolt://127.0.0.1:PORT`.
    pub fn uri(&self) -> String {
        format!("bolt://127.0.0.1:{}", self.port)
    }

    /// The server as the provider addresses it.
    pub fn target(&self) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            tls: Tls::Off,
            user: self.user.clone(),
            password: Some(self.password.clone()),
            database: None,
        }
    }
}

/// Starts the server of `dir`: makes a new one in an empty folder, starts a stopped or killed one, adopts a running one.
/// A second call is a no-op. Returns once an authenticated `RETURN 1` was answered.
pub async fn start(dir: &Path, options: &Options) -> Result<Running> {
    let Claimed {
        dir,
        mut record,
        _lock,
    } = claim(dir).await?;
    let dir = dir.as_path();
    let secret = password(dir)?;
    if let Some(process) = record.process.clone() {
        return ready(dir, &record, process, secret).await;
    }
    let installed = install::find_or_fetch().await?;
    let mut attempt = 1;
    loop {
        match launch(dir, &mut record, &installed, options, &secret).await {
            Err(error) if attempt < PORT_ATTEMPTS && port_was_taken(dir) => {
                attempt += 1;
                record.port = free_port()?;
                drop(error);
            }
            other => return other,
        }
    }
}

/// A server's folder, ours alone until it is dropped.
struct Claimed {
    dir: PathBuf,
    record: Record,
    _lock: fs::File,
}

/// Takes a folder: an empty one, or one that holds a server of ours. Notices a server that runs in it unrecorded.
async fn claim(dir: &Path) -> Result<Claimed> {
    let fresh = !dir.exists();
    if !fresh && Record::load(dir)?.is_none() && !is_empty(dir)? {
        return Err(Error::new(
            &NOT_OURS,
            format!(
                "`{}` is not empty and holds no sandbox server",
                dir.display()
            ),
        ));
    }
    make_dir(dir, 0o755)?;
    // Absolute, so that a process of this folder is recognised by its arguments.
    let dir = fs::canonicalize(dir).map_err(|e| Error::io("find", dir, e))?;
    let _lock = install::lock(&dir.join("start.lock")).await?;
    let mut record = match Record::load(&dir)? {
        Some(record) if record.kind != KIND => {
            return Err(Error::new(
                &NOT_OURS,
                format!("`{}` holds a `{}` server", dir.display(), record.kind),
            ));
        }
        Some(record) => record,
        None => {
            let record = Record::new(KIND, free_port()?, USER);
            record.save(&dir)?;
            record
        }
    };
    if !record.alive() {
        record.process = orphan(&dir);
        record.save(&dir)?;
    }
    Ok(Claimed { dir, record, _lock })
}

/// A server that does not run, for neo4j-admin to work on.
pub struct Offline {
    claimed: Claimed,
    installed: Install,
    options: Options,
}

/// Takes the folder of a server that does not run, or an empty one, and keeps others from starting it.
pub async fn offline(dir: &Path, options: &Options) -> Result<Offline> {
    let claimed = claim(dir).await?;
    if claimed.record.process.is_some() {
        return Err(Error::new(
            &START_FAILED,
            format!(
                "the Neo4j of `{}` runs; neo4j-admin needs it stopped",
                dir.display()
            ),
        ));
    }
    let installed = install::find_or_fetch().await?;
    write_conf(&claimed.dir, claimed.record.port, options)?;
    Ok(Offline {
        claimed,
        installed,
        options: *options,
    })
}

impl Offline {
    /// A folder beside the server's own, for files that only we may read. It is gone when the server's folder is.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.claimed.dir.join(name);
        make_dir(&folder, 0o700)?;
        Ok(folder)
    }

    /// Runs neo4j-admin in a folder, with these arguments, to its end; an error holds the end of what it said.
    pub async fn admin(&self, folder: &Path, arguments: &[OsString]) -> Result<()> {
        let home = home(&self.claimed.dir);
        self.installed
            .admin(&home, folder, self.options.heap_mib, arguments)
            .await
    }

    /// Loads the dump `DATABASE.dump` of a folder.
    pub async fn load(&self, folder: &Path, database: &str) -> Result<()> {
        let mut from = OsString::from("--from-path=");
        from.push(folder);
        let mut words = LOAD.map(OsString::from).to_vec();
        words.extend([OsString::from(database), from]);
        self.admin(folder, &words).await
    }

    /// Loads a dump as it is read, so that no copy of it is on the disk.
    pub async fn load_from(&self, dump: &mut dyn PartReader, database: &str) -> Result<()> {
        let dir = &self.claimed.dir;
        let mut words = LOAD.map(OsString::from).to_vec();
        words.extend([database, "--from-stdin"].map(OsString::from));
        let heap = self.options.heap_mib;
        let command = self.installed.admin_command(&home(dir), dir, heap, &words);
        let program = "neo4j-admin".to_owned();
        let what = format!("`{program} database load {database}`");
        provider::admin::load(command, &[program], dump, &what).await
    }
}

/// Stops the server of `dir` if it is ours and runs; its data stay. A folder without a server is left alone.
pub async fn stop(dir: &Path) -> Result<()> {
    let Some(mut record) = Record::load(dir)? else {
        return Ok(());
    };
    let dir = &fs::canonicalize(dir).map_err(|e| Error::io("find", dir, e))?;
    if record.kind != KIND {
        return Err(Error::new(
            &NOT_OURS,
            format!("`{}` holds a `{}` server", dir.display(), record.kind),
        ));
    }
    if !record.alive() {
        record.process = orphan(dir);
    }
    if let Some(process) = record.process.take() {
        process
            .end(rustix::process::Signal::TERM, STOP_LIMIT)
            .await?;
    }
    record.save(dir)
}

async fn launch(
    dir: &Path,
    record: &mut Record,
    installed: &Install,
    options: &Options,
    secret: &Secret,
) -> Result<Running> {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, record.port)).is_err() {
        record.port = free_port()?;
    }
    write_conf(dir, record.port, options)?;
    // The log says why *this* start failed, not an earlier one.
    let log = dir.join("server.log");
    fs::write(&log, "").map_err(|e| Error::io("write", &log, e))?;
    record.process = None;
    record.save(dir)?;
    let mut command = std::process::Command::new(&installed.java);
    command
        .args(installed.java_arguments(options.heap_mib))
        .arg(home(dir))
        .arg(dir.join("password"));
    let process = spawn_detached(dir, &mut command)?;
    record.process = Some(process.clone());
    record.save(dir)?;
    ready(dir, record, process, secret.clone()).await
}

fn write_conf(dir: &Path, port: u16, options: &Options) -> Result<()> {
    let home = home(dir);
    make_dir(&home.join("conf"), 0o755)?;
    let conf = home.join("conf/neo4j.conf");
    let text = install::configuration(port, options);
    fs::write(&conf, text).map_err(|e| Error::io("write", &conf, e))
}

/// Waits until the server answers an authenticated query.
async fn ready(dir: &Path, record: &Record, process: Process, secret: Secret) -> Result<Running> {
    let running = Running {
        dir: dir.to_owned(),
        port: record.port,
        user: record.user.clone(),
        password: secret,
        process,
    };
    let answered = poll(
        "the start of Neo4j",
        Deadline::after(START_LIMIT),
        Duration::from_millis(150),
        async || {
            if !running.process.alive() {
                return Err(start_failed(dir, "Neo4j ended while it started"));
            }
            let target = running.target();
            match provider::ping(&target, Deadline::after(Duration::from_secs(10))).await {
                Ok(_) => Ok(Look::Ready(())),
                // The password is ours: a server that refuses it will not accept it later.
                Err(error) if error.reason() == &provider::LOGIN_REFUSED => Err(error),
                Err(error) => Ok(Look::NotYet(error.one_line())),
            }
        },
    )
    .await;
    match answered {
        Ok(()) => Ok(running),
        Err(error) if error.reason() == &START_FAILED => Err(error),
        Err(error) => Err(start_failed(dir, "Neo4j does not answer").caused_by(error)),
    }
}

fn start_failed(dir: &Path, what: &str) -> Error {
    let tail = log_tail(dir, 15);
    let error = Error::new(&START_FAILED, format!("{what}; its log ends with:\n{tail}"));
    if tail.contains("UnsupportedClassVersionError") {
        return error.hint(
            "Neo4j 5 needs Java 17 or 21: set `JAVA_HOME`, or `apt-get install openjdk-17-jdk-headless`.",
        );
    }
    error
}

fn port_was_taken(dir: &Path) -> bool {
    let text = fs::read_to_string(dir.join("server.log")).unwrap_or_default();
    text.contains("Address already in use") || text.contains("BindException")
}

/// A server of this folder that was started and not recorded, because its starter was killed in between.
fn orphan(dir: &Path) -> Option<Process> {
    let home = home(dir);
    let wanted = home.as_os_str().as_encoded_bytes();
    fs::read_dir("/proc").ok()?.find_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut arguments = arguments.split(|b| *b == 0);
        let is_java = arguments.next()?.ends_with(b"java");
        // neo4j-admin names the home in a property.
        let admin = install::HOME_PROPERTY.as_bytes();
        (is_java && arguments.any(|a| a.strip_prefix(admin).unwrap_or(a) == wanted))
            .then(|| Process::of(pid))
            .flatten()
    })
}

fn home(dir: &Path) -> PathBuf {
    dir.join("home")
}

fn is_empty(dir: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(dir).map_err(|e| Error::io("list", dir, e))?;
    // A start that was killed before its record leaves its lock file.
    Ok(entries.all(|entry| entry.is_ok_and(|e| e.file_name() == "start.lock")))
}
