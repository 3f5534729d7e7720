//! The text of a runbook, places in it, and what is said about them.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expr;
use crate::secret;

/// A range of bytes in a runbook's file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// From `start` to just before `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Span::new(range.start, range.end)
    }
}

/// A file's text and the name to call it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    lines: Vec<usize>,
}

impl Source {
    /// Takes a text; `name` is a path, or a name such as `built-in:smoke`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Source {
            name: name.into(),
            text,
            lines,
        }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }

    /// The line that holds `span`, with file, line, column and a caret.
    pub fn excerpt(&self, span: Span, label: &str) -> String {
        expr::excerpt(Some(&self.name), &self.text, span.start..span.end, label)
    }
}

/// Whether a runbook can be used in spite of a finding.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The runbook cannot be planned.
    Error,
    /// It can, but a person will stumble.
    Warning,
}

impl Severity {
    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A finding about a runbook's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnostic {
    /// Whether the runbook can be used in spite of it.
    pub severity: Severity,
    /// Stable, kebab-case, such as `unknown-step-kind`.
    pub code: String,
    /// What is wrong: a lower-case fragment, names and values in backticks.
    pub message: String,
    /// Where, in bytes.
    pub span: Span,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What to do: a full sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// The finding as text: severity and code, message, the line with a caret, the suggestion.
    pub fn render(&self, source: &Source) -> String {
        let mut out = format!(
            "{}[{}]: {}\n{}\n",
            self.severity.word(),
            self.code,
            self.message,
            source.excerpt(self.span, "")
        );
        if let Some(suggestion) = &self.suggestion {
            out.push_str(&format!("  hint: {suggestion}\n"));
        }
        secret::mask(&out).into_owned()
    }
}

/// Collects findings about one source.
pub(super) struct Findings<'a> {
    pub source: &'a Source,
    pub list: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub fn new(source: &'a Source) -> Self {
        Findings {
            source,
            list: Vec::new(),
        }
    }

    pub fn error(&mut self, code: &str, span: Span, message: impl Into<String>) {
        self.add(Severity::Error, code, span, message.into(), None);
    }

    pub fn error_with(
        &mut self,
        code: &str,
        span: Span,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.add(Severity::Error, code, span, message.into(), suggestion);
    }

    pub fn warn(
        &mut self,
        code: &str,
        span: Span,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.add(Severity::Warning, code, span, message.into(), suggestion);
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &str,
        span: Span,
        message: String,
        suggestion: Option<String>,
    ) {
        let (line, column) = self.source.position(span.start);
        self.list.push(Diagnostic {
            severity,
            code: code.to_owned(),
            message: secret::mask(&message).into_owned(),
            span,
            line,
            column,
            suggestion,
        });
    }

    /// The findings in the order of the text.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|a, b| {
            (a.span.start, a.severity, &a.code).cmp(&(b.span.start, b.severity, &b.code))
        });
        self.list.dedup();
        self.list
    }
}

/// `Did you mean …?`, if a candidate is near; else what there is to choose from.
pub(super) fn did_you_mean<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(near) = expr::nearest(wanted, candidates.clone()) {
        return Some(format!("Did you mean `{near}`?"));
    }
    let mut all: Vec<&str> = Vec::new();
    for candidate in candidates {
        if !all.contains(&candidate) {
            all.push(candidate);
        }
    }
    match all.len() {
        0 => None,
        1..=14 => Some(format!("There are: `{}`.", all.join("`, `"))),
        _ => None,
    }
}
