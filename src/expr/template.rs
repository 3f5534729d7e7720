//! `${ … }` inside JSON: arguments whose later inputs stay symbolic until the step that gives them has run.

use serde_json::{Map, Value};

use super::{EVALUATION, Expr, Fault, Reference, Scope, convert, lex};
use crate::error::{Error, Result};

/// A JSON value in which texts may hold `${ expression }`.
///
/// A text that is exactly one expression keeps the expression's type; elsewhere the value is put into the text.
/// `$${` stands for the two characters `${`. Keys are never templates.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// A value without expressions.
    Literal(Value),
    /// A text that is exactly one expression.
    Expr(Expr),
    /// A text with expressions in it.
    Text(Vec<Piece>),
    /// A list.
    List(Vec<Template>),
    /// An object, in its order.
    Object(Vec<(String, Template)>),
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Verbatim.
    Plain(String),
    /// The value of an expression.
    Expr(Expr),
}

impl Template {
    /// Parses every text of a JSON value.
    pub fn parse(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::String(text) => {
                Self::parse_text(text).map_err(|fault| fault.into_error(text))?
            }
            Value::Array(items) => {
                literal_list(items.iter().map(Self::parse).collect::<Result<Vec<_>>>()?)
            }
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(k, v)| Ok((k.clone(), Self::parse(v)?)))
                    .collect::<Result<Vec<_>>>()?;
                literal_object(fields)
            }
            other => Template::Literal(other.clone()),
        })
    }

    /// Parses one text; the fault's range lies in `text`.
    pub fn parse_text(text: &str) -> Result<Self, Fault> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('$') {
            let dollar = at + found;
            plain.push_str(&text[at..dollar]);
            if text[dollar..].starts_with("$${") {
                plain.push_str("${");
                at = dollar + 3;
            } else if text[dollar..].starts_with("${") {
                let inside = dollar + 2;
                let close = lex::closing_brace(text, inside)?;
                let mut expr =
                    Expr::check(&text[inside..close]).map_err(|fault| fault.shifted(inside))?;
                expr.offset = inside;
                if !plain.is_empty() {
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Expr(expr));
                at = close + 1;
            } else {
                plain.push('$');
                at = dollar + 1;
            }
        }
        plain.push_str(&text[at..]);
        if pieces.is_empty() {
            return Ok(Template::Literal(Value::String(plain)));
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        Ok(match (pieces.pop(), pieces.is_empty()) {
            (Some(Piece::Expr(only)), true) => Template::Expr(only),
            (last, _) => {
                pieces.extend(last);
                Template::Text(pieces)
            }
        })
    }

    /// Whether no expression is left.
    pub fn is_literal(&self) -> bool {
        matches!(self, Template::Literal(_))
    }

    /// Every reference of every expression; ranges count from the start of the expression.
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        self.each_expr(&mut |expr| found.extend(expr.references()));
        found
    }

    /// The same, with ranges that count from the start of the text that holds the `${`.
    pub fn references_in_text(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        self.each_expr(&mut |expr| {
            found.extend(expr.references().iter().map(|reference| Reference {
                path: reference.path.clone(),
                range: reference.range.start + expr.offset..reference.range.end + expr.offset,
            }));
        });
        found
    }

    fn each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Template::Literal(_) => {}
            Template::Expr(expr) => visit(expr),
            Template::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Expr(expr) = piece {
                        visit(expr);
                    }
                }
            }
            Template::List(items) => items.iter().for_each(|item| item.each_expr(visit)),
            Template::Object(fields) => fields.iter().for_each(|(_, item)| item.each_expr(visit)),
        }
    }

    /// The value, every expression evaluated.
    pub fn resolve(&self, scope: &Scope) -> Result<Value> {
        Ok(match self {
            Template::Literal(value) => value.clone(),
            Template::Expr(expr) => expr.eval(scope)?,
            Template::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Plain(plain) => text.push_str(plain),
                        Piece::Expr(expr) => text.push_str(&in_text(expr, scope)?),
                    }
                }
                Value::String(text)
            }
            Template::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.resolve(scope))
                    .collect::<Result<_>>()?,
            ),
            Template::Object(fields) => {
                let mut map = Map::new();
                for (key, item) in fields {
                    map.insert(key.clone(), item.resolve(scope)?);
                }
                Value::Object(map)
            }
        })
    }

    /// The template with every expression evaluated whose variables are all in `scope`; the others stay symbolic.
    ///
    /// Leave secret parameters out of the scope, and they stay out of plans and digests.
    pub fn bind(&self, scope: &Scope) -> Result<Template> {
        let known = |expr: &Expr| {
            expr.references()
                .iter()
                .all(|reference| scope.path(&reference.path).is_some())
        };
        Ok(match self {
            Template::Literal(_) => self.clone(),
            Template::Expr(expr) if known(expr) => Template::Literal(expr.eval(scope)?),
            Template::Expr(_) => self.clone(),
            Template::Text(pieces) => {
                let mut bound: Vec<Piece> = Vec::new();
                for piece in pieces {
                    let piece = match piece {
                        Piece::Expr(expr) if known(expr) => Piece::Plain(in_text(expr, scope)?),
                        other => other.clone(),
                    };
                    match (bound.last_mut(), piece) {
                        (Some(Piece::Plain(text)), Piece::Plain(more)) => text.push_str(&more),
                        (_, piece) => bound.push(piece),
                    }
                }
                match bound.as_slice() {
                    [Piece::Plain(text)] => Template::Literal(Value::String(text.clone())),
                    _ => Template::Text(bound),
                }
            }
            Template::List(items) => {
                let items = items
                    .iter()
                    .map(|item| item.bind(scope))
                    .collect::<Result<Vec<_>>>()?;
                literal_list(items)
            }
            Template::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, item)| Ok((key.clone(), item.bind(scope)?)))
                    .collect::<Result<Vec<_>>>()?;
                literal_object(fields)
            }
        })
    }

    /// The template as JSON, each expression in its canonical text: what a plan shows and its digest covers.
    ///
    /// Parsing the result gives this template again.
    pub fn canonical(&self) -> Value {
        match self {
            Template::Literal(value) => escaped(value),
            Template::Expr(expr) => Value::String(symbol(expr)),
            Template::Text(pieces) => Value::String(
                pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Plain(text) => text.replace("${", "$${"),
                        Piece::Expr(expr) => symbol(expr),
                    })
                    .collect(),
            ),
            Template::List(items) => Value::Array(items.iter().map(Self::canonical).collect()),
            Template::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, item)| (key.clone(), item.canonical()))
                    .collect(),
            ),
        }
    }
}

fn symbol(expr: &Expr) -> String {
    format!("${{ {} }}", expr.canonical())
}

fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${", "$${")),
        Value::Array(items) => Value::Array(items.iter().map(escaped).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, item)| (key.clone(), escaped(item)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn literal_list(items: Vec<Template>) -> Template {
    let literals: Option<Vec<Value>> = items.iter().map(as_literal).collect();
    literals.map_or(Template::List(items), |l| {
        Template::Literal(Value::Array(l))
    })
}

fn literal_object(fields: Vec<(String, Template)>) -> Template {
    let literals: Option<Map<String, Value>> = fields
        .iter()
        .map(|(key, item)| Some((key.clone(), as_literal(item)?)))
        .collect();
    literals.map_or(Template::Object(fields), |l| {
        Template::Literal(Value::Object(l))
    })
}

fn as_literal(item: &Template) -> Option<Value> {
    match item {
        Template::Literal(value) => Some(value.clone()),
        _ => None,
    }
}

/// The value of an expression inside a text.
fn in_text(expr: &Expr, scope: &Scope) -> Result<String> {
    match expr.eval(scope)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(answer) => Ok(answer.to_string()),
        other => Err(Error::new(
            &EVALUATION,
            format!(
                "`${{ {} }}` gives {}, which cannot stand inside a text",
                expr.canonical(),
                convert::kind(&other)
            ),
        )),
    }
}
