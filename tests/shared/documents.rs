//! What a command prints with `--output json`, held against the schema that is published for it.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory as _;
use serde_json::Value;

/// The commands whose results need servers: the live tests hold them, the hermetic ones all others.
pub const WITH_SERVERS: &[&str] = &[
    "backup create",
    "backup diff",
    "backup init",
    "backup export",
    "backup import",
    "backup verify",
    "context pin",
    "drill run",
    "golden-path",
    "migrate blockers",
    "migrate lock clear",
    "migrate lock show",
    "migrate status",
    "restore",
    "sandbox break",
    "sandbox up",
];

/// Commands whose result takes a Kubernetes API server: held where the tests have one.
pub const WITH_CLUSTER: &[&str] = &["kube rbac", "kube show"];

/// The words of every command that does something, such as `backup list`; without those that are hidden.
pub fn commands() -> BTreeSet<String> {
    fn walk(command: &clap::Command, words: &str, found: &mut BTreeSet<String>) {
        let below: Vec<&clap::Command> = command
            .get_subcommands()
            .filter(|c| c.get_name() != "help" && !c.is_hide_set())
            .collect();
        if below.is_empty() {
            found.insert(words.to_owned());
        }
        for sub in below {
            let words = format!("{words} {}", sub.get_name());
            walk(sub, words.trim(), found);
        }
    }
    let mut found = BTreeSet::new();
    walk(&summitctl::cli::args::Cli::command(), "", &mut found);
    found
}

/// The published schema of this name.
fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/schemas/cli")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("no schema {}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Holds a document against a schema.
pub fn fits(name: &str, document: &Value) {
    let schema = schema(name);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:?}\n{document:#}");
}

/// The one document on stdout, held against the schemas of its command and of all commands.
pub fn document(words: &str, stdout: &str, code: i32) -> Value {
    let document: Value = serde_json::from_str(stdout)
        .unwrap_or_else(|e| panic!("`{words}`: stdout is not one JSON document: {e}\n{stdout}"));
    fits(&words.replace(' ', "-"), &document);
    fits("document", &document);
    assert_eq!(document["command"], words, "{document:#}");
    assert_eq!(document["exit-code"], code, "{document:#}");
    let (result, error) = (&document["result"], &document["error"]);
    assert!(
        result.is_null() != error.is_null(),
        "a result or an error, and not both: {document:#}"
    );
    if !error.is_null() {
        assert_eq!(error["exit-code"], code, "{document:#}");
    }
    let snake = document.to_string().contains("\"exit_code\"");
    assert!(!snake, "names are kebab-case: {document:#}");
    document
}

/// The ids of all checks in a document, however deep.
pub fn checks(document: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        if let (Some(id), true) = (value["id"].as_str(), value["attempts"].is_number()) {
            found.insert(id.to_owned());
        }
        match value {
            Value::Array(items) => items.iter().for_each(|v| walk(v, found)),
            Value::Object(fields) => fields.values().for_each(|v| walk(v, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(document, &mut found);
    found
}

/// `explain` knows every check that a document shows.
pub fn are_explained(document: &Value) {
    let known: BTreeSet<String> = summitctl::ops::findings::all()
        .into_iter()
        .map(|f| f.id)
        .collect();
    let shown = checks(document);
    assert!(!shown.is_empty(), "no checks: {document:#}");
    let silent: Vec<&String> = shown.difference(&known).collect();
    assert!(silent.is_empty(), "not explained: {silent:?}");
}
