//! Selected tables and schemas: the rows of the others are left out, and the foreign keys that would not hold without them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::RESTORE_FAILED;
use super::super::capture::prefix;
use super::{each_line, plan};
use crate::capture::{PartInfo, PartSource};
use crate::error::{Error, NOT_FOUND, Result};
use crate::expr::nearest;

/// Which tables' rows are wanted; all, if it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Selection {
    /// Every table of these schemas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<String>,
    /// These tables, as `SCHEMA.TABLE`; a partitioned one stands for its partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
}

impl Selection {
    /// Whether nothing was selected, and so everything is wanted.
    pub fn is_empty(&self) -> bool {
        self.schemas.is_empty() && self.tables.is_empty()
    }
}

/// A selection as it falls out in one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Schema and name of the tables whose rows are loaded.
    tables: BTreeSet<(String, String)>,
    /// Tables that held rows and are left empty, as `SCHEMA.TABLE`; and large objects, if there are any.
    pub empty: Vec<String>,
    /// Foreign keys that are left out: one of their sides was not selected.
    keys: Vec<ForeignKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ForeignKey {
    /// The table's name with its schema, quoted as the server quotes.
    on: String,
    name: String,
}

struct Relation {
    partitioned: bool,
    parents: Vec<String>,
}

impl Chosen {
    /// Whether a part is loaded: it is no table's, or a selected one's. Large objects belong to no table, and stay out.
    pub fn holds(&self, part: &PartInfo) -> bool {
        match plan::name(part) {
            Some(table) => self.tables.contains(&table),
            None => !part.name.ends_with("/large-objects"),
        }
    }

    /// The foreign keys that are left out, as `TABLE: NAME`.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.keys.iter();
        keys.map(|k| format!("{}: {}", k.on, k.name)).collect()
    }

    /// What of an archive's contents is restored: all but these foreign keys and their comments.
    pub(super) fn without_keys(&self, listed: &str) -> Result<String> {
        let mut unseen: Vec<(&ForeignKey, Vec<String>, String)> = Vec::new();
        for key in &self.keys {
            let (schema, table) = unquoted(&key.on).ok_or_else(|| {
                Error::bug(format!("`{}` is no table's name with its schema", key.on))
            })?;
            let flat = |text: &str| text.replace(['\n', '\r'], " ");
            let word = format!(
                "FK CONSTRAINT {} {} {} ",
                flat(&schema),
                flat(&table),
                flat(&key.name)
            );
            // Names in a comment's entry are quoted if they must be.
            let short = key
                .on
                .strip_prefix(&quoted_like(&key.on, &schema))
                .unwrap_or(&key.on);
            let short = short.trim_start_matches('.');
            let comments = [
                key.name.clone(),
                format!("\"{}\"", key.name.replace('"', "\"\"")),
            ]
            .map(|name| flat(&format!("COMMENT {schema} CONSTRAINT {name} ON {short} ")));
            unseen.push((key, comments.to_vec(), word));
        }
        let mut kept = String::new();
        let mut found = BTreeSet::new();
        for line in listed.lines() {
            let entry = entry(line);
            let at = unseen
                .iter()
                .position(|(_, _, word)| entry.starts_with(word.as_str()));
            let comment = unseen
                .iter()
                .any(|(_, comments, _)| comments.iter().any(|c| entry.starts_with(c.as_str())));
            found.extend(at);
            if at.is_none() && !comment {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        match unseen
            .iter()
            .enumerate()
            .find(|(at, _)| !found.contains(at))
        {
            None => Ok(kept),
            Some((_, (key, _, _))) => Err(Error::new(
                &RESTORE_FAILED,
                format!(
                    "the archive does not list the foreign key `{}` of `{}`, which must be left out",
                    key.name, key.on
                ),
            )),
        }
    }
}

/// What stands in a line of a list behind its numbers: `FK CONSTRAINT public orders orders_fkey app`.
fn entry(line: &str) -> &str {
    if line.starts_with(';') {
        return "";
    }
    let rest = line.split_once("; ").map_or("", |(_, rest)| rest);
    rest.splitn(3, ' ').nth(2).unwrap_or_default()
}

/// Finds a selection in a backup. A name that it does not hold is an error with the nearest one.
pub async fn choose(source: &dyn PartSource, captured: &str, wanted: &Selection) -> Result<Chosen> {
    let mut schemas = BTreeSet::new();
    let mut relations: BTreeMap<String, Relation> = BTreeMap::new();
    let mut keys: Vec<(ForeignKey, String)> = Vec::new();
    let mut reader = source
        .open(&format!("{}catalogue", prefix(captured)))
        .await?;
    each_line(reader.as_mut(), |line: Value| {
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        match line["kind"].as_str() {
            Some("schema") => {
                schemas.insert(word("name"));
            }
            Some(kind @ ("table" | "partitioned table")) => {
                let parents = line["parents"].as_array().into_iter().flatten();
                let relation = Relation {
                    partitioned: kind == "partitioned table",
                    parents: parents
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect(),
                };
                relations.insert(word("name"), relation);
            }
            Some("constraint") if word("definition").starts_with("FOREIGN KEY") => {
                let key = ForeignKey {
                    on: word("on"),
                    name: word("name"),
                };
                keys.push((key, word("definition")));
            }
            _ => {}
        }
        Ok(())
    })
    .await?;
    let selected = select(&relations, &schemas, wanted)?;
    let raw: BTreeSet<(String, String)> = selected.iter().filter_map(|n| unquoted(n)).collect();
    let parts = source.parts(&format!("{}table/", prefix(captured)));
    let held = parts
        .iter()
        .filter(|p| p.fingerprint.is_some_and(|f| f.rows > 0));
    let empty = held
        .filter_map(plan::name)
        .filter(|table| !raw.contains(table))
        .map(|(schema, table)| format!("{schema}.{table}"));
    let mut empty: Vec<String> = empty.collect();
    let objects = source.parts(&format!("{}large-objects", prefix(captured)));
    if objects.iter().any(|p| p.bytes > 0) {
        empty.push("large objects".to_owned());
    }
    let keys = keys.into_iter().filter(|(key, definition)| {
        let other = referenced(definition).unwrap_or_default();
        !(selected.contains(&key.on) && selected.contains(other))
    });
    Ok(Chosen {
        empty,
        keys: keys.map(|(key, _)| key).collect(),
        tables: raw,
    })
}

/// The quoted names of what is selected: tables, and the partitioned ones all of whose partitions are.
fn select(
    relations: &BTreeMap<String, Relation>,
    schemas: &BTreeSet<String>,
    wanted: &Selection,
) -> Result<BTreeSet<String>> {
    let plain = |name: &str| {
        unquoted(name).map_or(name.to_owned(), |(schema, table)| {
            format!("{schema}.{table}")
        })
    };
    let mut selected = BTreeSet::new();
    for schema in &wanted.schemas {
        if !schemas.contains(schema) {
            return Err(unknown(
                "schema",
                schema,
                schemas.iter().map(String::as_str),
            ));
        }
        let of = |name: &&String| unquoted(name).is_some_and(|(s, _)| s == *schema);
        selected.extend(relations.keys().filter(of).cloned());
    }
    for table in &wanted.tables {
        let named = |name: &&String| *name == table || plain(name) == *table;
        let Some(name) = relations.keys().find(named) else {
            let names: Vec<String> = relations.keys().map(|n| plain(n)).collect();
            return Err(unknown("table", table, names.iter().map(String::as_str)));
        };
        selected.insert(name.clone());
    }
    // Downwards: a partitioned table stands for what is below it. Upwards: it is whole if all below it is selected.
    loop {
        let below = relations.iter().filter(|(_, r)| {
            r.parents.iter().any(|p| {
                selected.contains(p) && relations.get(p).is_some_and(|parent| parent.partitioned)
            })
        });
        let more: Vec<String> = below
            .map(|(name, _)| name.clone())
            .filter(|name| !selected.contains(name))
            .collect();
        if more.is_empty() {
            break;
        }
        selected.extend(more);
    }
    loop {
        let whole = relations.iter().filter(|(name, relation)| {
            let mut below = relations
                .iter()
                .filter(|(_, r)| r.parents.contains(name))
                .peekable();
            relation.partitioned
                && !selected.contains(*name)
                && below.peek().is_some()
                && below.all(|(child, _)| selected.contains(child))
        });
        let more: Vec<String> = whole.map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return Ok(selected);
        }
        selected.extend(more);
    }
}

fn unknown<'a>(what: &str, wanted: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let error = Error::new(&NOT_FOUND, format!("the backup holds no {what} `{wanted}`"));
    // The schema may have been left out.
    let ending = format!(".{wanted}");
    let likely = known.clone().find(|name| name.ends_with(&ending));
    match likely.or_else(|| nearest(wanted, known)) {
        Some(near) => error.hint(format!("Did you mean `{near}`?")),
        None => error.hint("See what it holds with `summitctl backup show BACKUP`."),
    }
}

/// The table behind `REFERENCES`, quoted as the server quotes.
pub(super) fn referenced(definition: &str) -> Option<&str> {
    let at = outside(definition, ") REFERENCES ")? + ") REFERENCES ".len();
    let rest = &definition[at..];
    Some(&rest[..outside(rest, "(")?])
}

/// Where a text begins that does not stand in quotes.
fn outside(text: &str, wanted: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, c)| {
        if !quoted && text[at..].starts_with(wanted) {
            return Some(at);
        }
        quoted ^= c == '"';
        None
    })
}

/// Schema and name of `public."Odd ""one"""`.
pub(super) fn unquoted(name: &str) -> Option<(String, String)> {
    let dot = outside(name, ".")?;
    let plain = |word: &str| match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => word.to_owned(),
    };
    Some((plain(&name[..dot]), plain(&name[dot + 1..])))
}

/// The schema as it stands at the beginning of a quoted name.
fn quoted_like(name: &str, schema: &str) -> String {
    if name.starts_with('"') {
        format!("\"{}\"", schema.replace('"', "\"\""))
    } else {
        schema.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relations() -> BTreeMap<String, Relation> {
        let of = |partitioned, parents: &[&str]| Relation {
            partitioned,
            parents: parents.iter().map(|p| (*p).to_owned()).collect(),
        };
        BTreeMap::from([
            ("public.a".to_owned(), of(false, &[])),
            ("public.\"Odd\"".to_owned(), of(false, &["public.a"])),
            ("app.events".to_owned(), of(true, &[])),
            ("app.events_1".to_owned(), of(false, &["app.events"])),
            ("app.events_2".to_owned(), of(false, &["app.events"])),
        ])
    }

    fn selected(schemas: &[&str], tables: &[&str]) -> Result<Vec<String>> {
        let known = BTreeSet::from(["public".to_owned(), "app".to_owned()]);
        let own = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect();
        let wanted = Selection {
            schemas: own(schemas),
            tables: own(tables),
        };
        Ok(select(&relations(), &known, &wanted)?.into_iter().collect())
    }

    #[test]
    fn a_partitioned_table_stands_for_its_partitions_and_heirs_for_themselves() {
        assert_eq!(selected(&[], &["public.a"]).unwrap(), ["public.a"]);
        assert_eq!(selected(&[], &["public.Odd"]).unwrap(), ["public.\"Odd\""]);
        let events = ["app.events", "app.events_1", "app.events_2"];
        assert_eq!(selected(&[], &["app.events"]).unwrap(), events);
        assert_eq!(selected(&["app"], &[]).unwrap(), events);
        assert_eq!(
            selected(&[], &["app.events_1", "app.events_2"]).unwrap(),
            events
        );
        assert_eq!(selected(&[], &["app.events_1"]).unwrap(), ["app.events_1"]);
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        for (error, near) in [
            (selected(&[], &["app.event"]), "app.events"),
            (selected(&[], &["events_2"]), "app.events_2"),
            (selected(&["pubic"], &[]), "public"),
        ] {
            let error = error.unwrap_err();
            assert_eq!(
                error.hints(),
                [format!("Did you mean `{near}`?")],
                "{error}"
            );
        }
    }

    #[test]
    fn keys_are_read_and_left_out_of_the_list() {
        let odd = "FOREIGN KEY (\"a) REFERENCES x(\", b) REFERENCES app.\"T(1)\"(id, b) ON DELETE CASCADE";
        assert_eq!(referenced(odd), Some("app.\"T(1)\""));
        let chosen = Chosen {
            tables: BTreeSet::new(),
            empty: Vec::new(),
            keys: vec![ForeignKey {
                on: "public.\"Order\"".to_owned(),
                name: "order_fk".to_owned(),
            }],
        };
        let list = ";\n; Archive created at now\n\
                    3400; 2606 16390 CONSTRAINT public Order order_pkey app\n\
                    3401; 2606 16391 FK CONSTRAINT public Order order_fk app\n\
                    3402; 2606 16392 FK CONSTRAINT public Order order_fk2 app\n\
                    3403; 0 0 COMMENT public CONSTRAINT order_fk ON \"Order\" app\n";
        let kept = chosen.without_keys(list).unwrap();
        assert!(
            kept.contains("order_pkey") && kept.contains("order_fk2"),
            "{kept}"
        );
        assert!(
            !kept.contains("order_fk app") && !kept.contains("COMMENT"),
            "{kept}"
        );
        assert!(chosen.without_keys(";\n").is_err(), "it must be seen");
    }
}
