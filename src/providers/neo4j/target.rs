//! Where a Neo4j server is and who logs in: `bolt://`, `neo4j://` and their `+s` and `+ssc` forms.

use url::{Host, Url};

use super::BAD_URI;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Bolt's registered port.
pub const DEFAULT_PORT: u16 = 7687;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// `bolt://`: in clear.
    Off,
    /// `bolt+s://`: encrypted, the certificate checked against the system's authorities.
    Verified,
    /// `bolt+ssc://`: encrypted, any certificate accepted; it does not prove who answers.
    SelfSigned,
}

impl Tls {
    /// The word in facts and output.
    pub fn word(self) -> &'static str {
        match self {
            Tls::Off => "off",
            Tls::Verified => "verified",
            Tls::SelfSigned => "unverified",
        }
    }
}

/// A server, a database in it, and a login.
///
/// `neo4j://` asks a driver to route between the members of a cluster; here it means the named server itself.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host name or address, without brackets.
    pub host: String,
    /// Bolt port.
    pub port: u16,
    /// Whether and how TLS is used.
    pub tls: Tls,
    /// The user; `neo4j` if nothing says otherwise.
    pub user: String,
    /// The password; absent for a server without authentication.
    pub password: Option<Secret>,
    /// The database; absent for the user's home database.
    pub database: Option<String>,
}

impl Target {
    /// Reads a URI such as `neo4j+s://graph.example.org:7687/movies`. A user and password given beside it win over those
    /// within it; errors never hold the password.
    pub fn parse(url: &str, user: Option<&str>, password: Option<Secret>) -> Result<Target> {
        let bad = |why: String| {
            Error::new(&BAD_URI, why).hint(
                "Give it as `bolt://HOST:7687` or `neo4j+s://HOST:7687`, with user and password beside it.",
            )
        };
        // The text may hold a password, so the parser's error is told without it.
        let parsed = Url::parse(url.trim()).map_err(|e| bad(format!("not a Neo4j URI: {e}")))?;
        let inner = parsed
            .password()
            .map(|p| Secret::new(percent_decoded(p)))
            .filter(|p| !p.is_empty());
        let tls = match parsed.scheme() {
            "bolt" | "neo4j" => Tls::Off,
            "bolt+s" | "neo4j+s" => Tls::Verified,
            "bolt+ssc" | "neo4j+ssc" => Tls::SelfSigned,
            "http" | "https" => {
                return Err(bad(format!(
                    "`{}` is Neo4j's HTTP interface, not Bolt",
                    parsed.scheme()
                )));
            }
            other => return Err(bad(format!("`{other}` is not a Neo4j scheme"))),
        };
        let host = match parsed.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_ascii_lowercase(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(bad("the Neo4j URI names no host".to_owned())),
        };
        let path = parsed.path().trim_matches('/');
        if path.contains('/') {
            return Err(bad(format!("`{path}` is not a database name")));
        }
        let user = user
            .filter(|u| !u.is_empty())
            .map(str::to_owned)
            .or_else(|| (!parsed.username().is_empty()).then(|| percent_decoded(parsed.username())))
            .unwrap_or_else(|| "neo4j".to_owned());
        Ok(Target {
            // Schemes that are not the web's keep the brackets and the case of a host as they were.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: parsed.port().unwrap_or(DEFAULT_PORT),
            tls,
            user,
            password: password.filter(|p| !p.is_empty()).or(inner),
            database: (!path.is_empty()).then(|| percent_decoded(path)),
        })
    }

    /// `host:port`, the same for every way of writing the URI.
    pub fn endpoint(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_in_their_known_forms() {
        let t = Target::parse("bolt://LocalHost", None, None).expect("parses");
        assert_eq!((t.endpoint().as_str(), t.tls), ("localhost:7687", Tls::Off));
        assert_eq!(t.user, "neo4j");
        assert!(t.password.is_none());
        let t = Target::parse("neo4j+s://ann:p%40ss%2Fword@[::1]:7000/movies", None, None)
            .expect("parses");
        assert_eq!(
            (t.endpoint().as_str(), t.tls),
            ("[::1]:7000", Tls::Verified)
        );
        assert_eq!(
            (t.user.as_str(), t.database.as_deref()),
            ("ann", Some("movies"))
        );
        assert_eq!(t.password.expect("has one").expose(), "p@ss/word");
        let given = Secret::new("from-the-environment");
        let t = Target::parse(
            "bolt+ssc://ann:inner-word@h",
            Some("bob"),
            Some(given.clone()),
        )
        .expect("parses");
        assert_eq!(
            (t.user.as_str(), t.password, t.tls),
            ("bob", Some(given), Tls::SelfSigned)
        );
    }

    #[test]
    fn bad_uris_are_told_without_their_password() {
        for uri in [
            "",
            "localhost:7687",
            "postgres://u:canary-inside@h/db",
            "http://u:canary-inside@h:7474",
            "bolt://u:canary-inside@",
            "bolt://u:canary-inside@h:99999",
            "bolt://u:canary-inside@h/a/b",
        ] {
            let error = Target::parse(uri, None, None).expect_err(uri);
            assert_eq!(error.reason(), &BAD_URI, "{uri}");
            assert!(!format!("{error:?} {:?}", error.hints()).contains("canary-inside"));
        }
    }
}
