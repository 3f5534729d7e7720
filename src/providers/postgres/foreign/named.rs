//! What statements of a dump name: extensions, and the roles of policies.

use crate::error::Error;

/// The role that a policy names and that is not there.
pub(super) fn missing_role(sql: &str, error: &Error) -> Option<String> {
    let begins = sql.trim_start().get(..14)?;
    if !begins.eq_ignore_ascii_case("create policy ") {
        return None;
    }
    let said = error.one_line();
    let (_, after) = said.split_once("role \"")?;
    let (role, _) = after.split_once("\" does not exist")?;
    Some(role.to_owned())
}

/// Name and schema of `CREATE EXTENSION IF NOT EXISTS name WITH SCHEMA schema`.
pub(super) fn extension_in(sql: &str) -> Option<(String, String)> {
    let lower = sql.to_ascii_lowercase();
    let at =
        lower.find("create extension if not exists ")? + "create extension if not exists ".len();
    let (name, rest) = name_at(sql.get(at..)?.trim_start())?;
    let rest = rest.trim_start();
    let with = rest.get(..12)?;
    if !with.eq_ignore_ascii_case("with schema ") {
        return None;
    }
    let (schema, rest) = name_at(rest[12..].trim_start())?;
    rest.trim().is_empty().then_some((name, schema))
}

/// A name at the beginning of a text, with or without quotes, and what follows.
pub(super) fn name_at(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut chars = quoted.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '"' {
                name.push(c);
            } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
                name.push('"');
                chars.next();
            } else {
                return Some((name, &quoted[at + 1..]));
            }
        }
        return None;
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_ascii_lowercase(), &text[end..]))
}
