//! Mechanical taste: the rules that a reviewer should never have to say twice.
//!
//! The sources are read as tokens, so that a word in a comment or a string is not mistaken for code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The layers, lowest first. A module imports from lower layers only, and modules of one layer above the floor do not
/// import each other. Each folder of `providers/` is a module of its own.
const LAYERS: &[&[&str]] = &[
    &[
        "error", "exit", "secret", "wait", "time", "event", "consent", "identity", "expr", "pid",
        "tls", "sign", "capture", "durable",
    ],
    &["providers", "runbook", "check"],
    &["config", "engine", "repository", "sandbox"],
    &["evidence"],
    &["steps"],
    &["ops"],
    &["cli"],
];

/// A longer file has more than one subject.
const LONGEST_FILE: usize = 700;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

struct Source {
    path: String,
    text: String,
    /// Tokens of everything before the test module at the file's end, with their lines.
    tokens: Vec<(Token, usize)>,
}

#[test]
fn modules_import_downwards_only() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let Some(own) = module_of(&source.path) else {
            continue;
        };
        let Some(layer) = layer_of(&own) else {
            wrong.push(format!(
                "{}: module `{own}` has no layer in tests/tidy.rs",
                source.path
            ));
            continue;
        };
        for (target, line) in imports(&source) {
            if target == own {
                continue;
            }
            // Macros and re-exports at the root belong to the floor.
            let below = match layer_of(&target) {
                None => true,
                Some(other) => other < layer || (layer == 0 && other == 0),
            };
            if !below {
                wrong.push(format!(
                    "{}:{line}: `{own}` (L{layer}) imports `{target}`",
                    source.path
                ));
            }
        }
    }
    none(
        &wrong,
        "a module imports from lower layers only, and never from its own",
    );
}

#[test]
fn nothing_unwraps_prints_or_sleeps_where_it_must_not() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let may_print = source.path.starts_with("src/cli") || source.path == "src/main.rs";
        for (at, (token, line)) in source.tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            let next = source.tokens.get(at + 1).map(|(t, _)| t);
            let called = next == Some(&Token::Mark('('));
            let before = at.checked_sub(1).map(|i| &source.tokens[i].0);
            let printed = next == Some(&Token::Mark('!'))
                && ["println", "eprintln", "print", "eprint", "dbg", "todo"]
                    .contains(&word.as_str());
            if word == "unwrap" && called && before == Some(&Token::Mark('.')) {
                wrong.push(format!("{}:{line}: unwrap()", source.path));
            }
            if printed && !(may_print && word.contains("print")) {
                wrong.push(format!("{}:{line}: {word}!", source.path));
            }
            if word == "allow" && called && before == Some(&Token::Mark('[')) {
                wrong.push(format!(
                    "{}:{line}: #[allow]; use #[expect(…, reason = …)]",
                    source.path
                ));
            }
        }
    }
    for source in sources("tests") {
        for (at, (token, line)) in source.tokens.iter().enumerate() {
            let next = source.tokens.get(at + 1).map(|(t, _)| t);
            if *token == Token::Word("sleep".into()) && next == Some(&Token::Mark('(')) {
                wrong.push(format!(
                    "{}:{line}: sleep(); poll with a deadline",
                    source.path
                ));
            }
            let attribute = at > 0 && source.tokens[at - 1].0 == Token::Mark('[');
            if *token == Token::Word("ignore".into()) && attribute {
                wrong.push(format!("{}:{line}: an ignored test", source.path));
            }
        }
    }
    none(
        &wrong,
        "no unwrap, printing or allow outside their places; no sleeps and no ignored tests",
    );
}

#[test]
fn files_have_one_subject_and_say_which() {
    let mut wrong = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!(
                "{}: {lines} lines, more than {LONGEST_FILE}",
                source.path
            ));
        }
        let tests = source.path.starts_with("src/") && source.tokens.is_empty();
        if !source.text.starts_with("//!") && !tests {
            wrong.push(format!("{}: does not open with its purpose", source.path));
        }
    }
    let main = std::fs::read_to_string(root().join("src/main.rs")).unwrap();
    if main.lines().count() > 30 {
        wrong.push("src/main.rs: more than 30 lines; logic lives in the library".into());
    }
    none(&wrong, "files are short and open with their purpose");
}

#[test]
fn reason_codes_are_kebab_and_unique() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for source in sources("src") {
        for (code, line) in reason_codes(&source) {
            let place = format!("{}:{line}", source.path);
            if !is_reason(&code) {
                wrong.push(format!(
                    "{place}: `{code}` is not of the form `area.what-happened`"
                ));
            }
            if let Some(first) = seen.insert(code.clone(), place.clone()) {
                wrong.push(format!("{place}: `{code}` is also declared at {first}"));
            }
        }
    }
    assert!(seen.len() > 5, "the scan finds the declarations: {seen:?}");
    none(&wrong, "reason codes are stable names");
}

#[test]
fn the_changelog_has_a_place_for_the_next_change() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md");
    assert!(text.contains("## [Unreleased]"), "Keep-a-Changelog form");
    assert!(root().join("LICENSE").is_file());
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    // Put together here, so that this file does not find itself.
    let places = [
        ["/wo", "rk/"].concat(),
        ["/tm", "p/w/"].concat(),
        ["/ro", "ot/"].concat(),
        ["/ho", "me/"].concat(),
        ["/Us", "ers/"].concat(),
    ];
    let mut wrong = Vec::new();
    for path in tracked() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for place in &places {
                // Part of a longer path, such as `docs/home/x`, is not an absolute one.
                let absolute = line.match_indices(place.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}~*".contains(c))
                });
                if absolute {
                    wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    none(&wrong, "paths come from arguments and the environment");
}

#[test]
fn the_format_page_stands_without_the_sources() {
    let page = std::fs::read_to_string(root().join("docs/FORMAT.md")).expect("docs/FORMAT.md");
    let lines = page.lines().enumerate();
    let wrong: Vec<String> = lines
        .filter(|(_, line)| line.contains("src/") || line.contains(".rs"))
        .map(|(number, line)| format!("docs/FORMAT.md:{}: {}", number + 1, line.trim()))
        .collect();
    none(&wrong, "another reader is written after the page alone");
}

#[test]
fn banned_crates_are_not_in_the_lock_file() {
    let deny = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = deny.parse().expect("deny.toml is TOML");
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().expect("Cargo.lock is TOML");
    let locked: BTreeSet<&str> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    let banned: Vec<&str> = deny["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ban| ban["crate"].as_str().unwrap())
        .collect();
    assert!(banned.len() >= 5);
    let found: Vec<String> = banned
        .iter()
        .filter(|name| locked.contains(*name))
        .map(|name| format!("Cargo.lock holds `{name}`"))
        .collect();
    none(&found, "one TLS stack: rustls on ring");
}

fn none(wrong: &[String], rule: &str) {
    let mut report = String::new();
    for line in wrong {
        let _ = writeln!(report, "  {line}");
    }
    assert!(wrong.is_empty(), "{rule}:\n{report}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `folder`, in order of path.
fn sources(folder: &str) -> Vec<Source> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return;
        };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    let of_tests = test_modules(&found);
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let path = path
                .strip_prefix(root())
                .expect("found below the root")
                .to_string_lossy()
                .into_owned();
            let code = if of_tests.contains(&root().join(&path)) {
                ""
            } else {
                before_tests(&text)
            };
            let tokens = tokens(code);
            Source { path, text, tokens }
        })
        .collect()
}

/// The files that only tests are built from: `#[cfg(test)] mod x;`, with or without `#[path = "…"]`.
fn test_modules(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).expect("a readable file");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                continue;
            }
            let beside = file.parent().expect("a file is in a folder");
            let named = lines
                .next_if(|l| l.starts_with("#[path"))
                .and_then(|l| l.split('"').nth(1))
                .map(|name| beside.join(name));
            let declared = lines.peek().and_then(|l| l.strip_suffix(';'));
            let Some(name) = declared.and_then(|l| l.rsplit_once("mod ")).map(|(_, n)| n) else {
                continue;
            };
            let inside = match file.file_stem().and_then(|s| s.to_str()) {
                Some("mod" | "lib" | "main") | None => beside.to_owned(),
                Some(stem) => beside.join(stem),
            };
            let module = named.unwrap_or_else(|| inside.join(format!("{name}.rs")));
            let folder = inside.join(name);
            found.extend(files.iter().filter(|f| f.starts_with(&folder)).cloned());
            found.insert(inside.join(name).join("mod.rs"));
            found.insert(module);
        }
    }
    found
}

/// The text up to the test module at its end.
fn before_tests(text: &str) -> &str {
    text.match_indices("#[cfg(test)]\nmod ")
        .map(|(at, _)| at)
        .find(|at| text[*at..].lines().nth(1).is_some_and(|l| l.ends_with('{')))
        .map_or(text, |at| &text[..at])
}

/// Files that are, or could be, committed.
fn tracked() -> Vec<String> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()
        .filter(|o| o.status.success())
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    if listed.is_empty() {
        // Not a checkout: the sources at least.
        return ["src", "tests", "benches"]
            .into_iter()
            .flat_map(sources)
            .map(|s| s.path)
            .collect();
    }
    listed.lines().map(str::to_owned).collect()
}

/// `providers::redis` for a provider's file, `config` for any other module's; `None` for the crate's roots.
fn module_of(path: &str) -> Option<String> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut parts = inside.split('/');
    let first = parts.next()?;
    match (first, parts.next()) {
        ("lib" | "main" | "providers", None) => None,
        ("providers", Some(store)) => Some(format!("providers::{store}")),
        _ => Some(first.to_owned()),
    }
}

fn layer_of(module: &str) -> Option<usize> {
    let first = module.split("::").next().unwrap_or(module);
    LAYERS.iter().position(|names| names.contains(&first))
}

/// The modules that a file names through `crate::`, with lines.
fn imports(source: &Source) -> Vec<(String, usize)> {
    let t = |at: usize| source.tokens.get(at).map(|(token, _)| token);
    let separator =
        |at: usize| t(at) == Some(&Token::Mark(':')) && t(at + 1) == Some(&Token::Mark(':'));
    let mut found = Vec::new();
    for at in 0..source.tokens.len() {
        if t(at) != Some(&Token::Word("crate".into())) || !separator(at + 1) {
            continue;
        }
        let line = source.tokens[at].1;
        for (name, after) in names_at(source, at + 3) {
            if name == "providers" && separator(after) {
                for (store, _) in names_at(source, after + 2) {
                    found.push((format!("providers::{store}"), line));
                }
            } else {
                found.push((name, line));
            }
        }
    }
    found
}

/// The name at a place of a path, or the names of the group `{a::b, c}` there, each with the place after it.
fn names_at(source: &Source, at: usize) -> Vec<(String, usize)> {
    let t = |at: usize| source.tokens.get(at).map(|(token, _)| token);
    match t(at) {
        Some(Token::Word(name)) => vec![(name.clone(), at + 1)],
        Some(Token::Mark('{')) => {
            let mut names = Vec::new();
            let (mut depth, mut next, mut fresh) = (1, at + 1, true);
            while depth > 0 {
                match t(next) {
                    Some(Token::Mark('{')) => depth += 1,
                    Some(Token::Mark('}')) => depth -= 1,
                    Some(Token::Mark(',')) if depth == 1 => fresh = true,
                    Some(Token::Word(name)) if fresh && depth == 1 => {
                        names.push((name.clone(), next + 1));
                        fresh = false;
                    }
                    None => break,
                    _ => {}
                }
                next += 1;
            }
            names
        }
        _ => Vec::new(),
    }
}

/// The codes inside `reasons! { … }`: the text after each `=`.
fn reason_codes(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut depth: Option<usize> = None;
    for window in source.tokens.windows(3) {
        let [(first, line), (second, _), (third, _)] = window else {
            continue;
        };
        match (depth, first) {
            (None, Token::Word(w))
                if w == "reasons" && *second == Token::Mark('!') && *third == Token::Mark('{') =>
            {
                depth = Some(0);
            }
            (Some(n), Token::Mark('{')) => depth = Some(n + 1),
            (Some(n), Token::Mark('}')) => depth = n.checked_sub(1).filter(|n| *n > 0),
            (Some(_), Token::Mark('=')) => {
                if let Token::Text(code) = second {
                    found.push((code.clone(), *line));
                }
            }
            _ => {}
        }
    }
    found
}

fn is_reason(code: &str) -> bool {
    let word = |w: &str| {
        !w.is_empty()
            && w.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    code.contains('.') && code.split('.').all(|part| part.split('-').all(word))
}

/// A small reader of Rust's tokens: comments are dropped, strings and words are kept, all else is single marks.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        let here = line;
        match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if chars.get(at + 1) == Some(&'*') => {
                at += 2;
                while at < chars.len() && !(chars[at] == '*' && chars.get(at + 1) == Some(&'/')) {
                    at += 1;
                }
                at += 2;
            }
            '"' => {
                at = end_of_string(&chars, at);
                found.push((Token::Text(chars[start + 1..at - 1].iter().collect()), here));
            }
            'r' | 'b' if raw_hashes(&chars, at).is_some() => {
                let (quote, hashes) = raw_hashes(&chars, at).expect("just seen");
                let close: String = format!("\"{}", "#".repeat(hashes));
                let close: Vec<char> = close.chars().collect();
                at = quote + 1;
                while at < chars.len() && !chars[at..].starts_with(&close) {
                    at += 1;
                }
                found.push((Token::Text(chars[quote + 1..at].iter().collect()), here));
                at += close.len();
            }
            '\'' => {
                // A character, or a lifetime, which has no closing quote.
                at += match (chars.get(at + 1), chars.get(at + 2)) {
                    (Some('\\'), _) => {
                        let close = chars[at + 3..].iter().position(|c| *c == '\'');
                        close.map_or(1, |n| n + 4)
                    }
                    (Some(_), Some('\'')) => 3,
                    _ => 1,
                };
            }
            c if c.is_alphanumeric() || c == '_' => {
                while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                    at += 1;
                }
                found.push((Token::Word(chars[start..at].iter().collect()), here));
            }
            c => {
                if !c.is_whitespace() {
                    found.push((Token::Mark(c), here));
                }
                at += 1;
            }
        }
        line += chars[start..at.min(chars.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    found
}

/// The place after the string that opens at `at`.
fn end_of_string(chars: &[char], at: usize) -> usize {
    let mut next = at + 1;
    while next < chars.len() && chars[next] != '"' {
        next += if chars[next] == '\\' { 2 } else { 1 };
    }
    (next + 1).min(chars.len())
}

/// The opening quote and the number of `#` of a raw string that starts at `at`.
fn raw_hashes(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let mut next = at;
    if chars.get(next) == Some(&'b') {
        next += 1;
    }
    if chars.get(next) != Some(&'r') {
        return None;
    }
    next += 1;
    let first = next;
    while chars.get(next) == Some(&'#') {
        next += 1;
    }
    (chars.get(next) == Some(&'"')).then_some((next, next - first))
}

#[test]
fn the_reader_of_tokens_is_not_fooled() {
    let text = "// x.unwrap()\nlet a = \"crate::cli \\\" println!\"; 'a' '\\'' '\"' &'x r#\"crate::ops\"# y /* z */ crate::{a::b, c}";
    let source = Source {
        path: String::new(),
        text: String::new(),
        tokens: tokens(text),
    };
    let found: Vec<String> = imports(&source).into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, ["a", "c"]);
    assert!(!source.tokens.contains(&(Token::Word("z".into()), 2)));
    assert!(source.tokens.contains(&(Token::Word("y".into()), 2)));
}
