//! What can be known to be wrong with a step that uses another runbook.

use super::bind::typed;
use super::expand::nested;
use super::kinds::RUNBOOK;
use super::source::{Diagnostic, Findings, Span, did_you_mean};
use super::yaml::{Node, Text, Yaml};
use super::{Library, OnFailure, Runbook, StepBlock};
use crate::expr::{Expr, Reference, Template};

/// Checks every use of another runbook; what [`super::lint`] finds is not repeated.
pub(super) fn lint(book: &Runbook, library: &Library) -> Vec<Diagnostic> {
    let mut calls = Calls {
        book,
        library,
        findings: Findings::new(book.source()),
    };
    for step in book.steps() {
        if step.uses == RUNBOOK {
            calls.call(step);
        }
        calls.results(step);
    }
    calls.findings.sorted()
}

struct Calls<'r> {
    book: &'r Runbook,
    library: &'r Library,
    findings: Findings<'r>,
}

impl<'r> Calls<'r> {
    fn call(&mut self, step: &StepBlock) {
        for (key, given) in [
            ("retries", step.retries > 0),
            ("timeout", step.timeout.is_some()),
            (
                "on-failure: continue",
                step.on_failure == OnFailure::Continue,
            ),
        ] {
            if given {
                self.findings.error_with(
                    "call-key",
                    step.marks.id.span,
                    format!("`{key}` belongs to the steps of a runbook, not to its use"),
                    Some("Write it at the steps of the runbook that is used.".to_owned()),
                );
            }
        }
        let Some(name) = text_of(step, "runbook") else {
            return;
        };
        let Ok(used) = self.library.find(&name.value) else {
            let ids: Vec<&str> = self.library.list().map(|l| l.runbook.id.as_str()).collect();
            return self.findings.error_with(
                "unknown-runbook",
                name.span,
                format!("there is no runbook `{}`", name.value),
                did_you_mean(&name.value, ids.iter().copied())
                    .or_else(|| Some("`summitctl runbook list` shows all of them.".to_owned())),
            );
        };
        let mut path = vec![self.book.id.clone()];
        if let Err(error) = self.walk(used, &mut path) {
            return self.findings.error("cycle", name.span, error);
        }
        let is = used.digest();
        if let Some(digest) = text_of(step, "digest").filter(|d| d.value != is) {
            self.findings.error_with(
                "digest",
                digest.span,
                format!("runbook `{}` is not the text that is pinned here", used.id),
                Some(format!(
                    "Read it with `summitctl runbook show {}`; if it is right, write `{is}`.",
                    used.id
                )),
            );
        }
        self.params(step, used);
    }

    /// Follows the runbooks that are used, as far as they can be found.
    fn walk(&self, used: &Runbook, path: &mut Vec<String>) -> Result<(), String> {
        path.push(used.id.clone());
        nested(path).map_err(|e| e.to_string())?;
        for step in used.steps().filter(|s| s.uses == RUNBOOK) {
            if let Some(next) =
                text_of(step, "runbook").and_then(|n| self.library.find(&n.value).ok())
            {
                self.walk(next, path)?;
            }
        }
        path.pop();
        Ok(())
    }

    fn params(&mut self, step: &StepBlock, used: &Runbook) {
        let given = step.marks.with.as_ref().and_then(|w| w.field("params"));
        let fields: &[(Text, Node)] = match given.map(|n| &n.yaml) {
            Some(Yaml::Map(fields)) => fields,
            _ => &[],
        };
        for (name, value) in fields {
            let Some(param) = used.param(&name.value) else {
                let names = used.params.iter().map(|p| p.name.as_str());
                self.findings.error_with(
                    "unknown-param",
                    name.span,
                    format!("runbook `{}` has no parameter `{}`", used.id, name.value),
                    did_you_mean(&name.value, names),
                );
                continue;
            };
            let symbolic = match &value.yaml {
                Yaml::Text(text) => {
                    !matches!(Template::parse_text(&text.value), Ok(Template::Literal(_)))
                }
                _ => false,
            };
            if param.secret {
                self.findings.error(
                    "wrong-value",
                    name.span,
                    format!(
                        "parameter `{}` is secret and cannot be given by another runbook",
                        param.name
                    ),
                );
            } else if !symbolic && let Err(message) = typed(param, &value.to_json()) {
                self.findings.error("wrong-value", value.span, message);
            }
        }
        for param in &used.params {
            if param.default.is_none() && !fields.iter().any(|(name, _)| name.value == param.name) {
                self.findings.error_with(
                    "missing-param",
                    step.marks.uses.span,
                    format!("runbook `{}` needs the parameter `{}`", used.id, param.name),
                    Some(format!("`{}`: {}", param.name, param.prompt)),
                );
            }
        }
    }

    /// What is read of a runbook's steps must be one of them.
    fn results(&mut self, step: &StepBlock) {
        let mut found: Vec<(Span, Reference)> = Vec::new();
        if let Some(with) = &step.marks.with {
            let mut texts: Vec<&Text> = Vec::new();
            with.texts(&mut |text| texts.push(text));
            for text in texts {
                if let Ok(template) = Template::parse_text(&text.value) {
                    let references = template.references_in_text();
                    found.extend(
                        references
                            .into_iter()
                            .map(|r| (text.at(r.range.clone()), r)),
                    );
                }
            }
        }
        for text in step.marks.when.iter().chain(&step.marks.expect) {
            if let Ok(expr) = Expr::check(&text.value) {
                let references = expr.references().iter().cloned();
                found.extend(references.map(|r| (text.at(r.range.clone()), r)));
            }
        }
        for (span, reference) in found {
            let (call, field) = match reference.root() {
                "result" => (Some(&step.id), reference.path.get(1)),
                "steps" => (reference.path.get(1), reference.path.get(3)),
                _ => continue,
            };
            let used = call.and_then(|id| self.used_by(id));
            let (Some(used), Some(field)) = (used, field) else {
                continue;
            };
            let ids: Vec<&str> = used.steps().map(|s| s.id.as_str()).collect();
            if !ids.contains(&field.as_str()) {
                self.findings.error_with(
                    "unknown-step",
                    span,
                    format!("runbook `{}` has no step `{field}`", used.id),
                    did_you_mean(field, ids.iter().copied()),
                );
            }
        }
    }

    /// The runbook that the step with this id uses.
    fn used_by(&self, id: &str) -> Option<&'r Runbook> {
        let mut steps = self.book.steps();
        let step = steps.find(|s| s.id == id && s.uses == RUNBOOK)?;
        self.library.find(&text_of(step, "runbook")?.value).ok()
    }
}

fn text_of<'s>(step: &'s StepBlock, argument: &str) -> Option<&'s Text> {
    match &step.marks.with.as_ref()?.field(argument)?.yaml {
        Yaml::Text(text) => Some(text),
        _ => None,
    }
}
