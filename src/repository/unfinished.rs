//! Captures that wait for a backup which nobody finished: how long they stay, and who may discard them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::collect::{PRUNE, Pruned, Unfinished, id_of};
use super::names::{BACKUPS, BackupId};
use super::retention::Fate;
use super::store::Entry;
use super::{LOCKED, Repository};
use crate::error::{Error, Result};
use crate::time::{Instant, Span};

/// What a run that nobody finished has staged stays this long, so that it can be resumed.
pub const UNFINISHED_STAYS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Repository {
    /// What is staged and not published.
    pub(super) async fn unfinished(&self, now: Instant) -> Result<Vec<Unfinished>> {
        let holders = self.holders().await?;
        let mut staged: BTreeMap<BackupId, bool> = BTreeMap::new();
        let everything = self.store.list(BACKUPS).await?;
        for entry in &everything {
            let Some((id, rest)) = id_of(&entry.name) else {
                continue;
            };
            let published = staged.entry(id).or_insert(false);
            *published |= rest == "manifest.json";
        }
        let mut all = Vec::new();
        for (id, _) in staged.into_iter().rev().filter(|(_, published)| !published) {
            let staging = id.staging();
            let staged = everything.iter().filter(|e| e.name.starts_with(&staging));
            let Some(newest) = last_stored(&id, staged) else {
                continue;
            };
            let worker = holders.iter().find(|h| h.works_on(&id));
            let fate = if let Some(worker) = worker {
                Fate::Stays(vec![format!("in work: {}", worker.describe())])
            } else if now.since(newest) < UNFINISHED_STAYS {
                let stays = Span(UNFINISHED_STAYS);
                Fate::Stays(vec![format!("unfinished, and younger than {stays}")])
            } else {
                let days = Span(UNFINISHED_STAYS);
                Fate::Goes(format!("nobody finished it in {days}"))
            };
            all.push(Unfinished { backup: id, fate });
        }
        Ok(all)
    }

    /// Discards what nobody finished, unless somebody went on with it since. Whoever comes later sees our lock, and waits:
    /// see [`Repository::keep_from_prunes`].
    pub(super) async fn remove_unfinished(
        &self,
        id: &BackupId,
        pruned: &mut Pruned,
    ) -> Result<bool> {
        let holders = self.holders().await?;
        if let Some(worker) = holders.iter().find(|h| h.works_on(id)) {
            let line = format!("`{id}` is in work again: {}", worker.describe());
            pruned.resumed.push(line);
            return Ok(false);
        }
        if self.store.head(&id.manifest()).await?.is_some() {
            pruned
                .resumed
                .push(format!("`{id}` was finished meanwhile"));
            return Ok(false);
        }
        let there = !self.store.list(&id.staging()).await?.is_empty();
        self.discard(id).await?;
        Ok(there)
    }

    /// Refuses to go on with captures that a prune under way may have judged to be nobody's; the caller's lock is there
    /// already. A prune that takes its lock later sees the caller's.
    pub(super) async fn keep_from_prunes(&self, id: &BackupId) -> Result<()> {
        let staged = self.store.list(&id.staging()).await?;
        let Some(newest) = last_stored(id, &staged) else {
            return Ok(());
        };
        // Two machines' clocks may differ by less than this.
        let surely_young = UNFINISHED_STAYS - Duration::from_secs(24 * 60 * 60);
        if Instant::now().since(newest) < surely_young {
            return Ok(());
        }
        let holders = self.holders().await?;
        let Some(prune) = holders.iter().find(|h| h.purpose == PRUNE) else {
            return Ok(());
        };
        Err(Error::new(
            &LOCKED,
            format!(
                "the captures of `{id}` are old enough to be discarded, and a prune is under way: {}",
                prune.describe()
            ),
        )
        .hint("Once it has ended, go on with `summitctl run resume`; if the captures are gone then, end the run with `summitctl run abort` and back up again."))
    }
}

/// When the newest of these was stored; `None` if there is none. A backup's id says when its data is of, which for an imported
/// dump is long before anybody worked on it.
fn last_stored<'e>(id: &BackupId, staged: impl IntoIterator<Item = &'e Entry>) -> Option<Instant> {
    let moments = staged.into_iter().map(|e| e.stored.unwrap_or(id.moment()));
    moments.max()
}
