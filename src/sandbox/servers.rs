//! What every throw-away server has in common: a folder, a record of what was started in it, and a way to end it.
//!
//! A server's folder holds `server.json` (the [`Record`]), `password` (mode 0600), `server.log` and its data. A process
//! is known by pid *and* start time, so that a recycled pid is never taken for ours.

pub mod neo4j;
pub mod postgres;
pub mod redis;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::write_private;
use crate::error::{Context as _, Error, Result};
pub use crate::pid::Process;
use crate::reasons;
use crate::secret::Secret;

reasons! {
    /// A program the server needs is not installed.
    MISSING_PROGRAM = "sandbox.missing-program", Usage,
        "A program that the sandbox needs is not installed. The message names it and the package that holds it; `make setup` installs all of them.";
    /// The server did not come up.
    START_FAILED = "sandbox.start-failed", Failed, "A sandbox server did not start. The message holds the end of its log.";
    /// neo4j-admin did not load a capture.
    ADMIN_FAILED = "sandbox.import-failed", Failed,
        "`neo4j-admin database import` could not load a backup into a scratch database; the message holds the end of what it said: a full disk, too little memory, or a row that it refuses. The backup may be sound: `summitctl drill run` restores it without the import.";
    /// The folder is not ours.
    NOT_OURS = "sandbox.not-ours", Refused, "The folder does not carry the sandbox's label, so nothing in it is touched.";
}

/// The file that marks a folder as ours.
pub const RECORD: &str = "server.json";

/// What was started in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// Format version: 1.
    pub version: u32,
    /// Always `summitctl-sandbox`.
    pub label: String,
    /// `postgres`, `redis`, `neo4j`, `platform`.
    pub kind: String,
    /// Loopback port.
    pub port: u16,
    /// The administrator's name, if the server has one.
    pub user: String,
    /// The running process, if one was started.
    pub process: Option<Process>,
}

impl Record {
    /// A record for a server that was not started yet.
    pub fn new(kind: &str, port: u16, user: &str) -> Self {
        Record {
            version: 1,
            label: "summitctl-sandbox".to_owned(),
            kind: kind.to_owned(),
            port,
            user: user.to_owned(),
            process: None,
        }
    }

    /// Reads the record of a folder; `None` if it has none; an error if it is not ours.
    pub fn load(dir: &Path) -> Result<Option<Record>> {
        let path = dir.join(RECORD);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let record: Record = serde_json::from_str(&text).map_err(|e| {
            Error::new(
                &NOT_OURS,
                format!("`{}` is not a sandbox record", path.display()),
            )
            .caused_by(e)
        })?;
        if record.label != "summitctl-sandbox" {
            return Err(Error::new(
                &NOT_OURS,
                format!("`{}` carries the label `{}`", path.display(), record.label),
            ));
        }
        Ok(Some(record))
    }

    /// Writes the record durably.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::bug("a record does not serialise").caused_by(e))?;
        write_private(&dir.join(RECORD), text.as_bytes())
    }

    /// Whether the recorded process is alive.
    pub fn alive(&self) -> bool {
        self.process.as_ref().is_some_and(Process::alive)
    }
}

/// A free loopback port. Somebody may take it before the server does; starters retry with another.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(|e| Error::io("bind a port on", "127.0.0.1", e))?;
    Ok(listener
        .local_addr()
        .map_err(|e| Error::io("read the address of", "127.0.0.1", e))?
        .port())
}

/// The password of the server in `dir`: generated once, kept in `dir/password` with mode 0600.
pub fn password(dir: &Path) -> Result<Secret> {
    let path = dir.join("password");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Secret::new(text.trim())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [0_u8; 18];
            getrandom::fill(&mut bytes)
                .map_err(|e| Error::bug(format!("no random numbers: {e}")))?;
            let word = bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
            write_private(&path, word.as_bytes())?;
            Ok(Secret::new(word))
        }
        Err(e) => Err(Error::io("read", &path, e)),
    }
}

/// Makes a folder that other users may pass through (a database server that drops privileges must reach its own).
pub fn make_dir(dir: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(mode))
        .map_err(|e| Error::io("set the mode of", dir, e))
}

/// The first of `names` found in the folders given or on `PATH`; the error names the Debian package.
pub fn program(names: &[&str], also_in: &[PathBuf], package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = also_in.iter().cloned().chain(std::env::split_paths(&path));
    for folder in folders {
        for name in names {
            let candidate = folder.join(name);
            if candidate.is_file() {
                return Ok(candidate);
            }
        }
    }
    Err(
        Error::new(&MISSING_PROGRAM, format!("`{}` is not installed", names[0])).hint(format!(
            "Install it with `apt-get install {package}`, or run `make setup`."
        )),
    )
}

/// The last lines of a server's log, for the error that says why it did not start.
pub fn log_tail(dir: &Path, lines: usize) -> String {
    let text = fs::read(dir.join("server.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Starts `command` detached from us (own process group, no standard input, output to `dir/server.log`).
pub fn spawn_detached(dir: &Path, command: &mut std::process::Command) -> Result<Process> {
    use std::os::unix::process::CommandExt as _;
    let log_path = dir.join("server.log");
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .map_err(|e| Error::io("open", &log_path, e))?;
    let log_too = log
        .try_clone()
        .map_err(|e| Error::io("open", &log_path, e))?;
    let child = command
        .stdin(std::process::Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .process_group(0)
        .spawn()
        .map_err(|e| Error::io("start", command.get_program(), e))?;
    let pid =
        i32::try_from(child.id()).map_err(|e| Error::bug("a pid does not fit").caused_by(e))?;
    // Reaps the child if it ends while we run, so that `alive` is right; a detached one outlives this thread.
    let mut child = child;
    let process = Process::of(pid);
    std::thread::spawn(move || child.wait());
    process
        .ok_or_else(|| {
            Error::new(
                &START_FAILED,
                format!(
                    "`{}` ended at once",
                    command.get_program().to_string_lossy()
                ),
            )
        })
        .context(|| format!("the log says:\n{}", log_tail(dir, 10)))
}
