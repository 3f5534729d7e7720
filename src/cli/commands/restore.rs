//! `restore`: a backup into its own targets or another context's, and the way back.

use super::backup::{carry_out, run_as, summary_of_backup};
use super::{show, world};
use crate::cli::Session;
use crate::cli::args::RestoreArgs;
use crate::cli::output::Answer;
use crate::engine::executor::RunReport;
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::ops::restore::{self as plans, Wanted};
use crate::providers::postgres::Writes;
use crate::steps::choose::{Found, find};
use crate::steps::world::World;

/// `restore`
pub async fn restore(session: &Session, args: &RestoreArgs) -> Result<Answer> {
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
    let repository = world.repository().await?;
    let target = into.as_ref().unwrap_or(&world);
    let needed = target.stores(&args.stores)?;
    let Found { backup, notes, .. } = find(&world, &repository, wanted, &needed).await?;
    notes.iter().for_each(|note| session.output.say(note));
    let contents = backup.contents.as_ref().ok_or_else(|| {
        Error::input(format!(
            "the contents of backup `{}` cannot be read",
            backup.id
        ))
    })?;
    let held: Vec<Store> = contents.stores.iter().map(|s| s.captured.store).collect();
    let spec = plans::restore(
        target,
        &Wanted {
            backup: &backup.id,
            from: into.as_ref().map(|_| world.context.as_str()),
            held: &held,
            stores: &args.stores,
            without_safety: args.without_safety_backup.as_deref(),
        },
    )
    .await?;
    let command = format!("restore {}{}", backup.id, flags(args));
    let safety = args.without_safety_backup.is_none();
    let executed = run_as(session, target, &world.context, spec, &command).await?;
    Ok(show::executed(&executed, |report| {
        let mut text = format!("restored  {} from backup {}\n", report.context, backup.id);
        text.push_str(&summary_of_backup(report, "safety-").replace("backup    ", "safety    "));
        let loaded = report
            .observed("load-postgres")
            .cloned()
            .unwrap_or_default();
        for why in loaded["left-out"]
            .as_object()
            .into_iter()
            .flat_map(|o| o.values())
        {
            text.push_str(&format!("not so    {}\n", why.as_str().unwrap_or("?")));
        }
        if let Some(seen) = report.observed("swap-postgres") {
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
    }))
}

async fn undo(session: &Session, world: &World, args: &RestoreArgs) -> Result<Answer> {
    let spec = plans::undo(world, &args.stores).await?;
    let command = format!("restore --undo{}", flags(args));
    carry_out(session, world, spec, command, |report| {
        let mut text = format!("undone    the last restore of {}\n", report.context);
        text.push_str(&summary_of_backup(report, "safety-").replace("backup    ", "safety    "));
        if let Some(seen) = report.observed("swap-back-postgres") {
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
    format!(
        "reconnect Pools, replicas and workers of what was replaced must reconnect; restart them if they do not.\n\
         next      summitctl smoke --context {}\n",
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
    if let Some(context) = &args.into {
        text.push_str(&format!(" --into {context}"));
    }
    if let Some(reason) = &args.without_safety_backup {
        text.push_str(&format!(
            " --without-safety-backup {}",
            world::quoted(reason)
        ));
    }
    text
}
