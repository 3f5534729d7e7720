//! Arguments of `migrate …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::steps::migrate::status::Whose;

/// `migrate …`
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Which tools manage each Postgres database: what is applied, what failed, and whether a lock is held
    Status(StatusArgs),
    /// The locks of migration tools, and who holds them
    #[command(subcommand)]
    Lock(LockCommand),
    /// Who blocks whom in Postgres and Neo4j, and which transactions and advisory locks somebody forgot
    Blockers(BlockersArgs),
}

/// Arguments of `migrate blockers`.
#[derive(Debug, Args)]
pub struct BlockersArgs {
    /// End the root of a blocking tree: a pid, `gid:NAME` of a prepared transaction, or an id of Neo4j [default: the only
    /// root there is]
    #[arg(long, value_name = "ROOT", num_args = 0..=1)]
    pub end_root: Option<Option<String>>,
}

/// Arguments of `migrate status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Compare a tool's source files (of Liquibase the changelog that it starts with) with what it has written down: what is pending,
    /// changed, missing, or half applied; may be given more than once
    #[arg(long, value_name = "TOOL=FOLDER", value_parser = sources)]
    pub sources: Vec<(Whose, PathBuf)>,
}

fn sources(text: &str) -> Result<(Whose, PathBuf), String> {
    let known = format!("the tools are {}", Whose::all());
    let (tool, folder) = text
        .split_once('=')
        .ok_or_else(|| format!("it is TOOL=FOLDER, and {known}"))?;
    let whose = tool
        .parse::<Whose>()
        .map_err(|_| format!("there is no tool `{tool}`; {known}"))?;
    Ok((whose, PathBuf::from(folder)))
}

/// `migrate lock …`
#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Each lock: who holds it since when, who waits, and whether the holder is alive, dead or unknown, and why
    Show,
    /// Clear the lock of a holder that is dead, exactly as it was shown
    Clear(ClearArgs),
}

/// Arguments of `migrate lock clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// The lock, as `migrate lock show` names it [default: the only one that is held]
    #[arg(long, value_name = "ID")]
    pub lock: Option<String>,
    /// End the sessions of a holder that is alive first: cancel, then terminate
    #[arg(long)]
    pub terminate: bool,
}

impl MigrateCommand {
    /// The command's words.
    pub fn words(&self) -> &'static str {
        match self {
            MigrateCommand::Status(_) => "migrate status",
            MigrateCommand::Blockers(_) => "migrate blockers",
            MigrateCommand::Lock(LockCommand::Show) => "migrate lock show",
            MigrateCommand::Lock(LockCommand::Clear(_)) => "migrate lock clear",
        }
    }
}
