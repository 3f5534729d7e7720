//! What a user without rights, a wrong name and a cluster that is down look like, and that the printed Role is enough.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::shared;

use super::cluster::{ADMIN_TOKEN, Cluster, Space};

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_nothing_is_told_the_rule_that_is_missing() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("rights").await;
    space.configure("alice", &["rights"]);
    // The API answers to everybody who is logged in.
    let shown = space.run(&["kube", "show"]);
    assert_eq!(shown.status.code(), Some(0), "{}", words(&shown));
    assert!(
        words(&shown).contains("as          `alice`") && words(&shown).contains("not known"),
        "{}",
        words(&shown)
    );
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    assert_eq!(seen.outcome("kubernetes.api"), "passed");
    assert_eq!(seen.outcome("kubernetes.namespaces"), "not-evaluated");
    assert_eq!(
        seen.find("kubernetes.namespaces")["facts"]["reason"],
        "kubernetes.forbidden"
    );
    assert_eq!(
        seen.outcome("kubernetes.pods"),
        "not-evaluated",
        "what may not be read never passes"
    );
    let doctor = space.checks(&["doctor"]);
    for (id, rule) in [
        (
            "pods",
            "apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]",
        ),
        ("pods-log", "resources: [\"pods/log\"], verbs: [\"get\"]"),
        (
            "deployments",
            "apiGroups: [\"apps\"], resources: [\"deployments\"]",
        ),
        ("nodes", "resources: [\"nodes\"]"),
    ] {
        let check = doctor.find(&format!("kubernetes.access.{id}"));
        assert_eq!(check["outcome"], "failed", "{check}");
        assert!(
            check["hints"].to_string().replace('\\', "").contains(rule),
            "{check}"
        );
    }

    shared::are_explained(&doctor.0);

    // The printed Role, given to a service account, is all that both commands need.
    space.configure("admin", &["rights"]);
    for words in shared::WITH_CLUSTER {
        let args: Vec<&str> = words.split(' ').chain(["--output", "json"]).collect();
        let document = space.run(&args);
        let document = shared::document(words, &String::from_utf8_lossy(&document.stdout), 0);
        assert!(document["error"].is_null(), "{document}");
    }
    let printed = space.run(&["kube", "rbac"]);
    assert_eq!(printed.status.code(), Some(0), "{}", words(&printed));
    apply(&space, &String::from_utf8_lossy(&printed.stdout)).await;
    let accounts = space.api::<ServiceAccount>();
    space
        .make::<ServiceAccount>(json!({"metadata": {"name": "summitctl"}}))
        .await;
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let token = accounts
        .create_token_request("summitctl", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = token.status.unwrap().token;
    let file = std::fs::read_to_string(cluster.dir.join("kubeconfig")).unwrap();
    let mut config: Value = serde_json::from_str(&file).unwrap();
    config["users"][0]["user"]["token"] = json!(token);
    std::fs::write(space.dir.join("kubeconfig"), config.to_string()).unwrap();
    let text = "version = 1\n[contexts.k.kubernetes]\nkubeconfig = \"kubeconfig\"\nnamespaces = [\"rights\"]\n";
    std::fs::write(space.dir.join("summitctl.toml"), text).unwrap();
    // The API server's authorizer learns of a new binding in its own time.
    space
        .until("the rights of the account", async || {
            let reports =
                [&["doctor"][..], &["smoke", "--timeout", "60s"]].map(|w| space.checks(w));
            let refused =
                |c: &super::cluster::Checks| c.0.to_string().contains("kubernetes.forbidden");
            match reports.iter().find(|c| refused(c)) {
                Some(refused) => Err(refused.0.to_string()),
                None => Ok(()),
            }
        })
        .await;
    let doctor = space.checks(&["doctor"]);
    let smoke = space.checks(&["smoke", "--timeout", "60s"]);
    for report in [&doctor, &smoke] {
        let text = report.0.to_string();
        assert!(
            !text.contains("kubernetes.forbidden") && !text.contains(&token),
            "{text}"
        );
        assert!(
            report
                .detail("kubernetes.api")
                .contains("system:serviceaccount:rights:summitctl")
        );
    }
    for id in [
        "pods",
        "pods-log",
        "events",
        "secrets",
        "endpointslices",
        "nodes",
    ] {
        let id = format!("kubernetes.access.{id}");
        assert_eq!(doctor.outcome(&id), "passed", "{}", doctor.detail(&id));
    }
}

/// Makes every object of a manifest.
async fn apply(space: &Space, manifest: &str) {
    let documents = manifest.split("---\n").filter(|d| !d.trim().is_empty());
    for document in documents {
        let value: Value = serde_saphyr::from_str(document).unwrap();
        let (group, version) = value["apiVersion"]
            .as_str()
            .unwrap()
            .split_once('/')
            .unwrap();
        let kind = value["kind"].as_str().unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: kube::Api<DynamicObject> = match value["metadata"]["namespace"].as_str() {
            Some(namespace) => {
                kube::Api::namespaced_with(space.client.clone(), namespace, &resource)
            }
            None => kube::Api::all_with(space.client.clone(), &resource),
        };
        let object: DynamicObject = serde_json::from_value(value).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_logins_and_a_stopped_server_each_have_their_own_reason() {
    let mut cluster = Cluster::start("own").await;
    let space = cluster.namespace("names").await;
    let reason = |args: &[&str], code: i32, reason: &str, words_of: &[&str]| {
        let output = space.run(&[args, &["--output", "json"]].concat());
        let text = words(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(reason), "{reason}: {text}");
        for word in words_of {
            assert!(text.contains(word), "{word}: {text}");
        }
    };
    space.configure("admn", &["names"]);
    reason(
        &["kube", "show"],
        2,
        "kubernetes.no-such-context",
        &["Did you mean `admin`?"],
    );
    space.configure("stranger", &["names"]);
    reason(
        &["kube", "show"],
        7,
        "kubernetes.not-logged-in",
        &["Log in"],
    );
    space.configure("admin", &["names", "nowhere"]);
    reason(
        &["kube", "show"],
        2,
        "kubernetes.no-such-namespace",
        &["`nowhere`"],
    );
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    assert_eq!(seen.outcome("kubernetes.namespaces"), "failed");
    assert_eq!(
        seen.outcome("kubernetes.pods"),
        "not-evaluated",
        "an empty list of nothing is not well"
    );

    // No operator brought its kinds along: not looked at is not well.
    space.configure("admin", &["names"]);
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    let doctor = space.checks(&["doctor"]);
    for (id, access, kind) in [
        (
            "certificates",
            "certificates",
            "certificates.cert-manager.io",
        ),
        (
            "external-secrets",
            "externalsecrets",
            "externalsecrets.external-secrets.io",
        ),
    ] {
        let absent = format!("the cluster has no `{kind}`");
        seen.says(&format!("kubernetes.{id}"), "skipped", &[&absent])
            .unwrap();
        doctor
            .says(
                &format!("kubernetes.access.{access}"),
                "skipped",
                &[&absent],
            )
            .unwrap();
    }
    cluster.stop_api();
    reason(
        &["kube", "show"],
        7,
        "kubernetes.unreachable",
        &["does not answer", "kubectl cluster-info"],
    );
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    assert_eq!(seen.outcome("kubernetes.api"), "failed");
    assert_eq!(seen.find("kubernetes.pods")["caused-by"], "kubernetes.api");
    assert_eq!(seen.outcome("kubernetes.pods"), "not-evaluated");
}

/// The kubeconfig, with what a program prints instead of the administrator's token.
fn by_plugin(cluster: &Cluster, space: &Space, script: &str) {
    let file = std::fs::read_to_string(cluster.dir.join("kubeconfig")).unwrap();
    let mut config: Value = serde_json::from_str(&file).unwrap();
    config["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", script],
        "interactiveMode": "Never",
    }});
    std::fs::write(space.dir.join("kubeconfig"), config.to_string()).unwrap();
    let text = "version = 1\n[contexts.k.kubernetes]\nkubeconfig = \"kubeconfig\"\nnamespaces = [\"plugin\"]\n";
    std::fs::write(space.dir.join("summitctl.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_plugin_is_run_and_what_it_prints_is_not_shown() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("plugin").await;
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": ADMIN_TOKEN},
    });
    by_plugin(&cluster, &space, &format!("echo '{credential}'"));
    let shown = space.run(&["kube", "show"]);
    assert_eq!(shown.status.code(), Some(0), "{}", words(&shown));
    assert!(
        words(&shown).contains("as          `admin`"),
        "{}",
        words(&shown)
    );

    by_plugin(
        &cluster,
        &space,
        &format!("echo {ADMIN_TOKEN}; echo {ADMIN_TOKEN} >&2; exit 4"),
    );
    let failed = space.run(&["kube", "show"]);
    assert_eq!(failed.status.code(), Some(7), "{}", words(&failed));
    assert!(
        words(&failed).contains("the credential plugin")
            && words(&failed).contains("exit status: 4"),
        "{}",
        words(&failed)
    );
    by_plugin(&cluster, &space, &format!("echo {ADMIN_TOKEN}"));
    let failed = space.run(&["kube", "show"]);
    assert_eq!(failed.status.code(), Some(7), "{}", words(&failed));
}
