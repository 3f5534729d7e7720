//! Everything that a backup, a drill or a gate will need, looked at before it is needed: each finding with the command
//! that mends it. Nothing is changed, but for a file that is written to the state folder and removed again.

use std::path::Path;
use std::time::Duration;

use super::findings::sentence;
use crate::check::{Category, Check, Finding, Options, Report, run};
use crate::config;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::identity::Store;
use crate::providers::postgres;
use crate::repository::Show;
use crate::sandbox::servers::program;
use crate::steps::evidence::trusted_keys;
use crate::steps::gate::{NONE_MISSING, none_missing};
use crate::steps::keys;
use crate::steps::place::RepositoryPlace;
use crate::steps::posture::{self, Asked};
use crate::steps::smoke::kubernetes::access;
use crate::steps::smoke::{impact, store_check};
use crate::steps::verify::{Left, left_behind};
use crate::steps::world::World;
use crate::time::{Instant, Span, human_bytes};
use crate::wait::{Cancel, Deadline};

/// Less free space than this is a finding even where nothing is known of the data's size.
const LEAST_SPACE: u64 = 1 << 30;

/// A clock that is further off makes recovery points and signatures doubtful.
const MOST_SKEW: Duration = Duration::from_secs(5);

/// Looks at everything; without a world, at what can be looked at without one.
pub async fn doctor(
    world: std::result::Result<&World, &Error>,
    state: &Path,
    events: &Events,
    cancel: &Cancel,
    within: Duration,
) -> Result<Report> {
    let asked = world.ok().map(Asked::of);
    let mut checks: Vec<Check<'_>> = vec![state_folder(state)];
    match world {
        Ok(world) => {
            checks.push(Check::known(
                "context.resolves",
                Category::Configuration,
                "The context and its secrets resolve",
                Finding::passed(format!("context `{}`", world.context)),
            ));
            for mut check in config::check::context(&world.settings, &world.environment) {
                check.title = sentence(&check.title);
                checks.push(check);
            }
            tools(world, &mut checks);
            space(world, state, &mut checks);
            checks.push(scratch(world));
            datastores(world, &mut checks);
            access::checks(world, &mut checks);
            pins(world, &mut checks);
            keys(world, &mut checks);
            if let Some(asked) = &asked {
                posture::checks(asked, &mut checks);
            }
        }
        Err(error) => checks.push(Check::known(
            "context.resolves",
            Category::Configuration,
            "The context and its secrets resolve",
            Finding::from_error(error),
        )),
    }
    let options = Options {
        events: events.clone(),
        cancel: cancel.clone(),
        ..Options::once(Deadline::after(within))
    };
    run("Doctor", &checks, &options).await
}

fn state_folder<'a>(state: &Path) -> Check<'a> {
    let probe = state.join(".doctor");
    let write = std::fs::create_dir_all(state)
        .and_then(|()| std::fs::write(&probe, b"x"))
        .and_then(|()| std::fs::remove_file(&probe));
    let finding = match write {
        Ok(()) => Finding::passed(format!("{}", state.display())),
        Err(e) => Finding::from_error(&Error::io("write to", state, e)).hint(
            "Name a folder that you may write to with `--state-dir DIR` or `SUMMITCTL_STATE_DIR`.",
        ),
    };
    Check::known(
        "machine.state-folder",
        Category::Machine,
        "The state folder can be written",
        finding,
    )
}

fn tools(world: &World, checks: &mut Vec<Check<'_>>) {
    let found = |id: &str, title: &str, what: Result<std::path::PathBuf>| {
        let finding = match what {
            Ok(path) => Finding::passed(path.display().to_string()),
            Err(error) => Finding::from_error(&error),
        };
        Check::known(id, Category::Tools, title, finding)
    };
    if world.redis.is_some() {
        checks.push(
            found(
                "tools.redis-server",
                "redis-server is here for drills",
                program(&["redis-server", "valkey-server"], &[], "redis-server"),
            )
            .advisory(),
        );
    }
    if world.neo4j.is_some() {
        checks.push(
            found(
                "tools.java",
                "A Java runtime is here for drills",
                program(&["java"], &[], "default-jre-headless"),
            )
            .advisory(),
        );
    }
}

fn space(world: &World, state: &Path, checks: &mut Vec<Check<'_>>) {
    let mut places = vec![(
        "machine.space-state",
        "The state folder has room for a drill",
        state.to_owned(),
    )];
    if let Some(RepositoryPlace::Folder(path)) = world.repository.as_ref().map(|r| &r.place) {
        places.push((
            "machine.space-repository",
            "The repository has room for a backup",
            path.clone(),
        ));
    }
    for (id, title, path) in places {
        let finding = match rustix::fs::statvfs(&path) {
            Err(e) => Finding::not_evaluated(format!("`{}`: {e}", path.display())),
            Ok(seen) => {
                let free = seen.f_bavail.saturating_mul(seen.f_frsize);
                let shown = format!("{} free at {}", human_bytes(free), path.display());
                let finding = if free < LEAST_SPACE {
                    Finding::failed(shown).hint("Free space there, or put the folder elsewhere.")
                } else {
                    Finding::passed(shown)
                };
                finding.fact("free-bytes", free)
            }
        };
        checks.push(Check::known(id, Category::Machine, title, finding));
    }
}

/// Data in the clear that a run which was killed restored, and the servers that it started for them.
fn scratch(world: &World) -> Check<'_> {
    let finding = match left_behind(world) {
        Err(error) => Finding::unevaluated(&error),
        Ok(left) => match left.first() {
            None => Finding::passed("nothing is left of runs that were cut off"),
            Some(first) => {
                let words: Vec<String> = left.iter().map(Left::words).collect();
                Finding::degraded(format!("left of {}", words.join(", ")))
                    .hint(format!("End them with `{}`.", first.next(&world.context)))
            }
        },
    };
    Check::known("machine.scratch", Category::Machine, SCRATCH, finding)
        .advisory()
        .impact("Servers run on with restored data in the clear.")
}

/// What [`scratch`] looks for.
pub const SCRATCH: &str = "No scratch servers are left of runs that were killed";

fn datastores<'a>(world: &'a World, checks: &mut Vec<Check<'a>>) {
    for store in Store::ALL.into_iter().filter(|s| world.has(*s)) {
        checks.push(
            Check::new(
                store_check(store),
                Category::Datastores,
                format!("{store} lets us in"),
                move |attempt| async move {
                    match world.ping(store, attempt.deadline).await {
                        Ok(seen) => Finding::passed(format!(
                            "{} in {:.1} ms",
                            seen.version,
                            seen.latency.as_secs_f64() * 1000.0
                        )),
                        Err(error) => Finding::from_error(&error),
                    }
                },
            )
            .impact(impact(store)),
        );
    }
    let Some(target) = &world.postgres else {
        return;
    };
    checks.push(
        Check::new(
            "postgres.tools",
            Category::Tools,
            "pg_dump and pg_restore fit the server",
            move |attempt| async move {
                let version = match postgres::ping(target, attempt.deadline).await {
                    Ok(health) => health.version,
                    Err(error) => return Finding::from_error(&error),
                };
                let Some(major) = version
                    .split('.')
                    .next()
                    .and_then(|m| m.trim().parse::<u32>().ok())
                else {
                    return Finding::not_evaluated(format!("the server's version is `{version}`"));
                };
                match postgres::tools::pg_dump(major)
                    .and_then(|dump| Ok((dump, postgres::tools::pg_restore(major, major)?)))
                {
                    Ok((dump, restore)) => Finding::passed(format!(
                        "{} and {}",
                        dump.path.display(),
                        restore.path.display()
                    )),
                    Err(error) => Finding::from_error(&error),
                }
            },
        )
        .needs(store_check(Store::Postgres)),
    );
    checks.push(
        Check::new("postgres.sees-everything", Category::Datastores, "The Postgres role may read every row", move |attempt| async move {
            let sql = "SELECT (rolsuper OR pg_has_role(current_user, 'pg_read_all_data', 'USAGE')) AS reads, \
                       (rolsuper OR rolbypassrls) AS every, current_user::text AS name FROM pg_roles WHERE rolname = current_user";
            match postgres::read_rows(target, sql, &[], 1, attempt.deadline).await {
                Err(error) => Finding::from_error(&error),
                Ok(rows) => {
                    let row = rows.first().cloned().unwrap_or_default();
                    let name = row["name"].as_str().unwrap_or("?").to_owned();
                    let yes = |field: &str| row[field].as_bool() == Some(true);
                    match (yes("reads"), yes("every")) {
                        (true, true) => Finding::passed(format!("`{name}` reads everything, row-level security included")),
                        (true, false) => Finding::degraded(format!("`{name}` is subject to row-level security; a backup of such a table is refused"))
                            .hint(format!("As an administrator: `ALTER ROLE {name} BYPASSRLS;`")),
                        _ => Finding::degraded(format!("`{name}` reads only what it was granted"))
                            .hint(format!("As an administrator: `GRANT pg_read_all_data TO {name};`")),
                    }
                }
            }
        })
        .advisory()
        .needs(store_check(Store::Postgres)),
    );
    checks.push(
        Check::new(
            "machine.clock",
            Category::Machine,
            "This clock and the Postgres server's agree",
            move |attempt| async move {
                let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS millis";
                let before = Instant::now();
                match postgres::read_rows(target, sql, &[], 1, attempt.deadline).await {
                    Err(error) => Finding::from_error(&error),
                    Ok(rows) => {
                        let Some(theirs) = rows.first().and_then(|r| r["millis"].as_i64()) else {
                            return Finding::not_evaluated("the server gave no time");
                        };
                        let after = Instant::now();
                        // Their clock was read somewhere between our two looks.
                        let skew = (before.millis() - theirs)
                            .max(theirs - after.millis())
                            .max(0);
                        let span = Duration::from_millis(skew.unsigned_abs());
                        let shown = format!("at least {} apart", Span(span));
                        if span > MOST_SKEW {
                            Finding::degraded(shown).hint(
                                "Let both machines keep time with NTP: `timedatectl set-ntp true`.",
                            )
                        } else {
                            Finding::passed(shown)
                        }
                    }
                }
            },
        )
        .advisory()
        .needs(store_check(Store::Postgres)),
    );
}

fn pins<'a>(world: &'a World, checks: &mut Vec<Check<'a>>) {
    for store in Store::ALL.into_iter().filter(|s| world.has(*s)) {
        checks.push(
            Check::new(
                format!("pin.{store}"),
                Category::Configuration,
                format!("The {store} target is the pinned one"),
                move |_| async move {
                    match world.require_pinned(store).await {
                        Ok(identity) => Finding::passed(identity.short()),
                        Err(error) => Finding::from_error(&error),
                    }
                },
            )
            .needs(store_check(store)),
        );
    }
}

fn keys<'a>(world: &'a World, checks: &mut Vec<Check<'a>>) {
    let section = |finding: Finding, id: &'static str, category: Category, title: &'static str| {
        Check::known(id, category, title, finding)
    };
    if world.repository.is_none() {
        let finding = Finding::not_evaluated("the context has no `repository` section");
        checks.push(section(
            finding,
            "repository.opens",
            Category::Backups,
            "The repository opens",
        ));
    } else {
        checks.push(
            Check::new(
                "repository.opens",
                Category::Backups,
                "The repository opens, and this host may sign for it",
                move |_| async move {
                    let look = async {
                        let repository = world.repository().await?;
                        repository.check_signer(world.signing_key()?)?;
                        Ok::<_, Error>(repository.place())
                    };
                    match look.await {
                        Ok(place) => Finding::passed(place),
                        Err(error) => Finding::from_error(&error),
                    }
                },
            )
            .impact("No backup can be made."),
        );
        checks.push(
            Check::new(
                "repository.key",
                Category::Secrets,
                "Somebody here can open the newest backup",
                move |_| async move {
                    opens_newest(world)
                        .await
                        .unwrap_or_else(|e| Finding::from_error(&e))
                },
            )
            .advisory()
            .impact("No backup can be restored from this machine.")
            .needs("repository.opens"),
        );
    }
    if world.repository.is_some() {
        let gone = Check::new(
            "backup.none-missing",
            Category::Backups,
            NONE_MISSING,
            move |_| none_missing(world),
        );
        checks.push(gone.needs("repository.opens"));
        checks.push(key_proven(world));
    }
    let finding = match &world.evidence {
        None => Finding::degraded("the context has no `evidence.signing-key`, so nothing it does is on record")
            .hint("Make a key with `summitctl evidence keygen KEYFILE` and name it in the evidence section."),
        Some(settings) if !settings.dir.exists() => Finding::passed("no evidence yet"),
        Some(settings) => match crate::evidence::verify(&settings.dir, &trusted_keys(world), None).and_then(|r| r.check().map(|()| r.records)) {
            Ok(records) => Finding::passed(format!("{records} records verify")),
            Err(error) => Finding::from_error(&error),
        },
    };
    checks.push(section(
        finding,
        "evidence.verifies",
        Category::Evidence,
        "The evidence verifies",
    ));
}

fn key_proven(world: &World) -> Check<'_> {
    let judge = move |_| keys::key_proven(world);
    Check::new(
        "repository.key-proven",
        Category::Secrets,
        keys::KEY_PROVEN,
        judge,
    )
    .advisory()
    .impact("The backups may be unreadable, and nobody would know.")
    .needs("repository.opens")
}

/// That an identity opens some epoch of keys says nothing of the epoch that the newest backup is of.
async fn opens_newest(world: &World) -> Result<Finding> {
    let repository = world.readable_repository().await?;
    let newest = repository.newest(&Show::default()).await?;
    let signed = newest.as_ref().and_then(|backup| backup.signed.as_ref());
    repository.can_open(signed.map_or(repository.epoch(), |signed| signed.epoch))?;
    Ok(Finding::passed(match newest {
        Some(backup) => format!("the identity opens the keys of `{}`", backup.id),
        None => "the identity opens the keys of the next backup".to_owned(),
    }))
}
