//! Restores as plans: check the backup, save the present state, load beside and compare, put it in place, pin anew; and the way
//! back.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::backup::{How, capture_steps, named, spec};
use crate::engine::plan::{Spec, StepSpec};
use crate::engine::replay::{RunState, StepState};
use crate::engine::runs::Runs;
use crate::error::{Error, NOT_FOUND, Result};
use crate::identity::Store;
use crate::providers::postgres::poison::Mend;
use crate::providers::postgres::{RoleMap, Selection};
use crate::providers::redis;
use crate::reasons;
use crate::repository::BackupId;
use crate::steps::choose::SAFETY;
use crate::steps::databases::one_of;
use crate::steps::roles::refuse_unknown_roles;
use crate::steps::world::World;

reasons! {
    /// The reason for going without a safety backup is empty.
    NO_REASON = "restore.no-reason", Usage, "Going without a safety backup needs a reason, which stands in the evidence.";
    /// The target has no repository of its own.
    NO_SAFETY = "restore.no-safety", Refused,
        "The target's context has no repository, so its present state cannot be saved before it is replaced. Give it one, or say with \
         `--without-safety-backup REASON` why nothing there is worth keeping.";
    /// An earlier one was cut off.
    UNFINISHED = "restore.unfinished", Refused,
        "A restore of this context was cut off and neither finished nor taken back. Another one beside it would take its names and its way \
         back. Finish it with `summitctl run resume RUN`, or take it back with `summitctl run abort RUN`; the message names the run.";
    /// An earlier one lay cut off for long.
    STALE_SAFETY = "restore.stale-safety", Refused,
        "A restore that was cut off long ago would go on to replace data that it saved then: what was written since would be lost. Take it \
         back with `summitctl run abort RUN`, and restore anew.";
    /// There is nothing that could be taken back.
    NO_WAY_BACK = "restore.no-way-back", Refused,
        "A restore cannot be taken back as asked: it was made without a safety backup, was taken back already, or never finished. The \
         message says which, and what can be done instead.";
}

/// The step that completes the safety backup.
pub const SAFETY_COMMIT: &str = "safety-commit";
/// The names of the operations in journals.
pub const RESTORE: &str = "restore";
/// The way back.
pub const UNDO: &str = "restore undo";
/// Into a new database, replacing nothing.
pub const COPY: &str = "restore as";

/// One table back into the live database.
pub const TABLE: &str = "restore table";
/// The step that does it.
const PUT_BACK: &str = "put-back";

/// What the ids of the steps that load, mend and swap Postgres begin with; with several databases, the database's name follows.
const LOAD: &str = "load-postgres";
const MEND: &str = "mend-postgres";
const MEND_ROLES: &str = "mend-roles";
const SWAP: &str = "swap-postgres";
/// The step that clears the lock of neo4j-migrations in what was restored.
const MEND_GRAPH: &str = "mend-neo4j";
const SWAP_BACK: &str = "swap-back-postgres";

/// What is to be restored, and how.
pub struct Wanted<'a> {
    /// The backup.
    pub backup: &'a BackupId,
    /// The context whose repository holds it, if it is not the target's own.
    pub from: Option<&'a str>,
    /// The stores it holds.
    pub held: &'a [Store],
    /// The Postgres databases it holds.
    pub databases: &'a [String],
    /// Only this one of them.
    pub database: Option<&'a str>,
    /// Only these stores.
    pub stores: &'a [Store],
    /// Roles of the backup that have other names on the target.
    pub roles: &'a RoleMap,
    /// The roles that the backup's databases name.
    pub known_roles: &'a BTreeSet<String>,
    /// Why nothing is saved first.
    pub without_safety: Option<&'a str>,
    /// What becomes of the keys that Redis has.
    pub keys: Option<redis::Replace>,
    /// What is mended in a restored copy of Postgres before anybody works with it.
    pub mend: &'a BTreeSet<Mend>,
    /// Whether Neo4j is stopped and loads the backup's dump; the safety backup is made the same way.
    pub offline: bool,
}

/// `restore`: into the world's own targets.
pub async fn restore(world: &World, wanted: &Wanted<'_>) -> Result<Spec> {
    refuse_unfinished(world)?;
    let backup = wanted.backup;
    if wanted
        .without_safety
        .is_some_and(|reason| reason.trim().len() < 3)
    {
        return Err(Error::new(
            &NO_REASON,
            "`--without-safety-backup` needs a reason",
        ));
    }
    if wanted.without_safety.is_none() && world.repository.is_none() {
        return Err(Error::new(
            &NO_SAFETY,
            format!(
                "context `{}` has no repository to save its present state in",
                world.context
            ),
        )
        .hint(format!(
            "Add `[contexts.{}.repository]`, or pass `--without-safety-backup REASON` if nothing there is worth keeping.",
            world.context
        )));
    }
    let mut stores = world.stores(wanted.stores)?;
    if let Some(missing) = wanted.stores.iter().find(|s| !wanted.held.contains(s)) {
        return Err(holds_no(*missing, world, wanted));
    }
    stores.retain(|s| wanted.held.contains(s));
    if stores.is_empty() {
        return Err(Error::input(format!(
            "context `{}` has none of the stores that backup `{backup}` holds",
            world.context
        )));
    }
    if wanted.keys.is_some() && !stores.contains(&Store::Redis) {
        return Err(Error::input(
            "`--flush`, `--replace` and `--merge` say what becomes of the keys in Redis, which is not restored here",
        )
        .hint("Leave the flag out, or add `redis` to `--stores`."));
    }
    if wanted.offline && !stores.contains(&Store::Neo4j) {
        return Err(
            Error::input("`--offline` is about Neo4j, which is not restored here")
                .hint("Leave it out, or add `neo4j` to `--stores`."),
        );
    }
    let mut steps = vec![
        StepSpec::new("pinned", "context.pin", json!({"stores": stores}), &[]),
        check(backup, wanted.from),
    ];
    let ready = match wanted.without_safety {
        Some(_) => "check",
        None => {
            let labels = vec![SAFETY.to_owned(), format!("before-{backup}")];
            let how = How {
                offline: wanted.offline,
                ..How::default()
            };
            steps.extend(capture_steps(&stores, &labels, "safety-", &["check"], how));
            SAFETY_COMMIT
        }
    };
    // Postgres first: it is the one that can be compared before anything is touched, and swapped back.
    let mut last = ready.to_owned();
    if !wanted.roles.is_empty() && !stores.contains(&Store::Postgres) {
        return Err(
            Error::input("`--map-role` is about Postgres, which is not restored here")
                .hint("Leave it out, or add `postgres` to `--stores`."),
        );
    }
    let locks = wanted.mend.contains(&Mend::Locks) && stores.contains(&Store::Neo4j);
    let others = wanted.mend.iter().any(|m| *m != Mend::Locks);
    if !wanted.mend.is_empty() && !stores.contains(&Store::Postgres) && (others || !locks) {
        return Err(Error::input(
            "`--mend` is about Postgres, and of Neo4j about `locks` alone; that is not restored here",
        )
        .hint("Leave it out, or add the store to `--stores`."));
    }
    if stores.contains(&Store::Postgres) {
        last = postgres_steps(world, wanted, &mut steps, last)?;
    }
    for store in stores.iter().filter(|s| **s != Store::Postgres) {
        let mut args = from(json!({"store": store, "backup": backup}), wanted.from);
        if let Some(keys) = wanted.keys.filter(|_| *store == Store::Redis) {
            args["keys"] = json!(keys);
        }
        if wanted.offline && *store == Store::Neo4j {
            args["offline"] = json!(true);
        }
        let id = format!("swap-{store}");
        steps.push(StepSpec::new(id.clone(), "restore.swap", args, &[&last]));
        last = id;
        if locks && *store == Store::Neo4j {
            let args = from(json!({"backup": backup}), wanted.from);
            let id = MEND_GRAPH.to_owned();
            steps.push(StepSpec::new(
                id.clone(),
                "restore.mend-neo4j",
                args,
                &[&last],
            ));
            last = id;
        }
    }
    steps.push(pin_anew(&stores, &last));
    let source = wanted
        .from
        .map(|c| format!(" of context {c}"))
        .unwrap_or_default();
    let what = match wanted.database {
        Some(name) => format!("database {name}"),
        None => named(&stores),
    };
    let title = format!("restore {what} from backup {backup}{source}");
    let mut spec = spec(world, RESTORE, title, &stores, steps).await?;
    spec.params = json!({"without-safety-backup": wanted.without_safety});
    Ok(spec)
}

/// Every database is loaded and compared before the first is swapped. Returns the last step.
fn postgres_steps(
    world: &World,
    wanted: &Wanted<'_>,
    steps: &mut Vec<StepSpec>,
    mut last: String,
) -> Result<String> {
    let backup = wanted.backup;
    refuse_unknown_roles(wanted.roles, wanted.known_roles)?;
    let chosen: Vec<String> = match wanted.database {
        Some(name) => vec![one_of(wanted.databases, backup.as_str(), Some(name))?],
        None => wanted.databases.to_vec(),
    };
    let mut pairs = Vec::new();
    for (captured, word) in chosen.iter().zip(step_words(&chosen)) {
        let live = world.live_of(captured, wanted.databases)?.database;
        pairs.push((captured, live, word));
    }
    let several = wanted.databases.len() > 1 || world.databases.len() > 1;
    for (captured, _, word) in &pairs {
        let mut args = from(json!({"backup": backup}), wanted.from);
        if several {
            args["database"] = json!(captured);
        }
        if !wanted.roles.is_empty() {
            args["roles"] = json!(wanted.roles);
        }
        if wanted.mend.contains(&Mend::Roles) {
            let named = several.then_some(captured.as_str());
            steps.push(mend_roles(wanted, named, word, &last));
            last = format!("{MEND_ROLES}{word}");
            args["roles-made"] = json!(true);
        }
        let id = format!("{LOAD}{word}");
        steps.push(StepSpec::new(id.clone(), "restore.load", args, &[&last]));
        last = id;
    }
    for (captured, _, word) in pairs.iter().filter(|_| mends_copies(wanted)) {
        let named = several.then_some(captured.as_str());
        steps.push(mend(wanted, named, word, None, &last));
        last = format!("{MEND}{word}");
    }
    for (_, live, word) in &pairs {
        let args = json!({"store": Store::Postgres, "backup": backup});
        let mut args = from(args, wanted.from);
        args["aside"] = json!(format!("${{ steps['{LOAD}{word}'].out.aside }}"));
        if several {
            args["live"] = json!(live);
        }
        let id = format!("{SWAP}{word}");
        steps.push(StepSpec::new(id.clone(), "restore.swap", args, &[&last]));
        last = id;
    }
    Ok(last)
}

/// Mends what the load of this word made.
fn mend(
    wanted: &Wanted<'_>,
    database: Option<&str>,
    word: &str,
    name: Option<&str>,
    last: &str,
) -> StepSpec {
    let kinds = wanted.mend.iter().filter(|m| **m != Mend::Roles);
    let args = json!({"backup": wanted.backup, "mend": kinds.collect::<Vec<_>>()});
    let mut args = from(args, wanted.from);
    if let Some(name) = name {
        args["as"] = json!(name);
    }
    if let Some(database) = database {
        args["database"] = json!(database);
    }
    StepSpec::new(format!("{MEND}{word}"), "restore.mend", args, &[last])
}

/// Makes the roles that a captured database needs.
fn mend_roles(wanted: &Wanted<'_>, database: Option<&str>, word: &str, last: &str) -> StepSpec {
    let mut args = from(json!({"backup": wanted.backup}), wanted.from);
    if let Some(database) = database {
        args["database"] = json!(database);
    }
    if !wanted.roles.is_empty() {
        args["roles"] = json!(wanted.roles);
    }
    let id = format!("{MEND_ROLES}{word}");
    StepSpec::new(id, "restore.mend-roles", args, &[last])
}

/// Whether anything is mended in restored copies, and not before.
fn mends_copies(wanted: &Wanted<'_>) -> bool {
    wanted.mend.iter().any(|m| *m != Mend::Roles)
}

/// What tells the steps of several databases apart: nothing if there is one.
fn step_words(databases: &[String]) -> Vec<String> {
    if databases.len() == 1 {
        return vec![String::new()];
    }
    let mut words: Vec<String> = Vec::new();
    for name in databases {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let mut word: String = std::iter::once('-')
            .chain(name.chars().map(plain))
            .collect();
        if words.contains(&word) {
            word = format!("{word}-{}", words.len());
        }
        words.push(word);
    }
    words
}

/// `restore --as`: the Postgres database into a new one of this name. Nothing is replaced, so nothing is saved first.
pub async fn copy(
    world: &World,
    wanted: &Wanted<'_>,
    name: &str,
    only: &Selection,
) -> Result<Spec> {
    let backup = wanted.backup;
    world.postgres()?;
    if !wanted.held.contains(&Store::Postgres) {
        return Err(holds_no(Store::Postgres, world, wanted));
    }
    let stores = [Store::Postgres];
    let captured = one_of(wanted.databases, backup.as_str(), wanted.database)?;
    let mut load = from(json!({"backup": backup, "as": name}), wanted.from);
    if wanted.databases.len() > 1 {
        load["database"] = json!(captured);
    }
    refuse_unknown_roles(wanted.roles, wanted.known_roles)?;
    if !wanted.roles.is_empty() {
        load["roles"] = json!(wanted.roles);
    }
    if !only.is_empty() {
        load["only"] = json!(only);
    }
    let named = (wanted.databases.len() > 1).then_some(captured.as_str());
    let mut steps = vec![
        StepSpec::new("pinned", "context.pin", json!({"stores": stores}), &[]),
        check(backup, wanted.from),
    ];
    let mut last = "check";
    if wanted.mend.contains(&Mend::Roles) {
        steps.push(mend_roles(wanted, named, "", last));
        last = MEND_ROLES;
        load["roles-made"] = json!(true);
    }
    steps.push(StepSpec::new(LOAD, "restore.load", load, &[last]));
    if mends_copies(wanted) {
        steps.push(mend(wanted, named, "", Some(name), LOAD));
    }
    let part = if only.is_empty() {
        "postgres"
    } else {
        "a part of postgres"
    };
    let title = format!("restore {part} from backup {backup} into the new database {name}");
    spec(world, COPY, title, &stores, steps).await
}

/// `restore --in-place`: one table of Postgres back into the live database. What is there moves aside, so nothing is saved first.
pub async fn table(world: &World, wanted: &Wanted<'_>, table: &str, replace: bool) -> Result<Spec> {
    refuse_unfinished(world)?;
    let backup = wanted.backup;
    world.postgres()?;
    if !wanted.held.contains(&Store::Postgres) {
        return Err(holds_no(Store::Postgres, world, wanted));
    }
    let captured = one_of(wanted.databases, backup.as_str(), wanted.database)?;
    let stores = [Store::Postgres];
    let mut args = json!({"backup": backup, "table": table, "replace": replace});
    if wanted.databases.len() > 1 {
        args["database"] = json!(captured);
    }
    let steps = vec![
        StepSpec::new("pinned", "context.pin", json!({"stores": stores}), &[]),
        check(backup, None),
        StepSpec::new(PUT_BACK, "restore.table", args, &["check"]),
    ];
    let title = format!("put table {table} of backup {backup} back");
    spec(world, TABLE, title, &stores, steps).await
}

fn holds_no(store: Store, world: &World, wanted: &Wanted<'_>) -> Error {
    let (backup, holder) = (wanted.backup, wanted.from.unwrap_or(&world.context));
    Error::input(format!("backup `{backup}` holds no {store}")).hint(format!(
        "See what it holds with `summitctl backup show {backup} --context {holder}`.",
    ))
}

fn check(backup: &BackupId, holder: Option<&str>) -> StepSpec {
    let args = from(json!({"backup": backup, "level": 2}), holder);
    StepSpec::new("check", "backup.verify", args, &["pinned"])
}

fn from(mut args: Value, holder: Option<&str>) -> Value {
    if let Some(context) = holder {
        args["from"] = json!(context);
    }
    args
}

fn pin_anew(stores: &[Store], last: &str) -> StepSpec {
    let args = json!({"stores": stores, "replace": true});
    StepSpec::new("pin", "context.pin", args, &[last])
}

/// What a finished restore did, as its journal says.
#[derive(Debug)]
struct Restored {
    run: String,
    /// The swaps of Postgres, in their order: what tells the step from others, and `live`, `aside` and `retired`.
    postgres: Vec<(String, Value)>,
    /// The table that was put back, as its step recorded it.
    table: Option<Value>,
    /// Stores whose contents were replaced.
    replaced: Vec<Store>,
    /// The safety backup.
    safety: Option<BackupId>,
}

/// `restore --undo`: takes the context's last restore back; of Postgres only this database, if one is named.
pub async fn undo(world: &World, wanted: &[Store], database: Option<&str>) -> Result<Spec> {
    let mut done = last_restore(&world.state.runs(), &world.context)?;
    if let Some(args) = &done.table {
        let stores = [Store::Postgres];
        let live = args["live"].as_str().unwrap_or_default();
        if database.is_some_and(|name| name != live)
            || !(wanted.is_empty() || wanted.contains(&Store::Postgres))
        {
            return Err(Error::input(format!(
                "restore `{}` put a table of the Postgres database `{live}` back, and touched nothing else",
                done.run
            )));
        }
        let pinned = json!({"stores": stores});
        let steps = vec![
            StepSpec::new("pinned", "context.pin", pinned, &[]),
            StepSpec::new("take-away", "restore.table-away", args.clone(), &["pinned"]),
        ];
        let title = format!("take restore {} of a table back", done.run);
        return spec(world, UNDO, title, &stores, steps).await;
    }
    if let Some(name) = database {
        done.postgres.retain(|(_, names)| names["live"] == name);
        done.replaced.clear();
        if done.postgres.is_empty() {
            return Err(Error::input(format!(
                "restore `{}` did not touch the database `{name}`",
                done.run
            )));
        }
    }
    let chosen = |store: Store| wanted.is_empty() || wanted.contains(&store);
    let replaced: Vec<Store> = done
        .replaced
        .iter()
        .copied()
        .filter(|s| chosen(*s))
        .collect();
    let mut postgres = done.postgres;
    postgres.retain(|_| chosen(Store::Postgres));
    let mut stores: Vec<Store> = postgres
        .first()
        .map(|_| Store::Postgres)
        .into_iter()
        .collect();
    stores.extend(&replaced);
    if stores.is_empty() {
        return Err(Error::input(format!(
            "restore `{}` did not touch {}",
            done.run,
            named(wanted)
        )));
    }
    let mut steps = vec![StepSpec::new(
        "pinned",
        "context.pin",
        json!({"stores": stores}),
        &[],
    )];
    let mut last = "pinned".to_owned();
    if !replaced.is_empty() {
        let Some(safety) = &done.safety else {
            return Err(Error::new(
                &NO_WAY_BACK,
                format!(
                    "restore `{}` went without a safety backup, so {} cannot be had back",
                    done.run,
                    named(&replaced)
                ),
            )
            .hint(format!(
                "Postgres alone can: `summitctl restore --undo --stores postgres --context {}`.",
                world.context
            )));
        };
        steps.push(check(safety, None));
        let labels = vec![SAFETY.to_owned(), format!("before-undo-{}", done.run)];
        steps.extend(capture_steps(
            &replaced,
            &labels,
            "safety-",
            &["check"],
            How::default(),
        ));
        last = SAFETY_COMMIT.to_owned();
        for store in &replaced {
            let id = format!("swap-{store}");
            let args = json!({"store": store, "backup": safety});
            steps.push(StepSpec::new(id.clone(), "restore.swap", args, &[&last]));
            last = id;
        }
    }
    for (word, names) in postgres.into_iter().rev() {
        let id = format!("{SWAP_BACK}{word}");
        steps.push(StepSpec::new(
            id.clone(),
            "restore.swap-back",
            names,
            &[&last],
        ));
        last = id;
    }
    steps.push(pin_anew(&stores, &last));
    let title = format!("take restore {} of {} back", done.run, named(&stores));
    spec(world, UNDO, title, &stores, steps).await
}

/// Refuses while an earlier restore of the context was cut off.
fn refuse_unfinished(world: &World) -> Result<()> {
    let context = &world.context;
    let restores = |operation: &str| [RESTORE, TABLE, UNDO].contains(&operation);
    let Some(run) = world.state.runs().cut_off(context, restores)? else {
        return Ok(());
    };
    Err(Error::new(
        &UNFINISHED,
        format!("restore `{run}` of context `{context}` was cut off, and is neither finished nor taken back"),
    )
    .hint(format!(
        "First {}.",
        Runs::way_on(&run, context)
    )))
}

/// The newest restore of a context, with what of it was not taken back yet.
fn last_restore(runs: &Runs, context: &str) -> Result<Restored> {
    let refused = |what: String, hint: String| Err(Error::new(&NO_WAY_BACK, what).hint(hint));
    let mut undone: Vec<RunState> = Vec::new();
    for id in runs.ids()? {
        let (state, _) = runs.show(&id)?;
        let ours = [RESTORE, TABLE, UNDO].contains(&state.plan.operation.as_str());
        if !ours || state.plan.context != context || state.aborted {
            continue;
        }
        if state.resumable() {
            return refused(
                format!("run `{id}` has not ended"),
                format!("First {}.", Runs::way_on(&id, context)),
            );
        }
        if state.plan.operation == UNDO {
            undone.push(state);
            continue;
        }
        let mut done = restored(&state);
        let Some(newest) = undone.first() else {
            return Ok(done);
        };
        for by in &undone {
            done.leave_out(by);
        }
        if done.table.is_some() || !done.postgres.is_empty() || !done.replaced.is_empty() {
            return Ok(done);
        }
        return refused(
            format!(
                "the last restore, `{id}`, was taken back already, by run `{}`",
                newest.run
            ),
            format!("Choose a backup instead: `summitctl backup list --context {context}`."),
        );
    }
    Err(Error::new(
        &NOT_FOUND,
        format!("this machine knows of no restore in context `{context}`"),
    )
    .hint("A restore is taken back where its journal lies; see `summitctl run list`."))
}

impl Restored {
    /// Leaves out what a run has taken back.
    fn leave_out(&mut self, by: &RunState) {
        let ended = |step: &&StepSpec| change_of(by, &step.id).is_some();
        let steps: Vec<&StepSpec> = by
            .plan
            .steps
            .iter()
            .map(|step| &step.spec)
            .filter(ended)
            .collect();
        let did = |kind: &str, is: &dyn Fn(&Value) -> bool| {
            steps.iter().any(|step| step.kind == kind && is(&step.args))
        };
        self.postgres.retain(|(_, names)| {
            !did("restore.swap-back", &|args| {
                args["swapped-by"] == names["swapped-by"]
            })
        });
        if let Some(table) = &self.table
            && did("restore.table-away", &|args| {
                args["what"]["id"] == table["what"]["id"]
            })
        {
            self.table = None;
        }
        let safety = json!(self.safety);
        self.replaced.retain(|store| {
            !did("restore.swap", &|args| {
                args["store"] == json!(store) && args["backup"] == safety
            })
        });
    }
}

/// What a step did, if it ended.
fn change_of<'s>(state: &'s RunState, step: &str) -> Option<&'s Value> {
    match state.steps.get(step) {
        Some(StepState::Ended {
            change: Some(change),
            ..
        }) => Some(change),
        _ => None,
    }
}

fn restored(state: &RunState) -> Restored {
    let change = |step: &str| change_of(state, step);
    let swaps = state.plan.steps.iter().filter_map(|step| {
        let id = step.spec.id.as_str();
        let (word, change) = (id.strip_prefix(SWAP)?, change(id)?);
        let names = json!({
            "live": change["live"], "aside": change["aside"], "retired": change["retired"],
            "swapped-by": format!("{}/{id}", state.run),
        });
        Some((word.to_owned(), names))
    });
    Restored {
        run: state.run.clone(),
        postgres: swaps.collect(),
        table: change(PUT_BACK)
            .map(|change| json!({"live": change["live"], "what": change["what"]})),
        replaced: Store::ALL
            .into_iter()
            .filter(|s| *s != Store::Postgres && change(&format!("swap-{s}")).is_some())
            .collect(),
        safety: change(SAFETY_COMMIT).and_then(|_| state.run.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_several_databases_are_told_apart() {
        let words = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            step_words(&names)
        };
        assert_eq!(words(&["App"]), [""]);
        assert_eq!(words(&["App", "a.b", "a-b"]), ["-app", "-a-b", "-a-b-2"]);
    }
}
