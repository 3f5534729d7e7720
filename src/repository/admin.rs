//! Changes of who may sign and who may read: the only objects that are ever replaced.
//!
//! Each runs under an exclusive lock, and each may be killed anywhere and repeated: `repository.json` says at every
//! moment what is there.

use std::sync::Arc;

use super::format::{self, RepositoryDoc};
use super::keys::{self, EpochKeys, RepositorySecret};
use super::names::{self, Digest};
use super::store::{self, Object};
use super::{
    Lock, Mode, Operator, Repository, WRONG_SECRET, changed_meanwhile, missing, no_identity, prove,
    read_doc, signer_doc,
};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::sign::PublicKey;

impl Repository {
    /// Adds a host that may sign, or finds it there already. Needs the secret.
    pub async fn add_signer(&self, name: &str, key: &PublicKey) -> Result<Repository> {
        let signer = signer_doc(&(name.to_owned(), key.clone()))?;
        self.change("add a signer", move |doc| {
            if !doc.signers.iter().any(|s| s.key == signer.key) {
                doc.signers.push(signer.clone());
            }
        })
        .await
    }

    /// Makes these the operators of every epoch that is unlocked, by re-wrapping its key file; no segment is touched. Needs
    /// an unlocked repository. It is not a revocation: whoever could unwrap the old file may have kept the key.
    pub async fn set_operators(&self, operators: &[Operator]) -> Result<Repository> {
        if self.writing_keys()?.segments.is_none() {
            return Err(no_identity());
        }
        let lock = Lock::acquire(&self.store, Mode::Exclusive, "change operators").await?;
        for keys in self.epochs.values().filter(|k| k.segments.is_some()) {
            self.rewrap(keys, operators).await?;
        }
        lock.release().await?;
        let mut repository = self.reopen().await?;
        repository.operators = Arc::new(operators.to_vec());
        Ok(repository)
    }

    async fn rewrap(&self, keys: &EpochKeys, operators: &[Operator]) -> Result<()> {
        let object = Object::new(keys::wrap(&self.doc.id, keys, operators)?);
        let name = names::keys(keys.epoch);
        let old = self.store.get(&name, keys::KEYS_LIMIT).await?;
        let old = store::sha256(&old.ok_or_else(|| missing(&name))?);
        // Both digests are right while one file takes the other's place, so that a killed process leaves no damage.
        self.write_doc(|doc| digests(doc, keys.epoch, &[old, object.sha256()]))
            .await?;
        if !self.store.replace(&name, old, &object).await? {
            return Err(changed_meanwhile(&name));
        }
        self.write_doc(|doc| digests(doc, keys.epoch, &[object.sha256()]))
            .await
    }

    /// Starts a new epoch after a compromise: new keys under a new secret, and no segment of the old is used again. Give
    /// every backup host the new secret, kept durably *before* the call; operators still read the old backups.
    pub async fn start_epoch(&self, secret: &Secret, operators: &[Operator]) -> Result<Repository> {
        let secret = RepositorySecret::parse(secret)?;
        let lock = Lock::acquire(&self.store, Mode::Exclusive, "start an epoch").await?;
        let mut doc = read_doc(self.store.as_ref()).await?;
        let last = doc.epochs.last().map_or(0, |e| e.epoch);
        let mut known = None;
        for epoch in &doc.epochs {
            known = EpochKeys::new(&secret, &doc.id, epoch)?.or(known);
        }
        let keys = match known {
            // A killed process got this far.
            Some(keys) if keys.epoch == last => keys,
            Some(keys) => {
                return Err(Error::new(
                    &WRONG_SECRET,
                    format!("this is the secret of the retired epoch {}", keys.epoch),
                )
                .hint("A new epoch needs a new secret."));
            }
            None => self.add_epoch(&mut doc, &secret, operators).await?,
        };
        lock.release().await?;
        let mut repository = self.clone();
        repository.doc = Arc::new(doc);
        let mut epochs = (*self.epochs).clone();
        epochs.insert(keys.epoch, keys);
        repository.adopt(epochs)?;
        Ok(repository)
    }

    async fn add_epoch(
        &self,
        doc: &mut RepositoryDoc,
        secret: &RepositorySecret,
        operators: &[Operator],
    ) -> Result<EpochKeys> {
        let last = doc.epochs.last().map_or(0, |e| e.epoch);
        prove(doc, self.keys_of(last)?)?;
        let old = store::sha256(&format::to_bytes(doc)?);
        let (epoch, keys, file) = keys::new_epoch(&doc.id, last + 1, secret, operators)?;
        let name = names::keys(epoch.epoch);
        // Left by a killed process; nothing was ever encrypted to it.
        self.put(&name, &Object::new(file)).await?;
        doc.epochs.push(epoch);
        doc.generation += 1;
        keys::authenticate(doc, &keys);
        let object = Object::new(format::to_bytes(doc)?);
        if self.store.replace(names::REPOSITORY, old, &object).await? {
            Ok(keys)
        } else {
            Err(changed_meanwhile(names::REPOSITORY))
        }
    }

    async fn change(&self, purpose: &str, edit: impl Fn(&mut RepositoryDoc)) -> Result<Repository> {
        let lock = Lock::acquire(&self.store, Mode::Exclusive, purpose).await?;
        self.write_doc(edit).await?;
        lock.release().await?;
        self.reopen().await
    }

    /// Replaces `repository.json`; the lock is held.
    async fn write_doc(&self, edit: impl Fn(&mut RepositoryDoc)) -> Result<()> {
        let keys = self.writing_keys()?;
        let mut doc = read_doc(self.store.as_ref()).await?;
        prove(&doc, keys)?;
        let before = format::to_bytes(&doc)?;
        let was = doc.clone();
        edit(&mut doc);
        if doc == was {
            return Ok(());
        }
        doc.check_text()?;
        doc.generation += 1;
        keys::authenticate(&mut doc, keys);
        let after = Object::new(format::to_bytes(&doc)?);
        let old = store::sha256(&before);
        if self.store.replace(names::REPOSITORY, old, &after).await? {
            Ok(())
        } else {
            Err(changed_meanwhile(names::REPOSITORY))
        }
    }
}

fn digests(doc: &mut RepositoryDoc, epoch: u32, digests: &[Digest]) {
    for found in doc.epochs.iter_mut().filter(|e| e.epoch == epoch) {
        found.keys_sha256 = digests.to_vec();
        found.keys_sha256.dedup();
    }
}
