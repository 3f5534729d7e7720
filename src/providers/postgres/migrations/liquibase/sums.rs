//! The checksums that Liquibase writes down, of versions 8 and 9: MD5 over what its model of a change shows of itself
//! (StringChangeLogSerializer.java), and over SQL without blanks (AbstractSQLChange.java). Only changes and fields that a test
//! has seen to come out as the tool's are computed (`tests/live/migrations/liquibase/db/more/fields.yaml` has each, in sums of version 9);
//! of the others it is said why they are not.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::node::{Node, Value};

/// The sums of a change or a changeset in both versions, with the version before each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    /// Of versions before 4.22; `None` where it is not computed.
    pub v8: Option<String>,
    pub v9: String,
}

impl Sums {
    fn of_texts(v8: &[u8], v9: &[u8]) -> Sums {
        Sums {
            v8: Some(format!("8:{}", md5(v8))),
            v9: format!("9:{}", md5(v9)),
        }
    }
}

/// The sum of a changeset is one over those of its changes. One that is for other databases counts in version 8 alone.
pub(super) fn of_changeset(changes: &[(Sums, bool)]) -> Sums {
    let (mut v8, mut v9) = (Some(String::new()), String::new());
    for (sums, here) in changes {
        v8 = v8
            .zip(sums.v8.as_ref())
            .map(|(all, one)| format!("{all}{one}:"));
        if *here {
            let _ = write!(v9, "{}:", sums.v9);
        }
    }
    let all = Sums::of_texts(v8.as_deref().unwrap_or_default().as_bytes(), v9.as_bytes());
    Sums {
        v8: all.v8.filter(|_| v8.is_some()),
        ..all
    }
}

fn md5(bytes: &[u8]) -> String {
    let sum = Md5::digest(bytes);
    sum.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// How SQL is cut into statements, which version 8 has in its sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub delimiter: Option<String>,
    pub splits: bool,
    pub strips: bool,
}

/// The sum of SQL as it is sent.
pub(super) fn of_sql(sql: &str, cut: &Cut) -> Result<Sums, String> {
    plain(sql)?;
    let v9: Vec<u8> = sql.bytes().filter(|b| !is_blank(*b)).collect();
    let delimiter = cut.delimiter.as_deref().unwrap_or("null");
    let words: Vec<&str> = sql
        .split([' ', '\n', '\r', '\t'])
        .filter(|w| !w.is_empty())
        .collect();
    let v8 = format!(
        "{delimiter}:{}:{}:{}",
        cut.splits,
        cut.strips,
        words.join(" ")
    );
    Ok(Sums::of_texts(v8.as_bytes(), &v9))
}

/// Refuses what Liquibase puts something else in place of.
fn plain(text: &str) -> Result<(), String> {
    if text.contains("${") {
        return Err("properties `${…}`".to_owned());
    }
    Ok(())
}

/// A change whose sum is one over its fields: its name, its texts, those that are `true` or `false`, and whether it has columns.
type Change = (&'static str, &'static str, &'static str, bool);

const CHANGES: &[Change] = &[
    ("addColumn", "catalogName schemaName tableName", "", true),
    (
        "addForeignKeyConstraint",
        "baseColumnNames baseTableCatalogName baseTableName baseTableSchemaName constraintName onDelete onUpdate referencedColumnNames referencedTableCatalogName referencedTableName referencedTableSchemaName",
        "deferrable initiallyDeferred validate",
        false,
    ),
    (
        "addNotNullConstraint",
        "catalogName columnDataType columnName constraintName defaultNullValue schemaName tableName",
        "validate",
        false,
    ),
    (
        "addPrimaryKey",
        "catalogName columnNames constraintName schemaName tableName tablespace",
        "validate",
        false,
    ),
    (
        "addUniqueConstraint",
        "catalogName columnNames constraintName schemaName tableName tablespace",
        "deferrable disabled initiallyDeferred validate",
        false,
    ),
    (
        "createIndex",
        "catalogName indexName schemaName tableName tablespace",
        "unique",
        true,
    ),
    (
        "createSequence",
        "cacheSize catalogName dataType incrementBy maxValue minValue schemaName sequenceName startValue",
        "cycle",
        false,
    ),
    (
        "createTable",
        "catalogName remarks schemaName tableName tablespace",
        "",
        true,
    ),
    (
        "delete",
        "catalogName schemaName tableName where",
        "",
        false,
    ),
    (
        "dropColumn",
        "catalogName columnName schemaName tableName",
        "",
        false,
    ),
    (
        "dropDefaultValue",
        "catalogName columnDataType columnName schemaName tableName",
        "",
        false,
    ),
    (
        "dropForeignKeyConstraint",
        "baseTableCatalogName baseTableName baseTableSchemaName constraintName",
        "",
        false,
    ),
    (
        "dropIndex",
        "catalogName indexName schemaName tableName",
        "",
        false,
    ),
    (
        "dropNotNullConstraint",
        "catalogName columnDataType columnName constraintName schemaName tableName",
        "",
        false,
    ),
    (
        "dropPrimaryKey",
        "catalogName constraintName schemaName tableName",
        "dropIndex",
        false,
    ),
    (
        "dropSequence",
        "catalogName schemaName sequenceName",
        "",
        false,
    ),
    (
        "dropTable",
        "catalogName schemaName tableName",
        "cascadeConstraints",
        false,
    ),
    (
        "dropUniqueConstraint",
        "catalogName constraintName schemaName tableName uniqueColumns",
        "",
        false,
    ),
    (
        "dropView",
        "catalogName schemaName viewName",
        "ifExists",
        false,
    ),
    ("empty", "", "", false),
    ("insert", "catalogName schemaName tableName", "", true),
    (
        "modifyDataType",
        "catalogName columnName newDataType schemaName tableName",
        "",
        false,
    ),
    (
        "renameColumn",
        "catalogName columnDataType newColumnName oldColumnName remarks schemaName tableName",
        "",
        false,
    ),
    (
        "renameSequence",
        "catalogName newSequenceName oldSequenceName schemaName",
        "",
        false,
    ),
    (
        "renameTable",
        "catalogName newTableName oldTableName schemaName",
        "",
        false,
    ),
    (
        "renameView",
        "catalogName newViewName oldViewName schemaName",
        "",
        false,
    ),
    (
        "setColumnRemarks",
        "catalogName columnDataType columnName remarks schemaName tableName",
        "",
        false,
    ),
    (
        "setTableRemarks",
        "catalogName remarks schemaName tableName",
        "",
        false,
    ),
    ("tagDatabase", "tag", "", false),
    ("update", "catalogName schemaName tableName where", "", true),
];

/// Fields that the tool leaves out of the sum.
const LEFT_OUT: &[(&str, &str)] = &[
    ("createIndex", "associatedWith"),
    ("createTable", "ifNotExists"),
    ("createTable", "rowDependencies"),
];

const COLUMN_TEXTS: &str =
    "defaultValue defaultValueComputed incrementBy name remarks startWith type value valueComputed";
const COLUMN_FLAGS: &str = "autoIncrement computed defaultValueBoolean descending valueBoolean";
/// An index leaves out some of what its columns say.
const INDEXED_TEXTS: &str = "name";
const INDEXED_FLAGS: &str = "computed descending";
const NUMBERS: &str = "cacheSize incrementBy maxValue minValue startValue startWith";
const CONSTRAINT_TEXTS: &str =
    "foreignKeyName notNullConstraintName primaryKeyName references uniqueConstraintName";
const CONSTRAINT_FLAGS: &str =
    "deferrable deleteCascade initiallyDeferred nullable primaryKey unique";

/// The sum of a change whose fields are known; an error says what is not.
pub(super) fn of_change(change: &Node) -> Result<Sums, String> {
    let name = change.name.as_str();
    if name == "createView" {
        return of_view(change);
    }
    let known = CHANGES.iter().find(|(n, ..)| *n == name);
    let Some((_, texts, flags, columns)) = known else {
        return Err(format!("`{name}`"));
    };
    if change.text().is_some_and(|t| !t.trim().is_empty()) {
        return Err(format!("`{name}` with a text of its own"));
    }
    let mut lines = Vec::new();
    let mut all: Vec<&Node> = Vec::new();
    for field in &change.children {
        match field.name.as_str() {
            own if LEFT_OUT.contains(&(name, own)) => {}
            "column" if *columns => all.push(field),
            "columns" if *columns => all.extend(&field.children),
            own => lines.extend(
                line(field, own, texts, flags, 1).map_err(|e| format!("`{name}` with {e}"))?,
            ),
        }
    }
    if *columns {
        let mut text = "    columns=[".to_owned();
        for column in &all {
            let shown = column_text(column, name).map_err(|e| format!("`{name}` with {e}"))?;
            let _ = write!(
                text,
                "{}        {shown}",
                if text.ends_with('[') { "\n" } else { ",\n" }
            );
        }
        text.push_str(if all.is_empty() { "]" } else { "\n    ]" });
        lines.push(text);
    }
    let text = format!("{name}:{}", listed(lines, 0));
    Ok(Sums::of_texts(text.as_bytes(), text.as_bytes()))
}

/// A view's query is without blanks in the sum of version 9, and as it stands in that of version 8.
fn of_view(change: &Node) -> Result<Sums, String> {
    let texts = "catalogName remarks schemaName viewName";
    let flags = "replaceIfExists";
    let query = change
        .child("selectQuery")
        .and_then(Node::text)
        .or(change.text());
    let query = query.unwrap_or_default();
    plain(query)?;
    let mut lines = Vec::new();
    for field in change.children.iter().filter(|f| f.name != "selectQuery") {
        let of = |e| format!("`createView` with {e}");
        lines.extend(line(field, &field.name, texts, flags, 1).map_err(of)?);
    }
    let text = format!("createView:{}", listed(lines, 0));
    let query: Vec<u8> = query.bytes().filter(|b| !is_blank(*b)).collect();
    let both = format!("9:{}:9:{}", md5(text.as_bytes()), md5(&query));
    Ok(Sums {
        v8: None,
        v9: format!("9:{}", md5(both.as_bytes())),
    })
}

fn column_text(column: &Node, change: &str) -> Result<String, String> {
    if column.name != "column" {
        return Err(format!("`{}`", column.name));
    }
    let indexed = change == "createIndex";
    let (texts, flags) = if indexed {
        (INDEXED_TEXTS, INDEXED_FLAGS)
    } else {
        (COLUMN_TEXTS, COLUMN_FLAGS)
    };
    let mut lines = Vec::new();
    for field in &column.children {
        if field.name == "constraints" && !indexed {
            let mut own = Vec::new();
            for constraint in &field.children {
                own.extend(line(
                    constraint,
                    &constraint.name,
                    CONSTRAINT_TEXTS,
                    CONSTRAINT_FLAGS,
                    4,
                )?);
            }
            lines.push(format!("{}{}", " ".repeat(12), listed(own, 3)));
        } else {
            lines.extend(line(field, &field.name, texts, flags, 3)?);
        }
    }
    if column.text().is_some_and(|t| !t.trim().is_empty()) {
        return Err("a text in a column".to_owned());
    }
    Ok(listed(lines, 2))
}

/// One field; nothing for one that says nothing.
fn line(
    field: &Node,
    name: &str,
    texts: &str,
    flags: &str,
    depth: usize,
) -> Result<Option<String>, String> {
    let value = match &field.value {
        Value::None if field.children.is_empty() => return Ok(None),
        Value::Text(value) if field.children.is_empty() => value.as_str(),
        _ => return Err(format!("`{name}`")),
    };
    // The text of an element is trimmed.
    let value = if field.attribute { value } else { value.trim() };
    plain(value)?;
    let among = |names: &str| names.split(' ').any(|n| n == name);
    let word = matches!(value, "true" | "false");
    if !(among(texts) || among(flags) && word) || value.is_empty() {
        return Err(format!("`{name}`"));
    }
    // Whole numbers lose zeros and signs that they can do without.
    if among(NUMBERS) && value.parse::<i64>().ok().map(|n| n.to_string()).as_deref() != Some(value)
    {
        return Err(format!("`{name}`"));
    }
    // Others are normalised first, and ends of lines made alike.
    if !value.is_ascii() || value.trim() != value || value.contains(['\r', '\n']) {
        return Err(format!(
            "letters other than ASCII, or blanks around them, in `{name}`"
        ));
    }
    Ok(Some(format!("{}{name}=\"{value}\"", " ".repeat(4 * depth))))
}

/// Sorted lines in brackets.
fn listed(mut lines: Vec<String>, depth: usize) -> String {
    lines.sort();
    lines.dedup();
    let end = " ".repeat(4 * depth);
    if lines.is_empty() {
        return format!("[{end}]");
    }
    format!("[\n{}\n{end}]", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_held_against_the_tool() {
        let held = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/live/migrations/liquibase/db/more/fields.yaml"
        ));
        for (name, texts, flags, columns) in CHANGES {
            let begin = format!("        - {name}:");
            let (_, rest) = held.split_once(&begin).unwrap_or_else(|| panic!("{name}"));
            let change = rest.split("  - changeSet:").next().unwrap_or_default();
            let mut fields: Vec<&str> =
                [*texts, *flags].iter().flat_map(|f| f.split(' ')).collect();
            match *name {
                "createIndex" => {
                    let all = [INDEXED_TEXTS, INDEXED_FLAGS];
                    fields.extend(all.iter().flat_map(|f| f.split(' ')));
                }
                _ if *columns => {
                    let all = [
                        COLUMN_TEXTS,
                        COLUMN_FLAGS,
                        CONSTRAINT_TEXTS,
                        CONSTRAINT_FLAGS,
                    ];
                    fields.extend(all.iter().flat_map(|f| f.split(' ')));
                }
                _ => {}
            }
            for field in fields.iter().filter(|f| !f.is_empty()) {
                assert!(change.contains(&format!(" {field}: ")), "{name}: {field}");
            }
        }
    }
}
