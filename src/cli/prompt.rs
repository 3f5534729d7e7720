//! Asks a person at the terminal. Questions go to stderr, so that stdout stays data.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use super::listen::Display;
use crate::consent::Ask;
use crate::error::{Error, INTERRUPTED, Result};
use crate::steps::world::Person;
use crate::wait::not_begun;

/// Whether a question blocks the thread that put it.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Whether the program waits for an answer before it has begun anything.
pub fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst)
}

/// The terminal, or nobody.
pub struct Terminal {
    interactive: bool,
}

impl Terminal {
    /// Asks only if stdin and stderr are a terminal and nobody forbade it.
    pub fn new(no_input: bool) -> Self {
        Terminal {
            interactive: !no_input
                && std::io::stdin().is_terminal()
                && std::io::stderr().is_terminal(),
        }
    }

    /// The same terminal while a run is under way, with its bars out of the way of a question.
    pub fn beside(self, display: &Display) -> Beside {
        Beside {
            interactive: self.interactive,
            display: display.clone(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

/// A terminal shared with progress bars.
pub struct Beside {
    interactive: bool,
    display: Display,
    turn: tokio::sync::Mutex<()>,
}

#[async_trait::async_trait]
impl Person for Beside {
    fn present(&self) -> bool {
        self.interactive
    }

    async fn answer(&self, question: &str) -> Result<String> {
        let _one_at_a_time = self.turn.lock().await;
        let _quiet = self.display.quiet();
        let (send, received) = tokio::sync::oneshot::channel();
        let question = question.to_owned();
        // A thread of its own: if nobody answers and the run is stopped, nothing waits for it.
        std::thread::spawn(move || send.send(line(&question)));
        received
            .await
            .map_err(|_| Error::bug("the terminal's reader ended without an answer"))??
            .ok_or_else(|| Error::new(&INTERRUPTED, "the question was not answered"))
    }
}

/// Puts a question and reads one line; `None` if there are no more.
fn line(prompt: &str) -> Result<Option<String>> {
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{prompt} ");
    let _ = stderr.flush();
    let mut line = String::new();
    let read = std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| Error::io("read", "the terminal", e))?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

/// Puts a question before anything is begun.
fn line_before(prompt: &str) -> Result<String> {
    OPEN.store(true, Ordering::SeqCst);
    let answer = line(prompt);
    OPEN.store(false, Ordering::SeqCst);
    answer?.ok_or_else(|| not_begun().context("the question was not answered"))
}

impl Ask for Terminal {
    fn interactive(&self) -> bool {
        self.interactive
    }

    fn yes_no(&mut self, question: &str) -> Result<bool> {
        let answer = line_before(&format!("{question} [y/N]"))?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn typed(&mut self, question: &str) -> Result<String> {
        line_before(question)
    }
}
