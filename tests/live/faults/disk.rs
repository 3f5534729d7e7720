//! The folders that backups, journals and evidence go into: locked, missing, forbidden, full.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use summitctl::repository::{LocalStore, Lock, Mode, Store};

use super::{CREATE_REDIS, Program, stopped, stopped_with, tells};

pub async fn a_locked_repository(program: &Program) {
    let folder = program.dir.join("sandbox/repository");
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder));
    let keys = Lock::acquire(&store, Mode::Exclusive, "a change of keys").await;
    let keys = keys.unwrap();
    let holder = format!("process {}", std::process::id());
    let told = [
        "is locked",
        "a change of keys",
        &holder,
        "Wait until it has ended",
    ];
    let run = stopped(program, &CREATE_REDIS, 3, &told);
    keys.release().await.unwrap();
    program.ok(&["run", "resume", &run]);
}

pub fn a_folder_that_is_missing_or_forbidden(program: &Program) {
    let folder = program.dir.join("sandbox/repository");
    let aside = program.dir.join("sandbox/aside");
    std::fs::rename(&folder, &aside).unwrap();
    let restore = [
        "restore",
        "newest",
        "--confirm",
        "sandbox",
        "--context",
        "sandbox",
    ];
    let place = folder.to_string_lossy().into_owned();
    for command in [&CREATE_REDIS[..], &restore] {
        let told = [
            place.as_str(),
            "holds no backup repository",
            "findmnt -T",
            "summitctl context show",
        ];
        tells(&program.call(command, None), 2, &told);
        assert!(!folder.exists(), "nothing is made in its place");
    }
    std::fs::rename(&aside, &folder).unwrap();

    // May be read and not be written to.
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let inside = ["tmp", "locks", "backups", "segments"].map(|name| folder.join(name));
    let all = || inside.iter().chain([&folder]).filter(|dir| dir.exists());
    all().for_each(|dir| mode(dir, 0o500));
    let told = [
        "read-only here",
        "Permission denied",
        "ls -ld",
        "findmnt -T",
    ];
    let output = without_root_rights(program, &CREATE_REDIS);
    let run = stopped_with(program, &output, 1, &told);
    all().for_each(|dir| mode(dir, 0o700));
    program.ok(&["run", "resume", &run]);

    // Somebody else's.
    let root = rustix::process::geteuid().is_root();
    if root {
        chown(&folder, Some(65_534), None).unwrap();
    } else {
        mode(&folder, 0);
    }
    let told = [
        "cannot open",
        &place,
        "Permission denied",
        "ls -ld",
        "Compare `id`",
    ];
    let output = without_root_rights(program, &CREATE_REDIS);
    tells(&output, 1, &told);
    if root {
        chown(&folder, Some(0), None).unwrap();
    } else {
        mode(&folder, 0o700);
    }
    assert_eq!(program.open_runs(), [""; 0]);
}

/// The program bound by owners and modes even if root runs the tests.
fn without_root_rights(program: &Program, args: &[&str]) -> Output {
    if !rustix::process::geteuid().is_root() {
        return program.call(args, None);
    }
    let rights = "-dac_override,-dac_read_search";
    let outer = ["setpriv", "--bounding-set", rights, "--inh-caps", rights];
    let mut bound = program.command_in(&outer, args);
    program.keep(bound.output().unwrap())
}

/// A small disk under each of the folders in turn. The disk lives in the mount namespace of one shell, which first runs
/// out of room, then makes some and goes on.
pub fn a_full_disk(program: &Program) {
    let told = [
        "No space left on device",
        "df -h",
        "summitctl run resume",
        "stopped with 1",
        "went on with 0",
    ];
    // Without root's rights a user namespace lends them.
    let root = rustix::process::geteuid().is_root();
    let outer = if root { "--mount" } else { "-rm" };
    for (folder, script) in [
        ("sandbox/repository", FILLED),
        ("sandbox/evidence", FILLED),
        // Journals are small: this disk is so small that it fills up by itself, in the midst of a record.
        ("runs", TINY),
    ] {
        let before = program.backups();
        let outer = ["unshare", outer, "sh", "-euc", script];
        let mut command = program.command_in(&outer, &CREATE_REDIS);
        let output = command.env("FOLDER", folder).output().unwrap();
        tells(&program.keep(output), 0, &told);
        let _ = std::fs::remove_dir_all(program.dir.join("kept"));
        let listed = program.backups();
        let new = listed.iter().filter(|b| !before.contains(b)).count();
        assert_eq!(new, 1);
        if folder == "sandbox/repository" {
            // Its disk is gone with what was written to it; this host has seen the backup, and misses it until it is told.
            let gone = listed.iter().find(|b| !before.contains(b)).unwrap();
            let confirmed = ["--confirm", "sandbox", "--context", "sandbox"];
            program.ok(&[&["backup", "forget", gone][..], &confirmed].concat());
            assert_eq!(program.backups(), before);
        }
    }
}

const FILLED: &str = r#"
    cp -a "$FOLDER" kept
    mount -t tmpfs -o size=8m tmpfs "$FOLDER"
    cp -a kept/. "$FOLDER"
    dd if=/dev/zero of="$FOLDER/fill" bs=1k count=100000 2>/dev/null || true
    code=0; "$0" "$@" || code=$?; echo "stopped with $code"
    rm "$FOLDER/fill"
    mount -o remount,size=64m "$FOLDER"
    "$0" run resume; echo "went on with $?"
    "$0" evidence verify --context sandbox
"#;

const TINY: &str = r#"
    mount -t tmpfs -o size=4k tmpfs "$FOLDER"
    code=0; "$0" "$@" || code=$?; echo "stopped with $code"
    mount -o remount,size=64m "$FOLDER"
    "$0" run resume; echo "went on with $?"
"#;

/// The disk under Postgres fills up while a backup is restored on it: the live database stays as it is, and the restore goes on
/// when there is room.
pub fn a_full_disk_under_postgres(program: &Program) {
    program.ok(&[
        "backup",
        "create",
        "--stores",
        "postgres",
        "--yes",
        "--context",
        "sandbox",
    ]);
    let root = rustix::process::geteuid().is_root();
    let outer = if root {
        &["unshare", "--mount"][..]
    } else {
        // Postgres refuses to run as root, and so it may not seem to be.
        &["unshare", "--mount", "--map-current-user", "--keep-caps"]
    };
    let outer = [outer, &["sh", "-euc", UNDER_POSTGRES]].concat();
    let restore = [
        "restore",
        "newest",
        "--stores",
        "postgres",
        "--confirm",
        "sandbox",
        "--context",
        "sandbox",
    ];
    let mut command = program.command_in(&outer, &restore);
    let output = program.keep(command.output().unwrap());
    let told = [
        "when the disk under its data is full",
        "failed The server has room for a second copy",
        "Free space there first.",
        "asked, and told 1",
        "less than what comes in, so make room first",
        "the disk of the server is full",
        "df -h",
        "summitctl run resume",
        "stopped with 1",
        "went on with 0",
    ];
    tells(&output, 0, &told);
    program.ok(&["sandbox", "up"]);
}

const UNDER_POSTGRES: &str = r#"
    "$0" sandbox break postgres
    cp -a sandbox/postgres kept
    mount -t tmpfs -o size=400m,mode=755 tmpfs sandbox/postgres
    cp -a kept/. sandbox/postgres
    "$0" sandbox up
    dd if=/dev/zero of=sandbox/postgres/fill bs=1k count=1000000 2>/dev/null || true
    "$0" smoke --context sandbox || true
    truncate --size=-6M sandbox/postgres/fill
    code=0; "$0" restore newest --stores postgres --can-i --context sandbox || code=$?; echo "asked, and told $code"
    code=0; "$0" "$@" || code=$?; echo "stopped with $code"
    rm sandbox/postgres/fill
    "$0" run resume; echo "went on with $?"
    "$0" smoke --context sandbox
    "$0" sandbox break postgres
    rm -r kept
    cp -a sandbox/postgres kept
    umount sandbox/postgres
    rm -r sandbox/postgres
    mv kept sandbox/postgres
"#;
