//! The command line: every command, flag and environment variable, in the order `--help` shows them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod config;
mod evidence;
mod import;
mod keep;
mod keys;
mod kube;
mod migrate;
pub use config::{ConfigCheckArgs, ConfigCommand};
pub use evidence::{
    EvidenceCommand, EvidenceExportArgs, EvidenceShowArgs, EvidenceVerifyArgs, Rendering,
};
pub use import::{BackupDiffArgs, BackupImportArgs};
pub use keep::{CopyArgs, ExportArgs, ForgetArgs, HoldArgs, PruneArgs, ReleaseArgs, UnlockArgs};
pub use keys::KeysCommand;
pub use kube::KubeCommand;
pub use migrate::{BlockersArgs, ClearArgs, LockCommand, MigrateCommand};

use crate::error::Result;
use crate::identity::Store;
use crate::providers::postgres;
use crate::providers::postgres::poison::Mend;
use crate::repository::Share;
use crate::steps::choose::{self, Choice};
use crate::time::Span;

/// The operator's runbook and ops toolbox.
///
/// Smoke tests, verified backups and restores, DR drills and signed gate evidence. Nothing is reported that was not
/// measured; nothing is changed that was not planned, shown and consented to.
#[derive(Debug, Parser)]
#[command(
    name = "summitctl",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(
    after_help = "New here? `summitctl golden-path` shows the whole of it on a throw-away sandbox."
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    Human,
    /// One JSON document.
    Json,
}

/// Flags that every command takes. The consent flags have no environment variables, on purpose.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Context to work on; `env` is made of the process environment
    #[arg(
        long,
        short = 'c',
        global = true,
        env = "SUMMITCTL_CONTEXT",
        value_name = "NAME"
    )]
    pub context: Option<String>,
    /// Work on this copy of the repository as if it were the repository itself
    #[arg(long, global = true, env = "SUMMITCTL_COPY", value_name = "COPY")]
    pub repository: Option<String>,
    /// Configuration file [default: summitctl.toml here or above, then in the user's configuration folder]
    #[arg(long, global = true, env = "SUMMITCTL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How results are written to stdout
    #[arg(
        long,
        short = 'o',
        global = true,
        env = "SUMMITCTL_OUTPUT",
        value_enum,
        default_value = "human"
    )]
    pub output: Format,
    /// Write every event as a JSON line to a file, or to stderr with `-`
    #[arg(long, global = true, env = "SUMMITCTL_EVENTS", value_name = "FILE")]
    pub events: Option<String>,
    /// Never ask; refuse what would need an answer
    #[arg(long, global = true, env = "SUMMITCTL_NO_INPUT")]
    pub no_input: bool,
    /// Consent to a change without being asked
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// Consent to a destructive act by naming the context
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub confirm: Option<String>,
    /// Show the plan and its digest, and do nothing
    #[arg(long, global = true)]
    pub plan_only: bool,
    /// Apply exactly the plan with this digest, or refuse
    #[arg(long, global = true, value_name = "DIGEST")]
    pub plan: Option<String>,
    /// How many steps and streams may run side by side
    #[arg(long, short = 'j', global = true, env = "SUMMITCTL_JOBS", value_name = "N", default_value_t = default_jobs())]
    pub jobs: usize,
    /// Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at
    /// Ctrl-C, and can be resumed
    #[arg(long, global = true, env = "SUMMITCTL_TIMEOUT", value_name = "SPAN")]
    pub timeout: Option<Span>,
    /// Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]
    #[arg(long, global = true, env = "SUMMITCTL_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Folder of the sandbox [default: sandbox under the state folder]
    #[arg(long, global = true, env = "SUMMITCTL_SANDBOX_DIR", value_name = "DIR")]
    pub sandbox_dir: Option<PathBuf>,
    /// Folder of signed evidence [default: the context's, else evidence under the state folder]
    #[arg(
        long,
        global = true,
        env = "SUMMITCTL_EVIDENCE_DIR",
        value_name = "DIR"
    )]
    pub evidence_dir: Option<PathBuf>,
    /// Say more; twice for every event
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

fn choice(text: &str) -> std::result::Result<Choice, String> {
    with_hint(text.parse())
}

/// What is wrong and how it is written right, in one: of an error, clap shows the message alone.
fn with_hint<T>(read: Result<T>) -> std::result::Result<T, String> {
    read.map_err(|e| match e.hints().as_slice() {
        [] => e.to_string(),
        hints => format!("{e}. {}", hints.join(" ")),
    })
}

fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 8))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write summitctl.toml from the environment, asking nothing it can find out
    Init(InitArgs),
    /// Look at tools, versions, reachability, permissions, keys, disk and clock, and say what mends each finding
    Doctor(DoctorArgs),
    /// One screen: health, backup age vs RPO, last drill vs RTO, locks, leases, open runs
    Status,
    /// The handbook's variables: present, strong, consistent
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Named sets of targets
    #[command(subcommand)]
    Context(ContextCommand),
    /// Parallel health and data-plane probes until a deadline
    Smoke(SmokeArgs),
    /// Verified backups of Postgres, Neo4j and Redis
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Who can read the backups
    #[command(subcommand)]
    Keys(KeysCommand),
    /// What runs in the cluster
    #[command(subcommand)]
    Kube(KubeCommand),
    /// Bring a backup back: beside the live data, verified, then swapped in
    Restore(RestoreArgs),
    /// Database migrations: their locks, and whether whoever holds one is alive
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// DR drills: the newest backup, the real key, scratch servers, every row compared
    #[command(subcommand)]
    Drill(DrillCommand),
    /// Go or no-go, from measurements
    #[command(subcommand)]
    Gate(GateCommand),
    /// Signed records of what was done and seen
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Procedures that a person can read and the program can run
    #[command(subcommand)]
    Runbook(RunbookCommand),
    /// Journalled runs of changing commands
    #[command(subcommand)]
    Run(RunCommand),
    /// Who holds which target
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// The guided first day, on a throw-away sandbox
    GoldenPath(GoldenPathArgs),
    /// A throw-away stack of real servers to practise on
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// What an exit code, a reason, a step kind or a handbook script means here
    Explain(ExplainArgs),
    /// Shell completions on stdout
    Completions(CompletionsArgs),
    /// Manual pages into a folder
    Man(ManArgs),
    /// JSON schemas of every command's output, into a folder
    Schemas(ManArgs),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where to write it; `-` for stdout
    #[arg(value_name = "FILE", default_value = "summitctl.toml")]
    pub file: String,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// `context …`
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// All contexts, and which one is used by default
    List,
    /// The context in full; secrets by reference only
    Show,
    /// Make a context the default of this machine
    Use {
        /// The context's name
        name: String,
    },
    /// Record what the context's targets are, so that no other is ever changed
    Pin {
        /// Replace an earlier pin
        #[arg(long)]
        replace: bool,
    },
}

/// Arguments of `smoke`.
#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// Keep trying until everything passes or this long has gone by
    #[arg(long, value_name = "SPAN")]
    pub wait: Option<Span>,
    /// Also write through the platform, read back from the stores, and remove
    #[arg(long)]
    pub data_plane: bool,
}

/// `backup …`
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Make the context's repository, in a new or empty folder or below a bucket's prefix
    Init(BackupInitArgs),
    /// Capture the stores into the repository
    Create(BackupCreateArgs),
    /// Backups, newest first, with what was verified
    List,
    /// One backup in full
    Show(BackupName),
    /// What changed from one backup to another: rows, bytes, schema
    Diff(BackupDiffArgs),
    /// Make a backup of a dump that another tool made
    Import(BackupImportArgs),
    /// Prove a backup: 1 authentic and complete, 2 every row decoded, 3 restored and compared
    Verify(BackupVerifyArgs),
    /// Keep a backup whatever the rules say
    Hold(HoldArgs),
    /// Let the rules decide on a backup again
    Release(ReleaseArgs),
    /// Write a backup as plain files into a folder, in the clear
    Export(ExportArgs),
    /// Remove the backups that no rule keeps, and what nothing needs any more
    Prune(PruneArgs),
    /// Bring what the copies of the repository lack
    Copy(CopyArgs),
    /// State that a backup which is gone was removed on purpose, so that its segments may be collected
    Forget(ForgetArgs),
    /// Remove the lock of a process of elsewhere that is surely no more
    Unlock(UnlockArgs),
}

/// Arguments of `backup init`.
#[derive(Debug, Args)]
pub struct BackupInitArgs {
    /// Make the file that `repository.secret` names, with a new secret, if it is not there
    #[arg(long)]
    pub new_secret: bool,
}

/// Arguments of `backup create`.
#[derive(Debug, Args)]
pub struct BackupCreateArgs {
    /// Only these stores
    #[arg(long, value_delimiter = ',', value_name = "STORE")]
    pub stores: Vec<Store>,
    /// A label to find it by, such as `pre-deploy`; may be given more than once
    #[arg(long, value_name = "TEXT", value_parser = |text: &str| with_hint(choose::label(text)))]
    pub label: Vec<String>,
    /// The commit that is deployed now, to find it by: 7 to 64 hexadecimal digits
    #[arg(long, value_name = "SHA", value_parser = |text: &str| with_hint(choose::commit(text)))]
    pub commit: Option<String>,
    /// Stop writes meanwhile, by the programs of the context's `quiesce` section
    #[arg(long)]
    pub quiesce: bool,
    /// Stop Neo4j meanwhile and dump it, by the programs of the context's `neo4j.offline` section
    #[arg(long)]
    pub offline: bool,
    /// Hold writes to Neo4j back while it is read, for SPAN at most each time, if a first reading was disturbed
    #[arg(long, value_name = "SPAN", conflicts_with = "offline", value_parser = |text: &str| with_hint(text.parse::<Span>()))]
    pub hold_writes: Option<Span>,
}

/// Names a backup.
#[derive(Debug, Args)]
pub struct BackupName {
    /// An id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:2026-11-20T03:00Z`
    #[arg(default_value = "newest", value_name = "BACKUP", value_parser = choice)]
    pub backup: Choice,
}

/// Arguments of `backup verify`.
#[derive(Debug, Args)]
pub struct BackupVerifyArgs {
    /// Which backup
    #[command(flatten)]
    pub name: BackupName,
    /// How far to go
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub level: u8,
    /// With `--level 1`: all documents, and this share of the segments, such as `5%`; claims no level
    #[arg(long, value_name = "SHARE", value_parser = |text: &str| with_hint(text.parse::<Share>()))]
    pub sample: Option<Share>,
    /// Instead, prove that the identity at hand opens it: unwrap the keys and decrypt one segment
    #[arg(long, conflicts_with_all = ["level", "sample"])]
    pub key_check: bool,
    /// Draw the sample of this seed again
    #[arg(long, value_name = "N", requires = "sample")]
    pub seed: Option<u32>,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// An id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:2026-11-20T03:00Z`
    #[arg(value_name = "BACKUP", required_unless_present = "undo", value_parser = choice)]
    pub backup: Option<Choice>,
    /// Only these stores
    #[arg(long, value_delimiter = ',', value_name = "STORE")]
    pub stores: Vec<Store>,
    /// Only this Postgres database, and no other store
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// Restore into the targets of this context, from the repository of `--context`
    #[arg(long, value_name = "CONTEXT")]
    pub into: Option<String>,
    /// Restore without saving the present state first; says why
    #[arg(long, value_name = "REASON")]
    pub without_safety_backup: Option<String>,
    /// Restore Postgres into a new database of this name, and replace nothing
    #[arg(long = "as", value_name = "NAME", group = "place", conflicts_with = "without_safety_backup",
          value_parser = |text: &str| with_hint(postgres::check_name(text)))]
    pub copy_as: Option<String>,
    /// Put the table that `--table` names back into the live database, in one transaction; refused if it holds rows
    #[arg(long, group = "place", requires = "table", conflicts_with_all = ["without_safety_backup", "into", "schema", "can_i", "map_role"])]
    pub in_place: bool,
    /// With `--as`: load the rows of this table; others are there, and empty. With `--in-place`: this table
    #[arg(long, value_name = "SCHEMA.TABLE", requires = "place")]
    pub table: Vec<String>,
    /// With `--as`: load the rows of this schema's tables; others are there, and empty
    #[arg(long, value_name = "NAME", requires = "copy_as")]
    pub schema: Vec<String>,
    /// Give to the role NEW what the backup says of OLD: ownership, grants, default privileges, policies, settings; may be
    /// given more than once
    #[arg(long, value_name = "OLD=NEW", value_parser = |text: &str| with_hint(postgres::role_pair(text)))]
    pub map_role: Vec<(String, String)>,
    /// Postgres: mend these in the restored copy, after it was compared and before anybody works with it: `locks` (held by
    /// migrations), `sequences` (behind their columns), `indexes` (that were not valid); and before it, make the `roles` that the backup
    /// names and the server lacks, without login
    #[arg(long, value_name = "KIND", value_delimiter = ',', conflicts_with_all = ["in_place", "can_i"],
          value_parser = |text: &str| with_hint(text.parse::<Mend>()))]
    pub mend: Vec<Mend>,
    /// Redis: drop all its keys first, and load in place
    #[arg(long, group = "keys", conflicts_with = "place")]
    pub flush: bool,
    /// Redis: overwrite the keys that the backup has, and keep the others. With `--in-place`: a table that holds rows moves
    /// into a schema of its own, and stays there
    #[arg(long, group = "keys", conflicts_with = "copy_as")]
    pub replace: bool,
    /// Redis: keep all keys that are there, and add those that are missing
    #[arg(long, group = "keys", conflicts_with = "place")]
    pub merge: bool,
    /// Neo4j: stop it and load the dump that the backup holds, by the programs of the context's `neo4j.offline` section
    #[arg(long, conflicts_with_all = ["place", "database", "can_i", "undo"])]
    pub offline: bool,
    /// Check whether the restore could be done, touching nothing
    #[arg(long)]
    pub can_i: bool,
    /// Take the context's last restore back
    #[arg(long, conflicts_with_all = ["backup", "into", "without_safety_backup", "copy_as", "in_place", "map_role", "mend", "can_i", "keys"])]
    pub undo: bool,
}

/// `drill …`
#[derive(Debug, Subcommand)]
pub enum DrillCommand {
    /// Restore the newest backup to scratch servers and compare every row
    Run(BackupName),
    /// Earlier drills, from the evidence
    History,
}

/// `gate …`
#[derive(Debug, Subcommand)]
pub enum GateCommand {
    /// Evaluate every check of the gate
    Run(GateArgs),
}

/// Arguments of `gate run`.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// The commit that is to be released
    #[arg(long, value_name = "SHA")]
    pub commit: Option<String>,
}

/// `runbook …`
#[derive(Debug, Subcommand)]
pub enum RunbookCommand {
    /// Built-in and local runbooks
    List,
    /// The runbook's text
    Show(RunbookName),
    /// Problems with their place in the file
    Lint {
        /// A file, or the name of a built-in runbook [default: all]
        runbook: Option<String>,
    },
    /// What it would do
    Plan(RunbookRunArgs),
    /// Do it
    Run(RunbookRunArgs),
    /// How a local copy differs from the built-in runbook
    Diff(RunbookName),
    /// What can be completed: runbooks, or the parameters of one
    #[command(hide = true)]
    Complete {
        /// The runbook
        runbook: Option<String>,
    },
    /// A new runbook to start from, on stdout
    New {
        /// Its name
        name: String,
        /// Copy this built-in runbook; with the same name, the copy in the folder `runbooks` stands in for it
        #[arg(long, value_name = "RUNBOOK")]
        from: Option<String>,
    },
}

/// Names a runbook.
#[derive(Debug, Args)]
pub struct RunbookName {
    /// A file, or the name of a built-in runbook such as `summit/golden-path`
    pub runbook: String,
}

/// Arguments of `runbook run` and `runbook plan`.
#[derive(Debug, Args)]
pub struct RunbookRunArgs {
    /// Which one
    #[command(flatten)]
    pub name: RunbookName,
    /// A parameter
    #[arg(long, short = 'p', value_name = "NAME=VALUE")]
    pub param: Vec<String>,
}

/// `run …`
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Runs, newest first
    List,
    /// One run: its steps and what they saw
    Show(RunShowArgs),
    /// Go on where it stopped
    Resume(RunName),
    /// Take back what it did, and end it
    Abort(RunName),
}

/// Names a run.
#[derive(Debug, Args)]
pub struct RunName {
    /// The run's id [default: the newest that can be resumed]
    pub run: Option<String>,
}

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunRendering {
    /// A table for the terminal.
    Text,
    /// The record: the runbook's prose, filled in with what happened.
    Markdown,
}

/// Arguments of `run show`.
#[derive(Debug, Args)]
pub struct RunShowArgs {
    /// The run's id [default: the newest]
    pub run: Option<String>,
    /// How to show it
    #[arg(long, value_enum, default_value = "text")]
    pub format: RunRendering,
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `lease …`
#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// Every lease and its holder
    Show,
    /// Remove a lease whose holder is known to be dead
    Break {
        /// Its name
        name: String,
    },
}

/// Arguments of `golden-path`.
#[derive(Debug, Args)]
pub struct GoldenPathArgs {
    /// Leave the sandbox running afterwards
    #[arg(long)]
    pub keep: bool,
}

/// `sandbox …`
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Start it, or what is missing of it
    Up,
    /// What runs where
    Status,
    /// Break something, to practise
    Break {
        /// What to break: postgres, redis, neo4j, migration-lock, stale-backup
        fault: String,
    },
    /// Mend it again
    Mend {
        /// What to mend [default: everything]
        fault: Option<String>,
    },
    /// Stop it
    Down {
        /// Also remove its data, backups and evidence
        #[arg(long)]
        purge: bool,
    },
    /// Serve the stand-in platform in the foreground
    #[command(hide = true)]
    ServePlatform {
        /// Its configuration
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// An exit code, a reason code, a step kind, a finding, or a handbook script
    pub topic: String,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man` and `schemas`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write into
    pub folder: PathBuf,
}

impl Command {
    /// The command's words, as they appear in evidence, plans and JSON.
    pub fn words(&self) -> &'static str {
        match self {
            Command::Init(_) => "init",
            Command::Doctor(_) => "doctor",
            Command::Status => "status",
            Command::Config(ConfigCommand::Check(_)) => "config check",
            Command::Config(ConfigCommand::Show) => "config show",
            Command::Context(ContextCommand::List) => "context list",
            Command::Context(ContextCommand::Show) => "context show",
            Command::Context(ContextCommand::Use { .. }) => "context use",
            Command::Context(ContextCommand::Pin { .. }) => "context pin",
            Command::Smoke(_) => "smoke",
            Command::Backup(BackupCommand::Init(_)) => "backup init",
            Command::Backup(BackupCommand::Create(_)) => "backup create",
            Command::Backup(BackupCommand::List) => "backup list",
            Command::Backup(BackupCommand::Show(_)) => "backup show",
            Command::Backup(BackupCommand::Diff(_)) => "backup diff",
            Command::Backup(BackupCommand::Import(_)) => "backup import",
            Command::Backup(BackupCommand::Verify(_)) => "backup verify",
            Command::Backup(BackupCommand::Hold(_)) => "backup hold",
            Command::Backup(BackupCommand::Release(_)) => "backup release",
            Command::Backup(BackupCommand::Forget(_)) => "backup forget",
            Command::Backup(BackupCommand::Unlock(_)) => "backup unlock",
            Command::Backup(BackupCommand::Export(_)) => "backup export",
            Command::Backup(BackupCommand::Prune(_)) => "backup prune",
            Command::Backup(BackupCommand::Copy(_)) => "backup copy",
            Command::Keys(command) => command.words(),
            Command::Kube(command) => command.words(),
            Command::Restore(_) => "restore",
            Command::Migrate(command) => command.words(),
            Command::Drill(DrillCommand::Run(_)) => "drill run",
            Command::Drill(DrillCommand::History) => "drill history",
            Command::Gate(GateCommand::Run(_)) => "gate run",
            Command::Evidence(command) => command.words(),
            Command::Runbook(RunbookCommand::List) => "runbook list",
            Command::Runbook(RunbookCommand::Show(_)) => "runbook show",
            Command::Runbook(RunbookCommand::Lint { .. }) => "runbook lint",
            Command::Runbook(RunbookCommand::Plan(_)) => "runbook plan",
            Command::Runbook(RunbookCommand::Run(_)) => "runbook run",
            Command::Runbook(RunbookCommand::Complete { .. }) => "runbook complete",
            Command::Runbook(RunbookCommand::Diff(_)) => "runbook diff",
            Command::Runbook(RunbookCommand::New { .. }) => "runbook new",
            Command::Run(RunCommand::List) => "run list",
            Command::Run(RunCommand::Show(_)) => "run show",
            Command::Run(RunCommand::Resume(_)) => "run resume",
            Command::Run(RunCommand::Abort(_)) => "run abort",
            Command::Lease(LeaseCommand::Show) => "lease show",
            Command::Lease(LeaseCommand::Break { .. }) => "lease break",
            Command::GoldenPath(_) => "golden-path",
            Command::Sandbox(SandboxCommand::Up) => "sandbox up",
            Command::Sandbox(SandboxCommand::Status) => "sandbox status",
            Command::Sandbox(SandboxCommand::Break { .. }) => "sandbox break",
            Command::Sandbox(SandboxCommand::Mend { .. }) => "sandbox mend",
            Command::Sandbox(SandboxCommand::Down { .. }) => "sandbox down",
            Command::Sandbox(SandboxCommand::ServePlatform { .. }) => "sandbox serve-platform",
            Command::Explain(_) => "explain",
            Command::Completions(_) => "completions",
            Command::Man(_) => "man",
            Command::Schemas(_) => "schemas",
        }
    }
}
