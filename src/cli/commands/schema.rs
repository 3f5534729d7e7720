//! The published schemas of what commands print with `--output json`.

use schemars::{Schema, schema_for};

use crate::check::Report;
use crate::cli::output::Document;
use crate::ops::execute::Executed;
use crate::sandbox::{Down, Status, Up};

/// Every schema by the name of its command. Commands that print a document of their own shape share `document`.
pub fn all() -> Vec<(String, Schema)> {
    let mut all: Vec<(String, Schema)> = vec![
        ("document".into(), schema_for!(Document<serde_json::Value>)),
        ("events".into(), schema_for!(crate::event::Stamped)),
        ("doctor".into(), schema_for!(Document<Report>)),
        ("config-check".into(), schema_for!(Document<Report>)),
        (
            "explain".into(),
            schema_for!(Document<crate::ops::explain::Explanation>),
        ),
        ("sandbox-up".into(), schema_for!(Document<Up>)),
        ("sandbox-down".into(), schema_for!(Document<Down>)),
        ("sandbox-status".into(), schema_for!(Document<Status>)),
        (
            "status".into(),
            schema_for!(Document<crate::ops::status::Overview>),
        ),
        (
            "evidence-verify".into(),
            schema_for!(Document<crate::evidence::Report>),
        ),
    ];
    for command in [
        "backup-create",
        "backup-verify",
        "restore",
        "drill-run",
        "gate-run",
        "context-pin",
        "runbook-run",
        "runbook-plan",
        "run-resume",
        "run-abort",
        "golden-path",
    ] {
        all.push((command.into(), schema_for!(Document<Executed>)));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
