//! What a Liquibase that was killed leaves of a changeset outside a transaction, and what can then be done.

use serde_json::json;

use super::sources::{given, seen};
use super::*;

const FORMATTED: &str = "--liquibase formatted sql\n--changeset me:1\nCREATE TABLE first (n int);\n\
    --changeset me:2{how}\nCREATE TABLE second (n int);\nCREATE INDEX by_n ON first (n);\nSELECT pg_sleep(3000);\nCREATE TABLE third (n int);\n\
    --changeset me:3\nCREATE TABLE fourth (n int);\n";

const XML: &str = r#"<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://www.liquibase.org/xml/ns/dbchangelog http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-latest.xsd">
  <changeSet id="1" author="me"><createTable tableName="base"><column name="n" type="int"/></createTable></changeSet>
  <changeSet id="2" author="me" contextFilter="elsewhere"><createTable tableName="elsewhere"><column name="n" type="int"/></createTable></changeSet>
  <changeSet id="3" author="me" runInTransaction="false">
    <createTable tableName="Mixed" schemaName="public"><column name="n" type="int"/></createTable>
    <createTable tableName="CAPITALS"><column name="n" type="int"/></createTable>
    <createTable tableName="ORDER"><column name="n" type="int"/></createTable>
    <addColumn tableName="base"><column name="note" type="text"/><column name="USER" type="text"/></addColumn>
    <createIndex tableName="base" indexName="by_note"><column name="note"/></createIndex>
    <insert tableName="base"><column name="n" valueNumeric="1"/></insert>
    <sql>SELECT pg_sleep(3000)</sql>
    <createTable tableName="later"><column name="n" type="int"/></createTable>
    <addColumn tableName="base"><column name="last" type="text"/></addColumn>
  </changeSet>
</databaseChangeLog>"#;

impl Bench {
    /// Kills Liquibase while it sleeps, and what goes on of it in the server, and clears its lock.
    async fn killed_asleep(&self, database: &str, mut liquibase: Command) {
        let holder = liquibase.spawn().unwrap();
        self.sleeps(database, 1).await;
        killed(holder);
        sql(&self.target(database), END).await;
        self.until(database, "the end of its session", NONE_LEFT)
            .await;
        let clear = format!(
            "migrate lock clear --lock {database}:public.databasechangeloglock:1 --yes --confirm m"
        );
        let deadline = Deadline::after(Duration::from_secs(120));
        poll(
            "the clearing",
            deadline,
            Duration::from_millis(500),
            async || {
                // Refused while something else on this machine might be the holder.
                match self.call(&clear) {
                    (0, _) => Ok(Look::Ready(())),
                    (3, text) => Ok(Look::NotYet(text)),
                    (code, text) => panic!("{code}: {text}"),
                }
            },
        )
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_liquibase_left_of_a_changeset_is_told() {
    let (_folder, bench) = bench("half", &["fs", "xl"]).await;
    let folder = bench.program.dir.join("half");
    fs::create_dir_all(&folder).unwrap();
    formatted_sql(&bench, &folder).await;
    changes_in_xml(&bench, &folder).await;
}

async fn formatted_sql(bench: &Bench, folder: &Path) {
    let liquibase = |how: &str, words: &[&str]| {
        fs::write(
            folder.join("changelog.sql"),
            FORMATTED.replace("{how}", how),
        )
        .unwrap();
        bench.liquibase_in("fs", folder, "changelog.sql", words)
    };
    let root = folder.join(".").join("changelog.sql");
    // Within a transaction nothing is left.
    bench.killed_asleep("fs", liquibase("", &["update"])).await;
    let tool = given(bench, "liquibase", &root, 0);
    assert_eq!(tool["half-applied"], json!([]), "{tool:#}");
    assert_eq!(tool["ways"], json!([]), "{tool:#}");

    let outside = " runInTransaction:false";
    bench
        .killed_asleep("fs", liquibase(outside, &["update"]))
        .await;
    let tool = given(bench, "liquibase", &root, 0);
    assert_eq!(tool["applied"], 1, "{tool:#}");
    let half = &tool["half-applied"][0];
    assert_eq!(
        (&half["file"], &half["pending"]),
        (&json!("changelog.sql::2::me"), &json!(true)),
        "{tool:#}"
    );
    assert_eq!(
        seen(half),
        ["seen", "seen", "not-recognised", "not-seen"],
        "{half:#}"
    );
    assert_eq!(tool["half-applied"].as_array().unwrap().len(), 1);
    let ways = tool["ways"].as_array().unwrap();
    let command = |n: usize| ways[n]["command"].as_str().unwrap();
    assert_eq!(ways.len(), 4, "{tool:#}");
    assert_eq!(
        command(3),
        "summitctl restore BACKUP --database fs --context m"
    );
    let (code, text) = bench.call(&format!(
        "migrate status --sources liquibase={}",
        root.display()
    ));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(
            "catalogue changelog.sql::2::me is pending, and part of it may be there already"
        ),
        "{text}"
    );

    // As it proposes: Liquibase itself fails on what is there, and goes on when what is missing was made and the changeset is marked.
    assert!(!liquibase(outside, &["update"]).status().unwrap().success());
    sql(&bench.target("fs"), "CREATE TABLE third (n int)").await;
    for n in [1, 0] {
        let words: Vec<&str> = command(n).split(' ').collect();
        assert_eq!(
            (words[0], words[2]),
            ("liquibase", "--changelog-file=CHANGELOG")
        );
        assert!(liquibase(outside, &words[1..2]).status().unwrap().success());
    }
    let tool = given(bench, "liquibase", &root, 0);
    assert_eq!(tool["applied"], 3, "{tool:#}");
    assert_eq!(tool["half-applied"], json!([]), "{tool:#}");
    let outcomes = &tool["history"]["outcomes"];
    assert_eq!(outcomes, &json!({"executed": 3}), "{tool:#}");
}

async fn changes_in_xml(bench: &Bench, folder: &Path) {
    fs::write(folder.join("changelog.xml"), XML).unwrap();
    let words = ["update", "--context-filter=here"];
    let liquibase = bench.liquibase_in("xl", folder, "changelog.xml", &words);
    bench.killed_asleep("xl", liquibase).await;
    let root = folder.join(".").join("changelog.xml");
    let tool = given(bench, "liquibase", &root, 1);
    // The first that is pending did not run here, and was not to.
    assert_eq!(
        tool["sources"]["pending"],
        json!(["changelog.xml::2::me", "changelog.xml::3::me"]),
        "{tool:#}"
    );
    let half = &tool["half-applied"][0];
    assert_eq!(half["file"], "changelog.xml::3::me", "{tool:#}");
    let mut expected = vec!["seen"; 6];
    expected.extend(["not-recognised", "not-recognised", "not-seen", "not-seen"]);
    assert_eq!(seen(half), expected, "{half:#}");
    assert_eq!(tool["ways"].as_array().unwrap().len(), 4, "{tool:#}");
}
