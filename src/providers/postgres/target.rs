//! Where a Postgres database is and who logs in: parsed once from a DSN, never showing the password again.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::BAD_DSN;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Debian's and most distributions' bundle of certificate authorities, given to libpq programs that would otherwise
/// look for `~/.postgresql/root.crt`.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Stands for an absent host while a URL is read (RFC 2606 keeps `.invalid` free).
const NO_HOST: &str = "no-host.invalid";

/// How TLS is used: the meanings of libpq's `sslmode` (PostgreSQL documentation, table 34.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it; nothing is verified. The default, as in libpq.
    Prefer,
    /// Always; nothing is verified.
    Require,
    /// Always; the certificate must come from a trusted authority.
    VerifyCa,
    /// Always; the certificate must be trusted and carry the host's name.
    VerifyFull,
}

impl TlsMode {
    const ALL: [(&'static str, TlsMode); 5] = [
        ("disable", TlsMode::Disable),
        ("prefer", TlsMode::Prefer),
        ("require", TlsMode::Require),
        ("verify-ca", TlsMode::VerifyCa),
        ("verify-full", TlsMode::VerifyFull),
    ];

    /// The value of `sslmode`.
    pub fn name(self) -> &'static str {
        TlsMode::ALL
            .iter()
            .find(|(_, mode)| *mode == self)
            .map_or("prefer", |(name, _)| name)
    }

    fn for_sqlx(self) -> PgSslMode {
        match self {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        }
    }
}

/// A database on a server, and the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name, address, or the folder of a unix socket (it then begins with `/`).
    pub host: String,
    /// TCP port, also part of a unix socket's name.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role that logs in.
    pub user: String,
    /// Its password; absent for `trust`, `peer` and certificate logins.
    pub password: Option<Secret>,
    /// How TLS is used.
    pub tls: TlsMode,
    /// PEM file of the authority to trust instead of the system's.
    pub root_cert: Option<PathBuf>,
}

impl Target {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…&sslrootcert=…`; `user` and `password` given
    /// beside the URL win. A unix socket is `postgres:///DATABASE?host=/folder`. Errors never repeat the URL.
    pub fn parse(url: &str, user: Option<&str>, password: Option<Secret>) -> Result<Target> {
        let scheme_ok = ["postgres://", "postgresql://"]
            .iter()
            .any(|s| url.starts_with(s));
        if !scheme_ok {
            return Err(bad(
                "the Postgres URL does not begin with `postgres://` or `postgresql://`",
            ));
        }
        let parsed = match url::Url::parse(url) {
            // `postgres://user@/database?host=/folder`: libpq takes a user without a host, the URL standard does not.
            Err(url::ParseError::EmptyHost) => {
                url::Url::parse(&url.replacen("@/", &format!("@{NO_HOST}/"), 1))
            }
            read => read,
        };
        let parsed = parsed.map_err(|e| bad(explain(url, e)))?;
        // Registered with the masker before anything else is looked at.
        let url_password = parsed
            .password()
            .map(|p| percent_decoded(p, "password").map(Secret::new))
            .transpose()?;
        if parsed.fragment().is_some() {
            return Err(bad(
                "the Postgres URL contains an unescaped `#`, which cuts it short",
            ));
        }
        let mut target = Target {
            host: percent_decoded(
                parsed
                    .host_str()
                    .filter(|h| *h != NO_HOST)
                    .unwrap_or_default(),
                "host",
            )?,
            port: parsed.port().unwrap_or(5432),
            database: percent_decoded(parsed.path().trim_start_matches('/'), "database")?,
            user: percent_decoded(parsed.username(), "user")?,
            password: password.or(url_password),
            tls: TlsMode::Prefer,
            root_cert: None,
        };
        if let Some(user) = user {
            user.clone_into(&mut target.user);
        }
        for (key, value) in parsed.query_pairs() {
            target.set(&key, &value)?;
        }
        target.complete()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "sslmode" | "ssl-mode" => {
                self.tls = TlsMode::ALL
                    .iter()
                    .find(|(name, _)| *name == value)
                    .map(|(_, mode)| *mode)
                    .ok_or_else(|| {
                        bad(format!("unknown `sslmode` `{value}`")).hint(
                            "`sslmode` is one of `disable`, `prefer`, `require`, `verify-ca`, `verify-full`.",
                        )
                    })?;
            }
            "sslrootcert" => self.root_cert = (value != "system").then(|| PathBuf::from(value)),
            "host" => value.clone_into(&mut self.host),
            "port" => {
                self.port = value
                    .parse()
                    .map_err(|_| bad(format!("`port={value}` is not a port number")))?;
            }
            "user" => value.clone_into(&mut self.user),
            "dbname" => value.clone_into(&mut self.database),
            "password" => {
                self.password.get_or_insert(Secret::new(value));
            }
            // What other drivers read from the same variable; it does not bear on how we connect.
            "schema"
            | "search_path"
            | "application_name"
            | "connect_timeout"
            | "connection_limit"
            | "pool_timeout"
            | "pgbouncer"
            | "target_session_attrs"
            | "sslcert"
            | "sslkey"
            | "channel_binding" => {}
            other => {
                return Err(bad(format!(
                    "unknown parameter `{other}` in the Postgres URL"
                )));
            }
        }
        Ok(())
    }

    fn complete(self) -> Result<Target> {
        if self.host.is_empty() {
            return Err(bad("the Postgres URL names no host").hint(
                "Write `postgres://USER@HOST:5432/DATABASE`, or `?host=/folder` for a unix socket.",
            ));
        }
        if self.host.contains(',') {
            return Err(bad(format!(
                "the Postgres URL names several hosts, `{}`; give the one that takes writes",
                self.host
            )));
        }
        if self.user.is_empty() {
            return Err(bad("the Postgres URL names no user"));
        }
        if self.database.is_empty() || self.database.contains('/') {
            return Err(bad("the Postgres URL names no single database"));
        }
        let texts = [&self.host, &self.user, &self.database];
        if texts.iter().any(|t| t.contains('\0')) {
            return Err(bad("the Postgres URL contains a zero byte"));
        }
        Ok(self)
    }

    /// The same server and login, another database.
    pub fn with_database(&self, database: &str) -> Target {
        Target {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// `host:port`, or the path of the unix socket.
    pub fn endpoint(&self) -> String {
        if self.host.starts_with('/') {
            format!("{}/.s.PGSQL.{}", self.host.trim_end_matches('/'), self.port)
        } else if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `database` at `host:port` in a few words, for messages.
    pub fn place(&self) -> String {
        format!("`{}` at `{}`", self.database, self.endpoint())
    }

    /// Options for sqlx: every field said, so that `PG…` variables of the process do not leak in.
    pub(super) fn connect_options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .host(self.host.trim_start_matches('[').trim_end_matches(']'))
            .port(self.port)
            .database(&self.database)
            .username(&self.user)
            .password(self.password.as_ref().map_or("", Secret::expose))
            .ssl_mode(self.tls.for_sqlx())
            .application_name("summitctl")
            // Poolers refuse start-up parameters they do not know; it is set afterwards where it matters.
            .extra_float_digits(None)
            // Statements are unnamed (`session::query`), so that there is nothing to keep.
            .statement_cache_capacity(0);
        match &self.root_cert {
            Some(path) => options.ssl_root_cert(path),
            None => options,
        }
    }

    /// Gives a libpq program (`pg_dump`, `pg_restore`) this target by environment, and its password by a password file in
    /// memory that only this user can open: arguments show in every process list, and an environment in crash dumps. Keep
    /// what is returned for as long as the program runs.
    pub fn lend_to(&self, command: &mut Command) -> Result<Lent> {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
            .env(
                "PGHOST",
                self.host.trim_start_matches('[').trim_end_matches(']'),
            )
            .env("PGPORT", self.port.to_string())
            .env("PGDATABASE", &self.database)
            .env("PGUSER", &self.user)
            .env("PGAPPNAME", "summitctl")
            .env("PGSSLMODE", self.tls.name())
            .env("PGCONNECT_TIMEOUT", "15")
            .env("PGPASSFILE", "/dev/null")
            .env("LC_ALL", "C");
        let lent = match &self.password {
            Some(password) => Some(password_file(password)?),
            None => None,
        };
        if let Some(file) = &lent {
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            command.env("PGPASSFILE", path);
        }
        let verifies = matches!(self.tls, TlsMode::VerifyCa | TlsMode::VerifyFull);
        match &self.root_cert {
            Some(path) => {
                command.env("PGSSLROOTCERT", path);
            }
            None if verifies && Path::new(SYSTEM_AUTHORITIES).exists() => {
                command.env("PGSSLROOTCERT", SYSTEM_AUTHORITIES);
            }
            None => {}
        }
        Ok(Lent { _password: lent })
    }
}

/// What a program that was lent a target reads while it runs.
#[derive(Debug)]
#[must_use = "the program reads the password from it"]
pub struct Lent {
    _password: Option<File>,
}

/// A password file (PostgreSQL documentation, section 34.16) that has no name in any folder.
fn password_file(password: &Secret) -> Result<File> {
    let failed = |e: std::io::Error| {
        Error::new(&crate::error::IO, "cannot keep a password file in memory").caused_by(e)
    };
    let word = password.expose();
    if word.contains('\n') {
        return Err(bad(
            "a password with a line break cannot be given to `pg_dump`",
        ));
    }
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let file = rustix::fs::memfd_create("summitctl", flags).map_err(|e| failed(e.into()))?;
    // libpq reads none that others may read.
    rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR).map_err(|e| failed(e.into()))?;
    let mut file = File::from(file);
    let escaped = word.replace('\\', "\\\\").replace(':', "\\:");
    file.write_all(format!("*:*:*:*:{escaped}\n").as_bytes())
        .map_err(failed)?;
    Ok(file)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(&BAD_DSN, message)
}

/// Says what is wrong without a word of the URL, which holds a password.
fn explain(url: &str, e: url::ParseError) -> String {
    let misplaced = url.matches('@').count() > 1 || matches!(e, url::ParseError::InvalidPort);
    if misplaced {
        format!(
            "cannot read the Postgres URL: {e}; if the password contains one of `@ / : ? # %`, percent-encode it"
        )
    } else {
        format!("cannot read the Postgres URL: {e}")
    }
}

fn percent_decoded(text: &str, what: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                return Err(bad(format!(
                    "the {what} in the Postgres URL has a `%` that is not followed by two hexadecimal digits; write `%25` for a plain `%`"
                )));
            }
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| bad(format!("the {what} in the Postgres URL is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target> {
        Target::parse(url, None, None)
    }

    #[test]
    fn a_full_url_is_read_and_the_password_decoded() {
        let t = parse("postgresql://us%40er:p%40ss%2Fw%23rd@db.example:6543/my%20db?sslmode=verify-full&sslrootcert=/ca.pem")
            .expect("parses");
        assert_eq!(t.endpoint(), "db.example:6543");
        assert_eq!((t.user.as_str(), t.database.as_str()), ("us@er", "my db"));
        assert_eq!(t.password.expect("given").expose(), "p@ss/w#rd");
        assert_eq!(t.tls, TlsMode::VerifyFull);
        assert_eq!(t.root_cert, Some(PathBuf::from("/ca.pem")));
    }

    #[test]
    fn what_is_given_beside_the_url_wins() {
        let t = Target::parse(
            "postgres://a:from-url@h/d",
            Some("b"),
            Some(Secret::new("from-file")),
        )
        .expect("parses");
        assert_eq!(t.user, "b");
        assert_eq!(t.password.expect("given").expose(), "from-file");
        assert_eq!(t.port, 5432);
    }

    #[test]
    fn unix_sockets_and_ipv6() {
        for url in [
            "postgres://u@/d?host=/var/run/postgresql&port=5433",
            "postgres:///d?host=/var/run/postgresql&port=5433&user=u",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql:5433/d",
        ] {
            let t = parse(url).expect(url);
            assert_eq!(t.endpoint(), "/var/run/postgresql/.s.PGSQL.5433");
        }
        let t = parse("postgres://u@[::1]:5433/d").expect("parses");
        assert_eq!(t.endpoint(), "[::1]:5433");
    }

    #[test]
    fn bad_urls_are_explained_without_their_password() {
        for (url, expected) in [
            ("mysql://u:hunter2x@h/d", "does not begin with"),
            ("postgres://u:hunter2x#y@h/d", "percent-encode"),
            ("postgres://u:hunter2x@h", "no single database"),
            ("postgres://u:hunter2x@h:99999/d", "port"),
            ("postgres://:hunter2x@h/d", "no user"),
            ("postgres://u:hunter2x%zz@h/d", "`%`"),
            (
                "postgres://u:hunter2x@h/d?sslmode=sometimes",
                "unknown `sslmode`",
            ),
            (
                "postgres://u:hunter2x@h/d?sslmod=require",
                "unknown parameter `sslmod`",
            ),
            ("postgres://u:hunter2x@h1,h2/d", "several hosts"),
            ("postgres://u:hunter2x@/d", "no host"),
            ("postgres://u:hunter2x@h/d#x", "`#`"),
        ] {
            let error = parse(url).expect_err(url);
            assert_eq!(error.reason().code, "postgres.bad-dsn", "{url}");
            let text = format!("{error:?} {:?}", error.hints());
            assert!(text.contains(expected), "{url}: {text}");
            assert!(!text.contains("hunter2x"), "{url}: {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_password_survives_percent_encoding(password in "[^\u{0}]{1,24}") {
            let encoded: String = password.bytes().map(|b| format!("%{b:02X}")).collect();
            let t = parse(&format!("postgres://u:{encoded}@h/d")).expect("parses");
            let read = t.password.expect("given");
            proptest::prop_assert_eq!(read.expose(), password.as_str());
        }
    }
}
