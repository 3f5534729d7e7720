//! From the invocation to a world: which context, with which environment, over which state folder.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::Session;
use crate::config::{Config, Context, Environment, Locate, Provenance, Sourced};
use crate::engine::journal::CrashPoint;
use crate::engine::registry::Registry;
use crate::error::{Error, Result};
use crate::ops::execute::Host;
use crate::steps::world::{StateDir, World};

/// Environment variable with a crash point, for the tests that kill this program at every journal boundary.
const TEST_CRASH: &str = "SUMMITCTL_TEST_CRASH";

/// The process environment, which only the command line reads. Names and values that are not UTF-8 are left out.
pub fn environment() -> Environment {
    let mut environment = Environment::empty();
    for (name, value) in std::env::vars_os() {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
            environment.set(name, value);
        }
    }
    environment
}

/// Everything that is configured.
pub fn config(session: &Session, environment: &Environment) -> Result<Config> {
    let start =
        std::env::current_dir().map_err(|e| Error::io("find", "the working directory", e))?;
    Config::load(&Locate {
        flag: session.globals.config.clone(),
        start,
        extra: vec![session.sandbox_dir().join("summitctl.toml")],
        environment,
    })
}

/// The context that the invocation names: flag, variable, `context use`, the file's default.
pub fn named(session: &Session) -> Option<Sourced<String>> {
    if let Some(name) = &session.globals.context {
        return Some(Sourced::new(name.clone(), Provenance::flag("--context")));
    }
    let path = chosen_file(session);
    let name = std::fs::read_to_string(&path).ok()?.trim().to_owned();
    (!name.is_empty()).then(|| Sourced::new(name, Provenance::File { path, line: 1 }))
}

/// Where `context use` keeps its choice.
pub fn chosen_file(session: &Session) -> PathBuf {
    session.state_dir().join("context")
}

/// The context to work on.
pub fn context(session: &Session, environment: &Environment) -> Result<Context> {
    config(session, environment)?
        .choose(named(session).as_ref())
        .cloned()
}

/// The world of the context to work on.
pub async fn world(session: &Session) -> Result<World> {
    let environment = environment();
    let config = config(session, &environment)?;
    let context = config.choose(named(session).as_ref())?;
    let world = world_of(session, &config, context, &environment).await?;
    match &session.globals.repository {
        None => Ok(world),
        Some(copy) => world.working_on_copy(copy),
    }
}

/// Something of the chosen context as it is configured; no secret is fetched.
pub fn setting<T>(
    session: &Session,
    pick: impl FnOnce(&Context) -> Option<T>,
) -> Result<Option<T>> {
    let environment = environment();
    let config = config(session, &environment)?;
    Ok(pick(config.choose(named(session).as_ref())?))
}

/// The world of a context by name.
pub async fn world_named(session: &Session, name: &str) -> Result<World> {
    let environment = environment();
    let named = Sourced::new(name.to_owned(), Provenance::Default);
    let config = config(session, &environment)?;
    let context = config.choose(Some(&named))?;
    world_of(session, &config, context, &environment).await
}

async fn world_of(
    session: &Session,
    config: &Config,
    context: &Context,
    environment: &Environment,
) -> Result<World> {
    let state = StateDir(session.state_dir());
    let mut world = World::resolve(
        context,
        environment,
        state,
        session.globals.evidence_dir.clone(),
        session.globals.jobs,
    )
    .await?;
    world.contexts = config.contexts.values().cloned().collect();
    world.person = Arc::new(session.terminal().beside(&session.display));
    Ok(world)
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What surrounds an execution on this world; `command` is to be repeated with the context `invoked`.
pub fn host<'a>(
    session: &Session,
    world: &'a World,
    registry: &'a Registry<World>,
    invoked: &str,
    command: &str,
) -> Result<Host<'a>> {
    let crash = match std::env::var(TEST_CRASH) {
        Ok(text) => Some(text.parse::<CrashPoint>()?),
        Err(_) => None,
    };
    Ok(Host {
        world,
        registry,
        events: session.events.clone(),
        timeline: session.timeline.clone(),
        cancel: session.cancel.clone(),
        jobs: session.globals.jobs,
        flags: session.flags(),
        command: match world.copy_worked_on() {
            None => format!("summitctl {command} --context {invoked}"),
            Some(copy) => format!("summitctl {command} --repository {copy} --context {invoked}"),
        },
        plan_only: session.globals.plan_only,
        crash,
    })
}
