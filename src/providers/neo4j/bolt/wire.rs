//! The bytes of Bolt: connecting, TLS, the version handshake, and messages in chunks.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::super::target::{Target, Tls};
use super::super::{CONNECTION_LOST, PROTOCOL, TLS_FAILED, UNREACHABLE, UNSUPPORTED_VERSION};
use crate::error::{Error, Result};
use crate::tls::{Check, client};

/// Bolt's magic preamble (Bolt specification, "Handshake").
const MAGIC: [u8; 4] = [0x60, 0x60, 0xB0, 0x17];

/// What we offer, in order: 5.4 down to 5.0; and 4.4 down to 4.1, only to tell an old server from a stranger.
const OFFERS: [u8; 16] = [0, 4, 4, 5, 0, 3, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0];

/// No message is longer: Neo4j's own limit on a value is 2 GiB, and batches are far smaller.
const MAX_MESSAGE: usize = 1 << 30;

/// A chunk's size is 16 bits.
const MAX_CHUNK: usize = 0xFFFF;

/// How long the server may be silent. It sends keep-alive chunks every minute while it works
/// (`server.bolt.connection_keep_alive`).
const MAX_SILENCE: Duration = Duration::from_secs(300);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection after the handshake.
pub(super) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    endpoint: String,
    out: Vec<u8>,
}

impl Wire {
    /// Connects, wraps in TLS if asked for, and agrees on a version: its minor number.
    pub(super) async fn connect(target: &Target) -> Result<(Wire, u8)> {
        let endpoint = target.endpoint();
        let tcp = dial(target).await?;
        let stream: Box<dyn Stream> = match target.tls {
            Tls::Off => Box::new(tcp),
            tls => Box::new(wrap(tcp, target, tls).await?),
        };
        let mut wire = Wire {
            stream: BufReader::with_capacity(64 << 10, stream),
            endpoint,
            out: Vec::new(),
        };
        let minor = wire.handshake(target.tls).await?;
        Ok((wire, minor))
    }

    async fn handshake(&mut self, tls: Tls) -> Result<u8> {
        let mut hello = MAGIC.to_vec();
        hello.extend_from_slice(&OFFERS);
        let mut answer = [0; 4];
        let spoken = async {
            self.stream.write_all(&hello).await?;
            self.stream.flush().await?;
            self.stream.read_exact(&mut answer).await
        };
        spoken.await.map_err(|e| {
            let error = Error::new(
                &UNREACHABLE,
                format!(
                    "`{}` closed the connection before it named a Bolt version",
                    self.endpoint
                ),
            )
            .caused_by(e);
            match tls {
                Tls::Off => {
                    error.hint("If the server requires TLS, use `bolt+s://` or `neo4j+s://`.")
                }
                _ => error,
            }
        })?;
        match answer {
            [0, 0, minor @ 0..=4, 5] => Ok(minor),
            [b'H', b'T', b'T', b'P'] => Err(Error::new(
                &UNREACHABLE,
                format!("`{}` speaks HTTP, not Bolt", self.endpoint),
            )
            .hint("Neo4j's Bolt port is 7687 unless configured otherwise.")),
            [0, 0, 0, 0] => Err(unsupported(
                &self.endpoint,
                "no Bolt version from 4.1 to 5.4",
            )),
            [0, 0, minor, major @ ..=4] => Err(unsupported(
                &self.endpoint,
                &format!("Bolt {major}.{minor} at most, as Neo4j 4 does"),
            )),
            _ => Err(Error::new(
                &UNREACHABLE,
                format!("what answers at `{}` is not Neo4j", self.endpoint),
            )),
        }
    }

    /// Queues a message; [`Wire::flush`] sends what is queued.
    pub(super) fn queue(&mut self, message: &[u8]) {
        for chunk in message.chunks(MAX_CHUNK) {
            let size = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
            self.out.extend_from_slice(&size.to_be_bytes());
            self.out.extend_from_slice(chunk);
        }
        self.out.extend_from_slice(&[0, 0]);
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.out);
        let sent = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(MAX_SILENCE, sent).await {
            Ok(Ok(())) => {
                self.out = out;
                self.out.clear();
                Ok(())
            }
            Ok(Err(e)) => Err(self.lost("sending").caused_by(e)),
            Err(_) => Err(self.lost("sending").caused_by(silence())),
        }
    }

    /// The next message; keep-alive chunks between messages are skipped.
    pub(super) async fn receive(&mut self, message: &mut Vec<u8>) -> Result<()> {
        message.clear();
        loop {
            let mut size = [0; 2];
            self.fill(&mut size).await?;
            let size = usize::from(u16::from_be_bytes(size));
            if size == 0 {
                if message.is_empty() {
                    continue;
                }
                return Ok(());
            }
            let start = message.len();
            if start + size > MAX_MESSAGE {
                return Err(Error::new(
                    &PROTOCOL,
                    format!("`{}` sends a message of more than 1 GiB", self.endpoint),
                ));
            }
            message.resize(start + size, 0);
            self.fill(&mut message[start..]).await?;
        }
    }

    async fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        match tokio::time::timeout(MAX_SILENCE, self.stream.read_exact(buffer)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(self.lost("reading").caused_by(e)),
            Err(_) => Err(self.lost("reading").caused_by(silence())),
        }
    }

    /// Where it is connected to.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Says goodbye as far as the other side still listens.
    pub(super) async fn close(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(2), async {
            let _ = self.flush().await;
            let _ = self.stream.shutdown().await;
        })
        .await;
    }

    fn lost(&self, doing: &str) -> Error {
        Error::new(
            &CONNECTION_LOST,
            format!(
                "the connection to Neo4j at `{}` was lost while {doing}",
                self.endpoint
            ),
        )
    }
}

fn silence() -> std::io::Error {
    std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        format!("the server was silent for {} s", MAX_SILENCE.as_secs()),
    )
}

fn unsupported(endpoint: &str, speaks: &str) -> Error {
    Error::new(
        &UNSUPPORTED_VERSION,
        format!("Neo4j at `{endpoint}` speaks {speaks}"),
    )
    .hint("Neo4j 5 (Bolt 5.0 to 5.4) is supported.")
}

async fn dial(target: &Target) -> Result<TcpStream> {
    let endpoint = target.endpoint();
    let addresses: Vec<_> = tokio::net::lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(|e| {
            Error::new(&UNREACHABLE, format!("cannot resolve `{}`", target.host)).caused_by(e)
        })?
        .collect();
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                // Without it each small request waits for the previous one's acknowledgement.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Err(e) => last = Some(e),
        }
    }
    let error = Error::new(
        &UNREACHABLE,
        format!("cannot connect to Neo4j at `{endpoint}`"),
    );
    Err(match last {
        Some(e) => error.caused_by(e),
        None => error,
    })
}

async fn wrap(
    tcp: TcpStream,
    target: &Target,
    tls: Tls,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let failed = |what: String| Error::new(&TLS_FAILED, what);
    let name = ServerName::try_from(target.host.clone())
        .map_err(|e| failed(format!("`{}` cannot be a TLS name", target.host)).caused_by(e))?;
    let check = if tls == Tls::Verified {
        Check::Name
    } else {
        Check::Nothing
    };
    let config = client(check, None)?;
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|e| {
            let error = failed(format!("TLS with Neo4j at `{}` failed", target.endpoint()));
            let text = e.to_string();
            let error = error.caused_by(e);
            if text.contains("certificate") {
                error.hint("If the server's certificate is self-signed and that is meant to be, use `bolt+ssc://` or `neo4j+ssc://`.")
            } else {
                error.hint("If the server speaks Bolt without TLS, use `bolt://` or `neo4j://`.")
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(stream: tokio::io::DuplexStream) -> Wire {
        Wire {
            stream: BufReader::new(Box::new(stream)),
            endpoint: "test:1".to_owned(),
            out: Vec::new(),
        }
    }

    #[tokio::test]
    async fn long_messages_are_cut_and_joined_and_keep_alives_skipped() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (mut sender, mut receiver) = (wire(near), wire(far));
        let long: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        sender.queue(&long);
        sender.out.extend_from_slice(&[0, 0, 0, 0]);
        sender.queue(b"short");
        sender.flush().await.expect("sends");
        let mut message = Vec::new();
        receiver.receive(&mut message).await.expect("receives");
        assert_eq!(message, long);
        receiver.receive(&mut message).await.expect("receives");
        assert_eq!(message, b"short");
        drop(sender);
        let error = receiver.receive(&mut message).await.expect_err("it ended");
        assert_eq!(error.reason(), &CONNECTION_LOST);
    }

    #[tokio::test]
    async fn answers_to_the_handshake_are_told_apart() {
        for (answer, reason) in [
            ([0, 0, 4, 4], &UNSUPPORTED_VERSION),
            ([0, 0, 0, 0], &UNSUPPORTED_VERSION),
            (*b"HTTP", &UNREACHABLE),
            (*b"-ERR", &UNREACHABLE),
        ] {
            let (near, mut far) = tokio::io::duplex(1 << 10);
            far.write_all(&answer).await.expect("writes");
            let error = wire(near).handshake(Tls::Off).await.expect_err("refused");
            assert_eq!(error.reason(), reason, "{answer:?}");
        }
        let (near, mut far) = tokio::io::duplex(1 << 10);
        far.write_all(&[0, 0, 4, 5]).await.expect("writes");
        assert_eq!(wire(near).handshake(Tls::Off).await.expect("agrees"), 4);
    }
}
