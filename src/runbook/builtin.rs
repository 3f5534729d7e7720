//! The runbooks built into the program, and a local folder's that add to or replace them.

use super::drift::{Drift, drift};
use super::source::{Findings, did_you_mean};
use super::{Diagnostic, Runbook, Source, Span, StepCatalog, UNKNOWN, lint, parse};
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
        "summit/verification-after-deployment.md",
        include_str!("../../runbooks/summit/verification-after-deployment.md"),
    ),
    (
        "summit/ga-gate.md",
        include_str!("../../runbooks/summit/ga-gate.md"),
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
        "summit/restore-one-service.md",
        include_str!("../../runbooks/summit/restore-one-service.md"),
    ),
    (
        "summit/database-migration-failed.md",
        include_str!("../../runbooks/summit/database-migration-failed.md"),
    ),
    (
        "summit/dr-drill.md",
        include_str!("../../runbooks/summit/dr-drill.md"),
    ),
    (
        "summit/service-health.md",
        include_str!("../../runbooks/summit/service-health.md"),
    ),
    (
        "summit/services-health.md",
        include_str!("../../runbooks/summit/services-health.md"),
    ),
    (
        "summit/postgres-outage.md",
        include_str!("../../runbooks/summit/postgres-outage.md"),
    ),
    (
        "summit/neo4j-outage.md",
        include_str!("../../runbooks/summit/neo4j-outage.md"),
    ),
    (
        "summit/redis-outage.md",
        include_str!("../../runbooks/summit/redis-outage.md"),
    ),
    (
        "summit/neo4j-cluster-health.md",
        include_str!("../../runbooks/summit/neo4j-cluster-health.md"),
    ),
    (
        "summit/scaling-knobs.md",
        include_str!("../../runbooks/summit/scaling-knobs.md"),
    ),
    (
        "summit/secrets-rotation.md",
        include_str!("../../runbooks/summit/secrets-rotation.md"),
    ),
    (
        "summit/bring-up-compose.md",
        include_str!("../../runbooks/summit/bring-up-compose.md"),
    ),
    (
        "summit/bring-up-helm.md",
        include_str!("../../runbooks/summit/bring-up-helm.md"),
    ),
    (
        "summit/ecr-packaging.md",
        include_str!("../../runbooks/summit/ecr-packaging.md"),
    ),
    (
        "summit/phased-migration.md",
        include_str!("../../runbooks/summit/phased-migration.md"),
    ),
    (
        "summit/dns-cutover.md",
        include_str!("../../runbooks/summit/dns-cutover.md"),
    ),
    (
        "maestro/maestro-health.md",
        include_str!("../../runbooks/maestro/maestro-health.md"),
    ),
];

/// All runbooks there are, local ones in front of built-in ones of the same id.
#[derive(Debug)]
pub struct Library {
    entries: Vec<Entry>,
    /// Every built-in runbook, also those that a local one stands in for.
    built_in: Vec<Runbook>,
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
    /// How it stands to the built-in text, if it is a copy of one or stands in for one.
    pub drift: Option<Drift>,
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
        let mut kept = Vec::new();
        for (name, text) in BUILT_IN {
            let built_in = Entry::read(Source::new(format!("built-in:{name}"), *text), false);
            kept.push(built_in.runbook.clone());
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
        Library {
            entries,
            built_in: kept,
        }
    }

    /// All runbooks, by platform and id.
    pub fn list(&self) -> impl Iterator<Item = Listed<'_>> {
        self.entries.iter().map(|entry| Listed {
            runbook: &entry.runbook,
            local: entry.local,
            replaces: entry.replaces,
            drift: self
                .copied(entry)
                .map(|built_in| drift(&entry.runbook, built_in)),
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
        findings.extend(super::calls::lint(&entry.runbook, self));
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
        findings.extend(super::calls::lint(&entry.runbook, self));
        findings.extend(self.left_behind(entry));
        findings.sort_by_key(|d| (d.span.start, d.severity));
        Ok(findings)
    }

    /// The built-in runbook of this id, whatever stands in for it.
    pub fn built_in(&self, id: &str) -> Result<&Runbook> {
        let found = self.built_in.iter().find(|b| {
            b.id == id || id.split_once('/') == Some((b.platform.as_str(), b.id.as_str()))
        });
        found.ok_or_else(|| {
            let error = Error::new(&UNKNOWN, format!("no runbook `{id}` is built in"));
            let ids = self.built_in.iter().map(|b| b.id.as_str());
            match expr::nearest(id, ids) {
                Some(near) => error.hint(format!("Did you mean `{near}`?")),
                None => error.hint("`summitctl runbook list` shows which are."),
            }
        })
    }

    /// The built-in text that the runbook of this id is a copy of, or stands in for, and how they differ.
    pub fn drift(&self, id: &str) -> Result<Option<(Drift, &Runbook)>> {
        let entry = self.entry(id)?;
        let copied = self.copied(entry);
        Ok(copied.map(|built_in| (drift(&entry.runbook, built_in), built_in)))
    }

    fn copied(&self, entry: &Entry) -> Option<&Runbook> {
        if !entry.local {
            return None;
        }
        let id = match &entry.runbook.based_on {
            Some(base) => &base.id,
            None if entry.replaces => &entry.runbook.id,
            None => return None,
        };
        self.built_in.iter().find(|b| b.id == *id)
    }

    /// A copy that the built-in text has left behind.
    fn left_behind(&self, entry: &Entry) -> Option<Diagnostic> {
        let runbook = &entry.runbook;
        let mut findings = Findings::new(runbook.source());
        let built_in = self.copied(entry);
        let span = runbook
            .marks
            .front
            .map_or(Span::new(0, 1), |f| Span::new(f.start, f.start + 3));
        let Some(built_in) = built_in else {
            let base = runbook.based_on.as_ref().filter(|_| entry.local)?;
            findings.warn(
                "drift",
                span,
                format!("`based-on` names `{}`, which is not built in", base.id),
                did_you_mean(&base.id, self.built_in.iter().map(|b| b.id.as_str())),
            );
            return findings.list.pop();
        };
        let state = drift(runbook, built_in);
        let (diff, now) = (
            format!("`summitctl runbook diff {}`", runbook.id),
            format!("`based-on: {}@{}`", built_in.id, built_in.digest()),
        );
        let suggestion = match state {
            Drift::Same | Drift::Edited => return None,
            Drift::Outdated => format!(
                "See what changed with {diff}; copy it anew with `summitctl runbook new {} --from {}`.",
                runbook.id, built_in.id
            ),
            Drift::Diverged => {
                format!("See both with {diff}; take over what you need, then write {now}.")
            }
            Drift::Unknown => format!("See how with {diff}; then write {now}."),
        };
        findings.warn(
            "drift",
            span,
            format!("this copy {}", state.words()),
            Some(suggestion),
        );
        findings.list.pop()
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
