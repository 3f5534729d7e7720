//! The part of GraphQL that the stand-in's few operations need: documents of queries and mutations, variables,
//! arguments, aliases. Fragments, directives, subscriptions and lists are refused by name, never ignored.
//!
//! Grammar: GraphQL specification, October 2021, section 2.

use serde_json::Value;

/// Deeper selections are refused: the parser recurses.
const DEEPEST: usize = 12;

/// Why a document was refused, for the client.
pub type Refusal = String;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads.
    Query,
    /// Changes.
    Mutation,
}

/// One operation of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What it does.
    pub kind: Kind,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its declared variables.
    pub variables: Vec<Variable>,
    /// Its root fields.
    pub fields: Vec<Field>,
}

/// A declared variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name, without `$`.
    pub name: String,
    /// Its type's name, such as `String`.
    pub type_name: String,
    /// Whether the type ends with `!`.
    pub required: bool,
    /// The value it has if none is sent.
    pub default: Option<Value>,
}

/// A field of a selection.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key of its result: the alias, or the name.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<(String, Argument)>,
    /// What is selected of its result; empty for a scalar.
    pub fields: Vec<Field>,
}

/// An argument's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// The variable with this name.
    Variable(String),
    /// A literal.
    Literal(Value),
}

/// Parses a document.
///
/// # Errors
/// A sentence for the client that says what is wrong or not supported, and where.
pub fn parse(document: &str) -> Result<Vec<Operation>, Refusal> {
    let mut parser = Parser {
        tokens: lex(document)?,
        at: 0,
    };
    let mut operations = Vec::new();
    while parser.peek().is_some() {
        operations.push(parser.operation()?);
    }
    if operations.is_empty() {
        return Err("the document holds no operation".into());
    }
    Ok(operations)
}

/// The operation to execute: the one named, or the only one.
///
/// # Errors
/// A sentence for the client.
pub fn choose<'a>(
    operations: &'a [Operation],
    name: Option<&str>,
) -> Result<&'a Operation, Refusal> {
    match (name, operations) {
        (Some(name), _) => operations
            .iter()
            .find(|o| o.name.as_deref() == Some(name))
            .ok_or_else(|| format!("there is no operation named `{name}`")),
        (None, [only]) => Ok(only),
        (None, _) => Err("there are several operations: `operationName` must name one".into()),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(String),
    Mark(char),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Name(name) | Token::Number(name) => write!(f, "`{name}`"),
            Token::Text(_) => f.write_str("a string"),
            Token::Mark(mark) => write!(f, "`{mark}`"),
        }
    }
}

/// Tokens, each with its line.
fn lex(text: &str) -> Result<Vec<(Token, usize)>, Refusal> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while let Some(&c) = chars.peek() {
        match c {
            '\n' => {
                line += 1;
                chars.next();
            }
            // Commas and the byte order mark are insignificant (section 2.1).
            ' ' | '\t' | '\r' | ',' | '\u{feff}' => {
                chars.next();
            }
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '{' | '}' | '(' | ')' | ':' | '!' | '$' | '=' | '@' | '[' | ']' | '.' => {
                chars.next();
                tokens.push((Token::Mark(c), line));
            }
            '"' => {
                chars.next();
                tokens.push((Token::Text(string(&mut chars, line)?), line));
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                tokens.push((Token::Name(name), line));
            }
            c if c.is_ascii_digit() || c == '-' => {
                let mut number = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_digit() || "-+.eE".contains(*c)) {
                    number.push(c);
                }
                tokens.push((Token::Number(number), line));
            }
            c => return Err(format!("line {line}: `{c}` begins no token")),
        }
    }
    Ok(tokens)
}

/// The rest of a string whose opening quote was read.
fn string(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    line: usize,
) -> Result<String, Refusal> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some('"') => break,
            Some('\\') => {
                let escaped = chars.next();
                text.push(match escaped {
                    Some(c @ ('"' | '\\' | '/')) => c,
                    Some('b') => '\u{8}',
                    Some('f') => '\u{c}',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('u') => {
                        let digits: String = chars.by_ref().take(4).collect();
                        u32::from_str_radix(&digits, 16)
                            .ok()
                            .filter(|_| digits.len() == 4)
                            .and_then(char::from_u32)
                            .ok_or_else(|| format!("line {line}: `\\u{digits}` is no character"))?
                    }
                    _ => return Err(format!("line {line}: unknown escape in a string")),
                });
            }
            Some('\n') | None => return Err(format!("line {line}: a string has no end")),
            Some(c) => text.push(c),
        }
    }
    if text.is_empty() && chars.peek() == Some(&'"') {
        return Err(format!("line {line}: block strings are not supported here"));
    }
    Ok(text)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn refuse<T>(&self, what: &str) -> Result<T, Refusal> {
        let (seen, line) = self.tokens.get(self.at).map_or_else(
            || {
                let last = self.tokens.last().map_or(1, |(_, line)| *line);
                ("the end".to_owned(), last)
            },
            |(token, line)| (token.to_string(), *line),
        );
        Err(format!("line {line}: {what}, found {seen}"))
    }

    fn accept(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn mark(&mut self, mark: char) -> Result<(), Refusal> {
        if self.accept(mark) {
            Ok(())
        } else {
            self.refuse(&format!("expected `{mark}`"))
        }
    }

    fn name(&mut self, what: &str) -> Result<String, Refusal> {
        match self.peek() {
            Some(Token::Name(_)) => match self.take() {
                Some(Token::Name(name)) => Ok(name),
                _ => self.refuse(what),
            },
            _ => self.refuse(&format!("expected {what}")),
        }
    }

    fn operation(&mut self) -> Result<Operation, Refusal> {
        if self.peek() == Some(&Token::Mark('{')) {
            return Ok(Operation {
                kind: Kind::Query,
                name: None,
                variables: Vec::new(),
                fields: self.selection(0)?,
            });
        }
        let kind = match self.peek() {
            Some(Token::Name(word)) if word == "query" => Kind::Query,
            Some(Token::Name(word)) if word == "mutation" => Kind::Mutation,
            _ => return self.refuse("only `query` and `mutation` are supported here"),
        };
        self.at += 1;
        let name = match self.peek() {
            Some(Token::Name(_)) => Some(self.name("a name")?),
            _ => None,
        };
        let mut variables = Vec::new();
        if self.accept('(') {
            while !self.accept(')') {
                variables.push(self.variable()?);
            }
        }
        self.no_directive()?;
        Ok(Operation {
            kind,
            name,
            variables,
            fields: self.selection(0)?,
        })
    }

    fn variable(&mut self) -> Result<Variable, Refusal> {
        self.mark('$')?;
        let name = self.name("a variable's name")?;
        self.mark(':')?;
        if self.peek() == Some(&Token::Mark('[')) {
            return self.refuse("list types are not supported here");
        }
        let type_name = self.name("a type")?;
        let required = self.accept('!');
        let default = if self.accept('=') {
            match self.argument()? {
                Argument::Literal(value) => Some(value),
                Argument::Variable(_) => return self.refuse("a default value is a literal"),
            }
        } else {
            None
        };
        self.no_directive()?;
        Ok(Variable {
            name,
            type_name,
            required,
            default,
        })
    }

    fn selection(&mut self, depth: usize) -> Result<Vec<Field>, Refusal> {
        if depth > DEEPEST {
            return self.refuse("the selection is too deep");
        }
        self.mark('{')?;
        let mut fields = Vec::new();
        while !self.accept('}') {
            if self.peek() == Some(&Token::Mark('.')) {
                return self.refuse("fragments are not supported here");
            }
            let first = self.name("a field")?;
            let (key, name) = if self.accept(':') {
                (first, self.name("a field")?)
            } else {
                (first.clone(), first)
            };
            let mut arguments = Vec::new();
            if self.accept('(') {
                while !self.accept(')') {
                    let argument = self.name("an argument's name")?;
                    self.mark(':')?;
                    arguments.push((argument, self.argument()?));
                }
            }
            self.no_directive()?;
            let inner = if self.peek() == Some(&Token::Mark('{')) {
                self.selection(depth + 1)?
            } else {
                Vec::new()
            };
            fields.push(Field {
                key,
                name,
                arguments,
                fields: inner,
            });
        }
        if fields.is_empty() {
            return self.refuse("a selection holds at least one field");
        }
        Ok(fields)
    }

    fn argument(&mut self) -> Result<Argument, Refusal> {
        if self.accept('$') {
            return Ok(Argument::Variable(self.name("a variable's name")?));
        }
        let value = match self.peek() {
            Some(Token::Text(text)) => Value::from(text.as_str()),
            Some(Token::Number(number)) => match serde_json::from_str(number) {
                Ok(value) => value,
                Err(_) => return self.refuse("expected a number"),
            },
            Some(Token::Name(word)) if word == "true" => Value::Bool(true),
            Some(Token::Name(word)) if word == "false" => Value::Bool(false),
            Some(Token::Name(word)) if word == "null" => Value::Null,
            _ => {
                return self.refuse("expected a string, a number, a boolean, `null` or a variable");
            }
        };
        self.at += 1;
        Ok(Argument::Literal(value))
    }

    fn no_directive(&self) -> Result<(), Refusal> {
        if self.peek() == Some(&Token::Mark('@')) {
            return self.refuse("directives are not supported here");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_operation_with_variables_aliases_and_comments() {
        let text = "mutation M($m: String! = \"x\\u0041\\n\") { # made up\n n: createNote(marker: $m, n: -1) { id, marker } }";
        let operations = parse(text).unwrap();
        let operation = choose(&operations, Some("M")).unwrap();
        assert_eq!(operation.kind, Kind::Mutation);
        assert_eq!(operation.variables[0].default, Some(Value::from("xA\n")));
        assert!(operation.variables[0].required);
        let field = &operation.fields[0];
        assert_eq!(
            (field.key.as_str(), field.name.as_str()),
            ("n", "createNote")
        );
        assert_eq!(
            field.arguments,
            vec![
                ("marker".to_owned(), Argument::Variable("m".into())),
                ("n".to_owned(), Argument::Literal(Value::from(-1)))
            ]
        );
        assert_eq!(field.fields.len(), 2);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, why) in [
            ("", "no operation"),
            ("{ ...f }", "fragments"),
            ("{ a @skip(if: true) }", "directives"),
            ("subscription { a }", "only `query` and `mutation`"),
            ("query($a: [Int]) { a }", "list types"),
            ("{ a(b: \"\"\"x\"\"\") }", "block strings"),
            ("{ a(b: \"x) }", "no end"),
            ("{ a", "expected a field, found the end"),
            ("{}", "at least one field"),
            ("{\n a(b: c) }", "line 2: expected a string"),
        ] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
        let deep = format!("{}a{}", "{a".repeat(5000), "}".repeat(5000));
        assert!(parse(&deep).unwrap_err().contains("too deep"));
        let two = parse("query A { a } query B { b }").unwrap();
        assert!(choose(&two, None).is_err());
        assert!(choose(&two, Some("C")).is_err());
        assert_eq!(choose(&two, Some("B")).unwrap().fields[0].name, "b");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[ -~\n]{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_string_arrives_as_it_was_written(text in any::<String>()) {
            prop_assume!(!text.is_empty());
            // JSON's escapes are a subset of GraphQL's, but for surrogate pairs, which JSON does not write here.
            let document = format!("{{ a(b: {}) }}", serde_json::to_string(&text).unwrap());
            let operations = parse(&document).unwrap();
            prop_assert_eq!(
                &operations[0].fields[0].arguments[0].1,
                &Argument::Literal(Value::from(text))
            );
        }
    }
}
