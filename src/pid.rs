//! Which process is meant: a pid alone is recycled; with its start time, boot and host it is not.

use std::fs;

use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::wait::{Deadline, Look, poll};

/// This machine's host name, as uname(2) gives it.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The name of the user whose rights this process has, as passwd(5) gives it; `uid N` if it is not there.
pub fn user_name() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        })
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// `/proc/sys/kernel/random/boot_id` (random(4)): differs after each boot; empty where there is none.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// `/etc/machine-id` (machine-id(5)): an installation keeps it over boots; empty where there is none.
pub fn machine_id() -> String {
    fs::read_to_string("/etc/machine-id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A process that cannot be mistaken for another one of the same boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its start time in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
    pub start_ticks: u64,
}

impl Process {
    /// The process that has this pid now; `None` if it is gone or only waits to be reaped.
    pub fn of(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command name may hold spaces and parentheses; the numbers start after its last `)`.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        // The state was field 3; the start time is field 22.
        let start_ticks = fields.nth(18)?.parse().ok()?;
        Some(Process { pid, start_ticks })
    }

    /// This process.
    pub fn current() -> Process {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        Process::of(pid).unwrap_or(Process {
            pid,
            start_ticks: 0,
        })
    }

    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        Process::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.alive()
            && let Some(pid) = rustix::process::Pid::from_raw(self.pid)
        {
            // A process that ended meanwhile is what was wanted.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Ends it: `gentle` first, SIGKILL after `patience`.
    pub async fn end(&self, gentle: Signal, patience: Duration) -> Result<()> {
        self.signal(gentle);
        let gone = |deadline| {
            poll(
                "the end of a process",
                deadline,
                Duration::from_millis(50),
                async || {
                    Ok(if self.alive() {
                        Look::NotYet(format!("pid {} runs", self.pid))
                    } else {
                        Look::Ready(())
                    })
                },
            )
        };
        if gone(Deadline::after(patience)).await.is_ok() {
            return Ok(());
        }
        self.signal(Signal::KILL);
        gone(Deadline::after(Duration::from_secs(10))).await
    }
}
