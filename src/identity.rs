//! What a target *is*, as opposed to what it is called.
//!
//! `context pin` records the facts below; before its first change, and again before each effect, a run looks at
//! them and refuses a target that is not the pinned one.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kinds of system a context can name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// PostgreSQL, RDS and Aurora included.
    Postgres,
    /// Neo4j 5.
    Neo4j,
    /// Redis or Valkey.
    Redis,
}

impl Store {
    /// All of them, in the order they are captured and shown.
    pub const ALL: [Store; 3] = [Store::Postgres, Store::Neo4j, Store::Redis];

    /// The name in configuration, part names and output.
    pub fn name(self) -> &'static str {
        match self {
            Store::Postgres => "postgres",
            Store::Neo4j => "neo4j",
            Store::Redis => "redis",
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Store {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> crate::error::Result<Self> {
        match text {
            "postgres" | "postgresql" => Ok(Store::Postgres),
            "neo4j" => Ok(Store::Neo4j),
            "redis" => Ok(Store::Redis),
            other => Err(
                crate::error::Error::input(format!("unknown store `{other}`"))
                    .hint("The stores are `postgres`, `neo4j` and `redis`."),
            ),
        }
    }
}

/// The fact that holds a target's planted marker. Databases of one server have one each: `marker/NAME` from the second on.
pub const MARKER: &str = "marker";

/// The facts that tell one target from every other, its clones included.
///
/// Postgres: `system-identifier`, `database`, `databases` where there are several, `marker`, and `resource` (a provider's resource id) or `endpoint`;
/// Neo4j: `database-id`, `marker`, `endpoint`; Redis: `marker`, `endpoint`. A physical clone shares all but the
/// endpoint or resource, which is why those decide too. A fact that could not be read is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Identity {
    /// The kind of system.
    pub store: Store,
    /// Fact name to value.
    pub facts: BTreeMap<String, String>,
}

/// A fact that differs between the pin and what is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The fact's name.
    pub fact: String,
    /// What the pin says.
    pub pinned: Option<String>,
    /// What the target says now.
    pub seen: Option<String>,
}

impl Identity {
    /// An identity made of these facts; empty values are left out.
    pub fn new<K: Into<String>, V: Into<String>>(
        store: Store,
        facts: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let facts = facts
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .filter(|(_, v): &(String, String)| !v.is_empty());
        Identity {
            store,
            facts: facts.collect(),
        }
    }

    /// The facts in which `seen` is not this pinned identity; empty means it is the same target.
    pub fn differences(&self, seen: &Identity) -> Vec<Difference> {
        let names: std::collections::BTreeSet<&String> =
            self.facts.keys().chain(seen.facts.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.facts.get(*name) != seen.facts.get(*name))
            .map(|name| Difference {
                fact: name.clone(),
                pinned: self.facts.get(name).cloned(),
                seen: seen.facts.get(name).cloned(),
            })
            .collect()
    }

    /// The facts but for the markers, which a restore takes away.
    pub fn without_markers(mut self) -> Self {
        self.facts.retain(|fact, _| !is_marker(fact));
        self
    }

    /// The identity in a few words: its endpoint.
    pub fn short(&self) -> String {
        let place = self
            .facts
            .get("resource")
            .or_else(|| self.facts.get("endpoint"));
        format!(
            "{} at {}",
            self.store,
            place.map_or("an unknown place", String::as_str)
        )
    }
}

/// Whether a fact holds a marker.
pub fn is_marker(fact: &str) -> bool {
    fact.strip_prefix(MARKER)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_differs_in_its_endpoint_only() {
        let pin = Identity::new(
            Store::Postgres,
            [
                ("system-identifier", "7"),
                ("endpoint", "a:5432"),
                ("marker", "m"),
            ],
        );
        let clone = Identity::new(
            Store::Postgres,
            [
                ("system-identifier", "7"),
                ("endpoint", "b:5432"),
                ("marker", "m"),
            ],
        );
        let found = pin.differences(&clone);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].fact, "endpoint");
        assert!(pin.differences(&pin.clone()).is_empty());
    }
}
