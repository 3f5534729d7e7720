//! Exit codes: the one number a script sees. Each is documented by `summitctl explain`.

use serde::{Deserialize, Serialize};

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done, or already so.
    Ok = 0,
    /// A check or a step failed.
    Failed = 1,
    /// The command line, the configuration or another input is wrong.
    Usage = 2,
    /// The tool refused: no consent, a target that is not the pinned one, a lease held by somebody else.
    Refused = 3,
    /// Interrupted between effects; `summitctl run resume` goes on.
    Interrupted = 4,
    /// The gate's verdict is no-go.
    NoGo = 5,
    /// Something on disk is not what was written: journal, repository, evidence.
    Integrity = 6,
    /// A target could not be reached.
    Unreachable = 7,
    /// A bug in summitctl.
    Bug = 70,
}

impl Exit {
    /// All codes, in numeric order.
    pub const ALL: &'static [Exit] = &[
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::Refused,
        Exit::Interrupted,
        Exit::NoGo,
        Exit::Integrity,
        Exit::Unreachable,
        Exit::Bug,
    ];

    /// The number handed to the operating system.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// A few words, as a heading.
    pub fn title(self) -> &'static str {
        match self {
            Exit::Ok => "done, or already so",
            Exit::Failed => "a check or a step failed",
            Exit::Usage => "usage or configuration is wrong",
            Exit::Refused => "refused",
            Exit::Interrupted => "interrupted, resumable",
            Exit::NoGo => "the gate says no-go",
            Exit::Integrity => "integrity is broken",
            Exit::Unreachable => "a target is unreachable",
            Exit::Bug => "a bug in summitctl",
        }
    }

    /// What it means and what to do next, in full sentences.
    pub fn help(self) -> &'static str {
        match self {
            Exit::Ok => {
                "Everything that was asked for was done and looked at again, or was already so."
            }
            Exit::Failed => {
                "A check, probe or step failed; the report names it and its cause. Reading commands carry on past a \
                 failure, changing commands stop at the first one; `summitctl run list` shows what can be resumed."
            }
            Exit::Usage => {
                "The command line, the configuration file, a runbook or an environment variable is wrong. Nothing was \
                 changed. The message names the file, the line and the nearest valid name."
            }
            Exit::Refused => {
                "Consent was missing, the target is not the pinned one, the plan changed since it was shown, or another \
                 run holds the lease. Nothing was changed. The message holds the command that gives consent."
            }
            Exit::Interrupted => {
                "The run was interrupted between effects and its journal is intact. `summitctl run resume` goes on \
                 where it stopped; `summitctl run abort` takes back what can be taken back. If the message says that \
                 no run was begun, there is nothing to resume."
            }
            Exit::NoGo => {
                "The gate evaluated its checks and at least one required check did not pass."
            }
            Exit::Integrity => {
                "A journal, repository object or evidence record is not what was written: edited, truncated, swapped \
                 or replayed. Do not resume or restore from it before you know why."
            }
            Exit::Unreachable => {
                "A target did not answer: name resolution, the network, TLS or the login failed. \
                 `summitctl doctor` shows how far each connection gets."
            }
            Exit::Bug => {
                "summitctl broke one of its own rules. Please report it with the message; the journal is kept."
            }
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}
