//! Records of a name, asked of one name server directly (RFC 1035): what it says now, with the time others may keep it.
//!
//! The system's resolver answers from files and caches as well and tells neither; before a cut-over both matter. Queries go over
//! UDP, and over TCP if the answer does not fit.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::error::{Error, Result};
use crate::reasons;
use crate::wait::Deadline;

reasons! {
    /// No answer.
    SILENT = "dns.no-answer", Unreachable, "The name server did not answer. Check its address, and whether UDP and TCP port 53 get through.";
    /// An answer that says nothing about the name.
    REFUSED = "dns.refused", Failed, "The name server answered, but not about the name: it refused, failed, or sent something that is no answer. The message says which.";
    /// Not a name or a server.
    BAD_NAME = "dns.bad-name", Usage, "A domain name has labels of 1 to 63 characters between dots, 253 in all; a name server is an address, with a port if it is not 53.";
}

/// Type codes (RFC 1035, 3.2.2; RFC 3596 for AAAA).
const TYPES: &[(Kind, u16)] = &[
    (Kind::A, 1),
    (Kind::Ns, 2),
    (Kind::Cname, 5),
    (Kind::Txt, 16),
    (Kind::Aaaa, 28),
];
/// How long one UDP try waits before the next.
const TRY: std::time::Duration = std::time::Duration::from_secs(2);
/// The class IN.
const INTERNET: u16 = 1;
/// An answer over UDP without extensions is no longer.
const DATAGRAM: usize = 512;

/// What kind of record is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// IPv4 addresses.
    #[default]
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Another name.
    Cname,
    /// Name servers.
    Ns,
    /// Texts.
    Txt,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Cname => "CNAME",
            Kind::Ns => "NS",
            Kind::Txt => "TXT",
        })
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// Whose it is.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// For how many seconds it may be kept.
    pub ttl: u32,
    /// An address, a name without its last dot, or a text.
    pub value: String,
}

/// What a server said of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who said it.
    pub server: SocketAddr,
    /// Whether the name exists at all.
    pub exists: bool,
    /// Whether the server is one of those that hold the zone.
    pub authoritative: bool,
    /// The records, the names that lead to them first.
    pub records: Vec<Record>,
}

impl Answer {
    /// The values of one kind, sorted.
    pub fn values(&self, kind: Kind) -> Vec<String> {
        let records = self.records.iter().filter(|r| r.kind == kind);
        let mut values: Vec<String> = records.map(|r| r.value.clone()).collect();
        values.sort();
        values.dedup();
        values
    }

    /// The longest time for which a cache may keep a part of it, in seconds; `None` without records.
    pub fn ttl(&self) -> Option<u32> {
        // A chain is forgotten with its first link: what counts is the shortest of it.
        self.records.iter().map(|r| r.ttl).min()
    }
}

/// `ADDRESS`, `ADDRESS:PORT`, `[V6]:PORT`.
pub fn server(text: &str) -> Result<SocketAddr> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    address
        .or_else(|_| text.parse::<SocketAddr>())
        .map_err(|e| {
            Error::new(
                &BAD_NAME,
                format!("`{text}` is not the address of a name server"),
            )
            .caused_by(e)
            .hint("Write an address, as in `10.0.0.2` or `10.0.0.2:5353`.")
        })
}

/// The first name server of this machine (`/etc/resolv.conf`, resolv.conf(5)).
pub fn system_server() -> Result<SocketAddr> {
    const FILE: &str = "/etc/resolv.conf";
    let text = std::fs::read_to_string(FILE).map_err(|e| Error::io("read", FILE, e))?;
    let named = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next())?
    });
    server(named.ok_or_else(|| {
        Error::new(&BAD_NAME, format!("`{FILE}` names no name server"))
            .hint("Name one in the step: `server: 10.0.0.2`.")
    })?)
}

/// Asks a server for records of a name.
pub async fn look_up(
    name: &str,
    kind: Kind,
    server: SocketAddr,
    deadline: Deadline,
) -> Result<Answer> {
    let mut id = [0_u8; 2];
    getrandom::fill(&mut id)
        .map_err(|e| Error::bug("the system gives no random numbers").caused_by(e.to_string()))?;
    let question = question(id, name, kind)?;
    let work = async {
        let bytes = datagram(&question, server, deadline).await?;
        // Truncated: the rest comes over TCP (RFC 1035, 4.2.1).
        if bytes.get(2).is_some_and(|flags| flags & 0x02 != 0) {
            return stream(&question, server).await;
        }
        Ok(bytes)
    };
    let silent = |e: std::io::Error| {
        Error::new(&SILENT, format!("name server `{server}` does not answer")).caused_by(e)
    };
    let bytes = tokio::time::timeout(deadline.left(), work)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(silent)?;
    let read = Reader {
        bytes: &bytes,
        at: 0,
    };
    read.answer(&question, server).map_err(|what| {
        Error::new(
            &REFUSED,
            format!("name server `{server}` {what}, asked for `{name}` {kind}"),
        )
    })
}

fn question(id: [u8; 2], name: &str, kind: Kind) -> Result<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let bad = || Error::new(&BAD_NAME, format!("`{name}` is not a domain name"));
    if name.is_empty() || name.len() > 253 {
        return Err(bad());
    }
    // Recursion desired, one question.
    let mut bytes = vec![id[0], id[1], 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        let plain = label.bytes().all(|b| b.is_ascii_graphic());
        let length = u8::try_from(label.len())
            .ok()
            .filter(|n| (1..=63).contains(n));
        let length = length.filter(|_| plain).ok_or_else(bad)?;
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    let code = TYPES
        .iter()
        .find(|(k, _)| *k == kind)
        .map_or(1, |(_, code)| *code);
    bytes.extend_from_slice(&code.to_be_bytes());
    bytes.extend_from_slice(&INTERNET.to_be_bytes());
    Ok(bytes)
}

async fn datagram(
    question: &[u8],
    server: SocketAddr,
    deadline: Deadline,
) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Only what comes from there is received.
    socket.connect(server).await?;
    let mut buffer = vec![0_u8; DATAGRAM * 8];
    loop {
        socket.send(question).await?;
        let patience = TRY.min(deadline.left());
        let answer = tokio::time::timeout(patience, async {
            loop {
                let read = socket.recv(&mut buffer).await?;
                if read >= 12 && buffer[..2] == question[..2] {
                    return Ok(buffer[..read].to_vec());
                }
            }
        });
        match answer.await {
            Ok(answer) => return answer,
            Err(_) if deadline.passed() => return Err(std::io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

async fn stream(question: &[u8], server: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), question].concat())
        .await?;
    let mut bytes = vec![0_u8; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Reads a message; an error says what the server did instead of answering.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

type Read<T> = std::result::Result<T, &'static str>;

const CUT: &str = "sent an answer that is cut short";

impl Reader<'_> {
    fn answer(mut self, question: &[u8], server: SocketAddr) -> Read<Answer> {
        let id = self.take(2)?.to_vec();
        let flags = self.number()?;
        let (questions, answers) = (self.number()?, self.number()?);
        self.take(4)?;
        if id != question[..2] || flags & 0x8000 == 0 || questions != 1 {
            return Err("sent something that is no answer to the question");
        }
        let exists = match flags & 0x000f {
            0 => true,
            3 => false,
            2 => return Err("failed (SERVFAIL)"),
            5 => return Err("refused"),
            _ => return Err("answered with an error"),
        };
        self.name()?;
        self.take(4)?;
        let mut records = Vec::new();
        for _ in 0..answers {
            records.extend(self.record()?);
        }
        Ok(Answer {
            server,
            exists,
            authoritative: flags & 0x0400 != 0,
            records,
        })
    }

    fn record(&mut self) -> Read<Option<Record>> {
        let name = self.name()?;
        let (code, class) = (self.number()?, self.number()?);
        let ttl = u32::from(self.number()?) << 16 | u32::from(self.number()?);
        let length = usize::from(self.number()?);
        let end = self.at + length;
        if end > self.bytes.len() {
            return Err(CUT);
        }
        let kind = TYPES
            .iter()
            .find(|(_, c)| *c == code)
            .map(|(kind, _)| *kind);
        let Some(kind) = kind.filter(|_| class == INTERNET) else {
            self.at = end;
            return Ok(None);
        };
        let data = &self.bytes[self.at..end];
        let value = match kind {
            Kind::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).map_err(|_| CUT)?).to_string(),
            Kind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).map_err(|_| CUT)?).to_string(),
            Kind::Cname | Kind::Ns => self.name()?,
            Kind::Txt => texts(data)?,
        };
        self.at = end;
        Ok(Some(Record {
            name,
            kind,
            ttl,
            value,
        }))
    }

    /// A name; pointers lead backwards only, so they end (RFC 1035, 4.1.4).
    fn name(&mut self) -> Read<String> {
        let mut labels: Vec<String> = Vec::new();
        let (mut at, mut after, mut limit) = (self.at, None, self.at);
        loop {
            let length = usize::from(*self.bytes.get(at).ok_or(CUT)?);
            match length {
                0 => {
                    at += 1;
                    break;
                }
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + length).ok_or(CUT)?;
                    labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                    at += 1 + length;
                }
                0xc0.. => {
                    let low = usize::from(*self.bytes.get(at + 1).ok_or(CUT)?);
                    let target = (length & 0x3f) << 8 | low;
                    after.get_or_insert(at + 2);
                    if target >= limit {
                        return Err("sent an answer whose names lead nowhere");
                    }
                    (at, limit) = (target, target);
                }
                _ => return Err("sent an answer whose names cannot be read"),
            }
        }
        self.at = after.unwrap_or(at);
        Ok(labels.join("."))
    }

    fn number(&mut self) -> Read<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn take(&mut self, count: usize) -> Read<&[u8]> {
        let taken = self.bytes.get(self.at..self.at + count).ok_or(CUT)?;
        self.at += count;
        Ok(taken)
    }
}

/// The pieces of a text record, one after the other.
fn texts(mut data: &[u8]) -> Read<String> {
    let mut out = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let piece = rest.get(..usize::from(*length)).ok_or(CUT)?;
        out.extend_from_slice(piece);
        data = &rest[piece.len()..];
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked() -> Vec<u8> {
        question([7, 9], "www.example.org", Kind::A).expect("a name")
    }

    fn at() -> SocketAddr {
        server("127.0.0.1").expect("an address")
    }

    fn read(bytes: &[u8]) -> Read<Answer> {
        Reader { bytes, at: 0 }.answer(&asked(), at())
    }

    /// An answer of an alias and an address, the names as pointers.
    fn answered(code: u8) -> Vec<u8> {
        let mut bytes = asked();
        bytes[2..4].copy_from_slice(&[0x85, code]);
        bytes[7] = 2;
        let alias = [
            0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 3, b'a', b'l', b'b', 0xc0, 16,
        ];
        let target = bytes.len() as u8 + 12;
        bytes.extend(alias);
        bytes.extend([0xc0, target, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, 7]);
        bytes
    }

    #[test]
    fn an_alias_and_its_address_are_read() {
        let answer = read(&answered(0)).expect("an answer");
        assert_eq!(answer.values(Kind::Cname), ["alb.example.org"]);
        assert_eq!(answer.values(Kind::A), ["192.0.2.7"]);
        assert_eq!(answer.records[1].name, "alb.example.org");
        assert_eq!(
            (answer.ttl(), answer.authoritative, answer.exists),
            (Some(60), true, true)
        );
        assert!(!read(&answered(3)).expect("an answer").exists);
        assert_eq!(read(&answered(5)), Err("refused"));
    }

    #[test]
    fn names_and_servers_are_checked() {
        for bad in ["", ".", "a..b", &"x".repeat(64), "a b"] {
            assert!(question([0, 0], bad, Kind::A).is_err(), "{bad}");
        }
        assert_eq!(server("10.0.0.2").expect("one").port(), 53);
        assert_eq!(server("[::1]:5353").expect("one").port(), 5353);
        assert!(server("ns.example.org").is_err());
    }

    proptest! {
        #[test]
        fn no_answer_panics(mut tail in proptest::collection::vec(any::<u8>(), 0..80), at in 0_usize..60, with in any::<u8>()) {
            let mut bytes = answered(0);
            bytes.append(&mut tail);
            let at = at.min(bytes.len() - 1);
            bytes[at] = with;
            let _ = read(&bytes);
            let _ = read(&bytes[..at]);
        }
    }
}
