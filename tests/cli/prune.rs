//! The rules of a prune from its flags to its plan, and that a dry run changes nothing.

use serde_json::{Value, json};

use crate::stocked::{BACKUPS, bytes, stocked};

#[test]
fn each_flag_of_a_dry_run_reaches_the_plan_and_nothing_is_changed() {
    let bench = stocked();
    let repository = bench.dir.join("repository");
    let before = bytes(&repository);
    let gave = bench.run(&[
        "backup",
        "prune",
        "--dry-run",
        "--keep-within",
        "2d",
        "--keep-last",
        "1",
        "--keep-hourly",
        "2",
        "--keep-daily",
        "3",
        "--keep-weekly",
        "4",
        "--keep-monthly",
        "5",
        "--keep-yearly",
        "6",
        "--output",
        "json",
    ]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    let step = &gave.json()["result"]["plan"]["steps"][0];
    let given = json!({
        "within": "2d", "last": 1, "hourly": 2, "daily": 3, "weekly": 4, "monthly": 5, "yearly": 6,
    });
    let shown = &step["forecast"]["shown"];
    assert_eq!(step["args"]["keep"], given, "{step:#}");
    assert_eq!(
        shown["keep"],
        "within 2d, last 1, hourly 2, daily 3, weekly 4, monthly 5, yearly 6"
    );
    // Each of them keeps what it should, and what none keeps goes.
    let lines = |word: &str| -> Vec<String> {
        let lines = shown[word].as_array().into_iter().flatten();
        lines.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let line = |word: &str, id: &str| {
        let found = lines(word).into_iter().find(|l| l.starts_with(id));
        found.unwrap_or_else(|| panic!("{word} {id}: {shown:#}"))
    };
    let newest = line("stays", BACKUPS[3]);
    for rule in [
        "younger than 2d",
        "last 1",
        "hourly ",
        "daily ",
        "weekly ",
        "monthly ",
        "yearly ",
    ] {
        assert!(newest.contains(rule), "{rule}: {newest}");
    }
    for (id, keeps, not) in [
        (BACKUPS[2], &["hourly ", "daily "][..], "last 1"),
        (BACKUPS[1], &["daily ", "weekly ", "monthly "], "hourly "),
    ] {
        let line = line("stays", id);
        assert!(keeps.iter().all(|rule| line.contains(rule)), "{line}");
        assert!(!line.contains(not), "{line}");
    }
    assert!(line("goes", BACKUPS[0]).contains("no rule keeps it"));
    assert_eq!((lines("goes").len(), lines("stays").len()), (1, 3));
    assert!(shown["frees-bytes"].as_u64().unwrap() > 0, "{shown:#}");
    assert!(
        bytes(&repository) == before,
        "a dry run changed the repository"
    );
}

/// One flag at a time: no rule stands in for another.
#[test]
fn each_flag_alone_keeps_what_it_says() {
    let bench = stocked();
    for (flag, number, stay) in [
        ("--keep-within", "3d", 2),
        ("--keep-last", "3", 3),
        ("--keep-hourly", "3", 3),
        ("--keep-daily", "2", 2),
        ("--keep-weekly", "2", 2),
        ("--keep-monthly", "2", 2),
        ("--keep-yearly", "2", 1),
    ] {
        let gave = bench.run(&["backup", "prune", "--dry-run", flag, number, "-o", "json"]);
        assert_eq!(gave.code, 0, "{}", gave.all());
        let step = &gave.json()["result"]["plan"]["steps"][0];
        let stays = step["forecast"]["shown"]["stays"].as_array().map(Vec::len);
        assert_eq!(stays, Some(stay), "{flag} {number}: {step:#}");
    }
}
