//! What was verified of a backup, when, to which level and by whom: signed records beside the manifest.
//!
//! A level is claimed only by a record that a trusted host signed for this very manifest. Failures are recorded too, so that
//! a later one takes an earlier claim away. Findings and figures are sealed, because they name parts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::{DOCUMENT_LIMIT, VERSION, VerifiedPayload};
use super::names::{BackupId, Digest};
use super::sample::Sample;
use super::signed;
use super::store::Created;
use super::verify::{CrossCheck, Finding, Verification};
use super::{DAMAGED, Repository, changed_meanwhile, tool};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::sign::{KeyId, SigningKey};
use crate::time::Instant;

/// What tells a verification record from every other signed document.
const KIND: &str = "summitctl-verified";
/// So many records of one host and level that end at one moment get milliseconds of their own.
pub(super) const MOMENTS: usize = 100;

/// How much of a backup was verified. In documents it is its number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(with = "u8")]
pub enum Level {
    /// 1: every object is authentic and complete.
    Objects,
    /// 2: every row was decoded and the fingerprints are right.
    Rows,
    /// 3: restored to a scratch server and compared.
    Restored,
    /// 4: the user's own assertions hold on the restored data.
    Asserted,
}

impl Level {
    /// All of them, lowest first.
    pub const ALL: [Level; 4] = [
        Level::Objects,
        Level::Rows,
        Level::Restored,
        Level::Asserted,
    ];

    /// Its number, 1 to 4.
    pub fn number(self) -> u8 {
        match self {
            Level::Objects => 1,
            Level::Rows => 2,
            Level::Restored => 3,
            Level::Asserted => 4,
        }
    }
}

impl TryFrom<u8> for Level {
    type Error = Error;
    fn try_from(number: u8) -> Result<Self> {
        let found = Level::ALL.into_iter().find(|l| l.number() == number);
        found.ok_or_else(|| {
            Error::input(format!("`{number}` is not a verification level"))
                .hint("The levels are 1 (objects), 2 (rows), 3 (restored) and 4 (asserted).")
        })
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> u8 {
        level.number()
    }
}

/// One verification, as its record says.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// To which level.
    pub level: Level,
    /// Which segments were looked at, if not all. If it passed, it claims nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// `passed` or `failed`.
    pub outcome: Outcome,
    /// When it began.
    pub from: Instant,
    /// When it ended.
    pub to: Instant,
    /// The program that did it.
    pub tool: String,
    /// The key that signed the record.
    pub key: KeyId,
    /// Host, figures and findings; absent without the repository secret.
    pub details: Option<Details>,
}

/// The sealed part of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Details {
    /// Format version: 1.
    pub version: u32,
    /// The host that did it.
    pub host: String,
    /// What was counted, such as `segments`, `bytes`, `parts`, `rows`.
    pub measured: BTreeMap<String, u64>,
    /// What was wrong; empty if it passed.
    pub findings: Vec<Finding>,
    /// At level 3, how each store was loaded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loaded: BTreeMap<String, String>,
    /// At level 3, what the stores said of each other; it takes no level away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross_checks: Vec<CrossCheck>,
}

impl Repository {
    /// Keeps a verification, signed by this host. It counts from then on. Of two that end in the same millisecond, the later
    /// record names the next one.
    pub async fn record(&self, done: &Verification, key: &SigningKey) -> Result<Record> {
        self.check_signer(key)?;
        let keys = self.writing_keys()?;
        let details = Details {
            version: VERSION,
            host: crate::pid::host_name(),
            measured: done.measured.clone(),
            findings: done.findings.clone(),
            loaded: done.loaded.clone(),
            cross_checks: done.cross_checks.clone(),
        };
        let mut payload = VerifiedPayload {
            version: VERSION,
            kind: KIND.to_owned(),
            repository: self.id().to_owned(),
            backup: done.backup.clone(),
            manifest_sha256: done.manifest_sha256,
            level: done.level.number(),
            sample: done.sample,
            outcome: done.outcome(),
            from: done.from,
            to: done.to,
            tool: tool(),
            epoch: keys.epoch,
            sealed: keys.seal(&details)?,
        };
        for _ in 0..MOMENTS {
            let object = signed::sign(&payload, key)?;
            let name = name(&payload, &key.id());
            if self.store.create(&name, &object).await? == Created::New {
                if done.level >= Level::Restored {
                    // It says what is so now: whatever went before is not missed any more.
                    self.restate(&done.backup, |stated| stated.restores = [name].into());
                }
                return Ok(record(payload, key.id(), Some(details)));
            }
            payload.to = payload.to.plus(Duration::from_millis(1));
        }
        Err(changed_meanwhile(&name(&payload, &key.id())))
    }

    /// The records of this manifest that a trusted host signed, oldest first. Damaged ones claim nothing; level 1 names
    /// them.
    pub(super) async fn records(
        &self,
        id: &BackupId,
        manifest: Digest,
        names: &[String],
    ) -> Result<Vec<(String, Record)>> {
        let read = self.records_of(id, manifest, names).await?;
        let whole = read
            .into_iter()
            .filter_map(|(name, r)| Some((name, r.ok()?)));
        let mut records: Vec<(String, Record)> = whole.collect();
        records.sort_by_key(|(_, r)| r.to);
        Ok(records)
    }

    /// Every record with what is wrong with it.
    pub(super) async fn read_records(
        &self,
        id: &BackupId,
        manifest: Digest,
    ) -> Result<Vec<(String, Result<Record>)>> {
        let entries = self.store.list(&id.verified()).await?;
        let names: Vec<String> = entries.into_iter().map(|e| e.name).collect();
        self.records_of(id, manifest, &names).await
    }

    /// The records of restores of this manifest, as they are stored. What is not whole proves nothing, here or elsewhere.
    pub(super) async fn restores_of(
        &self,
        id: &BackupId,
        manifest: Digest,
    ) -> Result<Vec<(String, Bytes)>> {
        let mut found = Vec::new();
        for entry in self.store.list(&id.verified()).await? {
            if let Some(bytes) = self.store.get_as_it_is(&entry.name, DOCUMENT_LIMIT).await?
                && let Ok(record) = self.read_record(id, manifest, &entry.name, &bytes)
                && record.level >= Level::Restored
            {
                found.push((entry.name, bytes));
            }
        }
        Ok(found)
    }

    async fn records_of(
        &self,
        id: &BackupId,
        manifest: Digest,
        names: &[String],
    ) -> Result<Vec<(String, Result<Record>)>> {
        let mut all = Vec::new();
        for name in names {
            if let Some(bytes) = self.store.get_as_it_is(name, DOCUMENT_LIMIT).await? {
                let read = self.read_record(id, manifest, name, &bytes);
                all.push((name.clone(), read));
            }
        }
        Ok(all)
    }

    fn read_record(
        &self,
        id: &BackupId,
        manifest: Digest,
        object: &str,
        bytes: &[u8],
    ) -> Result<Record> {
        let damaged = |why: &str| Error::new(&DAMAGED, format!("`{object}` {why}"));
        let (payload, key): (VerifiedPayload, KeyId) = self.read_signed(object, bytes)?;
        let bound = payload.kind == KIND
            && payload.repository == self.id()
            && payload.backup == *id
            && payload.manifest_sha256 == manifest
            && name(&payload, &key) == object;
        if !bound {
            return Err(damaged("is the record of another verification"));
        }
        Level::try_from(payload.level)?;
        let details = match self.epochs.get(&payload.epoch) {
            Some(keys) => Some(keys.unseal(&payload.sealed, object)?),
            None => None,
        };
        Ok(record(payload, key, details))
    }
}

fn name(payload: &VerifiedPayload, key: &KeyId) -> String {
    format!(
        "{}{}-{}-{:03}-{key}.json",
        payload.backup.verified(),
        payload.level,
        payload.to.compact(),
        payload.to.millis().rem_euclid(1000)
    )
}

fn record(payload: VerifiedPayload, key: KeyId, details: Option<Details>) -> Record {
    Record {
        // Checked by both callers.
        level: Level::try_from(payload.level).unwrap_or(Level::Objects),
        sample: payload.sample,
        outcome: payload.outcome,
        from: payload.from,
        to: payload.to,
        tool: payload.tool,
        key,
        details,
    }
}
