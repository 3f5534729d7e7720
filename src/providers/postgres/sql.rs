//! Quoting of identifiers and literals for statements that cannot take parameters.

/// An identifier in double quotes (PostgreSQL documentation, section 4.1.1).
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."name"`.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// Words that mean something else where they are not quoted: every keyword of PostgreSQL 18 that is not `unreserved`
/// (documentation, appendix C; `pg_get_keywords()`).
const KEYWORDS: &str = "\
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both \
    case cast char character check coalesce collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec \
    decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign \
    freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect \
    interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg \
    json_query json_scalar json_serialize json_table json_value lateral leading least left like limit \
    localtime localtimestamp merge_action national natural nchar none normalize not notnull null nullif \
    numeric offset on only or order out outer overlaps overlay placing position precision primary real \
    references returning right row select session_user setof similar smallint some substring symmetric \
    system_user table tablesample then time timestamp to trailing treat trim true union unique user using \
    values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists \
    xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// An identifier for a person's eyes: quoted only where SQL needs it.
pub fn shown(name: &str) -> String {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if plain && !KEYWORDS.split(' ').any(|word| word == name) {
        name.to_owned()
    } else {
        ident(name)
    }
}

/// `schema.name` for a person's eyes.
pub fn shown_qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", shown(schema), shown(name))
}

/// A string literal that means the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_backslashes_escaped() {
        assert_eq!(ident("a \"b\"\n"), "\"a \"\"b\"\"\n\"");
        assert_eq!(qualified("s", "t"), "\"s\".\"t\"");
        let names = ["my_lock", "7up", "Lock", "order", "user", "json_table", ""];
        let quoted = [
            "my_lock",
            "\"7up\"",
            "\"Lock\"",
            "\"order\"",
            "\"user\"",
            "\"json_table\"",
            "\"\"",
        ];
        assert_eq!(names.map(shown), quoted);
        assert_eq!(shown_qualified("order", "lock"), "\"order\".lock");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), " E'a\\\\''b'");
    }
}
