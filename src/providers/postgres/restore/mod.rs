//! A captured database into a new, empty one: tables, rows over several connections, the indexes and keys of each table as soon
//! as it is full, sequences, then foreign keys and triggers. Everything that is loaded is fingerprinted on the way in and
//! compared with what was captured.

mod back;
mod compare;
mod create;
mod left_out;
mod lesser;
mod load;
mod made_roles;
mod only;
mod owners;
mod place;
mod plan;
pub(super) mod quiet;
mod ready;
mod rename;
mod roles;
mod sequences;
mod spread;
mod statements;
mod subscriptions;
mod views;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::archive::{Entry, Section};
use super::capture::{format, prefix};
use super::copy::Rows;
use super::enumerate::MatView;
use super::identify::make_marker_table;
use super::session::{Access, close, open, run};
use super::sql::ident;
use super::{BAD_PART, MISMATCH, Target, dump, large_objects, refuse_pooler, tools};
use crate::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader, PartSource};
use crate::error::{Context as _, Error, Result};
use crate::event::Events;
use crate::wait::Cancel;

pub use back::{
    BackOptions, REASONS as BACK_REASONS, TableBack, TableSeen, TiesSeen, find_table, is_back,
    look_at_away, look_at_table, put_back, take_away,
};
pub use compare::{Survey, survey};
pub use create::create_database;
use left_out::{Roles, left_out, without_event_triggers};
pub use left_out::{incomparable, incomparable_with};
use lesser::{EVENT_TRIGGER, Lent, Needs};
use load::Loader;
pub use made_roles::{drop_roles, make_roles, may_make_roles};
pub use only::{Chosen, Selection, choose};
pub use place::exists;
use place::{Archive, refuse_unless_empty};
use plan::{Plan, Rest};
pub use ready::{Extension, LiveFacts, Readiness, readiness};
pub use rename::{Renamed, RoleMap, captured_roles, role_pair};
use roles::Carried;
pub use spread::SHARE;
use subscriptions::Apart;

/// What to do about roles that the capture names and the server lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingRoles {
    /// Make them, without login: right on a scratch server, where owners and grants are to be proved too.
    Create,
    /// Leave owners and grants out, and say so.
    LeaveOut,
    /// They will have been made before the restore begins: [`make_roles`].
    MadeBefore,
}

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    /// The key of the row hashes.
    pub key: FingerprintKey,
    /// How many tables are loaded, and indexes built, at once; at least 1.
    pub jobs: usize,
    /// Bytes of a table from which on another connection helps to fill it: [`SHARE`].
    pub share: u64,
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
        let mut work = Box::pin(Work::begin(target, source, captured, options)).await?;
        Box::pin(work.all()).await?;
        Ok(work.done)
    };
    options.cancel.guard(work).await
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
    /// Whether a role that is no superuser gives objects to their owners.
    gives_away: bool,
    /// Whether sessions can begin with event triggers off.
    off: bool,
    /// The captured ones.
    event_triggers: Vec<String>,
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
        let needs = Needs::of(source, captured, &schema.roles).await?;
        let (ownership, incomparable) = left_out(
            target,
            &mut session,
            &schema,
            &Roles {
                needs: &needs,
                carried: &carried,
                missing: options.roles,
            },
            &mut notes,
        )
        .await?;
        let lesser = !lesser::is_superuser(target, &mut session).await?;
        close(session).await;
        let chosen = if options.only.is_empty() {
            None
        } else {
            Some(choose(source, captured, &options.only).await?)
        };
        Ok(Work {
            event_triggers: needs.event_triggers,
            chosen,
            tool: tools::pg_restore(major, schema.dump_major)?,
            prefix: prefix(captured),
            target,
            source,
            options,
            schema,
            carried,
            major,
            gives_away: ownership && lesser,
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
        let mut archive = self.fetch_archive().await?;
        let mut entries = archive.entries()?;
        self.drop_public_unless_captured().await?;
        let mut chosen = entries.as_mut().is_some_and(plan::without_scheduler);
        let mut before = entries.clone().unwrap_or_default();
        before.retain(|e| e.section == Section::PreData);
        let mut lent = Lent::default();
        if self.gives_away
            && let Some(entries) = &entries
        {
            archive = archive.for_lesser(&self.options.work_dir, entries)?;
            let (schemas, rest): (Vec<Entry>, Vec<Entry>) =
                before.into_iter().partition(|e| e.kind == "SCHEMA");
            self.before_data(&archive, Some(&schemas)).await?;
            let mut session = open_loader(self.target).await?;
            lent = Lent::lend(self.target, &mut session, entries).await?;
            close(session).await;
            (before, chosen) = (rest, true);
        }
        self.before_data(&archive, chosen.then_some(&before[..]))
            .await?;
        let began = self.phase("schema", began);
        let mut parts = self.source.parts(&format!("{}table/", self.prefix));
        parts.retain(|part| self.chosen.as_ref().is_none_or(|c| c.holds(part)));
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        let listed = self.listed(&archive, entries.as_deref()).await?;
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
        Box::pin(self.tables(&loader)).await?;
        self.sequences().await?;
        self.large_objects().await?;
        let began = self.phase("rows and indexes", began);
        loader.keys(&plan.keys).await?;
        if !self.options.throwaway && has_event_triggers(entries.as_deref()) {
            // Before they would see it, or refuse it.
            make_marker_table(self.target).await?;
        }
        Box::pin(self.post_data(&archive, listed.as_deref(), plan.rest.as_ref())).await?;
        if !lent.is_empty() {
            let mut session = quiet::open_quiet(self.target, self.off).await?;
            let again = lent.take_back(self.target, &mut session, &before).await?;
            close(session).await;
            self.before_data(&archive, Some(&again)).await?;
        }
        drop(archive);
        let began = self.phase("keys and triggers", began);
        Box::pin(self.refresh_and_analyze()).await?;
        self.role_settings().await?;
        self.limit_connections().await?;
        self.phase("refresh and analyze", began);
        self.done.parts.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(())
    }

    async fn may_make_event_triggers(&self) -> Result<bool> {
        let mut session = open_loader(self.target).await?;
        let may = lesser::makes_event_triggers(self.target, &mut session).await?;
        close(session).await;
        Ok(may)
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
    async fn listed(&self, archive: &Archive, entries: Option<&[Entry]>) -> Result<Option<String>> {
        let apart = !self.schema.subscriptions.is_empty() || has_event_triggers(entries);
        if self.chosen.is_none() && !apart {
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
                let how = dump::Loading {
                    list_of_all: true,
                    ..self.loading("post-data", 1, list.as_ref().map(Archive::path))
                };
                let words =
                    dump::restore_section(self.target, &self.tool, archive.path(), &how).await;
                self.done.notes.extend(words?);
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
            let made = self.section(archive, "post-data", 1, Some(&last)).await;
            if made.is_err() && !self.may_make_event_triggers().await? {
                let named = without_event_triggers(self.target, &self.event_triggers);
                self.done.notes.push(named);
            } else {
                made?;
            }
        }
        Ok(())
    }

    /// What stands before the data, or these entries of it.
    async fn before_data(&mut self, archive: &Archive, only: Option<&[Entry]>) -> Result<()> {
        let list = match only {
            Some([]) => return Ok(()),
            Some(entries) => {
                let ids: Vec<i32> = entries.iter().map(|e| e.id).collect();
                Some(Archive::of_entries(&self.options.work_dir, &ids)?)
            }
            None => None,
        };
        self.section(archive, "pre-data", 1, list.as_ref()).await
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
            list_of_all: false,
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

    /// Last, since the restore itself may need more than the database allows.
    async fn limit_connections(&self) -> Result<()> {
        let limit = self.schema.database.connection_limit;
        if limit < 0 {
            return Ok(());
        }
        let name = ident(&self.target.database);
        let mut session = quiet::open_quiet(self.target, self.off).await?;
        let alter = format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}");
        run(self.target, &mut session, &alter).await?;
        close(session).await;
        Ok(())
    }

    /// Late, so that no setting bears on the restore.
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
}

/// Whether there are some, as far as is known.
fn has_event_triggers(entries: Option<&[Entry]>) -> bool {
    entries.is_none_or(|all| all.iter().any(|e| e.kind == EVENT_TRIGGER))
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
