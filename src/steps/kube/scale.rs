//! `kube.scale`: workloads are given another number of pods, or the one that they had before, and it is waited until the pods came or
//! went. How many there were is noted on the object, so that it can be scaled back also by who knows nothing of the run.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{cluster, refused, soon, space, wait};
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::providers::kubernetes::{self, Cluster, Kind, Named, ScaleStep, UNSETTLED};
use crate::steps::world::World;

/// What can be scaled.
const KINDS: &[Kind] = &[Kind::Deployment, Kind::StatefulSet];

/// How many pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Replicas {
    /// This many.
    Count(u16),
    /// As many as before `kube.scale` gave them another number.
    Before(Before),
}

/// The word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Before {
    /// As many as before.
    Before,
}

/// Arguments of `kube.scale`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScaleArgs {
    /// What is scaled, as in `deployment/gateway` or `statefulset/worker`.
    pub workloads: Vec<String>,
    /// How many pods each is to have, or `before`: as many as before it was scaled down.
    pub replicas: Replicas,
    /// Their namespace; the context's, if it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// One workload's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    object: Named,
    uid: String,
    from: i32,
    to: i32,
    /// Whether the workload goes back to what it had before, so that the note on it is not needed any more.
    back: bool,
}

impl Scaled {
    fn identity(&self) -> String {
        format!("{}, UID {}", self.object, self.uid)
    }

    fn forward(&self) -> ScaleStep {
        ScaleStep {
            from: self.from,
            to: self.to,
            note: (!self.back).then_some(self.from),
        }
    }

    fn backward(&self) -> ScaleStep {
        ScaleStep {
            from: self.to,
            to: self.from,
            note: self.back.then_some(self.to),
        }
    }
}

/// The step kind `kube.scale`.
pub struct KubeScale;

#[async_trait]
impl Step<World> for KubeScale {
    const KIND: &'static str = "kube.scale";
    const SUMMARY: &'static str = "Gives Deployments and StatefulSets another number of pods, or the one they had before, and waits until the pods came or went; undone by the numbers that were seen";
    type Args = ScaleArgs;
    type Change = Vec<Scaled>;

    fn effect(&self, _: &ScaleArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &ScaleArgs) -> String {
        let names = args.workloads.join("`, `");
        match args.replicas {
            Replicas::Count(n) => format!("scale `{names}` to {n} pods"),
            Replicas::Before(_) => format!("scale `{names}` back to as many pods as before"),
        }
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &ScaleArgs,
    ) -> Result<Decision<Vec<Scaled>>> {
        let cluster = cluster(cx.world).await?;
        let named = named(cluster, args).await?;
        if let Some(blocked) = refused(cluster, Self::KIND, &asks(&named)).await? {
            return Ok(Decision::Blocked(blocked));
        }
        let mut change = Vec::new();
        let mut so = true;
        for object in named {
            let seen = kubernetes::scale(cluster, &object, soon()).await?;
            let (to, back) = match (args.replicas, seen.before) {
                (Replicas::Count(n), _) => (i32::from(n), false),
                (Replicas::Before(_), Some(before)) => (before, true),
                (Replicas::Before(_), None) if seen.now > 0 => (seen.now, true),
                (Replicas::Before(_), None) => {
                    return Ok(Decision::Blocked(Blocked {
                        reason: format!("{object} has no pods, and nothing notes how many it had"),
                        hint: "Give the number as `replicas`.".to_owned(),
                    }));
                }
            };
            if let Some(autoscaler) = &seen.autoscaler
                && seen.now != to
                && seen.now > 0
                && to > 0
            {
                return Ok(Decision::Blocked(Blocked {
                    reason: format!("the autoscaler `{autoscaler}` decides how many pods {object} has, and would set its own number again"),
                    hint: "Change the autoscaler's limits, or scale to 0: there an autoscaler does nothing.".to_owned(),
                }));
            }
            // Half of the step may be done already: then the note says what there was.
            let from = match seen.before {
                Some(before) if seen.now == to && !back => before,
                _ => seen.now,
            };
            so &= seen.now == to && (!back || seen.before.is_none());
            so = so
                && kubernetes::settled(cluster, &object, to, soon())
                    .await?
                    .is_none();
            change.push(Scaled {
                object,
                uid: seen.uid,
                from,
                to,
                back,
            });
        }
        if so {
            return Ok(Decision::Done(Observed::of(observed(&change))));
        }
        let Foresight { mut decisive, .. } = of_identities(&change);
        let steps: Vec<String> = change
            .iter()
            .map(|c| format!("{}: {} to {} pods", c.object, c.from, c.to))
            .collect();
        decisive.insert("scale".to_owned(), json!(steps));
        Ok(Decision::Change {
            shown: Facts::from_iter([("scale".to_owned(), json!(steps))]),
            change,
            decisive,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &ScaleArgs) -> Result<Foresight> {
        let cluster = cluster(cx.world).await?;
        let mut change = Vec::new();
        for object in named(cluster, args).await? {
            let seen = kubernetes::scale(cluster, &object, soon()).await?;
            change.push(Scaled {
                object,
                uid: seen.uid,
                from: seen.now,
                to: seen.now,
                back: false,
            });
        }
        Ok(of_identities(&change))
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &Vec<Scaled>,
        grant: Grant<'_>,
    ) -> Result<()> {
        let cluster = cluster(cx.world).await?;
        for one in change {
            grant.still_held().await?;
            let (object, uid) = (&one.object, &one.uid);
            kubernetes::set_scale(cluster, object, uid, one.forward(), grant.consent(), soon())
                .await?;
        }
        let wanted: Vec<(&Named, i32)> = change.iter().map(|c| (&c.object, c.to)).collect();
        wait(cx, cluster, &wanted).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &Vec<Scaled>) -> Result<Observed> {
        let cluster = cluster(cx.world).await?;
        for one in change {
            if let Some(why) = kubernetes::settled(cluster, &one.object, one.to, soon()).await? {
                return Err(unsettled(&one.object, &why));
            }
        }
        Ok(Observed::of(observed(change)))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &Vec<Scaled>,
        grant: Grant<'_>,
    ) -> Result<Undo> {
        let cluster = cluster(cx.world).await?;
        for one in change {
            grant.still_held().await?;
            let (object, uid) = (&one.object, &one.uid);
            kubernetes::set_scale(
                cluster,
                object,
                uid,
                one.backward(),
                grant.consent(),
                soon(),
            )
            .await?;
        }
        let wanted: Vec<(&Named, i32)> = change.iter().map(|c| (&c.object, c.from)).collect();
        wait(cx, cluster, &wanted).await?;
        let back: Vec<String> = change
            .iter()
            .map(|c| format!("{} has {} pods again", c.object, c.from))
            .collect();
        Ok(Undo::Done(Observed::of(json!({"scaled": back}))))
    }
}

async fn named(cluster: &Cluster, args: &ScaleArgs) -> Result<Vec<Named>> {
    let space = space(cluster, args.namespace.as_deref()).await?;
    if args.workloads.is_empty() {
        return Err(Error::input("`kube.scale` needs at least one workload"));
    }
    let mut all: Vec<Named> = Vec::new();
    for text in &args.workloads {
        let named = Named::parse(text, space, KINDS)?;
        if all.contains(&named) {
            return Err(Error::input(format!("{named} is named twice")));
        }
        all.push(named);
    }
    Ok(all)
}

fn asks(named: &[Named]) -> Vec<kubernetes::Ask> {
    let mut asks = Vec::new();
    for object in named {
        let space = object.namespace.as_str();
        asks.push(object.kind.ask("patch", space));
        asks.push(kubernetes::Ask::named("list", "", "pods", Some(space)));
    }
    asks.sort();
    asks.dedup();
    asks
}

/// Which objects they are: known before anything is changed.
fn of_identities(change: &[Scaled]) -> Foresight {
    let identities: Vec<String> = change.iter().map(Scaled::identity).collect();
    Foresight {
        decisive: Facts::from_iter([("workloads".to_owned(), json!(identities))]),
        shown: Facts::new(),
    }
}

fn observed(change: &[Scaled]) -> serde_json::Value {
    let all: Vec<_> = change
        .iter()
        .map(|c| json!({"workload": c.object.to_string(), "pods": c.to, "before": c.from}))
        .collect();
    json!({"workloads": all})
}

fn unsettled(object: &Named, why: &str) -> Error {
    Error::new(&UNSETTLED, format!("{object}: {why}"))
}
