//! A small Bolt 5 client that hands out raw records.
//!
//! General drivers turn values into their own types and may lose a zone in a clock change, read mode, or a timeout on
//! the way. Here a record is what the server sent. Versions 5.0 to 5.4 are spoken.
//!
//! Two ways to read: [`Connection::run`] asks for one batch of `PULL` at a time and builds values. For the data plane
//! [`Connection::ask`] sends several queries ahead, so that the server never waits for a request, and
//! [`Connection::next_raw`] lends each record's bytes: what is in flight is bounded by TCP's own flow control, and memory
//! by the largest record.

pub mod packstream;
pub mod raw;
mod wire;

use std::time::Duration;

use packstream::Value;
use raw::Raw;
use wire::Wire;

use super::target::Target;
use super::{
    DATABASE_MISSING, FORBIDDEN, LOGIN_REFUSED, PROTOCOL, QUERY_FAILED, TRANSIENT, UNREACHABLE,
};
use crate::error::{Error, Result};
use crate::time::Span;
use crate::wait::Deadline;

/// Message tags of the Bolt specification, "Messages".
mod tag {
    pub const HELLO: u8 = 0x01;
    pub const GOODBYE: u8 = 0x02;
    pub const RESET: u8 = 0x0F;
    pub const RUN: u8 = 0x10;
    pub const BEGIN: u8 = 0x11;
    pub const COMMIT: u8 = 0x12;
    pub const ROLLBACK: u8 = 0x13;
    pub const PULL: u8 = 0x3F;
    pub const LOGON: u8 = 0x6A;
    pub const SUCCESS: u8 = 0x70;
    pub const RECORD: u8 = 0x71;
    pub const IGNORED: u8 = 0x7E;
    pub const FAILURE: u8 = 0x7F;
}

/// Records asked for at a time: enough to hide the round trip, few enough to bound what is in flight.
const BATCH: i64 = 2_000;

/// `PULL`'s number for all that there are (Bolt specification, "PULL").
const ALL: i64 = -1;

/// A message buffer is kept for the next message up to this size.
const KEPT: usize = 4 << 20;

/// Whether a transaction may write. The server enforces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It may only read.
    Read,
    /// It may write.
    Write,
}

/// How a transaction is begun.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Read or write.
    pub mode: Mode,
    /// When the server ends it; zero means never, whatever the server's own default.
    pub timeout: Duration,
    /// It sees at least what these transactions wrote, wholly applied.
    pub bookmarks: Vec<String>,
    /// What we do, shown to the server's operator by `SHOW TRANSACTIONS`.
    pub task: &'static str,
}

impl Begin {
    /// A reading transaction that the server ends after five minutes.
    pub fn read(task: &'static str) -> Begin {
        Begin {
            mode: Mode::Read,
            timeout: Duration::from_secs(300),
            bookmarks: Vec::new(),
            task,
        }
    }

    /// A writing transaction that the server ends after ten minutes.
    pub fn write(task: &'static str) -> Begin {
        Begin {
            mode: Mode::Write,
            timeout: Duration::from_secs(600),
            ..Begin::read(task)
        }
    }

    /// The same without a time limit.
    pub fn unlimited(mut self) -> Begin {
        self.timeout = Duration::ZERO;
        self
    }

    fn extra(&self, database: Option<&str>) -> Value {
        let timeout = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let metadata = Value::map([
            ("app", Value::from("summitctl")),
            ("task", self.task.into()),
        ]);
        let mut entries = vec![
            ("tx_timeout", Value::Int(timeout)),
            ("tx_metadata", metadata),
        ];
        if self.mode == Mode::Read {
            entries.push(("mode", "r".into()));
        }
        if !self.bookmarks.is_empty() {
            let bookmarks = self.bookmarks.iter().cloned().map(Value::String).collect();
            entries.push(("bookmarks", Value::List(bookmarks)));
        }
        if let Some(database) = database {
            entries.push(("db", database.into()));
        }
        Value::map(entries)
    }
}

/// A logged-in connection.
pub struct Connection {
    wire: Wire,
    database: Option<String>,
    /// What the server calls itself: `Neo4j/5.26.16`.
    pub agent: String,
    /// What the server calls the connection: `bolt-7`. A server that was restarted gives it anew.
    pub id: String,
    /// Bolt 5's minor version.
    pub minor: u8,
    message: Vec<u8>,
    /// The server refuses everything until it is reset.
    failed: bool,
    /// Records are still to be read: an answer to anything else would be taken for one.
    streaming: bool,
    /// Queries that were asked ahead, the one that is being read included.
    asked: usize,
}

impl Connection {
    /// Connects and logs in before the deadline.
    pub async fn open(target: &Target, deadline: Deadline) -> Result<Connection> {
        match tokio::time::timeout(deadline.left(), Self::connect(target)).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(
                &UNREACHABLE,
                format!(
                    "Neo4j at `{}` did not answer within {}",
                    target.endpoint(),
                    Span(deadline.allowed())
                ),
            )),
        }
    }

    async fn connect(target: &Target) -> Result<Connection> {
        let (wire, minor) = Wire::connect(target).await?;
        let mut connection = Connection {
            wire,
            database: target.database.clone(),
            agent: String::new(),
            id: String::new(),
            minor,
            message: Vec::new(),
            failed: false,
            streaming: false,
            asked: 0,
        };
        connection.hello(target).await?;
        Ok(connection)
    }

    async fn hello(&mut self, target: &Target) -> Result<()> {
        let product = concat!("summitctl/", env!("CARGO_PKG_VERSION"));
        let auth = match &target.password {
            Some(password) => vec![
                ("scheme", Value::from("basic")),
                ("principal", target.user.as_str().into()),
                ("credentials", password.expose().into()),
            ],
            None => vec![("scheme", "none".into())],
        };
        let mut hello = vec![("user_agent", Value::from(product))];
        if self.minor >= 3 {
            let agent = Value::map([
                ("product", Value::from(product)),
                ("platform", std::env::consts::OS.into()),
                ("language", "Rust".into()),
            ]);
            hello.push(("bolt_agent", agent));
        }
        if self.minor >= 2 {
            hello.push(("notifications_minimum_severity", "OFF".into()));
        }
        // Bolt 5.0 logs in within HELLO.
        if self.minor == 0 {
            hello.extend(auth.clone());
        }
        self.send(tag::HELLO, vec![Value::map(hello)]);
        if self.minor >= 1 {
            self.send(tag::LOGON, vec![Value::map(auth)]);
        }
        self.wire.flush().await?;
        let said = self.success().await?;
        if let Some(agent) = said.get("server").and_then(Value::as_str) {
            agent.clone_into(&mut self.agent);
        }
        if let Some(id) = said.get("connection_id").and_then(Value::as_str) {
            id.clone_into(&mut self.id);
        }
        if self.minor >= 1 {
            self.success().await?;
        }
        Ok(())
    }

    /// Begins a transaction.
    pub async fn begin(&mut self, begin: &Begin) -> Result<()> {
        self.idle()?;
        self.recover().await?;
        let extra = begin.extra(self.database.as_deref());
        self.send(tag::BEGIN, vec![extra]);
        self.wire.flush().await?;
        self.success().await.map(drop)
    }

    /// Runs a query inside the transaction and asks for its first records.
    pub async fn run(&mut self, query: &str, parameters: Value) -> Result<Records<'_>> {
        self.start(query, parameters, Value::Map(Vec::new())).await
    }

    /// Runs a query as a transaction of its own.
    pub async fn run_alone(
        &mut self,
        query: &str,
        parameters: Value,
        begin: &Begin,
    ) -> Result<Records<'_>> {
        self.idle()?;
        self.recover().await?;
        let extra = begin.extra(self.database.as_deref());
        self.start(query, parameters, extra).await
    }

    /// Runs a query as a transaction of its own and collects its records: for results known to be small.
    pub async fn query(
        &mut self,
        query: &str,
        parameters: Value,
        begin: &Begin,
    ) -> Result<Vec<Vec<Value>>> {
        self.run_alone(query, parameters, begin).await?.all().await
    }

    /// The operators of a query's plan, the last first. The query begins with `EXPLAIN`, and does nothing, or with
    /// `PROFILE`; then each operator carries its database hits: `NodeByIdSeek@neo4j 1000`.
    pub async fn plan(
        &mut self,
        query: &str,
        parameters: Value,
        begin: &Begin,
    ) -> Result<Vec<String>> {
        self.run_alone(query, parameters, begin).await?;
        loop {
            match self.answer().await? {
                Answer::Record(_) => {}
                Answer::Success(said) if said.get("has_more") == Some(&Value::Bool(true)) => {
                    self.pull();
                    self.wire.flush().await?;
                }
                Answer::Success(said) => {
                    self.streaming = false;
                    let mut operators = Vec::new();
                    if let Some(plan) = said.get("plan").or_else(|| said.get("profile")) {
                        operators_of(plan, &mut operators);
                    }
                    return Ok(operators);
                }
                Answer::Failure(error) => {
                    (self.streaming, self.failed) = (false, true);
                    return Err(error);
                }
                Answer::Ignored => return Err(self.confused("a request was ignored")),
            }
        }
    }

    /// Commits; returns the bookmark: the newest transaction committed in the database at that moment.
    pub async fn commit(&mut self) -> Result<String> {
        self.idle()?;
        self.send(tag::COMMIT, Vec::new());
        self.wire.flush().await?;
        let said = self.success().await?;
        let bookmark = said.get("bookmark").and_then(Value::as_str);
        bookmark
            .map(str::to_owned)
            .ok_or_else(|| self.confused("a commit gave no bookmark"))
    }

    /// Rolls the transaction back.
    pub async fn rollback(&mut self) -> Result<()> {
        self.idle()?;
        if self.failed {
            return self.recover().await;
        }
        self.send(tag::ROLLBACK, Vec::new());
        self.wire.flush().await?;
        self.success().await.map(drop)
    }

    /// Ends the connection politely.
    pub async fn close(mut self) {
        self.send(tag::GOODBYE, Vec::new());
        self.wire.close().await;
    }

    async fn start(&mut self, query: &str, parameters: Value, extra: Value) -> Result<Records<'_>> {
        self.idle()?;
        self.send(tag::RUN, vec![query.into(), parameters, extra]);
        self.pull();
        self.wire.flush().await?;
        self.success().await?;
        self.streaming = true;
        Ok(Records { connection: self })
    }

    fn idle(&self) -> Result<()> {
        if self.streaming || self.asked > 0 {
            return Err(Error::bug("a query's records were not read to their end"));
        }
        Ok(())
    }

    /// Asks a query inside the transaction for all of its records, without waiting. Queries may be asked ahead; their
    /// answers come in order, each read by [`Connection::next_raw`] to its end.
    pub async fn ask(&mut self, query: &str, parameters: Value) -> Result<()> {
        let extra = Value::Map(Vec::new());
        self.send(tag::RUN, vec![query.into(), parameters, extra]);
        self.send(tag::PULL, vec![Value::map([("n", Value::Int(ALL))])]);
        self.wire.flush().await?;
        self.asked += 1;
        Ok(())
    }

    /// The next record of the query that was asked first: a PackStream list; `None` at its end. After an error the
    /// connection is of no more use if more was asked.
    pub async fn next_raw(&mut self) -> Result<Option<Raw<'_>>> {
        if self.asked == 0 {
            return Err(Error::bug("no query was asked"));
        }
        if !self.streaming {
            self.success().await?;
            self.streaming = true;
        }
        // One long record must not be held for the sake of the short ones after it.
        if self.message.capacity() > KEPT {
            self.message = Vec::new();
        }
        let mut message = std::mem::take(&mut self.message);
        let received = self.wire.receive(&mut message).await;
        self.message = message;
        received?;
        // A structure of one field: the record's list.
        if self.message.starts_with(&[0xB1, tag::RECORD]) {
            return Ok(Some(Raw::new(&self.message[2..])));
        }
        self.streaming = false;
        self.asked -= 1;
        match self.decoded()? {
            Answer::Success(_) => Ok(None),
            Answer::Failure(error) => {
                self.failed = true;
                Err(error)
            }
            _ => Err(self.confused("a request was ignored")),
        }
    }

    fn pull(&mut self) {
        self.send(tag::PULL, vec![Value::map([("n", Value::Int(BATCH))])]);
    }

    fn send(&mut self, tag: u8, fields: Vec<Value>) {
        let mut message = Vec::new();
        Value::Struct(tag, fields).encode(&mut message);
        self.wire.queue(&message);
    }

    /// Makes the connection usable again after a failure.
    async fn recover(&mut self) -> Result<()> {
        if !self.failed {
            return Ok(());
        }
        self.send(tag::RESET, Vec::new());
        self.wire.flush().await?;
        loop {
            match self.answer().await? {
                // What had been asked for after the failing request is ignored, and then comes the reset's own answer.
                Answer::Ignored | Answer::Record(_) => {}
                Answer::Success(_) => break,
                Answer::Failure(error) => return Err(error),
            }
        }
        self.failed = false;
        Ok(())
    }

    async fn success(&mut self) -> Result<Value> {
        match self.answer().await? {
            Answer::Success(said) => Ok(said),
            Answer::Failure(error) => {
                self.failed = true;
                Err(error)
            }
            Answer::Record(_) => Err(self.confused("a record where none was asked for")),
            Answer::Ignored => Err(self.confused("a request was ignored")),
        }
    }

    async fn answer(&mut self) -> Result<Answer> {
        let mut message = std::mem::take(&mut self.message);
        let received = self.wire.receive(&mut message).await;
        self.message = message;
        received?;
        self.decoded()
    }

    /// What the message at hand says.
    fn decoded(&self) -> Result<Answer> {
        let decoded = Value::decode(&self.message);
        let decoded = decoded.map_err(|e| self.confused("a message is malformed").caused_by(e))?;
        let Value::Struct(tag, mut fields) = decoded else {
            return Err(self.confused("a message is not a structure"));
        };
        match (tag, fields.pop(), fields.is_empty()) {
            (tag::SUCCESS, Some(said @ Value::Map(_)), true) => Ok(Answer::Success(said)),
            (tag::RECORD, Some(Value::List(values)), true) => Ok(Answer::Record(values)),
            (tag::FAILURE, Some(said @ Value::Map(_)), true) => {
                Ok(Answer::Failure(failure(self.wire.endpoint(), &said)))
            }
            (tag::IGNORED, None, true) => Ok(Answer::Ignored),
            _ => Err(self.confused("a message of an unknown kind")),
        }
    }

    fn confused(&self, what: &str) -> Error {
        Error::new(
            &PROTOCOL,
            format!(
                "Neo4j at `{}` broke the Bolt protocol: {what}",
                self.wire.endpoint()
            ),
        )
    }
}

fn operators_of(plan: &Value, all: &mut Vec<String>) {
    let Some(name) = plan.get("operatorType").and_then(Value::as_str) else {
        return;
    };
    all.push(match plan.get("dbHits") {
        Some(Value::Int(hits)) => format!("{name} {hits}"),
        _ => name.to_owned(),
    });
    if let Some(Value::List(children)) = plan.get("children") {
        children.iter().for_each(|child| operators_of(child, all));
    }
}

enum Answer {
    Success(Value),
    Record(Vec<Value>),
    Failure(Error),
    Ignored,
}

/// The records of a running query. Read it to its end, or end the connection.
pub struct Records<'c> {
    connection: &'c mut Connection,
}

impl Records<'_> {
    /// The next record's values; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>> {
        while self.connection.streaming {
            match self.connection.answer().await? {
                Answer::Record(values) => return Ok(Some(values)),
                Answer::Success(said) if said.get("has_more") == Some(&Value::Bool(true)) => {
                    self.connection.pull();
                    self.connection.wire.flush().await?;
                }
                Answer::Success(_) => self.connection.streaming = false,
                Answer::Failure(error) => {
                    self.connection.streaming = false;
                    self.connection.failed = true;
                    return Err(error);
                }
                Answer::Ignored => return Err(self.connection.confused("a request was ignored")),
            }
        }
        Ok(None)
    }

    /// All records that are left: for results known to be small.
    pub async fn all(mut self) -> Result<Vec<Vec<Value>>> {
        let mut all = Vec::new();
        while let Some(values) = self.next().await? {
            all.push(values);
        }
        Ok(all)
    }
}

/// The server's FAILURE as a typed error.
fn failure(endpoint: &str, said: &Value) -> Error {
    let field = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    let (code, message) = (field("code"), field("message"));
    let reason = match code {
        "Neo.ClientError.Security.Unauthorized"
        | "Neo.ClientError.Security.AuthenticationRateLimit"
        | "Neo.ClientError.Security.CredentialsExpired"
        | "Neo.ClientError.Security.TokenExpired" => &LOGIN_REFUSED,
        "Neo.ClientError.Database.DatabaseNotFound"
        | "Neo.TransientError.General.DatabaseUnavailable"
        | "Neo.TransientError.Database.DatabaseUnavailable" => &DATABASE_MISSING,
        "Neo.ClientError.Security.Forbidden" => &FORBIDDEN,
        _ if code.starts_with("Neo.TransientError.") => &TRANSIENT,
        _ => &QUERY_FAILED,
    };
    let error = Error::new(
        reason,
        format!(
            "Neo4j at `{endpoint}` says `{code}`: {}",
            message.trim_end()
        ),
    );
    match code {
        "Neo.ClientError.Security.AuthenticationRateLimit" => error
            .hint("Too many wrong passwords in a row: the server refuses this user for some seconds."),
        "Neo.ClientError.Security.CredentialsExpired" => error.hint(
            "Give the user a password of its own with `ALTER CURRENT USER SET PASSWORD FROM … TO …`.",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_by_their_codes() {
        for (code, reason) in [
            ("Neo.ClientError.Security.Unauthorized", &LOGIN_REFUSED),
            ("Neo.ClientError.Security.Forbidden", &FORBIDDEN),
            (
                "Neo.ClientError.Database.DatabaseNotFound",
                &DATABASE_MISSING,
            ),
            (
                "Neo.TransientError.Transaction.DeadlockDetected",
                &TRANSIENT,
            ),
            ("Neo.ClientError.Statement.SyntaxError", &QUERY_FAILED),
            ("", &QUERY_FAILED),
        ] {
            let said = Value::map([("code", Value::from(code)), ("message", "words".into())]);
            assert_eq!(failure("h:1", &said).reason(), reason, "{code}");
        }
    }

    #[test]
    fn a_transaction_is_begun_as_asked() {
        let mut begin = Begin::read("test").unlimited();
        begin.bookmarks.push("FB:1".to_owned());
        let extra = begin.extra(Some("movies"));
        assert_eq!(extra.get("mode"), Some(&"r".into()));
        assert_eq!(extra.get("db"), Some(&"movies".into()));
        assert_eq!(extra.get("tx_timeout"), Some(&Value::Int(0)));
        assert_eq!(
            extra.get("bookmarks"),
            Some(&Value::List(vec!["FB:1".into()]))
        );
        assert_eq!(Begin::write("test").extra(None).get("mode"), None);
    }
}
