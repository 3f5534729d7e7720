//! The servers that hold the data together: one by itself, or the masters of a cluster, each with its share of the slots.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ::redis::{Value, cmd};

use crate::error::{Error, Result};

use crate::wait::Deadline;

use super::connect::{Conn, LOGIN};
use super::gather::{zero, zero_by};
use super::health::{Info, PIECES_KEY};
use super::sentinel::resolved;
use super::target::Target;
use super::{CLUSTER_DOWN, CLUSTER_MOVING, PROTOCOL, moving};

/// A cluster's number of slots (`CLUSTER_SLOTS` in cluster.h).
pub(super) const SLOTS: usize = 16_384;

/// One server.
pub(super) struct Node {
    pub(super) target: Target,
    pub(super) conn: Conn,
    pub(super) info: Info,
    /// How many slots it has: all, where it is alone.
    pub(super) share: usize,
}

/// All servers that hold data.
pub(super) struct Fleet {
    pub(super) nodes: Vec<Node>,
    /// Which node has each slot; `None` where one server has everything.
    slots: Option<Arc<Vec<usize>>>,
    endpoint: String,
}

/// Which keys belong to one server: what clients are led to it for.
#[derive(Clone, Default)]
pub(super) struct Share {
    slots: Option<Arc<Vec<usize>>>,
    at: usize,
}

impl Share {
    /// Whether a key is of this server. A master may still have keys of slots that another took over from it.
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        let slots = self.slots.as_ref();
        slots.is_none_or(|slots| slots[slot(key)] == self.at)
    }
}

impl Fleet {
    /// Connects to the server, and to all masters if it belongs to a cluster.
    ///
    /// # Errors
    /// Those of a login, `redis.unsupported-version`, `redis.cluster-down`.
    pub(super) async fn open(target: &Target) -> Result<Fleet> {
        // All that follows is said to and of one server, even if another becomes the master.
        let target = &*resolved(target, Deadline::after(LOGIN)).await?;
        let endpoint = target.endpoint();
        let mut conn = zero(target).await?;
        let info = Info::read(&mut conn).await?;
        info.supported(&endpoint)?;
        if info.get("cluster_enabled") != "1" {
            let node = Node {
                target: target.clone(),
                conn,
                info,
                share: SLOTS,
            };
            return Ok(Fleet {
                nodes: vec![node],
                slots: None,
                endpoint,
            });
        }
        let mut slots = vec![usize::MAX; SLOTS];
        let mut nodes: Vec<Node> = Vec::new();
        for (node, ranges) in layout(&mut conn, target).await? {
            let mut share = 0;
            for (from, to) in ranges {
                let Some(range) = slots.get_mut(from..to + 1) else {
                    return Err(strange(&endpoint));
                };
                share += range.len();
                range.fill(nodes.len());
            }
            let mut conn = zero(&node).await?;
            let info = Info::read(&mut conn).await?;
            nodes.push(Node {
                target: node,
                conn,
                info,
                share,
            });
        }
        let orphans = slots.iter().filter(|node| **node == usize::MAX).count();
        if orphans > 0 {
            return Err(Error::new(
                &CLUSTER_DOWN,
                format!("{orphans} of {SLOTS} slots of the Redis cluster at `{endpoint}` have no master"),
            )
            .hint("See `redis-cli --cluster check`; all data must be there before they are captured or replaced."));
        }
        Ok(Fleet {
            nodes,
            slots: Some(Arc::new(slots)),
            endpoint,
        })
    }

    /// Whether it is a cluster, even one of one master.
    pub(super) fn is_cluster(&self) -> bool {
        self.slots.is_some()
    }

    /// Which keys belong to a node.
    pub(super) fn share(&self, at: usize) -> Share {
        Share {
            slots: self.slots.clone(),
            at,
        }
    }

    /// Which node holds a key.
    pub(super) fn holder(&self, key: &[u8]) -> usize {
        let slots = self.slots.as_ref();
        slots.map_or(0, |slots| slots[slot(key)])
    }

    /// A key of ours that lies where this one does, so that it can be renamed to it.
    pub(super) fn aside(&self, key: &[u8]) -> String {
        if !self.is_cluster() {
            return PIECES_KEY.to_owned();
        }
        let wanted = slot(key);
        let names = (0_u64..).map(|n| format!("{PIECES_KEY}:{n}"));
        // Each slot turns up once in as many names as there are slots.
        let mut fitting = names.filter(|name| slot(name.as_bytes()) == wanted);
        fitting.next().unwrap_or_default()
    }

    /// The node that holds a key.
    pub(super) fn of(&mut self, key: &str) -> &mut Node {
        let at = self.holder(key.as_bytes());
        &mut self.nodes[at]
    }

    /// Which slots each master says it has. What was read while this was the same before and after is whole.
    ///
    /// # Errors
    /// `redis.cluster-moving` if a slot is being moved, or was since we learned whose it is.
    pub(super) async fn shape(&mut self) -> Result<Vec<String>> {
        let Some(known) = self.slots.clone() else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let table: String = node.conn.query(cmd("CLUSTER").arg("NODES")).await?;
            let own = table.lines().find(|line| line.contains("myself"));
            let mut words = own.unwrap_or_default().split_whitespace();
            let id = words.next().unwrap_or_default();
            let slots: Vec<&str> = words.skip(7).collect();
            if slots.iter().any(|slot| slot.starts_with('[')) {
                return Err(moving(format!(
                    "slots are being moved to or from `{}` of the Redis cluster at `{}`",
                    node.target.endpoint(),
                    self.endpoint
                )));
            }
            // Whose a slot is was asked of one node, which may have heard late.
            let own: Vec<usize> = slots.iter().flat_map(|range| slots_of(range)).collect();
            if own.len() != node.share || own.iter().any(|slot| known.get(*slot) != Some(&at)) {
                return Err(Error::new(
                    &CLUSTER_MOVING,
                    format!(
                        "`{}` does not have the slots that the Redis cluster at `{}` says it has",
                        node.target.endpoint(),
                        self.endpoint
                    ),
                )
                .hint("Wait until all nodes agree (`redis-cli --cluster check`), then run the command again."));
            }
            out.push(format!("{id} {}", slots.join(" ")));
        }
        out.sort();
        Ok(out)
    }

    /// Refuses what was read while slots changed their masters.
    pub(super) async fn kept_its_shape(&mut self, before: &[String]) -> Result<()> {
        if self.shape().await? == before {
            return Ok(());
        }
        Err(moving(format!(
            "slots of the Redis cluster at `{}` changed their masters meanwhile, so that keys may be missing or old",
            self.endpoint
        )))
    }
}

/// The slots of a range as `CLUSTER NODES` writes it: `5`, or `0-5460`.
fn slots_of(range: &str) -> std::ops::Range<usize> {
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    match (from.parse(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => from..to + 1,
        _ => 0..0,
    }
}

/// A connection to the server that holds a key, in database 0.
pub(super) async fn keyed(target: &Target, key: &str, deadline: Deadline) -> Result<Conn> {
    let mut conn = zero_by(target, deadline).await?;
    // A server that withholds INFO is taken for one by itself.
    let clustered = match Info::read(&mut conn).await {
        Ok(info) => {
            info.supported(&target.endpoint())?;
            info.get("cluster_enabled") == "1"
        }
        Err(_) => false,
    };
    if !clustered {
        return Ok(conn);
    }
    let slot = slot(key.as_bytes());
    for (node, ranges) in layout(&mut conn, target).await? {
        if ranges
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&slot))
        {
            return zero_by(&node, deadline).await;
        }
    }
    Err(Error::new(
        &CLUSTER_DOWN,
        format!(
            "slot {slot} of the Redis cluster at `{}` has no master",
            target.endpoint()
        ),
    )
    .hint("See `redis-cli --cluster check`."))
}

/// Ranges of slots, ends included.
type Ranges = Vec<(usize, usize)>;

/// The masters and their slots, as the server says. All are logged into as the target is.
async fn layout(conn: &mut Conn, target: &Target) -> Result<Vec<(Target, Ranges)>> {
    let answer: Vec<Value> = conn.query(cmd("CLUSTER").arg("SLOTS")).await?;
    let mut masters: BTreeMap<(String, u16), Ranges> = BTreeMap::new();
    for range in &answer {
        let read = range_of(range).ok_or_else(|| strange(&target.endpoint()))?;
        let (host, port, from, to) = read;
        // Left out where a client is meant to use the address that it has.
        let host = host.filter(|h| !h.is_empty() && h != "?");
        let host = host.unwrap_or_else(|| target.host.clone());
        masters.entry((host, port)).or_default().push((from, to));
    }
    let masters = masters.into_iter().map(|((host, port), ranges)| {
        let node = Target {
            host,
            port,
            ..target.clone()
        };
        (node, ranges)
    });
    Ok(masters.collect())
}

/// One element of CLUSTER SLOTS: first and last slot, the master as host and port, then the replicas.
fn range_of(range: &Value) -> Option<(Option<String>, u16, usize, usize)> {
    let Value::Array(range) = range else {
        return None;
    };
    let [Value::Int(from), Value::Int(to), Value::Array(master), ..] = range.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    };
    let (from, to) = (usize::try_from(*from).ok()?, usize::try_from(*to).ok()?);
    (from <= to && to < SLOTS).then_some(())?;
    Some((host, u16::try_from(*port).ok()?, from, to))
}

fn strange(endpoint: &str) -> Error {
    Error::new(
        &PROTOCOL,
        format!("Redis at `{endpoint}` answered `CLUSTER SLOTS` with something unexpected"),
    )
}

/// The slot of a key: CRC-16 (XMODEM) of what stands between the first `{` and the next `}`, or of all of it (`keyHashSlot`
/// in cluster.c).
fn slot(key: &[u8]) -> usize {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        crc << 8 ^ CRC[usize::from(crc >> 8) ^ usize::from(*byte)]
    });
    usize::from(crc) % SLOTS
}

/// What each byte adds to a checksum.
static CRC: LazyLock<[u16; 256]> = LazyLock::new(|| {
    let mut table = [0; 256];
    for (byte, entry) in (0_u16..).zip(&mut table) {
        *entry = (0..8).fold(byte << 8, |crc, _| {
            crc << 1 ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 }
        });
    }
    table
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_the_specification_gives_them() {
        // From the cluster specification: CRC-16 of `123456789` is 0x31C3.
        assert_eq!(slot(b"123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
        assert_eq!(slot(b"foo"), 12_182);
    }
}
