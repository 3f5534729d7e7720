//! What the sandbox's stores hold at first: enough rows, nodes and keys of every kind that a backup, a restore and a
//! drill have something to prove.
//!
//! Each store is filled once; a fill that was killed is done again and ends in the same contents.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::platform::QUEUE;
use super::servers::{START_FAILED, neo4j, postgres, redis};
use crate::error::{Error, Result};
use crate::providers::postgres as pg;
use crate::secret::Secret;
use crate::wait::Deadline;

/// The platform's database.
pub const DATABASE: &str = "app";
/// The platform's own role: it owns the database and can do nothing else.
pub const PLATFORM_ROLE: &str = "app";
/// The role that the sandbox's context uses: no superuser, as on a managed service. It may create databases, signal
/// sessions and read statistics, and it is a member of the platform's role.
pub const OPERATOR_ROLE: &str = "operator";

const SCHEMA: &str = include_str!("seed/postgres.sql");

/// Filling takes seconds; a machine under load takes longer.
const LIMIT: Duration = Duration::from_secs(180);

/// Creates roles, database, schema and rows, as far as they are missing; whether anything was.
pub async fn fill_postgres(
    server: &postgres::Running,
    platform: &Secret,
    operator: &Secret,
) -> Result<bool> {
    Deadline::after(LIMIT)
        .run("filling Postgres", async {
            let mut admin =
                pg::session::open(&server.target(), pg::session::Access::AsGiven).await?;
            let mut changed = provision(&mut admin, platform, operator)
                .await
                .map_err(|e| failed("Postgres", e))?;
            admin.close().await.map_err(|e| failed("Postgres", e))?;
            let options = PgConnectOptions::new()
                .host("127.0.0.1")
                .port(server.port)
                .username(PLATFORM_ROLE)
                .password(platform.expose())
                .database(DATABASE)
                .ssl_mode(PgSslMode::Disable);
            let mut owner = PgConnection::connect_with(&options)
                .await
                .map_err(|e| failed("Postgres", e))?;
            changed |= fill_database(&mut owner)
                .await
                .map_err(|e| failed("Postgres", e))?;
            owner.close().await.map_err(|e| failed("Postgres", e))?;
            Ok(changed)
        })
        .await
}

async fn provision(
    admin: &mut PgConnection,
    platform: &Secret,
    operator: &Secret,
) -> sqlx::Result<bool> {
    // A statement that fails is logged with its text, and the next ones hold passwords.
    admin
        .execute("SET log_min_error_statement = 'panic'")
        .await?;
    let mut changed = false;
    for (role, secret, options) in [
        (PLATFORM_ROLE, platform, "LOGIN"),
        (OPERATOR_ROLE, operator, "LOGIN CREATEDB"),
    ] {
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
                .bind(role)
                .fetch_one(&mut *admin)
                .await?;
        let verb = if exists { "ALTER" } else { "CREATE" };
        let statement = format!(
            "{verb} ROLE {} {options} PASSWORD {}",
            pg::sql::ident(role),
            pg::sql::literal(secret.expose())
        );
        admin.execute(AssertSqlSafe(statement)).await?;
        changed |= !exists;
    }
    let grants = [
        format!("GRANT {PLATFORM_ROLE}, pg_monitor, pg_signal_backend TO {OPERATOR_ROLE}"),
        // For what an operator keeps outside the platform's database, such as leases.
        format!("GRANT CREATE, CONNECT ON DATABASE postgres TO {OPERATOR_ROLE}"),
    ];
    for grant in grants {
        admin.execute(AssertSqlSafe(grant)).await?;
    }
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut *admin)
            .await?;
    if !exists {
        let statement = format!("CREATE DATABASE {DATABASE} OWNER {PLATFORM_ROLE}");
        admin.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(changed | !exists)
}

async fn fill_database(owner: &mut PgConnection) -> sqlx::Result<bool> {
    let filled: bool = sqlx::query_scalar("SELECT to_regclass('public.accounts') IS NOT NULL")
        .fetch_one(&mut *owner)
        .await?;
    if filled {
        return Ok(false);
    }
    let mut transaction = owner.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    transaction.commit().await?;
    owner.execute("ANALYZE").await?;
    Ok(true)
}

/// Constraints, indexes, some thousand nodes and relationships. Each statement can be repeated.
pub async fn fill_neo4j(server: &neo4j::Running) -> Result<()> {
    Deadline::after(LIMIT)
        .run("filling Neo4j", async {
            let graph = neo4rs::Graph::new(server.uri(), &server.user, server.password.expose())
                .map_err(|e| failed("Neo4j", e))?;
            for statement in GRAPH {
                let mut rows = graph
                    .execute(neo4rs::query(statement))
                    .await
                    .map_err(|e| failed("Neo4j", e))?;
                while rows.next().await.map_err(|e| failed("Neo4j", e))?.is_some() {}
            }
            Ok(())
        })
        .await
}

const GRAPH: &[&str] = &[
    "CREATE CONSTRAINT person_id IF NOT EXISTS FOR (p:Person) REQUIRE p.id IS UNIQUE",
    "CREATE CONSTRAINT organisation_id IF NOT EXISTS FOR (o:Organisation) REQUIRE o.id IS UNIQUE",
    "CREATE CONSTRAINT case_id IF NOT EXISTS FOR (c:Case) REQUIRE c.id IS UNIQUE",
    "CREATE CONSTRAINT note_marker IF NOT EXISTS FOR (n:Note) REQUIRE n.marker IS UNIQUE",
    "CREATE INDEX person_name IF NOT EXISTS FOR (p:Person) ON (p.name)",
    "CREATE INDEX case_opened IF NOT EXISTS FOR (c:Case) ON (c.opened, c.severity)",
    "CREATE INDEX knows_since IF NOT EXISTS FOR ()-[k:KNOWS]-() ON (k.since)",
    "CALL db.awaitIndexes(120)",
    "UNWIND range(1, 2400) AS i MERGE (p:Person {id: i}) \
     SET p.name = ['Ada', 'Grace', 'Zoë', '李', 'Søren'][i % 5] + ' ' + i, p.score = i / 7.0, p.active = i % 3 = 0, \
     p.born = date('1950-01-01') + duration({days: i * 5}), p.aliases = ['p' + i, 'user' + i], \
     p.seen = datetime('2026-03-01T00:00:00Z') + duration({minutes: i * 13}), \
     p.home = point({latitude: (i % 170) - 85.0, longitude: (i % 350) - 175.0}) \
     FOREACH (_ IN CASE WHEN i % 10 = 0 THEN [1] ELSE [] END | SET p:Analyst)",
    "UNWIND range(1, 300) AS i MERGE (o:Organisation {id: i}) \
     SET o.name = 'Organisation ' + i, o.founded = localdatetime('1990-01-01T08:30:00') + duration({days: i * 30}), \
     o.sizes = [i, i * 2, i * 3]",
    "UNWIND range(1, 500) AS i MERGE (c:Case {id: 'case-' + i}) \
     SET c.severity = i % 5, c.opened = date('2025-01-01') + duration({days: i}), \
     c.effort = duration({days: i % 20, hours: i % 24}), c.shift = time('09:00:00+01:00'), c.digest = toString(i * 7919)",
    "UNWIND range(1, 2400) AS i MATCH (a:Person {id: i}), (b:Person {id: 1 + (i * 17) % 2400}) \
     MERGE (a)-[k:KNOWS]->(b) SET k.since = 2000 + i % 25, k.weight = i / 3.0",
    "UNWIND range(1, 2400) AS i MATCH (p:Person {id: i}), (o:Organisation {id: 1 + i % 300}) \
     MERGE (p)-[w:WORKS_FOR]->(o) SET w.title = ['engineer', 'analyst', 'lead'][i % 3], w.remote = i % 2 = 0",
    "UNWIND range(1, 500) AS i MATCH (c:Case {id: 'case-' + i}), (p:Person {id: 1 + (i * 3) % 2400}) \
     MERGE (p)-[:INVESTIGATES]->(c)",
];

/// Keys of every type, with and without a time to live, in two databases. Each key is written whole, so that a repeated
/// fill changes nothing but the moments at which keys expire.
pub async fn fill_redis(server: &redis::Running) -> Result<()> {
    Deadline::after(LIMIT)
        .run("filling Redis", async {
            let info = ::redis::RedisConnectionInfo::default()
                .set_username(&server.user)
                .set_password(server.password.expose());
            let place = ::redis::ConnectionAddr::Tcp("127.0.0.1".to_owned(), server.port);
            let client = ::redis::IntoConnectionInfo::into_connection_info(place)
                .map(|full| full.set_redis_settings(info))
                .and_then(::redis::Client::open)
                .map_err(|e| failed("Redis", e))?;
            // Half a second, as it is by default, is not enough for a busy machine.
            let patient = ::redis::AsyncConnectionConfig::new()
                .set_connection_timeout(Some(LIMIT))
                .set_response_timeout(Some(LIMIT));
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&patient)
                .await
                .map_err(|e| failed("Redis", e))?;
            let mut written = 0;
            for part in 0..REDIS_PARTS {
                let pipeline = keys(part);
                written += pipeline.len();
                let () = pipeline
                    .query_async(&mut connection)
                    .await
                    .map_err(|e| failed("Redis", e))?;
            }
            debug_assert!(written > 1000, "the fill is not empty");
            Ok(())
        })
        .await
}

/// Keys are sent in this many pipelines.
const REDIS_PARTS: usize = 8;
/// Of every part.
const REDIS_STEPS: usize = 400;

/// One pipeline: the keys whose number is `part` modulo [`REDIS_PARTS`].
fn keys(part: usize) -> ::redis::Pipeline {
    let mut pipeline = ::redis::pipe();
    let mut send = |words: Vec<String>| {
        let mut words = words.into_iter();
        let mut command = ::redis::cmd(&words.next().unwrap_or_default());
        for word in words {
            command.arg(word);
        }
        pipeline.add_command(command).ignore();
    };
    let mut say = |text: String, last: Vec<String>| {
        send(text.split(' ').map(str::to_owned).chain(last).collect());
    };
    for step in 0..REDIS_STEPS {
        let i = step * REDIS_PARTS + part;
        say(
            format!("SET cache:page:{i}"),
            vec![format!("<html>page {i} ü</html>")],
        );
        if i.is_multiple_of(2) {
            // Hours to weeks: nothing expires in the middle of an exercise.
            say(
                format!("EXPIRE cache:page:{i} {}", 86_400 + i * 600),
                vec![],
            );
        }
        match i % 8 {
            0 => say(format!("SET counter:{i} {}", i * 3), vec![]),
            1 => say(
                format!("HSET session:{i} user {i} csrf token{i} agent"),
                vec![format!("Mozilla/5.0 (sandbox {i})")],
            ),
            2 => {
                say(format!("DEL recent:{i}"), vec![]);
                let items = (0..20).map(|n| format!("doc:{}", i + n)).collect();
                say(format!("RPUSH recent:{i}"), items);
            }
            3 => say(format!("SADD tags:{i} red green blue {i}"), vec![]),
            4 => say(format!("SADD ids:{i} {i} {} {}", i + 1, i + 2), vec![]),
            5 => say(
                format!("ZADD board:{i} 1.5 ada -2 grace {i}.25 zoë {i} edsger"),
                vec![],
            ),
            6 => {
                say(format!("DEL stream:{i}"), vec![]);
                for n in 1..=5 {
                    say(
                        format!(
                            "XADD stream:{i} {}-{n} kind edit n {n} body",
                            1_760_000_000_000 + i
                        ),
                        vec![format!("entry {n} of {i}")],
                    );
                }
                say(format!("XGROUP CREATE stream:{i} workers 0"), vec![]);
            }
            _ => {
                say(format!("SETBIT bits:{i} {} 1", i * 5), vec![]);
                say(format!("PFADD visitors:{i} a{i} b{i} c{i}"), vec![]);
            }
        }
    }
    if part == 0 {
        say(format!("DEL {QUEUE}"), vec![]);
        say(
            "HSET settings theme dark release".to_owned(),
            vec!["2026.5 (sandbox)".to_owned()],
        );
        say("SELECT 1".to_owned(), vec![]);
        for i in 0..200 {
            say(format!("SET rate:{i} {}", i % 30), vec![]);
        }
        say("SELECT 0".to_owned(), vec![]);
    }
    pipeline
}

fn failed(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        &START_FAILED,
        format!("cannot fill {what} with its first data"),
    )
    .caused_by(source)
}
