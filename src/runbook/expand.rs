//! From a runbook that uses others to one list of steps.
//!
//! A step `uses: runbook` stands for all steps of another runbook, pinned by the digest of its text. Its steps come before
//! it in the plan, each named `CALL__STEP`; no id that somebody writes holds an underscore, so names never meet. The
//! step itself comes last and gathers what they saw: `steps.CALL.out.STEP` is the result of the step `STEP` in it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::bind::typed;
use super::kinds::{CallArgs, RUNBOOK};
use super::{Bound, INVALID, Library, OnFailure, PARAMETER, PlannedStep, Runbook, StepCatalog};
use crate::error::{Context as _, Error, Result};
use crate::expr::{self, Expr, Reference, Scope, Template};
use crate::reasons;

reasons! {
    /// The runbook is not the one that was pinned.
    DIGEST = "runbook.digest", Refused,
        "A runbook uses another one, and that one is not the text that was pinned. Nothing was run. Read what it says now with `summitctl runbook show ID`, and write its digest into the step if it is right.";
    /// Runbooks use each other in a circle, or too deep.
    NESTED = "runbook.nested", Usage,
        "Runbooks use each other in a circle, or deeper than somebody can follow. Put the steps that both need into a runbook of their own.";
}

/// How deep runbooks may use each other: a person still has to follow it.
pub const MAX_DEPTH: usize = 4;

/// What stands between the name of a call and those of its steps.
pub const JOINT: &str = "__";

/// A runbook with all that it uses.
#[derive(Debug, Clone)]
pub struct Expanded {
    /// The steps, those of other runbooks before the step that uses them.
    pub steps: Vec<PlannedStep>,
    /// The parameters: its own, and those it gives to others as `CALL__NAME`.
    pub params: Map<String, Value>,
    /// The texts: its own first, with the step that each stands for.
    pub texts: Vec<(String, Runbook)>,
}

/// Puts the steps of the runbooks that `book` uses in their places.
pub fn expand(
    book: &Runbook,
    library: &Library,
    catalog: &dyn StepCatalog,
    bound: &Bound,
) -> Result<Expanded> {
    let Value::Object(params) = bound.public() else {
        return Err(Error::bug("parameters are not an object"));
    };
    let mut work = Work {
        library,
        catalog,
        done: Expanded {
            steps: Vec::new(),
            params,
            texts: vec![(String::new(), book.clone())],
        },
    };
    let root = Frame {
        book,
        prefix: String::new(),
        needs: Vec::new(),
        when: None,
        undo: false,
        given: BTreeMap::new(),
        path: vec![book.id.clone()],
    };
    work.frame(&root)?;
    Ok(work.done)
}

/// A parameter's value in a runbook that is used by another.
#[derive(Debug, Clone)]
enum Given {
    /// Known while planning: it stands in the plan's parameters under this name.
    Known(String),
    /// Known once an earlier step has run: an expression over the names of the whole plan.
    Later(String),
}

/// One use of a runbook.
struct Frame<'r> {
    book: &'r Runbook,
    /// What its names begin with in the plan.
    prefix: String,
    /// What its first steps wait for.
    needs: Vec<String>,
    /// The condition of the step that uses it.
    when: Option<String>,
    /// Whether a failure takes the run back.
    undo: bool,
    given: BTreeMap<String, Given>,
    /// The ids of the runbooks from the first to this one.
    path: Vec<String>,
}

struct Work<'l> {
    library: &'l Library,
    catalog: &'l dyn StepCatalog,
    done: Expanded,
}

impl Work<'_> {
    fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        for step in frame.book.plan()? {
            let id = step.id.clone();
            let what = || format!("runbook `{}`, step `{id}`", frame.book.id);
            if step.kind == RUNBOOK {
                self.call(frame, step).context(what)?;
            } else {
                let own = frame.adapted(step).context(what)?;
                self.done.steps.push(own);
            }
        }
        Ok(())
    }

    fn call(&mut self, outer: &Frame<'_>, step: PlannedStep) -> Result<()> {
        let args: CallArgs = serde_json::from_value(step.args.clone())
            .map_err(|e| Error::new(&INVALID, "the arguments do not fit").caused_by(e))?;
        let library = self.library;
        let book = library.find(&args.runbook)?;
        let mut path = outer.path.clone();
        path.push(book.id.clone());
        nested(&path)?;
        pinned(&args.digest, book)?;
        library.get(&args.runbook, self.catalog)?;

        let own = outer.adapted(step)?;
        let mut when = own.when.clone();
        if let Some(text) = &when
            && let Some(answer) = self.known(text)?
        {
            when = (!answer).then(|| "false".to_owned());
        }
        let given = self.given(outer, book, &own.id, &args)?;
        let inner = Frame {
            book,
            prefix: format!("{}{JOINT}", own.id),
            needs: own.needs.clone(),
            when: when.clone(),
            undo: outer.undo || own.on_failure == OnFailure::Undo,
            given,
            path,
        };
        self.done.texts.push((own.id.clone(), book.clone()));
        self.frame(&inner)?;
        let mut results = Map::new();
        let mut needs = own.needs.clone();
        for step in book.steps() {
            let name = inner.name(&step.id);
            results.insert(step.id.clone(), json!(format!("${{ steps.{name}.out }}")));
            needs.push(name);
        }
        self.done.steps.push(PlannedStep {
            args: json!({"runbook": args.runbook, "digest": args.digest, "results": results}),
            when,
            needs,
            ..own
        });
        Ok(())
    }

    /// Whether a condition is true, if that depends on parameters alone.
    fn known(&self, when: &str) -> Result<Option<bool>> {
        let condition = Expr::parse(when)?;
        if condition.references().iter().any(|r| r.root() != "params") {
            return Ok(None);
        }
        let scope = Scope::new().with("params", Value::Object(self.done.params.clone()));
        condition.eval_bool(&scope).map(Some)
    }

    /// The values that a call gives, as the steps of the runbook name them.
    fn given(
        &mut self,
        outer: &Frame<'_>,
        book: &Runbook,
        call: &str,
        args: &CallArgs,
    ) -> Result<BTreeMap<String, Given>> {
        let wrong = |message: String| {
            Error::new(&PARAMETER, message).hint(format!(
                "`summitctl runbook show {}` lists the parameters.",
                book.id
            ))
        };
        if let Some(unknown) = args.params.keys().find(|n| book.param(n).is_none()) {
            return Err(wrong(format!(
                "runbook `{}` has no parameter `{unknown}`",
                book.id
            )));
        }
        let mut given = BTreeMap::new();
        for param in &book.params {
            let value = match (args.params.get(&param.name), &param.default) {
                (Some(_), _) if param.secret => {
                    return Err(wrong(format!(
                        "parameter `{}` is secret and cannot be given by another runbook",
                        param.name
                    )));
                }
                (Some(value), _) => outer.template(value)?,
                (None, Some(default)) => default.clone(),
                (None, None) => {
                    return Err(wrong(format!(
                        "runbook `{}` needs `{}` ({})",
                        book.id, param.name, param.prompt
                    )));
                }
            };
            let template = Template::parse(&value)?;
            let early = template.references().iter().all(|r| r.root() == "params");
            let value = if early {
                let scope = Scope::new().with("params", Value::Object(self.done.params.clone()));
                let value = typed(param, &template.resolve(&scope)?).map_err(wrong)?;
                let name = format!("{call}{JOINT}{}", param.name);
                self.done.params.insert(name.clone(), value);
                Given::Known(name)
            } else if let Template::Expr(only) = &template {
                Given::Later(only.source().trim().to_owned())
            } else {
                return Err(wrong(format!(
                    "parameter `{}` is put together from what is known only during the run",
                    param.name
                ))
                .hint("Give one expression and nothing else: `${ steps.id.out.field }`."));
            };
            given.insert(param.name.clone(), value);
        }
        Ok(given)
    }
}

/// Refuses a circle, and what is too deep.
pub(super) fn nested(path: &[String]) -> Result<()> {
    let shown = path.join("` → `");
    let Some((last, before)) = path.split_last() else {
        return Ok(());
    };
    if before.contains(last) {
        return Err(Error::new(
            &NESTED,
            format!("runbooks use each other in a circle: `{shown}`"),
        ));
    }
    if before.len() > MAX_DEPTH {
        return Err(Error::new(
            &NESTED,
            format!("runbooks use each other more than {MAX_DEPTH} deep: `{shown}`"),
        ));
    }
    Ok(())
}

/// Refuses a runbook that is not the text that was pinned.
fn pinned(digest: &str, book: &Runbook) -> Result<()> {
    let is = book.digest();
    if is == digest {
        return Ok(());
    }
    Err(Error::new(
        &DIGEST,
        format!("runbook `{}` (`{}`) is not the text that was pinned", book.id, book.source().name()),
    )
    .hint(format!(
        "Read it with `summitctl runbook show {}`; if it is what this runbook should use, write `digest: {is}`.",
        book.id
    )))
}

impl Frame<'_> {
    /// The name that a step of this runbook has in the plan.
    fn name(&self, step: &str) -> String {
        format!("{}{step}", self.prefix)
    }

    /// A step with the names of the whole plan.
    fn adapted(&self, step: PlannedStep) -> Result<PlannedStep> {
        if self.prefix.is_empty() {
            return Ok(step);
        }
        let needs: Vec<String> = step.needs.iter().map(|n| self.name(n)).collect();
        let own = step
            .when
            .as_deref()
            .map(|w| self.expression(w))
            .transpose()?;
        let when = match (&self.when, own) {
            (Some(outer), _) if outer == "false" => Some(outer.clone()),
            (Some(outer), Some(own)) => Some(format!("({outer}) && ({own})")),
            (Some(outer), None) => Some(outer.clone()),
            (None, own) => own,
        };
        let on_failure = match step.on_failure {
            OnFailure::Stop if self.undo => OnFailure::Undo,
            other => other,
        };
        let expect = step.expect.iter().map(|e| self.expression(e));
        Ok(PlannedStep {
            id: self.name(&step.id),
            // What a call is given is adapted when its values are read.
            args: if step.kind == RUNBOOK {
                step.args
            } else {
                self.template(&step.args)?
            },
            when,
            expect: expect.collect::<Result<_>>()?,
            on_failure,
            needs: if needs.is_empty() {
                self.needs.clone()
            } else {
                needs
            },
            ..step
        })
    }

    /// A JSON value whose expressions name the things of the whole plan.
    fn template(&self, value: &Value) -> Result<Value> {
        if self.prefix.is_empty() {
            return Ok(value.clone());
        }
        Ok(match value {
            Value::String(text) => {
                let template = Template::parse_text(text).map_err(|f| f.into_error(text))?;
                Value::String(self.renamed(text, template.references_in_text())?)
            }
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|v| self.template(v))
                    .collect::<Result<_>>()?,
            ),
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(k, v)| Ok((k.clone(), self.template(v)?)));
                Value::Object(fields.collect::<Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    fn expression(&self, text: &str) -> Result<String> {
        let references = Expr::parse(text)?.references().to_vec();
        self.renamed(text, references)
    }

    /// The text with every `params.x` and `steps.y` replaced by what stands for it in the plan.
    fn renamed(&self, text: &str, mut references: Vec<Reference>) -> Result<String> {
        references.sort_by_key(|r| std::cmp::Reverse(r.range.start));
        references.dedup_by_key(|r| r.range.start);
        let mut out = text.to_owned();
        for reference in &references {
            let root = reference.root();
            if root != "params" && root != "steps" {
                continue;
            }
            let unclear = || {
                let shown = expr::excerpt(None, text, reference.range.clone(), "");
                Error::new(
                    &INVALID,
                    format!("`{root}` stands here in a form that cannot be followed into another runbook"),
                )
                .excerpt(shown)
                .hint(format!("Write `{root}.NAME`, with a dot."))
            };
            let name = reference.path.get(1).ok_or_else(unclear)?;
            let written = format!("{root}.{name}");
            let start = reference.range.start;
            if !text[start..].starts_with(&written) {
                return Err(unclear());
            }
            let becomes = if root == "steps" {
                format!("steps.{}", self.name(name))
            } else {
                match self.given.get(name) {
                    Some(Given::Known(name)) => format!("params.{name}"),
                    Some(Given::Later(expression)) => format!("({expression})"),
                    None => return Err(unclear()),
                }
            };
            out.replace_range(start..start + written.len(), &becomes);
        }
        Ok(out)
    }
}
