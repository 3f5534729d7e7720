//! A throw-away PostgreSQL: the practice stack's database, and the scratch server that restores are proved on.
//!
//! Real binaries, SCRAM passwords, loopback only. Postgres refuses to run as root, so a root caller hands the data
//! folder and the process to `postgres` or `nobody`. `data` exists only once `initdb` has finished: it is made under
//! another name and renamed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{
    MISSING_PROGRAM, Process, Record, START_FAILED, free_port, log_tail, make_dir, password,
    spawn_detached,
};
use crate::error::{Error, Result};
use crate::providers::postgres::{MAINTENANCE_DATABASE, Target, TlsMode, ping, tools};
use crate::secret::Secret;
use crate::wait::{Deadline, Look, poll};

/// The administrator's name in every throw-away server.
pub const USER: &str = "postgres";

/// `sun_path` holds 108 bytes with its end (unix(7)); `/.s.PGSQL.65535` comes after the folder.
const LONGEST_SOCKET_FOLDER: usize = 107 - "/.s.PGSQL.65535".len();

/// Somebody else may take a free port before the server binds it.
const PORT_ATTEMPTS: u32 = 5;

/// How long to wait for what is left of a killed server before the next attempt.
const REAP: Duration = Duration::from_millis(200);

/// The settings of a server whose data last.
const LASTING: &[&str] = &["shared_buffers=32MB", "maintenance_work_mem=64MB"];

/// The settings of a scratch server: quick, and nothing on it needs to survive a crash.
pub const SCRATCH: &[&str] = &[
    "shared_buffers=128MB",
    "maintenance_work_mem=256MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "autovacuum=off",
    // A capture or a transaction of the source may have held more than most servers have room for.
    "max_locks_per_transaction=512",
];

/// What kind of server is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// This major version; otherwise the one of existing data, otherwise the newest found.
    pub major: Option<u32>,
    /// The folder of `postgres` and `initdb`, instead of looking for them.
    pub bin: Option<PathBuf>,
    /// Nothing in it needs to survive a crash: no fsync, minimal WAL, no autovacuum. Much faster restores.
    pub scratch: bool,
    /// How long the start may take.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            major: None,
            bin: None,
            scratch: false,
            patience: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// A scratch server, of this major version if one is given.
    pub fn scratch(major: Option<u32>) -> Self {
        Options {
            major,
            scratch: true,
            ..Options::default()
        }
    }
}

/// A server that answers queries.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its folder.
    pub dir: PathBuf,
    /// Loopback port.
    pub port: u16,
    /// The administrator: a superuser.
    pub user: String,
    /// The administrator's password.
    pub password: Secret,
    /// The folder of its unix socket, if the path is short enough for one.
    pub socket: Option<PathBuf>,
    /// Its version, as it says.
    pub version: String,
}

impl Running {
    /// The maintenance database, as the administrator.
    pub fn target(&self) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            database: MAINTENANCE_DATABASE.to_owned(),
            user: self.user.clone(),
            password: Some(self.password.clone()),
            tls: TlsMode::Disable,
            root_cert: None,
        }
    }
}

/// Initialises an empty folder, starts a stopped server, adopts a running one.
pub async fn start(dir: &Path, options: &Options) -> Result<Running> {
    make_dir(dir, 0o755)?;
    let dir = &dir
        .canonicalize()
        .map_err(|e| Error::io("resolve", dir, e))?;
    let mut record = match Record::load(dir)? {
        Some(record) => record,
        None => {
            let record = Record::new("postgres", free_port()?, USER);
            record.save(dir)?;
            record
        }
    };
    let password = password(dir)?;
    if !record.alive() {
        // A crash between spawning and recording: Postgres's own pid file says what runs here.
        record.process = running_here(dir);
        if let (Some(_), Some(port)) = (&record.process, port_in_pid_file(dir)) {
            record.port = port;
        }
        record.save(dir)?;
    }
    if record.alive() {
        let running = running(dir, &record, &password);
        return wait_ready(running, &record, Deadline::after(options.patience)).await;
    }
    let account = Account::for_server(dir)?;
    let bin = find_bin(dir, options, account.as_ref())?;
    if !dir.join("data").exists() {
        init(dir, &bin, &password, account.as_ref())?;
    }
    launch(dir, record, &password, &bin, account.as_ref(), options).await
}

/// Ends the server of this folder, and nothing else. A folder without a record is left alone.
pub async fn stop(dir: &Path) -> Result<()> {
    let Some(mut record) = Record::load(dir)? else {
        return Ok(());
    };
    let recorded = record.process.take().filter(Process::alive);
    if let Some(process) = recorded.or_else(|| running_here(dir)) {
        // SIGINT: fast shutdown (PostgreSQL documentation, "Shutting Down the Server").
        process
            .end(rustix::process::Signal::INT, Duration::from_secs(20))
            .await?;
    }
    record.save(dir)
}

async fn launch(
    dir: &Path,
    mut record: Record,
    password: &Secret,
    bin: &Path,
    account: Option<&Account>,
    options: &Options,
) -> Result<Running> {
    let deadline = Deadline::after(options.patience);
    let mut attempt = 0;
    loop {
        let log_before = fs::metadata(dir.join("server.log")).map_or(0, |m| m.len());
        let mut command = Command::new(bin.join("postgres"));
        command.args(arguments(dir, record.port, options));
        command.env("LC_ALL", "C").env_remove("PGDATA");
        command.current_dir("/");
        if let Some(account) = account {
            command.uid(account.uid).gid(account.gid);
        }
        record.process = Some(spawn_detached(dir, &mut command)?);
        record.save(dir)?;
        let outcome = wait_ready(running(dir, &record, password), &record, deadline).await;
        let Err(error) = outcome else {
            return outcome;
        };
        let said = log_since(dir, log_before);
        // The sessions of a killed server end soon after it, and its process until it was reaped still counts as one.
        let lives_on = [
            "lock file \"postmaster.pid\" already exists",
            "pre-existing shared memory block",
        ];
        if lives_on.iter().any(|line| said.contains(line)) && deadline.left() > REAP {
            tokio::time::sleep(REAP).await;
            continue;
        }
        let taken = said.contains("Address already in use");
        attempt += 1;
        if taken && attempt < PORT_ATTEMPTS {
            record.port = free_port()?;
            continue;
        }
        if let Some(process) = record.process.take() {
            process
                .end(rustix::process::Signal::INT, Duration::from_secs(5))
                .await?;
            record.save(dir)?;
        }
        return Err(error);
    }
}

fn arguments(dir: &Path, port: u16, options: &Options) -> Vec<std::ffi::OsString> {
    let socket = socket_folder(dir).map_or_else(String::new, |f| f.display().to_string());
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={socket}"),
        "max_connections=60".to_owned(),
        "jit=off".to_owned(),
        "logging_collector=off".to_owned(),
        "log_line_prefix=%m [%p] ".to_owned(),
        "lc_messages=C".to_owned(),
        "cluster_name=summitctl-sandbox".to_owned(),
    ];
    let special = if options.scratch { SCRATCH } else { LASTING };
    settings.extend(special.iter().map(|setting| (*setting).to_owned()));
    let mut arguments = vec!["-D".into(), dir.join("data").into_os_string()];
    arguments.extend(["-p".into(), port.to_string().into()]);
    for setting in settings {
        arguments.extend(["-c".into(), setting.into()]);
    }
    arguments
}

fn running(dir: &Path, record: &Record, password: &Secret) -> Running {
    Running {
        dir: dir.to_owned(),
        port: record.port,
        user: record.user.clone(),
        password: password.clone(),
        socket: socket_folder(dir).filter(|f| f.is_dir()),
        version: String::new(),
    }
}

/// Ready means: an authenticated query was answered.
async fn wait_ready(running: Running, record: &Record, deadline: Deadline) -> Result<Running> {
    let target = running.target();
    let health = poll(
        "the start of Postgres",
        deadline,
        Duration::from_millis(100),
        async || {
            if !record.alive() {
                return Err(Error::new(
                    &START_FAILED,
                    format!(
                        "Postgres in `{}` ended while it started; its log ends with:\n{}",
                        running.dir.display(),
                        log_tail(&running.dir, 12)
                    ),
                ));
            }
            match ping(&target, Deadline::after(Duration::from_secs(5))).await {
                Ok(health) => Ok(Look::Ready(health)),
                Err(e) => Ok(Look::NotYet(e.one_line())),
            }
        },
    )
    .await
    .map_err(|e| {
        if e.reason() == &START_FAILED {
            return e;
        }
        Error::new(
            &START_FAILED,
            format!(
                "Postgres in `{}` did not become ready; its log ends with:\n{}",
                running.dir.display(),
                log_tail(&running.dir, 12)
            ),
        )
        .caused_by(e)
    })?;
    Ok(Running {
        version: health.version,
        ..running
    })
}

fn init(dir: &Path, bin: &Path, password: &Secret, account: Option<&Account>) -> Result<()> {
    let fresh = dir.join("data.new");
    if fresh.exists() {
        // An earlier start was killed here; only an initdb that finished is worth keeping.
        fs::remove_dir_all(&fresh).map_err(|e| Error::io("remove", &fresh, e))?;
    }
    make_dir(&fresh, 0o700)?;
    let secret_file = dir.join("initdb-password");
    crate::durable::write_private(&secret_file, password.expose().as_bytes())?;
    if let Some(socket) = socket_folder(dir) {
        make_dir(&socket, 0o700)?;
        hand_over(&socket, account)?;
    }
    hand_over(&fresh, account)?;
    hand_over(&secret_file, account)?;
    let mut command = Command::new(bin.join("initdb"));
    command
        .arg("-D")
        .arg(&fresh)
        .args(["-U", USER, "--no-sync", "-A", "scram-sha-256", "-E", "UTF8"])
        .arg("--pwfile")
        .arg(&secret_file)
        .args(locale(bin))
        .env("LC_ALL", "C")
        .current_dir("/");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    let output = command.output();
    fs::remove_file(&secret_file).map_err(|e| Error::io("remove", &secret_file, e))?;
    let output = output.map_err(|e| Error::io("start", bin.join("initdb"), e))?;
    if !output.status.success() {
        return Err(Error::new(
            &START_FAILED,
            format!(
                "`initdb` failed ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        ));
    }
    let data = dir.join("data");
    fs::rename(&fresh, &data).map_err(|e| Error::io("rename", &fresh, e))
}

/// A locale that depends on nothing of this machine: the built-in provider where there is one (17 and newer), else C.
fn locale(bin: &Path) -> Vec<&'static str> {
    let major = tools::tool_in(bin, "initdb").map_or(0, |tool| tool.major);
    if major >= 17 {
        vec![
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
        ]
    } else {
        vec!["--locale=C"]
    }
}

/// The folder with both `postgres` and `initdb`, of the version that is asked for or that the data need.
fn find_bin(dir: &Path, options: &Options, account: Option<&Account>) -> Result<PathBuf> {
    let of_data = fs::read_to_string(dir.join("data/PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    let wanted = of_data.or(options.major);
    let folders = options
        .bin
        .as_ref()
        .map_or_else(tools::folders, |bin| vec![bin.clone()]);
    let mut seen = Vec::new();
    let mut unreachable = None;
    for folder in folders {
        let Some(server) = tools::tool_in(&folder, "postgres") else {
            continue;
        };
        if tools::tool_in(&folder, "initdb").is_none() {
            continue;
        }
        if wanted.is_none_or(|major| major == server.major) {
            // A version below root's home is of no use to the account that would run it.
            match account.map(|account| account.check_reach(&folder)) {
                Some(Err(e)) => unreachable = Some(e),
                _ => return Ok(folder),
            }
            continue;
        }
        seen.push(server.version);
    }
    if let Some(error) = unreachable {
        return Err(error);
    }
    let package = wanted.map_or("postgresql".to_owned(), |m| format!("postgresql-{m}"));
    let message = match wanted {
        Some(major) if !seen.is_empty() => format!(
            "PostgreSQL {major} is not installed, only {}",
            seen.join(", ")
        ),
        Some(major) => format!("PostgreSQL {major} is not installed"),
        None => "PostgreSQL's `postgres` and `initdb` are not installed".to_owned(),
    };
    Err(Error::new(&MISSING_PROGRAM, message).hint(format!(
        "Install it with `apt-get install {package}`, or run `make setup`."
    )))
}

/// The unprivileged account that runs the server when we are root.
struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// `postgres` or `nobody` for root, nobody else otherwise; refuses a folder that the account cannot reach.
    fn for_server(dir: &Path) -> Result<Option<Account>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users =
            fs::read_to_string("/etc/passwd").map_err(|e| Error::io("read", "/etc/passwd", e))?;
        let account = ["postgres", "nobody"]
            .iter()
            .find_map(|name| Account::in_passwd(&users, name))
            .ok_or_else(|| {
                Error::new(
                    &START_FAILED,
                    "Postgres refuses to run as root, and there is no user `postgres` or `nobody` to run it as",
                )
            })?;
        account.check_reach(dir)?;
        Ok(Some(account))
    }

    fn in_passwd(users: &str, name: &str) -> Option<Account> {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Account {
            name: name.to_owned(),
            uid: fields.next()?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }

    fn check_reach(&self, dir: &Path) -> Result<()> {
        for folder in dir.ancestors() {
            let meta = fs::metadata(folder).map_err(|e| Error::io("look at", folder, e))?;
            let mode = meta.permissions().mode();
            let passes = mode & 0o001 != 0
                || (meta.uid() == self.uid && mode & 0o100 != 0)
                || (meta.gid() == self.gid && mode & 0o010 != 0);
            if !passes {
                return Err(Error::new(
                    &START_FAILED,
                    format!(
                        "Postgres runs as `{}` here, which may not pass through `{}`",
                        self.name,
                        folder.display()
                    ),
                )
                .hint(format!(
                    "Choose a folder elsewhere, such as one below `/var/lib` or `/tmp`, or run `chmod o+x {}`.",
                    folder.display()
                )));
            }
        }
        Ok(())
    }
}

fn hand_over(path: &Path, account: Option<&Account>) -> Result<()> {
    match account {
        Some(account) => chown(path, Some(account.uid), Some(account.gid))
            .map_err(|e| Error::io("change the owner of", path, e)),
        None => Ok(()),
    }
}

fn socket_folder(dir: &Path) -> Option<PathBuf> {
    let folder = dir.join("socket");
    let text = folder.to_str()?;
    // The setting is a list; characters that would need quoting in it are not worth a socket.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-".contains(c);
    (text.len() <= LONGEST_SOCKET_FOLDER && text.chars().all(plain)).then_some(folder)
}

/// The postmaster that runs on this data folder, by its own pid file, if it is really one.
fn running_here(dir: &Path) -> Option<Process> {
    let data = dir.join("data");
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let process = Process::of(lines.next()?.trim().parse().ok()?)?;
    // A stale file may name a pid that somebody else has now.
    let arguments = fs::read(format!("/proc/{}/cmdline", process.pid)).ok()?;
    let ours = arguments
        .split(|b| *b == 0)
        .any(|argument| argument == data.as_os_str().as_encoded_bytes());
    ours.then_some(process)
}

/// Line 4 of `postmaster.pid` is the port (`src/include/utils/pidfile.h`).
fn port_in_pid_file(dir: &Path) -> Option<u16> {
    let text = fs::read_to_string(dir.join("data/postmaster.pid")).ok()?;
    text.lines().nth(3)?.trim().parse().ok()
}

fn log_since(dir: &Path, offset: u64) -> String {
    let bytes = fs::read(dir.join("server.log")).unwrap_or_default();
    let from = usize::try_from(offset).unwrap_or(0).min(bytes.len());
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresx:x:7:7::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        let account = Account::in_passwd(users, "postgres").expect("is there");
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(Account::in_passwd(users, "nobody").is_none());
    }

    #[test]
    fn a_long_or_odd_folder_gets_no_socket() {
        assert!(socket_folder(Path::new("/tmp/x")).is_some());
        assert!(socket_folder(Path::new("/tmp/x, y")).is_none());
        assert!(socket_folder(Path::new(&format!("/tmp/{}", "x".repeat(90)))).is_none());
    }
}
