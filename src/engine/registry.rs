//! The registry of step kinds: typed steps are erased here, once, into functions over JSON.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use async_trait::async_trait;
use serde_json::Value;

use crate::consent::Effect;
use crate::error::{Error, Result};
use crate::runbook::{KindInfo, StepCatalog};

use super::step::{ApplyCx, Decision, Foresight, Grant, Look, Observed, ReadCx, Step, Undo};

/// A step whose arguments and change are JSON.
#[async_trait]
pub trait ErasedStep<W: Send + Sync>: Send + Sync {
    /// See [`Step::KIND`].
    fn kind(&self) -> &'static str;
    /// See [`Step::SUMMARY`].
    fn summary(&self) -> &'static str;
    /// The JSON schema of its arguments.
    fn args_schema(&self) -> Value;
    /// Whether the arguments fit, without looking at the world.
    fn check_args(&self, args: &Value) -> Result<()>;
    /// The strongest effect it may have, whatever its arguments.
    fn most(&self) -> Effect;
    /// Whether it may change anything.
    fn may_change(&self) -> bool {
        self.most() > Effect::Read
    }
    /// See [`Step::effect`].
    fn effect(&self, args: &Value) -> Result<Effect>;
    /// See [`Step::title`].
    fn title(&self, args: &Value) -> Result<String>;
    /// See [`Step::plan`].
    async fn plan(&self, cx: &ReadCx<'_, W>, args: &Value) -> Result<Decision<Value>>;
    /// See [`Step::foresee`].
    async fn foresee(&self, cx: &ReadCx<'_, W>, args: &Value) -> Result<Foresight>;
    /// See [`Step::apply`].
    async fn apply(&self, cx: &ApplyCx<'_, W>, change: &Value, grant: Grant<'_>) -> Result<()>;
    /// See [`Step::verify`].
    async fn verify(&self, cx: &ReadCx<'_, W>, change: &Value) -> Result<Observed>;
    /// See [`Step::undo`].
    async fn undo(&self, cx: &ApplyCx<'_, W>, change: &Value, grant: Grant<'_>) -> Result<Undo>;
}

struct Typed<S>(S);

fn args_of<T: serde::de::DeserializeOwned>(kind: &str, args: &Value) -> Result<T> {
    let args = if args.is_null() {
        Value::Object(Default::default())
    } else {
        args.clone()
    };
    serde_json::from_value(args).map_err(|e| {
        Error::input(format!("the arguments of step kind `{kind}` do not fit"))
            .caused_by(e)
            .hint(format!(
                "See its arguments with `summitctl explain {kind}`."
            ))
    })
}

fn change_of<T: serde::de::DeserializeOwned>(kind: &str, change: &Value) -> Result<T> {
    serde_json::from_value(change.clone()).map_err(|e| {
        Error::input(format!(
            "the journal holds a change that this version of `{kind}` does not understand"
        ))
        .caused_by(e)
        .hint("Resume it with the version of summitctl that started it.")
    })
}

#[async_trait]
impl<W: Send + Sync + 'static, S: Step<W>> ErasedStep<W> for Typed<S> {
    fn kind(&self) -> &'static str {
        S::KIND
    }
    fn summary(&self) -> &'static str {
        S::SUMMARY
    }
    fn args_schema(&self) -> Value {
        schemars::schema_for!(S::Args).to_value()
    }
    fn check_args(&self, args: &Value) -> Result<()> {
        args_of::<S::Args>(S::KIND, args).map(drop)
    }
    fn most(&self) -> Effect {
        S::MOST
    }
    fn effect(&self, args: &Value) -> Result<Effect> {
        Ok(self.0.effect(&args_of(S::KIND, args)?))
    }
    fn title(&self, args: &Value) -> Result<String> {
        Ok(self.0.title(&args_of(S::KIND, args)?))
    }
    async fn plan(&self, cx: &ReadCx<'_, W>, args: &Value) -> Result<Decision<Value>> {
        let args: S::Args = args_of(S::KIND, args)?;
        Ok(match self.0.plan(cx, &args).await? {
            Decision::Done(observed) => Decision::Done(observed),
            Decision::Blocked(blocked) => Decision::Blocked(blocked),
            Decision::Change {
                change,
                decisive,
                shown,
            } => {
                let change = serde_json::to_value(&change).map_err(|e| {
                    Error::bug(format!("the change of `{}` does not serialise", S::KIND))
                        .caused_by(e)
                })?;
                Decision::Change {
                    change,
                    decisive,
                    shown,
                }
            }
        })
    }
    async fn foresee(&self, cx: &ReadCx<'_, W>, args: &Value) -> Result<Foresight> {
        let args: S::Args = args_of(S::KIND, args)?;
        self.0.foresee(cx, &args).await
    }
    async fn apply(&self, cx: &ApplyCx<'_, W>, change: &Value, grant: Grant<'_>) -> Result<()> {
        let change: S::Change = change_of(S::KIND, change)?;
        self.0.apply(cx, &change, grant).await
    }
    async fn verify(&self, cx: &ReadCx<'_, W>, change: &Value) -> Result<Observed> {
        let change: S::Change = change_of(S::KIND, change)?;
        self.0.verify(cx, &change).await
    }
    async fn undo(&self, cx: &ApplyCx<'_, W>, change: &Value, grant: Grant<'_>) -> Result<Undo> {
        let change: S::Change = change_of(S::KIND, change)?;
        self.0.undo(cx, &change, grant).await
    }
}

struct Looking<L>(L);

#[async_trait]
impl<W: Send + Sync + 'static, L: Look<W>> ErasedStep<W> for Looking<L> {
    fn kind(&self) -> &'static str {
        L::KIND
    }
    fn summary(&self) -> &'static str {
        L::SUMMARY
    }
    fn args_schema(&self) -> Value {
        schemars::schema_for!(L::Args).to_value()
    }
    fn check_args(&self, args: &Value) -> Result<()> {
        args_of::<L::Args>(L::KIND, args).map(drop)
    }
    fn most(&self) -> Effect {
        Effect::Read
    }
    fn effect(&self, _: &Value) -> Result<Effect> {
        Ok(Effect::Read)
    }
    fn title(&self, args: &Value) -> Result<String> {
        Ok(self.0.title(&args_of(L::KIND, args)?))
    }
    async fn plan(&self, cx: &ReadCx<'_, W>, args: &Value) -> Result<Decision<Value>> {
        let args: L::Args = args_of(L::KIND, args)?;
        self.0.look(cx, &args).await.map(Decision::Done)
    }
    async fn foresee(&self, _: &ReadCx<'_, W>, _: &Value) -> Result<Foresight> {
        Ok(Foresight::default())
    }
    async fn apply(&self, _: &ApplyCx<'_, W>, _: &Value, _: Grant<'_>) -> Result<()> {
        Err(Error::bug(format!(
            "read step `{}` was asked to act",
            L::KIND
        )))
    }
    async fn verify(&self, _: &ReadCx<'_, W>, _: &Value) -> Result<Observed> {
        Err(Error::bug(format!(
            "read step `{}` has nothing to verify",
            L::KIND
        )))
    }
    async fn undo(&self, _: &ApplyCx<'_, W>, _: &Value, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Nothing)
    }
}

impl<W: Send + Sync + 'static> StepCatalog for Registry<W> {
    fn kinds(&self) -> Vec<KindInfo> {
        self.all()
            .map(|step| KindInfo {
                kind: step.kind().to_owned(),
                title: step.summary().to_owned(),
                effect: step.most(),
                args_schema: step.args_schema(),
            })
            .collect()
    }
}

/// Every step kind by name.
pub struct Registry<W> {
    kinds: BTreeMap<&'static str, Box<dyn ErasedStep<W>>>,
    world: PhantomData<W>,
}

impl<W: Send + Sync + 'static> Default for Registry<W> {
    fn default() -> Self {
        Registry {
            kinds: BTreeMap::new(),
            world: PhantomData,
        }
    }
}

impl<W: Send + Sync + 'static> Registry<W> {
    /// Adds a kind that may change the world.
    pub fn with<S: Step<W>>(mut self, step: S) -> Self {
        self.kinds.insert(S::KIND, Box::new(Typed(step)));
        self
    }

    /// Adds a kind that only looks.
    pub fn with_look<L: Look<W>>(mut self, look: L) -> Self {
        self.kinds.insert(L::KIND, Box::new(Looking(look)));
        self
    }

    /// The step of this kind; the error suggests the nearest name.
    pub fn get(&self, kind: &str) -> Result<&dyn ErasedStep<W>> {
        self.kinds.get(kind).map(AsRef::as_ref).ok_or_else(|| {
            let error = Error::new(
                &crate::error::NOT_FOUND,
                format!("there is no step kind `{kind}`"),
            );
            let nearest = self.kinds.keys().max_by(|a, b| {
                strsim::jaro_winkler(kind, a).total_cmp(&strsim::jaro_winkler(kind, b))
            });
            match nearest {
                Some(name) if strsim::jaro_winkler(kind, name) > 0.75 => {
                    error.hint(format!("Did you mean `{name}`?"))
                }
                _ => error.hint("List the kinds with `summitctl explain steps`."),
            }
        })
    }

    /// All kinds in name order.
    pub fn all(&self) -> impl Iterator<Item = &dyn ErasedStep<W>> {
        self.kinds.values().map(AsRef::as_ref)
    }
}
