//! A copy of the sample repository: made, killed and gone on with, and worked on when the repository is lost.

use crate::bench::{Bench, Gave};
use crate::documents::{BACKUP, furnished};

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
    assert_eq!(bench.run(&["backup", "show", BACKUP]).code, 2);
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
