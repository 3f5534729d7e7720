//! `explain`: what a code, a reason, a step, a finding or a handbook script means here.

use crate::cli::args::ExplainArgs;
use crate::cli::output::Answer;
use crate::error::Result;
use crate::exit::Exit;
use crate::ops::explain::{self, Known};
use crate::ops::findings;

/// `explain TOPIC`
pub fn explain(args: &ExplainArgs) -> Result<Answer> {
    let (reasons, findings, registry) = (
        findings::reasons(),
        findings::all(),
        crate::steps::registry(),
    );
    let known = Known {
        reasons: &reasons,
        steps: &registry,
        findings: &findings,
    };
    let explanation = explain::explain(&args.topic, &known)?;
    Ok(Answer::new(Exit::Ok, explanation.to_string(), &explanation))
}
