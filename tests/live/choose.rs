//! Choosing a backup by label, commit and time, among whole ones, partial ones and those that restores made.

use crate::program::{Program, said};

const FIRST: &str = "abcdef0123456789abcdef0123456789abcdef01";
const SECOND: &str = "abcdef0999999999abcdef0123456789abcdef01";

#[tokio::test]
async fn by_label_commit_and_time_and_never_a_partial_or_safety_one_in_silence() {
    let program = Program::start("choose");
    let here = ["--context", "sandbox"];
    let with = |words: &[&'static str]| -> Vec<&'static str> { [words, &here].concat() };
    program.ok(&with(&[
        "backup",
        "create",
        "--label",
        "pre-deploy",
        "--commit",
        FIRST,
        "--yes",
    ]));
    let whole = program.backups().remove(0);
    program.ok(&with(&[
        "backup", "create", "--stores", "redis", "--label", "hotfix", "--commit", SECOND, "--yes",
    ]));
    let partial = program.backups().remove(0);
    assert_ne!(whole, partial);

    let listed = program.json(&with(&["backup", "list"]));
    assert_eq!(listed["backups"][1]["commit"], FIRST);
    assert_eq!(
        listed["backups"][1]["labels"],
        serde_json::json!(["pre-deploy"])
    );
    let made = listed["backups"][1]["created"].as_str().unwrap().to_owned();
    let text = String::from_utf8(program.ok(&with(&["backup", "list"])).stdout).unwrap();
    assert!(text.contains("pre-deploy, commit abcdef012345"), "{text}");
    let text = String::from_utf8(program.ok(&with(&["backup", "show", "newest"])).stdout).unwrap();
    assert!(text.contains(&format!("commit    {FIRST}")), "{text}");

    let chosen = |wanted: &str, more: &[&str]| {
        let words = [&["backup", "show", wanted][..], &here, more].concat();
        let output = program.ok(&words);
        let text = said(&output);
        let id = text.lines().find_map(|l| l.strip_prefix("backup    "));
        (id.unwrap().to_owned(), text)
    };
    let (id, text) = chosen("newest", &[]);
    assert_eq!(id, whole);
    assert!(text.contains(&partial) && text.contains("lacks"), "{text}");
    let (id, text) = chosen("label:hotfix", &[]);
    assert_eq!(id, partial);
    assert!(text.contains("lacks postgres, neo4j"), "{text}");
    assert_eq!(chosen("label:pre-deploy", &[]).0, whole);
    assert_eq!(chosen("commit:ABCDEF01", &[]).0, whole);
    assert_eq!(chosen(&format!("commit:{SECOND}"), &[]).0, partial);
    assert_eq!(chosen(&format!("before:{made}"), &[]).0, whole);
    assert_eq!(chosen(&format!("at:{made}"), &[]).0, whole);

    let refused = |wanted: &str| {
        let output = program.call(&[&["backup", "show", wanted][..], &here].concat(), None);
        assert_eq!(output.status.code(), Some(2));
        said(&output)
    };
    let text = refused("commit:abcdef0");
    for part in ["2 commits", &whole, &partial, FIRST, SECOND, "backup list"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(refused("label:pre-deplyo").contains("label:pre-deploy"));
    assert!(refused("commit:1234567").contains(FIRST));
    assert!(refused("before:2020-01-01").contains(&whole));

    // For Redis alone the partial one is all that is needed; what the restore saves first is never the newest.
    let restore = with(&[
        "restore",
        "newest",
        "--stores",
        "redis",
        "--confirm",
        "sandbox",
    ]);
    let text = said(&program.ok(&restore));
    assert!(text.contains(&format!("from backup {partial}")), "{text}");
    let saved = program.backups().remove(0);
    assert_eq!(chosen("newest", &[]).0, whole);
    let (id, text) = chosen("label:safety", &[]);
    assert_eq!(id, saved, "{text}");
}
