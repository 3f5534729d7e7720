//! What reaches stdout and stderr: one result on stdout, everything else on stderr, secrets masked in both.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::args::Format;
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
    /// The document.
    pub json: Value,
}

impl Answer {
    /// An answer from its two forms.
    pub fn new(exit: Exit, text: impl Into<String>, json: impl Serialize) -> Self {
        let json =
            serde_json::to_value(json).unwrap_or_else(|e| json!({"unserialisable": e.to_string()}));
        Answer {
            exit,
            text: text.into(),
            json,
        }
    }
}

/// The JSON document of every command.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Document<T> {
    /// Format version: 1.
    pub version: u32,
    /// The command's words.
    pub command: String,
    /// The exit code.
    pub exit_code: u8,
    /// The result; absent if the command could not be carried out.
    pub result: Option<T>,
    /// Why it could not be carried out.
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
            Format::Human => answer.text.trim_end().to_owned(),
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
        self.say(&render_error(error, self.colour));
        error.exit()
    }

    /// Writes a line to stderr.
    pub fn say(self, text: &str) {
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(std::io::stderr(), "{}", secret::mask(text));
    }
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
pub fn render_error(error: &Error, colour: bool) -> String {
    let (red, cyan, off) = if colour {
        ("\u{1b}[31m", "\u{1b}[36m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    let mut text = format!("{red}error{off}: {error}");
    for cause in error.causes() {
        text.push_str(&format!("\n  caused by: {}", cause.replace('\n', "\n    ")));
    }
    if let Some(excerpt) = error.innermost_excerpt() {
        text.push('\n');
        text.push_str(excerpt);
    }
    for hint in error.hints() {
        text.push_str(&format!("\n  {cyan}hint{off}: {hint}"));
    }
    text.push_str(&format!(
        "\n  more: `summitctl explain {}` (exit code {})",
        error.reason().code,
        error.exit().code()
    ));
    secret::mask(&text).into_owned()
}

/// How wide the terminal is; 80 where there is none.
pub fn width() -> usize {
    let columns =
        rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 80 } else { columns.min(160) }
}

/// A table that fits the terminal.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width()).unwrap_or(80));
    table.set_header(head.iter().map(|h| h.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    // The first column names things that people copy: it must not be broken across lines.
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
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
