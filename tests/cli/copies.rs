//! A copy of the sample repository: made, killed and gone on with, and worked on when the repository is lost.

use crate::bench::{Bench, Gave};
use crate::documents::{BACKUP, furnished};
use crate::stocked::{BACKUPS, stocked};

/// The text without the breaks that fit it to a terminal.
fn flat(gave: &Gave) -> String {
    gave.all().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn keyed() -> Bench {
    let bench = furnished();
    assert_eq!(bench.run(&["evidence", "keygen", "key.pem"]).code, 0);
    bench
}

#[test]
fn a_copy_serves_when_the_repository_is_lost() {
    let bench = keyed();
    let gave = bench.run(&["status"]);
    assert!(
        flat(&gave).contains("are not those of the"),
        "{}",
        gave.all()
    );
    let bench = bench.env("SUMMITCTL_TEST_CRASH", "after:1");
    bench.run(&["backup", "copy", "--yes"]);
    let bench = bench.without_env();
    let gave = bench.run(&["run", "resume"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    let gave = bench.run(&["status"]);
    assert!(flat(&gave).contains("nothing behind"), "{}", gave.all());
    let bench = bench.env("SUMMITCTL_TEST_ID", "0001");
    let gave = bench.run(&["backup", "copy", "usb", "--yes"]);
    assert_eq!(gave.code, 0, "again there is nothing to do: {}", gave.all());

    std::fs::remove_dir_all(bench.dir.join("repository")).unwrap();
    let lost = bench.run(&["backup", "show", BACKUP]);
    assert_eq!(lost.code, 2);
    let told = flat(&lost);
    let (copy, new) = ("backup list --repository usb", "summitctl backup init");
    assert!(told.contains(copy) && told.contains(new), "{told}");
    assert!(told.find(copy) < told.find(new), "the copy first: {told}");
    let on_copy = ["--repository", "usb"];
    for words in [
        &["backup", "show", BACKUP][..],
        &["keys", "list"],
        &["backup", "prune", "--dry-run"],
    ] {
        let gave = bench.run(&[words, &on_copy].concat());
        assert_eq!(gave.code, 0, "{words:?}: {}", gave.all());
    }
    let bench = bench.env("SUMMITCTL_TEST_ID", "0002");
    let add = [
        "keys",
        "add",
        "bob",
        "age1mukt0wyxk2rqkz24xsx5vml0xk79w43ve7mwu3jk0gkwtpytye3qzusf4w",
    ];
    let gave = bench.run(&[&add[..], &on_copy].concat());
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert!(
        flat(&gave).contains("those of its repository"),
        "{}",
        gave.all()
    );
    let gave = bench.run(&["backup", "list", "--repository", "ubs"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert!(flat(&gave).contains("there are `usb`"), "{}", gave.all());
}

/// Which of its backups was restored since, only the repository knows: where it is lost, a prune of the copy removes none.
#[test]
fn a_prune_of_a_copy_removes_nothing_that_may_have_been_restored_since() {
    let bench = stocked();
    let gave = bench.run(&["backup", "copy", "usb", "--yes"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    let gave = bench.run(&["status"]);
    assert!(
        flat(&gave).contains("never verified there"),
        "{}",
        gave.all()
    );
    let looked = ["backup", "prune", "--dry-run", "--keep-last", "1"];
    let looked = [&looked[..], &["--repository", "usb", "-o", "json"]].concat();
    let shown = || {
        let gave = bench.run(&looked);
        assert_eq!(gave.code, 0, "{}", gave.all());
        gave.json()["result"]["plan"]["steps"][0]["forecast"].clone()
    };
    let known = shown();
    let place = known["shown"]["place"].as_str().unwrap();
    assert!(place.contains("(the copy `usb`)"), "{place}");
    assert!(place.contains(bench.dir.to_str().unwrap()), "{place}");
    assert_eq!(known["shown"]["goes"].as_array().unwrap().len(), 3);
    std::fs::rename(bench.dir.join("repository"), bench.dir.join("elsewhere")).unwrap();
    let unknown = shown().to_string();
    for id in &BACKUPS[..3] {
        let stays = format!("{id}: its repository cannot be asked whether it was restored");
        assert!(unknown.contains(&stays), "{unknown}");
    }
    assert!(unknown.contains("lost for good"), "{unknown}");
    assert!(!unknown.contains("\"goes\""), "{unknown}");
}
