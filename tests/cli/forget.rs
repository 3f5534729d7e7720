//! A backup that goes away without a word, on the sample repository: missed, listed, and forgotten by a signed statement alone.

use crate::bench::Bench;
use crate::documents::{BACKUP, furnished};

fn list(bench: &Bench) -> Vec<serde_json::Value> {
    let gave = bench.run(&["backup", "list", "--output", "json"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    gave.json()["result"]["backups"].as_array().unwrap().clone()
}

#[test]
fn a_backup_that_went_away_is_missed_and_forgotten_on_purpose_only() {
    let bench = furnished();
    assert_eq!(bench.run(&["evidence", "keygen", "key.pem"]).code, 0);
    let before = list(&bench).len();
    // Nothing is gone yet: nothing to forget.
    let gave = bench.run(&["backup", "forget", BACKUP, "--confirm", "sample"]);
    assert_eq!(gave.code, 3, "{}", gave.all());
    std::fs::remove_dir_all(bench.dir.join("repository/backups").join(BACKUP)).unwrap();

    let listed = list(&bench);
    assert_eq!(listed.len(), before);
    let gone = listed.iter().find(|b| b["backup"] == BACKUP).unwrap();
    assert_eq!(gone["problem"]["reason"], "repository.backup-gone");
    // Who only reads the screen finds the next command there.
    let forget = format!("backup forget {BACKUP}");
    for command in [&["backup", "list"][..], &["backup", "show", BACKUP]] {
        let shown = bench.run(command).all();
        assert!(shown.contains(&forget), "{command:?}: {shown}");
    }
    let doctor = bench.run(&["doctor", "--output", "json"]);
    assert!(
        doctor.out.contains("gone, and nobody stated its removal"),
        "{}",
        doctor.out
    );
    let status = bench.run(&["status"]);
    assert!(status.out.contains(BACKUP), "{}", status.out);
    let prune = bench.run(&["backup", "prune", "--keep-last", "1", "--confirm", "sample"]);
    assert_ne!(prune.code, 0, "{}", prune.all());
    assert!(
        prune.all().contains(&format!("backup forget {BACKUP}")),
        "{}",
        prune.all()
    );

    // It is no small thing to say.
    let gave = bench.run(&["backup", "forget", BACKUP, "--yes"]);
    assert_eq!(gave.code, 3, "{}", gave.all());
    let bench = bench.env("SUMMITCTL_TEST_ID", "0001");
    let gave = bench.run(&["backup", "forget", BACKUP, "--confirm", "sample"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    let bench = bench.env("SUMMITCTL_TEST_ID", "0002");
    let again = bench.run(&["backup", "forget", BACKUP, "--confirm", "sample"]);
    assert_eq!(again.code, 0, "{}", again.all());
    assert_eq!(list(&bench).len(), before - 1);
}
