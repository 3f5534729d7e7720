//! Tables filled over several connections, the largest first, and everything of a table made as soon as its last row is in: so that
//! nobody waits for the largest table but its own indexes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use serde::Deserialize;
use tokio::sync::Notify;

use super::super::capture::{lock, set_local};
use super::super::copy::{Meter, Shape, copy_in};
use super::super::enumerate::copy_target;
use super::super::sql::qualified;
use super::super::wire::Wire;
use super::super::{BAD_PART, MISMATCH, QUERY_FAILED, RESTORE_FAILED, Target};
use super::plan::{self, ForeignKey, Plan, Statement, TableWork};
use super::spread::{self, Spread};
use super::{RestoreOptions, agree, meta};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader, PartSource};
use crate::error::{Context as _, Error, Result};
use crate::event::Unit;

/// What `pg_restore` sets for the statements of an archive, and what makes a loader's session quick. The database is new, so that
/// no pooler can hand these settings to anybody.
pub(super) const SETTINGS: &str = "SET search_path = ''; SET check_function_bodies = off; SET xmloption = content; SET client_min_messages = warning; \
    SET row_security = off; SET default_tablespace = ''; SET standard_conforming_strings = on; SET escape_string_warning = off";

/// Memory for building indexes: half of the server's shared buffers among all of us, at most 1 GiB each, and never less than the
/// server gives by itself.
fn memory(jobs: usize) -> String {
    format!(
        "SELECT pg_catalog.set_config('maintenance_work_mem', (greatest(
             pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')),
             least(1073741824, pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')) / {}))
         / 1024)::text || 'kB', false)",
        2 * jobs.max(1)
    )
}

/// A connection that loads.
pub(super) async fn loader(target: &Target, options: &RestoreOptions) -> Result<Wire> {
    let mut wire = Wire::connect(target).await?;
    let memory = memory(options.jobs);
    let prepare = format!("{}; {SETTINGS}; {memory}", super::loader_settings());
    wire.run("prepare to load", &prepare).await?;
    if options.throwaway {
        wire.run("prepare to load", QUICK_COMPRESSION).await?;
    }
    Ok(wire)
}

/// Long values cost a load up to a quarter of the server's time with the compression that is usual; not every server was built
/// with the quick one.
const QUICK_COMPRESSION: &str =
    "SELECT pg_catalog.set_config(name, 'lz4', false) FROM pg_catalog.pg_settings
    WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";

/// What a table's part says beside its rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TableMeta {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    #[expect(dead_code, reason = "for people who read the backup's description")]
    unlogged: bool,
    pub(super) settings: BTreeMap<String, String>,
    #[expect(dead_code, reason = "for people who read the backup's description")]
    bytes_on_disk: i64,
    /// Present where an extension made the table, and rows of its own in it.
    pub(super) condition: Option<String>,
}

enum Task {
    /// Fill the table.
    Fill,
    /// One of the statements that go side by side.
    Beside(usize),
    /// Those that follow, and the statistics.
    Finish,
}

/// What is still to be done.
struct Queue {
    tables: VecDeque<usize>,
    /// Of tables that are filled: they come first.
    tasks: VecDeque<(usize, Task)>,
    /// By table: how many statements that go side by side are not done.
    open: Vec<usize>,
    busy: usize,
    finished: u64,
}

/// Fills tables.
pub(super) struct Loader<'a> {
    target: &'a Target,
    source: &'a dyn PartSource,
    options: &'a RestoreOptions,
    major: u32,
    /// Largest first.
    pub tables: Vec<(PartInfo, TableWork)>,
}

impl<'a> Loader<'a> {
    /// Takes the tables' work out of the plan.
    pub(super) fn new(
        target: &'a Target,
        source: &'a dyn PartSource,
        options: &'a RestoreOptions,
        major: u32,
        parts: Vec<PartInfo>,
        plan: &mut Plan,
    ) -> Loader<'a> {
        let tables = parts.into_iter().map(|part| {
            let work = plan::name(&part).and_then(|name| plan.tables.remove(&name));
            (part, work.unwrap_or_default())
        });
        Loader {
            target,
            source,
            options,
            major,
            tables: tables.collect(),
        }
    }

    /// Fills all of them. The fingerprints of what was sent, in the order of the tables.
    pub(super) async fn run(&self) -> Result<Vec<Fingerprint>> {
        let queue = Mutex::new(Queue {
            tables: (0..self.tables.len()).collect(),
            tasks: VecDeque::new(),
            open: self
                .tables
                .iter()
                .map(|(_, w)| w.side_by_side.len())
                .collect(),
            busy: 0,
            finished: 0,
        });
        let changed = Notify::new();
        let most = self.tables.iter().map(|(_, w)| w.side_by_side.len().max(1));
        let workers = self.options.jobs.clamp(1, most.sum::<usize>().max(1));
        let work = (0..workers).map(|_| self.worker(&queue, &changed));
        let mut filled: Vec<(usize, Fingerprint)> = futures_util::future::try_join_all(work)
            .await?
            .into_iter()
            .flatten()
            .collect();
        filled.sort_by_key(|(table, _)| *table);
        Ok(filled.into_iter().map(|(_, f)| f).collect())
    }

    async fn worker(
        &self,
        queue: &Mutex<Queue>,
        changed: &Notify,
    ) -> Result<Vec<(usize, Fingerprint)>> {
        let mut filled = Vec::new();
        let mut wire = loader(self.target, self.options).await?;
        loop {
            let news = changed.notified();
            let next = {
                let mut queue = lock(queue);
                let table = |queue: &mut Queue| Some((queue.tables.pop_front()?, Task::Fill));
                let next = queue.tasks.pop_front().or_else(|| table(&mut queue));
                match next {
                    Some(_) => queue.busy += 1,
                    None if queue.busy == 0 => break,
                    None => {}
                }
                next
            };
            let Some((table, task)) = next else {
                news.await;
                continue;
            };
            let (part, work) = &self.tables[table];
            match task {
                Task::Fill => {
                    let fingerprint;
                    (wire, fingerprint) = self.fill(wire, part).await?;
                    filled.push((table, fingerprint));
                }
                Task::Beside(at) => run_one(&mut wire, &work.side_by_side[at]).await?,
                Task::Finish => self.finish(&mut wire, part, work).await?,
            }
            self.done(&mut lock(queue), table, &task);
            changed.notify_waiters();
        }
        // Whoever waits for news must hear that there is nothing more.
        changed.notify_waiters();
        wire.close().await;
        Ok(filled)
    }

    /// What a finished task makes possible.
    fn done(&self, queue: &mut Queue, table: usize, task: &Task) {
        queue.busy -= 1;
        let beside = self.tables[table].1.side_by_side.len();
        match task {
            Task::Fill => (0..beside)
                .rev()
                .for_each(|at| queue.tasks.push_front((table, Task::Beside(at)))),
            Task::Beside(_) => queue.open[table] -= 1,
            Task::Finish => {
                queue.finished += 1;
                let (done, total) = (queue.finished, self.tables.len() as u64);
                let events = &self.options.events;
                events.progress("tables", done, Some(total), Unit::Items);
                return;
            }
        }
        if queue.open[table] == 0 {
            queue.tasks.push_front((table, Task::Finish));
        }
    }

    /// How many connections fill this table: one that is compared and removed is filled quickest by one, which needs no WAL.
    fn connections(&self, part: &PartInfo, table: &TableMeta) -> usize {
        if self.options.throwaway || table.condition.is_some() {
            return 1;
        }
        let total = self.tables.iter().map(|(part, _)| part.bytes).sum();
        spread::connections(part.bytes, total, self.options.share, self.options.jobs)
    }

    async fn fill(&self, wire: Wire, part: &PartInfo) -> Result<(Wire, Fingerprint)> {
        let reader = self.source.open(&part.name).await?;
        let shape = Shape::of(&part.format).ok_or_else(|| {
            Error::new(
                &BAD_PART,
                format!(
                    "part `{}` has the unknown format `{}`",
                    part.name, part.format
                ),
            )
        })?;
        let table: TableMeta = meta(part)?;
        let connections = self.connections(part, &table);
        let job = TableJob {
            shape,
            key: self.options.key.clone(),
            meta: table,
            major: self.major,
            meter: Meter::new(&self.options.events, part.name.clone(), Some(part.bytes)),
            expected: part.fingerprint,
            name: part.name.clone(),
        };
        if connections == 1 {
            return wire.in_thread(|wire| job.run(wire, reader)).await;
        }
        let mut wires = vec![wire];
        for _ in 1..connections {
            wires.push(loader(self.target, self.options).await?);
        }
        let mut wires = job.spread(wires, reader).await?;
        let fingerprint = wires.1;
        let first = wires.0.pop();
        for other in wires.0 {
            other.close().await;
        }
        let first = first.ok_or_else(|| Error::bug("no connection was left"))?;
        Ok((first, fingerprint))
    }

    async fn finish(&self, wire: &mut Wire, part: &PartInfo, work: &TableWork) -> Result<()> {
        for statement in &work.after {
            run_one(wire, statement).await?;
        }
        if !work.statistics_later && !self.options.throwaway {
            let meta: TableMeta = meta(part)?;
            let sql = format!("ANALYZE {}", qualified(&meta.schema, &meta.table));
            wire.run("analyze a table", &sql).await?;
        }
        Ok(())
    }

    /// Makes the foreign keys, and proves them side by side.
    pub(super) async fn keys(&self, keys: &[ForeignKey]) -> Result<()> {
        let mut wire = loader(self.target, self.options).await?;
        let mut unproved = VecDeque::new();
        for key in keys {
            if wire.run("make a foreign key", &key.unproved).await.is_ok() {
                unproved.push_back(Statement {
                    makes: key.makes.clone(),
                    sql: key.proof.clone(),
                });
            } else {
                // Not every server can leave every key unproved.
                let plain = Statement {
                    makes: key.makes.clone(),
                    sql: key.plain.clone(),
                };
                run_one(&mut wire, &plain).await?;
            }
        }
        wire.close().await;
        let workers = self.options.jobs.clamp(1, unproved.len().max(1));
        let total = unproved.len() as u64;
        let queue = Mutex::new(unproved);
        let work = (0..workers).map(|_| async {
            let mut wire = loader(self.target, self.options).await?;
            loop {
                let (next, left) = {
                    let mut queue = lock(&queue);
                    (queue.pop_front(), queue.len() as u64)
                };
                let Some(key) = next else {
                    break;
                };
                run_one(&mut wire, &key).await?;
                let events = &self.options.events;
                events.progress("foreign keys", total - left, Some(total), Unit::Items);
            }
            wire.close().await;
            Ok(())
        });
        futures_util::future::try_join_all(work)
            .await
            .map(|_: Vec<()>| ())
    }
}

async fn run_one(wire: &mut Wire, statement: &Statement) -> Result<()> {
    let what = format!("make the {}", statement.makes);
    wire.run(&what, &statement.sql).await.map_err(|e| {
        // A connection that is lost, or a full disk, says nothing of the rows.
        if e.reason() != &QUERY_FAILED {
            return e;
        }
        let makes = &statement.makes;
        let said = e.to_string();
        // Values that do not fit, and broken constraints (PostgreSQL documentation, appendix A, classes 22 and 23).
        let of_rows = ["(SQLSTATE 22", "(SQLSTATE 23"];
        let message = if of_rows.iter().any(|class| said.contains(class)) {
            format!("the restored rows do not take the {makes}")
        } else {
            format!("the server did not make the {makes}")
        };
        Error::new(&RESTORE_FAILED, message).caused_by(e)
    })
}

/// One table, owned whole, so that it can run on another thread.
struct TableJob {
    shape: Shape,
    key: FingerprintKey,
    meta: TableMeta,
    major: u32,
    meter: Meter,
    expected: Option<Fingerprint>,
    name: String,
}

impl TableJob {
    async fn run(
        self,
        mut wire: Wire,
        mut reader: Box<dyn PartReader>,
    ) -> Result<(Wire, Fingerprint)> {
        // Truncated and filled in one transaction, the rows need no WAL where `wal_level` is minimal, and are frozen
        // at once (PostgreSQL documentation, COPY, FREEZE).
        let (first, freeze) = if self.meta.condition.is_some() {
            // Its keys and triggers are there already: rows come in any order, and are loaded as they were.
            let quiet = "SELECT pg_catalog.set_config('session_replication_role', 'replica', true)
                         WHERE pg_catalog.current_setting('is_superuser') = 'on'";
            (quiet.to_owned(), "")
        } else {
            let table = qualified(&self.meta.schema, &self.meta.table);
            (format!("TRUNCATE ONLY {table}"), "FREEZE, ")
        };
        let begin = format!("{}; {first}", self.begin());
        wire.run("make the table ready", &begin).await?;
        let statement = self.statement(freeze);
        let (fingerprint, stored) = copy_in(
            &mut wire,
            &statement,
            self.shape,
            reader.as_mut(),
            &self.key,
            self.meter,
        )
        .await
        .context(|| format!("cannot load part `{}`", self.name))?;
        agree_in_all(&self.name, self.expected, fingerprint, stored)?;
        wire.run("commit the rows", "COMMIT").await?;
        Ok((wire, fingerprint))
    }

    /// The same over several connections.
    async fn spread(
        self,
        wires: Vec<Wire>,
        reader: Box<dyn PartReader>,
    ) -> Result<(Vec<Wire>, Fingerprint)> {
        let table = qualified(&self.meta.schema, &self.meta.table);
        let spread = Spread {
            shape: self.shape,
            begin: self.begin(),
            statement: self.statement(""),
            what: format!("load `{table}`"),
            key: self.key,
            meter: self.meter,
        };
        let (mut wires, fingerprint, stored) = spread::fill(wires, spread, reader)
            .await
            .context(|| format!("cannot load part `{}`", self.name))?;
        agree_in_all(&self.name, self.expected, fingerprint, stored)?;
        for wire in &mut wires {
            wire.run("commit the rows", "COMMIT").await?;
        }
        Ok((wires, fingerprint))
    }

    fn begin(&self) -> String {
        let encoding = self.meta.settings.get("client_encoding");
        let encoding = encoding.map_or("UTF8", String::as_str);
        format!("BEGIN; {}", set_local(encoding, self.major))
    }

    fn statement(&self, freeze: &str) -> String {
        format!(
            "COPY {} FROM STDIN WITH ({freeze}{})",
            copy_target(&self.meta.schema, &self.meta.table, &self.meta.columns),
            self.shape.option()
        )
    }
}

/// What was sent is what was captured, and the server has as many rows.
fn agree_in_all(
    name: &str,
    expected: Option<Fingerprint>,
    sent: Fingerprint,
    stored: u64,
) -> Result<()> {
    agree(name, expected, sent)?;
    if stored == sent.rows {
        return Ok(());
    }
    let message = format!(
        "Postgres stored {stored} rows of the {} of part `{name}`",
        sent.rows
    );
    Err(Error::new(&MISMATCH, message))
}
