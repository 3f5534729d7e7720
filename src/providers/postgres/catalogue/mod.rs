//! The schema as rows: every object in a canonical JSON line, without OIDs and in no order that matters, so that a
//! schema difference is found, counted and named like a difference in data.
//!
//! Two listings: *catalogue* is what objects are, *ownership* is whose they are and who may use them. They are apart
//! because a scratch server may lack the roles.

mod queries;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::Target;
use super::enumerate::{not_of_extension, user_schema};
use super::session::{Access, close, open, run, texts};
use crate::capture::{Fingerprint, FingerprintKey, PartSource, PartWriter};
use crate::error::Result;

/// Which listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// What objects are.
    Objects,
    /// Whose they are.
    Ownership,
}

/// The catalogue of a live database, sorted.
pub async fn catalogue(target: &Target) -> Result<Vec<String>> {
    let mut session = open(target, Access::Write).await?;
    run(
        target,
        &mut session,
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    )
    .await?;
    run(target, &mut session, super::capture::PINNED_PATH).await?;
    let lines = list(target, &mut session, Listing::Objects).await?;
    close(session).await;
    Ok(lines)
}

/// The fingerprint of the catalogue: equal for two databases with the same schema.
pub async fn schema_fingerprint(target: &Target, key: &FingerprintKey) -> Result<Fingerprint> {
    let mut fingerprinter = key.start();
    for line in catalogue(target).await? {
        fingerprinter.add(line.as_bytes());
    }
    Ok(fingerprinter.finish())
}

/// What differs between two catalogues, in words: `missing`, `unexpected` or `changed`, the kind and the name.
pub fn catalogue_differences(expected: &[String], seen: &[String]) -> Vec<String> {
    let expected: BTreeSet<&String> = expected.iter().collect();
    let seen: BTreeSet<&String> = seen.iter().collect();
    let gone: BTreeSet<String> = expected.difference(&seen).map(|l| label(l)).collect();
    let new: BTreeSet<String> = seen.difference(&expected).map(|l| label(l)).collect();
    let all: BTreeSet<&String> = gone.union(&new).collect();
    all.into_iter()
        .map(|name| match (gone.contains(name), new.contains(name)) {
            (true, true) => format!("changed {name}"),
            (true, false) => format!("missing {name}"),
            _ => format!("unexpected {name}"),
        })
        .collect()
}

/// `table public.users` in a line of the listing; `role app` in one of the roles.
fn label(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("line") {
        "role" => return format!("role {}", text("name")),
        "member" => return format!("membership of {} in {}", text("member"), text("role")),
        "setting" => {
            // The value may be a secret of an extension's.
            let name = text("setting").split('=').next().unwrap_or_default();
            return format!("setting {name} of role {}", text("role"));
        }
        _ => {}
    }
    let place = match (text("on"), text("name")) {
        ("", name) => name.to_owned(),
        (on, name) => format!("{on}.{name}"),
    };
    format!("{} {place}", text("kind"))
}

/// What differs between captured listings, the parts of these names, and those of a restored database, as [`catalogue_differences`]
/// says it: the second look, once the sums have shown that something does.
pub async fn survey(
    target: &Target,
    source: &dyn PartSource,
    parts: &[&String],
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for part in parts {
        let Some(listing) = listing_in(part) else {
            continue;
        };
        let bytes = source.open(part).await?.read_all().await?;
        let lines = String::from_utf8_lossy(&bytes);
        let expected: Vec<String> = lines.lines().map(str::to_owned).collect();
        let mut session = open(target, Access::Write).await?;
        run(target, &mut session, super::capture::PINNED_PATH).await?;
        let seen = list(target, &mut session, listing).await?;
        close(session).await;
        found.extend(catalogue_differences(&expected, &seen));
    }
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    if more > 0 {
        found.push(format!("{more} more objects differ"));
    }
    Ok(found)
}

/// The listing that a part holds.
fn listing_in(part: &str) -> Option<Listing> {
    match part.strip_prefix("postgres/")?.rsplit_once('/')?.1 {
        "catalogue" => Some(Listing::Objects),
        "ownership" => Some(Listing::Ownership),
        _ => None,
    }
}

/// Differences named of a database.
const NAMED: usize = 20;

/// All lines of a listing, sorted by bytes. Bounded by the number of objects, not of rows.
pub(super) async fn list(
    target: &Target,
    session: &mut PgConnection,
    listing: Listing,
) -> Result<Vec<String>> {
    let queries = match listing {
        Listing::Objects => queries::OBJECTS,
        Listing::Ownership => queries::OWNERSHIP,
    };
    let mut lines = Vec::new();
    for (what, sql) in queries {
        lines.extend(texts(target, session, &format!("list {what}"), &complete(sql)).await?);
    }
    lines.sort_unstable();
    Ok(lines)
}

/// Writes a listing as a part.
pub(super) async fn write(
    lines: &[String],
    writer: &mut dyn PartWriter,
    key: &FingerprintKey,
) -> Result<Fingerprint> {
    let mut fingerprinter = key.start();
    let mut chunk = Vec::with_capacity(64 * 1024);
    for line in lines {
        fingerprinter.add(line.as_bytes());
        chunk.extend_from_slice(line.as_bytes());
        chunk.push(b'\n');
        if chunk.len() >= 256 * 1024 {
            writer
                .write(Bytes::from(std::mem::take(&mut chunk)))
                .await?;
        }
    }
    if !chunk.is_empty() {
        writer.write(Bytes::from(chunk)).await?;
    }
    Ok(fingerprinter.finish())
}

/// Fills in the conditions that every query shares: `{mine}` for schema `n`, `{own:pg_class c}` for an object that no
/// extension made.
fn complete(sql: &str) -> String {
    let mut text = sql.replace("{mine}", &user_schema());
    while let Some(start) = text.find("{own:") {
        let Some(length) = text[start..].find('}') else {
            break;
        };
        let inner = text[start + 5..start + length].to_owned();
        let (catalogue, alias) = inner.split_once(' ').unwrap_or((&inner, "c"));
        let condition = not_of_extension(catalogue, &format!("{alias}.oid"));
        text.replace_range(start..=start + length, &condition);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let line = |kind: &str, name: &str, type_: &str| {
            serde_json::json!({"kind": kind, "on": "public.t", "name": name, "type": type_})
                .to_string()
        };
        let expected = [line("column", "a", "int"), line("column", "b", "int")];
        let seen = [line("column", "a", "text"), line("column", "c", "int")];
        assert_eq!(
            catalogue_differences(&expected, &seen),
            [
                "changed column public.t.a",
                "missing column public.t.b",
                "unexpected column public.t.c"
            ]
        );
    }

    #[test]
    fn shared_conditions_are_filled_in() {
        let sql = complete("WHERE {mine} AND {own:pg_proc p}");
        assert!(
            sql.contains("'pg_proc'::regclass AND x.objid = p.oid"),
            "{sql}"
        );
        assert!(!sql.contains('{'), "{sql}");
    }
}
