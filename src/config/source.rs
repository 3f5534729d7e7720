//! Where a value came from. Everything that `config show` prints, and every refusal that rests on a setting, says it.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a value came from.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(
    tag = "from",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Provenance {
    /// A flag of this command line.
    Flag {
        /// With its dashes, such as `--context`.
        name: String,
    },
    /// A variable of the process environment.
    Environment {
        /// Its name.
        name: String,
    },
    /// A file a person wrote.
    File {
        /// Its path.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// What a cluster gives a container.
    Kubernetes {
        /// The object that holds it, such as ``secret `prod/gateway` ``.
        object: String,
        /// The place in it, such as ``key `JWT_SECRET` `` or ``container `app` ``.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// Nobody said anything.
    Default,
}

impl Provenance {
    /// The variable with this name.
    pub fn environment(name: impl Into<String>) -> Self {
        Provenance::Environment { name: name.into() }
    }

    /// The flag with this name, dashes included.
    pub fn flag(name: impl Into<String>) -> Self {
        Provenance::Flag { name: name.into() }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Provenance::Flag { name } => write!(f, "flag `{name}`"),
            Provenance::Environment { name } => write!(f, "environment `{name}`"),
            Provenance::File { path, line } => write!(f, "{}:{line}", path.display()),
            Provenance::Kubernetes { object, key: None } => f.write_str(object),
            Provenance::Kubernetes {
                object,
                key: Some(key),
            } => write!(f, "{object}, {key}"),
            Provenance::Default => f.write_str("default"),
        }
    }
}

/// A value with its provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Provenance,
}

impl<T> Sourced<T> {
    /// A value from there.
    pub fn new(value: T, source: Provenance) -> Self {
        Sourced { value, source }
    }

    /// A value that nobody set.
    pub fn default_of(value: T) -> Self {
        Sourced::new(value, Provenance::Default)
    }

    /// Another value from the same place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced::new(f(self.value), self.source)
    }
}

impl<T> std::ops::Deref for Sourced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
