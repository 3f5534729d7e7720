//! Postgres 17 from Debian 13, whose `pg_dump` compresses with zstd, in a folder of its own: the peer, and the server that
//! both sides read. `.ci/bench-setup` makes the folder; the programs run in it by `chroot`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the programs are inside the folder.
const BIN: &str = "/usr/lib/postgresql/17/bin";

/// A running server.
pub struct Server {
    root: PathBuf,
    /// The data folder's name inside `/bench`.
    name: &'static str,
    /// Where it listens.
    pub port: u16,
    /// The postmaster's process id.
    pub pid: u32,
    process: Child,
}

/// The folder that `.ci/bench-setup` made.
pub fn root() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let root = cache.join("summitctl/servers/debian13");
    assert!(
        root.join("ready").exists(),
        "run .ci/bench-setup first: there is no {}",
        root.display()
    );
    root
}

/// A program of the folder.
pub fn program(root: &Path, name: &str) -> Command {
    let mut command = Command::new("chroot");
    command
        .arg("--userspec=postgres:postgres")
        .arg(root)
        .arg(format!("{BIN}/{name}"))
        .env("PGPASSWORD", "bench")
        .env("PGUSER", "postgres")
        .env("PGHOST", "127.0.0.1")
        .env("LC_ALL", "C.UTF-8");
    command
}

impl Server {
    /// Starts a server on a data folder, which is made if it is not there.
    pub fn start(name: &'static str, port: u16, settings: &[&str]) -> Server {
        crate::measure::must_be_free(port);
        let root = root();
        let data = root.join("bench").join(name);
        let inside = format!("/bench/{name}");
        if !data.join("PG_VERSION").exists() {
            fs::write(root.join("bench/password"), "bench").unwrap();
            let status = program(&root, "initdb")
                .args(["--no-sync", "-A", "scram-sha-256", "-U", "postgres"])
                .args(["--pwfile", "/bench/password", "-E", "UTF8", "-D", &inside])
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success());
        }
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let log = fs::File::create(root.join(format!("bench/{name}.log"))).unwrap();
        let mut command = program(&root, "postgres");
        command.args(["-D", &inside, "-p", &port.to_string(), "-k", "/bench"]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Server {
            root,
            name,
            port,
            pid: child.id(),
            process: child,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !server.is_ready() {
            assert!(Instant::now() < deadline, "the server does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn is_ready(&self) -> bool {
        self.client("pg_isready")
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// A client program that talks to it.
    pub fn client(&self, name: &str) -> Command {
        let mut command = program(&self.root, name);
        command.env("PGPORT", self.port.to_string());
        command
    }

    /// Runs SQL in a database.
    pub fn sql(&self, database: &str, text: &str) -> String {
        let output = self
            .client("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                database,
            ])
            .args(["-c", text])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{text}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A folder that both sides see.
    pub fn folder_of(&self, name: &str) -> PathBuf {
        self.root.join("bench").join(name)
    }

    /// The same, empty.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder_of(name);
        let _ = fs::remove_dir_all(&path);
        path
    }

    /// How a client of the database is told where it is.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres:bench@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = program(&self.root, "pg_ctl")
            .args(["-D", &format!("/bench/{}", self.name), "-m", "fast", "stop"])
            .stdout(Stdio::null())
            .status();
        let _ = self.process.wait();
    }
}
