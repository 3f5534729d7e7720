//! Is it there, what is it, and is it the one that was meant: `ping`, `identify` and the planted marker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::identity::{Identity, Store};
use crate::wait::Deadline;

use super::UNSUPPORTED_VERSION;
use super::connect::{Conn, LOGIN};
use super::fleet::keyed;
use super::target::Target;

/// The key in database 0 that holds the planted marker. It has no expiry, and stays out of captures and fingerprints.
pub const MARKER_KEY: &str = "summitctl:marker";

/// The key that says which restore loads, or loaded, a database. Like the marker, it stays out of captures.
pub const RESTORE_KEY: &str = "summitctl:restore";

/// Where a value that comes in pieces is put together, before it takes its own name; in a cluster, a number follows.
pub(super) const PIECES_KEY: &str = "summitctl:pieces";

/// Whether a key is one of ours, which captures and fingerprints leave out.
pub(super) fn is_ours(key: &[u8]) -> bool {
    key == MARKER_KEY.as_bytes()
        || key == RESTORE_KEY.as_bytes()
        || key.starts_with(PIECES_KEY.as_bytes())
}

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Its version: `7.0.15`.
    pub version: String,
    /// Round trip of one `PING` on the open connection.
    pub latency: Duration,
    /// What else it says, by name: `role`, `server`, `databases`, `keys` (per database), `used-memory` and `maxmemory`
    /// (bytes; 0 is no limit), `maxmemory-policy`, `aof`, `cluster`, `connected-replicas`, `tls`. A fact that the
    /// server would not tell is absent.
    pub facts: BTreeMap<String, Value>,
}

/// Connects, logs in, measures one `PING`, and reads what the server says of itself.
///
/// # Errors
/// `redis.unreachable`, `redis.tls`, `redis.login-refused`, `redis.loading`, `redis.database-missing`,
/// `redis.unsupported-version`.
pub async fn ping(target: &Target, deadline: Deadline) -> Result<Health> {
    let mut conn = Conn::login(target, deadline).await?;
    let work = async {
        let started = Instant::now();
        conn.query::<String>(&::redis::cmd("PING")).await?;
        let latency = started.elapsed();
        let info = Info::read(&mut conn).await?;
        info.supported(&target.endpoint())?;
        let mut facts = info.facts();
        if let Some(databases) = databases(&mut conn).await {
            facts.insert("databases".to_owned(), json!(databases));
        }
        let tls = match target.tls {
            super::Tls::Off => "off",
            super::Tls::Verified { .. } => "verified",
            super::Tls::Unverified => "unverified",
        };
        facts.insert("tls".to_owned(), json!(tls));
        Ok(Health {
            version: info.version().to_owned(),
            latency,
            facts,
        })
    };
    within(target, deadline, work).await
}

/// What a server that took the login has until the deadline for.
async fn within<T>(
    target: &Target,
    deadline: Deadline,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(deadline.left(), work)
        .await
        .unwrap_or_else(|_| {
            Err(Error::new(
                &super::UNREACHABLE,
                format!(
                    "Redis at `{}` took the login but did not answer within {}",
                    target.endpoint(),
                    crate::time::Span(deadline.allowed())
                ),
            ))
        })
}

/// What the server is: the planted `marker`, if there is one, and its `endpoint`. The server's own `run_id` is made
/// anew at every start, so it is no identity.
pub async fn identify(target: &Target) -> Result<Identity> {
    // It is judged before anything is planned on it; one that withholds INFO by the capture.
    let mut conn = keyed(target, MARKER_KEY, Deadline::after(LOGIN)).await?;
    let marker: Option<String> = conn.query(::redis::cmd("GET").arg(MARKER_KEY)).await?;
    Ok(Identity::new(
        Store::Redis,
        [
            ("marker", marker.unwrap_or_default()),
            ("endpoint", target.endpoint()),
        ],
    ))
}

/// Plants `marker` in database 0, without expiry; an older one is replaced.
pub async fn plant_marker(target: &Target, marker: &str) -> Result<()> {
    let mut conn = keyed(target, MARKER_KEY, Deadline::after(LOGIN)).await?;
    conn.query(::redis::cmd("SET").arg(MARKER_KEY).arg(marker))
        .await
}

/// The planted marker; `None` if there is none.
pub async fn read_marker(target: &Target) -> Result<Option<String>> {
    let mut conn = keyed(target, MARKER_KEY, Deadline::after(LOGIN)).await?;
    conn.query(::redis::cmd("GET").arg(MARKER_KEY)).await
}

/// How many numbered databases there are; `None` where the server will not tell (CONFIG is often withheld).
pub(super) async fn databases(conn: &mut Conn) -> Option<u32> {
    let pair: Vec<String> = conn
        .query(::redis::cmd("CONFIG").arg("GET").arg("databases"))
        .await
        .ok()?;
    pair.get(1)?.parse().ok()
}

/// The lines of INFO.
pub(super) struct Info(BTreeMap<String, String>);

impl Info {
    /// Asks the server.
    pub(super) async fn read(conn: &mut Conn) -> Result<Info> {
        let text: String = conn.query(&::redis::cmd("INFO")).await?;
        Ok(Info::parse(&text))
    }

    pub(super) fn parse(text: &str) -> Info {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.trim_end().split_once(':'));
        Info(
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// One line's value, empty if the server does not print it.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// One line's number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }

    /// The version, Valkey's own where it is one.
    pub(super) fn version(&self) -> &str {
        match self.get("valkey_version") {
            "" => self.get("redis_version"),
            valkey => valkey,
        }
    }

    /// Number of keys per database, empty databases absent.
    pub(super) fn keyspace(&self) -> BTreeMap<u32, u64> {
        let databases = self.0.iter().filter_map(|(name, value)| {
            let number = name.strip_prefix("db")?.parse().ok()?;
            let keys = value
                .split(',')
                .find_map(|field| field.strip_prefix("keys="))?;
            Some((number, keys.parse().ok()?))
        });
        databases.collect()
    }

    /// Refuses servers that are too old.
    pub(super) fn supported(&self, endpoint: &str) -> Result<()> {
        let version = self.get("redis_version");
        let major: Option<u32> = version.split('.').next().and_then(|m| m.parse().ok());
        match major {
            Some(6..) => Ok(()),
            Some(_) => Err(Error::new(
                &UNSUPPORTED_VERSION,
                format!("Redis at `{endpoint}` is version `{version}`; 6.0 or later is needed"),
            )
            .hint("Upgrade the server, or point the context at another one.")),
            None => Err(Error::new(
                &UNSUPPORTED_VERSION,
                format!("the server at `{endpoint}` does not say which version of Redis it is"),
            )),
        }
    }

    /// Whether the server speaks at least this version's commands. Valkey says which Redis it is like.
    pub(super) fn at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self
            .get("redis_version")
            .split('.')
            .map(|n| n.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
    }

    fn facts(&self) -> BTreeMap<String, Value> {
        let mut facts = BTreeMap::new();
        let server = match self.get("server_name") {
            "" => "redis",
            name => name,
        };
        facts.insert("server".to_owned(), json!(server));
        let keys: serde_json::Map<String, Value> = self
            .keyspace()
            .iter()
            .map(|(db, keys)| (db.to_string(), json!(keys)))
            .collect();
        facts.insert("keys".to_owned(), Value::Object(keys));
        for (fact, line) in [("role", "role"), ("maxmemory-policy", "maxmemory_policy")] {
            if !self.get(line).is_empty() {
                facts.insert(fact.to_owned(), json!(self.get(line)));
            }
        }
        for (fact, line) in [
            ("used-memory", "used_memory"),
            ("maxmemory", "maxmemory"),
            ("connected-replicas", "connected_slaves"),
        ] {
            if let Some(number) = self.number(line) {
                facts.insert(fact.to_owned(), json!(number));
            }
        }
        for (fact, line) in [("aof", "aof_enabled"), ("cluster", "cluster_enabled")] {
            if let Some(number) = self.number(line) {
                facts.insert(fact.to_owned(), json!(number == 1));
            }
        }
        facts
    }
}

/// Whether a key exists, in the target's own database.
pub async fn exists(target: &Target, key: &str, deadline: Deadline) -> Result<bool> {
    let work = async {
        let mut conn = match target.database {
            0 => keyed(target, key, deadline).await?,
            _ => Conn::login(target, deadline).await?,
        };
        let count: i64 = conn.query(::redis::cmd("EXISTS").arg(key)).await?;
        Ok(count > 0)
    };
    within(target, deadline, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_as_it_is_printed() {
        let info = Info::parse(
            "# Server\r\nredis_version:7.0.15\r\n# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\ndb12:keys=7,expires=0\r\n",
        );
        assert_eq!(info.version(), "7.0.15");
        assert_eq!(info.keyspace(), BTreeMap::from([(0, 3), (12, 7)]));
        assert!(info.supported("x").is_ok());
        assert!(
            Info::parse("redis_version:5.0.3\r\n")
                .supported("x")
                .is_err()
        );
    }
}
