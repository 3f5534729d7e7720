//! Which backups stay, as plans.

use std::path::Path;

use serde_json::json;

use super::backup::spec;
use crate::engine::plan::{OnFailure, Spec, StepSpec};
use crate::error::Result;
use crate::repository::{BackupId, Rules};
use crate::steps::world::World;

/// `backup prune`.
pub async fn prune(world: &World, rules: &Rules) -> Result<Spec> {
    let steps = vec![StepSpec::new(
        "prune",
        "backup.prune",
        json!({"keep": rules}),
        &[],
    )];
    let title = "prune the backups".to_owned();
    spec(world, "backup prune", title, &[], steps).await
}

/// `backup copy`: to one copy, or to each.
pub async fn copy(world: &World, to: Option<&str>) -> Result<Spec> {
    let settings = world.repository_settings()?;
    let names: Vec<String> = match to {
        Some(name) => vec![settings.copy(name)?.name.clone()],
        None => settings.copies.iter().map(|c| c.name.clone()).collect(),
    };
    if names.is_empty() {
        // The error says how one is configured.
        settings.copy("")?;
    }
    let steps = names.iter().map(|name| {
        let mut step = StepSpec::new(
            format!("copy-{name}"),
            "backup.copy",
            json!({"to": name}),
            &[],
        );
        step.on_failure = OnFailure::Continue;
        step
    });
    let title = format!("bring the backups to {}", names.join(", "));
    spec(world, "backup copy", title, &[], steps.collect()).await
}

/// `backup export`.
pub async fn export(world: &World, backup: &BackupId, folder: &Path) -> Result<Spec> {
    let args = json!({"backup": backup, "folder": folder});
    let steps = vec![StepSpec::new("export", "backup.export", args, &[])];
    let title = format!("export backup {backup} in the clear");
    spec(world, "backup export", title, &[], steps).await
}

/// `backup forget`.
pub async fn forget(world: &World, backup: &BackupId) -> Result<Spec> {
    let args = json!({"backup": backup});
    let steps = vec![StepSpec::new("forget", "backup.forget", args, &[])];
    let title = format!("state that backup {backup}, which is gone, was removed");
    spec(world, "backup forget", title, &[], steps).await
}

/// `backup hold` and `backup release`.
pub async fn hold(
    world: &World,
    backup: &BackupId,
    held: bool,
    reason: Option<&str>,
) -> Result<Spec> {
    let steps = vec![StepSpec::new(
        "hold",
        "backup.hold",
        json!({"backup": backup, "held": held, "reason": reason}),
        &[],
    )];
    let word = if held { "hold" } else { "release" };
    let title = format!("{word} backup {backup}");
    spec(world, &format!("backup {word}"), title, &[], steps).await
}
