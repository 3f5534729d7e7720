//! From text to document. Everything that can be read is read, so that one run of the lint shows all there is to mend.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use serde_json::{Map, Value};

use super::decode::{Fields, check_kebab};
use super::source::{Diagnostic, Findings, Source, Span};
use super::yaml::{self, Node, Places, Text, Yaml};
use super::{Block, OnFailure, Param, ParamType, Runbook, Section, StepBlock};
use crate::time;

/// The largest runbook, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// The most often a step may be tried again.
const MAX_RETRIES: u32 = 20;

const FRONT_KEYS: &[&str] = &[
    "runbook",
    "title",
    "platform",
    "when",
    "params",
    "why-manual",
    "based-on",
];
const PARAM_KEYS: &[&str] = &["type", "prompt", "default", "choices", "secret"];
const STEP_KEYS: &[&str] = &[
    "id",
    "uses",
    "with",
    "when",
    "expect",
    "on-failure",
    "retries",
    "timeout",
    "needs",
];

/// Where the parts of a document stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// Where the front matter is over.
    pub body: usize,
    /// The front matter, or the start of the file.
    pub front: Option<Span>,
}

/// Where the parts of a step stand.
#[derive(Debug, Clone)]
pub(super) struct StepMarks {
    pub id: Text,
    pub uses: Text,
    pub with: Option<Node>,
    pub when: Option<Text>,
    pub expect: Vec<Text>,
    pub needs: Vec<Text>,
    /// Whether prose stands between the heading and this step.
    pub has_prose: bool,
}

/// Reads a runbook's text. What cannot be read is left out of the document and stands in the findings.
pub fn parse(source: Source) -> (Runbook, Vec<Diagnostic>) {
    let mut runbook = Runbook {
        id: String::new(),
        title: String::new(),
        platform: String::new(),
        when: String::new(),
        why_manual: None,
        based_on: None,
        params: Vec::new(),
        sections: Vec::new(),
        source,
        marks: Marks::default(),
    };
    let source = runbook.source.clone();
    let mut findings = Findings::new(&source);
    if source.text().len() > MAX_TEXT {
        findings.error(
            "too-large",
            Span::new(0, 1),
            format!("the runbook is larger than {MAX_TEXT} bytes"),
        );
        return (runbook, findings.sorted());
    }
    let body = front_matter(&source, &mut runbook, &mut findings);
    runbook.marks.body = body;
    runbook.sections = sections(&source, body, &mut findings);
    (runbook, findings.sorted())
}

/// Reads the front matter; the offset at which the body starts.
fn front_matter(source: &Source, runbook: &mut Runbook, findings: &mut Findings<'_>) -> usize {
    let text = source.text();
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut lines = text[start..].split_inclusive('\n');
    let opens = lines.next().unwrap_or("");
    if opens.trim_end() != "---" {
        findings.error_with(
            "front-matter",
            Span::new(start, start + 1),
            "a runbook starts with front matter between two lines `---`",
            Some("`summitctl runbook new ID` writes one to start from.".to_owned()),
        );
        return start;
    }
    let yaml_start = start + opens.len();
    let mut at = yaml_start;
    for line in lines {
        if line.trim_end() == "---" {
            let yaml = &text[yaml_start..at];
            let mut places = Places::default();
            places.push(0, yaml_start, yaml.len());
            runbook.marks.front = Some(Span::new(start, at + 3));
            if let Some(node) = yaml::read(yaml, &places, findings) {
                front_fields(&node, runbook, findings);
            }
            return at + line.len();
        }
        at += line.len();
    }
    findings.error(
        "front-matter",
        Span::new(start, start + 3),
        "the front matter is never closed with a line `---`",
    );
    text.len()
}

fn front_fields(node: &Node, runbook: &mut Runbook, findings: &mut Findings<'_>) {
    let Some(fields) = Fields::of(node, "front matter", FRONT_KEYS, findings) else {
        return;
    };
    if let Some(id) = fields.required("runbook", findings) {
        check_kebab("id", &id, findings);
        runbook.id = id.value;
    }
    let text = |key: &str, findings: &mut Findings<'_>| {
        fields
            .required(key, findings)
            .map_or_else(String::new, |t| t.value.trim().to_owned())
    };
    runbook.title = text("title", findings);
    runbook.platform = text("platform", findings);
    runbook.when = text("when", findings);
    runbook.why_manual = fields
        .text("why-manual", findings)
        .map(|t| t.value.trim().to_owned());
    if let Some(text) = fields.text("based-on", findings) {
        runbook.based_on = text
            .value
            .trim()
            .parse()
            .map_err(|message: String| findings.error("wrong-value", text.span, message))
            .ok();
    }
    let Some(params) = fields.node("params") else {
        return;
    };
    let Yaml::Map(entries) = &params.yaml else {
        findings.error(
            "wrong-type",
            params.span,
            format!("`params` is a mapping of names, not {}", params.kind()),
        );
        return;
    };
    for (name, node) in entries {
        check_kebab("parameter", name, findings);
        runbook.params.extend(param(name, node, findings));
    }
}

fn param(name: &Text, node: &Node, findings: &mut Findings<'_>) -> Option<Param> {
    let fields = Fields::of(node, "a parameter", PARAM_KEYS, findings)?;
    let prompt = fields.required("prompt", findings);
    if fields.node("type").is_none() {
        findings.error(
            "missing-key",
            name.span,
            format!("parameter `{}` needs the key `type`", name.value),
        );
    }
    let kind = fields.word("type", ParamType::ALL, findings)?;
    let choices: Vec<String> = fields
        .texts("choices", findings)
        .into_iter()
        .map(|t| t.value)
        .collect();
    if (kind == ParamType::Choice) == choices.is_empty() {
        let message = if choices.is_empty() {
            format!("parameter `{}` is a choice and needs `choices`", name.value)
        } else {
            format!(
                "parameter `{}` has `choices` but its type is `{}`",
                name.value,
                kind.word()
            )
        };
        findings.error("wrong-value", name.span, message);
    }
    let secret = fields.flag("secret", findings);
    let default = fields.node("default");
    if secret && (kind != ParamType::String || default.is_some()) {
        findings.error(
            "wrong-value",
            name.span,
            format!(
                "secret parameter `{}` must be of type `string` and have no default",
                name.value
            ),
        );
    }
    let mut param = Param {
        name: name.value.clone(),
        kind,
        prompt: prompt.map_or_else(String::new, |t| t.value),
        default: None,
        choices,
        secret,
        span: name.span,
    };
    if let Some(node) = default {
        param.default = super::bind::typed(&param, &node.to_json())
            .map_err(|message| findings.error("wrong-value", node.span, message))
            .ok();
    }
    Some(param)
}

/// Builds the sections while the Markdown parser walks over the body.
fn sections(source: &Source, body: usize, findings: &mut Findings<'_>) -> Vec<Section> {
    let text = &source.text()[body..];
    let mut builder = Builder {
        source,
        sections: vec![Section {
            level: 0,
            title: String::new(),
            span: Span::new(body, body),
            blocks: Vec::new(),
        }],
        prose_from: body,
        saw_text: false,
    };
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut events = Parser::new_ext(text, options).into_offset_iter();
    while let Some((event, range)) = events.next() {
        let span = Span::new(range.start + body, range.end + body);
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let mut title = String::new();
                for (event, _) in events.by_ref() {
                    match event {
                        Event::End(TagEnd::Heading(_)) => break,
                        Event::Text(t) | Event::Code(t) => title.push_str(&t),
                        _ => {}
                    }
                }
                builder.heading(level, title, span);
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let (mut yaml, mut places) = (String::new(), Places::default());
                for (event, range) in events.by_ref() {
                    match event {
                        Event::End(TagEnd::CodeBlock) => break,
                        Event::Text(t) => {
                            places.push(yaml.len(), range.start + body, range.len());
                            yaml.push_str(&t);
                        }
                        _ => {}
                    }
                }
                builder.fence(&info, &yaml, &places, span, findings);
            }
            Event::Text(t) if !t.trim().is_empty() => builder.saw_text = true,
            _ => {}
        }
    }
    builder.prose_until(source.text().len());
    let mut sections = builder.sections;
    if sections[0].blocks.is_empty() {
        sections.remove(0);
    }
    sections
}

struct Builder<'a> {
    source: &'a Source,
    sections: Vec<Section>,
    /// Where the prose that is not yet taken starts.
    prose_from: usize,
    /// Whether prose was seen since the heading.
    saw_text: bool,
}

impl Builder<'_> {
    fn prose_until(&mut self, end: usize) {
        let prose = self.source.text()[self.prose_from.min(end)..end].trim();
        if !prose.is_empty()
            && let Some(section) = self.sections.last_mut()
        {
            section.blocks.push(Block::Prose(prose.to_owned()));
        }
        self.prose_from = end;
    }

    fn heading(&mut self, level: HeadingLevel, title: String, span: Span) {
        self.prose_until(span.start);
        self.prose_from = span.end;
        self.saw_text = false;
        self.sections.push(Section {
            level: level as u8,
            title: title.trim().to_owned(),
            span,
            blocks: Vec::new(),
        });
    }

    fn fence(
        &mut self,
        info: &str,
        yaml: &str,
        places: &Places,
        span: Span,
        findings: &mut Findings<'_>,
    ) {
        let words: Vec<&str> = info.split_whitespace().collect();
        let near_miss = words.len() > 1 && words.iter().any(|w| w.eq_ignore_ascii_case("step"))
            || words == ["step"]
            || words.len() == 2
                && words[0] == "yaml"
                && strsim::damerau_levenshtein(words[1], "step") == 1;
        if words != ["yaml", "step"] {
            if near_miss {
                findings.error_with(
                    "fence",
                    Span::new(span.start, span.start + 3 + info.len()),
                    format!(
                        "a step's block is marked `yaml step`, not `{}`",
                        info.trim()
                    ),
                    Some(
                        "Write ```` ```yaml step ````, or it is only shown and never run."
                            .to_owned(),
                    ),
                );
            }
            return;
        }
        self.prose_until(span.start);
        self.prose_from = span.end;
        let Some(node) = yaml::read(yaml, places, findings) else {
            return;
        };
        let title = self
            .sections
            .last()
            .map_or_else(String::new, |s| s.title.clone());
        if let Some(step) = step(&node, title, span, self.saw_text, findings)
            && let Some(section) = self.sections.last_mut()
        {
            section.blocks.push(Block::Step(Box::new(step)));
        }
    }
}

fn step(
    node: &Node,
    title: String,
    span: Span,
    has_prose: bool,
    findings: &mut Findings<'_>,
) -> Option<StepBlock> {
    let fields = Fields::of(node, "a step", STEP_KEYS, findings)?;
    let id = fields.required("id", findings);
    let uses = fields.required("uses", findings);
    let with = fields.node("with");
    if let Some(with) = with
        && !matches!(with.yaml, Yaml::Map(_))
    {
        findings.error(
            "wrong-type",
            with.span,
            format!("`with` is a mapping of arguments, not {}", with.kind()),
        );
    }
    let timeout = fields.text("timeout", findings).and_then(|text| {
        text.value
            .parse::<time::Span>()
            .map_err(|error| {
                findings.error("wrong-value", text.span, format!("`timeout`: {error}"))
            })
            .ok()
    });
    let when = fields.text("when", findings);
    let expect = fields.texts("expect", findings);
    let needs = fields.texts("needs", findings);
    let on_failure = fields.word("on-failure", OnFailure::ALL, findings);
    let retries = fields.count("retries", MAX_RETRIES, findings);
    let (id, uses) = (id?, uses?);
    check_kebab("id", &id, findings);
    let values = |texts: &[Text]| texts.iter().map(|t| t.value.clone()).collect::<Vec<_>>();
    Some(StepBlock {
        id: id.value.clone(),
        uses: uses.value.clone(),
        with: with
            .map(Node::to_json)
            .filter(Value::is_object)
            .unwrap_or_else(|| Value::Object(Map::new())),
        when: when.as_ref().map(|t| t.value.clone()),
        expect: values(&expect),
        on_failure: on_failure.unwrap_or_default(),
        retries,
        timeout,
        needs: fields.node("needs").map(|_| values(&needs)),
        title,
        span,
        marks: StepMarks {
            id,
            uses,
            with: with.cloned(),
            when,
            expect,
            needs,
            has_prose,
        },
    })
}
