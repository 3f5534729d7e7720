//! A captured database into a new, empty one: tables, rows over several connections, sequences, then indexes, keys and
//! triggers. Everything that is loaded is fingerprinted on the way in and compared with what was captured.

mod create;
mod only;
mod place;
mod ready;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::capture::{format, in_background, lock, prefix, set_local};
use super::copy::{Meter, Rows, Shape, copy_in};
use super::enumerate::{MatView, SequenceState, copy_target};
use super::session::{Access, close, open, run};
use super::sql::{literal, qualified};
use super::wire::Wire;
use super::{BAD_PART, MISMATCH, Target, dump, large_objects, refuse_pooler, tools};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader, PartSource};
use crate::error::{Context as _, Error, Result};
use crate::event::{Events, Unit};
use crate::wait::Cancel;

pub use create::create_database;
pub use only::{Chosen, Selection, choose};
pub use place::exists;
use place::{Archive, refuse_unless_empty, roles_at_hand};
pub use ready::{Extension, LiveFacts, Readiness, readiness};

/// What to do about roles that the capture names and the server lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingRoles {
    /// Make them, without login: right on a scratch server, where owners and grants are to be proved too.
    Create,
    /// Leave owners and grants out, and say so.
    LeaveOut,
}

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    /// The key of the row hashes.
    pub key: FingerprintKey,
    /// How many tables are loaded, and indexes built, at once; at least 1.
    pub jobs: usize,
    /// Where progress goes.
    pub events: Events,
    /// The stop signal.
    pub cancel: Cancel,
    /// What to do about missing roles.
    pub roles: MissingRoles,
    /// The tables whose rows are loaded; all of them if nothing is selected.
    pub only: Selection,
    /// A folder for the schema's archive, which `pg_restore` must read from a file; mode 0600, removed afterwards.
    pub work_dir: PathBuf,
}

/// A finished restore.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The fingerprints of what was loaded, by part name; each equals the captured one.
    pub parts: Vec<(String, Fingerprint)>,
    /// Bytes of rows loaded.
    pub bytes: u64,
    /// How long each phase took, in order: `schema`, `rows`, `indexes and constraints`, `refresh and analyze`.
    pub phases: Vec<(&'static str, Duration)>,
    /// Parts whose fingerprints of the live database need not equal the captured ones, by name, and why: what was
    /// left out, or is spelled differently by another major version.
    pub incomparable: BTreeMap<String, String>,
    /// What is not as it was, or deserves a word; one line each.
    pub notes: Vec<String>,
}

/// The names of the databases that a backup holds.
pub fn captured_databases(source: &dyn PartSource) -> Vec<String> {
    source
        .parts("postgres/")
        .into_iter()
        .filter(|part| part.format == format::SCHEMA)
        .filter_map(|part| {
            let name = part.meta.get("database")?.get("name")?.as_str()?;
            Some(name.to_owned())
        })
        .collect()
}

/// What the schema part says beside the archive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SchemaMeta {
    database: super::capture::DatabaseFacts,
    #[expect(dead_code, reason = "for people who read the backup's description")]
    dump_version: String,
    dump_major: u32,
    roles: Vec<String>,
    matviews: Vec<MatView>,
    #[expect(dead_code, reason = "for people who read the backup's description")]
    warnings: Vec<String>,
}

impl SchemaMeta {
    fn of(source: &dyn PartSource, captured: &str) -> Result<SchemaMeta> {
        let name = format!("{}schema", prefix(captured));
        let part = part_named(source, &name)?.ok_or_else(|| {
            let there = captured_databases(source);
            Error::input(format!(
                "the backup holds no Postgres database `{captured}`, only {}",
                super::enumerate::listed(&there)
            ))
        })?;
        meta(&part)
    }
}

fn part_named(source: &dyn PartSource, name: &str) -> Result<Option<PartInfo>> {
    Ok(source.parts(name).into_iter().find(|p| p.name == name))
}

fn meta<T: DeserializeOwned>(part: &PartInfo) -> Result<T> {
    let value = Value::Object(part.meta.clone().into_iter().collect());
    serde_json::from_value(value).map_err(|e| {
        Error::new(
            &BAD_PART,
            format!("the description of part `{}` is damaged", part.name),
        )
        .caused_by(e)
    })
}

/// Restores the captured database named `captured` into the database of `target`, which must exist and be empty
/// (see [`create_database`]).
pub async fn restore(
    target: &Target,
    source: &dyn PartSource,
    captured: &str,
    options: &RestoreOptions,
) -> Result<Restored> {
    let work = async {
        refuse_pooler(target).await?;
        refuse_unless_empty(target).await?;
        let mut work = Work::begin(target, source, captured, options).await?;
        work.all().await?;
        Ok(work.done)
    };
    options.cancel.guard(work).await
}

/// What a restore of the captured database cannot bring to this server, by part and reason: owners and grants whose roles
/// are not there, definitions that another major version spells differently. Looks only. `server` is any database of it.
pub async fn incomparable(
    server: &Target,
    source: &dyn PartSource,
    captured: &str,
) -> Result<BTreeMap<String, String>> {
    let schema = SchemaMeta::of(source, captured)?;
    let mut session = open(server, Access::Write).await?;
    let leave = MissingRoles::LeaveOut;
    let found = left_out(
        server,
        &mut session,
        &schema,
        captured,
        leave,
        &mut Vec::new(),
    )
    .await;
    close(session).await;
    found.map(|(_, parts)| parts)
}

/// Whether owners and grants can be restored, and the parts that will not be equal; makes roles if that was asked for.
async fn left_out(
    target: &Target,
    session: &mut PgConnection,
    schema: &SchemaMeta,
    captured: &str,
    roles: MissingRoles,
    notes: &mut Vec<String>,
) -> Result<(bool, BTreeMap<String, String>)> {
    let major = super::session::major(target, session).await?;
    let before = notes.len();
    let ownership = roles_at_hand(target, session, &schema.roles, roles, notes).await?;
    let mut incomparable = BTreeMap::new();
    if !ownership {
        let why = notes.get(before).cloned();
        incomparable.insert(
            format!("{}ownership", prefix(captured)),
            why.unwrap_or_else(|| "owners and grants were left out".to_owned()),
        );
    }
    if major != schema.database.major {
        incomparable.insert(
            format!("{}catalogue", prefix(captured)),
            format!(
                "captured from Postgres {}, restored into {major}, which may spell definitions differently",
                schema.database.major
            ),
        );
    }
    Ok((ownership, incomparable))
}

struct Work<'a> {
    target: &'a Target,
    source: &'a dyn PartSource,
    options: &'a RestoreOptions,
    prefix: String,
    schema: SchemaMeta,
    tool: tools::Tool,
    major: u32,
    ownership: bool,
    /// What is loaded, if it is not all.
    chosen: Option<Chosen>,
    done: Restored,
}

impl<'a> Work<'a> {
    async fn begin(
        target: &'a Target,
        source: &'a dyn PartSource,
        captured: &str,
        options: &'a RestoreOptions,
    ) -> Result<Work<'a>> {
        let schema = SchemaMeta::of(source, captured)?;
        let mut session = open(target, Access::Write).await?;
        let major = super::session::major(target, &mut session).await?;
        let mut notes = Vec::new();
        let (ownership, incomparable) = left_out(
            target,
            &mut session,
            &schema,
            captured,
            options.roles,
            &mut notes,
        )
        .await?;
        close(session).await;
        let chosen = if options.only.is_empty() {
            None
        } else {
            Some(choose(source, captured, &options.only).await?)
        };
        Ok(Work {
            chosen,
            tool: tools::pg_restore(major, schema.dump_major)?,
            prefix: prefix(captured),
            target,
            source,
            options,
            schema,
            major,
            ownership,
            done: Restored {
                parts: Vec::new(),
                bytes: 0,
                phases: Vec::new(),
                incomparable,
                notes,
            },
        })
    }

    async fn all(&mut self) -> Result<()> {
        let began = Instant::now();
        let archive = self.fetch_archive().await?;
        self.drop_public_unless_captured().await?;
        self.section(&archive, "pre-data").await?;
        let began = self.phase("schema", began);
        self.tables().await?;
        self.sequences().await?;
        self.large_objects().await?;
        let began = self.phase("rows", began);
        self.section(&archive, "post-data").await?;
        drop(archive);
        let began = self.phase("indexes and constraints", began);
        self.refresh_and_analyze().await?;
        self.phase("refresh and analyze", began);
        self.done.parts.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(())
    }

    fn phase(&mut self, name: &'static str, began: Instant) -> Instant {
        self.done.phases.push((name, began.elapsed()));
        Instant::now()
    }

    async fn fetch_archive(&self) -> Result<Archive> {
        let mut reader = self.source.open(&format!("{}schema", self.prefix)).await?;
        Archive::write(&self.options.work_dir, reader.as_mut()).await
    }

    async fn section(&mut self, archive: &Archive, section: &str) -> Result<()> {
        let jobs = if section == "post-data" {
            self.options.jobs
        } else {
            1
        };
        let list = match &self.chosen {
            Some(chosen) if section == "post-data" => {
                let list = chosen.list(self.target, &self.tool, archive.path());
                Some(list.await?)
            }
            _ => None,
        };
        let words = dump::restore_section(
            self.target,
            &self.tool,
            archive.path(),
            section,
            jobs,
            self.ownership,
            list.as_ref().map(only::ListFile::path),
        )
        .await
        .context(|| format!("cannot restore the {section} section of the schema"))?;
        self.done.notes.extend(words);
        Ok(())
    }

    /// A new database has a schema `public`; the captured one may have dropped it, which no dump says.
    async fn drop_public_unless_captured(&self) -> Result<()> {
        let mut had_public = false;
        let mut reader = self
            .source
            .open(&format!("{}catalogue", self.prefix))
            .await?;
        each_line(reader.as_mut(), |line: Value| {
            had_public |= line["kind"] == "schema" && line["name"] == "public";
            Ok(())
        })
        .await?;
        if !had_public {
            let mut session = open_loader(self.target).await?;
            run(self.target, &mut session, "DROP SCHEMA IF EXISTS public").await?;
            close(session).await;
        }
        Ok(())
    }

    async fn tables(&mut self) -> Result<()> {
        let mut parts = self.source.parts(&format!("{}table/", self.prefix));
        parts.retain(|part| self.chosen.as_ref().is_none_or(|c| c.holds(part)));
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        let total = parts.len();
        let workers = self.options.jobs.clamp(1, total.max(1));
        let queue = Mutex::new((VecDeque::from(parts), 0_u64));
        let work = (0..workers).map(|_| self.worker(&queue, total as u64));
        let loaded = futures_util::future::try_join_all(work).await?;
        for (part, fingerprint) in loaded.into_iter().flatten() {
            self.done.bytes += part.bytes;
            self.done.parts.push((part.name, fingerprint));
        }
        Ok(())
    }

    async fn worker(
        &self,
        queue: &Mutex<(VecDeque<PartInfo>, u64)>,
        total: u64,
    ) -> Result<Vec<(PartInfo, Fingerprint)>> {
        let mut loaded = Vec::new();
        let mut wire = Wire::connect(self.target).await?;
        wire.run("prepare to load", LOADER).await?;
        loop {
            let next = lock(queue).0.pop_front();
            let Some(part) = next else {
                break;
            };
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
            let job = TableJob {
                shape,
                key: self.options.key.clone(),
                meta: meta(&part)?,
                major: self.major,
                meter: Meter::new(&self.options.events, part.name.clone(), Some(part.bytes)),
                expected: part.fingerprint,
                name: part.name.clone(),
            };
            let fingerprint;
            (wire, fingerprint) = in_background(job.run(wire, reader)).await?;
            loaded.push((part, fingerprint));
            let done = {
                let mut queue = lock(queue);
                queue.1 += 1;
                queue.1
            };
            self.options
                .events
                .progress("tables", done, Some(total), Unit::Items);
        }
        wire.close().await;
        Ok(loaded)
    }

    async fn sequences(&mut self) -> Result<()> {
        let name = format!("{}sequences", self.prefix);
        let Some(part) = part_named(self.source, &name)? else {
            return Err(Error::new(
                &BAD_PART,
                format!("the backup has no part `{name}`"),
            ));
        };
        let mut fingerprinter = self.options.key.start();
        let mut statements = vec!["BEGIN".to_owned()];
        let mut reader = self.source.open(&name).await?;
        let mut rows = Rows::default();
        while let Some(chunk) = reader.next().await? {
            rows.feed(&chunk, |row| {
                fingerprinter.add(row);
                let state: SequenceState = serde_json::from_slice(row)
                    .map_err(|e| Error::new(&BAD_PART, "a sequence is damaged").caused_by(e))?;
                let sequence = literal(&qualified(&state.schema, &state.name));
                statements.push(format!(
                    "SELECT pg_catalog.setval({sequence}, {}, {})",
                    state.last_value, state.is_called
                ));
                Ok(())
            })?;
        }
        rows.end()?;
        statements.push("COMMIT".to_owned());
        let mut session = open_loader(self.target).await?;
        run(self.target, &mut session, &statements.join("; ")).await?;
        close(session).await;
        let fingerprint = agree(&name, part.fingerprint, fingerprinter.finish())?;
        self.done.parts.push((name, fingerprint));
        Ok(())
    }

    async fn large_objects(&mut self) -> Result<()> {
        let name = format!("{}large-objects", self.prefix);
        let part = part_named(self.source, &name)?;
        let Some(part) = part.filter(|p| self.chosen.as_ref().is_none_or(|c| c.holds(p))) else {
            return Ok(());
        };
        let mut reader = self.source.open(&name).await?;
        let mut session = open_loader(self.target).await?;
        let loaded = large_objects::write_all(
            self.target,
            &mut session,
            reader.as_mut(),
            &self.options.key,
        )
        .await?;
        close(session).await;
        self.done
            .notes
            .push("large objects belong to the role that restored them".to_owned());
        self.done.bytes += part.bytes;
        let fingerprint = agree(&name, part.fingerprint, loaded)?;
        self.done.parts.push((name, fingerprint));
        Ok(())
    }

    async fn refresh_and_analyze(&mut self) -> Result<()> {
        let mut session = open_loader(self.target).await?;
        for view in self.schema.matviews.iter().filter(|view| view.populated) {
            let name = qualified(&view.schema, &view.name);
            let refresh = format!("REFRESH MATERIALIZED VIEW {name}");
            let shown = format!("{}.{}", view.schema, view.name);
            let note = match run(self.target, &mut session, &refresh).await {
                Ok(()) => {
                    format!("materialised view `{shown}` was refreshed from the restored tables")
                }
                // Filled once, from a view that was emptied later: nobody could fill it again at the source either.
                Err(e) if e.to_string().contains("has not been populated") => {
                    let name = format!("{}catalogue", self.prefix);
                    let why = format!("materialised view `{shown}` could not be filled");
                    self.done.incomparable.insert(name, why);
                    format!("materialised view `{shown}` is empty: {e}")
                }
                Err(e) => return Err(e),
            };
            self.done.notes.push(note);
        }
        run(self.target, &mut session, "ANALYZE").await?;
        close(session).await;
        Ok(())
    }
}

/// What a table's part says beside its rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TableMeta {
    schema: String,
    table: String,
    columns: Vec<String>,
    #[expect(dead_code, reason = "for people who read the backup's description")]
    unlogged: bool,
    settings: BTreeMap<String, String>,
    #[expect(dead_code, reason = "for people who read the backup's description")]
    bytes_on_disk: i64,
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
        let encoding = self
            .meta
            .settings
            .get("client_encoding")
            .map_or("UTF8", String::as_str);
        // Truncated and filled in one transaction, the rows need no WAL where `wal_level` is minimal, and are frozen
        // at once (PostgreSQL documentation, COPY, FREEZE).
        let begin = format!(
            "BEGIN; {}; TRUNCATE ONLY {}",
            set_local(encoding, self.major),
            qualified(&self.meta.schema, &self.meta.table)
        );
        wire.run("empty the table", &begin).await?;
        let statement = format!(
            "COPY {} FROM STDIN WITH (FREEZE, {})",
            copy_target(&self.meta.schema, &self.meta.table, &self.meta.columns),
            self.shape.option()
        );
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
        agree(&self.name, self.expected, fingerprint)?;
        if stored != fingerprint.rows {
            return Err(Error::new(
                &MISMATCH,
                format!(
                    "Postgres stored {stored} rows of the {} of part `{}`",
                    fingerprint.rows, self.name
                ),
            ));
        }
        wire.run("commit the rows", "COMMIT").await?;
        Ok((wire, fingerprint))
    }
}

const LOADER: &str = "SET default_transaction_read_only = off; SET statement_timeout = 0; SET synchronous_commit = off";

/// A session that loads: the restored database's or the role's own settings must not stop it. The database is new, so
/// that no pooler can hand these settings to anybody.
async fn open_loader(target: &Target) -> Result<PgConnection> {
    let mut session = open(target, Access::Write).await?;
    run(target, &mut session, LOADER).await?;
    Ok(session)
}

fn agree(name: &str, captured: Option<Fingerprint>, loaded: Fingerprint) -> Result<Fingerprint> {
    if captured == Some(loaded) {
        return Ok(loaded);
    }
    Err(Error::new(
        &MISMATCH,
        match captured {
            Some(captured) => format!(
                "part `{name}` had fingerprint {captured} when it was captured, and has {loaded} now"
            ),
            None => format!("part `{name}` was captured without a fingerprint"),
        },
    ))
}

async fn each_line<T: DeserializeOwned>(
    reader: &mut dyn PartReader,
    mut each: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut rows = Rows::default();
    while let Some(chunk) = reader.next().await? {
        rows.feed(&chunk, |row| {
            let line = serde_json::from_slice(row)
                .map_err(|e| Error::new(&BAD_PART, "a line is damaged").caused_by(e))?;
            each(line)
        })?;
    }
    rows.end()
}
