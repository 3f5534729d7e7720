//! `.env` files: `NAME=value` lines with quotes, `export`, comments and values of several lines, by the rules of
//! Docker Compose, which reads these files for the platform.

use std::path::Path;

use super::BAD_VALUE;
use super::excerpt::Text;
use super::interpolate::interpolate;
use crate::error::Result;

/// One assignment.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The variable.
    pub name: String,
    /// Its value, quotes taken off and references replaced.
    pub value: String,
    /// The line of the name, counted from 1.
    pub line: usize,
    /// References in the value that nobody had set.
    pub unset: Vec<String>,
}

/// Names only: any value may be a secret.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.name)
    }
}

/// Reads the text of a `.env` file. References in double quotes and outside of quotes see the lines above, then
/// `lookup`; single quotes keep everything as it stands.
///
/// # Errors
/// A line that is no assignment, a quote without an end, a wrong reference: with the line, its value hidden.
pub fn parse(
    path: &Path,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Entry>> {
    let mut reader = Reader {
        place: Text::names_only(path, text),
        at: 0,
        entries: Vec::new(),
    };
    // A byte order mark, as some editors write it, is no part of the first name.
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    while reader.at < text.len() {
        reader.line(lookup)?;
    }
    Ok(reader.entries)
}

struct Reader<'a> {
    place: Text<'a>,
    at: usize,
    entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.place.text[self.at..]
    }

    /// What is left of the line, without its end.
    fn rest_of_line(&self) -> &'a str {
        let rest = self.rest();
        rest[..rest.find('\n').unwrap_or(rest.len())].trim_end_matches('\r')
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.at += rest.find('\n').map_or(rest.len(), |n| n + 1);
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn line(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        self.skip_blanks();
        let line = self.rest_of_line();
        if line.is_empty() || line.starts_with('#') {
            self.skip_line();
            return Ok(());
        }
        if let Some(after) = line
            .strip_prefix("export")
            .filter(|a| a.starts_with([' ', '\t']))
        {
            self.at += line.len() - after.len();
            self.skip_blanks();
        }
        let start = self.at;
        let line = self.rest_of_line();
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let length = line.find(|c| !good(c)).unwrap_or(line.len());
        let name = line[..length].to_owned();
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let after = line[length..].trim_start_matches([' ', '\t']);
        if !valid || !after.starts_with('=') {
            return Err(self
                .place
                .error(&BAD_VALUE, start..start + 1, "this is no assignment")
                .hint("Write `NAME=value`, with quotes if the value holds spaces or `#`."));
        }
        let number = self.place.position(start).line;
        self.at += line.len() - after.len() + 1;
        let (raw, literal) = self.value(start..start + length)?;
        let (value, unset) = if literal {
            (raw, Vec::new())
        } else {
            let entries = &self.entries;
            let see = |name: &str| {
                let above = entries.iter().rev().find(|e: &&Entry| e.name == name);
                above.map(|e| e.value.clone()).or_else(|| lookup(name))
            };
            let done = interpolate(&raw, &see).map_err(|what| {
                self.place
                    .error(&BAD_VALUE, start..start + length, what)
                    .hint("Put the value into single quotes if its `$` means nothing.")
            })?;
            (done.text, done.unset)
        };
        self.entries.push(Entry {
            name,
            value,
            line: number,
            unset,
        });
        Ok(())
    }

    /// The value after `=`, and whether its references stay as they stand. Ends behind the line.
    fn value(&mut self, name: std::ops::Range<usize>) -> Result<(String, bool)> {
        self.skip_blanks();
        let line = self.rest_of_line();
        let Some(quote @ ('"' | '\'' | '`')) = line.chars().next() else {
            // A comment begins at a `#` that follows a blank.
            let end = line
                .char_indices()
                .find(|(at, c)| *c == '#' && (*at == 0 || line[..*at].ends_with([' ', '\t'])))
                .map_or(line.len(), |(at, _)| at);
            let value = line[..end].trim_end().to_owned();
            self.skip_line();
            return Ok((value, false));
        };
        self.at += 1;
        let Some((value, length)) = quoted(self.rest(), quote) else {
            return Err(self.place.error(
                &BAD_VALUE,
                name,
                format!("the quote `{quote}` has no end"),
            ));
        };
        self.at += length;
        let behind = self.rest_of_line().trim_start_matches([' ', '\t']);
        if !behind.is_empty() && !behind.starts_with('#') {
            return Err(self.place.error(
                &BAD_VALUE,
                name,
                "something stands behind the closing quote",
            ));
        }
        self.skip_line();
        Ok((value, quote != '"'))
    }
}

/// The text up to the closing quote, and the length of all that including it. Escapes count in double quotes only.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((value, at + c.len_utf8()));
        }
        if c != '\\' || quote != '"' {
            value.push(c);
            continue;
        }
        match chars.next()?.1 {
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            // A dollar sign that is no reference: written in the form that interpolation leaves one of.
            '$' => value.push_str("$$"),
            c @ ('"' | '\\') => value.push(c),
            c => value.extend(['\\', c]),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        let outside = |name: &str| (name == "OUTSIDE").then(|| "out".to_owned());
        parse(Path::new(".env"), text, &outside)
            .unwrap()
            .into_iter()
            .map(|e| (e.name, e.value, e.line))
            .collect()
    }

    #[test]
    fn every_way_to_write_a_value() {
        let text = "\u{feff}# comment\n\nA=1\nexport B = two words # gone\nC='$A #kept'\nD=\"$A\\n\\\"x\\\" \\$A\" # gone\n\
                    E=\"first\nsecond\"\nF=\nG=${A}-${OUTSIDE}-${NONE:-none}\nH=a#b\r\nI=`back ${A}`\nA=3\n  J=\"\"";
        let expected = [
            ("A", "1", 3),
            ("B", "two words", 4),
            ("C", "$A #kept", 5),
            ("D", "1\n\"x\" $A", 6),
            ("E", "first\nsecond", 7),
            ("F", "", 9),
            ("G", "1-out-none", 10),
            ("H", "a#b", 11),
            ("I", "back ${A}", 12),
            ("A", "3", 13),
            ("J", "", 14),
        ];
        let expected: Vec<(String, String, usize)> = expected
            .map(|(n, v, l)| (n.to_owned(), v.to_owned(), l))
            .into();
        assert_eq!(read(text), expected);
    }

    #[test]
    fn wrong_lines_are_named_without_their_values() {
        for (text, expected) in [
            ("A=1\nJWT_SECRET canary\n", "no assignment"),
            ("A=1\n1B=canary\n", "no assignment"),
            ("A=1\nJWT_SECRET=\"canary\n", "has no end"),
            (
                "A=1\nJWT_SECRET='canary' canary\n",
                "behind the closing quote",
            ),
            ("A=1\nJWT_SECRET=canary${\n", "not closed"),
        ] {
            let error = parse(Path::new(".env"), text, &|_| None).expect_err(text);
            let all = format!("{error}\n{}", error.innermost_excerpt().unwrap_or_default());
            assert!(all.contains(expected) && all.contains("line 2"), "{all}");
            assert!(!all.contains("canary"), "{all}");
        }
    }

    proptest! {
        #[test]
        fn it_never_panics(text in "(?s)([A-Z]=)?.{0,80}") {
            let _ = parse(Path::new(".env"), &text, &|_| None);
        }

        #[test]
        fn single_quotes_keep_everything(value in "[^'\r]{0,60}") {
            let text = format!("A='{value}'\nB=after\n");
            let read = parse(Path::new(".env"), &text, &|_| None).unwrap();
            prop_assert_eq!(&read[0].value, &value);
            prop_assert_eq!(&read[1].value, "after");
        }

        #[test]
        fn double_quotes_keep_everything_escaped(value in "[ -~\n]{0,60}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
            let text = format!("A=\"{escaped}\"\n");
            let read = parse(Path::new(".env"), &text, &|_| None).unwrap();
            prop_assert_eq!(&read[0].value, &value);
        }
    }
}
