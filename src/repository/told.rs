//! What a prune is told of each backup: by its own place, and for a copy by the repository as well.

use std::collections::HashMap;

use super::catalog::Backup;
use super::names::BackupId;
use super::retention::Candidate;
use super::{Level, REMOVED};
use crate::error::Report;

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
