//! Arguments of the commands that decide which backups stay.

use std::path::PathBuf;

use clap::Args;

use super::choice;
use crate::repository::{BackupId, Rules};
use crate::steps::choose::Choice;
use crate::time::Span;

/// Arguments of `backup prune`. Without any rule, the context's are used.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Keep everything that is younger
    #[arg(long, value_name = "SPAN")]
    pub keep_within: Option<Span>,
    /// Keep the newest N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_last: Option<u32>,
    /// Keep the newest of each of N hours
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_hourly: Option<u32>,
    /// Keep the newest of each of N days, in UTC
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_daily: Option<u32>,
    /// Keep the newest of each of N weeks, from Monday
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_weekly: Option<u32>,
    /// Keep the newest of each of N months
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_monthly: Option<u32>,
    /// Keep the newest of each of N years
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_yearly: Option<u32>,
    /// Show what stays, what goes and what it frees, and do nothing; the same as `--plan-only`
    #[arg(long)]
    pub dry_run: bool,
}

impl PruneArgs {
    /// The rules of the command line.
    pub fn rules(&self) -> Rules {
        Rules {
            within: self.keep_within,
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
        }
    }
}

/// Arguments of `backup hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// An id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:2026-11-20T03:00Z`
    #[arg(value_name = "BACKUP", value_parser = choice)]
    pub backup: Choice,
    /// Why, for whoever wants to release it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Arguments of `backup export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// An id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:2026-11-20T03:00Z`
    #[arg(value_name = "BACKUP", value_parser = choice)]
    pub backup: Choice,
    /// A new or empty folder, on a disk where plain data may lie
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Arguments of `backup release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// An id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:2026-11-20T03:00Z`
    #[arg(value_name = "BACKUP", value_parser = choice)]
    pub backup: Choice,
}

/// Arguments of `backup forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The id, as `backup list` shows it
    #[arg(value_name = "BACKUP")]
    pub backup: BackupId,
}

/// Arguments of `backup unlock`.
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// The lock, as `status` and refused commands name it
    #[arg(value_name = "TOKEN")]
    pub token: String,
}

/// Arguments of `backup copy`.
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// The copy's name [default: every copy that is configured]
    #[arg(value_name = "COPY")]
    pub to: Option<String>,
}
