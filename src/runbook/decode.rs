//! From YAML nodes to typed values: unknown keys with the nearest name, missing keys, wrong types, each at its place.

use super::source::{Findings, Span, did_you_mean};
use super::yaml::{Node, Text, Yaml};

/// The fields of one mapping, taken one by one.
pub(super) struct Fields<'n> {
    /// What the mapping is, for messages: `a step`.
    what: &'static str,
    span: Span,
    entries: &'n [(Text, Node)],
}

impl<'n> Fields<'n> {
    /// The fields of a mapping of which only `known` keys may be there.
    pub fn of(
        node: &'n Node,
        what: &'static str,
        known: &[&str],
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        let Yaml::Map(entries) = &node.yaml else {
            findings.error(
                "wrong-type",
                node.span,
                format!("{what} is a mapping, not {}", node.kind()),
            );
            return None;
        };
        for (key, _) in entries {
            if !known.contains(&key.value.as_str()) {
                findings.error_with(
                    "unknown-key",
                    key.span,
                    format!("{what} has no key `{}`", key.value),
                    did_you_mean(&key.value, known.iter().copied()),
                );
            }
        }
        Some(Fields {
            what,
            span: node.span,
            entries,
        })
    }

    pub fn node(&self, key: &str) -> Option<&'n Node> {
        self.entries
            .iter()
            .find(|(k, _)| k.value == key)
            .map(|(_, node)| node)
            .filter(|node| node.yaml != Yaml::Null)
    }

    fn wrong(&self, key: &str, node: &Node, wanted: &str, findings: &mut Findings<'_>) {
        findings.error(
            "wrong-type",
            node.span,
            format!("`{key}` is {wanted}, not {}", node.kind()),
        );
    }

    /// A text; numbers and truth values that stand unquoted are refused, so that `1.10` never becomes `1.1`.
    pub fn text(&self, key: &str, findings: &mut Findings<'_>) -> Option<Text> {
        let node = self.node(key)?;
        match &node.yaml {
            Yaml::Text(text) => Some(text.clone()),
            Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) => {
                findings.error_with(
                    "wrong-type",
                    node.span,
                    format!("`{key}` is a text, not {}", node.kind()),
                    Some("Put it in quotes.".to_owned()),
                );
                None
            }
            _ => {
                self.wrong(key, node, "a text", findings);
                None
            }
        }
    }

    /// A text that must be there and not be empty.
    pub fn required(&self, key: &str, findings: &mut Findings<'_>) -> Option<Text> {
        let Some(node) = self.node(key) else {
            let at = Span::new(self.span.start, self.span.start + 1);
            findings.error(
                "missing-key",
                at,
                format!("{} needs the key `{key}`", self.what),
            );
            return None;
        };
        let text = self.text(key, findings)?;
        if text.value.trim().is_empty() {
            findings.error("missing-key", node.span, format!("`{key}` is empty"));
            return None;
        }
        Some(text)
    }

    /// One text or a list of texts.
    pub fn texts(&self, key: &str, findings: &mut Findings<'_>) -> Vec<Text> {
        let Some(node) = self.node(key) else {
            return Vec::new();
        };
        match &node.yaml {
            Yaml::Text(text) => vec![text.clone()],
            Yaml::List(items) => items
                .iter()
                .filter_map(|item| match &item.yaml {
                    Yaml::Text(text) => Some(text.clone()),
                    _ => {
                        self.wrong(key, item, "a list of texts", findings);
                        None
                    }
                })
                .collect(),
            _ => {
                self.wrong(key, node, "a list of texts", findings);
                Vec::new()
            }
        }
    }

    pub fn flag(&self, key: &str, findings: &mut Findings<'_>) -> bool {
        match self.node(key).map(|node| (node, &node.yaml)) {
            None => false,
            Some((_, Yaml::Bool(flag))) => *flag,
            Some((node, _)) => {
                self.wrong(key, node, "`true` or `false`", findings);
                false
            }
        }
    }

    pub fn count(&self, key: &str, max: u32, findings: &mut Findings<'_>) -> u32 {
        let Some(node) = self.node(key) else { return 0 };
        match &node.yaml {
            Yaml::Int(n) => u32::try_from(*n)
                .ok()
                .filter(|n| *n <= max)
                .unwrap_or_else(|| {
                    findings.error(
                        "wrong-type",
                        node.span,
                        format!("`{key}` is a whole number from 0 to {max}"),
                    );
                    0
                }),
            _ => {
                self.wrong(key, node, "a whole number", findings);
                0
            }
        }
    }

    /// One of a fixed list of words.
    pub fn word<T: Copy>(
        &self,
        key: &str,
        choices: &[(&'static str, T)],
        findings: &mut Findings<'_>,
    ) -> Option<T> {
        let text = self.text(key, findings)?;
        let found = choices.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            findings.error_with(
                "wrong-value",
                text.span,
                format!("`{key}` cannot be `{}`", text.value),
                did_you_mean(&text.value, choices.iter().map(|(word, _)| *word)),
            );
        }
        found.map(|(_, value)| *value)
    }
}

/// Whether a name is kebab-case: lower-case letters, digits and single hyphens, a letter first.
pub(super) fn is_kebab(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.len() <= 64
}

/// Complains unless `text` is kebab-case.
pub(super) fn check_kebab(what: &str, text: &Text, findings: &mut Findings<'_>) {
    if is_kebab(&text.value) {
        return;
    }
    let tidy: String = text
        .value
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    let suggestion = is_kebab(&tidy).then(|| format!("Write `{tidy}`."));
    findings.error_with(
        "bad-name",
        text.span,
        format!(
            "{what} `{}` is not made of lower-case letters, digits and hyphens",
            text.value
        ),
        suggestion,
    );
}
