//! What is known of a migration tool. Each is one file, and one line in [`TOOLS`].

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{TOOLS, advisory, history, lock, sources};

/// Everything that differs from tool to tool.
pub(super) struct Known {
    /// In our output and on the command line.
    pub id: &'static str,
    /// As its makers write it.
    pub name: &'static str,
    pub history: history::Shape,
    pub locking: Locking,
    /// How its files are compared.
    pub sources: sources::Shape,
    /// What can be done about a migration that failed or is half applied: when, and the command. `{version}`, `{previous}`,
    /// `{folder}` and `{table}` are filled in.
    pub ways: &'static [(&'static str, &'static str)],
}

/// How a tool keeps a second one of its kind out.
pub(super) enum Locking {
    /// By a row in a table of its own.
    Row(&'static lock::Shape),
    /// By an advisory lock, which ends with its session.
    Advisory(advisory::Shape),
    /// Not at all; what that means for whoever reads it.
    None(&'static str),
}

/// A migration tool.
#[derive(Clone, Copy)]
pub struct Tool(pub(super) &'static Known);

impl Tool {
    /// All that are known.
    pub fn all() -> impl Iterator<Item = Tool> {
        TOOLS.iter().copied().map(Tool)
    }

    /// The tool of this id.
    pub fn of(id: &str) -> Option<Tool> {
        Tool::all().find(|t| t.id() == id)
    }

    /// In our output and on the command line: `golang-migrate`.
    pub fn id(self) -> &'static str {
        self.0.id
    }

    /// Its name, as its makers write it.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it means that the tool takes no lock; `None` if it takes one.
    pub fn lockless(self) -> Option<&'static str> {
        match self.0.locking {
            Locking::None(says) => Some(says),
            Locking::Row(_) | Locking::Advisory(_) => None,
        }
    }

    /// Whether it writes down that a migration failed.
    pub fn writes_failures(self) -> bool {
        self.0.history.tells_failure
    }

    pub(super) fn row_lock(self) -> Option<&'static lock::Shape> {
        match &self.0.locking {
            Locking::Row(shape) => Some(shape),
            Locking::Advisory(shape) => shape.instead,
            Locking::None(_) => None,
        }
    }
}

/// The names of all tools, as a sentence has them.
pub fn all_names() -> String {
    sentence(Tool::all().map(Tool::name).collect())
}

/// The ids of all tools, and of another.
pub fn ids_and(other: &'static str) -> String {
    sentence(Tool::all().map(Tool::id).chain([other]).collect())
}

fn sentence(names: Vec<&str>) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

impl PartialEq for Tool {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Tool {}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Tool {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = Cow::<str>::deserialize(deserializer)?;
        Tool::of(&id)
            .ok_or_else(|| serde::de::Error::custom(format!("there is no migration tool `{id}`")))
    }
}

impl JsonSchema for Tool {
    fn schema_name() -> Cow<'static, str> {
        "Tool".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let ids: Vec<&str> = Tool::all().map(Tool::id).collect();
        json_schema!({"description": "A migration tool.", "type": "string", "enum": ids})
    }
}
