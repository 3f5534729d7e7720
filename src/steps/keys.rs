//! `keys.operators`, `keys.new-epoch` and `keys.check`: who can read backups, and whether somebody really can.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::choose::{Choice, find};
use super::gate::asked_in_vain;
use super::world::World;
use crate::check::Finding;
use crate::consent::Effect;
use crate::durable::write_private;
use crate::engine::step::{ApplyCx, Blocked, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::repository::{
    BackupId, Digest, INCOMPLETE, Operator, Repository, WRONG_IDENTITY, recipients_of,
};
use crate::secret::Secret;
use crate::time::{Instant, Span};

/// An operator, as arguments name one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Named {
    /// What people call them.
    pub name: String,
    /// Their age recipient.
    pub recipient: String,
}

impl From<&Operator> for Named {
    fn from(operator: &Operator) -> Self {
        Named {
            name: operator.name.clone(),
            recipient: operator.recipient.clone(),
        }
    }
}

/// Each recipient counts once: of two that are the same neither could be taken out.
fn operators(named: &[Named]) -> Result<Vec<Operator>> {
    for (at, one) in named.iter().enumerate() {
        if let Some(other) = named[..at].iter().find(|n| n.recipient == one.recipient) {
            return Err(Error::input(format!(
                "`{}` reads already, as `{}`",
                one.recipient, other.name
            ))
            .hint("See who reads with `summitctl keys list`."));
        }
    }
    let parsed = named.iter().map(|n| Operator::new(&n.name, &n.recipient));
    parsed.collect()
}

fn lines(named: &[Named]) -> Vec<String> {
    let lines = named.iter().map(|n| format!("{} {}", n.recipient, n.name));
    lines.collect()
}

/// Arguments of `keys.operators`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OperatorsArgs {
    /// Who can read the repository's backups from then on.
    pub operators: Vec<Named>,
}

/// What the key files were and will be wrapped to.
#[derive(Debug, Serialize, Deserialize)]
pub struct OperatorsChange {
    before: Vec<Named>,
    after: Vec<Named>,
    /// Whether the identity that looked reads no more afterwards.
    #[serde(default)]
    takes_out_mine: bool,
    /// The digests of the key files as they were, by epoch.
    #[serde(default)]
    key_files: BTreeMap<u32, Vec<Digest>>,
}

/// The step kind `keys.operators`.
pub struct Operators;

#[async_trait]
impl Step<World> for Operators {
    const KIND: &'static str = "keys.operators";
    const SUMMARY: &'static str = "Wraps the repository's keys for these operators and no others, touching no segment; not a revocation of what somebody has read before";
    type Args = OperatorsArgs;
    type Change = OperatorsChange;

    fn effect(&self, _: &OperatorsArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &OperatorsArgs) -> String {
        format!("wrap the keys for {} operators", args.operators.len())
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &OperatorsArgs,
    ) -> Result<Decision<OperatorsChange>> {
        operators(&args.operators)?;
        if args.operators.is_empty() {
            return Ok(Decision::Blocked(Blocked {
                reason: "nobody would be left who can read the backups".to_owned(),
                hint: "Add another operator first: `summitctl keys add NAME RECIPIENT`.".to_owned(),
            }));
        }
        of_no_copy(cx.world)?;
        let repository = cx.world.readable_repository().await?;
        let before: Vec<Named> = repository.operators().iter().map(Named::from).collect();
        if before == args.operators {
            return Ok(Decision::Done(seen(&repository)));
        }
        let facts = |from: &[Named], to: &[Named]| {
            let gone = from.iter().filter(|n| !to.contains(n)).cloned();
            lines(&gone.collect::<Vec<_>>())
        };
        let decisive = Facts::from_iter([
            ("repository-id".to_owned(), json!(repository.id())),
            ("adds".to_owned(), json!(facts(&args.operators, &before))),
            ("removes".to_owned(), json!(facts(&before, &args.operators))),
        ]);
        let mut shown = decisive.clone();
        shown.retain(|_, value| value.as_array().is_none_or(|lines| !lines.is_empty()));
        let takes_out_mine = takes_out_mine(cx.world, &args.operators)?;
        if takes_out_mine {
            let said = "the identity configured here reads no backup any more: set another operator's `identity`";
            shown.insert("afterwards".to_owned(), json!([said]));
        }
        Ok(Decision::Change {
            decisive,
            shown,
            change: OperatorsChange {
                before,
                after: args.operators.clone(),
                takes_out_mine,
                key_files: repository.key_files(),
            },
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &OperatorsChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let repository = cx.world.readable_repository().await?;
        let after = operators(&change.after)?;
        repository.set_operators(&after).await.map(drop)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &OperatorsChange) -> Result<Observed> {
        let repository = match cx.world.readable_repository().await {
            Ok(repository) => repository,
            // Whoever took themselves out can look no more than whether every key file is another one.
            Err(e) if e.reason() == &WRONG_IDENTITY && change.takes_out_mine => {
                let now = cx.world.repository().await?.key_files();
                let mut were = change.key_files.iter();
                if were.any(|(epoch, was)| {
                    now.get(epoch)
                        .is_none_or(|is| was.iter().any(|d| is.contains(d)))
                }) {
                    return Err(e);
                }
                return Ok(Observed::of(json!({"operators": change.after})));
            }
            Err(e) => return Err(e),
        };
        let now: Vec<Named> = repository.operators().iter().map(Named::from).collect();
        if now != change.after {
            return Err(Error::new(
                &INCOMPLETE,
                "the keys are not wrapped for these operators",
            ));
        }
        Ok(seen(&repository))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &OperatorsChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let repository = cx.world.readable_repository().await?;
        let before = operators(&change.before)?;
        let repository = repository.set_operators(&before).await?;
        Ok(Undo::Done(seen(&repository)))
    }
}

/// The keys of a copy follow those of the repository.
fn of_no_copy(world: &World) -> Result<()> {
    match world.copy_worked_on() {
        None => Ok(()),
        Some(copy) => Err(Error::input("the keys of a copy are those of its repository").hint(
            format!("Change them without `--repository`; `summitctl backup copy {copy}` brings them to the copy."),
        )),
    }
}

/// Whether the identity that is configured here is none of these operators'.
fn takes_out_mine(world: &World, after: &[Named]) -> Result<bool> {
    let Some(identity) = &world.repository_settings()?.identity else {
        return Ok(false);
    };
    let mine = recipients_of(identity)?;
    Ok(!after.iter().any(|n| mine.contains(&n.recipient)))
}

fn seen(repository: &Repository) -> Observed {
    let now: Vec<Named> = repository.operators().iter().map(Named::from).collect();
    Observed::of(json!({"operators": now, "epoch": repository.epoch()}))
}

/// Arguments of `keys.new-epoch`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EpochArgs {
    /// Where the new repository secret is kept; made if it does not exist.
    pub secret_file: PathBuf,
}

/// The epoch that ends, and where the secret of the next is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct EpochChange {
    ends: u32,
    secret_file: PathBuf,
}

/// The step kind `keys.new-epoch`.
pub struct NewEpoch;

#[async_trait]
impl Step<World> for NewEpoch {
    const KIND: &'static str = "keys.new-epoch";
    const SUMMARY: &'static str = "Starts new keys under a new repository secret after a compromise; what is stored from then on shares no segment with the old";
    const MOST: Effect = Effect::Destroy;
    type Args = EpochArgs;
    type Change = EpochChange;

    // Nothing is destroyed, but backup hosts cannot write until they have the new secret, and there is no way back.
    fn effect(&self, _: &EpochArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, args: &EpochArgs) -> String {
        format!(
            "start a new epoch, with its secret in {}",
            args.secret_file.display()
        )
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &EpochArgs,
    ) -> Result<Decision<EpochChange>> {
        of_no_copy(cx.world)?;
        let repository = cx.world.readable_repository().await?;
        let ends = repository.epoch();
        let operators: Vec<Named> = repository.operators().iter().map(Named::from).collect();
        let facts = Facts::from_iter([
            ("repository-id".to_owned(), json!(repository.id())),
            ("ends-epoch".to_owned(), json!(ends)),
            ("operators".to_owned(), json!(lines(&operators))),
        ]);
        let mut shown = facts.clone();
        shown.insert(
            "afterwards".to_owned(),
            json!([format!(
                "set `secret = \"file:{}\"` on every backup host: until then it writes no backup",
                args.secret_file.display()
            )]),
        );
        Ok(Decision::Change {
            decisive: facts,
            shown,
            change: EpochChange {
                ends,
                secret_file: args.secret_file.clone(),
            },
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &EpochChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let repository = cx.world.readable_repository().await?;
        if repository.epoch() > change.ends {
            return Ok(());
        }
        if !change.secret_file.exists() {
            let secret = Repository::generate_secret()?;
            let text = format!("{}\n", secret.expose());
            write_private(&change.secret_file, text.as_bytes())?;
        }
        let text = std::fs::read_to_string(&change.secret_file)
            .map_err(|e| Error::io("read", &change.secret_file, e))?;
        let operators = repository.operators().to_vec();
        let secret = Secret::new(text.trim());
        repository.start_epoch(&secret, &operators).await.map(drop)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &EpochChange) -> Result<Observed> {
        let repository = cx.world.readable_repository().await?;
        if repository.epoch() <= change.ends {
            return Err(Error::new(
                &INCOMPLETE,
                format!("epoch {} has not ended", change.ends),
            ));
        }
        Ok(Observed::of(
            json!({"epoch": repository.epoch(), "secret-file": change.secret_file}),
        ))
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, _: &EpochChange, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Kept("an epoch that began stays".to_owned()))
    }
}

/// Arguments of `keys.check`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckArgs {
    /// The backup: an id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:MOMENT`.
    #[serde(default = "newest")]
    pub backup: String,
}

fn newest() -> String {
    "newest".to_owned()
}

/// The backup that is opened.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckChange {
    backup: BackupId,
    since: Instant,
}

/// The step kind `keys.check`.
pub struct CheckKey;

#[async_trait]
impl Step<World> for CheckKey {
    const KIND: &'static str = "keys.check";
    const SUMMARY: &'static str = "Proves that the identity at hand opens a backup: unwraps its keys and decrypts one segment; a signed statement says so";
    type Args = CheckArgs;
    type Change = CheckChange;

    fn effect(&self, _: &CheckArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &CheckArgs) -> String {
        format!("open backup {} with the identity at hand", args.backup)
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &CheckArgs,
    ) -> Result<Decision<CheckChange>> {
        let repository = cx.world.repository().await?;
        let choice: Choice = args.backup.parse()?;
        let found = find(cx.world, &repository, &choice, &[]).await?;
        let id = found.backup.id;
        Ok(Decision::Change {
            decisive: Facts::new(),
            shown: Facts::from_iter([("backup".to_owned(), json!(id))]),
            change: CheckChange {
                backup: id,
                since: Instant::now(),
            },
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &CheckChange,
        _: Grant<'_>,
    ) -> Result<()> {
        let repository = cx.world.readable_repository().await?;
        let opened = repository.open_one(&change.backup).await?;
        repository
            .record_opened(&opened, cx.world.signing_key()?)
            .await?;
        let what = match &opened.segment {
            Some(object) => format!("`{object}` decrypted, {} bytes", opened.bytes),
            None => "it has no segments, so that only its keys were unwrapped".to_owned(),
        };
        cx.events.note(what);
        Ok(())
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &CheckChange) -> Result<Observed> {
        let repository = cx.world.repository().await?;
        let opened = repository.show(&change.backup).await?.opened;
        let at = opened.filter(|at| *at >= change.since).ok_or_else(|| {
            Error::new(
                &INCOMPLETE,
                format!("the repository holds no new proof for `{}`", change.backup),
            )
        })?;
        Ok(Observed::of(json!({"backup": change.backup, "opened": at})))
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, _: &CheckChange, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Kept("a proof stays".to_owned()))
    }
}

/// When an identity was last seen to open a backup of the epoch that is written to; its key file opens the newest backup.
pub async fn last_proof(repository: &Repository) -> Result<Option<Instant>> {
    let backups = repository.list().await?;
    let epoch = repository.epoch();
    let ours = backups
        .iter()
        .filter(|b| b.is_usable() && b.signed.as_ref().is_some_and(|s| s.epoch == epoch));
    Ok(ours.filter_map(|b| b.opened_at()).max())
}

/// What an old proof, or none, is called.
pub const KEY_PROVEN: &str = "An identity was seen to open a backup lately";

/// Keys that nobody tried may be lost: the proof must not be older than a drill may be.
pub async fn key_proven(world: &World) -> Finding {
    let proof = async { last_proof(&world.repository().await?).await };
    let finding = match proof.await {
        Err(error) => return asked_in_vain(&error),
        Ok(Some(at)) => {
            let age = Instant::now().since(at);
            let shown = format!("{} ago, by a proof or a verification", Span(age));
            if age <= world.policy.drill_interval.value.0 {
                return Finding::passed(shown);
            }
            Finding::degraded(shown)
        }
        Ok(None) => Finding::degraded("never, in this epoch of keys"),
    };
    finding.hint(format!(
        "Where an operator's identity is: `summitctl backup verify --key-check --context {}`.",
        world.context
    ))
}
