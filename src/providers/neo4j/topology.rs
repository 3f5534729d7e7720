//! Who serves which database, and in what state: `SHOW DATABASES`, and `SHOW SERVERS` where the server has it.

use serde::Serialize;

use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::rows::unexpected_record;
use super::server::version;
use super::target::Target;
use crate::error::Result;
use crate::wait::Deadline;

/// A database on one of the servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hosted {
    /// Its name.
    pub database: String,
    /// The server's address, as the server says it.
    pub address: String,
    /// `primary`, `secondary`, `standard` or `unknown`.
    pub role: String,
    /// Whether it takes writes.
    pub writer: bool,
    /// The state somebody asked for: `online`, `offline`.
    pub requested: String,
    /// The state it is in.
    pub current: String,
    /// What the server says of that state; empty if nothing.
    pub message: String,
    /// Whether it is the default database.
    pub default: bool,
}

/// A server of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// `Enabled`, `Cordoned`, `Deallocating`, `Free`, `Dropped`.
    pub state: String,
    /// `Available` or `Unavailable`.
    pub health: String,
    /// The databases it hosts.
    pub hosting: Vec<String>,
}

/// What one server says of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Topology {
    /// The version of the server that was asked.
    pub version: String,
    /// `community` or `enterprise`.
    pub edition: String,
    /// Every database on every server.
    pub databases: Vec<Hosted>,
    /// The servers; `None` if the server that was asked does not tell.
    pub servers: Option<Vec<Member>>,
    /// Why the servers are not known.
    pub servers_unknown: Option<String>,
}

/// Asks a server what it knows of the databases and of the cluster.
pub async fn topology(target: &Target, deadline: Deadline) -> Result<Topology> {
    let work = async {
        let mut connection = Connection::open(target, deadline).await?;
        let (version, edition) = version(&mut connection).await?;
        let begin = Begin::read("topology");
        let query = "SHOW DATABASES YIELD name, address, role, writer, requestedStatus, currentStatus, statusMessage, default";
        let rows = connection
            .query(query, Value::Map(Vec::new()), &begin)
            .await?;
        let databases = rows.iter().map(|row| hosted(row)).collect::<Result<_>>()?;
        let query = "SHOW SERVERS YIELD name, address, state, health, hosting";
        let (servers, servers_unknown) = match connection
            .query(query, Value::Map(Vec::new()), &begin)
            .await
        {
            Ok(rows) => {
                let members = rows.iter().map(|row| member(row)).collect::<Result<_>>()?;
                (Some(members), None)
            }
            // Community has no cluster to tell of, and a user may lack the right to see it.
            Err(error) => (None, Some(error.one_line())),
        };
        connection.close().await;
        Ok(Topology {
            version,
            edition,
            databases,
            servers,
            servers_unknown,
        })
    };
    deadline
        .run(
            &format!("asking Neo4j at `{}` for its databases", target.endpoint()),
            work,
        )
        .await
}

fn hosted(row: &[Value]) -> Result<Hosted> {
    let [
        name,
        address,
        role,
        writer,
        requested,
        current,
        message,
        default,
    ] = row
    else {
        return Err(unexpected_record());
    };
    Ok(Hosted {
        database: text(name),
        address: text(address),
        role: text(role),
        writer: *writer == Value::Bool(true),
        requested: text(requested),
        current: text(current),
        message: text(message),
        default: *default == Value::Bool(true),
    })
}

fn member(row: &[Value]) -> Result<Member> {
    let [name, address, state, health, hosting] = row else {
        return Err(unexpected_record());
    };
    let hosting = match hosting {
        Value::List(names) => names.iter().map(text).collect(),
        _ => Vec::new(),
    };
    Ok(Member {
        name: text(name),
        address: text(address),
        state: text(state),
        health: text(health),
        hosting,
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        _ => String::new(),
    }
}
