//! Neo4j on a scratch server: over Bolt, as `restore` does it, or large graphs more quickly by neo4j-admin's import before
//! the server starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{AS_RESTORE, Loading, Scratch, differences, expected, phase};
use crate::capture::{PartInfo, PartSource as _};
use crate::engine::step::ReadCx;
use crate::error::Result;
use crate::identity::Store;
use crate::providers::neo4j::{self, import};
use crate::repository::BackupParts;
use crate::sandbox::servers::neo4j as server;
use crate::steps::world::World;
use crate::steps::{cross, offline};
use crate::wait::Deadline;

/// With fewer nodes and relationships, Bolt is done before Java has started for the import (measured: some 4 s).
const IMPORT_FROM: u64 = 100_000;

/// The database of a scratch server.
const GRAPH: &str = "neo4j";

pub(super) async fn prove(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    dir: &Path,
    loading: &Loading,
    phases: &mut BTreeMap<String, f64>,
) -> Result<Scratch> {
    let key = source.fingerprint_key();
    let options = neo4j::RestoreOptions {
        key: key.clone(),
        events: cx.events.clone(),
        cancel: cx.cancel.clone(),
    };
    let expected = expected(source, Store::Neo4j);
    let rows: u64 = expected.values().map(|f| f.rows).sum();
    let size = server::Options::default();
    if loading.quickest()
        && let Some(dump) = offline::dump_of(source)
    {
        return prove_dump(cx, source, dir, &dump, phases).await;
    }
    let staged = if loading.quickest() && rows >= IMPORT_FROM {
        phase(phases, "load", import(source, dir, &size, &options)).await?
    } else {
        None
    };
    let loaded = match &staged {
        None => AS_RESTORE.to_owned(),
        Some(staged) => format!(
            "by `neo4j-admin database import`, and {} nodes' properties and {} relationships over Bolt",
            staged.patched_nodes, staged.patched_relationships
        ),
    };
    let running = phase(phases, "start", server::start(dir, &size)).await?;
    let target = running.target();
    let _turn = loading.turn().await;
    let restored = phase(phases, "load", async {
        match staged {
            Some(staged) => import::complete(&target, staged, &options).await,
            None => neo4j::restore(&target, source, &options).await,
        }
    })
    .await?;
    let measuring = neo4j::fingerprints(&target, &key, Some(&restored.id_map), cx.world.jobs);
    let measured = phase(phases, "compare", measuring).await?;
    let named = match differences(&expected, &measured).is_empty() {
        true => Vec::new(),
        false => neo4j::survey(&target, source, Some(&restored.id_map), cx.world.jobs).await?,
    };
    let (version, answers) = asked(cx, &target).await?;
    Ok(Scratch {
        version,
        loaded,
        expected,
        measured,
        named,
        notes: restored.notes,
        answers,
    })
}

/// The version of a scratch server, and its answers to the questions across the stores.
async fn asked(
    cx: &ReadCx<'_, World>,
    target: &neo4j::Target,
) -> Result<(String, Vec<cross::Answer>)> {
    let answers = cross::ask(cx.world, cross::Restored::Neo4j(target)).await;
    let soon = Deadline::after(Duration::from_secs(15));
    Ok((neo4j::ping(target, soon).await?.version, answers))
}

/// Loads the dump that an offline backup holds; the rows beside it are what it must come to.
async fn prove_dump(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    dir: &Path,
    (part, database): &(PartInfo, String),
    phases: &mut BTreeMap<String, f64>,
) -> Result<Scratch> {
    let size = server::Options::default();
    phase(phases, "load", async {
        let offline = server::offline(dir, &size).await?;
        let mut dump = source.open(&part.name).await?;
        let loading = offline.load_from(dump.as_mut(), GRAPH);
        cx.cancel.guard(loading).await
    })
    .await?;
    let running = phase(phases, "start", server::start(dir, &size)).await?;
    let target = running.target();
    let key = source.fingerprint_key();
    let measuring = neo4j::fingerprints_of_load(&target, &key, database, cx.world.jobs);
    let measured = phase(phases, "compare", measuring).await?;
    let expected = expected(source, Store::Neo4j);
    let named = match differences(&expected, &measured).is_empty() {
        true => Vec::new(),
        false => neo4j::survey(&target, source, None, cx.world.jobs).await?,
    };
    let (version, answers) = asked(cx, &target).await?;
    Ok(Scratch {
        version,
        loaded: "by `neo4j-admin database load`, from the dump".to_owned(),
        expected,
        measured,
        named,
        notes: Vec::new(),
        answers,
    })
}

/// Loads the backup into the database files of a server that does not run yet; `None` if they cannot be loaded so.
async fn import(
    source: &BackupParts,
    dir: &Path,
    size: &server::Options,
    options: &neo4j::RestoreOptions,
) -> Result<Option<import::Staged>> {
    let offline = server::offline(dir, size).await?;
    let folder = offline.folder("import")?;
    let Some(staged) = import::stage(source, &folder, import::GROUPS, options).await? else {
        return Ok(None);
    };
    options
        .cancel
        .guard(offline.admin(staged.folder(), &staged.arguments()))
        .await?;
    staged.remove_files()?;
    Ok(Some(staged))
}
