//! What a changeset makes, as far as it can be looked for in the catalogue: its SQL, and the tables, columns and indexes that its
//! changes name. Of everything else only the name is told.

use super::super::sources::Piece;
use super::super::statements::{Makes, Named, Statement};
use super::changelog::for_postgres;
use super::node::Node;

/// The changes of a changeset, and `modifySql`.
pub(super) fn changes(entry: &Node) -> impl Iterator<Item = &Node> {
    let wrapped = entry.children.iter().filter(|c| c.name == "changes");
    let nested = wrapped.flat_map(|c| &c.children);
    let own = entry.children.iter().filter(|c| !c.attribute);
    own.chain(nested).filter(|change| {
        !matches!(
            change.name.as_str(),
            "changes"
                | "comment"
                | "rollback"
                | "validCheckSum"
                | "validCheckSums"
                | "preConditions"
                | "preconditions"
        )
    })
}

/// The text of a change `sql`.
pub(super) fn sql_of(change: &Node) -> &str {
    let sql = change.child("sql").and_then(Node::text);
    sql.or(change.text()).unwrap_or_default()
}

/// What a changeset's changes make on Postgres, in their order; `file` reads the text of a `sqlFile`.
pub(super) fn pieces(entry: &Node, file: impl Fn(&Node) -> Option<String>) -> Vec<Piece> {
    // It may put anything in place of anything.
    let modified = changes(entry).any(|c| c.name == "modifySql");
    let here = changes(entry)
        .filter(|c| c.name != "modifySql")
        .filter(|c| for_postgres(c.text_of("dbms")));
    let mut all = Vec::new();
    for change in here {
        let delimiter = change.child("endDelimiter").and_then(Node::text);
        let text = match change.name.as_str() {
            _ if modified => None,
            "sql" => Some(sql_of(change).to_owned()),
            "sqlFile" => file(change),
            _ => None,
        };
        match text {
            Some(text) => all.push(of_sql(&text, delimiter)),
            None if modified => all.push(unknown(&change.name)),
            None => all.extend(made(change)),
        }
    }
    all
}

/// SQL, with its own end of statements made the usual one: Liquibase itself also ends them at a line `GO` or `/`.
pub(super) fn of_sql(sql: &str, delimiter: Option<&str>) -> Piece {
    let own = delimiter.map(|d| d.trim().trim_start_matches("\\n").trim_end_matches('$'));
    let own = own.filter(|d| !d.is_empty());
    let mut text = String::with_capacity(sql.len());
    for line in sql.lines() {
        let bare = line.trim();
        let cut = match own {
            Some(own) => bare.strip_suffix(own),
            None => (bare == "/" || bare.eq_ignore_ascii_case("go")).then_some(""),
        };
        text.push_str(cut.unwrap_or(line));
        if cut.is_some() {
            text.push(';');
        }
        text.push('\n');
    }
    Piece::Sql(text)
}

fn unknown(begins: &str) -> Piece {
    Piece::Change(Statement {
        begins: begins.to_owned(),
        makes: Makes::Unknown,
    })
}

/// What one of Liquibase's own changes makes.
fn made(change: &Node) -> Vec<Piece> {
    let name = change.name.as_str();
    let piece = |begins: String, makes: Option<Makes>| {
        Piece::Change(Statement {
            begins,
            makes: makes.unwrap_or(Makes::Unknown),
        })
    };
    let said = |field: &str| change.text_of(field).unwrap_or_default();
    let table = said("tableName");
    match name {
        "createTable" => {
            let makes = named(change, table).map(Makes::Table);
            vec![piece(format!("{name} {table}"), makes)]
        }
        "createIndex" => {
            let index = said("indexName");
            let makes = named(change, index).map(Makes::Index);
            let index = if index.is_empty() {
                ""
            } else {
                &format!(" {index}")
            };
            vec![piece(format!("{name}{index} on {table}"), makes)]
        }
        "addColumn" => {
            let columns = change.children.iter().filter(|c| c.name == "columns");
            let nested = columns.flat_map(|c| &c.children);
            let all = change.children.iter().chain(nested);
            let columns: Vec<Piece> = all
                .filter(|c| c.name == "column")
                .map(|column| {
                    let column = column.text_of("name").unwrap_or_default();
                    let makes = named(change, table)
                        .filter(|_| is_name(column))
                        .map(|table| Makes::Column(table, column.to_owned()));
                    piece(format!("{name} {table}.{column}"), makes)
                })
                .collect();
            match columns.is_empty() {
                true => vec![unknown(name)],
                false => columns,
            }
        }
        _ => vec![unknown(name)],
    }
}

/// A name in the change's schema. How Liquibase quotes it depends on its letters, on reserved words and on a setting, so capital
/// letters may be kept or not.
fn named(change: &Node, name: &str) -> Option<Named> {
    let schema = change.text_of("schemaName");
    let plain = is_name(name) && schema.is_none_or(is_name);
    plain.then(|| Named {
        schema: schema.map(str::to_owned),
        name: name.to_owned(),
        any_case: true,
    })
}

/// Whether it is there, and has no property whose value nobody knows here.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains("${")
}

#[cfg(test)]
mod tests {
    use super::super::node;
    use super::*;

    fn statements(changeset: &str) -> Vec<(String, Makes)> {
        let root = node::xml(changeset).unwrap();
        let pieces = pieces(&root, |_| Some("CREATE TABLE from_file (n int)".to_owned()));
        let all = pieces.iter().flat_map(Piece::statements);
        all.map(|s| (s.begins, s.makes)).collect()
    }

    fn any(schema: Option<&str>, name: &str) -> Named {
        Named {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
            any_case: true,
        }
    }

    #[test]
    fn tables_columns_and_indexes_of_changes_are_told_and_the_rest_is_not_recognised() {
        let seen = statements(
            r#"<changeSet id="1" author="me"><comment>x</comment><preConditions><sqlCheck expectedResult="0">SELECT 1</sqlCheck></preConditions>
            <createTable tableName="Orders" schemaName="shop"><column name="id" type="int"/></createTable>
            <addColumn tableName="orders"><column name="note" type="text"/><column name="by" type="text"/></addColumn>
            <createIndex tableName="orders" indexName="by_note"><column name="note"/></createIndex>
            <createIndex tableName="orders"><column name="note"/></createIndex>
            <createTable tableName="${prefix}_x"/><insert tableName="orders"/><createTable tableName="other" dbms="h2"/>
            <sql dbms="postgresql">CREATE TABLE "By" (n int); SELECT 1</sql><sqlFile path="x.sql"/><rollback><dropTable tableName="orders"/></rollback></changeSet>"#,
        );
        let column = |name: &str| Makes::Column(any(None, "orders"), name.to_owned());
        let expected = [
            (
                "createTable Orders",
                Makes::Table(any(Some("shop"), "Orders")),
            ),
            ("addColumn orders.note", column("note")),
            ("addColumn orders.by", column("by")),
            (
                "createIndex by_note on orders",
                Makes::Index(any(None, "by_note")),
            ),
            ("createIndex on orders", Makes::Unknown),
            ("createTable ${prefix}_x", Makes::Unknown),
            ("insert", Makes::Unknown),
        ];
        for (n, (begins, makes)) in expected.into_iter().enumerate() {
            assert_eq!(seen[n], (begins.to_owned(), makes), "{seen:#?}");
        }
        let begins: Vec<&str> = seen[7..].iter().map(|(b, _)| b.as_str()).collect();
        assert_eq!(
            begins,
            [
                "create table \"By\" ( n int )",
                "select 1",
                "create table from_file ( n int )"
            ]
        );
        let modified = statements(
            r#"<changeSet id="1" author="me"><createTable tableName="a"/><modifySql><append value="x"/></modifySql></changeSet>"#,
        );
        assert_eq!(modified, [("createTable".to_owned(), Makes::Unknown)]);
    }

    #[test]
    fn yaml_says_the_same_as_xml() {
        let root = node::yaml(
            "databaseChangeLog:\n- changeSet:\n    id: 1\n    author: me\n    changes:\n    - addColumn:\n        tableName: t\n        columns:\n        - column:\n            name: a\n            type: int\n    - createIndex:\n        indexName: i\n        tableName: t\n",
        )
        .unwrap();
        let made: Vec<Makes> = pieces(&root.children[0], |_| None)
            .iter()
            .flat_map(Piece::statements)
            .map(|s| s.makes)
            .collect();
        let column = Makes::Column(any(None, "t"), "a".to_owned());
        assert_eq!(made, [column, Makes::Index(any(None, "i"))]);
    }

    #[test]
    fn statements_end_where_the_changeset_says() {
        let of = |sql: &str, delimiter: Option<&str>| of_sql(sql, delimiter).statements().len();
        assert_eq!(
            of(
                "CREATE TABLE a (n int)\nGO\nCREATE TABLE b (n int)\n/\n",
                None
            ),
            2
        );
        assert_eq!(
            of(
                "CREATE TABLE a (n int) @@\nCREATE TABLE b (n int)\n@@",
                Some("@@")
            ),
            2
        );
        assert_eq!(of("CREATE TABLE a (n int)\n/\nSELECT 1", Some("\n/$")), 2);
        assert_eq!(of("SELECT 1 / 2\nSELECT 3", None), 1);
    }
}
