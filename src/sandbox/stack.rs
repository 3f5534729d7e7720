//! The practice stack: real Postgres, Redis and Neo4j with believable data, the stand-in platform on top, and a context
//! `sandbox` that names them. Bringing it up twice changes nothing; after a crash the next `up` adopts what still runs
//! and starts what does not; `down` ends and removes only what carries the sandbox's label.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context;
use super::faults::{self, Changed, Fault};
use super::folder::{Held, Keys, Layout, NOT_UP, Part, State};
use super::platform::{self, Addresses, Launch, StoreAddress};
use super::seed::{self, DATABASE, OPERATOR_ROLE, PLATFORM_ROLE};
use super::servers::{Record, make_dir, neo4j, postgres, redis};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::pid::Process;
use crate::providers;
use crate::time::Span;
use crate::wait::{Cancel, Deadline};

/// How long `status` waits for one part's answer.
const LOOK: Duration = Duration::from_secs(3);

/// Makes the keys that are missing in [`Layout::keys`], and says what the context needs to know of them.
pub type MakeKeys = dyn Fn(&Layout) -> Result<Keys> + Send + Sync;

/// A sandbox in a folder.
#[derive(Clone)]
pub struct Sandbox {
    root: PathBuf,
    launch: Option<Launch>,
    keys: Option<Arc<MakeKeys>>,
}

/// What `up` came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Up {
    /// Whether everything ran already and nothing was changed.
    pub already: bool,
    /// The folder.
    pub folder: PathBuf,
    /// The configuration file with the context `sandbox`.
    pub config: PathBuf,
    /// The gateway: `http://127.0.0.1:PORT`.
    pub gateway: String,
    /// The page in the place of the UI.
    pub ui: String,
    /// The parts, in the order of [`Part::ALL`].
    pub parts: Vec<PartUp>,
}

/// What `up` did for one part.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PartUp {
    /// Which one.
    pub part: Part,
    /// `127.0.0.1:PORT`.
    pub endpoint: String,
    /// Whether it ran already.
    pub adopted: bool,
    /// Whether it got its first data now.
    pub filled: bool,
    /// How long until it answered and was filled, in seconds.
    pub seconds: f64,
}

/// What `down` came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Down {
    /// Whether nothing ran and, with `purge`, nothing was there.
    pub already: bool,
    /// The parts that were ended.
    pub stopped: Vec<Part>,
    /// Whether the data were removed.
    pub purged: bool,
}

/// What was seen of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// Its process runs and it answers.
    Answers,
    /// Its process runs and it does not answer as it should.
    Silent,
    /// It was started once, and does not run now.
    Stopped,
    /// It was never started.
    Absent,
}

/// A part as it was just measured.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PartStatus {
    /// Which one.
    pub part: Part,
    /// What was seen.
    pub seen: Seen,
    /// `127.0.0.1:PORT`, if it was ever started.
    pub endpoint: Option<String>,
    /// Its process, if it runs.
    pub pid: Option<i32>,
    /// Its version, as it says.
    pub version: Option<String>,
    /// From the start of the connection to the answer, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Why it does not answer.
    pub detail: Option<String>,
}

/// The sandbox as it was just measured.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The folder.
    pub folder: PathBuf,
    /// Whether there is a sandbox in it.
    pub exists: bool,
    /// The parts, in the order of [`Part::ALL`].
    pub parts: Vec<PartStatus>,
    /// What is broken on purpose.
    pub faults: Vec<Fault>,
    /// The configuration file, if it was written.
    pub config: Option<PathBuf>,
}

impl Sandbox {
    /// The sandbox of a folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Sandbox {
            root: root.into(),
            launch: None,
            keys: None,
        }
    }

    /// The same, with keys: `up` calls `make` each time, before it writes the context. It makes the files that
    /// [`Layout::repository_secret`], [`Layout::identity`], [`Layout::signing_key`] and [`Layout::trusted_key`] name, if
    /// they are missing. Without it the context has no repository.
    pub fn with_keys(
        mut self,
        make: impl Fn(&Layout) -> Result<Keys> + Send + Sync + 'static,
    ) -> Self {
        self.keys = Some(Arc::new(make));
        self
    }

    /// The same, with another way to start the platform's process than this program's own subcommand.
    pub fn launching(mut self, launch: Launch) -> Self {
        self.launch = Some(launch);
        self
    }

    /// Where everything lies. The folder must exist.
    pub fn layout(&self) -> Result<Layout> {
        let root = self
            .root
            .canonicalize()
            .map_err(|e| Error::io("resolve", &self.root, e))?;
        Ok(Layout { root })
    }

    /// Starts what does not run, fills what is empty, and writes the context. Faults that stop a server end with it.
    ///
    /// # Errors
    /// `sandbox.missing-program`, `sandbox.start-failed`, `sandbox.not-ours`, `sandbox.busy`, `run.not-begun`.
    pub async fn up(&self, events: &Events, cancel: &Cancel) -> Result<Up> {
        let mut held = Held::make(&self.root, events, cancel).await?;
        let ended: Vec<Fault> = held
            .state
            .faults
            .iter()
            .copied()
            .filter(|fault| fault.server().is_some())
            .collect();
        let mut up = self
            .start(&mut held, &BTreeSet::new(), events, cancel)
            .await?;
        if !ended.is_empty() {
            held.state.faults.retain(|fault| fault.server().is_none());
            held.save()?;
            up.already = false;
        }
        Ok(up)
    }

    /// Ends what runs; with `purge` also removes the data, the context and the folder.
    pub async fn down(&self, purge: bool, events: &Events) -> Result<Down> {
        let nobody = Cancel::new();
        let Some(mut held) = Held::take(&self.root, events, &nobody).await? else {
            return Ok(Down {
                already: true,
                stopped: Vec::new(),
                purged: false,
            });
        };
        let mut stopped = Vec::new();
        // The platform first: the others' clients should be gone before they are.
        for part in [Part::Platform, Part::Postgres, Part::Redis, Part::Neo4j] {
            if stop(&held.layout, part).await? {
                events.note(format!("{} stopped", part.name()));
                stopped.push(part);
            }
        }
        held.state.faults.retain(|fault| fault.server().is_none());
        held.save()?;
        if purge {
            held.remove()?;
        }
        Ok(Down {
            already: stopped.is_empty() && !purge,
            stopped,
            purged: purge,
        })
    }

    /// Measures every part now.
    pub async fn status(&self) -> Result<Status> {
        let Some(state) = State::load(&self.root)? else {
            return Ok(Status {
                folder: self.root.clone(),
                exists: false,
                parts: Vec::new(),
                faults: Vec::new(),
                config: None,
            });
        };
        let layout = self.layout()?;
        let looks = Part::ALL.map(|part| look(&layout, part));
        let parts = futures_util::future::try_join_all(looks).await?;
        Ok(Status {
            exists: true,
            parts,
            faults: state.faults.into_iter().collect(),
            config: Some(layout.config()).filter(|path| path.exists()),
            folder: layout.root,
        })
    }

    /// Breaks something for practice.
    ///
    /// # Errors
    /// `sandbox.not-up`, `sandbox.migration-lock-taken`, `sandbox.fault-impossible`.
    pub async fn break_fault(&self, fault: Fault, events: &Events) -> Result<Changed> {
        let mut held = self.existing(events).await?;
        // Remembered first: a kill in between leaves a fault that `mend` knows.
        let known = !held.state.faults.insert(fault);
        held.save()?;
        let changed = match fault {
            Fault::Postgres | Fault::Redis | Fault::Neo4j => match fault.server() {
                Some(part) if stop(&held.layout, part).await? => Changed::Done,
                _ => Changed::AlreadySo,
            },
            Fault::MigrationLock => {
                match faults::hold_migration_lock(&self.owner(&held.layout)?).await {
                    Ok(changed) => changed,
                    Err(error) => {
                        held.state.faults.remove(&fault);
                        held.save()?;
                        return Err(error);
                    }
                }
            }
            Fault::StaleBackup if known => Changed::AlreadySo,
            Fault::StaleBackup => Changed::Done,
        };
        self.write_context(&held)?;
        if changed == Changed::Done {
            events.note(format!("broken: {}", fault.means()));
        }
        Ok(changed)
    }

    /// Takes a fault back. A fault that somebody else has ended meanwhile is already so.
    pub async fn mend(&self, fault: Fault, events: &Events, cancel: &Cancel) -> Result<Changed> {
        let mut held = self.existing(events).await?;
        let changed = match fault.server() {
            Some(part) => {
                let others = held.state.faults.iter().filter(|f| **f != fault);
                let stay_down = others.filter_map(|f| f.server()).collect();
                let up = self.start(&mut held, &stay_down, events, cancel).await?;
                let adopted = up.parts.iter().any(|p| p.part == part && p.adopted);
                if adopted {
                    Changed::AlreadySo
                } else {
                    Changed::Done
                }
            }
            None if fault == Fault::MigrationLock && held.state.faults.contains(&fault) => {
                faults::release_migration_lock(&self.owner(&held.layout)?).await?
            }
            None if held.state.faults.contains(&fault) => Changed::Done,
            None => Changed::AlreadySo,
        };
        held.state.faults.remove(&fault);
        held.save()?;
        self.write_context(&held)?;
        if changed == Changed::Done {
            events.note(format!("mended: {fault}"));
        }
        Ok(changed)
    }

    async fn existing(&self, events: &Events) -> Result<Held> {
        let held = Held::take(&self.root, events, &Cancel::new()).await?;
        let held = held.filter(|held| held.state.filled.len() == 3);
        held.ok_or_else(|| {
            Error::new(
                &NOT_UP,
                format!("there is no complete sandbox in `{}`", self.root.display()),
            )
            .hint("Make one with `summitctl sandbox up`.")
        })
    }

    async fn start(
        &self,
        held: &mut Held,
        stay_down: &BTreeSet<Part>,
        events: &Events,
        cancel: &Cancel,
    ) -> Result<Up> {
        cancel.check()?;
        let stores = [Part::Postgres, Part::Redis, Part::Neo4j];
        let tasks = stores.into_iter().map(|part| {
            let layout = held.layout.clone();
            let fill = !held.state.filled.contains(&part);
            let (events, down) = (events.clone(), stay_down.contains(&part));
            async move {
                if down {
                    return Ok(None);
                }
                // A task each: making a new Postgres keeps a thread busy for a second.
                let task = tokio::spawn(start_store(layout, part, fill, events));
                match task.await {
                    Ok(done) => done.map(Some),
                    Err(e) => Err(Error::bug("a start panicked").caused_by(e)),
                }
            }
        });
        let all = futures_util::future::join_all(tasks);
        let outcomes = cancel.guard(async { Ok(all.await) }).await?;
        let mut parts = Vec::new();
        let mut failure: Option<Error> = None;
        for outcome in outcomes {
            match outcome {
                Ok(Some(up)) => {
                    held.state.filled.insert(up.part);
                    parts.push(up);
                }
                Ok(None) => {}
                Err(error) if failure.is_none() => failure = Some(error),
                Err(error) => events.note(format!("also: {}", error.one_line())),
            }
        }
        // What did start stays, and the next `up` adopts it.
        held.save()?;
        if let Some(error) = failure {
            return Err(error);
        }
        cancel.check()?;
        let (platform, up) = self.start_platform(&held.layout, events).await?;
        parts.push(up);
        if let Some(make) = &self.keys {
            make_dir(&held.layout.keys(), 0o700)?;
            held.state.keys = Some(make(&held.layout)?);
            held.save()?;
        }
        let written = self.write_context(held)?;
        let already = !written && parts.iter().all(|p| p.adopted && !p.filled);
        Ok(Up {
            already,
            folder: held.layout.root.clone(),
            config: held.layout.config(),
            gateway: format!("http://127.0.0.1:{}", platform.gateway_port),
            ui: format!("http://127.0.0.1:{}", platform.ui_port),
            parts,
        })
    }

    async fn start_platform(
        &self,
        layout: &Layout,
        events: &Events,
    ) -> Result<(platform::Running, PartUp)> {
        let began = Clock::now();
        let dir = layout.part(Part::Platform);
        let launch = match &self.launch {
            Some(launch) => launch.clone(),
            None => Launch::this_program(&dir)?,
        };
        let uptime = uptime();
        let running = platform::start(&dir, &addresses(layout)?, &launch).await?;
        let up = PartUp {
            part: Part::Platform,
            endpoint: format!("127.0.0.1:{}", running.gateway_port),
            adopted: older(&running.process, uptime),
            filled: false,
            seconds: began.elapsed().as_secs_f64(),
        };
        tell(&up, events);
        Ok((running, up))
    }

    /// Writes the context's file if it is not as it should be; whether it was not.
    fn write_context(&self, held: &Held) -> Result<bool> {
        let layout = &held.layout;
        let platform = platform::Config::load(&layout.part(Part::Platform))?;
        let stale = held.state.faults.contains(&Fault::StaleBackup);
        context::write(layout, &platform, held.state.keys.as_ref(), stale)
    }

    /// The platform's database, as its owner.
    fn owner(&self, layout: &Layout) -> Result<providers::postgres::Target> {
        let record = needed(&layout.part(Part::Postgres))?;
        Ok(providers::postgres::Target {
            host: "127.0.0.1".to_owned(),
            port: record.port,
            database: DATABASE.to_owned(),
            user: PLATFORM_ROLE.to_owned(),
            password: Some(layout.role_secret(PLATFORM_ROLE)?),
            tls: providers::postgres::TlsMode::Disable,
            root_cert: None,
        })
    }
}

async fn start_store(layout: Layout, part: Part, fill: bool, events: Events) -> Result<PartUp> {
    let began = Clock::now();
    let dir = layout.part(part);
    let uptime = uptime();
    let filled = match part {
        Part::Postgres => {
            let server = postgres::start(&dir, &postgres::Options::default()).await?;
            let platform = layout.role_secret(PLATFORM_ROLE)?;
            let operator = layout.role_secret(OPERATOR_ROLE)?;
            fill && seed::fill_postgres(&server, &platform, &operator).await?
        }
        Part::Redis => {
            let server = redis::start(&dir, &redis::Options::default()).await?;
            if fill {
                seed::fill_redis(&server).await?;
            }
            fill
        }
        Part::Neo4j => {
            let server = neo4j::start(&dir, &neo4j::Options::default()).await?;
            if fill {
                seed::fill_neo4j(&server).await?;
            }
            fill
        }
        Part::Platform => return Err(Error::bug("the platform is not a store")),
    };
    let record = needed(&dir)?;
    let up = PartUp {
        part,
        endpoint: format!("127.0.0.1:{}", record.port),
        adopted: record.process.is_some_and(|p| older(&p, uptime)),
        filled,
        seconds: began.elapsed().as_secs_f64(),
    };
    tell(&up, &events);
    Ok(up)
}

fn tell(up: &PartUp, events: &Events) {
    let how = match (up.adopted, up.filled) {
        (true, false) => "runs already",
        (true, true) => "runs already, filled",
        (false, true) => "started and filled",
        (false, false) => "started",
    };
    events.note(format!(
        "{} {how} at {} after {}",
        up.part.name(),
        up.endpoint,
        Span(Duration::from_secs_f64(up.seconds)),
    ));
}

/// Ends a part if it runs; whether it did.
async fn stop(layout: &Layout, part: Part) -> Result<bool> {
    let dir = layout.part(part);
    let Some(record) = recorded(&dir)? else {
        return Ok(false);
    };
    let ran = record.alive();
    match part {
        Part::Postgres => postgres::stop(&dir).await?,
        Part::Redis => redis::stop(&dir).await?,
        Part::Neo4j => neo4j::stop(&dir).await?,
        Part::Platform => platform::stop(&dir).await?,
    }
    Ok(ran)
}

/// Clock ticks a second in `/proc`: `USER_HZ` is part of the kernel's interface, and 100 wherever we are built.
const TICKS: f64 = 100.0;

/// Clock ticks since boot (proc(5), `uptime`); zero if that cannot be read.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|s| s.parse::<f64>().ok());
    seconds.unwrap_or(0.0) * TICKS
}

/// Whether a process ran before that moment. Records cannot tell: one that was adopted may not have been recorded.
fn older(process: &Process, uptime: f64) -> bool {
    (process.start_ticks as f64) + 1.0 < uptime
}

fn recorded(dir: &Path) -> Result<Option<Record>> {
    Record::load(dir)
}

fn needed(dir: &Path) -> Result<Record> {
    recorded(dir)?.ok_or_else(|| {
        Error::new(
            &NOT_UP,
            format!("`{}` holds no record of a server", dir.display()),
        )
        .hint("Bring everything up with `summitctl sandbox up`.")
    })
}

/// Where the platform finds the stores, and as whom.
fn addresses(layout: &Layout) -> Result<Addresses> {
    let address = |part: Part, user: &str, database: &str, file: &str| {
        Ok::<_, Error>(StoreAddress {
            port: needed(&layout.part(part))?.port,
            user: user.to_owned(),
            database: database.to_owned(),
            password_file: PathBuf::from("..").join(file),
        })
    };
    let role = format!("secrets/{PLATFORM_ROLE}/password");
    Ok(Addresses {
        postgres: address(Part::Postgres, PLATFORM_ROLE, DATABASE, &role)?,
        neo4j: address(Part::Neo4j, "neo4j", "neo4j", "neo4j/password")?,
        redis: address(Part::Redis, "default", "0", "redis/password")?,
    })
}

async fn look(layout: &Layout, part: Part) -> Result<PartStatus> {
    let dir = layout.part(part);
    let record = recorded(&dir)?;
    let process = record.as_ref().and_then(|r| r.process.clone());
    let process = process.filter(Process::alive);
    let mut status = PartStatus {
        part,
        seen: match (&record, &process) {
            (None, _) => Seen::Absent,
            (Some(_), None) => Seen::Stopped,
            (Some(_), Some(_)) => Seen::Silent,
        },
        endpoint: record.as_ref().map(|r| format!("127.0.0.1:{}", r.port)),
        pid: process.as_ref().map(|p| p.pid),
        version: None,
        latency_ms: None,
        detail: None,
    };
    let (Some(record), Some(_)) = (record, process) else {
        return Ok(status);
    };
    match answer(&dir, part, &record).await {
        Ok((version, latency)) => {
            status.seen = Seen::Answers;
            status.version = version;
            status.latency_ms = Some(latency.as_secs_f64() * 1000.0);
        }
        Err(e) => status.detail = Some(e.one_line()),
    }
    Ok(status)
}

/// Asks a part whether it is there: its version, if it says one, and how long that took.
async fn answer(dir: &Path, part: Part, record: &Record) -> Result<(Option<String>, Duration)> {
    let deadline = Deadline::after(LOOK);
    let secret = || super::servers::password(dir);
    match part {
        Part::Postgres => {
            let target = providers::postgres::Target {
                host: "127.0.0.1".to_owned(),
                port: record.port,
                database: providers::postgres::MAINTENANCE_DATABASE.to_owned(),
                user: record.user.clone(),
                password: Some(secret()?),
                tls: providers::postgres::TlsMode::Disable,
                root_cert: None,
            };
            let health = providers::postgres::ping(&target, deadline).await?;
            Ok((Some(health.version), health.latency))
        }
        Part::Redis => {
            let target = providers::redis::Target::new("127.0.0.1", record.port, Some(secret()?));
            let health = providers::redis::ping(&target, deadline).await?;
            Ok((Some(health.version), health.latency))
        }
        Part::Neo4j => {
            let uri = format!("bolt://127.0.0.1:{}", record.port);
            let target =
                providers::neo4j::Target::parse(&uri, Some(&record.user), Some(secret()?))?;
            let health = providers::neo4j::ping(&target, deadline).await?;
            Ok((Some(health.version), health.latency))
        }
        Part::Platform => {
            let began = Clock::now();
            let answer = platform::ask(record.port, "/health").await?;
            if answer.status != 200 {
                return Err(Error::input(format!("HTTP {}", answer.status)));
            }
            Ok((None, began.elapsed()))
        }
    }
}
