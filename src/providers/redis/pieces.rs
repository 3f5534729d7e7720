//! Values that are larger than the server takes in one argument (`proto-max-bulk-len`): written by the commands of their
//! type, a part at a time.

use ::redis::{Cmd, Pipeline, cmd};

use crate::error::{Error, Result};

use super::connect::Conn;
use super::rdb::{Entry, Value};
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

/// Writes a value in the place of whatever has its key.
///
/// # Errors
/// `redis.value-too-large` for what cannot be written in parts: strings, streams and modules' values.
pub(super) async fn write(conn: &mut Conn, database: u32, entry: &Entry) -> Result<()> {
    let value = record::value(database, entry)?;
    let what = match &value {
        // It may not be longer than that at all; the others would lose something.
        Value::String(_) => "string",
        Value::Stream(_) => "stream",
        Value::Module(_) => "module's value",
        _ => {
            let mut delete = Pieces::of(conn, &entry.key);
            delete.run(cmd("DEL").arg(&entry.key)).await?;
            add(conn, &entry.key, &value).await?;
            if entry.expiry != 0 {
                let mut expire = cmd("PEXPIREAT");
                expire.arg(&entry.key).arg(entry.expiry);
                Pieces::of(conn, &entry.key).run(&expire).await?;
            }
            return Ok(());
        }
    };
    Err(Error::new(
        &TOO_LARGE,
        format!(
            "key `{}` is a {what} of {} bytes, more than the server takes in one argument",
            entry.key.escape_ascii(),
            entry.payload.len()
        ),
    )
    .hint("Raise it for the restore: `CONFIG SET proto-max-bulk-len`."))
}

/// Adds a further piece to the value that its key has.
pub(super) async fn append(conn: &mut Conn, database: u32, entry: &Entry) -> Result<()> {
    let value = record::value(database, entry)?;
    add(conn, &entry.key, &value).await
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
            for field in fields.iter().filter(|f| f.expiry != 0) {
                let mut expire = cmd("HPEXPIREAT");
                expire.arg(key).arg(field.expiry).arg("FIELDS");
                pieces.run(expire.arg(1).arg(&field.name)).await?;
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
