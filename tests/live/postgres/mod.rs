//! Postgres: throw-away servers, and the provider on them.

mod back;
pub mod beside;
mod complete;
mod itself;
mod lesser;
mod life;
mod listing;
mod outskirts;
mod planted;
mod renamed;
mod roles;
mod round_trip;
mod server;
mod spread;
mod stretches;
mod swap;
mod versions;
mod writes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::Value;
use summitctl::capture::{Fingerprint, MemoryParts, PartInfo, PartSink, PartWriter};
use summitctl::error::Result;
use summitctl::providers::postgres::{Target, session};
use summitctl::sandbox::servers::postgres::{Options, Running, start, stop};

pub use life::until;

/// A folder that is removed, with its server, when the test ends, however it ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "summitctl-live-pg-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path = self.0.clone();
        // A drop cannot wait in the test's own runtime.
        let stopper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(stop(&path))
        });
        let stopped = stopper.join();
        let _ = std::fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            stopped.expect("joins").expect("stops");
        }
    }
}

/// A scratch server in a folder of its own.
pub async fn scratch() -> (Folder, Running) {
    scratch_of(None).await
}

/// [`scratch`] of this major version.
pub async fn scratch_of(major: impl Into<Option<u32>>) -> (Folder, Running) {
    let folder = Folder::new();
    let running = start(folder.path(), &Options::scratch(major.into()))
        .await
        .expect("a server starts");
    (folder, running)
}

/// Runs statements.
pub async fn sql(target: &Target, text: &str) {
    let mut session = session::open(target, session::Access::AsGiven)
        .await
        .expect("opens");
    sqlx::raw_sql(sqlx::AssertSqlSafe(text))
        .execute(&mut session)
        .await
        .unwrap_or_else(|e| panic!("{:.60}: {e:?}", text));
}

/// The one value of a query.
pub async fn value(target: &Target, text: &str) -> Option<String> {
    let mut session = session::open(target, session::Access::AsGiven)
        .await
        .expect("opens");
    sqlx::query_scalar(sqlx::AssertSqlSafe(text))
        .fetch_one(&mut session)
        .await
        .unwrap_or_else(|e| panic!("{:.60}: {e:?}", text))
}

/// The database `rich` on a server, with what these statements make.
pub async fn database(server: &Running, statements: &str) -> Target {
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    sql(&target, statements).await;
    target
}

/// What a test does when the first rows of a table arrive, before they are kept.
pub type Meanwhile = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A sink in which something happens meanwhile.
pub struct Disturbed {
    pub inner: MemoryParts,
    meanwhile: Meanwhile,
}

impl Disturbed {
    pub fn new<F: Future<Output = ()> + Send + 'static>(
        meanwhile: impl Fn() -> F + Send + Sync + 'static,
    ) -> Disturbed {
        Disturbed {
            inner: MemoryParts::default(),
            meanwhile: Arc::new(move || Box::pin(meanwhile())),
        }
    }
}

struct DisturbedWriter {
    inner: Box<dyn PartWriter>,
    meanwhile: Option<Meanwhile>,
}

#[async_trait]
impl PartSink for Disturbed {
    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>> {
        Ok(Box::new(DisturbedWriter {
            inner: self.inner.create(name, format).await?,
            meanwhile: name
                .contains("/table/")
                .then(|| Arc::clone(&self.meanwhile)),
        }))
    }
    async fn join(
        &self,
        name: &str,
        stretches: &[String],
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, Value>,
    ) -> Result<PartInfo> {
        self.inner.join(name, stretches, fingerprint, meta).await
    }
}

#[async_trait]
impl PartWriter for DisturbedWriter {
    fn append(&mut self, bytes: &[u8]) {
        self.inner.append(bytes);
    }
    async fn settle(&mut self) -> Result<()> {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile().await;
        }
        self.inner.settle().await
    }
    fn cut(&mut self) {
        self.inner.cut();
    }
    async fn finish(
        self: Box<Self>,
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, Value>,
    ) -> Result<PartInfo> {
        self.inner.finish(fingerprint, meta).await
    }
}

/// Ends a server at once, as in a crash, with every process of it.
pub fn crash(pid_file: &Path) {
    let text = std::fs::read_to_string(pid_file).expect("the server runs");
    let pid: i32 = text
        .lines()
        .next()
        .and_then(|l| l.parse().ok())
        .expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).expect("kills");
}
