//! `backup prune`, `backup hold`, `backup release`, `backup forget` and `backup unlock`.

use schemars::JsonSchema;
use serde::Serialize;

use super::backup::{carry_out, chosen};
use super::{show, world};
use crate::cli::Session;
use crate::cli::args::{ExportArgs, PruneArgs};
use crate::cli::output::Answer;
use crate::consent::NO_CONSENT;
use crate::engine::executor::RunReport;
use crate::engine::plan::Plan;
use crate::error::{Error, NOT_FOUND, Result};
use crate::exit::Exit;
use crate::ops::execute::execute;
use crate::ops::keep as plans;
use crate::repository::BackupId;
use crate::steps::choose::Choice;
use crate::time::{Instant, human_bytes};

/// `backup prune`
pub async fn prune(session: &Session, args: &PruneArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let spec = plans::prune(&world, &args.rules()).await?;
    let registry = crate::steps::registry();
    let command = format!("backup prune{}", flags(args));
    let mut host = world::host(session, &world, &registry, &world.context, &command)?;
    host.plan_only |= args.dry_run;
    let output = session.output;
    let shown = move |plan: &Plan| output.say(&show::plan(plan));
    let executed = execute(&host, spec, &shown, &mut session.terminal()).await?;
    Ok(show::executed(&executed, summary))
}

fn summary(report: &RunReport) -> String {
    let Some(seen) = report.observed("prune") else {
        return String::new();
    };
    let Some(removed) = seen["removed"].as_array() else {
        return "Nothing to remove: every backup is kept by a rule, and every segment is needed.\n"
            .to_owned();
    };
    let mut text = format!(
        "removed   {} of {} backups; {} are left\n",
        removed.len(),
        removed.len() as u64 + seen["backups"].as_u64().unwrap_or(0),
        seen["backups"]
    );
    let waiting = seen["waiting-segments"].as_u64().unwrap_or(0);
    if waiting > 0 {
        text.push_str(&format!(
            "waiting   {waiting} segments, for a backup under way; the next prune deletes them\n"
        ));
    }
    let retained = seen["retained-segments"].as_u64().unwrap_or(0);
    if retained > 0 {
        text.push_str(&format!(
            "retained  {retained} segments, which the store refuses to delete for now; a later prune deletes them\n"
        ));
    }
    text
}

/// The flags to repeat in a hint.
fn flags(args: &PruneArgs) -> String {
    let mut text = String::new();
    if let Some(span) = args.keep_within {
        text.push_str(&format!(" --keep-within {span}"));
    }
    for (word, count) in [
        ("last", args.keep_last),
        ("hourly", args.keep_hourly),
        ("daily", args.keep_daily),
        ("weekly", args.keep_weekly),
        ("monthly", args.keep_monthly),
        ("yearly", args.keep_yearly),
    ] {
        if let Some(count) = count {
            text.push_str(&format!(" --keep-{word} {count}"));
        }
    }
    text
}

/// `backup copy`
pub async fn copy(session: &Session, to: Option<&str>) -> Result<Answer> {
    let world = world::world(session).await?;
    let spec = plans::copy(&world, to).await?;
    let names: Vec<String> = spec.steps.iter().map(|s| s.id.clone()).collect();
    let command = to.map_or("backup copy".to_owned(), |to| format!("backup copy {to}"));
    carry_out(session, &world, spec, command, |report| {
        let mut text = String::new();
        for seen in names.iter().filter_map(|id| report.observed(id)) {
            let name = seen["copy"].as_str().unwrap_or_default();
            text.push_str(&match seen["newest"].as_str() {
                Some(newest) => format!("copy      `{name}`: the newest there is `{newest}`\n"),
                None => format!("copy      `{name}`: it holds no backup of this context\n"),
            });
        }
        text
    })
    .await
}

/// `backup export`
pub async fn export(session: &Session, args: &ExportArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let repository = world.repository().await?;
    let backup = chosen(session, &world, &repository, &args.backup).await?;
    let folder =
        std::path::absolute(&args.folder).map_err(|e| Error::io("find", &args.folder, e))?;
    let spec = plans::export(&world, &backup.id, &folder).await?;
    let quoted = world::quoted(&folder.display().to_string());
    let command = format!("backup export {} {quoted}", backup.id);
    carry_out(session, &world, spec, command, |report| {
        let seen = report.observed("export").cloned().unwrap_or_default();
        format!(
            "exported  {} files, {}, {} rows, all as captured\n          in {}, in the clear: remove it when it is no longer needed\n",
            seen["files"],
            human_bytes(seen["bytes"].as_u64().unwrap_or(0)),
            seen["rows"],
            folder.display()
        )
    })
    .await
}

/// `backup forget`
pub async fn forget(session: &Session, backup: &BackupId) -> Result<Answer> {
    let world = world::world(session).await?;
    let spec = plans::forget(&world, backup).await?;
    let command = format!("backup forget {backup}");
    carry_out(session, &world, spec, command, |_| {
        format!("forgotten {backup}\n\nnext      summitctl backup prune --dry-run\n")
    })
    .await
}

/// What `backup unlock` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unlocked {
    /// What the lock was held for.
    pub purpose: String,
    /// The machine of its holder.
    pub host: String,
    /// Since when.
    pub since: Instant,
}

/// `backup unlock`
pub async fn unlock(session: &Session, token: &str) -> Result<Answer> {
    let repository = world::world(session).await?.repository().await?;
    let held = repository.locks().await?;
    let holder = held.iter().find(|h| h.token == token).ok_or_else(|| {
        Error::new(
            &NOT_FOUND,
            format!("`{}` has no lock `{token}`", repository.place()),
        )
        .hint("See the locks that are held with `summitctl status`; dead ones go by themselves.")
    })?;
    if session.globals.confirm.as_deref() != Some(token) {
        return Err(Error::new(
            &NO_CONSENT,
            format!(
                "the holder of the lock `{token}` is not known to be dead: {}",
                holder.describe()
            ),
        )
        .hint(holder.advice()));
    }
    repository.break_lock(holder).await?;
    let text = format!("removed   the lock of {}\n", holder.describe());
    let unlocked = Unlocked {
        purpose: holder.purpose.clone(),
        host: holder.host.clone(),
        since: holder.since,
    };
    Ok(Answer::new(Exit::Ok, text, unlocked))
}

/// `backup hold` and `backup release`
pub async fn hold(
    session: &Session,
    choice: &Choice,
    held: bool,
    reason: Option<&str>,
) -> Result<Answer> {
    let world = world::world(session).await?;
    let repository = world.repository().await?;
    let backup = chosen(session, &world, &repository, choice).await?;
    let spec = plans::hold(&world, &backup.id, held, reason).await?;
    let word = if held { "hold" } else { "release" };
    let reason = reason.map_or(String::new(), |r| format!(" --reason {}", world::quoted(r)));
    let command = format!("backup {word} {}{reason}", backup.id);
    let done = if held { "held     " } else { "released " };
    carry_out(session, &world, spec, command, |_| {
        format!("{done} {}\n", backup.id)
    })
    .await
}
