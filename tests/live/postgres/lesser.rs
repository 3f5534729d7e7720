//! A restore by a role as managed services give it: no superuser, a member of the owners, and of nobody else.

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    MissingRoles, Target, capture, create_database, drop_database, incomparable, made_name,
    readiness, restore, swap_in,
};
use summitctl::secret::Secret;
use summitctl::time::Instant;

use super::round_trip::{capture_options, restore_options};
use super::versions::same_parts;
use super::{scratch_of, sql, value};

fn user(target: &Target, name: &str) -> Target {
    let mut other = target.clone();
    other.user = name.into();
    other.password = Some(Secret::new("canary-Lesser-1"));
    other
}

/// As whoever keeps the database: a trusted extension, schemas in which others make things, and a grant that is passed on.
const BY_KEEPER: &str = "
CREATE EXTENSION hstore;
GRANT CREATE ON SCHEMA public TO app;
CREATE SCHEMA other; GRANT CREATE, USAGE ON SCHEMA other TO app;
CREATE SCHEMA closed; GRANT CREATE, USAGE ON SCHEMA closed TO app; GRANT USAGE ON SCHEMA closed TO stranger;
CREATE TABLE mine (n int PRIMARY KEY); INSERT INTO mine VALUES (1), (2);
GRANT SELECT ON mine TO reader WITH GRANT OPTION; GRANT INSERT ON mine TO stranger;
GRANT REFERENCES ON mine TO app;
";

const BY_APP: &str = "
CREATE TYPE mood AS ENUM ('fine', 'not');
CREATE TABLE t (id serial PRIMARY KEY, of_mine int REFERENCES mine, h hstore, m mood);
INSERT INTO t (of_mine, h, m) SELECT 1 + n % 2, hstore('n', n::text), 'fine' FROM generate_series(1, 500) n;
CREATE INDEX by_h ON t USING gin (h); CREATE STATISTICS both_columns ON id, of_mine FROM t;
GRANT SELECT ON t TO stranger; ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON t FOR SELECT TO stranger USING (id < 10);
CREATE TABLE other.u (n int); INSERT INTO other.u VALUES (7);
CREATE TABLE closed.v (n int PRIMARY KEY); CREATE TABLE closed.w (n int REFERENCES closed.v);
INSERT INTO closed.v VALUES (3); INSERT INTO closed.w VALUES (3);
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.t';
CREATE MATERIALIZED VIEW counted AS SELECT m, count(*) FROM t GROUP BY m; GRANT SELECT ON counted TO stranger;
ALTER DEFAULT PRIVILEGES IN SCHEMA other GRANT SELECT ON TABLES TO stranger;
SELECT lo_from_bytea(77, 'large'); GRANT SELECT ON LARGE OBJECT 77 TO stranger;
";

const QUESTIONS: [&str; 5] = [
    "SELECT string_agg(concat_ws(' ', relname, relowner::regrole, (SELECT array_agg(a ORDER BY a::text) FROM unnest(relacl) a)), '|' ORDER BY relname)
       FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'other'::regnamespace, 'closed'::regnamespace)",
    "SELECT string_agg(concat_ws(' ', nspname, nspowner::regrole, (SELECT array_agg(a ORDER BY a::text) FROM unnest(nspacl) a)), '|' ORDER BY nspname)
       FROM pg_namespace WHERE nspname IN ('public', 'other', 'closed')",
    "SELECT concat_ws(' ', f(), (SELECT sum(count) FROM counted), (SELECT lomowner::regrole FROM pg_largeobject_metadata))",
    "SELECT string_agg(concat_ws(' ', lomowner::regrole, (SELECT array_agg(a ORDER BY a::text) FROM unnest(lomacl) a)), '|') FROM pg_largeobject_metadata",
    "SELECT string_agg(concat_ws(' ', defaclrole::regrole, defaclnamespace::regnamespace, (SELECT array_agg(a ORDER BY a::text) FROM unnest(defaclacl) a)), '|') FROM pg_default_acl",
];

async fn restored_by_a_lesser_role(major: u32) {
    let (folder, server) = scratch_of(major).await;
    let admin = server.target();
    let acts = if major >= 16 {
        " WITH INHERIT TRUE, SET TRUE"
    } else {
        ""
    };
    let roles = format!(
        "CREATE ROLE keeper LOGIN CREATEDB CREATEROLE PASSWORD 'canary-Lesser-1';
         CREATE ROLE app LOGIN PASSWORD 'canary-Lesser-1'; CREATE ROLE reader; CREATE ROLE stranger;
         GRANT app, reader TO keeper{acts}; GRANT pg_signal_backend, pg_read_all_data TO keeper"
    );
    sql(&admin, &roles).await;
    // Not every server has extensions beside it; from 18 on one can be laid anywhere.
    let fitting = |script: &str| match major {
        18 => script
            .replace("EXTENSION hstore", "EXTENSION ours")
            .replace("hstore('n', n::text)", "n::text")
            .replace("h hstore", "h text")
            .replace("USING gin (h)", "(h)"),
        _ => script.to_owned(),
    };
    if major == 18 {
        let files = folder.path().join("share/extension");
        std::fs::create_dir_all(&files).expect("a folder");
        let control = "default_version = '1'\nrelocatable = true\ntrusted = true\n";
        std::fs::write(files.join("ours.control"), control).expect("writes");
        let function = "CREATE FUNCTION of_the_extension() RETURNS int LANGUAGE sql AS 'SELECT 1';";
        std::fs::write(files.join("ours--1.sql"), function).expect("writes");
        let path = format!(
            "ALTER ROLE keeper SET extension_control_path = '{}:$system'",
            folder.path().join("share").display()
        );
        sql(&admin, &path).await;
    }
    let keeper = user(&admin, "keeper");
    sql(&keeper, "CREATE DATABASE rich").await;
    let target = keeper.with_database("rich");
    sql(&target, &fitting(BY_KEEPER)).await;
    let rich = admin.with_database("rich");
    sql(&rich, "SET SESSION AUTHORIZATION reader; GRANT SELECT ON public.mine TO app; RESET SESSION AUTHORIZATION; ALTER ROLE app BYPASSRLS").await;
    sql(&user(&rich, "app"), &fitting(BY_APP)).await;
    sql(&target, "REVOKE CREATE ON SCHEMA closed FROM app").await;

    let parts = MemoryParts::default();
    capture(&rich, &parts, &capture_options(2))
        .await
        .expect("captures");
    let named = &parts.parts("postgres/rich/schema")[0].meta["roles"];
    assert_eq!(
        *named,
        serde_json::json!(["app", "keeper", "reader", "stranger"]),
        "the owner of what the extension made is not the data's"
    );
    let ready = readiness(&target, &parts, "rich", &[])
        .await
        .expect("looks");
    assert_eq!(ready.foreign_roles, [""; 0]);
    assert_eq!(ready.missing_roles, [""; 0]);
    let foreseen = incomparable(&target, &parts, "rich").await.expect("looks");
    assert!(foreseen.is_empty(), "{foreseen:?}");

    let now = Instant::now();
    let (aside, retired) = (
        made_name("rich", "restore", now),
        made_name("rich", "retired", now),
    );
    let leave = MissingRoles::LeaveOut;
    create_database(&keeper, &aside, &parts, "rich", leave)
        .await
        .expect("creates");
    let copy = keeper.with_database(&aside);
    let restored = restore(&copy, &parts, "rich", &restore_options(&folder, leave))
        .await
        .expect("restores");
    assert!(
        restored.incomparable.is_empty(),
        "{:?}",
        restored.incomparable
    );
    let seen = admin.with_database(&aside);
    for question in QUESTIONS {
        let there = value(&seen, question).await;
        assert_eq!(there, value(&rich, question).await, "{major}: {question}");
    }
    same_parts(&parts, &seen, &[]).await;
    let owners =
        "SELECT count(DISTINCT relowner)::text FROM pg_class WHERE relname IN ('t', 'mine')";
    assert_eq!(value(&seen, owners).await.as_deref(), Some("2"));

    swap_in(&target, "rich", &aside, &retired)
        .await
        .expect("swaps");
    same_parts(&parts, &rich, &[]).await;
    drop_database(&keeper, &retired).await.expect("drops");

    // No member of an owner: said before, and left out.
    sql(&admin, "REVOKE app FROM keeper").await;
    let ready = readiness(&target, &parts, "rich", &[])
        .await
        .expect("looks");
    assert_eq!(ready.foreign_roles, ["app"]);
    let foreseen = incomparable(&target, &parts, "rich").await.expect("looks");
    let why = &foreseen["postgres/rich/ownership"];
    assert!(why.contains("`keeper` cannot act for `app`"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesser_role_restores_owners_and_grants_on_15() {
    restored_by_a_lesser_role(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesser_role_restores_owners_and_grants_on_17_and_18() {
    for major in [17, 18] {
        restored_by_a_lesser_role(major).await;
    }
}
