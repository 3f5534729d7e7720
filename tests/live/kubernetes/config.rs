//! `config check` on what a workload really gets: values from the template, ConfigMaps and Secrets as the kubelet puts them
//! together, with none of them in anything that is printed or kept.

use std::path::Path;

use base64::Engine as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::cluster::{Checks, Cluster, Space};
use super::extension::{define, make, ready};

/// Looked for, plain and as base64, in all that is printed and kept.
const CANARIES: [&str; 4] = [
    "canaryJ-q7w2e9r4t1y8u3i6o5p0zxcvbn",
    "canaryR-m2n5b8v1c4x7z0l3k6j9hgfdsa",
    "canaryP-8f2Kd0sLq1",
    "canaryX-customs-4711",
];

fn holds_none(what: &str, text: &str) {
    for canary in CANARIES {
        let packed = base64::engine::general_purpose::STANDARD.encode(canary);
        assert!(
            !text.contains(canary) && !text.contains(&packed),
            "{what} holds `{canary}`: {text}"
        );
    }
}

/// Every file below the folder.
fn keeps_none(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files += keeps_none(&path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            holds_none(
                &path.display().to_string(),
                &String::from_utf8_lossy(&bytes),
            );
            files += 1;
        }
    }
    files
}

fn check(space: &Space, workload: &str) -> Checks {
    let args = [
        "config",
        "check",
        "--source",
        "kubernetes",
        "--workload",
        workload,
        "--tier",
        "production",
    ];
    let output = space.run(&args);
    for text in [&output.stdout, &output.stderr] {
        holds_none("what a person sees", &String::from_utf8_lossy(text));
    }
    let seen = space.checks(&args);
    holds_none("the document", &seen.0.to_string());
    seen
}

async fn sources(space: &Space, owner: Value) {
    space
        .make::<ConfigMap>(json!({"metadata": {"name": "base"}, "data": {
            "LOG_LEVEL": "debug", "OIDC_ISSUER": "https://login.acme.test/realms/summit", "RATE_LIMIT_MAX": "600",
        }}))
        .await;
    space
        .make::<ConfigMap>(json!({"metadata": {"name": "over"}, "data": {"LOG_LEVEL": "info"}}))
        .await;
    space
        .make::<Secret>(json!({
            "metadata": {"name": "keys", "ownerReferences": owner},
            "stringData": {
                "JWT_SECRET": CANARIES[0], "JWT_REFRESH_SECRET": CANARIES[1], "db-password": CANARIES[2],
                "CUSTOMS_LOGIN": CANARIES[3], "AI_ENABLED": "true",
            },
        }))
        .await;
}

fn container() -> Value {
    json!({
        "name": "app", "image": "none", "command": ["sh", "-c", "exec sleep 600"],
        "envFrom": [
            {"configMapRef": {"name": "base"}},
            {"configMapRef": {"name": "over"}},
            {"configMapRef": {"name": "no-such", "optional": true}},
            {"secretRef": {"name": "keys"}},
        ],
        "env": [
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "db-password"}}},
            {"name": "DATABASE_URL", "value": "postgres://app:$(DB_PASSWORD)@db.internal:5432/app?sslmode=verify-full"},
            {"name": "RATE_LIMIT_MAX", "value": "700"},
            {"name": "NEO4J_URI", "value": "neo4j+s://graph.internal:7687"},
            {"name": "TLS_KEY_PATH", "value": "/tls/tls.key"},
            {"name": "TLS_CERT_PATH", "value": "/tls/tls.crt"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "REDIS_HOST", "value": "$(POD_IP)"},
        ],
    })
}

fn deployment(name: &str, container: Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployment_really_gets_is_checked_and_never_shown() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("given").await;
    let external = define(&space, ("external-secrets.io", "v1", "ExternalSecret")).await;
    let status = json!({"conditions": ready("True", "SecretSynced", "secret synced")});
    let uid = make(&space, &external, "keys", json!({}), status).await;
    let owner = json!([{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "keys", "uid": uid, "controller": true}]);
    sources(&space, owner).await;
    space
        .make::<Service>(
            json!({"metadata": {"name": "redis"}, "spec": {"ports": [{"port": 6379}]}}),
        )
        .await;
    space
        .make::<Deployment>(deployment("gateway", container()))
        .await;

    let seen = check(&space, "deployment/gateway");
    for (id, outcome, words) in [
        (
            "workload.container",
            "passed",
            &[
                "container `app` of deployment `given/gateway`",
                "1 from configmap `over`",
                "6 from its own template",
            ][..],
        ),
        (
            "workload.references",
            "passed",
            &[
                "configmap `base`",
                "secret `keys` (made by ExternalSecret `keys`)",
                "optional and not there: configmap `no-such`",
            ],
        ),
        ("workload.expansion", "passed", &[]),
        (
            "workload.service-links",
            "degraded",
            &[
                "`REDIS_PORT` is `tcp://10.0.0.",
                "because of service `redis`",
            ],
        ),
        // A later `envFrom` wins over an earlier one, and `env` over both.
        (
            "variable.log-level",
            "passed",
            &["info", "from configmap `given/over`, key `LOG_LEVEL`"],
        ),
        (
            "variable.rate-limit-max",
            "passed",
            &["700", "deployment `given/gateway`, container `app`"],
        ),
        (
            "variable.jwt-secret",
            "passed",
            &[
                "34 characters",
                "from secret `given/keys`, key `JWT_SECRET`",
            ],
        ),
        (
            "variable.database-url",
            "passed",
            &["postgres://db.internal", "password of 18 characters"],
        ),
        ("variable.ai-enabled", "passed", &["true"]),
        (
            "variable.redis-host",
            "not-evaluated",
            &["it uses `$(POD_IP)`", "the field `status.podIP`"],
        ),
        (
            "variables.redis-form",
            "not-evaluated",
            &["`REDIS_HOST` is not known"],
        ),
        ("variable.session-secret", "failed", &["not set"]),
        (
            "tls.files",
            "not-evaluated",
            &["inside container `app` of deployment `given/gateway`"],
        ),
        (
            "variables.distinct-secrets",
            "passed",
            &["2 secrets, all different"],
        ),
    ] {
        seen.says(id, outcome, words).unwrap();
    }
    crate::shared::are_explained(&seen.0);
    let source = &seen.find("variable.database-url")["facts"]["source"];
    assert_eq!(source, "deployment `given/gateway`, container `app`");

    // A container keeps the values that it was started with.
    space
        .until("the pod is newer than its sources", async || {
            check(&space, "deploy/gateway").says(
                "workload.pods",
                "passed",
                &["1 pods, all started after"],
            )
        })
        .await;
    let keys = space.api::<Secret>();
    let began = std::time::Instant::now();
    space
        .until("a change is seen", async || {
            let other = json!({"stringData": {"ROUND": began.elapsed().as_millis().to_string()}});
            keys.patch("keys", &PatchParams::default(), &Patch::Merge(other))
                .await
                .unwrap();
            let words = ["1 of 1 pods were started before secret `keys`", "`gateway-"];
            check(&space, "deploy/gateway").says("workload.pods", "degraded", &words)
        })
        .await;

    // The same as a step, whose journal and evidence are kept.
    let key = space.run(&["evidence", "keygen", "key.pem"]);
    assert_eq!(key.status.code(), Some(0));
    let file = space.dir.join("summitctl.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let evidence = "[contexts.k.evidence]\ndir = \"evidence\"\nsigning-key = \"file:key.pem\"\n";
    std::fs::write(&file, text + evidence).unwrap();
    std::fs::create_dir_all(space.dir.join("runbooks")).unwrap();
    let book = "---\nrunbook: given\ntitle: A test\nplatform: test\nwhen: It is tested.\n---\n\n# A test\n\n```yaml step\nid: look\nuses: config.check\nwith: { workload: deployment/gateway, container: app }\n```\n";
    std::fs::write(space.dir.join("runbooks/given.md"), book).unwrap();
    let output = space.run(&["runbook", "run", "given", "--yes", "--output", "json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    holds_none("a run", &text);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("config.check-failed") && text.contains("session-secret"),
        "{text}"
    );
    keeps_none(&space.dir);
    for kept in ["evidence", "state"] {
        assert!(keeps_none(&space.dir.join(kept)) > 0, "no {kept} is kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_pod_from_starting_is_named_with_who_is_to_make_it() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("lacking").await;
    let external = define(&space, ("external-secrets.io", "v1", "ExternalSecret")).await;
    let status =
        json!({"conditions": ready("False", "SecretSyncedError", "no such path in the vault")});
    make(
        &space,
        &external,
        "vault",
        json!({"target": {"name": "gone"}}),
        status,
    )
    .await;
    sources(&space, json!([])).await;
    let mut app = container();
    app["envFrom"] = json!([{"secretRef": {"name": "gone"}}]);
    app["env"] = json!([
        {"name": "JWT_SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "jwt"}}},
        {"name": "DATABASE_URL", "value": "postgres://app:$(DB_PASSWORD)@db/app"},
        {"name": "LOG_LEVEL", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "level"}}},
        {"name": "REDIS_URL", "value": "redis://$(CACHE)/0"},
    ]);
    let pod = json!({"spec": {"restartPolicy": "Never", "containers": [app.clone()]}});
    let cron = json!({"metadata": {"name": "nightly"}, "spec": {
        "schedule": "0 3 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": pod}},
    }});
    space.make::<CronJob>(cron).await;
    let seen = check(&space, "cronjob/nightly");
    for (id, outcome, words) in [
        (
            "workload.references",
            "failed",
            &[
                "there is no secret `gone`, which `envFrom` names",
                "secret `keys` has no key `jwt`, which `JWT_SECRET` needs",
                "there is no configmap `flags`, which `LOG_LEVEL` needs",
                "`gone` is to be made by ExternalSecret `vault`, which did not: SecretSyncedError: no such path in the vault",
            ][..],
        ),
        (
            "variable.jwt-secret",
            "not-evaluated",
            &["secret `keys` has no key `jwt`"],
        ),
        (
            "variable.session-secret",
            "not-evaluated",
            &["there is no secret `gone`"],
        ),
    ] {
        seen.says(id, outcome, words).unwrap();
    }
    assert_eq!(
        seen.find("variable.jwt-secret")["caused-by"],
        "workload.references"
    );
    assert_eq!(
        space
            .run(&["config", "check", "--workload", "cj/nightly"])
            .status
            .code(),
        Some(1)
    );

    // With its sources there, what nobody sets stays as it is written.
    app["envFrom"] = json!([]);
    app["env"][0]["valueFrom"]["secretKeyRef"]["key"] = json!("JWT_SECRET");
    app["env"][2]["valueFrom"]["configMapKeyRef"]["optional"] = json!(true);
    let side = json!({"name": "side", "image": "none"});
    let mut two = deployment("two", app);
    two["spec"]["replicas"] = json!(0);
    let containers = two["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap();
    containers.push(side);
    space.make::<Deployment>(two).await;
    let several = space.run(&["config", "check", "--workload", "deployment/two"]);
    let said = String::from_utf8_lossy(&several.stderr).into_owned();
    assert_eq!(several.status.code(), Some(2), "{said}");
    assert!(said.contains("`app`, `side`"), "{said}");
    let seen = space.checks(&[
        "config",
        "check",
        "--workload",
        "deployment/two",
        "--container",
        "app",
    ]);
    let words = [
        "`DATABASE_URL` refers to `DB_PASSWORD`",
        "`REDIS_URL` refers to `CACHE`",
    ];
    seen.says("workload.expansion", "failed", &words).unwrap();
    seen.says("variable.log-level", "degraded", &["not set"])
        .unwrap();
    seen.says("workload.pods", "skipped", &["runs in no pod"])
        .unwrap();
    let seen = space.checks(&[
        "config",
        "check",
        "--workload",
        "deployment/two",
        "--container",
        "side",
    ]);
    seen.says("workload.references", "skipped", &["takes nothing"])
        .unwrap();
    seen.says(
        "variables",
        "not-evaluated",
        &["not one of the platform's variables"],
    )
    .unwrap();

    for (args, code, words) in [
        (
            &["--workload", "deployment/none"][..],
            1,
            "kubectl get deployments -n lacking",
        ),
        (
            &["--workload", "service/two"],
            2,
            "deployment, statefulset, daemonset, cronjob, job",
        ),
        (
            &["--source", "kubernetes"],
            2,
            "--workload deployment/gateway",
        ),
        (
            &["--workload", "deployment/two", "--container", "web"],
            1,
            "has no container `web`",
        ),
        (
            &["--workload", "deployment/two", "--namespace", "other"],
            2,
            "does not have the namespace `other`",
        ),
    ] {
        let output = space.run(&[&["config", "check"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_may_not_be_read_is_unknown_and_never_missing() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("closed").await;
    sources(&space, json!([])).await;
    space
        .make::<Deployment>(deployment("gateway", container()))
        .await;
    let printed = space.run(&["kube", "rbac", "--step", "config.check"]);
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    let role: Value = printed
        .split("---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap())
        .find(|document| document["kind"] == "Role")
        .unwrap();
    let mut without = role.clone();
    without["metadata"]["name"] = json!("without-secrets");
    for rule in without["rules"].as_array_mut().unwrap() {
        let resources = rule["resources"].as_array_mut().unwrap();
        resources.retain(|r| r != "secrets");
    }
    let rules = without["rules"].as_array_mut().unwrap();
    rules.retain(|rule| !rule["resources"].as_array().unwrap().is_empty());
    for (name, role) in [("without-secrets", &without), ("summitctl", &role)] {
        space.grant(role, "alice").await;
        space.configure("alice", &["closed"]);
        let open = name == "summitctl";
        space
            .until("the rights", async || {
                let output = space.run(&[
                    "config",
                    "check",
                    "--workload",
                    "deployment/gateway",
                    "--output",
                    "json",
                ]);
                let seen = String::from_utf8_lossy(&output.stdout).into_owned();
                let closed = seen.contains("kubernetes.forbidden")
                    || (open && seen.contains("may not be read"));
                if closed { Err(seen) } else { Ok(()) }
            })
            .await;
        let seen = check(&space, "deployment/gateway");
        if open {
            seen.says("workload.references", "passed", &["secret `keys`"])
                .unwrap();
            seen.says("variable.jwt-secret", "passed", &["34 characters"])
                .unwrap();
            continue;
        }
        seen.says(
            "workload.references",
            "not-evaluated",
            &["may not be read: secret `keys`"],
        )
        .unwrap();
        let hints = seen.find("workload.references")["hints"]
            .to_string()
            .replace('\\', "");
        assert!(
            hints.contains("resources: [\"secrets\"], verbs: [\"get\"]"),
            "{hints}"
        );
        assert!(hints.contains("kube rbac --step config.check"), "{hints}");
        for id in ["jwt-secret", "session-secret", "database-url", "log-level"] {
            seen.says(&format!("variable.{id}"), "not-evaluated", &["not known"])
                .unwrap();
        }
        // What `env` itself sets no Secret can replace.
        seen.says("variable.rate-limit-max", "passed", &["700"])
            .unwrap();
        let text = seen.0.to_string();
        assert!(
            !text.contains("not set") && !text.contains("there is no secret"),
            "{text}"
        );
    }
}
