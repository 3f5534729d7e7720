//! `runbook`: gathers what the steps of another runbook saw, once they have ended.
//!
//! The steps themselves are put into the plan before it, see [`crate::runbook::expand`].

use async_trait::async_trait;

use super::world::World;
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::runbook::{CallArgs, RUNBOOK};

/// The step kind `runbook`.
pub struct SubRunbook;

#[async_trait]
impl Look<World> for SubRunbook {
    const KIND: &'static str = RUNBOOK;
    const SUMMARY: &'static str = "Stands for all steps of another runbook, pinned by its digest; what its step `x` saw is `result.x`";
    type Args = CallArgs;

    fn title(&self, args: &CallArgs) -> String {
        format!("ends runbook `{}`", args.runbook)
    }

    async fn look(&self, _: &ReadCx<'_, World>, args: &CallArgs) -> Result<Observed> {
        if args.results.is_empty() {
            return Err(Error::bug(format!(
                "runbook `{}` was not put into the plan",
                args.runbook
            )));
        }
        Ok(Observed(args.results.clone()))
    }
}
