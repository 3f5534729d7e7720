//! Every kind of object comes back: what `pg_dump` says of the copy is what it says of the database.

use std::process::Command;

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    MissingRoles, Target, capture, catalogue, catalogue_differences, tools,
};

use super::round_trip::{capture_options, restore_to};
use super::versions::same_parts;
use super::{scratch_of, sql, value};

pub const COMPLETE: &str = include_str!("complete.sql");

/// The schema in the words of another program than ours.
pub fn dumped(target: &Target, major: u32) -> String {
    let tool = tools::pg_dump(major).expect("is there");
    let mut command = Command::new(tool.path);
    command.args([
        "--schema-only",
        "--no-password",
        "--exclude-schema=summitctl",
    ]);
    let _lent = target.lend_to(&mut command).expect("lends");
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("is text");
    // Both carry a random word of each run.
    let lines = text.lines().filter(|l| !l.contains("restrict "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Of the database itself.
pub const ITSELF: &str = "ALTER DATABASE rich CONNECTION LIMIT 77; COMMENT ON DATABASE rich IS 'all of it';
    ALTER DATABASE rich SET work_mem = '5MB'; ALTER DATABASE rich SET search_path = deep, \"$user\";
    ALTER DATABASE rich SET app.secret = 'secret=1'; GRANT TEMPORARY, CREATE ON DATABASE rich TO reader_b WITH GRANT OPTION;
    REVOKE CONNECT ON DATABASE rich FROM PUBLIC; ALTER DATABASE rich OWNER TO owner_a";

/// What servers from 18 on can make.
pub const NEWER: &str = "
    CREATE TABLE deep.named (a int CONSTRAINT a_is_there NOT NULL, b int NOT NULL, c int CONSTRAINT here_alone NOT NULL NO INHERIT, d int);
    COMMENT ON CONSTRAINT a_is_there ON deep.named IS 'named';
    ALTER TABLE deep.named ADD CONSTRAINT d_is_there NOT NULL d NOT VALID;
    CREATE TABLE deep.named_heir (a int CONSTRAINT own_a NOT NULL, e int) INHERITS (deep.named);
    CREATE TABLE deep.named_parts (k int CONSTRAINT k_is_there NOT NULL, v int) PARTITION BY LIST (k);
    CREATE TABLE deep.named_part PARTITION OF deep.named_parts FOR VALUES IN (1);
    CREATE TABLE deep.named_other (v int, k int CONSTRAINT k_otherwise NOT NULL);
    ALTER TABLE deep.named_parts ATTACH PARTITION deep.named_other FOR VALUES IN (2);
    CREATE DOMAIN deep.filled AS int CONSTRAINT is_filled NOT NULL;
    COMMENT ON CONSTRAINT is_filled ON DOMAIN deep.filled IS 'filled';
    CREATE TABLE deep.by_method (k int) PARTITION BY LIST (k) USING heap_too;
    CREATE TABLE deep.by_method_1 PARTITION OF deep.by_method FOR VALUES IN (1);";

fn same_text(expected: &str, seen: &str) {
    let gone: Vec<&str> = expected
        .lines()
        .filter(|l| !seen.lines().any(|s| s == *l))
        .collect();
    let new: Vec<&str> = seen
        .lines()
        .filter(|l| !expected.lines().any(|e| e == *l))
        .collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:#?}\nnew: {new:#?}"
    );
    assert!(expected == seen, "only the order differs");
}

async fn comes_back(major: u32, locale: &str, more: &str) {
    let (folder, server) = scratch_of(major).await;
    let admin = server.target();
    sql(
        &admin,
        &format!("CREATE DATABASE rich TEMPLATE template0 {locale}"),
    )
    .await;
    let target = admin.with_database("rich");
    sql(&target, COMPLETE).await;
    sql(&target, ITSELF).await;
    sql(&target, more).await;
    sql(&target, "TRUNCATE deep.seen").await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(2))
        .await
        .expect("captures");
    let order = "the order of columns in tables that inherit from others (inherited columns come first): `deep.leaf`, `deep.middle`";
    assert!(
        captured.not_carried.iter().any(|l| l == order),
        "{:?}",
        captured.not_carried
    );
    let restored = restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    assert!(
        restored.incomparable.is_empty(),
        "{:?}",
        restored.incomparable
    );
    let copy = admin.with_database("copy");
    if more.contains("at_login") {
        let captured = parts.parts("postgres/rich/table/deep.logins").remove(0);
        let rows = captured.fingerprint.expect("has one").rows;
        // This very session is the first that is seen.
        let seen = value(&copy, "SELECT count(*)::text FROM deep.logins").await;
        assert_eq!(seen, Some((rows + 1).to_string()));
    }
    same_text(&dumped(&target, major), &dumped(&copy, major));
    let expected = catalogue(&target).await.expect("lists");
    let seen = catalogue(&copy).await.expect("lists");
    let differences = catalogue_differences(&expected, &seen);
    let other: Vec<&String> = seen
        .iter()
        .filter(|line| !expected.contains(line))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}: {other:#?}");
    same_parts(&parts, &copy, &["deep.logins"]).await;
    let seen = "SELECT string_agg(what, ', ') FROM deep.seen";
    assert_eq!(value(&copy, seen).await, None, "an event trigger fired");
    // Statistics are made anew: the planner knows every table that has rows.
    let unknown = "SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'm') AND c.reltuples < 0 AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'summitctl')";
    assert_eq!(value(&copy, unknown).await, None);
    let columns = "SELECT (count(*) > 0)::text FROM pg_stats WHERE schemaname = 'deep'";
    assert_eq!(value(&copy, columns).await.as_deref(), Some("true"));
    for question in [
        "SELECT md5(string_agg(e::text, '|' ORDER BY id)) FROM deep.edges e",
        "SELECT string_agg(f::text || g || i, '|' ORDER BY id) FROM deep.edges",
        "SELECT string_agg(tableoid::regclass || b::text, '|' ORDER BY b::text) FROM deep.base b",
        "SELECT string_agg(tableoid::regclass || p::text, '|' ORDER BY p::text) FROM deep.parts p",
        "SELECT string_agg(c::text, '|' ORDER BY c::text) FROM deep.child c",
        "SELECT s::text FROM deep.a_a",
        "SELECT string_agg(concat_ws(' ', a, b, c, late, d, z, f, very_late), '|' ORDER BY a) FROM deep.leaf",
        "SELECT (to_jsonb(d) - 'oid' - 'datname' - 'datfrozenxid' - 'datminmxid' - 'datacl')::text FROM pg_database d WHERE datname = current_database()",
    ] {
        let there = value(&target, question).await;
        assert!(there.is_some(), "{question}");
        assert_eq!(value(&copy, question).await, there, "{question}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_comes_back_on_15() {
    comes_back(
        15,
        "LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn' LOCALE 'C.UTF-8'",
        "",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_comes_back_on_17() {
    let more = "CREATE EXTENSION hstore SCHEMA deep; COMMENT ON EXTENSION hstore IS 'in our own words';
        REVOKE EXECUTE ON FUNCTION deep.akeys(deep.hstore) FROM PUBLIC; GRANT EXECUTE ON FUNCTION deep.akeys(deep.hstore) TO reader_b;
        CREATE TABLE deep.by_method (k int) PARTITION BY LIST (k) USING heap_too;";
    comes_back(17, "", more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_comes_back_on_18() {
    let more = "
        CREATE TABLE deep.newer (a int CONSTRAINT a_there NOT NULL, b int, c int GENERATED ALWAYS AS (a + b) VIRTUAL, d int,
          CONSTRAINT not_enforced CHECK (d > 5) NOT ENFORCED);
        INSERT INTO deep.newer VALUES (1, 2, DEFAULT, 3), (4, NULL, DEFAULT, NULL);
        ALTER TABLE deep.newer ADD CONSTRAINT d_there NOT NULL d NOT VALID;
        COMMENT ON CONSTRAINT a_there ON deep.newer IS 'named';
        CREATE TABLE deep.pointed_at (id int PRIMARY KEY);
        CREATE TABLE deep.pointing (id int, CONSTRAINT not_enforced FOREIGN KEY (id) REFERENCES deep.pointed_at NOT ENFORCED);
        INSERT INTO deep.pointing VALUES (9);
        CREATE TABLE deep.only_virtual (c int GENERATED ALWAYS AS (1 + 1) VIRTUAL);
        INSERT INTO deep.only_virtual DEFAULT VALUES;
        CREATE TABLE deep.stays (room int4range, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS));
        INSERT INTO deep.stays VALUES ('[1,2)', '[2020-01-01,2020-02-01)');
        CREATE TABLE deep.numbered (id int GENERATED ALWAYS AS IDENTITY, k int) PARTITION BY LIST (k);
        CREATE TABLE deep.numbered_1 PARTITION OF deep.numbered FOR VALUES IN (1);
        INSERT INTO deep.numbered (k) VALUES (1), (1);
        CREATE PUBLICATION computed FOR TABLE deep.base WITH (publish_generated_columns = stored);
        GRANT MAINTAIN ON deep.newer TO reader_b;
        CREATE TABLE deep.logins (who text);
        CREATE FUNCTION deep.see_login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO deep.logins VALUES (current_setting('application_name')); END $$;
        CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION deep.see_login()";
    comes_back(18, "", &format!("{NEWER} {more}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_in_other_encodings_come_back() {
    let (folder, server) = scratch_of(17).await;
    let admin = server.target();
    let questions =
        "SELECT md5(string_agg(convert_to(t, 'SQL_ASCII')::text, '|' ORDER BY t)) FROM texts";
    for (encoding, fill) in [
        (
            "LATIN1",
            "CREATE TABLE \"größe\" (\"é\" text DEFAULT 'ü'); COMMENT ON TABLE \"größe\" IS 'naïve';
             INSERT INTO \"größe\" VALUES ('çà'); INSERT INTO texts VALUES ('ÿ'), ('é')",
        ),
        (
            // Nobody knows what these bytes are; they are the same bytes afterwards.
            "SQL_ASCII",
            "INSERT INTO texts VALUES (convert_from('\\xfffe41', 'SQL_ASCII')), ('é')",
        ),
    ] {
        let create = format!(
            "CREATE DATABASE rich TEMPLATE template0 ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
        );
        sql(&admin, &create).await;
        let target = admin.with_database("rich");
        sql(&target, "CREATE TABLE texts (t text)").await;
        sql(&target, fill).await;
        let parts = MemoryParts::default();
        capture(&target, &parts, &capture_options(1))
            .await
            .expect("captures");
        restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
            .await
            .expect("restores");
        let copy = admin.with_database("copy");
        same_parts(&parts, &copy, &[]).await;
        let there = value(&target, questions).await;
        assert!(there.is_some(), "{encoding}");
        assert_eq!(value(&copy, questions).await, there, "{encoding}");
        assert_eq!(
            value(&copy, "SHOW server_encoding").await.as_deref(),
            Some(encoding)
        );
        sql(&admin, "DROP DATABASE rich").await;
        sql(&admin, "DROP DATABASE copy").await;
    }
}
