//! `restore.load`: the Postgres database of a backup into a new one beside the live one, compared table by table.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::databases::of_backup;
use super::mend::{Finding, Whose, findings, troubles_of};
use super::preview::preview;
use super::restore::{equal, facts, moment, source, work_dir};
use super::roles::View;
use super::stores::{captured, differences, expected, postgres_formats};
use super::world::World;
use crate::capture::{PartSource as _, Trouble};
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::postgres::{self, Chosen, RoleMap, Selection, poison};
use crate::reasons;
use crate::repository::{BackupId, BackupParts};

/// Arguments of `restore.load`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadArgs {
    /// The backup.
    pub backup: BackupId,
    /// The context whose repository holds the backup, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Which of the backup's databases; its only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The name of the new database, which stays under it. Without one it gets a name of the program's own, for
    /// `restore.swap`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `as`: the tables whose rows are loaded. The others are there, and empty.
    #[serde(default, skip_serializing_if = "Selection::is_empty")]
    pub only: Selection,
    /// Names of roles in the backup, and those of the roles on the target that stand for them.
    #[serde(default, skip_serializing_if = "RoleMap::is_empty")]
    pub roles: RoleMap,
    /// Whether a step before makes the roles that are missing (`restore.mend-roles`), so that owners and grants come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub roles_made: bool,
}

/// What will be loaded beside the live database.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoadChange {
    backup: BackupId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    captured: String,
    aside: String,
    /// The name that the database gets once it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Selection::is_empty")]
    only: Selection,
    #[serde(default, skip_serializing_if = "RoleMap::is_empty")]
    roles: RoleMap,
}

impl LoadChange {
    fn database(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.aside)
    }
}

reasons! {
    /// There is a database of this name.
    NAME_TAKEN = "restore.name-taken", Refused,
        "The server already has a database of the name that `--as` gives, and nothing is ever restored over a database that way. Choose another name, or drop \
         the database if nobody needs it.";
}

/// The step kind `restore.load`.
pub struct Load;

#[async_trait]
impl Step<World> for Load {
    const KIND: &'static str = "restore.load";
    const SUMMARY: &'static str = "Loads a backup's Postgres database beside the live one, or into a new one under a name of its own, and compares every table";
    type Args = LoadArgs;
    type Change = LoadChange;

    fn effect(&self, _: &LoadArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &LoadArgs) -> String {
        let what = match &args.database {
            Some(database) => format!("`{database}`"),
            None => "Postgres".to_owned(),
        };
        let backup = &args.backup;
        match &args.name {
            Some(name) => format!("load {what} of backup {backup} into the new database `{name}`"),
            None => format!("load {what} of backup {backup} beside the live database"),
        }
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &LoadArgs) -> Result<Decision<LoadChange>> {
        let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
        let database = of_backup(&source, args.database.as_deref())?;
        let live = match args.name {
            Some(_) => cx.world.postgres()?.clone(),
            None => live_of(cx.world, &source, &database)?,
        };
        let aside = postgres::made_name(&live.database, "restore", moment(cx.run));
        let Foresight {
            decisive,
            mut shown,
        } = self.foresee(cx, args).await?;
        if args.name.is_none() {
            shown.insert("aside".to_owned(), json!(aside));
        }
        let change = LoadChange {
            backup: args.backup.clone(),
            from: args.from.clone(),
            captured: database,
            aside,
            name: args.name.clone(),
            only: args.only.clone(),
            roles: args.roles.clone(),
        };
        Ok(Decision::Change {
            change,
            decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &LoadArgs) -> Result<Foresight> {
        if let Some(name) = &args.name {
            refuse_taken(cx.world, name).await?;
        }
        if args.name.is_none() && !args.only.is_empty() {
            return Err(
                Error::input("`only` needs `as`: what is swapped in must be whole")
                    .hint("Name the new database with `as`."),
            );
        }
        let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
        let captured_name = of_backup(&source, args.database.as_deref())?;
        let chosen = chosen(&source, &captured_name, &args.only).await?;
        let server = cx.world.postgres()?;
        let view = View::of(&source, &captured_name, &args.roles).await?;
        view.check(&source, &captured_name, server, args.roles_made)
            .await?;
        let missing = match args.roles_made {
            true => postgres::MissingRoles::MadeBefore,
            false => postgres::MissingRoles::LeaveOut,
        };
        let left_out =
            postgres::incomparable_with(server, view.parts(), &captured_name, missing).await?;
        let mut decisive = facts(cx.world, Store::Postgres, &args.backup).await?;
        decisive.insert("left-out".to_owned(), json!(left_out));
        if !args.roles.is_empty() {
            decisive.insert("roles".to_owned(), json!(args.roles));
        }
        let bytes: u64 = captured(&source, Store::Postgres)?
            .parts
            .iter()
            .filter(|p| p.name.starts_with(&postgres::prefix(&captured_name)))
            .filter(|p| chosen.as_ref().is_none_or(|c| c.holds(p)))
            .map(|p| p.bytes)
            .sum();
        let mut shown = Facts::from_iter([("bytes".to_owned(), json!(bytes))]);
        if !args.roles.is_empty() {
            let pairs = args.roles.pairs();
            let lines: Vec<String> = pairs
                .map(|(old, new)| format!("`{old}` becomes `{new}`"))
                .collect();
            shown.insert("roles".to_owned(), json!(lines));
        }
        let live = match args.name {
            Some(_) => None,
            None => Some(live_of(cx.world, &source, &captured_name)?.database),
        };
        let replaced = live.as_deref();
        let preview = preview(cx.world, &source, &captured_name, chosen.as_ref(), replaced).await?;
        let heading = match args.name {
            Some(_) => "what-it-loads",
            None => "what-it-replaces",
        };
        shown.insert(heading.to_owned(), json!(preview.lines()));
        shown.insert("preview".to_owned(), json!(preview));
        if let Some(chosen) = &chosen {
            shown.insert("empty-on-purpose".to_owned(), json!(some(&chosen.empty)));
            shown.insert(
                "foreign-keys-left-out".to_owned(),
                json!(some(&chosen.keys())),
            );
        }
        let noted = troubles_of(captured(&source, Store::Postgres)?, &captured_name);
        if !noted.is_empty() {
            let lines: Vec<String> = noted.iter().map(Trouble::words).collect();
            shown.insert("troubles-in-the-backup".to_owned(), json!(lines));
        }
        if !left_out.is_empty() {
            let reasons: Vec<&str> = left_out.values().map(String::as_str).collect();
            shown.insert("left-out".to_owned(), json!(reasons.join("; ")));
        }
        Ok(Foresight { decisive, shown })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &LoadChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        let target = cx.world.postgres()?;
        cx.world.require_pinned(Store::Postgres).await?;
        grant.still_held().await?;
        let source = source(cx.world, &change.backup, change.from.as_deref()).await?;
        let view = View::of(&source, &change.captured, &change.roles).await?;
        view.check(&source, &change.captured, target, false).await?;
        // What an interrupted attempt left is ours and incomplete.
        postgres::drop_database(target, &change.aside).await?;
        let roles = postgres::MissingRoles::LeaveOut;
        let mut notes =
            postgres::create_database(target, &change.aside, view.parts(), &change.captured, roles)
                .await?;
        let work_dir = work_dir(cx.world, cx.run)?;
        let options = postgres::RestoreOptions {
            key: source.fingerprint_key(),
            jobs: cx.world.jobs,
            share: postgres::SHARE,
            events: cx.events.clone(),
            cancel: cx.cancel.clone(),
            roles,
            only: change.only.clone(),
            throwaway: false,
            work_dir,
        };
        let aside = target.with_database(&change.aside);
        notes.extend(
            postgres::restore(&aside, view.parts(), &change.captured, &options)
                .await?
                .notes,
        );
        for note in notes {
            cx.events.note(note);
        }
        if let Some(name) = &change.name {
            // By its marker it is known again, and by its name that it is whole.
            postgres::plant_marker(&aside, &marker(cx)).await?;
            grant.still_held().await?;
            postgres::give_name(target, &change.aside, name).await?;
        }
        Ok(())
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &LoadChange) -> Result<Observed> {
        let target = cx.world.postgres()?.with_database(change.database());
        if change.name.is_some()
            && postgres::read_marker(&target).await?.as_deref() != Some(&marker(cx))
        {
            return Err(Error::new(
                &NAME_TAKEN,
                format!(
                    "`{}` is not the database that this run made",
                    target.database
                ),
            ));
        }
        let source = source(cx.world, &change.backup, change.from.as_deref()).await?;
        let chosen = chosen(&source, &change.captured, &change.only).await?;
        let view = View::of(&source, &change.captured, &change.roles).await?;
        let compared = Compared {
            source: &source,
            view: &view,
            captured: &change.captured,
            chosen: chosen.as_ref(),
        };
        let (rows, left_out) = compared.with(cx, &target).await?;
        let compared = match (&chosen, left_out.is_empty()) {
            (Some(_), _) => "every selected part equal",
            (None, true) => "every part equal",
            (None, false) => "every other part equal",
        };
        let mut observed = Observed::of(
            json!({"database": change.captured, "aside": change.database(), "rows": rows, "compared": compared, "left-out": left_out}),
        );
        if let Some(chosen) = &chosen {
            let more = [
                ("empty-on-purpose", json!(chosen.empty)),
                ("foreign-keys-left-out", json!(chosen.keys())),
            ];
            observed
                .0
                .extend(more.map(|(name, value)| (name.to_owned(), value)));
        }
        let noted = troubles_of(captured(&source, Store::Postgres)?, &change.captured);
        let looked = poison::scan(&target, &change.captured, &noted).await?;
        let whose = match &change.name {
            Some(name) => Whose::Copy(name),
            None => Whose::Live(&live_of(cx.world, &source, &change.captured)?.database),
        };
        let mut findings = findings(&looked, whose, &cx.world.context);
        let parts = view.parts().parts(&postgres::prefix(&change.captured));
        let named: Vec<String> = postgres::captured_roles(&parts).into_iter().collect();
        for role in poison::missing_roles(&target, &named).await? {
            findings.push(Finding::missing_role(&role));
        }
        observed.0.insert("findings".to_owned(), json!(findings));
        Ok(observed)
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &LoadChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let target = cx.world.postgres()?;
        postgres::drop_database(target, &change.aside).await?;
        if let Some(name) = &change.name {
            postgres::drop_copy(target, name, &marker(cx)).await?;
        }
        Ok(Undo::Done(Observed::of(
            json!({"dropped": change.database()}),
        )))
    }
}

/// The live database that a captured one takes the place of.
pub(super) fn live_of(
    world: &World,
    source: &BackupParts,
    captured: &str,
) -> Result<postgres::Target> {
    world.live_of(
        captured,
        &postgres::captured_databases(&source.parts("postgres/")),
    )
}

/// What a database that was restored under a name of somebody's choice holds.
fn marker(cx: &ReadCx<'_, World>) -> String {
    format!("{}-{}", cx.run, cx.step)
}

async fn refuse_taken(world: &World, name: &str) -> Result<()> {
    postgres::check_name(name)?;
    let server = world.postgres()?;
    if !postgres::exists(server, name).await? {
        return Ok(());
    }
    Err(Error::new(
        &NAME_TAKEN,
        format!(
            "Postgres at `{}` already has a database `{name}`",
            server.endpoint()
        ),
    )
    .hint("Choose another name with `--as NAME`."))
}

/// What a selection is in this backup; nothing if all is wanted.
async fn chosen(source: &BackupParts, captured: &str, only: &Selection) -> Result<Option<Chosen>> {
    if only.is_empty() {
        return Ok(None);
    }
    postgres::choose(source, captured, only).await.map(Some)
}

/// The first of many names, for people.
fn some(names: &[String]) -> Vec<String> {
    const SHOWN: usize = 12;
    let mut shown: Vec<String> = names.iter().take(SHOWN).cloned().collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown
}

/// What a restored database is compared with.
struct Compared<'a> {
    source: &'a BackupParts,
    view: &'a View<'a>,
    captured: &'a str,
    chosen: Option<&'a Chosen>,
}

impl Compared<'_> {
    /// Compares a restored database with what was captured, whatever it is called now; returns the rows that were compared,
    /// and what could not be.
    async fn with(
        &self,
        cx: &ReadCx<'_, World>,
        target: &postgres::Target,
    ) -> Result<(u64, BTreeMap<String, String>)> {
        let (source, captured) = (self.source, self.captured);
        let options = postgres::CaptureOptions {
            patience: cx.world.patience,
            stretch: postgres::STRETCH,
            key: source.fingerprint_key(),
            formats: postgres_formats(source),
            jobs: cx.world.jobs,
            events: cx.events.clone(),
            cancel: cx.cancel.clone(),
        };
        let wanted = postgres::prefix(captured);
        let mut measured = postgres::fingerprints_as(target, captured, &options).await?;
        let mut expected = expected(source, Store::Postgres);
        let mut left_out = postgres::incomparable(target, self.view.parts(), captured).await?;
        if let Some(chosen) = self.chosen {
            if !chosen.keys().is_empty() {
                let why = "foreign keys of what was not selected were left out";
                left_out.insert(format!("{wanted}catalogue"), why.to_owned());
            }
            // What was not selected must be there, and empty.
            for part in source.parts(&wanted).iter().filter(|p| !chosen.holds(p)) {
                let none = source.fingerprint_key().start().finish();
                expected.insert(part.name.clone(), none);
            }
        }
        expected.retain(|name, _| name.starts_with(&wanted) && !left_out.contains_key(name));
        measured.retain(|name, _| !left_out.contains_key(name));
        let ownership = format!("{wanted}ownership");
        let mut found = Vec::new();
        if let (View::Renamed(renamed), false) = (self.view, left_out.contains_key(&ownership)) {
            // Under other names the fingerprints differ; what they are made of must not.
            expected.remove(&ownership);
            measured.remove(&ownership);
            found = renamed.differences(target, captured).await?;
        }
        let differ: Vec<&String> = expected
            .iter()
            .filter(|(part, sum)| measured.get(*part) != Some(sum))
            .map(|(part, _)| part)
            .collect();
        let survey = postgres::survey_catalogue(
            target,
            self.view.parts(),
            captured,
            &differ,
            postgres::MissingRoles::LeaveOut,
        );
        let survey = survey.await?;
        expected.retain(|name, _| !survey.excused.contains_key(name));
        measured.retain(|name, _| !survey.excused.contains_key(name));
        left_out.extend(survey.excused);
        found.extend(differences(&expected, &measured));
        found.extend(survey.named);
        equal(&found, "the restored database")?;
        Ok((expected.values().map(|f| f.rows).sum(), left_out))
    }
}
