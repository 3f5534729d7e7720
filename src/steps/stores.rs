//! One face for the three datastores: capture, decode, and proof on a scratch server. A new datastore is one arm in each.

#[path = "stores/neo4j.rs"]
mod graph;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::cross;
use super::world::World;
use crate::capture::{
    Captured, Fingerprint, FingerprintKey, PartInfo, PartReader, PartSink, PartSource,
};
use crate::engine::step::ReadCx;
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::{neo4j, postgres, redis};
use crate::repository::{BackupParts, DecodePart};
use crate::sandbox::servers;

/// Where a store is captured.
pub enum Origin<'a> {
    /// Databases of one server.
    Postgres(&'a [postgres::Target]),
    /// A server.
    Neo4j(&'a neo4j::Target),
    /// A server, or any of a cluster.
    Redis(&'a redis::Target),
}

/// Captures a store of the context into a sink. Writes to Neo4j may be held back for as long as `barrier` at a time.
pub async fn capture(
    cx: &ReadCx<'_, World>,
    store: Store,
    sink: &dyn PartSink,
    key: FingerprintKey,
    barrier: Option<Duration>,
) -> Result<Captured> {
    let databases;
    let origin = match store {
        Store::Postgres => {
            databases = cx.world.postgres_databases()?;
            Origin::Postgres(&databases)
        }
        Store::Neo4j => Origin::Neo4j(cx.world.neo4j()?),
        Store::Redis => Origin::Redis(cx.world.redis()?),
    };
    capture_from(cx, &origin, sink, key, barrier).await
}

/// Whether this machine has what a capture of the store needs beside the program.
pub async fn ready(world: &World, store: Store) -> Result<()> {
    match store {
        Store::Postgres => postgres::can_be_dumped(world.postgres()?).await,
        Store::Neo4j | Store::Redis => Ok(()),
    }
}

/// Captures a store into a sink.
pub async fn capture_from(
    cx: &ReadCx<'_, World>,
    origin: &Origin<'_>,
    sink: &dyn PartSink,
    key: FingerprintKey,
    barrier: Option<Duration>,
) -> Result<Captured> {
    let world = cx.world;
    let (jobs, events, cancel) = (world.jobs, cx.events.clone(), cx.cancel.clone());
    match origin {
        Origin::Postgres(databases) => {
            let options = postgres::CaptureOptions {
                key,
                formats: BTreeMap::new(),
                patience: world.patience,
                stretch: postgres::STRETCH,
                jobs,
                events,
                cancel,
            };
            postgres::capture_all(databases, sink, &options).await
        }
        Origin::Neo4j(target) => {
            let options = neo4j::CaptureOptions {
                key,
                jobs,
                called: None,
                barrier,
                events,
                cancel,
            };
            neo4j::capture(target, sink, &options).await
        }
        Origin::Redis(target) => {
            let options = redis::CaptureOptions {
                key,
                jobs,
                events,
                cancel,
            };
            redis::capture(target, sink, &options).await
        }
    }
}

/// The decoders of all stores, by part name.
pub struct Decoders;

#[async_trait]
impl DecodePart for Decoders {
    async fn decode(
        &self,
        info: &PartInfo,
        reader: &mut dyn PartReader,
        key: &FingerprintKey,
    ) -> Result<Option<Fingerprint>> {
        match info.name.split('/').next() {
            Some("postgres") => postgres::decode(info, reader, key).await,
            Some("neo4j") => neo4j::decode(info, reader, key).await,
            Some("redis") => redis::decode(info, reader, key).await,
            _ => Err(Error::input(format!(
                "no datastore of this version decodes part `{}`",
                info.name
            ))),
        }
    }
}

/// What a restore to a scratch server showed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// The store.
    pub store: Store,
    /// The scratch server's version, as it says.
    pub server_version: String,
    /// Parts that were compared.
    pub parts: usize,
    /// Rows that were compared.
    pub rows: u64,
    /// How it was loaded.
    pub loaded: String,
    /// Seconds by phase: `start`, `load`, `compare`, `stop`.
    pub phases: BTreeMap<String, f64>,
    /// Parts that are not what was captured; empty if everything is.
    pub differences: Vec<String>,
    /// What deserves a word.
    pub notes: Vec<String>,
}

impl Proof {
    /// Seconds until the data could be used again: everything but the comparison and the tidying up.
    pub fn recovery_seconds(&self) -> f64 {
        ["start", "load"]
            .iter()
            .filter_map(|p| self.phases.get(*p))
            .sum()
    }
}

/// How scratch servers are loaded.
#[derive(Debug)]
pub enum Loading {
    /// The quickest way there is, several stores at once: the result is compared and removed.
    Quickest,
    /// As `restore` loads a server that stays, one store after the other: what is timed is what a recovery would take.
    AsRestore(Mutex<()>),
}

impl Loading {
    /// As `restore` does it.
    pub fn as_restore() -> Loading {
        Loading::AsRestore(Mutex::new(()))
    }

    /// Waits until no other store is being loaded or compared. Servers may start meanwhile: those of a real recovery run.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self {
            Loading::Quickest => None,
            Loading::AsRestore(turn) => Some(turn.lock().await),
        }
    }

    fn quickest(&self) -> bool {
        matches!(self, Loading::Quickest)
    }
}

const AS_RESTORE: &str = "as `restore` loads it";

/// What a scratch restore is compared on.
struct Scratch {
    version: String,
    loaded: String,
    expected: BTreeMap<String, Fingerprint>,
    measured: BTreeMap<String, Fingerprint>,
    /// What differs inside of parts, where that was looked for.
    named: Vec<String>,
    notes: Vec<String>,
    answers: Vec<cross::Answer>,
}

/// A proof, and what the restored server said meanwhile.
pub struct Proved {
    /// The proof.
    pub proof: Proof,
    /// When the last row was compared.
    pub compared: Instant,
    /// What it answered to the context's cross-store checks.
    pub answers: Vec<cross::Answer>,
}

/// Restores a store from a backup to a scratch server in `dir`, compares every part that has a fingerprint, and removes
/// the server and its data whatever happened.
pub async fn prove(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    store: Store,
    dir: &Path,
    loading: &Loading,
) -> Result<Proved> {
    let mut phases = BTreeMap::new();
    wipe(store, dir).await?;
    let worked = cx
        .cancel
        .guard(restore_and_measure(
            cx,
            source,
            store,
            dir,
            loading,
            &mut phases,
        ))
        .await;
    let began = Instant::now();
    let stopped = wipe(store, dir).await;
    let scratch = worked?;
    stopped?;
    phases.insert("stop".to_owned(), began.elapsed().as_secs_f64());
    let mut differences = differences(&scratch.expected, &scratch.measured);
    differences.extend(scratch.named);
    let proof = Proof {
        store,
        server_version: scratch.version,
        loaded: scratch.loaded,
        parts: scratch.expected.len(),
        rows: scratch.expected.values().map(|f| f.rows).sum(),
        phases,
        differences,
        notes: scratch.notes,
    };
    Ok(Proved {
        proof,
        compared: began,
        answers: scratch.answers,
    })
}

/// Stops the scratch server of `dir`, if one is ours, and removes its data.
pub async fn wipe(store: Store, dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    match store {
        Store::Postgres => servers::postgres::stop(dir).await?,
        Store::Neo4j => servers::neo4j::stop(dir).await?,
        Store::Redis => servers::redis::stop(dir).await?,
    }
    std::fs::remove_dir_all(dir).map_err(|e| Error::io("remove", dir, e))
}

async fn restore_and_measure(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    store: Store,
    dir: &Path,
    loading: &Loading,
    phases: &mut BTreeMap<String, f64>,
) -> Result<Scratch> {
    match store {
        Store::Postgres => prove_postgres(cx, source, dir, loading, phases).await,
        Store::Neo4j => graph::prove(cx, source, dir, loading, phases).await,
        Store::Redis => prove_redis(cx, source, dir, loading, phases).await,
    }
}

/// Measures one phase, or one more stretch of it.
async fn phase<T>(
    phases: &mut BTreeMap<String, f64>,
    name: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let began = Instant::now();
    let done = work.await;
    // Of several databases each has its turn.
    *phases.entry(name.to_owned()).or_default() += began.elapsed().as_secs_f64();
    done
}

async fn prove_postgres(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    dir: &Path,
    loading: &Loading,
    phases: &mut BTreeMap<String, f64>,
) -> Result<Scratch> {
    let captured = captured(source, Store::Postgres)?;
    let major = captured
        .server_version
        .split('.')
        .next()
        .and_then(|m| m.trim().parse().ok());
    let options = servers::postgres::Options::scratch(major);
    let running = phase(phases, "start", servers::postgres::start(dir, &options)).await?;
    let _turn = loading.turn().await;
    let key = source.fingerprint_key();
    let (jobs, events, cancel) = (cx.world.jobs, cx.events.clone(), cx.cancel.clone());
    let server = running.target();
    let mut notes = Vec::new();
    let mut measured = BTreeMap::new();
    let mut answers = Vec::new();
    let mut named = Vec::new();
    let mut expected = expected(source, Store::Postgres);
    for database in postgres::captured_databases(&source.parts("postgres/")) {
        // One that every server has is there already, and as the server made it.
        let name = match database.as_str() {
            taken @ ("postgres" | "template0" | "template1") => format!("restored_{taken}"),
            free => free.to_owned(),
        };
        let target = server.with_database(&name);
        let restore = postgres::RestoreOptions {
            key: key.clone(),
            jobs,
            share: postgres::SHARE,
            events: events.clone(),
            cancel: cancel.clone(),
            roles: postgres::MissingRoles::Create,
            only: Default::default(),
            throwaway: loading.quickest(),
            work_dir: dir.to_owned(),
        };
        let loaded = phase(phases, "load", async {
            notes.extend(
                postgres::create_database(
                    &server,
                    &name,
                    source,
                    &database,
                    postgres::MissingRoles::Create,
                )
                .await?,
            );
            postgres::restore(&target, source, &database, &restore).await
        })
        .await?;
        notes.extend(loaded.notes);
        let options = postgres::CaptureOptions {
            key: key.clone(),
            formats: postgres_formats(source),
            patience: Default::default(),
            stretch: postgres::STRETCH,
            jobs,
            events: events.clone(),
            cancel: cancel.clone(),
        };
        let measure = postgres::fingerprints_as(&target, &database, &options);
        let mut here = phase(phases, "compare", measure).await?;
        let differ: Vec<&String> = here
            .iter()
            .filter(|(part, sum)| expected.get(*part) != Some(sum))
            .map(|(part, _)| part)
            .collect();
        let survey = postgres::survey_catalogue(
            &target,
            source,
            &database,
            &differ,
            postgres::MissingRoles::Create,
        )
        .await?;
        named.extend(survey.named);
        for (part, why) in survey.excused {
            // Looked at line by line; its sum cannot be equal.
            expected.remove(&part);
            here.remove(&part);
            notes.push(format!("`{part}` is {why}"));
        }
        measured.extend(here);
        if cx
            .world
            .postgres
            .as_ref()
            .is_some_and(|p| p.database == database)
        {
            answers.extend(cross::ask(cx.world, cross::Restored::Postgres(&target)).await);
        }
    }
    let loaded = match loading {
        Loading::Quickest => "without statistics, long values in the quickest compression",
        Loading::AsRestore(_) => AS_RESTORE,
    };
    Ok(Scratch {
        version: running.version,
        loaded: loaded.to_owned(),
        expected,
        measured,
        named,
        notes,
        answers,
    })
}

/// The formats of a backup's Postgres parts: what is compared with it is measured in the same ones.
pub fn postgres_formats(source: &BackupParts) -> BTreeMap<String, String> {
    let parts = source.parts("postgres/");
    parts.into_iter().map(|p| (p.name, p.format)).collect()
}

async fn prove_redis(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    dir: &Path,
    loading: &Loading,
    phases: &mut BTreeMap<String, f64>,
) -> Result<Scratch> {
    let running = phase(
        phases,
        "start",
        servers::redis::start(dir, &servers::redis::Options::scratch()),
    )
    .await?;
    let _turn = loading.turn().await;
    let target = running.target();
    let key = source.fingerprint_key();
    let (jobs, events, cancel) = (cx.world.jobs, cx.events.clone(), cx.cancel.clone());
    let common = redis::CaptureOptions {
        key,
        jobs,
        events,
        cancel,
    };
    let options = redis::RestoreOptions {
        common: common.clone(),
        replace: redis::Replace::Refuse,
        token: format!("{}-{}", cx.run, cx.step),
    };
    let mut restored = phase(phases, "load", redis::restore(&target, source, &options)).await?;
    // Keys go on expiring: both sides are taken as of one moment, measured anew.
    let compared = phase(phases, "compare", redis::compare(&target, source, &common)).await?;
    let differ = !differences(&compared.expected, &compared.measured).is_empty();
    if compared.expired > 0 {
        restored.notes.push(format!(
            "{} keys had expired by the time of the comparison",
            compared.expired
        ));
    }
    let named = match differ {
        true => redis::survey(&target, source, &common).await?.lines,
        false => Vec::new(),
    };
    let version = redis::ping(
        &target,
        crate::wait::Deadline::after(std::time::Duration::from_secs(15)),
    )
    .await?
    .version;
    Ok(Scratch {
        version,
        loaded: AS_RESTORE.to_owned(),
        expected: compared.expected,
        measured: compared.measured,
        named,
        notes: restored.notes,
        answers: Vec::new(),
    })
}

/// What a backup says of a store.
pub fn captured(source: &BackupParts, store: Store) -> Result<&Captured> {
    source.contents().store(store).ok_or_else(|| {
        Error::input(format!(
            "backup `{}` holds no {store}",
            source.contents().backup
        ))
    })
}

/// The fingerprints that a store's parts must have.
pub fn expected(source: &BackupParts, store: Store) -> BTreeMap<String, Fingerprint> {
    let parts = source.parts(&format!("{}/", store.name()));
    parts
        .into_iter()
        .filter_map(|p| Some((p.name, p.fingerprint?)))
        .collect()
}

/// The parts in which what was measured is not what was expected, by name.
pub fn differences(
    expected: &BTreeMap<String, Fingerprint>,
    measured: &BTreeMap<String, Fingerprint>,
) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> =
        expected.keys().chain(measured.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (expected.get(name), measured.get(name)) {
            (Some(e), Some(m)) if e == m => None,
            (Some(e), Some(m)) if e.rows != m.rows => Some(format!(
                "`{name}`: {} rows captured, {} restored",
                e.rows, m.rows
            )),
            (Some(_), Some(m)) => Some(format!(
                "`{name}`: {} rows, but their contents differ",
                m.rows
            )),
            // An empty part may be left out on either side.
            (Some(e), None) if e.rows == 0 => None,
            (None, Some(m)) if m.rows == 0 => None,
            (Some(_), None) => Some(format!("`{name}` is missing from the restored server")),
            (None, Some(_)) => Some(format!(
                "`{name}` is on the restored server and not in the backup"
            )),
            (None, None) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_named() {
        let of = |rows, sum| Fingerprint { rows, sum };
        let expected = BTreeMap::from([
            ("same".to_owned(), of(1, 1)),
            ("fewer".to_owned(), of(2, 2)),
            ("changed".to_owned(), of(3, 3)),
            ("gone".to_owned(), of(4, 4)),
            ("empty".to_owned(), of(0, 0)),
        ]);
        let measured = BTreeMap::from([
            ("same".to_owned(), of(1, 1)),
            ("fewer".to_owned(), of(1, 2)),
            ("changed".to_owned(), of(3, 4)),
            ("new".to_owned(), of(1, 9)),
        ]);
        let found = differences(&expected, &measured);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(
            found[0].contains("contents differ") && found[0].contains("`changed`"),
            "{found:?}"
        );
        assert!(differences(&expected, &expected).is_empty());
    }
}
