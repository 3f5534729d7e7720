//! `restore`: a backup into its own targets or another context's, into a new database, or not yet; and the way back.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::backup::{carry_out, run_as, summary_of_backup};
use super::{show, world};
use crate::check::Report;
use crate::cli::Session;
use crate::cli::args::RestoreArgs;
use crate::cli::output::Answer;
use crate::engine::executor::RunReport;
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::ops::can_restore::{Question, can_restore};
use crate::ops::execute::Executed;
use crate::ops::restore::{self as plans, Wanted};
use crate::providers::postgres::{RoleMap, Selection, Writes, captured_databases, captured_roles};
use crate::providers::redis;
use crate::repository::Backup;
use crate::steps::choose::{Choice, Found, find};
use crate::steps::world::World;

/// What `restore` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Restored {
    /// It was planned, or done.
    Executed(Executed),
    /// With `--can-i`: what would stand in its way.
    Checked(Report),
}

/// `restore`
pub async fn restore(session: &Session, args: &RestoreArgs) -> Result<Answer> {
    postgres_alone(args)?;
    let world = world::world(session).await?;
    let Some(wanted) = &args.backup else {
        return undo(session, &world, args).await;
    };
    let into = match &args.into {
        Some(name) if *name == world.context => {
            return Err(Error::input(format!(
                "`--into {name}` is the context that the backup is from"
            ))
            .hint("Leave `--into` out to restore in place."));
        }
        Some(name) => Some(world::world_named(session, name).await?),
        None => None,
    };
    let target = into.as_ref().unwrap_or(&world);
    let asked = if args.database.is_some() || args.in_place {
        vec![Store::Postgres]
    } else {
        args.stores.clone()
    };
    let stores = match args.copy_as {
        Some(_) => target.stores(&[Store::Postgres])?,
        None => target.stores(&asked)?,
    };
    let Found { backup, doubts, .. } = chosen(session, &world, wanted, &stores).await?;
    let contents = backup.contents.as_ref().ok_or_else(|| {
        Error::input(format!(
            "the contents of backup `{}` cannot be read",
            backup.id
        ))
    })?;
    let held: Vec<Store> = contents.stores.iter().map(|s| s.captured.store).collect();
    let databases: Vec<String> = contents
        .store(Store::Postgres)
        .map(|captured| captured_databases(&captured.parts))
        .unwrap_or_default();
    let roles = RoleMap::new(&args.map_role)?;
    let known_roles = contents
        .store(Store::Postgres)
        .map(|captured| captured_roles(&captured.parts))
        .unwrap_or_default();
    if args.can_i {
        let question = Question {
            database: args.database.as_deref(),
            roles: &roles,
            target,
            holder: &world,
            backup: &backup,
            stores: &stores
                .into_iter()
                .filter(|s| held.contains(s))
                .collect::<Vec<_>>(),
            name: args.copy_as.as_deref(),
            safety: args.without_safety_backup.is_none(),
        };
        let report = can_restore(&question, &session.events, &session.cancel).await?;
        let text = show::checks(&report);
        return Ok(Answer::new(report.exit(), text, Restored::Checked(report)));
    }
    let wanted = Wanted {
        backup: &backup.id,
        from: into.as_ref().map(|_| world.context.as_str()),
        held: &held,
        databases: &databases,
        roles: &roles,
        known_roles: &known_roles,
        database: args.database.as_deref(),
        stores: &asked,
        without_safety: args.without_safety_backup.as_deref(),
        keys: keys(args),
        mend: &args.mend.iter().copied().collect(),
        offline: args.offline,
    };
    let command = format!("restore {}{}", backup.id, flags(args));
    if args.in_place {
        let [table] = args.table.as_slice() else {
            return Err(Error::input("`--in-place` puts one table back at a time")
                .hint("Run it once for each table, those first to which the others' foreign keys lead."));
        };
        let spec = plans::table(target, &wanted, table, args.replace).await?;
        let executed = run_as(session, target, &world.context, spec, &command).await?;
        return Ok(answer(executed, &doubts, put_back));
    }
    if let Some(name) = &args.copy_as {
        let only = Selection {
            schemas: args.schema.clone(),
            tables: args.table.clone(),
        };
        let spec = plans::copy(target, &wanted, name, &only).await?;
        let executed = run_as(session, target, &world.context, spec, &command).await?;
        return Ok(answer(executed, &doubts, |report| {
            copied(report, target, name, &backup)
        }));
    }
    let spec = plans::restore(target, &wanted).await?;
    let executed = run_as(session, target, &world.context, spec, &command).await?;
    let safety = args.without_safety_backup.is_none();
    Ok(answer(executed, &doubts, |report| {
        replaced(report, &backup, safety)
    }))
}

/// What becomes of the keys that Redis has.
fn keys(args: &RestoreArgs) -> Option<redis::Replace> {
    match (args.flush, args.replace, args.merge) {
        (true, ..) => Some(redis::Replace::Flush),
        (_, true, _) => Some(redis::Replace::Overwrite),
        (.., true) => Some(redis::Replace::Keep),
        _ => None,
    }
}

/// Only Postgres has a place beside the live data.
fn postgres_alone(args: &RestoreArgs) -> Result<()> {
    let other = args.stores.iter().find(|s| **s != Store::Postgres);
    if let (Some(name), Some(other)) = (&args.database, other) {
        return Err(Error::input(format!(
            "`--database {name}` restores one Postgres database alone, and `--stores` asks for {other}"
        ))
        .hint("Leave one of the two out."));
    }
    let (Some(_), Some(other)) = (&args.copy_as, other) else {
        return Ok(());
    };
    Err(Error::input(format!(
        "`--as` restores Postgres into a new database, and {other} has no place for one"
    ))
    .hint("Leave `--stores` out, or try the whole backup on scratch servers with `summitctl drill run BACKUP`."))
}

async fn chosen(
    session: &Session,
    world: &World,
    choice: &Choice,
    needed: &[Store],
) -> Result<Found> {
    let repository = world.repository().await?;
    let found = find(world, &repository, choice, needed).await?;
    found.notes.iter().for_each(|note| session.output.say(note));
    Ok(found)
}

/// What came of it; whoever has `newest` restored reads there as well that a newer one cannot be relied on.
fn answer(executed: Executed, doubts: &[String], summary: impl Fn(&RunReport) -> String) -> Answer {
    let mut text = show::text_of(&executed, summary);
    for doubt in doubts {
        text.push_str(&format!("newer     {doubt}\n"));
    }
    Answer::new(executed.exit(), text, Restored::Executed(executed))
}

fn replaced(report: &RunReport, backup: &Backup, safety: bool) -> String {
    let mut text = format!("restored  {} from backup {}\n", report.context, backup.id);
    text.push_str(&summary_of_backup(report, "safety-").replace("backup    ", "safety    "));
    text.push_str(&left_out(report));
    text.push_str(&mended(report));
    for seen in of_kind(report, "restore.swap").filter(|seen| !seen["retired"].is_null()) {
        text.push_str(&format!(
            "old data  Postgres database `{}` stays until you drop it\n",
            seen["retired"].as_str().unwrap_or("?")
        ));
    }
    text.push_str(&afterwards(report));
    if safety {
        text.push_str(&format!(
            "back      summitctl restore --undo --context {}\n",
            report.context
        ));
    }
    text
}

/// What the steps of a kind saw.
fn of_kind<'r>(report: &'r RunReport, kind: &'r str) -> impl Iterator<Item = &'r Value> {
    let steps = report.steps.iter().filter(move |s| s.kind == kind);
    steps.map(|s| &s.observed)
}

fn left_out(report: &RunReport) -> String {
    let loaded = of_kind(report, "restore.load");
    let reasons = loaded.flat_map(|l| l["left-out"].as_object().into_iter().flatten());
    let lines = reasons.map(|(_, why)| {
        let why = why.as_str().unwrap_or("?").to_owned();
        format!("not so    {why}\n")
    });
    lines.collect()
}

/// What was mended in the restored copies, and what is left for a person, with the next command.
fn mended(report: &RunReport) -> String {
    let mut text = String::new();
    let word = |seen: &Value| seen.as_str().unwrap_or("?").to_owned();
    let lines = |seen: &Value, name: &str| seen[name].as_array().cloned().unwrap_or_default();
    for line in of_kind(report, "restore.mend-roles").flat_map(|seen| lines(seen, "mended")) {
        let made = word(&line);
        text.push_str(&format!("made      {}\n", made.trim_start_matches("make ")));
    }
    let before = text.len();
    let mends = of_kind(report, "restore.mend").chain(of_kind(report, "restore.mend-neo4j"));
    let mends: Vec<&Value> = mends.collect();
    for line in mends.iter().flat_map(|seen| lines(seen, "mended")) {
        text.push_str(&format!("mended    {}\n", word(&line)));
    }
    if text.len() > before {
        text.push_str("          after the comparison: in this the copy differs from the backup\n");
    }
    let loaded = of_kind(report, "restore.load").chain(of_kind(report, "restore.swap"));
    for loaded in loaded {
        let later = mends
            .iter()
            .find(|m| m["database"] == loaded["database"] && !m["findings"].is_null());
        let roles = lines(loaded, "findings");
        let roles = roles.iter().filter(|f| f["kind"] == "roles").cloned();
        let left: Vec<Value> = match later {
            Some(mend) => lines(mend, "findings").into_iter().chain(roles).collect(),
            None => lines(loaded, "findings"),
        };
        for finding in left {
            text.push_str(&format!("found     {}\n", word(&finding["what"])));
            if let Some(next) = finding["next"].as_str() {
                text.push_str(&format!("  mend    {next}\n"));
            }
        }
    }
    text
}

/// What was restored beside the live database, and the commands to look at it and to be rid of it.
fn copied(report: &RunReport, target: &World, name: &str, backup: &Backup) -> String {
    let seen = report
        .observed("load-postgres")
        .cloned()
        .unwrap_or_default();
    let mut text = format!(
        "restored  backup {} into the new database `{name}`: {} rows, {}\n",
        backup.id,
        seen["rows"],
        seen["compared"].as_str().unwrap_or("?")
    );
    text.push_str(&left_out(report));
    text.push_str(&mended(report));
    for (fact, heading) in [
        ("empty-on-purpose", "empty     on purpose: "),
        ("foreign-keys-left-out", "no key    "),
    ] {
        for name in seen[fact].as_array().into_iter().flatten() {
            text.push_str(&format!("{heading}{}\n", name.as_str().unwrap_or("?")));
        }
    }
    if let Some(server) = &target.postgres {
        let login = format!(
            "--host {} --port {} --username {}",
            world::quoted(&server.host),
            server.port,
            world::quoted(&server.user)
        );
        text.push_str(&format!(
            "connect   psql {login} --dbname {name}\ndrop      dropdb {login} {name}\n"
        ));
    }
    text
}

/// Which table is back, where the one before it is, and the way back.
fn put_back(report: &RunReport) -> String {
    let mut text = String::new();
    for seen in of_kind(report, "restore.table") {
        let word = |key: &str| seen[key].as_str().unwrap_or("?").to_owned();
        text.push_str(&format!(
            "restored  `{}` of `{}`: {} rows; {}\n",
            word("table"),
            word("database"),
            seen["rows"],
            word("compared")
        ));
        if seen["moved-to"].is_string() {
            text.push_str(&format!(
                "old data  the table before it is in schema `{}` and stays until you drop it\n",
                word("moved-to")
            ));
        }
    }
    text.push_str(&format!(
        "back      summitctl restore --undo --context {}\n",
        report.context
    ));
    text
}

async fn undo(session: &Session, world: &World, args: &RestoreArgs) -> Result<Answer> {
    let spec = plans::undo(world, &args.stores, args.database.as_deref()).await?;
    let command = format!("restore --undo{}", flags(args));
    carry_out(session, world, spec, command, |report| {
        let mut text = format!("undone    the last restore of {}\n", report.context);
        text.push_str(&summary_of_backup(report, "safety-").replace("backup    ", "safety    "));
        for seen in of_kind(report, "restore.table-away") {
            text.push_str(&format!(
                "set aside `{}` is in schema `{}`, with what was written since, and stays until you drop it\n",
                seen["table"].as_str().unwrap_or("?"),
                seen["put-away-in"].as_str().unwrap_or("?")
            ));
        }
        for seen in of_kind(report, "restore.swap-back") {
            text.push_str(&format!(
                "set aside Postgres database `{}`, with what was written since the restore, stays until you drop it\n",
                seen["aside"].as_str().unwrap_or("?")
            ));
            let written: Option<Writes> =
                serde_json::from_value(seen["written-since"].clone()).ok();
            for line in written.iter().flat_map(Writes::lines) {
                text.push_str(&format!("written   {line}\n"));
            }
        }
        text.push_str(&afterwards(report));
        text
    })
    .await
}

fn afterwards(report: &RunReport) -> String {
    // A table that is taken away leaves its database's sessions as they are.
    let swapped = ["restore.swap", "restore.swap-back"];
    let reconnect = if swapped
        .iter()
        .any(|kind| of_kind(report, kind).next().is_some())
    {
        "reconnect Pools, replicas and workers of what was replaced must reconnect; restart them if they do not.\n"
    } else {
        ""
    };
    format!(
        "{reconnect}next      summitctl smoke --context {}\n",
        report.context
    )
}

/// The flags to repeat in a hint.
fn flags(args: &RestoreArgs) -> String {
    let mut text = String::new();
    if !args.stores.is_empty() {
        let names: Vec<&str> = args.stores.iter().map(|s| s.name()).collect();
        text.push_str(&format!(" --stores {}", names.join(",")));
    }
    if let Some(name) = &args.database {
        text.push_str(&format!(" --database {}", world::quoted(name)));
    }
    if let Some(context) = &args.into {
        text.push_str(&format!(" --into {context}"));
    }
    if let Some(name) = &args.copy_as {
        text.push_str(&format!(" --as {name}"));
    }
    if args.in_place {
        text.push_str(" --in-place");
    }
    for (flag, names) in [("--schema", &args.schema), ("--table", &args.table)] {
        for name in names {
            text.push_str(&format!(" {flag} {}", world::quoted(name)));
        }
    }
    for (old, new) in &args.map_role {
        let pair = format!("{old}={new}");
        text.push_str(&format!(" --map-role {}", world::quoted(&pair)));
    }
    if !args.mend.is_empty() {
        let kinds: Vec<&str> = args.mend.iter().map(|m| m.name()).collect();
        text.push_str(&format!(" --mend {}", kinds.join(",")));
    }
    for (flag, given) in [
        ("flush", args.flush),
        ("replace", args.replace),
        ("merge", args.merge),
        ("offline", args.offline),
    ] {
        if given {
            text.push_str(&format!(" --{flag}"));
        }
    }
    if let Some(reason) = &args.without_safety_backup {
        text.push_str(&format!(
            " --without-safety-backup {}",
            world::quoted(reason)
        ));
    }
    text
}
