//! The world that steps work on: one context, its targets with their secrets resolved, and where state lies.
//!
//! A world is made once per command from a [`config::Context`]; steps read it and hold nothing of their own.

mod pinned;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::place::{self, CopyPlace, Opened, RepositoryPlace, WorkedOn};
use crate::config::pins::PinStore;
use crate::config::{self, Environment};
use crate::consent::Tier;
use crate::engine::runs::Runs;
use crate::error::{Context as _, Error, Result, TIMEOUT};
use crate::exit::Exit;
use crate::identity::{Identity, Store};
use crate::providers::{kubernetes, neo4j, postgres, redis};
use crate::reasons;
use crate::repository::s3::NO_BUCKET;
use crate::repository::{NOT_A_REPOSITORY, Repository};
use crate::secret::Secret;
use crate::sign::{PublicKey, SigningKey};
use crate::wait::Deadline;

reasons! {
    /// Nobody said which target is the right one.
    NOT_PINNED = "context.not-pinned", Refused,
        "The target was not pinned, so that nothing says whether what answers is what is meant, and it is not changed. Look at what answers with \
         `summitctl context show`, record it with `summitctl context pin`, and go on: a run that stopped here is resumed.";
    /// The context does not say.
    NOT_CONFIGURED = "context.not-configured", Usage,
        "The context has no such target or setting. The message names the section; `docs/CONFIG.md` shows what goes into it.";
    /// Another target than the pinned one.
    WRONG_TARGET = "context.wrong-target", Refused,
        "The target that answers is not the one that was pinned: its name leads somewhere else, it was restored or cloned, or ports were \
         swapped. Nothing was changed. If it is right, `summitctl context pin --replace` records it anew.";
}

/// How long a look at an identity may take.
const LOOK: Duration = Duration::from_secs(15);

/// Where journals, leases and pins lie.
#[derive(Debug, Clone)]
pub struct StateDir(pub PathBuf);

impl StateDir {
    /// The runs.
    pub fn runs(&self) -> Runs {
        Runs::at(self.0.join("runs"))
    }
    /// The folder of the file leases.
    pub fn leases(&self) -> PathBuf {
        self.0.join("leases")
    }
    /// Scratch servers and other plaintext, wiped at the next start.
    pub fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }
}

/// The gateway, ready to be probed.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Its address.
    pub url: String,
    /// The UI's address.
    pub ui_url: Option<String>,
    /// Paths of its endpoints.
    pub paths: Paths,
    /// The path of `/graphql`.
    pub graphql: String,
    /// The path of the queues' health, if it is served.
    pub queues: Option<String>,
    /// A bearer token.
    pub token: Option<Secret>,
    /// PEM certificates to trust besides the system's.
    pub ca: Option<Vec<u8>>,
}

/// Paths of the health contract.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Liveness.
    pub live: String,
    /// Liveness under its other name.
    pub live_alias: String,
    /// The dependencies.
    pub detailed: String,
    /// Readiness.
    pub ready: String,
}

impl Gateway {
    /// The address of a path.
    pub fn at(&self, path: &str) -> String {
        format!(
            "{}/{}",
            self.url.trim_end_matches('/'),
            path.trim_start_matches('/')
        )
    }
}

/// The repository and its keys.
#[derive(Clone)]
pub struct RepositorySettings {
    /// Where it lies.
    pub place: RepositoryPlace,
    /// The way there, once it was taken.
    pub opened: Opened,
    /// The repository secret: needed to write and to show names.
    pub secret: Option<Secret>,
    /// An operator's age identity: needed to read.
    pub identity: Option<Secret>,
    /// This host's signing key.
    pub signing_key: Option<SigningKey>,
    /// Public keys to trust, as files or PEM.
    pub trusted: Vec<PublicKey>,
    /// The other places that hold the same repository.
    pub copies: Vec<CopyPlace>,
    /// The copy that is worked on as if it were the repository, if one is.
    pub worked_on: Option<WorkedOn>,
}

/// Where evidence goes and who signs it.
#[derive(Clone)]
pub struct EvidenceSettings {
    /// The folder of the logs.
    pub dir: PathBuf,
    /// The signer.
    pub key: SigningKey,
}

/// Whoever can be asked while a run is under way.
#[async_trait::async_trait]
pub trait Person: Send + Sync {
    /// Whether there is somebody.
    fn present(&self) -> bool;
    /// Asks, and waits for a line.
    async fn answer(&self, question: &str) -> Result<String>;
}

/// Nobody to ask: schedulers and tests.
pub struct Absent;

#[async_trait::async_trait]
impl Person for Absent {
    fn present(&self) -> bool {
        false
    }
    async fn answer(&self, _: &str) -> Result<String> {
        Err(Error::bug("a question was put to nobody"))
    }
}

/// What one look at a store saw.
pub struct Seen {
    /// The server's version.
    pub version: String,
    /// How long the query took.
    pub latency: Duration,
    /// More facts.
    pub facts: Map<String, Value>,
}

/// One context, resolved.
pub struct World {
    /// The context's name.
    pub context: String,
    /// Its tier.
    pub tier: Tier,
    /// Its platform.
    pub platform: Option<String>,
    /// The Postgres target.
    pub postgres: Option<postgres::Target>,
    /// The databases of the Postgres target, the URL's own first.
    pub databases: Vec<String>,
    /// How long a capture of Postgres may be in others' way.
    pub patience: postgres::Patience,
    /// The database from which databases are renamed and created.
    pub maintenance_database: String,
    /// The Neo4j target.
    pub neo4j: Option<neo4j::Target>,
    /// The Redis target.
    pub redis: Option<redis::Target>,
    /// The Kubernetes cluster.
    pub kubernetes: Option<kubernetes::Target>,
    /// The gateway.
    pub gateway: Option<Gateway>,
    /// The data-plane probe.
    pub data_plane: Option<config::DataPlane>,
    /// Prometheus's address.
    pub prometheus: Option<String>,
    /// The context as it is configured.
    pub settings: config::Context,
    /// The repository.
    pub repository: Option<RepositorySettings>,
    /// Evidence; absent without a signing key.
    pub evidence: Option<EvidenceSettings>,
    /// The policy.
    pub policy: config::Policy,
    /// The environment and `.env` checks of the configuration use it.
    pub environment: Environment,
    /// Where state lies.
    pub state: StateDir,
    /// How many streams may run side by side.
    pub jobs: usize,
    /// Who can be asked.
    pub person: Arc<dyn Person>,
    /// Every configured context: a backup may lie in the repository of another one.
    pub contexts: Vec<config::Context>,
}

impl World {
    /// Resolves a context: connection strings, secrets, keys. Nothing is connected to.
    pub async fn resolve(
        context: &config::Context,
        environment: &Environment,
        state: StateDir,
        evidence_dir: Option<PathBuf>,
        jobs: usize,
    ) -> Result<World> {
        let postgres = match &context.postgres {
            Some(settings) => {
                let at = settings.endpoint.resolve("postgres", environment).await?;
                Some(postgres::Target::parse(
                    &at.url,
                    at.user.as_deref(),
                    at.password,
                )?)
            }
            None => None,
        };
        let neo4j = match &context.neo4j {
            Some(settings) => {
                let at = settings.endpoint.resolve("neo4j", environment).await?;
                let mut target = neo4j::Target::parse(&at.url, at.user.as_deref(), at.password)?;
                if let Some(database) = &settings.database {
                    target.database = Some(database.value.clone());
                }
                Some(target)
            }
            None => None,
        };
        let redis = match &context.redis {
            Some(settings) => {
                let at = settings.endpoint.resolve("redis", environment).await?;
                Some(redis::Target::parse(
                    &at.url,
                    at.user.as_deref(),
                    at.password,
                )?)
            }
            None => None,
        };
        let maintenance_database = context
            .postgres
            .as_ref()
            .map_or("postgres".to_owned(), |p| {
                p.maintenance_database.value.clone()
            });
        let patience = context
            .postgres
            .as_ref()
            .map_or_else(postgres::Patience::default, |p| postgres::Patience {
                give_way: p.give_way_after.value.0,
                snapshot: p.longest_snapshot.value.0,
            });
        Ok(World {
            context: context.name.clone(),
            tier: context.tier.value,
            platform: Some(context.platform.value.clone()),
            databases: super::databases::named(context, postgres.as_ref())?,
            postgres,
            patience,
            maintenance_database,
            neo4j,
            redis,
            kubernetes: kubernetes(context, environment),
            gateway: gateway(context, environment).await?,
            data_plane: context.data_plane.clone(),
            prometheus: context.prometheus.as_ref().map(|p| p.value.clone()),
            settings: context.clone(),
            repository: repository(context, environment).await?,
            evidence: evidence(context, environment, evidence_dir, &state).await?,
            policy: context.policy.clone(),
            environment: environment.clone(),
            state,
            jobs,
            person: Arc::new(Absent),
            contexts: Vec::new(),
        })
    }

    /// The world of another context of the same configuration.
    pub async fn other(&self, name: &str) -> Result<World> {
        let context = self
            .contexts
            .iter()
            .find(|c| c.name == name)
            .ok_or_else(|| {
                Error::new(&NOT_CONFIGURED, format!("there is no context `{name}`"))
                    .hint("See the contexts with `summitctl context list`.")
            })?;
        let evidence = self.evidence.as_ref().map(|e| e.dir.clone());
        let (state, jobs) = (self.state.clone(), self.jobs);
        World::resolve(context, &self.environment, state, evidence, jobs).await
    }

    /// Whether the context has this store.
    pub fn has(&self, store: Store) -> bool {
        match store {
            Store::Postgres => self.postgres.is_some(),
            Store::Neo4j => self.neo4j.is_some(),
            Store::Redis => self.redis.is_some(),
        }
    }

    /// The stores the context has, or those asked for; one that is asked for and missing is an error.
    pub fn stores(&self, wanted: &[Store]) -> Result<Vec<Store>> {
        if wanted.is_empty() {
            return Ok(Store::ALL.into_iter().filter(|s| self.has(*s)).collect());
        }
        if let Some(missing) = wanted.iter().find(|s| !self.has(**s)) {
            return Err(self.lacks(missing.name()));
        }
        Ok(Store::ALL
            .into_iter()
            .filter(|s| wanted.contains(s))
            .collect())
    }

    /// The error for a section that the context does not have.
    pub fn lacks(&self, section: &str) -> Error {
        Error::new(&NOT_CONFIGURED, format!("context `{}` has no `{section}` section", self.context))
            .hint(format!(
                "Add `[contexts.{0}.{section}]` to summitctl.toml; `summitctl context show --context {0}` shows what there is.",
                self.context
            ))
    }

    /// The Postgres target, or an error that says it is missing.
    pub fn postgres(&self) -> Result<&postgres::Target> {
        self.postgres.as_ref().ok_or_else(|| self.lacks("postgres"))
    }

    /// The Neo4j target, or an error that says it is missing.
    pub fn neo4j(&self) -> Result<&neo4j::Target> {
        self.neo4j.as_ref().ok_or_else(|| self.lacks("neo4j"))
    }

    /// The Redis target, or an error that says it is missing.
    pub fn redis(&self) -> Result<&redis::Target> {
        self.redis.as_ref().ok_or_else(|| self.lacks("redis"))
    }

    /// Asks a store directly.
    pub async fn ping(&self, store: Store, deadline: Deadline) -> Result<Seen> {
        match store {
            Store::Postgres => self.ping_postgres(deadline).await,
            Store::Neo4j => neo4j::ping(self.neo4j()?, deadline)
                .await
                .map(|h| seen(h.version, h.latency, h.facts)),
            Store::Redis => redis::ping(self.redis()?, deadline)
                .await
                .map(|h| seen(h.version, h.latency, h.facts)),
        }
    }

    /// Asks a store directly, with its address and secrets read anew: they may have been rotated since this world was made.
    /// Variables of the environment stay what they were when the process began.
    pub async fn ping_anew(&self, store: Store, deadline: Deadline) -> Result<Seen> {
        let mut context = self.settings.clone();
        context.gateway = None;
        context.repository = None;
        context.evidence.signing_key = None;
        if store != Store::Postgres {
            context.postgres = None;
        }
        if store != Store::Neo4j {
            context.neo4j = None;
        }
        if store != Store::Redis {
            context.redis = None;
        }
        let state = self.state.clone();
        let world = World::resolve(&context, &self.environment, state, None, self.jobs).await?;
        world.ping(store, deadline).await
    }

    /// What a store is, as it says now.
    pub async fn identify(&self, store: Store) -> Result<Identity> {
        let work = async {
            match store {
                Store::Postgres => postgres::identify_all(&self.postgres_databases()?).await,
                Store::Neo4j => neo4j::identify(self.neo4j()?).await,
                Store::Redis => redis::identify(self.redis()?).await,
            }
        };
        Deadline::after(LOOK)
            .run(&format!("looking at {store}"), work)
            .await
            .map_err(|e| self.out_of_reach(store, e))
    }

    /// The error of a store that could not be looked at, with the commands that say why.
    fn out_of_reach(&self, store: Store, error: Error) -> Error {
        let error = if error.reason() == &TIMEOUT {
            let reason = match store {
                Store::Postgres => &postgres::UNREACHABLE,
                Store::Neo4j => &neo4j::UNREACHABLE,
                Store::Redis => &redis::UNREACHABLE,
            };
            let place = self.endpoint(store).unwrap_or_default();
            let message = format!("`{place}` does not answer as {store} does");
            Error::new(reason, message).caused_by(error)
        } else {
            error
        };
        if ![Exit::Unreachable, Exit::Failed].contains(&error.exit()) {
            return error;
        }
        error.hint(format!(
            "Compare address, user and password reference with `summitctl context show --context {0}`; `summitctl doctor --context {0}` shows how far each connection gets.",
            self.context
        ))
    }

    /// `HOST:PORT` of a store.
    pub fn endpoint(&self, store: Store) -> Option<String> {
        match store {
            Store::Postgres => self.postgres.as_ref().map(postgres::Target::endpoint),
            Store::Neo4j => self.neo4j.as_ref().map(neo4j::Target::endpoint),
            Store::Redis => self.redis.as_ref().map(redis::Target::endpoint),
        }
    }

    /// What the stores are, side by side. The first that cannot be looked at ends it: one that never answers must not keep
    /// the reader from the error of another.
    pub async fn identities(&self, stores: &[Store]) -> Result<Vec<Identity>> {
        let looks = stores.iter().map(|store| self.identify(*store));
        futures_util::future::try_join_all(looks).await
    }

    /// Plants the marker that tells a target from its empty twin.
    pub async fn plant_marker(&self, store: Store, marker: &str) -> Result<()> {
        match store {
            Store::Postgres => postgres::plant_markers(&self.postgres_databases()?, marker).await,
            Store::Neo4j => neo4j::plant_marker(self.neo4j()?, marker).await,
            Store::Redis => redis::plant_marker(self.redis()?, marker).await,
        }
    }

    /// The pins of the context.
    pub fn pins(&self) -> Result<PinStore> {
        PinStore::load(&self.state.0, &self.context)
    }

    /// Opens the repository for writing and showing; for reading, see [`World::readable_repository`].
    pub async fn repository(&self) -> Result<Repository> {
        let settings = self.repository_settings()?;
        let opened = self.remembered(settings, settings.store().await?).await;
        opened.map_err(|e| match self.copy_worked_on() {
            Some(copy) if e.reason() == &NOT_A_REPOSITORY => e.hint(format!(
                "`{copy}` is a copy: fill it anew with `summitctl backup copy {copy} --context {}`.",
                self.context
            )),
            None if [&NOT_A_REPOSITORY, &NO_BUCKET].contains(&e.reason()) => {
                self.lost(&settings.copies, e)
            }
            _ => e,
        })
    }

    /// The error of a repository that is not where it was: its copies come before a new one.
    fn lost(&self, copies: &[CopyPlace], error: Error) -> Error {
        let Some(first) = copies.first() else {
            return error;
        };
        let names: Vec<String> = copies.iter().map(|c| format!("`{}`", c.name)).collect();
        let (name, context) = (&first.name, &self.context);
        error
            .context(format!("the repository of context `{context}` cannot be opened"))
            .hint(format!(
                "It has copies ({}) that hold the same backups: see them with `summitctl backup list --repository {name} --context {context}`, and restore from there with `summitctl restore BACKUP --repository {name} --context {context}`.",
                names.join(", ")
            ))
            .hint(format!(
                "If it is lost for good, make the place of `{name}` ({}) the repository's in summitctl.toml. A new repository would be empty.",
                first.place
            ))
    }

    /// The repository in a store, as this host remembers and trusts it.
    pub(super) async fn remembered(
        &self,
        settings: &RepositorySettings,
        store: Arc<dyn crate::repository::Store>,
    ) -> Result<Repository> {
        let repository = Repository::open(store, settings.secret.as_ref()).await?;
        let repository = repository.remembering(&self.memories()).await?;
        Ok(settings.trusted_in(repository))
    }

    /// Opens the repository with an operator's identity.
    pub async fn readable_repository(&self) -> Result<Repository> {
        let settings = self.repository_settings()?;
        let identity = settings.identity.as_ref().ok_or_else(|| {
            Error::new(&NOT_CONFIGURED, format!("context `{}` has no `repository.identity`", self.context))
                .hint("Reading a backup needs an operator's age identity: set `identity = \"file:…\"` in the repository section.")
        })?;
        let unlocked = self.repository().await?.unlock(identity).await?;
        let unlocked = unlocked.remembering(&self.memories()).await?;
        Ok(settings.trusted_in(unlocked))
    }

    /// Where this host keeps what it has seen of repositories.
    fn memories(&self) -> PathBuf {
        self.state.0.join("repositories")
    }

    /// This host's key for manifests and verification records.
    pub fn signing_key(&self) -> Result<&SigningKey> {
        let settings = self.repository_settings()?;
        settings.signing_key.as_ref().ok_or_else(|| {
            Error::new(&NOT_CONFIGURED, format!("context `{}` has no `repository.signing-key`", self.context))
                .hint("Make one with `summitctl evidence keygen KEYFILE` and set `signing-key = \"file:KEYFILE\"` in the repository section.")
        })
    }
}

pub(super) fn seen(
    version: String,
    latency: Duration,
    facts: impl IntoIterator<Item = (String, Value)>,
) -> Seen {
    Seen {
        version,
        latency,
        facts: facts.into_iter().collect(),
    }
}

/// The context's cluster, not asked yet.
pub fn kubernetes(
    context: &config::Context,
    environment: &Environment,
) -> Option<kubernetes::Target> {
    let settings = context.kubernetes.as_ref()?;
    let named = settings.kubeconfig.as_ref().map(|p| p.value.as_path());
    let mut target = kubernetes::Target::new(
        named,
        environment.get("KUBECONFIG"),
        environment.get("HOME"),
    );
    target.context = settings.context.as_ref().map(|c| c.value.clone());
    target.namespaces = settings
        .namespaces
        .iter()
        .map(|n| n.value.clone())
        .collect();
    target.selector = settings.selector.as_ref().map(|s| s.value.clone());
    Some(target)
}

async fn gateway(context: &config::Context, environment: &Environment) -> Result<Option<Gateway>> {
    let Some(settings) = &context.gateway else {
        return Ok(None);
    };
    let token = match &settings.token {
        Some(token) => Some(token.value.resolve(environment).await?),
        None => None,
    };
    let ca = match &settings.tls_ca {
        Some(path) => Some(read(&path.value)?),
        None => None,
    };
    Ok(Some(Gateway {
        url: settings.url.value.clone(),
        ui_url: settings.ui_url.as_ref().map(|u| u.value.clone()),
        paths: Paths {
            live: settings.live.value.clone(),
            live_alias: settings.live_alias.value.clone(),
            detailed: settings.detailed.value.clone(),
            ready: settings.ready.value.clone(),
        },
        graphql: settings.graphql.value.clone(),
        queues: settings.queues.as_ref().map(|q| q.value.clone()),
        token,
        ca,
    }))
}

async fn repository(
    context: &config::Context,
    environment: &Environment,
) -> Result<Option<RepositorySettings>> {
    let Some(settings) = &context.repository else {
        return Ok(None);
    };
    let mut resolved = RepositorySettings {
        place: place::resolve(&settings.place.value, environment).await?,
        opened: Opened::default(),
        secret: None,
        identity: None,
        signing_key: None,
        trusted: Vec::new(),
        copies: place::copies(settings, environment).await?,
        worked_on: None,
    };
    if let Some(secret) = &settings.secret {
        resolved.secret = Some(
            secret
                .value
                .resolve(environment)
                .await
                .context(|| "the repository secret is missing".into())?,
        );
    }
    // A backup host has no identity; a reference that leads nowhere only matters to a command that reads.
    if let Some(identity) = &settings.identity {
        resolved.identity = identity.value.resolve(environment).await.ok();
    }
    if let Some(key) = &settings.signing_key {
        let pem = key
            .value
            .resolve(environment)
            .await
            .context(|| "the repository's signing key is missing".into())?;
        let key = SigningKey::from_pem(&pem)?;
        resolved.trusted.push(key.public());
        resolved.signing_key = Some(key);
    }
    for key in &settings.trusted_keys {
        let text = String::from_utf8_lossy(&read(Path::new(&key.value))?).into_owned();
        resolved.trusted.push(PublicKey::from_pem(&text)?);
    }
    Ok(Some(resolved))
}

async fn evidence(
    context: &config::Context,
    environment: &Environment,
    dir: Option<PathBuf>,
    state: &StateDir,
) -> Result<Option<EvidenceSettings>> {
    let Some(key) = &context.evidence.signing_key else {
        return Ok(None);
    };
    let pem = key
        .value
        .resolve(environment)
        .await
        .context(|| "the evidence's signing key is missing".into())?;
    let configured = context.evidence.dir.as_ref().map(|d| d.value.clone());
    let dir = dir
        .or(configured)
        .unwrap_or_else(|| state.0.join("evidence"));
    Ok(Some(EvidenceSettings {
        dir,
        key: SigningKey::from_pem(&pem)?,
    }))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io("read", path, e))
}
