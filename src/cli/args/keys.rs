//! Arguments of the commands that decide who can read backups.

use std::path::PathBuf;

use clap::Subcommand;

/// `keys …`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Who can read the backups, who signs them, and when somebody last proved that they can be opened
    List,
    /// Let somebody read all backups, by their age recipient or SSH key; an escrow key in a safe is an operator, too
    Add {
        /// What people call them, such as `alice` or `escrow, safe 2`
        name: String,
        /// Their recipient: `age1…`, or the line of an SSH key's `.pub` file in quotes
        recipient: String,
    },
    /// Wrap the keys for everybody but this operator. Not a revocation: see `keys new-epoch`
    Remove {
        /// Their name or recipient
        operator: String,
    },
    /// Give an operator another recipient
    Rotate {
        /// Their name or recipient
        operator: String,
        /// The new recipient: `age1…`, or the line of an SSH key's `.pub` file in quotes
        recipient: String,
    },
    /// After a compromise: new keys under a new secret, which share no segment with the old
    NewEpoch {
        /// Where the new repository secret is kept; made if it does not exist
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
    },
}

impl KeysCommand {
    /// The command's words.
    pub fn words(&self) -> &'static str {
        match self {
            KeysCommand::List => "keys list",
            KeysCommand::Add { .. } => "keys add",
            KeysCommand::Remove { .. } => "keys remove",
            KeysCommand::Rotate { .. } => "keys rotate",
            KeysCommand::NewEpoch { .. } => "keys new-epoch",
        }
    }
}
