//! Reading evidence: verified first, then paired into runs.

use std::path::Path;

use super::keys::TrustedKeys;
use super::predicate::{Closing, Start};
use super::record::EvidenceRef;
use super::statement::Subject;
use super::text::Name;
use super::verify::{self, OpenRun, Report};
use crate::error::{Error, NOT_FOUND, Result};
use crate::event::Outcome;
use crate::time::Instant;

/// A record with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Filed<P> {
    /// What it says.
    pub predicate: P,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// Where it is.
    pub place: EvidenceRef,
    /// Whether a trusted key's signature over it was checked, and nothing is wrong with its entry.
    pub trusted: bool,
}

/// One run: its start and, once it is over, its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The start record.
    pub start: Filed<Start>,
    /// The closing records, one for each attempt; the last one counts.
    pub ends: Vec<Filed<Closing>>,
}

impl Run {
    /// The run's id.
    pub fn id(&self) -> &Name {
        &self.start.predicate.facts.run
    }

    /// The closing record that counts; `None` while the run is open.
    pub fn closing(&self) -> Option<&Filed<Closing>> {
        self.ends.last()
    }

    /// How it went; `None` while the run is open.
    pub fn outcome(&self) -> Option<Outcome> {
        self.closing().map(|end| end.predicate.facts.outcome)
    }

    /// Whether start and end are both trusted.
    pub fn trusted(&self) -> bool {
        self.start.trusted && self.closing().is_none_or(|end| end.trusted)
    }

    /// When it was last heard of: its end, or its start.
    pub fn last_heard(&self) -> Instant {
        self.closing()
            .map_or(self.start.predicate.facts.started, |end| {
                end.predicate.facts.finished
            })
    }
}

/// Which runs are wanted; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct Query<'a> {
    /// This operation only.
    pub operation: Option<&'a str>,
    /// This context only.
    pub context: Option<&'a str>,
    /// This outcome only.
    pub outcome: Option<Outcome>,
    /// Only runs whose records are trusted.
    pub trusted_only: bool,
}

impl Query<'_> {
    fn fits(&self, run: &Run) -> bool {
        let facts = &run.start.predicate.facts;
        self.operation.is_none_or(|o| facts.operation.as_str() == o)
            && self.context.is_none_or(|c| facts.context.as_str() == c)
            && self.outcome.is_none_or(|o| run.outcome() == Some(o))
            && (!self.trusted_only || run.trusted())
    }
}

/// An evidence directory that was read and verified.
#[derive(Debug, Clone)]
pub struct Archive {
    /// What verification found. A gate refuses an archive whose report is not sound: `archive.report.check()?`.
    pub report: Report,
    runs: Vec<Run>,
}

impl Archive {
    /// Reads and verifies a directory. What is wrong with it is in the report; only a directory that cannot be
    /// read is an error. Without trusted keys nothing is trusted, but everything can be listed.
    pub fn open(dir: &Path, trusted: &TrustedKeys) -> Result<Self> {
        let (report, runs) = verify::examine(dir, trusted, None)?;
        Ok(Archive { report, runs })
    }

    /// The runs that fit, oldest start first.
    pub fn list(&self, query: &Query<'_>) -> Vec<&Run> {
        self.runs.iter().filter(|run| query.fits(run)).collect()
    }

    /// The run with this id.
    pub fn find(&self, run: &str) -> Option<&Run> {
        self.runs.iter().find(|r| r.id().as_str() == run)
    }

    /// The run with this id, or a unique beginning of one; `latest` is the one last heard of.
    pub fn resolve(&self, wanted: &str) -> Result<&Run> {
        if let Some(run) = self.find(wanted) {
            return Ok(run);
        }
        let missing = |message: String| {
            Err(Error::new(&NOT_FOUND, message)
                .hint("List the runs with `summitctl evidence list`."))
        };
        if wanted == "latest" {
            let newest = self.runs.iter().max_by_key(|run| run.last_heard());
            return newest.map_or_else(|| missing("there is no record yet".to_owned()), Ok);
        }
        let fits: Vec<&Run> = self
            .runs
            .iter()
            .filter(|r| r.id().as_str().starts_with(wanted))
            .collect();
        match fits.as_slice() {
            [run] => Ok(run),
            [] => missing(format!("no record is of run `{wanted}`")),
            several => missing(format!("{} runs start with `{wanted}`", several.len())),
        }
    }

    /// The trusted, closed run of this operation and context that finished last, whatever its outcome.
    pub fn latest(&self, operation: &str, context: &str) -> Option<&Run> {
        let query = Query {
            operation: Some(operation),
            context: Some(context),
            trusted_only: true,
            outcome: None,
        };
        let closed = self
            .list(&query)
            .into_iter()
            .filter(|run| run.closing().is_some());
        closed.max_by_key(|run| run.last_heard())
    }

    /// Runs that started and never ended: still going on, interrupted, or killed. They count against a gate, which
    /// leaves out its own run.
    pub fn open_starts(&self) -> &[OpenRun] {
        &self.report.open
    }
}
