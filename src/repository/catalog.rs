//! Which backups there are, and what each holds.
//!
//! Listing reads manifests only. A damaged or unsigned backup stays in the list with its problem beside it; it is
//! never chosen as the newest, and it never hides the others.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use schemars::JsonSchema;
use serde::Serialize;

use super::collect::id_of;
use super::format::{self, Contents, DOCUMENT_LIMIT, ManifestDoc, SignatureDoc};
use super::ledger::{Level, Record};
use super::names::{BACKUPS, BackupId, Digest};
use super::remember::Stated;
use super::standing::{Hold, removed_error};
use super::store::{Entry, sha256};
use super::verify::CrossCheck;
use super::{DAMAGED, NO_SUCH_BACKUP, REMOVED, Repository, UNTRUSTED, missing};
use crate::error::{Error, Report, Result};
use crate::event::Outcome;
use crate::exit::Exit;
use crate::identity::Store as Kind;
use crate::sign::KeyId;
use crate::time::Instant;

/// How many manifests are read together.
const READS: usize = 8;

/// A backup as it is listed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// What its manifest says in clear; absent if it cannot be read.
    pub signed: Option<Signed>,
    /// What it holds; absent without the repository secret of its epoch, or if the manifest is not whole.
    pub contents: Option<Contents>,
    /// The plain bytes of its parts; absent with its contents.
    pub plain_bytes: Option<u64>,
    /// Verifications of this very manifest by trusted hosts, oldest first.
    pub verified: Vec<Record>,
    /// When somebody last proved that an identity opens it, without verifying it.
    pub opened: Option<Instant>,
    /// The hold that is in force, if any: no rule removes it then.
    pub held: Option<Hold>,
    /// What this host saw hosts state of it, and what storage forgot since: a hold, or a record of a restore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// Why it must not be relied on, if so.
    pub problem: Option<Report>,
    #[serde(skip)]
    pub(super) stated: Stated,
}

/// The clear half of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Signed {
    /// When the manifest was made.
    pub created: Instant,
    /// The program that made it.
    pub tool: String,
    /// Its epoch.
    pub epoch: u32,
    /// The host's key.
    pub signer: KeyId,
    /// SHA-256 of the manifest.
    pub manifest_sha256: Digest,
    /// How many segments it uses.
    pub segments: u64,
    /// Their encrypted bytes, shared ones included.
    pub stored_bytes: u64,
}

/// How to choose a backup.
#[derive(Debug, Clone, Default)]
pub struct Show {
    /// Of this context.
    pub context: Option<String>,
    /// With this label.
    pub label: Option<String>,
    /// Without this label.
    pub except: Option<String>,
    /// Verified at least to this level.
    pub level: Option<Level>,
    /// Holding all of these stores.
    pub stores: Vec<Kind>,
    /// Complete at this moment.
    pub completed_by: Option<Instant>,
}

impl Backup {
    /// The highest level whose newest verification passed, and that verification. A later failure of a level or of any
    /// below it takes the claim away.
    pub fn verified_level(&self) -> Option<&Record> {
        let newest = |level: Level| {
            // A sample proves nothing of what it left out.
            let counts = |r: &&Record| r.sample.is_none() || r.outcome != Outcome::Passed;
            let all = self.verified.iter().filter(counts);
            let of = all.filter(move |r| r.level == level);
            of.max_by_key(|r| r.to)
        };
        let mut best: Option<&Record> = None;
        let mut failed: Option<Instant> = None;
        for level in Level::ALL {
            let Some(record) = newest(level) else {
                continue;
            };
            if record.outcome != Outcome::Passed {
                failed = failed.max(Some(record.to));
            } else if failed.is_none_or(|at| at < record.to) {
                best = Some(record);
            }
        }
        // A failure of a higher level found something that the lower one did not look for.
        best.filter(|record| failed.is_none_or(|at| at < record.to))
    }

    /// What the newest restore of this backup, to whatever end it came, showed of the declared checks between the stores.
    /// `None` if it was never restored, or the repository is locked.
    pub fn cross_checks(&self) -> Option<&[CrossCheck]> {
        let restored = self.verified.iter().filter(|r| r.level == Level::Restored);
        let newest = restored.max_by_key(|r| r.to)?;
        newest.details.as_ref().map(|d| d.cross_checks.as_slice())
    }

    /// A backup of which nothing is known yet but its id.
    pub(super) fn unread(id: BackupId) -> Backup {
        Backup {
            id,
            signed: None,
            contents: None,
            plain_bytes: None,
            verified: Vec::new(),
            opened: None,
            held: None,
            lost: Vec::new(),
            problem: None,
            stated: Stated::default(),
        }
    }

    /// As it stands in a list: without its parts.
    fn listed(mut self) -> Backup {
        for store in self.contents.iter_mut().flat_map(|c| &mut c.stores) {
            store.captured.parts = Vec::new();
            store.segments = BTreeMap::new();
        }
        self
    }

    /// Adds why it must not be relied on, unless something else was wrong already.
    fn doubt(&mut self, error: &Error) {
        self.problem.get_or_insert_with(|| Report::from(error));
    }

    /// Whether it cannot be relied on, and nobody stated that it was removed.
    pub fn is_doubtful(&self) -> bool {
        let problem = self.problem.as_ref();
        problem.is_some_and(|p| p.reason != REMOVED.code)
    }

    /// Whether the manifest is whole, signed by somebody trusted, and its contents are known.
    pub fn is_usable(&self) -> bool {
        self.problem.is_none() && self.contents.is_some()
    }
}

/// What a look at a backup is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// A row of a list, which says of a backup that cannot be looked at why not.
    Listing,
    /// Somebody relies on it: what could not be looked at is not taken for damaged, or an older one would be chosen.
    Choosing,
}

impl For {
    /// Puts down what is wrong with a backup; an error if nobody could find that out, and somebody relies on it.
    fn doubt(self, backup: &mut Backup, error: Error) -> Result<()> {
        if self == For::Choosing && error.exit() != Exit::Integrity {
            return Err(error.context(format!("cannot look at the backup `{}`", backup.id)));
        }
        backup.doubt(&error);
        Ok(())
    }
}

/// The newest backup that was asked for, and what is newer.
#[derive(Debug, Clone, Default)]
pub struct Newest {
    /// The newest usable one that fits; `None` if there is none.
    pub backup: Option<Backup>,
    /// Newer ones that cannot be relied on and may be what was asked for, newest first.
    pub doubtful: Vec<Backup>,
}

/// The objects of a backup that were listed.
#[derive(Default)]
struct Names {
    manifest: bool,
    signed: bool,
    staged: bool,
    verified: Vec<String>,
    held: Vec<String>,
    opened: Vec<String>,
}

impl Names {
    /// Whether a backup lost its manifest: it was signed, is not being made, and nobody removed it.
    fn lost(&self, removed: bool) -> bool {
        self.signed && !self.manifest && !self.staged && !removed
    }
}

/// A manifest as it was read: parsed, bound to its repository and id, and with what its signature proves.
pub(super) struct ReadManifest {
    pub doc: ManifestDoc,
    pub sha256: Digest,
    pub trust: Result<()>,
}

impl Repository {
    /// Every backup, oldest first. Fast: manifests and verification records are read, segments are not. The contents are
    /// without their parts, which would fill the memory many times over; [`Repository::show`] has them.
    pub async fn list(&self) -> Result<Vec<Backup>> {
        let known = self.known();
        // One listing of everything: a look at each backup's folders would be a request each.
        let mut folders: BTreeMap<BackupId, Names> = BTreeMap::new();
        for entry in self.store.list(BACKUPS).await? {
            if let Some((id, rest)) = id_of(&entry.name) {
                let names = folders.entry(id).or_default();
                names.manifest |= rest == "manifest.json";
                names.signed |= rest == "manifest.json.sig";
                names.staged |= rest.starts_with("staged/");
                match rest.split_once('/') {
                    Some(("verified", _)) => names.verified.push(entry.name),
                    Some(("held", _)) => names.held.push(entry.name),
                    Some(("opened", _)) => names.opened.push(entry.name),
                    _ => {}
                }
            }
        }
        let removed: BTreeSet<BackupId> = self.removed_ids().await?.into_iter().collect();
        let here = folders
            .iter()
            .filter(|(_, names)| names.manifest || names.lost(false))
            .map(|(id, _)| id.clone())
            .collect();
        let gone = match &known {
            Some(known) => self.gone(known.ids(), &here, &removed).await?,
            None => Vec::new(),
        };
        let complete = folders
            .into_iter()
            .filter(|(id, names)| names.manifest || names.lost(removed.contains(id)));
        // Boxed here: a stream of borrowing closures hides from the compiler that the whole is `Send`.
        let looks: Vec<BoxFuture<'_, Result<Backup>>> = complete
            .map(|(id, names)| {
                let removed = removed.contains(&id);
                let known = known.as_ref().map(|known| known.stated(&id));
                let known = known.unwrap_or_default();
                async move {
                    let seen = self.look_at(&id, &names, removed, &known, For::Listing);
                    Ok(seen.await?.listed())
                }
                .boxed()
            })
            .collect();
        let backups: Vec<Result<Backup>> = stream::iter(looks).buffered(READS).collect().await;
        let mut backups: Vec<Backup> = backups.into_iter().collect::<Result<_>>()?;
        self.remember(backups.iter());
        if !gone.is_empty() {
            let place = self.place();
            backups.extend(gone.into_iter().map(|id| Backup::gone(id, &place)));
            backups.sort_by(|a, b| a.id.cmp(&b.id));
        }
        Ok(backups)
    }

    /// One backup. An error if there is none; a damaged one is shown with its problem.
    pub async fn show(&self, id: &BackupId) -> Result<Backup> {
        if self.store.head(&id.manifest()).await?.is_none() {
            return Err(self.absent(id).await);
        }
        let backup = self.look(id).await?;
        self.remember([&backup].into_iter());
        Ok(backup)
    }

    async fn look(&self, id: &BackupId) -> Result<Backup> {
        let known = self.known().map(|known| known.stated(id));
        let names = |entries: Vec<Entry>| entries.into_iter().map(|e| e.name).collect();
        let names = Names {
            manifest: true,
            signed: true,
            staged: false,
            verified: names(self.store.list(&id.verified()).await?),
            held: names(self.store.list(&id.held()).await?),
            opened: names(self.store.list(&id.opened()).await?),
        };
        let removed = self.store.head(&id.removed()).await?.is_some();
        let known = known.unwrap_or_default();
        self.look_at(id, &names, removed, &known, For::Choosing)
            .await
    }

    /// The newest usable backup that fits.
    pub async fn newest(&self, show: &Show) -> Result<Option<Backup>> {
        Ok(self.newest_known(show).await?.backup)
    }

    /// The same, with what is newer and cannot be relied on. An error if one of them cannot be looked at: nobody knows then which
    /// is the newest.
    pub async fn newest_known(&self, show: &Show) -> Result<Newest> {
        self.writing_keys()?;
        let known = self.remembered_ids().unwrap_or_default();
        let ids = self.ids().await?;
        let here: BTreeSet<BackupId> = ids.iter().cloned().collect();
        let mut found = Newest::default();
        for id in ids.into_iter().rev() {
            let backup = match self.look(&id).await {
                // Removed since it was listed.
                Err(e) if e.reason() == &NO_SUCH_BACKUP => continue,
                seen => seen?,
            };
            if show.fits(&backup) {
                self.remember([&backup].into_iter());
                found.backup = Some(backup);
                break;
            }
            if show.may_fit(&backup) {
                found.doubtful.push(backup);
            }
        }
        let oldest = found.backup.as_ref().map(|b| b.id.clone());
        let mut lost = known;
        lost.retain(|id| !here.contains(id) && oldest.as_ref().is_none_or(|o| id > o));
        if !lost.is_empty() {
            let removed = self.removed_ids().await?.into_iter().collect();
            let lost = self.gone(lost, &here, &removed).await?;
            let place = self.place();
            let lost = lost.into_iter().map(|id| Backup::gone(id, &place));
            found.doubtful.extend(lost.filter(|b| show.may_fit(b)));
            found.doubtful.sort_by(|a, b| b.id.cmp(&a.id));
        }
        Ok(found)
    }

    /// A backup that lost its manifest, or that this host saw and that is gone, if there is one: nobody can tell what it needs.
    pub(super) async fn lost_manifest(&self) -> Result<Option<BackupId>> {
        let mut folders: BTreeMap<BackupId, (bool, bool)> = BTreeMap::new();
        for entry in self.store.list(BACKUPS).await? {
            let Some((id, rest)) = id_of(&entry.name) else {
                continue;
            };
            let (signed, others) = folders.entry(id).or_default();
            *signed |= rest == "manifest.json.sig";
            *others |= rest == "manifest.json" || rest.starts_with("staged/");
        }
        for (id, (signed, others)) in folders {
            // Looked at again: what is staged goes once the manifest is there.
            if signed
                && !others
                && self.store.head(&id.manifest()).await?.is_none()
                && self.store.head(&id.signature()).await?.is_some()
                && self.store.head(&id.removed()).await?.is_none()
            {
                return Ok(Some(id));
            }
        }
        Ok(self
            .missing_backups()
            .await?
            .and_then(|m| m.into_iter().next()))
    }

    /// The complete backups, oldest first.
    pub(super) async fn ids(&self) -> Result<Vec<BackupId>> {
        let entries = self.store.list(BACKUPS).await?;
        // Folders that are not named by an id are none of ours.
        let found = entries.iter().filter_map(|e| id_of(&e.name));
        let mut ids: Vec<BackupId> = found
            .filter(|(_, rest)| *rest == "manifest.json")
            .map(|(id, _)| id)
            .collect();
        ids.sort();
        Ok(ids)
    }

    async fn look_at(
        &self,
        id: &BackupId,
        names: &Names,
        removed: bool,
        known: &Stated,
        use_of: For,
    ) -> Result<Backup> {
        let mut backup = Backup::unread(id.clone());
        if removed {
            match self.removal(id).await {
                Ok(Some(at)) => backup.doubt(&removed_error(id, at)),
                Ok(None) => {}
                // A statement that nobody trusted signed says nothing; level 1 names it.
                Err(e) if e.exit() == Exit::Integrity => {}
                Err(e) => use_of.doubt(&mut backup, e)?,
            }
        }
        let read = match self.read_manifest(id).await {
            Ok(read) => read,
            Err(e) if e.reason() == &NO_SUCH_BACKUP && use_of == For::Choosing => return Err(e),
            Err(e) => {
                use_of.doubt(&mut backup, e)?;
                return Ok(backup);
            }
        };
        backup.signed = Some(Signed {
            created: read.doc.created,
            tool: read.doc.tool.clone(),
            epoch: read.doc.epoch,
            signer: read.doc.signer.clone(),
            manifest_sha256: read.sha256,
            segments: read.doc.segments.len() as u64,
            stored_bytes: read.doc.segments.iter().map(|s| s.size).sum(),
        });
        if let Err(e) = &read.trust {
            backup.doubt(e);
            return Ok(backup);
        }
        if self.epochs.contains_key(&read.doc.epoch) {
            match self.contents(&read.doc) {
                Ok(contents) => {
                    backup.plain_bytes = Some(contents.bytes());
                    backup.contents = Some(contents);
                }
                Err(e) => backup.doubt(&e),
            }
        }
        for (name, record) in self.records(id, read.sha256, &names.verified).await? {
            if record.level >= Level::Restored {
                backup.stated.restores.insert(name);
            }
            backup.verified.push(record);
        }
        let there = |name: &&String| names.verified.contains(name);
        let lost = known.restores.iter().filter(|name| !there(name));
        let lost = lost.map(|name| format!("`{name}`, the record of a restore"));
        backup.lost = lost.collect();
        let holds = self.holds_of(id, read.sha256, &names.held, known).await?;
        backup.stated.holds = holds.number();
        backup.lost.extend(holds.lost.clone());
        backup.held = holds.in_force();
        backup.opened = self.opened(id, read.sha256, &names.opened).await?;
        Ok(backup)
    }

    /// Reads a manifest. An error of integrity means that it cannot be what was written; whether somebody trusted wrote it is in
    /// `trust`. Any other error means that nobody could find out.
    pub(super) async fn read_manifest(&self, id: &BackupId) -> Result<ReadManifest> {
        let name = id.manifest();
        let bytes = self.store.get_as_it_is(&name, DOCUMENT_LIMIT).await?;
        let Some(bytes) = bytes else {
            return Err(self.absent(id).await);
        };
        let doc: ManifestDoc = format::from_bytes(&bytes, &name)?;
        let trust = match self.check_signature(id, &bytes, &doc).await {
            Err(e) if e.exit() != Exit::Integrity => return Err(e),
            trust => trust,
        };
        if doc.repository != self.id() || doc.backup != *id {
            return Err(Error::new(
                &DAMAGED,
                format!(
                    "`{name}` is the manifest of the backup `{}` of the repository `{}`",
                    doc.backup, doc.repository
                ),
            ));
        }
        if !doc.segments.windows(2).all(|w| w[0].id < w[1].id) {
            return Err(Error::new(
                &DAMAGED,
                format!("`{name}` does not list each segment once, in order"),
            ));
        }
        let sha256 = sha256(&bytes);
        Ok(ReadManifest { doc, sha256, trust })
    }

    /// Many manifests, in this order, read side by side.
    pub(super) fn manifests<'a>(
        &'a self,
        ids: &[BackupId],
    ) -> BoxStream<'a, (BackupId, Result<ReadManifest>)> {
        let ids: Vec<BackupId> = ids.to_vec();
        let reads = ids.into_iter().map(move |id| {
            async move {
                let read = self.read_manifest(&id).await;
                (id, read)
            }
            .boxed()
        });
        stream::iter(reads).buffered(2 * READS).boxed()
    }

    async fn check_signature(
        &self,
        id: &BackupId,
        manifest: &[u8],
        doc: &ManifestDoc,
    ) -> Result<()> {
        let name = id.signature();
        let bytes = self.store.get_as_it_is(&name, DOCUMENT_LIMIT).await?;
        let bytes = bytes.ok_or_else(|| missing(&name))?;
        let signature: SignatureDoc = format::from_bytes(&bytes, &name)?;
        if signature.key != doc.signer {
            return Err(Error::new(
                &DAMAGED,
                format!(
                    "`{name}` is by key `{}`, and the manifest names `{}`",
                    signature.key, doc.signer
                ),
            ));
        }
        let key = self.trusted.get(&signature.key).ok_or_else(|| {
            Error::new(
                &UNTRUSTED,
                format!(
                    "the backup `{id}` is signed by key `{}`, which is not trusted",
                    signature.key
                ),
            )
        })?;
        key.verify(manifest, &signature.signature).map_err(|e| {
            Error::new(
                &DAMAGED,
                format!("`{}` and `{name}` do not fit each other", id.manifest()),
            )
            .caused_by(e)
        })
    }

    /// The sealed half, checked against the clear half.
    pub(super) fn contents(&self, doc: &ManifestDoc) -> Result<Contents> {
        let name = doc.backup.manifest();
        let keys = self.keys_of(doc.epoch)?;
        let contents: Contents = keys.unseal(&doc.sealed, &name)?;
        let damaged = |why: String| Err(Error::new(&DAMAGED, format!("`{name}` {why}")));
        if contents.repository != doc.repository || contents.backup != doc.backup {
            return damaged("seals the contents of another backup".to_owned());
        }
        let mut listed: BTreeMap<Digest, bool> =
            doc.segments.iter().map(|s| (s.id, false)).collect();
        for store in &contents.stores {
            for part in &store.captured.parts {
                let pieces = store.segments.get(&part.name);
                let bytes = pieces.map(|p| p.iter().map(|piece| piece.bytes).sum::<u64>());
                if bytes != Some(part.bytes) {
                    return damaged(format!(
                        "does not list the bytes of the part `{}`",
                        part.name
                    ));
                }
            }
            for piece in store.segments.values().flatten() {
                match listed.get_mut(&piece.id) {
                    Some(used) => *used = true,
                    None => return damaged(format!("does not list the segment `{}`", piece.id)),
                }
            }
            if store.segments.len() != store.captured.parts.len() {
                return damaged("lists segments of parts that it does not name".to_owned());
            }
        }
        match listed.into_iter().find(|(_, used)| !used) {
            Some((id, _)) => damaged(format!("lists the segment `{id}`, which no part uses")),
            None => Ok(contents),
        }
    }

    pub(super) fn no_such(&self, id: &BackupId) -> Error {
        Error::new(
            &NO_SUCH_BACKUP,
            format!("`{}` holds no complete backup `{id}`", self.place()),
        )
        .hint("Run `summitctl backup list` to see what it holds.")
    }
}

impl Show {
    /// Whether a backup that cannot be relied on may be what is asked for, for all that is known of it.
    fn may_fit(&self, backup: &Backup) -> bool {
        let ours = |context: &String| {
            let contents = backup.contents.as_ref();
            contents.is_none_or(|c| c.context == *context)
        };
        let signed = backup.signed.as_ref();
        let complete = signed.map_or(backup.id.moment(), |s| s.created);
        backup.is_doubtful()
            && self.context.as_ref().is_none_or(ours)
            && self.completed_by.is_none_or(|by| complete <= by)
    }

    fn fits(&self, backup: &Backup) -> bool {
        let Some(contents) = backup.contents.as_ref().filter(|_| backup.is_usable()) else {
            return false;
        };
        self.context.as_ref().is_none_or(|c| *c == contents.context)
            && self
                .label
                .as_ref()
                .is_none_or(|l| contents.labels.contains(l))
            && self
                .except
                .as_ref()
                .is_none_or(|l| !contents.labels.contains(l))
            && self.stores.iter().all(|s| contents.store(*s).is_some())
            && self
                .completed_by
                .is_none_or(|by| backup.signed.as_ref().is_some_and(|s| s.created <= by))
            && self
                .level
                .is_none_or(|wanted| backup.verified_level().is_some_and(|r| r.level >= wanted))
    }
}
