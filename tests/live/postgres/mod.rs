//! Postgres: throw-away servers, and the provider on them.

mod server;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use summitctl::sandbox::servers::postgres::{Options, Running, start, stop};

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
    let folder = Folder::new();
    let running = start(folder.path(), &Options::scratch(None))
        .await
        .expect("a server starts");
    (folder, running)
}
