//! The error type that crosses layers: a reason with a stable code, a message, hints and a cause.
//!
//! `Display` shows the error's own layer only; `cli::output` prints the chain. The reason's exit code is the
//! process's exit code, and `summitctl explain <code>` shows the reason's help.

use std::fmt;

use crate::exit::Exit;
use crate::secret;

/// A finer reason than the exit code, stable across releases, such as `postgres.login-refused`.
#[derive(Debug, PartialEq, Eq)]
pub struct Reason {
    /// Dotted, lower-case, stable.
    pub code: &'static str,
    /// The exit code the process ends with when this is the outermost reason.
    pub exit: Exit,
    /// What it means and what to do, in full sentences, for `summitctl explain`.
    pub help: &'static str,
}

/// Declares the reasons of a module: one `pub static` each, and `REASONS`, which `explain` lists.
///
/// ```
/// summitctl::reasons! {
///     /// The server refused the password.
///     LOGIN_REFUSED = "example.login-refused", Unreachable, "The server refused the login. Check the password.";
/// }
/// assert_eq!(REASONS[0].code, "example.login-refused");
/// ```
#[macro_export]
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $exit:ident, $help:expr;)+) => {
        $($(#[$doc])* pub static $name: $crate::error::Reason = $crate::error::Reason {
            code: $code,
            exit: $crate::exit::Exit::$exit,
            help: $help,
        };)+
        /// Every reason this module can give, for `summitctl explain`.
        pub static REASONS: &[&$crate::error::Reason] = &[$(&$name),+];
    };
}

reasons! {
    /// A bug.
    BUG = "internal.bug", Bug, "summitctl broke one of its own rules. Report the message; nothing is hidden by restarting.";
    /// An ordinary file or directory operation failed.
    IO = "io.failed", Failed, "A file or directory could not be read or written. The message names it and the system's reason.";
    /// The disk is full.
    DISK_FULL = "io.disk-full", Failed, "The file system has no space left. Free space and resume; nothing half-written counts.";
    /// An argument, a file or a document has the wrong form.
    BAD_INPUT = "input.invalid", Usage, "An argument, file or document does not have the form it must have. Nothing was changed.";
    /// Nothing has this name.
    NOT_FOUND = "input.not-found", Usage, "Nothing with this name exists here. The message lists the nearest names.";
    /// The run was interrupted.
    INTERRUPTED = "run.interrupted", Interrupted, "The run was interrupted. Its journal is intact: `summitctl run resume` goes on.";
    /// There was no run yet.
    NOT_BEGUN = "run.not-begun", Interrupted,
        "The command was interrupted before it had begun a run, such as while it planned or asked. There is nothing to resume: run the command again.";
    /// A deadline passed.
    TIMEOUT = "wait.timeout", Failed, "What was waited for did not happen before the deadline; the message holds the last status seen.";
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, why, and what to do next.
pub struct Error(Box<Inner>);

struct Inner {
    reason: &'static Reason,
    message: String,
    hints: Vec<String>,
    /// Where the reader finds the offending text: the excerpt with a caret, ready to print.
    excerpt: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What was measured on the way to the failure, for reports.
    details: Option<serde_json::Value>,
}

impl Error {
    /// A new error. The message is a lower-case fragment with names and values in backticks; secret values are masked.
    pub fn new(reason: &'static Reason, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            reason,
            message: secret::mask(&message.into()).into_owned(),
            hints: Vec::new(),
            excerpt: None,
            source: None,
            details: None,
        }))
    }

    /// Shorthand for a broken invariant.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(&BUG, message)
    }

    /// Shorthand for bad input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(&BAD_INPUT, message)
    }

    /// A failed file operation, with the path and what was tried: `Error::io("write", path, e)`.
    pub fn io(verb: &str, path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, StorageFull};
        let path = path.as_ref().display();
        let folder = || {
            let text = path.to_string();
            let above = std::path::Path::new(&text).parent();
            above.map_or(text.clone(), |p| p.display().to_string())
        };
        let (reason, hint) = match source.kind() {
            StorageFull | QuotaExceeded => (
                &DISK_FULL,
                Some(format!(
                    "See what is left with `df -h {}`, free space, and go on; nothing half-written counts.",
                    folder()
                )),
            ),
            PermissionDenied => (
                &IO,
                Some(format!(
                    "Compare `id` with the owner and mode that `ls -ld {0} {path}` shows, or run this as the user that made it.",
                    folder()
                )),
            ),
            _ => (&IO, None),
        };
        let error = Self::new(reason, format!("cannot {verb} `{path}`")).caused_by(source);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Adds what lies beneath.
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a hint: a full sentence that holds the exact command to run.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(secret::mask(&hint.into()).into_owned());
        self
    }

    /// Adds the offending text with a caret below it.
    pub fn excerpt(mut self, excerpt: impl Into<String>) -> Self {
        self.0.excerpt = Some(secret::mask(&excerpt.into()).into_owned());
        self
    }

    /// Adds what was measured on the way to the failure: a report that must not be lost with the error.
    pub fn with_details(mut self, details: impl serde::Serialize) -> Self {
        let mut details = serde_json::to_value(details).ok();
        details.iter_mut().for_each(secret::mask_json);
        self.0.details = details;
        self
    }

    /// What was measured, from the outermost layer that says so.
    pub fn details(&self) -> Option<&serde_json::Value> {
        if self.0.details.is_some() {
            return self.0.details.as_ref();
        }
        let mut next = self.source_ref();
        while let Some(error) = next {
            if let Some(details) = error
                .downcast_ref::<Error>()
                .and_then(|e| e.0.details.as_ref())
            {
                return Some(details);
            }
            next = error.source();
        }
        None
    }

    /// Wraps this error in an outer layer that keeps its reason.
    pub fn context(self, message: impl Into<String>) -> Self {
        Self::new(self.0.reason, message).caused_by(self)
    }

    /// The stable reason.
    pub fn reason(&self) -> &'static Reason {
        self.0.reason
    }

    /// The exit code this error leads to.
    pub fn exit(&self) -> Exit {
        self.0.reason.exit
    }

    /// The hints of this layer and of every layer below, outermost first, each once.
    pub fn hints(&self) -> Vec<&str> {
        let mut hints: Vec<&str> = Vec::new();
        for hint in &self.0.hints {
            if !hints.contains(&hint.as_str()) {
                hints.push(hint);
            }
        }
        let mut next = self.source_ref();
        while let Some(error) = next {
            if let Some(ours) = error.downcast_ref::<Error>() {
                for hint in &ours.0.hints {
                    if !hints.contains(&hint.as_str()) {
                        hints.push(hint);
                    }
                }
            }
            next = error.source();
        }
        hints
    }

    /// The innermost excerpt, which points at the text that is wrong.
    pub fn innermost_excerpt(&self) -> Option<&str> {
        let mut found = self.0.excerpt.as_deref();
        let mut next = self.source_ref();
        while let Some(error) = next {
            if let Some(excerpt) = error
                .downcast_ref::<Error>()
                .and_then(|e| e.0.excerpt.as_deref())
            {
                found = Some(excerpt);
            }
            next = error.source();
        }
        found
    }

    /// The messages of the layers beneath, outermost first, masked, without repeats.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source_ref();
        while let Some(error) = next {
            let text = secret::mask(&error.to_string()).into_owned();
            if !text.is_empty()
                && causes.last().is_none_or(|last| !last.contains(&text))
                && text != self.0.message
            {
                causes.push(text);
            }
            next = error.source();
        }
        causes
    }

    /// This layer's message and every cause on one line, for journals and reports.
    pub fn one_line(&self) -> String {
        let mut line = self.0.message.clone();
        for cause in self.causes() {
            line.push_str(": ");
            line.push_str(&cause);
        }
        line.replace('\n', " ")
    }

    fn source_ref(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|e| e as &(dyn std::error::Error + 'static))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.0.reason.code, self.one_line())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source_ref()
    }
}

/// Adds an outer layer to a failed result.
pub trait Context<T> {
    /// Wraps the error, if any, in `message`.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| e.context(message()))
    }
}

/// A machine-readable error, as `--output json` and the journal hold it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The stable reason code.
    pub reason: String,
    /// The exit code the process ends with.
    // Journals of earlier builds spell it with an underscore.
    #[serde(alias = "exit_code")]
    pub exit_code: u8,
    /// The outermost message.
    pub message: String,
    /// What lies beneath, outermost first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// What was measured on the way to the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl From<&Error> for Report {
    fn from(error: &Error) -> Self {
        Report {
            reason: error.reason().code.to_owned(),
            exit_code: error.exit().code(),
            message: error.to_string(),
            causes: error.causes(),
            hints: error.hints().into_iter().map(str::to_owned).collect(),
            details: error.details().cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_the_reason_and_hints_come_from_every_layer() {
        let inner = Error::input("unknown key `tiers`").hint("Did you mean `tier`?");
        let outer = inner
            .context("cannot read `summitctl.toml`")
            .hint("Run `summitctl init`.");
        assert_eq!(outer.reason().code, "input.invalid");
        assert_eq!(outer.to_string(), "cannot read `summitctl.toml`");
        assert_eq!(outer.causes(), vec!["unknown key `tiers`"]);
        assert_eq!(
            outer.hints(),
            vec!["Run `summitctl init`.", "Did you mean `tier`?"]
        );
        assert_eq!(outer.exit(), Exit::Usage);
    }

    #[test]
    fn a_full_disk_has_its_own_reason() {
        let error = Error::io(
            "write",
            "/x",
            std::io::Error::from(std::io::ErrorKind::StorageFull),
        );
        assert_eq!(error.reason(), &DISK_FULL);
    }
}
