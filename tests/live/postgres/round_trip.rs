//! Capture, restore aside, compare; and everything that must be found or refused on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use summitctl::capture::{Consistency, Fingerprint, FingerprintKey, MemoryParts, PartSource as _};
use summitctl::error::Result;
use summitctl::event::Events;
use summitctl::providers::postgres::{
    CaptureOptions, MissingRoles, RestoreOptions, Restored, Target, capture, captured_databases,
    catalogue, catalogue_differences, create_database, decode, fingerprints, fingerprints_as,
    identify, plant_marker, preview, read_marker, restore,
};
use summitctl::sandbox::servers::postgres::Running;
use summitctl::wait::Cancel;

use super::{Folder, scratch, scratch_of, sql, value};

const RICH: &str = include_str!("rich.sql");

pub fn capture_options(jobs: usize) -> CaptureOptions {
    CaptureOptions {
        formats: Default::default(),
        patience: Default::default(),
        stretch: summitctl::providers::postgres::STRETCH,
        key: FingerprintKey::new([9; 32]),
        jobs,
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

pub fn restore_options(folder: &Folder, roles: MissingRoles) -> RestoreOptions {
    RestoreOptions {
        key: FingerprintKey::new([9; 32]),
        jobs: 3,
        share: summitctl::providers::postgres::SHARE,
        events: Events::silent(),
        cancel: Cancel::new(),
        roles,
        only: Default::default(),
        throwaway: false,
        work_dir: folder.path().to_owned(),
    }
}

/// A database with one of everything.
pub async fn rich(server: &Running) -> Target {
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    let configured =
        "SELECT (setting ~ 'with-libxml')::text FROM pg_config WHERE name = 'CONFIGURE'";
    let script = if value(&admin, configured).await.as_deref() == Some("true") {
        RICH.to_owned()
    } else {
        RICH.replace(" xmldoc xml,", " xmldoc text,")
    };
    sql(&target, &script).await;
    target
}

/// What must be answered alike by a database and its copy.
const QUESTIONS: [&str; 10] = [
    "SELECT string_agg(k::text, '|' ORDER BY id) FROM app.kinds k",
    "SELECT string_agg(e::text, '|' ORDER BY e::text) FROM app.events e",
    "SELECT string_agg(d::text, '|') FROM app.animals d",
    "SELECT string_agg(m::text, ',') FROM app.a_second",
    "SELECT relispopulated::text FROM pg_class WHERE relname = 'unpopulated'",
    "SELECT md5(lo_get(70001))",
    "SELECT nextval('app.lone')::text || nextval('app.untouched') || nextval('app.kinds_id_seq')",
    "SELECT count(*)::text FROM app.audit",
    "SELECT current_setting('search_path') || current_setting('app.tenant')",
    "SELECT datacl::text || shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()",
];

/// Asks both databases the same.
pub async fn answers_alike(target: &Target, copy: &Target) {
    for question in QUESTIONS {
        assert_eq!(
            value(copy, question).await,
            value(target, question).await,
            "{question}"
        );
    }
}

/// Creates `name` on `server` and restores the captured database `rich` into it.
pub async fn restore_to(
    server: &Running,
    folder: &Folder,
    name: &str,
    parts: &MemoryParts,
    roles: MissingRoles,
) -> Result<Restored> {
    let admin = server.target();
    create_database(&admin, name, parts, "rich", roles).await?;
    let options = restore_options(folder, roles);
    restore(&admin.with_database(name), parts, "rich", &options).await
}

pub fn by_part(
    all: impl IntoIterator<Item = (String, Fingerprint)>,
) -> BTreeMap<String, Fingerprint> {
    all.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_on_another_server_as_it_was() {
    let (_source_folder, source) = scratch().await;
    let target = rich(&source).await;
    plant_marker(&target, "marker-1").await.expect("plants");
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(3))
        .await
        .expect("captures");
    assert_eq!(captured.consistency, Consistency::PointInTime);
    assert_eq!(captured.identity.facts["marker"], "marker-1");
    assert_eq!(captured_databases(&parts.parts("")), ["rich"]);
    assert!(
        captured.parts.iter().all(|p| !p.name.contains("summitctl")),
        "the marker stays out"
    );
    let rows = |name: &str| {
        let part = captured
            .parts
            .iter()
            .find(|p| p.name == format!("postgres/rich/{name}"));
        part.unwrap_or_else(|| panic!("no part {name}"))
            .fingerprint
            .expect("has one")
            .rows
    };
    assert_eq!(rows("table/app.kinds"), 5002);
    assert_eq!(rows("table/app.no_columns"), 2);
    assert_eq!(rows("table/app.all_generated"), 1);
    assert_eq!(rows("table/app.empty"), 0);
    assert_eq!(rows("table/app.animals"), 1, "without its children's rows");
    assert_eq!(
        rows("table/app.events_2024") + rows("table/app.events_2023"),
        579
    );
    assert_eq!(
        rows(
            "table/odd%20schema%2E%22x%22%0A%2Fy.odd%20table%2C%20%27quoted%27%20%5C%20and%2Edotted"
        ),
        2
    );
    assert_eq!(rows("large-objects"), 2 + 3, "two objects, three pages");
    assert!(
        captured
            .parts
            .iter()
            .all(|p| !p.name.ends_with("app.events")),
        "a parent holds no rows"
    );

    // Level 2: from the bytes alone.
    for part in parts.parts("postgres/") {
        let mut reader = parts.open(&part.name).await.expect("opens");
        let again = decode(&part, reader.as_mut(), &FingerprintKey::new([9; 32]))
            .await
            .expect("decodes");
        assert_eq!(again, part.fingerprint, "{}", part.name);
    }

    // Level 3: on another server, which has none of the roles.
    let (scratch_folder, other) = scratch().await;
    let restored = restore_to(
        &other,
        &scratch_folder,
        "copy",
        &parts,
        MissingRoles::Create,
    )
    .await
    .expect("restores");
    let copy = other.target().with_database("copy");
    let live = fingerprints_as(&copy, "rich", &capture_options(2))
        .await
        .expect("measures");
    let written = by_part(
        captured
            .parts
            .iter()
            .filter_map(|p| Some((p.name.clone(), p.fingerprint?))),
    );
    let seen = by_part(live);
    let expected = catalogue(&target).await.expect("lists");
    let differences = catalogue_differences(&expected, &catalogue(&copy).await.expect("lists"));
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(seen, written);
    let loaded = by_part(restored.parts);
    for (name, fingerprint) in &loaded {
        assert_eq!(fingerprint, &written[name], "{name}");
    }
    assert!(restored.bytes > 500_000);
    assert_eq!(restored.phases.len(), 4);
    assert!(
        restored
            .notes
            .iter()
            .any(|n| n.contains("made the missing roles `App Owner`")),
        "{:?}",
        restored.notes
    );

    answers_alike(&target, &copy).await;
    assert_eq!(read_marker(&copy).await.expect("reads"), None);
    let files: Vec<_> = std::fs::read_dir(scratch_folder.path())
        .expect("lists")
        .flatten()
        .filter(|f| f.file_name().to_string_lossy().contains("pgdump"))
        .collect();
    assert!(files.is_empty(), "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_value_and_a_changed_schema_are_found_and_named() {
    let (folder, server) = scratch().await;
    let target = rich(&server).await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(2))
        .await
        .expect("captures");
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = server.target().with_database("copy");
    let before = by_part(
        fingerprints_as(&copy, "rich", &capture_options(2))
            .await
            .expect("measures"),
    );
    let written = by_part(
        parts
            .parts("")
            .into_iter()
            .filter_map(|p| Some((p.name, p.fingerprint?))),
    );
    assert_eq!(before, written);

    let schema = catalogue(&copy).await.expect("lists");
    sql(
        &copy,
        "UPDATE app.kinds SET loose = 'Infinity' WHERE loose = 'NaN';
                SELECT setval('app.lone', -500);
                ALTER TABLE app.orders DROP CONSTRAINT not_checked;
                COMMENT ON TABLE app.kinds IS 'another';
                REVOKE SELECT ON app.kinds FROM reader",
    )
    .await;
    let after = by_part(
        fingerprints_as(&copy, "rich", &capture_options(2))
            .await
            .expect("measures"),
    );
    let changed: Vec<&str> = before
        .iter()
        .filter(|(name, f)| after[*name] != **f)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        changed,
        ["catalogue", "ownership", "sequences", "table/app.kinds"]
            .map(|p| format!("postgres/rich/{p}"))
    );
    let differences = catalogue_differences(&schema, &catalogue(&copy).await.expect("lists"));
    assert_eq!(
        differences,
        [
            "missing constraint app.orders.not_checked",
            "changed table app.kinds"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_roles_leave_owners_out_and_say_so_and_a_full_database_is_refused() {
    let (_source_folder, source) = scratch().await;
    let target = rich(&source).await;
    sql(&target, "DROP POLICY own ON app.guarded").await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    let (folder, other) = scratch().await;
    let restored = restore_to(&other, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    assert!(
        restored
            .notes
            .iter()
            .any(|n| n.contains("owners and grants were left out")),
        "{:?}",
        restored.notes
    );

    let error = restore_to(&other, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect_err("exists");
    assert_eq!(error.reason().code, "postgres.not-empty");
    let copy = other.target().with_database("copy");
    let error = restore(
        &copy,
        &parts,
        "rich",
        &restore_options(&folder, MissingRoles::LeaveOut),
    )
    .await
    .expect_err("is full");
    assert_eq!(error.reason().code, "postgres.not-empty");
    let error = restore(
        &copy,
        &parts,
        "poor",
        &restore_options(&folder, MissingRoles::LeaveOut),
    )
    .await
    .expect_err("full, or unknown");
    assert_eq!(error.reason().code, "postgres.not-empty");
    let error = create_database(&other.target(), "x", &parts, "poor", MissingRoles::LeaveOut)
        .await
        .expect_err("unknown");
    assert!(error.to_string().contains("only `rich`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_see_every_row_is_refused() {
    let (_folder, server) = scratch().await;
    let target = rich(&server).await;
    sql(&target, "CREATE ROLE partial LOGIN PASSWORD 'canary-Rls-77' IN ROLE pg_read_all_data; GRANT CONNECT ON DATABASE rich TO partial").await;
    sql(&target, "SELECT lo_unlink(70001), lo_unlink(70002)").await;
    let mut partial = target.clone();
    partial.user = "partial".into();
    partial.password = Some(summitctl::secret::Secret::new("canary-Rls-77"));
    let error = capture(&partial, &MemoryParts::default(), &capture_options(2))
        .await
        .expect_err("RLS hides rows");
    assert_eq!(error.reason().code, "postgres.row-security", "{error:?}");
    assert!(error.to_string().contains("guarded"), "{error}");
    assert!(!format!("{error:?}{:?}", error.hints()).contains("canary-Rls-77"));

    sql(&target, "ALTER ROLE partial BYPASSRLS").await;
    let options = capture_options(2);
    let parts = MemoryParts::default();
    capture(&partial, &parts, &options)
        .await
        .expect("sees everything, and writes nothing");
    let all = fingerprints(&target, &options).await.expect("measures");
    for part in parts.parts("postgres/rich/table/") {
        assert_eq!(Some(all[&part.name]), part.fingerprint, "{}", part.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_is_one_moment_while_the_database_is_written_to() {
    let (folder, server) = scratch().await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    // Two tables whose sums are equal at every moment, and a third that moves rows between transactions.
    sql(&target, "CREATE TABLE a (n int); CREATE TABLE b (n int); INSERT INTO a SELECT 1 FROM generate_series(1, 20000); INSERT INTO b SELECT 1 FROM generate_series(1, 20000)").await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let (target, stop) = (target.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                sql(
                    &target,
                    "BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); COMMIT",
                )
                .await;
            }
        })
    };
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(2))
        .await
        .expect("captures");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.await.expect("writes");
    let rows: Vec<u64> = captured
        .parts
        .iter()
        .filter(|p| p.name.contains("/table/"))
        .map(|p| p.fingerprint.expect("has one").rows)
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0], rows[1]);
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_capture_is_a_clear_error() {
    for major in [15, 17, 18] {
        dies(major).await;
    }
}

async fn dies(major: u32) {
    let (folder, server) = scratch_of(major).await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    sql(
        &target,
        "CREATE TABLE big AS SELECT n, repeat('x', 1000) AS t FROM generate_series(1, 60000) n",
    )
    .await;
    let pid_file = folder.path().join("data/postmaster.pid");
    let sink = super::Disturbed::new(move || {
        let pid_file = pid_file.clone();
        async move { super::crash(&pid_file) }
    });
    let error = capture(&target, &sink, &capture_options(1))
        .await
        .expect_err("the server is gone");
    assert_eq!(error.reason().code, "postgres.connection-lost", "{error:?}");
    assert!(error.to_string().contains("big"), "{error:?}");
    assert!(
        sink.inner.parts("postgres/rich/table/").is_empty(),
        "an unfinished part does not count"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_lock_is_waited_for_and_its_holder_named() {
    let (_folder, server) = scratch().await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    sql(&target, "CREATE TABLE t (n int)").await;
    let mut holder = summitctl::providers::postgres::session::open(
        &target,
        summitctl::providers::postgres::session::Access::AsGiven,
    )
    .await
    .expect("opens");
    sqlx::raw_sql("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        .execute(&mut holder)
        .await
        .expect("locks");
    let error = summitctl::wait::Deadline::after(Duration::from_secs(45))
        .run(
            "the capture",
            capture(&target, &MemoryParts::default(), &capture_options(1)),
        )
        .await
        .expect_err("is locked");
    assert_eq!(error.reason().code, "postgres.lock-timeout", "{error:?}");
    assert!(
        error.to_string().contains("holds `public.t`") || error.to_string().contains("holds `t`"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_marker_and_preview() {
    let (_folder, server) = scratch().await;
    let target = rich(&server).await;
    assert_eq!(read_marker(&target).await.expect("reads"), None);
    plant_marker(&target, "one").await.expect("plants");
    plant_marker(&target, "it's two")
        .await
        .expect("plants again");
    assert_eq!(
        read_marker(&target).await.expect("reads").as_deref(),
        Some("it's two")
    );
    let identity = identify(&target).await.expect("identifies");
    assert_eq!(identity.facts["database"], "rich");
    assert_eq!(identity.facts["endpoint"], target.endpoint());
    let system = value(
        &target,
        "SELECT system_identifier::text FROM pg_control_system()",
    )
    .await;
    assert_eq!(identity.facts.get("system-identifier"), system.as_ref());

    let look = preview(&target).await.expect("looks");
    assert_eq!(look.tables[0].name, "kinds");
    assert!(look.bytes > 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn awkward_databases_come_back_too() {
    let (folder, server) = scratch().await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    sql(
        &target,
        "CREATE TABLE t (n int); INSERT INTO t VALUES (7);
                  CREATE SCHEMA s; CREATE TABLE s.u (n int);
                  ALTER TABLE t SET SCHEMA s; DROP SCHEMA public CASCADE",
    )
    .await;
    sql(
        &admin,
        "ALTER DATABASE rich SET default_transaction_read_only = on",
    )
    .await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    let odd = "host=x 'y' \\ \"z\"";
    let restored = restore_to(&server, &folder, odd, &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = admin.with_database(odd);
    assert_eq!(
        value(&copy, "SELECT n::text FROM s.t").await.as_deref(),
        Some("7")
    );
    assert_eq!(
        value(
            &copy,
            "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'public'"
        )
        .await
        .as_deref(),
        Some("0")
    );
    assert_eq!(
        value(&copy, "SHOW default_transaction_read_only")
            .await
            .as_deref(),
        Some("on")
    );
    assert!(
        restored.incomparable.is_empty(),
        "{:?}",
        restored.incomparable
    );
    let live = fingerprints_as(&copy, "rich", &capture_options(1))
        .await
        .expect("measures");
    for part in parts.parts("postgres/rich/") {
        assert_eq!(
            live.get(&part.name).copied(),
            part.fingerprint,
            "{}",
            part.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_an_emptied_view_is_said_to_be_empty() {
    let (folder, server) = scratch().await;
    let admin = server.target();
    sql(&admin, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    sql(
        &target,
        "CREATE MATERIALIZED VIEW base AS SELECT 1 AS n;
                  CREATE MATERIALIZED VIEW stale AS SELECT n FROM base;
                  REFRESH MATERIALIZED VIEW base WITH NO DATA;
                  CREATE TABLE t (n int); INSERT INTO t VALUES (1);
                  CREATE MATERIALIZED VIEW broken AS SELECT 1 / n AS n FROM t; UPDATE t SET n = 0;
                  -- The server knows no more of what this one reads than that it calls a function.
                  CREATE FUNCTION later() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM public.z_last); END';
                  CREATE MATERIALIZED VIEW z_last AS SELECT generate_series(1, 3) AS n;
                  CREATE MATERIALIZED VIEW a_first AS SELECT later() AS n",
    )
    .await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    let restored = restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    for word in [
        "`public.stale` is empty",
        "`public.broken` is empty",
        "division by zero",
        "`public.a_first` was refreshed",
    ] {
        let notes = &restored.notes;
        assert!(notes.iter().any(|n| n.contains(word)), "{word}: {notes:?}");
    }
    let copy = admin.with_database("copy");
    let held = "SELECT n::text FROM a_first";
    assert_eq!(value(&copy, held).await.as_deref(), Some("3"));
    assert!(
        restored
            .incomparable
            .contains_key("postgres/rich/catalogue")
    );
}
