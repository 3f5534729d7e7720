//! Pods as evidence: whether the holder of a migration's lock lives, as a real API server, job controller and kubelet tell it.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use summitctl::providers::postgres::Target;
use summitctl::providers::postgres::session::{Access, open};

use super::cluster::{Cluster, Space};
use crate::postgres::{scratch, sql, value};

/// Every pod's address: see `process-kubelet`.
const ADDRESS: &str = "10.244.0.1";

fn job(name: &str, command: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                 "containers": [{"name": "migrate", "image": "none", "command": ["sh", "-c", command]}]},
    }}})
}

/// The only pod of a job, once it is in one of these phases.
async fn pod_of(space: &Space, job: &str, phase: &str) -> String {
    let params = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    space
        .until("the job's pod", async || {
            let pods = space.api::<Pod>().list(&params).await.unwrap().items;
            let seen = pods.first().and_then(|p| p.status.as_ref()?.phase.clone());
            if seen.as_deref() == Some(phase) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
        .await;
    let pods = space.api::<Pod>().list(&params).await.unwrap().items;
    pods[0].metadata.name.clone().unwrap()
}

fn lock(space: &Space) -> Value {
    let shown = space.checks(&["migrate", "lock", "show"]).0;
    shown["result"]["locks"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holders_pod_says_whether_it_lives() {
    let (_folder, server) = scratch().await;
    let app = server.target();
    sql(&app, "CREATE TABLE databasechangeloglock (id int PRIMARY KEY, locked boolean NOT NULL, lockgranted timestamp, lockedby varchar(255));
        INSERT INTO databasechangeloglock VALUES (1, true, localtimestamp, 'nobody')").await;
    let held_by = async |host: &str, address: &str| {
        let row = format!(
            "UPDATE databasechangeloglock SET locked = true, lockgranted = now(), lockedby = '{host} ({address})'"
        );
        sql(&app, &row).await;
    };
    let cluster = Cluster::shared().await;
    let space = cluster.namespace("holder").await;
    std::fs::write(space.dir.join("password"), server.password.expose()).unwrap();
    let configure = |user: &str| {
        space.configure(user, &["holder"]);
        let path = space.dir.join("summitctl.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let more = format!(
            "[contexts.k.postgres]\nurl = \"postgres://{}@127.0.0.1:{}/{}?sslmode=disable\"\npassword = \"file:password\"\n",
            server.user, server.port, app.database
        );
        std::fs::write(path, text + &more).unwrap();
    };
    configure("admin");

    // It runs.
    space
        .make::<Job>(job("db-migrate", "echo waits; exec sleep 3000"))
        .await;
    let running = pod_of(&space, "db-migrate", "Running").await;
    held_by(&running, ADDRESS).await;
    let seen = lock(&space);
    assert_eq!(seen["verdict"], "alive", "{seen:#}");
    assert!(
        seen["observations"]
            .to_string()
            .contains("of Job `db-migrate` runs"),
        "{seen:#}"
    );
    // Another pod may have had the name.
    held_by(&running, "203.0.113.7").await;
    let seen = lock(&space);
    assert_eq!(seen["verdict"], "unknown", "{seen:#}");
    assert!(
        seen["observations"].to_string().contains("not its address"),
        "{seen:#}"
    );

    // It ended: its exit code and log are shown, and that is proof.
    space
        .make::<Job>(job(
            "db-move",
            "echo password=hunter22; echo relation is missing; exit 7",
        ))
        .await;
    let ended = pod_of(&space, "db-move", "Failed").await;
    held_by(&ended, ADDRESS).await;
    let seen = lock(&space);
    assert_eq!(seen["verdict"], "dead", "{seen:#}");
    let said = seen["observations"].to_string();
    assert!(
        said.contains("exit code 7") && said.contains("log: relation is missing"),
        "{said}"
    );
    assert!(!said.contains("hunter22"), "{said}");

    // Who may read nothing knows nothing, and is told the rule.
    configure("alice");
    let seen = lock(&space);
    assert_eq!(seen["verdict"], "unknown", "{seen:#}");
    let said = seen["observations"].to_string();
    assert!(
        said.contains("the cluster says nothing") && said.contains("verbs"),
        "{said}"
    );
    configure("admin");

    held_by(&ended, ADDRESS).await;
    let cleared = space.run(&["migrate", "lock", "clear", "--yes"]);
    assert_eq!(
        cleared.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&cleared.stderr)
    );
    // Its pod is gone. That its job failed does not say that it ended: it may have been lost with its node, and run on there.
    space
        .api::<Pod>()
        .delete(&ended, &DeleteParams::default())
        .await
        .unwrap();
    space
        .until("the end of the pod", async || {
            match space.api::<Pod>().get_opt(&ended).await.unwrap() {
                None => Ok(()),
                Some(_) => Err("it is there".to_owned()),
            }
        })
        .await;
    held_by(&ended, ADDRESS).await;
    let seen = lock(&space);
    assert_eq!(seen["verdict"], "unknown", "{seen:#}");
    let said = seen["observations"].to_string();
    assert!(said.contains("no pod in"), "{said}");
    // One that no job says it made may be anywhere.
    held_by("db-move-zzzzz", ADDRESS).await;
    let seen = lock(&space);
    assert_eq!(seen["verdict"], "unknown", "{seen:#}");

    by_the_address_of_a_session(&space, &app).await;

    // The runbook begins with the job and its log.
    let plan = space.run(&[
        "runbook",
        "plan",
        "database-migration-failed",
        "-p",
        "job=db-move",
    ]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        plan.contains("look at the job `db-move` and the end of its log"),
        "{plan}"
    );
    let run = space.run(&[
        "runbook",
        "run",
        "database-migration-failed",
        "-p",
        "job=db-move",
        "--yes",
    ]);
    let said = crate::program::said(&run);
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(
        said.contains("failed: 0 of its pods succeeded, 1 failed")
            && said.contains("Did it succeed?"),
        "{said}"
    );
}

/// A tool that writes down no holder is known by where its session comes from. The pod is one whose node nobody runs, so that its
/// address can be the test's own.
async fn by_the_address_of_a_session(space: &Space, app: &Target) {
    let moves = "DROP TABLE databasechangeloglock; CREATE TABLE knex_migrations_lock (index serial PRIMARY KEY, is_locked int);
        INSERT INTO knex_migrations_lock (is_locked) VALUES (0)";
    sql(app, moves).await;
    let hold = async || {
        let mut session = open(app, Access::AsGiven).await.unwrap();
        let take = "BEGIN; UPDATE public.knex_migrations_lock SET is_locked = 1";
        sqlx::raw_sql(take).execute(&mut session).await.unwrap();
        session
    };
    let running = json!({"status": {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "containerStatuses": [{"name": "moves", "image": "none", "imageID": "none", "ready": true, "restartCount": 0,
                               "state": {"running": {"startedAt": "2026-11-22T03:04:05Z"}}}],
    }});
    let early = hold().await;
    let seen = lock(space);
    assert_eq!(seen["state"], "in-transaction", "{seen:#}");
    assert!(
        seen["observations"]
            .to_string()
            .contains("no pod in `holder` that goes on has the address 127.0.0.1"),
        "{seen:#}"
    );
    // One that was made after the session began was given the address since. Kubernetes tells seconds.
    let began = "SELECT (clock_timestamp() > (SELECT max(backend_start) FROM pg_stat_activity WHERE state = 'idle in transaction') + interval '2 s')::text";
    space
        .until("two seconds to pass", async || {
            match value(app, began).await.as_deref() {
                Some("true") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    let pod = json!({"metadata": {"name": "moves-x7"}, "spec": {
        "nodeName": "elsewhere", "containers": [{"name": "moves", "image": "none"}]}});
    space.make::<Pod>(pod).await;
    space
        .api::<Pod>()
        .patch_status("moves-x7", &PatchParams::default(), &Patch::Merge(&running))
        .await
        .unwrap();
    let seen = lock(space);
    let said = seen["observations"].to_string();
    assert!(
        said.contains("pod `moves-x7` has the address 127.0.0.1 now"),
        "{said}"
    );
    assert!(!said.contains("moves-x7` runs"), "{said}");
    drop(early);
    nobody(space, app).await;
    let held = hold().await;
    let seen = lock(space);
    assert_eq!(seen["verdict"], "alive", "{seen:#}");
    assert!(
        seen["observations"]
            .to_string()
            .contains("pod `holder/moves-x7` runs"),
        "{seen:#}"
    );
    drop(held);
    nobody(space, app).await;
}

async fn nobody(space: &Space, app: &Target) {
    let none =
        "SELECT (count(*) = 0)::text FROM pg_stat_activity WHERE state = 'idle in transaction'";
    space
        .until("the end of the session", async || {
            match value(app, none).await.as_deref() {
                Some("true") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}
