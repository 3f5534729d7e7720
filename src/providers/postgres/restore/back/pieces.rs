//! Which statements of an archive make one table again: before its rows are loaded, and after.

use std::collections::BTreeSet;

use super::super::super::archive::{Entry, Section};
use super::super::super::sql::{ident, qualified};
use super::ties::Published;

/// The statements, in their order. Foreign keys are not among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    /// The table, its sequences and defaults, and whose they are.
    pub before: Vec<String>,
    /// Indexes, keys, triggers, policies, comments, rights.
    pub after: Vec<String>,
}

/// What is told by the table's name at the beginning of its own name.
const OF_TABLE: [&str; 8] = [
    "DEFAULT",
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "TRIGGER",
    "RULE",
    "POLICY",
    "ROW SECURITY",
    "SEQUENCE OWNED BY",
];

/// What is told by what it needs.
const BY_NEED: [&str; 5] = ["INDEX", "STATISTICS", "COMMENT", "ACL", "SECURITY LABEL"];

/// The statements of one table; `None` if it is not there, or part of a hierarchy.
pub(super) fn pieces(entries: &[Entry], schema: &str, table: &str) -> Option<Pieces> {
    let of_schema = |e: &&Entry| e.schema.as_deref() == Some(schema);
    let own = entries
        .iter()
        .find(|e| e.kind == "TABLE" && e.tag == table && of_schema(e))?;
    let tied = |e: &Entry| ["TABLE ATTACH", "INDEX ATTACH"].contains(&e.kind.as_str());
    if entries.iter().any(|e| tied(e) && e.needs.contains(&own.id)) {
        return None;
    }
    // A sequence that belongs to a column is made before the table, and tied to it by an entry of its own.
    let mut ours: BTreeSet<i32> = BTreeSet::from([own.id]);
    for entry in entries {
        if entry.kind == "SEQUENCE OWNED BY" && entry.needs.contains(&own.id) {
            let sequences = entries.iter().filter(|e| e.kind == "SEQUENCE");
            ours.extend(
                sequences
                    .map(|e| e.id)
                    .filter(|id| entry.needs.contains(id)),
            );
        }
    }
    let mut pieces = Pieces::default();
    for entry in entries {
        let needed = entry.needs.iter().any(|id| ours.contains(id));
        let kind = entry.kind.as_str();
        let begins = entry.tag == table
            || entry
                .tag
                .strip_prefix(table)
                .is_some_and(|rest| rest.starts_with(' '));
        let taken = match kind {
            "TABLE" => entry.id == own.id,
            "SEQUENCE" => ours.contains(&entry.id) || needed,
            "SEQUENCE OWNED BY" => needed,
            _ if OF_TABLE.contains(&kind) => needed && begins && of_schema(&entry),
            _ => needed && BY_NEED.contains(&kind),
        };
        if !taken {
            continue;
        }
        ours.insert(entry.id);
        let early = entry.section == Section::PreData
            && ["TABLE", "SEQUENCE", "SEQUENCE OWNED BY", "DEFAULT"].contains(&kind);
        let list = if early {
            &mut pieces.before
        } else {
            &mut pieces.after
        };
        list.push(entry.sql.clone());
        // As `pg_restore` does it (src/bin/pg_dump/pg_backup_archiver.c, `_printTocEntry`).
        if let (Some(owner), "TABLE" | "SEQUENCE" | "STATISTICS") =
            (entry.owner.as_deref().filter(|o| !o.is_empty()), kind)
        {
            let name = qualified(entry.schema.as_deref().unwrap_or_default(), &entry.tag);
            list.push(format!("ALTER {kind} {name} OWNER TO {}", ident(owner)));
        }
    }
    Some(pieces)
}

/// The publications that name the table.
pub(super) fn published(entries: &[Entry], schema: &str, table: &str) -> Vec<Published> {
    let ours = entries
        .iter()
        .filter(|e| e.kind == "PUBLICATION TABLE" && e.schema.as_deref() == Some(schema));
    ours.filter_map(|e| {
        let by = e.tag.strip_suffix(table)?.strip_suffix(' ')?;
        let names = |e: &&Entry| e.kind == "PUBLICATION" && e.tag == by;
        entries.iter().find(names)?;
        Some(Published {
            by: by.to_owned(),
            add: e.sql.clone(),
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i32, kind: &str, tag: &str, needs: &[i32]) -> Entry {
        let early = [
            "TABLE",
            "SEQUENCE",
            "SEQUENCE OWNED BY",
            "DEFAULT",
            "ACL",
            "VIEW",
        ];
        Entry {
            id,
            kind: kind.into(),
            schema: Some("public".into()),
            tag: tag.into(),
            owner: Some("app".into()),
            section: if early.contains(&kind) {
                Section::PreData
            } else {
                Section::PostData
            },
            sql: format!("{kind} {tag}"),
            needs: needs.to_vec(),
        }
    }

    #[test]
    fn what_is_the_table_s_own_and_nothing_else_is_taken() {
        let entries = [
            entry(1, "SEQUENCE", "orders_id_seq", &[]),
            entry(2, "TABLE", "orders", &[]),
            entry(3, "TABLE", "orders 2", &[]),
            entry(4, "SEQUENCE OWNED BY", "orders_id_seq", &[1, 2]),
            entry(5, "SEQUENCE", "orders_no_seq", &[2]),
            entry(6, "DEFAULT", "orders id", &[1, 2]),
            // Another table's default takes from the same sequence, another view and key look at the table.
            entry(7, "DEFAULT", "lines id", &[1, 20]),
            entry(8, "VIEW", "all_orders", &[2]),
            entry(9, "ACL", "TABLE orders", &[2]),
            entry(10, "CONSTRAINT", "orders orders_pkey", &[2]),
            entry(11, "COMMENT", "CONSTRAINT orders_pkey ON orders", &[10]),
            entry(12, "INDEX", "by_day", &[2]),
            entry(13, "COMMENT", "INDEX by_day", &[12]),
            entry(14, "FK CONSTRAINT", "lines lines_fkey", &[10, 20]),
            entry(15, "FK CONSTRAINT", "orders orders_fkey", &[2, 30]),
            entry(16, "POLICY", "lines own", &[2, 20]),
            entry(17, "STATISTICS", "s", &[2]),
            entry(18, "COMMENT", "VIEW all_orders", &[8]),
        ];
        let found = pieces(&entries, "public", "orders").unwrap();
        assert_eq!(
            found.before,
            [
                "SEQUENCE orders_id_seq",
                "ALTER SEQUENCE \"public\".\"orders_id_seq\" OWNER TO \"app\"",
                "TABLE orders",
                "ALTER TABLE \"public\".\"orders\" OWNER TO \"app\"",
                "SEQUENCE OWNED BY orders_id_seq",
                "SEQUENCE orders_no_seq",
                "ALTER SEQUENCE \"public\".\"orders_no_seq\" OWNER TO \"app\"",
                "DEFAULT orders id",
            ]
        );
        assert_eq!(
            found.after,
            [
                "ACL TABLE orders",
                "CONSTRAINT orders orders_pkey",
                "COMMENT CONSTRAINT orders_pkey ON orders",
                "INDEX by_day",
                "COMMENT INDEX by_day",
                "STATISTICS s",
                "ALTER STATISTICS \"public\".\"s\" OWNER TO \"app\"",
            ]
        );
        let mut tied = entries.to_vec();
        tied.push(entry(40, "TABLE ATTACH", "orders", &[2, 41]));
        assert_eq!(pieces(&tied, "public", "orders"), None);
        assert_eq!(pieces(&entries, "public", "gone"), None);
    }
}
