//! `smoke` on a namespace that is well, and on one with every fault that real controllers can be brought to.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, Space};

/// Looked for in all that is printed: a container writes it to its log.
const PASSWORD: &str = "canary-log-password-93c1";

/// A pod template whose only container runs a shell command.
fn template(app: &str, command: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": "none", "command": ["sh", "-c", command]}],
        },
    })
}

fn deployment(app: &str, template: Value) -> Value {
    json!({
        "metadata": {"name": app},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": app}}, "template": template},
    })
}

fn service(app: &str) -> Value {
    json!({"metadata": {"name": app}, "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}})
}

fn job(name: &str, command: &str) -> Value {
    let mut pod = template(name, command);
    pod["spec"]["restartPolicy"] = json!("Never");
    json!({"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": pod}})
}

fn cron(name: &str, suspend: bool) -> Value {
    let spec = job(name, "true")["spec"].clone();
    json!({
        "metadata": {"name": name},
        "spec": {"schedule": "0 3 1 1 *", "suspend": suspend, "jobTemplate": {"spec": spec}},
    })
}

/// A release as Helm 3 stores it: base64 of gzip of JSON. Helm itself did not make it.
fn release(name: &str, revision: u32, status: &str) -> Value {
    use base64::Engine as _;
    use std::io::Write as _;
    let document = json!({
        "name": name, "version": revision, "namespace": "unused",
        "info": {"status": status, "description": "Upgrade \"gateway\" failed: timed out"},
        "chart": {"metadata": {"name": "ig-platform", "version": "1.4.2"}, "values": {"password": PASSWORD}},
        "config": {"password": PASSWORD}, "manifest": "kind: Secret",
    });
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(document.to_string().as_bytes()).unwrap();
    let base64 = &base64::engine::general_purpose::STANDARD;
    let stored = base64.encode(gzip.finish().unwrap());
    json!({
        "metadata": {
            "name": format!("sh.helm.release.v1.{name}.v{revision}"),
            "labels": {"owner": "helm", "name": name, "status": status, "version": revision.to_string()},
        },
        "type": "helm.sh/release.v1",
        "stringData": {"release": stored},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_well_passes() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("well").await;
    space
        .make::<Deployment>(deployment("gateway", template("gateway", "exec sleep 600")))
        .await;
    let mut stateful = deployment("neo4j", template("neo4j", "exec sleep 600"));
    stateful["spec"]["serviceName"] = json!("neo4j");
    space.make::<StatefulSet>(stateful).await;
    space.make::<Service>(service("gateway")).await;
    space.make::<Job>(job("db-migrate", "echo migrated")).await;
    space.make::<CronJob>(cron("backup", false)).await;
    space
        .make::<Secret>(release("platform", 1, "superseded"))
        .await;
    space
        .make::<Secret>(release("platform", 2, "deployed"))
        .await;
    let well = [
        "api",
        "namespaces",
        "nodes",
        "pods",
        "deployments",
        "statefulsets",
        "jobs",
        "cronjobs",
        "services",
        "helm",
    ];
    space
        .until("all checks pass", async || {
            let seen = space.checks(&["smoke", "--timeout", "60s"]);
            well.iter()
                .try_for_each(|id| seen.says(&format!("kubernetes.{id}"), "passed", &[]))
        })
        .await;
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    let cluster = &seen.find("kubernetes.api")["facts"]["cluster"];
    assert_eq!(cluster.as_str().unwrap().len(), 36, "a UID: {cluster}");
    // One each: of the deployment, the stateful set and the job.
    assert_eq!(seen.find("kubernetes.pods")["facts"]["looked-at"], 3);
    assert!(
        seen.detail("kubernetes.helm")
            .contains("revision 2 of ig-platform-1.4.2 is `deployed`")
    );
    assert!(
        !seen.0.to_string().contains(PASSWORD),
        "a release's values show"
    );
    crate::shared::are_explained(&seen.0);
    for absent in ["daemonsets", "volumes", "autoscalers"] {
        assert_eq!(seen.outcome(&format!("kubernetes.{absent}")), "skipped");
    }
}

async fn break_everything(space: &Space) {
    let crash = format!("echo connecting with password={PASSWORD}; echo out of luck; exit 3");
    space
        .make::<Deployment>(deployment("crashing", template("crashing", &crash)))
        .await;
    let mut large = template("large", "exec sleep 600");
    large["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "99"}});
    space.make::<Deployment>(deployment("large", large)).await;
    let mut unready = template("unready", "exec sleep 600");
    unready["spec"]["containers"][0]["readinessProbe"] = json!({"exec": {"command": ["false"]}});
    space
        .make::<Deployment>(deployment("unready", unready))
        .await;
    space.make::<Service>(service("unready")).await;
    space.make::<Service>(service("nobody")).await;
    space
        .make::<Job>(job("db-migrate", "echo relation is missing; exit 7"))
        .await;
    space.make::<CronJob>(cron("backup", true)).await;
    space.make::<Secret>(release("gateway", 3, "failed")).await;
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "absent"},
    });
    space.make::<PersistentVolumeClaim>(claim).await;
    // Its last time is long ago, and the deadline keeps the controller from making up for it.
    let mut late = cron("late", false);
    late["spec"]["startingDeadlineSeconds"] = json!(15);
    space.make::<CronJob>(late).await;
    let status = json!({"status": {"lastScheduleTime": "2020-01-01T03:00:00Z"}});
    let mut resumed = cron("resumed", true);
    resumed["spec"]["startingDeadlineSeconds"] = json!(15);
    space.make::<CronJob>(resumed).await;
    let crons = space.api::<CronJob>();
    for name in ["late", "resumed"] {
        let parameters = PatchParams::default();
        let status = Patch::Merge(&status);
        crons
            .patch_status(name, &parameters, &status)
            .await
            .unwrap();
    }
    // The API server's times have whole seconds: it is let go on in a later one than it was made in.
    space
        .until("a CronJob is let go on after it was made", async || {
            let off = json!({"spec": {"suspend": crons.get("resumed").await.unwrap().spec.unwrap().suspend != Some(true)}});
            let patched = crons.patch("resumed", &PatchParams::default(), &Patch::Merge(&off)).await.unwrap();
            let made = patched.metadata.creation_timestamp.unwrap();
            let times = patched.metadata.managed_fields.unwrap().into_iter().filter_map(|m| m.time);
            let later = times.filter(|t| t.0 > made.0).count() > 0;
            match later && patched.spec.unwrap().suspend == Some(false) {
                true => Ok(()),
                false => Err("in the same second".to_owned()),
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_and_named() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("broken").await;
    break_everything(&space).await;
    space
        .until("all faults are named", async || {
            let seen = space.checks(&["smoke", "--timeout", "60s"]);
            assert!(
                !seen.0.to_string().contains(PASSWORD),
                "a log's password shows"
            );
            seen.says(
                "kubernetes.pods",
                "failed",
                &[
                    "keeps ending",
                    "exit code 3",
                    "out of luck",
                    "no node takes it",
                    "cpu",
                    "is not ready: container `app`",
                ],
            )?;
            seen.says(
                "kubernetes.deployments",
                "failed",
                &["broken/crashing", "broken/large", "0 of 1 pods are ready"],
            )?;
            seen.says(
                "kubernetes.jobs",
                "failed",
                &[
                    "broken/db-migrate",
                    "BackoffLimitExceeded",
                    "exit code 7",
                    "relation is missing",
                ],
            )?;
            seen.says(
                "kubernetes.cronjobs",
                "failed",
                &[
                    "broken/backup",
                    "suspended",
                    "never",
                    "broken/late",
                    "missed a time of `0 3 1 1 *`",
                    "broken/resumed",
                    "whether it is suspended was set",
                ],
            )?;
            seen.says(
                "kubernetes.services",
                "failed",
                &["has no ready endpoint; 1 are not", "matches no pod"],
            )?;
            seen.says("kubernetes.volumes", "failed", &["broken/data", "Pending"])?;
            seen.says(
                "kubernetes.helm",
                "failed",
                &[
                    "broken/gateway",
                    "revision 3 of ig-platform-1.4.2 is `failed`",
                    "timed out",
                ],
            )
        })
        .await;
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    assert_eq!(
        seen.find("kubernetes.deployments")["caused-by"],
        "kubernetes.pods"
    );
    let hints = seen.find("kubernetes.jobs")["hints"].to_string();
    assert!(hints.contains("A migration failed"), "{hints}");
    let output = space.run(&["smoke", "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("Kubernetes\n") && text.contains("so deployments are rolled out is failed"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_refuses_pods_is_named_and_not_blamed_on_pods() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("quota").await;
    space
        .make::<ResourceQuota>(
            json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}),
        )
        .await;
    let quotas = space.api::<ResourceQuota>();
    space
        .until("the quota counts", async || {
            let quota = quotas.get("none").await.map_err(|e| e.to_string())?;
            quota
                .status
                .and_then(|s| s.hard)
                .map(drop)
                .ok_or_else(|| "no status".to_owned())
        })
        .await;
    space
        .make::<Deployment>(deployment("gateway", template("gateway", "exec sleep 600")))
        .await;
    space
        .until("the quota is named", async || {
            let seen = space.checks(&["smoke", "--timeout", "60s"]);
            seen.says(
                "kubernetes.deployments",
                "failed",
                &["0 of 1 pods could be made", "exceeded quota: none"],
            )
        })
        .await;
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    assert!(seen.find("kubernetes.deployments")["caused-by"].is_null());
}

/// The kubelet of the tests pulls no images and limits no memory: these statuses are written through the API as a kubelet
/// writes them, onto pods that no scheduler touches.
#[tokio::test(flavor = "multi_thread")]
async fn statuses_of_images_and_memory_are_read_as_a_kubelet_writes_them() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("statuses").await;
    let states = [
        (
            "pull",
            json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"gone:1\""}}}),
        ),
        (
            "memory",
            json!({
                "restartCount": 6,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            }),
        ),
        (
            "config",
            json!({"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"}}}),
        ),
    ];
    for (name, state) in states {
        let mut pod = template(name, "true");
        pod["metadata"]["name"] = json!(name);
        pod["spec"]["schedulingGates"] = json!([{"name": "summitctl.test/never"}]);
        space.make::<Pod>(pod).await;
        let mut container = json!({"name": "app", "image": "gone:1", "imageID": "", "ready": false, "restartCount": 0});
        for (key, value) in state.as_object().unwrap() {
            container[key] = value.clone();
        }
        let status = json!({"status": {"phase": "Pending", "containerStatuses": [container]}});
        space
            .api::<Pod>()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await
            .unwrap();
    }
    let seen = space.checks(&["smoke", "--timeout", "60s"]);
    seen.says(
        "kubernetes.pods",
        "failed",
        &[
            "3 of 3 pods",
            "the image `gone:1` of container `app` cannot be had: ImagePullBackOff",
            "6 restarts, last exit code 137 (OOMKilled)",
            "cannot start: CreateContainerConfigError: secret \"db\" not found",
        ],
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_errors_in_a_log_is_held_against_its_bound() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("noise").await;
    let noise = |lines: u32| {
        format!(
            "i=0; while [ $i -lt {lines} ]; do echo 'ERROR no login with password={PASSWORD}'; echo INFO; i=$((i+1)); done; exec sleep 600"
        )
    };
    for (app, lines) in [("noisy", 80), ("calm", 5)] {
        let template = template(app, &noise(lines));
        space.make::<Deployment>(deployment(app, template)).await;
    }
    let look = || space.checks(&["smoke", "--timeout", "60s"]);
    let words = [
        "1 of 2 containers: `noise/noisy-",
        "container `app`: 80 of its last 160 lines, of 10m, tell of errors; 50 are allowed",
        "ERROR no login with password=***",
    ];
    space
        .until("the burst is named", async || {
            let seen = look();
            assert!(!seen.0.to_string().contains(PASSWORD), "a password shows");
            seen.says("kubernetes.logs", "degraded", &words)
        })
        .await;
    assert_eq!(look().find("kubernetes.logs")["severity"], "advisory");
    let file = space.dir.join("summitctl.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "error-lines = 80\n").unwrap();
    let words = ["2 containers wrote at most 80 lines that tell of errors in 10m; 80 are allowed"];
    look().says("kubernetes.logs", "passed", &words).unwrap();
}
