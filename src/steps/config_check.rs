//! `config.check`: the platform's variables against the operator handbook, from where a runbook says they are.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::variables::{self, Judge, Source};
use super::world::World;
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::reasons;

reasons! {
    /// The variables are not in order.
    FAILED = "config.check-failed", Failed, "A variable of the platform is missing, weak or inconsistent. The report names each, never its value; `summitctl config check` shows it on its own.";
}

/// Arguments of `config.check`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigCheckArgs {
    /// A `.env` file; without it and without `compose`, the file that the context's `variables` names, or else the
    /// process environment.
    #[serde(default)]
    pub env_file: Option<PathBuf>,
    /// A Compose file.
    #[serde(default)]
    pub compose: Option<PathBuf>,
    /// The Compose service.
    #[serde(default)]
    pub service: Option<String>,
}

/// The step kind `config.check`.
pub struct ConfigCheck;

#[async_trait]
impl Look<World> for ConfigCheck {
    const KIND: &'static str = "config.check";
    const SUMMARY: &'static str = "Checks the platform's variables: present, strong, consistent; no value is shown, and `result.totals` counts";
    type Args = ConfigCheckArgs;

    fn title(&self, _: &ConfigCheckArgs) -> String {
        "check the platform's variables".to_owned()
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &ConfigCheckArgs) -> Result<Observed> {
        let world = cx.world;
        let source = match (&args.env_file, &args.compose, &args.service) {
            (Some(file), None, None) => Source::EnvFile(file.clone()),
            (None, Some(file), Some(service)) => Source::Compose(file.clone(), service.clone()),
            (None, None, None) => match &world.settings.variables {
                Some(file) => Source::EnvFile(file.value.clone()),
                None => Source::Process,
            },
            _ => {
                return Err(Error::input(
                    "`config.check` reads an `env-file`, or a `service` of a `compose` file",
                ));
            }
        };
        let judge = Judge {
            context: Some(&world.settings),
            tier: None,
            ingress_host: None,
        };
        let report = variables::evaluate(&source, &judge, &world.environment).await?;
        report.must_pass(&FAILED, "checks of the variables")?;
        Ok(Observed::of(&report))
    }
}
