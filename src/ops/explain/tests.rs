use std::collections::BTreeSet;

use super::*;
use crate::runbook::{EXEC, ExecArgs, MANUAL, ManualArgs};

struct Steps;

impl StepCatalog for Steps {
    fn kinds(&self) -> Vec<KindInfo> {
        let kind = |kind: &str, effect, schema: schemars::Schema| KindInfo {
            kind: kind.to_owned(),
            title: "a step".to_owned(),
            effect,
            args_schema: schema.to_value(),
        };
        vec![
            kind(EXEC, Effect::Change, schemars::schema_for!(ExecArgs)),
            kind(MANUAL, Effect::Read, schemars::schema_for!(ManualArgs)),
        ]
    }
}

fn ask(topic: &str) -> Result<Explanation> {
    let findings = vec![FindingInfo {
        id: "postgres.ping".into(),
        title: "Postgres answers".into(),
        category: "Datastores".into(),
        impact: Some("API writes and reads halt.".into()),
        hint: Some("Run `summitctl doctor`.".into()),
    }];
    explain(
        topic,
        &Known {
            reasons: &[crate::error::REASONS, crate::consent::REASONS],
            steps: &Steps,
            findings: &findings,
        },
    )
}

fn about(topic: &str) -> Explanation {
    ask(topic).expect(topic)
}

#[test]
fn exit_codes_go_by_number_and_by_name() {
    for topic in ["3", "exit 3", "exit code 3", "refused", "EXIT-3"] {
        let explanation = about(topic);
        assert_eq!(explanation.topic, "exit code 3", "{topic}");
        let Subject::ExitCode { code: 3, reasons } = explanation.subject else {
            panic!("an exit code");
        };
        assert!(reasons.contains(&"consent.missing".to_owned()));
    }
    for exit in Exit::ALL {
        about(&exit.code().to_string());
        about(&exit_name(*exit));
    }
}

#[test]
fn reasons_steps_and_findings_are_explained() {
    let reason = about("consent.plan-changed");
    assert_eq!(reason.subject, Subject::Reason { exit_code: 3 });
    assert!(
        reason
            .to_string()
            .contains("The process ends with exit code 3.")
    );
    assert_eq!(
        about("exec").to_string(),
        "\
exec: a step

It may change something, so a run asks for consent first.

Arguments:
  - argv (a list, each a text, required): The program and its arguments, one each; no shell reads them.
  - effect (`read` or `change`): What the program does; `change` unless it says `read`.
  - check (a list, each a text): A program that looks whether the change is in effect: status 0 if it is. With it, a second run does nothing.
  - undo (a list, each a text): A program that takes the change back, for `on-failure: undo` and `summitctl run abort`.

In a runbook:

```yaml step
id: exec
uses: exec
with:
  argv: … # a list, each a text
```
"
    );
    let finding = about("postgres.ping").to_string();
    assert!(finding.contains("API writes and reads halt."), "{finding}");
}

#[test]
fn every_list_names_topics_that_can_be_asked_for() {
    for (name, _) in LISTS {
        let Subject::List { entries } = about(name).subject else {
            panic!("a list");
        };
        assert!(!entries.is_empty(), "{name}");
        for entry in entries {
            about(&entry.topic);
        }
    }
}

#[test]
fn scripts_are_found_by_path_name_and_whole_command_line() {
    for (line, name) in [
        (
            "scripts/backup/backup.sh --env=production --datastores=postgresql,neo4j,redis --backup-type=full --component=all --verify --cleanup",
            "scripts/backup/backup.sh",
        ),
        (
            "./scripts/ops/backup_postgres.sh",
            "scripts/ops/backup_postgres.sh",
        ),
        ("neo4j_backup.sh", "scripts/backup/neo4j_backup.sh"),
        (
            "scripts/db/restore.sh --env=staging --backup-path=./backups/<id> --datastores=postgres,neo4j",
            "scripts/db/restore.sh",
        ),
        (
            "scripts/restore/postgres_restore.sh <path.sql>",
            "scripts/restore/postgres_restore.sh",
        ),
        (
            "scripts/restore/neo4j_restore.sh <path.dump>",
            "scripts/restore/neo4j_restore.sh",
        ),
        (
            "scripts/restore/redis_restore.sh <path.rdb>",
            "scripts/restore/redis_restore.sh",
        ),
        (
            "backup_restore_drill",
            "scripts/ops/backup_restore_drill.sh",
        ),
        (
            "bash scripts/gates/production-gate-witness.sh",
            "scripts/gates/production-gate-witness.sh",
        ),
        ("make bootstrap", "make bootstrap"),
        ("make  up", "make up"),
        ("make smoke", "make smoke"),
        ("make logs", "make logs"),
        ("make down", "make down"),
        ("make k6", "make k6"),
        (
            "UPDATE DATABASECHANGELOGLOCK SET LOCKED=0;",
            "UPDATE DATABASECHANGELOGLOCK",
        ),
        ("kubectl get pods -n summit", "kubectl get"),
        ("kubectl get nodes", "kubectl get"),
        (
            "kubectl port-forward svc/gateway 8080:80 -n ns",
            "kubectl port-forward",
        ),
        ("kubectl logs -n ns deploy/gateway", "make logs"),
        ("curl -f http://localhost:8080/health/ready", "curl"),
        ("/healthz", "curl"),
        ("docker compose ps", "docker compose ps"),
        ("docker compose logs -f gateway", "make logs"),
        (
            "helm upgrade --install summit charts/ig-platform -f values.yaml",
            "helm upgrade",
        ),
        ("cp .env.example .env", "cp .env.example .env"),
        ("npm run db:migrate", "npm run db:migrate"),
    ] {
        assert_eq!(about(line).topic, name, "{line}");
    }
}

#[test]
fn a_script_without_a_replacement_says_so() {
    let text = about("make k6").to_string();
    assert!(
        text.contains("There is no replacement for it in this version."),
        "{text}"
    );
    let text = about("make smoke").to_string();
    assert!(
        text.contains("Use instead:\n  - summitctl smoke --wait 2m\n"),
        "{text}"
    );
    for script in handbook::SCRIPTS {
        assert!(
            !script.replaced_by.is_empty() || !script.not_covered.is_empty(),
            "{}: neither replaced nor said to be missing",
            script.name
        );
    }
}

#[test]
fn names_are_unique_and_sentences_are_sentences() {
    let mut seen = BTreeSet::new();
    for script in handbook::SCRIPTS {
        assert!(seen.insert(script.name), "{}", script.name);
        for sentence in script.differs.iter().chain(script.not_covered) {
            assert!(sentence.ends_with('.'), "{sentence}");
        }
        for keyword in script.keywords {
            assert_eq!(*keyword, keyword.to_lowercase());
        }
    }
    assert!(handbook::commands().all(|c| c.starts_with("summitctl ")));
}

#[test]
fn an_unknown_topic_names_its_nearest() {
    let hint = |topic: &str| ask(topic).expect_err(topic).hints().join(" ");
    assert_eq!(hint("make smkoe"), "Did you mean `make smoke`?");
    assert_eq!(hint("consent.mising"), "Did you mean `consent.missing`?");
    assert_eq!(hint("bakup.sh"), "Did you mean `backup.sh`?");
    assert!(hint("frobnicate the flux").contains("explain codes"));
    assert_eq!(
        ask("").expect_err("nothing").reason().code,
        "input.not-found"
    );
}

#[test]
fn the_json_form_fits_its_schema() {
    let schema = schemars::schema_for!(Explanation).to_value();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for topic in [
        "0",
        "consent.missing",
        "exec",
        "postgres.ping",
        "make smoke",
        "scripts",
    ] {
        let json = serde_json::to_value(about(topic)).expect("serialises");
        assert!(validator.is_valid(&json), "{topic}: {json}");
    }
}
