//! Between JSON and CEL values, and from CEL's errors to ours, which never hold the contents of a variable.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cel::objects::{Key, Map};
use serde_json::Value;

use super::{EVALUATION, UNKNOWN_NAME};
use crate::error::Reason;

/// The standard library and CEL's strings extension.
pub(super) fn environment() -> &'static Arc<cel::Env> {
    static ENVIRONMENT: OnceLock<Arc<cel::Env>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = cel::Env::stdlib().with_optional_support(false);
        env.add_extension(cel::extensions::strings)
            .expect("the extension adds to a fresh environment, where none of its names is taken");
        Arc::new(env)
    })
}

/// `seconds('1h30m')`: a duration as people write it, in seconds.
pub(super) fn seconds(text: Arc<String>) -> Result<f64, cel::ExecutionError> {
    text.parse::<crate::time::Span>()
        .map(|span| span.0.as_secs_f64())
        .map_err(|_| cel::ExecutionError::function_error("seconds", "not a duration"))
}

/// Whole numbers become `int` wherever they fit, so that arithmetic with literals works.
pub(super) fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => cel::Value::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => cel::Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(s) => cel::Value::String(Arc::new(s.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let map: HashMap<Key, cel::Value> = fields
                .iter()
                .map(|(k, v)| (Key::String(Arc::new(k.clone())), to_cel(v)))
                .collect();
            cel::Value::Map(Map { map: Arc::new(map) })
        }
    }
}

/// The JSON of a value, maps in the order of their keys; the error says what cannot be JSON.
pub(super) fn from_cel(value: &cel::Value) -> Result<Value, &'static str> {
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(b) => Value::Bool(*b),
        cel::Value::Int(i) => Value::from(*i),
        cel::Value::UInt(u) => Value::from(*u),
        cel::Value::Float(f) => serde_json::Number::from_f64(*f)
            .map(Value::Number)
            .ok_or("a number that is not finite")?,
        cel::Value::String(s) => Value::String(s.as_ref().clone()),
        cel::Value::List(items) => {
            Value::Array(items.iter().map(from_cel).collect::<Result<_, _>>()?)
        }
        cel::Value::Map(map) => {
            let mut fields = Vec::with_capacity(map.map.len());
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else {
                    return Err("a map whose keys are not texts");
                };
                fields.push((key.as_ref().clone(), from_cel(value)?));
            }
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        cel::Value::Bytes(_) => return Err("bytes"),
        _ => return Err("a function or a type"),
    })
}

/// The kind of a JSON value, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What went wrong, without any value: names are shown only where the expression's own text holds them.
pub(super) fn describe(error: &cel::ExecutionError, source: &str) -> (&'static Reason, String) {
    use cel::ExecutionError as E;
    let name = |name: &str| {
        if source.contains(name) {
            format!(" `{name}`")
        } else {
            String::new()
        }
    };
    match error {
        E::NoSuchKey(key) => (&UNKNOWN_NAME, format!("there is no field{}", name(key))),
        E::UndeclaredReference(what) => (
            &UNKNOWN_NAME,
            format!("there is no variable or function{}", name(what)),
        ),
        E::NoSuchOverload(overload) => (
            &EVALUATION,
            format!(
                "`{}` does not work on ({})",
                operator(overload.function()),
                overload.argument_types().join(", ")
            ),
        ),
        E::FunctionError { function, .. } => (
            &EVALUATION,
            format!("function{} refuses its argument", name(function)),
        ),
        E::InvalidArgumentCount { expected, actual } => (
            &EVALUATION,
            format!("a function takes {expected} arguments and was given {actual}"),
        ),
        E::UnexpectedType { got, want } => (&EVALUATION, format!("{got} stands where {want} must")),
        E::ValuesNotComparable(..) => (&EVALUATION, "the two sides cannot be compared".into()),
        E::DivisionByZero(_) | E::RemainderByZero(_) => (&EVALUATION, "division by zero".into()),
        E::Overflow(..) => (&EVALUATION, "the number grows too large".into()),
        E::IndexOutOfBounds(_) => (&EVALUATION, "the index lies beyond the end".into()),
        E::UnsupportedIndex(..) => (&EVALUATION, "this cannot be indexed that way".into()),
        E::DuplicateKey(_) => (&EVALUATION, "a map names a key twice".into()),
        _ => (&EVALUATION, "its operands do not fit".into()),
    }
}

/// `_==_` as `==`.
fn operator(function: &str) -> &str {
    match function {
        "_[_]" => "[]",
        "_._" => ".",
        other => other.trim_matches('_'),
    }
}

/// The byte offset of a parser position (line from 1, column from 1, in characters).
pub(super) fn offset_of(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?;
    Some(
        rest.char_indices()
            .nth(column)
            .map_or(text.len(), |(at, _)| start + at),
    )
}
