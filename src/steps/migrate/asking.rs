//! Several places are asked one after another; one that does not answer does not hide the others.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::Exit;

/// A place that could not be asked, so that nothing is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unasked {
    /// What: a database of Postgres, or Neo4j.
    pub what: String,
    /// Why not.
    pub why: String,
    /// What the program ends with on its account.
    #[serde(skip)]
    pub exit: Exit,
}

impl Unasked {
    /// As a person reads it.
    pub fn words(&self) -> String {
        format!("{} was not looked at: {}", self.what, self.why)
    }
}

/// Who answered and who did not.
#[derive(Default)]
pub struct Asking {
    answered: bool,
    failed: Vec<(String, Error)>,
}

impl Asking {
    /// An answer, or `None` and a note that there is none.
    pub fn took<T>(&mut self, what: &str, answer: Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.answered = true;
                Some(answer)
            }
            Err(e) => {
                self.failed.push((what.to_owned(), e));
                None
            }
        }
    }

    /// Those that did not answer; an error if nobody did.
    pub fn done(mut self) -> Result<Vec<Unasked>> {
        if !self.answered && !self.failed.is_empty() {
            return Err(self.failed.swap_remove(0).1);
        }
        let unasked = |(what, e): (String, Error)| Unasked {
            what,
            why: e.one_line(),
            exit: e.exit(),
        };
        Ok(self.failed.into_iter().map(unasked).collect())
    }
}

/// What a database of Postgres is called among those that were asked.
pub fn of_postgres(database: &str) -> String {
    format!("Postgres `{database}`")
}

/// What the program ends with: that of the first that could not be asked.
pub fn exit(unasked: &[Unasked]) -> Exit {
    unasked.first().map_or(Exit::Ok, |u| u.exit)
}
