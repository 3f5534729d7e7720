//! Where a Redis server is and how to log in: parsed once, from a URL or from its pieces, with errors that never
//! repeat the password.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::secret::Secret;

use super::BAD_URL;

/// The port Redis listens on unless told otherwise (redis.conf, `port`).
pub const DEFAULT_PORT: u16 = 6379;

/// The port Sentinels listen on unless told otherwise (sentinel.conf, `port`).
const SENTINEL_PORT: u16 = 26_379;

/// How the connection is protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// Plain TCP.
    #[default]
    Off,
    /// TLS, the certificate checked against this CA file (PEM), or the system's roots.
    Verified {
        /// A CA file instead of the system's roots.
        ca: Option<PathBuf>,
    },
    /// TLS without checking the certificate: encrypted, but open to anybody in between.
    Unverified,
}

/// One Redis server and the login for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// ACL user; `None` logs in as `default`.
    pub user: Option<String>,
    /// Password; `None` does not log in at all.
    pub password: Option<Secret>,
    /// The numbered database that applications use. Captures carry all databases.
    pub database: u32,
    /// Whether the connection is encrypted.
    pub tls: Tls,
    /// Who knows the server, where it is not named itself; host and port are then those of the first Sentinel.
    pub sentinels: Option<Sentinels>,
}

/// The Sentinels that watch a master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinels {
    /// What they call it.
    pub master: String,
    /// Their hosts and ports.
    pub nodes: Vec<(String, u16)>,
}

impl Target {
    /// A server given by its pieces, plain TCP, database 0.
    pub fn new(host: impl Into<String>, port: u16, password: Option<Secret>) -> Self {
        Target {
            host: host.into(),
            port,
            user: None,
            password,
            database: 0,
            tls: Tls::Off,
            sentinels: None,
        }
    }

    /// Parses `redis://` or `rediss://[user[:password]@]host[:port][/database]`; the user and password given beside
    /// the URL win over those inside. `#insecure` (and `?ssl_cert_reqs=none`) turns off the certificate check,
    /// `?db=N` names the database, `?tls=true` asks for TLS; other query parameters tune clients and are ignored.
    ///
    /// `redis+sentinel://[user:password@]host[:port],host[:port]/master[/database]` (or `rediss+sentinel://`) asks Sentinels for
    /// the master; user and password are those of the servers.
    ///
    /// # Errors
    /// `redis.bad-url` (exit 2), without the URL, because it may hold a password.
    pub fn parse(url: &str, user: Option<&str>, password: Option<Secret>) -> Result<Target> {
        // Registered with the masker before anything can quote it.
        let inside = url_password(url).map(|p| Secret::new(decode(&p)));
        if let Some((simple, sentinels)) = sentinels(url.trim())? {
            let target = Target::parse(&simple, user, password)?;
            return Ok(Target {
                host: sentinels.nodes[0].0.clone(),
                port: sentinels.nodes[0].1,
                sentinels: Some(sentinels),
                ..target
            });
        }
        let parsed = url::Url::parse(url.trim())
            .map_err(|e| bad(format!("the Redis URL cannot be read: {e}")))?;
        let tls = match parsed.scheme() {
            "redis" => Tls::Off,
            "rediss" => Tls::Verified { ca: None },
            other => {
                return Err(bad(format!(
                    "the Redis URL begins with `{other}://`, which is not a Redis scheme"
                )));
            }
        };
        let host = parsed
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or_else(|| bad("the Redis URL names no host"))?;
        let mut target = Target {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: parsed.port().unwrap_or(DEFAULT_PORT),
            user: Some(decode(parsed.username())).filter(|u| !u.is_empty()),
            password: inside
                .or_else(|| parsed.password().map(|p| Secret::new(decode(p))))
                .filter(|p| !p.is_empty()),
            database: 0,
            tls,
            sentinels: None,
        };
        let path = parsed.path().trim_matches('/');
        if !path.is_empty() {
            target.database = database(path)?;
        }
        for (name, value) in parsed.query_pairs() {
            match (name.as_ref(), value.as_ref()) {
                ("db", number) => target.database = database(number)?,
                ("tls" | "ssl", "true" | "1") if target.tls == Tls::Off => {
                    target.tls = Tls::Verified { ca: None };
                }
                ("ssl_cert_reqs", "none" | "CERT_NONE") => target.tls = Tls::Unverified,
                _ => {}
            }
        }
        if parsed.fragment() == Some("insecure") && target.tls != Tls::Off {
            target.tls = Tls::Unverified;
        }
        if let Some(user) = user.filter(|u| !u.is_empty()) {
            target.user = Some(user.to_owned());
        }
        if let Some(password) = password {
            target.password = Some(password);
        }
        Ok(target)
    }

    /// `host:port`, IPv6 in brackets; or the master's name and its Sentinels.
    pub fn endpoint(&self) -> String {
        if let Some(sentinels) = &self.sentinels {
            let nodes: Vec<String> = sentinels
                .nodes
                .iter()
                .map(|(host, port)| Target::new(host.as_str(), *port, None).endpoint())
                .collect();
            return format!("{}@{}", sentinels.master, nodes.join(","));
        }
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Takes the Sentinels out of a URL; gives the rest of it as a URL of one server. `None` for what names the server itself.
fn sentinels(url: &str) -> Result<Option<(String, Sentinels)>> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok(None);
    };
    let Some(scheme) = scheme.strip_suffix("+sentinel") else {
        return Ok(None);
    };
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (format!("{login}@"), rest),
        None => (String::new(), rest),
    };
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (hosts, rest) = rest.split_at(at);
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (master, rest) = rest.split_at(at);
    if master.is_empty() {
        return Err(bad(
            "the Redis URL names Sentinels but no master: it stands behind them, as in `redis+sentinel://host:26379/mymaster`",
        ));
    }
    let mut nodes = Vec::new();
    for host in hosts.split(',') {
        // Read as every other host is.
        let one = url::Url::parse(&format!("redis://{host}"))
            .map_err(|e| bad(format!("a Sentinel in the Redis URL cannot be read: {e}")))?;
        let name = one.host_str().filter(|host| !host.is_empty());
        let name = name.ok_or_else(|| bad("the Redis URL names no host"))?;
        nodes.push((
            name.trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            one.port().unwrap_or(SENTINEL_PORT),
        ));
    }
    let sentinels = Sentinels {
        master: decode(master),
        nodes,
    };
    Ok(Some((
        format!("{scheme}://{login}sentinels{rest}"),
        sentinels,
    )))
}

/// The password inside a URL, even one that is too broken to parse: it must reach the masker first.
fn url_password(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (login, _) = rest.rsplit_once('@')?;
    let (_, password) = login.split_once(':')?;
    Some(password.to_owned())
}

fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let Some(byte) = hex {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn database(text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        bad(format!(
            "the Redis URL names the database `{text}`, which is not a number"
        ))
    })
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(&BAD_URL, message).hint(
        "A Redis URL looks like `redis://user:password@host:6379/0`, or `rediss://` for TLS, or \
         `redis+sentinel://user:password@sentinel:26379/mymaster/0`; percent-encode special characters in the password.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url() {
        let t = Target::parse("redis://app:p%40ss-w0rd@cache.internal:6380/3", None, None)
            .expect("parses");
        assert_eq!(
            (t.host.as_str(), t.port, t.database),
            ("cache.internal", 6380, 3)
        );
        assert_eq!(t.user.as_deref(), Some("app"));
        assert_eq!(t.password.as_ref().map(Secret::expose), Some("p@ss-w0rd"));
        assert_eq!(t.tls, Tls::Off);
        assert_eq!(t.endpoint(), "cache.internal:6380");

        let t = Target::parse("rediss://:only-password@[::1]", None, None).expect("parses");
        assert_eq!((t.user.as_deref(), t.port), (None, DEFAULT_PORT));
        assert_eq!(t.endpoint(), "[::1]:6379");
        assert_eq!(t.tls, Tls::Verified { ca: None });

        let t = Target::parse(
            "rediss://h?db=4#insecure",
            Some("me"),
            Some(Secret::new("beside")),
        )
        .expect("parses");
        assert_eq!((t.database, t.tls), (4, Tls::Unverified));
        assert_eq!(t.user.as_deref(), Some("me"));
        assert_eq!(t.password.as_ref().map(Secret::expose), Some("beside"));
    }

    #[test]
    fn sentinels_stand_where_the_server_would() {
        let t = Target::parse(
            "rediss+sentinel://app:p%40ss@a.internal:5000,[::1],c/mymaster/3#insecure",
            None,
            None,
        )
        .expect("parses");
        let nodes = [("a.internal", 5_000), ("::1", 26_379), ("c", 26_379)];
        let sentinels = t.sentinels.clone().expect("Sentinels");
        assert_eq!(sentinels.master, "mymaster");
        let seen = sentinels.nodes.iter().map(|(h, p)| (h.as_str(), *p));
        assert_eq!(seen.collect::<Vec<_>>(), nodes);
        assert_eq!((t.database, &t.tls), (3, &Tls::Unverified));
        assert_eq!(t.password.as_ref().map(Secret::expose), Some("p@ss"));
        assert_eq!(t.endpoint(), "mymaster@a.internal:5000,[::1]:26379,c:26379");
    }

    #[test]
    fn bad_urls_are_refused_without_their_password() {
        for url in [
            "redis://u:canary-8f31@host:notaport/0",
            "http://u:canary-8f31@host",
            "redis://u:canary-8f31@host/zero",
            "redis://u:canary-8f31@",
            "redis://u:canary-8f31@ho st:1",
            "",
            "localhost:6379",
            "redis+sentinel://:canary-8f31@host:26379",
            "redis+sentinel://:canary-8f31@,host/main",
            "redis+sentinel://:canary-8f31@host/main/zero",
            "http+sentinel://:canary-8f31@host/main",
        ] {
            let error = Target::parse(url, None, None).expect_err(url);
            assert_eq!(error.reason().code, "redis.bad-url", "{url}");
            assert!(
                !error.one_line().contains("canary-8f31"),
                "{}",
                error.one_line()
            );
        }
    }
}
