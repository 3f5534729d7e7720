//! `init`, `config …` and `context …`: what is configured, and where each value came from. Values of secrets never show.

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

/// `init`
pub fn init(_: &Session, args: &InitArgs) -> Result<Answer> {
    let text = config::template(&world::environment(), "production", Tier::Production)?;
    if args.file == "-" {
        return Ok(Answer::new(Exit::Ok, text.clone(), json!({"toml": text})));
    }
    let path = std::path::Path::new(&args.file);
    if path.exists() {
        return Err(Error::input(format!("`{}` exists already", path.display()))
            .hint("Look at it with `summitctl config show`, or write to another file: `summitctl init FILE`."));
    }
    crate::sandbox::servers::write_private(path, text.as_bytes())?;
    let message = format!(
        "Wrote {}. It names secrets by reference and holds none.\n\nnext      summitctl config check, then summitctl doctor",
        path.display()
    );
    Ok(Answer::new(Exit::Ok, message, json!({"file": path})))
}

/// `config show`, `context show`
pub fn show(session: &Session) -> Result<Answer> {
    let environment = world::environment();
    let context = world::context(session, &environment)?;
    let settings = config::show(&context, &environment);
    let rows = settings
        .iter()
        .map(|s| vec![s.key.clone(), word(&s.value), s.source.to_string()]);
    let text = format!(
        "context   {} (defined in {})\n\n{}",
        context.name,
        context.defined,
        table(&["setting", "value", "from"], rows)
    );
    Ok(Answer::new(
        Exit::Ok,
        text,
        json!({"context": context.name, "settings": settings}),
    ))
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
        "No contexts.\n\nnext      summitctl sandbox up (to practise), or summitctl init (to describe a platform)".to_owned()
    } else {
        table(&["", "context", "tier", "platform", "defined in"], rows)
    };
    let items: Vec<_> = config
        .contexts
        .values()
        .map(|c| json!({"context": c.name, "tier": c.tier.value, "platform": c.platform.value, "defined": c.defined, "chosen": chosen.as_deref() == Some(c.name.as_str())}))
        .collect();
    Ok(Answer::new(Exit::Ok, text, json!({"contexts": items})))
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
    crate::sandbox::servers::write_private(&path, format!("{name}\n").as_bytes())?;
    Ok(Answer::new(
        Exit::Ok,
        format!("Commands on this machine now work on context `{name}`."),
        json!({"context": name}),
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
    let source = match (&args.env_file, &args.compose) {
        (Some(file), _) => variables::Source::EnvFile(file.clone()),
        (None, Some(file)) => {
            let service = args.service.clone().ok_or_else(|| {
                Error::new(&NOT_FOUND, "`--compose` needs `--service`").hint(
                    "Name the service whose environment is checked, as in `--service gateway`.",
                )
            })?;
            variables::Source::Compose(file.clone(), service)
        }
        (None, None) => match context.as_ref().ok().and_then(|c| c.variables.clone()) {
            Some(file) => variables::Source::EnvFile(file.value),
            None => variables::Source::Process,
        },
    };
    let judge = variables::Judge {
        context: context.as_ref().ok(),
        tier,
        ingress_host: args.ingress_host.as_deref(),
    };
    let report = variables::evaluate(&source, &judge, &environment).await?;
    Ok(Answer::new(
        report.exit(),
        shown::checks(&report, true),
        &report,
    ))
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
