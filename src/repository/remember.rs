//! What this host has seen of a repository, kept where the storage cannot change it.
//!
//! Storage can forget a whole backup, or show an older state of everything, and each object is still as it was signed. Only
//! who remembers can tell. The memory is an aid: where it is lost, or cannot be written, nothing is claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::catalog::Backup;
use super::format::{RepositoryDoc, VERSION};
use super::names::{BackupId, Digest, hex};
use super::{GONE, Lock, Mode, NOT_GONE, ROLLED_BACK, Repository, prove, read_doc};
use crate::durable;
use crate::error::{Error, Report, Result};
use crate::exit::Exit;
use crate::sign::SigningKey;
use crate::time::Instant;

/// The memory of one repository in one place.
#[derive(Debug)]
pub(super) struct Remembered {
    file: PathBuf,
}

/// `<state>/repositories/<id>-<place>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MemoryDoc {
    version: u32,
    repository: String,
    place: String,
    /// The newest `repository.json` that was seen here.
    generation: u64,
    /// When it was first seen.
    since: Instant,
    /// The manifests that were seen here, and whose removal nobody stated.
    backups: BTreeMap<BackupId, Digest>,
    /// What was seen to be stated of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    stated: BTreeMap<BackupId, Stated>,
}

/// What hosts stated of a backup and storage could forget without a trace: what comes last of its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Stated {
    /// The number of its last hold or release.
    pub holds: u32,
    /// The names of its records of restores.
    pub restores: BTreeSet<String>,
}

impl MemoryDoc {
    /// What was seen to be stated of a backup.
    pub(super) fn stated(&self, id: &BackupId) -> Stated {
        self.stated.get(id).cloned().unwrap_or_default()
    }

    /// Adds what is stated of a backup now; whether that is news.
    fn see(&mut self, id: &BackupId, now: &Stated) -> bool {
        if *now == Stated::default() {
            return false;
        }
        let known = self.stated.entry(id.clone()).or_default();
        let was = known.clone();
        known.holds = known.holds.max(now.holds);
        known.restores.extend(now.restores.iter().cloned());
        *known != was
    }

    /// The backups that were seen.
    pub(super) fn ids(&self) -> BTreeSet<BackupId> {
        self.backups.keys().cloned().collect()
    }
}

impl Remembered {
    /// What is remembered; `None` if there is nothing yet, or it is not what was written. An error leaves the file alone.
    fn read(&self) -> std::io::Result<Option<MemoryDoc>> {
        let bytes = match fs::read(&self.file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let doc: Option<MemoryDoc> = serde_json::from_slice(&bytes).ok();
        match doc {
            // A newer program's.
            Some(doc) if doc.version != VERSION => Err(std::io::ErrorKind::Unsupported.into()),
            doc => Ok(doc),
        }
    }

    /// Keeps it. Another process may do so at the same time: the next one adds what is missing then.
    fn write(&self, doc: &MemoryDoc) -> std::io::Result<()> {
        fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
        durable::write(&self.file, &serde_json::to_vec(doc)?).map_err(std::io::Error::other)
    }
}

impl Repository {
    /// The same repository with this host's memory of it, in a folder of its own; without one where it cannot be read or written. An
    /// error if what is shown is older than what was seen here before.
    pub async fn remembering(mut self, folder: &Path) -> Result<Repository> {
        let place = blake3::hash(self.store.where_it_is().as_bytes());
        let name = format!("{}-{}.json", self.id(), hex(&place.as_bytes()[..4]));
        let remembered = Remembered {
            file: folder.join(name),
        };
        // What nobody proved is not remembered: it could lock out whoever comes with the right one.
        if self.remembered.is_some() || self.writing_keys().is_err() {
            return Ok(self);
        }
        let Ok(known) = remembered.read() else {
            return Ok(self);
        };
        let seen = known.as_ref().map_or(0, |doc| doc.generation);
        let mut shown = self.doc.generation;
        if shown < seen {
            // Somebody may have changed it since it was opened, and remembered that.
            shown = read_doc(self.store.as_ref()).await?.generation;
        }
        let kept = match known {
            Some(known) if shown < seen => {
                return Err(self.rolled_back(shown, &known, &remembered.file));
            }
            Some(known) if shown > seen => remembered.write(&MemoryDoc {
                generation: shown,
                since: Instant::now(),
                ..known
            }),
            Some(_) => Ok(()),
            None => remembered.write(&MemoryDoc {
                version: VERSION,
                repository: self.id().to_owned(),
                place: self.place(),
                generation: shown,
                since: Instant::now(),
                backups: BTreeMap::new(),
                stated: BTreeMap::new(),
            }),
        };
        if kept.is_ok() {
            self.remembered = Some(remembered.into());
        }
        Ok(self)
    }

    fn rolled_back(&self, shown: u64, known: &MemoryDoc, file: &Path) -> Error {
        let place = self.place();
        let (seen, since) = (known.generation, known.since.human());
        Error::new(
            &ROLLED_BACK,
            format!("`repository.json` of `{place}` is an older one: number {shown}, and this host saw number {seen} at {since}"),
        )
        .hint(format!(
            "If the storage was recovered from an older state on purpose, let this host forget what it saw, and go on: `rm '{}'`.",
            file.display()
        ))
        .hint("Otherwise put the newer one back, from a version of the bucket or a copy of the repository: the signers and operators of this one may be those of the past.")
    }

    /// Refuses a `repository.json` that is older than the one in another place, which was to be brought up to it.
    pub(super) async fn not_older_than(&self, there: &RepositoryDoc, place: &str) -> Result<()> {
        let (mut ours, theirs) = (self.doc.generation, there.generation);
        if ours < theirs {
            // It may have been changed since it was opened.
            ours = read_doc(self.store.as_ref()).await?.generation;
        }
        // A number that nobody proved is anybody's; of keys that are unknown here, nobody can tell.
        let last = there.epochs.last().map_or(0, |e| e.epoch);
        let proven = self
            .keys_of(last)
            .map_or(true, |keys| prove(there, keys).is_ok());
        if ours >= theirs || !proven {
            return Ok(());
        }
        Err(Error::new(
            &ROLLED_BACK,
            format!(
                "`repository.json` of `{}` is number {ours}, and the one in `{place}` is a newer one: number {theirs}",
                self.place()
            ),
        )
        .hint("Find out whether the repository was put back to the past; the newer one may be the one to keep. Nothing was changed."))
    }

    /// Remembers the backups that are whole.
    pub(super) fn remember<'a>(&self, backups: impl Iterator<Item = &'a Backup>) {
        let Some((memory, mut doc)) = self.memory() else {
            return;
        };
        let mut changed = false;
        for backup in backups.filter(|b| b.problem.is_none()) {
            if let Some(signed) = &backup.signed {
                let id = backup.id.clone();
                let before = doc.backups.insert(id, signed.manifest_sha256);
                changed |= before.is_none() | doc.see(&backup.id, &backup.stated);
            }
        }
        if changed {
            // Where it cannot be kept, the next look tries again.
            let _ = memory.write(&doc);
        }
    }

    /// Remembers no more of a backup than this, which somebody trusted just stated.
    pub(super) fn restate(&self, id: &BackupId, change: impl FnOnce(&mut Stated)) {
        if let Some((memory, mut doc)) = self.memory() {
            change(doc.stated.entry(id.clone()).or_default());
            let _ = memory.write(&doc);
        }
    }

    /// What this host remembers. To be asked before the store is: what is stated meanwhile is not missed.
    pub(super) fn known(&self) -> Option<MemoryDoc> {
        self.memory().map(|(_, doc)| doc)
    }

    /// The backups that this host remembers; `None` if it has no memory. To be asked before the store is: what is published meanwhile
    /// is not missed.
    pub(super) fn remembered_ids(&self) -> Option<BTreeSet<BackupId>> {
        Some(self.known()?.ids())
    }

    /// Those of the remembered backups that are not here and that nobody who is trusted stated to have removed. The others are forgotten.
    pub(super) async fn gone(
        &self,
        known: BTreeSet<BackupId>,
        here: &BTreeSet<BackupId>,
        removed: &BTreeSet<BackupId>,
    ) -> Result<Vec<BackupId>> {
        let (mut gone, mut stated) = (Vec::new(), Vec::new());
        for id in known.into_iter().filter(|id| !here.contains(id)) {
            // Anybody who writes to the storage can put something in the statement's place.
            if removed.contains(&id) && self.is_removed(&id).await? {
                stated.push(id);
            } else {
                gone.push(id);
            }
        }
        if !stated.is_empty()
            && let Some((memory, mut doc)) = self.memory()
        {
            doc.backups.retain(|id, _| !stated.contains(id));
            doc.stated.retain(|id, _| !stated.contains(id));
            let _ = memory.write(&doc);
        }
        Ok(gone)
    }

    /// The same, asked of the store now; `None` if this host has no memory of the repository.
    pub async fn missing_backups(&self) -> Result<Option<Vec<BackupId>>> {
        let Some(known) = self.remembered_ids() else {
            return Ok(None);
        };
        let here = self.ids().await?.into_iter().collect();
        // After it: a prune states what it removes before it removes it.
        let removed = self.removed_ids().await?.into_iter().collect();
        self.gone(known, &here, &removed).await.map(Some)
    }

    /// States that a backup which is not there any more was removed, so that its segments may be collected.
    pub async fn forget(&self, id: &BackupId, key: &SigningKey) -> Result<()> {
        self.check_signer(key)?;
        let lock = Lock::acquire(&self.store, Mode::Collect, &format!("forget {id}")).await?;
        let stated = self.state_gone(id, key).await;
        lock.release().await?;
        stated
    }

    async fn state_gone(&self, id: &BackupId, key: &SigningKey) -> Result<()> {
        if self.store.head(&id.manifest()).await?.is_some() {
            return Err(Error::new(
                &NOT_GONE,
                format!("the backup `{id}` is there: it is not forgotten, but removed by a prune"),
            )
            .hint("See what the rules say of it: `summitctl backup prune --dry-run`."));
        }
        let known = self
            .memory()
            .and_then(|(_, doc)| doc.backups.get(id).copied());
        let manifest = known.ok_or_else(|| self.no_such(id))?;
        self.state_removal(id, manifest, key).await
    }

    /// Whether somebody trusted stated that the backup was removed.
    pub async fn is_removed(&self, id: &BackupId) -> Result<bool> {
        match self.removal(id).await {
            Ok(at) => Ok(at.is_some()),
            // Nobody who is trusted said so.
            Err(e) if e.exit() == Exit::Integrity => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn memory(&self) -> Option<(&Remembered, MemoryDoc)> {
        let memory = self.remembered.as_deref()?;
        let doc = memory.read().ok()??;
        let doc = Some(doc).filter(|doc| doc.repository == self.id())?;
        Some((memory, doc))
    }
}

impl Repository {
    /// Why there is no such backup: it never was, or this host saw it and it is gone.
    pub(super) async fn absent(&self, id: &BackupId) -> Error {
        let seen = self.remembered_ids().is_some_and(|ids| ids.contains(id));
        if seen && matches!(self.is_removed(id).await, Ok(false)) {
            gone(id, &self.place())
        } else {
            self.no_such(id)
        }
    }
}

impl Backup {
    /// A backup that is gone, as a list shows it.
    pub(super) fn gone(id: BackupId, place: &str) -> Backup {
        Backup {
            problem: Some(Report::from(&gone(&id, place))),
            ..Backup::unread(id)
        }
    }
}

fn gone(id: &BackupId, place: &str) -> Error {
    Error::new(
        &GONE,
        format!("this host saw the backup `{id}` in `{place}`; it is gone, and nobody stated its removal"),
    )
    .hint("Put it back from a copy or from a version of the bucket. This host collects no segment until then; one that never saw the backup does.")
    .hint(format!("If it was removed on purpose: `summitctl backup forget {id}`."))
}
