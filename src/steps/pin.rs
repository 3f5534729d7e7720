//! `context.pin`: records what the context's targets are, after planting a marker in those that have none.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::config::pins::PinState;
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::identity::{Identity, Store};

/// Arguments of `context.pin`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PinArgs {
    /// Only these stores; all that the context has if empty.
    #[serde(default)]
    pub stores: Vec<Store>,
    /// Replace a pin that names another target: an act of destroy level.
    #[serde(default)]
    pub replace: bool,
}

/// What will be pinned.
#[derive(Debug, Serialize, Deserialize)]
pub struct PinChange {
    stores: Vec<PinnedStore>,
    replace: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct PinnedStore {
    seen: Identity,
    marker: String,
}

/// The step kind `context.pin`.
pub struct Pin;

#[async_trait]
impl Step<World> for Pin {
    const KIND: &'static str = "context.pin";
    const SUMMARY: &'static str =
        "Records what the context's targets are, so that no other target is ever changed";
    const MOST: Effect = Effect::Destroy;
    type Args = PinArgs;
    type Change = PinChange;

    fn effect(&self, args: &PinArgs) -> Effect {
        if args.replace {
            Effect::Destroy
        } else {
            Effect::Change
        }
    }

    fn title(&self, _: &PinArgs) -> String {
        "pin the targets".to_owned()
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &PinArgs) -> Result<Decision<PinChange>> {
        let pins = cx.world.pins()?;
        let mut stores = Vec::new();
        let mut decisive = Facts::new();
        let mut pinned = Facts::new();
        for store in cx.world.stores(&args.stores)? {
            let seen = cx.world.identify(store).await?;
            match pins.compare(&seen) {
                PinState::Same => {
                    pinned.insert(store.name().to_owned(), json!(seen.facts));
                    continue;
                }
                PinState::Different(differences) if !args.replace => {
                    return Err(cx.world.wrong_target(store, &differences));
                }
                PinState::Different(_) | PinState::Unpinned => {}
            }
            let marker = cx.world.marker(&seen)?.cloned();
            let marker = marker.unwrap_or_else(|| format!("{}-{}", cx.run, store.name()));
            let facts = seen.clone().without_markers().facts;
            decisive.insert(store.name().to_owned(), json!(facts));
            stores.push(PinnedStore { seen, marker });
        }
        if stores.is_empty() {
            return Ok(Decision::Done(Observed(pinned)));
        }
        let change = PinChange {
            stores,
            replace: args.replace,
        };
        Ok(Decision::Change {
            change,
            decisive,
            shown: Facts::new(),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &PinChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        for planned in &change.stores {
            grant.still_held().await?;
            let store = planned.seen.store;
            let before = cx.world.identify(store).await?;
            if before.clone().without_markers() != planned.seen.clone().without_markers() {
                let differences = planned.seen.differences(&before);
                return Err(cx.world.wrong_target(store, &differences));
            }
            cx.world.plant_marker(store, &planned.marker).await?;
            let now = cx.world.identify(store).await?;
            let mut pins = cx.world.pins()?;
            if change.replace {
                pins.replace(now)?
            } else {
                pins.save(now)?
            }
        }
        Ok(())
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, _: &PinChange, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Kept(
            "a pin only records what the targets are".to_owned(),
        ))
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &PinChange) -> Result<Observed> {
        let mut facts = Facts::new();
        for planned in &change.stores {
            let seen = cx.world.require_pinned(planned.seen.store).await?;
            if cx.world.marker(&seen)? != Some(&planned.marker) {
                return Err(Error::bug(format!(
                    "the marker of {} is not the planted one",
                    planned.seen.store
                )));
            }
            facts.insert(planned.seen.store.name().to_owned(), json!(seen.facts));
        }
        Ok(Observed(facts))
    }
}
