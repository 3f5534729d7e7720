//! From what the engine and the check runner report to what a record says, so that no caller copies it by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::predicate::{
    CheckRecord, ClosingFacts, ConsentFact, Failure, IdentityFacts, StartFacts, StepRecord,
};
use super::text::{Facts, Name, Quantity, Text};
use crate::check;
use crate::consent::Consent;
use crate::engine::executor::{RunReport, StepReport};
use crate::engine::plan::Plan;
use crate::error;
use crate::error::Result;
use crate::event::{Event, Listener, Outcome, Stamped};
use crate::identity::Identity;
use crate::time::Instant;

/// Hears when steps begin, which their reports do not say. Clones share what was heard.
#[derive(Debug, Clone, Default)]
pub struct Timeline(Arc<Mutex<BTreeMap<String, Instant>>>);

impl Timeline {
    /// When a step began in this process.
    pub fn began(&self, step: &str) -> Option<Instant> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(step).copied()
    }
}

impl Listener for Timeline {
    fn hear(&self, event: &Stamped) {
        if let Event::StepStarted { step, .. } = &event.event {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            heard.insert(step.clone(), event.at);
        }
    }
}

impl StartFacts {
    /// The start of a run that executes this plan with this consent.
    pub fn of_plan(run: &str, plan: &Plan, consent: &Consent) -> Result<Self> {
        let mut facts = StartFacts::new(
            run,
            plan.operation.as_str(),
            plan.context.as_str(),
            plan.tier,
        );
        facts.title = Some(plan.title.as_str().into());
        facts.plan_digest = Some(plan.digest().parse()?);
        facts.consent = Some(ConsentFact::from(consent));
        facts.identities = name_identities(&plan.identities);
        if let serde_json::Value::Object(params) = &plan.params {
            facts.observations = Facts(params.clone());
        }
        Ok(facts)
    }
}

/// Targets of a plan carry no names: each goes by its store, and a second one of a store by its number.
fn name_identities(identities: &[Identity]) -> BTreeMap<Name, IdentityFacts> {
    let mut named = BTreeMap::new();
    for identity in identities {
        let store = identity.store.name();
        let mut name = Name::from(store);
        let mut number = 1;
        while named.contains_key(&name) {
            number += 1;
            name = Name::from(format!("{store}-{number}"));
        }
        named.insert(name, IdentityFacts::from(identity));
    }
    named
}

impl ClosingFacts {
    /// The end of a run that the engine executed: `passed` if it exits with 0, else `failed`. A run that can be
    /// resumed is not over and gets no closing record; see [`super::Recorder::finish`].
    pub fn of_run(report: &RunReport, timeline: &Timeline) -> Self {
        let outcome = if report.exit_code == 0 {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        let mut facts = ClosingFacts::new(outcome, report.exit_code);
        facts.failure = report.error.as_ref().map(Failure::from);
        facts.steps = report
            .steps
            .iter()
            .map(|step| StepRecord {
                started: timeline.began(&step.id),
                ..StepRecord::from(step)
            })
            .collect();
        facts
    }

    /// The end of a run that evaluated checks; its outcome is theirs.
    pub fn of_checks(report: &check::Report) -> Self {
        let mut facts = ClosingFacts::new(report.outcome, report.exit().code());
        facts.checks = report.checks().map(CheckRecord::from).collect();
        facts
    }
}

impl From<&StepReport> for StepRecord {
    fn from(step: &StepReport) -> Self {
        let mut observed = step.observed.clone();
        if step.adopted
            && let serde_json::Value::Object(seen) = &mut observed
        {
            seen.insert("adopted-after-crash".to_owned(), true.into());
        }
        StepRecord {
            id: step.id.as_str().into(),
            kind: step.kind.as_str().into(),
            title: Some(step.title.as_str().into()),
            effect: Some(step.effect),
            end: step.end,
            started: None,
            seconds: step.seconds.map(Quantity),
            observed: observed.into(),
            failure: step.error.as_ref().map(Failure::from),
        }
    }
}

impl From<&check::Evaluated> for CheckRecord {
    fn from(check: &check::Evaluated) -> Self {
        let text = |t: &String| Text::from(t.as_str());
        CheckRecord {
            title: Some(text(&check.title)),
            category: Some(category(check.category)),
            required: check.severity == check::Severity::Required,
            seconds: Some(Quantity(check.seconds)),
            impact: check.impact.as_ref().map(text),
            hints: check.hints.iter().map(text).collect(),
            cause: check.caused_by.as_deref().map(Name::from),
            observed: serde_json::Value::Object(check.facts.clone()).into(),
            ..CheckRecord::new(check.id.as_str(), check.outcome, check.detail.as_str())
        }
    }
}

/// The category's own word, as it is in JSON.
fn category(category: check::Category) -> Name {
    match serde_json::to_value(category) {
        Ok(serde_json::Value::String(word)) => word.into(),
        _ => category.title().into(),
    }
}

impl From<&error::Report> for Failure {
    fn from(report: &error::Report) -> Self {
        Failure {
            reason: report.reason.as_str().into(),
            exit_code: report.exit_code,
            message: report.message.as_str().into(),
            causes: report
                .causes
                .iter()
                .map(|c| Text::from(c.as_str()))
                .collect(),
            hints: report
                .hints
                .iter()
                .map(|h| Text::from(h.as_str()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::{Category, Evaluated, Severity};
    use crate::consent::{Ask, Effect, Flags, Nobody, Request, Tier, obtain};
    use crate::event::{Events, StepEnd};
    use crate::identity::Store;

    fn plan() -> Plan {
        let seen =
            |port: &str| Identity::new(Store::Postgres, [("endpoint", format!("db:{port}"))]);
        Plan {
            version: 1,
            operation: "backup create".into(),
            title: "Back up the three stores".into(),
            context: "staging".into(),
            tier: Tier::Staging,
            identities: vec![seen("5432"), seen("5433")],
            params: json!({"jobs": 2}),
            steps: Vec::new(),
            documents: Vec::new(),
        }
    }

    #[test]
    fn a_plan_and_its_consent_make_a_start() {
        let plan = plan();
        let digest = plan.digest();
        let request = Request {
            effect: Effect::Change,
            context: "staging",
            tier: Tier::Staging,
            plan_digest: &digest,
            command: "summitctl backup create",
        };
        let yes = Flags {
            yes: true,
            ..Flags::default()
        };
        let nobody: &mut dyn Ask = &mut Nobody;
        let consent = obtain(&request, &yes, nobody).expect("consents");
        let facts = StartFacts::of_plan("r", &plan, &consent).expect("fits");
        assert_eq!(
            facts.plan_digest.map(|d| d.to_string()),
            Some(digest.clone())
        );
        let names: Vec<String> = facts.identities.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["postgres", "postgres-2"]);
        assert_eq!(
            facts.consent.expect("is there").plan_digest.as_str(),
            digest
        );
        assert_eq!(facts.observations.0["jobs"], 2);
    }

    #[test]
    fn a_run_s_report_makes_a_closing_with_the_times_that_were_heard() {
        let timeline = Timeline::default();
        let events = Events::new(vec![Box::new(timeline.clone())]);
        events.emit(Event::StepStarted {
            step: "capture".into(),
            kind: "backup.capture".into(),
            title: "Capture".into(),
            effect: Effect::Change,
        });
        let step = |id: &str, end| StepReport {
            id: id.into(),
            kind: "backup.capture".into(),
            title: "Capture".into(),
            effect: Effect::Change,
            end,
            adopted: end.is_some(),
            seconds: end.map(|_| 1.5),
            observed: json!({}),
            error: None,
        };
        let report = RunReport {
            run: "r".into(),
            operation: "backup create".into(),
            context: "staging".into(),
            plan_digest: plan().digest(),
            exit_code: 1,
            resumed: false,
            resumable: false,
            seconds: 2.0,
            steps: vec![step("capture", Some(StepEnd::Changed)), step("seal", None)],
            error: Some((&crate::error::Error::input("no")).into()),
        };
        let facts = ClosingFacts::of_run(&report, &timeline);
        assert_eq!((facts.outcome, facts.exit_code), (Outcome::Failed, 1));
        assert_eq!(
            facts.failure.expect("says why").reason.as_str(),
            "input.invalid"
        );
        assert_eq!(facts.steps[0].started, timeline.began("capture"));
        assert!(facts.steps[0].started.is_some());
        assert_eq!(facts.steps[0].observed.0["adopted-after-crash"], true);
        assert_eq!(
            (facts.steps[1].end, facts.steps[1].started),
            (None, None),
            "was not reached"
        );
    }

    #[test]
    fn an_evaluated_check_keeps_its_severity_and_cause() {
        let evaluated = Evaluated {
            id: "smoke.gateway".into(),
            title: "Gateway answers".into(),
            category: Category::DataPlane,
            severity: Severity::Advisory,
            outcome: Outcome::NotEvaluated,
            detail: "not asked: DNS failed".into(),
            facts: json!({"port": 4000})
                .as_object()
                .expect("an object")
                .clone(),
            impact: Some("nobody can log in".into()),
            hints: vec!["Run `summitctl doctor`.".into()],
            caused_by: Some("smoke.dns".into()),
            attempts: 0,
            latency_ms: None,
            seconds: 0.0,
        };
        let record = CheckRecord::from(&evaluated);
        assert!(!record.required);
        assert_eq!(record.category.expect("has one").as_str(), "data-plane");
        assert_eq!(record.cause.expect("has one").as_str(), "smoke.dns");
        assert_eq!(
            (record.outcome, record.observed.0["port"].as_u64()),
            (Outcome::NotEvaluated, Some(4000))
        );
    }
}
