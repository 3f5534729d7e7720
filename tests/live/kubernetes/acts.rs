//! What steps change in a cluster: killed, resumed, taken back, refused, and looked at by the API afterwards.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, Space};

/// Looked for in all that is printed: a container writes it to its log.
const PASSWORD: &str = "canary-job-password-7d20";
/// What holds how many pods there were.
const NOTE: &str = "summitctl.io/replicas-before";

fn workload(app: &str, replicas: u32, command: &str) -> Value {
    json!({
        "metadata": {"name": app},
        "spec": {
            "replicas": replicas,
            "serviceName": app,
            "selector": {"matchLabels": {"app": app}},
            "template": template(app, command),
        },
    })
}

fn deployment(app: &str, replicas: u32, command: &str) -> Value {
    let mut object = workload(app, replicas, command);
    object["spec"]
        .as_object_mut()
        .unwrap()
        .remove("serviceName");
    object
}

fn template(app: &str, command: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "app", "image": "none", "command": ["sh", "-c", command]}],
        },
    })
}

fn cron(name: &str, command: &str) -> Value {
    let mut pod = template(name, command);
    pod["spec"]["restartPolicy"] = json!("Never");
    json!({
        "metadata": {"name": name},
        "spec": {
            "schedule": "0 3 1 1 *", "suspend": true,
            "jobTemplate": {"spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 0, "template": pod}},
        },
    })
}

/// Writes a runbook of these steps.
fn book(space: &Space, id: &str, steps: &str) {
    let folder = space.dir.join("runbooks");
    std::fs::create_dir_all(&folder).unwrap();
    let fenced: String = steps
        .split("\n\n")
        .map(|step| format!("```yaml step\n{}\n```\n\n", step.trim()))
        .collect();
    let text = format!(
        "---\nrunbook: {id}\ntitle: A test\nplatform: test\nwhen: It is tested.\n---\n\n# A test\n\n{fenced}"
    );
    std::fs::write(folder.join(format!("{id}.md")), text).unwrap();
}

/// Runs a runbook: its exit code, and what it says.
fn run(space: &Space, id: &str) -> (i32, Value) {
    program(space, &["runbook", "run", id, "--yes"])
}

fn program(space: &Space, args: &[&str]) -> (i32, Value) {
    let output = space.run(&[args, &["--output", "json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !format!("{text}{said}").contains(PASSWORD),
        "a password shows: {text}{said}"
    );
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {said}"));
    (output.status.code().unwrap_or(-1), json)
}

fn end<'r>(report: &'r Value, id: &str) -> &'r Value {
    let steps = report["result"]["report"]["steps"].as_array();
    let step = steps.and_then(|all| all.iter().find(|s| s["id"] == id));
    step.map_or_else(|| panic!("no step `{id}`: {report:#}"), |s| &s["end"])
}

async fn replicas(space: &Space, app: &str) -> (i32, Option<String>) {
    let seen = space.api::<Deployment>().get(app).await.unwrap();
    let note = seen.metadata.annotations.and_then(|mut a| a.remove(NOTE));
    (seen.spec.unwrap().replicas.unwrap(), note)
}

async fn pods(space: &Space, app: &str) -> usize {
    let params = ListParams::default().labels(&format!("app={app}"));
    space.api::<Pod>().list(&params).await.unwrap().items.len()
}

async fn ready(space: &Space, app: &str, wanted: i32) {
    let api = space.api::<Deployment>();
    space
        .until("the pods", async || {
            let status = api.get(app).await.unwrap().status.unwrap_or_default();
            match status.available_replicas.unwrap_or(0) {
                n if n == wanted && status.replicas == Some(wanted) => Ok(()),
                n => Err(format!("{n} of {wanted}")),
            }
        })
        .await;
}

async fn merge(space: &Space, app: &str, patch: Value) {
    let api = space.api::<Deployment>();
    api.patch(app, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

/// Kills a runbook's run once `is_there` says so.
async fn killed(space: &Space, id: &str, is_there: impl AsyncFn() -> bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_summitctl"))
        .args(["runbook", "run", id, "--yes"])
        .current_dir(&space.dir)
        .env("SUMMITCTL_STATE_DIR", space.dir.join("state"))
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_there().await {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        assert!(Instant::now() < deadline, "it never came so far");
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

const DOWN: &str = "id: down\nuses: kube.scale\nwith: { workloads: [deployment/gateway, statefulset/worker], replicas: 0 }";
const BACK: &str = "id: back\nuses: kube.scale\nwith: { workloads: [deployment/gateway, statefulset/worker], replicas: before }";

#[tokio::test(flavor = "multi_thread")]
async fn workloads_are_scaled_down_and_back_also_after_a_kill() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("scaled").await;
    // It ends only when its time is over.
    let stubborn = "trap '' TERM; sleep 600 & wait; sleep 600";
    space
        .make::<Deployment>(deployment("gateway", 2, stubborn))
        .await;
    space
        .make::<StatefulSet>(workload("worker", 1, "exec sleep 600"))
        .await;
    ready(&space, "gateway", 2).await;
    book(&space, "down", DOWN);
    book(&space, "back", BACK);
    book(
        &space,
        "window",
        &format!(
            "{DOWN}\n\nid: work\nuses: exec\nwith: {{ argv: [\"true\"], effect: change }}\n\n{BACK}"
        ),
    );
    book(
        &space,
        "failing",
        &format!(
            "{DOWN}\n\nid: work\nuses: exec\nwith: {{ argv: [\"false\"], effect: change }}\non-failure: undo"
        ),
    );

    // Down and back in one run.
    let (code, report) = run(&space, "window");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(replicas(&space, "gateway").await, (2, None));
    // Down, seen to be gone, the number noted; once more changes nothing.
    let (code, report) = run(&space, "down");
    assert_eq!(
        (code, end(&report, "down").as_str()),
        (0, Some("changed")),
        "{report:#}"
    );
    assert_eq!(
        (pods(&space, "gateway").await, pods(&space, "worker").await),
        (0, 0)
    );
    assert_eq!(replicas(&space, "gateway").await, (0, Some("2".into())));
    let (code, report) = run(&space, "down");
    assert_eq!(
        (code, end(&report, "down").as_str()),
        (0, Some("already-so")),
        "{report:#}"
    );
    // Another run, which knows nothing of the first, brings them back.
    let (code, report) = run(&space, "back");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(replicas(&space, "gateway").await, (2, None));
    assert_eq!(pods(&space, "gateway").await, 2);

    // What follows fails: the run takes its own change back.
    let (code, report) = run(&space, "failing");
    assert_ne!(code, 0, "{report:#}");
    assert_eq!(replicas(&space, "gateway").await, (2, None), "{report:#}");
    ready(&space, "gateway", 2).await;

    // Killed while the pods end: aborted, it is as before; resumed, it goes on.
    for way in ["abort", "resume"] {
        killed(&space, "down", async || {
            replicas(&space, "gateway").await.0 == 0
        })
        .await;
        let (code, report) = program(&space, &["run", way, "--yes"]);
        assert!(code == 0 || way == "abort", "{report:#}");
        let expected = if way == "abort" {
            (2, None)
        } else {
            (0, Some("2".into()))
        };
        assert_eq!(replicas(&space, "gateway").await, expected, "{report:#}");
        if way == "abort" {
            ready(&space, "gateway", 2).await;
        } else {
            assert_eq!(pods(&space, "gateway").await, 0);
        }
    }
    assert_eq!(run(&space, "back").0, 0);

    // A number without a note, and a workload that is not there.
    merge(&space, "gateway", json!({"spec": {"replicas": 0}})).await;
    let (code, report) = run(&space, "back");
    assert_ne!(code, 0);
    assert!(
        report.to_string().contains("nothing notes how many"),
        "{report:#}"
    );
    book(
        &space,
        "missing",
        "id: down\nuses: kube.scale\nwith: { workloads: [deployment/gatway], replicas: 0 }",
    );
    let (code, report) = run(&space, "missing");
    assert_ne!(code, 0);
    assert!(
        report
            .to_string()
            .contains("kubectl get deployments -n scaled"),
        "{report:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_and_templates_are_set_and_taken_back() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("set").await;
    space
        .make::<ConfigMap>(json!({"metadata": {"name": "flags"}, "data": {"maintenance": "off"}}))
        .await;
    let flag = async |key: &str| {
        space
            .api::<ConfigMap>()
            .get("flags")
            .await
            .unwrap()
            .data
            .unwrap()
            .remove(key)
    };
    book(
        &space,
        "on",
        "id: flag\nuses: kube.set\nwith: { object: configmap/flags, data: { maintenance: \"on\", reason: restore } }",
    );
    book(
        &space,
        "role",
        "id: role\nuses: kube.set\nwith:\n  object: serviceaccount/default\n  annotations: { eks.amazonaws.com/role-arn: \"arn:aws:iam::123456789012:role/gateway\" }",
    );
    book(
        &space,
        "failing",
        "id: flag\nuses: kube.set\nwith: { object: configmap/flags, data: { maintenance: null } }\n\nid: work\nuses: exec\nwith: { argv: [\"false\"], effect: change }\non-failure: undo",
    );
    assert_eq!(run(&space, "on").0, 0);
    assert_eq!(
        (
            flag("maintenance").await.as_deref(),
            flag("reason").await.as_deref()
        ),
        (Some("on"), Some("restore"))
    );
    assert_eq!(end(&run(&space, "on").1, "flag"), "already-so");
    assert_ne!(run(&space, "failing").0, 0);
    assert_eq!(
        flag("maintenance").await.as_deref(),
        Some("on"),
        "taken back"
    );
    assert_eq!(run(&space, "role").0, 0);
    let account = space.api::<ServiceAccount>().get("default").await.unwrap();
    let annotations = account.metadata.annotations.unwrap();
    assert!(annotations["eks.amazonaws.com/role-arn"].ends_with("role/gateway"));

    // A version that crashes is rolled back to the one before it.
    space
        .make::<Deployment>(deployment("gateway", 1, "exec sleep 600"))
        .await;
    ready(&space, "gateway", 1).await;
    book(
        &space,
        "roll",
        "id: roll\nuses: kube.rollout.undo\nwith: { workload: deployment/gateway }",
    );
    let (code, report) = run(&space, "roll");
    assert_ne!(code, 0);
    assert!(
        report.to_string().contains("no template of before"),
        "{report:#}"
    );
    let bad = json!({"metadata": {"annotations": {"version": "2"}}, "spec": {"containers": [{"name": "app", "image": "none", "command": ["sh", "-c", "exit 3"]}]}});
    merge(&space, "gateway", json!({"spec": {"template": bad}})).await;
    let command = async || {
        let seen = space.api::<Deployment>().get("gateway").await.unwrap();
        let template = seen.spec.unwrap().template;
        let note = template.metadata.and_then(|m| m.annotations);
        (
            template.spec.unwrap().containers[0]
                .command
                .clone()
                .unwrap()[2]
                .clone(),
            note,
        )
    };
    space
        .until("the second template", async || {
            let sets = space.api::<k8s_openapi::api::apps::v1::ReplicaSet>();
            let sets = sets.list(&ListParams::default()).await.unwrap().items;
            if sets.len() == 2 {
                Ok(())
            } else {
                Err(format!("{} replica sets", sets.len()))
            }
        })
        .await;
    // Killed just after the template was changed: taken up again, it does not go to the bad one.
    killed(&space, "roll", async || {
        command().await.0 == "exec sleep 600"
    })
    .await;
    let (code, report) = program(&space, &["run", "resume", "--yes"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(command().await, ("exec sleep 600".to_owned(), None));
    ready(&space, "gateway", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_run_once_followed_and_diagnosed() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("jobs").await;
    let jobs = async || {
        space
            .api::<Job>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    };
    space
        .make::<CronJob>(cron("db-migrate", "echo applied 3 changesets"))
        .await;
    space
        .make::<CronJob>(cron(
            "broken",
            &format!("echo connecting with password={PASSWORD}; echo lock is held >&2; exit 7"),
        ))
        .await;
    space
        .make::<CronJob>(cron("slow", "echo begun; sleep 8; echo over"))
        .await;
    for name in ["db-migrate", "broken", "slow"] {
        book(
            &space,
            name,
            &format!(
                "id: migrate\nuses: kube.job.run\nwith: {{ from: cronjob/{name} }}\nexpect: [\"result.state == 'complete'\"]"
            ),
        );
    }
    let (code, report) = run(&space, "db-migrate");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(jobs().await.len(), 1);
    // Another run makes another job.
    assert_eq!(run(&space, "db-migrate").0, 0);
    assert_eq!(jobs().await.len(), 2);

    let (code, report) = run(&space, "broken");
    assert_ne!(code, 0);
    let text = report.to_string();
    for word in [
        "kubernetes.job-failed",
        "exit code 7",
        "lock is held",
        "kubectl logs -n jobs job/broken-",
    ] {
        assert!(text.contains(word), "{word}: {report:#}");
    }

    // Killed while it runs: the resumed run adopts it, and makes no second one.
    let slow = async || {
        jobs()
            .await
            .into_iter()
            .filter(|j| j.metadata.name.as_deref().unwrap().starts_with("slow-"))
            .count()
    };
    killed(&space, "slow", async || slow().await == 1).await;
    let (code, report) = program(&space, &["run", "resume", "--yes"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(slow().await, 1);
    // Killed and aborted: it is stopped, and the report says that what it did stays.
    killed(&space, "slow", async || slow().await == 2).await;
    let (_, report) = program(&space, &["run", "abort", "--yes"]);
    assert!(
        report
            .to_string()
            .contains("what it had done by then stays"),
        "{report:#}"
    );
    space
        .until("the job to be gone", async || match slow().await {
            1 => Ok(()),
            n => Err(format!("{n} jobs")),
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_nothing_is_planned() {
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("unbound").await;
    space
        .make::<Deployment>(deployment("gateway", 1, "exec sleep 600"))
        .await;
    ready(&space, "gateway", 1).await;
    book(
        &space,
        "down",
        "id: down\nuses: kube.scale\nwith: { workloads: [deployment/gateway], replicas: 0 }",
    );
    let printed = |more: &[&str]| {
        let words = [&["kube", "rbac"], more].concat();
        let text = String::from_utf8(space.run(&words).stdout).unwrap();
        let documents = text
            .split("---\n")
            .map(|d| serde_saphyr::from_str::<Value>(d).unwrap());
        documents.collect::<Vec<Value>>()
    };
    // What the checks need does not let anybody scale; the step's own Role does.
    for (name, step, goes) in [("looks", None, false), ("acts", Some("kube.scale"), true)] {
        space.configure("admin", &["unbound"]);
        let more: Vec<&str> = step
            .iter()
            .flat_map(|s| ["--step", s])
            .chain(["--name", name])
            .collect();
        let documents = printed(&more);
        let role = documents.iter().find(|d| d["kind"] == "Role").unwrap();
        space.grant(role, "alice").await;
        space.configure("alice", &["unbound"]);
        space
            .until("the rights", async || {
                let (code, report) = run(&space, "down");
                let text = report.to_string();
                match (goes, code) {
                    (true, 0) => Ok(()),
                    (false, code)
                        if code != 0
                            && text.contains("may not")
                            && text.contains("deployments") =>
                    {
                        Ok(())
                    }
                    _ => Err(text),
                }
            })
            .await;
        let expected = if goes {
            (0, Some("1".to_owned()))
        } else {
            (1, None)
        };
        space.configure("admin", &["unbound"]);
        assert_eq!(replicas(&space, "gateway").await, expected);
    }
}
