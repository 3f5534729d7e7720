//! `kube.rollout.undo`: a Deployment gets its template of before again, and it is waited until all its pods are of it.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{cluster, refused, soon, space, wait};
use crate::consent::Effect;
use crate::engine::plan::Forecast;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::providers::kubernetes::{self, Ask, Kind, Named, Revision, Rollout, UNSETTLED};
use crate::steps::world::World;

/// Arguments of `kube.rollout.undo`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RolloutUndoArgs {
    /// Of what, as in `deployment/gateway`.
    pub workload: String,
    /// Its namespace; the context's, if it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// From one template to the one before it, each by the ReplicaSet that keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RolloutChange {
    object: Named,
    uid: String,
    from: String,
    to: String,
    pods: i32,
}

/// The replica set whose template is there, as a decisive fact.
const FROM: &str = "from-replica-set";
/// The one whose template is to be there.
const TO: &str = "to-replica-set";

/// The step kind `kube.rollout.undo`.
pub struct RolloutUndo;

#[async_trait]
impl Step<World> for RolloutUndo {
    const KIND: &'static str = "kube.rollout.undo";
    const SUMMARY: &'static str = "Gives a Deployment its template of before again, and waits until all its pods are of it and ready; undone by the template that it had";
    type Args = RolloutUndoArgs;
    type Change = RolloutChange;

    fn effect(&self, _: &RolloutUndoArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &RolloutUndoArgs) -> String {
        format!("roll `{}` back to its template of before", args.workload)
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &RolloutUndoArgs,
    ) -> Result<Decision<RolloutChange>> {
        let (object, seen) = read(cx, args).await?;
        let space = object.namespace.as_str();
        let asks = [
            object.kind.ask("patch", space),
            Ask::named("list", "", "pods", Some(space)),
        ];
        if let Some(blocked) = refused(cluster(cx.world).await?, Self::KIND, &asks).await? {
            return Ok(Decision::Blocked(blocked));
        }
        if seen.paused {
            return Ok(Decision::Blocked(Blocked {
                reason: format!("the rollouts of {object} are paused"),
                hint: format!(
                    "Resume them with `kubectl rollout resume {}/{} -n {space}`.",
                    object.kind.word(),
                    object.name
                ),
            }));
        }
        // Taken up again after a kill: the template of before may be the present one already, and the bad one the one before it.
        if let Some((from, to)) = planned(cx.planned)
            && seen.revisions.first().is_some_and(|r| r.name == to)
        {
            let mut decisive = of(&object, &seen);
            decisive.insert(FROM.to_owned(), json!(from));
            decisive.insert(TO.to_owned(), json!(to));
            let change = RolloutChange {
                from,
                to,
                pods: seen.pods,
                uid: seen.uid,
                object,
            };
            return Ok(Decision::Change {
                change,
                decisive,
                shown: Facts::new(),
            });
        }
        let [from, to, ..] = seen.revisions.as_slice() else {
            return Ok(Decision::Blocked(Blocked {
                reason: format!("{object} has no template of before: no replica set keeps one"),
                hint: "Deploy the version that is wanted.".to_owned(),
            }));
        };
        let Foresight { decisive, shown } = foresight(&object, &seen);
        Ok(Decision::Change {
            change: RolloutChange {
                from: from.name.clone(),
                to: to.name.clone(),
                pods: seen.pods,
                uid: seen.uid.clone(),
                object,
            },
            decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &RolloutUndoArgs) -> Result<Foresight> {
        let (object, seen) = read(cx, args).await?;
        Ok(foresight(&object, &seen))
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &RolloutChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        roll(cx, change, (&change.from, &change.to), &grant).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &RolloutChange) -> Result<Observed> {
        let cluster = cluster(cx.world).await?;
        let seen = kubernetes::rollout(cluster, &change.object, soon()).await?;
        let now = seen.revisions.first();
        if now.is_none_or(|r| r.name != change.to) {
            return Err(kubernetes::changed(format!(
                "{} does not have the template of `{}`",
                change.object, change.to
            )));
        }
        if let Some(why) = kubernetes::settled(cluster, &change.object, seen.pods, soon()).await? {
            return Err(Error::new(&UNSETTLED, format!("{}: {why}", change.object)));
        }
        Ok(Observed::of(json!({
            "workload": change.object.to_string(),
            "images": now.map(|r| &r.images),
        })))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &RolloutChange,
        grant: Grant<'_>,
    ) -> Result<Undo> {
        roll(cx, change, (&change.to, &change.from), &grant).await?;
        Ok(Undo::Done(Observed::of(json!({
            "workload": change.object.to_string(),
            "template-of": change.from,
        }))))
    }
}

async fn roll(
    cx: &ReadCx<'_, World>,
    change: &RolloutChange,
    ways: (&str, &str),
    grant: &Grant<'_>,
) -> Result<()> {
    grant.still_held().await?;
    let cluster = cluster(cx.world).await?;
    let (object, uid) = (&change.object, &change.uid);
    kubernetes::roll_to(cluster, object, uid, ways, grant.consent(), soon()).await?;
    wait(cx, cluster, &[(object, change.pods)]).await
}

async fn read(cx: &ReadCx<'_, World>, args: &RolloutUndoArgs) -> Result<(Named, Rollout)> {
    let cluster = cluster(cx.world).await?;
    let space = space(cluster, args.namespace.as_deref()).await?;
    let object = Named::parse(&args.workload, space, &[Kind::Deployment])?;
    let seen = kubernetes::rollout(cluster, &object, soon()).await?;
    Ok((object, seen))
}

/// The replica sets that the plan named.
fn planned(forecast: Option<&Forecast>) -> Option<(String, String)> {
    let (Forecast::WillChange { decisive, .. } | Forecast::Later { decisive, .. }) = forecast?
    else {
        return None;
    };
    let name = |fact: &str| decisive.get(fact)?.as_str().map(str::to_owned);
    Some((name(FROM)?, name(TO)?))
}

fn of(object: &Named, seen: &Rollout) -> Facts {
    let identity = format!("{object}, UID {}", seen.uid);
    Facts::from_iter([("workload".to_owned(), json!(identity))])
}

/// The template that is there, and the one before it.
fn foresight(object: &Named, seen: &Rollout) -> Foresight {
    let mut decisive = of(object, seen);
    let mut shown = Facts::new();
    if let [from, to, ..] = seen.revisions.as_slice() {
        decisive.insert(FROM.to_owned(), json!(from.name));
        decisive.insert(TO.to_owned(), json!(to.name));
        let said = |r: &Revision| format!("revision {} ({})", r.number, r.images.join(", "));
        shown.insert(
            "roll".to_owned(),
            json!(format!("{} to {}", said(from), said(to))),
        );
    }
    Foresight { decisive, shown }
}
