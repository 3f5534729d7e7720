//! The sandbox's one labelled folder: where everything lies in it, what is remembered about it, and the lock that lets
//! one command at a time change it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::faults::Fault;
use super::servers::{NOT_OURS, make_dir, password};
use crate::durable::write_private;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::reasons;
use crate::secret::Secret;
use crate::time::Instant;
use crate::wait::{Cancel, Deadline, Look, poll};

reasons! {
    /// There is no sandbox here.
    NOT_UP = "sandbox.not-up", Usage,
        "There is no sandbox in this folder, or it was never brought up completely. `summitctl sandbox up` makes one.";
    /// Another command changes the sandbox.
    BUSY = "sandbox.busy", Refused,
        "Another command is changing this sandbox and did not finish in time. Run the command again when it has.";
}

/// The mark of a sandbox folder.
const LABEL: &str = "summitctl-sandbox";
const STATE: &str = "sandbox.json";
const LOCK: &str = "lock";

/// Another `up` may be fetching servers and filling them.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// A part of the sandbox that runs as a process.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Neo4j.
    Neo4j,
    /// The stand-in for the platform.
    Platform,
}

impl Part {
    /// All of them, the platform last, because it uses the others.
    pub const ALL: [Part; 4] = [Part::Postgres, Part::Redis, Part::Neo4j, Part::Platform];

    /// The name in output, and of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Part::Postgres => "postgres",
            Part::Redis => "redis",
            Part::Neo4j => "neo4j",
            Part::Platform => "platform",
        }
    }
}

/// Where everything lies. What summitctl keeps about the context has its place here too, but is made by its owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folder itself, as an absolute path.
    pub root: PathBuf,
}

impl Layout {
    /// The folder of a part.
    pub fn part(&self, part: Part) -> PathBuf {
        self.root.join(part.name())
    }

    /// The configuration file, with the context `sandbox`.
    pub fn config(&self) -> PathBuf {
        self.root.join("summitctl.toml")
    }

    /// Keys and the repository's secret: folder of mode 0700.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The repository's secret, as text.
    pub fn repository_secret(&self) -> PathBuf {
        self.keys().join("repository-secret")
    }

    /// The operator's age identity, as text.
    pub fn identity(&self) -> PathBuf {
        self.keys().join("identity")
    }

    /// The key that signs manifests and evidence, as PEM.
    pub fn signing_key(&self) -> PathBuf {
        self.keys().join("signing.pem")
    }

    /// Its public half, as PEM.
    pub fn trusted_key(&self) -> PathBuf {
        self.keys().join("signing.pub.pem")
    }

    /// The backup repository.
    pub fn repository(&self) -> PathBuf {
        self.root.join("repository")
    }

    /// Evidence records.
    pub fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }

    /// Journals, pins and whatever else runs leave behind.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The password file of a Postgres role that the sandbox created.
    pub fn role_password(&self, role: &str) -> PathBuf {
        self.root.join("secrets").join(role).join("password")
    }

    /// The password of that role, generated when it is first asked for.
    pub(super) fn role_secret(&self, role: &str) -> Result<Secret> {
        let folder = self.root.join("secrets");
        make_dir(&folder, 0o700)?;
        let folder = folder.join(role);
        make_dir(&folder, 0o700)?;
        password(&folder)
    }
}

/// What the context says of the keys that their owner has put into [`Layout::keys`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keys {
    /// The age recipient of [`Layout::identity`], and of whoever else may read the backups.
    pub recipients: Vec<String>,
}

/// `sandbox.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct State {
    /// Format version: 1.
    version: u32,
    /// Always `summitctl-sandbox`.
    label: String,
    /// When the folder was made.
    pub created: Instant,
    /// The stores that hold their first data; they are not filled again.
    pub filled: BTreeSet<Part>,
    /// What is broken on purpose.
    pub faults: BTreeSet<Fault>,
    /// What the keys' owner said of them, once they were made.
    pub keys: Option<Keys>,
}

impl State {
    fn new() -> Self {
        State {
            version: 1,
            label: LABEL.to_owned(),
            created: Instant::now(),
            filled: BTreeSet::new(),
            faults: BTreeSet::new(),
            keys: None,
        }
    }

    /// Reads the state; `None` if the folder has none; an error if it is somebody else's.
    pub fn load(root: &Path) -> Result<Option<State>> {
        let path = root.join(STATE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        match serde_json::from_str::<State>(&text) {
            Ok(state) if state.label == LABEL && state.version == 1 => Ok(Some(state)),
            Ok(state) => Err(not_ours(
                &path,
                &format!("label `{}`, version {}", state.label, state.version),
            )),
            Err(e) => Err(not_ours(&path, "it does not parse").caused_by(e)),
        }
    }

    pub fn save(&self, root: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::bug("a state does not serialise").caused_by(e))?;
        write_private(&root.join(STATE), text.as_bytes())
    }
}

fn not_ours(path: &Path, why: &str) -> Error {
    Error::new(
        &NOT_OURS,
        format!(
            "`{}` is not a sandbox of this program: {why}",
            path.display()
        ),
    )
    .hint("Choose another folder; nothing in this one was touched.")
}

/// The folder while one command works on it.
pub(super) struct Held {
    pub layout: Layout,
    pub state: State,
    _lock: fs::File,
}

impl Held {
    /// Takes the folder, making it if it does not exist. A folder that holds anything else is refused.
    pub async fn make(root: &Path, events: &Events, cancel: &Cancel) -> Result<Held> {
        refuse_foreign(root)?;
        // Postgres drops privileges, and must be able to pass through.
        make_dir(root, 0o755)?;
        let held = lock(root, events, cancel).await?;
        let root = root
            .canonicalize()
            .map_err(|e| Error::io("resolve", root, e))?;
        refuse_foreign(&root)?;
        let state = match State::load(&root)? {
            Some(state) => state,
            None => {
                let state = State::new();
                state.save(&root)?;
                state
            }
        };
        Ok(Held {
            layout: Layout { root },
            state,
            _lock: held,
        })
    }

    /// Takes the folder of an existing sandbox; `None` if there is none.
    pub async fn take(root: &Path, events: &Events, cancel: &Cancel) -> Result<Option<Held>> {
        if State::load(root)?.is_none() {
            return Ok(None);
        }
        let held = lock(root, events, cancel).await?;
        let root = root
            .canonicalize()
            .map_err(|e| Error::io("resolve", root, e))?;
        // Another command may have removed it while we waited.
        Ok(State::load(&root)?.map(|state| Held {
            layout: Layout { root },
            state,
            _lock: held,
        }))
    }

    pub fn save(&self) -> Result<()> {
        self.state.save(&self.layout.root)
    }

    /// Removes what the sandbox has made, and the folder if nothing else is in it. The label goes last, so that a
    /// removal that was cut short can be repeated.
    pub fn remove(self) -> Result<()> {
        let root = &self.layout.root;
        for part in Part::ALL {
            let folder = self.layout.part(part);
            if super::servers::Record::load(&folder)?.is_none() && holds_files(&folder)? {
                return Err(not_ours(&folder, "it holds no record of a server"));
            }
        }
        let folders = Part::ALL.map(|part| self.layout.part(part)).into_iter();
        let ours = folders.chain([
            root.join("secrets"),
            self.layout.keys(),
            self.layout.repository(),
            self.layout.evidence(),
            self.layout.state(),
        ]);
        for folder in ours {
            gone(&folder, fs::remove_dir_all(&folder))?;
        }
        let variables = root.join(super::variables::FILE);
        for file in [
            variables,
            self.layout.config(),
            root.join(STATE),
            root.join(LOCK),
        ] {
            gone(&file, fs::remove_file(&file))?;
        }
        match fs::remove_dir(root) {
            Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
            done => gone(root, done),
        }
    }
}

/// Whether a folder holds more than what a start leaves that was killed before its first record.
fn holds_files(folder: &Path) -> Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io("list", folder, e)),
    };
    for entry in entries {
        let name = entry.map_err(|e| Error::io("list", folder, e))?.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(".lock") && !name.starts_with("server.tmp") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn gone(path: &Path, removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

fn refuse_foreign(root: &Path) -> Result<()> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("list", root, e)),
    };
    if State::load(root)?.is_some() {
        return Ok(());
    }
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", root, e))?;
        // A first `up` that was killed early leaves the lock, or a state half written.
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name != LOCK && !name.starts_with("sandbox.tmp") {
            return Err(not_ours(root, &format!("it holds `{name}` and no label")));
        }
    }
    Ok(())
}

async fn lock(root: &Path, events: &Events, cancel: &Cancel) -> Result<fs::File> {
    let path = root.join(LOCK);
    let mut told = false;
    poll(
        "the end of another command on this sandbox",
        Deadline::after(LOCK_PATIENCE),
        Duration::from_millis(200),
        || {
            let attempt = try_lock(&path, cancel);
            if !told && matches!(attempt, Ok(Look::NotYet(_))) {
                told = true;
                events.note("another command works on this sandbox: waiting for it");
            }
            std::future::ready(attempt)
        },
    )
    .await
    .map_err(|e| {
        if e.reason() == &crate::error::TIMEOUT {
            Error::new(&BUSY, format!("`{}` is in use", root.display())).caused_by(e)
        } else {
            e
        }
    })
}

fn try_lock(path: &Path, cancel: &Cancel) -> Result<Look<fs::File>> {
    cancel.check()?;
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| Error::io("open", path, e))?;
    match file.try_lock() {
        // `down --purge` removes the file it holds: a lock on a removed file locks nobody out.
        Ok(()) if !same_file(&file, path) => Ok(Look::NotYet("the lock was replaced".into())),
        Ok(()) => Ok(Look::Ready(file)),
        Err(fs::TryLockError::WouldBlock) => {
            Ok(Look::NotYet(format!("`{}` is locked", path.display())))
        }
        Err(fs::TryLockError::Error(e)) => Err(Error::io("lock", path, e)),
    }
}

fn same_file(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> PathBuf {
        let dir = std::env::temp_dir().join(format!(
            "summitctl-folder-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[tokio::test]
    async fn a_folder_with_anything_else_is_refused_and_left_alone() {
        let root = scratch();
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("thesis.txt"), "x").unwrap();
        let refused = Held::make(&root, &Events::silent(), &Cancel::new()).await;
        let error = refused.err().expect("refused");
        assert_eq!(error.reason(), &NOT_OURS);
        assert!(error.to_string().contains("thesis.txt"), "{error}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        assert!(
            Held::take(&root, &Events::silent(), &Cancel::new())
                .await
                .unwrap()
                .is_none()
        );
        fs::remove_dir_all(&root).unwrap();
    }

    #[tokio::test]
    async fn removal_takes_what_is_ours_and_keeps_what_is_not() {
        let root = scratch();
        let held = Held::make(&root, &Events::silent(), &Cancel::new())
            .await
            .unwrap();
        fs::create_dir_all(held.layout.repository()).unwrap();
        fs::write(root.join("notes.txt"), "mine").unwrap();
        held.remove().unwrap();
        let left: Vec<_> = fs::read_dir(&root)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["notes.txt"]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[tokio::test]
    async fn two_commands_do_not_work_on_one_sandbox_at_once() {
        let root = scratch();
        let (events, cancel) = (Events::silent(), Cancel::new());
        let first = Held::make(&root, &events, &cancel).await.unwrap();
        assert!(matches!(
            try_lock(&root.join(LOCK), &cancel),
            Ok(Look::NotYet(_))
        ));
        cancel.raise();
        let interrupted = Held::take(&root, &events, &cancel).await;
        assert_eq!(
            interrupted.err().expect("interrupted").reason().code,
            "run.not-begun"
        );
        first.remove().unwrap();
        assert!(!root.exists());
    }
}
