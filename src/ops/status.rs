//! One screen: health, migration locks, backup age against RPO, last drill against RTO, leases, open runs and what they left
//! behind. Each line says who says so.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::lease::FileLeases;
use crate::engine::step::ReadCx;
use crate::error::Result;
use crate::event::Outcome;
use crate::evidence::Archive;
use crate::identity::Store;
use crate::repository::{BackupId, Holder};
use crate::steps::choose::{self, Found};
use crate::steps::copies;
use crate::steps::cross;
use crate::steps::drill::OPERATION;
use crate::steps::evidence::trusted_keys;
use crate::steps::keys::key_proven;
use crate::steps::migrate::{self, AnyLock};
use crate::steps::smoke::smoke;
use crate::steps::verify::{Left, left_behind};
use crate::steps::world::World;
use crate::time::{Instant, Span};
use crate::wait::Deadline;

/// How long the look for migration locks may take; what keeps it longer is told by the probes.
const LOOK: Duration = Duration::from_secs(5);

/// A line of the screen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// What it is about.
    pub subject: String,
    /// The judgement.
    pub outcome: Outcome,
    /// What was seen, and by whom.
    pub detail: String,
    /// The command to run next, if something is to be done.
    pub next: Option<String>,
}

/// The screen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// The context's name.
    pub context: String,
    /// When it was looked at.
    pub at: Instant,
    /// The lines.
    pub rows: Vec<Row>,
    /// Who holds a lock on the repository; empty as well if it cannot be asked, which a line says.
    pub locks: Vec<RepositoryLock>,
}

/// A lock on the repository.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RepositoryLock {
    /// What it is held for.
    pub purpose: String,
    /// The machine's name.
    pub host: String,
    /// The process there.
    pub pid: i32,
    /// Since when.
    pub since: Instant,
    /// Whether it is another machine's or container's, of which nobody can tell here whether it lives.
    pub elsewhere: bool,
    /// What `backup unlock` knows it by.
    pub token: String,
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}\n", self.context, self.at.human())?;
        for row in &self.rows {
            let sign = match row.outcome {
                Outcome::Passed => "✓",
                Outcome::Degraded => "!",
                Outcome::Failed => "✗",
                Outcome::NotEvaluated => "?",
                Outcome::Skipped => "-",
            };
            writeln!(f, "{sign} {:<9} {}", row.subject, row.detail)?;
            if let Some(next) = &row.next {
                writeln!(f, "            next: {next}")?;
            }
        }
        Ok(())
    }
}

fn row(subject: &str, outcome: Outcome, detail: impl Into<String>) -> Row {
    Row {
        subject: subject.to_owned(),
        outcome,
        detail: detail.into(),
        next: None,
    }
}

impl Row {
    fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }
}

/// Looks at everything; what cannot be looked at is said, and does not keep the rest from the screen.
pub async fn status(cx: &ReadCx<'_, World>) -> Result<Overview> {
    let world = cx.world;
    let (health, migration) = tokio::join!(health(cx), migration(world));
    let mut rows = vec![health];
    rows.extend(migration);
    rows.push(backup(world).await);
    rows.extend(gone(world).await);
    for copy in world.repository.iter().flat_map(|r| &r.copies) {
        rows.push(copied(world, &copy.name).await);
    }
    rows.extend(keys(world).await);
    let (locked, locks) = locks(world).await;
    rows.extend(locked);
    rows.push(drill(world));
    rows.push(match FileLeases::at(world.state.leases()).list() {
        Ok(held) if held.is_empty() => {
            row("leases", Outcome::Passed, "none held in this state folder")
        }
        Ok(held) => {
            let shown: Vec<String> = held
                .iter()
                .map(|h| format!("`{}` by run `{}`", h.name, h.run))
                .collect();
            row("leases", Outcome::Degraded, shown.join(", ")).next("summitctl lease show")
        }
        Err(error) => row("leases", Outcome::NotEvaluated, error.one_line()),
    });
    rows.push(match super::execute::open_runs(world) {
        Ok(open) if open.is_empty() => {
            row("runs", Outcome::Passed, "none open in this state folder")
        }
        Ok(open) => {
            let shown: Vec<String> = open
                .iter()
                .map(|r| format!("`{}` ({})", r.run, r.plan.operation))
                .collect();
            row(
                "runs",
                Outcome::Degraded,
                format!("open: {}", shown.join(", ")),
            )
            .next(format!(
                "summitctl run resume {} --context {}",
                open[0].run, open[0].plan.context
            ))
        }
        Err(error) => {
            row("runs", Outcome::NotEvaluated, error.one_line()).next("summitctl run list")
        }
    });
    rows.extend(scratch(world));
    Ok(Overview {
        context: world.context.clone(),
        at: Instant::now(),
        rows,
        locks,
    })
}

/// Who holds a migration lock; `None` where no migration tool could have one.
async fn migration(world: &World) -> Option<Row> {
    if !world.has(Store::Postgres) && !world.has(Store::Neo4j) {
        return None;
    }
    let show = format!("summitctl migrate lock show --context {}", world.context);
    let (deadline, what) = (Deadline::after(LOOK), "looking for migration locks");
    let found = match deadline.run(what, migrate::locks(world)).await {
        Ok(found) => found,
        Err(error) => {
            return Some(row("migration", Outcome::NotEvaluated, error.one_line()).next(show));
        }
    };
    let unread = migrate::all_read(&found).err();
    let held: Vec<String> = found.all().iter().filter_map(AnyLock::held).collect();
    Some(match unread {
        _ if !held.is_empty() => row("migration", Outcome::Degraded, held.join("; ")).next(show),
        Some(error) => row("migration", Outcome::NotEvaluated, error.one_line()).next(show),
        None => row("migration", Outcome::Passed, "no lock is held"),
    })
}

/// What runs that were killed left running, if they did.
fn scratch(world: &World) -> Option<Row> {
    let left = match left_behind(world) {
        Ok(left) => left,
        Err(error) => return Some(row("scratch", Outcome::NotEvaluated, error.one_line())),
    };
    let first = left.first()?;
    let words: Vec<String> = left.iter().map(Left::words).collect();
    let detail = format!(
        "servers with restored data in the clear, left of runs that were cut off: {}",
        words.join(", ")
    );
    Some(row("scratch", Outcome::Degraded, detail).next(first.next(&world.context)))
}

/// Who works in the repository, if somebody does. That it cannot be asked is another row's.
async fn locks(world: &World) -> (Option<Row>, Vec<RepositoryLock>) {
    let asked = async { world.repository().await?.locks().await };
    let Ok(held) = asked.await else {
        return (None, Vec::new());
    };
    let shown: Vec<String> = held.iter().map(Holder::describe).collect();
    let here = "the lock of a process that ends goes with it";
    let away = "if that process of elsewhere is surely no more, remove its lock";
    let lost = held.iter().find(|h| h.is_elsewhere());
    let row = (!held.is_empty()).then(|| {
        let what = if lost.is_some() { away } else { here };
        let detail = format!("the repository's: {}; {what}", shown.join(", "));
        let row = row("locks", Outcome::Degraded, detail);
        match lost {
            None => row,
            Some(h) => row.next(format!(
                "summitctl backup unlock {0} --confirm {0} --context {1}",
                h.token, world.context
            )),
        }
    });
    let locks = held.into_iter().map(|h| RepositoryLock {
        elsewhere: h.is_elsewhere(),
        purpose: h.purpose,
        host: h.host,
        pid: h.process.pid,
        since: h.since,
        token: h.token,
    });
    (row, locks.collect())
}

/// That nobody can open the backups must be seen long before one is needed.
async fn keys(world: &World) -> Option<Row> {
    world.repository.as_ref()?;
    let found = key_proven(world).await;
    let said = format!("proved to open a backup: {}", found.detail);
    let row = row("keys", found.outcome, said);
    Some(match found.outcome {
        Outcome::Passed => row,
        _ => row.next(format!(
            "summitctl backup verify --key-check --context {}",
            world.context
        )),
    })
}

async fn health(cx: &ReadCx<'_, World>) -> Row {
    match smoke(cx, None, None).await {
        Ok(report) => {
            let totals = report.totals;
            let failing: Vec<String> = report.roots().map(|c| c.id.clone()).collect();
            let mut detail = format!(
                "{} of {} probes passed just now",
                totals.passed, totals.checks
            );
            if !failing.is_empty() {
                detail.push_str(&format!("; failing: {}", failing.join(", ")));
            }
            let seen = row("health", report.outcome, detail);
            if report.outcome == Outcome::Passed {
                seen
            } else {
                seen.next(format!("summitctl smoke --context {}", cx.world.context))
            }
        }
        Err(error) => row("health", Outcome::NotEvaluated, error.one_line()),
    }
}

async fn backup(world: &World) -> Row {
    let create = format!("summitctl backup create --context {}", world.context);
    let newest = async { choose::newest(world, &world.repository().await?).await };
    match newest.await {
        Err(error) => row("backup", Outcome::NotEvaluated, error.one_line())
            .next(format!("summitctl doctor --context {}", world.context)),
        Ok(None) => row(
            "backup",
            Outcome::Failed,
            "the repository holds no usable backup of this context",
        )
        .next(create),
        Ok(Some(Found {
            backup,
            lacks,
            doubts,
            ..
        })) => {
            let Some((from, _)) = backup.contents.as_ref().and_then(|c| c.window()) else {
                return row(
                    "backup",
                    Outcome::NotEvaluated,
                    format!("the contents of `{}` cannot be read", backup.id),
                );
            };
            let age = Instant::now().since(from);
            let rpo = world.policy.rpo.value;
            let level = backup
                .verified_level()
                .map_or("never verified".to_owned(), |r| {
                    format!("verified to level {}", r.level.number())
                });
            let fuzzy: Vec<&str> = backup
                .contents
                .iter()
                .flat_map(|c| c.fuzzy().map(|c| c.store.name()))
                .collect();
            let mut detail = format!("`{}` is {} old (RPO {rpo}), {level}", backup.id, Span(age));
            if !fuzzy.is_empty() {
                let stores = fuzzy.join(" and ");
                detail = format!("{detail}; {stores} changed while it was read (fuzzy)");
            }
            let declared = world.settings.cross_checks.iter();
            let names: Vec<&str> = declared.map(|c| c.name.as_str()).collect();
            let agree = cross::finding(world, &backup, &names);
            let disagree = !names.is_empty() && agree.outcome != Outcome::Passed;
            if disagree {
                detail = match agree.outcome {
                    Outcome::NotEvaluated => {
                        format!(
                            "{detail}; whether the stores agree is not known: {}",
                            agree.detail
                        )
                    }
                    _ => format!("{detail}; {}", agree.detail),
                };
            }
            for doubt in &doubts {
                detail = format!("{detail}; {}", doubt.trim_end_matches('.'));
            }
            if !lacks.is_empty() {
                let detail = format!("{detail}, and lacks {}", choose::named(&lacks));
                row("backup", Outcome::Failed, detail).next(create)
            } else if age > rpo.0 {
                row("backup", Outcome::Failed, detail).next(create)
            } else if backup
                .verified_level()
                .is_none_or(|r| r.level.number() < world.policy.verify_level.value)
            {
                row("backup", Outcome::Degraded, detail).next(format!(
                    "summitctl backup verify {} --context {}",
                    backup.id, world.context
                ))
            } else if !fuzzy.is_empty() || !doubts.is_empty() {
                row("backup", Outcome::Degraded, detail).next(create)
            } else if disagree {
                // Where nothing was asked yet, that can be done; what was seen stands in the records.
                let look = match agree.hints.is_empty() || agree.outcome == Outcome::Failed {
                    true => format!("backup show {}", backup.id),
                    false => format!("backup verify {} --level 3", backup.id),
                };
                row("backup", Outcome::Degraded, detail)
                    .next(format!("summitctl {look} --context {}", world.context))
            } else {
                row("backup", Outcome::Passed, detail)
            }
        }
    }
}

/// Backups that went away unseen, if there are any; that the repository cannot be asked is another row's.
async fn gone(world: &World) -> Option<Row> {
    let missing = async { world.repository().await?.missing_backups().await };
    let missing = missing.await.ok()??;
    if missing.is_empty() {
        return None;
    }
    let names: Vec<String> = missing.iter().map(|id| format!("`{id}`")).collect();
    let detail = format!("gone, and nobody stated its removal: {}", names.join(", "));
    let list = format!("summitctl backup list --context {}", world.context);
    Some(row("backup", Outcome::Failed, detail).next(list))
}

/// How far a copy of the repository is behind.
async fn copied(world: &World, name: &str) -> Row {
    let copy = format!("summitctl backup copy {name} --context {}", world.context);
    let newest = |id: &Option<BackupId>| match id {
        Some(id) => format!("the newest there is `{id}`"),
        None => "it holds no usable backup of this context".to_owned(),
    };
    match copies::lag(world, name).await {
        Err(error) => row(
            "copy",
            Outcome::NotEvaluated,
            format!("`{name}`: {}", error.one_line()),
        )
        .next(copy),
        Ok(lag) if lag.behind > 0 => {
            let since = lag.since.map_or(String::new(), |at| {
                format!(", since {} ago", Span(Instant::now().since(at)))
            });
            let detail = format!(
                "`{name}`: {}; {} behind{since}",
                newest(&lag.newest),
                lag.behind
            );
            row("copy", Outcome::Degraded, detail).next(copy)
        }
        Ok(lag) if lag.keys_differ => {
            let detail = format!(
                "`{name}`: its signers, epochs or key files are not those of the repository"
            );
            row("copy", Outcome::Degraded, detail).next(copy)
        }
        Ok(lag) => {
            let level = match (&lag.newest, lag.level) {
                (None, _) => String::new(),
                (Some(_), None) => ", never verified there".to_owned(),
                (Some(_), Some(level)) => format!(", verified to level {}", level.number()),
            };
            let detail = format!("`{name}`: {}{level}", newest(&lag.newest));
            if lag.unproved.is_empty() {
                let detail = format!("{detail}; nothing behind");
                return row("copy", Outcome::Passed, detail);
            }
            let detail = format!(
                "{detail}; it lacks records of restores: {}",
                lag.unproved
                    .iter()
                    .map(|id| format!("`{id}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            row("copy", Outcome::Degraded, detail).next(copy)
        }
    }
}

fn drill(world: &World) -> Row {
    let run = format!("summitctl drill run --context {}", world.context);
    let Some(settings) = &world.evidence else {
        return row(
            "drill",
            Outcome::NotEvaluated,
            "the context has no signed evidence",
        );
    };
    let archive = match Archive::open(&settings.dir, &trusted_keys(world)) {
        Ok(archive) => archive,
        Err(error) => return row("drill", Outcome::NotEvaluated, error.one_line()),
    };
    let Some(closing) = archive
        .latest(OPERATION, &world.context)
        .and_then(|r| r.closing())
    else {
        return row(
            "drill",
            Outcome::Failed,
            "the evidence holds no finished drill",
        )
        .next(run);
    };
    let facts = &closing.predicate.facts;
    let rto = facts
        .measurements
        .iter()
        .find(|m| m.name.as_str() == "rto")
        .map(|m| Span::measured(m.value.0));
    let age = Instant::now().since(facts.finished);
    let detail = format!(
        "{} {} ago, recovery took {} (RTO {})",
        facts.outcome.word(),
        Span(age),
        rto.map_or("an unknown time".to_owned(), |r| r.to_string()),
        world.policy.rto.value
    );
    let due = age > world.policy.drill_interval.value.0;
    if facts.outcome == Outcome::Passed && !due {
        row("drill", Outcome::Passed, detail)
    } else {
        row("drill", Outcome::Failed, detail).next(run)
    }
}
