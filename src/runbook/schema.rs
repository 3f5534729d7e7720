//! A step's arguments against its kind's JSON schema, with findings that point into the runbook.
//!
//! It knows the part of JSON Schema that schemars writes for our argument types. A text that holds `${ … }` is checked
//! as far as its type is known before the run: a lone expression may become anything.

use serde_json::{Map, Value};

use super::source::{Span, did_you_mean};
use super::yaml::{Node, Yaml};
use crate::expr::Template;

/// Deeper than any argument type; a schema may refer to itself.
const MAX_DEPTH: usize = 32;

/// Something about one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub span: Span,
    pub message: String,
    pub suggestion: Option<String>,
}

/// Checks `node`; `whole` names it in messages as long as no argument is entered: ``step kind `smoke.run` ``.
pub(super) fn check(schema: &Value, node: &Node, whole: &str) -> Vec<Problem> {
    let checker = Checker {
        root: schema,
        whole,
    };
    checker.check(schema, node, &mut Vec::new())
}

struct Checker<'a> {
    root: &'a Value,
    whole: &'a str,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, node: &Node, path: &mut Vec<String>) -> Vec<Problem> {
        let Some(schema) = self.resolve(schema) else {
            return Vec::new();
        };
        if path.len() > MAX_DEPTH || is_symbolic(node) {
            return Vec::new();
        }
        let mut problems = self.check_type(schema, node, path);
        if !problems.is_empty() {
            return problems;
        }
        for part in list(schema, "allOf") {
            problems.extend(self.check(part, node, path));
        }
        for key in ["anyOf", "oneOf"] {
            let branches: Vec<&Value> = list(schema, key).collect();
            if !branches.is_empty() {
                problems.extend(self.check_branches(&branches, node, path));
            }
        }
        problems.extend(self.check_words(schema, node, path));
        match &node.yaml {
            Yaml::Map(_) => problems.extend(self.check_object(schema, node, path)),
            Yaml::List(items) => problems.extend(self.check_list(schema, node, items, path)),
            Yaml::Int(n) => problems.extend(self.check_bounds(schema, *n as f64, node, path)),
            Yaml::Float(n) => problems.extend(self.check_bounds(schema, *n, node, path)),
            _ => {}
        }
        problems
    }

    /// Follows `$ref` into the schema's own definitions; `None` for a schema that says nothing.
    fn resolve<'s>(&'s self, mut schema: &'s Value) -> Option<&'s Map<String, Value>> {
        for _ in 0..MAX_DEPTH {
            let object = schema.as_object()?;
            match object.get("$ref").and_then(Value::as_str) {
                None => return Some(object),
                Some(target) => schema = self.root.pointer(target.strip_prefix('#')?)?,
            }
        }
        None
    }

    fn name(&self, path: &[String]) -> String {
        if path.is_empty() {
            self.whole.to_owned()
        } else {
            format!("`{}`", path.join("."))
        }
    }

    fn check_type(
        &self,
        schema: &Map<String, Value>,
        node: &Node,
        path: &[String],
    ) -> Vec<Problem> {
        let wanted: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => return Vec::new(),
        };
        let fits = wanted.iter().any(|wanted| {
            matches!(
                (*wanted, &node.yaml),
                ("null", Yaml::Null)
                    | ("boolean", Yaml::Bool(_))
                    | ("integer", Yaml::Int(_))
                    | ("number", Yaml::Int(_) | Yaml::Float(_))
                    | ("string", Yaml::Text(_))
                    | ("array", Yaml::List(_))
                    | ("object", Yaml::Map(_))
            )
        });
        if fits {
            return Vec::new();
        }
        let words: Vec<&str> = wanted
            .iter()
            .filter(|w| **w != "null")
            .map(|w| type_word(w))
            .collect();
        let quote = wanted.contains(&"string")
            && matches!(node.yaml, Yaml::Int(_) | Yaml::Float(_) | Yaml::Bool(_));
        vec![Problem {
            span: node.span,
            message: format!(
                "{} is {}, not {}",
                self.name(path),
                words.join(" or "),
                node.kind()
            ),
            suggestion: quote.then(|| "Put it in quotes.".to_owned()),
        }]
    }

    /// `const`, `enum`, and the one pattern our types write: a duration's.
    fn check_words(
        &self,
        schema: &Map<String, Value>,
        node: &Node,
        path: &[String],
    ) -> Vec<Problem> {
        let Yaml::Text(text) = &node.yaml else {
            return Vec::new();
        };
        if !is_plain(&text.value) {
            return Vec::new();
        }
        let mut allowed: Vec<&str> = list(schema, "enum").filter_map(Value::as_str).collect();
        allowed.extend(schema.get("const").and_then(Value::as_str));
        if !allowed.is_empty() && !allowed.contains(&text.value.as_str()) {
            return vec![self.wrong_word(&text.value, node.span, &allowed, path)];
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        if pattern.is_some()
            && pattern == duration_pattern().as_deref()
            && let Err(error) = text.value.parse::<crate::time::Span>()
        {
            return vec![Problem {
                span: node.span,
                message: format!("{}: {error}", self.name(path)),
                suggestion: error.hints().first().map(|h| (*h).to_owned()),
            }];
        }
        Vec::new()
    }

    fn wrong_word(&self, word: &str, span: Span, allowed: &[&str], path: &[String]) -> Problem {
        Problem {
            span,
            message: format!("{} cannot be `{word}`", self.name(path)),
            suggestion: did_you_mean(word, allowed.iter().copied()),
        }
    }

    /// At least one branch must fit; if none does, the complaint is that of the branch that was probably meant.
    fn check_branches(
        &self,
        branches: &[&Value],
        node: &Node,
        path: &mut Vec<String>,
    ) -> Vec<Problem> {
        if let Yaml::Text(text) = &node.yaml {
            let words: Vec<&str> = branches
                .iter()
                .filter_map(|b| self.resolve(b)?.get("const")?.as_str())
                .collect();
            if words.len() == branches.len() && is_plain(&text.value) {
                return if words.contains(&text.value.as_str()) {
                    Vec::new()
                } else {
                    vec![self.wrong_word(&text.value, node.span, &words, path)]
                };
            }
        }
        let mut nearest: Option<(usize, Vec<Problem>)> = None;
        for branch in branches {
            let problems = self.check(branch, node, path);
            if problems.is_empty() {
                return problems;
            }
            let distance = problems.len() + 100 * usize::from(self.is_other_kind(branch, node));
            if nearest.as_ref().is_none_or(|(best, _)| distance < *best) {
                nearest = Some((distance, problems));
            }
        }
        nearest.map(|(_, problems)| problems).unwrap_or_default()
    }

    /// Whether a branch is for another type, or for another tag of a tagged enum, than what stands there.
    fn is_other_kind(&self, branch: &Value, node: &Node) -> bool {
        let Some(schema) = self.resolve(branch) else {
            return false;
        };
        if !self.check_type(schema, node, &[]).is_empty() {
            return true;
        }
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return false;
        };
        properties.iter().any(|(key, property)| {
            let tag = property.get("const").and_then(Value::as_str);
            match (tag, node.field(key).map(|n| &n.yaml)) {
                (Some(tag), Some(Yaml::Text(text))) => tag != text.value,
                (Some(_), _) => true,
                (None, _) => false,
            }
        })
    }

    fn check_object(
        &self,
        schema: &Map<String, Value>,
        node: &Node,
        path: &mut Vec<String>,
    ) -> Vec<Problem> {
        let Yaml::Map(fields) = &node.yaml else {
            return Vec::new();
        };
        let empty = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let mut problems = Vec::new();
        for (key, value) in fields {
            let known = properties.get(&key.value);
            let other = schema.get("additionalProperties");
            let Some(schema) = known.or(other) else {
                continue;
            };
            if known.is_none() && *schema == Value::Bool(false) {
                problems.push(Problem {
                    span: key.span,
                    message: format!(
                        "{} has no {} `{}`",
                        self.name(path),
                        if path.is_empty() { "argument" } else { "key" },
                        key.value
                    ),
                    suggestion: did_you_mean(&key.value, properties.keys().map(String::as_str))
                        .or_else(|| properties.is_empty().then(|| "It takes none.".to_owned())),
                });
                continue;
            }
            path.push(key.value.clone());
            problems.extend(self.check(schema, value, path));
            path.pop();
        }
        for name in list(schema, "required").filter_map(Value::as_str) {
            if node.field(name).is_none() {
                problems.push(Problem {
                    span: Span::new(node.span.start, node.span.start + 1),
                    message: format!("{} needs `{name}`", self.name(path)),
                    suggestion: properties
                        .get(name)
                        .and_then(|p| p.get("description"))
                        .and_then(Value::as_str)
                        .map(|d| format!("`{name}`: {}", d.replace('\n', " "))),
                });
            }
        }
        problems
    }

    fn check_list(
        &self,
        schema: &Map<String, Value>,
        node: &Node,
        items: &[Node],
        path: &mut Vec<String>,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let min = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if (items.len() as u64) < min {
            problems.push(Problem {
                span: node.span,
                message: format!("{} needs at least {min} entries", self.name(path)),
                suggestion: None,
            });
        }
        if let Some(schema) = schema.get("items") {
            for (at, item) in items.iter().enumerate() {
                path.push(at.to_string());
                problems.extend(self.check(schema, item, path));
                path.pop();
            }
        }
        problems
    }

    fn check_bounds(
        &self,
        schema: &Map<String, Value>,
        number: f64,
        node: &Node,
        path: &[String],
    ) -> Option<Problem> {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let message = match (bound("minimum"), bound("maximum")) {
            (Some(min), _) if number < min => format!("{} is at least {min}", self.name(path)),
            (_, Some(max)) if number > max => format!("{} is at most {max}", self.name(path)),
            _ => return None,
        };
        Some(Problem {
            span: node.span,
            message,
            suggestion: None,
        })
    }
}

fn list<'s>(schema: &'s Map<String, Value>, key: &str) -> impl Iterator<Item = &'s Value> {
    schema
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn type_word(name: &str) -> &'static str {
    match name {
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    }
}

/// A lone `${ … }`, whose type is known only in the run; one that does not parse is reported elsewhere.
fn is_symbolic(node: &Node) -> bool {
    match &node.yaml {
        Yaml::Text(text) => !matches!(
            Template::parse_text(&text.value),
            Ok(Template::Literal(_) | Template::Text(_))
        ),
        _ => false,
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains("${")
}

/// The pattern by which a duration's schema is known.
fn duration_pattern() -> Option<String> {
    let schema = schemars::schema_for!(crate::time::Span);
    schema.get("pattern")?.as_str().map(str::to_owned)
}
