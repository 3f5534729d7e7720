//! `runbook …`: procedures that a person can read and the program can run.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::backup::run_spec;
use super::{show, world};
use crate::cli::Session;
use crate::cli::args::{RunbookCommand, RunbookRunArgs};
use crate::cli::layout::Table;
use crate::cli::output::{Answer, Stream, width};
use crate::consent::Ask as _;
use crate::engine::executor::RunReport;
use crate::engine::plan::Spec;
use crate::engine::registry::Registry;
use crate::error::{Error, Result};
use crate::event::StepEnd;
use crate::exit::Exit;
use crate::ops::runbook_run;
use crate::runbook::{
    Diagnostic, Drift, Library, Param, ParamType, Runbook, Severity, Source, drift, parse, template,
};
use crate::steps::world::World;

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
    /// Whether it stands in for the built-in one of this name.
    pub replaces: bool,
    /// How it stands to the built-in text, if it is a copy of one or stands in for one.
    pub drift: Option<Drift>,
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
    /// Its parameters, in the order of the text.
    pub params: Vec<Parameter>,
    /// The text, front matter left out.
    pub markdown: String,
}

/// A parameter of a runbook.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub kind: ParamType,
    /// What it is for.
    pub prompt: String,
    /// The value used when none is given; null if one must be given.
    pub default: Option<Value>,
    /// The values of a choice.
    pub choices: Vec<String>,
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

/// What `runbook diff` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Differs {
    /// Its name.
    pub runbook: String,
    /// Its file.
    pub file: String,
    /// The built-in runbook that it is a copy of, or stands in for.
    pub built_in: String,
    /// How it stands to the built-in text.
    pub drift: Drift,
    /// The digest of the built-in text it was made from, if it says so.
    pub based_on: Option<String>,
    /// The digest of the built-in text.
    pub built_in_digest: String,
    /// The digest of its own text.
    pub digest: String,
    /// The lines that differ: `-` in the built-in text only, `+` here only.
    pub diff: String,
}

/// What `runbook new` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Started {
    /// The new runbook's text, front matter included.
    pub markdown: String,
}

/// Built-in runbooks, with those of `./runbooks` added or in their place.
pub fn library() -> Result<Library> {
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

/// A name is an id; a path is a file of its own, which may use those of `./runbooks`.
fn library_with(name: &str) -> Result<(Library, String)> {
    let path = Path::new(name);
    if path.extension().is_some_and(|e| e == "md") {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let id = parse(Source::new(name, text.as_str())).0.id;
        let mut beside = Vec::new();
        collect(Path::new("runbooks"), &mut beside)?;
        let same = |other: &str| {
            let canonical = |p: &Path| p.canonicalize().ok();
            canonical(Path::new(other)) == canonical(path)
        };
        beside.retain(|(other, text)| {
            !same(other) && parse(Source::new(other.as_str(), text.as_str())).0.id != id
        });
        beside.insert(0, (name.to_owned(), text));
        return Ok((Library::new(beside), id));
    }
    Ok((library()?, name.to_owned()))
}

/// `runbook …`
pub async fn runbook(session: &Session, command: RunbookCommand) -> Result<Answer> {
    let registry = crate::steps::registry();
    match command {
        RunbookCommand::List => list(),
        RunbookCommand::Show(name) => {
            let (library, id) = library_with(&name.runbook)?;
            let book = library.find(&id)?;
            let shown = Shown {
                runbook: book.id.clone(),
                title: book.title.clone(),
                digest: book.digest(),
                params: book.params.iter().map(Parameter::of).collect(),
                markdown: book.markdown().to_owned(),
            };
            // The document is data; what to do with it is not.
            session.output.say(&about(session, book));
            Ok(Answer::new(Exit::Ok, book.markdown(), shown).verbatim())
        }
        RunbookCommand::Lint { runbook } => lint(runbook.as_deref()),
        RunbookCommand::Diff(name) => diff(&name.runbook),
        RunbookCommand::Complete { runbook } => complete(runbook.as_deref()),
        RunbookCommand::New { name, from } => {
            let markdown = match from {
                Some(from) => drift::copy(library()?.built_in(&from)?, &name),
                None => template(&name, &name),
            };
            Ok(Answer::new(Exit::Ok, markdown.clone(), Started { markdown }).verbatim())
        }
        RunbookCommand::Plan(args) => {
            let (world, spec) = planned(session, &registry, &args, "plan").await?;
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
            let mut answer = show::executed(&executed, |_| String::new());
            answer.text.push_str(&format!(
                "\n\nnext      summitctl {} --context {}",
                words(&args),
                world.context
            ));
            Ok(answer)
        }
        RunbookCommand::Run(args) => {
            let (world, spec) = planned(session, &registry, &args, "run").await?;
            let executed = run_spec(session, &world, spec, words(&args)).await?;
            let mut answer = show::executed(&executed, |report| {
                format!("{}\n\n", show::steps(&report.steps))
            });
            if let Some(report) = executed.report() {
                answer.text.push_str(&read_on(report, &args.name.runbook));
            }
            Ok(answer)
        }
    }
}

/// What to read after a run of a runbook: its record, and where it ended for good with a failure, the page that says what then.
pub fn read_on(report: &RunReport, book: &str) -> String {
    let mut text = String::new();
    let failed = report.steps.iter().find(|s| s.end == Some(StepEnd::Failed));
    if let (Some(step), false) = (failed, report.resumable) {
        text.push_str(&format!(
            "next      summitctl runbook show {}    (what it says behind `{}`)\n",
            world::quoted(book),
            step.id
        ));
    }
    text.push_str(&format!(
        "record    summitctl run show {} --format markdown\n",
        report.run
    ));
    text
}

/// The run that a runbook and its parameters ask for.
async fn planned(
    session: &Session,
    registry: &Registry<World>,
    args: &RunbookRunArgs,
    verb: &str,
) -> Result<(World, Spec)> {
    let (library, id) = library_with(&args.name.runbook)?;
    let book = library.get(&id, registry)?;
    stands_in(session, &library, book)?;
    let world = world::world(session).await?;
    let params = params(session, book, args)?;
    let spec = runbook_run::spec(&world, registry, &library, book, &params).await;
    let spec = spec.map_err(|error| {
        let missing = book.missing(&params);
        if missing.is_empty() || !error.hints().is_empty() {
            return error;
        }
        let missing: Vec<String> = missing
            .iter()
            .map(|p| format!(" --param {}=VALUE", p.name))
            .collect();
        error.hint(format!(
            "Give it with `summitctl runbook {verb} {}{} --context {}`.",
            given(args),
            missing.concat(),
            world.context
        ))
    })?;
    Ok((world, spec))
}

impl Parameter {
    fn of(param: &Param) -> Self {
        Parameter {
            name: param.name.clone(),
            kind: param.kind,
            prompt: param.prompt.clone(),
            default: param.default.clone(),
            choices: param.choices.clone(),
        }
    }

    /// How it is given, and what for.
    fn line(&self) -> String {
        let form = match self.kind {
            ParamType::Choice => self.choices.join("|"),
            other => other.word().to_owned(),
        };
        let default = match &self.default {
            None => "must be given".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "else empty".to_owned(),
            Some(Value::String(text)) => format!("else `{text}`"),
            Some(other) => format!("else `{other}`"),
        };
        format!(
            "--param {}=…  {form}, {default}: {}",
            self.name, self.prompt
        )
    }
}

/// What somebody needs besides the text of a runbook: parameters, digest, and the command that plans it.
fn about(session: &Session, book: &Runbook) -> String {
    let mut text = String::new();
    let mut given = String::new();
    for param in &book.params {
        let param = Parameter::of(param);
        text.push_str(&format!("{}\n", param.line()));
        if param.default.is_none() {
            given.push_str(&format!(" --param {}=…", param.name));
        }
    }
    let environment = world::environment();
    let context = world::context(session, &environment).map(|context| context.name);
    text.push_str(&format!("digest {}\n", book.digest()));
    if context.is_err() {
        text.push_str(
            "first     summitctl sandbox up        (no context is configured: practise)\n",
        );
    }
    let context = context.unwrap_or_else(|_| "sandbox".to_owned());
    text.push_str(&format!(
        "next      summitctl runbook plan {}{given} --context {context}",
        book.id
    ));
    text
}

/// Says before a plan or a run that a copy stands in for the built-in runbook, and how they differ.
fn stands_in(session: &Session, library: &Library, book: &Runbook) -> Result<()> {
    let Some((drift, built_in)) = library.drift(&book.id)? else {
        return Ok(());
    };
    if drift != Drift::Same {
        session.output.say(&format!(
            "note      `{}`, a copy of the built-in `{}`, {}; `summitctl runbook diff {}` shows it",
            book.source().name(),
            built_in.id,
            drift.words(),
            book.id
        ));
    }
    Ok(())
}

/// What `runbook complete` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Completable {
    /// Runbooks; or `NAME=` for each parameter, `NAME=CHOICE` where there are choices.
    candidates: Vec<String>,
}

/// Whether a name is kebab-case: a file of a repository may hold any other, and a shell would read it.
fn plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// For the shell: every runbook, or what can be given to one.
fn complete(name: Option<&str>) -> Result<Answer> {
    let mut candidates = Vec::new();
    match name {
        None => candidates.extend(
            library()?
                .list()
                .map(|l| l.runbook.id.clone())
                .filter(|id| plain(id)),
        ),
        Some(name) => {
            let (library, id) = library_with(name)?;
            for param in library.find(&id)?.params.iter().filter(|p| plain(&p.name)) {
                let values: Vec<&str> = match param.kind {
                    ParamType::Choice => param.choices.iter().map(String::as_str).collect(),
                    ParamType::Boolean => vec!["true", "false"],
                    _ => vec![""],
                };
                let values = values.iter().filter(|v| !v.contains(char::is_control));
                candidates.extend(values.map(|v| format!("{}={v}", param.name)));
            }
        }
    }
    Ok(Answer::new(Exit::Ok, candidates.join("\n"), Completable { candidates }).verbatim())
}

fn diff(name: &str) -> Result<Answer> {
    let (library, id) = library_with(name)?;
    let book = library.find(&id)?;
    let Some((drift, built_in)) = library.drift(&id)? else {
        return Err(Error::input(format!(
            "`{}` is no copy of a built-in runbook",
            book.source().name()
        ))
        .hint(format!(
            "Make one with `summitctl runbook new {0} --from {0} > runbooks/{0}.md`.",
            library.built_in(&id).map_or("ID", |b| b.id.as_str())
        )));
    };
    let lines = drift::unified(built_in.source().text(), book.source().text());
    let text = format!(
        "runbook   {} ({})\nbuilt-in  {} {}\nstate     {}: this copy {}\n\n{lines}",
        book.id,
        book.source().name(),
        built_in.id,
        built_in.digest(),
        drift.short(),
        drift.words(),
    );
    let differs = Differs {
        runbook: book.id.clone(),
        file: book.source().name().to_owned(),
        built_in: built_in.id.clone(),
        drift,
        based_on: book.based_on.as_ref().map(|b| b.digest.clone()),
        built_in_digest: built_in.digest(),
        digest: book.digest(),
        diff: lines,
    };
    Ok(Answer::new(Exit::Ok, text, differs).verbatim())
}

/// The command to repeat: the file or name, and the parameters, as they were given.
fn words(args: &RunbookRunArgs) -> String {
    format!("runbook run {}", given(args))
}

fn given(args: &RunbookRunArgs) -> String {
    let mut words = world::quoted(&args.name.runbook);
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

fn list() -> Result<Answer> {
    let library = library()?;
    let mut table = Table::new(&["runbook", "from", "title"]).with_prose();
    for l in library.list() {
        let from = match (l.local, l.drift) {
            (true, Some(drift)) => format!("local ({})", drift.short()),
            (true, None) => "local".to_owned(),
            (false, _) => "built-in".to_owned(),
        };
        let book = l.runbook;
        table.row(vec![book.id.clone(), from, book.title.clone()]);
        table.note(book.when.clone());
    }
    let runbooks = library
        .list()
        .map(|l| Listed {
            runbook: l.runbook.id.clone(),
            title: l.runbook.title.clone(),
            when: l.runbook.when.clone(),
            local: l.local,
            replaces: l.replaces,
            drift: l.drift,
            readable: l.readable,
            digest: l.runbook.digest(),
        })
        .collect();
    let text = format!(
        "{}\n\nnext      summitctl runbook show NAME\npractise  summitctl sandbox up",
        table.render(width(Stream::Out))
    );
    Ok(Answer::new(Exit::Ok, text, Runbooks { runbooks }))
}

fn lint(wanted: Option<&str>) -> Result<Answer> {
    let registry = crate::steps::registry();
    let (library, ids) = match wanted {
        Some(name) => {
            let (library, id) = library_with(name)?;
            (library, vec![id])
        }
        None => {
            let library = library()?;
            let ids = library.list().map(|l| l.runbook.id.clone()).collect();
            (library, ids)
        }
    };
    let mut text = String::new();
    let mut findings = Vec::new();
    let mut errors = 0;
    let mut digests = Table::new(&["runbook", "digest"]);
    for id in &ids {
        let book = library.find(id)?;
        digests.row(vec![id.clone(), book.digest()]);
        for finding in library.findings(id, &registry)? {
            errors += usize::from(finding.severity == Severity::Error);
            text.push_str(&format!("{}\n\n", finding.render(book.source())));
            findings.push(Found {
                runbook: id.clone(),
                finding,
            });
        }
    }
    text.push_str(&digests.render(None));
    text.push_str(&format!(
        "\n\n{} runbooks, {} findings, {errors} errors",
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
