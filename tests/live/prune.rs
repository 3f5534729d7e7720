//! Backups of one host and prunes of another one, side by side on one repository.

use super::program::{Program, said};

#[test]
fn backups_and_prunes_of_two_hosts_run_side_by_side() {
    let program = Program::start("prune");
    let make = [
        "backup", "create", "--stores", "redis", "--yes", "-c", "sandbox",
    ];
    let keep_one = [
        "backup",
        "prune",
        "--keep-last",
        "1",
        "--confirm",
        "sandbox",
        "-c",
        "sandbox",
    ];
    program.ok(&make);
    // Another state folder has other leases, as another host has.
    let other = program.dir.join("other-host");
    let config = program.dir.join("sandbox/summitctl.toml");
    for _ in 0..4 {
        let backup = program.command(&make).spawn().unwrap();
        let prune = program
            .command(&keep_one)
            .env("SUMMITCTL_STATE_DIR", &other)
            .env("SUMMITCTL_CONFIG", &config)
            .output()
            .unwrap();
        assert!(prune.status.success(), "{}", said(&prune));
        let backup = backup.wait_with_output().unwrap();
        assert!(backup.status.success(), "{}", said(&backup));
    }
    program.ok(&keep_one);
    let left = program.backups();
    assert_eq!(left.len(), 1, "{left:?}");
    program.ok(&["backup", "verify", "--level", "2", "--yes", "-c", "sandbox"]);
}
