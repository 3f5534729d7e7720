//! Backups and drills as plans: which steps, in which order, needing what.

use std::path::Path;

use serde_json::json;

use crate::engine::plan::{OnFailure, Spec, StepSpec};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::repository::{BackupId, COMMIT_LABEL, Sample};
use crate::runbook::EXEC;
use crate::steps::import::{Foreign, IMPORTED, describe};
use crate::steps::world::World;
use crate::time::{Instant, Span};

/// A request about some stores of a world; looks at their identities.
/// The parameter that names the copy which a run works on as if it were the repository.
pub const COPY: &str = "repository";

pub(super) async fn spec(
    world: &World,
    operation: &str,
    title: String,
    stores: &[Store],
    steps: Vec<StepSpec>,
) -> Result<Spec> {
    Ok(Spec {
        operation: operation.to_owned(),
        title,
        context: world.context.clone(),
        tier: world.tier,
        identities: world.identities(stores).await?,
        params: world
            .copy_worked_on()
            .map_or(json!({}), |copy| json!({COPY: copy})),
        steps,
        documents: Vec::new(),
    })
}

pub(super) fn named(stores: &[Store]) -> String {
    stores
        .iter()
        .map(|s| s.name())
        .collect::<Vec<_>>()
        .join(", ")
}

/// How stores are captured, where there is a choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Writes are stopped meanwhile by the context's programs.
    pub quiesce: bool,
    /// Neo4j is stopped and dumped.
    pub offline: bool,
    /// Writes to Neo4j may be held back for this long.
    pub hold_writes: Option<Span>,
}

/// The steps that capture stores and publish the backup. All captures side by side; the manifest last.
pub(super) fn capture_steps(
    stores: &[Store],
    labels: &[String],
    prefix: &str,
    needs: &[&str],
    how: How,
) -> Vec<StepSpec> {
    let id = |store: &Store| format!("{prefix}{store}");
    let mut steps: Vec<StepSpec> = stores
        .iter()
        .map(|store| {
            let mut args = json!({"store": store, "backup": "${ run.id }"});
            if how.offline && *store == Store::Neo4j {
                args["offline"] = json!(true);
            }
            if let Some(span) = how.hold_writes.filter(|_| *store == Store::Neo4j) {
                args["hold-writes"] = json!(format!("{}ms", span.0.as_millis()));
            }
            StepSpec::new(id(store), "backup.capture", args, needs)
        })
        .collect();
    let needs: Vec<String> = stores.iter().map(id).collect();
    let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
    let args = json!({"backup": "${ run.id }", "stores": stores, "labels": labels});
    steps.push(StepSpec::new(
        format!("{prefix}commit"),
        "backup.commit",
        args,
        &needs,
    ));
    steps
}

/// `backup init`: the place, made.
pub async fn init(world: &World) -> Result<Spec> {
    let place = &world.repository_settings()?.place;
    let title = format!("make a backup repository in {place}");
    let steps = vec![StepSpec::new("init", "repository.init", json!({}), &[])];
    spec(world, "backup init", title, &[], steps).await
}

/// The new backup brought to each copy. It is made and counts when the first repository has it: a copy that fails is said, and
/// takes nothing back.
fn copy_steps(world: &World, after: &str) -> Vec<StepSpec> {
    let copies = world.repository.iter().flat_map(|r| &r.copies);
    let steps = copies.map(|copy| {
        let args = json!({"to": copy.name, "backup": "${ run.id }"});
        let mut step = StepSpec::new(format!("copy-{}", copy.name), "backup.copy", args, &[after]);
        step.on_failure = OnFailure::Continue;
        step
    });
    steps.collect()
}

/// `backup create`: pin, capture, publish, and prove that every object is whole.
pub async fn create(
    world: &World,
    stores: &[Store],
    labels: &[String],
    commit: Option<&str>,
    how: How,
) -> Result<Spec> {
    let commit = commit.map(|sha| format!("{COMMIT_LABEL}{sha}"));
    let labels: Vec<String> = labels.iter().cloned().chain(commit).collect();
    let stores = world.stores(stores)?;
    if stores.is_empty() {
        return Err(world.lacks("postgres"));
    }
    if (how.offline || how.hold_writes.is_some()) && !stores.contains(&Store::Neo4j) {
        return Err(Error::input(
            "`--offline` and `--hold-writes` are about Neo4j, which is not backed up here",
        )
        .hint("Leave the flag out, or add `neo4j` to `--stores`."));
    }
    let mut steps = vec![StepSpec::new(
        "pin",
        "context.pin",
        json!({"stores": stores}),
        &[],
    )];
    if how.quiesce {
        steps.extend(quiesced(world, &stores, &labels, how)?);
    } else {
        steps.extend(capture_steps(&stores, &labels, "", &["pin"], how));
    }
    steps.push(StepSpec::new(
        "verify",
        "backup.verify",
        json!({"backup": "${ run.id }", "level": 1}),
        &["commit"],
    ));
    steps.extend(copy_steps(world, "verify"));
    spec(
        world,
        "backup create",
        format!("back up {}", named(&stores)),
        &stores,
        steps,
    )
    .await
}

/// The captures between the programs that stop writes and let them go on. If a capture fails, everything is taken back,
/// which lets writes go on; a run that was interrupted or killed does so when it is resumed or aborted.
fn quiesced(world: &World, stores: &[Store], labels: &[String], how: How) -> Result<Vec<StepSpec>> {
    let Some(programs) = &world.settings.quiesce else {
        return Err(world.lacks("quiesce"));
    };
    let (begin, end) = (&programs.begin.value, &programs.end.value);
    let mut stop = StepSpec::new(
        "quiesce",
        EXEC,
        json!({"argv": begin, "undo": end}),
        &["pin"],
    );
    stop.on_failure = OnFailure::Undo;
    let mut steps = vec![stop];
    let mut captures = capture_steps(stores, labels, "", &["quiesce"], how);
    for capture in captures.iter_mut().filter(|s| s.kind != "backup.commit") {
        capture.on_failure = OnFailure::Undo;
    }
    let captured: Vec<String> = stores.iter().map(|s| s.name().to_owned()).collect();
    let captured: Vec<&str> = captured.iter().map(String::as_str).collect();
    let mut go_on = StepSpec::new(
        "unquiesce",
        EXEC,
        json!({"argv": end, "undo": end}),
        &captured,
    );
    go_on.retries = 2;
    let commit = captures.pop();
    steps.extend(captures);
    steps.push(go_on);
    steps.extend(commit.map(|mut commit| {
        // Writes wait for nothing that can be done after them.
        commit.needs.push("unquiesce".to_owned());
        commit
    }));
    Ok(steps)
}

/// `backup import`: a dump of another tool as a backup of its own.
pub async fn import(
    world: &World,
    file: &Path,
    as_of: Option<Instant>,
    database: Option<&str>,
    labels: &[String],
) -> Result<Spec> {
    let foreign = describe(file).await?;
    // First: a context without the store has no databases to choose from.
    let stores = world.stores(&[foreign.store])?;
    let database = becomes(world, &foreign, database)?;
    let shown = file.display();
    let Some(as_of) = as_of.or(foreign.made) else {
        return Err(Error::input(format!(
            "`{shown}` does not say when it was made, and a backup must not look newer than its data"
        ))
        .hint(match &foreign.clock {
            Some(clock) => format!(
                "The clock of the machine that made it said {clock}. Say the moment with its zone: `--as-of {}+01:00`, or `Z` for UTC.",
                clock.replacen(' ', "T", 1)
            ),
            None => "Say it with `--as-of 2026-11-20T03:00:00Z`.".to_owned(),
        }));
    };
    if as_of > Instant::now() {
        return Err(Error::input(format!("{} is in the future", as_of.human())));
    }
    let file = file
        .canonicalize()
        .map_err(|e| Error::io("resolve", file, e))?;
    let backup = BackupId::new(as_of)?;
    let labels: Vec<String> = [IMPORTED.to_owned()]
        .into_iter()
        .chain(labels.iter().cloned())
        .collect();
    let steps = vec![
        StepSpec::new(
            "import",
            "backup.import",
            json!({"file": file, "as-of": as_of, "backup": backup, "database": database}),
            &[],
        ),
        StepSpec::new(
            "commit",
            "backup.commit",
            json!({"backup": backup, "stores": stores, "labels": labels}),
            &["import"],
        ),
        StepSpec::new(
            "verify",
            "backup.verify",
            json!({"backup": backup, "level": 1}),
            &["commit"],
        ),
    ];
    let title = format!("import `{shown}` as backup {backup}");
    spec(world, "backup import", title, &[], steps).await
}

/// Which of the context's databases a dump becomes: none is guessed where there are several, or where the dump is of another.
fn becomes(world: &World, foreign: &Foreign, wanted: Option<&str>) -> Result<Option<String>> {
    if foreign.store != Store::Postgres {
        return match wanted {
            None => Ok(None),
            Some(_) => Err(Error::input(format!(
                "`--database` is for dumps of Postgres, and this is one of {}",
                foreign.store
            ))),
        };
    }
    let known = &world.databases;
    let said = foreign
        .database
        .as_ref()
        .filter(|name| known.contains(name));
    let name = match (wanted, known.as_slice()) {
        (Some(name), _) => name.to_owned(),
        (None, [one]) => one.clone(),
        (None, _) => {
            return Err(
                Error::input("the context has several Postgres databases").hint(format!(
                    "Say which one the dump becomes: `--database {}`.",
                    said.unwrap_or(&known[0])
                )),
            );
        }
    };
    if !known.contains(&name) {
        return Err(
            Error::input(format!("the context has no Postgres database `{name}`"))
                .hint(format!("It has {}.", known.join(", "))),
        );
    }
    match said {
        Some(said) if *said != name => Err(Error::input(format!(
            "the dump is of `{said}`, which is another database of the context"
        ))
        .hint(format!("Import it as what it is: `--database {said}`."))),
        _ => Ok(Some(name)),
    }
}

/// `backup verify`.
pub async fn verify(
    world: &World,
    backup: &BackupId,
    level: u8,
    sample: Option<Sample>,
) -> Result<Spec> {
    let what = match sample {
        Some(sample) => format!(
            "verify {} of backup {backup} to level 1, seed {}",
            sample.share, sample.seed
        ),
        None => format!("verify backup {backup} to level {level}"),
    };
    let steps = vec![StepSpec::new(
        "verify",
        "backup.verify",
        json!({"backup": backup, "level": level, "sample": sample}),
        &[],
    )];
    spec(world, "backup verify", what, &[], steps).await
}

/// `drill run`.
pub async fn drill(world: &World, backup: &BackupId) -> Result<Spec> {
    let steps = vec![StepSpec::new(
        "drill",
        "drill.run",
        json!({"backup": backup}),
        &[],
    )];
    spec(
        world,
        "drill run",
        format!("drill the recovery of backup {backup}"),
        &[],
        steps,
    )
    .await
}

/// `context pin`.
pub async fn pin(world: &World, replace: bool) -> Result<Spec> {
    let stores = world.stores(&[])?;
    let steps = vec![StepSpec::new(
        "pin",
        "context.pin",
        json!({"stores": stores, "replace": replace}),
        &[],
    )];
    spec(
        world,
        "context pin",
        "pin the targets".to_owned(),
        &stores,
        steps,
    )
    .await
}

/// `smoke --data-plane`.
pub async fn data_plane(world: &World) -> Result<Spec> {
    let steps = vec![StepSpec::new(
        "data-plane",
        "smoke.data-plane",
        json!({}),
        &[],
    )];
    let stores = world.stores(&[])?;
    spec(
        world,
        "smoke data-plane",
        "follow a write through the platform".to_owned(),
        &stores,
        steps,
    )
    .await
}
