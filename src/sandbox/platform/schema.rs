//! What the stand-in's `/graphql` offers, and how a request is executed:
//!
//! ```graphql
//! type Query    { note(marker: String!): Note }
//! type Mutation { createNote(marker: String!): Note!  deleteNote(marker: String!): Boolean! }
//! type Note     { id: ID!  marker: String!  createdAt: String! }
//! ```

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::graphql::{Argument, Field, Kind, Operation, Refusal, choose, parse};
use super::stores::{Note, Stores};

/// A marker is a name, not a document.
const LONGEST_MARKER: usize = 200;

/// A request as the GraphQL-over-HTTP convention has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    #[serde(default)]
    operation_name: Option<String>,
}

/// A root field that passed validation.
struct Call<'a> {
    field: &'a Field,
    action: Action,
}

enum Action {
    TypeName(&'static str),
    Note(String),
    Create(String),
    Delete(String),
}

/// Executes the body of a POST: the status and the response document.
pub async fn execute(stores: &Stores, body: &[u8]) -> (u16, Value) {
    let request: Request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(e) => return refused(format!("the body is not a GraphQL request: {e}")),
    };
    let operations = match parse(&request.query) {
        Ok(operations) => operations,
        Err(refusal) => return refused(refusal),
    };
    let variables = request.variables.unwrap_or_default();
    let calls = choose(&operations, request.operation_name.as_deref())
        .and_then(|operation| validate(operation, &variables));
    let calls = match calls {
        Ok(calls) => calls,
        Err(refusal) => return refused(refusal),
    };
    let mut data = Map::new();
    let mut errors = Vec::new();
    let mut absent = false;
    for call in &calls {
        match perform(stores, call).await {
            Ok(value) => {
                data.insert(call.field.key.clone(), value);
            }
            Err(message) => {
                // A field that may be null is null; the result of a mutation may not, so there are no data at all.
                absent |= !matches!(call.action, Action::Note(_));
                data.insert(call.field.key.clone(), Value::Null);
                errors.push(json!({"message": message, "path": [call.field.key]}));
            }
        }
        if absent {
            break;
        }
    }
    let mut document = Map::new();
    if !errors.is_empty() {
        document.insert("errors".into(), Value::Array(errors));
    }
    let data = if absent {
        Value::Null
    } else {
        Value::Object(data)
    };
    document.insert("data".into(), data);
    (200, Value::Object(document))
}

fn refused(message: Refusal) -> (u16, Value) {
    (400, json!({"errors": [{"message": message}]}))
}

/// Everything is looked at before anything is done.
fn validate<'a>(
    operation: &'a Operation,
    sent: &Map<String, Value>,
) -> Result<Vec<Call<'a>>, Refusal> {
    let variables = bind(operation, sent)?;
    operation
        .fields
        .iter()
        .map(|field| {
            let marker = || marker(field, &variables);
            let action = match (operation.kind, field.name.as_str()) {
                (Kind::Query, "__typename") => Action::TypeName("Query"),
                (Kind::Mutation, "__typename") => Action::TypeName("Mutation"),
                (Kind::Query, "note") => Action::Note(marker()?),
                (Kind::Mutation, "createNote") => Action::Create(marker()?),
                (Kind::Mutation, "deleteNote") => Action::Delete(marker()?),
                (Kind::Query, name) => {
                    return Err(format!("cannot query field `{name}` on type `Query`"));
                }
                (Kind::Mutation, name) => {
                    return Err(format!("cannot query field `{name}` on type `Mutation`"));
                }
            };
            match action {
                Action::Note(_) | Action::Create(_) => selection_of_note(field)?,
                Action::TypeName(_) | Action::Delete(_) if !field.fields.is_empty() => {
                    return Err(format!("field `{}` has no fields to select", field.name));
                }
                _ => {}
            }
            Ok(Call { field, action })
        })
        .collect()
}

/// The variables' values: what was sent, or their defaults.
fn bind(operation: &Operation, sent: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let mut bound = Map::new();
    for variable in &operation.variables {
        let value = sent.get(&variable.name).or(variable.default.as_ref());
        let value = value.cloned().unwrap_or(Value::Null);
        if variable.required && value.is_null() {
            return Err(format!(
                "variable `${}` of type `{}!` was not sent",
                variable.name, variable.type_name
            ));
        }
        bound.insert(variable.name.clone(), value);
    }
    Ok(bound)
}

fn marker(field: &Field, variables: &Map<String, Value>) -> Result<String, Refusal> {
    let place = format!("argument `marker` of `{}`", field.name);
    let [(name, argument)] = field.arguments.as_slice() else {
        return Err(format!("`{}` takes one argument, `marker`", field.name));
    };
    if name != "marker" {
        return Err(format!("unknown argument `{name}` of `{}`", field.name));
    }
    let value = match argument {
        Argument::Literal(value) => value,
        Argument::Variable(variable) => variables
            .get(variable)
            .ok_or_else(|| format!("variable `${variable}` is not declared"))?,
    };
    let text = value
        .as_str()
        .ok_or_else(|| format!("{place} must be a string"))?;
    // Postgres holds no NUL in a text.
    if text.is_empty() || text.len() > LONGEST_MARKER || text.contains('\0') {
        return Err(format!(
            "{place} must have 1 to {LONGEST_MARKER} bytes and no NUL"
        ));
    }
    Ok(text.to_owned())
}

fn selection_of_note(field: &Field) -> Result<(), Refusal> {
    if field.fields.is_empty() {
        return Err(format!(
            "field `{}` needs a selection of fields",
            field.name
        ));
    }
    for inner in &field.fields {
        let known = ["id", "marker", "createdAt", "__typename"].contains(&inner.name.as_str());
        if !known || !inner.arguments.is_empty() || !inner.fields.is_empty() {
            return Err(format!(
                "cannot query field `{}` on type `Note`",
                inner.name
            ));
        }
    }
    Ok(())
}

async fn perform(stores: &Stores, call: &Call<'_>) -> Result<Value, String> {
    match &call.action {
        Action::TypeName(name) => Ok(json!(name)),
        Action::Note(marker) => Ok(stores
            .note(marker)
            .await?
            .map_or(Value::Null, |note| select(&note, call.field))),
        Action::Create(marker) => Ok(select(&stores.create_note(marker).await?, call.field)),
        Action::Delete(marker) => Ok(json!(stores.delete_note(marker).await?)),
    }
}

fn select(note: &Note, field: &Field) -> Value {
    let fields = field.fields.iter().map(|inner| {
        let value = match inner.name.as_str() {
            "id" => json!(note.id.to_string()),
            "marker" => json!(note.marker),
            "createdAt" => json!(note.created_at),
            _ => json!("Note"),
        };
        (inner.key.clone(), value)
    });
    Value::Object(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, variables: Value) -> Result<usize, Refusal> {
        let operations = parse(query)?;
        let variables = variables.as_object().cloned().unwrap_or_default();
        validate(choose(&operations, None)?, &variables).map(|calls| calls.len())
    }

    #[test]
    fn requests_are_validated_before_anything_is_done() {
        let create = "mutation($m: String!) { createNote(marker: $m) { id } }";
        assert_eq!(check(create, json!({"m": "x"})), Ok(1));
        assert_eq!(check("{ __typename }", json!({})), Ok(1));
        for (query, variables, why) in [
            (create, json!({}), "was not sent"),
            (create, json!({"m": 1}), "must be a string"),
            (create, json!({"m": ""}), "1 to 200 bytes"),
            ("{ note(marker: $m) { id } }", json!({}), "not declared"),
            ("{ note(marker: \"x\") }", json!({}), "needs a selection"),
            ("{ note { id } }", json!({}), "takes one argument"),
            (
                "{ note(name: \"x\") { id } }",
                json!({}),
                "unknown argument",
            ),
            (
                "{ note(marker: \"x\") { body } }",
                json!({}),
                "`body` on type `Note`",
            ),
            (
                "{ createNote(marker: \"x\") { id } }",
                json!({}),
                "on type `Query`",
            ),
            (
                "mutation { deleteNote(marker: \"x\") { id } }",
                json!({}),
                "no fields to select",
            ),
        ] {
            let refusal = check(query, variables).expect_err(query);
            assert!(refusal.contains(why), "{query}: {refusal}");
        }
    }
}
