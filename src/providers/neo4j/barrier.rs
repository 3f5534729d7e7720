//! A write barrier for one reading: a transaction that makes indexes and is rolled back, whatever happens.
//!
//! Community cannot make a database read-only while it runs: there is no `dbms.setConfigValue`, and `ALTER DATABASE … SET
//! ACCESS` and `STOP DATABASE` are refused. A transaction that makes an index on a label holds back every transaction that
//! writes to a node of it, and so with the types of relationships. It commits nothing, so the bookmark stays as it was.
//!
//! It is never enough alone. Nodes without labels, and labels and types that are new, pass (seen on 5.26). The bookmark
//! decides what the reading is worth.
//!
//! The server ends no transaction of this kind by its timeout (seen on 5.26), so the time is kept here. A connection that is
//! closed takes the transaction with it: after a crash within milliseconds. One that was cut without a word is ended over
//! another one; if that cannot be had either, the server notices by TCP's keep-alive alone, and somebody is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::rows::quoted;
use super::server;
use super::target::Target;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::time::Span;
use crate::wait::{Cancel, Deadline, Look, poll};

/// The longest time for which writes may be held back.
pub const BARRIER_LIMIT: Duration = Duration::from_secs(600);

/// How much of the time may go by until it stands: writers that are at work must end first, and others wait meanwhile.
const TO_RAISE: u32 = 2;

/// How long the server may take to roll back, before the connection is ended over another one.
const TO_END: Duration = Duration::from_secs(5);

/// For how long that is tried.
const TO_KILL: Duration = Duration::from_secs(60);

/// What the transaction is called.
const TASK: &str = "hold writes back";

const NAMES: &str = "CALL db.labels() YIELD label RETURN 'NODE' AS entity, label \
     UNION ALL CALL db.relationshipTypes() YIELD relationshipType RETURN 'RELATIONSHIP' AS entity, relationshipType AS label";
const KEYS: &str =
    "CALL db.propertyKeys() YIELD propertyKey RETURN propertyKey ORDER BY propertyKey";
const TAKEN: &str = "SHOW RANGE INDEXES YIELD entityType, labelsOrTypes, properties \
     WHERE size(properties) = 1 RETURN entityType, labelsOrTypes[0], properties[0]";

/// Writes are held back until this is dropped, or its time is over.
pub(super) struct Barrier {
    began: Instant,
    release: oneshot::Sender<()>,
    held: JoinHandle<bool>,
}

/// How a barrier ended.
pub(super) struct Held {
    /// For how long it stood.
    pub(super) lasted: Duration,
    /// Whether it stood until the end.
    pub(super) throughout: bool,
}

impl Barrier {
    /// Raises it, for this long at most.
    pub(super) async fn raise(
        target: &Target,
        limit: Duration,
        events: &Events,
        cancel: &Cancel,
    ) -> Result<Barrier> {
        let began = Instant::now();
        let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
        let statements = statements(&mut connection).await?;
        let raising = Deadline::after(limit / TO_RAISE);
        let begin = Begin {
            timeout: limit,
            ..Begin::write(TASK)
        };
        let raised = raising.run("waiting for the writers of Neo4j to end", async {
            connection.begin(&begin).await?;
            for statement in &statements {
                let run = connection.run(statement, Value::Map(Vec::new())).await?;
                run.all().await?;
            }
            Ok(())
        });
        if let Err(error) = cancel.guard_look(raised).await {
            lower(connection, false, target, events).await;
            return Err(error);
        }
        events.note(format!(
            "writes to Neo4j's {} labels and relationship types are held back, for {} at most",
            statements.len(),
            Span(limit)
        ));
        let left = limit.saturating_sub(began.elapsed());
        let (release, released) = oneshot::channel::<()>();
        let (cancel, events, target) = (cancel.clone(), events.clone(), target.clone());
        let held = tokio::spawn(async move {
            let throughout = tokio::select! {
                // Dropped is released too.
                _ = released => true,
                () = cancel.asked() => false,
                () = tokio::time::sleep(left) => false,
            };
            lower(connection, true, &target, &events).await && throughout
        });
        Ok(Barrier {
            began,
            release,
            held,
        })
    }

    /// Lets writes go on.
    pub(super) async fn end(self) -> Held {
        let _ = self.release.send(());
        let throughout = self.held.await.unwrap_or(false);
        Held {
            lasted: self.began.elapsed(),
            throughout,
        }
    }
}

/// Rolls back if nothing else is under way, or else closes the connection and sees to it that the server did too; whether it
/// could be rolled back.
async fn lower(mut connection: Connection, idle: bool, target: &Target, events: &Events) -> bool {
    if idle {
        let ended = tokio::time::timeout(TO_END, connection.rollback()).await;
        if ended.is_ok_and(|done| done.is_ok()) {
            connection.close().await;
            return true;
        }
    }
    let id = std::mem::take(&mut connection.id);
    drop(connection);
    if let Err(error) = kill(target, &id).await {
        events.note(format!(
            "writes to Neo4j may still be held back: {}; end it there with `CALL dbms.killConnection('{id}')`, or with `summitctl migrate blockers --end-root`",
            error.one_line()
        ));
    }
    false
}

/// Ends the connection that holds writes back, over another one.
async fn kill(target: &Target, id: &str) -> Result<()> {
    let deadline = Deadline::after(TO_KILL);
    poll(
        "the end of the transaction that holds writes back",
        deadline,
        Duration::from_secs(1),
        async || match killed(target, id).await {
            Ok(true) => Ok(Look::Ready(())),
            Ok(false) => Ok(Look::NotYet(format!("connection `{id}` has it"))),
            Err(error) => Ok(Look::NotYet(error.one_line())),
        },
    )
    .await
}

/// Whether it is gone; if not, it was told to go.
async fn killed(target: &Target, id: &str) -> Result<bool> {
    let mut connection = Connection::open(target, Deadline::after(TO_END)).await?;
    let named = |id| Value::map([("id", Value::from(id)), ("task", TASK.into())]);
    let there = "SHOW TRANSACTIONS YIELD connectionId, metaData \
         WHERE connectionId = $id AND metaData.task = $task RETURN connectionId";
    let begin = Begin::read("look at transactions");
    let there = connection.query(there, named(id), &begin).await?;
    if !there.is_empty() {
        let kill = "CALL dbms.killConnection($id) YIELD message RETURN message";
        let begin = Begin::write("end a transaction");
        connection.query(kill, named(id), &begin).await?;
    }
    connection.close().await;
    Ok(there.is_empty())
}

/// One index for each label and type, on a property that exists and has none there: a new name would be written for good.
async fn statements(connection: &mut Connection) -> Result<Vec<String>> {
    let begin = Begin::read("look at labels and types");
    let mut ask = async |query| {
        let rows = connection
            .query(query, Value::Map(Vec::new()), &begin)
            .await?;
        let texts = rows.into_iter().map(|row| {
            let texts = row.into_iter().map(|value| match value {
                Value::String(text) => text,
                _ => String::new(),
            });
            texts.collect::<Vec<_>>()
        });
        Result::Ok(texts.collect::<Vec<_>>())
    };
    let keys: Vec<String> = ask(KEYS).await?.into_iter().flatten().collect();
    let taken: BTreeSet<Vec<String>> = ask(TAKEN).await?.into_iter().collect();
    let names = ask(NAMES).await?;
    let statements = names.iter().enumerate().map(|(number, name)| {
        let [entity, name] = name.as_slice() else {
            return Err(super::rows::unexpected_record());
        };
        let free =
            |key: &&String| !taken.contains(&vec![entity.clone(), name.clone(), (*key).clone()]);
        let key = keys.iter().find(free).ok_or_else(|| {
            Error::input(format!("every property has an index on `{name}` already"))
        })?;
        let pattern = match entity.as_str() {
            "NODE" => format!("(n:{})", quoted(name)),
            _ => format!("()-[n:{}]-()", quoted(name)),
        };
        let key = quoted(key);
        Ok(format!(
            "CREATE RANGE INDEX summitctl_barrier_{number} FOR {pattern} ON (n.{key})"
        ))
    });
    statements.collect()
}
