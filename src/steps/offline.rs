//! Neo4j while it is stopped: dumped by neo4j-admin, or loaded from such a dump, and brought back whatever happened.
//!
//! What must be known to bring a server back is noted durably before it is stopped, and forgotten when it answers again. So a
//! run that was killed in between knows, when it is resumed or aborted, that the server may be down on its account.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Clock};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::stores;
use super::verify::{scratch, wipe_scratch};
use super::world::World;
use crate::capture::{Captured, FingerprintKey, PartInfo, PartSource as _};
use crate::config;
use crate::durable::write_private;
use crate::engine::step::{ApplyCx, Facts, Observed, ReadCx, Undo};
use crate::error::{Error, Result};
use crate::identity::{Identity, MARKER, Store};
use crate::providers::neo4j::admin::{self, Admin, DUMP_FORMAT};
use crate::providers::neo4j::{self, NOT_BACK, OTHER_DATABASE, Target};
use crate::reasons;
use crate::repository::{BackupId, BackupParts, BackupWriter, State};
use crate::sandbox::servers::neo4j as servers;
use crate::time::{Instant, Span};
use crate::wait::{Deadline, Look, poll};

reasons! {
    /// The backup has no dump.
    NO_DUMP = "restore.no-dump", Usage,
        "The backup holds no dump of neo4j-admin, so there is nothing to load while Neo4j is stopped: it was made without `--offline`. Restore it without `--offline`, over Bolt.";
}

/// The database of a scratch server.
const GRAPH: &str = "neo4j";

/// How long one look at a server that starts may take.
const LOOK: Duration = Duration::from_secs(15);

/// A server that is stopped for a while, as it was before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stopped {
    identity: Identity,
    version: String,
    database: String,
    stop: Vec<String>,
    start: Vec<String>,
    admin: Vec<String>,
    start_within_seconds: u64,
    /// It answers again, and a load did not end: it may hold nothing, or half of the dump.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    half_loaded: bool,
}

/// What works on a stopped server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Its files are read.
    Dumps,
    /// Its files are replaced.
    Loads,
}

impl Stopped {
    /// What the server is, before it is stopped: as an earlier process of this run noted, or as it says now.
    pub async fn of(cx: &ReadCx<'_, World>) -> Result<Stopped> {
        if let Some(noted) = noted(cx)? {
            return Ok(noted);
        }
        let programs = programs(cx.world)?;
        let identity = cx.world.identify(Store::Neo4j).await?;
        let health = neo4j::ping(cx.world.neo4j()?, Deadline::after(LOOK)).await?;
        let database = health.facts.get("database").and_then(|name| name.as_str());
        Ok(Stopped {
            identity,
            version: health.version,
            database: database.unwrap_or(GRAPH).to_owned(),
            stop: programs.stop.value.clone(),
            start: programs.start.value.clone(),
            admin: programs.admin.value.clone(),
            start_within_seconds: programs.start_within.value.0.as_secs(),
            half_loaded: false,
        })
    }

    /// What it is, and what works on it: the facts that consent rests on.
    pub fn decisive(&self) -> Facts {
        let mut facts = programs_decide(&self.stop, &self.start, &self.admin);
        let source = self.identity.clone().without_markers().facts;
        facts.insert("source".to_owned(), json!(source));
        facts
    }

    /// The programs as the configuration has them now: whoever mended one that failed goes on with that.
    fn admin_of(&self, cx: &ReadCx<'_, World>) -> Admin {
        let variables = cx.world.environment.iter();
        let now = programs(cx.world).ok();
        let argv = |noted: &Vec<String>, now: Option<&config::Sourced<Vec<String>>>| {
            now.map_or_else(|| noted.clone(), |argv| argv.value.clone())
        };
        Admin {
            admin: argv(&self.admin, now.map(|o| &o.admin)),
            stop: argv(&self.stop, now.map(|o| &o.stop)),
            start: argv(&self.start, now.map(|o| &o.start)),
            environment: variables
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            mark: format!("{}/{}", cx.run, cx.step),
        }
    }

    fn start_within(&self, cx: &ReadCx<'_, World>) -> Duration {
        let noted = Duration::from_secs(self.start_within_seconds);
        programs(cx.world).map_or(noted, |now| now.start_within.value.0)
    }

    /// Stops the server, works, and brings the server back whatever came of the work. Somebody who asks to stop ends the work,
    /// not the way back.
    async fn while_stopped(
        &self,
        cx: &ReadCx<'_, World>,
        folder: &Path,
        kind: Work,
        work: impl AsyncFnOnce(&Admin) -> Result<()>,
    ) -> Result<(Window, Duration)> {
        let admin = self.admin_of(cx);
        admin.end_left().await?;
        note(cx, self, false)?;
        let mut back = Back {
            admin: Some(&admin),
            cx,
        };
        let (began, from) = (Clock::now(), Instant::now());
        cx.events
            .note(format!("stopping Neo4j: `{}`", admin.stop.join(" ")));
        // Not given up half way: a server that is on its way down would still answer whoever starts it.
        let stopped = admin.stop(folder).await;
        let to = Instant::now();
        let begun = stopped.is_ok();
        let worked = match stopped {
            Ok(()) => cx.cancel.guard_look(work(&admin)).await.map(|()| to),
            Err(error) => Err(error),
        };
        let returned = self.bring_back(cx, &admin, folder).await;
        back.admin = None;
        if returned.is_ok() {
            match worked {
                Err(_) if kind == Work::Loads && (begun || self.half_loaded) => {
                    self.keep_half_loaded(cx)?;
                }
                _ => forget(cx)?,
            }
        }
        let window = match (worked, returned) {
            (Ok(to), Ok(())) => Window { from, to },
            (Err(error), Ok(())) => return Err(error),
            (Ok(_), Err(error)) => return Err(error),
            (Err(first), Err(error)) => {
                cx.events.note(first.one_line());
                return Err(error);
            }
        };
        let down = began.elapsed();
        cx.events.note(format!(
            "Neo4j was stopped for {}, and answers again",
            rounded(down)
        ));
        Ok((window, down))
    }

    /// Starts the server and waits until it answers.
    async fn bring_back(&self, cx: &ReadCx<'_, World>, admin: &Admin, folder: &Path) -> Result<()> {
        self.started(cx, admin, folder).await.map_err(|error| {
            let what = format!(
                "Neo4j at `{}` is not brought back by `{}`",
                cx.world.neo4j().map(Target::endpoint).unwrap_or_default(),
                admin.start.join(" ")
            );
            Error::new(&NOT_BACK, what).caused_by(error).hint(format!(
                "Look at the server's log and start it; then {}.",
                ways_on(cx)
            ))
        })
    }

    /// Keeps what the server was: whoever goes on must not take what it is now for another one.
    fn keep_half_loaded(&self, cx: &ReadCx<'_, World>) -> Result<()> {
        cx.events.note(format!(
            "the load did not end, and Neo4j may hold nothing, or half of the dump: {}",
            ways_on(cx)
        ));
        note(cx, self, true)
    }

    async fn started(&self, cx: &ReadCx<'_, World>, admin: &Admin, folder: &Path) -> Result<()> {
        // One that outlived us has the files, and a server that starts meanwhile would find them locked.
        admin.end_left().await?;
        let deadline = Deadline::after(self.start_within(cx));
        cx.events
            .note(format!("starting Neo4j: `{}`", admin.start.join(" ")));
        admin.start(folder, deadline).await?;
        let target = cx.world.neo4j()?;
        poll(
            "Neo4j to answer again",
            deadline,
            Duration::from_millis(250),
            async || match neo4j::ping(target, Deadline::after(LOOK)).await {
                Ok(_) => Ok(Look::Ready(())),
                Err(error) => Ok(Look::NotYet(error.one_line())),
            },
        )
        .await?;
        // A dump of another server brings the marker of that one.
        match self.identity.facts.get(MARKER) {
            Some(marker) if neo4j::read_marker(target).await?.as_ref() != Some(marker) => {
                neo4j::plant_marker(target, marker).await
            }
            _ => Ok(()),
        }
    }
}

/// What to do about a run that left the server stopped.
fn ways_on(cx: &ReadCx<'_, World>) -> String {
    format!(
        "go on with `summitctl run resume {0} --context {1}`, or take it back with `summitctl run abort {0} --context {1}`",
        cx.run, cx.world.context
    )
}

/// Says of an error that the server may be stopped on account of this run.
pub fn told<T>(cx: &ReadCx<'_, World>, done: Result<T>) -> Result<T> {
    done.map_err(|error| match may_be_down(cx) {
        Ok(true) if error.reason() != &NOT_BACK => error.hint(format!(
            "Neo4j may be stopped on account of this run: {}; both start it.",
            ways_on(cx)
        )),
        _ => error,
    })
}

/// Brings the server back if an earlier process left it stopped and the work failed before that came to it.
pub async fn or_back<T>(cx: &ReadCx<'_, World>, done: Result<T>) -> Result<T> {
    match done {
        Err(error) if error.reason() != &NOT_BACK && may_be_down(cx)? => {
            if let Err(second) = back(cx).await {
                cx.events.note(error.one_line());
                return Err(second);
            }
            Err(error)
        }
        done => done,
    }
}

/// From before the server was told to stop until it had.
struct Window {
    from: Instant,
    to: Instant,
}

/// Starts the server if nobody waits for that any more: the second Ctrl-C. The note stays, since nobody saw it answer.
struct Back<'a, 'c> {
    admin: Option<&'a Admin>,
    cx: &'a ReadCx<'c, World>,
}

impl Drop for Back<'_, '_> {
    fn drop(&mut self) {
        let Some(admin) = self.admin else {
            return;
        };
        admin.start_blindly();
        self.cx.events.note(format!(
            "`{}` was begun, and nobody waits for Neo4j to answer: {}",
            admin.start.join(" "),
            ways_on(self.cx)
        ));
    }
}

fn rounded(time: Duration) -> Span {
    Span(Duration::from_millis(time.as_millis() as u64))
}

fn programs(world: &World) -> Result<&config::Offline> {
    let settings = world.settings.neo4j.as_ref();
    settings
        .and_then(|neo4j| neo4j.offline.as_ref())
        .ok_or_else(|| world.lacks("neo4j.offline"))
}

/// The same facts before anything is looked at, for a step whose turn comes later.
pub fn foreseen(world: &World) -> Result<Facts> {
    let programs = programs(world)?;
    let value = |argv: &config::Sourced<Vec<String>>| argv.value.clone();
    let (stop, start) = (value(&programs.stop), value(&programs.start));
    Ok(programs_decide(&stop, &start, &value(&programs.admin)))
}

fn programs_decide(stop: &[String], start: &[String], admin: &[String]) -> Facts {
    Facts::from_iter([
        ("stop".to_owned(), json!(stop)),
        ("start".to_owned(), json!(start)),
        ("admin".to_owned(), json!(admin)),
    ])
}

/// What the plan shows of it.
pub fn shown(world: &World) -> Result<Vec<String>> {
    let programs = programs(world)?;
    Ok(vec![
        format!(
            "Neo4j does not answer while this lasts: `{}` stops it",
            programs.stop.value.join(" ")
        ),
        format!(
            "`{}` starts it again, also if something fails; after a crash, `run resume` and `run abort` do",
            programs.start.value.join(" ")
        ),
    ])
}

fn note_path(cx: &ReadCx<'_, World>) -> PathBuf {
    let folder = cx.world.state.runs().folder(cx.run);
    folder.join(format!("offline-{}.json", cx.step))
}

fn note(cx: &ReadCx<'_, World>, stopped: &Stopped, half_loaded: bool) -> Result<()> {
    let stopped = Stopped {
        half_loaded,
        ..stopped.clone()
    };
    let text = serde_json::to_vec(&stopped)
        .map_err(|e| Error::bug("a note does not serialise").caused_by(e))?;
    write_private(&note_path(cx), &text)
}

fn noted(cx: &ReadCx<'_, World>) -> Result<Option<Stopped>> {
    let path = note_path(cx);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", &path, e)),
    };
    let noted = serde_json::from_slice(&text)
        .map_err(|e| Error::input(format!("`{}` cannot be read", path.display())).caused_by(e))?;
    Ok(Some(noted))
}

/// Whether a process of this run may have left the server stopped, or half loaded.
pub fn is_noted(cx: &ReadCx<'_, World>) -> Result<bool> {
    Ok(noted(cx)?.is_some())
}

fn may_be_down(cx: &ReadCx<'_, World>) -> Result<bool> {
    Ok(noted(cx)?.is_some_and(|noted| !noted.half_loaded))
}

fn forget(cx: &ReadCx<'_, World>) -> Result<()> {
    let path = note_path(cx);
    std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))
}

/// Brings the server back if this run may have left it stopped, and removes what was made of its data in the clear.
pub async fn take_back(cx: &ReadCx<'_, World>) -> Result<Undo> {
    let mut done = Vec::new();
    if back(cx).await? {
        done.push("neo4j answers again");
    }
    if matches!(wipe_scratch(cx).await?, Undo::Done(_)) {
        done.push("scratch wiped");
    }
    Ok(match done.as_slice() {
        [] => Undo::Nothing,
        done => Undo::Done(Observed::of(json!({ "offline": done }))),
    })
}

/// Brings the server back if this run may have left it stopped; whether it may have.
pub async fn back(cx: &ReadCx<'_, World>) -> Result<bool> {
    let Some(stopped) = noted(cx)? else {
        return Ok(false);
    };
    if stopped.half_loaded {
        forget(cx)?;
        return Ok(false);
    }
    let folder = cx.world.state.runs().folder(cx.run);
    let admin = stopped.admin_of(cx);
    admin.end_left().await?;
    // It may be on its way down.
    admin.stop(&folder).await?;
    stopped.bring_back(cx, &admin, &folder).await?;
    forget(cx)?;
    Ok(true)
}

/// Dumps the stopped server, keeps the dump as a part, and captures rows from a scratch server that loads it: so the backup is
/// compared, restored and verified as any other, and the dump is known to load.
pub async fn capture(
    cx: &ApplyCx<'_, World>,
    stopped: &Stopped,
    writer: &BackupWriter,
    key: FingerprintKey,
) -> Result<Captured> {
    let dir = scratch(cx.world, cx.run, Store::Neo4j);
    stores::wipe(Store::Neo4j, &dir).await?;
    let captured = dumped(cx, stopped, &dir, writer, key).await;
    let wiped = stores::wipe(Store::Neo4j, &dir).await;
    let captured = captured?;
    wiped?;
    Ok(captured)
}

async fn dumped(
    cx: &ApplyCx<'_, World>,
    stopped: &Stopped,
    dir: &Path,
    writer: &BackupWriter,
    key: FingerprintKey,
) -> Result<Captured> {
    let size = servers::Options::default();
    // Whatever can be made ready is, before the server is stopped.
    let offline = servers::offline(dir, &size).await?;
    let folder = offline.folder("dump")?;
    let dump = folder.join(format!("{GRAPH}.dump"));
    let (window, down) = stopped
        .while_stopped(cx, &folder, Work::Dumps, async |admin: &Admin| {
            cx.events.note("dumping Neo4j");
            admin.dump(&stopped.database, &dump).await
        })
        .await?;
    let part = admin::keep(&dump, &stopped.database, &stopped.version, writer).await?;
    offline.load(&folder, GRAPH).await?;
    drop(offline);
    std::fs::remove_file(&dump).map_err(|e| Error::io("remove", &dump, e))?;
    let target = servers::start(dir, &size).await?.target();
    same_database(&target, stopped).await?;
    let options = neo4j::CaptureOptions {
        key,
        jobs: cx.world.jobs,
        called: Some(stopped.database.clone()),
        barrier: None,
        events: cx.events.clone(),
        cancel: cx.cancel.clone(),
    };
    let mut captured = neo4j::capture(&target, writer, &options).await?;
    captured.parts.push(part);
    captured.identity = stopped.identity.clone();
    captured.server_version = stopped.version.clone();
    captured.method = format!("dumped by neo4j-admin, stopped for {}", rounded(down));
    (captured.from, captured.to) = (window.from, window.to);
    Ok(captured)
}

/// A database keeps its id in a dump, so files of another server are noticed.
async fn same_database(target: &Target, stopped: &Stopped) -> Result<()> {
    let seen = neo4j::identify(target).await?;
    let id = |identity: &Identity| identity.facts.get("database-id").cloned();
    if id(&seen) == id(&stopped.identity) {
        return Ok(());
    }
    Err(Error::new(
        &OTHER_DATABASE,
        format!(
            "`{}` dumped the database {}, and the server's is {}",
            stopped.admin.join(" "),
            id(&seen).unwrap_or_default(),
            id(&stopped.identity).unwrap_or_default()
        ),
    ))
}

/// The dump that a backup holds, and what the source called the database.
pub fn dump_of(source: &BackupParts) -> Option<(PartInfo, String)> {
    let part = source
        .parts("neo4j/")
        .into_iter()
        .find(|part| part.format == DUMP_FORMAT)?;
    let database = part.name.split('/').nth(1)?.to_owned();
    Some((part, database))
}

/// The same, which must be there.
pub fn needed_dump(source: &BackupParts) -> Result<(PartInfo, String)> {
    dump_of(source).ok_or_else(|| {
        let backup = &source.contents().backup;
        Error::new(
            &NO_DUMP,
            format!("backup `{backup}` holds no dump of Neo4j"),
        )
        .hint("Leave `--offline` out: the backup is restored over Bolt.")
    })
}

/// Loads a backup's dump into the stopped server, in the place of what it held; the marker stays what it was.
pub async fn load(cx: &ReadCx<'_, World>, stopped: &Stopped, source: &BackupParts) -> Result<()> {
    let (part, _) = needed_dump(source)?;
    let folder = super::restore::work_dir(cx.world, cx.run)?;
    stopped
        .while_stopped(cx, &folder, Work::Loads, async |admin: &Admin| {
            cx.events.note("loading the dump into Neo4j");
            let mut dump = source.open(&part.name).await?;
            admin.load(&stopped.database, dump.as_mut()).await
        })
        .await
        .map(drop)
}

/// Loads the dump of the run's own safety backup.
pub async fn load_safety(cx: &ReadCx<'_, World>, stopped: &Stopped) -> Result<Option<Undo>> {
    let safety: BackupId = cx.run.parse()?;
    let repository = cx.world.repository().await?;
    if !matches!(repository.state(&safety).await?, State::Complete) {
        return Ok(None);
    }
    let source = super::restore::source(cx.world, &safety, None).await?;
    if dump_of(&source).is_none() {
        return Ok(None);
    }
    load(cx, stopped, &source).await?;
    Ok(Some(Undo::Done(Observed::of(
        json!({"store": "neo4j", "loaded": safety}),
    ))))
}
