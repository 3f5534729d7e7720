//! The documents of the commands that need servers, against their published schemas, on one sandbox.

use std::collections::BTreeSet;

use super::program::Program;
use super::shared;

/// Commands in an order in which each finds what it works on: what is said besides the words, and the exit code.
const STORY: &[(&str, &str, i32)] = &[
    ("sandbox up", "", 0),
    ("golden-path", "--yes --keep", 0),
    ("sandbox status", "", 0),
    ("config check", "", 0),
    ("doctor", "", 0),
    ("context pin", "--yes", 0),
    ("status", "", 0),
    ("backup init", "--yes", 0),
    ("backup create", "--plan-only", 0),
    ("backup create", "", 3),
    ("backup create", "--yes", 0),
    ("backup list", "", 0),
    ("backup show", "newest", 0),
    ("backup diff", "newest", 0),
    ("backup verify", "newest --level 2 --yes", 0),
    ("backup verify", "newest --key-check --yes", 0),
    ("backup export", "newest exported --yes", 0),
    ("backup export", "newest exported --yes", 3),
    (
        "backup import",
        "small.sql --as-of 2026-01-02T03:04:05Z --yes",
        0,
    ),
    ("restore", "newest --plan-only", 0),
    ("restore", "newest --yes", 3),
    ("restore", "newest --confirm sandbox", 0),
    ("smoke", "--data-plane --yes --wait 60s", 0),
    ("drill run", "--yes", 0),
    ("drill history", "", 0),
    ("evidence list", "", 0),
    ("evidence show", "newest", 0),
    ("evidence verify", "", 0),
    ("run list", "", 0),
    ("run show", "", 0),
    ("runbook plan", "smoke", 0),
    ("runbook run", "smoke", 0),
    ("backup prune", "--keep-last 1", 3),
    ("backup prune", "--keep-last 1 --confirm sandbox", 0),
    ("migrate status", "", 0),
    ("migrate blockers", "", 0),
    ("migrate lock clear", "--yes", 0),
    ("sandbox break", "migration-lock", 0),
    ("migrate lock show", "", 0),
    ("migrate lock clear", "--yes", 3),
    ("migrate lock clear", "--confirm sandbox", 0),
    ("sandbox break", "redis", 0),
    ("smoke", "", 1),
    ("backup create", "--yes", 7),
    ("gate run", "", 5),
    ("sandbox mend", "", 0),
    ("sandbox down", "", 0),
];

#[test]
fn every_result_that_needs_servers_fits_its_schema() {
    let journey = Program::start("documents");
    let small = "CREATE TABLE small (n int);\nINSERT INTO small VALUES (1);\n";
    std::fs::write(journey.dir.join("small.sql"), small).unwrap();
    let mut held: BTreeSet<&str> = BTreeSet::new();
    for (words, more, code) in STORY {
        let mut args: Vec<&str> = words.split(' ').chain(more.split_whitespace()).collect();
        args.extend(["--context", "sandbox", "--output", "json"]);
        let output = journey.call(&args, None);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(*code),
            "{args:?}: {stdout}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let document = shared::document(words, &stdout, *code);
        if ["smoke", "doctor", "gate run", "config check"].contains(words) {
            shared::are_explained(&document);
        }
        if !document["result"].is_null() {
            held.insert(words);
        }
    }
    let commands = shared::commands();
    assert!(held.iter().all(|words| commands.contains(*words)));
    let missing: Vec<&&str> = shared::WITH_SERVERS
        .iter()
        .filter(|words| !held.contains(**words))
        .collect();
    assert!(
        missing.is_empty(),
        "a command's result is not held: {missing:?}"
    );
}
