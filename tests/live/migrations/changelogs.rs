//! Liquibase's changelogs beside what Liquibase itself wrote down: the same paths, the same checksums, the same pending ones.

use std::collections::BTreeSet;

use serde_json::json;

use super::sources::given;
use super::*;

/// Changelogs in every form, with changes of every kind whose checksum is computed.
fn changelogs(bench: &Bench) -> PathBuf {
    let to = bench.program.dir.join("changelogs");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/migrations/liquibase");
    copied(&from, &to);
    to
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = {
            let path = entry.unwrap().path();
            let to = to.join(path.file_name().unwrap());
            (path, to)
        };
        if path.is_dir() {
            copied(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// Changesets whose checksum is not computed, and which say so.
const UNKNOWN: [&str; 5] = ["kind", "letters", "number", "property", "sql"];

impl Bench {
    /// What Liquibase says, and whether it went well.
    fn asked(&self, folder: &Path, words: &[&str]) -> (bool, String) {
        let mut command = self.liquibase_in("cl", folder, "db/master.xml", words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    fn compared(&self, folder: &Path) -> Value {
        let root = folder.join(".").join("db/master.xml");
        given(self, "liquibase", &root, 0)["sources"].clone()
    }
}

fn names(list: &Value) -> BTreeSet<String> {
    let all = list.as_array().unwrap_or_else(|| panic!("{list:#}"));
    all.iter().map(|n| n.as_str().unwrap().to_owned()).collect()
}

/// The changesets that Liquibase's own report names.
fn reported(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    let named = lines.filter(|l| l.matches("::").count() == 2 && !l.contains(": "));
    named.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn liquibase_s_changelogs_are_compared_as_liquibase_does() {
    let (_folder, bench) = bench("changelogs", &["cl"]).await;
    let folder = changelogs(&bench);
    // Before anything ran, it and we agree on what is pending.
    let (done, report) = bench.asked(&folder, &["clear-checksums"]);
    assert!(done, "it makes its tables: {report}");
    let before = bench.compared(&folder);
    let (done, report) = bench.asked(&folder, &["status", "--verbose"]);
    assert!(done, "{report}");
    let mut pending = names(&before["pending"]);
    assert!(pending.len() > 25, "{before:#}");
    // One that runs every time is pending until it has run.
    assert_eq!(pending, reported(&report), "{report}");
    assert!(
        before["notes"]
            .to_string()
            .contains("4 of those that are pending have contexts"),
        "{before:#}"
    );

    // It marks all as applied, with their checksums: ours are the same, but for those that we say we do not compute.
    let (done, report) = bench.asked(&folder, &["changelog-sync"]);
    assert!(done, "{report}");
    let after = bench.compared(&folder);
    assert_eq!(after["changed"], json!([]), "{after:#}");
    assert_eq!(after["pending"], json!([]), "{after:#}");
    assert_eq!(after["missing"], json!([]), "{after:#}");
    let unknown = UNKNOWN.map(|u| format!("db/master.xml::unknown {u}::me"));
    assert_eq!(
        names(&after["not-compared"]),
        BTreeSet::from(unknown),
        "{after:#}"
    );
    let notes = after["notes"].to_string();
    for note in [
        "5 applied migrations were not compared",
        "`addAutoIncrement`",
        "`modifySql`",
        "properties `${…}`",
        "3 are for other databases",
        "1 run every time",
    ] {
        assert!(notes.contains(note), "{note}: {notes}");
    }
    pending.retain(|p| !p.contains("unknown"));
    bench.sums_of_version_8(&folder).await;
    bench.other_blanks(&folder);
    assert_eq!(bench.compared(&folder)["changed"], json!([]));
    bench.changed_and_pending(&folder);
    bench.older_sums(&folder, &pending).await;
    bench.read_where_it_is(&folder).await;
}

impl Bench {
    fn edit(&self, folder: &Path, file: &str, from: &str, to: &str) {
        let path = folder.join("db").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {file}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Blanks in SQL, and comments of XML, are no change.
    fn other_blanks(&self, folder: &Path) {
        self.edit(
            folder,
            "formatted.sql",
            "CREATE TABLE first (",
            "CREATE  TABLE\r\n  first(",
        );
        self.edit(
            folder,
            "formatted.sql",
            "--rollback DROP TABLE first;",
            "--rollback DROP TABLE first CASCADE;",
        );
        self.edit(
            folder,
            "master.xml",
            "<dropColumn tableName",
            "<!-- c --><dropColumn  tableName",
        );
        self.edit(folder, "more/body.sql", "SELECT 4;\r\n", "SELECT\n4;\n");
        let (done, report) = self.asked(folder, &["validate"]);
        assert!(done, "Liquibase takes them for the same: {report}");
    }

    /// What is changed, pending and missing, as Liquibase says itself.
    fn changed_and_pending(&self, folder: &Path) {
        self.edit(folder, "formatted.sql", "AS SELECT 1;", "AS SELECT 11;");
        self.edit(
            folder,
            "more/changes.yaml",
            "    id: \"007\"",
            "    id: \"008\"",
        );
        let seen = self.compared(folder);
        let (_, report) = self.asked(folder, &["status", "--verbose"]);
        let pending = names(&seen["pending"]);
        assert!(
            pending.contains("db/formatted.sql::two words::the team"),
            "{seen:#}"
        );
        assert!(
            pending.contains("db/more/changes.yaml::008::team"),
            "{seen:#}"
        );
        let mut told = reported(&report);
        told.remove("db/master.xml::always::me");
        assert_eq!(pending, told, "{report}");
        assert_eq!(
            seen["missing"],
            json!(["db/more/changes.yaml::007::team"]),
            "{seen:#}"
        );
        assert_eq!(seen["changed"], json!([]), "{seen:#}");

        for (file, from, to) in [
            ("formatted.sql", "SELECT 5;", "SELECT 55;"),
            ("formatted.sql", "SELECT 3;", "SELECT 33;"),
            ("more/body.sql", "SELECT", "VALUES"),
            ("more/changes.yaml", "type: text", "type: varchar(7)"),
            ("more/changes.json", "type\": \"text", "type\": \"char(7)"),
            ("more/moved.xml", "gone", "lost"),
            ("all/deeper/a.yml", "SELECT 'a'", "SELECT 'aa'"),
            ("all/c.sql", "SELECT 6", "SELECT 66"),
            ("more/plain.sql", "plain (n int)", "plain (n bigint)"),
            ("master.xml", "what was ordered", "ordered"),
            ("master.xml", "SELECT accepted", "SELECT anything"),
            ("master.xml", "SELECT own", "SELECT its own"),
            (
                "master.xml",
                "deferrable=\"false\" initiallyDeferred",
                "deferrable=\"true\" initiallyDeferred",
            ),
        ] {
            self.edit(folder, file, from, to);
        }
        let changed = names(&self.compared(folder)["changed"]);
        let (done, report) = self.asked(folder, &["validate"]);
        assert!(!done, "{report}");
        let lines = report.lines().filter_map(|l| l.trim().split_once(" was: "));
        let told: BTreeSet<String> = lines.map(|(name, _)| name.to_owned()).collect();
        assert_eq!(changed, told, "{report}");
        assert_eq!(changed.len(), 12, "{changed:#?}");
        let (code, text) = self.call(&format!(
            "migrate status --sources liquibase={}",
            folder.join("./db/master.xml").display()
        ));
        assert_eq!(code, 0, "{text}");
        assert!(
            text.contains("12 changed, 1 missing")
                && text.contains("unknown db/master.xml::unknown sql::me"),
            "{text}"
        );
    }

    /// What Liquibase 4.20 wrote down of the same changelogs, before sums were of version 9.
    async fn sums_of_version_8(&self, folder: &Path) {
        let target = self.target("cl");
        sql(
            &target,
            "CREATE TABLE kept AS SELECT * FROM databasechangelog",
        )
        .await;
        let name = "filename || '::' || id || '::' || author";
        let mut known = 0;
        for line in include_str!("liquibase/version-8.txt").lines() {
            let (key, sum) = line.rsplit_once(' ').unwrap();
            let set =
                format!("UPDATE databasechangelog SET md5sum = '{sum}' WHERE {name} = '{key}'");
            sql(&target, &set).await;
            known += 1;
        }
        let older = "SELECT (count(*) >= 20)::text FROM databasechangelog WHERE md5sum LIKE '8:%'";
        assert!(known > 20);
        self.until("cl", "sums of version 8", older).await;
        let seen = self.compared(folder);
        assert_eq!(seen["changed"], json!([]), "{seen:#}");
        assert_eq!(seen["pending"], json!([]), "{seen:#}");
        let left = names(&seen["not-compared"]);
        assert!(
            left.contains("db/master.xml::view::me") && left.len() == 6,
            "{seen:#}"
        );
        sql(&target, "TRUNCATE databasechangelog; INSERT INTO databasechangelog SELECT * FROM kept; DROP TABLE kept").await;
    }

    /// Sums that somebody had taken away, and paths as others write them.
    async fn older_sums(&self, folder: &Path, all: &BTreeSet<String>) {
        let target = self.target("cl");
        sql(&target, "UPDATE databasechangelog SET md5sum = NULL").await;
        let seen = self.compared(folder);
        assert_eq!(seen["changed"], json!([]), "{seen:#}");
        assert!(names(&seen["not-compared"]).len() > 20, "{seen:#}");
        assert!(
            names(&seen["not-compared"])
                .iter()
                .all(|n| n.contains("unknown") || all.contains(n))
        );
        // Paths as they are written down by programs that have their changelogs on a classpath, or by older versions.
        sql(
            &target,
            "UPDATE databasechangelog SET filename = 'classpath:/' || filename",
        )
        .await;
        let seen = self.compared(folder);
        assert_eq!(
            seen["missing"],
            json!(["classpath:/db/more/changes.yaml::007::team"]),
            "{seen:#}"
        );
    }

    /// The mark says where the search path ends; another one gives other paths, and a file that is missing is told.
    async fn read_where_it_is(&self, folder: &Path) {
        let (code, text) = self.call(&format!(
            "migrate status --sources liquibase={}",
            folder.join("db").display()
        ));
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("/./db/changelog/master.xml"), "{text}");
        let inside = folder.join("db/./master.xml");
        let seen = given(self, "liquibase", &inside, 0)["sources"].clone();
        let notes = seen["notes"].to_string();
        assert!(
            notes.contains("`db/formatted.sql` was not read: it is not below"),
            "{seen:#}"
        );
        assert!(
            notes.contains("seems to be written down as `classpath:/db/m"),
            "{seen:#}"
        );
    }
}
