//! Emptying a database in bounded transactions, for a restore in its place.
//!
//! Community has one user database, so "in place" means emptying that one. The marker stays: the place remains what it
//! is. Killed in the middle, it is simply run again.

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::rows::{MARKER_LABEL, quoted, unexpected_record};
use super::target::Target;
use super::{schema, server};
use crate::error::Result;
use crate::event::Events;
use crate::wait::{Cancel, Deadline};

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wiped {
    /// Nodes deleted.
    pub nodes: u64,
    /// Relationships deleted.
    pub relationships: u64,
    /// Constraints and indexes dropped.
    pub schema: u64,
}

/// Removes everything but the marker and the lookup indexes that every database has. The caller holds the consent to
/// destroy.
pub async fn wipe(target: &Target, events: &Events, cancel: &Cancel) -> Result<Wiped> {
    cancel.guard(run(target, events, cancel)).await
}

async fn run(target: &Target, events: &Events, cancel: &Cancel) -> Result<Wiped> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let mut wiped = Wiped::default();
    let write = Begin::write("wipe").unlimited();
    let found = schema::read(&mut connection, &Begin::read("wipe")).await?;
    for item in found.items.iter().filter(|item| !item.is_lookup()) {
        cancel.check()?;
        let statement = item.drop_statement();
        connection
            .query(&statement, Value::Map(Vec::new()), &write)
            .await?;
        wiped.schema += 1;
    }
    // Relationships first: a node with millions of them would not fit one transaction.
    events.note("deleting relationships");
    wiped.relationships = delete(
        &mut connection,
        "MATCH ()-[r]->() CALL { WITH r DELETE r } IN TRANSACTIONS OF 10000 ROWS RETURN count(*)",
        &write,
    )
    .await?;
    cancel.check()?;
    events.note("deleting nodes");
    let nodes = format!(
        "MATCH (n) WHERE NOT n:{} \
         CALL {{ WITH n DETACH DELETE n }} IN TRANSACTIONS OF 10000 ROWS RETURN count(*)",
        quoted(MARKER_LABEL)
    );
    wiped.nodes = delete(&mut connection, &nodes, &write).await?;
    connection.close().await;
    Ok(wiped)
}

async fn delete(connection: &mut Connection, query: &str, begin: &Begin) -> Result<u64> {
    let rows = connection
        .query(query, Value::Map(Vec::new()), begin)
        .await?;
    match rows.first().map(Vec::as_slice) {
        Some([Value::Int(n)]) => u64::try_from(*n).map_err(|_| unexpected_record()),
        _ => Err(unexpected_record()),
    }
}
