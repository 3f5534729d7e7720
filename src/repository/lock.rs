//! Locks on a repository: many may write backups at once, one alone may change keys.
//!
//! A lock is an object of its own, with a name that is never used again. Its holder creates it and then looks for others:
//! of two that meet, at least one sees the other and steps back, and deleting a dead holder's lock can never
//! hit a live one. A holder is known to be dead only on the machine and in the pid namespace that it ran in, or on the same
//! machine after another boot.

use std::collections::HashSet;
use std::fs;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::format::{self, VERSION};
use super::names::{BackupId, LOCKS, hex, random};
use super::store::{Created, Object, Store};
use super::{DAMAGED, LOCKED, Repository};
use crate::error::{Error, Result};
use crate::pid::{self, Process};
use crate::time::Instant;

/// How often a holder that met another tries again before it reports: both may have stepped back.
const ATTEMPTS: u32 = 4;
/// A lock document is this large at most.
const LIMIT: u64 = 64 << 10;

/// What a lock excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Excludes exclusive locks: backups are written.
    Shared,
    /// Excludes exclusive locks and its like: backups are held, released and removed, and segments collected. Backups
    /// are written beside it.
    Collect,
    /// Excludes every other lock: keys are changed.
    Exclusive,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Holder {
    /// Format version: 1.
    pub version: u32,
    /// What it excludes.
    pub mode: Mode,
    /// What it is held for, such as `backup 20261121T030405Z-9f3a`.
    pub purpose: String,
    /// The machine's name.
    pub host: String,
    /// The running system and pid namespace in which a pid means something, and the machine's own id, if it has one.
    pub machine: String,
    /// The process.
    pub process: Process,
    /// Since when.
    pub since: Instant,
    /// Tells this lock from every other.
    pub token: String,
}

impl Holder {
    fn new(mode: Mode, purpose: &str) -> Result<Holder> {
        Ok(Holder {
            version: VERSION,
            mode,
            purpose: purpose.to_owned(),
            host: pid::host_name(),
            machine: machine(),
            process: Process::current(),
            since: Instant::now(),
            token: hex(&random::<16>()?),
        })
    }

    fn name(&self) -> String {
        format!("{LOCKS}{}.json", self.token)
    }

    fn excludes(&self, other: Mode) -> bool {
        !matches!(
            (self.mode, other),
            (Mode::Shared, Mode::Shared | Mode::Collect) | (Mode::Collect, Mode::Shared)
        )
    }

    /// Whether its holder certainly is no more. A process of another machine may live for all we know.
    fn is_dead(&self) -> bool {
        let here = machine();
        if self.host == pid::host_name() && rebooted(&self.machine, &here) {
            return true;
        }
        if !same_system(&self.machine, &here) {
            return false;
        }
        if self.process == Process::current() {
            return !mine().contains(&self.token);
        }
        !self.process.alive()
    }

    /// Whether nobody can tell here whether it lives: then a person has to.
    pub fn is_elsewhere(&self) -> bool {
        !same_system(&self.machine, &machine())
    }

    /// What to do about a holder that nobody here can look at: a sentence with the command.
    pub fn advice(&self) -> String {
        format!(
            "If that process is surely no more, remove its lock with `summitctl backup unlock {0} --confirm {0}`; in a copy, name the copy with `--repository`.",
            self.token
        )
    }

    /// Whether it is held for this backup.
    pub(super) fn works_on(&self, backup: &BackupId) -> bool {
        self.purpose.ends_with(backup.as_str())
    }

    /// The holder in a few words.
    pub fn describe(&self) -> String {
        format!(
            "`{}` by process {} on `{}` since {}",
            self.purpose,
            self.process.pid,
            self.host,
            self.since.human()
        )
    }
}

/// A lock that is held. [`Lock::release`] gives it back; a dropped one is dead, and is given back when it can be.
#[derive(Debug)]
pub struct Lock {
    store: Arc<dyn Store>,
    holder: Holder,
    released: bool,
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub async fn acquire(store: &Arc<dyn Store>, mode: Mode, purpose: &str) -> Result<Lock> {
        store.prove().await?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match try_acquire(store, mode, purpose).await? {
                Ok(lock) => return Ok(lock),
                Err(other) if attempt >= ATTEMPTS => return Err(locked(store.as_ref(), &other)),
                Err(_) => {
                    let [byte] = random::<1>()?;
                    tokio::time::sleep(Duration::from_millis(20 + u64::from(byte) / 2)).await;
                }
            }
        }
    }

    /// Fails if somebody took the lock away: its holder must change nothing more.
    pub(super) async fn still_held(&self) -> Result<()> {
        match self.store.head(&self.holder.name()).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(
                &LOCKED,
                format!(
                    "the lock of `{}` was removed by somebody else meanwhile",
                    self.holder.purpose
                ),
            )
            .hint("Find out who removes locks of living processes, and run the command again.")),
        }
    }

    /// Gives the lock back.
    pub async fn release(mut self) -> Result<()> {
        self.store.delete(&self.holder.name()).await?;
        self.released = true;
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        mine().remove(&self.holder.token);
        if self.released {
            return;
        }
        // Best effort: whoever comes next sees that the holder is dead.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, name) = (Arc::clone(&self.store), self.holder.name());
            runtime.spawn(async move { store.delete(&name).await });
        }
    }
}

/// Everybody who holds a lock now; the dead are removed on the way.
pub(super) async fn holders(store: &dyn Store) -> Result<Vec<Holder>> {
    let mut alive = Vec::new();
    for holder in all(store).await? {
        if holder.is_dead() {
            store.delete(&holder.name()).await?;
        } else {
            alive.push(holder);
        }
    }
    Ok(alive)
}

/// The holders of every lock that is there, dead or alive.
async fn all(store: &dyn Store) -> Result<Vec<Holder>> {
    let mut all = Vec::new();
    for entry in store.list(LOCKS).await? {
        let Some(bytes) = store.get(&entry.name, LIMIT).await? else {
            continue;
        };
        let holder: Holder = format::from_bytes(&bytes, &entry.name)?;
        if holder.name() != entry.name {
            return Err(Error::new(
                &DAMAGED,
                format!("the lock `{}` names itself `{}`", entry.name, holder.name()),
            ));
        }
        all.push(holder);
    }
    Ok(all)
}

impl Repository {
    /// Whoever holds a lock now; nothing is removed for it.
    pub async fn locks(&self) -> Result<Vec<Holder>> {
        let mut all = all(self.store.as_ref()).await?;
        all.retain(|holder| !holder.is_dead());
        Ok(all)
    }

    /// Removes a lock for somebody who knows that its holder is no more. Refused where the holder is seen to live.
    pub async fn break_lock(&self, holder: &Holder) -> Result<()> {
        if !holder.is_elsewhere() && !holder.is_dead() {
            return Err(locked(self.store.as_ref(), holder));
        }
        self.store.delete(&holder.name()).await.map(drop)
    }
}

async fn try_acquire(
    store: &Arc<dyn Store>,
    mode: Mode,
    purpose: &str,
) -> Result<std::result::Result<Lock, Holder>> {
    if let Some(other) = conflict(store.as_ref(), mode, "").await? {
        return Ok(Err(other));
    }
    let holder = Holder::new(mode, purpose)?;
    let object = Object::new(format::to_bytes(&holder)?);
    mine().insert(holder.token.clone());
    let lock = Lock {
        store: Arc::clone(store),
        holder,
        released: false,
    };
    if store.create(&lock.holder.name(), &object).await? == Created::Exists {
        return Err(Error::bug("a lock's random name was taken"));
    }
    match conflict(store.as_ref(), mode, &lock.holder.token).await? {
        None => Ok(Ok(lock)),
        Some(other) => {
            lock.release().await?;
            Ok(Err(other))
        }
    }
}

async fn conflict(store: &dyn Store, mode: Mode, ours: &str) -> Result<Option<Holder>> {
    let others = holders(store).await?;
    Ok(others
        .into_iter()
        .find(|other| other.token != ours && other.excludes(mode)))
}

fn locked(store: &dyn Store, holder: &Holder) -> Error {
    let place = store.place();
    let error = Error::new(
        &LOCKED,
        format!("the repository `{place}` is locked: {}", holder.describe()),
    );
    if holder.is_elsewhere() {
        error.hint(holder.advice())
    } else {
        error.hint("Wait until it has ended; a dead holder's lock is removed by the next command.")
    }
}

/// The tokens of the locks that this process holds.
fn mine() -> std::sync::MutexGuard<'static, HashSet<String>> {
    static HELD: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first pid namespace of a running system (`PROC_PID_INIT_INO` of Linux's `include/linux/proc_ns.h`): what runs there does
/// not outlive it.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// The running system, the pid namespace and the machine's id, as [`machine`] writes them down.
fn parts(machine: &str) -> Option<(&str, &str, &str)> {
    let mut words = machine.split(' ');
    let (boot, namespace) = (words.next()?, words.next()?);
    Some((boot, namespace, words.next().unwrap_or_default()))
}

/// Whether a pid of one means the same process in the other.
fn same_system(one: &str, other: &str) -> bool {
    match (parts(one), parts(other)) {
        (Some(one), Some(other)) => (one.0, one.1) == (other.0, other.1),
        _ => false,
    }
}

/// Whether `now` is a later boot of the machine that `then` was, or an earlier one. A container's processes say nothing of its
/// machine's boots, and what has no id cannot be known again.
fn rebooted(then: &str, now: &str) -> bool {
    let (Some(then), Some(now)) = (parts(then), parts(now)) else {
        return false;
    };
    let first = [then.1, now.1] == [FIRST_NAMESPACE; 2];
    first && !then.2.is_empty() && then.2 == now.2 && then.0 != now.0
}

/// The running system and the pid namespace: containers of one machine share the first and not the second.
fn machine() -> String {
    let boot = pid::boot_id();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if boot.is_empty() || namespace.as_os_str().is_empty() {
        // Nothing is known, so nothing may be concluded.
        return String::new();
    }
    let text = format!("{boot} {} {}", namespace.display(), pid::machine_id());
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::local::LocalStore;
    use super::super::tests::support::Folder;
    use super::*;

    fn store(folder: &Folder) -> Arc<dyn Store> {
        Arc::new(LocalStore::new(folder.path()))
    }

    #[tokio::test]
    async fn backups_share_and_key_changes_exclude() {
        let folder = Folder::new();
        let store = store(&folder);
        let one = Lock::acquire(&store, Mode::Shared, "backup one")
            .await
            .unwrap();
        let two = Lock::acquire(&store, Mode::Shared, "backup two")
            .await
            .unwrap();
        let error = Lock::acquire(&store, Mode::Exclusive, "keys")
            .await
            .unwrap_err();
        assert_eq!(error.reason(), &LOCKED);
        assert!(error.to_string().contains("backup "), "{error}");
        assert!(error.to_string().contains(&pid::host_name()), "{error}");
        one.release().await.unwrap();
        two.release().await.unwrap();
        let keys = Lock::acquire(&store, Mode::Exclusive, "keys")
            .await
            .unwrap();
        assert!(Lock::acquire(&store, Mode::Shared, "backup").await.is_err());
        keys.release().await.unwrap();
        assert!(store.list(LOCKS).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_dead_are_cleared_and_strangers_are_not() {
        let folder = Folder::new();
        let store = store(&folder);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut dead = Holder::new(Mode::Exclusive, "a killed run").unwrap();
        dead.process.pid = child.id().try_into().unwrap();
        child.wait().unwrap();
        let put = async |holder: &Holder| {
            let object = Object::new(format::to_bytes(holder).unwrap());
            store.create(&holder.name(), &object).await.unwrap();
        };
        put(&dead).await;
        // A recycled pid: alive, but started at another time.
        let mut recycled = Holder::new(Mode::Exclusive, "an older run").unwrap();
        recycled.process.start_ticks += 1;
        put(&recycled).await;
        Lock::acquire(&store, Mode::Exclusive, "keys")
            .await
            .unwrap()
            .release()
            .await
            .unwrap();

        let mut stranger = Holder::new(Mode::Exclusive, "elsewhere").unwrap();
        stranger.machine = "another".to_owned();
        stranger.process = dead.process.clone();
        put(&stranger).await;
        let error = Lock::acquire(&store, Mode::Shared, "backup")
            .await
            .unwrap_err();
        let unlock = format!("backup unlock {}", stranger.token);
        assert!(
            error.hints().iter().any(|h| h.contains(&unlock)),
            "{error:?}"
        );
        assert_eq!(holders(store.as_ref()).await.unwrap(), [stranger]);
    }

    #[test]
    fn an_earlier_boot_of_the_same_machine_holds_nothing() {
        let now = "boot-2 pid:[4026531836] 0123abcd";
        for (then, gone) in [
            ("boot-1 pid:[4026531836] 0123abcd", true),
            // The same boot, another machine, a container, and a machine without an id.
            ("boot-2 pid:[4026531836] 0123abcd", false),
            ("boot-1 pid:[4026531836] 4567abcd", false),
            ("boot-1 pid:[4026532177] 0123abcd", false),
            ("boot-1 pid:[4026531836]", false),
            ("", false),
        ] {
            assert_eq!(rebooted(then, now), gone, "{then}");
        }
        let in_container = "boot-2 pid:[4026532177] 0123abcd";
        assert!(!rebooted("boot-1 pid:[4026531836] 0123abcd", in_container));
        assert!(!rebooted(
            "boot-1 pid:[4026531836]",
            "boot-2 pid:[4026531836]"
        ));
        // A lock of an earlier release names no machine.
        assert!(same_system("boot-2 pid:[4026531836]", now));
        assert!(!same_system("", "") && !same_system("boot-2 pid:[4026532177]", now));
    }

    #[tokio::test]
    async fn a_dropped_lock_does_not_outlive_its_holder() {
        let folder = Folder::new();
        let store = store(&folder);
        drop(
            Lock::acquire(&store, Mode::Exclusive, "dropped")
                .await
                .unwrap(),
        );
        Lock::acquire(&store, Mode::Exclusive, "next")
            .await
            .unwrap();
    }
}
