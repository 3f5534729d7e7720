//! Whether a target is the pinned one, and what is to be done where it is not.

use super::{NOT_PINNED, WRONG_TARGET, World};
use crate::config::pins::PinState;
use crate::engine::runs::Runs;
use crate::error::{Error, Result};
use crate::identity::{Difference, Identity, MARKER, Store};

impl World {
    /// Compares a target with its pin; an unpinned one is an error here.
    pub async fn require_pinned(&self, store: Store) -> Result<Identity> {
        let seen = self.identify(store).await?;
        match self.pins()?.compare(&seen) {
            PinState::Same => Ok(seen),
            PinState::Unpinned => Err(Error::new(
                &NOT_PINNED,
                format!(
                    "the {store} target of context `{}` is not pinned",
                    self.context
                ),
            )
            .hint(format!(
                "Pin it with `summitctl context pin --context {}`.",
                self.context
            ))),
            PinState::Different(differences) => Err(self.wrong_target(store, &differences)),
        }
    }

    /// The same for a target whose contents are being replaced: half a replacement may have taken the marker with it, and
    /// a place without one holds nothing that was pinned. Any other difference is refused.
    pub async fn require_place(&self, store: Store) -> Result<()> {
        let seen = self.identify(store).await?;
        match self.pins()?.compare(&seen) {
            PinState::Different(differences)
                if differences
                    .iter()
                    .any(|d| d.fact != MARKER || d.seen.is_some()) =>
            {
                Err(self.wrong_target(store, &differences))
            }
            PinState::Same | PinState::Different(_) => Ok(()),
            PinState::Unpinned => self.require_pinned(store).await.map(drop),
        }
    }

    /// The error for a target that is not the pinned one.
    pub fn wrong_target(&self, store: Store, differences: &[Difference]) -> Error {
        let shown: Vec<String> = differences
            .iter()
            .map(|d| {
                let word = |v: &Option<String>| {
                    v.as_ref().map_or("absent".to_owned(), |v| format!("`{v}`"))
                };
                format!(
                    "{} was {} and is {}",
                    d.fact,
                    word(&d.pinned),
                    word(&d.seen)
                )
            })
            .collect();
        let context = &self.context;
        let restores = |operation: &str| operation.starts_with("restore");
        let hint = match self.state.runs().cut_off(context, restores) {
            // Half a restore has taken the place of what was pinned.
            Ok(Some(run)) => format!(
                "Restore `{run}` was cut off: {}.",
                Runs::way_on(&run, context)
            ),
            _ => format!(
                "Find out why. If it is right after all, record it with `summitctl context pin --replace --context {context}`."
            ),
        };
        Error::new(
            &WRONG_TARGET,
            format!("the {store} target of context `{context}` is not the pinned one"),
        )
        .caused_by(shown.join("; "))
        .hint(hint)
    }
}
