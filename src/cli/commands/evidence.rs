//! `evidence …`: signed records, checked and shown.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::world;
use crate::cli::Session;
use crate::cli::args::{EvidenceCommand, EvidenceShowArgs, EvidenceVerifyArgs, Rendering};
use crate::cli::output::{Answer, table};
use crate::error::{Error, NOT_FOUND, Result};
use crate::event::Outcome;
use crate::evidence::{Anchor, Archive, Query, Run, TrustedKeys, export, keys, render, verify};
use crate::exit::Exit;
use crate::sign::KeyId;
use crate::steps::evidence::trusted_keys;
use crate::steps::world::World;
use crate::time::Instant;

/// What `evidence keygen` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KeyPair {
    /// The private key's file, mode 0600.
    pub private: PathBuf,
    /// The public key's file.
    pub public: PathBuf,
    /// The key's id: 16 hexadecimal digits.
    pub key_id: KeyId,
}

/// What `evidence list` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Records {
    /// One for each run.
    pub records: Vec<Recorded>,
}

/// A run in the list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Recorded {
    /// The run's id.
    pub run: String,
    /// How it went; null while it has not ended.
    pub outcome: Option<Outcome>,
    /// What was done, such as `backup create`.
    pub operation: String,
    /// The context's name.
    pub context: String,
    /// When it began.
    pub started: Instant,
    /// Whether trusted keys' signatures over all of its records were checked.
    pub trusted: bool,
}

/// What `evidence export` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Exported {
    /// The files in the folder that belong to the run, those that were there already included.
    pub files: Vec<PathBuf>,
}

/// `evidence …`
pub async fn evidence(session: &Session, command: EvidenceCommand) -> Result<Answer> {
    match command {
        EvidenceCommand::Keygen { file } => {
            let made = keys::generate(&file)?;
            let text = format!(
                "private   {} (mode 0600; keep it on this host)\npublic    {}\nkey id    {}\n\nnext      Give the public key to whoever verifies, out of band.",
                made.private.display(),
                made.public.display(),
                made.id
            );
            let pair = KeyPair {
                private: made.private,
                public: made.public,
                key_id: made.id,
            };
            Ok(Answer::new(Exit::Ok, text, pair))
        }
        EvidenceCommand::Verify(args) => check(session, &args).await,
        EvidenceCommand::List => list(&world::world(session).await?),
        EvidenceCommand::Show(args) => show(&world::world(session).await?, &args),
        EvidenceCommand::Export(args) => {
            let world = world::world(session).await?;
            let archive = archive(&world)?;
            let files = export::export(archive.resolve(&args.run)?, &args.folder)?;
            let text = format!(
                "Wrote {} files to {}.\n\nnext      summitctl evidence verify {} --trusted-key KEY.pub",
                files.len(),
                args.folder.display(),
                args.folder.display()
            );
            Ok(Answer::new(Exit::Ok, text, Exported { files }))
        }
    }
}

fn archive(world: &World) -> Result<Archive> {
    let settings = world
        .evidence
        .as_ref()
        .ok_or_else(|| world.lacks("evidence"))?;
    Archive::open(&settings.dir, &trusted_keys(world))
}

async fn check(session: &Session, args: &EvidenceVerifyArgs) -> Result<Answer> {
    let mut trusted = TrustedKeys::load::<PathBuf>(args.trusted_key.iter().cloned())?;
    // With a path and keys of one's own, no configuration is needed: an auditor has none.
    let path = match &args.path {
        Some(path) if !args.trusted_key.is_empty() => path.clone(),
        given => {
            let world = world::world(session).await?;
            for key in trusted_keys(&world).keys() {
                trusted.add(key.clone(), "the context");
            }
            let settings = world
                .evidence
                .as_ref()
                .ok_or_else(|| world.lacks("evidence"))?;
            given.clone().unwrap_or_else(|| settings.dir.clone())
        }
    };
    let anchor: Option<Anchor> = args.expect_head.as_deref().map(str::parse).transpose()?;
    let report = verify(&path, &trusted, anchor.as_ref())?;
    let mut text = report.summary.join("\n");
    for finding in &report.findings {
        text.push_str(&format!(
            "\n{} {}: {}",
            if finding.severity == crate::evidence::Severity::Bad {
                "✗"
            } else {
                "!"
            },
            finding.place(),
            finding.message
        ));
    }
    let exit = report.check().map_or_else(|e| e.exit(), |()| Exit::Ok);
    Ok(Answer::new(exit, text, &report))
}

fn list(world: &World) -> Result<Answer> {
    let archive = archive(world)?;
    let runs: Vec<&Run> = archive.list(&Query::default());
    let rows = runs.iter().map(|run| {
        let start = &run.start.predicate.facts;
        let outcome = run.outcome().map_or("never ended", |o| o.word());
        vec![
            run.id().to_string(),
            outcome.to_owned(),
            start.operation.to_string(),
            start.context.to_string(),
            start.started.minute(),
        ]
    });
    let text = if runs.is_empty() {
        "No evidence yet.".to_owned()
    } else {
        table(&["run", "outcome", "operation", "context", "started"], rows)
    };
    let records = runs
        .iter()
        .map(|run| {
            let start = &run.start.predicate.facts;
            Recorded {
                run: run.id().to_string(),
                outcome: run.outcome(),
                operation: start.operation.to_string(),
                context: start.context.to_string(),
                started: start.started,
                trusted: run.trusted(),
            }
        })
        .collect();
    Ok(Answer::new(Exit::Ok, text, Records { records }))
}

fn show(world: &World, args: &EvidenceShowArgs) -> Result<Answer> {
    let archive = archive(world)?;
    let run = if args.run == "newest" {
        let newest = archive
            .list(&Query::default())
            .into_iter()
            .max_by_key(|r| r.last_heard());
        newest.ok_or_else(|| Error::new(&NOT_FOUND, "there is no evidence yet"))?
    } else {
        archive.resolve(&args.run)?
    };
    let text = match args.format {
        Rendering::Text | Rendering::Markdown => render::markdown(run),
        Rendering::Junit => render::junit(run),
        Rendering::Html => render::html(run),
    };
    let dossier = render::dossier(run);
    match &args.file {
        None => Ok(Answer::new(Exit::Ok, text, dossier).verbatim()),
        Some(path) => {
            std::fs::write(path, text).map_err(|e| Error::io("write", path, e))?;
            Ok(Answer::new(
                Exit::Ok,
                format!("Wrote {}.", path.display()),
                dossier,
            ))
        }
    }
}
