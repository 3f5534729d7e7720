//! Arguments of the commands that look at the configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the handbook's variables; values are never shown
    Check(Box<ConfigCheckArgs>),
    /// Show every setting of the context and where it came from
    Show,
}

/// Arguments of `config check`.
#[derive(Debug, Args)]
pub struct ConfigCheckArgs {
    /// Read the variables from this .env file instead of the process environment
    #[arg(long, value_name = "FILE", conflicts_with = "compose")]
    pub env_file: Option<PathBuf>,
    /// Read the variables of a service from this Compose file
    #[arg(long, value_name = "FILE")]
    pub compose: Option<PathBuf>,
    /// The Compose service
    #[arg(long, value_name = "NAME", requires = "compose")]
    pub service: Option<String>,
    /// Where the variables are read from [default: what the other flags name, else the context's `variables`, else `process`]
    #[arg(long, value_name = "SOURCE", value_parser = ["process", "kubernetes"], conflicts_with_all = ["env_file", "compose"])]
    pub source: Option<String>,
    /// Read what this workload of the context's cluster really gives its container, such as deployment/gateway
    #[arg(long, value_name = "KIND/NAME", conflicts_with_all = ["env_file", "compose"])]
    pub workload: Option<String>,
    /// The container, if the workload has several
    #[arg(long, value_name = "NAME", requires = "workload")]
    pub container: Option<String>,
    /// The workload's namespace [default: the context's, if it has only one]
    #[arg(long, value_name = "NAME", requires = "workload")]
    pub namespace: Option<String>,
    /// Judge as for this tier [default: the context's]
    #[arg(long, value_name = "TIER")]
    pub tier: Option<String>,
    /// The host clients reach the platform at, to compare origins and redirects with
    #[arg(long, value_name = "HOST")]
    pub ingress_host: Option<String>,
}
