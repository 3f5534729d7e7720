//! `restore.mend-neo4j`: the lock of neo4j-migrations that came back with a backup is cleared in what was restored, after it was
//! compared: its holder is nowhere, and the next migration would be refused.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mend::{Finding, NOT_MENDED};
use super::restore::source;
use super::stores::captured;
use super::world::World;
use crate::capture::Trouble;
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::neo4j::migrations::{self, GraphLock, LockNode};
use crate::repository::{BackupId, BackupParts};

/// Arguments of `restore.mend-neo4j`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MendGraphArgs {
    /// The backup.
    pub backup: BackupId,
    /// The context whose repository holds the backup, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// The lock that is cleared.
#[derive(Debug, Serialize, Deserialize)]
pub struct MendGraphChange {
    database: String,
    nodes: Vec<LockNode>,
}

/// The step kind `restore.mend-neo4j`.
pub struct MendGraph;

/// What is said of a lock that is still there.
pub fn findings(lock: Option<&GraphLock>, context: &str) -> Vec<Finding> {
    let held = lock.filter(|l| !l.nodes.is_empty());
    held.into_iter()
        .flat_map(|lock| lock.nodes.iter().map(move |n| (lock, n)))
        .map(|(lock, node)| Finding {
            kind: "locks",
            what: node.trouble(&lock.database).words(),
            next: Some(format!(
                "summitctl migrate lock clear --lock '{}' --context {context}",
                lock.id
            )),
        })
        .collect()
}

/// The locks that the backup notes, as people read them; `None` if nobody looked.
pub fn noted(source: &BackupParts) -> Result<Option<Vec<Trouble>>> {
    Ok(captured(source, Store::Neo4j)?.troubles.clone())
}

fn clearing(trouble: &Trouble) -> String {
    format!("clear it, if it is as it was captured: {}", trouble.words())
}

#[async_trait]
impl Step<World> for MendGraph {
    const KIND: &'static str = "restore.mend-neo4j";
    const SUMMARY: &'static str =
        "Clears in a restored Neo4j the lock of neo4j-migrations that its backup brought along";
    const MOST: Effect = Effect::Destroy;
    type Args = MendGraphArgs;
    type Change = MendGraphChange;

    fn effect(&self, _: &MendGraphArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, _: &MendGraphArgs) -> String {
        "mend locks in the restored Neo4j, after it was compared".to_owned()
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &MendGraphArgs,
    ) -> Result<Decision<MendGraphChange>> {
        let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
        let noted = noted(&source)?;
        let lock = migrations::lock(cx.world.neo4j()?).await?;
        let Some(lock) = lock.filter(|l| !l.nodes.is_empty()) else {
            return Ok(Decision::Done(Observed::of(
                json!({"mended": [], "findings": []}),
            )));
        };
        let captured = |node: &LockNode| {
            let key = |t: &Trouble| match t {
                Trouble::Lock { key, .. } => Some(key.clone()),
                Trouble::Sequence { .. } | Trouble::Index { .. } => None,
            };
            let own = key(&node.trouble(&lock.database));
            noted
                .as_ref()
                .is_none_or(|all| all.iter().any(|t| key(t) == own))
        };
        let nodes: Vec<LockNode> = lock.nodes.iter().filter(|n| captured(n)).cloned().collect();
        if nodes.is_empty() {
            return Ok(Decision::Done(Observed::of(
                json!({"mended": [], "findings": findings(Some(&lock), &cx.world.context)}),
            )));
        }
        if !lock.clients.is_empty() {
            return Ok(Decision::Blocked(Blocked {
                reason: format!(
                    "a client of {} is connected, and may hold the lock: {}",
                    migrations::TOOL,
                    lock.observations.join("; ")
                ),
                hint: "Stop it where it runs, then go on with `summitctl run resume`.".to_owned(),
            }));
        }
        let lines: Vec<String> = nodes
            .iter()
            .map(|n| clearing(&n.trouble(&lock.database)))
            .collect();
        Ok(Decision::Change {
            decisive: decisive(noted.as_ref()),
            shown: Facts::from_iter([("mends".to_owned(), json!(lines))]),
            change: MendGraphChange {
                database: lock.database,
                nodes,
            },
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &MendGraphArgs) -> Result<Foresight> {
        let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
        let noted = noted(&source)?;
        let lines: Vec<String> = match &noted {
            None => vec!["the backup does not say whether the lock was held: whatever is found, which the evidence will list".to_owned()],
            Some(all) if all.is_empty() => vec!["the backup notes no lock that was held".to_owned()],
            Some(all) => all.iter().map(clearing).collect(),
        };
        Ok(Foresight {
            decisive: decisive(noted.as_ref()),
            shown: Facts::from_iter([("mends".to_owned(), json!(lines))]),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &MendGraphChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        cx.world.require_place(Store::Neo4j).await?;
        grant.still_held().await?;
        migrations::free(cx.world.neo4j()?, &change.nodes, grant.consent()).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &MendGraphChange) -> Result<Observed> {
        let target = cx.world.neo4j()?;
        let now = migrations::lock(target).await?;
        let nodes = now.as_ref().map_or(&[][..], |l| &l.nodes);
        if let Some(left) = nodes.iter().find(|n| change.nodes.contains(n)) {
            let what = left.trouble(&change.database).words();
            return Err(Error::new(
                &NOT_MENDED,
                format!("in `{}` {what}", change.database),
            ));
        }
        if nodes.is_empty() {
            migrations::prove_takeable(target, &change.nodes).await?;
        }
        let mended = change.nodes.iter().map(|n| n.trouble(&change.database));
        let mended: Vec<String> = mended.map(|t| format!("cleared: {}", t.words())).collect();
        Ok(Observed::of(json!({
            "database": change.database,
            "mended": mended,
            "before": change.nodes,
            "compared": "this was changed after the comparison with the backup, and differs from it now",
            "findings": findings(now.as_ref(), &cx.world.context),
        })))
    }

    async fn undo(
        &self,
        _: &ApplyCx<'_, World>,
        change: &MendGraphChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        Ok(Undo::Kept(format!(
            "the lock in `{}` stays free: written again, it would name a holder who does not hold it",
            change.database
        )))
    }
}

fn decisive(noted: Option<&Vec<Trouble>>) -> Facts {
    Facts::from_iter([("noted".to_owned(), json!(noted))])
}
