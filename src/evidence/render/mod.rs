//! Showing a run's evidence: JSON, JUnit XML, Markdown, and one self-contained HTML page.
//!
//! A rendering is a copy for reading. It says which signed records it was made from and whether they were checked;
//! every value in it is escaped, invisible and reordering characters included.

mod escape;
mod html;
mod junit;
mod markdown;
mod view;

use schemars::JsonSchema;
use serde::Serialize;

use super::archive::{Filed, Run};
use super::predicate::{Closing, Start};
use super::record::EvidenceRef;
use super::statement::Subject;
use super::text::Name;
use crate::error::{Error, Result};
use crate::event::Outcome;

/// One run as one JSON document.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Dossier<'a> {
    /// The format's version: 1.
    pub version: u32,
    /// The run's id.
    pub run: &'a Name,
    /// Whether it has a closing record.
    pub closed: bool,
    /// How it went; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether trusted keys' signatures over all of its records were checked.
    pub trusted: bool,
    /// The start record.
    pub start: Signed<'a, Start>,
    /// The closing records, one for each attempt; the last one counts.
    pub ends: Vec<Signed<'a, Closing>>,
}

/// A signed record with its place.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Signed<'a, P> {
    /// Where it is.
    pub place: &'a EvidenceRef,
    /// Whether a trusted key's signature over it was checked.
    pub trusted: bool,
    /// What it is about.
    pub subject: &'a [Subject],
    /// What it says.
    pub predicate: &'a P,
}

impl<'a, P> Signed<'a, P> {
    fn of(filed: &'a Filed<P>) -> Self {
        Signed {
            place: &filed.place,
            trusted: filed.trusted,
            subject: &filed.subjects,
            predicate: &filed.predicate,
        }
    }
}

/// The run as one JSON document.
pub fn dossier(run: &Run) -> Dossier<'_> {
    Dossier {
        version: 1,
        run: run.id(),
        closed: run.closing().is_some(),
        outcome: run.outcome(),
        trusted: run.trusted(),
        start: Signed::of(&run.start),
        ends: run.ends.iter().map(Signed::of).collect(),
    }
}

/// The run as indented JSON, a line feed at its end.
pub fn json(run: &Run) -> Result<String> {
    let mut text = serde_json::to_string_pretty(&dossier(run))
        .map_err(|e| Error::bug("a run cannot be written as JSON").caused_by(e))?;
    text.push('\n');
    Ok(text)
}

/// The run as JUnit XML, as continuous integration reads it: a suite each for the run itself, its checks, steps and
/// limits. What was not evaluated is an error there, never a pass.
pub fn junit(run: &Run) -> String {
    junit::render(run)
}

/// The run as GitHub-flavoured Markdown.
pub fn markdown(run: &Run) -> String {
    markdown::render(&view::of(run))
}

/// The run as one HTML page without outside parts or scripts.
pub fn html(run: &Run) -> String {
    html::render(&view::of(run))
}
