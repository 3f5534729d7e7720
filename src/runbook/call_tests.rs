//! Runbooks that use others, and copies of built-in ones.

use std::collections::BTreeMap;

use serde_json::json;

use super::drift::{copy, unified};
use super::expand::{MAX_DEPTH, NESTED};
use super::tests::Kinds;
use super::*;

const FRONT: &str = "title: T\nplatform: p\nwhen: W.\n";

/// A runbook of the local folder.
fn book(id: &str, front: &str, steps: &[&str]) -> (String, String) {
    let mut text = format!("---\nrunbook: {id}\n{FRONT}{front}---\n\n# T\n\nDo it.\n\n");
    for step in steps {
        text.push_str(&format!("So:\n\n```yaml step\n{step}\n```\n\n"));
    }
    (format!("runbooks/{id}.md"), text)
}

fn digest_of(book: &(String, String)) -> String {
    parse(Source::new("x", book.1.as_str())).0.digest()
}

/// A step that uses a runbook.
fn call(id: &str, used: &(String, String), name: &str, more: &str) -> String {
    let digest = digest_of(used);
    format!("id: {id}\nuses: runbook\n{more}with:\n  runbook: {name}\n  digest: {digest}\n")
}

fn expanded(library: &Library, id: &str, given: &[(&str, &str)]) -> Result<Expanded> {
    let given: BTreeMap<String, String> = given
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let book = library.get(id, &Kinds)?;
    expand(book, library, &Kinds, &book.bind(&given)?)
}

fn inner() -> (String, String) {
    book(
        "inner",
        "params:\n  wait: { type: duration, prompt: W, default: 1m }\n  backup: { type: string, prompt: B }\n",
        &[
            "id: look\nuses: smoke.run\nwith: { wait: \"${ params.wait }\" }",
            "id: read\nuses: backup.verify\nwhen: \"!steps.look.out.bad\"\nwith: { backup: \"${ params.backup }\", level: 2 }\nexpect: [\"result.of == params.backup && steps.look.out.ok\"]",
        ],
    )
}

fn findings(library: &Library, id: &str) -> String {
    let book = library.find(id).expect("there");
    let found = library.findings(id, &Kinds).expect("there");
    found.iter().map(|d| d.render(book.source())).collect()
}

#[test]
fn a_runbook_that_is_used_stands_in_the_plan_with_its_own_names() {
    let inner = inner();
    let outer = book(
        "outer",
        "params:\n  long: { type: duration, prompt: L, default: 9m }\n  all: { type: boolean, prompt: A, default: true }\n",
        &[
            "id: pick\nuses: gate.run",
            &format!(
                "{}  params:\n    wait: ${{ params.long }}\n    backup: ${{ steps.pick.out.id }}\n",
                call(
                    "in",
                    &inner,
                    "inner",
                    "when: params.all\non-failure: undo\nexpect: [result.look.ok]\n"
                )
            ),
            "id: last\nuses: smoke.run\nwhen: steps.in.out.look.ok",
        ],
    );
    let library = Library::new([inner.clone(), outer]);
    assert_eq!(findings(&library, "outer"), "");
    let done = expanded(&library, "outer", &[("long", "7m")]).expect("expands");
    let ids: Vec<&str> = done.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["pick", "in__look", "in__read", "in", "last"]);
    let [_, look, read, gather, last] = &done.steps[..] else {
        panic!("{ids:?}");
    };
    assert_eq!(look.needs, ["pick"]);
    assert_eq!(look.args, json!({"wait": "${ params.in__wait }"}));
    assert_eq!(look.when, None, "known to be true while planning");
    assert_eq!(look.on_failure, OnFailure::Undo);
    assert_eq!(read.needs, ["in__look"]);
    assert_eq!(
        read.args,
        json!({"backup": "${ (steps.pick.out.id) }", "level": 2})
    );
    assert_eq!(read.when.as_deref(), Some("!steps.in__look.out.bad"));
    assert_eq!(
        read.expect,
        ["result.of == (steps.pick.out.id) && steps.in__look.out.ok"]
    );
    assert_eq!(
        gather.args,
        json!({"runbook": "inner", "digest": digest_of(&inner),
               "results": {"look": "${ steps.in__look.out }", "read": "${ steps.in__read.out }"}})
    );
    assert_eq!(gather.needs, ["pick", "in__look", "in__read"]);
    assert_eq!(last.when.as_deref(), Some("steps.in.out.look.ok"));
    assert_eq!(done.params["in__wait"], "7m");
    let texts: Vec<(&str, &str)> = done
        .texts
        .iter()
        .map(|(step, book)| (step.as_str(), book.id.as_str()))
        .collect();
    assert_eq!(texts, [("", "outer"), ("in", "inner")]);
    // Left out as a whole, where that is known before the run.
    let none = expanded(&library, "outer", &[("all", "false")]).expect("expands");
    for step in &none.steps[1..4] {
        assert_eq!(step.when.as_deref(), Some("false"), "{}", step.id);
    }
}

#[test]
fn another_text_than_the_pinned_one_is_refused_with_the_right_digest() {
    let inner = inner();
    let outer = book(
        "outer",
        "",
        &[&format!(
            "{}  params: {{ backup: b }}\n",
            call("in", &inner, "inner", "")
        )],
    );
    let mut changed = inner.clone();
    changed.1.push_str("And more.\n");
    let library = Library::new([changed.clone(), outer]);
    let shown = findings(&library, "outer");
    assert!(shown.contains("error[digest]"), "{shown}");
    assert!(shown.contains(&digest_of(&changed)), "{shown}");
    let book = library.find("outer").expect("there");
    let bound = book.bind(&BTreeMap::new()).expect("binds");
    let refused = expand(book, &library, &Kinds, &bound).expect_err("refused");
    assert_eq!(refused.reason(), &expand::DIGEST);
    assert!(
        refused.hints()[0].contains(&digest_of(&changed)),
        "{refused}"
    );
}

#[test]
fn circles_and_depth_are_refused() {
    // No text holds its own digest, so a circle is never pinned right; it is a circle first.
    let zeros = format!("sha256:{}", "0".repeat(64));
    let using = |id: &str, name: &str| {
        let step = format!("id: c\nuses: runbook\nwith: {{ runbook: {name}, digest: '{zeros}' }}");
        book(id, "", &[&step])
    };
    let library = Library::new([using("a", "b"), using("b", "a")]);
    let shown = findings(&library, "a");
    assert!(
        shown.contains("error[cycle]") && shown.contains("`a` → `b` → `a`"),
        "{shown}"
    );
    let a = library.find("a").expect("there");
    let circle = expand(a, &library, &Kinds, &Bound::default()).expect_err("a circle");
    assert!(!circle.to_string().is_empty());

    let mut books = vec![book("d0", "", &["id: look\nuses: gate.run"])];
    for n in 1..=MAX_DEPTH + 1 {
        let below = &books[n - 1];
        let step = call("c", below, &format!("d{}", n - 1), "");
        books.push(book(&format!("d{n}"), "", &[&step]));
    }
    let library = Library::new(books);
    let fits = expanded(&library, &format!("d{MAX_DEPTH}"), &[]).expect("deep enough");
    assert_eq!(fits.steps[0].id, "c__c__c__c__look");
    let top = format!("d{}", MAX_DEPTH + 1);
    let shown = findings(&library, &top);
    assert!(shown.contains("deep"), "{shown}");
    let book = library.find(&top).expect("there");
    let deep = expand(book, &library, &Kinds, &Bound::default()).expect_err("too deep");
    assert_eq!(deep.reason(), &NESTED);
}

#[test]
fn a_use_is_checked_as_far_as_it_is_known() {
    let inner = inner();
    let outer = book(
        "outer",
        "",
        &[
            &format!(
                "{}  params: {{ wiat: 1m, wait: soon }}\n",
                call(
                    "in",
                    &inner,
                    "inner",
                    "retries: 2\non-failure: continue\nexpect: [result.lok.ok]\n"
                )
            ),
            "id: x\nuses: smoke.run\nwhen: steps.in.out.raed.ok",
            "id: y\nuses: runbook\nwith: { runbook: iner, digest: 'x' }",
            "id: z\nuses: runbook\nwith: { runbook: inner, digets: 'x', results: {} }",
        ],
    );
    let library = Library::new([inner, outer]);
    let shown = findings(&library, "outer");
    for part in [
        "`retries` belongs to the steps of a runbook",
        "`on-failure: continue` belongs",
        "runbook `inner` has no parameter `wiat`",
        "hint: Did you mean `wait`?",
        "parameter `wait` is a duration such as `15m`, not `soon`",
        "runbook `inner` needs the parameter `backup`",
        "runbook `inner` has no step `lok`",
        "runbook `inner` has no step `raed`",
        "there is no runbook `iner`",
        "has no argument `digets`",
        "has no argument `results`",
        "needs `digest`",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn what_cannot_be_followed_into_another_runbook_is_refused() {
    let whole = book(
        "whole",
        "params:\n  n: { type: integer, prompt: N, default: 1 }\n",
        &["id: look\nuses: gate.run\nexpect: [\"size(params) == 1\"]"],
    );
    let mixed = inner();
    let outer = book("outer", "", &[&call("in", &whole, "whole", "")]);
    let late = book(
        "late",
        "",
        &[
            "id: pick\nuses: gate.run",
            &format!(
                "{}  params: {{ backup: \"b-${{ steps.pick.out.id }}\" }}\n",
                call("in", &mixed, "inner", "")
            ),
        ],
    );
    let library = Library::new([whole, mixed, outer, late]);
    let error = expanded(&library, "outer", &[]).expect_err("the whole of params");
    assert_eq!(error.reason(), &INVALID);
    let error = expanded(&library, "late", &[]).expect_err("a text with a result in it");
    assert!(error.hints()[0].contains("one expression"), "{error}");
}

fn local(text: &str) -> Library {
    Library::new([("runbooks/smoke.md".to_owned(), text.to_owned())])
}

#[test]
fn a_copy_tells_its_own_changes_from_those_of_the_built_in_text() {
    let built_in = Library::new([]);
    let smoke = built_in.built_in("summit/smoke").expect("built in");
    let fresh = copy(smoke, "smoke");
    let state = |text: &str| {
        let library = local(text);
        library
            .drift("smoke")
            .expect("there")
            .map(|(drift, _)| drift)
    };
    assert_eq!(state(&fresh), Some(Drift::Same));
    assert_eq!(state(smoke.source().text()), Some(Drift::Same));
    let edited = fresh.replace("# Smoke test", "# Our smoke test");
    assert_eq!(state(&edited), Some(Drift::Edited));
    // A copy of a text that was built in once: unchanged, and changed.
    let old = Runbook {
        source: Source::new(
            "old",
            smoke.source().text().replace("by themselves", "alone"),
        ),
        ..smoke.clone()
    };
    let outdated = copy(&old, "smoke");
    assert_eq!(state(&outdated), Some(Drift::Outdated));
    let diverged = outdated.replace("# Smoke test", "# Our smoke test");
    assert_eq!(state(&diverged), Some(Drift::Diverged));
    let unknown = edited.replace(&format!("based-on: smoke@{}\n", smoke.digest()), "");
    assert_eq!(state(&unknown), Some(Drift::Unknown));
    // A runbook of another name that was made from it, and one that stands alone.
    let named = Library::new([("runbooks/ours.md".to_owned(), copy(smoke, "ours"))]);
    assert_eq!(
        named.drift("ours").expect("there").map(|d| d.0),
        Some(Drift::Same)
    );
    assert!(built_in.drift("smoke").expect("there").is_none());

    let said = |text: &str| findings(&local(text), "smoke");
    assert_eq!(said(&edited), "");
    let shown = said(&outdated);
    assert!(
        shown.contains("warning[drift]") && shown.contains("runbook new smoke --from smoke"),
        "{shown}"
    );
    let shown = said(&unknown);
    assert!(
        shown.contains(&format!("based-on: smoke@{}", smoke.digest())),
        "{shown}"
    );
    let shown = said(&edited.replace("based-on: smoke@sha256:", "based-on: smoke@md5:"));
    assert!(shown.contains("error[wrong-value]"), "{shown}");
}

#[test]
fn a_difference_is_shown_with_what_stands_around_it() {
    let old: String = (1..=20).map(|n| format!("line {n}\n")).collect();
    let new = old.replace("line 10\n", "line ten\nand a half\n");
    assert_eq!(
        unified(&old, &new),
        "@@ line 7 → line 7 @@\n line 7\n line 8\n line 9\n-line 10\n+line ten\n+and a half\n line 11\n line 12\n line 13\n"
    );
    assert_eq!(unified(&old, &old), "");
}
