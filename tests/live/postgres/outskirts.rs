//! What hangs on a database from outside: subscriptions, extensions' own tables, rows that a role does not see, and what no
//! logical backup carries.

use std::os::unix::fs::MetadataExt as _;

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    MissingRoles, Target, capture, create_database, drop_database, incomparable, made_name,
    plant_marker, read_marker, restore, swap_in,
};
use summitctl::sandbox::servers::postgres::{Options, start, stop};
use summitctl::secret::Secret;
use summitctl::time::Instant;

use super::round_trip::{capture_options, restore_options, restore_to};
use super::versions::same_parts;
use super::{Folder, database, scratch_of, sql, value};

const SUBSCRIPTIONS: &str = "
CREATE TABLE t (n int PRIMARY KEY);
CREATE TABLE \"SUBSCRIPTION - x\" (n int);
COMMENT ON TABLE t IS 'SUBSCRIPTION';
CREATE SUBSCRIPTION \"odd sub\" CONNECTION 'host=127.0.0.1 port=1 dbname=x password=canary-Sub-4' PUBLICATION p, \"Q q\"
  WITH (connect = false, slot_name = 'taken', binary = true, synchronous_commit = 'local');
COMMENT ON SUBSCRIPTION \"odd sub\" IS 'of another';
CREATE SUBSCRIPTION plain CONNECTION 'host=127.0.0.1 port=1 password=canary-Sub-4' PUBLICATION p WITH (connect = false);
ALTER SUBSCRIPTION plain ENABLE;
CREATE TABLE seen (what text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (TG_EVENT || ' ' || TG_TAG); END $$;
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no tables are made here'; END $$;
CREATE EVENT TRIGGER log ON ddl_command_end EXECUTE FUNCTION see();
CREATE EVENT TRIGGER guard ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA', 'CREATE TABLE') EXECUTE FUNCTION refuse();
COMMENT ON EVENT TRIGGER guard IS 'of us';
";

fn as_user(target: &Target, user: &str, password: &str) -> Target {
    let mut other = target.clone();
    other.user = user.into();
    other.password = Some(Secret::new(password));
    other
}

async fn subscriptions_come_back(major: u32) {
    let (folder, server) = scratch_of(major).await;
    let admin = server.target();
    let target = database(&server, SUBSCRIPTIONS).await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    assert!(!format!("{captured:?}").contains("canary-Sub-4"));
    assert!(
        !captured
            .not_carried
            .iter()
            .any(|l| l.contains("subscription"))
    );

    let now = Instant::now();
    let (aside, retired) = (
        made_name("rich", "restore", now),
        made_name("rich", "retired", now),
    );
    let restored = restore_to(&server, &folder, &aside, &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let said = "subscription `odd sub` came back disabled and without its replication slot, which was `taken`";
    assert!(
        restored.notes.iter().any(|n| n == said),
        "{:?}",
        restored.notes
    );
    assert!(!format!("{restored:?}").contains("canary-Sub-4"));
    let copy = admin.with_database(&aside);
    same_parts(&parts, &copy, &[]).await;
    let what = "SELECT string_agg(concat_ws(' ', subname, subconninfo, subpublications, subbinary, subsynccommit, subowner::regrole,
         obj_description(oid, 'pg_subscription')), '|' ORDER BY subname) FROM pg_subscription
         WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(value(&copy, what).await, value(&target, what).await);
    let how = "SELECT string_agg(concat_ws(' ', subenabled, coalesce(subslotname, '-')), '|' ORDER BY subname) FROM pg_subscription
         WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(value(&copy, how).await.as_deref(), Some("f -|f -"));
    assert_eq!(
        value(&target, how).await.as_deref(),
        Some("f taken|t plain")
    );

    swap_in(&target, "rich", &aside, &retired)
        .await
        .expect("swaps");
    assert_eq!(value(&target, how).await.as_deref(), Some("f -|f -"));
    // Its event triggers neither saw what was made after the rows, nor do they see or refuse the marker.
    assert!(
        plant_marker(&admin.with_database(&retired), "m")
            .await
            .is_err()
    );
    plant_marker(&target, "m").await.expect("plants");
    assert_eq!(read_marker(&target).await.unwrap().as_deref(), Some("m"));
    same_parts(&parts, &target, &[]).await;
    sql(&target, "DROP EVENT TRIGGER guard; DROP EVENT TRIGGER log").await;
    drop_database(&admin, &retired).await.expect("drops");
    let gone = format!("SELECT count(*)::text FROM pg_database WHERE datname = '{retired}'");
    assert_eq!(value(&admin, &gone).await.as_deref(), Some("0"));

    // A role that may neither read nor make them.
    sql(
        &target,
        "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'canary-Maker-2' IN ROLE pg_read_all_data;
         CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
         CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'canary-Mapping-6');
         CREATE USER MAPPING FOR maker SERVER far",
    )
    .await;
    let maker = as_user(&target, "maker", "canary-Maker-2");
    let lesser = capture(&maker, &MemoryParts::default(), &capture_options(1))
        .await
        .expect("captures");
    let said = "subscriptions, which only a superuser may read: `odd sub`, `plain`".to_owned();
    assert!(
        lesser.not_carried.contains(&said),
        "{:?}",
        lesser.not_carried
    );
    let said =
        "options of user mappings, which this role may not see: `maker on far`, `public on far`";
    assert!(
        lesser.not_carried.iter().any(|l| l == said),
        "{:?}",
        lesser.not_carried
    );
    // Whoever sees less than the captor cannot compare it, and that is known beforehand.
    let whole = MemoryParts::default();
    capture(&target, &whole, &capture_options(1))
        .await
        .expect("captures");
    let foreseen = incomparable(&maker, &whole, "rich").await.expect("looks");
    assert!(
        foreseen.contains_key("postgres/rich/ownership"),
        "{foreseen:?}"
    );
    let why = &foreseen["postgres/rich/catalogue"];
    assert!(why.contains("`maker` may not see all of it"), "{why}");
    assert!(why.contains("`subscription odd sub`"), "{why}");
    let foreseen = incomparable(&target, &whole, "rich").await.expect("looks");
    assert!(foreseen.is_empty(), "{foreseen:?}");

    let roles = MissingRoles::LeaveOut;
    create_database(&maker, "made", &parts, "rich", roles)
        .await
        .expect("creates");
    let made = maker.with_database("made");
    let restored = restore(&made, &parts, "rich", &restore_options(&folder, roles))
        .await
        .expect("restores the rest");
    for said in [
        "subscriptions were left out: `odd sub`, `plain`",
        "event triggers were left out, which `maker` may not make: `guard`, `log`",
    ] {
        let left = restored.notes.iter().any(|n| n.starts_with(said));
        assert!(left, "{said}: {:?}", restored.notes);
    }
    assert!(!format!("{restored:?}").contains("canary-Sub-4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_come_back_disconnected_on_15() {
    subscriptions_come_back(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_come_back_disconnected_on_18() {
    subscriptions_come_back(18).await;
}

const EXTENSION: &str = "
CREATE TABLE settings (name text PRIMARY KEY, value text, own boolean DEFAULT true, size int GENERATED ALWAYS AS (length(name)) STORED);
INSERT INTO settings VALUES ('built in', '1', false);
SELECT pg_catalog.pg_extension_config_dump('settings', 'WHERE own');
CREATE TABLE items (id serial PRIMARY KEY, setting text REFERENCES settings (name));
SELECT pg_catalog.pg_extension_config_dump('items', '');
SELECT pg_catalog.pg_extension_config_dump('items_id_seq', '');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.setting := 'built in'; RETURN NEW; END $$;
CREATE TRIGGER changes BEFORE INSERT ON items FOR EACH ROW WHEN (NEW.id > 100) EXECUTE FUNCTION refuse();
CREATE TABLE internal (n int);
INSERT INTO internal VALUES (1);
";

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_users_in_extensions_tables_come_back_beside_the_extensions_own() {
    let (folder, server) = scratch_of(18).await;
    let admin = server.target();
    let files = folder.path().join("share/extension");
    std::fs::create_dir_all(&files).expect("a folder");
    let control = "default_version = '1'\nrelocatable = true\n";
    std::fs::write(files.join("keeper.control"), control).expect("writes");
    std::fs::write(files.join("keeper--1.sql"), EXTENSION).expect("writes");
    let path = format!(
        "ALTER ROLE postgres SET extension_control_path = '{}:$system'",
        folder.path().join("share").display()
    );
    sql(&admin, &path).await;
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    sql(&target, "CREATE EXTENSION keeper; INSERT INTO settings VALUES ('mine', 'x'), ('', NULL);
        INSERT INTO items (setting) SELECT 'mine' FROM generate_series(1, 50); INSERT INTO items VALUES (99, 'built in');
        ALTER TABLE items DISABLE TRIGGER changes; INSERT INTO items VALUES (101, 'mine');
        ALTER TABLE items ENABLE TRIGGER changes; INSERT INTO internal VALUES (2)").await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(3))
        .await
        .expect("captures");
    assert!(!captured.not_carried.iter().any(|l| l.contains("extension")));
    let tables = parts.parts("postgres/rich/table/");
    let tables: Vec<(&str, u64)> = tables
        .iter()
        .map(|p| (p.name.as_str(), p.fingerprint.expect("has one").rows))
        .collect();
    assert_eq!(
        tables,
        [
            ("postgres/rich/table/public.items", 52),
            ("postgres/rich/table/public.settings", 2)
        ]
    );
    let part = parts.parts("postgres/rich/table/public.settings").remove(0);
    assert_eq!(part.meta["condition"], "WHERE own");
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = admin.with_database("copy");
    same_parts(&parts, &copy, &[]).await;
    for question in [
        "SELECT string_agg(s::text, '|' ORDER BY name) FROM settings s",
        "SELECT string_agg(i::text, '|' ORDER BY id) FROM items i",
        "SELECT nextval('items_id_seq')::text",
    ] {
        assert_eq!(
            value(&copy, question).await,
            value(&target, question).await,
            "{question}"
        );
    }
    let own = "SELECT string_agg(n::text, ',') FROM internal";
    assert_eq!(
        value(&copy, own).await.as_deref(),
        Some("1"),
        "as the extension made it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_under_forced_row_security_is_refused_with_the_tables_name() {
    let (_folder, server) = scratch_of(15).await;
    let admin = server.target();
    sql(
        &admin,
        "CREATE ROLE owner_f LOGIN PASSWORD 'canary-Force-3'",
    )
    .await;
    sql(&admin, "CREATE DATABASE rich OWNER owner_f").await;
    let target = as_user(&admin.with_database("rich"), "owner_f", "canary-Force-3");
    sql(
        &target,
        "CREATE TABLE forced (n int); INSERT INTO forced VALUES (1), (2);
        ALTER TABLE forced ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON forced USING (n = 1)",
    )
    .await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("an owner sees every row");
    let part = parts.parts("postgres/rich/table/public.forced").remove(0);
    assert_eq!(part.fingerprint.expect("has one").rows, 2);
    sql(&target, "ALTER TABLE forced FORCE ROW LEVEL SECURITY").await;
    let error = capture(&target, &MemoryParts::default(), &capture_options(1))
        .await
        .expect_err("sees one of two rows");
    assert_eq!(error.reason().code, "postgres.row-security", "{error:?}");
    assert!(error.to_string().contains("forced"), "{error}");
    assert!(
        error.hints()[0].contains("BYPASSRLS"),
        "{:?}",
        error.hints()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_carried_is_listed() {
    let folder = Folder::new();
    let options = Options {
        major: Some(15),
        ..Options::default()
    };
    let server = start(folder.path(), &options).await.expect("starts");
    sql(&server.target(), "ALTER SYSTEM SET wal_level = logical").await;
    sql(
        &server.target(),
        "ALTER SYSTEM SET max_prepared_transactions = 3",
    )
    .await;
    stop(folder.path()).await.expect("stops");
    let server = start(folder.path(), &options).await.expect("starts again");
    let admin = server.target();
    let space = folder.path().join("space");
    std::fs::create_dir(&space).expect("a folder");
    let owner = std::fs::metadata(folder.path().join("data")).expect("is there");
    std::os::unix::fs::chown(&space, Some(owner.uid()), Some(owner.gid())).expect("gives");
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    let create = format!(
        "CREATE TABLESPACE \"other disk\" LOCATION '{}'",
        space.display()
    );
    sql(&target, &create).await;
    sql(&target, "CREATE TABLE t (n int) TABLESPACE \"other disk\"; INSERT INTO t VALUES (1);
        CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere; CREATE FOREIGN TABLE away (n int) SERVER far;
        CREATE ROLE someone LOGIN PASSWORD 'x'; ALTER TABLE t OWNER TO someone;
        CREATE ROLE elsewhere; GRANT someone TO elsewhere; GRANT SET ON PARAMETER log_min_messages TO someone;
        SELECT pg_replication_origin_create('from far');
        ALTER ROLE ALL SET \"app.tenant\" = 'secret-of-all'; ALTER DATABASE rich IS_TEMPLATE true").await;
    // As an extension leaves them that masks columns for some roles.
    sql(&target, "SELECT lo_create(4711); SET allow_system_table_mods = on;
        INSERT INTO pg_shseclabel SELECT oid, 'pg_authid'::regclass, 'anon', 'MASKED' FROM pg_roles WHERE rolname = 'someone';
        INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, 'anon', 'x' FROM pg_database WHERE datname IN ('rich', 'postgres');
        INSERT INTO pg_seclabel VALUES (4711, 'pg_largeobject'::regclass, 0, 'anon', 'x'),
            ('plpgsql_call_handler'::regproc, 'pg_proc'::regclass, 0, 'anon', 'x')").await;
    sql(&target, "CREATE TABLE pointed_at (n int PRIMARY KEY); CREATE TABLE pointing (n int REFERENCES pointed_at);
        ALTER TABLE pointing DISABLE TRIGGER ALL").await;
    sql(
        &target,
        "SELECT pg_create_logical_replication_slot('a_slot', 'pgoutput')",
    )
    .await;
    sql(
        &target,
        "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'in doubt'",
    )
    .await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    assert_eq!(
        captured.not_carried,
        [
            "passwords of roles: `postgres`, `someone`",
            "rows behind foreign tables, which are on another server: `public.away`",
            "tablespaces (everything is restored into the default one): `other disk`",
            "replication slots: `a_slot`",
            "prepared transactions that were neither committed nor rolled back: `in doubt`",
            "origins of replication: `from far`",
            "security labels of the database, of roles and of large objects: `anon on database rich`, `anon on large object 4711`, `anon on role someone`",
            "security labels of what the server or an extension made: `anon on function pg_catalog.plpgsql_call_handler()`",
            "that triggers of foreign keys are off, or fire otherwise (`ALTER TABLE … DISABLE TRIGGER ALL`): `public.pointing`",
            "settings of all roles in all databases (`ALTER ROLE ALL SET`): `app.tenant`",
            "that the database is a template (`ALTER DATABASE … IS_TEMPLATE true`): `rich`",
            "what other roles are members of: `elsewhere in someone`",
            "rights on settings of the server (`GRANT … ON PARAMETER`): `log_min_messages`",
        ]
    );
    sql(&target, "ROLLBACK PREPARED 'in doubt'").await;
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = admin.with_database("copy");
    same_parts(&parts, &copy, &[]).await;
    sql(&target, "SELECT pg_drop_replication_slot('a_slot')").await;
}
