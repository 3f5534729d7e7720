//! Why a capture broke off, as far as the server still tells.

use crate::error::Error;

use super::connect::Conn;
use super::gather::zero;
use super::health::Info;
use super::target::Target;
use super::{CONNECTION_LOST, FORK_FAILED, OUTPUT_BUFFER};

/// The statistic of clients that were cut off for what they did not read (Redis 7.4, Valkey 8).
const CUT_OFF: &str = "client_output_buffer_limit_disconnections";

/// What we are to the server, which limits each kind by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// We read a snapshot.
    Replica,
    /// We read keys.
    Reader,
}

/// Takes the error of a lost connection, and asks the server what it knows; gives the error back if that is nothing.
pub(super) async fn explained(error: Error, target: &Target, before: &Info, class: Class) -> Error {
    if error.reason() != &CONNECTION_LOST {
        return error;
    }
    let endpoint = target.endpoint();
    let now = async {
        let mut conn = zero(target).await?;
        let info = Info::read(&mut conn).await?;
        Ok::<_, Error>((limit(&mut conn, class).await, info))
    };
    let (limit, info) = match now.await {
        Ok(seen) => seen,
        Err(gone) => {
            return Error::new(
                &CONNECTION_LOST,
                format!("Redis at `{endpoint}` went away in the middle of the capture: {gone}"),
            )
            .caused_by(error);
        }
    };
    if info.get("run_id") != before.get("run_id") {
        return Error::new(
            &CONNECTION_LOST,
            format!("Redis at `{endpoint}` was restarted in the middle of the capture"),
        )
        .caused_by(error)
        .hint("Its log says why. Then run the command again.");
    }
    // From 7.4 on it counts whom it cuts off. Before, a limit and no other reason speak for themselves; since 6.2 nothing
    // is kept for who wants the snapshot only.
    let counted = info.number(CUT_OFF).zip(before.number(CUT_OFF));
    let cut_off = match counted {
        Some((now, then)) => now > then,
        None => limit.is_some() && (class == Class::Reader || !info.at_least(6, 2)),
    };
    if cut_off {
        let limit = limit.map_or(String::new(), |limit| format!(" (`{limit}`)"));
        return Error::new(
            &OUTPUT_BUFFER,
            format!(
                "Redis at `{endpoint}` cut us off: what it had for us came to more than its `client-output-buffer-limit`{limit}"
            ),
        )
        .caused_by(error)
        .hint("Raise the limit with `CONFIG SET client-output-buffer-limit`.");
    }
    // It may be the failure of another save, long ago.
    let failed = |info: &Info| info.get("rdb_last_bgsave_status") == "err";
    if class == Class::Replica && failed(&info) && !failed(before) {
        return Error::new(
            &FORK_FAILED,
            format!("Redis at `{endpoint}` could not finish its snapshot: its background save failed"),
        )
        .caused_by(error)
        .hint("Its log says why; too little memory for the fork is the usual reason (`vm.overcommit_memory`).");
    }
    error
}

/// The limit of our class, if there is one: `replica 268435456 67108864 60`.
async fn limit(conn: &mut Conn, class: Class) -> Option<String> {
    let name = "client-output-buffer-limit";
    let pair: Vec<String> = conn
        .query(::redis::cmd("CONFIG").arg("GET").arg(name))
        .await
        .ok()?;
    let words: Vec<&str> = pair.get(1)?.split_whitespace().collect();
    let at = words.iter().position(|word| match class {
        Class::Replica => matches!(*word, "slave" | "replica"),
        Class::Reader => *word == "normal",
    })?;
    let ours = words.get(at..at + 4)?;
    let none = ours.get(1..3)?.iter().all(|bytes| *bytes == "0");
    (!none).then(|| ours.join(" "))
}
