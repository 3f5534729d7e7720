//! What may be said of a lock's holder. *Alive* needs one sight of it; *dead* needs proof; everything else is *unknown*.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::here::{Around, Process};
use super::lock::{Lock, Seen, State};

/// What is known of a lock's holder.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its process has ended, and no session is left that could be its.
    Dead,
    /// Neither seen alive nor proved dead.
    Unknown,
    /// It was seen.
    Alive,
}

impl Verdict {
    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Dead => "dead",
            Verdict::Unknown => "unknown",
            Verdict::Alive => "alive",
        }
    }
}

/// Judges a lock that is held, from the sessions of its database and what was seen of its holder's machine.
pub(super) fn judge(
    lock: &mut Lock,
    seen: Vec<Seen>,
    applications: &[&str],
    around: &Around,
    pooled: bool,
) {
    let tool = lock.row.tool.name();
    let hidden = seen.iter().filter(|s| s.hidden).count();
    let (waiting, others): (Vec<Seen>, Vec<Seen>) = seen.into_iter().partition(|s| s.waits);
    let (mut alive, mut perhaps) = (Vec::new(), Vec::new());
    for mut session in others {
        let name = session.application.to_lowercase();
        let of_tool = applications.iter().any(|a| name.contains(a));
        let from_holder = is_from(lock, &session, around);
        // The row was committed by somebody else than whoever writes to the table now, unless no row says that it is held.
        session.of_holder = lock.state == State::InTransaction && session.holds_table
            || lock.state == State::Held && from_holder && of_tool;
        let sight = if session.holds_table && lock.state == State::InTransaction {
            Some("has written to the lock's table in a transaction that goes on")
        } else if from_holder && (session.busy() || of_tool) {
            Some("comes from the holder's machine")
        } else {
            None
        };
        if let Some(sight) = sight {
            lock.observations
                .push(format!("{}; it {sight}", session.words()));
            alive.push(session);
        } else if session.holds_table || session.busy() && (of_tool || applications.is_empty()) {
            lock.observations.push(format!(
                "{}; it may be the holder's, and nothing tells",
                session.words()
            ));
            perhaps.push(session);
        }
    }
    let seen = &mut lock.observations;
    if alive.is_empty() && perhaps.is_empty() && hidden == 0 {
        seen.push(format!(
            "Postgres shows no session at work from the holder's machine or under a name of {tool}'s"
        ));
    }
    if hidden > 0 {
        seen.push(format!(
            "sessions that hide their details from this role: {hidden}; with `pg_read_all_stats` it would see them"
        ));
    }
    if pooled {
        seen.push("the connection goes through a transaction pooler, so that sessions show the pooler and not its clients".to_owned());
    }
    seen.extend(around.observations.iter().cloned());
    let nobody = perhaps.is_empty() && hidden == 0 && !pooled;
    let proved = around.process == Process::Ended && nobody;
    lock.nobody_left = nobody && alive.is_empty();
    lock.verdict = Some(if !alive.is_empty() {
        Verdict::Alive
    } else if proved {
        Verdict::Dead
    } else {
        Verdict::Unknown
    });
    alive.extend(perhaps);
    lock.sessions = alive;
    lock.waiting = waiting;
}

/// Whether a session's client is where the row says that the holder is.
fn is_from(lock: &Lock, session: &Seen, around: &Around) -> bool {
    let Some(holder) = &lock.holder else {
        return false;
    };
    let address = session.address.as_deref().and_then(|a| a.parse().ok());
    let same_address = address.is_some() && address == holder.address;
    let same_host = session
        .host
        .as_deref()
        .is_some_and(|h| h.eq_ignore_ascii_case(&holder.host));
    // A client on the server's own machine shows loopback, or nothing, whatever address the holder wrote down.
    let near = address.is_none_or(|a: std::net::IpAddr| a.is_loopback() || super::here::is_ours(a));
    same_address || same_host || around.here && near && !session.hidden
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::lock::LockRow;
    use super::super::tool::Tool;
    use super::super::{knex, liquibase};
    use super::*;

    fn lock(holder: Option<&str>, state: State) -> Lock {
        let tool = holder.map_or(Tool(&knex::KNOWN), |_| Tool(&liquibase::KNOWN));
        let row = LockRow {
            tool,
            database: "app".to_owned(),
            schema: "public".to_owned(),
            table: "l".to_owned(),
            values: BTreeMap::new(),
            written_by: "728".to_owned(),
            lies_at: "(0,2)".to_owned(),
            key: None,
        };
        Lock {
            state,
            holder: holder.map(liquibase::holder),
            ..Lock::free(row)
        }
    }

    fn seen(application: &str, address: &str, state: &str) -> Seen {
        Seen {
            pid: 7,
            began: Some("2026-11-21 03:04:05+00".to_owned()),
            role: None,
            application: application.to_owned(),
            address: Some(address.to_owned()),
            host: None,
            port: Some(50_000),
            state: Some(state.to_owned()),
            holds_table: false,
            waits: false,
            of_holder: false,
            hidden: false,
        }
    }

    fn of(process: Process) -> Around {
        Around {
            here: process != Process::Unknown,
            process,
            observations: Vec::new(),
        }
    }

    fn judged(holder: Option<&str>, sessions: Vec<Seen>, around: &Around, pooled: bool) -> Verdict {
        let mut lock = lock(holder, State::Held);
        let names = match holder {
            Some(_) => liquibase::LOCK.applications,
            None => knex::LOCK.applications,
        };
        judge(&mut lock, sessions, names, around, pooled);
        lock.verdict.unwrap()
    }

    const JDBC: &str = "PostgreSQL JDBC Driver";

    #[test]
    fn one_sight_is_enough_to_be_alive_and_proof_is_needed_to_be_dead() {
        let holder = Some("ci (203.0.113.7)");
        let (ended, nobody) = (of(Process::Ended), of(Process::Unknown));
        assert_eq!(judged(holder, vec![], &ended, false), Verdict::Dead);
        assert_eq!(
            judged(holder, vec![], &of(Process::MayRun), false),
            Verdict::Unknown
        );
        assert_eq!(judged(holder, vec![], &nobody, false), Verdict::Unknown);
        assert_eq!(judged(holder, vec![], &ended, true), Verdict::Unknown);

        let its = seen(JDBC, "203.0.113.7", "idle");
        assert_eq!(
            judged(holder, vec![its.clone()], &ended, false),
            Verdict::Alive
        );
        let mut waiter = its.clone();
        waiter.waits = true;
        assert_eq!(judged(holder, vec![waiter], &ended, false), Verdict::Dead);
        // Behind an address translation nobody can tell.
        let other = seen(JDBC, "203.0.113.1", "active");
        assert_eq!(judged(holder, vec![other], &ended, false), Verdict::Unknown);
        // A server process whose client was killed goes on with its statement.
        let left = seen("", "127.0.0.1", "active");
        assert_eq!(
            judged(holder, vec![left.clone()], &ended, false),
            Verdict::Alive
        );
        assert_eq!(judged(holder, vec![left], &nobody, false), Verdict::Unknown);
        let mut hidden = seen("api", "203.0.113.9", "idle");
        hidden.hidden = true;
        assert_eq!(
            judged(holder, vec![hidden], &ended, false),
            Verdict::Unknown
        );
    }

    #[test]
    fn knex_tells_nothing_unless_its_transaction_is_seen() {
        let nobody = of(Process::Unknown);
        let busy = seen("", "203.0.113.9", "active");
        assert_eq!(
            judged(None, vec![busy.clone()], &nobody, false),
            Verdict::Unknown
        );
        assert_eq!(judged(None, vec![], &nobody, false), Verdict::Unknown);
        let mut lock = lock(None, State::InTransaction);
        let mut holding = busy;
        holding.holds_table = true;
        judge(&mut lock, vec![holding], &[], &nobody, false);
        assert_eq!(lock.verdict, Some(Verdict::Alive));
        assert_eq!(lock.sessions.len(), 1);
        assert!(lock.sessions[0].of_holder);
    }
}
