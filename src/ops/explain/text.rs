//! Explanations as text, and schemas in words.

use std::fmt;

use serde_json::Value;

use super::{Explanation, Subject};

/// What a property of a schema may be, in a few words.
pub(super) fn form(property: &Value, root: &Value) -> String {
    form_at(property, root, 0)
}

fn form_at(property: &Value, root: &Value, depth: usize) -> String {
    if depth > 8 {
        return "a value".to_owned();
    }
    let next = |p: &Value| form_at(p, root, depth + 1);
    if let Some(target) = property["$ref"].as_str() {
        let found = target.strip_prefix('#').and_then(|path| root.pointer(path));
        return found.map_or_else(|| "a value".to_owned(), next);
    }
    if let Some(word) = property["const"].as_str() {
        return format!("`{word}`");
    }
    for key in ["enum", "oneOf", "anyOf"] {
        if let Some(many) = property[key].as_array() {
            let mut words: Vec<String> = many
                .iter()
                .map(|m| m.as_str().map_or_else(|| next(m), |w| format!("`{w}`")))
                .filter(|w| w != "nothing" && w != "null")
                .collect();
            words.dedup();
            return words.join(" or ");
        }
    }
    if property["format"] == "date-time" {
        return "an instant".to_owned();
    }
    let duration = schemars::schema_for!(crate::time::Span);
    if property["pattern"].is_string() && duration.get("pattern") == property.get("pattern") {
        return "a duration such as `15m`".to_owned();
    }
    let types: Vec<&str> = match &property["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return "any value".to_owned(),
    };
    let words: Vec<String> = types
        .iter()
        .filter(|t| **t != "null" || types.len() == 1)
        .map(|t| match *t {
            "string" => "a text".to_owned(),
            "integer" => "a whole number".to_owned(),
            "number" => "a number".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "array" => format!("a list, each {}", next(&property["items"])),
            "object" => "a mapping".to_owned(),
            _ => "nothing".to_owned(),
        })
        .collect();
    words.join(" or ")
}

impl fmt::Display for Explanation {
    /// The explanation for people: a heading, the sentences, then the facts. Lines are not wrapped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.topic, self.title)?;
        for paragraph in &self.paragraphs {
            writeln!(f, "\n{paragraph}")?;
        }
        match &self.subject {
            Subject::ExitCode { reasons, .. } => bullets(f, "Reasons that lead to it", reasons)?,
            Subject::Reason { exit_code } => {
                writeln!(f, "\nThe process ends with exit code {exit_code}.")?;
            }
            Subject::Step { args, example, .. } => {
                let lines: Vec<String> = args
                    .iter()
                    .map(|arg| {
                        let must = if arg.required { ", required" } else { "" };
                        format!("{} ({}{must}): {}", arg.name, arg.form, arg.description)
                    })
                    .collect();
                bullets(f, "Arguments", &lines)?;
                writeln!(f, "\nIn a runbook:\n\n{example}")?;
            }
            Subject::Finding { category, hint } => {
                writeln!(f, "\nShown under: {category}")?;
                if let Some(hint) = hint {
                    writeln!(f, "\n{hint}")?;
                }
            }
            Subject::Script {
                replaced_by,
                differs,
                not_covered,
            } => {
                bullets(f, "Use instead", replaced_by)?;
                bullets(f, "What is different", differs)?;
                bullets(f, "Not covered in this version", not_covered)?;
            }
            Subject::List { entries } => {
                let width = entries
                    .iter()
                    .map(|e| e.topic.chars().count())
                    .max()
                    .unwrap_or(0);
                writeln!(f)?;
                for entry in entries {
                    writeln!(f, "  {:width$}  {}", entry.topic, entry.title)?;
                }
            }
        }
        bullets(f, "The same name also stands for", &self.also)
    }
}

fn bullets(f: &mut fmt::Formatter<'_>, heading: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{heading}:")?;
    for line in lines {
        writeln!(f, "  - {line}")?;
    }
    Ok(())
}
