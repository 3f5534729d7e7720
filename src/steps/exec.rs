//! `exec`: runs a program by its argv, without a shell, and keeps what it said and how it ended.
//!
//! A program that changes something cannot be looked into. Its outcome is written beside the journal, so that a run that was
//! killed afterwards does not start it again; one that was killed inside it does, and the program is told so by
//! `SUMMITCTL_IDEMPOTENCY_KEY`, which is the same each time. A `check` makes it as safe as our own steps.

use std::path::PathBuf;
use std::process::Stdio;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::world::World;
use crate::consent::Effect;
use crate::durable::write_private;
use crate::engine::step::{
    ApplyCx, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::runbook::{EXEC, ExecArgs, ExecEffect};
use crate::{reasons, secret};

reasons! {
    /// It cannot be started.
    NOT_STARTED = "exec.not-started", Failed, "A program that a runbook names could not be started. The message names it; check `PATH` and its permissions.";
    /// It failed.
    EXIT = "exec.failed", Failed, "A program that a runbook names ended with another status than 0. The message holds the end of what it wrote to stderr.";
    /// The check does not see the effect.
    UNCHECKED = "exec.not-so", Failed, "A program of a runbook ended well, but the `check` that goes with it does not see its effect.";
}

/// How much of each stream is kept, from its end.
const KEPT: usize = 4096;

/// What will be run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecChange {
    argv: Vec<String>,
    check: Option<Vec<String>>,
    undo: Option<Vec<String>>,
    outcome: PathBuf,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Outcome {
    exit_code: i32,
    stdout: String,
    stderr: String,
}

/// The step kind `exec`.
pub struct Exec;

#[async_trait]
impl Step<World> for Exec {
    const KIND: &'static str = EXEC;
    const SUMMARY: &'static str =
        "Runs a program by its argv, never a shell line; it must end with status 0";
    type Args = ExecArgs;
    type Change = ExecChange;

    fn effect(&self, args: &ExecArgs) -> Effect {
        args.effect.into()
    }

    fn title(&self, args: &ExecArgs) -> String {
        format!("runs `{}`", args.argv.join(" "))
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &ExecArgs) -> Result<Decision<ExecChange>> {
        if args.effect == ExecEffect::Read {
            let outcome = run(cx, &args.argv, None).await?;
            return Ok(Decision::Done(Observed::of(succeeded(
                &args.argv, outcome,
            )?)));
        }
        if let Some(check) = &args.check {
            let outcome = run(cx, check, None).await?;
            if outcome.exit_code == 0 {
                return Ok(Decision::Done(Observed::of(outcome)));
            }
        }
        let outcome = cx
            .world
            .state
            .runs()
            .folder(cx.run)
            .join(format!("exec-{}.json", cx.step));
        let change = ExecChange {
            argv: args.argv.clone(),
            check: args.check.clone(),
            undo: args.undo.clone(),
            outcome,
        };
        Ok(Decision::Change {
            change,
            decisive: decisive(args),
            shown: Facts::new(),
        })
    }

    async fn foresee(&self, _: &ReadCx<'_, World>, args: &ExecArgs) -> Result<Foresight> {
        Ok(Foresight {
            decisive: decisive(args),
            shown: Facts::new(),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &ExecChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let outcome = run(cx, &change.argv, Some(&grant.key().0)).await?;
        let text = serde_json::to_vec(&outcome)
            .map_err(|e| Error::bug("an outcome does not serialise").caused_by(e))?;
        write_private(&change.outcome, &text)?;
        succeeded(&change.argv, outcome).map(drop)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &ExecChange) -> Result<Observed> {
        let text =
            std::fs::read(&change.outcome).map_err(|e| Error::io("read", &change.outcome, e))?;
        let outcome: Outcome = serde_json::from_slice(&text)
            .map_err(|e| Error::input("a program's outcome cannot be read").caused_by(e))?;
        let outcome = succeeded(&change.argv, outcome)?;
        if let Some(check) = &change.check {
            let seen = run(cx, check, None).await?;
            if seen.exit_code != 0 {
                return Err(Error::new(
                    &UNCHECKED,
                    format!(
                        "`{}` ended well, but its check `{}` ends with {}: {}",
                        change.argv[0],
                        check.join(" "),
                        seen.exit_code,
                        last_words(&seen)
                    ),
                ));
            }
        }
        Ok(Observed::of(outcome))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &ExecChange,
        grant: Grant<'_>,
    ) -> Result<Undo> {
        let Some(undo) = &change.undo else {
            return Ok(Undo::Impossible(format!(
                "the runbook names no `undo` for `{}`; take it back by hand",
                change.argv.join(" ")
            )));
        };
        let outcome = run(cx, undo, Some(&grant.key().0)).await?;
        Ok(Undo::Done(Observed::of(succeeded(undo, outcome)?)))
    }
}

fn decisive(args: &ExecArgs) -> Facts {
    Facts::from_iter([("argv".to_owned(), json!(args.argv))])
}

fn succeeded(argv: &[String], outcome: Outcome) -> Result<Outcome> {
    if outcome.exit_code == 0 {
        return Ok(outcome);
    }
    Err(Error::new(
        &EXIT,
        format!(
            "`{}` ended with status {}: {}",
            argv.join(" "),
            outcome.exit_code,
            last_words(&outcome)
        ),
    ))
}

fn last_words(outcome: &Outcome) -> &str {
    let lines = |text: &'_ str| text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    for text in [&outcome.stderr, &outcome.stdout] {
        let last = text[lines(text)..].trim();
        if !last.is_empty() {
            return last;
        }
    }
    "it said nothing"
}

/// Ends a program with everything it started, whatever became of the wait for it.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Runs a program to its end. It is a process group of its own: a first Ctrl-C lets it finish, a second ends it.
async fn run(cx: &ReadCx<'_, World>, argv: &[String], key: Option<&str>) -> Result<Outcome> {
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| Error::input("`exec` needs a program"))?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(cx.world.environment.iter())
        .env("SUMMITCTL_CONTEXT", &cx.world.context)
        .env("SUMMITCTL_RUN", cx.run)
        .env("SUMMITCTL_STEP", cx.step)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(key) = key {
        command.env("SUMMITCTL_IDEMPOTENCY_KEY", key);
    }
    let mut child = command.spawn().map_err(|e| {
        Error::new(&NOT_STARTED, format!("`{program}` cannot be started")).caused_by(e)
    })?;
    let group = Group(
        child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw),
    );
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::bug("a child process has no pipes"));
    };
    let (stdout, stderr, status) = tokio::join!(end_of(out), end_of(err), child.wait());
    // It has been waited for; what it left running in the background is its own affair.
    std::mem::forget(group);
    let status = status.map_err(|e| Error::io("wait for", program, e))?;
    Ok(Outcome {
        exit_code: code_of(status),
        stdout,
        stderr,
    })
}

/// The status as a shell would say it: 128 and the signal for a killed program.
fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The end of what a stream carries, masked.
async fn end_of(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut chunk = vec![0_u8; 8192];
    while let Ok(read) = stream.read(&mut chunk).await
        && read > 0
    {
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 16 * KEPT {
            kept.drain(..kept.len() - 8 * KEPT);
        }
    }
    // Masked before it is cut, so that no half of a secret is left.
    let text = secret::mask(&String::from_utf8_lossy(&kept)).into_owned();
    let mut from = text.len().saturating_sub(KEPT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}
