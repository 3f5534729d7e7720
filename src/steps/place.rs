//! Where a context's repository lies, and the one store that everything in a process reaches it by.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::world::{NOT_CONFIGURED, RepositorySettings, World, read};
use crate::config::{self, Bucket, Environment, ObjectLock};
use crate::error::{Context as _, Error, Result};
use crate::repository::s3::{AccessKeys, LockMode, RetainFor};
use crate::repository::{Backup, EXISTS, LocalStore, Repository, S3Place, S3Store, Store};

/// A folder or a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryPlace {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Box<S3Place>),
}

/// Another place that holds the same repository.
#[derive(Clone)]
pub struct CopyPlace {
    /// What it is called.
    pub name: String,
    /// Where it lies.
    pub place: RepositoryPlace,
    opened: Opened,
}

/// The copy that is worked on as if it were the repository, and where that lies itself.
#[derive(Clone)]
pub struct WorkedOn {
    /// What the copy is called.
    pub copy: String,
    repository: RepositoryPlace,
    opened: Opened,
}

/// The open store: its connections serve every step.
#[derive(Clone, Default)]
pub struct Opened(Arc<OnceCell<Arc<dyn Store>>>);

impl fmt::Display for RepositoryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RepositoryPlace::Folder(path) => path.display().fmt(f),
            RepositoryPlace::Bucket(place) => place.fmt(f),
        }
    }
}

impl RepositorySettings {
    /// The repository with the signers that this host trusts: its own key and those that are configured, and no others. Where
    /// neither is configured, those that `repository.json` lists, if the secret or an identity proves the list.
    pub(super) fn trusted_in(&self, repository: Repository) -> Repository {
        match self.trusted.as_slice() {
            [] => repository,
            keys => repository.trusting(keys),
        }
    }

    /// The store; nothing is sent to it yet.
    pub async fn store(&self) -> Result<Arc<dyn Store>> {
        self.opened.of(&self.place).await
    }

    /// The copy of this name.
    pub fn copy(&self, name: &str) -> Result<&CopyPlace> {
        self.copies.iter().find(|c| c.name == name).ok_or_else(|| {
            let known: Vec<String> = self.copies.iter().map(|c| format!("`{}`", c.name)).collect();
            let known = match known.as_slice() {
                [] => "none is configured".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            Error::new(
                &NOT_CONFIGURED,
                format!("the repository has no copy `{name}`: {known}"),
            )
            .hint("Name it in a `[[contexts.CONTEXT.repository.copies]]` table: docs/CONFIG.md, \"Copies of the repository\".")
        })
    }
}

impl CopyPlace {
    /// The copy's store; nothing is sent to it yet.
    pub async fn store(&self) -> Result<Arc<dyn Store>> {
        self.opened.of(&self.place).await
    }
}

impl Opened {
    async fn of(&self, place: &RepositoryPlace) -> Result<Arc<dyn Store>> {
        let open = async || {
            Ok(match place {
                RepositoryPlace::Folder(path) => Arc::new(LocalStore::new(path)) as Arc<dyn Store>,
                RepositoryPlace::Bucket(place) => Arc::new(S3Store::open((**place).clone()).await?),
            })
        };
        self.0.get_or_try_init(open).await.map(Arc::clone)
    }
}

impl World {
    /// Works on a copy as if it were the repository.
    pub fn working_on_copy(mut self, name: &str) -> Result<World> {
        let mut settings = self.repository_settings()?.clone();
        let copy = settings.copy(name)?.clone();
        settings.worked_on = Some(WorkedOn {
            copy: copy.name,
            repository: std::mem::replace(&mut settings.place, copy.place),
            opened: std::mem::replace(&mut settings.opened, copy.opened),
        });
        // A copy has no copies.
        settings.copies.clear();
        self.repository = Some(settings);
        Ok(self)
    }

    /// The copy that is worked on as if it were the repository, if one is.
    pub fn copy_worked_on(&self) -> Option<&str> {
        let worked_on = self.repository.as_ref()?.worked_on.as_ref()?;
        Some(&worked_on.copy)
    }

    /// Where that lies which is worked on, and which copy it is if it is one.
    pub fn place_worked_on(&self) -> Result<String> {
        let settings = self.repository_settings()?;
        Ok(match self.copy_worked_on() {
            None => settings.place.to_string(),
            Some(copy) => format!("{} (the copy `{copy}`)", settings.place),
        })
    }

    /// What the repository holds whose copy is worked on; `None` if that is the repository itself.
    pub async fn copied(&self) -> Option<Result<Vec<Backup>>> {
        let settings = self.repository.as_ref()?;
        let worked_on = settings.worked_on.as_ref()?;
        Some(self.backups_of(settings, worked_on).await)
    }

    async fn backups_of(
        &self,
        settings: &RepositorySettings,
        worked_on: &WorkedOn,
    ) -> Result<Vec<Backup>> {
        let store = worked_on.opened.of(&worked_on.repository).await?;
        let here = self.repository().await?;
        let repository = self.remembered(settings, store).await?;
        if repository.id() != here.id() {
            return Err(Error::new(
                &EXISTS,
                format!(
                    "`{}` holds another repository than its copy `{}`",
                    worked_on.repository, worked_on.copy
                ),
            ));
        }
        repository.list().await
    }

    /// The settings of the repository, or an error that says they are missing.
    pub fn repository_settings(&self) -> Result<&RepositorySettings> {
        self.repository
            .as_ref()
            .ok_or_else(|| self.lacks("repository"))
    }
}

/// The copies, with their secrets fetched.
pub(super) async fn copies(
    settings: &config::Repository,
    environment: &Environment,
) -> Result<Vec<CopyPlace>> {
    let mut copies = Vec::new();
    for copy in &settings.copies {
        copies.push(CopyPlace {
            name: copy.name.value.clone(),
            place: resolve(&copy.place.value, environment).await?,
            opened: Opened::default(),
        });
    }
    Ok(copies)
}

/// The place, with its secrets fetched.
pub(super) async fn resolve(
    settings: &config::Place,
    environment: &Environment,
) -> Result<RepositoryPlace> {
    let mut bucket: Bucket = match settings {
        config::Place::Folder(path) => return Ok(RepositoryPlace::Folder(path.clone())),
        config::Place::Bucket(bucket) => (**bucket).clone(),
    };
    bucket.from_environment(environment)?;
    let missing = || "the access key of the repository's bucket is missing".to_owned();
    let keys = match (&bucket.access_key_id, &bucket.secret_access_key) {
        (Some(id), Some(secret)) => Some(AccessKeys {
            id: id.value.resolve(environment).await.context(missing)?,
            secret: secret.value.resolve(environment).await.context(missing)?,
            session_token: match &bucket.session_token {
                Some(token) => Some(token.value.resolve(environment).await.context(missing)?),
                None => None,
            },
        }),
        _ => None,
    };
    let lock = bucket.lock.as_ref().map(|(mode, span)| RetainFor {
        mode: match mode.value {
            ObjectLock::Governance => LockMode::Governance,
            ObjectLock::Compliance => LockMode::Compliance,
        },
        span: span.value.0,
    });
    Ok(RepositoryPlace::Bucket(Box::new(S3Place {
        bucket: bucket.name,
        prefix: bucket.prefix,
        region: bucket.region.map(|r| r.value),
        endpoint: bucket.endpoint.map(|e| e.value),
        path_style: bucket.path_style.map(|p| p.value),
        storage_class: bucket.storage_class.map(|c| c.value),
        kms_key: bucket.kms_key.map(|k| k.value),
        lock,
        keys,
        tls_ca: bucket.tls_ca.map(|ca| read(&ca.value)).transpose()?,
    })))
}
