//! `migrate …`

mod status;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::backup::{carry_out, run_as};
use super::{show, world};
use crate::cli::Session;
use crate::cli::args::{BlockersArgs, ClearArgs, LockCommand, MigrateCommand};
use crate::cli::output::Answer;
use crate::engine::executor::RunReport;
use crate::error::Result;
use crate::exit::Exit;
use crate::identity::Store;
use crate::ops::execute::Executed;
use crate::ops::migrate as plans;
use crate::providers::neo4j::migrations::{GraphLock, TOOL};
use crate::providers::neo4j::transactions::{self, Transaction};
use crate::providers::postgres::blockers::{Blockers, Involved};
use crate::providers::postgres::migrations::{
    Lock, Lockless, State, Unreadable, Verdict, all_names,
};
use crate::steps::migrate;
use crate::steps::migrate::asking::{self, Unasked};
use crate::steps::migrate::status::Whose;
use crate::steps::world::World;
use crate::time::Span;

/// What `migrate lock show` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Locks {
    /// Every lock of the context's Postgres databases, held or not.
    pub locks: Vec<Lock>,
    /// Lock tables that are there and could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Histories of tools that take no lock.
    pub lockless: Vec<Lockless>,
    /// The lock of neo4j-migrations; null if the tool left no trace, or Neo4j could not be asked.
    pub neo4j: Option<GraphLocked>,
    /// What could not be asked, so that nothing is known of it.
    pub unasked: Vec<Unasked>,
}

/// The lock of neo4j-migrations, and what is known of its holder.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GraphLocked {
    /// The lock.
    #[serde(flatten)]
    pub lock: GraphLock,
    /// `alive` or `unknown`, because Neo4j alone never proves a holder dead; null if nobody holds it.
    pub verdict: Option<Verdict>,
}

/// What `migrate blockers` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Blocked {
    /// What stands in the way.
    Seen(plans::InTheWay),
    /// With `--end-root`: the root was to be ended.
    Executed(Executed),
}

/// `migrate …`
pub async fn migrate(session: &Session, command: MigrateCommand) -> Result<Answer> {
    let world = world::world(session).await?;
    let done = asked(session, &world, command).await;
    done.map_err(|e| {
        let context = &world.context;
        if e.exit() == Exit::Unreachable && e.hints().is_empty() {
            e.hint(format!(
                "See what answers with `summitctl doctor --context {context}`, and where the address came from with `summitctl config show --context {context}`."
            ))
        } else {
            e
        }
    })
}

async fn asked(session: &Session, world: &World, command: MigrateCommand) -> Result<Answer> {
    match command {
        MigrateCommand::Status(args) => status::status(world, &args.sources).await,
        MigrateCommand::Blockers(BlockersArgs { end_root: None }) => blockers(world).await,
        MigrateCommand::Blockers(BlockersArgs {
            end_root: Some(root),
        }) => end_root(session, world, root.as_deref()).await,
        MigrateCommand::Lock(LockCommand::Show) => show(world).await,
        MigrateCommand::Lock(LockCommand::Clear(args)) => clear(session, world, &args).await,
    }
}

async fn show(world: &World) -> Result<Answer> {
    let found = migrate::locks(world).await?;
    let (graph, unasked) = (found.graph, found.unasked);
    let mut text = not_asked(&unasked);
    let asked = world.has(Store::Postgres) && unasked.is_empty();
    let found = found.postgres;
    if asked && found.locks.is_empty() && found.unreadable.is_empty() && found.lockless.is_empty() {
        text.push_str(&format!("Postgres shows no lock of {} in the context's databases; other tools' locks are not looked for.\n", all_names()));
    }
    for lock in &found.locks {
        text.push_str(&described(lock, &world.context));
    }
    for none in &found.lockless {
        text.push_str(&format!(
            "{}:{}.{}  {}\n",
            none.database,
            none.schema,
            none.table,
            none.tool.lockless().unwrap_or_default()
        ));
    }
    text.push_str(&unreadable(&found.unreadable));
    let graph = graph.map(|lock| GraphLocked {
        verdict: migrate::graph::verdict(&lock),
        lock,
    });
    if let Some(lock) = &graph {
        text.push_str(&in_graph(lock, &world.context));
    }
    let exit = asking::exit(&unasked);
    let locks = Locks {
        locks: found.locks,
        unreadable: found.unreadable,
        lockless: found.lockless,
        neo4j: graph,
        unasked,
    };
    Ok(Answer::new(exit, text, locks))
}

fn not_asked(unasked: &[Unasked]) -> String {
    unasked.iter().map(|u| format!("{}\n", u.words())).collect()
}

fn in_graph(found: &GraphLocked, context: &str) -> String {
    let lock = &found.lock;
    let Some(verdict) = found.verdict else {
        return format!("{}  {TOOL}: free\n", lock.id);
    };
    let mut text = format!("{}  {TOOL}: held\n", lock.id);
    let mut line = |word: &str, said: &str| text.push_str(&format!("  {word:<9} {said}\n"));
    for node in &lock.nodes {
        let said = node.properties.iter().map(|(k, v)| format!("{k} `{v}`"));
        let said: Vec<String> = said.collect();
        line("node", &format!("{}: {}", node.node, said.join(", ")));
    }
    line("verdict", verdict.word());
    for observation in &lock.observations {
        line("", &format!("- {observation}"));
    }
    let clear = format!(
        "summitctl migrate lock clear --lock {} --context {context}",
        world::quoted(&lock.id)
    );
    if verdict == Verdict::Alive {
        line(
            "next",
            "wait for it; or, if it is not to go on, stop it where it runs, and look again",
        );
    } else {
        line(
            "next",
            &format!("find out whether the holder lives; only then `{clear} --confirm {context}`"),
        );
    }
    text
}

fn unreadable(tables: &[Unreadable]) -> String {
    let line = |t: &Unreadable| {
        format!(
            "{}:{}.{}  {}: could not be read: {}\n",
            t.database,
            t.schema,
            t.table,
            t.tool.name(),
            t.why
        )
    };
    tables.iter().map(line).collect()
}

fn described(lock: &Lock, context: &str) -> String {
    let tool = lock.row.tool.name();
    let Some(verdict) = lock.verdict else {
        let mut text = format!("{}  {tool}: free\n", lock.id);
        for observation in &lock.observations {
            text.push_str(&format!("            - {observation}\n"));
        }
        return text;
    };
    let mut text = match lock.state {
        State::InSession => format!(
            "{}  {tool}: held by a session, as an advisory lock\n",
            lock.id
        ),
        State::InTransaction => format!("{}  {tool}: held inside a transaction\n", lock.id),
        _ => format!("{}  {tool}: held\n", lock.id),
    };
    let mut line = |word: &str, said: &str| text.push_str(&format!("  {word:<9} {said}\n"));
    if let Some(holder) = &lock.holder {
        line("holder", &holder.said);
    }
    if let Some(since) = &lock.since {
        let clock = "by the holder's clock and time zone, which the row does not tell";
        line("since", &format!("{since}, {clock}"));
    }
    if let Some(at) = &lock.written_at {
        line("written", &format!("{at} by the server's clock"));
    }
    for waiter in &lock.waiting {
        line("waits", &waiter.words());
    }
    for ahead in &lock.behind {
        line("behind", &ahead.words());
    }
    line("verdict", verdict.word());
    for observation in &lock.observations {
        line("", &format!("- {observation}"));
    }
    let clear = format!(
        "summitctl migrate lock clear --lock {} --context {context}",
        world::quoted(&lock.id)
    );
    for root in lock.behind.iter().filter(|a| a.is_root()) {
        let name = world::quoted(&root.name());
        line(
            "next",
            &format!(
                "the holder waits for {name}; wait for that one, or end it: `summitctl migrate blockers --end-root {name} --context {context}`"
            ),
        );
    }
    match verdict {
        Verdict::Unknown if lock.row.key.is_some() => {
            let next = format!(
                "find out whether the holder lives; if it does not, end its session: `{clear} --terminate`"
            );
            line("next", &next);
        }
        Verdict::Dead => line("next", &clear),
        Verdict::Unknown => {
            let next = format!(
                "find out whether the holder lives; only then `{clear} --confirm {context}`"
            );
            line("next", &next);
        }
        Verdict::Alive => line(
            "next",
            &format!("wait for it; or, if it is not to go on, end it: `{clear} --terminate`"),
        ),
    }
    text
}

async fn blockers(world: &World) -> Result<Answer> {
    let seen = plans::who_blocks(world).await?;
    let context = &world.context;
    let mut text = not_asked(&seen.unasked);
    for database in &seen.databases {
        text.push_str(&tree(database));
    }
    if let Some(all) = &seen.neo4j {
        text.push_str(&graph(all));
    }
    let mut roots: Vec<String> = Vec::new();
    for database in &seen.databases {
        roots.extend(database.roots().iter().map(|r| r.pid.to_string()));
        let prepared = database.prepared.iter().filter(|p| !p.blocks.is_empty());
        roots.extend(prepared.map(|p| world::quoted(&format!("gid:{}", p.gid))));
    }
    let of_graph = seen.neo4j.iter().flat_map(|all| transactions::roots(all));
    roots.extend(of_graph.map(|t| t.id.clone()));
    for root in roots {
        text.push_str(&format!(
            "next      wait for it, or end it: summitctl migrate blockers --end-root {root} --context {context}\n"
        ));
    }
    let exit = asking::exit(&seen.unasked);
    Ok(Answer::new(exit, text, Blocked::Seen(seen)))
}

/// Neo4j's transactions: who waits for whom.
fn graph(all: &[Transaction]) -> String {
    let mut text = "Neo4j\n".to_owned();
    if all.is_empty() {
        text.push_str("  Neo4j shows no transaction of anybody else.\n");
    }
    for one in all {
        let mut said = format!("{} of `{}` on `{}`", one.id, one.user, one.database);
        if let Some(address) = &one.address {
            said.push_str(&format!(" from {address}"));
        }
        text.push_str(&format!(
            "  {said}: {}, {} old\n",
            one.status,
            Span::measured(one.seconds)
        ));
        if let Some(query) = &one.query {
            text.push_str(&format!("      {query}\n"));
        }
    }
    text
}

async fn end_root(session: &Session, world: &World, root: Option<&str>) -> Result<Answer> {
    let spec = plans::end_root(world, root).await?;
    let mut command = "migrate blockers --end-root".to_owned();
    if let Some(root) = root {
        command.push_str(&format!(" {}", world::quoted(root)));
    }
    let context = world.context.clone();
    let executed = run_as(session, world, &context, spec, &command).await?;
    let text = show::text_of(&executed, |report| {
        let seen = report.observed("unblock").cloned().unwrap_or_default();
        match seen["ended"].as_str() {
            Some(ended) => format!(
                "ended     {ended}\nnext      summitctl migrate blockers --context {context}\n"
            ),
            None => "free      nobody waits for anybody\n".to_owned(),
        }
    });
    Ok(Answer::new(
        executed.exit(),
        text,
        Blocked::Executed(executed),
    ))
}

fn tree(blockers: &Blockers) -> String {
    let mut text = format!("{}\n", blockers.database);
    let mut told = BTreeSet::new();
    for root in blockers.roots() {
        branch(blockers, root, 1, &mut told, &mut text);
    }
    // Those behind a prepared transaction, or in a circle, hang from no root.
    for session in &blockers.sessions {
        if !told.contains(&session.pid) {
            branch(blockers, session, 1, &mut told, &mut text);
        }
    }
    for prepared in &blockers.prepared {
        text.push_str(&format!(
            "  {}{}\n",
            prepared.words(),
            match prepared.blocks.len() {
                0 => String::new(),
                n => format!(", waiting for it: {n}"),
            }
        ));
    }
    for lock in &blockers.advisory {
        text.push_str(&format!(
            "  advisory lock {} ({}) of pid {} `{}`{}: {} for {}\n",
            lock.key,
            lock.mode,
            lock.pid,
            lock.application,
            lock.address
                .as_ref()
                .map_or(String::new(), |a| format!(" from {a}")),
            lock.state,
            Span::measured(lock.seconds)
        ));
        if let Some(statement) = &lock.statement {
            text.push_str(&format!("      {statement}\n"));
        }
    }
    if blockers.sessions.is_empty() && blockers.prepared.is_empty() && blockers.advisory.is_empty()
    {
        text.push_str(
            "  Postgres shows nobody waiting for a lock, idle in a transaction, prepared, or idle with an advisory lock.\n",
        );
    }
    if blockers.hidden > 0 {
        text.push_str(&format!(
            "  Sessions that hide their details from this role: {}; with `pg_read_all_stats` it would see them.\n",
            blockers.hidden
        ));
    }
    text
}

fn branch(
    blockers: &Blockers,
    session: &Involved,
    depth: usize,
    told: &mut BTreeSet<i32>,
    text: &mut String,
) {
    if !told.insert(session.pid) {
        return;
    }
    let indent = "  ".repeat(depth);
    text.push_str(&format!("{indent}{}\n", session.words()));
    if let Some(statement) = &session.statement {
        text.push_str(&format!("{indent}    {statement}\n"));
    }
    for waiter in &blockers.sessions {
        if waiter.blocked_by.contains(&session.pid) {
            branch(blockers, waiter, depth + 1, told, text);
        }
    }
}

async fn clear(session: &Session, world: &World, args: &ClearArgs) -> Result<Answer> {
    let spec = plans::clear(world, args.lock.as_deref(), args.terminate).await?;
    let mut command = "migrate lock clear".to_owned();
    if let Some(id) = &args.lock {
        command.push_str(&format!(" --lock {}", world::quoted(id)));
    }
    if args.terminate {
        command.push_str(" --terminate");
    }
    carry_out(session, world, spec, command, summary).await
}

fn summary(report: &RunReport) -> String {
    let steps = report.steps.iter().filter(|s| s.id.starts_with("clear"));
    let mut text = String::new();
    for seen in steps.filter_map(|s| report.observed(&s.id)) {
        let id = seen["lock"].as_str().unwrap_or_default();
        match seen["takeable"].as_str() {
            Some(proof) => text.push_str(&format!("cleared   {id}; proof: {proof}\n")),
            None => text.push_str(&format!("free      {id}: nobody holds it\n")),
        }
    }
    text
}
