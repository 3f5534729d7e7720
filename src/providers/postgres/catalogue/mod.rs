//! The schema as rows: every object in a canonical JSON line, without OIDs and in no order that matters, so that a
//! schema difference is found, counted and named like a difference in data.
//!
//! Two listings: *catalogue* is what objects are, *ownership* is whose they are and who may use them. They are apart
//! because a scratch server may lack the roles.
//!
//! A listing has a *form*, which the part's format names. What a later form adds are lines of their own that say so, and the
//! lines of the earlier one stay as they were: a database is measured in the form of the backup that it is compared with,
//! and of two backups the later listing can be read in the form of the earlier one.

mod queries;
mod second;
mod third;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::Target;
use super::capture::format;
use super::enumerate::{not_of_extension, user_schema};
use super::session::{Access, PINNED_PATH, close, major, open, run, texts};
use crate::capture::{Fingerprint, FingerprintKey, PartWriter};
use crate::error::Result;

/// Which listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// What objects are.
    Objects,
    /// Whose they are.
    Ownership,
}

/// What a listing says of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Of backups that know no other.
    First = 1,
    /// With the objects and facts of [`second`].
    Second = 2,
    /// With those of [`third`] too.
    Third = 3,
}

impl Form {
    /// What captures are made in.
    pub(super) const NEWEST: Form = Form::Third;

    /// The form of a part of this format; `None` if it is no listing.
    pub(super) fn of(part_format: &str) -> Option<Form> {
        match part_format {
            format::CATALOGUE => Some(Form::First),
            format::CATALOGUE_2 => Some(Form::Second),
            format::CATALOGUE_3 => Some(Form::Third),
            _ => None,
        }
    }

    /// The format of parts in this form.
    pub(super) fn format(self) -> &'static str {
        match self {
            Form::First => format::CATALOGUE,
            Form::Second => format::CATALOGUE_2,
            Form::Third => format::CATALOGUE_3,
        }
    }

    fn holds(self, line: &Value) -> bool {
        line["form"].as_u64().unwrap_or(1) <= self as u64
    }
}

/// Whether a part of this format is a listing.
pub fn is_catalogue(part_format: &str) -> bool {
    Form::of(part_format).is_some()
}

/// The lines of a listing that one of this format would have too.
pub fn catalogue_as(mut lines: Vec<String>, part_format: &str) -> Vec<String> {
    let form = Form::of(part_format).unwrap_or(Form::NEWEST);
    lines.retain(|line| form == Form::NEWEST || form.holds(&parsed(line)));
    lines
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_default()
}

/// What in these lines only a superuser may see, by kind and name: whoever else measures the same database finds them otherwise.
pub(super) fn for_superusers(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().map(|line| (line, parsed(line)));
    let hidden = lines.filter(|(_, line)| match line["kind"].as_str() {
        Some("subscription") => true,
        Some("user mapping") => !line["options"].is_null(),
        _ => false,
    });
    let mut names: Vec<String> = hidden.map(|(line, _)| label(line)).collect();
    let mut told = BTreeSet::new();
    // Several lines may speak of one.
    names.retain(|name| told.insert(name.clone()));
    names
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
    run(target, &mut session, PINNED_PATH).await?;
    let lines = list(target, &mut session, Listing::Objects, Form::NEWEST).await?;
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
    let value = parsed(line);
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
    match (text("kind"), text("on"), text("name")) {
        // Of the database itself.
        (kind, "", "") => kind.to_owned(),
        (kind, "", place) | (kind, place, "") => format!("{kind} {place}"),
        (kind, on, name) => format!("{kind} {on}.{name}"),
    }
}

/// All lines of a listing, sorted by bytes. Bounded by the number of objects, not of rows.
pub(super) async fn list(
    target: &Target,
    session: &mut PgConnection,
    listing: Listing,
    form: Form,
) -> Result<Vec<String>> {
    let (first, second, third) = match listing {
        Listing::Objects => (queries::OBJECTS, second::OBJECTS, third::OBJECTS),
        Listing::Ownership => (queries::OWNERSHIP, second::OWNERSHIP, third::OWNERSHIP),
    };
    let major = major(target, session).await?;
    let more = [(Form::Second, second), (Form::Third, third)]
        .into_iter()
        .filter(|(of, _)| form >= *of)
        .flat_map(|(_, queries)| queries)
        .filter(|(since, _, _)| major >= *since)
        .map(|(_, what, sql)| (what, sql));
    let mut lines = Vec::new();
    for (what, sql) in first.iter().map(|(what, sql)| (what, sql)).chain(more) {
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

/// Fills in what queries share: `{mine}` for schema `n`, `{own:pg_class c}` for an object that no extension made,
/// `{members:pg_opclass o}` for what belongs to it, `{grants:S s.srvacl s.srvowner}` for the rights to an object of the kind that
/// `acldefault` calls `S`.
fn complete(sql: &str) -> String {
    let mut text = sql.replace("{mine}", &user_schema());
    while let Some(start) = text.find('{') {
        let Some(length) = text[start..].find('}') else {
            break;
        };
        let inner = text[start + 1..start + length].to_owned();
        let (what, words) = inner.split_once(':').unwrap_or((&inner, ""));
        let words: Vec<&str> = words.split(' ').collect();
        let filled = match (what, words.as_slice()) {
            ("own", [catalogue, alias]) => not_of_extension(catalogue, &format!("{alias}.oid")),
            ("members", [catalogue, alias]) => members(catalogue, alias),
            ("grants", [kind, rights, owner]) => grants(kind, rights, owner),
            _ => break,
        };
        text.replace_range(start..=start + length, &filled);
    }
    text
}

/// The operators and functions that depend on an operator class or family, as `pg_dump` tells whose they are.
fn members(catalogue: &str, alias: &str) -> String {
    format!(
        "(SELECT json_agg(m ORDER BY m COLLATE \"C\") FROM (
            SELECT concat_ws(' ', 'operator', mo.amopstrategy, mo.amopopr::regoperator, (
                SELECT format('for order by %I.%I', ms.nspname, mf.opfname) FROM pg_opfamily mf JOIN pg_namespace ms ON ms.oid = mf.opfnamespace
                WHERE mf.oid = mo.amopsortfamily)) AS m
            FROM pg_depend md JOIN pg_amop mo ON mo.oid = md.objid
            WHERE md.classid = 'pg_amop'::regclass AND md.refclassid = '{catalogue}'::regclass AND md.refobjid = {alias}.oid
            UNION ALL
            SELECT format('function %s (%s, %s) %s', mp.amprocnum, format_type(mp.amproclefttype, NULL),
                format_type(mp.amprocrighttype, NULL), mp.amproc::oid::regprocedure)
            FROM pg_depend md JOIN pg_amproc mp ON mp.oid = md.objid
            WHERE md.classid = 'pg_amproc'::regclass AND md.refclassid = '{catalogue}'::regclass AND md.refobjid = {alias}.oid) me)"
    )
}

fn grants(kind: &str, rights: &str, owner: &str) -> String {
    format!(
        "(SELECT json_agg(g ORDER BY g COLLATE \"C\") FROM (
            SELECT format('%s %s %s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END,
                a.privilege_type, a.is_grantable) AS g
            FROM aclexplode(coalesce({rights}, acldefault('{kind}', {owner}))) a) e)"
    )
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
    fn the_database_itself_is_named_without_its_name() {
        let line = |value: &str| {
            let setting =
                serde_json::json!({"kind": "database setting", "name": "app.key", "value": value});
            let limit = serde_json::json!({"kind": "database", "connection-limit": value.len()});
            [setting.to_string(), limit.to_string()]
        };
        assert_eq!(
            catalogue_differences(&line("canary-a"), &line("canary")),
            ["changed database", "changed database setting app.key"]
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

    #[test]
    fn every_query_is_filled_in_and_says_its_form() {
        for (_, sql) in queries::OBJECTS.iter().chain(queries::OWNERSHIP) {
            assert!(!complete(sql).contains("{mine}"), "{sql}");
            assert!(!sql.contains("'form'"), "{sql}");
        }
        for (form, objects, ownership) in [
            (2, second::OBJECTS, second::OWNERSHIP),
            (3, third::OBJECTS, third::OWNERSHIP),
        ] {
            for (_, what, sql) in objects.iter().chain(ownership) {
                assert!(!complete(sql).contains(['{', '}']), "{what}");
                let lines = sql.matches("json_build_object('kind'").count();
                let says = format!("'form', {form}");
                assert_eq!(sql.matches(&says).count(), lines, "{what}");
            }
        }
    }

    #[test]
    fn a_listing_is_read_in_the_form_of_an_earlier_one() {
        let lines = vec![
            r#"{"kind":"foreign server","name":"s"}"#.to_owned(),
            r#"{"kind" : "foreign server", "form" : 2, "name" : "s"}"#.to_owned(),
        ];
        let mut newest = lines.clone();
        newest.push(r#"{"kind":"database","form":3,"comment":null}"#.to_owned());
        assert_eq!(catalogue_as(newest.clone(), format::CATALOGUE_3), newest);
        assert_eq!(catalogue_as(newest.clone(), format::CATALOGUE_2), lines);
        assert_eq!(catalogue_as(newest, format::CATALOGUE), lines[..1]);
        assert!(is_catalogue(format::CATALOGUE) && !is_catalogue(format::ROLES));
    }

    #[test]
    fn what_only_superusers_see_is_told() {
        let lines = [
            r#"{"kind":"user mapping","on":"far","name":"a","options":["password"]}"#,
            r#"{"kind":"user mapping","on":"far","name":"b","options":null}"#,
            r#"{"kind":"subscription","name":"s"}"#,
            r#"{"kind":"subscription","form":3,"name":"s"}"#,
            r#"{"kind":"table","name":"public.t"}"#,
        ];
        let hidden = for_superusers(&lines.map(str::to_owned));
        assert_eq!(hidden, ["user mapping far.a", "subscription s"]);
    }
}
