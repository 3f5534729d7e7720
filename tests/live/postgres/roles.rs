//! Roles, what they have set in a database, and whose its large objects are.

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    MissingRoles, Target, capture, create_database, decode, incomparable, restore,
};

use super::round_trip::{capture_options, restore_options, restore_to};
use super::versions::same_parts;
use super::{database, scratch_of, sql, value};

const ROLES: &str = r#"
CREATE ROLE "the group" NOLOGIN NOINHERIT CREATEDB;
CREATE ROLE app LOGIN PASSWORD 'canary-Role-9' CONNECTION LIMIT 3 VALID UNTIL '2030-01-01' BYPASSRLS;
CREATE ROLE elsewhere LOGIN PASSWORD 'canary-Role-9';
GRANT "the group" TO app WITH ADMIN OPTION;
GRANT pg_read_all_data TO "the group";
ALTER ROLE app SET statement_timeout = '5min';
COMMENT ON ROLE app IS 'the application''s';
CREATE ROLE visitor NOLOGIN;
ALTER ROLE visitor IN DATABASE rich SET work_mem = '7MB';
ALTER ROLE app IN DATABASE rich SET search_path = a, "b c";
ALTER ROLE app IN DATABASE rich SET "app.key" = 'canary-Setting-9';
ALTER ROLE app IN DATABASE postgres SET work_mem = '8MB';
CREATE TABLE t (n int);
ALTER TABLE t OWNER TO app;
SELECT lo_from_bytea(4000000000, 'first'), lo_from_bytea(5, 'second'), lo_from_bytea(6, 'third');
ALTER LARGE OBJECT 5 OWNER TO app;
ALTER LARGE OBJECT 4000000000 OWNER TO app;
GRANT ALL ON LARGE OBJECT 4000000000 TO "the group" WITH GRANT OPTION;
REVOKE UPDATE ON LARGE OBJECT 4000000000 FROM app;
GRANT SELECT ON LARGE OBJECT 6 TO PUBLIC;
COMMENT ON LARGE OBJECT 5 IS 'fifth';
SELECT lo_create(7);
REVOKE ALL ON LARGE OBJECT 7 FROM CURRENT_USER;
"#;

const QUESTIONS: [&str; 5] = [
    "SELECT string_agg(concat_ws(' ', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil,
       rolconfig, shobj_description(oid, 'pg_authid')), '|' ORDER BY rolname) FROM pg_roles WHERE rolname IN ('the group', 'app', 'visitor')",
    "SELECT string_agg(concat_ws(' ', roleid::regrole, member::regrole, admin_option), '|' ORDER BY roleid::regrole::text, member::regrole::text)
       FROM pg_auth_members WHERE member::regrole::text IN ('\"the group\"', 'app')",
    "SELECT string_agg(concat_ws(' ', setrole::regrole, setconfig), '|' ORDER BY setrole::regrole::text) FROM pg_db_role_setting
       WHERE setrole <> 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
    "SELECT string_agg(concat_ws(' ', oid, lomowner::regrole, (SELECT array_agg(a ORDER BY a::text) FROM unnest(lomacl) a)), '|' ORDER BY oid) FROM pg_largeobject_metadata WHERE oid <> 5",
    "SELECT concat_ws(' ', lomowner::regrole, obj_description(oid, 'pg_largeobject'), lo_get(oid)) FROM pg_largeobject_metadata WHERE oid = 5",
];

async fn answers(target: &Target) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for question in QUESTIONS {
        all.push(value(target, question).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_settings_and_owners_of_large_objects_come_back_or_are_said_to_be_missing() {
    let (_source_folder, source) = scratch_of(16).await;
    let target = database(&source, ROLES).await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    assert_eq!(
        captured.not_carried,
        ["passwords of roles: `app`, `postgres`"]
    );
    let part = parts.parts("postgres/rich/roles").remove(0);
    assert_eq!(part.format, "pg-roles-jsonl");
    let mut reader = parts.open(&part.name).await.expect("opens");
    let mut text = Vec::new();
    while let Some(chunk) = reader.next().await.expect("reads") {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text).expect("is text");
    assert!(
        !text.contains("canary-Role-9") && !text.contains("SCRAM"),
        "{text}"
    );
    assert!(!text.contains("elsewhere"), "{text}");
    let mut reader = parts.open(&part.name).await.expect("opens");
    let options = capture_options(1);
    let decoded = decode(&part, reader.as_mut(), &options.key)
        .await
        .expect("decodes");
    assert_eq!(decoded, None);

    // A scratch server, where roles are made.
    let (folder, other) = scratch_of(16).await;
    let restored = restore_to(&other, &folder, "copy", &parts, MissingRoles::Create)
        .await
        .expect("restores");
    assert!(
        restored.incomparable.is_empty(),
        "{:?}",
        restored.incomparable
    );
    let made = "made the missing roles `app`, `the group`, `visitor` without login or password";
    assert!(
        restored.notes.iter().any(|n| n.contains(made)),
        "{:?}",
        restored.notes
    );
    let copy = other.target().with_database("copy");
    same_parts(&parts, &copy, &[]).await;
    assert_eq!(answers(&copy).await, answers(&target).await);
    let login = "SELECT bool_or(rolcanlogin)::text FROM pg_roles WHERE rolname IN ('the group', 'app', 'visitor')";
    assert_eq!(value(&copy, login).await.as_deref(), Some("false"));

    // A server without one of them, where none is made.
    sql(&other.target(), "DROP DATABASE copy").await;
    sql(&other.target(), "DROP ROLE visitor").await;
    let ownership = "postgres/rich/ownership";
    let foreseen = incomparable(&other.target(), &parts, "rich")
        .await
        .expect("looks");
    assert!(foreseen[ownership].contains("`visitor`"), "{foreseen:?}");
    let restored = restore_to(&other, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    assert!(restored.incomparable.contains_key(ownership));
    let said = "settings in the database were left out: the server lacks these roles, or `postgres` may not set them: `visitor`";
    assert!(
        restored.notes.iter().any(|n| n == said),
        "{:?}",
        restored.notes
    );
    same_parts(&parts, &copy, &["/ownership"]).await;
    let kept = "SELECT setconfig::text FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = 'copy' AND setrole = 'app'::regrole";
    assert_eq!(
        value(&copy, kept).await.as_deref(),
        Some(r#"{"search_path=a, \"b c\"",app.key=canary-Setting-9}"#)
    );

    // And where the owner is missing too.
    sql(&other.target(), "DROP DATABASE copy").await;
    sql(&other.target(), "DROP ROLE app").await;
    let restored = restore_to(&other, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let said = "large objects belong to the role that restored them";
    assert!(
        restored.notes.iter().any(|n| n == said),
        "{:?}",
        restored.notes
    );
    assert!(!format!("{restored:?}").contains("canary"));
    same_parts(&parts, &copy, &["/ownership"]).await;
}

/// Every combination of what a membership may do, and one that two roles granted.
const MEMBERSHIPS: &str = r#"
CREATE ROLE app; CREATE ROLE boss; CREATE ROLE given_twice;
CREATE TABLE t (n int); ALTER TABLE t OWNER TO app;
DO $$ DECLARE a bool; i bool; s bool; BEGIN
  FOREACH a IN ARRAY '{f,t}'::bool[] LOOP FOREACH i IN ARRAY '{f,t}'::bool[] LOOP FOREACH s IN ARRAY '{f,t}'::bool[] LOOP
    EXECUTE format('CREATE ROLE %I', concat('group ', a, i, s));
    EXECUTE format('GRANT %I TO app WITH ADMIN %s, INHERIT %s, SET %s', concat('group ', a, i, s), a::text, i::text, s::text);
  END LOOP; END LOOP; END LOOP; END $$;
GRANT given_twice TO boss WITH ADMIN TRUE;
GRANT given_twice TO app WITH INHERIT TRUE, SET FALSE;
GRANT given_twice TO app WITH INHERIT FALSE, SET TRUE GRANTED BY boss;
GRANT pg_monitor TO app WITH INHERIT FALSE, SET TRUE;
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_memberships_allow_comes_back_on_17_and_18() {
    for major in [17, 18] {
        memberships(major).await;
    }
}

async fn memberships(major: u32) {
    let (_source_folder, source) = scratch_of(major).await;
    let target = database(&source, MEMBERSHIPS).await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    let (folder, other) = scratch_of(major).await;
    restore_to(&other, &folder, "copy", &parts, MissingRoles::Create)
        .await
        .expect("restores");
    // What it comes to, whoever granted it.
    let question = "SELECT string_agg(line, '|' ORDER BY line COLLATE \"C\") FROM (
         SELECT concat_ws(' ', roleid::regrole, bool_or(admin_option), bool_or(inherit_option), bool_or(set_option)) AS line
         FROM pg_auth_members WHERE member = 'app'::regrole GROUP BY roleid) l";
    let there = value(&target, question).await.expect("has some");
    assert_eq!(there.split('|').count(), 10, "{there}");
    let copy = other.target().with_database("copy");
    assert_eq!(value(&copy, question).await, Some(there), "{major}");
    same_parts(&parts, &copy, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_few_rights_restores_all_but_others_settings_and_foresees_it() {
    let (folder, server) = scratch_of(16).await;
    let admin = server.target();
    sql(
        &admin,
        "CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD 'canary-Maker-8'",
    )
    .await;
    sql(&admin, "CREATE ROLE other NOLOGIN").await;
    sql(&admin, "CREATE DATABASE rich OWNER maker").await;
    let mut maker = admin.with_database("rich");
    maker.user = "maker".into();
    maker.password = Some(summitctl::secret::Secret::new("canary-Maker-8"));
    sql(&maker, "CREATE TABLE t (n int); INSERT INTO t VALUES (1); ALTER ROLE maker IN DATABASE rich SET work_mem = '9MB'").await;
    let parts = MemoryParts::default();
    capture(&maker, &parts, &capture_options(1))
        .await
        .expect("captures");
    assert!(
        incomparable(&maker, &parts, "rich")
            .await
            .expect("looks")
            .is_empty()
    );
    sql(
        &admin,
        "ALTER ROLE other IN DATABASE rich SET work_mem = '9MB';
         ALTER ROLE maker IN DATABASE rich SET log_statement = 'none'",
    )
    .await;
    let parts = MemoryParts::default();
    capture(&maker, &parts, &capture_options(1))
        .await
        .expect("captures");
    let foreseen = incomparable(&maker, &parts, "rich").await.expect("looks");
    let why = &foreseen["postgres/rich/ownership"];
    assert!(
        why.ends_with("`maker` may not set them: `maker`, `other`"),
        "{why}"
    );

    let roles = MissingRoles::LeaveOut;
    create_database(&maker, "copy", &parts, "rich", roles)
        .await
        .expect("creates");
    let copy = maker.with_database("copy");
    let restored = restore(&copy, &parts, "rich", &restore_options(&folder, roles))
        .await
        .expect("restores the rest");
    assert!(restored.notes.contains(why), "{:?}", restored.notes);
    same_parts(&parts, &copy, &["/ownership"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_commented_large_objects_than_the_server_has_locks_come_back() {
    let (folder, server) = scratch_of(15).await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    for batch in 1..7 {
        let make = format!(
            "DO $$ BEGIN FOR n IN {batch}001..{batch}999 LOOP
               PERFORM lo_create(n); EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', n, 'is ' || n);
             END LOOP; END $$"
        );
        sql(&target, &make).await;
    }
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    same_parts(&parts, &admin.with_database("copy"), &[]).await;
}
