//! Files that are not what was written: journals, evidence, segments.

use std::path::PathBuf;

use super::{CREATE, CREATE_REDIS, Program, files, refused, said, stopped, tells};

const RESTORE: &str = "restore";

/// Cut in its last line it goes on; anything else is named, and leads to a way out.
pub fn a_journal(program: &Program) {
    let killed = program.call(&CREATE_REDIS, Some("after:4"));
    assert_eq!(killed.status.code(), None);
    let run = program.open_runs().remove(0);
    let path = program.dir.join("runs").join(&run).join("journal.ndjson");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 30]).unwrap();
    let output = program.call(&["run", "resume", &run], Some("after:3"));
    assert_eq!(output.status.code(), None, "{}", said(&output));

    let good = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = good.split_inclusive('\n').collect();
    // A line says what the one before it was: an edit shows one line further on.
    let changed = lines[1].replacen("\"already-so\"", "\"changed\"", 1);
    let edited = [lines[0], &changed, &lines[2..].concat()].concat();
    assert_ne!(edited, good);
    let shortened = lines[2][lines[2].len() / 2..].to_owned();
    lines[2] = &shortened;
    let cut = lines.concat();
    let give_up = format!("summitctl run abort {run} --confirm {run}");
    for (damaged, line) in [(&edited, "line 3"), (&cut, "line 3")] {
        std::fs::write(&path, damaged).unwrap();
        let told = [line, &run, "cannot be resumed", &give_up];
        for command in [
            &["run", "resume"][..],
            &["run", "resume", &run],
            &["run", "show", &run],
        ] {
            tells(&program.call(command, None), 6, &told);
        }
        let told = [line, "cannot be taken back", &give_up];
        tells(&program.call(&["run", "abort", &run], None), 3, &told);
    }
    // Others are not kept from their work, and the gate counts it until somebody ends it.
    program.ok(&CREATE_REDIS);
    let gate = ["gate", "run", "--context", "sandbox"];
    tells(&program.call(&gate, None), 5, &[&run]);
    let ended = program.call(&["run", "abort", &run, "--confirm", &run], None);
    tells(
        &ended,
        1,
        &["without taking anything back", "line 3", "summitctl status"],
    );
    let gate = said(&program.call(&gate, None));
    assert!(gate.contains("passed The evidence verifies"), "{gate}");
    assert!(path.with_file_name("journal.damaged.ndjson").is_file());
    assert_eq!(
        program.open_runs(),
        [""; 0],
        "a look that failed is not resumed"
    );
}

pub fn evidence(program: &Program) {
    let mut records = Vec::new();
    files(&program.dir.join("sandbox/evidence"), &mut records);
    let is_record = |p: &&PathBuf| p.to_string_lossy().ends_with(".dsse.json");
    let record = records.iter().find(is_record).unwrap();
    let name = record.file_name().unwrap().to_string_lossy().into_owned();
    let good = std::fs::read_to_string(record).unwrap();
    // One letter of the signed text.
    let at = good.find("\"payload\"").unwrap() + 40;
    let other = if &good[at..=at] == "A" { "B" } else { "A" };
    std::fs::write(record, [&good[..at], other, &good[at + 1..]].concat()).unwrap();
    let verify = ["evidence", "verify", "--context", "sandbox"];
    tells(&program.call(&verify, None), 6, &[&name]);
    std::fs::write(record, good).unwrap();
    tells(&program.call(&verify, None), 0, &[]);
}

/// One flipped bit: the backup is refused before anything is touched, and the next backup does not share it.
pub async fn a_segment(program: &Program) {
    let create = [&CREATE[..], &["--stores", "postgres"]].concat();
    program.ok(&create);
    let backup = program.backups().remove(0);
    let mut segments = Vec::new();
    files(
        &program.dir.join("sandbox/repository/segments"),
        &mut segments,
    );
    let size = |p: &PathBuf| std::fs::metadata(p).unwrap().len();
    let segment = segments.iter().max_by_key(|p| size(p)).unwrap();
    let good = std::fs::read(segment).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(segment, bad).unwrap();

    let databases = "SELECT count(*) FROM pg_database";
    let there = program.number(databases).await;
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    let restore = [
        RESTORE,
        &backup,
        "--confirm",
        "sandbox",
        "--context",
        "sandbox",
    ];
    let told = [
        backup.as_str(),
        &name,
        "does not have the bytes that were written",
        "summitctl backup create",
    ];
    let run = stopped(program, &restore, 1, &told);
    assert_eq!(
        program
            .records(&run)
            .iter()
            .filter(|r| r["kind"] == "intent")
            .count(),
        1,
        "the check's own"
    );
    assert_eq!(program.number(databases).await, there);
    program.ok(&["run", "abort", &run]);

    let created = said(&program.ok(&create));
    assert!(created.contains("is stored anew"), "{created}");
    let newest = program.backups().remove(0);
    let verify = [
        "backup",
        "verify",
        &newest,
        "--level",
        "2",
        "--yes",
        "--context",
        "sandbox",
    ];
    program.ok(&verify);
    let verify = [
        "backup",
        "verify",
        &backup,
        "--level",
        "1",
        "--yes",
        "--context",
        "sandbox",
    ];
    let run = stopped(program, &verify, 1, &[&name]);
    program.ok(&["run", "abort", &run]);
    // A plan that could never be carried out is refused whole.
    let nothing = [
        "restore",
        "20200101T000000Z-0000",
        "--confirm",
        "sandbox",
        "--context",
        "sandbox",
    ];
    refused(
        program,
        &nothing,
        2,
        &["20200101T000000Z-0000", "summitctl backup list"],
    );
}
