//! A backup as if its roles had been called otherwise: owners, grants, default privileges, policies, user mappings,
//! memberships and settings come back under other names. `pg_restore` cannot do that, so the archive is given to it with the
//! roles' names exchanged where its format and the grammar of its statements have them. Texts that mention a role, such as a function's
//! body, stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::archive::{self, Rewritten};
use super::super::capture::{format, prefix};
use super::super::catalogue::{self, Form, Listing};
use super::super::session::{Access, PINNED_PATH, close, open, run};
use super::super::{BAD_PART, Target, enumerate};
use super::create::setting_key;
use super::statements::with_roles;
use super::{each_line, part_named};
use crate::capture::{PartInfo, PartReader, PartSource};
use crate::error::{Error, Result};

/// Old names and new ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RoleMap(BTreeMap<String, String>);

impl RoleMap {
    /// Of pairs. The same role cannot become two.
    pub fn new(pairs: &[(String, String)]) -> Result<RoleMap> {
        let mut map = BTreeMap::new();
        for (old, new) in pairs {
            for name in [old, new] {
                if name.is_empty() || name.eq_ignore_ascii_case("public") {
                    return Err(Error::input(format!("`{old}={new}`: `{name}` is no role")));
                }
            }
            if let Some(other) = map.insert(old.clone(), new.clone())
                && other != *new
            {
                return Err(Error::input(format!(
                    "role `{old}` cannot become both `{other}` and `{new}`"
                )));
            }
        }
        Ok(RoleMap(map))
    }

    /// Whether every name stays.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Old and new names.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(old, new)| (old.as_str(), new.as_str()))
    }

    /// What a role is called now.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }

    fn change(&self, value: &mut Value) {
        if let Value::String(name) = value {
            *name = self.of(name).to_owned();
        }
    }
}

/// `OLD=NEW` as somebody writes it.
pub fn role_pair(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err(Error::input(format!("`{text}` is not `OLD=NEW`")).hint(
            "Write the role's name in the backup, `=`, and the name of a role on the target.",
        )),
    }
}

/// The roles that the databases of these parts name, as far as the parts' descriptions say.
pub fn captured_roles(parts: &[PartInfo]) -> BTreeSet<String> {
    let schemas = parts.iter().filter(|p| p.format == format::SCHEMA);
    schemas.flat_map(named_in).collect()
}

fn named_in(part: &PartInfo) -> Vec<String> {
    let database = part.meta.get("database");
    let grants = database.and_then(|d| d["grants"].as_array());
    let grantees = grants.into_iter().flatten().map(|g| &g["grantee"]);
    let roles = part.meta.get("roles").and_then(Value::as_array);
    let all = roles.into_iter().flatten();
    let all = all.chain(database.map(|d| &d["owner"])).chain(grantees);
    let words = all
        .filter_map(Value::as_str)
        .filter(|name| !name.is_empty());
    words.map(str::to_owned).collect()
}

/// A backup whose roles have other names.
pub struct Renamed<'a> {
    source: &'a dyn PartSource,
    roles: RoleMap,
    /// What replaces a part's bytes, by name.
    bytes: BTreeMap<String, Vec<u8>>,
    /// What replaces a part's description.
    schema: PartInfo,
    /// Of the listing of owners.
    form: Form,
    /// Old names that the captured database does not have.
    pub unused: Vec<String>,
}

impl<'a> Renamed<'a> {
    /// Reads what names roles in a captured database.
    pub async fn new(
        source: &'a dyn PartSource,
        captured: &str,
        roles: RoleMap,
    ) -> Result<Renamed<'a>> {
        let name = |part: &str| format!("{}{part}", prefix(captured));
        let mut schema = part_named(source, &name("schema"))?.ok_or_else(|| {
            Error::input(format!(
                "the backup holds no Postgres database `{captured}`"
            ))
        })?;
        let mut known: BTreeSet<String> = named_in(&schema).into_iter().collect();
        describe(&mut schema, &roles);
        let mut bytes = BTreeMap::new();
        let whole = source.open(&schema.name).await?.read_all().await?;
        bytes.insert(schema.name.clone(), archive(&whole, &roles)?);
        let mut form = Form::NEWEST;
        for part in ["roles", "ownership"] {
            let Some(found) = part_named(source, &name(part))? else {
                continue;
            };
            let mut lines = Vec::new();
            let mut reader = source.open(&found.name).await?;
            each_line(reader.as_mut(), |line: Value| {
                lines.push(line);
                Ok(())
            })
            .await?;
            let of_roles = lines.iter().filter(|_| part == "roles");
            let names = of_roles.flat_map(|l| [&l["name"], &l["role"]]);
            known.extend(names.filter_map(Value::as_str).map(str::to_owned));
            refuse_two_settings(&lines, &roles)?;
            let mut text = Vec::new();
            for mut line in lines {
                rename_line(&mut line, &roles);
                text.extend(line.to_string().into_bytes());
                text.push(b'\n');
            }
            form = Form::of(&found.format).unwrap_or(form);
            bytes.insert(found.name, text);
        }
        let unused = roles.pairs().map(|(old, _)| old);
        let unused = unused.filter(|old| !known.contains(*old));
        Ok(Renamed {
            unused: unused.map(str::to_owned).collect(),
            source,
            roles,
            bytes,
            schema,
            form,
        })
    }

    /// Whose objects are, and who may use them, in a restored database, where that is not what was captured under the other
    /// names; in words. An old name that is still anywhere is a difference too.
    pub async fn differences(&self, restored: &Target, captured: &str) -> Result<Vec<String>> {
        let name = format!("{}ownership", prefix(captured));
        let mut expected = Vec::new();
        if let Some(bytes) = self.bytes.get(&name) {
            for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                let line = serde_json::from_slice(line)
                    .map_err(|e| Error::new(&BAD_PART, "a line is damaged").caused_by(e))?;
                expected.push(line);
            }
        }
        let mut session = open(restored, Access::Write).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        run(restored, &mut session, begin).await?;
        run(restored, &mut session, PINNED_PATH).await?;
        let lines = catalogue::list(restored, &mut session, Listing::Ownership, self.form).await?;
        let named = enumerate::roles(restored, &mut session).await?;
        close(session).await;
        let seen: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line))
            .collect::<Result<_, _>>()
            .map_err(|e| Error::bug("a line of the listing is no JSON").caused_by(e))?;
        let mut found = apart(&rights(&expected), &rights(&seen));
        let kept: BTreeSet<&str> = self.roles.pairs().map(|(_, new)| new).collect();
        let stale = named
            .iter()
            .filter(|n| self.roles.of(n) != **n && !kept.contains(n.as_str()));
        found.extend(stale.map(|name| format!("`{name}` is still named in the restored database")));
        Ok(found)
    }
}

#[async_trait]
impl PartSource for Renamed<'_> {
    fn parts(&self, prefix: &str) -> Vec<PartInfo> {
        let mut parts = self.source.parts(prefix);
        for part in &mut parts {
            if part.name == self.schema.name {
                *part = self.schema.clone();
            }
        }
        parts
    }

    async fn open(&self, name: &str) -> Result<Box<dyn PartReader>> {
        match self.bytes.get(name) {
            Some(bytes) => Ok(Box::new(Whole(Some(bytes.clone().into())))),
            None => self.source.open(name).await,
        }
    }
}

struct Whole(Option<bytes::Bytes>);

#[async_trait]
impl PartReader for Whole {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        Ok(self.0.take())
    }
}

/// What the schema part says beside the archive.
fn describe(schema: &mut PartInfo, roles: &RoleMap) {
    if let Some(Value::Array(names)) = schema.meta.get_mut("roles") {
        names.iter_mut().for_each(|name| roles.change(name));
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.to_string()));
    }
    if let Some(database) = schema.meta.get_mut("database") {
        roles.change(&mut database["owner"]);
        for grant in database["grants"].as_array_mut().into_iter().flatten() {
            roles.change(&mut grant["grantee"]);
        }
    }
}

fn archive(whole: &[u8], roles: &RoleMap) -> Result<Vec<u8>> {
    let mut odd = None;
    let rewritten = archive::rewrite(whole, |entry| {
        let owner = entry.owner.as_deref();
        let owner = owner.map(|name| roles.of(name).to_owned());
        let sql = with_roles(&entry.kind, &entry.sql, roles).unwrap_or_else(|| {
            odd.get_or_insert_with(|| format!("{} `{}`", entry.kind, entry.tag));
            entry.sql.clone()
        });
        Rewritten { owner, sql }
    });
    match (rewritten, odd) {
        (Some(bytes), None) => Ok(bytes),
        (Some(_), Some(what)) => Err(Error::new(
            &BAD_PART,
            format!("the roles in the statement of {what} cannot be told for certain"),
        )
        .hint("Restore without `--map-role`: make roles of the captured names first.")),
        (None, _) => Err(Error::new(
            &BAD_PART,
            "the schema's archive is of a form in which this version cannot exchange the names of roles",
        )
        .hint("Restore without `--map-role`: make roles of the captured names first.")),
    }
}

/// Two roles that become one cannot both keep what each had set.
fn refuse_two_settings(lines: &[Value], roles: &RoleMap) -> Result<()> {
    let mut set: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for line in lines.iter().filter(|l| l["line"] == "setting") {
        let (Some(role), Some(setting)) = (line["role"].as_str(), line["setting"].as_str()) else {
            continue;
        };
        let key = (roles.of(role), setting_key(setting));
        match set.insert(key, (role, setting)) {
            Some((other, before)) if other != role && before != setting => {
                return Err(Error::input(format!(
                    "roles `{other}` and `{role}` cannot both become `{}`: they have different values of `{}`",
                    key.0, key.1
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn rename_line(line: &mut Value, roles: &RoleMap) {
    // Of the part of roles.
    match line["line"].as_str() {
        Some("role") => return roles.change(&mut line["name"]),
        Some("member") => {
            roles.change(&mut line["role"]);
            return roles.change(&mut line["member"]);
        }
        Some("setting") => return roles.change(&mut line["role"]),
        _ => {}
    }
    if line["owner"].is_string() {
        roles.change(&mut line["owner"]);
    }
    for grant in line["grants"].as_array_mut().into_iter().flatten() {
        if grant.is_object() {
            roles.change(&mut grant["grantee"]);
        } else if let Some((grantee, rest)) = grant.as_str().and_then(grantee) {
            *grant = Value::String(format!("{} {rest}", roles.of(grantee)));
        }
    }
    match line["kind"].as_str() {
        Some("policy") => {
            let names = line["roles"].as_array_mut().into_iter().flatten();
            names.for_each(|name| roles.change(name));
        }
        Some("settings of role" | "user mapping") => roles.change(&mut line["name"]),
        Some("default privileges") => {
            let name = line["name"].as_str().unwrap_or_default();
            // `r in SCHEMA for ROLE`: the longest that fits, since a name may end in another one.
            let owner = roles
                .pairs()
                .filter(|(old, _)| name.ends_with(&format!(" for {old}")))
                .max_by_key(|(old, _)| old.len());
            if let Some((old, new)) = owner {
                let stays = &name[..name.len() - old.len()];
                line["name"] = Value::String(format!("{stays}{new}"));
            }
        }
        _ => {}
    }
}

/// `GRANTEE PRIVILEGE GRANTABLE`, apart behind the grantee, who may have spaces in the name.
fn grantee(grant: &str) -> Option<(&str, &str)> {
    let (rest, _) = grant.rsplit_once(' ')?;
    let (name, _) = rest.rsplit_once(' ')?;
    Some((name, &grant[name.len() + 1..]))
}

/// What is said of each object: its owner, and who may do what with it. A right that comes twice, with the right to hand it on
/// and without, is one.
fn rights(lines: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for line in lines {
        let word = |key: &str| line[key].as_str().unwrap_or_default();
        let names: Vec<String> = match line["oids"].as_array() {
            Some(oids) => oids.iter().map(|o| format!("large object {o}")).collect(),
            None => vec![format!("{} {} {}", word("kind"), word("on"), word("name"))],
        };
        let mut facts: Vec<(String, bool)> = Vec::new();
        if line["owner"].is_string() {
            facts.push((format!("owner `{}`", word("owner")), false));
        }
        for grant in line["grants"].as_array().into_iter().flatten() {
            let read = match grant.as_str() {
                Some(text) => text
                    .rsplit_once(' ')
                    .map(|(what, g)| (what.to_owned(), g == "t" || g == "true")),
                None => Some((
                    format!(
                        "{} {}",
                        grant["grantee"].as_str().unwrap_or_default(),
                        grant["privilege"].as_str().unwrap_or_default()
                    ),
                    grant["grantable"] == true,
                )),
            };
            facts.extend(read);
        }
        for (key, kind) in [
            ("roles", "for"),
            ("settings", "set"),
            ("options", "option"),
            ("revoked", "not"),
        ] {
            let values = line[key].as_array().into_iter().flatten();
            let values = values.filter_map(Value::as_str);
            facts.extend(values.map(|v| (format!("{kind} {v}"), false)));
        }
        for name in names {
            let object = all.entry(name).or_default();
            for (fact, grantable) in &facts {
                *object.entry(fact.clone()).or_default() |= grantable;
            }
        }
    }
    let said = |facts: BTreeMap<String, bool>| {
        let facts = facts.into_iter();
        facts.map(|(fact, more)| {
            if more {
                format!("{fact}, to hand on")
            } else {
                fact
            }
        })
    };
    all.into_iter()
        .map(|(name, facts)| (name, said(facts).collect()))
        .filter(|(name, facts)| !is_the_default(name, facts))
        .collect()
}

/// Whether default privileges say what holds without them, as they may when two roles become one; the server forgets such ones.
fn is_the_default(name: &str, facts: &BTreeSet<String>) -> bool {
    let all: &[usize] = match name
        .strip_prefix("default privileges  ")
        .map(|n| n.split_at(1))
    {
        // From 17 on there is one privilege more on tables.
        Some(("r", _)) => &[7, 8],
        Some(("S", _)) => &[3],
        Some(("n", _)) => &[2],
        _ => return false,
    };
    let Some((_, owner)) = name.split_once(" in  for ") else {
        return false;
    };
    let own = |fact: &String| {
        let what = fact
            .strip_prefix(owner)
            .and_then(|rest| rest.strip_prefix(' '));
        what.is_some_and(|what| !what.contains(' '))
    };
    all.contains(&facts.len()) && facts.iter().all(own)
}

fn apart(
    expected: &BTreeMap<String, BTreeSet<String>>,
    seen: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(seen.keys()).collect();
    let none = BTreeSet::new();
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (
            expected.get(name).unwrap_or(&none),
            seen.get(name).unwrap_or(&none),
        );
        let listed = |facts: Vec<&String>| {
            let words: Vec<&str> = facts.into_iter().map(String::as_str).collect();
            words.join(", ")
        };
        let (lacks, extra) = (
            listed(old.difference(new).collect()),
            listed(new.difference(old).collect()),
        );
        match (lacks.is_empty(), extra.is_empty()) {
            (true, true) => {}
            (false, true) => found.push(format!("{name} lacks: {lacks}")),
            (true, false) => found.push(format!("{name} has more: {extra}")),
            (false, false) => found.push(format!("{name} lacks: {lacks}; and has: {extra}")),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> RoleMap {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        RoleMap::new(&pairs).unwrap()
    }

    #[test]
    fn pairs_are_read_and_contradictions_refused() {
        assert_eq!(
            role_pair("a=b=c").unwrap(),
            ("a".to_owned(), "b=c".to_owned())
        );
        for bad in ["", "a", "=b", "a="] {
            assert!(role_pair(bad).is_err(), "{bad}");
        }
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert!(RoleMap::new(&[pair("a", "b"), pair("a", "c")]).is_err());
        assert!(RoleMap::new(&[pair("PUBLIC", "b")]).is_err());
        assert!(RoleMap::new(&[pair("a", "b"), pair("b", "a")]).is_ok());
    }

    #[test]
    fn rights_of_two_that_become_one_are_added_up() {
        let roles = map(&[("the app", "new"), ("ro", "new"), ("app", "x")]);
        let mut lines = vec![
            json!({"kind": "relation", "name": "public.t", "owner": "the app", "grants": ["the app SELECT f", "ro SELECT t", "PUBLIC SELECT f"]}),
            json!({"kind": "default privileges", "name": "r in a for the app", "grants": ["ro SELECT f"]}),
            json!({"kind": "policy", "on": "public.t", "name": "p", "roles": ["PUBLIC", "ro"]}),
            json!({"kind": "large objects", "owner": "app", "oids": [5, 6], "grants": [{"grantee": "ro", "privilege": "SELECT", "grantable": false}]}),
        ];
        lines.iter_mut().for_each(|line| rename_line(line, &roles));
        let found = rights(&lines);
        let of = |name: &str| found[name].iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            of("relation  public.t"),
            ["PUBLIC SELECT", "new SELECT, to hand on", "owner `new`"]
        );
        assert_eq!(of("default privileges  r in a for new"), ["new SELECT"]);
        assert_eq!(of("policy public.t p"), ["for PUBLIC", "for new"]);
        assert_eq!(of("large object 6"), ["new SELECT", "owner `x`"]);
        let mut other = found.clone();
        other
            .get_mut("policy public.t p")
            .unwrap()
            .remove("for new");
        assert_eq!(apart(&found, &other), ["policy public.t p lacks: for new"]);
        assert!(apart(&found, &found).is_empty());
    }

    #[test]
    fn two_roles_with_different_settings_do_not_become_one() {
        let line = |role: &str, setting: &str| json!({"line": "setting", "role": role, "setting": setting});
        let roles = map(&[("a", "n"), ("b", "n")]);
        let same = [line("a", "work_mem=1MB"), line("b", "work_mem=1MB")];
        assert!(refuse_two_settings(&same, &roles).is_ok());
        let two = [line("a", "work_mem=1MB"), line("b", "work_mem=2MB")];
        assert!(refuse_two_settings(&two, &roles).is_err());
        assert!(refuse_two_settings(&two, &map(&[("a", "n")])).is_ok());
    }
}
