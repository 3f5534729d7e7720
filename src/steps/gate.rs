//! `gate.run`: go or no-go, from measurements. Each check reads what somebody else recorded and signed, or measures now;
//! what cannot be evaluated never counts as a pass.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::choose::{self, Found};
use super::cross;
use super::drill;
use super::evidence::trusted_keys;
use super::keys::{KEY_PROVEN, key_proven};
use super::posture::{self, Asked};
use super::smoke::smoke;
use super::world::{NOT_CONFIGURED, World};
use crate::capture::Consistency;
use crate::check::{Category, Check, Finding, Options, Report, run};
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::evidence::{Archive, Closing, Filed};
use crate::exit::Exit;
use crate::reasons;
use crate::repository::s3::NO_BUCKET;
use crate::repository::{Backup, BackupId};
use crate::time::{Instant, Span};
use crate::wait::Deadline;

reasons! {
    /// Not every required check passed.
    NO_GO = "gate.no-go", NoGo,
        "At least one required check of the gate did not pass or could not be evaluated. The report names each with the command that mends it.";
}

/// Arguments of `gate.run`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GateArgs {
    /// The commit that is to be released; only recorded.
    #[serde(default)]
    pub commit: Option<String>,
}

/// The step kind `gate.run`.
pub struct Gate;

#[async_trait]
impl Look<World> for Gate {
    const KIND: &'static str = "gate.run";
    const SUMMARY: &'static str = "Evaluates the release gate: backup freshness and verification, drill age and times, evidence, configuration, smoke";
    type Args = GateArgs;

    fn title(&self, _: &GateArgs) -> String {
        "evaluate the gate".to_owned()
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &GateArgs) -> Result<Observed> {
        let report = gate(cx).await?;
        let verdict = if report.exit() == Exit::Ok {
            "go"
        } else {
            "no-go"
        };
        let observed = json!({"verdict": verdict, "commit": args.commit, "report": report});
        if verdict == "go" {
            return Ok(Observed::of(observed));
        }
        let roots: Vec<String> = failing(&report)
            .map(|c| format!("`{}`: {}", c.id, c.detail))
            .collect();
        let mut error = Error::new(
            &NO_GO,
            format!(
                "no-go: {} of {} checks did not pass",
                roots.len(),
                report.totals.checks
            ),
        )
        .caused_by(roots.join("; "))
        .with_details(observed);
        for hint in failing(&report).flat_map(|c| c.hints.iter()) {
            error = error.hint(hint.clone());
        }
        Err(error)
    }
}

fn failing(report: &Report) -> impl Iterator<Item = &crate::check::Evaluated> {
    report.checks().filter(|c| {
        !matches!(c.outcome, Outcome::Passed | Outcome::Skipped) && c.caused_by.is_none()
    })
}

/// Evaluates every check of the gate.
pub async fn gate(cx: &ReadCx<'_, World>) -> Result<Report> {
    let world = cx.world;
    let mut checks = Vec::new();
    backups(world, &mut checks).await;
    posture::gate(&Asked::of(world), &mut checks).await;
    drills(world, cx.run, &mut checks);
    checks.push(configuration(world));
    let options = Options {
        events: cx.events.clone(),
        cancel: cx.cancel.clone(),
        ..Options::once(Deadline::after(std::time::Duration::from_secs(60)))
    };
    checks.push(
        Check::new(
            "smoke",
            Category::Platform,
            "Smoke passes now",
            move |_| async move { smoke_now(cx).await },
        )
        .within(std::time::Duration::from_secs(30))
        .hint(format!(
            "See each probe with `summitctl smoke --context {}`.",
            world.context
        )),
    );
    run(
        &format!("Gate of context {}", world.context),
        &checks,
        &options,
    )
    .await
}

async fn smoke_now(cx: &ReadCx<'_, World>) -> Finding {
    match smoke(cx, None, None).await {
        Ok(report) => {
            let totals = report.totals;
            let shown = format!("{} of {} probes passed", totals.passed, totals.checks);
            let finding = match report.outcome {
                Outcome::Passed => Finding::passed(shown),
                Outcome::Degraded => Finding::degraded(shown),
                Outcome::NotEvaluated => Finding::not_evaluated(shown),
                _ => Finding::failed(shown),
            };
            finding.fact("report", serde_json::to_value(&report).unwrap_or_default())
        }
        Err(error) => Finding::from_error(&error),
    }
}

async fn newest(world: &World) -> Result<Option<Found>> {
    let repository = world.repository().await?;
    choose::newest(world, &repository).await
}

async fn backups(world: &World, checks: &mut Vec<Check<'_>>) {
    let create = format!(
        "Make one with `summitctl backup create --context {}`.",
        world.context
    );
    let missing = none_missing(world).await;
    checks.push(Check::known(
        "backup.none-missing",
        Category::Backups,
        NONE_MISSING,
        missing,
    ));
    let proven = key_proven(world).await;
    checks.push(
        Check::known(
            "repository.key-proven",
            Category::Secrets,
            KEY_PROVEN,
            proven,
        )
        .advisory(),
    );
    let found = newest(world).await;
    let backup = found
        .as_ref()
        .ok()
        .and_then(|f| f.as_ref())
        .map(|f| &f.backup);
    for must in [true, false] {
        checks.extend(agreement(world, backup, must));
    }
    let (fresh, verified, consistent) = match found {
        Err(error) => {
            let finding = asked_in_vain(&error);
            let unread = match finding.outcome {
                Outcome::NotEvaluated => finding.clone(),
                _ => Finding::not_evaluated("the repository could not be read"),
            };
            (finding, unread.clone(), unread)
        }
        Ok(None) => {
            let reason = "there is no usable backup";
            (
                Finding::failed(reason).hint(create),
                Finding::not_evaluated(reason),
                Finding::not_evaluated(reason),
            )
        }
        Ok(Some(Found { backup, lacks, .. })) => (
            if lacks.is_empty() {
                freshness(world, &backup)
            } else {
                let lacks = choose::named(&lacks);
                Finding::failed(format!("`{}` lacks {lacks}", backup.id)).hint(create)
            },
            level(world, &backup),
            consistency(&backup),
        ),
    };
    checks.push(
        Check::known(
            "backup.fresh",
            Category::Backups,
            "The newest backup is fresh",
            fresh,
        )
        .impact("A disaster now would lose more than the policy allows."),
    );
    checks.push(Check::known(
        "backup.verified",
        Category::Backups,
        "The newest backup was proved",
        verified,
    ));
    checks.push(
        Check::known(
            "backup.consistent",
            Category::Backups,
            "The newest backup shows single moments",
            consistent,
        )
        .advisory(),
    );
}

/// What an error of the repository says: where there is none, or it does not answer, nothing was looked at.
pub fn asked_in_vain(error: &Error) -> Finding {
    let silent = error.exit() == Exit::Unreachable && error.reason() != &NO_BUCKET;
    if error.reason() == &NOT_CONFIGURED || silent {
        Finding::unevaluated(error)
    } else {
        Finding::from_error(error)
    }
}

/// What [`none_missing`] looks for.
pub const NONE_MISSING: &str = "No backup went away unseen";

/// That every backup which this host has seen is there, or was removed by somebody who said so.
pub async fn none_missing(world: &World) -> Finding {
    let missing = async { world.repository().await?.missing_backups().await };
    match missing.await {
        Err(error) => asked_in_vain(&error),
        Ok(None) => Finding::not_evaluated(
            "this host keeps no memory of the repository: it lacks the repository secret, or its state folder cannot be written",
        ),
        Ok(Some(missing)) => match missing.first() {
            None => none_forgotten(world).await,
            Some(first) => {
                let names: Vec<&str> = missing.iter().map(BackupId::as_str).collect();
                let context = &world.context;
                let copy = world.copy_worked_on();
                let copy = copy.map_or(String::new(), |c| format!(" --repository {c}"));
                Finding::failed(format!("gone, and nobody stated its removal: {}", names.join(", ")))
                    .hint("Put it back from a copy of the repository or from a version of the bucket.")
                    .hint(format!("If it was removed on purpose: `summitctl backup forget {first} --context {context}{copy}`."))
            }
        },
    }
}

/// That every hold and every record of a restore which this host has seen is there.
async fn none_forgotten(world: &World) -> Finding {
    let listed = async { world.repository().await?.list().await };
    let listed = match listed.await {
        Err(error) => return asked_in_vain(&error),
        Ok(listed) => listed,
    };
    let mut lost = listed.iter().filter(|b| !b.lost.is_empty());
    let Some(backup) = lost.next() else {
        return Finding::passed("none is gone that this host has seen");
    };
    let (id, context) = (&backup.id, &world.context);
    let copy = world.copy_worked_on();
    let copy = copy.map_or(String::new(), |c| format!(" --repository {c}"));
    Finding::failed(format!(
        "storage forgot what was stated of `{id}`: {}",
        backup.lost.join("; ")
    ))
    .hint("Put it back from a version of the bucket or a copy of the repository, and find out who removed it.")
    .hint(format!("If it is lost for good, state what is so now: a hold is settled by `summitctl backup release {id} --context {context}{copy}`, after which it can be held again, and a record of a restore by `summitctl backup verify {id} --level 3 --context {context}{copy}`."))
}

/// How old the newest backup's oldest data are, against the policy.
pub fn freshness(world: &World, backup: &Backup) -> Finding {
    let Some((from, _)) = backup.contents.as_ref().and_then(|c| c.window()) else {
        return Finding::not_evaluated(format!("the contents of `{}` cannot be read", backup.id));
    };
    let age = Instant::now().since(from);
    let limit = world.policy.freshness.value;
    let detail = format!(
        "`{}` shows the data of {} ago; the policy allows {limit}",
        backup.id,
        Span(age)
    );
    let finding = if age <= limit.0 {
        Finding::passed(detail)
    } else {
        Finding::failed(detail).hint(format!(
            "Make a new one with `summitctl backup create --context {}`.",
            world.context
        ))
    };
    finding
        .fact("backup", backup.id.as_str())
        .fact("age-seconds", age.as_secs())
        .fact("limit-seconds", limit.0.as_secs())
}

/// How far the newest backup was proved, by the signed ledger, against the policy.
pub fn level(world: &World, backup: &Backup) -> Finding {
    let wanted = world.policy.verify_level.value;
    let hint = format!(
        "Prove it with `summitctl backup verify {} --level {wanted} --context {}`.",
        backup.id, world.context
    );
    match backup.verified_level() {
        None => Finding::failed(format!(
            "`{}` was never verified; the policy wants level {wanted}",
            backup.id
        ))
        .hint(hint),
        Some(record) => {
            let number = record.level.number();
            let detail = format!(
                "`{}` was verified to level {number} at {} by key {}; the policy wants level {wanted}",
                backup.id,
                record.to.human(),
                record.key
            );
            let finding = if number >= wanted {
                Finding::passed(detail)
            } else {
                Finding::failed(detail).hint(hint)
            };
            finding.fact("level", number)
        }
    }
}

/// What the newest restore of the newest backup showed of the declared checks between the stores: of those that must hold,
/// or of the others.
fn agreement<'a>(world: &World, backup: Option<&Backup>, must: bool) -> Option<Check<'a>> {
    let declared = world.settings.cross_checks.iter();
    let names: Vec<&str> = declared
        .filter(|c| c.must.value == must)
        .map(|c| c.name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let finding = match backup {
        None => Finding::not_evaluated("there is no usable backup"),
        Some(backup) => cross::finding(world, backup, &names),
    };
    let finding = match finding.outcome {
        Outcome::Failed if !must => Finding {
            outcome: Outcome::Degraded,
            ..finding
        },
        _ => finding,
    };
    Some(if must {
        let title = "The stores agree where they must";
        Check::known("stores.must-agree", Category::Backups, title, finding)
            .impact("A recovery brings the disagreement back as it is.")
    } else {
        let title = "The stores agree";
        Check::known("stores.agree", Category::Backups, title, finding).advisory()
    })
}

fn consistency(backup: &Backup) -> Finding {
    let Some(contents) = &backup.contents else {
        return Finding::not_evaluated("the contents cannot be read");
    };
    let fuzzy: Vec<String> = contents
        .fuzzy()
        .map(|c| {
            format!(
                "{} ({}, over {})",
                c.store,
                c.method,
                Span(c.to.since(c.from))
            )
        })
        .collect();
    let skew = Span(contents.skew());
    let mut apart = contents
        .stores
        .iter()
        .map(|s| &s.captured)
        .filter(|c| c.consistency == Consistency::Apart)
        .map(|c| c.store.name())
        .peekable();
    if fuzzy.is_empty() && apart.peek().is_some() {
        let apart: Vec<&str> = apart.collect();
        Finding::passed(format!(
            "each store at one moment, each database or shard of {} at one of its own, {skew} apart at most",
            apart.join(" and ")
        ))
    } else if fuzzy.is_empty() {
        Finding::passed(format!("each store at one moment, {skew} apart at most"))
    } else {
        Finding::degraded(format!("not at one moment: {}", fuzzy.join(", ")))
    }
}

fn drills(world: &World, run: &str, checks: &mut Vec<Check<'_>>) {
    let hint = format!(
        "Run one with `summitctl drill run --context {}`.",
        world.context
    );
    let Some(settings) = &world.evidence else {
        let reason = "the context has no signed evidence";
        for (id, title) in [
            ("drill.recent", "A drill passed recently"),
            ("drill.times", "The drill kept RTO and RPO"),
        ] {
            checks.push(Check::known(
                id,
                Category::Drills,
                title,
                Finding::not_evaluated(reason).hint(hint.clone()),
            ));
        }
        checks.push(Check::known(
            "evidence.sound",
            Category::Evidence,
            "The evidence verifies",
            Finding::not_evaluated(reason),
        ));
        return;
    };
    let archive = Archive::open(&settings.dir, &trusted_keys(world));
    let (recent, times, sound) = match &archive {
        Err(error) => {
            let reason = "the evidence could not be read";
            (
                Finding::not_evaluated(reason),
                Finding::not_evaluated(reason),
                Finding::from_error(error),
            )
        }
        Ok(archive) => {
            let latest = archive
                .latest(drill::OPERATION, &world.context)
                .and_then(|run| run.closing());
            (
                recent(world, latest, &hint),
                times(latest),
                sound(archive, &world.context, run),
            )
        }
    };
    checks.push(
        Check::known(
            "drill.recent",
            Category::Drills,
            "A drill passed recently",
            recent,
        )
        .impact("Nobody knows that the backups can be restored."),
    );
    checks.push(Check::known(
        "drill.times",
        Category::Drills,
        "The drill kept RTO and RPO",
        times,
    ));
    checks.push(Check::known(
        "evidence.sound",
        Category::Evidence,
        "The evidence verifies",
        sound,
    ));
}

fn recent(world: &World, latest: Option<&Filed<Closing>>, hint: &str) -> Finding {
    let Some(closing) = latest else {
        return Finding::failed("the evidence holds no finished drill of this context")
            .hint(hint.to_owned());
    };
    let facts = &closing.predicate.facts;
    let age = Instant::now().since(facts.finished);
    let limit = world.policy.drill_interval.value;
    let detail = format!(
        "the last drill {} {} ago; the policy allows {limit}",
        facts.outcome.word(),
        Span(age)
    );
    let finding = if !closing.trusted {
        Finding::failed(format!(
            "{detail}; its record is not signed by a trusted key"
        ))
    } else if facts.outcome == Outcome::Passed && age <= limit.0 {
        Finding::passed(detail)
    } else {
        Finding::failed(detail).hint(hint.to_owned())
    };
    finding.fact("record", closing.predicate.run.to_string())
}

fn times(latest: Option<&Filed<Closing>>) -> Finding {
    let Some(closing) = latest else {
        return Finding::not_evaluated("there is no finished drill");
    };
    let limited: Vec<_> = closing
        .predicate
        .facts
        .measurements
        .iter()
        .filter(|m| m.limit.is_some())
        .collect();
    if limited.is_empty() {
        return Finding::not_evaluated("the drill measured nothing that the policy limits");
    }
    let shown: Vec<String> = limited
        .iter()
        .map(|m| {
            let span = |s: f64| Span::measured(s);
            format!(
                "{} {} of {}",
                m.name,
                span(m.value.0),
                span(m.limit.map_or(0.0, |l| l.0))
            )
        })
        .collect();
    let kept = limited.iter().all(|m| m.outcome == Some(Outcome::Passed));
    if kept {
        Finding::passed(shown.join(", "))
    } else {
        Finding::failed(shown.join(", "))
    }
}

fn sound(archive: &Archive, context: &str, own_run: &str) -> Finding {
    let report = &archive.report;
    if let Some(bad) = report.first_bad() {
        return Finding::failed(format!("{}: {}", bad.place(), bad.message)).settled();
    }
    let open: Vec<String> = archive
        .open_starts()
        .iter()
        .filter(|o| o.context.as_str() == context && o.run.as_str() != own_run)
        .map(|o| format!("`{}` ({})", o.run, o.operation))
        .collect();
    if open.is_empty() {
        Finding::passed(format!(
            "{} records, all signed and chained",
            report.records
        ))
    } else {
        Finding::failed(format!("runs that never ended: {}", open.join(", ")))
            .hint("Go on with them or end them: `summitctl run resume RUN` or `summitctl run abort RUN`; `summitctl run list` shows them.")
    }
}

fn configuration(world: &World) -> Check<'_> {
    Check::new(
        "config.variables",
        Category::Configuration,
        "The platform's variables are present, strong and consistent",
        move |_| async move {
            match super::variables::check(world).await {
                Ok(Some(report)) => {
                    let totals = report.totals;
                    let shown = format!("{} of {} checks passed", totals.passed, totals.checks);
                    let finding = match report.outcome {
                        Outcome::Passed => Finding::passed(shown),
                        Outcome::Degraded => Finding::degraded(shown),
                        Outcome::NotEvaluated => Finding::not_evaluated(shown),
                        _ => Finding::failed(shown),
                    };
                    finding.fact("report", serde_json::to_value(&report).unwrap_or_default())
                }
                Ok(None) => Finding::not_evaluated(
                    "the context names no source of the platform's variables",
                ),
                Err(error) => Finding::from_error(&error),
            }
        },
    )
    .hint(format!(
        "See each variable with `summitctl config check --context {}`.",
        world.context
    ))
}
