//! The one expression language: CEL, for `expect`, `when` and `${ … }`.
//!
//! Expressions are bounded in length and depth, see only the [`Scope`] they are given, and cannot reach the outside.
//! Their errors point at the place in the text and never show the contents of a variable, which may be a secret.
//!
//! Two things differ from plain CEL: a field name after a dot may hold hyphens (`result.row-count`; a subtraction
//! is written with spaces), and `seconds('1h30m')` gives a duration as a number of seconds.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::reasons;

mod convert;
mod lex;
mod refs;
mod template;

pub use lex::{MAX_DEPTH, MAX_LEN, MAX_TOKENS};
pub use refs::Reference;
pub use template::Template;

reasons! {
    /// An expression does not parse.
    SYNTAX = "expression.syntax", Usage,
        "An expression in `expect`, `when` or `${ … }` is not valid. The excerpt points at the place. Expressions are CEL: \
         `result.verdict != 'alive' && size(result.rows) > 0`.";
    /// An expression names something that is not there.
    UNKNOWN_NAME = "expression.unknown-name", Usage,
        "An expression uses a name or a field that does not exist at that point. `has(result.field)` asks whether a field is there.";
    /// An expression could not be evaluated.
    EVALUATION = "expression.evaluation", Failed,
        "An expression is well-formed, but its operands do not fit: the wrong types, a division by zero, an index beyond \
         the end. What it would have decided counts as not evaluated, never as true.";
}

/// Something wrong in a text, at a place: the byte range counts from the start of the text that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// Where, in bytes.
    pub range: Range<usize>,
    /// What to do about it: a full sentence.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Fault {
            message: message.into(),
            range,
            hint: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same fault in a text of which the parsed one is a part that starts at `offset`.
    #[must_use]
    pub fn shifted(mut self, offset: usize) -> Self {
        self.range = self.range.start + offset..self.range.end + offset;
        self
    }

    /// As an error with the text shown and a caret below the place.
    pub fn into_error(self, text: &str) -> Error {
        let shown = excerpt(None, text, self.range.clone(), "");
        let error = Error::new(&SYNTAX, self.message).excerpt(shown);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The line of `text` that holds `range`, with its number, and a caret below the place.
///
/// `name` is the file's name, shown above with line and column (both from 1, columns in characters); `label` stands
/// behind the caret. A long line is cut around the place.
pub fn excerpt(name: Option<&str>, text: &str, range: Range<usize>, label: &str) -> String {
    const WIDTH: usize = 100;
    let start = floor_boundary(text, range.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let number = text[..line_start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count();
    let end = floor_boundary(text, range.end.clamp(start, line_end));
    let carets = text[start..end].chars().count().max(1);
    let line: Vec<char> = text[line_start..line_end]
        .trim_end_matches('\r')
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let from = if line.len() > WIDTH && column > WIDTH / 2 {
        (column - WIDTH / 2).min(line.len() - WIDTH.min(line.len()))
    } else {
        0
    };
    let to = line.len().min(from + WIDTH);
    let shown: String = line[from.min(to)..to].iter().collect();
    let gutter = number.to_string();
    let pad = " ".repeat(gutter.len());
    let place = name.map_or(String::new(), |name| {
        format!("{pad}--> {name}:{number}:{}\n{pad} |\n", column + 1)
    });
    let carets = "^".repeat(carets.min(to.saturating_sub(column).max(1)));
    let indent = " ".repeat(column - from.min(column));
    format!("{place}{gutter} | {shown}\n{pad} | {indent}{carets} {label}")
        .trim_end()
        .to_owned()
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The names an expression may use, each with its value.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    roots: Vec<(String, Value)>,
}

impl Scope {
    /// A scope without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name, or replaces its value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a name, or replaces its value.
    pub fn set(&mut self, name: &str, value: Value) {
        self.roots.retain(|(n, _)| n != name);
        self.roots.push((name.to_owned(), value));
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.roots.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The value at the end of a path such as `["steps", "lock", "out"]`.
    pub fn path(&self, path: &[String]) -> Option<&Value> {
        let (root, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.get(root)?, |value, field| value.get(field))
    }

    fn names(&self) -> Vec<&str> {
        self.roots.iter().map(|(n, _)| n.as_str()).collect()
    }
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Expr {
    source: String,
    canonical: String,
    tree: Arc<cel::IdedExpr>,
    references: Vec<Reference>,
    /// Where it stands in the text of its template.
    offset: usize,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Expr {}

impl Expr {
    /// Parses an expression; the error shows the text with a caret below the place.
    pub fn parse(text: &str) -> Result<Self> {
        Self::check(text).map_err(|fault| fault.into_error(text))
    }

    /// Parses an expression; the fault's range lies in `text`, for callers that know where the text stands in a file.
    pub fn check(text: &str) -> Result<Self, Fault> {
        let tokens = lex::tokens(text)?;
        for token in &tokens {
            words_of_other_languages(token, text)?;
        }
        let (cel, origin) = lex::to_cel(text, &tokens);
        let parse = || {
            let (tree, places) = convert::environment()
                .parser()
                .enable_optional_syntax(false)
                .enable_ident_escape_syntax(true)
                .max_recursion_depth(64)
                .parse_with_source_info(&cel)
                .map_err(|errors| parse_fault(&errors, text, &tokens, &cel, &origin))?;
            let references = refs::collect(&tree, &places, &origin, text)?;
            Ok((tree, references))
        };
        let (tree, references) = on_own_stack(parse).unwrap_or_else(|| {
            Err(Fault::new(
                0..text.len(),
                "the parser gave up on this expression",
            ))
        })?;
        Ok(Expr {
            source: text.to_owned(),
            canonical: lex::canonical(text, &tokens),
            tree: Arc::new(tree),
            references,
            offset: 0,
        })
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text with one spacing: what a plan's digest covers.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Every variable the expression reads, with the fields that follow it as far as they are fixed.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The value in `scope`.
    pub fn eval(&self, scope: &Scope) -> Result<Value> {
        let context = self.context(scope)?;
        let value = on_own_stack(|| cel::Value::resolve(&self.tree, &context))
            .ok_or_else(|| {
                Error::new(
                    &EVALUATION,
                    format!("the evaluator gave up on `{}`", self.source),
                )
            })?
            .map_err(|error| self.evaluation_error(&error, scope))?;
        convert::from_cel(&value).map_err(|what| {
            Error::new(
                &EVALUATION,
                format!("`{}` gives {what}, which is not a JSON value", self.source),
            )
        })
    }

    /// The value in `scope`, which must be true or false.
    pub fn eval_bool(&self, scope: &Scope) -> Result<bool> {
        match self.eval(scope)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(Error::new(
                &EVALUATION,
                format!(
                    "`{}` gives {}, not true or false",
                    self.source,
                    convert::kind(&other)
                ),
            )
            .hint("Compare it with something: `… == 0`, `… != ''`, `size(…) > 0`.")),
        }
    }

    /// What each reference stands for in `scope`, with secret values masked: shown beside an expectation that failed.
    pub fn operands(&self, scope: &Scope) -> Vec<(String, Option<Value>)> {
        let mut seen = Vec::new();
        for reference in &self.references {
            let name = reference.to_string();
            if seen.iter().all(|(n, _)| *n != name) {
                let mut value = scope.path(&reference.path).cloned();
                if let Some(value) = &mut value {
                    crate::secret::mask_json(value);
                }
                seen.push((name, value));
            }
        }
        seen
    }

    fn context(&self, scope: &Scope) -> Result<cel::Context<'static, 'static>> {
        let mut context = cel::Context::with_env(Arc::clone(convert::environment()));
        for reference in &self.references {
            let root = reference.root();
            let Some(value) = scope.get(root) else {
                let names = scope.names();
                let error = Error::new(&UNKNOWN_NAME, format!("unknown name `{root}`"))
                    .excerpt(excerpt(None, &self.source, reference.range.clone(), ""));
                return Err(match crate::expr::nearest(root, names.iter().copied()) {
                    Some(near) => error.hint(format!("Did you mean `{near}`?")),
                    None if names.is_empty() => error.hint("No names can be used here."),
                    None => {
                        error.hint(format!("These can be used here: `{}`.", names.join("`, `")))
                    }
                });
            };
            if context.get_variable(root).is_none() {
                context.add_variable_from_value(root, convert::to_cel(value));
            }
        }
        context
            .add_function("seconds", convert::seconds)
            .map_err(|e| Error::bug("cannot declare `seconds`").caused_by(e))?;
        Ok(context)
    }

    fn evaluation_error(&self, error: &cel::ExecutionError, scope: &Scope) -> Error {
        if let cel::ExecutionError::NoSuchKey(_) = error
            && let Some(error) = self.missing_field(scope)
        {
            return error;
        }
        let (reason, message) = convert::describe(error, &self.source);
        Error::new(
            reason,
            format!("cannot evaluate `{}`: {message}", self.source),
        )
    }

    /// The reference whose path breaks off in `scope`, with the nearest name that is there.
    fn missing_field(&self, scope: &Scope) -> Option<Error> {
        self.references.iter().find_map(|reference| {
            (1..reference.path.len()).find_map(|depth| {
                let parent = scope.path(&reference.path[..depth])?.as_object()?;
                let field = &reference.path[depth];
                if parent.contains_key(field) {
                    return None;
                }
                let shown = refs::dotted(&reference.path[..depth]);
                let error = Error::new(&UNKNOWN_NAME, format!("`{shown}` has no field `{field}`"))
                    .excerpt(excerpt(None, &self.source, reference.range.clone(), ""));
                Some(match nearest(field, parent.keys().map(String::as_str)) {
                    Some(near) => error.hint(format!("Did you mean `{near}`?")),
                    None => error.hint(format!(
                        "Ask first whether it is there: `has({shown}.{field})`."
                    )),
                })
            })
        })
    }
}

/// Runs the foreign parser or evaluator on a stack of its own.
///
/// Both recurse with large frames, deeper than the stack of an asynchronous task allows at our limits. A panic in
/// there ends that thread alone and gives `None`.
fn on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 16 << 20;
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("expression".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .ok()?
            .join()
            .ok()
    })
}

/// The candidate nearest to `wanted`, if one is near enough to be what was meant.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted_lower = wanted.to_lowercase();
    candidates
        .into_iter()
        .filter(|c| *c != wanted)
        .map(|c| {
            (
                strsim::damerau_levenshtein(&wanted_lower, &c.to_lowercase()),
                c,
            )
        })
        .filter(|(distance, c)| {
            let longer = wanted.len().max(c.len());
            *distance <= (longer / 3).max(1) && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `and`, `or` and `not` are what people write first.
fn words_of_other_languages(token: &lex::Token, text: &str) -> Result<(), Fault> {
    let sign = match (token.kind, token.text(text)) {
        (lex::Kind::Name, "and") => "&&",
        (lex::Kind::Name, "or") => "||",
        (lex::Kind::Name, "not") => "!",
        _ => return Ok(()),
    };
    Err(Fault::new(
        token.range.clone(),
        format!("`{}` is written `{sign}` here", token.text(text)),
    ))
}

/// The first of the grammar's complaints in our words; its own speak of rule names and token classes.
fn parse_fault(
    errors: &cel::ParseErrors,
    text: &str,
    tokens: &[lex::Token],
    cel: &str,
    origin: &[usize],
) -> Fault {
    let end = text.trim_end().len();
    let Some(error) = errors.errors.first() else {
        return Fault::new(0..end, "this is not an expression");
    };
    let at =
        convert::offset_of(cel, error.pos).map_or(end, |at| origin.get(at).copied().unwrap_or(end));
    if error.msg.contains("ecursion") {
        return Fault::new(0..end, "the expression is nested too deeply");
    }
    let Some(token) = tokens.iter().find(|t| t.range.contains(&at)) else {
        return Fault::new(end.saturating_sub(1)..end, "the expression breaks off here");
    };
    let word = token.text(text);
    if error.msg.starts_with("Syntax error") {
        let fault = Fault::new(
            token.range.clone(),
            format!("`{word}` is not expected here"),
        );
        return match token.kind {
            lex::Kind::Number => fault.hint("A duration is written as a text: `seconds('15m')`."),
            _ => fault,
        };
    }
    Fault::new(
        token.range.clone(),
        format!("`{word}`: {}", error.msg.to_lowercase()),
    )
}

#[cfg(test)]
mod tests;
