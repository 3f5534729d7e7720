//! `restore.table`: one lost table of a backup straight back into the live database, in one transaction; and `restore.table-away`,
//! which takes it away again.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::databases::of_backup;
use super::restore::{DIFFERENT, facts, moment, source};
use super::world::World;
use crate::capture::PartSource as _;
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::postgres::{self, BackOptions, TableBack, TiesSeen, captured_databases};
use crate::repository::{BackupId, BackupParts};
use crate::time::human_bytes;

/// Arguments of `restore.table`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableArgs {
    /// The backup.
    pub backup: BackupId,
    /// Which of the backup's databases; its only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The table, as `SCHEMA.TABLE`.
    pub table: String,
    /// Whether a table of this name that holds rows is moved aside; otherwise it is refused.
    #[serde(default)]
    pub replace: bool,
}

/// What will be put back.
#[derive(Debug, Serialize, Deserialize)]
pub struct TableChange {
    backup: BackupId,
    captured: String,
    live: String,
    what: TableBack,
}

/// The step kind `restore.table`.
pub struct Table;

/// What both the plan and the forecast look at.
struct Looked {
    change: TableChange,
    foresight: Foresight,
}

#[async_trait]
impl Step<World> for Table {
    const KIND: &'static str = "restore.table";
    const SUMMARY: &'static str = "Puts one table of a backup back into the live Postgres database, in one transaction; a table that is there moves aside";
    const MOST: Effect = Effect::Destroy;
    type Args = TableArgs;
    type Change = TableChange;

    fn effect(&self, args: &TableArgs) -> Effect {
        if args.replace {
            Effect::Destroy
        } else {
            Effect::Change
        }
    }

    fn title(&self, args: &TableArgs) -> String {
        format!("put table {} of backup {} back", args.table, args.backup)
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &TableArgs,
    ) -> Result<Decision<TableChange>> {
        let Looked { change, foresight } = look(cx, args).await?;
        Ok(Decision::Change {
            change,
            decisive: foresight.decisive,
            shown: foresight.shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &TableArgs) -> Result<Foresight> {
        look(cx, args).await.map(|looked| looked.foresight)
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &TableChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        cx.world.require_pinned_database(&change.live).await?;
        let live = cx.world.postgres()?.with_database(&change.live);
        let source = source(cx.world, &change.backup, None).await?;
        grant.still_held().await?;
        let options = BackOptions {
            key: source.fingerprint_key(),
            cancel: cx.cancel.clone(),
        };
        postgres::put_back(&live, &source, &change.captured, &change.what, &options).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &TableChange) -> Result<Observed> {
        let live = cx.world.postgres()?.with_database(&change.live);
        let Some(moved) = postgres::is_back(&live, &change.what).await? else {
            return Err(Error::new(
                &DIFFERENT,
                format!(
                    "the table that this run put back is not in {}",
                    live.place()
                ),
            ));
        };
        let source = source(cx.world, &change.backup, None).await?;
        let (rows, _) = size(&source, change);
        let other = postgres::incomparable(&live, &source, &change.captured).await?;
        let other = other.get(&format!("{}catalogue", postgres::prefix(&change.captured)));
        let compared = match other {
            None => "rows, definition, owner and rights equal, foreign keys proved".to_owned(),
            Some(why) => format!(
                "rows equal, foreign keys proved; definition and rights not compared: {why}"
            ),
        };
        Ok(Observed::of(json!({
            "database": change.live,
            "table": name(&change.what),
            "rows": rows,
            "compared": compared,
            "moved-to": moved.then_some(&change.what.aside),
        })))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &TableChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let live = cx.world.postgres()?.with_database(&change.live);
        let put_away = put_away(cx.run, cx.step);
        if postgres::take_away(&live, &change.what, &put_away).await? {
            return Ok(Undo::Done(Observed::of(
                json!({"table": name(&change.what), "put-away-in": put_away}),
            )));
        }
        Ok(Undo::Nothing)
    }
}

fn name(what: &TableBack) -> String {
    format!("{}.{}", what.schema, what.table)
}

/// The schema that keeps a table which was moved aside.
fn was(run: &str, step: &str) -> String {
    schema("was", run, step)
}

/// The schema that keeps a table which was taken away again.
fn put_away(run: &str, step: &str) -> String {
    schema("undone", run, step)
}

/// A schema of this step's own: a run may put back several tables of one name.
fn schema(word: &str, run: &str, step: &str) -> String {
    let moment = moment(run).compact().to_lowercase();
    let mut name = format!("summitctl_{word}_{moment}_");
    name.extend(step.chars().map(|c| match c {
        'a'..='z' | '0'..='9' => c,
        _ => '_',
    }));
    // What Postgres takes as a name.
    name.truncate(63);
    name
}

/// Rows and bytes of the captured table.
fn size(source: &BackupParts, change: &TableChange) -> (u64, u64) {
    let parts = source.parts(&format!("{}table/", postgres::prefix(&change.captured)));
    let word = |part: &crate::capture::PartInfo, key: &str| {
        part.meta
            .get(key)
            .and_then(|v| v.as_str())
            .map(str::to_owned)
    };
    let ours = parts.iter().find(|part| {
        word(part, "schema").as_ref() == Some(&change.what.schema)
            && word(part, "table").as_ref() == Some(&change.what.table)
    });
    ours.map_or((0, 0), |p| (p.fingerprint.map_or(0, |f| f.rows), p.bytes))
}

async fn look(cx: &ReadCx<'_, World>, args: &TableArgs) -> Result<Looked> {
    let source = source(cx.world, &args.backup, None).await?;
    let captured = of_backup(&source, args.database.as_deref())?;
    let all = captured_databases(&source.parts("postgres/"));
    let live = cx.world.live_of(&captured, &all)?;
    let (schema, table) = postgres::find_table(&source, &captured, &args.table)?;
    let change = TableChange {
        backup: args.backup.clone(),
        what: TableBack {
            schema,
            table,
            replace: args.replace,
            id: format!("{}-{}", cx.run, cx.step),
            aside: was(cx.run, cx.step),
        },
        live: live.database.clone(),
        captured,
    };
    let seen = postgres::look_at_table(&live, &source, &change.captured, &change.what).await?;
    let (rows, bytes) = size(&source, &change);
    let table = name(&change.what);
    let mut lines = vec![match seen.rows {
        None => format!(
            "`{table}` is missing from `{}`: it is made anew",
            live.database
        ),
        Some(n) => format!(
            "`{table}` of `{}` holds {n} rows: it moves to a schema of its own, `summitctl_was_…`, without its foreign keys, and stays there",
            live.database
        ),
    }];
    lines.push(format!(
        "{rows} rows, {}, are loaded, compared and tied to other tables in one transaction",
        human_bytes(bytes)
    ));
    lines.extend(ties(&seen.ties));
    let mut decisive = facts(cx.world, Store::Postgres, &args.backup).await?;
    decisive.insert("table".to_owned(), json!(table));
    decisive.insert("there".to_owned(), json!(seen.rows.is_some()));
    let shown = Facts::from_iter([
        ("bytes".to_owned(), json!(bytes)),
        ("what-happens".to_owned(), json!(lines)),
    ]);
    Ok(Looked {
        change,
        foresight: Foresight { decisive, shown },
    })
}

/// What is touched beside the table.
fn ties(seen: &TiesSeen) -> Vec<String> {
    let quoted = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        names.join(", ")
    };
    let mut lines = Vec::new();
    if !seen.blocked.is_empty() {
        lines.push(format!(
            "until it is done nobody can read or write {}",
            quoted(&seen.blocked)
        ));
    }
    if !seen.read_only.is_empty() {
        lines.push(format!(
            "at its end, while foreign keys are proved, nobody can write to {}",
            quoted(&seen.read_only)
        ));
    }
    let keys = seen.keys.iter();
    lines.extend(keys.map(|key| format!("foreign key that will lead to it: {key}")));
    let names = seen.publications.iter();
    lines.extend(names.map(|name| format!("publication that will name it: `{name}`")));
    let left_out = seen.left_out.iter();
    lines.extend(left_out.map(|what| format!("left out: {what}")));
    lines
}

/// Arguments of `restore.table-away`: what the restore's own step recorded.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AwayArgs {
    /// The live database.
    pub live: String,
    /// The table, and what remembers it.
    pub what: TableBack,
}

/// The step kind `restore.table-away`.
pub struct TableAway;

#[async_trait]
impl Step<World> for TableAway {
    const KIND: &'static str = "restore.table-away";
    const SUMMARY: &'static str = "Takes a table away that `restore.table` put back: it moves aside with all that was written since, and what was there before comes back";
    const MOST: Effect = Effect::Destroy;
    type Args = AwayArgs;
    type Change = AwayArgs;

    fn effect(&self, _: &AwayArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, args: &AwayArgs) -> String {
        format!(
            "take table {} of `{}` away again",
            name(&args.what),
            args.live
        )
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &AwayArgs) -> Result<Decision<AwayArgs>> {
        let live = cx.world.postgres()?.with_database(&args.live);
        if postgres::look_at_away(&live, &args.what).await?.is_none() {
            return Ok(Decision::Blocked(Blocked {
                reason: format!(
                    "the table that the restore put back is no longer in {}",
                    live.place()
                ),
                hint: "It was dropped, replaced or taken away since; look at the database."
                    .to_owned(),
            }));
        }
        let Foresight { decisive, shown } = self.foresee(cx, args).await?;
        Ok(Decision::Change {
            change: args.clone(),
            decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &AwayArgs) -> Result<Foresight> {
        let live = cx.world.postgres()?.with_database(&args.live);
        let seen = postgres::look_at_away(&live, &args.what).await?;
        let mut lines = vec!["it moves to a schema of its own, `summitctl_undone_…`, with what was written to it since, without its foreign keys, and stays there".to_owned()];
        lines.extend(ties(&seen.unwrap_or_default()));
        Ok(Foresight {
            decisive: Facts::from_iter([("table".to_owned(), json!(name(&args.what)))]),
            shown: Facts::from_iter([("what-happens".to_owned(), json!(lines))]),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &AwayArgs,
        grant: Grant<'_>,
    ) -> Result<()> {
        cx.world.require_pinned_database(&change.live).await?;
        let live = cx.world.postgres()?.with_database(&change.live);
        grant.still_held().await?;
        postgres::take_away(&live, &change.what, &put_away(cx.run, cx.step))
            .await
            .map(drop)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &AwayArgs) -> Result<Observed> {
        let live = cx.world.postgres()?.with_database(&change.live);
        if postgres::is_back(&live, &change.what).await?.is_some() {
            return Err(Error::new(
                &DIFFERENT,
                format!("`{}` is still in its place", name(&change.what)),
            ));
        }
        Ok(Observed::of(
            json!({"table": name(&change.what), "put-away-in": put_away(cx.run, cx.step)}),
        ))
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, change: &AwayArgs, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Kept(format!(
            "`{}` was taken away whole, and can be put back with `summitctl restore --in-place` again",
            name(&change.what)
        )))
    }
}
