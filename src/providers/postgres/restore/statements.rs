//! The statements of an archive that name roles, word by word: where the grammar has a role, another name is put. Strings, quoted names,
//! comments and whatever stands in parentheses are passed over as what they are.

use super::super::sql::ident;
use super::rename::RoleMap;

/// A piece of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword or a name without quotes.
    Word(&'a str),
    /// A name with its quotes.
    Quoted(&'a str),
    /// Blanks and comments.
    Blank(&'a str),
    /// A string.
    Text(&'a str),
    /// Anything else: one character.
    Sign(&'a str),
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::Word(t)
            | Token::Quoted(t)
            | Token::Blank(t)
            | Token::Text(t)
            | Token::Sign(t) => t,
        }
    }

    fn is(self, word: &str) -> bool {
        matches!(self, Token::Word(w) if w.eq_ignore_ascii_case(word))
    }
}

/// An entry's statements with other roles; `None` if they are not understood to their end. Entries of most kinds name none.
pub(super) fn with_roles(kind: &str, sql: &str, roles: &RoleMap) -> Option<String> {
    if !["ACL", "DEFAULT ACL", "POLICY", "USER MAPPING"].contains(&kind) {
        return Some(sql.to_owned());
    }
    let tokens = tokens(sql)?;
    let mut out = String::with_capacity(sql.len());
    let mut depth = 0_usize;
    let mut before: [&str; 2] = ["", ""];
    // Whether a role is due: after a word that announces one, and after a comma in a list of them.
    let mut due = false;
    let mut listing = false;
    for token in tokens {
        if let Token::Blank(text) = token {
            out.push_str(text);
            continue;
        }
        match token {
            Token::Sign("(") => depth += 1,
            Token::Sign(")") => depth = depth.checked_sub(1)?,
            _ => {}
        }
        let inside = depth > 0 || token == Token::Sign(")");
        if due && !inside {
            due = false;
            listing = true;
            match token {
                // An old spelling, as in `TO GROUP readers`.
                Token::Word(word) if word.eq_ignore_ascii_case("group") => {
                    due = true;
                    out.push_str(word);
                }
                Token::Word(word) if word.eq_ignore_ascii_case("public") => out.push_str(word),
                Token::Word(word) => {
                    out.push_str(&renamed(word, &word.to_ascii_lowercase(), roles))
                }
                Token::Quoted(quoted) => {
                    let inner = &quoted[1..quoted.len() - 1];
                    out.push_str(&renamed(quoted, &inner.replace("\"\"", "\""), roles));
                }
                _ => return None,
            }
            before = [before[1], token.text()];
            continue;
        }
        out.push_str(token.text());
        if inside {
            listing = false;
            continue;
        }
        due = match token {
            Token::Sign(",") => listing,
            Token::Word(_) => announces(kind, before, token),
            _ => false,
        };
        listing = false;
        before = [before[1], token.text()];
    }
    (depth == 0 && !due).then_some(out)
}

/// Whether a role follows this word. `TO` and `FROM` are reserved: without quotes they are never a name.
fn announces(kind: &str, before: [&str; 2], word: Token<'_>) -> bool {
    let was = |at: usize, what: &str| before[at].eq_ignore_ascii_case(what);
    match kind {
        "USER MAPPING" => word.is("for") && was(1, "mapping"),
        "POLICY" => word.is("to"),
        _ => {
            word.is("to")
                || word.is("from")
                || ((word.is("role") || word.is("user")) && was(1, "for"))
                || (word.is("authorization") && was(1, "session") && was(0, "set"))
                || (word.is("by") && was(1, "granted"))
        }
    }
}

fn renamed(as_written: &str, name: &str, roles: &RoleMap) -> String {
    match roles.of(name) {
        same if same == name => as_written.to_owned(),
        new => ident(new),
    }
}

/// The pieces of SQL (PostgreSQL documentation, section 4.1); `None` if a quote or comment does not end.
fn tokens<'a>(sql: &'a str) -> Option<Vec<Token<'a>>> {
    let mut all = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let (length, token): (usize, fn(&'a str) -> Token<'a>) = if first.is_whitespace() {
            let end = rest.find(|c: char| !c.is_whitespace());
            (end.unwrap_or(rest.len()), Token::Blank)
        } else if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), Token::Blank)
        } else if rest.starts_with("/*") {
            (rest.find("*/")? + 2, Token::Blank)
        } else if first == '"' {
            (quoted(rest, '"', false)?, Token::Quoted)
        } else if first == '\'' {
            (quoted(rest, '\'', false)?, Token::Text)
        } else if rest.starts_with("E'") || rest.starts_with("e'") {
            (1 + quoted(&rest[1..], '\'', true)?, Token::Text)
        } else if first == '$' {
            // `$tag$ … $tag$`
            let tag = rest[1..].find('$')? + 2;
            let end = rest[tag..].find(&rest[..tag])?;
            (tag + end + tag, Token::Text)
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !word(c));
            (end.unwrap_or(rest.len()), Token::Word)
        } else {
            (first.len_utf8(), Token::Sign)
        };
        let (piece, after) = rest.split_at(length);
        all.push(token(piece));
        rest = after;
    }
    Some(all)
}

/// How long a quoted piece is; a quote inside is doubled.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next()?;
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return Some(at + 1),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: &str, sql: &str) -> Option<String> {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let roles = [
            pair("bob", "new bob"),
            pair("the \"App\"", "app"),
            pair("select", "chosen"),
        ];
        with_roles(kind, sql, &RoleMap::new(&roles).unwrap())
    }

    #[test]
    fn only_roles_are_exchanged() {
        for (kind, sql, expected) in [
            (
                "ACL",
                "REVOKE ALL ON TABLE public.bob FROM bob;\nGRANT SELECT(bob) ON TABLE public.bob TO \"the \"\"App\"\"\" WITH GRANT OPTION;\n",
                "REVOKE ALL ON TABLE public.bob FROM \"new bob\";\nGRANT SELECT(bob) ON TABLE public.bob TO \"app\" WITH GRANT OPTION;\n",
            ),
            (
                "ACL",
                "SET SESSION AUTHORIZATION bob;\nGRANT ALL ON FUNCTION public.f(a integer, \"to\" text, OUT bob text) TO PUBLIC;\nRESET SESSION AUTHORIZATION;\n",
                "SET SESSION AUTHORIZATION \"new bob\";\nGRANT ALL ON FUNCTION public.f(a integer, \"to\" text, OUT bob text) TO PUBLIC;\nRESET SESSION AUTHORIZATION;\n",
            ),
            (
                "ACL",
                "REVOKE GRANT OPTION FOR SELECT ON TABLE \"TO bob\" FROM \"bob\";",
                "REVOKE GRANT OPTION FOR SELECT ON TABLE \"TO bob\" FROM \"new bob\";",
            ),
            (
                "ACL",
                "GRANT USAGE ON SCHEMA bob TO \"select\", alice, bob;",
                "GRANT USAGE ON SCHEMA bob TO \"chosen\", alice, \"new bob\";",
            ),
            (
                "DEFAULT ACL",
                "ALTER DEFAULT PRIVILEGES FOR ROLE bob IN SCHEMA bob REVOKE ALL ON TABLES FROM bob;\nALTER DEFAULT PRIVILEGES FOR ROLE bob GRANT SELECT ON TABLES TO alice;\n",
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"new bob\" IN SCHEMA bob REVOKE ALL ON TABLES FROM \"new bob\";\nALTER DEFAULT PRIVILEGES FOR ROLE \"new bob\" GRANT SELECT ON TABLES TO alice;\n",
            ),
            (
                "POLICY",
                "CREATE POLICY bob ON public.bob AS RESTRICTIVE FOR SELECT TO alice, bob USING ((owner = 'TO bob'::text) OR (a = $x$ TO bob $x$)) WITH CHECK ((bob > 1));",
                "CREATE POLICY bob ON public.bob AS RESTRICTIVE FOR SELECT TO alice, \"new bob\" USING ((owner = 'TO bob'::text) OR (a = $x$ TO bob $x$)) WITH CHECK ((bob > 1));",
            ),
            (
                "USER MAPPING",
                "CREATE USER MAPPING FOR bob SERVER bob OPTIONS (\n    \"user\" 'TO bob',\n    password E'it\\'s FOR bob'\n);\n",
                "CREATE USER MAPPING FOR \"new bob\" SERVER bob OPTIONS (\n    \"user\" 'TO bob',\n    password E'it\\'s FOR bob'\n);\n",
            ),
            (
                "USER MAPPING",
                "CREATE USER MAPPING FOR PUBLIC SERVER s;",
                "CREATE USER MAPPING FOR PUBLIC SERVER s;",
            ),
            (
                "ACL",
                "-- TO bob\n/* FROM bob */ GRANT SELECT ON TABLE t TO bob;",
                "-- TO bob\n/* FROM bob */ GRANT SELECT ON TABLE t TO \"new bob\";",
            ),
            (
                "FUNCTION",
                "CREATE FUNCTION f() … GRANT x TO bob; '",
                "CREATE FUNCTION f() … GRANT x TO bob; '",
            ),
        ] {
            assert_eq!(said(kind, sql).as_deref(), Some(expected), "{sql}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        for odd in [
            "GRANT SELECT ON TABLE t TO",
            "GRANT SELECT ON TABLE \"t TO bob;",
            "GRANT ALL ON t TO 'bob';",
            "GRANT ) TO bob;",
            "GRANT $a$ TO bob;",
        ] {
            assert_eq!(said("ACL", odd), None, "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_pieces_are_the_whole(sql in "[ -~\n]{0,60}") {
            if let Some(tokens) = tokens(&sql) {
                let all: String = tokens.into_iter().map(Token::text).collect();
                proptest::prop_assert_eq!(all, sql);
            }
        }
    }
}
