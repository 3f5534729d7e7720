//! The published schemas of what commands print with `--output json`: one line for each command.

use schemars::{JsonSchema, Schema, schema_for};

use super::{
    backup, checks, config, drill, evidence, generate, golden, keys, kube, migrate, restore,
    runbook, runs, sandbox,
};
use crate::check::Report;
use crate::cli::output::Document;
use crate::ops::execute::Executed;
use crate::sandbox::{Down, Status, Up};

/// A command's words, and the schema of its document.
type Published = (&'static str, fn() -> Schema);

/// Every command that prints a result.
const COMMANDS: &[Published] = &[
    ("init", of::<config::Initialised>),
    ("doctor", of::<Report>),
    ("status", of::<crate::ops::status::Overview>),
    ("config check", of::<Report>),
    ("config show", of::<config::Settings>),
    ("context list", of::<config::Contexts>),
    ("context show", of::<config::Settings>),
    ("context use", of::<config::Chosen>),
    ("context pin", of::<Executed>),
    ("smoke", of::<checks::Smoked>),
    ("backup init", of::<Executed>),
    ("backup create", of::<Executed>),
    ("backup list", of::<backup::Backups>),
    ("backup show", of::<backup::Shown>),
    ("backup diff", of::<crate::ops::diff::Comparison>),
    ("backup import", of::<Executed>),
    ("backup verify", of::<Executed>),
    ("backup hold", of::<Executed>),
    ("backup release", of::<Executed>),
    ("backup forget", of::<Executed>),
    ("backup unlock", of::<super::keep::Unlocked>),
    ("backup export", of::<Executed>),
    ("backup prune", of::<Executed>),
    ("backup copy", of::<Executed>),
    ("keys list", of::<keys::Keys>),
    ("keys add", of::<Executed>),
    ("keys remove", of::<Executed>),
    ("keys rotate", of::<Executed>),
    ("keys new-epoch", of::<Executed>),
    ("kube show", of::<kube::Shown>),
    ("kube rbac", of::<kube::Rbac>),
    ("restore", of::<restore::Restored>),
    ("migrate status", of::<crate::ops::migrate::Status>),
    ("migrate blockers", of::<migrate::Blocked>),
    ("migrate lock show", of::<migrate::Locks>),
    ("migrate lock clear", of::<Executed>),
    ("drill run", of::<Executed>),
    ("drill history", of::<drill::Drills>),
    ("gate run", of::<Executed>),
    ("evidence list", of::<evidence::Records>),
    (
        "evidence show",
        of::<crate::evidence::render::Dossier<'static>>,
    ),
    ("evidence verify", of::<crate::evidence::Report>),
    ("evidence export", of::<evidence::Exported>),
    ("evidence keygen", of::<evidence::KeyPair>),
    ("runbook list", of::<runbook::Runbooks>),
    ("runbook show", of::<runbook::Shown>),
    ("runbook lint", of::<runbook::Linted>),
    ("runbook plan", of::<Executed>),
    ("runbook run", of::<Executed>),
    ("runbook diff", of::<runbook::Differs>),
    ("runbook new", of::<runbook::Started>),
    ("run list", of::<runs::Listed>),
    ("run show", of::<runs::Shown>),
    ("run resume", of::<Executed>),
    ("run abort", of::<Executed>),
    ("lease show", of::<runs::Leases>),
    ("lease break", of::<runs::Broken>),
    ("golden-path", of::<golden::GoldenPath>),
    ("sandbox up", of::<Up>),
    ("sandbox status", of::<Status>),
    ("sandbox break", of::<sandbox::Practised>),
    ("sandbox mend", of::<sandbox::Mended>),
    ("sandbox down", of::<Down>),
    ("explain", of::<crate::ops::explain::Explanation>),
    ("completions", of::<generate::Completions>),
    ("man", of::<generate::Written>),
    ("schemas", of::<generate::Written>),
];

/// Every schema by its file's name: those of the commands; `document`, which all of them fit; and `events`.
pub fn all() -> Vec<(String, Schema)> {
    let mut all: Vec<(String, Schema)> = COMMANDS
        .iter()
        .map(|(words, schema)| {
            let title = format!("What `summitctl {words} --output json` prints");
            (words.replace(' ', "-"), titled(schema(), &title))
        })
        .collect();
    all.push((
        "document".to_owned(),
        titled(
            of::<serde_json::Value>(),
            "What any command prints with `--output json`",
        ),
    ));
    all.push((
        "events".to_owned(),
        titled(
            schema_for!(crate::event::Stamped),
            "A line of what `--events FILE` writes",
        ),
    ));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn of<T: JsonSchema>() -> Schema {
    schema_for!(Document<T>)
}

fn titled(mut schema: Schema, title: &str) -> Schema {
    schema.insert("title".to_owned(), title.into());
    schema
}
