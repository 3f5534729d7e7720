//! `backup …`.

use schemars::JsonSchema;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::{show, troubles, world};
use crate::capture::{Consistency, Trouble};
use crate::cli::Session;
use crate::cli::args::{
    BackupCommand, BackupCreateArgs, BackupImportArgs, BackupName, BackupVerifyArgs,
};
use crate::cli::listen::rate;
use crate::cli::output::{Answer, table};
use crate::engine::executor::RunReport;
use crate::engine::plan::Spec;
use crate::error::{Report, Result};
use crate::event::Outcome;
use crate::exit::Exit;
use crate::identity::Store;
use crate::ops::backup as plans;
use crate::ops::execute::{Executed, execute};
use crate::repository::{Backup, BackupId, Contents, CrossCheck, Level, Repository, Sample};
use crate::steps::choose::{Choice, Found, find};
use crate::steps::cross;
use crate::steps::world::World;
use crate::time::{Instant, Span, human_bytes};

/// `backup …`
pub async fn backup(session: &Session, command: BackupCommand) -> Result<Answer> {
    match command {
        BackupCommand::Init(args) => super::found::init(session, &args).await,
        BackupCommand::Create(args) => create(session, &args).await,
        BackupCommand::List => list(session).await,
        BackupCommand::Show(args) => show_backup(session, &args).await,
        BackupCommand::Diff(args) => super::diff::diff(session, &args).await,
        BackupCommand::Import(args) => import(session, &args).await,
        BackupCommand::Verify(args) => verify(session, &args).await,
        BackupCommand::Hold(args) => {
            super::keep::hold(session, &args.backup, true, args.reason.as_deref()).await
        }
        BackupCommand::Forget(args) => super::keep::forget(session, &args.backup).await,
        BackupCommand::Unlock(args) => super::keep::unlock(session, &args.token).await,
        BackupCommand::Release(args) => super::keep::hold(session, &args.backup, false, None).await,
        BackupCommand::Export(args) => super::keep::export(session, &args).await,
        BackupCommand::Prune(args) => super::keep::prune(session, &args).await,
        BackupCommand::Copy(args) => super::keep::copy(session, args.to.as_deref()).await,
    }
}

/// Executes a request on a world and answers with its summary.
pub async fn carry_out(
    session: &Session,
    world: &World,
    spec: Spec,
    command: String,
    summary: impl Fn(&RunReport) -> String,
) -> Result<Answer> {
    let executed = run_spec(session, world, spec, command).await?;
    Ok(show::executed(&executed, summary))
}

/// Executes a request on a world.
pub async fn run_spec(
    session: &Session,
    world: &World,
    spec: Spec,
    command: String,
) -> Result<Executed> {
    run_as(session, world, &world.context, spec, &command).await
}

/// Executes a request on a world by a command that was called with another context.
pub async fn run_as(
    session: &Session,
    world: &World,
    invoked: &str,
    spec: Spec,
    command: &str,
) -> Result<Executed> {
    let registry = crate::steps::registry();
    let host = world::host(session, world, &registry, invoked, command)?;
    let output = session.output;
    let shown = move |plan: &crate::engine::plan::Plan| output.say(&show::plan(plan));
    execute(&host, spec, &shown, &mut session.terminal()).await
}

async fn create(session: &Session, args: &BackupCreateArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let commit = args.commit.as_deref();
    let how = plans::How {
        quiesce: args.quiesce,
        offline: args.offline,
        hold_writes: args.hold_writes,
    };
    let spec = plans::create(&world, &args.stores, &args.label, commit, how).await?;
    carry_out(
        session,
        &world,
        spec,
        format!("backup create{}", flags(args)),
        |report| summary_of_backup(report, ""),
    )
    .await
}

async fn import(session: &Session, args: &BackupImportArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let spec = plans::import(
        &world,
        &args.file,
        args.as_of,
        args.database.as_deref(),
        &args.label,
    )
    .await?;
    let mut command = format!(
        "backup import {}",
        world::quoted(&args.file.to_string_lossy())
    );
    if let Some(as_of) = args.as_of {
        command.push_str(&format!(" --as-of {as_of}"));
    }
    if let Some(database) = &args.database {
        command.push_str(&format!(" --database {}", world::quoted(database)));
    }
    for label in &args.label {
        command.push_str(&format!(" --label {}", world::quoted(label)));
    }
    let context = world.context.clone();
    carry_out(session, &world, spec, command, |report| {
        let mut text = String::new();
        let step = |id: &str| report.steps.iter().find(|s| s.id == id);
        if let Some(import) = step("import") {
            let (bytes, rows) = (
                import.observed["bytes"].as_u64().unwrap_or(0),
                import.observed["rows"].as_u64().unwrap_or(0),
            );
            text.push_str(&format!(
                "imported  {rows} rows, {}: {}\n",
                human_bytes(bytes),
                import.observed["method"].as_str().unwrap_or("?")
            ));
            for line in import.observed["not-carried"].as_array().into_iter().flatten() {
                text.push_str(&format!("not carried: {}\n", line.as_str().unwrap_or("?")));
            }
            if let Some(goes) = import.observed["retention"].as_str() {
                text.push_str(&format!("retention {goes}\n"));
            }
        }
        if let Some(commit) = step("commit")
            && let Some(backup) = commit.observed["backup"].as_str()
        {
            text.push_str(&format!(
                "backup    {backup}\nnext      summitctl backup verify {backup} --level 3 --context {context}\n"
            ));
        }
        text
    })
    .await
}

/// The flags to repeat in a hint.
fn flags(args: &BackupCreateArgs) -> String {
    let mut text = String::new();
    if !args.stores.is_empty() {
        let names: Vec<&str> = args.stores.iter().map(|s| s.name()).collect();
        text.push_str(&format!(" --stores {}", names.join(",")));
    }
    for label in &args.label {
        text.push_str(&format!(" --label {}", world::quoted(label)));
    }
    if let Some(commit) = &args.commit {
        text.push_str(&format!(" --commit {commit}"));
    }
    if args.quiesce {
        text.push_str(" --quiesce");
    }
    if args.offline {
        text.push_str(" --offline");
    }
    if let Some(span) = args.hold_writes {
        text.push_str(&format!(" --hold-writes {span}"));
    }
    text
}

/// What a run captured: bytes, rows and rates by store, and the published backup.
pub fn summary_of_backup(report: &RunReport, prefix: &str) -> String {
    let mut text = String::new();
    for store in Store::ALL {
        let id = format!("{prefix}{store}");
        let Some(step) = report
            .steps
            .iter()
            .find(|s| s.id == id && s.kind == "backup.capture")
        else {
            continue;
        };
        let (bytes, rows) = (
            step.observed["bytes"].as_u64().unwrap_or(0),
            step.observed["rows"].as_u64().unwrap_or(0),
        );
        let word = step.observed["consistency"].as_str().unwrap_or("?");
        let method = step.observed["method"].as_str().unwrap_or("?");
        text.push_str(&format!(
            "{:<9} {}, {rows} rows, {word} ({method})\n",
            store.name(),
            rate(bytes, step.seconds.unwrap_or(0.0))
        ));
        for line in step.observed["not-carried"]
            .as_array()
            .into_iter()
            .flatten()
        {
            text.push_str(&format!(
                "          not carried: {}\n",
                line.as_str().unwrap_or_default()
            ));
        }
        text.push_str(&troubles::after(&step.observed["troubles"]));
    }
    if let Some(seen) = report.observed(&format!("{prefix}commit")) {
        text.push_str(&format!(
            "backup    {}: {} stored in {} segments, stores {} apart\n",
            seen["backup"].as_str().unwrap_or("?"),
            human_bytes(seen["stored-bytes"].as_u64().unwrap_or(0)),
            seen["segments"],
            Span(std::time::Duration::from_secs_f64(
                seen["skew-seconds"].as_f64().unwrap_or(0.0)
            ))
        ));
    }
    text
}

/// What `backup list` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Backups {
    /// Where the repository is.
    pub repository: String,
    /// Newest first.
    pub backups: Vec<Summary>,
}

/// What `backup show` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// As in the list.
    pub summary: Summary,
    /// All of it.
    pub backup: Backup,
}

/// A backup in the list. What the manifest or the repository's secret would have to tell is null without them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Its id.
    pub backup: BackupId,
    /// When its manifest was made.
    pub created: Option<Instant>,
    /// The oldest moment that its data show.
    pub from: Option<Instant>,
    /// The context it was made of.
    pub context: Option<String>,
    /// Free words to find it by.
    pub labels: Option<Vec<String>>,
    /// The commit that was deployed when it was made, if somebody said so.
    pub commit: Option<String>,
    /// The stores it holds.
    pub stores: Option<Vec<Store>>,
    /// Bytes of payload, before compression.
    pub plain_bytes: Option<u64>,
    /// Encrypted bytes of its segments, those shared with other backups included.
    pub stored_bytes: Option<u64>,
    /// How far it was proved, 1 to 4; null if it never was.
    pub verified_level: Option<Level>,
    /// When that was.
    pub verified_at: Option<Instant>,
    /// Whether it is held, so that no rule removes it.
    pub held: bool,
    /// What would come back with it and keep a restored copy from working; null if nobody looked.
    pub troubles: Option<Vec<Trouble>>,
    /// Why it must not be relied on, if so.
    pub problem: Option<Report>,
}

fn summary(backup: &Backup) -> Summary {
    let (contents, signed) = (backup.contents.as_ref(), backup.signed.as_ref());
    let verified = backup.verified_level();
    Summary {
        backup: backup.id.clone(),
        created: signed.map(|s| s.created),
        from: contents.and_then(|c| c.window()).map(|w| w.0),
        context: contents.map(|c| c.context.clone()),
        labels: contents.map(|c| c.words().map(str::to_owned).collect()),
        commit: contents.and_then(|c| c.commit().map(str::to_owned)),
        stores: contents.map(|c| c.stores.iter().map(|s| s.captured.store).collect()),
        plain_bytes: backup.plain_bytes,
        stored_bytes: signed.map(|s| s.stored_bytes),
        verified_level: verified.map(|r| r.level),
        verified_at: verified.map(|r| r.to),
        held: backup.held.is_some(),
        troubles: contents.and_then(troubles::of),
        problem: backup.problem.clone(),
    }
}

/// The backup that is meant; says what whoever chose it should know.
pub async fn chosen(
    session: &Session,
    world: &World,
    repository: &Repository,
    choice: &Choice,
) -> Result<Backup> {
    let Found { backup, notes, .. } = find(world, repository, choice, &[]).await?;
    notes.iter().for_each(|note| session.output.say(note));
    Ok(backup)
}

/// The labels and the commit, in one cell; as much of the commit as tells it from others.
fn labels(contents: &Contents) -> String {
    let commit = contents.commit().map(|sha| {
        let short = sha.get(..12).unwrap_or(sha);
        format!("commit {short}")
    });
    let words = contents.words().map(str::to_owned);
    words.chain(commit).collect::<Vec<_>>().join(", ")
}

/// What to do about a backup's problem.
fn hints(problem: &Report) -> String {
    let hints = problem.hints.iter();
    hints.map(|hint| format!("  hint: {hint}\n")).collect()
}

async fn list(session: &Session) -> Result<Answer> {
    let world = world::world(session).await?;
    let repository = world.repository().await?;
    let mut backups = repository.list().await?;
    backups.reverse();
    let rows = backups.iter().map(|backup| {
        let contents = backup.contents.as_ref();
        let age = contents
            .and_then(|c| c.window())
            .map_or("?".to_owned(), |(from, _)| {
                Span(Instant::now().since(from)).to_string()
            });
        let stores = contents.map_or(String::new(), |c| {
            c.stores
                .iter()
                .map(|s| s.captured.store.name())
                .collect::<Vec<_>>()
                .join(",")
        });
        let size = backup
            .signed
            .as_ref()
            .map_or(String::new(), |s| human_bytes(s.stored_bytes));
        let level = match (&backup.problem, backup.verified_level()) {
            (Some(problem), _) => format!("✗ {}", problem.reason),
            (None, Some(record)) => format!("✓ level {}", record.level.number()),
            (None, None) => "? never".to_owned(),
        };
        vec![
            backup.id.to_string(),
            age,
            stores,
            size,
            level,
            [
                backup.held.as_ref().map(|_| "held".to_owned()),
                contents.and_then(troubles::mark),
                contents.map(labels).filter(|l| !l.is_empty()),
            ]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", "),
        ]
    });
    let text = if backups.is_empty() {
        format!(
            "No backups in {}.\n\nnext      summitctl backup create --context {}",
            repository.place(),
            world.context
        )
    } else {
        table(
            &["backup", "age", "stores", "stored", "verified", "labels"],
            rows,
        )
    };
    let problems = backups
        .iter()
        .filter_map(|b| Some((b, b.problem.as_ref()?)));
    let problems = problems.map(|(backup, problem)| {
        let id = &backup.id;
        format!(
            "\n\n✗ {id}: {}\n{}",
            problem.message,
            hints(problem).trim_end()
        )
    });
    let text = text.trim_end().to_owned() + &problems.collect::<String>();
    let listed = Backups {
        repository: repository.place(),
        backups: backups.iter().map(summary).collect(),
    };
    Ok(Answer::new(Exit::Ok, text, listed))
}

async fn show_backup(session: &Session, args: &BackupName) -> Result<Answer> {
    let world = world::world(session).await?;
    let repository = world.repository().await?;
    let backup = chosen(session, &world, &repository, &args.backup).await?;
    let mut text = format!("backup    {}\n", backup.id);
    if let Some(signed) = &backup.signed {
        text.push_str(&format!(
            "created   {} by {}, signed by {}\n",
            signed.created.human(),
            signed.tool,
            signed.signer
        ));
        text.push_str(&format!(
            "stored    {} in {} segments\nmanifest  sha256:{}\n",
            human_bytes(signed.stored_bytes),
            signed.segments,
            signed.manifest_sha256
        ));
    }
    if let Some(problem) = &backup.problem {
        text.push_str(&format!("PROBLEM   {}\n", problem.message));
        text.push_str(&hints(problem));
    }
    for lost in &backup.lost {
        text.push_str(&format!("LOST      {lost}\n"));
    }
    if let Some(held) = &backup.held {
        let by = held
            .host
            .as_ref()
            .map_or(String::new(), |h| format!(" by {h}"));
        let why = held
            .reason
            .as_ref()
            .map_or(String::new(), |r| format!(": {r}"));
        text.push_str(&format!(
            "held      since {}{by}{why}\n",
            held.since.human()
        ));
    }
    if let Some(at) = backup.opened {
        text.push_str(&format!("opened    by an identity at {}\n", at.human()));
    }
    for record in &backup.verified {
        let sample = record.sample.map_or(String::new(), |s| {
            format!(", of {} of the segments, seed {},", s.share, s.seed)
        });
        text.push_str(&format!(
            "verified  level {}{sample} {} at {} by key {}\n",
            record.level.number(),
            record.outcome.word(),
            record.to.human(),
            record.key
        ));
        let Some(details) = &record.details else {
            continue;
        };
        for (store, how) in &details.loaded {
            text.push_str(&format!("            {store} loaded {how}\n"));
        }
        for check in &details.cross_checks {
            text.push_str(&format!("            {}\n", cross::said(check)));
        }
    }
    if let Some(contents) = &backup.contents {
        text.push_str(&format!(
            "context   {}\nlabels    {}\n",
            contents.context,
            contents.words().collect::<Vec<_>>().join(", "),
        ));
        if let Some(commit) = contents.commit() {
            text.push_str(&format!("commit    {commit}\n"));
        }
        text.push_str(&format!("skew      {}\n", Span(contents.skew())));
        for store in &contents.stores {
            let captured = &store.captured;
            let moment = match captured.consistency {
                Consistency::PointInTime => "one moment".to_owned(),
                Consistency::Apart => format!(
                    "each database or shard at a moment of its own, over {}",
                    Span(captured.to.since(captured.from))
                ),
                Consistency::Fuzzy => format!(
                    "FUZZY: it changed while it was read, over {}",
                    Span(captured.to.since(captured.from))
                ),
            };
            text.push_str(&format!(
                "\n{}, version {}\n  {moment} ({})\n  from {} to {}\n",
                captured.identity.short(),
                captured.server_version,
                captured.method,
                captured.from,
                captured.to
            ));
            for line in &captured.not_carried {
                text.push_str(&format!("  not carried: {line}\n"));
            }
            text.push_str(&troubles::lines(captured.troubles.iter().flatten(), "  "));
            let rows = captured.parts.iter().map(|p| {
                vec![
                    format!("  {}", p.name),
                    human_bytes(p.bytes),
                    p.fingerprint.map_or(String::new(), |f| f.rows.to_string()),
                ]
            });
            text.push_str(&table(&["  part", "bytes", "rows"], rows));
            text.push('\n');
        }
    }
    let summary = summary(&backup);
    Ok(Answer::new(Exit::Ok, text, Shown { summary, backup }))
}

async fn verify(session: &Session, args: &BackupVerifyArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let repository = world.repository().await?;
    let backup = chosen(session, &world, &repository, &args.name.backup).await?;
    if args.key_check {
        let spec = crate::ops::keys::check(&world, &backup.id).await?;
        let command = format!("backup verify {} --key-check", backup.id);
        return carry_out(session, &world, spec, command, |_| {
            format!("opened    {} with the identity at hand\n", backup.id)
        })
        .await;
    }
    let sample = match (args.sample, args.seed) {
        (Some(share), Some(seed)) => Some(Sample { share, seed }),
        (Some(share), None) => Some(Sample::draw(share)?),
        (None, _) => None,
    };
    let spec = plans::verify(&world, &backup.id, args.level, sample).await?;
    let mut command = format!("backup verify {} --level {}", backup.id, args.level);
    if let Some(Sample { share, seed }) = sample {
        command.push_str(&format!(" --sample {share} --seed {seed}"));
    }
    carry_out(session, &world, spec, command, |report| {
        let seen = report.observed("verify").cloned().unwrap_or_default();
        if let Some(Sample { share, seed }) = sample {
            return format!(
                "looked at {share} of the segments of {}, seed {seed}: {}; this claims no level\n",
                backup.id,
                measured(&seen)
            );
        }
        format!(
            "verified  {} to level {}: {}\n{}",
            backup.id,
            seen["level"],
            measured(&seen),
            findings_between(&seen)
        )
    })
    .await
}

/// What a verification counted, in words.
pub fn measured(seen: &Value) -> String {
    let measured = seen["measured"].as_object().into_iter().flatten();
    let shown: Vec<String> = measured.map(|(k, v)| format!("{k} {v}")).collect();
    shown.join(", ")
}

/// Where the stores do not agree, or nobody knows, in words.
pub fn findings_between(seen: &Value) -> String {
    let checks = Vec::<CrossCheck>::deserialize(&seen["cross-checks"]).unwrap_or_default();
    let found = checks.iter().filter(|c| c.outcome != Outcome::Passed);
    found
        .map(|c| format!("finding   {}\n", cross::said(c)))
        .collect()
}
