//! Start and end: which closing record belongs to which start record, and which run has none.

use std::collections::BTreeMap;

use super::{Finding, Found, OpenRun};
use crate::event::Outcome;
use crate::evidence::BROKEN;
use crate::evidence::archive::{Filed, Run};
use crate::evidence::predicate::Closing;
use crate::evidence::statement::Record;
use crate::evidence::text::Name;

/// Pairs records into runs, oldest start first.
pub(super) fn pair(found: Vec<Found>) -> (Vec<Run>, Vec<OpenRun>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut runs: BTreeMap<Name, Run> = BTreeMap::new();
    let mut ends: Vec<(Filed<Closing>, String)> = Vec::new();
    for record in found {
        let Found {
            record,
            subjects,
            place,
            trusted,
            file,
        } = record;
        match record {
            Record::Start(start) => {
                let filed = Filed {
                    predicate: *start,
                    subjects,
                    place,
                    trusted,
                };
                if let Some(first) = runs.get(&filed.place.run) {
                    let message = format!(
                        "run `{}` has a start record already, entry {} of key {}",
                        filed.place.run, first.start.place.seq, first.start.place.signer
                    );
                    findings.push(about(&filed, file, message));
                } else {
                    let run = Run {
                        start: filed,
                        ends: Vec::new(),
                    };
                    runs.insert(run.id().clone(), run);
                }
            }
            Record::Closing(closing) => {
                ends.push((
                    Filed {
                        predicate: *closing,
                        subjects,
                        place,
                        trusted,
                    },
                    file,
                ));
            }
        }
    }
    ends.sort_by_key(|(end, _)| end.predicate.attempt);
    for (end, file) in ends {
        let Some(run) = runs.get_mut(&end.predicate.run) else {
            findings.push(about(
                &end,
                file,
                "the start record it closes is not here".to_owned(),
            ));
            continue;
        };
        match misfit(run, &end) {
            Some(why) => findings.push(about(&end, file, why)),
            None => run.ends.push(end),
        }
    }
    let mut runs: Vec<Run> = runs.into_values().collect();
    runs.sort_by_key(|run| (run.start.predicate.log.recorded, run.start.place.seq));
    let open = runs
        .iter()
        .filter(|run| run.ends.is_empty())
        .map(open_run)
        .collect();
    (runs, open, findings)
}

fn about<P>(filed: &Filed<P>, file: String, message: String) -> Finding {
    Finding::bad(&BROKEN, file, message)
        .seq(filed.place.seq)
        .run(&filed.place.run)
}

/// Why this closing record does not fit its run, if it does not.
fn misfit(run: &Run, end: &Filed<Closing>) -> Option<String> {
    let (start, place) = (&run.start.predicate.facts, &run.start.place);
    let closing = &end.predicate;
    if (&closing.start.signer, closing.start.seq) != (&place.signer, place.seq) {
        return Some(format!(
            "it closes entry {} of key {}, which is not the run's start record",
            closing.start.seq, closing.start.signer
        ));
    }
    if closing.start.digest != place.sha256 {
        return Some("the start record it closes is not the one that is here".to_owned());
    }
    if (
        &closing.operation,
        &closing.context,
        closing.tier,
        &closing.plan_digest,
    ) != (
        &start.operation,
        &start.context,
        start.tier,
        &start.plan_digest,
    ) {
        return Some("its operation, context, tier or plan is not its start record's".to_owned());
    }
    if end.place.signer == place.signer && end.place.seq <= place.seq {
        return Some("it stands before the start record it closes".to_owned());
    }
    let expected = run.ends.last().map_or(1, |last| last.predicate.attempt + 1);
    if closing.attempt != expected {
        return Some(format!(
            "it is attempt {}, where attempt {expected} belongs",
            closing.attempt
        ));
    }
    if run.outcome() == Some(Outcome::Passed) {
        return Some("the run had passed and was closed for good".to_owned());
    }
    None
}

fn open_run(run: &Run) -> OpenRun {
    let facts = &run.start.predicate.facts;
    OpenRun {
        run: facts.run.clone(),
        operation: facts.operation.clone(),
        context: facts.context.clone(),
        started: facts.started,
        signer: run.start.place.signer.clone(),
        seq: run.start.place.seq,
    }
}
