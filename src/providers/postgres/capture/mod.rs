//! One database under one exported snapshot: DDL by `pg_dump`, rows by COPY over several connections, sequences, the
//! catalogue and large objects.
//!
//! The order is: list the tables, lock them, then take the snapshot, and list again. A snapshot taken before the locks
//! could miss what a schema change does to a table in between.

mod snapshot;
mod stretch;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::catalogue::{self, Form, Listing};
use super::copy::{Meter, Reading, Shape, copy_out};
use super::enumerate::{self, part_word};
use super::poison::{self, Depth};
use super::session::{self, Access, close, failed, leave, open, run, scalar};
use super::wire::Wire;
use super::{Target, dump, identify, large_objects, refuse_pooler, roles, tools};
use crate::capture::{
    Captured, Consistency, Fingerprint, FingerprintKey, PartInfo, PartSink, PartWriter, Trouble,
};
use crate::error::{Error, Result};
use crate::event::{Events, Unit};
use crate::identity::Store;
use crate::wait::Cancel;

use snapshot::Snapshot;
pub(super) use snapshot::{DatabaseFacts, Grant, set_local};
use stretch::Portion;
pub use stretch::STRETCH;
pub use watch::Patience;
use watch::Watch;

/// How long to wait for somebody else's exclusive lock before giving up.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// In the description of a listing: what in it only a superuser may see.
pub(super) const FOR_SUPERUSERS: &str = "for-superusers";

/// The formats of Postgres parts.
pub(super) mod format {
    /// An archive of `pg_dump --format=custom --schema-only`.
    pub const SCHEMA: &str = "pg-dump-custom";
    /// COPY's text format: one line a row.
    pub const ROWS: &str = "pg-copy-text";
    /// COPY's binary format, whole: head, rows, trailer.
    pub const TUPLES: &str = "pg-copy-binary";
    /// JSON lines of [`super::enumerate::SequenceState`].
    pub const SEQUENCES: &str = "pg-sequences-jsonl";
    /// JSON lines of the schema, in the first form of [`super::catalogue::Form`].
    pub const CATALOGUE: &str = "pg-catalogue-jsonl";
    /// The same in the second form.
    pub const CATALOGUE_2: &str = "pg-catalogue-jsonl-2";
    /// The same in the third form.
    pub const CATALOGUE_3: &str = "pg-catalogue-jsonl-3";
    /// JSON lines of [`super::roles::Line`].
    pub const ROLES: &str = "pg-roles-jsonl";
    /// JSON lines of [`super::large_objects::Line`].
    pub const LARGE_OBJECTS: &str = "pg-large-objects-jsonl";
}

/// How to capture.
#[derive(Clone)]
pub struct CaptureOptions {
    /// The key of the row hashes.
    pub key: FingerprintKey,
    /// The formats that parts of a backup are in, by name, where a database is to be measured in the same ones. Others
    /// are chosen by their tables' types.
    pub formats: BTreeMap<String, String>,
    /// How many tables are read at once, each over its own connection; at least 1.
    pub jobs: usize,
    /// Where progress goes.
    pub events: Events,
    /// The stop signal.
    pub cancel: Cancel,
    /// How long it may be in others' way.
    pub patience: Patience,
    /// How many pages a connection reads of a table that is too large for one connection: [`STRETCH`].
    pub stretch: u64,
}

/// `postgres/<database>/`: what the names of a database's parts begin with.
pub fn prefix(database: &str) -> String {
    format!("postgres/{}/", part_word(database))
}

/// Whether the programs are there that a capture of this server needs: an older `pg_dump` would leave out what it does not know.
pub async fn can_be_dumped(target: &Target) -> Result<()> {
    let mut session = open(target, Access::Read).await?;
    let major = session::major(target, &mut session).await;
    leave(target, session).await;
    tools::pg_dump(major?).map(|_| ())
}

/// Captures the database of `target` into `sink`.
pub async fn capture(
    target: &Target,
    sink: &dyn PartSink,
    options: &CaptureOptions,
) -> Result<Captured> {
    options
        .cancel
        .guard(async {
            refuse_pooler(target).await?;
            let identity = identify(target).await?;
            let mut work = Work::begin(target, sink, options).await?;
            let watch = work.watch().await?;
            let (snapshot, not_carried, troubles, parts) = watch
                .over(async {
                    let named = enumerate::roles(target, &mut work.side).await?;
                    let lines = roles::read(target, &mut work.side, &named).await?;
                    let standby = work.snapshot.facts.standby;
                    let not_carried =
                        enumerate::not_carried(target, &mut work.side, &lines, standby).await?;
                    work.dump_schema(&named).await?;
                    work.roles(&lines).await?;
                    let troubles = work.troubles().await?;
                    let (snapshot, parts) = work.measure().await?;
                    Ok((snapshot, not_carried, troubles, parts))
                })
                .await?;
            Ok(Captured {
                store: Store::Postgres,
                identity,
                server_version: snapshot.facts.version.clone(),
                consistency: Consistency::PointInTime,
                method: format!("exported snapshot {}", snapshot.id),
                from: snapshot.from,
                to: snapshot.to,
                not_carried,
                troubles: Some(troubles),
                parts,
            })
        })
        .await
}

/// Measures a live database in the terms of [`capture`]: the fingerprint of every part that has one, by part name.
pub async fn fingerprints(
    target: &Target,
    options: &CaptureOptions,
) -> Result<BTreeMap<String, Fingerprint>> {
    fingerprints_as(target, &target.database, options).await
}

/// [`fingerprints`] of a database that was restored under another name: the parts are named as they were captured.
pub async fn fingerprints_as(
    target: &Target,
    captured: &str,
    options: &CaptureOptions,
) -> Result<BTreeMap<String, Fingerprint>> {
    options
        .cancel
        .guard(async {
            refuse_pooler(target).await?;
            let mut work = Work::begin(target, &Nowhere, options).await?;
            work.prefix = prefix(captured);
            let watch = work.watch().await?;
            let (_, parts) = watch.over(work.measure()).await?;
            Ok(parts
                .into_iter()
                .filter_map(|part| Some((part.name, part.fingerprint?)))
                .collect())
        })
        .await
}

/// A capture in progress. `side` is a session under the snapshot for everything but rows.
struct Work<'a> {
    target: &'a Target,
    sink: &'a dyn PartSink,
    options: &'a CaptureOptions,
    snapshot: Snapshot,
    side: PgConnection,
    prefix: String,
    parts: Vec<PartInfo>,
}

impl<'a> Work<'a> {
    async fn begin(
        target: &'a Target,
        sink: &'a dyn PartSink,
        options: &'a CaptureOptions,
    ) -> Result<Work<'a>> {
        let snapshot = Snapshot::take(target, &options.events, options.patience).await?;
        let side = snapshot.join(target).await?;
        Ok(Work {
            target,
            sink,
            options,
            snapshot,
            side,
            prefix: prefix(&target.database),
            parts: Vec::new(),
        })
    }

    async fn watch(&mut self) -> Result<Watch> {
        let pid = scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut self.snapshot.session)
            .await
            .map_err(|e| failed(self.target, "ask for the session's number", e))?;
        Ok(Watch {
            target: self.target.clone(),
            pid,
            began: Instant::now(),
            patience: self.options.patience,
        })
    }

    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>> {
        self.sink
            .create(&format!("{}{name}", self.prefix), format)
            .await
    }

    async fn dump_schema(&mut self, roles: &[String]) -> Result<()> {
        let facts = &self.snapshot.facts;
        let tool = tools::pg_dump(facts.major)?;
        let matviews = enumerate::matviews(self.target, &mut self.side).await?;
        let (readable, subscriptions) =
            enumerate::subscriptions(self.target, &mut self.side).await?;
        let mut writer = self.create("schema", format::SCHEMA).await?;
        let warnings = dump::dump_schema(
            self.target,
            &tool,
            &self.snapshot.id,
            self.options.patience.behind(),
            readable,
            writer.as_mut(),
        )
        .await?;
        for warning in &warnings {
            self.options.events.note(warning.clone());
        }
        let facts = &self.snapshot.facts;
        let meta = BTreeMap::from([
            ("database".to_owned(), facts.to_json()?),
            ("dump-version".to_owned(), json!(tool.version)),
            ("dump-major".to_owned(), json!(tool.major)),
            ("roles".to_owned(), json!(roles)),
            ("matviews".to_owned(), json!(matviews)),
            (
                "subscriptions".to_owned(),
                json!(if readable { subscriptions } else { Vec::new() }),
            ),
            ("warnings".to_owned(), json!(warnings)),
        ]);
        self.parts.push(writer.finish(None, meta).await?);
        Ok(())
    }

    /// The roles have no fingerprint: they are the server's, and a restore makes them without login.
    async fn roles(&mut self, lines: &[roles::Line]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut writer = self.create("roles", format::ROLES).await?;
        let lines = json_lines(lines)?;
        catalogue::write(&lines, writer.as_mut(), &self.options.key).await?;
        self.parts.push(writer.finish(None, BTreeMap::new()).await?);
        Ok(())
    }

    /// What in the data would keep a restored copy from working, under the same snapshot.
    async fn troubles(&mut self) -> Result<Vec<Trouble>> {
        let named = &self.target.database;
        let looked = poison::look(self.target, &mut self.side, named, Depth::Cheap).await?;
        for line in &looked.unmeasured {
            self.options.events.note(line.clone());
        }
        Ok(looked.troubles())
    }

    /// Everything that has a fingerprint.
    async fn measure(mut self) -> Result<(Snapshot, Vec<PartInfo>)> {
        self.listing("catalogue", Listing::Objects).await?;
        self.listing("ownership", Listing::Ownership).await?;
        self.sequences().await?;
        self.large_objects().await?;
        self.tables().await?;
        close(self.side).await;
        // The locks and the snapshot must have held until here; a broken connection would have let them go.
        run(self.target, &mut self.snapshot.session, "COMMIT").await?;
        self.parts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((self.snapshot, self.parts))
    }

    async fn listing(&mut self, name: &str, listing: Listing) -> Result<()> {
        let wanted = self.options.formats.get(&format!("{}{name}", self.prefix));
        let form = wanted.and_then(|format| Form::of(format));
        let form = form.unwrap_or(Form::NEWEST);
        let lines = catalogue::list(self.target, &mut self.side, listing, form).await?;
        let mut writer = self.create(name, form.format()).await?;
        let fingerprint = catalogue::write(&lines, writer.as_mut(), &self.options.key).await?;
        let mut meta =
            BTreeMap::from([("server-major".to_owned(), json!(self.snapshot.facts.major))]);
        let hidden = catalogue::for_superusers(&lines);
        if !hidden.is_empty() {
            meta.insert(FOR_SUPERUSERS.to_owned(), json!(hidden));
        }
        self.parts
            .push(writer.finish(Some(fingerprint), meta).await?);
        Ok(())
    }

    async fn sequences(&mut self) -> Result<()> {
        let states = enumerate::sequences(self.target, &mut self.side).await?;
        let lines = json_lines(&states)?;
        let mut writer = self.create("sequences", format::SEQUENCES).await?;
        let fingerprint = catalogue::write(&lines, writer.as_mut(), &self.options.key).await?;
        self.parts
            .push(writer.finish(Some(fingerprint), BTreeMap::new()).await?);
        Ok(())
    }

    async fn large_objects(&mut self) -> Result<()> {
        if large_objects::count(self.target, &mut self.side).await? == 0 {
            return Ok(());
        }
        let mut writer = self.create("large-objects", format::LARGE_OBJECTS).await?;
        let meter = Meter::new(&self.options.events, "large objects", None);
        let fingerprint = large_objects::read_all(
            self.target,
            &mut self.side,
            writer.as_mut(),
            &self.options.key,
            meter,
        )
        .await?;
        self.parts
            .push(writer.finish(Some(fingerprint), BTreeMap::new()).await?);
        Ok(())
    }

    async fn tables(&mut self) -> Result<()> {
        let tables = self.snapshot.largest_first();
        let total = tables.len() as u64;
        let list = Mutex::new(stretch::plan(tables, self.options));
        let workers = self.options.jobs.clamp(1, lock(&list).len().max(1));
        let done = AtomicU64::new(0);
        let tell = || {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            self.options
                .events
                .progress("tables", done, Some(total), Unit::Items);
        };
        let work = (0..workers).map(|_| self.worker(&list, &tell));
        let done = futures_util::future::try_join_all(work).await?;
        self.parts.extend(done.into_iter().flatten());
        Ok(())
    }

    async fn worker(
        &self,
        list: &Mutex<VecDeque<Portion>>,
        tell: &(impl Fn() + Sync),
    ) -> Result<Vec<PartInfo>> {
        let mut parts = Vec::new();
        let mut wire = self.snapshot.reader(self.target).await?;
        loop {
            let next = lock(list).pop_front();
            let Some(portion) = next else {
                break;
            };
            let part;
            (wire, part) = self.portion(wire, portion).await?;
            if let Some(part) = part {
                parts.push(part);
                tell();
            }
        }
        wire.close().await;
        Ok(parts)
    }

    /// Reads a table, or a stretch of one: then the part comes with the stretch that is ready last.
    async fn portion(&self, wire: Wire, portion: Portion) -> Result<(Wire, Option<PartInfo>)> {
        let table = &portion.table;
        let name = format!(
            "{}table/{}.{}",
            self.prefix,
            part_word(&table.schema),
            part_word(&table.name)
        );
        let wanted = self.options.formats.get(&name);
        let shape = match wanted.and_then(|format| Shape::of(format)) {
            Some(shape) => shape,
            None if table.binary => Shape::Binary,
            None => Shape::Text,
        };
        let mut reading = Reading {
            table: table.quoted(),
            source: portion.source(),
            shape,
            ends: portion.ends(),
            key: self.options.key.clone(),
            meter: portion.meter.clone(),
        };
        let meta = self.snapshot.table_meta(table);
        let Some(stretch) = &portion.stretch else {
            let mut writer = self.sink.create(&name, shape.format()).await?;
            let (wire, part) = wire
                .in_thread(async move |mut wire| {
                    let fingerprint = copy_out(&mut wire, &mut reading, writer.as_mut()).await?;
                    Ok((wire, writer.finish(Some(fingerprint), meta).await?))
                })
                .await?;
            return Ok((wire, Some(part)));
        };
        let own = stretch.name(&name);
        let mut writer = self
            .sink
            .create_stretch(&own, shape.format(), stretch.before())
            .await?;
        let (wire, fingerprint) = wire
            .in_thread(async move |mut wire| {
                let fingerprint = copy_out(&mut wire, &mut reading, writer.as_mut()).await?;
                writer.finish(Some(fingerprint), BTreeMap::new()).await?;
                Ok((wire, fingerprint))
            })
            .await?;
        let Some(whole) = stretch.finished(fingerprint, &self.options.key) else {
            return Ok((wire, None));
        };
        let names = stretch.names(&name);
        let part = self.sink.join(&name, &names, Some(whole), meta).await?;
        Ok((wire, Some(part)))
    }
}

fn json_lines<T: serde::Serialize>(values: &[T]) -> Result<Vec<String>> {
    values
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|e| Error::bug("a line of a part does not serialise").caused_by(e))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A sink that only counts: for fingerprints of a live database.
struct Nowhere;

struct NowhereWriter {
    name: String,
    format: String,
    bytes: u64,
}

#[async_trait]
impl PartSink for Nowhere {
    async fn create(&self, name: &str, format: &str) -> Result<Box<dyn PartWriter>> {
        Ok(Box::new(NowhereWriter {
            name: name.to_owned(),
            format: format.to_owned(),
            bytes: 0,
        }))
    }

    /// Nobody asks a measurement for its bytes.
    async fn join(
        &self,
        name: &str,
        _stretches: &[String],
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, Value>,
    ) -> Result<PartInfo> {
        Ok(PartInfo {
            name: name.to_owned(),
            format: String::new(),
            bytes: 0,
            fingerprint,
            meta,
        })
    }
}

#[async_trait]
impl PartWriter for NowhereWriter {
    fn append(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
    }
    async fn settle(&mut self) -> Result<()> {
        Ok(())
    }
    fn cut(&mut self) {}
    async fn finish(
        self: Box<Self>,
        fingerprint: Option<Fingerprint>,
        meta: BTreeMap<String, Value>,
    ) -> Result<PartInfo> {
        Ok(PartInfo {
            name: self.name,
            format: self.format,
            bytes: self.bytes,
            fingerprint,
            meta,
        })
    }
}
