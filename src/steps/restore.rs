//! `restore.swap`: restored data in the place of the live data.
//!
//! The Postgres database that `restore.load` made beside the live one is swapped in by two renames in one transaction; the old
//! database stays. Redis and Neo4j Community have no place beside, so their contents are replaced, and the safety backup taken
//! before is the way back.

mod in_redis;

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mend_graph;
use super::offline::{self, Stopped};
use super::stores::{differences, expected};
use super::world::World;
use crate::capture::{Fingerprint, PartSource as _, Trouble};
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::{neo4j, postgres, redis};
use crate::reasons;
use crate::repository::{BackupId, BackupParts, State};
use crate::time::Instant;

reasons! {
    /// What came back is not what was captured.
    DIFFERENT = "restore.different", Failed,
        "What was loaded is not what was captured; the message names the parts. The live data were not touched by `restore.load`; a failed \
         `restore.swap` of Redis or Neo4j is taken back by restoring the safety backup.";
}

pub(super) fn equal(differences: &[String], what: &str) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let mut shown: Vec<&str> = differences.iter().take(10).map(String::as_str).collect();
    let more = format!("and {} more", differences.len() - shown.len());
    if differences.len() > shown.len() {
        shown.push(&more);
    }
    Err(
        Error::new(&DIFFERENT, format!("{what} is not what was captured"))
            .caused_by(shown.join("; ")),
    )
}

/// Arguments of `restore.swap`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwapArgs {
    /// The store.
    pub store: Store,
    /// The backup.
    pub backup: BackupId,
    /// The context whose repository holds the backup, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Postgres: the database that `restore.load` made.
    #[serde(default)]
    pub aside: Option<String>,
    /// Postgres: the database whose place it takes; the context's only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    /// Redis: what becomes of the keys that are there. Without it, everything is replaced, beside and by exchange where
    /// that can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<redis::Replace>,
    /// Neo4j: stopped, and loaded from the dump that the backup holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
}

/// What will take the place of the live data.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "kebab-case")]
pub enum SwapChange {
    /// Two renames.
    Postgres {
        /// The live database's name.
        live: String,
        /// The restored database's name.
        aside: String,
        /// The name under which the old one stays.
        retired: String,
        /// What the server had counted of the load when it was over: later writes are counted from there. Absent if it
        /// could not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counters: Option<postgres::Counters>,
        /// The number under which the server knows the restored database.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oid: Option<i64>,
    },
    /// Keys are replaced or added.
    Redis {
        /// The backup.
        backup: BackupId,
        /// The context whose repository holds it, if it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// What becomes of the keys that are there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<redis::Replace>,
    },
    /// Everything is replaced.
    Neo4j {
        /// The backup.
        backup: BackupId,
        /// The context whose repository holds it, if it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// Where the restore keeps which old node is which new one.
        map: PathBuf,
    },
    /// Everything is replaced by a dump, while the server is stopped.
    Neo4jOffline {
        /// The backup.
        backup: BackupId,
        /// The context whose repository holds it, if it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// The server, as it was before.
        stopped: Stopped,
    },
}

/// The step kind `restore.swap`.
pub struct Swap;

#[async_trait]
impl Step<World> for Swap {
    const KIND: &'static str = "restore.swap";
    const SUMMARY: &'static str = "Puts restored data in the place of the live data: Postgres by rename, Redis and Neo4j by replacing their contents";
    const MOST: Effect = Effect::Destroy;
    type Args = SwapArgs;
    type Change = SwapChange;

    fn effect(&self, _: &SwapArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, args: &SwapArgs) -> String {
        match (args.store, &args.live) {
            (Store::Postgres, Some(live)) => {
                format!("swap the restored `{live}` in; the old one stays beside it")
            }
            (Store::Postgres, None) => {
                "swap the restored Postgres database in; the old one stays beside it".to_owned()
            }
            (Store::Redis, _) if args.keys == Some(redis::Replace::Overwrite) => {
                format!(
                    "overwrite the keys of redis that backup {} has",
                    args.backup
                )
            }
            (Store::Redis, _) if args.keys == Some(redis::Replace::Keep) => {
                format!("add the keys of backup {} that redis lacks", args.backup)
            }
            (store, _) => format!("replace everything in {store} with backup {}", args.backup),
        }
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &SwapArgs) -> Result<Decision<SwapChange>> {
        if args.offline {
            return offline::told(cx, plan_offline(cx, args).await);
        }
        let decisive = facts(cx.world, args.store, &args.backup).await?;
        let change = match args.store {
            Store::Postgres => {
                let aside = args.aside.clone().ok_or_else(|| {
                    Error::input("`restore.swap` of Postgres needs `aside`, the database that `restore.load` made")
                })?;
                let live = cx.world.live_database(args.live.as_deref())?.database;
                let retired = postgres::made_name(&live, "retired", moment(cx.run));
                let counters = counters(cx, &aside).await;
                let oid = postgres::database_oid(cx.world.postgres()?, &aside).await?;
                SwapChange::Postgres {
                    live,
                    aside,
                    retired,
                    counters,
                    oid,
                }
            }
            Store::Redis => SwapChange::Redis {
                backup: args.backup.clone(),
                from: args.from.clone(),
                keys: args.keys,
            },
            Store::Neo4j => {
                let map = work_dir(cx.world, cx.run)?.join(format!("{}-nodes.json", cx.step));
                SwapChange::Neo4j {
                    backup: args.backup.clone(),
                    from: args.from.clone(),
                    map,
                }
            }
        };
        Ok(Decision::Change {
            change,
            decisive,
            shown: Facts::new(),
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &SwapArgs) -> Result<Foresight> {
        let mut shown = Facts::new();
        if args.store == Store::Neo4j {
            let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
            let mut lines = neo4j_replaced(cx.world, &source).await?;
            if args.offline {
                offline::needed_dump(&source)?;
                lines.extend(offline::shown(cx.world)?);
            }
            shown.insert("what-it-replaces".to_owned(), json!(lines));
            let noted = mend_graph::noted(&source)?.unwrap_or_default();
            if !noted.is_empty() {
                let lines: Vec<String> = noted.iter().map(Trouble::words).collect();
                shown.insert("troubles-in-the-backup".to_owned(), json!(lines));
            }
        }
        if args.store == Store::Redis {
            let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
            let lines = in_redis::replaced(cx.world, &source, args.keys).await?;
            shown.insert("what-it-replaces".to_owned(), json!(lines));
            let queues = redis::queues(&source.parts("redis/"));
            if !queues.is_empty() {
                shown.insert("queues".to_owned(), json!(in_redis::quiesce(&queues)));
            }
        }
        let mut decisive = facts(cx.world, args.store, &args.backup).await?;
        if args.offline {
            decisive.extend(offline::foreseen(cx.world)?);
        }
        Ok(Foresight { decisive, shown })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &SwapChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        match change {
            SwapChange::Postgres {
                live,
                aside,
                retired,
                ..
            } => {
                let target = cx.world.postgres()?;
                // After half a swap the live name leads elsewhere; the swap itself checks all three names.
                if postgres::swap_state(target, live, aside, retired).await?
                    == postgres::SwapState::NotSwapped
                {
                    cx.world.require_pinned_database(live).await?;
                }
                postgres::swap_in(target, live, aside, retired).await
            }
            SwapChange::Redis { backup, from, keys } => {
                cx.world.require_place(Store::Redis).await?;
                let source = source(cx.world, backup, from.as_deref()).await?;
                in_redis::replace(cx, &source, *keys).await
            }
            SwapChange::Neo4j { backup, from, map } => {
                cx.world.require_place(Store::Neo4j).await?;
                let source = source(cx.world, backup, from.as_deref()).await?;
                let target = cx.world.neo4j()?;
                neo4j::wipe(target, &cx.events, &cx.cancel).await?;
                let options = neo4j::RestoreOptions {
                    key: source.fingerprint_key(),
                    events: cx.events.clone(),
                    cancel: cx.cancel.clone(),
                };
                let restored = neo4j::restore(target, &source, &options).await?;
                restored
                    .notes
                    .into_iter()
                    .for_each(|note| cx.events.note(note));
                let text = serde_json::to_vec(&restored.id_map)
                    .map_err(|e| Error::bug("an id map does not serialise").caused_by(e))?;
                crate::durable::write_private(map, &text)
            }
            SwapChange::Neo4jOffline {
                backup,
                from,
                stopped,
            } => {
                let loaded = async {
                    // One that a killed run left stopped cannot be asked; it was, before it was stopped.
                    if !offline::is_noted(cx)? {
                        cx.world.require_place(Store::Neo4j).await?;
                    }
                    let source = source(cx.world, backup, from.as_deref()).await?;
                    offline::load(cx, stopped, &source).await
                };
                let loaded = Box::pin(loaded).await;
                Box::pin(offline::or_back(cx, loaded)).await
            }
        }
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &SwapChange) -> Result<Observed> {
        match change {
            SwapChange::Postgres {
                live,
                aside,
                retired,
                ..
            } => {
                let state =
                    postgres::swap_state(cx.world.postgres()?, live, aside, retired).await?;
                if state != postgres::SwapState::Swapped {
                    return Err(Error::new(
                        &DIFFERENT,
                        format!("`{aside}` has not taken the place of `{live}`: {state:?}"),
                    ));
                }
                Ok(Observed::of(json!({
                    "live": live, "retired": retired, "was": aside,
                    "reconnect": "Pools, replicas and workers that were connected must reconnect; their old sessions were ended.",
                })))
            }
            SwapChange::Redis { backup, from, keys } => {
                let source = source(cx.world, backup, from.as_deref()).await?;
                if let Some(keys) = keys.filter(|keys| keys.keeps_others()) {
                    let options = in_redis::options_of(cx, &source);
                    let seen = redis::survey(cx.world.redis()?, &source, &options).await?;
                    // Which keys were there before is not known here; the load itself counted them.
                    let kept = match keys {
                        redis::Replace::Keep => u64::MAX,
                        _ => 0,
                    };
                    equal(&seen.lacks(keys, kept), "Redis")?;
                    return Ok(Observed::of(
                        json!({"store": "redis", "kept-different": seen.changed, "others": seen.extra}),
                    ));
                }
                let compared = redis::compare(
                    cx.world.redis()?,
                    &source,
                    &in_redis::options_of(cx, &source),
                )
                .await?;
                let live = |all: &BTreeMap<String, Fingerprint>| -> BTreeMap<String, Fingerprint> {
                    // After an exchange the old data stand in the spare database, which the backup did not hold.
                    all.iter()
                        .filter(|(name, _)| compared.expected.contains_key(*name))
                        .map(|(n, f)| (n.clone(), *f))
                        .collect()
                };
                let mut wrong = differences(&compared.expected, &live(&compared.measured));
                if !wrong.is_empty() {
                    let options = in_redis::options_of(cx, &source);
                    wrong.extend(
                        redis::survey(cx.world.redis()?, &source, &options)
                            .await?
                            .lines,
                    );
                }
                equal(&wrong, "Redis")?;
                let keys: u64 = compared.expected.values().map(|f| f.rows).sum();
                Ok(Observed::of(
                    json!({"store": "redis", "keys": keys, "expired": compared.expired}),
                ))
            }
            SwapChange::Neo4j { backup, from, map } => {
                let source = source(cx.world, backup, from.as_deref()).await?;
                let text = std::fs::read(map).map_err(|e| Error::io("read", map, e))?;
                let map: neo4j::IdMap = serde_json::from_slice(&text).map_err(|e| {
                    Error::input("the map of restored nodes cannot be read").caused_by(e)
                })?;
                let key = source.fingerprint_key();
                let measured =
                    neo4j::fingerprints(cx.world.neo4j()?, &key, Some(&map), cx.world.jobs).await?;
                same_graph(cx.world, &source, Some(&map), &measured).await
            }
            SwapChange::Neo4jOffline { backup, from, .. } => {
                if offline::is_noted(cx)? {
                    return Err(Error::new(
                        &DIFFERENT,
                        "Neo4j was stopped and not brought back",
                    ));
                }
                let source = source(cx.world, backup, from.as_deref()).await?;
                let (_, database) = offline::needed_dump(&source)?;
                let (key, target) = (source.fingerprint_key(), cx.world.neo4j()?);
                let measured =
                    neo4j::fingerprints_of_load(target, &key, &database, cx.world.jobs).await?;
                same_graph(cx.world, &source, None, &measured).await
            }
        }
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &SwapChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        match change {
            SwapChange::Postgres {
                live,
                aside,
                retired,
                oid,
                ..
            } => {
                let target = cx.world.postgres()?;
                let state = postgres::swap_state(target, live, aside, retired).await?;
                let renamed = postgres::SwapState::InBetween { renamed: true };
                if state == postgres::SwapState::Swapped || state == renamed {
                    let here = postgres::database_oid(target, live).await?;
                    if oid.is_some() && here != *oid {
                        return Ok(Undo::Impossible(format!(
                            "`{live}` is no longer the database that this run swapped in: something else took its place since, and stays; the one from before is `{retired}`"
                        )));
                    }
                }
                postgres::undo_swap(target, live, aside, retired).await?;
                Ok(Undo::Done(Observed::of(
                    json!({"live": live, "aside": aside}),
                )))
            }
            SwapChange::Redis { .. } => way_back(cx, Store::Redis).await,
            SwapChange::Neo4j { .. } => way_back(cx, Store::Neo4j).await,
            SwapChange::Neo4jOffline { stopped, .. } => {
                let loaded = Box::pin(offline::load_safety(cx, stopped)).await;
                if let Some(done) = Box::pin(offline::or_back(cx, loaded)).await? {
                    return Ok(done);
                }
                offline::take_back(cx).await?;
                way_back(cx, Store::Neo4j).await
            }
        }
    }
}

async fn same_graph(
    world: &World,
    source: &BackupParts,
    map: Option<&neo4j::IdMap>,
    measured: &BTreeMap<String, Fingerprint>,
) -> Result<Observed> {
    let mut wrong = differences(&expected(source, Store::Neo4j), measured);
    if !wrong.is_empty() {
        wrong.extend(neo4j::survey(world.neo4j()?, source, map, world.jobs).await?);
    }
    equal(&wrong, "Neo4j")?;
    let lock = neo4j::migrations::lock(world.neo4j()?).await?;
    Ok(Observed::of(json!({
        "store": "neo4j",
        "entities": measured.values().map(|f| f.rows).sum::<u64>(),
        "database": lock.as_ref().map(|l| &l.database),
        "findings": mend_graph::findings(lock.as_ref(), &world.context),
    })))
}

async fn plan_offline(cx: &ReadCx<'_, World>, args: &SwapArgs) -> Result<Decision<SwapChange>> {
    if args.store != Store::Neo4j {
        return Err(Error::input(format!(
            "`offline` is for Neo4j, not for {}",
            args.store
        )));
    }
    let stopped = Stopped::of(cx).await?;
    let mut decisive = stopped.decisive();
    if let Some(identity) = decisive.remove("source") {
        decisive.insert("target".to_owned(), identity);
    }
    decisive.insert("backup".to_owned(), json!(args.backup));
    Ok(Decision::Change {
        change: SwapChange::Neo4jOffline {
            backup: args.backup.clone(),
            from: args.from.clone(),
            stopped,
        },
        decisive,
        shown: Facts::new(),
    })
}

/// How much Neo4j holds now, and how much the backup does; both counted.
async fn neo4j_replaced(world: &World, source: &BackupParts) -> Result<Vec<String>> {
    let now = match neo4j::preview(world.neo4j()?).await {
        Ok(now) => format!(
            "`{}` now: {} nodes, {} relationships",
            now.database, now.nodes, now.relationships
        ),
        Err(e) => format!("not measured: {}", e.one_line()),
    };
    let held = expected(source, Store::Neo4j);
    let rows = |part: &str| -> u64 {
        let fitting = held.iter().filter(|(name, _)| name.ends_with(part));
        fitting.map(|(_, f)| f.rows).sum()
    };
    let backup = format!(
        "backup: {} nodes, {} relationships",
        rows("/nodes"),
        rows("/relationships")
    );
    let ids = "element ids change: what keeps them outside of Neo4j must look its nodes up anew";
    Ok(vec![now, backup, ids.to_owned()])
}

/// What the server counted of the load, from where `restore --undo` counts. A restore does not fail for want of it.
async fn counters(cx: &ReadCx<'_, World>, aside: &str) -> Option<postgres::Counters> {
    let target = cx.world.postgres().ok()?.with_database(aside);
    match postgres::counters(&target).await {
        Ok(counters) => Some(counters),
        Err(e) => {
            cx.events.note(format!(
                "writes after the restore will not be counted: {}",
                e.one_line()
            ));
            None
        }
    }
}

/// What was replaced comes back from the run's safety backup only, if it made one.
async fn way_back(cx: &ReadCx<'_, World>, store: Store) -> Result<Undo> {
    let context = &cx.world.context;
    let safety: BackupId = cx.run.parse()?;
    let how = match cx.world.repository().await?.state(&safety).await? {
        State::Complete => format!(
            "the safety backup of this run holds what was there before, so bring it back with `summitctl restore {safety} --confirm {context} --context {context}`"
        ),
        _ => format!(
            "this run made no safety backup, so choose a backup from `summitctl backup list --context {context}` and restore it"
        ),
    };
    Ok(Undo::Impossible(format!(
        "{store} was emptied or replaced, in part or whole; {how}"
    )))
}

/// What a restore's consent rests on: which target, which backup.
pub(super) async fn facts(world: &World, store: Store, backup: &BackupId) -> Result<Facts> {
    // The markers and the database's inner name change with the swap itself; the pin is checked before each effect.
    let identity = world.identify(store).await?.without_markers().facts;
    Ok(Facts::from_iter([
        ("target".to_owned(), json!(identity)),
        ("backup".to_owned(), json!(backup)),
    ]))
}

pub(super) async fn source(
    world: &World,
    backup: &BackupId,
    from: Option<&str>,
) -> Result<BackupParts> {
    let repository = match from {
        None => world.readable_repository().await?,
        Some(context) => world.other(context).await?.readable_repository().await?,
    };
    repository.source(backup).await
}

pub(super) fn work_dir(world: &World, run: &str) -> Result<PathBuf> {
    let dir = world.state.runs().folder(run);
    std::fs::create_dir_all(&dir).map_err(|e| Error::io("create", &dir, e))?;
    Ok(dir)
}

/// The moment a run's id names, so that names made in a run are the same after a crash.
pub(super) fn moment(run: &str) -> Instant {
    let part = |range: std::ops::Range<usize>| run.get(range).unwrap_or("00");
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    );
    text.parse().unwrap_or_else(|_| Instant::from_millis(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_id_names_its_moment() {
        assert_eq!(
            moment("20261121T030405Z-9f3a").to_string(),
            "2026-11-21T03:04:05.000Z"
        );
        assert_eq!(moment("plan").millis(), 0);
    }
}
