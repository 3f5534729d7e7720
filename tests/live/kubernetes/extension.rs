//! Kinds that operators bring along: certificates and ExternalSecrets, defined here with the groups, versions and kinds of
//! theirs and with any content. No operator runs: what it would say is written into their status.

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::cluster::{Cluster, Space};

/// Looked for in all that is printed: a controller repeats it.
const PASSWORD: &str = "canary-operator-password-61ac";

/// Makes the API server serve a kind.
pub async fn define(space: &Space, (group, version, kind): (&str, &str, &str)) -> ApiResource {
    let own = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{group}", own.plural)},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": own.plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: kube::Api<DynamicObject> =
        kube::Api::all_with(space.client.clone(), &ApiResource::from_gvk(&gvk));
    let object = serde_json::from_value(definition).unwrap();
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => {}
        // Another test was first.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => panic!("{error}"),
    }
    let objects = of(space, &own);
    space
        .until("the kind is served", async || {
            let list = objects.list(&kube::api::ListParams::default()).await;
            list.map_err(|e| e.to_string())?;
            let groups = space.client.list_api_groups().await.unwrap().groups;
            let listed = groups.iter().any(|g| g.name == group);
            listed.then_some(()).ok_or_else(|| "not listed".to_owned())
        })
        .await;
    own
}

fn of(space: &Space, resource: &ApiResource) -> kube::Api<DynamicObject> {
    kube::Api::namespaced_with(space.client.clone(), &space.name, resource)
}

/// Makes an object with a status, and says its UID.
pub async fn make(
    space: &Space,
    resource: &ApiResource,
    name: &str,
    spec: Value,
    status: Value,
) -> String {
    let api = of(space, resource);
    let object = json!({
        "apiVersion": resource.api_version, "kind": resource.kind,
        "metadata": {"name": name}, "spec": spec,
    });
    let object = serde_json::from_value(object).unwrap();
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let status = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &status)
        .await
        .unwrap();
    made.metadata.uid.unwrap()
}

pub fn ready(status: &str, reason: &str, message: &str) -> Value {
    json!([{"type": "Ready", "status": status, "reason": reason, "message": message}])
}

/// An instant this many seconds from now.
fn at(seconds: i64) -> String {
    let now = summitctl::time::Instant::now().millis();
    summitctl::time::Instant::from_millis(now + seconds * 1000).to_string()
}

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_external_secrets_are_judged_as_their_controllers_say() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("operators").await;
    let certificate = define(&space, ("cert-manager.io", "v1", "Certificate")).await;
    let external = define(&space, ("external-secrets.io", "v1", "ExternalSecret")).await;
    let certificates = "kubernetes.certificates";
    let secrets = "kubernetes.external-secrets";
    let look = || space.checks(&["smoke", "--timeout", "60s"]);

    let seen = look();
    seen.says(certificates, "skipped", &["there are no certificates"])
        .unwrap();

    let good = ready("True", "Ready", "Certificate is up to date");
    let short = json!({"conditions": good, "notAfter": at(1800), "renewalTime": at(600)});
    make(&space, &certificate, "short", json!({}), short).await;
    let synced = ready("True", "SecretSynced", "secret synced");
    let fresh = json!({"conditions": synced, "refreshTime": at(-60)});
    make(
        &space,
        &external,
        "fresh",
        json!({"refreshInterval": "1h0m0s"}),
        fresh,
    )
    .await;
    let seen = look();
    seen.says(certificates, "passed", &["1 certificates are ready"])
        .unwrap();
    seen.says(
        secrets,
        "passed",
        &["1 ExternalSecrets are ready and fresh"],
    )
    .unwrap();
    assert_eq!(
        seen.find(certificates)["facts"]["version"],
        "cert-manager.io/v1"
    );

    // Bearable: both work, and will not for long.
    let soon = json!({"conditions": good, "notAfter": at(10 * DAY)});
    make(&space, &certificate, "soon", json!({}), soon).await;
    let late = json!({"conditions": good, "notAfter": at(30 * DAY), "renewalTime": at(-2 * DAY)});
    make(&space, &certificate, "late", json!({}), late).await;
    let stale = json!({"conditions": synced, "refreshTime": at(-3 * DAY)});
    make(
        &space,
        &external,
        "stale",
        json!({"refreshInterval": "1h"}),
        stale,
    )
    .await;
    let seen = look();
    seen.says(
        certificates,
        "degraded",
        &[
            "2 of 3",
            "operators/soon`: expires in 9d23h",
            "operators/late`: was to be renewed 2d ago",
        ],
    )
    .unwrap();
    seen.says(
        secrets,
        "degraded",
        &["operators/stale`: was last refreshed 3d ago, and is to be every 1h"],
    )
    .unwrap();

    let refused = ready("False", "IncorrectIssuer", "issued by another");
    let refused = json!({"conditions": refused, "notAfter": at(30 * DAY)});
    make(&space, &certificate, "refused", json!({}), refused).await;
    let over = json!({"conditions": ready("False", "Expired", "it is over"), "notAfter": at(-DAY)});
    make(&space, &certificate, "over", json!({}), over).await;
    make(&space, &certificate, "new", json!({}), json!({})).await;
    let message = format!("could not log in with password={PASSWORD}");
    let broken = json!({"conditions": ready("False", "SecretSyncedError", &message)});
    make(&space, &external, "broken", json!({}), broken).await;
    let seen = look();
    seen.says(
        certificates,
        "failed",
        &[
            "5 of 6",
            "refused`: is not ready: IncorrectIssuer: issued by another",
            "over`: expired at",
            "Expired: it is over",
            "new`: its controller has not looked at it",
        ],
    )
    .unwrap();
    seen.says(
        secrets,
        "failed",
        &["broken`: is not ready: SecretSyncedError: could not log in"],
    )
    .unwrap();
    assert!(!seen.0.to_string().contains(PASSWORD), "a password shows");
    let hints = seen.find(certificates)["hints"].to_string();
    assert!(
        hints.contains("kubectl describe certificates.cert-manager.io"),
        "{hints}"
    );
    crate::shared::are_explained(&seen.0);
    assert_eq!(
        space.run(&["smoke", "--timeout", "60s"]).status.code(),
        Some(1)
    );

    // Who may not list them is told so; it is not a pass.
    space.configure("alice", &["operators"]);
    let doctor = space.checks(&["doctor"]);
    doctor
        .says(
            "kubernetes.access.externalsecrets",
            "failed",
            &["may not list"],
        )
        .unwrap();
}
