//! The platform's variables as somebody set them: from the process environment, a `.env` file or a Compose file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::dotenv;
use super::environment::Environment;
use super::source::{Provenance, Sourced};
use crate::error::{Error, Result};

/// Why a value is not known, and where it is.
pub type Unknown = Sourced<String>;

/// Names and values with provenance. `Debug` shows no value: any may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values {
    map: BTreeMap<String, Sourced<Text>>,
    /// Names that were assigned more than once, with the place that lost.
    pub repeated: Vec<Sourced<String>>,
    /// References that nobody had set, with the place that uses them.
    pub unset: Vec<Sourced<String>>,
    unknown: BTreeMap<String, Unknown>,
    /// Sources of which not even the names are known, with what these begin with.
    veils: Vec<(String, Unknown)>,
}

/// A value that shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// The value.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(***)")
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.map.iter().map(|(name, v)| (name, &v.source)))
            .finish()
    }
}

impl Values {
    /// The process environment.
    pub fn of_process(environment: &Environment) -> Values {
        let mut values = Values::default();
        for (name, value) in environment.iter() {
            values.put(name, value, Provenance::environment(name));
        }
        values
    }

    /// A `.env` file. References see the file itself and then `environment`.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is wrong.
    pub fn of_dotenv(path: &Path, environment: &Environment) -> Result<Values> {
        let text =
            Zeroizing::new(std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?);
        let lookup = |name: &str| environment.get(name).map(str::to_owned);
        let mut values = Values::default();
        for entry in dotenv::parse(path, &text, &lookup)? {
            let source = Provenance::File {
                path: path.to_owned(),
                line: entry.line,
            };
            for name in entry.unset {
                values.unset.push(Sourced::new(name, source.clone()));
            }
            values.put(&entry.name, &entry.value, source);
        }
        Ok(values)
    }

    /// A variable; set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<&Sourced<Text>> {
        self.map
            .get(name)
            .filter(|v| !v.value.expose().trim().is_empty())
    }

    /// Whether the variable was assigned, be it to nothing.
    pub fn is_assigned(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Why nobody here knows whether the variable is set, or to what.
    pub fn unknown(&self, name: &str) -> Option<&Unknown> {
        if self.is_assigned(name) {
            return None;
        }
        let veil = || self.veils.iter().rev().find(|(p, _)| name.starts_with(p));
        self.unknown
            .get(name)
            .or_else(|| veil().map(|(_, why)| why))
    }

    /// Says that a variable is set to something that is not known here.
    pub fn put_unknown(&mut self, name: &str, why: String, source: Provenance) {
        self.unknown
            .insert(name.to_owned(), Sourced::new(why, source));
    }

    /// Says that any variable whose name begins so may be set by a source that is not known here.
    pub fn veil(&mut self, prefix: &str, why: String, source: Provenance) {
        self.veils
            .push((prefix.to_owned(), Sourced::new(why, source)));
    }

    /// Every name that has a value, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// Sets a variable. Within one file the last assignment wins, and the first is noted as repeated.
    pub fn put(&mut self, name: &str, value: &str, source: Provenance) {
        let value = Sourced::new(Text(Zeroizing::new(value.to_owned())), source);
        if let Some(lost) = self.map.insert(name.to_owned(), value) {
            self.repeated
                .push(Sourced::new(name.to_owned(), lost.source));
        }
    }

    /// Adds what `other` holds; what is here already stays.
    pub fn below(mut self, other: Values) -> Values {
        for (name, value) in other.map {
            self.map.entry(name).or_insert(value);
        }
        self.repeated.extend(other.repeated);
        self.unset.extend(other.unset);
        self.unknown.extend(other.unknown);
        self.veils.extend(other.veils);
        self
    }
}
