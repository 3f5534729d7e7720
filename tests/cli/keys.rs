//! Who reads and who is trusted, on the sample repository: what is listed, refused and resumed.

use crate::bench::Bench;
use crate::documents::{BACKUP, furnished};
use crate::stocked::{BACKUPS, bytes, next_epoch, one_more, stocked};

const BOB: &str = "age1mukt0wyxk2rqkz24xsx5vml0xk79w43ve7mwu3jk0gkwtpytye3qzusf4w";

/// Starts an epoch whose secret is kept beside the configuration.
pub const NEW_EPOCH: &[&str] = &[
    "keys",
    "new-epoch",
    "--secret-file",
    "new.secret",
    "--confirm",
    "sample",
];

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
pub fn configure(bench: &Bench, edit: impl FnOnce(&str) -> String) {
    let path = bench.dir.join("summitctl.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, edit(&text)).unwrap();
}

/// Names another file in the line that begins with this key.
pub fn naming(text: &str, key: &str, value: &str) -> String {
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
    assert_eq!(bench.run(NEW_EPOCH).code, 0);
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

/// What a doctor says of a check.
fn outcome(bench: &Bench, id: &str) -> String {
    let document = bench.run(&["doctor", "--output", "json"]).json();
    let check = found(&document, id).unwrap_or_else(|| panic!("no {id}: {document:#}"));
    check["outcome"].as_str().unwrap().to_owned()
}

/// The check of this id, wherever the document has it.
fn found<'a>(document: &'a serde_json::Value, id: &str) -> Option<&'a serde_json::Value> {
    match document {
        serde_json::Value::Object(fields) if fields.get("id").is_some_and(|i| i == id) => {
            Some(document)
        }
        serde_json::Value::Object(fields) => fields.values().find_map(|v| found(v, id)),
        serde_json::Value::Array(all) => all.iter().find_map(|v| found(v, id)),
        _ => None,
    }
}

/// That nobody here can open the backups, or that nobody tried for long, is seen without a restore.
#[test]
fn keys_that_nobody_tried_are_a_finding_before_they_are_needed() {
    let bench = keyed();
    let (opens, proven) = ("repository.key", "repository.key-proven");
    assert_eq!(outcome(&bench, opens), "passed");
    // The sample was verified when it was made; years later that says little.
    assert_eq!(outcome(&bench, proven), "passed");
    let later = bench.env("SUMMITCTL_TEST_CLOCK", "2031-01-01T00:00:00Z");
    assert_eq!(outcome(&later, proven), "degraded");
    let status = later.run(&["status"]);
    assert!(
        flat(&status.out).contains("verify --key-check"),
        "{}",
        status.out
    );
    let gate = later.run(&["gate", "run", "--output", "json"]).json();
    assert_eq!(found(&gate, proven).unwrap()["outcome"], "degraded");
    let later = later.env("SUMMITCTL_TEST_ID", "0001");
    let gave = later.run(&["backup", "verify", BACKUP, "--key-check", "--yes"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert_eq!(outcome(&later, proven), "passed");
    let bench = later.without_env();
    std::fs::write(bench.dir.join("stranger.txt"), stranger()).unwrap();
    configure(&bench, |text| {
        naming(text, "identity", "\"file:stranger.txt\"")
    });
    assert_eq!(outcome(&bench, opens), "failed");
}

/// Whoever opens what is old, and not the newest, can restore nothing that matters.
#[test]
fn an_identity_of_a_retired_epoch_opens_no_new_backup() {
    let bench = stocked();
    let opens = "repository.key";
    assert_eq!(outcome(&bench, opens), "passed");
    next_epoch(&bench, "new.secret", &person().1);
    configure(&bench, |text| naming(text, "secret", "\"file:new.secret\""));
    // The newest backup is of the old epoch as yet.
    assert_eq!(outcome(&bench, opens), "passed");
    one_more(&bench, "new.secret", "20261121T030000Z-0005");
    assert_eq!(outcome(&bench, opens), "failed");
    let gave = bench.run(&["doctor"]);
    assert!(
        flat(&gave.all()).contains("none of epoch 2"),
        "{}",
        gave.all()
    );
}

/// A key pair of OpenSSH, and its public line.
fn ssh_key(bench: &Bench) -> String {
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "somebody@here", "-f"])
        .arg(bench.dir.join("id_ed25519"))
        .status();
    assert!(made.unwrap().success());
    let line = std::fs::read_to_string(bench.dir.join("id_ed25519.pub")).unwrap();
    line.trim().to_owned()
}

/// Whether stock age opens the keys of a repository's first epoch.
fn age_opens(bench: &Bench, repository: &str) -> bool {
    let opened = std::process::Command::new("age")
        .args(["-d", "-i", "id_ed25519"])
        .arg(format!("{repository}/keys/1.age"))
        .current_dir(&bench.dir)
        .output();
    let opened = opened.unwrap();
    opened.status.success() && String::from_utf8_lossy(&opened.stdout).contains("AGE-SECRET-KEY-1")
}

/// An operator may be a key of OpenSSH: from the configuration when a repository is made, and later.
#[test]
fn a_key_of_openssh_reads_as_any_other() {
    let bench = keyed();
    let line = ssh_key(&bench);
    let gave = bench.run(&["keys", "add", "laptop", &line, "--yes"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert!(age_opens(&bench, "repository"));
    configure(&bench, |text| {
        naming(text, "identity", "\"file:id_ed25519\"")
    });
    let bench = bench.env("SUMMITCTL_TEST_ID", "0001");
    let gave = bench.run(&["backup", "verify", BACKUP, "--key-check", "--yes"]);
    assert_eq!(gave.code, 0, "{}", gave.all());

    let bench = bench.env("SUMMITCTL_TEST_ID", "0002");
    configure(&bench, |text| {
        let another = format!("path = \"another\"\nrecipients = [{line:?}]");
        text.replace("path = \"repository\"", &another)
    });
    let gave = bench.run(&["backup", "init", "--yes"]);
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert!(age_opens(&bench, "another"));
    // One that age does not know is told with its place.
    configure(&bench, |text| {
        naming(text, "recipients", "[\"ecdsa-sha2-nistp256 AAAA\"]")
    });
    let gave = bench.run(&["backup", "list"]);
    assert_eq!(gave.code, 2, "{}", gave.all());
    assert!(gave.err.contains("summitctl.toml:"), "{}", gave.err);
    assert!(flat(&gave.err).contains("`ssh-ed25519`"), "{}", gave.err);
}

/// Looks that end at once are each recorded.
#[test]
fn two_looks_in_one_millisecond_are_both_kept() {
    let mut bench = stocked();
    let kept = |bench: &Bench, folder: &str| {
        let backup = bench.dir.join("repository/backups").join(BACKUPS[3]);
        bytes(&backup.join(folder)).len()
    };
    for (folder, how) in [
        ("verified", &["--level", "1"][..]),
        ("opened", &["--key-check"]),
    ] {
        for number in 1..=2 {
            let id = format!("{:02x}{number:02x}", folder.len());
            bench = bench.env("SUMMITCTL_TEST_ID", &id);
            let gave = bench.run(&[&["backup", "verify", "newest", "--yes"][..], how].concat());
            assert_eq!(gave.code, 0, "{folder}: {}", gave.all());
            assert_eq!(kept(&bench, folder), number, "{folder}");
        }
    }
}
