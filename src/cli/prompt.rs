//! Asks a person at the terminal. Questions go to stderr, so that stdout stays data.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::consent::Ask;
use crate::error::{Error, INTERRUPTED, Result};

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

    fn line(&self, prompt: &str) -> Result<String> {
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "{prompt} ");
        let _ = stderr.flush();
        let mut line = String::new();
        let read = std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|e| Error::io("read", "the terminal", e))?;
        if read == 0 {
            return Err(Error::new(&INTERRUPTED, "the question was not answered"));
        }
        Ok(line.trim().to_owned())
    }
}

impl Ask for Terminal {
    fn interactive(&self) -> bool {
        self.interactive
    }

    fn yes_no(&mut self, question: &str) -> Result<bool> {
        let answer = self.line(&format!("{question} [y/N]"))?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn typed(&mut self, question: &str) -> Result<String> {
        self.line(question)
    }
}
