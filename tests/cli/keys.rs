//! Who reads and who is trusted, on the sample repository: what is listed, refused and resumed.

use crate::bench::Bench;
use crate::documents::{BACKUP, furnished};
use crate::stocked::{BACKUPS, bytes, stocked};

const BOB: &str = "age1mukt0wyxk2rqkz24xsx5vml0xk79w43ve7mwu3jk0gkwtpytye3qzusf4w";

/// An identity that belongs to nobody here.
fn stranger() -> String {
    person().0
}

/// A new identity, and its recipient.
fn person() -> (String, String) {
    use age::secrecy::ExposeSecret as _;
    let identity = age::x25519::Identity::generate();
    let text = identity.to_string().expose_secret().to_owned();
    (text, identity.to_public().to_string())
}

/// Edits the configuration.
fn configure(bench: &Bench, edit: impl FnOnce(&str) -> String) {
    let path = bench.dir.join("summitctl.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, edit(&text)).unwrap();
}

/// Names another file in the line that begins with this key.
fn naming(text: &str, key: &str, value: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.starts_with(&format!("{key} =")) {
            true => format!("{key} = {value}\n"),
            false => format!("{line}\n"),
        });
    lines.collect()
}

/// The text without the breaks that fit it to a terminal.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn keyed() -> Bench {
    let bench = furnished();
    assert_eq!(bench.run(&["evidence", "keygen", "key.pem"]).code, 0);
    bench
}

#[test]
fn a_list_that_cannot_be_opened_says_why() {
    let bench = keyed();
    std::fs::write(bench.dir.join("stranger.txt"), stranger()).unwrap();
    configure(&bench, |text| {
        naming(text, "identity", "\"file:stranger.txt\"")
    });
    let gave = bench.run(&["keys", "list"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert!(
        flat(&gave.out).contains("none of the operators"),
        "{}",
        gave.out
    );
    let bench = keyed();
    std::fs::remove_file(bench.dir.join("repository/keys/1.age")).unwrap();
    let gave = bench.run(&["keys", "list"]);
    assert_eq!(gave.code, 6, "{}", gave.all());
    assert!(gave.err.contains("keys/1.age"), "{}", gave.err);
}

#[test]
fn somebody_must_be_left_who_reads_and_a_plan_says_who_does_not_any_more() {
    let bench = keyed();
    let document = bench.run(&["keys", "list", "--output", "json"]).json();
    let alice = document["result"]["operators"][0]["name"].as_str().unwrap();
    let gave = bench.run(&["keys", "remove", alice, "--yes"]);
    assert_eq!(gave.code, 3, "{}", gave.all());
    assert!(
        flat(&gave.all()).contains("nobody would be left"),
        "{}",
        gave.all()
    );
    assert_eq!(bench.run(&["keys", "add", "bob", BOB, "--yes"]).code, 0);
    let bench = bench.env("SUMMITCTL_TEST_ID", "0001");
    let gave = bench.run(&["keys", "remove", alice, "--plan-only"]);
    assert!(
        flat(&gave.all()).contains("reads no backup any more"),
        "{}",
        gave.all()
    );
    assert_eq!(bench.run(&["keys", "remove", alice, "--yes"]).code, 0);
    let gave = bench.run(&["keys", "list"]);
    assert!(
        flat(&gave.out).contains("none of the operators"),
        "{}",
        gave.out
    );
}

/// Killed before anything was wrapped, and resumed by somebody who cannot look: nothing is claimed to be done.
#[test]
fn a_change_of_operators_that_nobody_can_look_at_is_not_adopted() {
    let bench = keyed().env("SUMMITCTL_TEST_CRASH", "after:1");
    bench.run(&["keys", "add", "bob", BOB, "--yes"]);
    let bench = bench.without_env();
    let file = bench.dir.join("repository/keys/1.age");
    let before = std::fs::read(&file).unwrap();
    std::fs::write(bench.dir.join("stranger.txt"), stranger()).unwrap();
    let config = std::fs::read_to_string(bench.dir.join("summitctl.toml")).unwrap();
    configure(&bench, |text| {
        naming(text, "identity", "\"file:stranger.txt\"")
    });
    let gave = bench.run(&["run", "resume"]);
    assert_ne!(gave.code, 0, "{}", gave.all());
    assert!(!flat(&gave.all()).contains("adopted"), "{}", gave.all());
    assert_eq!(std::fs::read(&file).unwrap(), before);
    configure(&bench, |_| config);
    let gave = bench.run(&["run", "resume"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    let gave = bench.run(&["keys", "list"]);
    assert!(gave.out.contains(BOB), "{}", gave.out);
}

/// A host that is no longer among the trusted keys is not trusted by commands that read, either.
#[test]
fn trusted_keys_count_wherever_backups_are_read() {
    let bench = keyed();
    let looked = ["backup", "export", BACKUP, "exported", "--plan-only"];
    let gave = bench.run(&looked);
    assert_eq!(gave.code, 0, "{}", gave.all());
    configure(&bench, |text| naming(text, "trusted-keys", "[]"));
    let gave = bench.run(&looked);
    assert_eq!(gave.code, 6, "{}", gave.all());
    assert!(flat(&gave.all()).contains("not trusted"), "{}", gave.all());
}

/// After a new epoch, a prune with an operator's identity still knows whose the older backups are.
#[test]
fn backups_of_a_retired_epoch_are_judged_with_an_identity() {
    let bench = keyed();
    let new = [
        "keys",
        "new-epoch",
        "--secret-file",
        "new.secret",
        "--confirm",
        "sample",
    ];
    assert_eq!(bench.run(&new).code, 0);
    configure(&bench, |text| naming(text, "secret", "\"file:new.secret\""));
    let looked = ["backup", "prune", "--dry-run", "--output", "json"];
    let gave = bench.run(&looked);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert!(
        !flat(&gave.all()).contains("identity tells"),
        "{}",
        gave.all()
    );
    configure(&bench, |text| text.replace("identity =", "# identity ="));
    let gave = bench.run(&looked);
    assert!(
        flat(&gave.all()).contains("identity tells"),
        "{}",
        gave.all()
    );
}

/// Who reads is decided by the key files and the list of epochs alone: no other byte of the repository changes. Whoever was taken
/// out opens nothing any more, and whoever came opens what was there before.
#[test]
fn operators_change_without_touching_a_segment_and_the_new_one_opens_what_the_old_one_did() {
    let mut bench = stocked();
    let repository = bench.dir.join("repository");
    let (identity, recipient) = person();
    std::fs::write(bench.dir.join("eve.txt"), identity).unwrap();
    let before = bytes(&repository);
    for (at, change) in [
        &["add", "bob", BOB][..],
        &["rotate", "bob", &recipient],
        &["remove", "alice"],
    ]
    .into_iter()
    .enumerate()
    {
        bench = bench.env("SUMMITCTL_TEST_ID", &format!("b{at:03}"));
        let file = repository.join("keys/1.age");
        let was = std::fs::read(&file).unwrap();
        let gave = bench.run(&[&["keys"], change, &["--yes"]].concat());
        assert_eq!(gave.code, 0, "{change:?}: {}", gave.all());
        assert!(std::fs::read(&file).unwrap() != was, "{change:?}");
        let after = bytes(&repository);
        assert!(after.keys().eq(before.keys()), "{change:?}");
        let differ = after
            .iter()
            .filter(|(path, bytes)| before[*path] != **bytes);
        let differ: Vec<_> = differ
            .map(|(path, _)| path.strip_prefix(&repository).unwrap())
            .collect();
        let names = ["keys/1.age", "repository.json"].map(std::path::Path::new);
        assert_eq!(differ, names, "{change:?}");
    }
    let opens = |bench: &Bench, id: &str| {
        let gave = bench.run(&["backup", "verify", id, "--level", "2", "--yes"]);
        (gave.code, flat(&gave.all()))
    };
    let bench = bench.env("SUMMITCTL_TEST_ID", "b010");
    let (code, said) = opens(&bench, BACKUPS[0]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("identit"), "{said}");
    configure(&bench, |text| naming(text, "identity", "\"file:eve.txt\""));
    let bench = bench
        .env("SUMMITCTL_TEST_ID", "b011")
        .env("SUMMITCTL_TEST_CLOCK", "2026-11-21T03:05:00.000Z");
    let (code, said) = opens(&bench, BACKUPS[0]);
    assert_eq!(code, 0, "{said}");
}

fn proven(bench: &Bench) -> serde_json::Value {
    let gave = bench.run(&["keys", "list", "--output", "json"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    gave.json()["result"]["last-proof"].clone()
}

/// Only an identity that really opens a backup counts: a stranger's does not, and nor does one that meets a damaged segment.
#[test]
fn a_key_check_proves_what_was_opened_and_nothing_else() {
    let bench = stocked();
    let check = ["backup", "verify", "newest", "--key-check", "--yes"];
    let opened = bench
        .dir
        .join("repository/backups")
        .join(BACKUPS[3])
        .join("opened");
    let config = std::fs::read_to_string(bench.dir.join("summitctl.toml")).unwrap();
    assert!(proven(&bench).is_null());

    std::fs::write(bench.dir.join("stranger.txt"), stranger()).unwrap();
    configure(&bench, |text| {
        naming(text, "identity", "\"file:stranger.txt\"")
    });
    let bench = bench.env("SUMMITCTL_TEST_ID", "0001");
    let gave = bench.run(&check);
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert!(gave.all().contains("identit"), "{}", gave.all());
    assert!(proven(&bench).is_null() && !opened.exists());
    assert_eq!(bench.run(&["run", "abort"]).code, 0);
    configure(&bench, |_| config);

    let segments = bytes(&bench.dir.join("repository/segments"));
    for (path, bytes) in &segments {
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(path, flipped).unwrap();
    }
    let bench = bench.env("SUMMITCTL_TEST_ID", "0002");
    let gave = bench.run(&check);
    assert_eq!(gave.code, 6, "{}", gave.all());
    assert!(gave.all().contains("segments/"), "{}", gave.all());
    assert!(proven(&bench).is_null() && !opened.exists());
    assert_eq!(bench.run(&["run", "abort"]).code, 0);

    for (path, bytes) in segments {
        std::fs::write(path, bytes).unwrap();
    }
    let bench = bench.env("SUMMITCTL_TEST_ID", "0003");
    let gave = bench.run(&check);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert_eq!(proven(&bench), "2026-11-21T03:04:05.678Z");
    let shown = bench.run(&["keys", "list"]);
    assert!(
        flat(&shown.out).contains("proven an identity opened"),
        "{}",
        shown.out
    );
}
