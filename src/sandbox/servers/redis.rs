//! A throw-away Redis on loopback: the `redis-server` from `PATH`, a generated password, a folder of its own.
//!
//! The folder holds `redis.conf` (mode 0600, because the password is in it) and `data/`, beside what every server's
//! folder holds. A process that was started but not recorded is found again by its working directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable::write_private;
use crate::error::{Context as _, Error, Result};
use crate::providers::redis::{Target, ping};
use crate::secret::Secret;
use crate::wait::{Deadline, Look, poll};

use super::{
    NOT_OURS, Process, RECORD, Record, START_FAILED, free_port, log_tail, make_dir, password,
    program, spawn_detached,
};

const KIND: &str = "redis";

/// How long a start may take: loading an append-only file included.
const START: Duration = Duration::from_secs(60);

/// How long a stop may take before SIGKILL.
const STOP: Duration = Duration::from_secs(10);

/// How often another port is tried if somebody took ours first.
const PORTS: usize = 5;

/// Whether the data outlive the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persistence {
    /// An append-only file, as production queues have it.
    #[default]
    AppendOnly,
    /// Nothing on disk: for scratch servers.
    None,
}

/// How to start it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether the data outlive the process.
    pub persistence: Persistence,
    /// Further lines of redis.conf as name and value, such as `("databases", "32")`.
    pub settings: Vec<(String, String)>,
    /// The server program, instead of the one on the PATH.
    pub program: Option<PathBuf>,
    /// A snapshot file with which it begins.
    pub load: Option<PathBuf>,
    /// How long the start may take: loading included.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            persistence: Persistence::default(),
            settings: Vec::new(),
            program: None,
            load: None,
            patience: START,
        }
    }
}

impl Options {
    /// A scratch server, without persistence.
    pub fn scratch() -> Self {
        Options {
            persistence: Persistence::None,
            ..Options::default()
        }
    }
}

/// A server that answered.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its folder.
    pub dir: PathBuf,
    /// Its loopback port.
    pub port: u16,
    /// Its user: always `default`.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The process.
    pub process: Process,
}

impl Running {
    /// Where the provider finds it.
    pub fn target(&self) -> Target {
        Target::new("127.0.0.1", self.port, Some(self.password.clone()))
    }
}

/// Starts the server of `dir`: initialises an empty folder, starts a stopped server on its old port, adopts a running
/// one. Calling it twice is a no-op.
///
/// # Errors
/// `sandbox.missing-program`, `sandbox.not-ours`, and `sandbox.start-failed` with the end of the log.
pub async fn start(dir: &Path, options: &Options) -> Result<Running> {
    let binary = match &options.program {
        Some(given) => given.clone(),
        None => program(&["redis-server", "valkey-server"], &[], "redis-server")?,
    };
    make_dir(dir, 0o700)?;
    let dir = dir
        .canonicalize()
        .map_err(|e| Error::io("resolve", dir, e))?;
    let mut record = match ours(&dir)? {
        Some(record) => record,
        None => {
            let record = Record::new(KIND, free_port()?, "default");
            record.save(&dir)?;
            record
        }
    };
    let password = password(&dir)?;
    if let Some(process) = running(&dir, &record) {
        record.process = Some(process);
        record.save(&dir)?;
        ready(&dir, &record, &password, options.patience).await?;
        return finished(dir, record, password);
    }
    make_dir(&dir.join("data"), 0o700)?;
    if let Some(file) = &options.load {
        let into = dir.join("data/dump.rdb");
        fs::copy(file, &into).map_err(|e| Error::io("copy the snapshot to", &into, e))?;
    }
    let mut attempts = 0;
    loop {
        attempts += 1;
        write_private(
            &dir.join("redis.conf"),
            config(&dir, &record, &password, options).as_bytes(),
        )?;
        let mut command = std::process::Command::new(&binary);
        command
            .arg(dir.join("redis.conf"))
            .current_dir(dir.join("data"));
        record.process = Some(spawn_detached(&dir, &mut command)?);
        record.save(&dir)?;
        match ready(&dir, &record, &password, options.patience).await {
            Ok(()) => return finished(dir, record, password),
            Err(_) if attempts < PORTS && !record.alive() && port_was_taken(&dir) => {
                record.port = free_port()?;
            }
            Err(e) => {
                stop(&dir).await?;
                return Err(e);
            }
        }
    }
}

/// Ends the server of `dir`, if it is ours and runs. Its data stay.
pub async fn stop(dir: &Path) -> Result<()> {
    let Some(mut record) = ours(dir)? else {
        return Ok(());
    };
    if let Some(process) = running(dir, &record) {
        // SIGTERM lets Redis write out and sync its append-only file.
        process.end(rustix::process::Signal::TERM, STOP).await?;
    }
    record.process = None;
    record.save(dir)
}

/// The folder's record; `None` for an empty folder; an error for somebody else's.
fn ours(dir: &Path) -> Result<Option<Record>> {
    if let Some(record) = Record::load(dir)? {
        if record.kind != KIND {
            return Err(Error::new(
                &NOT_OURS,
                format!("`{}` belongs to a `{}` server", dir.display(), record.kind),
            ));
        }
        return Ok(Some(record));
    }
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(None);
    };
    // What a start leaves that died while it wrote the record.
    let half_written = |name: &str| name.starts_with("server.tmp");
    let foreign = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| !half_written(name));
    match foreign {
        None => Ok(None),
        Some(name) => Err(Error::new(
            &NOT_OURS,
            format!("`{}` holds `{name}` but no `{RECORD}`", dir.display()),
        )),
    }
}

/// The server's process: the recorded one, or one that was started and never recorded.
fn running(dir: &Path, record: &Record) -> Option<Process> {
    if let Some(process) = record.process.clone().filter(Process::alive) {
        return Some(process);
    }
    let data = dir.join("data").canonicalize().ok()?;
    let endpoint = format!("127.0.0.1:{}", record.port);
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let proc = entry.path();
        let inside = fs::read_link(proc.join("cwd")).ok()? == data;
        let name = fs::read_to_string(proc.join("comm")).ok()?;
        // Started through a loader or a wrapper, it is known by the title it gives itself.
        let title = fs::read(proc.join("cmdline")).ok()?;
        let titled = String::from_utf8_lossy(&title).contains(&endpoint);
        (inside && (name.trim_end().ends_with("-server") || titled)).then_some(pid)
    });
    // A rewrite's child is younger than its server.
    pids.filter_map(Process::of)
        .min_by_key(|process| process.start_ticks)
}

fn config(dir: &Path, record: &Record, password: &Secret, options: &Options) -> String {
    let data = dir.join("data");
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let append = match options.persistence {
        Persistence::AppendOnly => "yes",
        Persistence::None => "no",
    };
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        "protected-mode yes".to_owned(),
        format!("port {}", record.port),
        format!("dir {}", quoted(&data.to_string_lossy())),
        format!("requirepass {}", quoted(password.expose())),
        "daemonize no".to_owned(),
        "save \"\"".to_owned(),
        // There are no replicas to wait for: a capture begins at once.
        "repl-diskless-sync-delay 0".to_owned(),
        format!("appendonly {append}"),
    ];
    for (name, value) in &options.settings {
        lines.push(format!("{name} {}", quoted(value)));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Waits for an authenticated PING.
async fn ready(dir: &Path, record: &Record, password: &Secret, patience: Duration) -> Result<()> {
    let target = Target::new("127.0.0.1", record.port, Some(password.clone()));
    let waited = poll(
        "the start of Redis",
        Deadline::after(patience),
        Duration::from_millis(50),
        async || {
            if !record.alive() {
                return Err(Error::new(
                    &START_FAILED,
                    "`redis-server` ended during its start",
                ));
            }
            Ok(
                match ping(&target, Deadline::after(Duration::from_secs(2))).await {
                    Ok(_) => Look::Ready(()),
                    Err(e) => Look::NotYet(e.one_line()),
                },
            )
        },
    );
    waited.await.map_err(|e| {
        let tail = log_tail(dir, 10);
        Error::new(
            &START_FAILED,
            format!(
                "Redis in `{}` did not start; its log ends with:\n{tail}",
                dir.display()
            ),
        )
        .caused_by(e)
    })
}

fn port_was_taken(dir: &Path) -> bool {
    log_tail(dir, 6).contains("Address already in use")
}

fn finished(dir: PathBuf, record: Record, password: Secret) -> Result<Running> {
    let process = record
        .process
        .ok_or_else(|| Error::bug("a started server has no process"))
        .context(|| "starting Redis".to_owned())?;
    Ok(Running {
        dir,
        port: record.port,
        user: record.user,
        password,
        process,
    })
}
