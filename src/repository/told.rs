//! What a prune is told of each backup: by its own place, and for a copy by the repository as well.

use std::collections::HashMap;

use super::catalog::Backup;
use super::names::BackupId;
use super::retention::{Candidate, Fate, Rules, judge};
use super::{Level, REMOVED, Repository};
use crate::error::{Report, Result};
use crate::identity::Store as Kind;
use crate::time::Instant;

/// Who tells which backups were restored and compared.
pub(super) enum Told {
    /// The place itself.
    Here,
    /// The repository that it is a copy of as well, by its backups.
    There(HashMap<BackupId, Backup>),
    /// The repository should, and cannot be asked.
    Nothing(Report),
}

impl Told {
    /// Whether the backup was restored and compared, and nothing failed since; or why nobody can tell.
    fn restored(&self, backup: &Backup) -> std::result::Result<bool, String> {
        let proved = |b: &Backup| {
            let level = b.verified_level().map(|r| r.level);
            level.is_some_and(|level| level >= Level::Restored)
        };
        let unasked = "its repository cannot be asked whether it was restored";
        match self {
            Told::Here => Ok(proved(backup)),
            Told::Nothing(_) => Err(unasked.to_owned()),
            Told::There(backups) => match backups.get(&backup.id) {
                Some(there) => match &there.problem {
                    Some(problem) if problem.reason != REMOVED.code => {
                        Err(format!("{unasked}: {}", problem.message))
                    }
                    _ => Ok(proved(&backup.with_restores_of(there))),
                },
                None => Ok(proved(backup)),
            },
        }
    }
}

impl Repository {
    /// What these rules would make now of a backup that is about to be made, of the moment that its id says.
    pub async fn fate_of_new(
        &self,
        new: &BackupId,
        stores: &[Kind],
        context: &str,
        safety: &str,
        rules: &Rules,
    ) -> Result<Fate> {
        let listed = self.list().await?;
        let others = listed.iter().filter(|b| b.id != *new);
        let mut all: Vec<Candidate> = others
            .map(|b| candidate(b, &Told::Here, safety, false))
            .collect();
        let at = all.partition_point(|c| c.id < *new);
        let made = Candidate {
            id: new.clone(),
            context: Some(context.to_owned()),
            stores: stores.iter().copied().collect(),
            safety: false,
            problem: None,
            held: None,
            restored: false,
            unasked: None,
            removed: false,
        };
        all.insert(at, made);
        let mut fates = judge(&all, context, rules, Instant::now());
        Ok(fates.swap_remove(at))
    }
}

pub(super) fn candidate(backup: &Backup, told: &Told, safety: &str, removed: bool) -> Candidate {
    let contents = backup.contents.as_ref();
    let held = backup.held.as_ref().map(|hold| match &hold.reason {
        Some(reason) => format!("held: {reason}"),
        None => format!("held since {}", hold.since.human()),
    });
    let restored = told.restored(backup);
    Candidate {
        id: backup.id.clone(),
        context: contents.map(|c| c.context.clone()),
        stores: contents
            .map(|c| c.stores.iter().map(|s| s.captured.store).collect())
            .unwrap_or_default(),
        safety: contents.is_some_and(|c| c.labels.iter().any(|l| l == safety)),
        problem: backup.problem.as_ref().map(|p| p.message.clone()),
        held,
        restored: restored == Ok(true),
        unasked: restored.err().or_else(|| {
            let lost = backup.lost.first();
            lost.map(|lost| {
                format!("nobody can tell whether it was restored: storage forgot {lost}")
            })
        }),
        removed: removed
            && backup
                .problem
                .as_ref()
                .is_some_and(|p| p.reason == REMOVED.code),
    }
}
