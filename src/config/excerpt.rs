//! Pointing at the wrong place in a text that a person wrote, without showing the secrets that stand there.

use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Reason};

/// What stands in an excerpt where a secret may be.
const HIDDEN: &str = "***";

/// A text with its path, for errors that show the line.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// Where it was read.
    pub path: &'a Path,
    /// All of it.
    pub text: &'a str,
    /// Whether excerpts show names only, because every value may be a secret.
    pub names_only: bool,
}

/// A place in a text, counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl<'a> Text<'a> {
    /// A text whose values may be shown, unless their names or forms say that they are secrets.
    pub fn new(path: &'a Path, text: &'a str) -> Self {
        Text {
            path,
            text,
            names_only: false,
        }
    }

    /// A text of which excerpts show names only.
    pub fn names_only(path: &'a Path, text: &'a str) -> Self {
        Text {
            path,
            text,
            names_only: true,
        }
    }

    /// The place of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let offset = floor(self.text, offset);
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }

    /// An error about this place: `message`, the file, line and column, and the line with a caret.
    pub fn error(
        &self,
        reason: &'static Reason,
        span: Range<usize>,
        message: impl AsRef<str>,
    ) -> Error {
        let at = self.position(span.start);
        Error::new(
            reason,
            format!(
                "{} in `{}`, line {}, column {}",
                message.as_ref(),
                self.path.display(),
                at.line,
                at.column
            ),
        )
        .excerpt(self.excerpt(span))
    }

    /// The line of `span` with carets below it; secrets in it are hidden.
    pub fn excerpt(&self, span: Range<usize>) -> String {
        let offset = floor(self.text, span.start);
        let start = self.text[..offset].rfind('\n').map_or(0, |n| n + 1);
        let end = self.text[offset..]
            .find('\n')
            .map_or(self.text.len(), |n| offset + n);
        let line = self.text[start..end].trim_end_matches('\r');
        let at = self.position(offset);
        let number = at.line.to_string();
        let gutter = " ".repeat(number.len());
        let head = format!(
            "{gutter}--> {}:{}:{}\n{gutter} |",
            self.path.display(),
            at.line,
            at.column
        );
        if !self.names_only && inside_multi_line(&self.text[..start]) {
            return format!(
                "{head}\n{number} | (inside a value of several lines, which is not shown)"
            );
        }
        let shown = if self.names_only {
            name_of(line)
        } else {
            redact(line)
        };
        // The caret stays under what it points at only as far as the line is shown unchanged.
        let same = line
            .chars()
            .zip(shown.chars())
            .take_while(|(a, b)| a == b)
            .count();
        let column = (at.column - 1).min(same);
        let length = line
            .get(offset - start..(floor(self.text, span.end).max(offset) - start).min(line.len()))
            .map_or(1, |s| s.chars().count())
            .min(shown.chars().count().saturating_sub(column))
            .max(1);
        // Tabs are kept, so that the caret lands under its character whatever a tab is worth.
        let indent: String = shown
            .chars()
            .take(column)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!(
            "{head}\n{number} | {shown}\n{gutter} | {indent}{}",
            "^".repeat(length)
        )
    }
}

/// The nearest of `candidates`, if one is near enough to be what was meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|c| (likeness(word, c), c))
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// 0 to 1. A slip or two of the fingers counts, and so does a common beginning.
fn likeness(a: &str, b: &str) -> f64 {
    let slips = strsim::osa_distance(a, b);
    let allowed = (b.len() / 4).clamp(1, 3);
    let typed = if slips <= allowed {
        1.0 - 0.05 * slips as f64
    } else {
        0.0
    };
    strsim::jaro_winkler(a, b).max(typed)
}

/// Whether a key or variable with this name holds a secret by its name alone.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let names_a_place = ["_path", "_file", "_dir", "_url", "_uri"]
        .iter()
        .any(|end| name.ends_with(end));
    let words = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "credential",
        "identity",
        "api_key",
        "apikey",
        "signing_key",
        "private_key",
        "encryption_key",
        "access_key",
        "authorization",
    ];
    !names_a_place && (words.iter().any(|w| name.contains(w)) || name == "pass" || name == "pwd")
}

/// The line without passwords in URLs and without the values of secret names; references such as `env:NAME` stay.
pub fn redact(line: &str) -> String {
    redact_urls(&redact_values(line))
}

/// Hides what follows `=` after a secret name, in TOML, in a URL's query, in an environment file.
fn redact_values(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at);
        let mark = &after[..1];
        let name_end = before.trim_end_matches([' ', '\t', '"', '\'']).len();
        let name_start = before[..name_end]
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .map_or(0, |n| {
                n + before[n..].chars().next().map_or(1, char::len_utf8)
            });
        out.push_str(before);
        out.push_str(mark);
        rest = &after[1..];
        // A colon separates name and value in YAML, where a space follows, and in JSON, where a quoted name precedes it.
        let separates =
            mark == "=" || rest.starts_with([' ', '\t']) || before.ends_with(['"', '\'']);
        if !separates || !is_secret_name(&before[name_start..name_end]) {
            continue;
        }
        let value = rest.trim_start_matches([' ', '\t']);
        out.push_str(&rest[..rest.len() - value.len()]);
        let (content, end) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let close = closing(&value[1..], quote).map_or(value.len(), |n| n + 2);
                (&value[1..close.max(1)], close)
            }
            // A scheme, and then what is secret.
            _ if before[name_start..name_end]
                .to_ascii_lowercase()
                .ends_with("authorization") =>
            {
                (value, value.find(['"', '\'']).unwrap_or(value.len()))
            }
            _ => {
                let close = value
                    .find([' ', '\t', ',', '}', '&', '"', '\''])
                    .unwrap_or(value.len());
                (&value[..close], close)
            }
        };
        let array = value.starts_with('[');
        let reference = super::reference::SCHEMES
            .iter()
            .any(|s| content.starts_with(s));
        if reference {
            out.push_str(&value[..end]);
            rest = &value[end..];
        } else if array {
            // An argv may hold anything: nothing after it on this line is shown.
            out.push_str(HIDDEN);
            rest = "";
        } else if !content.is_empty() {
            out.push_str(HIDDEN);
            rest = &value[end..];
        } else {
            rest = value;
        }
    }
    out.push_str(rest);
    out
}

/// Where a quoted text ends: at the first quote that no backslash precedes.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// Hides the password of each `scheme://user:password@host`.
fn redact_urls(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(['"', '\'', ' ', '\t']).unwrap_or(after.len());
        let place = &after[..end];
        rest = &after[end..];
        match (place.find(':'), place.rfind('@')) {
            (Some(colon), Some(host)) if colon < host => {
                out.push_str(&place[..=colon]);
                out.push_str(HIDDEN);
                out.push_str(&place[host..]);
            }
            _ => out.push_str(place),
        }
    }
    out.push_str(rest);
    out
}

/// The name at the beginning of `NAME=value` or `name: value`, with everything behind it hidden; of any other line, nothing.
fn name_of(line: &str) -> String {
    let mut start = line.len() - line.trim_start().len();
    for prefix in ["- ", "export ", "\"", "'"] {
        if line[start..].starts_with(prefix) {
            start += prefix.len();
        }
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-\"'".contains(c);
    let name = line[start..]
        .find(|c| !good(c))
        .map_or(line.len(), |n| start + n);
    let blank = line[name..].len() - line[name..].trim_start_matches([' ', '\t']).len();
    match line[name + blank..].chars().next() {
        Some('=' | ':') if name > start => {
            let end = name + blank + 1;
            let value = line[end..].trim();
            let hidden = if value.is_empty() { "" } else { HIDDEN };
            let space = if line[end..].starts_with(' ') {
                " "
            } else {
                ""
            };
            format!("{}{space}{hidden}", &line[..end])
        }
        _ => HIDDEN.to_owned(),
    }
}

/// Whether a TOML multi-line string is open at the end of `before`.
fn inside_multi_line(before: &str) -> bool {
    before.matches("\"\"\"").count() % 2 == 1 || before.matches("'''").count() % 2 == 1
}

/// The largest character boundary that is not beyond `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_line_is_shown_with_a_caret() {
        let text = Text::new(
            Path::new("summitctl.toml"),
            "version = 1\n[contexts.a]\ntiers = \"staging\"\n",
        );
        let at = text.text.find("tiers").unwrap();
        assert_eq!(
            text.excerpt(at..at + 5),
            " --> summitctl.toml:3:1\n  |\n3 | tiers = \"staging\"\n  | ^^^^^"
        );
    }

    #[test]
    fn secrets_in_the_line_are_hidden() {
        for (line, shown) in [
            (r#"password = "hunter2" # mine"#, "password = *** # mine"),
            (r#"password = "hunter2"#, "password = ***"),
            ("password = hunter2", "password = ***"),
            (
                r#"password = "env:PGPASSWORD""#,
                r#"password = "env:PGPASSWORD""#,
            ),
            (
                r#"a = { url = "redis://u:p/w#@h:1/0", token="t,}" }"#,
                r#"a = { url = "redis://u:***@h:1/0", token=*** }"#,
            ),
            (
                r#"url = "postgres://h/db?user=a&password=pw&sslmode=require""#,
                r#"url = "postgres://h/db?user=a&password=***&sslmode=require""#,
            ),
            ("JWT_SECRET=abc", "JWT_SECRET=***"),
            (
                r#"{"level":"error","password":"hun\"ter2","n":1}"#,
                r#"{"level":"error","password":***,"n":1}"#,
            ),
            ("Authorization: Bearer abc.def", "Authorization: ***"),
            (
                r#"{"authorization":"Bearer abc","n":1}"#,
                r#"{"authorization":***,"n":1}"#,
            ),
            ("  JWT_SECRET: abc", "  JWT_SECRET: ***"),
            (r#"  "JWT_SECRET": "abc""#, r#"  "JWT_SECRET": ***"#),
            ("TLS_KEY_PATH=/a/b", "TLS_KEY_PATH=/a/b"),
            (r#"password = ["vault", "-pw=x"]"#, "password = ***"),
        ] {
            assert_eq!(redact(line), shown, "{line}");
        }
    }

    #[test]
    fn where_every_value_may_be_a_secret_only_names_are_shown() {
        for (line, shown) in [
            ("JWT_SECRET='canary' canary", "JWT_SECRET=***"),
            ("export A = canary", "export A = ***"),
            ("      - A=canary", "      - A=***"),
            ("  environment:", "  environment:"),
            ("  A: canary", "  A: ***"),
            ("canary continued", "***"),
        ] {
            assert_eq!(name_of(line), shown);
        }
    }

    #[test]
    fn near_keys_are_suggested_and_far_ones_are_not() {
        let keys = ["tier", "platform", "postgres", "data-plane"];
        assert_eq!(nearest("tiers", keys), Some("tier"));
        assert_eq!(nearest("postgress", keys), Some("postgres"));
        assert_eq!(nearest("dataplane", keys), Some("data-plane"));
        assert_eq!(nearest("xyz", keys), None);
    }

    proptest! {
        #[test]
        fn excerpts_never_panic(text in "(?s).{0,200}", start in 0_usize..220, len in 0_usize..50) {
            let place = Text { path: Path::new("f"), text: &text, names_only: len % 2 == 0 };
            let _ = place.excerpt(start..start + len);
            let _ = place.position(start);
        }

        #[test]
        fn a_quoted_password_is_never_in_an_excerpt(
            password in "[A-Z0-9!#$%^*()+/]{8,24}",
            key in "(password|JWT_SECRET|token|signing-key)",
            space in " {0,2}",
        ) {
            let line = format!("{key}{space}={space}\"{password}\"");
            prop_assert!(!redact(&line).contains(&password));
            let url = format!("url = \"postgres://u:{password}@h/db\"");
            prop_assert!(!redact(&url).contains(&password));
        }
    }
}
