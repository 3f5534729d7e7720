//! The socket under a [`super::wire::Wire`]: plain or TLS, waiting in the event loop or blocking a thread.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as BlockingUnix;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use postgres_protocol::message::frontend;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::session::tls_failed;
use super::target::TlsMode;
use super::{Target, UNREACHABLE};
use crate::error::{Error, Result};
use crate::tls::{self, Check};

/// A read that got less than this leaves the next one time to get more.
const FEW: usize = 128 * 1024;
/// That time. Nobody waits on the socket meanwhile, so that the server need not wake anybody.
const NAP: Duration = Duration::from_micros(500);

/// A socket.
pub(super) enum Channel {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Blocks, and whether the last read got little.
    Blocking(Blocking, bool),
}

/// A socket whose calls block.
pub(super) enum Blocking {
    Tcp(std::net::TcpStream),
    Unix(BlockingUnix),
}

impl AsFd for Blocking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Blocking::Tcp(stream) => stream.as_fd(),
            Blocking::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Blocking {
    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Blocking::Tcp(stream) => stream.set_nonblocking(on),
            Blocking::Unix(stream) => stream.set_nonblocking(on),
        }
    }

    /// Cuts the connection at both ends, whoever reads or writes. What is closed already is as good.
    fn cut(&self) {
        match self {
            // Resets it: after a shutdown, a server that waits for room to send would wait on, and keep its locks.
            Blocking::Tcp(stream) => {
                let _ = rustix::net::connect_unspec(stream);
            }
            Blocking::Unix(stream) => {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Cuts a connection that somebody else uses, unless it is spared.
pub(super) struct Cut(pub(super) Option<Blocking>);

impl Cut {
    pub(super) fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.cut();
        }
    }
}

/// A peer that does not answer any more, because a cable or a firewall's memory of the connection is gone, is an error after two
/// minutes, whether we read or write: a server may be silent for hours, its kernel is not.
fn notice_silence(stream: &impl AsFd) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 6)?;
    sockopt::set_tcp_user_timeout(stream, 120_000)?;
    Ok(())
}

/// [`notice_silence`] of the connections of this process to a port: those of sqlx, which keeps its sockets to itself.
pub(super) fn notice_silence_of(port: u16) -> io::Result<()> {
    let ourselves = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|n| n.parse().ok());
        // What was closed meanwhile is none of ours.
        let (Some(number), Ok(what)) = (number, std::fs::read_link(entry.path())) else {
            continue;
        };
        if !what.to_string_lossy().starts_with("socket:") {
            continue;
        }
        let Ok(socket) = pidfd_getfd(&ourselves, number, PidfdGetfdFlags::empty()) else {
            continue;
        };
        let peer = rustix::net::getpeername(&socket).ok().flatten();
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        if peer.is_some_and(|peer| peer.port() == port) {
            notice_silence(&socket)?;
        }
    }
    Ok(())
}

impl Channel {
    /// The same socket, blocking. TLS stays as it is.
    pub(super) fn blocking(self) -> io::Result<Channel> {
        let socket = match self {
            Channel::Tcp(stream) => Blocking::Tcp(stream.into_std()?),
            Channel::Unix(stream) => Blocking::Unix(stream.into_std()?),
            other => return Ok(other),
        };
        socket.set_nonblocking(false)?;
        Ok(Channel::Blocking(socket, false))
    }

    /// The same socket, waiting in the event loop again.
    pub(super) fn waiting(self) -> io::Result<Channel> {
        let Channel::Blocking(socket, _) = self else {
            return Ok(self);
        };
        socket.set_nonblocking(true)?;
        Ok(match socket {
            Blocking::Tcp(stream) => Channel::Tcp(TcpStream::from_std(stream)?),
            Blocking::Unix(stream) => Channel::Unix(UnixStream::from_std(stream)?),
        })
    }

    /// A second handle of the socket.
    pub(super) fn handle(&self) -> io::Result<Blocking> {
        let tcp = |fd: BorrowedFd<'_>| Ok(Blocking::Tcp(fd.try_clone_to_owned()?.into()));
        let unix = |fd: BorrowedFd<'_>| Ok(Blocking::Unix(fd.try_clone_to_owned()?.into()));
        match self {
            Channel::Tcp(stream) => tcp(stream.as_fd()),
            Channel::Tls(stream) => tcp(stream.get_ref().0.as_fd()),
            Channel::Blocking(Blocking::Tcp(stream), _) => tcp(stream.as_fd()),
            Channel::Unix(stream) => unix(stream.as_fd()),
            Channel::Blocking(Blocking::Unix(stream), _) => unix(stream.as_fd()),
        }
    }

    /// Reads into the buffer's spare room. `gather`: rather much at once than soon.
    pub(super) async fn read(&mut self, into: &mut Vec<u8>, gather: bool) -> io::Result<usize> {
        match self {
            Channel::Tcp(stream) => stream.read_buf(into).await,
            Channel::Unix(stream) => stream.read_buf(into).await,
            Channel::Tls(stream) => stream.read_buf(into).await,
            Channel::Blocking(socket, few) => {
                if gather && *few {
                    std::thread::sleep(NAP);
                }
                let read =
                    rustix::io::retry_on_intr(|| rustix::io::read(&*socket, spare_capacity(into)))?;
                *few = read < FEW;
                Ok(read)
            }
        }
    }

    /// Reads what is here already, if anything is.
    pub(super) async fn read_here(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let here = match self {
            Channel::Tcp(stream) => stream.read_buf(into).now_or_never(),
            Channel::Unix(stream) => stream.read_buf(into).now_or_never(),
            Channel::Tls(stream) => stream.read_buf(into).now_or_never(),
            Channel::Blocking(socket, _) => {
                let room = spare_capacity(into);
                match rustix::net::recv(&*socket, room, RecvFlags::DONTWAIT) {
                    Ok((read, _)) => Some(Ok(read)),
                    Err(Errno::AGAIN | Errno::INTR) => None,
                    Err(e) => Some(Err(e.into())),
                }
            }
        };
        here.unwrap_or(Ok(0))
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Channel::Tcp(stream) => stream.write_all(bytes).await,
            Channel::Unix(stream) => stream.write_all(bytes).await,
            Channel::Tls(stream) => stream.write_all(bytes).await,
            Channel::Blocking(Blocking::Tcp(stream), _) => io::Write::write_all(stream, bytes),
            Channel::Blocking(Blocking::Unix(stream), _) => io::Write::write_all(stream, bytes),
        }
    }

    /// Sends what TLS may still hold.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Channel::Tls(stream) => stream.flush().await,
            _ => Ok(()),
        }
    }
}

/// Connects, with TLS as far as the target asks for it.
pub(super) async fn channel(target: &Target) -> Result<Channel> {
    let unreachable = |e: io::Error| {
        Error::new(
            &UNREACHABLE,
            format!("cannot reach Postgres {}", target.place()),
        )
        .caused_by(e)
    };
    if target.host.starts_with('/') {
        let path = format!(
            "{}/.s.PGSQL.{}",
            target.host.trim_end_matches('/'),
            target.port
        );
        let stream = UnixStream::connect(path).await.map_err(unreachable)?;
        return Ok(Channel::Unix(stream));
    }
    let host = target.host.trim_start_matches('[').trim_end_matches(']');
    let mut tcp = TcpStream::connect((host, target.port))
        .await
        .map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    notice_silence(&tcp).map_err(unreachable)?;
    let check = match target.tls {
        TlsMode::Disable => return Ok(Channel::Tcp(tcp)),
        // As in libpq, an authority that is named is also asked.
        TlsMode::Require if target.root_cert.is_some() => Check::Authority,
        TlsMode::Prefer | TlsMode::Require => Check::Nothing,
        TlsMode::VerifyCa => Check::Authority,
        TlsMode::VerifyFull => Check::Name,
    };
    let mut out = BytesMut::new();
    frontend::ssl_request(&mut out);
    tcp.write_all(&out).await.map_err(unreachable)?;
    if tcp.read_u8().await.map_err(unreachable)? != b'S' {
        if target.tls == TlsMode::Prefer {
            return Ok(Channel::Tcp(tcp));
        }
        return Err(tls_failed(
            target,
            io::Error::other("the server does not offer TLS"),
        ));
    }
    let config = tls::client(check, target.root_cert.as_deref())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|e| tls_failed(target, e))?;
    let secured = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|e| tls_failed(target, e))?;
    Ok(Channel::Tls(Box::new(secured)))
}
