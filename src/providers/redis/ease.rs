//! Settings under which a snapshot is quick: it begins at once instead of waiting for more replicas, it is streamed instead
//! of being written to the server's disk first, and its strings are not compressed, which the repository does better.
//!
//! They are set, used and put back by one write on one connection, which the server runs in one turn of its loop: nobody
//! else ever sees them, and wherever we are killed, they are as they were. What the server forks in between keeps them.

use std::time::Duration;

use ::redis::cmd;

use crate::error::Result;
use crate::event::Events;
use crate::wait::{Cancel, Deadline};

use super::connect::Conn;
use super::fleet::Node;

/// One setting that is another for a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Eased {
    name: &'static str,
    ours: &'static str,
    theirs: String,
}

const WANTED: [(&str, &str); 3] = [
    ("repl-diskless-sync", "yes"),
    ("repl-diskless-sync-delay", "0"),
    ("rdbcompression", "no"),
];

/// How long a child that has ended may take to be noticed: the server looks ten times a second (`hz`).
const NOTICED: Duration = Duration::from_secs(1);

/// Waits for the child of a snapshot or rewrite that is just over. While it counts, the server forks no other: ours would begin
/// later, under the server's own settings again. One that really runs is left to `PSYNC`, which waits for it.
pub(super) async fn rest(conn: &mut Conn) -> Result<()> {
    let deadline = Deadline::after(NOTICED);
    while saves(conn).await? && !deadline.passed() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// How long shards that save are waited for.
const SAVED: Duration = Duration::from_secs(600);

/// Waits until none of several shards makes a snapshot or a rewrite of its own: it would begin ours only behind that, and
/// the others, whose snapshots nobody reads before all have begun, would give up on us meanwhile (`repl-timeout`). What goes
/// on for longer than this is asked all the same.
pub(super) async fn all_rest(nodes: &mut [Node], events: &Events, cancel: &Cancel) -> Result<()> {
    let deadline = Deadline::after(SAVED);
    let mut told = false;
    loop {
        let mut busy = Vec::new();
        for node in nodes.iter_mut() {
            if saves(&mut node.conn).await? {
                busy.push(format!("`{}`", node.target.endpoint()));
            }
        }
        if busy.is_empty() || deadline.passed() {
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            events.note(format!(
                "waiting for the background save or rewrite of {}, so that all shards can begin together",
                busy.join(", ")
            ));
        }
        let pause = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        };
        cancel.guard(pause).await?;
    }
}

/// Whether the server has a child that saves; while it has one, it forks no other.
async fn saves(conn: &mut Conn) -> Result<bool> {
    let text: String = conn.query(cmd("INFO").arg("persistence")).await?;
    let busy = ["rdb_bgsave_in_progress:1", "aof_rewrite_in_progress:1"];
    Ok(busy.iter().any(|sign| text.contains(sign)))
}

/// What differs from what we want; nothing where this user may not change it.
pub(super) async fn wanted(conn: &mut Conn) -> Vec<Eased> {
    let mut out = Vec::new();
    for (name, ours) in WANTED {
        match setting(conn, name).await {
            Some(theirs) if theirs != ours => out.push(Eased { name, ours, theirs }),
            _ => {}
        }
    }
    let allowed = match out.first() {
        // To what it is already: shows whether we may, and changes nothing.
        Some(first) => set(conn, first).await.is_ok() && silence(conn).await.is_ok(),
        None => true,
    };
    if allowed { out } else { Vec::new() }
}

impl Eased {
    /// The words that set it.
    pub(super) fn there(&self) -> [&[u8]; 4] {
        [
            b"CONFIG",
            b"SET",
            self.name.as_bytes(),
            self.ours.as_bytes(),
        ]
    }

    /// The words that put it back.
    pub(super) fn back(&self) -> [&[u8]; 4] {
        [
            b"CONFIG",
            b"SET",
            self.name.as_bytes(),
            self.theirs.as_bytes(),
        ]
    }
}

/// Sees to it that all are as they were; names those that had to be put back by hand.
pub(super) async fn settled(conn: &mut Conn, eased: &[Eased]) -> Result<Vec<&'static str>> {
    let mut late = Vec::new();
    for one in eased {
        if setting(conn, one.name).await.as_deref() == Some(one.ours) {
            set(conn, one).await?;
            late.push(one.name);
        }
    }
    Ok(late)
}

async fn setting(conn: &mut Conn, name: &str) -> Option<String> {
    let pair: Vec<String> = conn.query(cmd("CONFIG").arg("GET").arg(name)).await.ok()?;
    pair.get(1).cloned()
}

async fn set(conn: &mut Conn, one: &Eased) -> Result<()> {
    conn.query(cmd("CONFIG").arg("SET").arg(one.name).arg(&one.theirs))
        .await
}

/// Whether this user may use `CLIENT REPLY`, without which `PSYNC` would stumble over our answers.
async fn silence(conn: &mut Conn) -> Result<()> {
    conn.query(cmd("CLIENT").arg("REPLY").arg("ON")).await
}
