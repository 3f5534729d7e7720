//! The health of one datastore, asked directly, and of the Neo4j databases behind a server; for runbooks about one of them.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::probe::{patiently, with_impact};
use super::smoke::impact;
use super::world::World;
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::identity::Store;
use crate::providers::neo4j::topology::{Topology, topology};
use crate::reasons;
use crate::time::Span;
use crate::wait::Deadline;

reasons! {
    /// A database of Neo4j is not served as it should be.
    TOPOLOGY = "neo4j.topology", Failed, "Neo4j reports a database that is not in the state somebody asked for, has no writer or more than one, or a server that is not available. The message names each.";
}

/// How long one look without a wait may take.
const LOOK: Duration = Duration::from_secs(15);

/// Arguments of `store.health`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreHealthArgs {
    /// The datastore.
    pub store: Store,
    /// Whether the step fails if it does not answer; if not, `result.answers` says whether it does.
    #[serde(default = "yes")]
    pub must_answer: bool,
    /// Keep asking until it answers or this long has gone by.
    #[serde(default)]
    pub wait: Option<Span>,
}

fn yes() -> bool {
    true
}

/// The step kind `store.health`.
pub struct StoreHealth;

#[async_trait]
impl Look<World> for StoreHealth {
    const KIND: &'static str = "store.health";
    const SUMMARY: &'static str = "Asks one datastore directly: `result.answers`, `result.version`, `result.latency-ms` and what it says of itself, or `result.reason` and `result.impact`";
    type Args = StoreHealthArgs;

    fn title(&self, args: &StoreHealthArgs) -> String {
        format!("ask {} itself", args.store)
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &StoreHealthArgs) -> Result<Observed> {
        let (world, store) = (cx.world, args.store);
        if !world.has(store) {
            return Err(world.lacks(store.name()));
        }
        let endpoint = world.endpoint(store).unwrap_or_default();
        let seen = patiently(cx, args.wait, |deadline| world.ping(store, deadline)).await;
        match seen {
            Ok(seen) => {
                let mut facts = seen.facts;
                facts.insert("answers".to_owned(), json!(true));
                facts.insert("endpoint".to_owned(), json!(endpoint));
                facts.insert("version".to_owned(), json!(seen.version));
                facts.insert(
                    "latency-ms".to_owned(),
                    json!(seen.latency.as_secs_f64() * 1e3),
                );
                Ok(Observed(facts))
            }
            Err(error)
                if !args.must_answer
                    && matches!(error.exit(), Exit::Failed | Exit::Unreachable) =>
            {
                Ok(silent(store, &endpoint, &error))
            }
            Err(error) => Err(with_impact(error, Some(impact(store)))),
        }
    }
}

/// What is known of a store that does not answer.
fn silent(store: Store, endpoint: &str, error: &Error) -> Observed {
    let facts = [
        ("answers", json!(false)),
        ("endpoint", json!(endpoint)),
        ("reason", json!(error.reason().code)),
        ("message", json!(error.one_line())),
        ("impact", json!(impact(store))),
    ];
    Observed(Map::from_iter(
        facts.map(|(name, value)| (name.to_owned(), value)),
    ))
}

/// Arguments of `neo4j.topology`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TopologyArgs {
    /// How many servers must be available; asked for, a server that does not tell of others fails the step.
    #[serde(default)]
    pub servers: Option<usize>,
    /// Keep asking until all is well or this long has gone by.
    #[serde(default)]
    pub wait: Option<Span>,
}

/// The step kind `neo4j.topology`.
pub struct Neo4jTopology;

#[async_trait]
impl Look<World> for Neo4jTopology {
    const KIND: &'static str = "neo4j.topology";
    const SUMMARY: &'static str = "Asks Neo4j for its databases and servers, and fails unless each is online and has one writer; `result.databases`, `result.servers` (null where the server does not tell)";
    type Args = TopologyArgs;

    fn title(&self, _: &TopologyArgs) -> String {
        "ask Neo4j who serves which database".to_owned()
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &TopologyArgs) -> Result<Observed> {
        let target = cx.world.neo4j()?;
        let look = async |deadline: Deadline| {
            let deadline = Deadline::after(deadline.left().min(LOOK));
            let seen = topology(target, deadline).await?;
            let wrong = wrong(&seen, args.servers);
            if wrong.is_empty() {
                return Ok(Observed::of(&seen));
            }
            Err(
                Error::new(&TOPOLOGY, format!("Neo4j reports: {}", wrong.join("; ")))
                    .with_details(serde_json::to_value(&seen).unwrap_or(Value::Null)),
            )
        };
        let seen = patiently(cx, args.wait, look).await;
        seen.map_err(|e| with_impact(e, Some(impact(Store::Neo4j))))
    }
}

/// What is not as it should be, each in a few words.
fn wrong(seen: &Topology, servers: Option<usize>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut names: Vec<&str> = seen.databases.iter().map(|d| d.database.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let hosts = seen.databases.iter().filter(|d| d.database == name);
        let (mut writers, mut asked) = (0, 0);
        for host in hosts {
            asked += usize::from(host.requested == "online");
            writers += usize::from(host.writer && host.current == "online");
            if host.current != host.requested {
                let message = match host.message.as_str() {
                    "" => String::new(),
                    message => format!(" ({message})"),
                };
                wrong.push(format!(
                    "`{name}` at `{}` is {}, not {}{message}",
                    host.address, host.current, host.requested
                ));
            }
        }
        if asked > 0 && writers != 1 {
            wrong.push(format!("`{name}` has {writers} writers"));
        }
    }
    if !seen.databases.iter().any(|d| d.default) {
        wrong.push("no default database".to_owned());
    }
    let members = seen.servers.as_deref().unwrap_or_default();
    let available =
        |m: &&crate::providers::neo4j::topology::Member| m.health.eq_ignore_ascii_case("available");
    for member in members.iter().filter(|m| !available(m)) {
        wrong.push(format!(
            "server `{}` at `{}` is {}",
            member.name, member.address, member.health
        ));
    }
    let there = members.iter().filter(available).count();
    match (servers, &seen.servers) {
        (Some(count), None) => wrong.push(format!(
            "{count} servers are expected, and it does not tell of any: {}",
            seen.servers_unknown.as_deref().unwrap_or("no reason")
        )),
        (Some(count), Some(_)) if there < count => {
            wrong.push(format!(
                "{there} servers are available, {count} are expected"
            ));
        }
        _ => {}
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::neo4j::topology::{Hosted, Member};

    fn hosted(database: &str, address: &str, writer: bool, current: &str) -> Hosted {
        Hosted {
            database: database.into(),
            address: address.into(),
            role: "primary".into(),
            writer,
            requested: "online".into(),
            current: current.into(),
            message: String::new(),
            default: database == "neo4j",
        }
    }

    fn member(name: &str, health: &str) -> Member {
        Member {
            name: name.into(),
            address: format!("{name}:7687"),
            state: "Enabled".into(),
            health: health.into(),
            hosting: vec!["neo4j".into()],
        }
    }

    #[test]
    fn a_cluster_is_judged_by_writers_states_and_servers() {
        let mut seen = Topology {
            version: "5.26.0".into(),
            edition: "enterprise".into(),
            databases: vec![
                hosted("neo4j", "a:7687", true, "online"),
                hosted("neo4j", "b:7687", false, "online"),
            ],
            servers: Some(vec![member("a", "Available"), member("b", "Available")]),
            servers_unknown: None,
        };
        assert_eq!(wrong(&seen, Some(2)), Vec::<String>::new());
        assert_eq!(
            wrong(&seen, Some(3)),
            ["2 servers are available, 3 are expected"]
        );
        seen.databases[1].writer = true;
        assert_eq!(wrong(&seen, None), ["`neo4j` has 2 writers"]);
        seen.databases[0].current = "offline".into();
        seen.databases[1].writer = false;
        seen.servers = Some(vec![member("a", "Unavailable"), member("b", "Available")]);
        assert_eq!(
            wrong(&seen, None),
            [
                "`neo4j` at `a:7687` is offline, not online",
                "`neo4j` has 0 writers",
                "server `a` at `a:7687` is Unavailable",
            ]
        );
        seen.servers = None;
        seen.servers_unknown = Some("Community has none".into());
        assert!(
            wrong(&seen, Some(1))
                .last()
                .is_some_and(|w| w.contains("Community has none"))
        );
    }
}
