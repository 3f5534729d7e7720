//! What a step is: the trait that each file in `steps/` implements once.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::consent::{Consent, Effect};
use crate::error::Result;
use crate::event::Events;
use crate::wait::Cancel;

use super::lease::Lease;
use super::plan::Forecast;

/// Named facts; values are small and never secret.
pub type Facts = Map<String, Value>;

/// What a step saw: its output, which later steps may refer to as `steps.<id>.out`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Observed(pub Facts);

impl Observed {
    /// An observation made of a serialisable value; anything but an object is put under `value`.
    pub fn of(value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(Value::Object(facts)) => Observed(facts),
            Ok(other) => Observed(Map::from_iter([("value".to_owned(), other)])),
            Err(e) => Observed(Map::from_iter([(
                "unserialisable".to_owned(),
                Value::String(e.to_string()),
            )])),
        }
    }
}

/// What a step wants to do, having looked at the world.
#[derive(Debug, Clone)]
pub enum Decision<C> {
    /// The world is already as it should be; a read step's only answer.
    Done(Observed),
    /// A change is needed.
    Change {
        /// Everything `apply`, `verify` and `undo` need; journalled before the effect, so never secret.
        change: C,
        /// Facts that consent rests on: if one differs when the step's turn comes, the run stops.
        decisive: Facts,
        /// Facts that are only shown: sizes, times, estimates.
        shown: Facts,
    },
    /// It cannot be done, and why.
    Blocked(Blocked),
}

/// Why a step cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// What stands in the way: a lower-case fragment.
    pub reason: String,
    /// What to do about it: a full sentence with the command to run.
    pub hint: String,
}

/// What is known now of a step that can only be decided after an earlier one has acted.
#[derive(Debug, Clone, Default)]
pub struct Foresight {
    /// Facts that decide already now.
    pub decisive: Facts,
    /// Facts that are only shown.
    pub shown: Facts,
}

/// What became of an undo.
#[derive(Debug, Clone, PartialEq)]
pub enum Undo {
    /// The effect was taken back, and this was seen.
    Done(Observed),
    /// There was nothing to take back.
    Nothing,
    /// It stays, as it should; the text says why.
    Kept(String),
    /// It cannot be taken back; the text says why and what to do.
    Impossible(String),
}

/// The view of a step that only looks.
pub struct ReadCx<'a, W> {
    /// What the steps work on.
    pub world: &'a W,
    /// Where to report progress and notes; already names the step.
    pub events: Events,
    /// Whether somebody wants the run to stop.
    pub cancel: Cancel,
    /// The run's id; `plan` for a preview.
    pub run: &'a str,
    /// The step's id in its plan.
    pub step: &'a str,
    /// What the plan said of it, once it runs: a step whose world goes on changing by itself keeps to what was consented to.
    pub planned: Option<&'a Forecast>,
}

/// The view of a step that acts. Only the executor makes one.
pub struct ApplyCx<'a, W> {
    pub(super) read: ReadCx<'a, W>,
}

impl<'a, W> std::ops::Deref for ApplyCx<'a, W> {
    type Target = ReadCx<'a, W>;
    fn deref(&self) -> &Self::Target {
        &self.read
    }
}

/// Names an effect across crashes: the same run and step always give the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

/// The right to one effect: consent to the plan, the lease on its targets, and the key under which it is journalled.
pub struct Grant<'a> {
    pub(super) consent: &'a Consent,
    pub(super) lease: &'a dyn Lease,
    pub(super) key: IdempotencyKey,
}

impl Grant<'_> {
    /// The consent this effect rests on.
    pub fn consent(&self) -> &Consent {
        self.consent
    }
    /// The key of this effect.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }
    /// Fails if the lease was lost. Long steps call it before each of their own effects.
    pub async fn still_held(&self) -> Result<()> {
        self.lease.check().await
    }
}

/// One kind of step: one file in `steps/`, one line in the registry.
#[async_trait]
pub trait Step<W: Send + Sync>: Send + Sync + 'static {
    /// Its name in runbooks and journals, such as `backup.capture`.
    const KIND: &'static str;
    /// What it does, in one line, for `explain` and the runbook reference.
    const SUMMARY: &'static str;
    /// The strongest effect it may have, whatever its arguments.
    const MOST: Effect = Effect::Change;
    /// What a runbook writes under `with:`.
    type Args: DeserializeOwned + Serialize + JsonSchema + Send + Sync;
    /// What `plan` decided; survives a crash in the journal.
    type Change: Serialize + DeserializeOwned + Send + Sync;

    /// What it may do to the world, given its arguments.
    fn effect(&self, args: &Self::Args) -> Effect;

    /// A few words for the plan and the progress line.
    fn title(&self, args: &Self::Args) -> String;

    /// Looks at the world and decides.
    async fn plan(&self, cx: &ReadCx<'_, W>, args: &Self::Args) -> Result<Decision<Self::Change>>;

    /// Says what is known before earlier steps have acted.
    async fn foresee(&self, _cx: &ReadCx<'_, W>, _args: &Self::Args) -> Result<Foresight> {
        Ok(Foresight::default())
    }

    /// Makes the change. Must be safe to repeat after a crash anywhere inside it.
    async fn apply(
        &self,
        cx: &ApplyCx<'_, W>,
        change: &Self::Change,
        grant: Grant<'_>,
    ) -> Result<()>;

    /// Looks again and believes nothing: an error means that the change is not in effect.
    async fn verify(&self, cx: &ReadCx<'_, W>, change: &Self::Change) -> Result<Observed>;

    /// Takes the change back, as far as it was made.
    async fn undo(
        &self,
        _cx: &ApplyCx<'_, W>,
        _change: &Self::Change,
        _grant: Grant<'_>,
    ) -> Result<Undo> {
        Ok(Undo::Impossible(format!("`{}` has no undo", Self::KIND)))
    }
}

/// A read step: it looks and reports, and has nothing to apply.
#[async_trait]
pub trait Look<W: Send + Sync>: Send + Sync + 'static {
    /// Its name in runbooks and journals.
    const KIND: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// What a runbook writes under `with:`.
    type Args: DeserializeOwned + Serialize + JsonSchema + Send + Sync;

    /// A few words for the plan and the progress line.
    fn title(&self, args: &Self::Args) -> String;

    /// Looks, and reports what it saw. An error means that it could not look, or that what it saw is a failure.
    async fn look(&self, cx: &ReadCx<'_, W>, args: &Self::Args) -> Result<Observed>;
}
