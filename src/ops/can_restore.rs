//! `restore --can-i`: everything that a restore will need, looked at before it is needed, touching nothing.

use std::time::{Duration, Instant};

use crate::capture::PartSource as _;
use crate::check::{Category, Check, Finding, Options, Report, run};
use crate::config::pins::PinState;
use crate::error::Result;
use crate::event::{Events, Outcome};
use crate::identity::Store;
use crate::providers::postgres::{self, FreeSpace, Readiness, RoleMap};
use crate::repository::{Backup, BackupParts};
use crate::steps::databases::{of_backup, one_of};
use crate::steps::roles::{View, refuse_unknown_roles};
use crate::steps::smoke::store_check;
use crate::steps::world::World;
use crate::time::human_bytes;
use crate::wait::{Cancel, Deadline};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked about.
pub struct Question<'a> {
    /// The context that would be restored.
    pub target: &'a World,
    /// The context whose repository holds the backup.
    pub holder: &'a World,
    /// The backup.
    pub backup: &'a Backup,
    /// The stores that would be restored.
    pub stores: &'a [Store],
    /// Only this one of the backup's Postgres databases.
    pub database: Option<&'a str>,
    /// Roles that have other names on the target.
    pub roles: &'a RoleMap,
    /// The new database, if nothing is to be replaced.
    pub name: Option<&'a str>,
    /// Whether the present state would be saved first.
    pub safety: bool,
}

/// Looks at everything.
pub async fn can_restore(asked: &Question<'_>, events: &Events, cancel: &Cancel) -> Result<Report> {
    let began = Instant::now();
    let mut checks = Vec::new();
    let source = open(asked).await;
    checks.push(Check::known(
        "restore.reads-backup",
        Category::Backups,
        "The keys here open the backup",
        match &source {
            Ok((_, read)) => Finding::passed(read.clone()),
            Err(e) => Finding::from_error(e),
        },
    ));
    checks.push(verified(asked));
    if asked.name.is_none() {
        checks.extend(asked.safety.then(|| safety(asked.target)));
    }
    for store in asked.stores {
        checks.push(pinned(asked.target, *store).await);
    }
    if asked.stores.contains(&Store::Postgres) {
        match &source {
            Ok((source, _)) => postgres_checks(asked, source, &mut checks).await,
            Err(_) => checks.push(Check::known(
                "restore.server",
                Category::Datastores,
                SERVER,
                Finding::not_evaluated("the backup cannot be read"),
            )),
        }
    }
    let target = asked.target;
    for store in asked
        .stores
        .iter()
        .copied()
        .filter(|s| *s != Store::Postgres)
    {
        checks.push(Check::new(
            store_check(store),
            Category::Datastores,
            format!("{store} lets us in"),
            move |attempt| async move {
                match target.ping(store, attempt.deadline).await {
                    Ok(seen) => Finding::passed(seen.version),
                    Err(error) => Finding::from_error(&error),
                }
            },
        ));
    }
    let options = Options {
        events: events.clone(),
        cancel: cancel.clone(),
        ..Options::once(Deadline::after(PATIENCE))
    };
    let title = format!(
        "Restore of backup {} to context {}",
        asked.backup.id, target.context
    );
    let mut report = run(&title, &checks, &options).await?;
    // Most of it was found out before the checks were put together.
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

const SERVER: &str = "Postgres takes writes and is not older than the captured one";

/// Opens the backup, and reads its smallest part to the end: only the right key does.
async fn open(asked: &Question<'_>) -> Result<(BackupParts, String)> {
    let repository = asked.holder.readable_repository().await?;
    let source = repository.source(&asked.backup.id).await?;
    let mut parts = source.parts("");
    parts.retain(|p| p.bytes > 0);
    parts.sort_by_key(|p| p.bytes);
    let read = match parts.first() {
        Some(part) => {
            let bytes = source.open(&part.name).await?.read_all().await?;
            format!("`{}` was read to its end, {} bytes", part.name, bytes.len())
        }
        None => "the backup is empty".to_owned(),
    };
    Ok((source, read))
}

fn verified<'a>(asked: &Question<'_>) -> Check<'a> {
    let backup = asked.backup;
    let finding = match backup.verified_level() {
        Some(record) => Finding::passed(format!(
            "level {} at {}",
            record.level.number(),
            record.to.human()
        )),
        None => Finding::degraded("it was never verified; a restore reads all of it first").hint(
            format!(
                "Prove it now with `summitctl backup verify {} --level 2 --context {}`.",
                backup.id, asked.holder.context
            ),
        ),
    };
    let title = "The backup was verified";
    Check::known("restore.verified", Category::Backups, title, finding).advisory()
}

fn safety<'a>(target: &World) -> Check<'a> {
    let finding = match (&target.repository, target.signing_key()) {
        (None, _) => Finding::failed(format!("context `{}` has no repository", target.context))
            .hint("Give it one, or restore with `--without-safety-backup REASON`."),
        (Some(_), Err(e)) => Finding::from_error(&e),
        (Some(settings), Ok(_)) => Finding::passed(settings.place.to_string()),
    };
    let title = "The present state can be saved first";
    Check::known("restore.safety", Category::Backups, title, finding)
}

async fn pinned<'a>(target: &World, store: Store) -> Check<'a> {
    let seen = async { Ok((target.identify(store).await?, target.pins()?)) };
    let finding = match seen.await {
        Err(e) => Finding::from_error(&e),
        Ok((seen, pins)) => match pins.compare(&seen) {
            PinState::Same => Finding::passed(seen.short()),
            PinState::Unpinned => {
                Finding::passed(format!("{}, which a restore pins first", seen.short()))
            }
            PinState::Different(differences) => {
                Finding::from_error(&target.wrong_target(store, &differences))
            }
        },
    };
    let title = format!("The {store} target is the pinned one");
    Check::known(
        format!("pin.{store}"),
        Category::Configuration,
        title,
        finding,
    )
}

async fn postgres_checks<'a>(
    asked: &Question<'_>,
    source: &BackupParts,
    checks: &mut Vec<Check<'a>>,
) {
    let (databases, looked) = match look(asked, source).await {
        Ok(looked) => looked,
        Err(e) => {
            let finding = Finding::from_error(&e);
            checks.push(Check::known(
                "restore.server",
                Category::Datastores,
                SERVER,
                finding,
            ));
            return;
        }
    };
    let Some((_, ready)) = looked.first() else {
        return;
    };
    let each = |judge: &dyn Fn(&Readiness) -> Finding| together(&looked, judge);
    checks.push(Check::known(
        "restore.server",
        Category::Datastores,
        SERVER,
        each(&server),
    ));
    checks.push(Check::known(
        "restore.tools",
        Category::Tools,
        "pg_restore fits the server and the backup",
        match &ready.tool {
            Ok(tool) => Finding::passed(format!("{} {}", tool.path.display(), tool.version)),
            Err(e) => Finding::from_error(e),
        },
    ));
    checks.push(Check::known(
        "restore.extensions",
        Category::Datastores,
        "The captured extensions can be made",
        each(&extensions),
    ));
    let owners = Check::known(
        "restore.roles",
        Category::Datastores,
        "Owners and grants can be restored",
        each(&|ready| roles(ready, !asked.roles.is_empty())),
    );
    // With other names all of them are restored, or nothing is.
    checks.push(if asked.roles.is_empty() {
        owners.advisory()
    } else {
        owners
    });
    checks.push(Check::known(
        "restore.creates",
        Category::Datastores,
        "The role may create databases",
        if ready.creates {
            Finding::passed(format!("`{}`", ready.role))
        } else {
            Finding::failed(format!(
                "`{}` has neither CREATEDB nor SUPERUSER",
                ready.role
            ))
            .hint(format!(
                "As an administrator: `ALTER ROLE {} CREATEDB;`.",
                ready.role
            ))
        },
    ));
    match asked.name {
        Some(name) => checks.push(Check::known(
            "restore.name",
            Category::Datastores,
            "The new database's name is free",
            if ready.taken.is_empty() {
                Finding::passed(format!("`{name}`"))
            } else {
                Finding::failed(format!("there is a database `{name}`"))
                    .hint("Choose another name.")
            },
        )),
        None => live(&looked, &asked.target.context, checks),
    }
    checks.push(space(asked, source, &databases).await);
}

/// What each of the databases needs, by its name on the target; and their names in the backup.
async fn look(
    asked: &Question<'_>,
    source: &BackupParts,
) -> Result<(Vec<String>, Vec<(String, Readiness)>)> {
    let parts = source.parts("postgres/");
    refuse_unknown_roles(asked.roles, &postgres::captured_roles(&parts))?;
    let all = postgres::captured_databases(&parts);
    let chosen = match (asked.name, asked.database) {
        (Some(_), name) => vec![of_backup(source, name)?],
        (None, Some(_)) => vec![one_of(&all, asked.backup.id.as_str(), asked.database)?],
        (None, None) => all.clone(),
    };
    let names: Vec<&str> = asked.name.into_iter().collect();
    let mut looked = Vec::new();
    for captured in &chosen {
        let live = match asked.name {
            Some(_) => asked.target.postgres()?.clone(),
            None => asked.target.live_of(captured, &all)?,
        };
        let seen = View::of(source, captured, asked.roles).await?;
        let ready = postgres::readiness(&live, seen.parts(), captured, &names).await?;
        looked.push((live.database, ready));
    }
    Ok((chosen, looked))
}

/// One finding for all databases: the worst outcome, and each that has it by its name.
fn together(looked: &[(String, Readiness)], judge: &dyn Fn(&Readiness) -> Finding) -> Finding {
    let badness = |finding: &Finding| match finding.outcome {
        Outcome::Failed => 3,
        Outcome::NotEvaluated => 2,
        Outcome::Degraded => 1,
        _ => 0,
    };
    let mut all: Vec<(&String, Finding)> = looked.iter().map(|(n, r)| (n, judge(r))).collect();
    if all.len() > 1 {
        for (name, finding) in &mut all {
            finding.detail = format!("`{name}`: {}", finding.detail);
        }
    }
    let worst = all.iter().map(|(_, f)| badness(f)).max().unwrap_or(0);
    let mut same = all.into_iter().filter(|(_, f)| badness(f) == worst);
    let Some((_, mut first)) = same.next() else {
        return Finding::not_evaluated("no database was chosen");
    };
    for (_, other) in same {
        first.detail = format!("{}; {}", first.detail, other.detail);
        let new = other.hints.into_iter().filter(|h| !first.hints.contains(h));
        let new: Vec<String> = new.collect();
        first.hints.extend(new);
    }
    first
}

fn server(ready: &Readiness) -> Finding {
    let shown = format!(
        "version {}, captured from {}",
        ready.major, ready.captured_major
    );
    if ready.standby {
        Finding::failed(format!("{shown}; it is a standby and takes no writes"))
            .hint("Name the primary in the context's `postgres` section.")
    } else if ready.major < ready.captured_major {
        Finding::failed(shown).hint(format!(
            "Restore to a server of version {} or newer, such as another context's with `--into`.",
            ready.captured_major
        ))
    } else {
        Finding::passed(shown)
    }
}

fn extensions(ready: &Readiness) -> Finding {
    let list = |wanted: &dyn Fn(&postgres::Extension) -> bool| -> Vec<String> {
        let fitting = ready.extensions.iter().filter(|e| wanted(e));
        fitting
            .map(|e| format!("`{}` {}", e.name, e.captured))
            .collect()
    };
    let absent = list(&|e| e.available.is_none());
    if !absent.is_empty() {
        return Finding::failed(format!("the server does not have {}", absent.join(", "))).hint(
            "Install the extension's package on the server, or allow it there on a managed one.",
        );
    }
    let closed = list(&|e| e.allowed == Some(false));
    if !closed.is_empty() {
        return Finding::failed(format!("only a superuser may make {}", closed.join(", ")))
            .hint("Restore as a superuser (on RDS, as a member of `rds_superuser`).");
    }
    let unknown = list(&|e| e.allowed.is_none());
    if !unknown.is_empty() {
        let all = unknown.join(", ");
        return Finding::degraded(format!("the managed service decides who may make {all}"))
            .hint("See the service's list of supported extensions.");
    }
    let other: Vec<String> = ready
        .extensions
        .iter()
        .filter(|e| e.available.as_deref() != Some(&e.captured))
        .map(|e| {
            let now = e.available.as_deref().unwrap_or_default();
            format!("`{}` {} will be {now}", e.name, e.captured)
        })
        .collect();
    Finding::passed(if other.is_empty() {
        list(&|_| true).join(", ")
    } else {
        other.join(", ")
    })
}

fn roles(ready: &Readiness, mapped: bool) -> Finding {
    let lacking = |what: String| match mapped {
        true => Finding::failed(format!("{what}: with `--map-role` the restore is refused")),
        false => Finding::degraded(format!("{what}: owners and grants are left out")),
    };
    let named = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        names.join(", ")
    };
    if !ready.missing_roles.is_empty() {
        let missing = named(&ready.missing_roles);
        lacking(format!("the server lacks {missing}"))
            .hint("Create the roles first: `CREATE ROLE name;` for each; or restore with `--mend roles`, which makes them without login.")
    } else if !ready.foreign_roles.is_empty() {
        let foreign = named(&ready.foreign_roles);
        let how = if ready.major >= 16 {
            " WITH INHERIT TRUE, SET TRUE"
        } else {
            ""
        };
        lacking(format!("`{}` cannot act for {foreign}", ready.role)).hint(format!(
            "As an administrator: `GRANT role TO {}{how};` for each.",
            ready.role
        ))
    } else {
        Finding::passed("every role is there")
    }
}

fn live(looked: &[(String, Readiness)], context: &str, checks: &mut Vec<Check<'_>>) {
    if looked.iter().any(|(_, ready)| ready.live.is_none()) {
        return;
    }
    checks.push(Check::known(
        "restore.renames",
        Category::Datastores,
        "The role may rename the live database",
        together(looked, &renames),
    ));
    checks.push(Check::known(
        "restore.sessions",
        Category::Datastores,
        "Nothing keeps the live database",
        together(looked, &|ready| sessions(ready, context)),
    ));
}

fn renames(ready: &Readiness) -> Finding {
    match &ready.live {
        None => Finding::not_evaluated("there is no live database"),
        Some(live) if live.owns => Finding::passed(format!(
            "`{}` has the rights of its owner `{}`",
            ready.role, live.owner
        )),
        Some(live) => Finding::failed(format!("it belongs to `{}`", live.owner)).hint(format!(
            "As an administrator: `GRANT {} TO {};`.",
            live.owner, ready.role
        )),
    }
}

fn sessions(ready: &Readiness, context: &str) -> Finding {
    let Some(live) = &ready.live else {
        return Finding::not_evaluated("there is no live database");
    };
    if !live.prepared.is_empty() {
        let prepared = live.prepared.join(", ");
        Finding::failed(format!(
            "prepared transactions hold the database: {prepared}"
        ))
        .hint("End each with `COMMIT PREPARED` or `ROLLBACK PREPARED` in that database.")
    } else if !live.out_of_hand.is_empty() {
        let beyond = live.out_of_hand.join(", ");
        Finding::failed(format!("`{}` may not end {beyond}", ready.role)).hint(format!(
            "As an administrator: `GRANT pg_signal_backend TO {};`; superusers' sessions must be closed by hand. Then ask again with `summitctl restore BACKUP --can-i --context {context}`.",
            ready.role
        ))
    } else {
        Finding::passed(format!("{} connected now", live.sessions))
    }
}

async fn space<'a>(asked: &Question<'_>, source: &BackupParts, databases: &[String]) -> Check<'a> {
    let parts = databases
        .iter()
        .flat_map(|database| source.parts(&postgres::prefix(database)));
    let bytes: u64 = parts.map(|p| p.bytes).sum();
    let title = "The server has room for a second copy";
    let known = |finding| Check::known("restore.space", Category::Datastores, title, finding);
    let seen = async { postgres::free_space(asked.target.postgres()?).await };
    match seen.await {
        Err(e) => known(Finding::not_evaluated(e.one_line())).advisory(),
        Ok(FreeSpace::NotMeasured { why }) => {
            known(Finding::not_evaluated(format!("not measured: {why}"))).advisory()
        }
        Ok(FreeSpace::Measured { bytes: free, at }) => {
            let shown = format!(
                "{} free at {}, {} of data to load, and their indexes",
                human_bytes(free),
                at.display(),
                human_bytes(bytes)
            );
            let finding = if free < bytes {
                Finding::failed(shown).hint("Free space there first.")
            } else {
                Finding::passed(shown)
            };
            known(finding.fact("free-bytes", free).fact("needed-bytes", bytes))
        }
    }
}
