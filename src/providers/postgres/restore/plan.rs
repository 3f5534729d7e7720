//! Which statements run when: indexes and keys of a table as soon as its rows are there, foreign keys once every table is, and
//! what is left by `pg_restore`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::archive::{Entry, Section};
use super::super::enumerate::SCHEDULER;
use crate::capture::PartInfo;

/// What is done about one table.
#[derive(Debug, Default)]
pub(super) struct TableWork {
    /// What can be done side by side once the rows are there.
    pub side_by_side: Vec<Statement>,
    /// What follows, one after the other: it locks the table.
    pub after: Vec<Statement>,
    /// Whether its statistics must wait until `pg_restore` is done.
    pub statistics_later: bool,
}

/// Something to run, and what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub makes: String,
    pub sql: String,
}

/// A foreign key: made without a look at the rows, and then proved, which others can do meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForeignKey {
    pub makes: String,
    /// As `pg_dump` wrote it.
    pub plain: String,
    pub unproved: String,
    pub proof: String,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By schema and name.
    pub tables: BTreeMap<(String, String), TableWork>,
    pub keys: Vec<ForeignKey>,
    /// What `pg_restore` runs; `None`: everything after the rows.
    pub rest: Option<Rest>,
}

/// The numbers of the entries that `pg_restore` runs, in order. Indexes of partitions are attached one after the other: sessions that
/// attach to a partitioned index and to its own parent at one moment can each miss what the other did, and leave the parent
/// invalid without an error (seen on 15, with `pg_restore --jobs`, in one of some hundred tries).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// What the attached indexes need.
    pub before: Vec<i32>,
    pub attached: Vec<i32>,
    /// All others, which may need that a partitioned index is valid.
    pub after: Vec<i32>,
    /// The states of triggers on single partitions. They need the trigger of the partitioned table, which no archive says.
    pub states: Vec<i32>,
}

impl Rest {
    fn new(wanted: &[i32], entries: &[Entry]) -> Rest {
        let known: BTreeMap<i32, &Entry> = entries.iter().map(|e| (e.id, e)).collect();
        let attaches = |id: &i32| known.get(id).is_some_and(|e| e.kind == "INDEX ATTACH");
        let is_state = |id: &i32| {
            let alters = |e: &Entry| e.sql.trim_start().starts_with("ALTER TABLE ");
            known
                .get(id)
                .is_some_and(|e| e.kind == "TRIGGER" && alters(e))
        };
        let mut needed = BTreeSet::new();
        let mut open: Vec<i32> = wanted.iter().copied().filter(attaches).collect();
        while let Some(id) = open.pop() {
            // What is needed may be no entry, or one that was left out.
            if let Some(entry) = known.get(&id) {
                open.extend(entry.needs.iter().filter(|id| needed.insert(**id)));
            }
        }
        let mut rest = Rest::default();
        for id in wanted {
            let share = match () {
                () if attaches(id) => &mut rest.attached,
                () if needed.contains(id) => &mut rest.before,
                () if is_state(id) => &mut rest.states,
                () => &mut rest.after,
            };
            share.push(*id);
        }
        rest
    }

    /// Each share that is not empty, and whether its entries can be run side by side.
    pub(super) fn shares(&self) -> impl Iterator<Item = (&[i32], bool)> {
        let all = [
            (&self.before[..], true),
            (&self.attached, false),
            (&self.after, true),
            (&self.states, false),
        ];
        all.into_iter().filter(|(share, _)| !share.is_empty())
    }
}

impl Plan {
    /// Of an archive's entries, where `loaded` are the tables that get rows.
    pub(super) fn new(entries: Option<&[Entry]>, loaded: &BTreeSet<(String, String)>) -> Plan {
        let Some(entries) = entries else {
            return Plan::default();
        };
        let mut plan = Plan::default();
        let mut rest = Vec::new();
        let mut made: BTreeSet<i32> = BTreeSet::new();
        let mut tables = BTreeMap::new();
        for entry in entries.iter().filter(|e| e.section != Section::PostData) {
            made.insert(entry.id);
            let name = (entry.schema.clone().unwrap_or_default(), entry.tag.clone());
            if entry.kind == "TABLE" && loaded.contains(&name) {
                tables.insert(entry.id, name);
            }
        }
        for entry in entries.iter().filter(|e| e.section == Section::PostData) {
            let table = entry.needs.iter().find_map(|id| tables.get(id));
            let ready = entry.needs.iter().all(|id| made.contains(id));
            match (entry.kind.as_str(), table) {
                ("INDEX", Some(table)) if ready => {
                    let work = plan.tables.entry(table.clone()).or_default();
                    work.side_by_side.push(statement(entry, &entry.sql));
                }
                ("CONSTRAINT", Some(table)) if ready => {
                    let work = plan.tables.entry(table.clone()).or_default();
                    match split_key(&entry.sql) {
                        Some((index, constraint)) => {
                            work.side_by_side.push(statement(entry, &index));
                            work.after.push(statement(entry, &constraint));
                        }
                        None => work.after.push(statement(entry, &entry.sql)),
                    }
                }
                ("FK CONSTRAINT", Some(_)) if ready => match foreign_key(entry) {
                    Some(key) => plan.keys.push(key),
                    None => {
                        rest.push(entry.id);
                        continue;
                    }
                },
                (kind, table) => {
                    if let ("STATISTICS", Some(table)) = (kind, table) {
                        let work = plan.tables.entry(table.clone()).or_default();
                        work.statistics_later = true;
                    }
                    rest.push(entry.id);
                    continue;
                }
            }
            made.insert(entry.id);
        }
        plan.rest = Some(Rest::new(&rest, entries));
        plan
    }
}

/// Takes pg_cron and what is granted on its tables from the entries; whether there was any. Only one database of a server can have it,
/// which the restored copy beside it is not, and two would run every job twice.
pub(super) fn without_scheduler(entries: &mut Vec<Entry>) -> bool {
    let before = entries.len();
    let is_its = |e: &Entry| match e.kind.as_str() {
        "EXTENSION" => e.tag == SCHEDULER,
        "COMMENT" => e.tag == format!("EXTENSION {SCHEDULER}"),
        // The schema that the extension makes, whatever its own schema is.
        "ACL" => e.schema.as_deref() == Some("cron") || e.tag == "SCHEMA cron",
        _ => false,
    };
    if entries.iter().any(|e| e.kind == "EXTENSION" && is_its(e)) {
        entries.retain(|e| !is_its(e));
    }
    entries.len() < before
}

fn statement(entry: &Entry, sql: &str) -> Statement {
    Statement {
        makes: format!("{} `{}`", entry.kind.to_lowercase(), entry.tag),
        sql: sql.to_owned(),
    }
}

/// A plain primary or unique key as its index, which can be built beside others, and the constraint that takes it over. Keys that
/// say more (deferrable, INCLUDE, a tablespace, a clustering after it) stay as they are.
fn split_key(sql: &str) -> Option<(String, String)> {
    let (table, rest) = sql
        .strip_prefix("ALTER TABLE ONLY ")?
        .split_once("\n    ADD CONSTRAINT ")?;
    let (body, end) = rest.rsplit_once(')')?;
    let (name, kind, columns) = [" PRIMARY KEY (", " UNIQUE ("].iter().find_map(|kind| {
        let (name, columns) = body.split_once(kind)?;
        Some((name, kind.trim_end_matches(" ("), columns))
    })?;
    // A name may hold anything, these words and a semicolon included; then it is quoted.
    let odd = |text: &str| text.contains(['"', ';', '(', ')', '\n']);
    // Behind a column may stand more: `during WITHOUT OVERLAPS`, from 18 on.
    let words = columns.split(", ").any(|column| column.contains(' '));
    if end.trim() != ";" || odd(table) || odd(name) || odd(columns) || words {
        return None;
    }
    Some((
        format!("CREATE UNIQUE INDEX {name} ON {table} USING btree ({columns})"),
        format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name}{kind} USING INDEX {name}"),
    ))
}

/// A foreign key of an ordinary table that was valid.
fn foreign_key(entry: &Entry) -> Option<ForeignKey> {
    let sql = entry.sql.trim_end().strip_suffix(';')?;
    let (table, rest) = sql
        .strip_prefix("ALTER TABLE ONLY ")?
        .split_once("\n    ADD CONSTRAINT ")?;
    let (name, _) = rest.split_once(" FOREIGN KEY (")?;
    let odd = |text: &str| text.contains(['"', ';', '(', ')', '\n']);
    if odd(table) || odd(name) || sql.contains(';') || sql.ends_with("NOT VALID") {
        return None;
    }
    // Nothing could be proved of it (from 18 on).
    if sql.ends_with("NOT ENFORCED") {
        return None;
    }
    Some(ForeignKey {
        makes: format!("foreign key `{}`", entry.tag),
        plain: sql.to_owned(),
        unproved: format!("{sql} NOT VALID"),
        proof: format!("ALTER TABLE ONLY {table} VALIDATE CONSTRAINT {name}"),
    })
}

/// The numbers of the entries in a list of `pg_restore`.
pub(super) fn numbers(listed: &str) -> BTreeSet<i32> {
    let lines = listed.lines();
    lines
        .filter_map(|line| line.split_once(';')?.0.parse().ok())
        .collect()
}

/// The names of the tables in these parts.
pub(super) fn names(parts: &[PartInfo]) -> BTreeSet<(String, String)> {
    parts.iter().filter_map(name).collect()
}

/// The schema and name of the table that a part holds.
pub(super) fn name(part: &PartInfo) -> Option<(String, String)> {
    let word = |key: &str| Some(part.meta.get(key)?.as_str()?.to_owned());
    Some((word("schema")?, word("table")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i32, kind: &str, tag: &str, sql: &str, needs: &[i32]) -> Entry {
        Entry {
            id,
            kind: kind.into(),
            schema: Some("public".into()),
            tag: tag.into(),
            owner: Some("app".into()),
            section: if kind == "TABLE" {
                Section::PreData
            } else {
                Section::PostData
            },
            sql: sql.into(),
            needs: needs.to_vec(),
        }
    }

    const KEY: &str =
        "ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id, day);\n";

    #[test]
    fn plain_keys_become_an_index_first() {
        let (index, constraint) = split_key(KEY).expect("is plain");
        assert_eq!(
            index,
            "CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (id, day)"
        );
        assert_eq!(
            constraint,
            "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey"
        );
        for odd in [
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k UNIQUE (a) DEFERRABLE;\n",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k UNIQUE (a) INCLUDE (b);\n",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k UNIQUE NULLS NOT DISTINCT (a);\n",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (a, p WITHOUT OVERLAPS);\n",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (a);\n\nALTER TABLE public.t CLUSTER ON k;\n",
            "ALTER TABLE ONLY public.\"t; x\"\n    ADD CONSTRAINT k UNIQUE (a);\n",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k EXCLUDE USING gist (r WITH &&);\n",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (a) WITH (fillfactor='70');\n",
        ] {
            assert_eq!(split_key(odd), None, "{odd}");
        }
    }

    #[test]
    fn every_entry_is_run_once_by_somebody() {
        let key = "ALTER TABLE ONLY public.lines\n    ADD CONSTRAINT l FOREIGN KEY (o) REFERENCES public.orders(id);\n";
        let entries = [
            entry(1, "TABLE", "orders", "", &[]),
            entry(2, "TABLE", "lines", "", &[]),
            entry(3, "TABLE", "parent", "", &[]),
            entry(4, "CONSTRAINT", "orders orders_pkey", KEY, &[1]),
            entry(5, "INDEX", "by_day", "CREATE INDEX by_day …", &[1]),
            entry(6, "INDEX", "of_parent", "CREATE INDEX …", &[3]),
            entry(7, "INDEX ATTACH", "by_day", "ALTER INDEX …", &[5, 6]),
            entry(8, "FK CONSTRAINT", "lines l", key, &[2, 4]),
            entry(9, "FK CONSTRAINT", "lines p", key, &[2, 6]),
            entry(10, "STATISTICS", "s", "CREATE STATISTICS …", &[2]),
            entry(11, "TRIGGER", "orders t", "CREATE TRIGGER …", &[1]),
            entry(12, "INDEX", "of_nothing", "CREATE INDEX …", &[3]),
            entry(13, "INDEX", "of_other", "CREATE INDEX …", &[3]),
            // What is no entry must not hide what others need.
            entry(14, "INDEX ATTACH", "of_other", "ALTER INDEX …", &[13, 99]),
            entry(15, "TRIGGER", "lines t", "\nALTER TABLE …", &[2]),
            entry(16, "TRIGGER", "parent t", "CREATE TRIGGER …", &[3]),
        ];
        let loaded = ["orders", "lines"].map(|n| ("public".to_owned(), n.to_owned()));
        let plan = Plan::new(Some(&entries), &loaded.clone().into());
        let rest = Rest {
            before: vec![6, 13],
            attached: vec![7, 14],
            after: vec![9, 10, 11, 12, 16],
            states: vec![15],
        };
        let shares: Vec<_> = rest.shares().collect();
        assert_eq!(
            shares,
            [
                (&[6, 13][..], true),
                (&[7, 14], false),
                (&[9, 10, 11, 12, 16], true),
                (&[15], false)
            ]
        );
        assert_eq!(plan.rest, Some(rest));
        assert_eq!(plan.keys.len(), 1);
        assert!(plan.keys[0].unproved.ends_with("(id) NOT VALID"));
        assert_eq!(
            plan.keys[0].proof,
            "ALTER TABLE ONLY public.lines VALIDATE CONSTRAINT l"
        );
        let orders = &plan.tables[&loaded[0]];
        assert_eq!((orders.side_by_side.len(), orders.after.len()), (2, 1));
        assert!(plan.tables[&loaded[1]].statistics_later);
        assert_eq!(Plan::new(None, &BTreeSet::new()).rest, None);
    }
}
