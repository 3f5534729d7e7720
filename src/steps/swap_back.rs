//! `restore.swap-back`: the Postgres database that a restore retired takes its name back; the restored one stands aside.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::consent::Effect;
use crate::engine::replay::StepState;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::providers::postgres::{self, Counters, SwapState, Writes};

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
    /// `RUN/STEP` of the swap, whose journal holds what the server had counted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapped_by: Option<String>,
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
                    shown: shown(cx, args).await,
                },
                Err(e) => Decision::Blocked(Blocked {
                    reason: e.one_line(),
                    hint: "If the retired database was dropped, restore the safety backup instead; `summitctl backup list` shows it.".to_owned(),
                }),
            },
        )
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &SwapBackArgs) -> Result<Foresight> {
        Ok(Foresight {
            decisive: decisive(args),
            shown: shown(cx, args).await,
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
            ..
        } = change;
        // After half a swap the live name leads elsewhere; the swap itself checks all three names.
        if postgres::swap_state(server, live, aside, retired).await? == SwapState::Swapped {
            cx.world.require_pinned_database(live).await?;
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
        // Its sessions have ended, so that now all that they wrote is counted.
        let written = written(cx, change, &change.aside).await;
        let mut observed = seen(change);
        observed
            .0
            .insert("written-since".to_owned(), json!(written));
        Ok(observed)
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

/// What was written to the restored database, while it is still live; and where it stays.
async fn shown(cx: &ReadCx<'_, World>, args: &SwapBackArgs) -> Facts {
    let written = written(cx, args, &args.live).await;
    Facts::from_iter([
        (
            "written-since-the-restore".to_owned(),
            json!(written.lines()),
        ),
        ("written-since".to_owned(), json!(written)),
        ("which-stay-in".to_owned(), json!(args.aside)),
    ])
}

/// What was written to the restored database, under the name that it has now. An unknown figure is no reason to stay.
async fn written(cx: &ReadCx<'_, World>, args: &SwapBackArgs, name: &str) -> Writes {
    let measured = async {
        let Some(then) = counters(cx.world, args)? else {
            return Ok(Writes::Unknown {
                why: "the restore did not record the server's counters".to_owned(),
            });
        };
        let target = cx.world.postgres()?.with_database(name);
        postgres::writes_since(&target, &then).await
    };
    measured
        .await
        .unwrap_or_else(|e: Error| Writes::Unknown { why: e.one_line() })
}

/// The counters that the swap recorded in its journal.
fn counters(world: &World, args: &SwapBackArgs) -> Result<Option<Counters>> {
    let Some((run, step)) = args
        .swapped_by
        .as_deref()
        .and_then(|key| key.split_once('/'))
    else {
        return Ok(None);
    };
    let (state, _) = world.state.runs().show(run)?;
    let Some(StepState::Ended {
        change: Some(change),
        ..
    }) = state.steps.get(step)
    else {
        return Ok(None);
    };
    serde_json::from_value(change["counters"].clone()).map_err(|e| {
        Error::input(format!(
            "the counters in the journal of run `{run}` cannot be read"
        ))
        .caused_by(e)
    })
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
