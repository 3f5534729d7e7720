//! `repository.init`: makes the context's backup repository, or finds the one that is there.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::{NOT_CONFIGURED, World};
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::pid;
use crate::repository::{NOT_A_REPOSITORY, Operator, Repository};
use crate::secret::Secret;

/// Arguments of `repository.init`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InitArgs {}

/// Where a repository will be made.
#[derive(Debug, Serialize, Deserialize)]
pub struct InitChange {
    place: String,
    operators: Vec<String>,
}

/// The step kind `repository.init`.
pub struct Init;

#[async_trait]
impl Step<World> for Init {
    const KIND: &'static str = "repository.init";
    const SUMMARY: &'static str = "Makes the context's backup repository in a new or empty place, or finds the one that is there";
    const MOST: Effect = Effect::Change;
    type Args = InitArgs;
    type Change = InitChange;

    fn effect(&self, _: &InitArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, _: &InitArgs) -> String {
        "make the repository".to_owned()
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, _: &InitArgs) -> Result<Decision<InitChange>> {
        let world = cx.world;
        if let Some(copy) = world.copy_worked_on() {
            return Err(Error::input(format!(
                "`{copy}` is a copy: another repository there could never be one"
            ))
            .hint(format!(
                "Make it, or fill it anew, with `summitctl backup copy {copy} --context {}`.",
                world.context
            )));
        }
        secret(world)?;
        let signer = world.signing_key()?.public().id().to_string();
        match world.repository().await {
            Ok(there) => return Ok(Decision::Done(observed(&there))),
            Err(e) if e.reason() == &NOT_A_REPOSITORY => {}
            Err(e) => return Err(e),
        }
        let place = world.repository_settings()?.place.to_string();
        let operators = recipients(world)?;
        let mut decisive = Facts::new();
        decisive.insert("place".to_owned(), json!(place));
        decisive.insert("operators".to_owned(), json!(operators));
        decisive.insert("signer".to_owned(), json!(signer));
        Ok(Decision::Change {
            change: InitChange { place, operators },
            decisive,
            shown: Facts::new(),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &InitChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let settings = cx.world.repository_settings()?;
        let operators = change
            .operators
            .iter()
            .enumerate()
            .map(|(n, recipient)| Operator::new(&format!("operator-{}", n + 1), recipient))
            .collect::<Result<Vec<_>>>()?;
        let signer = (pid::host_name(), cx.world.signing_key()?.public());
        let store = settings.store().await?;
        Repository::init(store, secret(cx.world)?, &operators, &[signer])
            .await
            .map(drop)
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, _: &InitChange, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Kept(
            "a new repository holds nothing, and is found again".to_owned(),
        ))
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, _: &InitChange) -> Result<Observed> {
        let repository = cx.world.repository().await?;
        repository.check_signer(cx.world.signing_key()?)?;
        Ok(observed(&repository))
    }
}

fn observed(repository: &Repository) -> Observed {
    let mut facts = Facts::new();
    facts.insert("place".to_owned(), json!(repository.place()));
    facts.insert("repository".to_owned(), json!(repository.id()));
    Observed(facts)
}

fn secret(world: &World) -> Result<&Secret> {
    let settings = world.repository_settings()?;
    settings.secret.as_ref().ok_or_else(|| {
        Error::new(&NOT_CONFIGURED, format!("context `{}` has no `repository.secret`", world.context))
            .hint("Set `secret = \"file:keys/repository.secret\"` in the repository section; `summitctl backup init --new-secret` makes the file.")
    })
}

fn recipients(world: &World) -> Result<Vec<String>> {
    let configured = world.settings.repository.iter();
    let all: Vec<String> = configured
        .flat_map(|r| &r.recipients)
        .map(|r| r.value.clone())
        .collect();
    if all.is_empty() {
        return Err(Error::new(
            &NOT_CONFIGURED,
            format!("context `{}` has no `repository.recipients`: nobody could read its backups", world.context),
        )
        .hint("Make an identity with `age-keygen -o operator.age`, keep it where restores run, and set `recipients = [\"age1…\"]` to the recipient that it prints."));
    }
    Ok(all)
}
