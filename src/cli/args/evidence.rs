//! Arguments of the commands that read signed records.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `evidence …`
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// All records
    List,
    /// One run's record
    Show(EvidenceShowArgs),
    /// Check every signature and chain, offline
    Verify(EvidenceVerifyArgs),
    /// Copy one run's records to a folder that verifies on its own
    Export(EvidenceExportArgs),
    /// Make a signing key
    Keygen {
        /// Where the private key goes; the public one lies beside it with `.pub`
        file: PathBuf,
    },
}

/// How evidence is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rendering {
    /// Sentences for the terminal.
    Text,
    /// Markdown.
    Markdown,
    /// JUnit XML.
    Junit,
    /// One self-contained page.
    Html,
}

/// Arguments of `evidence show`.
#[derive(Debug, Args)]
pub struct EvidenceShowArgs {
    /// The run's id, a unique beginning of it, or `newest`
    #[arg(default_value = "newest")]
    pub run: String,
    /// How to render it
    #[arg(long, value_enum, default_value = "markdown")]
    pub format: Rendering,
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Arguments of `evidence verify`.
#[derive(Debug, Args)]
pub struct EvidenceVerifyArgs {
    /// The evidence folder, an exported folder or one envelope [default: the context's evidence]
    pub path: Option<PathBuf>,
    /// Public keys to trust: files or folders [default: the context's]
    #[arg(long, value_name = "FILE")]
    pub trusted_key: Vec<PathBuf>,
    /// The head that somebody else kept, as SEQ:DIGEST
    #[arg(long, value_name = "SEQ:DIGEST")]
    pub expect_head: Option<String>,
}

/// Arguments of `evidence export`.
#[derive(Debug, Args)]
pub struct EvidenceExportArgs {
    /// The run's id or a unique beginning of it
    pub run: String,
    /// The folder to write
    pub folder: PathBuf,
}

impl EvidenceCommand {
    /// The command's words.
    pub fn words(&self) -> &'static str {
        match self {
            EvidenceCommand::List => "evidence list",
            EvidenceCommand::Show(_) => "evidence show",
            EvidenceCommand::Verify(_) => "evidence verify",
            EvidenceCommand::Export(_) => "evidence export",
            EvidenceCommand::Keygen { .. } => "evidence keygen",
        }
    }
}
