//! `backup.import`: a dump that another tool made, loaded into a scratch server and captured from there like any other store.
//!
//! What it shows is as old as the dump, never as new as the import: the capture's moment is what the dump says of itself, or what the
//! operator says of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::capture::{discard, observed, seen_staged, staged};
use super::choose::SAFETY;
use super::keep::rules;
use super::stores::{self, Origin};
use super::verify::{scratch, wipe_scratch};
use super::world::World;
use crate::capture::Captured;
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::evidence::sha256_of_file;
use crate::identity::Store;
use crate::providers::neo4j::admin::DUMP_MAGIC;
use crate::providers::{postgres, redis};
use crate::reasons;
use crate::repository::{BackupId, Fate, Repository, Rules};
use crate::sandbox::servers;
use crate::time::{Instant, human_bytes};

reasons! {
    /// Nobody knows what the file is.
    UNKNOWN_DUMP = "import.unknown-dump", Usage,
        "The file is no dump that can be taken in. Known are what `pg_dump` writes in each of its formats, snapshots of Redis and Valkey (`dump.rdb`), and what `neo4j-admin database dump` writes.";
    /// The file changed.
    DUMP_CHANGED = "import.dump-changed", Refused,
        "The file is not the one that was shown: its size or its time changed since the plan. Look at it, and import it again.";
}

/// The label of backups that were imported.
pub const IMPORTED: &str = "imported";
/// The database that Neo4j's scratch server has.
const GRAPH: &str = "neo4j";

/// A dump, and what it says of itself.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// Of which store it is.
    pub store: Store,
    /// What kind of dump.
    pub kind: String,
    /// When it was made, as it says.
    pub made: Option<Instant>,
    /// The clock of the machine that made it, where it says no more.
    pub clock: Option<String>,
    /// The database that it was made of, as it says.
    pub database: Option<String>,
    /// The version of the server, as it says.
    pub server_version: Option<String>,
}

/// What a file is.
pub async fn describe(path: &Path) -> Result<Foreign> {
    if !path.exists() {
        return Err(Error::input(format!(
            "there is no file `{}`",
            path.display()
        )));
    }
    if let Some(dump) = postgres::foreign::describe(path).await? {
        return Ok(Foreign {
            store: Store::Postgres,
            kind: dump.kind().to_owned(),
            made: dump.made,
            clock: dump.clock,
            database: dump.database,
            server_version: dump.server_version,
        });
    }
    if path.is_file() {
        if let Some(snapshot) = redis::foreign::describe(path)? {
            return Ok(Foreign {
                store: Store::Redis,
                kind: format!("snapshot, RDB version {}", snapshot.format),
                made: snapshot.made,
                clock: None,
                database: None,
                server_version: snapshot.server_version,
            });
        }
        if DUMP_MAGIC.contains(&first_bytes(path)?.as_slice()) {
            return Ok(Foreign {
                store: Store::Neo4j,
                kind: "neo4j-admin dump".to_owned(),
                made: None,
                clock: None,
                database: None,
                server_version: None,
            });
        }
    }
    Err(Error::new(
        &UNKNOWN_DUMP,
        format!(
            "`{}` is no dump of Postgres, Redis or Neo4j",
            path.display()
        ),
    ))
}

fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    file.take(4)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

/// Arguments of `backup.import`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImportArgs {
    /// The dump: a file, or a folder of `pg_dump --format=directory`.
    pub file: PathBuf,
    /// The moment whose data it holds.
    pub as_of: Instant,
    /// The backup that it becomes.
    pub backup: BackupId,
    /// Which of the context's Postgres databases it becomes; the URL's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// What will be imported.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportChange {
    file: PathBuf,
    store: Store,
    kind: String,
    as_of: Instant,
    backup: BackupId,
    database: Option<String>,
    seen: Seen,
}

/// What tells whether a file is the one that was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    bytes: u64,
    modified: Option<Instant>,
}

impl Seen {
    fn of(path: &Path) -> Result<Seen> {
        let read = |path: &Path| std::fs::metadata(path).map_err(|e| Error::io("look at", path, e));
        let mut all = vec![path.to_owned()];
        if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(|e| Error::io("list", path, e))?;
            all.extend(entries.flatten().map(|entry| entry.path()));
        }
        let mut seen = Seen {
            bytes: 0,
            modified: None,
        };
        for path in all {
            let meta = read(&path)?;
            if meta.is_file() {
                seen.bytes += meta.len();
            }
            let modified = meta.modified().ok().and_then(|at| {
                let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
                Some(Instant::from_millis(i64::try_from(since.as_millis()).ok()?))
            });
            seen.modified = seen.modified.max(modified);
        }
        Ok(seen)
    }
}

/// The step kind `backup.import`.
pub struct Import;

#[async_trait]
impl Step<World> for Import {
    const KIND: &'static str = "backup.import";
    const SUMMARY: &'static str = "Loads a dump of another tool into a scratch server and captures it from there; counts once `backup.commit` has published it";
    type Args = ImportArgs;
    type Change = ImportChange;

    fn effect(&self, _: &ImportArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &ImportArgs) -> String {
        format!("import `{}`", args.file.display())
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &ImportArgs,
    ) -> Result<Decision<ImportChange>> {
        let repository = cx.world.repository().await?;
        let foreign = describe(&args.file).await?;
        if let Some(captured) = staged(&repository, &args.backup, foreign.store).await? {
            return Ok(Decision::Done(observed(&captured)));
        }
        repository.check_signer(cx.world.signing_key()?)?;
        let seen = Seen::of(&args.file)?;
        let Foresight {
            decisive,
            mut shown,
        } = foreseen(args, &foreign, &seen, &repository);
        if let Some(goes) = goes(cx.world, &repository, &args.backup, foreign.store).await? {
            shown.insert("retention".to_owned(), json!(goes));
        }
        Ok(Decision::Change {
            change: ImportChange {
                file: args.file.clone(),
                store: foreign.store,
                kind: foreign.kind,
                as_of: args.as_of,
                backup: args.backup.clone(),
                database: args.database.clone(),
                seen,
            },
            decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &ImportArgs) -> Result<Foresight> {
        let repository = cx.world.repository().await?;
        let foreign = describe(&args.file).await?;
        let seen = Seen::of(&args.file)?;
        let mut foreseen = foreseen(args, &foreign, &seen, &repository);
        if let Some(goes) = goes(cx.world, &repository, &args.backup, foreign.store).await? {
            foreseen.shown.insert("retention".to_owned(), json!(goes));
        }
        Ok(foreseen)
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &ImportChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        if Seen::of(&change.file)? != change.seen {
            return Err(Error::new(
                &DUMP_CHANGED,
                format!("`{}` changed since it was looked at", change.file.display()),
            ));
        }
        let repository = cx.world.repository().await?;
        let writer = repository.begin(&change.backup, &cx.events).await?;
        let dir = scratch(cx.world, cx.run, change.store);
        stores::wipe(change.store, &dir).await?;
        let key = repository.fingerprint_key()?;
        let work = async {
            let loaded = load(cx, change, &dir).await?;
            let mut captured =
                stores::capture_from(cx, &loaded.origin(), &writer, key, None).await?;
            captured.not_carried.extend(loaded.left_out);
            Ok(captured)
        };
        let captured = cx.cancel.guard(Box::pin(work)).await;
        let wiped = stores::wipe(change.store, &dir).await;
        let mut captured = captured?;
        wiped?;
        date(&mut captured, change)?;
        for line in &captured.not_carried {
            cx.events.note(format!("not carried: {line}"));
        }
        writer.seal_store(captured).await?;
        writer.close().await.map(drop)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &ImportChange) -> Result<Observed> {
        let mut seen = seen_staged(cx, &change.backup, change.store).await?;
        let repository = cx.world.repository().await?;
        if let Some(goes) = goes(cx.world, &repository, &change.backup, change.store).await? {
            seen.0.insert("retention".to_owned(), json!(goes));
        }
        Ok(seen)
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &ImportChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        wipe_scratch(cx).await?;
        discard(cx, &change.backup).await
    }
}

/// What becomes of the backup once a prune judges it, if it goes: it counts as old as its data.
async fn goes(
    world: &World,
    repository: &Repository,
    backup: &BackupId,
    store: Store,
) -> Result<Option<String>> {
    let rules = rules(world, &Rules::default());
    let fate = repository
        .fate_of_new(backup, &[store], &world.context, SAFETY, &rules)
        .await?;
    Ok(match fate {
        Fate::Stays(_) => None,
        Fate::Goes(why) => Some(format!(
            "the next prune removes it, because it counts as old as its data: {why}. Keep it with `summitctl backup hold {backup} --context {}`",
            world.context
        )),
    })
}

fn foreseen(
    args: &ImportArgs,
    foreign: &Foreign,
    seen: &Seen,
    repository: &Repository,
) -> Foresight {
    let version = foreign.server_version.as_deref().unwrap_or("not stated");
    let mut lines = vec![
        format!(
            "{} of {}, {}, version {version}",
            foreign.kind,
            foreign.store,
            human_bytes(seen.bytes)
        ),
        format!("its data count as of {}", args.as_of.human()),
        "it is loaded into a scratch server on this machine, in the clear, and captured from there"
            .to_owned(),
    ];
    if let Some(name) = &args.database {
        let said = foreign.database.as_ref().filter(|said| *said != name);
        let said = said.map_or(String::new(), |said| format!(" (the dump says `{said}`)"));
        lines.push(format!("it becomes the database `{name}`{said}"));
    }
    Foresight {
        decisive: Facts::from_iter([
            ("file".to_owned(), json!(args.file)),
            ("database".to_owned(), json!(args.database)),
            ("seen".to_owned(), json!(seen)),
            ("as-of".to_owned(), json!(args.as_of)),
            ("repository".to_owned(), json!(repository.id())),
        ]),
        shown: Facts::from_iter([
            ("what-happens".to_owned(), json!(lines)),
            ("repository".to_owned(), json!(repository.place())),
        ]),
    }
}

/// The capture is as old as the dump.
fn date(captured: &mut Captured, change: &ImportChange) -> Result<()> {
    let name = change.file.file_name().unwrap_or(change.file.as_os_str());
    let digest = match change.file.is_file() {
        true => format!(", {}", sha256_of_file(&change.file)?),
        false => String::new(),
    };
    captured.method = format!(
        "{} `{}`{digest}, loaded into a scratch server of version {} and captured there",
        change.kind,
        name.to_string_lossy(),
        captured.server_version
    );
    captured.from = change.as_of;
    captured.to = change.as_of;
    Ok(())
}

/// A scratch server that holds a dump.
struct Loaded {
    server: Server,
    left_out: Vec<String>,
}

enum Server {
    Postgres([postgres::Target; 1]),
    Redis(redis::Target),
    Neo4j(crate::providers::neo4j::Target),
}

impl Loaded {
    fn origin(&self) -> Origin<'_> {
        match &self.server {
            Server::Postgres(target) => Origin::Postgres(target),
            Server::Redis(target) => Origin::Redis(target),
            Server::Neo4j(target) => Origin::Neo4j(target),
        }
    }
}

/// How long a server may take to read its data.
const LOADING: Duration = Duration::from_secs(6 * 60 * 60);

async fn load(cx: &ReadCx<'_, World>, change: &ImportChange, dir: &Path) -> Result<Loaded> {
    match change.store {
        Store::Postgres => load_postgres(cx, change, dir).await,
        Store::Redis => {
            let options = servers::redis::Options {
                load: Some(change.file.clone()),
                // Whatever the server had that wrote it.
                settings: vec![("databases".to_owned(), "1024".to_owned())],
                patience: LOADING,
                ..servers::redis::Options::scratch()
            };
            let running = servers::redis::start(dir, &options).await?;
            Ok(Loaded {
                server: Server::Redis(running.target()),
                left_out: vec!["keys that had expired when the dump was imported".to_owned()],
            })
        }
        Store::Neo4j => {
            let size = servers::neo4j::Options::default();
            {
                let offline = servers::neo4j::offline(dir, &size).await?;
                let folder = offline.folder("dump")?;
                let link = folder.join(format!("{GRAPH}.dump"));
                let file = change
                    .file
                    .canonicalize()
                    .map_err(|e| Error::io("resolve", &change.file, e))?;
                std::os::unix::fs::symlink(&file, &link)
                    .map_err(|e| Error::io("link", &link, e))?;
                offline.load(&folder, GRAPH).await?;
            }
            let running = servers::neo4j::start(dir, &size).await?;
            Ok(Loaded {
                server: Server::Neo4j(running.target()),
                left_out: Vec::new(),
            })
        }
    }
}

async fn load_postgres(
    cx: &ReadCx<'_, World>,
    change: &ImportChange,
    dir: &Path,
) -> Result<Loaded> {
    let live = cx.world.postgres()?;
    let dump = postgres::foreign::describe(&change.file).await?;
    let dump = dump.ok_or_else(|| Error::bug("a dump of Postgres is none any more"))?;
    let options = servers::postgres::Options::scratch(dump.loads_in());
    let running = servers::postgres::start(dir, &options).await?;
    let server = running.target();
    let folder = dir.join("import");
    servers::make_dir(&folder, 0o700)?;
    let password = servers::password(&folder)?;
    // The scratch server has a database and an administrator already.
    let free = |name: &str, taken: &str| match name == taken {
        true => IMPORTED.to_owned(),
        false => name.to_owned(),
    };
    let database = change.database.as_ref().unwrap_or(&live.database);
    let database = free(database, &server.database);
    let owner = free(&live.user, &server.user);
    let imported = postgres::foreign::load(
        &server, &database, &owner, &password, &dump, &cx.events, &cx.cancel,
    )
    .await?;
    let mut left_out = imported.left_out;
    if let (Some(was), Some(is)) = (dump.major(), dump.loads_in())
        && was < is
    {
        left_out.push(format!(
            "what PostgreSQL {is}, which loaded it, reads otherwise than {was}"
        ));
    }
    let left_out = left_out.iter();
    Ok(Loaded {
        server: Server::Postgres([server.with_database(&database)]),
        left_out: left_out
            .map(|what| format!("of the dump: {what}"))
            .collect(),
    })
}
