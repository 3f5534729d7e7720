//! The runbooks built into the program, and a local folder's that add to or replace them.

use super::{Diagnostic, Runbook, Source, StepCatalog, UNKNOWN, lint, parse};
use crate::error::{Error, Result};
use crate::expr;

/// Every built-in runbook: its file's name below `runbooks/` and its text.
pub const BUILT_IN: &[(&str, &str)] = &[
    (
        "summit/golden-path.md",
        include_str!("../../runbooks/summit/golden-path.md"),
    ),
    (
        "summit/smoke.md",
        include_str!("../../runbooks/summit/smoke.md"),
    ),
    (
        "summit/daily-backup.md",
        include_str!("../../runbooks/summit/daily-backup.md"),
    ),
    (
        "summit/restore.md",
        include_str!("../../runbooks/summit/restore.md"),
    ),
    (
        "summit/database-migration-failed.md",
        include_str!("../../runbooks/summit/database-migration-failed.md"),
    ),
    (
        "summit/dr-drill.md",
        include_str!("../../runbooks/summit/dr-drill.md"),
    ),
];

/// All runbooks there are, local ones in front of built-in ones of the same id.
#[derive(Debug)]
pub struct Library {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    runbook: Runbook,
    findings: Vec<Diagnostic>,
    local: bool,
    replaces: bool,
}

/// A runbook in the list.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The runbook, as far as it could be read.
    pub runbook: &'a Runbook,
    /// Whether it comes from the local folder.
    pub local: bool,
    /// Whether it stands in for a built-in one of the same id.
    pub replaces: bool,
    /// Whether it can be read without errors; the lint may still find some.
    pub readable: bool,
}

impl Library {
    /// Built-in runbooks, and local ones as `(file name, text)`.
    ///
    /// A local file that cannot be read keeps its id where it has one: it never lets the built-in one through, which
    /// would run something other than what the file's author believes.
    pub fn new(local: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (name, text) in local {
            entries.push(Entry::read(Source::new(name, text), true));
        }
        for (name, text) in BUILT_IN {
            let built_in = Entry::read(Source::new(format!("built-in:{name}"), *text), false);
            match entries
                .iter_mut()
                .find(|e| e.local && e.runbook.id == built_in.runbook.id)
            {
                Some(local) => local.replaces = true,
                None => entries.push(built_in),
            }
        }
        entries.sort_by(|a, b| {
            (&a.runbook.platform, &a.runbook.id).cmp(&(&b.runbook.platform, &b.runbook.id))
        });
        Library { entries }
    }

    /// All runbooks, by platform and id.
    pub fn list(&self) -> impl Iterator<Item = Listed<'_>> {
        self.entries.iter().map(|entry| Listed {
            runbook: &entry.runbook,
            local: entry.local,
            replaces: entry.replaces,
            readable: !entry
                .findings
                .iter()
                .any(|d| d.severity == super::Severity::Error),
        })
    }

    /// The runbook of this id (or `platform/id`) as it was read, without any check: for showing it.
    pub fn find(&self, id: &str) -> Result<&Runbook> {
        self.entry(id).map(|entry| &entry.runbook)
    }

    /// The runbook of this id, linted: an error that shows the first finding, if there are errors.
    pub fn get(&self, id: &str, catalog: &dyn StepCatalog) -> Result<&Runbook> {
        let entry = self.entry(id)?;
        let mut findings = entry.findings.clone();
        findings.extend(lint(&entry.runbook, catalog));
        match Runbook::first_error(&findings, entry.runbook.source()) {
            Some(error) => Err(error),
            None => Ok(&entry.runbook),
        }
    }

    /// Every finding about the runbook of this id, in the order of its text.
    pub fn findings(&self, id: &str, catalog: &dyn StepCatalog) -> Result<Vec<Diagnostic>> {
        let entry = self.entry(id)?;
        let mut findings = entry.findings.clone();
        findings.extend(lint(&entry.runbook, catalog));
        findings.sort_by_key(|d| (d.span.start, d.severity));
        Ok(findings)
    }

    fn entry(&self, id: &str) -> Result<&Entry> {
        self.entries
            .iter()
            .find(|e| {
                let (platform, own) = (&e.runbook.platform, &e.runbook.id);
                own == id || id.split_once('/') == Some((platform, own))
            })
            .ok_or_else(|| {
                let error = Error::new(&UNKNOWN, format!("there is no runbook `{id}`"));
                let ids = self.entries.iter().map(|e| e.runbook.id.as_str());
                match expr::nearest(id, ids) {
                    Some(near) => error.hint(format!("Did you mean `{near}`?")),
                    None => error.hint("`summitctl runbook list` shows all of them."),
                }
            })
    }
}

impl Entry {
    fn read(source: Source, local: bool) -> Self {
        let (runbook, findings) = parse(source);
        Entry {
            runbook,
            findings,
            local,
            replaces: false,
        }
    }
}
