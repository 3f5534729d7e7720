//! A lock whose holder's machine is no more: shown, named where it is in the way, and removed on purpose only.

use crate::bench::Bench;
use crate::documents::{BACKUP, furnished};

/// Puts a lock there as a pod leaves it when it is killed; its token.
pub fn lock_of_elsewhere(bench: &Bench) -> String {
    let token = "00112233445566778899aabbccddeeff".to_owned();
    let lock = format!(
        "{{\n  \"version\": 1,\n  \"mode\": \"collect\",\n  \"purpose\": \"prune\",\n  \"host\": \"summit-prune-0\",\n  \
         \"machine\": \"another pid:[4026532177]\",\n  \"process\": {{\n    \"pid\": 1,\n    \"start-ticks\": 7\n  }},\n  \
         \"since\": \"2026-11-20T03:00:00.000Z\",\n  \"token\": \"{token}\"\n}}\n"
    );
    std::fs::create_dir_all(bench.dir.join("repository/locks")).unwrap();
    bench.write(&format!("repository/locks/{token}.json"), &lock);
    token
}

#[test]
fn the_lock_of_a_machine_that_is_no_more_is_removed_on_purpose() {
    let bench = furnished();
    assert_eq!(bench.run(&["evidence", "keygen", "key.pem"]).code, 0);
    let token = lock_of_elsewhere(&bench);
    let unlock = format!("backup unlock {token}");
    // Whoever stands before it reads the command.
    let hold = ["backup", "hold", BACKUP, "--yes"];
    let gave = bench.run(&hold);
    assert_ne!(gave.code, 0, "{}", gave.all());
    assert!(gave.all().contains(&unlock), "{}", gave.all());
    let status = bench.run(&["status"]);
    assert!(status.out.contains(&unlock), "{}", status.out);
    let status = bench.run(&["status", "--output", "json"]);
    let locks = &status.json()["result"]["locks"];
    assert_eq!(locks[0]["token"], token.as_str(), "{}", status.out);
    assert_eq!(locks[0]["elsewhere"], true);
    // It is no small thing.
    let command = ["backup", "unlock", &token];
    assert_eq!(bench.run(&[&command[..], &["--yes"]].concat()).code, 3);
    let gave = bench.run(&[&command[..], &["--confirm", &token]].concat());
    assert_eq!(gave.code, 0, "{}", gave.all());
    assert!(gave.out.contains("summit-prune-0"), "{}", gave.out);
    let bench = bench.env("SUMMITCTL_TEST_ID", "0001");
    let gave = bench.run(&hold);
    assert_eq!(gave.code, 0, "{}", gave.all());
    let gave = bench.run(&[&command[..], &["--confirm", &token]].concat());
    assert_eq!(gave.code, 2, "{}", gave.all());
}
