//! Who can read backups, as plans.

use std::path::Path;

use serde_json::json;

use super::backup::spec;
use crate::engine::plan::{Spec, StepSpec};
use crate::error::Result;
use crate::repository::BackupId;
use crate::steps::keys::Named;
use crate::steps::world::World;

/// `keys add`, `keys remove` and `keys rotate`: the operators as they will be.
pub async fn operators(world: &World, words: &str, operators: &[Named]) -> Result<Spec> {
    let args = json!({"operators": operators});
    let steps = vec![StepSpec::new("operators", "keys.operators", args, &[])];
    let title = "change who can read the backups".to_owned();
    spec(world, words, title, &[], steps).await
}

/// `keys new-epoch`.
pub async fn new_epoch(world: &World, secret_file: &Path) -> Result<Spec> {
    let args = json!({"secret-file": secret_file});
    let steps = vec![StepSpec::new("new-epoch", "keys.new-epoch", args, &[])];
    let title = "start a new epoch of keys".to_owned();
    spec(world, "keys new-epoch", title, &[], steps).await
}

/// `backup verify --key-check`.
pub async fn check(world: &World, backup: &BackupId) -> Result<Spec> {
    let args = json!({"backup": backup});
    let steps = vec![StepSpec::new("key-check", "keys.check", args, &[])];
    let title = format!("prove that the identity at hand opens backup {backup}");
    spec(world, "backup verify", title, &[], steps).await
}
