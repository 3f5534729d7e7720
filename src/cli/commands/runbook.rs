//! `runbook …`: procedures that a person can read and the program can run.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::backup::{carry_out, run_spec};
use super::{show, world};
use crate::cli::Session;
use crate::cli::args::{RunbookCommand, RunbookRunArgs};
use crate::cli::layout::Table;
use crate::cli::output::{Answer, Stream, width};
use crate::consent::Ask as _;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::ops::runbook_run;
use crate::runbook::{Diagnostic, Library, Runbook, Severity, template};

/// What `runbook list` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Runbooks {
    /// Built-in and local ones, by platform and name.
    pub runbooks: Vec<Listed>,
}

/// A runbook in the list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// Its name.
    pub runbook: String,
    /// Its title.
    pub title: String,
    /// When somebody should reach for it: a sentence.
    pub when: String,
    /// Whether it comes from the folder `runbooks` here.
    pub local: bool,
    /// Whether it can be read without errors.
    pub readable: bool,
    /// `sha256:` and the digest of its text.
    pub digest: String,
}

/// What `runbook show` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// Its name.
    pub runbook: String,
    /// Its title.
    pub title: String,
    /// `sha256:` and the digest of its text.
    pub digest: String,
    /// The text, front matter left out.
    pub markdown: String,
}

/// What `runbook lint` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Linted {
    /// How many runbooks were looked at.
    pub runbooks: usize,
    /// How many of the findings are errors.
    pub errors: usize,
    /// By runbook, in the order of its text.
    pub findings: Vec<Found>,
}

/// A finding and whose it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// The runbook's name.
    pub runbook: String,
    /// What was found.
    pub finding: Diagnostic,
}

/// What `runbook new` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Started {
    /// The new runbook's text, front matter included.
    pub markdown: String,
}

/// Built-in runbooks, with those of `./runbooks` added or in their place.
pub fn library(_: &Session) -> Result<Library> {
    let mut local = Vec::new();
    collect(Path::new("runbooks"), &mut local)?;
    Ok(Library::new(local))
}

fn collect(dir: &Path, found: &mut Vec<(String, String)>) -> Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("list", dir, e)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "md") {
            let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
            found.push((path.display().to_string(), text));
        }
    }
    Ok(())
}

/// A name is an id; a path is a file of its own.
fn library_with(session: &Session, name: &str) -> Result<(Library, String)> {
    let path = Path::new(name);
    if path.extension().is_some_and(|e| e == "md") {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let library = Library::new([(name.to_owned(), text)]);
        let id = library
            .list()
            .find(|l| l.local)
            .map(|l| l.runbook.id.clone())
            .unwrap_or_default();
        return Ok((library, id));
    }
    let id = name.strip_prefix("summit/").unwrap_or(name);
    Ok((library(session)?, id.to_owned()))
}

/// `runbook …`
pub async fn runbook(session: &Session, command: RunbookCommand) -> Result<Answer> {
    let registry = crate::steps::registry();
    match command {
        RunbookCommand::List => list(session),
        RunbookCommand::Show(name) => {
            let (library, id) = library_with(session, &name.runbook)?;
            let book = library.find(&id)?;
            let shown = Shown {
                runbook: book.id.clone(),
                title: book.title.clone(),
                digest: book.digest(),
                markdown: book.markdown().to_owned(),
            };
            Ok(Answer::new(Exit::Ok, book.markdown(), shown).verbatim())
        }
        RunbookCommand::Lint { runbook } => lint(session, runbook.as_deref()),
        RunbookCommand::New { name } => {
            let markdown = template(&name, &name);
            Ok(Answer::new(Exit::Ok, markdown.clone(), Started { markdown }).verbatim())
        }
        RunbookCommand::Plan(args) => {
            let (library, id) = library_with(session, &args.name.runbook)?;
            let book = library.get(&id, &registry)?;
            let world = world::world(session).await?;
            let spec = runbook_run::spec(&world, book, &params(session, book, &args)?).await?;
            let mut globals = session.globals.clone();
            globals.plan_only = true;
            let planning = Session {
                globals,
                events: session.events.clone(),
                timeline: session.timeline.clone(),
                display: session.display.clone(),
                cancel: session.cancel.clone(),
                ..*session
            };
            let executed = run_spec(&planning, &world, spec, words(&args)).await?;
            Ok(show::executed(&executed, |_| String::new()))
        }
        RunbookCommand::Run(args) => {
            let (library, id) = library_with(session, &args.name.runbook)?;
            let book = library.get(&id, &registry)?;
            let world = world::world(session).await?;
            let spec = runbook_run::spec(&world, book, &params(session, book, &args)?).await?;
            carry_out(session, &world, spec, words(&args), |report| {
                format!("{}\n\n", show::steps(&report.steps))
            })
            .await
        }
    }
}

/// The command to repeat: the file or name, and the parameters, as they were given.
fn words(args: &RunbookRunArgs) -> String {
    let mut words = format!("runbook run {}", world::quoted(&args.name.runbook));
    for param in &args.param {
        words.push_str(&format!(" --param {}", world::quoted(param)));
    }
    words
}

/// Parameters from the command line; what is missing is asked for, if there is somebody to ask.
fn params(
    session: &Session,
    book: &Runbook,
    args: &RunbookRunArgs,
) -> Result<BTreeMap<String, String>> {
    let mut given = BTreeMap::new();
    for param in &args.param {
        let (name, value) = param
            .split_once('=')
            .ok_or_else(|| Error::input(format!("`--param {param}` is not `NAME=VALUE`")))?;
        given.insert(name.to_owned(), value.to_owned());
    }
    let mut terminal = session.terminal();
    if terminal.interactive() {
        for missing in book.missing(&given) {
            let answer = terminal.typed(&format!("{}:", missing.prompt))?;
            given.insert(missing.name.clone(), answer);
        }
    }
    Ok(given)
}

fn list(session: &Session) -> Result<Answer> {
    let library = library(session)?;
    let mut table = Table::new(&["runbook", "from", "title"]).with_prose();
    for l in library.list() {
        let from = match (l.local, l.replaces) {
            (true, true) => "local, in place of the built-in",
            (true, false) => "local",
            (false, _) => "built-in",
        };
        let book = l.runbook;
        table.row(vec![book.id.clone(), from.to_owned(), book.title.clone()]);
        table.note(book.when.clone());
    }
    let runbooks = library
        .list()
        .map(|l| Listed {
            runbook: l.runbook.id.clone(),
            title: l.runbook.title.clone(),
            when: l.runbook.when.clone(),
            local: l.local,
            readable: l.readable,
            digest: l.runbook.digest(),
        })
        .collect();
    let text = format!(
        "{}\n\nnext      summitctl runbook show NAME",
        table.render(width(Stream::Out))
    );
    Ok(Answer::new(Exit::Ok, text, Runbooks { runbooks }))
}

fn lint(session: &Session, wanted: Option<&str>) -> Result<Answer> {
    let registry = crate::steps::registry();
    let (library, ids) = match wanted {
        Some(name) => {
            let (library, id) = library_with(session, name)?;
            (library, vec![id])
        }
        None => {
            let library = library(session)?;
            let ids = library.list().map(|l| l.runbook.id.clone()).collect();
            (library, ids)
        }
    };
    let mut text = String::new();
    let mut findings = Vec::new();
    let mut errors = 0;
    for id in &ids {
        let book = library.find(id)?;
        for finding in library.findings(id, &registry)? {
            errors += usize::from(finding.severity == Severity::Error);
            text.push_str(&format!("{}\n\n", finding.render(book.source())));
            findings.push(Found {
                runbook: id.clone(),
                finding,
            });
        }
    }
    text.push_str(&format!(
        "{} runbooks, {} findings, {errors} errors",
        ids.len(),
        findings.len()
    ));
    let exit = if errors == 0 { Exit::Ok } else { Exit::Usage };
    let linted = Linted {
        runbooks: ids.len(),
        errors,
        findings,
    };
    // The lines of a runbook stand above carets: they are not to be broken.
    Ok(Answer::new(exit, text, linted).verbatim())
}
