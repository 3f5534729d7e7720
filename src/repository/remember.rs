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
use super::{DAMAGED, Lock, Mode, NOT_GONE, ROLLED_BACK, Repository, read_doc};
use crate::error::{Error, Report, Result};
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
struct MemoryDoc {
    version: u32,
    repository: String,
    place: String,
    /// The newest `repository.json` that was seen here.
    generation: u64,
    /// When it was first seen.
    since: Instant,
    /// The manifests that were seen here, and whose removal nobody stated.
    backups: BTreeMap<BackupId, Digest>,
}

impl Remembered {
    /// What is remembered; nothing if there is no such file, or it is not what was written.
    fn read(&self) -> Option<MemoryDoc> {
        let doc: MemoryDoc = serde_json::from_slice(&fs::read(&self.file).ok()?).ok()?;
        (doc.version == VERSION).then_some(doc)
    }

    /// Keeps it, if that is possible. Another process may do so at the same time: the next one adds what is missing then.
    fn write(&self, doc: &MemoryDoc) {
        let temporary = self
            .file
            .with_extension(format!("tmp{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
            fs::write(&temporary, serde_json::to_vec(doc)?)?;
            fs::rename(&temporary, &self.file)
        };
        if write().is_err() {
            let _ = fs::remove_file(&temporary);
        }
    }
}

impl Repository {
    /// The same repository with this host's memory of it, in a folder of its own. An error if what is shown is older than
    /// what was seen here before.
    pub fn remembering(mut self, folder: &Path) -> Result<Repository> {
        let place = blake3::hash(self.place().as_bytes());
        let name = format!("{}-{}.json", self.id(), hex(&place.as_bytes()[..4]));
        let remembered = Remembered {
            file: folder.join(name),
        };
        // What nobody proved is not remembered: it could lock out whoever comes with the right one.
        if self.writing_keys().is_err() {
            return Ok(self);
        }
        let known = remembered.read();
        let seen = known.as_ref().map_or(0, |doc| doc.generation);
        match (self.doc.generation, known) {
            (shown, Some(known)) if shown < seen => {
                return Err(Error::new(
                    &ROLLED_BACK,
                    format!(
                        "`repository.json` of `{}` is an older one: number {shown}, and this host saw number {seen} at {}",
                        self.place(),
                        known.since.human()
                    ),
                )
                .hint("Its signers and operators may be those of the past. Put the newer one back, from a version of the bucket or a copy of the repository.")
                .hint(format!(
                    "If the storage was recovered from an older state on purpose, let this host forget: `rm '{}'`, and run `summitctl backup list`.",
                    remembered.file.display()
                )));
            }
            (shown, Some(known)) if shown > seen => remembered.write(&MemoryDoc {
                generation: shown,
                since: Instant::now(),
                ..known
            }),
            (_, Some(_)) => {}
            (shown, None) => remembered.write(&MemoryDoc {
                version: VERSION,
                repository: self.id().to_owned(),
                place: self.place(),
                generation: shown,
                since: Instant::now(),
                backups: BTreeMap::new(),
            }),
        }
        self.remembered = Some(remembered.into());
        Ok(self)
    }

    /// Refuses a `repository.json` that is older than the one in another place, which was to be brought up to it.
    pub(super) async fn not_older_than(&self, there: &RepositoryDoc, place: &str) -> Result<()> {
        let (mut ours, theirs) = (self.doc.generation, there.generation);
        if ours < theirs {
            // It may have been changed since it was opened.
            ours = read_doc(self.store.as_ref()).await?.generation;
        }
        if ours >= theirs {
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
        let whole = backups.filter(|b| b.problem.is_none());
        let mut changed = false;
        for (id, signed) in whole.filter_map(|b| Some((&b.id, b.signed.as_ref()?))) {
            changed |= doc
                .backups
                .insert(id.clone(), signed.manifest_sha256)
                .is_none();
        }
        if changed {
            memory.write(&doc);
        }
    }

    /// Backups that this host saw here, that are not here any more, and that nobody stated to have removed.
    pub(super) fn gone(
        &self,
        here: &BTreeSet<BackupId>,
        removed: &BTreeSet<BackupId>,
    ) -> Vec<BackupId> {
        let Some((memory, mut doc)) = self.memory() else {
            return Vec::new();
        };
        let known = doc.backups.len();
        doc.backups
            .retain(|id, _| !removed.contains(id) || here.contains(id));
        if doc.backups.len() < known {
            memory.write(&doc);
        }
        doc.backups
            .into_keys()
            .filter(|id| !here.contains(id))
            .collect()
    }

    /// The same, asked of the store now.
    pub async fn missing_backups(&self) -> Result<Vec<BackupId>> {
        let here = self.ids().await?.into_iter().collect();
        // After it: a prune states what it removes before it removes it.
        let removed = self.removed_ids().await?.into_iter().collect();
        Ok(self.gone(&here, &removed))
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
        Ok(self.removal(id).await?.is_some())
    }

    fn memory(&self) -> Option<(&Remembered, MemoryDoc)> {
        let memory = self.remembered.as_deref()?;
        let doc = memory.read().filter(|doc| doc.repository == self.id())?;
        Some((memory, doc))
    }
}

impl Backup {
    /// A backup that is gone, as a list shows it.
    pub(super) fn gone(id: BackupId, place: &str) -> Backup {
        let error = Error::new(
            &DAMAGED,
            format!("this host saw the backup `{id}` in `{place}`; it is gone, and nobody stated its removal"),
        )
        .hint("Put it back from a copy or from a version of the bucket. Until then no segment is collected.")
        .hint(format!("If it was removed on purpose: `summitctl backup forget {id}`."));
        Backup {
            problem: Some(Report::from(&error)),
            ..Backup::unread(id)
        }
    }
}
