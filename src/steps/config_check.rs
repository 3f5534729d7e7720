//! `config.check`: the platform's variables against the operator handbook, from where a runbook says they are.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::variables::{self, Judge, Source, Workload};
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
    /// A `.env` file; without it, `compose` and `workload`, the file that the context's `variables` names, or else the
    /// process environment.
    #[serde(default)]
    pub env_file: Option<PathBuf>,
    /// A Compose file.
    #[serde(default)]
    pub compose: Option<PathBuf>,
    /// The Compose service.
    #[serde(default)]
    pub service: Option<String>,
    /// A workload of the context's cluster, as in `deployment/gateway`: what it really gives its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The container, if the workload has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The workload's namespace; the context's, if it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
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
        let source = source(world, args)?;
        let judge = Judge {
            context: Some(&world.settings),
            tier: None,
            ingress_host: None,
            cluster: world.kubernetes.as_ref(),
        };
        let report = variables::evaluate(&source, &judge, &world.environment).await?;
        report.must_pass(&FAILED, "checks of the variables")?;
        Ok(Observed::of(&report))
    }
}

/// Where a step reads from.
fn source(world: &World, args: &ConfigCheckArgs) -> Result<Source> {
    let ConfigCheckArgs {
        env_file,
        compose,
        service,
        workload,
        container,
        namespace,
    } = args;
    let of_workload = container.is_some() || namespace.is_some();
    match (env_file, compose, service, workload) {
        (None, None, None, Some(object)) => Ok(Source::Workload(Workload {
            object: object.clone(),
            namespace: namespace.clone(),
            container: container.clone(),
        })),
        (Some(file), None, None, None) if !of_workload => Ok(Source::EnvFile(file.clone())),
        (None, Some(file), Some(service), None) if !of_workload => {
            Ok(Source::Compose(file.clone(), service.clone()))
        }
        (None, None, None, None) if !of_workload => Ok(match &world.settings.variables {
            Some(file) => Source::EnvFile(file.value.clone()),
            None => Source::Process,
        }),
        _ => Err(Error::input(
            "`config.check` reads an `env-file`, a `service` of a `compose` file, or a `workload`",
        )
        .hint("Give one of them; `container` and `namespace` go with `workload`.")),
    }
}
