//! `explain`: an exit code, a reason, a step kind, a finding, or which command stands in for a script of the handbook.
//!
//! Nothing is known here by itself but the exit codes and the handbook: reasons, steps and findings come from the
//! modules that own them, so that what is explained is what there is.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::consent::Effect;
use crate::error::{Error, NOT_FOUND, Reason, Result};
use crate::exit::Exit;
use crate::expr;
use crate::runbook::{KindInfo, StepCatalog};

pub mod handbook;
mod text;

/// What there is to know about a check, whatever it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FindingInfo {
    /// The check's id, such as `postgres.ping`.
    pub id: String,
    /// What is checked.
    pub title: String,
    /// Where reports show it, such as `Datastores`.
    pub category: String,
    /// What its failure means for the platform's users.
    pub impact: Option<String>,
    /// The command that mends it.
    pub hint: Option<String>,
}

/// The checks this program has.
pub trait FindingCatalog {
    /// All checks, in the order in which to list them.
    fn findings(&self) -> Vec<FindingInfo>;
}

impl FindingCatalog for Vec<FindingInfo> {
    fn findings(&self) -> Vec<FindingInfo> {
        self.clone()
    }
}

/// Where explanations come from.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The `REASONS` of every module.
    pub reasons: &'a [&'a [&'static Reason]],
    /// The step kinds.
    pub steps: &'a dyn StepCatalog,
    /// The checks.
    pub findings: &'a dyn FindingCatalog,
}

/// What a topic is, as people and as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// The topic's full name.
    pub topic: String,
    /// What it is, in a few words.
    pub title: String,
    /// What it means: full sentences.
    pub paragraphs: Vec<String>,
    /// The topic's facts.
    pub subject: Subject,
    /// Other topics of the same name, to be asked for in full.
    pub also: Vec<String>,
}

/// The facts of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Subject {
    /// What the process ends with.
    ExitCode {
        /// The number.
        code: u8,
        /// The reasons that lead to it.
        reasons: Vec<String>,
    },
    /// A finer reason than the exit code.
    Reason {
        /// The exit code it leads to.
        exit_code: u8,
    },
    /// A step kind of runbooks.
    Step {
        /// The most it may do.
        effect: Effect,
        /// Its arguments.
        args: Vec<Arg>,
        /// A block to start from.
        example: String,
    },
    /// A check.
    Finding {
        /// Where reports show it.
        category: String,
        /// What mends it.
        hint: Option<String>,
    },
    /// A script or command of the handbook.
    Script {
        /// The command lines that stand in for it; empty: no replacement in this version.
        replaced_by: Vec<String>,
        /// What is different.
        differs: Vec<String>,
        /// What is not covered in this version.
        not_covered: Vec<String>,
    },
    /// Several topics.
    List {
        /// The topics.
        entries: Vec<Entry>,
    },
}

/// An argument of a step kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// What it may be, in words.
    pub form: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it says.
    pub description: String,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// What to ask for.
    pub topic: String,
    /// What it is.
    pub title: String,
}

/// The topics that are lists.
pub const LISTS: &[(&str, &str)] = &[
    ("codes", "exit codes"),
    ("reasons", "reason codes"),
    ("steps", "step kinds of runbooks"),
    ("findings", "checks"),
    ("scripts", "scripts and commands of the handbook"),
];

/// Explains a topic: a number or name of an exit code, a reason code, a step kind, a check's id, a script or a whole
/// command line of the handbook, or one of [`LISTS`]. An unknown topic is an error with the nearest ones.
pub fn explain(topic: &str, known: &Known<'_>) -> Result<Explanation> {
    let wanted = topic.trim();
    if let Some(list) = list(wanted, known) {
        return Ok(list);
    }
    let mut found: Vec<Explanation> = Vec::new();
    found.extend(exit_code(wanted, known));
    found.extend(reason(wanted, known));
    found.extend(step(wanted, known));
    found.extend(finding(wanted, known));
    if found.is_empty() {
        let scripts = handbook::find(wanted);
        match scripts.as_slice() {
            [] => return Err(unknown(wanted, known)),
            [one] => found.push(script(one)),
            many => {
                return Ok(Explanation {
                    topic: wanted.to_owned(),
                    title: "several scripts and commands".to_owned(),
                    paragraphs: vec!["Ask for one of them by its full name.".to_owned()],
                    subject: Subject::List {
                        entries: many.iter().map(|s| script_entry(s)).collect(),
                    },
                    also: Vec::new(),
                });
            }
        }
    }
    let mut first = found.remove(0);
    first.also = found
        .iter()
        .map(|e| format!("{} ({})", e.topic, e.title))
        .collect();
    Ok(first)
}

fn exit_name(exit: Exit) -> String {
    serde_json::to_value(exit)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn exit_code(topic: &str, known: &Known<'_>) -> Option<Explanation> {
    let lower = topic.to_lowercase();
    let word = lower.strip_prefix("exit").map_or(lower.as_str(), |rest| {
        rest.trim_start_matches([' ', '-', '='])
            .trim_start_matches("code ")
    });
    let exit = *Exit::ALL
        .iter()
        .find(|e| e.code().to_string() == word || exit_name(**e) == word)?;
    let reasons: Vec<String> = known
        .reasons
        .iter()
        .flat_map(|r| r.iter())
        .filter(|r| r.exit == exit)
        .map(|r| r.code.to_owned())
        .collect();
    Some(Explanation {
        topic: format!("exit code {}", exit.code()),
        title: exit.title().to_owned(),
        paragraphs: vec![exit.help().to_owned()],
        subject: Subject::ExitCode {
            code: exit.code(),
            reasons,
        },
        also: Vec::new(),
    })
}

fn reason(topic: &str, known: &Known<'_>) -> Option<Explanation> {
    let reason = known
        .reasons
        .iter()
        .flat_map(|r| r.iter())
        .find(|r| r.code.eq_ignore_ascii_case(topic))?;
    Some(Explanation {
        topic: reason.code.to_owned(),
        title: format!("a reason for exit code {}", reason.exit.code()),
        paragraphs: vec![reason.help.to_owned()],
        subject: Subject::Reason {
            exit_code: reason.exit.code(),
        },
        also: Vec::new(),
    })
}

fn step(topic: &str, known: &Known<'_>) -> Option<Explanation> {
    let kinds = known.steps.kinds();
    let info = kinds.iter().find(|k| k.kind == topic)?;
    let args = args(&info.args_schema);
    let consent = match info.effect {
        Effect::Read => "It looks only and needs no consent.",
        Effect::Change => "It may change something, so a run asks for consent first.",
        Effect::Destroy => {
            "It may replace or remove data, so a run must be confirmed with the context's name."
        }
    };
    Some(Explanation {
        topic: info.kind.clone(),
        title: info.title.clone(),
        paragraphs: vec![consent.to_owned()],
        subject: Subject::Step {
            effect: info.effect,
            example: example(info, &args),
            args,
        },
        also: Vec::new(),
    })
}

/// The arguments a schema describes, required ones first.
fn args(schema: &Value) -> Vec<Arg> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut args: Vec<Arg> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, property)| Arg {
            name: name.clone(),
            form: text::form(property, schema),
            required: required.contains(&name.as_str()),
            description: property["description"]
                .as_str()
                .unwrap_or_default()
                .replace('\n', " "),
        })
        .collect();
    args.sort_by_key(|a| !a.required);
    args
}

fn example(info: &KindInfo, args: &[Arg]) -> String {
    let id = info.kind.rsplit('.').next().unwrap_or("step");
    let mut out = format!("```yaml step\nid: {id}\nuses: {}\n", info.kind);
    let required: Vec<&Arg> = args.iter().filter(|a| a.required).collect();
    if !required.is_empty() {
        out.push_str("with:\n");
        for arg in required {
            out.push_str(&format!("  {}: … # {}\n", arg.name, arg.form));
        }
    }
    out.push_str("```");
    out
}

fn finding(topic: &str, known: &Known<'_>) -> Option<Explanation> {
    let info = known
        .findings
        .findings()
        .into_iter()
        .find(|f| f.id.eq_ignore_ascii_case(topic))?;
    Some(Explanation {
        topic: info.id,
        title: info.title,
        paragraphs: info.impact.into_iter().collect(),
        subject: Subject::Finding {
            category: info.category,
            hint: info.hint,
        },
        also: Vec::new(),
    })
}

fn script(script: &handbook::Script) -> Explanation {
    let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    Explanation {
        topic: script.name.to_owned(),
        title: script.purpose.to_owned(),
        paragraphs: if script.replaced_by.is_empty() {
            vec!["There is no replacement for it in this version.".to_owned()]
        } else {
            Vec::new()
        },
        subject: Subject::Script {
            replaced_by: owned(script.replaced_by),
            differs: owned(script.differs),
            not_covered: owned(script.not_covered),
        },
        also: Vec::new(),
    }
}

fn script_entry(script: &handbook::Script) -> Entry {
    let by = match script.replaced_by {
        [] => "no replacement in this version".to_owned(),
        many => many.join(", "),
    };
    Entry {
        topic: script.name.to_owned(),
        title: format!("{} → {by}", script.purpose),
    }
}

fn list(topic: &str, known: &Known<'_>) -> Option<Explanation> {
    let (name, title) = LISTS.iter().find(|(name, _)| *name == topic)?;
    let entry = |topic: String, title: String| Entry { topic, title };
    let entries: Vec<Entry> = match *name {
        "codes" => Exit::ALL
            .iter()
            .map(|e| entry(e.code().to_string(), e.title().to_owned()))
            .collect(),
        "reasons" => known
            .reasons
            .iter()
            .flat_map(|r| r.iter())
            .map(|r| entry(r.code.to_owned(), first_sentence(r.help)))
            .collect(),
        "steps" => known
            .steps
            .kinds()
            .into_iter()
            .map(|k| entry(k.kind, format!("{} ({})", k.title, k.effect.word())))
            .collect(),
        "findings" => known
            .findings
            .findings()
            .into_iter()
            .map(|f| entry(f.id, f.title))
            .collect(),
        _ => handbook::SCRIPTS.iter().map(script_entry).collect(),
    };
    Some(Explanation {
        topic: (*name).to_owned(),
        title: (*title).to_owned(),
        paragraphs: Vec::new(),
        subject: Subject::List { entries },
        also: Vec::new(),
    })
}

fn first_sentence(text: &str) -> String {
    text.split_once(". ")
        .map_or(text, |(first, _)| first)
        .trim_end_matches('.')
        .to_owned()
}

fn unknown(topic: &str, known: &Known<'_>) -> Error {
    let mut names: Vec<String> = Exit::ALL.iter().map(|e| exit_name(*e)).collect();
    names.extend(
        known
            .reasons
            .iter()
            .flat_map(|r| r.iter())
            .map(|r| r.code.to_owned()),
    );
    names.extend(known.steps.kinds().into_iter().map(|k| k.kind));
    names.extend(known.findings.findings().into_iter().map(|f| f.id));
    names.extend(LISTS.iter().map(|(name, _)| (*name).to_owned()));
    for script in handbook::SCRIPTS {
        names.push(script.name.to_owned());
        names.extend(script.name.rsplit('/').next().map(str::to_owned));
    }
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .filter(|n| expr::nearest(topic, [n.as_str()]).is_some())
        .map(|n| (strsim::damerau_levenshtein(topic, n), n.as_str()))
        .collect();
    near.sort();
    near.dedup_by_key(|(_, name)| *name);
    let error = Error::new(&NOT_FOUND, format!("there is no topic `{topic}`"));
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, name)| name).collect();
    if near.is_empty() {
        return error.hint(
            "Ask for one of the lists: `summitctl explain codes`, `reasons`, `steps`, `findings` or `scripts`.",
        );
    }
    error.hint(format!("Did you mean `{}`?", near.join("` or `")))
}

#[cfg(test)]
mod tests;
