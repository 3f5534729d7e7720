//! `restore.swap-back`: the Postgres database that a restore retired takes its name back; the restored one stands aside.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::postgres::{self, SwapState};

use super::restore::DIFFERENT;

/// Arguments of `restore.swap-back`: the names that the restore's swap used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwapBackArgs {
    /// The live database's name.
    pub live: String,
    /// The name under which the restored database stood, and will stand again.
    pub aside: String,
    /// The name under which the old database stands.
    pub retired: String,
}

/// The step kind `restore.swap-back`.
pub struct SwapBack;

#[async_trait]
impl Step<World> for SwapBack {
    const KIND: &'static str = "restore.swap-back";
    const SUMMARY: &'static str = "Takes a Postgres swap back: the retired database gets its name again, and the restored one stands aside with all that was written since";
    const MOST: Effect = Effect::Destroy;
    type Args = SwapBackArgs;
    type Change = SwapBackArgs;

    fn effect(&self, _: &SwapBackArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, args: &SwapBackArgs) -> String {
        format!(
            "swap the retired database back to `{}`; the restored one stays beside it",
            args.live
        )
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &SwapBackArgs,
    ) -> Result<Decision<SwapBackArgs>> {
        let server = cx.world.postgres()?;
        Ok(
            match postgres::swap_state(server, &args.live, &args.aside, &args.retired).await {
                Ok(SwapState::NotSwapped) => Decision::Done(seen(args)),
                Ok(_) => Decision::Change {
                    change: args.clone(),
                    decisive: decisive(args),
                    shown: Facts::new(),
                },
                Err(e) => Decision::Blocked(Blocked {
                    reason: e.one_line(),
                    hint: "If the retired database was dropped, restore the safety backup instead; `summitctl backup list` shows it.".to_owned(),
                }),
            },
        )
    }

    async fn foresee(&self, _: &ReadCx<'_, World>, args: &SwapBackArgs) -> Result<Foresight> {
        Ok(Foresight {
            decisive: decisive(args),
            shown: Facts::new(),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &SwapBackArgs,
        grant: Grant<'_>,
    ) -> Result<()> {
        let server = cx.world.postgres()?;
        let SwapBackArgs {
            live,
            aside,
            retired,
        } = change;
        // After half a swap the live name leads elsewhere; the swap itself checks all three names.
        if postgres::swap_state(server, live, aside, retired).await? == SwapState::Swapped {
            cx.world.require_pinned(Store::Postgres).await?;
        }
        grant.still_held().await?;
        postgres::undo_swap(server, live, aside, retired).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &SwapBackArgs) -> Result<Observed> {
        let server = cx.world.postgres()?;
        let state =
            postgres::swap_state(server, &change.live, &change.aside, &change.retired).await?;
        if state != SwapState::NotSwapped {
            return Err(Error::new(
                &DIFFERENT,
                format!("`{}` is not swapped back: {state:?}", change.live),
            ));
        }
        Ok(seen(change))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &SwapBackArgs,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let server = cx.world.postgres()?;
        postgres::swap_in(server, &change.live, &change.aside, &change.retired).await?;
        Ok(Undo::Done(Observed::of(
            json!({"live": change.live, "retired": change.retired}),
        )))
    }
}

fn decisive(args: &SwapBackArgs) -> Facts {
    Facts::from_iter([
        ("live".to_owned(), json!(args.live)),
        ("back".to_owned(), json!(args.retired)),
    ])
}

fn seen(args: &SwapBackArgs) -> Observed {
    Observed::of(json!({"live": args.live, "aside": args.aside, "was": args.retired}))
}
