//! `migrate.lock.clear`: the lock of a migration that does not live any more is cleared, exactly as it was shown.

mod around;
pub mod asking;
pub mod graph;
pub mod status;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::asking::{Asking, Unasked, of_postgres};
use super::world::World;
use crate::consent::Effect;
use crate::engine::plan::Forecast;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Look, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, NOT_FOUND, Result};
use crate::expr::nearest;
use crate::identity::Store;
use crate::providers::neo4j::migrations::{self as neo4j, GraphLock};
use crate::providers::postgres::Target;
use crate::providers::postgres::migrations::{
    self, LOCK_MOVED, Lock, LockRow, Locks, Seen, State, UNASKED, UNREADABLE, Verdict,
};

/// Arguments of `migrate.lock.clear`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClearLockArgs {
    /// The lock: `DATABASE:SCHEMA.TABLE:KEY`, as `summitctl migrate lock show` names it; without it the only one that is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// The weakest verdict under which it is cleared: `dead` asks for a change only, `unknown` for a destructive act.
    #[serde(default = "dead")]
    pub verdict: Verdict,
    /// Whether the holder's sessions are ended first.
    #[serde(default)]
    pub terminate: bool,
}

fn dead() -> Verdict {
    Verdict::Dead
}

/// What is cleared.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClearLockChange {
    /// A lock in Postgres.
    Row(RowChange),
    /// The lock of neo4j-migrations.
    Graph(graph::GraphChange),
}

/// The row that is cleared, and the sessions that are ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct RowChange {
    row: LockRow,
    ends: Vec<Seen>,
    /// Whether the row itself says that the lock is held.
    written: bool,
}

/// The step kind `migrate.lock.clear`.
pub struct ClearLock;

/// The migration locks of a context.
#[derive(Debug, Default)]
pub struct Found {
    /// Those of Postgres.
    pub postgres: Locks,
    /// That of neo4j-migrations.
    pub graph: Option<GraphLock>,
    /// What could not be asked.
    pub unasked: Vec<Unasked>,
}

/// A migration lock.
#[derive(Debug)]
pub enum AnyLock {
    /// In Postgres.
    Row(Box<Lock>),
    /// In Neo4j.
    Graph(GraphLock),
}

impl AnyLock {
    /// Names it on the command line.
    pub fn id(&self) -> &str {
        match self {
            AnyLock::Row(lock) => &lock.id,
            AnyLock::Graph(lock) => &lock.id,
        }
    }

    /// Where it is.
    pub fn store(&self) -> Store {
        match self {
            AnyLock::Row(_) => Store::Postgres,
            AnyLock::Graph(_) => Store::Neo4j,
        }
    }

    /// What is known of the holder; `None` if nobody holds it.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            AnyLock::Row(lock) => lock.verdict,
            AnyLock::Graph(lock) => graph::verdict(lock),
        }
    }
}

impl AnyLock {
    /// Whose lock it is, who holds it, since when, and whether the holder lives, on one line; `None` if nobody holds it.
    pub fn held(&self) -> Option<String> {
        let verdict = self.verdict()?.word();
        Some(match self {
            AnyLock::Row(lock) => {
                let by = lock.holder.as_ref().map(|h| format!(" by {}", h.said));
                let since = lock.since.as_ref();
                let since = since.map(|s| format!(" since {s} by the holder's clock"));
                format!(
                    "{}'s `{}` is held{}{}; holder: {verdict}",
                    lock.row.tool.name(),
                    lock.id,
                    by.unwrap_or_default(),
                    since.unwrap_or_default()
                )
            }
            AnyLock::Graph(lock) => {
                format!("{}'s `{}` is held; holder: {verdict}", neo4j::TOOL, lock.id)
            }
        })
    }
}

impl Found {
    /// All of them, held or not.
    pub fn all(self) -> Vec<AnyLock> {
        let rows = self.postgres.locks.into_iter();
        rows.map(|l| AnyLock::Row(Box::new(l)))
            .chain(self.graph.map(AnyLock::Graph))
            .collect()
    }
}

/// Every migration lock of the context's databases. One that does not answer does not hide the others.
pub async fn locks(world: &World) -> Result<Found> {
    let mut found = Found::default();
    let mut asking = Asking::default();
    if world.has(Store::Postgres) || !world.has(Store::Neo4j) {
        for database in world.postgres_databases()? {
            let read = locks_of(world, &database).await;
            if let Some(read) = asking.took(&of_postgres(&database.database), read) {
                found.postgres.locks.extend(read.locks);
                found.postgres.by_name.extend(read.by_name);
                found.postgres.unreadable.extend(read.unreadable);
                found.postgres.lockless.extend(read.lockless);
            }
        }
    }
    if world.has(Store::Neo4j) {
        let read = neo4j::lock(world.neo4j()?).await;
        found.graph = asking.took("Neo4j", read).flatten();
        if let Some(lock) = &mut found.graph {
            around::tell_pods(world, lock).await;
        }
    }
    found.unasked = asking.done()?;
    Ok(found)
}

/// The migration locks of a database of Postgres.
async fn locks_of(world: &World, database: &Target) -> Result<Locks> {
    let mut found = migrations::locks(database).await?;
    for lock in found.locks.iter_mut().chain(&mut found.by_name) {
        around::weigh_pods(world, lock).await;
    }
    around::look_ahead(database, &mut found.locks).await;
    Ok(found)
}

/// The locks of the store that an id names, or all of them.
async fn locks_for(world: &World, id: Option<&str>) -> Result<Found> {
    match id {
        Some(id) if neo4j::is_graph_lock(id) => Ok(Found {
            graph: neo4j::lock(world.neo4j()?).await?,
            ..Found::default()
        }),
        _ => locks(world).await,
    }
}

/// Refuses to say that nobody holds a lock while a database was not asked, or a lock table could not be read.
pub fn all_read(found: &Found) -> Result<()> {
    if let Some(first) = found.unasked.first() {
        return Err(Error::new(
            &UNASKED,
            format!(
                "no migration lock is seen to be held, but {}",
                first.words()
            ),
        )
        .hint("See what answers with `summitctl doctor`, or name another lock with `--lock ID`."));
    }
    let found = &found.postgres;
    let Some(first) = found.unreadable.first() else {
        return Ok(());
    };
    Err(Error::new(
        &UNREADABLE,
        format!(
            "no migration lock is seen to be held, but {} could not be read: {}",
            match found.unreadable.len() {
                1 => "a lock table".to_owned(),
                n => format!("{n} lock tables"),
            },
            first.why
        ),
    )
    .hint("Give the role SELECT on it, or name another lock with `--lock ID`."))
}

/// The lock of this id.
pub fn find(mut found: Found, id: &str) -> Result<AnyLock> {
    let unasked: Vec<String> = found.unasked.iter().map(Unasked::words).collect();
    let by_name = std::mem::take(&mut found.postgres.by_name);
    let locks = found.all();
    let ids: Vec<String> = locks.iter().map(|l| l.id().to_owned()).collect();
    let by_name = by_name.into_iter().map(|l| AnyLock::Row(Box::new(l)));
    let mut all = locks.into_iter().chain(by_name);
    all.find(|l| l.id() == id).ok_or_else(|| {
        let says = match unasked.is_empty() {
            true => format!("there is no migration lock `{id}`"),
            false => format!("no migration lock `{id}` is seen; {}", unasked.join("; ")),
        };
        let error = Error::new(&NOT_FOUND, says);
        match nearest(id, ids.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("Did you mean `{near}`?")),
            None => error.hint("See the locks with `summitctl migrate lock show`."),
        }
    })
}

/// The lock of this id, or the only one that somebody holds; `None` if nobody holds any.
fn one(mut found: Found, id: Option<&str>) -> Result<Option<AnyLock>> {
    if let Some(id) = id {
        return find(found, id).map(Some);
    }
    found.postgres.locks.retain(|l| l.verdict.is_some());
    found.graph = found.graph.filter(|l| graph::verdict(l).is_some());
    if found.postgres.locks.is_empty() && found.graph.is_none() {
        all_read(&found)?;
    }
    let mut locks = found.all();
    match locks.len() {
        0 | 1 => Ok(locks.pop()),
        held => {
            let ids: Vec<String> = locks.iter().map(|l| format!("`{}`", l.id())).collect();
            Err(Error::input(format!(
                "{held} migration locks are held, and none was named"
            ))
            .hint(format!("Choose one by its id: {}.", ids.join(", "))))
        }
    }
}

/// Arguments of `migrate.lock.show`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ShowLockArgs {
    /// The lock: `DATABASE:SCHEMA.TABLE:KEY`; without it the only one that is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
}

/// The step kind `migrate.lock.show`.
pub struct ShowLock;

#[async_trait]
impl Look<World> for ShowLock {
    const KIND: &'static str = "migrate.lock.show";
    const SUMMARY: &'static str = "Finds who holds the migration lock and whether the holder is `alive`, `dead` or `unknown`, as `result.verdict`; `free` if nobody holds one";
    type Args = ShowLockArgs;

    fn title(&self, args: &ShowLockArgs) -> String {
        match &args.lock {
            Some(lock) => format!("look who holds the migration lock `{lock}`"),
            None => "look who holds the migration lock".to_owned(),
        }
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &ShowLockArgs) -> Result<Observed> {
        let all = locks_for(cx.world, args.lock.as_deref()).await?;
        let tables = all.postgres.locks.len() + usize::from(all.graph.is_some());
        Ok(match one(all, args.lock.as_deref())? {
            Some(AnyLock::Graph(lock)) => {
                let mut observed = graph::seen(&lock);
                let verdict = graph::verdict(&lock).map_or("free", Verdict::word);
                for (name, fact) in [
                    ("verdict", json!(verdict)),
                    ("because", json!(lock.observations)),
                    ("waiting", json!(0)),
                ] {
                    observed.0.insert(name.to_owned(), fact);
                }
                observed
            }
            Some(AnyLock::Row(lock)) => {
                let mut observed = seen(&lock);
                let verdict = lock.verdict.map_or("free", Verdict::word);
                for (name, fact) in [
                    ("verdict", json!(verdict)),
                    ("holder", json!(lock.holder.as_ref().map(|h| &h.said))),
                    ("since", json!(lock.since)),
                    ("because", json!(lock.observations)),
                    ("waiting", json!(lock.waiting.len())),
                    ("behind", json!(around::behind(&lock))),
                ] {
                    observed.0.insert(name.to_owned(), fact);
                }
                observed
            }
            None => Observed::of(json!({"verdict": "free", "lock-tables": tables})),
        })
    }
}

#[async_trait]
impl Step<World> for ClearLock {
    const KIND: &'static str = "migrate.lock.clear";
    const SUMMARY: &'static str = "Clears a migration lock whose holder is dead, if its row is still exactly the one shown, and proves that it can be taken";
    const MOST: Effect = Effect::Destroy;
    type Args = ClearLockArgs;
    type Change = ClearLockChange;

    fn effect(&self, args: &ClearLockArgs) -> Effect {
        if args.verdict == Verdict::Dead && !args.terminate {
            Effect::Change
        } else {
            Effect::Destroy
        }
    }

    fn title(&self, args: &ClearLockArgs) -> String {
        let first = if args.terminate {
            "end the holder's sessions and "
        } else {
            ""
        };
        match &args.lock {
            Some(lock) => format!("{first}clear the migration lock `{lock}`"),
            None => format!("{first}clear the migration lock that is held"),
        }
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &ClearLockArgs,
    ) -> Result<Decision<ClearLockChange>> {
        let found = locks_for(cx.world, args.lock.as_deref()).await?;
        let lock = match one(found, args.lock.as_deref())? {
            None => return Ok(Decision::Done(Observed::of(json!({"held": 0})))),
            Some(AnyLock::Graph(lock)) => return Ok(graph::plan(cx, lock, args)),
            Some(AnyLock::Row(lock)) => *lock,
        };
        let Some(verdict) = lock.verdict else {
            return Ok(Decision::Done(seen(&lock)));
        };
        if let Some(blocked) = blocked(&lock, verdict, args, &cx.world.context) {
            return Ok(Decision::Blocked(blocked));
        }
        let ends = ended(&lock, args);
        let must_end = verdict == Verdict::Alive || lock.row.key.is_some();
        if args.terminate && must_end && ends.is_empty() {
            return Ok(Decision::Blocked(Blocked {
                reason: format!(
                    "the migration lock `{}` is held, and no session can be told to be its holder's: {}",
                    lock.id,
                    lock.observations.join("; ")
                ),
                hint: "End it where it runs: stop its job, pod or process.".to_owned(),
            }));
        }
        let decisive = decisive(&lock, &ends);
        // After a kill the step is looked at again: then, too, only what was shown is cleared.
        if let Some(Forecast::WillChange { decisive: was, .. }) = cx.planned
            && (was.get("row") != decisive.get("row") || !ends.iter().all(|s| shown_before(was, s)))
        {
            return Ok(Decision::Blocked(moved(&lock.id, &cx.world.context)));
        }
        Ok(Decision::Change {
            decisive,
            shown: shown(&lock, &ends),
            change: ClearLockChange::Row(RowChange {
                row: lock.row,
                ends,
                written: lock.state == State::Held,
            }),
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &ClearLockArgs) -> Result<Foresight> {
        let found = locks_for(cx.world, args.lock.as_deref()).await?;
        let lock = one(found, args.lock.as_deref())?;
        let lock = match lock.filter(|l| l.verdict().is_some()) {
            None => return Ok(Foresight::default()),
            Some(AnyLock::Graph(lock)) => return Ok(graph::foresight(&lock)),
            Some(AnyLock::Row(lock)) => lock,
        };
        let ends = ended(&lock, args);
        Ok(Foresight {
            decisive: decisive(&lock, &ends),
            shown: shown(&lock, &ends),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &ClearLockChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        let change = match change {
            ClearLockChange::Row(change) => change,
            ClearLockChange::Graph(change) => return graph::apply(cx, change, grant).await,
        };
        let database = &change.row.database;
        cx.world.require_pinned_database(database).await?;
        let target = cx.world.postgres()?.with_database(database);
        grant.still_held().await?;
        migrations::end_sessions(&target, &change.ends, grant.consent()).await?;
        if !change.written {
            return Ok(());
        }
        if !change.ends.is_empty() {
            // A tool whose statement was cancelled lets go of its lock by itself.
            let now = find_row(cx.world, &change.row).await?;
            if now.state == State::Free {
                cx.events
                    .note("the holder let go of the lock by itself".to_owned());
                return Ok(());
            }
            if now.verdict == Some(Verdict::Alive) {
                return Err(Error::new(
                    &LOCK_MOVED,
                    format!("`{}` is held by somebody who is alive, after the sessions shown were ended", now.id),
                )
                .hint("Look at it again with `summitctl migrate lock show`."));
            }
        }
        grant.still_held().await?;
        migrations::free(&target, &change.row, grant.consent()).await
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &ClearLockChange) -> Result<Observed> {
        let change = match change {
            ClearLockChange::Row(change) => change,
            ClearLockChange::Graph(change) => return graph::verify(cx, change).await,
        };
        let now = find_row(cx.world, &change.row).await?;
        let there = |s: &&Seen| {
            let same = |n: &Seen| (n.pid, &n.began) == (s.pid, &s.began) && n.holds_table;
            now.sessions.iter().any(same)
        };
        let as_it_was = if change.written {
            now.state == State::Held && now.row == change.row
        } else {
            change.ends.iter().any(|s| there(&s))
        };
        if as_it_was {
            return Err(Error::new(
                &LOCK_MOVED,
                format!("the lock `{}` is as it was", now.id),
            ));
        }
        let target = cx.world.postgres()?.with_database(&change.row.database);
        if change.row.key.is_some() {
            // A second session of the holder's may go on without the lock.
            for session in &change.ends {
                if let Some(state) = migrations::state_of(&target, session).await?
                    && state != "idle"
                {
                    return Err(Error::new(
                        &LOCK_MOVED,
                        format!("pid {}, which was to be ended, is {state}", session.pid),
                    ));
                }
            }
        }
        let mut observed = seen(&now);
        if now.state == State::Free {
            // The very key that was held: a tool may have two.
            let proved = if change.row.key.is_some() {
                &change.row
            } else {
                &now.row
            };
            migrations::prove_takeable(&target, proved).await?;
            let proof = "taken in a transaction that was rolled back";
            observed.0.insert("takeable".to_owned(), json!(proof));
        } else {
            let proof = "somebody has taken it since";
            observed.0.insert("takeable".to_owned(), json!(proof));
        }
        observed.0.insert("before".to_owned(), json!(change.row));
        observed
            .0
            .insert("ended".to_owned(), json!(named(&change.ends)));
        Ok(observed)
    }

    async fn undo(
        &self,
        _: &ApplyCx<'_, World>,
        _: &ClearLockChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        Ok(Undo::Kept(
            "the lock stays free: written again, it would name a holder who does not hold it"
                .to_owned(),
        ))
    }
}

/// The row of the same key, as it is now.
async fn find_row(world: &World, row: &LockRow) -> Result<Lock> {
    let target = world.postgres()?.with_database(&row.database);
    let found = migrations::locks(&target).await?;
    let key = |r: &LockRow| r.values.first_key_value().map(|(_, v)| v.clone());
    let same = |l: &Lock| {
        let place = |r: &LockRow| (r.tool, r.schema.clone(), r.table.clone(), key(r), r.key);
        place(&l.row) == place(row)
    };
    let now = found.locks.into_iter().chain(found.by_name).find(same);
    now.or_else(|| migrations::released(row)).ok_or_else(|| {
        let message = format!(
            "the lock table `{}.{}` has lost its row",
            row.schema, row.table
        );
        Error::new(&LOCK_MOVED, message)
    })
}

/// The sessions that are ended first: those that are the holder's, and no others.
fn ended(lock: &Lock, args: &ClearLockArgs) -> Vec<Seen> {
    let held_by_session = lock.row.key.is_some() && lock.verdict.is_some();
    if args.terminate && (lock.verdict == Some(Verdict::Alive) || held_by_session) {
        let of_holder = lock.sessions.iter().filter(|s| s.of_holder);
        let mut ends: Vec<Seen> = of_holder.cloned().collect();
        // A client whose statement is cancelled ends its other sessions by itself.
        ends.sort_by_key(|s| s.state.as_deref() != Some("active"));
        ends
    } else {
        Vec::new()
    }
}

fn shown_before(was: &Facts, session: &Seen) -> bool {
    let named = named(std::slice::from_ref(session));
    let ends = was.get("ends").and_then(|e| e.as_array());
    ends.is_some_and(|all| named.iter().all(|n| all.contains(&json!(n))))
}

fn moved(id: &str, context: &str) -> Blocked {
    Blocked {
        reason: format!("the migration lock `{id}` is no longer the one that was shown"),
        hint: format!(
            "Somebody has taken it since. Give this run up with `summitctl run abort`, and look again: `summitctl migrate lock show --context {context}`, `summitctl migrate lock clear --lock '{id}' --context {context}`."
        ),
    }
}

fn decisive(lock: &Lock, ends: &[Seen]) -> Facts {
    Facts::from_iter([
        ("lock".to_owned(), json!(lock.id)),
        ("row".to_owned(), json!(lock.row)),
        ("verdict".to_owned(), json!(lock.verdict)),
        ("ends".to_owned(), json!(named(ends))),
    ])
}

/// Why it is not cleared.
pub fn blocked(
    lock: &Lock,
    verdict: Verdict,
    args: &ClearLockArgs,
    context: &str,
) -> Option<Blocked> {
    let why = lock.observations.join("; ");
    let id = &lock.id;
    if lock.row.key.is_some() && !args.terminate {
        return Some(Blocked {
            reason: format!(
                "the migration lock `{id}` is an advisory lock, which ends with the session that holds it and not otherwise: {why}"
            ),
            hint: format!(
                "Wait for it, or end its session: `summitctl migrate lock clear --lock '{id}' --terminate --context {context}`."
            ),
        });
    }
    if let Some(blocked) = unproven(id, &why, verdict, args, context) {
        return Some(blocked);
    }
    if lock.state == State::InTransaction && verdict != Verdict::Alive {
        return Some(Blocked {
            reason: format!(
                "no row says that `{id}` is held, and who wrote to its table is hidden"
            ),
            hint: "See who it is with a role that is a member of `pg_read_all_stats`.".to_owned(),
        });
    }
    None
}

/// A holder that is alive, or not proved dead where that is asked for.
fn unproven(
    id: &str,
    why: &str,
    verdict: Verdict,
    args: &ClearLockArgs,
    context: &str,
) -> Option<Blocked> {
    if verdict == Verdict::Alive && !args.terminate {
        return Some(Blocked {
            reason: format!("the holder of the migration lock `{id}` is alive: {why}"),
            hint: format!(
                "Wait for it, or end it first with `summitctl migrate lock clear --lock '{id}' --terminate --context {context}`."
            ),
        });
    }
    if verdict > args.verdict && !args.terminate {
        return Some(Blocked {
            reason: format!(
                "nothing proves that the holder of the migration lock `{id}` is dead: {why}"
            ),
            hint: format!(
                "Find out whether its job, pod or process still runs. If it does not: `summitctl migrate lock clear --lock '{id}' --context {context}`, which asks for `--confirm`."
            ),
        });
    }
    None
}

fn named(sessions: &[Seen]) -> Vec<String> {
    sessions
        .iter()
        .map(|s| {
            format!(
                "pid {}, begun {}",
                s.pid,
                s.began.as_deref().unwrap_or("at a hidden time")
            )
        })
        .collect()
}

fn shown(lock: &Lock, ends: &[Seen]) -> Facts {
    let mut facts = Facts::from_iter([("because".to_owned(), json!(lock.observations))]);
    if let Some(holder) = &lock.holder {
        facts.insert("holder".to_owned(), json!(holder.said));
    }
    if let Some(since) = &lock.since {
        let clock = format!("{since} by the holder's clock");
        facts.insert("since".to_owned(), json!(clock));
    }
    if !ends.is_empty() {
        let ends: Vec<String> = ends.iter().map(Seen::words).collect();
        facts.insert("sessions-to-end".to_owned(), json!(ends));
    }
    if !lock.behind.is_empty() {
        facts.insert("holder-waits-for".to_owned(), json!(around::behind(lock)));
    }
    if lock.row.key.is_some() {
        let what = "its sessions end, and with them the lock; what their transactions did is rolled back, and what they had committed stays";
        facts.insert("risk".to_owned(), json!(what));
    } else if lock.verdict == Some(Verdict::Unknown) {
        let risk = "if the holder is alive after all, a second migration can run beside it";
        facts.insert("risk".to_owned(), json!(risk));
    }
    facts
}

fn seen(lock: &Lock) -> Observed {
    Observed::of(json!({"lock": lock.id, "state": lock.state, "row": lock.row}))
}
