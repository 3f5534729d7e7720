//! Values that are larger than the server takes in one argument (`proto-max-bulk-len`): written by the commands of their
//! type, a part at a time.

use ::redis::{Cmd, Pipeline, cmd};

use crate::capture::PartInfo;
use crate::error::{Error, Result};

use super::connect::Conn;
use super::rdb::{Entry, Piece, Value, kind};
use super::restore::all_ok;
use super::{TOO_LARGE, record};

/// What servers take in one argument unless set otherwise.
const DEFAULT_LIMIT: usize = 512 * 1024 * 1024;

/// Bytes of one command.
const AT_ONCE: usize = 512 * 1024;

/// Arguments of one command.
const MOST: usize = 1_024;

/// The longest argument that the server takes.
pub(super) async fn limit(conn: &mut Conn) -> usize {
    let name = "proto-max-bulk-len";
    let pair: Result<Vec<String>> = conn.query(cmd("CONFIG").arg("GET").arg(name)).await;
    let told = pair.ok().and_then(|pair| pair.get(1)?.parse().ok());
    told.unwrap_or(DEFAULT_LIMIT)
}

/// What a part's description calls the largest value that a server takes in one argument or not at all.
pub(super) const LARGEST: &str = "largest-indivisible";

/// Below this, servers take everything: the setting cannot be smaller.
const ALWAYS: u64 = 1024 * 1024;

/// Looks for the largest value that cannot be written in parts.
#[derive(Default)]
pub(super) struct Largest {
    key: Vec<u8>,
    what: &'static str,
    bytes: u64,
    /// What is coming in pieces, and its bytes so far.
    coming: Option<(&'static str, u64)>,
}

impl Largest {
    /// Looks at one entry of a capture.
    pub(super) fn look(&mut self, entry: &Entry) {
        let more = entry.payload.len() as u64;
        if matches!(entry.piece, Piece::Whole | Piece::First) {
            self.coming = match entry.payload.first() {
                Some(&kind::STRING) => Some(("string", 0)),
                Some(&kind::MODULE_2) => Some(("module's value", 0)),
                Some(
                    &(kind::STREAM_LISTPACKS
                    | kind::STREAM_LISTPACKS_2
                    | kind::STREAM_LISTPACKS_3
                    | kind::STREAM_LISTPACKS_4),
                ) => Some(("stream", 0)),
                _ => None,
            };
        }
        let Some((what, bytes)) = &mut self.coming else {
            return;
        };
        *bytes += more;
        if *bytes > self.bytes.max(ALWAYS) {
            (self.bytes, self.what) = (*bytes, what);
            self.key.clone_from(&entry.key);
        }
    }

    /// What is to be remembered.
    pub(super) fn meta(&self) -> Option<serde_json::Value> {
        let key = String::from_utf8_lossy(&self.key);
        (self.bytes > 0)
            .then(|| serde_json::json!({"key": key, "type": self.what, "bytes": self.bytes}))
    }
}

/// Refuses parts with a value that the server would take neither at once nor in parts.
pub(super) async fn admissible(conn: &mut Conn, parts: &[PartInfo]) -> Result<()> {
    let largest = parts.iter().filter_map(|part| {
        let largest = part.meta.get(LARGEST)?;
        let text = |name: &str| Some(largest.get(name)?.as_str()?.to_owned());
        Some((largest.get("bytes")?.as_u64()?, text("key")?, text("type")?))
    });
    let Some((bytes, key, what)) = largest.max() else {
        return Ok(());
    };
    if bytes <= limit(conn).await as u64 {
        return Ok(());
    }
    Err(too_large(key.as_bytes(), &what, bytes))
}

/// Writes a value under a key of ours, without its expiry.
///
/// # Errors
/// `redis.value-too-large` for what cannot be written in parts: strings, streams and modules' values.
pub(super) async fn write(
    conn: &mut Conn,
    database: u32,
    entry: &Entry,
    aside: &str,
) -> Result<()> {
    let value = record::value(database, entry)?;
    if let Some(what) = indivisible(&value) {
        return Err(too_large(&entry.key, what, entry.payload.len() as u64));
    }
    let mut delete = Pieces::of(conn, aside.as_bytes());
    delete.run(cmd("DEL").arg(aside)).await?;
    add(conn, aside.as_bytes(), &value).await
}

/// What a value is that is taken in one argument or not at all: a string may not be longer than that, the others would lose
/// something.
fn indivisible(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) => Some("string"),
        Value::Stream(_) => Some("stream"),
        Value::Module(_) => Some("module's value"),
        Value::List(_) | Value::Set(_) | Value::Hash(_) | Value::Zset(_) => None,
    }
}

/// A value that the server takes neither at once nor in parts.
pub(super) fn too_large(key: &[u8], what: &str, bytes: u64) -> Error {
    Error::new(
        &TOO_LARGE,
        format!(
            "key `{}` is a {what} of {bytes} bytes, more than the server takes in one argument",
            key.escape_ascii()
        ),
    )
    .hint("Raise it for the restore: `CONFIG SET proto-max-bulk-len`.")
}

/// Adds a further piece to the value that is being put together.
pub(super) async fn append(
    conn: &mut Conn,
    database: u32,
    entry: &Entry,
    aside: &str,
) -> Result<()> {
    let value = record::value(database, entry)?;
    add(conn, aside.as_bytes(), &value).await
}

/// How a value took its name.
pub(super) enum Named {
    Done,
    /// Another has it, which was not to be replaced.
    Taken,
    /// It expired before.
    Expired,
}

/// Gives a value that was put together its expiry and its name.
pub(super) async fn name(
    conn: &mut Conn,
    entry: &Entry,
    aside: &str,
    replace: bool,
) -> Result<Named> {
    let mut pipeline = Pipeline::with_capacity(2);
    if entry.expiry != 0 {
        pipeline.cmd("PEXPIREAT").arg(aside).arg(entry.expiry);
    }
    let rename = if replace { "RENAME" } else { "RENAMENX" };
    pipeline.cmd(rename).arg(aside).arg(&entry.key);
    let mut named = Named::Done;
    for answer in conn.pipeline(&mut pipeline, rename).await? {
        match answer {
            ::redis::Value::ServerError(error)
                if error.details().is_some_and(|d| d.contains("no such key")) =>
            {
                named = Named::Expired;
            }
            ::redis::Value::ServerError(error) => return Err(conn.error(rename, &error.into())),
            ::redis::Value::Int(0) if !replace => named = Named::Taken,
            _ => {}
        }
    }
    if matches!(named, Named::Taken) {
        let _: u64 = conn.query(cmd("DEL").arg(aside)).await?;
    }
    Ok(named)
}

async fn add(conn: &mut Conn, key: &[u8], value: &Value) -> Result<()> {
    let mut pieces = Pieces::of(conn, key);
    match value {
        Value::String(bytes) => {
            for piece in bytes.chunks(AT_ONCE) {
                pieces.run(cmd("APPEND").arg(key).arg(piece)).await?;
            }
        }
        Value::List(items) => {
            for item in items {
                pieces.add("RPUSH", &[item]).await?;
            }
        }
        Value::Set(members) => {
            for member in members {
                pieces.add("SADD", &[member]).await?;
            }
        }
        Value::Hash(fields) => {
            for field in fields {
                pieces.add("HSET", &[&field.name, &field.value]).await?;
            }
            pieces.flush().await?;
            let passing: Vec<_> = fields.iter().filter(|f| f.expiry != 0).collect();
            for some in passing.chunks(MOST) {
                let mut pipeline = Pipeline::with_capacity(some.len());
                for field in some {
                    let expire = pipeline.cmd("HPEXPIREAT").arg(key).arg(field.expiry);
                    expire.arg("FIELDS").arg(1).arg(&field.name);
                }
                all_ok(pieces.conn, &mut pipeline, "HPEXPIREAT").await?;
            }
        }
        Value::Zset(members) => {
            for (member, score) in members {
                // The shortest text that is this double and no other.
                let score = format!("{score:e}");
                pieces.add("ZADD", &[score.as_bytes(), member]).await?;
            }
        }
        Value::Stream(_) | Value::Module(_) => {
            return Err(Error::bug("a stream or a module's value was cut"));
        }
    }
    pieces.flush().await
}

struct Pieces<'a> {
    conn: &'a mut Conn,
    key: &'a [u8],
    command: Option<(Cmd, usize)>,
    weight: usize,
}

impl<'a> Pieces<'a> {
    fn of(conn: &'a mut Conn, key: &'a [u8]) -> Self {
        Pieces {
            conn,
            key,
            command: None,
            weight: 0,
        }
    }

    /// Adds arguments to the command being put together; sends it when it is large enough.
    async fn add(&mut self, name: &'static str, arguments: &[&[u8]]) -> Result<()> {
        let (command, count) = self.command.get_or_insert_with(|| {
            let mut command = cmd(name);
            command.arg(self.key);
            (command, 0)
        });
        for argument in arguments {
            command.arg(*argument);
            self.weight += argument.len();
        }
        *count += 1;
        if *count >= MOST || self.weight >= AT_ONCE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.weight = 0;
        match self.command.take() {
            Some((command, _)) => self.run(&command).await,
            None => Ok(()),
        }
    }

    async fn run(&mut self, command: &Cmd) -> Result<()> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command.clone());
        all_ok(self.conn, &mut pipeline, "a value in parts").await
    }
}
