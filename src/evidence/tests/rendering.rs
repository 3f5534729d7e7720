//! Renderings hold what the record holds, escape it, and never count as passed what did not pass.

use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::json;

use super::outside::validator;
use crate::event::{Outcome, StepEnd};
use crate::evidence::testing::{Folder, ending, key, record, starting, step, trusting};
use crate::evidence::{Archive, CheckRecord, Recorder, Run, TrustedKeys, render};

/// What a hostile server might send: markup, a cell's end, a fence, a line feed, a reordering and an invisible character.
const HOSTILE: &str =
    "<script>alert(1)</script>\"'&|`` ``` [x](javascript:y)\n# h\u{202e}\u{0}end ]]>";

fn run(dir: &Path, id: &str, trusted: &TrustedKeys) -> Run {
    let archive = Archive::open(dir, trusted).expect("opens");
    archive.find(id).expect("is there").clone()
}

fn recorded(outcome: Outcome) -> (Folder, Run) {
    let folder = Folder::new("render");
    record(folder.path(), &key(1), "r1", "drill", outcome);
    let run = run(folder.path(), "r1", &trusting(&[&key(1)]));
    (folder, run)
}

fn hostile() -> (Folder, Run) {
    let folder = Folder::new("hostile");
    let mut facts = starting("r1", "drill");
    facts.title = Some(HOSTILE.into());
    facts.context = HOSTILE.into();
    facts
        .observations
        .0
        .insert(HOSTILE.into(), json!({HOSTILE: [HOSTILE]}));
    let recorder = Recorder::start(folder.path(), &key(1), facts, vec![]).expect("starts");
    let mut end = ending(Outcome::Failed);
    let error = crate::error::Error::input(HOSTILE).hint(HOSTILE);
    end.failure = Some((&error).into());
    end.checks[0].detail = HOSTILE.into();
    end.checks[0].id = HOSTILE.into();
    end.steps[0].observed = json!(HOSTILE).into();
    end.artefacts[0].id = HOSTILE.into();
    end.artefacts[0].location = Some(HOSTILE.into());
    end.measurements[0].source = HOSTILE.into();
    recorder.finish(end, vec![]).expect("finishes");
    let run = run(folder.path(), "r1", &trusting(&[&key(1)]));
    (folder, run)
}

/// Follows the tags of a document: every one that opens closes, in order. Gives the elements' names.
fn balanced(text: &str, void: &[&str]) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').expect("the tag ends");
        let (tag, after) = (&tag[..end], &tag[end + 1..]);
        rest = after;
        if tag.starts_with(['!', '?']) {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closes what is open");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default().to_owned();
        seen.push(name.clone());
        if name == "style" {
            rest = &rest[rest.find("</style>").expect("ends")..];
        }
        if !tag.ends_with('/') && !void.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    seen
}

fn html_of(run: &Run) -> (String, Vec<String>) {
    let page = render::html(run);
    let elements = balanced(&page, &["meta", "br", "wbr"]);
    (page, elements)
}

#[test]
fn the_page_is_whole_and_alone() {
    for outcome in [Outcome::Passed, Outcome::Failed] {
        let (_folder, run) = recorded(outcome);
        let (page, elements) = html_of(&run);
        for forbidden in ["script", "link", "img", "iframe", "a", "form", "object"] {
            assert!(!elements.iter().any(|e| e == forbidden), "{forbidden}");
        }
        for outside in ["src=", "href=", "url(", "@import", "http://", "https://"] {
            assert!(!page.contains(outside), "{outside}");
        }
        for value in [
            "drill on staging",
            "41.5s",
            "4h",
            "no limit",
            "1.0 MiB",
            "level 3",
            "system-identifier: 7312",
            "newest is 14m old, 1h allowed",
            "1 passed, 1 not evaluated of 2.",
            "rows: 1204, database: app",
            run.start.place.sha256.hex(),
            run.closing().expect("closed").place.anchor.as_str(),
        ] {
            assert!(page.replace("<wbr>", "").contains(value), "{value}");
        }
        assert!(page.contains("The signatures were checked"));
    }
}

#[test]
fn hostile_values_stay_values_in_the_page() {
    let (_folder, run) = hostile();
    let (page, elements) = html_of(&run);
    assert!(!elements.iter().any(|e| e == "script"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("\\u{202e}\\u{0}end"));
    assert!(!page.contains('\u{202e}') && !page.contains('\u{0}'));
}

#[test]
fn hostile_values_stay_values_in_markdown() {
    let (_folder, run) = hostile();
    let text = render::markdown(&run);
    let mut columns = Vec::new();
    let mut cells = 0;
    for event in Parser::new_ext(
        &text,
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH,
    ) {
        match event {
            Event::Html(_) | Event::InlineHtml(_) => panic!("became markup: {event:?}"),
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => {
                panic!("became a link: {event:?}")
            }
            Event::Start(Tag::Table(alignments)) => columns.push(alignments.len()),
            Event::Start(Tag::TableCell) => cells += 1,
            _ => {}
        }
    }
    let lines = text.lines().filter(|l| l.starts_with("| "));
    let expected: usize = lines.count();
    assert!(columns.len() >= 8 && cells > expected, "{columns:?}");
    // Each row has as many cells as its header: none of the values ended its cell.
    let mut width = 0;
    for line in text.lines() {
        let bars = line.replace("\\|", "").matches('|').count();
        if line.starts_with("|---") {
            width = bars;
        } else if line.starts_with("| ") && width > 0 {
            assert_eq!(bars, width, "{line}");
        } else if line.is_empty() {
            width = 0;
        }
    }
}

#[test]
fn junit_counts_only_what_passed() {
    let folder = Folder::new("junit");
    let recorder =
        Recorder::start(folder.path(), &key(1), starting("r1", "gate"), vec![]).expect("starts");
    let mut end = ending(Outcome::Failed);
    for (id, outcome) in [
        ("a", Outcome::Degraded),
        ("b", Outcome::Skipped),
        ("c", Outcome::Failed),
    ] {
        end.checks.push(CheckRecord::new(id, outcome, "as seen"));
    }
    end.steps.push(step("later", StepEnd::Interrupted, 20));
    end.steps.push(step("optional", StepEnd::Skipped, 21));
    recorder.finish(end, vec![]).expect("finishes");
    let run = run(folder.path(), "r1", &trusting(&[&key(1)]));
    let xml = render::junit(&run);
    let elements = balanced(&xml, &[]);
    let count = |name: &str| elements.iter().filter(|e| *e == name).count();
    // Run failed; checks: degraded, failed; step failed. Errors: a check not evaluated, a step interrupted.
    assert_eq!(
        (
            count("testcase"),
            count("failure"),
            count("error"),
            count("skipped")
        ),
        (12, 4, 2, 2)
    );
    let head = xml.lines().nth(1).expect("has lines");
    assert!(
        head.contains("tests=\"12\" failures=\"4\" errors=\"2\" skipped=\"2\""),
        "{head}"
    );
    assert!(xml.contains("<error type=\"not-evaluated\" message=\"no queue is configured\">"));
}

#[test]
fn hostile_values_stay_values_in_junit() {
    let (_folder, run) = hostile();
    let xml = render::junit(&run);
    let elements = balanced(&xml, &[]);
    assert!(!elements.iter().any(|e| e == "script"));
    // XML 1.0 has no way to hold a NUL, and `]]>` must not stand in its content.
    assert!(!xml.contains('\u{0}') && !xml.contains("]]>"));
}

#[test]
fn an_open_or_unproven_run_says_so_everywhere() {
    let folder = Folder::new("open");
    Recorder::start(folder.path(), &key(1), starting("r1", "drill"), vec![]).expect("starts");
    let run = run(folder.path(), "r1", &TrustedKeys::default());
    let (page, _) = html_of(&run);
    assert!(page.contains("not finished") && page.contains("counts against a gate"));
    assert!(page.contains("Not proven"));
    let text = render::markdown(&run);
    assert!(text.starts_with("# drill on staging: not finished\n"));
    assert!(render::junit(&run).contains("<error type=\"open\""));
    let dossier = serde_json::to_value(render::dossier(&run)).expect("writes");
    assert_eq!(
        (&dossier["closed"], &dossier["trusted"]),
        (&json!(false), &json!(false))
    );
}

#[test]
fn the_document_fits_its_schema_and_a_resumed_run_shows_each_attempt() {
    let (folder, _) = recorded(Outcome::Failed);
    let again =
        Recorder::attach(folder.path(), &key(1), "r1", &TrustedKeys::default()).expect("attaches");
    again
        .finish(ending(Outcome::Passed), vec![])
        .expect("finishes");
    let run = run(folder.path(), "r1", &trusting(&[&key(1)]));
    let text = render::json(&run).expect("writes");
    let document: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    let errors: Vec<String> = validator("evidence-dossier-v1")
        .iter_errors(&document)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(document["ends"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["outcome"], "passed");
    let page = render::markdown(&run);
    assert!(page.contains("## Attempts") && page.contains("| 1 | **failed**"));
}

/// Set to a folder to look at the pages oneself.
#[test]
fn pages_can_be_kept_for_looking_at() {
    let Some(out) = std::env::var_os("SUMMITCTL_KEEP_PAGES") else {
        return;
    };
    let out = Path::new(&out);
    for (name, run) in [
        ("passed", recorded(Outcome::Passed).1),
        ("failed", recorded(Outcome::Failed).1),
        ("hostile", hostile().1),
    ] {
        std::fs::write(out.join(format!("{name}.html")), render::html(&run)).expect("writes");
        std::fs::write(out.join(format!("{name}.md")), render::markdown(&run)).expect("writes");
        std::fs::write(out.join(format!("{name}.xml")), render::junit(&run)).expect("writes");
    }
}
