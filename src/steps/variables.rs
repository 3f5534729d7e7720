//! The platform's variables: where they are read from, and the handbook's checks over them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::world::World;
use crate::check::{Check, Options, Report, run};
use crate::config::check::{self, Input};
use crate::config::{Context, Environment, Provenance, Sourced, Values, compose};
use crate::consent::Tier;
use crate::error::Result;
use crate::providers::kubernetes;
use crate::time::Instant;
use crate::wait::Deadline;

mod workload;

pub use workload::Workload;

/// How long everything may take if nobody said.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where variables are read from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The process environment.
    Process,
    /// A `.env` file.
    EnvFile(PathBuf),
    /// A service of a Compose file.
    Compose(PathBuf, String),
    /// What a workload of the context's cluster gives a container.
    Workload(Workload),
}

/// What the variables are judged for.
pub struct Judge<'a> {
    /// The context, for its tier and hosts; without one they are judged as for production.
    pub context: Option<&'a Context>,
    /// Judge as for this tier instead of the context's.
    pub tier: Option<Tier>,
    /// The host clients reach the platform at, besides the context's.
    pub ingress_host: Option<&'a str>,
    /// The context's cluster.
    pub cluster: Option<&'a kubernetes::Target>,
}

/// Checks the variables of a source.
pub async fn evaluate(
    source: &Source,
    judge: &Judge<'_>,
    environment: &Environment,
) -> Result<Report> {
    let deadline = Deadline::after(PATIENCE);
    let mut own: Vec<Check<'static>> = Vec::new();
    let mut inside = None;
    let (values, base) = match source {
        Source::Process => (Values::of_process(environment), PathBuf::from(".")),
        Source::EnvFile(file) => (Values::of_dotenv(file, environment)?, folder(file)),
        Source::Compose(file, service) => {
            (compose::read(file, service, environment)?, folder(file))
        }
        Source::Workload(wanted) => {
            let seen = workload::read(judge.cluster, wanted, deadline).await?;
            (own, inside) = (seen.checks, Some(seen.container));
            (seen.values, PathBuf::from("."))
        }
    };
    let mut input = match judge.context {
        Some(context) => Input::of(context, values, environment, &base),
        None => Input {
            values,
            tier: Tier::Production,
            hosts: Vec::new(),
            ui_origin: None,
            base: base.clone(),
            inside: None,
            repository: None,
            environment: environment.clone(),
            now: Instant::now(),
        },
    };
    if let Some(tier) = judge.tier {
        input.tier = tier;
    }
    if let Some(host) = judge.ingress_host {
        input.hosts.push(Sourced::new(
            host.to_ascii_lowercase(),
            Provenance::flag("--ingress-host"),
        ));
    }
    input.repository = tracked(&base);
    input.inside = inside;
    own.extend(check::variables(input));
    run("Configuration", &own, &Options::once(deadline)).await
}

/// Checks the variables that a context names; `None` if it names none.
pub async fn check(world: &World) -> Result<Option<Report>> {
    let Some(file) = &world.settings.variables else {
        return Ok(None);
    };
    let judge = Judge {
        context: Some(&world.settings),
        tier: None,
        ingress_host: None,
        cluster: world.kubernetes.as_ref(),
    };
    evaluate(
        &Source::EnvFile(file.value.clone()),
        &judge,
        &world.environment,
    )
    .await
    .map(Some)
}

fn folder(file: &Path) -> PathBuf {
    file.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// The folder, if it lies in a Git work tree: secrets in its tracked files are looked for.
fn tracked(base: &Path) -> Option<PathBuf> {
    let absolute = base.canonicalize().ok()?;
    absolute
        .ancestors()
        .any(|a| a.join(".git").exists())
        .then_some(absolute)
}
