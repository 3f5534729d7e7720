//! One module per command. Each turns arguments into a request to `ops` or `steps`, and the result into an [`Answer`].

use super::Session;
use super::args::{Command, ConfigCommand, ContextCommand};
use super::output::Answer;
use crate::error::Result;

mod backup;
mod checks;
mod config;
mod diff;
mod drill;
mod evidence;
mod explain;
mod found;
mod generate;
mod golden;
mod keep;
mod keys;
mod kube;
mod migrate;
mod restore;
mod runbook;
mod runs;
mod sandbox;
mod schema;
mod show;
mod troubles;
mod world;

/// Carries a command out.
pub async fn dispatch(session: &Session, command: Command) -> Result<Answer> {
    match command {
        Command::Init(args) => config::init(session, &args),
        Command::Doctor(_) => checks::doctor(session).await,
        Command::Status => checks::status(session).await,
        Command::Config(ConfigCommand::Check(args)) => config::check(session, &args).await,
        Command::Config(ConfigCommand::Show) | Command::Context(ContextCommand::Show) => {
            config::show(session)
        }
        Command::Context(ContextCommand::List) => config::list(session),
        Command::Context(ContextCommand::Use { name }) => config::make_default(session, &name),
        Command::Context(ContextCommand::Pin { replace }) => config::pin(session, replace).await,
        Command::Smoke(args) => checks::smoke(session, &args).await,
        Command::Backup(command) => backup::backup(session, command).await,
        Command::Keys(command) => keys::keys(session, command).await,
        Command::Kube(command) => kube::kube(session, command).await,
        Command::Restore(args) => restore::restore(session, &args).await,
        Command::Migrate(command) => migrate::migrate(session, command).await,
        Command::Drill(command) => drill::drill(session, command).await,
        Command::Gate(command) => checks::gate(session, command).await,
        Command::Evidence(command) => evidence::evidence(session, command).await,
        Command::Runbook(command) => runbook::runbook(session, command).await,
        Command::Run(command) => runs::run(session, command).await,
        Command::Lease(command) => runs::lease(session, command).await,
        Command::GoldenPath(args) => golden::golden_path(session, &args).await,
        Command::Sandbox(command) => sandbox::sandbox(session, command).await,
        Command::Explain(args) => explain::explain(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Schemas(args) => generate::schemas(&args),
    }
}
