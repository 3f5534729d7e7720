//! Arguments of `migrate …`.

use clap::{Args, Subcommand};

/// `migrate …`
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Which tools manage each Postgres database: what is applied, what failed, and whether a lock is held
    Status,
    /// The locks of migration tools: Liquibase and Knex
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
            MigrateCommand::Status => "migrate status",
            MigrateCommand::Blockers(_) => "migrate blockers",
            MigrateCommand::Lock(LockCommand::Show) => "migrate lock show",
            MigrateCommand::Lock(LockCommand::Clear(_)) => "migrate lock clear",
        }
    }
}
