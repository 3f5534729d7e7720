//! SQL with changesets marked in its comments, line by line as Liquibase's AbstractFormattedChangeLogParser reads it. What that
//! refuses is not told apart here: the tool says so itself.

/// A changeset between its comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marked {
    pub author: String,
    pub id: String,
    /// The line that begins it.
    pub line: String,
    pub sql: String,
    pub preconditions: bool,
    pub valid: Vec<String>,
}

/// A file's changesets, and the logical path that its first line gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct File {
    pub logical: Option<String>,
    pub changesets: Vec<Marked>,
}

/// Whether Liquibase takes a file for one of these, and not for plain SQL.
pub(super) fn is_formatted(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(is_first_line)
}

fn is_first_line(line: &str) -> bool {
    let words = marked(line).and_then(|rest| starts(rest, "liquibase"));
    words.is_some_and(|rest| starts(rest.trim_start(), "formatted").is_some())
}

/// Reads a file; an error if a changeset has no author or no id.
pub(super) fn read(text: &str) -> Result<File, String> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut lines = text.split(['\n', '\r']);
    let mut file = File::default();
    while let Some(line) = lines.next() {
        let word = |word: &str| marked(line).and_then(|rest| starts(rest, word));
        if word("property").is_some_and(|rest| {
            rest.starts_with(char::is_whitespace) && rest.matches(':').count() > 1
        }) {
            continue;
        }
        if is_first_line(line) {
            file.logical = attribute(line, "logicalFilePath:").filter(|path| !path.is_empty());
        }
        if let Some(ignored) = line
            .strip_prefix("--")
            .and_then(|l| starts(l.trim_start(), "ignoreLines:"))
        {
            skip(ignored, &mut lines)?;
            continue;
        }
        if let Some(rest) = word("changeset") {
            let (author, id) = named(rest)
                .ok_or_else(|| format!("it has `{}` without an author or an id", line.trim()))?;
            file.changesets.push(Marked {
                author,
                id,
                line: line.to_owned(),
                ..Marked::default()
            });
            continue;
        }
        let Some(changeset) = file.changesets.last_mut() else {
            continue;
        };
        let own = |word: &str| {
            line.strip_prefix("--")
                .and_then(|l| starts(l.trim_start(), word))
        };
        if spoken(own("comment")) {
        } else if let Some(sum) = own("validCheckSum").filter(|rest| spoken(Some(rest))) {
            let sum = sum.strip_prefix(':').unwrap_or(sum).trim();
            changeset.valid.push(sum.to_owned());
        } else if word("rollback").is_some_and(|rest| rest.starts_with(' ')) {
        } else if begins_rollback(line) {
            lines.by_ref().find(|line| line.trim_end().ends_with("*/"));
        } else if word("precondition")
            .is_some_and(|rest| starts(rest, "s").is_some() || rest.starts_with('-'))
        {
            changeset.preconditions = true;
        } else {
            changeset.sql.push_str(line);
            changeset.sql.push('\n');
        }
    }
    Ok(file)
}

/// Leaves out the lines that `ignoreLines` names: so many, or up to its end.
fn skip<'a>(ignored: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<(), String> {
    if ignored == "start" {
        let ends = |line: &str| {
            let rest = line.strip_prefix("--").map(str::trim_start);
            rest.and_then(|l| starts(l, "ignoreLines:")) == Some("end")
        };
        lines.find(|line| ends(line));
        return Ok(());
    }
    let count: usize = ignored
        .parse()
        .map_err(|_| format!("it has `ignoreLines:{ignored}`"))?;
    lines.take(count).for_each(drop);
    Ok(())
}

/// What follows `--` at the beginning of a line.
fn marked(line: &str) -> Option<&str> {
    Some(line.trim_start().strip_prefix("--")?.trim_start())
}

/// What follows a word, whatever its case.
fn starts<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

/// Whether a blank follows, or a colon and a blank.
fn spoken(rest: Option<&str>) -> bool {
    rest.is_some_and(|rest| rest.strip_prefix(':').unwrap_or(rest).starts_with(' '))
}

fn begins_rollback(line: &str) -> bool {
    let rest = line.trim().strip_prefix("/*").map(str::trim_start);
    let rest = rest
        .and_then(|r| starts(r, "liquibase"))
        .map(str::trim_start);
    rest.and_then(|r| starts(r, "rollback")) == Some("")
}

/// Author and id of ` AUTHOR:ID …`, either in quotes.
fn named(rest: &str) -> Option<(String, String)> {
    if !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let rest = rest.trim_start();
    let (author, rest) = match quoted(rest) {
        Some((author, rest)) if rest.starts_with(':') => (author, &rest[1..]),
        _ => rest.split_once(':')?,
    };
    let id = match quoted(rest) {
        Some((id, _)) => id,
        None => rest.split_whitespace().next()?,
    };
    // A blank after the colon is refused by the tool.
    let whole = !author.is_empty() && !rest.starts_with(char::is_whitespace);
    whole.then(|| (author.to_owned(), id.to_owned()))
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.strip_prefix('"')?.split_once('"')?;
    (!inside.is_empty()).then_some((inside, rest))
}

/// The last `name:value` of a line; a value in quotes may have blanks.
pub(super) fn attribute(line: &str, name: &str) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let at = lower.rfind(&name.to_ascii_lowercase())?;
    let rest = &line[at + name.len()..];
    if let Some((value, _)) = rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
        return Some(value.to_owned());
    }
    let value = rest.split(char::is_whitespace).next().unwrap_or_default();
    Some(value.to_owned())
}

/// Whether a line says `name:true`.
pub(super) fn says(line: &str, name: &str) -> bool {
    attribute(line, name).is_some_and(|v| {
        let word = v.split(|c: char| !c.is_alphanumeric() && c != '_').next();
        word.is_some_and(|w| w.eq_ignore_ascii_case("true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changeset_holds_what_stands_between_its_comments() {
        let text = "\u{feff}\n-- Liquibase Formatted SQL logicalFilePath:a/b.sql\n--property name:x value:y\n
--changeset me:1 runOnChange:true context:\"a and b\" labels:z\r\n--comment: no\nSELECT 1; -- yes\n  --rollback DROP\n/* liquibase rollback\nDROP\n*/
--preconditions onFail:HALT\n--precondition-sql-check expectedResult:0 SELECT 0\n--validCheckSum: 9:abc\n--commented\n--ignoreLines:start\nno\n--ignoreLines:end
--ignoreLines:1\nno\nSELECT 2\n-- changeset \"the team\":\"an id\" dbms:mysql\nSELECT 3";
        assert!(is_formatted(text) && !is_formatted("SELECT 1;\n--liquibase formatted sql"));
        let file = read(text).unwrap();
        assert_eq!(file.logical.as_deref(), Some("a/b.sql"));
        let [first, second] = file.changesets.as_slice() else {
            panic!("{file:#?}")
        };
        assert_eq!((first.author.as_str(), first.id.as_str()), ("me", "1"));
        assert_eq!(first.sql, "SELECT 1; -- yes\n--commented\nSELECT 2\n");
        assert_eq!(first.valid, ["9:abc"]);
        assert!(first.preconditions && says(&first.line, "runOnChange:"));
        assert_eq!(
            attribute(&first.line, "context:").as_deref(),
            Some("a and b")
        );
        assert_eq!(
            (second.author.as_str(), second.id.as_str()),
            ("the team", "an id")
        );
        assert_eq!(attribute(&second.line, "dbms:").as_deref(), Some("mysql"));
        assert_eq!(second.sql.trim(), "SELECT 3");
        for broken in [
            "--changeset",
            "--changeset me",
            "--changeset me: 1",
            "--ignoreLines:x",
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }
}
