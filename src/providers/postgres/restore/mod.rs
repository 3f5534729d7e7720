//! A captured database into a new, empty one: tables, rows over several connections, the indexes and keys of each table as soon
//! as it is full, sequences, then foreign keys and triggers. Everything that is loaded is fingerprinted on the way in and
//! compared with what was captured.

mod back;
mod create;
mod load;
mod only;
mod owners;
mod place;
mod plan;
mod quiet;
mod ready;
mod rename;
mod roles;
mod statements;
mod subscriptions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::archive::Section;
use super::capture::{format, prefix};
use super::copy::Rows;
use super::enumerate::{MatView, SequenceState, user_schema};
use super::identify::make_marker_table;
use super::session::{Access, close, open, run, texts};
use super::sql::{literal, qualified};
use super::{BAD_PART, MISMATCH, Target, dump, large_objects, refuse_pooler, tools};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader, PartSource};
use crate::error::{Context as _, Error, Result};
use crate::event::Events;
use crate::wait::Cancel;

pub use back::{
    BackOptions, REASONS as BACK_REASONS, TableBack, TableSeen, TiesSeen, find_table, is_back,
    look_at_away, look_at_table, put_back, take_away,
};
pub use create::create_database;
use load::Loader;
pub use only::{Chosen, Selection, choose};
pub use place::exists;
use place::{Archive, refuse_unless_empty, roles_at_hand};
use plan::{Plan, Rest};
pub use ready::{Extension, LiveFacts, Readiness, readiness};
pub use rename::{Renamed, RoleMap, captured_roles, role_pair};
use roles::{Carried, settings_left_out};
use subscriptions::Apart;

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
    /// Whether nobody will work with the result, which is compared and removed: without statistics, and with the quickest
    /// compression that the server has for long values.
    pub throwaway: bool,
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
    /// How long each phase took, in order: `schema`, `rows and indexes`, `keys and triggers`, `refresh and analyze`.
    pub phases: Vec<(&'static str, Duration)>,
    /// Parts whose fingerprints of the live database need not equal the captured ones, by name, and why: what was
    /// left out, or is spelled differently by another major version.
    pub incomparable: BTreeMap<String, String>,
    /// What is not as it was, or deserves a word; one line each.
    pub notes: Vec<String>,
}

/// The names of the databases whose parts these are.
pub fn captured_databases(parts: &[PartInfo]) -> Vec<String> {
    parts
        .iter()
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
    #[serde(default)]
    subscriptions: Vec<String>,
    #[expect(dead_code, reason = "for people who read the backup's description")]
    warnings: Vec<String>,
}

impl SchemaMeta {
    fn of(source: &dyn PartSource, captured: &str) -> Result<SchemaMeta> {
        let name = format!("{}schema", prefix(captured));
        let part = part_named(source, &name)?.ok_or_else(|| {
            let there = captured_databases(&source.parts("postgres/"));
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
    let carried = Carried::read(source, captured).await?;
    let mut session = open(server, Access::Read).await?;
    let leave = MissingRoles::LeaveOut;
    let found = left_out(
        server,
        &mut session,
        &schema,
        &carried,
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
    carried: &Carried,
    roles: MissingRoles,
    notes: &mut Vec<String>,
) -> Result<(bool, BTreeMap<String, String>)> {
    let captured = &schema.database.name;
    let major = super::session::major(target, session).await?;
    let before = notes.len();
    let mut named = schema.roles.clone();
    if roles == MissingRoles::Create {
        let more = carried.names().into_iter();
        named.extend(more.filter(|name| !schema.roles.contains(name)));
    }
    let ownership = roles_at_hand(target, session, &named, carried, roles, notes).await?;
    let mut incomparable = BTreeMap::new();
    if !ownership {
        let why = notes.get(before).cloned();
        incomparable.insert(
            format!("{}ownership", prefix(captured)),
            why.unwrap_or_else(|| "owners and grants were left out".to_owned()),
        );
    }
    let beyond = carried.unsettable(target, session).await?;
    if !beyond.is_empty() {
        incomparable
            .entry(format!("{}ownership", prefix(captured)))
            .or_insert_with(|| settings_left_out(target, &beyond));
    }
    for (part, why) in carried.unseen(target, session).await? {
        incomparable.entry(part).or_insert(why);
    }
    if major != schema.database.major {
        let from = schema.database.major;
        for (part, why) in [
            ("catalogue", "which may spell definitions differently"),
            ("ownership", "which may have other privileges to grant"),
        ] {
            incomparable
                .entry(format!("{}{part}", prefix(captured)))
                .or_insert_with(|| {
                    format!("captured from Postgres {from}, restored into {major}, {why}")
                });
        }
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
    carried: Carried,
    major: u32,
    ownership: bool,
    /// Whether sessions can begin with event triggers off.
    off: bool,
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
        let carried = Carried::read(source, captured).await?;
        let mut session = open_loader(target).await?;
        let major = super::session::major(target, &mut session).await?;
        let off = quiet::can_be_off(target, &mut session, major).await?;
        let mut notes = Vec::new();
        let (ownership, incomparable) = left_out(
            target,
            &mut session,
            &schema,
            &carried,
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
            carried,
            major,
            ownership,
            off,
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
        let mut entries = archive.entries()?;
        self.drop_public_unless_captured().await?;
        let mut list = None;
        if let Some(entries) = &mut entries
            && plan::without_scheduler(entries)
        {
            let before = entries.iter().filter(|e| e.section == Section::PreData);
            let ids: Vec<i32> = before.map(|e| e.id).collect();
            list = Some(Archive::of_entries(&self.options.work_dir, &ids)?);
        }
        self.section(&archive, "pre-data", 1, list.as_ref()).await?;
        let began = self.phase("schema", began);
        let mut parts = self.source.parts(&format!("{}table/", self.prefix));
        parts.retain(|part| self.chosen.as_ref().is_none_or(|c| c.holds(part)));
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        let listed = self.listed(&archive).await?;
        if let (Some(entries), Some(listed)) = (&mut entries, &listed) {
            let wanted = plan::numbers(listed);
            entries.retain(|e| e.section != Section::PostData || wanted.contains(&e.id));
        }
        let mut plan = Plan::new(entries.as_deref(), &plan::names(&parts));
        let loader = Loader::new(
            self.target,
            self.source,
            self.options,
            self.major,
            parts,
            &mut plan,
        );
        self.tables(&loader).await?;
        self.sequences().await?;
        self.large_objects().await?;
        let began = self.phase("rows and indexes", began);
        loader.keys(&plan.keys).await?;
        if !self.options.throwaway {
            // Before there are event triggers that would see it, or refuse it.
            make_marker_table(self.target).await?;
        }
        self.post_data(&archive, listed.as_deref(), plan.rest.as_ref())
            .await?;
        drop(archive);
        let began = self.phase("keys and triggers", began);
        self.refresh_and_analyze().await?;
        self.role_settings().await?;
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

    /// The archive's contents as `pg_restore` lists them, without the keys that do not hold for a selection; `None` where nothing
    /// is chosen from them.
    async fn listed(&self, archive: &Archive) -> Result<Option<String>> {
        if self.chosen.is_none() && self.schema.subscriptions.is_empty() {
            return Ok(None);
        }
        let all = dump::contents(self.target, &self.tool, archive.path()).await?;
        Ok(Some(match &self.chosen {
            Some(chosen) => chosen.without_keys(&all)?,
            None => all,
        }))
    }

    /// Lets `pg_restore` run what we did not, which are the entries in `rest`; without it, all of them. Subscriptions come last,
    /// and event triggers after them.
    async fn post_data(
        &mut self,
        archive: &Archive,
        listed: Option<&str>,
        rest: Option<&Rest>,
    ) -> Result<()> {
        let folder = self.options.work_dir.clone();
        let list = |ids: Option<&[i32]>| match (listed, ids) {
            (Some(listed), ids) => {
                Archive::of_text(&folder, &Apart::of(listed, ids).others).map(Some)
            }
            (None, Some(ids)) => Archive::of_entries(&folder, ids).map(Some),
            (None, None) => Ok(None),
        };
        match rest {
            Some(rest) => {
                for (ids, side_by_side) in rest.shares() {
                    let jobs = if side_by_side { self.options.jobs } else { 1 };
                    let list = list(Some(ids))?;
                    self.section(archive, "post-data", jobs, list.as_ref())
                        .await?;
                }
            }
            // Which of them attach indexes is not known.
            None => {
                let list = list(None)?;
                self.section(archive, "post-data", 1, list.as_ref()).await?;
            }
        }
        let apart = Apart::of(listed.unwrap_or_default(), None);
        if !self.schema.subscriptions.is_empty() {
            let ours = Archive::of_text(&folder, &apart.subscriptions)?;
            let how = self.loading("post-data", 1, Some(ours.path()));
            subscriptions::restore(
                self.target,
                &self.tool,
                archive,
                &how,
                &self.schema.subscriptions,
                &mut self.done.notes,
            )
            .await?;
        }
        if !apart.event_triggers.is_empty() {
            let last = Archive::of_text(&folder, &apart.event_triggers)?;
            self.section(archive, "post-data", 1, Some(&last)).await?;
        }
        Ok(())
    }

    fn loading<'l>(
        &self,
        section: &'l str,
        jobs: usize,
        list: Option<&'l Path>,
    ) -> dump::Loading<'l> {
        dump::Loading {
            section,
            jobs,
            ownership: self.ownership,
            major: self.major,
            options: quiet::option(self.off),
            list,
        }
    }

    async fn section(
        &mut self,
        archive: &Archive,
        section: &str,
        jobs: usize,
        list: Option<&Archive>,
    ) -> Result<()> {
        let words = dump::restore_section(
            self.target,
            &self.tool,
            archive.path(),
            &self.loading(section, jobs, list.map(Archive::path)),
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

    /// Rows and indexes, then foreign keys.
    async fn tables(&mut self, loader: &Loader<'_>) -> Result<()> {
        let loaded = loader.run().await?;
        for ((part, _), fingerprint) in loader.tables.iter().zip(loaded) {
            self.done.bytes += part.bytes;
            self.done.parts.push((part.name.clone(), fingerprint));
        }
        Ok(())
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
        let owned = if self.ownership {
            owners::own_large_objects(self.target, self.source, &self.schema.database.name).await?
        } else {
            0
        };
        if owned == 0 {
            self.done
                .notes
                .push("large objects belong to the role that restored them".to_owned());
        }
        self.done.bytes += part.bytes;
        let fingerprint = agree(&name, part.fingerprint, loaded)?;
        self.done.parts.push((name, fingerprint));
        Ok(())
    }

    /// Last, so that no setting bears on the restore.
    async fn role_settings(&mut self) -> Result<()> {
        let mut session = quiet::open_quiet(self.target, self.off).await?;
        let notes = &mut self.done.notes;
        let all = self.carried.set(self.target, &mut session, notes).await?;
        close(session).await;
        if !all {
            let name = format!("{}ownership", self.prefix);
            let why = "settings of roles in the database were left out".to_owned();
            self.done.incomparable.entry(name).or_insert(why);
        }
        Ok(())
    }

    async fn refresh_and_analyze(&mut self) -> Result<()> {
        // Filling a view and expressions of indexes may call functions that count on the database's own search path.
        let (mut session, path) = quiet::open_given(self.target, self.off).await?;
        for view in self.schema.matviews.iter().filter(|view| view.populated) {
            let name = qualified(&view.schema, &view.name);
            let shown = format!("{}.{}", view.schema, view.name);
            let note = match quiet::refresh(self.target, &mut session, &name, &path).await {
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
        if self.options.throwaway {
            close(session).await;
            return Ok(());
        }
        // Ordinary tables have their statistics already; parents add up those of their children, and extended ones did not exist.
        let sql = format!(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {} AND (c.relkind IN ('p', 'm') OR c.relkind = 'r' AND (
                 EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
                 OR EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxrelid = c.oid))) ORDER BY 1",
            user_schema()
        );
        let names = texts(self.target, &mut session, "list what has parts", &sql).await?;
        let given = quiet::set_path(&path, false);
        run(self.target, &mut session, &given).await?;
        for name in names {
            run(self.target, &mut session, &format!("ANALYZE {name}")).await?;
        }
        close(session).await;
        Ok(())
    }
}

/// What every session that loads begins with.
pub(super) fn loader_settings() -> String {
    format!(
        "SET search_path = ''; SET tcp_keepalives_idle = 60; SET default_transaction_read_only = off; SET synchronous_commit = off; {}",
        super::session::NO_LIMITS
    )
}

/// A session that loads: the restored database's or the role's own settings must not stop it. The database is new, so
/// that no pooler can hand these settings to anybody.
async fn open_loader(target: &Target) -> Result<PgConnection> {
    let mut session = open(target, Access::Write).await?;
    run(target, &mut session, &loader_settings()).await?;
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
