//! `restore.mend`: what came back with a backup and would keep the restored copy from working is mended in it, after it was
//! compared and before anybody works with it; and how what is left is told.

use std::collections::BTreeSet;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::databases::of_backup;
use super::load::live_of;
use super::restore::{moment, source};
use super::stores::captured;
use super::world::World;
use crate::capture::{Captured, Trouble};
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::postgres::poison::{self, Found, Looked, Mend};
use crate::providers::postgres::{self, migrations};
use crate::reasons;
use crate::repository::{BackupId, BackupParts};

reasons! {
    /// What was to be mended is as it was.
    NOT_MENDED = "restore.not-mended", Failed,
        "Something in the restored copy that was to be mended is as it was; the message names it. Nothing live was touched. Restore without `--mend` and mend it by hand, or look at the copy.";
}

/// Arguments of `restore.mend`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MendArgs {
    /// The backup.
    pub backup: BackupId,
    /// The context whose repository holds the backup, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Which of the backup's databases; its only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The name that `restore.load` of this run was given; without one, the database that it made for `restore.swap`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is mended.
    pub mend: BTreeSet<Mend>,
}

/// What will be mended.
#[derive(Debug, Serialize, Deserialize)]
pub struct MendChange {
    backup: BackupId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    captured: String,
    aside: String,
    copy: bool,
    found: Vec<Found>,
}

/// Something in a restored copy that somebody has to know.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// `locks`, `sequences`, `indexes`, `roles`, or `unmeasured`.
    pub kind: &'static str,
    /// What it is.
    pub what: String,
    /// The command or statement that mends it.
    pub next: Option<String>,
}

impl Finding {
    /// A role that the backup names and the server lacks.
    pub fn missing_role(role: &str) -> Finding {
        Finding {
            kind: "roles",
            what: format!("the role `{role}`, which the backup names, is missing"),
            next: Some(format!(
                "CREATE ROLE {}, or restore with `--mend roles` or `--map-role '{role}=NAME'`",
                crate::providers::postgres::sql::ident(role)
            )),
        }
    }
}

/// What a restored copy will be called.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// It keeps a name of its own.
    Copy(&'a str),
    /// It takes the place of a live database.
    Live(&'a str),
}

/// What a look at a restored copy found, each with what is to be done.
pub fn findings(looked: &Looked, whose: Whose<'_>, context: &str) -> Vec<Finding> {
    let found = looked.found.iter().map(|one| {
        let next = match (&one.trouble, &one.row, whose) {
            (Trouble::Lock { key, .. }, Some(row), Whose::Live(live)) => {
                let id = format!("{live}:{}.{}:{key}", row.schema, row.table);
                format!("summitctl migrate lock clear --lock '{id}' --context {context}")
            }
            (_, _, Whose::Live(name) | Whose::Copy(name)) => {
                format!("in `{name}`: {}", one.by_hand())
            }
        };
        Finding {
            kind: Mend::of(&one.trouble).name(),
            what: one.trouble.words(),
            next: Some(next),
        }
    });
    let unmeasured = looked.unmeasured.iter().map(|line| Finding {
        kind: "unmeasured",
        what: line.clone(),
        next: None,
    });
    found.chain(unmeasured).collect()
}

/// What a backup says of one of its databases.
pub fn troubles_of(captured: &Captured, database: &str) -> Vec<Trouble> {
    let all = captured.troubles.iter().flatten();
    all.filter(|t| t.database() == database).cloned().collect()
}

/// The step kind `restore.mend`.
pub struct MendCopy;

/// What was foreseen: of which database, and what its backup says, if it says anything.
struct Foreseen {
    captured: String,
    noted: Option<Vec<Trouble>>,
    foresight: Foresight,
}

#[async_trait]
impl Step<World> for MendCopy {
    const KIND: &'static str = "restore.mend";
    const SUMMARY: &'static str = "Mends in a restored copy what its backup brought along: held migration locks, sequences that are behind, indexes that were not valid";
    type Args = MendArgs;
    type Change = MendChange;

    fn effect(&self, _: &MendArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &MendArgs) -> String {
        let words: Vec<&str> = args.mend.iter().map(|m| m.name()).collect();
        format!(
            "mend {} in the restored copy, after it was compared",
            words.join(", ")
        )
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &MendArgs) -> Result<Decision<MendChange>> {
        if args.mend.contains(&Mend::Roles) {
            return Err(Error::input(
                "roles belong to the server, and are not mended in a restored copy",
            )
            .hint("Make them by a step `restore.mend-roles` before `restore.load`."));
        }
        let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
        let foreseen = foreseen(&source, args)?;
        let aside = match &args.name {
            Some(name) => name.clone(),
            None => {
                let live = live_of(cx.world, &source, &foreseen.captured)?;
                postgres::made_name(&live.database, "restore", moment(cx.run))
            }
        };
        let copies = args.name.is_some();
        let copy = cx.world.postgres()?.with_database(&aside);
        let noted = foreseen.noted.as_deref();
        let looked = poison::scan(&copy, &foreseen.captured, noted.unwrap_or_default()).await?;
        let wanted = |f: &&Found| {
            let planned = noted.is_none_or(|all| all.iter().any(|t| poison::same(t, &f.trouble)));
            args.mend.contains(&Mend::of(&f.trouble)) && f.mendable() && planned
        };
        let found: Vec<Found> = looked.found.iter().filter(wanted).cloned().collect();
        if found.is_empty() {
            return Ok(Decision::Done(seen(
                cx,
                &source,
                copies,
                &foreseen.captured,
                &aside,
                &looked,
                &[],
            )?));
        }
        let mut shown = foreseen.foresight.shown;
        shown.insert("mends".to_owned(), json!(lines(&found)));
        Ok(Decision::Change {
            change: MendChange {
                backup: args.backup.clone(),
                from: args.from.clone(),
                captured: foreseen.captured,
                aside,
                copy: copies,
                found,
            },
            decisive: foreseen.foresight.decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &MendArgs) -> Result<Foresight> {
        let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
        foreseen(&source, args).map(|f| f.foresight)
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &MendChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        cx.world.require_pinned(Store::Postgres).await?;
        grant.still_held().await?;
        let copy = cx.world.postgres()?.with_database(&change.aside);
        for line in poison::mend(&copy, &change.found, grant.consent()).await? {
            cx.events.note(line);
        }
        Ok(())
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &MendChange) -> Result<Observed> {
        let copy = cx.world.postgres()?.with_database(&change.aside);
        let source = source(cx.world, &change.backup, change.from.as_deref()).await?;
        let noted = troubles_of(captured(&source, Store::Postgres)?, &change.captured);
        let now = poison::scan(&copy, &change.captured, &noted).await?;
        let stays = |f: &Found| {
            now.found
                .iter()
                .any(|n| poison::same(&n.trouble, &f.trouble))
        };
        // It was all one transaction. An index that its values do not allow is told and stops nobody; if it is all that there was to do,
        // nobody could tell it from one that was never tried.
        let index = |f: &Found| Mend::of(&f.trouble) == Mend::Indexes;
        let nothing = change.found.iter().all(stays);
        if let Some(left) = change
            .found
            .iter()
            .find(|f| stays(f) && (nothing || !index(f)))
        {
            let what = left.trouble.words();
            return Err(Error::new(
                &NOT_MENDED,
                format!("in `{}` {what}", change.aside),
            ));
        }
        let mended: Vec<Found> = change.found.iter().filter(|f| !stays(f)).cloned().collect();
        for lock in mended.iter().filter_map(|f| f.row.as_ref()) {
            migrations::prove_takeable(&copy, lock).await?;
        }
        seen(
            cx,
            &source,
            change.copy,
            &change.captured,
            &change.aside,
            &now,
            &mended,
        )
    }

    async fn undo(
        &self,
        _: &ApplyCx<'_, World>,
        change: &MendChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        Ok(Undo::Kept(format!(
            "`{}` stays mended as long as it is there",
            change.aside
        )))
    }
}

fn foreseen(source: &BackupParts, args: &MendArgs) -> Result<Foreseen> {
    let database = of_backup(source, args.database.as_deref())?;
    let captured = captured(source, Store::Postgres)?;
    let noted = captured.troubles.as_ref().map(|_| {
        let mut all = troubles_of(captured, &database);
        all.retain(|t| args.mend.contains(&Mend::of(t)));
        all
    });
    let lines: Vec<String> = match &noted {
        None => vec![
            "the backup says nothing of what is in it: whatever of this is found in the copy, which the evidence will list".to_owned(),
        ],
        Some(all) if all.is_empty() => vec!["the backup notes none of this; columns without an index were not asked when it was made".to_owned()],
        Some(all) => all.iter().map(poison::mending).collect(),
    };
    Ok(Foreseen {
        captured: database,
        foresight: Foresight {
            decisive: Facts::from_iter([("noted".to_owned(), json!(noted))]),
            shown: Facts::from_iter([("mends".to_owned(), json!(lines))]),
        },
        noted,
    })
}

fn lines(found: &[Found]) -> Vec<String> {
    found.iter().map(Found::mending).collect()
}

fn seen(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    copy: bool,
    captured: &str,
    aside: &str,
    now: &Looked,
    mended: &[Found],
) -> Result<Observed> {
    let live = live_of(cx.world, source, captured);
    let live = if copy { None } else { Some(live?.database) };
    let whose = live.as_deref().map_or(Whose::Copy(aside), Whose::Live);
    let before: Vec<_> = mended.iter().filter_map(|f| f.row.as_ref()).collect();
    Ok(Observed::of(json!({
        "database": captured,
        "aside": aside,
        "mended": lines(mended),
        "before": before,
        "compared": if mended.is_empty() { "nothing was changed after the comparison" } else { "these were changed after the comparison with the backup, and differ from it now" },
        "findings": findings(now, whose, &cx.world.context),
    })))
}
