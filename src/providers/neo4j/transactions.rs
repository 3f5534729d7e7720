//! Transactions under way: how old they are, what they wait for, and the end of one of them.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::{TRANSACTION_STAYS, Target};
use crate::consent::Consent;
use crate::error::{Error, Result, TIMEOUT};
use crate::wait::{Deadline, Look, poll};

const LOGIN: Duration = Duration::from_secs(15);
/// How long a terminated transaction may take to end before its connection is ended.
const GENTLE: Duration = Duration::from_secs(10);
/// How long it may take then.
const PATIENCE: Duration = Duration::from_secs(30);
/// What our own look is called, so that it is not shown.
const TASK: &str = "look at transactions";

/// A transaction, as `SHOW TRANSACTIONS` tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Transaction {
    /// Its id: `neo4j-transaction-7`. A server that was restarted gives it anew.
    pub id: String,
    /// The database.
    pub database: String,
    /// When it began.
    pub began: String,
    /// Who began it.
    pub user: String,
    /// Where its client is.
    pub address: Option<String>,
    /// Its connection.
    pub connection: Option<String>,
    /// How many seconds ago it began.
    pub seconds: f64,
    /// `Running`, `Blocked by: …`, `Terminated …`
    pub status: String,
    /// The transactions that it waits for.
    pub blocked_by: Vec<String>,
    /// How many locks it holds.
    pub locks: Option<i64>,
    /// The query that it runs, with every literal as `?`; null between two queries.
    pub query: Option<String>,
}

/// Those that others wait for and that wait for nobody.
pub fn roots(all: &[Transaction]) -> Vec<&Transaction> {
    let in_the_way: BTreeSet<&str> = all
        .iter()
        .flat_map(|t| t.blocked_by.iter().map(String::as_str))
        .collect();
    all.iter()
        .filter(|t| t.blocked_by.is_empty() && in_the_way.contains(t.id.as_str()))
        .collect()
}

/// Every transaction that this user may see but our own look, the oldest first.
pub async fn transactions(target: &Target) -> Result<Vec<Transaction>> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let found = listed(&mut connection).await;
    connection.close().await;
    found
}

async fn listed(connection: &mut Connection) -> Result<Vec<Transaction>> {
    let query = "SHOW TRANSACTIONS YIELD transactionId, database, startTime, username, clientAddress, connectionId, elapsedTime, status,
            activeLockCount, currentQuery, metaData
         WHERE coalesce(metaData.task, '') <> $task
         RETURN transactionId, database, toString(startTime), username, clientAddress, connectionId, elapsedTime.milliseconds, status,
            activeLockCount, currentQuery ORDER BY elapsedTime DESC LIMIT 200";
    let parameters = Value::map([("task", Value::from(TASK))]);
    let rows = connection
        .query(query, parameters, &Begin::read(TASK))
        .await?;
    Ok(rows.iter().map(|row| read(row)).collect())
}

fn read(row: &[Value]) -> Transaction {
    let text = |n: usize| match row.get(n) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let number = |n: usize| match row.get(n) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let status = text(7).unwrap_or_default();
    Transaction {
        id: text(0).unwrap_or_default(),
        database: text(1).unwrap_or_default(),
        began: text(2).unwrap_or_default(),
        user: text(3).unwrap_or_default(),
        address: text(4),
        connection: text(5),
        seconds: number(6).unwrap_or(0) as f64 / 1e3,
        blocked_by: named_in(&status),
        status,
        locks: number(8),
        query: text(9).map(|q| redacted(&q)),
    }
}

/// The ids in `Blocked by: [neo4j-transaction-7, …]`.
fn named_in(status: &str) -> Vec<String> {
    let Some(rest) = status.strip_prefix("Blocked by:") else {
        return Vec::new();
    };
    rest.split(|c: char| c == ',' || c == '[' || c == ']' || c.is_whitespace())
        .filter(|word| word.contains("-transaction-"))
        .map(str::to_owned)
        .collect()
}

/// Ends a transaction by its id and start: it is terminated, and its connection is ended if it stays.
pub async fn terminate(target: &Target, which: &Transaction, _: &Consent) -> Result<()> {
    let mut connection = Connection::open(target, Deadline::after(LOGIN)).await?;
    let done = ended(&mut connection, which).await;
    connection.close().await;
    done
}

async fn ended(connection: &mut Connection, which: &Transaction) -> Result<()> {
    if !there(connection, which).await? {
        return Ok(());
    }
    let begin = Begin::write("end a transaction");
    let parameters = Value::map([("id", Value::from(which.id.as_str()))]);
    connection
        .query("TERMINATE TRANSACTIONS $id", parameters, &begin)
        .await?;
    if gone(connection, which, GENTLE).await.is_ok() {
        return Ok(());
    }
    // A client that is between two queries learns of it at the next one, and keeps its locks until then.
    if let Some(id) = &which.connection {
        let parameters = Value::map([("id", Value::from(id.as_str()))]);
        let query = "CALL dbms.killConnection($id) YIELD message RETURN message";
        connection.query(query, parameters, &begin).await?;
    }
    gone(connection, which, PATIENCE).await.map_err(|e| {
        if e.reason() != &TIMEOUT {
            return e;
        }
        let message = format!(
            "the transaction `{}` was told to end and is still there",
            which.id
        );
        Error::new(&TRANSACTION_STAYS, message).caused_by(e)
    })
}

async fn there(connection: &mut Connection, which: &Transaction) -> Result<bool> {
    let all = listed(connection).await?;
    Ok(all
        .iter()
        .any(|t| (&t.id, &t.began) == (&which.id, &which.began)))
}

async fn gone(connection: &mut Connection, which: &Transaction, patience: Duration) -> Result<()> {
    let connection = tokio::sync::Mutex::new(connection);
    poll(
        "the end of a transaction",
        Deadline::after(patience),
        Duration::from_millis(200),
        async || {
            Ok(match there(*connection.lock().await, which).await? {
                false => Look::Ready(()),
                true => Look::NotYet(format!("`{}` is there", which.id)),
            })
        },
    )
    .await
}

/// A query with every string, number and comment taken out, on one line, at most 200 characters. What cannot be read to its
/// end is cut there.
fn redacted(query: &str) -> String {
    let mut out = String::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let in_word = out.ends_with(|p: char| p.is_alphanumeric() || p == '_' || p == '$');
        match c {
            '\'' | '"' => {
                out.push('?');
                match after.find(c) {
                    Some(end) if !after[..end].contains('\\') => rest = &after[end + 1..],
                    _ => {
                        out.push('…');
                        break;
                    }
                }
            }
            '`' => match after.find('`') {
                Some(end) => {
                    out.push_str(&rest[..end + 2]);
                    rest = &after[end + 1..];
                }
                None => break,
            },
            '/' if after.starts_with('/') => rest = rest.find('\n').map_or("", |end| &rest[end..]),
            '/' if after.starts_with('*') => {
                rest = rest.find("*/").map_or("", |end| &rest[end + 2..])
            }
            _ if c.is_ascii_digit() && !in_word => {
                out.push('?');
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            }
            _ => {
                if !c.is_whitespace() {
                    out.push(c);
                } else if !out.ends_with(' ') {
                    out.push(' ');
                }
                rest = after;
            }
        }
    }
    out.trim().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_literal_of_a_query_is_shown() {
        for (query, shown) in [
            (
                "MATCH (n:`A b` {a: 'secret', b: \"secret\"}) SET n.x1 = 42.5",
                "MATCH (n:`A b` {a: ?, b: ?}) SET n.x1 = ?",
            ),
            ("RETURN 'it\\'s secret', 7", "RETURN ?…"),
            ("RETURN $p // secret\n+ 1 /* secret */", "RETURN $p + ?"),
        ] {
            assert_eq!(redacted(query), shown);
        }
    }

    #[test]
    fn the_status_names_who_is_waited_for() {
        assert_eq!(
            named_in("Blocked by: [neo4j-transaction-7]"),
            ["neo4j-transaction-7"]
        );
        assert_eq!(
            named_in("Blocked by: a-transaction-1, b-transaction-2"),
            ["a-transaction-1", "b-transaction-2"]
        );
        assert_eq!(named_in("Running"), [""; 0]);
    }
}
