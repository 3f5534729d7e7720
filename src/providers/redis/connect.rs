//! Connections: our own TCP or TLS stream, the login, and one translation of every failure into a stable reason.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{Error, Result};
use crate::tls::{Check, client};
use crate::wait::Deadline;

use super::sentinel::resolved;
use super::target::{Target, Tls};
use super::{
    CLUSTER_DOWN, COMMAND_FAILED, CONNECTION_LOST, DATABASE_MISSING, DENIED, LOADING,
    LOGIN_REFUSED, PROTOCOL, UNREACHABLE, moving,
};

/// How long a login may take where no deadline is given.
pub(super) const LOGIN: Duration = Duration::from_secs(10);

/// How long a single command may take: FLUSHALL or FUNCTION RESTORE on a large server are slow, silence is not.
const COMMAND: Duration = Duration::from_secs(300);

/// A byte stream to the server, encrypted or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens a TCP or TLS stream to the server, or to the master that Sentinels name; tries every address of the name.
pub(super) async fn open(target: &Target, deadline: Deadline) -> Result<Box<dyn Io>> {
    let target = &*resolved(target, deadline).await?;
    let tcp = tokio::time::timeout(deadline.left(), tcp(target))
        .await
        .unwrap_or_else(|_| Err(silent(target, deadline)))?;
    let Some(config) = tls_config(&target.tls)? else {
        return Ok(Box::new(tcp));
    };
    // A plain Redis takes the handshake for half a command and waits for the rest of it.
    let encrypted = tokio::time::timeout(deadline.left(), tls(target, tcp, config)).await;
    Ok(Box::new(encrypted.unwrap_or_else(|_| {
        Err(Error::new(
            &super::TLS,
            format!(
                "`{}` took the connection but did not answer the TLS handshake within {}",
                target.endpoint(),
                crate::time::Span(deadline.allowed())
            ),
        )
        .hint("If the port does not speak TLS, use `redis://` instead of `rediss://`."))
    })?))
}

/// A logged-in connection for commands.
pub(super) struct Conn {
    inner: MultiplexedConnection,
    driver: tokio::task::JoinHandle<()>,
    endpoint: String,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Conn {
    /// Connects, logs in, and selects the target's database.
    pub(super) async fn login(target: &Target, deadline: Deadline) -> Result<Conn> {
        let stream = open(target, deadline).await?;
        let info = ::redis::RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(COMMAND))
            .set_connection_timeout(None);
        let (inner, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
            .await
            .map_err(|e| translate(&target.endpoint(), "connecting", &e))?;
        let mut conn = Conn {
            inner,
            driver: tokio::spawn(driver),
            endpoint: target.endpoint(),
        };
        let greet = async {
            if let Some(auth) = auth_command(target) {
                conn.query::<()>(&auth).await?;
            }
            // Tells a login that is still missing apart from a working one.
            conn.query::<String>(&::redis::cmd("PING")).await?;
            if target.database != 0 {
                conn.select(target.database).await?;
            }
            Ok(())
        };
        tokio::time::timeout(deadline.left(), greet)
            .await
            .unwrap_or_else(|_| Err(silent(target, deadline)))?;
        Ok(conn)
    }

    /// Selects a numbered database for what follows.
    pub(super) async fn select(&mut self, database: u32) -> Result<()> {
        self.query(::redis::cmd("SELECT").arg(database)).await
    }

    /// Runs one command.
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        let done: Result<T, RedisError> = command.query_async(&mut self.inner).await;
        done.map_err(|e| translate(&self.endpoint, &name_of(command), &e))
    }

    /// Runs a pipeline and gives back each answer, errors included.
    pub(super) async fn pipeline(
        &mut self,
        pipeline: &mut Pipeline,
        what: &str,
    ) -> Result<Vec<::redis::Value>> {
        let done: Result<Vec<::redis::Value>, RedisError> =
            pipeline.ignore_errors().query_async(&mut self.inner).await;
        done.map_err(|e| translate(&self.endpoint, what, &e))
    }

    /// Translates a server error that came back inside a pipeline.
    pub(super) fn error(&self, what: &str, error: &RedisError) -> Error {
        translate(&self.endpoint, what, error)
    }
}

/// The AUTH command of this login, if there is one.
fn auth_command(target: &Target) -> Option<Cmd> {
    let password = target.password.as_ref()?;
    let mut auth = ::redis::cmd("AUTH");
    if let Some(user) = &target.user {
        auth.arg(user);
    }
    auth.arg(password.expose());
    Some(auth)
}

/// The first word of a command, and its subcommand where it has one: never its arguments.
fn name_of(command: &Cmd) -> String {
    let mut words = command.args_iter().filter_map(|arg| match arg {
        ::redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    let first = words.next().unwrap_or_default();
    match first.as_str() {
        "CONFIG" | "FUNCTION" | "ACL" | "CLIENT" | "REPLCONF" => {
            format!("{first} {}", words.next().unwrap_or_default())
        }
        _ => first,
    }
}

/// One server error in our terms. Server texts are quoted; they hold no arguments of AUTH, and are masked anyway.
fn translate(endpoint: &str, what: &str, error: &RedisError) -> Error {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    match error.kind() {
        ErrorKind::Io => Error::new(
            &CONNECTION_LOST,
            format!("the connection to Redis at `{endpoint}` was lost during `{what}`"),
        )
        .caused_by(error.clone()),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::Client => Error::new(
            &PROTOCOL,
            format!("Redis at `{endpoint}` answered `{what}` with something unexpected: {text}"),
        ),
        _ => refused(endpoint, what, &text),
    }
}

/// A `-CODE text` answer in our terms.
pub(super) fn refused(endpoint: &str, what: &str, text: &str) -> Error {
    let code = text.split_whitespace().next().unwrap_or_default();
    let no_password_set =
        text.contains("without any password configured") || text.contains("no password is set");
    match code {
        "WRONGPASS" => Error::new(
            &LOGIN_REFUSED,
            format!("Redis at `{endpoint}` refused the user or password"),
        ),
        "NOAUTH" => Error::new(
            &LOGIN_REFUSED,
            format!("Redis at `{endpoint}` wants a password and got none"),
        )
        .hint("Give it in `REDIS_URL` or `REDIS_PASSWORD`, or as the context's secret reference."),
        _ if no_password_set => Error::new(
            &LOGIN_REFUSED,
            format!("Redis at `{endpoint}` has no password, but one was given"),
        )
        .hint(
            "A server that takes anybody may not be the one that was meant: check host and port.",
        ),
        "DENIED" => Error::new(
            &LOGIN_REFUSED,
            format!(
                "Redis at `{endpoint}` is in protected mode and takes no remote logins: {text}"
            ),
        ),
        "NOPERM" => Error::new(
            &DENIED,
            format!("the user may not run `{what}` on Redis at `{endpoint}`: {text}"),
        ),
        "MOVED" | "ASK" => moving(format!("Redis at `{endpoint}` gave a slot away: {text}")),
        "CLUSTERDOWN" => Error::new(
            &CLUSTER_DOWN,
            format!("the Redis cluster of `{endpoint}` is not complete: {text}"),
        ),
        "LOADING" | "MASTERDOWN" | "NOMASTERLINK" => Error::new(
            &LOADING,
            format!("Redis at `{endpoint}` is not ready: {text}"),
        ),
        _ if text.contains("DB index is out of range") || text.contains("invalid DB index") => {
            Error::new(
                &DATABASE_MISSING,
                format!("Redis at `{endpoint}` has no database of that number"),
            )
        }
        _ => Error::new(
            &COMMAND_FAILED,
            format!("Redis at `{endpoint}` refused `{what}`: {text}"),
        ),
    }
}

async fn tcp(target: &Target) -> Result<TcpStream> {
    let endpoint = target.endpoint();
    let addresses: Vec<_> = tokio::net::lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(|e| {
            Error::new(
                &UNREACHABLE,
                format!("the host name of Redis at `{endpoint}` does not resolve"),
            )
            .caused_by(e)
        })?
        .collect();
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small commands must not wait for each other; a socket that refuses the option still works.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(e) => last = Some(e),
        }
    }
    let message = match last.as_ref().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => {
            format!("nothing listens for Redis at `{endpoint}`: the connection was refused")
        }
        None => format!("the host name of Redis at `{endpoint}` has no address"),
        Some(_) => format!("cannot connect to Redis at `{endpoint}`"),
    };
    let error = Error::new(&UNREACHABLE, message);
    Err(match last {
        Some(e) => error.caused_by(e),
        None => error,
    })
}

fn silent(target: &Target, deadline: Deadline) -> Error {
    Error::new(
        &UNREACHABLE,
        format!(
            "Redis at `{}` did not answer within {}",
            target.endpoint(),
            crate::time::Span(deadline.allowed())
        ),
    )
}

async fn tls(
    target: &Target,
    tcp: TcpStream,
    config: rustls::ClientConfig,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let failed = |text: String| {
        Error::new(
            &super::TLS,
            format!("TLS with Redis at `{}` failed{text}", target.endpoint()),
        )
    };
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| failed(": the host is neither a DNS name nor an address".to_owned()))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|e| failed(String::new()).caused_by(e))
}

fn tls_config(tls: &Tls) -> Result<Option<rustls::ClientConfig>> {
    match tls {
        Tls::Off => Ok(None),
        Tls::Unverified => client(Check::Nothing, None).map(Some),
        Tls::Verified { ca } => client(Check::Name, ca.as_deref()).map(Some),
    }
}
