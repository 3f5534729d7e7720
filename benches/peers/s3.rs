//! Against `rclone copy` of the same files into a bucket of a local versitygw, with as many transfers at once. Our side goes
//! by the store that repositories use: each file an object, created once, with its SHA-256.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use summitctl::repository::s3::AccessKeys;
use summitctl::repository::{Created, Object, S3Place, S3Store, Store as _};
use summitctl::secret::Secret;

use super::measure::{Comparison, Cost, compare_wall, median_wall, run};
use super::s3_dump;

/// How often each side runs.
const ROUNDS: usize = 3;
/// The files, and the size of each: that of a large segment.
const FILES: usize = 16;
const SIZE: usize = 24 << 20;
/// Transfers at once: what rclone does by itself.
const TRANSFERS: usize = 4;
pub const KEY: &str = "bench";
pub const SECRET: &str = "bench-secret-key";
pub const PORT: u16 = 54_090;

/// A versitygw on an empty bucket.
pub struct Server {
    pub process: Child,
    pub folder: PathBuf,
}

impl Server {
    fn start() -> Server {
        let folder = std::env::temp_dir().join("summitctl-bench-s3");
        let _ = std::fs::remove_dir_all(&folder);
        for name in ["data/bench", "files"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
            PathBuf::from,
        );
        let ours = cache.join("summitctl/servers/s3/versitygw");
        let program = if ours.is_file() {
            ours
        } else {
            PathBuf::from("versitygw")
        };
        crate::measure::must_be_free(PORT);
        let process = Command::new(program)
            .args(["--port", &format!("127.0.0.1:{PORT}"), "--quiet", "posix"])
            .arg(folder.join("data"))
            .env("ROOT_ACCESS_KEY", KEY)
            .env("ROOT_SECRET_KEY", SECRET)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", PORT)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "no versitygw");
            std::thread::sleep(Duration::from_millis(20));
        }
        Server { process, folder }
    }

    fn fill(&self) {
        let mut bytes = vec![0; SIZE];
        for n in 0..FILES {
            getrandom::fill(&mut bytes).unwrap();
            std::fs::write(self.folder.join(format!("files/{n:02}")), &bytes).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The comparisons that were asked for.
pub fn all(wanted: &[&String]) -> Vec<Comparison> {
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w.as_str()));
    let mut results = Vec::new();
    if is_wanted("s3-upload") {
        results.push(upload_compared(&Server::start()));
    }
    if is_wanted(s3_dump::NAME) {
        results.push(s3_dump::compared(&Server::start()));
    }
    results
}

fn upload_compared(server: &Server) -> Comparison {
    let name = "s3-upload";
    server.fill();
    println!("{name}: {FILES} files of {} MiB", SIZE >> 20);
    let files = server.folder.join("files");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut us = Command::new(std::env::current_exe().unwrap());
        us.args(["--ours", "s3-upload"])
            .arg(&files)
            .arg(format!("ours-{round}"));
        let moved = (FILES * SIZE) as u64;
        let cost = run(&mut us, server.process.id());
        ours.push(Cost { moved, ..cost });
        let mut rclone = Command::new("rclone");
        rclone
            .args([
                "copy",
                "--transfers",
                &TRANSFERS.to_string(),
                "--s3-no-check-bucket",
            ])
            .arg(&files)
            .arg(format!("peer:bench/theirs-{round}"))
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_CONFIG_PEER_TYPE", "s3")
            .env("RCLONE_CONFIG_PEER_PROVIDER", "Other")
            .env("RCLONE_CONFIG_PEER_REGION", "us-east-1")
            .env(
                "RCLONE_CONFIG_PEER_ENDPOINT",
                format!("http://127.0.0.1:{PORT}"),
            )
            .env("RCLONE_CONFIG_PEER_ACCESS_KEY_ID", KEY)
            .env("RCLONE_CONFIG_PEER_SECRET_ACCESS_KEY", SECRET)
            .stderr(Stdio::null());
        let cost = run(&mut rclone, server.process.id());
        theirs.push(Cost { moved, ..cost });
    }
    let peer = "rclone 1.60 copy";
    compare_wall(name, peer, median_wall(ours), median_wall(theirs))
}

/// A prefix of the bucket.
pub fn place(prefix: &str) -> S3Place {
    S3Place {
        bucket: "bench".to_owned(),
        prefix: prefix.to_owned(),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(format!("http://127.0.0.1:{PORT}")),
        path_style: None,
        storage_class: None,
        kms_key: None,
        lock: None,
        keys: Some(AccessKeys {
            id: Secret::new(KEY),
            secret: Secret::new(SECRET),
            session_token: None,
        }),
        tls_ca: None,
    }
}

/// Puts every file of a folder below a prefix.
pub async fn upload(folder: &Path, prefix: &str) {
    let store = Arc::new(S3Store::open(place(prefix)).await.unwrap());
    store.prove().await.unwrap();
    let lanes = Arc::new(tokio::sync::Semaphore::new(TRANSFERS));
    let tasks: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| {
            let (store, lanes) = (Arc::clone(&store), Arc::clone(&lanes));
            tokio::spawn(async move {
                let _lane = lanes.acquire().await.unwrap();
                let name = format!("segments/{}", entry.file_name().to_string_lossy());
                let object = tokio::task::spawn_blocking(move || {
                    Object::new(std::fs::read(entry.path()).unwrap())
                });
                let created = store.create(&name, &object.await.unwrap()).await.unwrap();
                assert_eq!(created, Created::New);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
