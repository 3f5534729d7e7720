//! The practice stack, from nothing to nothing: up, again up, the platform's health, faults and their mending, kills at
//! bad moments, down. One stack carries all of it, because a Neo4j takes seconds to start.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use summitctl::capture::{FingerprintKey, MemoryParts};
use summitctl::config::{Config, Environment, Locate, Presence, substitute};
use summitctl::event::Events;
use summitctl::pid::Process;
use summitctl::providers;
use summitctl::sandbox::faults::LOCK_HOLDER;
use summitctl::sandbox::platform::{self, QUEUE, ask};
use summitctl::sandbox::servers::Record;
use summitctl::sandbox::stack::Seen;
use summitctl::sandbox::{Changed, Fault, Part};
use summitctl::secret::Secret;
use summitctl::sign::SigningKey;
use summitctl::time::{Instant, Span};
use summitctl::wait::{Cancel, Deadline, Look, poll};

mod harness;

use harness::{Stack, events, root, sandbox};

/// Names the platform's folder to the process that this test binary starts as the platform.
const SERVE: &str = "SUMMITCTL_TEST_SERVE_PLATFORM";
/// Names the sandbox's folder to the process that is killed while it brings the stack up.
const BRING_UP: &str = "SUMMITCTL_TEST_BRING_UP";

/// Not a test of its own: what the started platform runs.
#[test]
fn serve_platform() {
    if let Some(dir) = std::env::var_os(SERVE) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(platform::serve(Path::new(&dir))).unwrap();
    }
}

/// Not a test of its own: an `up` for another process to kill.
#[test]
fn bring_up() {
    if let Some(dir) = std::env::var_os(BRING_UP) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let up = sandbox(Path::new(&dir)).up_quietly();
        runtime.block_on(up);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stack_from_nothing_to_nothing() {
    let root = root("stack");
    let stack = sandbox(&root);
    assert!(!stack.sandbox.status().await.unwrap().exists);

    killed_while_it_comes_up(&root).await;
    let up = stack.up().await;
    assert!(!up.already);
    assert_eq!(up.parts.len(), 4);
    assert_eq!(stack.seen().await, [Seen::Answers; 4]);

    let before = stack.processes();
    let again = stack.up().await;
    assert!(again.already, "{again:?}");
    assert_eq!(stack.processes(), before);

    first_data(&stack).await;
    health_of_a_healthy_platform(&stack, &up.ui).await;
    notes_land_in_all_three_stores(&stack).await;
    the_context_says_where_everything_is(&stack).await;
    the_first_data_can_be_backed_up(&stack).await;
    servers_break_and_mend(&stack).await;
    leftovers_break_and_mend(&stack).await;
    killed_servers_come_back(&stack).await;
    nothing_but_its_own_is_removed(&stack).await;
}

/// SIGKILL to an `up` as soon as its first server was recorded: nothing of it is in the way of the next.
async fn killed_while_it_comes_up(root: &Path) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["sandbox::bring_up", "--exact", "--nocapture"])
        .env(BRING_UP, root)
        .spawn()
        .unwrap();
    poll(
        "a server of the other `up`",
        Deadline::after(Duration::from_secs(60)),
        Duration::from_millis(20),
        async || {
            let record = Record::load(&root.join("postgres"))?;
            Ok(match record.and_then(|r| r.process) {
                Some(_) => Look::Ready(()),
                None => Look::NotYet("none".into()),
            })
        },
    )
    .await
    .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn first_data(stack: &Stack) {
    let counts: [(&'static str, i64); 7] = [
        ("SELECT count(*) FROM accounts WHERE $1 = ''", 4000),
        ("SELECT count(*) FROM documents WHERE $1 = ''", 12000),
        ("SELECT count(*) FROM events WHERE $1 = ''", 24000),
        ("SELECT count(*) FROM attachments WHERE $1 = ''", 300),
        ("SELECT count(*) FROM project_activity WHERE $1 = ''", 400),
        ("SELECT count(*) FROM databasechangelog WHERE $1 = ''", 24),
        (
            "SELECT last_value FROM invoice_number WHERE $1 = ''",
            41_233,
        ),
    ];
    for (query, expected) in counts {
        assert_eq!(stack.rows(query, "").await, expected, "{query}");
    }
    let nodes = stack.nodes("MATCH (n) RETURN count(n) AS n").await;
    assert_eq!(nodes, 2400 + 300 + 500);
    let edges = stack.nodes("MATCH ()-[r]->() RETURN count(r) AS n").await;
    assert_eq!(edges, 2400 + 2400 + 500);
    for kind in ["string", "list", "set", "zset", "hash", "stream"] {
        let (_, keys): (u64, Vec<String>) = stack
            .redis(&["SCAN", "0", "COUNT", "100000", "TYPE", kind])
            .await;
        assert!(keys.len() >= 400, "{kind}: {}", keys.len());
    }
    let ttl: i64 = stack.redis(&["TTL", "cache:page:0"]).await;
    assert!(ttl > 80_000, "{ttl}");
    let superuser: bool = {
        let mut session = stack.sql().await;
        sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&mut session)
            .await
            .unwrap()
    };
    assert!(!superuser, "the context's role is no superuser");
}

async fn health_of_a_healthy_platform(stack: &Stack, ui: &str) {
    for path in ["/health", "/healthz"] {
        let (status, body) = stack.get(path).await;
        assert_eq!((status, &body["status"]), (200, &json!("ok")));
    }
    let (status, body) = stack.get("/health/detailed").await;
    assert_eq!((status, &body["status"]), (200, &json!("ok")));
    assert_eq!(
        body["services"],
        json!({"neo4j": "healthy", "postgres": "healthy", "redis": "healthy"})
    );
    assert_eq!(
        stack.get("/health/ready").await,
        (200, json!({"status": "ready"}))
    );
    let (status, body) = stack.get("/queues/health").await;
    assert_eq!((status, &body["queues"][0]["depth"]), (200, &json!(0)));
    assert_eq!(stack.get("/no/such/path").await.0, 404);
    assert_eq!(stack.get("/").await.0, 404);
    assert_eq!(stack.get("/graphql").await.0, 405);
    let port = ui.rsplit_once(':').unwrap().1.parse().unwrap();
    let page = ask(port, "/").await.unwrap();
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with("<!doctype html>"));
    assert_eq!(ask(port, "/other").await.unwrap().status, 404);
}

const CREATE: &str =
    "mutation($m: String!) { made: createNote(marker: $m) { id marker createdAt } }";
const IN_POSTGRES: &str = "SELECT count(*) FROM notes WHERE marker = $1";

async fn notes_land_in_all_three_stores(stack: &Stack) {
    let marker = "smoke-é-\"1\"";
    let (status, body) = stack.graphql(CREATE, json!({"m": marker})).await;
    assert_eq!(status, 200);
    assert_eq!(body["data"]["made"]["marker"], marker, "{body}");
    assert_eq!(stack.rows(IN_POSTGRES, marker).await, 1);
    let in_graph = "MATCH (n:Note {marker: 'smoke-é-\"1\"'}) RETURN count(n) AS n";
    assert_eq!(stack.nodes(in_graph).await, 1);
    let jobs: Vec<String> = stack.redis(&["LRANGE", QUEUE, "0", "-1"]).await;
    assert_eq!(jobs, [platform::stores::job(marker)]);
    assert_eq!(
        stack.get("/queues/health").await.1["queues"][0]["depth"],
        json!(1)
    );
    let read = "query($m: String!) { note(marker: $m) { marker } }";
    let (_, body) = stack.graphql(read, json!({"m": marker})).await;
    assert_eq!(body, json!({"data": {"note": {"marker": marker}}}));

    // The second is refused and leaves the first alone.
    let (status, body) = stack.graphql(CREATE, json!({"m": marker})).await;
    assert_eq!((status, &body["data"]), (200, &Value::Null));
    assert!(
        body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("exists")
    );
    assert_eq!(stack.rows(IN_POSTGRES, marker).await, 1);
    assert_eq!(stack.nodes(in_graph).await, 1);
    assert_eq!(stack.redis::<u64>(&["LLEN", QUEUE]).await, 1);
    let key = format!("{}:{marker}", platform::stores::JOB);
    assert_eq!(stack.redis::<u64>(&["EXISTS", &key]).await, 1);

    let delete = "mutation($m: String!) { deleteNote(marker: $m) }";
    let (_, body) = stack.graphql(delete, json!({"m": marker})).await;
    assert_eq!(body, json!({"data": {"deleteNote": true}}));
    assert_eq!(stack.rows(IN_POSTGRES, marker).await, 0);
    assert_eq!(stack.nodes(in_graph).await, 0);
    assert_eq!(stack.redis::<u64>(&["LLEN", QUEUE]).await, 0);
    assert_eq!(stack.redis::<u64>(&["EXISTS", &key]).await, 0);
    let (_, body) = stack.graphql(delete, json!({"m": marker})).await;
    assert_eq!(body, json!({"data": {"deleteNote": false}}));
    let (_, body) = stack.graphql(read, json!({"m": marker})).await;
    assert_eq!(body, json!({"data": {"note": null}}));

    let (status, body) = stack.graphql("{ nothing }", json!({})).await;
    assert_eq!(status, 400, "{body}");
}

/// What configuration reads is what the rest of the program will work with.
async fn the_context_says_where_everything_is(stack: &Stack) {
    let environment = Environment::empty();
    let locate = Locate {
        flag: Some(stack.root.join("summitctl.toml")),
        start: stack.root.clone(),
        extra: Vec::new(),
        environment: &environment,
    };
    let config = Config::load(&locate).unwrap();
    let context = config.choose(None).unwrap();
    assert_eq!(context.name, "sandbox");
    assert_eq!(context.policy.rto.value, Span::secs(15 * 60));
    assert!(context.literal_secrets.is_empty());
    let soon = || Deadline::after(Duration::from_secs(10));

    let endpoint = &context.postgres.as_ref().unwrap().endpoint;
    let at = endpoint.resolve("postgres", &environment).await.unwrap();
    let target = providers::postgres::Target::parse(&at.url, at.user.as_deref(), at.password);
    let health = providers::postgres::ping(&target.unwrap(), soon()).await;
    assert_eq!(health.unwrap().facts["database"], "app");
    let endpoint = &context.redis.as_ref().unwrap().endpoint;
    let at = endpoint.resolve("redis", &environment).await.unwrap();
    let target = providers::redis::Target::parse(&at.url, at.user.as_deref(), at.password);
    providers::redis::ping(&target.unwrap(), soon())
        .await
        .unwrap();
    let endpoint = &context.neo4j.as_ref().unwrap().endpoint;
    let at = endpoint.resolve("neo4j", &environment).await.unwrap();
    let password = at.password.unwrap();
    let graph = neo4rs::Graph::new(at.url, at.user.unwrap(), password.expose()).unwrap();
    graph.run(neo4rs::query("RETURN 1")).await.unwrap();

    let repository = context.repository.as_ref().unwrap();
    assert_eq!(
        repository.place.value.to_string(),
        stack.root.join("repository").display().to_string()
    );
    SigningKey::load(&stack.root.join("keys/signing.pem")).unwrap();
    for secret in [
        &repository.secret,
        &repository.identity,
        &repository.signing_key,
    ] {
        let secret = &secret.as_ref().unwrap().value;
        assert_eq!(secret.presence(&environment), Presence::Present);
        assert_eq!(secret.readable_by_others(), None);
    }

    let plane = context.data_plane.as_ref().unwrap();
    let write = plane.write.render("planted", None).unwrap();
    let (status, body) = stack.post(&write.body.unwrap()).await;
    assert_eq!(status, 200);
    let at = |pointer: &Option<String>, body: &Value| {
        let value = body.pointer(pointer.as_deref().unwrap());
        value.and_then(Value::as_str).map(str::to_owned)
    };
    assert_eq!(at(&plane.write.expect, &body).unwrap(), "planted");
    assert!(at(&plane.write.id, &body).is_some());
    let read = plane.read.as_ref().unwrap();
    let rendered = read.render("planted", None).unwrap();
    let (_, body) = stack.post(&rendered.body.unwrap()).await;
    assert_eq!(at(&read.expect, &body).unwrap(), "planted");
    let count = async || {
        let mut session = stack.sql().await;
        let sql = plane.postgres.as_ref().unwrap().value.clone();
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind("planted")
            .fetch_one(&mut session)
            .await
            .unwrap();
        let cypher = &plane.neo4j.as_ref().unwrap().value;
        let query = neo4rs::query(cypher).param("marker", "planted");
        let mut found = graph.execute(query).await.unwrap();
        let nodes: i64 = found.next().await.unwrap().unwrap().to().unwrap();
        let key = substitute(&plane.redis.as_ref().unwrap().value, "planted", None).unwrap();
        (rows, nodes, stack.redis::<i64>(&["EXISTS", &key]).await)
    };
    assert_eq!(count().await, (1, 1, 1));
    let delete = plane.delete.as_ref().unwrap();
    let rendered = delete.render("planted", None).unwrap();
    stack.post(&rendered.body.unwrap()).await;
    assert_eq!(count().await, (0, 0, 0));
}

/// The context's role is no superuser, and still captures, restores aside, compares, swaps and undoes.
async fn the_first_data_can_be_backed_up(stack: &Stack) {
    use providers::postgres as pg;
    let (key, work_dir) = (FingerprintKey::new([5; 32]), stack.root.join("state"));
    std::fs::create_dir_all(&work_dir).unwrap();
    let secret = std::fs::read_to_string(stack.root.join("secrets/operator/password")).unwrap();
    let url = format!(
        "postgres://127.0.0.1:{}/app?sslmode=disable",
        stack.record(Part::Postgres).port
    );
    let target = pg::Target::parse(&url, Some("operator"), Some(Secret::new(secret.trim())));
    let target = target.unwrap();
    let options = pg::CaptureOptions {
        formats: Default::default(),
        patience: Default::default(),
        stretch: summitctl::providers::postgres::STRETCH,
        key: key.clone(),
        jobs: 2,
        events: Events::silent(),
        cancel: Cancel::new(),
    };
    let parts = MemoryParts::default();
    let captured = pg::capture(&target, &parts, &options).await.unwrap();
    println!(
        "{} Postgres parts, {:?}",
        captured.parts.len(),
        captured.not_carried
    );
    let measured = pg::fingerprints(&target, &options).await.unwrap();
    let written = captured.parts.iter();
    let written = written.filter_map(|p| Some((p.name.clone(), p.fingerprint?)));
    assert_eq!(measured, written.collect());

    let aside = pg::made_name("app", "restored", Instant::now());
    pg::create_database(&target, &aside, &parts, "app", pg::MissingRoles::LeaveOut)
        .await
        .unwrap();
    let restore = pg::RestoreOptions {
        key: key.clone(),
        jobs: 2,
        share: pg::SHARE,
        events: Events::silent(),
        cancel: Cancel::new(),
        roles: pg::MissingRoles::LeaveOut,
        only: Default::default(),
        throwaway: false,
        work_dir,
    };
    let there = target.with_database(&aside);
    let restored = pg::restore(&there, &parts, "app", &restore).await.unwrap();
    println!("restored in {:?}, {:?}", restored.phases, restored.notes);
    let found = pg::fingerprints(&there, &options).await.unwrap();
    let renamed = |(name, sum): (String, _)| (name.replace(&aside, "app"), sum);
    assert_eq!(
        found.into_iter().map(renamed).collect::<BTreeMap<_, _>>(),
        measured
    );
    let retired = pg::made_name("app", "retired", Instant::now());
    pg::swap_in(&target, "app", &aside, &retired).await.unwrap();
    assert_eq!(pg::fingerprints(&target, &options).await.unwrap(), measured);
    // The platform is on the restored database, as its own role.
    stack.becomes("/health/ready", 200).await;
    let (_, body) = stack.graphql(CREATE, json!({"m": "after the swap"})).await;
    assert_eq!(body["data"]["made"]["marker"], "after the swap", "{body}");
    pg::undo_swap(&target, "app", &aside, &retired)
        .await
        .unwrap();
    pg::drop_database(&target, &aside).await.unwrap();
    assert_eq!(stack.rows(IN_POSTGRES, "after the swap").await, 0);
    stack.becomes("/health/ready", 200).await;
    stack
        .graphql(
            "mutation { deleteNote(marker: \"after the swap\") }",
            json!({}),
        )
        .await;

    let secret = std::fs::read_to_string(stack.root.join("redis/password")).unwrap();
    let port = stack.record(Part::Redis).port;
    let target = providers::redis::Target::new("127.0.0.1", port, Some(Secret::new(secret.trim())));
    let options = providers::redis::CaptureOptions::quiet(key.clone());
    let parts = MemoryParts::default();
    let captured = providers::redis::capture(&target, &parts, &options)
        .await
        .unwrap();
    let names: Vec<&str> = captured.parts.iter().map(|p| p.name.as_str()).collect();
    println!("{names:?} {:?}", captured.not_carried);
    assert!(names.contains(&"redis/0/keys") && names.contains(&"redis/1/keys"));

    let secret = std::fs::read_to_string(stack.root.join("neo4j/password")).unwrap();
    let uri = format!("bolt://127.0.0.1:{}", stack.record(Part::Neo4j).port);
    let target =
        providers::neo4j::Target::parse(&uri, Some("neo4j"), Some(Secret::new(secret.trim())));
    let target = target.unwrap();
    let options = providers::neo4j::CaptureOptions {
        called: None,
        barrier: None,
        key: key.clone(),
        jobs: 1,
        events: Events::silent(),
        cancel: Cancel::new(),
    };
    let captured = providers::neo4j::capture(&target, &parts, &options)
        .await
        .unwrap();
    println!(
        "{} Neo4j parts, {:?}",
        captured.parts.len(),
        captured.not_carried
    );
    let measured = providers::neo4j::fingerprints(&target, &key, None, 2)
        .await
        .unwrap();
    let written = captured.parts.iter();
    let written = written.filter_map(|p| Some((p.name.clone(), p.fingerprint?)));
    assert_eq!(measured, written.collect());
}

async fn servers_break_and_mend(stack: &Stack) {
    let (events, cancel) = (events(), Cancel::new());
    for (fault, place) in [(Fault::Postgres, 0), (Fault::Redis, 1), (Fault::Neo4j, 2)] {
        let name = fault.name();
        let broken = stack.sandbox.break_fault(fault, &events).await.unwrap();
        assert_eq!(broken, Changed::Done);
        assert_eq!(stack.seen().await[place], Seen::Stopped);
        let began = std::time::Instant::now();
        let (status, body) = stack.get("/health/detailed").await;
        let took = began.elapsed();
        assert_eq!((status, &body["status"]), (503, &json!("degraded")));
        for service in platform::stores::SERVICES {
            let expected = if service == name {
                "unhealthy"
            } else {
                "healthy"
            };
            assert_eq!(body["services"][service], expected, "{body}");
        }
        // It is known without waiting for the limit of a look.
        assert!(took < Duration::from_millis(2900), "{name}: {took:?}");
        let (status, body) = stack.get("/health/ready").await;
        assert_eq!(
            (status, body["failures"].as_array().unwrap().len()),
            (503, 1)
        );
        assert_eq!(stack.get("/health").await.0, 200);
        let queue = if fault == Fault::Redis { 503 } else { 200 };
        assert_eq!(stack.get("/queues/health").await.0, queue);
        let (_, body) = stack.graphql(CREATE, json!({"m": "lost"})).await;
        assert_eq!(body["data"], Value::Null, "{body}");
        assert_eq!(
            stack.sandbox.break_fault(fault, &events).await.unwrap(),
            Changed::AlreadySo
        );
        assert_eq!(stack.sandbox.status().await.unwrap().faults, [fault]);

        let mended = stack.sandbox.mend(fault, &events, &cancel).await.unwrap();
        assert_eq!(mended, Changed::Done);
        assert_eq!(stack.seen().await, [Seen::Answers; 4]);
        assert!(stack.sandbox.status().await.unwrap().faults.is_empty());
        stack.becomes("/health/detailed", 200).await;
        let mended = stack.sandbox.mend(fault, &events, &cancel).await.unwrap();
        assert_eq!(mended, Changed::AlreadySo);
        assert_eq!(stack.rows(IN_POSTGRES, "lost").await, 0);
    }
    // A note that failed half-way left nothing anywhere.
    assert_eq!(stack.nodes("MATCH (n:Note) RETURN count(n) AS n").await, 0);
    assert_eq!(stack.redis::<u64>(&["LLEN", QUEUE]).await, 0);

    // Mending one of two leaves the other broken.
    for fault in [Fault::Postgres, Fault::Redis] {
        stack.sandbox.break_fault(fault, &events).await.unwrap();
    }
    let lock = stack
        .sandbox
        .break_fault(Fault::MigrationLock, &events)
        .await
        .unwrap_err();
    assert_eq!(lock.reason().code, "sandbox.fault-impossible");
    stack
        .sandbox
        .mend(Fault::Postgres, &events, &cancel)
        .await
        .unwrap();
    assert_eq!(stack.seen().await[..2], [Seen::Answers, Seen::Stopped]);
    assert_eq!(stack.sandbox.status().await.unwrap().faults, [Fault::Redis]);
    let up = stack.up().await;
    assert!(!up.already);
    assert!(stack.sandbox.status().await.unwrap().faults.is_empty());
    stack.becomes("/health/ready", 200).await;
}

async fn leftovers_break_and_mend(stack: &Stack) {
    let (events, cancel) = (events(), Cancel::new());
    let held = "SELECT count(*) FROM databasechangeloglock WHERE locked AND lockedby = $1 \
                AND lockgranted < localtimestamp - interval '44 minutes'";
    let lock = Fault::MigrationLock;
    let broken = stack.sandbox.break_fault(lock, &events).await.unwrap();
    assert_eq!(broken, Changed::Done);
    assert_eq!(stack.rows(held, LOCK_HOLDER).await, 1);
    let broken = stack.sandbox.break_fault(lock, &events).await.unwrap();
    assert_eq!(broken, Changed::AlreadySo);
    let mended = stack.sandbox.mend(lock, &events, &cancel).await.unwrap();
    assert_eq!(mended, Changed::Done);
    assert_eq!(stack.rows(held, LOCK_HOLDER).await, 0);

    // Somebody clears it with the real command: nothing is left to mend.
    stack.sandbox.break_fault(lock, &events).await.unwrap();
    let mut session = stack.sql().await;
    sqlx::query("UPDATE databasechangeloglock SET locked = false, lockedby = NULL")
        .execute(&mut session)
        .await
        .unwrap();
    let mended = stack.sandbox.mend(lock, &events, &cancel).await.unwrap();
    assert_eq!(mended, Changed::AlreadySo);

    // A lock that somebody else holds is neither taken nor released.
    sqlx::query("UPDATE databasechangeloglock SET locked = true, lockedby = 'ci (10.0.0.9)'")
        .execute(&mut session)
        .await
        .unwrap();
    let refused = stack.sandbox.break_fault(lock, &events).await.unwrap_err();
    assert_eq!(refused.reason().code, "sandbox.migration-lock-taken");
    assert!(stack.sandbox.status().await.unwrap().faults.is_empty());
    sqlx::query("UPDATE databasechangeloglock SET locked = false, lockedby = NULL")
        .execute(&mut session)
        .await
        .unwrap();

    let config = stack.root.join("summitctl.toml");
    let fresh = std::fs::read_to_string(&config).unwrap();
    let stale = Fault::StaleBackup;
    let broken = stack.sandbox.break_fault(stale, &events).await.unwrap();
    assert_eq!(broken, Changed::Done);
    let tight = std::fs::read_to_string(&config).unwrap();
    assert!(tight.contains("freshness = \"1s\""), "{tight}");
    let broken = stack.sandbox.break_fault(stale, &events).await.unwrap();
    assert_eq!(broken, Changed::AlreadySo);
    assert!(stack.up().await.already, "`up` keeps what it cannot mend");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), tight);
    let mended = stack.sandbox.mend(stale, &events, &cancel).await.unwrap();
    assert_eq!(mended, Changed::Done);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), fresh);
}

async fn killed_servers_come_back(stack: &Stack) {
    let (_, body) = stack.graphql(CREATE, json!({"m": "survivor"})).await;
    assert_eq!(body["data"]["made"]["marker"], "survivor", "{body}");
    for process in stack.processes() {
        process.signal(rustix::process::Signal::KILL);
        ended(&process).await;
    }
    assert_eq!(stack.seen().await, [Seen::Stopped; 4]);
    let up = stack.up().await;
    assert!(!up.already && up.parts.iter().all(|p| !p.adopted && !p.filled));
    assert_eq!(stack.seen().await, [Seen::Answers; 4]);
    assert_eq!(stack.rows(IN_POSTGRES, "survivor").await, 1);
    first_counts_are_unchanged(stack).await;

    // Killed between starting a server and recording it: the next `up` adopts what runs.
    let before = stack.processes();
    for part in Part::ALL {
        let mut record = stack.record(part);
        record.process = None;
        record.save(&stack.root.join(part.name())).unwrap();
    }
    let up = stack.up().await;
    assert!(up.already, "{up:?}");
    assert_eq!(stack.processes(), before);
    let (_, body) = stack
        .graphql("mutation { deleteNote(marker: \"survivor\") }", json!({}))
        .await;
    assert_eq!(body, json!({"data": {"deleteNote": true}}));
}

async fn first_counts_are_unchanged(stack: &Stack) {
    let nodes = stack.nodes("MATCH (p:Person) RETURN count(p) AS n").await;
    assert_eq!(nodes, 2400);
    assert_eq!(stack.redis::<u64>(&["LLEN", "recent:2"]).await, 20);
    let accounts = "SELECT count(*) FROM accounts WHERE $1 = ''";
    assert_eq!(stack.rows(accounts, "").await, 4000);
}

async fn nothing_but_its_own_is_removed(stack: &Stack) {
    // A stranger that stands in our folder, and a stranger's file.
    let mut stranger = std::process::Command::new("tail")
        .args(["-f", "/dev/null"])
        .current_dir(stack.root.join("platform"))
        .spawn()
        .unwrap();
    std::fs::write(stack.root.join("mine.txt"), "mine").unwrap();
    let processes = stack.processes();
    let config = stack.root.join("summitctl.toml");
    let mode = {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(&config).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode, 0o600);

    let down = stack.sandbox.down(false, &events()).await.unwrap();
    assert_eq!(down.stopped.len(), 4);
    assert_eq!(stack.seen().await, [Seen::Stopped; 4]);
    assert!(processes.iter().all(|p| !p.alive()));
    let again = stack.sandbox.down(false, &events()).await.unwrap();
    assert!(again.already);
    let purged = stack.sandbox.down(true, &events()).await.unwrap();
    assert!(purged.purged && !purged.already);
    assert!(stranger.try_wait().unwrap().is_none(), "it still runs");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    let left: Vec<_> = std::fs::read_dir(&stack.root)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["mine.txt"]);
    assert!(stack.sandbox.down(true, &events()).await.unwrap().already);
    let refused = stack.sandbox.up(&events(), &Cancel::new()).await;
    assert_eq!(refused.unwrap_err().reason().code, "sandbox.not-ours");
}

async fn ended(process: &Process) {
    poll(
        "the end of a killed process",
        Deadline::after(Duration::from_secs(10)),
        Duration::from_millis(20),
        async || {
            Ok(if process.alive() {
                Look::NotYet("runs".into())
            } else {
                Look::Ready(())
            })
        },
    )
    .await
    .unwrap();
}
