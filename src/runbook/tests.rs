use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::time;

/// Kinds as the registry of steps would give them.
pub(crate) struct Kinds;

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct SmokeArgs {
    /// How long to wait for health.
    #[serde(default)]
    wait: Option<time::Span>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct CaptureArgs {
    store: Store,
    /// The backup's id.
    backup: String,
    jobs: Option<u16>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Store {
    /// PostgreSQL.
    Postgres,
    /// Neo4j.
    Neo4j,
    /// Redis.
    Redis,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct VerifyArgs {
    backup: String,
    #[schemars(range(min = 1, max = 3))]
    level: u8,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct CommitArgs {
    backup: String,
    stores: Option<Vec<Store>>,
    labels: Option<Vec<String>>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct PinArgs {
    stores: Option<Vec<Store>>,
    replace: Option<bool>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct JobArgs {
    job: Option<String>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct MendArgs {
    backup: String,
    mend: Vec<String>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct SwapArgs {
    store: Store,
    backup: String,
    #[serde(default)]
    aside: Option<String>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

impl StepCatalog for Kinds {
    fn kinds(&self) -> Vec<KindInfo> {
        let kind = |kind: &str, effect, schema: schemars::Schema| KindInfo {
            kind: kind.to_owned(),
            title: kind.to_owned(),
            effect,
            args_schema: schema.to_value(),
        };
        use crate::consent::Effect::{Change, Destroy, Read};
        use schemars::schema_for;
        vec![
            kind("context.pin", Change, schema_for!(PinArgs)),
            kind("restore.mend", Change, schema_for!(MendArgs)),
            kind("migrate.job.show", Read, schema_for!(JobArgs)),
            kind("smoke.run", Change, schema_for!(SmokeArgs)),
            kind("smoke.data-plane", Change, schema_for!(NoArgs)),
            kind("restore.load", Change, schema_for!(CommitArgs)),
            kind("restore.swap", Destroy, schema_for!(SwapArgs)),
            kind("backup.capture", Change, schema_for!(CaptureArgs)),
            kind("backup.commit", Change, schema_for!(CommitArgs)),
            kind("backup.verify", Read, schema_for!(VerifyArgs)),
            kind("migrate.status", Read, schema_for!(NoArgs)),
            kind("migrate.lock.show", Read, schema_for!(NoArgs)),
            kind("migrate.lock.clear", Destroy, schema_for!(NoArgs)),
            kind("drill.run", Change, schema_for!(NoArgs)),
            kind("gate.run", Read, schema_for!(NoArgs)),
            kind("evidence.verify", Read, schema_for!(NoArgs)),
            kind(MANUAL, Read, schema_for!(ManualArgs)),
            kind(EXEC, Change, schema_for!(ExecArgs)),
            kind(RUNBOOK, Read, schema_for!(CallArgs)),
            // Their arguments are held against the real kinds in the tests of the command line.
            kind(
                "http.probe",
                Read,
                schema_for!(Map<String, serde_json::Value>),
            ),
            kind(
                "port.probe",
                Read,
                schema_for!(Map<String, serde_json::Value>),
            ),
            kind(
                "dns.look-up",
                Read,
                schema_for!(Map<String, serde_json::Value>),
            ),
            kind(
                "store.health",
                Read,
                schema_for!(Map<String, serde_json::Value>),
            ),
            kind(
                "neo4j.topology",
                Read,
                schema_for!(Map<String, serde_json::Value>),
            ),
            kind(
                "config.check",
                Read,
                schema_for!(Map<String, serde_json::Value>),
            ),
        ]
    }
}

fn check(text: &str) -> (Runbook, Vec<Diagnostic>) {
    let (runbook, mut findings) = parse(Source::new("r.md", text));
    findings.extend(lint(&runbook, &Kinds));
    findings.sort_by_key(|d| (d.span.start, d.severity));
    (runbook, findings)
}

/// The findings of a runbook whose front matter is in order, as the command prints them.
fn findings(front: &str, body: &str) -> String {
    let text = format!(
        "---\nrunbook: r\ntitle: T\nplatform: summit\nwhen: Now.\n{front}---\n\n## H\n\nDo it.\n\n{body}"
    );
    let (runbook, findings) = check(&text);
    findings
        .iter()
        .map(|d| d.render(runbook.source()))
        .collect()
}

fn step(yaml: &str) -> String {
    format!("```yaml step\n{yaml}\n```\n")
}

#[test]
fn every_built_in_runbook_lints_clean_and_plans() {
    let library = Library::new([]);
    assert_eq!(library.list().count(), BUILT_IN_COUNT);
    for listed in library.list() {
        let id = &listed.runbook.id;
        let findings = library.findings(id, &Kinds).expect("known");
        let shown: String = findings
            .iter()
            .map(|d| d.render(listed.runbook.source()))
            .collect();
        assert_eq!(shown, "", "{id}");
        let runbook = library.get(id, &Kinds).expect("lints");
        assert!(!runbook.plan().expect("plans").is_empty(), "{id}");
        let given = runbook
            .missing(&BTreeMap::new())
            .iter()
            .map(|p| {
                let value = p.choices.first().map_or("x", String::as_str);
                (p.name.clone(), value.to_owned())
            })
            .collect();
        let bound = runbook.bind(&given).expect("binds");
        let expanded = expand(runbook, &library, &Kinds, &bound).expect("expands");
        assert!(expanded.steps.len() >= runbook.steps().count(), "{id}");
        let full = format!("{}/{id}", runbook.platform);
        assert_eq!(&library.find(&full).expect("by its full name").id, id);
        assert!(runbook.digest().starts_with("sha256:"));
        assert!(runbook.markdown().contains("\n# "), "{id}");
    }
}

const BUILT_IN_COUNT: usize = builtin::BUILT_IN.len();

#[test]
fn the_golden_path_plans_its_steps_in_order() {
    let library = Library::new([]);
    let plan = library
        .get("golden-path", &Kinds)
        .expect("there")
        .plan()
        .expect("plans");
    let ids: Vec<&str> = plan.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "pin", "smoke", "write", "postgres", "neo4j", "redis", "commit", "verify", "drill",
            "gate", "evidence"
        ]
    );
    assert_eq!(plan[6].needs, ["postgres", "neo4j", "redis"]);
    assert_eq!(plan[7].needs, ["commit"]);
    assert_eq!(plan[0].needs, Vec::<String>::new());
    assert_eq!(
        plan[3].args,
        json!({"store": "postgres", "backup": "${ run.id }"})
    );
    assert_eq!(plan[3].title, "Postgres");
    assert!(plan[3].line > 50);
}

#[test]
fn the_template_for_a_new_runbook_lints_clean() {
    let (runbook, findings) = check(&template("my-runbook", "It's: \"odd\"\n"));
    let shown: String = findings
        .iter()
        .map(|d| d.render(runbook.source()))
        .collect();
    assert_eq!(shown, "");
    assert_eq!(runbook.title, "It's: \"odd\"");
}

#[test]
fn misspelt_names_are_shown_with_line_caret_and_suggestion() {
    let shown = findings(
        "",
        &step("id: a\nuses: smoke.rum\nwiht: {}\non-failure: halt"),
    );
    assert_eq!(
        shown,
        "\
error[unknown-step-kind]: there is no step kind `smoke.rum`
  --> r.md:14:7
   |
14 | uses: smoke.rum
   |       ^^^^^^^^^
  hint: Did you mean `smoke.run`?
error[unknown-key]: a step has no key `wiht`
  --> r.md:15:1
   |
15 | wiht: {}
   | ^^^^
  hint: Did you mean `with`?
error[wrong-value]: `on-failure` cannot be `halt`
  --> r.md:16:13
   |
16 | on-failure: halt
   |             ^^^^
  hint: There are: `stop`, `continue`, `undo`.
"
    );
}

#[test]
fn arguments_are_checked_against_the_kind() {
    let shown = findings(
        "",
        &step(
            "id: a\nuses: backup.capture\nwith:\n  store: postgre\n  backup: 12\n  jobs: many\n  labels: {a: 1}\n  size: 3",
        ),
    );
    assert_eq!(
        shown,
        "\
error[bad-args]: `store` cannot be `postgre`
  --> r.md:16:10
   |
16 |   store: postgre
   |          ^^^^^^^
  hint: Did you mean `postgres`?
error[bad-args]: `backup` is a text, not a whole number
  --> r.md:17:11
   |
17 |   backup: 12
   |           ^^
  hint: Put it in quotes.
error[bad-args]: `jobs` is a whole number, not a text
  --> r.md:18:9
   |
18 |   jobs: many
   |         ^^^^
error[bad-args]: `labels.a` is a text, not a whole number
  --> r.md:19:15
   |
19 |   labels: {a: 1}
   |               ^
  hint: Put it in quotes.
error[bad-args]: step kind `backup.capture` has no argument `size`
  --> r.md:20:3
   |
20 |   size: 3
   |   ^^^^
  hint: There are: `store`, `backup`, `jobs`, `labels`.
"
    );
    let shown = findings(
        "",
        &step("id: a\nuses: backup.capture\nwith: {store: neo4j}"),
    );
    assert!(
        shown.contains("step kind `backup.capture` needs `backup`")
            && shown.contains("hint: `backup`: The backup's id."),
        "{shown}"
    );
    let shown = findings(
        "",
        &step("id: a\nuses: backup.verify\nwith: {backup: x, level: 4}"),
    );
    assert!(shown.contains("`level` is at most 3"), "{shown}");
    let shown = findings("", &step("id: a\nuses: smoke.run\nwith: {wait: soon}"));
    assert!(
        shown.contains("`wait`: `soon` is not a duration"),
        "{shown}"
    );
    // A lone expression may become anything; a text around it stays a text.
    let shown = findings(
        "params: {n: {type: integer, prompt: N}}\n",
        &step(
            "id: a\nuses: backup.verify\nwith: {backup: 'b-${ params.n }', level: '${ params.n }'}",
        ),
    );
    assert_eq!(shown, "");
    let shown = findings(
        "params: {n: {type: integer, prompt: N}}\n",
        &step("id: a\nuses: backup.verify\nwith: {backup: x, level: 'l${ params.n }'}"),
    );
    assert!(
        shown.contains("`level` is a whole number, not a text"),
        "{shown}"
    );
}

#[test]
fn references_must_be_known_where_they_stand() {
    let body = [
        step("id: one\nuses: gate.run\nexpect: [\"steps.two.out.x == 1\", result.ok]"),
        step("id: two\nuses: smoke.run\nwith: {wait: \"${ params.wiat }\"}\nwhen: result.ok"),
        step("id: three\nuses: gate.run\nneeds: []\nexpect: [\"steps.one.out.a && steps.tow.out.b && steps.one.result\"]"),
        step("id: four\nuses: gate.run\nexpect: [\"result.n = 1\", \"foo\", \"${ result.n }\"]"),
    ]
    .join("\n");
    let shown = findings(
        "params: {wait: {type: duration, prompt: W, default: 1m}}\n",
        &body,
    );
    let heads: Vec<&str> = shown
        .lines()
        .filter(|l| l.starts_with("error") || l.starts_with("warning") || l.contains("hint"))
        .collect();
    assert_eq!(
        heads,
        [
            "warning[unused-param]: parameter `wait` is never used",
            "error[later-step]: step `two` comes later, so its result is not known here",
            "error[unknown-param]: this runbook has no parameter `wiat`",
            "  hint: Did you mean `wait`?",
            "error[unknown-name]: `result` is known only after the step, in `expect`",
            "error[not-needed-step]: step `three` does not wait for `one`, whose result it reads",
            "  hint: Add `one` to its `needs`.",
            "error[unknown-step]: there is no step `tow` in this runbook",
            "  hint: Did you mean `two`?",
            "error[unknown-name]: a step has no `result` for others to read",
            "  hint: Its result is `steps.one.out`.",
            "error[expression]: a single `=` means nothing here: use `==` to compare",
            "error[unknown-name]: unknown name `foo`",
            "  hint: There are: `params`, `result`, `run`, `steps`.",
            "error[expression]: this is an expression already",
            "  hint: Leave out `${` and `}` here.",
        ],
        "{shown}"
    );
    assert!(
        shown.contains(
            "22 | with: {wait: \"${ params.wiat }\"}\n   |                  ^^^^^^^^^^^\n"
        ),
        "{shown}"
    );
}

#[test]
fn steps_are_unique_and_wait_for_earlier_ones() {
    let body = [
        step("id: a\nuses: gate.run\nneeds: [b]"),
        step("id: b\nuses: gate.run"),
        step("id: b\nuses: gate.run\nneeds: [x, b]"),
        step("id: C d\nuses: gate.run"),
    ]
    .join("\n");
    let shown = findings("", &body);
    assert!(
        shown.contains("error[cycle]: steps wait for each other: `a` → `b` → `a`"),
        "{shown}"
    );
    assert!(
        shown.contains("error[duplicate-id]: step `b` stands already at line 19"),
        "{shown}"
    );
    assert!(
        shown.contains("error[unknown-need]: `needs` names `x`"),
        "{shown}"
    );
    assert!(shown.contains("error[bad-name]: id `C d`"), "{shown}");
    assert!(shown.contains("hint: Write `c-d`."), "{shown}");
}

#[test]
fn a_runbook_that_measures_nothing_must_say_why() {
    let manual = step("id: m\nuses: manual\nwith: {ask: {type: boolean, prompt: Done?}}");
    assert!(findings("", &manual).contains("error[only-manual]"));
    assert_eq!(findings("why-manual: It is a decision.\n", &manual), "");
    let exec = step("id: x\nuses: exec\nwith: {argv: [/bin/sh, -ec, 'a | b'], effect: reed}");
    let shown = findings("why-manual: There is no kind for it.\n", &exec);
    assert!(shown.contains("error[shell-line]"), "{shown}");
    assert!(shown.contains("`effect` cannot be `reed`"), "{shown}");
    let shown = findings(
        "why-manual: w\n",
        &step("id: m\nuses: manual\nwith: {ask: {type: text, promt: x}}"),
    );
    assert!(shown.contains("`ask.type` cannot be `text`"), "{shown}");
    assert!(shown.contains("`ask` has no key `promt`"), "{shown}");
    assert!(shown.contains("`ask` needs `prompt`"), "{shown}");
}

#[test]
fn front_matter_must_be_complete() {
    let (runbook, found) = check("# Hello\n");
    assert!(
        found[0]
            .render(runbook.source())
            .starts_with("error[front-matter]")
    );
    let (runbook, found) = check(
        "---\nrunbook: x\ntitel: T\nplatform: 3\nparams: {A: {type: choice, prompt: P}}\n---\n",
    );
    let shown: String = found.iter().map(|d| d.render(runbook.source())).collect();
    for part in [
        "front matter needs the key `title`",
        "front matter needs the key `when`",
        "front matter has no key `titel`",
        "hint: Did you mean `title`?",
        "`platform` is a text, not a whole number",
        "parameter `A` is not made of",
        "parameter `A` is a choice and needs `choices`",
        "warning[no-steps]",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (_, found) = check("---\nrunbook: x\n");
    assert!(found.iter().any(|d| d.message.contains("never closed")));
}

#[test]
fn yaml_stays_plain() {
    for (yaml, message) in [
        ("id: &a x\nuses: gate.run", "anchors and aliases"),
        ("id: x\nuses: !!str gate.run", "tags are not read"),
        ("id: x\nid: y\nuses: gate.run", "key `id` stands here twice"),
        ("id: x\nuses: gate.run\n---\na: b", "second YAML document"),
        ("id: x\n uses: gate.run", "not valid YAML"),
        ("? [a]\n: b", "keys other than plain words"),
        ("- a", "a step is a mapping, not a list"),
        ("", "a step needs the key `id`"),
        (
            "id: true\nuses: gate.run",
            "`id` is a text, not true or false",
        ),
        ("id: x\nuses: gate.run\nretries: 99", "from 0 to 20"),
        ("id: x\nuses: gate.run\ntimeout: 5", "`timeout` is a text"),
        (
            "id: x\nuses: gate.run\nexpect: {a: b}",
            "`expect` is a list of texts",
        ),
        ("id: x\nuses: gate.run\nwith: [a]", "`with` is a mapping"),
    ] {
        let shown = findings("", &step(yaml));
        assert!(shown.contains(message), "{yaml}: {shown}");
    }
}

#[test]
fn fences_that_miss_their_mark_are_reported() {
    let shown = findings(
        "",
        "```yml step\nid: a\n```\n```yaml stpe\nid: b\n```\n```yaml\nfine: 1\n```\n",
    );
    assert_eq!(shown.matches("error[fence]").count(), 2, "{shown}");
    // A step inside a list is indented; its places still point into the file.
    let shown = findings(
        "",
        "1. Do this:\n\n   ```yaml step\n   id: a\n   uses: gate.rnu\n   ```\n",
    );
    assert!(shown.contains("  --> r.md:16:10\n"), "{shown}");
}

#[test]
fn headings_keep_their_order_and_steps_have_prose() {
    let (runbook, found) = check(
        "---\nrunbook: r\ntitle: T\nplatform: p\nwhen: W.\n---\n# A\n#### B\n```yaml step\nid: a\nuses: gate.run\n```\n# C\n",
    );
    let shown: String = found.iter().map(|d| d.render(runbook.source())).collect();
    assert!(shown.contains("heading `B` skips a level"), "{shown}");
    assert!(shown.contains("hint: Use `##`."), "{shown}");
    assert!(shown.contains("a second title"), "{shown}");
    assert!(shown.contains("no prose leads to step `a`"), "{shown}");
}

fn params(front: &str) -> Runbook {
    let text = format!("---\nrunbook: r\ntitle: T\nplatform: p\nwhen: W.\nparams:\n{front}---\n");
    let (runbook, found) = parse(Source::new("r.md", text));
    assert_eq!(found, []);
    runbook
}

#[test]
fn parameters_are_typed_and_secrets_stay_out() {
    let runbook = params(
        "  n: {type: integer, prompt: N}\n  flag: {type: boolean, prompt: F, default: false}\n  wait: {type: duration, prompt: W, default: 5m}\n  \
         env: {type: choice, prompt: E, choices: [a, b], default: a}\n  token: {type: string, prompt: T, secret: true}\n",
    );
    let given = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let bound = runbook
        .bind(&given(&[
            ("n", "3"),
            ("flag", "yes"),
            ("token", "canary-5ecret"),
        ]))
        .expect("binds");
    assert_eq!(
        bound.public(),
        json!({"n": 3, "flag": true, "wait": "5m", "env": "a"})
    );
    assert_eq!(bound.exposed()["token"], "canary-5ecret");
    assert_eq!(bound.shown()["token"], "***");
    assert!(!format!("{bound:?}").contains("canary"));
    let refused = |pairs: &[(&str, &str)]| runbook.bind(&given(pairs)).expect_err("refused");
    let missing = refused(&[("n", "3")]);
    assert_eq!(missing.to_string(), "runbook `r` needs `token` (T)");
    assert!(missing.hints().is_empty());
    let typo = refused(&[("n", "1"), ("tokn", "x")]);
    assert_eq!(typo.hints(), ["Did you mean `token`?"]);
    let wrong = refused(&[("n", "x"), ("token", "t")]);
    assert_eq!(
        wrong.to_string(),
        "parameter `n` is a whole number, not `x`"
    );
    let choice = refused(&[("n", "1"), ("token", "t"), ("env", "c")]);
    assert_eq!(
        choice.to_string(),
        "parameter `env` is one of `a`, `b`, not `c`"
    );
    assert_eq!(runbook.missing(&BTreeMap::new()).len(), 2);
}

#[test]
fn a_local_runbook_replaces_the_built_in_one_even_when_it_is_broken() {
    let local = |text: &str| Library::new([("runbooks/s.md".to_owned(), text.to_owned())]);
    let library = local(
        "---\nrunbook: smoke\ntitle: Ours\nplatform: summit\nwhen: W.\n---\n## A\n\nP.\n\n```yaml step\nid: a\nuses: gate.run\n```\n",
    );
    assert_eq!(library.get("smoke", &Kinds).expect("ours").title, "Ours");
    let listed = library
        .list()
        .find(|l| l.runbook.id == "smoke")
        .expect("listed");
    assert!(listed.local && listed.replaces && listed.readable);
    let broken = local("---\nrunbook: smoke\n---\n");
    let error = broken.get("smoke", &Kinds).expect_err("broken");
    assert_eq!(error.reason().code, "runbook.invalid");
    assert!(error.to_string().contains("runbooks/s.md"), "{error}");
    let unknown = broken.find("smokee").expect_err("unknown");
    assert_eq!(unknown.hints(), ["Did you mean `smoke`?"]);
}

/// Pieces of runbooks in any order: closer to real mistakes than random bytes.
fn jumble() -> impl Strategy<Value = String> {
    let words = [
        "---\n",
        "---\nrunbook: r\n",
        "title: T\n",
        "params:\n",
        "  a: {type: string, prompt: P}\n",
        "when: W\r\n",
        "```yaml step\n",
        "```\n",
        "~~~yaml step\n",
        "id: a\n",
        "uses: smoke.run\n",
        "uses: manual\n",
        "with:\n",
        "  wait: \"${ params.a }\"\n",
        "  wait: ${ steps.a.out }\n",
        "expect: [result.x]\n",
        "expect: |\n  result.x &&\n  ä = 1\n",
        "needs: [a]\n",
        "needs: []\n",
        "# H\n",
        "#### H\n",
        "1. x\n\n   ",
        "> ",
        "ä",
        "\u{feff}",
        "\t",
        "  ",
        "\0",
        "&a ",
        "*a",
        "!!x ",
        "{",
        "[",
        "]",
        "}",
        ": ",
        "- ",
        "'",
        "\"",
        "\\",
        "|\n",
        ">-\n",
        "\r\n",
        "\n",
        "when: \"'\\u00e4' + x\"\n",
        "timeout: 1h\n",
        "retries: 1\n",
        "? ",
        "%YAML 1.2\n",
        "argv: [sh, -c, x]\n",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..30)
        .prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_jumble_panics(text in jumble()) {
        let (runbook, findings) = check(&text);
        for finding in findings {
            finding.render(runbook.source());
        }
        let _ = runbook.plan();
    }

    #[test]
    fn no_step_panics(text in jumble()) {
        let text = format!("---\nrunbook: r\ntitle: T\nplatform: p\nwhen: W.\n---\n```yaml step\nid: x\nuses: smoke.run\n{text}\n```\n");
        let (runbook, findings) = check(&text);
        for finding in findings {
            finding.render(runbook.source());
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let (runbook, findings) = check(&text);
        for finding in findings {
            finding.render(runbook.source());
        }
    }
}
