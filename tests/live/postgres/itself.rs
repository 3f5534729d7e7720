//! The database's own properties: what of them a restore lost is named, and what the place cannot have is told apart from that.

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    MissingRoles, Survey, Target, capture, create_database, fingerprints_as, incomparable, restore,
    survey_catalogue,
};
use summitctl::secret::Secret;

use crate::poison::configure;
use crate::program::Program;

use super::complete::ITSELF;
use super::round_trip::{by_part, capture_options, restore_options, restore_to};
use super::{database, scratch_of, sql};

const LISTINGS: [&str; 2] = ["postgres/rich/catalogue", "postgres/rich/ownership"];

async fn captured(target: &Target) -> MemoryParts {
    let parts = MemoryParts::default();
    capture(target, &parts, &capture_options(1))
        .await
        .expect("captures");
    parts
}

/// The listings whose sums differ.
async fn differing(copy: &Target, parts: &MemoryParts) -> Vec<String> {
    let seen = fingerprints_as(copy, "rich", &capture_options(1))
        .await
        .expect("measures");
    let seen = by_part(seen);
    let held = parts.parts("postgres/rich/");
    let held = held.into_iter().filter(|p| p.fingerprint.is_some());
    let differ = held.filter(|p| seen.get(&p.name).copied() != p.fingerprint);
    differ.map(|p| p.name).collect()
}

async fn surveyed(copy: &Target, parts: &MemoryParts, missing: MissingRoles) -> Survey {
    let both = LISTINGS.map(str::to_owned);
    let both: Vec<&String> = both.iter().collect();
    survey_catalogue(copy, parts, "rich", &both, missing)
        .await
        .expect("looks")
}

async fn a_lost_property_is_named(major: u32) {
    let (folder, server) = scratch_of(major).await;
    let admin = server.target();
    sql(&admin, "CREATE ROLE owner_a; CREATE ROLE reader_b").await;
    let target = database(&server, "CREATE SCHEMA deep; CREATE TABLE t (n int)").await;
    sql(&target, ITSELF).await;
    let parts = captured(&target).await;
    for roles in [MissingRoles::LeaveOut, MissingRoles::Create] {
        sql(&admin, "DROP DATABASE IF EXISTS copy").await;
        restore_to(&server, &folder, "copy", &parts, roles)
            .await
            .expect("restores");
        let copy = admin.with_database("copy");
        assert_eq!(differing(&copy, &parts).await, [""; 0]);
        assert_eq!(surveyed(&copy, &parts, roles).await, Survey::default());

        sql(
            &admin,
            "ALTER DATABASE copy CONNECTION LIMIT 78; ALTER DATABASE copy RESET app.secret; ALTER DATABASE copy SET work_mem = '7MB';
             ALTER DATABASE copy SET app.more = 'canary-More-6'; REVOKE CREATE ON DATABASE copy FROM reader_b",
        )
        .await;
        assert_eq!(differing(&copy, &parts).await, LISTINGS);
        let survey = surveyed(&copy, &parts, roles).await;
        assert_eq!(
            survey.named,
            [
                "changed database",
                "unexpected database setting app.more",
                "missing database setting app.secret",
                "changed database setting work_mem",
                "changed database"
            ]
        );
        assert!(survey.excused.is_empty(), "{survey:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_property_of_the_database_is_named_on_15() {
    a_lost_property_is_named(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_property_of_the_database_is_named_on_17() {
    a_lost_property_is_named(17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_property_of_the_database_is_named_on_18() {
    a_lost_property_is_named(18).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_cannot_have_is_said_and_is_no_loss() {
    // One with ICU, and one that was built without.
    let (_folder, source) = scratch_of(15).await;
    let admin = source.target();
    sql(
        &admin,
        "CREATE DATABASE rich TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn' LOCALE 'C.UTF-8'",
    )
    .await;
    let target = admin.with_database("rich");
    sql(&target, "CREATE TABLE t (n text)").await;
    // A locale that was there once.
    sql(
        &target,
        "ALTER DATABASE rich SET lc_messages = 'C'; ALTER DATABASE rich SET work_mem = '6MB';
         UPDATE pg_db_role_setting SET setconfig = array_replace(setconfig, 'lc_messages=C', 'lc_messages=canary_LOCALE')",
    )
    .await;
    let parts = captured(&target).await;

    let (folder, other) = scratch_of(18).await;
    let create = MissingRoles::Create;
    let server = other.target();
    let mut notes = create_database(&server, "copy", &parts, "rich", create)
        .await
        .expect("creates");
    let copy = server.with_database("copy");
    let options = restore_options(&folder, create);
    let restored = restore(&copy, &parts, "rich", &options).await;
    notes.extend(restored.expect("restores").notes);
    for word in ["`de-u-kn`", "the setting `lc_messages` was left out"] {
        assert!(notes.iter().any(|n| n.contains(word)), "{word}: {notes:?}");
    }
    let catalogue = LISTINGS[0].to_owned();
    let survey = survey_catalogue(&copy, &parts, "rich", &[&catalogue], create)
        .await
        .expect("looks");
    assert_eq!(survey.named, [""; 0]);
    assert_eq!(
        survey.excused[&catalogue],
        "equal but for: changed database locale (the server lacks `de-u-kn`, so that text sorts by code point), \
         missing database setting lc_messages (whose value the server refuses)"
    );

    // A restore that stays must have the locale, and what was lost besides is a loss.
    sql(&server, "ALTER DATABASE copy RESET work_mem").await;
    let survey = survey_catalogue(&copy, &parts, "rich", &[&catalogue], MissingRoles::LeaveOut)
        .await
        .expect("looks");
    assert!(survey.excused.is_empty(), "{survey:?}");
    assert_eq!(
        survey.named,
        [
            "changed database locale",
            "missing database setting work_mem"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_set_is_foreseen_and_is_no_loss() {
    let (folder, server) = scratch_of(17).await;
    let admin = server.target();
    sql(
        &admin,
        "CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'canary-Keeper-2'; CREATE ROLE reader_b;
         GRANT SET ON PARAMETER app.granted TO keeper",
    )
    .await;
    let mut keeper = admin.clone();
    keeper.user = "keeper".into();
    keeper.password = Some(Secret::new("canary-Keeper-2"));
    sql(&keeper, "CREATE DATABASE rich").await;
    let target = admin.with_database("rich");
    sql(
        &target,
        "CREATE TABLE t (n int); ALTER TABLE t OWNER TO keeper; ALTER DATABASE rich SET work_mem = '6MB';
         ALTER DATABASE rich SET app.tenant = 'canary'; ALTER DATABASE rich SET app.granted = 'x'; ALTER DATABASE rich SET log_statement = 'none';
         ALTER ROLE keeper IN DATABASE rich SET search_path = public;
         REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) FROM PUBLIC",
    )
    .await;
    let parts = captured(&target).await;
    let foreseen = incomparable(&keeper, &parts, "rich").await.expect("looks");
    let names: Vec<&String> = foreseen.keys().collect();
    assert_eq!(names, ["postgres/rich/database/settings"]);
    let why = &foreseen["postgres/rich/database/settings"];
    assert!(
        why.ends_with("which `keeper` may not set: `app.tenant`, `log_statement`"),
        "{why}"
    );
    let leave = MissingRoles::LeaveOut;
    create_database(&keeper, "copy", &parts, "rich", leave)
        .await
        .expect("creates");
    let copy = keeper.with_database("copy");
    restore(&copy, &parts, "rich", &restore_options(&folder, leave))
        .await
        .expect("restores");
    assert_eq!(differing(&copy, &parts).await, LISTINGS);
    let survey = surveyed(&copy, &parts, leave).await;
    assert_eq!(survey.named, [""; 0]);
    let objects = &survey.excused[LISTINGS[0]];
    assert!(
        objects.ends_with("app.tenant (which only a superuser may set), missing database setting log_statement (which only a superuser may set)"),
        "{objects}"
    );
    let ownership = &survey.excused[LISTINGS[1]];
    assert!(
        ownership.contains("pg_sleep(double precision) (which only a superuser may grant)"),
        "{ownership}"
    );

    // Whoever may use the database is not there.
    sql(&admin, "GRANT CONNECT ON DATABASE rich TO reader_b").await;
    let parts = captured(&target).await;
    sql(
        &admin,
        "REVOKE CONNECT ON DATABASE rich FROM reader_b; DROP ROLE reader_b",
    )
    .await;
    let foreseen = incomparable(&keeper, &parts, "rich").await.expect("looks");
    let why = &foreseen["postgres/rich/database/owner"];
    assert!(why.contains("the server has no role `reader_b`"), "{why}");
    assert!(!foreseen.contains_key(LISTINGS[1]), "{foreseen:?}");
    create_database(&keeper, "other", &parts, "rich", leave)
        .await
        .expect("creates");
    let copy = keeper.with_database("other");
    restore(&copy, &parts, "rich", &restore_options(&folder, leave))
        .await
        .expect("restores");
    let survey = surveyed(&copy, &parts, leave).await;
    assert_eq!(survey.named, [""; 0]);
    assert!(
        survey.excused[LISTINGS[1]].contains("changed database (owners and grants were left out"),
        "{survey:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_every_server_has_is_proved_with_its_own_properties() {
    let (_folder, server) = scratch_of(17).await;
    let program = Program::bare("itself");
    let target = server.target().with_database("postgres");
    // A value that no server takes any more.
    sql(
        &target,
        "CREATE TABLE t (n int); INSERT INTO t VALUES (1); CREATE ROLE reader_b;
         COMMENT ON DATABASE postgres IS 'ours'; ALTER DATABASE postgres CONNECTION LIMIT 44; GRANT CREATE ON DATABASE postgres TO reader_b;
         ALTER DATABASE postgres SET work_mem = '6MB'; ALTER DATABASE postgres SET lc_messages = 'C';
         UPDATE pg_db_role_setting SET setconfig = array_replace(setconfig, 'lc_messages=C', 'lc_messages=canary_LOCALE')",
    )
    .await;
    configure(&program, &server);
    let file = program.dir.join("summitctl.toml");
    let config = std::fs::read_to_string(&file).expect("is there");
    std::fs::write(&file, config.replace("/app?", "/postgres?")).expect("writes");
    program.ok(&["backup", "create", "--yes"]);
    let proved = program.json(&["backup", "verify", "newest", "--level", "3", "--yes"]);
    let report = &proved["report"];
    assert_eq!(report["exit-code"], 0, "{proved}");
    // The catalogue is not counted among what is wholly equal.
    let measured = &report["steps"][0]["observed"]["measured"];
    assert_eq!(measured["postgres-parts"], 3, "{proved}");
}
