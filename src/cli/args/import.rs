//! Arguments of `backup diff` and `backup import`.

use std::path::PathBuf;

use clap::Args;

use super::{choice, with_hint};
use crate::steps::choose::{self, Choice};
use crate::time::Instant;

/// Arguments of `backup import`.
#[derive(Debug, Args)]
pub struct BackupImportArgs {
    /// What `pg_dump` wrote in any of its formats, a `dump.rdb`, or what `neo4j-admin database dump` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The moment whose data it holds, such as `2026-11-20T03:00:00Z`, if the dump does not say it
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<Instant>,
    /// Which of the context's Postgres databases it becomes, if there are several
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// A label to find it by; may be given more than once
    #[arg(long, value_name = "TEXT", value_parser = |text: &str| with_hint(choose::label(text)))]
    pub label: Vec<String>,
}

/// Arguments of `backup diff`.
#[derive(Debug, Args)]
pub struct BackupDiffArgs {
    /// The backup to compare with: an id or its beginning, `label:NAME`, `commit:SHA`, or `before:2026-11-20T03:00Z`
    #[arg(value_name = "OLD", value_parser = choice)]
    pub from: Choice,
    /// The other, in the same words
    #[arg(default_value = "newest", value_name = "NEW", value_parser = choice)]
    pub to: Choice,
}
