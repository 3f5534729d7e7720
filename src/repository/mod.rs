//! The backup repository: signed manifests over encrypted, content-addressed segments.
//!
//! A backup host holds the repository secret and a signing key: it can write and show backups, and verify that they are
//! complete, but not read them. An operator's age identity unwraps the key that reads. `docs/FORMAT.md` describes the
//! format for other readers, and how to recover with stock tools alone.
//!
//! A backup is staged store by store and exists once its manifest does, which is created last and never changed. So
//! a process may be killed anywhere: the next one finds each store staged or not, and leftover segments are found
//! again by their content.

mod admin;
mod buffers;
mod catalog;
mod collect;
mod copy;
mod cut;
mod format;
mod keys;
mod known;
mod ledger;
mod local;
mod lock;
mod names;
mod opened;
mod reader;
mod recipients;
mod remember;
mod retention;
pub mod s3;
mod sample;
mod segment;
mod signed;
mod staging;
mod standing;
mod store;
#[cfg(test)]
mod tests;
mod told;
mod tombs;
mod unfinished;
mod verify;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use catalog::{Backup, Newest, Show, Signed};
pub use collect::{Judged, PruneOptions, Pruned, Pruning, Removal, Unfinished};
pub use copy::{Copied, CopyOptions, Lag};
pub use cut::SegmentSizes;
pub use format::{COMMIT_LABEL, Contents, Piece, SignerDoc, StoreContents};
pub use keys::Operator;
pub use ledger::{Level, Record};
pub use local::LocalStore;
pub use lock::{Holder, Lock, Mode};
pub use names::{BackupId, Digest};
pub use opened::Opened;
pub use reader::BackupParts;
pub use recipients::recipients_of;
pub use retention::{Fate, Rules, SAFETY_STAYS};
pub use s3::{S3Place, S3Store};
pub use sample::{Sample, Share};
pub use staging::{Meta, State};
pub use standing::Hold;
pub use store::{Created, Deleted, Entry, Object, Seen, Store};
pub use unfinished::UNFINISHED_STAYS;
pub use verify::{CrossCheck, DecodePart, Finding, Verification, VerifyOptions};
pub use writer::{BackupWriter, Written};

use crate::capture::FingerprintKey;
use crate::error::{Context as _, Error, Result};
use crate::reasons;
use crate::secret::Secret;
use crate::sign::{KeyId, PublicKey, SigningKey};
use crate::time::Instant;
use format::{DOCUMENT_LIMIT, RepositoryDoc, VERSION};
use keys::{EpochKeys, RepositorySecret};
use remember::Remembered;

reasons! {
    /// There is no repository here.
    NOT_A_REPOSITORY = "repository.not-a-repository", Usage,
        "The place holds no backup repository: `repository.json` is missing. Check the path, and whether its file system is mounted.";
    /// There is something else here already.
    EXISTS = "repository.exists", Refused,
        "A repository is made only in a new or empty folder, or found again with its own secret. Nothing was changed.";
    /// A newer program wrote it.
    NEWER_VERSION = "repository.newer-version", Usage,
        "A newer summitctl wrote the repository, and this one does not know its format. Nothing was read or changed.";
    /// The repository secret belongs to another repository.
    WRONG_SECRET = "repository.wrong-secret", Usage,
        "The repository secret is well-formed but not this repository's: another repository's, or one of a retired epoch; or `repository.json` was changed. An operator gets the right one with `age -d -i IDENTITY keys/EPOCH.age`.";
    /// The text is no repository secret.
    BAD_SECRET = "repository.bad-secret", Usage,
        "The text is not a repository secret, which is one line that begins with `SUMMITCTL-REPOSITORY-1` and ends in a checksum.";
    /// The repository secret was not given.
    NO_SECRET = "repository.no-secret", Usage,
        "Without the repository secret a repository can be listed and its objects checked, but nothing can be written and names are not shown. Give the secret, or an operator's identity.";
    /// No operator's identity was given.
    NO_IDENTITY = "repository.no-identity", Usage,
        "Backups are read with an operator's age identity; a backup host cannot read them, by design. Give the identity file of an operator.";
    /// The identity is not an operator's.
    WRONG_IDENTITY = "repository.wrong-identity", Usage,
        "The age identity is not one of the repository's operators, or the file does not hold an identity.";
    /// The text is no age recipient.
    BAD_RECIPIENT = "repository.bad-recipient", Usage,
        "An operator is named by an age X25519 recipient, the line `age1…` that `age-keygen` prints.";
    /// Somebody else works in the repository.
    LOCKED = "repository.locked", Refused,
        "Another process holds a lock that excludes this operation. The message names it. The lock of a dead process of the same machine goes away by itself, also after a reboot; one of a container or another machine that is surely no more is removed with `summitctl backup unlock`.";
    /// The folder takes no changes.
    READ_ONLY = "repository.read-only", Failed,
        "The repository's folder refuses changes: a read-only mount, or another owner. Nothing was changed.";
    /// Something is not what was written.
    DAMAGED = "repository.damaged", Integrity,
        "An object of the repository is not what was written: changed, truncated, swapped or missing. The message names it. Other backups may be whole: verify each.";
    /// Nobody who is trusted signed it.
    UNTRUSTED = "repository.untrusted", Integrity,
        "The signature is by a key that is not among the trusted ones. If the key is a backup host's, add it to the repository's signers; if nobody knows it, somebody else wrote the backup.";
    /// No key was given to check signatures with.
    NO_TRUSTED_KEY = "repository.no-trusted-key", Usage,
        "Signatures are checked against trusted public keys, and none are known: give the repository secret, which proves the repository's own list, or the public keys themselves.";
    /// The signing key may not sign here.
    NOT_A_SIGNER = "repository.not-a-signer", Refused,
        "The signing key is not among the repository's signers, so nobody would trust what it signs. An operator or host adds it to the signers first.";
    /// The backup does not exist.
    NO_SUCH_BACKUP = "repository.no-such-backup", Usage,
        "The repository holds no complete backup of this id. `summitctl backup list` shows what it holds.";
    /// The backup exists already.
    COMPLETE = "repository.complete", Refused,
        "The backup is complete, and a complete backup never changes. Begin another one.";
    /// The backup was removed.
    REMOVED = "repository.removed", Integrity,
        "A trusted host stated that it removed this backup, and the backup is there. Either a prune was stopped half-way, and the next one ends it, or somebody put an old manifest back; its segments may be gone.";
    /// The backup is held.
    HELD = "repository.held", Refused,
        "A held backup is not removed. Release it with `summitctl backup release`, if whoever held it agrees.";
    /// What the storage shows is older than what was there.
    ROLLED_BACK = "repository.rolled-back", Integrity,
        "The repository's list of signers, operators and epochs is an older one than this host has seen in the same place. Storage was put back to the past, by somebody or by a recovery. Nothing was read or changed.";
    /// A backup that was here is not.
    GONE = "repository.backup-gone", Integrity,
        "This host saw the backup in this place. It is not there any more, and no trusted host stated that it removed it. Put it back from a copy of the repository or from a version of the bucket; if it was removed on purpose, `summitctl backup forget` says so.";
    /// Only what is gone is forgotten.
    NOT_GONE = "repository.not-gone", Refused,
        "`backup forget` is for a backup that this host saw and that is not there any more. One that is there is removed by a prune.";
    /// The store keeps it.
    RETAINED = "repository.retained", Refused,
        "The bucket's Object Lock, or a legal hold, keeps the object for now, and this store refuses to delete it. A prune leaves it and says so; one that runs after its time deletes it.";
    /// The capture and what was written do not agree.
    INCOMPLETE = "repository.incomplete", Failed,
        "A backup was to be completed from captures that are not all there. Nothing was published; capture the store again.";
}

/// How often an object is put in the place of one that others change at the same time.
const PUTS: usize = 8;

/// An open repository. Clones share everything.
#[derive(Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
    doc: Arc<RepositoryDoc>,
    /// The epochs whose secret is known.
    epochs: Arc<BTreeMap<u32, EpochKeys>>,
    operators: Arc<Vec<Operator>>,
    trusted: Arc<BTreeMap<KeyId, PublicKey>>,
    /// What this host has seen of it, if it remembers.
    remembered: Option<Arc<Remembered>>,
}

impl Repository {
    /// A new repository secret, for [`Repository::init`]: one line of text that backup hosts keep as a secret.
    pub fn generate_secret() -> Result<Secret> {
        RepositorySecret::generate()?.to_text()
    }

    /// Makes a repository, or finds the one that this secret already made here. Keep the secret durably *before*
    /// the call, so that a killed process can repeat it. `signers` are the hosts whose manifests are trusted.
    pub async fn init(
        store: Arc<dyn Store>,
        secret: &Secret,
        operators: &[Operator],
        signers: &[(String, PublicKey)],
    ) -> Result<Repository> {
        let parsed = RepositorySecret::parse(secret)?;
        if store.head(names::REPOSITORY).await?.is_some() {
            return Self::open(store, Some(secret)).await.map_err(|e| {
                let place = e.reason() == &WRONG_SECRET;
                if place {
                    Error::new(&EXISTS, "there is already another repository here").caused_by(e)
                } else {
                    e
                }
            });
        }
        refuse_foreign(store.as_ref()).await?;
        // Of two that make one at once, each would encrypt to keys that the other takes away.
        let lock = Lock::acquire(&store, Mode::Exclusive, "make the repository").await?;
        let made = Self::make(&store, &parsed, operators, signers).await;
        lock.release().await?;
        made?;
        Self::open(store, Some(secret)).await
    }

    async fn make(
        store: &Arc<dyn Store>,
        secret: &RepositorySecret,
        operators: &[Operator],
        signers: &[(String, PublicKey)],
    ) -> Result<()> {
        let taken = || Error::new(&EXISTS, "somebody else made a repository here meanwhile");
        if store.head(names::REPOSITORY).await?.is_some() {
            return Err(taken());
        }
        let id = names::hex(&names::random::<16>()?);
        let (epoch, keys, file) = keys::new_epoch(&id, 1, secret, operators)?;
        let mut doc = RepositoryDoc {
            version: VERSION,
            id,
            created: Instant::now(),
            tool: tool(),
            generation: 1,
            epochs: vec![epoch],
            signers: signers.iter().map(signer_doc).collect::<Result<_>>()?,
            mac: Digest([0; 32]),
        };
        keys::authenticate(&mut doc, &keys);
        // A killed attempt may have left its keys; nothing was ever encrypted to them.
        let file = Object::new(file);
        put(store.as_ref(), &names::keys(1), &file).await?;
        let object = Object::new(format::to_bytes(&doc)?);
        if store.create(names::REPOSITORY, &object).await? == Created::Exists {
            return Err(taken());
        }
        // Locks of other machines may be removed by hand. Without its key file no backup could ever be read.
        let there = store.get(&names::keys(1), keys::KEYS_LIMIT).await?;
        if there.is_none_or(|there| store::sha256(&there) != file.sha256()) {
            return Err(Error::new(
                &DAMAGED,
                "the key file that was written with the repository is another one now",
            )
            .hint("Nothing was backed up yet: remove the repository, find out who else makes one there, and make it again."));
        }
        Ok(())
    }

    /// Opens a repository. With the secret it can be written to and its backups shown; without, only listed and
    /// checked for completeness. Trusts the signers that `repository.json` lists, if the secret proves the list.
    pub async fn open(store: Arc<dyn Store>, secret: Option<&Secret>) -> Result<Repository> {
        let doc = read_doc(store.as_ref()).await?;
        let mut repository = Repository {
            store,
            doc: Arc::new(doc),
            epochs: Arc::default(),
            operators: Arc::default(),
            trusted: Arc::default(),
            remembered: None,
        };
        if let Some(secret) = secret {
            let secret = RepositorySecret::parse(secret)?;
            let mut epochs = BTreeMap::new();
            for epoch in &repository.doc.epochs {
                if let Some(keys) = EpochKeys::new(&secret, &repository.doc.id, epoch)? {
                    epochs.insert(epoch.epoch, keys);
                }
            }
            if epochs.is_empty() {
                return Err(Error::new(
                    &WRONG_SECRET,
                    format!(
                        "the repository secret does not fit the `repository.json` of `{}`",
                        repository.place()
                    ),
                )
                .hint("It is another repository's secret, or the file was changed: compare the file with an older copy."));
            }
            repository.adopt(epochs)?;
        }
        Ok(repository)
    }

    /// The same repository for somebody who can read it: an operator's age identity file, as its text.
    pub async fn unlock(&self, identity_file: &Secret) -> Result<Repository> {
        let identities = recipients::identities(identity_file)?;
        let mut repository = self.clone();
        let mut epochs = BTreeMap::new();
        let mut refused = None;
        for epoch in &self.doc.epochs {
            let name = names::keys(epoch.epoch);
            let file = self.store.get(&name, keys::KEYS_LIMIT).await?;
            let file = file.ok_or_else(|| missing(&name))?;
            match keys::unwrap(&self.doc.id, epoch, &file, &identities) {
                Ok(unwrapped) => {
                    epochs.insert(epoch.epoch, unwrapped.keys);
                    repository.operators = Arc::new(unwrapped.operators);
                }
                Err(e) if e.reason() == &WRONG_IDENTITY => refused = Some(e),
                Err(e) => return Err(e),
            }
        }
        match refused {
            Some(e) if epochs.is_empty() => return Err(e),
            _ => {}
        }
        // A secret that was given must agree with the one that was unwrapped.
        for (number, keys) in self.epochs.iter() {
            epochs.entry(*number).or_insert_with(|| keys.clone());
        }
        repository.adopt(epochs)?;
        Ok(repository)
    }

    /// Trusts these keys and no others.
    pub fn trusting(mut self, keys: &[PublicKey]) -> Repository {
        self.trusted = Arc::new(keys.iter().map(|k| (k.id(), k.clone())).collect());
        self
    }

    /// The keys whose signatures count.
    pub fn trusted(&self) -> Vec<PublicKey> {
        self.trusted.values().cloned().collect()
    }

    /// The signers that `repository.json` lists. They are proven only if the secret or an identity was given.
    pub fn signers(&self) -> &[SignerDoc] {
        &self.doc.signers
    }

    /// The operators of the newest epoch that was unlocked; empty before [`Repository::unlock`].
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The repository's id: 32 hex digits.
    pub fn id(&self) -> &str {
        &self.doc.id
    }

    /// Where it lies, for messages.
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// The epochs and when each began, oldest first.
    pub fn epochs(&self) -> Vec<(u32, Instant)> {
        let epochs = self.doc.epochs.iter();
        epochs.map(|e| (e.epoch, e.created)).collect()
    }

    /// What the SHA-256 of each epoch's key file is: of two while it is being replaced.
    pub fn key_files(&self) -> BTreeMap<u32, Vec<Digest>> {
        let epochs = self.doc.epochs.iter();
        epochs.map(|e| (e.epoch, e.keys_sha256.clone())).collect()
    }

    /// The epoch that is written to.
    pub fn epoch(&self) -> u32 {
        self.doc.epochs.last().map_or(0, |e| e.epoch)
    }

    /// Whether its backups can be read, not only shown.
    pub fn can_read(&self) -> bool {
        self.epochs.values().any(|keys| keys.segments.is_some())
    }

    /// Fails unless an identity opens the backups of this epoch.
    pub fn can_open(&self, epoch: u32) -> Result<()> {
        if self.keys_of(epoch)?.segments.is_some() {
            return Ok(());
        }
        if !self.can_read() {
            return Err(no_identity());
        }
        Err(Error::new(
            &WRONG_IDENTITY,
            format!(
                "the identity opens backups of other epochs of keys, and none of epoch {epoch}"
            ),
        )
        .hint("Somebody who can read that epoch adds you: `summitctl keys add NAME RECIPIENT`."))
    }

    /// The repository secret, as an operator recovers it for a new backup host.
    pub fn secret(&self) -> Result<Secret> {
        self.writing_keys()?.secret.to_text()
    }

    /// The key of row hashes of new backups.
    pub fn fingerprint_key(&self) -> Result<FingerprintKey> {
        Ok(self.writing_keys()?.fingerprint_key())
    }

    /// Whoever holds a lock now.
    pub async fn holders(&self) -> Result<Vec<Holder>> {
        lock::holders(self.store.as_ref()).await
    }

    /// Refuses a key whose manifests nobody would trust: ask before the work, not after it.
    pub fn check_signer(&self, key: &SigningKey) -> Result<()> {
        if self.trusted.contains_key(&key.id()) {
            return Ok(());
        }
        Err(Error::new(
            &NOT_A_SIGNER,
            format!(
                "the signing key `{}` is not among the trusted signers of `{}`",
                key.id(),
                self.place()
            ),
        ))
    }

    /// Keeps what every backup is opened with from being deleted about as long as the newest backup: at most the slack of `runs_out` less.
    async fn keep_keys(&self) -> Result<()> {
        let keys = self.doc.epochs.iter().map(|e| names::keys(e.epoch));
        for name in keys.chain([names::REPOSITORY.to_owned()]) {
            let seen = self.store.look(&name).await?;
            if seen.is_some_and(|seen| seen.runs_out) {
                self.store.extend(&name).await?;
            }
        }
        Ok(())
    }

    /// Puts an object there, in the place of another if there is one. Nothing is deleted on the way: a bucket with versioning
    /// may take a deleted name for a taken one.
    async fn put(&self, name: &str, object: &Object) -> Result<()> {
        put(self.store.as_ref(), name, object).await
    }

    async fn reopen(&self) -> Result<Repository> {
        let mut repository = self.clone();
        repository.doc = Arc::new(read_doc(self.store.as_ref()).await?);
        repository.adopt((*self.epochs).clone())?;
        Ok(repository)
    }

    /// Takes the keys of some epochs, and with the newest one's secret the proven signers.
    fn adopt(&mut self, epochs: BTreeMap<u32, EpochKeys>) -> Result<()> {
        if let Some(keys) = epochs.get(&self.epoch()) {
            prove(&self.doc, keys)?;
            let signers = self.doc.signers.iter();
            self.trusted = Arc::new(
                signers
                    .map(|s| (s.key.clone(), s.public_key.clone()))
                    .collect(),
            );
        }
        self.epochs = Arc::new(epochs);
        Ok(())
    }

    /// The keys of the epoch that is written to.
    fn writing_keys(&self) -> Result<&EpochKeys> {
        self.keys_of(self.epoch())
    }

    fn keys_of(&self, epoch: u32) -> Result<&EpochKeys> {
        self.epochs.get(&epoch).ok_or_else(|| {
            if self.epochs.is_empty() {
                Error::new(
                    &NO_SECRET,
                    format!("the repository secret of `{}` was not given", self.place()),
                )
            } else {
                Error::new(
                    &WRONG_SECRET,
                    format!("the secret given is not the one of epoch {epoch}"),
                )
            }
        })
    }
}

fn signer_doc((name, key): &(String, PublicKey)) -> Result<SignerDoc> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Error::input(format!("{name:?} cannot name a signer")));
    }
    Ok(SignerDoc {
        key: key.id(),
        name: name.clone(),
        public_key: key.clone(),
    })
}

/// Checks that a holder of the secret wrote `repository.json`.
fn prove(doc: &RepositoryDoc, keys: &EpochKeys) -> Result<()> {
    if keys.mac(&doc.authenticated()) == doc.mac {
        return Ok(());
    }
    Err(Error::new(
        &DAMAGED,
        "`repository.json` was not written by a holder of the repository secret",
    )
    .hint("Compare it with an older copy; its signers and epochs decide what is trusted and who can read."))
}

async fn read_doc(store: &dyn Store) -> Result<RepositoryDoc> {
    let bytes = store.get(names::REPOSITORY, DOCUMENT_LIMIT).await?;
    let bytes = bytes.ok_or_else(|| {
        Error::new(
            &NOT_A_REPOSITORY,
            format!("`{}` holds no backup repository", store.place()),
        )
        .hint(format!(
            "Check the place in `summitctl context show`, and with `{}` whether it is there.",
            store.look_command()
        ))
        .hint("If there never was one, make it with `summitctl backup init`.")
    })?;
    let doc: RepositoryDoc = format::from_bytes(&bytes, names::REPOSITORY)
        .context(|| format!("cannot open the repository `{}`", store.place()))?;
    doc.check_text()?;
    let increasing = doc.epochs.windows(2).all(|w| w[0].epoch < w[1].epoch);
    if doc.epochs.is_empty() || !increasing {
        return Err(Error::new(
            &DAMAGED,
            "`repository.json` does not list its epochs in order",
        ));
    }
    Ok(doc)
}

/// A repository is not made among other things: a wrong path must not be strewn with our folders.
async fn refuse_foreign(store: &dyn Store) -> Result<()> {
    let ours = |name: &String| matches!(name.as_str(), "keys/" | "tmp/" | "locks/");
    let found = store.children("").await?;
    match found.iter().find(|name| !ours(name)) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            &EXISTS,
            format!("`{}` is not empty: it holds `{name}`", store.place()),
        )
        .hint("Name a new or empty folder for the repository.")),
    }
}

async fn put(store: &dyn Store, name: &str, object: &Object) -> Result<()> {
    for _ in 0..PUTS {
        if store.create(name, object).await? == Created::New {
            return Ok(());
        }
        let done = match store.get(name, DOCUMENT_LIMIT).await? {
            Some(there) => store.replace(name, store::sha256(&there), object).await?,
            None => store.unbury(name, object).await?,
        };
        if done {
            return Ok(());
        }
    }
    Err(changed_meanwhile(name))
}

fn missing(name: &str) -> Error {
    Error::new(&DAMAGED, format!("`{name}` is missing"))
}

fn changed_meanwhile(name: &str) -> Error {
    Error::new(
        &LOCKED,
        format!("`{name}` was changed by somebody else meanwhile"),
    )
    .hint("Run the command again.")
}

fn no_identity() -> Error {
    Error::new(
        &NO_IDENTITY,
        "backups are read with an operator's age identity, and none was given",
    )
}

/// The program and its version, as documents name it.
fn tool() -> String {
    concat!("summitctl ", env!("CARGO_PKG_VERSION")).to_owned()
}
