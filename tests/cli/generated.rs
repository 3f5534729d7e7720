//! What the repository carries of generated files is what the program generates; and `explain` leaves nothing out.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Parser as _;
use summitctl::runbook::StepCatalog as _;

use crate::bench::Bench;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn completions_are_up_to_date() {
    let bench = Bench::new();
    for (shell, file) in [
        ("bash", "summitctl.bash"),
        ("zsh", "_summitctl"),
        ("fish", "summitctl.fish"),
    ] {
        let made = bench.run(&["completions", shell]).out;
        let kept = std::fs::read_to_string(root().join("completions").join(file)).unwrap();
        assert!(
            made.trim_end() == kept.trim_end(),
            "completions/{file} is stale: run `make completions`"
        );
    }
}

#[test]
fn schemas_are_up_to_date() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["schemas", "made"]).code, 0);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(bench.dir.join("made")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let made = std::fs::read_to_string(entry.path()).unwrap();
        let kept = std::fs::read_to_string(root().join("docs/schemas/cli").join(&name))
            .unwrap_or_default();
        assert!(
            made == kept,
            "docs/schemas/cli/{name} is stale: run `make schemas`"
        );
        names.insert(name);
    }
    assert!(names.len() > 15, "{names:?}");
}

#[test]
fn man_pages_cover_every_command() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["man", "pages"]).code, 0);
    assert!(bench.dir.join("pages/summitctl-backup-create.1").is_file());
    assert!(
        !bench
            .dir
            .join("pages/summitctl-sandbox-serve-platform.1")
            .exists()
    );
}

#[test]
fn explain_knows_every_code_reason_and_step() {
    let bench = Bench::new();
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "70"] {
        assert_eq!(bench.run(&["explain", code]).code, 0, "{code}");
    }
    for topic in [
        "codes",
        "reasons",
        "steps",
        "findings",
        "scripts",
        "backup.capture",
        "smoke.failed",
        "make smoke",
        "pin.postgres",
        "variable.jwt-secret",
        "tls.expiry",
    ] {
        let gave = bench.run(&["explain", topic]);
        assert_eq!(gave.code, 0, "{topic}: {}", gave.all());
    }
    let unknown = bench.run(&["explain", "backup.captur"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("backup.capture"), "{}", unknown.err);
}

/// A check that `explain` does not know would leave somebody alone with it: every dotted name in the sources of checks is
/// a topic.
#[test]
fn every_check_in_the_sources_is_explained() {
    let mut topics: BTreeSet<String> = summitctl::ops::findings::all()
        .into_iter()
        .map(|f| f.id)
        .collect();
    let ids = topics.len();
    let reasons = summitctl::ops::findings::reasons();
    topics.extend(reasons.into_iter().flatten().map(|r| r.code.to_owned()));
    topics.extend(
        summitctl::steps::registry()
            .kinds()
            .into_iter()
            .map(|k| k.kind),
    );
    let mut seen = 0;
    let mut silent = BTreeSet::new();
    for file in [
        "ops/doctor.rs",
        "steps/smoke.rs",
        "steps/smoke/gateway.rs",
        "steps/gate.rs",
        "config/check.rs",
        "config/check/relations.rs",
    ] {
        let text = std::fs::read_to_string(root().join("src").join(file)).unwrap();
        for name in text.split('"').skip(1).step_by(2) {
            let part =
                |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            if !matches!(name.split_once('.'), Some((a, b)) if part(a) && part(b)) {
                continue;
            }
            seen += 1;
            if !topics.contains(name) && name != "key.pem" && name != "cert.pem" {
                silent.insert(format!("{name} ({file})"));
            }
        }
    }
    assert!(seen > 40 && ids > 60, "{seen} {ids}");
    assert!(silent.is_empty(), "{silent:?}");
    let config: Vec<String> = summitctl::config::check::catalog()
        .into_iter()
        .map(|c| c.id)
        .filter(|id| !topics.contains(id))
        .collect();
    assert!(config.is_empty(), "{config:?}");
}

/// A module that declares reasons and is not in the list would be silent in `explain`.
#[test]
fn every_declared_reason_is_explained() {
    let known: BTreeSet<&str> = summitctl::ops::findings::reasons()
        .into_iter()
        .flatten()
        .map(|r| r.code)
        .collect();
    let mut missing = Vec::new();
    visit(&root().join("src"), &mut |text| {
        for part in text.split("reasons! {").skip(1) {
            let block = part.split("\n}").next().unwrap_or_default();
            for line in block.lines() {
                let Some((_, rest)) = line.split_once(" = \"") else {
                    continue;
                };
                let code = rest.split('"').next().unwrap_or_default();
                let shaped = code.contains('.')
                    && code.chars().all(|c| {
                        c.is_ascii_lowercase() || c == '.' || c == '-' || c.is_ascii_digit()
                    });
                if shaped && !code.starts_with("example.") && !known.contains(code) {
                    missing.push(code.to_owned());
                }
            }
        }
    });
    assert!(
        missing.is_empty(),
        "not in ops::findings::reasons: {missing:?}"
    );
}

fn visit(dir: &Path, look: &mut dyn FnMut(&str)) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|e| e == "rs") {
            look(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The commands that stand in for the handbook's scripts are commands of this program.
#[test]
fn the_handbook_s_replacements_parse() {
    for line in summitctl::ops::explain::handbook::commands() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let parsed = summitctl::cli::args::Cli::try_parse_from(&words);
        assert!(parsed.is_ok(), "`{line}`: {}", parsed.unwrap_err());
    }
}
