//! Redis on real servers that each test starts itself: health, errors, capture, restore, fingerprints.

use std::path::PathBuf;
use std::time::Duration;

use summitctl::providers::redis::{Target, identify, ping, plant_marker, read_marker};
use summitctl::sandbox::servers::redis::{Options, Running, start, stop};
use summitctl::secret::Secret;
use summitctl::wait::Deadline;

mod cluster;
mod data;
mod headroom;
mod keys;
mod large;
mod moments;
mod restore;
mod round_trip;
mod sentinel;
mod server;
mod tls;
mod versions;

/// A server of a test: ended and removed with it, even if the test fails.
pub struct Server {
    pub running: Running,
    root: PathBuf,
}

impl Server {
    pub async fn start(options: &Options) -> Server {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).expect("random numbers");
        let name = format!("summitctl-redis-{:016x}", u64::from_le_bytes(bytes));
        let root = std::env::temp_dir().join(name);
        let running = start(&root, options).await.expect("Redis starts");
        Server { running, root }
    }

    pub async fn scratch() -> Server {
        Server::start(&Options::scratch()).await
    }

    /// A server of another version than the one on the PATH, from where `make setup` puts them.
    pub async fn of(name: &str, options: Options) -> Server {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"),
            PathBuf::from,
        );
        let program = cache.join("summitctl/servers/redis").join(name);
        assert!(program.is_file(), "there is no {name}: run `make setup`");
        Server::start(&Options {
            program: Some(program),
            ..options
        })
        .await
    }

    /// The same folder after a restart; both ends clean it up.
    pub fn adopt(running: Running, before: &Server) -> Server {
        Server {
            running,
            root: before.root.clone(),
        }
    }

    pub fn target(&self) -> Target {
        self.running.target()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.process.signal(rustix::process::Signal::KILL);
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}
