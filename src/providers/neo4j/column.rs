//! The first column of a query that somebody configured, as text.

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::target::Target;
use super::{QUERY_FAILED, server};
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// Runs the query in a read transaction and hands on each record's first value: text, or an integer as text. `null` is
/// left out.
pub async fn column(
    target: &Target,
    query: &str,
    each: &mut (dyn FnMut(String) + Send),
) -> Result<()> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let begin = Begin::read("configured query").unlimited();
    let none = Value::Map(Vec::new());
    let mut records = connection.run_alone(query, none, &begin).await?;
    while let Some(values) = records.next().await? {
        match values.into_iter().next() {
            Some(Value::String(text)) => each(text),
            Some(Value::Int(i)) => each(i.to_string()),
            Some(Value::Null) => {}
            _ => {
                return Err(Error::new(
                    &QUERY_FAILED,
                    "the configured Cypher returns something else than text or integers first",
                )
                .hint("Return one value, such as `toString(n.id)`."));
            }
        }
    }
    connection.close().await;
    Ok(())
}

/// Whether the server would run the query; it only plans it.
pub async fn column_planned(target: &Target, query: &str) -> Result<()> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let none = Value::Map(Vec::new());
    let begin = Begin::read("configured query");
    connection
        .query(&format!("EXPLAIN {query}"), none, &begin)
        .await?;
    connection.close().await;
    Ok(())
}
