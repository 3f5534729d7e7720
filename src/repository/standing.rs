//! What hosts say of a whole backup: that it is held, released, or was removed.
//!
//! Holds and releases are numbered, and each names the one before it, so that one that is missing between others is
//! noticed. A removal is stated before anything is deleted and stays when all else is gone: a manifest that somebody puts
//! back is told from a backup.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::Backup;
use super::collect::id_of;
use super::format::{DOCUMENT_LIMIT, VERSION};
use super::names::{self, BACKUPS, BackupId, Digest};
use super::remember::Stated;
use super::store::{Created, sha256};
use super::{DAMAGED, HELD, Lock, Mode, REMOVED, Repository, changed_meanwhile, signed, tool};
use crate::error::{Error, Result};
use crate::sign::{KeyId, SigningKey};
use crate::time::Instant;

const HOLD: &str = "summitctl-hold";
const REMOVAL: &str = "summitctl-removed";

/// `backups/<id>/held/<number>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HoldPayload {
    version: u32,
    kind: String,
    repository: String,
    backup: BackupId,
    manifest_sha256: Digest,
    /// From 1.
    number: u32,
    /// SHA-256 of the object before it; null for the first.
    previous: Option<Digest>,
    /// Whether it holds or releases.
    held: bool,
    at: Instant,
    tool: String,
    epoch: u32,
    /// The host and the reason.
    sealed: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HoldDetails {
    version: u32,
    host: String,
    reason: Option<String>,
}

/// `removed/<id>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RemovedPayload {
    version: u32,
    kind: String,
    repository: String,
    backup: BackupId,
    manifest_sha256: Digest,
    at: Instant,
    tool: String,
}

/// A hold that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Hold {
    /// Since when.
    pub since: Instant,
    /// Why, if somebody said so; absent without the repository secret.
    pub reason: Option<String>,
    /// The host that placed it; absent without the repository secret.
    pub host: Option<String>,
    /// The key that signed it; absent if that cannot be told.
    pub key: Option<KeyId>,
}

impl Holds {
    /// The number of the last that is there.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The hold to go by. Where nobody can say what is in force, it is a hold.
    pub fn in_force(self) -> Option<Hold> {
        let wrong = self.wrong.into_iter().next();
        let doubt = wrong.map(|(_, error)| error.one_line()).or(self.lost);
        self.hold.or_else(|| {
            doubt.map(|doubt| Hold {
                since: Instant::from_millis(0),
                reason: Some(format!("nobody can tell: {doubt}")),
                host: None,
                key: None,
            })
        })
    }
}

/// The holds of a backup as they lie there.
#[derive(Default)]
pub(super) struct Holds {
    number: u32,
    newest: Option<Digest>,
    /// The hold that is in force.
    pub hold: Option<Hold>,
    /// What is wrong with some of them. Such a backup counts as held: nobody can say that it was released.
    pub wrong: Vec<(String, Error)>,
    /// What this host saw that was stated after the last that is there, if so. It counts as held as well.
    pub lost: Option<String>,
}

impl Repository {
    /// Holds a backup, so that no rule removes it; or releases it. Whether that changed anything.
    pub async fn set_hold(
        &self,
        id: &BackupId,
        held: bool,
        reason: Option<&str>,
        key: &SigningKey,
    ) -> Result<bool> {
        self.check_signer(key)?;
        let purpose = if held { "hold" } else { "release" };
        let lock = Lock::acquire(&self.store, Mode::Collect, &format!("{purpose} {id}")).await?;
        let changed = self.write_hold(id, held, reason, key).await;
        lock.release().await?;
        changed
    }

    async fn write_hold(
        &self,
        id: &BackupId,
        held: bool,
        reason: Option<&str>,
        key: &SigningKey,
    ) -> Result<bool> {
        let keys = self.writing_keys()?;
        let read = self.read_manifest(id).await?;
        let holds = self.holds(id, read.sha256).await?;
        if let Some((_, wrong)) = holds.wrong.into_iter().next() {
            return Err(wrong.hint("The backup counts as held. Find out what happened to its holds before anything is removed."));
        }
        if holds.hold.is_some() == held && holds.lost.is_none() {
            return Ok(false);
        }
        let details = HoldDetails {
            version: VERSION,
            host: crate::pid::host_name(),
            reason: reason.map(str::to_owned),
        };
        let payload = HoldPayload {
            version: VERSION,
            kind: HOLD.to_owned(),
            repository: self.id().to_owned(),
            backup: id.clone(),
            manifest_sha256: read.sha256,
            number: holds.number + 1,
            previous: holds.newest,
            held,
            at: Instant::now(),
            tool: tool(),
            epoch: keys.epoch,
            sealed: keys.seal(&details)?,
        };
        let name = hold_name(id, payload.number);
        match self
            .store
            .create(&name, &signed::sign(&payload, key)?)
            .await?
        {
            Created::New => {
                // What was lost after it is settled by it.
                self.restate(id, |stated| stated.holds = payload.number);
                Ok(true)
            }
            Created::Exists => Err(changed_meanwhile(&name)),
        }
    }

    /// The holds of a backup whose manifest has this digest.
    pub(super) async fn holds(&self, id: &BackupId, manifest: Digest) -> Result<Holds> {
        let known = self.known().map(|known| known.stated(id));
        let entries = self.store.list(&id.held()).await?;
        let names: Vec<String> = entries.into_iter().map(|e| e.name).collect();
        let known = known.unwrap_or_default();
        self.holds_of(id, manifest, &names, &known).await
    }

    /// The same for objects that were listed already, in order.
    pub(super) async fn holds_of(
        &self,
        id: &BackupId,
        manifest: Digest,
        names: &[String],
        known: &Stated,
    ) -> Result<Holds> {
        let mut holds = Holds::default();
        for name in names {
            let Some(bytes) = self.store.get_as_it_is(name, DOCUMENT_LIMIT).await? else {
                continue;
            };
            match self.read_hold(id, manifest, name, &bytes) {
                Ok((payload, hold))
                    if payload.number == holds.number + 1 && payload.previous == holds.newest =>
                {
                    holds.number = payload.number;
                    holds.newest = Some(sha256(&bytes));
                    holds.hold = payload.held.then_some(hold);
                }
                Ok(_) => holds.wrong.push((
                    name.clone(),
                    Error::new(
                        &DAMAGED,
                        format!("`{name}` does not follow the hold before it"),
                    ),
                )),
                Err(e) => holds.wrong.push((name.clone(), e)),
            }
        }
        if holds.number < known.holds && holds.wrong.is_empty() {
            let (seen, left) = (known.holds, holds.number);
            holds.lost = Some(format!(
                "a hold or release: this host saw {seen} of them, and {left} are left"
            ));
        }
        Ok(holds)
    }

    fn read_hold(
        &self,
        id: &BackupId,
        manifest: Digest,
        object: &str,
        bytes: &[u8],
    ) -> Result<(HoldPayload, Hold)> {
        let (payload, key): (HoldPayload, KeyId) = self.read_signed(object, bytes)?;
        let bound = payload.kind == HOLD
            && payload.repository == self.id()
            && payload.backup == *id
            && payload.manifest_sha256 == manifest
            && hold_name(id, payload.number) == object;
        if !bound {
            return Err(another(object));
        }
        let details: Option<HoldDetails> = match self.epochs.get(&payload.epoch) {
            Some(keys) => Some(keys.unseal(&payload.sealed, object)?),
            None => None,
        };
        let hold = Hold {
            since: payload.at,
            reason: details.as_ref().and_then(|d| d.reason.clone()),
            host: details.map(|d| d.host),
            key: Some(key),
        };
        Ok((payload, hold))
    }

    /// States that a backup was removed; from then on it is none. Repeating it is harmless.
    pub(super) async fn state_removal(
        &self,
        id: &BackupId,
        manifest: Digest,
        key: &SigningKey,
    ) -> Result<()> {
        let payload = RemovedPayload {
            version: VERSION,
            kind: REMOVAL.to_owned(),
            repository: self.id().to_owned(),
            backup: id.clone(),
            manifest_sha256: manifest,
            at: Instant::now(),
            tool: tool(),
        };
        let name = id.removed();
        let object = signed::sign(&payload, key)?;
        if self.store.create(&name, &object).await? == Created::New
            || self.removal(id).await.is_ok_and(|at| at.is_some())
        {
            return Ok(());
        }
        // Nobody who is trusted said so.
        self.put(&name, &object).await
    }

    /// The backups that were removed, or are being removed.
    pub(super) async fn removed_ids(&self) -> Result<Vec<BackupId>> {
        let entries = self.store.list(names::REMOVED).await?;
        let ids = entries.iter().filter_map(|e| {
            let stem = e.name.strip_prefix(names::REMOVED)?.strip_suffix(".json")?;
            stem.parse().ok()
        });
        Ok(ids.collect())
    }

    /// The removed backups of which more is left than a manifest, which is judged for itself.
    pub(super) async fn rests(
        &self,
        removed: &HashSet<BackupId>,
        listed: &[Backup],
    ) -> Result<Vec<BackupId>> {
        let listed: HashSet<&BackupId> = listed.iter().map(|b| &b.id).collect();
        let mut left = self.left().await?;
        left.retain(|id| removed.contains(id) && !listed.contains(id));
        let mut rests = Vec::new();
        for id in left {
            if self.removal(&id).await.is_ok_and(|at| at.is_some()) {
                rests.push(id);
            }
        }
        rests.sort();
        Ok(rests)
    }

    /// The backups of which any object is left.
    pub(super) async fn left(&self) -> Result<HashSet<BackupId>> {
        let everything = self.store.list(BACKUPS).await?.into_iter();
        Ok(everything.filter_map(|e| Some(id_of(&e.name)?.0)).collect())
    }

    /// When a trusted host removed this backup.
    pub(super) async fn removal(&self, id: &BackupId) -> Result<Option<Instant>> {
        let name = id.removed();
        let Some(bytes) = self.store.get_as_it_is(&name, DOCUMENT_LIMIT).await? else {
            return Ok(None);
        };
        let (payload, _): (RemovedPayload, KeyId) = self.read_signed(&name, &bytes)?;
        let bound =
            payload.kind == REMOVAL && payload.repository == self.id() && payload.backup == *id;
        if bound {
            Ok(Some(payload.at))
        } else {
            Err(another(&name))
        }
    }
}

/// The error of a backup that was removed and is there.
pub(super) fn removed_error(id: &BackupId, at: Instant) -> Error {
    Error::new(
        &REMOVED,
        format!("the backup `{id}` was removed at {}", at.human()),
    )
    .hint("If a prune was stopped, run `summitctl backup prune` again: it ends what was begun. If none was, somebody put the manifest back.")
}

/// The error of a backup that is held.
pub(super) fn held_error(id: &BackupId) -> Error {
    Error::new(&HELD, format!("the backup `{id}` is held")).hint(format!(
        "Release it first: `summitctl backup release {id}`."
    ))
}

fn another(object: &str) -> Error {
    Error::new(
        &DAMAGED,
        format!("`{object}` is the statement of another backup"),
    )
}

fn hold_name(id: &BackupId, number: u32) -> String {
    format!("{}{number:06}.json", id.held())
}
