//! A stand-in for the platform that the GA Operator Handbook describes: a gateway with its health contract and a small
//! `/graphql` that really writes to Postgres, Neo4j and a Redis queue, and a page in the place of the UI.
//!
//! It runs as a detached process of this program. Its folder holds what every sandbox server's folder holds, and
//! `platform.json`: ports and the places of the stores. Passwords stay in the stores' own files.

pub mod graphql;
pub mod health;
pub mod schema;
pub mod server;
pub mod stores;

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub use server::Server;
pub use stores::QUEUE;

use super::servers::{
    NOT_OURS, Process, Record, START_FAILED, free_port, log_tail, make_dir, spawn_detached,
};
use crate::durable::write_private;
use crate::error::{Error, Result};
use crate::wait::{Deadline, Look, poll};

const KIND: &str = "platform";
const CONFIG: &str = "platform.json";

/// It binds two ports and opens no connection: anything longer is a failure.
const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(5);
/// Somebody else may take a free port before it is bound.
const PORT_ATTEMPTS: usize = 5;

/// Where a store is, and who the platform is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreAddress {
    /// Loopback port.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Database name.
    pub database: String,
    /// The file that holds the password, relative to the platform's folder.
    pub password_file: PathBuf,
}

/// The three stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Postgres, with the schema of the sandbox.
    pub postgres: StoreAddress,
    /// Neo4j.
    pub neo4j: StoreAddress,
    /// Redis.
    pub redis: StoreAddress,
}

/// `platform.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Format version: 1.
    pub version: u32,
    /// The gateway's loopback port.
    pub gateway_port: u16,
    /// The page's loopback port.
    pub ui_port: u16,
    /// Postgres.
    pub postgres: StoreAddress,
    /// Neo4j.
    pub neo4j: StoreAddress,
    /// Redis.
    pub redis: StoreAddress,
}

impl Config {
    /// Reads `platform.json`.
    pub fn load(dir: &Path) -> Result<Config> {
        let path = dir.join(CONFIG);
        let text = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
        serde_json::from_str(&text)
            .map_err(|e| Error::input(format!("`{}` is not valid", path.display())).caused_by(e))
    }

    fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::bug("a configuration does not serialise").caused_by(e))?;
        write_private(&dir.join(CONFIG), text.as_bytes())
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            postgres: self.postgres.clone(),
            neo4j: self.neo4j.clone(),
            redis: self.redis.clone(),
        }
    }
}

/// How the detached process is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// All of its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
}

impl Launch {
    /// This program, as `summitctl sandbox serve-platform --dir DIR`.
    pub fn this_program(dir: &Path) -> Result<Launch> {
        let program = std::env::current_exe().map_err(|e| Error::io("find", "this program", e))?;
        let arguments = ["sandbox", "serve-platform", "--dir"].map(OsString::from);
        Ok(Launch {
            program,
            arguments: arguments.into_iter().chain([dir.into()]).collect(),
            environment: Vec::new(),
        })
    }
}

/// A stand-in that answers.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its folder.
    pub dir: PathBuf,
    /// The gateway's loopback port.
    pub gateway_port: u16,
    /// The page's loopback port.
    pub ui_port: u16,
    /// Its process.
    pub process: Process,
}

/// Serves the stand-in of `dir` until SIGTERM or SIGINT.
///
/// # Errors
/// A missing or malformed configuration; a port that is taken.
pub async fn serve(dir: &Path) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let config = Config::load(dir)?;
    let server = Server::bind(dir, &config).await?;
    let listen = |kind| signal(kind).map_err(|e| Error::io("listen for", "signals", e));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        () = server.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Starts the stand-in of `dir`, or adopts the one that runs there. One that runs with other addresses is replaced.
///
/// # Errors
/// `sandbox.not-ours`, `sandbox.start-failed` with the end of its log.
pub async fn start(dir: &Path, addresses: &Addresses, launch: &Launch) -> Result<Running> {
    make_dir(dir, 0o700)?;
    let dir = &dir
        .canonicalize()
        .map_err(|e| Error::io("resolve", dir, e))?;
    let mut record = match ours(dir)? {
        Some(record) => record,
        None => {
            let record = Record::new(KIND, free_port()?, "");
            record.save(dir)?;
            record
        }
    };
    let mut config = match Config::load(dir) {
        Ok(config) if config.addresses() == *addresses => {
            if let Some(process) = running(dir, &record) {
                record.process = Some(process.clone());
                record.save(dir)?;
                return ready(dir, &config, process).await;
            }
            config
        }
        old => {
            stop(dir).await?;
            Config {
                version: 1,
                gateway_port: record.port,
                ui_port: old.map_or_else(|_| free_port(), |old| Ok(old.ui_port))?,
                postgres: addresses.postgres.clone(),
                neo4j: addresses.neo4j.clone(),
                redis: addresses.redis.clone(),
            }
        }
    };
    for attempt in 1.. {
        for port in [&mut config.gateway_port, &mut config.ui_port] {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err() {
                *port = free_port()?;
            }
        }
        config.save(dir)?;
        record.port = config.gateway_port;
        record.process = None;
        record.save(dir)?;
        let process = spawn(dir, launch)?;
        record.process = Some(process.clone());
        record.save(dir)?;
        let log = |error: &Error| error.to_string().contains("cannot listen on");
        match ready(dir, &config, process).await {
            Err(error) if attempt < PORT_ATTEMPTS && log(&error) => {}
            outcome => return outcome,
        }
    }
    Err(Error::bug("the start loop ended without an answer"))
}

/// Ends the stand-in of `dir`, if it is ours and runs.
pub async fn stop(dir: &Path) -> Result<()> {
    let Some(mut record) = ours(dir)? else {
        return Ok(());
    };
    if let Some(process) = running(dir, &record) {
        process.end(rustix::process::Signal::TERM, STOP).await?;
    }
    record.process = None;
    record.save(dir)
}

/// The process of `dir`, also one that was started and not recorded because its starter was killed in between.
pub(super) fn running(dir: &Path, record: &Record) -> Option<Process> {
    if let Some(process) = record.process.as_ref().filter(|p| p.alive()) {
        return Some(process.clone());
    }
    let dir = dir.canonicalize().ok()?;
    fs::read_dir("/proc").ok()?.find_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let inside = fs::read_link(format!("/proc/{pid}/cwd")).ok()? == dir;
        // A shell that stands in the folder is not a platform: only what carries the launch's mark is.
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let marked = environment.split(|b| *b == 0).any(|v| v == MARK.as_bytes());
        (inside && marked).then(|| Process::of(pid)).flatten()
    })
}

/// What a started stand-in carries in its environment.
const MARK: &str = "SUMMITCTL_SANDBOX=platform";

fn ours(dir: &Path) -> Result<Option<Record>> {
    match Record::load(dir)? {
        Some(record) if record.kind != KIND => Err(Error::new(
            &NOT_OURS,
            format!("`{}` holds a `{}` server", dir.display(), record.kind),
        )),
        record => Ok(record),
    }
}

fn spawn(dir: &Path, launch: &Launch) -> Result<Process> {
    // The log says why *this* start failed, not an earlier one.
    let log = dir.join("server.log");
    fs::write(&log, "").map_err(|e| Error::io("write", &log, e))?;
    let mut command = std::process::Command::new(&launch.program);
    command.args(&launch.arguments).env_clear();
    command.envs(launch.environment.iter().map(|(k, v)| (k, v)));
    if let Some((name, value)) = MARK.split_once('=') {
        command.env(name, value);
    }
    spawn_detached(dir, command.current_dir(dir))
}

/// Waits until this very process answers its liveness probe.
async fn ready(dir: &Path, config: &Config, process: Process) -> Result<Running> {
    let failed = |what: &str| {
        let tail = log_tail(dir, 12);
        Error::new(&START_FAILED, format!("{what}; its log ends with:\n{tail}"))
    };
    poll(
        "the start of the platform",
        Deadline::after(START),
        Duration::from_millis(50),
        async || {
            if !process.alive() {
                return Err(failed("the platform ended while it started"));
            }
            Ok(match ask(config.gateway_port, "/health").await {
                Ok(answer) if answer.instance != Some(process.pid) => {
                    Look::NotYet("another process answers on its port".to_owned())
                }
                Ok(answer) if answer.status == 200 => Look::Ready(()),
                Ok(answer) => Look::NotYet(format!("HTTP {}", answer.status)),
                Err(e) => Look::NotYet(e.one_line()),
            })
        },
    )
    .await
    .map_err(|e| match e.reason() {
        reason if reason == &START_FAILED => e,
        _ => failed("the platform does not answer").caused_by(e),
    })?;
    Ok(Running {
        dir: dir.to_owned(),
        gateway_port: config.gateway_port,
        ui_port: config.ui_port,
        process,
    })
}

/// What a stand-in answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The pid of the process that answered, if it says one.
    pub instance: Option<i32>,
    /// The body.
    pub body: String,
}

/// `GET` from a loopback port: just enough HTTP for our own server, which sends plain bodies.
pub async fn ask(port: u16, path: &str) -> Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.take(1024 * 1024).read_to_end(&mut bytes).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = Deadline::after(Duration::from_secs(5))
        .run("asking the platform", async {
            exchange
                .await
                .map_err(|e| Error::io("ask", format!("127.0.0.1:{port}{path}"), e))
        })
        .await?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .ok_or_else(|| Error::input(format!("127.0.0.1:{port} does not speak HTTP/1.1")))?;
    let instance = lines
        .find_map(|line| line.strip_prefix(server::INSTANCE)?.strip_prefix(':'))
        .and_then(|value| value.trim().parse().ok());
    Ok(Answer {
        status,
        instance,
        body: body.to_owned(),
    })
}
