//! A plain SQL dump, statement by statement, cut where `psql` cuts it and read without `psql`: what that program would do on its own
//! account, such as running other programs, nobody does here.
//!
//! The rules are those of PostgreSQL's src/fe_utils/psqlscan.l.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::BAD_DUMP;
use crate::error::{Error, Result};

/// No statement is longer. Rows that come by COPY are none.
const LONGEST: usize = 256 << 20;
/// How many bytes of rows are handed on at once.
const CHUNK: usize = 256 << 10;

/// A statement, and the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub sql: String,
    pub line: u64,
    /// Rows follow, to be had from [`Script::rows`].
    pub copies: bool,
}

/// Within what the reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Within {
    Plain,
    /// A string; whether a backslash escapes.
    Text(bool),
    Quoted,
    /// Up to this tag.
    Dollar(Vec<u8>),
    Comment(usize),
}

/// What comment lines say of a dump.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// `pg_dump` began to write it.
    pub begun: bool,
    /// And ended.
    pub complete: bool,
    /// The server's version.
    pub version: Option<String>,
    /// When it was begun.
    pub started: Option<String>,
}

/// A script on its way.
pub(super) struct Script<R> {
    from: R,
    line: u64,
    text: Vec<u8>,
    /// What is left of the line that is being read.
    rest: Vec<u8>,
    at: usize,
    within: Within,
    parens: usize,
    /// The statement's first words, as far as they tell that a function with a body of statements is made.
    words: Vec<Vec<u8>>,
    blocks: usize,
    escapes: bool,
    begins: u64,
    rows_end: bool,
    pub said: Said,
}

impl<R: AsyncBufRead + Unpin> Script<R> {
    pub(super) fn new(from: R) -> Self {
        Script {
            from,
            line: 0,
            text: Vec::new(),
            rest: Vec::new(),
            at: 0,
            within: Within::Plain,
            parens: 0,
            words: Vec::new(),
            blocks: 0,
            escapes: false,
            begins: 1,
            rows_end: false,
            said: Said::default(),
        }
    }

    async fn read_line(&mut self) -> Result<bool> {
        self.rest.clear();
        self.at = 0;
        let read = self
            .from
            .read_until(b'\n', &mut self.rest)
            .await
            .map_err(|e| bad(self.line + 1, "cannot be read").caused_by(e))?;
        self.line += 1;
        Ok(read > 0)
    }

    /// The next statement.
    pub(super) async fn next(&mut self) -> Result<Option<Statement>> {
        loop {
            if self.at == self.rest.len() {
                if self.text.len() > LONGEST {
                    return Err(bad(self.begins, "begins a statement longer than 256 MiB"));
                }
                if !self.read_line().await? {
                    return self.end().map(|()| None);
                }
                if self.within == Within::Plain {
                    self.note();
                }
            }
            if self.step()? {
                return self.taken().map(Some);
            }
        }
    }

    /// Rows of the COPY that was given last, as they stand; an empty answer is their end.
    pub(super) async fn rows(&mut self) -> Result<Vec<u8>> {
        let mut rows = Vec::new();
        while !self.rows_end && rows.len() < CHUNK {
            if !self.read_line().await? {
                return Err(bad(self.line, "ends in the middle of a table's rows"));
            }
            let line = self.rest.strip_suffix(b"\n").unwrap_or(&self.rest);
            self.rows_end = line.strip_suffix(b"\r").unwrap_or(line) == b"\\.";
            if !self.rows_end {
                rows.extend_from_slice(&self.rest);
            }
            self.at = self.rest.len();
        }
        // What came before the end is given first.
        self.rows_end &= !rows.is_empty();
        Ok(rows)
    }

    fn end(&self) -> Result<()> {
        let blank = self.text.iter().all(u8::is_ascii_whitespace);
        if self.within != Within::Plain || !blank {
            return Err(bad(self.begins, "begins a statement that has no end"));
        }
        Ok(())
    }

    /// What a comment line says.
    fn note(&mut self) {
        let Ok(line) = std::str::from_utf8(&self.rest) else {
            return;
        };
        let Some(words) = line.trim().strip_prefix("-- ") else {
            return;
        };
        let value = |start: &str| words.strip_prefix(start).map(|v| v.trim().to_owned());
        match words {
            "PostgreSQL database dump" => self.said.begun = true,
            "PostgreSQL database dump complete" => self.said.complete = true,
            _ => {
                if let Some(version) = value("Dumped from database version ") {
                    self.said.version = Some(version);
                } else if let Some(started) = value("Started on ") {
                    self.said.started = Some(started);
                }
            }
        }
    }

    /// Reads on within the line; true at the end of a statement.
    fn step(&mut self) -> Result<bool> {
        match self.within.clone() {
            Within::Plain => self.plain(),
            Within::Text(escapes) => {
                self.until(b'\'', escapes);
                Ok(false)
            }
            Within::Quoted => {
                self.until(b'"', false);
                Ok(false)
            }
            Within::Dollar(tag) => {
                let rest = &self.rest[self.at..];
                match memchr::memmem::find(rest, &tag) {
                    Some(found) => {
                        self.keep(found + tag.len());
                        self.within = Within::Plain;
                    }
                    None => self.keep(rest.len()),
                }
                Ok(false)
            }
            Within::Comment(depth) => {
                let rest = &self.rest[self.at..];
                let depth = if rest.starts_with(b"*/") {
                    self.at += 2;
                    depth - 1
                } else if rest.starts_with(b"/*") {
                    self.at += 2;
                    depth + 1
                } else {
                    self.at += 1;
                    depth
                };
                self.within = match depth {
                    0 => {
                        self.text.push(b' ');
                        Within::Plain
                    }
                    more => Within::Comment(more),
                };
                Ok(false)
            }
        }
    }

    /// Keeps what is left of a string or a quoted name, up to and with its end; all of the line if that is not on it.
    fn until(&mut self, quote: u8, escapes: bool) {
        let rest = &self.rest[self.at..];
        let mut n = 0;
        while n < rest.len() {
            if escapes && rest[n] == b'\\' {
                n += 2;
            } else if rest[n] != quote {
                n += 1;
            } else if rest.get(n + 1) == Some(&quote) {
                n += 2;
            } else {
                self.keep(n + 1);
                self.within = Within::Plain;
                return;
            }
        }
        self.keep(rest.len());
    }

    fn keep(&mut self, bytes: usize) {
        self.text
            .extend_from_slice(&self.rest[self.at..self.at + bytes]);
        self.at += bytes;
    }

    fn plain(&mut self) -> Result<bool> {
        let rest = &self.rest[self.at..];
        let byte = rest[0];
        if rest.starts_with(b"--") {
            self.at = self.rest.len();
            self.text.push(b'\n');
            return Ok(false);
        }
        if rest.starts_with(b"/*") {
            self.at += 2;
            self.within = Within::Comment(1);
            return Ok(false);
        }
        let blank = self.text.iter().all(u8::is_ascii_whitespace);
        if blank {
            self.text.clear();
            self.begins = self.line;
        }
        match byte {
            b'\\' => return self.command(),
            b'\'' => {
                self.within = Within::Text(self.escapes || self.after_word(b"e"));
            }
            b'"' => self.within = Within::Quoted,
            b'$' if !self.in_word() => {
                if let Some(tag) = dollar(rest) {
                    self.within = Within::Dollar(rest[..tag].to_vec());
                    self.keep(tag);
                    return Ok(false);
                }
            }
            b'(' => self.parens += 1,
            b')' => self.parens = self.parens.saturating_sub(1),
            b';' if self.parens == 0 && self.blocks == 0 => {
                self.at += 1;
                return Ok(!blank);
            }
            _ if is_word(byte) && !byte.is_ascii_digit() && !self.in_word() => {
                let length = rest.iter().take_while(|b| is_word(**b)).count();
                let word = rest[..length].to_ascii_lowercase();
                self.word(word);
                self.keep(length);
                return Ok(false);
            }
            _ => {}
        }
        self.keep(1);
        Ok(false)
    }

    fn in_word(&self) -> bool {
        self.text.last().is_some_and(|b| is_word(*b))
    }

    fn after_word(&self, word: &[u8]) -> bool {
        let length = self.text.iter().rev().take_while(|b| is_word(**b)).count();
        self.text[self.text.len() - length..].eq_ignore_ascii_case(word)
    }

    /// `CREATE [OR REPLACE] FUNCTION|PROCEDURE … BEGIN ATOMIC … END` holds statements.
    fn word(&mut self, word: Vec<u8>) {
        let makes = |words: &[Vec<u8>]| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            matches!(
                words[..],
                [b"create", b"function" | b"procedure", ..]
                    | [b"create", b"or", b"replace", b"function" | b"procedure", ..]
            )
        };
        if makes(&self.words) && self.parens == 0 {
            match word.as_slice() {
                b"begin" => self.blocks += 1,
                b"case" if self.blocks > 0 => self.blocks += 1,
                b"end" => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            }
        }
        if self.words.len() < 4 {
            self.words.push(word);
        }
    }

    /// A command of `psql`'s. Those that every newer dump has only keep others out.
    fn command(&mut self) -> Result<bool> {
        let line = String::from_utf8_lossy(&self.rest[self.at..]);
        let name = line.split_whitespace().next().unwrap_or_default();
        if ["\\restrict", "\\unrestrict"].contains(&name) && self.text.is_empty() {
            self.at = self.rest.len();
            return Ok(false);
        }
        let hint = match name {
            "\\connect" | "\\c" => {
                "The dump makes or changes databases of its own: dump one database without `--create`."
            }
            _ => "No command of `psql` is obeyed here. Remove the line if you know what it does.",
        };
        Err(bad(self.line, &format!("holds the `psql` command `{name}`")).hint(hint))
    }

    fn taken(&mut self) -> Result<Statement> {
        let text = std::mem::take(&mut self.text);
        self.words.clear();
        self.blocks = 0;
        let sql = String::from_utf8(text).map_err(|_| {
            bad(self.begins, "is not UTF-8")
                .hint("Dump it anew with `--encoding=UTF8`, or convert it with `iconv`.")
        })?;
        let lower = sql.to_ascii_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        if let ["set", "standard_conforming_strings", "=", value] = words[..] {
            self.escapes = value.trim_matches('\'') == "off";
        }
        let copies = words.first() == Some(&"copy")
            && words
                .windows(2)
                .any(|w| w[0] == "from" && w[1].starts_with("stdin"));
        if copies {
            // The rows begin on the next line.
            self.at = self.rest.len();
        }
        Ok(Statement {
            sql,
            line: self.begins,
            copies,
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The length of a `$tag$` with which a text begins.
fn dollar(text: &[u8]) -> Option<usize> {
    let tag = text[1..].iter().position(|b| *b == b'$')?;
    let name = &text[1..=tag];
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
    (name.iter().all(plain) && !name.first().is_some_and(u8::is_ascii_digit)).then_some(tag + 2)
}

fn bad(line: u64, what: &str) -> Error {
    Error::new(&BAD_DUMP, format!("line {line} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &str) -> Result<Vec<String>> {
        let mut script = Script::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(statement) = script.next().await? {
            found.push(format!("{}: {}", statement.line, statement.sql));
            if !statement.copies {
                continue;
            }
            loop {
                let rows = script.rows().await?;
                if rows.is_empty() {
                    break;
                }
                found.push(String::from_utf8(rows).expect("text"));
            }
        }
        Ok(found)
    }

    const DUMP: &str = r#"-- PostgreSQL database dump
\restrict abc
SET a = 'x;''y';
SELECT E'it''s \'; no end', "a;""b", U&'\0061', 1; SELECT 2;
/* a; /* nested; */ b */ CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$
BEGIN -- not a comment of ours
  RETURN $1; $x$; END $body$;
CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);
CREATE OR REPLACE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
COPY public.t (a, "from stdin") FROM stdin;
1	x;'
\\.	not the end
\.
COPY public.empty FROM stdin;
\.
\unrestrict abc
SELECT a$b, $1 FROM begin_it -- the end
;
"#;

    #[tokio::test]
    async fn statements_are_cut_where_psql_cuts_them() {
        let found = all(DUMP).await.expect("reads");
        let expected = [
            r"3: SET a = 'x;''y'",
            r#"4: SELECT E'it''s \'; no end', "a;""b", U&'\0061', 1"#,
            "4: SELECT 2",
            "5: CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$\nBEGIN -- not a comment of ours\n  RETURN $1; $x$; END $body$",
            "8: CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
            "9: CREATE OR REPLACE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
            r#"10: COPY public.t (a, "from stdin") FROM stdin"#,
            "1\tx;'\n\\\\.\tnot the end\n",
            "14: COPY public.empty FROM stdin",
            "17: SELECT a$b, $1 FROM begin_it \n",
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn commands_of_psql_and_cut_dumps_are_refused() {
        for (text, part) in [
            (
                "SELECT 1;\n\\! rm -rf /\n",
                r"line 2 holds the `psql` command `\!`",
            ),
            ("SELECT 1 \\gexec\n", r"`\gexec`"),
            ("\\connect other\n", r"`\connect`"),
            ("SELECT 'a\n", "line 1 begins a statement that has no end"),
            ("SELECT 1\n", "line 1 begins a statement that has no end"),
            ("COPY t FROM stdin;\n1\n", "in the middle of a table's rows"),
        ] {
            let error = all(text).await.expect_err(text);
            let said = error.one_line();
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in r#"[a-z ;'"$/*\\\n()-]{0,200}"#) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("builds");
            let _ = runtime.block_on(all(&text));
        }
    }
}
