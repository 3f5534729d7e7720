//! YAML with a place for everything: a tree whose nodes and keys know where in the runbook's file they stand.
//!
//! Only the plain part of YAML is read. Anchors, aliases, tags and duplicate keys are refused: a runbook is read by
//! people at night, and nothing in it should mean something other than what it looks like.

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span as YamlSpan};

use super::source::{Findings, Span};

/// Deeper than any step's arguments; the tree is walked recursively.
const MAX_DEPTH: usize = 32;

/// Where the pieces of a YAML text stand in the file: `(offset in the text, offset in the file, length)`.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Vec<(usize, usize, usize)>);

impl Places {
    pub fn push(&mut self, yaml: usize, file: usize, len: usize) {
        self.0.push((yaml, file, len));
    }

    pub fn file(&self, yaml: usize) -> usize {
        let at = self.0.partition_point(|(start, _, _)| *start <= yaml);
        match at.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some((start, file, len)) => file + (yaml - start).min(*len),
            None => self.0.first().map_or(0, |(_, file, _)| *file),
        }
    }
}

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, escapes undone.
    pub value: String,
    /// The place, quotes included.
    pub span: Span,
    /// The file offset of the first byte, where the file holds the text verbatim on one piece.
    pub(super) verbatim: Option<usize>,
}

impl Text {
    /// The file's range for a range of the text: exact where the text stands verbatim, else the whole.
    pub fn at(&self, range: std::ops::Range<usize>) -> Span {
        match self.verbatim {
            Some(start) => Span::new(start + range.start, start + range.end),
            None => self.span,
        }
    }
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub yaml: Yaml,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(Text, Node)>),
}

impl Node {
    pub fn kind(&self) -> &'static str {
        match self.yaml {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "true or false",
            Yaml::Int(_) => "a whole number",
            Yaml::Float(_) => "a number",
            Yaml::Text(_) => "a text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a mapping",
        }
    }

    pub fn to_json(&self) -> Value {
        match &self.yaml {
            Yaml::Null => Value::Null,
            Yaml::Bool(b) => Value::Bool(*b),
            Yaml::Int(i) => Value::from(*i),
            Yaml::Float(f) => serde_json::Number::from_f64(*f).map_or(Value::Null, Value::Number),
            Yaml::Text(t) => Value::String(t.value.clone()),
            Yaml::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Yaml::Map(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, node)| (key.value.clone(), node.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    pub fn field(&self, name: &str) -> Option<&Node> {
        match &self.yaml {
            Yaml::Map(fields) => fields
                .iter()
                .find(|(key, _)| key.value == name)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// Every text below, in order.
    pub fn texts<'a>(&'a self, visit: &mut dyn FnMut(&'a Text)) {
        match &self.yaml {
            Yaml::Text(text) => visit(text),
            Yaml::List(items) => items.iter().for_each(|item| item.texts(visit)),
            Yaml::Map(fields) => fields.iter().for_each(|(_, item)| item.texts(visit)),
            _ => {}
        }
    }
}

/// Reads one document; `None` when something is so wrong that there is no tree. Findings say what.
pub(super) fn read(yaml: &str, places: &Places, findings: &mut Findings<'_>) -> Option<Node> {
    let mut options = Options::default();
    options.emit_comments = false;
    options.block_nesting_limit = MAX_DEPTH;
    options.flow_nesting_limit = MAX_DEPTH;
    options.disallow_directives = true;
    let mut reader = Reader {
        yaml,
        places,
        findings,
        events: Parser::new_from_str_with_options(yaml, options),
        documents: 0,
    };
    let mut root = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::DocumentStart(..) => {
                reader.documents += 1;
                if reader.documents > 1 {
                    let span = reader.span(&span);
                    reader
                        .findings
                        .error("yaml", span, "a second YAML document starts here");
                    return None;
                }
            }
            Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            event => root = Some(reader.node(event, &span, 0)?),
        }
    }
    Some(root.unwrap_or(Node {
        yaml: Yaml::Map(Vec::new()),
        span: Span::new(places.file(0), places.file(yaml.len())),
    }))
}

struct Reader<'a, 'f, 's> {
    yaml: &'a str,
    places: &'a Places,
    findings: &'f mut Findings<'s>,
    events: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    documents: usize,
}

impl<'a> Reader<'a, '_, '_> {
    /// `None` after a syntax error, `Some(None)` at the end.
    #[expect(
        clippy::option_option,
        reason = "an error that is already reported, or the end"
    )]
    fn next(&mut self) -> Option<Option<(Event<'a>, YamlSpan)>> {
        match self.events.next() {
            None => Some(None),
            Some(Ok(next)) => Some(Some(next)),
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(self.yaml.len());
                let at = self.places.file(at);
                self.findings.error(
                    "yaml",
                    Span::new(at, at + 1),
                    format!("not valid YAML: {}", error.info()),
                );
                None
            }
        }
    }

    fn span(&self, span: &YamlSpan) -> Span {
        let range = span.byte_range().unwrap_or(0..self.yaml.len());
        Span::new(self.places.file(range.start), self.places.file(range.end))
    }

    fn refuse(&mut self, span: &YamlSpan, what: &str) -> Option<Node> {
        let span = self.span(span);
        self.findings.error(
            "yaml",
            span,
            format!("{what} are not read here: write the value out"),
        );
        None
    }

    fn node(&mut self, event: Event<'a>, span: &YamlSpan, depth: usize) -> Option<Node> {
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor != 0, tag.is_some()),
            Event::Alias(_) | Event::UnresolvedAlias(_) => (true, false),
            _ => (false, false),
        };
        if anchor {
            return self.refuse(span, "anchors and aliases");
        }
        if tagged {
            return self.refuse(span, "tags");
        }
        if depth > MAX_DEPTH {
            return self.refuse(span, "values nested this deeply");
        }
        match event {
            Event::Scalar(value, style, ..) => Some(self.scalar(&value, style, span)),
            Event::SequenceStart(..) => self.list(span, depth),
            Event::MappingStart(..) => self.map(span, depth),
            _ => {
                let span = self.span(span);
                self.findings.error("yaml", span, "not expected here");
                None
            }
        }
    }

    fn scalar(&self, value: &str, style: ScalarStyle, span: &YamlSpan) -> Node {
        let place = self.span(span);
        let yaml = if style == ScalarStyle::Plain {
            plain(value)
        } else {
            None
        };
        Node {
            yaml: yaml.unwrap_or_else(|| Yaml::Text(self.text(value, span))),
            span: place,
        }
    }

    fn text(&self, value: &str, span: &YamlSpan) -> Text {
        let verbatim = span.byte_range().and_then(|range| {
            let raw = self.yaml.get(range.clone())?;
            let found = raw.find(value)?;
            Some(self.places.file(range.start + found))
        });
        Text {
            value: value.to_owned(),
            span: self.span(span),
            verbatim,
        }
    }

    fn list(&mut self, start: &YamlSpan, depth: usize) -> Option<Node> {
        let mut items = Vec::new();
        let from = self.span(start);
        loop {
            let (event, span) = self.next()??;
            if matches!(event, Event::SequenceEnd) {
                return Some(self.closed(Yaml::List(items), from, &span));
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, start: &YamlSpan, depth: usize) -> Option<Node> {
        let mut fields: Vec<(Text, Node)> = Vec::new();
        let from = self.span(start);
        loop {
            let (event, span) = self.next()??;
            let key = match event {
                Event::MappingEnd => return Some(self.closed(Yaml::Map(fields), from, &span)),
                Event::Scalar(value, _, 0, None) => self.text(&value, &span),
                _ => return self.refuse(&span, "keys other than plain words"),
            };
            if fields.iter().any(|(k, _)| k.value == key.value) {
                self.findings.error(
                    "duplicate-key",
                    key.span,
                    format!("key `{}` stands here twice", key.value),
                );
            }
            let (event, span) = self.next()??;
            let value = self.node(event, &span, depth + 1)?;
            fields.push((key, value));
        }
    }

    fn closed(&self, yaml: Yaml, from: Span, end: &YamlSpan) -> Node {
        let end = self.span(end).end.max(from.end);
        let last = match &yaml {
            Yaml::List(items) => items.last().map(|n| n.span.end),
            Yaml::Map(fields) => fields.last().map(|(_, n)| n.span.end),
            _ => None,
        };
        // A block collection "ends" where the next token starts; its last value ends it for a reader.
        let flow = self.findings.source.text()[from.start..].starts_with(['[', '{']);
        let end = if flow { end } else { last.unwrap_or(end) };
        Node {
            yaml,
            span: Span::new(from.start, end.max(from.start)),
        }
    }
}

/// YAML 1.2's core schema for plain scalars, without its octal and special-float oddities: those stay texts.
fn plain(value: &str) -> Option<Yaml> {
    match value {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Yaml::Null),
        "true" | "True" | "TRUE" => return Some(Yaml::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Yaml::Bool(false)),
        _ => {}
    }
    let unsigned = value.strip_prefix(['-', '+']).unwrap_or(value);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return value.parse().ok().map(Yaml::Int);
    }
    let float = unsigned
        .bytes()
        .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if float {
        return value
            .parse::<f64>()
            .ok()
            .filter(|f| f.is_finite())
            .map(Yaml::Float);
    }
    None
}
