//! `runbook …`: procedures that a person can read and the program can run.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::backup::{carry_out, run_spec};
use super::{show, world};
use crate::cli::Session;
use crate::cli::args::{RunbookCommand, RunbookRunArgs};
use crate::cli::output::{Answer, table};
use crate::consent::Ask as _;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::ops::runbook_run;
use crate::runbook::{Library, Runbook, Severity, template};

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
            let json = json!({"runbook": book.id, "title": book.title, "digest": book.digest(), "markdown": book.markdown()});
            Ok(Answer::new(Exit::Ok, book.markdown(), json))
        }
        RunbookCommand::Lint { runbook } => lint(session, runbook.as_deref()),
        RunbookCommand::New { name } => {
            let text = template(&name, &name);
            Ok(Answer::new(
                Exit::Ok,
                text.clone(),
                json!({"markdown": text}),
            ))
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
            let executed = run_spec(&planning, &world, spec, format!("runbook run {id}")).await?;
            Ok(show::executed(&executed, |_| String::new()))
        }
        RunbookCommand::Run(args) => {
            let (library, id) = library_with(session, &args.name.runbook)?;
            let book = library.get(&id, &registry)?;
            let world = world::world(session).await?;
            let spec = runbook_run::spec(&world, book, &params(session, book, &args)?).await?;
            carry_out(
                session,
                &world,
                spec,
                format!("runbook run {id}"),
                |report| format!("{}\n\n", show::steps(&report.steps)),
            )
            .await
        }
    }
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
    let rows = library.list().map(|l| {
        let from = match (l.local, l.replaces) {
            (true, true) => "local, in place of the built-in",
            (true, false) => "local",
            (false, _) => "built-in",
        };
        vec![
            l.runbook.id.clone(),
            l.runbook.title.clone(),
            from.to_owned(),
            l.runbook.when.clone(),
        ]
    });
    let items: Vec<_> = library
        .list()
        .map(|l| json!({"runbook": l.runbook.id, "title": l.runbook.title, "when": l.runbook.when, "local": l.local, "readable": l.readable, "digest": l.runbook.digest()}))
        .collect();
    let text = format!(
        "{}\n\nnext      summitctl runbook show NAME",
        table(&["runbook", "title", "from", "when"], rows)
    );
    Ok(Answer::new(Exit::Ok, text, json!({"runbooks": items})))
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
    let mut items = Vec::new();
    let mut errors = 0;
    for id in &ids {
        let book = library.find(id)?;
        for finding in library.findings(id, &registry)? {
            errors += usize::from(finding.severity == Severity::Error);
            text.push_str(&format!("{}\n\n", finding.render(book.source())));
            items.push(json!({"runbook": id, "finding": finding}));
        }
    }
    text.push_str(&format!(
        "{} runbooks, {} findings, {errors} errors",
        ids.len(),
        items.len()
    ));
    let exit = if errors == 0 { Exit::Ok } else { Exit::Usage };
    Ok(Answer::new(exit, text, json!({"findings": items})))
}
