//! What a backup says of one table: its rows' part, the statements that make it, its lines in the catalogue, the roles and foreign
//! keys concerned.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::super::super::archive;
use super::super::super::capture::prefix;
use super::super::super::catalogue::Form;
use super::super::super::enumerate::SequenceState;
use super::super::super::{BAD_PART, Target};
use super::super::only::{referenced, unquoted};
use super::super::{SchemaMeta, each_line, part_named, plan};
use super::keys::Key;
use super::pieces::{Pieces, pieces, published};
use super::ties::{Published, Ties};
use super::{TABLE_REFUSED, TableBack};
use crate::capture::{PartInfo, PartSource};
use crate::error::{Error, NOT_FOUND, Result};

/// What a backup says of one table.
pub(super) struct Captured {
    pub part: PartInfo,
    /// Its name as the server quotes it.
    pub quoted: String,
    pub pieces: Pieces,
    pub objects: BTreeSet<String>,
    pub ownership: BTreeSet<String>,
    pub roles: BTreeSet<String>,
    pub own_keys: Vec<Key>,
    pub others_keys: Vec<Key>,
    pub published: Vec<Published>,
    pub sequences: Vec<SequenceState>,
    pub major: u32,
    /// Of both listings.
    pub form: Form,
}

impl Captured {
    pub(super) async fn read(
        source: &dyn PartSource,
        captured: &str,
        what: &TableBack,
    ) -> Result<Captured> {
        let start = prefix(captured);
        let parts = source.parts(&format!("{start}table/"));
        let wanted = (what.schema.clone(), what.table.clone());
        let part = parts
            .into_iter()
            .find(|p| plan::name(p).as_ref() == Some(&wanted));
        let part = part.ok_or_else(|| {
            Error::new(
                &NOT_FOUND,
                format!("the backup holds no table `{}.{}`", what.schema, what.table),
            )
        })?;
        let no = |why: &str| {
            Error::new(
                &TABLE_REFUSED,
                format!(
                    "`{}.{}` cannot be put back in place: {why}",
                    what.schema, what.table
                ),
            )
            .hint("Restore it beside with `--as NAME --table SCHEMA.TABLE`.")
        };
        let archive = source
            .open(&format!("{start}schema"))
            .await?
            .read_all()
            .await?;
        let entries = archive::entries(&archive)
            .ok_or_else(|| no("its statements cannot be read from the schema's archive"))?;
        let pieces = pieces(&entries, &what.schema, &what.table).ok_or_else(|| {
            no("it is partitioned, a partition, inherits, or belongs to an extension")
        })?;
        let mut known = Captured {
            part,
            quoted: String::new(),
            pieces,
            objects: BTreeSet::new(),
            ownership: BTreeSet::new(),
            roles: BTreeSet::new(),
            own_keys: Vec::new(),
            others_keys: Vec::new(),
            published: published(&entries, &what.schema, &what.table),
            sequences: Vec::new(),
            major: SchemaMeta::of(source, captured)?.database.major,
            form: form(source, &start)?,
        };
        let mut lines: Vec<Value> = Vec::new();
        let mut reader = source.open(&format!("{start}catalogue")).await?;
        each_line(reader.as_mut(), |line| {
            lines.push(line);
            Ok(())
        })
        .await?;
        let of = |line: &&Value| {
            line["kind"] == "table"
                && unquoted(line["name"].as_str().unwrap_or_default()) == Some(wanted.clone())
        };
        let table = lines
            .iter()
            .find(of)
            .ok_or_else(|| no("the backup's catalogue does not have it"))?;
        if !table["parents"].is_null() {
            return Err(no("it is a partition, or inherits from others"));
        }
        known.quoted = table["name"].as_str().unwrap_or_default().to_owned();
        if lines.iter().any(|l| {
            l["parents"]
                .as_array()
                .is_some_and(|p| p.iter().any(|n| *n == known.quoted.as_str()))
        }) {
            return Err(no("others inherit from it"));
        }
        for line in &lines {
            known.note_key(line);
        }
        known.objects = about(lines.iter(), &known.quoted);
        let owned = owned_sequences(&known.objects);
        let mut reader = source.open(&format!("{start}ownership")).await?;
        let mut ownership: Vec<Value> = Vec::new();
        each_line(reader.as_mut(), |line| {
            ownership.push(line);
            Ok(())
        })
        .await?;
        known.ownership = rights_about(ownership.iter(), &known.quoted, &owned);
        known.roles = known
            .ownership
            .iter()
            .flat_map(|line| roles_in(line))
            .collect();
        let mut reader = source.open(&format!("{start}sequences")).await?;
        each_line(reader.as_mut(), |state: SequenceState| {
            let own =
                |name: &String| unquoted(name) == Some((state.schema.clone(), state.name.clone()));
            if owned.iter().any(own) {
                known.sequences.push(state);
            }
            Ok(())
        })
        .await?;
        Ok(known)
    }

    fn note_key(&mut self, line: &Value) {
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let definition = word("definition");
        if line["kind"] != "constraint" || !definition.starts_with("FOREIGN KEY") {
            return;
        }
        let to_us = referenced(&definition) == Some(self.quoted.as_str());
        let key = Key {
            on: word("on"),
            name: word("name"),
            comment: line["comment"].as_str().map(str::to_owned),
            definition,
        };
        if key.on == self.quoted {
            self.own_keys.push(key);
        } else if to_us {
            self.others_keys.push(key);
        }
    }

    /// What will tie the table: its own foreign keys, and those of others and publications as they were captured or are there now.
    pub(super) async fn ties(
        &self,
        live: &Target,
        session: &mut PgConnection,
        now: Option<&Ties>,
    ) -> Result<(Ties, Vec<String>)> {
        let captured = Ties {
            others: self.others_keys.clone(),
            own: Vec::new(),
            published: self.published.clone(),
        };
        let mut ties = now.cloned().unwrap_or_default().and(captured);
        ties.own.clone_from(&self.own_keys);
        ties.that_fit(live, session, &self.quoted).await
    }
}

/// The form of the backup's listings.
fn form(source: &dyn PartSource, start: &str) -> Result<Form> {
    let part = part_named(source, &format!("{start}catalogue"))?;
    let form = part.and_then(|part| Form::of(&part.format));
    form.ok_or_else(|| Error::new(&BAD_PART, "the backup's catalogue has an unknown format"))
}

/// The lines of a catalogue about one table: the table, what is on it, and its sequences.
pub(super) fn about<'l>(lines: impl Iterator<Item = &'l Value>, quoted: &str) -> BTreeSet<String> {
    let column = format!("{quoted}.");
    let ours = lines.filter(|line| {
        let word = |key: &str| line[key].as_str().unwrap_or_default();
        match word("kind") {
            "table" => word("name") == quoted,
            "published table" | "published schema" => false,
            "security label" => word("relation") == quoted,
            "sequence" => word("owned-by").starts_with(&column),
            _ => word("on") == quoted,
        }
    });
    ours.map(Value::to_string).collect()
}

pub(super) fn owned_sequences(objects: &BTreeSet<String>) -> Vec<String> {
    let lines = objects
        .iter()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok());
    lines
        .filter(|line| line["kind"] == "sequence")
        .filter_map(|line| Some(line["name"].as_str()?.to_owned()))
        .collect()
}

pub(super) fn rights_about<'l>(
    lines: impl Iterator<Item = &'l Value>,
    quoted: &str,
    sequences: &[String],
) -> BTreeSet<String> {
    let ours = lines.filter(|line| {
        let word = |key: &str| line[key].as_str().unwrap_or_default();
        match word("kind") {
            "relation" => word("name") == quoted || sequences.iter().any(|s| s == word("name")),
            "column" | "policy" => word("on") == quoted,
            _ => false,
        }
    });
    ours.map(Value::to_string).collect()
}

/// The roles in a line of ownership.
fn roles_in(line: &str) -> Vec<String> {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let mut roles: Vec<String> = line["owner"]
        .as_str()
        .map(str::to_owned)
        .into_iter()
        .collect();
    for grant in line["grants"].as_array().into_iter().flatten() {
        // `GRANTEE PRIVILEGE GRANTABLE`
        let name = grant.as_str().and_then(|g| g.rsplitn(3, ' ').nth(2));
        roles.extend(name.map(str::to_owned));
    }
    let names = line["roles"].as_array().into_iter().flatten();
    roles.extend(names.filter_map(Value::as_str).map(str::to_owned));
    roles.retain(|name| name != "PUBLIC");
    roles
}
