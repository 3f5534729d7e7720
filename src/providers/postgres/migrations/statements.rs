//! What a migration's SQL would make, as far as simple statements say it: tables, indexes, types, columns. No parser of SQL: what it does
//! not recognise, it says so, and so it does of names that the tool puts together when it runs.

/// What a statement makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Makes {
    /// A table, by schema and name.
    Table(Named),
    Index(Named),
    Type(Named),
    Column(Named, String),
    /// Something else, or nothing.
    Unknown,
}

/// A name, and its schema if the statement gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub schema: Option<String>,
    pub name: String,
    /// Whether nothing says if the names keep their capital letters.
    pub any_case: bool,
}

impl Named {
    /// As a statement of SQL has it: folded, or quoted.
    fn exactly(schema: Option<&str>, name: &str) -> Named {
        Named {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
            any_case: false,
        }
    }
}

/// A statement: its beginning as it is written, and what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub begins: String,
    pub makes: Makes,
}

/// The statements of a script.
pub(super) fn statements(sql: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    for words in split(sql) {
        let begins: Vec<String> = words.iter().take(8).map(Word::written).collect();
        // A literal may be a secret; the beginning of a statement that makes something holds none.
        let begins = begins.join(" ").replace(" . ", ".");
        let mut made = match is_filled_in(&words) {
            true => Vec::new(),
            false => makes(&words),
        };
        if made.is_empty() {
            made.push(Makes::Unknown);
        }
        for makes in made {
            let begins = begins.clone();
            all.push(Statement { begins, makes });
        }
    }
    all
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// Folded to lower case, as Postgres does.
    Plain(String),
    Quoted(String),
    Mark(char),
    Literal,
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Word::Plain(word) if word == keyword)
    }

    fn name(&self) -> Option<&str> {
        match self {
            Word::Plain(name) | Word::Quoted(name) => Some(name),
            Word::Mark(_) | Word::Literal => None,
        }
    }

    fn written(&self) -> String {
        match self {
            Word::Plain(word) => word.clone(),
            Word::Quoted(name) => format!("\"{name}\""),
            Word::Mark(mark) => mark.to_string(),
            Word::Literal => "?".to_owned(),
        }
    }
}

/// Whether the tool puts something in place of a `${…}`.
fn is_filled_in(words: &[Word]) -> bool {
    let opens = |word: &Word| match word {
        Word::Plain(name) => name.ends_with('$'),
        Word::Mark(mark) => *mark == '$',
        Word::Quoted(_) | Word::Literal => false,
    };
    let quoted = |word: &Word| matches!(word, Word::Quoted(name) if name.contains("${"));
    let apart = |two: &[Word]| opens(&two[0]) && two[1] == Word::Mark('{');
    words.iter().any(quoted) || words.windows(2).any(apart)
}

/// Skips these words, if they are next.
fn after<'a>(words: &'a [Word], skipped: &[&str]) -> &'a [Word] {
    let here = words.iter().zip(skipped).all(|(w, s)| w.is(s)) && words.len() >= skipped.len();
    if here { &words[skipped.len()..] } else { words }
}

fn begins(words: &[Word], keywords: &[&str]) -> bool {
    words.len() >= keywords.len() && words.iter().zip(keywords).all(|(w, k)| w.is(k))
}

fn named(words: &[Word]) -> Option<(Named, &[Word])> {
    let first = words.first()?.name()?;
    if words.get(1) == Some(&Word::Mark('.')) {
        let name = words.get(2)?.name()?;
        return Some((Named::exactly(Some(first), name), &words[3..]));
    }
    Some((Named::exactly(None, first), &words[1..]))
}

fn makes(words: &[Word]) -> Vec<Makes> {
    let one = |made: Option<Makes>| made.into_iter().collect();
    if begins(words, &["alter", "table"]) {
        return columns(&words[2..]);
    }
    if !begins(words, &["create"]) {
        return Vec::new();
    }
    let rest = after(&words[1..], &["unlogged"]);
    if begins(rest, &["table"]) {
        let rest = after(&rest[1..], &["if", "not", "exists"]);
        return one(named(rest).map(|(name, _)| Makes::Table(name)));
    }
    if begins(rest, &["type"]) {
        return one(named(&rest[1..]).map(|(name, _)| Makes::Type(name)));
    }
    let rest = after(rest, &["unique"]);
    if begins(rest, &["index"]) {
        let rest = after(&rest[1..], &["concurrently"]);
        let rest = after(rest, &["if", "not", "exists"]);
        // Without a name Postgres makes one up.
        if begins(rest, &["on"]) {
            return Vec::new();
        }
        return one(named(rest).map(|(name, _)| Makes::Index(name)));
    }
    Vec::new()
}

/// The columns that `ALTER TABLE` adds; nothing if it does anything else as well.
fn columns(words: &[Word]) -> Vec<Makes> {
    let rest = after(after(words, &["if", "exists"]), &["only"]);
    let Some((table, rest)) = named(rest) else {
        return Vec::new();
    };
    let (mut made, mut depth) = (Vec::new(), 0);
    let mut start = true;
    for (at, word) in rest.iter().enumerate() {
        match word {
            Word::Mark('(') => depth += 1,
            Word::Mark(')') => depth -= 1,
            _ => {}
        }
        if start {
            let action = &rest[at..];
            if !begins(action, &["add"]) {
                return Vec::new();
            }
            let action = after(after(&action[1..], &["column"]), &["if", "not", "exists"]);
            let constraint = [
                "constraint",
                "primary",
                "unique",
                "foreign",
                "check",
                "exclude",
            ];
            match action.first() {
                Some(word) if constraint.iter().any(|c| word.is(c)) => return Vec::new(),
                Some(word) => match word.name() {
                    Some(name) => made.push(Makes::Column(table.clone(), name.to_owned())),
                    None => return Vec::new(),
                },
                None => return Vec::new(),
            }
        }
        start = depth == 0 && *word == Word::Mark(',');
    }
    made
}

/// The words of each statement, without comments.
fn split(sql: &str) -> Vec<Vec<Word>> {
    let chars: Vec<char> = sql.chars().collect();
    let (mut all, mut words, mut at) = (Vec::new(), Vec::new(), 0);
    while at < chars.len() {
        let start = at;
        let two = (chars[at], chars.get(at + 1).copied());
        match two {
            ('-', Some('-')) => at = find(&chars, at, "\n"),
            ('/', Some('*')) => at = comment(&chars, at),
            ('\'', _) => {
                let escapes = words.last().is_some_and(|w: &Word| w.is("e"));
                at = quoted(&chars, at, escapes);
                words.push(Word::Literal);
            }
            ('"', _) => {
                at = quoted(&chars, at, false);
                let end = at.saturating_sub(1).max(start + 1);
                let name: String = chars[start + 1..end].iter().collect();
                words.push(Word::Quoted(name.replace("\"\"", "\"")));
            }
            ('$', _) if tag(&chars, at).is_some() => {
                let tag = tag(&chars, at).unwrap_or_default();
                at = find(&chars, at + tag.chars().count(), &tag) + tag.chars().count();
                words.push(Word::Literal);
            }
            (';', _) => {
                all.push(std::mem::take(&mut words));
                at += 1;
            }
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while at < chars.len() && (chars[at].is_alphanumeric() || "_$".contains(chars[at]))
                {
                    at += 1;
                }
                let word: String = chars[start..at].iter().collect();
                words.push(Word::Plain(word.to_lowercase()));
            }
            (c, _) => {
                if !c.is_whitespace() {
                    words.push(Word::Mark(c));
                }
                at += 1;
            }
        }
    }
    all.push(words);
    all.retain(|words| !words.is_empty());
    all
}

fn find(chars: &[char], from: usize, text: &str) -> usize {
    let wanted: Vec<char> = text.chars().collect();
    (from..chars.len())
        .find(|at| chars[*at..].starts_with(&wanted))
        .unwrap_or(chars.len())
}

/// After a comment, which may hold others.
fn comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// After the quoted text that begins here; a doubled quote does not end it.
fn quoted(chars: &[char], from: usize, escapes: bool) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        if escapes && chars[at] == '\\' {
            at += 2;
        } else if chars[at] != chars[from] {
            at += 1;
        } else if chars.get(at + 1) == Some(&chars[from]) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    chars.len()
}

/// The tag of a text in dollars that begins here.
fn tag(chars: &[char], from: usize) -> Option<String> {
    let rest = &chars[from + 1..];
    let end = rest.iter().position(|c| *c == '$')?;
    let name = rest[..end].iter().all(|c| c.is_alphanumeric() || *c == '_');
    let first = rest.first().is_some_and(char::is_ascii_digit);
    (name && !first).then(|| chars[from..=from + 1 + end].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(sql: &str) -> Vec<Makes> {
        statements(sql).into_iter().map(|s| s.makes).collect()
    }

    fn plain(name: &str) -> Named {
        Named::exactly(None, name)
    }

    #[test]
    fn simple_statements_say_what_they_make_and_others_that_they_are_not_recognised() {
        let sql = "-- a; comment\nCREATE TABLE IF NOT EXISTS Shop.\"Orders\" (id int DEFAULT 1, t text DEFAULT ';');
            /* b; /* c; */ */ CREATE UNIQUE INDEX CONCURRENTLY by_id ON x (id); CREATE TYPE mood AS ENUM ('a;', 'b');
            ALTER TABLE x ADD COLUMN a numeric(3, 2), ADD b text; CREATE INDEX ON x (a);
            DO $do$ BEGIN CREATE TABLE hidden (n int); END $do$; ALTER TABLE x ADD CONSTRAINT c CHECK (a > 0);
            INSERT INTO x VALUES (E'it\\'s; ')";
        let orders = Named::exactly(Some("shop"), "Orders");
        assert_eq!(
            made(sql),
            [
                Makes::Table(orders),
                Makes::Index(plain("by_id")),
                Makes::Type(plain("mood")),
                Makes::Column(plain("x"), "a".to_owned()),
                Makes::Column(plain("x"), "b".to_owned()),
                Makes::Unknown,
                Makes::Unknown,
                Makes::Unknown,
                Makes::Unknown,
            ]
        );
        assert!(!statements(sql).iter().any(|s| s.begins.contains("it's")));
        for filled in ["${s}.t", "t_${x}", "\"a${x}\"", "t (n ${type})"] {
            let text = format!("CREATE TABLE {filled}");
            assert_eq!(made(&text), [Makes::Unknown], "{text}");
        }
        assert_eq!(made("CREATE TABLE a$b"), [Makes::Table(plain("a$b"))]);
        for broken in [
            "'",
            "\"",
            "$$",
            "/*",
            "$a$ b",
            "CREATE",
            "CREATE TABLE",
            "ALTER TABLE x ADD",
        ] {
            let _ = made(broken);
        }
    }
}
