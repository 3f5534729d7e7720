//! `kube.set`: annotations of an object, or keys of a ConfigMap, are set or removed: a maintenance flag, the role of a service account.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{cluster, refused, soon, space};
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::providers::kubernetes::{self, Found, Kind, Named, changed};
use crate::steps::world::World;

/// What can be set something of.
const KINDS: &[Kind] = &[
    Kind::ServiceAccount,
    Kind::ConfigMap,
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::CronJob,
];

/// Values by name; none for what is to be absent.
type Values = BTreeMap<String, Option<String>>;

/// Arguments of `kube.set`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SetArgs {
    /// Of what, as in `serviceaccount/gateway` or `configmap/flags`.
    pub object: String,
    /// Annotations to set, or to remove if null.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Values,
    /// Keys of a ConfigMap to set, or to remove if null.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: Values,
    /// Its namespace; the context's, if it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What is there, or is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    annotations: Values,
    data: Values,
}

impl Held {
    fn of(found: &Found, like: &Held) -> Held {
        let text = |map: &Value, name: &str| map[name].as_str().map(str::to_owned);
        let annotations = like.annotations.keys();
        let data = like.data.keys();
        Held {
            annotations: annotations
                .map(|n| (n.clone(), found.annotations.get(n).cloned()))
                .collect(),
            data: data
                .map(|n| (n.clone(), text(&found.document["data"], n)))
                .collect(),
        }
    }

    /// The merge patch that makes it so.
    fn patch(&self) -> Value {
        let mut patch = json!({"metadata": {"annotations": self.annotations}});
        if !self.data.is_empty() {
            patch["data"] = json!(self.data);
        }
        patch
    }

    /// One line for each value that differs.
    fn changes(&self, to: &Held) -> Vec<String> {
        let shown = |v: &Option<String>| {
            v.as_ref()
                .map_or("nothing".to_owned(), |v| format!("`{v}`"))
        };
        let of = |what: &str, from: &Values, to: &Values| -> Vec<String> {
            let pairs = from
                .iter()
                .zip(to.values())
                .filter(|((_, from), to)| from != to);
            pairs
                .map(|((name, from), to)| {
                    format!("{what} `{name}`: {} to {}", shown(from), shown(to))
                })
                .collect()
        };
        let mut all = of("annotation", &self.annotations, &to.annotations);
        all.extend(of("key", &self.data, &to.data));
        all
    }
}

/// A change of one object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetChange {
    object: Named,
    uid: String,
    from: Held,
    to: Held,
}

/// The step kind `kube.set`.
pub struct KubeSet;

#[async_trait]
impl Step<World> for KubeSet {
    const KIND: &'static str = "kube.set";
    const SUMMARY: &'static str = "Sets or removes annotations of an object, or keys of a ConfigMap, such as a maintenance flag; undone by the values that were seen";
    type Args = SetArgs;
    type Change = SetChange;

    fn effect(&self, _: &SetArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &SetArgs) -> String {
        let names: Vec<&str> = args
            .annotations
            .keys()
            .chain(args.data.keys())
            .map(String::as_str)
            .collect();
        format!("set `{}` of `{}`", names.join("`, `"), args.object)
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &SetArgs) -> Result<Decision<SetChange>> {
        let (object, found, to) = read(cx, args).await?;
        let cluster = cluster(cx.world).await?;
        let asks = [object.kind.ask("patch", &object.namespace)];
        if let Some(blocked) = refused(cluster, Self::KIND, &asks).await? {
            return Ok(Decision::Blocked(blocked));
        }
        let from = Held::of(&found, &to);
        let changes = from.changes(&to);
        if changes.is_empty() {
            return Ok(Decision::Done(Observed::of(
                json!({"object": object.to_string()}),
            )));
        }
        let Foresight { mut decisive, .. } = foresight(&object, &found);
        decisive.insert("set".to_owned(), json!(changes));
        Ok(Decision::Change {
            change: SetChange {
                object,
                uid: found.uid,
                from,
                to,
            },
            decisive,
            shown: Facts::from_iter([("set".to_owned(), json!(changes))]),
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &SetArgs) -> Result<Foresight> {
        let (object, found, _) = read(cx, args).await?;
        Ok(foresight(&object, &found))
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &SetChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        put(cx.world, change, &change.from, &change.to, &grant).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &SetChange) -> Result<Observed> {
        let found = kubernetes::find(cluster(cx.world).await?, &change.object, soon()).await?;
        let left = Held::of(&found, &change.to).changes(&change.to);
        if !left.is_empty() {
            return Err(changed(format!("{}: {}", change.object, left.join("; "))));
        }
        Ok(Observed::of(json!({
            "object": change.object.to_string(),
            "set": change.from.changes(&change.to),
        })))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &SetChange,
        grant: Grant<'_>,
    ) -> Result<Undo> {
        grant.still_held().await?;
        put(cx.world, change, &change.to, &change.from, &grant).await?;
        Ok(Undo::Done(Observed::of(json!({
            "object": change.object.to_string(),
            "set": change.to.changes(&change.from),
        }))))
    }
}

/// Only from what was shown, or what is so already.
async fn put(
    world: &World,
    change: &SetChange,
    from: &Held,
    to: &Held,
    grant: &Grant<'_>,
) -> Result<()> {
    let cluster = cluster(world).await?;
    let (object, uid) = (&change.object, &change.uid);
    kubernetes::change(cluster, object, uid, grant.consent(), soon(), |found| {
        let now = Held::of(found, to);
        if now == *to {
            return Ok(None);
        }
        if now != *from {
            let other = from.changes(&now).join("; ");
            return Err(changed(format!("{object} is not as it was shown: {other}")));
        }
        Ok(Some(to.patch()))
    })
    .await
}

async fn read(cx: &ReadCx<'_, World>, args: &SetArgs) -> Result<(Named, Found, Held)> {
    let cluster = cluster(cx.world).await?;
    let space = space(cluster, args.namespace.as_deref()).await?;
    let object = Named::parse(&args.object, space, KINDS)?;
    if args.annotations.is_empty() && args.data.is_empty() {
        return Err(Error::input(
            "`kube.set` needs `annotations`, or `data` of a ConfigMap",
        ));
    }
    if !args.data.is_empty() && object.kind != Kind::ConfigMap {
        return Err(Error::input(format!(
            "{object} is no ConfigMap, and has no `data`"
        )));
    }
    let found = kubernetes::find(cluster, &object, soon()).await?;
    let to = Held {
        annotations: args.annotations.clone(),
        data: args.data.clone(),
    };
    Ok((object, found, to))
}

fn foresight(object: &Named, found: &Found) -> Foresight {
    let facts = Map::from_iter([(
        "object".to_owned(),
        json!(format!("{object}, UID {}", found.uid)),
    )]);
    Foresight {
        decisive: facts,
        shown: Facts::new(),
    }
}
