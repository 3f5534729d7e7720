//! The round trip on every supported version that can be had, across versions, and pgvector.

use summitctl::capture::{MemoryParts, PartSource as _};
use summitctl::providers::postgres::{
    MissingRoles, Target, capture, catalogue, catalogue_differences, create_database,
    fingerprints_as, restore,
};

use super::round_trip::{
    answers_alike, by_part, capture_options, restore_options, restore_to, rich,
};
use super::{Folder, database, scratch_of, sql, value};

/// Everything that has a fingerprint, as it was captured, but for parts whose names end with one of these.
pub async fn same_parts(parts: &MemoryParts, copy: &Target, but: &[&str]) {
    let options = capture_options(2);
    let live = by_part(
        fingerprints_as(copy, "rich", &options)
            .await
            .expect("measures"),
    );
    let captured = parts.parts("postgres/rich/").into_iter();
    let written = by_part(captured.filter_map(|p| Some((p.name, p.fingerprint?))));
    assert!(written.len() > 2);
    assert_eq!(
        live.keys().collect::<Vec<_>>(),
        written.keys().collect::<Vec<_>>()
    );
    for (name, fingerprint) in &written {
        if !but.iter().any(|end| name.ends_with(end)) {
            assert_eq!(live[name], *fingerprint, "{name}");
        }
    }
}

async fn comes_back(major: u32) {
    let (folder, server) = scratch_of(major).await;
    assert!(server.version.starts_with(&major.to_string()));
    let target = rich(&server).await;
    let parts = MemoryParts::default();
    let captured = capture(&target, &parts, &capture_options(2))
        .await
        .expect("captures");
    assert_eq!(captured.server_version, server.version);
    let restored = restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    assert!(
        restored.incomparable.is_empty(),
        "{:?}",
        restored.incomparable
    );
    let copy = server.target().with_database("copy");
    let expected = catalogue(&target).await.expect("lists");
    let differences = catalogue_differences(&expected, &catalogue(&copy).await.expect("lists"));
    assert!(differences.is_empty(), "{differences:#?}");
    same_parts(&parts, &copy, &[]).await;
    answers_alike(&target, &copy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_on_14() {
    comes_back(14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_on_16() {
    comes_back(16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_on_17() {
    comes_back(17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_on_18() {
    comes_back(18).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_15_comes_back_on_18() {
    let (_source_folder, source) = scratch_of(15).await;
    let target = rich(&source).await;
    // 18 was built without XML.
    sql(&target, "ALTER TABLE app.kinds ALTER xmldoc TYPE text").await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(2))
        .await
        .expect("captures");
    let (folder, other) = scratch_of(18).await;
    let restored = restore_to(&other, &folder, "copy", &parts, MissingRoles::Create)
        .await
        .expect("restores");
    let named: Vec<&str> = restored.incomparable.keys().map(String::as_str).collect();
    assert_eq!(
        named,
        ["postgres/rich/catalogue", "postgres/rich/ownership"]
    );
    let copy = other.target().with_database("copy");
    same_parts(&parts, &copy, &["/catalogue", "/ownership"]).await;
    answers_alike(&target, &copy).await;
}

const VECTORS: &str = "
CREATE EXTENSION vector;
CREATE TABLE items (id int PRIMARY KEY, whole vector(3), half halfvec(4), loose vector, few sparsevec(5), list vector[]);
INSERT INTO items SELECT n, ARRAY[n, n / 7.0, -n]::vector, ARRAY[n, 0, 1, n / 3.0]::halfvec, '[1.5]', '{1:2,5:7.25}/5', ARRAY['[1,2]'::vector]
  FROM generate_series(1, 2000) n;
INSERT INTO items VALUES (0, NULL, '[0.00006103515625,-65504,0,0]', '[1e-40,3.4028235e38,-0]', NULL, '{}');
CREATE INDEX nearest ON items USING hnsw (whole vector_l2_ops) WITH (m = 8, ef_construction = 40);
CREATE INDEX nearest_half ON items USING hnsw (half halfvec_cosine_ops);
CREATE INDEX listed ON items USING ivfflat (whole vector_ip_ops) WITH (lists = 10);
";

async fn vectors_come_back(major: u32) {
    let (folder, server) = scratch_of(major).await;
    let admin = server.target();
    let target = database(&server, VECTORS).await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = admin.with_database("copy");
    same_parts(&parts, &copy, &[]).await;
    for question in [
        "SELECT md5(string_agg(i::text, '|' ORDER BY id)) FROM items i",
        "SELECT string_agg(pg_get_indexdef(indexrelid), '|' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = 'items'::regclass",
        "SELECT string_agg(id::text, ',') FROM (SELECT id FROM items ORDER BY whole <-> '[70,10,-70]' LIMIT 1) n",
    ] {
        let there = value(&target, question).await;
        assert!(there.is_some(), "{question}");
        assert_eq!(value(&copy, question).await, there, "{question}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_and_their_indexes_come_back_on_16() {
    vectors_come_back(16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_and_their_indexes_come_back_on_18() {
    vectors_come_back(18).await;
}

/// The programs of 18 begin every session with a setting that 16 does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_17_comes_back_on_16_where_it_fits() {
    let (_source_folder, source) = scratch_of(17).await;
    let admin = source.target();
    sql(
        &admin,
        "CREATE DATABASE rich LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
    )
    .await;
    let target = admin.with_database("rich");
    sql(
        &target,
        "CREATE TABLE t (id int PRIMARY KEY, body text); CREATE INDEX ON t (body);
         INSERT INTO t SELECT n, n FROM generate_series(1, 100) n; CREATE VIEW v AS SELECT 1 AS one",
    )
    .await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    let (folder, other) = scratch_of(16).await;
    restored_on(&other.target(), &folder, &parts).await;
    let copy = other.target().with_database("copy");
    same_parts(&parts, &copy, &["/catalogue", "/ownership"]).await;

    // What the older server cannot do is still an error.
    sql(
        &target,
        "CREATE TABLE u (id int PRIMARY KEY, way text DEFAULT json_serialize('1'::json))",
    )
    .await;
    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(1))
        .await
        .expect("captures");
    create_database(
        &other.target(),
        "newer",
        &parts,
        "rich",
        MissingRoles::Create,
    )
    .await
    .expect("creates");
    let error = restore(
        &other.target().with_database("newer"),
        &parts,
        "rich",
        &restore_options(&folder, MissingRoles::Create),
    )
    .await
    .expect_err("16 has no such function");
    assert_eq!(error.reason().code, "postgres.restore-failed", "{error:?}");
}

async fn restored_on(admin: &Target, folder: &Folder, parts: &MemoryParts) {
    let roles = MissingRoles::Create;
    create_database(admin, "copy", parts, "rich", roles)
        .await
        .expect("creates");
    let options = restore_options(folder, roles);
    let restored = restore(&admin.with_database("copy"), parts, "rich", &options)
        .await
        .expect("restores");
    assert!(
        !restored
            .notes
            .iter()
            .any(|n| n.contains("transaction_timeout")),
        "{:?}",
        restored.notes
    );
}
