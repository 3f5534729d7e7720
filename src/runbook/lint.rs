//! What can be known to be wrong with a runbook before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Diagnostic, Findings, Span, did_you_mean};
use super::yaml::{Node, Text, Yaml};
use super::{EXEC, KindInfo, MANUAL, Runbook, StepBlock, StepCatalog, schema};
use crate::expr::{Expr, Fault, Reference, Template};

/// Checks a parsed runbook against the step kinds there are; the findings of [`super::parse`] are not repeated.
pub fn lint(runbook: &Runbook, catalog: &dyn StepCatalog) -> Vec<Diagnostic> {
    let kinds = catalog.kinds();
    let mut lint = Lint {
        runbook,
        findings: Findings::new(&runbook.source),
        ids: Vec::new(),
        used_params: BTreeSet::new(),
    };
    lint.ids = runbook.steps().map(|s| s.id.clone()).collect();
    lint.duplicates();
    lint.needs();
    for step in runbook.steps() {
        lint.step(step, &kinds);
    }
    lint.document();
    lint.headings();
    lint.findings.sorted()
}

struct Lint<'r> {
    runbook: &'r Runbook,
    findings: Findings<'r>,
    ids: Vec<String>,
    used_params: BTreeSet<String>,
}

/// Where an expression stands: what it may name depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    When,
    With,
    Expect,
}

impl Place {
    fn names(self) -> &'static [&'static str] {
        match self {
            Place::When | Place::With => &["params", "run", "steps"],
            Place::Expect => &["params", "result", "run", "steps"],
        }
    }
}

impl Lint<'_> {
    fn duplicates(&mut self) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let runbook = self.runbook;
        for step in runbook.steps() {
            if matches!(step.id.as_str(), "in" | "true" | "false" | "null") {
                self.findings.warn(
                    "word-as-id",
                    step.marks.id.span,
                    format!(
                        "`{}` is a word of the expression language: no expression can name this step",
                        step.id
                    ),
                    Some("Give it another id.".to_owned()),
                );
            }
            if let Some(first) = seen.get(step.id.as_str()) {
                let line = runbook.source.position(first.start).0;
                self.findings.error(
                    "duplicate-id",
                    step.marks.id.span,
                    format!("step `{}` stands already at line {line}", step.id),
                );
            } else {
                seen.insert(&step.id, step.marks.id.span);
            }
        }
    }

    fn needs(&mut self) {
        let runbook = self.runbook;
        for (at, step) in runbook.steps().enumerate() {
            for (need, text) in step.needs.iter().flatten().zip(&step.marks.needs) {
                match self.ids.iter().position(|id| id == need) {
                    None => self.findings.error_with(
                        "unknown-need",
                        text.span,
                        format!("`needs` names `{need}`, which is no step of this runbook"),
                        did_you_mean(need, self.ids.iter().map(String::as_str)),
                    ),
                    Some(other) if other == at => self.findings.error(
                        "cycle",
                        text.span,
                        format!("step `{need}` waits for itself"),
                    ),
                    Some(other) if other > at => {
                        let message = match self.chain(need, &step.id) {
                            Some(chain) => format!(
                                "steps wait for each other: `{}` → `{}`",
                                step.id,
                                chain.join("` → `")
                            ),
                            None => format!("`needs` names `{need}`, which comes later"),
                        };
                        let code = if message.contains('→') {
                            "cycle"
                        } else {
                            "later-step"
                        };
                        self.findings.error_with(
                            code,
                            text.span,
                            message,
                            Some(
                                "A person reads from top to bottom: put the step that is needed first."
                                    .to_owned(),
                            ),
                        );
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// The steps from `from` to `to` along `needs`, both included.
    fn chain(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut paths = vec![vec![from.to_owned()]];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            let last = path.last()?.clone();
            if last == to {
                return Some(path);
            }
            if !seen.insert(last.clone()) {
                continue;
            }
            let step = self.runbook.steps().find(|s| s.id == last);
            for need in step.map(|s| self.runbook.needs(s)).unwrap_or_default() {
                let mut longer = path.clone();
                longer.push(need);
                paths.push(longer);
            }
        }
        None
    }

    /// The steps that are sure to be over when `step` starts.
    fn before(&self, step: &StepBlock) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = self.runbook.needs(step);
        while let Some(id) = open.pop() {
            if id != step.id
                && found.insert(id.clone())
                && let Some(other) = self.runbook.steps().find(|s| s.id == id)
            {
                open.extend(self.runbook.needs(other));
            }
        }
        found
    }

    fn step(&mut self, step: &StepBlock, kinds: &[KindInfo]) {
        match kinds.iter().find(|k| k.kind == step.uses) {
            None => self.findings.error_with(
                "unknown-step-kind",
                step.marks.uses.span,
                format!("there is no step kind `{}`", step.uses),
                crate::expr::nearest(&step.uses, kinds.iter().map(|k| k.kind.as_str()))
                    .map(|near| format!("Did you mean `{near}`?"))
                    .or_else(|| self.same_group(&step.uses, kinds)),
            ),
            Some(kind) => self.args(step, kind),
        }
        if step.uses == EXEC {
            self.shell_line(step);
        }
        self.expressions(step);
        if !step.marks.has_prose {
            self.findings.warn(
                "no-prose",
                step.marks.id.span,
                format!("no prose leads to step `{}`", step.id),
                Some("Say what somebody does who follows this by hand.".to_owned()),
            );
        }
    }

    fn same_group(&self, wanted: &str, kinds: &[KindInfo]) -> Option<String> {
        let group = wanted.split('.').next()?;
        let same: Vec<&str> = kinds
            .iter()
            .map(|k| k.kind.as_str())
            .filter(|k| k.split('.').next() == Some(group))
            .collect();
        if same.is_empty() {
            let all: Vec<&str> = kinds.iter().map(|k| k.kind.as_str()).collect();
            return did_you_mean(wanted, all);
        }
        Some(format!("There are: `{}`.", same.join("`, `")))
    }

    fn args(&mut self, step: &StepBlock, kind: &KindInfo) {
        let uses = step.marks.uses.span;
        let none = Node {
            yaml: Yaml::Map(Vec::new()),
            span: uses,
        };
        let given = step
            .marks
            .with
            .as_ref()
            .filter(|n| matches!(n.yaml, Yaml::Map(_)));
        let whole = format!("step kind `{}`", kind.kind);
        for problem in schema::check(&kind.args_schema, given.unwrap_or(&none), &whole) {
            self.findings.error_with(
                "bad-args",
                problem.span,
                problem.message,
                problem.suggestion,
            );
        }
    }

    /// `sh -c "…"` is a shell line again, whose quoting, pipes and exit codes nobody checks.
    fn shell_line(&mut self, step: &StepBlock) {
        let Some(Yaml::List(argv)) = step
            .marks
            .with
            .as_ref()
            .and_then(|with| with.field("argv"))
            .map(|argv| &argv.yaml)
        else {
            return;
        };
        let word = |at: usize| match argv.get(at).map(|n| &n.yaml) {
            Some(Yaml::Text(text)) => text.value.as_str(),
            _ => "",
        };
        let program = word(0).rsplit('/').next().unwrap_or("");
        let is_shell = matches!(program, "sh" | "bash" | "dash" | "zsh" | "ksh" | "ash");
        let is_line = argv.iter().skip(1).any(|n| match &n.yaml {
            Yaml::Text(t) => {
                t.value.starts_with('-') && !t.value.starts_with("--") && t.value.ends_with('c')
            }
            _ => false,
        });
        if is_shell && is_line {
            self.findings.error_with(
                "shell-line",
                argv[0].span,
                "`argv` hides a shell line, in which a failure inside a pipe goes unseen",
                Some("Name the program itself, one argument per entry.".to_owned()),
            );
        }
    }

    fn expressions(&mut self, step: &StepBlock) {
        let before = self.before(step);
        if let Some(with) = &step.marks.with {
            let mut texts: Vec<&Text> = Vec::new();
            with.texts(&mut |text| texts.push(text));
            for text in texts {
                match Template::parse_text(&text.value) {
                    Err(fault) => self.fault(text, &fault),
                    Ok(template) => {
                        for reference in template.references_in_text() {
                            self.reference(step, text, &reference, Place::With, &before);
                        }
                    }
                }
            }
        }
        if let Some(when) = &step.marks.when {
            self.expression(step, when, Place::When, &before);
        }
        for expect in &step.marks.expect {
            self.expression(step, expect, Place::Expect, &before);
        }
    }

    fn expression(
        &mut self,
        step: &StepBlock,
        text: &Text,
        place: Place,
        before: &BTreeSet<String>,
    ) {
        let trimmed = text.value.trim();
        if trimmed.starts_with("${") && trimmed.ends_with('}') {
            self.findings.error_with(
                "expression",
                text.span,
                "this is an expression already",
                Some("Leave out `${` and `}` here.".to_owned()),
            );
            return;
        }
        match Expr::check(&text.value) {
            Err(fault) => self.fault(text, &fault),
            Ok(expr) => {
                for reference in expr.references() {
                    self.reference(step, text, reference, place, before);
                }
            }
        }
    }

    fn fault(&mut self, text: &Text, fault: &Fault) {
        self.findings.error_with(
            "expression",
            text.at(fault.range.clone()),
            fault.message.clone(),
            fault.hint.clone(),
        );
    }

    fn reference(
        &mut self,
        step: &StepBlock,
        text: &Text,
        reference: &Reference,
        place: Place,
        before: &BTreeSet<String>,
    ) {
        let span = text.at(reference.range.clone());
        match (reference.root(), reference.path.get(1)) {
            ("params", Some(name)) => {
                self.used_params.insert(name.clone());
                if self.runbook.param(name).is_none() {
                    let names = self.runbook.params.iter().map(|p| p.name.as_str());
                    self.findings.error_with(
                        "unknown-param",
                        span,
                        format!("this runbook has no parameter `{name}`"),
                        did_you_mean(name, names),
                    );
                }
            }
            ("params", None) => {
                let all = self.runbook.params.iter().map(|p| p.name.clone());
                self.used_params.extend(all);
            }
            ("steps", Some(id)) => match reference.path.get(2) {
                Some(field) if field != "out" && self.ids.contains(id) => {
                    self.findings.error_with(
                        "unknown-name",
                        span,
                        format!("a step has no `{field}` for others to read"),
                        Some(format!("Its result is `steps.{id}.out`.")),
                    );
                }
                _ => self.step_reference(step, id, span, before),
            },
            ("steps", None) => self.findings.error(
                "unknown-step",
                span,
                "`steps` alone says nothing: name one, as in `steps.id.out`",
            ),
            (root, _) if place.names().contains(&root) => {}
            ("result", _) => self.findings.error_with(
                "unknown-name",
                span,
                "`result` is known only after the step, in `expect`",
                None,
            ),
            (root, _) => self.findings.error_with(
                "unknown-name",
                span,
                format!("unknown name `{root}`"),
                did_you_mean(root, place.names().iter().copied()),
            ),
        }
    }

    fn step_reference(
        &mut self,
        step: &StepBlock,
        id: &str,
        span: Span,
        before: &BTreeSet<String>,
    ) {
        if before.contains(id) {
            return;
        }
        if id == step.id {
            return self.findings.error_with(
                "later-step",
                span,
                format!("step `{id}` reads its own result"),
                Some("In `expect`, it is `result`.".to_owned()),
            );
        }
        let here = self.ids.iter().position(|i| *i == step.id);
        match self.ids.iter().position(|i| i == id) {
            None => self.findings.error_with(
                "unknown-step",
                span,
                format!("there is no step `{id}` in this runbook"),
                did_you_mean(id, self.ids.iter().map(String::as_str)),
            ),
            Some(there) if Some(there) > here => self.findings.error(
                "later-step",
                span,
                format!("step `{id}` comes later, so its result is not known here"),
            ),
            Some(_) => self.findings.error_with(
                "not-needed-step",
                span,
                format!(
                    "step `{}` does not wait for `{id}`, whose result it reads",
                    step.id
                ),
                Some(format!("Add `{id}` to its `needs`.")),
            ),
        }
    }

    fn document(&mut self) {
        let runbook = self.runbook;
        let front = runbook.marks.front.unwrap_or(Span::new(0, 1));
        let head = Span::new(front.start, front.start + 3);
        if self.ids.is_empty() {
            self.findings.warn(
                "no-steps",
                head,
                "the runbook has no step, so there is nothing to run",
                None,
            );
        }
        let by_hand = |step: &StepBlock| step.uses == MANUAL || step.uses == EXEC;
        if !self.ids.is_empty() && runbook.steps().all(by_hand) && runbook.why_manual.is_none() {
            self.findings.error_with(
                "only-manual",
                head,
                "every step is `manual` or `exec`, so nothing is measured or checked",
                Some(
                    "Use the step kinds of `summitctl explain steps`, or say in `why-manual:` why none fits."
                        .to_owned(),
                ),
            );
        }
        for param in &runbook.params {
            if !self.used_params.contains(&param.name) {
                self.findings.warn(
                    "unused-param",
                    param.span,
                    format!("parameter `{}` is never used", param.name),
                    None,
                );
            }
        }
    }

    fn headings(&mut self) {
        let mut last = 0;
        let mut titles = 0;
        for section in self.runbook.sections.iter().filter(|s| s.level > 0) {
            if section.level == 1 {
                titles += 1;
                if titles > 1 {
                    self.findings.warn(
                        "heading-order",
                        section.span,
                        "a second title",
                        Some("Use `##` for the parts of a runbook.".to_owned()),
                    );
                }
            }
            // Without a title of its own, a body starts at `##`.
            let deepest = last.max(1) + 1;
            if section.level > deepest {
                self.findings.warn(
                    "heading-order",
                    section.span,
                    format!("heading `{}` skips a level", section.title),
                    Some(format!("Use `{}`.", "#".repeat(usize::from(deepest)))),
                );
            }
            last = section.level;
        }
    }
}
