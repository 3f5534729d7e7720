//! A changelog as a tree, whatever it is written in: Liquibase itself reads XML, YAML and JSON into one. An attribute of XML and
//! a value of YAML are the same to it.

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, StrInput};
use xmlparser::{ElementEnd, EntityDefinition, Reference, Stream, Token, Tokenizer};

/// Deeper than any changelog; the tree is walked recursively.
const MAX_DEPTH: usize = 64;

/// A node: an element, an attribute, a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub name: String,
    pub value: Value,
    pub children: Vec<Node>,
    /// Whether it is an attribute of XML, or a field of YAML whose value is a single one.
    pub attribute: bool,
}

/// What a node holds itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    None,
    Text(String),
    /// A word that YAML takes for a number or a time of a kind that is not read as Liquibase reads it.
    Unclear(String),
}

impl Node {
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|c| c.name == name)
    }

    /// The text of a child, trimmed; nothing if it is empty or unclear.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let text = self.child(name)?.text()?.trim();
        (!text.is_empty()).then_some(text)
    }

    pub fn says(&self, name: &str) -> bool {
        self.text_of(name)
            .is_some_and(|t| t.eq_ignore_ascii_case("true"))
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::None | Value::Unclear(_) => None,
        }
    }

    fn leaf(name: &str, value: Value) -> Node {
        Node {
            name: name.to_owned(),
            value,
            attribute: true,
            ..Node::default()
        }
    }
}

/// Reads XML. Names lose their prefixes; entities of a document's own are refused.
pub(super) fn xml(text: &str) -> Result<Node, String> {
    let mut open: Vec<Node> = vec![Node::default()];
    let broken = || "it is not well-formed XML".to_owned();
    for token in Tokenizer::from(text.trim_start_matches('\u{feff}')) {
        let token = token.map_err(|e| format!("it is not well-formed XML: {e}"))?;
        match token {
            Token::ElementStart { local, .. } => {
                if open.len() > MAX_DEPTH {
                    return Err("it is nested too deeply".to_owned());
                }
                open.push(Node {
                    name: local.as_str().to_owned(),
                    ..Node::default()
                });
            }
            Token::Attribute {
                prefix,
                local,
                value,
                ..
            } => {
                // Declarations of namespaces and where their schemas are.
                if !prefix.is_empty() || local.as_str() == "xmlns" {
                    continue;
                }
                let text = unescaped(value.as_str())?.replace(['\n', '\t', '\r'], " ");
                let leaf = Node::leaf(local.as_str(), Value::Text(text));
                open.last_mut().ok_or_else(broken)?.children.push(leaf);
            }
            Token::ElementEnd {
                end: ElementEnd::Open,
                ..
            } => {}
            Token::ElementEnd { end, .. } => {
                let done = open.pop().ok_or_else(broken)?;
                if matches!(end, ElementEnd::Close(_, name) if name.as_str() != done.name) {
                    return Err(broken());
                }
                open.last_mut().ok_or_else(broken)?.children.push(done);
            }
            Token::Text { text } => more(&mut open, &unescaped(text.as_str())?),
            Token::Cdata { text, .. } => more(&mut open, text.as_str()),
            Token::EntityDeclaration {
                definition: EntityDefinition::EntityValue(_) | EntityDefinition::ExternalId(_),
                ..
            } => return Err("it declares entities, which are not read".to_owned()),
            _ => {}
        }
    }
    match <[Node; 1]>::try_from(open) {
        Ok([root]) => root
            .children
            .into_iter()
            .find(|c| !c.attribute)
            .ok_or_else(broken),
        Err(_) => Err(broken()),
    }
}

fn more(open: &mut [Node], text: &str) {
    let Some(node) = open.last_mut() else { return };
    match &mut node.value {
        Value::Text(before) => before.push_str(text),
        Value::None | Value::Unclear(_) if text.trim().is_empty() => {}
        value => *value = Value::Text(text.to_owned()),
    }
}

fn unescaped(text: &str) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let mut stream = Stream::from(&rest[at..]);
        match stream.consume_reference() {
            Ok(Reference::Char(c)) => out.push(c),
            Ok(Reference::Entity(name)) => out.push(match name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                _ => return Err(format!("it has the entity `{name}`, which is not read")),
            }),
            Err(_) => return Err("it is not well-formed XML".to_owned()),
        }
        rest = &rest[at + stream.pos()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads YAML, and JSON, which Liquibase reads as YAML.
pub(super) fn yaml(text: &str) -> Result<Node, String> {
    let mut options = Options::default();
    options.emit_comments = false;
    options.block_nesting_limit = MAX_DEPTH;
    options.flow_nesting_limit = MAX_DEPTH;
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut root = Node::default();
    while let Some(event) = next(&mut events)? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            event => fill(&mut root, event, &mut events)?,
        }
    }
    let found = root
        .children
        .into_iter()
        .find(|c| c.name == "databaseChangeLog");
    found.ok_or_else(|| "it has no `databaseChangeLog`".to_owned())
}

fn next<'a>(events: &mut Parser<'a, StrInput<'a>>) -> Result<Option<Event<'a>>, String> {
    match events.next() {
        None => Ok(None),
        Some(Ok((event, _))) => Ok(Some(event)),
        Some(Err(e)) => Err(format!("it is not valid YAML: {}", e.info())),
    }
}

/// Gives a node what an event begins. A list's mappings become the node's own children, as Liquibase has it.
fn fill<'a>(
    node: &mut Node,
    event: Event<'a>,
    events: &mut Parser<'a, StrInput<'a>>,
) -> Result<(), String> {
    let ended = || "it ends in the middle".to_owned();
    match event {
        Event::Scalar(value, style, anchor, tag) => {
            if anchor != 0 || tag.is_some() {
                return Err("it has anchors or tags, which are not read".to_owned());
            }
            let value = match style {
                ScalarStyle::Plain => plain(&value),
                _ => Value::Text(value.into_owned()),
            };
            node.attribute = node.children.is_empty();
            if value != Value::None {
                node.value = value;
            }
            Ok(())
        }
        Event::SequenceStart(_, 0, None) => loop {
            match next(events)?.ok_or_else(ended)? {
                Event::SequenceEnd => {
                    node.attribute = false;
                    return Ok(());
                }
                event => fill(node, event, events)?,
            }
        },
        Event::MappingStart(_, 0, None) => loop {
            let key = match next(events)?.ok_or_else(ended)? {
                Event::MappingEnd => {
                    node.attribute = false;
                    return Ok(());
                }
                Event::Scalar(value, _, 0, None) if value != "<<" => value.into_owned(),
                _ => return Err("it has keys that are not plain words".to_owned()),
            };
            let mut child = Node {
                name: key,
                ..Node::default()
            };
            let event = next(events)?.ok_or_else(ended)?;
            fill(&mut child, event, events)?;
            node.children.push(child);
        },
        _ => Err("it has anchors, aliases or tags, which are not read".to_owned()),
    }
}

/// A word without quotes as YAML 1.1 has it, which Liquibase's reader follows.
fn plain(word: &str) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Value::None,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return text("true");
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return text("false");
        }
        _ => {}
    }
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let digits = unsigned.bytes().all(|b| b.is_ascii_digit());
    if digits && (unsigned == "0" || !unsigned.starts_with('0')) {
        return text(word.strip_prefix('+').unwrap_or(word));
    }
    if let Some(fraction) = fraction(word) {
        return Value::Text(fraction);
    }
    let first = unsigned.bytes().next().unwrap_or_default();
    let number = (first.is_ascii_digit() || first == b'.')
        && unsigned
            .bytes()
            .all(|b| b"0123456789_.:eE+-xXabcdefABCDEF".contains(&b));
    let shaped = |pattern: &str| {
        word.len() >= pattern.len()
            && word.bytes().zip(pattern.bytes()).all(|(b, p)| match p {
                b'0' => b.is_ascii_digit(),
                p => b == p,
            })
    };
    // A dash inside makes neither a whole number nor one with a fraction, but for an exponent's.
    let dashed = unsigned.contains('-') && !unsigned.contains(['e', 'E']);
    let dots = unsigned.matches('.').count() > 1 && !unsigned.contains(':');
    let letters =
        unsigned.contains(|c: char| "abcdfABCDF".contains(c)) && !unsigned.starts_with("0x");
    let time = shaped("0000-00-00") && word[10..].starts_with(['T', 't', ' '])
        || word.len() == 10 && shaped("0000-00-00");
    if time
        || number && !dashed && !letters && !dots
        || word.starts_with(".inf")
        || word.starts_with(".nan")
    {
        return Value::Unclear(word.to_owned());
    }
    text(word)
}

/// A number with a fraction as Java writes it, where that is not in powers of ten.
fn fraction(word: &str) -> Option<String> {
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    let (whole, part) = unsigned.split_once('.')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let number: f64 = word.parse().ok()?;
    let plain = number == 0.0 || (1e-3..1e7).contains(&number.abs());
    (digits(whole) && digits(part) && plain).then(|| format!("{number:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        let value = match &node.value {
            Value::None => String::new(),
            Value::Text(text) => format!("={text}"),
            Value::Unclear(text) => format!("?{text}"),
        };
        let children: Vec<String> = node.children.iter().map(shown).collect();
        format!("{}{value}[{}]", node.name, children.join(" "))
    }

    #[test]
    fn xml_yaml_and_json_become_one_tree() {
        let expected = "databaseChangeLog[changeSet[id=1[] author=me[] sql[dbms=postgresql[] sql=SELECT 1 < 2[]]]]";
        let yaml_text =
            "databaseChangeLog:\n- changeSet:\n    id: 1\n    author: me\n    changes:\n";
        let json = r#"{"databaseChangeLog": [{"changeSet": {"id": "1", "author": "me", "sql": {"dbms": "postgresql", "sql": "SELECT 1 < 2"}}}]}"#;
        assert_eq!(shown(&yaml(json).unwrap()), expected);
        assert_eq!(
            shown(&yaml(yaml_text).unwrap()),
            "databaseChangeLog[changeSet[id=1[] author=me[] changes[]]]"
        );
        let text = r#"<?xml version="1.0"?><!-- c --><databaseChangeLog xmlns="x" xmlns:xsi="y" xsi:schemaLocation="z">
            <changeSet id="1" author="me"><sql dbms="postgresql">SELECT 1 &lt;<![CDATA[ 2]]></sql></changeSet></databaseChangeLog>"#;
        assert_eq!(
            shown(&xml(text).unwrap()),
            "databaseChangeLog[changeSet[id=1[] author=me[] sql=SELECT 1 < 2[dbms=postgresql[]]]]"
        );
        for broken in [
            "",
            "<a>",
            "<a></b>",
            "<a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a/>",
        ] {
            assert!(xml(broken).is_err(), "{broken}");
        }
        for broken in [
            "",
            "a: 1",
            "databaseChangeLog: *x",
            "databaseChangeLog: [",
            "? [a]\n: b",
        ] {
            assert!(yaml(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_word_that_yaml_takes_for_a_number_of_its_own_kind_is_unclear() {
        for word in [
            "010",
            "1.",
            "1_000",
            "1e5",
            "0x1f",
            "12:30",
            "2026-11-22",
            "2026-11-22T10:00:00Z",
            ".5",
        ] {
            assert_eq!(plain(word), Value::Unclear(word.to_owned()), "{word}");
        }
        for word in [
            "1",
            "0",
            "-3",
            "2026-11",
            "20261122-1",
            "1a",
            "v1.0",
            "1.0.1",
            "create-orders",
            "2026-11-22-orders",
            "1.0.1-x",
            "abc",
        ] {
            assert_eq!(plain(word), Value::Text(word.to_owned()), "{word}");
        }
        assert_eq!(plain("1.10"), Value::Text("1.1".to_owned()));
        assert_eq!(plain("yes"), Value::Text("true".to_owned()));
    }
}
