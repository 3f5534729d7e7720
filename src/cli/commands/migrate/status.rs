//! `migrate status`: every history of every store in one table, and below it what it has no room for.

use std::path::PathBuf;

use super::{Whose, asking, migrate, not_asked, plans, unreadable};
use crate::cli::output::{Answer, table};
use crate::error::Result;
use crate::identity::Store;
use crate::providers::neo4j::migrations::{GraphMigrations, HISTORY_LABEL, TOOL};
use crate::providers::postgres::migrations::all_names;
use crate::steps::world::World;

pub(super) async fn status(world: &World, sources: &[(Whose, PathBuf)]) -> Result<Answer> {
    let status = plans::status(world, sources).await?;
    let tools = &status.tools;
    let mut text = not_asked(&status.unasked);
    let asked = world.has(Store::Postgres) && status.unasked.is_empty();
    if tools.is_empty() && asked {
        text.push_str(&format!("Postgres shows no history of {} that can be read in the context's databases; other tools are not looked for.\n", all_names()));
    }
    let rows = lines(&status);
    if !rows.is_empty() {
        let compared = tools.iter().any(|t| t.sources.is_some())
            || status.neo4j.as_ref().is_some_and(|g| g.sources.is_some());
        let mut head = HEAD.to_vec();
        if compared {
            head.extend(FROM_SOURCES);
        }
        head.push("last applied");
        let row = |line: Line| {
            let mut row: Vec<String> = line.told.into();
            if compared {
                row.extend(line.from_sources);
            }
            row.push(line.last);
            row
        };
        text.push_str(&table(&head, rows.into_iter().map(row)));
        text.push('\n');
    }
    for tool in tools {
        for half in &tool.history.half {
            text.push_str(&format!(
                "half      {} of {} {}: begun, and not known to have ended\n",
                tool.history.tool.name(),
                tool.history.database,
                half.name
            ));
        }
        for failed in &tool.history.failed {
            let at = failed.at.as_deref().unwrap_or("an unknown time");
            text.push_str(&format!("failed    {} at {at}\n", failed.name));
        }
        text.push_str(&files(tool));
    }
    for id in &status.held {
        text.push_str(&format!(
            "next      summitctl migrate lock show --context {}: `{id}` is held\n",
            world.context
        ));
    }
    if let Some(graph) = &status.neo4j {
        text.push_str(&of_graph(graph));
    }
    for index in &status.invalid_indexes {
        let why = if index.building {
            "it is being built at this moment"
        } else {
            "building it was broken off; drop it, and let its migration build it again"
        };
        text.push_str(&format!(
            "invalid   index {}.{} of {} in {}: {why}\n",
            index.schema, index.index, index.table, index.database
        ));
    }
    for tool in &status.without_history {
        text.push_str(&format!(
            "sources   {tool}: no database of the context has a history of it that can be read\n"
        ));
    }
    text.push_str(&unreadable(&status.unreadable));
    for other in &status.unrecognised {
        let rows = match other.rows {
            Some(rows) => format!("{rows} rows"),
            None => "not read".to_owned(),
        };
        text.push_str(&format!(
            "{}:{}.{}  of no tool that is known: {rows}, columns {}; what they mean is not known\n",
            other.database,
            other.schema,
            other.table,
            other.columns.join(", ")
        ));
    }
    Ok(Answer::new(asking::exit(&status.unasked), text, status))
}

/// What Neo4j holds of migrations.
fn of_graph(graph: &GraphMigrations) -> String {
    let mut text = String::new();
    if let Some(history) = &graph.history {
        let last = history.applied.last().map_or("nothing".to_owned(), |last| {
            let at = last.at.as_deref().unwrap_or("at an unknown time");
            format!("{} {at}", last.name)
        });
        let lock = graph.lock.as_ref().and_then(migrate::graph::verdict);
        let lock = lock.map_or("free".to_owned(), |v| format!("held, {}", v.word()));
        text.push_str(&format!(
            "neo4j:{}  {TOOL}: {} applied, last {last}; lock {lock}; failures and what is half applied are not told\n",
            history.database,
            history.applied.len(),
        ));
        for broken in &history.broken {
            text.push_str(&format!("  broken  the chain: {broken}\n"));
        }
    }
    if let Some(found) = &graph.sources {
        text.push_str(&format!(
            "sources   {TOOL}: {} migrations in {}: {} pending, {} changed, {} missing\n",
            found.files,
            found.folder,
            found.pending.len(),
            found.changed.len(),
            found.missing.len()
        ));
        text.push_str(&lists(&[
            ("pending", &found.pending[..]),
            ("changed", &found.changed[..]),
            ("unknown", &found.not_compared[..]),
            ("missing", &found.missing[..]),
            ("note", &found.notes[..]),
        ]));
    }
    if let Some(own) = &graph.own {
        text.push_str(&format!(
            "neo4j:{}  {} nodes (:Migration), of no tool that is known; what they mean is not known\n",
            own.database, own.nodes
        ));
        for node in &own.shown {
            let properties: Vec<String> = node
                .iter()
                .map(|(k, v)| format!("{k} {}", v.as_deref().unwrap_or("(no single value)")))
                .collect();
            text.push_str(&format!("  {}\n", properties.join(", ")));
        }
    }
    if text.is_empty() {
        text.push_str(&format!(
            "Neo4j shows no trace of {TOOL} and no node (:Migration); other tools are not looked for.\n"
        ));
    }
    text
}

/// So many names of a list are shown.
const MOST: usize = 20;

fn lists(all: &[(&str, &[String])]) -> String {
    let mut text = String::new();
    for (word, list) in all {
        for name in list.iter().take(MOST) {
            text.push_str(&format!("  {word:<8}{name}\n"));
        }
        if list.len() > MOST {
            let more = list.len() - MOST;
            text.push_str(&format!(
                "  {word:<8}and {more} more, with `--output json`\n"
            ));
        }
    }
    text
}

/// What the source files say, what of a migration is half applied, and what can be done.
fn files(tool: &plans::Managed) -> String {
    let mut text = String::new();
    if let Some(found) = &tool.sources {
        let changed = match &found.changed {
            Some(changed) => format!("{} changed", changed.len()),
            None => "changes not told".to_owned(),
        };
        text.push_str(&format!(
            "sources   {} of {}: {} migrations in {}: {} pending, {changed}, {} missing\n",
            tool.history.tool.name(),
            tool.history.database,
            found.files,
            found.folder,
            found.pending.len(),
            found.missing.len()
        ));
        text.push_str(&lists(&[
            ("pending", &found.pending[..]),
            ("changed", found.changed.as_deref().unwrap_or_default()),
            ("unknown", &found.not_compared[..]),
            ("missing", &found.missing[..]),
            ("note", &found.notes[..]),
        ]));
    }
    for half in &tool.half_applied {
        let what = if half.pending {
            "is pending, and part of it may be there already"
        } else {
            "is half applied"
        };
        text.push_str(&format!("catalogue {} {what}\n", half.file));
        for statement in &half.statements {
            let seen = statement.seen.words();
            text.push_str(&format!("  {seen:<15}{} …\n", statement.statement));
        }
    }
    for way in &tool.ways {
        text.push_str(&format!("way       {}:\n  {}\n", way.what, way.command));
    }
    text
}

/// The columns that are always there, but for the last.
const HEAD: [&str; 7] = [
    "database",
    "tool",
    "history",
    "applied",
    "failed",
    "half applied",
    "lock",
];

/// Those that only source files tell.
const FROM_SOURCES: [&str; 2] = ["pending", "changed"];

/// A line of the table.
struct Line {
    told: [String; HEAD.len()],
    from_sources: [String; FROM_SOURCES.len()],
    last: String,
}

const NOT_TOLD: &str = "not told";

/// What nobody knows of a table or nodes of no known tool.
fn unknown(database: String, history: String, rows: Option<i64>) -> Line {
    let not_known = || "not known".to_owned();
    Line {
        told: [
            database,
            not_known(),
            history,
            rows.map_or("not read".to_owned(), |n| format!("of {n} rows")),
            not_known(),
            not_known(),
            not_known(),
        ],
        from_sources: [not_known(), not_known()],
        last: not_known(),
    }
}

/// Every history of every store, those of no known tool last.
fn lines(status: &plans::Status) -> Vec<Line> {
    let mut all: Vec<Line> = status.tools.iter().map(line).collect();
    let graph = status.neo4j.as_ref();
    all.extend(graph.and_then(graph_line));
    let others = status.unrecognised.iter();
    all.extend(others.map(|o| {
        let history = format!("{}.{}", o.schema, o.table);
        unknown(o.database.clone(), history, o.rows)
    }));
    let own = graph.and_then(|g| g.own.as_ref());
    all.extend(own.map(|own| {
        let database = format!("neo4j:{}", own.database);
        unknown(database, "(:Migration)".to_owned(), Some(own.nodes))
    }));
    all
}

fn count(pending: Option<usize>) -> String {
    pending.map_or("no files".to_owned(), |n| n.to_string())
}

fn graph_line(graph: &GraphMigrations) -> Option<Line> {
    let history = graph.history.as_ref()?;
    let lock = graph.lock.as_ref().and_then(migrate::graph::verdict);
    let last = history.applied.last();
    let files = graph.sources.as_ref();
    Some(Line {
        told: [
            format!("neo4j:{}", history.database),
            TOOL.to_owned(),
            format!("(:{HISTORY_LABEL})"),
            history.applied.len().to_string(),
            NOT_TOLD.to_owned(),
            NOT_TOLD.to_owned(),
            lock.map_or("free".to_owned(), |v| format!("held, {}", v.word())),
        ],
        from_sources: [
            count(files.map(|f| f.pending.len())),
            count(files.map(|f| f.changed.len())),
        ],
        last: last.map_or("nothing".to_owned(), |last| match &last.at {
            Some(at) => format!("{at} {}", last.name),
            None => last.name.clone(),
        }),
    })
}

fn line(tool: &plans::Managed) -> Line {
    let history = &tool.history;
    let lock = match &tool.lock {
        None if history.tool.lockless().is_some() => "takes none".to_owned(),
        None => "no table".to_owned(),
        Some(lock) => match lock.verdict {
            None => "free".to_owned(),
            Some(verdict) => format!("held, {}", verdict.word()),
        },
    };
    let last = history
        .last
        .as_ref()
        .map_or("nothing".to_owned(), |last| match &last.at {
            Some(at) => format!("{at} {}", last.name),
            None => last.name.clone(),
        });
    let outcomes = |outcome: &str| history.outcomes.get(outcome).copied().unwrap_or(0);
    let failed = if history.tool.writes_failures() {
        outcomes("failed").to_string()
    } else {
        NOT_TOLD.to_owned()
    };
    let files = tool.sources.as_ref();
    Line {
        told: [
            history.database.clone(),
            history.tool.name().to_owned(),
            format!("{}.{}", history.schema, history.table),
            tool.applied.map_or(NOT_TOLD.to_owned(), |n| n.to_string()),
            failed,
            outcomes("half").to_string(),
            lock,
        ],
        from_sources: [
            count(files.map(|f| f.pending.len())),
            files.map_or_else(
                || count(None),
                |f| {
                    f.changed
                        .as_ref()
                        .map_or(NOT_TOLD.to_owned(), |c| c.len().to_string())
                },
            ),
        ],
        last,
    }
}
