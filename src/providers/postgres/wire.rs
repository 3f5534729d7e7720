//! A minimal client for moving rows: login, simple queries, and COPY in both directions over large buffers.
//!
//! Everything else goes through sqlx. A row costs a slice here instead of a message object, an allocation and a wake-up, which is
//! most of what a client spends on narrow rows. One row of any size passes in pieces, so that memory does not depend on it.
//! (PostgreSQL documentation, chapter 54, "Frontend/Backend Protocol".)
//!
//! Rows move on threads of their own ([`Wire::in_thread`]), with sockets that block: the server sends 8 KiB at a time, and an event
//! loop would be woken for every one of them.

use std::io;

use bytes::{BufMut as _, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::{backend, frontend};

use super::channel::{Channel, Cut, channel};
use super::session::{CONNECT_PATIENCE, server_said, tls_failed, within};
use super::{CONNECTION_LOST, LOGIN_REFUSED, QUERY_FAILED, Target};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::wait::Deadline;

/// How much is read at once.
const READ: usize = 256 * 1024;
/// A message longer than this is handed on in pieces as it arrives.
const WHOLE: usize = 1024 * 1024;
/// What a message costs beside its body: the type and the length.
const HEAD: usize = 5;
/// So much of a long message is handed on at first, or more: the head of a binary copy is in one piece.
const FIRST: usize = HEAD + 1024;
/// After so many bytes that were sent, the server may have something to say.
const GLANCE: usize = 4 * 1024 * 1024;

/// After this many bytes of rows, it is worth letting more gather.
const WARM: u64 = 1024 * 1024;

/// A connection.
pub(super) struct Wire {
    channel: Channel,
    inbox: Vec<u8>,
    /// Where in the inbox begins what was not handed on yet.
    start: usize,
    target: Target,
    /// Bytes of a long row that are still to come.
    rest: usize,
    /// Bytes read since the present COPY began; `None` outside of one.
    copied: Option<u64>,
    /// Bytes sent since the server's words were looked for.
    unheard: usize,
}

/// A row of COPY, or a piece of a long one.
pub(super) struct Piece<'a> {
    pub bytes: &'a [u8],
    /// Whether a row begins with it.
    pub first: bool,
    /// Whether its row ends with it.
    pub last: bool,
}

impl Wire {
    /// Connects and logs in.
    pub(super) async fn connect(target: &Target) -> Result<Wire> {
        within(target, Deadline::after(CONNECT_PATIENCE), async {
            let mut wire = Wire {
                channel: channel(target).await?,
                inbox: Vec::with_capacity(2 * READ),
                start: 0,
                target: target.clone(),
                rest: 0,
                copied: None,
                unheard: 0,
            };
            wire.log_in().await?;
            Ok(wire)
        })
        .await
    }

    async fn log_in(&mut self) -> Result<()> {
        let mut out = BytesMut::new();
        let parameters = [
            ("user", self.target.user.as_str()),
            ("database", self.target.database.as_str()),
            ("application_name", "summitctl"),
            ("client_encoding", "UTF8"),
        ];
        frontend::startup_message(parameters, &mut out).map_err(|e| self.odd(e))?;
        self.send(&out, "log in").await?;
        let password = self
            .target
            .password
            .clone()
            .unwrap_or_else(|| Secret::new(""));
        let mut scram: Option<ScramSha256> = None;
        loop {
            let (tag, body) = self.message("connect").await?;
            let mut out = BytesMut::new();
            match tag {
                b'E' => return Err(self.said("connect", &body)),
                b'Z' => return Ok(()),
                b'R' => match self.authentication(&body)? {
                    Asked::Nothing => {}
                    Asked::Password => {
                        frontend::password_message(password.expose().as_bytes(), &mut out)
                            .map_err(|e| self.odd(e))?;
                    }
                    Asked::Md5(salt) => {
                        let hash =
                            zeroize::Zeroizing::new(postgres_protocol::authentication::md5_hash(
                                self.target.user.as_bytes(),
                                password.expose().as_bytes(),
                                salt,
                            ));
                        frontend::password_message(hash.as_bytes(), &mut out)
                            .map_err(|e| self.odd(e))?;
                    }
                    Asked::Scram => {
                        let started = ScramSha256::new(
                            password.expose().as_bytes(),
                            ChannelBinding::unsupported(),
                        );
                        frontend::sasl_initial_response(SCRAM_SHA_256, started.message(), &mut out)
                            .map_err(|e| self.odd(e))?;
                        scram = Some(started);
                    }
                    Asked::Continue(data) => {
                        let started = scram.as_mut().ok_or_else(|| self.strange(tag))?;
                        let answer = started.update(&data);
                        answer.map_err(|e| refused(&self.target, &e.to_string()))?;
                        frontend::sasl_response(started.message(), &mut out)
                            .map_err(|e| odd(&self.target, e))?;
                    }
                    Asked::Final(data) => {
                        let started = scram.as_mut().ok_or_else(|| self.strange(tag))?;
                        let proved = started.finish(&data);
                        proved.map_err(|e| refused(&self.target, &e.to_string()))?;
                    }
                },
                // BackendKeyData, ParameterStatus, NoticeResponse, NegotiateProtocolVersion.
                b'K' | b'S' | b'N' | b'v' => {}
                other => return Err(self.strange(other)),
            }
            if !out.is_empty() {
                self.send(&out, "log in").await?;
            }
        }
    }

    fn authentication(&self, body: &[u8]) -> Result<Asked> {
        let mut framed = BytesMut::with_capacity(body.len() + HEAD);
        framed.put_u8(b'R');
        framed.put_u32(length(body.len()));
        framed.put_slice(body);
        let parsed = backend::Message::parse(&mut framed).map_err(|e| self.odd(e))?;
        use backend::Message as M;
        Ok(match parsed {
            Some(M::AuthenticationOk) => Asked::Nothing,
            Some(M::AuthenticationCleartextPassword) => Asked::Password,
            Some(M::AuthenticationMd5Password(m)) => Asked::Md5(m.salt()),
            Some(M::AuthenticationSasl(m)) => {
                use fallible_iterator::FallibleIterator as _;
                let mut mechanisms = m.mechanisms();
                while let Some(name) = mechanisms.next().map_err(|e| self.odd(e))? {
                    if name == SCRAM_SHA_256 {
                        return Ok(Asked::Scram);
                    }
                }
                return Err(refused(
                    &self.target,
                    "it wants a SASL mechanism other than SCRAM-SHA-256",
                ));
            }
            Some(M::AuthenticationSaslContinue(m)) => Asked::Continue(m.data().to_vec()),
            Some(M::AuthenticationSaslFinal(m)) => Asked::Final(m.data().to_vec()),
            _ => {
                return Err(refused(
                    &self.target,
                    "it asks for a kind of authentication that is not supported",
                ));
            }
        })
    }

    /// Runs statements that return nothing, by the simple protocol.
    pub(super) async fn run(&mut self, what: &str, sql: &str) -> Result<()> {
        self.query(what, sql).await?;
        let mut error = None;
        loop {
            let (tag, body) = self.message(what).await?;
            match tag {
                b'E' => error = error.or_else(|| Some(self.said(what, &body))),
                b'Z' => return error.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    async fn query(&mut self, what: &str, sql: &str) -> Result<()> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out).map_err(|e| self.odd(e))?;
        self.send(&out, what).await
    }

    /// Begins `COPY … TO STDOUT`; the rows come by [`Wire::rows`].
    pub(super) async fn copy_out(&mut self, what: &str, sql: &str) -> Result<()> {
        self.query(what, sql).await?;
        self.until(what, b'H').await?;
        self.copied = Some(0);
        Ok(())
    }

    /// Begins `COPY … FROM STDIN`; the data go by [`Wire::copy_data`] and end by [`Wire::copy_end`].
    pub(super) async fn copy_in(&mut self, what: &str, sql: &str) -> Result<()> {
        self.query(what, sql).await?;
        self.until(what, b'G').await
    }

    async fn until(&mut self, what: &str, wanted: u8) -> Result<()> {
        loop {
            let (tag, body) = self.message(what).await?;
            match tag {
                b'E' => return Err(self.said(what, &body)),
                b'S' | b'N' => {}
                tag if tag == wanted => return Ok(()),
                other => return Err(self.strange(other)),
            }
        }
    }

    /// Hands on the rows that are here, reading more if there are none. `false` once the last one was handed on.
    pub(super) async fn rows(
        &mut self,
        what: &str,
        mut each: impl FnMut(Piece<'_>) -> Result<()>,
    ) -> Result<bool> {
        if self.waits() {
            self.read(what).await?;
        }
        let mut at = self.start;
        let mut over = false;
        let mut failure = None;
        loop {
            let here = &self.inbox[at..];
            if self.rest > 0 {
                let take = self.rest.min(here.len());
                self.rest -= take;
                at += take;
                if take > 0 {
                    let piece = Piece {
                        bytes: &here[..take],
                        first: false,
                        last: self.rest == 0,
                    };
                    each(piece)?;
                }
                if self.rest > 0 {
                    break;
                }
                continue;
            }
            let Some((tag, body)) = head(here) else {
                break;
            };
            let whole = here.len() >= HEAD + body;
            match tag {
                b'd' if whole => {
                    let bytes = &here[HEAD..HEAD + body];
                    each(Piece {
                        bytes,
                        first: true,
                        last: true,
                    })?;
                }
                b'd' if body > WHOLE && here.len() >= FIRST => {
                    let bytes = &here[HEAD..];
                    each(Piece {
                        bytes,
                        first: true,
                        last: false,
                    })?;
                    self.rest = body - bytes.len();
                    at = self.inbox.len();
                    break;
                }
                _ if !whole => break,
                b'E' => failure = Some(HEAD + at..HEAD + at + body),
                b'Z' => over = true,
                // CopyDone, CommandComplete, ParameterStatus, NoticeResponse.
                b'c' | b'C' | b'S' | b'N' => {}
                other => return Err(self.strange(other)),
            }
            at += HEAD + body;
            if over || failure.is_some() {
                break;
            }
        }
        if let Some(range) = failure {
            return Err(self.said(what, &self.inbox[range]));
        }
        self.start = at;
        if over {
            self.copied = None;
        }
        Ok(!over)
    }

    /// Whether nothing can be handed on before more is read.
    fn waits(&self) -> bool {
        let here = &self.inbox[self.start..];
        if self.rest > 0 {
            return here.is_empty();
        }
        match head(here) {
            Some((b'd', body)) if body > WHOLE => here.len() < FIRST,
            Some((_, body)) => here.len() < HEAD + body,
            None => true,
        }
    }

    /// Sends a stretch of the data of `COPY … FROM STDIN`; where it begins and ends does not matter.
    pub(super) async fn copy_data(&mut self, what: &str, data: &[u8]) -> Result<()> {
        let mut start = [b'd', 0, 0, 0, 0];
        start[1..].copy_from_slice(&length(data.len()).to_be_bytes());
        self.send_plain(&start, what).await?;
        self.send_plain(data, what).await?;
        self.unheard += data.len();
        if self.unheard < GLANCE {
            return Ok(());
        }
        self.unheard = 0;
        self.refused(what).await
    }

    /// Fails if the server has refused the rows already: it reads on to their end, and keeps none.
    async fn refused(&mut self, what: &str) -> Result<()> {
        self.inbox.drain(..self.start);
        self.start = 0;
        self.inbox.reserve(READ);
        let read = self.channel.read_here(&mut self.inbox).await;
        read.map_err(|e| self.lost(what, e))?;
        while let Some((tag, body)) = head(&self.inbox[self.start..])
            && self.inbox.len() - self.start >= HEAD + body
        {
            let from = self.start + HEAD;
            if tag == b'E' {
                return Err(self.said(what, &self.inbox[from..from + body]));
            }
            self.start = from + body;
        }
        Ok(())
    }

    /// Ends the data, and says how many rows the server stored.
    pub(super) async fn copy_end(&mut self, what: &str) -> Result<u64> {
        let mut out = BytesMut::new();
        frontend::copy_done(&mut out);
        self.send(&out, what).await?;
        let mut stored = 0;
        let mut error = None;
        loop {
            let (tag, body) = self.message(what).await?;
            match tag {
                b'E' => error = error.or_else(|| Some(self.said(what, &body))),
                // `COPY 42`
                b'C' => {
                    let text = String::from_utf8_lossy(&body);
                    let number = text.trim_end_matches('\0').rsplit(' ').next();
                    stored = number.and_then(|n| n.parse().ok()).unwrap_or(0);
                }
                b'Z' => return error.map_or(Ok(stored), Err),
                _ => {}
            }
        }
    }

    /// Ends the session politely; the peer may be gone already, which is as good.
    pub(super) async fn close(mut self) {
        let mut out = BytesMut::new();
        frontend::terminate(&mut out);
        let _ = self.channel.write(&out).await;
        let _ = self.channel.flush().await;
    }

    /// Runs `work` on a thread of its own, where waiting for the socket may block. The connection is cut when the caller stops
    /// waiting, which ends the work.
    pub(super) async fn in_thread<T, F>(
        mut self,
        work: impl FnOnce(Wire) -> F + Send + 'static,
    ) -> Result<(Wire, T)>
    where
        T: Send + 'static,
        F: Future<Output = Result<(Wire, T)>>,
    {
        let place = self.target.place();
        let failed = |e: io::Error| {
            Error::new(
                &CONNECTION_LOST,
                format!("lost the connection to Postgres {place}"),
            )
            .caused_by(e)
        };
        self.channel = self.channel.blocking().map_err(failed)?;
        let cut = Cut(Some(self.channel.handle().map_err(failed)?));
        let runtime = tokio::runtime::Handle::current();
        let done = tokio::task::spawn_blocking(move || runtime.block_on(work(self))).await;
        cut.spare();
        let (mut wire, out) =
            done.map_err(|e| Error::bug("a thread that moves rows broke").caused_by(e))??;
        wire.channel = wire.channel.waiting().map_err(failed)?;
        Ok((wire, out))
    }

    /// The next whole message.
    async fn message(&mut self, what: &str) -> Result<(u8, Vec<u8>)> {
        loop {
            let here = &self.inbox[self.start..];
            if let Some((tag, body)) = head(here)
                && here.len() >= HEAD + body
            {
                let message = here[HEAD..HEAD + body].to_vec();
                self.start += HEAD + body;
                return Ok((tag, message));
            }
            self.read(what).await?;
        }
    }

    async fn read(&mut self, what: &str) -> Result<()> {
        self.inbox.drain(..self.start);
        self.start = 0;
        self.inbox.reserve(READ);
        let gather = self.copied.is_some_and(|bytes| bytes >= WARM);
        match self.channel.read(&mut self.inbox, gather).await {
            Ok(0) => Err(self.lost(what, io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => {
                if let Some(copied) = &mut self.copied {
                    *copied += read as u64;
                }
                Ok(())
            }
            Err(e) => Err(self.lost(what, e)),
        }
    }

    async fn send(&mut self, bytes: &[u8], what: &str) -> Result<()> {
        self.send_plain(bytes, what).await?;
        let flushed = self.channel.flush().await;
        flushed.map_err(|e| self.lost(what, e))
    }

    /// While rows go in, the server may have refused them already: its reason counts, not the broken pipe.
    async fn send_plain(&mut self, bytes: &[u8], what: &str) -> Result<()> {
        let Err(e) = self.channel.write(bytes).await else {
            return Ok(());
        };
        while let Ok((tag, body)) = Box::pin(self.message(what)).await {
            if tag == b'E' {
                return Err(self.said(what, &body));
            }
        }
        Err(self.lost(what, e))
    }

    fn lost(&self, what: &str, e: io::Error) -> Error {
        if e.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            return tls_failed(&self.target, e);
        }
        Error::new(
            &CONNECTION_LOST,
            format!(
                "lost the connection to Postgres {} while trying to {what}",
                self.target.place()
            ),
        )
        .caused_by(e)
    }

    /// The server's error, from its fields (section 54.8).
    fn said(&self, what: &str, body: &[u8]) -> Error {
        let mut code = String::new();
        let mut message = String::new();
        for field in body.split(|b| *b == 0).filter(|f| f.len() > 1) {
            let text = String::from_utf8_lossy(&field[1..]).into_owned();
            match field[0] {
                b'C' => code = text,
                b'M' => message = text,
                _ => {}
            }
        }
        server_said(&self.target, what, &code, &message)
    }

    fn strange(&self, tag: u8) -> Error {
        Error::new(
            &QUERY_FAILED,
            format!(
                "Postgres {} sent an unexpected message `{}`",
                self.target.place(),
                char::from(tag).escape_default()
            ),
        )
    }

    fn odd(&self, e: io::Error) -> Error {
        odd(&self.target, e)
    }
}

/// What an authentication message asks for.
enum Asked {
    Nothing,
    Password,
    Md5([u8; 4]),
    Scram,
    Continue(Vec<u8>),
    Final(Vec<u8>),
}

/// The type of the message that begins here, and the length of its body.
fn head(bytes: &[u8]) -> Option<(u8, usize)> {
    let length = bytes.get(1..HEAD)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    Some((bytes[0], (length as usize).saturating_sub(4)))
}

/// A message's length field counts itself.
fn length(body: usize) -> u32 {
    u32::try_from(body + 4).unwrap_or(u32::MAX)
}

fn odd(target: &Target, e: io::Error) -> Error {
    Error::new(
        &QUERY_FAILED,
        format!("Postgres {} does not follow its protocol", target.place()),
    )
    .caused_by(e)
}

fn refused(target: &Target, why: &str) -> Error {
    Error::new(
        &LOGIN_REFUSED,
        format!(
            "the login of `{}` to Postgres {} failed: {why}",
            target.user,
            target.place()
        ),
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    use super::*;

    fn between() -> (Wire, UnixStream) {
        let (ours, server) = UnixStream::pair().expect("a pair of sockets");
        let wire = Wire {
            channel: Channel::Unix(ours),
            inbox: Vec::new(),
            start: 0,
            target: Target::parse("postgres://u@h/app", None, None).expect("parses"),
            rest: 0,
            copied: Some(0),
            unheard: 0,
        };
        (wire, server)
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&length(body.len()).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[tokio::test]
    async fn a_long_first_row_of_which_little_has_come_is_waited_for() {
        let (mut wire, mut server) = between();
        let row = vec![7; 3 * WHOLE];
        let mut sent = message(b'd', &row);
        sent.extend(message(b'Z', b"I"));
        let (few, rest) = sent.split_at(HEAD + 3);
        let (few, rest) = (few.to_vec(), rest.to_vec());
        server.write_all(&few).await.expect("sends");
        let late = tokio::spawn(async move {
            // Only once what there is was looked at.
            tokio::task::yield_now().await;
            server.write_all(&rest).await.expect("sends");
            server
        });
        let mut pieces = Vec::new();
        let mut each = |piece: Piece<'_>| {
            pieces.push(piece.bytes.len());
            Ok(())
        };
        while wire.rows("read", &mut each).await.expect("reads") {}
        late.await.expect("ends");
        assert_eq!(pieces.iter().sum::<usize>(), row.len());
        assert!(pieces[0] >= FIRST - HEAD, "{pieces:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_that_the_server_refuses_are_not_sent_to_the_end() {
        for blocking in [false, true] {
            let (mut wire, mut server) = between();
            if blocking {
                wire.channel = wire.channel.blocking().expect("blocks");
            }
            let said = message(b'E', b"SERROR\0C53100\0Mno space left\0\0");
            server.write_all(&said).await.expect("says");
            let reads = tokio::spawn(async move {
                let mut all = 0;
                let mut buffer = vec![0; READ];
                while let Ok(read @ 1..) = server.read(&mut buffer).await {
                    all += read;
                }
                all
            });
            let row = vec![7; WHOLE];
            let mut error = None;
            for _ in 0..100 {
                error = wire.copy_data("load", &row).await.err();
                if error.is_some() {
                    break;
                }
            }
            drop(wire);
            let error = error.expect("is told");
            assert_eq!(error.reason().code, "postgres.disk-full", "{error:?}");
            let sent = reads.await.expect("ends");
            assert!(sent < 2 * GLANCE, "{sent} bytes");
        }
    }
}
