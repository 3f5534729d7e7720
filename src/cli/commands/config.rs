//! `init`, `config …` and `context …`: what is configured, and where each value came from. Values of secrets never show.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::backup::carry_out;
use super::{show as shown, world};
use crate::cli::Session;
use crate::cli::args::{ConfigCheckArgs, InitArgs};
use crate::cli::output::{Answer, table};
use crate::config::{self, Provenance, Sourced};
use crate::consent::Tier;
use crate::error::{Error, NOT_FOUND, Result};
use crate::exit::Exit;
use crate::ops::backup as plans;
use crate::steps::variables;
use crate::steps::world::kubernetes;

/// What `init` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Initialised {
    /// The file that was written; null with `-`.
    pub file: Option<PathBuf>,
    /// The text of `summitctl.toml`; it names secrets by reference and holds none.
    pub toml: String,
}

/// What `config show` and `context show` give.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// The context's name.
    pub context: String,
    /// Where it is defined.
    pub defined: Provenance,
    /// Every setting, in the order of the documentation.
    pub settings: Vec<config::Shown>,
}

/// What `context list` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Contexts {
    /// By name.
    pub contexts: Vec<Listed>,
}

/// A context in the list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// Its name.
    pub context: String,
    /// How much a mistake on it costs.
    pub tier: Tier,
    /// The platform whose runbooks apply.
    pub platform: String,
    /// Where it is defined.
    pub defined: Provenance,
    /// Whether commands work on it unless told otherwise.
    pub chosen: bool,
}

/// What `context use` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Chosen {
    /// The context's name.
    pub context: String,
    /// The file that keeps the choice.
    pub file: PathBuf,
}

/// `init`
pub fn init(_: &Session, args: &InitArgs) -> Result<Answer> {
    let text = config::template(&world::environment(), "production", Tier::Production)?;
    if args.file == "-" {
        let (file, toml) = (None, text.clone());
        return Ok(Answer::new(Exit::Ok, text, Initialised { file, toml }).verbatim());
    }
    let path = std::path::Path::new(&args.file);
    if path.exists() {
        return Err(Error::input(format!("`{}` exists already", path.display()))
            .hint("Look at it with `summitctl config show`, or write to another file: `summitctl init FILE`."));
    }
    crate::durable::write_private(path, text.as_bytes())?;
    let message = format!(
        "Wrote {}. It names secrets by reference and holds none.\n\nnext      summitctl config check\nthen      summitctl doctor",
        path.display()
    );
    let made = Initialised {
        file: Some(path.to_owned()),
        toml: text,
    };
    Ok(Answer::new(Exit::Ok, message, made))
}

/// `config show`, `context show`
pub fn show(session: &Session) -> Result<Answer> {
    let environment = world::environment();
    let context = world::context(session, &environment)?;
    let settings = config::show(&context, &environment);
    let rows = settings.iter().map(|s| {
        vec![
            s.key.clone(),
            word(&s.value),
            place(&s.source, &context.defined),
        ]
    });
    let text = format!(
        "context   {} (defined in {})\n\n{}",
        context.name,
        context.defined,
        table(&["setting", "value", "from"], rows)
    );
    Ok(Answer::new(
        Exit::Ok,
        text,
        Settings {
            context: context.name,
            defined: context.defined,
            settings,
        },
    ))
}

/// Where a setting was said; a line of the context's own file by its number alone.
fn place(source: &Provenance, defined: &Provenance) -> String {
    match (source, defined) {
        (Provenance::File { path, line }, Provenance::File { path: own, .. }) if path == own => {
            format!("line {line}")
        }
        _ => source.to_string(),
    }
}

/// `context list`
pub fn list(session: &Session) -> Result<Answer> {
    let environment = world::environment();
    let config = world::config(session, &environment)?;
    let chosen = config
        .choose(world::named(session).as_ref())
        .ok()
        .map(|c| c.name.clone());
    let rows = config.contexts.values().map(|c| {
        let mark = if chosen.as_deref() == Some(c.name.as_str()) {
            "*"
        } else {
            ""
        };
        let tier = serde_json::to_value(c.tier.value)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default();
        vec![
            mark.to_owned(),
            c.name.clone(),
            tier,
            c.platform.value.clone(),
            c.defined.to_string(),
        ]
    });
    let text = if config.contexts.is_empty() {
        "No contexts.\n\nnext      summitctl init          (describes a platform)\n\
         or        summitctl sandbox up    (starts servers to practise on)"
            .to_owned()
    } else {
        table(&["", "context", "tier", "platform", "defined in"], rows)
    };
    let contexts = config
        .contexts
        .values()
        .map(|c| Listed {
            context: c.name.clone(),
            tier: c.tier.value,
            platform: c.platform.value.clone(),
            defined: c.defined.clone(),
            chosen: chosen.as_deref() == Some(c.name.as_str()),
        })
        .collect();
    Ok(Answer::new(Exit::Ok, text, Contexts { contexts }))
}

/// `context use`
pub fn make_default(session: &Session, name: &str) -> Result<Answer> {
    let environment = world::environment();
    let config = world::config(session, &environment)?;
    config.choose(Some(&Sourced::new(
        name.to_owned(),
        Provenance::flag("NAME"),
    )))?;
    let path = world::chosen_file(session);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
    }
    crate::durable::write_private(&path, format!("{name}\n").as_bytes())?;
    Ok(Answer::new(
        Exit::Ok,
        format!("Commands on this machine now work on context `{name}`."),
        Chosen {
            context: name.to_owned(),
            file: path,
        },
    ))
}

/// `context pin`
pub async fn pin(session: &Session, replace: bool) -> Result<Answer> {
    let world = world::world(session).await?;
    let spec = plans::pin(&world, replace).await?;
    let command = if replace {
        "context pin --replace"
    } else {
        "context pin"
    };
    carry_out(session, &world, spec, command.to_owned(), |report| {
        let seen = report
            .observed("pin")
            .and_then(|v| v.as_object().cloned())
            .unwrap_or_default();
        let mut text = String::new();
        for (store, facts) in seen {
            text.push_str(&format!("{store}\n"));
            for (fact, value) in facts.as_object().into_iter().flatten() {
                text.push_str(&format!(
                    "  {fact:<20} {}\n",
                    value.as_str().unwrap_or_default()
                ));
            }
        }
        text
    })
    .await
}

/// `config check`
pub async fn check(session: &Session, args: &ConfigCheckArgs) -> Result<Answer> {
    let environment = world::environment();
    let context = world::context(session, &environment);
    let tier = args.tier.as_deref().map(parse_tier).transpose()?;
    let source = source(args, context.as_ref().ok())?;
    // A context that cannot be read is the error to show, not that it names no cluster.
    let context = match (&source, context) {
        (variables::Source::Workload(_), context) => Some(context?),
        (_, context) => context.ok(),
    };
    let cluster = context.as_ref().and_then(|c| kubernetes(c, &environment));
    let judge = variables::Judge {
        context: context.as_ref(),
        tier,
        ingress_host: args.ingress_host.as_deref(),
        cluster: cluster.as_ref(),
    };
    let report = variables::evaluate(&source, &judge, &environment).await?;
    Ok(Answer::new(report.exit(), shown::checks(&report), &report))
}

/// Where `config check` reads from.
fn source(args: &ConfigCheckArgs, context: Option<&config::Context>) -> Result<variables::Source> {
    use variables::Source;
    match (&args.env_file, &args.compose, &args.workload) {
        (Some(file), ..) => return Ok(Source::EnvFile(file.clone())),
        (None, Some(file), _) => {
            let service = args.service.clone().ok_or_else(|| {
                Error::new(&NOT_FOUND, "`--compose` needs `--service`").hint(
                    "Name the service whose environment is checked, as in `--service gateway`.",
                )
            })?;
            return Ok(Source::Compose(file.clone(), service));
        }
        (None, None, Some(object)) if args.source.as_deref() != Some("process") => {
            return Ok(Source::Workload(variables::Workload {
                object: object.clone(),
                namespace: args.namespace.clone(),
                container: args.container.clone(),
            }));
        }
        (None, None, Some(_)) => {
            return Err(
                Error::input("`--workload` is no part of the process environment")
                    .hint("Leave `--source` away, or say `--source kubernetes`."),
            );
        }
        (None, None, None) => {}
    }
    match args.source.as_deref() {
        Some("kubernetes") => Err(Error::input("`--source kubernetes` needs `--workload`").hint(
            "Name what is checked, as in `--workload deployment/gateway`; see what there is with `kubectl get deployments,statefulsets,cronjobs`.",
        )),
        Some(_) => Ok(Source::Process),
        None => Ok(match context.and_then(|c| c.variables.clone()) {
            Some(file) => Source::EnvFile(file.value),
            None => Source::Process,
        }),
    }
}

fn parse_tier(text: &str) -> Result<Tier> {
    serde_json::from_value(json!(text)).map_err(|_| {
        Error::input(format!("`{text}` is not a tier"))
            .hint("The tiers are `development`, `staging` and `production`.")
    })
}

fn word(value: &config::Value) -> String {
    match value {
        config::Value::Plain { text } => text.clone(),
        config::Value::Secret {
            reference,
            presence,
        } => {
            let presence = serde_json::to_value(presence)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default();
            format!("{reference} ({presence})")
        }
    }
}
