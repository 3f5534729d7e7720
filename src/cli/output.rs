//! What reaches stdout and stderr: one result on stdout, everything else on stderr, secrets masked in both.

use std::io::{IsTerminal as _, Write as _};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::args::Format;
use super::layout::{Table, wrap};
use crate::error::{Error, Report};
use crate::event::Outcome;
use crate::exit::Exit;
use crate::secret;

/// A command's result: what people see and what `--output json` holds.
pub struct Answer {
    /// The exit code.
    pub exit: Exit,
    /// The text for people.
    pub text: String,
    /// The result in the document.
    pub json: Value,
    /// Whether the text is written as it is: a file's content, or something that programs read.
    verbatim: bool,
}

impl Answer {
    /// An answer from its two forms. The result's type is the one that `schemas` publishes for the command.
    pub fn new(exit: Exit, text: impl Into<String>, json: impl Serialize + JsonSchema) -> Self {
        let json =
            serde_json::to_value(json).unwrap_or_else(|e| json!({"unserialisable": e.to_string()}));
        Answer {
            exit,
            text: text.into(),
            json,
            verbatim: false,
        }
    }

    /// Writes the text as it is, however long its lines are.
    #[must_use]
    pub fn verbatim(mut self) -> Self {
        self.verbatim = true;
        self
    }
}

/// The JSON document of every command.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Document<T> {
    /// Format version: 1.
    pub version: u32,
    /// The command's words, such as `backup list`; empty if the command line names none.
    pub command: String,
    /// The exit code; `summitctl explain` describes each.
    pub exit_code: u8,
    /// The result; null if the command could not be carried out.
    pub result: Option<T>,
    /// Why it could not be carried out; null if it was.
    pub error: Option<Report>,
}

/// Where and how results are written.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    colour: bool,
}

impl Output {
    /// Output in this format; colour only on a terminal that wants it (`NO_COLOR`, `TERM=dumb`).
    pub fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none()
            && std::env::var("TERM").map_or(true, |t| t != "dumb");
        Output {
            format,
            colour: wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Whether stdout carries a JSON document.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Writes a command's result.
    pub fn answer(self, command: &str, answer: &Answer) -> Exit {
        let text = match self.format {
            Format::Human if answer.verbatim => answer.text.trim_end().to_owned(),
            Format::Human => wrap(answer.text.trim_end(), width(Stream::Out)),
            Format::Json => document(command, answer.exit, Some(answer.json.clone()), None),
        };
        if !text.is_empty() && !write_stdout(&text) {
            return Exit::Failed;
        }
        answer.exit
    }

    /// Writes why a command could not be carried out.
    pub fn error(self, command: &str, error: &Error) -> Exit {
        if self.is_json() {
            write_stdout(&document(
                command,
                error.exit(),
                None,
                Some(Report::from(error)),
            ));
        }
        write_stderr(&render_error(error, self.colour, width(Stream::Err)));
        error.exit()
    }

    /// Writes a text to stderr.
    pub fn say(self, text: &str) {
        write_stderr(&wrap(text, width(Stream::Err)));
    }
}

fn write_stderr(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{}", secret::mask(text));
}

/// A closed pipe (`summitctl … | head`) is no failure; any other error is.
fn write_stdout(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(format!("{}\n", secret::mask(text)).as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => true,
        Err(e) => e.kind() == std::io::ErrorKind::BrokenPipe,
    }
}

fn document(command: &str, exit: Exit, result: Option<Value>, error: Option<Report>) -> String {
    let document = Document {
        version: 1,
        command: command.to_owned(),
        exit_code: exit.code(),
        result,
        error,
    };
    let mut value = serde_json::to_value(&document).unwrap_or_default();
    secret::mask_json(&mut value);
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

/// The error chain as people read it.
fn render_error(error: &Error, colour: bool, width: Option<usize>) -> String {
    let (red, cyan, off) = if colour {
        ("\u{1b}[31m", "\u{1b}[36m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    // Colours take no room on a line: they are put around the first word once the line is laid out.
    let coloured = |text: String, word: &str, colour: &str| {
        wrap(&text, width).replacen(word, &format!("{colour}{word}{off}"), 1)
    };
    let mut text = coloured(format!("error: {error}"), "error", red);
    for cause in error.causes() {
        let cause = format!("  caused by: {}", cause.replace('\n', "\n    "));
        text.push_str(&format!("\n{}", wrap(&cause, width)));
    }
    if let Some(excerpt) = error.innermost_excerpt() {
        text.push('\n');
        text.push_str(excerpt);
    }
    for hint in error.hints() {
        let hint = coloured(format!("  hint: {hint}"), "hint", cyan);
        text.push_str(&format!("\n{hint}"));
    }
    text.push_str(&format!(
        "\n  more: `summitctl explain {}` (exit code {})",
        error.reason().code,
        error.exit().code()
    ));
    secret::mask(&text).into_owned()
}

/// A stream that people may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Results.
    Out,
    /// Everything else.
    Err,
}

/// How wide lines should be: as the terminal is, but no wider than is good to read; elsewhere what `COLUMNS` says.
/// `None`: a pipe or a file, where a line is a line.
pub fn width(stream: Stream) -> Option<usize> {
    let size = match stream {
        Stream::Out => rustix::termios::tcgetwinsize(std::io::stdout()),
        Stream::Err => rustix::termios::tcgetwinsize(std::io::stderr()),
    };
    let said = || std::env::var("COLUMNS").ok()?.parse::<usize>().ok();
    let columns = match size.map(|s| usize::from(s.ws_col)) {
        // A terminal that does not know its size.
        Ok(0) => said().or(Some(80)),
        Ok(columns) => Some(columns),
        Err(_) => said(),
    };
    columns.map(|n| n.clamp(40, 160))
}

/// A table of results.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new(head);
    rows.into_iter().for_each(|row| table.row(row));
    table.render(width(Stream::Out))
}

/// A sign and a word: the sign never stands alone.
pub fn mark(outcome: Outcome) -> String {
    let sign = match outcome {
        Outcome::Passed => "✓",
        Outcome::Degraded => "!",
        Outcome::Failed => "✗",
        Outcome::NotEvaluated => "?",
        Outcome::Skipped => "-",
    };
    format!("{sign} {}", outcome.word())
}
