//! Tokens of the expression language, with their places.
//!
//! The lexer runs before the CEL parser: it bounds the input, finds where a `${ … }` ends, gives friendlier errors
//! than a generated grammar can, and lets a field name hold hyphens, since every document here is kebab-case.

use std::ops::Range;

use super::Fault;

/// The longest expression, in bytes: an expectation fits one line, and the parser recurses.
pub const MAX_LEN: usize = 2048;
/// The most tokens: each may cost one level of recursion in the evaluator.
pub const MAX_TOKENS: usize = 256;
/// The deepest nesting of brackets and of prefix operators.
pub const MAX_DEPTH: usize = 24;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or a keyword.
    Name,
    /// A field name after a dot that holds a hyphen: needs CEL's backticks.
    Hyphenated,
    /// A number.
    Number,
    /// A string or bytes literal with its quotes.
    Text,
    /// An operator or a bracket.
    Sign,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub range: Range<usize>,
}

impl Token {
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.range.clone()]
    }
}

/// Splits a whole expression.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Fault> {
    if source.len() > MAX_LEN {
        return Err(Fault::new(
            0..source.len(),
            format!("the expression is longer than {MAX_LEN} bytes"),
        ));
    }
    let mut lexer = Lexer::new(source, 0);
    while let Some(token) = lexer.next()? {
        lexer.push(token)?;
    }
    if let Some((_, at)) = lexer.open.last() {
        return Err(Fault::new(
            *at..*at + 1,
            format!("`{}` is never closed", &source[*at..*at + 1]),
        ));
    }
    if lexer.found.is_empty() {
        return Err(Fault::new(0..source.len(), "the expression is empty"));
    }
    Ok(lexer.found)
}

/// Finds the `}` that ends a `${` whose inside starts at `from`; its offset.
pub(super) fn closing_brace(source: &str, from: usize) -> Result<usize, Fault> {
    let mut lexer = Lexer::new(source, from);
    loop {
        let Some(token) = lexer.next()? else {
            return Err(Fault::new(
                from.saturating_sub(2)..from,
                "`${` is never closed with `}`",
            )
            .hint("Write `$${` for the two characters themselves."));
        };
        if token.text(source) == "}" && lexer.open.is_empty() {
            return Ok(token.range.start);
        }
        lexer.push(token)?;
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    found: Vec<Token>,
    open: Vec<(char, usize)>,
    /// How many prefix operators stand in a row: each costs a level of recursion.
    prefixes: usize,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a str, at: usize) -> Self {
        Lexer {
            source,
            at,
            found: Vec::new(),
            open: Vec::new(),
            prefixes: 0,
        }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token) -> Result<(), Fault> {
        let text = token.text(self.source);
        let range = token.range.clone();
        match (token.kind, text) {
            (Kind::Sign, "(" | "[" | "{") => {
                self.open
                    .push((text.chars().next().unwrap_or('('), range.start));
            }
            (Kind::Sign, ")" | "]" | "}") => {
                let wanted = match text {
                    ")" => '(',
                    "]" => '[',
                    _ => '{',
                };
                match self.open.pop() {
                    Some((c, _)) if c == wanted => {}
                    _ => return Err(Fault::new(range, format!("`{text}` closes nothing"))),
                }
            }
            _ => {}
        }
        self.prefixes = if matches!(text, "!" | "-") && token.kind == Kind::Sign {
            self.prefixes + 1
        } else {
            0
        };
        if self.open.len() > MAX_DEPTH || self.prefixes > MAX_DEPTH {
            return Err(Fault::new(
                range,
                format!("the expression is nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.found.push(token);
        if self.found.len() > MAX_TOKENS {
            return Err(Fault::new(
                range,
                format!("the expression has more than {MAX_TOKENS} words and signs"),
            ));
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Token>, Fault> {
        let skipped = self.rest().trim_start_matches([' ', '\t', '\n', '\r']);
        self.at = self.source.len() - skipped.len();
        let Some(first) = skipped.chars().next() else {
            return Ok(None);
        };
        let start = self.at;
        let (kind, len) = if let Some(len) = self.string()? {
            (Kind::Text, len)
        } else if first.is_ascii_digit()
            || first == '.' && skipped[1..].starts_with(|c: char| c.is_ascii_digit())
        {
            (Kind::Number, number(skipped))
        } else if first.is_ascii_alphabetic() || first == '_' {
            self.name(skipped)
        } else {
            (Kind::Sign, self.sign(skipped)?)
        };
        self.at += len;
        Ok(Some(Token {
            kind,
            range: start..self.at,
        }))
    }

    /// A name; directly after a dot it goes on over `-x`: `result.row-count` is one field, `a - b` a subtraction.
    fn name(&self, text: &str) -> (Kind, usize) {
        let mut len = word(text);
        let mut kind = Kind::Name;
        let after_dot = self
            .found
            .last()
            .is_some_and(|t| t.text(self.source) == "." && t.range.end == self.at);
        while after_dot
            && text[len..].starts_with('-')
            && text[len + 1..].starts_with(|c: char| c.is_ascii_alphabetic())
        {
            len += 1 + word(&text[len + 1..]);
            kind = Kind::Hyphenated;
        }
        (kind, len)
    }

    fn sign(&self, text: &str) -> Result<usize, Fault> {
        let fault = |len: usize, message: &str| Err(Fault::new(self.at..self.at + len, message));
        if text.starts_with("//") {
            return fault(2, "a comment cannot stand inside an expression");
        }
        for two in ["&&", "||", "==", "!=", "<=", ">="] {
            if text.starts_with(two) {
                return Ok(2);
            }
        }
        let first = text.chars().next().unwrap_or(' ');
        match first {
            '=' => fault(1, "a single `=` means nothing here: use `==` to compare"),
            '&' => fault(1, "a single `&` means nothing here: use `&&` for `and`"),
            '|' => fault(1, "a single `|` means nothing here: use `||` for `or`"),
            '+' | '-' | '*' | '/' | '%' | '!' | '<' | '>' | '?' | ':' | ',' | '.' | '(' | ')'
            | '[' | ']' | '{' | '}' => Ok(1),
            '$' => fault(1, "`$` means nothing inside an expression"),
            _ => fault(first.len_utf8(), "this character means nothing here"),
        }
    }

    /// The length of the string literal that starts here, prefix and quotes included.
    fn string(&self) -> Result<Option<usize>, Fault> {
        let text = self.rest();
        let prefix = text
            .bytes()
            .take_while(|b| b"rRbB".contains(b))
            .take(2)
            .count();
        let Some(quote) = text[prefix..]
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
        else {
            return Ok(None);
        };
        let raw = text[..prefix].contains(['r', 'R']);
        let triple = quote.to_string().repeat(3);
        let fence: &str = if text[prefix..].starts_with(&triple) {
            &triple
        } else {
            &triple[..1]
        };
        let mut at = prefix + fence.len();
        loop {
            let rest = &text[at..];
            if rest.starts_with(fence) {
                return Ok(Some(at + fence.len()));
            }
            let Some(c) = rest.chars().next() else { break };
            if c == '\n' && fence.len() == 1 {
                break;
            }
            at += c.len_utf8();
            if c == '\\' && !raw {
                at += text[at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        Err(Fault::new(
            self.at..self.at + prefix + fence.len(),
            format!("the text is never closed with `{fence}`"),
        ))
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    if text.starts_with("0x") || text.starts_with("0X") {
        return 2 + word(&text[2..]);
    }
    let mut len = digits(text);
    if text[len..].starts_with('.') && text[len + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        len += 1 + digits(&text[len + 1..]);
    }
    if text[len..].starts_with(['e', 'E']) {
        let sign = usize::from(text[len + 1..].starts_with(['+', '-']));
        let exponent = digits(&text[len + 1 + sign..]);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    // Whatever letters follow belong to the number, so that `12h` is one wrong token and not two right ones.
    len + word(&text[len..])
}

/// The tokens as CEL wants them, and for every byte of that text the byte of `source` it comes from.
pub(super) fn to_cel(source: &str, tokens: &[Token]) -> (String, Vec<usize>) {
    let mut cel = String::with_capacity(source.len() + 8);
    let mut origin = Vec::with_capacity(source.len() + 9);
    let mut last = 0;
    for token in tokens {
        for at in last..token.range.start {
            cel.push(' ');
            origin.push(at);
        }
        let ticks = if token.kind == Kind::Hyphenated {
            "`"
        } else {
            ""
        };
        cel.push_str(ticks);
        origin.extend(ticks.bytes().map(|_| token.range.start));
        cel.push_str(token.text(source));
        origin.extend(token.range.clone());
        cel.push_str(ticks);
        origin.extend(ticks.bytes().map(|_| token.range.end));
        last = token.range.end;
    }
    origin.push(last);
    (cel, origin)
}

/// The expression with one spacing, so that layout does not change a digest.
pub(super) fn canonical(source: &str, tokens: &[Token]) -> String {
    let mut out = String::with_capacity(source.len());
    let mut before = "";
    for token in tokens {
        let text = token.text(source);
        let tight = out.is_empty()
            || matches!(before, "(" | "[" | "{" | ".")
            || matches!(text, ")" | "]" | "}" | "." | "," | "(" | "[");
        // `a in (b)` and `x + (y)` keep their space; a call or an index does not have one.
        let opens_after_sign = matches!(text, "(" | "[")
            && !before.is_empty()
            && !before.ends_with(|c: char| {
                c.is_ascii_alphanumeric() || matches!(c, '_' | ')' | ']' | '}' | '"' | '\'')
            })
            && !matches!(before, "(" | "[" | "{" | ".");
        if !tight || opens_after_sign || before == "in" {
            out.push(' ');
        }
        out.push_str(text);
        before = text;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_join_field_names_only() {
        let split = |text: &str| -> Vec<String> {
            tokens(text)
                .expect("lexes")
                .iter()
                .map(|t| t.text(text).to_owned())
                .collect()
        };
        assert_eq!(split("a.b-c == 1"), ["a", ".", "b-c", "==", "1"]);
        assert_eq!(split("a.b - c"), ["a", ".", "b", "-", "c"]);
        assert_eq!(split("a-b"), ["a", "-", "b"]);
        assert_eq!(split("a.b-1"), ["a", ".", "b", "-", "1"]);
        assert_eq!(split("a.b-c-d.e"), ["a", ".", "b-c-d", ".", "e"]);
    }

    #[test]
    fn cel_text_maps_back_to_the_source() {
        let source = "a.b-c   == x";
        let (cel, origin) = to_cel(source, &tokens(source).expect("lexes"));
        assert_eq!(cel, "a.`b-c`   == x");
        let at = cel.find('x').expect("there");
        assert_eq!(&source[origin[at]..], "x");
    }
}
