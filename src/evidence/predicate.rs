//! What the two kinds of record say: the start, durable before a run changes anything, and the closing, which
//! says how it went. Their JSON schemas are generated from these types and published under `docs/schemas/`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Digest, Facts, Name, Quantity, Seen, Text};
use crate::consent::{Consent, Effect, How, Tier};
use crate::error::Error;
use crate::event::{Outcome, StepEnd};
use crate::identity::{Identity, Store};
use crate::sign::KeyId;
use crate::time::Instant;

/// The version both predicates carry.
pub const VERSION: u32 = 1;

/// The predicate of a start record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Start {
    /// The format's version: 1.
    pub version: u32,
    /// What the caller says about the run.
    #[serde(flatten)]
    pub facts: StartFacts,
    /// The program that made the record.
    pub tool: Tool,
    /// The machine it ran on.
    pub host: Host,
    /// Where the record stands in its signer's log.
    pub log: Position,
}

/// What a caller says when a run starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StartFacts {
    /// The run's id: letters, digits, `.`, `_` and `-`; unique within the evidence directory.
    pub run: Name,
    /// What is done, such as `backup`, `drill`, `gate`, `smoke`, `restore` or `golden-path`.
    pub operation: Name,
    /// What it does, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// The context's name.
    pub context: Name,
    /// The context's tier.
    pub tier: Tier,
    /// The platform the context belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Name>,
    /// The digest of the plan that is executed. Absent where an operation has no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Digest>,
    /// What the targets are, by the name the context gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identities: BTreeMap<Name, IdentityFacts>,
    /// Who agreed to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentFact>,
    /// When the run began.
    pub started: Instant,
    /// The operation's own facts, as typed data: policy, parameters, what is asked for.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub observations: Facts,
}

impl StartFacts {
    /// The facts every run has; fill in the others.
    pub fn new(
        run: impl Into<Name>,
        operation: impl Into<Name>,
        context: impl Into<Name>,
        tier: Tier,
    ) -> Self {
        StartFacts {
            run: run.into(),
            operation: operation.into(),
            title: None,
            context: context.into(),
            tier,
            platform: None,
            plan_digest: None,
            identities: BTreeMap::new(),
            consent: None,
            started: Instant::now(),
            observations: Facts::default(),
        }
    }
}

/// The predicate of a closing record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Closing {
    /// The format's version: 1.
    pub version: u32,
    /// The run's id.
    pub run: Name,
    /// The start record's operation.
    pub operation: Name,
    /// The start record's context.
    pub context: Name,
    /// The start record's tier.
    pub tier: Tier,
    /// The start record's plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Digest>,
    /// The start record this one closes.
    pub start: StartRef,
    /// 1 for the first closing record. A run that ended without passing can be resumed and closed again.
    pub attempt: u32,
    /// When the run began, as its start record says.
    pub started: Instant,
    /// What the caller says about the end.
    #[serde(flatten)]
    pub facts: ClosingFacts,
    /// The program that made the record.
    pub tool: Tool,
    /// The machine it ran on.
    pub host: Host,
    /// Where the record stands in its signer's log.
    pub log: Position,
}

/// What a caller says when a run is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ClosingFacts {
    /// How it went. Only `passed` counts as passed.
    pub outcome: Outcome,
    /// The exit code of the process.
    pub exit_code: u8,
    /// Why it did not pass, where one error says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The steps, in the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRecord>,
    /// The checks that were evaluated, skipped or could not be evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRecord>,
    /// What was measured, such as RTO and RPO by phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// What the run left behind: backups, exports, reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<Artefact>,
    /// The operation's own observations, as typed data.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub observations: Facts,
    /// When the run was over.
    pub finished: Instant,
}

impl ClosingFacts {
    /// An end at this moment; fill in the rest.
    pub fn new(outcome: Outcome, exit_code: u8) -> Self {
        ClosingFacts {
            outcome,
            exit_code,
            failure: None,
            steps: Vec::new(),
            checks: Vec::new(),
            measurements: Vec::new(),
            artefacts: Vec::new(),
            observations: Facts::default(),
            finished: Instant::now(),
        }
    }
}

/// What a target is, by its own account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct IdentityFacts {
    /// The kind of system.
    pub store: Store,
    /// Fact name to value; a fact that could not be read is absent.
    pub facts: BTreeMap<Name, Text>,
}

impl From<&Identity> for IdentityFacts {
    fn from(identity: &Identity) -> Self {
        IdentityFacts {
            store: identity.store,
            facts: identity
                .facts
                .iter()
                .map(|(name, value)| (Name::from(name.as_str()), Text::from(value.as_str())))
                .collect(),
        }
    }
}

/// Who agreed to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ConsentFact {
    /// The strongest effect agreed to.
    pub effect: Effect,
    /// How it was given.
    pub how: How,
    /// The context it covers.
    pub context: Name,
    /// The digest of the plan it covers.
    pub plan_digest: Text,
    /// When it was given.
    pub at: Instant,
}

impl From<&Consent> for ConsentFact {
    fn from(consent: &Consent) -> Self {
        ConsentFact {
            effect: consent.effect(),
            how: consent.how().clone(),
            context: consent.context().into(),
            plan_digest: consent.plan_digest().into(),
            at: consent.at(),
        }
    }
}

/// The program that made a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Tool {
    /// `summitctl`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of the running executable; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<Digest>,
}

/// The machine a record was made on, as its kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Host {
    /// The node name.
    pub name: Text,
    /// The system and its release, such as `Linux 6.1.0`.
    pub system: Text,
    /// The processor architecture.
    pub machine: Text,
    /// The effective user id of the process.
    pub user_id: u32,
}

/// Where a record stands in its signer's log. Signed with the record, so the chain itself is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Position {
    /// The signer's key id.
    pub signer: KeyId,
    /// The entry's number, from 1.
    pub seq: u64,
    /// The SHA-256 of the log line before it, its line feed included; zeros before the first.
    pub prev: Digest,
    /// When the record was made.
    pub recorded: Instant,
}

/// Names a start record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StartRef {
    /// The key id of its signer.
    pub signer: KeyId,
    /// Its number in that signer's log.
    pub seq: u64,
    /// The SHA-256 of its envelope file.
    pub digest: Digest,
}

/// An error, as a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// The stable reason code, such as `postgres.login-refused`.
    pub reason: Name,
    /// The exit code it leads to.
    pub exit_code: u8,
    /// The outermost message.
    pub message: Text,
    /// What lies beneath, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Text>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Text>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Failure {
            reason: error.reason().code.into(),
            exit_code: error.exit().code(),
            message: error.to_string().into(),
            causes: error.causes().into_iter().map(Text::from).collect(),
            hints: error.hints().into_iter().map(Text::from).collect(),
        }
    }
}

/// One step of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StepRecord {
    /// Its id in the plan.
    pub id: Name,
    /// Its kind, such as `backup.capture`.
    pub kind: Name,
    /// What it does, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// What it may do to the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// How it ended; absent for a step that was not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<StepEnd>,
    /// When it began, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Instant>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Quantity>,
    /// What was seen afterwards.
    #[serde(default, skip_serializing_if = "Seen::is_null")]
    pub observed: Seen,
    /// Why it failed, was skipped or was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CheckRecord {
    /// Its id, such as `backup.freshness`.
    pub id: Name,
    /// What it asks, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// The group it is shown in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Name>,
    /// Whether the verdict needs it to pass.
    pub required: bool,
    /// Its result.
    pub outcome: Outcome,
    /// What was seen, or why nothing was, in one line.
    pub detail: Text,
    /// Whose view this is, such as `Postgres` or `the gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Text>,
    /// When it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Instant>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Quantity>,
    /// What a failure means for the users of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Text>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Text>,
    /// The check whose failure explains this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Name>,
    /// What was seen, as typed data.
    #[serde(default, skip_serializing_if = "Seen::is_null")]
    pub observed: Seen,
}

impl CheckRecord {
    /// A required check with its result; fill in the rest.
    pub fn new(id: impl Into<Name>, outcome: Outcome, detail: impl Into<Text>) -> Self {
        CheckRecord {
            id: id.into(),
            title: None,
            category: None,
            required: true,
            outcome,
            detail: detail.into(),
            source: None,
            at: None,
            seconds: None,
            impact: None,
            hints: Vec::new(),
            cause: None,
            observed: Seen::default(),
        }
    }
}

/// What a measurement counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Rows, keys, nodes, objects.
    Items,
    /// A share: 1 is all.
    Ratio,
}

/// One measured number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Measurement {
    /// What was measured, such as `rto`, `rpo` or `backup-age`.
    pub name: Name,
    /// The phase it belongs to, such as `restore`; absent for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Name>,
    /// The number.
    pub value: Quantity,
    /// What it counts.
    pub unit: Measure,
    /// The most the policy allows, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Quantity>,
    /// Whether the limit is kept; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// By whom and how it was measured, such as `this process's monotonic clock`.
    pub source: Text,
    /// When it was measured.
    pub at: Instant,
}

impl Measurement {
    /// A number measured now. With a limit, the outcome follows from it: the limit itself is still allowed.
    pub fn new(
        name: impl Into<Name>,
        value: f64,
        unit: Measure,
        limit: Option<f64>,
        source: impl Into<Text>,
    ) -> Self {
        let outcome = limit.map(|most| {
            if value <= most {
                Outcome::Passed
            } else {
                Outcome::Failed
            }
        });
        Measurement {
            name: name.into(),
            phase: None,
            value: Quantity(value),
            unit,
            limit: limit.map(Quantity),
            outcome,
            source: source.into(),
            at: Instant::now(),
        }
    }

    /// The same, as one phase of the whole.
    pub fn phase(mut self, phase: impl Into<Name>) -> Self {
        self.phase = Some(phase.into());
        self
    }
}

/// Something the run left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Artefact {
    /// What it is: `backup`, `export`, `report`.
    pub kind: Name,
    /// Its id or name.
    pub id: Text,
    /// The digest of what identifies it, such as a backup's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Text>,
    /// The verification level that was reached in this run, 1 to 4; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_level: Option<u8>,
    /// What else is known about it.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

impl Artefact {
    /// An artefact of this kind; fill in the rest.
    pub fn new(kind: impl Into<Name>, id: impl Into<Text>) -> Self {
        Artefact {
            kind: kind.into(),
            id: id.into(),
            digest: None,
            bytes: None,
            location: None,
            verified_level: None,
            facts: Facts::default(),
        }
    }
}
