//! The command line: the only layer that knows clap, the terminal, colour, prompts and the process environment.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::consent::Flags;
use crate::error::Result;
use crate::event::Events;
use crate::evidence::Timeline;
use crate::exit::Exit;
use crate::wait::{Cancel, not_begun};

pub mod args;
mod commands;
mod layout;
mod listen;
mod output;
mod pace;
mod prompt;
mod signals;

use args::{
    Cli, Command, ContextCommand, Format, Globals, LeaseCommand, RunCommand, RunbookCommand,
    SandboxCommand,
};
use output::{Answer, Output};
use prompt::Terminal;

/// Everything a command needs to know of the invocation.
pub(crate) struct Session {
    globals: Globals,
    output: Output,
    events: Events,
    timeline: Timeline,
    display: listen::Display,
    cancel: Cancel,
}

impl Session {
    /// The folder of journals, leases and pins.
    fn state_dir(&self) -> PathBuf {
        if let Some(dir) = &self.globals.state_dir {
            return dir.clone();
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/summitctl");
        }
        let home = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let state = home("XDG_STATE_HOME").or_else(|| home("HOME").map(|h| h.join(".local/state")));
        state.unwrap_or_else(std::env::temp_dir).join("summitctl")
    }

    /// The sandbox's folder.
    fn sandbox_dir(&self) -> PathBuf {
        self.globals
            .sandbox_dir
            .clone()
            .unwrap_or_else(|| self.state_dir().join("sandbox"))
    }

    /// The consent flags of this invocation.
    fn flags(&self) -> Flags {
        Flags {
            yes: self.globals.yes,
            confirm: self.globals.confirm.clone(),
            plan: self.globals.plan.clone(),
            standing: None,
        }
    }

    fn terminal(&self) -> Terminal {
        Terminal::new(self.globals.no_input)
    }
}

/// Parses the command line, carries it out, and says how it ended.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let command = cli.command.words();
    let output = Output::new(cli.globals.output);
    panic_hook(command, output);
    if cli.globals.plan_only && acts_at_once(&cli.command) {
        let error = crate::error::Error::input(format!(
            "`{command}` acts at once: it has no plan that could be shown"
        ))
        .hint("Leave `--plan-only` out if it is to act. Nothing was done.");
        return output.error(command, &error).into();
    }
    match start(cli, command, output) {
        Ok(exit) => exit.into(),
        Err(error) => output.error(command, &error).into(),
    }
}

fn start(cli: Cli, command: &'static str, output: Output) -> Result<Exit> {
    let timeline = Timeline::default();
    let display = listen::Display::new();
    let events = listen::events(
        cli.globals.events.as_deref(),
        quiet(&cli.command),
        cli.globals.verbose,
        &timeline,
        &display,
    )?;
    let session = Session {
        globals: cli.globals,
        output,
        events,
        timeline,
        display,
        cancel: Cancel::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|e| crate::error::Error::bug("the runtime does not start").caused_by(e))?;
    let answer: Result<Answer> = runtime.block_on(async {
        signals::watch(&session, command);
        if let Some(timeout) = session.globals.timeout {
            signals::stop_after(&session, command, timeout, grace(&cli.command));
        }
        let at_once = stops_at_once(&cli.command);
        let answer = tokio::select! {
            biased;
            () = session.cancel.asked_before_begin(), if at_once => Err(not_begun()),
            answer = commands::dispatch(&session, cli.command) => answer,
        };
        match session.globals.timeout {
            Some(timeout) if session.cancel.is_over() => {
                answer.map_err(|e| signals::timed_out(command, timeout, e))
            }
            _ => answer,
        }
    });
    // Work that was abandoned by a second Ctrl-C must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    Ok(session.output.answer(command, &answer?))
}

/// Commands that change something without a plan. A flag that asks them for one must not make them act.
fn acts_at_once(command: &Command) -> bool {
    matches!(
        command,
        Command::Init(_)
            | Command::GoldenPath(_)
            | Command::Run(RunCommand::Resume(_) | RunCommand::Abort(_))
            | Command::Lease(LeaseCommand::Break { .. })
            | Command::Runbook(RunbookCommand::New { .. })
            | Command::Context(ContextCommand::Use { .. })
            | Command::Sandbox(
                SandboxCommand::Up
                    | SandboxCommand::Down { .. }
                    | SandboxCommand::Break { .. }
                    | SandboxCommand::Mend { .. }
            )
    )
}

/// Commands that may be dropped anywhere until they begin a run: they only look before. The sandbox's change servers.
fn stops_at_once(command: &Command) -> bool {
    !matches!(command, Command::Sandbox(_) | Command::GoldenPath(_))
}

/// How much longer a command may take than `--timeout` says: those that report by then what they have seen get a moment
/// to do so.
fn grace(command: &Command) -> Duration {
    match command {
        Command::Doctor(_) | Command::Smoke(_) | Command::Kube(_) => Duration::from_secs(1),
        _ => Duration::ZERO,
    }
}

/// Commands whose result is the only thing anybody wants to see.
fn quiet(command: &Command) -> bool {
    matches!(
        command,
        Command::Explain(_) | Command::Completions(_) | Command::Man(_) | Command::Schemas(_)
    )
}

/// Help and version go to stdout with 0; a wrong command line is exit code 2, also as JSON if that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let fine = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if fine {
        let _ = error.print();
        return Exit::Ok.into();
    }
    if wants_json() {
        let message = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                "the command line names a group of commands, and none of them".to_owned()
            }
            _ => first_paragraph(&error.render().to_string()),
        };
        let error = crate::error::Error::input(message)
            .hint("See the commands and their flags with `summitctl help`.");
        return Output::new(Format::Json).error("", &error).into();
    }
    let _ = error.print();
    Exit::Usage.into()
}

/// What clap says is wrong, without its advice.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().take_while(|l| !l.trim().is_empty());
    let said: Vec<&str> = lines.map(str::trim).collect();
    said.join(" ").trim_start_matches("error: ").to_owned()
}

/// Whether a command line that cannot be parsed asks for JSON all the same.
fn wants_json() -> bool {
    let args: Vec<String> = std::env::args_os()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let together = ["--output=json", "-ojson", "-o=json"];
    args.iter().any(|a| together.contains(&a.as_str()))
        || args
            .windows(2)
            .any(|w| (w[0] == "--output" || w[0] == "-o") && w[1] == "json")
        || std::env::var("SUMMITCTL_OUTPUT").is_ok_and(|v| v == "json")
}

/// A panic is a bug: its message is masked, and the exit code and the document say so.
fn panic_hook(command: &'static str, output: Output) {
    std::panic::set_hook(Box::new(move |info| {
        let bug = crate::error::Error::bug(format!("this is a bug in summitctl: {info}"))
            .hint("Please report it; the journal is kept.");
        std::process::exit(i32::from(output.error(command, &bug).code()));
    }));
}
