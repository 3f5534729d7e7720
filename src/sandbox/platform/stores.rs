//! The stand-in's connections: what a note is in each store, and whether each store answers now.
//!
//! Health checks have connections of their own, so that a busy data plane does not look like an outage; each check has
//! a short deadline and is made anew for every request.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use neo4rs::{ConfigBuilder, Graph};
use redis::aio::MultiplexedConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use tokio::sync::Mutex;

use super::{Config, StoreAddress};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The Redis list that stands for the platform's job queue.
pub const QUEUE: &str = "queue:notes";

/// What the key of each waiting job begins with; `:` and the marker follow.
pub const JOB: &str = "queue:notes:job";

/// A health check answers within this time or counts as failed. A server that is gone refuses at once; this is for one
/// that hangs.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// A command of Redis gives up after this time: by default it would after half a second, which a busy machine takes.
const REDIS_LIMIT: Duration = Duration::from_secs(2);

/// A data-plane request gives up after this time.
const WORK_LIMIT: Duration = Duration::from_secs(8);

/// The names of the stores as the handbook's health documents write them, in their order.
pub const SERVICES: [&str; 3] = ["neo4j", "postgres", "redis"];

/// What a client is told about a failure.
pub type Failure = String;

/// Connections to the three stores.
pub struct Stores {
    postgres: PgPool,
    postgres_health: PgPool,
    neo4j: Graph,
    neo4j_health: Graph,
    postgres_port: u16,
    neo4j_port: u16,
    redis: Redis,
    redis_health: Redis,
}

/// A note as Postgres holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its number.
    pub id: i64,
    /// Its marker, unique.
    pub marker: String,
    /// When it was created: RFC 3339 in UTC, to the microsecond.
    pub created_at: String,
}

impl From<(i64, String, String)> for Note {
    fn from((id, marker, created_at): (i64, String, String)) -> Self {
        Note {
            id,
            marker,
            created_at,
        }
    }
}

impl Stores {
    /// Pools that connect when they are first used.
    pub fn new(dir: &Path, config: &Config) -> Result<Self> {
        Ok(Stores {
            postgres: postgres(dir, &config.postgres, 5, WORK_LIMIT)?,
            postgres_health: postgres(dir, &config.postgres, 2, CHECK_LIMIT)?,
            neo4j: neo4j(dir, &config.neo4j, 5, WORK_LIMIT)?,
            neo4j_health: neo4j(dir, &config.neo4j, 2, CHECK_LIMIT)?,
            postgres_port: config.postgres.port,
            neo4j_port: config.neo4j.port,
            redis: Redis::new(dir, &config.redis)?,
            redis_health: Redis::new(dir, &config.redis)?,
        })
    }

    /// Asks all three at once, in the order of [`SERVICES`].
    pub async fn check(&self) -> [std::result::Result<(), Failure>; 3] {
        let (neo4j, postgres, redis) = tokio::join!(
            within(CHECK_LIMIT, self.check_neo4j()),
            within(CHECK_LIMIT, self.check_postgres()),
            within(CHECK_LIMIT, self.check_redis()),
        );
        [neo4j, postgres, redis]
    }

    /// How many jobs wait in the queue.
    pub async fn queue_depth(&self) -> std::result::Result<u64, Failure> {
        let mut command = redis::cmd("LLEN");
        command.arg(QUEUE);
        within(CHECK_LIMIT, self.redis_health.ask(&command)).await
    }

    /// Writes a note: a row, a graph node and a job. What was written is taken back if a later part fails.
    pub async fn create_note(&self, marker: &str) -> std::result::Result<Note, Failure> {
        within(WORK_LIMIT, async {
            listens("PostgreSQL", self.postgres_port).await?;
            listens("Neo4j", self.neo4j_port).await?;
            let mut transaction = self.postgres.begin().await.map_err(postgres_failure)?;
            let note: (i64, String, String) = sqlx::query_as(
                "INSERT INTO notes (marker) VALUES ($1) RETURNING id, marker, \
                 to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS created_at",
            )
            .bind(marker)
            .fetch_one(&mut *transaction)
            .await
            .map_err(|e| match e.as_database_error() {
                Some(refused) if refused.is_unique_violation() => {
                    format!("a note with the marker `{marker}` exists")
                }
                _ => postgres_failure(e),
            })?;
            let written = async {
                self.write_node(marker).await?;
                self.push_job(marker).await?;
                transaction.commit().await.map_err(postgres_failure)
            };
            if let Err(failure) = written.await {
                // The row is gone with its transaction; the other two are removed as well as may be.
                let _ = tokio::join!(self.remove_node(marker), self.remove_job(marker));
                return Err(failure);
            }
            Ok(Note::from(note))
        })
        .await
    }

    /// Removes a note from all three stores; whether any of them held it.
    pub async fn delete_note(&self, marker: &str) -> std::result::Result<bool, Failure> {
        within(WORK_LIMIT, async {
            let rows = async {
                sqlx::query("DELETE FROM notes WHERE marker = $1")
                    .bind(marker)
                    .execute(&self.postgres)
                    .await
                    .map(|done| done.rows_affected() > 0)
                    .map_err(postgres_failure)
            };
            let (row, node, job) =
                tokio::join!(rows, self.remove_node(marker), self.remove_job(marker));
            Ok(row? | node? | job?)
        })
        .await
    }

    /// The note with this marker, from Postgres.
    pub async fn note(&self, marker: &str) -> std::result::Result<Option<Note>, Failure> {
        within(WORK_LIMIT, async {
            let found: Option<(i64, String, String)> = sqlx::query_as(
                "SELECT id, marker, \
                 to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS created_at \
                 FROM notes WHERE marker = $1",
            )
            .bind(marker)
            .fetch_optional(&self.postgres)
            .await
            .map_err(postgres_failure)?;
            Ok(found.map(Note::from))
        })
        .await
    }

    async fn check_postgres(&self) -> std::result::Result<(), Failure> {
        listens("PostgreSQL", self.postgres_port).await?;
        sqlx::query("SELECT 1")
            .execute(&self.postgres_health)
            .await
            .map(drop)
            .map_err(postgres_failure)
    }

    async fn check_neo4j(&self) -> std::result::Result<(), Failure> {
        listens("Neo4j", self.neo4j_port).await?;
        self.neo4j_health
            .run(neo4rs::query("RETURN 1"))
            .await
            .map(drop)
            .map_err(neo4j_failure)
    }

    async fn check_redis(&self) -> std::result::Result<(), Failure> {
        self.redis_health
            .ask::<String>(&redis::cmd("PING"))
            .await
            .map(drop)
    }

    async fn write_node(&self, marker: &str) -> std::result::Result<(), Failure> {
        let query = neo4rs::query("MERGE (n:Note {marker: $marker}) SET n.source = 'gateway'");
        self.neo4j
            .run(query.param("marker", marker))
            .await
            .map(drop)
            .map_err(neo4j_failure)
    }

    async fn remove_node(&self, marker: &str) -> std::result::Result<bool, Failure> {
        let query = neo4rs::query(
            "OPTIONAL MATCH (n:Note {marker: $marker}) WITH collect(n) AS found \
             FOREACH (n IN found | DETACH DELETE n) RETURN size(found) AS removed",
        );
        let mut rows = self
            .neo4j
            .execute(query.param("marker", marker))
            .await
            .map_err(neo4j_failure)?;
        let mut removed = 0;
        while let Some(row) = rows.next().await.map_err(neo4j_failure)? {
            removed += row
                .get::<i64>("removed")
                .map_err(|e| format!("Neo4j: {e}"))?;
        }
        Ok(removed > 0)
    }

    async fn push_job(&self, marker: &str) -> std::result::Result<(), Failure> {
        let mut both = redis::pipe();
        both.atomic();
        both.cmd("HSET").arg(format!("{JOB}:{marker}"));
        both.arg("name")
            .arg("index-note")
            .arg("state")
            .arg("waiting");
        both.cmd("RPUSH").arg(QUEUE).arg(job(marker));
        self.redis.ask_all::<(u64, u64)>(&both).await.map(drop)
    }

    async fn remove_job(&self, marker: &str) -> std::result::Result<bool, Failure> {
        let mut both = redis::pipe();
        both.atomic();
        both.cmd("DEL").arg(format!("{JOB}:{marker}"));
        both.cmd("LREM").arg(QUEUE).arg(0).arg(job(marker));
        let (keys, jobs): (u64, u64) = self.redis.ask_all(&both).await?;
        Ok(keys + jobs > 0)
    }
}

/// The job that a note leaves in the queue: always the same text for a marker, so that it can be taken out again.
pub fn job(marker: &str) -> String {
    serde_json::json!({"job": "index-note", "marker": marker}).to_string()
}

/// Drivers retry a refused connection until their own patience ends; a plain look answers at once.
async fn listens(name: &str, port: u16) -> std::result::Result<(), Failure> {
    tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .map(drop)
        .map_err(|e| format!("{name}: {e}"))
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = std::result::Result<T, Failure>>,
) -> std::result::Result<T, Failure> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} ms", limit.as_millis())))
}

fn postgres_failure(error: sqlx::Error) -> Failure {
    crate::secret::mask(&format!("PostgreSQL: {error}")).into_owned()
}

fn neo4j_failure(error: neo4rs::Error) -> Failure {
    crate::secret::mask(&format!("Neo4j: {error}")).into_owned()
}

fn redis_failure(error: &redis::RedisError) -> Failure {
    crate::secret::mask(&format!("Redis: {error}")).into_owned()
}

fn secret(dir: &Path, address: &StoreAddress) -> Result<Secret> {
    let path = dir.join(&address.password_file);
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
    Ok(Secret::new(text.trim()))
}

fn postgres(
    dir: &Path,
    address: &StoreAddress,
    connections: u32,
    limit: Duration,
) -> Result<PgPool> {
    let options = PgConnectOptions::new()
        .host("127.0.0.1")
        .port(address.port)
        .database(&address.database)
        .username(&address.user)
        .password(secret(dir, address)?.expose())
        .application_name("summit-gateway")
        .ssl_mode(PgSslMode::Disable);
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(limit)
        .connect_lazy_with(options))
}

fn neo4j(dir: &Path, address: &StoreAddress, connections: usize, limit: Duration) -> Result<Graph> {
    let config = ConfigBuilder::default()
        .uri(format!("bolt://127.0.0.1:{}", address.port))
        .user(&address.user)
        .password(secret(dir, address)?.expose())
        .db(address.database.as_str())
        .max_connections(connections)
        .connection_timeout(limit)
        .build()
        .and_then(Graph::connect);
    config.map_err(|e| Error::bug("the Neo4j driver refused its configuration").caused_by(e))
}

/// One connection that is made again after a failure.
struct Redis {
    client: redis::Client,
    kept: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    fn new(dir: &Path, address: &StoreAddress) -> Result<Self> {
        let info = redis::RedisConnectionInfo::default()
            .set_username(&address.user)
            .set_password(secret(dir, address)?.expose());
        let place = redis::ConnectionAddr::Tcp("127.0.0.1".to_owned(), address.port);
        let client = redis::IntoConnectionInfo::into_connection_info(place)
            .map(|full| full.set_redis_settings(info))
            .and_then(redis::Client::open)
            .map_err(|e| Error::bug("the Redis driver refused its configuration").caused_by(e))?;
        Ok(Redis {
            client,
            kept: Mutex::new(None),
        })
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> std::result::Result<T, Failure> {
        let mut connection = self.connection().await?;
        let value = command.query_async(&mut connection).await;
        self.keep(connection, value).await
    }

    async fn ask_all<T: redis::FromRedisValue>(
        &self,
        commands: &redis::Pipeline,
    ) -> std::result::Result<T, Failure> {
        let mut connection = self.connection().await?;
        let value = commands.query_async(&mut connection).await;
        self.keep(connection, value).await
    }

    /// The kept connection if it lives: a command that may have run is not sent again, so that is asked first.
    async fn connection(&self) -> std::result::Result<MultiplexedConnection, Failure> {
        if let Some(mut kept) = self.kept.lock().await.take() {
            let alive: redis::RedisResult<String> = redis::cmd("PING").query_async(&mut kept).await;
            if alive.is_ok() {
                return Ok(kept);
            }
        }
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_LIMIT))
            .set_response_timeout(Some(REDIS_LIMIT));
        self.client
            .get_multiplexed_async_connection_with_config(&patient)
            .await
            .map_err(|e| redis_failure(&e))
    }

    async fn keep<T>(
        &self,
        connection: MultiplexedConnection,
        value: redis::RedisResult<T>,
    ) -> std::result::Result<T, Failure> {
        let value = value.map_err(|e| redis_failure(&e))?;
        *self.kept.lock().await = Some(connection);
        Ok(value)
    }
}
