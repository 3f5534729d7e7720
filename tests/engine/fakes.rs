//! A world of named cells, and steps that write, read and remove them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use summitctl::consent::{Consent, Effect, Flags, Nobody, Request, Tier, obtain};
use summitctl::engine::executor::{Executor, RunReport};
use summitctl::engine::journal::CrashPoint;
use summitctl::engine::lease::NoLease;
use summitctl::engine::plan::{Plan, Spec, StepSpec};
use summitctl::engine::planner::Planner;
use summitctl::engine::registry::Registry;
use summitctl::engine::runs::Runs;
use summitctl::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Grant, Look, Observed, ReadCx, Step, Undo,
};
use summitctl::error::{Error, Result};
use summitctl::event::Events;
use summitctl::wait::Cancel;

/// The outside world: survives crashes of the engine.
#[derive(Default)]
pub struct World {
    pub cells: Mutex<BTreeMap<String, String>>,
    /// How many times each effect was really made.
    pub effects: Mutex<Vec<String>>,
    /// Cells whose next write fails after half of it was done.
    pub fail_once: Mutex<Vec<String>>,
}

impl World {
    pub fn get(&self, key: &str) -> Option<String> {
        self.cells.lock().unwrap().get(key).cloned()
    }
    pub fn set(&self, key: &str, value: &str) {
        self.cells.lock().unwrap().insert(key.into(), value.into());
    }
    pub fn all(&self) -> BTreeMap<String, String> {
        self.cells.lock().unwrap().clone()
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutArgs {
    pub cell: String,
    pub value: String,
    #[serde(default)]
    pub destroy: bool,
}

#[derive(Serialize, Deserialize)]
pub struct PutChange {
    cell: String,
    value: String,
    before: Option<String>,
}

pub struct Put;

#[async_trait]
impl Step<World> for Put {
    const KIND: &'static str = "cell.put";
    const SUMMARY: &'static str = "Writes a cell";
    const MOST: Effect = Effect::Destroy;
    type Args = PutArgs;
    type Change = PutChange;

    fn effect(&self, args: &PutArgs) -> Effect {
        if args.destroy {
            Effect::Destroy
        } else {
            Effect::Change
        }
    }
    fn title(&self, args: &PutArgs) -> String {
        format!("write `{}`", args.cell)
    }
    async fn plan(&self, cx: &ReadCx<'_, World>, args: &PutArgs) -> Result<Decision<PutChange>> {
        let before = cx.world.get(&args.cell);
        if before.as_deref() == Some("locked") {
            return Ok(Decision::Blocked(Blocked {
                reason: "the cell is locked".into(),
                hint: "Unlock it.".into(),
            }));
        }
        if before.as_ref() == Some(&args.value) {
            return Ok(Decision::Done(Observed::of(json!({"value": args.value}))));
        }
        // A half-written cell is our own doing and no fact of the world.
        let seen = before.clone().filter(|b| !b.ends_with('~'));
        let decisive = Facts::from_iter([("before".to_owned(), json!(seen))]);
        let change = PutChange {
            cell: args.cell.clone(),
            value: args.value.clone(),
            before,
        };
        Ok(Decision::Change {
            change,
            decisive,
            shown: Facts::new(),
        })
    }
    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &PutChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        cx.world.set(&change.cell, &format!("{}~", change.value));
        let mut fail = cx.world.fail_once.lock().unwrap();
        if let Some(at) = fail.iter().position(|f| *f == change.cell) {
            fail.remove(at);
            return Err(Error::input(format!("cell `{}` broke", change.cell)));
        }
        drop(fail);
        cx.world.set(&change.cell, &change.value);
        cx.world.effects.lock().unwrap().push(change.cell.clone());
        Ok(())
    }
    async fn verify(&self, cx: &ReadCx<'_, World>, change: &PutChange) -> Result<Observed> {
        match cx.world.get(&change.cell) {
            Some(value) if value == change.value => Ok(Observed::of(json!({"value": value}))),
            other => Err(Error::input(format!("cell `{}` is {other:?}", change.cell))),
        }
    }
    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &PutChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        match &change.before {
            Some(before) => cx.world.set(&change.cell, before),
            None => drop(cx.world.cells.lock().unwrap().remove(&change.cell)),
        }
        Ok(Undo::Done(Observed::of(json!({"before": change.before}))))
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct GetArgs {
    pub cell: String,
}

pub struct Get;

#[async_trait]
impl Look<World> for Get {
    const KIND: &'static str = "cell.get";
    const SUMMARY: &'static str = "Reads a cell";
    type Args = GetArgs;
    fn title(&self, args: &GetArgs) -> String {
        format!("read `{}`", args.cell)
    }
    async fn look(&self, cx: &ReadCx<'_, World>, args: &GetArgs) -> Result<Observed> {
        Ok(Observed::of(json!({"value": cx.world.get(&args.cell)})))
    }
}

pub fn registry() -> Registry<World> {
    Registry::default().with(Put).with_look(Get)
}

pub fn put(id: &str, cell: &str, value: &str, needs: &[&str]) -> StepSpec {
    StepSpec::new(id, "cell.put", json!({"cell": cell, "value": value}), needs)
}

pub fn spec(steps: Vec<StepSpec>) -> Spec {
    Spec {
        operation: "test".into(),
        title: "a test".into(),
        context: "fake".into(),
        tier: Tier::Development,
        identities: Vec::new(),
        params: json!({"word": "hello"}),
        steps,
        documents: Vec::new(),
    }
}

pub async fn plan(world: &World, steps: Vec<StepSpec>) -> Result<Plan> {
    let registry = registry();
    let planner = Planner {
        registry: &registry,
        world,
        events: Events::silent(),
        cancel: Cancel::new(),
    };
    planner.plan(spec(steps), "20261121T030405Z-0000").await
}

pub fn consent(plan: &Plan) -> Consent {
    let digest = plan.digest();
    let request = Request {
        effect: plan.effect(),
        context: &plan.context,
        tier: plan.tier,
        plan_digest: &digest,
        command: "summitctl test",
    };
    let flags = Flags {
        yes: true,
        confirm: Some("fake".into()),
        ..Flags::default()
    };
    obtain(&request, &flags, &mut Nobody).unwrap()
}

pub async fn start(
    world: &World,
    plan: &Plan,
    dir: &Path,
    crash: Option<CrashPoint>,
    jobs: usize,
) -> Result<RunReport> {
    let registry = registry();
    let executor = Executor {
        registry: &registry,
        world,
        events: Events::silent(),
        cancel: Cancel::new(),
        jobs,
        witness: None,
    };
    let run = "20261121T030405Z-0000";
    let journal = Runs::at(dir).create(run, crash)?;
    executor
        .start(plan, run, &consent(plan), &NoLease, journal)
        .await
}

pub async fn resume(world: &World, dir: &Path, crash: Option<CrashPoint>) -> Result<RunReport> {
    let registry = registry();
    let executor = Executor {
        registry: &registry,
        world,
        events: Events::silent(),
        cancel: Cancel::new(),
        jobs: 1,
        witness: None,
    };
    let (journal, state, _) = Runs::at(dir).reopen("20261121T030405Z-0000", crash)?;
    executor
        .resume(&state, &consent(&state.plan), &NoLease, journal)
        .await
}

pub async fn abort(world: &World, dir: &Path) -> Result<RunReport> {
    let registry = registry();
    let executor = Executor {
        registry: &registry,
        world,
        events: Events::silent(),
        cancel: Cancel::new(),
        jobs: 1,
        witness: None,
    };
    let (journal, state, _) = Runs::at(dir).reopen("20261121T030405Z-0000", None)?;
    executor
        .abort(&state, &consent(&state.plan), &NoLease, journal)
        .await
}

pub fn value(report: &RunReport, step: &str) -> Value {
    report.observed(step).unwrap()["value"].clone()
}

/// A folder of its own that goes away with the test.
pub struct TempDir(pub std::path::PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        let mut bytes = [0_u8; 6];
        getrandom::fill(&mut bytes).unwrap();
        let tag: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let dir = std::env::temp_dir().join(format!("summitctl-test-{name}-{tag}"));
        std::fs::create_dir_all(&dir).unwrap();
        TempDir(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
