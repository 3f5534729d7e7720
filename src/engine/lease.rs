//! The lease: one changing run per target at a time.
//!
//! A lease names its holder, is checked before each effect, and can be shown and broken. The file backend guards the
//! machines that share a state directory; it cannot fence a process that stopped between its check and its effect,
//! nor another machine with another state directory. Both are said in `lease show`.

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pid::{Process, boot_id, host_name};
use crate::reasons;
use crate::time::Instant;

reasons! {
    /// Somebody else holds it.
    HELD = "lease.held", Refused,
        "Another changing run holds the lease on this target. Wait for it, or look at it with `summitctl lease show`. If its \
         holder is known to be dead, `summitctl lease break NAME` removes it.";
    /// It is no longer ours.
    LOST = "lease.lost", Refused,
        "The lease was broken or taken while the run was under way, so the run stopped before its next effect. Find out who took it \
         with `summitctl lease show`, then `summitctl run resume`.";
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Holder {
    /// Format version: 1.
    pub version: u32,
    /// The lease's name: one per target.
    pub name: String,
    /// The run that holds it.
    pub run: String,
    /// What the run does.
    pub operation: String,
    /// The machine's host name.
    pub host: String,
    /// The machine's boot id, so that pids of an earlier boot are known to be dead.
    pub boot: String,
    /// Its process.
    pub process: Process,
    /// Since when.
    pub since: Instant,
}

impl Holder {
    /// This process, for `run`.
    pub fn this_process(name: &str, run: &str, operation: &str) -> Self {
        Holder {
            version: 1,
            name: name.to_owned(),
            run: run.to_owned(),
            operation: operation.to_owned(),
            host: host_name(),
            boot: boot_id(),
            process: Process::current(),
            since: Instant::now(),
        }
    }

    /// Whether the holder is known to have ended: same host and either an earlier boot or the process is gone.
    /// Another host's holder is never known to be dead.
    pub fn known_dead(&self) -> bool {
        self.host == host_name() && (self.boot != boot_id() || !self.process.alive())
    }

    fn same_process(&self, other: &Holder) -> bool {
        (&self.host, &self.boot, &self.process) == (&other.host, &other.boot, &other.process)
    }
}

/// A lease that is held.
#[async_trait]
pub trait Lease: Send + Sync {
    /// Fails with `lease.lost` if it is no longer ours.
    async fn check(&self) -> Result<()>;
}

/// No lease: for plans that only read.
pub struct NoLease;

#[async_trait]
impl Lease for NoLease {
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Leases as files in a directory.
#[derive(Debug, Clone)]
pub struct FileLeases {
    dir: PathBuf,
}

/// A set of file leases held by this process; dropping it releases them.
#[derive(Debug)]
pub struct FileLease {
    held: Vec<(PathBuf, Holder)>,
}

impl FileLeases {
    /// Leases kept in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        FileLeases { dir: dir.into() }
    }

    /// Takes every named lease, in name order so that two runs cannot deadlock. A holder that is known to be dead, or
    /// this same run's earlier process if known dead, is replaced.
    pub fn acquire(&self, names: &[String], run: &str, operation: &str) -> Result<FileLease> {
        fs::create_dir_all(&self.dir).map_err(|e| Error::io("create", &self.dir, e))?;
        let mut names: Vec<&String> = names.iter().collect();
        names.sort();
        names.dedup();
        // Built up step by step: an error on a later name releases the earlier ones by dropping this.
        let mut lease = FileLease { held: Vec::new() };
        for name in names {
            let holder = Holder::this_process(name, run, operation);
            let path = self.path(name);
            self.take(&path, &holder)?;
            lease.held.push((path, holder));
        }
        Ok(lease)
    }

    /// Every lease that is held, dead holders included.
    pub fn list(&self) -> Result<Vec<Holder>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("list", &self.dir, e)),
        };
        let mut holders = Vec::new();
        for entry in entries.flatten() {
            if entry.path().extension().is_some_and(|e| e == "lease")
                && let Some(holder) = read_holder(&entry.path())?
            {
                holders.push(holder);
            }
        }
        holders.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(holders)
    }

    /// Removes a lease whoever holds it; returns who did.
    pub fn break_lease(&self, name: &str) -> Result<Option<Holder>> {
        let path = self.path(name);
        let holder = read_holder(&path)?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(holder),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("remove", &path, e)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        let safe: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        // Two names that look alike once made safe must not share a file.
        let tag = &blake3::hash(name.as_bytes()).to_hex()[..8];
        self.dir.join(format!("{safe}-{tag}.lease"))
    }

    fn take(&self, path: &Path, holder: &Holder) -> Result<()> {
        // A name of its own for each attempt: containers that share the folder share pids too, and who writes to another's
        // file after it was linked changes the lease.
        let mut tag = [0_u8; 8];
        getrandom::fill(&mut tag).map_err(|e| Error::bug(format!("no random numbers: {e}")))?;
        let tag = u64::from_ne_bytes(tag);
        let temporary = path.with_extension(format!("tmp{tag:016x}"));
        let text = serde_json::to_vec(holder)
            .map_err(|e| Error::bug("a lease does not serialise").caused_by(e))?;
        fs::write(&temporary, text).map_err(|e| Error::io("write", &temporary, e))?;
        let result = self.link_or_replace_dead(&temporary, path, holder);
        let _ = fs::remove_file(&temporary);
        result
    }

    /// `link(2)` fails when the name exists, so exactly one of several processes gets it.
    fn link_or_replace_dead(&self, temporary: &Path, path: &Path, holder: &Holder) -> Result<()> {
        for _ in 0..16 {
            match fs::hard_link(temporary, path) {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create", path, e)),
            }
            let Some(other) = read_holder(path)? else {
                continue;
            };
            if other.same_process(holder) && other.run == holder.run {
                return Ok(());
            }
            if !other.known_dead() {
                return Err(held(&other));
            }
            // Move the dead lease aside under our own name: of several who try, one moves it and the others find nothing
            // or find a living holder on the next turn. What was moved is looked at again before it is dropped.
            let grave = temporary.with_extension("dead");
            if fs::rename(path, &grave).is_ok() {
                let moved = read_holder(&grave)?;
                if moved.as_ref().is_some_and(|m| !m.known_dead()) {
                    let _ = fs::hard_link(&grave, path);
                }
                let _ = fs::remove_file(&grave);
            }
        }
        Err(Error::new(
            &HELD,
            format!("the lease `{}` changes hands all the time", holder.name),
        ))
    }
}

fn held(other: &Holder) -> Error {
    Error::new(
        &HELD,
        format!(
            "the lease `{}` is held by run `{}` (`{}`, pid {} on `{}`) since {}",
            other.name,
            other.run,
            other.operation,
            other.process.pid,
            other.host,
            other.since.human()
        ),
    )
    .hint("Look at it with `summitctl lease show`.")
    .hint(format!(
        "If its holder is known to be dead, remove it with `summitctl lease break '{0}' --confirm '{0}'`.",
        other.name
    ))
}

fn read_holder(path: &Path) -> Result<Option<Holder>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::input(format!("`{}` is not a lease", path.display())).caused_by(e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

#[async_trait]
impl Lease for FileLease {
    async fn check(&self) -> Result<()> {
        for (path, ours) in &self.held {
            match read_holder(path)? {
                Some(holder)
                    if &holder == ours || (holder.same_process(ours) && holder.run == ours.run) => {
                }
                Some(other) => {
                    return Err(
                        Error::new(&LOST, format!("the lease `{}` was lost", ours.name))
                            .caused_by(held(&other)),
                    );
                }
                None => {
                    return Err(Error::new(
                        &LOST,
                        format!("the lease `{}` was broken", ours.name),
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Drop for FileLease {
    fn drop(&mut self) {
        for (path, ours) in &self.held {
            if let Ok(Some(holder)) = read_holder(path)
                && holder.same_process(ours)
                && holder.run == ours.run
            {
                let _ = fs::remove_file(path);
            }
        }
    }
}
